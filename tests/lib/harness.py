# harness.py - TAP, the programs under test, and folders for their files
# SPDX-License-Identifier: MIT
"""Set MINIBLK_BUILD to a build folder. MINIBLK_IMG, MINIBLK_IO and MINIBLK_POKE name programs that are
elsewhere. Arguments are names of tests, to run only these."""

import ctypes
import functools
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback

from starters import Starters

TIMEOUT = 120                   # seconds; nothing here takes ten
SCRATCH = os.environ.get('TMPDIR') or ('/dev/shm' if os.access('/dev/shm', os.W_OK) else None)
BUILD = pathlib.Path(os.environ.get('MINIBLK_BUILD', 'build')).resolve()
IMG = os.environ.get('MINIBLK_IMG', str(BUILD / 'tools/miniblk-img'))
IO = os.environ.get('MINIBLK_IO', str(BUILD / 'tools/miniblk-io'))
POKE = os.environ.get('MINIBLK_POKE', str(BUILD / 'tests/lib/poke'))
STARTERS = Starters(BUILD / 'tests/lib/libstarter.so', [IMG, IO, POKE, str(BUILD / 'tests/lib/mend'),
                                                            shutil.which('qemu-img'), shutil.which('qemu-io')])


def keep_memory():
    """Makes malloc() keep what it has from the system: disks are many MiB, and the page faults of new memory take longer
    than to fill it or to compare it"""
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)       # there is none in musl
    if mallopt:
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 1 << 30)


keep_memory()


class Failure(Exception):
    """What was wrong; the test's name says where"""


class Skip(Exception):
    """Why a test was not run"""


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(found, expected, what):
    if found != expected:
        raise Failure(f'{what}: {short(found)}, should be {short(expected)}')


def short(value):
    text = repr(value)
    return text if len(text) < 2000 else text[:2000] + '…'


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Failure(f'{program} is not installed')


@functools.cache
def is_sanitized():
    program = pathlib.Path(POKE).read_bytes()
    return b'__asan_init' in program or b'__tsan_init' in program


