/* check-blocks.c - VHD: blocks that are where none can be, on each other, and space that is nobody's */
/* SPDX-License-Identifier: MIT
 *
 * All blocks are of one length, so that sorting them by place is enough to find overlaps: n log n. Memory goes with
 * the entries that are there: a hole in the BAT is counted and not kept, and of more entries than twice the places in
 * the file none are kept.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/format/vpc/check.h"
#include "util/be.h"
#include "util/checked.h"
#include "util/iszero.h"

#define MIN_KEPT        1024

typedef struct Walk {
    VpcCheck *c;
    int64_t last_end;           /* of the block before; 0: there was none */
    int64_t kept, most;         /* entries, and so many at most */
} Walk;

/* Calls @function for each entry that the disk may have; what can't be read is a finding, and false */
static bool each_run(VpcCheck *c, VpcRunFunction *function, void *user)
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

    return each_run(c, reach_run, &reach) ? reach.end : c->ends.size;
}

VpcKind vpc_judge(const VpcCheck *c, int64_t block, uint32_t sector)
{
    const VpcState *s = c->bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR, data = place + s->bitmap_bytes, end = data + s->block_size;

    if (block >= c->needed) {
        return VPC_BLOCK_BEYOND;
    }
    if (data > s->limit) {
        return VPC_BLOCK_OUTSIDE;
    }
    if (vpc_metadata_in(s, VPC_VITAL, false, place, data)) {
        return VPC_BLOCK_ON_TABLES;
    }
    if (data + bytes_in(c, block) > s->limit) {
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

    return each_run(c, search_run, &search) ? search.first : INT64_MAX;
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
    if (data % VPC_DATA_ALIGN && s->block_size % VPC_DATA_ALIGN == 0) {
        vpc_found(c, VPC_BLOCK_UNALIGNED, data, block, "the data of block %" PRId64 " is at %" PRId64, block, data);
    }
}

/* What is said of blocks that are where none can be, or only with something else */
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
              PRIx64 ")", block, place, end, troubles[kind], s->limit, place / VPC_SECTOR);
    c->orderly = false;
    c->lost |= kind == VPC_BLOCK_OUTSIDE || kind == VPC_BLOCK_ON_TABLES;
}

static void count_entry(Walk *walk, int64_t place)
{
    BlockCheck *sums = walk->c->sums;

    sums->allocated_clusters++;
    sums->fragmented_clusters += walk->last_end && (place < walk->last_end || place - walk->last_end >= VPC_DATA_ALIGN);
    walk->last_end = place + vpc_stored_bytes(walk->c->bs->state);
}

static void report_crowd(Walk *walk, int64_t block, int64_t place)
{
    vpc_found(walk->c, VPC_BLOCK_CROWD, place, block,
              "block %" PRId64 " at %" PRId64 " is one of more than %" PRId64 ", in a file with room for half of them "
              "at most", block, place, walk->most);
}

static void keep(Walk *walk, VpcKind kind, uint32_t sector, int64_t block)
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

