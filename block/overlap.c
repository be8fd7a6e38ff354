/* overlap.c - bdrv_lie_apart(): do parts of two disks lie in different bytes of a file? */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"

/* The bytes of a file in which a part of a disk may lie */
typedef struct FileRange {
    BlockDriverState *file;
    int64_t start, end;
} FileRange;

/* Translate @place to the child. If the node does not show a plain window of its child, the part may be anywhere */
static void go_to_child(FileRange *place)
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

static FileRange find_bytes(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlockTree *tree = bs->priv->tree;
    FileRange place = { bs, offset, offset + bytes };

    gate_enter(&tree->gate, false);
    while (place.file->file) {
        go_to_child(&place);
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

bool bdrv_lie_apart(BlockDriverState *from, int64_t start, BlockDriverState *to, int64_t at, int64_t bytes,
                    GError **errp)
{
    bool same = from == to;
    FileRange one = same ? (FileRange) { from, start, start + bytes } : find_bytes(from, start, bytes);
    FileRange two = same ? (FileRange) { to, at, at + bytes } : find_bytes(to, at, bytes);

    if (one.start >= two.end || two.start >= one.end || !is_same_file(one.file, two.file)) {
        return true;
    }
    bdrv_set_error(errp, EINVAL, "source and target overlap in '%s': bytes %" PRId64 " to %" PRId64
                   " are to be copied to %" PRId64 " to %" PRId64,
                   one.file->filename, one.start, one.end, two.start, two.end);
    return false;
}
