# sizes.py - sizes, geometries and readers of VHDs, in create, convert and resize; and media of a fixed length
# SPDX-License-Identifier: MIT
import json
import re

from harness import IMG, IO, Suite, check, equal, facts, fails, info, need, run, works
from nbd_server import Nbdkit, uri
import vhd
from vhd import MIB

suite = Suite(__file__)

GIB = 1 << 30
OWN = ((920, 2, 33), (917, 15, 17), (1023, 16, 63), (306, 4, 17), (16, 255, 63))      # drives of old PCs, none as the algorithm has it


def size_of(geometry):
    return geometry[0] * geometry[1] * geometry[2] * 512


def text_of(geometry):
    return '/'.join(map(str, geometry))


def geometry_of(path):
    items = facts(path)
    return items['cylinders'], items['heads'], items['sectors-per-track']


def make(path, size, options=''):
    """What miniblk-img create says of it"""
    done = run(IMG, 'create', '-q', '-f', 'vpc', *(['-o', options] if options else []), path, size)
    equal(done.returncode, 0, done.stderr)
    return done.stderr


def test_own(folder, geometry):
    """made with it, by name; copied; and in a child"""
    size = size_of(geometry)
    equal(make(folder / 'a.vhd', size, f'geometry={text_of(geometry)}'), '', 'warnings')
    works(IO, '-f', 'vpc', '-c', 'write -P 7 0 64k', folder / 'a.vhd')
    works(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', '-o', 'subformat=fixed', folder / 'a.vhd', folder / 'b.vhd')
    works(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', folder / 'b.vhd', folder / 'c.vhd')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'c.vhd', folder / 'd.vhd')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'd.vhd', folder / 'e.vhd')
    works(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', folder / 'e.vhd', folder / 'f.vhd')
    works(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', '-B', 'd.vhd', '-F', 'vpc', folder / 'e.vhd', folder / 'g.vhd')
    for name in 'abcdefg':
        equal(geometry_of(folder / f'{name}.vhd'), geometry, f'{name}.vhd')
    works(IMG, 'compare', '-f', 'vpc', '-F', 'vpc', folder / 'a.vhd', folder / 'f.vhd')


for own in OWN:
    suite.test(f'{text_of(own)} is kept', test_own, own)


@suite.fact
def for_others(folder):
    """a copy for a reader by geometry has the source's, where that says the size"""
    make(folder / 'a.vhd', size_of(OWN[0]), f'geometry={text_of(OWN[0])}')
    for reader in 'virtualpc', 'qemu', 'hyper-v':
        works(IMG, 'convert', '-f', 'vpc', '-O', 'vpc', '-o', f'for={reader}', folder / 'a.vhd', folder / 'b.vhd')
        equal((geometry_of(folder / 'b.vhd'), info(folder / 'b.vhd', '-f', 'vpc')['virtual-size']), (OWN[0], size_of(OWN[0])),
              reader)


@suite.fact
def other_size(folder):
    """a child of another size, and a copy of it, have another geometry"""
    make(folder / 'a.vhd', size_of(OWN[0]), f'geometry={text_of(OWN[0])}')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', folder / 'b.vhd', '64M')
    make(folder / 'c.vhd', '64M')
    equal(geometry_of(folder / 'b.vhd'), geometry_of(folder / 'c.vhd'), 'geometry')


@suite.fact
def block_sizes(folder):
    """a child has blocks as its parent has, if nobody asks for others"""
    make(folder / 'a.vhd', '8M', 'block_size=64k')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', folder / 'b.vhd')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'a.vhd', '-o', 'block_size=1M', folder / 'c.vhd')
    make(folder / 'f.vhd', '8M', 'subformat=fixed')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'f.vhd', folder / 'd.vhd')
    for name, blocks in ('b', 65536), ('c', MIB), ('d', 2 * MIB):
        equal(info(folder / f'{name}.vhd', '-f', 'vpc')['cluster-size'], blocks, f'{name}.vhd')


@suite.fact
def asked_for(folder):
    """a geometry that is asked for is had, or refused: raw to VHD, too"""
    (folder / 'a.raw').write_bytes(bytes(size_of(OWN[0])))
    works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-o', 'geometry=920/2/33', folder / 'a.raw', folder / 'a.vhd')
    equal(geometry_of(folder / 'a.vhd'), OWN[0], 'geometry')
    for words, why in (('geometry=920/2/34', 'has 32030720 bytes, and the disk has 31088640'), ('geometry=920/2', 'is not cyl'),
                       ('geometry=0/2/33', 'is not cyl'), ('geometry=920/2/33x', 'is not cyl'), ('geometry=920/2/256', 'is not'),
                       ('for=virtualpc,geometry=900/2/33', 'take that for the size')):
        text = fails(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-o', words, folder / 'a.raw', folder / 'b.vhd')
        check(why in text, f'{words}: {text}')
        check(not (folder / 'b.vhd').exists(), f'{words}: a file was made')


@suite.fact
def as_qemu(folder):
    """under QEMU's name a copy has the geometry that QEMU gives it"""
    need('qemu-img')
    make(folder / 'a.vhd', size_of(OWN[1]), f'geometry={text_of(OWN[1])}')
    (folder / 'qemu-img').symlink_to(IMG)
    for program, name in (folder / 'qemu-img', 'ours.vhd'), ('qemu-img', 'theirs.vhd'):
        works(program, 'convert', '-f', 'vpc', '-O', 'vpc', folder / 'a.vhd', folder / name)
    equal(geometry_of(folder / 'ours.vhd'), geometry_of(folder / 'theirs.vhd'), 'geometry')


@suite.fact
def said(folder):
    """create says how much of the disk readers see that go by the geometry, where nobody chose that"""
    text = make(folder / 'a.vhd', '64M')
    check(re.search('see 67055616 of the disk.s 67108864 bytes; for=virtualpc', text), text)
    equal(make(folder / 'a.vhd', 67055616), '', 'all is seen')
    for options in ('for=hyper-v', 'force_size=on', 'force_size=off', 'geometry=1/1/1'):
        equal(make(folder / 'a.vhd', '64M', options), '', options)
    for size, options, gets in (('64M', 'for=virtualpc', 67125248), ('20481k', 'for=azure', 22020096), ('3M', 'for=xen', 4194304)):
        check(f'the disk gets {gets} bytes and not' in make(folder / 'a.vhd', size, options), options)
    equal(make(folder / 'a.vhd', '64M', 'for=azure'), '', 'what is asked for is had')


def call_it(path, creator):
    """Let both footers have another creator"""
    data = bytearray(path.read_bytes())
    for at in 0, len(data) - 512:
        data[at + 28:at + 32] = creator
        vhd.seal(data, at, 512, vhd.FOOTER_SUM)
    path.write_bytes(data)


def works_and_says(*words):
    done = run(*words)
    equal(done.returncode, 0, done.stderr)
    return done.stderr


@suite.fact
def geometry_counts(folder):
    """a disk that is read by its geometry is shorter than its footer says: dd, compare, create and open of a child say so"""
    make(folder / 'p.vhd', '64M', 'force_size=on')
    call_it(folder / 'p.vhd', b'vpc ')
    text = 'is read as a disk of 67055616 bytes, by its geometry, and its footer names more'
    check(text in works_and_says(IMG, 'create', '-q', '-f', 'vpc', '-b', 'p.vhd', folder / 'c.vhd'), 'create')
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'creator=win', '-b', 'p.vhd', folder / 'd.vhd', '64M')
    check(text in works_and_says(IMG, 'map', '-f', 'vpc', folder / 'd.vhd'), 'a longer child')
    text = 'only 67055616 of the 67108864 bytes in its footer are read'
    check(text in works_and_says(IMG, 'dd', '-f', 'vpc', '-O', 'raw', f'if={folder}/p.vhd', f'of={folder}/p.raw'), 'dd')
    check(text in works_and_says(IMG, 'compare', '-f', 'vpc', '-F', 'raw', folder / 'p.vhd', folder / 'p.raw'), 'compare')
    text = fails(IMG, 'create', '-f', 'vpc', '-o', 'creator=vpc,force_size=on', folder / 'e.vhd', '64M')
    check("take that for the size, which is 67108864" in text, text)


@suite.fact
def fewer_bytes(folder):
    """a copy of fewer bytes than the footer names says so, and how to have them all"""
    make(folder / 'a.vhd', '64M', 'force_size=on')
    call_it(folder / 'a.vhd', b'vpc ')
    done = run(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'a.vhd', folder / 'a.raw')
    check('only 67055616 of the 67108864 bytes in its footer are read' in done.stderr and 'force_size_calc=current_size' in done.stderr, done.stderr)
    done = run(IMG, 'convert', '-O', 'raw', '--image-opts',
               f'driver=vpc,force_size_calc=current_size,file.filename={folder}/a.vhd', folder / 'a.raw')
    equal((done.stderr, (folder / 'a.raw').stat().st_size), ('', 64 * MIB), 'all of it')
    make(folder / 'b.vhd', '64M', 'for=virtualpc')
    equal(run(IMG, 'convert', '-f', 'vpc', '-O', 'raw', folder / 'b.vhd', folder / 'b.raw').stderr, '', 'both are the same')


@suite.fact
def azure(folder):
    """for=azure that Azure will not take says so, before it is written, and in what info says afterwards"""
    for size, options, why in (('10M', '', 'not between 20 MiB'), ('64M', ',subformat=dynamic', 'it is not fixed')):
        text = make(folder / 'a.vhd', size, f'for=azure{options}')
        check('Azure does not take this image' in text and why in text, text)
        check(why in facts(folder / 'a.vhd')['ready-for-azure'], 'info')
    equal(make(folder / 'a.vhd', '20M', 'for=azure'), '', 'warnings')
    works(IMG, 'resize', '-q', '-f', 'vpc', folder / 'a.vhd', '64M')
    equal(facts(folder / 'a.vhd')['ready-for-azure'], 'yes', 'ready')


@suite.fact
def own_geometry_resized(folder):
    """resize for a reader by geometry is obeyed where the geometry was an own one"""
    make(folder / 'a.vhd', size_of(OWN[0]), f'geometry={text_of(OWN[0])}')
    done = run(IMG, 'resize', '-q', '-f', 'vpc', '-o', 'for=virtualpc', folder / 'a.vhd', '64M')
    items = facts(folder / 'a.vhd')
    equal((items['creator'].strip(), items['size-in-virtual-pc-86box']), ('vpc', items['current-size']), done.stderr)
    check(items['current-size'] >= 64 * MIB, 'shorter than asked for')


@suite.fact
def of_qemu(folder):
    """what qemu-img made is resized to what was asked for, or as a reader wants it"""
    need('qemu-img')
    for options in ('subformat=fixed', 'subformat=dynamic'):
        works('qemu-img', 'create', '-q', '-f', 'vpc', '-o', options, folder / 'a.vhd', '64M')
        done = run(IMG, 'resize', '-q', '-f', 'vpc', folder / 'a.vhd', '65M')
        equal(info(folder / 'a.vhd', '-f', 'vpc')['virtual-size'], 65 * MIB, options)
        check("the creator is 'qem2' now and no longer 'qemu'" in done.stderr, done.stderr)
        theirs = json.loads(works('qemu-img', 'info', '-f', 'vpc', '--output=json', folder / 'a.vhd'))
        equal(theirs['virtual-size'], 65 * MIB, 'as QEMU sees it')
    works('qemu-img', 'create', '-q', '-f', 'vpc', '-o', 'subformat=fixed', folder / 'a.vhd', '64M')
    done = run(IMG, 'resize', '-q', '-f', 'vpc', '-o', 'for=azure', folder / 'a.vhd', '67200000')
    equal(info(folder / 'a.vhd', '-f', 'vpc')['virtual-size'], 65 * MIB, 'for=azure')
    check('the disk gets 68157440 bytes and not 67200000' in done.stderr, done.stderr)
    done = run(IMG, 'resize', '-q', '-f', 'vpc', '-o', 'for=virtualpc', folder / 'a.vhd', '70M')
    items = facts(folder / 'a.vhd')
    equal(items['size-in-virtual-pc-86box'], items['current-size'], 'for=virtualpc')
    check('xyz' in fails(IMG, 'resize', '-f', 'vpc', '-o', 'for=xyz', folder / 'a.vhd', '80M'), 'refused')


@suite.fact
def large(folder):
    """a fixed disk may have more than 2040 GiB, and that is said; its end is written and read"""
    text = make(folder / 'a.vhd', '3000G', 'subformat=fixed')
    check('do not read disks of more than 2040 GiB' in text, text)
    make(folder / 'b.vhd', '1024G', 'for=azure')
    works(IMG, 'resize', '-q', '-f', 'vpc', folder / 'b.vhd', '4095G')
    (folder / 'c.raw').touch()
    works('truncate', '-s', '2041G', folder / 'c.raw')
    works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-o', 'subformat=fixed', folder / 'c.raw', folder / 'c.vhd')
    for name, size in ('a', 3000), ('b', 4095), ('c', 2041):
        path = folder / f'{name}.vhd'
        equal(info(path, '-f', 'vpc')['virtual-size'], size * GIB, 'size')
        works(IO, '-f', 'vpc', '-c', f'write -P 9 {size * GIB - 512} 512', path)
        text = works(IO, '-f', 'vpc', '-c', f'read -P 9 {size * GIB - 512} 512', path)
        check('Pattern verification failed' not in text, text)
    check('dynamic or differencing' in fails(IMG, 'create', '-f', 'vpc', folder / 'd.vhd', '2041G'), 'dynamic')


# A medium of a fixed length

STALE = {
    'nothing': None, 'a dynamic image': '', 'a fixed image': 'subformat=fixed', 'an image in small blocks': 'block_size=4k',
}


def test_medium(folder, stale, subformat):
    """An image over an older one: opened as made, zero but for what was written, the older one's data unseen"""
    size = 24 * MIB
    with Nbdkit(folder, 'memory', f'size={size}') as kit:
        if STALE[stale] is not None:
            older = '22M' if 'fixed' not in stale else f'{size - 512}'
            make(uri(kit), older, STALE[stale] or 'force_size=on')
            works(IO, '-f', 'vpc', '-c', 'write -P 9 0 8M', uri(kit))
        make(uri(kit), '12M', f'subformat={subformat},force_size=on')
        items = info(uri(kit), '-f', 'vpc')
        equal((items['virtual-size'], items['format-specific']['data']['type']), (12 * MIB, subformat), 'what was made')
        text = works(IO, '-f', 'vpc', '-c', 'read -P 0 0 12M', '-c', 'write -P 5 11M 1M', uri(kit))
        check('failed' not in text, text)
        (folder / 'new.raw').write_bytes(b'NEW'.ljust(8 * MIB, b'n'))
        works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-o', f'subformat={subformat},force_size=on', folder / 'new.raw', uri(kit))
        equal(info(uri(kit), '-f', 'vpc')['virtual-size'], 8 * MIB, 'converted')
        works(IMG, 'compare', '-f', 'raw', '-F', 'vpc', folder / 'new.raw', uri(kit))


for stale in STALE:
    for subformat in ('dynamic', 'fixed'):
        suite.test(f'{subformat}, over {stale}', test_medium, stale, subformat)


suite.main()
