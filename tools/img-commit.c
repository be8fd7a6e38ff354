/* img-commit.c - miniblk-img commit: writes the data of an image into one of its parents */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-children.h"
#include "tools/img-image.h"
#include "tools/img-paths.h"
#include "tools/img-progress.h"
#include "tools/img.h"

typedef struct CommitArgs {
    ImgImage image;
    const char *base;           /* filename of the parent to write to; NULL: the nearest */
    const char *cache;
    int64_t rate;               /* bytes per second; 0: any */
    bool quiet, progress;
} CommitArgs;

/* Find the image with the file @path behind @bs, and return its depth; 0: there is none. @beside: @path is relative to
 * the folder of the image above it; else to the current folder */
static unsigned find_file(BlockDriverState *bs, const char *path, bool beside)
{
    BlockDriverState *backing;

    for (unsigned depth = 1; (backing = bdrv_get_backing(bs)); bs = backing, depth++) {
        g_autofree char *from = img_path_from(bdrv_get_filename(bs), path);

        if (img_is_same_file(beside ? from : path, bdrv_get_filename(backing))) {
            return depth;
        }
    }
    return 0;
}

/* Find the image that is written to, and return its depth. 0 after a message */
static unsigned find_base(const CommitArgs *args)
{
    BlockDriverState *bs = args->image.bs;
    unsigned depth = !args->base ? bdrv_get_backing(bs) != NULL : find_file(bs, args->base, true);

    if (!depth && args->base) {
        depth = find_file(bs, args->base, false);
    }
    if (!depth && args->base) {
        tool_error("Did not find '%s' in the backing chain of '%s'", args->base, args->image.filename);
    } else if (!depth) {
        tool_error("Image does not have a backing file");
    }
    return depth;
}

/* Return "backing.backing.read-only=off", with @depth times "backing.": only the image that is written to is opened
 * for writing */
static char *writing_options(unsigned depth)
{
    GString *options = g_string_new(NULL);

    while (depth--) {
        g_string_append(options, "backing.");
    }
    g_string_append(options, "read-only=off");
    return g_string_free(options, FALSE);
}

/* Open the image again, the one at @depth for writing. False after a message */
static bool reopen_for_writing(CommitArgs *args, unsigned depth)
{
    ImgImage *image = &args->image;
    g_autofree char *options = writing_options(depth);
    unsigned found;

    bdrv_close(image->bs);
    image->options = options;
    found = img_open(image) ? find_base(args) : 0;
    image->options = NULL;
    if (found && found != depth) {
        tool_error("the backing chain of '%s' was changed meanwhile", image->filename);
    }
    return found == depth;
}

static bool write_base(CommitArgs *args, unsigned depth)
{
    ImgProgress progress;
    GError *err = NULL;
    bool ok;

    img_progress_start(&progress, args->progress, args->quiet, args->rate);
    ok = bdrv_commit(args->image.bs, depth, img_progress_report, &progress, &err);
    img_progress_end(&progress, ok);
    return tool_check_error(err) && ok;
}

/* Warn if the image at @depth has another child, whose disk reads differently afterwards */
static void warn_of_siblings(const CommitArgs *args, unsigned depth)
{
    BlockDriverState *base = args->image.bs;

    for (unsigned i = 0; i < depth; i++) {
        base = bdrv_get_backing(base);
    }
    g_autofree char *child = tool_is_qemu ? NULL : img_find_child(base, bdrv_get_filename(base), args->image.bs);

    if (child) {
        tool_warn("'%s' is a child of '%s', too: what is written there changes its disk", child,
                  bdrv_get_filename(base));
    }
}

static bool commit(CommitArgs *args)
{
    unsigned depth = img_open_silently(&args->image, NULL) ? find_base(args) : 0;
    bool ok = depth && reopen_for_writing(args, depth);

    if (ok) {
        warn_of_siblings(args, depth);
        ok = write_base(args, depth);
    }
    ok = img_close(&args->image) == 0 && ok;
    if (ok && !args->quiet) {
        tool_print("Image committed.\n");
    }
    return ok;
}

int img_commit(int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_FORMAT_OPTIONS, { 0 }
    };
    CommitArgs args = { .cache = "writeback" };
    int c;

    while ((c = img_getopt(argc, argv, ":f:ht:b:dpqr:", long_options)) != -1) {
        switch (c) {
        case 'b':
            args.base = optarg;
            break;
        case 't':
            args.cache = optarg;
            break;
        case 'r':
            if (!img_parse_size("rate limit", optarg, &args.rate)) {
                return EXIT_FAILURE;
            }
            break;
        case 'p':
            args.progress = true;
            break;
        case 'q':
            args.quiet = true;
            break;
        default:
            img_take_option(&args.image, c);
        }
    }
    args.image.filename = img_one_filename(argc, argv);
    return img_parse_cache("", args.cache, &args.image.flags) && commit(&args) ? EXIT_SUCCESS : EXIT_FAILURE;
}
