/* check-blocks.c - VHD: reports blocks in wrong places, and blocks that overlap, and lists all others */
/* SPDX-License-Identifier: MIT
 *
 * vpc_check_bat() walks over the BAT once. vpc_check_entry() in vpc/check-bat.c says of each entry whether a block can
 * be there; the rules are in vpc/judge.c. The blocks are listed in c->blocks, sorted by place: vpc/check-bitmaps.c,
 * vpc/check-space.c and vpc/repair.c go by that list. All blocks are of one length, so that a block that overlaps any
 * other overlaps a neighbour in the list.
 *
 * Time and memory depend on the entries that are in the file, not on the number of entries in the header: a hole in the
 * BAT is counted and not listed, and at most twice as many blocks are listed as there are places in the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

#define MIN_KEPT        1024

typedef struct BlockWalk {
    VpcCheck *c;
    int64_t last_end;           /* of the block before; 0: there was none */
    int64_t kept, most;         /* entries, and so many at most */
} BlockWalk;

static void report_good(VpcCheck *c, int64_t block, int64_t place)
{
    VpcState *s = c->bs->state;
    int64_t data = place + s->bitmap_bytes;

    if (data + s->block_size > s->read_limit) {
        vpc_found(c, VPC_BLOCK_SHORT, place, block,
                  "block %" PRId64 " at %" PRId64 " has room for %" PRId64 " bytes of its %" PRId64 ", as many as "
                  "the disk has", block, place, s->read_limit - data, s->block_size);
    }
    if (data % VPC_DATA_ALIGN && s->block_size % VPC_DATA_ALIGN == 0) {
        vpc_found(c, VPC_BLOCK_UNALIGNED, data, block, "the data of block %" PRId64 " is at %" PRId64, block, data);
    }
}

/* Texts about the wrong places of blocks */
static const char *const troubles[VPC_KINDS] = {
    [VPC_BLOCK_OUTSIDE] = "past the end", [VPC_BLOCK_CUT] = "with its end cut off",
    [VPC_BLOCK_ON_NAMES] = "over metadata", [VPC_BLOCK_ON_TABLES] = "on metadata",
    [VPC_BLOCK_BEYOND] = "of a disk that ends before it",
};

static void report_bad(VpcCheck *c, VpcKind kind, int64_t block, int64_t place)
{
    VpcState *s = c->bs->state;
    int64_t end = place + vpc_stored_bytes(s);

    vpc_found(c, (int)kind, place, block,
              "block %" PRId64 " at [%" PRId64 ", %" PRId64 "), %s; blocks end at %" PRId64 " (BAT entry 0x%08"
              PRIx64 ")", block, place, end, troubles[kind], s->read_limit, place / VPC_SECTOR);
    c->orderly = false;
    c->lost |= kind == VPC_BLOCK_OUTSIDE || kind == VPC_BLOCK_ON_TABLES;
}

static void count_entry(BlockWalk *walk, int64_t place)
{
    BlockCheck *sums = walk->c->sums;

    sums->allocated_clusters++;
    sums->fragmented_clusters += walk->last_end && (place < walk->last_end || place - walk->last_end >= VPC_DATA_ALIGN);
    walk->last_end = place + vpc_stored_bytes(walk->c->bs->state);
}

static void report_crowd(BlockWalk *walk, int64_t block, int64_t place)
{
    vpc_found(walk->c, VPC_BLOCK_CROWD, place, block,
              "block %" PRId64 " at %" PRId64 " is one of more than %" PRId64 ", in a file with room for half of them "
              "at most", block, place, walk->most);
}

static void keep(BlockWalk *walk, VpcKind kind, uint32_t sector, int64_t block)
{
    VpcCheck *c = walk->c;
    uint64_t key = vpc_key(sector, block);

    if (walk->kept++ >= walk->most) {
        report_crowd(walk, block, vpc_key_place(key));
    } else if (kind == VPC_KINDS) {
        vpc_check_key(c, &c->blocks, key);
    } else if (kind != VPC_BLOCK_ON_TABLES) {       /* no block was ever there */
        vpc_check_key(c, &c->others, key);
    }
    if ((kind == VPC_BLOCK_CUT || kind == VPC_BLOCK_ON_NAMES) && walk->kept <= walk->most) {
        vpc_check_key(c, &c->keys[kind], key);
    }
}

