/* judge.c - is a state that a power cut left as good as was promised? */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "judge.h"
#include "kit.h"
#include "vhd.h"

enum { SECTOR = 512 };

struct Judge {
    const Recording *r;
    bool lenient, killed;
    bool settled;               /* there were errors in a row, and close() said that all is well */
    int64_t size;               /* of the disk, as it may be now */
    uint8_t *sure;              /* what the guest may count on: the ops before the last flush that it saw the end of; */
    int64_t sure_size;          /* of the disk then, if no resize failed: */
    guint first_size;           /* the file may have another one, which one of the ops from here on asked for, */
    int64_t loose;              /* and from here on it may have zeroes */
    bool stuck;                 /* the last one of these that was to move tables may have left them somewhere else, */
    bool moving;                /* or one is under way: the file may have tables in two places */
    guint first_unsure;         /* those from here on may be lost, */
    guint count;                /* and from here on they were not asked for yet */
    uint8_t *got, *want;
};

static void be_sure_of_start(Judge *j)
{
    memcpy(j->sure, j->r->before, (size_t)j->r->most);
    j->sure_size = j->r->size;
    j->first_size = 0;
    j->loose = INT64_MAX;
    j->stuck = false;
    j->first_unsure = 0;
}

Judge *judge_new(const Recording *r, bool lenient, bool killed)
{
    Judge *j = g_new0(Judge, 1);

    j->r = r;
    j->lenient = lenient || r->theirs || (r->hurt && r->promise == PROMISE_GUEST);
    j->killed = killed;
    j->size = r->size;
    j->sure = g_malloc((gsize)r->most);
    j->got = g_malloc((gsize)r->most);
    j->want = g_malloc((gsize)r->most);
    be_sure_of_start(j);
    return j;
}

void judge_free(Judge *j)
{
    g_free(j->sure);
    g_free(j->got);
    g_free(j->want);
    g_free(j);
}

/* What must be there */

static const GuestOp *op_at(const Judge *j, guint i)
{
    return &g_array_index(j->r->ops, GuestOp, i);
}

/* After a resize that failed memory has one size and the file may have the other. Where the file's is longer, nobody
 * looked at what it has there */
static void be_sure_of_size(Judge *j, guint i)
{
    const GuestOp *op = op_at(j, i);

    j->loose = !op->failed ? INT64_MAX : op->size < op->offset + op->bytes ? MIN(op->size, j->loose) : j->loose;
    if (!op->failed) {
        j->first_size = i + 1;
    }
    j->sure_size = op->size;
}

static void be_sure_of(Judge *j, guint at)
{
    const GuestOp *op = op_at(j, at);

    for (int64_t i = op->offset; i < op->offset + op->bytes; i++) {
        j->sure[i] = guest_value(op, i);
    }
    if (op->kind == GUEST_RESIZE) {
        be_sure_of_size(j, at);
    }
    if (op->moves) {
        j->stuck = j->r->fails || !op->lasts;
    }
}

static bool is_sure(const Judge *j, const GuestOp *op)
{
    return op->lasts || (j->killed && op->kept);
}

/* After @entries of the log */
static void move_to(Judge *j, uint64_t entries)
{
    if (j->first_unsure > 0 && op_at(j, j->first_unsure - 1)->end > entries) {
        be_sure_of_start(j);
    }
    for (guint i = j->first_unsure; i < j->r->ops->len && op_at(j, i)->end <= entries; i++) {
        while (is_sure(j, op_at(j, i)) && j->first_unsure <= i) {
            be_sure_of(j, j->first_unsure++);
        }
    }
    j->moving = j->stuck;
    for (j->count = j->first_unsure; j->count < j->r->ops->len && op_at(j, j->count)->begin <= entries; j->count++) {
        j->moving |= op_at(j, j->count)->moves;
    }
}

static bool is_zeroed(const Judge *j, int64_t at)
{
    bool zeroed = at >= j->loose;

    for (guint i = j->first_unsure; i < j->count && !zeroed; i++) {
        const GuestOp *op = op_at(j, i);

        zeroed = op->kind == GUEST_RESIZE && at >= op->offset && at < op->offset + op->bytes;
    }
    return zeroed;
}

