/* ops.c - fuzz target: runs a script of requests on an image, and compares it with an array of bytes */
/* SPDX-License-Identifier: MIT
 *
 * The image is created with options of the input, or it is a part of the input. In that case the bytes that can be read
 * at first are taken as right. From then on each byte is what was written last, until a request on it fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "fuzz.h"

#define OP_BYTES 8
#define CREATED 0x80            /* bit in the setup's byte of the driver */
#define WINDOW (24 * 1024)     /* bytes that are compared: at the start of the disk, */
#define LAST (4 * 1024)        /* and at its end */

/* A part of the disk that is compared */
typedef struct Window {
    int64_t at, bytes;
    uint8_t twin[WINDOW];
    uint8_t known[WINDOW];      /* 0: the byte may have any value */
    uint8_t fresh[WINDOW];      /* written since the last flush */
} Window;

typedef struct Run {
    FuzzSetup setup;
    FuzzDisk disk;
    BlockDriverState *bs;
    bool created;               /* the script created it: requests fail only if the disk failed */
    bool over;
    bool any_size;              /* a resize failed: at the next open the disk may have either size */
    int64_t size;
    Window windows[2];
} Run;

size_t fuzz_image_at(const uint8_t *data, size_t size)
{
    size_t script = size > FUZZ_SETUP_BYTES ? OP_BYTES * (size_t)data[FUZZ_SETUP_BYTES] + 1 : 0;

    return size && data[0] & CREATED ? size : MIN(FUZZ_SETUP_BYTES + script, size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_folder();
    return 0;
}

/* Return whether the disk has failed since its count was @failed: then requests may fail */
static bool is_excused(const Run *run, unsigned failed)
{
    return run->disk.failed != failed;
}

/* Clip a request to the window; false: they do not meet */
static bool clip(const Window *w, int64_t at, int64_t bytes, int64_t *from, int64_t *count)
{
    int64_t start = MAX(at, w->at), end = MIN(at + bytes, w->at + w->bytes);

    *from = start - w->at;
    *count = end - start;
    return end > start;
}

/* Remember a write. @data NULL: zeroes */
static void wrote(Run *run, int64_t at, int64_t bytes, const uint8_t *data, bool sure)
{
    for (int i = 0; i < 2; i++) {
        Window *w = &run->windows[i];
        int64_t from, count;

        if (!clip(w, at, bytes, &from, &count)) {
            continue;
        }
        if (data) {
            memcpy(w->twin + from, data + (w->at + from - at), (size_t)count);
        } else {
            memset(w->twin + from, 0, (size_t)count);
        }
        memset(w->known + from, sure, (size_t)count);
        memset(w->fresh + from, 1, (size_t)count);
    }
}

static bool is_known(const Run *run, int64_t at, int64_t bytes)
{
    for (int i = 0; i < 2; i++) {
        const Window *w = &run->windows[i];
        int64_t from, count;

        if (clip(w, at, bytes, &from, &count) && memchr(w->known + from, 0, (size_t)count)) {
            return false;
        }
    }
    return true;
}

static void compare(const Run *run, int64_t at, int64_t bytes, const uint8_t *got)
{
    for (int i = 0; i < 2; i++) {
        const Window *w = &run->windows[i];
        int64_t from, count;

        if (!clip(w, at, bytes, &from, &count) || !memcmp(w->twin + from, got + (w->at + from - at), (size_t)count)) {
            continue;
        }
        for (int64_t j = from; j < from + count; j++) {
            if (w->known[j] && w->twin[j] != got[w->at + j - at]) {
                fuzz_say("byte %" PRId64 " is 0x%02x, should be 0x%02x\n", w->at + j, got[w->at + j - at], w->twin[j]);
                FUZZ_CHECK(!"what was written comes back");
            }
        }
    }
}

static uint8_t buffer[WINDOW];

static int read_piece(Run *run, int64_t at, int64_t bytes)
{
    unsigned failed = run->disk.failed;
    int ret = bdrv_pread(run->bs, at, buffer, bytes, 0);

    if (ret == 0) {
        compare(run, at, bytes, buffer);
    } else {
        FUZZ_CHECK(is_excused(run, failed) || !run->created);
    }
    return ret;
}

static void read_all(Run *run)
{
    for (int i = 0; i < 2; i++) {
        Window *w = &run->windows[i];

        if (w->bytes == 0 || read_piece(run, w->at, w->bytes) == 0) {
            continue;
        }
        for (int64_t j = 0; j < w->bytes; j += 512) {   /* a sector that was right in the old state stays right */
            unsigned failed = run->disk.failed;
            int64_t n = MIN(512, w->bytes - j);

            if (read_piece(run, w->at + j, n) < 0) {
                FUZZ_CHECK(is_excused(run, failed) || !is_known(run, w->at + j, n));
            }
        }
    }
}

/* Read the first contents; bytes that cannot be read may have any value */
static void learn(Run *run, Window *w)
{
    bool all = w->bytes == 0 || bdrv_pread(run->bs, w->at, w->twin, w->bytes, 0) == 0;

    memset(w->fresh, 0, sizeof(w->fresh));
    memset(w->known, all, sizeof(w->known));
    for (int64_t j = 0; !all && j < w->bytes; j += 512) {
        int64_t n = MIN(512, w->bytes - j);

        memset(w->known + j, bdrv_pread(run->bs, w->at + j, w->twin + j, n, 0) == 0, (size_t)n);
    }
}

static void learn_all(Run *run)
{
    int64_t last = MAX(WINDOW, run->size - LAST);

    run->windows[0].at = 0;
    run->windows[0].bytes = MIN(run->size, WINDOW);
    run->windows[1].at = last;
    run->windows[1].bytes = MAX(0, run->size - last);
    learn(run, &run->windows[0]);
    learn(run, &run->windows[1]);
}

static void settled(Run *run, bool sure)
{
    for (int i = 0; i < 2; i++) {
        Window *w = &run->windows[i];

        for (int64_t j = 0; !sure && j < w->bytes; j++) {
            w->known[j] &= !w->fresh[j];
        }
        memset(w->fresh, 0, sizeof(w->fresh));
    }
}

/* Open the image again: flushed bytes must be there; with BDRV_O_SNAPSHOT all writes are gone */
static void reopen(Run *run)
{
    unsigned failed = run->disk.failed;
    GError *err = NULL;
    bool sure = bdrv_close(run->bs) == 0;

    FUZZ_CHECK(sure || is_excused(run, failed) || !run->created);
    settled(run, sure);
    failed = run->disk.failed;
    run->bs = fuzz_open_disk(&run->disk, &run->setup, 0, 0, &err);
    FUZZ_CHECK(!run->bs == !!err);
    bdrv_error_free(err);
    if (!run->bs) {
        FUZZ_CHECK(is_excused(run, failed) || (!run->created && run->disk.failed));
        run->over = true;
        return;
    }
    FUZZ_CHECK(bdrv_getlength(run->bs) == run->size || run->any_size);
    if ((run->setup.flags & FUZZ_SNAPSHOT) || run->any_size) {
        run->size = bdrv_getlength(run->bs);
        run->any_size = false;
        learn_all(run);
    }
}

static void flush(Run *run)
{
    unsigned failed = run->disk.failed;
    int ret = bdrv_flush(run->bs);

    FUZZ_CHECK(ret == 0 || is_excused(run, failed) || !run->created);
    if (ret == 0) {
        settled(run, true);
    }
}

/* Check the result of a request that changes bytes */
static void changed(Run *run, int ret, unsigned failed, int64_t at, int64_t bytes, const uint8_t *data)
{
    bool may_fail = is_excused(run, failed) || !run->created || ret == -ENOSPC || ret == -EPERM;

    FUZZ_CHECK(ret == 0 || may_fail);
    if (bdrv_is_read_only(run->bs)) {
        FUZZ_CHECK(ret == -EPERM);
    } else {
        wrote(run, at, bytes, data, ret == 0);
    }
}

static void do_write(Run *run, uint8_t flags, int64_t at, int64_t bytes, unsigned stamp)
{
    unsigned failed = run->disk.failed;
    int64_t first = flags & 16 ? bytes / 3 : 0;

    fuzz_fill(buffer, at, bytes, stamp);
    if (flags & 32) {
        memset(buffer, 0, (size_t)bytes);
    }
    struct iovec iov[2] = { { buffer, (size_t)first }, { buffer + first, (size_t)(bytes - first) } };

    int ret = bdrv_pwritev(run->bs, at, iov, 2, flags & 64 ? BDRV_REQ_FUA : 0);
    changed(run, ret, failed, at, bytes, buffer);
}

static void do_discard(Run *run, int64_t at, int64_t bytes)
{
    unsigned failed = run->disk.failed;
    int ret = bdrv_pdiscard(run->bs, at, bytes);

    FUZZ_CHECK(ret == 0 || is_excused(run, failed) || !run->created || ret == -EPERM);
    if (bdrv_is_read_only(run->bs)) {
        return;
    }
    for (int i = 0; i < 2; i++) {       /* each byte is zero now, or unchanged */
        Window *w = &run->windows[i];
        int64_t from, count;

        if (!clip(w, at, bytes, &from, &count)) {
            continue;
        }
        bool readable = ret == 0 && bdrv_pread(run->bs, w->at + from, buffer, count, 0) == 0;

        for (int64_t j = 0; j < count; j++) {
            FUZZ_CHECK(!readable || !w->known[from + j] || !buffer[j] || buffer[j] == w->twin[from + j]);
            w->twin[from + j] = buffer[j];
        }
        memset(w->known + from, readable, (size_t)count);
        memset(w->fresh + from, 1, (size_t)count);
    }
}

static void do_truncate(Run *run, int64_t size)
{
    unsigned failed = run->disk.failed;
    GError *err = NULL;
    Window *w = &run->windows[0];

    if (run->size > WINDOW || !run->created || size > WINDOW - 512) {
        return;
    }
    bool ok = bdrv_truncate(run->bs, size, &err);
    int64_t now = bdrv_getlength(run->bs);

    FUZZ_CHECK(ok == !err);
    bdrv_error_free(err);
    if (!ok) {
        FUZZ_CHECK(now == run->size || is_excused(run, failed));
        run->any_size |= is_excused(run, failed);
    }
    FUZZ_CHECK(!ok || now >= size);     /* a format may round it up */
    if (size < w->bytes) {              /* the length of a file need not be whole sectors */
        memset(w->known + size, 0, (size_t)(w->bytes - size));
    }
    if (MIN(now, WINDOW) > w->bytes) {
        memset(w->twin + w->bytes, 0, (size_t)(MIN(now, WINDOW) - w->bytes));
        memset(w->known + w->bytes, ok, (size_t)(MIN(now, WINDOW) - w->bytes));
    }
    w->bytes = MIN(now, WINDOW);
    run->size = now;
    if (now > WINDOW) {
        read_all(run);
        learn_all(run);
    }
}

static void do_rebase(Run *run)
{
    unsigned failed = run->disk.failed;
    GError *err = NULL;
    bool ok = bdrv_rebase(run->bs, NULL, NULL, &err);

    FUZZ_CHECK(ok == !err);
    bdrv_error_free(err);
    if (!ok && is_excused(run, failed)) {
        settled(run, false);    /* the manual says: after a failure open it again */
        reopen(run);
    }
}

static void check_status(Run *run, int64_t at, int64_t bytes, unsigned flags)
{
    BlockStatus st;

    if (bytes > 0 && bdrv_block_status(run->bs, at, bytes, flags, &st) == 0) {
        FUZZ_CHECK(st.bytes > 0 && st.bytes <= bytes);
        int64_t n = MIN(st.bytes, WINDOW);

        if (read_piece(run, at, n) == 0) {
            FUZZ_CHECK(!st.zero || fuzz_is_zero(buffer, n));
        }
    }
}

static void do_op(Run *run, FuzzInput *in)
{
    static const char *const names[] = {
        "write", "write", "write", "read", "zero", "discard", "flush", "reopen", "truncate", "status", "read all",
        "rebase",
    };
    uint8_t op = fuzz_u8(in), flags = fuzz_u8(in), stamp = fuzz_u8(in);
    int64_t at = fuzz_number(in, 3), bytes = fuzz_number(in, 2);
    const Window *w = &run->windows[flags & 1 && run->windows[1].bytes];
    unsigned failed = run->disk.failed;

    at = (flags & 2 ? at * 512 : at) % (w->bytes + 1);
    bytes = MIN(flags & 4 ? bytes * 512 : flags & 8 ? bytes % 1024 : bytes, w->bytes - at);
    at += w->at;
    fuzz_say("%s at %" PRId64 ", %" PRId64 " bytes, flags 0x%02x\n", names[op % 12], at, bytes, flags);
    switch (op % 12) {
    case 0: case 1: case 2:
        do_write(run, flags, at, bytes, stamp);
        break;
    case 3:
        read_piece(run, at, bytes);
        break;
    case 4:
        changed(run, bdrv_pwrite_zeroes(run->bs, at, bytes, flags & 16 ? BDRV_REQ_MAY_UNMAP : 0), failed, at, bytes,
                NULL);
        break;
    case 5:
        do_discard(run, at, bytes);
        break;
    case 6:
        flush(run);
        break;
    case 7:
        reopen(run);
        break;
    case 8:
        do_truncate(run, flags & 16 ? WINDOW - 512 - at % (WINDOW - 512) : at);
        break;
    case 9:
        check_status(run, at, bytes, flags & 16 ? BDRV_STATUS_WANT_ZERO : 0);
        break;
    case 10:
        read_all(run);
        break;
    default:
        if (flags & 16) {
            do_rebase(run);
        }
    }
}

/* Create an image of at most 64 KiB, unless it is sparse */
static bool create(Run *run)
{
    static const char *const readers[] = { "hyper-v", "virtualpc", "xen", "qemu" };
    const FuzzSetup *s = &run->setup;
    bool raw = s->driver % 4 == 3;
    g_autoptr(GString) options = g_string_new(NULL);
    int64_t size = (int64_t)s->gap_at * (s->extra[0] & 1 ? 1 << 20 : s->extra[0] & 2 ? 512 : 1);
    int64_t blocks = s->extra[0] & 32 ? 20000 : 600;    /* a BAT of more than one page is slow: only sometimes */
    int shift = s->rule % 16;

    while (size >> (9 + shift) > blocks) {
        shift++;
    }

    run->disk = (FuzzDisk) { .limit = 32 << 20 };
    g_string_printf(options, "driver=%s,size=%" PRId64, raw ? "raw" : "vpc", size);
    if (!raw) {
        g_string_append_printf(options, ",subformat=%s,block_size=%d,force_size=%s",
                               s->extra[0] & 4 ? "fixed" : "dynamic", 512 << shift, s->extra[0] & 8 ? "off" : "on");
        if (s->extra[0] & 16) {
            g_string_append_printf(options, ",for=%s", readers[s->gap_fill % G_N_ELEMENTS(readers)]);
        }
        if (s->flags & FUZZ_PARENT && !(s->extra[0] & 4)) {
            g_string_append_printf(options, ",backing_file=%s/base.raw,backing_fmt=raw", fuzz_folder);
        }
    }
    BlockStorage storage = fuzz_disk_storage(&run->disk);
    GError *err = NULL;
    bool ok = bdrv_create_storage(&storage, options->str, &err);

    FUZZ_CHECK(ok == !err);
    bdrv_error_free(err);
    return ok;
}

/* Check that the new image opens, and reads as zeroes or as its parent */
static void expect_new(Run *run)
{
    if (!(run->setup.flags & FUZZ_PARENT)) {
        memset(run->windows[0].twin, 0, WINDOW);
        memset(run->windows[1].twin, 0, WINDOW);
        read_all(run);
    }
}

static void start_faults(Run *run)
{
    FuzzDisk *disk = &run->disk;
    uint8_t fail = run->setup.fail;

    if (fail) {
        disk->fail_kinds = 1u << fail % 4;
        disk->fail_after = fail / 4 % 32;
        disk->fail_count = fail & 128 ? 1000 : 1;
    }
}

static void run_script(Run *run, FuzzInput script)
{
    run->size = bdrv_getlength(run->bs);
    learn_all(run);
    if (run->created) {
        expect_new(run);
        start_faults(run);
    }
    while (script.left && !run->over) {
        do_op(run, &script);
    }
    if (!run->over) {
        read_all(run);
        run->disk.fail_count = 0;
        reopen(run);
    }
    if (!run->over) {
        read_all(run);
        fuzz_look_at(run->bs);
        bdrv_close(run->bs);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Run run;
    FuzzInput in = { data, size };
    GError *err = NULL;

    run.setup = fuzz_take_setup(&in);
    run.created = run.setup.driver & CREATED;
    run.over = run.any_size = false;
    FuzzInput script = in;

    fuzz_guard.on = true;
    if (run.created) {
        run.setup.driver = run.setup.driver % 4 == 2 ? 0 : run.setup.driver;    /* guessing is the target open's */
        run.setup.offset = 0;
        run.setup.flags &= (uint8_t)~(FUZZ_FIXED_DISK | FUZZ_READ_ONLY | FUZZ_NO_BACKING);
        run.setup.extra[1] &= (uint8_t)~1;
        if (!create(&run)) {
            goto out;
        }
        run.setup.rule = 2;     /* force_size_calc=current_size */
        script.left = MIN(script.left, 64 * OP_BYTES);
    } else {
        script.left = (size_t)OP_BYTES * fuzz_u8(&in);
        script.left = MIN(script.left, in.left);
        script.at = in.at;
        in = (FuzzInput) { in.at + script.left, in.left - script.left };
        fuzz_make_disk(&run.disk, &run.setup, in);
    }
    run.bs = fuzz_open_disk(&run.disk, &run.setup, 0, 0, &err);
    FUZZ_CHECK(run.bs || !run.created);
    if (run.bs) {
        run_script(&run, script);
    }
out:
    fuzz_guard.on = false;
    bdrv_error_free(err);
    fuzz_disk_clear(&run.disk);
    return 0;
}
