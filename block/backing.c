/* backing.c - the images behind an image: where the program says they are, opened one after another */
/* SPDX-License-Identifier: MIT
 *
 * A chain is an image, its parent, that one's parent, and so on; a bs->file that is a format begins one of
 * its own. The first image of a chain keeps the set of the files of all of them, so that none is opened
 * twice in it: that would have no end.
 */
#include <errno.h>
#include <string.h>
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

static BlockDriverState *lowest(BlockDriverState *bs)
{
    while (bs->file) {
        bs = bs->file;
    }
    return bs;
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

static GHashTable *chain_of(BlockDriverState *bs)
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
           g_hash_table_contains(chain_of(bs), &leaf);
}

bool block_link_backing(BlockDriverState *bs, BlockDriverState *backing, GError **errp)
{
    backing->layer->chain = chain_of(bs);
    backing->layer->depth = bs->layer->depth + 1;
    backing->layer->scratch = bs->layer->scratch;
    return add_leaf(backing) || has_no_end(errp);
}

static KeyVal *merge_options(const KeyVal *first, const char *driver, const char *text, GError **errp)
{
    KeyVal *all = keyval_parse(text, errp);

    if (all && driver) {
        keyval_set(all, "driver", driver);
    }
    for (size_t i = 0; all && i < keyval_count(first); i++) {
        keyval_set(all, keyval_key(first, i), keyval_value(first, i));
    }
    return all;
}

bool bdrv_is_backing_written(BlockDriverState *bs)
{
    const char *read_only = bdrv_get_backing_option(bs, "read-only");

    return read_only && !strcmp(read_only, "off");
}

/* Files are the one thing that a long chain may want more of than there are */
static void say_how_many(BlockDriverState *bs, GError **errp)
{
    if (bdrv_error_code(*errp) == EMFILE || bdrv_error_code(*errp) == ENFILE) {
        g_prefix_error(errp, "with %u of the chain's images open: ", bs->layer->depth + 1);
    }
}

BlockDriverState *bdrv_open_offer(BlockDriverState *bs, const BlockParentOffer *offer, const char *options,
                                  GError **errp)
{
    g_autoptr(KeyVal) kv = merge_options(bs->layer->backing_options, offer->driver, options, errp);
    bool write = bdrv_is_backing_written(bs) && !offer->only_read;
    unsigned flags = (write ? bs->flags | BDRV_O_RDWR : bs->flags & ~(unsigned)(BDRV_O_RDWR | BDRV_O_UNMAP)) &
                     ~(unsigned)(BDRV_O_CHECK | BDRV_O_PROBE_QEMU);
    const BlockSource from = {
        bs->layer->tree, offer->filename, offer->storage, chain_of(bs),
        .root = offer->root ? offer->root : bs->layer->root, .by_image = offer->by_image,
    };
    GError *err = NULL;

    if (!kv) {
        return NULL;
    }
    BlockDriverState *backing = block_open_child(&from, kv, flags, &err);

    if (backing && !block_link_backing(bs, backing, &err)) {
        block_close(backing);
        backing = NULL;
    }
    if (!backing) {
        say_how_many(bs, &err);
        g_propagate_error(errp, err);
    }
    return backing;
}

BlockChain block_swap_chain(BlockDriverState *bs, BlockChain chain)
{
    BlockLayer *layer = bs->layer;
    const BlockChain old = { layer->chain, layer->leaf };

    layer->chain = chain.files;
    layer->leaf = chain.leaf;
    return old;
}

BlockDriverState *bdrv_open_backing(BlockDriverState *bs, const char *filename, const char *options, GError **errp)
{
    const BlockParentOffer offer = { .filename = (char *)filename };

    return bdrv_open_offer(bs, &offer, options, errp);
}

void bdrv_close_backing(BlockDriverState *backing)
{
    if (!backing) {
        return;
    }
    if (backing->layer->leaf) {
        g_hash_table_remove(backing->layer->chain, backing->layer->leaf);
    }
    block_close(backing);
}

const char *bdrv_get_backing_option(BlockDriverState *bs, const char *key)
{
    return bs->layer->backing_options ? keyval_get(bs->layer->backing_options, key) : NULL;
}

