/* repair.c - VHD: what vpc/check.c found, put right */
/* SPDX-License-Identifier: MIT
 *
 * Nothing is written over what counts before there is something better elsewhere:
 *
 *   a footer     one of the two is valid at any time, and the other one is written
 *   a block      a footer further out | flush | the copy | flush | its BAT entry
 *   no block     its bit in the batmap | flush | its BAT entry. With data in the room before the footer, which may be
 *                the block's, before that | its entry points as far out as it can | flush | the last block is copied
 *                above that room, as above | flush: now every check sees a gap there, which is kept
 *   a locator    a footer further out | flush | the header anew, above everything | flush | footers that refer to it |
 *                flush | the header in its place | flush | footers that refer to that, as vpc/rebase.c does it
 *   a bitmap     bits are set; or data that nobody can read is zeroed | flush | bits are cleared
 *
 * There is one exception, make_longer(). Each of these can be cut off at any write: the next check finds what was
 * not done. The layer flushes behind each kind.
 */
#include <errno.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/batmap.h"
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"
#include "block/format/vpc/vpc.h"
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

/* Ask the disk once more for the footer that could not be read: one that can be read now, and is valid, is not replaced
 * by one that may describe another disk. -EAGAIN: so it is, and the check has to begin again */
static int still_missing(VpcCheck *c, VpcKind kind)
{
    VpcEnds now = { 0 };

    if (!(kind == VPC_NO_HEAD ? c->ends.head_error : c->ends.tail_error) || !vpc_read_ends(c->bs, &now, NULL)) {
        return 0;
    }
    return (kind == VPC_NO_HEAD ? now.head_ok : now.tail_ok) ? -EAGAIN : 0;
}

static int seal_footer(VpcCheck *c)
{
    return ((VpcState *)c->bs->state)->found == VPC_AT_HEAD ? put_head(c) : put_tail(c);
}

static int copy_footer(VpcCheck *c)
{
    return c->bad_head ? put_head(c) : put_tail(c);
}

/* Write over the footer that is not as it should be */
static int replace_footer(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    return memcmp(&c->ends.tail, &s->footer, sizeof(s->footer)) ? put_tail(c) : put_head(c);
}

static int cut_file(VpcCheck *c)
{
    const VpcState *s = c->bs->state;

    return vpc_set_file_size(c->bs, s->read_limit + VPC_SECTOR);
}

/* Write the first sector of the header with a new checksum; it is written as a whole or not at all */
static int seal_header(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    VpcHeader *h = &s->header;

    vpc_seal_header(h);
    return bdrv_node_pwrite(c->bs->file, (int64_t)be64_load(s->footer.data_offset), h, VPC_SECTOR);
}

/* The batmap */

/* Write the map in memory to disk: it never has more bits than there were */
static int put_batmap(VpcCheck *c)
{
    vpc_seal_batmap(&c->batmap, vpc_batmap_sum(c->map, vpc_map_summed(c)));
    int ret = bdrv_node_pwrite(c->bs->file, c->map_at, c->map, c->map_bytes);
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    return ret < 0 ? ret : bdrv_node_pwrite(c->bs->file, c->batmap_at, &c->batmap, sizeof(c->batmap));
}

/* Clear the bit of @block in c->map. True: it was set */
static bool clear_batmap_bit(VpcCheck *c, int64_t block)
{
    bool set = c->map && block < c->map_bytes * 8 && vpc_sector_is_set(c->map, block);

    if (set) {
        vpc_clear_bits(c->map, block, block + 1);
    }
    return set;
}

static int flush_batmap(VpcCheck *c, bool changed)
{
    int ret = changed ? put_batmap(c) : 0;

    return ret < 0 || !changed ? ret : bdrv_node_flush(c->bs->file);
}

/* Room */

/* Move the footer to @end, unless it is behind that */
static int make_room(VpcCheck *c, int64_t end)
{
    VpcState *s = c->bs->state;

    return end <= s->tail_at ? 0 : vpc_move_tail(c->bs, end);
}

/* Return where copies may go. Data that no BAT entry names may be the rest of blocks whose entries were wrong */
static int64_t free_from(const VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    bool precious = c->room_used && (c->lost || c->blocks.count == 0);

    return round_up(precious ? s->tail_at : c->end, VPC_SECTOR);
}

