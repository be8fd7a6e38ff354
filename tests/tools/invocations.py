# invocations.py - what people type: qemu-img and qemu-io as public pages show them, run with our tools and with QEMU's
# SPDX-License-Identifier: MIT
"""Each line is a shell command as somebody published it, with shorter names and smaller sizes, and where it was. It is
run in two folders with the same files, where qemu-img and qemu-io are QEMU's, and links to ours. What it prints, its
exit status, and what the files hold afterwards must agree. --list prints the commands and their sources."""

import functools
import os
import pathlib
import re
import shutil
import sys
import tempfile

import vhd
from harness import IMG, IO, Suite, check, equal, need, run, works
from twins import copy_sparse, same_bytes
from vhd import MIB

suite = Suite(__file__)

AZURE = 'https://gist.github.com/alunux/8eb4b957ea40d7c09ea70f8b96500ac1'
AZURE_VDI = 'https://gist.github.com/betamax/976b3308601dc806f68a18ad0537fe0e'
AZURE_UBUNTU = 'https://gist.github.com/philroche/20a4c55927be68d8665e764b96b1722c'
NIXOS = 'https://github.com/NixOS/nixpkgs/commit/2da8a5dac8674501ba9ed10e44650088b466688a'
FORCE_SIZE = 'https://github.com/qemu/qemu/commit/fb9245c2610932d33ce148b58714fcc7b3c6eb5f'
ZVOL = 'https://gist.github.com/mechinn/926a1def89510046cc58bf1aef5359ed'
ONLINE_RESIZE = 'https://gist.github.com/mortn/bdd6aa5f38169b953ace'
SHRINK = 'https://gist.github.com/smurugap/357e705944e14af0799884cb0effac6c'
QUAY = 'https://github.com/quay/quay/pull/635'
VGATEWAY = 'https://gist.github.com/bitroniq/59273e85c506175998a384d733b4e155'
VHD_TO_RAW = 'https://gist.github.com/opexxx/c4284456f72024c99772'
CEPH = 'https://pastebin.com/NiWMSzLb'
MAPPING = ('https://access.redhat.com/documentation/en-us/red_hat_enterprise_linux/7/html/'
           'virtualization_deployment_and_administration_guide/sect-using-qemu_img-mapping_an_image')
COMPARING = ('https://docs.redhat.com/ja/documentation/red_hat_enterprise_linux/7/html/'
             'virtualization_deployment_and_administration_guide/sect-using_qemu_img-comparing_images')
MANUAL = 'https://qemu.org/docs/master/tools/qemu-img.html'
IO_MANUAL = 'https://manpages.ubuntu.com/manpages/oracular/man1/qemu-io.1.html'
BLKDEBUG = 'https://qemu.org/docs/master/devel/testing/blkdebug.html'
DD = 'https://www.mail-archive.com/qemu-devel@nongnu.org/msg398075.html'
DD_SKIP = 'https://www.mail-archive.com/qemu-block@nongnu.org/msg15739.html'
MEASURE = 'https://www.mail-archive.com/qemu-devel@nongnu.org/msg464362.html'
DERIVATIVE = 'https://github.com/Whonix/derivative-maker/blob/master/build-steps.d/4400_convert-raw-to-qcow2'
RESIZE = 'https://gist.github.com/dephekt/b772852a83034ed88607f28e0ac38fb5'
VIRT_RESIZE = 'https://gist.github.com/apoz/af73ccfcefc5fd21ed9b1c4a34043658'
SALT = 'https://docs.saltproject.io/en/3004/ref/modules/all/salt.modules.qemu_img.html'
GUESTFS = 'https://valadoc.org/libguestfs-gobject-1.0/Guestfs.Session.disk_create.html'
GNS3 = 'https://pythonhosted.org/gns3-server/api/v2/compute/qemu/qemuimg.html'
NBDINFO = 'https://man.archlinux.org/man/nbdinfo.1.en'
CHECK = 'https://docs.xloud.tech/services/images/convert-formats'
NULL_CO = 'https://git.zx2c4.com/qemu/tree/tests/qemu-iotests/150'
WINDOW = 'https://git.zx2c4.com/qemu/plain/tests/qemu-iotests/171'

ROUNDED = 'size=$(qemu-img info -f raw --output json disk.raw | awk -F "[:,]" \'/"virtual-size"/ { print $2 }\'); ' \
          'MB=$((1024*1024)); rounded_size=$(((size/MB + 1)*MB)); echo "$rounded_size"; '
SERVE = 'nbdkit -U sock -P pid --exit-with-parent -f file disk.raw & while [ ! -e pid ]; do sleep 0.05; done; '

