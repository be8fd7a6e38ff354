# salvage.py - salvage=on: what can be read of images that can't be opened otherwise
# SPDX-License-Identifier: MIT

import random
import re
import struct

import vhd
from cases import LOCATORS, check_memory, merge, runs_of, save, unchanged
from harness import IMG, IO, Suite, check, equal, info, poke, run, short, works
from vhd import MIB, SECTOR, Image, differencing, dynamic, fixed, utf16

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


def twice(block, other, **more):
    """An image whose block @other has the entry of @block, too"""
    data = image(**more)
    return data.change_bat(other, struct.unpack_from('>I', data, data.bat_at + 4 * block)[0])


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
    'a block that two entries name, cut in its middle': (lambda: cut(twice(5, 6), 20 * SECTOR),
                                                         'A64K .64K B64K .128K C55808 .9728 C55808 .75264',
                                                         'no footer at|of block [56] 55808 bytes are read|block [56] lies past|so do blocks 6 to 6'),
    'equal BAT entries on the header': (lambda: image().change_bat(3, 1).change_bat(4, 1), READS,
                                        'block [34] lies on|of block [34] 0 bytes|so do blocks 4 to 4'),
    'a BAT entry past the end': (lambda: image().change_bat(1, 0x1000), READS, 'block 1 lies past|of block 1 0 bytes'),
    'a BAT entry on the header': (lambda: image().change_bat(1, 1), READS, 'block 1 lies on|of block 1 0 bytes'),
    'a block over a locator': (over_locator, '.64K Q64K .384K', ''),
    'data in a block whose bits are all clear': (lambda: image(bits={2: bytes(16)}), READS,
                                                 'block 2 has data at [0-9]+ in sectors whose bits are clear: it is read'),
    'data under some clear bits': (lambda: image(bits={2: bytes(8) + b'\xff' * 8, 5: b'\xff' * 15 + bytes(1)}), READS,
                                   'block [25] has data at [0-9]+ in sectors whose bits are clear: it is read'),
    'a place that two blocks have, bits clear': (lambda: twice(2, 6, bits={2: bytes(16)}), 'A64K .256K C64K .128K',
                                                 'block 2 shares its place|block 6 shares its place|'
                                                 'in sectors whose bits are clear: they are read as zeroes'),
    'too few BAT entries': (lambda: image(header={'entries': 5}), 'A64K .64K B64K .320K',
                            'has no BAT entry|the BAT only 327680 of them'),
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
    """a bitmap that can't be read costs nothing: all of its block is read"""
    data = image()
    path = save(folder, data)
    options = (f'{SALVAGE},file.driver=blkdebug,file.image.filename={path},file.inject-error.0.iotype=read,'
               f'file.inject-error.0.sector={data.places[2] // SECTOR}')
    works(IMG, 'convert', '-q', '-O', 'raw', '--image-opts', options, folder / 'out')
    expected = b''.join(bytes([v]) * n for n, v in runs_of(READS))
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


# One sector that can't be read

SMALL = 4096                    # a block
ENTRIES = 256                   # two sectors of BAT


def noise(seed, count=SMALL):
    """Bytes without a zero"""
    rng = random.Random(seed)
    return bytes(rng.randrange(1, 256) for _ in range(count))


def small_fixed():
    return Image(noise('f', 8 * SMALL) + vhd.make_footer(8 * SMALL, vhd.FIXED, creator=b'win '))


def small_dynamic(make=dynamic, blocks=(0, 1, 127, 128, 255), **more):
    return make(**{'size': ENTRIES * SMALL, 'blocks': {n: noise(n) for n in blocks}, 'block_size': SMALL,
                   'creator': b'win ', **more})


def small_child():
    names = [(b'W2ku', utf16('C:\\base.vhd')), (b'W2ru', utf16('.\\base.vhd'))]
    return small_dynamic(differencing, (0, 2, 127, 128), locators=names, name=utf16('base.vhd', 'be'))


def large_bitmaps():
    """Bitmaps of two sectors, each of which says something of 2 MiB; one bit in 64 is set"""
    data = bytearray(4 * MIB)
    for at in range(0, len(data), 64 * SECTOR):
        data[at:at + 8] = b'sector %d' % (at % 10)
    return dynamic(4 * MIB, {0: bytes(data)}, 4 * MIB, bits={0: b'\x80\0\0\0\0\0\0\0' * 128}, creator=b'win ')


