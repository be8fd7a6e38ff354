# amend.py - what a VHD says of itself, changed in place
# SPDX-License-Identifier: MIT
import json
import os
import re

from harness import IMG, IO, Suite, as_nobody, check, equal, facts, fails, info, need, run, works
from vhd import MIB

suite = Suite(__file__)

TYPES = {'dynamic': 'subformat=dynamic', 'fixed': 'subformat=fixed', 'for Xen': 'for=xen', 'for Azure': 'for=azure'}
UUID = '00112233-4455-6677-8899-aabbccddeeff'
CHANGES = {
    f'uuid={UUID}': ('uuid', UUID), 'creator=ab': ('creator', 'ab'), 'creator=win ': ('creator', 'win'),
    'timestamp=946684800': ('timestamp', '2000-01-01T00:00:00Z'), 'timestamp=1767225600': ('timestamp', '2026-01-01T00:00:00Z'),
    'geometry=16/16/63': ('cylinders', 16), 'saved_state=on': ('saved-state', True), 'saved_state=off': ('saved-state', False),
}


def make(folder, options, name='a.vhd', size='20M'):
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', options, folder / name, size)
    works(IO, '-f', 'vpc', '-c', 'write -P 7 0 3M', folder / name)
    return folder / name


def is_whole(path):
    works(IMG, 'check', '-f', 'vpc', path)
    text = works(IO, '-r', '-f', 'vpc', '-c', 'read -P 7 0 3M', path)
    check('failed' not in text, text)


def test_change(folder, options, change):
    """One field is another, the rest is as it was; both footers say so, and others read it"""
    path = make(folder, options)
    before = facts(path)
    works(IMG, 'amend', '-f', 'vpc', '-o', change, path)
    now, (key, value) = facts(path), CHANGES[change]
    equal(now[key], value, key)
    also = {'geometry': {'cylinders', 'heads', 'sectors-per-track', 'size-in-virtual-pc-86box', 'size-in-qemu-9'},
            'creator': {'creator', 'creator-version', 'size-in-qemu-9', 'size-in-qemu-10'}}
    may = also.get(change.split('=')[0], {key})
    equal({k: v for k, v in now.items() if k not in may}, {k: v for k, v in before.items() if k not in may}, 'the rest')
    data = path.read_bytes()
    if before['type'] == 'dynamic':
        check(data[:512] == data[-512:], 'the footers differ')
    if change != 'saved_state=on':
        is_whole(path)
    need('vhdiinfo')
    works('vhdiinfo', path)


for name, options in TYPES.items():
    for change in CHANGES:
        suite.test(f'{name}: {change}', test_change, options, change)


@suite.fact
def all_at_once(folder):
    """several at once, and a child's"""
    make(folder, 'subformat=dynamic')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', folder / 'b.vhd')
    works(IO, '-f', 'vpc', '-c', 'write -P 9 4M 64k', folder / 'b.vhd')
    works(IMG, 'amend', '-f', 'vpc', '-o', f'uuid={UUID},creator=test,geometry=3/16/63', folder / 'b.vhd')
    items = facts(folder / 'b.vhd')
    equal((items['uuid'], items['creator'], items['cylinders'], items['type']), (UUID, 'test', 3, 'differencing'), 'facts')
    text = works(IO, '-f', 'vpc', '-c', 'read -P 7 0 3M', '-c', 'read -P 9 4M 64k', folder / 'b.vhd')
    check('failed' not in text, text)


@suite.fact
def of_a_parent(folder):
    """another id of an image that has a child beside it: refused, and with --force said; the child finds it no more"""
    make(folder, 'subformat=dynamic')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', folder / 'b.vhd')
    before = (folder / 'a.vhd').read_bytes()
    text = fails(IMG, 'amend', '-f', 'vpc', '-o', f'uuid={UUID}', folder / 'a.vhd')
    check('b.vhd' in text and '--force' in text, text)
    check((folder / 'a.vhd').read_bytes() == before, 'it is changed')
    works(IMG, 'amend', '-f', 'vpc', '-o', 'creator=x', folder / 'a.vhd')
    done = run(IMG, 'amend', '--force', '-f', 'vpc', '-o', f'uuid={UUID}', folder / 'a.vhd')
    equal(done.returncode, 0, done.stderr)
    check('b.vhd' in done.stderr and 'rebase -u' in done.stderr, done.stderr)
    fails(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'b.vhd', folder / 'c.raw')
    works(IMG, 'rebase', '-u', '-f', 'vpc', '-b', 'a.vhd', folder / 'b.vhd')
    works(IMG, 'compare', '-f', 'vpc', '-F', 'vpc', folder / 'a.vhd', folder / 'b.vhd')


