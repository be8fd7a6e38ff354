/* salvage.c - VHD: reads the rest of an image that can't be opened otherwise */
/* SPDX-License-Identifier: MIT
 *
 * With salvage=on, footer and header are chosen as for a check, by vpc/check-ends.c and vpc/check-header.c. Where a
 * check reports a finding, there is a warning. If the header is damaged, the BAT is looked for: a table is taken for
 * the BAT if each entry is a place where a block can be, and no two blocks overlap. Other bytes hardly ever look like
 * that. A block does not hold its own number, so without a BAT nothing can be read. Bytes that can't be read are
 * zeroes, with a warning for each block.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/salvage.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/survey.h"
#include "util/be.h"
#include "util/checked.h"

#define LEAST_TABLE 1024            /* where a BAT is looked for */
#define LAST_TABLE  65536

/* By how usual they are */
static const int64_t block_sizes[] = {
    2 << 20, 512 << 10, 16 << 20, 8 << 20, 4 << 20, 1 << 20, 256 << 10, 128 << 10, 64 << 10, 32 << 10, 16 << 10,
    8 << 10, 4 << 10,
};

/* Suppose that the BAT is at @bat_offset, of blocks of this size */
static void suppose(VpcCheck *c, int64_t bat_offset, int64_t block_size)
{
    VpcState *s = c->bs->state;

    c->needed = vpc_blocks_in(c->disk_size, block_size);
    s->bat_offset = bat_offset;
    s->bat_bytes = c->needed * 4;
    s->block_size = block_size;
    s->bitmap_bytes = vpc_bitmap_bytes(block_size);
}

static bool is_place(const VpcCheck *c, int64_t block, uint32_t sector)
{
    const VpcState *s = c->bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR;

    return place >= s->bat_offset + s->bat_bytes && !(vpc_judge_place(s, block, place, c->disk_size) & VPC_PLACE_CUT);
}

/* Return whether no two of these blocks share a place or a part of it */
static bool are_apart(const VpcState *s, VpcKeys *blocks)
{
    bool apart = true;

    vpc_keys_sort(blocks);
    for (size_t i = 1; i < blocks->count && apart; i++) {
        apart = !vpc_overlap(s, blocks->at[i - 1], blocks->at[i]);
    }
    return apart;
}

/* Add the blocks of this piece of a table to @blocks. False: it can't be a BAT */
static bool take_places(const VpcCheck *c, const uint8_t *piece, int64_t first, int64_t count, VpcKeys *blocks)
{
    bool ok = true;

    for (int64_t i = 0; i < count && ok; i++) {
        uint32_t sector = be32_load(piece + i * 4);

        if (sector != VPC_UNUSED) {
            ok = is_place(c, first + i, sector) && vpc_keys_add(blocks, vpc_key(sector, first + i));
        }
    }
    return ok;
}

static bool read_table(VpcCheck *c, VpcKeys *blocks)
{
    const VpcState *s = c->bs->state;
    int64_t bytes = vpc_bat_padded(s);
    g_autofree uint8_t *piece = g_try_malloc(VPC_BAT_PIECE);
    bool ok = piece && s->bat_bytes == c->needed * 4 && bytes <= s->read_limit - s->bat_offset;

    for (int64_t at = 0, n; at < bytes && ok; at += n) {
        n = MIN(bytes - at, VPC_BAT_PIECE);
        int64_t used = MIN(n, s->bat_bytes - at);

        ok = bdrv_node_pread(c->bs->file, s->bat_offset + at, piece, n) == 0 &&
             take_places(c, piece, at / 4, used / 4, blocks) && vpc_is_padding(piece + used, n - used);
    }
    return ok;
}

/* Return how many blocks the supposed BAT has; 0: the bytes there can't be a BAT */
static size_t salvage_count_blocks(VpcCheck *c)
{
    VpcKeys blocks = { 0 };
    size_t count = read_table(c, &blocks) && are_apart(c->bs->state, &blocks) ? blocks.count : 0;

    vpc_keys_free(&blocks);
    return count;
}

