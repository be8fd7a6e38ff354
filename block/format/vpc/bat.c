/* bat.c - VHD: the table of blocks: places, one walk, entries */
/* SPDX-License-Identifier: MIT
 *
 * A header may claim a BAT as long as the file, and a file of a few KiB may be a hole of a TiB. Holes are not read:
 * their entries are zeroes, which the walk hands out as one run. So time and memory depend on the bytes that are in the
 * file, not on a number in the header.
 */
#include <errno.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

void vpc_use_header(VpcState *s)
{
    const VpcHeader *h = &s->header;

    s->bat_offset = (int64_t)be64_load(h->table_offset);
    s->bat_bytes = (int64_t)be32_load(h->entries) * 4;
    s->block_size = be32_load(h->block_size);
    s->bitmap_bytes = vpc_bitmap_bytes(s->block_size);
}

int64_t vpc_place_above(const VpcState *s, int64_t offset)
{
    int64_t unit = s->block_size % VPC_DATA_ALIGN ? VPC_SECTOR : VPC_DATA_ALIGN;

    return align_up(offset + s->bitmap_bytes, unit) - s->bitmap_bytes;
}

/* Call @function for each run in a piece that was read */
static int each_run(const uint8_t *piece, int64_t block, int64_t count, VpcRunFunction *function, void *user)
{
    int ret = 0;

    for (int64_t i = 0, n; i < count && ret == 0; i += n) {
        uint32_t sector = be32_load(piece + i * 4);

        for (n = 1; sector == VPC_UNUSED && i + n < count && be32_load(piece + (i + n) * 4) == VPC_UNUSED; n++) {
        }
        ret = function(user, &(VpcRun) { block + i, n, sector, false });
    }
    return ret;
}

int vpc_walk_bat(BlockDriverState *bs, int64_t count, VpcRunFunction *function, void *user)
{
    const VpcState *s = bs->state;
    g_autofree uint8_t *piece = g_try_malloc(VPC_BAT_PIECE);
    int ret = piece ? 0 : -ENOMEM;

    for (int64_t at = 0, n; at < count * 4 && ret == 0; at += n) {
        n = count * 4 - at;
        if (vpc_is_hole(bs, s->bat_offset + at, &n)) {
            ret = function(user, &(VpcRun) { at / 4, n / 4, 0, true });
            continue;
        }
        n = MIN(n, VPC_BAT_PIECE);
        ret = bdrv_node_pread(bs->file, s->bat_offset + at, piece, n);
        ret = ret < 0 ? ret : each_run(piece, at / 4, n / 4, function, user);
    }
    return ret;
}

int vpc_find_place(BlockDriverState *bs, int64_t block, int64_t *place)
{
    VpcState *s = bs->state;
    uint8_t entry[4];
    int ret = bdrv_node_pread(bs->file, s->bat_offset + block * 4, entry, sizeof(entry));
    uint32_t sector = ret < 0 ? VPC_UNUSED : be32_load(entry);

    *place = sector == VPC_UNUSED ? -1 : (int64_t)sector * VPC_SECTOR;
    return ret;
}

int vpc_put_entry(BlockDriverState *bs, int64_t block, uint32_t entry)
{
    const VpcState *s = bs->state;
    int64_t at = s->bat_offset + align_down(block * 4, VPC_SECTOR);
    uint8_t sector[VPC_SECTOR];
    int ret = bdrv_node_pread(bs->file, at, sector, VPC_SECTOR);

    if (ret < 0) {
        return ret;
    }
    be32_store(sector + block * 4 % VPC_SECTOR, entry);
    return bdrv_node_pwrite(bs->file, at, sector, VPC_SECTOR);
}

int vpc_write_unused(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *unused = g_try_malloc(VPC_BAT_PIECE);
    int ret = unused ? 0 : -ENOMEM;

    if (unused) {
        memset(unused, 0xff, VPC_BAT_PIECE);
    }
    for (int64_t done = 0, n; done < bytes && ret == 0; done += n) {
        n = MIN(bytes - done, VPC_BAT_PIECE);
        ret = bdrv_node_pwrite(bs->file, offset + done, unused, n);
    }
    return ret;
}