@suite.fact
def of_a_damaged_one(folder):
    """an image beside it that can't be opened may be a child, and that is said; other files are none"""
    make(folder, 'subformat=dynamic')
    (folder / 'c.avhd').write_bytes(b'conectix' + bytes(MIB))
    (folder / 'notes').write_bytes(b'conectix')
    done = run(IMG, 'amend', '-f', 'vpc', '-o', f'uuid={UUID}', folder / 'a.vhd')
    equal(done.returncode, 0, done.stderr)
    check(re.search(r"'.*c.avhd' could not be read, and may be a child of this image: .*checksum", done.stderr), done.stderr)
    check('notes' not in done.stderr, done.stderr)


@suite.fact
def unlisted(folder):
    """a folder that can't be listed: nobody has looked for children, and that is said; of a link the real file's folder counts"""
    (folder / 'real').mkdir()
    make(folder / 'real', 'subformat=dynamic')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', folder / 'real/b.vhd')
    (folder / 'link.vhd').symlink_to('real/a.vhd')
    check('b.vhd' in fails(IMG, 'amend', '-f', 'vpc', '-o', f'uuid={UUID}', folder / 'link.vhd'), 'by a link')
    if os.geteuid() == 0:
        img, _, who = as_nobody(folder)
        (folder / 'real').chmod(0o311)
        (folder / 'real/a.vhd').chmod(0o666)
        done = run(img, 'amend', '-f', 'vpc', '-o', f'uuid={UUID}', folder / 'real/a.vhd', **who)
        equal(done.returncode, 0, done.stderr)
        check("its folder can't be listed" in done.stderr, done.stderr)


@suite.fact
def siblings(folder):
    """commit into a base that another child has, and a base that is cut, name that child; the chain itself is none"""
    make(folder, 'subformat=dynamic,force_size=on')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', folder / 'b.vhd')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'b.vhd', folder / 'c.vhd')
    for words in ([folder / 'b.vhd'], ['-b', 'a.vhd', folder / 'c.vhd']):
        equal(run(IMG, 'commit', '-q', '-f', 'vpc', *words).stderr, '', 'no sibling')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', folder / 'd.vhd')
    for words in ([folder / 'b.vhd'], ['-b', 'a.vhd', folder / 'c.vhd']):
        done = run(IMG, 'commit', '-q', '-f', 'vpc', *words)
        equal(done.returncode, 0, done.stderr)
        check(re.search("d.vhd' is a child of '.*a.vhd', too", done.stderr), done.stderr)
    done = run(IMG, 'resize', '-q', '-f', 'vpc', '--shrink', folder / 'a.vhd', '1M')
    equal(done.returncode, 0, done.stderr)
    check('.vhd\' is a child of this image: what it has not written of the end' in done.stderr, done.stderr)
    equal(run(IMG, 'resize', '-q', '-f', 'vpc', folder / 'a.vhd', '9M').stderr, '', 'made longer')


@suite.fact
def sizes(folder):
    """a creator by which QEMU up to 9 reads another size is told of"""
    make(folder, 'force_size=on')
    text = run(IMG, 'amend', '-f', 'vpc', '-o', 'creator=xyz', folder / 'a.vhd').stderr
    check(re.search(r'QEMU up to 9 reads a disk of \d+ bytes now', text), text)
    equal(run(IMG, 'amend', '-f', 'vpc', '-o', 'creator=abc', folder / 'a.vhd').stderr, '', 'the same size')


WRONG = {
    'uuid=1': 'is not of the form', 'creator=abcde': 'longer than four', 'timestamp=1': 'not between the years',
    'geometry=1/2': 'is not cylinders', 'geometry=65535/16/255': 'and the disk has', 'saved_state=maybe': 'on or off',
    'size=1M': "has no option 'size'", 'creator=vpc ': 'would be read as one of', 'creator=qemu': 'would be read as one of',
}


def test_wrong(folder, change, why):
    path = make(folder, 'force_size=on')
    before = path.read_bytes()
    text = fails(IMG, 'amend', '-f', 'vpc', '-o', change, path)
    check(why in text, text)
    check(path.read_bytes() == before, 'it is changed')


for change, why in WRONG.items():
    suite.test(f'refused, and nothing changed: {change}', test_wrong, change, why)


@suite.fact
def other_formats(folder):
    """raw has nothing to change"""
    (folder / 'a.raw').write_bytes(bytes(MIB))
    check('does not support option amendment' in fails(IMG, 'amend', '-f', 'raw', '-o', 'uuid=1', folder / 'a.raw'), 'said')


@suite.fact
def seen_by_qemu(folder):
    """QEMU sees the same disk afterwards"""
    need('qemu-img')
    path = make(folder, 'force_size=on')
    works(IMG, 'amend', '-f', 'vpc', '-o', f'uuid={UUID},geometry=40/16/63,creator=win ', path)
    equal(json.loads(works('qemu-img', 'info', '-f', 'vpc', '--output=json', path))['virtual-size'], 20 * MIB, 'size')
    works('qemu-img', 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'theirs.raw')
    works(IMG, 'compare', '-f', 'vpc', '-F', 'raw', path, folder / 'theirs.raw')
    equal(info(path, '-f', 'vpc')['virtual-size'], 20 * MIB, 'size')


suite.main()