const char *bdrv_get_parent_root(BlockDriverState *bs)
{
    return bs->layer->root;
}

int bdrv_get_place(BlockDriverState *bs)
{
    return bs->layer->place ? *bs->layer->place : -1;
}

bool bdrv_get_file_facts(BlockDriverState *node, BlockFileFacts *facts)
{
    BlockDriverState *bs = lowest(node);

    *facts = (BlockFileFacts) { 0 };
    return bs->drv->get_facts && bs->drv->get_facts(bs, facts);
}

unsigned bdrv_backing_depth(BlockDriverState *bs)
{
    return bs->layer->depth - (bs->layer->scratch && bs->layer->depth > 0);
}

static void tell_image(BlockDriverState *bs, GError **errp)
{
    if (*bs->filename) {
        g_prefix_error(errp, "parent '%s': ", bs->filename);
    } else {
        g_prefix_error(errp, "parent (in storage), %u images down the chain: ", bdrv_backing_depth(bs));
    }
}

/* One after another, not one inside the other: a chain may be long */
bool block_open_parents(BlockDriverState *bs, GError **errp)
{
    for (; bs; bs = bs->backing) {
        if (bs->file && !block_open_parents(bs->file, errp)) {
            return false;
        }
        bool wanted = bs->drv->open_backing && !(bs->flags & (BDRV_O_NO_BACKING | BDRV_O_CHECK));

        if (wanted && !block_says_why(bs, "open_backing", bs->drv->open_backing(bs, errp), errp)) {
            if (bdrv_backing_depth(bs) > 0) {
                tell_image(bs, errp);
            }
            return false;
        }
        if (!bs->backing && wanted && bs->layer->backing_options && keyval_count(bs->layer->backing_options)) {
            bdrv_warn(bs, "ignored", "backing.%s= is without effect: the image has no parent",
                      keyval_key(bs->layer->backing_options, 0));
        }
        if (bs->backing) {
            g_clear_pointer(&bs->layer->backing_options, keyval_free);
        }
    }
    return true;
}

/* The program's resolver */

static BlockParentOffer *add_offer(BlockParentAnswer *answer, const char *driver)
{
    size_t count = answer->count++;

    if ((count & (count - 1)) == 0) {       /* room for twice as many */
        BlockParentOffer *offers = g_new0(BlockParentOffer, MAX(2 * count, 1));

        for (size_t i = 0; i < count; i++) {
            offers[i] = answer->offers[i];
        }
        g_free(answer->offers);
        answer->offers = offers;
    }
    answer->offers[count].driver = g_strdup(driver);
    return &answer->offers[count];
}

void bdrv_offer_file(BlockParentAnswer *answer, const char *filename, const char *driver)
{
    add_offer(answer, driver)->filename = g_strdup(filename);
}

void bdrv_offer_storage(BlockParentAnswer *answer, const BlockStorage *storage, const char *driver)
{
    add_offer(answer, driver)->storage = g_memdup2(storage, sizeof(*storage));
}

bool bdrv_has_resolver(BlockDriverState *bs)
{
    const BlockResolver *resolver = bs->layer->tree->resolver;

    return resolver && resolver->find;
}

BlockParentAnswer *bdrv_ask_for_backing(BlockDriverState *bs, const char *uuid, const char *const *names,
                                        const char *const *places)
{
    const BlockResolver *resolver = bs->layer->tree->resolver;
    BlockParentAnswer *answer = g_new0(BlockParentAnswer, 1);
    const BlockParentQuery query = {
        .child   = bs->filename,
        .storage = lowest(bs)->layer->storage,
        .depth   = bdrv_backing_depth(bs) + 1,
        .uuid    = uuid,
        .names   = names,
        .places  = places,
    };

    answer->search = !bdrv_has_resolver(bs) || resolver->find(resolver->user, &query, answer);
    return answer;
}

void bdrv_parent_answer_free(BlockParentAnswer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        g_free(answer->offers[i].filename);
        g_free(answer->offers[i].storage);
        g_free(answer->offers[i].driver);
    }
    g_free(answer->offers);
    g_free(answer);
}
