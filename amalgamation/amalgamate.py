#!/usr/bin/env python3
# amalgamate.py - writes the library as one file and one header: amalgamate.py SOURCE-FOLDER VERSION FOLDER FILE...
# SPDX-License-Identifier: MIT
"""FOLDER gets miniblk.c and miniblk.h; --dist in its place: the folder amalgamation of what "meson dist" packs.
FILE: the library's .c files, in SOURCE-FOLDER.

Each header of the library is written once, before the first file that includes it. Macros of a .c file end with that
file. Functions and variables that are not in the public headers get the prefix miniblk_, as these names could be the
program's own."""

import os
import pathlib
import re
import sys

PUBLIC = ['miniblk/block.h', 'miniblk/driver.h']
INCLUDE = re.compile(r'#include (<miniblk/[^>]+>|"(?:block|util)/[^"]+")')
# At the start of a line, with its result, and without a body
PROTOTYPE = re.compile(r'^(?!static|typedef|return|else)(?:[A-Za-z_]\w*[ *]+)+(\w+)\([^{;]*\);', re.M)
VARIABLES = re.compile(r'^extern [^(;]*;', re.M)
VARIABLE = re.compile(r'(\w+)(?:\[[^]]*\])?(?=[,;])')
MACRO = re.compile(r'^#define (\w+)', re.M)
GUARD = re.compile(r'\A(.*?)#ifndef (\w+)\n#define \2\n(.*)#endif[^\n]*\n\Z', re.S)


def names_in(text):
    """Functions and variables that a header declares"""
    variables = (name for line in VARIABLES.findall(text) for name in VARIABLE.findall(line))
    return {*PROTOTYPE.findall(text), *variables}


def without_guard(path):
    match = GUARD.match(path.read_text())
    if not match:
        sys.exit(f'{path}: no include guard around it')
    return match[1] + match[3]


class Amalgamation:
    def __init__(self, source):
        self.source = source
        self.seen = set()
        self.names = set()          # of functions and variables that files of the library share
        self.parts = []

    def add(self, name):
        path = self.source / name
        header = name.endswith('.h')
        text = without_guard(path) if header else path.read_text()
        rest = []
        for line in text.splitlines():
            include = INCLUDE.match(line)
            if not include:
                rest.append(line)
            elif include[1].startswith('"'):
                self.include(include[1].strip('"'))
        text = '\n'.join(rest).strip('\n') + '\n'
        if header:
            self.names |= names_in(text)
        else:
            text += ''.join(f'#undef {macro}\n' for macro in sorted(set(MACRO.findall(text))))
        self.parts.append(f'\n/* ---- {name} */\n\n{text}')

    def include(self, name):
        if name not in self.seen:
            self.seen.add(name)
            self.add(name)


def public_header(source, version):
    text = ''
    for name in PUBLIC:
        lines = without_guard(source / 'include' / name).splitlines()
        text += '\n'.join(line for line in lines if not INCLUDE.match(line)) + '\n'
    return (f'/* miniblk.h - the headers of miniblk {version} in one: see miniblk.c */\n'
            f'#ifndef MINIBLK_H\n#define MINIBLK_H\n\n{text}\n#endif\n')


def main():
    source, version, folder, files = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    folder = pathlib.Path(os.environ['MESON_DIST_ROOT'] + '/amalgamation' if folder == '--dist' else folder)
    library = Amalgamation(source)
    for name in files:
        library.add(str(pathlib.Path(name).resolve().relative_to(source.resolve())))
    licence = pathlib.Path(__file__).read_text().splitlines()[2].lstrip('# ')
    head = f'''/* miniblk.c - miniblk {version} in one file, to be compiled into a program:
 *
 *     cc miniblk.c program.c $(pkg-config --cflags --libs glib-2.0) -pthread
 *
 * amalgamation/amalgamate.py made it of the library's files. The source that is meant to be read and changed has one
 * file for each of these parts.
 *
 * {licence}
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "miniblk.h"
#ifndef MINIBLK_MODULE_FOLDER       /* of modules, block-NAME.so, which a program has to export this file's names to */
#define MINIBLK_MODULE_FOLDER "/usr/local/lib/miniblk"
#endif

'''
    header = public_header(source, version)
    renamed = ''.join(f'#define {name} miniblk_{name}\n' for name in sorted(library.names - names_in(header)))
    (folder / 'miniblk.c').write_text(head + renamed + ''.join(library.parts))
    (folder / 'miniblk.h').write_text(header)


if __name__ == '__main__':
    main()
