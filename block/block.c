/* block.c - the tree of nodes: open, create, close */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/drivers.h"
#include "block/layer.h"
#include "block/options.h"

/* What every node understands, whatever its driver */
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

static BlockTree *tree_new(void)
{
    BlockTree *tree = g_new0(BlockTree, 1);

    gate_init(&tree->gate);
    pthread_mutex_init(&tree->notes_lock, NULL);
    tree->warnings = g_ptr_array_new_with_free_func(g_free);
    tree->warning_codes = g_ptr_array_new();
    return tree;
}

static void tree_free(BlockTree *tree)
{
    gate_destroy(&tree->gate);
    pthread_mutex_destroy(&tree->notes_lock);
    g_ptr_array_unref(tree->warnings);
    g_ptr_array_unref(tree->warning_codes);
    block_shortcuts_free(tree);
    g_free(tree);
}

static BlockDriverState *node_new(BlockTree *tree, const BlockDriver *drv, unsigned flags)
{
    BlockDriverState *bs = g_new0(BlockDriverState, 1);

    bs->drv = drv;
    bs->flags = flags;
    bs->state = g_malloc0(MAX(drv->state_size, 1));
    bs->filename = g_strdup("");
    bs->layer = g_new0(BlockLayer, 1);
    bs->layer->tree = tree;
    pthread_mutex_init(&bs->layer->map_lock, NULL);
    pthread_cond_init(&bs->layer->page_read, NULL);
    pthread_mutex_init(&bs->layer->serial, NULL);
    ranges_init(&bs->layer->writes);
    bs->layer->written = 1;     /* by a program that was killed, perhaps: what can be read need not be on the disk */
    return bs;
}

/* This one only */
static void node_free(BlockDriverState *bs)
{
    BlockLayer *layer = bs->layer;

    block_meta_free(bs);
    pthread_mutex_destroy(&layer->map_lock);
    pthread_cond_destroy(&layer->page_read);
    pthread_mutex_destroy(&layer->serial);
    ranges_destroy(&layer->writes);
    keyval_free(layer->options);
    keyval_free(layer->backing_options);
    g_free(layer->storage);
    g_free(layer->root);
    if (layer->chain && layer->depth == 0) {
        g_hash_table_unref(layer->chain);
    }
    g_free(layer);
    g_free(bs->state);
    g_free(bs->filename);
    g_free(bs);
}

/* Drivers may still use their children while they close. A chain may be long: only what is below an image is
 * closed inside of it */
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
        node_free(bs);
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

/* @filename is for a driver that takes one, and wasn't given another among its options */
static void name_file(KeyVal *kv, const BlockOption *table, const char *filename)
{
    if (takes_filename(table) && filename && *filename && !keyval_get(kv, "filename")) {
        keyval_set(kv, "filename", filename);
    }
}

/* False if the user named a file for a driver that has none */
static bool may_be_named(const BlockDriver *drv, const char *filename, GError **errp)
{
    bool may = !filename || !*filename || takes_filename(drv->open_options) || takes_filename(drv->create_options);

    if (!may) {
        bdrv_set_error(errp, EINVAL, "driver '%s' opens no file, and '%s' is named", drv->name, filename);
    }
    return may;
}

static const BlockDriver *take_driver(KeyVal *kv, const BlockDriver *fallback, GError **errp)
{
    g_autofree char *name = keyval_take(kv, "driver");
    const BlockDriver *drv = name ? bdrv_find_driver(name) : fallback;

    if (!drv && name && g_str_equal(name, "nbd")) {
        bdrv_set_error(errp, ENOTSUP, "driver 'nbd' is not built in");
    } else if (!drv && name) {
        bdrv_set_error(errp, ENOENT, "Unknown driver '%s'", name);
    }
    return drv;
}

/* Parents may be named by an image: it picks no tape or terminal */
static const BlockDriver *default_protocol(const BlockSource *from, const KeyVal *kv)
{
    const char *said = keyval_get(kv, "filename"), *filename = said ? said : from->filename;

    if (from->storage) {
        return &bdrv_mem;
    }
    return from->place ? bdrv_driver_of_place(*from->place) : bdrv_driver_of_file(filename, !from->chain);
}

