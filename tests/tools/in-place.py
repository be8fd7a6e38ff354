# in-place.py - outputs that nothing can be made beside: devices, exports, files with several names
# SPDX-License-Identifier: MIT
import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import time

from harness import IMG, IO, Skip, Suite, check, environment, equal, fails, info, need, run, works
from nbd_server import Nbdkit, uri
from vhd import MIB

suite = Suite(__file__)

SIZE = 16 * MIB             # of the media; the disk has 4 MiB
DATA = (bytes(range(1, 256)) * (4 * MIB // 255 + 1))[:4 * MIB]
VHDS = {'dynamic': 'force_size=on', 'fixed': 'subformat=fixed,force_size=on'}


def make_source(folder):
    (folder / 'a.raw').write_bytes(DATA)
    return folder / 'a.raw'


@contextlib.contextmanager
def loop_device(path, *options):
    need('losetup')
    done = run('losetup', '--find', '--show', *options, path)
    if done.returncode != 0:
        raise Skip(f'no loop devices here: {done.stderr}')
    try:
        yield pathlib.Path(done.stdout.strip())
    finally:
        run('losetup', '--detach', done.stdout.strip())


@contextlib.contextmanager
def device(folder):
    (folder / 'medium').touch()
    os.truncate(folder / 'medium', SIZE)
    with loop_device(folder / 'medium') as path:
        yield path


@contextlib.contextmanager
def export(folder):
    with Nbdkit(folder, 'memory', f'size={SIZE}') as kit:
        yield uri(kit)


@contextlib.contextmanager
def several_names(folder):
    (folder / 'out').write_bytes(b'old')
    (folder / 'other').hardlink_to(folder / 'out')
    yield folder / 'out'


PLACES = {'a device': device, 'an export': export, 'a file with two names': several_names}


def take_signals():
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)


def interrupt(folder, place, number, words):
    """What a conversion says that is ended when it has written a part"""
    process = subprocess.Popen([IMG, 'convert', '-q', '-r', '1M', '-f', 'raw', *words, make_source(folder), place],
                               env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=take_signals)
    time.sleep(1.5)
    process.send_signal(number)
    equal(process.wait(20), -number, 'status')
    return process.stderr.read().decode()


def is_no_vhd(place, name):
    """Nobody opens it as the image that it was to be; a file with names is empty or marked"""
    if name == 'a file with two names' and pathlib.Path(place).stat().st_size == 0:
        return
    for words in (['-f', 'vpc'], []):
        check('marked as unfinished' in fails(IMG, 'info', *words, place), f'{words}')
    done = run(IMG, 'check', '-f', 'vpc', place)
    check(done.returncode == 2 and 'corruption U: marked as unfinished' in done.stdout, done.stdout)
    equal(run(IMG, 'check', '-r', 'all', '-f', 'vpc', place).returncode, 2, 'nothing is repaired')
    check('marked as unfinished' in fails(IMG, 'info', '-f', 'vpc', place), 'repaired')


def test_ended(folder, name, subformat, number):
    """An older image is there, and the new one is refused by name where it is only a part"""
    with PLACES[name](folder) as place:
        works(IMG, 'create', '-q', '-f', 'vpc', '-o', f'subformat=fixed,force_size=on', place, SIZE - 512)
        text = interrupt(folder, place, number, ['-O', 'vpc', '-o', VHDS[subformat]])
        is_no_vhd(place, name)
        if number == signal.SIGTERM:
            check('is empty now' in text if name == 'a file with two names' else 'is marked as unfinished' in text, text)
        works(IMG, 'convert', '-q', '-f', 'raw', '-O', 'vpc', '-o', VHDS[subformat], folder / 'a.raw', place)
        works(IMG, 'compare', '-f', 'raw', '-F', 'vpc', folder / 'a.raw', place)
        text = run(IMG, 'check', '-f', 'vpc', place).stdout
        check('No errors were found' in text and 'corruption' not in text, text)


for name in PLACES:
    for subformat in VHDS:
        for number in signal.SIGTERM, signal.SIGKILL:
            suite.test(f'{name}, {subformat}, {number.name}', test_ended, name, subformat, number)


def broken(folder):
    return (f'driver=raw,file.driver=blkdebug,file.image.filename={make_source(folder)},file.inject-error.0.event=none,'
            'file.inject-error.0.iotype=read,file.inject-error.0.errno=5,file.inject-error.0.sector=5000')


def test_failed(folder, name, words):
    """The input can't be read to its end: a message says what is left"""
    with PLACES[name](folder) as place:
        text = fails(IMG, 'convert', '-q', *words, '--image-opts', broken(folder), place)
        if name == 'a file with two names':
            check('is empty now' in text, text)
            equal((folder / 'other').stat().st_size, 0, 'length')
        elif 'raw' in words:
            check('has a part of the new image only, and nothing in it says so' in text, text)
        else:
            check('is marked as unfinished' in text, text)
            is_no_vhd(place, name)


for name in PLACES:
    for subformat, options in VHDS.items():
        suite.test(f'{name}, {subformat}, the input fails', test_failed, name, ['-O', 'vpc', '-o', options])
    suite.test(f'{name}, raw, the input fails', test_failed, name, ['-O', 'raw'])


@suite.fact
def raw_ended(folder):
    """a raw disk on a device: who is interrupted says that it has a part; a file with two names is empty"""
    with device(folder) as place:
        check('nothing in it says so' in interrupt(folder, place, signal.SIGTERM, ['-O', 'raw']), 'a device')
    with several_names(folder) as place:
        check('is empty now' in interrupt(folder, place, signal.SIGTERM, ['-O', 'raw']), 'a file')
        equal(place.stat().st_size, 0, 'length')


@suite.fact
def dd(folder):
    """dd marks its output as convert does"""
    with device(folder) as place:
        (folder / 'a.raw').write_bytes(DATA)
        text = fails(IMG, 'dd', '-O', 'vpc', '--image-opts', f'if={broken(folder)}', f'of={place}')
        check('is marked as unfinished' in text, text)
        is_no_vhd(place, 'a device')
        works(IMG, 'dd', '-f', 'raw', '-O', 'vpc', f'if={folder}/a.raw', f'of={place}')
        equal(info(place, '-f', 'vpc')['virtual-size'], 4 * MIB, 'size')


@suite.fact
def limit(folder):
    """a file that can't grow any more: it is empty, and that is said; one that could not be made either"""
    def set_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, 2 * MIB))

    for words in (['-o', VHDS['dynamic']], ['-o', VHDS['fixed']]):
        with several_names(folder) as place:
            done = run(IMG, 'convert', '-f', 'raw', '-O', 'vpc', *words, make_source(folder), place, preexec_fn=set_limit)
            equal(done.returncode, 1, 'status')
            if place.stat().st_size == 0:
                check('is empty now' in done.stderr, done.stderr)
            else:
                equal(place.read_bytes(), b'old', 'contents')
        (folder / 'out').unlink()
        (folder / 'other').unlink()


