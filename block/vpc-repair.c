/* vpc-repair.c - VHD: what vpc-check.c found, put right */
/* SPDX-License-Identifier: MIT
 *
 * Nothing is written over what counts before there is something better elsewhere:
 *
 *   a footer     one of the two is valid at any time, and the other one is written
 *   a block      a footer further out | flush | the copy | flush | its BAT entry
 *   no block     its bit in the batmap | flush | its BAT entry
 *   a bitmap     bits are set; or data that nobody can read is zeroed | flush | bits are cleared
 *
 * There is one exception, make_longer(). Each of these can be cut off at any write: the next check finds what was
 * not done. The layer flushes behind each kind.
 */
#include <errno.h>
#include <string.h>
#include "block/vpc-check.h"
#include "util/be.h"
#include "util/checked.h"

static int put_tail(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    return bdrv_node_pwrite(c->bs->file, c->new_tail, &s->footer, sizeof(s->footer));
}

static int put_head(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    return bdrv_node_pwrite(c->bs->file, 0, &s->footer, sizeof(s->footer));
}

static int seal_footer(VpcCheck *c)
{
    return ((VpcState *)c->bs->state)->found == VPC_AT_HEAD ? put_head(c) : put_tail(c);
}

static int copy_footer(VpcCheck *c)
{
    return c->bad_head ? put_head(c) : put_tail(c);
}

/* The one that is not as it should be */
static int replace_footer(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    return memcmp(&c->ends.tail, &s->footer, sizeof(s->footer)) ? put_tail(c) : put_head(c);
}

static int cut_file(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    GError *err = NULL;

    if (bdrv_node_truncate(c->bs->file, s->limit + VPC_SECTOR, &err)) {
        return 0;
    }
    int ret = -bdrv_error_code(err);
    bdrv_error_free(err);
    return ret;
}

/* One sector, which is written as a whole or not at all */
static int seal_header(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    VpcHeader *h = &s->header;

    be32_store(h->checksum, vpc_checksum(h, sizeof(*h), offsetof(VpcHeader, checksum)));
    return bdrv_node_pwrite(c->bs->file, (int64_t)be64_load(s->footer.data_offset), h, VPC_SECTOR);
}

static int put_entry(VpcCheck *c, int64_t block, uint32_t entry)
{
    const VpcState *s = c->bs->state;
    int64_t at = s->bat_offset + align_down(block * 4, VPC_SECTOR);
    uint8_t sector[VPC_SECTOR];
    int ret = bdrv_node_pread(c->bs->file, at, sector, VPC_SECTOR);

    if (ret < 0) {
        return ret;
    }
    be32_store(sector + block * 4 % VPC_SECTOR, entry);
    return bdrv_node_pwrite(c->bs->file, at, sector, VPC_SECTOR);
}

/* The batmap */

/* What is in memory, to disk: never more bits than there were */
static int put_batmap(VpcCheck *c)
{
    uint32_t sum = 0;

    for (int64_t i = 0; i < vpc_batmap_summed(c); i++) {
        sum += c->map[i];
    }
    be32_store(c->batmap.checksum, ~sum);
    be32_store(c->batmap.version, VPC_BATMAP_VERSION);
    int ret = bdrv_node_pwrite(c->bs->file, c->map_at, c->map, c->map_bytes);
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    return ret < 0 ? ret : bdrv_node_pwrite(c->bs->file, c->batmap_at, &c->batmap, sizeof(c->batmap));
}

/* True: it was set */
static bool clear_batmap_bit(VpcCheck *c, int64_t block)
{
    bool set = c->map && block < c->map_bytes * 8 && vpc_sector_is_set(c->map, block);

    if (set) {
        c->map[block / 8] &= (uint8_t)~(0x80 >> block % 8);
    }
    return set;
}

static int flush_batmap(VpcCheck *c, bool changed)
{
    int ret = changed ? put_batmap(c) : 0;

    return ret < 0 || !changed ? ret : bdrv_node_flush(c->bs->file);
}

/* Room */

/* A footer at or behind @end */
static int make_room(VpcCheck *c, int64_t end)
{
    VpcState *s = c->bs->state;

    return end <= s->tail ? 0 : vpc_move_tail(c->bs, end);
}

/* Where copies may go. What no BAT entry names may be what is left of blocks whose entries were wrong */
static int64_t free_from(const VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    bool precious = (c->dropped || c->lost) && !c->room_empty;

    return round_up(precious ? s->tail : c->end, VPC_SECTOR);
}

/* The last block may end with the disk, and what is behind that in the file is not its own */
static int copy_block(VpcCheck *c, int64_t from, int64_t to)
{
    VpcState *s = c->bs->state;
    int64_t bytes = MIN(vpc_block_bytes(s), c->new_tail - from);
    int ret = vpc_copy_bytes(c->bs, from, to, bytes);

    return ret < 0 ? ret : bdrv_node_zero(c->bs->file, to + bytes, vpc_block_bytes(s) - bytes, BLOCK_ZERO_PUNCH);
}

