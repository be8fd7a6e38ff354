/* vpc.c - Connectix / Microsoft Virtual PC images (VHD) */
/* SPDX-License-Identifier: MIT
 *
 *   fixed     guest data, footer
 *   dynamic   footer, header, BAT, block ... block, room, footer        each block: bitmap, data
 *   differencing    the same; what is not in a block, or whose bit is clear, is in the parent
 *
 * A new block goes above everything that exists. To have a footer at the end of the file at all times,
 * room is reserved for many blocks: a footer is written further out, made durable, and only then the old
 * one overwritten; close() takes back what was not needed.
 *
 * On disk, a BAT entry never names what is not durable: commit() changes memory, and flush() writes
 * the tables after a barrier. docs/VHD.md describes the format, vpc-open.c reads and checks it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/drivers.h"
#include "block/vpc.h"
#include "util/be.h"
#include "util/checked.h"

#define DATA_ALIGN      4096            /* of block data in the file, as Windows 8 and tapdisk have it */
#define MIN_RESERVE     (8 << 20)
#define MAX_RESERVE     (256 << 20)

int64_t vpc_place_above(const VpcState *s, int64_t offset)
{
    int64_t unit = s->block_size % DATA_ALIGN ? VPC_SECTOR : DATA_ALIGN;

    return align_up(offset + s->bitmap_bytes, unit) - s->bitmap_bytes;
}

static int64_t place_end(const VpcState *s, int64_t place)
{
    return place + s->bitmap_bytes + s->block_size;
}

/* No footer may lie further out: sectors are numbered with 32 bits, and what lies past the end of the file
 * must not come to be inside it */
static int64_t last_tail(const VpcState *s)
{
    return s->fixed ? INT64_MAX : MIN(s->ceiling, (int64_t)VPC_LAST_SECTOR * VPC_SECTOR);
}

/* The file had @size bytes, and may have a footer at @tail now that is not durable */
static void undo_tail(BlockDriverState *bs, int64_t tail, int64_t size)
{
    VpcState *s = bs->state;

    if (!bdrv_node_truncate(bs->file, size, NULL) && tail > s->tail && bdrv_node_size(bs->file) > tail) {
        s->tail = tail;         /* it is at the end of the file, and so it counts */
        s->unsettled = true;
    }
}

