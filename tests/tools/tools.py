# tools.py - miniblk-img beside qemu-img, miniblk-io beside qemu-io: the same words, the same answers
# SPDX-License-Identifier: MIT
"""Each command line is run by both programs, in two folders with the same files. Output, errors, exit
status and what the files hold afterwards must agree. Where ours differs by intent, a filter says how."""

import functools
import json
import pathlib
import random
import re
import resource
import shlex
import signal
import subprocess
import tempfile
import time

import vhd
from harness import IMG, IO, Suite, check, equal, fails, need, run, works
from twins import OWN_WORDS, PROGRESS, compare, copy_sparse, is_untouched, lines_of, same_bytes
from vhd import MIB

suite = Suite(__file__)


def make_files(folder):
    """What the command lines below name"""
    need('qemu-img', 'qemu-io')
    rng = random.Random(3)
    contents = bytearray(5 * MIB)
    contents[0:MIB] = b'A' * MIB
    contents[3 * MIB:3 * MIB + 70000] = rng.randbytes(70000)
    contents[-100:] = b'Z' * 100
    (folder / 'data.raw').write_bytes(contents)
    (folder / 'zero.raw').write_bytes(bytes(MIB))
    (folder / 'odd.raw').write_bytes(bytes(1000) + b'O' * 2000)
    (folder / 'tiny.raw').write_bytes(b'hello')
    (folder / 'zero2.raw').write_bytes(bytes(2 * MIB))
    contents[70000] ^= 1
    (folder / 'other.raw').write_bytes(contents)
    works('qemu-img', 'create', '-q', '-f', 'vpc', '-o', 'force_size=on', folder / 'theirs.vhd', '40M')
    works('qemu-io', '-f', 'vpc', '-c', 'write -P 65 0 1M', '-c', 'write -P 66 20M 3M', folder / 'theirs.vhd')
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'timestamp=1000000000', folder / 'ours.vhd', '40M')
    works(IO, '-f', 'vpc', '-c', 'write -P 65 6M 1M', '-c', 'write -P 66 20M 3M', folder / 'ours.vhd')
    works(IMG, 'convert', '-f', 'raw', '-O', 'vpc', folder / 'data.raw', folder / 'data.vhd')
    (folder / 'fixed.vhd').write_bytes(vhd.fixed(MIB, creator=b'win '))
    for name in ('other.raw', 'theirs.vhd', 'ours.vhd', 'data.vhd'):
        works('fallocate', '--dig-holes', folder / name)        # each test has its copies


@functools.cache
def files():
    """The same for all tests; its folder goes with the object"""
    folder = tempfile.TemporaryDirectory()
    make_files(pathlib.Path(folder.name))
    return folder


def twins(folder, *words):
    """Two folders with the same files: those that @words name, or all. To copy those that nobody looks at takes longer
    than what is tried"""
    line = ' '.join(words)
    for side in (folder / 'q', folder / 'm'):
        side.mkdir()
        for path in pathlib.Path(files().name).iterdir():
            if not words or re.search(rf'(?<![\w.]){re.escape(path.name)}\b', line):
                copy_sparse(path, side / path.name)
    return folder / 'q', folder / 'm'


def guest_view(path):
    """What a guest sees of a file, whatever its format"""
    if path.suffix != '.vhd':
        return path.read_bytes()
    return vhd.Disk(path.read_bytes()).contents()


def same_files(theirs, ours, rounded=False):
    """@rounded: their disks may be larger. We may leave no new file where they leave one"""
    names = [{p.name for p in folder.iterdir()} for folder in (ours, theirs)]
    check(names[0] <= names[1], f'new files {names[0] - names[1]}')
    kept = pathlib.Path(files().name)
    for name in names[0]:
        if (kept / name).exists() and all(is_untouched(folder / name, kept / name) for folder in (ours, theirs)):
            continue
        if same_bytes(ours / name, theirs / name):
            continue
        found, expected = guest_view(ours / name), guest_view(theirs / name)
        if rounded:
            check(len(found) <= len(expected), f'{name} is larger than theirs')
            expected = expected[:len(found)]
        check(found == expected, f'{name} does not hold the same')


@functools.cache
def links():
    """Our programs under QEMU's names; the folder goes with the object"""
    folder = tempfile.TemporaryDirectory()
    for name, program in (('qemu-img', IMG), ('qemu-io', IO)):
        (pathlib.Path(folder.name) / name).symlink_to(pathlib.Path(program).resolve())
    return folder


def program(name, as_qemu):
    own = {'qemu-img': IMG, 'qemu-io': IO}[name]
    return f'{links().name}/{name}' if as_qemu else own


def own_name(found):
    """Called by QEMU's name, nothing says ours"""
    check('miniblk' not in found.stdout + found.stderr, f'names itself: {found.stdout}{found.stderr}')


def test_img(folder, line, filters=(), rounded=False, as_qemu=False):
    theirs, ours = twins(folder, line)
    words = shlex.split(line)
    expected, found = run('qemu-img', *words, cwd=theirs), run(program('qemu-img', as_qemu), *words, cwd=ours)
    compare(found, expected, filters)
    if as_qemu:
        own_name(found)
    if expected.returncode == 0:
        equal(sorted(p.name for p in ours.iterdir()), sorted(p.name for p in theirs.iterdir()), 'files')
    same_files(theirs, ours, rounded)


# How messages differ. Pattern, replacement
NO_COROUTINES = [('coroutines', 'workers')]       # we have none
NO_END = [('Offset [0-9]+', 'Offset')]            # the end of a file is another status to them
CREATES_BY_OPENING = [('Could not (create|open)', 'Could not')]

