/* img-create.c - miniblk-img create: makes an empty image */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-backing.h"
#include "tools/img-create-options.h"
#include "tools/img-paths.h"
#include "tools/img-target.h"
#include "tools/img.h"
#include "util/keyval.h"
#include "util/size.h"

static void print_option(const BlockOption *opt, const char *value)
{
    int64_t bytes;

    if (opt->type == BLOCK_OPT_SIZE && size_parse(value, &bytes)) {
        tool_print(" %s=%" PRId64, opt->name, bytes);
    } else {
        tool_print(" %s=%s", opt->name, value);
    }
}

/* Print "Formatting …" with the given options: the size first, the others in the order of the driver's table */
static void print_formatting(const BlockDriver *drv, const char *filename, const KeyVal *options)
{
    const BlockOption *size = img_find_create_option(drv, "size");

    tool_print("Formatting '%s', fmt=%s", filename, drv->name);
    if (size && keyval_get(options, "size")) {
        print_option(size, keyval_get(options, "size"));
    }
    for (const BlockOption *opt = drv->create_options; opt && opt->name; opt++) {
        if (opt != size && keyval_get(options, opt->name)) {
            print_option(opt, keyval_get(options, opt->name));
        }
    }
    tool_print("\n");
    fflush(stdout);
}

static bool set_size(KeyVal *options, const char *filename, const char *size)
{
    const char *given = keyval_get(options, "size");
    char number[32];
    int64_t bytes;

    if (size && given) {
        tool_error("%s: The image size must be specified only once", filename);
        return false;
    }
    if (!size && !given && keyval_get(options, "backing_file")) {
        return true;        /* the size of the parent is used */
    }
    if (!size && !given) {
        tool_error("%s: Image creation needs a size parameter", filename);
        return false;
    }
    if (size && !img_parse_size("image size", size, &bytes)) {
        return false;
    }
    if (given && !size_parse(given, &bytes)) {
        g_autofree char *where = g_strconcat(filename, ": ", NULL);

        img_refuse_size(where);
        return false;
    }
    snprintf(number, sizeof(number), "%" PRId64, bytes);
    keyval_set(options, "size", number);
    return true;
}

/* Warn that a raw disk on a device or an export shows its old bytes, because they are not zeroed */
static void warn_of_old_bytes(const BlockDriver *drv, const char *filename)
{
    if (!tool_is_qemu && !strcmp(drv->name, "raw") && (!bdrv_is_path(filename) || !img_is_regular_file(filename))) {
        tool_warn("%s: it keeps the bytes and the length that it had, as devices and exports do", filename);
    }
}

static bool create(const BlockDriver *drv, const char *filename, const char *size, KeyVal *options,
                   bool quiet)
{
    if (!set_size(options, filename, size)) {
        return false;
    }
    if (!quiet) {
        print_formatting(drv, filename, options);
    }
    ImgTarget target;
    const char *made = img_target_begin(&target, filename);

    if (!img_target_end(&target, img_create_image(made, drv, options, ""))) {
        return false;
    }
    warn_of_old_bytes(drv, filename);
    return true;
}

typedef struct CreateArgs {
    const char *format, *filename, *size;
    const char *backing, *backing_format;   /* NULL: not given */
    bool quiet;
    KeyVal *options;
} CreateArgs;

static bool create_parse_args(CreateArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = { IMG_COMMON_OPTIONS, { 0 } };
    int c;

    while ((c = img_getopt(argc, argv, ":hf:b:F:uo:q", long_options)) != -1) {
        switch (c) {
        case 'f':
            args->format = optarg;
            break;
        case 'b':
            args->backing = optarg;
            break;
        case 'F':
            args->backing_format = optarg;
            break;
        case 'o':
            if (!img_add_create_options(args->options, optarg)) {
                return false;
            }
            break;
        case 'q':
            args->quiet = true;
            break;
        }
    }
    args->filename = optind < argc ? argv[optind] : NULL;
    args->size = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (optind + 2 < argc) {
        img_usage_error("Unexpected argument: %s", argv[optind + 2]);
    }
    return true;
}

static bool create_from_args(const CreateArgs *args)
{
    g_autofree char *where = g_strdup_printf("%s%s", args->filename ? args->filename : "",
                                             args->filename ? ": " : "");
    const BlockDriver *drv = img_find_creator(args->format, where);

    if (!drv) {
        return false;
    }
    if (img_create_help(args->options, drv)) {
        return true;
    }
    if (!args->filename) {
        img_usage_error("Expecting image file name");
    }
    return img_set_backing(args->options, drv, args->backing, args->backing_format, args->filename, where) &&
           img_check_create_options(args->options, drv, where) &&
           create(drv, args->filename, args->size, args->options, args->quiet);
}

int img_create(int argc, char **argv)
{
    g_autoptr(KeyVal) options = keyval_new();
    CreateArgs args = { .format = "raw", .options = options };

    return create_parse_args(&args, argc, argv) && create_from_args(&args) ? EXIT_SUCCESS : EXIT_FAILURE;
}
