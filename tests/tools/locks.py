# locks.py - two programs and one image: who may have it at the same time
# SPDX-License-Identifier: MIT
"""QEMU's programs and ours keep each other from an image that one of them writes to."""

import contextlib
import errno
import os
import pathlib
import re

import vhd
from harness import IMG, IO, POKE, Holder, Skip, Suite, as_nobody, check, equal, fails, need, poke, run, works
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


def we_hold(path, flags='', options='driver=vpc'):
    return Holder([POKE, *(['-' + flags] if flags else []), '-o', options, path, 'hold'], '', 'held')


def qemu_reads(path):
    need('qemu-img')
    return works('qemu-img', 'info', '-f', 'vpc', path)


def qemu_does_not_read(path):
    need('qemu-img')
    check('lock' in fails('qemu-img', 'info', '-f', 'vpc', path), 'another error')


def qemu_writes(path):
    need('qemu-io')
    return works('qemu-io', '-f', 'vpc', '-c', 'write 0 512', path)


def qemu_does_not_write(path):
    need('qemu-io')
    check('lock' in fails('qemu-io', '-f', 'vpc', '-c', 'write 0 512', path), 'another error')


def we_write(path):
    return works(IO, '-f', 'vpc', '-c', 'write 0 512', path)


def we_do_not_write(path):
    names_lock(fails(IO, '-f', 'vpc', '-c', 'write 0 512', path), path, 'lock')


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
    we_write(path)


@suite.fact
def we_crash(folder):
    """we crash: no lock is left"""
    path = make(folder)
    with we_hold(path, 'w') as holder:
        we_do_not_write(path)
        holder.crash()
        we_write(path)
        qemu_writes(path)


@suite.fact
def qemu_crashes(folder):
    """QEMU crashes: no lock is left"""
    path = make(folder)
    with qemu_holds(path) as holder:
        we_do_not_write(path)
        holder.crash()
        we_write(path)


# Which bytes of the file are locked

def locked_bytes(holder, path):
    """Of what the process has open of @path: {first byte: last byte}"""
    found = {}
    fds = pathlib.Path(f'/proc/{holder.process.pid}/fd')
    for fd in fds.iterdir():
        if os.path.realpath(fd) == str(path.resolve()):
            text = (fds.parent / 'fdinfo' / fd.name).read_text()
            for kind, first, last in re.findall(r'^lock:.* (\w+) -?\d+ \S+ (\d+) (\d+)$', text, re.M):
                found |= {byte: kind for byte in range(int(first), int(last) + 1)}
    return found


def test_same_bytes(folder, options, flags):
    path = make(folder)
    with we_hold(path, flags) as holder:
        ours = locked_bytes(holder, path)
    if not ours:
        raise Skip('/proc shows no locks here')
    with qemu_holds(path, *options) as holder:
        theirs = locked_bytes(holder, path)
    equal(ours, theirs, 'locked bytes')


suite.test('a reader locks the bytes that QEMU locks', test_same_bytes, ['-r'], '')
suite.test('a writer locks the bytes that QEMU locks', test_same_bytes, [], 'w')


# Other names

def test_other_name(folder, other_name):
    path, other = make(folder), folder / 'other.vhd'
    other_name(path, other)
    with qemu_holds(path):
        we_do_not_write(other)
    with we_hold(other):
        qemu_does_not_write(path)


suite.test('a hard link is the same file', test_other_name, os.link)
suite.test('a symbolic link is the same file', test_other_name, os.symlink)


# miniblk-io opens an image anew

def io_holds(path, *options):
    return Holder([IO, '-f', 'vpc', *options, path], 'read 0 512\n', 'read 512/512')


@suite.fact
def reopen_for_reading(folder):
    """we write, then read only: QEMU reads"""
    path = make(folder)
    with io_holds(path) as holder:
        qemu_does_not_read(path)
        holder.tell('reopen -r\nread 0 512\n', 'read 512/512')
        qemu_reads(path)
        qemu_does_not_write(path)


