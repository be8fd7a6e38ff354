/* check-space.c - VHD: reports space in the file that no block and no table uses */
/* SPDX-License-Identifier: MIT
 *
 * Two kinds of it are told apart: gaps between blocks or tables, and the room between the last of them and the footer.
 * Which blocks there are was found out by vpc/check-blocks.c, which is called before, and where the tables are by
 * vpc/metadata.c. Gaps are kept by a repair, and the room is cut off, see vpc/repair.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/checked.h"
#include "util/iszero.h"

/* The room before the footer. vpc/tail.c writes full bitmaps there ahead, where the next blocks of a dynamic disk will
 * be, and leaves footers in the gaps between these places. Neither is data */
typedef struct Room {
    VpcCheck *c;
    int64_t stride;             /* from one place to the next */
    int64_t first;              /* the lowest place that has a bitmap; -1: none was met */
} Room;

static bool is_full(const uint8_t *sector)
{
    return sector[0] == 0xff && !memcmp(sector, sector + 1, VPC_SECTOR - 1);
}

/* Return how far a sector is from the place that it belongs to */
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

/* Look for data in the room before @end. 1: there is none; 0: there is; or -errno */
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

/* Report the room between all blocks and tables and the footer. Data in it may be the rest of blocks whose entries are
 * wrong. Then the room is reported as a gap, which a repair keeps. So it is in an image without a block, where an
 * earlier repair could not mark it as a gap, see keep_room() in vpc/repair.c */
static void report_room(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t room = s->read_limit - c->end;

    if (room < vpc_stored_bytes(s) || c->tail_inside) {
        return;
    }
    int ret = is_room_empty(c, s->read_limit);
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

/* Return the smallest gap to report. Behind a block: one more aligned block must fit. Behind tables add VPC_DATA_ALIGN:
 * they are 4 KiB aligned, and a block that moved for a longer BAT frees slightly less than an aligned place */
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

/* Count [@start, @end) as used, and report a gap between c->end, where the used bytes before it end, and @start */
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

/* Call take_space() for all blocks of both lists and all metadata, in the order in which they are in the file */
static void take_claims(VpcCheck *c)
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
            take_space(c, place, MIN(place + vpc_stored_bytes(s), s->read_limit));
            block += first <= second;
            other += second < first;
        }
    }
}

void vpc_check_space(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    take_claims(c);
    c->end = MAX(c->end, s->bat_offset);        /* also if it has no entries */
    c->end = MIN(align_up(c->end, VPC_SECTOR), align_up(s->read_limit, VPC_SECTOR));
    c->sums->image_end_offset = c->end + VPC_SECTOR;
    report_room(c);
}
