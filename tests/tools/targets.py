# targets.py - an output is there as a whole or not at all: conversions that end too early
# SPDX-License-Identifier: MIT
import os
import re
import signal
import subprocess
import time

from harness import IMG, IO, Failure, Holder, Skip, Suite, check, environment, equal, fails, need, run, without_leak_check, works
from vhd import MIB

suite = Suite(__file__)

OUTPUTS = {'raw': ['-O', 'raw'], 'dynamic': ['-O', 'vpc', '-o', 'force_size=on'],
           'fixed': ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on']}
OLD = b'what was there before' * 1000


def make_source(folder):
    (folder / 'a.raw').write_bytes((bytes(range(1, 256)) * (4 * MIB // 255 + 1))[:4 * MIB])
    return folder / 'a.raw'


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != 'a.raw')


def take_signals():
    """Whoever started us with nohup ignores one, and so would the program"""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)


def start(folder, words, name='out', rate='64k'):
    """A conversion of 4 MiB at this rate a second, when it has begun to write"""
    process = subprocess.Popen([IMG, 'convert', '-q', '-r', rate, '-f', 'raw', *words, make_source(folder), folder / name],
                               env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               preexec_fn=take_signals)
    for _ in range(500):
        if any('.part-' in one for one in files(folder)):
            time.sleep(0.1)
            return process
        time.sleep(0.01)
    process.kill()
    raise Failure('nothing is made')


def test_ended(folder, output, number, there):
    """Nothing is left of it, and what was there is"""
    if there:
        (folder / 'out').write_bytes(OLD)
    process = start(folder, OUTPUTS[output])
    process.send_signal(number)
    equal(process.wait(20), -number, 'status')
    if number != signal.SIGKILL:
        equal(files(folder), ['out'] if there else [], 'files')
    if there:
        equal((folder / 'out').read_bytes() == OLD, True, 'contents')
    for name in files(folder):
        check(name == 'out' or name == f'out.part-{process.pid}', name)
    check(there or not (folder / 'out').exists(), 'there is an output')


for output in OUTPUTS:
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL:
        for there in False, True:
            suite.test(f'{output}, {number.name}, {"over a file" if there else "a new file"}', test_ended, output, number,
                       there)


@suite.fact
def nohup(folder):
    """a signal that was ignored when it began is ignored"""
    process = subprocess.Popen(['nohup', IMG, 'convert', '-q', '-r', '4M', '-f', 'raw', '-O', 'raw', make_source(folder),
                                folder / 'out'], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not files(folder) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    equal(process.wait(30), 0, 'status')
    equal((folder / 'out').read_bytes() == (folder / 'a.raw').read_bytes(), True, 'contents')


def test_failed(folder, output, there):
    """The input can't be read to its end"""
    if there:
        (folder / 'out').write_bytes(OLD)
    source = (f'driver=raw,file.driver=blkdebug,file.image.filename={make_source(folder)},file.inject-error.0.event=none,'
              'file.inject-error.0.iotype=read,file.inject-error.0.errno=5,file.inject-error.0.sector=5000')
    fails(IMG, 'convert', *OUTPUTS[output], '--image-opts', source, folder / 'out')
    equal(files(folder), ['out'] if there else [], 'files')
    equal(not there or (folder / 'out').read_bytes() == OLD, True, 'contents')


for output in OUTPUTS:
    for there in False, True:
        suite.test(f'{output}, the input fails, {"over a file" if there else "a new file"}', test_failed, output, there)


@suite.fact
def mode_and_link(folder):
    """the output keeps mode and owner of what was there, and a symbolic link to it stays one"""
    (folder / 'real').write_bytes(OLD)
    (folder / 'real').chmod(0o640)
    if os.geteuid() == 0:
        os.chown(folder / 'real', 12345, 23456)
    owner = (folder / 'real').stat().st_uid, (folder / 'real').stat().st_gid
    (folder / 'out').symlink_to('real')
    works(IMG, 'convert', '-f', 'raw', '-O', 'raw', make_source(folder), folder / 'out')
    equal(((folder / 'out').is_symlink(), (folder / 'real').stat().st_mode & 0o777), (True, 0o640), 'link and mode')
    equal(((folder / 'real').stat().st_uid, (folder / 'real').stat().st_gid), owner, 'owner')
    equal((folder / 'real').read_bytes() == (folder / 'a.raw').read_bytes(), True, 'contents')


@suite.fact
def durable(folder):
    """what replaces a file is on stable storage before the file is given up; a new one may be lost with its name"""
    need('strace')
    for there in True, False:
        if there:
            (folder / 'out').write_bytes(OLD)
        else:
            (folder / 'out').unlink()
        works('strace', '-f', '-o', folder / 'calls', '-e', 'trace=fsync,fdatasync,rename,renameat2', IMG, 'convert', '-f', 'raw', '-O',
              'raw', make_source(folder), folder / 'out', env=without_leak_check())
        calls = re.findall(r'\b(fsync|fdatasync|rename)(?:at2)?\(', (folder / 'calls').read_text())
        equal(calls[:calls.index('rename') + 1], ['fsync', 'rename'] if there else ['rename'], f'calls, {there}')


@suite.fact
def leftovers(folder):
    """what a program that was killed has left, and had the same number, is not touched, and turns no protection off"""
    (folder / 'out').write_bytes(OLD)
    before = {}
    for n in range(2):
        run('unshare', '-p', '-f', 'bash', '-c', f"'{IMG}' convert -q -r 1M -f raw -O raw '{make_source(folder)}' '{folder}/out' & "
            f"until [ $(ls '{folder}' | grep -c part-) -gt {n} ]; do sleep 0.05; done; kill -9 $!; wait")
        equal((folder / 'out').read_bytes() == OLD, True, 'contents')
        check(all((folder / name).read_bytes() == data for name, data in before.items()), 'a leftover was changed')
        before = {name: (folder / name).read_bytes() for name in files(folder)}
    equal(len(before), 3, before.keys())


@suite.fact
def long_name(folder):
    """a name of 255 bytes is replaced as others are"""
    name = 'n' * 255
    (folder / name).write_bytes(OLD)
    process = start(folder, OUTPUTS['raw'], name)
    process.kill()
    process.wait()
    equal((folder / name).read_bytes() == OLD, True, 'contents')


@suite.fact
def another_file(folder):
    """a file that has come to have the name meanwhile is not replaced; what is being made is for its owner's eyes"""
    for there in False, True:
        if there:
            (folder / 'out').write_bytes(OLD)
            (folder / 'out').chmod(0o600)
        process = start(folder, ['-O', 'raw'], rate='1M')
        part = folder / f'out.part-{process.pid}'
        check(not there or part.stat().st_mode & 0o077 == 0, 'others may read it')
        (folder / 'new').write_bytes(b'new')
        (folder / 'new').rename(folder / 'out')
        equal(process.wait(60), 1, 'status')
        check('is another file than when this began' in process.stderr.read().decode(), 'message')
        equal((files(folder), (folder / 'out').read_bytes()), (['out'], b'new'), 'files')
        (folder / 'out').unlink()


@suite.fact
def closed(folder):
    """with standard output or error closed no image gets their number, and no message is written into it"""
    for end, words in ((1, f"'{IO}' -f raw -c 'write -P 1 4k 512' x"), (2, f"'{IMG}' resize -f raw --shrink x 1000"),
                       (0, f"'{IO}' -f raw -c 'write -P 1 4k 512' x")):
        (folder / 'x').write_bytes(bytes(MIB))
        works('sh', '-c', f'{words} {end}>&-', cwd=folder)
        equal((folder / 'x').read_bytes()[:512] == bytes(512), True, f'{end} closed: the first sector')


@suite.fact
def hard_link(folder):
    """a file that has other names is written in its place"""
    (folder / 'out').write_bytes(OLD)
    (folder / 'other').hardlink_to(folder / 'out')
    works(IMG, 'convert', '-f', 'raw', '-O', 'raw', make_source(folder), folder / 'out')
    equal((folder / 'other').read_bytes() == (folder / 'a.raw').read_bytes(), True, 'contents by the other name')


@suite.fact
def in_use(folder):
    """an output that somebody writes to is refused, and left alone"""
    make_source(folder)
    works(IMG, 'create', '-q', '-f', 'raw', folder / 'out', '1M')
    with Holder([IO, '-f', 'raw', folder / 'out'], 'write -P 1 0 4k\n', ' ops;'):
        text = fails(IMG, 'convert', '-f', 'raw', '-O', 'raw', folder / 'a.raw', folder / 'out')
        check('lock' in text, text)
    equal((folder / 'out').stat().st_size, MIB, 'size')


@suite.fact
def messages(folder):
    """say the name that was given, not the one that is made first"""
    text = fails(IMG, 'convert', '-f', 'raw', '-O', 'vpc', '-o', 'block_size=3', make_source(folder), folder / 'out')
    check('.part-' not in text and 'out' in text, text)


def test_dd(folder, number):
    (folder / 'out').write_bytes(OLD)
    process = subprocess.Popen([IMG, 'dd', '-f', 'raw', '-O', 'raw', 'bs=512', f'if={make_source(folder)}',
                                f'of={folder / "out"}'], env=environment(), stderr=subprocess.DEVNULL,
                               preexec_fn=take_signals)
    process.send_signal(number)
    status = process.wait(30)
    now = (folder / 'out').read_bytes()
    check(now == OLD or (status == 0 and now == (folder / 'a.raw').read_bytes()), f'a part of it is there: {len(now)}')


for number in signal.SIGINT, signal.SIGKILL:
    suite.test(f'dd, {number.name}', test_dd, number)


def mounted(folder, script):
    """What a shell script does that may mount; its folder is $1"""
    need('unshare', 'mount')
    done = run('unshare', '-m', 'sh', '-c', f'set -e; img="$2"; cd "$1"; {script}', 'sh', folder, IMG)
    if done.returncode == 77:
        raise Skip('nothing can be mounted here')
    return done


@suite.fact
def no_space(folder):
    """a file that a new image was to go over is what it was if there is no space for that"""
    for words in ('-f raw -o preallocation=full', '-f raw -o preallocation=falloc', '-f vpc -o block_size=512,force_size=on'):
        done = mounted(folder, 'mkdir -p m; mount -t tmpfs -o size=1m none m || exit 77; echo old > m/out; cp m/out m/other; '
                       f'"$img" create -q {words} m/out 1G && exit 3; ls m; cmp m/out m/other')
        equal((done.returncode, done.stdout), (0, 'other\nout\n'), f'{words}: {done.stderr}')
        check('m/out: could not ' in done.stderr and '.part-' not in done.stderr, done.stderr)


@suite.fact
def no_space_to_grow(folder):
    """a preallocation that fails is taken back: a disk that was to be longer is as long as it was, and whole"""
    for make in ('-f raw m/out 64k', '-f vpc -o subformat=fixed,force_size=on m/out 64k'):
        words = make.split()
        done = mounted(folder, f'mkdir -p m; mount -t tmpfs -o size=1m none m || exit 77; "$img" create -q {make}; '
                       f'before=$(sha1sum m/out); "$img" resize -q -f {words[1]} --preallocation=full m/out 8M && exit 3; '
                       'test "$before" = "$(sha1sum m/out)"')
        equal(done.returncode, 0, f'{make}: {done.stderr}')


@suite.fact
def created(folder):
    """create over a file keeps mode and links, and leaves nothing else; an image that the new one needs is refused"""
    (folder / 'out').write_bytes(OLD)
    (folder / 'out').chmod(0o640)
    (folder / 'link').symlink_to('out')
    works(IMG, 'create', '-q', '-f', 'vpc', folder / 'link', '1M')
    equal(((folder / 'link').is_symlink(), (folder / 'out').stat().st_mode & 0o777), (True, 0o640), 'link and mode')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'out', folder / 'child')
    before = (folder / 'out').read_bytes()
    text = fails(IMG, 'create', '-q', '-f', 'vpc', '-b', 'child', folder / 'out')
    check('would be written over it, or over an image that it needs' in text, text)
    equal((files(folder), (folder / 'out').read_bytes() == before), (['child', 'link', 'out'], True), 'files')


@suite.fact
def dangling(folder):
    """a link to nothing: the file is made that it leads to, and not if the copy fails"""
    (folder / 'sub').mkdir()
    (folder / 'sub/link').symlink_to('../next')
    (folder / 'next').symlink_to(folder / 'real')
    source = make_source(folder)
    for words in (['convert', '-f', 'raw', '-O', 'raw', source, folder / 'sub/link'],
                  ['dd', '-f', 'raw', '-O', 'raw', f'if={source}', f'of={folder}/sub/link']):
        works(IMG, *words)
        equal((folder / 'real').read_bytes() == source.read_bytes(), True, 'contents')
        (folder / 'real').unlink()
    works(IMG, 'create', '-q', '-f', 'raw', folder / 'next', '1M')
    equal((folder / 'real').stat().st_size, MIB, 'length')
    (folder / 'real').unlink()
    fails(IMG, 'convert', '--image-opts', f'driver=raw,file.filename={source},offset=1M,size=512M', folder / 'next')
    equal(files(folder), ['next', 'sub'], 'files')
    (folder / 'loop').symlink_to('loop')
    check('symbolic links' in fails(IMG, 'convert', '-f', 'raw', '-O', 'raw', source, folder / 'loop'), 'a loop')


@suite.fact
def mounted_file(folder):
    """a file that is mounted by itself is written in its place"""
    (folder / 'out').write_bytes(OLD)
    (folder / 'point').touch()
    make_source(folder)
    done = mounted(folder, 'mount --bind out point || exit 77; "$img" convert -f raw -O raw a.raw point; '
                   '"$img" convert -f raw -O raw out point && exit 3; cmp out a.raw')
    equal(done.returncode, 0, done.stderr)
    check("'point' is both input and output" in done.stderr, done.stderr)
    equal(files(folder), ['out', 'point'], 'files')


suite.main()
