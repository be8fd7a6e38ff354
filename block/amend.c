/* amend.c - facts that an image keeps of itself, changed in place */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "block/layer.h"
#include "block/options.h"

static bool amend(BlockDriverState *bs, const KeyVal *given, GError **errp)
{
    const BlockDriver *drv = bs->drv;
    g_autofree void *opts = g_malloc0(MAX(drv->amend_size, 1));
    g_autofree char *text = keyval_format(given);
    g_autoptr(KeyVal) kv = keyval_parse(text, errp);

    if (!kv || !block_options_fill(drv->amend_options, kv, opts, drv->name, errp)) {
        return false;
    }
    bool ok = block_options_unknown(drv->amend_options, kv, drv->name, errp) &&
              block_says_why(bs, "amend", drv->amend(bs, opts, errp), errp);

    block_options_clear(drv->amend_options, opts);
    return ok;
}

bool bdrv_amend(BlockDriverState *bs, const char *options, GError **errp)
{
    BlockTree *tree = bs->layer->tree;
    g_autoptr(KeyVal) kv = keyval_parse(options, errp);

    if (!kv) {
        return false;
    }
    if (!bs->drv->amend) {
        bdrv_set_error(errp, ENOTSUP, "Format driver '%s' does not support option amendment", bs->drv->name);
        return false;
    }
    if (!(bs->flags & BDRV_O_RDWR) || (bs->flags & BDRV_O_CHECK)) {
        bdrv_set_error(errp, EPERM, "the image is not open for writing");
        return false;
    }
    gate_enter(&tree->gate, true);
    tree->alone = true;
    bool ok = amend(bs, kv, errp);
    tree->alone = false;
    gate_leave(&tree->gate, true);
    return ok;
}
