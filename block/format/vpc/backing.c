/* backing.c - VHD: finds the image behind a differencing disk, and opens it */
/* SPDX-License-Identifier: MIT
 *
 * VHD calls that image the parent of the disk, and the layer calls it the backing. If the user names it, that image is
 * taken. Else the program's resolver is asked, and the images that it offers are tried. Then, if the resolver allows
 * it, the paths are tried that the image names, in the order of vpc/candidates.c. The first image with the unique id
 * that the header remembers is taken; the rule is vpc_judge_backing() in vpc/judge.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/drivers.h"
#include "block/format/vpc/backing.h"
#include "block/format/vpc/candidates.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/keyval.h"

/* Return the options with which the backing is opened, and its own backing is looked for: those of @bs. @offered: the
 * driver, if the user names none; or NULL */
static char *inherited_options(BlockDriverState *bs, const char *offered)
{
    const VpcOptions *o = &((VpcState *)bs->state)->options;
    const char *said = bdrv_get_backing_option(bs, "driver"), *driver = said ? said : offered;
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

/* Return the options of an image that the user names. @said: the options that the name stands for; they count more than
 * inherited ones */
static char *named_options(BlockDriverState *bs, const char *said, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(said, errp);
    g_autofree char *inherited = kv ? inherited_options(bs, keyval_get(kv, "driver")) : NULL;

    return kv ? g_strdup_printf("%s%s%s", inherited, *inherited && *said ? "," : "", said) : NULL;
}

/* Return the folder that all images behind @bs have to be in; NULL: there is none */
static const char *root_of(BlockDriverState *bs)
{
    const char *root = ((VpcState *)bs->state)->options.root;

    return root ? root : bdrv_get_backing_root(bs);
}

GPtrArray *vpc_parent_places(BlockDriverState *bs, const VpcLocatorData locators[VPC_LOCATORS], bool exact)
{
    VpcState *s = bs->state;
    BlockFileFacts facts;

    bdrv_get_file_facts(bs, &facts);
    const VpcParentRules rules = {
        s->options.drives, s->options.search, .exact = exact, .root = root_of(bs), .real = facts.path,
    };
    GPtrArray *places = vpc_parent_candidates(&s->header, locators, bs->filename, &rules);

    free(facts.path);
    return places;
}

/* Return whether @backing has the unique id that @bs remembers of its parent, or ignore-parent-id is on */
static bool has_right_id(BlockDriverState *bs, BlockDriverState *backing, GError **errp)
{
    static const uint8_t none[16];
    VpcState *s = bs->state;

    if (s->options.ignore_id || !(vpc_judge_backing(&s->header, backing, bs->size) & VPC_BACKING_OTHER_ID)) {
        return true;
    }
    const uint8_t *id = backing->drv == &bdrv_vpc ? ((const VpcState *)backing->state)->footer.uuid : none;
    g_autofree char *has = vpc_uuid_text(id), *want = vpc_uuid_text(s->header.parent_uuid);

    bdrv_set_error(errp, EINVAL, "its unique id is %s, the parent's is %s", has, want);
    return false;
}

static BlockDriverState *open_inside(BlockDriverState *bs, const BlockBackingOffer *offer, GError **errp)
{
    BlockBackingOffer kept = *offer;
    g_autofree char *options = inherited_options(bs, offer->driver);

    kept.root = ((VpcState *)bs->state)->options.root;
    return bdrv_open_offer(bs, &kept, options, errp);
}

static BlockDriverState *open_by_name(BlockDriverState *bs, const char *name, GError **errp)
{
    const BlockBackingOffer unnamed = { 0 };
    char *said = bdrv_name_options(name, errp);
    g_autofree char *options = said ? named_options(bs, said, errp) : NULL;

    free(said);
    if (options && root_of(bs)) {
        bdrv_set_error(errp, EACCES, "it is not a path, and parent-root= is there");
        return NULL;
    }
    return options ? bdrv_open_offer(bs, &unnamed, options, errp) : NULL;
}

char *vpc_parent_path(const char *child, const char *parent)
{
    if (!bdrv_is_path(parent)) {
        return g_strdup(parent);
    }
    g_autofree char *folder = g_path_get_dirname(child);

    return g_path_is_absolute(parent) || !strcmp(folder, ".") ? g_strdup(parent)
                                                              : g_build_filename(folder, parent, NULL);
}

BlockDriverState *vpc_open_other_backing(BlockDriverState *bs, const char *filename, GError **errp)
{
    g_autofree char *path = vpc_parent_path(bs->filename, filename);
    const BlockBackingOffer offer = { .filename = path };

    return bdrv_is_path(filename) ? open_inside(bs, &offer, errp) : open_by_name(bs, filename, errp);
}

/* Return @backing if it has the right id; else close it and return NULL */
static BlockDriverState *keep_if_right(BlockDriverState *bs, BlockDriverState *backing, GError **errp)
{
    if (backing && !has_right_id(bs, backing, errp)) {
        bdrv_close_backing(backing);
        backing = NULL;
    }
    return backing;
}

/* Open the image that was offered if it has the right id. One that @bs itself names is first opened for reading, and
 * for writing only if it is right */
static BlockDriverState *try_backing(BlockDriverState *bs, const BlockBackingOffer *offer, GError **errp)
{
    if (offer->by_image && bdrv_is_backing_written(bs)) {
        BlockBackingOffer look = *offer;

        look.only_read = true;
        BlockDriverState *found = keep_if_right(bs, open_inside(bs, &look, errp), errp);
        if (!found) {
            return NULL;
        }
        bdrv_close_backing(found);
    }
    return keep_if_right(bs, open_inside(bs, offer, errp), errp);
}

/* Until bs->backing is there */
typedef struct BackingSearch {
    BlockDriverState *bs;
    VpcLocatorData locators[VPC_LOCATORS];
    GString *tried;             /* the images that were tried, and why each was not taken */
    GError *stop;               /* why no other place is to be tried; or NULL */
} BackingSearch;

static bool is_over(const BackingSearch *search)
{
    return search->bs->backing || search->stop;
}

/* Return whether the backing may be a raw disk. An image that miniblk made, and that remembers no unique id, is over a
 * raw disk or over a VHD without an id; other programs put no image over a raw disk. Any file can be read as a raw
 * disk. So the caller allows it only below the folders to look in: a hostile image must not show other files to its
 * guest */
static bool may_be_raw(BlockDriverState *bs, const BlockBackingOffer *offer)
{
    const VpcState *s = bs->state;

    return !vpc_has_id(s->header.parent_uuid) && vpc_creator_is(&s->footer, "qem2") && !offer->driver &&
           !offer->storage && !bdrv_get_backing_option(bs, "driver");
}

/* Open the offer as a raw disk, if it looks like nothing else. NULL: it looks like something else, or can't be opened,
 * which was reported before */
static BlockDriverState *try_raw(BlockDriverState *bs, const BlockBackingOffer *offer)
{
    g_autofree char *driver = g_strdup("raw");
    BlockBackingOffer raw = *offer;
    int score;

    raw.driver = driver;
    BlockDriverState *found = try_backing(bs, &raw, NULL);
    if (found && bdrv_probe(found->file, false, &score, NULL) != &bdrv_raw) {
        bdrv_close_backing(found);
        found = NULL;
    }
    return found;
}

/* Open the offer as bs->backing, or note why it is not taken. @raw: a raw disk may be opened there */
static void try_offer(BackingSearch *search, const BlockBackingOffer *offer, const char *source, bool raw)
{
    GError *err = NULL;

    search->bs->backing = try_backing(search->bs, offer, &err);
    if (err && raw && bdrv_error_code(err) == EINVAL && may_be_raw(search->bs, offer)) {
        search->bs->backing = try_raw(search->bs, offer);
    }
    if (search->bs->backing) {
        g_clear_error(&err);
    }
    if (!err) {
        return;
    }
    if (bdrv_error_code(err) == EMFILE || bdrv_error_code(err) == ENFILE) {
        search->stop = err;
        return;
    }
    if (bdrv_error_code(err) == EAGAIN) {   /* locked: a copy at the next place may be an old one */
        g_prefix_error(&err, "parent '%s' (%s): ", offer->filename ? offer->filename : "storage", source);
        search->stop = err;
        return;
    }
    ((VpcState *)search->bs->state)->parent_loops |= bdrv_error_code(err) == ELOOP;
    g_string_append_printf(search->tried, "%s %s (%s): %s", search->tried->len ? ";" : "",
                           offer->filename ? offer->filename : "storage", source, err->message);
    g_error_free(err);
}

/* Try the places from @first on */
static void try_places(BackingSearch *search, const GPtrArray *places, guint first)
{
    for (guint i = first; i < places->len && !is_over(search); i++) {
        const VpcCandidate *place = g_ptr_array_index(places, i);

        if (place->cut) {
            g_string_append_printf(search->tried, "%s %s (%s): only %d of its entries were compared",
                                   search->tried->len ? ";" : "", place->path, place->source, VPC_PARENT_ENTRIES);
            continue;
        }
        try_offer(search, &(BlockBackingOffer) { .filename = place->path, .by_image = true }, place->source,
                  place->below && place->exact);
    }
}

/* Ask the program's resolver, and try what it offers. True: the image's own places may be looked at, too */
static bool try_resolver(BackingSearch *search, const GPtrArray *places)
{
    BlockDriverState *bs = search->bs;
    const VpcHeader *header = &((VpcState *)bs->state)->header;
    g_autofree char *uuid = vpc_has_id(header->parent_uuid) ? vpc_uuid_text(header->parent_uuid) : NULL;
    g_autoptr(GPtrArray) names = vpc_parent_names(header, search->locators), paths = g_ptr_array_new();

    for (guint i = 0; i < places->len; i++) {
        g_ptr_array_add(paths, ((const VpcCandidate *)places->pdata[i])->path);
    }
    g_ptr_array_add(paths, NULL);
    BlockBackingAnswer *answer = bdrv_ask_for_backing(bs, uuid, (const char *const *)names->pdata,
                                                     (const char *const *)paths->pdata);
    bool go_on = answer->search;

    for (size_t i = 0; i < answer->count && !is_over(search); i++) {
        try_offer(search, &answer->offers[i], "the program's resolver", false);
    }
    if (!go_on && !search->tried->len) {
        g_string_append(search->tried, " the program's resolver knows none, and wants no other place looked at");
    }
    bdrv_backing_answer_free(answer);
    return go_on;
}

/* Try all places. Folders are listed only if nothing else helps: in a long chain, each of them would be once for each
 * image */
static void try_all(BackingSearch *search)
{
    g_autoptr(GPtrArray) places = vpc_parent_places(search->bs, search->locators, true);

    if (bdrv_has_resolver(search->bs) && !try_resolver(search, places)) {
        return;
    }
    try_places(search, places, 0);
    if (!is_over(search)) {
        g_autoptr(GPtrArray) more = vpc_parent_places(search->bs, search->locators, false);

        try_places(search, more, places->len);
    }
}

static bool not_found(BackingSearch *search, GError **errp)
{
    VpcState *s = search->bs->state;
    g_autofree char *id = vpc_uuid_text(s->header.parent_uuid);

    if (search->stop) {
        g_propagate_error(errp, search->stop);
    } else {
        const char *tried = search->tried->len ? search->tried->str : " the image names no place to look at";

        bdrv_set_error(errp, ENOENT, "could not find the parent of this differencing disk, with the unique id %s:%s; "
                       "parent=FILE says where it is, parent-search=FOLDER in which folder it has that name; rebase -u "
                       "-b FILE writes that into the image; backing= reads what this image has by itself", id, tried);
    }
    return false;
}

static bool search_backing(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    BackingSearch search = { .bs = bs };

    vpc_read_locators(bs, &s->header, search.locators);
    search.tried = g_string_new(NULL);
    try_all(&search);
    bool found = bs->backing || not_found(&search, errp);

    g_string_free(search.tried, TRUE);
    vpc_free_locators(search.locators);
    return found;
}

/* Open what the user's options say */
static bool open_named(BlockDriverState *bs, GError **errp)
{
    const BlockBackingOffer offer = { .filename = ((VpcState *)bs->state)->options.parent };
    const char *file = bdrv_get_backing_option(bs, "file.filename"), *name = file ? file : offer.filename;

    bs->backing = offer.filename && !bdrv_is_path(offer.filename)
                  ? keep_if_right(bs, open_by_name(bs, offer.filename, errp), errp) : try_backing(bs, &offer, errp);
    if (!bs->backing && name) {
        g_prefix_error(errp, "parent '%s': ", name);
    } else if (!bs->backing) {
        g_prefix_error(errp, "parent: ");
    }
    return bs->backing;
}

bool vpc_when_changed(BlockDriverState *bs, int64_t *seconds)
{
    BlockFileFacts facts;
    bool known = bdrv_get_file_facts(bs, &facts);

    free(facts.path);
    *seconds = facts.modified - VPC_EPOCH;
    return known;
}

bool vpc_changed_since(BlockDriverState *bs, BlockDriverState *parent, int64_t *apart)
{
    const VpcState *s = bs->state;
    uint32_t stored = be32_load(s->header.parent_timestamp);
    int64_t changed;

    if (!stored || !vpc_when_changed(parent, &changed)) {
        return false;
    }
    *apart = changed - stored;
    return *apart != 0;
}

bool vpc_remember_parent(const char *child, BlockDriverState *parent, const char *name, VpcHeader *header,
                         VpcLocatorData out[3], GError **errp)
{
    int64_t changed;

    if (parent->drv == &bdrv_vpc) {     /* others have no id */
        memcpy(header->parent_uuid, ((const VpcState *)parent->state)->footer.uuid, sizeof(header->parent_uuid));
    }
    bool there = vpc_when_changed(parent, &changed);

    if (*name && !there && !bdrv_is_path(name)) {
        bdrv_set_error(errp, EINVAL, "'%s' is not a file, and nothing else can be named in a VHD", name);
        return false;
    }
    if (there && changed > 0) {
        be32_store(header->parent_timestamp, (uint32_t)changed);
    }
    return !*name || vpc_describe_parent(child, name, header, out, errp);
}

static char *name_of(BlockDriverState *bs)
{
    return *bs->filename ? g_strdup_printf("'%s'", bs->filename) : g_strdup("(in storage)");
}

/* Warn of signs that a parent was changed behind its child's back; copying files makes them, too */
static void compare_with_backing(BlockDriverState *bs)
{
    const VpcState *s = bs->state;
    unsigned odd = vpc_judge_backing(&s->header, bs->backing, bs->size);
    int64_t apart;

    if (vpc_changed_since(bs, bs->backing, &apart)) {
        bdrv_warn(bs, "L4", "parent '%s' was changed at another time than this image remembers (%" PRId64 " seconds "
                  "apart)", bs->backing->filename, apart);
    }
    if (odd & VPC_BACKING_SHORTER && odd & VPC_BACKING_NAMES_MORE) {
        g_autofree char *name = name_of(bs->backing);

        bdrv_warn(bs, "size", "parent %s is read as a disk of %" PRId64 " bytes, by its geometry, and its footer names "
                  "more: what is behind them reads as zeroes; backing.force_size_calc=current_size reads all", name,
                  bdrv_node_size(bs->backing));
    }
    if (odd & VPC_BACKING_LONGER) {
        g_autofree char *name = name_of(bs->backing);

        bdrv_warn(bs, "L6", "parent %s has %" PRId64 " bytes, more than the %" PRId64 " of this image", name,
                  bdrv_node_size(bs->backing), bs->size);
    }
}

bool vpc_open_backing(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;

    if (!s->differencing) {
        if (s->options.parent) {
            bdrv_warn(bs, "ignored", "parent= is without effect: the image is no differencing disk");
        }
        return true;
    }
    if (bdrv_is_probed(bs)) {
        bdrv_set_error(errp, EACCES, "this is a differencing disk, but its format was only guessed: that is not enough "
                       "to open another file for it, name the driver (-f vpc, driver=vpc)");
        return false;
    }
    if (bdrv_backing_depth(bs) >= s->options.max_depth) {
        g_autofree char *name = name_of(bs);

        bdrv_set_error(errp, ELOOP, "%s, %u images down the chain, has a parent, too: max-depth is %" PRId64, name,
                       bdrv_backing_depth(bs), s->options.max_depth);
        return false;
    }
    bool named = s->options.parent || bdrv_get_backing_option(bs, "file.filename") ||
                 bdrv_get_backing_option(bs, "file.driver");

    if (!(named ? open_named(bs, errp) : search_backing(bs, errp))) {
        return false;
    }
    compare_with_backing(bs);
    return true;
}
