# blkdebug.py - rules and breakpoints: miniblk-io beside qemu-io, on the same configuration and the same commands
# SPDX-License-Identifier: MIT
"""What each program says and returns must agree, and what the file holds afterwards. Who reports first of two that run
at once is chance, so their lines are sorted."""

import re
import shlex

from harness import IO, Suite, check, equal, fails, need, run, works

suite = Suite(__file__)

EVENTS = ['read_aio', 'write_aio', 'pwritev', 'pwritev_zero', 'pwritev_done', 'flush_to_os', 'pwritev_rmw_head',
          'pwritev_rmw_after_head', 'pwritev_rmw_tail', 'pwritev_rmw_after_tail']
ROWS = ['write 0 4k', 'write -z 0 4k', 'write 512 512', 'write 0 512', 'write 3584 512', 'write 512 4k', 'write 512 8k',
        'read 0 4k', 'flush', 'discard 0 4k']


def rule(**options):
    return '[inject-error]\n' + ''.join(f'{key} = "{value}"\n' for key, value in options.items())


def change(**options):
    return rule(**options).replace('inject-error', 'set-state')


DOOR = rule(event='write_aio', state=1, errno=28, iotype='write') + rule(event='write_aio', state=2, errno=0) + \
       change(event='flush_to_disk', new_state=2)

# Name: configuration, commands
CONFIGS = {
    'no rule': ('', 'read 0 4k; write 0 4k'),
    'an event': (rule(event='write_aio', errno=28), 'read 0 4k; write 0 4k; read 0 4k; write -z 0 4k; discard 0 4k'),
    'none': (rule(event='none', iotype='read'), 'write 0 4k; read 0 4k; read 0 4k'),
    'an errno': (rule(event='none', iotype='read', errno=13), 'read 0 4k'),
    'once': (rule(event='read_aio', once='on'), 'read 0 4k; read 0 4k; write 0 4k'),
    'not once': (rule(event='read_aio', once='off'), 'read 0 4k; read 0 4k; write 0 4k'),
    'sector': (rule(event='none', sector=9), 'read 0 4k; read 4k 512; read 4608 512; write 0 4608; write 4k 4k'),
    'sector -1': (rule(event='none', sector=-1), 'read 0 4k'),
    'errno 0': (rule(event='none', errno=0) + rule(event='none', errno=5), 'read 0 4k; write 0 4k'),
    'one after another': (rule(event='none', iotype='read') + rule(event='write_aio', iotype='write', once='on'),
                          'read 0 4k; write 0 4k; read 0 4k; write 0 4k'),
    'two of one event': (rule(event='write_aio', iotype='read', errno=28) + rule(event='write_aio', errno=5),
                         'write 0 4k; read 0 4k'),
    'the second write': (change(event='write_aio', state=1, new_state=2) + rule(event='write_aio', state=2),
                         'write 0 4k; read 0 4k; write 0 4k; read 0 4k'),
    'another state': (rule(event='none', state=2), 'read 0 4k; write 0 4k'),
    'any state': (change(event='read_aio', new_state=7) + rule(event='write_aio', state=7, iotype='write'),
                  'write 0 4k; read 0 4k; write 0 4k'),
    'the first change counts': (change(event='read_aio', new_state=2) + change(event='read_aio', new_state=3) +
                                rule(event='write_aio', state=3, errno=28) + rule(event='write_aio', state=2),
                                'read 0 4k; write 0 4k'),
    'until a flush': (DOOR, 'write 0 4k; write -z 0 4k; flush; write 0 4k; write 4k 4k'),
    'an unused event': (rule(event='l2_load'), 'read 0 4k; write 0 4k'),
    'immediately': (rule(event='read_aio', immediately='on'), 'read 0 4k'),
    'a comment': ('# nothing\n\n' + rule(event='none', iotype='read'), 'read 0 4k'),
    'a name': (rule(event='none', iotype='read').replace(']', ' "x"]'), 'read 0 4k'),
    **{f'iotype {kind}': (rule(event='none', iotype=kind), 'read 0 4k; write 0 4k; write -z 0 4k; discard 0 4k')
       for kind in ('read', 'write', 'write-zeroes', 'discard', 'block-status')},
}