static BlockStorage *copy_storage(const BlockStorage *storage)
{
    return storage ? g_memdup2(storage, sizeof(*storage)) : NULL;
}

static const char *file_key(const BlockDriver *drv)
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
    }
    set_flag(&bs->flags, BDRV_O_NOCACHE, opts.direct);
    set_flag(&bs->flags, BDRV_O_NO_FLUSH, opts.no_flush);
    set_flag(&bs->flags, BDRV_O_WRITETHROUGH, opts.writeback >= 0 ? !opts.writeback : -1);
    set_flag(&bs->flags, BDRV_O_UNMAP, opts.discard >= 0 ? opts.discard % 2 : -1);
    set_flag(&bs->flags, BDRV_O_NO_LOCK, opts.force_share);
    bool ok = block_flush_after(bs->layer->tree, opts.flush_after, errp);

    block_options_clear(node_options, &opts);
    if (!ok) {
        return false;
    }
    if (opts.force_share == 1 && (bs->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EINVAL, "force-share=on can only be used with read-only images");
        return false;
    }
    bs->layer->meta_limit = opts.cache_size;
    return true;
}

/* The driver's own open(), with its options struct for as long as that takes */
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

/* The same for create(). @lenient: keys that only open() knows are not an error */
static bool call_create(BlockDriverState *bs, KeyVal *kv, bool lenient, GError **errp)
{
    const BlockDriver *drv = bs->drv;
    g_autofree void *opts = g_malloc0(MAX(drv->create_size, 1));

    if (!block_options_fill(drv->create_options, kv, opts, drv->name, errp)) {
        return false;
    }
    bool ok = (lenient || block_options_unknown(drv->create_options, kv, drv->name, errp)) &&
              block_says_why(bs, "create", drv->create(bs, opts, errp), errp);

    block_options_clear(drv->create_options, opts);
    return ok;
}

/* A protocol is told what to open */
static bool use_source(BlockDriverState *bs, const BlockSource *from, KeyVal *kv, GError **errp)
{
    if (!from->storage && !may_be_named(bs->drv, from->filename, errp)) {
        return false;
    }
    name_file(kv, bs->drv->open_options, from->filename);
    bs->layer->storage = copy_storage(from->storage);
    bs->layer->place = from->place;
    return block_may_open(from->chain, bs, keyval_get(kv, "filename"), errp);
}

/* Take "backing=", or JSON's null, for BDRV_O_NO_BACKING. False: it has a value */
static bool take_no_backing(BlockDriverState *bs, KeyVal *kv, GError **errp)
{
    g_autofree char *backing = keyval_take(kv, "backing");

    if (backing && *backing) {
        bdrv_set_error(errp, EINVAL, "backing=%s: an image behind this one is named by backing.file.filename=, and none "
                       "by backing=", backing);
        return false;
    }
    bs->flags |= backing ? BDRV_O_NO_BACKING : 0;
    return true;
}

/* @file: the child where it is open already, taken over in any case; NULL: open it */
static BlockDriverState *open_node(const BlockSource *from, const BlockDriver *drv, KeyVal *kv, unsigned flags,
                                   BlockDriverState *file, GError **errp)
{
    BlockDriverState *bs = node_new(from->tree, drv, flags);

    bs->file = file;
    bs->layer->behind = from->chain != NULL;
    if (!take_node_options(bs, kv, errp)) {
        goto fail;
    }
    if (!drv->is_protocol && keyval_get(kv, file_key(drv))) {
        const char *node = keyval_get(kv, file_key(drv));

        bdrv_set_error(errp, ENODEV, "Cannot find device='%s' nor node-name='%s'", node, node);
        goto fail;
    }
    if (!drv->is_protocol && !bs->file) {
        g_autoptr(KeyVal) below = keyval_take_subtree(kv, file_key(drv));

        bs->file = block_open_child(from, below, bs->flags & ~(unsigned)BDRV_O_CHECK, errp);
        if (!bs->file) {
            goto fail;
        }
    }
    if (drv->is_protocol && !use_source(bs, from, kv, errp)) {
        goto fail;
    }
    bs->layer->root = g_strdup(from->root);
    if (drv->open_backing && !take_no_backing(bs, kv, errp)) {
        goto fail;
    }
    if (drv->open_backing) {
        bs->layer->backing_options = keyval_take_subtree(kv, "backing");
    }
    const char *name = bs->file ? bs->file->filename : keyval_get(kv, "filename");

    g_free(bs->filename);
    bs->filename = g_strdup(name ? name : "");
    if (call_open(bs, kv, errp)) {
        bs->layer->place = NULL;
        return bs;
    }
fail:
    block_close(bs->file);
    node_free(bs);
    return NULL;
}

