/* recorder.c - runs a scenario over blklogwrites, and keeps what a judge needs to know */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "guest.h"
#include "kit.h"
#include "recorder.h"
#include "vhd.h"

enum { SECTOR = 512, RANDOM_OPS = 40 };

typedef struct Recorder {
    const Scenario *scenario;
    const Image *image;
    Recording *r;
    GRand *rand;
    Medium file, parent;
    Guest guest;
    const RecordOptions *opts;
    char *above;                /* options of the filter between the image and the log; NULL: there is none */
    bool broken;                /* close failed: nobody knows any more what the disk has */
    uint8_t *now;               /* what the disk has, as far as the guest knows */
} Recorder;

uint8_t guest_value(const GuestOp *op, int64_t at)
{
    switch (op->kind) {
    case GUEST_WRITE:
        return kit_byte(at, op->stamp);
    case GUEST_OTHER:
        return op->found[at - op->offset];
    default:
        return 0;
    }
}

/* Options */

static Medium medium_in(const Recording *r, const char *name)
{
    return (Medium) { .file = g_build_filename(r->folder, name, NULL) };
}

/* As a value among options */
static char *escaped(const char *path)
{
    g_auto(GStrv) pieces = g_strsplit(path, ",", -1);

    return g_strjoinv(",,", pieces);
}

/* For what never grows. @key: where the log is */
static char *window_options(const Recorder *rec, const char *key)
{
    return !rec->r->fixed_length ? g_strdup("") : g_strdup_printf(
        ",%s.file.driver=raw,%s.file.size=%" PRId64, key, key, medium_size(&rec->file));
}

/* @options with a log of the file below them. Nothing is really flushed, neither file nor log: it is the log that
 * counts */
static char *with_log(const Recorder *rec, const char *options, bool append)
{
    const char *above = rec->above, *key = above ? "file.image" : "file";
    g_autofree char *log = escaped(rec->guest.log), *window = window_options(rec, key);

    return g_strdup_printf("%s%s%s,%s.driver=blklogwrites,%s.log.filename=%s,%s.log.cache.no-flush=on,"
                           "%s.log-append=%s,%s.file.cache.no-flush=on%s",
                           options, above ? "," : "", above ? above : "", key, key, log, key, key,
                           append ? "on" : "off", key, window);
}

static char *create_options(const Recorder *rec)
{
    g_autofree char *parent = rec->parent.file ? escaped(rec->parent.file) : NULL;
    bool vpc = strstr(rec->image->create, "driver=vpc") != NULL;

    return g_strdup_printf("%s,size=%" PRId64 "%s%s%s", rec->image->create, rec->r->size,
                           vpc ? ",uuid=11111111-2222-4333-8444-555555555555,timestamp=1000000000" : "",
                           parent ? ",backing_file=" : "", parent ? parent : "");
}

static void open_logged(Recorder *rec, bool append)
{
    g_autofree char *options = with_log(rec, rec->image->open, append);

    if (rec->opts->qemu) {
        guest_open_qemu(&rec->guest, &rec->file, rec->above, append);
    } else {
        guest_open(&rec->guest, &rec->file, options, BDRV_O_RDWR | BDRV_O_UNMAP);
    }
}

/* What the guest does */

