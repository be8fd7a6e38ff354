# sparse.py - files of a few KiB that are said to be as long as a disk: nothing costs what a number claims
# SPDX-License-Identifier: MIT
"""The BAT of these images is a hole in the file, of up to a TiB. Each program gets half a minute of CPU and an address
space of 400 MiB, which is ten times what it takes, and a thousandth of what the BAT would."""

import json
import os
import resource

import vhd
from harness import IMG, IO, Skip, Suite, check, equal, is_sanitized, run
from vhd import MIB, SECTOR

suite = Suite(__file__)

KIB, GIB, TIB = 1 << 10, 1 << 30, 1 << 40
CPU, MEMORY = 30, 400 * MIB
LONGEST = 64 * MIB              # bytes of a BAT that a repair fills in


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    if not is_sanitized():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def frugal(*command):
    return run(*command, preexec_fn=limit)


def make(folder, length, block_size, size, entries=None, bat=b'', **more):
    """A dynamic image of @length bytes, whose BAT begins with @bat and is a hole behind that"""
    path = folder / 'image.vhd'
    entries = min(length // 4 - 4096, 0xffffffff) if entries is None else entries
    footer = vhd.make_footer(size, more.pop('type', vhd.DYNAMIC), **more)
    with open(path, 'wb') as file:
        file.write(footer + vhd.make_header(3 * SECTOR, entries, block_size, b'', {}) + bat)
        file.seek(length - SECTOR)
        file.write(footer)
    if path.stat().st_blocks * 512 > MIB:
        raise Skip('this file system has no holes')
    return path


def report(path, *options):
    done = frugal(IMG, 'check', '-f', 'vpc', '--output=json', *options, path)
    check(done.returncode in (0, 2, 3), f'exit status {done.returncode}: {done.stderr}')
    return {f['code'] + f['class'][0]: f['count'] for f in json.loads(done.stdout)['findings']}


def stored(path):
    return path.stat().st_blocks * 512


def test_all(folder, length, block_size, size, entries=None):
    """Whatever becomes of it, it comes to an end, and the file stays a small one"""
    path = make(folder, length, block_size, size, entries)
    out = folder / 'out'
    for command in ([IMG, 'info', '-f', 'vpc', path], [IMG, 'check', '-f', 'vpc', path], [IO, '-f', 'vpc', '-r', '-c',
                    'read 0 64k', path], [IO, '-f', 'vpc', '-c', 'write 0 512', path],
                    [IMG, 'map', '-f', 'vpc', path], [IMG, 'measure', '-f', 'vpc', '-O', 'raw', path],
                    [IMG, 'convert', '-f', 'vpc', '-O', 'raw', path, out],
                    [IMG, 'convert', '--salvage', '-f', 'vpc', '-O', 'raw', path, out],
                    [IMG, 'convert', '--image-opts', '-O', 'raw', f'driver=vpc,salvage=on,file.filename={path}', out],
                    [IMG, 'check', '-f', 'vpc', '-r', 'leaks', path], [IMG, 'check', '-f', 'vpc', '-r', 'all', path]):
        done = frugal(*command)
        check(done.returncode in (0, 1, 2, 3), f'{command[1]} exits with {done.returncode}: {done.stderr}')
    check(stored(path) < LONGEST + MIB, f'the file takes {stored(path)} bytes now')


for length in (GIB, 16 * GIB, 256 * GIB, TIB):
    for block_size in (512, 64 * KIB, 2 * MIB):
        name = f'{length // GIB} GiB of hole, blocks of {block_size}, a disk'
        most = min(2040 * GIB, min(length // 4 - 4096, 0xffffffff) * block_size)
        suite.test(f'{name} of 1 MiB', test_all, length, block_size, MIB)
        suite.test(f'{name} as large as the BAT allows', test_all, length, block_size, most)
suite.test('the BAT of 2040 GiB in blocks of 512 bytes, as it should be but for the hole', test_all, 20 * GIB, 512,
           2040 * GIB, 2040 * GIB // 512)


@suite.fact
def test_counts(folder):
    """entries that are a hole are counted as others are, and told in one line"""
    count, bat = 100000, b'\xff' * (4096 - 3 * SECTOR)
    path = make(folder, 200 * GIB, 2 * MIB, count * 2 * MIB, count, bat)
    equal(report(path)['B1c'], count - len(bat) // 4, 'entries on metadata')
    done = frugal(IMG, 'check', '-f', 'vpc', path)
    check('blocks 640 to 99999, on metadata: the BAT is a hole in the file there' in done.stdout, done.stdout)


@suite.fact
def test_mixed(folder):
    """a hole between entries that are there: each block is judged by its own entry"""
    first = vhd.round_up(8 * MIB, SECTOR)
    bat = (first // SECTOR).to_bytes(4, 'big') + b'\xff' * (64 * KIB - 3 * SECTOR - 4)
    count = 64 * KIB
    path = make(folder, 4 * GIB, 64 * KIB, count * 64 * KIB, count, bat)
    with open(path, 'r+b') as file:
        file.seek(first)
        file.write(b'\xff' * SECTOR + b'D' * 64 * KIB)
        file.seek(3 * SECTOR + 4 * (count - 1))
        file.write(((first + MIB) // SECTOR).to_bytes(4, 'big'))
        file.seek(first + MIB)
        file.write(b'\xff' * SECTOR + b'L' * 64 * KIB)
    frugal(IMG, 'convert', '--salvage', '-f', 'vpc', '-O', 'raw', path, folder / 'out')
    with open(folder / 'out', 'rb') as file:
        check(file.read(64 * KIB) == b'D' * 64 * KIB, 'the first block was not rescued')
        file.seek((count - 1) * 64 * KIB)
        check(file.read() == b'L' * 64 * KIB, 'the last block was not rescued')
    holes = report(path)['B1c']
    check(0 < holes < count - len(bat) // 4, f'{holes} entries on metadata')
    check('B1c' not in report(path, '-r', 'all'), 'not repaired')
    for at, value in ((0, ord('D')), ((count - 1) * 64 * KIB, ord('L'))):
        out = frugal(IO, '-f', 'vpc', '-r', '-c', f'read -P {value} {at} 64k', path)
        check(out.returncode == 0 and 'failed' not in out.stdout, f'block at {at}: {out.stdout}{out.stderr}')


@suite.fact
def test_cleared(folder):
    """a hole as large as the longest BAT that is written: cleared; larger: left alone"""
    size = LONGEST // 4 * 128 * KIB
    path = make(folder, 3 * TIB, 128 * KIB, size, LONGEST // 4)
    check('B1c' not in report(path, '-r', 'all'), 'not cleared')
    check(stored(path) < LONGEST + MIB, f'the file takes {stored(path)} bytes now')
    path = make(folder, 3 * TIB, 64 * KIB, size, LONGEST // 2)
    found = report(path, '-r', 'all')
    check('B3c' in found and stored(path) < MIB, f'{found}, and the file takes {stored(path)} bytes')


@suite.fact
def test_behind_disk(folder):
    """entries behind the end of the disk that are a hole: no leak, and a repair leaves them"""
    path = make(folder, 16 * GIB, 2 * MIB, 2 * MIB, bat=b'\xff' * 4096)
    found = report(path, '-r', 'all')
    check('B6l' not in found and 'H4n' in found, f'found {found}')
    check(stored(path) < MIB, f'the file takes {stored(path)} bytes now')


@suite.fact
def test_many_warnings(folder):
    """of blocks with the same trouble eight are told, and all are counted, when the image is opened for writing"""
    bat = b''.join((0x100000 + 5000 * i).to_bytes(4, 'big') for i in range(1024))
    path = make(folder, GIB, 2 * MIB, 1024 * 2 * MIB, 1024, bat)
    done = frugal(IO, '-f', 'vpc', '-c', 'read 4M 512', path)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if 'block' in line and 'past the end' in line]
    check(any('815 blocks in all lie past the end of the file or on metadata' in line for line in lines), lines)
    check(len(lines) < 12, f'{len(lines)} lines')


@suite.fact
def test_one_place(folder):
    """a thousand blocks of 256 MiB in one hole: copied to places of their own, as holes"""
    place = 64 * MIB
    path = make(folder, 600 * GIB, 256 * MIB, 1000 * 256 * MIB, 1000, (place // SECTOR).to_bytes(4, 'big') * 1000)
    with open(path, 'r+b') as file:
        file.seek(place)
        file.write(b'\xff' * 64 * KIB + b'D')
    found = report(path, '-r', 'all')
    check('B3c' not in found, f'found {found}')
    check(stored(path) < 300 * MIB, f'the file takes {stored(path)} bytes')


def test_batmap(folder, sectors, offset):
    path = make(folder, TIB, 512, 2040 * GIB, 2040 * GIB // 512, creator=b'tap\0', creator_version=0x10003)
    at = 3 * SECTOR + vhd.round_up(2040 * GIB // 512 * 4, SECTOR)
    head = bytearray(SECTOR)
    vhd.put(head, 0, vhd.BATMAP, cookie=b'tdbatmap', offset=offset, sectors=sectors, version=0x10002,
            checksum=0xffffffff)
    with open(path, 'r+b') as file:
        file.seek(at)
        file.write(head)
    for options in ((), ('-r', 'all')):
        report(path, *options)
    check(stored(path) < MIB, f'the file takes {stored(path)} bytes now')


for sectors, offset in ((0x7fffffff, 100 * GIB), (1, 0), (2040 * GIB // 512 // 8 // 512, 200 * GIB)):
    suite.test(f'a batmap of {sectors} sectors at {offset}', test_batmap, sectors, offset)


@suite.fact
def test_refused(folder):
    """a BAT of gigabytes is not made: the error has the numbers, and the block size that works"""
    path = folder / 'new.vhd'
    for size, block_size, least in (('2040G', 512, MIB), ('2040G', 65536, MIB), ('9G', 512, 1024),
                                    ('1T', 4096, 65536)):
        options = f'block_size={block_size}'
        done = frugal(IMG, 'create', '-f', 'vpc', '-o', options, path, size)
        check(done.returncode == 1 and f'the smallest block size for it is {least}' in done.stderr, f'{done.stderr}')
        check(not path.exists(), 'a file is left')
        done = frugal(IMG, 'create', '-q', '-f', 'vpc', '-o', f'force_size=on,block_size={least}', path, size)
        equal((done.returncode, done.stderr), (0, ''), f'with blocks of {least}')
        check(path.stat().st_size < LONGEST + 2 * MIB, 'longer than it should be')
        os.unlink(path)


@suite.fact
def test_resize_refused(folder):
    """nor by a resize, and the image stays as it is"""
    path = folder / 'image.vhd'
    frugal(IMG, 'create', '-q', '-f', 'vpc', '-o', 'block_size=512', path, '1M')
    before = path.read_bytes()
    done = frugal(IMG, 'resize', '-f', 'vpc', path, '100G')
    check(done.returncode == 1 and 'the smallest block size for it is 8192' in done.stderr, done.stderr)
    check(path.read_bytes() == before, 'the file was changed')


@suite.fact
def test_convert_refused(folder):
    """nor by a conversion"""
    path, out = folder / 'raw', folder / 'out.vhd'
    with open(path, 'wb') as file:
        file.truncate(500 * GIB)
    done = frugal(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-o', 'block_size=4k', path, out)
    check(done.returncode == 1 and 'the smallest block size for it is 32768' in done.stderr, done.stderr)


suite.main()
