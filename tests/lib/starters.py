# starters.py - runs of a program that is kept loaded: see starter.c
# SPDX-License-Identifier: MIT
"""A test starts its programs thousands of times, and to load one takes longer than most of what it is then asked to
do. So each program that is named often is loaded once for a test script and forked for each run. It is the program
itself, from before its main(); what a run needs from its loader, such as another LD_PRELOAD or ASAN_OPTIONS, needs a
start of its own: may_fork() says so."""

import array
import atexit
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading

OF_LOADERS = ('LD_', 'ASAN_', 'LSAN_', 'TSAN_', 'UBSAN_', 'MALLOC_', 'GLIBC_', 'G_')
OWN_FILES = re.compile('/dev/(std|fd|tty)|/proc/self')     # what these are depends on how it was started
MOST = 100000                   # bytes of a request


class Starter:
    """A program that waits to be forked"""

    def __init__(self, program, library, env):
        self.folder = tempfile.mkdtemp(prefix='miniblk-')
        self.socket = os.path.join(self.folder, 'socket')
        own = {'LD_PRELOAD': str(library), 'MINIBLK_STARTER': self.socket,
               'ASAN_OPTIONS': env.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**env, **own})
        atexit.register(self.end)
        if self.process.stdout.readline() != b'ready\n':
            raise RuntimeError(f'{program} does not start with {library}')

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self.folder)

    def run(self, command, cwd, env, stdin, timeout):
        """As subprocess.run() does it, with the output in bytes"""
        words = [cwd or os.getcwd(), str(len(command)), *command, *(f'{name}={value}' for name, value in env.items())]
        request = b''.join(os.fsencode(word) + b'\0' for word in words)
        files = [os.memfd_create(name) for name in ('stdout', 'stderr')]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.settimeout(timeout)
                connection.connect(self.socket)
                fds = array.array('i', [stdin, *files])
                connection.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                answer = connection.recv(4)
            code = os.waitstatus_to_exitcode(int.from_bytes(answer, 'little', signed=True))
            return subprocess.CompletedProcess(command, code, *(contents_of(fd) for fd in files))
        except TimeoutError:
            raise subprocess.TimeoutExpired(command, timeout) from None
        finally:
            for fd in files:
                os.close(fd)


def contents_of(fd):
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0) if size else b''


@functools.cache
def real_path(program):
    return os.path.realpath(shutil.which(program) or '')


class Starters:
    """Of @programs, each is loaded when it is first wanted"""

    def __init__(self, library, programs):
        self.library = library
        self.programs = {os.path.realpath(program) for program in programs if program} if library.exists() else set()
        self.loaded, self.lock = {}, threading.Lock()
        self.null = os.open(os.devnull, os.O_RDWR)

    def may_fork(self, command, more_env, more):
        """Can starter.c do this run? @more: other arguments for subprocess.run()"""
        return (real_path(command[0]) in self.programs and set(more) <= {'cwd'}
                and not any(name.startswith(OF_LOADERS) for name in more_env or ())
                and sum(len(word) for word in command) < MOST and not any(OWN_FILES.search(word) for word in command))

    def run(self, command, env, stdin, timeout, cwd=None):
        program = real_path(command[0])
        with self.lock:
            if program not in self.loaded:
                self.loaded[program] = Starter(program, self.library, env)
        fd = self.null if stdin == subprocess.DEVNULL else stdin if isinstance(stdin, int) else stdin.fileno()
        return self.loaded[program].run(command, cwd and os.fspath(cwd), env, fd, timeout)
