# bad-images.py - images that are odd, damaged or hostile, and what each of them gives
# SPDX-License-Identifier: MIT
"""Most rows change one thing about a dynamic image of 8 MiB, whose first block is full of "D", or about
a fixed one that is full of "F"."""

import re
import struct

import vhd
from cases import (EIO, ENOSPC, HEAD_USED, LOCATORS, STEP, Case, overwrite, save, test_opening_for_writing,
                   test_reading, test_writing, unchanged)
from harness import IMG, Suite, check, equal, poke, run
from vhd import MIB, SECTOR, Image, dynamic, fixed

suite = Suite(__file__)


def add(case):
    closed = case.refuse or case.refuse_write
    suite.test(f'{case.name}: {"refused" if case.refuse else "read"}', test_reading, case)
    suite.test(f'{case.name}: {"refused" if closed else "open"} for writing', test_opening_for_writing, case)
    if not closed and case.size < 0:
        suite.test(f'{case.name}: written to', test_writing, case, 'w')
        suite.test(f'{case.name}: written to, over checked storage', test_writing, case, 'cw')


# The ends of the file

def cut(count):
    image = dynamic()
    del image[-count:]
    return image


def other_end(where, junk):
    image = dynamic()
    return image.change(0 if where == 'head' else len(image) - SECTOR, junk)


def hidden_by_tapdisk(creator, version):
    image = dynamic(creator=creator, creator_version=version)
    return image.change_footer(sealed=False, hidden=1)


HEAD_BAD = 'copy of the footer at the start of the file is damaged'
HIDDEN = 'block 0 has data at 2560 in sectors whose bits are clear: they are read as zeroes'
DIFFER = 'footer and its copy at the start differ'

for case in [
    Case('sound dynamic', dynamic),
    Case('footer of 511 bytes', lambda: cut(1)),
    Case('no footer at the end', lambda: cut(512), warn=HEAD_USED),
    Case('no footer at the end, and a ragged one', lambda: cut(200), warn=HEAD_USED),
    Case('junk for a footer', lambda: other_end('tail', b'J' * SECTOR), warn=HEAD_USED),
    Case('footer overwritten by a crashed tapdisk', lambda: other_end('tail', b'\xc7' * SECTOR),
         warn=HEAD_USED),
    Case('footer with a wrong checksum', lambda: dynamic().change_footer('tail', sealed=False, checksum=1),
         warn=HEAD_USED),
    Case('no copy of the footer', lambda: other_end('head', bytes(SECTOR)), warn=HEAD_BAD),
    Case('copy of the footer with a wrong checksum',
         lambda: dynamic().change_footer('head', sealed=False, checksum=1), warn=HEAD_BAD),
    Case('both checksums wrong', lambda: dynamic().change_footer(sealed=False, checksum=1),
         refuse='footer at the end: checksum is 0x00000001, should be 0x[0-9a-f]{8}'),
    Case('both footers gone',
         lambda: other_end('head', bytes(SECTOR)).change_footer('tail', sealed=False, cookie=bytes(8)),
         refuse='no VHD: it neither ends nor begins with a footer'),
    Case('copy says 8 MiB, footer 16', lambda: dynamic().change_footer('tail', current_size=16 * MIB),
         'D2M .6M !8M', warn=f'{DIFFER}|no BAT entry',
         refuse_write=r'differ \(current size 16777216 and 8388608\)'),
    Case('copy says 16 MiB, footer 8', lambda: dynamic().change_footer('head', current_size=16 * MIB),
         warn=DIFFER, refuse_write=r'differ \(current size 8388608 and 16777216\)'),
    Case('copy with another identifier', lambda: dynamic().change_footer('head', uuid=b'another one here'),
         left='the footer and its copy differ'),
    Case('512 bytes behind the footer', lambda: Image(dynamic() + bytes(512)), warn=HEAD_USED),
    Case('hidden by an old tapdisk', lambda: hidden_by_tapdisk(b'tap\0', 0x00010001)),
    Case('hidden, and not by an old tapdisk', lambda: hidden_by_tapdisk(b'tap\0', 0x00010003),
         refuse='checksum is 0x[0-9a-f]{8}, should be'),
    Case('hidden by a new tapdisk',
         lambda: dynamic(creator=b'tap\0', creator_version=0x10003, creator_os=bytes(4), hidden=1)),
    Case('poisoned', lambda: dynamic().change_footer(cookie=b'v_poison'), refuse_write='v_poison'),
]:
    add(case)


