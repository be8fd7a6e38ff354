/* img-convert.c - miniblk-img convert: copy an image into another, perhaps of another format */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tools/img-convert.h"

static bool create_target(ConvertArgs *args, const BlockDriver *drv)
{
    g_autofree char *size = g_strdup_printf("%" PRId64, bdrv_getlength(args->from.bs));
    g_autofree char *doing = g_strdup_printf("error while converting %s: ", drv->name);

    keyval_set(args->options, "size", size);
    if ((args->to.flags & BDRV_O_NO_FLUSH) && !drv->is_protocol) {
        keyval_set(args->options, "file.cache.no-flush", "on");
    }
    return img_create_image(args->to.filename, drv, args->options, doing);
}

static bool copy(ConvertArgs *args)
{
    ImgProgress progress;
    GError *err = NULL;
    bool ok;

    if (bdrv_getlength(args->to.bs) < bdrv_getlength(args->from.bs)) {
        tool_error("output file is smaller than input file");
        return false;
    }
    img_progress_start(&progress, args->progress, args->quiet);
    args->copy.progress = progress.on ? img_progress_report : NULL;
    args->copy.user = &progress;
    ok = args->differences ? convert_differences(args, &progress, &err)
                           : bdrv_copy(args->from.bs, args->to.bs, &args->copy, &err);
    if (ok) {
        img_progress_update(&progress, 100);
    }
    img_progress_end(&progress);
    args->copy.user = NULL;
    if (!ok) {
        tool_error("%s", bdrv_error_message(err));
        bdrv_error_free(err);
    }
    return ok;
}

static bool copy_and_close(ConvertArgs *args)
{
    bool ok = img_open(&args->to) && copy(args);
    int ret = img_close(&args->to);

    if (ok && ret < 0) {
        tool_error("error while writing %s: %s", args->to.filename, g_strerror(-ret));
    }
    return ok && ret == 0;
}

static bool is_regular_file(const char *filename)
{
    struct stat st;

    return lstat(filename, &st) == 0 && S_ISREG(st.st_mode);
}

/* Locks say so, too, but there may be none */
static bool is_both(const ConvertArgs *args)
{
    BlockDriverState *bs = args->from.bs;

    while (bs && !img_is_same_file(bdrv_get_filename(bs), args->to.filename)) {
        bs = bdrv_get_backing(bs);
    }
    if (bs) {
        tool_error("'%s' is both input and output", args->to.filename);
    }
    return bs != NULL;
}

/* The parent's driver is named in none of the formats */
static char *parent_options(const ConvertArgs *args)
{
    const char *driver = keyval_get(args->options, "backing_fmt");
    g_autoptr(KeyVal) options = keyval_new();

    if (driver) {
        keyval_set(options, "backing.driver", driver);
    }
    return keyval_format(options);
}

static bool convert_to_new(ConvertArgs *args)
{
    const BlockDriver *drv = img_find_creator(args->to.format, "");
    bool is_file;

    if (!drv || !img_set_backing(args->options, drv, args->backing, args->backing_format, args->to.filename, "") ||
        !img_check_create_options(args->options, drv, "") || !create_target(args, drv)) {
        return false;
    }
    g_autofree char *options = parent_options(args);

    args->to.options = options;
    is_file = is_regular_file(args->to.filename);
    args->differences = keyval_get(args->options, "backing_file") != NULL;
    args->copy.target_is_zero = is_file && args->copy.sparse >= 0;
    if (copy_and_close(args)) {
        return true;
    }
    if (is_file) {
        unlink(args->to.filename);
    }
    return false;
}

static bool convert(ConvertArgs *args)
{
    bool ok;

    if (!convert_check_args(args) || !img_open(&args->from)) {
        return false;
    }
    args->differences = args->backing != NULL;
    ok = !is_both(args) && (args->existing ? copy_and_close(args) : convert_to_new(args));
    img_close(&args->from);
    return ok;
}

static bool print_create_help(const ConvertArgs *args)
{
    const BlockDriver *drv = args->to.format ? bdrv_find_driver(args->to.format) : NULL;

    return drv && drv->create && img_create_help(args->options, drv);
}

int img_convert(int argc, char **argv)
{
    g_autoptr(KeyVal) options = keyval_new();
    ConvertArgs args = { .options = options, .cache = "unsafe", .from_cache = "writeback" };

    if (!convert_parse_args(&args, argc, argv)) {
        return EXIT_FAILURE;
    }
    if (print_create_help(&args)) {
        return EXIT_SUCCESS;
    }
    if (!args.to.filename) {
        tool_error("Must specify image file name");
        return EXIT_FAILURE;
    }
    return convert(&args) ? EXIT_SUCCESS : EXIT_FAILURE;
}
