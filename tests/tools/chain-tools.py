# chain-tools.py - miniblk-img on chains: commit, rebase, info --backing-chain, convert -B
# SPDX-License-Identifier: MIT
"""Ours on VHDs beside qemu-img's on qcow2 with the same disks in them; what others read of what we leave behind;
what is left when we are killed."""

import collections
import contextlib
import fcntl
import functools
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import vhd
from harness import (IMG, IO, Failure, Holder, Skip, Suite, check, environment, equal, fails, info, is_sanitized,
                     need, run, works)
from readers import DISK, READERS, create_child, make_chain, read_ours, read_second
from twins import PROGRESS, compare, copy_sparse, is_untouched, lines_of
from vhd import MIB, Locator, locator, utf16

suite = Suite(__file__)

# Beside qemu-img. {f} is the format, {x} the suffix, {here} the folder

DISKS = {                       # name: parent, writes
    'base': (None, '-P 1 0 2M'), 'mid': ('base', '-P 2 512k 512k'), 'top': ('mid', '-P 3 1M 512k'),
    'other': ('base', '-P 5 0 512k; -z 1536k 256k'), 'new': (None, '-P 1 0 2M; -P 4 1536k 256k'),
    'gone': (None, '-P 1 0 4k'), 'lost': ('gone', '-P 6 0 512k'),
    'sub/low': (None, '-P 7 0 512k'), 'sub/high': ('low', '-P 8 512k 512k'),
}
READABLE = ('base', 'mid', 'top', 'other', 'new', 'sub/high')


def make_disks(folder, img, io, form, suffix, options):
    (folder / 'sub').mkdir(parents=True)
    for name, (parent, writes) in DISKS.items():
        path = f'{folder}/{name}.{suffix}'
        if parent:
            works(img, 'create', '-q', '-f', form, *options, '-b', f'{parent}.{suffix}', '-F', form, path)
        else:
            works(img, 'create', '-q', '-f', form, *options, path, '2M')
        works(io, '-f', form, *[word for write in writes.split('; ') for word in ('-c', 'write ' + write)], path)
    (folder / f'gone.{suffix}').unlink()
    (folder / 'a.raw').write_bytes(bytes(2 * MIB))


@functools.cache
def disks():
    """The same for all tests; the folder goes with the object"""
    need('qemu-img', 'qemu-io')
    folder = tempfile.TemporaryDirectory()
    path = pathlib.Path(folder.name)
    make_disks(path / 'made/q', 'qemu-img', 'qemu-io', 'qcow2', 'qcow2', ['-o', 'cluster_size=512k'])
    make_disks(path / 'made/m', IMG, IO, 'vpc', 'vhd', ['-o', 'block_size=512k'])
    (path / 'made').rename(path / 'kept')       # absolute names lead nowhere
    return folder


def twins(folder):
    for name in 'qm':
        kept = pathlib.Path(f'{disks().name}/kept/{name}')
        for sub in '', 'sub':
            (folder / name / sub).mkdir()
        for path in kept.rglob('*.*'):
            copy_sparse(path, folder / name / path.relative_to(kept))
    return folder / 'q', folder / 'm'


Sides = collections.namedtuple('Sides', 'img form suffix')
THEIRS, OURS = Sides('qemu-img', 'qcow2', 'qcow2'), Sides(IMG, 'vpc', 'vhd')
SAME_NAMES = [(r'\.(qcow2|vhd)\b', '.img'), (r'\b(qcow2|vpc)\b', 'fmt'), (r'/[qm]/', '/x/'),
              (r"^tool-img: warning: '[^']*' is a child of .*\n", '')]      # QEMU looks for no other children


def run_line(folder, side, line):
    """"FOLDER: COMMAND" is run in that folder"""
    where, _, command = line.rpartition(': ')
    words = shlex.split(command.format(f=side.form, x=side.suffix, here=folder))
    return run(side.img, *words, cwd=folder / where)


def contents(folder, side, name, form=None):
    """What a guest sees; None if it can't be read"""
    out = folder / 'contents'
    done = run(side.img, 'convert', '-f', form or side.form, '-O', 'raw', folder / f'{name}.{side.suffix}', out)
    return out.read_bytes() if done.returncode == 0 else None


def is_changed(folder, side, name):
    """Was this image written to, or one below it as the disks were made?"""
    while name in DISKS:
        path = pathlib.Path(f'{name}.{side.suffix}')
        if not (folder / path).exists() or not is_untouched(folder / path, f'{disks().name}/kept/{folder.name}/{path}'):
            return True
        parent = DISKS[name][0]
        name = parent and os.path.normpath(path.parent / parent)
    return name is not None


def same_contents(theirs, ours, names=READABLE):
    for name in names:
        if not is_changed(theirs, THEIRS, name) and not is_changed(ours, OURS, name):
            continue
        expected, found = contents(theirs, THEIRS, name), contents(ours, OURS, name)
        check(found == expected, f'{name} does not hold the same'
              + (': ours cannot be read' if found is None else ': theirs cannot' if expected is None else ''))


def test_same(folder, line, filters=(), made=()):
    """@made: images that the line makes"""
    theirs, ours = twins(folder)
    expected, found = run_line(theirs, THEIRS, line), run_line(ours, OURS, line)
    compare(found, expected, [*SAME_NAMES, *filters])
    same_contents(theirs, ours, READABLE + tuple(made))


REASON = [(r'^(tool-img: Could not [^:]*: ).*(\nIs another .*)?', r'\1…')]      # our reasons are our own
OPENING = [(r"(open new backing file|change the backing file to) '(\S*)':.*(\nIs another .*)?", r"take '\2'")]
FIRST_ONE = [(r"Could not open '(lost|gone)", "Could not open '…")]     # they open one after the other
THEIR_PROBE = [(r'^WARNING: Image format(.*\n){3}', '')]

