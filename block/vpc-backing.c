/* vpc-backing.c - VHD: find the parent of a differencing disk, and open it if it is the right one */
/* SPDX-License-Identifier: MIT
 *
 * What the user names is taken. Else the places that the image names are tried in the order of
 * vpc-parent.c, and the first image there with the right unique id is the parent.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "block/drivers.h"
#include "block/vpc.h"
#include "block/vpc-parent.h"
#include "util/be.h"
#include "util/keyval.h"

char *vpc_uuid_text(const uint8_t u[16])
{
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
                           u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

/* Parents of the parent are looked for by the same rules */
static char *inherited_options(BlockDriverState *bs)
{
    const VpcOptions *o = &((VpcState *)bs->state)->options;
    const char *driver = bdrv_get_backing_option(bs, "driver");
    g_autofree char *depth = g_strdup_printf("%" PRId64, o->max_depth);
    const char *const inherited[][2] = {
        { "driver", "vpc" }, { "parent-search", o->search }, { "parent-root", o->root }, { "drives", o->drives },
        { "ignore-parent-id", o->ignore_id ? "on" : NULL }, { "max-depth", depth },
    };
    g_autoptr(KeyVal) kv = keyval_new();

    for (size_t i = 0; i < G_N_ELEMENTS(inherited) && (!driver || bdrv_find_driver(driver) == &bdrv_vpc); i++) {
        if (inherited[i][1]) {
            keyval_set(kv, inherited[i][0], inherited[i][1]);
        }
    }
    return keyval_format(kv);
}

/* False, and @errp set, if @path leads out of the folder that parents are kept to */
static bool is_inside(const char *root, const char *path, GError **errp)
{
    if (!root) {
        return true;
    }
    char *inside = realpath(root, NULL), *real = realpath(path, NULL);
    size_t length = inside ? strlen(inside) : 0;
    bool ok = inside && real && !strncmp(real, inside, length) && (real[length] == '/' || length == 1);

    if (!ok) {
        bdrv_set_error(errp, EACCES, "it is not inside the folder '%s'", root);
    }
    free(inside);
    free(real);
    return ok;
}

/* A raw parent has no unique id, and its child names none */
static bool is_parent(BlockDriverState *bs, BlockDriverState *backing, GError **errp)
{
    static const uint8_t none[16];
    VpcState *s = bs->state;
    const VpcState *parent = backing->state;
    const uint8_t *id = backing->drv == &bdrv_vpc ? parent->footer.uuid : none;

    if (s->options.ignore_id || !memcmp(id, s->header.parent_uuid, 16)) {
        return true;
    }
    g_autofree char *has = vpc_uuid_text(id), *want = vpc_uuid_text(s->header.parent_uuid);

    bdrv_set_error(errp, EINVAL, "its unique id is %s, the parent's is %s", has, want);
    return false;
}

static BlockDriverState *open_inside(BlockDriverState *bs, const char *path, GError **errp)
{
    VpcState *s = bs->state;
    g_autofree char *options = inherited_options(bs);

    return path && !is_inside(s->options.root, path, errp) ? NULL : bdrv_open_backing(bs, path, options, errp);
}

BlockDriverState *vpc_open_parent(BlockDriverState *bs, const char *filename, GError **errp)
{
    g_autofree char *path = vpc_parent_path(bs->filename, filename);

    return open_inside(bs, path, errp);
}

static BlockDriverState *try_parent(BlockDriverState *bs, const char *path, GError **errp)
{
    BlockDriverState *backing = open_inside(bs, path, errp);

    if (backing && !is_parent(bs, backing, errp)) {
        bdrv_close_backing(backing);
        backing = NULL;
    }
    return backing;
}

/* Until bs->backing is there */
typedef struct Search {
    BlockDriverState *bs;
    VpcLocatorData locators[VPC_LOCATORS];
    GString *tried;             /* what it was not, and why */
    GError *stop;               /* nothing else is worth a try; or NULL */
} Search;

static bool is_over(const Search *search)
{
    return search->bs->backing || search->stop;
}

