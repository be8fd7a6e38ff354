# chains.py - differencing disks: others follow our chains, we follow theirs, and hostile ones lead nowhere
# SPDX-License-Identifier: MIT
"""Parents are full of one letter in their first block; "B" is the one that the child means. Names in the
children and options of tests may contain {folder}, the test's own."""

import dataclasses
import errno
import fcntl
import os
import re
import shutil
import signal
import time

import vhd
from cases import merge, runs_of
from harness import (IMG, IO, POKE, Poked, Skip, Suite, check, equal, facts, fails, is_sanitized, need, poke, run, works,
                     without_leak_check)
from readers import DISK, READERS, make_chain, read_ours
from vhd import MIB, Locator, locator, utf16

suite = Suite(__file__)

BLOCK = 16384
SIZE = 4 * BLOCK
MTIME = 1_500_000_000
EPOCH = 946684800               # of VHD, as Unix time
OTHER = b'not the identity'
EXPECTED = 'B16K C16K .32K'     # of a child that has found its parent


def other_uuid(n):
    return n.to_bytes(16, 'big')


def parent_image(letter, uuid=vhd.UUID):
    return vhd.dynamic(SIZE, {0: letter.encode()}, BLOCK, uuid=uuid)


def save(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def child_image(name='', locators=(), order='be', **more):
    """Whose second block is full of "C" """
    return vhd.differencing(utf16(name, order), **{'size': SIZE, 'blocks': {1: b'C'}, 'block_size': BLOCK,
                                                   'uuid': other_uuid(1), 'locators': locators, **more})


# The shapes that programs give their children: @name is the header's, others as in the locators

def windows10(full, relative, **more):
    """The relative name before the BAT, the full one behind it, and in the header, too"""
    return child_image(full, [locator('W2ku', full, room=65536),
                              locator('W2ru', relative, room=4096, before_bat=True)],
                       **{'creator': b'win ', 'creator_version': 0xa0000, **more})


def vhd_util(name, **more):
    """All of them relative"""
    dotted = './' + name
    return child_image(name, [locator('MacX', 'file://' + dotted),
                              locator('W2ku', dotted.replace('/', '\\')),
                              locator('W2ru', dotted.replace('/', '\\'))],
                       **{'creator': b'tap\0', 'creator_version': 0x10003, 'creator_os': bytes(4),
                          'batmap': [1], **more})


def minivhd(base, full, relative):
    return child_image(base, [locator('W2ku', full), locator('W2ru', relative)], creator=b'mVHD',
                       parent_timestamp=MTIME - EPOCH)


def discutils(base, full, relative):
    return child_image(base, [locator('W2ku', full, slot=7), locator('W2ru', relative, slot=6)],
                       creator=b'dutl')


def virtualpc(full, relative):
    return child_image(full, [locator('Wi2r', relative), locator('Wi2k', full)], creator=b'vpc ')


def names(code, *texts, **more):
    """Only these locators, and no name in the header"""
    return child_image(locators=[locator(code, text) for text in texts], **more)


def raw_locator(code, data, **more):
    return child_image(locators=[Locator(code, data, vhd.round_up(len(data), 512), **more)])


@dataclasses.dataclass
class Row:
    """@make gets the folder and makes the child; @parents: path to letter, small letters with another
    unique id"""

    name: str
    make: object
    parents: dict = dataclasses.field(default_factory=lambda: {'vm/base.vhd': 'B'})
    options: str = ''
    expected: str = EXPECTED
    warn: str = ''
    refuse: str = ''
    child: str = 'vm/child.vhd'


def save_parents(folder, parents):
    for path, letter in parents.items():
        path = save(folder / path, parent_image(letter, OTHER if letter.islower() else vhd.UUID))
        os.utime(path, (MTIME, MTIME))


def open_child(path, options='', size=SIZE):
    return poke(path, f'scan:0:{size}:4607', options=f'driver=vpc{options and "," + options}')


def check_contents(poked, expected, warn=''):
    check(not poked.error, f'was not opened: {poked.error}')
    equal(poked.runs, [merge(runs_of(expected))], 'contents')
    if not warn:
        equal(poked.warnings, [], 'warnings')
    for text in poked.warnings:
        check(re.search(warn, text), f'warning "{text}", should be like "{warn}"')
    check(poked.warnings or not warn, f'no warning, should be one like "{warn}"')


def check_error(poked, pattern, code=None):
    check(poked.error, 'was opened')
    check(re.search(pattern, poked.error), f'error "{poked.error}", should be like "{pattern}"')
    if code:
        equal(poked.errno, code, 'error number')


def test_row(folder, row):
    save_parents(folder, row.parents)
    path = save(folder / row.child, row.make(folder))
    poked = open_child(path, row.options.format(folder=folder))
    if row.refuse:
        check_error(poked, row.refuse)
    else:
        check_contents(poked, row.expected, row.warn)


FULL = r'C:\vm\base.vhd'
NOT_FOUND = 'could not find the parent of this differencing disk, with the unique id 10111213-1415-'
BESIDE = {'vm/base.vhd': 'B'}
MANY = {'vm/base.vhd': 'B', 'vm/other.vhd': 'O', 'mnt/vm/base.vhd': 'M', 'store/base.vhd': 'S'}
STORE = {'store/base.vhd': 'B'}
HARD = 'Größe 基 𝄞.vhd'

for row in [
    # shapes
    Row('Windows 10', lambda _: windows10(FULL, r'.\base.vhd')),
    Row('Windows 10, parent in a folder above', lambda _: windows10(r'C:\base.vhd', r'..\base.vhd'),
        {'base.vhd': 'B'}),
    Row('Windows 10, parent in a folder beside', lambda _: windows10(r'C:\a\b\base.vhd', r'..\a\b\base.vhd'),
        {'a/b/base.vhd': 'B'}),
    Row('Windows 10, the relative name is stale', lambda _: windows10(FULL, r'.\old\base.vhd')),
    Row('Windows 10, found through the drive map', lambda _: windows10(FULL, r'..\old\base.vhd'),
        {'mnt/vm/base.vhd': 'B'}, 'drives=C={folder}/mnt'),
    Row('vhd-util', lambda _: vhd_util('base.vhd')),
    Row('vhd-util, parent in a folder below', lambda _: vhd_util('a/base.vhd'), {'vm/a/base.vhd': 'B'}),
    Row('vhd-util, a raw parent that nobody named', lambda _: vhd_util('base.raw', parent_uuid=bytes(16)),
        {'vm/base.raw': 'B'}, refuse='its unique id is 10111213-.* the parent.s is 00000000-'),
    Row('MiniVHD', lambda _: minivhd('base.vhd', '/vm/base.vhd', r'.\base.vhd')),
    Row('MiniVHD, only its header has the right name',
        lambda _: minivhd('base.vhd', r'D:\gone.vhd', r'.\gone.vhd')),
    Row('DiscUtils', lambda _: discutils('base.vhd', FULL, r'.\base.vhd')),
    Row('DiscUtils, without a relative name', lambda _: discutils('base.vhd', FULL, ''),
        warn='parent locator 6 .* no data'),
    Row('Virtual PC 5', lambda _: virtualpc(r'C:\vm\gone.vhd', r'.\base.vhd'),
        options='force_size_calc=current_size'),
    Row('ocaml-vhd, room in sectors', lambda f: child_image(
        'base.vhd', [locator('MacX', f'file://localhost{f}/vm/base.vhd', room=512, said=1)])),
    # the order
    Row('W2ru comes before all others', lambda _: child_image('other.vhd', [
        locator('MacX', 'file://./other.vhd'), locator('W2ku', '.\\other.vhd'),
        locator('W2ru', '.\\base.vhd')]), MANY),
    Row('MacX comes before W2ku', lambda _: child_image('other.vhd', [
        locator('W2ku', '.\\other.vhd'), locator('MacX', 'file://./base.vhd')]), MANY),
    Row('W2ku comes before the name in the header',
        lambda _: child_image('other.vhd', [locator('W2ku', '.\\base.vhd')]), MANY),
    Row('the name in the header comes before Wi2r',
        lambda _: child_image('base.vhd', [locator('Wi2r', '.\\other.vhd')]), MANY),
    Row('two locators of a kind', lambda _: names('W2ru', r'.\gone.vhd', r'.\base.vhd')),
    Row('on another unique id the next place is looked at', lambda _: child_image('base.vhd', [
        locator('W2ru', '.\\one.vhd'), locator('MacX', 'file://./two.vhd'), locator('W2ku', '.\\no.vhd')]),
        {'vm/one.vhd': 'x', 'vm/two.vhd': 'y', 'vm/no.vhd': 'z', **BESIDE}),
    Row('on a file that is no VHD the next place is looked at',
        lambda f: save(f / 'vm/junk.vhd', b'J' * 4096) and windows10(FULL, r'.\junk.vhd')),
    # how names are written
    Row('in other case', lambda _: names('W2ru', r'.\BASE.vhd'), {'vm/Base.VHD': 'B'}),
    Row('in other case, not ASCII', lambda _: names('W2ru', r'.\ÄÖÜ.vhd'),
        {'vm/äöü.vhd': 'B'}),
    Row('the right case comes first', lambda _: names('W2ru', r'.\Base.vhd'),
        {'vm/BASE.vhd': 'O', 'vm/Base.vhd': 'B'}),
    Row('another case of a name that is there, if that is not the parent', lambda _: names('W2ru', r'.\base.vhd'),
        {'vm/base.vhd': 'x', 'vm/BASE.vhd': 'B'}),
    Row('folders in other case', lambda _: names('W2ru', r'.\MASTERS\Windows\base.vhd'),
        {'vm/Masters/windows/Base.vhd': 'B'}),
    Row('of two folders in other case, the one with the parent', lambda _: names('W2ru', r'.\masters\base.vhd'),
        {'vm/MASTERS/other.vhd': 'O', 'vm/Masters/base.vhd': 'x', 'vm/mASTERS/BASE.vhd': 'B'}),
    Row('a folder in other case, up from the child', lambda _: names('W2ru', r'..\Masters\base.vhd'),
        {'masters/base.vhd': 'B'}),
    Row('folders on a drive in other case', lambda _: names('W2ku', r'C:\Disks\Masters\base.vhd'),
        {'c/disks/masters/BASE.VHD': 'B'}, options='drives=C={folder}/c'),
    Row('accents composed, and decomposed on disk', lambda _: names('W2ru', '.\\Vorg\u00e4nger\\Gr\u00f6\u00dfe.vhd'),
        {'vm/Vorga\u0308nger/Gro\u0308\u00dfe.vhd': 'B'}),
    Row('accents decomposed, and composed on disk', lambda _: names('W2ru', '.\\vorga\u0308nger\\base.vhd'),
        {'vm/Vorg\u00e4nger/base.vhd': 'B'}),
    Row('no folder by another name', lambda _: names('W2ru', r'.\masters\base.vhd'), {'vm/master/base.vhd': 'B'},
        refuse=NOT_FOUND),
    Row('without .\\', lambda _: names('W2ru', 'base.vhd')),
    Row('dots in the middle', lambda _: names('W2ru', r'.\a\.\..\base.vhd')),
    Row('slashes for backslashes', lambda _: names('W2ru', './a/../base.vhd')),
    Row('a NUL at the end', lambda _: names('W2ru', '.\\base.vhd\0')),
    Row('junk behind a NUL', lambda _: names('W2ru', '.\\base.vhd\0\\junk')),
    Row('an odd length', lambda _: raw_locator(b'W2ru', utf16('.\\base.vhd') + b'l')),
    Row('an odd length and a NUL', lambda _: raw_locator(b'W2ru', utf16('.\\base.vhd') + b'\0')),
    Row('all of the locator is used', lambda _: names('W2ru', '.\\' * 123 + 'base.vhd')),
    Row('not ASCII, and spaces', lambda _: windows10('C:\\' + HARD, '.\\' + HARD), {'vm/' + HARD: 'B'}),
    Row('half of a surrogate pair', lambda _: names('W2ru', '.\\a\ud834b.vhd'),
        {os.fsdecode(b'vm/a\xed\xa0\xb4b.vhd'): 'B'}),
    Row('only in the header', lambda _: child_image('base.vhd')),
    Row('only in the header, little-endian', lambda _: child_image('base.vhd', order='le')),
    Row('only in the header, with a byte order mark', lambda _: child_image('\ufeffbase.vhd')),
    Row('only in the header, with the other byte order mark',
        lambda _: child_image('\ufeffbase.vhd', order='le')),
    Row('only in the header, a full path', lambda _: child_image(FULL)),
    Row('only in the header, all of its room', lambda _: child_image('n' * 252 + '.vhd'),
        {'vm/' + 'n' * 251 + '.vhd': 'B'}, refuse='n{252}.vhd'),
    Row('only in the header, a name of 255', lambda _: child_image('n' * 251 + '.vhd'),
        {'vm/' + 'n' * 251 + '.vhd': 'B'}),
    # absolute ones
    Row('a drive', lambda _: names('W2ku', FULL), {'mnt/vm/base.vhd': 'B'}, 'drives=C={folder}/mnt'),
    Row('a drive in small letters', lambda _: names('W2ku', r'c:\vm\base.vhd'), {'mnt/vm/base.vhd': 'B'},
        'drives=A=/;C={folder}/mnt;'),
    Row('a drive, and the map in small letters', lambda _: names('W2ku', FULL), {'mnt/vm/base.vhd': 'B'},
        'drives=d=/nowhere;c={folder}/mnt/'),
    Row('a drive, and names in other case', lambda _: names('W2ku', r'C:\VM\BASE.VHD'),
        {'mnt/VM/base.vhd': 'B'}, 'drives=C={folder}/mnt'),
    Row('a drive, and a long path', lambda _: names('W2ku', '\\\\?\\' + FULL), {'mnt/vm/base.vhd': 'B'},
        'drives=C={folder}/mnt'),
    Row('a drive that is not in the map: beside the child', lambda _: names('W2ku', FULL), MANY,
        'drives=D={folder}/mnt'),
    Row('.. never leaves the folder that stands for a drive', lambda _: names('W2ku', r'C:\..\..\base.vhd'),
        {'mnt/x/base.vhd': 'B', 'mnt/base.vhd': 'O'}, 'drives=C={folder}/mnt/x'),
    Row('another host: beside the child', lambda _: names('W2ku', r'\\server\vm\base.vhd'), MANY),
    Row('a path of this host', lambda f: names('W2ku', f'{f}/store/base.vhd'), STORE),
    Row('a path of this host, with backslashes',
        lambda f: names('W2ku', f'{f}/store/base.vhd'.replace('/', '\\')), STORE),
    Row('the drive map is nonsense', lambda _: names('W2ku', FULL), options='drives=CD=/x',
        refuse="drive map: 'CD=/x' is not a letter and a folder"),
    # URLs
    Row('URL with a host', lambda f: names('MacX', f'file://localhost{f}/store/base.vhd'), STORE),
    Row('URL without a host', lambda f: names('MacX', f'file://{f}/store/base.vhd'), STORE),
    Row('URL of one slash', lambda f: names('MacX', f'file:{f}/store/base.vhd'), STORE),
    Row('URL that is relative', lambda _: names('MacX', 'file://./base.vhd')),
    Row('URL that is relative, to above', lambda _: names('MacX', 'file://../store/base.vhd'), STORE),
    Row('URL that is a bare name', lambda _: names('MacX', 'file://base.vhd')),
    Row('URL in capitals', lambda f: names('MacX', f'FILE://LocalHost{f}/store/base.vhd'), STORE),
    Row('URL with a NUL', lambda _: names('MacX', 'file://./base.vhd\0\0')),
    Row('URL with escapes',
        lambda _: names('MacX', 'file://./Gr%C3%B6%c3%9fe%20%E5%9F%BA%20%F0%9D%84%9E.vhd'),
        {'vm/' + HARD: 'B'}),
    Row("Xen's URL, where % is just a letter", lambda _: names('MacX', 'file://./a%20b.vhd'),
        {'vm/a%20b.vhd': 'B'}),
    Row('URL with an escape first, then as it is', lambda _: names('MacX', 'file://./a%20b.vhd'),
        {'vm/a%20b.vhd': 'O', 'vm/a b.vhd': 'B'}),
    Row('URL with half an escape', lambda _: names('MacX', 'file://./a%2.vhd'), {'vm/a%2.vhd': 'B'}),
    Row('URL with a NUL as an escape', lambda _: names('MacX', 'file://./base.vhd%00x'), refuse=NOT_FOUND),
    Row('URL with another scheme', lambda _: names('MacX', 'http://localhost/base.vhd'),
        refuse='names no place'),
    Row('a Mac alias', lambda _: raw_locator(b'Mac ', bytes(range(1, 200))), refuse=NOT_FOUND),
    Row('a Mac alias beside a name', lambda _: child_image('base.vhd', [
        Locator(b'Mac ', bytes(range(1, 200)), 512)])),
    Row('a kind that nobody knows', lambda _: child_image('base.vhd', [Locator(b'W2kx', b'junk', 512)]),
        warn='parent locator 0 .code 0x57326b78, 4 bytes at .* is left out: unknown kind'),
    # time
    Row('the time of the parent', lambda _: child_image('base.vhd', parent_timestamp=MTIME - EPOCH)),
    Row('another time', lambda _: child_image('base.vhd', parent_timestamp=MTIME - EPOCH - 3600),
        warn='was changed at another time than this image remembers .3600 seconds apart'),
    # options
    Row('parent-search', lambda _: windows10(FULL, r'..\old\base.vhd'), STORE,
        'parent-search=/nowhere:{folder}/store'),
    Row('parent-search, in order', lambda _: windows10(FULL, r'..\old\base.vhd'),
        {'a/base.vhd': 'x', 'b/base.vhd': 'B', 'c/base.vhd': 'O'},
        'parent-search={folder}/a:{folder}/b:{folder}/c'),
    Row('parent-search comes last', lambda _: windows10(FULL, r'..\old\base.vhd'), MANY,
        'parent-search={folder}/store'),
    Row('parent-search, in other case', lambda _: names('W2ru', r'.\BASE.VHD'), STORE,
        'parent-search={folder}/store'),
    Row('parent=', lambda _: windows10(FULL, r'.\other.vhd'), {'vm/other.vhd': 'O', **STORE},
        'parent={folder}/store/base.vhd'),
    Row('parent=, another unique id', lambda _: windows10(FULL, r'.\base.vhd'),
        {'store/base.vhd': 'x', **BESIDE}, 'parent={folder}/store/base.vhd',
        refuse="parent '.*/store/base.vhd': its unique id is 6e6f7420-.*, the parent's is 10111213-"),
    Row('parent=, another unique id, ignored', lambda _: windows10(FULL, r'.\base.vhd'),
        {'store/base.vhd': 'x', **BESIDE}, 'parent={folder}/store/base.vhd,ignore-parent-id=on',
        'x16K C16K .32K'),
    Row('ignore-parent-id', lambda _: windows10(FULL, r'.\base.vhd'), {'vm/base.vhd': 'x'},
        'ignore-parent-id=on', 'x16K C16K .32K'),
    Row('another unique id', lambda _: windows10(FULL, r'.\base.vhd'), {'vm/base.vhd': 'x'},
        refuse=NOT_FOUND + ".*/vm/base.vhd .W2ru locator.: its unique id is 6e6f7420-.*, the parent's is 1"),
    Row('backing.file.filename', lambda _: windows10(FULL, r'.\other.vhd'), {'vm/other.vhd': 'O', **STORE},
        'backing.driver=vpc,backing.file.filename={folder}/store/base.vhd'),
    Row('backing.force_size_calc', lambda _: windows10(FULL, r'.\base.vhd'),
        options='backing.force_size_calc=current_size'),
    Row('an unknown backing option', lambda _: windows10(FULL, r'.\base.vhd'), options='backing.nonsense=1',
        refuse='nonsense'),
]:
    suite.test(f'we follow: {row.name}', test_row, row)


@suite.fact
def raw_parent(folder):
    """we follow: vhd-util, a raw parent, if the user says that it is one"""
    path = save(folder / 'child.vhd', vhd_util('base.raw', parent_uuid=bytes(16)))
    save(folder / 'base.raw', b'R' * SIZE)
    for options in (f'parent={folder}/base.raw,backing.driver=raw', 'backing.driver=raw'):
        check_contents(open_child(path, options), 'R16K C16K R32K')


@suite.fact
def raw_parent_and_uuid(folder):
    """we follow: no raw parent where the child means a VHD"""
    path = save(folder / 'child.vhd', windows10(FULL, r'.\base.vhd'))
    save(folder / 'base.vhd', b'R' * SIZE)
    poked = open_child(path, f'parent={folder}/base.vhd,backing.driver=raw')
    check_error(poked, "its unique id is 00000000-.*, the parent's is 10111213-")


@suite.fact
def linked_child(folder):
    """we follow: the child is a link: its own folder counts first, then that of the link"""
    path = save(folder / 'vm/child.vhd', windows10(FULL, r'.\base.vhd'))
    link = folder / 'links/child.vhd'
    link.parent.mkdir()
    link.symlink_to(path)
    save_parents(folder, {'links/base.vhd': 'O', **BESIDE})
    check_contents(open_child(link), EXPECTED)
    (folder / 'vm/base.vhd').unlink()
    check_contents(open_child(link), 'O16K C16K .32K')


@suite.fact
def from_here(folder):
    """we follow: the child's name has no folder in it"""
    save(folder / 'child.vhd', windows10(FULL, r'.\base.vhd'))
    save_parents(folder, {'base.vhd': 'B'})
    done = run(POKE, '-o', 'driver=vpc', 'child.vhd', f'scan:0:{SIZE}:512', cwd=folder)
    check_contents(Poked(done.stdout.splitlines()), EXPECTED)


def test_sizes(folder, size, kind, expected, warn):
    path = save(folder / 'child.vhd', windows10(FULL, r'.\base.vhd'))
    save(folder / 'base.vhd', vhd.fixed(size, b'B', uuid=vhd.UUID) if kind == 'fixed'
         else vhd.dynamic(size, {i: b'B' for i in range(-(-size // 4096))}, 4096))
    check_contents(open_child(path), expected, warn)


for kind in ('fixed', 'dynamic'):
    suite.test(f'we follow: a {kind} parent that is shorter', test_sizes, BLOCK - 1536, kind,
               'B14848 .1536 C16K .32K', '')
    suite.test(f'we follow: a {kind} parent of no whole sector', test_sizes, 1000, kind,
               'B1000 .15384 C16K .32K', '')
    suite.test(f'we follow: a {kind} parent that is longer', test_sizes, 2 * SIZE, kind, 'B16K C16K B32K',
               'has 131072 bytes, more than the 65536 of this image')


# Others follow our chains

SHAPES = {              # the files, the first is the root; options of the root, and of the others
    'a dynamic parent': (['base.vhd', 'child.vhd'], '', ''),
    'a fixed parent': (['base.vhd', 'child.vhd'], 'subformat=fixed', ''),
    'a chain of four': (['base.vhd', 'one.vhd', 'two.vhd', 'three.vhd'], '', ''),
    'a chain of four, the first fixed': (['base.vhd', 'one.vhd', 'two.vhd', 'three.vhd'],
                                         'subformat=fixed', ''),
    'names with spaces': (['my base .vhd', ' my  child.vhd'], '', ''),
    'names with signs of URLs': (['a%20b#c?d&e+f;g.vhd', 'child.vhd'], '', ''),
    'names not ASCII': (['Größe 基 𝄞.vhd', 'ребёнок.vhd', 'enfant é.vhd'], '', ''),
    'the parent in a folder above': (['base.vhd', 'vm/child.vhd'], '', ''),
    'the parent in a folder below': (['a b/ü/base.vhd', 'child.vhd'], '', ''),
    'each in a folder of its own': (['a/base.vhd', 'b/one.vhd', 'c/d/two.vhd', 'three.vhd'], '', ''),
    'blocks of 512 KiB over 2 MiB': (['base.vhd', 'child.vhd'], '', 'block_size=512k'),
    'blocks of 2 MiB over 512 KiB': (['base.vhd', 'child.vhd'], 'block_size=512k', ''),
    'for=hyper-v': (['base.vhd', 'child.vhd'], 'for=hyper-v', 'for=hyper-v'),
    'for=xen': (['base.vhd', 'child.vhd'], 'for=xen', 'for=xen'),
}


def make_shape(folder, shape, unit=1):
    names, root_options, options = SHAPES[shape]
    return make_chain(folder, names, root_options, options, unit)


def test_reader(folder, shape, reader):
    # libvhdi 20210425 takes a run of set bits to go on to the end of its byte
    paths, twin = make_shape(folder, shape, 4096 if reader == 'libvhdi' else 1)
    before = [path.read_bytes() for path in paths]
    found = READERS[reader](paths, folder)
    equal(len(found), len(twin), 'size')
    if found != twin:
        at = next(i for i in range(len(twin)) if found[i] != twin[i])
        check(False, f'contents differ from byte {at} on')
    if reader != 'us, elsewhere':
        check([path.read_bytes() for path in paths] == before, 'reading changed an image')


def test_names(folder, shape):
    """All that a child says of its parent"""
    paths, _ = make_shape(folder, shape)
    for parent, child in zip(paths, paths[1:]):
        disk, relative = vhd.Disk(child.read_bytes()), os.path.relpath(parent, child.parent)
        dotted = relative if relative.startswith('../') else './' + relative
        equal(disk.footer['type'], vhd.DIFFERENCING, 'type')
        equal(disk.header['parent_uuid'], vhd.Disk(parent.read_bytes()).footer['uuid'], "parent's unique id")
        equal(disk.header['parent_timestamp'], int(parent.stat().st_mtime) - EPOCH, "parent's time")
        equal(disk.header['parent_name'], utf16(parent.name, 'be').ljust(512, b'\0'), 'name in the header')
        equal(disk.name_in(b'W2ru'), utf16(dotted.replace('/', '\\')), 'W2ru')
        equal(disk.name_in(b'W2ku'), utf16(str(parent).replace('/', '\\')), 'W2ku')
        equal(disk.name_in(b'MacX').decode()[:9], 'file://./', 'MacX')


def test_vhdiinfo(folder, shape):
    need('vhdiinfo')
    paths, _ = make_shape(folder, shape)
    for parent, child in zip(paths, paths[1:]):
        text = works('vhdiinfo', child)
        for name, value in (('Disk type', 'Differential'), ('Parent identifier', facts(parent)['uuid']),
                            ('Parent filename', parent.name), ('Identifier', facts(child)['uuid'])):
            check(re.search(rf'^\s*{name}\s*: {re.escape(value)}$', text, re.M),
                  f'no "{name}: {value}" in {text}')
        check(f'({DISK} bytes)' in text, f'no size of {DISK} in {text}')


for shape in SHAPES:
    for reader in READERS:
        suite.test(f'our chain, {shape}: read by {reader}', test_reader, shape, reader)
    suite.test(f'our chain, {shape}: names', test_names, shape)
    suite.test(f'our chain, {shape}: vhdiinfo', test_vhdiinfo, shape)


def test_one_name(folder, code):
    """Each of a child's names is enough"""
    paths, twin = make_shape(folder, 'each in a folder of its own')
    child = vhd.Image(paths[1].read_bytes())
    for i in range(8):
        if child[1088 + 24 * i:1092 + 24 * i] != code:
            child.change(1088 + 24 * i, bytes(24))
    paths[1].write_bytes(child.change_header(parent_name=bytes(512)))
    check(read_ours(paths, folder) == twin, 'contents differ')


for code in ('W2ru', 'W2ku', 'MacX'):
    suite.test(f'our chain: {code} is enough', test_one_name, code.encode())


@suite.fact
def over_raw(folder):
    """our chain: over a raw image"""
    save(folder / 'base.raw', b'R' * 2 * MIB)
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'base.raw', '-F', 'raw', folder / 'child.vhd')
    disk = vhd.Disk((folder / 'child.vhd').read_bytes())
    equal((disk.size, disk.header['parent_uuid']), (2 * MIB, bytes(16)), "size and parent's unique id")
    options = f'driver=vpc,backing.driver=raw,parent={folder}/base.raw'
    poked = poke(folder / 'child.vhd', 'write:100:100:119', f'scan:0:{2 * MIB}:65536', flags='w',
                 options=options)
    check_contents(poked, f'R100 w100 R{2 * MIB - 200}')
    check((folder / 'base.raw').read_bytes() == b'R' * 2 * MIB, 'the parent was changed')


# Hostile chains

def test_self(folder, name, link):
    path = save(folder / 'child.vhd', names('W2ru', '.\\' + name, parent_uuid=other_uuid(1)))
    if link:
        link(path, folder / name)
    check_error(open_child(path), '.vhd .W2ru locator.*: it is one of the images that lead to it',
                errno.ENOENT)


for how, name, link in (('by name', 'child.vhd', None), ('in other case', 'CHILD.vhd', None),
                        ('by a symbolic link', 'link.vhd', lambda a, b: b.symlink_to(a)),
                        ('by a hard link', 'link.vhd', lambda a, b: b.hardlink_to(a))):
    suite.test(f'hostile: its own parent, {how}', test_self, name, link)


def save_level(folder, n, parent, **more):
    """A child n.vhd of the image @parent.vhd, whose unique ids are their numbers"""
    return save(folder / f'{n}.vhd', child_image(f'{parent}.vhd', blocks={}, uuid=other_uuid(n),
                                                 parent_uuid=other_uuid(parent), **more))


@suite.fact
def cycle(folder):
    """hostile: a cycle of three"""
    for n in range(3):
        save_level(folder, n, (n + 1) % 3)
    check_error(open_child(folder / '0.vhd'), "parent '.*/2.vhd': .*/0.vhd .*: it is one of the images")


@suite.fact
def copied_child(folder):
    """hostile: a copy of the child for a parent, and so on: not for ever"""
    path = save(folder / 'child.vhd', names('W2ru', r'.\a.vhd', parent_uuid=other_uuid(1)))
    shutil.copy(path, folder / 'a.vhd')
    check_error(open_child(path), "parent '.*/a.vhd': .*: it is one of the images that lead")


def save_chain(folder, levels):
    """The last child of so many"""
    save(folder / '0.vhd', parent_image('B', other_uuid(0)))
    for n in range(1, levels + 1):
        save_level(folder, n, n - 1)
    return folder / f'{levels}.vhd'


@suite.fact
def long_chain(folder):
    """hostile: 1000 levels, read in bounded time and memory"""
    path, before = save_chain(folder, 1000), time.monotonic()
    poked = open_child(path)
    took = time.monotonic() - before
    if poked.error:
        check_error(poked, 'Too many open files', errno.EMFILE)
        return
    check_contents(poked, 'B16K .48K')
    if not is_sanitized():
        check(poked.peak < 64 << 10, f'took {poked.peak} KiB of memory')
        check(took < 20, f'took {took} seconds')


@suite.fact
def few_files(folder):
    """hostile: more levels than files may be open"""
    path = save_chain(folder, 100)
    done = run('sh', '-c', 'ulimit -n 64; exec "$@"', 'sh', POKE, '-o', 'driver=vpc', path,
               env=without_leak_check())
    check_error(Poked(done.stdout.splitlines()), 'Too many open files')


@suite.fact
def max_depth(folder):
    """hostile: max-depth"""
    path = save_chain(folder, 10)
    check_contents(open_child(path, 'max-depth=10'), 'B16K .48K')
    check_error(open_child(path, 'max-depth=9'), "1.vhd', 9 images down the chain, has a parent, too",
                errno.ELOOP)
    check_error(open_child(path, 'max-depth=0'), "is the 0. parent|max-depth")


@suite.fact
def many_ways(folder):
    """hostile: 2^40 ways to a parent that is not there"""
    for n in range(40):
        image = names('W2ru', f'.\\a{n + 1}.vhd', f'.\\b{n + 1}.vhd', uuid=other_uuid(n),
                      parent_uuid=other_uuid(n + 1))
        for letter in 'ab':
            save(folder / f'{letter}{n}.vhd', image)
    check_error(open_child(folder / 'a0.vhd'), "could not find the parent.*a40.vhd.*b40.vhd")


@suite.fact
def long_names(folder):
    """hostile: eight locators of 64 KiB, and search folders"""
    text = '.\\' + 'a\\' * 16000 + 'b' * 700 + '.vhd'
    path = save(folder / 'child.vhd', names('W2ku', *[f'{n}{text}' for n in range(8)]))
    before = time.monotonic()
    poked = open_child(path, 'parent-search=' + ':'.join(f'{folder}/{n}' for n in range(100)))
    check(poked.error, 'was opened')
    check(is_sanitized() or time.monotonic() - before < 5, 'took more than 5 seconds')
    check(is_sanitized() or poked.peak < 64 << 10, f'took {poked.peak} KiB of memory')


TEXT = utf16('.\\base.vhd')
for what, bad, why in (
        ('locator longer than its room', Locator(b'W2ru', TEXT, length=513), 'longer than its space'),
        ('locator longer than its room in sectors', Locator(b'W2ru', TEXT, said=1, length=513),
         'longer than its space'),
        ('locator of 1000 bytes in 1024', Locator(b'W2ru', TEXT.ljust(1000, b'\0'), 1024), ''),
        ('locator of 2^32 - 1 bytes', Locator(b'W2ru', TEXT, said=0xffffffff, length=0xffffffff),
         'too long|not inside the file'),
        ('locator that goes past the end', Locator(b'W2ru', TEXT, said=65536, length=65536),
         'not inside the file'),
        ('locator with room of nothing', Locator(b'W2ru', TEXT, said=0), 'longer than its space')):
    suite.test(f'hostile: {what}', test_row,
               Row(what, lambda _, bad=bad: child_image('base.vhd', [bad], gap=4096),
                   warn=why and f'parent locator 0 .*({why})'))


OUTSIDE = "it is not inside the folder '.*/root'"


def kept(name, make, parents, **more):
    """A child in the folder that its parents are kept to"""
    return Row(name, make, parents,
               **{'options': 'parent-root={folder}/root', 'child': 'root/child.vhd', **more})


def linked(folder, link, target):
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(folder / target)


IN_ROOT = {'root/base.vhd': 'B'}
for row in [
    kept('inside', lambda _: names('W2ru', r'.\base.vhd'), IN_ROOT),
    kept('through a link to the root',
         lambda f: linked(f, 'r', 'root') or names('W2ru', r'.\base.vhd'), IN_ROOT,
         options='parent-root={folder}/r'),
    kept('/', lambda _: names('W2ru', r'.\base.vhd'), IN_ROOT, options='parent-root=/'),
    kept('..', lambda _: names('W2ru', r'..\base.vhd'), {'base.vhd': 'B'}, refuse=OUTSIDE),
    kept('an absolute path', lambda f: names('W2ku', f'{f}/base.vhd'), {'base.vhd': 'B'}, refuse=OUTSIDE),
    kept('a folder whose name begins alike', lambda f: names('W2ku', f'{f}/rootless/base.vhd'),
         {'rootless/base.vhd': 'B'}, refuse=OUTSIDE),
    kept('a link out of it', lambda f: linked(f, 'root/link.vhd', 'base.vhd') or names('W2ru', r'.\link.vhd'),
         {'base.vhd': 'B'}, refuse=OUTSIDE),
    kept('a folder that is a link out of it',
         lambda f: linked(f, 'root/a', 'vm') or names('W2ru', r'.\a\base.vhd'), BESIDE, refuse=OUTSIDE),
    kept('parent-search leads out', lambda _: names('W2ru', r'.\base.vhd'), STORE,
         options='parent-root={folder}/root,parent-search={folder}/store', refuse=OUTSIDE),
    kept('parent= leads out', lambda _: names('W2ru', r'.\base.vhd'), {**IN_ROOT, **STORE},
         options='parent-root={folder}/root,parent={folder}/store/base.vhd', refuse=OUTSIDE),
    kept('the child is outside', lambda _: child_image('b.vhd', [
        locator('W2ru', r'.\base.vhd'), locator('W2ku', r'.\root\base.vhd')]),
         {'base.vhd': 'O', 'root/base.vhd': 'B'}, child='child.vhd'),
    kept('a link to an absolute path inside',
         lambda f: linked(f, 'root/link.vhd', 'root/base.vhd') or names('W2ru', r'.\link.vhd'), IN_ROOT),
    kept('a link that goes up inside',
         lambda f: save(f / 'root/a/x', b'') and os.symlink('../base.vhd', f / 'root/a/up') or names('W2ru', r'.\a\up'),
         IN_ROOT),
    kept('a hard link to a file outside', lambda f: os.link(f / 'base.vhd', f / 'root/hard.vhd')
         or names('W2ru', r'.\hard.vhd'), {'base.vhd': 'B', 'root/other.vhd': 'O'}),
    kept('an absolute path inside', lambda f: names('W2ku', f'{f}/root/base.vhd'), IN_ROOT),
    kept('a drive inside', lambda _: names('W2ku', r'C:\vm\base.vhd'), {'root/c/vm/base.vhd': 'B'},
         options='parent-root={folder}/root,drives=C={folder}/root/c'),
    kept('a drive outside', lambda _: names('W2ku', FULL), {'mnt/vm/base.vhd': 'B', 'root/other.vhd': 'O'},
         options='parent-root={folder}/root,drives=C={folder}/mnt', refuse=OUTSIDE),
    kept('in other case', lambda _: names('W2ru', r'.\a\BASE.vhd'), {'root/a/Base.VHD': 'B'}),
    kept('in other case outside', lambda _: names('W2ru', r'..\store\BASE.vhd'), STORE, refuse=OUTSIDE),
    kept('no such root', lambda _: names('W2ru', r'.\base.vhd'), IN_ROOT, options='parent-root={folder}/gone',
         refuse="it is not inside the folder '.*/gone'"),
    kept('it does not exist', lambda _: names('W2ru', r'.\base.vhd'), BESIDE, child='vm/child.vhd',
         refuse=OUTSIDE),
]:
    suite.test(f'parent-root: {row.name}', test_row, row)


@suite.fact
def root_of_grandparents(folder):
    """parent-root: grandparents, too"""
    (folder / 'root').mkdir()
    save_level(folder / 'root', 2, 1)
    save(folder / 'root/1.vhd', names('W2ru', r'..\0.vhd', uuid=other_uuid(1), parent_uuid=other_uuid(0)))
    save(folder / '0.vhd', parent_image('B', other_uuid(0)))
    check_contents(open_child(folder / 'root/2.vhd'), 'B16K C16K .32K')
    check_error(open_child(folder / 'root/2.vhd', f'parent-root={folder}/root'), '/0.vhd .*: ' + OUTSIDE)


@suite.fact
def root_and_looks(folder):
    """parent-root: nothing outside is looked at"""
    need('strace')
    save_parents(folder, {'out/base.vhd': 'B'})
    (folder / 'root').mkdir()
    linked(folder, 'root/link', 'out')
    outside = f'{folder}/out/'
    path = save(folder / 'root/child.vhd', child_image(outside + 'BASE.vhd', [
        locator('W2ku', outside + 'base.vhd'), locator('W2ru', r'..\out\base.vhd'), locator('W2ru', r'.\link\Base.vhd'),
        locator('MacX', f'file://localhost{outside}base.vhd')]))
    options = f'driver=vpc,parent-root={folder}/root,drives=C={folder}/out,parent-search={folder}/out'
    for program in ((POKE, '-o', options, path), (IMG, 'info', '--backing-chain', '--image-opts',
                                                  f'{options},file.filename={path}'),
                    (IMG, 'check', '--image-opts', f'{options},file.filename={path}')):
        done = run('strace', '-f', '-o', folder / 'calls', '-e', 'trace=%file', *program,
                   env=without_leak_check())
        calls = (folder / 'calls').read_text().splitlines() if (folder / 'calls').exists() else []
        if not any('child.vhd' in call for call in calls):
            raise Skip(f'strace does not work here: {done.stderr}')
        looks = [call for call in calls
                 if re.search(r'/out\b', call) and not re.search(r'execve|readlinkat\(\d+, ""', call)]
        equal(looks, [], f'looks outside by {program[0]}')


@suite.fact
def without_proc(folder):
    """without /proc, no parent is opened"""
    need('unshare', 'umount')
    if is_sanitized():
        raise Skip('sanitizers read their options, and look for leaks, by way of /proc')
    save_parents(folder, {'base.vhd': 'B'})
    path = save(folder / 'child.vhd', names('W2ru', r'.\base.vhd'))
    done = run('unshare', '-m', 'sh', '-c', 'umount -l /proc && exec "$@"', 'sh', POKE, '-o', 'driver=vpc', path)
    if not done.stdout:
        raise Skip(f'/proc stays mounted: {done.stderr}')
    check_error(Poked(done.stdout.splitlines()), 'it is opened by way of /proc/self/fd, which is not there')


@suite.fact
def block_device(folder):
    """a parent on a block device, which the image names"""
    need('losetup')
    save_parents(folder, {'base.vhd': 'B'})
    done = run('losetup', '--find', '--show', folder / 'base.vhd')
    device = done.stdout.strip()
    if done.returncode or not os.path.exists(device):
        raise Skip(f'no loop devices here: {done.stderr}')
    try:
        path = save(folder / 'root/child.vhd', names('W2ku', device))
        check_contents(open_child(path), EXPECTED)
        linked(folder, 'root/link', os.path.relpath(device, folder))
        save(path, names('W2ru', r'.\link'))
        check_contents(open_child(path), EXPECTED)
        check_error(open_child(path, f'parent-root={folder}/root'), OUTSIDE)
        check_contents(open_child(path, 'parent-root=/'), EXPECTED)
    finally:
        run('losetup', '--detach', device)


@suite.fact
def search_of_grandparents(folder):
    """parent-search, drives and ignore-parent-id: grandparents, too"""
    save_level(folder, 2, 1)
    save(folder / 'a/1.vhd', names('W2ku', r'X:\0.vhd', uuid=other_uuid(1), parent_uuid=other_uuid(7)))
    save(folder / 'b/0.vhd', parent_image('B', other_uuid(0)))
    options = f'parent-search={folder}/a,drives=X={folder}/b'
    check_contents(open_child(folder / '2.vhd', options + ',ignore-parent-id=on'), EXPECTED)
    check_error(open_child(folder / '2.vhd', options), "/b/0.vhd .*: its unique id is 00000000-")


def test_strange_parent(folder, make):
    path = make(folder)
    before = time.monotonic()
    for image in (child_image(str(path)), names('W2ru', os.path.relpath(path, folder))):
        for options in ('', f'parent={path}', 'ignore-parent-id=on'):
            check_error(open_child(save(folder / 'child.vhd', image), options), re.escape(str(path)))
    check(is_sanitized() or time.monotonic() - before < 10, 'took more than 10 seconds')


for what, make in (('/dev/zero', lambda f: '/dev/zero'), ('/dev/full', lambda f: '/dev/full'),
                   ('/proc/self/mem', lambda f: '/proc/self/mem'),
                   ('a FIFO', lambda f: os.mkfifo(f / 'fifo') or f / 'fifo'),
                   ('a folder', lambda f: (f / 'sub').mkdir() or f / 'sub'),
                   ('a socket of nobody', lambda f: os.mknod(f / 'socket', 0o140600) or f / 'socket'),
                   ('a link that leads nowhere', lambda f: (f / 'link').symlink_to('nowhere') or f / 'link'),
                   ('a link to itself', lambda f: (f / 'link').symlink_to('link') or f / 'link'),
                   ('an empty file', lambda f: save(f / 'empty', b'')),
                   ('text', lambda f: save(f / 'text', b'root:x:0:0\n' * 1000))):
    suite.test(f'hostile: the parent is {what}', test_strange_parent, make)


@suite.fact
def loop_of_links(folder):
    """hostile: a link that leads to itself is no chain without an end"""
    path = save(folder / 'child.vhd', names('W2ru', r'.\link'))
    (folder / 'link').symlink_to('link')
    for options in ('', f',parent-root={folder}'):
        done = run(IMG, 'check', '--image-opts', f'driver=vpc,file.filename={path}{options}')
        check('the chain has no end' not in done.stdout and 'too many symbolic links' in done.stdout, done.stdout)


@suite.fact
def missing(folder):
    """a parent that is missing: all places are listed, in order"""
    path = save(folder / 'vm/child.vhd', child_image('head.vhd', [
        locator('W2ku', r'C:\d\w2ku.vhd'), locator('W2ru', r'..\w2ru.vhd'),
        locator('MacX', 'file://./mac%20x.vhd'), locator('Wi2r', r'.\wi2r.vhd'),
        locator('Wi2k', r'D:\wi2k.vhd')]))
    poked = open_child(path, f'drives=C={folder}/c,parent-search={folder}/s')
    check_error(poked, NOT_FOUND, errno.ENOENT)
    places = re.findall(re.escape(str(folder)) + r'/(\S+?(?: x\.vhd)?) \(', poked.error)
    equal(places, ['w2ru.vhd', 'vm/mac x.vhd', 'vm/mac%20x.vhd', 'c/d/w2ku.vhd', 'vm/w2ku.vhd', 'vm/head.vhd',
                   'vm/wi2r.vhd', 'vm/wi2k.vhd', 's/w2ru.vhd', 's/mac x.vhd', 's/mac%20x.vhd', 's/w2ku.vhd',
                   's/head.vhd', 's/wi2r.vhd', 's/wi2k.vhd'], 'places')
    for kind in ('W2ru', 'MacX', 'W2ku', 'Wi2r', 'Wi2k'):
        check(f'({kind} locator' in poked.error, f'no {kind} in {poked.error}')


@suite.fact
def probed(folder):
    """hostile: a child whose format was guessed never opens its parent"""
    path = save(folder / 'child.vhd', windows10(FULL, r'.\base.vhd'))
    save_parents(folder, {'base.vhd': 'B'})
    opened = []
    signal.signal(signal.SIGIO, lambda *_: opened.append(True))
    with open(folder / 'base.vhd', 'r+b') as parent:
        try:
            fcntl.fcntl(parent, fcntl.F_SETLEASE, fcntl.F_WRLCK)    # a signal when somebody opens it
        except OSError:
            raise Skip('no leases here') from None
        poked = poke(path, flags='p', options='')
        check_error(poked, 'its format was only guessed.*name the driver', errno.EACCES)
        check('base.vhd' not in poked.error, f'the parent is named: {poked.error}')
        check(not opened, 'the parent was opened')
        open_child(path)
        check(opened, 'the test does not see when a file is opened')


@suite.fact
def probed_tool(folder):
    """hostile: a child whose format was guessed, with the tools"""
    path = save(folder / 'child.img', windows10(FULL, r'.\base.vhd'))
    save_parents(folder, {'base.vhd': 'B'})
    error = fails(IMG, 'convert', '-O', 'raw', path, folder / 'out')
    check('only guessed' in error, f'convert says "{error}"')


RAW_COMMANDS = (['info', '--backing-chain'], ['map'], ['convert', '-O', 'raw', 'out'], ['compare', 'base.raw'], ['check', '--backing-chain'],
                ['rebase', '-F', 'raw', '-b', 'base.raw'], ['commit'])


def make_raw_child(folder, parent='base.raw', child='child.vhd'):
    (folder / child).parent.mkdir(exist_ok=True)
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', parent, '-F', 'raw', folder / child)


@suite.fact
def raw_parent(folder):
    """a child of ours whose parent is a raw disk beside it needs no word about that, by any command"""
    (folder / 'base.raw').write_bytes(b'R' * MIB)
    make_raw_child(folder)
    for command, *words in RAW_COMMANDS:
        last = [words.pop()] if words and words[-1] in ('out', 'base.raw') and command in ('convert', 'compare') else []
        works(IMG, command, '-f', 'vpc', *words, 'child.vhd', *last, cwd=folder)
    equal((folder / 'out').read_bytes() == b'R' * MIB, True, 'contents')
    text = works(IO, '-f', 'vpc', '-c', 'read -P 82 0 1M', folder / 'child.vhd')
    check('failed' not in text, text)


@suite.fact
def raw_elsewhere(folder):
    """a raw disk that is not below the child's folder has to be named by the user: an image can't have any file read"""
    (folder / 'base.raw').write_bytes(b'R' * MIB)
    make_raw_child(folder, '../base.raw', 'sub/child.vhd')
    make_raw_child(folder, f'{folder}/base.raw', 'sub/other.vhd')
    for name in 'child.vhd', 'other.vhd':
        path = folder / 'sub' / name
        fails(IMG, 'map', '-f', 'vpc', path)
        works(IMG, 'map', '--image-opts', f'driver=vpc,backing.driver=raw,file.filename={path}')


@suite.fact
def raw_is_another(folder):
    """what has become an image of another format is not taken for a raw parent, nor is that of a child that others made"""
    (folder / 'base.raw').write_bytes(b'R' * MIB)
    make_raw_child(folder)
    make_raw_child(folder, child='theirs.vhd')
    works(IMG, 'amend', '-f', 'vpc', '-o', 'creator=win ', folder / 'theirs.vhd')
    fails(IMG, 'map', '-f', 'vpc', folder / 'theirs.vhd')
    (folder / 'base.raw').write_bytes(b'QFI\xfb\0\0\0\3' + bytes(MIB - 8))
    fails(IMG, 'map', '-f', 'vpc', folder / 'child.vhd')


def orphan(folder):
    """A child whose parent is gone, with 'C' in its second block"""
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'force_size=on,block_size=1M', folder / 'base.vhd', '4M')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'base.vhd', folder / 'child.vhd')
    works(IO, '-f', 'vpc', '-c', 'write -P 67 1M 1M', folder / 'child.vhd')
    (folder / 'base.vhd').unlink()
    return folder / 'child.vhd'


WITHOUT = {'backing= in options': 'driver=vpc,backing=,file.filename={}',
           'null in JSON': 'json:{{"driver": "vpc", "backing": null, "file": {{"driver": "file", "filename": "{}"}}}}'}


def test_orphan(folder, options):
    path = orphan(folder)
    source = options.format(path)
    words = () if source.startswith('json:') else ('--image-opts',)
    works(IMG, 'convert', '-O', 'raw', *words, source, folder / 'own.raw')
    data = (folder / 'own.raw').read_bytes()
    equal(data == bytes(MIB) + b'C' * MIB + bytes(2 * MIB), True, 'contents')
    works(IMG, 'map', *words, source)
    works(IMG, 'compare', *words, source, *(('driver=raw,file.filename=' + str(folder / 'own.raw'),) if words
                                            else (folder / 'own.raw',)))
    before = path.read_bytes()
    done = run(IO, *words, '-c', 'write 0 512', source)
    check(done.returncode, "it is written to without its parent")
    equal(path.read_bytes() == before, True, 'file')


for name, options in WITHOUT.items():
    suite.test(f'the own data of an orphan: {name}', test_orphan, options)


@suite.fact
def orphan_says(folder):
    """a parent that can't be found: the message says what helps, and each of that does"""
    path = orphan(folder)
    text = fails(IMG, 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'out')
    for word in ('parent=FILE', 'parent-search=FOLDER', 'rebase -u -b FILE', 'backing='):
        check(word in text, text)
    (folder / 'store').mkdir()
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', f'force_size=on,uuid={facts(path)["parent-uuid"]}', folder / 'store/base.vhd', '4M')
    for option in f'parent={folder}/store/base.vhd', f'parent-search={folder}/store':
        works(IMG, 'convert', '-O', 'raw', '--image-opts', f'driver=vpc,{option},file.filename={path}', folder / 'out')
    works(IMG, 'rebase', '-u', '-f', 'vpc', '-b', 'store/base.vhd', path)
    works(IMG, 'convert', '-f', 'vpc', '-O', 'raw', path, folder / 'out')


suite.main()