for line in lines_of('''
    commit -f {f} top.{x}
    commit -q -f {f} top.{x}
    commit -d -f {f} top.{x}
    commit -t none -f {f} top.{x}
    commit -t writethrough -f {f} top.{x}
    commit -q -p -f {f} top.{x}
    commit -f {f} -b mid.{x} top.{x}
    commit -f {f} -b base.{x} top.{x}
    commit -d -f {f} -b base.{x} top.{x}
    commit -f {f} -b ./base.{x} top.{x}
    commit -f {f} -b sub/../base.{x} top.{x}
    commit -f {f} -b {here}/base.{x} top.{x}
    commit -f {f} -b top.{x} top.{x}
    commit -f {f} -b nosuch.{x} top.{x}
    commit -f {f} -b a.raw top.{x}
    commit -f {f} -b other.{x} top.{x}
    commit -f {f} -b base.{x} base.{x}
    commit -f {f} base.{x}
    commit -f {f} other.{x}
    commit -f raw a.raw
    commit -f {f} sub/high.{x}
    commit -f {f} -b low.{x} sub/high.{x}
    commit -f {f} -b {here}/sub/low.{x} sub/high.{x}
    sub: commit -f {f} -b base.{x} ../top.{x}
    sub: commit -f {f} ../top.{x}
    commit
    commit a b
    commit -f {f} nosuch.{x}
    commit -f nosuch top.{x}
    commit -t nosuch -f {f} top.{x}
    commit --image-opts driver={f},file.filename=top.{x}
    commit --image-opts -b base.{x} driver={f},file.filename=top.{x}
    commit -f {f} --image-opts driver={f},file.filename=top.{x}
    commit --nosuch top.{x}
    commit -U -f {f} top.{x}
    commit --force-share -f {f} top.{x}
    rebase -f {f} -b base.{x} -F {f} top.{x}
    rebase -f {f} -b new.{x} -F {f} top.{x}
    rebase -f {f} -b mid.{x} -F {f} top.{x}
    rebase -f {f} -b other.{x} -F {f} top.{x}
    rebase -f {f} -b {here}/new.{x} -F {f} top.{x}
    rebase -f {f} -b sub/high.{x} -F {f} top.{x}
    rebase -q -f {f} -b new.{x} -F {f} top.{x}
    rebase -q -p -f {f} -b new.{x} -F {f} top.{x}
    rebase -U -f {f} -b new.{x} -F {f} top.{x}
    rebase -t none -T writeback -f {f} -b new.{x} -F {f} top.{x}
    rebase -T none -f {f} -b new.{x} -F {f} top.{x}
    rebase -t unsafe -T directsync -f {f} -b new.{x} -F {f} top.{x}
    rebase -f {f} -b "" top.{x}
    rebase -f {f} -b "" -F {f} top.{x}
    rebase -f {f} -b "" base.{x}
    rebase -f {f} -b new.{x} -F {f} base.{x}
    rebase -u -f {f} -b new.{x} -F {f} top.{x}
    rebase -u -f {f} -b mid.{x} -F {f} top.{x}
    rebase -u -f {f} -b "" top.{x}
    rebase -u -f {f} top.{x}
    rebase -u -p -q -f {f} -b new.{x} -F {f} top.{x}
    rebase -f {f} top.{x}
    rebase
    rebase -b x
    rebase -b x a b
    rebase -f {f} -b new.{x} -F nosuch top.{x}
    rebase -u -f {f} -b new.{x} -F nosuch top.{x}
    rebase -f {f} -b new.{x} -F {f} nosuch.{x}
    rebase -f nosuch -b new.{x} -F {f} top.{x}
    rebase -t nosuch -f {f} -b new.{x} -F {f} top.{x}
    rebase -T nosuch -f {f} -b new.{x} -F {f} top.{x}
    rebase --image-opts -b new.{x} -F {f} driver={f},file.filename=top.{x}
    rebase --image-opts -f {f} -b new.{x} -F {f} driver={f},file.filename=top.{x}
    rebase --nosuch -b new.{x} top.{x}
    sub: rebase -f {f} -b new.{x} -F {f} ../top.{x}
    rebase -f {f} -b low.{x} -F {f} sub/high.{x}
    info --backing-chain
    info --backing-chain nosuch.{x}
    info --backing-chain --output=xml top.{x}
    info --backing-chain -f raw a.raw
    info --backing-chain -f raw --output=json zero.raw
    compare -f {f} -F {f} top.{x} mid.{x}
    compare -f {f} -F {f} top.{x} top.{x}
    compare -f {f} -F {f} base.{x} other.{x}
    compare -f {f} -F raw top.{x} a.raw
    convert -O raw -B base.{x} -F {f} a.raw new.raw
    convert -O raw -F {f} a.raw new.raw
    convert --target-is-zero -f {f} -O {f} -B base.{x} -F {f} top.{x} made.{x}
    create -f {f} -b base.{x} -F {f} base.{x}
    create -f raw -b base.{x} -F {f} made.raw
'''):
    suite.test(f'beside qemu-img: {line}', test_same, line)

for line, filters in [
    ('commit -p -f {f} top.{x}', PROGRESS),
    ('rebase -p -f {f} -b new.{x} -F {f} top.{x}', PROGRESS),
    ('rebase -p -f {f} -b "" top.{x}', PROGRESS),
    ('rebase -p -u -f {f} -b new.{x} -F {f} top.{x}', PROGRESS),
    ('commit a.raw', THEIR_PROBE),
    ('commit -f {f} lost.{x}', REASON),
    ('commit -f raw top.{x}', []),
    ('rebase -f {f} -b new.{x} -F {f} lost.{x}', REASON),
    ('rebase -f {f} -b nosuch.{x} -F {f} top.{x}', OPENING),
    ('rebase -f {f} -b top.{x} -F {f} top.{x}', OPENING),
    ('rebase -f {f} -b top.{x} -F {f} mid.{x}', OPENING),
    ('rebase -f {f} -b lost.{x} -F {f} top.{x}', OPENING),
    ('rebase -f raw -b new.{x} -F {f} a.raw', OPENING),
    ('rebase -u -f raw -b new.{x} -F {f} a.raw', OPENING),
    ('info --backing-chain -f {f} lost.{x}', [*REASON, *FIRST_ONE]),
    ('map -f {f} nosuch.{x}', []),
]:
    suite.test(f'beside qemu-img: {line}', test_same, line, filters)

for line in lines_of('''
    convert -f {f} -O raw top.{x} made.{x}
    convert -f {f} -O {f} top.{x} made.{x}
    convert -f {f} -O {f} -B mid.{x} -F {f} top.{x} made.{x}
    convert -f {f} -O {f} -o backing_file=mid.{x},backing_fmt={f} top.{x} made.{x}
    convert -f {f} -O {f} -B ./mid.{x} -F {f} top.{x} sub/../made.{x}
    convert -f {f} -O {f} -B base.{x} -F {f} mid.{x} made.{x}
    convert -f {f} -O {f} -B base.{x} -F {f} other.{x} made.{x}
    sub: convert -f {f} -O {f} -B mid.{x} -F {f} ../top.{x} ../made.{x}
'''):
    if '-O raw' in line:
        suite.test(f'beside qemu-img: {line}', lambda folder, line: flatten(folder, line), line)
    else:
        suite.test(f'beside qemu-img: {line}', test_same, line, (), ['made'])


def flatten(folder, line):
    theirs, ours = twins(folder)
    compare(run_line(ours, OURS, line), run_line(theirs, THEIRS, line), SAME_NAMES)
    check((ours / 'made.vhd').read_bytes() == (theirs / 'made.qcow2').read_bytes(), 'not the same bytes')


def merged_map(folder, side, name):
    """Without the places, which make lines of their own"""
    lines = []
    for line in json.loads(run_line(folder, side, f'map --output=json -f {{f}} {name}.{{x}}').stdout):
        line = {key: line[key] for key in ('start', 'length', 'depth', 'zero', 'data')}
        if lines and all(lines[-1][key] == line[key] for key in ('depth', 'zero', 'data')):
            line = {**line, 'start': lines[-1]['start'], 'length': lines.pop()['length'] + line['length']}
        lines.append(line)
    return lines


def test_map(folder, name, after):
    theirs, ours = twins(folder)
    for folder, side in ((theirs, THEIRS), (ours, OURS)):
        equal(run_line(folder, side, after).returncode if after else 0, 0, f'exit status of {after}')
    equal(merged_map(ours, OURS, name), merged_map(theirs, THEIRS, name), 'map')


for name, after in (('top', ''), ('mid', ''), ('sub/high', ''),
                    ('top', 'commit -d -f {f} -b base.{x} top.{x}'),
                    ('top', 'rebase -f {f} -b "" top.{x}'),
                    ('made', 'convert -f {f} -O {f} -B mid.{x} -F {f} top.{x} made.{x}')):
    suite.test(f'beside qemu-img: map of {name}{after and ", after " + after}', test_map, name, after)


# info --backing-chain

COMMON = ('backing-filename-format', 'virtual-size', 'filename', 'format', 'full-backing-filename',
          'backing-filename', 'dirty-flag')


def same_image_facts(found, expected):
    equal(list(found), list(expected), 'keys, in order')
    for key in COMMON:
        texts = [re.sub(r'\b(qcow2|vhd|vpc)\b', 'x', str(facts.get(key))) for facts in (found, expected)]
        texts = [re.sub('/[qm]/', '/x/', text) for text in texts]
        equal(*texts, key)


def test_chain_json(folder, line):
    theirs, ours = twins(folder)
    outputs = [run_line(*where, 'info --output=json ' + line).stdout for where in ((ours, OURS), (theirs, THEIRS))]
    found, expected = (json.loads(text) for text in outputs)
    for text, facts in zip(outputs, (found, expected)):
        equal(text, json.dumps(facts, indent=4) + '\n', 'layout')
    if isinstance(expected, dict):
        found, expected = [found], [expected]
    equal(len(found), len(expected), 'number of images')
    for pair in zip(found, expected):
        same_image_facts(*pair)


