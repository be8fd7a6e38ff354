# names.py - names of images that are more than a file's, beside qemu-img: the same image, or the same refusal
# SPDX-License-Identifier: MIT

import json
import re
import time

import vhd
from harness import BUILD, IMG, IO, Suite, check, equal, fails, need, run, works

suite = Suite(__file__)

RAW = "'driver':'raw'"
FILE = "'file':{'driver':'file','filename':'a.raw'}"

# What is opened or refused, and how, is the same
SAME = [
    'json:{}', 'json:', 'json: ', 'json:{', 'json:[]', 'json:1', 'json:{} x', 'json:{}{}', ' json:{}', 'JSON:{}',
    f'json:{{{RAW},{FILE}}}',
    f"json:{{{RAW},'file.driver':'file','file.filename':'a.raw'}}",
    f"json:{{{RAW},'file.driver':'file','file':{{'filename':'a.raw'}}}}",
    f"json:{{{RAW},'file.filename':'a.raw'}}",
    "json:{'file.filename':'a.raw'}", "json:{'file':{'filename':'a.raw'}}", "json:{'filename':'a.raw'}",
    "json:{'driver':'file','filename':'a.raw'}",
    f"json:{{{RAW},'driver':'vpc',{FILE}}}",
    f"json:{{{RAW},'file':{{'filename':'a.raw'}},'file.filename':'none'}}",
    f"json:{{{RAW},'file.filename':'none','file':{{'filename':'a.raw'}}}}",
    f"json:{{{RAW},{FILE},'offset':'512','size':1024}}", f"json:{{{RAW},{FILE},'offset':512,'size':'1k'}}",
    f"json:{{{RAW},{FILE},'read-only':true}}", f"json:{{{RAW},{FILE},'read-only':'on'}}",
    f"json:{{{RAW},'file':'a.raw'}}", "json:{'driver':'nosuch','file.filename':'a.raw'}",
    f"json:{{{RAW},'file.filename':'none'}}", f"json:{{{RAW},'file':{{'filename':'it\\'s'}}}}",
    f'json:{{{RAW},"file":{{"filename":"it\'s"}}}}', f"json:{{{RAW},'file':{{'filename':'a\"b'}}}}",
    f"json:{{{RAW},'file':{{'filename':'\\u0061.raw'}}}}", f"json:{{{RAW},'file':{{'filename':'a\\q'}}}}",
    f"json:{{{RAW},'file':{{'filename':'a\\ud83d'}}}}", f"json:{{{RAW},'file':{{'filename':'json:{{}}'}}}}",
    f'json:{{{RAW},}}', "json:{driver:'raw'}", f"json:{{{RAW},{FILE},'offset':01}}",
    f"json:{{{RAW},{FILE},'offset':tru}}",
    'json:' + '[' * 2000, 'json:' + '{"a":' * 2000,
    'a.raw', './a.raw', 'none', 'a:b.raw', './a:b.raw', 'file:a.raw', 'file:a:b.raw', 'file:none', 'nosuch:a.raw',
    'nosuch://a/b', 'folder/a:b', 'blkdebug:a.raw', 'blkdebug:', 'file:',
    'host_device:a.raw', 'host_cdrom:a.raw', 'host_device:/dev/null', 'host_device:', 'host_cdrom:none', '/dev/null',
    'folder', 'file:folder', 'null-co://', 'null-aio://', 'null-co:', 'null-co:/', 'null-co://a', 'null-aio:',
    "json:{'driver':'null-co','size':1048576}", "json:{'driver':'null-co','latency-ns':-1}",
    "json:{'driver':'null-aio','size':'2M','read-zeroes':true,'latency-ns':'5'}",
]