def test_settling(folder, image):
    """No new block: the footer is put right all the same"""
    path = save(folder, image)
    equal(poke(path, 'write:4096:512:119', flags='w').rets, [0], 'result of write')
    data = path.read_bytes()
    equal(vhd.Disk(data).problems, [], 'problems')
    equal(data[-SECTOR:], bytes(dynamic()[-SECTOR:]), 'footer')


for what, image in (('footer of 511 bytes', cut(1)), ('no footer at the end', cut(512)),
                    ('junk for a footer', other_end('tail', b'J' * SECTOR)),
                    ('no copy of the footer', other_end('head', bytes(SECTOR)))):
    suite.test(f'{what}: put right by a write to a block that is there', test_settling, image)

# Fields of the footer

for case in [
    Case('footer version 2.0', lambda: dynamic(version=0x20000),
         refuse='file format version is 2.0, should be 1.0'),
    Case('features 0', lambda: dynamic(features=0)),
    Case('a reserved byte set', lambda: dynamic(reserved=b'\0' * 100 + b'R' + b'\0' * 325)),
    Case('saved state', lambda: dynamic(saved_state=1), warn_write='saved state'),
    Case('differencing', lambda: dynamic(type=4), refuse='differencing disk.*the image names no place'),
    *[Case(f'disk type {n}', lambda n=n: dynamic(type=n), refuse=f'disk type is {n}, should be')
      for n in (0, 1, 5, 6)],
    *[Case(f'data offset {n}', lambda n=n: dynamic(data_offset=n), refuse=f'data offset is {n}, no place')
      for n in (0, 511, 513, 2099712, 1 << 63, vhd.ONES)],
    Case('data offset at no header', lambda: dynamic(data_offset=1024), refuse='no dynamic header at 1024'),
    *[Case(f'current size {n}', lambda n=n: dynamic(current_size=n),
           refuse=f'current size is {n} bytes, more than')
      for n in (1 << 63, vhd.ONES)],
    *[Case(f'current size {n}', lambda n=n: dynamic(current_size=n), 'D2M .6M !8M', size=n,
           warn='no BAT entry',
           refuse_write=f'the BAT has 4 entries, the disk needs {-(-n // STEP)}')
      for n in (16 * MIB, 1 << 62, (1 << 63) - 1)],
    Case('size no multiple of 512', lambda: dynamic(8 * MIB - 100), 'D2M .6291356'),
    Case('size 0', lambda: dynamic(0, {}), ''),
    Case('size 0, and a block', lambda: dynamic(0, entries=4), ''),
    Case('geometry of nothing', lambda: dynamic(cylinders=0, heads=0, sectors=0, creator=b'qemu')),
]:
    add(case)

# The header


def moved_header():
    image = dynamic(gap=4096)
    place = 2048
    image.change(place, bytes(image[SECTOR:SECTOR + 1024])).change(SECTOR, b'H' * 1024)
    image.header_at = place
    return image.change_footer(data_offset=place)


def bat_on_footer():
    image = dynamic(gap=4096)
    return image.change_header(table_offset=len(image) - SECTOR)


