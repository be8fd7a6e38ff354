/* requests.c - what a guest does with an image while a log is kept, and what it knows afterwards */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "recorder.h"

enum { SECTOR = 512 };

uint8_t guest_value(const GuestOp *op, int64_t at)
{
    if (op->found) {
        return op->found[at - op->offset];
    }
    return op->kind == GUEST_WRITE ? kit_byte(at, op->stamp) : 0;
}

/* Opening and closing */

/* For what never grows. @node: where the log is. Storage says so itself */
static char *window_options(const Recorder *rec, const char *node)
{
    return !rec->r->fixed_length || rec->file.disk ? g_strdup("") : g_strdup_printf(
        ",%s.file.driver=raw,%s.file.size=%" PRId64, node, node, medium_size(&rec->file));
}

/* Nothing is really flushed, neither file nor log: it is the log that counts */
char *with_log(const Recorder *rec, const char *options, const char *node, bool append)
{
    const char *above = rec->above;
    g_autofree char *key = g_strconcat(node, above ? ".image" : "", NULL), *log = escaped(rec->guest.log);
    g_autofree char *window = window_options(rec, key);

    return g_strdup_printf("%s%s%s,%s.driver=blklogwrites,%s.log.filename=%s,%s.log.cache.no-flush=on,"
                           "%s.log-append=%s,%s.file.cache.no-flush=on%s",
                           options, above ? "," : "", above ? above : "", key, key, log, key, key,
                           append ? "on" : "off", key, window);
}

void open_logged(Recorder *rec, bool append)
{
    g_autofree char *options = with_log(rec, rec->image->open, "file", append);
    unsigned flags = BDRV_O_RDWR | BDRV_O_UNMAP;

    if (rec->image->through) {
        flags |= BDRV_O_WRITETHROUGH | (rec->opts->killed ? BDRV_O_NO_FLUSH : 0);
    }
    if (rec->opts->qemu) {
        guest_open_qemu(&rec->guest, &rec->file, rec->above, append);
    } else {
        guest_open(&rec->guest, &rec->file, options, flags);
    }
}

/* Whoever of the two failed */
int close_guest(Recorder *rec)
{
    unsigned errors = guest_errors(&rec->guest);
    int ret = guest_close(&rec->guest);

    rec->r->errors += MAX(errors, (unsigned)(ret < 0));
    g_assert_true(ret == 0 || rec->opts->fault.iotype);
    if (ret == 0) {
        rec->r->settled = guest_entries(&rec->guest);
    }
    return ret;
}

/* Ops */

/* Bits of blocks that are there wait for a flush: where there is a parent, or others left some of them clear */
static bool has_clear_bits(const Recorder *rec)
{
    return rec->parent != PARENT_NONE || rec->r->tolerated;
}

static GuestOp *begin_op(Recorder *rec, int kind, int64_t offset, int64_t bytes)
{
    GuestOp op = { .kind = kind, .offset = offset, .bytes = bytes, .stamp = rec->r->ops->len + 1,
                   .lasts = kind == GUEST_FLUSH, .begin = guest_entries(&rec->guest),
                   .kept = !has_clear_bits(rec) || rec->image->through || rec->opts->qemu };

    rec->r->lazy += !op.kept && kind != GUEST_FLUSH;
    g_array_append_val(rec->r->ops, op);
    return &g_array_index(rec->r->ops, GuestOp, rec->r->ops->len - 1);
}

static void end_op(Recorder *rec, GuestOp *op)
{
    op->end = guest_entries(&rec->guest);
    for (int64_t i = op->offset; i < op->offset + op->bytes; i++) {
        rec->now[i] = guest_value(op, i);
    }
}

/* Now @op and what came before it is on disk */
static void add_flush(Recorder *rec)
{
    end_op(rec, begin_op(rec, GUEST_FLUSH, 0, 0));
}

static void note_damage(Recorder *rec, int64_t at, uint8_t is, uint8_t should, uint8_t or, const char *when)
{
    if (!rec->r->damage) {
        rec->r->damage = g_strdup_printf("byte %" PRId64 " is 0x%02x %s, should be 0x%02x or 0x%02x", at, is, when,
                                         should, or);
    }
}

