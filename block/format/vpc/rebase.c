/* rebase.c - VHD: makes a differencing disk remember another parent, or none */
/* SPDX-License-Identifier: MIT
 *
 * The header remembers the parent: its unique id, its time, its name, and where the parent locators are. There is one
 * header, and it may not be half written at any time. So the new header and its locators are written to free space. The
 * footer says where the header is, and it is one sector, which is written as a whole or not at all: changing it changes
 * from the old header to the new one.
 *
 *   1  a footer further out                                              flush
 *   2  locators and header in front of it, above all blocks              flush
 *   3  both footers refer to that header: now the new parent counts      flush
 *   4  the header to its usual place, where nothing refers to it yet     flush
 *   5  both footers refer to that one. Other programs would overwrite a header above the last block: they put the next
 *      block there
 *
 * After a power cut at any place the footer at the end of the file refers to one of two headers, both whole. The copy
 * of the footer at the start may refer to the other one: vpc_is_half_changed() in vpc/ends.c allows for that.
 *
 * If the image gets no parent, it has to become complete. Before step 1, zeroes are written into the sectors of its
 * blocks whose bits are clear; the bytes of the old parent are still read there. After step 3 the bits are set. So
 * nothing of the old parent is hidden too early, and nothing depends on the bits later.
 *
 * vpc/locator.c writes the names of the parent, and vpc/backing.c fills in its id and time. Data of the old parent that
 * the image still needs is copied before, by block/rebase.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/drivers.h"
#include "block/format/vpc/backing.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/survey.h"
#include "block/format/vpc/tail.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"

#define FLUSH_EVERY     1024            /* blocks: their bitmaps are in memory until then */

static int rebase_write_header(BlockDriverState *bs, VpcHeader *header, int64_t at)
{
    vpc_seal_header(header);
    int ret = bdrv_node_pwrite(bs->file, at, header, sizeof(*header));

    return ret < 0 ? ret : bdrv_node_flush(bs->file);
}

/* Take steps 1 and 2. No new block goes where the header was written, even if this fails: a footer on disk may come to
 * refer to it */
static int write_above_blocks(BlockDriverState *bs, VpcHeader *header, const VpcLocatorData locators[3],
                              int64_t *header_at)
{
    VpcState *s = bs->state;
    int64_t at = round_up(s->blocks_end, VPC_LOCATOR_ALIGN), tail = at + (int64_t)sizeof(*header);

    for (unsigned i = 0; i < 3 && locators[i].bytes; i++) {
        tail += vpc_space_needed(&locators[i]);
    }
    int ret = tail > s->tail_at ? vpc_move_tail(bs, tail) : 0;

    if (ret == 0) {
        s->blocks_end = tail;
        vpc_spoil_room(s, tail);
    }
    for (unsigned i = 0; i < 3 && locators[i].bytes && ret == 0; i++) {
        ret = vpc_write_locator(bs, header, i, &locators[i], at, &at);
    }
    *header_at = at;
    return ret < 0 ? ret : rebase_write_header(bs, header, at);
}

/* Take steps 3 and 5: make both footers refer to the header at @header_at */
static int rebase_refer_to(BlockDriverState *bs, int64_t header_at, uint32_t type)
{
    VpcFooter f = ((VpcState *)bs->state)->footer;

    be64_store(f.data_offset, (uint64_t)header_at);
    be32_store(f.type, type);
    return vpc_change_footer(bs, &f);
}

/* Return whether nothing but the header is in its usual place */
static bool home_is_free(const VpcState *s, int64_t header_at)
{
    int64_t end = VPC_HEADER_HOME + sizeof(VpcHeader);

    for (unsigned i = 0; i < s->metadata_count; i++) {
        const VpcRange *r = &s->metadata[i];

        if (r->start < end && VPC_HEADER_HOME < r->end && r->start != header_at) {
            return false;
        }
    }
    return s->first_block >= end;
}