# With options before them
SAME_WITH = [
    ('-f', 'raw', f'json:{{{RAW},{FILE}}}'), ('-f', 'raw', "json:{'file.filename':'a.raw'}"),
    ('-f', 'file', 'a:b.raw'), ('-f', 'file', 'file:a.raw'), ('-f', 'raw', 'a:b.raw'), ('-f', 'raw', 'file:a:b.raw'),
    ('--image-opts', "file.filename=json:{'driver':'file'}"), ('--image-opts', 'driver=raw,file.filename=file:a.raw'),
    ('--image-opts', 'driver=file,filename=a:b.raw'), ('--image-opts', 'driver=null-co'),
    ('--image-opts', 'driver=file,filename=a.raw,locking=off,aio=threads,node-name=x,discard=unmap'),
    ('--image-opts', 'driver=raw,file.filename=a.raw,file.cache.direct=on,file.locking=off,force-share=on'),
    ('--image-opts', 'driver=raw,file.filename=folder'), ('--image-opts', 'driver=raw,file.filename=/dev/null'),
    *[('-f', driver, path) for driver in ('file', 'host_device', 'host_cdrom')
      for path in ('a.raw', '/dev/null', 'folder')],
]

# To open, for writing and for reading
OPENED = [f'{more}driver={driver},filename={path}' for driver in ('file', 'host_device', 'host_cdrom')
          for path in ('a.raw', '/dev/null', 'folder', 'none') for more in ('', 'read-only=on,')]


def files(folder):
    (folder / 'folder').mkdir()
    for name, size in (('a.raw', 1 << 20), ('a:b.raw', 2 << 20)):
        with open(folder / name, 'wb') as file:
            file.truncate(size)


def answer(program, folder, words):
    """What there is, or the refusal without the program's name"""
    done = run(program, 'info', '--output=json', *words, cwd=folder)
    if done.returncode == 0:
        said = json.loads(done.stdout)
        return said['virtual-size'], said['format']
    return re.sub(r'^[a-z-]*: ', '', done.stderr)


def same(folder, words):
    need('qemu-img')
    files(folder)
    equal(answer(IMG, folder, words), answer('qemu-img', folder, words), 'answer')


def map_of(program, folder, words):
    said = json.loads(works(program, 'map', '--output=json', *words, cwd=folder))
    return [{key: value for key, value in entry.items() if key in ('start', 'length', 'present', 'zero', 'data')}
            for entry in said]


def same_map(folder, words):
    need('qemu-img')
    equal(map_of(IMG, folder, words), map_of('qemu-img', folder, words), 'map')


def same_open(folder, options):
    need('qemu-io')
    files(folder)
    answers = []
    for program in (IO, 'qemu-io'):
        flag = ['-r'] if 'read-only' in options else []
        done = run(program, *flag, '-c', ' '.join(['open', *flag, '-o', options]), cwd=folder)
        answers.append((done.returncode, re.sub(r'^[a-z-]*: ', '', done.stderr)))
    equal(answers[0], answers[1], 'answer')


for words in (['null-co://'], ['--image-opts', 'driver=null-co,size=1M'], ['null-aio://'],
              ['--image-opts', 'driver=null-aio,size=1M,read-zeroes=on']):
    suite.test(f'qemu-img map says the same: {" ".join(words)}', same_map, words)
for options in OPENED:
    suite.test(f'qemu-io opens the same: {options}', same_open, options)
for name in SAME:
    suite.test(f'qemu-img says the same: {name[:100]}', same, [name])
for words in SAME_WITH:
    suite.test(f'qemu-img says the same: {" ".join(words)}', same, words)


@suite.fact
def bad_numbers(folder):
    """A list of rules in JSON, with numbers as numbers and as strings"""
    files(folder)
    for rule in ("[{'event':'none','iotype':'read','errno':28}]", "[{'event':'none','errno':'28','once':true}]"):
        name = f"json:{{'driver':'blkdebug','image':{{'driver':'file','filename':'a.raw'}},'inject-error':{rule}}}"
        for program in (IO, 'qemu-io'):
            need(program)
            done = run(program, '-c', 'read 0 512', name, cwd=folder)
            equal(done.stdout, 'read failed: No space left on device\n', f'{program} {name}')


@suite.fact
def nested_prefixes(folder):
    """blkdebug: before blkdebug:, file: and json:"""
    files(folder)
    for rest in ('blkdebug::a.raw', 'file:a.raw', "json:{'driver':'file','filename':'a.raw'}"):
        equal(json.loads(works(IMG, 'info', '--output=json', 'blkdebug::' + rest, cwd=folder))['virtual-size'], 1 << 20,
              rest)


