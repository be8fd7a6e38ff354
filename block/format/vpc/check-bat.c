/* check-bat.c - VHD: what a BAT entry is to a check, and searches of the BAT */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

/* Calls @function for each entry that the disk may have; what can't be read is a finding, and false */
bool vpc_check_walk(VpcCheck *c, VpcRunFunction *function, void *user)
{
    const VpcState *s = c->bs->state;
    int ret = vpc_walk_bat(c->bs, vpc_bat_entries(s), function, user);

    if (ret < 0) {
        vpc_found(c, -1, s->bat_offset, -1, "the BAT at %" PRId64 " could not be read: %s", s->bat_offset,
                  g_strerror(-ret));
    }
    return ret == 0;
}

/* How much of the block is part of the disk, in whole sectors */
static int64_t bytes_in(const VpcCheck *c, int64_t block)
{
    return vpc_sectors_in(c, block) * VPC_SECTOR;
}

typedef struct Reach {
    const VpcCheck *c;
    int64_t end;
} Reach;

static int reach_run(void *user, const VpcRun *run)
{
    Reach *reach = user;
    const VpcState *s = reach->c->bs->state;
    int64_t end = (int64_t)run->sector * VPC_SECTOR + s->bitmap_bytes + bytes_in(reach->c, run->block);

    if (run->sector != VPC_UNUSED && run->block < reach->c->needed && end <= reach->c->ends.size) {
        reach->end = MAX(reach->end, end);
    }
    return 0;
}

int64_t vpc_check_reach(VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    int64_t header_end = (int64_t)be64_load(s->footer.data_offset) + (int64_t)sizeof(VpcHeader);
    Reach reach = { c, MAX(header_end, s->bat_offset + s->bat_bytes) };

    return vpc_check_walk(c, reach_run, &reach) ? reach.end : c->ends.size;
}

VpcKind vpc_judge(const VpcCheck *c, int64_t block, uint32_t sector)
{
    const VpcState *s = c->bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR, data = place + s->bitmap_bytes, end = data + s->block_size;

    if (block >= c->needed) {
        return VPC_BLOCK_BEYOND;
    }
    if (data > s->read_limit) {
        return VPC_BLOCK_OUTSIDE;
    }
    if (vpc_metadata_in(s, VPC_VITAL, false, place, data)) {
        return VPC_BLOCK_ON_TABLES;
    }
    if (data + bytes_in(c, block) > s->read_limit) {
        return VPC_BLOCK_CUT;
    }
    bool over = vpc_metadata_in(s, VPC_VITAL, false, data, end) || vpc_metadata_in(s, VPC_NAMES, false, place, end);

    return over ? VPC_BLOCK_ON_NAMES : VPC_KINDS;
}

typedef struct Search {
    const VpcCheck *c;
    int64_t start, end;
    int64_t first;
} Search;

static int search_run(void *user, const VpcRun *run)
{
    Search *search = user;
    const VpcState *s = search->c->bs->state;
    int64_t place = (int64_t)run->sector * VPC_SECTOR;
    bool in = run->sector != VPC_UNUSED && place < search->end && search->start < place + vpc_stored_bytes(s);

    if (in && vpc_judge(search->c, run->block, run->sector) == VPC_KINDS) {
        search->first = MIN(search->first, place);
    }
    return 0;
}

int64_t vpc_check_find_block(VpcCheck *c, int64_t start, int64_t end)
{
    Search search = { c, start, end, INT64_MAX };

    return vpc_check_walk(c, search_run, &search) ? search.first : INT64_MAX;
}