/* Take steps 1 to 3 */
static int rebase_change_over(BlockDriverState *bs, const VpcLocatorData locators[3], uint32_t type, VpcHeader *header,
                       int64_t *header_at)
{
    VpcState *s = bs->state;
    int ret = write_above_blocks(bs, header, locators, header_at);

    ret = ret < 0 ? ret : rebase_refer_to(bs, *header_at, type);
    if (ret == 0) {
        s->header = *header;
        s->differencing = type == VPC_DIFFERENCING;
    }
    return ret;
}

/* Take steps 4 and 5. If they fail, the new parent counts all the same */
static void rebase_move_header_back(BlockDriverState *bs, uint32_t type, int64_t header_at)
{
    VpcState *s = bs->state;
    int ret = rebase_write_header(bs, &s->header, VPC_HEADER_HOME);

    ret = ret < 0 ? ret : rebase_refer_to(bs, VPC_HEADER_HOME, type);
    if (ret < 0) {
        bdrv_warn(bs, "leftover", "the dynamic header could not be put back to %d and stays at %" PRId64 ": %s",
                  VPC_HEADER_HOME, header_at, g_strerror(-ret));
    } else {
        s->blocks_end = header_at;     /* the bytes behind it are free, and spoilt */
    }
}

/* Get the bitmap of the block at @place, if that may be written to */
static int get_bitmap(BlockDriverState *bs, int64_t block, int64_t place, uint8_t **bitmap)
{
    const VpcState *s = bs->state;
    int ret = vpc_allow_block(bs, block, place, true);

    return ret < 0 ? ret : bdrv_meta_get(bs, place, s->bitmap_bytes, BLOCK_MAP_WAIT, bitmap);
}

/* Zero the sectors whose bits are clear: so far they are read from the backing, and not from the block. Sectors behind
 * the end of the disk are zeroed, too, as the disk may grow. In images of other programs the last block may end with
 * the disk */
static int clear_unset(BlockDriverState *bs, int64_t block, int64_t place)
{
    VpcState *s = bs->state;
    int64_t sectors = s->block_size / VPC_SECTOR, end = place + vpc_stored_bytes(s);
    uint8_t *bitmap;
    int ret = get_bitmap(bs, block, place, &bitmap);

    if (ret == 0 && end > s->tail_at) {
        ret = vpc_move_tail(bs, end);
    }
    for (int64_t i = 0, next; i < sectors && ret == 0; i = next) {
        next = vpc_run_end(bitmap, i, sectors);
        if (!vpc_sector_is_set(bitmap, i)) {
            ret = bdrv_node_zero(bs->file, place + s->bitmap_bytes + i * VPC_SECTOR, (next - i) * VPC_SECTOR, 0);
        }
    }
    return ret;
}

/* Set all bits: most programs, QEMU among them, do not look at the bitmaps of a disk without a parent */
static int fill_bitmap(BlockDriverState *bs, int64_t block, int64_t place)
{
    int64_t bytes = (((const VpcState *)bs->state)->block_size / VPC_SECTOR + 7) / 8;
    uint8_t *bitmap;
    int ret = get_bitmap(bs, block, place, &bitmap);

    if (ret == 0) {
        memset(bitmap, 0xff, (size_t)bytes);
        bdrv_meta_dirty(bs, place, 0, bytes);
    }
    return ret;
}

typedef struct EachBlock {
    BlockDriverState *bs;
    int (*function)(BlockDriverState *bs, int64_t block, int64_t place);
    int64_t count;
} EachBlock;

static int do_block(void *user, const VpcRun *run)
{
    EachBlock *each = user;
    const VpcState *s = each->bs->state;
    bool inside = run->block * s->block_size < each->bs->size;      /* a BAT may go on past the disk */

    if (!inside || !vpc_run_is_block(run)) {
        return 0;
    }
    int ret = each->function(each->bs, run->block, (int64_t)run->sector * VPC_SECTOR);

    return ret == 0 && ++each->count % FLUSH_EVERY == 0 ? vpc_flush(each->bs) : ret;
}