/* Was it asked for after what is sure? */
static bool may_be(const Judge *j, int64_t at, uint8_t value)
{
    for (guint i = j->first_unsure; i < j->count; i++) {
        const GuestOp *op = op_at(j, i);

        if (at >= op->offset && at < op->offset + op->bytes && guest_value(op, at) == value) {
            return true;
        }
    }
    return value == 0 && is_zeroed(j, at);
}

/* Sizes that the guest asked for, and what it had before. A raw file is as long as what is there makes it */
static bool may_have_size(const Judge *j, int64_t size)
{
    int64_t least = j->sure_size, most = j->sure_size;
    bool may = size == j->sure_size;

    for (guint i = j->first_size; i < j->count; i++) {
        const GuestOp *op = op_at(j, i);

        if (op->kind == GUEST_RESIZE) {
            may |= size == op->offset || size == op->offset + op->bytes;
            least = MIN(least, op->offset);
            most = MAX(most, op->offset + op->bytes);
        }
    }
    return may || (!j->r->vhd && size >= least && size <= most);
}

static char *compare_contents(const Judge *j)
{
    for (int64_t at = 0; at < j->size; at++) {
        int64_t n = MIN(SECTOR, j->size - at);

        if (at % SECTOR == 0 && !memcmp(j->got + at, j->sure + at, (size_t)n)) {
            at += n - 1;
        } else if (j->got[at] != j->sure[at] && !may_be(j, at, j->got[at])) {
            return g_strdup_printf("byte %" PRId64 " is 0x%02x, should be 0x%02x%s", at, j->got[at], j->sure[at],
                                   j->count > j->first_unsure ? ", or what was written later" : "");
        }
    }
    return NULL;
}

static char *differs_at(const uint8_t *got, const uint8_t *want, int64_t size, const char *what)
{
    int64_t at = 0;

    if (!memcmp(got, want, (size_t)size)) {
        return NULL;
    }
    while (got[at] == want[at]) {
        at++;
    }
    return g_strdup_printf("%s: byte %" PRId64 " is 0x%02x, should be 0x%02x", what, at, got[at], want[at]);
}

/* Looking at an image */

static char *take_error(GError *err, const char *what)
{
    char *text = g_strdup_printf("%s: %s", what, bdrv_error_message(err));

    bdrv_error_free(err);
    return text;
}

/* The first that is worse than space taken in vain; NULL: none is */
static char *bad_finding(const Judge *j, const BlockCheck *found)
{
    for (int i = 0; i < found->count; i++) {
        const BlockFinding *f = &found->findings[i];

        if (f->level >= BLOCK_CHECK_CORRUPTION && g_strcmp0(f->code, j->r->tolerated)) {
            return g_strdup_printf("check finds %s, %s: %s", f->code, f->name, f->cases[0].text);
        }
    }
    return NULL;
}

static char *check(const Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };
    BlockDriverState *bs = medium_try_open(&medium, j->r->open, BDRV_O_CHECK, NULL);
    GError *err = NULL;
    BlockCheck *found = bs ? bdrv_check(bs, 0, &err) : NULL;
    char *reason = NULL;

    if (found) {
        reason = bad_finding(j, found);
    } else if (bs && bdrv_error_code(err) != ENOTSUP) {
        reason = g_strdup_printf("can't be checked: %s", bdrv_error_message(err));
    }
    bdrv_error_free(err);
    bdrv_check_free(found);
    bdrv_close(bs);
    return reason;
}

/* Of the file itself, with other eyes and with our own */
static char *find_fault(const Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };
    bool look = j->r->vhd && !j->r->theirs && !j->r->fixed_length && !j->moving;  /* QEMU aligns nothing */
    const char *fault = look ? vhd_find_fault(&medium) : NULL;

    return fault ? g_strdup(fault) : check(j, disk);
}

/* What is longer than its image from the start, and stays so, has no footer at its end */
static bool ends_well(const Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };

    return j->r->fixed_length || vhd_ends_well(&medium);
}

static char *find_end(const Judge *j, Disk *disk)
{
    return j->lenient || ends_well(j, disk) ? NULL : g_strdup("the file does not end in a footer");
}

/* While the size changes, a fixed disk's file has room behind its end, and a parent may have more than its child */
static const char *find_warning(const Judge *j, BlockDriverState *bs)
{
    const char *text = NULL;

    for (unsigned i = 0; !j->lenient && (text = bdrv_get_warning(bs, i)); i++) {
        if (!j->r->resized || !strstr(text, "more than the")) {
            break;
        }
    }
    return text;
}

