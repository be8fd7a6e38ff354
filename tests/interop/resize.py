# resize.py - images of all kinds of programs made longer and shorter, and read by other programs
# SPDX-License-Identifier: MIT
"""Whoever made an image: afterwards it reads the same as far as both sizes go, and zeroes behind that, to us, to
QEMU, to 7-Zip and to a parser of the tests' own; libvhdi says the new size; and a check finds nothing wrong."""

import re
import subprocess

import vhd
from harness import IMG, IO, Failure, Suite, check, equal, fails, info, need, run, works
from vhd import MIB, SECTOR

suite = Suite(__file__)
KIB = 1 << 10
BLOCK = 64 * KIB
PARENT_UUID = bytes(range(0x60, 0x70))
PARENT = 2 * MIB

BLOCKS = {0: b'A', 7: b'B', 3: b'C', 31: b'D', 1: b'E'}
HALF = bytes([0xf0] * 4 + [0x0f] * 12)        # some of the sectors of a block of 64 KiB


def windows():
    """Tables and data at multiples of 4 KiB"""
    return vhd.dynamic(2 * MIB, BLOCKS, BLOCK, gap=3 * SECTOR, creator=b'win ', creator_version=0x000a0000)


def virtual_pc():
    """An empty sector behind the BAT, and sizes of a geometry"""
    return vhd.dynamic(2088960, BLOCKS, BLOCK, gap=SECTOR, creator=b'vpc ', creator_version=0x00050003)


def virtualbox():
    return vhd.dynamic(2 * MIB, BLOCKS, BLOCK, pad=b'\0', creator=b'vbox', creator_version=0x00070000)


def disk2vhd():
    return vhd.dynamic(2 * MIB, BLOCKS, BLOCK, pad=b'\0', creator=b'd2v\0', cylinders=65535, heads=16, sectors=255)


def minivhd():
    return vhd.dynamic(2088960, BLOCKS, BLOCK, gap=5 * SECTOR, creator=b'mVHD', creator_version=0x000e0000)


def bximage():
    """An entry more than is needed, and no unique id"""
    return vhd.dynamic(2 * MIB, BLOCKS, BLOCK, entries=33, creator=b'bxic', uuid=bytes(16))


def xen():
    """Blocks 0 and 3 are there in full, and the batmap says so"""
    half = b'D' * 32 * SECTOR + bytes(2 * MIB - 32 * SECTOR)
    return vhd.dynamic(64 * MIB, {0: b'A', 3: b'C', 31: half}, bits={31: b'\xff' * 4 + bytes(508)}, batmap=[0, 3],
                       creator=b'tap\0', creator_version=0x00010003)


def xen_reserve():
    """Room for growth in the BAT; what is behind the end is a block that nobody is to see"""
    return vhd.dynamic(4 * MIB, {0: b'A', 70: b'Z'}, BLOCK, entries=128, creator=b'tap\0', creator_version=0x00010003,
                       batmap=[0])


def discutils():
    """The last block ends where the disk does, in the file, too"""
    image = vhd.dynamic(2 * MIB - 60 * KIB, {0: b'A', 31: b'D'}, BLOCK, creator=b'dutl')
    del image[-SECTOR - 60 * KIB:-SECTOR]
    return image


def qemu_tail():
    """What is behind the end of the disk in the last block is not zero, and has bits"""
    return vhd.dynamic(2 * MIB - 60 * KIB, {0: b'A', 31: b'D'}, BLOCK, creator=b'qem2')


def mixed_bits():
    return vhd.dynamic(2 * MIB, {0: b'A' * 2 * KIB + bytes(30 * KIB) + b'A' * 32 * KIB}, BLOCK,
                       bits={0: b'\xf0' + bytes(7) + b'\xff' * 8})


def child(**more):
    """As Windows has it: a locator before the BAT, and a long one behind it"""
    names = [vhd.locator('W2ru', '.\\base.vhd', before_bat=True, room=4096),
             vhd.locator('W2ku', 'C:\\vm\\base.vhd', room=65536)]
    return vhd.differencing(vhd.utf16('base.vhd', 'be'), PARENT_UUID, locators=names, block_size=BLOCK,
                            uuid=bytes(range(0x70, 0x80)), **{'size': PARENT, 'blocks': {2: b'c', 9: b'd'},
                                                              'bits': {9: HALF}, **more})


def discutils_child():
    """Locators in the last slots, without room to spare"""
    names = [vhd.locator('W2ku', 'base.vhd', slot=7), vhd.locator('W2ru', '.\\base.vhd', slot=6)]
    return vhd.differencing(vhd.utf16('base.vhd', 'be'), PARENT_UUID, locators=names, block_size=BLOCK,
                            uuid=bytes(range(0x70, 0x80)), size=PARENT, blocks={2: b'c'})


