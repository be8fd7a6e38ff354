# logs.py - logs of writes: QEMU's filter of the same name makes the same one, and goes on with ours
# SPDX-License-Identifier: MIT
import struct

from harness import IMG, IO, Suite, check, equal, need, works

suite = Suite(__file__)
SIZE = 1 << 20
MAGIC = 0x6a736677736872
FLUSH, DISCARD, MARK = 1, 4, 8

COMMANDS = ['write -P 1 0 1k', 'write -z 4k 1k', 'flush', 'discard 8k 4k', 'write -P 2 512 512', 'write -P 3 100 10',
            'flush', 'write -z -u 64k 4k', 'write -z 70000 100', 'write -P 7 1000 3000', 'writev -P 8 512k 3k 100 1k']


def entries(log):
    """(flags, offset, bytes, data) of each"""
    data = log.read_bytes()
    magic, version, count, sector = struct.unpack_from('<QQQI', data)
    equal((magic, version), (MAGIC, 1), 'magic and version')
    at, found = sector, []
    for _ in range(count):
        first, sectors, flags, length = struct.unpack_from('<QQQQ', data, at)
        at += sector
        if flags & MARK:
            found.append((flags, 0, length, data[at - sector + 32:][:length]))
            continue
        size = 0 if flags & DISCARD else sectors * sector
        found.append((flags, first * sector, sectors * sector, data[at:at + size]))
        at += size
    return found


def replay(image, log):
    """What the log makes of @image, bytes"""
    image = bytearray(image)
    end = None
    for flags, offset, size, data in entries(log):
        if flags & MARK:
            word, number = data.decode().split()
            if word == 'miniblk:end':
                end = int(number)
            else:
                image = image[:int(number)].ljust(int(number), b'\0')
        elif not flags & FLUSH:
            last = offset + size if end is None else min(offset + size, end)
            end = None
            if flags & DISCARD:
                data = bytes(size)
                last = min(last, len(image))
            image = image.ljust(last, b'\0')
            image[offset:last] = data[:last - offset]
    return bytes(image)


def empty(path):
    with open(path, 'wb') as file:
        file.truncate(SIZE)
    return path


def io(program, image, log, *commands, more=''):
    words = [word for command in commands for word in ('-c', command)]
    log.touch()
    works(program, *(['-d', 'unmap'] if program == IO else []), '-t', 'writeback', '--image-opts',
          f'driver=blklogwrites,file.driver=file,file.filename={image},log.driver=file,log.filename={log}{more}'
          + ('' if program == IO else ',discard=unmap'), *words)


def test_same_log(folder, more):
    need('qemu-io')
    io('qemu-io', empty(folder / 'theirs'), folder / 'theirs.log', *COMMANDS, more=more)
    io(IO, empty(folder / 'ours'), folder / 'ours.log', *COMMANDS, more=more)
    check((folder / 'theirs').read_bytes() == (folder / 'ours').read_bytes(), 'the files differ')
    check((folder / 'theirs.log').read_bytes() == (folder / 'ours.log').read_bytes(), 'the logs differ')


for more in ('', ',log-sector-size=4096', ',log-super-update-interval=1'):
    suite.test(f'the same log as QEMU, {more[1:] or "no options"}', test_same_log, more)


def test_append(folder, first, second):
    need('qemu-io')
    image, log = empty(folder / 'image'), folder / 'log'
    io(first, image, log, *COMMANDS[:5])
    io(second, image, log, *COMMANDS[5:], more=',log-append=on')
    check(replay(bytes(SIZE), log) == image.read_bytes(), 'the log does not make the file')


suite.test('QEMU goes on with our log', test_append, IO, 'qemu-io')
suite.test('we go on with the log of QEMU', test_append, 'qemu-io', IO)


@suite.fact
def below_vhd(folder):
    """below a VHD, as miniblk-io uses it"""
    image, log = folder / 'a.vhd', folder / 'a.log'
    options = f'driver=vpc,file.driver=blklogwrites,file.file.filename={image},file.log.filename={log}'
    works(IMG, 'create', '-q', '-f', 'vpc', image, '8M')
    start = image.read_bytes()
    works(IO, '--image-opts', options, '-c', 'write -P 5 1M 3M', '-c', 'flush', '-c', 'write -P 6 7M 100')
    check(replay(start, log) == image.read_bytes(), 'the log does not make the file')


@suite.fact
def created(folder):
    """a VHD from nothing, as miniblk-img makes and fills it"""
    image, log, raw = folder / 'a.vhd', folder / 'a.log', folder / 'a.raw'
    raw.write_bytes(b'x' * 3000000)
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', f'file.driver=blklogwrites,file.log.filename={log}', image, '8M')
    works(IMG, 'convert', '-n', '-f', 'raw', '--target-image-opts', raw,
          f'driver=vpc,file.driver=blklogwrites,file.file.filename={image},file.log.filename={log},file.log-append=on')
    check(replay(b'', log) == image.read_bytes(), 'the log does not make the file')


suite.main()