static void check_used(Walk *walk, int64_t block, uint32_t sector)
{
    VpcCheck *c = walk->c;
    VpcState *s = c->bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR;
    VpcKind kind = vpc_judge(c, block, sector);

    if (block < c->needed) {
        count_entry(walk, place);
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

/* Entries of zero, all of which are wrong in the same way. Those behind the end of the disk name nothing, and nobody
 * needs them */
static void check_hole(Walk *walk, const VpcRun *run)
{
    VpcCheck *c = walk->c;
    const VpcState *s = c->bs->state;
    int64_t count = CLAMP(c->needed - run->block, 0, run->count);
    VpcKind kind = vpc_judge(c, run->block, 0);

    if (count == 0 || kind == VPC_KINDS) {      /* it never is: sector 0 has the copy of the footer */
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
    Walk *walk = user;

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

/* As few as possible are to be moved: those that lie on one that stays */
static void check_overlaps(VpcCheck *c)
{
    int64_t bytes = vpc_stored_bytes(c->bs->state);
    uint64_t stays = 0;

    for (size_t i = 0; i < c->blocks.count; i++) {
        uint64_t key = c->blocks.at[i];

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
    Walk walk = { c, .most = MIN(2 * (s->limit / vpc_stored_bytes(s)) + MIN_KEPT, VPC_MAX_BAT / 4) };

    c->sums->total_clusters = c->needed;
    each_run(c, check_run, &walk);
    vpc_keys_sort(&c->blocks);
    vpc_keys_sort(&c->others);
    check_overlaps(c);
}

/* Space */

/* What is in the room before the footer. vpc.c writes full bitmaps ahead, where the next blocks of a dynamic disk will
 * be, and leaves footers in the gaps between such places: nothing of that is data */
typedef struct Room {
    VpcCheck *c;
    int64_t stride;             /* from one place to the next */
    int64_t first;              /* the lowest place that has a bitmap; -1: none was met */
} Room;

static bool is_full(const uint8_t *sector)
{
    return sector[0] == 0xff && !memcmp(sector, sector + 1, VPC_SECTOR - 1);
}

/* How far a sector is from the place that it belongs to */
static int64_t in_place(const Room *room, int64_t at)
{
    return (at - room->first) % room->stride;
}

static bool is_bitmap(Room *room, int64_t at, const uint8_t *sector)
{
    const VpcState *s = room->c->bs->state;

    if (s->differencing || !is_full(sector)) {
        return false;
    }
    if (room->first < 0) {
        room->first = vpc_place_above(s, MAX(at + VPC_SECTOR - s->bitmap_bytes, 0));
    }
    return room->first <= at && in_place(room, at) < s->bitmap_bytes;
}

static bool is_old_footer(const Room *room, int64_t at, const uint8_t *sector)
{
    const VpcState *s = room->c->bs->state;
    bool between = room->first < 0 || in_place(room, at) >= vpc_stored_bytes(s);

    return between && !memcmp(sector, &s->footer, sizeof(s->footer));
}

static bool is_empty_piece(Room *room, int64_t at, const uint8_t *piece, int64_t bytes)
{
    if (block_is_zero(piece, (size_t)bytes)) {
        return true;
    }
    for (int64_t i = 0; i < bytes; i += VPC_SECTOR) {
        size_t n = (size_t)MIN(VPC_SECTOR, bytes - i);
        bool empty = block_is_zero(piece + i, n);

        if (!empty && (n < VPC_SECTOR || !(is_bitmap(room, at + i, piece + i) ||
                                           is_old_footer(room, at + i, piece + i)))) {
            return false;
        }
    }
    return true;
}

/* 1: there is no data in it; 0 or -errno */
static int is_room_empty(VpcCheck *c, int64_t end)
{
    const VpcState *s = c->bs->state;
    int64_t place = vpc_place_above(s, c->end);
    Room room = { c, vpc_place_above(s, place + vpc_stored_bytes(s)) - place, -1 };
    g_autofree uint8_t *buf = g_try_malloc(VPC_CHECK_PIECE);
    int ret = buf ? 1 : -ENOMEM;

    for (int64_t at = c->end, n; at < end && ret == 1; at += n) {
        n = end - at;
        if (vpc_is_hole(c->bs, at, &n)) {
            continue;
        }
        n = MIN(n, VPC_CHECK_PIECE);
        ret = bdrv_node_pread(c->bs->file, at, buf, n);
        ret = ret < 0 ? ret : is_empty_piece(&room, at, buf, n);
    }
    return ret;
}

/* Reports the room between all that is used and the footer. Data in it may be what is left of blocks whose entries are
 * wrong. In an image without a block an earlier repair could put none behind it, see keep_room(): it is kept there */
static void report_room(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t room = s->limit - c->end;

    if (room < vpc_stored_bytes(s) || c->in_place) {
        return;
    }
    int ret = is_room_empty(c, s->limit);
    if (ret < 0) {
        vpc_found(c, -1, c->end, -1, "the space at %" PRId64 " could not be read: %s", c->end, g_strerror(-ret));
        return;
    }
    bool perhaps_lost = ret == 0 && (c->lost || c->blocks.count == 0);

    c->room_empty = ret == 1;
    c->room_used = ret == 0;
    vpc_found(c, ret ? VPC_ROOM_EMPTY : perhaps_lost ? VPC_GAP : VPC_ROOM_USED, c->end, -1,
              "%" PRId64 " bytes at %" PRId64 ", before the footer%s", room, c->end,
              perhaps_lost ? ": perhaps blocks that BAT entries were to point at" : "");
}

/* How large a gap may be. Behind an aligned block it is one if there is room for another such. Tables may begin at
 * multiples of 4 KiB; and behind them, a block that had to make room for a longer BAT leaves less than it took with its
 * alignment */
static int64_t tolerable_gap(const VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    int64_t bytes = vpc_stored_bytes(s);

    for (unsigned i = 0; i < s->metadata_count; i++) {
        if (s->metadata[i].end == c->end) {
            return bytes + VPC_DATA_ALIGN;
        }
    }
    return c->end % VPC_DATA_ALIGN ? bytes : vpc_place_above(s, c->end) + bytes - c->end;
}

/* [@start, @end) is in use, and c->end is where what was met before ends */
static void take_space(VpcCheck *c, int64_t start, int64_t end)
{
    if (start - c->end >= tolerable_gap(c)) {
        vpc_found(c, VPC_GAP, c->end, -1, "%" PRId64 " bytes at %" PRId64 ", as much as %" PRId64 " blocks take",
                  start - c->end, c->end, (start - c->end) / vpc_stored_bytes(c->bs->state));
    }
    c->end = MAX(c->end, end);
}

static int by_start(const void *a, const void *b)
{
    const VpcRange *left = a, *right = b;

    return (left->start > right->start) - (left->start < right->start);
}

/* Blocks of both lists and metadata, in the order in which they are in the file. */
static void take_all(VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    VpcRange sorted[G_N_ELEMENTS(s->metadata)];
    size_t block = 0, other = 0;
    unsigned table = 0;

    memcpy(sorted, s->metadata, sizeof(sorted));
    qsort(sorted, s->metadata_count, sizeof(*sorted), by_start);
    while (block < c->blocks.count || other < c->others.count || table < s->metadata_count) {
        int64_t first = block < c->blocks.count ? vpc_key_place(c->blocks.at[block]) : INT64_MAX;
        int64_t second = other < c->others.count ? vpc_key_place(c->others.at[other]) : INT64_MAX;
        int64_t place = MIN(first, second);

        if (table < s->metadata_count && sorted[table].start <= place) {
            take_space(c, sorted[table].start, sorted[table].end);
            table++;
        } else {
            take_space(c, place, MIN(place + vpc_stored_bytes(s), s->limit));
            block += first <= second;
            other += second < first;
        }
    }
}

void vpc_check_space(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    take_all(c);
    c->end = MAX(c->end, s->bat_offset);        /* also if it has no entries */
    c->end = MIN(align_up(c->end, VPC_SECTOR), align_up(s->limit, VPC_SECTOR));
    c->sums->image_end_offset = c->end + VPC_SECTOR;
    report_room(c);
}