def simh():
    """Locators before the BAT, and data of its own in the footer"""
    return vhd.dynamic(2 * MIB, BLOCKS, BLOCK, creator=b'simh', reserved=bytes(10) + b'RP06'.ljust(416, b'\0'),
                       locators=[vhd.locator('W2ru', '.\\nothing.vhd', before_bat=True, room=4096)])


def fixed():
    return vhd.fixed(MIB, b'F', creator=b'win ')


def fixed_511():
    return vhd.fixed(MIB, b'F', creator=b'vpc ')[:-1]


def fixed_with_room():
    """More bytes in the file than the disk has"""
    return vhd.fixed(MIB, b'F', creator=b'dutl', current_size=MIB - 8 * KIB, original_size=MIB - 8 * KIB)


GROWN = {                       # sizes: a bit, another sector of the BAT, many
    'dynamic': (2 * MIB + SECTOR, 9 * MIB, 20 * MIB), 'reserve': (6 * MIB, 9 * MIB, 20 * MIB), 'xen': (66 * MIB, 300 * MIB), 'fixed': (MIB + SECTOR, 5 * MIB),
}
SHRUNK = {
    'dynamic': (2 * MIB - 65 * KIB, MIB + 3 * SECTOR, 5 * KIB), 'reserve': (2 * MIB,), 'xen': (62 * MIB, 4 * MIB),
    'fixed': (MIB - SECTOR, 5 * KIB),
}
KINDS = [(windows, 'dynamic'), (virtual_pc, 'dynamic'), (virtualbox, 'dynamic'), (disk2vhd, 'dynamic'),
         (minivhd, 'dynamic'), (bximage, 'dynamic'), (xen, 'xen'), (xen_reserve, 'reserve'), (discutils, 'dynamic'),
         (qemu_tail, 'dynamic'), (mixed_bits, 'dynamic'), (child, 'dynamic'), (discutils_child, 'dynamic'),
         (simh, 'dynamic'), (fixed, 'fixed'), (fixed_511, 'fixed'), (fixed_with_room, 'fixed')]


def parent_of(folder):
    data = vhd.fixed(PARENT, b'P', uuid=PARENT_UUID)
    (folder / 'base.vhd').write_bytes(data)
    return bytes(data[:PARENT])


def contents_of(data, parent):
    """As a reader sees it that obeys bitmaps and goes by the bytes"""
    if data[-511:][:8] == b'conectix':
        data = data + b'\0'
    return vhd.Disk(data, parent).contents()


def read_with_qemu(path, folder):
    """By its own rule the geometry may count, which is another matter"""
    need('qemu-img')
    source = f'driver=vpc,force_size_calc=current_size,file.filename={path}'
    works('qemu-img', 'convert', '--image-opts', '-O', 'raw', source, folder / 'theirs')
    return (folder / 'theirs').read_bytes()


def same(found, expected, who):
    equal(len(found), len(expected), f'bytes that {who} reads')
    if found != expected:
        at = next(i for i in range(0, len(found), SECTOR) if found[i:i + SECTOR] != expected[i:i + SECTOR])
        raise Failure(f'{who} reads {found[at:at + 16].hex()} at {at}, should be {expected[at:at + 16].hex()}')


def check_readers(path, folder, expected, parent, kind):
    works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'ours')
    same((folder / 'ours').read_bytes(), expected, 'our own convert')
    disk = vhd.Disk(path.read_bytes(), parent)
    equal([p for p in disk.problems if not parent or 'clear bit' not in p], [], 'problems')
    same(disk.contents(), expected, "the tests' parser")
    if not parent:
        same(read_with_qemu(path, folder), expected, 'QEMU')
    need('7z', 'vhdiinfo')
    # 7-Zip wants the reserved bytes to be zero, and no child to be longer than its parent
    if kind is not simh and not (parent and len(expected) > len(parent)):
        same(works('7z', 'e', '-so', '-tvhd', path, binary=True), expected, '7-Zip')
    shown = re.search(r'Media size.*?(\d+) bytes', works('vhdiinfo', path))
    equal(int(shown.group(1)), len(expected), 'size by libvhdi')


