# seeds.py - first inputs for the fuzz targets, an image of each shape among them: seeds.py [CORPUS-FOLDER]
# SPDX-License-Identifier: MIT
"""Writes what fuzz/corpus/TARGET/seed-NAME is. The images come from the builder tests/lib/vhd.py."""

import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'tests/lib'))
import vhd  # noqa: E402

RDWR, UNMAP, WRITETHROUGH, NO_BACKING, FIXED_DISK, READ_ONLY, PARENT, SNAPSHOT = (1 << i for i in range(8))
SUM_ENDS, SUM_HEADER, COPY_HEAD, ADD_TAIL, SHORT_TAIL = (1 << i for i in range(5))
VPC, PROBE, RAW, CREATED = 0, 2, 3, 0x80
K = 1024


def setup(driver=VPC, flags=0, repair=0, rule=0, align=0, cache=0, fill=0, gap_at=0, gap=0, fail=0, limit=15,
          extra=(3, 8)):
    """See fuzz_take_setup() in image.c"""
    return struct.pack('>8BHH4B', driver, flags, repair, rule, align, 0, cache, fill, gap_at, gap, fail, limit, *extra)


def op(code, at=0, length=512, flags=0, stamp=7):
    return bytes((code, flags, stamp)) + at.to_bytes(3, 'big') + length.to_bytes(2, 'big')


WRITE, READ, ZERO, DISCARD, FLUSH, REOPEN, TRUNCATE, STATUS, ALL, REBASE = 0, 3, 4, 5, 6, 7, 8, 9, 10, 11


def tables(image):
    """Without the footer at the end, which the target adds"""
    return bytes(image[:-vhd.SECTOR])


def windows_child():
    """Locators before the BAT, which is at 8192"""
    names = [vhd.locator('W2ru', '.\\base.vhd', before_bat=True, room=512), vhd.locator('W2ku', 'C:\\base.vhd')]
    return vhd.differencing(name=vhd.utf16('base.vhd', 'be'), size=8 * K, block_size=2 * K, blocks={1: b'W'},
                            bits={1: b'\xa0'}, locators=names)


def shapes():
    """name: image, flags for opening it"""
    sparse = {'size': 16 * K, 'block_size': 4 * K}
    cut = vhd.dynamic(size=2 * K, block_size=2 << 20, blocks={0: b'L' * 2048})
    return {
        'fixed': (vhd.fixed(4 * K), 0),
        'fixed-short': (vhd.fixed(2 * K, current_size=9 * K), 0),
        'fixed-511': (vhd.fixed(2 * K)[:-1], RDWR),
        'empty': (vhd.dynamic(blocks={}, **sparse), RDWR),
        'dynamic': (vhd.dynamic(blocks={2: b'b', 0: b'a'}, bits={0: b'\x5a'}, **sparse), RDWR),
        'blocks-512': (vhd.dynamic(size=2 * K, block_size=512, blocks={0: b'a', 3: b'd'}), RDWR),
        'blocks-2m': (vhd.dynamic(size=5 << 20, blocks={}), RDWR),
        'cut-short': (cut, RDWR),
        'dynamic-511': (vhd.dynamic(blocks={1: b'b'}, **sparse)[:-1], RDWR),
        'no-tail': (vhd.dynamic(blocks={1: b'b'}, **sparse)[:-512], RDWR),
        'no-head': (vhd.dynamic(blocks={1: b'b'}, **sparse).change(0, bytes(512)), RDWR),
        'padded': (vhd.dynamic(blocks={}, **sparse) + bytes(1000), 0),
        'tap': (vhd.dynamic(blocks={0: b't', 1: b'u'}, batmap=[0], creator=b'tap\0', entries=40, **sparse), RDWR),
        'poison': (vhd.fixed(1 * K, cookie=b'v_poison'), 0),
        'overlap': (vhd.dynamic(blocks={0: b'a', 1: b'b'}, **sparse).change_bat(1, 5), RDWR),
        'on-metadata': (vhd.dynamic(blocks={0: b'a'}, **sparse).change_bat(1, 2), RDWR),
        'past-end': (vhd.dynamic(blocks={0: b'a'}, **sparse).change_bat(1, 5000), RDWR),
        'few-entries': (vhd.dynamic(blocks={0: b'a'}, entries=2, **sparse), 0),
        'virtual-pc': (vhd.dynamic(size=68 * K, block_size=16 * K, blocks={}, creator=b'vpc '), RDWR),
        'windows-child': (windows_child(), RDWR | PARENT),
        'child-alone': (windows_child(), NO_BACKING),
        'child-standing': (vhd.differencing(size=70 * K, block_size=32 * K, blocks={}), RDWR | PARENT),
        'odd-block': (vhd.dynamic(size=6 * K, block_size=1536, blocks={1: b'x'}), RDWR),
        'vhdx': (b'vhdxfile' + bytes(600), 0),
        'raw': (b'some bytes that are a disk' * 40, RDWR),
        'tiny': (b'conectix', 0),
        'nothing': (b'', RDWR),
    }


