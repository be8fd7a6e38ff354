# circles.py - no two files of a folder call each other, but where block/README.md says why: circles.py SOURCE BUILD
# SPDX-License-Identifier: MIT
"""A file's object says with its symbols which other files it calls: those that define what it does not. Files that lead
back to themselves in this way can only be understood together. Those that have a reason are a row of the table "files that
call each other" in block/README.md; a row that is no circle is an error, too.

A driver's table, of the list in block/drivers.h, is no call: any file may ask which driver a node has, and drivers.c lists
them."""

import collections
import itertools
import json
import pathlib
import re
import subprocess
import sys

SOURCE, BUILD = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
FOLDERS = ('block', 'util', 'tools')


def objects():
    """Each source file of the folders with one object of it"""
    found = {}
    for entry in json.loads((BUILD / 'compile_commands.json').read_text(encoding='utf-8')):
        source = (pathlib.Path(entry['directory']) / entry['file']).resolve()
        target = pathlib.Path(entry['directory']) / entry['output']
        if source.is_relative_to(SOURCE) and target.exists():
            name = source.relative_to(SOURCE).as_posix()
            if name.split('/')[0] in FOLDERS:
                found[name] = target
    return found


def symbols(files):
    """What each file's object defines, and what it takes from others"""
    known = {name: (set(), set()) for name in files}
    names = {str(target): name for name, target in files.items()}
    done = subprocess.run(['nm', '-A', '-P', '-g', *names], stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        target, symbol, kind = re.match(r'(.*): (\S+) (\S)', line).groups()
        known[names[target]][kind == 'U'].add(symbol)
    return known


def calls(files):
    """{file: {other file: symbols}}"""
    lists = re.findall(r'\bBlockDriver (bdrv_[^;(]+);', (SOURCE / 'block/drivers.h').read_text(encoding='utf-8'))
    tables = set(re.findall(r'\w+', ' '.join(lists)))
    known = symbols(files)
    home = {symbol: name for name, (defined, _) in known.items() for symbol in defined - tables}
    graph = {name: collections.defaultdict(set) for name in known}
    for name, (_, wanted) in known.items():
        for symbol in wanted & home.keys():
            graph[name][home[symbol]].add(symbol)
    return graph


def circles(graph, allowed):
    """Sets of files each of which leads to all others; pairs that are @allowed lead nowhere"""
    arrows = {name: {to for to in others if frozenset((name, to)) not in allowed} for name, others in graph.items()}

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            new = arrows[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    reached = {name: reach(name) for name in arrows}
    found = {frozenset(other for other in seen if name in reached[other]) for name, seen in reached.items() if name in seen}
    return sorted(sorted(circle) for circle in found)


def allowed_rows():
    """The table of block/README.md: files that may call each other; names are relative to block/, or to the source"""
    text = (SOURCE / 'block/README.md').read_text(encoding='utf-8')
    table = re.search(r'^\| files that call each other \|.*?^(?!\|)', text + '\n\n', re.S | re.M)
    rows = re.findall(r'^\| (`[^|]*`) \| [^|]*\w[^|]*\|$', table[0] if table else '', re.M)
    return [sorted(name if (SOURCE / name).exists() else f'block/{name}' for name in re.findall(r'`([\w./-]+)`', row))
            for row in rows]


def main():
    graph = calls(objects())
    rows = allowed_rows()
    found = circles(graph, {frozenset(pair) for row in rows for pair in itertools.combinations(row, 2)})
    idle = [row for row in rows if row not in circles({name: graph.get(name, {}).keys() & set(row) for name in row}, set())]
    print('1..2')
    print(f'{"not " if found else ""}ok 1 - no file leads back to itself through those that it calls')
    for circle in found:
        print(f'# a circle of {len(circle)}: {" ".join(circle)}')
        for name in circle:
            for other in sorted(graph[name].keys() & set(circle) - {name}):
                print(f'#   {name} -> {other}: {" ".join(sorted(graph[name][other]))}')
    print(f'{"not " if idle else ""}ok 2 - files that block/README.md lets call each other do')
    for row in idle:
        print(f'# not a circle: {" ".join(row)}')
    sys.exit(1 if found or idle else 0)


main()
