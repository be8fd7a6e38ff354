# command-lines.py - random command lines, right and wrong, for both sets of tools: no crash, and the same exit status
# SPDX-License-Identifier: MIT
"""command-lines.py [COUNT [SEED]]: so many command lines of qemu-img and qemu-io, made of all their options and of odd
values for them, each run by QEMU's tools and by ours in two folders with the same files. Ours must not be ended by a
signal, nor hang. Where exit statuses differ, the kind of difference must be one of KNOWN, which has the reasons; a
table of them is printed, and the seed."""

import concurrent.futures
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import vhd
from harness import IMG, IO, as_text, start
from vhd import MIB

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 300
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 20261122
HANGS = 20                      # seconds
THEIRS_ENDED = 'THEIRS WAS ENDED'
FORMATS = ['raw', 'raw', 'vpc', 'vpc', 'nosuch', '']
FILES = ['a.raw', 'a.raw', 'b.raw', 'a.vhd', 'a.vhd', 'fixed.vhd', 'empty', 'odd', 'missing', 'folder', '']
CACHES = ['none', 'writeback', 'writethrough', 'directsync', 'unsafe', 'nosuch', '']
SIZES = ['0', '1', '511', '512', '4k', '64k', '1M', '1.5M', '2m', '3M', '-1', '-1M', '+1M', 'x', '1x', '', '0x1000',
         '9E', '99999999999999999999', '1e3', '1 M', '010', '4095']
NUMBERS = ['0', '1', '2', '7', '16', '17', '100', '-1', 'x', '', '3k', '99999999999']
RATES = ['1G', '100M', '0', 'x', '-1', '']          # slower ones would take their time
OUTPUTS = ['human', 'json', 'xml', '']
CREATION = ['size=1M', 'size=x', 'subformat=fixed', 'subformat=dynamic', 'subformat=nosuch', 'force_size',
            'force_size=off', 'force_size=maybe', 'preallocation=off', 'preallocation=full', 'preallocation=falloc',
            'preallocation=nosuch', 'nosuch=1', 'help', '', ',', 'size', 'backing_file=a.vhd']
OPTS = ['driver=raw,file.filename=a.raw', 'driver=vpc,file.filename=a.vhd', 'driver=vpc,file.driver=file,file.filename=a.vhd',
        'driver=raw,offset=512,size=4k,file.filename=a.raw', 'driver=null-co,size=64k', 'driver=raw', '',
        'file.filename=a.raw', 'driver=nosuch', 'a.raw', 'driver=vpc,file.driver=blkdebug,file.image.filename=a.vhd',
        'driver=raw,file.driver=raw,file.file.filename=a.raw', 'driver=raw,nosuch=1,file.filename=a.raw', ',', 'driver=']
NAMES = ['json:{"driver":"raw","file.filename":"a.raw"}', "json:{'driver':'vpc','file':{'filename':'a.vhd'}}", 'json:{}',
         'json:', 'json:{"driver":"null-co","size":"64k"}', 'null-co://', 'blkdebug::a.raw', 'blkdebug:conf:a.raw',
         'blkdebug:a.raw', 'file:a.raw', 'nosuch:a.raw', 'nbd+unix:///?socket=none', 'nbd:unix:none', 'raw:a.raw']

