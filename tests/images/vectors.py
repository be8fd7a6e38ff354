# vectors.py - what the format's description has worked out, bit for bit; limits; the same image twice
# SPDX-License-Identifier: MIT

import random
import re
import struct

import vhd
from harness import IMG, Suite, check, equal, facts, fails, info, need, poke, works
from vhd import FOOTER, MIB, SECTOR

suite = Suite(__file__)
KNOWN = 'creator=tst,uuid=10111213-1415-1617-1819-1a1b1c1d1e1f,timestamp=946684801'
GIB = 1 << 30
LARGEST = 2040 * GIB


def create(path, size, options='', env=None):
    works(IMG, 'create', '-q', '-f', 'vpc', *(['-o', options] if options else []), path, size, env=env)
    return path


def refused(folder, size, options, pattern, env=None):
    """Refused with this text; what was there before is there still, and nothing if nothing was"""
    for before in (None, b'precious'):
        path = folder / 'disk.vhd'
        if before:
            path.write_bytes(before)
        text = fails(IMG, 'create', '-f', 'vpc', *(['-o', options] if options else []), path, size, env=env)
        check(re.search(pattern, text), f'error "{text}", should be like "{pattern}"')
        after = path.read_bytes() if path.exists() else None
        equal(after, before, 'the file afterwards')


@suite.fact
def fixed_footer(folder):
    """the footer of a fixed image"""
    first = '''
        63 6f 6e 65 63 74 69 78 00 00 00 02 00 01 00 00 ff ff ff ff ff ff ff ff 00 00 00 01 74 73 74 20
        00 01 00 00 57 69 32 6b 00 00 00 00 00 80 00 00 00 00 00 00 00 80 00 00 00 f0 04 11 00 00 00 02
        ff ff ee 4e 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 00'''
    data = create(folder / 'disk.vhd', '8M', 'subformat=fixed,' + KNOWN).read_bytes()
    equal(len(data), 8 * MIB + SECTOR, 'length')
    equal(data[-SECTOR:].hex(' '), (bytes.fromhex(first) + bytes(427)).hex(' '), 'footer')


@suite.fact
def dynamic_image(folder):
    """an empty dynamic image"""
    data = create(folder / 'disk.vhd', '40M', KNOWN).read_bytes()
    equal(len(data), 2560, 'length')
    equal(data[64:68].hex(), 'fffff668', 'checksum of the footer')
    equal(data[548:552].hex(), 'fffff463', 'checksum of the header')
    equal(data.hex(' '), vhd.dynamic(40 * MIB, {}).hex(' '), 'image')


# Geometry: bytes, cylinders, heads, sectors, bytes that it leaves out
GEOMETRY = [
    (512, 0, 4, 17, 512), (MIB, 30, 4, 17, 4096), (8 * MIB, 240, 4, 17, 32768), (40 * MIB, 963, 5, 17, 33280),
    (64 * MIB, 963, 8, 17, 53248), (504 * MIB, 1024, 16, 63, 0), (512 * MIB, 1040, 16, 63, 131072),
    (GIB, 2080, 16, 63, 262144), (2 * GIB, 4161, 16, 63, 8192), (8 * GIB, 16644, 16, 63, 32768),
    (32 * GIB, 16448, 16, 255, 524288), (136365211648, 65278, 16, 255, 2080768),
    (128 * GIB, 65535, 16, 255, 128 * GIB - 136899993600), (LARGEST, 65535, 16, 255, LARGEST - 136899993600),
]


def test_geometry(folder, size, cylinders, heads, sectors, loss):
    found = facts(create(folder / 'disk.vhd', size))
    equal((found['cylinders'], found['heads'], found['sectors-per-track']), (cylinders, heads, sectors),
          'geometry')
    equal(size - cylinders * heads * sectors * SECTOR, loss, 'bytes that the geometry leaves out')


for row in GEOMETRY:
    suite.test(f'geometry of {row[0]} bytes', test_geometry, *row)