/* Strictly: a warning is too much */
static char *open_strictly(const Judge *j, Disk *disk, const char *options, unsigned flags, BlockDriverState **bs)
{
    Medium medium = { .disk = disk };
    GError *err = NULL;

    *bs = medium_try_open(&medium, options, flags, &err);
    if (!*bs) {
        return take_error(err, "can't be opened");
    }
    const char *warning = find_warning(j, *bs);
    if (warning) {
        char *text = g_strdup_printf("opens with a warning: %s", warning);

        bdrv_close(*bs);
        *bs = NULL;
        return text;
    }
    return NULL;
}

static char *read_all(const Judge *j, BlockDriverState *bs)
{
    if (bdrv_getlength(bs) != j->size) {
        return g_strdup_printf("the disk has %" PRId64 " bytes, should have %" PRId64, bdrv_getlength(bs), j->size);
    }
    int ret = bdrv_pread(bs, 0, j->got, j->size, 0);

    return ret < 0 ? g_strdup_printf("can't be read: %s", g_strerror(-ret)) : NULL;
}

static char *closed(BlockDriverState *bs, char *reason)
{
    int ret = bdrv_close(bs);

    return reason || ret == 0 ? reason : g_strdup_printf("can't be closed: %s", g_strerror(-ret));
}

static char *open_and_read(const Judge *j, Disk *disk, const char *options)
{
    BlockDriverState *bs;
    char *reason = open_strictly(j, disk, options, 0, &bs);

    return reason ? reason : closed(bs, read_all(j, bs));
}

/* Life goes on: what is written now is there, and all else is what it was */
static char *write_on(Judge *j, BlockDriverState *bs, uint64_t n)
{
    int64_t at = (int64_t)(n * 2654435761u % (uint64_t)j->size), bytes = MIN(j->size - at, 700);

    memcpy(j->want, j->got, (size_t)j->size);
    kit_fill(j->want + at, at, bytes, 1000000 + (unsigned)n);
    int ret = bdrv_pwrite(bs, at, j->want + at, bytes, 0);

    ret = ret < 0 ? ret : bdrv_flush(bs);
    return ret < 0 ? g_strdup_printf("can't be written to: %s", g_strerror(-ret)) : NULL;
}

static char *read_back(Judge *j, Disk *disk, const char *options)
{
    bool lenient = j->lenient;

    j->lenient = false;
    char *reason = open_and_read(j, disk, options);
    j->lenient = lenient;
    if (!reason) {
        reason = differs_at(j->got, j->want, j->size, "after one more write");
    }
    return reason ? reason : find_fault(j, disk);
}

/* The promises */

static char *repair_again(const Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };
    GError *err = NULL;
    BlockDriverState *bs = medium_try_open(&medium, j->r->open, BDRV_O_CHECK | BDRV_O_RDWR, &err);

    if (!bs) {
        return take_error(err, "can't be opened for a repair");
    }
    BlockCheck *found = bdrv_check(bs, BDRV_CHECK_FIX_ERRORS, &err);
    if (!found) {
        bdrv_close(bs);
        return take_error(err, "can't be repaired");
    }
    bool left = found->leaks || found->corruptions || found->errors;

    bdrv_check_free(found);
    return closed(bs, left ? g_strdup("a second repair does not repair all") : NULL);
}

/* A fixed disk has one footer. Where the file was longer before that was at its end, a repair finds the old one */
static char *mend_fixed(const Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };

    return vhd_ends_well(&medium) || !j->r->fixed ? NULL : repair_again(j, disk);
}

/* The footer at the end is there at every moment */
static char *find_first_fault(const Judge *j, Disk *disk)
{
    if (j->moving) {
        char *reason = find_end(j, disk);

        reason = reason ? reason : mend_fixed(j, disk);
        return reason || !j->settled ? reason : check(j, disk);
    }
    return j->lenient ? NULL : find_fault(j, disk);
}

