/* table.c - VHD: a piece of the BAT, or a bitmap, in memory */
/* SPDX-License-Identifier: MIT
 *
 * Tables are pages of the layer's cache. One that can't be read as a whole is read by the sector, past the cache.
 */
#include <errno.h>
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/table.h"
#include "util/checked.h"

/* Read the sector that has @offset, of a table that can't be read as a whole, past the cache. For readers: what was
 * changed is in the cache */
static int get_sector(BlockDriverState *bs, int64_t offset, unsigned mode, VpcTable *table)
{
    VpcState *s = bs->state;
    int64_t at = align_down(offset, VPC_SECTOR);

    if (!(mode & BLOCK_MAP_WAIT)) {
        return -EAGAIN;
    }
    int ret = s->spare_at == at ? 0 : bdrv_node_pread(bs->file, at, s->spare, VPC_SECTOR);
    s->spare_at = ret < 0 || (bs->flags & BDRV_O_RDWR) ? 0 : at;
    *table = (VpcTable) { at, at + VPC_SECTOR, s->spare };
    return ret;
}

int vpc_get_table(BlockDriverState *bs, int64_t start, int64_t end, int64_t offset, unsigned mode, VpcTable *table)
{
    VpcState *s = bs->state;
    bool may_change = bs->flags & BDRV_O_RDWR;
    gpointer key = GSIZE_TO_POINTER((gsize)(start / VPC_SECTOR));

    if (!may_change && s->broken && g_hash_table_contains(s->broken, key)) {
        return get_sector(bs, offset, mode, table);
    }
    *table = (VpcTable) { start, end };
    int ret = bdrv_meta_get(bs, start, end - start, mode, &table->data);
    if (ret != -EIO || end - start <= VPC_SECTOR || (mode & BLOCK_MAP_WRITE)) {
        return ret;
    }
    if (!may_change) {
        s->broken = s->broken ? s->broken : g_hash_table_new(NULL, NULL);
        g_hash_table_add(s->broken, key);
    }
    return get_sector(bs, offset, mode, table);
}
