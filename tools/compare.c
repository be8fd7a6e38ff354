/* compare.c - finds the first difference between two images */
/* SPDX-License-Identifier: MIT
 *
 * Two threads take pieces in ascending order. Runs that read as zeroes in both images are skipped, the rest is cut
 * at COMPARE_BYTES. Every piece before a difference is compared to its end, so the first difference is found.
 */
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "tools/compare.h"
#include "tools/img-progress.h"
#include "util/iszero.h"
#include "util/workers.h"

#define COMPARE_BYTES (INT64_C(1) << 20)
#define SECTOR 512                  /* differences are reported by sector */
#define WORKERS 2

typedef struct Side {
    BlockDriverState *bs;
    int64_t size;
    BlockStatus status;             /* of bytes before @known that are not compared yet */
    int64_t known;
} Side;

typedef struct Compare {
    Side sides[2];
    int64_t size;                   /* of the longer image; the shorter one is zero past its end */
    bool strict;
    ImgProgress *progress;
    pthread_mutex_t lock;           /* guards the rest, and each side's status */
    int64_t next;
    CompareFinding first;
} Compare;

typedef struct Piece {
    int64_t offset, bytes;
    bool zero[2];
} Piece;

/* Keep @finding if it is the first. The lock is held */
static void report(Compare *cmp, const CompareFinding *finding)
{
    if (finding->offset < cmp->first.offset) {
        cmp->first = *finding;
    }
}

static int update_status(Side *side, int64_t offset)
{
    int ret;

    if (offset < side->known) {
        return 0;
    }
    if (offset >= side->size) {
        side->status = (BlockStatus) { .zero = true };
        side->known = INT64_MAX;
        return 0;
    }
    ret = bdrv_block_status(side->bs, offset, side->size - offset, BDRV_STATUS_WANT_ZERO, &side->status);
    side->known = offset + side->status.bytes;
    return ret;
}

static bool same_status(const BlockStatus *a, const BlockStatus *b)
{
    return a->zero == b->zero && a->data == b->data && a->here == b->here;
}

/* Describe the piece at cmp->next. False, and reported: it cannot be compared */
static bool look_at(Compare *cmp, Piece *piece)
{
    Side *a = &cmp->sides[0], *b = &cmp->sides[1];

    for (int i = 0; i < 2; i++) {
        int ret = update_status(&cmp->sides[i], cmp->next);

        if (ret < 0) {
            report(cmp, &(CompareFinding) { COMPARE_NO_STATUS, false, cmp->next, i, -ret });
            return false;
        }
    }
    if (cmp->strict && !same_status(&a->status, &b->status)) {
        report(cmp, &(CompareFinding) { COMPARE_DIFFERENT, true, cmp->next });
        return false;
    }
    *piece = (Piece) { cmp->next, MIN(MIN(a->known, b->known), cmp->size) - cmp->next,
                       { a->status.zero, b->status.zero } };
    return true;
}

/* Take the next piece that is to be compared. False: there is none left */
static bool take_piece(Compare *cmp, Piece *piece)
{
    bool taken = false;

    pthread_mutex_lock(&cmp->lock);
    while (!taken && cmp->next < MIN(cmp->size, cmp->first.offset) && look_at(cmp, piece)) {
        taken = !piece->zero[0] || !piece->zero[1];
        piece->bytes = taken ? MIN(piece->bytes, COMPARE_BYTES) : piece->bytes;
        cmp->next += piece->bytes;
        img_progress_report(cmp->progress, cmp->next, cmp->size);
    }
    pthread_mutex_unlock(&cmp->lock);
    return taken;
}

/* Find the first difference. -1: there is none. A buffer of NULL is all zero */
static int64_t find_difference(const char *a, const char *b, int64_t offset, int64_t bytes)
{
    for (int64_t at = 0, n; at < bytes; at += n) {
        n = MIN(bytes - at, SECTOR - (offset + at) % SECTOR);
        if (a && b ? memcmp(a + at, b + at, (size_t)n) : !block_is_zero((a ? a : b) + at, (size_t)n)) {
            return offset + at;
        }
    }
    return -1;
}

static bool are_same(const char *a, const char *b, int64_t bytes)
{
    return a && b ? !memcmp(a, b, (size_t)bytes) : block_is_zero(a ? a : b, (size_t)bytes);
}

/* Compare one piece. @buf: COMPARE_BYTES for each side */
static void compare_piece(const Compare *cmp, const Piece *piece, char *buf, CompareFinding *finding)
{
    char *data[2] = { NULL, NULL };

    for (int i = 0; i < 2; i++) {
        int ret;

        if (piece->zero[i]) {
            continue;
        }
        data[i] = buf + i * COMPARE_BYTES;
        ret = bdrv_pread(cmp->sides[i].bs, piece->offset, data[i], piece->bytes, 0);
        if (ret < 0) {
            *finding = (CompareFinding) { COMPARE_NO_DATA, false, piece->offset, i, -ret };
            return;
        }
    }
    if (!are_same(data[0], data[1], piece->bytes)) {
        int64_t at = find_difference(data[0], data[1], piece->offset, piece->bytes);

        *finding = (CompareFinding) { COMPARE_DIFFERENT, false, at - at % SECTOR };
    }
}

static void *compare_worker(void *user)
{
    Compare *cmp = user;
    char *buf = NULL;
    Piece piece;

    if (posix_memalign((void **)&buf, 4096, 2 * COMPARE_BYTES)) {
        pthread_mutex_lock(&cmp->lock);
        report(cmp, &(CompareFinding) { COMPARE_NO_DATA, false, 0, 0, ENOMEM });
        pthread_mutex_unlock(&cmp->lock);
        return NULL;
    }
    while (take_piece(cmp, &piece)) {
        CompareFinding finding = { .offset = INT64_MAX };

        compare_piece(cmp, &piece, buf, &finding);
        pthread_mutex_lock(&cmp->lock);
        report(cmp, &finding);
        pthread_mutex_unlock(&cmp->lock);
    }
    free(buf);
    return NULL;
}

CompareFinding compare_images(BlockDriverState *a, BlockDriverState *b, bool strict, ImgProgress *progress)
{
    Compare cmp = {
        .sides = { { a, bdrv_getlength(a) }, { b, bdrv_getlength(b) } },
        .strict = strict, .progress = progress, .first.offset = INT64_MAX,
    };

    cmp.size = MAX(cmp.sides[0].size, cmp.sides[1].size);
    pthread_mutex_init(&cmp.lock, NULL);
    workers_run(WORKERS, compare_worker, &cmp);
    pthread_mutex_destroy(&cmp.lock);
    return cmp.first;
}