/* If @kv is a protocol's, and not every file may be opened: what the filename leads to, as a descriptor in *@place. The
 * node's own options are the user's, and bound by the root only */
static bool find_place(const BlockSource *from, const KeyVal *kv, int *place, GError **errp)
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
    if (!find_place(from, kv, &place, errp)) {
        return NULL;
    }
    here.place = place >= 0 ? &place : NULL;
    const BlockDriver *protocol = keyval_get(kv, "driver") ? NULL : default_protocol(&here, kv);
    const BlockDriver *drv = take_driver(kv, protocol, errp);
    bool vain = keyval_get(kv, "cache.writeback") || keyval_get(kv, "discard");
    BlockDriverState *bs = drv ? open_node(&here, drv, kv, flags, NULL, errp) : NULL;

    if (bs && vain) {
        bdrv_warn(bs, "ignored", "cache.writeback= and discard= are without effect here: those of the topmost node count");
    }
    if (place >= 0) {
        close(place);
    }
    return bs;
}

/* Nobody may turn a disk into another by what a guest writes into it: what is not certain is not written */
static bool may_write(const BlockDriver *drv, int score, unsigned flags, GError **errp)
{
    if (!(flags & BDRV_O_RDWR) || (flags & BDRV_O_PROBE_QEMU) || score == 100) {
        return true;
    }
    bdrv_set_error(errp, EACCES, "image format was not specified and is probably '%s'; a guess is not good "
                   "enough for writing, name the driver (-f %s, driver=%s)", drv->name, drv->name, drv->name);
    return false;
}

static bool says_what(const BlockSource *from, const KeyVal *kv, GError **errp)
{
    if ((from->filename && *from->filename) || from->storage || keyval_has_subtree(kv, "file")) {
        return true;
    }
    bdrv_set_error(errp, EINVAL, "Must specify either driver or file");
    return false;
}

static BlockDriverState *open_probed(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    if (!says_what(from, kv, errp)) {
        return NULL;
    }
    g_autoptr(KeyVal) below = keyval_take_subtree(kv, "file");
    BlockDriverState *file = block_open_child(from, below, flags & ~(unsigned)(BDRV_O_CHECK | BDRV_O_PROBE_QEMU), errp);
    int score;

    if (!file) {
        return NULL;
    }
    const BlockDriver *drv = bdrv_probe(file, flags & BDRV_O_PROBE_QEMU, &score, errp);

    if (!drv || !may_write(drv, score, flags, errp)) {
        block_close(file);
        return NULL;
    }
    BlockDriverState *bs = open_node(from, drv, kv, flags, file, errp);
    from->tree->probe = score;
    return bs;
}

static BlockDriverState *open_root(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    GError *err = NULL;
    const BlockDriver *drv = take_driver(kv, NULL, &err);

    if (err) {
        g_propagate_error(errp, err);
        return NULL;
    }
    if (drv) {
        return open_node(from, drv, kv, flags & ~(unsigned)(BDRV_O_PROBE | BDRV_O_PROBE_QEMU), NULL, errp);
    }
    if (!(flags & (BDRV_O_PROBE | BDRV_O_PROBE_QEMU))) {
        bdrv_set_error(errp, EINVAL, "no driver named, and guessing was not asked for");
        return NULL;
    }
    return open_probed(from, kv, flags & ~(unsigned)BDRV_O_PROBE, errp);
}