/* Call @function for each block that is there, and flush */
static int each_block(BlockDriverState *bs, int (*function)(BlockDriverState *bs, int64_t block, int64_t place))
{
    EachBlock each = { bs, function };
    int ret = vpc_walk_bat(bs, vpc_bat_entries(bs->state), do_block, &each);

    return ret < 0 ? ret : vpc_flush(bs);
}

/* Write what may be written while the old parent counts */
static bool rebase_make_ready(BlockDriverState *bs, BlockDriverState *parent, GError **errp)
{
    VpcState *s = bs->state;

    if (s->fixed) {
        bdrv_set_error(errp, ENOTSUP, "a fixed disk can't have a parent");
        return false;
    }
    int ret = s->rewrite_footers ? vpc_rewrite_footers(bs) : 0;
    if (ret == 0 && !parent) {
        ret = each_block(bs, clear_unset);
    }
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not write: %s", g_strerror(-ret));
    }
    return ret == 0;
}

/* Fill the bitmaps of an image that stands alone by now, and reads the same with any: what can't be written is written
 * by a later flush */
static void fill_bitmaps(BlockDriverState *bs)
{
    int ret = each_block(bs, fill_bitmap);

    if (ret < 0) {
        bdrv_warn(bs, "leftover", "not all bitmaps could be filled, as some programs want them in a disk without a "
                  "parent: %s", g_strerror(-ret));
    }
}

/* Warn if an unsafe rebase, which does not look at the old parent, makes another image the parent */
static void warn_of_other_parent(BlockDriverState *bs, BlockDriverState *parent, const VpcHeader *header)
{
    const VpcState *s = bs->state;

    if (s->differencing && !bs->backing && vpc_judge_backing(&s->header, parent, bs->size) & VPC_BACKING_OTHER_ID) {
        g_autofree char *had = vpc_uuid_text(s->header.parent_uuid), *has = vpc_uuid_text(header->parent_uuid);

        bdrv_warn(bs, "parent", "the image was made over a parent with the unique id %s, and '%s' has %s: what it has "
                  "not by itself is read from another disk from now on", had, parent->filename, has);
    }
}

bool vpc_change_backing(BlockDriverState *bs, BlockDriverState *parent, GError **errp)
{
    VpcState *s = bs->state;
    VpcHeader header = s->header;
    VpcLocatorData locators[VPC_LOCATORS] = { 0 };

    memset(header.parent_uuid, 0, sizeof(header.parent_uuid));
    memset(header.parent_timestamp, 0, sizeof(header.parent_timestamp));
    memset(header.parent_name, 0, sizeof(header.parent_name));
    memset(header.locators, 0, sizeof(header.locators));
    if ((parent && !vpc_remember_parent(bs->filename, parent, parent->filename, &header, locators, errp)) ||
        !rebase_make_ready(bs, parent, errp)) {
        vpc_free_locators(locators);
        return false;
    }
    if (parent) {
        warn_of_other_parent(bs, parent, &header);
    }
    uint32_t type = parent ? VPC_DIFFERENCING : VPC_DYNAMIC;
    bool home = home_is_free(s, (int64_t)be64_load(s->footer.data_offset));
    int64_t header_at, end = s->blocks_end;
    int ret = rebase_change_over(bs, locators, type, &header, &header_at);

    vpc_free_locators(locators);
    if (ret < 0) {
        vpc_give_back(bs, end);
        bdrv_set_error(errp, -ret, "could not write the new parent's names: %s", g_strerror(-ret));
        return false;
    }
    if (!parent) {
        fill_bitmaps(bs);
    }
    if (home) {
        rebase_move_header_back(bs, type, header_at);
    }
    ret = vpc_claim_again(bs);
    if (ret < 0) {          /* the parent is another one all the same */
        bdrv_warn(bs, "IO", "could not make out where the tables are: %s", g_strerror(-ret));
    }
    return true;
}