def common_lines(text):
    """Without what formats differ in"""
    return re.sub(r'^(    .*|disk size: .*|cluster_size: .*)\n', '', text, flags=re.M)


def test_chain_human(folder, line):
    theirs, ours = twins(folder)
    found, expected = run_line(ours, OURS, 'info ' + line), run_line(theirs, THEIRS, 'info ' + line)
    found.stdout, expected.stdout = common_lines(found.stdout), common_lines(expected.stdout)
    compare(found, expected, SAME_NAMES)


for line in lines_of('''
    -f {f} --backing-chain top.{x}
    -f {f} --backing-chain mid.{x}
    -f {f} --backing-chain base.{x}
    -f {f} --backing-chain {here}/top.{x}
    -f {f} --backing-chain sub/high.{x}
    -f {f} --backing-chain -U top.{x}
    --image-opts --backing-chain driver={f},file.filename=top.{x}
    --backing-chain base.{x}
    -f {f} top.{x}
    top.{x}
    -f {f} {here}/top.{x}
    -f {f} sub/high.{x}
    -f {f} lost.{x}
    lost.{x}
'''):
    suite.test(f'beside qemu-img: info --output=json {line}', test_chain_json, line)
    suite.test(f'beside qemu-img: info {line}', test_chain_human, line)


def child_with(*locators, name='', **more):
    return vhd.differencing(utf16(name, 'be'), **{'size': 65536, 'blocks': {}, 'block_size': 16384,
                                                  'locators': locators, 'uuid': bytes(15) + b'\1', **more})


def test_names(folder, locators, name, backing, full, own, more=None):
    """@backing and @full: what info calls the parent; @own: of its own facts, those about the parent"""
    (folder / 'vm').mkdir()
    (folder / 'vm/child.vhd').write_bytes(child_with(*locators, name=name, **(more or {})))
    found = json.loads(works(IMG, 'info', '--output=json', 'vm/child.vhd', cwd=folder))
    equal((found.get('backing-filename'), found.get('full-backing-filename')), (backing, full), 'names')
    data = found['format-specific']['data']
    equal({key.removeprefix('parent-'): data[key] for key in data if key.startswith('parent-')},
          {'uuid': '10111213-1415-1617-1819-1a1b1c1d1e1f', **own}, 'own facts')


FULL, HARD = r'C:\vm\base.vhd', 'Größe 基 𝄞.vhd'
for what, *row in [
    ('Windows 10', [locator('W2ku', FULL), locator('W2ru', r'.\base.vhd')], FULL, 'base.vhd', 'vm/base.vhd',
     {'name': FULL, 'w2ku': FULL, 'w2ru': r'.\base.vhd'}),
    ('a folder above', [locator('W2ru', r'..\a\base.vhd')], '', '../a/base.vhd', 'a/base.vhd',
     {'w2ru': r'..\a\base.vhd'}),
    ('MacX comes before W2ku', [locator('W2ku', FULL), locator('MacX', 'file://./a%20b.vhd')], '', 'a b.vhd',
     'vm/a b.vhd', {'w2ku': FULL, 'macx': 'file://./a%20b.vhd'}),
    ('W2ku only', [locator('W2ku', FULL)], '', 'C:/vm/base.vhd', 'vm/base.vhd', {'w2ku': FULL}),
    ('only in the header', [], HARD, HARD, 'vm/' + HARD, {'name': HARD}),
    ('none at all', [], '', None, None, {}),
    ('a URL of another kind', [locator('MacX', 'http://a/b.vhd')], '', None, None, {'macx': 'http://a/b.vhd'}),
    ('two of a kind', [locator('W2ru', r'.\a.vhd'), locator('W2ru', r'.\b.vhd')], '', 'a.vhd', 'vm/a.vhd',
     {'w2ru': r'.\a.vhd', 'w2ru-2': r'.\b.vhd'}),
    ('a Mac alias', [Locator(b'Mac ', bytes(range(1, 100)), 512)], 'base.vhd', 'base.vhd', 'vm/base.vhd',
     {'name': 'base.vhd', 'mac': 'an alias'}),
    ('Virtual PC 5', [locator('Wi2k', FULL), locator('Wi2r', r'.\base.vhd')], '', 'base.vhd', 'vm/base.vhd',
     {'wi2k': FULL, 'wi2r': r'.\base.vhd'}),
    ('a time', [], 'b.vhd', 'b.vhd', 'vm/b.vhd', {'timestamp': '2000-01-01T00:01:00Z', 'name': 'b.vhd'},
     {'parent_timestamp': 60}),
    ('a locator that is not to be believed', [Locator(b'W2ru', utf16('.\\a.vhd'), length=600)], 'b.vhd', 'b.vhd',
     'vm/b.vhd', {'name': 'b.vhd'}),
]:
    suite.test(f'info: names of a parent: {what}', test_names, *row)


def save_base_and_child(folder, *locators, parent='base.vhd', **more):
    (folder / parent).write_bytes(vhd.dynamic(65536, {0: b'B'}, 16384))
    path = folder / 'child.vhd'
    path.write_bytes(child_with(*locators, **more))
    return path


@suite.fact
def drive_map(folder):
    """info: where a drive letter leads"""
    save_base_and_child(folder, locator('W2ku', FULL))
    found = info(f'driver=vpc,file.filename={folder}/child.vhd,drives=C={folder}/c', '--image-opts')
    equal(found['full-backing-filename'], f'{folder}/c/vm/base.vhd', 'place')


@suite.fact
def named_parent(folder):
    """info: a parent that the user names"""
    save_base_and_child(folder, locator('W2ru', r'.\gone.vhd'))
    options = f'driver=vpc,file.filename={folder}/child.vhd,parent={folder}/base.vhd'
    for chain in ([], ['--backing-chain']):
        found = json.loads(works(IMG, 'info', '--output=json', *chain, '--image-opts', options))
        found = found[0] if chain else found
        equal((found['backing-filename'], found['full-backing-filename']), ('gone.vhd', f'{folder}/base.vhd'), 'names')
    human = works(IMG, 'info', '--image-opts', options)
    check(f'backing file: gone.vhd (actual path: {folder}/base.vhd)\n' in human, f'no such line in {human}')


@suite.fact
def found_elsewhere(folder):
    """info --backing-chain: where the parent was found"""
    (folder / 'a').mkdir()
    save_base_and_child(folder, locator('W2ku', FULL), name='x', parent='a/base.vhd')
    options = f'driver=vpc,file.filename={folder}/child.vhd,parent-search={folder}/a'
    found = json.loads(works(IMG, 'info', '--output=json', '--backing-chain', '--image-opts', options))
    equal([image['filename'] for image in found], [f'{folder}/child.vhd', f'{folder}/a/base.vhd'], 'files')
    equal(found[0]['full-backing-filename'], f'{folder}/a/base.vhd', 'place')


@suite.fact
def other_case(folder):
    """info --backing-chain: a parent whose name is in other case"""
    path = save_base_and_child(folder, locator('W2ru', r'.\BASE.vhd'))
    equal(info(path)['full-backing-filename'], f'{folder}/BASE.vhd', 'place, unseen')
    found = json.loads(works(IMG, 'info', '-f', 'vpc', '--output=json', '--backing-chain', path))
    equal(found[0]['full-backing-filename'], f'{folder}/base.vhd', 'place')