@suite.fact
def geometry_elsewhere(folder):
    """geometry of sizes around each of its thresholds, and at random"""
    rng = random.Random(22)
    edges = [17 * 4 * 1024, 17 * 16 * 1024, 31 * 16 * 1024, 63 * 16 * 65535, 255 * 16 * 65535]
    totals = [edge + delta for edge in edges
              for delta in (-1, 0, 1)] + [rng.randrange(1 << rng.randrange(1, 32))
                                                                         for _ in range(40)]
    for total in totals:
        size = min(total * SECTOR, LARGEST)
        footer = create(folder / 'disk.vhd', size).read_bytes()[-SECTOR:]
        found = tuple(vhd.get(footer, 0, FOOTER, name) for name in ('cylinders', 'heads', 'sectors'))
        equal(found, vhd.geometry(size), f'geometry of {size} bytes')


# Bitmaps: what is written to a block without a bit, and the bytes of its bitmap then

def test_bitmap(folder, at, count, expected):
    image = vhd.dynamic(blocks={0: b'\0'}, bits={0: bytes(512)})
    path = folder / 'disk.vhd'
    path.write_bytes(image)
    equal(poke(path, f'write:{at}:{count}:87', flags='w').rets, [0], 'result of write')
    place = image.places[0]
    equal(path.read_bytes()[place:place + 512].hex(), expected.hex(), 'bitmap')


for what, at, count, expected in (
        ('sectors 8 to 15', 4096, 4096, b'\0\xff' + bytes(510)),
        ('sector 0', 0, 512, b'\x80' + bytes(511)),
        ('sector 4095', 4095 * 512, 512, bytes(511) + b'\x01'),
        ('one byte of sector 9', 9 * 512 + 100, 1, b'\0\x40' + bytes(510)),
        ('the end of sector 3 and the start of sector 4', 4 * 512 - 1, 2, b'\x18' + bytes(511)),
        ('the block', 0, 2 * MIB, b'\xff' * 512)):
    suite.test(f'bitmap after a write of {what}', test_bitmap, at, count, expected)


@suite.fact
def placement(folder):
    """data of new blocks begins at a multiple of 4096"""
    path = create(folder / 'disk.vhd', '8M')
    poke(path, 'write:0:1:87', 'write:5000000:1:87', 'write:3000000:1:87', flags='w')
    disk = vhd.Disk(path.read_bytes())
    equal(disk.problems, [], 'problems')
    equal([(entry + 1) * SECTOR % 4096 for entry in disk.bat if entry != vhd.UNUSED], [0, 0, 0],
          'data mod 4096')


@suite.fact
def trimmed(folder):
    """after closing, the footer is right behind the last block"""
    path = create(folder / 'disk.vhd', '8M')
    poke(path, 'write:0:1:87', 'write:5000000:1:87', flags='w')
    disk = vhd.Disk(path.read_bytes())
    ends = [entry * SECTOR + SECTOR + 2 * MIB for entry in disk.bat if entry != vhd.UNUSED]
    equal(disk.tail_at, max(ends), 'place of the footer')


# The same again


def test_same_create(folder, options, env):
    data = [create(folder / name, '20M', options, env).read_bytes() for name in ('a.vhd', 'b.vhd')]
    check(data[0] == data[1], 'two images of the same options differ')


UUID_ONLY = 'uuid=10111213-1415-1617-1819-1a1b1c1d1e1f'
suite.test('created twice with uuid and timestamp: the same bytes', test_same_create, KNOWN, {})
suite.test('created twice with uuid and SOURCE_DATE_EPOCH: the same bytes', test_same_create, UUID_ONLY,
           {'SOURCE_DATE_EPOCH': '1700000000'})


@suite.fact
def epoch(folder):
    """SOURCE_DATE_EPOCH is the time in the footer"""
    footer = create(folder / 'disk.vhd', '1M', '', {'SOURCE_DATE_EPOCH': '1700000000'}).read_bytes()[:SECTOR]
    equal(vhd.get(footer, 0, FOOTER, 'timestamp'), 1700000000 - 946684800, 'timestamp')


@suite.fact
def uuids(folder):
    """created twice without uuid: two identifiers, both random ones by RFC 4122"""
    found = [facts(create(folder / name, '1M'))['uuid'] for name in ('a.vhd', 'b.vhd')]
    check(found[0] != found[1], 'the same')
    for uuid in found:
        check(re.fullmatch('[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}', uuid), uuid)