def open_seeds():
    for name, (image, flags) in shapes().items():
        driver = RAW if name in ('raw', 'nothing') else VPC
        yield name, setup(driver, flags) + bytes(image)
        yield name + '-guessed', setup(PROBE) + bytes(image)
    for name in ('dynamic', 'windows-child', 'tap', 'overlap'):
        image, flags = shapes()[name]
        yield name + '-sums', setup(VPC, flags, SUM_ENDS | SUM_HEADER | ADD_TAIL) + tables(image)
    image = tables(vhd.dynamic(size=16 * K, block_size=4 * K, blocks={}))
    yield 'aligned', setup(VPC, RDWR, ADD_TAIL, align=1) + image
    yield 'aligned-4k', setup(VPC, RDWR | UNMAP, ADD_TAIL, align=4) + image
    yield 'flush-fails', setup(VPC, RDWR, ADD_TAIL, fail=2 + 4 * 1) + image
    yield 'write-fails', setup(VPC, RDWR, ADD_TAIL, fail=1 + 4 * 3) + image
    yield 'read-fails', setup(VPC, RDWR, ADD_TAIL, fail=0x80 + 4 * 6) + image
    yield 'disk-full', setup(VPC, RDWR, ADD_TAIL, limit=0) + image
    yield 'disk-fixed', setup(VPC, RDWR | FIXED_DISK, ADD_TAIL) + image
    yield 'snapshot', setup(VPC, RDWR | SNAPSHOT, ADD_TAIL) + image
    # room for a BAT of more than one piece
    wide = bytes(vhd.dynamic(size=20000 * 512, block_size=512, blocks={}, entries=1))
    wide = vhd.Image(wide[:2048])
    wide.change_header(entries=20000)
    how = setup(VPC, RDWR, ADD_TAIL | SUM_HEADER, fill=0xff, gap_at=3, gap=160, extra=(200, 15))
    yield 'wide', how + bytes(wide[:1536])


def check_seeds():
    """What is wrong, and is repaired, or only what gives space back is"""
    for name, (image, flags) in shapes().items():
        yield name, setup(VPC, flags, extra=(3, 0)) + bytes(image)
    sparse = {'size': 16 * K, 'block_size': 4 * K}
    wrong = {
        'clear-bits': vhd.dynamic(blocks={0: b'a', 1: b'b'}, bits={0: b'\x5a'}, **sparse),
        'gap': vhd.dynamic(blocks={1: b'b'}, gap=3 * K, **sparse),
        'tail-differs': vhd.dynamic(blocks={1: b'b'}, **sparse).change_footer('tail', current_size=8 * K),
        'header-sum': vhd.dynamic(blocks={1: b'b'}, **sparse).change_header(False, version=0x10001),
        'batmap-says-too-much': vhd.dynamic(blocks={0: b't'}, bits={0: b'\xf0'}, batmap=[0], creator=b'tap\0',
                                            **sparse),
        'entries-past-the-end': vhd.dynamic(blocks={0: b'a', 6: b'b'}, entries=8, **sparse),
    }
    for name, image in wrong.items():
        yield name, setup(VPC, RDWR, extra=(3, 0)) + bytes(image)
        yield name + '-leaks', setup(VPC, RDWR, extra=(1, 0)) + bytes(image)
    yield 'write-fails', setup(VPC, RDWR, fail=1 + 4 * 2, extra=(3, 0)) + bytes(wrong['gap'])


