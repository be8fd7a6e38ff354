# manners.py - what people expect of tools: names, signals, limits, words
# SPDX-License-Identifier: MIT
import errno
import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import time

from harness import IMG, IO, Suite, check, environment, equal, fails, info, run, works
from vhd import MIB

suite = Suite(__file__)


def make(path, *options):
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'force_size=on', *options, path, *([] if '-b' in options else ['8M']))
    return path


# A file name is the user's word

def test_called(folder, suffix):
    """A chain is read, compared, written, without a word about its format"""
    make(folder / f'base{suffix}')
    works(IO, '-f', 'vpc', '-c', 'write -P 7 0 1M', folder / f'base{suffix}')
    child = make(folder / f'child{suffix}', '-b', f'base{suffix}')
    equal(len(json.loads(works(IMG, 'info', '--backing-chain', '--output=json', child))), 2, 'chain')
    works(IMG, 'compare', child, folder / f'base{suffix}')
    works(IO, '-c', 'read -P 7 0 1M', '-c', 'write -P 8 1M 64k', child)
    works(IMG, 'convert', '-O', 'raw', child, folder / 'all.raw')
    data = (folder / 'all.raw').read_bytes()
    equal((data[:MIB] == b'\7' * MIB, data[MIB:MIB + 65536] == b'\10' * 65536), (True, True), 'contents')
    works(IMG, 'commit', '-q', child)


for suffix in '.vhd', '.avhd', '.vpc', '.VHD', '.AVHD':
    suite.test(f'a VHD that is called *{suffix} is one', test_called, suffix)


def test_not_called(folder, name):
    make(folder / 'base.vhd')
    make(folder / 'child.vhd', '-b', 'base.vhd').rename(folder / name)
    for words in (IMG, 'convert', '-O', 'raw'), (IMG, 'compare', folder / 'base.vhd'), (IO, '-c', 'read 0 512'):
        done = run(*words, folder / name, *([folder / 'x.raw'] if 'convert' in words else []))
        text = done.stderr
        check(done.returncode, 'it is taken')
        check('only guessed' in text or 'not good enough' in text, text)
        check('-f vpc' in text, text)


for name in 'child.img', 'child', 'child.vhd.bak', 'vhd', 'child.raw':
    suite.test(f'{name} is as careful as ever', test_not_called, name)


@suite.fact
def called_and_is_not(folder):
    """what is called *.vhd and is none is what it is"""
    (folder / 'a.vhd').write_bytes(b'x' * MIB)
    equal(info(folder / 'a.vhd')['format'], 'raw', 'format')
    equal(run(IMG, 'info', folder / 'nosuch.vhd').returncode, 1, 'exit status')


@suite.fact
def qemu_is_careful(folder):
    """under QEMU's name the first bytes count"""
    make(folder / 'f.vhd', '-o', 'subformat=fixed')
    (folder / 'qemu-img').symlink_to(IMG)
    equal(json.loads(works(folder / 'qemu-img', 'info', '--output=json', folder / 'f.vhd'))['format'], 'raw', 'format')


# Files that can't be longer

def limited(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_limit(folder, options):
    """The request that needs the room fails, with EFBIG, and nothing else does"""
    path = make(folder / 'a.vhd', '-o', options) if 'raw' not in options else folder / 'a.raw'
    driver = 'raw' if 'raw' in options else 'vpc'
    if driver == 'raw':
        path.write_bytes(bytes(MIB))
    fits = 3 * MIB + 65536 if 'block_size' not in options else MIB + MIB // 2
    words = ['write -P 1 0 512k', 'write -P 2 2M 64k', 'write -P 3 4M 64k', 'write -P 4 512 512', 'flush']
    words = ['truncate 8M'] if driver == 'raw' else words
    done = run(IO, '-f', driver, *[word for line in words for word in ('-c', line)], path, preexec_fn=limited(fits))
    check('File too large' in done.stdout + done.stderr, done.stdout + done.stderr)
    if driver == 'raw':
        equal(path.stat().st_size, MIB, 'size')
        return
    equal(done.stdout.count('wrote '), 2, done.stdout)
    text = works(IO, '-f', 'vpc', '-c', 'read -P 4 512 512', '-c', 'read -P 1 1k 511k', '-c', 'read -P 0 2M 4M', path)
    check('failed' not in text, text)
    works(IMG, 'check', '-f', 'vpc', path)


for options in 'subformat=dynamic', 'block_size=1M', 'driver=raw':
    suite.test(f'a limit on the length of files, {options}', test_limit, options)


@suite.fact
def limit_of_outputs(folder):
    """create and convert that would need more fail, and leave nothing"""
    (folder / 'a.raw').write_bytes(b'x' * (4 * MIB))
    for words in (['create', '-f', 'vpc', '-o', 'subformat=fixed', 'b.vhd', '4M'], ['create', 'b.raw', '4M'],
                  ['convert', '-f', 'raw', '-O', 'vpc', 'a.raw', 'c.vhd'], ['convert', '-f', 'raw', '-O', 'raw', 'a.raw', 'c.raw']):
        done = run(IMG, *words, cwd=folder, preexec_fn=limited(2 * MIB))
        equal(done.returncode, 1, words)
        check('File too large' in done.stderr, done.stderr)
    equal(sorted(path.name for path in folder.iterdir()), ['a.raw'], 'files')


# Signals

SILENT = 'map',


def block_usr1():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


def test_usr1(folder, words):
    """It asks how far the work is, and kills nobody"""
    for name in 'a.vhd', 'b.vhd':
        make(folder / name)
        works(IO, '-f', 'vpc', '-c', 'write -P 1 0 8M', folder / name)
    make(folder / 'c.vhd', '-b', 'a.vhd')
    works(IO, '-f', 'vpc', '-c', 'write -P 1 0 8M', folder / 'c.vhd')
    process = subprocess.Popen([IMG, *words], cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, preexec_fn=block_usr1)      # until there is a handler
    while process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.002)
    err = process.stderr.read()
    equal(process.returncode, 0, err)
    check('/100%)' in err or words[0] in SILENT, f'nothing is said: {err}')