/* Copies, each in a place of its own: close together, so that what they leave behind, which was shared with
 * others, and is less than a block, never has room for one */
static int move_blocks(VpcCheck *c, const GArray *keys)
{
    int64_t first = free_from(c), bytes = vpc_block_bytes(c->bs->state);
    int ret = make_room(c, first + keys->len * bytes);

    for (guint i = 0; i < keys->len && ret == 0; i++) {
        ret = copy_block(c, vpc_key_place(g_array_index(keys, uint64_t, i)), first + i * bytes);
    }
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    for (guint i = 0; i < keys->len && ret == 0; i++) {
        uint32_t sector = (uint32_t)((first + i * bytes) / VPC_SECTOR);

        ret = put_entry(c, vpc_key_block(g_array_index(keys, uint64_t, i)), sector);
    }
    return ret;
}

/* Blocks that end past the end of the file. With a footer further out, the old one would become data of theirs, and
 * nobody could tell: so it goes first, and for a moment the copy at the start is the only one */
static int make_longer(VpcCheck *c, const GArray *keys)
{
    VpcState *s = c->bs->state;
    int64_t end = 0;

    for (guint i = 0; i < keys->len; i++) {
        end = MAX(end, vpc_key_place(g_array_index(keys, uint64_t, i)) + vpc_block_bytes(s));
    }
    int ret = bdrv_node_zero(c->bs->file, s->limit, c->ends.size - s->limit, 0);
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    if (ret == 0) {
        ret = vpc_move_tail(c->bs, end);
    }
    if (ret < 0) {
        put_tail(c);
    }
    return ret;
}

/* BAT entries */

static bool sectors_differ(const uint8_t *piece, const uint8_t *old, int64_t at, int64_t bytes)
{
    return memcmp(piece + at, old + at, (size_t)MIN(VPC_SECTOR, bytes - at));
}

/* The sectors that were changed */
static int put_piece(VpcCheck *c, int64_t at, const uint8_t *piece, const uint8_t *old, int64_t bytes)
{
    const VpcState *s = c->bs->state;
    int ret = 0;

    for (int64_t i = 0; i < bytes && ret == 0; i += VPC_SECTOR) {
        if (sectors_differ(piece, old, i, bytes)) {
            ret = bdrv_node_pwrite(c->bs->file, s->bat_offset + at + i, piece + i, MIN(VPC_SECTOR, bytes - i));
        }
    }
    return ret;
}

/* Those of one kind, in a piece of the BAT that begins with @block. How many, or -errno */
static int64_t drop_in_piece(VpcCheck *c, VpcKind kind, uint8_t *piece, int64_t bytes, int64_t block, bool *batmap)
{
    int64_t dropped = 0;

    for (int64_t i = 0; i < bytes; i += 4, block++) {
        uint32_t sector = be32_load(piece + i);
        int judged = sector == VPC_UNUSED ? VPC_KINDS : vpc_judge(c, block, sector);

        if (judged < 0) {
            return judged;
        }
        if (judged == (int)kind) {
            be32_store(piece + i, VPC_UNUSED);
            *batmap |= clear_batmap_bit(c, block);
            dropped++;
        }
    }
    return dropped;
}

/* @write: in the BAT; else only in the batmap, in memory */
static int drop_all(VpcCheck *c, VpcKind kind, bool write, bool *batmap)
{
    const VpcState *s = c->bs->state;
    g_autofree uint8_t *piece = g_malloc(VPC_BAT_PIECE), *old = g_malloc(VPC_BAT_PIECE);
    int64_t ret = 0;

    for (int64_t at = 0; at < s->bat_bytes && ret >= 0; at += VPC_BAT_PIECE) {
        int64_t bytes = MIN(s->bat_bytes - at, VPC_BAT_PIECE);

        ret = bdrv_node_pread(c->bs->file, s->bat_offset + at, piece, bytes);
        if (ret == 0) {
            memcpy(old, piece, (size_t)bytes);
            ret = drop_in_piece(c, kind, piece, bytes, at / 4, batmap);
        }
        if (ret > 0 && write) {
            ret = put_piece(c, at, piece, old, bytes);
        }
    }
    return ret < 0 ? (int)ret : 0;
}

static int drop_entries(VpcCheck *c, VpcKind kind)
{
    bool batmap = false;
    int ret = drop_all(c, kind, false, &batmap);

    if (ret == 0) {
        ret = flush_batmap(c, batmap);
    }
    c->dropped |= kind != VPC_BLOCK_BEYOND;
    return ret < 0 ? ret : drop_all(c, kind, true, &batmap);
}

static int drop_clear_blocks(VpcCheck *c, const GArray *keys)
{
    bool batmap = false;

    for (guint i = 0; i < keys->len; i++) {
        batmap |= clear_batmap_bit(c, vpc_key_block(g_array_index(keys, uint64_t, i)));
    }
    int ret = flush_batmap(c, batmap);
    for (guint i = 0; i < keys->len && ret == 0; i++) {
        ret = put_entry(c, vpc_key_block(g_array_index(keys, uint64_t, i)), VPC_UNUSED);
    }
    return ret;
}

