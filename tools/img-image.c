/* img-image.c - opens and closes an image that the command line names */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-image.h"
#include "util/keyval.h"

void img_take_option(ImgImage *image, int c)
{
    if (c == 'f') {
        image->format = optarg;
    } else if (c == 'U') {
        image->flags |= BDRV_O_NO_LOCK;
    } else if (c == IMG_OPT_IMAGE_OPTS) {
        image->image_opts = true;
    }
}

/* Print how to give an option, if the error @message advises that option */
static void show_option(const ImgImage *image, const char *message)
{
    const char *option = strstr(message, "parent=FILE") ? "parent=FILE" :
                         strstr(message, "salvage=on") ? "salvage=on" : NULL;
    g_autoptr(KeyVal) own = keyval_new();

    if (!option || tool_is_qemu || image->image_opts || image->named) {
        return;
    }
    keyval_set(own, "driver", "vpc");
    keyval_set(own, "file.filename", image->filename);
    g_autofree char *text = keyval_format(own);

    tool_print_error("Options of an image are given so: --image-opts %s,%s\n", text, option);
}

bool img_open_silently(ImgImage *image, GError **errp)
{
    const char *filename = image->named ? NULL : image->filename;
    GError *err = NULL;

    if (image->image_opts && image->format) {
        tool_error("--image-opts and --format are mutually exclusive");
        bdrv_set_error(errp, EINVAL, "--image-opts and --format are mutually exclusive");
        return false;
    }
    image->bs = tool_open(filename, image->format, image->options, image->image_opts, image->flags, NULL,
                          &err);
    if (!image->bs) {
        tool_error("Could not open '%s': %s", image->filename, bdrv_error_message(err));
        show_option(image, bdrv_error_message(err));
        g_propagate_error(errp, err);
        return false;
    }
    return true;
}

bool img_open(ImgImage *image)
{
    bool ok = img_open_silently(image, NULL);

    if (ok) {
        tool_print_warnings(image->bs, image->filename, &image->warnings);
    }
    return ok;
}

int img_close(ImgImage *image)
{
    int ret;

    if (image->bs) {
        tool_print_warnings(image->bs, image->filename, &image->warnings);
    }
    ret = bdrv_close(image->bs);
    image->bs = NULL;
    return ret;
}

bool img_close_written(ImgImage *image, bool ok)
{
    int ret = img_close(image);

    if (ok && ret < 0) {
        tool_error("error while writing %s: %s", image->filename, g_strerror(-ret));
    }
    return ok && ret == 0;
}

bool img_refuse_snapshot(const ImgImage *image)
{
    tool_error("Failed to load snapshot: Block format '%s' used by device '' does not support temporarily loading "
               "internal snapshots", bdrv_get_driver_name(image->bs));
    return false;
}

void img_warn_of_rest(const ImgImage *image)
{
    BlockInfo *info = tool_is_qemu ? NULL : bdrv_get_info(image->bs, NULL);
    const BlockInfoItem *item = info ? bdrv_info_find(info, "current-size") : NULL;
    int64_t all = item && item->type == BLOCK_INFO_INT ? item->number : 0, read = bdrv_getlength(image->bs);

    if (all > read) {
        tool_warn("%s: only %" PRId64 " of the %" PRId64 " bytes in its footer are read, since the geometry counts "
                  "for the creator in the footer; --image-opts driver=vpc,force_size_calc=current_size,"
                  "file.filename=... reads all of them",
                  image->filename, read, all);
    }
    bdrv_info_free(info);
}

char *img_get_text(BlockDriverState *bs, const char *key)
{
    BlockInfo *info = bdrv_get_info(bs, NULL);
    const BlockInfoItem *item = info ? bdrv_info_find(info, key) : NULL;
    char *text = item ? g_strdup(item->text) : NULL;

    bdrv_info_free(info);
    return text;
}
