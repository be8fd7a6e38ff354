# told.py - who puts something in place of what was asked for says so: guesses, parts, zeroes, options without effect
# SPDX-License-Identifier: MIT
import os
import pathlib
import re
import struct

from harness import IMG, IO, Skip, Suite, check, equal, fails, info, run, works
from nbd_server import Nbdkit, uri
from vhd import MIB

suite = Suite(__file__)


def make(path, *options, size='4M'):
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'force_size=on', *options, path, *([] if '-b' in options else [size]))
    return path


def told(*words, status=0):
    """Standard error"""
    done = run(*words)
    equal(done.returncode, status, f'{words}: {done.stderr}')
    return done.stderr


def entry_at(path, block):
    data = path.read_bytes()
    return struct.unpack_from('>Q', data, 512 + 16)[0] + 4 * block


def set_entry(path, block, sector):
    with open(path, 'r+b') as file:
        file.seek(entry_at(path, block))
        file.write(struct.pack('>I', sector))


# Media that keep their length and their bytes

@suite.fact
def dd_over_old_bytes(folder):
    """dd to an export writes the zeroes of its input over what is there"""
    (folder / 'old').write_bytes(b'x' * 4 * MIB)
    (folder / 'in.raw').write_bytes(bytes(MIB) + b'y' * MIB + bytes(2 * MIB))
    with Nbdkit(folder, 'file', folder / 'old') as kit:
        works(IMG, 'dd', '-f', 'raw', '-O', 'raw', 'bs=1M', f'if={folder}/in.raw', f'of={uri(kit)}')
    check((folder / 'old').read_bytes() == (folder / 'in.raw').read_bytes(), 'old bytes are left')


@suite.fact
def shrunk_export(folder):
    """an export that is to be shorter: an error, and not a disk of the old length"""
    with Nbdkit(folder, 'memory', '4M') as kit:
        text = fails(IMG, 'resize', '-f', 'raw', '--shrink', uri(kit), '1M')
        check('keeps its length of 4194304 bytes' in text, text)


@suite.fact
def raw_over_old_bytes(folder):
    """create of a raw disk on an export says that its bytes stay"""
    with Nbdkit(folder, 'memory', '4M') as kit:
        check('keeps the bytes and the length' in told(IMG, 'create', '-q', '-f', 'raw', uri(kit), '1M'), 'nothing is said')
    equal(told(IMG, 'create', '-q', '-f', 'raw', folder / 'a.raw', '1M'), '', 'a file')


@suite.fact
def context(folder):
    """x-dirty-bitmap= of a context that the server has not is an error"""
    with Nbdkit(folder, 'memory', '4M') as kit:
        path = re.search('socket=(.*)', uri(kit))[1]
        text = fails(IMG, 'map', '--image-opts', f'driver=nbd,server.type=unix,server.path={path},x-dirty-bitmap=qemu:dirty-bitmap:b')
        check("no context 'qemu:dirty-bitmap:b'" in text, text)


# Sizes

@suite.fact
def whole_sectors(folder):
    """a raw disk that gets part of a sector has all of it, and says so"""
    (folder / 'a.raw').write_bytes(bytes(MIB))
    check('the file only 1000 of them' in told(IMG, 'resize', '-q', '-f', 'raw', '--shrink', folder / 'a.raw', '1000'), 'silence')


@suite.fact
def same_size(folder):
    """resize to the size that it has: for= and force_size= change nothing, and that is said"""
    path = make(folder / 'a.vhd')
    for option in 'for=azure', 'force_size=off':
        check('change nothing' in told(IMG, 'resize', '-q', '-f', 'vpc', '-o', option, path, '4M'), option)
    equal(told(IMG, 'resize', '-q', '-f', 'vpc', path, '4M'), '', 'without them')


@suite.fact
def split_size(folder):
    """the disk size of a split image is that of all its parts"""
    path = make(folder / 'whole')
    works(IO, '-f', 'vpc', '-c', 'write -P 1 0 4M', path)
    data = path.read_bytes()
    (folder / 'vm.vhd').write_bytes(data[:MIB])
    (folder / 'vm.v01').write_bytes(data[MIB:])
    check(info(folder / 'vm.vhd', '-f', 'vpc')['actual-size'] >= 4 * MIB, 'only the first part')


# Options

VAIN = {
    'parent=': 'driver=vpc,parent=b.vhd', 'backing.': 'driver=vpc,backing.driver=vpc', 'salvage-size=': 'driver=vpc,salvage-size=1M',
    'discard=': 'driver=vpc,file.discard=unmap', 'cache.writeback=': 'driver=vpc,file.cache.writeback=off',
}


