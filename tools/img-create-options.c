/* img-create-options.c - the create options of a format, the argument of -o: read, listed, checked, with defaults */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-create-options.h"
#include "util/keyval.h"

bool img_add_create_options(KeyVal *options, const char *text)
{
    g_autoptr(KeyVal) more = keyval_parse(text, NULL);

    if (!more || !keyval_count(more)) {
        tool_error("Invalid option list: %s", text);
        return false;
    }
    for (size_t i = 0; i < keyval_count(more); i++) {
        if (!strcmp(keyval_key(more, i), "driver")) {
            tool_error("Invalid parameter 'driver'");
            return false;
        }
        keyval_set(options, keyval_key(more, i), keyval_value(more, i));
    }
    return true;
}

const BlockDriver *img_find_creator(const char *format, const char *where)
{
    GError *err = NULL;
    const BlockDriver *drv = bdrv_load_driver(format, &err);

    if (!drv && bdrv_error_code(err) != ENOENT) {
        tool_error("%s%s", where, bdrv_error_message(err));
    } else if (!drv) {
        tool_error("%sUnknown file format '%s'", where, format);
    } else if (!drv->create) {
        tool_error("%sFormat driver '%s' does not support image creation", where, drv->name);
        drv = NULL;
    }
    bdrv_error_free(err);
    return drv;
}

bool img_create_help(const KeyVal *options, const BlockDriver *drv)
{
    char *help;

    if (!keyval_get(options, "help") && !keyval_get(options, "?")) {
        return false;
    }
    help = bdrv_options_help(drv->create_options);
    tool_print("Supported %s options:\n%s", drv->name, help);
    free(help);
    return true;
}

const BlockOption *img_find_create_option(const BlockDriver *drv, const char *name)
{
    const BlockOption *opt = drv->create_options;

    while (opt && opt->name && strcmp(opt->name, name)) {
        opt++;
    }
    return opt && opt->name ? opt : NULL;
}

bool img_has_create_option(const BlockDriver *drv, const char *name)
{
    return img_find_create_option(drv, name) != NULL;
}

bool img_check_create_options(const KeyVal *options, const BlockDriver *drv, const char *where)
{
    for (size_t i = 0; i < keyval_count(options); i++) {
        const char *key = keyval_key(options, i);

        /* a dot marks an option of the file below, which the library checks */
        if (!strchr(key, '.') && !img_find_create_option(drv, key)) {
            tool_error("%sInvalid parameter '%s'", where, key);
            return false;
        }
    }
    return true;
}

/* Set QEMU's defaults for raw: the first 4 KiB of a file are filled */
static void set_qemu_defaults_of_raw(KeyVal *options)
{
    const char *preallocation = keyval_get(options, "preallocation");

    if (!preallocation || g_str_equal(preallocation, "off")) {
        keyval_set(options, "preallocation", "first");
    }
}

/* Set QEMU's defaults for VHD: the size is rounded up to one that a geometry can express, or, with force_size, the
 * geometry is the largest one. If an option is given that QEMU does not have, change neither */
static void set_qemu_defaults_of_vpc(KeyVal *options)
{
    bool own = keyval_get(options, "for") || keyval_get(options, "backing_file") || keyval_get(options, "geometry");
    const char *force_size = keyval_get(options, "force_size");

    if (own) {
        return;
    }
    if (!force_size) {
        keyval_set(options, "force_size", "off");
    } else if (g_str_equal(force_size, "on")) {
        keyval_set(options, "geometry", "max");
    }
}

char *img_creation_options(KeyVal *options, const BlockDriver *drv)
{
    if (tool_is_qemu) {
        if (img_find_create_option(drv, "force_size")) {
            set_qemu_defaults_of_vpc(options);
        } else if (img_find_create_option(drv, "preallocation")) {
            set_qemu_defaults_of_raw(options);
        }
    }
    keyval_set(options, "driver", drv->name);
    return keyval_format(options);
}
