# split.py - images in several files, as Virtual PC cut them: vm.vhd, vm.v01, vm.v02
# SPDX-License-Identifier: MIT
import os
import random

from harness import IMG, IO, Suite, check, equal, facts, fails, run, works
from vhd import MIB

suite = Suite(__file__)

CUTS = {                        # name: where the image is cut, as parts of its length
    'in two': (0.5,), 'in three': (0.3, 0.6), 'in ten': tuple(n / 10 for n in range(1, 10)), 'in the footer': (0.99999,),
}
SUBFORMATS = ('subformat=dynamic', 'subformat=fixed', 'subformat=dynamic,block_size=64k')


def make(folder, options, cuts, whole=512, first='vm.vhd', part='vm.v{:02}'):
    """A disk as @folder/disk.raw, and the parts of an image of it; cut at multiples of @whole"""
    data = bytearray(random.Random(1).randbytes(3 * MIB) + bytes(MIB))
    (folder / 'disk.raw').write_bytes(data)
    works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-o', options + ',force_size=on', folder / 'disk.raw', folder / 'whole')
    image = (folder / 'whole').read_bytes()
    at = [0, *[int(len(image) * cut) // whole * whole for cut in cuts], len(image)]
    names = [first, *[part.format(n) for n in range(1, len(at))]]
    for name, start, end in zip(names, at, at[1:]):
        (folder / name).write_bytes(image[start:end])
    (folder / 'whole').unlink()


def is_read(folder, name='vm.vhd'):
    works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / name, folder / 'got.raw')
    check((folder / 'got.raw').read_bytes() == (folder / 'disk.raw').read_bytes(), 'other contents')


def test_cut(folder, options, cuts, whole):
    make(folder, options, cuts, whole)
    is_read(folder)
    works(IMG, 'compare', '-f', 'vpc', '-F', 'raw', folder / 'vm.vhd', folder / 'disk.raw')
    text = works(IO, '-r', '-f', 'vpc', '-c', 'read -P 0 3M 1M', folder / 'vm.vhd')
    check('failed' not in text, text)
    works(IMG, 'check', '-f', 'vpc', folder / 'vm.vhd')


for options in SUBFORMATS:
    for name, cuts in CUTS.items():
        for whole in 512, 1:
            suite.test(f'{options}, {name}, at {"sectors" if whole > 1 else "any byte"}', test_cut, options, cuts, whole)


@suite.fact
def upper_case(folder):
    """names in upper case, as FAT has them"""
    make(folder, 'subformat=dynamic', (0.4, 0.7), first='VM.VHD', part='VM.V{:02}')
    is_read(folder, 'VM.VHD')


@suite.fact
def said(folder):
    """that they are joined is said"""
    make(folder, 'subformat=dynamic', (0.4, 0.7))
    done = run(IMG, 'info', '-f', 'vpc', folder / 'vm.vhd')
    check("the image is split, as" in done.stderr and 'vm.v01' in done.stderr, done.stderr)


@suite.fact
def guessed(folder):
    """a fixed image, whose first part looks like any raw disk, is not taken for one in silence"""
    make(folder, 'subformat=fixed', (0.5,))
    done = run(IMG, 'info', folder / 'vm.vhd')
    check('vm.v01' in done.stderr, done.stderr)


def test_missing(folder, options, lost):
    make(folder, options, (0.3, 0.5, 0.7))
    (folder / lost).unlink()
    done = run(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'vm.vhd', folder / 'got.raw')
    equal(done.returncode, 1, 'exit status')
    check(f"it is split, and part {int(lost[-1])} ('.{lost[-3:]}') is missing" in done.stderr, done.stderr)
    check(not (folder / 'got.raw').exists(), 'there is an output')


def test_not_repaired(folder, lost):
    """A copy of the footer at the start is there, and entries of the BAT reach over the end of what is left"""
    make(folder, 'subformat=dynamic', (0.3, 0.5, 0.7))
    (folder / lost).rename(folder / 'lost')
    before = {path: path.read_bytes() for path in folder.glob('vm.*')}
    for repair in 'all', 'leaks':
        fails(IMG, 'check', '-r', repair, folder / 'vm.vhd')
        text = fails(IMG, 'check', '-f', 'vpc', '-r', repair, folder / 'vm.vhd')
        check('can be opened for reading only' in text, text)
    done = run(IMG, 'check', '-f', 'vpc', folder / 'vm.vhd')
    check(done.returncode != 0 and 'the image is split' in done.stderr, f'{done.returncode}: {done.stderr}')
    check({path: path.read_bytes() for path in folder.glob('vm.*')} == before, 'a file was changed')
    (folder / 'lost').rename(folder / lost)
    is_read(folder)


def test_missing_raw(folder, lost):
    """The first part of a fixed image looks like any raw disk"""
    make(folder, 'subformat=fixed', (0.3, 0.5, 0.7))
    (folder / lost).unlink()
    done = run(IMG, 'info', folder / 'vm.vhd')
    check('beside it is named as a part of a split VHD' in done.stderr, done.stderr)


for lost in 'vm.v01', 'vm.v02', 'vm.v03':
    suite.test(f'without {lost} nothing is repaired, and all is there when it is found again', test_not_repaired, lost)
    suite.test(f'a fixed image without {lost} is not taken for a raw disk in silence', test_missing_raw, lost)
for options in SUBFORMATS[:2]:
    for lost in 'vm.v01', 'vm.v02', 'vm.v03':
        suite.test(f'{options}: without {lost} it is refused, and that is named', test_missing, options, lost)


def spoil_link(folder):
    (folder / 'vm.v02').unlink()
    (folder / 'vm.v02').hardlink_to(folder / 'vm.vhd')


SPOILT = {
    'a part is another file': spoil_link,
    'a part is empty': lambda folder: (folder / 'vm.v02').write_bytes(b''),
    'a part is cut': lambda folder: (folder / 'vm.v02').write_bytes((folder / 'vm.v02').read_bytes()[:-700]),
    'a part is a hole without end': lambda folder: works('truncate', '-s', '4T', folder / 'vm.v02'),
}


def test_spoilt(folder, spoil):
    """The head says what the disk is, and its data would be wrong"""
    make(folder, 'subformat=dynamic', (0.4, 0.7))
    spoil(folder)
    text = fails(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'vm.vhd', folder / 'got.raw')
    check('its parts do not end in the footer of a VHD' in text and 'salvage=on' in text, text)


for name, spoil in SPOILT.items():
    suite.test(f'{name}: refused', test_spoilt, spoil)


def test_no_file(folder, make_it):
    """What is no regular file is not opened, and nobody waits for it"""
    make(folder, 'subformat=dynamic', (0.5,))
    (folder / 'vm.v01').unlink()
    make_it(folder / 'vm.v01')
    text = fails(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'vm.vhd', folder / 'got.raw')
    check("vm.v01' to be a regular file" in text, text)


for name, make_it in (('a FIFO', os.mkfifo), ('/dev/zero', lambda path: path.symlink_to('/dev/zero')), ('a folder', os.mkdir)):
    suite.test(f'a part is {name}: refused', test_no_file, make_it)


@suite.fact
def lone_part(folder):
    """a part by itself, which looks like any raw disk, is not taken for one in silence"""
    make(folder, 'subformat=fixed', (0.3, 0.6))
    for name in 'vm.v01', 'vm.V01':
        (folder / 'vm.v01').rename(folder / name)
        (folder / 'alone').mkdir()
        (folder / name).rename(folder / 'alone' / name)
        done = run(IMG, 'info', folder / 'alone' / name)
        check('it is named as a part of a split VHD' in done.stderr, done.stderr)
        (folder / 'alone' / name).rename(folder / 'vm.v01')
        (folder / 'alone').rmdir()
    done = run(IMG, 'info', folder / 'vm.v01')
    check('it is named as a part of a split VHD' in done.stderr, done.stderr)


@suite.fact
def not_written(folder):
    """none of it is written to"""
    make(folder, 'subformat=dynamic', (0.4, 0.7))
    before = {path: path.read_bytes() for path in folder.glob('vm.*')}
    for words in (IO, '-f', 'vpc', '-c', 'write 0 512'), (IMG, 'check', '-f', 'vpc', '-r', 'all'), (
            IMG, 'resize', '-f', 'vpc'), (IMG, 'amend', '-f', 'vpc', '-o', 'creator=x'):
        text = fails(*words, folder / 'vm.vhd', *(['8M'] if 'resize' in words else []))
        check('can be opened for reading only: convert makes one file of it' in text, text)
    equal({path: path.read_bytes() for path in folder.glob('vm.*')} == before, True, 'files')


@suite.fact
def later_part(folder):
    """a later part, whose last sector is the footer of the whole, is not taken for an image"""
    for options in SUBFORMATS[:2]:
        make(folder, options, (0.4, 0.7))
        for name in 'vm.v01', 'vm.v02':
            text = fails(IMG, 'info', '-f', 'vpc', folder / name)
            check('it is a part of a split image' in text and 'vm.vhd' in text, text)


@suite.fact
def whole_image(folder):
    """a whole image beside which there is such a name has nothing to do with it"""
    works(IMG, 'create', '-q', '-f', 'vpc', folder / 'vm.vhd', '4M')
    (folder / 'vm.v01').write_bytes(bytes(MIB))
    works(IO, '-f', 'vpc', '-c', 'write -P 1 0 64k', folder / 'vm.vhd')
    done = run(IMG, 'info', '-f', 'vpc', folder / 'vm.vhd')
    equal((done.returncode, done.stderr), (0, ''), 'info')


@suite.fact
def parent(folder):
    """the parent of a child is split"""
    make(folder, 'subformat=dynamic', (0.4, 0.7))
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'vm.vhd', folder / 'child.vhd')
    works(IMG, 'compare', '-f', 'vpc', '-F', 'raw', folder / 'child.vhd', folder / 'disk.raw')
    done = run(IMG, 'map', '--image-opts', f'driver=vpc,parent-root={folder},file.filename={folder}/child.vhd')
    check('parts are not looked for where parent-root= is given' in done.stderr, done.stderr)


@suite.fact
def salvaged(folder):
    """what is left without the last part"""
    make(folder, 'subformat=dynamic', (0.3, 0.6))
    (folder / 'vm.v02').unlink()
    done = run(IMG, 'convert', '--salvage', '-f', 'vpc', '-O', 'raw', folder / 'vm.vhd', folder / 'got.raw')
    equal(done.returncode, 0, done.stderr)
    equal((folder / 'got.raw').read_bytes()[:MIB] == (folder / 'disk.raw').read_bytes()[:MIB], True, 'the first MiB')
    check('error while reading' in done.stderr or 'past the end' in done.stderr, done.stderr)


suite.main()
