# check.py - images with planted defects: each is found by its code, and repaired where that can be done
# SPDX-License-Identifier: MIT
"""Codes are written with what they mean for the image: 'B3!' corruption, 'G1~' leak, 'F4.' note. H3 and B7,
which all images here have as notes (small blocks, not aligned), are left out except where they are the point.
After a repair other programs and the second implementation of vhd.py must see what was to be seen; mend.c
repairs the same images with the power cut and an error at every write."""

import dataclasses
import json
import random
import re
import shutil
import struct
import typing

import vhd
from cases import LOCATORS, merge, runs_of
from harness import BUILD, IMG, IO, Failure, Skip, Suite, check, equal, need, poke, run, works
from vhd import MIB, SECTOR, Image, dynamic, fixed, utf16

suite = Suite(__file__)

MEND = BUILD / 'tests/lib/mend'
BLOCK = 65536
COUNT = 8
SIZE = COUNT * BLOCK
SIGNS = {'!': 'corruption', '~': 'leak', '.': 'note'}
READS = 'A64K .64K B64K .128K C64K .128K'
USUAL = {'H3.', 'B7.'}


def image(blocks=None, **more):
    return dynamic(**{'size': SIZE, 'blocks': {0: b'A', 2: b'B', 5: b'C'} if blocks is None else blocks,
                      'block_size': BLOCK, 'creator': b'win ', 'creator_version': 0xa0000, **more})


def no_entries(gap):
    """A disk of no length, whose BAT could be anywhere"""
    data = image({}, size=0, entries=0, gap=2 * gap)
    return data.change_header(table_offset=data.bat_at + gap)


def xen_image(full=(0, 2, 5), **more):
    return image(**{'creator': b'tap\0', 'creator_version': 0x10003, 'batmap': full, **more})


def fixed_image(size=SIZE, **more):
    return fixed(size, creator=b'win ', **more)


def child_image(name='base.vhd', **more):
    found = {'blocks': {2: b'B'}, 'size': SIZE, 'block_size': BLOCK, 'creator': b'win ', 'uuid': b'the child itself',
             'locators': [vhd.locator('W2ru', '.\\' + name)]}
    return vhd.differencing(utf16(name, 'be'), **{**found, **more})