/* Copy a block. The last one may end with the disk, and bytes behind it in the file are not its own */
static int copy_block(VpcCheck *c, int64_t from, int64_t to)
{
    VpcState *s = c->bs->state;
    int64_t bytes = MIN(vpc_stored_bytes(s), c->new_tail - from);
    int ret = vpc_copy_bytes(c->bs, from, to, bytes);

    return ret < 0 ? ret : bdrv_node_zero(c->bs->file, to + bytes, vpc_stored_bytes(s) - bytes, BLOCK_ZERO_PUNCH);
}

/* Copy blocks, each to a place of its own: close together, so that what they leave behind, which was shared with
 * others, and is less than a block, never has room for one */
static int move_blocks(VpcCheck *c, const VpcKeys *keys)
{
    int64_t first = free_from(c), bytes = vpc_stored_bytes(c->bs->state);
    int ret = make_room(c, first + (int64_t)keys->count * bytes);

    for (size_t i = 0; i < keys->count && ret == 0; i++) {
        ret = copy_block(c, vpc_key_place(keys->at[i]), first + (int64_t)i * bytes);
    }
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    for (size_t i = 0; i < keys->count && ret == 0; i++) {
        ret = vpc_put_entry(c->bs, vpc_key_block(keys->at[i]), (uint32_t)((first + (int64_t)i * bytes) / VPC_SECTOR));
    }
    return ret;
}

/* Make the file longer for blocks that end past its end. With a footer further out, the old one would become data of
 * theirs, and nobody could tell: so it goes first, and for a moment the copy at the start is the only one */
static int make_longer(VpcCheck *c, const VpcKeys *keys)
{
    VpcState *s = c->bs->state;
    int64_t end = 0;

    for (size_t i = 0; i < keys->count; i++) {
        end = MAX(end, vpc_key_place(keys->at[i]) + vpc_stored_bytes(s));
    }
    int ret = bdrv_node_zero(c->bs->file, s->read_limit, c->ends.size - s->read_limit, 0);
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    if (ret == 0) {
        ret = vpc_move_tail(c->bs, end);
    }
    if (ret < 0 && s->rewrite_footers) {     /* the file stays longer: the block is where the old footer was */
        (void)vpc_rewrite_footers(c->bs);
    } else if (ret < 0) {
        (void)put_tail(c);
    }
    return ret;
}

/* Locators */

static int put_header(VpcCheck *c, int64_t at)
{
    VpcHeader *h = &c->mended;

    vpc_seal_header(h);
    int ret = bdrv_node_pwrite(c->bs->file, at, h, sizeof(*h));

    return ret < 0 ? ret : bdrv_node_flush(c->bs->file);
}

static int repair_refer_to(VpcCheck *c, int64_t header_at)
{
    VpcState *s = c->bs->state;
    VpcFooter f = s->footer;

    be64_store(f.data_offset, (uint64_t)header_at);
    return vpc_change_footer(c->bs, &f);
}

/* Write a header with locators that fit. They are in its second sector, and the checksum is in the first: there must be
 * a whole header at any time */
static int mend_locators(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t home = (int64_t)be64_load(s->footer.data_offset), at = free_from(c), end = at + (int64_t)sizeof(VpcHeader);
    int ret = c->tail_inside ? 0 : make_room(c, end);

    s->tail_at = c->tail_inside ? end : s->tail_at;      /* where vpc_open() would have it */
    ret = ret < 0 ? ret : put_header(c, at);
    ret = ret < 0 ? ret : repair_refer_to(c, at);
    ret = ret < 0 ? ret : put_header(c, home);
    ret = ret < 0 ? ret : repair_refer_to(c, home);
    return ret < 0 ? ret : bdrv_node_zero(c->bs->file, at, (int64_t)sizeof(VpcHeader), 0);
}

/* BAT entries */

#define FAR_OUT 0xfffffffe      /* an entry that points past the end of any file */

/* Those of one kind are changed to @entry, in the BAT if @write is set, else only in the batmap in memory */
typedef struct Drop {
    VpcCheck *c;
    VpcKind kind;
    uint32_t entry;
    bool write;
    bool batmap;                /* it has changed */
    int64_t at;                 /* of the sector that is being changed, in the file; -1: none is */
    uint8_t sector[VPC_SECTOR];
} Drop;