@suite.fact
def no_folder_is_listed(folder):
    """info without --backing-chain lists no folders"""
    path = save_base_and_child(folder, locator('W2ru', r'.\sub\BASE.vhd'))
    (folder / 'sub').mkdir()
    os.utime(folder / 'sub', (1, time.time()))
    info(path)
    info(path, '-f', 'vpc')
    equal(os.stat(folder / 'sub').st_atime, 1, 'when the folder was listed')
    os.listdir(folder / 'sub')
    if os.stat(folder / 'sub').st_atime == 1:
        raise Skip('the file system does not note when a folder is listed')


@suite.fact
def format_of_raw(folder):
    """info: a parent without a unique id may be raw"""
    path = save_base_and_child(folder, name='base.raw', parent_uuid=bytes(16))
    check('backing-filename-format' not in info(path), 'a format is named')
    (folder / 'base.raw').write_bytes(bytes(65536))
    options = f'driver=vpc,file.filename={path},backing.driver=raw'
    found = json.loads(works(IMG, 'info', '--output=json', '--backing-chain', '--image-opts', options))
    equal((found[0]['backing-filename-format'], found[1]['format']), ('raw', 'raw'), 'formats')


@suite.fact
def probed(folder):
    """info --backing-chain: not of an image whose format was guessed"""
    path = save_base_and_child(folder, locator('W2ru', r'.\base.vhd'))
    path = path.rename(folder / 'child.img')
    error = fails(IMG, 'info', '--backing-chain', path)
    check('only guessed' in error and 'name the driver' in error, f'error "{error}"')
    equal(info(path)['backing-filename'], 'base.vhd', 'name')
    for line in ('commit', 'rebase -b base.vhd', 'map'):
        error = fails(IMG, *line.split(), path, cwd=folder)
        check('only guessed' in error, f'{line} says "{error}"')


@suite.fact
def parent_is_left_alone(folder):
    """info without --backing-chain opens no parent"""
    path = save_base_and_child(folder, locator('W2ru', r'.\base.vhd'))
    opened = []
    signal.signal(signal.SIGIO, lambda *_: opened.append(True))
    with open(folder / 'base.vhd', 'r+b') as parent:
        try:
            fcntl.fcntl(parent, fcntl.F_SETLEASE, fcntl.F_WRLCK)    # a signal when somebody opens it
        except OSError:
            raise Skip('no leases here') from None
        works(IMG, 'info', '-f', 'vpc', path)
        works(IMG, 'info', path)
        check(not opened, 'the parent was opened')
        run(IMG, 'info', '-f', 'vpc', '--backing-chain', path)
        check(opened, 'the test does not see when a file is opened')


EVIL = 'a\x1b]0;gotcha\x07\x9b31m\nimage: b\x7f.vhd'


@suite.fact
def escapes(folder):
    """what an image says does not control the terminal"""
    path = save_base_and_child(folder, locator('W2ru', EVIL), name=EVIL)
    text = works(IMG, 'info', path)
    check(not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f]', text), f'control characters in {text!r}')
    equal(text.count('\nimage: '), 0, 'lines that the image made up')
    equal(info(path)['format-specific']['data']['parent-w2ru'], EVIL, 'name in JSON')
    for command in ('map', 'info --backing-chain', 'commit'):
        error = fails(IMG, *command.split(), '-f', 'vpc', path)
        check('gotcha' in error, f'{command} does not name the parent: {error!r}')
        check(not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f]', error), f'control characters in {error!r}')


# check --backing-chain

def three_images(folder, spoil=None, name='base.vhd'):
    """top.vhd, mid.vhd and base.vhd, and the path of the first. @spoil: what is done to the one called @name"""
    ids = {'base.vhd': b'b' * 16, 'mid.vhd': b'm' * 16, 'top.vhd': b't' * 16}
    names, parent = ['base.vhd', 'mid.vhd', 'top.vhd'], None
    for own in names:
        common = {'size': 65536, 'blocks': {0: own[:1].encode()}, 'block_size': 16384, 'uuid': ids[own]}
        data = vhd.dynamic(**common) if not parent else vhd.differencing(
            utf16(parent, 'be'), ids[parent], locators=[locator('W2ru', '.\\' + parent)], **common)
        if own == name and spoil:
            spoil(data)
        (folder / own).write_bytes(data)
        parent = own
    return folder / 'top.vhd'


def check_chain(path, *options):
    """Exit status; of each image in JSON its name and codes, or None if it could not be checked; standard error"""
    done = run(IMG, 'check', '-f', 'vpc', '--backing-chain', '--output=json', *options, path)
    found = {pathlib.Path(one['filename']).name: [f['code'] for f in one['findings'] if f['class'] != 'note']
             if 'findings' in one else None for one in json.loads(done.stdout)}
    return done.returncode, found, done.stderr


SPOILT = {                      # what is done, to which; exit status, codes of each, what is said besides
    'a sound chain': (None, '', 0, {'top.vhd': [], 'mid.vhd': [], 'base.vhd': []}, ''),
    'a BAT entry of the last parent is wrong': (lambda data: data.change_bat(2, 0x7fff), 'base.vhd', 2,
                                                {'top.vhd': [], 'mid.vhd': [], 'base.vhd': ['B2']}, ''),
    'a BAT entry of the parent is wrong': (lambda data: data.change_bat(2, 0x7fff), 'mid.vhd', 2,
                                           {'top.vhd': [], 'mid.vhd': ['B2'], 'base.vhd': []}, ''),
    'the last parent has room that is not used': (lambda data: data.insert_before_tail(bytes(65536)), 'base.vhd', 3,
                                                  {'top.vhd': [], 'mid.vhd': [], 'base.vhd': ['G1']}, ''),
    'the header of the last parent is gone': (lambda data: data.change(512, bytes(1024)), 'base.vhd', 2,
                                              {'top.vhd': ['L2'], 'mid.vhd': ['L2'], 'base.vhd': ['H1']}, 'no dynamic header'),
    'the header of the parent is gone': (lambda data: data.change(512, bytes(1024)), 'mid.vhd', 2,
                                         {'top.vhd': ['L2'], 'mid.vhd': ['H1']}, 'no dynamic header'),
    'the footers of the last parent are gone': (
        lambda data: data.change(0, bytes(512)).change(len(data) - 512, bytes(512)), 'base.vhd', 2,
        {'top.vhd': ['L2'], 'mid.vhd': ['L2'], 'base.vhd': ['F2', 'F2']}, 'this is no VHD'),
    'the last parent is another': (lambda data: data.change_footer(uuid=b'x' * 16), 'base.vhd', 2,
                                   {'top.vhd': ['L2'], 'mid.vhd': ['L3']}, 'unique id'),
}


def test_check_chain(folder, spoil, name, status, codes, said):
    path = three_images(folder, spoil, name)
    found = check_chain(path)
    equal(found[:2], (status, codes), 'exit status, and findings')
    check(said in found[2] and (said or not found[2]), f'standard error: {found[2]}')
    text = run(IMG, 'check', '-f', 'vpc', '--backing-chain', path)
    equal(text.returncode, status, 'exit status')
    equal([pathlib.Path(line[7:]).name for line in text.stdout.splitlines() if line.startswith('image: ')], list(codes),
          'order of images')
    equal(run(IMG, 'check', '-q', '-f', 'vpc', '--backing-chain', path).stdout, '', 'what is printed with -q')


for name, row in SPOILT.items():
    suite.test(f'check --backing-chain: {name}', test_check_chain, *row)


@suite.fact
def check_chain_missing(folder):
    """check --backing-chain: a parent is missing"""
    path = three_images(folder)
    (folder / 'base.vhd').unlink()
    status, found, said = check_chain(path)
    equal((status, found), (2, {'top.vhd': ['L2'], 'mid.vhd': ['L2']}), 'exit status, and findings')
    check('could not find the parent' in said, f'standard error: {said}')