SAME_IMG = '''
    info missing.vhd
    info -f nosuch data.raw
    info data.raw
    info --output=json data.raw
    info --output=xml data.raw
    info -f raw ours.vhd
    info
    info data.raw other.raw
    nosuch
    info --output=json -f raw fixed.vhd
    info -U data.raw
    info --nosuch data.raw
    map zero.raw
    map data.raw
    map --output=json data.raw
    map -f vpc theirs.vhd
    map -f vpc ours.vhd
    map -f vpc data.vhd
    map --output=json -f vpc theirs.vhd
    map --output=json -f vpc ours.vhd
    map --output=json -f vpc data.vhd
    map -s 65536 -l 4096 --output=json data.raw
    map --start-offset=9M data.raw
    map --start-offset=64k --max-length=4k --output=json data.raw
    map --output=json -f vpc fixed.vhd
    map -f vpc --start-offset=3M --output=json theirs.vhd
    map --output=json --image-opts driver=vpc,file.filename=ours.vhd
    map missing.raw
    map
    compare zero.raw zero2.raw
    compare -s zero.raw zero2.raw
    compare data.raw other.raw
    compare data.raw data.raw
    compare zero.raw data.raw
    compare -q zero.raw data.raw
    compare -f raw -F vpc data.raw data.vhd
    compare zero.raw missing.raw
    compare zero.raw
    compare -f vpc -F vpc ours.vhd theirs.vhd
    compare data.raw data.vhd
    create -f vpc -o force_size new.vhd 10M
    create -f vpc -o subformat=fixed,force_size new.vhd 10M
    create -f vpc -o force_size=off new.vhd 10M
    create -f vpc -o size=10M new.vhd 10M
    create -f vpc -o nosuch=1 new.vhd 10M
    create -f vpc new.vhd
    create -f vpc new.vhd abc
    create -f vpc new.vhd -- -5
    create -f nosuch new.vhd 1M
    create new.raw 1M
    create -f raw new.raw 1000
    create -q -f raw new.raw 1M
    create
    create -f vpc -o force_size new.vhd 10M more
    convert -O vpc -o force_size data.raw new.vhd
    convert -O vpc -o subformat=fixed,force_size data.raw new.vhd
    convert -f vpc -O raw theirs.vhd new.raw
    convert -f vpc -O raw ours.vhd new.raw
    convert data.raw new.raw
    convert -f vpc -O vpc -o force_size ours.vhd new.vhd
    convert -S 0 data.raw new.raw
    convert -S 64k data.raw new.raw
    convert -S 0 -O vpc -o force_size data.raw new.vhd
    convert -m 1 data.raw new.raw
    convert -m 16 data.raw new.raw
    convert -W data.raw new.raw
    convert -W -m 8 -O vpc -o force_size data.raw new.vhd
    convert -n -O raw zero.raw data.raw
    convert -n -O raw data.raw zero.raw
    convert -n -O vpc data.raw ours.vhd
    convert -n -S 0 -O vpc data.raw ours.vhd
    convert -n -O raw data.raw missing.raw
    convert -O nosuch data.raw new.raw
    convert missing.raw new.raw
    convert data.raw
    convert
    convert -S 3x data.raw new.raw
    convert -S 1000 data.raw new.raw
    convert -t nosuch data.raw new.raw
    convert -T nosuch data.raw new.raw
    convert -t none -T writeback data.raw new.raw
    convert -n --target-is-zero -O vpc data.raw ours.vhd
    convert --target-is-zero data.raw new.raw
    convert -O vpc -o nosuch=1 data.raw new.vhd
    convert -c data.raw new.raw
    convert -q data.raw new.raw
'''