# Options of each subcommand: name, and what values it takes; None: none
IMAGE = {'-f': FORMATS, '--image-opts': None, '-U': None}
IMG_COMMANDS = {
    'amend': {**IMAGE, '-o': CREATION, '-p': None, '-q': None, '-t': CACHES},
    'bench': {**IMAGE, '-c': ['0', '1', '5', 'x', '-1', ''], '-d': ['1', '2', '64', 'x', '-1'], '-n': None, '-q': None,
              '-o': SIZES, '-s': ['512', '4k', '1', 'x', ''], '-S': SIZES, '-t': CACHES, '-w': None, '--pattern': NUMBERS,
              '--flush-interval': ['0', '1', '64', 'x'], '--no-drain': None, '-i': ['threads', 'native', 'nosuch']},
    'bitmap': {**IMAGE, '--add': None, '--remove': None, '--clear': None, '-g': NUMBERS},
    'check': {**IMAGE, '-q': None, '--output': OUTPUTS, '-r': ['leaks', 'all', 'x', ''], '-T': CACHES},
    'commit': {**IMAGE, '-q': None, '-t': CACHES, '-b': FILES, '-d': None, '-p': None, '-r': RATES},
    'compare': {**IMAGE, '-F': FORMATS, '-T': CACHES, '-p': None, '-q': None, '-s': None},
    'convert': {**IMAGE, '-O': FORMATS, '-o': CREATION, '-c': None, '-p': None, '-q': None, '-n': None, '-t': CACHES,
                '-T': CACHES, '-S': SIZES, '-m': NUMBERS, '-W': None, '-C': None, '-r': RATES, '--salvage': None,
                '--target-is-zero': None, '--target-image-opts': None, '-l': ['x', ''], '-B': ['a.vhd', 'missing'],
                '-F': FORMATS},
    'create': {'-f': FORMATS, '-o': CREATION, '-q': None, '-u': None, '-b': ['a.vhd', 'missing', ''], '-F': FORMATS},
    'dd': {**IMAGE, '-O': FORMATS},
    'info': {**IMAGE, '--output': OUTPUTS, '--backing-chain': None},
    'map': {**IMAGE, '--output': OUTPUTS, '-s': SIZES, '-l': SIZES, '--start-offset': SIZES, '--max-length': SIZES},
    'measure': {**IMAGE, '--output': OUTPUTS, '-O': FORMATS, '-o': CREATION, '--size': SIZES, '-l': ['x']},
    'rebase': {**IMAGE, '-q': None, '-b': ['a.vhd', 'missing', ''], '-F': FORMATS, '-t': CACHES, '-T': CACHES, '-p': None,
               '-u': None},
    'resize': {'-f': FORMATS, '--image-opts': None, '-q': None, '--shrink': None,
               '--preallocation': ['off', 'falloc', 'full', 'x']},
    'snapshot': {'--image-opts': None, '-U': None, '-q': None, '-l': None, '-c': ['x'], '-a': ['x'], '-d': ['x']},
    'nosuch': {},
}
IO_OPTIONS = {'-f': FORMATS, '--image-opts': None, '-r': None, '-t': CACHES, '-n': None, '-d': ['unmap', 'off', 'nosuch'],
              '-i': ['threads', 'native', 'nosuch'], '-k': None, '-m': None, '-s': None, '-U': None, '--cache': CACHES,
              '--nosuch': None}
IO_COMMANDS = {
    'read': {'-C': None, '-P': NUMBERS, '-p': None, '-q': None, '-s': SIZES, '-l': SIZES, '-b': None},
    'write': {'-C': None, '-P': NUMBERS, '-p': None, '-q': None, '-z': None, '-u': None, '-f': None, '-n': None,
              '-c': None, '-b': None, '-s': ['a.raw', 'missing', 'empty']},
    'readv': {'-C': None, '-P': NUMBERS, '-q': None}, 'writev': {'-C': None, '-P': NUMBERS, '-q': None, '-f': None},
    'aio_read': {'-C': None, '-P': NUMBERS, '-q': None, '-i': None},
    'aio_write': {'-C': None, '-P': NUMBERS, '-q': None, '-z': None, '-u': None, '-f': None, '-i': None},
    'discard': {'-C': None, '-q': None}, 'alloc': {}, 'truncate': {'-m': ['off', 'full', 'falloc', 'x']},
    'reopen': {'-r': None, '-w': None, '-c': CACHES, '-o': ['', 'nosuch=1']},
    'open': {'-r': None, '-n': None, '-o': OPTS, '-t': CACHES}, 'close': {}, 'map': {}, 'length': {}, 'info': {},
    'flush': {}, 'aio_flush': {}, 'help': {}, 'sleep': {}, 'break': {}, 'resume': {}, 'quit': {}, 'nosuch': {}, '': {},
}


def options(rng, table, most=4):
    """Some of @table, with values"""
    words = []
    for name in rng.sample(sorted(table), min(len(table), rng.choice((0, 1, 1, 2, 2, 3, most)))):
        values = table[name]
        if values is None:
            words.append(name)
        elif name.startswith('--'):
            words.append(f'{name}={rng.choice(values)}')
        else:
            words += [name, rng.choice(values)]
    return words


def image(rng, words):
    """A name that fits to the options"""
    if '--image-opts' in words and rng.random() < 0.9:
        return rng.choice(OPTS)
    return rng.choice(NAMES) if rng.random() < 0.1 else rng.choice(FILES)


def img_line(rng):
    command = rng.choice(sorted(IMG_COMMANDS))
    words = options(rng, IMG_COMMANDS[command])
    images = {'compare': 2, 'convert': 1, 'create': 0, 'dd': 0}.get(command, 1)
    tail = [image(rng, words) for _ in range(images)]
    if command in ('convert', 'create'):
        tail.append(rng.choice(['new.img', 'new.img', 'new.img', 'b.raw', 'folder', 'missing/new', '']))
    if command == 'dd':
        words += rng.sample(['bs=' + rng.choice(SIZES), 'count=' + rng.choice(SIZES), 'skip=' + rng.choice(SIZES), 'x=1'],
                            rng.choice((0, 0, 1, 2)))
        tail = ['if=' + image(rng, words), 'of=new.img']
    if command in ('create', 'resize') and rng.random() < 0.9:
        tail += (['--'] if rng.random() < 0.5 else []) + [rng.choice(SIZES)]
    if command == 'bitmap':
        tail.append('x')
    if rng.random() < 0.05:
        tail = tail[1:]
    elif rng.random() < 0.05:
        tail.append('a.raw')
    return ['qemu-img', command, *words, *tail]


