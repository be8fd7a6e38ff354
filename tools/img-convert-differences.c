/* img-convert-differences.c - miniblk-img convert -B: writes only the differences to the parent of the output */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "tools/img-convert.h"
#include "tools/img-progress.h"
#include "util/iszero.h"

#define PIECE_BYTES (INT64_C(1) << 20)
#define UNIT_BYTES  4096            /* size of a guest's page: bytes are compared and written in such units */

typedef struct Differences {
    BlockDriverState *from, *to;
    char *want, *have;              /* PIECE_BYTES each, in one allocation that begins at want */
} Differences;

typedef enum Kind { SAME, ZEROES, DATA } Kind;

/* Return how the unit at @at of a piece is to be written */
static Kind kind_of(const Differences *d, int64_t at, int64_t bytes)
{
    size_t n = (size_t)MIN(UNIT_BYTES, bytes - at);

    if (!memcmp(d->want + at, d->have + at, n)) {
        return SAME;
    }
    return block_is_zero(d->want + at, n) ? ZEROES : DATA;
}

static int write_piece(const Differences *d, int64_t offset, int64_t bytes)
{
    int ret = 0;

    for (int64_t at = 0, end; at < bytes && ret == 0; at = end) {
        Kind kind = kind_of(d, at, bytes);

        for (end = MIN(at + UNIT_BYTES, bytes); end < bytes && kind_of(d, end, bytes) == kind;) {
            end = MIN(end + UNIT_BYTES, bytes);
        }
        if (kind == DATA) {
            ret = bdrv_pwrite(d->to, offset + at, d->want + at, end - at, 0);
        } else if (kind == ZEROES) {
            ret = bdrv_pwrite_zeroes(d->to, offset + at, end - at, BDRV_REQ_MAY_UNMAP);
        }
    }
    return ret;
}

/* Make the first part of [@offset, @offset + @bytes) equal. Return its length, or -errno with *@doing set to the step
 * that failed */
static int64_t copy_first(const Differences *d, int64_t offset, int64_t bytes, const char **doing)
{
    BlockStatus from, to;
    int ret;

    *doing = "reading block status at offset";
    ret = bdrv_block_status(d->from, offset, bytes, BDRV_STATUS_WANT_ZERO, &from);
    ret = ret < 0 ? ret : bdrv_block_status(d->to, offset, bytes, BDRV_STATUS_WANT_ZERO, &to);
    if (ret < 0) {
        return ret;
    }
    if (from.zero && to.zero) {
        return MIN(from.bytes, to.bytes);
    }
    bytes = MIN(bytes, PIECE_BYTES - offset % UNIT_BYTES);
    *doing = "reading at byte";
    ret = bdrv_pread(d->from, offset, d->want, bytes, 0);
    ret = ret < 0 ? ret : bdrv_pread(d->to, offset, d->have, bytes, 0);
    if (ret == 0) {
        *doing = "writing at byte";
        ret = write_piece(d, offset, bytes);
    }
    return ret < 0 ? ret : bytes;
}

bool convert_differences(const ConvertArgs *args, BlockDriverState *from, ImgProgress *progress, GError **errp)
{
    Differences d = { from, args->to.bs };
    int64_t size = bdrv_getlength(d.from), n = 0;
    const char *doing = "reading at byte";

    if (posix_memalign((void **)&d.want, 4096, 2 * PIECE_BYTES)) {
        bdrv_set_error(errp, ENOMEM, "no memory to copy with");
        return false;
    }
    d.have = d.want + PIECE_BYTES;
    for (int64_t offset = 0; offset < size; offset += n) {
        n = copy_first(&d, offset, size - offset, &doing);
        if (n < 0) {
            bdrv_set_error(errp, (int)-n, "error while %s %" PRId64 ": %s", doing, offset,
                           g_strerror((int)-n));
            break;
        }
        img_progress_report(progress, offset + n, size);
    }
    free(d.want);
    return n >= 0;
}