for case in [
    Case('header with a wrong checksum', lambda: dynamic().change_header(sealed=False, checksum=1),
         refuse='dynamic header: checksum is 0x00000001, should be 0x'),
    Case('header data offset of 32 ones', lambda: dynamic(header={'data_offset': 0xffffffff})),
    Case('header version 2.0', lambda: dynamic(header={'version': 0x20000}),
         refuse='dynamic header: version is 2.0, should be 1.0'),
    Case('header behind the BAT', moved_header),
    Case('header cookie gone', lambda: dynamic(header={'cookie': bytes(8)}),
         refuse='no dynamic header at 512'),
    *[Case(f'block size {n}', lambda n=n: dynamic(header={'block_size': n}), refuse=f'[Bb]lock size {n}')
      for n in (0, 128, 513, 512 * MIB, 0x80000000, 0xffffffff)],
    Case('block size 512 K', lambda: dynamic(block_size=512 << 10), 'D512K .7680K'),
    Case('block size 4 K', lambda: dynamic(block_size=4096), 'D4K .8188K'),
    Case('block size 512', lambda: dynamic(block_size=512, blocks={3: b'D', 0: b'E'}),
         'E512 .1K D512 .8386560'),
    Case('block size 1536', lambda: dynamic(6 << 20, block_size=1536), 'D1536 .6289920'),
    Case('block size 16 M', lambda: dynamic(32 * MIB, block_size=16 * MIB), 'D16M .16M'),
    Case('block size 3 M', lambda: dynamic(block_size=3 * MIB), 'D3M .5M'),
    *[Case(f'BAT at {n}', lambda n=n: dynamic(header={'table_offset': n}), refuse=f'BAT .*{n}')
      for n in (0, 512, 1024, 1537, 1 << 40, 1 << 63, vhd.ONES - 511, vhd.ONES)],
    *[Case(f'BAT of {n} entries', lambda n=n: dynamic(header={'entries': n}),
           refuse=rf'Max Table Entries.*\({n}\)')
      for n in (0x0fffffff, 0x40000000, 0xffffffff)],
    Case('BAT on the footer at the end', bat_on_footer, refuse='BAT of 4 entries at [0-9]+ does not end before'),
    Case('BAT larger than needed', lambda: dynamic(entries=1024)),
    Case('BAT too small', lambda: dynamic(entries=3), 'D2M .4M !2M',
         warn='block 3 has no BAT entry, there are only 3',
         refuse_write='the BAT has 3 entries, the disk needs 4'),
    Case('BAT of no entries', lambda: dynamic(blocks={}, entries=0), '!8M',
         warn='no BAT entry, there are only 0',
         refuse_write='the BAT has 0 entries, the disk needs 4'),
    Case('BAT padded with zeroes', lambda: dynamic(pad=b'\0')),
]:
    add(case)

# Blocks


def entry(block, sector, **more):
    return dynamic(**more).change_bat(block, sector)


