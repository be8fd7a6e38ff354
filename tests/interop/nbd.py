# nbd.py - the nbd driver, on nbdkit and on a server that lies; and beside QEMU's
# SPDX-License-Identifier: MIT

import json
import re
import socket
import struct
import subprocess
import threading
import time

from harness import BUILD, IMG, IO, Skip, Suite, check, equal, fails, need, run, works
from nbd_server import DIE, FLUSH, MUTE, READ, STATUS, WRITE, ZERO, Nbdkit, Server, chunk, uri

suite = Suite(__file__)

if ' nbd' not in subprocess.run([IMG, '--help'], capture_output=True, text=True).stdout.split('formats:')[-1]:
    if (BUILD / 'block/block-nbd.so').exists():
        raise SystemExit('block-nbd.so is there, and not found')
    print('1..0 # SKIP the nbd driver is not built in')
    raise SystemExit


def commands(*words):
    return [word for command in words for word in ('-c', command)]


def opts(server, more=''):
    return ['--image-opts', f'driver=raw,file.driver=nbd,file.path={server.path}{more}']


def fast(what, seconds=10):
    """Nothing here takes long"""
    start = time.monotonic()
    result = what()
    check(time.monotonic() - start < seconds, f'took {time.monotonic() - start:.1f} s')
    return result


def answer(program, words):
    done = run(program, 'info', '--output=json', *words)
    if done.returncode == 0:
        said = json.loads(done.stdout)
        return said['virtual-size'], said['format'], said['filename'] if 'json:' not in words[-1] else ''
    return re.sub(r'^[a-z-]*: ', '', done.stderr)


@suite.fact
def names(folder):
    """The same names and options lead where they lead in QEMU, or are refused in the same words"""
    need('qemu-img')
    with Nbdkit(folder, 'memory', '1M') as kit:
        s = kit.path
        for words in (
            [f'nbd:unix:{s}'], [f'nbd:unix:{s}:exportname=foo'],
            [f'nbd+unix:///foo?socket={s}'], [f'nbd+unix:///?socket={s}'], [f'nbd+unix://?socket={s}'],
            ['nbd+unix:///'], [f'nbd+unix:///?sock={s}'], [f'nbd+unix://h/foo?socket={s}'],
            ['nbd+unix:///?socket=/none'],
            ['nbd://localhost:1'], ['nbd:localhost:1'], ['nbd:localhost'], ['nbd:'], ['nbd://'],
            ['nbd:localhost:x'], ['nbd:foo'], ['nbd+tcp://127.0.0.1:1/x'], ['nbd+tls://x'], ['nbds://x'],
            ['nbd:unix:/none'],
            ['nbd:unix:' + 'x' * 200],
            ['--image-opts', f'driver=nbd,server.type=unix,server.path={s}'], ['--image-opts', f'driver=nbd,path={s}'],
            ['--image-opts', 'driver=nbd'], ['--image-opts', f'driver=nbd,path={s},host=x'],
            ['--image-opts', 'driver=nbd,server.type=inet,server.host=x'],
            ['--image-opts', 'driver=nbd,server.type=unix'],
            ['--image-opts', 'driver=nbd,host=localhost,port=1'], ['--image-opts', 'driver=nbd,port=1'],
            ['--image-opts', f'driver=nbd,path={s},export=foo,reconnect-delay=1,open-timeout=2'],
            ["json:{'driver':'nbd','host':'localhost','port':1}"],
            [f"json:{{'driver':'nbd','server':{{'type':'unix','path':'{s}'}}}}"],
        ):
            ours, theirs = answer(IMG, words), answer('qemu-img', words)
            if isinstance(ours, tuple):
                ours = ours[:2] + (theirs[2],)      # tools print the name as it was given
            if 'x' * 200 in words[-1]:
                check(isinstance(ours, str) and isinstance(theirs, str), 'too long a path was opened')
                continue
            equal(ours, theirs, f'answer to {words}')