static GuestOp *begin_op(Recorder *rec, int kind, int64_t offset, int64_t bytes)
{
    GuestOp op = { .kind = kind, .offset = offset, .bytes = bytes, .stamp = rec->r->ops->len + 1,
                   .begin = guest_entries(&rec->guest) };

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

/* Each byte is what it was, or what @wanted says */
static void find_out(Recorder *rec, GuestOp *op, const uint8_t *wanted)
{
    op->kind = GUEST_OTHER;
    op->found = g_malloc((gsize)op->bytes);
    g_assert_cmpint(guest_read(&rec->guest, op->offset, op->found, op->bytes), ==, 0);
    for (int64_t i = 0; i < op->bytes && !rec->r->damage; i++) {
        uint8_t was = rec->now[op->offset + i];

        if (op->found[i] != wanted[i] && op->found[i] != was) {
            rec->r->damage = g_strdup_printf("byte %" PRId64 " is 0x%02x after a request that failed, should be 0x%02x or "
                                             "0x%02x", op->offset + i, op->found[i], was, wanted[i]);
        }
    }
    end_op(rec, op);
}

/* With what came of it. A failed flush has changed nothing */
static void answer_op(Recorder *rec, GuestOp *op, int ret, const uint8_t *wanted)
{
    if (ret == 0) {
        end_op(rec, op);
        return;
    }
    g_assert_nonnull(rec->opts->fault.iotype);
    rec->r->errors += rec->opts->qemu;
    find_out(rec, op, wanted);
}

static void do_flush(Recorder *rec)
{
    GuestOp *op = begin_op(rec, GUEST_FLUSH, 0, 0);

    answer_op(rec, op, guest_flush(&rec->guest), NULL);
}

static void do_write(Recorder *rec, int64_t offset, int64_t bytes, unsigned flags)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);
    GuestOp *op = begin_op(rec, GUEST_WRITE, offset, bytes);

    kit_fill(buf, offset, bytes, op->stamp);
    int ret = guest_write(&rec->guest, offset, buf, bytes, flags);

    answer_op(rec, op, ret, buf);
    if (ret == 0 && flags & BDRV_REQ_FUA) {         /* like a write and a flush of it, and so of all before it */
        end_op(rec, begin_op(rec, GUEST_FLUSH, 0, 0));
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
}

/* Closes the image, whoever of the two failed */
static int close_guest(Recorder *rec)
{
    unsigned errors = guest_errors(&rec->guest);
    int ret = guest_close(&rec->guest);

    rec->r->errors += MAX(errors, (unsigned)(ret < 0));
    g_assert_true(ret == 0 || rec->opts->fault.iotype);
    return ret;
}

static void close_logged(Recorder *rec)
{
    GuestOp *op = begin_op(rec, GUEST_FLUSH, 0, 0);

    if (close_guest(rec) < 0) {
        op->kind = GUEST_OTHER;
        rec->broken = true;
    }
    op->end = guest_entries(&rec->guest);
}

static void do_reopen(Recorder *rec)
{
    close_logged(rec);
    if (!rec->broken) {
        open_logged(rec, true);
    }
}