@suite.fact
def check_chain_loop(folder):
    """check --backing-chain: a chain that leads to itself comes to an end"""
    path = three_images(folder)
    data = vhd.differencing(utf16('mid.vhd', 'be'), b'm' * 16, size=65536, blocks={}, block_size=16384, uuid=b'b' * 16,
                            locators=[locator('W2ru', '.\\mid.vhd')])
    (folder / 'base.vhd').write_bytes(data)
    status, found, _ = check_chain(path)
    equal((status, list(found)), (2, ['top.vhd', 'mid.vhd', 'base.vhd']), 'exit status, and images')


@suite.fact
def check_chain_raw(folder):
    """check --backing-chain: a raw parent has nothing to check, and makes nothing worse"""
    (folder / 'base.raw').write_bytes(bytes(65536))
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'base.raw', '-F', 'raw', folder / 'top.vhd')
    options = f'driver=vpc,file.filename={folder}/top.vhd,backing.driver=raw'
    done = run(IMG, 'check', '--backing-chain', '--output=json', '--image-opts', options)
    found = json.loads(done.stdout)
    equal((done.returncode, len(found), 'error' in found[1]), (0, 2, True), 'exit status, images')


@suite.fact
def check_chain_alone(folder):
    """check --backing-chain: an image without parents, one that is no VHD, and with -r"""
    three_images(folder)
    equal(check_chain(folder / 'base.vhd')[:2], (0, {'base.vhd': []}), 'exit status, and findings')
    (folder / 'raw').write_bytes(bytes(65536))
    equal(check_chain(folder / 'raw')[:2], (1, {'raw': None}), 'exit status, and findings')
    check('one image' in fails(IMG, 'check', '-r', 'all', '--backing-chain', '-f', 'vpc', folder / 'top.vhd'), 'message')


@suite.fact
def check_hints_at_chain(folder):
    """check of a child whose parent is damaged or missing names check --backing-chain, and the parent"""
    path = three_images(folder, lambda data: data.change(512, bytes(1024)), 'mid.vhd')
    for _ in range(2):
        done = run(IMG, 'check', '-f', 'vpc', path)
        equal(done.returncode, 2, 'exit status')
        check('check --backing-chain' in done.stdout and 'mid.vhd' in done.stdout, f'no hint: {done.stdout}')
        (folder / 'mid.vhd').unlink(missing_ok=True)


@suite.fact
def check_chain_inside(folder):
    """check --backing-chain looks at nothing outside of parent-root"""
    (folder / 'in').mkdir()
    three_images(folder, lambda data: data.change(512, bytes(1024)), 'mid.vhd')
    data = vhd.differencing(b'', b'm' * 16, size=65536, blocks={}, block_size=16384, uuid=b't' * 16,
                            locators=[locator('W2ru', '..\\mid.vhd')])
    (folder / 'in/top.vhd').write_bytes(data)
    options = f'driver=vpc,file.filename={folder}/in/top.vhd'
    for more, count in (('', 2), (f',parent-root={folder}/in', 1)):
        done = run(IMG, 'check', '--backing-chain', '--output=json', '--image-opts', options + more)
        equal((done.returncode, len(json.loads(done.stdout))), (2, count), 'exit status, images')


# A file may be called so, and on a terminal it would do all sorts of things
VILE = 'p\x1b]0;owned\x07\x1b[31m\x9b31m\u202egnp\u2066\u200f\u2028\x7f\r\x08\nminiblk-img: forged.vhd'
DO_MORE = re.compile('[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]')

IMG_COMMANDS = [
    'info', 'info --output=json', 'info --backing-chain', 'info --backing-chain --output=json',
    'map', 'map --output=json',
    'check', 'check --output=json', 'check -r all', 'check --backing-chain', 'check --backing-chain --output=json',
    'compare {} {}', 'compare {} other.vhd', 'convert -O raw {} out.raw', 'convert -p -O vpc {} out.vhd',
    'convert --salvage -O raw {} out.raw', 'convert -O vpc -B {} other.vhd out.vhd', 'dd -O raw if={} of=out.raw',
    'measure -O vpc', 'measure --output=json -O vpc', 'resize {} +1M', 'rebase -u -F vpc -b other.vhd',
    'rebase -F vpc -b other.vhd', 'rebase -F vpc -b {}', 'commit', 'commit -d', 'snapshot -l', 'snapshot -c x',
    'amend -o size=4M', 'bitmap --add {} x', 'bench -c 2', 'bench -w -c 2', 'create -F vpc -b {} out.vhd',
]
IO_COMMANDS = ['map', 'info', 'length', 'alloc 0', 'read -v 0 512', 'read -P 1 0 64k', 'write 0 64k', 'write -z 0 64k',
               'aio_read 0 512', 'discard 0 64k', 'flush', 'truncate 4M', 'reopen -r', 'open image.vhd']


def is_tame(command, output):
    """Each character is one that a terminal only shows, and no line is one that an image made up"""
    text = output.replace(b'\r', b'') if '-p' in command.split() else output
    try:
        found = DO_MORE.search(text.decode())
    except UnicodeDecodeError as error:
        raise Failure(f'{command}: {error} in {output!r}') from None
    check(not found, f'{command}: {found} in {output!r}')
    forged = re.search(b'(?m)^(miniblk-img|image): forged', text)
    check(not forged, f'{command}: a line that the image made up: {output!r}')


def vile_locators(name):
    """The names as each kind of locator has them"""
    url = 'file://./' + ''.join(f'%{byte:02x}' for byte in name.encode('utf-8', 'surrogatepass'))
    return [locator('W2ru', '.\\' + name), locator('W2ku', 'C:\\' + name), locator('MacX', url),
            Locator(b'Wi2r', name.encode('latin-1', 'replace')), locator('W2ru', name + '\ud800', slot=6)]


def vile_child(folder, parent):
    """@parent: what becomes of it"""
    base = vhd.dynamic(2 * MIB, {0: b'B'}, 65536, creator=b'\x1b[3m')
    if parent == 'another':
        base.change_footer(uuid=b'\x1b' * 16)
    elif parent == 'damaged':
        base.change_header(sealed=False, checksum=1).change_bat(3, 0x7fff)
    if parent != 'missing':
        (folder / VILE).write_bytes(base)
    child = vhd.differencing(utf16(VILE, 'be'), size=2 * MIB, blocks={1: b'C'}, block_size=65536,
                             creator=b'\x1b\x9b\xffm', locators=vile_locators(VILE))
    (folder / 'image.vhd').write_bytes(child)
    (folder / 'other.vhd').write_bytes(vhd.dynamic(2 * MIB, {1: b'O'}, 65536))


def test_tame(folder, parent):
    seen = 0
    for program, commands in ((IMG, IMG_COMMANDS), (IO, IO_COMMANDS)):
        for command in commands:
            vile_child(folder, parent)
            words = command.split() if '{}' in command else command.split() + ['{}']
            words = [word.format('image.vhd') for word in words]
            form = [] if program == IO or words[0] in ('dd', 'create') else ['-f', 'vpc']
            line = [*words[:1], *form, *words[1:]] if program == IMG else ['-f', 'vpc', '-c', command, 'image.vhd']
            done = run(program, *line, cwd=folder, binary=True)
            is_tame(command, done.stdout)
            is_tame(command, done.stderr)
            seen += b'owned' in done.stdout + done.stderr
    check(seen > 3, f'only {seen} commands say the name at all')


for parent in ('there', 'missing', 'another', 'damaged'):
    suite.test(f'names that do things to a terminal, the parent is {parent}: none is printed as it is', test_tame,
               parent)


@suite.fact
def vile_own_name(folder):
    """a file's own name is printed as harmless as another"""
    (folder / VILE).write_bytes(vhd.dynamic(2 * MIB, {0: b'B'}, 65536).change(0, b'J'))
    for words in (['info'], ['info', '--output=json'], ['map'], ['check'], ['check', '--output=json'],
                  ['snapshot', '-l']):
        done = run(IMG, *words, '-f', 'vpc', VILE, cwd=folder, binary=True)
        is_tame(words[0], done.stdout)
        is_tame(words[0], done.stderr)
    equal(info(folder / VILE, '-f', 'vpc')['filename'], f'{folder}/{VILE}', 'name in JSON')


