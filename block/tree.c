/* tree.c - the tree of nodes of an image: builds it from options, and closes it */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/drivers.h"
#include "block/layer.h"
#include "block/options.h"

/* The options of every node, whatever its driver */
typedef struct NodeOptions {
    int read_only, direct, no_flush, writeback, discard, force_share;   /* -1: as the node above */
    char *node_name, *flush_after;
    int64_t cache_size;
} NodeOptions;

static const char *const off_on[] = { "off", "on", NULL };
static const char *const discard_words[] = { "ignore", "unmap", "off", "on", NULL };

static const BlockOption node_options[] = {
    { "read-only", BLOCK_OPT_ENUM, offsetof(NodeOptions, read_only), "", .values = off_on,
      .help = "do not write to this node" },
    { "cache.direct", BLOCK_OPT_ENUM, offsetof(NodeOptions, direct), "", .values = off_on,
      .help = "bypass the host's page cache (O_DIRECT)" },
    { "cache.writeback", BLOCK_OPT_ENUM, offsetof(NodeOptions, writeback), "", .values = off_on,
      .help = "off: flush every write before it is reported done" },
    { "cache.no-flush", BLOCK_OPT_ENUM, offsetof(NodeOptions, no_flush), "", .values = off_on,
      .help = "ignore flushes" },
    { "discard", BLOCK_OPT_ENUM, offsetof(NodeOptions, discard), "", .values = discard_words,
      .help = "do discards give space back?" },
    { "force-share", BLOCK_OPT_ENUM, offsetof(NodeOptions, force_share), "", .values = off_on,
      .help = "do not lock it: others may write to it meanwhile" },
    { "node-name", BLOCK_OPT_STRING, offsetof(NodeOptions, node_name), "",
      .help = "accepted: a name for people" },
    { "metadata-cache-size", BLOCK_OPT_SIZE, offsetof(NodeOptions, cache_size), "32M",
      .help = "memory for a format's tables" },
    { "flush-after", BLOCK_OPT_STRING, offsetof(NodeOptions, flush_after), "",
      .help = "of the image on top: flush when so much was written since the last flush (16M), or so long ago (5s)" },
    { NULL }
};

bool bdrv_parse_cache_mode(const char *mode, unsigned *flags)
{
    static const struct { const char *name; unsigned flags; } modes[] = {
        { "writeback",    0 },
        { "writethrough", BDRV_O_WRITETHROUGH },
        { "none",         BDRV_O_NOCACHE },
        { "off",          BDRV_O_NOCACHE },
        { "directsync",   BDRV_O_NOCACHE | BDRV_O_WRITETHROUGH },
        { "unsafe",       BDRV_O_NO_FLUSH },
        { "killsafe",     BDRV_O_NO_FLUSH | BDRV_O_WRITETHROUGH },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (g_str_equal(modes[i].name, mode)) {
            *flags = (*flags & ~(unsigned)(BDRV_O_NOCACHE | BDRV_O_WRITETHROUGH | BDRV_O_NO_FLUSH)) | modes[i].flags;
            return true;
        }
    }
    return false;
}

static void warning_clear(void *warning)
{
    g_free((char *)((BlockWarning *)warning)->text);
}

BlockTree *block_tree_new(void)
{
    BlockTree *tree = g_new0(BlockTree, 1);

    gate_init(&tree->gate);
    pthread_mutex_init(&tree->notes_lock, NULL);
    tree->warnings = g_array_new(FALSE, FALSE, sizeof(BlockWarning));
    g_array_set_clear_func(tree->warnings, warning_clear);
    return tree;
}

void block_tree_free(BlockTree *tree)
{
    gate_destroy(&tree->gate);
    pthread_mutex_destroy(&tree->notes_lock);
    g_array_unref(tree->warnings);
    block_shortcuts_free(tree);
    g_free(tree);
}

BlockDriverState *block_node_new(BlockTree *tree, const BlockDriver *drv, unsigned flags)
{
    BlockDriverState *bs = g_new0(BlockDriverState, 1);

    bs->drv = drv;
    bs->flags = flags;
    bs->state = g_malloc0(MAX(drv->state_size, 1));
    bs->filename = g_strdup("");
    bs->priv = g_new0(BlockPrivate, 1);
    bs->priv->tree = tree;
    pthread_mutex_init(&bs->priv->map_lock, NULL);
    pthread_cond_init(&bs->priv->page_read, NULL);
    pthread_mutex_init(&bs->priv->serial, NULL);
    ranges_init(&bs->priv->writes);
    bs->priv->written = 1;     /* writes of a program that was killed may not be on the disk yet */
    return bs;
}

void block_node_free(BlockDriverState *bs)
{
    BlockPrivate *priv = bs->priv;

    block_meta_free(bs);
    pthread_mutex_destroy(&priv->map_lock);
    pthread_cond_destroy(&priv->page_read);
    pthread_mutex_destroy(&priv->serial);
    ranges_destroy(&priv->writes);
    keyval_free(priv->options);
    keyval_free(priv->backing_options);
    g_free(priv->storage);
    g_free(priv->root);
    if (priv->chain && priv->depth == 0) {
        g_hash_table_unref(priv->chain);
    }
    g_free(priv);
    g_free(bs->state);
    g_free(bs->filename);
    g_free(bs);
}