static void do_step(Recorder *rec, const Step *step)
{
    int64_t block = rec->image->block, offset = step->block * block + step->in;
    int64_t bytes = MIN(step->blocks * block + step->bytes, rec->r->size - offset);

    switch (step->kind) {
    case STEP_FLUSH:
        do_flush(rec);
        return;
    case STEP_REOPEN:
        do_reopen(rec);
        return;
    default:
        break;
    }
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

static int64_t below(Recorder *rec, int64_t n)
{
    return (int64_t)(g_rand_double(rec->rand) * (double)n);
}

static void choose_place(Recorder *rec, int64_t *offset, int64_t *bytes)
{
    int64_t unit = below(rec, 3) ? SECTOR : 1, most = MIN(2 * rec->image->block, 40 * 1024);

    *offset = below(rec, rec->r->size) / unit * unit;
    *bytes = (below(rec, 2) ? below(rec, 3 * SECTOR) : below(rec, most)) / unit * unit;
    *bytes = CLAMP(*bytes, 1, rec->r->size - *offset);
}

static void do_something(Recorder *rec)
{
    int64_t offset, bytes;

    choose_place(rec, &offset, &bytes);
    switch (below(rec, 20)) {
    case 0 ... 10:
        do_write(rec, offset, bytes, 0);
        break;
    case 11 ... 12:
        do_zero(rec, offset, bytes, below(rec, 2) ? BDRV_REQ_MAY_UNMAP : 0);
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
    default:
        do_reopen(rec);
    }
}

/* Images */

static void write_at_once(const Medium *medium, const char *open, const uint8_t *data, int64_t bytes)
{
    BlockDriverState *bs = medium_open(medium, open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    g_assert_cmpint(bdrv_pwrite(bs, 0, data, bytes, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* Shorter than its child, or longer, and full of what shows wherever the child has lost something. What @data has of
 * it */
static Medium make_parent(Recorder *rec, const char *name, unsigned stamp, uint8_t *data)
{
    int64_t bytes = MAX(rec->r->size * (rec->image->long_parent ? 9 : 7) / 8 / SECTOR, 1) * SECTOR;
    g_autofree uint8_t *all = g_malloc((gsize)bytes);
    g_autofree char *options = g_strdup_printf("driver=vpc,block_size=4k,size=%" PRId64 ",file.cache.no-flush=on,"
                                               "uuid=%08x-2222-4333-8444-555555555555", bytes, stamp);
    Medium parent = medium_in(rec->r, name);

    medium_create(&parent, options);
    kit_fill(all, 0, bytes, stamp);
    memcpy(data, all, (size_t)MIN(bytes, rec->r->size));
    write_at_once(&parent, "driver=vpc", all, bytes);
    return parent;
}

/* What others leave of an image; its first write has to put that right */
static void hurt(const Medium *medium, int start)
{
    uint8_t footer[SECTOR], junk[80 * SECTOR] = { 0 };
    int64_t tail = medium_size(medium) - SECTOR;

    if (start == START_LEAK) {
        medium_read(medium, tail, footer, SECTOR);
        memset(junk, 0xa5, sizeof(junk));
        medium_write(medium, tail, junk, sizeof(junk));
        medium_write(medium, tail + (int64_t)sizeof(junk), footer, SECTOR);
    } else {
        medium_write(medium, start == START_NO_HEAD ? 0 : tail, junk, SECTOR);
    }
}

/* Blocks one by one, from the last to the first */
static void write_backwards(Recorder *rec, int64_t bytes)
{
    BlockDriverState *bs = medium_open(&rec->file, rec->image->open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    int64_t block = rec->image->block;

    for (int64_t at = (bytes - 1) / block * block; at >= 0; at -= block) {
        g_assert_cmpint(bdrv_pwrite(bs, at, rec->now + at, MIN(block, bytes - at), 0), ==, 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void fill(Recorder *rec)
{
    int start = rec->scenario->action->start;
    bool full = start == START_FULL || start == START_BACKWARDS;
    int64_t bytes = MIN((full ? 6 : 3) * rec->image->block, rec->r->size);

    if (start == START_EMPTY) {
        return;
    }
    kit_fill(rec->now, 0, bytes, 99);
    if (start == START_BACKWARDS) {
        write_backwards(rec, bytes);
        return;
    }
    write_at_once(&rec->file, rec->image->open, rec->now, bytes);
    if (start == START_CLEAR || start == START_JUNK) {
        vhd_clear_bits(&rec->file, rec->rand, start == START_JUNK, rec->now, rec->r->size);
        rec->r->tolerated = "S1";       /* data without its bit: that comes first, and there was a cut */
    } else if (start != START_FULL) {
        hurt(&rec->file, start);
        rec->r->hurt = start != START_LEAK;
    }
}

static Disk *load(const Medium *medium)
{
    int64_t size = medium_size(medium);
    g_autofree uint8_t *bytes = g_malloc((gsize)MAX(size, 1));
    Disk *disk = disk_new();

    medium_read(medium, 0, bytes, size);
    for (int64_t at = 0, n; at < size; at += n) {
        n = MIN(size - at, 4096);
        if (!kit_is_zero(bytes + at, n)) {
            disk_write(disk, at, bytes + at, n);
        }
    }
    disk_truncate(disk, size);
    return disk;
}

/* On a device or a server's disk: larger than the image, and with something behind it */
static void add_room(Recorder *rec)
{
    int64_t room = rec->image->room;

    if (room) {
        g_autofree uint8_t *junk = g_malloc((gsize)room);

        memset(junk, 0x5a, (size_t)room);
        medium_write(&rec->file, medium_size(&rec->file), junk, room);
    }
}

/* The image, with something in it */
static void make_image(Recorder *rec)
{
    g_autofree char *create = NULL, *options = NULL;

    if (rec->image->child) {
        rec->parent = make_parent(rec, "parent", 55, rec->now);
    }
    create = create_options(rec);
    options = g_strdup_printf("%s,file.cache.no-flush=on", create);
    medium_create(&rec->file, options);
    fill(rec);
    rec->r->before = g_memdup2(rec->now, (gsize)rec->r->size);
}

/* From here on there is a log */
static void start_log(Recorder *rec)
{
    add_room(rec);
    rec->r->start = load(&rec->file);
    rec->r->start->fixed_length = rec->r->fixed_length;
}

/* Actions */

/* What was one call is done, unless it failed. An error that only close met is one of giving room back */
static void finish(Recorder *rec, GError *err)
{
    g_assert_true(!err || rec->opts->fault.iotype);
    rec->r->done = err ? UINT64_MAX : guest_entries(&rec->guest);
    rec->r->errors += rec->guest.bs ? 0 : err != NULL;
    bdrv_error_free(err);
    if (rec->guest.bs) {
        close_guest(rec);
    }
}

static void run_create(Recorder *rec)
{
    rec->r->promise = PROMISE_CREATE;
    if (rec->image->child) {
        rec->parent = make_parent(rec, "parent", 55, rec->now);
    }
    g_autofree char *create = create_options(rec), *options = with_log(rec, create, false);
    GError *err = NULL;

    medium_try_create(&rec->file, options, &err);
    finish(rec, err);
    rec->r->before = g_memdup2(rec->now, (gsize)rec->r->size);
    rec->r->start = disk_new();
}

static void run_steps(Recorder *rec)
{
    const Action *action = rec->scenario->action;

    make_image(rec);
    start_log(rec);
    open_logged(rec, false);
    for (size_t i = 0; i < action->count && !rec->broken; i++) {
        do_step(rec, &action->steps[i]);
    }
    if (!rec->broken) {
        close_logged(rec);
    }
}

static void run_random(Recorder *rec)
{
    make_image(rec);
    start_log(rec);
    open_logged(rec, false);
    while (rec->r->ops->len < RANDOM_OPS && !rec->broken) {
        do_something(rec);
    }
    if (!rec->broken) {
        close_logged(rec);
    }
}

/* Of what is open without a log; behind the end of the parent only a few bytes */
static void write_some(Recorder *rec, BlockDriverState *bs, unsigned stamp)
{
    int64_t end = rec->r->size * 7 / 8;

    for (unsigned i = 0; i < 7; i++) {
        int64_t offset = rec->r->size - 100, bytes = 100;

        if (i < 6) {
            choose_place(rec, &offset, &bytes);
            offset = MIN(offset, end - 1);
            bytes = MIN(bytes, end - offset);
        }
        kit_fill(rec->now + offset, offset, bytes, stamp + i);
        if (i % 3 == 2) {
            memset(rec->now + offset, 0, (size_t)bytes);
        }
        g_assert_cmpint(bdrv_pwrite(bs, offset, rec->now + offset, bytes, 0), ==, 0);
    }
}

/* A child of the image, in a file of its own */
static char *make_top(Recorder *rec)
{
    Medium top = medium_in(rec->r, "top");
    g_autofree char *base = escaped(rec->file.file), *create = NULL, *open = NULL;
    const char *driver = strchr(rec->image->open, '=') + 1;

    create = g_strdup_printf("driver=vpc,block_size=8k,size=%" PRId64 ",backing_file=%s,backing_fmt=%s,"
                             "file.cache.no-flush=on", rec->r->size, base, driver);
    medium_create(&top, create);
    open = g_strdup_printf("driver=vpc,backing.driver=%s", driver);
    BlockDriverState *bs = medium_open(&top, open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    write_some(rec, bs, 70);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    rec->r->after = g_memdup2(rec->now, (gsize)rec->r->size);
    return top.file;
}

/* The log is of the parent that is committed to */
static void run_commit(Recorder *rec)
{
    GError *err = NULL;

    rec->r->promise = PROMISE_COMMIT;
    make_image(rec);
    rec->r->top = make_top(rec);
    start_log(rec);
    g_autofree char *log = escaped(rec->guest.log), *base = escaped(rec->file.file);
    g_autofree char *window = window_options(rec, "backing.file");
    const char *below = rec->r->fixed_length ? ".file" : "";
    g_autofree char *options = g_strdup_printf(
        "driver=vpc,backing.%s,backing.read-only=off,backing.file.driver=blklogwrites,backing.file.log.filename=%s,"
        "backing.file.log.cache.no-flush=on,backing.file.file%s.filename=%s,backing.file.file.cache.no-flush=on%s",
        rec->image->open, log, below, base, window);
    Medium top = { .file = rec->r->top };

    guest_open(&rec->guest, &top, options, BDRV_O_RDWR);
    bdrv_commit(rec->guest.bs, 1, NULL, NULL, &err);
    finish(rec, err);
}

/* Another parent, or none, or, for new names only, the same one elsewhere */
static void make_target(Recorder *rec)
{
    g_autofree uint8_t *unused = g_malloc0((gsize)rec->r->size);
    g_autofree char *bytes = NULL;
    gsize length;
    int kind = rec->scenario->action->kind;

    if (kind == ACTION_RELINK) {
        rec->r->names_only = true;
        Medium copy = medium_in(rec->r, "target");

        g_assert_true(g_file_get_contents(rec->parent.file, &bytes, &length, NULL));
        g_assert_true(g_file_set_contents(copy.file, bytes, (gssize)length, NULL));
        rec->r->target = copy.file;
    } else if (kind == ACTION_REBASE) {
        rec->r->target = make_parent(rec, "target", 66, unused).file;
    }
}

static void run_rebase(Recorder *rec)
{
    GError *err = NULL;

    rec->r->promise = PROMISE_REBASE;
    make_image(rec);
    BlockDriverState *bs = medium_open(&rec->file, rec->image->open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    write_some(rec, bs, 70);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_fill_clear(&rec->file);
    start_log(rec);
    memcpy(rec->r->before, rec->now, (size_t)rec->r->size);
    make_target(rec);

    BlockRebaseOptions opts = { .names_only = rec->r->names_only };
    g_autofree char *options = with_log(rec, rec->image->open, false);
    guest_open(&rec->guest, &rec->file, options, BDRV_O_RDWR | (opts.names_only ? BDRV_O_NO_BACKING : 0));
    bdrv_rebase(rec->guest.bs, rec->r->target, &opts, &err);
    finish(rec, err);
}

static void run_repair(Recorder *rec)
{
    GError *err = NULL;

    rec->r->promise = PROMISE_REPAIR;
    make_image(rec);
    start_log(rec);
    g_autofree char *options = with_log(rec, rec->image->open, false);
    guest_open(&rec->guest, &rec->file, options, BDRV_O_CHECK | BDRV_O_RDWR);
    bdrv_check_free(bdrv_check(rec->guest.bs, BDRV_CHECK_FIX_ERRORS, &err));
    finish(rec, err);
}

/* What others find behind the new end, or did before it grew, is zero. Xen's sizes are rounded */
static void run_resize(Recorder *rec)
{
    const Action *action = rec->scenario->action;
    Recording *r = rec->r;
    int64_t unit = strstr(rec->image->create, "for=xen") ? 2 << 20 : SECTOR;
    GError *err = NULL;

    r->promise = PROMISE_RESIZE;
    make_image(rec);
    start_log(rec);
    int64_t wanted = r->size * action->numerator / action->denominator / SECTOR * SECTOR;

    r->new_size = (wanted + unit - 1) / unit * unit;
    if (r->new_size > r->size) {
        r->before = g_realloc(r->before, (gsize)r->new_size);
        memset(r->before + r->size, 0, (size_t)(r->new_size - r->size));
    }
    g_autofree char *options = with_log(rec, rec->image->open, false);
    guest_open(&rec->guest, &rec->file, options, BDRV_O_RDWR);
    if (bdrv_truncate(rec->guest.bs, wanted, &err)) {
        g_assert_cmpint(bdrv_getlength(rec->guest.bs), ==, r->new_size);
    }
    finish(rec, err);
}

static void run_action(Recorder *rec)
{
    switch (rec->scenario->action->kind) {
    case ACTION_CREATE:
        run_create(rec);
        break;
    case ACTION_STEPS:
        run_steps(rec);
        break;
    case ACTION_RANDOM:
        run_random(rec);
        break;
    case ACTION_COMMIT:
        run_commit(rec);
        break;
    case ACTION_REPAIR:
        run_repair(rec);
        break;
    case ACTION_RESIZE:
        run_resize(rec);
        break;
    default:
        run_rebase(rec);
    }
}

static void op_clear(void *op)
{
    g_free(((GuestOp *)op)->found);
}

static char *make_folder(const char *below)
{
    char *folder = g_build_filename(below, "recording-XXXXXX", NULL);

    if (!g_mkdtemp(folder)) {
        g_error("could not make a folder in '%s'", below);
    }
    char *whole = g_canonicalize_filename(folder, NULL);

    g_free(folder);
    return whole;
}

/* What is random is of random length, too */
static int64_t choose_size(Recorder *rec)
{
    int64_t size = rec->image->size;

    return rec->scenario->action->kind == ACTION_RANDOM ? (1 + below(rec, size / SECTOR)) * SECTOR : size;
}

static void add_fault(GString *to, const Fault *fault, bool qemu)
{
    g_string_append_printf(to, ",file.inject-error.0.iotype=%s,file.inject-error.0.errno=%d,file.inject-error.0.once=%s",
                           fault->iotype, fault->err, fault->stays ? "off" : "on");
    if (!qemu) {
        g_string_append_printf(to, ",file.inject-error.0.skip=%u", fault->skip);
        return;
    }
    /* QEMU counts by states, which begin with 1 */
    for (unsigned i = 0; i < fault->skip; i++) {
        g_string_append_printf(to, ",file.set-state.%u.event=pwritev,file.set-state.%u.state=%u,"
                               "file.set-state.%u.new_state=%u", i, i, i + 1, i, i + 2);
    }
    g_string_append_printf(to, ",file.inject-error.0.event=pwritev,file.inject-error.0.state=%u", fault->skip + 1);
}

static char *options_above(const Image *image, const RecordOptions *opts)
{
    if (!opts->fault.iotype) {
        return g_strdup(image->above);
    }
    GString *above = g_string_new(image->above ? image->above : "file.driver=blkdebug");

    add_fault(above, &opts->fault, opts->qemu);
    return g_string_free(above, FALSE);
}

static char *name_of(const Scenario *s, const RecordOptions *opts)
{
    const Fault *fault = &opts->fault;
    GString *name = g_string_new(s->name);

    if (s->seeds > 1) {
        g_string_append_printf(name, ":%u", opts->seed);
    }
    if (fault->iotype) {
        g_string_append_printf(name, " --fail %s:%u:%d%s", fault->iotype, fault->skip, fault->err,
                               fault->stays ? ":stays" : "");
    }
    return g_string_free(name, FALSE);
}

Recording *scenario_record(const Scenario *s, const RecordOptions *opts, const char *folder)
{
    Recording *r = g_new0(Recording, 1);
    Recorder rec = { .scenario = s, .image = &s->image, .r = r, .rand = g_rand_new_with_seed(opts->seed + 1),
                     .opts = opts, .above = options_above(&s->image, opts) };
    GError *err = NULL;

    r->name = name_of(s, opts);
    r->open = g_strdup(s->image.open);
    r->vhd = g_str_has_prefix(s->image.open, "driver=vpc");
    r->qemu = s->image.qemu && s->action->start != START_JUNK;     /* it does not look at bits */
    r->theirs = opts->qemu;
    r->sector = s->image.sector;
    r->fixed_length = s->image.room > 0;
    r->weight = s->image.weight * (s->seeds > 1 ? 3 : 1);     /* many seeds, fewer states of each */
    r->folder = make_folder(folder);
    r->ops = g_array_new(FALSE, FALSE, sizeof(GuestOp));
    g_array_set_clear_func(r->ops, op_clear);
    r->size = choose_size(&rec);
    rec.now = g_malloc0((gsize)r->size);
    rec.file = medium_in(r, "image");
    rec.guest.log = g_build_filename(r->folder, "log", NULL);
    run_action(&rec);
    r->log = writelog_read(rec.guest.log, &err);
    g_assert_no_error(err);
    g_free(rec.above);
    g_free(rec.file.file);
    g_free(rec.parent.file);
    g_free(rec.guest.log);
    g_free(rec.now);
    g_rand_free(rec.rand);
    return r;
}

static void remove_folder(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        unlink(path);
    }
    g_clear_pointer(&dir, g_dir_close);
    rmdir(folder);
}

void recording_free(Recording *r)
{
    remove_folder(r->folder);
    writelog_free(r->log);
    disk_free(r->start);
    g_array_unref(r->ops);
    g_free(r->before);
    g_free(r->after);
    g_free(r->name);
    g_free(r->open);
    g_free(r->damage);
    g_free(r->folder);
    g_free(r->top);
    g_free(r->target);
    g_free(r);
}
