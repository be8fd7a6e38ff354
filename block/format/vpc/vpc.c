/* vpc.c - Connectix / Microsoft Virtual PC images (VHD) */
/* SPDX-License-Identifier: MIT
 *
 *   fixed     guest data, footer
 *   dynamic   footer, header, BAT, block ... block, room, footer        each block: bitmap, data
 *   differencing    the same; what is not in a block, or whose bit is clear, is in the parent
 *
 * A new block goes above everything that exists, into room that vpc/tail.c reserves; close() takes back what was not
 * needed.
 *
 * On disk, a BAT entry names a block whose bitmap is durable, and whose data is durable or zero: map_done() writes the
 * entry at once where vpc/tail.c has seen to that. Everything else map_done() changes in memory, and flush() writes it
 * after a barrier. docs/VHD.md describes the format, vpc/open.c reads and checks it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/drivers.h"
#include "block/format/vpc/backing.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/salvage.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/survey.h"
#include "block/format/vpc/table.h"
#include "block/format/vpc/tail.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"

/* Choose the place of a new block. In a dynamic disk all of it comes to be at once, and is zero; in a differencing one
 * only the sectors that are written */
static int take_block(BlockDriverState *bs, int64_t offset, int64_t bytes, BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t in = offset % s->block_size, first = 0, last = s->block_size, place;
    int ret = vpc_take_place(bs, &place);

    if (ret < 0) {
        return ret;
    }
    if (s->differencing) {
        first = align_down(in, VPC_SECTOR);
        last = MIN(align_up(in + bytes, VPC_SECTOR), last);
    }
    *ext = (BlockExtent) { offset - in + first, last - first, bs->file, place + s->bitmap_bytes + first,
                           BLOCK_EXTENT_NEW | (s->differencing ? 0 : BLOCK_EXTENT_ZEROED) };
    return 0;
}

/* Get the piece of the BAT that has the entry of @block */
static int get_bat(BlockDriverState *bs, int64_t block, unsigned mode, VpcTable *piece)
{
    VpcState *s = bs->state;
    int64_t at = align_down(block * 4, VPC_BAT_PIECE), start = s->bat_offset + at;

    if (block >= vpc_bat_entries(s)) {
        bdrv_warn(bs, "H4", "block %" PRId64 " has no BAT entry, there are only %" PRId64 ": of the disk's %" PRId64 " "
                  "bytes these have %" PRId64, block, vpc_bat_entries(s), bs->size, vpc_bat_entries(s) * s->block_size);
        return -EIO;
    }
    return vpc_get_table(bs, start, start + MIN(vpc_bat_padded(s) - at, VPC_BAT_PIECE),
                     s->bat_offset + block * 4, mode, piece);
}

/* Map blocks that are not there, as far as this piece of the BAT goes: the image behind has their bytes, bs->backing.
 * Where that is NULL, an extent of no child reads as zeroes */
static void map_absent(BlockDriverState *bs, const VpcTable *piece, int64_t block, int64_t end, BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t last = MIN(vpc_bat_entries(s), (piece->end - s->bat_offset) / 4);
    int64_t next = block + 1;

    while (next < last && next * s->block_size < end && be32_load(vpc_entry_in(s, piece, next)) == VPC_UNUSED) {
        next++;
    }
    *ext = (BlockExtent) { block * s->block_size, (next - block) * s->block_size, bs->backing,
                           block * s->block_size };
}