int vpc_move_tail(BlockDriverState *bs, int64_t tail)
{
    VpcState *s = bs->state;
    int64_t size = bdrv_node_size(bs->file);

    if (tail > last_tail(s)) {
        bdrv_warn(bs, "no room for another block: the file can't grow beyond %" PRId64 " bytes", last_tail(s));
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
    s->tail = tail;
    return 0;
}

/* See that a block at @place ends before the footer */
static int reserve(BlockDriverState *bs, int64_t place)
{
    VpcState *s = bs->state;
    int64_t stride = vpc_place_above(s, place_end(s, place)) - place;
    int64_t more = CLAMP(place, MIN_RESERVE, MAX_RESERVE) / stride;

    if (place_end(s, place) <= s->tail) {
        return 0;
    }
    if (place_end(s, place + more * stride) > last_tail(s)) {
        more = 0;
    }
    int ret = vpc_move_tail(bs, place_end(s, place + more * stride));
    bool less = ret < 0 && more > 0 && place_end(s, place) > s->tail;

    return less ? vpc_move_tail(bs, place_end(s, place)) : ret;
}

/* A new block. In a dynamic disk all of it comes to be at once, and is zero; in a differencing one only the
 * sectors that are written */
static int take_block(BlockDriverState *bs, int64_t offset, int64_t bytes, BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t place = vpc_place_above(s, s->end);
    int ret = reserve(bs, place);

    if (ret == 0 && s->used) {
        ret = bdrv_node_zero(bs->file, place, place_end(s, place) - place, BLOCK_ZERO_PUNCH);
    }
    if (ret < 0) {
        return ret;
    }
    s->used = true;
    if (s->differencing) {
        int64_t in = align_down(offset % s->block_size, VPC_SECTOR);
        int64_t end = MIN(align_up(offset % s->block_size + bytes, VPC_SECTOR), s->block_size);

        *ext = (BlockExtent) { offset - offset % s->block_size + in, end - in, bs->file,
                               place + s->bitmap_bytes + in, BLOCK_EXTENT_NEW };
    } else {
        *ext = (BlockExtent) { offset - offset % s->block_size, s->block_size, bs->file, place + s->bitmap_bytes,
                               BLOCK_EXTENT_NEW | BLOCK_EXTENT_ZEROED };
    }
    return 0;
}

/* The piece of the BAT that has the entry of @block: where it begins in the file, and its contents */
static int get_bat(BlockDriverState *bs, int64_t block, unsigned mode, int64_t *piece, uint8_t **entries)
{
    VpcState *s = bs->state;
    int64_t at = align_down(block * 4, VPC_BAT_PIECE);

    if (block >= vpc_bat_entries(s)) {
        bdrv_warn(bs, "block %" PRId64 " has no BAT entry, there are only %" PRId64, block, vpc_bat_entries(s));
        return -EIO;
    }
    *piece = s->bat_offset + at;
    return bdrv_meta_get(bs, *piece, MIN(align_up(s->bat_bytes, VPC_SECTOR) - at, VPC_BAT_PIECE), mode, entries);
}

static uint8_t *entry_in(uint8_t *entries, int64_t block)
{
    return entries + block * 4 % VPC_BAT_PIECE;
}

/* Blocks that are not there, as far as this piece of the BAT goes; somebody else may have the bytes */
static void map_absent(BlockDriverState *bs, uint8_t *entries, int64_t block, int64_t end, BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t last = MIN(vpc_bat_entries(s), align_down(block, VPC_BAT_PIECE / 4) + VPC_BAT_PIECE / 4);
    int64_t next = block + 1;

    while (next < last && next * s->block_size < end && be32_load(entry_in(entries, next)) == VPC_UNUSED) {
        next++;
    }
    *ext = (BlockExtent) { block * s->block_size, (next - block) * s->block_size, bs->backing,
                           block * s->block_size };
}

bool vpc_sector_is_set(const uint8_t *bitmap, int64_t sector)
{
    return bitmap[sector / 8] & (0x80 >> sector % 8);
}

int64_t vpc_run_end(const uint8_t *bitmap, int64_t from, int64_t to)
{
    bool set = vpc_sector_is_set(bitmap, from);
    uint8_t same = set ? 0xff : 0;

    while (++from < to) {
        if (from % 8 == 0 && bitmap[from / 8] == same) {
            from += 7;
        } else if (vpc_sector_is_set(bitmap, from) != set) {
            return from;
        }
    }
    return to;
}

/* Sectors of a block that is there: a set bit means that they are, too */
static int map_present(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t place, unsigned mode,
                       BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t block = offset / s->block_size, in = offset % s->block_size;
    int64_t end = MIN(in + bytes, s->block_size);
    uint8_t *bitmap;
    int ret = vpc_check_block(bs, block, place, mode & BLOCK_MAP_WRITE);

    ret = ret < 0 ? ret : bdrv_meta_get(bs, place, s->bitmap_bytes, mode, &bitmap);
    if (ret == -EIO && s->options.salvage) {
        vpc_salvage_block(bs, offset, place, ext);
        return 0;
    }
    if (ret < 0) {
        return ret;
    }
    int64_t first = in / VPC_SECTOR;
    int64_t last = vpc_run_end(bitmap, first, (end + VPC_SECTOR - 1) / VPC_SECTOR);
    bool set = vpc_sector_is_set(bitmap, first);

    *ext = (BlockExtent) { offset - in + first * VPC_SECTOR, (last - first) * VPC_SECTOR };
    if (set || (mode & BLOCK_MAP_WRITE)) {
        ext->child = bs->file;
        ext->child_offset = place + s->bitmap_bytes + first * VPC_SECTOR;
        ext->flags = set ? 0 : BLOCK_EXTENT_NEW;
    } else {
        ext->child = bs->backing;
        ext->child_offset = ext->offset;
    }
    return 0;
}

/* What open() found wrong with the ends of the file is put right before the first write */
int vpc_settle(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    int ret = bdrv_node_pwrite(bs->file, s->tail, &s->footer, sizeof(s->footer));

    if (ret == 0 && s->head_bad) {
        ret = bdrv_node_pwrite(bs->file, 0, &s->footer, sizeof(s->footer));
    }
    if (ret == 0) {
        ret = bdrv_node_flush(bs->file);
    }
    s->unsettled = ret < 0;
    return ret;
}

int vpc_change_footer(BlockDriverState *bs, const VpcFooter *footer)
{
    VpcState *s = bs->state;
    VpcFooter *f = &s->footer, old = s->footer;

    *f = *footer;
    be32_store(f->checksum, vpc_checksum(f, sizeof(*f), offsetof(VpcFooter, checksum)));
    s->head_bad = !s->fixed;
    int ret = vpc_settle(bs);
    if (ret < 0) {
        s->footer = old;
    }
    return ret;
}

static void map_fixed(BlockDriverState *bs, int64_t offset, BlockExtent *ext)
{
    VpcState *s = bs->state;

    if (offset < s->limit) {
        *ext = (BlockExtent) { 0, s->limit, bs->file, 0, BLOCK_EXTENT_WINDOW };
    } else {
        *ext = (BlockExtent) { s->limit, bs->size - s->limit };
    }
}

static int vpc_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    VpcState *s = bs->state;
    bool write = mode & BLOCK_MAP_WRITE, alone = mode & BLOCK_MAP_EXCL;
    int64_t block, piece;
    uint8_t *entries;

    if (write && s->unsettled) {
        int ret = alone ? vpc_settle(bs) : -EAGAIN;

        if (ret < 0) {
            return ret;
        }
    }
    if (s->fixed) {
        map_fixed(bs, offset, ext);
        return 0;
    }
    if (write && s->differencing && !bs->backing) {
        bdrv_warn(bs, "a differencing disk can't be written to without its parent");
        return -EROFS;
    }
    block = offset / s->block_size;
    int ret = get_bat(bs, block, mode, &piece, &entries);
    if (ret == -EIO && s->options.salvage) {
        vpc_salvage_block(bs, offset, -1, ext);
        return 0;
    }
    if (ret < 0) {
        return ret;
    }
    uint32_t sector = be32_load(entry_in(entries, block));
    if (sector != VPC_UNUSED) {
        return map_present(bs, offset, bytes, (int64_t)sector * VPC_SECTOR, mode, ext);
    }
    if (write) {
        return alone ? take_block(bs, offset, bytes, ext) : -EAGAIN;
    }
    map_absent(bs, entries, block, offset + bytes, ext);
    return 0;
}