@suite.fact
def reopen_for_writing(folder):
    """we read, then write: QEMU does not read"""
    path = make(folder)
    with io_holds(path, '-r') as holder:
        qemu_reads(path)
        holder.tell('reopen -w\nwrite 0 512\n', 'wrote 512/512')
        qemu_does_not_read(path)


@suite.fact
def reopen_refused(folder):
    """we read, and so does QEMU: we can't turn to writing, and go on reading"""
    path = make(folder)
    with io_holds(path, '-r') as holder:
        with qemu_holds(path, '-r'):
            names_lock(holder.tell('reopen -w\n', 'lock'), path, '"write"')
            holder.tell('read 0 512\n', 'read 512/512')
        qemu_reads(path)
        qemu_does_not_write(path)


@suite.fact
def closed(folder):
    """we close the image: QEMU writes, and we don't have it anew"""
    path = make(folder)
    with io_holds(path) as holder:
        qemu_does_not_write(path)
        holder.tell('close\nhelp close\n', 'close')
        with qemu_holds(path):
            names_lock(holder.tell(f'open -o driver=vpc {path}\n', 'lock'), path, '"write"')


# Differencing disks: parents are read, but for a commit

def make_chain(folder):
    for name, parent in (('root', None), ('middle', 'root'), ('top', 'middle')):
        options = ['-o', f'backing_file={parent}.vhd'] if parent else []
        works(IMG, 'create', '-f', 'vpc', *options, folder / f'{name}.vhd', *([] if parent else ['8M']))
    return [folder / f'{name}.vhd' for name in ('root', 'middle', 'top')]


def test_parents_are_read(folder, flags):
    root, middle, top = make_chain(folder)
    with we_hold(top, flags):
        for parent in (root, middle):
            qemu_reads(parent)
            qemu_does_not_write(parent)
    for parent in (root, middle):
        qemu_writes(parent)


suite.test('we write to a chain: QEMU reads its parents and does not write to them', test_parents_are_read, 'w')
suite.test('we read a chain: QEMU reads its parents and does not write to them', test_parents_are_read, '')


@suite.fact
def commit(folder):
    """we commit: QEMU does not read the parent"""
    root, middle, top = make_chain(folder)
    with we_hold(top, options='driver=vpc,backing.read-only=off'):
        qemu_does_not_read(middle)
        qemu_reads(root)
        qemu_does_not_write(root)
    qemu_writes(middle)


def test_parent_is_written(folder, level, flags):
    chain = make_chain(folder)
    with qemu_holds(chain[level]):
        names_lock(poke(chain[2], flags=flags).error or '', chain[level], 'shared "write"')
        options = 'driver=vpc,backing.file.locking=off,backing.backing.file.locking=off'
        equal(poke(chain[2], flags=flags, options=options).error, None, 'error without locks')
    equal(poke(chain[2], flags=flags).error, None, 'error')


for level, name in enumerate(('grandparent', 'parent')):
    for flags, what in (('', 'read'), ('w', 'write')):
        suite.test(f'QEMU writes to the {name}: we do not {what}', test_parent_is_written, level, flags)


@suite.fact
def parent_is_read(folder):
    """QEMU reads the parents: we write to the chain, and commit nothing"""
    root, middle, top = make_chain(folder)
    with qemu_holds(root, '-r'), qemu_holds(middle, '-r'):
        equal(poke(top, 'write:0:512:1', flags='w').rets, [0], 'results')
        for depth, parent in ((1, middle), (2, root)):
            options = f'driver=vpc,{"backing." * depth}read-only=off'
            names_lock(poke(top, options=options).error or '', parent, '"write"')


@suite.fact
def create_child(folder):
    """QEMU writes to an image: we make no child of it"""
    path = make(folder)
    with qemu_holds(path):
        names_lock(fails(IMG, 'create', '-f', 'vpc', '-o', f'backing_file={path}', folder / 'child.vhd'), path, 'lock')
        check(not (folder / 'child.vhd').exists(), 'the child was made')


# What can't be written to

