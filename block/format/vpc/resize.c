/* resize.c - VHD: another size for the disk */
/* SPDX-License-Identifier: MIT
 *
 * A fixed disk is as long as its footer says, and the footer is one sector:
 *
 *   1  to grow, the footer as it is, where it will be; flush; zeroes where it was; flush
 *   2  the footer with the new size; flush
 *   3  to shrink, the footer at the new end; flush; and the file is cut behind it
 *
 * Of a dynamic one the BAT has to be longer or shorter, see vpc/relocate.c. Space is zeroed before it becomes part of
 * the disk, and released only after it no longer is.
 */
#include <errno.h>
#include <inttypes.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/gaps.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/relocate.h"
#include "block/format/vpc/size.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"

#define HIDE_BLOCKS 8               /* so many blocks are hidden between two calls of bdrv_go_on() */

const BlockOption vpc_resize_options[] = {
    { "for", BLOCK_OPT_ENUM, offsetof(VpcResizeOptions, reader), "", .values = vpc_reader_names,
      .help = "pick rounding, geometry and creator by the reader the image is meant for" },
    { "force_size", BLOCK_OPT_ON_OFF, offsetof(VpcResizeOptions, force_size), "",
      .help = "on: the size that was asked for; off: round it up until the geometry says the same; not given: on, "
              "unless Virtual PC or Xen made the image" },
    { NULL }
};

/* Return the largest size any reader gives this disk: current_size, or ours if larger */
static int64_t seen_size(BlockDriverState *bs)
{
    const VpcState *s = bs->state;

    return MAX(bs->size, (int64_t)be64_load(s->footer.current_size));
}

/* Return whether readers of this creator, or the user's force_size_calc, take the geometry of @f for the size, and see
 * less */
static bool counts_geometry(const VpcState *s, const VpcFooter *f)
{
    int64_t size = (int64_t)be64_load(f->current_size);

    return vpc_size(f, VPC_SIZE_AUTO) != size || vpc_size(f, s->options.size_rule) != size;
}

/* Set sizes, geometry and creator of @f for a disk of at least @asked bytes, by the options; warn if it gets another
 * size. A disk that grows keeps what programs see that go by current_size (seen_size()) */
static bool choose_size(BlockDriverState *bs, int64_t asked, const VpcResizeOptions *o, VpcFooter *f, GError **errp)
{
    const VpcState *s = bs->state;
    int64_t size = asked > bs->size ? MAX(asked, seen_size(bs)) : asked, chosen;
    bool given = o->reader >= 0 || o->force_size >= 0;
    const VpcReader *reader = given ? vpc_reader(o->reader, o->force_size != 0) : vpc_reader_of(f, size);

    if (!vpc_choose_size(bs, reader, s->fixed, size, &chosen, errp)) {
        return false;
    }
    if (o->reader >= 0) {
        vpc_set_reader(f, reader);
        vpc_warn_of_reader(bs, reader, s->fixed, chosen);
    }
    vpc_change_size(f, chosen);
    if (counts_geometry(s, f) && o->reader < 0 && o->force_size != 0 && s->options.size_rule == VPC_SIZE_AUTO) {
        VpcFooter was = *f;

        vpc_set_reader(f, vpc_reader(-1, true));
        bdrv_warn(bs, "creator", "the creator is '%.4s' now and no longer '%.4s': of that one's disks readers take the "
                  "geometry for the size, and no geometry has %" PRId64 " bytes; for=virtualpc or force_size=off keeps "
                  "it", f->creator, was.creator, chosen);
    } else if (counts_geometry(s, f)) {
        chosen = vpc_round_to_geometry(chosen);
        vpc_set_size(f, chosen);
    }
    if (chosen != asked) {
        bdrv_warn(bs, "size", "the disk gets %" PRId64 " bytes and not %" PRId64 "%s%s", chosen, asked,
                  size != asked ? ": some programs see it that long already" : reader->name ? ", as disks are for "
                  : "",
                  size == asked && reader->name ? reader->name : "");
    }
    return true;
}