def test_same_convert(folder, subformat):
    rng = random.Random(1)
    raw = folder / 'raw'
    raw.write_bytes(b''.join(rng.choice((bytes(MIB), bytes([i + 1]) * MIB, rng.randbytes(MIB)))
                             for i in range(24)))
    for name in ('a.vhd', 'b.vhd', 'c.vhd'):
        options = ['-m', '8'] if name == 'c.vhd' else []
        works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', *options, '-o', f'subformat={subformat},{KNOWN}', raw,
              folder / name)
    data = [(folder / name).read_bytes() for name in ('a.vhd', 'b.vhd', 'c.vhd')]
    check(data[0] == data[1], 'two runs differ')
    check(data[0] == data[2], 'a run with more threads differs')
    check(vhd.Disk(data[0]).contents() == raw.read_bytes(), 'contents')


for subformat in ('dynamic', 'fixed'):
    suite.test(f'converted twice, {subformat}: the same bytes', test_same_convert, subformat)


# Limits

def test_largest(folder, subformat):
    path = create(folder / 'disk.vhd', LARGEST, f'subformat={subformat}')
    equal(info(path, '-f', 'vpc')['virtual-size'], LARGEST, 'size')
    last = LARGEST - SECTOR
    poked = poke(path, 'write:0:512:65', f'write:{last}:512:90', 'flush', flags='w')
    equal(poked.rets, [0, 0, 0], 'results')
    equal(poke(path, 'scan:0:1024:512', f'scan:{last - 512}:1024:512').runs,
          [[(512, ord('A')), (512, 0)], [(512, 0), (512, ord('Z'))]], 'contents')


for subformat in ('dynamic', 'fixed'):
    suite.test(f'2040 GiB, {subformat}', test_largest, subformat)

for what, size, options, pattern in [
        ('2040 GiB and a byte', LARGEST + 1, '',
         r'size 2190433320961 is more than the 2190433320960 bytes \(2040 GiB\)'),
        ('2040 GiB and a sector', LARGEST + 512, '', r'more than .*2040 GiB'),
        ('2^63 - 1 bytes', (1 << 63) - 1, '', r'more than .*2040 GiB'),
        ('2^63 - 1 bytes, fixed', (1 << 63) - 1, 'subformat=fixed', 'that a fixed VHD can have'),
        *[(f'2040 GiB and a byte, for={reader}', LARGEST + 1, f'subformat=fixed,for={reader}',
           r'more than .*2040 GiB. that a fixed VHD can have for ') for reader in ('hyper-v', 'xen', 'qemu')],
        ('more than azure takes', 32768 * GIB, 'for=azure', r'more than .*32767 GiB'),
        ('more than Virtual PC takes', 136899993601, 'for=virtualpc', r'more than the 136899993600 bytes'),
        *[(f'block size {n}', '1M', f'block_size={n}',
           f'block size {n} is not a power of two from 512 to 268435456')
          for n in (0, 1, 256, 511, 513, 1000, 3 << 20, 512 << 20)],
        ('2040 GiB in blocks of 512', LARGEST, 'block_size=512',
         r'blocks of 512 bytes.*more than the 4294967294'),
        ('a creator of five characters', '1M', 'creator=abcde', "creator 'abcde' is longer than four"),
        ('half a uuid', '1M', 'uuid=10111213-1415', "uuid '10111213-1415' is not of the form"),
        ('a uuid and more', '1M', KNOWN.split(',')[1] + '0', 'is not of the form'),
        ('a time before 2000', '1M', 'timestamp=946684799', 'timestamp 946684799 is not between'),
        ('a time after 2136', '1M', 'timestamp=5241652096', 'timestamp 5241652096 is not between'),
        ('an unknown reader', '1M', 'for=nobody', "option 'for': 'nobody' is not one of|for.*nobody"),
        ('an unknown subformat', '1M', 'subformat=thin', 'subformat.*thin')]:
    suite.test(f'refused, and nothing is changed: {what}', refused, size, options, pattern)
suite.test('refused, and nothing is changed: SOURCE_DATE_EPOCH is no number', refused, '1M', '',
           "SOURCE_DATE_EPOCH is 'x'",
           {'SOURCE_DATE_EPOCH': 'x'})


