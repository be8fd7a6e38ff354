/* align.c - requests of any offset and length, on a node with request_alignment */
/* SPDX-License-Identifier: MIT
 *
 * A read is rounded out to whole units of request_alignment and goes through a buffer, the bounce. A write reads the
 * units that it covers only in part, changes them and writes them back. A range lock keeps other writes out of these
 * units meanwhile: an aligned write to the rest of such a unit would be lost. If the file ends inside a unit, the
 * driver writes up to the end and no further: in a file that is too long, even for a moment, the footer is not last.
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

/* Allocate a bounce for @bytes and the units around them, at most BOUNCE_BYTES; free() it */
static void *bounce_new(BlockDriverState *bs, int64_t bytes)
{
    int64_t unit = MAX(bs->request_alignment, 4096);

    return aligned_alloc((size_t)unit, (size_t)MIN(align_up(bytes, unit) + unit, BOUNCE_BYTES));
}

/* Read one aligned piece into @bounce */
static int bounced_read(BlockDriverState *bs, void *bounce, int64_t start, int64_t bytes)
{
    struct iovec iov = { bounce, (size_t)bytes };

    return block_driver_read(bs, start, block_vec(&iov, 1));
}

/* Write one aligned piece from @bounce. @end: the end of the file after the write */
static int bounced_write(BlockDriverState *bs, void *bounce, int64_t start, int64_t bytes, int64_t end)
{
    struct iovec iov = { bounce, (size_t)MIN(bytes, end - start) };
    BlockVec vec = block_vec(&iov, 1);

    return vec.bytes < bytes ? block_driver_write_end(bs, start, vec) : block_driver_write(bs, start, vec);
}

/* Return how many of @bytes at @offset fit the bounce, and in *@start and *@length the aligned piece around them */
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

/* Read the unit in which a write begins (@head), ends (@tail), or both */
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

/* Read the first and the last unit of a piece, where the request does not cover them */
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
