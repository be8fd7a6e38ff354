# foreign-formats.py - containers that no driver reads: refused by name where a format is guessed, and raw where it is named
# SPDX-License-Identifier: MIT

import bz2
import gzip
import io
import lzma
import re
import struct
import zipfile

import vhd
from harness import IMG, IO, Suite, check, equal, fails, need, poke, run, works
from vhd import MIB, SECTOR

suite = Suite(__file__)

GUEST = b'GUEST' * 100
RAW = GUEST.ljust(MIB, b'\0')


def by_qemu(fmt, options=''):
    def make(folder, path):
        need('qemu-img')
        (folder / 'raw').write_bytes(RAW)
        works('qemu-img', 'convert', '-f', 'raw', '-O', fmt, *(['-o', options] if options else []), folder / 'raw', path)
    return make


def by_program(*command):
    def make(folder, path):
        need(command[0])
        (folder / 'raw').write_bytes(RAW)
        works(*command, folder / 'made', folder / 'raw')
        (folder / 'made').rename(path)
    return make


def by_bytes(function):
    return lambda folder, path: path.write_bytes(function())


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('disk.raw', RAW)
    return out.getvalue()


# Name in the message; who makes it
FOREIGN = {
    'qcow2': ('qcow2 or qcow', by_qemu('qcow2')), 'qcow2 of version 2': ('qcow2 or qcow', by_qemu('qcow2', 'compat=0.10')),
    'qcow': ('qcow2 or qcow', by_qemu('qcow')), 'QED': ('QED', by_qemu('qed')), 'VDI': ('VDI', by_qemu('vdi')),
    'VMDK': ('VMDK', by_qemu('vmdk')), 'VMDK for streaming': ('VMDK', by_qemu('vmdk', 'subformat=streamOptimized')),
    'VMDK with a flat extent': ('VMDK descriptor', by_qemu('vmdk', 'subformat=monolithicFlat')),
    'VHDX': ('VHDX', by_qemu('vhdx')), 'Parallels': ('Parallels', by_qemu('parallels')),
    'gzip': ('gzip', by_bytes(lambda: gzip.compress(RAW))), 'bzip2': ('bzip2', by_bytes(lambda: bz2.compress(RAW))),
    'gzip of a VHD': ('gzip', by_bytes(lambda: gzip.compress(vhd.fixed(MIB)))),
    'xz': ('xz', by_bytes(lambda: lzma.compress(RAW))), 'zip': ('zip', by_bytes(zipped)),
    '7z': ('7z', by_program('7z', 'a', '-bso0', '-t7z', '-sae')),
    'zstd': ('zstd', by_bytes(lambda: b'\x28\xb5\x2f\xfd' + RAW)), 'LZ4': ('LZ4', by_bytes(lambda: b'\x04\x22\x4d\x18' + RAW)),
    'RAR': ('RAR', by_bytes(lambda: b'Rar!\x1a\x07\x01\0' + RAW)),
    'CHD': ('CHD', by_bytes(lambda: b'MComprHD\0\0\0\x7c\0\0\0\5' + RAW)),
    'Bochs': ('Bochs', by_bytes(lambda: b'Bochs Virtual HD Image\0'.ljust(32, b'\0') + b'Redolog\0' + RAW)),
    'cloop': ('cloop', by_bytes(lambda: b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0\n' + RAW)),
    'DMG': ('DMG', by_bytes(lambda: RAW + b'koly\0\0\0\4\0\0\2\0'.ljust(SECTOR, b'\0'))),
    'OVF': ('OVF', by_bytes(lambda: b'<?xml version="1.0"?>\n<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1">' + RAW)),
    'OVF without a prolog': ('OVF', by_bytes(lambda: b'<Envelope ovf:version="1.0">' + RAW)),
    'tar': ('tar or OVA', by_program('tar', '-cf')), 'empty zip': ('zip', by_bytes(lambda: b'PK\5\6' + bytes(18) + RAW)),
    'spanned zip': ('zip', by_bytes(lambda: b'PK\7\x08PK\3\4' + RAW)), 'lzip': ('lzip', by_bytes(lambda: b'LZIP\1\x10' + RAW)),
    'lzop': ('lzop', by_bytes(lambda: b'\x89LZO\0\r\n\x1a\n' + RAW)), 'old LZ4': ('LZ4', by_bytes(lambda: b'\2\x21\x4c\x18' + RAW)),
    'CAB': ('CAB', by_bytes(lambda: b'MSCF\0\0\0\0' + RAW)), 'WIM': ('WIM', by_bytes(lambda: b'MSWIM\0\0\0' + RAW)),
    'EWF': ('EWF', by_bytes(lambda: b'EVF\t\r\n\xff\0' + RAW)),
    'Android': ('Android', by_bytes(lambda: b'\x3a\xff\x26\xed\1\0\0\0' + RAW)),
    'encrypted DMG': ('DMG, encrypted', by_bytes(lambda: b'encrcdsa\0\0\0\2' + RAW)),
    'sparse image': ('sparse image of macOS', by_bytes(lambda: b'sprs\0\0\0\3' + RAW)),
    'seSparse': ('VMDK (seSparse)', by_bytes(lambda: b'\xbe\xba\xfe\xca\0\0\0\0' + RAW)),
    'OVF with a mark': ('OVF', by_bytes(lambda: b'\xef\xbb\xbf<?xml version="1.0"?><ovf:Envelope>' + RAW)),
    'OVF with a prefix': ('OVF', by_bytes(lambda: b'<ovf:Envelope ovf:version="1.0">' + RAW)),
    'LUKS': ('LUKS', by_bytes(lambda: b'LUKS\xba\xbe\0\2' + RAW)),
    'VMX': ('VMX', by_bytes(lambda: b'.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "16"\n')),
    'older VMX': ('VMX', by_bytes(lambda: b'#!/usr/bin/vmware\nconfig.version = "6"\n' + RAW)),
    'bare VMX': ('VMX', by_bytes(lambda: b'config.version = "8"\n' + RAW)),
    'vbox': ('settings of VirtualBox', by_bytes(lambda: b'<?xml version="1.0"?>\n<!--\n** DO NOT EDIT\n-->\n<VirtualBox xmlns="x">' + RAW)),
    'vbox without a prolog': ('settings of VirtualBox', by_bytes(lambda: b'<VirtualBox version="1.16">' + RAW)),
    'ESX VMDK': ('VMDK (ESX', by_bytes(lambda: b'COWD\1\0\0\0' + RAW)),
}


def test_refused(folder, name, make):
    """By all commands that guess, under both names of the tools, and by the library"""
    path = folder / 'image'
    make(folder, path)
    (folder / 'sound.vhd').write_bytes(vhd.fixed(MIB))
    before = path.read_bytes()
    text = f'{re.escape(name)}.*-f raw'
    commands = [['info', path], ['convert', '-O', 'vpc', path, folder / 'out'], ['map', path], ['measure', '-O', 'raw', path],
                ['compare', path, folder / 'sound.vhd'], ['compare', folder / 'sound.vhd', path], ['check', path],
                ['dd', f'if={path}', f'of={folder}/out'], ['resize', path, '2M'], ['bench', '-c', '1', path]]
    links = [folder / 'qemu-img', folder / 'qemu-io']
    links[0].symlink_to(IMG)
    links[1].symlink_to(IO)
    for command in [[img, *words] for img in (IMG, links[0]) for words in commands] + \
                   [[tool, '-r', '-c', 'read 0 512', path] for tool in (IO, links[1])]:
        done = run(*command)
        check(done.returncode and re.search(text, done.stderr.replace('\n', ' ')),
              f'{command}: {done.returncode}, {done.stdout}{done.stderr}')
    check(not (folder / 'out').exists(), 'there is an output')
    error = poke(path, flags='p', options='').error
    check(error and name in error, f'the library: {error}')
    equal(path.read_bytes(), before, 'the file')


def test_named(folder, make):
    """Who says raw gets it as it is"""
    path = folder / 'image'
    make(folder, path)
    works(IMG, 'convert', '-f', 'raw', '-O', 'raw', path, folder / 'out')
    out, data = (folder / 'out').read_bytes(), path.read_bytes()
    equal(out, data.ljust(len(out), b'\0'), 'the output')
    equal(poke(path, options='driver=raw').error, None, 'error')


for kind, (text, maker) in FOREIGN.items():
    suite.test(f'{kind}: refused where the format is guessed', test_refused, text, maker)
    suite.test(f'{kind}: raw where that is said', test_named, maker)


# A raw disk it stays
RAW_DISKS = {
    'nothing': b'', 'one byte': b'Q', 'zeroes': bytes(MIB), 'a boot sector': b'\xeb\x3c\x90MSDOS5.0'.ljust(510, b'\0') + b'\x55\xaa',
    'almost gzip': b'\x1f\x8b\x07\0' + RAW, 'gzip with reserved flags': b'\x1f\x8b\x08\xe0' + RAW, 'text with BZh': b'BZh9' + RAW,
    'LUKS without its number': b'LUKS\xba\xbf' + RAW, 'other settings': b'.encoding = "UTF-8"\nversion = "8"\n' + RAW,
    'HTML': b'<?xml version="1.0"?><html>' + RAW, 'a script': b'#!/bin/sh\necho\n' + RAW, 'QFI only': b'QFI\0' + RAW,
    'a qcow2 further in': RAW[:SECTOR] + b'QFI\xfb' + RAW, 'koly further in': RAW[:-2 * SECTOR] + b'koly' + bytes(2 * SECTOR),
    'QED without its zero': b'QEDx' + RAW, 'a VDI without its number': b'<<< QEMU VM Virtual Disk Image >>>\n'.ljust(80, b'\0') + RAW,
}


def test_raw(folder, data):
    path = folder / 'disk'
    path.write_bytes(data)
    done = run(IMG, 'info', '--output=json', path)
    check(done.returncode == 0 and '"format": "raw"' in done.stdout and not done.stderr, f'{done.stdout}{done.stderr}')


for kind, content in RAW_DISKS.items():
    suite.test(f'{kind}: a raw disk', test_raw, content)


# A VHD that is damaged looks like a raw disk

def broken(data, at):
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


DAMAGED = {
    'a wrong checksum': (lambda: broken(vhd.fixed(MIB), MIB + 70), 'it ends in the footer of a VHD with a wrong checksum'),
    '511 bytes': (lambda: vhd.fixed(MIB)[:-1], 'the last 511 bytes begin as the footer of a VHD, which has 512'),
    '100 bytes': (lambda: vhd.fixed(MIB)[:-412], 'the last 100 bytes begin as the footer of a VHD'),
    '512 bytes behind it': (lambda: vhd.fixed(MIB) + bytes(512), '1024 bytes before the end there is the footer of a VHD:'),
    '7 bytes behind it': (lambda: vhd.fixed(MIB) + b'newline', '519 bytes before the end there is the footer of a VHD:'),
    '3000 bytes behind it': (lambda: vhd.fixed(MIB) + bytes(3000), '3512 bytes before the end there is the footer of a VHD:'),
    '64 KiB behind it': (lambda: vhd.fixed(MIB) + bytes(65536), '66048 bytes before the end there is the footer of a VHD:'),
    'no footers, but a header': (lambda: bytes(SECTOR) + vhd.dynamic(MIB)[SECTOR:-SECTOR], 'at 512 there is the header of a dynamic VHD'),
    'bytes behind a wrong one': (lambda: broken(vhd.fixed(MIB), MIB + 70) + b'\n',
                                 'there is the footer of a VHD, with a wrong checksum'),
}


def test_damaged(folder, make, text):
    path = folder / 'disk'
    path.write_bytes(make())
    want = f'taken for a raw disk, though .*{re.escape(text)}'
    for command in ([IMG, 'info', path], [IMG, 'convert', '-O', 'raw', path, folder / 'out'], [IO, '-r', '-c', 'read 0 512', path]):
        done = run(*command)
        check(done.returncode == 0 and re.search(want, done.stderr), f'{command}: {done.returncode}, {done.stderr}')
    check(any(re.search(want, w['text'] if isinstance(w, dict) else w) for w in poke(path, flags='p', options='').warnings),
          'the library does not say it')
    equal(run(IMG, 'info', '-f', 'raw', path).stderr, '', 'message where raw is said')


for kind, (maker, text) in DAMAGED.items():
    suite.test(f'a fixed VHD, and {kind}: raw, with a warning', test_damaged, maker, text)


@suite.fact
def bad_tail(folder):
    """by QEMU's name, where the first bytes decide, an end that can't be read keeps no image from being opened"""
    (folder / 'qemu-img').symlink_to(IMG)
    (folder / 'a.raw').write_bytes(RAW)
    rules = ''.join(f',file.inject-error.{n}.event=none,file.inject-error.{n}.iotype=read,file.inject-error.{n}.sector='
                    f'{MIB // SECTOR - 1 - n}' for n in range(4))
    works(folder / 'qemu-img', 'info', '--image-opts', f'file.driver=blkdebug,file.image.filename={folder}/a.raw{rules}')


suite.main()