def bits(*sectors):
    """A bitmap with these bits set"""
    data = bytearray(SECTOR)
    for i in sectors:
        data[i // 8] |= 0x80 >> i % 8
    return bytes(data)


@dataclasses.dataclass
class Row:
    """@found and @left: codes before and after -r all; @reads: the disk after that, '': can't be read"""

    name: str
    make: typing.Callable[[], bytes]
    found: str
    left: str = ''
    reads: str = READS
    parents: dict = dataclasses.field(default_factory=dict)
    options: str = ''
    text: str = ''              # pattern of the text of the first finding
    foreign: bool = True        # QEMU is able to read it when it is sound
    may_leak: bool = False      # a repair that was interrupted leaves space that the next one can't give back
    between: str = ''           # corruptions that may come and go while it is repaired
    exit: int = -1              # if it is not what the codes say


# Running it

def codes_of(report, key='findings'):
    signs = {word: sign for sign, word in SIGNS.items()}
    return {f['code'] + signs[f['class']] for f in report.get(key, [])}


def words(text):
    return set(text.split())


def status_of(codes):
    return 2 if any('!' in code for code in codes) else 3 if any('~' in code for code in codes) else 0


def run_check(path, *options, expected=None):
    """The report; @expected: exit status, None: by what is found"""
    done = run(IMG, 'check', '-f', 'vpc', '--output=json', *options, path)
    if expected == 1:
        equal(done.returncode, 1, 'exit status')
        return done.stderr
    check(done.stdout, f'no report, exit status {done.returncode}: {done.stderr}')
    report = json.loads(done.stdout)
    status = status_of(codes_of(report)) if expected is None else expected
    equal((done.returncode, done.stderr), (status, ''), 'exit status and standard error')
    return report


def compare_codes(found, expected, what):
    found, expected = found, words(expected)
    equal(sorted(found - (USUAL - expected)), sorted(expected), what)


def save(folder, row):
    for name, data in row.parents.items():
        (folder / name).write_bytes(data)
    path = folder / 'image.vhd'
    path.write_bytes(row.make())
    return path


def test_found(folder, row):
    path = save(folder, row)
    before = path.read_bytes()
    report = run_check(path, expected=row.exit if row.exit >= 0 else None)
    check(path.read_bytes() == before, 'the file was changed by looking')
    if row.exit == 1:
        check(re.search(row.text, report), f'error "{report}", should be like "{row.text}"')
        return
    compare_codes(codes_of(report), row.found, 'codes')
    texts = [case['text'] for f in report['findings'] for case in f['cases']]
    check(not row.text or any(re.search(row.text, text) for text in texts),
          f'findings "{texts}", one should be like "{row.text}"')


# Repairing it

def read_ours(path):
    poked = poke(path, f'scan:0:{SIZE}:4607', options='driver=vpc')
    check(not poked.error, f'was not opened: {poked.error}')
    return poked.runs[0]


def pattern(path, runs):
    """A raw twin of @runs"""
    with open(path, 'wb') as file:
        for count, value in runs:
            file.write(bytes([value]) * count)
    return path


def read_by_others(folder, path, runs):
    """Of dynamic and fixed disks: QEMU, 7-Zip and libvhdi, where they are there"""
    twin = pattern(folder / 'twin', runs)
    if shutil.which('qemu-img'):
        done = run('qemu-img', 'compare', '-f', 'raw', '-F', 'vpc', twin, path)
        check(done.returncode == 0, f'QEMU sees something else: {done.stdout}{done.stderr}')
    if shutil.which('vhdiinfo'):
        works('vhdiinfo', path)
    if shutil.which('7z'):
        out = works('7z', 'e', '-so', '-tvhd', path, binary=True)
        check(out == twin.read_bytes(), '7-Zip sees something else')


def read_by_description(path, runs):
    disk = vhd.Disk(path.read_bytes())
    equal(disk.problems, [], 'problems, as vhd.py sees them')
    check(disk.contents() == b''.join(bytes([value]) * count for count, value in runs), 'vhd.py sees something else')


def test_repair(folder, row):
    path = save(folder, row)
    before = path.read_bytes()
    report = run_check(path, '-r', 'all')
    left = words(row.left)
    compare_codes(codes_of(report), row.left, 'codes that are left')
    again = run_check(path)
    compare_codes(codes_of(again), row.left, 'codes of a second check')
    if not words(row.found) - left:
        check(path.read_bytes() == before, 'nothing was to be repaired, and the file was changed')
    check(not [f for f in report['findings'] if f['repairable']], f'repairable ones are left: {report["findings"]}')
    fixed_codes = codes_of(report, 'repaired')
    check(words(row.found) <= left or fixed_codes, 'nothing is said to be repaired')
    if row.reads and not row.parents:
        runs = merge(runs_of(row.reads))
        equal(read_ours(path), runs, 'contents')
        if not any('!' in code for code in left) and row.foreign:
            read_by_others(folder, path, runs)
            read_by_description(path, runs)


def test_leaks_only(folder, row):
    """-r leaks changes no byte of the disk, and nothing but leaks"""
    path = save(folder, row)
    before = path.read_bytes()
    report = run_check(path, '-r', 'leaks')
    kept = {code for code in words(row.found) if '~' not in code}
    check(kept <= codes_of(report) | USUAL, f'left are {codes_of(report)}, should be {kept} at least')
    if not any('~' in code for code in words(row.found)):
        check(path.read_bytes() == before, 'there is no leak, and the file was changed')


def test_mend(folder, row):
    path = save(folder, row)
    done = run(MEND, *(['-l'] if row.may_leak else []), '-c', row.between, path)
    check(done.returncode == 0, f'mend {path} exits with {done.returncode}:\n{done.stdout}{done.stderr}')


def add(row):
    suite.test(f'{row.name}: found', test_found, row)
    if row.exit == 1:
        return
    suite.test(f'{row.name}: repaired' if words(row.found) != words(row.left) else f'{row.name}: left alone',
               test_repair, row)
    if words(row.found) != words(row.left) and not row.parents:
        suite.test(f'{row.name}: only leaks repaired', test_leaks_only, row)
        suite.test(f'{row.name}: repair interrupted anywhere', test_mend, row)


# The ends of the file

def cut(count, make=image):
    data = make()
    del data[-count:]
    return data


def end(where, junk, make=image):
    data = make()
    return data.change(0 if where == 'head' else len(data) - SECTOR, junk)


def unsealed(where, make=image, **fields):
    return make().change_footer(where, sealed=False, **(fields or {'checksum': 1}))


def both_gone(make=image):
    return end('head', bytes(SECTOR), make).change_footer('tail', sealed=False, cookie=bytes(8))


def moved_header(where):
    """The header in a new place, as after a rebase; the footer @where refers to it"""
    data = image(gap=4096)
    data.change(4096, bytes(data[SECTOR:SECTOR + 1024]))
    return data.change_footer(where, data_offset=4096)


def footer_in_block(where, sealed=True):
    """No footer at the end; the guest keeps the same one as data"""
    data = image()
    footer = bytes(data[-SECTOR:] if sealed else data[-SECTOR:-1] + b'!')
    return Image(data.change(data.places[5] + where, footer)[:-SECTOR])


def bat_on_footer():
    data = image()
    return data.change_header(table_offset=len(data) - SECTOR)


def footer_in_header():
    """No footer at the end; the unused part of the header has the same one"""
    data = image({})
    return Image(data.change(2 * SECTOR, bytes(data[-SECTOR:])).change_header()[:-SECTOR])


GROWN = 2 * SIZE
QEMU_GEOMETRY = {'cylinders': 65535, 'heads': 16, 'sectors': 255}      # with force_size, of a disk of any size

for case in [
    Row('a sound image', image, ''),
    Row('a sound fixed image', fixed_image, '', reads='F512K'),
    Row('an empty image', lambda: image({}), '', reads='.512K'),
    Row('no footer at the end', lambda: cut(SECTOR), 'F2!', text='no footer at 200192, the end'),
    Row('no footer at the end, and a ragged one', lambda: cut(200), 'F2!'),
    Row('junk for a footer', lambda: end('tail', b'J' * SECTOR), 'F2!'),
    Row('a footer overwritten by a crashed tapdisk', lambda: end('tail', b'\xc7' * SECTOR), 'F2!'),
    Row('a footer with a wrong checksum', lambda: unsealed('tail'), 'F5!',
        text='at 200192 is 0x00000001, should be 0x'),
    Row('no copy of the footer', lambda: end('head', bytes(SECTOR)), 'F1!'),
    Row('a copy with a wrong checksum', lambda: unsealed('head'), 'F5!', text='at 0 is 0x00000001'),
    Row('both checksums wrong', lambda: unsealed('both'), 'F5!'),
    Row('all checksums wrong', lambda: unsealed('both').change_header(sealed=False, checksum=1), 'F5! H1!'),
    Row('both checksums wrong, and the geometry that QEMU writes for an exact size', lambda: unsealed('both', **QEMU_GEOMETRY),
        'F5!'),
    Row('all checksums wrong, and that geometry',
        lambda: unsealed('both', **QEMU_GEOMETRY).change_header(sealed=False, checksum=1), 'F5! H1!'),
    Row('a fixed disk with a wrong checksum and that geometry', lambda: unsealed('tail', fixed_image, **QEMU_GEOMETRY), 'F5!',
        reads='F512K'),
    Row('all checksums wrong, and the number of entries',
        lambda: unsealed('both').change_header(sealed=False, entries=3), '', exit=1, text='checksum is 0x'),
    Row('all checksums wrong, and a bad entry',
        lambda: unsealed('both').change_header(sealed=False, checksum=1).change_bat(1, 2), 'F5! H1! B1!', 'H1! B1!', ''),
    Row('both checksums wrong, and the size', lambda: unsealed('both', current_size=SIZE * 3), 'F2! F5!',
        'F2! F5!', ''),
    Row('both footers gone, a header there', both_gone, 'F2!', 'F2!', '', text='a header at 512, and a footer neither'),
    Row('footers and header gone', lambda: both_gone().change(SECTOR, bytes(1024)), '', exit=1,
        text='no VHD: it neither ends nor begins with a footer'),
    Row('a raw disk', lambda: b'R' * MIB, '', exit=1, text='no VHD'),
    Row('an empty file', lambda: b'', '', exit=1, text='shorter than a VHD footer'),
    Row('no footer at the end, but in a block', lambda: footer_in_block(BLOCK // 2), 'F2!', reads='',
        text='no footer at 200192, the end'),
    Row('no footer at the end, but at that of a block', lambda: footer_in_block(BLOCK, False), 'F2!', reads='',
        text='no footer at 200192, the end'),
    Row('no footer at the end, but in the header', footer_in_header, 'F2! L1.', '', '.512K', between='F3'),
    Row('a footer of 511 bytes', lambda: cut(1), 'F4.'),
    Row('a copy with another unique id', lambda: image().change_footer('head', uuid=b'another one here'), 'F3.'),
    Row('a copy with another time', lambda: image().change_footer('head', timestamp=77), 'F3.'),
    Row('a footer of a disk too large for the BAT', lambda: image().change_footer('tail', current_size=GROWN), 'F3!'),
    Row('a copy of a disk too large for the BAT', lambda: image().change_footer('head', current_size=GROWN), 'F3!'),
    Row('a copy that refers to no header', lambda: image().change_footer('head', data_offset=2048), 'F3!'),
    Row('a footer that refers to no header', lambda: image().change_footer('tail', data_offset=2048), 'F3!'),
    Row('a copy of another version, and a footer of a disk too large for the BAT',
        lambda: image().change_footer('head', version=0x20000).change_footer('tail', current_size=GROWN),
        'F3! H4!', 'F3! H4!', ''),
    Row('a BAT of no entries, far out', lambda: no_entries(4 * BLOCK), 'G1~', '', '.0K', foreign=False),
    Row('a copy that has a parent, and a footer of a disk too large for the BAT',
        lambda: image().change_footer('head', type=4).change_footer('tail', current_size=GROWN), 'F3! H4!', 'F3! H4!', ''),
    Row('a parent changed half-way', lambda: moved_header('tail'), 'F3!'),
    Row('two sizes that both could be', lambda: image(entries=16).change_footer('tail', current_size=GROWN),
        'F3!', 'F3!', ''),
    Row('two sizes that both could be, and a bad entry',
        lambda: image(entries=16).change_footer('tail', current_size=GROWN).change_bat(1, 2), 'F3! B1!', 'F3! B1!', ''),
    Row('512 bytes behind the footer', lambda: Image(image() + bytes(512)), 'G2~', text='512 bytes follow'),
    Row('60000 bytes behind the footer', lambda: Image(image() + b'J' * 60000), 'G2~'),
    Row('bytes behind the footer, and no copy', lambda: Image(end('head', bytes(SECTOR)) + b'J' * 512), 'G2~ F1!'),
    Row('a fixed disk with bytes behind it', lambda: Image(fixed_image() + b'J' * 512), 'G2~', reads='F512K'),
    Row('a fixed disk with a wrong checksum', lambda: unsealed('tail', fixed_image), 'F5!', reads='F512K'),
    Row('a fixed disk, footer of 511 bytes', lambda: cut(1, fixed_image), 'F4.', reads='F512K'),
    Row('a footer of version 2.0', lambda: image(version=0x20000), 'F6!', 'F6!', ''),
    *[Row(f'disk type {n}', lambda n=n: image(type=n), 'F6!', 'F6!', '') for n in (0, 5)],
    Row('features 0', lambda: image(features=0), 'F6.', 'F6.'),
    Row('a fixed disk with a data offset', lambda: fixed_image(data_offset=0), 'F6.', 'F6.', 'F512K', foreign=False),
    Row('a size of 2^63', lambda: image(current_size=1 << 63), 'F7!', 'F7!', ''),
    Row('a fixed disk longer than its file', lambda: Image(fixed_image()[SIZE // 2:]), 'F7!', 'F7!', 'F256K .256K'),
    Row('a fixed disk shorter than its file', lambda: Image(b'F' * MIB + fixed_image()[SIZE:]), 'F7.', 'F7.', 'F512K',
        foreign=False),
    Row('a creator that QEMU 9 reads by the geometry', lambda: image(creator=b'vbox'), 'F7.', 'F7.', foreign=False),
    Row('a size that is no multiple of 512', lambda: fixed(SIZE - 100, creator=b'win '), 'F7.', 'F7.', ''),
    Row('hidden by Xen', lambda: xen_image(hidden=1), 'P.', 'P.', foreign=False),
    Row('a saved state', lambda: image(saved_state=1), 'P.', 'P.'),
    Row('poisoned', lambda: cut(SECTOR, lambda: image(cookie=b'v_poison')), 'P. F2!', 'P. F2!', ''),
]:
    add(case)

# The header


def header(**fields):
    return image(header=fields)


for case in [
    Row('a header with a wrong checksum', lambda: image().change_header(sealed=False, checksum=1), 'H1!',
        text='0x00000001, should be 0x'),
    Row('a header with a wrong checksum, and too many entries', lambda: image().change_header(sealed=False, entries=9),
        'H1! H4.', 'H1! H4.', ''),
    Row('a header with a wrong checksum, and a bad entry',
        lambda: image().change_header(sealed=False, checksum=1).change_bat(1, 2), 'H1! B1!', 'H1! B1!', ''),
    Row('a header without its cookie', lambda: header(cookie=bytes(8)), 'H1!', 'H1!', ''),
    Row('a header that is nowhere', lambda: image(data_offset=1 << 40), 'H1!', 'H1!', ''),
    Row('a header of version 2.0', lambda: header(version=0x20000), 'H2!', 'H2!', ''),
    Row('a header of version 1.1', lambda: header(version=0x10001), 'H2.', 'H2.', foreign=False),
    Row('a data offset of 32 ones', lambda: header(data_offset=0xffffffff), 'H2.', 'H2.'),
    *[Row(f'a block size of {n}', lambda n=n: header(block_size=n), 'H3!', 'H3!', '') for n in (0, 513, 1 << 30)],
    Row('a block size of 512', lambda: dynamic(8192, {3: b'D'}, 512, creator=b'win '), 'H3.', 'H3.', '',
        text='QEMU misreads'),
    *[Row(f'a BAT at {n}', lambda n=n: header(table_offset=n), 'H4!', 'H4!', '') for n in (0, 1024, 1537, 1 << 40)],
    Row('a BAT on the footer at the end', bat_on_footer, 'H4!', 'H4!', ''),
    Row('a BAT of 2^30 entries', lambda: header(entries=1 << 30), 'H4!', 'H4!', ''),
    Row('too few BAT entries', lambda: header(entries=7), 'H4!', 'H4!', ''),
    Row('too many BAT entries', lambda: image(entries=16), 'H4.', 'H4.', foreign=False),
    Row('a BAT padded with zeroes', lambda: image(pad=b'\0'), ''),
    Row('a BAT padded with junk', lambda: image().change(3 * SECTOR + 40, b'junk'), 'H5.', 'H5.'),
]:
    add(case)

# Parents

PARENT = {'base.vhd': bytes(image({0: b'P'}))}
OTHER = {'base.vhd': bytes(image({0: b'P'}, uuid=b'not the identity'))}


def spoilt_locator(room, length, at):
    data = child_image()
    struct.pack_into('>IIIQ', data, data.header_at + 576 + 4, room, length, 0, at)
    return data.change_header()


for case in [
    Row('a child', child_image, '', parents=PARENT),
    Row('a child whose parent is missing', child_image, 'L2!', 'L2!', parents={'other': b''},
        text='could not find the parent'),
    Row('a child whose parent is another', child_image, 'L3!', 'L3!', parents=OTHER,
        text="has the unique id 6e6f7420-7468-.*, the parent's is 10111213-"),
    Row('a child that is its own parent', lambda: child_image('image.vhd', uuid=vhd.UUID), 'L5!', 'L5!',
        parents={'other': b''}),
    Row('a child that is its own grandparent', child_image, 'L5!', 'L5!',
        parents={'base.vhd': bytes(child_image('image.vhd', uuid=vhd.UUID, parent_uuid=b'the child itself'))}),
    Row('a child whose parent has no parent', child_image, 'L2!', 'L2!', text="parent '.*base.vhd': could not find",
        parents={'base.vhd': bytes(child_image('gone.vhd', uuid=vhd.UUID))}),
    Row('a child that remembers another time', lambda: child_image(parent_timestamp=12345), 'L4.', 'L4.',
        parents=PARENT),
    Row('a child of a smaller parent', child_image, 'L6.', 'L6.', text='goes on with zeroes',
        parents={'base.vhd': bytes(image({0: b'P'}, size=SIZE // 2))}),
    Row('a child of a larger parent', child_image, 'L6.', 'L6.', text='not to be seen',
        parents={'base.vhd': bytes(image({0: b'P'}, size=SIZE * 2))}),
    Row('a locator past the end of the file', lambda: spoilt_locator(512, 20, 1 << 40), 'L1!', parents=PARENT,
        text='not inside the file'),
    Row('a locator longer than its room', lambda: spoilt_locator(512, 513, 2048), 'L1!', parents=PARENT),
    Row('a locator on the BAT', lambda: spoilt_locator(512, 20, 1536), 'L1!', parents=PARENT,
        text='on other metadata'),
    Row('a locator with room in sectors', lambda: spoilt_locator(1, 20, 2048), 'L1.', 'L1.', parents=PARENT),
    Row('a locator of an unknown kind',
        lambda: child_image(locators=[(b'W2ru', utf16('.\\base.vhd'), 512), (b'????', b'x', 512)]), 'L1.', 'L1.',
        parents=PARENT),
    Row('a grandchild with a block that holds nothing', lambda: child_image(bits={2: bytes(512)}), 'S3~',
        parents={'base.vhd': bytes(child_image('root.vhd', uuid=vhd.UUID, parent_uuid=b'the root of both')),
                 'root.vhd': bytes(image(uuid=b'the root of both'))}),
    Row('a child with a block that holds nothing', lambda: child_image(bits={2: bytes(512)}), 'S3~', parents=PARENT),
]:
    add(case)


@suite.fact
def test_probed_child(folder):
    """a child whose format was guessed: its parent is not looked for, and that is no error"""
    path = folder / 'child.img'
    path.write_bytes(child_image())
    done = run(IMG, 'check', '--output=json', path)
    equal(done.returncode, 0, 'exit status')
    compare_codes(codes_of(json.loads(done.stdout)), 'L2.', 'codes')


# Blocks


def entry(block, sector, **more):
    return image(**more).change_bat(block, sector)


def entry_on(which):
    data = image(locators=LOCATORS) if which == 'a locator' else xen_image()
    at = data.locators[0][0] if which == 'a locator' else data.batmap_at
    return data.change_bat(1, at // SECTOR)


def over(which):
    """A block that QEMU wrote over a locator or a batmap"""
    data = xen_image(locators=LOCATORS)
    at = {'a locator': data.locators[0][0], 'a batmap': data.batmap_at + SECTOR}[which]
    end_at = at + SECTOR + BLOCK
    old = {block: bytes(data[place:place + SECTOR + BLOCK]) for block, place in data.places.items()}
    footer = bytes(data[-SECTOR:])
    del data[at:]
    data.extend(b'\xff' * SECTOR + b'Q' * BLOCK)
    for block, content in old.items():
        data.change_bat(block, len(data) // SECTOR)
        data.extend(content)
    check(len(data) >= end_at, 'lay-out')
    return Image(data + footer).change_bat(1, at // SECTOR)


def cut_block(missing):
    """The file ends @missing bytes before its last block does, and a footer was put there"""
    data = image()
    del data[-SECTOR - missing:-SECTOR]
    return data


def same_place(*more):
    data = image()
    for block in more:
        data.change_bat(block, data.places[0] // SECTOR)
    return data


def overlapping(shared, count=1):
    """Block 1, and so on, begin before the end of the one before. Bitmaps are ones, data is, too"""
    data = image({0: b'\xff', 2: b'\xff', 5: b'\xff'})
    at = data.places[5]
    for block in (6, 7)[:count]:
        at += SECTOR + BLOCK - shared
        data.change_bat(block, at // SECTOR)
    data.insert_before_tail(b'\xff' * (at + SECTOR + BLOCK - (len(data) - SECTOR)))
    return data


def dosbox():
    """The last sector of a block lies under the bitmap of the next, which was written later"""
    data = image({0: b'A', 2: b'B'})
    at = data.places[2] + BLOCK
    data.change_bat(5, at // SECTOR)
    data.insert_before_tail(b'C' * BLOCK)
    return data.change(at, b'\xff' * SECTOR)


def garbled():
    """Block 5 begins in the data of block 2, which is what is in its bitmap"""
    data = image({0: b'A', 2: b'B'})
    at = data.places[2] + SECTOR + BLOCK - 4096
    return data.change_bat(5, at // SECTOR).insert_before_tail(b'C' * (BLOCK + SECTOR - 4096))


def short_overlapping():
    """The last block, of half a disk block, begins in the last sector of the one before"""
    data = image({0: b'A', 2: b'B', 5: b'C'}, size=SIZE - BLOCK // 2)
    at = data.places[5] + BLOCK
    return data.change(at, b'\xff' * SECTOR).change_bat(7, at // SECTOR).insert_before_tail(b'L' * (BLOCK // 2))


def short_last():
    data = image({0: b'A', 2: b'B', 5: b'C', 7: b'L'}, size=SIZE - BLOCK // 2)
    del data[-SECTOR - BLOCK // 2:-SECTOR]
    return data


def crowded():
    data = image({0: b'A'}, size=4096 * BLOCK)
    return data.change(data.bat_at, struct.pack('>I', data.places[0] // SECTOR) * 4096)


for case in [
    *[Row(f'a BAT entry of {n}', lambda n=n: entry(1, n), 'B1!') for n in (0, 1, 2, 3)],
    Row('a BAT entry on a locator', lambda: entry_on('a locator'), 'B1!', reads='', between='S1'),
    Row('a BAT entry on a batmap', lambda: entry_on('a batmap'), 'B1!', reads='', between='S1'),
    Row('a block that QEMU wrote over a locator', lambda: over('a locator'), 'B1!',
        reads='A64K Q64K B64K .128K C64K .128K', text='over metadata', foreign=False),
    Row('a block that QEMU wrote over a batmap', lambda: over('a batmap'), 'B1! M1! M2!',
        reads='A64K Q64K B64K .128K C64K .128K', foreign=False),
    *[Row(f'a BAT entry of 0x{n:x}', lambda n=n: entry(1, n), 'B2!', text='past the end')
      for n in (0x200, 0x1000, 0x80000000, 0xfffffffe)],
    Row('a BAT entry on the footer', lambda: entry(1, 391), 'B2!'),
    Row('entries past the end and on metadata', lambda: entry(1, 0x1000).change_bat(3, 2), 'B1! B2!'),
    Row('an entry past the end, and room before the footer',
        lambda: entry(1, 0x1000).insert_before_tail(b'J' * 2 * BLOCK), 'B2! G1~', 'G1~', foreign=False),
    *[Row(f'a block cut short by {n} bytes', lambda n=n: cut_block(n), 'B2!', text='with its end cut off', between='F2',
          reads=f'A64K .64K B64K .128K C{BLOCK - n} .{2 * BLOCK + n}') for n in (512, 1024, BLOCK - 512, BLOCK)],
    Row('a file cut in the middle of a block', lambda: cut(20 * SECTOR + 100), 'F2! B2!',
        reads=f'A64K .64K B64K .128K C55708 .{2 * BLOCK + 9828}'),
    Row('a file cut between blocks', lambda: cut(SECTOR + BLOCK + SECTOR), 'F2! B2!', reads='A64K .64K B64K .320K'),
    Row('two entries the same', lambda: same_place(1), 'B3!', reads='A128K B64K .128K C64K .128K',
        text='block 1 at 2048 shares 66048 bytes with block 0 at 2048'),
    Row('four entries the same', lambda: same_place(1, 3, 7), 'B3!', reads='A128K B64K A64K .64K C64K .64K A64K'),
    Row('blocks that overlap by 4096 bytes', lambda: overlapping(4096), 'B4!',
        reads='ÿ64K .64K ÿ64K .128K ÿ128K .64K'),
    Row('three blocks that overlap', lambda: overlapping(BLOCK // 2, 2), 'B4!', reads='ÿ64K .64K ÿ64K .128K ÿ192K'),
    Row('blocks that overlap by 512 bytes', dosbox, 'B4!', reads='A64K .64K B65024 ÿ512 .128K C64K .128K',
        text='as DOSBox-X before 2023'),
    Row('a block whose bitmap is the data of another', garbled, 'B4!', between='S1',
        reads='A64K .64K B64K .128K B3584 C61952 .128K'),
    Row('the last block, cut where the disk ends, overlaps another', short_overlapping, 'B4! B5.', 'S2.', ''),
    Row('a crowd of entries on one block', crowded, 'B3!', 'B3!', ''),
    Row('the last block cut where the disk ends', short_last, 'B5. S2.', 'B5. S2.', '', foreign=False),
    Row('a block behind the end of the disk', lambda: image(entries=16, blocks={0: b'A', 2: b'B', 5: b'C', 12: b'X'}),
        'H4. B6~', 'H4.', foreign=False),
    Row('data that is aligned', lambda: image(gap=1536), '', text=''),
    Row('data that is not aligned', image, 'B7.', 'B7.', text='the data of block 0 is at 2560'),
]:
    add(case)

# Bitmaps


def past_end(data):
    """A disk that ends in the middle of its last block; @data: what is behind that"""
    made = image({0: b'A', 2: b'B', 5: b'C', 7: b'L'}, size=SIZE - BLOCK // 2)
    return made.change(made.places[7] + SECTOR + BLOCK // 2, data * (BLOCK // 2))


def hole():
    """One block of zeroes with all bits set"""
    return image({0: b'A', 2: b'B', 5: b'C', 7: b'\0'})


for case in [
    Row('data under clear bits', lambda: image(bits={2: bits(*range(8, 24))}), 'S1!', text='data in 112 sectors'),
    Row('data under one clear bit', lambda: image(bits={2: bits(*range(127))}), 'S1!', text='data in 1 sectors'),
    Row('data in a block whose bits are all clear', lambda: image(bits={2: bytes(512)}), 'S1!'),
    Row('clear bits over zeroes', lambda: image({0: b'A', 2: b'B' * 4096 + bytes(BLOCK - 4096), 5: b'C'},
                                                bits={2: bits(*range(8))}), '', reads='A64K .64K B4K .188K C64K .128K'),
    Row('a block that holds nothing', lambda: image({0: b'A', 2: b'B', 5: b'C', 7: b'\0'}, bits={7: bytes(512)}),
        'S3~'),
    Row('bits past the end of the disk', lambda: past_end(b'\0'), 'S2.', 'S2.', '',
        text='disk ends with sector 64 of 128'),
    Row('data past the end of the disk', lambda: past_end(b'X'), 'S2.', '', '', text='where there is data'),
]:
    add(case)

# Xen's map of full blocks


def batmap(**fields):
    data = xen_image()
    vhd.put(data, data.batmap_at, vhd.BATMAP, **fields)
    return data


def batmap_behind(shift=0, **fields):
    """The map is behind all blocks, with a sector of room behind it for @shift bytes"""
    data = xen_image()
    at = data.batmap_at + SECTOR
    data.insert_before_tail(data[at:at + SECTOR] + bytes(SECTOR if shift else 0))
    vhd.put(data, data.batmap_at, vhd.BATMAP, offset=len(data) - SECTOR * (3 if shift else 2) + shift, **fields)
    return data


for case in [
    Row('a sound batmap', xen_image, ''),
    Row('a batmap behind all blocks', batmap_behind, ''),
    Row('a batmap that is not at a sector', lambda: batmap_behind(8), 'M3!', between='M1'),
    Row('a batmap over nothing but the end', lambda: batmap_behind(sectors=2), 'M3!', between='M1'),
    Row('a batmap with a wrong checksum', lambda: batmap(checksum=1), 'M1!'),
    Row('a batmap with a bit too many, for a block that is not full',
        lambda: xen_image(blocks={0: b'A', 2: b'B' * 4096 + bytes(BLOCK - 4096), 5: b'C'}, bits={2: bits(*range(8))}),
        'M2!', between='M1',         reads='A64K .64K B4K .188K C64K .128K'),
    Row('a batmap with a bit too many, for a block that is not there', lambda: xen_image(full=(0, 1, 2, 5)), 'M2!',
        between='M1', text='block 1 is not there'),
    *[Row(f'a batmap at {n}', lambda n=n: batmap(offset=n), 'M3!') for n in (0, 1536, 1537, 1 << 40)],
    Row('a batmap that is too short', lambda: batmap(sectors=0), 'M3!'),
    Row('no batmap', lambda: image(creator=b'tap\0', creator_version=0x10003), 'M3.', 'M3.'),
    Row('a block that is full in the batmap, and past the end', 
        lambda: xen_image(full=(0, 1, 2, 5)).change_bat(1, 0x1000), 'B2!', between='M1'),
    Row('a block that is full in the batmap, and holds nothing',
        lambda: xen_image(blocks={0: b'A', 2: b'B', 5: b'C', 7: b'\0'}, bits={7: bytes(512)}, full=(0, 2, 5, 7)),
        'S3~ M2!', between='M1'),
]:
    add(case)

# Space


def room(data):
    return image().insert_before_tail(data)


def gap():
    """A block that no entry names any more, in the middle"""
    return image().change_bat(2, vhd.UNUSED)


for case in [
    Row('empty room before the footer', lambda: room(bytes(3 * BLOCK)), 'G1~', text='196608 bytes at 200192'),
    Row('room with data in it before the footer', lambda: room(b'J' * 3 * BLOCK), 'G1~'),
    Row('less room than a block takes', lambda: room(b'J' * BLOCK), ''),
    Row('a gap between blocks', gap, 'G1~', 'G1~', 'A64K .256K C64K .128K', foreign=False),
    Row('all at once', lambda: end('head', bytes(SECTOR), lambda: image(bits={2: bits(*range(64))})
                                   .insert_before_tail(bytes(2 * BLOCK)))
        .change_bat(1, 4).change_bat(3, 2).change_bat(6, 1 << 20),
        'F1! B3! B1! B2! S1! G1~', '', 'A128K B64K .128K C64K .128K', may_leak=True),
]:
    add(case)

# Room that a writer has made ready: a bitmap of ones where each of the next blocks would be


def place_above(at, align=4096):
    return vhd.round_up(at + SECTOR, align) - SECTOR


def ready(count=3, change=lambda room, at: None, make=image):
    """@change: what is different, given where the first place is in the room"""
    data = make()
    start = len(data) - SECTOR
    first = place_above(start)
    stride = place_above(first + SECTOR + BLOCK) - first
    room = bytearray(first - start + count * stride)
    for i in range(count):
        at = first - start + i * stride
        room[at:at + SECTOR] = b'\xff' * SECTOR
    change(room, first - start)
    return data.insert_before_tail(bytes(room))


def put_at(offset, content):
    def change(room, at):
        room[at + offset:at + offset + len(content)] = content
    return change


STRIDE = place_above(SECTOR + BLOCK - SECTOR) + SECTOR
OLD_FOOTER = bytes(image()[-SECTOR:])


def test_ready(folder, make, empty):
    """-r leaks takes back what is empty, and nothing else"""
    path = folder / 'image.vhd'
    path.write_bytes(make())
    before = path.read_bytes()
    equal('G1~' in codes_of(run_check(path, '-r', 'leaks')), not empty, 'G1 is left')
    check(empty or path.read_bytes() == before, 'the file was changed')


for name, make, empty in [
    ('bitmaps', ready, True),
    ('one bitmap', lambda: ready(1), True),
    ('bitmaps, behind aligned blocks', lambda: ready(make=lambda: image(gap=1536)), True),
    ('bitmaps, the first of which was lost', lambda: ready(change=put_at(0, bytes(SECTOR))), True),
    ('bitmaps, and an old footer in a gap between places',
     lambda: ready(change=put_at(SECTOR + BLOCK, OLD_FOOTER)), True),
    ('bitmaps and a sector of data', lambda: ready(change=put_at(2048, b'J' * SECTOR)), False),
    ('bitmaps and a byte of data', lambda: ready(change=put_at(STRIDE + 9000, b'J')), False),
    ('bitmaps, one of them not full', lambda: ready(change=put_at(STRIDE + 100, b'\xfe')), False),
    ('bitmaps, and ones where no bitmap would be',
     lambda: ready(change=put_at(STRIDE + 4096, b'\xff' * SECTOR)), False),
    ('bitmaps, and an old footer in a block', lambda: ready(change=put_at(4096, OLD_FOOTER)), False),
    ('bitmaps, in a child', lambda: ready(make=child_image), False),
]:
    suite.test(f'room with {name}: {"empty" if empty else "kept by -r leaks"}', test_ready, make, empty)


# What one repair keeps, the next one keeps: nothing but the file says what was lost

LOST = b'what is left of a block'.ljust(SECTOR, b'!')


def losing(change, make=image, size=2 * BLOCK):
    """Room with data in it, and entries that are wrong, by @change(image)"""
    data = make().insert_before_tail(LOST * (size // SECTOR))
    change(data)
    return data


def test_kept(folder, make, found):
    path = folder / 'image.vhd'
    path.write_bytes(make())
    count = path.read_bytes().count(LOST)
    compare_codes(codes_of(run_check(path)), found, 'codes')
    for options in (['-r', 'all'], ['-r', 'all'], ['-r', 'leaks'], [], ['-r', 'all']):
        report = run_check(path, *options)
        check(path.read_bytes().count(LOST) >= count, f'{options} has cut off what was kept')
    compare_codes(codes_of(report), 'G1~', 'codes that are left')


def test_kept_contents(folder, make):
    """@make: with block 1 lost, and nothing else"""
    path = folder / 'image.vhd'
    path.write_bytes(make())
    for _ in range(2):
        run_check(path, '-r', 'all')
        equal(read_ours(path), merge(runs_of(READS)), 'contents')
    path.write_bytes(make())
    done = run(MEND, '-l', path)
    check(done.returncode == 0, f'mend exits with {done.returncode}:\n{done.stdout}{done.stderr}')


for name, change, found in [
    ('an entry past the end', lambda d: d.change_bat(1, 0x1000), 'B2! G1~'),
    ('an entry just past the end', lambda d: d.change_bat(1, len(d) // SECTOR), 'B2! G1~'),
    ('an entry where a copy would be', lambda d: d.change_bat(1, len(d) // SECTOR + 1), 'B2! G1~'),
    ('an entry on the BAT', lambda d: d.change_bat(1, 3), 'B1! G1~'),
    ('an entry on the header, and one past the end', lambda d: d.change_bat(1, 1).change_bat(3, 0x2000), 'B1! B2! G1~'),
    ('all entries past the end', lambda d: [d.change_bat(i, 0x1000 + i) for i in range(COUNT)], 'B2! G1~'),
    ('an entry past the end, and one that is twice there',
     lambda d: d.change_bat(1, 0x1000).change_bat(3, d.places[0] // SECTOR), 'B2! B3! G1~'),
]:
    suite.test(f'room with data, and {name}: kept by every repair', test_kept, lambda change=change: losing(change),
               found)
    if 'all' not in name and 'twice' not in name:
        suite.test(f'room with data, and {name}: contents, and interrupted anywhere', test_kept_contents,
                   lambda change=change: losing(change))
suite.test('room with data, and an entry past the end of an image of Xen: kept by every repair', test_kept,
           lambda: losing(lambda d: d.change_bat(1, 0x1000), xen_image), 'B2! G1~')


# Locators and batmaps that claim what is not theirs


def claimant(number, value, **more):
    """A locator of a child, or a batmap, with one number changed; the block behind it is sound"""
    data = xen_image(locators=LOCATORS, **more)
    slot = data.header_at + 576
    if number in ('space', 'length'):
        struct.pack_into('>I', data, slot + (4 if number == 'space' else 8), value(data))
    elif number == 'offset':
        struct.pack_into('>Q', data, slot + 16, value(data))
    else:
        vhd.put(data, data.batmap_at, vhd.BATMAP, **{number.split()[1]: value(data)})
    return data.change_header()


for case in [
    Row('room of a locator over a block', lambda: claimant('space', lambda d: d.places[2] + 512 - d.locators[0][0]),
        'L1.', between='F3'),
    Row('room of a locator over all of the file', lambda: claimant('space', lambda d: 0xfffffe00), 'L1.', between='F3'),
    Row('room of a locator up to the end', lambda: claimant('space', lambda d: len(d) - SECTOR - d.locators[0][0]),
        'L1.', between='F3'),
    Row('a locator that is said to be long, over a block', lambda: claimant('length', lambda d: 0x10000), 'L1.',
        between='F3'),
    Row('a locator in a block', lambda: claimant('offset', lambda d: d.places[2] + 1024), 'B1!', between='S1'),
    Row('a locator behind the end', lambda: claimant('offset', lambda d: len(d) + BLOCK), 'L1.', between='F3'),
    Row('a batmap over a block', lambda: claimant('batmap sectors', lambda d: 40), 'M3!', between='M1'),
    Row('a batmap over the end', lambda: claimant('batmap sectors', lambda d: 0xffffffff), 'M3!', between='M1'),
    Row('a batmap in a block', lambda: claimant('batmap offset', lambda d: d.places[0] + 1024), 'M3!', between='M1'),
    Row('a batmap on a locator', lambda: claimant('batmap offset', lambda d: d.locators[1][0]), 'M3!', between='M1'),
]:
    add(case)

def child_claiming(number, value):
    data = child_image(locators=[vhd.locator('W2ru', '.\\base.vhd'), vhd.locator('W2ku', 'C:\\base.vhd')])
    at = data.header_at + 576 + {'space': 4, 'length': 8, 'offset': 16}[number]
    struct.pack_into('>Q' if number == 'offset' else '>I', data, at, value(data))
    return data.change_header()


def test_child_claiming(folder, number, value):
    """The block is kept, and so is the name of the parent; the image opens with it"""
    (folder / 'base.vhd').write_bytes(PARENT['base.vhd'])
    path = folder / 'image.vhd'
    path.write_bytes(child_claiming(number, value))
    wanted = merge(runs_of('P64K .64K B64K .320K'))
    equal(read_ours(path), wanted, 'contents before')
    for _ in range(2):
        report = run_check(path, '-r', 'all')
        check(not {code for code in codes_of(report) if '!' in code}, f'left: {codes_of(report)}')
        equal(read_ours(path), wanted, 'contents after a repair')
    works(IO, '-f', 'vpc', '-c', 'write -P 7 0 512', path)
    equal(read_ours(path)[:2], [(512, 7), (BLOCK - 512, ord('P'))], 'contents after a write')


for name, number, value in [
    ('room over its block', 'space', lambda d: d.places[2] + 512 - d.locators[0][0]),
    ('room over all', 'space', lambda d: 0xfffffe00),
    ('a length over its block', 'length', lambda d: 0x8000),
    ('a place in its block', 'offset', lambda d: d.places[2] + 4096),
    ('a place past the end', 'offset', lambda d: 1 << 50),
    ('a place in the BAT', 'offset', lambda d: 1536),
    ('the place of the other one', 'offset', lambda d: d.locators[1][0]),
]:
    suite.test(f'a child with a locator that has {name}: read, repaired, written', test_child_claiming, number, value)

# Images that are right

MAKERS = {
    'QEMU': ('qemu-img', ''), 'QEMU, exact size': ('qemu-img', 'force_size=on'),
    'QEMU, fixed': ('qemu-img', 'subformat=fixed'),
    **{f'us, {options or "dynamic"}': (IMG, options)
       for options in ('', 'block_size=64k', 'subformat=fixed', 'for=hyper-v', 'for=virtualpc', 'for=xen', 'for=azure')},
}


def test_right(folder, tool, options):
    """Both write to it in turns, and one of us is killed"""
    need('qemu-img', 'qemu-io')
    rng, path = random.Random(options), folder / 'image.vhd'
    works(tool, 'create', '-q', '-f', 'vpc', *(['-o', options] if options else []), path, '21M')
    for writer in (IO, 'qemu-io', IO):
        for _ in range(4):
            at, count = rng.randrange(20 * MIB), rng.randrange(1, 300000)
            works(writer, '-f', 'vpc', '-c', f'write -P 7 {at} {count}', path)
        report = run_check(path, expected=0)
        check(not {code for code in codes_of(report) if '.' not in code}, f'findings: {report["findings"]}')
    poke(path, f'write:{rng.randrange(20 * MIB)}:512:7', 'flush', 'crash', flags='w')
    check(codes_of(run_check(path)) <= {'G1~', 'B7.', 'S2.', 'S4.', 'F7.', 'H3.'}, 'findings after a crash')
    works(IMG, 'check', '-q', '-f', 'vpc', '-r', 'all', path)


for name, made_by in MAKERS.items():
    suite.test(f'an image made by {name}, and written to: sound', test_right, *made_by)


@suite.fact
def test_right_child(folder):
    """a child, written to, and its parent: sound"""
    base, child = folder / 'base.vhd', folder / 'child.vhd'
    works(IMG, 'create', '-q', '-f', 'vpc', base, '8M')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'base.vhd', child)
    poke(child, 'write:100:5000:7', 'write:5000000:512:8', flags='w')
    for path in (base, child):
        equal(codes_of(run_check(path)), set(), 'codes')


# What is not a row


@suite.fact
def test_past_end_zeroed(folder):
    """data past the end of the disk is zero after a repair, for programs that look at no bitmap"""
    data, path = past_end(b'X'), folder / 'image.vhd'
    path.write_bytes(data)
    at = data.places[7] + SECTOR + BLOCK // 2
    run_check(path, '-r', 'all')
    equal(path.read_bytes()[at:at + BLOCK // 2], bytes(BLOCK // 2), 'data past the end')


@suite.fact
def test_nested(folder):
    """the guest's own VHD footers stay what they are when the image gets a new one"""
    for where, sealed in ((BLOCK // 2, True), (BLOCK, False)):
        data, path = footer_in_block(where, sealed), folder / 'image.vhd'
        path.write_bytes(data)
        run_check(path, '-r', 'all')
        equal(path.read_bytes()[:-SECTOR] == data, True, 'the file without its footer')


@suite.fact
def test_hole(folder):
    """a block that is a hole in the file is a note"""
    data, path = hole(), folder / 'image.vhd'
    at = data.places[7] + SECTOR
    with open(path, 'wb') as file:
        file.write(data[:at])
        file.seek(at + BLOCK)
        file.write(data[at + BLOCK:])
    if path.stat().st_blocks * 512 >= len(data):
        raise Skip('this file system has no holes')
    compare_codes(codes_of(run_check(path)), 'S4.', 'codes')
    path.write_bytes(data)
    compare_codes(codes_of(run_check(path)), '', 'codes, with zeroes written out')


@suite.fact
def test_many(folder):
    """of many findings of one kind the first are described, and all are counted"""
    path = folder / 'image.vhd'
    data = image(entries=200, size=200 * BLOCK)
    for block in range(100, 150):
        data.change_bat(block, 0x10000 + block)
    path.write_bytes(data)
    found = [f for f in run_check(path)['findings'] if f['code'] == 'B2']
    equal([(f['count'], len(f['cases']), f['cases'][0]['block'], f['cases'][0]['offset']) for f in found],
          [(50, 5, 100, (0x10000 + 100) * SECTOR)], 'count, cases, and the first of them')
    check('and 45 more' in run(IMG, 'check', '-f', 'vpc', path).stdout, 'no word of the others')


@suite.fact
def test_json_form(folder):
    """--output=json has the keys of qemu-img, and no others but ours"""
    path = folder / 'image.vhd'
    path.write_bytes(image().change_bat(1, 2))
    report = run_check(path)
    cases = [f.pop('cases') for f in report['findings'] if f['code'] == 'B1']
    equal({key: value for key, value in report.items() if key != 'findings'},
          {'image-end-offset': 200704, 'total-clusters': 8, 'corruptions': 1, 'check-errors': 0,
           'allocated-clusters': 4, 'filename': str(path), 'format': 'vpc', 'fragmented-clusters': 1}, 'keys')
    equal([(f['class'], f['count'], f['repairable'], bool(f['text']), bool(f['advice']))
           for f in report['findings'] if f['code'] == 'B1'], [('corruption', 1, True, True, True)], 'finding')
    equal([(c['offset'], c['block']) for c in cases[0]], [(1024, 1)], 'case')


@suite.fact
def test_human_form(folder):
    """what is worst comes first, then totals in the words of qemu-img"""
    path = folder / 'image.vhd'
    path.write_bytes(image().change_bat(1, 2).insert_before_tail(bytes(2 * BLOCK)))
    done = run(IMG, 'check', '-f', 'vpc', path)
    equal(done.returncode, 2, 'exit status')
    equal([line.split(':')[0] for line in done.stdout.splitlines() if line and line[0] in 'cln'],
          ['corruption B1', 'leak G1', 'note H3', 'note B7'], 'findings')
    check(done.stdout.endswith('''
1 errors were found on the image.
Data may be corrupted, or further writes to the image may corrupt it.

1 leaked clusters were found on the image.
This means waste of disk space, but no harm to data.
4/8 = 50.00% allocated, 25.00% fragmented, 0.00% compressed clusters
Image end offset: 200704
'''), f'totals: {done.stdout}')
    done = run(IMG, 'check', '-f', 'vpc', '-r', 'all', path)
    equal(done.returncode, 0, 'exit status of the repair')
    check('''The following inconsistencies were found and repaired:

    1 leaked clusters
    1 corruptions

Double checking the fixed image now...
''' in done.stdout and 'No errors were found on the image.' in done.stdout, f'repair: {done.stdout}')


@suite.fact
def test_quiet(folder):
    """-q: the exit status says it all"""
    path = folder / 'image.vhd'
    path.write_bytes(image().change_bat(1, 2))
    for options in ([], ['--output=json'], ['-r', 'all']):
        done = run(IMG, 'check', '-q', '-f', 'vpc', *options, path)
        equal((done.returncode, done.stdout, done.stderr), (0 if '-r' in options else 2, '', ''), f'-q {options}')


@suite.fact
def test_leaks_of_another_size(folder):
    """-r leaks clears no block that is read: a size by the geometry, a copy of a smaller disk"""
    data, path = image(creator=b'vpc '), folder / 'image.vhd'
    data.change_footer('head', current_size=SIZE // 2, cylinders=7).change_footer('tail', current_size=1 << 62)
    path.write_bytes(data)
    options = f'driver=vpc,force_size_calc=auto,file.filename={path}'
    shown = []
    for words_ in (), ('check', '-r', 'leaks'):
        if words_:
            run(IMG, *words_, '--image-opts', options)
        works(IMG, 'convert', '-q', '--image-opts', options, '-O', 'raw', folder / 'raw')
        shown.append((folder / 'raw').read_bytes())
    check(b'C' * SECTOR in shown[0], 'the block is not read to begin with')
    check(shown[1] == shown[0], 'other contents are read than before')


@suite.fact
def test_like_qemu(folder):
    """formats without checks, and command lines that are wrong: as qemu-img has it"""
    need('qemu-img')
    (folder / 'raw').write_bytes(bytes(MIB))
    for words_ in (['raw'], ['-f', 'raw', 'raw'], ['-q', 'raw'], ['--output=json', 'raw'],
                   ['-r', 'all', '-f', 'raw', 'raw'],
                   ['gone'], [], ['raw', 'raw'], ['-r', 'some', 'raw'], ['-T', 'fast', 'raw'], ['--output=xml', 'raw'],
                   ['--image-opts', 'driver=raw,file.filename=raw'], ['-U', '-T', 'none', '-f', 'raw', 'raw']):
        theirs = run('qemu-img', 'check', *words_, cwd=folder)
        ours = run(IMG, 'check', *words_, cwd=folder)
        first = [done.stderr.splitlines()[0].split(': ', 1)[1].split(": Could")[0] for done in (ours, theirs)]
        equal((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout), f'{words_}: exit status and output')
        equal(first[0].split("': ")[0], first[1].split("': ")[0], f'{words_}: message')


@suite.fact
def test_unreadable(folder):
    """a bitmap that can't be read: exit status 1, and nothing is repaired"""
    data, path = image().change_bat(1, 2), folder / 'image.vhd'
    path.write_bytes(data)
    options = (f'driver=vpc,file.driver=blkdebug,file.image.filename={path},file.inject-error.0.iotype=read,'
               f'file.inject-error.0.sector={data.places[2] // SECTOR}')
    for more in ([], ['-r', 'all']):
        done = run(IMG, 'check', '--output=json', '--image-opts', *more, options)
        equal((done.returncode, done.stderr), (1, 'miniblk-img: Check failed\n'), 'exit status and standard error')
        report = json.loads(done.stdout)
        equal(report['check-errors'], 1, 'errors')
        equal([(f['class'], f['repairable']) for f in report['findings'] if f['code'] in ('IO', 'B1')],
              [('error', False), ('corruption', False)], 'findings')
    check(path.read_bytes() == bytes(data), 'the file was changed')


@suite.fact
def test_unreadable_once(folder):
    """a footer that can't be read once, and is another than its copy: the copy is not written over it"""
    path = folder / 'image.vhd'
    for where in ('tail', 'head'):
        data = image().change_footer(where, uuid=b'another disk 012')
        sector = 0 if where == 'head' else len(data) // SECTOR - 1
        path.write_bytes(data)
        options = (f'driver=vpc,file.driver=blkdebug,file.image.filename={path},file.inject-error.0.iotype=read,'
                   f'file.inject-error.0.sector={sector},file.inject-error.0.once=on,file.inject-error.0.skip=1')
        done = run(IMG, 'check', '-r', 'all', '--image-opts', options)
        check(done.returncode == 1 and 'it can be read now' in done.stderr, f'{where}: {done.returncode} {done.stderr}')
        check(path.read_bytes() == bytes(data), f'{where}: the file was changed')


def test_failing_file(folder, row, kind):
    """The repair through the tool, on a file whose requests fail from the n-th on; then once more without that"""
    whole = save(folder, row)
    path = folder / 'copy.vhd'
    works(IMG, 'check', '-q', '-f', 'vpc', '-r', 'all', shutil.copy(whole, path))
    wanted = path.read_bytes()
    for n in range(100):
        shutil.copy(whole, path)
        options = (f'driver=vpc,file.driver=blkdebug,file.image.filename={path},file.inject-error.0.iotype={kind},'
                   f'file.inject-error.0.skip={n},file.inject-error.0.errno=28')
        done = run(IMG, 'check', '-r', 'all', '--image-opts', options)
        if done.returncode == 0:
            check(n > 0 or kind != 'write', 'nothing was written')
            equal(path.read_bytes() == wanted, True, 'what comes of a repair')
            return
        check(re.search('(could not repair [A-Z][0-9] |Could not close).*No space left', done.stderr),
              f'message: {done.stderr}')
        again = run(IMG, 'check', '-q', '-f', 'vpc', '-r', 'all', path)
        check(again.returncode in (0, 3), 'not sound after a second repair')
        equal(read_ours(path), merge(runs_of(row.reads)), f'contents after {n} and a second repair')
    raise Failure('does not come to an end')


MANY_DEFECTS = Row('', lambda: end('head', bytes(SECTOR), lambda: image(bits={2: bits(*range(64))}))
                   .change_bat(1, 4).change_bat(3, 2).change_bat(6, 1 << 20), '', reads='A128K B64K .128K C64K .128K')
for kind in ('write', 'write-zeroes', 'flush'):
    suite.test(f'many defects, on a file whose requests of kind "{kind}" fail', test_failing_file, MANY_DEFECTS, kind)


# Anything at all: no crash, nothing changed by looking, and a repair that can be interrupted


def test_flips(folder, start, end_at, seed):
    rng = random.Random(f'{start} {seed}')
    data = xen_image(locators=LOCATORS, bits={2: bits(*range(64))})
    for _ in range(rng.choice((1, 1, 2, 5))):
        data[rng.randrange(start % len(data), end_at or len(data))] ^= 1 << rng.randrange(8)
    if rng.randrange(2):
        for at, length, where in ((0, SECTOR, vhd.FOOTER_SUM), (len(data) - SECTOR, SECTOR, vhd.FOOTER_SUM),
                                  (SECTOR, 1024, vhd.HEADER_SUM)):
            vhd.seal(data, at, length, where)
    path = folder / 'image.vhd'
    path.write_bytes(data)
    check(run(IMG, 'check', '-f', 'vpc', path).returncode in (0, 1, 2, 3), 'exit status')
    check(path.read_bytes() == bytes(data), 'the file was changed by looking')
    done = run(MEND, '-l', '-c', 'any', path)
    check(done.returncode == 0, f'mend -l exits with {done.returncode}:\n{done.stdout}{done.stderr}')


for what, start, end_at in (('footers', 0, 96), ('footer', -512, None), ('header', 512, 576), ('locators', 1088, 1280),
                            ('BAT', 1536, 1568), ('batmap', 2048, 2600), ('bitmaps', 4096, 140000)):
    for seed in range(12):
        suite.test(f'random bits of the {what}, seed {seed}', test_flips, start, end_at, seed)

suite.main()