for words in (('convert', '-f', 'vpc', '-O', 'raw', 'a.vhd', 'x.raw'), ('compare', '-f', 'vpc', '-F', 'vpc', 'a.vhd', 'b.vhd'),
              ('commit', '-f', 'vpc', 'c.vhd'), ('rebase', '-f', 'vpc', '-b', 'b.vhd', '-F', 'vpc', 'c.vhd'),
              ('check', '-f', 'vpc', 'a.vhd'), ('bench', '-f', 'vpc', '-c', '2000', 'a.vhd'), ('map', '-f', 'vpc', 'a.vhd')):
    suite.test(f'SIGUSR1, {words[0]}', test_usr1, words)


# Words

def warnings_of(*words):
    done = run(IMG, *words)
    return [(one['code'], one['text']) for one in json.loads(done.stdout).get('warnings', [])], done


@suite.fact
def codes(folder):
    """warnings have codes, and stand in the JSON of info and check; an image without any has none"""
    path = make(folder / 'a.vhd')
    equal(warnings_of('info', '-f', 'vpc', '--output=json', path)[0], [], 'sound')
    with open(path, 'r+b') as f:
        f.truncate(path.stat().st_size - 512)
    for command in 'info', 'check':
        found, done = warnings_of(command, '-f', 'vpc', '--output=json', path)
        if command == 'info':
            equal([code for code, _ in found], ['F2'], 'codes')
            check('its copy at the start is used' in found[0][1] and found[0][1] in done.stderr, done.stderr)
        else:
            check('F2' in [one['code'] for one in json.loads(done.stdout)['findings']], done.stdout)
    (folder / 'b.raw').write_bytes(b'x' * 512 + path.read_bytes()[:512] + bytes(100))
    found, _ = warnings_of('info', '--output=json', folder / 'b.raw')
    equal([code for code, _ in found], ['guess'], 'a guess')


@suite.fact
def notes(folder):
    """check by QEMU's name prints no notes"""
    make(folder / 'a.vhd', '-o', 'block_size=64k')
    (folder / 'qemu-img').symlink_to(IMG)
    ours, theirs = (works(tool, 'check', '-f', 'vpc', 'a.vhd', cwd=folder) for tool in (IMG, folder / 'qemu-img'))
    check(ours.startswith('note H3') and ours.endswith(theirs), ours)
    equal(theirs.splitlines()[0], 'No errors were found on the image.', "QEMU's name")


def extent_size_of(path):
    """The file system's, 0: it has none for this file, or does not know of such"""
    answer = bytearray(28)      # struct fsxattr
    with open(path, 'rb') as file:
        try:
            fcntl.ioctl(file, 0x801c581f, answer)       # FS_IOC_FSGETXATTR
        except OSError as error:
            check(error.errno in (errno.ENOTTY, errno.EOPNOTSUPP), error)
    return struct.unpack_from('=I', answer, 4)[0]