static bool guess_table(VpcCheck *c)
{
    const VpcState *s = c->bs->state;

    for (size_t i = 0; i < G_N_ELEMENTS(block_sizes); i++) {
        for (int64_t at = LEAST_TABLE; at <= LAST_TABLE; at += VPC_SECTOR) {
            suppose(c, at, block_sizes[i]);
            size_t count = salvage_count_blocks(c);

            if (count > 0) {
                bdrv_warn(c->bs, "salvage", "the header is of no use; as a BAT at %" PRId64 " and a block size of %"
                          PRId64 " fit %zu blocks, that is taken to be right", s->bat_offset, s->block_size, count);
                return true;
            }
        }
    }
    return false;
}

/* Look for the header where the footer has it, or where everybody has it */
static bool find_header(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    bool usable = vpc_check_header(c);

    if (!usable && be64_load(s->footer.data_offset) != VPC_SECTOR) {
        be64_store(s->footer.data_offset, VPC_SECTOR);
        usable = vpc_check_header(c);
    }
    return usable;
}

/* Find the BAT. A header that is there, and right in what matters, has first say */
static bool find_table(VpcCheck *c, GError **errp)
{
    VpcState *s = c->bs->state;
    bool usable = find_header(c);

    vpc_check_limit(c, usable && s->read_limit == 0 ? vpc_check_reach(c) : 0);
    if (usable && !c->header_checksum_bad) {
        return true;
    }
    const VpcHeader header = s->header;
    int64_t bat_offset = s->bat_offset, block_size = s->block_size, bat_bytes = s->bat_bytes;
    bool likely = usable && salvage_count_blocks(c) > 0;

    memset(&s->header, 0, sizeof(s->header));
    if (!likely && guess_table(c)) {
        return true;
    }
    if (!usable) {
        bdrv_set_error(errp, EINVAL, "the header is of no use, and there is nothing that is likely to be a BAT");
        return false;
    }
    bdrv_warn(c->bs, "salvage", "the checksum of the header is wrong, and its fields are believed");
    suppose(c, bat_offset, block_size);
    s->bat_bytes = bat_bytes;
    s->header = header;
    return true;
}

/* Take a file without a footer for a fixed disk, if its end can't be read or the user says how long the disk is */
static bool take_for_fixed(VpcCheck *c, GError *why, GError **errp)
{
    VpcState *s = c->bs->state;
    const VpcEnds *e = &c->ends;
    bool given = s->options.salvage_size >= 0;
    VpcFooter f = { .cookie = VPC_COOKIE };

    if (e->tail_at < 0 || (!given && !e->tail_error) || !memcmp(e->head.cookie, "vhdxfile", 8)) {
        g_propagate_error(errp, why);
        return false;
    }
    int64_t size = given ? s->options.salvage_size : e->tail_at;

    bdrv_warn(c->bs, "salvage", "%s: taken for a fixed disk of %" PRId64 " bytes, %s", bdrv_error_message(why), size,
              given ? "as salvage-size says" : "all that is before it");
    bdrv_error_free(why);
    be32_store(f.version, VPC_VERSION);
    be32_store(f.features, VPC_FEATURES);
    be32_store(f.type, VPC_FIXED);
    be64_store(f.data_offset, UINT64_MAX);
    be64_store(f.current_size, (uint64_t)size);
    be64_store(f.original_size, (uint64_t)size);
    s->footer = f;
    s->read_limit = MIN(size, e->size);
    return true;
}

static bool salvage_choose_footer(VpcCheck *c, GError **errp)
{
    VpcState *s = c->bs->state;
    GError *err = NULL;

    if (!vpc_check_choose(c, &err) && !take_for_fixed(c, err, errp)) {
        return false;
    }
    if (s->options.salvage_size >= 0) {
        be64_store(s->footer.current_size, (uint64_t)s->options.salvage_size);
        s->options.size_rule = VPC_SIZE_CURRENT;
    }
    VpcFooterFault fault = vpc_judge_footer(&s->footer);

    if (fault >= VPC_FOOTER_SIZE_BAD) {
        g_autofree char *why = vpc_say_footer_fault(&s->footer, fault);

        bdrv_set_error(errp, EINVAL, "%s; salvage-size says how long the disk is", why);
        return false;
    }
    return true;
}