static char *judge_guest(Judge *j, Disk *disk, uint64_t n)
{
    BlockDriverState *bs;
    char *reason = find_first_fault(j, disk);

    if (reason || (reason = open_strictly(j, disk, j->r->open, BDRV_O_RDWR, &bs))) {
        return reason;
    }
    if (j->r->promise == PROMISE_GUEST) {
        j->size = may_have_size(j, bdrv_getlength(bs)) ? bdrv_getlength(bs) : j->sure_size;
    }
    reason = read_all(j, bs);
    if (!reason) {
        reason = compare_contents(j);
    }
    if (!reason) {
        reason = write_on(j, bs, n);
    }
    reason = closed(bs, reason);
    return reason ? reason : read_back(j, disk, j->r->open);
}

/* Nothing is promised yet but that it is not taken for an image with something in it */
static char *judge_half_made(Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };
    BlockDriverState *bs = medium_try_open(&medium, j->r->open, BDRV_O_RDWR, NULL);

    if (!bs) {
        return NULL;
    }
    int64_t size = bdrv_getlength(bs);
    int ret = size == j->r->size ? bdrv_pread(bs, 0, j->got, size, 0) : -1;

    bdrv_close(bs);
    return ret < 0 ? NULL : differs_at(j->got, j->r->before, size, "half-made");
}

/* The image on top, with the state for its parent */
static char *judge_top(Judge *j, Disk *disk, BlockDriverState **bs)
{
    DiskParent base = { disk, strchr(j->r->open, '=') + 1 };
    const BlockResolver resolver = { &base, medium_find_parent };
    const BlockOpenArgs args = { j->r->top, NULL, "driver=vpc,backing.read-only=off,file.cache.no-flush=on",
                                 BDRV_O_RDWR, &resolver };
    GError *err = NULL;

    *bs = bdrv_open_with(&args, &err);
    if (!*bs) {
        return take_error(err, "the image on top can't be opened");
    }
    char *reason = read_all(j, *bs);
    if (reason) {
        bdrv_close(*bs);
    }
    return reason;
}

static char *judge_old_or_new(const Judge *j, bool done)
{
    for (int64_t at = 0; at < j->r->size; at += SECTOR) {
        int64_t n = MIN(SECTOR, j->r->size - at);
        bool is_new = !memcmp(j->got + at, j->r->after + at, (size_t)n);

        if (!is_new && (done || memcmp(j->got + at, j->r->before + at, (size_t)n))) {
            return g_strdup_printf("sector %" PRId64 " of the parent is neither old nor new%s", at / SECTOR,
                                   done ? ", or old though the commit was done" : "");
        }
    }
    return NULL;
}

/* The parent alone; the image on top; and the commit done again */
static char *judge_commit(Judge *j, Disk *disk, bool done)
{
    BlockDriverState *bs;
    GError *err = NULL;
    char *reason = j->lenient ? NULL : find_fault(j, disk);

    if (!reason) {
        reason = open_and_read(j, disk, j->r->open);
    }
    if (!reason) {
        reason = judge_old_or_new(j, done);
    }
    if (reason || (reason = judge_top(j, disk, &bs))) {
        return reason;
    }
    reason = differs_at(j->got, j->r->after, j->r->size, "the image on top");
    if (!reason && !bdrv_commit(bs, 1, NULL, NULL, &err)) {
        reason = take_error(err, "the commit can't be done again");
    }
    reason = closed(bs, reason);
    if (!reason) {
        reason = open_and_read(j, disk, j->r->open);
    }
    return reason ? reason : differs_at(j->got, j->r->after, j->r->size, "the parent after a second commit");
}

static char *check_target(const Judge *j, BlockDriverState *bs)
{
    BlockDriverState *parent = bdrv_get_backing(bs);
    const char *name = parent ? bdrv_get_filename(parent) : NULL;

    return g_strcmp0(name, j->r->target) ? g_strdup_printf("the parent is %s", name) : NULL;
}

static char *rebase_again(Judge *j, Disk *disk)
{
    BlockRebaseOptions opts = { .names_only = j->r->names_only };
    BlockDriverState *bs;
    GError *err = NULL;
    char *reason = open_strictly(j, disk, j->r->open, BDRV_O_RDWR | (opts.names_only ? BDRV_O_NO_BACKING : 0), &bs);

    if (reason) {
        return reason;
    }
    if (!bdrv_rebase(bs, j->r->target, &opts, &err)) {
        reason = take_error(err, "the rebase can't be done again");
    }
    return closed(bs, reason);
}