@suite.fact
def many_levels(folder):
    """A name of a thousand levels is refused"""
    files(folder)
    check('too many levels' in fails(IMG, 'info', 'blkdebug::' * 1000 + 'a.raw', cwd=folder), 'another error')


@suite.fact
def options_count_more(folder):
    """What is given beside a name counts more than what the name says"""
    files(folder)
    name = f'json:{{{RAW},{FILE},"size":1024}}'
    equal(run(IO, '-c', 'open -o size=2k ' + name, '-c', 'length', cwd=folder).stdout, '2 KiB\n', 'length')


def chain(folder):
    """base.vhd with a 7 in its first sector, and child.vhd of it"""
    works(IMG, 'create', '-q', '-f', 'vpc', 'base.vhd', '1M', cwd=folder)
    works(IO, '-f', 'vpc', '-c', 'write -P 7 0 512', 'base.vhd', cwd=folder)
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', 'base.vhd', 'child.vhd', cwd=folder)


def has_seven(folder, *words):
    works(IO, '-r', *words, '-c', 'read -P 7 0 512', cwd=folder)


@suite.fact
def parents(folder):
    """A parent that the user names may be named so, too"""
    chain(folder)
    (folder / 'base.vhd').rename(folder / 'moved.vhd')
    for parent in ("json:{'driver':'vpc','file':{'filename':'moved.vhd'}}", 'file:moved.vhd', 'blkdebug::moved.vhd',
                   "json:{'file.filename':'moved.vhd'}"):
        has_seven(folder, '--image-opts', 'driver=vpc,file.filename=child.vhd,parent=' + parent.replace(',', ',,'))
    raw = "json:{'driver':'raw','file':{'filename':'moved.vhd'}}"
    options = 'driver=vpc,file.filename=child.vhd,ignore-parent-id=on,parent=' + raw.replace(',', ',,')
    works(IO, '-r', '--image-opts', options, '-c', 'read -v 0 512', cwd=folder)


@suite.fact
def parents_by_create(folder):
    """backing_file may be named so, too, and the image remembers the path"""
    chain(folder)
    for parent in ("json:{'driver':'vpc','file':{'filename':'base.vhd'}}", 'file:base.vhd'):
        works(IMG, 'create', '-q', '-f', 'vpc', '-o', 'backing_file=' + parent.replace(',', ',,'), 'new.vhd',
              cwd=folder)
        has_seven(folder, '-f', 'vpc', 'new.vhd')
        (folder / 'new.vhd').unlink()


@suite.fact
def parents_of_no_file(folder):
    """A parent that is no file can't be remembered"""
    said = fails(IMG, 'create', '-q', '-f', 'vpc', '-o', 'backing_fmt=raw,backing_file=null-co://', 'new.vhd',
                 cwd=folder)
    check("'null-co://' is not a file" in said, said)
    check(not (folder / 'new.vhd').exists(), 'it was made')


@suite.fact
def no_terminals(folder):
    """A parent that an image names is no character device"""
    chain(folder)
    (folder / 'base.vhd').unlink()
    (folder / 'base.vhd').symlink_to('/dev/zero')
    said = fails(IO, '-r', '-f', 'vpc', '-c', 'read 0 512', 'child.vhd', cwd=folder)
    check("'file' driver requires" in said, said)


@suite.fact
def latency(folder):
    """latency-ns of null-co: every request takes so long"""
    for request in ('read 0 512', 'write 0 512', 'write -z 0 512'):
        start = time.monotonic()
        works(IO, '--image-opts', 'driver=null-co,latency-ns=300000000', '-c', request)
        check(0.3 <= time.monotonic() - start, f'{request} took less')


@suite.fact
def shared_reading(folder):
    """force-share=on is for reading"""
    files(folder)
    options = 'driver=raw,file.filename=a.raw,force-share=on'
    works(IO, '-r', '--image-opts', options, '-c', 'read 0 512', cwd=folder)
    check('read-only images' in fails(IO, '--image-opts', options, '-c', 'read 0 512', cwd=folder), 'another error')


