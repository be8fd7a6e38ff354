# locks.py - two programs and one image: who may have it at the same time
# SPDX-License-Identifier: MIT
"""QEMU's programs and ours keep each other from an image that one of them writes to."""

import vhd
from harness import IMG, IO, POKE, Holder, Suite, check, equal, fails, need, poke, works
from vhd import MIB

suite = Suite(__file__)
RDWR, NO_LOCK = 1, 1 << 5       # BDRV_O_...


def make(folder, kind='dynamic'):
    path = folder / 'disk.vhd'
    path.write_bytes(vhd.dynamic() if kind == 'dynamic' else vhd.fixed(MIB))
    return path


def qemu_holds(path, *options):
    need('qemu-io')
    return Holder(['qemu-io', '-f', 'vpc', *options, path], 'read 0 512\n', 'read 512/512')


def we_hold(path, flags=''):
    return Holder([POKE, *(['-' + flags] if flags else []), '-o', 'driver=vpc', path, 'hold'], '', 'held')


def names_lock(text, path, lock):
    check('lock' in text and str(path) in text and lock in text,
          f'text "{text}", should name {path} and "{lock}"')


def test_writer_against_writer(folder, kind):
    path = make(folder, kind)
    before = path.read_bytes()
    with qemu_holds(path):
        names_lock(fails(IO, '-f', 'vpc', '-c', 'write 0 512', path), path, '"write"')
    equal(path.read_bytes() == before, True, 'unchanged')


for kind in ('dynamic', 'fixed'):
    suite.test(f'QEMU writes to a {kind} image: we do not', test_writer_against_writer, kind)


@suite.fact
def qemu_writes_we_read(folder):
    """QEMU writes: we do not read"""
    path = make(folder)
    with qemu_holds(path):
        names_lock(fails(IMG, 'info', path), path, 'shared "write"')


@suite.fact
def qemu_writes_we_read_unlocked(folder):
    """QEMU writes: we read if told not to lock"""
    path = make(folder)
    with qemu_holds(path):
        works(IO, '-r', '-U', '-f', 'vpc', '-c', 'read -P 68 0 1M', path)


@suite.fact
def qemu_writes_locking_off(folder):
    """QEMU writes: we read with file.locking=off"""
    path = make(folder)
    with qemu_holds(path):
        equal(poke(path, options='driver=vpc,file.locking=off').error, None, 'error')


@suite.fact
def qemu_writes_we_create(folder):
    """QEMU writes: we create no image in its place"""
    path = make(folder)
    before = path.read_bytes()
    with qemu_holds(path):
        names_lock(fails(IMG, 'create', '-f', 'vpc', path, '1M'), path, 'lock')
        check(path.read_bytes() == before, 'the file was changed')


@suite.fact
def qemu_writes_we_convert(folder):
    """QEMU writes: we convert nothing into its image"""
    path = make(folder)
    before = path.read_bytes()
    (folder / 'raw').write_bytes(b'R' * MIB)
    with qemu_holds(path):
        for options in ((), ('-n',)):
            names_lock(fails(IMG, 'convert', '-f', 'raw', '-O', 'vpc', *options, folder / 'raw', path), path,
                       'lock')
        check(path.read_bytes() == before, 'the file was changed')


@suite.fact
def qemu_reads_we_read(folder):
    """QEMU reads: so do we"""
    path = make(folder)
    with qemu_holds(path, '-r'):
        works(IMG, 'info', path)


@suite.fact
def qemu_reads_we_write(folder):
    """QEMU reads: we do not write"""
    path = make(folder)
    with qemu_holds(path, '-r'):
        names_lock(fails(IO, '-f', 'vpc', '-c', 'write 0 512', path), path, '"write"')


@suite.fact
def we_write_qemu_writes(folder):
    """we write: QEMU does not"""
    path = make(folder)
    need('qemu-io')
    with we_hold(path, 'w'):
        check('lock' in fails('qemu-io', '-f', 'vpc', '-c', 'write 0 512', path), 'another error')


@suite.fact
def we_write_qemu_reads(folder):
    """we write: QEMU does not read"""
    path = make(folder)
    need('qemu-img')
    with we_hold(path, 'w'):
        check('lock' in fails('qemu-img', 'info', '-f', 'vpc', path), 'another error')
        works('qemu-img', 'info', '-U', '-f', 'vpc', path)


@suite.fact
def we_read_qemu_reads(folder):
    """we read: so does QEMU"""
    path = make(folder)
    need('qemu-img')
    with we_hold(path):
        works('qemu-img', 'info', '-f', 'vpc', path)


@suite.fact
def we_read_qemu_writes(folder):
    """we read: QEMU does not write"""
    path = make(folder)
    need('qemu-io')
    with we_hold(path):
        check('lock' in fails('qemu-io', '-f', 'vpc', '-c', 'write 0 512', path), 'another error')


@suite.fact
def raw_below(folder):
    """QEMU has the file as raw: that is the same file"""
    path = make(folder)
    need('qemu-io')
    with Holder(['qemu-io', '-f', 'raw', path], 'read 0 512\n', 'read 512/512'):
        names_lock(fails(IMG, 'info', path), path, 'lock')


def test_ours(folder, held, ours, works_out):
    path = make(folder)
    with we_hold(path, held):
        poked = poke(path, flags=ours)
        if works_out:
            equal(poked.error, None, 'error')
        else:
            names_lock(poked.error or '', path, 'lock')


for held, ours, works_out in (('', '', True), ('', 'w', False), ('w', '', False), ('w', 'w', False)):
    name = {'': 'reads', 'w': 'writes'}
    suite.test(f'one of ours {name[held]}, another {name[ours]}: {"both" if works_out else "refused"}',
               test_ours, held,
               ours, works_out)


def test_same_process(folder, flags, again, works_out):
    path = make(folder)
    [second] = poke(path, f'again:{again}', flags=flags).again
    if works_out:
        check('error' not in second, f'error: {second.get("error")}')
    else:
        names_lock(second.get('error', ''), path, 'lock')


for what, flags, again, works_out in (('a writer, and a second one', 'w', RDWR, False),
                                      ('a writer, and a reader', 'w', 0, False),
                                      ('a reader, and a writer', '', RDWR, False),
                                      ('two readers', '', 0, True),
                                      ('a writer, and a reader that does not lock', 'w', NO_LOCK, True)):
    suite.test(f'in one process, {what}: {"works" if works_out else "refused"}', test_same_process, flags,
               again, works_out)


@suite.fact
def gone(folder):
    """a lock is gone when its holder is"""
    path = make(folder)
    with we_hold(path, 'w'):
        pass
    works(IO, '-f', 'vpc', '-c', 'write 0 512', path)


suite.main()