/* Write the sector that is being changed, as a whole or not at all */
static int put_sector(Drop *drop)
{
    int ret = drop->at < 0 ? 0 : bdrv_node_pwrite(drop->c->bs->file, drop->at, drop->sector, VPC_SECTOR);

    drop->at = -1;
    return ret;
}

static int drop_entry(Drop *drop, int64_t block)
{
    const VpcState *s = drop->c->bs->state;
    int64_t at = s->bat_offset + align_down(block * 4, VPC_SECTOR);
    int ret = at == drop->at ? 0 : put_sector(drop);

    if (ret == 0 && at != drop->at) {
        ret = bdrv_node_pread(drop->c->bs->file, at, drop->sector, VPC_SECTOR);
        drop->at = ret < 0 ? -1 : at;
    }
    if (ret == 0) {
        be32_store(drop->sector + block * 4 % VPC_SECTOR, drop->entry);
    }
    return ret;
}

/* Clear entries that are a hole in the file */
static int drop_hole(const Drop *drop, int64_t block, int64_t count)
{
    const VpcState *s = drop->c->bs->state;
    return vpc_write_unused(drop->c->bs, s->bat_offset + block * 4, count * 4);
}

static int drop_run(void *user, const VpcRun *run)
{
    Drop *drop = user;
    VpcCheck *c = drop->c;
    int64_t count = run->hole ? CLAMP(c->needed - run->block, 0, run->count) : 1;

    if (run->sector == VPC_UNUSED || count == 0 || vpc_check_entry(c, run->block, run->sector) != drop->kind) {
        return 0;
    }
    for (int64_t i = 0; i < count && c->map; i++) {
        drop->batmap |= clear_batmap_bit(c, run->block + i);
    }
    if (!drop->write) {
        return 0;
    }
    return run->hole ? drop_hole(drop, run->block, count) : drop_entry(drop, run->block);
}

static int drop_all(Drop *drop)
{
    const VpcState *s = drop->c->bs->state;
    int ret = vpc_walk_bat(drop->c->bs, vpc_bat_entries(s), drop_run, drop);

    return ret < 0 ? ret : put_sector(drop);
}

/* Put a block above the room in front of the footer. Once the entries of lost blocks are cleared, nobody can tell that
 * data in the room may be theirs; that block says so for good. Entries that point a little past the end must not come
 * to point at it */
static int keep_room(VpcCheck *c, VpcKind kind)
{
    VpcState *s = c->bs->state;
    Drop drop = { .c = c, .kind = kind, .entry = FAR_OUT, .write = true, .at = -1 };
    const VpcKeys last = { &c->blocks.at[c->blocks.count - 1], 1, 1 };
    int ret = kind == VPC_BLOCK_OUTSIDE ? drop_all(&drop) : 0;

    ret = ret < 0 ? ret : bdrv_node_flush(c->bs->file);
    ret = ret < 0 ? ret : move_blocks(c, &last);
    ret = ret < 0 ? ret : bdrv_node_flush(c->bs->file);
    s->read_limit = ret < 0 ? s->read_limit : s->tail_at;
    return ret;
}

static int drop_entries(VpcCheck *c, VpcKind kind)
{
    Drop drop = { .c = c, .kind = kind, .entry = VPC_UNUSED, .at = -1 };
    int ret = drop_all(&drop);

    if (ret == 0) {
        ret = flush_batmap(c, drop.batmap);
    }
    if (ret == 0 && kind != VPC_BLOCK_BEYOND && c->room_used && c->blocks.count > 0) {
        ret = keep_room(c, kind);
    }
    drop.write = true;
    return ret < 0 ? ret : drop_all(&drop);
}

/* Clear the entries of blocks that hold nothing. What they took is zeroed once nothing refers to it, so that it does
 * not look like something that was lost */
static int drop_clear_blocks(VpcCheck *c, const VpcKeys *keys)
{
    const VpcState *s = c->bs->state;
    bool batmap = false;

    for (size_t i = 0; i < keys->count; i++) {
        batmap |= clear_batmap_bit(c, vpc_key_block(keys->at[i]));
    }
    int ret = flush_batmap(c, batmap);
    for (size_t i = 0; i < keys->count && ret == 0; i++) {
        ret = vpc_put_entry(c->bs, vpc_key_block(keys->at[i]), VPC_UNUSED);
    }
    ret = ret < 0 ? ret : bdrv_node_flush(c->bs->file);
    for (size_t i = 0; i < keys->count && ret == 0; i++) {
        int64_t place = vpc_key_place(keys->at[i]);

        ret = bdrv_node_zero(c->bs->file, place, MIN(vpc_stored_bytes(s), s->read_limit - place), BLOCK_ZERO_PUNCH);
    }
    return ret;
}

