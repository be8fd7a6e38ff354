/* tail.c - VHD: keeps room for new blocks, and a footer behind it */
/* SPDX-License-Identifier: MIT
 *
 * A new block goes above the last one, where the footer would be. The file has to end in a footer at all times. So room
 * for many blocks is reserved at once: the footer is written further out and made durable, and only then is anything
 * written in front of it. vpc/vpc.c asks for a place with vpc_take_place() and enters the block into the BAT.
 *
 *       blocks_end      room.next              room.ready       room.zero_from                 tail_at
 *   | block |           | bitmap 00000 | bitmap 00000 |          | 0000000000000000000000000 | footer |
 *
 * Bytes of the room may be anything below room.zero_from, and are zeroes from there on. A function that writes anything
 * but a new block into the room calls vpc_spoil_room().
 *
 * In a dynamic disk the places from room.next to room.ready are ready for blocks: their bitmaps are full and their data
 * is zero, both on stable storage. If the power fails after a block was put there, each of its sectors is zero or as it
 * was written, whether a program reads bitmaps or not. So the BAT entry of the block need not wait for its data:
 * map_done() writes the entry at once, a killed process has lost nothing, and a flush of the guest is one flush of the
 * file. Places are made ready for many blocks at once, in front of a footer that is durable, and the flush that makes
 * them durable makes a footer further out durable, too.
 *
 * A differencing disk has no places that are ready: a set bit whose data is lost would hide the bytes of its backing.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"
#include "util/be.h"
#include "util/checked.h"

#define MIN_RESERVE     (8 << 20)
#define MAX_RESERVE     (256 << 20)
#define MAX_READY       256             /* places made ready at once: a bitmap takes at least 4 KiB of a host's disk */

static int64_t place_end(const VpcState *s, int64_t place)
{
    return place + vpc_stored_bytes(s);
}

static int64_t next_place(const VpcState *s, int64_t place)
{
    return vpc_place_above(s, place_end(s, place));
}

void vpc_spoil_room(VpcState *s, int64_t end)
{
    s->room.zero_from = MAX(s->room.zero_from, end);
    s->room.ready = 0;
}

/* Cut or lengthen the file to @size. What was cut off reads as zeroes when the file grows again */
static int set_length(BlockDriverState *bs, int64_t size)
{
    VpcState *s = bs->state;
    int ret = vpc_set_file_size(bs, size);

    if (ret == 0) {
        vpc_spoil_room(s, 0);
        s->room.zero_from = MIN(s->room.zero_from, size);
    }
    return ret;
}

/* Return the end of the room that there can be. Sectors are numbered with 32 bits, what lies past the end of the file
 * must not come to be inside it, and a file of a fixed length has no more than that */
static int64_t last_tail(BlockDriverState *bs)
{
    const VpcState *s = bs->state;
    int64_t most = bdrv_node_can_grow(bs->file) ? INT64_MAX : MAX(bdrv_node_size(bs->file) - VPC_SECTOR, s->tail_at);

    return s->fixed ? INT64_MAX : MIN(MIN(s->grow_limit, most), (int64_t)VPC_LAST_SECTOR * VPC_SECTOR);
}

/* Undo what was written of a footer at @tail; the file had @size bytes before. If the file can't be cut, nobody knows
 * how long it is, and so that footer is made to be its end by the next write or flush */
static void undo_tail(BlockDriverState *bs, int64_t tail, int64_t size)
{
    VpcState *s = bs->state;

    vpc_spoil_room(s, tail + VPC_SECTOR);
    if (tail > s->tail_at && bdrv_node_can_grow(bs->file) && set_length(bs, size) < 0) {
        s->tail_at = tail;
        s->rewrite_footers = bs->needs_flush = true;
    }
}

/* Zero the footer at @tail, in front of another one that is durable */
static void clear_footer(BlockDriverState *bs, int64_t tail)
{
    if (bdrv_node_zero(bs->file, tail, VPC_SECTOR, 0) < 0) {
        vpc_spoil_room(bs->state, tail + VPC_SECTOR);
    }
}