def test_vain(folder, key, options):
    path = make(folder / 'a.vhd')
    text = told(IMG, 'map', '--image-opts', f'{options},file.filename={path}')
    check(key in text and ' without effect' in text, text)


for key, options in VAIN.items():
    suite.test(f'{key} where it is without effect', test_vain, key, options)


@suite.fact
def no_file(folder):
    """a file that is named for a driver that opens none"""
    check("opens no file, and 'nosuch' is named" in fails(IMG, 'convert', '-f', 'null-co', '-O', 'raw', 'nosuch', folder / 'a'), 'no')
    check(not (folder / 'a').exists(), 'an output')
    works(IMG, 'map', '--image-opts', 'driver=null-co,size=1M')


@suite.fact
def two_options(folder):
    """open with two -o takes both; measure refuses two sizes; a time before 2000 is refused"""
    (folder / 'a.raw').write_bytes(bytes(MIB))
    done = run(IO, '-c', f'open -o read-only=on -o driver=raw {folder}/a.raw', '-c', 'write -P 1 0 512')
    check((folder / 'a.raw').read_bytes() == bytes(MIB), f'read-only=on is lost: {done.stdout}{done.stderr}')
    check('specified only once' in fails(IMG, 'measure', '-O', 'vpc', '--size', '1G', '-o', 'size=5G'), 'measure')
    path = make(folder / 'a.vhd')
    check('not between the years' in fails(IMG, 'amend', '-f', 'vpc', '-o', 'timestamp=-5', path), 'amend')


@suite.fact
def kept_version(folder):
    """a creator that is the same keeps its version"""
    path = folder / 'a.vhd'
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'for=xen', path, '4M')
    before = path.read_bytes()[-512:][28:40]
    works(IMG, 'amend', '-q', '-f', 'vpc', '-o', 'creator=tap', path)
    equal(path.read_bytes()[-512:][28:40], before, 'creator and version')


@suite.fact
def bench_flush(folder):
    """bench whose last flush fails fails; a depth that can't be is said"""
    (folder / 'a.raw').write_bytes(bytes(MIB))
    options = f'driver=raw,file.driver=blkdebug,file.image.filename={folder}/a.raw,file.inject-error.0.iotype=flush'
    fails(IMG, 'bench', '-w', '-c', '2', '-d', '1', '--image-opts', options)
    check('and not 1000' in told(IMG, 'bench', '-c', '2', '-d', '1000', '-f', 'raw', folder / 'a.raw'), 'silence')


@suite.fact
def standard_input(folder):
    """commands that can't be read from standard input"""
    (folder / 'a.raw').write_bytes(bytes(MIB))
    equal(run(IO, '-f', 'raw', folder / 'a.raw').returncode, 0, 'the end')
    fd = os.open('/', os.O_RDONLY | os.O_DIRECTORY)
    done = run(IO, '-f', 'raw', folder / 'a.raw', stdin=fd)
    os.close(fd)
    check(done.returncode == 1 and 'could not read standard input' in done.stderr, f'{done.returncode}: {done.stderr}')


# Warnings

@suite.fact
def called_vhd(folder):
    """a file that is called as a VHD is, and is none, is not taken for a raw disk in silence; by its driver it is"""
    for data in b'', b'x' * 511, b'a text\n' * 1000:
        (folder / 'x.vhd').write_bytes(data)
        check('it has the name of a VHD but is not one' in told(IMG, 'convert', '-O', 'raw', folder / 'x.vhd', folder / 'out'), data[:9])
        equal(told(IMG, 'convert', '-f', 'raw', '-O', 'raw', folder / 'x.vhd', folder / 'out'), '', 'with -f raw')


@suite.fact
def which_image(folder):
    """a warning of a parent's says whose it is"""
    path = make(folder / 'p.vhd', '-o', 'subformat=fixed')
    data = path.read_bytes()
    make(folder / 'c.vhd', '-b', 'p.vhd')
    path.write_bytes(data[:2 * MIB] + data[-512:])
    text = told(IMG, 'map', '-f', 'vpc', folder / 'c.vhd')
    check(re.search("c.vhd: parent '.*p.vhd': the disk has 4194304 bytes", text), text)
    text = told(IMG, 'create', '-q', '-f', 'vpc', '-b', 'p.vhd', folder / 'd.vhd')
    check(re.search("d.vhd: parent '.*p.vhd': the disk has 4194304 bytes", text), text)


