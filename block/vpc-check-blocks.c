/* vpc-check-blocks.c - VHD: blocks that are where none can be, on each other, and space that is nobody's */
/* SPDX-License-Identifier: MIT
 *
 * All blocks are of one length, so that sorting them by place is enough to find overlaps: n log n. Memory is
 * bounded by what fits into the file, not by the number of entries: more entries than twice the places that
 * there are in the file are not kept.
 */
#include <inttypes.h>
#include <string.h>
#include "block/vpc-check.h"
#include "util/be.h"
#include "util/checked.h"

#define DATA_ALIGN      4096
#define MIN_KEPT        1024

typedef struct Walk {
    VpcCheck *c;
    int64_t reach;              /* vpc_check_reach() */
    int64_t last_end;           /* of the block before; 0: there was none */
    int64_t kept, most;         /* entries, and so many at most */
} Walk;

typedef void EntryFunction(Walk *walk, int64_t block, uint32_t sector);

static bool each_entry(Walk *walk, EntryFunction *function)
{
    VpcCheck *c = walk->c;
    VpcState *s = c->bs->state;
    g_autofree uint8_t *piece = g_malloc(VPC_BAT_PIECE);

    for (int64_t at = 0; at < s->bat_bytes; at += VPC_BAT_PIECE) {
        int64_t bytes = MIN(s->bat_bytes - at, VPC_BAT_PIECE);

        if (!vpc_check_read(c, s->bat_offset + at, piece, bytes, "BAT")) {
            return false;
        }
        for (int64_t i = 0; i < bytes; i += 4) {
            function(walk, (at + i) / 4, be32_load(piece + i));
        }
    }
    return true;
}

/* How much of the block is part of the disk, in whole sectors */
static int64_t bytes_in(const VpcCheck *c, int64_t block)
{
    const VpcState *s = c->bs->state;

    return align_up(CLAMP(c->disk_size - block * s->block_size, 0, s->block_size), VPC_SECTOR);
}

static void reach_entry(Walk *walk, int64_t block, uint32_t sector)
{
    const VpcState *s = walk->c->bs->state;
    int64_t end = (int64_t)sector * VPC_SECTOR + s->bitmap_bytes + bytes_in(walk->c, block);

    if (sector != VPC_UNUSED && block < walk->c->needed && end <= walk->c->ends.size) {
        walk->reach = MAX(walk->reach, end);
    }
}

int64_t vpc_check_reach(VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    int64_t header_end = (int64_t)be64_load(s->footer.data_offset) + (int64_t)sizeof(VpcHeader);
    Walk walk = { c, .reach = MAX(header_end, s->bat_offset + s->bat_bytes) };

    return each_entry(&walk, reach_entry) ? walk.reach : c->ends.size;
}

/* Footer, header and BAT, in contrast to locators and batmap: the image can't do without */
static bool is_vital(const VpcState *s, const VpcRange *range)
{
    return range->start == 0 || range->start == s->bat_offset ||
           range->start == (int64_t)be64_load(s->footer.data_offset);
}

/* The metadata in [@start, @end), what is vital first; NULL: none */
static const VpcRange *metadata_in(const VpcState *s, int64_t start, int64_t end)
{
    const VpcRange *found = NULL;

    for (unsigned i = 0; i < s->metadata_count; i++) {
        const VpcRange *range = &s->metadata[i];

        if (start < range->end && range->start < end && (!found || (is_vital(s, range) && !is_vital(s, found)))) {
            found = range;
        }
    }
    return found;
}

/* Is there what QEMU writes as the bitmap of a new block? Then it has put a block there, seeing no metadata */
static int has_full_bitmap(VpcCheck *c, int64_t place)
{
    VpcState *s = c->bs->state;
    g_autofree uint8_t *bitmap = g_malloc((gsize)s->bitmap_bytes);
    int ret = bdrv_node_pread(c->bs->file, place, bitmap, s->bitmap_bytes);
    int64_t sectors = s->block_size / VPC_SECTOR;

    return ret < 0 ? ret : vpc_sector_is_set(bitmap, 0) && vpc_run_end(bitmap, 0, sectors) == sectors;
}

