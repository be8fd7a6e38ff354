/* check-bat.c - VHD: tells which kind of finding a BAT entry is, and searches the BAT for a check */
/* SPDX-License-Identifier: MIT
 *
 * vpc/check-blocks.c reports the entries.
 */
#include <inttypes.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

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

typedef struct Reach {
    const VpcCheck *c;
    int64_t end;
} Reach;

static int reach_run(void *user, const VpcRun *run)
{
    Reach *reach = user;
    const VpcState *s = reach->c->bs->state;
    int64_t data = (int64_t)run->sector * VPC_SECTOR + s->bitmap_bytes;
    int64_t end = data + vpc_bytes_in(s, run->block, reach->c->disk_size);

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

VpcKind vpc_check_entry(const VpcCheck *c, int64_t block, uint32_t sector)
{
    unsigned faults = vpc_judge_place(c->bs->state, block, (int64_t)sector * VPC_SECTOR, c->disk_size);

    if (block >= c->needed) {
        return VPC_BLOCK_BEYOND;
    }
    if (faults & VPC_PLACE_OUTSIDE) {
        return VPC_BLOCK_OUTSIDE;
    }
    if (faults & VPC_PLACE_TABLES) {
        return VPC_BLOCK_ON_TABLES;
    }
    if (faults & VPC_PLACE_CUT) {
        return VPC_BLOCK_CUT;
    }
    return faults & (VPC_PLACE_OVER_TABLES | VPC_PLACE_OVER_NAMES) ? VPC_BLOCK_ON_NAMES : VPC_KINDS;
}

typedef struct OverlapSearch {
    const VpcCheck *c;
    int64_t start, end;
    int64_t first;
} OverlapSearch;

static int search_run(void *user, const VpcRun *run)
{
    OverlapSearch *search = user;
    const VpcState *s = search->c->bs->state;
    int64_t place = (int64_t)run->sector * VPC_SECTOR;
    bool in = run->sector != VPC_UNUSED && place < search->end && search->start < place + vpc_stored_bytes(s);

    if (in && vpc_check_entry(search->c, run->block, run->sector) == VPC_KINDS) {
        search->first = MIN(search->first, place);
    }
    return 0;
}

int64_t vpc_check_find_block(VpcCheck *c, int64_t start, int64_t end)
{
    OverlapSearch search = { c, start, end, INT64_MAX };

    return vpc_check_walk(c, search_run, &search) ? search.first : INT64_MAX;
}
