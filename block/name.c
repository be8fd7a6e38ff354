/* name.c - names of images that are more than a file's: json:{…}, and PREFIX:… of a driver */
/* SPDX-License-Identifier: MIT
 *
 * A name stands for options. Those given beside it count more. At the root the name is that of the file below the
 * format, unless a driver was named there that is a protocol, or knows the name's prefix. From there it goes down
 * past the formats and filters that were named to where nothing is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/drivers.h"
#include "block/layer.h"

#define MAX_PREFIX 1024             /* of keys: names may nest, and nodes call each other */

/* How long "PREFIX" of "PREFIX:…" is; 0: @name is nothing but a path */
static size_t prefix_length(const char *name)
{
    size_t length = strcspn(name, ":/");

    return name[length] == ':' ? length : 0;
}

static bool has_prefix(const BlockDriver *drv, const char *name)
{
    size_t length = prefix_length(name);

    for (size_t i = 0; length && drv->prefixes && drv->prefixes[i]; i++) {
        if (!strncmp(drv->prefixes[i], name, length) && !drv->prefixes[i][length]) {
            return true;
        }
    }
    return false;
}

static const BlockDriver *driver_of(const char *name)
{
    const BlockDriver *drv = NULL;

    while ((drv = bdrv_next_driver(drv)) && !has_prefix(drv, name)) {
    }
    return drv;
}

static bool unknown_protocol(const char *name, GError **errp)
{
    static const char *const left_out[] = { "nbd", "nbd+tcp", "nbd+unix", NULL };
    g_autofree char *prefix = g_strndup(name, prefix_length(name));

    if (g_strv_contains(left_out, prefix)) {
        bdrv_set_error(errp, ENOTSUP, "driver 'nbd' is not built in");
    } else {
        bdrv_set_error(errp, ENOENT, "Unknown protocol '%s'", prefix);
    }
    return false;
}

/* What is being made of a name */
typedef struct Naming {
    KeyVal *kv;
    GString *at;                /* "", "file.", "file.image." … of the node that the rest is the name of */
    const char *rest;           /* NULL: nothing is left */
} Naming;

static void give(const Naming *n, const char *key, const char *value)
{
    g_autofree char *full = g_strconcat(n->at->str, key, NULL);

    if (!keyval_get(n->kv, full)) {
        keyval_set(n->kv, full, value);
    }
}

static void give_all(const Naming *n, const KeyVal *options)
{
    for (size_t i = 0; i < keyval_count(options); i++) {
        give(n, keyval_key(options, i), keyval_value(options, i));
    }
}

static bool go_down(Naming *n, const BlockDriver *drv, GError **errp)
{
    g_string_append_printf(n->at, "%s.", drv && drv->file_key ? drv->file_key : "file");
    if (n->at->len > MAX_PREFIX) {
        bdrv_set_error(errp, EINVAL, "the name has too many levels");
        return false;
    }
    return true;
}

static bool take_json(Naming *n, GError **errp)
{
    g_autoptr(KeyVal) options = keyval_parse_json(n->rest + strlen("json:"), errp);

    if (options) {
        give_all(n, options);
        n->rest = NULL;
    }
    return options != NULL;
}

/* @drv was found by the name's prefix */
static bool take_prefix(Naming *n, const BlockDriver *drv, GError **errp)
{
    const char *rest = NULL;
    char *text = drv->parse_name(n->rest, &rest, errp);
    g_autoptr(KeyVal) options = text ? keyval_parse(text, errp) : NULL;

    free(text);
    if (!options) {
        return false;
    }
    give(n, "driver", drv->name);
    give_all(n, options);
    n->rest = rest;
    return !rest || go_down(n, drv, errp);
}

/* One step; false: an error, or it can't be taken further */
static bool take_step(Naming *n, GError **errp)
{
    g_autofree char *key = g_strconcat(n->at->str, "driver", NULL);
    const char *named = keyval_get(n->kv, key);
    const BlockDriver *drv = named ? bdrv_find_driver(named) : NULL;

    if (g_str_has_prefix(n->rest, "json:")) {
        return take_json(n, errp);
    }
    if (drv && has_prefix(drv, n->rest)) {
        return take_prefix(n, drv, errp);
    }
    if (named ? drv && !drv->is_protocol : !n->at->len) {
        return go_down(n, drv, errp);
    }
    if (named || !prefix_length(n->rest)) {
        return false;
    }
    drv = driver_of(n->rest);
    return drv ? take_prefix(n, drv, errp) : unknown_protocol(n->rest, errp);
}

/* The name of the file at the bottom of what @kv says, in it; NULL: not there */
static const char *lowest_name(const KeyVal *kv)
{
    g_autoptr(GString) at = g_string_new(NULL);

    for (;;) {
        g_autofree char *key = g_strconcat(at->str, "driver", NULL), *filename = g_strconcat(at->str, "filename", NULL);
        const char *named = keyval_get(kv, key);
        const BlockDriver *drv = named ? bdrv_find_driver(named) : NULL;

        if (named ? !drv || drv->is_protocol : at->len > 0) {
            return keyval_get(kv, filename);
        }
        g_string_append_printf(at, "%s.", drv && drv->file_key ? drv->file_key : "file");
    }
}

static bool take_steps(Naming *n, GError **errp)
{
    GError *err = NULL;

    while (n->rest && take_step(n, &err)) {
    }
    if (err) {
        g_propagate_error(errp, err);
    }
    return !err;
}

bool block_take_name(const char *name, KeyVal *kv, char **filename, GError **errp)
{
    g_autoptr(GString) at = g_string_new(NULL);
    Naming n = { kv, at, name };
    bool ok = take_steps(&n, errp);

    *filename = ok ? g_strdup(n.rest ? n.rest : lowest_name(kv)) : NULL;
    return ok;
}

char *bdrv_name_options(const char *name, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    g_autoptr(GString) at = g_string_new(NULL);
    Naming n = { kv, at, name };

    if (!take_steps(&n, errp)) {
        return NULL;
    }
    if (n.rest) {
        give(&n, "filename", n.rest);
    }
    return keyval_format(kv);
}

bool bdrv_is_path(const char *name)
{
    return !prefix_length(name);
}

char *bdrv_parse_path_name(const char *name, const char **rest, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    const char *path = name + prefix_length(name) + 1;

    if (!*path) {
        bdrv_set_error(errp, EINVAL, "The '%.*s' block driver requires a file name", (int)(path - 1 - name), name);
        return NULL;
    }
    keyval_set(kv, "filename", path);
    return keyval_format(kv);
}
