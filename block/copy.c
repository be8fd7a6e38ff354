/* copy.c - bdrv_copy(), the work of "convert": copies a disk, skips zeroes, with several threads */
/* SPDX-License-Identifier: MIT
 *
 * Several threads ("workers") take pieces from front to back and read them at the same time. Equal input must make
 * equal images, also in the order of blocks. So if the target has to allocate blocks, workers write in turn: as soon as
 * the first write of a piece has allocated its block, the next worker may write.
 *
 * Zeroes are skipped in two places: describe_piece() takes them from the block status, and write_sparse() finds them in
 * data that was read.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include <miniblk/driver.h>
#include "util/checked.h"
#include "util/iszero.h"
#include "util/workers.h"

#define READ_BYTES      (1 << 20)
#define WRITE_BYTES     (128 << 10)     /* the page cache is faster with this than with 1 MiB */
#define ZERO_UNIT       4096
#define SALVAGE_UNIT    512
#define ZERO_BYTES      (1 << 30)       /* of one piece of zeroes, where somebody wants to know how far the work is */
#define MAX_WORKERS     16

/* A range that could not be read. Losses of one kind are found from front to back, by one worker at a time */
typedef struct Loss {
    const char *doing;
    int64_t offset, bytes;          /* 0 bytes: there is no loss to report */
    int err;
} Loss;

typedef struct Copy {
    BlockDriverState *from, *to;
    BlockCopyOptions opts;
    int64_t end, total;             /* where to stop, in @from; and how many bytes of data that is */
    int64_t shift;                  /* added to an offset in @from, gives the offset in @to */
    bool in_turn;                   /* the target allocates blocks, and their order matters */
    bool one_block;                 /* the first write into a piece allocates space for all of it */
    pthread_mutex_t lock;           /* guards the rest */
    pthread_cond_t turned;
    int64_t next;                   /* where the next piece begins */
    int64_t data_end;               /* the bytes from next to here are data: no need to ask again */
    int64_t turn;                   /* the offset of the piece that may be written now */
    int64_t done;
    bool cancelled;                 /* opts.progress() has returned false */
    Loss status_loss, read_loss;
    bool counted;                   /* count_total() is done: it has reported the status losses */
    int err;                        /* errno of the first failure; 0: none */
    int64_t err_offset;
    const char *err_doing;
} Copy;

typedef struct Piece {
    int64_t offset, bytes;
    bool zero;
    bool passed;                    /* its worker has let the next one write */
} Piece;

static void fail_copy(Copy *copy, const char *doing, int64_t offset, int err)
{
    pthread_mutex_lock(&copy->lock);
    if (!copy->err) {
        copy->err = err;
        copy->err_doing = doing;
        copy->err_offset = offset;
    }
    pthread_cond_broadcast(&copy->turned);
    pthread_mutex_unlock(&copy->lock);
}

/* Call opts.progress(), whose answer is an error like others. The lock is held, or there are no workers */
static void report(Copy *copy)
{
    if (copy->opts.progress && !copy->cancelled && !copy->opts.progress(copy->opts.user, copy->done, copy->total)) {
        copy->cancelled = true;
        copy->err = copy->err ? copy->err : ECANCELED;
        pthread_cond_broadcast(&copy->turned);
    }
}

/* Call opts.salvage() for @loss, if there is one */
static void tell_loss(Copy *copy, Loss *loss)
{
    if (loss->bytes && copy->opts.salvage) {
        copy->opts.salvage(copy->opts.user, loss->doing, loss->offset, loss->bytes, loss->err);
        loss->bytes = 0;
    }
}

/* Add a range to @loss if it follows @loss and has the same error; else report @loss and begin another one */
static void note_loss(Copy *copy, Loss *loss, const char *doing, int64_t offset, int64_t bytes, int err)
{
    if (loss->bytes && loss->offset + loss->bytes == offset && loss->err == err) {
        loss->bytes += bytes;
        return;
    }
    tell_loss(copy, loss);
    *loss = (Loss) { doing, offset, bytes, err };
}

