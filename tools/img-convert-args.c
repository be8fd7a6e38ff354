/* img-convert-args.c - miniblk-img convert: the command line */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-convert.h"
#include "tools/img-create-options.h"
#include "tools/img-image.h"
#include "util/keyval.h"

#define MAX_SPARSE (16 << 20)

static bool parse_sparse(const char *text, int64_t *sparse)
{
    int64_t bytes;

    if (!img_parse_size("buffer size for sparse output", text, &bytes)) {
        return false;
    }
    if (bytes % 512 || bytes > MAX_SPARSE) {
        tool_error("Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 "
                   "up to %d. Select 0 to disable sparse detection (fully allocates output).", MAX_SPARSE);
        return false;
    }
    *sparse = bytes ? bytes : -1;
    return true;
}

static bool parse_workers(const char *text, unsigned *workers)
{
    const char *what = tool_is_qemu ? "coroutines" : "workers";
    long n;

    if (!img_parse_count(text, 1, 16, &n)) {
        tool_error("Invalid number of %s. Allowed number of %s is between 1 and 16", what, what);
        return false;
    }
    *workers = (unsigned)n;
    return true;
}

/* Take an option without an argument. False: @c is none of those */
static bool take_switch(ConvertArgs *args, int c)
{
    const struct {
        int option;
        bool *on;
    } switches[] = {
        { 'c', &args->compress }, { 'C', &args->offload }, { 'n', &args->existing }, { 'p', &args->progress },
        { 'q', &args->quiet }, { 'W', &args->copy.unordered }, { IMG_OPT_TARGET_IMAGE_OPTS, &args->to.image_opts },
        { IMG_OPT_TARGET_IS_ZERO, &args->copy.target_is_zero }, { IMG_OPT_SALVAGE, &args->salvage },
        { IMG_OPT_BITMAPS, &args->bitmaps }, { IMG_OPT_SKIP_BROKEN_BITMAPS, &args->skip_broken_bitmaps },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(switches); i++) {
        if (switches[i].option == c) {
            *switches[i].on = true;
            return true;
        }
    }
    return false;
}

static bool parse_option(ConvertArgs *args, int c)
{
    if (take_switch(args, c)) {
        return true;
    }
    switch (c) {
    case 'O':
        args->to.format = optarg;
        break;
    case 'B':
        args->backing = optarg;
        break;
    case 'F':
        args->backing_format = optarg;
        break;
    case 't':
        args->cache = optarg;
        break;
    case 'T':
        args->from_cache = optarg;
        break;
    case 'l':
        args->snapshot = true;
        return img_check_snapshot(optarg);
    case 'o':
        return img_add_create_options(args->options, optarg);
    case 'r':
        return img_parse_size("rate limit", optarg, &args->rate);
    case 'S':
        return parse_sparse(optarg, &args->copy.sparse);
    case 'm':
        return parse_workers(optarg, &args->copy.workers);
    default:
        img_take_option(&args->from, c);
    }
    return true;
}

bool convert_parse_args(ConvertArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { "target-image-opts", 0, NULL, IMG_OPT_TARGET_IMAGE_OPTS },
        { "target-is-zero", 0, NULL, IMG_OPT_TARGET_IS_ZERO }, { "salvage", 0, NULL, IMG_OPT_SALVAGE },
        { "bitmaps", 0, NULL, IMG_OPT_BITMAPS },
        { "skip-broken-bitmaps", 0, NULL, IMG_OPT_SKIP_BROKEN_BITMAPS }, { 0 }
    };
    int c;

    while ((c = img_getopt(argc, argv, ":hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:", long_options)) != -1) {
        if (!parse_option(args, c)) {
            return false;
        }
    }
    if (!args->to.format && !args->to.image_opts) {
        args->to.format = "raw";
    }
    args->filenames = argv + optind;
    args->count = MAX(argc - optind - 1, 0);
    args->to.filename = args->count ? argv[argc - 1] : NULL;
    return true;
}

/* Find two options that exclude each other, or one that lacks another. NULL: there are none */
static const char *convert_find_conflict(const ConvertArgs *args)
{
    bool options = keyval_count(args->options) > 0;

    if (args->skip_broken_bitmaps && !args->bitmaps) {
        return "Use of --skip-broken-bitmaps requires --bitmaps";
    }
    if (args->offload && args->compress) {
        return "Cannot enable copy offloading when -c is used";
    }
    if (args->offload && args->copy.sparse) {
        return "Cannot enable copy offloading when -S is used";
    }
    if (args->offload && args->salvage) {
        return "Cannot use copy offloading in salvaging mode";
    }
    if (args->snapshot && args->count > 1) {
        return "No support for concatenating multiple snapshot";
    }
    if ((args->backing || keyval_get(args->options, "backing_file")) && args->count > 1) {
        return "Having a backing file for the target makes no sense when concatenating multiple input images";
    }
    if (args->to.image_opts && !args->existing) {
        return "--target-image-opts requires use of -n flag";
    }
    if (args->copy.target_is_zero && !args->existing) {
        return "--target-is-zero requires use of -n flag";
    }
    if (args->copy.target_is_zero && args->backing) {
        return "Cannot use --target-is-zero when the destination image has a backing file";
    }
    if (options && args->existing) {
        return "-o has no effect when skipping image creation";
    }
    if (keyval_get(args->options, "size") && !tool_is_qemu) {
        return "-o size is not for convert: the output is as large as the input";
    }
    return args->compress ? "Compression not supported for this file format" : NULL;
}

static bool parse_caches(ConvertArgs *args)
{
    args->to.flags |= BDRV_O_RDWR | (args->copy.sparse < 0 ? 0 : BDRV_O_UNMAP);
    return img_parse_cache("", args->cache, &args->to.flags) &&
           img_parse_cache("source ", args->from_cache, &args->from.flags);
}

bool convert_check_args(ConvertArgs *args)
{
    const char *conflict = convert_find_conflict(args);

    if (conflict) {
        tool_error("%s", conflict);
        return false;
    }
    return parse_caches(args);
}