int vpc_move_tail(BlockDriverState *bs, int64_t tail)
{
    VpcState *s = bs->state;
    int64_t size = bdrv_node_size(bs->file), old = s->tail_at, most = last_tail(bs);

    if (tail > most) {
        bdrv_warn(bs, "room", "no room for another block: the file can't grow beyond %" PRId64 " bytes", most);
        return -ENOSPC;
    }
    int ret = bdrv_node_pwrite(bs->file, tail, &s->footer, sizeof(s->footer));
    if (ret == 0) {
        ret = bdrv_node_flush(bs->file);
    }
    if (ret < 0) {
        undo_tail(bs, tail, size);
        return ret;
    }
    s->tail_at = tail;
    if (tail < old) {
        vpc_spoil_room(s, tail + VPC_SECTOR);
    } else if (!s->fixed && tail > old) {
        clear_footer(bs, old);
    }
    return 0;
}

/* Put right what open() or a failed request left wrong with the footers, before anything else is written */
int vpc_rewrite_footers(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    int ret = bdrv_node_pwrite(bs->file, s->tail_at, &s->footer, sizeof(s->footer));

    if (ret == 0 && s->rewrite_head) {
        ret = bdrv_node_pwrite(bs->file, 0, &s->footer, sizeof(s->footer));
    }
    if (ret == 0) {
        ret = bdrv_node_flush(bs->file);
    }
    s->rewrite_footers = ret < 0;
    bs->needs_flush &= ret < 0;
    return ret;
}

int vpc_flush(BlockDriverState *bs)
{
    bool checked = bs->flags & BDRV_O_CHECK;        /* then only vpc_repair() writes the image */
    int ret = bs->needs_flush && !checked ? vpc_rewrite_footers(bs) : 0;

    ret = ret < 0 ? ret : bdrv_node_flush(bs->file);        /* data and bitmaps, before what refers to them */
    return ret < 0 ? ret : bdrv_meta_write(bs);
}

int vpc_change_footer(BlockDriverState *bs, const VpcFooter *footer)
{
    VpcState *s = bs->state;
    VpcFooter *f = &s->footer, old = s->footer;

    *f = *footer;
    vpc_seal_footer(f);
    s->rewrite_head = !s->fixed;
    int ret = vpc_rewrite_footers(bs);
    if (ret < 0) {
        s->footer = old;
        bs->needs_flush = true;
    }
    return ret;
}

int vpc_trim(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    int64_t tail = s->tail_at;
    int ret = s->tail_at > s->blocks_end ? vpc_move_tail(bs, s->blocks_end) : 0;

    if (ret == 0 && !s->tail_inside) {
        ret = set_length(bs, s->tail_at + VPC_SECTOR);
        s->tail_at = ret < 0 ? tail : s->tail_at;     /* the one at the end of the file still counts */
    }
    return ret;
}

void vpc_give_back(BlockDriverState *bs, int64_t end)
{
    VpcState *s = bs->state;

    if (!s->rewrite_footers || vpc_rewrite_footers(bs) == 0) {
        s->blocks_end = end;
        (void)vpc_trim(bs);
    }
}

static int measure(void *user, const VpcRun *run)
{
    VpcState *s = user;
    int64_t place = (int64_t)run->sector * VPC_SECTOR;

    if (vpc_run_is_block(run)) {
        s->allocated++;
        s->first_block = MIN(s->first_block, place);
        s->blocks_end = MAX(s->blocks_end, place + vpc_stored_bytes(s));
    }
    return 0;
}

/* Recompute what open() derived from the BAT, and trim */
int vpc_cut_room(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    int64_t above = s->blocks_end;
    int ret = vpc_claim_again(bs);

    s->allocated = 0;
    s->blocks_end = s->bat_offset + vpc_bat_padded(s);    /* also if it has no entries */
    s->first_block = INT64_MAX;
    for (unsigned i = 0; i < s->metadata_count; i++) {
        s->blocks_end = MAX(s->blocks_end, align_up(s->metadata[i].end, VPC_SECTOR));
    }
    if (ret == 0) {
        ret = vpc_walk_bat(bs, vpc_bat_entries(s), measure, s);
    }
    s->blocks_end = ret < 0 ? above : s->blocks_end;
    s->read_limit = s->blocks_end;
    vpc_spoil_room(s, above);
    return ret < 0 ? ret : vpc_trim(bs);
}

/* Return where the footer goes if many blocks are to have room in front of it, from @place on; the end of one block if
 * there is no room for as many */
static int64_t tail_behind(BlockDriverState *bs, int64_t place)
{
    const VpcState *s = bs->state;
    int64_t stride = next_place(s, place) - place, more = CLAMP(place, MIN_RESERVE, MAX_RESERVE) / stride * stride;

    return place_end(s, place + more) <= last_tail(bs) ? place_end(s, place + more) : place_end(s, place);
}

