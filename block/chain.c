/* chain.c - the files of a chain of images, so that none is opened twice in it */
/* SPDX-License-Identifier: MIT
 *
 * A chain is an image, its backing, the backing of that one, and so on. A bs->file that is a format begins a chain of
 * its own. The first image of a chain keeps the set of the files of all its images. A file that is already in the set
 * is not opened again: such a chain would have no end.
 */
#include <errno.h>
#include "block/layer.h"

typedef struct ChainFile {
    const BlockDriver *drv;         /* a protocol */
    BlockIdentity id;
} ChainFile;

static guint hash_file(gconstpointer data)
{
    const ChainFile *file = data;
    uint64_t sum = (file->id.where ^ (uintptr_t)file->drv) * 0x9e3779b97f4a7c15 + file->id.which;

    return (guint)(sum * 0x9e3779b97f4a7c15 >> 32);
}

static gboolean same_file(gconstpointer a, gconstpointer b)
{
    const ChainFile *left = a, *right = b;

    return left->drv == right->drv && left->id.where == right->id.where && left->id.which == right->id.which;
}

/* Return the protocol node that holds the whole file of the image. NULL if there is another format between them, which
 * may show only a part of the file */
static BlockDriverState *whole_file(BlockDriverState *bs)
{
    BlockDriverState *node = bs->file ? bs->file : bs;

    while (node->file && !node->drv->map) {
        node = node->file;
    }
    return node->drv->is_protocol ? node : NULL;
}

static bool has_no_end(GError **errp)
{
    bdrv_set_error(errp, ELOOP, "it is one of the images that lead to it: the chain has no end");
    return false;
}

/* Add the file of @bs to the set. False if it is already there. A file that the driver cannot identify is not added */
static bool add_file(BlockDriverState *bs)
{
    BlockPrivate *priv = bs->priv;
    BlockDriverState *node = whole_file(bs);
    ChainFile file = { .drv = node ? node->drv : NULL };

    if (!node || !node->drv->identify || !node->drv->identify(node, NULL, &file.id)) {
        return true;
    }
    if (g_hash_table_contains(priv->chain, &file)) {
        return false;
    }
    priv->chain_file = g_memdup2(&file, sizeof(file));
    g_hash_table_add(priv->chain, (gpointer)priv->chain_file);
    return true;
}

GHashTable *block_chain_of(BlockDriverState *bs)
{
    if (!bs->priv->chain) {
        bs->priv->chain = g_hash_table_new_full(hash_file, same_file, g_free, NULL);
        add_file(bs);
    }
    return bs->priv->chain;
}

bool block_may_open(GHashTable *chain, BlockDriverState *bs, const char *filename, GError **errp)
{
    ChainFile file = { .drv = bs->drv };
    bool known = chain && filename && bs->drv->identify &&
                 bs->drv->identify(bs->priv->place ? bs : NULL, filename, &file.id);

    return !known || !g_hash_table_contains(chain, &file) || has_no_end(errp);
}

bool bdrv_chain_has_file(BlockDriverState *bs, const char *filename)
{
    BlockDriverState *node = whole_file(bs);
    ChainFile file = { .drv = node ? node->drv : NULL };

    return node && node->drv->identify && node->drv->identify(NULL, filename, &file.id) &&
           g_hash_table_contains(block_chain_of(bs), &file);
}

bool block_link_backing(BlockDriverState *bs, BlockDriverState *backing, GError **errp)
{
    backing->priv->chain = block_chain_of(bs);
    backing->priv->depth = bs->priv->depth + 1;
    backing->priv->scratch = bs->priv->scratch;
    return add_file(backing) || has_no_end(errp);
}

BlockChain block_swap_chain(BlockDriverState *bs, BlockChain chain)
{
    BlockPrivate *priv = bs->priv;
    const BlockChain old = { priv->chain, priv->chain_file };

    priv->chain = chain.files;
    priv->chain_file = chain.file;
    return old;
}
