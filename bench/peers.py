#!/usr/bin/env python3
# peers.py - the figures of README's table that need no clock: sizes, flushes, shared libraries
# SPDX-License-Identifier: MIT
#
# peers.py --tools FOLDER --dir SCRATCH-FOLDER, with qemu-utils, libvhdi-utils and strace installed
import argparse
import json
import os
import random
import re
import shutil
import subprocess
import tempfile


def output(*command, stdin=None):
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          text=True).stdout


def random_sizes(count):
    """In MiB, of three classes: below 1 GiB, below 127 GiB (the largest geometry), up to 2040 GiB"""
    rng = random.Random(1)
    for _ in range(count):
        yield rng.choice([rng.randrange(1, 1024), rng.randrange(1024, 130048), rng.randrange(130048, 2040 * 1024)])


def count_exact(img, count=100):
    """How many new images of whole MiB have the size asked for, as QEMU reads it and as libvhdi reads it"""
    qemu = vhdi = 0
    for mib in random_sizes(count):
        output(img, 'create', '-q', '-f', 'vpc', 'size.vhd', f'{mib}M')
        info = json.loads(output('qemu-img', 'info', '--output=json', '-f', 'vpc', 'size.vhd'))
        qemu += info['virtual-size'] == mib << 20
        vhdi += f'({mib << 20} bytes)' in output('vhdiinfo', 'size.vhd')
        os.unlink('size.vhd')
    return f'{qemu} of {count} (qemu-img info), {vhdi} of {count} (vhdiinfo)'


def sequential():
    """64 MiB into new blocks of 2 MiB, 64 KiB at a time"""
    return ''.join(f'write -q {i * 64}k 64k\n' for i in range(1024))


def scattered():
    """4 KiB into each of 1,000 new blocks, a flush after every 32"""
    blocks = random.Random(3).sample(range(8192), 1000)
    return ''.join(f'write -q {block * 2}M 4k\n' + ('flush\n' if i % 32 == 0 else '')
                   for i, block in enumerate(blocks, 1))


def count_flushes(img, io, commands):
    output(img, 'create', '-q', '-f', 'vpc', 'flush.vhd', '16G')
    output('strace', '-f', '-o', 'strace.out', '-e', 'trace=fdatasync,fsync', io, '-t', 'writeback', '-f', 'vpc',
           'flush.vhd', stdin=commands)
    os.unlink('flush.vhd')
    return len(re.findall(r'^\d+ +f(?:data)?sync\(', open('strace.out').read(), re.M))


def count_libraries(program):
    return len(output('ldd', shutil.which(program)).splitlines())


def main():
    parser = argparse.ArgumentParser(description='Figures of the table in README.md.')
    parser.add_argument('--tools', required=True, help='the folder with miniblk-img and miniblk-io')
    parser.add_argument('--dir', required=True, help='a scratch folder on a disk')
    args = parser.parse_args()
    tools = os.path.abspath(args.tools)
    pairs = [(f'{tools}/miniblk-img', f'{tools}/miniblk-io'), ('qemu-img', 'qemu-io')]

    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        os.chdir(folder)
        for img, io in pairs:
            print(f'{os.path.basename(img)}:')
            print(f'  new images with the size asked for: {count_exact(img)}')
            print(f'  flushes, 64 MiB from front to back: {count_flushes(img, io, sequential())}')
            print(f'  flushes, 1,000 new blocks: {count_flushes(img, io, scattered())}')
            print(f'  lines of ldd: {count_libraries(img)}')
        print(f'vhdiinfo:\n  lines of ldd: {count_libraries("vhdiinfo")}')
        os.chdir('/')


main()