def held_by(data, at):
    """How many bytes of the disk are lost at most where the sector at @at of @data can't be read"""
    if data.places and data.bat_at <= at < data.bat_at + 2 * SECTOR:
        return SECTOR // 4 * vhd.get(data, data.header_at, vhd.HEADER, 'block_size')
    bitmap = data.places and vhd.bitmap_bytes(vhd.get(data, data.header_at, vhd.HEADER, 'block_size'))
    if any(place <= at < place + bitmap for place in data.places.values()):
        return min(2 * MIB, vhd.get(data, data.header_at, vhd.HEADER, 'block_size'))
    if at == SECTOR and bitmap and bitmap > SECTOR:
        return MIB              # blocks of half the size would do as well
    return SECTOR if not data.places or any(place <= at for place in data.places.values()) else 0


def bad_sector(path, at, more=''):
    return (f'driver=vpc{more},file.driver=blkdebug,file.image.filename={path},'
            f'file.inject-error.0.event=none,file.inject-error.0.iotype=read,file.inject-error.0.sector={at // SECTOR}')


def rescue(folder, path, at, options):
    """Standard error, and what was read; None: it was not opened. --salvage is salvage=on"""
    out = folder / 'out'
    out.unlink(missing_ok=True)
    done = run(IMG, 'convert', '--salvage', '-O', 'raw', '--image-opts', bad_sector(path, at, options), out)
    equal(done.returncode == 0, out.exists(), 'success, and output')
    return done.stderr, out.read_bytes() if out.exists() else None


def count_lost(found, whole):
    return sum(a != b for a, b in zip(found, whole)) if found != whole else 0


def check_lost(folder, path, data, at, whole, more):
    """Is it refused without salvage=on?"""
    opened = run(IMG, 'info', '--image-opts', bad_sector(path, at))
    check(opened.returncode == 0 or 'salvage=on' in opened.stderr,
          f'sector at {at}: refused without naming a way out: {opened.stderr}')
    text, found = rescue(folder, path, at, more)
    check(found is not None, f'sector at {at}: {text}')
    lost = count_lost(found, whole)
    check(len(found) == len(whole) and lost <= held_by(data, at), f'sector at {at}: {lost} bytes lost')
    check(not lost or text, f'sector at {at}: lost without a word')
    return opened.returncode != 0


def is_metadata(data, at):
    """Or one of a block's first sectors: of a large image others are like these"""
    return at >= len(data) - SECTOR or all(at < place or at < place + 4 * SECTOR for place in data.places.values())


def test_sweep(folder, make, refused, without_header=''):
    """@refused: sectors without which it is not opened without salvage=on, from the end if negative; @without_header:
    what the user has to say besides where it is the header's"""
    (folder / 'base.vhd').write_bytes(small_dynamic(blocks=range(0, 256, 3)))
    data = make()
    path = save(folder, data)
    whole = works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'whole') or (folder / 'whole').read_bytes()
    seen = []
    for at in filter(lambda at: is_metadata(data, at), range(0, len(data), SECTOR)):
        more = without_header.format(folder) if at == SECTOR else ''
        if check_lost(folder, path, data, at, whole, more):
            seen.append(at)
    equal(seen, [at * SECTOR % len(data) for at in refused], 'sectors that an image is not opened without')
    unchanged(path, bytes(data))


for name, *row in (('a fixed image', small_fixed, [-1]), ('a dynamic image', small_dynamic, [1]),
                            ('a child', small_child, [1, 2], ',ignore-parent-id=on,parent={}/base.vhd'),
                            ('an image of Xen\'s', lambda: small_dynamic(creator=b'tap\0', batmap=[0]), [1]),
                            ('an image with large bitmaps', large_bitmaps, [1])):
    suite.test(f'{name}, each sector of it unreadable: no more is lost than was in it', test_sweep, *row)


@suite.fact
def test_probe_unreadable(folder):
    """the format is guessed by the end that can be read"""
    for make, at, driver in ((small_fixed, 0, 'vpc'), (small_dynamic, 0, 'vpc'), (small_dynamic, -SECTOR, 'vpc'),
                             (small_fixed, -SECTOR, 'raw')):
        data = make()
        options = bad_sector(save(folder, data), at % len(data)).split(',', 1)[1]
        done = run(IMG, 'info', '--image-opts', options)
        equal(done.returncode, 0, f'exit status of info: {done.stderr}')
        check(f'file format: {driver}' in done.stdout, f'{make.__name__} {at}: {done.stdout}')
        check('guessed without them' in done.stderr, f'no warning: {done.stderr}')


@suite.fact
def test_rewritten(folder):
    """an end that can't be read is written anew before the first write, where it is"""
    for at in (0, -SECTOR):
        data = small_dynamic()
        path = save(folder, data)
        damaged = Image(data)
        options = bad_sector(path, at % len(data))
        works(IO, '--image-opts', '-c', 'write -P 0x57 0 512', options)
        damaged[data.places[0] + SECTOR:data.places[0] + 2 * SECTOR] = b'W' * SECTOR
        unchanged(path, bytes(damaged))