/* Map sectors of the block at @place that have the same bit in its bitmap, or in the part of it that is there */
static void map_sectors(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t place, const VpcTable *bitmap,
                        unsigned mode, BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t block = offset / s->block_size, in = offset % s->block_size;
    int64_t first = in / VPC_SECTOR, base = (bitmap->start - place) * 8;    /* the sector of the first bit */
    int64_t end = MIN((MIN(in + bytes, s->block_size) + VPC_SECTOR - 1) / VPC_SECTOR, (bitmap->end - place) * 8);
    int64_t last = base + vpc_run_end(bitmap->data, first - base, end - base);
    bool here = vpc_sector_is_set(bitmap->data, first - base) ||
                (s->options.salvage && !s->differencing && vpc_salvage_hidden(bs, block, place, first, last));
    int64_t start = offset - in + first * VPC_SECTOR, length = (last - first) * VPC_SECTOR;

    if (here || (mode & BLOCK_MAP_WRITE)) {
        *ext = (BlockExtent) { start, length, bs->file, place + s->bitmap_bytes + first * VPC_SECTOR,
                               here ? 0 : BLOCK_EXTENT_NEW };
        return;
    }
    *ext = (BlockExtent) { start, length, bs->backing, start };
    if (!s->differencing) {
        vpc_warn_of_hidden(bs, block, place, first, last);
    }
}

/* Map sectors of a block that is there, by its entry in this piece of the BAT */
static int map_present(BlockDriverState *bs, int64_t offset, int64_t bytes, const VpcTable *piece, unsigned mode,
                       BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t block = offset / s->block_size, start = block * s->block_size, bad_end = start + s->block_size;
    int64_t place = (int64_t)be32_load(vpc_entry_in(s, piece, block)) * VPC_SECTOR;
    VpcTable bitmap;

    vpc_look_for_shared(bs);
    int ret = vpc_allow_block(bs, block, place, mode & BLOCK_MAP_WRITE);

    if (ret < 0) {
        bad_end = vpc_misplaced_end(bs, piece, block);
        *ext = (BlockExtent) { start, bad_end - start };
    } else {
        int64_t bits_at = place + (offset - start) / VPC_SECTOR / 8;

        ret = vpc_get_table(bs, place, place + s->bitmap_bytes, bits_at, mode, &bitmap);
    }
    if (ret == 0) {
        map_sectors(bs, offset, bytes, place, &bitmap, mode, ext);
    } else if (ret == -EIO && s->options.salvage) {
        vpc_salvage_block(bs, offset, place, ext);
        if (ext->offset == start && ext->node != bs->file) {    /* nothing of the block is there, nor of these */
            ext->bytes = bad_end - start;
        }
        ret = 0;
    }
    return ret;
}

static void map_fixed(BlockDriverState *bs, int64_t offset, BlockExtent *ext)
{
    int64_t end = ((const VpcState *)bs->state)->read_limit;

    *ext = offset < end ? (BlockExtent) { 0, end, bs->file, 0, BLOCK_EXTENT_WINDOW }
                        : (BlockExtent) { end, bs->size - end };
}

/* Allow a write to be mapped. 0; -EAGAIN: footers are to be written first, alone; or -errno */
static int allow_write(BlockDriverState *bs, unsigned mode)
{
    VpcState *s = bs->state;

    __atomic_store_n(&s->was_written, true, __ATOMIC_RELAXED);
    if (s->differencing && !bs->backing) {
        bdrv_warn(bs, "parent", "a differencing disk can't be written to without its parent");
        return -EROFS;
    }
    return !s->rewrite_footers ? 0 : mode & BLOCK_MAP_EXCL ? vpc_rewrite_footers(bs) : -EAGAIN;
}

static int vpc_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    VpcState *s = bs->state;
    int ret = mode & BLOCK_MAP_WRITE ? allow_write(bs, mode) : 0;

    if (ret < 0) {
        return ret;
    }
    if (s->fixed) {
        map_fixed(bs, offset, ext);
        return 0;
    }
    int64_t block = offset / s->block_size;
    VpcTable piece;

    ret = get_bat(bs, block, mode, &piece);
    if (ret == -EIO && s->options.salvage) {
        vpc_salvage_block(bs, offset, -1, ext);
        return 0;
    }
    if (ret < 0 && block >= vpc_bat_entries(s)) {
        *ext = (BlockExtent) { offset, bs->size - offset };
    }
    if (ret < 0) {
        return ret;
    }
    if (be32_load(vpc_entry_in(s, &piece, block)) != VPC_UNUSED) {
        return map_present(bs, offset, bytes, &piece, mode, ext);
    }
    if (mode & BLOCK_MAP_WRITE) {
        return mode & BLOCK_MAP_EXCL ? take_block(bs, offset, bytes, ext) : -EAGAIN;
    }
    map_absent(bs, &piece, block, offset + bytes, ext);
    return 0;
}

