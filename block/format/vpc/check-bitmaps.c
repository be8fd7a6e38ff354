/* check-bitmaps.c - VHD: reports faults of the bitmaps of blocks */
/* SPDX-License-Identifier: MIT
 *
 * Each bitmap is read once, in the order of c->blocks, which is that of the file. Data of a block is read only where a
 * bitmap says that there should be none.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/checked.h"
#include "util/iszero.h"

static int64_t find_in_piece(const uint8_t *data, uint8_t *bitmap, int64_t first, int64_t last)
{
    int64_t found = 0;

    for (int64_t i = first; i < last; i++) {
        if (!vpc_sector_is_set(bitmap, i) && !block_is_zero(data + (i - first) * VPC_SECTOR, VPC_SECTOR)) {
            vpc_set_bits(bitmap, i, i + 1);
            found++;
        }
    }
    return found;
}

int64_t vpc_find_data(VpcCheck *c, int64_t place, uint8_t *bitmap, int64_t first, int64_t last)
{
    const VpcState *s = c->bs->state;
    g_autofree uint8_t *buf = g_try_malloc(VPC_CHECK_PIECE);
    int64_t found = buf ? 0 : -ENOMEM;

    for (int64_t n; first < last && found >= 0; first += n) {
        int64_t at = place + s->bitmap_bytes + first * VPC_SECTOR, bytes = (last - first) * VPC_SECTOR;
        bool hole = vpc_is_hole(c->bs, at, &bytes);

        n = MIN(bytes, hole ? INT64_MAX : VPC_CHECK_PIECE) / VPC_SECTOR;
        bool full = vpc_sector_is_set(bitmap, first) && vpc_run_end(bitmap, first, first + n) == first + n;
        if (full || hole) {
            continue;
        }
        int ret = bdrv_node_pread(c->bs->file, at, buf, n * VPC_SECTOR);
        found = ret < 0 ? ret : found + find_in_piece(buf, bitmap, first, first + n);
    }
    return found;
}

static void check_past_end(VpcCheck *c, uint64_t key, const uint8_t *bitmap, int64_t sectors)
{
    VpcState *s = c->bs->state;
    int64_t all = s->block_size / VPC_SECTOR, block = vpc_key_block(key);
    int64_t end = vpc_key_place(key) + s->bitmap_bytes + sectors * VPC_SECTOR;
    int64_t bytes = MIN((all - sectors) * VPC_SECTOR, s->read_limit - end);

    if (sectors == all || (!vpc_sector_is_set(bitmap, sectors) && vpc_run_end(bitmap, sectors, all) == all)) {
        return;
    }
    int zero = vpc_is_zero(c->bs, end, bytes);
    if (zero < 0) {
        vpc_found(c, -1, end, block,
                  "the end of block %" PRId64 " at %" PRId64 " could not be read: %s", block, end,
                  g_strerror(-zero));
        return;
    }
    vpc_found(c, zero ? VPC_BITS_PAST_END : VPC_DATA_PAST_END, end, block,
              "block %" PRId64 ": the disk ends with sector %" PRId64 " of %" PRId64 ", and bits behind that "
              "are set%s", block, sectors, all, zero ? "" : ", where there is data");
    if (!zero) {
        vpc_check_key(c, &c->keys[VPC_DATA_PAST_END], key);
    }
}

static void report_clear(VpcCheck *c, uint64_t key)
{
    int64_t block = vpc_key_block(key), place = vpc_key_place(key);

    vpc_found(c, VPC_BLOCK_CLEAR, place, block, "block %" PRId64 " at %" PRId64 " has no sector", block, place);
    vpc_check_key(c, &c->keys[VPC_BLOCK_CLEAR], key);
}

/* Report data under clear bits of a dynamic disk, where there must be zeroes. Changes @bitmap */
static void check_clear_sectors(VpcCheck *c, uint64_t key, uint8_t *bitmap, int64_t sectors, bool empty)
{
    int64_t block = vpc_key_block(key), place = vpc_key_place(key);
    int64_t found = vpc_find_data(c, place, bitmap, 0, sectors);

    if (found < 0) {
        vpc_found(c, -1, place, block,
                  "block %" PRId64 " at %" PRId64 " could not be read: %s", block, place, g_strerror((int)-found));
    } else if (found > 0) {
        vpc_found(c, VPC_DATA_UNDER_CLEAR, place, block,
                  "block %" PRId64 " at %" PRId64 " has data in %" PRId64 " sectors that are clear: some programs "
                  "see it, others see zeroes", block, place, found);
        vpc_check_key(c, &c->keys[VPC_DATA_UNDER_CLEAR], key);
    } else if (empty) {
        report_clear(c, key);
    }
}

static bool is_all_hole(VpcCheck *c, int64_t offset, int64_t bytes)
{
    int64_t n = bytes;

    return vpc_is_hole(c->bs, offset, &n) && n == bytes;
}

static void check_bitmap(VpcCheck *c, uint64_t key, uint8_t *bitmap)
{
    VpcState *s = c->bs->state;
    int64_t block = vpc_key_block(key), data = vpc_key_place(key) + s->bitmap_bytes, sectors = vpc_sectors_in(c, block);
    bool set = vpc_sector_is_set(bitmap, 0), all = vpc_run_end(bitmap, 0, sectors) == sectors;

    if (!all || !set) {
        vpc_check_map_bits(c, block, 1, "has sectors that are not there");
    }
    check_past_end(c, key, bitmap, sectors);
    if (!(all && set) && !s->differencing) {
        check_clear_sectors(c, key, bitmap, sectors, all);
    } else if (all && !set) {
        report_clear(c, key);
    } else if (all && !s->differencing && is_all_hole(c, data, sectors * VPC_SECTOR)) {
        vpc_found(c, VPC_BLOCK_ZERO, data, block,
                  "block %" PRId64 " at %" PRId64 " is a hole in the file", block, vpc_key_place(key));
    }
}

/* Return whether the block with this index lies on its neighbour. Then its bitmap may not be its own */
static bool is_shared(const VpcCheck *c, size_t i)
{
    const VpcState *s = c->bs->state;
    const uint64_t *key = &c->blocks.at[i];

    return (i > 0 && vpc_overlap(s, key[-1], key[0])) || (i + 1 < c->blocks.count && vpc_overlap(s, key[0], key[1]));
}

void vpc_check_bitmaps(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    g_autofree uint8_t *bitmap = g_try_malloc((gsize)s->bitmap_bytes);

    if (!bitmap) {
        vpc_found(c, -1, s->bat_offset, -1, "no memory for a bitmap of %" PRId64 " bytes", s->bitmap_bytes);
        return;
    }
    for (size_t i = 0; i < c->blocks.count; i++) {
        uint64_t key = c->blocks.at[i];

        if (!is_shared(c, i) && vpc_check_read(c, vpc_key_place(key), bitmap, s->bitmap_bytes, "bitmap")) {
            check_bitmap(c, key, bitmap);
        }
        if (!bdrv_go_on(c->bs, (int64_t)i + 1, (int64_t)c->blocks.count)) {
            c->cancelled = true;
            return;
        }
    }
}