/* What lies inside the disk, though reads never fail. False: it can't be */
static bool read_back(Recorder *rec, int64_t offset, uint8_t *buf, int64_t bytes)
{
    int ret = guest_read(&rec->guest, offset, buf, bytes);

    g_assert_true(ret == 0 || rec->opts->fault.iotype);
    if (ret < 0 && !rec->r->damage) {
        rec->r->damage = g_strdup_printf("%" PRId64 " bytes at %" PRId64 " can't be read after errors: %s", bytes, offset,
                                         g_strerror(-ret));
    }
    return ret == 0;
}

void check_view(Recorder *rec)
{
    g_autofree uint8_t *got = g_malloc((gsize)rec->size);

    if (!read_back(rec, 0, got, rec->size)) {
        return;
    }
    for (int64_t i = 0; memcmp(got, rec->now, (size_t)rec->size) && i < rec->size; i++) {
        if (got[i] != rec->now[i]) {
            note_damage(rec, i, got[i], rec->now[i], rec->now[i], "after errors, though no request was for it");
            break;
        }
    }
}

/* Each byte is what it was, or what @wanted says */
static void find_out(Recorder *rec, GuestOp *op, const uint8_t *wanted)
{
    int64_t bytes = CLAMP(rec->size - op->offset, 0, op->bytes);

    op->found = g_memdup2(rec->now + op->offset, (gsize)op->bytes);
    if (!read_back(rec, op->offset, op->found, bytes)) {
        memcpy(op->found, rec->now + op->offset, (size_t)op->bytes);
    }
    for (int64_t i = 0; i < bytes; i++) {
        uint8_t was = rec->now[op->offset + i];

        if (op->found[i] != wanted[i] && op->found[i] != was) {
            note_damage(rec, op->offset + i, op->found[i], was, wanted[i], "after a request that failed");
        }
    }
    end_op(rec, op);
}

/* With what came of it. A failed flush has changed nothing */
static void answer_op(Recorder *rec, GuestOp *op, int ret, const uint8_t *wanted)
{
    if (ret == 0) {
        end_op(rec, op);
        if (rec->image->through) {
            add_flush(rec);
        }
        return;
    }
    g_assert_nonnull(rec->opts->fault.iotype);
    rec->r->errors += rec->opts->qemu;
    op->kind = GUEST_OTHER;
    op->lasts = false;
    find_out(rec, op, wanted);
}

static int do_flush(Recorder *rec)
{
    GuestOp *op = begin_op(rec, GUEST_FLUSH, 0, 0);
    int ret = guest_flush(&rec->guest);

    answer_op(rec, op, ret, NULL);
    return ret;
}

static void do_write(Recorder *rec, int64_t offset, int64_t bytes, unsigned flags)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);
    GuestOp *op = begin_op(rec, GUEST_WRITE, offset, bytes);

    kit_fill(buf, offset, bytes, op->stamp);
    int ret = guest_write(&rec->guest, offset, buf, bytes, flags);

    answer_op(rec, op, ret, buf);
    if (ret == 0 && flags & BDRV_REQ_FUA) {         /* like a write and a flush of it, and so of all before it */
        add_flush(rec);
    }
}

static void do_zero(Recorder *rec, int64_t offset, int64_t bytes, unsigned flags)
{
    g_autofree uint8_t *zeroes = g_malloc0((gsize)bytes);
    GuestOp *op = begin_op(rec, GUEST_ZERO, offset, bytes);

    answer_op(rec, op, guest_zero(&rec->guest, offset, bytes, flags), zeroes);
}

/* QEMU has none for a VHD */
static void do_discard(Recorder *rec, int64_t offset, int64_t bytes)
{
    if (rec->opts->qemu) {
        return;
    }
    g_autofree uint8_t *zeroes = g_malloc0((gsize)bytes);
    GuestOp *op = begin_op(rec, GUEST_OTHER, offset, bytes);
    int ret = bdrv_pdiscard(rec->guest.bs, offset, bytes);

    g_assert_true(ret == 0 || rec->opts->fault.iotype);
    find_out(rec, op, zeroes);
    if (ret == 0 && rec->image->through) {
        add_flush(rec);
    }
}

/* Drivers of formats put it on disk, as they change over from one description of the disk to another. A raw file is
 * just cut */