static void check_used(BlockWalk *walk, int64_t block, uint32_t sector)
{
    VpcCheck *c = walk->c;
    VpcState *s = c->bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR;
    VpcKind kind = vpc_check_entry(c, block, sector);

    if (block < c->needed) {
        count_entry(walk, place);
    }
    if (kind == VPC_KINDS) {
        report_good(c, block, place);
    } else {
        report_bad(c, kind, block, place);
    }
    if (place < s->read_limit) {
        keep(walk, kind, sector, block);
    }
}

/* Report the entries of a hole in the BAT. They are zeroes, and wrong in the same way. Entries behind the end of the
 * disk are not reported, because no block needs them */
static void check_hole(BlockWalk *walk, const VpcRun *run)
{
    VpcCheck *c = walk->c;
    const VpcState *s = c->bs->state;
    int64_t count = CLAMP(c->needed - run->block, 0, run->count);
    VpcKind kind = vpc_check_entry(c, run->block, 0);

    if (count == 0 || kind == VPC_KINDS) {      /* it never is VPC_KINDS: sector 0 has the copy of the footer */
        return;
    }
    vpc_found(c, (int)kind, s->bat_offset + run->block * 4, run->block,
              "blocks %" PRId64 " to %" PRId64 ", %s: the BAT is a hole in the file there, which reads as sector 0",
              run->block, run->block + count - 1, troubles[kind]);
    vpc_found_more(c, kind, count - 1);
    c->orderly = false;
    c->lost = true;
    c->sums->allocated_clusters += count;
    walk->kept += count;
    if (walk->kept > walk->most) {
        report_crowd(walk, run->block + count - 1, 0);
    }
}

static int check_run(void *user, const VpcRun *run)
{
    BlockWalk *walk = user;

    if (run->sector == VPC_UNUSED) {
        vpc_check_map_bits(walk->c, run->block, run->count, "is not there");
    } else if (run->hole) {
        check_hole(walk, run);
    } else {
        check_used(walk, run->block, run->sector);
    }
    return 0;
}

static void report_overlap(VpcCheck *c, uint64_t before, uint64_t key)
{
    int64_t place = vpc_key_place(key), first = vpc_key_place(before);
    int64_t shared = first + vpc_stored_bytes(c->bs->state) - place;
    bool same = place == first;

    vpc_found(c, same ? VPC_BLOCK_TWICE : VPC_BLOCK_OVERLAP, place, vpc_key_block(key),
              "block %" PRId64 " at %" PRId64 " shares %" PRId64 " bytes with block %" PRId64 " at %" PRId64 "%s",
              vpc_key_block(key), place, shared, vpc_key_block(before), first,
              shared == VPC_SECTOR ? ", as DOSBox-X before 2023 did it" : "");
    vpc_check_key(c, &c->keys[same ? VPC_BLOCK_TWICE : VPC_BLOCK_OVERLAP], key);
    c->orderly = false;
}

/* Report blocks that overlap one that stays in its place. The choice lets a repair move as few blocks as possible */
static void check_overlaps(VpcCheck *c)
{
    uint64_t stays = 0;

    for (size_t i = 0; i < c->blocks.count; i++) {
        uint64_t key = c->blocks.at[i];

        if (i > 0 && vpc_overlap(c->bs->state, stays, key)) {
            report_overlap(c, stays, key);
        } else {
            stays = key;
        }
    }
}

void vpc_check_bat(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    BlockWalk walk = { c, .most = MIN(2 * (s->read_limit / vpc_stored_bytes(s)) + MIN_KEPT, VPC_MAX_BAT / 4) };

    c->sums->total_clusters = c->needed;
    vpc_check_walk(c, check_run, &walk);
    vpc_keys_sort(&c->blocks);
    vpc_keys_sort(&c->others);
    check_overlaps(c);
}
