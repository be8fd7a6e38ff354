# twins.py - two programs, the same command line: is what they say the same?
# SPDX-License-Identifier: MIT
import os
import re
import shutil

from harness import check, equal

# How messages differ. Pattern, replacement
PROGRESS = [(r'^ *\([0-9.]+/100%\)\n', '')]      # we report more often
OWN_WORDS = [(r"^(tool-(img: |io: can't open device )\S+: ).*", r'\1')]   # ours have reason and numbers


def same_program(text):
    text = re.sub(r"(Try '\w+-img) [a-z]+ --help'", r"\1 --help'", text)      # ours have a page for each command
    return re.sub(r'\b(qemu|miniblk)-(img|io)\b', r'tool-\2', text)


# What an unsafe rebase may lead to
OTHER_PARENT = (r'^tool-img: warning: \S+: the image was made over a parent with .*\n', '')
# How to give what an error advises
OPTIONS = (r'^Options of an image are given so: .*\n', '')
# What a default costs: ours say that of a new VHD, under their own names
GEOMETRY = (r'^tool-img: warning: \S+: readers that go by the geometry .*\n', '')


def compare(found, expected, filters):
    for what in ('stdout', 'stderr'):
        texts = []
        for done in (found, expected):
            text = same_program(getattr(done, what))
            for pattern, replacement in (GEOMETRY, OTHER_PARENT, OPTIONS, *filters):
                text = re.sub(pattern, replacement, text, flags=re.M)
            texts.append(text)
        if texts[0] != texts[1]:
            check(False, f'{what} differs:\n--- theirs\n{texts[1]}\n--- ours\n{texts[0]}')
    equal(found.returncode, expected.returncode, 'exit status')


def lines_of(text):
    return [line.strip() for line in text.strip().splitlines()]


def copy_sparse(source, target):
    """The data of a file, its holes and its times"""
    with open(source, 'rb', buffering=0) as old, open(target, 'wb', buffering=0) as new:
        size, at = os.fstat(old.fileno()).st_size, 0
        new.truncate(size)
        while at < size:
            try:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:                 # no more
                break
            end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
            os.lseek(new.fileno(), at, os.SEEK_SET)
            while at < end:
                at += os.sendfile(new.fileno(), old.fileno(), at, end - at)
    shutil.copystat(source, target)


def is_untouched(copy, source):
    """Was nothing written to what copy_sparse() made? To read the whole of it takes far longer"""
    now, then = os.stat(copy), os.stat(source)
    return (now.st_mtime_ns, now.st_size) == (then.st_mtime_ns, then.st_size)


PIECE = 1 << 20


def next_data(fd, at, size):
    """Where the next data is in a file, from @at on; @size if there is none"""
    try:
        return os.lseek(fd, at, os.SEEK_DATA) if at < size else size
    except OSError:
        return size


def same_bytes(a, b):
    """Do two files hold the same? Where both have a hole nothing is read"""
    with open(a, 'rb', buffering=0) as one, open(b, 'rb', buffering=0) as other:
        fds = one.fileno(), other.fileno()
        size, at = os.fstat(fds[0]).st_size, 0
        if os.fstat(fds[1]).st_size != size:
            return False
        while (at := min(next_data(fd, at, size) for fd in fds)) < size:
            if os.pread(fds[0], PIECE, at) != os.pread(fds[1], PIECE, at):
                return False
            at += PIECE
    return True