/* Make the block at @place part of the disk, by its @entry in this piece of the BAT: on disk at once where that
 * needs no order, else in memory until the next flush */
static void commit_block(BlockDriverState *bs, int64_t place, const VpcTable *piece, uint8_t *entry)
{
    be32_store(entry, (uint32_t)(place / VPC_SECTOR));
    if (vpc_was_ready(bs->state, place)) {
        bdrv_meta_put(bs, piece->start, entry - piece->data, 4);
    } else {
        bdrv_meta_dirty(bs, piece->start, entry - piece->data, 4);
    }
    vpc_keep_place(bs->state, place);
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
    vpc_set_bits(bitmap, first, last);
    bdrv_meta_dirty(bs, place, first / 8, (last - 1) / 8 - first / 8 + 1);
    return 0;
}

static int vpc_map_done(BlockDriverState *bs, const BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t block = ext->offset / s->block_size;
    int64_t place = ext->node_offset - ext->offset % s->block_size - s->bitmap_bytes;
    VpcTable piece;
    int ret = get_bat(bs, block, BLOCK_MAP_WAIT | BLOCK_MAP_WRITE, &piece);

    if (ret < 0) {
        return ret;
    }
    uint8_t *entry = vpc_entry_in(s, &piece, block);

    if (be32_load(entry) == VPC_UNUSED) {
        commit_block(bs, place, &piece, entry);
    }
    return ext->flags & BLOCK_EXTENT_ZEROED ? 0 : commit_sectors(bs, ext, place);
}

/* Take back the room that no block was put in */
static void vpc_close(BlockDriverState *bs)
{
    VpcState *s = bs->state;

    if (s->tail_at > s->blocks_end && !s->rewrite_footers && !(bs->flags & BDRV_O_CHECK)) {
        (void)vpc_trim(bs);
    }
    vpc_keys_free(&s->overlapping);
    g_clear_pointer(&s->broken, g_hash_table_destroy);
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
    .amend_size     = sizeof(VpcAmendOptions),
    .open_options   = vpc_open_options,
    .create_options = vpc_create_options,
    .amend_options  = vpc_amend_options,
    .amend          = vpc_amend,
    .probe          = vpc_probe,
    .suspect        = vpc_suspect,
    .open           = vpc_open,
    .open_backing   = vpc_open_backing,
    .open_other_backing    = vpc_open_other_backing,
    .change_backing = vpc_change_backing,
    .read           = bdrv_mapped_read,     /* the layer moves the bytes */
    .write          = bdrv_mapped_write,
    .flush          = vpc_flush,
    .close          = vpc_close,
    .create         = vpc_create,
    .zero           = bdrv_mapped_zero,
    .status         = bdrv_mapped_status,
    .map            = vpc_map,              /* we say where they are */
    .map_done       = vpc_map_done,           /* and make new ones part of the disk */
    .truncate       = vpc_truncate,
    .resize_options = vpc_resize_options,
    .resize_size    = sizeof(VpcResizeOptions),
    .resize         = vpc_resize,
    .preallocate    = vpc_preallocate,
    .info           = vpc_info,
    .check_kinds    = vpc_check_kinds,
    .check          = vpc_check,
    .repair         = vpc_repair,
    .get_geometry   = vpc_get_geometry,
    .reopen         = vpc_reopen,
    .reopen_done    = vpc_reopen_done,
};