/* An empty map, behind everything */
static int renew_batmap(VpcCheck *c)
{
    int64_t at = free_from(c);
    int ret = make_room(c, at + c->map_bytes);

    if (ret < 0) {
        return ret;
    }
    g_free(c->map);
    c->map = g_try_malloc0((gsize)c->map_bytes);
    if (!c->map) {
        return -ENOMEM;
    }
    c->map_at = at;
    be64_store(c->batmap.offset, (uint64_t)at);
    be32_store(c->batmap.sectors, (uint32_t)(c->map_bytes / VPC_SECTOR));
    return put_batmap(c);
}

/* Bitmaps */

static int set_bits(VpcCheck *c, const GArray *keys)
{
    VpcState *s = c->bs->state;
    g_autofree uint8_t *bitmap = g_malloc((gsize)s->bitmap_bytes);
    int64_t ret = 0;

    for (guint i = 0; i < keys->len && ret >= 0; i++) {
        uint64_t key = g_array_index(keys, uint64_t, i);

        ret = bdrv_node_pread(c->bs->file, vpc_key_place(key), bitmap, s->bitmap_bytes);
        if (ret == 0) {
            ret = vpc_find_data(c, vpc_key_place(key), bitmap, 0, vpc_sectors_in(c, vpc_key_block(key)));
        }
        if (ret > 0) {
            ret = bdrv_node_pwrite(c->bs->file, vpc_key_place(key), bitmap, s->bitmap_bytes);
        }
    }
    return ret < 0 ? (int)ret : 0;
}

/* There is one such block */
static int clear_past_end(VpcCheck *c, const GArray *keys)
{
    VpcState *s = c->bs->state;
    uint64_t key = g_array_index(keys, uint64_t, 0);
    int64_t place = vpc_key_place(key), sectors = vpc_sectors_in(c, vpc_key_block(key));
    int64_t end = place + s->bitmap_bytes + sectors * VPC_SECTOR;
    g_autofree uint8_t *bitmap = g_malloc((gsize)s->bitmap_bytes);
    int ret = bdrv_node_pread(c->bs->file, place, bitmap, s->bitmap_bytes);

    if (ret == 0) {
        ret = bdrv_node_zero(c->bs->file, end, MIN(place + vpc_block_bytes(s), s->limit) - end, 0);
    }
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    for (int64_t i = sectors; i < s->block_size / VPC_SECTOR && ret == 0; i++) {
        bitmap[i / 8] &= (uint8_t)~(0x80 >> i % 8);
    }
    return ret < 0 ? ret : bdrv_node_pwrite(c->bs->file, place, bitmap, s->bitmap_bytes);
}

static int move_tail_down(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int ret = vpc_move_tail(c->bs, c->end);

    s->limit = c->end;
    return ret < 0 ? ret : cut_file(c);
}

int vpc_repair(BlockDriverState *bs, int kind)
{
    VpcCheck *c = ((VpcState *)bs->state)->check;

    switch ((VpcKind)kind) {
    case VPC_NO_CHECKSUM:
        return seal_footer(c);
    case VPC_BAD_CHECKSUM:
        return copy_footer(c);
    case VPC_NO_HEAD:
    case VPC_ENDS_DIFFER:
        return put_head(c);
    case VPC_NO_TAIL:
    case VPC_TAIL_511:
        return put_tail(c);
    case VPC_ENDS_ONE_WRONG:
        return replace_footer(c);
    case VPC_BEHIND_FOOTER:
        return cut_file(c);
    case VPC_HEADER_CHECKSUM:
        return seal_header(c);
    case VPC_BLOCK_OUTSIDE:
    case VPC_BLOCK_ON_TABLES:
    case VPC_BLOCK_BEYOND:
        return drop_entries(c, (VpcKind)kind);
    case VPC_BLOCK_CUT:
        return make_longer(c, c->keys[kind]);
    case VPC_BLOCK_ON_NAMES:
    case VPC_BLOCK_OVERLAP:
    case VPC_BLOCK_TWICE:
        return move_blocks(c, c->keys[kind]);
    case VPC_BATMAP_LOST:
        return renew_batmap(c);
    case VPC_BATMAP_CHECKSUM:
    case VPC_BATMAP_WRONG:
        return put_batmap(c);
    case VPC_DATA_UNDER_CLEAR:
        return set_bits(c, c->keys[kind]);
    case VPC_DATA_PAST_END:
        return clear_past_end(c, c->keys[kind]);
    case VPC_BLOCK_CLEAR:
        return drop_clear_blocks(c, c->keys[kind]);
    case VPC_ROOM_EMPTY:
    case VPC_ROOM_USED:
        return move_tail_down(c);
    default:
        return -ENOTSUP;
    }
}
