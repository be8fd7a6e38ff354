/* rebase.c - bdrv_rebase(): gives an image another backing; the disk reads as before */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "block/layer.h"

#define PIECE_BYTES (1 << 20)
#define UNIT_BYTES  4096            /* differences are copied in such units: the size of a guest's page */

typedef struct Rebase {
    BlockDriverState *bs, *backing; /* the image, and its new backing; NULL: none */
    uint8_t *old, *new;             /* PIECE_BYTES of the image as it reads now, and of the new backing */
} Rebase;

/* Return whether old and new backing have the same bytes, as far as the status shows it without reading them */
static bool reads_same(const BlockStatus *old, const BlockStatus *new)
{
    bool same_place = old->leaf && new->leaf && old->leaf_offset == new->leaf_offset &&
                      *old->leaf->filename && !strcmp(old->leaf->filename, new->leaf->filename);

    return (old->zero && new->zero) || same_place;
}

static bool unit_differs(const Rebase *r, int64_t at, int64_t bytes)
{
    return memcmp(r->old + at, r->new + at, (size_t)MIN(UNIT_BYTES, bytes - at)) != 0;
}

static int write_differences(Rebase *r, int64_t offset, int64_t bytes)
{
    int ret = 0;

    for (int64_t at = 0, end; at < bytes && ret == 0; at = end) {
        bool differs = unit_differs(r, at, bytes);

        for (end = at; end < bytes && unit_differs(r, end, bytes) == differs; end += UNIT_BYTES) {
        }
        end = MIN(end, bytes);
        ret = differs ? bdrv_node_pwrite(r->bs, offset + at, r->old + at, end - at) : 0;
    }
    return ret;
}

static int copy_differences(Rebase *r, int64_t offset, int64_t bytes)
{
    int ret = bdrv_node_pread(r->bs, offset, r->old, bytes);

    if (ret == 0 && r->backing) {
        ret = bdrv_node_pread(r->backing, offset, r->new, bytes);
    }
    return ret < 0 ? ret : write_differences(r, offset, bytes);
}

/* Copy the differences in the first extent at @offset. Return its length, or -errno */
static int64_t copy_first(Rebase *r, int64_t offset, int64_t bytes)
{
    BlockStatus old, new = { .bytes = bytes, .zero = true };
    int ret = bdrv_node_status(r->bs, offset, bytes, 0, &old);

    if (ret < 0 || (old.depth == 0 && old.data)) {
        return ret < 0 ? ret : old.bytes;
    }
    if (r->backing) {
        ret = bdrv_node_status(r->backing, offset, old.bytes, 0, &new);
    }
    bytes = MIN(old.bytes, new.bytes);
    if (ret == 0 && !reads_same(&old, &new)) {
        bytes = MIN(bytes, PIECE_BYTES - offset % UNIT_BYTES);
        ret = copy_differences(r, offset, bytes);
    }
    return ret < 0 ? ret : bytes;
}

static int64_t copy_all(Rebase *r)
{
    int64_t size = bdrv_node_size(r->bs), n = 0;

    r->old = g_try_malloc(PIECE_BYTES);
    r->new = g_try_malloc0(PIECE_BYTES);
    if (!r->old || !r->new) {
        n = -ENOMEM;
    }
    for (int64_t offset = 0; offset < size && n >= 0; offset += n) {
        n = copy_first(r, offset, size - offset);
        if (n > 0 && !bdrv_go_on(r->bs, offset + n, size)) {
            n = -ECANCELED;
        }
    }
    g_free(r->old);
    g_free(r->new);
    return n;
}

static bool open_new_backing(Rebase *r, const char *filename, const BlockRebaseOptions *opts, GError **errp)
{
    BlockPrivate *priv = r->bs->priv;
    g_autoptr(KeyVal) kv = keyval_parse(opts->options, errp);

    if (!kv) {
        return false;
    }
    if (opts->driver) {
        keyval_set(kv, "driver", opts->driver);
    }
    KeyVal *others = priv->backing_options;

    priv->backing_options = kv;
    r->backing = r->bs->drv->open_other_backing(r->bs, filename, errp);
    priv->backing_options = others;
    if (!block_says_why(r->bs, "open_other_backing", r->backing, errp)) {
        g_prefix_error(errp, "new parent '%s': ", filename);
        return false;
    }
    return block_open_backings(r->backing, errp);
}

/* All that can be cancelled */
static bool copy_and_flush(Rebase *r, const BlockRebaseOptions *opts, GError **errp)
{
    BlockTree *tree = r->bs->priv->tree;

    block_begin_progress(tree, opts->progress, opts->user);
    int64_t ret = opts->names_only ? 0 : copy_all(r);

    ret = ret < 0 ? ret : bdrv_node_flush(r->bs);
    if (ret < 0) {
        bdrv_set_error(errp, (int)-ret, "could not copy what differs between the parents: %s", g_strerror((int)-ret));
    }
    block_end_progress(tree, "rebase", errp);
    return ret == 0;
}

static bool use_new_backing(Rebase *r, const BlockRebaseOptions *opts, GError **errp)
{
    BlockDriverState *bs = r->bs;

    if (!copy_and_flush(r, opts, errp)) {
        return false;
    }
    pthread_mutex_lock(&bs->priv->map_lock);
    bool ok = block_says_why(bs, "change_backing", bs->drv->change_backing(bs, r->backing, errp), errp);
    pthread_mutex_unlock(&bs->priv->map_lock);
    return ok;
}

static bool may_rebase(BlockDriverState *bs, const BlockRebaseOptions *opts, GError **errp)
{
    if (!bs->drv->change_backing) {
        bdrv_set_error(errp, ENOTSUP, "driver '%s' has no parents", bs->drv->name);
    } else if (!(bs->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EPERM, "the image is open for reading only");
    } else if ((bs->flags & BDRV_O_NO_BACKING) && !opts->names_only) {
        bdrv_set_error(errp, EINVAL, "the image was opened without its parent: only the names can be changed");
    } else {
        return true;
    }
    return false;
}

bool bdrv_rebase(BlockDriverState *bs, const char *backing, const BlockRebaseOptions *opts, GError **errp)
{
    static const BlockRebaseOptions defaults;
    BlockTree *tree = bs->priv->tree;
    Rebase r = { bs };

    opts = opts ? opts : &defaults;
    block_enter_alone(tree);
    BlockChain other = block_swap_chain(bs, (BlockChain) { 0 });    /* the new chain may have images of the old one */
    bool ok = may_rebase(bs, opts, errp) && (!backing || open_new_backing(&r, backing, opts, errp)) &&
              use_new_backing(&r, opts, errp);

    if (ok && !(bs->flags & BDRV_O_NO_BACKING)) {
        BlockDriverState *old = bs->backing;

        bs->backing = r.backing;
        r.backing = old;
        block_shortcuts_open(bs);
    } else {
        other = block_swap_chain(bs, other);
    }
    bdrv_close_backing(r.backing);
    g_clear_pointer(&other.files, g_hash_table_unref);
    block_leave_alone(tree);
    return ok;
}
