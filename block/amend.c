/* amend.c - bdrv_amend(), bdrv_truncate() and bdrv_resize(): change an image in place */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"
#include "block/options.h"

/* The arguments of a ChangeFunction. @opts: the driver's options struct, filled; NULL: no options were given */
typedef struct Change {
    const void *opts;
    int64_t size;
    const BlockResizeOptions *how;
} Change;

typedef bool ChangeFunction(BlockDriverState *bs, const Change *change, GError **errp);

static bool change_alone(BlockDriverState *bs, ChangeFunction *function, const Change *change, GError **errp)
{
    BlockTree *tree = bs->priv->tree;

    block_enter_alone(tree);
    bool ok = function(bs, change, errp);
    block_leave_alone(tree);
    return ok;
}

static bool amend(BlockDriverState *bs, const Change *change, GError **errp)
{
    if (!(bs->flags & BDRV_O_RDWR) || (bs->flags & BDRV_O_CHECK)) {
        bdrv_set_error(errp, EPERM, "the image is not open for writing");
        return false;
    }
    return block_says_why(bs, "amend", bs->drv->amend(bs, change->opts, errp), errp);
}

bool bdrv_amend(BlockDriverState *bs, const char *options, GError **errp)
{
    const BlockDriver *drv = bs->drv;

    if (!drv->amend) {
        bdrv_set_error(errp, ENOTSUP, "Format driver '%s' does not support option amendment", drv->name);
        return false;
    }
    g_autofree void *opts = block_options_read(drv->amend_options, drv->amend_size, options, drv->name, errp);
    bool ok = opts && change_alone(bs, amend, &(Change) { .opts = opts }, errp);

    if (opts) {
        block_options_clear(drv->amend_options, opts);
    }
    return ok;
}

static bool resize_node(BlockDriverState *bs, const Change *change, GError **errp)
{
    return change->opts ? bdrv_node_resize(bs, change->size, change->opts, errp)
                        : bdrv_node_truncate(bs, change->size, errp);
}

/* Resize the disk and preallocate what is added. If there is no space for it, or the program cancels, set the old size
 * again */
static bool resize_and_fill(BlockDriverState *bs, const Change *change, GError **errp)
{
    int64_t old = bdrv_node_size(bs);
    bool full = change->how->preallocation == BDRV_PREALLOC_FULL;

    if (change->how->preallocation == BDRV_PREALLOC_OFF) {
        return resize_node(bs, change, errp);
    }
    if (change->size < old) {
        bdrv_set_error(errp, EINVAL, "Cannot use preallocation for shrinking files");
        return false;
    }
    if (!bdrv_node_preallocate(bs, old, 0, full, errp) || !resize_node(bs, change, errp)) {
        return false;
    }
    if (bdrv_node_preallocate(bs, old, bdrv_node_size(bs) - old, full, errp)) {
        return true;
    }
    block_end_progress(bs->priv->tree, "resize", errp);     /* it goes on backwards */
    if (!bdrv_node_truncate(bs, old, NULL) && errp && *errp) {
        g_prefix_error(errp, "the disk has %" PRId64 " bytes now, since it could not be made shorter again: ",
                       bdrv_node_size(bs));
    }
    return false;
}

static bool resize(BlockDriverState *bs, const Change *change, GError **errp)
{
    BlockTree *tree = bs->priv->tree;

    block_begin_progress(tree, change->how->progress, change->how->user);
    bool ok = resize_and_fill(bs, change, errp);
    block_end_progress(tree, "resize", errp);
    return ok;
}

bool bdrv_resize(BlockDriverState *bs, int64_t size, const BlockResizeOptions *how, GError **errp)
{
    static const BlockResizeOptions defaults;
    const BlockDriver *drv = bs->drv;

    how = how ? how : &defaults;
    if (size < 0) {
        bdrv_set_error(errp, EINVAL, "size %" PRId64 " is negative", size);
        return false;
    }
    if (!how->options || !*how->options) {
        return change_alone(bs, resize, &(Change) { NULL, size, how }, errp);
    }
    if (!drv->resize) {
        bdrv_set_error(errp, ENOTSUP, "driver '%s' has no options for another size", drv->name);
        return false;
    }
    g_autofree void *opts = block_options_read(drv->resize_options, drv->resize_size, how->options, drv->name, errp);
    bool ok = opts && change_alone(bs, resize, &(Change) { opts, size, how }, errp);

    if (opts) {
        block_options_clear(drv->resize_options, opts);
    }
    return ok;
}

bool bdrv_grow(BlockDriverState *bs, int64_t size, BlockPreallocation how, GError **errp)
{
    return bdrv_resize(bs, size, &(BlockResizeOptions) { .preallocation = how }, errp);
}

bool bdrv_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    return bdrv_resize(bs, size, NULL, errp);
}