# The rest of qemu-img, which only scripts may ask for: by its name
SAME_QEMU_IMG = '''
    create -f vpc -o size=abc new.vhd
    create -f raw -o size=-5 new.raw
    snapshot data.raw
    snapshot -l data.raw
    snapshot theirs.vhd data.raw
    bitmap data.raw b
    bitmap --add -b data.raw theirs.vhd b
    amend data.raw
    amend -o x=1 data.raw
    amend -o help data.raw
    amend -t nosuch -o x=1 data.raw
    amend -o "" data.raw
    amend -o x=1 data.raw theirs.vhd
    amend -o ,, data.raw
    measure --size 10M
    measure --size 10M --output=json
    measure data.raw
    measure -f raw -O raw data.raw
    measure
    measure data.raw theirs.vhd
    measure --size 10M data.raw
    measure -f raw --size 10M
    measure --size 1000
    measure --size abc
    measure -O nosuch --size 1
    measure -O raw -o nosuch=1 --size 1
    measure -l foo data.raw
    measure --output=xml --size 1
    measure --size 8E
    measure --size 7.9E
    measure -o size=5M
    measure -o size=5M --size 6M
    measure -o help -O raw --size 1
    measure theirs.vhd
    measure -f vpc -O raw missing
    measure --size 0
    measure tiny.raw
    measure --image-opts driver=raw,file.filename=data.raw
    measure -U data.raw
    measure -o , --size 1
    snapshot -l theirs.vhd
    snapshot -c s theirs.vhd
    snapshot -a s theirs.vhd
    snapshot -d s theirs.vhd
    snapshot -l -c s theirs.vhd
    snapshot
    snapshot -l missing
    snapshot -q -l theirs.vhd
    snapshot -c
    snapshot -f vpc -c s theirs.vhd
    snapshot -U -l theirs.vhd
    snapshot --image-opts -l driver=vpc,file.filename=theirs.vhd
    snapshot -c s --image-opts driver=vpc,file.filename=theirs.vhd
    bitmap
    bitmap --remove -f vpc theirs.vhd b
    bitmap --clear -f vpc theirs.vhd b
    bitmap --enable -f vpc theirs.vhd b
    bitmap --disable -f vpc theirs.vhd b
    bitmap --merge x -f vpc theirs.vhd b
    bitmap --merge x -b data.raw -f vpc theirs.vhd b
    bitmap --merge x -b data.raw -F raw -f vpc theirs.vhd b
    bitmap --merge
    bitmap --add -f vpc theirs.vhd b -g 7
    bitmap --add -f vpc theirs.vhd b -g abc
    bitmap --clear -f vpc theirs.vhd b -g 64k
    bitmap --add -F raw theirs.vhd b
    bitmap --add missing b
    bitmap --merge x --add -f vpc theirs.vhd b
    bitmap --merge x -b missing -f vpc theirs.vhd b
    bitmap --add -g 100 -f vpc theirs.vhd b
    bitmap --add -f vpc theirs.vhd ""
    bitmap --add -f vpc theirs.vhd b c
    bitmap --add -f vpc theirs.vhd
    bitmap --nosuch theirs.vhd b
    amend
    amend -o x=1
    amend -f raw -o x=1 data.raw
    amend -f vpc -o x=1 theirs.vhd
    amend -f vpc -o help
    amend -f vpc -o help theirs.vhd
    amend -o help theirs.vhd
    amend -f nosuch -o help
    amend -f nosuch -o x=1 data.raw
    amend -o x=1 missing
    amend --force -p -q -o x=1 -f raw data.raw
    amend -o x -o y -f raw data.raw
    amend -o
    amend -o ? -f raw
    dd
    dd if=data.raw
    dd if=data.raw of=new.raw
    dd if=data.raw of=new.raw bs=1M count=2
    dd if=data.raw of=new.raw bs=1M count=2 skip=1
    dd if=data.raw of=new.raw bs=1M skip=1
    dd if=data.raw of=new.raw bs=1M skip=6
    dd if=data.raw of=new.raw bs=1M skip=5
    dd if=data.raw of=new.raw bs=1M count=2 skip=3
    dd if=data.raw of=new.raw bs=0
    dd if=data.raw of=new.raw bs=abc
    dd if=data.raw of=new.raw bs=3G
    dd if=data.raw of=new.raw count=abc
    dd if=data.raw of=new.raw skip=-1
    dd if=data.raw of=new.raw foo=1
    dd if=data.raw of=new.raw foo
    dd if=missing of=new.raw
    dd -O vpc if=data.raw of=new.vhd
    dd -f vpc -O raw if=theirs.vhd of=new.raw bs=64k
    dd --image-opts if=driver=raw,file.filename=data.raw of=new.raw
    dd if=odd.raw of=new.raw bs=1000
    dd if=odd.raw of=new.raw bs=1000 count=2
    dd if=tiny.raw of=new.raw
    dd -n if=data.raw of=odd.raw
    dd if=data.raw of=new.raw bs=1M count=0
    dd if=data.raw if=odd.raw of=new.raw
    dd if=data.raw of=new.raw of=more.raw
    dd --image-opts -f raw if=data.raw of=new.raw
    dd bs= if=data.raw of=new.raw
    dd -f nosuch if=data.raw of=new.raw
    dd -q if=data.raw of=new.raw
    dd count=1 if=data.raw -O vpc of=new.vhd
    dd if=data.raw of=new.raw bs=4096 count=9223372036854775807
    dd if=data.raw of=new.raw bs=4096 skip=9223372036854775807
    dd if=data.raw of=new.raw bs=4096 skip=1281
    dd if=data.raw of=new.raw bs=3 skip=1747627
    dd if=data.raw of=new.raw bs=3 skip=1747626
    dd bs=1 if=tiny.raw of=new.raw skip=2
    dd bs=1 if=tiny.raw of=new.raw skip=2 count=3
    dd bs=0x10 if=tiny.raw of=new.raw skip=0x2
    dd -U if=data.raw of=new.raw
    dd -f raw -O raw if=data.raw of=new.raw bs=64k
    convert -l foo data.raw new.raw
    convert -l foo theirs.vhd new.raw
    convert -l snapshot.name=foo theirs.vhd new.raw
    convert -l snapshot.foo=foo theirs.vhd new.raw
    convert -s foo theirs.vhd new.raw
    convert --bitmaps data.raw new.raw
    convert --bitmaps -O vpc data.raw new.vhd
    convert --skip-broken-bitmaps data.raw new.raw
    convert data.raw odd.raw new.raw
    convert data.raw odd.raw theirs.vhd -O vpc new.vhd
    convert -B data.raw odd.raw new.raw
    convert -r 1M data.raw new.raw
    convert -r abc data.raw new.raw
    convert -r 0 data.raw new.raw
    convert -C data.raw new.raw
    convert -C -c data.raw new.raw
    convert -C -S 4k data.raw new.raw
    convert --salvage data.raw new.raw
    convert --salvage -C data.raw new.raw
    convert -l foo data.raw odd.raw new.raw
    convert --target-is-zero -n data.raw new.raw
    convert -n -o size=5M data.raw theirs.vhd
    convert -n -c data.raw theirs.vhd
    convert -c -O vpc data.raw new.vhd
    convert --target-image-opts -O raw -n data.raw driver=raw,file.filename=odd.raw
    convert --target-image-opts -n data.raw driver=raw,file.filename=odd.raw
    convert --image-opts -f raw data.raw new.raw
    convert -F raw data.raw new.raw
    convert -o backing_file=data.raw data.raw new.raw
    convert -o size=7M data.raw new.raw
    convert -o size=7M -O vpc data.raw new.vhd
    convert -m abc data.raw new.raw
    convert -o preallocation=full data.raw new.raw
    convert -o preallocation=off data.raw new.raw
    convert -O raw -o x=1 -o y=2 data.raw new.raw
    convert -S 512 data.raw new.raw
    convert -n -l foo data.raw odd.raw
    convert data.raw missing new.raw
    convert -f nosuch data.raw new.raw
    convert -q -p odd.raw new.raw
    convert odd.raw tiny.raw new.raw
    convert tiny.raw odd.raw tiny.raw data.raw new.raw
    convert -n data.raw data.raw -f raw -O vpc theirs.vhd
    convert -n theirs.vhd data.raw
    convert -6 data.raw new.raw
    convert -B "" data.raw new.raw
    convert -f raw --image-opts data.raw new.raw
    convert --image-opts driver=raw,file.filename=data.raw new.raw
    convert --image-opts driver=raw,file.filename=data.raw driver=vpc,file.filename=theirs.vhd new.raw
    convert --salvage --image-opts driver=raw,file.driver=blkdebug,file.image.filename=data.raw,file.inject-error.0.event=none,file.inject-error.0.iotype=read,file.inject-error.0.sector=10,file.inject-error.0.errno=5 new.raw
    convert --salvage --image-opts driver=blkdebug,image.filename=data.raw,inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.sector=1,inject-error.0.errno=5,inject-error.1.event=none,inject-error.1.iotype=read,inject-error.1.sector=3,inject-error.1.errno=5 new.raw
    convert --salvage -q --image-opts driver=blkdebug,image.filename=data.raw,inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.sector=1,inject-error.0.errno=5 new.raw
    convert --salvage --image-opts driver=blkdebug,image.filename=data.raw,inject-error.0.event=none,inject-error.0.iotype=block-status,inject-error.0.sector=10,inject-error.0.errno=5 new.raw
    convert -t writethrough -O vpc data.raw new.vhd
    convert -t directsync -O vpc data.raw new.vhd
    convert -W -m 4 -O vpc data.raw new.vhd
    -T
    -x
    check -r foo data.raw
    check data.raw
    check -T nosuch data.raw
    check missing
    check
    commit theirs.vhd
    commit -f vpc theirs.vhd
    commit -f vpc -b x theirs.vhd
    commit -r abc -f vpc theirs.vhd
    commit -r 1M -f vpc theirs.vhd
    commit -t foo theirs.vhd
    rebase theirs.vhd
    rebase -b x -F nosuch theirs.vhd
    rebase -t x -b a theirs.vhd
    rebase -T x -b a theirs.vhd
    compare -T nosuch data.raw odd.raw
    compare --image-opts -f raw data.raw odd.raw
    compare --image-opts driver=raw,file.filename=data.raw driver=raw,file.filename=odd.raw
    compare -U data.raw odd.raw
    create -f raw -b data.raw new.raw
    create -u -f raw new.raw 1M
    create -f raw new.raw 8E
    create -f raw new.raw 1.5x
    create -f raw -o preallocation=full new.raw 64k
    create -f raw -o preallocation=off new.raw 64k
    create -f raw -o preallocation=falloc new.raw 64k
    map --start-offset=abc data.raw
    map -s -1 data.raw
    map -l 0 data.raw
    map -s 8E data.raw
    map -s 1M -l 1M --output=json data.raw
    map --output=json -l 0 data.raw
    map --output=json tiny.raw
    map --output=json odd.raw
    map --output=json -f raw tiny.raw
    info --backing-chain --output=json data.raw
    info --backing-chain data.raw
    info --backing-chain --output=json --image-opts driver=raw,file.filename=data.raw
    info --image-opts driver=raw,file.filename=data.raw
    info --image-opts file.filename=data.raw
    info tiny.raw
    info odd.raw
    create -F raw new.raw 1M
    create -f raw new.raw ""
    create -f raw -o cluster_size=64k new.raw 1M
    create -f vpc -o size=1M,size=2M new.vhd
    create -f file new.raw 1M
    create -f raw new.raw 1M more
    create -f vpc new.vhd 0
    create -f vpc new.vhd 1
    create -f raw new.raw 0
    create -f raw new.raw 0x1000
    create -f raw new.raw 1.5k
    create -f raw new.raw 5b
    create -f raw new.raw 1e3
    create -f vpc -o subformat=dynamic new.vhd 3M
    create -f vpc -o force_size=on,subformat=fixed new.vhd 3M
'''