static void warn_of_missing(BlockDriverState *bs, int64_t from, const char *what)
{
    const VpcState *s = bs->state;

    if (bs->size > from) {
        bdrv_warn(bs, "salvage", "the disk has %" PRId64 " bytes, the %s only %" PRId64 " of them; the rest reads as "
                  "%s%s", bs->size, what, from, s->differencing ? "the parent's" : "zeroes",
                  bs->size > VPC_MAX_SIZE ? ": salvage-size says how long it is" : "");
    }
}

/* Make out of footer and header what there is */
static bool make_out(VpcCheck *c, GError **errp)
{
    BlockDriverState *bs = c->bs;
    VpcState *s = bs->state;

    if (!vpc_read_ends(bs, &c->ends, errp) || !salvage_choose_footer(c, errp)) {
        return false;
    }
    if (!vpc_check_footer(c)) {
        bdrv_set_error(errp, EINVAL, "nothing can be read of a disk of that kind");
        return false;
    }
    if (vpc_marks(&s->footer) & VPC_MARK_UNFINISHED) {
        bdrv_warn(bs, "salvage", "the image is marked as unfinished: it has a part of the disk only");
    }
    bs->size = vpc_size(&s->footer, s->options.size_rule);
    if (s->fixed) {
        s->read_limit = s->read_limit ? s->read_limit : c->ends.tail_at;
        warn_of_missing(bs, s->read_limit, "file");
        return true;
    }
    if (!find_table(c, errp) || !vpc_claim_metadata(bs, c->ends.size, errp)) {
        return false;
    }
    warn_of_missing(bs, vpc_bat_entries(s) * s->block_size, "BAT");
    return true;
}

bool vpc_salvage(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;

    if (bs->flags & BDRV_O_RDWR) {
        bdrv_set_error(errp, EACCES, "with salvage=on an image can be opened for reading only");
        return false;
    }
    VpcCheck *c = vpc_check_new(bs, NULL, NULL);
    bool ok = make_out(c, errp);

    vpc_check_free(c);          /* from here on the fields of @s are enough */
    s->check = NULL;
    return ok;
}

void vpc_salvage_block(BlockDriverState *bs, int64_t offset, int64_t place, BlockExtent *ext)
{
    VpcState *s = bs->state;
    int64_t block = offset / s->block_size, start = block * s->block_size, data = place + s->bitmap_bytes;

    if (block >= vpc_bat_entries(s)) {
        *ext = (BlockExtent) { start, bs->size - start, bs->backing, start };
        return;
    }
    unsigned faults = place < 0 ? VPC_PLACE_OUTSIDE
                                : vpc_judge_place(s, block, place, vpc_largest_size(&s->footer, s->options.size_rule));
    bool none = s->differencing || faults & (VPC_PLACE_OUTSIDE | VPC_PLACE_TABLES);
    int64_t have = none ? 0 : faults & VPC_PLACE_CUT ? s->read_limit - data : s->block_size;

    bdrv_warn(bs, "salvage", "of block %" PRId64 " %" PRId64 " bytes are read%s", block, have,
              have < s->block_size && bs->backing ? ", for the rest the parent's, which may be older"
              : have < s->block_size ? ", the rest is not there"
              : !(faults & VPC_PLACE_OVER_TABLES) ? ", as if its bitmap, which can't be read, had all bits set" : "");
    if (offset - start < have) {
        *ext = (BlockExtent) { start, have, bs->file, data };
    } else {
        *ext = (BlockExtent) { start + have, s->block_size - have, bs->backing, start + have };
    }
}

bool vpc_salvage_hidden(BlockDriverState *bs, int64_t block, int64_t place, int64_t first, int64_t last)
{
    const VpcState *s = bs->state;
    int64_t at = place + s->bitmap_bytes + first * VPC_SECTOR;

    if (vpc_is_shared(s, block) || vpc_is_zero(bs, at, (last - first) * VPC_SECTOR) != 0) {
        return false;
    }
    bdrv_warn(bs, "salvage", "block %" PRId64 " has data at %" PRId64 " in sectors whose bits are clear: it is read as "
              "it is in the file; without salvage=on it reads as zeroes", block, at);
    return true;
}