@suite.fact
def discards(folder):
    """discard=unmap gives space back, and discard=ignore does not"""
    (folder / 'a.raw').write_bytes(b'x' * 65536)
    for word, left in (('ignore', 65536), ('unmap', 0)):
        works(IO, '-c', f'open -o driver=raw,discard={word} a.raw', '-c', 'discard 0 64k', cwd=folder)
        equal((folder / 'a.raw').stat().st_blocks * 512, left, f'bytes after discard={word}')


@suite.fact
def written_through(folder):
    """cache.writeback=off flushes what was written"""
    (folder / 'a.raw').write_bytes(bytes(4096))
    options = "driver=blkdebug,image.filename=a.raw,inject-error.0.iotype=flush,cache.writeback="
    done = run(IO, '-t', 'writeback', '--image-opts', options + 'off', '-c', 'write 0 512', cwd=folder)
    check('write failed' in done.stdout, done.stdout)
    done = run(IO, '-t', 'writethrough', '--image-opts', options + 'on', '-c', 'write 0 512', cwd=folder)
    check('write failed' not in done.stdout, done.stdout)


@suite.fact
def parents_that_images_name(folder):
    """What an image says of its parent is a path, whatever it looks like"""
    works(IMG, 'create', '-q', '-f', 'vpc', './file:base.vhd', '1M', cwd=folder)
    works(IO, '-f', 'vpc', '-c', 'write -P 7 0 512', './file:base.vhd', cwd=folder)
    works(IMG, 'create', '-q', '-f', 'vpc', '-b', './file:base.vhd', 'child.vhd', cwd=folder)
    (folder / 'file:base.vhd').rename(folder / 'base.vhd')
    fails(IO, '-r', '-f', 'vpc', '-c', 'read -P 7 0 512', 'child.vhd', cwd=folder)
    (folder / 'base.vhd').rename(folder / 'file:base.vhd')
    has_seven(folder, '-f', 'vpc', 'child.vhd')


@suite.fact
def kept_in_a_folder(folder):
    """With parent-root= a parent is a path"""
    chain(folder)
    options = 'driver=vpc,file.filename=child.vhd,parent-root=.,parent='
    has_seven(folder, '--image-opts', options + 'base.vhd')
    check('is not a path' in fails(IO, '-r', '--image-opts', options + 'file:base.vhd', cwd=folder), 'another error')


@suite.fact
def new_images(folder):
    """Images are made by such names"""
    for name in ('file:a.vhd', "json:{'file':{'filename':'a.vhd'}}", 'blkdebug::a.vhd'):
        works(IMG, 'create', '-q', '-f', 'vpc', name, '3M', cwd=folder)
        said = json.loads(works(IMG, 'info', '--output=json', '-f', 'vpc', 'a.vhd', cwd=folder))
        equal(said['virtual-size'], 3 << 20, name)
        (folder / 'a.vhd').unlink()


@suite.fact
def image_names_module(folder):
    """Only a user's name loads a module; what an image has for its parent's name is a path"""
    loader = {'LD_DEBUG': 'files', 'MINIBLK_MODULE_PATH': str(BUILD / 'tests/contract')}

    def loads_module(*command):
        return 'block-prefixed.so' in run(IMG, *command, env=loader, cwd=folder).stderr

    for name in ('prefixed:x', 'prefixed', 'prefixed://x', 'driver=prefixed', "json:{'driver':'prefixed'}",
                 'file:prefixed:x'):
        locators = [vhd.locator(code, name) for code in ('W2ru', 'W2ku')] + [vhd.locator('MacX', f'file://{name}')]
        image = vhd.differencing(name=vhd.utf16(name, 'be').ljust(512, b'\0'), locators=locators)
        (folder / 'child.vhd').write_bytes(image)
        for command in (['info', '--backing-chain'], ['check'], ['map'], ['rebase', '-u', '-f', 'vpc', '-b', 'x.vhd']):
            check(not loads_module(*command, 'child.vhd'), f'{command[0]}: an image loads a module by the name {name}')
    check(loads_module('info', 'prefixed:x'), 'a user does not')


suite.main()