static bool may_resize(BlockDriverState *bs, int64_t size, GError **errp)
{
    const VpcState *s = bs->state;
    unsigned marks = vpc_marks(&s->footer);

    if ((bs->flags & BDRV_O_CHECK) || s->options.salvage) {
        bdrv_set_error(errp, EINVAL, "the image was not opened to be resized");
    } else if (marks & VPC_MARK_SUSPENDED) {
        bdrv_set_error(errp, EBUSY, "a suspended machine refers to this disk (saved state), and does not expect "
                       "another size");
    } else if (marks & VPC_MARK_HIDDEN) {
        bdrv_set_error(errp, EBUSY, "Xen's tools have hidden the image: it has children, which would not fit any more");
    } else if (!s->fixed && (s->damaged || s->lost_metadata < INT64_MAX)) {
        bdrv_set_error(errp, EINVAL, "the image is damaged: there are blocks or tables where none can be; check it "
                       "first");
    } else if (s->differencing && !bs->backing) {
        bdrv_set_error(errp, EINVAL, "a differencing disk can't be resized without its parent");
    } else {
        return s->fixed || vpc_accept_numbers(size, s->block_size, errp);
    }
    return false;
}

/* Fixed disks */

/* Take steps 1 and 2. @seen: bytes behind it were never part of the disk */
static int resize_fixed(BlockDriverState *bs, const VpcFooter *footer, int64_t seen, int64_t size)
{
    VpcState *s = bs->state;
    int64_t was = s->tail_at;
    int ret = size > was ? vpc_move_tail(bs, size) : 0;

    if (ret == 0 && size > seen) {
        ret = bdrv_node_zero(bs->file, seen, MIN(size, MAX(was + VPC_SECTOR, s->room.zero_from)) - seen, 0);
        ret = ret < 0 ? ret : bdrv_node_flush(bs->file);
    }
    ret = ret < 0 ? ret : vpc_change_footer(bs, footer);
    if (ret == 0) {
        s->read_limit = s->tail_at;
        s->blocks_end = s->tail_at - size < VPC_SECTOR ? s->tail_at : size;
    } else if (!s->rewrite_footers) {
        (void)vpc_trim(bs);
    }
    return ret;
}

static bool truncate_fixed(BlockDriverState *bs, const VpcFooter *footer, int64_t size, GError **errp)
{
    VpcState *s = bs->state;
    int ret = resize_fixed(bs, footer, seen_size(bs), size);

    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not move the footer: %s", g_strerror(-ret));
        return false;
    }
    __atomic_store_n(&bs->size, vpc_size(&s->footer, s->options.size_rule), __ATOMIC_RELEASE);
    ret = vpc_trim(bs);
    if (ret < 0) {
        bdrv_warn(bs, "leftover", "the file could not be cut where the disk ends: %s", g_strerror(-ret));
    } else {
        s->read_limit = s->tail_at;
    }
    return true;
}

/* The others */

/* Zero the bytes behind the end of the disk in its last block */
static int clear_end(BlockDriverState *bs, int64_t end)
{
    VpcState *s = bs->state;
    int64_t in = end % s->block_size, block = end / s->block_size, place;

    if (in == 0 || block >= vpc_bat_entries(s)) {
        return 0;
    }
    int ret = vpc_find_place(bs, block, &place);
    if (ret < 0 || place < 0) {
        return ret;
    }
    int64_t data = place + s->bitmap_bytes, block_end = data + s->block_size;

    if (block_end > s->tail_at) {      /* of others: it ends with the disk, in the file, too */
        ret = vpc_move_tail(bs, block_end);
    }
    ret = ret < 0 ? ret : bdrv_node_zero(bs->file, data + in, s->block_size - in, 0);
    return ret < 0 ? ret : bdrv_node_flush(bs->file);
}

/* Write zeroes where the backing has data in [@start, @end), behind the end of the disk: bdrv_mapped_zero() is not
 * clipped to bs->size. The program may cancel between two pieces */
static int hide_range(BlockDriverState *bs, int64_t start, int64_t end)
{
    const VpcState *s = bs->state;
    int ret = 0;

    for (int64_t at = start, n; at < end && ret == 0; at += n) {
        n = MIN(end - at, HIDE_BLOCKS * s->block_size);
        ret = bdrv_go_on(bs, at - start, end - start) ? bdrv_mapped_zero(bs, at, n, 0) : -ECANCELED;
    }
    return ret < 0 ? ret : bdrv_node_flush(bs);
}

