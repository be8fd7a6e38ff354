# crash-kit.py - crash-kit's command line: states by their numbers, logs of others, other drivers, QEMU at work
# SPDX-License-Identifier: MIT
import os
import re

from harness import BUILD, IMG, IO, Suite, check, equal, fails, need, run, works

suite = Suite(__file__)
KIT = os.environ.get('MINIBLK_CRASH_KIT', str(BUILD / 'tests/crash/crash-kit'))


def kit(folder, *args):
    return run(KIT, *args, env={'TMPDIR': folder})


def totals(done):
    """states, states without a footer, bad ones"""
    numbers = re.search(r'^\| all .*', done.stdout, re.M).group().split('|')[4:7]
    return [int(number) for number in numbers]


def killed_totals(done):
    """recordings, entries, requests, lazy ones, states, bad states"""
    numbers = re.search(r'^\| all .*', done.stdout, re.M).group().split('|')[2:8]
    return [int(number) for number in numbers]


def make_log(folder):
    """An image, what it was, and the log of what was done to it"""
    image, start, log = folder / 'a.vhd', folder / 'start.vhd', folder / 'a.log'
    works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'block_size=4k', image, '64k')
    works('cp', image, start)
    works(IO, '-t', 'writeback', '--image-opts',
          f'driver=vpc,file.driver=blklogwrites,file.file.filename={image},file.log.filename={log}',
          '-c', 'write -P 1 9k 1k', '-c', 'flush', '-c', 'write -P 2 9k 1k')
    return log, start


@suite.fact
def number_is_state(folder):
    """a state's number gives the same file each time, another number another one"""
    texts = [kit(folder, 'state', 'dynamic/4k/random:3', number, folder / name).stdout
             for name, number in (('a', 100), ('b', 100), ('c', 101))]
    a, b, c = ((folder / name).read_bytes() for name in 'abc')
    check(a == b and texts[0] == texts[1], 'twice the same number, and two states')
    check(a != c, 'two numbers, and one state')


@suite.fact
def state_is_judged(folder):
    """the state that is written out is the one that is judged, and one that miniblk-img opens"""
    done = kit(folder, 'state', 'dynamic/4k/allocate', '50', folder / 'a.vhd')
    check(done.returncode == 0 and done.stdout.endswith('good\n'), done.stdout + done.stderr)
    works(IMG, 'info', '-f', 'vpc', folder / 'a.vhd')


@suite.fact
def beginning_of_names(folder):
    """the beginning of names runs all of them"""
    done = kit(folder, 'run', '--peers', '0', 'base')
    equal(done.returncode, 0, 'exit status')
    equal(sorted(re.findall(r'^\| (base\S+)', done.stdout, re.M)),
          ['base/child/commit', 'base/device/commit', 'base/dynamic/commit', 'base/fixed/commit',
           'base/raw/commit'], 'scenarios')


@suite.fact
def others_logs(folder):
    """of any log: how many states there are, one of them, and a command tried on each"""
    log, start = make_log(folder)
    count = int(kit(folder, 'cuts', log, start).stdout)
    check(count > 10, f'{count} states')
    kit(folder, 'cut', log, start, count - 1, folder / 'last.vhd')
    equal((folder / 'last.vhd').read_bytes(), (folder / 'a.vhd').read_bytes(), 'the last state')
    done = kit(folder, 'try', '--bits', '5', '--samples', '5', log, start, IMG, 'info', '-f', 'vpc', '{}')
    equal((done.returncode, done.stdout.split()[0]), (0, '0'), 'bad states')


@suite.fact
def bad_states_are_counted(folder):
    """a command that fails on states where the first block is there finds those, and only those"""
    log, start = make_log(folder)
    script = f'{IMG} map -f vpc --output=json "$1" | grep -q "\\"data\\": true" && exit 1; exit 0'
    done = kit(folder, 'try', '--bits', '5', '--samples', '5', log, start, 'sh', '-c', script, 'sh', '{}')
    bad, _, count = re.search(r'(\d+) (of) (\d+) states are bad', done.stdout).groups()
    equal(done.returncode, 1, 'exit status')
    check(0 < int(bad) < int(count), f'{bad} of {count}')


@suite.fact
def other_drivers(folder):
    """another driver, by its options"""
    done = kit(folder, 'run', '--bits', '8', '--samples', '40', '--create', 'driver=raw', '--open', 'driver=raw',
               '--block', '4096', 'create', 'overwrite', 'random:1')
    equal(done.returncode, 0, 'exit status')
    check(totals(done)[0] > 500 and totals(done)[2] == 0, done.stdout)


@suite.fact
def qemu_at_work(folder):
    """QEMU's driver over QEMU's log: what is flushed is there, the footer is not always"""
    need('qemu-io')
    done = kit(folder, 'run', '--qemu', '--bits', '6', '--samples', '20', 'dynamic/4k/allocate', 'fixed/overwrite')
    states, no_footer, bad = totals(done)
    equal((done.returncode, bad), (0, 0), 'bad states')
    check(0 < no_footer < states, f'{no_footer} of {states} without a footer')


@suite.fact
def qemu_and_errors(folder):
    """QEMU's driver after a write that failed loses what was flushed, and it is seen"""
    need('qemu-io')
    done = kit(folder, 'run', '--qemu', '--peers', '0', '--fail', 'write:2:5', 'dynamic/4k/retake')
    equal(done.returncode, 1, 'exit status')
    check(re.search(r'should be 0x', done.stderr), done.stderr)