static void note_status_loss(Copy *copy, int64_t offset, int64_t bytes, int err)
{
    if (!copy->counted) {
        note_loss(copy, &copy->status_loss, "reading block status", offset, bytes, err);
    }
}

/* Ask for the block status at @offset. With opts.salvage, bytes of unknown status count as data: a read may succeed */
static int ask_status(Copy *copy, int64_t offset, BlockStatus *st)
{
    int64_t bytes = copy->end - offset;
    int ret;

    while ((ret = bdrv_block_status(copy->from, offset, bytes, BDRV_STATUS_WANT_ZERO, st)) < 0 &&
           copy->opts.salvage) {
        if (st->bytes > 0) {        /* the driver knows that these cannot be read: often a lot */
            note_status_loss(copy, offset, st->bytes, -ret);
            *st = (BlockStatus) { .bytes = st->bytes, .zero = true };
            return 0;
        }
        if (bytes <= SALVAGE_UNIT) {
            note_status_loss(copy, offset, bytes, -ret);
            *st = (BlockStatus) { .bytes = bytes, .data = true };
            return 0;
        }
        bytes = align_up(bytes / 4, SALVAGE_UNIT);
    }
    return ret;
}

/* Find the piece at @offset: zeroes as far as they go, or data that fits a buffer. 0 or -errno */
static int describe_piece(Copy *copy, int64_t offset, Piece *piece)
{
    BlockStatus st = { .bytes = copy->data_end - offset };

    if (offset >= copy->data_end) {
        int ret = ask_status(copy, offset, &st);

        if (ret < 0) {
            return ret;
        }
    }
    if (!st.zero) {
        copy->data_end = offset + st.bytes;
        st.bytes = MIN(st.bytes, READ_BYTES - offset % READ_BYTES);
    }
    if (st.zero && copy->opts.progress && !copy->opts.target_is_zero) {
        st.bytes = MIN(st.bytes, ZERO_BYTES);
    }
    *piece = (Piece) { offset, st.bytes, st.zero };
    return 0;
}

/* Take the next piece. False if there is none, or the copy has failed */
static bool take_piece(Copy *copy, Piece *piece)
{
    int ret = 0;

    pthread_mutex_lock(&copy->lock);
    bool more = copy->next < copy->end && !copy->err;
    if (more) {
        ret = describe_piece(copy, copy->next, piece);
        copy->next += ret < 0 ? 0 : piece->bytes;
    }
    int64_t at = copy->next;
    pthread_mutex_unlock(&copy->lock);

    if (ret < 0) {
        fail_copy(copy, "reading block status at offset", at, -ret);
    }
    return more && ret == 0;
}

/* Wait until @piece may be written. False if the copy has failed */
static bool wait_for_turn(Copy *copy, const Piece *piece)
{
    if (!copy->in_turn || piece->passed) {
        return true;
    }
    pthread_mutex_lock(&copy->lock);
    while (copy->turn != piece->offset && !copy->err) {
        pthread_cond_wait(&copy->turned, &copy->lock);
    }
    bool ok = !copy->err;
    pthread_mutex_unlock(&copy->lock);
    return ok;
}

static void pass_turn(Copy *copy, Piece *piece)
{
    if (!copy->in_turn || piece->passed) {
        return;
    }
    piece->passed = true;
    pthread_mutex_lock(&copy->lock);
    copy->turn = piece->offset + piece->bytes;
    pthread_cond_broadcast(&copy->turned);
    pthread_mutex_unlock(&copy->lock);
}

static void count_done(Copy *copy, const Piece *piece)
{
    pthread_mutex_lock(&copy->lock);
    copy->done += piece->zero ? 0 : piece->bytes;
    report(copy);
    pthread_mutex_unlock(&copy->lock);
}

static int copy_zeroes(Copy *copy, int64_t offset, int64_t bytes)
{
    return copy->opts.target_is_zero ? 0
           : bdrv_pwrite_zeroes(copy->to, offset + copy->shift, bytes, BDRV_REQ_MAY_UNMAP);
}

