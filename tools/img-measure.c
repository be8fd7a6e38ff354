/* img-measure.c - miniblk-img measure: how long the file of an image would be */
/* SPDX-License-Identifier: MIT
 *
 * The command makes such an image in memory, and writes a byte to the first and to the second cluster. All later
 * clusters are assumed to need as much space as the second one.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-create-options.h"
#include "tools/img-image.h"
#include "tools/img.h"
#include "tools/json.h"
#include "util/checked.h"
#include "util/keyval.h"

typedef struct MeasureArgs {
    ImgImage image;             /* its filename is NULL if --size is given */
    const char *format;
    KeyVal *options;
    int64_t size;               /* -1: not given */
    bool snapshot;              /* -l is given */
    bool json;
} MeasureArgs;

typedef struct Measure {
    int64_t required;           /* length with the data that the image has now */
    int64_t full;               /* length with all clusters */
} Measure;

/* A file in memory, for the image. Its holes take no memory */

static int scratch_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    return pread(*(int *)user, buf, (size_t)bytes, offset) == bytes ? 0 : -EIO;
}

static int scratch_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    return pwrite(*(int *)user, buf, (size_t)bytes, offset) == bytes ? 0 : -EIO;
}

static int scratch_truncate(void *user, int64_t size)
{
    return ftruncate(*(int *)user, size) < 0 ? -errno : 0;
}

static int64_t scratch_length(int fd)
{
    struct stat st;

    return fstat(fd, &st) < 0 ? 0 : st.st_size;
}

/* Count the pieces of @unit bytes that have data in @bs. -1 after a message */
static int64_t count_clusters(BlockDriverState *bs, int64_t unit)
{
    int64_t size = bdrv_getlength(bs), count = 0, next = 0;    /* @next: the first piece not counted */
    BlockStatus st = { 0 };

    for (int64_t offset = 0; offset < size; offset += st.bytes) {
        int ret = bdrv_block_status(bs, offset, size - offset, BDRV_STATUS_WANT_ZERO, &st);

        if (ret < 0) {
            tool_error("error while reading block status at offset %" PRId64 ": %s", offset, g_strerror(-ret));
            return -1;
        }
        if (!st.zero) {
            int64_t first = MAX(offset / unit, next), end = (offset + st.bytes - 1) / unit + 1;

            count += MAX(end - first, 0);
            next = MAX(end, next);
        }
    }
    return count;
}

#define TRIALS 3                /* without clusters, with one, with two */

/* The lengths of the file with no cluster, with one and with two */
typedef struct Lengths {
    int64_t of[TRIALS];
    int64_t unit;               /* bytes of a cluster; 0: none, only of[0] is set */
    int64_t total;              /* number of clusters */
} Lengths;

/* Write a byte to the @n-th cluster, counted from 1. 0: write nothing */
static bool touch(BlockDriverState *bs, Lengths *lengths, int n, GError **errp)
{
    BlockInfo *info = bdrv_get_info(bs, errp);
    int ret = 0;

    if (!info) {
        return false;
    }
    lengths->unit = info->cluster_size;
    lengths->total = lengths->unit ? round_up(info->virtual_size, lengths->unit) / lengths->unit : 0;
    bdrv_info_free(info);
    if (n > 0 && n <= lengths->total) {
        ret = bdrv_pwrite(bs, (n - 1) * lengths->unit, "", 1, 0);
    }
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not write to memory: %s", g_strerror(-ret));
    }
    return ret == 0;
}

static bool try_out(const char *driver, const char *options, int fd, Lengths *lengths, GError **errp)
{
    BlockStorage storage = { 0, &fd, scratch_read, scratch_write, NULL, scratch_truncate };
    g_autofree char *named = g_strdup_printf("driver=%s", driver);
    bool ok = bdrv_create_storage(&storage, options, errp);

    for (int n = 0; ok && n < TRIALS; n++) {
        storage.size = scratch_length(fd);
        BlockDriverState *bs = bdrv_open_storage(&storage, named, BDRV_O_RDWR, errp);

        ok = bs && touch(bs, lengths, n, errp);
        bdrv_close(bs);
        lengths->of[n] = scratch_length(fd);
    }
    return ok;
}

static int64_t length_with(const Lengths *lengths, int64_t clusters)
{
    const int64_t *of = lengths->of;

    return clusters ? of[1] + (clusters - 1) * (of[2] - of[1]) : of[0];
}

