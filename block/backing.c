/* backing.c - opens the images behind an image, one after another, and asks the program's resolver for them */
/* SPDX-License-Identifier: MIT
 *
 * The name of a backing is resolved by the driver of the image: for VHD in format/vpc/backing.c and candidates.c.
 */
#include <errno.h>
#include <string.h>
#include "block/layer.h"

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

/* Say in @errp how many images of the chain are open, if there are no more file descriptors */
static void say_how_many(BlockDriverState *bs, GError **errp)
{
    if (bdrv_error_code(*errp) == EMFILE || bdrv_error_code(*errp) == ENFILE) {
        g_prefix_error(errp, "with %u of the chain's images open: ", bs->priv->depth + 1);
    }
}

BlockDriverState *bdrv_open_offer(BlockDriverState *bs, const BlockBackingOffer *offer, const char *options,
                                  GError **errp)
{
    g_autoptr(KeyVal) kv = merge_options(bs->priv->backing_options, offer->driver, options, errp);
    bool write = bdrv_is_backing_written(bs) && !offer->only_read;
    unsigned flags = (write ? bs->flags | BDRV_O_RDWR : bs->flags & ~(unsigned)(BDRV_O_RDWR | BDRV_O_UNMAP)) &
                     ~(unsigned)(BDRV_O_CHECK | BDRV_O_PROBE_QEMU);
    const BlockSource from = {
        bs->priv->tree, offer->filename, offer->storage, block_chain_of(bs),
        .root = offer->root ? offer->root : bs->priv->root, .by_image = offer->by_image,
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

BlockDriverState *bdrv_open_backing(BlockDriverState *bs, const char *filename, const char *options, GError **errp)
{
    const BlockBackingOffer offer = { .filename = (char *)filename };

    return bdrv_open_offer(bs, &offer, options, errp);
}

void bdrv_close_backing(BlockDriverState *backing)
{
    if (!backing) {
        return;
    }
    if (backing->priv->chain_file) {
        g_hash_table_remove(backing->priv->chain, backing->priv->chain_file);
    }
    block_close(backing);
}

static void tell_image(BlockDriverState *bs, GError **errp)
{
    if (*bs->filename) {
        g_prefix_error(errp, "parent '%s': ", bs->filename);
    } else {
        g_prefix_error(errp, "parent (in storage), %u images down the chain: ", bdrv_backing_depth(bs));
    }
}

/* Open the chain in a loop, not by recursion, because it may be long */
bool block_open_backings(BlockDriverState *bs, GError **errp)
{
    for (; bs; bs = bs->backing) {
        if (bs->file && !block_open_backings(bs->file, errp)) {
            return false;
        }
        bool wanted = bs->drv->open_backing && !(bs->flags & (BDRV_O_NO_BACKING | BDRV_O_CHECK));

        if (wanted && !block_says_why(bs, "open_backing", bs->drv->open_backing(bs, errp), errp)) {
            if (bdrv_backing_depth(bs) > 0) {
                tell_image(bs, errp);
            }
            return false;
        }
        if (!bs->backing && wanted && bs->priv->backing_options && keyval_count(bs->priv->backing_options)) {
            bdrv_warn(bs, "ignored", "backing.%s= is without effect: the image has no parent",
                      keyval_key(bs->priv->backing_options, 0));
        }
        if (bs->backing) {
            g_clear_pointer(&bs->priv->backing_options, keyval_free);
        }
    }
    return true;
}

/* What follows is about the program's resolver */

static BlockBackingOffer *add_offer(BlockBackingAnswer *answer, const char *driver)
{
    size_t count = answer->count++;

    if ((count & (count - 1)) == 0) {       /* the array is full: double it */
        BlockBackingOffer *offers = g_new0(BlockBackingOffer, MAX(2 * count, 1));

        for (size_t i = 0; i < count; i++) {
            offers[i] = answer->offers[i];
        }
        g_free(answer->offers);
        answer->offers = offers;
    }
    answer->offers[count].driver = g_strdup(driver);
    return &answer->offers[count];
}

void bdrv_offer_file(BlockBackingAnswer *answer, const char *filename, const char *driver)
{
    add_offer(answer, driver)->filename = g_strdup(filename);
}

void bdrv_offer_storage(BlockBackingAnswer *answer, const BlockStorage *storage, const char *driver)
{
    add_offer(answer, driver)->storage = g_memdup2(storage, sizeof(*storage));
}

bool bdrv_has_resolver(BlockDriverState *bs)
{
    const BlockResolver *resolver = bs->priv->tree->resolver;

    return resolver && resolver->find;
}

BlockBackingAnswer *bdrv_ask_for_backing(BlockDriverState *bs, const char *uuid, const char *const *names,
                                        const char *const *places)
{
    const BlockResolver *resolver = bs->priv->tree->resolver;
    BlockBackingAnswer *answer = g_new0(BlockBackingAnswer, 1);
    const BlockBackingQuery query = {
        .overlay = bs->filename,
        .storage = block_lowest(bs)->priv->storage,
        .depth   = bdrv_backing_depth(bs) + 1,
        .uuid    = uuid,
        .names   = names,
        .places  = places,
    };

    answer->search = !bdrv_has_resolver(bs) || resolver->find(resolver->user, &query, answer);
    return answer;
}

void bdrv_backing_answer_free(BlockBackingAnswer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        g_free(answer->offers[i].filename);
        g_free(answer->offers[i].storage);
        g_free(answer->offers[i].driver);
    }
    g_free(answer->offers);
    g_free(answer);
}