# Source, command
LINES = [
    (AZURE, ROUNDED + 'qemu-img resize -f raw disk.raw $rounded_size'),
    (AZURE, 'qemu-img convert -f raw -o subformat=fixed,force_size -O vpc disk.raw new.vhd'),
    (AZURE_VDI, 'qemu-img convert -f vpc -O raw disk.vhd new.raw && ' + ROUNDED.replace('disk.raw', 'new.raw') +
     'qemu-img resize -f raw new.raw $rounded_size && '
     'qemu-img convert -f raw -O vpc -o subformat=fixed,force_size new.raw new.vhd'),
    (AZURE_UBUNTU, 'qemu-img info -f raw --output=json disk.raw | python3 -c \'import json, sys; '
     'print(json.load(sys.stdin)["virtual-size"])\''),
    (AZURE_UBUNTU, 'qemu-img convert -O vpc -o subformat=dynamic disk.raw new.vhd'),
    (NIXOS, 'qemu-img create -f raw new.raw 34603008'),
    (NIXOS, 'qemu-img convert -f raw -o force_size -O vpc disk.raw new.vhd'),
    (NIXOS, 'qemu-img convert -f raw -o subformat=fixed -O vpc disk.raw new.vhd'),
    (FORCE_SIZE, 'qemu-img convert -f raw -o force_size -O vpc disk.raw new.vhd && qemu-img info new.vhd | '
     'grep "^virtual size"'),
    (ZVOL, 'size=$(qemu-img info disk.vhd --output json | jq \'."virtual-size"\'); echo "$size"; '
     'qemu-img convert -O raw disk.vhd new.raw'),
    (ONLINE_RESIZE, 'qemu-img resize -f raw disk.raw 50M'),
    (ONLINE_RESIZE, 'echo $(qemu-img info disk.vhd|sed -n \'/virtual size/ s/^.*: //;s/(.*//p\')'),
    (SHRINK, 'qemu-img resize -f raw disk.raw 1.5M'),
    (SHRINK, 'qemu-img info disk.raw | grep -v "^disk size"'),
    (QUAY, 'qemu-img resize --shrink -f raw disk.raw 2M'),
    (VGATEWAY, 'qemu-img convert -o subformat=fixed,force_size -O vpc disk.vhd new.vhd'),
    (VHD_TO_RAW, 'qemu-img convert -O raw disk.vhd new.raw'),
    (CEPH, 'qemu-img info disk.vhd | grep -v "^disk size"'),
    (MAPPING, 'qemu-img map -f raw disk.raw'),
    (MAPPING, 'qemu-img map --output=json disk.vhd | jq -c \'map(select(.data == false)) | map([.start, .length])\''),
    (MAPPING, 'qemu-img map --output=json -f raw disk.raw | jq \'map(select(.data)) | map(.length) | add\''),
    (COMPARING, 'qemu-img compare -f raw -F vpc disk.raw same.vhd'),
    (COMPARING, 'qemu-img compare -f raw -F vpc -q disk.raw disk.vhd; echo "exit status $?"'),
    (COMPARING, 'if qemu-img compare -s -f raw -F raw disk.raw disk.raw; then echo good; else echo bad; fi'),
    (COMPARING, 'qemu-img compare -f raw disk.raw missing.raw; echo "exit status $?"'),
    (MANUAL, 'qemu-img create -f vpc -o subformat=fixed,force_size new.vhd 16M'),
    (MANUAL, 'qemu-img create -f vpc new.vhd 40M && qemu-img info --output=json new.vhd | jq \'."virtual-size"\''),
    (MANUAL, 'qemu-img convert -n -f raw -O vpc disk.raw disk.vhd'),
    (MANUAL, 'qemu-img convert -S 0 -t none -T none -m 4 -W -f raw -O raw disk.raw new.raw'),
    (MANUAL, 'qemu-img convert --image-opts driver=vpc,file.driver=file,file.filename=disk.vhd -O raw new.raw'),
    (MANUAL, 'qemu-img bench -q -c 100 -w -f raw disk.raw'),
    (MANUAL, 'qemu-img snapshot -l disk.vhd'),
    (DD, 'qemu-img dd -f vpc -O raw bs=1M if=disk.vhd of=new.raw'),
    (DD, 'qemu-img dd -f raw -O vpc bs=64k count=20 if=disk.raw of=new.vhd'),
    (DD_SKIP, 'qemu-img dd -f raw -O raw bs=512 skip=30K if=disk.raw of=new.raw; ls'),
    (MEASURE, 'qemu-img measure --size 2G -O raw'),
    (MEASURE, 'qemu-img measure --output=json -f vpc -O raw disk.vhd | jq .required'),
    (DERIVATIVE, 'qemu-img convert -p -O raw disk.vhd new.raw | tr "\\r" "\\n" | tail -n 2'),
    (RESIZE, 'qemu-img resize -f raw disk.raw +10M && cp disk.raw copy.raw'),
    (VIRT_RESIZE, 'qemu-img create -f raw new.raw 4G'),
    (SALT, 'qemu-img create -f vpc new.vhd 17M && qemu-img convert -O raw new.vhd new.raw'),
    (GUESTFS, 'qemu-img create -f raw -o preallocation=full new.raw 4M'),
    (GNS3, 'qemu-img create -f vpc -o subformat=fixed new.vhd 100M'),
    (CHECK, 'qemu-img check -f raw disk.raw; echo "exit status $?"'),
    (NBDINFO, SERVE + 'qemu-img info -f raw "nbd+unix:///?socket=sock" | grep "^virtual\\|^disk"; kill %1'),
    (NBDINFO, SERVE + 'qemu-img convert -f raw -O vpc "nbd+unix:///?socket=sock" new.vhd; kill %1'),
    (IO_MANUAL, 'qemu-io -r -f raw -c "read -v 0 16" disk.raw'),
    (IO_MANUAL, 'qemu-io -f vpc -c "write -P 0x5a 1M 64k" -c "read -P 0x5a 1M 64k" disk.vhd'),
    (IO_MANUAL, 'qemu-io -s -f vpc -c "write 0 1M" -c "read -P 0xcd 0 1M" disk.vhd'),
    (IO_MANUAL, 'qemu-io -n -m -f raw -c "aio_write -P 7 0 4k" -c aio_flush -c "read -P 7 0 4k" disk.raw'),
    (BLKDEBUG, 'printf \'[inject-error]\\nevent = "read_aio"\\nerrno = "28"\\n\' >blkdebug.conf; '
     'qemu-io -f raw -c "read 0 512" blkdebug:blkdebug.conf:disk.raw'),
    (NULL_CO, 'qemu-img convert -O raw -S 0 "json:{ \'driver\': \'null-co\', \'size\': 1048576, '
     '\'read-zeroes\': true }" new.raw && qemu-img map -f raw new.raw'),
    (WINDOW, 'qemu-img convert -O raw \'json:{"driver": "raw", "offset": "1048576", "size": "65536", '
     '"file": {"driver": "file", "filename": "disk.raw"}}\' new.raw'),
]

