/* vpc-gaps.c - VHD: the last blocks into places that are free */
/* SPDX-License-Identifier: MIT
 *
 * A block is copied; flush; its BAT entry is changed; flush; and only then is its old place at the end of the file
 * given back. After a cut in between an entry names one or the other, which are the same.
 */
#include <errno.h>
#include "block/vpc.h"
#include "util/be.h"
#include "util/checked.h"

/* Blocks by place, from both ends: the last go where there is room before the first */
typedef struct Gaps {
    BlockDriverState *bs;
    GArray *blocks;                 /* uint64_t: sector << 32 | block */
    GArray *moved;                  /* the same of those that move, with their new sectors */
} Gaps;

static void add_block(void *user, int64_t block, uint8_t *entry)
{
    uint64_t key = (uint64_t)be32_load(entry) << 32 | (uint64_t)block;

    g_array_append_val(((Gaps *)user)->blocks, key);
}

static int by_number(gconstpointer a, gconstpointer b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static int64_t key_place(uint64_t key)
{
    return (int64_t)(key >> 32) * VPC_SECTOR;
}

/* What lies on a block at @place; NULL: nothing */
static const VpcRange *metadata_on(const VpcState *s, int64_t place)
{
    for (unsigned i = 0; i < s->metadata_count; i++) {
        if (s->metadata[i].start < place + vpc_stored_bytes(s) && place < s->metadata[i].end) {
            return &s->metadata[i];
        }
    }
    return NULL;
}

/* The first place at or above @at, beside metadata */
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

/* A place in [@start, @end); -1: none. Behind a block whose data is not aligned, neither need this one's be */
static int64_t place_between(const VpcState *s, int64_t start, int64_t end, bool behind_block)
{
    int64_t at = free_place(s, start, true), before = start - vpc_stored_bytes(s);

    if (at + vpc_stored_bytes(s) > end && behind_block && before != vpc_place_above(s, before)) {
        at = free_place(s, start, false);
    }
    return at + vpc_stored_bytes(s) <= end ? at : -1;
}

/* Behind all tables that are in front of the first block */
static int64_t gaps_begin(const Gaps *g)
{
    const VpcState *s = g->bs->state;
    int64_t lowest = g->blocks->len ? key_place(g_array_index(g->blocks, uint64_t, 0)) : 0, end = 0;

    for (unsigned i = 0; i < s->metadata_count; i++) {
        end = s->metadata[i].start < lowest ? MAX(end, s->metadata[i].end) : end;
    }
    return align_up(end, VPC_SECTOR);
}

static void plan_gaps(Gaps *g)
{
    const VpcState *s = g->bs->state;
    guint first = 0, last = g->blocks->len;
    int64_t end = gaps_begin(g);

    while (first < last) {
        int64_t next = key_place(g_array_index(g->blocks, uint64_t, first));
        int64_t at = place_between(s, end, next, first + g->moved->len > 0);

        if (at >= 0) {
            uint64_t key = (uint64_t)at / VPC_SECTOR << 32 | (g_array_index(g->blocks, uint64_t, --last) & UINT32_MAX);

            g_array_append_val(g->moved, key);
            end = at + vpc_stored_bytes(s);
        } else {
            end = next + vpc_stored_bytes(s);
            first++;
        }
    }
}

static int copy_into_gaps(const Gaps *g)
{
    const VpcState *s = g->bs->state;
    int ret = 0;

    for (guint i = 0; i < g->moved->len && ret == 0; i++) {
        uint64_t from = g_array_index(g->blocks, uint64_t, g->blocks->len - 1 - i);

        ret = vpc_copy_bytes(g->bs, key_place(from), key_place(g_array_index(g->moved, uint64_t, i)),
                             vpc_stored_bytes(s));
    }
    return ret < 0 ? ret : bdrv_node_flush(g->bs->file);
}

/* One sector at a time, each as a whole or not at all */
static int change_places(const Gaps *g)
{
    const VpcState *s = g->bs->state;
    int ret = 0;

    for (guint i = 0; i < g->moved->len && ret == 0; i++) {
        uint64_t key = g_array_index(g->moved, uint64_t, i);
        int64_t at = s->bat_offset + (int64_t)(key & UINT32_MAX) * 4;
        uint8_t sector[VPC_SECTOR];

        ret = bdrv_node_pread(g->bs->file, align_down(at, VPC_SECTOR), sector, VPC_SECTOR);
        be32_store(sector + at % VPC_SECTOR, (uint32_t)(key >> 32));
        ret = ret < 0 ? ret : bdrv_node_pwrite(g->bs->file, align_down(at, VPC_SECTOR), sector, VPC_SECTOR);
    }
    return ret < 0 ? ret : bdrv_node_flush(g->bs->file);
}

int vpc_fill_gaps(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    GArray *blocks = g_array_new(FALSE, FALSE, sizeof(uint64_t)), *moved = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    Gaps g = { bs, blocks, moved };
    int ret = vpc_each_block(bs, vpc_bat_entries(s), add_block, &g);

    g_array_sort(blocks, by_number);
    if (ret == 0) {
        plan_gaps(&g);
    }
    if (ret == 0 && moved->len > 0) {
        ret = copy_into_gaps(&g);
        ret = ret < 0 ? ret : change_places(&g);
        bdrv_meta_forget(bs);
        ret = ret < 0 ? ret : vpc_cut_room(bs);
    }
    g_array_unref(blocks);
    g_array_unref(moved);
    return ret;
}
