/* batmap.h - VHD: Xen's map of blocks that are there in full */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_BATMAP_H
#define BLOCK_VPC_BATMAP_H

#include <glib.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"

/* Where the header of the batmap is, if there is one */
static inline int64_t vpc_batmap_at(const VpcState *s)
{
    return s->bat_offset + vpc_bat_padded(s);
}

/* What may be wrong with a batmap. Any of them may come together */
enum {
    VPC_MAP_NO_COOKIE   = 1 << 0,   /* there is no batmap, and the rest means nothing */
    VPC_MAP_UNALIGNED   = 1 << 1,   /* the map does not begin with a sector */
    VPC_MAP_SHORT       = 1 << 2,   /* it is shorter than needed */
    VPC_MAP_OUTSIDE     = 1 << 3,   /* the needed part of it ends past the limit */
    VPC_MAP_END_OUTSIDE = 1 << 4,   /* it ends past the limit. Always with VPC_MAP_OUTSIDE */
};

/* Return all that is wrong with @batmap, of which @needed bytes are used, in a file that ends at @limit. 0: nothing
 * is */
unsigned vpc_judge_batmap(const VpcBatmap *batmap, int64_t needed, int64_t limit);
/* Return how many bytes the map is said to have */
int64_t vpc_batmap_length(const VpcBatmap *batmap);
/* How many bytes a map of so many blocks has; one that is written has a sector at least */
int64_t vpc_batmap_bytes(int64_t blocks);
/* How many bytes of the map Xen's tools sum up, if it has so many: they count blocks of 2 MiB */
int64_t vpc_batmap_summed(int64_t disk_size);
/* Return the checksum of so many bytes of a map */
uint32_t vpc_batmap_sum(const uint8_t *map, int64_t bytes);
/* Store in the header where the map is, and how long */
void vpc_place_batmap(VpcBatmap *batmap, int64_t map_at, int64_t bytes);
/* Store version and checksum in the header */
void vpc_seal_batmap(VpcBatmap *batmap, uint32_t sum);

#endif
