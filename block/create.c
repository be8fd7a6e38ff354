/* create.c - make an image: the file at the bottom, and what its format writes into it */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include "block/drivers.h"
#include "block/layer.h"
#include "block/options.h"

/* Call the driver's create(), with its options struct. @lenient: keys that only open() knows are no error */
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

/* Set option @name of the file at the bottom. False if @table does not have it */
static bool set_file_option(KeyVal *kv, const BlockOption *table, const char *name, int64_t value)
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

/* Set the options of @maker's create() that @plan has values for. With a size, create() makes sure that there is room
 * before it empties a file */
static void set_file_options(BlockDriverState *maker, KeyVal *kv, const BlockFilePlan *plan)
{
    set_file_option(kv, maker->drv->create_options, "size", plan->bytes);
    if (plan->extent_size_hint &&
        !set_file_option(kv, maker->drv->create_options, "extent_size_hint", plan->extent_size_hint)) {
        bdrv_warn(maker, "ignored", "driver '%s' makes files without an extent size hint", maker->drv->name);
    }
}

/* Make the file at the bottom of @kv, or empty it. Only filters may be above it. Return the node that made it, which
 * remembers whether the file existed before; NULL on failure */
static BlockDriverState *make_file(const BlockSource *from, KeyVal *kv, const BlockFilePlan *plan, GError **errp)
{
    const BlockDriver *drv = block_take_driver(kv, block_default_protocol(from, kv), errp);

    if (!drv) {
        return NULL;
    }
    if (!drv->is_protocol && !drv->map) {
        g_autoptr(KeyVal) below = keyval_take_subtree(kv, block_file_key(drv));

        return make_file(from, below, plan, errp);
    }
    if (!drv->create || drv->map) {
        bdrv_set_error(errp, ENOTSUP, "Protocol driver '%s' does not support image creation", drv->name);
        return NULL;
    }
    BlockDriverState *maker = block_node_new(from->tree, drv, BDRV_O_RDWR);

    block_name_file(kv, drv->create_options, from->filename);
    set_file_options(maker, kv, plan);
    maker->priv->storage = block_copy_storage(from->storage);
    maker->priv->options = keyval_new();
    if (!call_create(maker, kv, true, errp)) {
        block_node_free(maker);
        maker = NULL;
    }
    return maker;
}

/* Return the protocol in which make_file() would make the file, and in *@filename (to be g_free()d) the file's name.
 * NULL if there is none. Takes options out of @kv */
static const BlockDriver *find_maker(const BlockSource *from, KeyVal *kv, char **filename)
{
    const BlockDriver *drv = block_take_driver(kv, block_default_protocol(from, kv), NULL);
    const char *said = keyval_get(kv, "filename");

    if (!drv || drv->map) {
        return NULL;
    }
    if (!drv->is_protocol) {
        g_autoptr(KeyVal) below = keyval_take_subtree(kv, block_file_key(drv));

        return find_maker(from, below, filename);
    }
    *filename = g_strdup(said ? said : from->filename);
    return drv;
}

/* Return whether make_file() may empty an existing file or storage. Takes options out of @kv */
static bool has_file(const BlockSource *from, KeyVal *kv)
{
    g_autofree char *filename = NULL;
    const BlockDriver *drv = find_maker(from, kv, &filename);
    BlockIdentity id;

    return drv && drv->create &&
           (from->storage || (filename && drv->identify && drv->identify(NULL, filename, &id)));
}

/* Open the nodes below a new image for writing. Takes options out of @kv */
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

/* Check the options of all nodes below the new image: open an existing file with them, before it is emptied */
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

/* Check the options of the nodes below a new image, then make the file. Return the node that made it */
static BlockDriverState *try_and_make(const BlockSource *from, const char *options, const BlockFilePlan *plan,
                                      GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(options, errp);

    return kv && try_file(from, options, errp) ? make_file(from, kv, plan, errp) : NULL;
}

bool bdrv_create_file_for(BlockDriverState *bs, const BlockFilePlan *plan, GError **errp)
{
    BlockPrivate *priv = bs->priv;
    BlockSource from = { priv->tree, bs->filename, priv->storage };

    if (plan->bytes > BLOCK_MAX_SIZE) {
        bdrv_set_error(errp, EFBIG, "a file of %" PRId64 " bytes is more than the %" PRId64 " that can be used",
                       plan->bytes, BLOCK_MAX_SIZE);
        return false;
    }
    g_autofree char *text = keyval_format(priv->options);

    priv->maker = try_and_make(&from, text, plan, errp);
    if (!priv->maker) {
        return false;
    }
    from.storage = priv->maker->priv->storage;        /* the maker's copy says that it is empty now */
    bs->file = open_below(&from, priv->options, BDRV_O_RDWR, errp);
    return bs->file != NULL;
}

