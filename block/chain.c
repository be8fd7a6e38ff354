/* chain.c - the files of a chain of images, so that none is opened twice in it */
/* SPDX-License-Identifier: MIT
 *
 * A chain is an image, its backing, that one's backing, and so on; a bs->file that is a format begins one of its own. The
 * first image of a chain keeps the set of the files of all of them: a chain that leads to itself would have no end.
 */
#include <errno.h>
#include "block/layer.h"

typedef struct BlockLeaf {
    const BlockDriver *drv;         /* a protocol */
    BlockIdentity id;
} BlockLeaf;

static guint hash_leaf(gconstpointer data)
{
    const BlockLeaf *leaf = data;
    uint64_t sum = (leaf->id.where ^ (uintptr_t)leaf->drv) * 0x9e3779b97f4a7c15 + leaf->id.which;

    return (guint)(sum * 0x9e3779b97f4a7c15 >> 32);
}

static gboolean same_leaf(gconstpointer a, gconstpointer b)
{
    const BlockLeaf *left = a, *right = b;

    return left->drv == right->drv && left->id.where == right->id.where && left->id.which == right->id.which;
}

/* The protocol that has all of the image's file, and not a format between them, which may show a part of it.
 * NULL: there is none */
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

/* False if it is there already; what can't be told apart is not in the set */
static bool add_leaf(BlockDriverState *bs)
{
    BlockLayer *layer = bs->layer;
    BlockDriverState *node = whole_file(bs);
    BlockLeaf leaf = { .drv = node ? node->drv : NULL };

    if (!node || !node->drv->identify || !node->drv->identify(node, NULL, &leaf.id)) {
        return true;
    }
    if (g_hash_table_contains(layer->chain, &leaf)) {
        return false;
    }
    layer->leaf = g_memdup2(&leaf, sizeof(leaf));
    g_hash_table_add(layer->chain, (gpointer)layer->leaf);
    return true;
}

GHashTable *block_chain_of(BlockDriverState *bs)
{
    if (!bs->layer->chain) {
        bs->layer->chain = g_hash_table_new_full(hash_leaf, same_leaf, g_free, NULL);
        add_leaf(bs);
    }
    return bs->layer->chain;
}

bool block_may_open(GHashTable *chain, BlockDriverState *bs, const char *filename, GError **errp)
{
    BlockLeaf leaf = { .drv = bs->drv };
    bool known = chain && filename && bs->drv->identify &&
                 bs->drv->identify(bs->layer->place ? bs : NULL, filename, &leaf.id);

    return !known || !g_hash_table_contains(chain, &leaf) || has_no_end(errp);
}

bool bdrv_chain_has_file(BlockDriverState *bs, const char *filename)
{
    BlockDriverState *node = whole_file(bs);
    BlockLeaf leaf = { .drv = node ? node->drv : NULL };

    return node && node->drv->identify && node->drv->identify(NULL, filename, &leaf.id) &&
           g_hash_table_contains(block_chain_of(bs), &leaf);
}

bool block_link_backing(BlockDriverState *bs, BlockDriverState *backing, GError **errp)
{
    backing->layer->chain = block_chain_of(bs);
    backing->layer->depth = bs->layer->depth + 1;
    backing->layer->scratch = bs->layer->scratch;
    return add_leaf(backing) || has_no_end(errp);
}

BlockChain block_swap_chain(BlockDriverState *bs, BlockChain chain)
{
    BlockLayer *layer = bs->layer;
    const BlockChain old = { layer->chain, layer->leaf };

    layer->chain = chain.files;
    layer->leaf = chain.leaf;
    return old;
}
