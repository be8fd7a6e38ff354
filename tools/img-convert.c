/* img-convert.c - miniblk-img convert: copies images into a new one, perhaps of another format */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/common.h"
#include "tools/img-backing.h"
#include "tools/img-convert.h"
#include "tools/img-create-options.h"
#include "tools/img-image.h"
#include "tools/img-paths.h"
#include "tools/img-progress.h"
#include "tools/img-target.h"
#include "tools/img.h"
#include "util/checked.h"
#include "util/keyval.h"

static int64_t get_number(const BlockInfo *info, const char *key)
{
    const BlockInfoItem *item = bdrv_info_find(info, key);

    return item && item->type == BLOCK_INFO_INT ? item->number : 0;
}

/* Use the geometry of the source if the option is not given, so that a guest that reads the geometry finds the same
 * disk. Not done under QEMU's name, as QEMU does not do it */
static void keep_geometry(ConvertArgs *args, const BlockDriver *drv)
{
    bool rounded = keyval_get(args->options, "for") || keyval_get(args->options, "force_size");

    if (tool_is_qemu || args->count != 1 || args->differences || !img_has_create_option(drv, "geometry") ||
        keyval_get(args->options, "geometry")) {
        return;
    }
    BlockInfo *info = bdrv_get_info(args->sources[0].bs, NULL);
    int64_t c = info ? get_number(info, "cylinders") : 0, h = info ? get_number(info, "heads") : 0;
    int64_t s = info ? get_number(info, "sectors-per-track") : 0, bytes = c * h * s * 512;

    if (bytes > 0 && (bytes == args->size || (bytes < args->size && !rounded))) {
        g_autofree char *text = g_strdup_printf("%" PRId64 "/%" PRId64 "/%" PRId64, c, h, s);

        keyval_set(args->options, "geometry", text);
    }
    bdrv_info_free(info);
}

static bool create_target(ConvertArgs *args, const BlockDriver *drv, char **open)
{
    g_autofree char *size = g_strdup_printf("%" PRId64, args->size);
    g_autofree char *doing = g_strdup_printf("error while converting %s: ", drv->name);

    keep_geometry(args, drv);
    keyval_set(args->options, "size", size);
    if ((args->to.flags & BDRV_O_NO_FLUSH) && !drv->is_protocol) {
        keyval_set(args->options, "file.cache.no-flush", "on");
    }
    if ((args->to.flags & BDRV_O_NOCACHE) && !drv->is_protocol) {
        /* if O_DIRECT is impossible, fail before the file is emptied */
        keyval_set(args->options, "file.cache.direct", "on");
    }
    return img_target_create(args->target, drv, args->options, doing, open);
}

/* Warn of a range that could not be read, in one line. Under QEMU's name, print as QEMU does: a line for each sector,
 * and two passes for the block status. QEMU's messages about block status have an "at", those about data have none */
static void warn_of_loss(void *user, const char *doing, int64_t offset, int64_t bytes, int error)
{
    bool status = strcmp(doing, "reading") != 0;
    const char *at = status ? "at " : "";

    if (!tool_is_qemu) {
        tool_warn("error while %s %soffset %" PRId64 ": %s (%" PRId64 " bytes)", doing, at, offset,
                  g_strerror(error), bytes);
    }
    for (int pass = 0; tool_is_qemu && pass < (status ? 2 : 1); pass++) {
        for (int64_t n = offset; n < offset + bytes; n += 512) {
            tool_warn("error while %s %soffset %" PRId64 ": %s", doing, at, n, g_strerror(error));
        }
    }
}

/* Count a range that could not be read, and warn of it. With -q only the sum is printed, at the end */
static void count_loss(void *user, const char *doing, int64_t offset, int64_t bytes, int error)
{
    ((ImgProgress *)user)->lost += bytes;
}

/* Copy one source behind the sources before it */
static bool copy_source(ConvertArgs *args, BlockDriverState *from, ImgProgress *progress, GError **errp)
{
    int64_t bytes = bdrv_getlength(from), at = args->copy.to_offset;

    if (args->differences) {
        return convert_differences(args, from, progress, errp);
    }
    img_progress_part(progress, img_percent(at, args->size), img_percent(bytes, args->size));
    args->copy.to_offset += bytes;
    BlockCopyOptions opts = args->copy;

    opts.to_offset = at;
    opts.progress = img_progress_report;
    opts.user = progress;
    return bdrv_copy(from, args->to.bs, &opts, errp);
}