int vpc_judge(VpcCheck *c, int64_t block, uint32_t sector)
{
    VpcState *s = c->bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR, data = place + s->bitmap_bytes;
    const VpcRange *under_bitmap = metadata_in(s, place, data);
    int full = 1;

    if (block >= c->needed) {
        return VPC_BLOCK_BEYOND;
    }
    if (data > s->limit) {
        return VPC_BLOCK_OUTSIDE;
    }
    if (under_bitmap) {
        full = is_vital(s, under_bitmap) ? 0 : has_full_bitmap(c, place);
    }
    if (full <= 0) {
        return full < 0 ? full : VPC_BLOCK_ON_TABLES;
    }
    if (data + bytes_in(c, block) > s->limit) {
        return VPC_BLOCK_CUT;
    }
    return metadata_in(s, place, data + s->block_size) ? VPC_BLOCK_ON_NAMES : VPC_KINDS;
}

static void report_good(VpcCheck *c, int64_t block, int64_t place)
{
    VpcState *s = c->bs->state;
    int64_t data = place + s->bitmap_bytes;

    if (data + s->block_size > s->limit) {
        vpc_found(c, VPC_BLOCK_SHORT, place, block,
                  "block %" PRId64 " at %" PRId64 " has room for %" PRId64 " bytes of its %" PRId64 ", as many as "
                  "the disk has", block, place, s->limit - data, s->block_size);
    }
    if (data % DATA_ALIGN && s->block_size % DATA_ALIGN == 0) {
        vpc_found(c, VPC_BLOCK_UNALIGNED, data, block, "the data of block %" PRId64 " is at %" PRId64, block, data);
    }
}

static void report_bad(VpcCheck *c, int kind, int64_t block, int64_t place)
{
    VpcState *s = c->bs->state;
    int64_t end = place + vpc_block_bytes(s);
    const char *const what[VPC_KINDS] = {
        [VPC_BLOCK_OUTSIDE] = "past the end", [VPC_BLOCK_CUT] = "with its end cut off",
        [VPC_BLOCK_ON_NAMES] = "over metadata", [VPC_BLOCK_ON_TABLES] = "on metadata",
        [VPC_BLOCK_BEYOND] = "of a disk that ends before it",
    };

    vpc_found(c, kind, place, block,
              "block %" PRId64 " at [%" PRId64 ", %" PRId64 "), %s; blocks end at %" PRId64 " (BAT entry 0x%08"
              PRIx64 ")", block, place, end, what[kind], s->limit, place / VPC_SECTOR);
    c->orderly = false;
    c->lost |= kind == VPC_BLOCK_OUTSIDE || kind == VPC_BLOCK_ON_TABLES;
}

static void count_entry(Walk *walk, int64_t place)
{
    BlockCheck *sums = walk->c->sums;

    sums->allocated_clusters++;
    sums->fragmented_clusters += walk->last_end && (place < walk->last_end || place - walk->last_end >= DATA_ALIGN);
    walk->last_end = place + vpc_block_bytes(walk->c->bs->state);
}

static void keep(Walk *walk, int kind, uint32_t sector, int64_t block)
{
    VpcCheck *c = walk->c;
    VpcState *s = c->bs->state;
    uint64_t key = vpc_key(sector, block);
    const VpcRange range = { vpc_key_place(key), MIN(vpc_key_place(key) + vpc_block_bytes(s), s->limit) };

    if (walk->kept++ >= walk->most) {
        vpc_found(c, VPC_BLOCK_CROWD, range.start, block,
                  "block %" PRId64 " at %" PRId64 " is one of more than %" PRId64 ", in a file with room for half "
                  "of them at most", block, range.start, walk->most);
        return;
    }
    if (kind != VPC_BLOCK_ON_TABLES) {      /* no block was ever there */
        g_array_append_val(c->ranges, range);
    }
    if (kind == VPC_KINDS) {
        g_array_append_val(c->blocks, key);
    } else if (kind == VPC_BLOCK_CUT || kind == VPC_BLOCK_ON_NAMES) {
        vpc_check_key(c, kind, key);
    }
}

static void check_used(Walk *walk, int64_t block, uint32_t sector)
{
    VpcCheck *c = walk->c;
    VpcState *s = c->bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR;
    int kind = vpc_judge(c, block, sector);

    if (block < c->needed) {
        count_entry(walk, place);
    }
    if (kind < 0) {
        vpc_found(c, -1, place, block,
                  "the bitmap of block %" PRId64 " at %" PRId64 " could not be read: %s", block, place,
                  g_strerror(-kind));
        return;
    }
    if (kind == VPC_KINDS) {
        report_good(c, block, place);
    } else {
        report_bad(c, kind, block, place);
    }
    if (place < s->limit) {
        keep(walk, kind, sector, block);
    }
}

