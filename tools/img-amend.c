/* img-amend.c - miniblk-img amend: changes fields of an image in place: its id, creator, time or geometry */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-children.h"
#include "tools/img-create-options.h"
#include "tools/img-image.h"
#include "tools/img.h"
#include "util/checked.h"
#include "util/keyval.h"

enum { OPT_FORCE = IMG_OPT_LAST };

typedef struct AmendArgs {
    ImgImage image;
    const char *cache;
    KeyVal *options;
    bool force;                 /* change the id even if there are children, which will not find the image */
} AmendArgs;

static bool amend_parse_args(AmendArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_FORMAT_OPTIONS,
        { "force", 0, NULL, OPT_FORCE }, { 0 }
    };
    bool any = false;
    int c;

    while ((c = img_getopt(argc, argv, ":ho:f:t:pq", long_options)) != -1) {
        if (c == 't') {
            args->cache = optarg;
        } else if (c == OPT_FORCE) {
            args->force = true;
        } else if (c == 'o' && !img_add_create_options(args->options, optarg)) {
            return false;
        }
        any |= c == 'o';
        img_take_option(&args->image, c);
    }
    if (!any) {
        img_usage_error("Must specify options (-o)");
    }
    args->image.filename = optind == argc - 1 ? argv[optind] : NULL;
    return true;
}

/* Return true if images of @drv can be amended. By the name qemu-img none can: the VHD driver of QEMU cannot do it */
static bool can_amend(const BlockDriver *drv)
{
    return drv->amend && !tool_is_qemu;
}

static bool refuse_format(const char *format)
{
    tool_error("Format driver '%s' does not support option amendment", format);
    return false;
}

/* Look for a child that knows the image by its present id. False after a message: there is a child, and no --force */
static bool may_change_id(const AmendArgs *args)
{
    g_autofree char *uuid = img_get_text(args->image.bs, "uuid");
    const char *wanted = keyval_get(args->options, "uuid");
    bool changes = uuid && wanted && g_ascii_strcasecmp(uuid, wanted);
    g_autofree char *child = changes ? img_find_child(args->image.bs, args->image.filename, NULL) : NULL;

    if (child && !args->force) {
        tool_error("'%s' is a child of this image, and would not find it by another unique id: --force changes it all "
                   "the same", child);
        return false;
    }
    if (child) {
        tool_warn("'%s' does not find its parent any more: rebase -u tells it where that is", child);
    }
    return true;
}

static bool change(AmendArgs *args)
{
    ImgImage *image = &args->image;
    g_autofree char *options = keyval_format(args->options);
    GError *err = NULL;

    if (!can_amend(image->bs->drv)) {
        return refuse_format(bdrv_get_driver_name(image->bs));
    }
    if (!may_change_id(args)) {
        return false;
    }
    if (!bdrv_amend(image->bs, options, &err)) {
        tool_error("Could not amend '%s': %s", image->filename, bdrv_error_message(err));
        bdrv_error_free(err);
        return false;
    }
    return true;
}

static bool print_amend_options(const AmendArgs *args)
{
    const BlockDriver *drv = bdrv_find_driver(args->image.format);

    if (!drv || !can_amend(drv)) {
        return drv ? refuse_format(drv->name) : img_find_creator(args->image.format, "") != NULL;
    }
    g_autofree char *help = bdrv_options_help(drv->amend_options);

    tool_print("Supported %s options:\n%s", drv->name, help);
    return true;
}

static bool amend(AmendArgs *args)
{
    ImgImage *image = &args->image;

    if (image->format && (keyval_get(args->options, "help") || keyval_get(args->options, "?"))) {
        return print_amend_options(args);
    }
    if (!image->filename) {
        tool_error("Expecting one image file name");
        return false;
    }
    return img_parse_cache("", args->cache, &image->flags) && img_open(image) && change(args);
}

int img_amend(int argc, char **argv)
{
    g_autoptr(KeyVal) options = keyval_new();
    AmendArgs args = { .image.flags = BDRV_O_RDWR, .cache = "writeback", .options = options };
    bool ok = amend_parse_args(&args, argc, argv) && amend(&args);

    return img_close_written(&args.image, ok) ? EXIT_SUCCESS : EXIT_FAILURE;
}
