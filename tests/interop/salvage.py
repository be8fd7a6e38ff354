# salvage.py - salvage=on: what can be read of images that can't be opened otherwise
# SPDX-License-Identifier: MIT

import random
import re
import struct

import vhd
from cases import LOCATORS, check_memory, merge, runs_of, save, unchanged
from harness import IMG, Suite, check, equal, poke, run, works
from vhd import MIB, SECTOR, Image, dynamic, fixed, utf16

suite = Suite(__file__)

BLOCK = 65536
SIZE = 8 * BLOCK
READS = 'A64K .64K B64K .128K C64K .128K'
SALVAGE = 'driver=vpc,salvage=on'


def image(blocks=None, **more):
    return dynamic(**{'size': SIZE, 'blocks': {0: b'A', 2: b'B', 5: b'C'} if blocks is None else blocks,
                      'block_size': BLOCK, 'creator': b'win ', **more})


def without_ends(data):
    return data.change(0, bytes(SECTOR)).change(len(data) - SECTOR, bytes(SECTOR))


def without_header(data):
    return data.change(data.header_at, bytes(1024))


def without_table(data):
    return data.change(data.bat_at, b'J' * SECTOR)


def cut(data, count):
    del data[-count:]
    return data


def over_locator():
    """A block that QEMU put on a locator: block 1"""
    data = image(locators=LOCATORS)
    at = data.locators[0][0]
    data = Image(data[:at] + b'\xff' * SECTOR + b'Q' * BLOCK + data[-SECTOR:])
    data.change(vhd.SECTOR * 3, struct.pack('>8I', *[vhd.UNUSED] * 8))
    return data.change_bat(1, at // SECTOR)


def late_table():
    """A BAT behind a locator, as Windows 10 has it in children"""
    return image(locators=[vhd.Locator(b'W2ru', utf16('.\\x.vhd'), 4096, before_bat=True)])


# name: image, contents, pattern of warnings
READABLE = {
    'a sound image': (image, READS, ''),
    'a sound fixed image': (lambda: fixed(MIB, creator=b'win '), 'F1M', ''),
    'no footer at the end': (lambda: cut(image(), SECTOR), READS, 'no footer at 200192'),
    'no footers': (lambda: without_ends(image()), READS, 'a header at 512, and a footer neither|no footer at'),
    'footers with wrong checksums': (lambda: image().change_footer(sealed=False, checksum=1), READS,
                                     'checksum of the footer at'),
    'footers with a wrong size': (lambda: image().change_footer(sealed=False, current_size=1 << 40), READS,
                                  'a header at 512|checksum of the footer'),
    'bytes behind the footer of a fixed image': (lambda: Image(fixed(MIB, creator=b'win ') + bytes(512)), 'F1M', ''),
    'a fixed image with a wrong checksum': (lambda: fixed(MIB, creator=b'win ').change_footer('tail', sealed=False,
                                            checksum=1), 'F1M', 'checksum of the footer'),
    'a header with a wrong checksum': (lambda: image().change_header(sealed=False, checksum=1), READS,
                                       'checksum of the header is wrong'),
    'a header with a wrong block size': (lambda: image().change_header(sealed=False, block_size=4096), READS,
                                         'BAT at 1536 and a block size of 65536 fit 3 blocks'),
    'a header with a wrong place for the BAT': (lambda: image().change_header(sealed=False, table_offset=1 << 40),
                                                READS, 'BAT at 1536 and a block size of 65536|has 8 entries at'),
    'no header': (lambda: without_header(image()), READS, 'BAT at 1536 and a block size of 65536|no header at 512'),
    'no header, blocks of 2 MiB': (lambda: without_header(dynamic(creator=b'win ')), 'D2M .6M',
                                   'BAT at 1536 and a block size of 2097152|no header'),
    'no header, blocks of 512 KiB': (lambda: without_header(dynamic(4 * MIB, {0: b'D', 7: b'E'}, 512 << 10,
                                     creator=b'win ')), 'D512K .3M E512K', 'block size of 524288|no header'),
    'no header, blocks of 512 KiB that would do as one of 2 MiB':
        (lambda: without_header(dynamic(4 * MIB, {0: b'D', 4: b'E', 5: b'F', 6: b'G', 7: b'H'}, 512 << 10,
                                        creator=b'win ')),
         'D512K .1536K E512K F512K G512K H512K', 'block size of 524288|no header'),
    'no header, blocks of 512 KiB in a file with room':
        (lambda: without_header(dynamic(4 * MIB, {0: b'D', 1: b'E'}, 512 << 10, creator=b'win ')
                                .insert_before_tail(bytes(6 * MIB))), 'D512K E512K .3M',
         'block size of 524288|no header'),
    'no header, blocks out of order': (lambda: without_header(image({5: b'C', 0: b'A', 2: b'B'})), READS,
                                       'BAT at 1536|no header'),
    'no header, a BAT at 8192': (lambda: without_header(late_table()), READS, 'BAT at 8192 and|no header'),
    'footers that refer to no header': (lambda: image().change_footer(data_offset=1 << 40), READS, 'no place for one'),
    'no footer, cut in the middle of a block': (lambda: cut(image(), 20 * SECTOR),
                                                'A64K .64K B64K .128K C55808 .140800',
                                                'no footer at|of block 5 55808 bytes are read|block 5 lies past'),
    'a BAT entry past the end': (lambda: image().change_bat(1, 0x1000), READS, 'block 1 lies past|of block 1 0 bytes'),
    'a BAT entry on the header': (lambda: image().change_bat(1, 1), READS, 'block 1 lies on|of block 1 0 bytes'),
    'a block over a locator': (over_locator, '.64K Q64K .384K', 'block 1 lies on|of block 1 65536 bytes'),
    'too few BAT entries': (lambda: image(header={'entries': 5}), 'A64K .64K B64K .320K',
                            'has no BAT entry|of block [567] 0 bytes'),
}


def test_read(folder, make, reads, warn):
    data = make()
    path = save(folder, data)
    runs = merge(runs_of(reads))
    size = sum(n for n, _ in runs)
    for flags, piece in (('c', 65536), ('', 4607)):
        poked = poke(path, f'scan:0:{size}:{piece}', f'status:0:{size}', flags=flags, options=SALVAGE)
        check(not poked.error, f'was not opened: {poked.error}')
        equal((poked.size, poked.runs[0]), (size, runs), 'size and contents')
        check(bool(poked.warnings) == bool(warn), f'warnings: {poked.warnings}')
        for text in poked.warnings:
            check(re.search(warn, text), f'warning "{text}", should be like "{warn}"')
        for pattern in warn.split('|') if warn else []:
            check(any(re.search(pattern, text) for text in poked.warnings), f'no warning like "{pattern}"')
        check_memory(poked)
    unchanged(path, bytes(data))


for name, row in READABLE.items():
    suite.test(name, test_read, *row)


REFUSED = {
    'footers and header gone': (lambda: without_header(without_ends(image())), 'neither ends nor begins with a footer'),
    'header and BAT gone': (lambda: without_table(without_header(image())), 'nothing that is likely to be a BAT'),
    'no header, and no block': (lambda: without_header(image({})), 'nothing that is likely to be a BAT'),
    'another version': (lambda: image(version=0x20000), 'nothing can be read'),
    'a raw disk': (lambda: b'R' * MIB, 'no VHD'),
    'zeroes': (lambda: bytes(MIB), 'no VHD'),
}


def test_refused(folder, make, pattern):
    poked = poke(save(folder, make()), flags='c', options=SALVAGE)
    check(poked.error and re.search(pattern, poked.error), f'error "{poked.error}", should be like "{pattern}"')
    check_memory(poked)


for name, row in REFUSED.items():
    suite.test(f'{name}: refused', test_refused, *row)


@suite.fact
def test_read_only(folder):
    """for reading only"""
    poked = poke(save(folder, image()), flags='w', options=SALVAGE)
    check(poked.error and 'reading only' in poked.error, f'error "{poked.error}"')


@suite.fact
def test_unreadable(folder):
    """a bitmap that can't be read costs its block"""
    data = image()
    path = save(folder, data)
    options = (f'{SALVAGE},file.driver=blkdebug,file.image.filename={path},file.inject-error.0.iotype=read,'
               f'file.inject-error.0.sector={data.places[2] // SECTOR}')
    works(IMG, 'convert', '-q', '-O', 'raw', '--image-opts', options, folder / 'out')
    expected = b''.join(bytes([v]) * n for n, v in runs_of('A64K .256K C64K .128K'))
    check((folder / 'out').read_bytes() == expected, 'contents')


@suite.fact
def test_without(folder):
    """convert fails without it, and works with it"""
    path = save(folder, without_header(image()))
    equal(run(IMG, 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'out').returncode, 1, 'exit status')
    done = run(IMG, 'convert', '-O', 'raw', '--image-opts', f'{SALVAGE},file.filename={path}', folder / 'out')
    equal(done.returncode, 0, 'exit status')
    check('a BAT at 1536' in done.stderr, f'warnings: {done.stderr}')
    check((folder / 'out').read_bytes()[:BLOCK] == b'A' * BLOCK, 'contents')


@suite.fact
def test_flips(folder):
    """random bits anywhere: no crash, no access outside"""
    for seed in range(60):
        rng = random.Random(seed)
        data = image(locators=LOCATORS)
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.choice((rng.randrange(2048), rng.randrange(len(data) - SECTOR, len(data))))
            data[at] ^= 1 << rng.randrange(8)
        path = save(folder, data)
        poked = poke(path, f'scan:0:{SIZE}:4096', flags='c', options=SALVAGE)
        check_memory(poked)
        unchanged(path, bytes(data))


suite.main()