static void try_place(Search *search, const VpcCandidate *place)
{
    GError *err = NULL;

    search->bs->backing = try_parent(search->bs, place->path, &err);
    if (!err) {
        return;
    }
    if (bdrv_error_code(err) == EMFILE || bdrv_error_code(err) == ENFILE) {
        search->stop = err;
        return;
    }
    g_string_append_printf(search->tried, "%s %s (%s): %s", search->tried->len ? ";" : "",
                           place->path, place->source, err->message);
    g_error_free(err);
}

/* Those from @first on */
static void try_places(Search *search, const GPtrArray *places, guint first)
{
    for (guint i = first; i < places->len && !is_over(search); i++) {
        try_place(search, g_ptr_array_index(places, i));
    }
}

/* Folders are listed only if nothing else helps: in a long chain, each of them would be once for each image */
static void try_all(Search *search)
{
    VpcState *s = search->bs->state;
    VpcParentRules rules = { s->options.drives, s->options.search, .exact = true };
    g_autoptr(GPtrArray) places = vpc_parent_candidates(&s->header, search->locators, search->bs->filename, &rules);

    try_places(search, places, 0);
    if (!is_over(search)) {
        rules.exact = false;
        g_autoptr(GPtrArray) more = vpc_parent_candidates(&s->header, search->locators, search->bs->filename, &rules);

        try_places(search, more, places->len);
    }
}

static bool not_found(Search *search, GError **errp)
{
    VpcState *s = search->bs->state;
    g_autofree char *id = vpc_uuid_text(s->header.parent_uuid);

    if (search->stop) {
        g_propagate_error(errp, search->stop);
    } else {
        const char *tried = search->tried->len ? search->tried->str : " the image names no place to look at";

        bdrv_set_error(errp, ENOENT, "could not find the parent of this differencing disk, with the unique id %s:%s",
                       id, tried);
    }
    return false;
}

static bool search_parent(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    Search search = { .bs = bs };

    if (!vpc_read_locators(bs, &s->header, search.locators, errp)) {
        return false;
    }
    search.tried = g_string_new(NULL);
    try_all(&search);
    bool found = bs->backing || not_found(&search, errp);

    g_string_free(search.tried, TRUE);
    vpc_free_locators(search.locators);
    return found;
}

/* What the user's options say */
static bool open_named(BlockDriverState *bs, GError **errp)
{
    const char *parent = ((VpcState *)bs->state)->options.parent;
    const char *file = bdrv_get_backing_option(bs, "file.filename"), *name = file ? file : parent;

    bs->backing = try_parent(bs, parent, errp);
    if (!bs->backing && name) {
        g_prefix_error(errp, "parent '%s': ", name);
    } else if (!bs->backing) {
        g_prefix_error(errp, "parent: ");
    }
    return bs->backing;
}

/* Signs that a parent was changed behind its child's back; copying files makes them, too */
static void compare_with_parent(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    uint32_t stored = be32_load(s->header.parent_timestamp);
    struct stat st;

    if (stored && stat(bs->backing->filename, &st) == 0 && (int64_t)st.st_mtime - VPC_EPOCH != stored) {
        bdrv_warn(bs, "parent '%s' was changed at another time than this image remembers (%" PRId64 " seconds apart)",
                  bs->backing->filename, (int64_t)st.st_mtime - VPC_EPOCH - stored);
    }
    if (bdrv_node_size(bs->backing) > bs->size) {
        bdrv_warn(bs, "parent '%s' has %" PRId64 " bytes, more than the %" PRId64 " of this image",
                  bs->backing->filename, bdrv_node_size(bs->backing), bs->size);
    }
}

bool vpc_open_backing(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;

    if (!s->differencing) {
        return true;
    }
    if (bdrv_is_probed(bs)) {
        bdrv_set_error(errp, EACCES, "this is a differencing disk, but its format was only guessed: that is not enough "
                       "to open another file for it, name the driver");
        return false;
    }
    if (bdrv_backing_depth(bs) >= s->options.max_depth) {
        bdrv_set_error(errp, ELOOP, "'%s', %u images down the chain, has a parent, too: max-depth is %" PRId64,
                       bs->filename, bdrv_backing_depth(bs), s->options.max_depth);
        return false;
    }
    bool named = s->options.parent || bdrv_get_backing_option(bs, "file.filename") ||
                 bdrv_get_backing_option(bs, "file.driver");

    if (!(named ? open_named(bs, errp) : search_parent(bs, errp))) {
        return false;
    }
    compare_with_parent(bs);
    return true;
}