/* Once it has no parent, those who don't look at bitmaps are to see the same */
static char *check_complete(const Judge *j, Disk *disk, BlockDriverState *bs)
{
    Medium medium = { .disk = disk };
    bool look = !bdrv_get_backing(bs) && vhd_ends_well(&medium);
    int64_t at = look ? vhd_find_incomplete(&medium, j->r->before, j->r->size) : -1;

    return at < 0 ? NULL : g_strdup_printf("byte %" PRId64 " is another without bitmaps", at);
}

/* It reads the same whichever parent it has; and again after the rebase was done once more */
static char *judge_rebase(Judge *j, Disk *disk, bool done, uint64_t n)
{
    BlockDriverState *bs;
    char *reason = find_end(j, disk);

    for (int again = 0; again < 2 && !reason; again++) {
        reason = open_strictly(j, disk, j->r->open, 0, &bs);
        if (!reason) {
            reason = read_all(j, bs);
            reason = reason ? reason : differs_at(j->got, j->r->before, j->r->size, again ? "rebased again" : "image");
            reason = reason ? reason : check_complete(j, disk, bs);
            reason = reason || !(done || again) ? reason : check_target(j, bs);
            reason = closed(bs, reason);
        }
        if (!reason && !again) {
            reason = rebase_again(j, disk);
        }
    }
    return reason ? reason : judge_guest(j, disk, n);
}

bool judge_footer(const Judge *j, Disk *disk, uint64_t entries)
{
    bool not_yet = j->r->hurt || j->r->frail || (j->r->promise == PROMISE_CREATE && entries < j->r->done);

    return !j->r->vhd || not_yet || ends_well(j, disk);
}

/* It reads the same at all times, and is as good as new after a second repair; or after the first, if that was done */
static char *judge_repair(Judge *j, Disk *disk, bool done, uint64_t n)
{
    bool lenient = j->lenient;

    j->lenient |= j->r->hurt && !done;
    char *reason = open_and_read(j, disk, j->r->open);
    j->lenient = lenient;
    if (!reason) {
        reason = differs_at(j->got, j->r->before, j->r->size, "while it is repaired");
    }
    if (!reason) {
        reason = repair_again(j, disk);
    }
    return reason ? reason : judge_guest(j, disk, n);
}

/* Whichever size it has: all of it is there, and what is new is zero */
static char *judge_size(Judge *j, Disk *disk, bool done)
{
    BlockDriverState *bs;
    char *reason = open_strictly(j, disk, j->r->open, BDRV_O_RDWR, &bs);

    if (reason) {
        return reason;
    }
    j->size = bdrv_getlength(bs);
    if (j->size != j->r->new_size && (done || j->size != j->r->size)) {
        reason = g_strdup_printf("the disk has %" PRId64 " bytes", j->size);
    }
    reason = reason ? reason : read_all(j, bs);
    reason = reason ? reason : differs_at(j->got, j->r->before, j->size, "resized");
    return closed(bs, reason);
}

static char *resize_again(Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };
    GError *err = NULL;
    BlockDriverState *bs = medium_open(&medium, j->r->open, BDRV_O_RDWR);
    char *reason = bdrv_truncate(bs, j->r->new_size, &err) ? NULL : take_error(err, "can't be resized again");

    j->size = j->r->new_size;
    return closed(bs, reason);
}

/* Nothing is left of the work that takes up space; fixed disks have a copy of their footer behind it, at most */
static char *find_waste(const Judge *j, Disk *disk)
{
    Medium medium = { .disk = disk };
    BlockDriverState *bs = medium_try_open(&medium, j->r->open, BDRV_O_CHECK, NULL);
    BlockCheck *found = bs ? bdrv_check(bs, 0, NULL) : NULL;
    char *reason = NULL;

    if (found && found->leaks) {
        for (int i = 0; i < found->count && !reason; i++) {
            const BlockFinding *f = &found->findings[i];

            reason = f->level == BLOCK_CHECK_LEAK ? g_strdup_printf("%s: %s", f->code, f->cases[0].text) : NULL;
        }
    }
    bdrv_check_free(found);
    bdrv_close(bs);
    return reason;
}