def io_command(rng):
    name = rng.choice(sorted(IO_COMMANDS))
    words = [name, *options(rng, IO_COMMANDS[name], 3)]
    arguments = {'open': [rng.choice(FILES)], 'help': [rng.choice(sorted(IO_COMMANDS))], 'sleep': [rng.choice(['1', 'x'])],
                 'break': ['write_aio', 'A'], 'resume': ['A'], 'truncate': [rng.choice(SIZES)]}.get(name)
    if arguments is None:
        arguments = [rng.choice(SIZES) for _ in range(rng.choice((0, 2, 2, 2, 2, 3)) if IO_COMMANDS[name] or name == 'alloc'
                                                      else rng.choice((0, 0, 0, 1)))]
    return ' '.join(word if word else "''" for word in [*words, *arguments])


def io_line(rng):
    words = options(rng, IO_OPTIONS)
    for _ in range(rng.choice((1, 1, 2, 3))):
        words += ['-c', io_command(rng)]
    if rng.random() < 0.95:
        words.append(image(rng, words))
    return ['qemu-io', *words]


def make_files(folder):
    (folder / 'folder').mkdir()
    (folder / 'empty').write_bytes(b'')
    (folder / 'odd').write_bytes(b'o' * 1234)
    (folder / 'conf').write_text('[inject-error]\nevent = "read_aio"\nerrno = "5"\nonce = "on"\n')
    for name in ('a.raw', 'b.raw'):
        (folder / name).write_bytes(b'r' * 65536 + bytes(MIB - 65536))
    (folder / 'a.vhd').write_bytes(vhd.dynamic(2 * MIB, {0: b'D'}))
    (folder / 'fixed.vhd').write_bytes(vhd.fixed(MIB, b'F', creator=b'win '))


def result(program, words, template, base):
    """Exit status, and all that was printed. -n: a signal; None: it hangs"""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        try:
            done = start([str(program), *words], HANGS, cwd=folder)
        except subprocess.TimeoutExpired:
            return None, ''
    return done.returncode, as_text(done.stdout + done.stderr)


# Differences in exit status that there may be: their name, of which command, theirs, ours, a pattern of the command line,
# and one of what either of them said. docs/qemu-compat.md has the reasons
ANY = '.*'
KNOWN = [
    ('bench of an empty image', 'qemu-img bench', '*', 1, 'empty', ''),
    ('theirs crashes or does not end', ANY, '*', '*', '', THEIRS_ENDED),
    ('check of a VHD', 'qemu-img check', 63, '*', 'vhd|vpc', 'does not support checks'),
    ('resize of a VHD', ANY, 1, 0, 'resize|truncate', 'does not support resize'),
    ('measure of a VHD', 'qemu-img measure', 1, 0, '', 'does not support size measurement'),
    ('rebase of a VHD, to nobody', 'qemu-img rebase', 1, 0, '', 'Could not change the backing file to'),
    ('create with a parent', 'qemu-img create', 1, 0, '-b|backing_file', 'Backing file not supported'),
    ('a request in the background failed', 'qemu-io', 0, 1, 'aio_', '_write failed|readv failed|Pattern verif'),
    ('a request to be injected has bad words', 'qemu-io', 0, 1, 'aio_', '^injecting invalid'),
    ('a size with a sign', ANY, '*', '*', r'\+1M', 'You may use k, M|^Parsing error'),
    ('-i native without O_DIRECT', ANY, 1, 0, '', 'aio=native was specified, but it requires'),
    ('O_DIRECT on a file of odd length', ANY, 1, '*', '', 'not a multiple of request alignment'),
    ('qemu-io -s with -U', 'qemu-io', 0, 1, '-s.*-U|-U.*-s', 'force-share=on can only be used'),
    ('snapshot -U', 'qemu-img snapshot', 1, 0, '-U', 'force-share=on can only be used'),
    ('qemu-io -s: VM state, compression', 'qemu-io', 0, 1, '-s .*(-b|-c)', 'Operation not supported'),
    ('qemu-io -s, then reopen', 'qemu-io', 1, 0, 'reopen', r"vl\.\w+'"),
    ('blkdebug fails the guess', ANY, '*', '*', 'blkdebug:conf', 'the format is guessed without them|to find its format: Input/output error'),
    ('qemu-io -s, then truncate', 'qemu-io', 0, 1, '-s.* truncate', 'does not support resize'),
    ('open by name after --image-opts', 'qemu-io', 1, '*', '--image-opts.* open', 'short-form boolean option'),
    ('an error that theirs does not count', 'qemu-img convert', 0, 1, '--target-is-zero', 'Cannot use --target-is-zero'),
    ('-o size, or what is no mode, of convert or measure', 'qemu-img (convert|measure)', '*', '*', '-o (size|preall)',
     "expects a non-negative number|is not one of"),
    ('preallocation of a VHD', 'qemu-img (convert|create|measure)', '*', 1, 'preallocation=', "Invalid parameter 'preall"),
    ('rebase: a format that is for nobody', 'qemu-img rebase', 1, 0, '-F (nosuch|)', 'Invalid format name'),
    ('a file is named twice', 'qemu-io', 1, 0, 'open.* -o', "Can't specify 'file' and 'filename'"),
]