/* Close the drivers from the top down, because a driver may use its children while it closes. Loop over the images of a
 * chain, which may be long; only the nodes below one image are closed by recursion */
static void close_drivers(BlockDriverState *bs)
{
    for (; bs; bs = bs->backing) {
        if (bs->drv->close) {
            bs->drv->close(bs);
        }
        close_drivers(bs->file);
    }
}

static void free_nodes(BlockDriverState *bs)
{
    while (bs) {
        BlockDriverState *backing = bs->backing;

        free_nodes(bs->file);
        block_node_free(bs);
        bs = backing;
    }
}

void block_close(BlockDriverState *bs)
{
    close_drivers(bs);
    free_nodes(bs);
}

static bool takes_filename(const BlockOption *table)
{
    while (table && table->name && !g_str_equal(table->name, "filename")) {
        table++;
    }
    return table && table->name;
}

/* Set the file name for a driver that has such an option, unless it is set already */
void block_name_file(KeyVal *kv, const BlockOption *table, const char *filename)
{
    if (takes_filename(table) && filename && *filename && !keyval_get(kv, "filename")) {
        keyval_set(kv, "filename", filename);
    }
}

/* Return false if the user named a file for a driver that has none */
static bool may_be_named(const BlockDriver *drv, const char *filename, GError **errp)
{
    bool may = !filename || !*filename || takes_filename(drv->open_options) || takes_filename(drv->create_options);

    if (!may) {
        bdrv_set_error(errp, EINVAL, "driver '%s' opens no file, and '%s' is named", drv->name, filename);
    }
    return may;
}

const BlockDriver *block_take_driver(KeyVal *kv, const BlockDriver *fallback, GError **errp)
{
    g_autofree char *name = keyval_take(kv, "driver");

    return name ? bdrv_load_driver(name, errp) : fallback;
}

/* Choose the protocol by the kind of file. The name of a backing may come from an image, which must not open a tape or
 * a terminal */
const BlockDriver *block_default_protocol(const BlockSource *from, const KeyVal *kv)
{
    const char *said = keyval_get(kv, "filename"), *filename = said ? said : from->filename;

    if (from->storage) {
        return &bdrv_mem;
    }
    return from->place ? bdrv_driver_of_place(*from->place) : bdrv_driver_of_file(filename, !from->chain);
}

BlockStorage *block_copy_storage(const BlockStorage *storage)
{
    return storage ? g_memdup2(storage, sizeof(*storage)) : NULL;
}

const char *block_file_key(const BlockDriver *drv)
{
    return drv->file_key ? drv->file_key : "file";
}

static void set_flag(unsigned *flags, unsigned flag, int on)
{
    if (on >= 0) {
        *flags = on ? *flags | flag : *flags & ~flag;
    }
}

static bool take_node_options(BlockDriverState *bs, KeyVal *kv, GError **errp)
{
    NodeOptions opts = { 0 };

    if (!block_options_fill(node_options, kv, &opts, bs->drv->name, errp)) {
        return false;
    }
    if (opts.read_only == 1) {
        bs->flags &= ~(unsigned)BDRV_O_RDWR;
        bs->priv->read_only = true;
    }
    set_flag(&bs->flags, BDRV_O_NOCACHE, opts.direct);
    set_flag(&bs->flags, BDRV_O_NO_FLUSH, opts.no_flush);
    set_flag(&bs->flags, BDRV_O_WRITETHROUGH, opts.writeback >= 0 ? !opts.writeback : -1);
    set_flag(&bs->flags, BDRV_O_UNMAP, opts.discard >= 0 ? opts.discard % 2 : -1);
    set_flag(&bs->flags, BDRV_O_NO_LOCK, opts.force_share);
    bool ok = block_flush_after(bs->priv->tree, opts.flush_after, errp);

    block_options_clear(node_options, &opts);
    if (!ok) {
        return false;
    }
    if (opts.force_share == 1 && (bs->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EINVAL, "force-share=on can only be used with read-only images");
        return false;
    }
    bs->priv->meta_limit = opts.cache_size;
    return true;
}

/* Fill the driver's options struct, call its open(), and free the struct */
static bool call_open(BlockDriverState *bs, KeyVal *kv, GError **errp)
{
    const BlockDriver *drv = bs->drv;
    g_autofree void *opts = g_malloc0(MAX(drv->open_size, 1));

    if (!block_options_fill(drv->open_options, kv, opts, drv->name, errp)) {
        return false;
    }
    bool ok = block_options_unknown(drv->open_options, kv, drv->name, errp);

    if (ok && (!block_says_why(bs, "open", drv->open(bs, opts, bs->flags, errp), errp) ||
               !block_opened_well(bs, errp))) {
        ok = false;
        if (drv->close) {
            drv->close(bs);
        }
    }
    block_options_clear(drv->open_options, opts);
    return ok;
}