@suite.fact
def over_tcp(folder):
    """Over TCP, with a port of its own"""
    need('nbdkit')
    process = subprocess.Popen(['nbdkit', '-f', '-i', '127.0.0.1', '-p', '20811', 'memory', '1M'])
    try:
        works(IO, '-f', 'raw', *commands('write -P 9 0 512', 'read -P 9 0 512'),
              "json:{'driver':'raw','file':{'driver':'nbd','host':'127.0.0.1','port':20811,'open-timeout':5}}")
        works(IO, '-f', 'raw', *commands('read -P 9 0 512'), 'nbd://127.0.0.1:20811')
    finally:
        process.kill()
        process.wait()


@suite.fact
def requests(folder):
    """Reads, writes, zeroes, discards and flushes; and the map is QEMU's"""
    need('qemu-img')
    with Nbdkit(folder, 'memory', '4M') as kit:
        works(IO, '-f', 'raw', *commands('write -P 7 0 1M', 'write -P 8 1000 3000', 'write -z 2000 500',
                                         'discard 512k 128k', 'write -P 9 3M 100000', 'flush'), uri(kit))
        works(IO, '-f', 'raw', *commands('read -P 7 0 1000', 'read -P 8 1000 1000', 'read -P 0 2000 500',
                                         'read -P 8 2500 1500',
                                         'read -P 0 512k 128k', 'read -P 0 1M 2M', 'read -P 9 3M 100000',
                                         'readv -P 7 8k 1k 3k 2k'), uri(kit))
        maps = [json.loads(works(program, 'map', '-f', 'raw', '--output=json', uri(kit)))
                for program in (IMG, 'qemu-img')]
        keys = ('start', 'length', 'zero', 'data', 'offset')
        ours, theirs = ([{k: e.get(k) for k in keys} for e in m] for m in maps)
        equal(ours, theirs, 'map')


@suite.fact
def past_the_end(folder):
    """What does not fit fails, and the export does not grow"""
    with Nbdkit(folder, 'memory', '1M') as kit:
        for command in ('write 1M 512', 'write 1048064 1k', 'truncate 2M'):
            done = run(IO, '-f', 'raw', '-c', command, uri(kit))
            equal(done.returncode, 1, command)
        check('Cannot grow NBD nodes' in run(IO, '-f', 'raw', '-c', 'truncate 2M', uri(kit)).stderr, 'another error')
        check('Cannot grow NBD nodes' in fails(IMG, 'create', '-q', '-f', 'raw', uri(kit), '2M'), 'another error')


@suite.fact
def vhd(folder):
    """A dynamic VHD from a file, served: written, read by QEMU, converted"""
    need('qemu-img')
    works(IMG, 'create', '-q', '-f', 'vpc', folder / 'a.vhd', '16M')
    works(IO, '-f', 'vpc', *commands('write -P 1 1M 64k', 'write -P 1 9M 3M'), folder / 'a.vhd')
    with Nbdkit(folder, 'file', folder / 'a.vhd') as kit:
        works(IO, '-f', 'vpc', *commands('write -P 5 1M 64k', 'write -P 6 9M 3M', 'flush'), uri(kit))
        works(IO, '-r', '-f', 'vpc', *commands('read -P 5 1M 64k', 'read -P 6 9M 3M', 'read -P 0 0 1M'), uri(kit))
        works('qemu-io', '-r', '-f', 'vpc', *commands('read -P 5 1M 64k', 'read -P 6 9M 3M', 'read -P 0 0 1M'),
              uri(kit))
        works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', uri(kit), folder / 'a.raw')
        works('qemu-img', 'compare', '-f', 'raw', '-F', 'vpc', folder / 'a.raw', uri(kit))


