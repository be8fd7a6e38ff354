/* holes.c - VHD: bytes of the file, holes among them, looked at and copied */
/* SPDX-License-Identifier: MIT
 *
 * A header may claim a BAT as long as the file, and a file of a few KiB may be a hole of a TiB. Holes are neither
 * read here nor written.
 */
#include <errno.h>
#include "block/format/vpc/holes.h"
#include "block/format/vpc/on-disk.h"
#include "util/checked.h"
#include "util/iszero.h"

#define COPY_PIECE  (1 << 20)
#define ZERO_PIECE  65536

bool vpc_is_hole(BlockDriverState *bs, int64_t offset, int64_t *bytes)
{
    BlockStatus st;
    bool known = bdrv_node_status(bs->file, offset, *bytes, BDRV_STATUS_WANT_ZERO, &st) == 0;
    bool hole = known && st.zero && st.bytes >= MIN(*bytes, VPC_SECTOR);

    if (hole && st.bytes < *bytes) {
        *bytes = align_down(st.bytes, VPC_SECTOR);
    } else if (known && !hole) {
        *bytes = MIN(*bytes, align_up(st.bytes, VPC_SECTOR));
    }
    return hole;
}

int vpc_is_zero(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_try_malloc(ZERO_PIECE);
    int zero = buf ? 1 : -ENOMEM;

    for (int64_t done = 0, n; done < bytes && zero == 1; done += n) {
        n = bytes - done;
        if (vpc_is_hole(bs, offset + done, &n)) {
            continue;
        }
        n = MIN(n, ZERO_PIECE);
        int ret = bdrv_node_pread(bs->file, offset + done, buf, n);
        zero = ret < 0 ? ret : block_is_zero(buf, (size_t)n);
    }
    return zero;
}

int vpc_copy_bytes(BlockDriverState *bs, int64_t from, int64_t to, int64_t bytes)
{
    g_autofree uint8_t *buf = g_try_malloc(COPY_PIECE);
    int ret = buf ? 0 : -ENOMEM;

    for (int64_t done = 0, n; done < bytes && ret == 0; done += n) {
        n = bytes - done;
        if (vpc_is_hole(bs, from + done, &n)) {
            ret = bdrv_node_zero(bs->file, to + done, n, BLOCK_ZERO_PUNCH);
            continue;
        }
        n = MIN(n, COPY_PIECE);
        ret = bdrv_node_pread(bs->file, from + done, buf, n);
        if (ret == 0 && block_is_zero(buf, (size_t)n)) {
            ret = bdrv_node_zero(bs->file, to + done, n, BLOCK_ZERO_PUNCH);
        } else if (ret == 0) {
            ret = bdrv_node_pwrite(bs->file, to + done, buf, n);
        }
    }
    return ret;
}

int vpc_set_file_size(BlockDriverState *bs, int64_t size)
{
    GError *err = NULL;
    int ret = 0;

    if (!bdrv_node_truncate(bs->file, size, &err)) {
        ret = -bdrv_error_code(err);
        bdrv_error_free(err);
    }
    return ret;
}