static char *judge_resize(Judge *j, Disk *disk, bool done, uint64_t n)
{
    char *reason = find_end(j, disk);

    reason = reason ? reason : mend_fixed(j, disk);
    reason = reason ? reason : judge_size(j, disk, done);
    reason = reason ? reason : resize_again(j, disk);
    reason = reason ? reason : find_waste(j, disk);
    return reason ? reason : judge_guest(j, disk, n);
}

static char *judge_promise(Judge *j, Disk *disk, bool done, uint64_t n)
{
    switch (j->r->promise) {
    case PROMISE_COMMIT:
        return judge_commit(j, disk, done);
    case PROMISE_REBASE:
        return judge_rebase(j, disk, done, n);
    case PROMISE_REPAIR:
        return judge_repair(j, disk, done, n);
    case PROMISE_RESIZE:
        return judge_resize(j, disk, done, n);
    case PROMISE_CREATE:
        return done ? judge_guest(j, disk, n) : judge_half_made(j, disk);
    default:
        return judge_guest(j, disk, n);
    }
}

/* Errors in a row may leave no way to keep the file in order, until close() has seen to it */
char *judge_state(Judge *j, Disk *disk, uint64_t entries, uint64_t n)
{
    bool lenient = j->lenient;

    move_to(j, entries);
    j->settled = j->r->frail && entries >= j->r->settled;
    j->lenient |= j->r->frail && !j->settled;
    char *reason = judge_promise(j, disk, entries >= j->r->done, n);

    j->lenient = lenient;
    return reason;
}

/* Others */

static void save(const char *file, Disk *disk)
{
    Medium medium = { .file = (char *)file };
    uint8_t page[4096];

    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    g_assert_cmpint(truncate(file, disk->size), ==, 0);
    for (int64_t at = 0, n; at < disk->size; at += n) {
        n = MIN(disk->size - at, (int64_t)sizeof(page));
        disk_read(disk, at, page, n);
        if (!kit_is_zero(page, n)) {
            medium_write(&medium, at, page, n);
        }
    }
}

/* NULL if the program is content, or not there */
static char *ask(const char *const *argv)
{
    g_autofree char *program = g_find_program_in_path(argv[0]), *out = NULL, *err = NULL;
    GError *error = NULL;
    int status;

    if (!program) {
        return NULL;
    }
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error)) {
        return take_error(error, argv[0]);
    }
    return g_spawn_check_wait_status(status, NULL) ? NULL : g_strdup_printf("%s %s: %s%s", argv[0], argv[1], out, err);
}

static char *ask_qemu(Judge *j, const char *file)
{
    g_autofree char *raw = g_build_filename(j->r->folder, "peer.raw", NULL), *bytes = NULL;
    const char *const argv[] = { "qemu-img", "convert", "-f", "vpc", "-O", "raw", file, raw, NULL };
    gsize length;
    char *reason = ask(argv);

    if (reason || !g_file_get_contents(raw, &bytes, &length, NULL)) {
        return reason;
    }
    unlink(raw);
    if ((int64_t)length != j->size && (j->r->promise != PROMISE_GUEST || !may_have_size(j, (int64_t)length))) {
        return g_strdup_printf("QEMU sees %" G_GSIZE_FORMAT " bytes", length);
    }
    j->size = (int64_t)length;
    memcpy(j->got, bytes, length);
    reason = compare_contents(j);
    if (!reason) {
        return NULL;
    }
    char *theirs = g_strdup_printf("as QEMU sees it, %s", reason);

    g_free(reason);
    return theirs;
}

char *judge_peers(Judge *j, Disk *disk, uint64_t entries)
{
    g_autofree char *file = g_build_filename(j->r->folder, "peer.vhd", NULL);
    const char *const argv[] = { "vhdiinfo", file, NULL };

    bool early = j->r->promise != PROMISE_GUEST && entries < j->r->done;

    if (!j->r->vhd || j->r->fixed_length || (j->lenient && !j->r->theirs) || early) {
        return NULL;
    }
    save(file, disk);
    j->size = j->r->promise == PROMISE_RESIZE ? j->r->new_size : j->r->size;
    move_to(j, entries);
    char *reason = j->r->theirs ? NULL : ask(argv);
    if (!reason && j->r->qemu) {
        reason = ask_qemu(j, file);
    }
    unlink(file);
    return reason;
}
