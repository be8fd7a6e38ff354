/* batmap.c - VHD: Xen's map of blocks that are there in full */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "block/format/vpc/batmap.h"
#include "block/format/vpc/on-disk.h"
#include "util/be.h"
#include "util/checked.h"

#define XEN_BYTE    (INT64_C(16) << 20)     /* bytes of the disk for one of the map: blocks are of 2 MiB there */

int64_t vpc_batmap_length(const VpcBatmap *batmap)
{
    return (int64_t)be32_load(batmap->sectors) * VPC_SECTOR;
}

unsigned vpc_judge_batmap(const VpcBatmap *batmap, int64_t needed, int64_t limit)
{
    uint64_t at = be64_load(batmap->offset);
    int64_t length = vpc_batmap_length(batmap);
    unsigned faults = memcmp(batmap->cookie, VPC_BATMAP_COOKIE, 8) ? VPC_MAP_NO_COOKIE : 0;

    faults |= at % VPC_SECTOR ? VPC_MAP_UNALIGNED : 0;
    faults |= length < needed ? VPC_MAP_SHORT : 0;
    faults |= !ends_before(at, MIN(length, needed), limit) ? VPC_MAP_OUTSIDE : 0;
    return faults | (!ends_before(at, length, limit) ? VPC_MAP_END_OUTSIDE : 0);
}

int64_t vpc_batmap_bytes(int64_t blocks)
{
    return align_up((blocks + 7) / 8, VPC_SECTOR);
}

int64_t vpc_batmap_summed(int64_t disk_size)
{
    return MAX(align_up(disk_size / XEN_BYTE, VPC_SECTOR), VPC_SECTOR);
}

uint32_t vpc_batmap_sum(const uint8_t *map, int64_t bytes)
{
    uint32_t sum = 0;

    for (int64_t i = 0; i < bytes; i++) {
        sum += map[i];
    }
    return ~sum;
}

void vpc_place_batmap(VpcBatmap *batmap, int64_t map_at, int64_t bytes)
{
    be64_store(batmap->offset, (uint64_t)map_at);
    be32_store(batmap->sectors, (uint32_t)(bytes / VPC_SECTOR));
}

void vpc_seal_batmap(VpcBatmap *batmap, uint32_t sum)
{
    be32_store(batmap->version, VPC_BATMAP_VERSION);
    be32_store(batmap->checksum, sum);
}