static void check_entry(Walk *walk, int64_t block, uint32_t sector)
{
    if (sector != VPC_UNUSED) {
        check_used(walk, block, sector);
    } else {
        vpc_check_map_bit(walk->c, block, "is not there");
    }
}

static int by_number(gconstpointer a, gconstpointer b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void report_overlap(VpcCheck *c, uint64_t before, uint64_t key)
{
    int64_t place = vpc_key_place(key), first = vpc_key_place(before);
    int64_t shared = first + vpc_block_bytes(c->bs->state) - place;
    bool same = place == first;

    vpc_found(c, same ? VPC_BLOCK_TWICE : VPC_BLOCK_OVERLAP, place, vpc_key_block(key),
              "block %" PRId64 " at %" PRId64 " shares %" PRId64 " bytes with block %" PRId64 " at %" PRId64 "%s",
              vpc_key_block(key), place, shared, vpc_key_block(before), first,
              shared == VPC_SECTOR ? ", as DOSBox-X before 2023 did it" : "");
    vpc_check_key(c, same ? VPC_BLOCK_TWICE : VPC_BLOCK_OVERLAP, key);
    c->orderly = false;
}

/* As few as possible are to be moved: those that lie on one that stays */
static void check_overlaps(VpcCheck *c)
{
    int64_t bytes = vpc_block_bytes(c->bs->state);
    uint64_t stays = 0;

    for (guint i = 0; i < c->blocks->len; i++) {
        uint64_t key = g_array_index(c->blocks, uint64_t, i);

        if (i > 0 && vpc_key_place(key) - vpc_key_place(stays) < bytes) {
            report_overlap(c, stays, key);
        } else {
            stays = key;
        }
    }
}

void vpc_check_bat(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    Walk walk = { c, .most = 2 * (s->limit / vpc_block_bytes(s)) + MIN_KEPT };

    c->sums->total_clusters = c->needed;
    each_entry(&walk, check_entry);
    g_array_sort(c->blocks, by_number);
    check_overlaps(c);
}

static int by_start(gconstpointer a, gconstpointer b)
{
    const VpcRange *left = a, *right = b;

    return (left->start > right->start) - (left->start < right->start);
}

/* Between all that is used and the footer */
static void report_room(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t room = s->limit - c->end;

    if (room < vpc_block_bytes(s) || c->in_place) {
        return;
    }
    int ret = vpc_check_zero(c, c->end, room);
    if (ret < 0) {
        vpc_found(c, -1, c->end, -1, "the space at %" PRId64 " could not be read: %s", c->end, g_strerror(-ret));
        return;
    }
    c->room_empty = ret == 1;
    vpc_found(c, ret ? VPC_ROOM_EMPTY : c->lost || c->dropped ? VPC_GAP : VPC_ROOM_USED, c->end, -1,
              "%" PRId64 " bytes at %" PRId64 ", before the footer%s", room, c->end,
              !ret && (c->lost || c->dropped) ? ": perhaps blocks that BAT entries were to point at" : "");
}

/* How large a gap may be. Behind an aligned block it is one if there is room for another such. Tables may begin at
 * multiples of 4 KiB; and behind them, a block that had to make room for a longer BAT leaves less than it took with its
 * alignment */
static int64_t tolerable_gap(const VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    int64_t bytes = vpc_block_bytes(s);

    for (unsigned i = 0; i < s->metadata_count; i++) {
        if (s->metadata[i].end == c->end) {
            return bytes + DATA_ALIGN;
        }
    }
    return c->end % DATA_ALIGN ? bytes : vpc_place_above(s, c->end) + bytes - c->end;
}

void vpc_check_space(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    g_array_append_vals(c->ranges, s->metadata, s->metadata_count);
    g_array_sort(c->ranges, by_start);
    for (guint i = 0; i < c->ranges->len; i++) {
        const VpcRange *range = &g_array_index(c->ranges, VpcRange, i);

        if (range->start - c->end >= tolerable_gap(c)) {
            vpc_found(c, VPC_GAP, c->end, -1,
                      "%" PRId64 " bytes at %" PRId64 ", as much as %" PRId64 " blocks take", range->start - c->end,
                      c->end, (range->start - c->end) / vpc_block_bytes(s));
        }
        c->end = MAX(c->end, range->end);
    }
    c->end = MAX(c->end, s->bat_offset);        /* also if it has no entries */
    c->end = MIN(align_up(c->end, VPC_SECTOR), align_up(s->limit, VPC_SECTOR));
    c->sums->image_end_offset = c->end + VPC_SECTOR;
    report_room(c);
}