/* Hide the bytes that a longer backing has behind the end of the disk. Blocks there need a BAT that has entries for
 * them. *@kept: how many entries of the BAT count then */
static bool hide_parent(BlockDriverState *bs, int64_t seen, int64_t size, int64_t *kept, GError **errp)
{
    VpcState *s = bs->state;
    int64_t end = bs->backing ? MIN(size, bdrv_node_size(bs->backing)) : 0;
    int64_t entries = vpc_blocks_in(size, s->block_size);
    const VpcFooter same = s->footer;

    if (end <= seen) {
        return true;
    }
    if (!vpc_move_tables(bs, &same, entries, *kept, errp)) {
        return false;
    }
    int ret = hide_range(bs, seen, end);

    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not hide what the parent has behind the end of the disk: %s",
                       g_strerror(-ret));
    }
    *kept = entries;
    return ret == 0;
}

static bool truncate_sparse(BlockDriverState *bs, const VpcFooter *footer, int64_t size, GError **errp)
{
    VpcState *s = bs->state;
    int64_t seen = seen_size(bs), kept = vpc_blocks_in(MIN(seen, size), s->block_size);
    bool grows = size > seen;
    int ret = vpc_cut_room(bs);

    ret = ret == 0 && grows ? clear_end(bs, seen) : ret;
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not clear what is behind the end of the disk: %s", g_strerror(-ret));
        return false;
    }
    if ((grows && !hide_parent(bs, seen, size, &kept, errp)) ||
        !vpc_move_tables(bs, footer, vpc_blocks_in(size, s->block_size), kept, errp)) {
        return false;
    }
    __atomic_store_n(&bs->size, vpc_size(&s->footer, s->options.size_rule), __ATOMIC_RELEASE);
    ret = size < seen && !s->rewrite_footers ? clear_end(bs, size) : 0;
    if (ret < 0) {      /* done before it grows again */
        bdrv_warn(bs, "leftover", "what is behind the end of the disk could not be cleared: %s", g_strerror(-ret));
    }
    return true;
}

/* End a resize that was cut off after the disk had its size */
static bool end_resize(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    const VpcFooter same = s->footer;
    int64_t size = seen_size(bs);

    if (s->fixed) {
        return s->tail_at == size || truncate_fixed(bs, &same, size, errp);
    }
    if (be64_load(same.data_offset) != VPC_HEADER_HOME && !truncate_sparse(bs, &same, size, errp)) {
        return false;
    }
    int ret = clear_end(bs, size);

    ret = ret < 0 ? ret : vpc_cut_room(bs);
    ret = ret < 0 ? ret : vpc_fill_gaps(bs);
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not give back what was left of another size: %s", g_strerror(-ret));
    }
    return ret == 0;
}

bool vpc_resize(BlockDriverState *bs, int64_t size, const void *opts, GError **errp)
{
    VpcState *s = bs->state;
    VpcFooter footer = s->footer;

    if (size != bs->size) {
        if (!choose_size(bs, size, opts, &footer, errp)) {
            return false;
        }
        size = (int64_t)be64_load(footer.current_size);
    } else if (((const VpcResizeOptions *)opts)->reader >= 0 || ((const VpcResizeOptions *)opts)->force_size >= 0) {
        bdrv_warn(bs, "ignored", "the disk has %" PRId64 " bytes already: for= and force_size= change nothing (amend "
                  "-o creator= changes its creator)", size);
    }
    if (!may_resize(bs, size, errp)) {
        return false;
    }
    int ret = s->rewrite_footers ? vpc_rewrite_footers(bs) : 0;
    ret = ret < 0 ? ret : bdrv_node_flush(bs);
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not flush: %s", g_strerror(-ret));
        return false;
    }
    if (size == bs->size) {
        return end_resize(bs, errp);
    }
    return s->fixed ? truncate_fixed(bs, &footer, size, errp) : truncate_sparse(bs, &footer, size, errp);
}

bool vpc_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    return vpc_resize(bs, size, &(VpcResizeOptions) { .reader = -1, .force_size = -1 }, errp);
}

bool vpc_preallocate(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp)
{
    if (!((VpcState *)bs->state)->fixed) {
        bdrv_set_error(errp, ENOTSUP, "only fixed disks can be preallocated");
        return false;
    }
    return bdrv_node_preallocate(bs->file, offset, bytes, full, errp);
}