@suite.fact
def write_protected(folder):
    """a file that we may not write to is read"""
    path = make(folder)
    path.chmod(0o444)
    img, io, who = as_nobody(folder)
    works(img, 'info', path, **who)
    check(os.strerror(errno.EACCES) in fails(io, '-f', 'vpc', '-c', 'write 0 512', path, **who), 'another error')
    with qemu_holds(path, '-r'):
        works(io, '-r', '-f', 'vpc', '-c', 'read -P 68 0 1M', path, **who)


@suite.fact
def write_protected_in_use(folder):
    """a file that we may not write to, and QEMU does: we do not read"""
    path = make(folder)
    path.chmod(0o444)
    img, _, who = as_nobody(folder)
    if who:
        with qemu_holds(path):
            names_lock(fails(img, 'info', path, **who), path, 'shared "write"')
        works(img, 'info', path, **who)
    else:
        raise Skip('nobody here may write to it')


class ReadOnlyMount:
    """@folder, seen from a name space where @seen is the same folder, mounted read-only"""

    def __init__(self, folder):
        self.seen = folder / 'seen'
        self.seen.mkdir()
        script = f'mount --bind {folder} {self.seen} && mount -o remount,bind,ro {self.seen} && exec "$@"'
        self.words = ['unshare', *([] if os.geteuid() == 0 else ['-r']), '-m', 'sh', '-c', script, 'sh']
        need('unshare')
        if run(*self.words, 'true').returncode != 0:
            raise Skip('nothing can be mounted here')


@suite.fact
def read_only_mount(folder):
    """a read-only file system: we read, and do not write"""
    path, mount = make(folder), ReadOnlyMount(folder)
    seen = mount.seen / path.name
    works(*mount.words, IO, '-r', '-f', 'vpc', '-c', 'read -P 68 0 1M', seen)
    check(os.strerror(errno.EROFS) in fails(*mount.words, IO, '-f', 'vpc', '-c', 'write 0 512', seen), 'another error')
    with qemu_holds(path, '-r'):
        works(*mount.words, IMG, 'info', seen)


@suite.fact
def read_only_mount_in_use(folder):
    """a read-only file system, whose file QEMU writes to by another way: we do not read"""
    path, mount = make(folder), ReadOnlyMount(folder)
    seen = mount.seen / path.name
    with qemu_holds(path):
        names_lock(fails(*mount.words, IMG, 'info', seen), seen, 'shared "write"')


@suite.fact
def read_only_parent(folder):
    """a parent on a read-only file system: its child is written to"""
    (folder / 'parents').mkdir()
    works(IMG, 'create', '-f', 'vpc', folder / 'parents/root.vhd', '8M')
    mount = ReadOnlyMount(folder / 'parents')
    works(*mount.words, IMG, 'create', '-f', 'vpc', '-o', f'backing_file={mount.seen}/root.vhd', folder / 'top.vhd')
    works(*mount.words, IO, '-f', 'vpc', '-c', 'write 0 512', folder / 'top.vhd')


@contextlib.contextmanager
def loop_device(path, *options):
    need('losetup')
    path.write_bytes(vhd.dynamic())
    done = run('losetup', '--find', '--show', *options, path)
    if done.returncode != 0:
        raise Skip('no loop devices here')
    device = pathlib.Path(done.stdout.strip())
    try:
        yield device
    finally:
        run('losetup', '--detach', device)


@suite.fact
def read_only_device(folder):
    """a read-only block device: we read, and do not write"""
    with loop_device(folder / 'disk', '--read-only') as device, qemu_holds(device, '-r'):
        works(IO, '-r', '-f', 'vpc', '-c', 'read -P 68 0 1M', device)
        check('read-only' in fails(IO, '-f', 'vpc', '-c', 'write 0 512', device), 'another error')
        check('read-only' in fails(IMG, 'create', '-f', 'vpc', device, '1M'), 'another error')
        equal(poke(device, flags='w').errno, errno.EACCES, 'errno')


@suite.fact
def device_in_use(folder):
    """a block device is locked as a file is"""
    with loop_device(folder / 'disk') as device:
        with qemu_holds(device):
            names_lock(fails(IMG, 'info', '-f', 'vpc', device), device, 'shared "write"')
        with we_hold(device, 'w'):
            qemu_does_not_read(device)


suite.main()