BENCH = '''
    bench -c 10 data.raw
    bench -c 10 -d 4 -f raw data.raw
    bench -w -c 10 -f raw --flush-interval=64 data.raw
    bench -w -c 10 -f raw --flush-interval=4 data.raw
    bench -c 10 --flush-interval=64 data.raw
    bench -w -c 10 -f raw --flush-interval=64 --no-drain data.raw
    bench -w -c 100 -d 3 -f raw --flush-interval=4 --no-drain data.raw
    bench -w -c 100 -d 3 -f raw --flush-interval=4 data.raw
    bench -c abc data.raw
    bench -c 0 data.raw
    bench -d abc data.raw
    bench -s 0 data.raw
    bench -s 3G data.raw
    bench -s abc data.raw
    bench -S 0 -c 3 data.raw
    bench -S abc data.raw
    bench -o abc data.raw
    bench -o 10M -c 4 -d 1 data.raw
    bench -o 5242880 -c 4 -d 1 data.raw
    bench -o 5242000 -c 4 -d 1 data.raw
    bench -o 4M -s 1M -c 4 -d 1 data.raw
    bench -o 4M -s 2M -c 4 -d 1 data.raw
    bench -t nosuch data.raw
    bench -i nosuch data.raw
    bench -i native -t none -c 5 data.raw
    bench --pattern=300 -w -c 1 -f raw data.raw
    bench --pattern=65 -w -c 5 -f raw data.raw
    bench --pattern=65 -w -c 5 -s 3000 -S 7000 -o 100 -f raw data.raw
    bench --pattern=65 -w -c 50 -s 64k -S 1M -o 1000k -d 1 -f vpc theirs.vhd
    bench
    bench missing
    bench data.raw odd.raw
    bench -q -c 4 data.raw
    bench --image-opts -c 4 driver=raw,file.filename=data.raw
    bench -U -c 4 data.raw
    bench -n -t none -c 4 data.raw
    bench --flush-interval=abc data.raw
    bench -c 0x10 -d 1 data.raw
    bench -c 3000000000 data.raw
    bench -c -1 data.raw
    bench -w -U -f raw -c 3 data.raw
    bench -c 3 -w -d 8 --flush-interval=8 -f raw data.raw
    bench -c 3 -w -d 8 --flush-interval=7 -f raw data.raw
    bench --object foo data.raw
'''
SECONDS = [('completed in [0-9.]+ ', '')]

# They name the node, by a number that is another one each time; we the image
BITMAPS = '''
    bitmap --add -f raw data.raw b
    bitmap --add --add -f vpc theirs.vhd b
    bitmap --add --remove -f vpc theirs.vhd b
    bitmap --add -g 64k -f vpc theirs.vhd b
    bitmap --add --image-opts driver=vpc,file.filename=theirs.vhd b
'''
NO_NODE = [("(Can't store persistent bitmaps to )[^ ]*:", r'\1:')]

# Unless told otherwise they round sizes up, we do not
ROUNDED_IMG = '''
    create -f vpc new.vhd 10M
    create -f vpc -o subformat=fixed new.vhd 10M
    create -f vpc -o size=10M new.vhd
    convert -O vpc data.raw new.vhd
    convert -O vpc -o subformat=fixed data.raw new.vhd
'''

FILTERED_IMG = [
    ('compare -s -f raw -F vpc data.raw data.vhd', NO_END),
    ('compare -p zero.raw data.raw', PROGRESS), ('compare -p data.raw data.raw', PROGRESS),
    ('convert -p -f vpc -O raw theirs.vhd new.raw', PROGRESS),
    ('convert -p -O vpc -o force_size data.raw new.vhd', PROGRESS),
    ('create -f vpc -o subformat=nosuch new.vhd 10M', OWN_WORDS),
    ('convert -m 0 data.raw new.raw', NO_COROUTINES), ('convert -m 17 data.raw new.raw', NO_COROUTINES),
    ('create -f raw missing/new.raw 1M', CREATES_BY_OPENING),
    ('create -f vpc missing/new.vhd 1M', CREATES_BY_OPENING),
    ('convert data.raw missing/new.raw', CREATES_BY_OPENING),
]

suite.test('img', test_img, '')
for line in lines_of(SAME_IMG):
    suite.test(f'img {line}', test_img, line)
for line in lines_of(ROUNDED_IMG):
    suite.test(f'img {line}', test_img, line, [], True)
for line, filters in FILTERED_IMG:
    suite.test(f'img {line}', test_img, line, filters)
for lines, filters in (ROUNDED_IMG, []), (SAME_QEMU_IMG, []), (BENCH, SECONDS), (BITMAPS, NO_NODE):
    for line in lines_of(lines):
        suite.test(f'qemu-img {line}', test_img, line, filters, False, True)
for line, filters in FILTERED_IMG:
    suite.test(f'qemu-img {line}', test_img, line, filters if filters is not NO_COROUTINES else [], False, True)


def test_version(folder, name):
    """Scripts look for the number behind the program's name and "version" """
    found = works(program(name, True), '--version')
    expected = works(name, '--version')
    pattern = rf'^{name} version (\d+)\.(\d+)'
    equal(re.match(pattern, found).groups(), re.match(pattern, expected).groups(), 'version')
    check('miniblk' in found, 'does not say what it is')


for name in ('qemu-img', 'qemu-io'):
    suite.test(f'{name} --version', test_version, name)


@suite.fact
def help_lists_formats(folder):
    """qemu-img --help: the formats, in a line as theirs"""
    def formats(command):
        return re.search(r'^Supported formats:((?: \S+)+)$', works(command, '--help'), re.M).group(1).split()
    check({'raw', 'vpc', 'blkdebug'} <= set(formats(program('qemu-img', True))) & set(formats('qemu-img')),
          'they have no line of formats in common')


