# nbd_server.py - NBD servers: nbdkit, and one that lies, stops or dies when it is told to
# SPDX-License-Identifier: MIT
"""One thread a connection; the disk is a bytearray. @old: the handshake without options and structured replies.
@lie(server, kind, offset, length) is asked before each request, from the second on if the first is to be good. It
returns None for the truth, DIE to close the connection, MUTE never to answer, bytes to send as they are, a pair of such
bytes and DIE, or for a block status a list of (length, flags)."""

import pathlib
import socket
import struct
import subprocess
import threading
import time

from harness import Failure, Skip, need

READ, WRITE, DISC, FLUSH, TRIM, _, ZERO, STATUS = range(8)
DIE, MUTE = object(), object()
FLAGS = 0x1 | 0x4 | 0x20 | 0x40     # flush, trim, zeroes
OPT_GO, OPT_STRUCTURED, OPT_SET_META = 7, 8, 10
ACK, INFO, META, UNSUPPORTED = 1, 3, 4, 0x80000001


class Server:
    def __init__(self, folder, size=1 << 20, old=False, lie=None, block_sizes=None, flags=FLAGS, name='nbd.sock'):
        self.path = pathlib.Path(folder) / name
        self.disk = bytearray(size)
        self.size, self.old, self.lie, self.block_sizes, self.flags = size, old, lie, block_sizes, flags
        self.requests, self.connections, self.longest, self.kinds = 0, 0, 0, []
        self.open = []
        self.listen()

    def listen(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.path.unlink(missing_ok=True)
        self.socket.bind(str(self.path))
        self.socket.listen()
        threading.Thread(target=self._accept, args=(self.socket,), daemon=True).start()

    def stop(self):
        """Nobody can connect, and all connections end"""
        self.path.unlink(missing_ok=True)
        self.socket.close()
        for connection in self.open:
            hang_up(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            structured = self._shake_hands(connection)
            while self._answer(connection, structured):
                pass
        except (OSError, EOFError):
            pass
        hang_up(connection)

    def _shake_hands(self, c):
        if self.lie and self.lie(self, 'handshake', 0, 0) is MUTE:
            receive(c, 1 << 30)
        if self.old:
            c.sendall(struct.pack('>8sQQI124x', b'NBDMAGIC', 0x00420281861253, self.size, self.flags))
            return False
        c.sendall(struct.pack('>8s8sH', b'NBDMAGIC', b'IHAVEOPT', 3))
        receive(c, 4)
        structured = False
        while True:
            _, option, length = struct.unpack('>8sII', receive(c, 16))
            data = receive(c, length)
            if option == OPT_STRUCTURED:
                structured = True
            elif option == OPT_SET_META:
                c.sendall(reply(option, META, struct.pack('>I', 1) + b'base:allocation'))
            elif option == OPT_GO:
                c.sendall(reply(option, INFO, struct.pack('>HQH', 0, self.size, self.flags)))
                if self.block_sizes:
                    c.sendall(reply(option, INFO, struct.pack('>HIII', 3, *self.block_sizes)))
            else:
                c.sendall(reply(option, UNSUPPORTED))
                continue
            c.sendall(reply(option, ACK))
            if option == OPT_GO:
                return structured

    def _answer(self, c, structured):
        _, flags, kind, cookie, offset, length = struct.unpack('>IHHQQI', receive(c, 28))
        data = receive(c, length) if kind == WRITE else b''
        self.requests += 1
        self.kinds.append(kind)
        self.longest = max(self.longest, length if kind in (READ, WRITE) else 0)
        if kind == DISC:
            return False
        lie = self.lie and self.lie(self, kind, offset, length)
        if lie is DIE:
            return False
        if lie is MUTE:
            return True
        last = isinstance(lie, tuple)
        if last or isinstance(lie, bytes):
            c.sendall((lie[0] if last else lie).replace(b'COOKIE..', struct.pack('>Q', cookie)))
            return not last
        if kind == WRITE:
            self.disk[offset:offset + length] = data
        elif kind in (TRIM, ZERO):
            self.disk[offset:offset + length] = bytes(length)
        c.sendall(self._reply(structured, kind, cookie, offset, length, lie))
        return True

    def _reply(self, structured, kind, cookie, offset, length, extents):
        if not structured:
            return simple(cookie) + (self.disk[offset:offset + length] if kind == READ else b'')
        if kind == READ:
            return chunk(cookie, 1, struct.pack('>Q', offset) + self.disk[offset:offset + length])
        if kind == STATUS:
            entries = [(length, 0)] if extents is None else extents
            return chunk(cookie, 5, struct.pack('>I', 1) + b''.join(struct.pack('>II', *e) for e in entries))
        return simple(cookie)


def hang_up(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


def receive(connection, length):
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(min(length - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return data


def reply(option, kind, data=b''):
    return struct.pack('>QIII', 0x3e889045565a9, option, kind, len(data)) + data


def simple(cookie, error=0):
    return struct.pack('>IIQ', 0x67446698, error, cookie)


def chunk(cookie, kind, data, flags=1):
    return struct.pack('>IHHQI', 0x668e33ef, flags, kind, cookie, len(data)) + data


class Nbdkit:
    """nbdkit, on a socket in @folder"""

    def __init__(self, folder, *words):
        need('nbdkit')
        self.path = pathlib.Path(folder) / 'kit.sock'
        self.command = ['nbdkit', '-f', '-U', self.path, *words]
        self.start()

    def start(self):
        self.path.unlink(missing_ok=True)
        self.process = subprocess.Popen([str(word) for word in self.command], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        for _ in range(200):
            if self.path.exists():
                return
            if self.process.poll() is not None:
                raise Skip(f'nbdkit: {self.process.stderr.read().decode()}')
            time.sleep(0.02)
        raise Failure('nbdkit does not come up')

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def uri(server, export=''):
    return f'nbd+unix:///{export}?socket={server.path}'