/* Its bitmap on disk, where nothing refers to it yet, and its BAT entry in memory. A differencing disk's
 * is left as it is there, all zero: sectors come to be one by one */
static int commit_block(BlockDriverState *bs, int64_t place, int64_t piece, uint8_t *entries, uint8_t *entry)
{
    VpcState *s = bs->state;
    g_autofree uint8_t *bitmap = g_malloc((gsize)s->bitmap_bytes);

    memset(bitmap, s->differencing ? 0 : 0xff, (size_t)s->bitmap_bytes);
    int ret = bdrv_node_pwrite(bs->file, place, bitmap, s->bitmap_bytes);
    if (ret < 0) {
        return ret;
    }
    be32_store(entry, (uint32_t)(place / VPC_SECTOR));
    bdrv_meta_dirty(bs, piece, entry - entries, 4);
    s->end = s->limit = place_end(s, place);
    s->used = s->in_place;
    s->allocated++;
    return 0;
}

static int commit_sectors(BlockDriverState *bs, const BlockExtent *ext, int64_t place)
{
    VpcState *s = bs->state;
    int64_t first = ext->offset % s->block_size / VPC_SECTOR, last = first + ext->bytes / VPC_SECTOR;
    uint8_t *bitmap;
    int ret = bdrv_meta_get(bs, place, s->bitmap_bytes, BLOCK_MAP_WAIT, &bitmap);

    if (ret < 0) {
        return ret;
    }
    for (int64_t i = first; i < last; i++) {
        bitmap[i / 8] |= 0x80 >> i % 8;
    }
    bdrv_meta_dirty(bs, place, first / 8, (last - 1) / 8 - first / 8 + 1);
    return 0;
}