def without_leak_check():
    """Environment of a program that is traced: LeakSanitizer does not work there"""
    return {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'}


def environment(extra=None):
    env = {name: value for name, value in os.environ.items() if name != 'SOURCE_DATE_EPOCH'}
    return {**env, 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC', **(extra or {})}


def as_text(output):
    """As subprocess does it, line ends included"""
    return output.decode('utf-8', 'replace').replace('\r\n', '\n').replace('\r', '\n')


def start(command, timeout, env=None, stdin=subprocess.DEVNULL, **more):
    """As subprocess.run() does it, or starter.c; with the output in bytes. It goes through files: subprocess takes a
    pipe in small pieces, which is slow where the output is a disk"""
    if STARTERS.may_fork(command, env, more):
        return STARTERS.run(command, environment(env), stdin, timeout, **more)
    with tempfile.TemporaryFile(buffering=0, dir=SCRATCH) as out, tempfile.TemporaryFile(buffering=0, dir=SCRATCH) as err:
        done = subprocess.run(command, stdout=out, stderr=err, timeout=timeout, stdin=stdin, env=environment(env),
                              **more)
        done.stdout, done.stderr = (os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) for file in (out, err))
    return done


def run(*command, env=None, binary=False, **more):
    """The finished process; a Failure if it took too long or was killed by a signal"""
    command = [str(word) for word in command]
    try:
        done = start(command, TIMEOUT, env, **more)
    except subprocess.TimeoutExpired:
        raise Failure(f'hangs: {shlex.join(command)}') from None
    if not binary:
        done.stdout, done.stderr = as_text(done.stdout), as_text(done.stderr)
    if done.returncode < 0 or 'Sanitizer' in str(done.stderr) or 'runtime error' in str(done.stderr):
        raise Failure(f'ended with {done.returncode}: {shlex.join(command)}\n{done.stderr}')
    return done


def as_nobody(folder):
    """Of our programs, copies that nobody can run; and how to be nobody"""
    for name in ('tools/miniblk-img', 'tools/miniblk-io', 'block/libminiblk.so.0'):
        if (BUILD / name).exists():     # a static build has no libminiblk.so.0
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(BUILD / name, folder / name)
    folder.chmod(0o755)
    return folder / 'tools/miniblk-img', folder / 'tools/miniblk-io', (
        {'user': 65534, 'group': 65534, 'extra_groups': []} if os.geteuid() == 0 else {})


def works(*command, **more):
    """Standard output of a command that must not fail"""
    done = run(*command, **more)
    check(done.returncode == 0, f'{shlex.join(str(c) for c in command)} exits with {done.returncode}\n'
          f'{done.stdout if not more.get("binary") else ""}{done.stderr}')
    return done.stdout


def fails(*command, **more):
    """Standard error of a command that must fail"""
    done = run(*command, **more)
    check(done.returncode == 1,
          f'{shlex.join(str(c) for c in command)} exits with {done.returncode}, should be 1')
    return done.stderr


def info(image, *options, env=None):
    """What miniblk-img says of an image"""
    return json.loads(works(IMG, 'info', '--output=json', *options, image, env=env))


def facts(image, *options):
    """The driver's own facts of a VHD"""
    return info(image, '-f', 'vpc', *options)['format-specific']['data']


class Poked:
    """What poke.c said: @error and @errno, or @size and the rest. @runs: of each scan, bytes and value;
    @rets: of each command"""

    def __init__(self, lines):
        self.error = self.errno = self.size = self.driver = self.close = self.status = None
        self.runs, self.rets, self.warnings, self.again = [], [], [], []
        self.strays = self.peak = 0
        for line in lines:
            self._take(json.loads(line))

    def _take(self, fact):
        if ('error' in fact or 'driver' in fact) and (self.error or self.driver):
            self.again.append(fact)
        elif 'command' in fact:
            self.rets.append(fact['ret'])
        elif 'runs' in fact:
            self.runs.append([tuple(r) for r in fact['runs']] + ([('more',)] if fact['more'] else []))
        else:
            for name, value in fact.items():
                if name != 'held':
                    setattr(self, name, value)


def poke(image, *commands, flags='', options='driver=vpc'):
    words = [POKE, *(['-' + flags] if flags else []), *(['-o', options] if options else []), image, *commands]
    done = run(*words)
    text = f'{shlex.join(str(w) for w in words)}\n{done.stdout}{done.stderr}'
    check(done.returncode == 0 and not done.stderr, f'exit status {done.returncode}: {text}')
    poked = Poked(done.stdout.splitlines())
    check(not poked.strays, f'{poked.strays} accesses outside of the file: {text}')
    return poked


class Holder:
    """A process that keeps an image open until its standard input ends. It is told @say, and ready when it
    says @sign"""

    def __init__(self, command, say, sign):
        self.command = shlex.join(str(word) for word in command)
        self.seen = ''
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=environment())
        self.tell(say, sign)

    def tell(self, say, sign):
        """The line with @sign"""
        late = threading.Timer(TIMEOUT, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(say)
            self.process.stdin.flush()
            for line in self.process.stdout:
                self.seen += line
                if sign in line:
                    return line
        finally:
            late.cancel()
        raise Failure(f'the holder never said "{sign}": {self.command}\n{self.seen}')

    def crash(self):
        self.process.kill()
        self.process.wait(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.read()
        self.process.wait(TIMEOUT)


# One case in so many is tried, and at least five of a suite: tests/meson.build sets this for a sample, and where a
# sanitizer looks at paths through the code. 1: all
SHARE = int(os.environ.get('MINIBLK_TEST_SHARE', '1'))


class Suite:
    def __init__(self, script):
        self.script = pathlib.Path(script).resolve()
        self.tests, self.names = [], set()

    def test(self, name, function, *args):
        """@function gets an empty folder of its own, and @args"""
        assert name not in self.names, f'two tests "{name}"'
        self.names.add(name)
        self.tests.append((name, function, args))

    def fact(self, function):
        """A decorator: the name of the test is the function's docstring"""
        self.test(function.__doc__, function)
        return function

    def _run_one(self, number, name, function, args):
        try:
            with tempfile.TemporaryDirectory(prefix='miniblk-', dir=SCRATCH) as folder:
                function(pathlib.Path(folder), *args)
        except Skip as why:
            print(f'ok {number} - {name} # SKIP {why}', flush=True)
            return True
        except Failure as failure:
            text = str(failure)
        except Exception:           # a wrong test shall not hide the others
            text = traceback.format_exc()
        else:
            print(f'ok {number} - {name}', flush=True)
            return True
        again = (f'PYTHONPATH={shlex.quote(os.path.dirname(__file__))} MINIBLK_BUILD={shlex.quote(str(BUILD))} '
                 f'{sys.executable} {self.script} {shlex.quote(name)}')
        print(f'not ok {number} - {name}')
        for line in [*text.splitlines(), 'again: ' + again]:
            print('# ' + line)
        sys.stdout.flush()
        return False

    def main(self):
        wanted = sys.argv[1:]
        unknown = set(wanted) - {name for name, _, _ in self.tests}
        if unknown:
            sys.exit(f'no such test: {", ".join(sorted(unknown))}')
        tests = [t for t in self.tests if not wanted or t[0] in wanted]
        share = 1 if wanted else max(1, min(SHARE, len(tests) // 5))
        print(f'1..{len(tests)}')
        results = []
        for number, test in enumerate(tests, 1):
            if number % share:
                print(f'ok {number} - {test[0]} # SKIP one case in {share} is tried here', flush=True)
            else:
                results.append(self._run_one(number, *test))
        sys.exit(0 if all(results) else 1)