@suite.fact
def help_lists_commands(folder):
    """qemu-img --help: each command on a line of its own, in front of its options, as theirs"""
    def commands(command):
        return set(re.findall(r'^  ([a-z]+) [\[-].*filename', works(command, '--help'), re.M))
    ours, theirs = commands(program('qemu-img', True)), commands('qemu-img')
    check(ours and ours <= theirs, f'commands that they have not: {ours - theirs}')


@suite.fact
def too_large(folder):
    """img create of 3000 GiB: refused by both, and only we leave no file"""
    theirs, ours = twins(folder)
    words = ['create', '-f', 'vpc', 'new.vhd', '3000G']
    compare(run(IMG, *words, cwd=ours), run('qemu-img', *words, cwd=theirs), OWN_WORDS)
    check(not (ours / 'new.vhd').exists(), 'left a file behind')


def test_info_json(folder, line):
    """The keys that both have"""
    theirs, ours = twins(folder, line)
    expected = json.loads(works('qemu-img', 'info', '--output=json', *line.split(), cwd=theirs))
    found = json.loads(works(IMG, 'info', '--output=json', *line.split(), cwd=ours))
    equal({key: found.get(key) for key in expected}, expected, 'facts')
    equal(set(found) - set(expected), {'format-specific'} if found['format'] == 'vpc' else set(),
          'facts that they have not')


def test_info_human(folder, line):
    """Ours begins like theirs"""
    theirs, ours = twins(folder, line)
    expected = works('qemu-img', 'info', *line.split(), cwd=theirs)
    found = works(IMG, 'info', *line.split(), cwd=ours)
    check(found.startswith(expected), f'ours is\n{found}and theirs\n{expected}')


for line in ('theirs.vhd', 'ours.vhd', '-f vpc data.vhd', '-f vpc fixed.vhd', 'data.raw'):
    suite.test(f'img info --output=json {line}: what both have', test_info_json, line)
    suite.test(f'img info {line}: begins alike', test_info_human, line)


@suite.fact
def guessed_fixed(folder):
    """img info of a fixed image: QEMU takes it for raw, we for what it is"""
    theirs, ours = twins(folder)
    equal(json.loads(works('qemu-img', 'info', '--output=json', 'fixed.vhd', cwd=theirs))['format'], 'raw',
          'their format')
    equal(json.loads(works(IMG, 'info', '--output=json', 'fixed.vhd', cwd=ours))['format'], 'vpc',
          'our format')


def measured(folder, *words):
    found = json.loads(works(IMG, 'measure', '--output=json', '-O', 'vpc', *words, cwd=folder))
    return found['required'], found['fully-allocated']


def test_measure(folder, options):
    """As long as the files that convert then makes: without zeroes, and with all of them"""
    ours = twins(folder)[1]
    works(IMG, 'create', '-q', 'sparse.raw', '5M', cwd=ours)
    works(IO, '-f', 'raw', *[word for at in (0, 16, 100, 3000, 3020) for word in ('-c', f'write {at}k 4k')],
          'sparse.raw', cwd=ours)
    for source in ('sparse.raw', 'data.vhd'):
        sizes = []
        for words in ([], ['-S', '0']):
            works(IMG, 'convert', '-O', 'vpc', '-o', options, *words, source, 'new.vhd', cwd=ours)
            sizes.append((ours / 'new.vhd').stat().st_size)
        equal(measured(ours, '-o', options, source), tuple(sizes), f'measure of {source}')
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', options, 'new.vhd', '5M', cwd=ours)
    equal(measured(ours, '-o', options, '--size', '5M'), ((ours / 'new.vhd').stat().st_size, sizes[1]),
          'measure of a size')


for options in ('subformat=dynamic', 'subformat=fixed', 'block_size=64k', 'for=xen', 'force_size=off'):
    suite.test(f'img measure -O vpc -o {options}: to the byte', test_measure, options)


def test_measure_large(folder, options, expected):
    """At no cost in time or memory"""
    equal(measured(folder, '-o', options, '--size', '2040G'), expected, 'measure')


BLOCKS = 2040 * 512
TABLES = 512 + 1024 + 4 * BLOCKS
suite.test('img measure of 2040 GiB', test_measure_large, 'subformat=dynamic',   # data begins at multiples of 4 KiB
           (TABLES + 512, TABLES - TABLES % 4096 + (2 * MIB + 4096) * BLOCKS + 512))
suite.test('img measure of 2040 GiB, fixed', test_measure_large, 'subformat=fixed', (2040 * 1024 * MIB + 512,) * 2)


@suite.fact
def rate_limit(folder):
    """img convert -r: so many bytes of data a second"""
    ours = twins(folder)[1]
    start = time.monotonic()
    works(IMG, 'convert', '-r', '2M', 'data.raw', 'new.raw', cwd=ours)
    check(0.5 <= time.monotonic() - start < 30, 'too fast, or far too slow')
    equal((ours / 'new.raw').read_bytes(), (ours / 'data.raw').read_bytes(), 'contents')


@suite.fact
def dd_onto_itself(folder):
    """img dd of a file onto itself is refused; they empty it first"""
    ours = twins(folder)[1]
    before = (ours / 'data.raw').read_bytes()
    check('is both input and output' in fails(IMG, 'dd', 'if=data.raw', 'of=data.raw', cwd=ours), 'no reason given')
    check((ours / 'data.raw').read_bytes() == before, 'the file was changed')


def wrong_word_leaves_output(folder, command):
    """What is wrong with the options of the file below is found before that file is emptied"""
    (folder / 'in.raw').write_bytes(b'i' * 70000)
    works(IMG, 'create', '-q', '-f', 'vpc', folder / 'base.vhd', '4M')
    for words in ('file.nosuch=1', 'file.lockng=off', 'file.aio=zzz', 'file.driver=blkdebug,file.align=3',
                  'file.read-only=on', 'file.temporary=on', 'file.driver=blkdebug,file.image.cache.direct=2'):
        (folder / 'out').write_bytes(b'precious' * 9000)
        fails(IMG, *(word.replace('WORDS', words) for word in command.split()), cwd=folder)
        equal((folder / 'out').read_bytes(), b'precious' * 9000, f'the file after {words}')


for line in ('create -f vpc -o WORDS out 4M', 'create -f raw -o WORDS out 4M', 
             'create -f vpc -o subformat=fixed,WORDS out 4M',
             'create -f vpc -b base.vhd -o WORDS out', 'convert -f raw -O vpc -o WORDS in.raw out',
             'convert -f raw -O raw -o WORDS in.raw out', 'convert -f vpc -O vpc -B base.vhd -o WORDS base.vhd out'):
    suite.test(f'a wrong word leaves the output: {line}', wrong_word_leaves_output, line)