bool bdrv_create_file(BlockDriverState *bs, GError **errp)
{
    return bdrv_create_file_for(bs, &(BlockFilePlan) { 0 }, errp);
}

bool bdrv_create_child(BlockDriverState *bs, const char *options, GError **errp)
{
    const BlockSource from = { .tree = bs->priv->tree };
    BlockDriverState *maker = try_and_make(&from, options, &(BlockFilePlan) { 0 }, errp);

    if (maker) {
        block_node_free(maker);
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

/* Set the file name of @bs to that of the file which will be made */
static void name_new(BlockDriverState *bs, const BlockSource *from)
{
    g_autofree char *text = keyval_format(bs->priv->options), *said = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL);
    const char *name = !bs->drv->is_protocol && kv && find_maker(from, kv, &said) ? said : from->filename;

    g_free(bs->filename);
    bs->filename = g_strdup(name ? name : "");
}

static bool create_node(const BlockSource *from, const BlockDriver *drv, KeyVal *kv, GError **errp)
{
    BlockDriverState *bs = block_node_new(from->tree, drv, BDRV_O_RDWR);
    BlockPrivate *priv = bs->priv;

    if (drv->is_protocol) {
        block_name_file(kv, drv->create_options, from->filename);
    }
    priv->storage = block_copy_storage(from->storage);
    priv->options = drv->is_protocol ? keyval_new() : keyval_take_subtree(kv, block_file_key(drv));
    name_new(bs, from);

    bool ok = call_create(bs, kv, false, errp) && flush_created(bs, errp);

    block_close(bs->file);
    if (priv->maker) {
        if (!ok && priv->maker->drv->remove) {
            priv->maker->drv->remove(priv->maker);
        }
        block_node_free(priv->maker);
    }
    block_node_free(bs);
    return ok;
}

BlockDriverState *bdrv_get_given_backing(BlockDriverState *bs)
{
    return bs->priv->tree->backing;
}

/* Return whether two of them lead to the same bytes */
static bool is_same_storage(const BlockStorage *a, const BlockStorage *b)
{
    return a && b && a->read == b->read && a->user == b->user;
}

/* Check that an image of @drv can be made over args->backing. Files are compared by the driver, which knows their names
 * */
static bool may_be_over(const BlockCreateArgs *args, const BlockDriver *drv, GError **errp)
{
    if (args->backing && !drv->open_backing) {
        bdrv_set_error(errp, ENOTSUP, "driver '%s' has no parents", drv->name);
        return false;
    }
    for (BlockDriverState *bs = args->backing; bs; bs = bs->backing) {
        if (is_same_storage(block_lowest(bs)->priv->storage, args->storage)) {
            bdrv_set_error(errp, EINVAL,
                           "the new image would be written over its parent, or over an image that its parent needs");
            return false;
        }
    }
    return true;
}

bool bdrv_create_with(const BlockCreateArgs *args, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(args->options, errp);
    g_autofree char *lowest = NULL;

    if (!kv || !block_take_name(args->filename, kv, &lowest, errp)) {
        return false;
    }
    GError *err = NULL;
    const BlockDriver *drv = block_take_driver(kv, NULL, &err);

    if (err) {
        g_propagate_error(errp, err);
    } else if (!drv) {
        bdrv_set_error(errp, EINVAL, "no driver named");
    } else if (drv && !drv->create) {
        bdrv_set_error(errp, ENOTSUP, "Format driver '%s' does not support image creation", drv->name);
    }
    if (!drv || !drv->create || !may_be_over(args, drv, errp)) {
        return false;
    }
    const BlockSource from = { block_tree_new(), lowest, args->storage };

    from.tree->warn = args->warn;
    from.tree->warn_user = args->user;
    from.tree->backing = args->backing;
    block_begin_progress(from.tree, args->progress, args->user);
    bool ok = create_node(&from, drv, kv, errp);

    block_end_progress(from.tree, "creation", errp);
    block_tell_warning(from.tree, false, errp);
    block_tree_free(from.tree);
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