/* Make an empty map, behind everything */
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
    vpc_place_batmap(&c->batmap, at, c->map_bytes);
    return put_batmap(c);
}

/* Bitmaps */

static int set_bits(VpcCheck *c, const VpcKeys *keys)
{
    VpcState *s = c->bs->state;
    g_autofree uint8_t *bitmap = g_try_malloc((gsize)s->bitmap_bytes);
    int64_t ret = bitmap ? 0 : -ENOMEM;

    for (size_t i = 0; i < keys->count && ret >= 0; i++) {
        uint64_t key = keys->at[i];

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

/* Zero what the last block, the only one of this kind, has behind the end of the disk, and clear its bits */
static int clear_past_end(VpcCheck *c, const VpcKeys *keys)
{
    VpcState *s = c->bs->state;
    uint64_t key = keys->at[0];
    int64_t place = vpc_key_place(key), sectors = vpc_sectors_in(c, vpc_key_block(key));
    int64_t end = place + s->bitmap_bytes + sectors * VPC_SECTOR;
    g_autofree uint8_t *bitmap = g_try_malloc((gsize)s->bitmap_bytes);
    int ret = bitmap ? bdrv_node_pread(c->bs->file, place, bitmap, s->bitmap_bytes) : -ENOMEM;

    if (ret == 0) {
        ret = bdrv_node_zero(c->bs->file, end, MIN(place + vpc_stored_bytes(s), s->read_limit) - end, 0);
    }
    if (ret == 0) {
        ret = bdrv_node_flush(c->bs->file);
    }
    if (ret == 0) {
        vpc_clear_bits(bitmap, sectors, s->block_size / VPC_SECTOR);
    }
    return ret < 0 ? ret : bdrv_node_pwrite(c->bs->file, place, bitmap, s->bitmap_bytes);
}

static int move_tail_down(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int ret = vpc_move_tail(c->bs, c->end);

    s->read_limit = c->end;
    return ret < 0 ? ret : cut_file(c);
}

int vpc_repair(BlockDriverState *bs, int kind)
{
    VpcCheck *c = ((VpcState *)bs->state)->check;
    int ret;

    switch ((VpcKind)kind) {
    case VPC_NO_CHECKSUM:
        return seal_footer(c);
    case VPC_BAD_CHECKSUM:
        return copy_footer(c);
    case VPC_NO_HEAD:
        ret = still_missing(c, VPC_NO_HEAD);
        return ret < 0 ? ret : put_head(c);
    case VPC_ENDS_DIFFER:
        return put_head(c);
    case VPC_NO_TAIL:
        ret = still_missing(c, VPC_NO_TAIL);
        return ret < 0 ? ret : put_tail(c);
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
        return make_longer(c, &c->keys[kind]);
    case VPC_BLOCK_ON_NAMES:
    case VPC_BLOCK_OVERLAP:
    case VPC_BLOCK_TWICE:
        return move_blocks(c, &c->keys[kind]);
    case VPC_LOCATOR_BAD:
    case VPC_LOCATOR_IDLE:
        return mend_locators(c);
    case VPC_BATMAP_LOST:
        return renew_batmap(c);
    case VPC_BATMAP_LONG:
        be32_store(c->batmap.sectors, (uint32_t)(c->map_bytes / VPC_SECTOR));
        return put_batmap(c);
    case VPC_BATMAP_CHECKSUM:
    case VPC_BATMAP_WRONG:
        return put_batmap(c);
    case VPC_DATA_UNDER_CLEAR:
        return set_bits(c, &c->keys[kind]);
    case VPC_DATA_PAST_END:
        return clear_past_end(c, &c->keys[kind]);
    case VPC_BLOCK_CLEAR:
        return drop_clear_blocks(c, &c->keys[kind]);
    case VPC_ROOM_EMPTY:
    case VPC_ROOM_USED:
        return move_tail_down(c);
    default:
        return -ENOTSUP;
    }
}