@suite.fact
def test_rewritten_after_crash(folder):
    """an end that can't be read and is not zero any more comes to be a footer again"""
    for at in (0, -SECTOR):
        data = small_dynamic()
        path = save(folder, Image(data).change(at % len(data), b'J' * SECTOR))
        options = bad_sector(path, at % len(data))
        works(IO, '--image-opts', '-c', 'write -P 0x57 4096 512', options)
        after = path.read_bytes()
        equal(len(after), len(data), 'length of the file')
        check(after[:SECTOR] == bytes(data[:SECTOR]) and after[-SECTOR:] == bytes(data[-SECTOR:]), f'footers, {at}')


@suite.fact
def test_not_over_block(folder):
    """a footer that can't be read is not put where a block is"""
    data = small_dynamic(blocks=(0, 1))
    path = save(folder, data[:-SECTOR])         # cut: the last sector is the last block's
    options = bad_sector(path, len(data) - 2 * SECTOR)
    works(IO, '--image-opts', '-c', 'write -P 0x57 0 512', options)
    after = path.read_bytes()
    equal(len(after), len(data), 'length')
    equal(after[-2 * SECTOR:-SECTOR], bytes(data[-2 * SECTOR:-SECTOR]), 'last sector of the block')


@suite.fact
def test_info_and_map(folder):
    """info, map and check of images with an unreadable sector"""
    for make, at in ((small_fixed, 0), (small_dynamic, 0), (small_dynamic, -SECTOR), (small_dynamic, 3 * SECTOR),
                     (lambda: small_dynamic(creator=b'tap\0', batmap=[0]), 5 * SECTOR)):
        data = make()
        options = bad_sector(save(folder, data), at % len(data))
        equal(info(options, '--image-opts')['virtual-size'], len(data) - SECTOR if make == small_fixed else MIB, 'size')
        if at != 3 * SECTOR:
            works(IMG, 'map', '--image-opts', options)
        done = run(IMG, 'check', '--image-opts', options)
        expected = 0 if make == small_fixed else 1 if at > 0 else 2
        equal(done.returncode, expected, f'exit status of check: {done.stdout}{done.stderr}')
        check(expected == 0 or 'could not be read' in done.stdout, f'check says nothing: {done.stdout}')


@suite.fact
def test_repair_unreadable(folder):
    """check -r all writes an unreadable end anew, where it is"""
    for at in (0, -SECTOR):
        data = small_dynamic()
        path = save(folder, Image(data).change(at % len(data), b'J' * SECTOR))
        run(IMG, 'check', '-r', 'all', '--image-opts', bad_sector(path, at % len(data)))
        unchanged(path, bytes(data))


@suite.fact
def test_salvage_size(folder):
    """salvage-size= is believed where an image has no size, or one that can't be"""
    cut_off = save(folder, small_fixed()[:-SECTOR])
    convert = (IMG, 'convert', '-O', 'raw', '--image-opts')
    works(*convert, f'{SALVAGE},salvage-size=20000,file.filename={cut_off}', folder / 'out')
    check((folder / 'out').read_bytes() == (small_fixed()[:20000]).ljust(20480, b'\0'), 'contents of a fixed disk')
    for size in (1 << 60, (1 << 63) - 512):
        path = save(folder, small_dynamic().change_footer(current_size=size))
        works(*convert, f'{SALVAGE},salvage-size=512K,file.filename={path}', folder / 'out')
        found = (folder / 'out').read_bytes()
        equal((len(found), found[:SMALL]), (512 << 10, noise(0)), 'length, first block')


@suite.fact
def test_absurd_size(folder):
    """convert of a disk with an absurd size comes to an end, with a word that has the size"""
    for make in (small_fixed, small_dynamic):
        for size in (2040 << 30, 1 << 60, 1 << 62, (1 << 63) - 512, (1 << 63) - 1):
            path = save(folder, make().change_footer('tail', current_size=size))
            for salvage in ('off', 'on'):
                options = f'driver=vpc,salvage={salvage},file.filename={path}'
                done = run(IMG, 'convert', '--salvage', '-O', 'raw', '--image-opts', options, folder / 'out')
                check(str(size) in done.stderr, f'{size}: not a word of it: {done.stderr}')
                check(len(done.stderr.splitlines()) < 10, f'{size}: too many words: {short(done.stderr)}')
                (folder / 'out').unlink(missing_ok=True)


suite.main()