SCRIPT = (op(WRITE, 0, 700) + op(READ, 100, 900) + op(WRITE, 5000, 3000, stamp=9) + op(FLUSH) + op(ZERO, 4000, 2500) +
          op(STATUS, 0, 9000) + op(REOPEN) + op(DISCARD, 0, 6000) + op(WRITE, 6, 9, 2 | 8 | 16) + op(ALL) +
          op(TRUNCATE, 9000) + op(REBASE, flags=16) + op(WRITE, 50, 4, 1))


def ops_seeds():
    for shift in range(0, 13, 2):
        yield f'new-{512 << shift}', setup(CREATED, RDWR | UNMAP, rule=shift, gap_at=40000, extra=(0, 0)) + SCRIPT
    for number, reader in enumerate(('hyper-v', 'virtualpc', 'xen', 'qemu')):
        yield 'for-' + reader, setup(CREATED, RDWR, rule=3, fill=number, gap_at=60000, extra=(16, 0)) + SCRIPT
    yield 'new-fixed', setup(CREATED, RDWR, gap_at=40, extra=(2 | 4, 0)) + SCRIPT
    yield 'new-sparse', setup(CREATED, RDWR, rule=12, gap_at=2000, extra=(1, 0)) + SCRIPT
    yield 'new-raw', setup(CREATED | RAW, RDWR | UNMAP, gap_at=30000, extra=(0, 0)) + SCRIPT
    yield 'new-child', setup(CREATED, RDWR | PARENT, rule=3, gap_at=60000, extra=(0, 0)) + SCRIPT
    yield 'new-child-4k', setup(CREATED, RDWR | PARENT, rule=3, align=4, gap_at=60000, extra=(0, 0)) + SCRIPT
    yield 'new-snapshot', setup(CREATED, RDWR | SNAPSHOT, rule=3, gap_at=60000, extra=(0, 0)) + SCRIPT
    yield 'new-little-memory', setup(CREATED, RDWR, rule=0, cache=1, gap_at=60000, extra=(0, 0)) + SCRIPT
    yield 'new-aligned', setup(CREATED, RDWR, rule=0, align=1, gap_at=60000, extra=(0, 0)) + SCRIPT
    yield 'new-through', setup(CREATED, RDWR | WRITETHROUGH, rule=4, gap_at=60000, extra=(0, 0)) + SCRIPT
    for fail in (1, 2, 3, 1 + 4 * 9, 0x80 + 1 + 4 * 5, 0x80 + 2 + 4):
        yield f'fails-{fail}', setup(CREATED, RDWR, rule=2, gap_at=60000, fail=fail, extra=(0, 0)) + SCRIPT
    script = bytes((len(SCRIPT) // 8,)) + SCRIPT
    for name, (image, flags) in shapes().items():
        yield name, setup(RAW if name == 'raw' else VPC, flags) + script + bytes(image)


def text(string):
    data = string if isinstance(string, bytes) else string.encode()
    return bytes((len(data),)) + data


def locator(code, string, how=0):
    return bytes((code, how)) + text(string)


W2RU, W2KU, MACX, WI2R, WI2K, MAC, OTHER = range(7)
WINDOWS, BIG, BYTES = 1, 2, 4


def child(identity, parent, name, locators=(), place=0, blocks=3, bits=0xc3, kind=2, order=BIG):
    """See build() in chain.c"""
    return (bytes((kind, place, identity, parent, blocks, bits, order | len(locators) << 2)) + text(name) +
            b''.join(locators))


def dynamic(identity, place=1, blocks=15, bits=0xff):
    return bytes((1, place, identity, 0, blocks, bits, 0))


def fixed(identity, place=1):
    return bytes((0, place, identity))


ROOT, SEARCH, DRIVES, IGNORE_ID, SHALLOW, CHAIN_RDWR, NAMED, IN_STORAGE = (1 << i for i in range(8))
COMMIT, MOVE, ALONE, THROW, CREATE, RESOLVE, OFFER_FILES, GO_ON = (1 << i for i in range(8))


def chain(images, flags=0, more=0, new_parent=''):
    return bytes((flags, more, len(images) - 1)) + text(new_parent) + b''.join(images)


def chain_seeds():
    base = dynamic(1)
    yield 'by-name', chain([child(2, 1, 'a.vhd'), base])
    yield 'little-endian-name', chain([child(2, 1, 'a.vhd', order=0), base])
    yield 'w2ru', chain([child(2, 1, '', [locator(W2RU, './a.vhd', WINDOWS)]), base], CHAIN_RDWR)
    yield 'w2ku-drive', chain([child(2, 1, '', [locator(W2KU, 'C:/a.vhd', WINDOWS)]), base], DRIVES)
    yield 'w2ku-last-part', chain([child(2, 1, '', [locator(W2KU, 'X:/far/away/a.vhd', WINDOWS)]), base])
    yield 'macx', chain([child(2, 1, '', [locator(MACX, 'file://./a.vhd')]), base])
    yield 'macx-absolute', chain([child(2, 1, '', [locator(MACX, b'file://localhost\1/in/a.vhd')]), base], ROOT)
    yield 'wi2r', chain([child(2, 1, '', [locator(WI2R, 'sub/b.vhd', WINDOWS)]), dynamic(1, 2)])
    others = [locator(WI2K, 'C:/a.vhd'), locator(MAC, 'a'), locator(OTHER, 'a')]
    yield 'wi2k-mac-other', chain([child(2, 1, '', others), base])
    yield 'other-case', chain([child(2, 1, 'A.VHD'), base])
    yield 'other-case-folder', chain([child(2, 1, '', [locator(W2RU, 'sub/B.vhd', WINDOWS)]), dynamic(1, 2)])
    yield 'search', chain([child(2, 1, 'b.vhd'), dynamic(1, 2)], SEARCH)
    yield 'outside', chain([child(2, 1, '', [locator(W2RU, '../out/c.vhd', WINDOWS)]), dynamic(1, 3)])
    yield 'outside-root', chain([child(2, 1, '', [locator(W2RU, '../out/c.vhd', WINDOWS)]), dynamic(1, 3)], ROOT)
    yield 'link-outside-root', chain([child(2, 1, 'link.vhd'), dynamic(1, 3)], ROOT)
    yield 'folder-outside-root', chain([child(2, 1, '', [locator(W2RU, 'away/c.vhd')]), dynamic(1, 3)], ROOT | SEARCH)
    away = [locator(W2KU, '/etc/passwd'), locator(MACX, 'file:///etc/passwd')]
    yield 'host-file', chain([child(2, 1, '', away), base])
    yield 'loop', chain([child(2, 3, 'a.vhd'), child(3, 2, 'child.vhd', place=1)])
    yield 'itself', chain([child(2, 2, 'child.vhd')])
    yield 'fixed-parent', chain([child(2, 1, 'a.vhd'), fixed(1)])
    yield 'three', chain([child(2, 1, 'a.vhd'), child(1, 4, 'sub/b.vhd', place=1), dynamic(4, 2)], CHAIN_RDWR)
    yield 'too-deep', chain([child(2, 1, 'a.vhd'), child(1, 4, 'sub/b.vhd', place=1), dynamic(4, 2)], SHALLOW)
    yield 'wrong-id', chain([child(2, 6, 'a.vhd'), base])
    yield 'any-id', chain([child(2, 6, 'a.vhd'), base], IGNORE_ID)
    yield 'named', chain([child(2, 1, 'nowhere'), dynamic(1, 3)], NAMED)
    yield 'in-storage', chain([child(2, 1, '', [locator(MACX, b'file://\1/in/a.vhd')]), base], IN_STORAGE | CHAIN_RDWR)
    yield 'commit', chain([child(2, 1, 'a.vhd'), base], CHAIN_RDWR, COMMIT)
    yield 'rebase', chain([child(2, 1, 'a.vhd'), base, dynamic(5, 2, 5)], CHAIN_RDWR, MOVE, 'sub/b.vhd')
    yield 'stand-alone', chain([child(2, 1, 'a.vhd'), base], CHAIN_RDWR, ALONE)
    yield 'throw-away', chain([child(2, 1, 'a.vhd'), base], CHAIN_RDWR, THROW)
    yield 'make-a-child', chain([child(2, 1, 'a.vhd'), base], 0, CREATE)
    far = [child(2, 1, 'x'), child(1, 4, 'y', place=7), dynamic(4, 3)]
    yield 'resolved', chain(far, CHAIN_RDWR | IN_STORAGE, RESOLVE)
    yield 'resolved-files', chain(far, CHAIN_RDWR, RESOLVE | OFFER_FILES)
    yield 'resolved-outside-root', chain(far, ROOT, RESOLVE | OFFER_FILES)
    yield 'resolved-not', chain([child(2, 1, 'a.vhd'), base, dynamic(6, 2)], CHAIN_RDWR, RESOLVE | GO_ON)
    yield 'resolved-commit', chain(far, CHAIN_RDWR | IN_STORAGE, RESOLVE | COMMIT)
    yield 'accents', chain([child(2, 1, 'd\u00e9.vhd', order=0), dynamic(1, 5)])


HOW = ('create', 'rdwr', 'guess', 'snapshot', 'storage', 'no-backing', 'unmap', 'through')

# How, the file's name, options. A line that ends in a comma goes on
OPTIONS = '''
open a.vhd driver=vpc
rdwr @/a.vhd driver=vpc,force_size_calc=chs,metadata-cache-size=64k
rdwr b.vhd driver=vpc,parent-root=@,max-depth=3
guess f.vhd -
guess x.raw -
open - driver=vpc,file.driver=file,file.filename=a.vhd,file.locking=off
open b.vhd driver=vpc,parent=a.vhd,ignore-parent-id=on,drives=C=@;D=@/in,parent-search=@:@/in
open b.vhd driver=vpc,backing.driver=raw,backing.file.filename=x.raw,ignore-parent-id=on
rdwr b.vhd driver=vpc,backing.read-only=off,backing.metadata-cache-size=1
rdwr - driver=mem,size=1M
rdwr - driver=null,size=8E,read-only=on
rdwr - driver=null-co,size=0x7fffffffffffffff
open - driver=raw,file.driver=null,file.size=1T,offset=512,size=1G
rdwr - driver=blkdebug,image.driver=mem,image.size=64k,align=4096,inject-error.0.iotype=write,
    inject-error.0.errno=28,inject-error.0.sector=2,inject-error.1.event=none,inject-error.1.once=on,
    inject-error.1.skip=2
rdwr - driver=cow,file.driver=mem,file.size=1M,backing.driver=raw,backing.file.driver=null,
    backing.file.size=1M
rdwr a.vhd driver=cow,file.driver=mem,file.size=0,backing.driver=vpc,backing.file.filename=a.vhd
rdwr - driver=raw,file.driver=raw,file.file.driver=blkdebug,file.file.image.driver=mem,
    file.file.image.size=9999
rdwr+snapshot a.vhd driver=vpc,cache.direct=off,cache.no-flush=on
rdwr+guess+snapshot x.raw -
rdwr+storage - driver=raw
rdwr+storage - driver=raw,file.driver=blkdebug,file.image.driver=mem
rdwr+unmap x.raw driver=file,cache.direct=on
open @ driver=file,temporary=on
open /etc/passwd driver=raw
open a,,b driver=raw,file.filename=a,,b.vhd
open a.vhd driver=vhd,nonsense=1
create new.vhd driver=vpc,size=1M,subformat=dynamic,block_size=4k,force_size=off,creator=abcd,
    timestamp=1700000000,uuid=10111213-1415-1617-1819-1a1b1c1d1e1f
create new.vhd driver=vpc,size=1.5M,for=azure
create new.vhd driver=vpc,size=2040G,for=hyper-v
create new.vhd driver=vpc,size=10M,for=xen
create new.vhd driver=vpc,size=10M,for=virtualpc
create new.vhd driver=vpc,backing_file=a.vhd
create new.vhd driver=vpc,backing_file=x.raw,backing_fmt=raw,size=9k
create a.vhd driver=raw,size=1000,preallocation=full
create n.raw driver=raw,size=1M,preallocation=falloc
create - driver=raw,size=1k,file.driver=blkdebug,file.image.filename=n.raw,file.inject-error.0.iotype=flush
create n driver=file,size=1k,locking=on
create+storage - driver=vpc,size=64k,block_size=512
create /etc/n driver=raw,size=1k
create n driver=vpc,size=8E
rdwr json:{'driver':'vpc','file.filename':'a.vhd'} -
guess json:{"file":{"driver":"file","filename":"x.raw"}} -
rdwr json:{'driver':'blkdebug','image':{'filename':'x.raw'},'inject-error':[{'event':'none','errno':28}]} -
create json:{'file':{'filename':'n.vhd'}} driver=vpc,size=64k
open b.vhd driver=vpc,parent=json:{'driver':'vpc',,'file':{'filename':'a.vhd'}}
open nbd://localhost/a driver=raw
create nbd+unix:///?socket=@/s driver=vpc,size=64k
open - driver=nbd,server.type=unix,server.path=@/s,reconnect-delay=3,open-timeout=4,request-timeout=0
rdwr null-co:// driver=raw
open - driver=null-aio,size=3M,read-zeroes=on,latency-ns=5
open host_device:x.raw driver=raw
guess file:x.raw force-share=on,node-name=a
rdwr x.raw driver=raw,discard=unmap,cache.writeback=off,file.aio=native
'''


def option_seeds():
    for number, line in enumerate(re.sub(r',\n +', ',', OPTIONS).strip().split('\n')):
        how, name, options = ('' if word == '-' else word for word in line.split(' '))
        flags = sum(1 << HOW.index(word) for word in how.split('+') if word != 'open')
        yield f'{number:02}', bytes((flags,)) + name.encode() + b'\n' + options.encode()


def name_seeds():
    name = '\u00e9\U0001f4be \ud800.vhd'
    yield 'utf16-le', b'\0' + vhd.utf16(name)
    yield 'utf16-be', b'\x80' + vhd.utf16(name, 'be')
    yield 'utf8', b'\1' + name.encode('utf-8', 'surrogatepass')
    for number, size in enumerate(('1.5G', '0x200', '8E', '9223372036854775807', '.5k', '64 MiB', '1.')):
        yield f'size-{number}', b'\2' + size.encode()
    yield 'options', b'\3driver=vpc,file.filename=a,,b,read-only,file.driver=file'
    yield 'path', b'\4' + text('/a/b/c') + text('/a/d') + b'x.vhd'
    yield 'path-up', b'\4' + text('/a') + text('../..//./b') + b'..'
    for how in (0, 5, 0x15, 0x2a, 0x36):
        names = bytes((0,)) + text(vhd.utf16('..\\Base.vhd')) + bytes((5,)) + text('file://localhost/a%20b.vhd')
        names += bytes((1,)) + text(vhd.utf16('\\\\?\\C:\\x\\base.vhd')) + bytes((2,)) + text('sub\\b.vhd')
        yield f'candidates-{how}', bytes((5, how, 8)) + vhd.utf16('base.vhd', 'be') + names
    yield 'describe', b'\6\1/tmp/some folder/base %41.vhd'
    yield 'describe-relative', b'\6\0base.vhd'
    yield 'drives', b'\7C=/mnt/c;d=x;;E='
    for number, json in enumerate((
            '{}', "{'driver':'vpc','file':{'driver':'file','filename':'a.vhd'}}",
            '{"a":[{"b":1,"c":[true,false]},{"b":-1.5e+3}],"d.e":"\\u00e9\\ud83d\\udcbe\\n\\"","f":"it\'s,="}',
            "{'a':{'b':'1'},'a.b':'2'}", "{'a':1,'a':2}", '{"a":' * 70, "{'a':'\\'\\ud83d'}", "{'a':nul", '[1] x')):
        yield f'json-{number}', b'\x08' + json.encode()
    for number, image in enumerate((
            'a.vhd', './a:b', 'file:a:b', 'a:b', 'nbd://h:1/e%20x', 'nbd://[::1]/', 'nbd+unix:///e?socket=%2fs',
            'nbd:unix:/s:exportname=e', 'nbd:[::1]:10809:exportname=', 'nbd:h', 'nbd+tcp://h', 'null-co://',
            'null-aio:x',
            'blkdebug:a,b:nbd://h', 'blkdebug::blkdebug::file:a', "blkdebug::json:{'driver':'nbd'}",
            "json:{'file':{'filename':'json:{}'}}", 'host_device:/dev/null')):
        yield f'name-{number:02}', b'\x09' + image.encode()


def main():
    corpus = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / 'corpus'
    targets = {'open': open_seeds, 'ops': ops_seeds, 'check': check_seeds, 'chain': chain_seeds,
               'options': option_seeds, 'names': name_seeds}
    for target, seeds in targets.items():
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / f'seed-{name}').write_bytes(data)


main()