# Both refuse them
BAD_CONFIGS = {
    'nonsense': 'nonsense\n',
    'no such group': '[nosuch]\n',
    'no end of the group': '[inject-error\n',
    'no group': 'event = "none"\n',
    'no such event': rule(event='nosuch'),
    'no such key': rule(event='none', nosuch=1),
    'no such iotype': rule(event='none', iotype='nosuch'),
    'no quotes': '[inject-error]\nevent = none\n',
    'no number': rule(event='none', errno='abc'),
    'no boolean': rule(event='none', once='1'),
    'nothing in a group': '[inject-error]\n',
}

LIMITS_REFUSED = ['align=3', 'max-transfer=4G', 'align=4k,max-transfer=1024', 'align=4k,opt-write-zero=1024',
                  'opt-write-zero=4096,max-write-zero=6144', 'align=4k,opt-discard=512',
                  'opt-discard=4096,max-discard=6144']
LIMITS = ['align=4k', 'align=4k,max-transfer=4k', 'max-transfer=512', 'max-transfer=0', 'opt-write-zero=4k',
          'opt-write-zero=4k,max-write-zero=8k', 'max-write-zero=512', 'opt-discard=4k',
          'opt-discard=4k,max-discard=8k', 'align=4k,opt-write-zero=8k,max-transfer=4k']

BREAKS = {
    'stop and resume': 'break write_aio A; aio_write -P 1 0 4k; wait_break A; resume A; aio_flush; read -P 1 0 4k',
    'nothing is done before': 'break pwritev A; aio_write -P 1 0 4k; wait_break A; read -P 0 0 4k; resume A; aio_flush;'
                              'read -P 1 0 4k',
    'all is done before': 'break pwritev_done A; aio_write -P 1 0 4k; wait_break A; read -P 1 0 4k; resume A;'
                          'aio_flush',
    'for one request': 'break write_aio A; aio_write -P 1 0 4k; wait_break A; write -P 2 4k 4k; resume A; aio_flush',
    'a read': 'break read_aio A; aio_read 0 4k; wait_break A; write -P 3 0 4k; resume A; aio_flush',
    'two': 'break write_aio A; aio_write -P 1 0 4k; wait_break A; break write_aio B; aio_write -P 2 0 4k; wait_break B;'
           'resume B; sleep 50; resume A; aio_flush; read -P 1 0 4k',
    'two points': 'break write_aio A; break pwritev_done B; aio_write -P 1 0 4k; wait_break A; resume A;'
                  'wait_break B; resume B; aio_flush',
    'remove before': 'break write_aio A; remove_break A; write 0 4k',
    'no such event': 'break nosuch A',
    'no such tag': 'resume A; remove_break A; break read_aio A; resume A',
    'bad counts': 'break write_aio; wait_break; resume; remove_break A B',
    'head': 'break pwritev_rmw_head A; aio_write -P 10 0x1200 0x200; wait_break A; aio_write -P 11 0x1400 0x200;'
            'sleep 50; resume A; aio_flush; read -P 10 0x1200 0x200; read -P 11 0x1400 0x200; read -P 0 0x1600 0xa00',
    'after the head': 'break pwritev_rmw_after_head A; aio_write -P 10 0x1200 0x200; wait_break A;'
                      'aio_write -P 11 0x1400 0x200; sleep 50; resume A; aio_flush; read -P 10 0x1200 0x200;'
                      'read -P 11 0x1400 0x200; read -P 0 0x1000 0x200',
    'after the tail': 'break pwritev_rmw_after_tail A; aio_write -P 10 0xe000 0x1800; wait_break A;'
                      'aio_write -P 11 0xf000 0xc00; sleep 50; resume A; aio_flush; read -P 10 0xe000 0x1000;'
                      'read -P 11 0xf000 0xc00; read -P 10 0xfc00 0xc00',
    'two heads': 'break pwritev_rmw_head A; aio_write -P 10 0x1200 0x200; wait_break A; break pwritev_rmw_after_head B;'
                 'aio_write -P 11 0x5200 0x200; wait_break B; aio_write -P 12 0x3000 0x1000; sleep 50; resume B; sleep 50;'
                 'resume A; aio_flush; read -P 10 0x1200 0x200; read -P 11 0x5200 0x200; read -P 12 0x3000 0x1000',
    'a head and a tail': 'break pwritev_rmw_after_tail A; aio_write -P 10 0x8000 0x800; wait_break A;'
                         'break pwritev_rmw_head B; aio_write -P 11 0x2a00 0x1000; wait_break B; resume A; sleep 50;'
                         'resume B; aio_flush; read -P 10 0x8000 0x800; read -P 11 0x2a00 0x1000; read -P 0 0x8800 0x800',
    'two in a unit, and one beside': 'break pwritev_rmw_after_head A; aio_write -P 10 0x1200 0x200; wait_break A;'
                                     'aio_write -P 11 0x1400 0x200; aio_write -P 12 0x2000 0x200; sleep 50; resume A;'
                                     'aio_flush; read -P 10 0x1200 0x200; read -P 11 0x1400 0x200; read -P 12 0x2000 0x200',
}