@suite.fact
def our_errors(folder):
    """our driver after the same loses nothing"""
    done = kit(folder, 'run', '--peers', '0', '--fail', 'write:2:5', 'dynamic/4k/retake')
    equal((done.returncode, totals(done)[2]), (0, 0), 'bad states')


@suite.fact
def killed_process(folder):
    """what a killed process leaves: all that was answered, where nothing waits for a flush"""
    done = kit(folder, 'killed', '--peers', '0', 'raw', 'fixed/overwrite', 'child/through/allocate')
    recordings, entries, requests, lazy, states, bad = killed_totals(done)
    equal((done.returncode, bad, lazy), (0, 0, 0), 'exit status, bad states, lazy requests')
    check(0 < recordings < requests and states > entries, done.stdout)


@suite.fact
def killed_before_a_flush(folder):
    """of an image with a parent it is what was flushed, and that is said"""
    done = kit(folder, 'killed', '--peers', '0', 'child/512/allocate')
    _, _, requests, lazy, _, bad = killed_totals(done)
    equal((done.returncode, bad), (0, 0), 'exit status, bad states')
    check(0 < lazy < requests, done.stdout)


@suite.fact
def killed_qemu(folder):
    """QEMU's driver loses nothing that it answered"""
    need('qemu-io')
    done = kit(folder, 'killed', '--qemu', '--peers', '0', 'dynamic/4k/allocate', 'fixed/overwrite')
    equal((done.returncode, killed_totals(done)[3:]), (0, [0, killed_totals(done)[1] + 2, 0]), done.stdout)


@suite.fact
def killed_state(folder):
    """a state of a killed process is written out and judged: the last is the file itself"""
    done = kit(folder, 'state', '--killed', 'fixed/overwrite', '14', folder / 'a.vhd')
    check(done.returncode == 0 and 'killed after 14 events' in done.stdout, done.stdout + done.stderr)
    works(IMG, 'check', '-f', 'vpc', folder / 'a.vhd')


@suite.fact
def errors_of_some(folder):
    """errors tries the scenarios that are named, and more of them in a row if that is asked for"""
    options = ('--bits', '2', '--samples', '2', '--most', '2', '--every', '3')
    one = kit(folder, 'errors', *options, 'raw/overwrite', 'raw/zero')
    equal(one.returncode, 0, 'exit status')
    equal(re.findall(r'^\| (\w+) \| \d', one.stdout, re.M), ['overwrite', 'zero', 'all'], 'rows')
    more = kit(folder, 'errors', '--runs', '3', *options, 'raw/overwrite', 'raw/zero')
    counts = [int(re.search(r'^\| all \| (\d+)', done.stdout, re.M).group(1)) for done in (one, more)]
    check(more.returncode == 0 and counts[0] < counts[1], f'{counts}')


@suite.fact
def errors_in_a_row(folder):
    """a run of errors, torn writes among them: the name says how to have it again"""
    done = kit(folder, 'state', '--fail', 'any:3:5:4:torn', 'raw/overwrite', '0', folder / 'x')
    equal(done.returncode, 0, done.stdout + done.stderr)
    check(len(re.findall(r'op \d+: other', done.stdout)) == 4, done.stdout)
    done = kit(folder, 'state', '--fail', 'write:3:5:4', 'raw/overwrite', '0', folder / 'x')
    check(len(re.findall(r'op \d+: other', done.stdout)) == 4, done.stdout)


@suite.fact
def wrong_words(folder):
    """what it can't do, it says"""
    log, start = make_log(folder)
    for words, message in (
            (['run', 'nosuch'], "there is no scenario 'nosuch'"),
            (['run', '--create', 'driver=raw', '--open', 'driver=raw', 'nosuch'], "'nosuch' is not one of"),
            (['run', '--create', 'driver=raw', 'random'], '--create goes with --open'),
            (['state', 'fixed/create', '1000000', folder / 'x'], 'states only'),
            (['state', 'fixed/create', 'x', folder / 'x'], "'x' is not a number"),
            (['cuts', start, start], 'this is not a log of writes'),
            (['cuts', log, folder / 'missing'], 'missing'),
            (['run', '--fail', 'write:1', 'fixed'], "'write:1' is not KIND:N:ERRNO[:stays|:TIMES]"),
            (['run', '--fail', 'write:1:5:torm', 'fixed'], "'write:1:5:torm' is not KIND"),
            (['run', '--fail', 'write:1:5:2:stays', 'fixed'], "'write:1:5:2:stays' is not KIND"),
            (['run', '--fail', 'read:1:5', 'fixed'], "'read:1:5' is not KIND"),
            (['run', '--qemu', '--fail', 'write:1:5:2', 'fixed'], "QEMU's requests fail one at a time"),
            (['errors', 'nosuch'], "there is no scenario 'nosuch'"),
            (['errors', '--fail', 'write:1:5'], "'errors' has no use for --fail"),
            (['errors', '--qemu'], "'errors' has no use for --qemu"),
            (['errors', '--runs', '7', 'raw'], "runs are of 1 to 6 errors"),
            (['table', '--length-first'], "'table' has no use for --length-first"),
            (['killed', '--fail', 'write:1:5'], "'killed' has no use for --fail"),
            (['killed', '--bits', '3'], "'killed' has no use for --bits"),
            (['list', 'fixed'], "'list' has no use for 'fixed'"),
            (['run', '--bogus', '1'], "what is '--bogus'?")):
        done = kit(folder, *words)
        equal(done.returncode, 2, f'exit status of {words}')
        check(message in done.stderr, f'{words}: {done.stderr}')
    check(not list(folder.glob('crash-kit-*')), 'folders are left behind')


suite.main()