static int vpc_commit(BlockDriverState *bs, const BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t block = ext->offset / s->block_size, piece;
    int64_t place = ext->child_offset - ext->offset % s->block_size - s->bitmap_bytes;
    uint8_t *entries;
    int ret = get_bat(bs, block, BLOCK_MAP_WAIT, &piece, &entries);

    if (ret == 0 && be32_load(entry_in(entries, block)) == VPC_UNUSED) {
        ret = commit_block(bs, place, piece, entries, entry_in(entries, block));
        if (!s->differencing) {
            return ret;
        }
    }
    return ret < 0 ? ret : commit_sectors(bs, ext, place);
}

int vpc_flush(BlockDriverState *bs)
{
    int ret = bdrv_node_flush(bs->file);    /* data and bitmaps, before what refers to them */

    return ret < 0 ? ret : bdrv_meta_write(bs);
}

int vpc_trim(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    int64_t tail = s->tail;
    GError *err = NULL;
    int ret = s->tail > s->end ? vpc_move_tail(bs, s->end) : 0;

    if (ret == 0 && !s->in_place && !bdrv_node_truncate(bs->file, s->tail + VPC_SECTOR, &err)) {
        ret = -bdrv_error_code(err);
        bdrv_error_free(err);
        s->tail = tail;         /* the one at the end of the file still counts */
    }
    return ret;
}

/* Take back the room that no block was put in */
static void vpc_close(BlockDriverState *bs)
{
    VpcState *s = bs->state;

    if (s->tail > s->end && !s->unsettled) {
        (void)vpc_trim(bs);
    }
    g_clear_pointer(&s->overlapping, g_hash_table_destroy);
    g_free(s->options.parent);
    g_free(s->options.search);
    g_free(s->options.root);
    g_free(s->options.drives);
    vpc_check_free(s->check);
}

const BlockDriver bdrv_vpc = {
    .name           = "vpc",
    .alias          = "vhd",
    .description    = "Virtual PC hard disk (VHD)",
    .state_size     = sizeof(VpcState),
    .open_size      = sizeof(VpcOptions),
    .create_size    = sizeof(VpcCreateOptions),
    .open_options   = vpc_open_options,
    .create_options = vpc_create_options,
    .probe          = vpc_probe,
    .open           = vpc_open,
    .open_backing   = vpc_open_backing,
    .open_parent    = vpc_open_parent,
    .change_backing = vpc_change_backing,
    .read           = bdrv_mapped_read,     /* the layer moves the bytes */
    .write          = bdrv_mapped_write,
    .flush          = vpc_flush,
    .close          = vpc_close,
    .create         = vpc_create,
    .map            = vpc_map,              /* we say where they are */
    .commit         = vpc_commit,           /* and own up to new ones */
    .truncate       = vpc_truncate,
    .preallocate    = vpc_preallocate,
    .info           = vpc_info,
    .check_kinds    = vpc_check_kinds,
    .check          = vpc_check,
    .repair         = vpc_repair,
};
