/* img-compare.c - miniblk-img compare: do two images hold the same bytes? */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include "tools/common.h"
#include "tools/compare.h"
#include "tools/img-args.h"
#include "tools/img-image.h"
#include "tools/img-progress.h"
#include "tools/img.h"

typedef struct CompareArgs {
    ImgImage images[2];
    const char *cache;
    bool strict, quiet, progress;
} CompareArgs;

static void print_found(const CompareArgs *args, const CompareFinding *found)
{
    const char *filename = args->images[found->image].filename;

    if (found->result == COMPARE_NO_DATA) {
        tool_error("Error while reading offset %" PRId64 " of %s: %s", found->offset, filename,
                   g_strerror(found->error));
    } else if (found->result == COMPARE_NO_STATUS) {
        tool_error("Sector allocation test failed for %s: %s", filename, g_strerror(found->error));
    } else if (args->quiet) {
        return;
    } else if (found->strict) {
        tool_print("Strict mode: Offset %" PRId64 " block status mismatch!\n", found->offset);
    } else if (found->result == COMPARE_DIFFERENT) {
        tool_print("Content mismatch at offset %" PRId64 "!\n", found->offset);
    } else {
        tool_print("Images are identical.\n");
    }
}

static int compare(const CompareArgs *args)
{
    BlockDriverState *a = args->images[0].bs, *b = args->images[1].bs;
    int64_t common = MIN(bdrv_getlength(a), bdrv_getlength(b));
    bool same_size = bdrv_getlength(a) == bdrv_getlength(b);
    CompareFinding found;
    ImgProgress progress;

    if (args->strict && !same_size) {
        if (!args->quiet) {
            tool_print("Strict mode: Image size mismatch!\n");
        }
        return COMPARE_DIFFERENT;
    }
    img_progress_start(&progress, args->progress, args->quiet, 0);
    progress.skip = tool_is_qemu ? 2 : progress.skip;
    found = compare_images(a, b, args->strict, &progress);
    if (!same_size && found.offset >= common && !args->quiet) {
        tool_print("Warning: Image size mismatch!\n");
    }
    print_found(args, &found);
    img_progress_end(&progress, false);
    return found.result;
}

static void compare_parse_args(CompareArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = { IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { 0 } };
    ImgImage *a = &args->images[0], *b = &args->images[1];
    int c;

    while ((c = img_getopt(argc, argv, ":hf:F:T:pqsU", long_options)) != -1) {
        switch (c) {
        case 'F':
            b->format = optarg;
            break;
        case 'T':
            args->cache = optarg;
            break;
        case 'p':
            args->progress = true;
            break;
        case 'q':
            args->quiet = true;
            break;
        case 's':
            args->strict = true;
            break;
        default:
            img_take_option(a, c);
        }
    }
    if (optind != argc - 2) {
        img_usage_error("Expecting two image file names");
    }
    a->filename = argv[optind];
    b->filename = argv[optind + 1];
    b->image_opts = a->image_opts;
}

int img_compare(int argc, char **argv)
{
    CompareArgs args = { .cache = "writeback" };
    ImgImage *a = &args.images[0], *b = &args.images[1];
    int result = COMPARE_NOT_OPENED;

    compare_parse_args(&args, argc, argv);
    if (!img_parse_cache("source ", args.cache, &a->flags)) {
        return COMPARE_NOT_OPENED;
    }
    b->flags = a->flags;
    if (img_open(a) && img_open(b)) {
        img_warn_of_rest(a);
        img_warn_of_rest(b);
        result = compare(&args);
    }
    img_close(b);
    img_close(a);
    return result;
}
