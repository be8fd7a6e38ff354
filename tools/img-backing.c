/* img-backing.c - the parent of a new image: -b, -B and -F */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-backing.h"
#include "tools/img-create-options.h"
#include "tools/img-paths.h"
#include "util/keyval.h"

static bool set_option(KeyVal *options, const BlockDriver *drv, const char *where, const char *key,
                       const char *value, const char *what)
{
    if (value && !img_find_create_option(drv, key)) {
        tool_error("%s%s not supported for file format '%s'", where, what, drv->name);
        return false;
    }
    if (value) {
        keyval_set(options, key, value);
    }
    return true;
}

/* Return true if the image at @path is the file @filename, or needs it. @format NULL: vpc */
static bool is_parent_of(const char *path, const char *format, const char *filename)
{
    g_autofree char *options = g_strdup_printf("driver=%s", format ? format : "vpc");
    BlockDriverState *bs = NULL;

    if (g_file_test(filename, G_FILE_TEST_EXISTS)) {
        bs = bdrv_open(path, options, BDRV_O_NO_LOCK, NULL);
    }
    bool found = bs && img_is_file_of(bs, filename);

    bdrv_close(bs);
    return found;
}

bool img_set_backing(KeyVal *options, const BlockDriver *drv, const char *backing, const char *format,
                     const char *filename, const char *where)
{
    if (!set_option(options, drv, where, "backing_file", backing, "Backing file") ||
        !set_option(options, drv, where, "backing_fmt", format, "Backing file format")) {
        return false;
    }
    backing = keyval_get(options, "backing_file");
    if (!backing && keyval_get(options, "backing_fmt")) {
        tool_error("%sBacking format cannot be used without backing file", where);
        return false;
    }
    g_autofree char *path = backing ? img_path_from(filename, backing) : NULL;

    if (path && img_is_same_file(path, filename)) {
        tool_error("%sError: Trying to create an image with the same filename as the backing file", where);
        return false;
    }
    if (path && is_parent_of(path, keyval_get(options, "backing_fmt"), filename)) {
        tool_error("%sparent '%s': the new image would be written over it, or over an image that it needs",
                   where, path);
        return false;
    }
    return true;
}

const char *img_advice_on_parent(const char *image, const char *parent, const char *format)
{
    if (!parent || format || tool_is_qemu || !bdrv_is_path(parent)) {
        return "";
    }
    g_autofree char *path = img_path_from(image, parent);
    const BlockOpenArgs args = { .filename = path, .flags = BDRV_O_PROBE | BDRV_O_NO_BACKING | BDRV_O_NO_LOCK };
    BlockDriverState *bs = bdrv_open_with(&args, NULL);
    bool raw = bs && !strcmp(bdrv_get_driver_name(bs), "raw");

    bdrv_close(bs);
    return raw ? "; without -F a parent is taken for a VHD: -F raw says that it is a raw disk" : "";
}
