# mutants.py - each protection against power cuts is taken out in turn, and crash-kit has to see it
# SPDX-License-Identifier: MIT
"""mutants.py SOURCE BUILD [NAME...]: for each mutant one file of the library is changed, in a copy, compiled as the
build folder would, and linked with the rest of crash-kit. A change whose text is not found exactly once is a failure:
the code has moved on, and the mutant has to follow."""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile

SOURCE, BUILD = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
WANTED = sys.argv[3:]
KIT = 'tests/crash/crash-kit'

# A state that is bad; or the scenario itself can't be run any more
SEEN = (1, -signal.SIGABRT, -signal.SIGTRAP)

RETAKE = '--fail write:12:5:1:torn dynamic/4k/retake'
RETAKE_BAT = '--fail write:15:5 dynamic/4k/retake'
UNREADY = '--fail flush:1:5 dynamic/4k/retake'

# Name; file; crash-kit's words that see it; pairs of texts, what is there and what is there instead
MUTANTS = [
    ('no barrier before the tables of a child', 'block/format/vpc/tail.c', 'child/512/allocate', [
        ('ret = ret < 0 ? ret : bdrv_node_flush(bs->file);        /* data and bitmaps, before', '/*')]),
    ('a BAT entry does not wait where its place is not ready', 'block/format/vpc/vpc.c', UNREADY, [
        ('    if (vpc_was_ready(bs->state, place)) {', '    if (true) {')]),
    ('no flush behind the tables', 'block/node.c', 'child/16k/allocate', [
        ('ret = priv->tree->alone ? block_answer(node, "flush", node->drv->flush(node)) : -EAGAIN;',
         'ret = priv->tree->alone ? node->drv->flush(node) : -EAGAIN;\n        ret = ret < 0 ? ret : 1;')]),
    ('tables are not written', 'block/format/vpc/tail.c', 'child/16k/allocate', [
        ('return ret < 0 ? ret : bdrv_meta_write(bs);', 'return ret;')]),
    ('a BAT entry is forgotten', 'block/format/vpc/vpc.c', 'dynamic/4k/allocate', [
        ('        bdrv_meta_put(bs, piece->start, entry - piece->data, 4);\n', '        ;\n')]),
    ('a BAT entry that could not be written is forgotten', 'block/metacache.c', RETAKE_BAT, [
        ('page->data + first * SECTOR, end - first * SECTOR) < 0) {',
         'page->data + first * SECTOR, end - first * SECTOR) < -4095) {')]),
    ('a bitmap is forgotten', 'block/format/vpc/tail.c', 'dynamic/4k/allocate', [
        ('        ret = bdrv_node_pwrite(bs->file, place + done * stride, bitmap, s->bitmap_bytes);', '        ret = 0;')]),
    ('bitmaps ahead are not durable', 'block/format/vpc/tail.c', 'dynamic/4k/allocate', [
        ('    ret = left > count ? reserve_ahead(bs, place + count * stride) : bdrv_node_flush(bs->file);',
         '    ret = 0;')]),
    ("bits of a child are set before the data's barrier", 'block/format/vpc/vpc.c', 'child/16k/random', [
        ('    bdrv_meta_dirty(bs, place, first / 8,', '    bdrv_meta_put(bs, place, first / 8,')]),
    ('bits of a child are forgotten', 'block/format/vpc/vpc.c', 'child/16k/allocate', [
        ('    bdrv_meta_dirty(bs, place, first / 8, (last - 1) / 8 - first / 8 + 1);\n', '')]),
    ('a block is linked before its data is written', 'block/map.c', 'dynamic/4k/random:0 child/512/allocate', [
        ('    if (ret == 0) {\n        ret = bdrv_node_writev(ext->node, walk->at, bytes_of(walk));\n    }\n', ''),
        ('        ret = block_answer(bs, "map_done", bs->drv->map_done(bs, ext));\n'
         '        pthread_mutex_unlock(&bs->priv->map_lock);\n    }\n',
         '        ret = bs->drv->map_done(bs, ext);\n        pthread_mutex_unlock(&bs->priv->map_lock);\n    }\n'
         '    if (ret == 0) {\n        bs->drv->flush(bs);\n'
         '        ret = bdrv_node_writev(ext->node, walk->at, bytes_of(walk));\n    }\n')]),
    ('what a write does not cover is not filled from the parent', 'block/map.c', 'child/16k/allocate', [
        ('if (!whole && !(ext->flags & BLOCK_EXTENT_ZEROED)) {', 'if (false && !whole) {')]),
    ("what a longer device has behind the image is in new blocks", 'block/format/vpc/open.c', 'device/dynamic/allocate', [
        ('    s->room.zero_from = s->tail_inside ? INT64_MAX : 0;', '    s->room.zero_from = 0;')]),
    ('the footer further out is not made durable', 'block/format/vpc/tail.c', 'dynamic/4k/allocate', [
        ('    if (ret == 0) {\n        ret = bdrv_node_flush(bs->file);\n    }\n    if (ret < 0) {\n'
         '        undo_tail(bs, tail, size);',
         '    if (ret < 0) {\n        undo_tail(bs, tail, size);')]),
    ('the footer is written late', 'block/format/vpc/tail.c', 'dynamic/4k/allocate', [
        ('    int ret = bdrv_node_pwrite(bs->file, tail, &s->footer, sizeof(s->footer));\n    if (ret == 0) {\n'
         '        ret = bdrv_node_flush(bs->file);',
         '    int ret = 0;\n    if (ret == 0) {\n        ret = bdrv_node_flush(bs->file);')]),
    ('the last block of the room lies on the footer', 'block/format/vpc/tail.c', 'dynamic/2m/grow', [
        ('    if (place_end(s, place) <= s->tail_at) {',
         '    if (place_end(s, place) <= s->tail_at + s->block_size + 8192) {')]),
    ('the footer that was moved away from stays in the room', 'block/format/vpc/tail.c', 'child/2k/allocate', [
        ('        clear_footer(bs, old);', '        (void)clear_footer;')]),
    ('tables of a child are written before the barrier of more room', 'block/format/vpc/tail.c', 'child/14m/grow', [
        ('    int ret = vpc_move_tail(bs, tail);\n',
         '    (void)bdrv_meta_write(bs);\n    int ret = vpc_move_tail(bs, tail);\n')]),
    ('places stay ready when the room is cut off', 'block/format/vpc/tail.c', 'dynamic/512/live-longer', [
        ('    s->room.zero_from = MAX(s->room.zero_from, end);\n    s->room.ready = 0;',
         '    s->room.zero_from = MAX(s->room.zero_from, end);')]),
    ('a place that was used before is not made zero', 'block/format/vpc/tail.c', RETAKE, [
        ('    return place < spoilt ? ', '    return false ? ')]),
    ('close cuts the room off before the footer is there', 'block/format/vpc/tail.c', 'dynamic/4k/reopen', [
        ('    int ret = s->tail_at > s->blocks_end ? vpc_move_tail(bs, s->blocks_end) : 0;\n', '    int ret = 0;\n    s->tail_at = s->blocks_end;\n'),
        ('        ret = set_length(bs, s->tail_at + VPC_SECTOR);\n',
         '        ret = set_length(bs, s->tail_at + VPC_SECTOR);\n        vpc_move_tail(bs, s->blocks_end);\n')]),
    ('close cuts off the footer, too', 'block/format/vpc/tail.c', 'dynamic/4k/reopen', [
        ('set_length(bs, s->tail_at + VPC_SECTOR)', 'set_length(bs, s->tail_at)')]),
    ('close does not flush', 'block/open.c', 'child/16k/reopen fixed/overwrite', [
        ('    int ret = bdrv_flush(bs);\n\n    tree->alone = true;', '    int ret = 0;\n\n    tree->alone = true;')]),
    ('FUA is forgotten', 'block/io.c', 'fixed/overwrite dynamic/4k/allocate', [
        ('    if (ret == 0 && promised) {', '    if (ret == 0 && promised && !(flags & BDRV_REQ_FUA)) {')]),
    ('a flush is forgotten where no table was changed', 'block/node.c', 'fixed/overwrite dynamic/4k/overwrite', [
        ('    if (node->drv->map) {\n        ret = flush_format(node);\n',
         '    if (node->drv->map) {\n        if (node->priv->dirty_pages == 0) {\n            return 0;\n        }\n'
         '        ret = flush_format(node);\n')]),
    ('zeroes hide nothing of the parent', 'block/map.c', 'child/16k/zero', [
        ('    return ret < 0 || st.zero ? ret : bdrv_mapped_write(', '    return true ? ret : bdrv_mapped_write(')]),
    ('create does not flush', 'block/create.c', 'dynamic/4k/create fixed/create', [
        ('    int ret = bs->file ? bdrv_node_flush(bs->file) : 0;', '    int ret = 0;')]),
    ('a commit does not flush', 'block/commit.c', 'base', [
        ('return n < 0 ? n : bdrv_node_flush(c->base);', 'return n < 0 ? n : 0;')]),
    ('a rebase changes the parent before the data is durable', 'block/rebase.c', 'child/16k/rebase child/512/rebase', [
        ('    ret = ret < 0 ? ret : bdrv_node_flush(r->bs);\n', '')]),
    ('a rebase refers to a header that is not durable', 'block/format/vpc/rebase.c', 'child/512/rebase', [
        ('    return ret < 0 ? ret : bdrv_node_flush(bs->file);\n}\n\n/* Take steps 1 and 2',
         '    return ret;\n}\n\n/* Take steps 1 and 2')]),
    ('a rebase writes the new header over the old one', 'block/format/vpc/rebase.c', 'child/512/rebase child/512/relink', [
        ('    return ret < 0 ? ret : rebase_write_header(bs, header, at);',
         '    return ret < 0 ? ret : rebase_write_header(bs, header, *header_at = 512);')]),
    ('a rebase or a resize does not wait before it goes home', 'block/format/vpc/tail.c', 'child/512/relink dynamic/512/longer', [
        ('    if (ret == 0) {\n        ret = bdrv_node_flush(bs->file);\n    }\n    s->rewrite_footers = ret < 0;',
         '    s->rewrite_footers = ret < 0;')]),
    ('an image that comes to stand alone is not completed', 'block/format/vpc/rebase.c', 'child/16k/alone', [
        ('    if (ret == 0 && !parent) {\n        ret = each_block(bs, clear_unset);',
         '    if (ret == 0 && false) {\n        ret = each_block(bs, clear_unset);')]),
    ('a fixed disk shows where its footer was', 'block/format/vpc/resize.c', 'fixed/longer', [
        ('    if (ret == 0 && size > seen) {', '    if (ret == 0 && false) {')]),
    ('a fixed disk has its new size before that', 'block/format/vpc/resize.c', 'fixed/longer', [
        ('        ret = ret < 0 ? ret : bdrv_node_flush(bs->file);\n    }\n    ret = ret < 0 ? ret : vpc_change_footer',
         '    }\n    ret = ret < 0 ? ret : vpc_change_footer')]),
    ('a fixed disk is cut off before it has its new size', 'block/format/vpc/resize.c', 'fixed/shorter', [
        ('    int64_t was = s->tail_at;\n',
         '    int64_t was = s->tail_at;\n    if (size < was) {\n        vpc_move_tail(bs, size);\n'
         '        bdrv_node_truncate(bs->file, size + VPC_SECTOR, NULL);\n    }\n')]),
    ('what a longer parent has comes to be seen', 'block/format/vpc/resize.c', 'child/long-parent/longer', [
        ('    if (end <= seen) {', '    if (true) {')]),
    ('a resize refers to tables that are not durable', 'block/format/vpc/relocate.c', 'dynamic/512/longer', [
        ('    return ret < 0 ? ret : bdrv_node_flush(m->bs->file);\n', '    return ret;\n')]),
    ('a resize writes over the BAT that is in use', 'block/format/vpc/relocate.c', 'dynamic/in-the-way/much-longer', [
        ('lay_out(m, &m->above, header, header + (int64_t)sizeof(VpcHeader));',
         'lay_out(m, &m->above, header, m->home.bat);')]),
    ('blocks stay in the way of a longer BAT', 'block/format/vpc/relocate.c', 'dynamic/in-the-way/much-longer', [
        ('|| !is_in_way(&m->home, place,', '|| true || !is_in_way(&m->home, place,')]),
    ('locators stay in the way of a longer BAT', 'block/format/vpc/relocate.c', 'child/512/much-longer', [
        ('    return be32_load(l->code) && (', '    return false && (')]),
    ('a block is filled into a gap and not waited for', 'block/format/vpc/gaps.c', 'dynamic/512/compact', [
        ('    return ret < 0 ? ret : bdrv_node_flush(g->bs->file);\n}\n\n/* Write', '    return ret;\n}\n\n/* Write')]),
    ('its old place is given up before its entry is changed', 'block/format/vpc/gaps.c', 'dynamic/512/compact', [
        ('    return ret < 0 ? ret : bdrv_node_flush(g->bs->file);\n}\n\nint vpc_fill', '    return ret;\n}\n\nint vpc_fill')]),
    ('a repair cuts the file off before its footer is there', 'block/format/vpc/repair.c', 'dynamic/4k/repair-leak', [
        ('    int ret = vpc_move_tail(c->bs, c->end);\n\n    s->read_limit = c->end;\n    return ret < 0 ? ret : cut_file(c);',
         '    s->read_limit = c->end;\n    int ret = cut_file(c);\n    return ret < 0 ? ret : vpc_move_tail(c->bs, c->end);')]),
    ('a repair writes the wrong one of two footers', 'block/format/vpc/repair.c', 'dynamic/4k/repair-tail', [
        ('bdrv_node_pwrite(c->bs->file, c->new_tail, &s->footer, sizeof(s->footer));',
         'bdrv_node_pwrite(c->bs->file, 0, &c->ends.tail, sizeof(s->footer));')]),
]


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def compile_command(path):
    """How the build folder compiles a file into the library"""
    with open(BUILD / 'compile_commands.json', encoding='utf-8') as file:
        for entry in json.load(file):
            source = (pathlib.Path(entry['directory']) / entry['file']).resolve()
            if source == SOURCE / path and 'libinner' in entry['command']:
                return shlex.split(entry['command'])
    sys.exit(f'{BUILD} does not compile {path}')


