/* img-resize.c - miniblk-img resize: makes a disk longer or shorter */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-children.h"
#include "tools/img-create-options.h"
#include "tools/img-image.h"
#include "tools/img.h"
#include "util/keyval.h"
#include "util/size.h"

#define PREALLOC_METADATA 3     /* a mode of QEMU that is refused here */

typedef struct ResizeArgs {
    ImgImage image;
    const char *size;
    int preallocation;          /* BlockPreallocation, or PREALLOC_METADATA */
    bool shrink, quiet;
    KeyVal *options;            /* -o, options of the format */
} ResizeArgs;

enum { OPT_PREALLOCATION = 512, OPT_SHRINK };

static bool resize_parse_preallocation(const char *text, int *how)
{
    static const char *const modes[] = { "off", "falloc", "full", "metadata" };

    for (int i = 0; i <= PREALLOC_METADATA; i++) {
        if (!strcmp(text, modes[i])) {
            *how = i;
            return true;
        }
    }
    tool_error("Invalid preallocation mode '%s'", text);
    return false;
}

/* Compute the new size: "+1G" and "-1G" are relative to @old. False after a message */
static bool new_size(const ResizeArgs *args, int64_t old, int64_t n, int64_t *size)
{
    bool fits = true;

    *size = n;
    if (*args->size == '+') {
        fits = !__builtin_add_overflow(old, n, size);
    } else if (*args->size == '-') {
        fits = !__builtin_sub_overflow(old, n, size);
    }
    if (!fits || *size <= 0) {
        tool_error("New image size must be positive");
        return false;
    }
    if (*size <= old && args->preallocation != BDRV_PREALLOC_OFF) {
        tool_error("Preallocation can only be used for growing images");
        return false;
    }
    if (*size < old && !args->shrink) {
        tool_error("Use the --shrink option to perform a shrink operation.");
        tool_warn("Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an "
                  "operation, make sure there is no important data there.");
        return false;
    }
    return true;
}

/* Warn if there is a child: where it has no data of its own behind the new end, it reads as zeroes from now on */
static void warn_of_children(const ImgImage *image)
{
    g_autofree char *child = tool_is_qemu ? NULL : img_find_child(image->bs, image->filename, NULL);

    if (child) {
        tool_warn("'%s' is a child of this image: what it has not written of the end reads as zeroes from now on",
                  child);
    }
}

static bool resize(const ResizeArgs *args, int64_t n)
{
    GError *err = NULL;
    int64_t size;

    if (!new_size(args, bdrv_getlength(args->image.bs), n, &size)) {
        return false;
    }
    if (args->preallocation == PREALLOC_METADATA) {
        tool_error("Unsupported preallocation mode: metadata");
        return false;
    }
    if (size < bdrv_getlength(args->image.bs)) {
        warn_of_children(&args->image);
    }
    g_autofree char *options = keyval_format(args->options);

    const BlockResizeOptions how = { (BlockPreallocation)args->preallocation, options };

    return bdrv_resize(args->image.bs, size, &how, &err) || tool_check_error(err);
}

/* Parse the size. As in QEMU, a size of 2^63 bytes and more becomes a negative one */
static bool parse_size(const char *text, int64_t *n)
{
    const double most = 18446744073709551616.0;
    static const char suffixes[] = "bkmgtpe";
    char *end;

    if (*text == '+' || *text == '-') {
        text++;
    }
    if (size_parse(text, n)) {
        return true;
    }
    double bytes = g_ascii_strtod(text, &end);
    const char *suffix = *end ? strchr(suffixes, g_ascii_tolower(*end)) : suffixes;

    if (suffix) {
        bytes *= (double)(INT64_C(1) << (*end ? suffix - suffixes : 0) * 10);
    }
    if (end == text || !suffix || (*end && end[1]) || bytes < most / 2) {
        img_refuse_size("");
        return false;
    }
    if (bytes >= most) {
        tool_error("Value '%s' is out of range for parameter 'size'", text);
    }
    *n = INT64_MIN;
    return bytes < most;
}

static bool open_and_resize(ResizeArgs *args)
{
    int64_t n;

    if (!parse_size(args->size, &n) || !img_open(&args->image)) {
        return false;
    }
    bool ok = img_close_written(&args->image, resize(args, n));

    if (ok && !args->quiet) {
        tool_print("Image resized.\n");
    }
    return ok;
}

static bool resize_parse_args(ResizeArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_FORMAT_OPTIONS,
        { "preallocation", 1, NULL, OPT_PREALLOCATION }, { "shrink", 0, NULL, OPT_SHRINK }, { 0 }
    };
    int c;

    while ((c = img_getopt(argc, argv, tool_is_qemu ? ":hf:q" : ":hf:o:q", long_options)) != -1) {
        switch (c) {
        case 'o':
            if (!img_add_create_options(args->options, optarg)) {
                return false;
            }
            break;
        case OPT_PREALLOCATION:
            if (!resize_parse_preallocation(optarg, &args->preallocation)) {
                return false;
            }
            break;
        case OPT_SHRINK:
            args->shrink = true;
            break;
        case 'q':
            args->quiet = true;
            break;
        default:
            img_take_option(&args->image, c);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting image file name and size");
    }
    args->image.filename = argv[optind];
    return true;
}

/* Run the command. The last word is the size, even if it looks like an option, as "-1G" does */
int img_resize(int argc, char **argv)
{
    g_autoptr(KeyVal) options = keyval_new();
    ResizeArgs args = { .image.flags = BDRV_O_RDWR, .options = options };
    bool help = argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"));

    if (argc < 3 && !help) {
        img_usage_error("Not enough arguments");
    }
    if (!help) {
        args.size = argv[--argc];
        argv[argc] = NULL;
    }
    return resize_parse_args(&args, argc, argv) && open_and_resize(&args) ? EXIT_SUCCESS : EXIT_FAILURE;
}