@suite.fact
def one_way_out(folder):
    """the tools print by the functions of tools/common.c, and by no others"""
    direct = re.compile(r'(?<![\w.>])(?:v?f?d?printf|f?puts|f?putc|putchar|fwrite|perror|psignal|write)\s*\(')
    sources = sorted((pathlib.Path(__file__).resolve().parents[2] / 'tools').glob('*.[ch]'))
    check(len(sources) > 20, 'the sources are not there')
    for source in sources:
        for number, line in enumerate(source.read_text().splitlines(), 1):
            hit = direct.search(line.replace('format(printf', ''))
            check(source.name == 'common.c' or not hit, f'{source.name}:{number}: {line}')


# What others read afterwards. {names}: as in make_chain()

CHAIN = ['base.vhd', 'one.vhd', 'two.vhd', 'three.vhd']


@functools.cache
def made_chain(unit):
    """The same for all tests; the folder goes with the object"""
    folder = tempfile.TemporaryDirectory()
    made, kept = (pathlib.Path(folder.name) / name for name in ('made', 'kept'))
    _, twin = make_chain(made, CHAIN, unit=unit)
    made.rename(kept)           # absolute names lead nowhere
    return folder, twin


def copy_chain(folder, unit=1):
    kept, twin = made_chain(unit)
    works('cp', '-a', '--sparse=always', f'{kept.name}/kept/.', folder)
    return [folder / name for name in CHAIN], twin


def img(folder, line):
    works(IMG, *shlex.split(line), cwd=folder)


def stranger(folder, options=''):
    """A disk of its own that has little in common with the others"""
    works(IMG, 'create', '-q', '-f', 'vpc', *options.split(), folder / 'stranger.vhd', DISK)
    works(IO, '-f', 'vpc', '-c', 'write -P 99 0 1M', '-c', 'write -P 98 3M 2M', folder / 'stranger.vhd')


def move(folder, name):
    (folder / 'a/b').mkdir(parents=True)
    os.rename(folder / name, folder / 'a/b' / name)


AFTERWARDS = {          # what is done in the folder of the chain, and which files are a chain with its contents then
    'commit': (lambda f: img(f, 'commit -f vpc three.vhd'), ['base', 'one', 'two']),
    'commit: the image reads the same': (lambda f: img(f, 'commit -f vpc three.vhd'), ['base', 'one', 'two', 'three']),
    'commit -b, one further': (lambda f: img(f, 'commit -f vpc -b one.vhd three.vhd'), ['base', 'one']),
    'commit -b, to the root': (lambda f: img(f, 'commit -f vpc -b base.vhd three.vhd'), ['base']),
    'commit -b: the image reads the same': (lambda f: img(f, 'commit -f vpc -b base.vhd three.vhd'),
                                            ['base', 'one', 'two', 'three']),
    'three commits': (lambda f: [img(f, f'commit -f vpc {name}.vhd') for name in ('three', 'two', 'one')], ['base']),
    'rebase onto the grandparent': (lambda f: img(f, 'rebase -f vpc -b one.vhd three.vhd'), ['base', 'one', 'three']),
    'rebase onto the root': (lambda f: img(f, 'rebase -f vpc -b base.vhd three.vhd'), ['base', 'three']),
    'rebase onto a stranger': (lambda f: stranger(f) or img(f, 'rebase -f vpc -b stranger.vhd three.vhd'),
                               ['stranger', 'three']),
    'rebase onto a fixed stranger': (lambda f: stranger(f, '-o subformat=fixed')
                                     or img(f, 'rebase -f vpc -b stranger.vhd three.vhd'), ['stranger', 'three']),
    'rebase onto nobody': (lambda f: img(f, 'rebase -f vpc -b "" three.vhd'), ['three']),
    'rebase -u after a parent was moved': (
        lambda f: move(f, 'base.vhd') or img(f, 'rebase -u -f vpc -b a/b/base.vhd one.vhd'),
        ['a/b/base', 'one', 'two', 'three']),
    'rebase -u after the parent in the middle was moved': (
        lambda f: move(f, 'two.vhd') or img(f, 'rebase -u -f vpc -b ../../one.vhd a/b/two.vhd')
        or img(f, 'rebase -u -f vpc -b a/b/two.vhd three.vhd'), ['base', 'one', 'a/b/two', 'three']),
    'rebase, then commit': (lambda f: img(f, 'rebase -f vpc -b base.vhd three.vhd')
                            or img(f, 'commit -f vpc three.vhd'), ['base']),
    'convert': (lambda f: img(f, 'convert -f vpc -O vpc three.vhd flat.vhd'), ['flat']),
    'convert -B': (lambda f: img(f, 'convert -f vpc -O vpc -B one.vhd three.vhd out.vhd'), ['base', 'one', 'out']),
    'convert -B with a stranger': (
        lambda f: stranger(f) or img(f, 'convert -f vpc -O vpc -B stranger.vhd three.vhd out.vhd'),
        ['stranger', 'out']),
    'convert -n -B': (
        lambda f: stranger(f) or create_child(f / 'stranger.vhd', f / 'out.vhd', f'size={DISK}')
        or img(f, 'convert -n -f vpc -O vpc -B stranger.vhd three.vhd out.vhd'), ['stranger', 'out']),
}


def test_afterwards(folder, what, reader):
    action, names = AFTERWARDS[what]
    # libvhdi 20210425 takes a run of set bits to go on to the end of its byte
    _, twin = copy_chain(folder, 4096 if reader == 'libvhdi' else 1)
    action(folder)
    found = READERS[reader]([folder / f'{name}.vhd' for name in names], folder)
    equal(len(found), len(twin), 'size')
    if found != twin:
        raise Failure(f'contents differ from byte {next(i for i in range(DISK) if found[i] != twin[i])} on')


for what in AFTERWARDS:
    for reader in ['us'] if is_sanitized() else READERS:    # others read the same, and are not sanitized
        suite.test(f'{what}: read by {reader}', test_afterwards, what, reader)


@suite.fact
def qemu_reads_rebased(folder):
    """rebase onto nobody: QEMU, which looks at no bitmaps, reads the same"""
    need('qemu-img')
    paths, twin = copy_chain(folder)
    img(folder, 'rebase -f vpc -b "" three.vhd')
    works('qemu-img', 'convert', '-f', 'vpc', '-O', 'raw', paths[-1], folder / 'out')
    check((folder / 'out').read_bytes()[:DISK] == twin, 'contents differ')


@suite.fact
def shorter_stranger(folder):
    """rebase onto a parent that is shorter, or longer"""
    paths, twin = copy_chain(folder)
    for size in ('3M', '5001k', '9M'):
        (folder / 'new.vhd').unlink(missing_ok=True)
        works(IMG, 'create', '-q', '-f', 'vpc', folder / 'new.vhd', size)
        works(IO, '-f', 'vpc', '-c', 'write -P 9 0 3M', folder / 'new.vhd')
        shutil.copy(paths[-1], folder / 'four.vhd')
        img(folder, 'rebase -f vpc -b new.vhd four.vhd')
        check(read_ours([folder / 'four.vhd'], folder) == twin, f'contents differ, parent of {size}')
        check(read_second([folder / 'new.vhd', folder / 'four.vhd'], folder) == twin, 'another parser differs')


