# readers.py - chains of differencing disks, and programs that read them
# SPDX-License-Identifier: MIT
"""A reader gets the files of a chain, the root first, and a folder of its own, and returns what is in the last."""

import contextlib
import os
import random
import shutil

import vhd
from harness import IMG, IO, Skip, check, equal, need, run, works
from vhd import MIB

DISK = 6 * MIB


def write_some(rng, path, twin, unit):
    """Zeroes hide what a parent has"""
    commands = []
    for _ in range(8):
        n = vhd.round_up(rng.choice((rng.randrange(1, 2000), rng.randrange(1, 700000))), unit)
        at, value = rng.randrange(len(twin) - n) // unit * unit, rng.randrange(0, 256)
        zero = rng.randrange(4) == 0
        commands += ['-c', f'write {"-z" if zero else f"-P {value}"} {at} {n}']
        twin[at:at + n] = bytes([0 if zero else value]) * n
    works(IO, '-f', 'vpc', *commands, path)


def create_child(parent, child, options=''):
    child.parent.mkdir(parents=True, exist_ok=True)
    works(IMG, 'create', '-q', '-f', 'vpc', *(['-o', options] if options else []), '-b',
          os.path.relpath(parent, child.parent), child)


def make_chain(folder, names, root_options='', options='', unit=1):
    """The files, the first is the root, and what is in the last of them. @unit: all writes are multiples of it"""
    rng, twin = random.Random(repr((names, root_options, options))), bytearray(DISK)
    paths = [folder / name for name in names]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    works(IMG, 'create', '-q', '-f', 'vpc', *(['-o', root_options] if root_options else []), paths[0], DISK)
    write_some(rng, paths[0], twin, unit)
    for parent, child in zip(paths, paths[1:]):
        create_child(parent, child, options)
        before = parent.read_bytes()
        write_some(rng, child, twin, unit)
        check(parent.read_bytes() == before, 'writing to the child changed the parent')
    return paths, bytes(twin)


def read_ours(paths, folder):
    works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', paths[-1], folder / 'out')
    return (folder / 'out').read_bytes()


def read_moved(paths, folder):
    """Links between them are all relative first"""
    (folder / 'new').mkdir()
    for name in {path.relative_to(folder).parts[0] for path in paths}:
        shutil.move(folder / name, folder / 'new' / name)
    return read_ours([folder / 'new' / path.relative_to(folder) for path in paths], folder)


def read_second(paths, folder):
    contents = b''
    for path in paths:
        disk = vhd.Disk(path.read_bytes(), contents)
        equal(disk.problems, [], f'problems of {path.name}')
        contents = disk.contents()
    return contents


def link_beside(path, name, target):
    """For readers that look in one folder only"""
    link = path.parent / name
    if not link.exists():
        link.symlink_to(target)


def read_7z(paths, folder):
    """Where backslashes are letters of names, all parents are looked for beside the last child"""
    need('7z')
    for parent, child in zip(paths, paths[1:]):
        name = vhd.Disk(child.read_bytes()).name_in(b'W2ru').decode('utf-16-le')
        link_beside(paths[-1], name.removeprefix('.\\'), parent)
    return works('7z', 'e', '-so', '-tvhd', paths[-1], binary=True)


@contextlib.contextmanager
def mounted(path, point):
    point.mkdir()
    if run('vhdimount', path, point).returncode:
        raise Skip('vhdimount cannot mount here')
    try:
        yield sorted(point.iterdir(), key=lambda p: int(p.name.removeprefix('vhdi')))
    finally:
        unmount = shutil.which('fusermount') or shutil.which('fusermount3')
        run(*([unmount, '-u'] if unmount else ['umount']), point)


def read_libvhdi(paths, folder):
    """It shows each disk of the chain, the last child last"""
    need('vhdimount')
    for path in paths[:-1]:
        link_beside(paths[-1], path.name, path)
    with mounted(paths[-1], folder / 'mnt') as disks:
        equal(len(disks), len(paths), 'number of disks')
        return disks[-1].read_bytes()


READERS = {'us': read_ours, 'us, elsewhere': read_moved, "the tests' own parser": read_second,
           '7-Zip': read_7z, 'libvhdi': read_libvhdi}
