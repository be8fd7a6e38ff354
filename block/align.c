/* align.c - requests of any alignment, on a node that wants them aligned */
/* SPDX-License-Identifier: MIT
 *
 * Reads are rounded out and bounced. Writes read the blocks that they cover in part, change them and
 * write them back, with nobody else writing to those blocks meanwhile: an aligned write of the rest of such
 * a block would be lost. Where the file ends in mid-block, the driver writes up to there and no further: a
 * file that is too long for a moment has no footer at its end for a moment.
 */
#include <errno.h>
#include <stdlib.h>
#include "block/layer.h"
#include "util/checked.h"

#define BOUNCE_BYTES (1 << 20)

bool block_is_aligned(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    struct iovec iov[16];
    uint64_t all = (uint64_t)offset | (uint64_t)vec.bytes;
    uint64_t mask = (uint64_t)bs->request_alignment - 1;

    if (bs->request_alignment <= 1) {
        return true;
    }
    for (int64_t done = 0, n; done < vec.bytes; done += n) {
        int count = block_vec_iov(block_vec_slice(vec, done, vec.bytes - done), iov, G_N_ELEMENTS(iov), &n);

        for (int i = 0; i < count; i++) {
            all |= (uint64_t)(uintptr_t)iov[i].iov_base | iov[i].iov_len;
        }
    }
    return (all & mask) == 0;
}

BlockRange block_range(BlockDriverState *bs, int64_t offset, int64_t bytes, bool alone)
{
    int64_t start = align_down(offset, bs->request_alignment), end = align_up(offset + bytes, bs->request_alignment);
    bool at_end = alone && end > bdrv_node_size(bs);

    return (BlockRange) { start, at_end ? INT64_MAX : end, alone };
}

/* Memory for @bytes and what is rounded out around them, or for as much as is bounced at a time; free() it */
static void *bounce_new(BlockDriverState *bs, int64_t bytes)
{
    int64_t unit = MAX(bs->request_alignment, 4096);

    return aligned_alloc((size_t)unit, (size_t)MIN(align_up(bytes, unit) + unit, BOUNCE_BYTES));
}

/* One aligned piece, through @bounce */
static int bounced_read(BlockDriverState *bs, void *bounce, int64_t start, int64_t bytes)
{
    struct iovec iov = { bounce, (size_t)bytes };

    return block_driver_read(bs, start, block_vec(&iov, 1));
}

/* @end: where the file ends, or shall end */
static int bounced_write(BlockDriverState *bs, void *bounce, int64_t start, int64_t bytes, int64_t end)
{
    struct iovec iov = { bounce, (size_t)MIN(bytes, end - start) };
    BlockVec vec = block_vec(&iov, 1);

    return vec.bytes < bytes ? block_driver_write_end(bs, start, vec) : block_driver_write(bs, start, vec);
}

/* How much of @bytes at @offset one bounce takes, and the aligned piece around that */
static int64_t next_piece(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t *start, int64_t *length)
{
    *start = align_down(offset, bs->request_alignment);
    int64_t n = MIN(bytes, *start + BOUNCE_BYTES - offset);

    *length = align_up(offset + n, bs->request_alignment) - *start;
    return n;
}

int block_unaligned_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    void *bounce = bounce_new(bs, vec.bytes);
    int ret = bounce ? 0 : -ENOMEM;

    for (int64_t done = 0, n, start, length; ret == 0 && done < vec.bytes; done += n) {
        n = next_piece(bs, offset + done, vec.bytes - done, &start, &length);
        ret = bounced_read(bs, bounce, start, length);
        if (ret == 0) {
            block_vec_from_buf(block_vec_slice(vec, done, n), (uint8_t *)bounce + (offset + done - start));
        }
    }
    free(bounce);
    return ret;
}

/* The block that a write begins in (@head), ends in (@tail), or both */
static int read_end(BlockDriverState *bs, void *bounce, int64_t start, bool head, bool tail)
{
    if (head) {
        block_debug_event(bs, "pwritev_rmw_head");
    }
    if (tail) {
        block_debug_event(bs, "pwritev_rmw_tail");
    }
    int ret = bounced_read(bs, bounce, start, bs->request_alignment);

    if (ret == 0 && head) {
        block_debug_event(bs, "pwritev_rmw_after_head");
    }
    if (ret == 0 && tail) {
        block_debug_event(bs, "pwritev_rmw_after_tail");
    }
    return ret;
}

/* The blocks at both ends that the request does not cover */
static int read_ends(BlockDriverState *bs, uint8_t *bounce, int64_t start, int64_t length, int64_t offset,
                     int64_t bytes)
{
    int64_t last = length - bs->request_alignment;
    bool head = offset > start, tail = offset + bytes < start + length, same = last == 0;
    int ret = head || (tail && same) ? read_end(bs, bounce, start, head, tail && same) : 0;

    return ret == 0 && tail && !same ? read_end(bs, bounce + last, start + last, false, true) : ret;
}

int block_unaligned_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    uint8_t *bounce = bounce_new(bs, vec.bytes);
    int64_t end = MAX(bdrv_node_size(bs), offset + vec.bytes);
    int ret = bounce ? 0 : -ENOMEM;

    for (int64_t done = 0, n, start, length; ret == 0 && done < vec.bytes; done += n) {
        n = next_piece(bs, offset + done, vec.bytes - done, &start, &length);
        ret = read_ends(bs, bounce, start, length, offset + done, n);
        if (ret == 0) {
            block_vec_to_buf(block_vec_slice(vec, done, n), bounce + (offset + done - start));
            ret = bounced_write(bs, bounce, start, length, end);
        }
    }
    free(bounce);
    return ret;
}
