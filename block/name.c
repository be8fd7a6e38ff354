/* name.c - image names that stand for options: json:{…}, and PREFIX:… of a driver (nbd://…) */
/* SPDX-License-Identifier: MIT
 *
 * Options that are given beside the name win over those of the name. The name belongs to the file below the format,
 * unless the root's driver is a protocol, or has the name's prefix. In the same way the name goes down past each format
 * and filter that the options name, to the first node without options. util/keyval-json.c reads the JSON.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/drivers.h"
#include "block/layer.h"

#define MAX_PREFIX 1024             /* length of an option key's prefix; limits how deep names may nest */

/* Return the length of PREFIX in "PREFIX:…"; 0: @name is a path */
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

static const BlockDriver *listed_driver_of(const char *name)
{
    const BlockDriver *drv = NULL;

    while ((drv = bdrv_next_driver(drv)) && !has_prefix(drv, name)) {
    }
    return drv;
}

static void unknown_protocol(const char *name, GError **errp)
{
    static const char *const left_out[] = { "nbd", "nbd+tcp", "nbd+unix", NULL };
    g_autofree char *prefix = g_strndup(name, prefix_length(name));

    if (g_strv_contains(left_out, prefix)) {
        bdrv_set_error(errp, ENOTSUP, "driver 'nbd' is not built in");
    } else {
        bdrv_set_error(errp, ENOENT, "Unknown protocol '%s'", prefix);
    }
}

/* Return the driver that parses @name. If none has its prefix, load the module of this name: of "nbd+unix://…" nbd */
static const BlockDriver *driver_of(const char *name, GError **errp)
{
    g_autofree char *word = g_strndup(name, strcspn(name, ":+"));
    const BlockDriver *drv = listed_driver_of(name);

    if (!drv && !bdrv_load_module(word, errp)) {
        return NULL;
    }
    drv = drv ? drv : listed_driver_of(name);
    if (!drv) {
        unknown_protocol(name, errp);
    }
    return drv;
}

/* The state of a name while it is turned into options */
typedef struct Naming {
    KeyVal *kv;
    GString *at;                /* the option prefix of the node that rest names: "", "file.", "file.image." … */
    const char *rest;           /* the part of the name that is left; NULL: none */
} Naming;

static void set_default(const Naming *n, const char *key, const char *value)
{
    g_autofree char *full = g_strconcat(n->at->str, key, NULL);

    if (!keyval_get(n->kv, full)) {
        keyval_set(n->kv, full, value);
    }
}

static void set_defaults(const Naming *n, const KeyVal *options)
{
    for (size_t i = 0; i < keyval_count(options); i++) {
        set_default(n, keyval_key(options, i), keyval_value(options, i));
    }
}

static bool enter_child(Naming *n, const BlockDriver *drv, GError **errp)
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
        set_defaults(n, options);
        n->rest = NULL;
    }
    return options != NULL;
}

/* Turn the name into options of @drv, which has the name's prefix */
static bool take_prefix(Naming *n, const BlockDriver *drv, GError **errp)
{
    const char *rest = NULL;
    char *text = drv->parse_name(n->rest, &rest, errp);
    g_autoptr(KeyVal) options = text ? keyval_parse(text, errp) : NULL;

    free(text);
    if (!options) {
        return false;
    }
    set_default(n, "driver", drv->name);
    set_defaults(n, options);
    n->rest = rest;
    return !rest || enter_child(n, drv, errp);
}

/* Turn one level of the name into options. False on an error, or if the rest is a file name */
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
        return enter_child(n, drv, errp);
    }
    if (named || !prefix_length(n->rest)) {
        return false;
    }
    drv = driver_of(n->rest, errp);
    return drv && take_prefix(n, drv, errp);
}

/* Return the file name of the lowest node of @kv, from @kv; NULL: it has none */
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
        set_default(&n, "filename", n.rest);
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