static void do_resize(Recorder *rec, int64_t wanted)
{
    int64_t was = rec->size, from = MIN(was, wanted), bytes = MAX(was, wanted) - from;
    g_autofree uint8_t *zeroes = g_malloc0((gsize)bytes);
    GuestOp *op = begin_op(rec, GUEST_RESIZE, from, bytes);
    GError *err = NULL;

    op->moves = rec->r->vhd;
    op->lasts = bdrv_truncate(rec->guest.bs, wanted, &err) && rec->r->vhd;
    op->failed = err != NULL;
    rec->size = op->size = bdrv_getlength(rec->guest.bs);
    g_assert_true(err ? rec->opts->fault.iotype && (op->size == was || op->size == wanted) : op->size == wanted);
    if (err) {
        find_out(rec, op, zeroes);
        check_view(rec);
    } else {
        end_op(rec, op);
    }
    memset(rec->now + rec->size, 0, (size_t)(rec->r->most - rec->size));
    bdrv_error_free(err);
}

/* No byte of the disk changes by it. To have other names, or a parent at all, is refused where that makes no sense */
static void do_parent(Recorder *rec, ParentChoice choice)
{
    BlockRebaseOptions opts = { .names_only = choice == PARENT_MOVED };
    const char *file = need_parent(rec, choice);
    GuestOp *op = begin_op(rec, GUEST_OTHER, 0, 0);
    GError *err = NULL;

    op->moves = true;
    op->lasts = bdrv_rebase(rec->guest.bs, file, &opts, &err);
    g_assert_true(op->lasts || rec->opts->fault.iotype);
    bdrv_error_free(err);
    end_op(rec, op);
    if (op->lasts) {
        rec->parent = choice;
    }
    check_view(rec);
}

/* What it wrote before it failed is in the image, and all of it once it is done again */
void do_commit(Recorder *rec)
{
    const Fault *fault = &rec->opts->fault;
    GuestOp *op = begin_op(rec, GUEST_OTHER, 0, rec->size);
    bool ok = false;

    for (unsigned tries = fault->stays ? 1 : fault->times + 2; tries > 0 && !ok; tries--) {
        GError *err = NULL;

        ok = bdrv_commit(rec->guest.bs, 1, NULL, NULL, &err);
        g_assert_true(!err || fault->iotype);
        bdrv_error_free(err);
    }
    find_out(rec, op, rec->now);
    op->lasts = ok;
    rec->unsure = !ok;
    if (!ok && !fault->stays) {
        g_free(rec->r->damage);
        rec->r->damage = g_strdup("the commit can't be done though the disk is well again");
    }
}

void close_logged(Recorder *rec)
{
    GuestOp *op = begin_op(rec, GUEST_FLUSH, 0, 0);

    rec->broken = close_guest(rec) < 0;
    if (rec->broken || rec->unsure) {
        op->kind = GUEST_OTHER;
        op->lasts = false;
    }
    op->end = guest_entries(&rec->guest);
}

/* After a resize that failed the file may have the other size */
static void find_size(Recorder *rec)
{
    int64_t size = rec->guest.bs ? bdrv_getlength(rec->guest.bs) : rec->size;

    if (size != rec->size) {
        g_assert_true(rec->opts->fault.iotype && size <= rec->r->most);
        GuestOp *op = begin_op(rec, GUEST_RESIZE, MIN(size, rec->size), MAX(size, rec->size) - MIN(size, rec->size));

        rec->size = op->size = size;
        op->lasts = true;
        end_op(rec, op);
    }
}

static void do_reopen(Recorder *rec)
{
    close_logged(rec);
    if (!rec->broken) {
        open_logged(rec, true);
        find_size(rec);
    }
}

/* What read-only finds on disk is durable. QEMU's program is told to close and open */
static void do_turn(Recorder *rec)
{
    GError *err = NULL;

    if (!rec->guest.bs) {
        do_reopen(rec);
        return;
    }
    GuestOp *op = begin_op(rec, GUEST_FLUSH, 0, 0);
    bool ok = bdrv_set_read_only(rec->guest.bs, true, &err);

    answer_op(rec, op, ok ? 0 : -bdrv_error_code(err), NULL);
    bdrv_error_free(err);
    g_assert_true(bdrv_is_read_only(rec->guest.bs) == ok);
    if (!bdrv_set_read_only(rec->guest.bs, false, NULL)) {
        g_assert_nonnull(rec->opts->fault.iotype);
        do_reopen(rec);
    }
}

