/* img-rebase.c - miniblk-img rebase: gives an image another parent, or none */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <stdlib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-backing.h"
#include "tools/img-image.h"
#include "tools/img-progress.h"
#include "tools/img.h"

typedef struct RebaseArgs {
    ImgImage image;
    const char *parent, *parent_format;     /* NULL: not given; "": none */
    const char *cache, *parent_cache;       /* NULL: not given */
    bool unsafe;                            /* change the names only */
    bool quiet, progress;
} RebaseArgs;

/* Return "PREFIXforce-share=off,PREFIXcache.direct=on,PREFIXcache.no-flush=off", without the cache options if not
 * @cached */
static char *parent_options(const char *prefix, unsigned flags, bool cached)
{
    GString *options = g_string_new(NULL);

    g_string_append_printf(options, "%sforce-share=%s", prefix, flags & BDRV_O_NO_LOCK ? "on" : "off");
    if (cached) {
        g_string_append_printf(options, ",%scache.direct=%s,%scache.no-flush=%s", prefix,
                               flags & BDRV_O_NOCACHE ? "on" : "off", prefix, flags & BDRV_O_NO_FLUSH ? "on" : "off");
    }
    return g_string_free(options, FALSE);
}

static bool rebase(const RebaseArgs *args, const char *parent_options)
{
    const char *parent = args->parent && *args->parent ? args->parent : NULL;
    BlockRebaseOptions opts = { args->parent_format, parent_options, args->unsafe };
    ImgProgress progress;
    GError *err = NULL;
    bool ok;

    img_progress_start(&progress, args->progress, args->quiet, 0);
    opts.progress = img_progress_report;
    opts.user = &progress;
    ok = bdrv_rebase(args->image.bs, parent, &opts, &err);
    img_progress_end(&progress, ok);
    if (!ok) {
        tool_error("Could not change the backing file to '%s': %s%s", args->parent ? args->parent : "",
                   bdrv_error_message(err), img_advice_on_parent(args->image.filename, parent, args->parent_format));
        bdrv_error_free(err);
    }
    return ok;
}

static bool open_and_rebase(RebaseArgs *args)
{
    ImgImage *image = &args->image;
    unsigned flags = image->flags & BDRV_O_NO_LOCK;     /* for the parents; the image itself is written, and locked */
    bool cached = args->parent_cache != NULL;

    if (!img_parse_cache("", args->cache, &image->flags) ||
        (cached && !img_parse_cache("source ", args->parent_cache, &flags))) {
        return false;
    }
    bool told = cached || flags;                        /* else none: a disk without a parent would warn */
    g_autofree char *old = told && !args->unsafe ? parent_options("backing.", flags, cached) : NULL;
    g_autofree char *new = told ? parent_options("", flags, cached) : NULL;

    image->flags &= ~(unsigned)BDRV_O_NO_LOCK;
    image->flags |= BDRV_O_RDWR | BDRV_O_UNMAP | (args->unsafe ? BDRV_O_NO_BACKING : 0);
    image->options = old;
    bool ok = img_open(image) && rebase(args, new);

    image->options = NULL;
    return img_close_written(image, ok);
}

static void rebase_parse_args(RebaseArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = { IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { 0 } };
    int c;

    while ((c = img_getopt(argc, argv, ":hf:F:b:upt:T:qU", long_options)) != -1) {
        switch (c) {
        case 'F':
            args->parent_format = optarg;
            break;
        case 'b':
            args->parent = optarg;
            break;
        case 'u':
            args->unsafe = true;
            break;
        case 'p':
            args->progress = true;
            break;
        case 't':
            args->cache = optarg;
            break;
        case 'T':
            args->parent_cache = optarg;
            break;
        case 'q':
            args->quiet = true;
            break;
        default:
            img_take_option(&args->image, c);
        }
    }
    args->image.filename = img_one_filename(argc, argv);
}

int img_rebase(int argc, char **argv)
{
    RebaseArgs args = { .cache = "writeback" };

    rebase_parse_args(&args, argc, argv);
    if (!args.unsafe && !args.parent) {
        img_usage_error("Must specify backing file (-b) or use unsafe mode (-u)");
    }
    if (args.parent && *args.parent && args.parent_format && !bdrv_find_driver(args.parent_format)) {
        tool_error("Invalid format name: '%s'", args.parent_format);
        return EXIT_FAILURE;
    }
    return open_and_rebase(&args) ? EXIT_SUCCESS : EXIT_FAILURE;
}