@suite.fact
def output_by_another_name(folder):
    """An input, or a parent, that is named as the output in another way is left as it is; locks may be off"""
    (folder / 'in.raw').write_bytes(b'i' * 70000)
    works(IMG, 'create', '-q', '-f', 'vpc', folder / 'in.vhd', '4M')
    works(IO, '-f', 'vpc', '-c', 'write -P 3 0 1M', folder / 'in.vhd')
    (folder / 'link').symlink_to('in.raw')
    before = (folder / 'in.raw').read_bytes(), (folder / 'in.vhd').read_bytes()
    for line in ('convert -U -f raw -O vpc in.raw file:in.raw', 'convert -U -f raw -O raw file:in.raw in.raw',
                 'convert -U -f raw -O vpc in.raw link', 'convert -U -f raw -O raw -o file.filename=in.raw in.raw out',
                 'convert -U -f raw -O vpc -o file.driver=blkdebug,file.image.filename=./in.raw in.raw out',
                 'convert -U -f raw -O vpc in.raw json:{"file":{"filename":"in.raw"}}', 'dd -U if=in.raw of=file:in.raw',
                 'dd -U if=in.raw of=json:{"file":{"driver":"file","filename":"./in.raw"}}',
                 'create -f vpc -b in.vhd file:in.vhd', 'create -f vpc -b file:in.vhd in.vhd',
                 'create -f vpc -b in.vhd -o file.filename=in.vhd out',
                 'create -f vpc -b in.vhd -o file.driver=blkdebug,file.image.filename=./in.vhd out'):
        fails(IMG, *line.split(), cwd=folder)
        check(before == ((folder / 'in.raw').read_bytes(), (folder / 'in.vhd').read_bytes()), f'{line} has changed it')
        check(not (folder / 'out').exists(), f'{line} has made a file')


@suite.fact
def bench_without_depth(folder):
    """img bench -d 0 is refused; they wait for ever"""
    check('Invalid queue depth' in fails(IMG, 'bench', '-d', '0', 'data.raw', cwd=twins(folder)[1]), 'no reason given')


# io: how fast it was is nobody's business, and theirs rounds it

SPEED = [(r'^(.* (bytes|[KMGT]iB), [0-9]+ ops); .*$', r'\1'), (r'(ops\S*)? \(.*/sec\)$', ''),
         (r'^([0-9]+,[0-9]+),.*$', r'\1')]
USAGE = [(r'^(\w+ )(\[|off|len).* -- .*$', r'\1')]              # our own words


def run_io(theirs, ours, commands, options, name):
    """@commands: parted by semicolons; @options: by spaces"""
    words = [word for command in commands.split('; ') for word in ('-c', command)]
    words = [*options.split(), *words, name]
    return run('qemu-io', *words, cwd=theirs), run(IO, *words, cwd=ours)


def test_io(folder, commands, options, name, filters=()):
    theirs, ours = twins(folder, commands, name)
    expected, found = run_io(theirs, ours, commands, options, name)
    compare(found, expected, [*SPEED, *filters])
    if 'discard' not in commands:       # which zeroes, or does not
        same_files(theirs, ours)


def test_aio_failure(folder, commands):
    """Our exit status tells of it, theirs does not"""
    expected, found = run_io(*twins(folder), commands, '-f vpc', 'theirs.vhd')
    equal((found.returncode, expected.returncode), (1, 0), 'exit status of ours and theirs')
    found.returncode = 0
    compare(found, expected, SPEED)


IO_LINES = '''
    read 0 4k
    read -P 65 0 4k
    read -P 66 0 4k
    read -P 66 0 4k; read -P 65 0 4k
    read -v 0 64
    read -v 1M 20
    read -q 0 512
    read -C 0 512
    read 1 3
    read 0 0
    read -P 65 -s 100 -l 10 0 1k
    read -P 65 -s 100 -l 10000 0 1k
    read -P 65 -s 512 0 1k
    read 40M 512
    read 39M 2M
    read 0 abc
    read abc 0
    read 0 3G
    read 0
    read -P 300 0 1
    read 0x200 0x10
    read 1.5k 1
    readv -P 65 0 512 1k
    readv -v 1M 16 16
    readv 0 512 abc
    readv 39M 1M 1M
    readv 0 0
    write 0 4k; read -P 0xcd 0 4k
    write -P 0x5a 100 1000; read -P 0x5a 100 1000; read -P 65 0 100
    write -P 7 1M 3M; read -P 7 1M 3M; map
    write -q 0 512
    write -C 0 512
    write -f 3M 512
    write 40M 512
    write 39M 2M; read -P 0 39M 1M
    write 0 3G
    write -s data.raw 0 5M
    write -s missing.raw 0 512
    write -P 300 0 1
    write -P 1 -z 0 512
    write -n 0 512
    write -u 0 512
    write -z 0 1M; read -P 0 0 1M; map
    write -z 3M 1M; read -P 0 3M 1M
    write -z -u 0 2M; read -P 0 0 2M
    write -z 100 100; read -P 0 100 100; read -P 65 0 100
    write -z 39M 2M
    write -zf 0 512
    writev -P 9 3M 512 512; read -P 9 3M 1k
    writev 0 0
    writev 39M 1M 1M
    writev 0 abc
    aio_write -P 3 3M 4k; aio_flush; read -P 3 3M 4k
    aio_read -P 65 0 4k; aio_flush
    aio_write -z 0 64k; aio_flush; read -P 0 0 64k
    aio_read -v 0 32; aio_flush
    aio_write -q 0 512; aio_flush
    discard 0 4M; read -q 0 512
    discard 39M 2M
    discard 0 0
    discard 0 abc
    discard -q 0 2M
    length
    map
    alloc 0
    alloc 0 40M
    alloc 5M 1M
    alloc 0 abc
    alloc 1
    alloc 39M 3M
    flush
    info
    nosuch
    nosuch; read 0 512
    quit
    quit; read 0 512
    sleep 1
    sleep abc
    close; read 0 1
    open data.raw
    reopen -r; write 0 1
    reopen -r; reopen -w; write 0 1
    reopen -rw
    close; open -o driver=vpc ours.vhd; read -P 65 6M 1M
    close; open -r -o driver=vpc ours.vhd; write 0 1
    close; open missing.vhd
'''

