# hurt-images.py - images that were cut off, or whose bits were flipped, or whose writer did not end well
# SPDX-License-Identifier: MIT

import random
import struct

import vhd
from cases import (ENOSPC, HEAD_USED, LOCATORS, Case, check_memory, check_refused, merge, overwrite, runs_of,
                   save, test_opening_for_writing, test_reading, unchanged)
from harness import Failure, Suite, check, equal, is_sanitized, poke
from vhd import SECTOR, Image, dynamic, fixed

suite = Suite(__file__)


# Truncated files

STEP = SECTOR * (5 if is_sanitized() else 1)


def small_image():
    """Three blocks of 4 KiB, at 2048, 6656 and 11264; the BAT ends at 1568, the footer begins at 15872"""
    return dynamic(32 << 10, {0: b'A', 1: b'B', 5: b'C'}, block_size=4096)


def small_reads(length):
    """What of a small image can be read after it was cut to @length, without any footer at its end"""
    words = ['.'] * 8
    for block, (fill, place) in {0: ('A', 2048), 1: ('B', 6656), 5: ('C', 11264)}.items():
        words[block] = fill if place + 4608 <= length else '!'
    return ' '.join(word + '4K' for word in words)


def cut_case(length):
    make = lambda: Image(small_image()[:length])
    if length < 1568:
        return Case('', make, refuse='shorter|no place|no dynamic header|BAT|Max Table|checksum|no VHD')
    return Case('', make, small_reads(length), warn=f'{HEAD_USED}|lies past the end')


def test_cut(folder, delta):
    for length in range(512, len(small_image()) - SECTOR, STEP):
        case = cut_case(length + delta)
        test_reading(folder, case)
        test_opening_for_writing(folder, case)


def test_cut_writes(folder, delta):
    """Nothing but what was cut off is lost by writing"""
    for length in range(2048, len(small_image()) - SECTOR, STEP):
        image = Image(small_image()[:length + delta])
        path = save(folder, image)
        poked = poke(path, 'write:12288:4096:87', 'flush', flags='cw')
        runs = merge(runs_of(small_reads(length + delta)))
        if poked.rets[0] == 0:
            runs = overwrite(runs, 12288, 4096, ord('W'))
        equal(poked.rets[0] in (0, ENOSPC), True, f'cut to {length + delta}: result of write')
        again = poke(path, 'scan:0:32768:4607', flags='c')
        equal(again.runs, [runs], f'cut to {length + delta}: contents after writing')


def test_cut_fixed(folder):
    """a small fixed image, cut anywhere: refused"""
    whole = bytes(fixed(4096))
    for length in range(0, len(whole) - 1, 256):
        check_refused(folder, whole[:length], 'shorter|no VHD|checksum', 'c')
        check_refused(folder, whole[:length], 'shorter|no VHD|checksum', 'cw')


for delta in (0, 1, 511):
    suite.test(f'a small dynamic image, cut {delta} bytes behind each sector', test_cut, delta)
    suite.test(f'a small dynamic image, cut {delta} bytes behind each sector and written to', test_cut_writes,
               delta)
suite.fact(test_cut_fixed)


# Anything at all

def seed_image():
    return dynamic(40 << 10, {0: b'A', 3: b'B', 1: b'C'}, block_size=4096, creator=b'tap\0',
                   creator_version=0x10003,
                   locators=LOCATORS, batmap=[0], bits={0: b'\xf0'})


def flip(image, rng, start, end, count, sealed):
    for _ in range(count):
        image[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    if sealed:
        vhd.seal(image, 0, SECTOR, vhd.FOOTER_SUM)
        vhd.seal(image, len(image) - SECTOR, SECTOR, vhd.FOOTER_SUM)
        vhd.seal(image, SECTOR, 1024, vhd.HEADER_SUM)
    return image


def survives(folder, data):
    """No crash, no access outside, no change by looking"""
    path = save(folder, data)
    for flags in ('c', 'cw', 'cp'):
        poked = poke(path, 'scan:0:65536:1000', 'status:0:65536', flags=flags,
                     options='' if 'p' in flags else 'driver=vpc')
        check_memory(poked)
        unchanged(path, data)
    poked = poke(path, *[f'write:{at}:600:87' for at in range(100, 40000, 4096)], 'zero:8192:8192',
                 'discard:0:20000', 'flush', flags='cwu')
    check_memory(poked)
    if not poked.error:
        equal(poke(path, flags='c').error, None, 'error of opening it after writing')


def test_flips(folder, start, end, sealed):
    for seed in range(6 if is_sanitized() else 24):
        image = seed_image()
        end_at = len(image) if end is None else end
        rng = random.Random(f'{start} {sealed} {seed}')
        data = bytes(flip(image, rng, start % len(image), end_at, rng.choice((1, 1, 2, 5)), sealed))
        try:
            survives(folder, data)
        except Failure as failure:
            raise Failure(f'seed {seed}: {failure}') from None


for what, start, end in (('the copy of the footer', 0, 96), ('the footer', -512, None),
                         ('the header', 512, 576),
                         ('the locators', 1088, 1280), ('the BAT', 1536, 1576), ('the batmap', 2048, 2600),
                         ('the bitmaps and blocks', 3072, 16384)):
    suite.test(f'random bits of {what}', test_flips, start, end, False)
    suite.test(f'random bits of {what}, under good checksums', test_flips, start, end, True)


@suite.fact
def test_memory_of_bat(folder):
    """a BAT of 131072 entries that all name one place costs little memory"""
    image = dynamic(131072 * 4096, {0: b'D'}, block_size=4096)
    sector = image.places[0] // SECTOR
    image.change(image.bat_at, struct.pack('>I', sector) * 131072)
    path = save(folder, image)
    for flags in ('c', 'cw'):
        poked = poke(path, 'scan:0:65536:4096', flags=flags)
        equal(poked.runs, [[(65536, ord('D'))]], 'contents')
        check_memory(poked)


# After a crash


@suite.fact
def test_crash(folder):
    """a writer that ended without closing leaves an image that others can read"""
    path = save(folder, dynamic())
    poke(path, 'write:3000000:512:119', 'flush', 'write:5000000:512:120', 'crash', flags='w')
    disk = vhd.Disk(path.read_bytes())
    equal(disk.problems, [], 'problems')
    contents = disk.contents()
    check(contents[3000000:3000512] == b'w' * 512, 'flushed bytes are not there')
    check(contents[5000000:5000512] in (b'x' * 512, bytes(512)), 'neither old nor new bytes')


@suite.fact
def test_crash_and_write(folder):
    """a writer after one that ended without closing: new blocks are zero around what was written"""
    path = save(folder, dynamic())
    poke(path, 'write:3000000:512:119', 'crash', flags='w')
    poke(path, 'write:5000000:512:120', 'write:7000000:512:121', flags='w')
    disk = vhd.Disk(path.read_bytes())
    equal(disk.problems, [], 'problems')
    runs = merge(runs_of('D2M .6M'))
    for at, value in ((3000000, 'w'), (5000000, 'x'), (7000000, 'y')):
        if value != 'w' or disk.bat[1] != vhd.UNUSED:
            runs = overwrite(runs, at, 512, ord(value))
    equal(poke(path, 'scan:0:8388608:65536').runs, [runs], 'contents')


suite.main()