def words(image, config=None, more=''):
    text = f'driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={image}'
    if config:
        text += f',file.config={config}'
    return text + ''.join(f',file.{option}' for option in more.split(',') if option)


def commands(text):
    return [word for command in text.split(';') for word in ('-c', command.strip())]


def said(done):
    """Without durations; the reports of requests in the background in any order"""
    lines = [line for line in done.stdout.splitlines() if ' ops; ' not in line]
    return sorted(lines)


def image(folder, name):
    path = folder / name
    path.write_bytes(bytes(1 << 20))
    return path


def test_same(folder, config, text, limits=''):
    need('qemu-io')
    if config is not None:
        (folder / 'config').write_text(config)
    results = []
    for program, name in (('qemu-io', 'q'), (IO, 'm')):
        path = image(folder, name)
        options = words(path, config is not None and folder / 'config', limits)
        done = run(program, '-t', 'writeback', '--image-opts', options, *commands(text))
        results.append((done, path.read_bytes()))
    (theirs, their_bytes), (ours, our_bytes) = results
    equal(said(ours), said(theirs), 'output')
    equal(ours.returncode, theirs.returncode, 'exit status')
    check(our_bytes == their_bytes, 'the files differ')


def test_refused(folder, config, limits=''):
    need('qemu-io')
    if config is not None:
        (folder / 'config').write_text(config)
    for program in ('qemu-io', IO):
        options = words(image(folder, 'a'), config is not None and folder / 'config', limits)
        fails(program, '--image-opts', options, '-c', 'read 0 512')


def test_row(folder, event, row):
    """Has it happened? Then the rule holds, and a discard fails. (Where a read fails that is part of a write, theirs
    goes on and writes what it did not read)"""
    test_same(folder, rule(event=event, iotype='discard', errno=28), f'{row}; discard -q 64k 4k', 'align=4k')


for name, (config, text) in CONFIGS.items():
    suite.test(f'config: {name}', test_same, config, text)
for name, config in BAD_CONFIGS.items():
    suite.test(f'refused: {name}', test_refused, config)
for limits in LIMITS_REFUSED:
    suite.test(f'refused: {limits}', test_refused, None, limits)
for limits in LIMITS:
    suite.test(f'limits: {limits}', test_same, None, 'write -P 7 0 64k; write -P 8 100 30000; write -z 5000 20000;'
               'discard 4k 16k; read -P 8 100 4900; read -P 0 5000 20000; read -P 8 25000 5100;'
               'read -P 7 30100 1000', limits)
for event in EVENTS:
    for row in ROWS:
        if event != 'read_aio' or 'write' not in row:       # they do not count the reads that are part of a write
            suite.test(f'event {event}: {row}', test_row, event, row)
for name, text in BREAKS.items():
    suite.test(f'break: {name}', test_same, None, text, 'align=4k')