@suite.fact
def other_files(folder):
    """commit and rebase change no other file"""
    paths, _ = copy_chain(folder)
    kept = {path.name: path.read_bytes() for path in paths}
    img(folder, 'commit -f vpc -b one.vhd three.vhd')
    for name in ('base.vhd', 'two.vhd', 'three.vhd'):
        check((folder / name).read_bytes() == kept[name], f'commit changed {name}')
    kept = {path.name: path.read_bytes() for path in paths}
    img(folder, 'rebase -f vpc -b base.vhd two.vhd')
    for name in ('base.vhd', 'one.vhd', 'three.vhd'):
        check((folder / name).read_bytes() == kept[name], f'rebase changed {name}')


@suite.fact
def names_after_rebase(folder):
    """rebase: info tells of the new parent"""
    (folder / 'a').mkdir()
    make_chain(folder, ['a/base.vhd', 'b/one.vhd', 'b/two.vhd'])
    img(folder, 'rebase -f vpc -b ../a/base.vhd b/two.vhd')
    found, base = info(folder / 'b/two.vhd'), info(folder / 'a/base.vhd')
    equal((found['backing-filename'], found['full-backing-filename']), ('../a/base.vhd', f'{folder}/a/base.vhd'),
          'names')
    equal(found['format-specific']['data']['parent-uuid'], base['format-specific']['data']['uuid'], 'unique id')
    img(folder, 'rebase -f vpc -b "" b/two.vhd')
    found = info(folder / 'b/two.vhd')
    check('backing-filename' not in found, f'it has a name still: {found}')
    equal(found['format-specific']['data']['type'], 'dynamic', 'type')


@suite.fact
def rebase_missing(folder):
    """rebase -u where the old parent is gone, and the new one has to be there"""
    copy_chain(folder)
    (folder / 'two.vhd').unlink()
    check('two.vhd' in fails(IMG, 'rebase', '-f', 'vpc', '-b', 'one.vhd', 'three.vhd', cwd=folder), 'no reason')
    check('No such file' in fails(IMG, 'rebase', '-u', '-f', 'vpc', '-b', 'gone.vhd', 'three.vhd', cwd=folder),
          'no reason')
    img(folder, 'rebase -u -f vpc -b one.vhd three.vhd')
    check(read_ours([folder / 'three.vhd'], folder) is not None, 'not read')


@suite.fact
def raw_parents(folder):
    """rebase onto a raw image, and from it"""
    paths, twin = copy_chain(folder)
    (folder / 'base.raw').write_bytes(random.Random(1).randbytes(DISK))
    img(folder, 'rebase -f vpc -b base.raw -F raw three.vhd')
    options = f'driver=vpc,file.filename={paths[-1]},backing.driver=raw'
    works(IMG, 'convert', '--image-opts', '-O', 'raw', options, folder / 'out')
    check((folder / 'out').read_bytes() == twin, 'contents differ with the raw parent')
    works(IMG, 'rebase', '-b', 'base.vhd', '--image-opts', options)
    check(read_ours(paths, folder) == twin, 'contents differ with the old root')


@suite.fact
def locked_between(folder):
    """commit -b only reads what lies between, and is the only one to have what it writes to"""
    paths, twin = copy_chain(folder)
    command = [IMG, 'commit', '-q', '-f', 'vpc', '-b', 'base.vhd', 'three.vhd']
    before = paths[0].read_bytes()
    with Holder([IO, '-r', '-f', 'vpc', paths[0]], 'read 0 512\n', 'read 512/512'):
        check('lock' in fails(*command, cwd=folder), 'no word of a lock')
    check(paths[0].read_bytes() == before, 'the base was changed')
    with contextlib.ExitStack() as stack:
        for path in paths[1:]:
            stack.enter_context(Holder([IO, '-r', '-f', 'raw', path], 'read 0 512\n', 'read 512/512'))
        works(*command, cwd=folder)
    check(read_ours(paths[:1], folder) == twin, 'contents differ')


@suite.fact
def one_warning(folder):
    """commit opens twice, and warns once"""
    paths, _ = copy_chain(folder)
    os.utime(paths[2], (1, 1))
    text = run(IMG, 'commit', '-f', 'vpc', '-b', 'base.vhd', 'three.vhd', cwd=folder).stderr
    equal(text.count('was changed at another time'), 1, 'number of warnings')
    text = fails(IMG, 'commit', '-f', 'vpc', '-b', 'nosuch', 'three.vhd', cwd=folder)
    check('was changed at another time' in text, 'no warning where it fails')


@suite.fact
def two_meanings(folder):
    """commit -b: a name is meant as from the image's folder, then as from here"""
    paths, twin = make_chain(folder, ['sub/base.vhd', 'base.vhd', 'three.vhd'])
    before = paths[0].read_bytes()
    works(IMG, 'commit', '-q', '-f', 'vpc', '-b', 'base.vhd', '../three.vhd', cwd=folder / 'sub')
    check(paths[0].read_bytes() == before, 'the file in this folder was changed')
    check(read_ours(paths[:2], folder) == twin, 'contents differ')
    works(IMG, 'commit', '-q', '-f', 'vpc', '-b', './sub/base.vhd', 'three.vhd', cwd=folder)
    check(read_ours(paths[:1], folder) == twin, 'contents differ')


@suite.fact
def from_here(folder):
    """commit -b: a name as from here, which QEMU does not know"""
    paths, twin = make_chain(folder, ['vm/base.vhd', 'vm/one.vhd', 'vm/two.vhd'])
    img(folder, 'commit -f vpc -b vm/base.vhd vm/two.vhd')
    check(read_ours(paths[:1], folder) == twin, 'contents differ')


@suite.fact
def linked_base(folder):
    """commit -b: a link to the image"""
    paths, twin = copy_chain(folder)
    (folder / 'link').symlink_to('base.vhd')
    img(folder, 'commit -f vpc -b link three.vhd')
    check(read_ours(paths[:1], folder) == twin, 'contents differ')


# convert -B