/* Write the bytes [@start, @end) of a piece, whose data is in @buf */
static int copy_data(Copy *copy, Piece *piece, const uint8_t *buf, int64_t start, int64_t end)
{
    int ret = 0;

    for (int64_t n; start < end && ret == 0; start += n) {
        int64_t offset = piece->offset + copy->shift + start;

        n = MIN(end - start, WRITE_BYTES - offset % WRITE_BYTES);
        ret = bdrv_pwrite(copy->to, offset, buf + start, n, 0);
        if (ret == 0 && copy->one_block) {
            pass_turn(copy, piece);
        }
    }
    return ret;
}

/* Return how many bytes at the start of @buf are all zero, or all in units that are not zero. @offset: of @buf */
static int64_t run_length(const uint8_t *buf, int64_t offset, int64_t bytes, bool *zero)
{
    int64_t end = 0;

    while (end < bytes) {
        int64_t n = MIN(bytes - end, ZERO_UNIT - (offset + end) % ZERO_UNIT);
        bool same = block_is_zero(buf + end, (size_t)n);

        if (end == 0) {
            *zero = same;
        } else if (*zero != same) {
            break;
        }
        end += n;
    }
    return end;
}

/* Write the data of a piece; write its zeroes as zeroes where a run of them is long enough (opts.sparse) */
static int write_sparse(Copy *copy, Piece *piece, const uint8_t *buf)
{
    int64_t start = 0, end = 0;         /* data not yet written */
    bool zero = false;
    int ret = 0;

    while (end < piece->bytes && ret == 0) {
        int64_t n = run_length(buf + end, piece->offset + end, piece->bytes - end, &zero);

        if (zero && n >= copy->opts.sparse) {
            ret = copy_data(copy, piece, buf, start, end);
            ret = ret < 0 ? ret : copy_zeroes(copy, piece->offset + end, n);
            start = end + n;
        }
        end += n;
    }
    return ret < 0 ? ret : copy_data(copy, piece, buf, start, end);
}

static int write_piece(Copy *copy, Piece *piece, const uint8_t *buf)
{
    if (piece->zero) {
        return copy_zeroes(copy, piece->offset, piece->bytes);
    }
    return copy->opts.sparse < 0 ? copy_data(copy, piece, buf, 0, piece->bytes) : write_sparse(copy, piece, buf);
}

static void salvage_piece(Copy *copy, const Piece *piece, uint8_t *buf)
{
    for (int64_t at = 0, n; at < piece->bytes; at += n) {
        n = MIN(piece->bytes - at, SALVAGE_UNIT);
        int ret = bdrv_pread(copy->from, piece->offset + at, buf + at, n, 0);

        if (ret < 0) {
            note_loss(copy, &copy->read_loss, "reading", piece->offset + at, n, -ret);
            memset(buf + at, 0, (size_t)n);
        }
    }
}

static int read_piece(Copy *copy, const Piece *piece, uint8_t *buf)
{
    int ret = piece->zero ? 0 : bdrv_pread(copy->from, piece->offset, buf, piece->bytes, 0);

    if (ret < 0 && copy->opts.salvage) {
        salvage_piece(copy, piece, buf);
        return 0;
    }
    return ret;
}

static void copy_piece(Copy *copy, Piece *piece, uint8_t *buf)
{
    int ret = read_piece(copy, piece, buf);

    if (ret < 0) {
        fail_copy(copy, "reading at byte", piece->offset, -ret);
    } else if (wait_for_turn(copy, piece)) {
        ret = write_piece(copy, piece, buf);
        if (ret < 0) {
            fail_copy(copy, "writing at byte", piece->offset, -ret);
        } else {
            pass_turn(copy, piece);
            count_done(copy, piece);
        }
    }
}

static void *worker(void *data)
{
    Copy *copy = data;
    uint8_t *buf = aligned_alloc(4096, READ_BYTES);     /* aligned for O_DIRECT */
    Piece piece;

    if (!buf) {
        fail_copy(copy, "reading at byte", 0, ENOMEM);
    }
    while (buf && take_piece(copy, &piece)) {
        copy_piece(copy, &piece, buf);
    }
    free(buf);
    return NULL;
}

