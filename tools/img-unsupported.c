/* img-unsupported.c - miniblk-img bitmap and snapshot: no format here has bitmaps or snapshots */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-image.h"
#include "tools/img.h"
#include "util/checked.h"

/* The command bitmap */

typedef struct BitmapArgs {
    ImgImage image, source;
    const char *name;
    const char *first;          /* the first action; it fails. NULL: none is given */
    bool add, merge;
    int64_t granularity;        /* 0: not given */
} BitmapArgs;

static bool take_bitmap_option(BitmapArgs *args, int c)
{
    switch (c) {
    case 'b':
        args->source.filename = optarg;
        break;
    case 'F':
        args->source.format = optarg;
        break;
    case 'g':
        return img_parse_range("granularity", optarg, 1, INT64_MAX, &args->granularity);
    default:
        img_take_option(&args->image, c);
    }
    return true;
}

static bool parse_bitmap(BitmapArgs *args, int argc, char **argv)
{
    enum { ACTIONS = IMG_OPT_LAST };
    static const char *const actions[] = { "add", "remove", "clear", "enable", "disable", "merge" };
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { "source-file", 1, NULL, 'b' }, { "source-format", 1, NULL, 'F' },
        { "granularity", 1, NULL, 'g' }, { "add", 0, NULL, ACTIONS }, { "remove", 0, NULL, ACTIONS + 1 },
        { "clear", 0, NULL, ACTIONS + 2 }, { "enable", 0, NULL, ACTIONS + 3 }, { "disable", 0, NULL, ACTIONS + 4 },
        { "merge", 1, NULL, ACTIONS + 5 }, { 0 }
    };
    int c;

    while ((c = img_getopt(argc, argv, ":b:f:F:g:h", long_options)) != -1) {
        if (c >= ACTIONS) {
            const char *action = actions[c - ACTIONS];

            args->first = args->first ? args->first : action;
            args->add |= !strcmp(action, "add");
            args->merge |= !strcmp(action, "merge");
        } else if (!take_bitmap_option(args, c)) {
            return false;
        }
    }
    args->image.filename = optind == argc - 2 ? argv[optind] : NULL;
    args->name = optind == argc - 2 ? argv[optind + 1] : NULL;
    return true;
}

/* Find two options that exclude each other, or one that lacks another. NULL: there are none */
static const char *find_bitmap_conflict(const BitmapArgs *args)
{
    if (!args->first) {
        return "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge";
    }
    if (args->granularity && !args->add) {
        return "granularity only supported with --add";
    }
    if (args->source.format && !args->source.filename) {
        return "-F only supported with -b";
    }
    if (args->source.filename && !args->merge) {
        return "Merge bitmap source file only supported with --merge";
    }
    return args->name ? NULL : "Expecting filename and bitmap name";
}

static bool refuse_bitmap(const BitmapArgs *args)
{
    const char *what = "Operation", *name = args->name;

    if (strcmp(args->first, "add")) {
        tool_error("%s %s on bitmap %s failed: Dirty bitmap '%s' not found", what, args->first, name, name);
    } else if (!*name) {
        tool_error("%s add on bitmap  failed: Bitmap name cannot be empty", what);
    } else if (args->granularity && (args->granularity < 512 || !is_power_of_two(args->granularity))) {
        tool_error("%s add on bitmap %s failed: Granularity must be power of 2 and at least 512", what, name);
    } else {
        tool_error("%s add on bitmap %s failed: Can't store persistent bitmaps to %s: %s", what, name,
                   args->image.filename, g_strerror(ENOTSUP));
    }
    return false;
}

int img_bitmap(int argc, char **argv)
{
    BitmapArgs args = { .image.flags = BDRV_O_RDWR };
    const char *conflict;

    if (!parse_bitmap(&args, argc, argv)) {
        return EXIT_FAILURE;
    }
    conflict = find_bitmap_conflict(&args);
    if (conflict) {
        tool_error("%s", conflict);
    } else if (img_open(&args.image) && (!args.source.filename || img_open(&args.source))) {
        refuse_bitmap(&args);
    }
    img_close(&args.source);
    img_close(&args.image);
    return EXIT_FAILURE;
}

/* The command snapshot */

/* Open the image, and do @action: 'l' lists no snapshots, 'a', 'c' and 'd' fail; 0: none */
static bool snapshot(ImgImage *image, int action, const char *name)
{
    image->flags |= action == 'l' ? 0 : BDRV_O_RDWR;
    if (!img_open(image)) {
        return false;
    }
    if (action == 'c') {
        tool_error("Could not create snapshot '%s': %d (%s)", name, -ENOTSUP, g_strerror(ENOTSUP));
    } else if (action == 'a') {
        tool_error("Could not apply snapshot '%s': Block driver does not support snapshots", name);
    } else if (action == 'd') {
        tool_error("Could not delete snapshot '%s': snapshot not found", name);
    }
    return action == 'l' || !action;
}

int img_snapshot(int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, { "image-opts", 0, NULL, IMG_OPT_IMAGE_OPTS }, { "force-share", 0, NULL, 'U' }, { 0 }
    };
    ImgImage image = { 0 };
    const char *name = NULL;
    int action = 0, c;

    while ((c = img_getopt(argc, argv, ":la:c:d:hqU", long_options)) != -1) {
        if (c == 'l' || c == 'a' || c == 'c' || c == 'd') {
            if (action) {
                img_usage_error("Cannot mix '-l', '-a', '-c', '-d'");
            }
            action = c;
            name = optarg;
        }
        img_take_option(&image, c);
    }
    image.filename = img_one_filename(argc, argv);
    bool ok = snapshot(&image, action, name);

    img_close(&image);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
