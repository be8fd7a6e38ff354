# cases.py - rows of tables of images: how each is made, what comes of reading and writing it
# SPDX-License-Identifier: MIT
"""Whatever the row, the program neither crashes nor hangs, looks at no byte outside of the file, and
changes none unless it writes."""

import dataclasses
import re
import typing

import vhd
from harness import Failure, check, equal, is_sanitized, poke
from vhd import MIB, SECTOR

STEP = 2 * MIB                  # each row is written to in each of these
EIO, ENOSPC = -5, -28
HEAD_USED = 'footer at the end of the file is missing or damaged'
MAX_MEMORY = 30 << 10           # kilobytes that an image may cost more than a sound one
LOCATORS = [(b'W2ru', '.\\base.vhd'.encode('utf-16-le'), 512),
            (b'W2ku', 'C:\\base.vhd'.encode('utf-16-le'), 4096)]


@dataclasses.dataclass
class Case:
    """A row: @make makes the image, the rest is what shall come of it"""

    name: str
    make: typing.Callable[[], bytes]
    reads: str = 'D2M .6M'          # runs of a byte; '.' is zero, '!' can't be read
    refuse: str = ''                # not opened at all: pattern of the error
    refuse_write: str = ''          # not opened for writing
    warn: str = ''                  # pattern of the warnings, when read; '': none
    warn_write: str = ''            # when opened for writing; '': as when read
    fails: dict = dataclasses.field(default_factory=dict)   # step: errno of writes there
    left: str = '^$'                # pattern of what may be wrong still after writing
    size: int = -1                  # of the disk, if it is larger than what reads says


def runs_of(text):
    """'D2M .6M' as [(bytes, value)]"""
    units = {'K': 1 << 10, 'M': MIB}
    runs = []
    for word in text.split():
        value = {'.': 0, '!': EIO}.get(word[0], ord(word[0]))
        number = int(word[1:].rstrip('KM')) * units.get(word[-1], 1)
        runs.append((number, value))
    return runs


def length_of(runs):
    return sum(n for n, _ in runs)


def merge(runs):
    merged = []
    for n, value in runs:
        if merged and merged[-1][1] == value:
            n += merged.pop()[0]
        if n:
            merged.append((n, value))
    return merged


def overwrite(runs, at, count, value):
    """Of @runs, what they are when @count bytes at @at are @value"""
    before, after, offset = [], [], 0
    for n, old in runs:
        before.append((min(max(at - offset, 0), n), old))
        after.append((min(max(offset + n - at - count, 0), n), old))
        offset += n
    return merge(before + [(count, value)] + after)


def save(folder, data):
    path = folder / 'image.vhd'
    path.write_bytes(data)
    return path


def unchanged(path, data):
    check(path.read_bytes() == data, 'the file was changed')


def check_memory(poked):
    if not is_sanitized():
        check(poked.peak < baseline() + MAX_MEMORY,
              f'took {poked.peak} KiB of memory, a sound image {baseline()}')


def baseline(known=[]):
    """Memory that it takes to open an image which is not there"""
    if not known:
        known.append(poke('/nonexistent').peak)
    return known[0]


def check_warnings(found, pattern):
    if not pattern:
        equal(found, [], 'warnings')
    else:
        check(found, f'no warning, should be one like "{pattern}"')
        for text in found:
            check(re.search(pattern, text), f'warning "{text}", should be like "{pattern}"')


def check_refused(folder, data, pattern, flags):
    path = save(folder, data)
    poked = poke(path, flags=flags)
    check(poked.error, 'was opened')
    check(re.search(pattern, poked.error), f'error "{poked.error}", should be like "{pattern}"')
    check_memory(poked)
    unchanged(path, data)