@suite.fact
def more_warnings(folder):
    """of more warnings than are kept the last says that there are more"""
    path = make(folder / 'a.vhd', '-o', 'block_size=64k', size='32M')
    works(IO, '-f', 'vpc', '-c', 'write -P 0x5a 0 32M', path)
    options = f'driver=vpc,salvage=on,file.driver=blkdebug,file.image.filename={path},file.inject-error.0.sector=3,file.inject-error.0.iotype=read'
    text = told(IMG, 'convert', '--image-opts', '-O', 'raw', options, folder / 'out')
    check('more warnings were given than are kept' in text.splitlines()[-1], text[-300:])


@suite.fact
def salvage_quietly(folder):
    """convert --salvage -q says once how much is lost"""
    (folder / 'a.raw').write_bytes(b'x' * MIB)
    options = f'driver=raw,file.driver=blkdebug,file.image.filename={folder}/a.raw,file.inject-error.0.sector=9,file.inject-error.0.iotype=read'
    text = told(IMG, 'convert', '-q', '--salvage', '--image-opts', '-O', 'raw', options, folder / 'out')
    check(re.search(r'warning: \d+ bytes could not be read, and are zeroes in', text), text)


@suite.fact
def salvaged_child(folder):
    """of a block of a child that is lost, it is said that the parent's bytes are read"""
    make(folder / 'p.vhd', '-o', 'block_size=64k')
    works(IO, '-f', 'vpc', '-c', 'write -P 0xaa 0 1M', folder / 'p.vhd')
    path = make(folder / 'c.vhd', '-b', 'p.vhd')
    works(IO, '-f', 'vpc', '-c', 'write -P 0xbb 0 64k', path)
    set_entry(path, 0, 0xffff00)
    text = told(IMG, 'convert', '--salvage', '-f', 'vpc', '-O', 'raw', path, folder / 'out')
    check("for the rest the parent's, which may be older" in text, text)


@suite.fact
def other_parent(folder):
    """rebase -u to another disk than the parent says what that leads to; to a copy of the parent, nothing"""
    make(folder / 'p.vhd')
    path = make(folder / 'c.vhd', '-b', 'p.vhd')
    (folder / 'copy.vhd').write_bytes((folder / 'p.vhd').read_bytes())
    os.utime(folder / 'copy.vhd', ns=(pathlib.Path(folder / 'p.vhd').stat().st_mtime_ns,) * 2)
    make(folder / 'other.vhd')
    equal(told(IMG, 'rebase', '-u', '-f', 'vpc', '-b', 'copy.vhd', '-F', 'vpc', path), '', 'a copy')
    check('the image was made over a parent with the unique id' in told(
        IMG, 'rebase', '-u', '-f', 'vpc', '-b', 'other.vhd', '-F', 'vpc', path), 'another disk')


@suite.fact
def wrong_raw_parent(folder):
    """another raw disk beside the child, which only has the name of its parent, is not taken for it"""
    for name in 'far', 'near':
        (folder / name).mkdir()
        (folder / name / 'disk.raw').write_bytes(b'r' * MIB if name == 'far' else b'w' * MIB)
    works(IMG, 'create', '-q', '-f', 'vpc', '-F', 'raw', '-b', folder / 'far/disk.raw', folder / 'near/child.vhd')
    done = run(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'near/child.vhd', folder / 'out')
    check(done.returncode == 1 or (folder / 'out').read_bytes() == b'r' * MIB, "another disk's bytes")


@suite.fact
def half_repaired(folder):
    """a repair that fails says what was repaired before"""
    path = make(folder / 'a.vhd', '-o', 'block_size=64k')
    works(IO, '-f', 'vpc', '-c', 'write -P 1 0 64k', '-c', 'write -P 2 64k 64k', '-c', 'write -P 3 128k 64k', path)
    set_entry(path, 0, 0xffff00)
    data = path.read_bytes()
    path.write_bytes(data[:-512] + bytes(128 * 1024) + data[-512:])
    options = f'driver=vpc,file.driver=blkdebug,file.image.filename={path},file.inject-error.0.iotype=truncate'
    text = fails(IMG, 'check', '-r', 'all', '--image-opts', options)
    check('could not repair G1' in text and 'repaired before it: B2' in text and 'block 0' in text, text)


