/* img-chain.c - the parents of an image, even where one of them cannot be opened */
/* SPDX-License-Identifier: MIT
 *
 * The library looks for parents by its own rules, and refuses a chain that is broken. Before it looks for a parent, it
 * asks the resolver. The resolver in this file offers nothing and remembers each question: the last one tells which
 * parent is missing.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "tools/common.h"
#include "tools/img-chain.h"
#include "tools/img-image.h"
#include "tools/img-paths.h"
#include "util/keyval.h"

typedef struct Chain {
    GPtrArray *images;          /* of ChainImage */
    const char *rules;          /* the user's options about parents; "": none */
    char *top;                  /* filename of the first image; NULL: not known */
    char **places;              /* paths of the parent that was asked for last; NULL: none was */
    char *uuid;                 /* its unique id; NULL: none */
} Chain;

static void free_image(void *data)
{
    ChainImage *image = data;

    g_free(image->filename);
    g_free(image->options);
    g_free(image);
}

static char *options_of(const Chain *chain, const char *filename, const char *driver)
{
    g_autoptr(KeyVal) options = keyval_new();

    keyval_set(options, "driver", driver);
    keyval_set(options, "file.filename", filename);
    g_autoptr(KeyVal) rules = keyval_parse(chain->rules, NULL);

    for (size_t i = 0; rules && i < keyval_count(rules); i++) {
        if (!strcmp(driver, "vpc") || !strcmp(keyval_key(rules, i), "force-share")) {   /* others have no parents */
            keyval_set(options, keyval_key(rules, i), keyval_value(rules, i));
        }
    }
    return keyval_format(options);
}

static void add_image(Chain *chain, const char *filename, const char *driver)
{
    ChainImage *image = g_new0(ChainImage, 1);

    image->filename = g_strdup(filename);
    image->options = options_of(chain, filename, driver);
    g_ptr_array_add(chain->images, image);
}

/* Remember the question of the library: the image that asks is part of the chain. It is the find() of a
 * BlockResolver, and finds nothing. Only VHDs have parents */
static bool remember(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Chain *chain = user;

    if (query->depth > 1) {
        add_image(chain, query->overlay, "vpc");
    } else {
        chain->top = g_strdup(query->overlay);
    }
    g_strfreev(chain->places);
    g_free(chain->uuid);
    chain->places = g_strdupv((char **)query->places);
    chain->uuid = g_strdup(query->uuid);
    return true;
}

/* Return true if this file can be opened by itself, and is not the parent that was asked for */
static bool is_another(const Chain *chain, const char *options)
{
    BlockDriverState *bs = bdrv_open(NULL, options, BDRV_O_NO_BACKING, NULL);
    BlockInfo *info = bs ? bdrv_get_info(bs, NULL) : NULL;
    const BlockInfoItem *uuid = info ? bdrv_info_find(info, "uuid") : NULL;
    bool another = uuid && uuid->text && chain->uuid && strcmp(uuid->text, chain->uuid);

    bdrv_info_free(info);
    bdrv_close(bs);
    return another;
}

/* Return true if the file @filename is in the chain already: a chain may lead to itself */
static bool is_known(const Chain *chain, const char *filename)
{
    bool known = chain->top && img_is_same_file(chain->top, filename);

    for (guint i = 0; i < chain->images->len; i++) {
        const ChainImage *image = g_ptr_array_index(chain->images, i);

        known |= img_is_same_file(image->filename, filename);
    }
    return known;
}

/* Add the file which is at the place of the parent, and which the library could not open */
static void add_broken(Chain *chain)
{
    struct stat st;

    for (char **place = chain->places; place && *place; place++) {
        g_autofree char *options = options_of(chain, *place, "vpc");

        if (stat(*place, &st) == 0 && S_ISREG(st.st_mode) && !is_known(chain, *place) && !is_another(chain, options)) {
            add_image(chain, *place, "vpc");
            return;
        }
    }
}

/* Collect the user's options that hold for the whole chain */
static char *find_rules(const ImgImage *image)
{
    static const char *const keys[] = { "drives", "parent-search", "parent-root", "force-share", NULL };
    g_autoptr(KeyVal) rules = keyval_new(), given = image->image_opts ? keyval_parse(image->filename, NULL) : NULL;

    for (const char *const *key = keys; given && *key; key++) {
        if (keyval_get(given, *key)) {
            keyval_set(rules, *key, keyval_get(given, *key));
        }
    }
    return keyval_format(rules);
}

GPtrArray *img_find_chain(const ImgImage *image, char **end)
{
    g_autofree char *rules = find_rules(image);
    Chain chain = { g_ptr_array_new_with_free_func(free_image), rules };
    const BlockResolver resolver = { &chain, remember };
    unsigned flags = image->flags & ~(unsigned)(BDRV_O_CHECK | BDRV_O_RDWR);
    GError *err = NULL;
    BlockDriverState *bs = tool_open(image->filename, image->format, image->options, image->image_opts, flags,
                                     &resolver, &err);

    *end = NULL;
    if (bs) {
        g_ptr_array_set_size(chain.images, 0);      /* use the chain that the library has opened */
        for (BlockDriverState *p = bdrv_get_backing(bs); p; p = bdrv_get_backing(p)) {
            add_image(&chain, bdrv_get_filename(p), bdrv_get_driver_name(p));
        }
    } else {
        *end = g_strdup(bdrv_error_message(err));
        if (!strstr(rules, "parent-root=")) {       /* with a root, nothing outside of it is looked at */
            add_broken(&chain);
        }
    }
    bdrv_close(bs);
    bdrv_error_free(err);
    g_strfreev(chain.places);
    g_free(chain.uuid);
    g_free(chain.top);
    return chain.images;
}