@suite.fact
def failed_flush(folder):
    """iotype=flush: of a flush that fails at the end only we say so"""
    (folder / 'config').write_text(rule(event='none', iotype='flush'))
    for program, status in (('qemu-io', 0), (IO, 1)):
        need(program)
        done = run(program, '-t', 'writeback', '--image-opts', words(image(folder, 'image'), folder / 'config'),
                   *commands('read 0 4k; write 0 4k; write -z 0 4k; discard 0 4k'))
        check(not any('failed' in line for line in said(done)), 'a request failed')
        equal(done.returncode, status, 'exit status')


@suite.fact
def failed_read_of_a_write(folder):
    """A write of a part of a sector that can't be read fails, and leaves the rest of it alone"""
    (folder / 'config').write_text(rule(event='none', iotype='read'))
    path = image(folder, 'image')
    path.write_bytes(b'\1' * 8192)
    fails(IO, '--image-opts', words(path, folder / 'config', 'align=4k'), '-c', 'write -P 2 512 512')
    check(path.read_bytes() == b'\1' * 8192, 'the sector was changed')


@suite.fact
def name_form(folder):
    """blkdebug:CONFIG:FILE"""
    (folder / 'a,b').write_text(rule(event='read_aio', iotype='read'))
    for program in ('qemu-io', IO):
        need(program)
        image(folder, 'image')
        for name, expected in (('blkdebug:a,b:image', 1), ('blkdebug::image', 0), ('blkdebug:image', 1),
                               ('blkdebug:missing:image', 1), ('blkdebug::missing', 1)):
            done = run(program, '-f', 'raw', '-c', 'read 0 512', name, cwd=folder)
            equal(done.returncode, expected, f'exit status of {shlex.join((program, name))}')
            equal('read failed' in done.stdout, 'a,b' in name, f'a failed read in {shlex.join((program, name))}')


@suite.fact
def opened_later(folder):
    """open -o file.align=4k blkdebug::FILE"""
    works(IO, *commands(f'open -o driver=raw,file.align=4k blkdebug::{image(folder, "image")};'
                        'break pwritev_rmw_head A; aio_write 512 512; wait_break A; resume A; aio_flush'))


@suite.fact
def nobody_is_left(folder):
    """Who is stopped at the end goes on, and the program ends"""
    path = image(folder, 'image')
    works(IO, '--image-opts', words(path), *commands('break write_aio A; aio_write -P 1 0 512; wait_break A'))
    check(path.read_bytes()[:512] == b'\1' * 512, 'it did not write')


@suite.fact
def flush_in_vain(folder):
    """aio_flush does not wait for who is stopped"""
    done = run(IO, '--image-opts', words(image(folder, 'image')),
               *commands('break write_aio A; aio_write 0 512; aio_flush'))
    equal(done.returncode, 1, 'exit status')
    check(re.search("Request 'A' is suspended", done.stdout), done.stdout)


@suite.fact
def wait_in_vain(folder):
    """wait_break fails if nobody can come"""
    done = run(IO, '--image-opts', words(image(folder, 'image')),
               *commands('break write_aio A; aio_read 0 512; wait_break A'))
    equal(done.returncode, 1, 'exit status')
    check(re.search("No request is left that could be suspended as 'A'", done.stdout), done.stdout)


@suite.fact
def warning(folder):
    """An event that never happens is warned about"""
    options = words(image(folder, 'image'), None, 'inject-error.0.event=l2_load')
    done = run(IO, '--image-opts', options, '-c', 'read 0 512')
    equal(done.returncode, 0, 'exit status')
    check("event 'l2_load' never happens" in done.stderr, done.stderr)


@suite.fact
def many_stopped(folder):
    """More requests wait than would be started without breakpoints"""
    path = image(folder, 'image')
    more = '; '.join(f'break write_aio T{i}; aio_write -P 5 {i * 4096} 4k; wait_break T{i}' for i in range(70))
    works(IO, '--image-opts', words(path), *commands(more + '; ' + '; '.join(f'resume T{i}' for i in range(70))))
    check(path.read_bytes()[:70 * 4096] == b'\5' * (70 * 4096), 'not all of them have written')


suite.main()