# How the output may differ, and why
FILTERS = [
    (r', ([0-9]+) ops; .*', r', \1 ops'), (r'completed in [0-9.]+', 'completed in N'),     # how long it took
    (r'^qemu-io: what was written may not have reached.*\n', ''),  # their last flush fails in silence
    (r'^Format specific information:\n(    .*\n)*', ''),     # which ours knows of a VHD
]


@functools.cache
def made_files():
    """disk.raw, disk.vhd, and same.vhd, which holds the same as disk.raw. The folder goes with the object"""
    need('qemu-img', 'qemu-io', 'jq')
    kept = tempfile.TemporaryDirectory()
    files = pathlib.Path(kept.name)
    contents = bytearray(17 * MIB + 4096)
    contents[0:4 * MIB] = b'A' * (4 * MIB)
    contents[8 * MIB:9 * MIB] = b'B' * MIB
    (files / 'disk.raw').write_bytes(contents)
    works('cp', '--sparse=always', files / 'disk.raw', files / 'sparse')
    (files / 'sparse').rename(files / 'disk.raw')
    works('qemu-img', 'create', '-q', '-f', 'vpc', files / 'disk.vhd', '17M')
    works('qemu-io', '-f', 'vpc', '-c', 'write -P 67 2M 3M', '-c', 'write -P 68 16M 512', files / 'disk.vhd')
    works('qemu-img', 'convert', '-f', 'raw', '-O', 'vpc', '-o', 'force_size', files / 'disk.raw', files / 'same.vhd')
    return kept


def copy_files(folder, tools):
    """Those that a line may name; the tools in their own folder"""
    for sub in 'files', 'bin':
        (folder / sub).mkdir(parents=True)
    for path in pathlib.Path(made_files().name).iterdir():
        copy_sparse(path, folder / 'files' / path.name)
    for name, program in tools.items():
        (folder / 'bin' / name).symlink_to(program)
    return folder / 'files'


def same_disk(ours, theirs):
    """Does a guest see the same?"""
    if ours.suffix not in ('.raw', '.vhd') or same_bytes(ours, theirs):
        return True
    return ours.suffix == '.vhd' and (vhd.Disk(ours.read_bytes()).contents() == vhd.Disk(theirs.read_bytes()).contents())


def in_own_words(done):
    text = done.stdout + done.stderr
    for pattern, replacement in FILTERS:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


def test_line(folder, line):
    need(*({'nbdkit'} if 'nbdkit' in line else ()))
    results, files = [], []
    theirs = {name: shutil.which(name) for name in ('qemu-img', 'qemu-io')}
    for name, tools in (('q', theirs), ('m', {'qemu-img': IMG, 'qemu-io': IO})):
        files.append(copy_files(folder / name, tools))
        path = f'{folder / name / "bin"}:{os.environ["PATH"]}'
        results.append(run('bash', '-c', line, cwd=files[-1], env={'PATH': path}))
    check(in_own_words(results[1]) == in_own_words(results[0]),
          f'--- theirs\n{in_own_words(results[0])}\n--- ours\n{in_own_words(results[1])}')
    equal(results[1].returncode, results[0].returncode, 'exit status')
    names = [sorted(p.name for p in f.iterdir()) for f in files]
    equal(names[1], names[0], 'files')
    for name in names[0]:
        check(same_disk(files[1] / name, files[0] / name), f'{name} does not hold the same')


if sys.argv[1:] == ['--list']:
    for source, line in LINES:
        print(f'{source}\n    {line}')
    sys.exit()
for source, line in LINES:
    suite.test(line, test_line, line)
suite.main()
