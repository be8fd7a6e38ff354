#!/usr/bin/env python3
# run.py - named workloads, our tools beside QEMU's, in one run
# SPDX-License-Identifier: MIT
#
# Each round runs both programs on the same input; the program that runs first changes from round to round. Printed is
# the ratio of miniblk's time to QEMU's: the median, the smallest and the largest of all rounds. See
# bench/README.md.
import argparse
import os
import random
import shlex
import statistics
import subprocess
import sys

QEMU = {'img': 'qemu-img', 'io': 'qemu-io'}


def run(command, stdin=None):
    """wall and CPU seconds, and peak memory in KiB, of a command that has to work"""
    script = f'exec 3>cost.out; {shlex.quote(os.getcwd())}/cost {shlex.quote(command)}'
    with open(stdin or os.devnull) as source, open('run.log', 'w') as log:
        status = subprocess.call(script, shell=True, stdin=source, stdout=log, stderr=subprocess.STDOUT)
    if status:
        sys.exit(f'{command}: failed\n' + open('run.log').read())
    return tuple(float(word) for word in open('cost.out').read().split())


def make_mix(size):
    """mix.raw: a quarter random data, an eighth zeroes that are written, holes; in runs of 64 KiB to 8 MiB"""
    rng = random.Random(1)
    with open('mix.raw', 'wb') as file:
        file.truncate(size)
        at = 0
        while at < size:
            run_length = min(rng.randrange(1, 129) * 65536, size - at)
            kind = rng.randrange(8)
            file.seek(at)
            if kind < 2:
                file.write(rng.randbytes(run_length))
            elif kind == 2:
                file.write(bytes(run_length))
            at += run_length


def make_blocks(tools):
    """blocks.vhd: 64 GiB, every third block is there"""
    with open('blocks.cmd', 'w') as file:
        for block in range(0, 32768, 3):
            print(f'write -q {block * 2}M 512', file=file)
    run(f'{tools["img"]} create -q -f vpc blocks.vhd 64G')
    run(f'{tools["io"]} -t unsafe -f vpc blocks.vhd', 'blocks.cmd')


def make_random(name, flush_every):
    rng = random.Random(2)
    with open(name, 'w') as file:
        for i in range(1, 1001):
            print(f'write -q {rng.randrange(16 << 18) * 4}k 4k', file=file)
            if flush_every and i % flush_every == 0:
                print('flush', file=file)


def prepare(tools, size):
    make_mix(size)
    run(f'{QEMU["img"]} convert -f raw -O vpc -o force_size=on mix.raw mix.vhd')
    run(f'{QEMU["img"]} convert -f raw -O vpc -o force_size=on mix.raw mix2.vhd')
    run(f'{QEMU["img"]} create -q -f vpc -o force_size=on big.vhd 2040G')
    make_blocks(tools)
    make_random('flush.cmd', 32)
    make_random('plain.cmd', 0)


# name: (description, command, its standard input, preparation that is not measured)
WORKLOADS = {
    'big-create': ('create a dynamic image of 2040 GiB', '{img} create -q -f vpc -o force_size=on out.vhd 2040G', None,
                   'rm -f out.vhd'),
    'big-info': ('open it, and print what it says', '{img} info -f vpc big.vhd', None, None),
    'map': ('map an image of 10,923 blocks', '{img} map --output=json -f vpc blocks.vhd', None, None),
    'raw-dynamic': ('convert raw to dynamic', '{img} convert -f raw -O vpc -o force_size=on mix.raw out.vhd', None,
                    'rm -f out.vhd'),
    'raw-fixed': ('convert raw to fixed',
                  '{img} convert -f raw -O vpc -o force_size=on,subformat=fixed mix.raw out.vhd', None,
                  'rm -f out.vhd'),
    'dynamic-raw': ('convert dynamic to raw', '{img} convert -f vpc -O raw mix.vhd out.raw', None, 'rm -f out.raw'),
    'dynamic-dynamic': ('convert dynamic to dynamic',
                        '{img} convert -f vpc -O vpc -o force_size=on mix.vhd out.vhd', None,
                        'rm -f out.vhd'),
    'compare': ('compare two dynamic images', '{img} compare -f vpc -F vpc mix.vhd mix2.vhd', None, None),
    'allocate': ('1000 random writes of 4 KiB to an empty image of 16 GiB, a flush after every 32',
                 '{io} -t writeback -f vpc out.vhd', 'flush.cmd',
                 'rm -f out.vhd; {img} create -q -f vpc -o force_size=on out.vhd 16G'),
    'allocate-unsafe': ('the same without flushes, in QEMU cache=unsafe', '{io} -t unsafe -f vpc out.vhd', 'plain.cmd',
                        'rm -f out.vhd; {img} create -q -f vpc -o force_size=on out.vhd 16G'),
}


def one(workload, tools):
    _, command, stdin, before = workload
    if before:
        run(before.format(**tools))
    return run(command.format(**tools), stdin)


def spread(ratios):
    return f'{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})'


def measure(name, ours, rounds):
    results = {'ours': [], 'qemu': []}
    for number in range(rounds):
        pair = [('ours', ours), ('qemu', QEMU)]
        for who, tools in pair if number % 2 == 0 else pair[::-1]:
            results[who].append(one(WORKLOADS[name], tools))
    walls = [a[0] / b[0] for a, b in zip(results['ours'], results['qemu'])]
    cpus = [a[1] / max(b[1], 1e-4) for a, b in zip(results['ours'], results['qemu'])]
    seconds = [statistics.median(r[0] for r in results[who]) for who in ('ours', 'qemu')]
    memory = [max(r[2] for r in results[who]) / 1024 for who in ('ours', 'qemu')]
    print(f'| {name} | {spread(walls)} | {spread(cpus)} | {seconds[0]:.3f} / {seconds[1]:.3f} | '
          f'{memory[0]:.1f} / {memory[1]:.1f} |', flush=True)


def main():
    workloads = '; '.join(f'{name}: {w[0]}' for name, w in WORKLOADS.items())
    parser = argparse.ArgumentParser(description='Compare miniblk with QEMU; below 1, miniblk is faster.',
                                     epilog='Workloads: ' + workloads)
    parser.add_argument('--tools', required=True, help='the folder with miniblk-img and miniblk-io')
    parser.add_argument('--dir', required=True, help='a scratch folder: on tmpfs, or on the disk to be measured')
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument('--size', type=int, default=2048, help='of the images that are converted, in MiB')
    parser.add_argument('workload', nargs='*', help='default: all')
    args = parser.parse_args()
    tools = os.path.abspath(args.tools)
    ours = {tool: shlex.quote(f'{tools}/miniblk-{tool}') for tool in ('img', 'io')}

    here = os.path.dirname(os.path.abspath(__file__))
    os.makedirs(f'{args.dir}/bench', exist_ok=False)
    os.chdir(f'{args.dir}/bench')
    try:
        subprocess.check_call(['cc', '-O1', '-o', 'cost', f'{here}/cost.c'])
        prepare(ours, args.size << 20)
        print('| workload | wall, ours / qemu | CPU, ours / qemu | seconds | peak MiB |\n|---|---|---|---|---|',
              flush=True)
        for name in args.workload or WORKLOADS:
            measure(name, ours, args.rounds)
    finally:
        for name in os.listdir('.'):
            os.unlink(name)
        os.chdir('..')
        os.rmdir('bench')


main()