FILTERED_IO = [
    ('read -1 512', USAGE), ('read', USAGE), ('read 0 1k 2k', USAGE), ('write -j 0 512', USAGE),
]
OTHER_IO = [                    # options, image, commands
    ('-r -f vpc', 'theirs.vhd', 'write 0 1'),
    ('', 'missing.vhd', 'read 0 1'),
    ('-f nosuch', 'data.raw', 'read 0 1'),
    ('-f raw', 'data.raw', 'read -P 65 0 1M'),
    ('-f raw', 'data.raw', 'truncate 6M; length; read -P 0 5M 1M'),
    ('-f raw', 'data.raw', 'truncate 1M; length; read 1M 512'),
    ('-f raw', 'data.raw', 'discard 0 1M; read -P 0 0 1M'),
    ('-f raw -d ignore', 'data.raw', 'discard 0 1M; read -q 0 1M'),
    ('-f raw', 'data.raw', 'map'),
    ('-f raw', 'data.raw', 'write -z 0 1M; read -P 0 0 1M'),
    ('-f raw -t none', 'data.raw', 'write -P 9 0 512; flush'),
    ('-f vpc', 'fixed.vhd', 'length; map'),
    ('-f vpc', 'fixed.vhd', 'write -P 1 0 1M; read -P 1 0 1M'),
    ('-f vpc', 'fixed.vhd', 'read -P 70 0 1M'),
    ('-f vpc', 'ours.vhd', 'length; map'),
]

# The rest of qemu-io, by its name
QEMU_IO_LINES = '''
    r 0 512
    w 0 512
    w -P 1 0 512; r -P 1 0 512
    a 0
    a 0 1M
    c
    f
    i
    l
    o data.raw
    q
    b x y
    s 1
    help nosuch
    sigraise
    sigraise abc
    sigraise 0
    abort 1
    sleep
    sleep 1 2
    sleep -1
    sleep 0x10
    aio_flush
    aio_flush 1
    aio_read 0 512; aio_flush
    aio_read -q 0 512; aio_flush
    aio_write -C 0 512; aio_flush
    aio_write -z 0 512 512
    aio_write -u 0 512
    aio_read -P 65 -v 0 16; aio_flush
    aio_read 0
    aio_read -i 0 512
    aio_write -i 0 512
    aio_read 0 abc
    aio_read abc 512
    aio_write -P 300 0 512
    aio_read -P 300 0 512
    alloc
    alloc 0 512 512
    alloc -x
    alloc 10M
    alloc 100M 512
    alloc -1
    break
    break x
    break pwritev A
    break nosuch A
    resume A
    remove_break A
    close; close
    close 1
    discard
    discard 0
    discard -C 0 512
    discard -q 0 512
    discard 1 1
    discard 0 3G
    discard 100M 512
    flush 1
    info 1
    length 1
    map 1
    open
    close; open
    close; open -r data.raw; length
    close; open -s data.raw; write -P 9 0 512; close; open -r data.raw; read -v 0 16
    close; open -n data.raw; length
    close; open -C data.raw; length
    close; open -k -n data.raw; length
    close; open -t nosuch data.raw
    close; open -t none data.raw; length
    close; open -d nosuch data.raw
    close; open -d unmap data.raw; length
    close; open -i nosuch data.raw
    close; open -i threads data.raw; length
    close; open -U data.raw; length
    close; open -rU data.raw; length
    close; open -o driver=raw data.raw; length
    close; open -o driver=raw,file.filename=data.raw; length
    close; open -o driver=nosuch data.raw
    close; read 0 512
    close; nosuch
    quit 1
    quit; nosuch
    read
    read -b 0 512
    read -p 0 512
    read -P 0 -l 10 0 512
    read -P 0 -s 600 0 512
    read -P 0 -s 500 -l 20 0 512
    read -P 0 -l abc 0 512
    read -P 0 -s abc 0 512
    read -P -1 0 512
    read -P 0x 0 512
    read -P abc 0 512
    read -P 0x00 0 512
    read -P 256 0 512
    read -vP 0 0 16
    read 0 2147483136
    read 0 2147483137
    read 0 0x1000
    read 0 1k
    read 1k 1K
    read 0 1.5k
    read 0 8E
    read 9E 1
    read 0 1e3
    read 0 16E
    read -P
    readv
    readv 0
    readv -q 0 512 512
    readv -v 0 16 16
    readv -P 0 0 512
    readv -P 1 0 512
    readv abc 512
    readv 0 2147483136 512
    readv 0 2147483137
    readv 0 0 0
    remove_break
    reopen
    reopen -r
    reopen -r; write 0 512
    reopen -w
    reopen -c none; length
    reopen -c nosuch
    reopen -c none -c writeback
    reopen -o driver=raw
    reopen -r -o read-only=off
    reopen -c none -o cache.direct=off
    resume
    truncate
    truncate abc
    truncate -m nosuch 20M
    wait_break
    write
    write 0
    write -b 0 512
    write -c 0 512
    write -c 0 64k
    write -z -c 0 512
    write -z -b 0 512
    write -b -c 0 512
    write -f -c 0 512
    write -f -b 0 512
    write -P 1 -s data.raw 0 512
    write -s missing 0 512
    write -s tiny.raw 0 16; read -v 0 16
    write -s z 0 16
    write -z -s data.raw 0 512
    write -p 0 512
    write -z 0 3G
    write -zq 0 512
    write -fz 0 512
    write -uz 0 512
    write -P abc 0 512
    write -P 1 10M 512
    write -P 1 100M 512
    writev
    writev 0
    writev 0 512 512
    writev -P 7 0 512 512; read -P 7 0 1k
    writev -C 0 512
    writev -f 0 512
    writev -P 300 0 512
    write   0    512
    read 0 512
'''

QEMU_IO_USAGE = '''
    aio_write -x 0 512
    discard 0 512 512
    discard -x 0 512
    close; open data.raw b.raw
    close; open -f raw data.raw
    close; open -x data.raw
    read -a 0 512
    read -l 10 0 512
    read -s 10 0 512
    read -x 0 512
    read 0 512 extra
    readv -b 0 512
    reopen -x
    reopen a
    truncate -m
    truncate -x 1
    truncate -1
    write -x 0 512
    write -P 0x5a 0 512 extra
    writev -z 0 512
'''