def overlapping():
    image = dynamic(blocks={0: b'\xff'})
    return image.change_bat(1, image.places[0] // SECTOR + 8).insert_before_tail(bytes(4096))


def same_place():
    image = dynamic()
    return image.change_bat(1, image.places[0] // SECTOR)


def short_last_block():
    image = dynamic(7 * MIB, {0: b'D', 3: b'L'})
    del image[-SECTOR - MIB:-SECTOR]
    return image


def junk_under_clear_bits(first, last):
    bits = bytearray(512)
    for i in range(first, last):
        bits[i // 8] |= 0x80 >> i % 8
    return dynamic(blocks={0: b'J'}, bits={0: bytes(bits)})


ON_METADATA = r'block 1 lies on metadata \(BAT entry 0x[0-9a-f]{8}\)'
PAST_END = r'block 1 lies past the end of the file \(BAT entry 0x%08x\)'
ROOM = '|no room for another block'
SHARES = 'block [01] shares its place with another|is not written to'

for case in [
    Case('blocks in reverse order', lambda: dynamic(blocks={3: b'A', 2: b'B', 1: b'C', 0: b'D'}),
         'D2M C2M B2M A2M'),
    Case('3584 bytes before the first block', lambda: dynamic(gap=3584)),
    Case('last block cut short', short_last_block, 'D2M .4M L1M'),
    *[Case(f'BAT entry {n}', lambda n=n: entry(1, n), 'D2M !2M .4M', warn=ON_METADATA, fails={1: EIO},
           left='block 1')
      for n in (0, 1, 2, 3)],
    *[Case(f'BAT entry 0x{n:x}, far past the end', lambda n=n: entry(1, n), 'D2M !2M .4M', warn=PAST_END % n,
           fails={1: EIO}, left='block 1')
      for n in (0x100000, 0x80000000, 0xfffffffe)],
    Case('BAT entry on the footer', lambda: entry(1, 4101), 'D2M !2M .4M', warn=PAST_END % 4101 + ROOM,
         fails={1: EIO, 2: ENOSPC, 3: ENOSPC}, left='block 1'),
    Case('BAT entry a little past the end', lambda: entry(1, 0x3000), 'D2M !2M .4M',
         warn=PAST_END % 0x3000 + ROOM,
         fails={1: EIO, 3: ENOSPC}, left='block 1'),
    Case('BAT entry that goes past the end', lambda: entry(1, 8), 'D2M !2M .4M', warn=PAST_END % 8 + ROOM,
         fails={1: EIO, 2: ENOSPC, 3: ENOSPC}, left='block'),
    Case('two entries the same', same_place, 'D4M .4M', warn=SHARES, fails={0: EIO, 1: EIO},
         left='overlaps'),
    Case('overlapping blocks', overlapping, 'ÿ4190208 .4198400', warn=SHARES, fails={0: EIO, 1: EIO},
         left='overlaps'),
    Case('junk under clear bits', lambda: junk_under_clear_bits(8, 16), '.4K J4K .8184K', warn=HIDDEN,
         left='under a clear bit'),
    Case('junk under clear bits around a sector that is written', lambda: junk_under_clear_bits(3, 5),
         '.1536 J1K .8386048', warn=HIDDEN, left='under a clear bit'),
    Case('locators and batmap before the first block',
         lambda: dynamic(blocks={}, creator=b'tap\0', locators=LOCATORS, batmap=[]), '.8M'),
    Case('all that others keep in an image',
         lambda: dynamic(creator=b'tap\0', creator_version=0x10003, hidden=1, saved_state=0,
                         locators=LOCATORS, batmap=[0],
                         reserved=b'SIMH'.ljust(426, b's'))),
]:
    add(case)

# Locators that are not where they should be


def spoilt_locator(room, length, at):
    image = dynamic(locators=LOCATORS)
    struct.pack_into('>IIIQ', image, image.header_at + 576 + 4, room, length, 0, at)
    image.locators = image.locators[1:]
    return image.change_header()


def locator_after_blocks():
    """Between the last block and the footer, as after an upgrade of the chain"""
    image = dynamic(locators=LOCATORS)
    at = len(image) - SECTOR
    struct.pack_into('>Q', image, image.header_at + 576 + 16, at)
    image.locators[0] = (at, 512)
    return image.insert_before_tail(b'L' * 512).change_header()


def locator_behind(bytes_behind):
    """And no footer: where one would be put, the locator may be"""
    image = spoilt_locator(512, 20, len(dynamic(locators=LOCATORS)) - SECTOR + bytes_behind)
    del image[-SECTOR:]
    return image


def half_a_batmap():
    """All there is is the first part of its header, which is behind the BAT"""
    image = dynamic(blocks={}, batmap=(), creator=b'tap\0', creator_version=0x10003)
    del image[image.bat_at + SECTOR + 100:]
    return image


for case in [
    Case('batmap cut off in its header', half_a_batmap, '.8M', warn='batmap at [0-9]+ is not inside the file|' + HEAD_USED,
         refuse_write='at [0-9]+ no room for one: .* a batmap .* past the end'),
    Case('locator where the footer is missing', lambda: locator_behind(0), 
         warn='parent locator 0|' + HEAD_USED, refuse_write='at [0-9]+ no room for one: parent locators .* past the end'),
    Case('locator behind the missing footer', lambda: locator_behind(SECTOR),
         warn='parent locator 0|no room for another block|' + HEAD_USED, fails={1: ENOSPC, 2: ENOSPC, 3: ENOSPC}),
    Case('locator past the end', lambda: spoilt_locator(512, 20, 1 << 40),
         warn='parent locator 0 at 1099511627776 is not inside the file'),
    Case('locator longer than its room', lambda: spoilt_locator(512, 0xffffffff, 2048)),
    Case('locator at 2^64 - 512', lambda: spoilt_locator(512, 20, vhd.ONES - 511),
         warn='parent locator 0 at 18446744073709551104 is not'),
    Case('locator of no length', lambda: spoilt_locator(0, 0, 0)),
    Case('locator behind the last block', locator_after_blocks),
]:
    add(case)

# What a crash or a full disk left behind


def left_behind(junk, tail=True):
    image = dynamic().insert_before_tail(junk)
    if not tail:
        del image[-SECTOR:]
    return image


def two_footers():
    image = dynamic()
    return image.insert_before_tail(bytes(image[-SECTOR:]) + bytes(2 * MIB))


for case in [
    Case('junk between the last block and the footer', lambda: left_behind(b'J' * 3 * MIB)),
    Case('a block that no entry names', lambda: left_behind(b'\xff' * 512 + b'J' * STEP)),
    Case('junk and no footer', lambda: left_behind(b'J' * 3 * MIB, tail=False), warn=HEAD_USED),
    Case('ragged junk and no footer', lambda: left_behind(b'J' * (MIB + 100), tail=False), warn=HEAD_USED),
    Case('a second footer further out', two_footers),
]:
    add(case)



# A block on what an image can do without: it is read, and written


def apart(data, at, block=1):
    """@block begins at @at, in what is a block's length there; block 0 has made room for it"""
    place = vhd.round_up(at + SECTOR + STEP, SECTOR)
    content = bytes(data[data.places[0]:data.places[0] + SECTOR + STEP])
    del data[at:-SECTOR]
    data.insert_before_tail(b'\xff' * SECTOR + b'Q' * STEP + bytes(place - at - SECTOR - STEP) + content)
    data.places = {block: at, 0: place}
    return data.change_bat(0, place // SECTOR).change_bat(block, at // SECTOR)


def on_advice(which):
    """The block, as QEMU puts it there, on a locator or a batmap: that is gone"""
    data = dynamic(creator=b'tap\0', locators=LOCATORS if 'locator' in which else [], batmap=[])
    at = {'batmap header': lambda: data.batmap_at, 'batmap': lambda: data.batmap_at + SECTOR,
          'locator': lambda: data.locators[0][0], 'room of a locator': lambda: data.locators[1][0] + 1024}[which]()
    return apart(data, at)


def claimed(number, block):
    """A locator or a batmap whose @number is such that it reaches over @block, which is sound"""
    data = dynamic(blocks={0: b'D', 1: b'Q'}, creator=b'tap\0', creator_version=0x10003, locators=LOCATORS, batmap=[])
    place = data.places[block]
    slot = data.header_at + 576
    if number == 'space':
        struct.pack_into('>I', data, slot + 4, place + 4096 - data.locators[0][0])
    elif number == 'offset':
        struct.pack_into('>Q', data, slot + 16, place + 4096)
    elif number == 'batmap sectors':
        vhd.put(data, data.batmap_at, vhd.BATMAP, sectors=(place + 4096 - data.batmap_at) // SECTOR)
    elif number == 'batmap offset':
        vhd.put(data, data.batmap_at, vhd.BATMAP, offset=place + 4096)
    return data.change_header()


def test_on_advice(folder, make, told=True):
    """All of the disk is read and written, and check -r all changes none of it"""
    path = save(folder, make())
    runs = [(STEP, ord('D')), (STEP, ord('Q')), (2 * STEP, 0)]
    equal(poke(path, f'scan:0:{4 * STEP}:4607').runs, [runs], 'contents')
    poked = poke(path, f'write:{STEP}:512:119', f'write:{3 * STEP}:512:119', flags='w')
    equal(poked.rets, [0, 0], 'results of writes')
    check(told == any('lies on metadata that the image can do without' in text for text in poked.warnings),
          f'warnings {poked.warnings}')
    runs = overwrite(overwrite(runs, STEP, SECTOR, 119), 3 * STEP, SECTOR, 119)
    equal(poke(path, f'scan:0:{4 * STEP}:4607').runs, [runs], 'contents after writing')
    check(run(IMG, 'check', '-q', '-f', 'vpc', '-r', 'all', path).returncode == 0, 'not repaired')
    equal(poke(path, f'scan:0:{4 * STEP}:4607').runs, [runs], 'contents after a repair')
    check(poke(path, flags='w').warnings == [], 'warnings after a repair')


for which in ('batmap header', 'batmap', 'locator', 'room of a locator'):
    suite.test(f'block on a {which}: read, written, kept by a repair', test_on_advice,
               lambda which=which: on_advice(which), which != 'batmap header')      # of which nothing is left
for number in ('space', 'offset', 'batmap sectors', 'batmap offset'):
    for block in (0, 1):
        suite.test(f'{number} of what can be done without, over block {block}: read, written, kept by a repair',
                   test_on_advice, lambda number=number, block=block: claimed(number, block))


@suite.fact
def test_room_past_end(folder):
    """a locator whose room goes past the end of the file: new blocks are written all the same"""
    data = dynamic(locators=LOCATORS)
    struct.pack_into('>I', data, data.header_at + 576 + 4, 0xfffffe00)
    path = save(folder, data.change_header())
    poked = poke(path, f'write:{2 * STEP}:512:119', flags='w')
    equal(poked.rets, [0], 'result of write')
    check(re.search('has room for 4294966784 bytes, more than there are', poked.warnings[0]), f'{poked.warnings}')
    check(run(IMG, 'check', '-q', '-f', 'vpc', '-r', 'all', path).returncode == 0, 'not repaired')
    equal(poke(path, f'scan:0:{8 * MIB}:4607', flags='w').runs,
          [[(STEP, ord('D')), (STEP, 0), (512, 119), (2 * STEP - 512, 0)]], 'contents')


@suite.fact
def test_last_sector(folder):
    """last sector cut short by the footer: it is not written over"""
    image = dynamic(size=STEP + 100, blocks={0: b'D', 1: b'L'})
    del image[-SECTOR - STEP + 100:-SECTOR]
    path = save(folder, image)
    poked = poke(path, f'write:{STEP}:100:119', flags='w')
    equal((poked.rets, poked.warnings[0]), ([EIO], PAST_END.replace('\\', '') % 0x1005), 'results and warning')
    unchanged(path, bytes(image))


@suite.fact
def test_room(folder):
    """BAT entry a little past the end: no word of it where there is room for a block"""
    path = save(folder, entry(1, 0x3000))
    poked = poke(path, f'write:{2 * STEP}:512:119', flags='w')
    equal((poked.rets, poked.warnings), ([0], [PAST_END.replace('\\', '') % 0x3000]), 'results and warnings')


# Fixed images


def fixed_file(data, size, **fields):
    return Image(data + vhd.make_footer(size, vhd.FIXED, **fields))


def fixed_511():
    image = fixed(8 * MIB)
    del image[-1:]
    return image


for case in [
    Case('sound fixed', lambda: fixed(8 * MIB), 'F8M'),
    Case('fixed, footer of 511 bytes', fixed_511, 'F8M'),
    *[Case(f'fixed, data offset {n}', lambda n=n: fixed(8 * MIB, data_offset=n), 'F8M')
      for n in (0, 0xffffffff)],
    Case('fixed, file shorter than the disk', lambda: fixed_file(b'F' * 5 * MIB, 8 * MIB), 'F5M .3M',
         warn='the disk has 8388608 bytes but the file only 5242880',
         refuse_write='the file only 5242880 of them'),
    Case('fixed, disk of 2^63 - 1 bytes', lambda: fixed_file(b'F' * MIB, (1 << 63) - 1), 'F1M .7M',
         size=(1 << 63) - 1,
         warn='the disk has 9223372036854775807 bytes', refuse_write='the file only 1048576 of them'),
    Case('fixed, disk of 2^63 bytes', lambda: fixed_file(b'F' * MIB, 1 << 63),
         refuse='current size is 9223372036854775808 bytes, more than can be'),
    Case('fixed, file longer than the disk', lambda: fixed_file(b'F' * 9 * MIB, 8 * MIB), 'F8M',
         warn='holds 9437184 bytes of data, more than the current size of 8388608'),
    Case('fixed, size no multiple of 512', lambda: fixed(8 * MIB - 100), 'F8388508'),
    Case('fixed, size 0', lambda: fixed(0), ''),
    Case('fixed, 512 bytes behind the footer', lambda: Image(fixed(8 * MIB) + bytes(512)),
         refuse='there is one at 8388608, with 512 bytes behind it'),
    Case('fixed, checksum wrong', lambda: fixed(8 * MIB).change_footer('tail', sealed=False, checksum=1),
         refuse='footer at the end: checksum is 0x00000001'),
    Case('fixed, its guest wrote a cookie', lambda: fixed(8 * MIB).change(0, b'conectix'),
         'c1 o1 n1 e1 c1 t1 i1 x1 F8388600'),
    Case('fixed, footer at the start', lambda: Image(vhd.make_footer(8 * MIB, vhd.FIXED) + b'F' * MIB),
         refuse='fixed disk is at the start of the file instead of its end'),
    Case('fixed, saved state', lambda: fixed(8 * MIB, saved_state=1), 'F8M', warn_write='saved state'),
    Case('fixed, poisoned', lambda: fixed(8 * MIB, cookie=b'v_poison'), 'F8M', refuse_write='v_poison'),
    Case('VHDX', lambda: b'vhdxfile' + b'M\0S\0' * 100000, refuse='VHDX'),
    Case('raw', lambda: b'R' * MIB, refuse='no VHD'),
]:
    add(case)


@suite.fact
def test_inner_image(folder):
    """fixed, its guest wrote the start of a dynamic image: still the fixed one"""
    inner = bytes(dynamic()[:4096])
    data = bytes(fixed(8 * MIB).change(0, inner))
    path = save(folder, data)
    for options, flags in (('driver=vpc', ''), ('', 'p')):
        poked = poke(path, f'dump:{folder}/out:4607', options=options, flags=flags)
        equal((poked.driver, poked.size, poked.rets), ('vpc', 8 * MIB, [0]), 'driver, size, reading')
        check((folder / 'out').read_bytes() == data[:-SECTOR], 'contents differ')
    unchanged(path, data)


# Small files

def test_short(folder, fill):
    path = folder / 'image.vhd'
    for length in [*range(0, 601, 7), 510, 511, 512, 513, 600]:
        data = (fill * 600)[:length]
        path.write_bytes(data)
        for flags in ('c', 'cw'):
            poked = poke(path, flags=flags)
            check(poked.error and re.search('shorter than a VHD footer|no VHD|checksum is', poked.error),
                  f'{length} bytes: {poked.error or "opened"}')
        poke(path, 'scan:0:600:100', flags='p', options='')
        unchanged(path, data)


for what, fill in (('zeroes', b'\0'), ('ones', b'\xff'), ('cookies', b'conectix'),
                   ('VHDX cookies', b'vhdxfile')):
    if what != 'VHDX cookies':
        suite.test(f'files of up to 600 bytes, of {what}', test_short, fill)


suite.main()
