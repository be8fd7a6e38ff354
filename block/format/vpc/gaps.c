/* gaps.c - VHD: moves blocks from the end of the file into free places further down */
/* SPDX-License-Identifier: MIT
 *
 * A resize leaves free places, see vpc/relocate.c. Blocks are copied there; flush; their BAT entries are changed;
 * flush; and only then are their old places at the end of the file given back. After a power cut an entry names the old
 * or the new place of its block, and both have the same bytes.
 */
#include <errno.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/gaps.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"
#include "util/checked.h"

/* Blocks by place, from both ends: the last go where there is room before the first */
typedef struct Gaps {
    BlockDriverState *bs;
    VpcKeys blocks;
    VpcKeys moved;                  /* those of the blocks that move, with their new places */
} Gaps;

static int add_block(void *user, const VpcRun *run)
{
    Gaps *g = user;

    return !vpc_run_is_block(run) || vpc_keys_add(&g->blocks, vpc_key(run->sector, run->block)) ? 0 : -ENOMEM;
}

/* Return what metadata lies on a block at @place; NULL: none does */
static const VpcRange *metadata_on(const VpcState *s, int64_t place)
{
    for (unsigned i = 0; i < s->metadata_count; i++) {
        if (s->metadata[i].start < place + vpc_stored_bytes(s) && place < s->metadata[i].end) {
            return &s->metadata[i];
        }
    }
    return NULL;
}

/* Return the first place at or above @at that is beside metadata */
static int64_t free_place(const VpcState *s, int64_t at, bool aligned)
{
    for (;;) {
        at = aligned ? vpc_place_above(s, at) : align_up(at, VPC_SECTOR);
        const VpcRange *on = metadata_on(s, at);

        if (!on) {
            return at;
        }
        at = on->end;
    }
}

/* Return a place in [@start, @end); -1: there is none. Behind a block whose data is not aligned, neither need this
 * one's be */
static int64_t place_between(const VpcState *s, int64_t start, int64_t end, bool behind_block)
{
    int64_t at = free_place(s, start, true), before = start - vpc_stored_bytes(s);

    if (at + vpc_stored_bytes(s) > end && behind_block && before != vpc_place_above(s, before)) {
        at = free_place(s, start, false);
    }
    return at + vpc_stored_bytes(s) <= end ? at : -1;
}

/* Return where all tables end that are in front of the first block */
static int64_t gaps_begin(const Gaps *g)
{
    const VpcState *s = g->bs->state;
    int64_t lowest = g->blocks.count ? vpc_key_place(g->blocks.at[0]) : 0, end = 0;

    for (unsigned i = 0; i < s->metadata_count; i++) {
        end = s->metadata[i].start < lowest ? MAX(end, s->metadata[i].end) : end;
    }
    return align_up(end, VPC_SECTOR);
}

static int plan_gaps(Gaps *g)
{
    const VpcState *s = g->bs->state;
    size_t first = 0, last = g->blocks.count;
    int64_t end = gaps_begin(g);

    while (first < last) {
        int64_t next = vpc_key_place(g->blocks.at[first]);
        int64_t at = place_between(s, end, next, first + g->moved.count > 0);

        if (at >= 0) {
            if (!vpc_keys_add(&g->moved, vpc_key((uint32_t)(at / VPC_SECTOR), vpc_key_block(g->blocks.at[--last])))) {
                return -ENOMEM;
            }
            end = at + vpc_stored_bytes(s);
        } else {
            end = next + vpc_stored_bytes(s);
            first++;
        }
    }
    return 0;
}

static int copy_into_gaps(const Gaps *g)
{
    const VpcState *s = g->bs->state;
    int ret = 0;

    for (size_t i = 0; i < g->moved.count && ret == 0; i++) {
        uint64_t from = g->blocks.at[g->blocks.count - 1 - i];
        int64_t bytes = vpc_stored_bytes(s);

        ret = bdrv_go_on(g->bs, (int64_t)i * bytes, (int64_t)g->moved.count * bytes) ? 0 : -ECANCELED;
        ret = ret < 0 ? ret : vpc_copy_bytes(g->bs, vpc_key_place(from), vpc_key_place(g->moved.at[i]), bytes);
    }
    return ret < 0 ? ret : bdrv_node_flush(g->bs->file);
}

/* Write the new entries of the moved blocks, one sector of the BAT at a time, as a whole or not at all */
static int change_places(const Gaps *g)
{
    int ret = 0;

    for (size_t i = 0; i < g->moved.count && ret == 0; i++) {
        ret = vpc_put_entry(g->bs, vpc_key_block(g->moved.at[i]), (uint32_t)(g->moved.at[i] >> 32));
    }
    return ret < 0 ? ret : bdrv_node_flush(g->bs->file);
}

int vpc_fill_gaps(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    Gaps g = { bs };
    int ret = vpc_walk_bat(bs, vpc_bat_entries(s), add_block, &g);

    vpc_keys_sort(&g.blocks);
    ret = ret < 0 ? ret : plan_gaps(&g);
    if (ret == 0 && g.moved.count > 0) {
        ret = copy_into_gaps(&g);
        ret = ret < 0 ? ret : change_places(&g);
        bdrv_meta_forget(bs);
        ret = ret < 0 ? ret : vpc_cut_room(bs);
    }
    vpc_keys_free(&g.blocks);
    vpc_keys_free(&g.moved);
    return ret;
}
