/* img-dd.c - miniblk-img dd: copies a part of an image into a new one */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-create-options.h"
#include "tools/img-image.h"
#include "tools/img-paths.h"
#include "tools/img-target.h"
#include "tools/img.h"
#include "util/keyval.h"

typedef struct DdArgs {
    ImgImage from, to;
    int64_t unit;               /* bs=: bytes of a block */
    int64_t count;              /* blocks, from the start of the input; -1: not given */
    int64_t skip;
} DdArgs;

/* Take the operand "NAME=VALUE", which is split in place. False after a message */
static bool take_operand(DdArgs *args, char *operand)
{
    char *value = strchr(operand, '=');

    if (value) {
        *value++ = '\0';
        if (!strcmp(operand, "if")) {
            args->from.filename = value;
            return true;
        }
        if (!strcmp(operand, "of")) {
            args->to.filename = value;
            return true;
        }
        if (!strcmp(operand, "bs")) {
            return img_parse_range("bs", value, 1, INT_MAX, &args->unit);
        }
        if (!strcmp(operand, "count")) {
            return img_parse_size("count", value, &args->count);
        }
        if (!strcmp(operand, "skip")) {
            return img_parse_size("skip", value, &args->skip);
        }
    }
    tool_error("unrecognized operand %s", operand);
    return false;
}

static bool dd_parse_args(DdArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = { IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { 0 } };
    int c;

    while ((c = img_getopt(argc, argv, ":hf:O:U", long_options)) != -1) {
        if (c == 'O') {
            args->to.format = optarg;
        } else {
            img_take_option(&args->from, c);
        }
    }
    for (; optind < argc; optind++) {
        if (!take_operand(args, argv[optind])) {
            return false;
        }
    }
    if (!args->from.filename || !args->to.filename) {
        tool_error("Must specify both input and output files");
        return false;
    }
    return true;
}

/* Return the number of bytes in @units blocks, at most @most */
static int64_t in_bytes(const DdArgs *args, int64_t units, int64_t most)
{
    return units > most / args->unit ? most : units * args->unit;
}

static bool copy_part(DdArgs *args, ImgTarget *target, int64_t start, int64_t bytes)
{
    BlockCopyOptions opts = { .target_is_zero = img_is_regular_file(args->to.filename), .from_offset = start,
                              .bytes = bytes };
    GError *err = NULL;
    bool ok = img_open(&args->to) && (!bytes || bdrv_copy(args->from.bs, args->to.bs, &opts, &err)) &&
              img_target_finish(target, args->to.bs);

    ok = img_close_written(&args->to, ok);
    return tool_check_error(err) && ok;
}

static bool dd(DdArgs *args)
{
    const BlockDriver *drv = img_find_creator(args->to.format, "");
    int64_t size = bdrv_getlength(args->from.bs);
    int64_t end = args->count < 0 ? size : in_bytes(args, args->count, size);
    bool beyond = args->skip > end / args->unit;
    int64_t start = in_bytes(args, args->skip, end);
    g_autoptr(KeyVal) options = keyval_new();
    g_autofree char *bytes = g_strdup_printf("%" PRId64, end - start);

    if (!drv || img_is_input(args->from.bs, args->to.filename, options)) {
        return false;
    }
    keyval_set(options, "size", bytes);
    ImgTarget target;

    args->to.filename = img_target_begin(&target, args->to.filename);
    g_autofree char *open = NULL;
    bool ok = img_target_create(&target, drv, options, "error while creating output image: ", &open);

    args->to.options = open;
    if (ok && beyond) {
        tool_error("%s: cannot skip to specified offset", args->from.filename);
    }
    return img_target_end(&target, ok && copy_part(args, &target, start, end - start));
}

int img_dd(int argc, char **argv)
{
    DdArgs args = { .unit = 512, .count = -1, .to = { .format = "raw", .flags = BDRV_O_RDWR } };
    bool ok = dd_parse_args(&args, argc, argv) && img_open(&args.from);

    if (ok) {
        img_warn_of_rest(&args.from);
        ok = dd(&args);
    }
    img_close(&args.from);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