@suite.fact
def attributes(folder):
    """a file that an output replaces leaves it its extended attributes"""
    (folder / 'a.raw').write_bytes(b'a' * MIB)
    (folder / 'b.raw').write_bytes(b'b')
    try:
        os.setxattr(folder / 'b.raw', 'user.origin', b'kept')
    except OSError as error:
        raise Skip(f'no extended attributes here: {error}') from None
    equal(told(IMG, 'convert', '-f', 'raw', '-O', 'raw', folder / 'a.raw', folder / 'b.raw'), '', 'warnings')
    equal(os.getxattr(folder / 'b.raw', 'user.origin'), b'kept', 'attribute')


@suite.fact
def raw_parent_advice(folder):
    """a parent that is no VHD and has no format named: the error says how to name a raw disk's"""
    (folder / 'base.raw').write_bytes(bytes(MIB))
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'base.raw', '-F', 'raw', folder / 'a.vhd')
    for words in (['create', '-f', 'vpc', '-b', 'base.raw', folder / 'b.vhd'], ['rebase', '-f', 'vpc', '-b', 'base.raw', folder / 'a.vhd'],
                  ['rebase', '-u', '-f', 'vpc', '-b', 'base.raw', folder / 'a.vhd'],
                  ['convert', '-f', 'raw', '-O', 'vpc', '-B', 'base.raw', folder / 'base.raw', folder / 'b.vhd']):
        text = fails(IMG, *words)
        check('-F raw says that it is a raw disk' in text, f'{words}: {text}')
    (folder / 'bad.vhd').write_bytes(b'conectix' + bytes(MIB))
    check('-F raw' not in fails(IMG, 'create', '-f', 'vpc', '-b', 'bad.vhd', folder / 'b.vhd'), 'a VHD')
    check('-F raw' not in fails(IMG, 'create', '-f', 'vpc', '-b', 'none', folder / 'b.vhd'), 'nothing')


@suite.fact
def failed_open(folder):
    """what was warned of before an open failed stands in its message, and how an option that it names is given"""
    data = bytearray(make(folder / 'a.vhd').read_bytes())
    data[512] = 0
    (folder / 'b.vhd').write_bytes(data[:-512])
    text = fails(IMG, 'info', '-f', 'vpc', folder / 'b.vhd')
    check('no dynamic header at 512' in text and 'the footer at the end of the file is missing' in text, text)
    make(folder / 'c.vhd', '-b', 'a.vhd')
    (folder / 'a.vhd').unlink()
    text = fails(IMG, 'map', '-f', 'vpc', folder / 'c.vhd')
    check(f'--image-opts driver=vpc,file.filename={folder}/c.vhd,parent=FILE' in text, text)
    text = fails(IMG, 'map', '--image-opts', f'driver=vpc,file.filename={folder}/c.vhd')
    check('are given so' not in text, text)


@suite.fact
def raw_in_chain(folder):
    """a raw parent is named by check --backing-chain, and has nothing to be checked"""
    (folder / 'base.raw').write_bytes(bytes(4 * MIB))
    make(folder / 'a.vhd', '-b', 'base.raw', '-F', 'raw')
    done = run(IMG, 'check', '--backing-chain', '-f', 'vpc', make(folder / 'b.vhd', '-b', 'a.vhd'))
    equal((done.returncode, re.findall('image: (.*)', done.stdout)[-1].rsplit('/')[-1]), (0, 'base.raw'), done.stdout)
    check('This image format does not support checks' in done.stderr, done.stderr)


@suite.fact
def trim(folder):
    """room that can't be taken back at close is left: the image is sound, and check tells of a leak only"""
    make(folder / 'a.vhd')
    broken = (f'driver=vpc,file.driver=blkdebug,file.image.filename={folder}/a.vhd,file.inject-error.0.event=none,'
              'file.inject-error.0.iotype=truncate,file.inject-error.0.errno=28')
    works(IO, '-c', 'write -P 7 0 64k', '--image-opts', broken)
    check((folder / 'a.vhd').stat().st_size > 8 * MIB, 'it was cut')
    for _ in range(2):
        done = run(IMG, 'check', '-f', 'vpc', folder / 'a.vhd')
        equal((done.returncode, re.findall('(?:leak|corruption) [A-Z0-9]+', done.stdout)), (3, ['leak G1']), done.stdout)
        text = works(IO, '-f', 'vpc', '-c', 'read -P 7 0 64k', '-c', 'write -P 8 2M 64k', '-c', 'read -P 8 2M 64k', folder / 'a.vhd')
        check('failed' not in text, text)


suite.main()