# Options and image :: commands
QEMU_IO_OPTIONS = '''
    -f raw data.raw :: truncate 1M 2M; length
    -f raw data.raw :: write -zun 0 1M; read -P 0 0 1M
    -f raw data.raw :: w -P 1 0 512; r -P 1 0 512
    -f raw data.raw :: t 6M; l
    -f raw data.raw :: truncate -m metadata 6M
    -f raw data.raw :: truncate -m full 6M; length
    -f raw data.raw :: truncate -m falloc 6M; length
    -f raw data.raw :: truncate 1M; length
    -f raw odd.raw :: length; read -v 2990 16; read 2990 100
    -f raw tiny.raw :: length; read -v 0 16
    -f raw odd.raw :: write 2990 10; length
    -f raw odd.raw :: write 3060 10; length
    -f raw data.raw :: discard 0 1M; read -P 0 0 1M
    -f raw data.raw :: alloc 0 5M; map
    -f raw data.raw :: info; length
    -f raw data.raw :: reopen -r; reopen -w; write 0 1
    -f raw data.raw :: reopen -o driver=vpc
    -f raw data.raw :: reopen -o discard=off
    -f raw -r data.raw :: write 0 512
    -f raw -r data.raw :: reopen -w; write 0 512
    -f raw -s data.raw :: write -P 9 0 512; read -P 9 0 512
    -f raw -s -r data.raw :: write -P 9 0 512; read -P 9 0 512
    -f raw -n data.raw :: read 0 512
    -f raw -k -n data.raw :: read 0 512
    -f raw -m data.raw :: read 0 512
    -f raw -m -t none data.raw :: read 1 513; write 7 999
    -f raw -C data.raw :: read 0 512
    -f raw -d nosuch data.raw :: read 0 512
    -f raw -d off data.raw :: read 0 512
    -f raw -i nosuch data.raw :: read 0 512
    -f raw -i native -t none data.raw :: read 0 512
    -f raw -i io_uring data.raw :: read 0 512
    -f raw -t nosuch data.raw :: read 0 512
    -f raw -t unsafe data.raw :: read 0 512
    -f raw -U data.raw :: read 0 512
    -f raw -r -U data.raw :: read 0 512
    --image-opts driver=raw,file.filename=data.raw :: read 0 512
    --image-opts -f raw driver=raw,file.filename=data.raw :: read 0 512
    --image-opts nosuch=1 :: read 0 512
    -f :: read 0 512
    -f raw missing :: read 0 512
    -f nosuch data.raw :: read 0 512
    -f raw . :: read 0 512
    -c length -c length :: nosuch
    -f raw data.raw -r :: write 0 512
    -f vpc -f raw data.raw :: length
    --cache writeback --aio threads -f raw data.raw :: length
    --cache writeback --cache none -f raw data.raw :: length
    -f vpc -r theirs.vhd :: length
    --image-opts driver=raw,file.driver=blkdebug,file.image.filename=data.raw :: break write_aio A; aio_write 0 512; wait_break A; read 4096 512; resume A; aio_flush
    --image-opts driver=raw,file.driver=blkdebug,file.image.filename=data.raw :: break nosuch A
    --image-opts driver=raw,file.driver=blkdebug,file.image.filename=data.raw :: resume A
    --image-opts driver=raw,file.driver=blkdebug,file.image.filename=data.raw :: remove_break A
    --image-opts driver=raw,file.driver=blkdebug,file.image.filename=data.raw :: break
    -f raw blkdebug::data.raw :: length; read 0 512
'''

QEMU_IO_INPUT = [
    'read 0 512; read 512 512', '; ; read 0 512; ; ', 'nosuch; read 0 512', 'quit; read 0 512', 'read 0 512; q', '', ';;',
    '# no comment; read 0 512', '  read   0 512  ',
]


def test_qemu_io(folder, line, filters=()):
    theirs, ours = twins(folder, line, 'theirs.vhd')
    options, _, commands = line.rpartition(' :: ')
    words = [*(options or '-f vpc theirs.vhd').split(), *[w for command in commands.split('; ') for w in ('-c', command)]]
    expected, found = run('qemu-io', *words, cwd=theirs), run(program('qemu-io', True), *words, cwd=ours)
    compare(found, expected, [*SPEED, *filters])
    own_name(found)
    if 'discard' not in commands:
        same_files(theirs, ours)


def test_qemu_io_input(folder, lines):
    """With prompts, though it is no terminal"""
    theirs, ours = twins(folder, 'theirs.vhd')
    (folder / 'input').write_text(lines.replace(';', '\n') + '\n')
    done = []
    for command, cwd in (program('qemu-io', True), ours), ('qemu-io', theirs):
        with open(folder / 'input', encoding='utf-8') as file:
            done.append(run(command, '-f', 'vpc', 'theirs.vhd', cwd=cwd, stdin=file))
    compare(*done, SPEED)
    check('qemu-io> ' in done[0].stdout, 'no prompt')


for lines, filters in (QEMU_IO_LINES, []), (QEMU_IO_USAGE, USAGE), (QEMU_IO_OPTIONS, []):
    for line in lines_of(lines):
        suite.test(f'qemu-io {line}', test_qemu_io, line, filters)
for lines in QEMU_IO_INPUT:
    suite.test(f'qemu-io, from its input: {lines}', test_qemu_io_input, lines)


@suite.fact
def no_prompt(folder):
    """io: by its own name it prints no prompt where there is no terminal"""
    ours = twins(folder)[1]
    (folder / 'input').write_text('length\n')
    with open(folder / 'input', encoding='utf-8') as file:
        equal(works(IO, '-f', 'vpc', 'theirs.vhd', cwd=ours, stdin=file), '40 MiB\n', 'output')


def test_dies(folder, command, signal):
    """What was reported to be written is there, flushed or not"""
    ours = twins(folder)[1]
    want = bytearray(vhd.Disk((ours / 'theirs.vhd').read_bytes()).contents())
    want[10 << 20:11 << 20] = b'\x09' * (1 << 20)
    words = [program('qemu-io', True), '-t', 'writeback', '-f', 'vpc', '-c', 'write -P 9 10M 1M', '-c', command, 'theirs.vhd']
    done = subprocess.run(words, cwd=ours, capture_output=True, text=True, check=False, timeout=60, preexec_fn=no_core)
    equal(done.returncode, -signal, 'result')
    check(done.stdout.startswith('wrote '), f'the report is lost: {done.stdout}')
    check(vhd.Disk((ours / 'theirs.vhd').read_bytes()).contents() == want, 'the new blocks are lost')


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


suite.test('io abort', test_dies, 'abort', signal.SIGABRT)
suite.test('io sigraise 9', test_dies, 'sigraise 9', signal.SIGKILL)

for commands in lines_of(IO_LINES):
    suite.test(f'io {commands}', test_io, commands, '-f vpc', 'theirs.vhd')
for commands, filters in FILTERED_IO:
    suite.test(f'io {commands}', test_io, commands, '-f vpc', 'theirs.vhd', filters)
for options, name, commands in OTHER_IO:
    suite.test(f'io {options} {name}: {commands}', test_io, commands, options, name)
suite.test('io -f vpc data.raw: read 0 1', test_io, 'read 0 1', '-f vpc', 'data.raw', OWN_WORDS)
for commands in ('aio_read -P 66 0 4k; aio_flush', 'aio_write 39M 2M; aio_flush'):
    suite.test(f'io {commands}', test_aio_failure, commands)

suite.main()