def kind_of(words, theirs, ours):
    line = ' '.join(words)
    ended = THEIRS_ENDED if theirs[0] is None or theirs[0] < 0 else ''
    for name, command, their_status, our_status, of_line, of_text in KNOWN:
        if re.fullmatch(command, ' '.join(words[:2]) if words[0] == 'qemu-img' else words[0]) and \
                their_status in (theirs[0], '*') and our_status in (ours[0], '*') and re.search(of_line, line) and \
                re.search(of_text, f'{theirs[1]}\n{ours[1]}\n{ended}', re.M):
            return name
    return None


def one(job):
    words, template, base = job
    programs = {'qemu-img': IMG, 'qemu-io': IO}
    links = pathlib.Path(base) / 'bin'
    return words, result(shutil.which(words[0]), words[1:], template, base), result(links / words[0], words[1:], template, base)


def judge(words, theirs, ours, kinds):
    """None, or what is wrong"""
    if ours[0] is None or ours[0] < 0 or 'Sanitizer' in ours[1] or 'runtime error' in ours[1]:
        return f'ends with {ours[0]}'
    if ours[0] == theirs[0]:
        return None
    kind = kind_of(words, theirs, ours)
    if kind is None:
        return f'exit status {ours[0]}, theirs {theirs[0]}'
    kinds.setdefault(kind, []).append(words)
    return None


def main():
    rng = random.Random(SEED)
    base = os.environ.get('TMPDIR') or ('/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
    kinds, wrong = {}, []
    print('1..2')
    print(f'# seed {SEED}: {sys.executable} {pathlib.Path(__file__).resolve()} {COUNT} {SEED}', flush=True)
    with tempfile.TemporaryDirectory(prefix='miniblk-', dir=base) as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        template = pathlib.Path(folder) / 'files'
        template.mkdir()
        make_files(template)
        (pathlib.Path(folder) / 'bin').mkdir()
        (pathlib.Path(folder) / 'bin/qemu-img').symlink_to(IMG)
        (pathlib.Path(folder) / 'bin/qemu-io').symlink_to(IO)
        lines = [(img_line if rng.random() < 0.6 else io_line)(rng) for _ in range(COUNT)]
        for words, theirs, ours in pool.map(one, ((line, template, folder) for line in lines)):
            why = judge(words, theirs, ours, kinds)
            if why:
                wrong.append((why, words, theirs, ours))
    crashes = [w for w in wrong if w[0].startswith('ends')]
    others = [w for w in wrong if not w[0].startswith('ends')]
    for number, name, found in ((1, 'ours neither crashes nor hangs', crashes),
                                (2, 'each difference in exit status is a known one', others)):
        print(f'{"not " if found else ""}ok {number} - {COUNT} command lines: {name}')
        for why, words, theirs, ours in found[:200]:
            print(f'# {why}: {shlex.join(words)}\n' + '\n'.join(
                f'#    {who}: {line}' for who, text in (('theirs', theirs[1]), ('ours', ours[1]))
                for line in text.splitlines()[:2]))
    print(f'# {sum(len(k) for k in kinds.values())} known differences:')
    for kind, lines in sorted(kinds.items()):
        print(f'# {len(lines):5} {kind}\n#         {shlex.join(lines[0])}')
    sys.exit(1 if wrong else 0)


if not shutil.which('qemu-img') or not shutil.which('qemu-io'):
    print('1..1\nnot ok 1 - qemu-img or qemu-io is not installed')
    sys.exit(1)
main()