bool bdrv_wrap_file(BlockDriverState *bs, const char *driver, GError **errp)
{
    const BlockSource from = { .tree = bs->layer->tree };
    g_autoptr(KeyVal) none = keyval_new();
    unsigned flags = bs->file->flags;

    bs->file = open_node(&from, bdrv_find_driver(driver), none, flags, bs->file, errp);
    return bs->file != NULL;
}

bool bdrv_is_probed(BlockDriverState *bs)
{
    return bs->layer->tree->probe > 0;
}

BlockDriverState *bdrv_open_child(BlockDriverState *bs, const char *options, unsigned flags, GError **errp)
{
    const BlockSource from = { .tree = bs->layer->tree };
    g_autoptr(KeyVal) kv = keyval_parse(options, errp);
    BlockDriverState *child = kv ? block_open_child(&from, kv, flags, errp) : NULL;

    if (child && !block_open_parents(child, errp)) {
        bdrv_close_child(child);
        child = NULL;
    }
    return child;
}

void bdrv_close_child(BlockDriverState *child)
{
    block_close(child);
}

/* All writes go to a file that nobody else sees */
static BlockDriverState *open_snapshot(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    const char *folder = getenv("TMPDIR");
    const BlockSource nothing = { .tree = from->tree };
    BlockDriverState *base = open_root(from, kv, flags & ~(unsigned)(BDRV_O_SNAPSHOT | BDRV_O_RDWR), errp);
    g_autoptr(KeyVal) scratch = keyval_new();

    if (!base) {
        return NULL;
    }
    keyval_set(scratch, "file.driver", "file");
    keyval_set(scratch, "file.filename", folder && *folder ? folder : "/var/tmp");
    keyval_set(scratch, "file.temporary", "on");
    keyval_set(scratch, "file.cache.no-flush", "on");
    keyval_set(scratch, "file.cache.direct", "off");
    BlockDriverState *bs = open_node(&nothing, &bdrv_cow, scratch, flags | BDRV_O_RDWR, NULL, errp);

    if (bs) {
        bs->layer->scratch = true;
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

/* Opening or making an image failed, and there is none that the warning which explains it could be asked of. @any: it may
 * explain any error; else EIO only */
static void tell_warning(BlockTree *tree, bool any, GError **errp)
{
    guint count = tree->warnings->len;

    if (count && errp && *errp && (any || bdrv_error_code(*errp) == EIO)) {
        GError *err = *errp;

        *errp = NULL;
        bdrv_set_error(errp, bdrv_error_code(err), "%s (%s)", err->message, (char *)g_ptr_array_index(tree->warnings, count - 1));
        g_error_free(err);
    }
}

BlockDriverState *bdrv_open_with(const BlockOpenArgs *args, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(args->options, errp);
    g_autofree char *filename = NULL;

    if (!kv || !block_take_name(args->filename, kv, &filename, errp)) {
        return NULL;
    }
    const BlockSource from = { tree_new(), filename, args->storage };

    from.tree->resolver = args->resolver;
    BlockDriverState *bs = args->flags & BDRV_O_SNAPSHOT ? open_snapshot(&from, kv, args->flags, errp)
                                                         : open_root(&from, kv, args->flags, errp);

    if (bs && block_open_parents(bs, errp)) {
        from.tree->resolver = NULL;
        block_shortcuts_open(bs);
        return bs;
    }
    block_close(bs);
    tell_warning(from.tree, true, errp);
    tree_free(from.tree);
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
    BlockTree *tree = bs->layer->tree;
    int ret = bdrv_flush(bs);

    tree->alone = true;
    block_close(bs);
    tree_free(tree);
    return ret;
}

/* Set option @name of the file at the bottom, if the table has it */
static bool want(KeyVal *kv, const BlockOption *table, const char *name, int64_t value)
{
    while (table && table->name && !g_str_equal(table->name, name)) {
        table++;
    }
    if (!table || !table->name) {
        return false;
    }
    g_autofree char *text = g_strdup_printf("%" PRId64, value);

    keyval_set(kv, name, text);
    return true;
}

/* Set the options of @maker's create() that @plan has values for: with a size, it makes room before it empties a file */
static void want_plan(BlockDriverState *maker, KeyVal *kv, const BlockFilePlan *plan)
{
    want(kv, maker->drv->create_options, "size", plan->bytes);
    if (plan->extent_size_hint && !want(kv, maker->drv->create_options, "extent_size_hint", plan->extent_size_hint)) {
        bdrv_warn(maker, "ignored", "driver '%s' makes files without an extent size hint", maker->drv->name);
    }
}

/* The file at the bottom of @kv, a chain of filters over a protocol, made empty. The node that made it
 * remembers whether it was there before; NULL on failure */
static BlockDriverState *make_file(const BlockSource *from, KeyVal *kv, const BlockFilePlan *plan, GError **errp)
{
    const BlockDriver *drv = take_driver(kv, default_protocol(from, kv), errp);

    if (!drv) {
        return NULL;
    }
    if (!drv->is_protocol && !drv->map) {
        g_autoptr(KeyVal) below = keyval_take_subtree(kv, file_key(drv));

        return make_file(from, below, plan, errp);
    }
    if (!drv->create || drv->map) {
        bdrv_set_error(errp, ENOTSUP, "Protocol driver '%s' does not support image creation", drv->name);
        return NULL;
    }
    BlockDriverState *maker = node_new(from->tree, drv, BDRV_O_RDWR);

    name_file(kv, drv->create_options, from->filename);
    want_plan(maker, kv, plan);
    maker->layer->storage = copy_storage(from->storage);
    maker->layer->options = keyval_new();
    if (!call_create(maker, kv, true, errp)) {
        node_free(maker);
        maker = NULL;
    }
    return maker;
}

/* The protocol that make_file() would have make a file, and in *@filename, to be g_free()d, which; NULL: there is none.
 * Eats @kv */
static const BlockDriver *find_maker(const BlockSource *from, KeyVal *kv, char **filename)
{
    const BlockDriver *drv = take_driver(kv, default_protocol(from, kv), NULL);
    const char *said = keyval_get(kv, "filename");

    if (!drv || drv->map) {
        return NULL;
    }
    if (!drv->is_protocol) {
        g_autoptr(KeyVal) below = keyval_take_subtree(kv, file_key(drv));

        return find_maker(from, below, filename);
    }
    *filename = g_strdup(said ? said : from->filename);
    return drv;
}

/* Might make_file() empty a file, or storage, that is there already? Eats @kv */
static bool has_file(const BlockSource *from, KeyVal *kv)
{
    g_autofree char *filename = NULL;
    const BlockDriver *drv = find_maker(from, kv, &filename);
    BlockIdentity id;

    return drv && drv->create &&
           (from->storage || (filename && drv->identify && drv->identify(NULL, filename, &id)));
}

/* What is below a new image, to be written to. Eats @kv */
static BlockDriverState *open_below(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp)
{
    BlockDriverState *below = block_open_child(from, kv, flags, errp);

    for (BlockDriverState *node = below; node; node = node->file) {
        if (!(node->flags & BDRV_O_RDWR)) {
            bdrv_set_error(errp, EACCES, "driver '%s' is told not to write: an image can't be created there",
                           node->drv->name);
            block_close(below);
            return NULL;
        }
    }
    return below;
}

/* An existing file is opened by the options of all nodes above it before it is emptied */
static bool try_file(const BlockSource *from, const char *options, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(options, errp), again = keyval_parse(options, NULL);

    if (!kv || !has_file(from, kv)) {
        return kv;
    }
    BlockDriverState *below = open_below(from, again, BDRV_O_RDWR | BLOCK_OPEN_TO_CREATE, errp);

    block_close(below);
    return below;
}

/* @options are those of the node; the driver at its bottom is the maker */
static BlockDriverState *try_and_make(const BlockSource *from, const char *options, const BlockFilePlan *plan,
                                      GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(options, errp);

    return kv && try_file(from, options, errp) ? make_file(from, kv, plan, errp) : NULL;
}

bool bdrv_create_file_for(BlockDriverState *bs, const BlockFilePlan *plan, GError **errp)
{
    BlockLayer *layer = bs->layer;
    BlockSource from = { layer->tree, bs->filename, layer->storage };

    if (plan->bytes > BLOCK_MAX_SIZE) {
        bdrv_set_error(errp, EFBIG, "a file of %" PRId64 " bytes is more than the %" PRId64 " that can be used",
                       plan->bytes, BLOCK_MAX_SIZE);
        return false;
    }
    g_autofree char *text = keyval_format(layer->options);

    layer->maker = try_and_make(&from, text, plan, errp);
    if (!layer->maker) {
        return false;
    }
    from.storage = layer->maker->layer->storage;        /* it is empty now, and says so */
    bs->file = open_below(&from, layer->options, BDRV_O_RDWR, errp);
    return bs->file != NULL;
}

bool bdrv_create_file(BlockDriverState *bs, GError **errp)
{
    return bdrv_create_file_for(bs, &(BlockFilePlan) { 0 }, errp);
}

bool bdrv_create_child(BlockDriverState *bs, const char *options, GError **errp)
{
    const BlockSource from = { .tree = bs->layer->tree };
    BlockDriverState *maker = try_and_make(&from, options, &(BlockFilePlan) { 0 }, errp);

    if (maker) {
        node_free(maker);
    }
    return maker != NULL;
}

static bool flush_created(BlockDriverState *bs, GError **errp)
{
    int ret = bs->file ? bdrv_node_flush(bs->file) : 0;

    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not flush the new image: %s", g_strerror(-ret));
    }
    return ret == 0;
}

/* By the file that will be made, which the options may name */
static void name_new(BlockDriverState *bs, const BlockSource *from)
{
    g_autofree char *text = keyval_format(bs->layer->options), *said = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL);
    const char *name = !bs->drv->is_protocol && kv && find_maker(from, kv, &said) ? said : from->filename;

    g_free(bs->filename);
    bs->filename = g_strdup(name ? name : "");
}