def link_words(target):
    done = run(['ninja', '-C', str(BUILD), '-t', 'commands', target])
    return shlex.split(done.stdout.splitlines()[-1])


def link_command():
    """As crash-kit is linked, but with the library that has all names, so that an object before it counts, and with
    what the shared one is linked with"""
    library = next(word for word in link_words(KIT) if re.match(r'[^-].*libminiblk\.(so|a)', word))
    others = [word for word in link_words(library) if re.fullmatch(r'-l.*|/.*\.so[.0-9]*', word)]
    return ['block/libinner.a' if word == library else word for word in link_words(KIT)] + others


def mutate(path, changes):
    text = (SOURCE / path).read_text(encoding='utf-8')
    for old, new in changes:
        count = text.count(old)
        if count != 1:
            raise ValueError(f'found {count} times in {path}, should be once:\n{old}')
        text = text.replace(old, new)
    return text


def build(folder, path, changes):
    """crash-kit, changed; a ValueError if it can't be"""
    source, target = folder / pathlib.Path(path).name, folder / 'mutant.o'
    source.write_text(mutate(path, changes), encoding='utf-8')
    words = compile_command(path)
    words[words.index('-c') + 1] = str(source)
    words[words.index('-o') + 1] = str(target)
    for option in ('-MD', '-Werror'):
        if option in words:
            words.remove(option)
    for option in ('-MQ', '-MF'):
        if option in words:
            del words[words.index(option):words.index(option) + 2]
    words += ['-O1', '-I', str((SOURCE / path).parent), '-w']
    link = link_command()
    link[link.index('-o') + 1] = str(folder / 'crash-kit')
    link.insert(link.index('-o') + 2, str(target))
    for command in (words, link):
        done = run(command, cwd=BUILD)
        if done.returncode:
            raise ValueError(f'{shlex.join(command)}\n{done.stdout}')
    return folder / 'crash-kit'


