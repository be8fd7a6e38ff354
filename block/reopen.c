/* reopen.c - bdrv_set_read_only(): an open image changes between reading and writing */
/* SPDX-License-Identifier: MIT
 *
 * The nodes change one after the other: for writing the lowest file is the first, to read only the root is. So a node
 * that changes can always write to its child. Each one prepares the other mode and keeps what it had. If one cannot,
 * those that have prepared go back; else all of them drop what they kept. Backings stay as they are.
 */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"

static void set_writable(BlockDriverState *node, bool writable)
{
    unsigned flags = writable ? node->flags | BDRV_O_RDWR : node->flags & ~(unsigned)BDRV_O_RDWR;

    __atomic_store_n(&node->flags, flags, __ATOMIC_RELAXED);
}

bool bdrv_simple_reopen(BlockDriverState *bs, GError **errp)
{
    return true;
}

/* Return the nodes of @bs in the order in which they change */
static GPtrArray *nodes_in_order(BlockDriverState *bs, bool writable)
{
    GPtrArray *nodes = g_ptr_array_new();

    for (BlockDriverState *node = bs; node; node = node->file) {
        g_ptr_array_insert(nodes, writable ? 0 : -1, node);
    }
    return nodes;
}

static void finish_mode(BlockDriverState *node, bool ok)
{
    if (node->drv->reopen_done) {
        node->drv->reopen_done(node, ok);
    }
}

/* Prepare all nodes, or none */
static bool prepare_mode(const GPtrArray *nodes, bool writable, GError **errp)
{
    for (guint i = 0; i < nodes->len; i++) {
        BlockDriverState *node = nodes->pdata[i];

        set_writable(node, writable);
        if (block_says_why(node, "reopen", node->drv->reopen(node, errp), errp)) {
            continue;
        }
        set_writable(node, !writable);
        while (i-- > 0) {
            set_writable(nodes->pdata[i], !writable);
            finish_mode(nodes->pdata[i], false);
        }
        return false;
    }
    return true;
}

static bool node_may_write(BlockDriverState *bs, BlockDriverState *node, GError **errp)
{
    if (node->flags & BDRV_O_NO_LOCK) {
        bdrv_set_error(errp, EINVAL, "force-share=on can only be used with read-only images");
    } else if (node->priv->read_only) {
        bdrv_set_error(errp, EACCES, "the option read-only=on of driver '%s' keeps '%s' from being written to",
                       node->drv->name, bs->filename);
    } else {
        return true;
    }
    return false;
}

static bool may_change_mode(BlockDriverState *bs, bool writable, GError **errp)
{
    if (bs->flags & BDRV_O_CHECK) {
        bdrv_set_error(errp, ENOTSUP, "the image is open to be checked");
        return false;
    }
    if (writable && bs->priv->tree->probe && !block_may_write(bs->drv, bs->priv->tree->probe, errp)) {
        return false;
    }
    for (BlockDriverState *node = bs; node; node = node->file) {
        if (!node->drv->reopen) {
            bdrv_set_error(errp, ENOTSUP, "driver '%s' cannot change between reading and writing", node->drv->name);
            return false;
        }
        if (writable && !node_may_write(bs, node, errp)) {
            return false;
        }
    }
    return true;
}

/* Bring all that was written to stable storage, before @bs is read only */
static bool flush_first(BlockDriverState *bs, GError **errp)
{
    int ret = bdrv_node_flush(bs);

    if (ret < 0) {
        bdrv_set_error(errp, -ret, "what was written to '%s' could not be flushed: %s", bs->filename, g_strerror(-ret));
    }
    return ret == 0;
}

static bool change_mode(BlockDriverState *bs, bool writable, GError **errp)
{
    if (!may_change_mode(bs, writable, errp) || (!writable && !flush_first(bs, errp))) {
        return false;
    }
    g_autoptr(GPtrArray) nodes = nodes_in_order(bs, writable);

    if (!prepare_mode(nodes, writable, errp)) {
        return false;
    }
    for (guint i = 0; i < nodes->len; i++) {
        finish_mode(nodes->pdata[i], true);
    }
    block_shortcuts_open(bs);           /* those before hold for an image that nobody writes to */
    return true;
}

bool bdrv_set_read_only(BlockDriverState *bs, bool read_only, GError **errp)
{
    BlockTree *tree = bs->priv->tree;

    block_enter_alone(tree);
    bool ok = bdrv_is_read_only(bs) == read_only || change_mode(bs, !read_only, errp);
    block_leave_alone(tree);
    return ok;
}