/* Find out whether the order of writes matters, and whether the first write of a piece allocates all of it */
static bool find_order(Copy *copy, GError **errp)
{
    BlockInfo *info = bdrv_get_info(copy->to, errp);

    if (!info) {
        return false;
    }
    copy->in_turn = info->cluster_size > 0 && !copy->opts.unordered;
    copy->one_block = info->cluster_size > 0 && info->cluster_size % READ_BYTES == 0 && copy->shift % READ_BYTES == 0;
    bdrv_info_free(info);
    return true;
}

/* Count the bytes of data, for opts.progress. 0 or an errno number */
static int count_total(Copy *copy)
{
    int64_t offset = copy->opts.progress || copy->opts.salvage ? copy->next : copy->end;
    Piece piece;
    int ret = 0;

    for (; offset < copy->end && !copy->err; offset += piece.bytes) {
        ret = describe_piece(copy, offset, &piece);
        if (ret < 0) {
            fail_copy(copy, "reading block status at offset", offset, -ret);
            break;
        }
        copy->total += piece.zero ? 0 : piece.bytes;
        if (copy->total > 0) {      /* else 0 of 0 bytes would look like the end */
            report(copy);
        }
    }
    copy->data_end = copy->opts.sparse < 0 ? copy->end : 0;   /* with opts.sparse < 0 zeroes are read and written */
    tell_loss(copy, &copy->status_loss);
    copy->counted = true;
    return copy->err;
}

/* Set the range to copy. False if the source is shorter, or the target has no room for it */
static bool set_range(Copy *copy, GError **errp)
{
    int64_t have = bdrv_getlength(copy->from), room = bdrv_getlength(copy->to);
    int64_t start = copy->opts.from_offset, at = copy->opts.to_offset, bytes = copy->opts.bytes;

    if (start < 0 || start > have || bytes < 0 || bytes > have - start) {
        bdrv_set_error(errp, EINVAL, "the source has %" PRId64 " bytes, not %" PRId64 " from %" PRId64 " on", have,
                       bytes, start);
        return false;
    }
    bytes = bytes ? bytes : have - start;
    if (at < 0 || at > room || bytes > room - at) {
        bdrv_set_error(errp, ENOSPC, "the source has %" PRId64 " bytes, more than the %" PRId64 " of the target",
                       bytes, MAX(room - at, 0));
        return false;
    }
    copy->next = copy->turn = start;
    copy->end = start + bytes;
    copy->shift = at - start;
    return true;
}

/* Check that the range of the source and the range of the target do not overlap in one file */
static bool lies_apart(const Copy *copy, GError **errp)
{
    int64_t start = copy->next, bytes = copy->end - start;

    return bytes == 0 || bdrv_lie_apart(copy->from, start, copy->to, start + copy->shift, bytes, errp);
}

bool bdrv_copy(BlockDriverState *from, BlockDriverState *to, const BlockCopyOptions *opts, GError **errp)
{
    Copy copy = { from, to };

    if (opts) {
        copy.opts = *opts;
    }
    if (copy.opts.sparse == 0) {
        copy.opts.sparse = ZERO_UNIT;
    }
    if (copy.opts.salvage) {
        copy.opts.workers = 1;          /* losses are reported from front to back */
    }
    if (!set_range(&copy, errp) || !lies_apart(&copy, errp) || !find_order(&copy, errp)) {
        return false;
    }
    pthread_mutex_init(&copy.lock, NULL);
    pthread_cond_init(&copy.turned, NULL);
    if (count_total(&copy) == 0) {
        workers_run(CLAMP(copy.opts.workers ? copy.opts.workers : 2, 1, MAX_WORKERS), worker, &copy);
        tell_loss(&copy, &copy.read_loss);
    }
    pthread_cond_destroy(&copy.turned);
    pthread_mutex_destroy(&copy.lock);
    if (copy.cancelled && copy.err == ECANCELED) {
        bdrv_set_error(errp, ECANCELED, "copy was cancelled by the program, with %" PRId64 " of %" PRId64
                       " bytes of data done", copy.done, copy.total);
    } else if (copy.err) {
        bdrv_set_error(errp, copy.err, "error while %s %" PRId64 ": %s", copy.err_doing, copy.err_offset,
                       g_strerror(copy.err));
    }
    return !copy.err;
}