def try_words(kit, words, folder):
    return run([str(kit), 'run', '--peers', '0', '--stop-after', '1', *words.split()],
               env={**os.environ, 'TMPDIR': str(folder)}, timeout=300)


def judge(mutant):
    """What is wrong with the mutant; None: it was seen"""
    _, path, words, changes = mutant
    base = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix='miniblk-mutant-', dir=base) as name:
        folder = pathlib.Path(name)
        try:
            kit = build(folder, path, changes)
            done = try_words(kit, words, folder)
        except (ValueError, subprocess.TimeoutExpired) as problem:
            return str(problem)
        if changes and done.returncode not in SEEN:
            return f'{words}: exit status {done.returncode}: it was not seen\n{done.stdout}'
        if not changes and done.returncode != 0:
            return f'{words}: exit status {done.returncode}, should be 0\n{done.stdout}'
    return None


def main():
    plain = ' '.join(dict.fromkeys(word for mutant in MUTANTS if not mutant[2].startswith('--fail')
                                   for word in mutant[2].split()))
    cases = [('nothing is changed, and nothing is seen', 'block/format/vpc/vpc.c', plain, []),
             ('nothing is changed, a request fails, and nothing is seen', 'block/format/vpc/vpc.c', RETAKE, []), *MUTANTS]
    cases = [case for case in cases if not WANTED or case[0] in WANTED]
    failed = False
    print(f'1..{len(cases)}')
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for i, (case, problem) in enumerate(zip(cases, pool.map(judge, cases)), 1):
            print(f'{"not " if problem else ""}ok {i} - {case[0]}', flush=True)
            for line in (problem or '').splitlines():
                print(f'# {line}')
            failed |= problem is not None
    sys.exit(1 if failed else 0)


main()