/* See that a block at @place ends before the footer */
static int reserve(BlockDriverState *bs, int64_t place)
{
    VpcState *s = bs->state;
    int64_t tail = tail_behind(bs, place);

    if (place_end(s, place) <= s->tail_at) {
        return 0;
    }
    int ret = vpc_move_tail(bs, tail);
    if (ret < 0 && tail > place_end(s, place) && place_end(s, place) > s->tail_at) {
        ret = vpc_move_tail(bs, place_end(s, place));
    }
    if (ret == 0) {
        (void)bdrv_meta_write(bs);      /* that was a barrier for them, too; what fails stays dirty */
    }
    return ret;
}

/* Make durable all that was written so far, and more room behind @place with it if that can be had */
static int reserve_ahead(BlockDriverState *bs, int64_t place)
{
    VpcState *s = bs->state;
    int64_t tail = tail_behind(bs, place);
    bool more = place_end(s, place) > s->tail_at && tail <= last_tail(bs);

    return more && vpc_move_tail(bs, tail) == 0 ? 0 : bdrv_node_flush(bs->file);
}

/* Zero what may be something else between @place and @end */
static int clear_places(BlockDriverState *bs, int64_t place, int64_t end)
{
    const VpcState *s = bs->state;
    int64_t spoilt = MIN(s->room.zero_from, end);

    return place < spoilt ? bdrv_node_zero(bs->file, place, spoilt - place, BLOCK_ZERO_PUNCH) : 0;
}

/* Write full bitmaps into up to @count places, as far as that works. Return how many, or -errno if it is none */
static int64_t write_bitmaps(BlockDriverState *bs, int64_t place, int64_t stride, int64_t count)
{
    VpcState *s = bs->state;
    g_autofree uint8_t *bitmap = g_try_malloc((gsize)s->bitmap_bytes);
    int64_t done = 0;
    int ret = bitmap ? 0 : -ENOMEM;

    if (bitmap) {
        memset(bitmap, 0xff, (size_t)s->bitmap_bytes);
    }
    vpc_spoil_room(s, place + (count - 1) * stride + s->bitmap_bytes);
    while (done < count && ret == 0) {
        ret = bdrv_node_pwrite(bs->file, place + done * stride, bitmap, s->bitmap_bytes);
        done += ret == 0;
    }
    return done > 0 ? done : ret;
}

/* Make places of a dynamic disk ready for blocks, from @place on. 0 if that one has at least its zeroes and its bitmap,
 * and only stable storage could not be had: its BAT entry waits for the next flush then */
static int tail_make_ready(BlockDriverState *bs, int64_t place)
{
    VpcState *s = bs->state;
    int64_t stride = next_place(s, place) - place, left = vpc_bat_entries(s) - s->allocated;
    int64_t inside = (s->tail_at - place_end(s, place)) / stride + 1;
    int64_t most = s->tail_inside ? MIN_RESERVE / stride : MAX_READY;
    int64_t count = MAX(MIN(MIN(inside, left), most), 1);
    int ret = clear_places(bs, place, place_end(s, place + (count - 1) * stride));

    count = ret < 0 ? ret : write_bitmaps(bs, place, stride, count);
    if (count < 0) {
        return (int)count;
    }
    ret = left > count ? reserve_ahead(bs, place + count * stride) : bdrv_node_flush(bs->file);
    if (ret == 0) {
        s->room.next = place;
        s->room.ready = place + count * stride;
    }
    return 0;
}

static bool is_ready(const VpcState *s, int64_t place)
{
    return place == s->room.next && place < s->room.ready;
}

int vpc_take_place(BlockDriverState *bs, int64_t *place)
{
    VpcState *s = bs->state;

    *place = vpc_place_above(s, s->blocks_end);
    int ret = reserve(bs, *place);

    if (ret == 0 && s->differencing) {
        ret = clear_places(bs, *place, place_end(s, *place));
    } else if (ret == 0 && !is_ready(s, *place)) {
        ret = tail_make_ready(bs, *place);
    }
    if (ret < 0) {
        return ret;
    }
    s->room.taken = is_ready(s, *place) ? *place : -1;
    s->room.next = next_place(s, *place);
    s->room.zero_from = MAX(s->room.zero_from, place_end(s, *place));   /* the write may fail, and leave a part */
    return 0;
}

bool vpc_was_ready(const VpcState *s, int64_t place)
{
    return place == s->room.taken;
}

void vpc_keep_place(VpcState *s, int64_t place)
{
    s->blocks_end = s->read_limit = place_end(s, place);
    s->allocated++;
}
