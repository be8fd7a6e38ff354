/* overlap.c - do parts of two disks lie in different bytes of the files at the bottom? */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"

/* Where a part of a disk may lie in the file at the bottom */
typedef struct Place {
    BlockDriverState *file;
    int64_t start, end;
} Place;

/* One node down. Of what is no plain window on the child, nobody can say: it is anywhere in it */
static void go_down(Place *place)
{
    BlockDriverState *bs = place->file;
    BlockExtent ext = { 0 };
    bool inside = place->start < bdrv_node_size(bs);
    bool window = !bs->drv->map || (inside && block_find_extent(bs, place->start, 1, 0, &ext) == 0 &&
                                    ext.node == bs->file && (ext.flags & BLOCK_EXTENT_WINDOW));
    int64_t shift = ext.node_offset - ext.offset;

    place->file = bs->file;
    if (!window) {
        place->start = 0;
        place->end = bs->file->fixed_length ? bdrv_node_size(bs->file) : INT64_MAX;
        return;
    }
    place->start += shift;
    place->end = place->end > INT64_MAX - shift ? INT64_MAX : place->end + shift;
}

static Place find_place(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlockTree *tree = bs->priv->tree;
    Place place = { bs, offset, offset + bytes };

    gate_enter(&tree->gate, false);
    while (place.file->file) {
        go_down(&place);
    }
    gate_leave(&tree->gate, false);
    return place;
}

static bool is_same_file(BlockDriverState *a, BlockDriverState *b)
{
    BlockIdentity one, two;

    return a == b || (a->drv->identify && a->drv->identify == b->drv->identify && a->drv->identify(a, NULL, &one) &&
                      b->drv->identify(b, NULL, &two) && one.where == two.where && one.which == two.which);
}

bool bdrv_lie_apart(BlockDriverState *from, int64_t start, BlockDriverState *to, int64_t at, int64_t bytes, GError **errp)
{
    bool same = from == to;
    Place one = same ? (Place) { from, start, start + bytes } : find_place(from, start, bytes);
    Place two = same ? (Place) { to, at, at + bytes } : find_place(to, at, bytes);

    if (one.start >= two.end || two.start >= one.end || !is_same_file(one.file, two.file)) {
        return true;
    }
    bdrv_set_error(errp, EINVAL, "source and target overlap in '%s': bytes %" PRId64 " to %" PRId64 " are to be copied to "
                   "%" PRId64 " to %" PRId64, one.file->filename, one.start, one.end, two.start, two.end);
    return false;
}