def check_kept(before, after, fixed_disk):
    for name in ('uuid', 'timestamp', 'creator', 'creator_version', 'creator_os', 'type', 'reserved'):
        equal(after.footer[name], before.footer[name], name)
    equal(after.footer['current_size'], after.footer['original_size'], 'original size')
    equal(tuple(after.footer[name] for name in ('cylinders', 'heads', 'sectors')), vhd.geometry(after.size), 'geometry')
    if fixed_disk:
        return
    equal(len(after.bat), vhd.round_up(after.size, after.block_size) // after.block_size, 'entries of the BAT')
    for code in (b'W2ru', b'W2ku'):
        equal(after.name_in(code), before.name_in(code), f'locator {code}')
    places = [sector * SECTOR for sector in after.bat if sector != vhd.UNUSED]
    tables = max(end for _, end in after.metadata)
    check(not places or min(places) >= tables, 'a block is in front of a table')


def resized(path, size, *options):
    works(IMG, 'resize', '-q', '-f', 'vpc', *options, path, size)
    return info(path, '-f', 'vpc')['virtual-size']


def start(folder, make):
    image = bytes(make())
    path = folder / 'image.vhd'
    path.write_bytes(image)
    parent = parent_of(folder) if make in (child, discutils_child) else b''
    whole = image if image[-511:][:8] != b'conectix' else image + b'\0'
    return path, parent, vhd.Disk(whole, parent), contents_of(image, parent)


def test_resize(folder, make, size, *options):
    path, parent, before, contents = start(folder, make)
    now = resized(path, size, *options)
    rounded = 2 * MIB if before.footer['creator'][:3] == b'tap' else 17 * 4 * SECTOR * 16
    check(size <= now < size + rounded, f'{now} bytes, {size} were asked for')
    if before.footer['creator'] != b'vpc ' and rounded != 2 * MIB:
        equal(now, vhd.round_up(size, SECTOR), 'size')
    expected = contents[:now].ljust(now, b'\0')
    check_readers(path, folder, expected, parent, make)
    check_kept(before, vhd.Disk(path.read_bytes(), parent), before.fixed)
    done = run(IMG, 'check', '-f', 'vpc', path)
    equal(done.returncode, 0, f'exit status of a check: {done.stdout}')


for make, sizes in KINDS:
    for size in GROWN[sizes]:
        suite.test(f'{make.__name__}: {size} bytes, longer', test_resize, make, size)
    for size in SHRUNK[sizes]:
        suite.test(f'{make.__name__}: {size} bytes, shorter', test_resize, make, size, '--shrink')


def test_there_and_back(folder, make):
    """Shorter, longer, much longer, and as it was; what was cut off is gone"""
    path, parent, before, contents = start(folder, make)
    for size in (MIB, 3 * MIB // 2, 30 * MIB, before.size):
        now = resized(path, size, '--shrink')
        contents = contents[:now].ljust(now, b'\0')
        check_readers(path, folder, contents, parent, make)
    check_kept(before, vhd.Disk(path.read_bytes(), parent), before.fixed)


for make, _ in KINDS:
    if make is not xen:
        suite.test(f'{make.__name__}: shorter, longer, and as it was', test_there_and_back, make)


@suite.fact
def batmap_stays(folder):
    """Xen's batmap is behind the BAT, and says of the same blocks that they are full"""
    for size in (300 * MIB, 8 * MIB):
        path, _, before, _ = start(folder, xen)
        resized(path, size, '--shrink')
        after = vhd.Disk(path.read_bytes())
        equal(bytes(after.full[:1]), b'\x90', 'first byte of the map')
        check(not any(after.full[1:]), 'bits of other blocks')
        equal(len(after.full), vhd.round_up((len(after.bat) + 7) // 8, SECTOR), 'length of the map')


@suite.fact
def batmap_not_believed(folder):
    """a batmap with a wrong checksum is written anew, and says nothing"""
    image = xen()
    image[image.batmap_at + 24] ^= 1
    path = folder / 'image.vhd'
    path.write_bytes(image)
    resized(path, 300 * MIB)
    after = vhd.Disk(path.read_bytes())
    equal(after.problems, [], 'problems')
    check(not any(after.full), 'bits')


@suite.fact
def longer_parent(folder):
    """what a parent has behind the end of its child does not come to be seen"""
    parent = parent_of(folder)
    path = folder / 'image.vhd'
    path.write_bytes(child(size=MIB, blocks={2: b'c'}, bits=None))
    now = resized(path, 3 * MIB)
    expected = vhd.Disk(path.read_bytes(), parent).contents()
    same(expected, parent[:2 * BLOCK] + b'c' * BLOCK + parent[3 * BLOCK:MIB] + bytes(now - MIB), "the tests' parser")


@suite.fact
def written_by_qemu(folder):
    """QEMU writes to an image that was made longer, and we read it"""
    need('qemu-io')
    path, _, _, contents = start(folder, windows)
    resized(path, 40 * MIB)
    works('qemu-io', '-f', 'vpc', '-c', 'write -P 77 30M 1M', '-c', 'write -P 78 39M 64k', path)
    works(IO, '-r', '-f', 'vpc', '-c', 'read -P 77 30M 1M', '-c', 'read -P 78 39M 64k', '-c', 'read -P 65 0 64k', path)
    disk = vhd.Disk(path.read_bytes())
    equal(disk.problems, [], 'problems')
    same(disk.contents()[:2 * MIB], contents, "the tests' parser")


@suite.fact
def by_the_geometry(folder):
    """QEMU's own rule, Virtual PC's geometry and we agree on an image by Virtual PC"""
    need('qemu-img')
    path = start(folder, virtual_pc)[0]
    now = resized(path, 9 * MIB)
    said = works('qemu-img', 'info', '-f', 'vpc', path)
    check(f'({now} bytes)' in said, said)


for what, change, pattern in [
        ('a saved state', {'saved_state': 1}, 'saved state'),
        ("Xen's hidden mark", {'hidden': 1, 'creator': b'tap\0', 'creator_version': 0x10003}, 'hidden')]:
    def test_refused(folder, change, pattern):
        path = folder / 'image.vhd'
        path.write_bytes(windows().change_footer(**change))
        before = path.read_bytes()
        check(re.search(pattern, fails(IMG, 'resize', '-f', 'vpc', path, '9M')), 'another reason')
        check(path.read_bytes() == before, 'the file was changed')
    suite.test(f'refused: {what}', test_refused, change, pattern)


# The command line

BY_BOTH = '''
    2M
    512k
    --shrink 512k
    +1M
    -512k
    --shrink -512k
    --shrink -1M
    --shrink -2M
    1x
    0
    --shrink 0
    +0
    +
    -
    --preallocation=full --shrink 1k
    --preallocation=falloc 64k
    --preallocation=falloc 2M
    --preallocation=full +1M
    --preallocation=metadata 1M
    --preallocation=metadata 2M
    --preallocation=blah 1M
    --preallocation
    -q 2M
    -q --shrink 1.5k
    2M 3M
    8E
    +8E
    16E
    100000000000000000000
    1,5M
    1e6
    0x1000000
    200m
    200b
    200MB
    100M --shrink
    --foo 1
    -x 1
    -U 2M
'''


def outcome(tool, words, folder):
    path = folder / 'a.raw'
    path.write_bytes(b'x' * MIB)
    words = words.split()
    place = len(words) - 1 if words else 0
    command = [tool, 'resize', '-f', 'raw', *words[:place], str(path), *words[place:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    data = path.read_bytes()
    err = done.stderr.replace('miniblk-img resize --help', 'qemu-img --help').replace('miniblk-img', 'qemu-img')
    return (done.returncode, done.stdout, err, len(data),
            data.rstrip(b'\0').count(b'x'))


def test_as_qemu(folder, words):
    need('qemu-img')
    equal(outcome(IMG, words, folder), outcome('qemu-img', words, folder), words)


for words in ['', *(line.strip() for line in BY_BOTH.splitlines() if line.strip())]:
    suite.test(f'as qemu-img: resize -f raw {words}', test_as_qemu, words)


@suite.fact
def no_preallocation(folder):
    """a dynamic disk is not preallocated, and stays as it is"""
    path = start(folder, windows)[0]
    before = path.read_bytes()
    text = fails(IMG, 'resize', '-f', 'vpc', '--preallocation=full', path, '9M')
    check('only fixed disks can be preallocated' in text, text)
    check(path.read_bytes() == before, 'the file was changed')


@suite.fact
def preallocated(folder):
    """what a fixed disk grows by is written out with --preallocation=full"""
    path = start(folder, fixed)[0]
    resized(path, 5 * MIB, '--preallocation=full')
    check(path.stat().st_blocks * 512 >= 5 * MIB, f'{path.stat().st_blocks} sectors are in use')
    same(vhd.Disk(path.read_bytes()).contents(), b'F' * MIB + bytes(4 * MIB), "the tests' parser")


@suite.fact
def truncate_command(folder):
    """miniblk-io's truncate changes the size of a VHD"""
    path = start(folder, windows)[0]
    works(IO, '-f', 'vpc', '-c', 'truncate 9M', path)
    equal(info(path, '-f', 'vpc')['virtual-size'], 9 * MIB, 'size')


suite.main()
