/* progress.c - how far a long call is, and whether the program wants it to go on */
/* SPDX-License-Identifier: MIT
 *
 * To be cancelled is to fail: a call ends where any of its writes might have failed, so that nothing else has to be put
 * right.
 */
#include <errno.h>
#include "block/layer.h"

void block_begin_progress(BlockTree *tree, BlockProgress *progress, void *user)
{
    tree->progress = progress;
    tree->progress_user = user;
    tree->cancelled = false;
}

bool bdrv_go_on(BlockDriverState *bs, int64_t done, int64_t total)
{
    BlockTree *tree = bs->priv->tree;

    if (tree->progress && !tree->cancelled) {
        tree->cancelled = !tree->progress(tree->progress_user, done, total);
    }
    return !tree->cancelled;
}

void block_end_progress(BlockTree *tree, const char *name, GError **errp)
{
    if (tree->cancelled && errp && *errp) {
        g_clear_error(errp);
        bdrv_set_error(errp, ECANCELED, "%s was cancelled by the program", name);
    }
    tree->progress = NULL;
    tree->cancelled = false;
}