/* Return the end of the message about @err, with advice */
static const char *advice_on(const ConvertArgs *args, const GError *err)
{
    bool read = bdrv_error_code(err) == EIO && strstr(bdrv_error_message(err), "error while reading");

    return !read || tool_is_qemu || args->differences ? ""
           : "; convert --salvage copies what can be read, and check --backing-chain says what is wrong";
}

static bool copy_sources(ConvertArgs *args)
{
    ImgProgress progress;
    GError *err = NULL;
    bool ok = true;

    if (bdrv_getlength(args->to.bs) < args->size) {
        tool_error("output file is smaller than input file");
        return false;
    }
    args->copy.salvage = !args->salvage ? NULL : args->quiet ? count_loss : warn_of_loss;
    img_progress_start(&progress, args->progress, args->quiet, args->rate);
    for (int i = 0; ok && i < args->count; i++) {
        ok = copy_source(args, args->sources[i].bs, &progress, &err);
    }
    img_progress_end(&progress, ok);
    if (progress.lost > 0 && !tool_is_qemu) {
        tool_warn("%" PRId64 " bytes could not be read, and are zeroes in '%s'", progress.lost, args->to.filename);
    }
    if (!ok) {
        tool_error("%s%s", bdrv_error_message(err), advice_on(args, err));
        bdrv_error_free(err);
    }
    return ok;
}

static bool copy_and_close(ConvertArgs *args)
{
    bool ok = img_open(&args->to) && copy_sources(args) &&
              (!args->target || img_target_finish(args->target, args->to.bs));

    return img_close_written(&args->to, ok);
}

/* Return @open with the driver of the parent added: no image names its parent's format */
static char *open_options(const ConvertArgs *args, const char *open)
{
    const char *driver = keyval_get(args->options, "backing_fmt");
    g_autoptr(KeyVal) options = keyval_parse(open, NULL);

    if (driver) {
        keyval_set(options, "backing.driver", driver);
    }
    return keyval_format(options);
}

static bool make_and_copy(ConvertArgs *args, const BlockDriver *drv)
{
    g_autofree char *open = NULL;

    if (!create_target(args, drv, &open)) {
        return false;
    }
    g_autofree char *options = open_options(args, open);

    args->to.options = options;
    args->copy.target_is_zero = img_is_regular_file(args->to.filename) && args->copy.sparse >= 0;
    return copy_and_close(args);
}

static bool convert_to_new(ConvertArgs *args)
{
    const BlockDriver *drv = img_find_creator(args->to.format, "");
    ImgTarget target;

    if (!drv || !img_set_backing(args->options, drv, args->backing, args->backing_format, args->to.filename, "") ||
        !img_check_create_options(args->options, drv, "")) {
        return false;
    }
    args->differences = keyval_get(args->options, "backing_file") != NULL;
    args->target = &target;
    args->to.filename = img_target_begin(&target, args->to.filename);
    return img_target_end(&target, make_and_copy(args, drv));
}

/* Open one source, and add its length to the size. False after a message */
static bool open_source(ConvertArgs *args, ImgImage *source, const char *filename)
{
    *source = args->from;
    source->flags |= args->salvage ? BDRV_O_SALVAGE : 0;
    source->filename = filename;
    if (!img_open(source)) {
        return false;
    }
    img_warn_of_rest(source);
    if (!checked_add(args->size, bdrv_getlength(source->bs), &args->size)) {
        tool_error("the images are too large together");
        return false;
    }
    if (args->bitmaps) {
        tool_error("Source lacks bitmap support");
        return false;
    }
    if (args->snapshot) {
        return img_refuse_snapshot(source);
    }
    return !img_is_input(source->bs, args->to.filename, args->options);    /* locks do not work everywhere */
}

static bool convert(ConvertArgs *args)
{
    g_autofree ImgImage *sources = g_new0(ImgImage, (gsize)args->count);
    bool ok = convert_check_args(args);

    args->sources = sources;
    for (int i = 0; ok && i < args->count; i++) {
        ok = open_source(args, &sources[i], args->filenames[i]);
    }
    args->differences = args->backing != NULL;
    ok = ok && (args->existing ? copy_and_close(args) : convert_to_new(args));
    for (int i = 0; i < args->count; i++) {
        img_close(&sources[i]);
    }
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
