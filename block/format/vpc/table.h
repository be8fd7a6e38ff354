/* table.h - VHD: a piece of the BAT, or a bitmap, in memory */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_TABLE_H
#define BLOCK_VPC_TABLE_H

#include "block/format/vpc/state.h"
#include "util/be.h"

/* [@start, @end) of the file */
typedef struct VpcTable {
    int64_t start, end;
    uint8_t *data;                  /* good until the next call of vpc_get_table() */
} VpcTable;

/* Get the table [@start, @end), or the sector of it that has @offset if it can't be read as a whole. @mode: map()'s.
 * Under the map lock. 0 or -errno; -EAGAIN as bdrv_meta_get() */
int vpc_get_table(BlockDriverState *bs, int64_t start, int64_t end, int64_t offset, unsigned mode, VpcTable *table);

/* Where the BAT entry of @block is in a @piece of the BAT that has it */
static inline uint8_t *vpc_entry_in(const VpcState *s, const VpcTable *piece, int64_t block)
{
    return piece->data + (s->bat_offset + block * 4 - piece->start);
}

#endif