/* Give a protocol its file name or storage */
static bool use_source(BlockDriverState *bs, const BlockSource *from, KeyVal *kv, GError **errp)
{
    if (!from->storage && !may_be_named(bs->drv, from->filename, errp)) {
        return false;
    }
    block_name_file(kv, bs->drv->open_options, from->filename);
    bs->priv->storage = block_copy_storage(from->storage);
    bs->priv->place = from->place;
    return block_may_open(from->chain, bs, keyval_get(kv, "filename"), errp);
}

/* Take "backing=", or JSON's null, which sets BDRV_O_NO_BACKING. False: it has a value */
static bool take_no_backing(BlockDriverState *bs, KeyVal *kv, GError **errp)
{
    g_autofree char *backing = keyval_take(kv, "backing");

    if (backing && *backing) {
        bdrv_set_error(errp, EINVAL, "backing=%s: an image behind this one is named by backing.file.filename=, "
                       "and none by backing=", backing);
        return false;
    }
    bs->flags |= backing ? BDRV_O_NO_BACKING : 0;
    return true;
}

BlockDriverState *block_open_node(const BlockSource *from, const BlockDriver *drv, KeyVal *kv, unsigned flags,
                                   BlockDriverState *file, GError **errp)
{
    BlockDriverState *bs = block_node_new(from->tree, drv, flags);

    bs->file = file;
    bs->priv->behind = from->chain != NULL;
    if (!take_node_options(bs, kv, errp)) {
        goto fail;
    }
    if (!drv->is_protocol && keyval_get(kv, block_file_key(drv))) {
        const char *node = keyval_get(kv, block_file_key(drv));

        bdrv_set_error(errp, ENODEV, "Cannot find device='%s' nor node-name='%s'", node, node);
        goto fail;
    }
    if (!drv->is_protocol && !bs->file) {
        g_autoptr(KeyVal) below = keyval_take_subtree(kv, block_file_key(drv));

        bs->file = block_open_child(from, below, bs->flags & ~(unsigned)BDRV_O_CHECK, errp);
        if (!bs->file) {
            goto fail;
        }
    }
    if (drv->is_protocol && !use_source(bs, from, kv, errp)) {
        goto fail;
    }
    bs->priv->root = g_strdup(from->root);
    if (drv->open_backing && !take_no_backing(bs, kv, errp)) {
        goto fail;
    }
    if (drv->open_backing) {
        bs->priv->backing_options = keyval_take_subtree(kv, "backing");
    }
    const char *name = bs->file ? bs->file->filename : keyval_get(kv, "filename");

    g_free(bs->filename);
    bs->filename = g_strdup(name ? name : "");
    if (call_open(bs, kv, errp)) {
        bs->priv->place = NULL;
        return bs;
    }
fail:
    block_close(bs->file);
    block_node_free(bs);
    return NULL;
}

/* Look up the file of a backing before it is opened. *@place: an O_PATH descriptor of it; unchanged if this is no
 * backing, or no file. A name that the user gave in the options needs no check, unless a root is set */
static bool find_backing_place(const BlockSource *from, const KeyVal *kv, int *place, GError **errp)
{
    const char *named = keyval_get(kv, "driver"), *said = keyval_get(kv, "filename");
    const BlockDriver *drv = named ? bdrv_find_driver(named) : &bdrv_file;
    const char *filename = said ? said : from->filename;

    if (!from->chain || from->storage || !drv || !drv->is_protocol || (said && !from->root)) {
        return true;
    }
    if (!takes_filename(drv->open_options)) {
        if (from->root) {
            bdrv_set_error(errp, EACCES, "driver '%s' opens no file, and parents are to be inside the folder '%s'",
                           drv->name, from->root);
        }
        return !from->root;
    }
    if (!filename || !*filename) {
        return true;
    }
    *place = bdrv_find_file(from->root, from->by_image && !said, filename, errp);
    return *place >= 0;
}

BlockDriverState *block_open_child(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    BlockSource here = *from;
    int place = -1;

    if (keyval_get(kv, "flush-after")) {
        bdrv_set_error(errp, EINVAL, "flush-after can be given to the topmost node only");
        return NULL;
    }
    if (!find_backing_place(from, kv, &place, errp)) {
        return NULL;
    }
    here.place = place >= 0 ? &place : NULL;
    const BlockDriver *protocol = keyval_get(kv, "driver") ? NULL : block_default_protocol(&here, kv);
    const BlockDriver *drv = block_take_driver(kv, protocol, errp);
    bool vain = keyval_get(kv, "cache.writeback") || keyval_get(kv, "discard");
    BlockDriverState *bs = drv ? block_open_node(&here, drv, kv, flags, NULL, errp) : NULL;

    if (bs && vain) {
        bdrv_warn(bs, "ignored",
                  "cache.writeback= and discard= are without effect here: those of the topmost node count");
    }
    if (place >= 0) {
        close(place);
    }
    return bs;
}