@suite.fact
def by_hand(folder):
    """who knows that the image is whole opens it with unfinished=on, and takes the mark away"""
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'force_size=on,unfinished=on', folder / 'a.vhd', '8M')
    check('marked as unfinished' in fails(IO, '-f', 'vpc', '-c', 'read 0 512', folder / 'a.vhd'), 'message')
    opened = f'driver=vpc,unfinished=on,file.filename={folder}/a.vhd'
    works(IO, '--image-opts', '-c', 'write -P 7 0 3M', opened)
    check('marked as unfinished' in fails(IO, '-f', 'vpc', '-c', 'read 0 512', folder / 'a.vhd'), 'after a write')
    text = run(IO, '-r', '--image-opts', '-c', 'read -P 7 0 3M', f'driver=vpc,salvage=on,file.filename={folder}/a.vhd')
    check('failed' not in text.stdout and 'marked as unfinished' in text.stderr, text)
    works(IMG, 'amend', '--image-opts', '-o', 'unfinished=off', opened)
    works(IO, '-f', 'vpc', '-c', 'read -P 7 0 3M', folder / 'a.vhd')
    check('No errors' in works(IMG, 'check', '-f', 'vpc', folder / 'a.vhd'), 'check')


def test_stale(folder, name, subformat):
    """What is left of an older image is not taken for the new disk"""
    with PLACES[name](folder) as place:
        works(IMG, 'create', '-q', '-f', 'vpc', '-o', VHDS[subformat], place, SIZE - 512 if subformat == 'fixed' else '12M')
        if subformat == 'fixed':
            text = run(IMG, 'create', '-q', '-f', 'raw', place, '1M').stderr
            check('is taken for one where no format is named' in text, text)
            equal(info(place)['format'], 'vpc', 'nothing was written by create')
        done = run(IMG, 'convert', '-f', 'raw', '-O', 'raw', make_source(folder), place)
        equal((done.returncode, 'end of an older image (vpc), and is zeroed' in done.stderr), (0, subformat == 'fixed'), done.stderr)
        equal(info(place)['format'], 'raw', 'format')
        works(IO, '-r', '-f', 'raw', '-c', f'read -P 0 {SIZE - 512} 512', place)
        equal(run(IMG, 'convert', '-f', 'raw', '-O', 'raw', folder / 'a.raw', place).stderr, '', 'once more')
        works(IO, '-f', 'raw', '-c', f'write -P 9 {SIZE - MIB} 1M', place)
        works(IMG, 'dd', '-f', 'raw', '-O', 'raw', f'if={folder}/a.raw', f'of={place}')
        text = works(IO, '-r', '-f', 'raw', '-c', f'read -P 9 {SIZE - MIB} 1M', place)
        check('failed' not in text, 'what is no image was touched')


for name in 'a device', 'an export':
    for subformat in VHDS:
        suite.test(f'{name}, raw over {subformat}', test_stale, name, subformat)


@suite.fact
def same(folder):
    """an output that is the input, or its parent, by another name is refused: links, a loop device, a file behind one"""
    works(IMG, 'create', '-q', '-f', 'vpc', folder / 'base.vhd', '8M')
    works(IO, '-f', 'vpc', '-c', 'write -P 7 0 3M', folder / 'base.vhd')
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'base.vhd', folder / 'a.vhd')
    for name in 'a', 'base':
        (folder / f'{name}.hard').hardlink_to(folder / f'{name}.vhd')
        (folder / f'{name}.soft').symlink_to(f'{name}.hard')
    before = [(folder / name).read_bytes() for name in ('a.vhd', 'base.vhd')]
    for name in 'a', 'base':
        with loop_device(folder / f'{name}.vhd') as place:
            for output in folder / f'{name}.hard', folder / f'{name}.soft', place:
                for words in (['convert', '-f', 'vpc', '-O', 'vpc', folder / 'a.vhd', output],
                              ['dd', '-f', 'vpc', '-O', 'raw', f'if={folder}/a.vhd', f'of={output}']):
                    text = fails(IMG, *words)
                    check('both input and output' in text, f'{words}: {text}')
            if name == 'base':
                text = fails(IMG, 'convert', '-f', 'vpc', '-O', 'raw', place, folder / 'base.soft')
                check('both input and output' in text, text)
    equal([(folder / name).read_bytes() for name in ('a.vhd', 'base.vhd')] == before, True, 'contents')


suite.main()