/* Make the image in memory, and measure it. False after a message */
static bool measure_lengths(const MeasureArgs *args, const BlockDriver *drv, Lengths *lengths)
{
    g_autofree char *size = g_strdup_printf("%" PRId64, args->size);
    g_autofree char *options = NULL;
    int fd = memfd_create("miniblk-measure", MFD_CLOEXEC);
    GError *err = NULL;

    if (fd < 0) {
        tool_error("no memory to measure in: %s", g_strerror(errno));
        return false;
    }
    if (keyval_get(args->options, "size") && !tool_is_qemu) {
        tool_error("The image size must be specified only once");
        close(fd);
        return false;
    }
    keyval_set(args->options, "size", size);
    options = img_creation_options(args->options, drv);
    bool ok = try_out(drv->name, options, fd, lengths, &err);

    close(fd);
    return ok || tool_check_error(err);
}

static bool measure(MeasureArgs *args, Measure *m)
{
    const BlockDriver *drv = img_find_creator(args->format, "");
    int64_t clusters = 0;
    Lengths lengths = { 0 };

    if (!drv) {
        return false;
    }
    if (!img_check_create_options(args->options, drv, "")) {
        tool_error("Invalid options for file format '%s'", drv->name);
        return false;
    }
    if (!measure_lengths(args, drv, &lengths)) {
        return false;
    }
    if (lengths.unit && args->image.bs) {
        clusters = count_clusters(args->image.bs, lengths.unit);
    }
    *m = (Measure) { length_with(&lengths, clusters), length_with(&lengths, lengths.total) };
    return clusters >= 0;
}

static void print_measure(const Measure *m, bool json)
{
    Json out = { 0 };

    if (!json) {
        tool_print("required size: %" PRId64 "\nfully allocated size: %" PRId64 "\n", m->required, m->full);
        return;
    }
    json_begin(&out);
    json_int(&out, "required", m->required);
    json_int(&out, "fully-allocated", m->full);
    json_end(&out);
    tool_print("\n");
}

static bool measure_take_option(MeasureArgs *args, int c)
{
    switch (c) {
    case 'l':
        args->snapshot = true;
        return img_check_snapshot(optarg);
    case 'O':
        args->format = optarg;
        break;
    case 'o':
        return img_add_create_options(args->options, optarg);
    case IMG_OPT_OUTPUT:
        return img_parse_output(optarg, &args->json);
    case IMG_OPT_SIZE:
        return img_parse_size("image size", optarg, &args->size);
    default:
        img_take_option(&args->image, c);
    }
    return true;
}

/* Find two arguments that exclude each other, or a missing one. NULL: there are none */
static const char *measure_find_conflict(const MeasureArgs *args, int filenames)
{
    if (filenames > 1) {
        return "At most one filename argument is allowed.";
    }
    if (!filenames && (args->image.image_opts || args->image.format || args->snapshot)) {
        return "--image-opts, -f, and -l require a filename argument.";
    }
    if (!filenames && args->size < 0) {
        return "Either --size N or one filename must be specified.";
    }
    return filenames && args->size >= 0 ? "--size N cannot be used together with a filename." : NULL;
}

static bool measure_parse_args(MeasureArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { "output", 1, NULL, IMG_OPT_OUTPUT },
        { "size", 1, NULL, IMG_OPT_SIZE }, { 0 }
    };
    const char *conflict;
    int c;

    while ((c = img_getopt(argc, argv, ":hf:l:o:O:U", long_options)) != -1) {
        if (!measure_take_option(args, c)) {
            return false;
        }
    }
    args->image.filename = argv[optind];
    conflict = measure_find_conflict(args, argc - optind);
    if (conflict) {
        tool_error("%s", conflict);
    }
    return !conflict;
}

/* Open the image to measure, if one is named. False after a message */
static bool measure_open_image(MeasureArgs *args)
{
    if (!args->image.filename) {
        return true;
    }
    if (!img_open(&args->image)) {
        return false;
    }
    args->size = bdrv_getlength(args->image.bs);
    return !args->snapshot || img_refuse_snapshot(&args->image);
}

int img_measure(int argc, char **argv)
{
    g_autoptr(KeyVal) options = keyval_new();
    MeasureArgs args = { .format = "raw", .options = options, .size = -1 };
    Measure m;
    bool ok = measure_parse_args(&args, argc, argv) && measure_open_image(&args) && measure(&args, &m);

    if (ok) {
        print_measure(&m, args.json);
    }
    img_close(&args.image);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