def check_reads(path, case, flags, piece, pattern):
    expected = merge(runs_of(case.reads))
    size = length_of(expected)
    poked = poke(path, f'scan:0:{size}:{piece}', flags=flags)
    check(not poked.error, f'was not opened: {poked.error}')
    equal(poked.size, case.size if case.size >= 0 else size, 'size')
    equal(poked.runs[0], expected, f'contents, read in pieces of {piece}')
    equal(poked.close, 0, 'result of close')
    check_warnings(poked.warnings, pattern)
    check_memory(poked)


def test_reading(folder, case):
    data = bytes(case.make())
    if case.refuse:
        check_refused(folder, data, case.refuse, 'c')
        return
    path = save(folder, data)
    for flags, piece in (('c', 4607), ('', 100003)):    # over checked storage and not; pieces that go over all edges
        check_reads(path, case, flags, piece, case.warn)
    unchanged(path, data)


def test_opening_for_writing(folder, case):
    data = bytes(case.make())
    if case.refuse or case.refuse_write:
        for flags in ('cw', 'w'):
            check_refused(folder, data, case.refuse or case.refuse_write, flags)
        return
    path = save(folder, data)
    for flags in ('cw', 'w'):
        check_reads(path, case, flags, 65536, case.warn_write or case.warn)
        unchanged(path, data)


def writes_to(size):
    """Some of each step, aligned and not, and the very end: offset, bytes, value"""
    writes = []
    for at in range(0, size, STEP):
        writes += [(at + 3 * SECTOR, SECTOR, ord('w')), (at + 5 * SECTOR + 7, 100, ord('x'))]
    return [w for w in writes if w[0] + w[1] < size - 100] + [(size - 100, 100, ord('z'))] * (size > 4096)


def chosen_footer(data):
    for footer in (data[-512:], data[-511:] + b'\0', data[:512]):
        if vhd.is_footer(footer):
            return footer
    raise Failure('the test has no valid footer')


def check_kept(image, after, left):
    """What no write may change"""
    footer = chosen_footer(bytes(image))
    equal(after[-SECTOR:], footer, 'footer')
    if vhd.get(footer, 0, vhd.FOOTER, 'type') == vhd.FIXED:
        return
    if not re.search(left, 'the footer and its copy differ'):
        equal(after[:SECTOR], footer, 'copy of the footer')
    kept = [(image.header_at, 1024)] + image.locators + [(image.batmap_at,
                                                          2 * SECTOR)] * (image.batmap_at is not None)
    for at, count in kept:
        equal(after[at:at + count], bytes(image[at:at + count]), f'metadata at {at}')


def check_independently(data, runs, left):
    """The image as another implementation sees it"""
    disk = vhd.Disk(data)
    for problem in disk.problems:
        check(re.search(left, problem), f'after writing: {problem}')
    seen, at = disk.blocks(), 0
    contents = b''.join(b if b is not None else bytes(disk.block_size) for b in seen)
    unit = len(contents) if disk.fixed else disk.block_size
    for n, value in runs:
        if all(seen[i] is not None for i in range(at // unit, (at + n - 1) // unit + 1)):
            check(contents[at:at + n].count(value) == n, f'{n} bytes at {at} are not all {value}')
        at += n


def test_writing(folder, case, flags):
    image = case.make()
    path = save(folder, image)
    runs = merge(runs_of(case.reads))
    writes = writes_to(length_of(runs))
    poked = poke(path, *[f'write:{at}:{n}:{value}' for at, n, value in writes], 'flush', flags=flags)
    expected = [case.fails.get(at // STEP, 0) for at, _, _ in writes]
    equal(poked.rets, expected + [0], 'results of writes')
    equal(poked.close, 0, 'result of close')
    for (at, n, value), ret in zip(writes, expected):
        if ret == 0:
            runs = overwrite(runs, at, n, value)
    check_independently(path.read_bytes(), [r for r in runs], case.left)
    check_kept(image, path.read_bytes(), case.left)
    again = poke(path, f'scan:0:{length_of(runs)}:4607', flags='c')
    equal(again.runs, [runs], 'contents after writing')