@suite.fact
def vhd_made(folder):
    """A dynamic VHD made on an export that is longer, and full of something else"""
    need('qemu-img')
    with Nbdkit(folder, 'memory', '24M') as kit:
        works(IO, '-f', 'raw', '-c', 'write -P 0xee 0 24M', uri(kit))
        works(IMG, 'create', '-q', '-f', 'vpc', uri(kit), '16M')
        works(IO, '-f', 'vpc', *commands('write -P 5 1M 64k', 'flush', 'write -P 6 9M 3M'), uri(kit))
        works(IO, '-f', 'vpc', *commands('write -P 7 5M 1000'), uri(kit))
        reads = commands('read -P 0 0 1M', 'read -P 5 1M 64k', 'read -P 0 1114112 4128768', 'read -P 7 5M 1000',
                         'read -P 0 5243880 4193304', 'read -P 6 9M 3M', 'read -P 0 12M 4M')
        works(IO, '-r', '-f', 'vpc', *reads, uri(kit))
        works('qemu-io', '-r', '-f', 'vpc', *reads, uri(kit))
        works('qemu-io', '-f', 'vpc', '-c', 'write -P 8 7M 1M', uri(kit))
        works(IO, '-f', 'vpc', *commands('write -P 9 15M 1M', 'read -P 8 7M 1M'), uri(kit))
        works('qemu-io', '-r', '-f', 'vpc', *commands('read -P 9 15M 1M', 'read -P 8 7M 1M'), uri(kit))
        done = run(IO, '-f', 'vpc', *commands(*[f'write {i}M 1M' for i in range(16)]), uri(kit))
        equal(done.returncode, 0, 'exit status: ' + done.stdout)


@suite.fact
def vhd_full(folder):
    """Where no block fits any more, the write fails and the disk stays what it was"""
    with Nbdkit(folder, 'memory', '6M') as kit:
        works(IMG, 'create', '-q', '-f', 'vpc', uri(kit), '16M')
        done = run(IO, '-f', 'vpc', *commands('write -P 5 0 512', 'write -P 6 2M 512', 'write -P 7 4M 512'), uri(kit))
        check('write failed: No space left on device' in done.stdout, done.stdout)
        works(IO, '-r', '-f', 'vpc', *commands('read -P 5 0 512', 'read -P 6 2M 512', 'read -P 0 4M 512'), uri(kit))


@suite.fact
def fixed_vhd(folder):
    """A fixed VHD on an export of its length, and what info says of its size on disk"""
    with Nbdkit(folder, 'memory', str((8 << 20) + 512)) as kit:
        works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'subformat=fixed', uri(kit), '8M')
        works(IO, '-f', 'vpc', *commands('write -P 5 1M 64k', 'read -P 5 1M 64k'), uri(kit))
        said = works(IMG, 'info', '-f', 'vpc', uri(kit))
        check('disk size: unavailable' in said and 'virtual size: 8 MiB' in said, said)


