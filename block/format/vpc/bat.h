/* bat.h - VHD: the table of blocks: places, one walk, entries */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_BAT_H
#define BLOCK_VPC_BAT_H

#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/checked.h"

/* BAT entries are read in pieces of this many bytes */
#define VPC_BAT_PIECE   65536
/* No BAT is written that is longer */
#define VPC_MAX_BAT     (64 << 20)
/* Where data of blocks begins in the file, as Windows 8 and tapdisk have it */
#define VPC_DATA_ALIGN  4096

/* How many blocks a disk of @size has */
static inline int64_t vpc_blocks_in(int64_t size, int64_t block_size)
{
    return size / block_size + (size % block_size != 0);
}

/* The bytes of a block's bitmap */
static inline int64_t vpc_bitmap_bytes(int64_t block_size)
{
    return align_up((block_size / VPC_SECTOR + 7) / 8, VPC_SECTOR);
}

/* The bytes of a block in the file, its bitmap and its data */
static inline int64_t vpc_stored_bytes(const VpcState *s)
{
    return s->bitmap_bytes + s->block_size;
}

static inline int64_t vpc_bat_entries(const VpcState *s)
{
    return s->bat_bytes / 4;
}

/* The bytes of the BAT with its padding */
static inline int64_t vpc_bat_padded(const VpcState *s)
{
    return align_up(s->bat_bytes, VPC_SECTOR);
}

/* How much of @block is part of a disk of @disk_size, in whole sectors: the last may be cut short */
static inline int64_t vpc_bytes_in(const VpcState *s, int64_t block, int64_t disk_size)
{
    return align_up(CLAMP(disk_size - block * s->block_size, 0, s->block_size), VPC_SECTOR);
}

/* Take place and length of the BAT and the length of blocks from s->header, which was found to be good */
void vpc_use_header(VpcState *s);

/* Return the first place for a block at or above @offset */
int64_t vpc_place_above(const VpcState *s, int64_t offset);

/* Entries of a BAT that follow each other and are the same: VPC_UNUSED, or zeroes because the file has a @hole there.
 * Any other entry is a run of its own */
typedef struct VpcRun {
    int64_t block, count;
    uint32_t sector;
    bool hole;
} VpcRun;
/* Anything but 0 ends the walk */
typedef int VpcRunFunction(void *user, const VpcRun *run);

/* Return whether @run is a block that is there. Sound images have no holes in their BATs */
static inline bool vpc_run_is_block(const VpcRun *run)
{
    return run->sector != VPC_UNUSED && !run->hole;
}

/* Call @function for all of the first @count entries, in their order. 0, -errno, or what @function returned */
int vpc_walk_bat(BlockDriverState *bs, int64_t count, VpcRunFunction *function, void *user);
/* Read the BAT entry of @block, which there is: its *@place, -1 if the block is not there. 0 or -errno */
int vpc_find_place(BlockDriverState *bs, int64_t block, int64_t *place);
/* Change the entry of @block on disk: its sector is written as a whole or not at all. 0 or -errno */
int vpc_put_entry(BlockDriverState *bs, int64_t block, uint32_t entry);
/* Write entries of no block to @bytes at @offset in the file. 0 or -errno */
int vpc_write_unused(BlockDriverState *bs, int64_t offset, int64_t bytes);

#endif
