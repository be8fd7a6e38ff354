# peers.py - images that several programs make, change and read: all see the same disk
# SPDX-License-Identifier: MIT
"""A raw twin, kept here, says what each of them must see."""

import contextlib
import functools
import json
import pathlib
import random
import re
import shutil
import tempfile

import vhd
from harness import IMG, IO, Failure, Skip, Suite, check, equal, facts, info, need, poke, run, works
from vhd import MIB, SECTOR

suite = Suite(__file__)

# Who makes images: how, and who may be the first to write
MAKERS = {
    'QEMU, dynamic': ('qemu-img', ''),
    'QEMU, dynamic of exact size': ('qemu-img', 'force_size=on'),
    'QEMU, fixed': ('qemu-img', 'subformat=fixed'),
    'QEMU, fixed of exact size': ('qemu-img', 'subformat=fixed,force_size=on'),
    'us, dynamic': (IMG, ''),
    'us, dynamic, small blocks': (IMG, 'block_size=64k'),
    'us, fixed': (IMG, 'subformat=fixed'),
    'us, for=hyper-v': (IMG, 'for=hyper-v'),
    'us, for=azure': (IMG, 'for=azure'),
    'us, for=virtualpc': (IMG, 'for=virtualpc'),
    'us, for=xen': (IMG, 'for=xen'),
    'us, for=qemu': (IMG, 'for=qemu'),
}
SIZES = (3 * MIB + 3584, 9 * MIB)


def make(path, maker, size):
    tool, options = MAKERS[maker]
    need(tool)
    works(tool, 'create', '-q', '-f', 'vpc', *(['-o', options] if options else []), path, size)
    return path


def random_writes(rng, size, count):
    """Offset, bytes, value; some at the ends and across blocks"""
    writes = [(0, 100, 1), (size - 700, 700, 2), (2 * MIB - 1000, 3000, 3)]
    while len(writes) < count:
        n = rng.choice((rng.randrange(1, 2000), rng.randrange(1, 300000)))
        writes.append((rng.randrange(size - n), n, rng.randrange(0, 256)))
    rng.shuffle(writes)
    return writes


def write(tool, path, twin, writes):
    need(tool)
    commands = [word for at, n, value in writes for word in ('-c', f'write -P {value} {at} {n}')]
    works(tool, '-f', 'vpc', *commands, path)
    for at, n, value in writes:
        twin[at:at + n] = bytes([value]) * n


@functools.lru_cache(maxsize=1)     # the next test reads the same with another program
def written_by_turns(maker, size):
    """An image that we and QEMU wrote to in turns, and its twin"""
    rng = random.Random(f'{maker} {size}')
    with tempfile.TemporaryDirectory() as folder:
        path = make(pathlib.Path(folder) / 'disk.vhd', maker, size)
        size = info(path, '-f', 'vpc')['virtual-size']
        twin = bytearray(size)
        for tool in (IO, 'qemu-io', IO, 'qemu-io') if maker.startswith('us') else ('qemu-io', IO, 'qemu-io',
                                                                                   IO):
            write(tool, path, twin, random_writes(rng, size, 8))
        return path.read_bytes(), bytes(twin)


# Who reads: a function from image and folder to a file of its contents

def read_ours(path, folder):
    works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'out')
    return folder / 'out'


def read_qemu(path, folder):
    need('qemu-img')
    works('qemu-img', 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'out')
    return folder / 'out'


def read_7z(path, folder):
    need('7z')
    (folder / 'out').write_bytes(works('7z', 'e', '-so', '-tvhd', path, binary=True))
    return folder / 'out'


@contextlib.contextmanager
def mounted(path, folder):
    point = folder / 'mnt'
    point.mkdir()
    if run('vhdimount', path, point).returncode:
        raise Skip('vhdimount cannot mount here')
    try:
        yield point / 'vhdi1'
    finally:
        unmount = shutil.which('fusermount') or shutil.which('fusermount3')
        run(*([unmount, '-u'] if unmount else ['umount']), point)


def read_libvhdi(path, folder):
    need('vhdimount')
    with mounted(path, folder) as contents:
        if not contents.exists():
            raise Skip('vhdimount cannot mount here')
        shutil.copyfile(contents, folder / 'out')
    return folder / 'out'