@suite.fact
def convert_to(folder):
    """convert -n onto an export, and back"""
    (folder / 'a.raw').write_bytes(bytes(range(256)) * 4096 + bytes(1 << 20) + b'x' * (1 << 20))
    with Nbdkit(folder, 'memory', '3M') as kit:
        works(IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', folder / 'a.raw', uri(kit))
        works(IMG, 'convert', '-f', 'raw', '-O', 'raw', uri(kit), folder / 'b.raw')
        check((folder / 'a.raw').read_bytes() == (folder / 'b.raw').read_bytes(), 'it came back different')


@suite.fact
def read_only(folder):
    """What is exported for reading only is not opened for writing"""
    with Nbdkit(folder, '-r', 'memory', '1M') as kit:
        check('for reading only' in fails(IO, '-f', 'raw', '-c', 'read 0 512', uri(kit)), 'another error')
        works(IO, '-r', '-f', 'raw', '-c', 'read 0 512', uri(kit))


@suite.fact
def server_errors(folder):
    """Errors of the server are those of the request, and others go on"""
    for name, text in (('EIO', 'Input/output error'), ('ENOSPC', 'No space left on device'),
                       ('EPERM', 'Operation not permitted')):
        with Nbdkit(folder, '--filter=error', 'memory', '1M', f'error-pwrite={name}', 'error-pwrite-rate=1') as kit:
            done = run(IO, '-f', 'raw', *commands('write 0 512', 'read 0 512'), uri(kit))
            check(f'write failed: {text}' in done.stdout and 'read 512/512' in done.stdout, done.stdout)
    with Nbdkit(folder, '--filter=error', 'memory', '1M', 'error-extents=EIO', 'error-extents-rate=1') as kit:
        check('Input/output error' in fails(IMG, 'map', '-f', 'raw', '--output=json', uri(kit)), 'another error')


@suite.fact
def block_sizes(folder):
    """A server that takes whole blocks only gets them, and none that is too long"""
    policy = ['--filter=blocksize-policy', 'memory', '4M', 'blocksize-minimum=4096', 'blocksize-preferred=4096',
              'blocksize-maximum=65536', 'blocksize-error-policy=error']
    with Nbdkit(folder, *policy) as kit:
        works(IO, '-f', 'raw', *commands('write -P 1 0 1M', 'write -P 2 100 10000', 'write -z 5000 300',
                                         'read -P 1 0 100',
                                         'read -P 2 100 4900', 'read -P 0 5000 300', 'read -P 2 5300 4800',
                                         'read -P 1 10100 1000000', 'discard 1000 9000'), uri(kit))


@suite.fact
def bad_block_sizes(folder):
    """Block sizes that can't be are refused, or as if there were none; so is a length that is not whole blocks"""
    for sizes in ((3, 4096, 1 << 20), (1 << 17, 1 << 17, 1 << 20), (4096, 4096, 512), (0, 0, 0), (4096, 512, 1 << 20)):
        with Server(folder, block_sizes=sizes) as server:
            check(fast(lambda: run(IO, '-c', 'read 0 512', *opts(server))).returncode < 2, f'{sizes}')
    with Server(folder, size=10000, block_sizes=(4096, 4096, 1 << 20)) as server:
        check('is not a multiple' in fails(IO, '-c', 'read 0 512', *opts(server)), 'another error')


@suite.fact
def long_requests(folder):
    """Of a server that does not say how long a request may be, 32 MiB are asked for at once"""
    with Server(folder, size=40 << 20) as server:
        works(IO, *commands('write -P 3 0 34M', 'read -P 3 0 34M'), *opts(server))
        equal(server.longest, 32 << 20, 'longest request')


@suite.fact
def old_handshake(folder):
    """The old handshake: no names, no options"""
    with Server(folder, old=True) as server:
        works(IO, *commands('write -P 3 0 4k', 'read -P 3 0 4k', 'flush'), *opts(server))
        said = fails(IO, '-c', 'read 0 512', *opts(server, ',file.export=x'))
        check('non-empty export names' in said, said)


@suite.fact
def no_flush(folder):
    """A server that can't flush is not asked to"""
    with Server(folder, flags=0x1) as server:
        works(IO, *commands('write 0 512', 'flush', 'write -z 0 4k', 'discard 0 4k'), *opts(server))
        check(FLUSH not in server.kinds and ZERO not in server.kinds, f'{server.kinds}')


# Lies

def ask(folder, lie, *words, more='', patience=2, **how):
    """What miniblk-io says, without hanging; @patience: seconds that it waits for an answer"""
    with Server(folder, lie=lie, **how) as server:
        return fast(lambda: run(IO, '-t', 'writeback', *commands(*words),
                                *opts(server, f',file.request-timeout={patience}' + more)))


def on(wanted, answer):
    """A lie about one kind of request"""
    return lambda server, kind, offset, length: answer if kind == wanted else None


def header(magic=0x67446698, error=0, cookie=b'COOKIE..'):
    return struct.pack('>II', magic, error) + cookie


LIES = {
    'dies': DIE,
    'never answers': MUTE,
    'sends garbage': b'\xa5' * 64,
    'answers something else': header(cookie=b'\1' * 8) + bytes(4096),
    'sends a part of the data': header() + bytes(100),
    'sends a wrong magic number': header(magic=0x12345678) + bytes(4096),
}
for old in (True, False):
    for what, lie in LIES.items():
        def one(folder, lie=lie, old=old):
            for command in ('read 0 4k', 'write 0 4k', 'flush'):
                kind = {'read 0 4k': READ, 'write 0 4k': WRITE, 'flush': FLUSH}[command]
                if kind != READ and isinstance(lie, bytes) and lie.startswith(header()):
                    continue            # that is the truth
                words = ['write 0 512', command] if kind == FLUSH else [command]
                said = ask(folder, on(kind, lie), *words, old=old, patience=1 if lie is MUTE else 2)
                check(f'{command.split()[0]} failed: Input/output error' in said.stdout or
                      (kind == FLUSH and said.returncode == 1), f'{command}: {said.stdout}{said.stderr}')
        suite.test(f'a server that {what}: the request fails ({"old" if old else "new"} handshake)', one)


def part(kind, data, last=False):
    """A chunk of a structured reply"""
    return chunk(int.from_bytes(b'COOKIE..', 'big'), kind, data, flags=int(last))


def some(offset, length, last=False):
    return part(1, struct.pack('>Q', offset) + b'd' * length, last)


def hole(offset, length, last=False):
    return part(2, struct.pack('>QI', offset, length), last)


def broken(offset, last=False):
    return part(0x8002, struct.pack('>IHQ', 5, 0, offset), last)


# Of a read of 8 KiB at 4096
FALSE_READS = {
    'half of it': some(4096, 4096, True),
    'the other half': some(8192, 4096, True),
    'one half twice': some(4096, 4096) + some(4096, 4096, True),
    'all but a byte': some(4096, 8191, True),
    'a gap in the middle': some(4096, 4000) + some(8192, 4096, True),
    'parts that overlap': some(4096, 4097) + some(8192, 4095, True),
    'data over a hole': hole(4096, 4096) + some(4097, 4096, True),
    'all of it and more': some(4096, 8192) + some(8192, 1, True),
    'more than all of it': some(4096, 8193, True),
    'bytes before it': some(4095, 8192, True),
    'nothing': part(0, b'', True),
    'parts of nothing': some(4096, 0) + some(4096, 0, True),
    'holes of nothing': hole(4096, 0) + hole(12288, 0, True),
    'a hole that is longer': hole(4096, 1 << 30, True),
    'an error in the middle': some(4096, 4096) + broken(8192, True),
    'an error and then the rest': some(4096, 4096) + broken(8192) + some(8192, 4096, True),
    'an error at the end': some(4096, 8192) + broken(12287, True),
    'a part, and then the end of the connection': (some(4096, 4096), DIE),
    'half of a part, and then the end of the connection': (some(4096, 8192, True)[:5000], DIE),
    'all of it but no end, and then the end of the connection': (some(4096, 8192), DIE),
    'a block status': part(5, struct.pack('>III', 1, 8192, 0), True),
    'very many parts, from the end': b''.join(some(12286 - i, 1, i == 8190) for i in range(0, 8191, 2)),
}
for what, lie in FALSE_READS.items():
    def false_read(folder, lie=lie):
        said = ask(folder, on(READ, lie), 'read 4096 8192')
        check('read failed: ' in said.stdout, f'{said.stdout}{said.stderr}')
    suite.test(f'a read is answered with {what}: it fails', false_read)

TRUE_READS = {
    'one part': some(4096, 8192, True),
    'one part, and an end of its own': some(4096, 8192) + part(0, b'', True),
    'two parts': some(4096, 4096) + some(8192, 4096, True),
    'two parts, the other way round': some(8192, 4096) + some(4096, 4096, True),
    'the outer ones first': some(4096, 100) + some(12000, 288) + some(4196, 7804, True),
    'many parts': b''.join(some(4096 + i, 16, i == 8176) for i in range(0, 8192, 16)),
    'many parts, from the end': b''.join(some(12272 - i, 16, i == 8176) for i in range(0, 8192, 16)),
    'a part of nothing in front': some(4096, 0) + some(4096, 8192, True),
}
for what, truth in TRUE_READS.items():
    def true_read(folder, truth=truth):
        said = ask(folder, on(READ, truth), 'read -P 100 4096 8192')
        check('failed' not in said.stdout and said.returncode == 0, f'{said.stdout}{said.stderr}')
    suite.test(f'a read is answered with {what}: it works', true_read)


@suite.fact
def holes_in_reads(folder):
    """Holes of a structured reply are zeroes"""
    said = ask(folder, on(READ, some(4096, 4096) + hole(8192, 4096, True)),
               'read -P 100 -l 4096 4096 8192', 'read -P 0 -s 4096 -l 4096 4096 8192')
    check('failed' not in said.stdout and said.returncode == 0, f'{said.stdout}{said.stderr}')


@suite.fact
def huge_exports(folder):
    """Exports of nearly 2^63 bytes and of more are refused with the number, or work up to their end"""
    def nothing_there(server, kind, offset, length):
        data = header() + bytes(length) if server.old else some(offset, length, True)
        return data if kind == READ else header()

    end = (1 << 63) - (1 << 30)
    for size, sizes in ((1 << 63, None), ((1 << 64) - 1, None), ((1 << 63) - 1, None), (end + 512, None),
                        ((1 << 63) - 512, (512, 512, 65536)), ((1 << 63) - 65536, (65536, 65536, 65536))):
        with Server(folder, block_sizes=sizes) as server:
            server.size = size
            said = fails(IO, '-c', 'read 0 512', *opts(server))
            check('size' in said and 'can be' in said, f'{size}: {said}')
    for size, sizes in ((end, None), (end, (65536, 65536, 65536)), (end - 512, (512, 512, 65536))):
        with Server(folder, block_sizes=sizes, lie=nothing_there, old=not sizes) as server:
            server.size = size
            works(IO, '-c', f'write {size - 700} 700', *opts(server))
            fails(IO, '-c', f'write {size - 700} 701', *opts(server))
            fails(IO, '-c', f'truncate {size + 1}', *opts(server))


@suite.fact
def false_status(folder):
    """Block status: a second answer, or an extent of nothing before another, is an error; one that is longer is cut"""
    def entries(*pairs, last=True):
        return part(5, struct.pack('>I', 1) + b''.join(struct.pack('>II', *pair) for pair in pairs), last)

    for lie in (entries((1 << 19, 0), last=False) + entries((1 << 20, 3)), entries((0, 0), (1 << 20, 3)), DIE,
                part(0, b'', True), part(5, struct.pack('>I', 1), True),
                part(5, struct.pack('>III', 7, 1 << 20, 3), True), part(5, struct.pack('>II', 1, 512), True),
                (entries((1 << 20, 3))[:25], DIE), broken(0, True)):
        equal(status_of(folder, lie).returncode, 1, f'exit status for {lie}')
    said = json.loads(status_of(folder, entries((1 << 20, 3), (1 << 20, 0))).stdout)
    equal([(e['length'], e['zero']) for e in said], [(1 << 20, True)], 'map')


@suite.fact
def bad_error_number(folder):
    """A server's error of no known number is an error"""
    said = ask(folder, on(READ, header(error=0xffffffff)), 'read 0 4k', old=True)
    check('read failed: ' in said.stdout, said.stdout)


@suite.fact
def no_handshake(folder):
    """A server that says nothing at all is given up"""
    with Server(folder, lie=on('handshake', MUTE)) as server:
        said = fast(lambda: fails(IO, '-c', 'read 0 512', *opts(server, ',file.request-timeout=1')))
        check('takes too long' in said, said)


def status_of(folder, extents, **how):
    with Server(folder, lie=on(STATUS, extents), **how) as server:
        return fast(lambda: run(IMG, 'map', '--output=json', *opts(server, ',file.request-timeout=2')))


@suite.fact
def bad_extents(folder):
    """Extents of no bytes or without end, or none at all: an error or the truth, and no hang"""
    for extents in ([(0, 0)], [(0, 3), (0, 3)], []):
        equal(status_of(folder, extents).returncode, 1, f'exit status for {extents}')
    for extents in ([(0xffffffff, 3)], [(1 << 21, 3)]):
        said = status_of(folder, extents)
        if said.returncode == 0:
            equal(sum(e['length'] for e in json.loads(said.stdout)), 1 << 20, f'length of the map for {extents}')


@suite.fact
def odd_extents(folder):
    """Extents that end inside a block are cut, and the first block is data"""
    said = status_of(folder, [(4096 + 100, 3)], block_sizes=(4096, 4096, 1 << 20))
    check(all(e['start'] % 4096 == 0 for e in json.loads(said.stdout)), said.stdout)
    said = json.loads(status_of(folder, [(100, 3)], block_sizes=(4096, 4096, 1 << 20)).stdout)
    equal([(e['length'], e['zero'], e['data']) for e in said], [(1 << 20, False, True)], 'map')


@suite.fact
def flags_of_extents(folder):
    """What holes and zeroes are"""
    for flags, data, zero in ((0, True, False), (1, False, False), (2, True, True), (3, False, True)):
        said = json.loads(status_of(folder, [(1 << 20, flags)]).stdout)
        equal([(e['data'], e['zero']) for e in said], [(data, zero)], f'map for {flags}')


# Lost and found again

def dies_once(server, kind, offset, length):
    return DIE if kind == READ and server.connections == 1 else None


@suite.fact
def lost(folder):
    """Without reconnect-delay, what comes after a lost connection fails"""
    said = ask(folder, dies_once, 'write -P 4 0 4k', 'read -P 4 0 4k', 'read -P 4 0 4k', old=True)
    equal(said.stdout.count('read failed: Input/output error'), 2, 'failed reads')


@suite.fact
def found_again(folder):
    """With reconnect-delay, a server that died in mid-request is asked again"""
    for old in (True, False):
        said = ask(folder, dies_once, 'write -P 4 0 4k', 'flush', 'read -P 4 0 4k', more=',file.reconnect-delay=7',
                   old=old)
        equal(said.returncode, 0, f'exit status: {said.stdout}{said.stderr}')


@suite.fact
def written_and_lost(folder):
    """What was not flushed before a server died is in doubt, and later flushes fail; what was flushed is not"""
    for first, status in ((('write -P 4 0 4k',), 1), (('write -P 4 0 4k', 'flush'), 0), ((), 0)):
        said = ask(folder, dies_once, *first, 'read 0 4k', 'write -P 5 4k 4k', 'flush', 'flush',
                   more=',file.reconnect-delay=7')
        equal(said.returncode, status, f'exit status after {first}: {said.stdout}{said.stderr}')


@suite.fact
def back_later(folder):
    """The server may take its time to come back"""
    server = Server(folder, lie=dies_once)
    back = threading.Timer(1.5, server.listen)

    def dies(s, kind, offset, length):
        if kind == READ and s.connections == 1:
            s.stop()
            back.start()
            return DIE
        return None

    server.lie = dies
    try:
        start = time.monotonic()
        works(IO, *commands('write -P 4 0 4k', 'read -P 4 0 4k'), *opts(server, ',file.reconnect-delay=20'))
        check(1.4 < time.monotonic() - start < 15, 'it did not wait, or too long')
    finally:
        server.stop()


@suite.fact
def never_back(folder):
    """After reconnect-delay seconds, requests fail"""
    with Server(folder, old=True) as server:
        def dies(s, kind, offset, length):
            if kind == READ:
                s.stop()
                return DIE
            return None

        server.lie = dies
        start = time.monotonic()
        said = run(IO, *commands('read 0 4k', 'read 0 4k'), *opts(server, ',file.reconnect-delay=1'))
        equal(said.stdout.count('read failed: Input/output error'), 2, 'failed reads')
        check(0.9 < time.monotonic() - start < 8, f'{time.monotonic() - start:.1f} s')


@suite.fact
def dies_each_time(folder):
    """A request that no server survives fails in the end"""
    said = ask(folder, on(READ, DIE), 'read 0 4k', more=',file.reconnect-delay=1', old=True)
    check('read failed: Input/output error' in said.stdout, said.stdout)


@suite.fact
def another_disk(folder):
    """A server that comes back with another disk is none"""
    def shrinks(server, kind, offset, length):
        if kind == READ and server.connections == 1:
            server.size = 1 << 19
            return DIE
        return None

    said = ask(folder, shrinks, 'read 0 4k', more=',file.reconnect-delay=1', old=True)
    check('read failed: Input/output error' in said.stdout, said.stdout)


@suite.fact
def open_timeout(folder):
    """open-timeout waits for a server that is yet to come"""
    server = Server(folder)
    server.stop()
    threading.Timer(1, server.listen).start()
    works(IO, '-c', 'read 0 512', *opts(server, ',file.open-timeout=10'))
    server.stop()


# Many at once

@suite.fact
def in_parallel(folder):
    """Requests do not wait for each other"""
    with Nbdkit(folder, '--filter=delay', 'memory', '1M', 'delay-read=1') as kit:
        words = [word for i in range(10) for word in ('-c', f'aio_read {i * 4096} 4k')]
        start = time.monotonic()
        works(IO, '-f', 'raw', *words, '-c', 'aio_flush', uri(kit))
        check(time.monotonic() - start < 5, f'ten reads of a second each took {time.monotonic() - start:.1f} s')


@suite.fact
def all_lost(folder):
    """Of many requests that are on their way, all fail when the server dies, or never answers"""
    for lie in (DIE, MUTE):
        # the first one's text is made before there are threads: GLib keeps it
        words = ['read 2M 512'] + [f'aio_read {i * 4096} 4k' for i in range(10)]

        def after_five(server, kind, offset, length, lie=lie):
            return None if kind != READ else lie if server.requests > 5 else MUTE

        said = ask(folder, after_five, *words, 'aio_flush')
        equal(said.stdout.count('failed: Input/output error'), 11, f'failed reads in {said.stdout}')


@suite.fact
def patterns(folder):
    """Copied by several workers, each byte is where it belongs"""
    (folder / 'a.raw').write_bytes(b''.join(struct.pack('>Q', i) for i in range(1 << 20)))
    with Nbdkit(folder, '--filter=delay', 'memory', '8M', 'delay-read=3ms', 'delay-write=2ms') as kit:
        works(IMG, 'convert', '-n', '-W', '-m', '8', '-f', 'raw', '-O', 'raw', folder / 'a.raw', uri(kit))
        works(IMG, 'convert', '-m', '8', '-f', 'raw', '-O', 'raw', uri(kit), folder / 'b.raw')
        check((folder / 'a.raw').read_bytes() == (folder / 'b.raw').read_bytes(), 'it came back different')


def test_shown(folder, words, image_options):
    """What info shows of an export opens it again"""
    (folder / 'a b').mkdir()
    with Nbdkit(folder, *words, 'memory', 'size=1M') as kit:
        options = image_options.format(socket=kit.path)
        name = json.loads(works(IMG, 'info', '--output=json', '--image-opts', options))['filename']
        works(IO, '-f', 'raw', '-c', 'write -P 7 0 512', name)
        equal(json.loads(works(IMG, 'info', '--output=json', '-f', 'raw', name))['filename'], name, 'shown again')
        check(' ' not in name, name)


suite.test('an export whose name has blanks and signs, as shown', test_shown, ['-e', 'my disk %41?&#'],
           'driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={socket},file.export=my disk %41?&#')


@suite.fact
def shown_address(folder):
    """an export of an IPv6 host, as shown"""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(('::1', 0))
        except OSError as why:
            raise Skip(f'no IPv6 here: {why}')
        port = probe.getsockname()[1]
    need('nbdkit')
    process = subprocess.Popen(['nbdkit', '-f', '-p', str(port), '-i', '::1', 'memory', 'size=1M'], stderr=subprocess.DEVNULL)
    options = f'driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=::1,file.server.port={port}'
    try:
        for _ in range(100):
            done = run(IMG, 'info', '--output=json', '--image-opts', options)
            if done.returncode == 0:
                break
            time.sleep(0.05)
        equal(json.loads(done.stdout)['filename'], f'nbd://[::1]:{port}', 'name')
        works(IO, '-f', 'raw', '-c', 'write -P 7 0 512', f'nbd://[::1]:{port}')
    finally:
        process.kill()
        process.wait()


suite.main()
