# twins.py - two programs, the same command line: is what they say the same?
# SPDX-License-Identifier: MIT
import re

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