def read_second(path, folder):
    disk = vhd.Disk(path.read_bytes())
    equal(disk.problems, [], 'problems')
    (folder / 'out').write_bytes(disk.contents())
    return folder / 'out'


READERS = {'us': read_ours, 'QEMU': read_qemu, '7-Zip': read_7z, 'libvhdi': read_libvhdi,
           "the tests' own parser": read_second}


def test_reader(folder, maker, size, reader):
    before, twin = written_by_turns(maker, size)
    path = folder / 'disk.vhd'
    path.write_bytes(before)
    found = READERS[reader](path, folder).read_bytes()
    equal(len(found), len(twin), 'size')
    if found != twin:
        at = next(i for i in range(len(twin)) if found[i] != twin[i])
        raise Failure(f'contents differ from byte {at} on')
    check(path.read_bytes() == before, 'reading changed the image')


for maker in MAKERS:
    for size in SIZES:
        for reader in READERS:
            suite.test(f'made by {maker}, {size} bytes, written by both, read by {reader}', test_reader,
                       maker, size, reader)


# Converted by one, compared by the other

def test_convert(folder, ours_first, options):
    rng = random.Random(5)
    raw = folder / 'raw'
    raw.write_bytes(b''.join(rng.choice((bytes(700001), bytes([i + 1]) * 700001))
                             for i in range(20))[:13 * MIB])
    tool, other = (IMG, 'qemu-img') if ours_first else ('qemu-img', IMG)
    need(tool, other)
    works(tool, 'convert', '-f', 'raw', '-O', 'vpc', *(['-o', options] if options else []), raw,
          folder / 'disk.vhd')
    works(other, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'disk.vhd', folder / 'out')
    found, expected = (folder / 'out').read_bytes(), raw.read_bytes()
    check(found[:len(expected)] == expected and not any(found[len(expected):]), 'contents differ')
    works(other, 'compare', '-f', 'raw', '-F', 'vpc', raw, folder / 'disk.vhd')


for options in ('', 'subformat=fixed', 'force_size=on', 'subformat=fixed,force_size=on'):
    with_options = f', {options}' if options else ''
    suite.test(f'converted to VHD by us, back by QEMU{with_options}', test_convert, True, options)
    suite.test(f'converted to VHD by QEMU, back by us{with_options}', test_convert, False, options)


# Which size the readers show

def size_in_qemu(path):
    need('qemu-img')
    return json.loads(works('qemu-img', 'info', '-f', 'vpc', '--output=json', path))['virtual-size']


def size_in_7z(path):
    need('7z')
    return int(re.findall('^Size = ([0-9]+)$', works('7z', 'l', '-slt', '-tvhd', path), re.M)[-1])


def size_in_libvhdi(path):
    need('vhdiinfo')
    return int(re.search(r'Media size.*?([0-9]+)(?: bytes)?\)?$', works('vhdiinfo', path), re.M)[1])


SIZERS = {'QEMU': size_in_qemu, '7-Zip': size_in_7z, 'libvhdi': size_in_libvhdi,
          'us': lambda path: info(path, '-f', 'vpc')['virtual-size']}