def test_block_size(folder, block_size):
    size = 4 * block_size + 512
    path = create(folder / 'disk.vhd', size, f'block_size={block_size}')
    last = 4 * block_size
    poked = poke(path, 'write:0:512:65', f'write:{last}:512:90', flags='w')
    equal(poked.rets, [0, 0], 'results')
    equal(poke(path, 'scan:0:512:512', f'scan:{last}:512:512').runs, [[(512, ord('A'))], [(512, ord('Z'))]],
          'contents')
    with open(path, 'rb') as f:
        head = f.read(4096)
    equal(vhd.get(head, SECTOR, vhd.HEADER, 'block_size'), block_size, 'block size')
    equal(vhd.get(head, SECTOR, vhd.HEADER, 'entries'), 5, 'BAT entries')
    first = struct.unpack_from('>I', head, 1536)[0] * SECTOR
    with open(path, 'rb') as f:
        f.seek(first + vhd.bitmap_bytes(block_size))
        equal(f.read(512), b'A' * 512, 'data where the BAT says')


for shift in range(9, 29):
    suite.test(f'blocks of {1 << shift} bytes', test_block_size, 1 << shift)


def test_block_size_qemu(folder, block_size):
    need('qemu-img')
    path = create(folder / 'disk.vhd', 4 * block_size, f'block_size={block_size}')
    poke(path, f'write:{block_size}:512:65', f'write:{4 * block_size - 512}:512:90', flags='w')
    works('qemu-io', '-r', '-f', 'vpc', '-c', f'read -P 65 {block_size} 512', '-c',
          f'read -P 90 {4 * block_size - 512} 512',
          '-c', f'read -P 0 0 {block_size}', path)


for shift in (12, 13, 19, 21, 24):   # smaller ones have no bitmap in QEMU's arithmetic
    suite.test(f'blocks of {1 << shift} bytes, read by QEMU', test_block_size_qemu, 1 << shift)

for when in (946684800, 5241652095):
    suite.test(f'timestamp {when}', lambda folder, when: equal(
        vhd.get(create(folder / 'disk.vhd', '1M', f'timestamp={when}').read_bytes(), 0, FOOTER, 'timestamp'),
        when - 946684800, 'timestamp'), when)


# The size that a footer means: bytes 41994240, geometry 41953280

SIZE, CHS = 41994240, 41953280
SIZE_RULES = {                  # creator: the size by QEMU 10's rule, and by QEMU 9's
    b'vpc ': (CHS, CHS), b'vs  ': (SIZE, CHS), b'win ': (SIZE, SIZE), b'd2v\0': (SIZE, CHS),
    b'd2v ': (SIZE, SIZE), b'qemu': (CHS, CHS), b'qem2': (SIZE, SIZE), b'tap\0': (SIZE, SIZE),
    b'CTXS': (SIZE, SIZE), b'wa\0\0': (SIZE, CHS), b'vbox': (SIZE, CHS), b'mVHD': (SIZE, CHS),
    b'dutl': (SIZE, CHS), b'DBox': (SIZE, CHS), b'bxic': (SIZE, CHS), b'*img': (SIZE, CHS),
    b'go-v': (SIZE, CHS), b'simh': (SIZE, CHS),
}


def test_size_rule(folder, creator, expected, **fields):
    path = folder / 'disk.vhd'
    path.write_bytes(vhd.dynamic(SIZE, {}, creator=creator, **fields))
    for rule, size in expected.items():
        equal(poke(path, options=f'driver=vpc,force_size_calc={rule}').size, size, f'size by rule {rule}')


def test_greatest(folder, creator):
    """A geometry of 65535/16/255 means that the disk is larger than a geometry can say"""
    expected = dict.fromkeys(('auto', 'chs', 'current_size', 'qemu9'), SIZE)
    test_size_rule(folder, creator, expected, cylinders=65535, heads=16, sectors=255)


for creator, (auto, qemu9) in SIZE_RULES.items():
    name = creator.decode().rstrip('\0') + ('' if creator[3] else ' and a NUL')
    expected = {'auto': auto, 'chs': CHS, 'current_size': SIZE, 'qemu9': qemu9}
    suite.test(f'size of an image by "{name}"', test_size_rule, creator, expected)
    suite.test(f'size of an image by "{name}" with the greatest geometry', test_greatest, creator)

suite.main()