def new_child(folder, *options):
    works(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', *options, 'three.vhd', 'out.vhd', cwd=folder)
    return info(folder / 'out.vhd', '-f', 'vpc')['format-specific']['data']['blocks-allocated']


@suite.fact
def differences_only(folder):
    """convert -B: nothing is written where the parent reads the same"""
    paths, _ = copy_chain(folder)
    create_child(paths[-1], folder / 'none.vhd')
    equal(new_child(folder, '-B', 'three.vhd'), 0, 'blocks')
    works(IO, '-f', 'vpc', '-c', 'write -P 1 100 1', '-c', 'write -P 1 4M 1', folder / 'none.vhd')
    works(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', '-B', 'three.vhd', 'none.vhd', 'out.vhd', cwd=folder)
    lines = json.loads(works(IMG, 'map', '-f', 'vpc', '--output=json', folder / 'out.vhd'))
    own = [(line['start'], line['length']) for line in lines if line['depth'] == 0]
    equal(own, [(0, 4096), (4 * MIB, 4096)], 'what it has of its own')


@suite.fact
def zeroes_over_data(folder):
    """convert -B, and -o backing_file: zeroes hide what the parent has"""
    (folder / 'zero.raw').write_bytes(bytes(DISK))
    stranger(folder)
    for options in (['-B', 'stranger.vhd'], ['-o', 'backing_file=stranger.vhd']):
        works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', *options, 'zero.raw', 'out.vhd', cwd=folder)
        check(not any(read_ours([folder / 'out.vhd'], folder)), f'{options}: what the parent has is seen')


@suite.fact
def parent_of_raw(folder):
    """convert -B -F raw"""
    paths, twin = copy_chain(folder)
    (folder / 'base.raw').write_bytes(twin)
    equal(new_child(folder, '-B', 'base.raw', '-F', 'raw'), 0, 'blocks')


@suite.fact
def odd_sizes(folder):
    """convert -B: a parent that is shorter, and one that is longer"""
    data = random.Random(2).randbytes(3 * MIB + 512 * 3)
    (folder / 'data.raw').write_bytes(data)
    for size in ('1M', '2561k', '5M'):
        works(IMG, 'create', '-q', '-f', 'vpc', folder / 'base.vhd', size)
        works(IO, '-f', 'vpc', '-c', 'write -P 3 0 1M', folder / 'base.vhd')
        works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-B', 'base.vhd', 'data.raw', 'out.vhd', cwd=folder)
        check(read_ours([folder / 'out.vhd'], folder) == data, f'contents differ, parent of {size}')
        equal(read_second([folder / 'base.vhd', folder / 'out.vhd'], folder), data, 'what another parser reads')


@suite.fact
def own_parent(folder):
    """convert: the output is not one of the input's parents, and not its own"""
    paths, twin = copy_chain(folder)
    for path in paths:
        for options in ([], ['-U'], ['-n']):
            before = path.read_bytes()
            error = fails(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', *options, 'three.vhd', path.name, cwd=folder)
            check('both input and output' in error, f'error "{error}"')
            check(path.read_bytes() == before, f'{path.name} was changed')
    stranger(folder)
    error = fails(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', '-B', './stranger.vhd', 'three.vhd', 'stranger.vhd',
                  cwd=folder)
    check('same filename as the backing file' in error, f'error "{error}"')
    check(read_ours(paths, folder) == twin, 'contents differ')


@suite.fact
def create_over_parent(folder):
    """create: a parent is not overwritten by its own child"""
    stranger(folder)
    before = (folder / 'stranger.vhd').read_bytes()
    (folder / 'link').symlink_to('stranger.vhd')
    for name in ('stranger.vhd', './stranger.vhd', 'link', f'{folder}/stranger.vhd'):
        error = fails(IMG, 'create', '-f', 'vpc', '-b', name, 'stranger.vhd', cwd=folder)
        check('same filename as the backing file' in error, f'error "{error}"')
    check((folder / 'stranger.vhd').read_bytes() == before, 'the parent was changed')


@suite.fact
def create_over_grandparent(folder):
    """create: nor is an image that its parent needs"""
    paths, twin = copy_chain(folder)
    (folder / 'hard').hardlink_to(paths[0])
    for name in (paths[0].name, 'hard'):
        error = fails(IMG, 'create', '-f', 'vpc', '-b', paths[-1].name, name, cwd=folder)
        check('written over it, or over an image that it needs' in error, f'error "{error}"')
    check(read_ours(paths, folder) == twin, 'contents differ')


@suite.fact
def sibling(folder):
    """commit: the parent's other children say that it was changed behind their back"""
    for name in ('base', 'a', 'b'):
        parent = [] if name == 'base' else ['-b', 'base.vhd']
        works(IMG, 'create', '-q', '-f', 'vpc', *parent, f'{name}.vhd', *([] if parent else ['2M']), cwd=folder)
        if name == 'base':
            os.utime(folder / 'base.vhd', (1.5e9, 1.5e9))
    works(IO, '-f', 'vpc', '-c', 'write -P 3 0 64k', folder / 'a.vhd')
    equal(run(IO, '-f', 'vpc', '-c', 'read -P 0 0 64k', folder / 'b.vhd').stderr, '', 'said before')
    works(IMG, 'commit', '-f', 'vpc', folder / 'a.vhd')
    said = run(IO, '-f', 'vpc', '-c', 'read -P 3 0 64k', folder / 'b.vhd').stderr
    check('was changed at another time than this image remembers' in said, f'it says "{said}"')


@suite.fact
def short_block_alone(folder):
    """rebase to nobody: a last block that is cut short stays so, and the footer behind it whole"""
    size = 3 * MIB
    parent = vhd.dynamic(size, {0: b'P', 1: b'P'})
    child = vhd.differencing(utf16('parent.vhd', 'be'), size=size, blocks={1: b'C'}, uuid=bytes(16))
    del child[-512 - MIB:-512]
    (folder / 'parent.vhd').write_bytes(parent)
    (folder / 'child.vhd').write_bytes(child)
    works(IMG, 'rebase', '-f', 'vpc', '-b', '', folder / 'child.vhd')
    works(IO, '-f', 'vpc', '-c', 'read -P 0x50 0 2M', '-c', 'read -P 0x43 2M 1M', folder / 'child.vhd')
    equal(vhd.Disk((folder / 'child.vhd').read_bytes()).problems, [], 'problems')


# Killed in the middle

KILLS = 3 if is_sanitized() else 6
BIG = 24                        # MiB


def big_chain(folder):
    """Whose last image has much to copy, in many blocks"""
    folder.mkdir()
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'block_size=64k', folder / 'base.vhd', f'{BIG}M')
    works(IO, '-f', 'vpc', '-c', f'write -P 1 0 {BIG}M', folder / 'base.vhd')
    for first, parent, child in ((0, 'base', 'one'), (1, 'one', 'two')):
        create_child(folder / f'{parent}.vhd', folder / f'{child}.vhd', 'block_size=64k')
        writes = [f'write -P {at + 2} {at}M 1000k' for at in range(first, BIG, 2)]
        works(IO, '-f', 'vpc', *[word for write in writes for word in ('-c', write)], folder / f'{child}.vhd')
    works(IMG, 'create', '-q', '-f', 'vpc', folder / 'stranger.vhd', f'{BIG}M')
    works(IO, '-f', 'vpc', '-c', f'write -P 99 0 {BIG}M', folder / 'stranger.vhd')
    works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'two.vhd', folder / 'twin.raw')


def reads_as_before(folder, name, reader):
    """@reader: another one than us, too; None: only us"""
    works(IMG, 'compare', '-f', 'vpc', '-F', 'raw', f'{name}.vhd', 'twin.raw', cwd=folder)
    if reader:
        need(reader)
        done = subprocess.run(['sh', '-c', '7z e -so -tvhd "$1.vhd" | cmp - twin.raw', 'sh', name], cwd=folder,
                              capture_output=True, text=True)
        check(done.returncode == 0, f'7-Zip reads something else in {name}: {done.stdout}{done.stderr}')


def run_and_kill(command, folder, seconds):
    """True if it was killed"""
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    error = process.communicate()[1]
    if process.returncode not in (0, -signal.SIGKILL):
        raise Failure(f'{shlex.join(command)} ends with {process.returncode}: {error}')
    return process.returncode != 0


def time_of(command, folder):
    shutil.copytree(folder, f'{folder}-timed')
    before = time.monotonic()
    works(*command, cwd=f'{folder}-timed')
    return time.monotonic() - before


def test_killed(folder, line, done):
    """@done: the image that has the contents as well when all is done. Every second copy is killed twice"""
    command, rng, killed = [IMG, *shlex.split(line)], random.Random(line), 0
    big_chain(folder / 'work')
    took = time_of(command, folder / 'work')
    for n in range(KILLS):
        place = folder / str(n)
        shutil.copytree(folder / 'work', place, copy_function=copy_sparse)
        for _ in range(1 + n % 2):
            alive = run_and_kill(command, place, took * rng.uniform(0.1, 0.9))
            killed += alive
            took *= 1.1 if alive else 0.7       # how fast it is changes, where others are at work
            reads_as_before(place, 'two', '7z' if 'commit' in line or n % 2 else None)
        works(*command, cwd=place)
        reads_as_before(place, 'two', '7z')
        reads_as_before(place, done, '7z')
        shutil.rmtree(place)
    check(killed > KILLS // 4, f'only {killed} were still running when they were to be killed')


for line, done in (('commit -f vpc two.vhd', 'one'), ('commit -f vpc -b base.vhd two.vhd', 'base'),
                   ('rebase -f vpc -b base.vhd two.vhd', 'two'), ('rebase -f vpc -b stranger.vhd two.vhd', 'two'),
                   ('rebase -f vpc -b "" two.vhd', 'two')):
    suite.test(f'killed, and done again: {line}', test_killed, line, done)

suite.main()