def fits(size):
    """The smallest size of a geometry that is not below @size"""
    total = -(-size // SECTOR)
    while True:
        cylinders, heads, sectors = vhd.geometry(total * SECTOR)
        if cylinders * heads * sectors * SECTOR >= size:
            return cylinders * heads * sectors * SECTOR
        total += 1


PROFILES = {                    # what a size is rounded up to, and whether the geometry says the same
    'hyper-v': (lambda size: vhd.round_up(size, SECTOR), False),
    'azure': (lambda size: vhd.round_up(size, MIB), False),
    'virtualpc': (fits, True), 'xen': (lambda size: vhd.round_up(size, 2 * MIB), False), 'qemu': (fits, True),
}


def test_profile_size(folder, profile, size, sizer):
    path = make(folder / 'disk.vhd', f'us, for={profile}', size)
    equal(SIZERS[sizer](path), PROFILES[profile][0](size), f'size that {sizer} shows')


def test_profile_geometry(folder, profile, size):
    found = facts(make(folder / 'disk.vhd', f'us, for={profile}', size))
    rounded, exact = PROFILES[profile]
    geometry = (found['cylinders'], found['heads'], found['sectors-per-track'])
    equal(geometry, vhd.geometry(rounded(size)), 'geometry')
    if exact:
        equal(geometry[0] * geometry[1] * geometry[2] * SECTOR, rounded(size), 'bytes of the geometry')


for profile in PROFILES:
    for size in (41 * MIB, (1 << 30) + 100, 20 * MIB + 512):
        for sizer in SIZERS:
            suite.test(f'for={profile}, {size} bytes: size in {sizer}', test_profile_size, profile, size,
                       sizer)
        suite.test(f'for={profile}, {size} bytes: geometry', test_profile_geometry, profile, size)


def test_azure(folder, size):
    path = make(folder / 'disk.vhd', 'us, for=azure', size)
    disk = vhd.Disk(path.read_bytes())
    check(disk.fixed, 'not fixed')
    equal(disk.size % MIB, 0, 'size mod 1 MiB')
    equal(path.stat().st_size, disk.size + SECTOR, 'length of the file')
    equal(disk.footer['data_offset'], vhd.ONES, 'data offset')


for size in (20 * MIB, 20 * MIB + 1, 41 * MIB - 512):
    suite.test(f'for=azure, {size} bytes: whole MiB and a footer', test_azure, size)


@functools.cache
def qemu_rule():
    """The name that we have for the rule of the QEMU that is installed"""
    need('qemu-img')
    major = int(re.search(r'version ([0-9]+)', works('qemu-img', '--version'))[1])
    return 'auto' if major >= 10 else 'qemu9'


CREATORS = (b'vpc ', b'vs  ', b'win ', b'd2v\0', b'd2v ', b'qemu', b'qem2', b'tap\0', b'CTXS', b'wa\0\0',
            b'vbox', b'mVHD',
            b'dutl', b'DBox', b'bxic', b'*img', b'go-v', b'simh', b'\0\0\0\0')


def test_creator(folder, creator, kind, rule):
    size = 41994240             # larger than its geometry
    path = folder / 'disk.vhd'
    if kind == 'dynamic':
        path.write_bytes(vhd.dynamic(size, {}, creator=creator).change_footer(cylinders=963))
    else:
        footer = vhd.Image(vhd.make_footer(size, vhd.FIXED, creator=creator))
        vhd.write_empty_fixed(path, size, footer.change_footer('tail', cylinders=963))
    options = {'': [], 'chs': ['force_size_calc=chs'], 'current_size': ['force_size_calc=current_size']}[rule]
    expected = json.loads(works('qemu-img', 'info', '--output=json', '--image-opts',
                                ','.join(['driver=vpc', f'file.filename={path}'] + options)))['virtual-size']
    equal(poke(path, options=f'driver=vpc,force_size_calc={rule or qemu_rule()}').size, expected,
          "size by QEMU's rule")


def test_creators(folder, kind, rule):
    need('qemu-img')
    for creator in CREATORS:
        test_creator(folder, creator, kind, rule)


for kind in ('dynamic', 'fixed'):
    for rule in ('', 'chs', 'current_size'):
        how = f'force_size_calc={rule}' if rule else 'as QEMU has it'
        suite.test(f'size of {kind} images by each creator, {how}', test_creators, kind, rule)


# What QEMU spoils: it puts its first block right behind the BAT

@suite.fact
def over_locators(folder):
    """QEMU put a block over parent locators: all of the disk is read"""
    need('qemu-io')
    path = folder / 'disk.vhd'
    path.write_bytes(vhd.dynamic(blocks={}, locators=[(b'W2ru', b'x\0' * 10, 4096)], gap=4096))
    works('qemu-io', '-f', 'vpc', '-c', 'write -P 81 0 1M', path)
    poked = poke(path, 'scan:0:8388608:65536', flags='c')
    equal((poked.runs, poked.warnings), ([[(MIB, 81), (7 * MIB, 0)]], []), 'contents and warnings')


@suite.fact
def over_batmap(folder):
    """QEMU put a block over a batmap: all of the disk is read"""
    need('qemu-io')
    path = make(folder / 'disk.vhd', 'us, for=xen', 8 * MIB)
    works('qemu-io', '-f', 'vpc', '-c', 'write -P 81 0 1M', path)
    poked = poke(path, 'scan:0:8388608:65536', flags='c')
    equal((poked.runs, poked.warnings), ([[(MIB, 81), (7 * MIB, 0)]], []), 'contents and warnings')


suite.main()