/* Of bytes */
static void do_bytes(Recorder *rec, const Step *step)
{
    int64_t block = rec->image->block, end = (rec->size + block - 1) / block;
    int64_t offset = (step->block < 0 ? MAX(end + step->block, 0) : step->block) * block + step->in;
    int64_t bytes = MIN(step->blocks * block + step->bytes, rec->size - offset);

    if (bytes <= 0) {
        return;
    }
    switch (step->kind) {
    case STEP_WRITE:
        do_write(rec, offset, bytes, 0);
        break;
    case STEP_FUA:
        do_write(rec, offset, bytes, BDRV_REQ_FUA);
        break;
    case STEP_ZERO:
        do_zero(rec, offset, bytes, 0);
        break;
    case STEP_UNMAP:
        do_zero(rec, offset, bytes, BDRV_REQ_MAY_UNMAP);
        break;
    default:
        do_discard(rec, offset, bytes);
    }
}

void do_step(Recorder *rec, const Step *step)
{
    switch (step->kind) {
    case STEP_FLUSH:
        do_flush(rec);
        break;
    case STEP_REOPEN:
        do_reopen(rec);
        break;
    case STEP_TURN:
        do_turn(rec);
        break;
    case STEP_RESIZE:
        do_resize(rec, rec->r->size * step->block / 8 / SECTOR * SECTOR);
        break;
    case STEP_PARENT:
        do_parent(rec, (ParentChoice)step->block);
        break;
    default:
        do_bytes(rec, step);
    }
}

/* By chance */

int64_t recorder_below(Recorder *rec, int64_t n)
{
    return (int64_t)(g_rand_double(rec->rand) * (double)n);
}

void choose_place(Recorder *rec, int64_t *offset, int64_t *bytes)
{
    int64_t unit = recorder_below(rec, 3) ? SECTOR : 1, most = MIN(2 * rec->image->block, 40 * 1024);

    *offset = recorder_below(rec, rec->size) / unit * unit;
    *bytes = (recorder_below(rec, 2) ? recorder_below(rec, 3 * SECTOR) : recorder_below(rec, most)) / unit * unit;
    *bytes = CLAMP(*bytes, 1, rec->size - *offset);
}

void do_something(Recorder *rec)
{
    int64_t offset, bytes;

    choose_place(rec, &offset, &bytes);
    switch (recorder_below(rec, 21)) {
    case 0 ... 10:
        do_write(rec, offset, bytes, 0);
        break;
    case 11 ... 12:
        do_zero(rec, offset, bytes, recorder_below(rec, 2) ? BDRV_REQ_MAY_UNMAP : 0);
        break;
    case 13:
        do_discard(rec, offset, bytes);
        break;
    case 14 ... 17:
        do_flush(rec);
        break;
    case 18:
        do_write(rec, offset, bytes, BDRV_REQ_FUA);
        break;
    case 19:
        do_turn(rec);
        break;
    default:
        do_reopen(rec);
    }
}

/* A copy of the first parent is one for who has that */
void change_something(Recorder *rec)
{
    bool alone = !rec->r->vhd || rec->r->fixed;         /* it can't have a parent */

    if (alone || recorder_below(rec, 2)) {
        do_resize(rec, (1 + recorder_below(rec, 16)) * rec->r->size / 8 / SECTOR * SECTOR);
        return;
    }
    ParentChoice choice = (ParentChoice)recorder_below(rec, PARENT_CHOICES);

    if (choice != PARENT_MOVED || rec->parent == PARENT_FIRST) {
        do_parent(rec, choice);
    }
}

/* The errors that are left are met first */
void live_on(Recorder *rec)
{
    static const Step more[] = {
        { STEP_WRITE, 4, 100, 700, 0 },
        { STEP_WRITE, -1, 0, 300, 0 },
        { STEP_WRITE, 9, 0, 0, 1 },
        { STEP_WRITE, -2, 512, 1024, 0 },
        { STEP_ZERO, 5, 10, 100, 0 },
    };
    unsigned tries = rec->opts->fault.times + 1;

    for (size_t i = 0; i < G_N_ELEMENTS(more); i++) {
        do_step(rec, &more[i]);
    }
    while (do_flush(rec) < 0 && tries-- > 0) {
    }
    check_view(rec);
}