@suite.fact
def extents(folder):
    """extent_size_hint: the file has it, or it is said that it has not"""
    for words in ('-f', 'raw'), ('-f', 'file'):
        done = run(IMG, 'create', '-q', *words, '-o', 'extent_size_hint=1M', 'a.raw', '1M', cwd=folder)
        equal((done.returncode, (folder / 'a.raw').stat().st_size), (0, MIB), done.stderr)
        equal(('could not set the extent size hint' in done.stderr, extent_size_of(folder / 'a.raw')),
              (False, MIB) if not done.stderr else (True, 0), done.stderr)
    text = fails(IMG, 'create', '-q', '-f', 'raw', '-o', 'extent_size_hint=8G', 'b.raw', '1M', cwd=folder)
    check('8589934592 is more than' in text and not (folder / 'b.raw').exists(), text)


@suite.fact
def tabs(folder):
    """words of miniblk-io are parted by spaces and tabs; of qemu-io, by spaces"""
    make(folder / 'a.vhd')
    text = works(IO, '-f', 'vpc', '-c', 'write\t-P 5\t0 \t 4k', '-c', ' read\t-P\t5 0 4k\t', folder / 'a.vhd')
    equal((text.count('wrote 4096/4096'), text.count('read 4096/4096'), 'failed' in text), (1, 1, False), text)
    (folder / 'qemu-io').symlink_to(IO)
    done = run(folder / 'qemu-io', '-f', 'vpc', '-c', 'read\t0 512', folder / 'a.vhd')
    check('not found' in done.stdout + done.stderr, done.stdout)


@suite.fact
def reopen(folder):
    """reopen takes options with the values that they have, and raw's window"""
    make(folder / 'a.vhd')
    (folder / 'b.raw').write_bytes(b'a' * MIB + b'b' * MIB)
    text = works(IO, '-f', 'vpc', '-c', 'reopen -o driver=vpc', '-c', 'write -P 3 0 512', '-c', 'reopen -r', '-c',
                 'read -P 3 0 512', folder / 'a.vhd')
    equal((text.count('wrote'), text.count('read 512'), 'failed' in text), (1, 1, False), text)
    text = works(IO, '-f', 'raw', '-c', 'reopen -o offset=1M,size=512k', '-c', 'read -P 98 0 512k', '-c', 'length',
                 folder / 'b.raw')
    check('failed' not in text and '512 KiB' in text, text)
    text = fails(IO, '-f', 'vpc', '-c', 'reopen -o driver=raw', folder / 'a.vhd')
    check("Cannot change the option 'driver'" in text, text)


def on_terminal(*words, cwd):
    """What a program says whose standard output is a terminal"""
    mine, theirs = pty.openpty()
    process = subprocess.Popen([str(word) for word in words], cwd=cwd, env=environment(), stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b''
    while True:
        try:
            piece = os.read(mine, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(mine)
    equal(process.wait(), 0, text)
    return text.decode()


@suite.fact
def progress(folder):
    """on a terminal long work shows how far it is; short work, -q and a pipe do not, nor do QEMU's names"""
    (folder / 'a.raw').write_bytes(os.urandom(6 * MIB))
    (folder / 'qemu-img').symlink_to(IMG)
    slow = ['convert', '-f', 'raw', '-O', 'raw', '-r', '2M', 'a.raw', 'b.raw']
    shown = on_terminal(IMG, *slow, cwd=folder)
    check(re.search(r'    \(\d+\.\d\d/100%\), [\d.]+ [KM]iB/s, 0:0\d left', shown), f'no rate or time left: {shown}')
    shown = works(IMG, 'convert', '-p', *slow[1:], cwd=folder)
    check('/100%)' in shown and 'left' not in shown, f"a pipe, with -p: not as QEMU's: {shown}")
    equal(on_terminal(folder / 'qemu-img', *slow, cwd=folder), '', "QEMU's name")
    equal(on_terminal(IMG, 'convert', '-q', *slow[1:], cwd=folder), '', '-q')
    equal(on_terminal(IMG, 'convert', '-f', 'raw', '-O', 'raw', 'a.raw', 'b.raw', cwd=folder), '', 'short work')
    equal(works(IMG, *slow, cwd=folder), '', 'a pipe')


@suite.fact
def io_signal(folder):
    """SIGUSR1, which asks miniblk-img for its progress, does nothing to miniblk-io"""
    make(folder / 'a.vhd')
    process = subprocess.Popen([IO, '-f', 'vpc', folder / 'a.vhd'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
                               text=True, bufsize=1)
    process.stdin.write('write -P 7 0 64k\n')
    while ' ops;' not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGUSR1)
    process.communicate('write -P 8 64k 64k\nquit\n', 30)
    equal(process.returncode, 0, 'status')
    works(IO, '-f', 'vpc', '-c', 'read -P 7 0 64k', '-c', 'read -P 8 64k 64k', folder / 'a.vhd')


suite.main()
