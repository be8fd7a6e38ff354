/* open.c - opens an image, by a driver that is named or guessed, and closes it */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include "block/drivers.h"
#include "block/layer.h"

/* Refuse to write to an image whose format is guessed and not certain: a guest can write the header or footer of
 * another format into its raw disk, and so choose the guess */
bool block_may_write(const BlockDriver *drv, int score, GError **errp)
{
    if (score == 100) {
        return true;
    }
    bdrv_set_error(errp, EACCES, "image format was not specified and is probably '%s'; a guess is not good "
                   "enough for writing, name the driver (-f %s, driver=%s)", drv->name, drv->name, drv->name);
    return false;
}

static bool names_a_file(const BlockSource *from, const KeyVal *kv, GError **errp)
{
    if ((from->filename && *from->filename) || from->storage || keyval_has_subtree(kv, "file")) {
        return true;
    }
    bdrv_set_error(errp, EINVAL, "Must specify either driver or file");
    return false;
}

static BlockDriverState *open_probed(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    if (!names_a_file(from, kv, errp)) {
        return NULL;
    }
    g_autoptr(KeyVal) below = keyval_take_subtree(kv, "file");
    BlockDriverState *file = block_open_child(from, below, flags & ~(unsigned)(BDRV_O_CHECK | BDRV_O_PROBE_QEMU), errp);
    int score;

    if (!file) {
        return NULL;
    }
    const BlockDriver *drv = bdrv_probe(file, flags & BDRV_O_PROBE_QEMU, &score, errp);
    bool judge = (flags & BDRV_O_RDWR) && !(flags & BDRV_O_PROBE_QEMU);

    if (!drv || (judge && !block_may_write(drv, score, errp))) {
        block_close(file);
        return NULL;
    }
    BlockDriverState *bs = block_open_node(from, drv, kv, flags, file, errp);
    from->tree->probe = score;
    return bs;
}

static BlockDriverState *open_root(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    GError *err = NULL;
    const BlockDriver *drv = block_take_driver(kv, NULL, &err);

    if (err) {
        g_propagate_error(errp, err);
        return NULL;
    }
    if (drv) {
        return block_open_node(from, drv, kv, flags & ~(unsigned)(BDRV_O_PROBE | BDRV_O_PROBE_QEMU), NULL, errp);
    }
    if (!(flags & (BDRV_O_PROBE | BDRV_O_PROBE_QEMU))) {
        bdrv_set_error(errp, EINVAL, "no driver named, and guessing was not asked for");
        return NULL;
    }
    return open_probed(from, kv, flags & ~(unsigned)BDRV_O_PROBE, errp);
}

bool bdrv_wrap_file(BlockDriverState *bs, const char *driver, GError **errp)
{
    const BlockSource from = { .tree = bs->priv->tree };
    g_autoptr(KeyVal) none = keyval_new();
    unsigned flags = bs->file->flags;

    bs->file = block_open_node(&from, bdrv_find_driver(driver), none, flags, bs->file, errp);
    return bs->file != NULL;
}

bool bdrv_is_probed(BlockDriverState *bs)
{
    return bs->priv->tree->probe > 0;
}

BlockDriverState *bdrv_open_child(BlockDriverState *bs, const char *options, unsigned flags, GError **errp)
{
    const BlockSource from = { .tree = bs->priv->tree };
    g_autoptr(KeyVal) kv = keyval_parse(options, errp);
    BlockDriverState *child = kv ? block_open_child(&from, kv, flags, errp) : NULL;

    if (child && !block_open_backings(child, errp)) {
        bdrv_close_child(child);
        child = NULL;
    }
    return child;
}

void bdrv_close_child(BlockDriverState *child)
{
    block_close(child);
}

/* Open an image under an overlay (cow) whose writes go to an unnamed temporary file */
static BlockDriverState *open_snapshot(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    const char *folder = getenv("TMPDIR");
    const BlockSource nothing = { .tree = from->tree };
    const BlockDriver *cow = bdrv_load_driver("cow", errp);
    BlockDriverState *base =
        cow ? open_root(from, kv, flags & ~(unsigned)(BDRV_O_SNAPSHOT | BDRV_O_RDWR), errp) : NULL;
    g_autoptr(KeyVal) scratch = keyval_new();

    if (!base) {
        return NULL;
    }
    keyval_set(scratch, "file.driver", "file");
    keyval_set(scratch, "file.filename", folder && *folder ? folder : "/var/tmp");
    keyval_set(scratch, "file.temporary", "on");
    keyval_set(scratch, "file.cache.no-flush", "on");
    keyval_set(scratch, "file.cache.direct", "off");
    BlockDriverState *bs = block_open_node(&nothing, cow, scratch, flags | BDRV_O_RDWR, NULL, errp);

    if (bs) {
        bs->priv->scratch = true;
    }
    if (!bs || !block_link_backing(bs, base, errp)) {
        block_close(base);
        block_close(bs);
        return NULL;
    }
    bs->backing = base;
    g_free(bs->filename);
    bs->filename = g_strdup(base->filename);
    return bs;
}

BlockDriverState *bdrv_open_with(const BlockOpenArgs *args, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(args->options, errp);
    g_autofree char *filename = NULL;

    if (!kv || !block_take_name(args->filename, kv, &filename, errp)) {
        return NULL;
    }
    const BlockSource from = { block_tree_new(), filename, args->storage };

    from.tree->resolver = args->resolver;
    BlockDriverState *bs = args->flags & BDRV_O_SNAPSHOT ? open_snapshot(&from, kv, args->flags, errp)
                                                         : open_root(&from, kv, args->flags, errp);

    if (bs && block_open_backings(bs, errp)) {
        from.tree->resolver = NULL;
        block_shortcuts_open(bs);
        return bs;
    }
    block_close(bs);
    block_tell_warning(from.tree, true, errp);
    block_tree_free(from.tree);
    return NULL;
}

BlockDriverState *bdrv_open(const char *filename, const char *options, unsigned flags, GError **errp)
{
    const BlockOpenArgs args = { .filename = filename, .options = options, .flags = flags };

    return bdrv_open_with(&args, errp);
}

BlockDriverState *bdrv_open_storage(const BlockStorage *storage, const char *options, unsigned flags,
                                    GError **errp)
{
    const BlockOpenArgs args = { .storage = storage, .options = options, .flags = flags };

    return bdrv_open_with(&args, errp);
}

int bdrv_close(BlockDriverState *bs)
{
    if (!bs) {
        return 0;
    }
    BlockTree *tree = bs->priv->tree;
    int ret = bdrv_flush(bs);

    tree->alone = true;
    block_close(bs);
    block_tree_free(tree);
    return ret;
}