static bool create_node(const BlockSource *from, const BlockDriver *drv, KeyVal *kv, GError **errp)
{
    BlockDriverState *bs = node_new(from->tree, drv, BDRV_O_RDWR);
    BlockLayer *layer = bs->layer;

    if (drv->is_protocol) {
        name_file(kv, drv->create_options, from->filename);
    }
    layer->storage = copy_storage(from->storage);
    layer->options = drv->is_protocol ? keyval_new() : keyval_take_subtree(kv, file_key(drv));
    name_new(bs, from);

    bool ok = call_create(bs, kv, false, errp) && flush_created(bs, errp);

    block_close(bs->file);
    if (layer->maker) {
        if (!ok && layer->maker->drv->remove) {
            layer->maker->drv->remove(layer->maker);
        }
        node_free(layer->maker);
    }
    node_free(bs);
    return ok;
}

bool bdrv_create_with(const BlockCreateArgs *args, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(args->options, errp);
    g_autofree char *lowest = NULL;

    if (!kv || !block_take_name(args->filename, kv, &lowest, errp)) {
        return false;
    }
    GError *err = NULL;
    const BlockDriver *drv = take_driver(kv, NULL, &err);

    if (err) {
        g_propagate_error(errp, err);
    } else if (!drv) {
        bdrv_set_error(errp, EINVAL, "no driver named");
    } else if (drv && !drv->create) {
        bdrv_set_error(errp, ENOTSUP, "Format driver '%s' does not support image creation", drv->name);
    }
    if (!drv || !drv->create) {
        return false;
    }
    const BlockSource from = { tree_new(), lowest, args->storage };

    from.tree->warn = args->warn;
    from.tree->warn_user = args->user;
    bool ok = create_node(&from, drv, kv, errp);

    tell_warning(from.tree, false, errp);
    tree_free(from.tree);
    return ok;
}

bool bdrv_create(const char *filename, const char *options, GError **errp)
{
    return bdrv_create_with(&(BlockCreateArgs) { .filename = filename, .options = options }, errp);
}

bool bdrv_create_storage(const BlockStorage *storage, const char *options, GError **errp)
{
    return bdrv_create_with(&(BlockCreateArgs) { .storage = storage, .options = options }, errp);
}
