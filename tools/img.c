/* img.c - miniblk-img: make, describe, check, convert, compare and resize disk images, in qemu-img's words */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib.h>
#include <linux/loop.h>
#include "tools/img.h"
#include "tools/img-help.h"
#include "util/size.h"

static const struct ImgCommand {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "amend", img_amend }, { "bench", img_bench }, { "bitmap", img_bitmap }, { "check", img_check },
    { "commit", img_commit }, { "compare", img_compare }, { "convert", img_convert }, { "create", img_create },
    { "dd", img_dd }, { "info", img_info }, { "map", img_map }, { "measure", img_measure }, { "rebase", img_rebase },
    { "resize", img_resize }, { "snapshot", img_snapshot },
};

static const char *running;     /* the command, when it is known */

static void print_help(void)
{
    if (tool_is_qemu) {
        tool_print_version();
    }
    if (running && !tool_is_qemu) {
        img_print_page(running);
    } else {
        img_print_list();
    }
}

void img_usage_error(const char *format, ...)
{
    va_list ap;
    char *text;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    tool_error("%s", text);
    g_free(text);
    tool_print_error(running && !tool_is_qemu ? "Try '%s %s --help' for more information\n"
                                              : "Try '%s --help' for more information\n", tool_name, running);
    exit(EXIT_FAILURE);
}

int img_getopt(int argc, char **argv, const char *letters, const struct option *options)
{
    int c = getopt_long(argc, argv, letters, options, NULL);

    switch (c) {
    case 'h':
        print_help();
        exit(EXIT_SUCCESS);
    case ':':
        img_usage_error("missing argument for option '%s'", argv[optind - 1]);
    case '?':
        img_usage_error("unrecognized option '%s'", argv[optind - 1]);
    case IMG_OPT_OBJECT:
        tool_error("--object is not supported: no driver takes any");
        exit(EXIT_FAILURE);
    }
    return c;
}

bool img_parse_range(const char *what, const char *text, int64_t min, int64_t max, int64_t *bytes)
{
    int64_t value = -1;

    if (!size_parse(text, &value) && !tool_is_too_large(text)) {
        tool_error("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
        tool_error("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
        return false;
    }
    if (value < min || value > max) {
        tool_error("Invalid %s specified. Must be between %" PRId64 " and %" PRId64 ".", what, min, max);
        return false;
    }
    *bytes = value;
    return true;
}

bool img_parse_size(const char *what, const char *text, int64_t *bytes)
{
    return img_parse_range(what, text, 0, INT64_MAX, bytes);
}

bool img_parse_count(const char *text, long min, long max, long *count)
{
    char *end;

    errno = 0;
    *count = strtol(text, &end, 0);
    return end != text && !*end && !errno && *count >= min && *count <= max;
}

void img_refuse_size(const char *where)
{
    tool_error("%sParameter 'size' expects a non-negative number below 2^64", where);
    tool_print_error("Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                     "and exabytes, respectively.\n");
}

bool img_parse_output(const char *text, bool *json)
{
    *json = !strcmp(text, "json");
    if (!*json && strcmp(text, "human")) {
        tool_error("--output must be used with human or json as argument.");
        return false;
    }
    return true;
}

void img_take_option(ImgImage *image, int c)
{
    if (c == 'f') {
        image->format = optarg;
    } else if (c == 'U') {
        image->flags |= BDRV_O_NO_LOCK;
    } else if (c == IMG_OPT_IMAGE_OPTS) {
        image->image_opts = true;
    }
}

/* An error that advises an option of the image: show how it is given */
static void show_option(const ImgImage *image, const char *message)
{
    const char *option = strstr(message, "parent=FILE") ? "parent=FILE" : strstr(message, "salvage=on") ? "salvage=on" : NULL;
    g_autoptr(KeyVal) own = keyval_new();

    if (!option || tool_is_qemu || image->image_opts || image->named) {
        return;
    }
    keyval_set(own, "driver", "vpc");
    keyval_set(own, "file.filename", image->filename);
    g_autofree char *text = keyval_format(own);

    tool_print_error("Options of an image are given so: --image-opts %s,%s\n", text, option);
}

bool img_open_silently(ImgImage *image, GError **errp)
{
    const char *filename = image->named ? NULL : image->filename;
    GError *err = NULL;

    if (image->image_opts && image->format) {
        tool_error("--image-opts and --format are mutually exclusive");
        bdrv_set_error(errp, EINVAL, "--image-opts and --format are mutually exclusive");
        return false;
    }
    image->bs = tool_open(filename, image->format, image->options, image->image_opts, image->flags, NULL,
                          &err);
    if (!image->bs) {
        tool_error("Could not open '%s': %s", image->filename, bdrv_error_message(err));
        show_option(image, bdrv_error_message(err));
        g_propagate_error(errp, err);
        return false;
    }
    return true;
}

bool img_open(ImgImage *image)
{
    bool ok = img_open_silently(image, NULL);

    if (ok) {
        tool_print_warnings(image->bs, image->filename, &image->warnings);
    }
    return ok;
}

int img_close(ImgImage *image)
{
    int ret;

    if (image->bs) {
        tool_print_warnings(image->bs, image->filename, &image->warnings);
    }
    ret = bdrv_close(image->bs);
    image->bs = NULL;
    return ret;
}

bool img_close_written(ImgImage *image, bool ok)
{
    int ret = img_close(image);

    if (ok && ret < 0) {
        tool_error("error while writing %s: %s", image->filename, g_strerror(-ret));
    }
    return ok && ret == 0;
}

bool img_parse_cache(const char *what, const char *cache, unsigned *flags)
{
    if (bdrv_parse_cache_mode(cache, flags)) {
        return true;
    }
    tool_error("Invalid %scache option: %s", what, cache);
    return false;
}

bool img_check_snapshot(const char *text)
{
    g_autoptr(KeyVal) given = g_str_has_prefix(text, "snapshot.") ? keyval_parse(text, NULL) : keyval_new();
    const char *wrong = NULL;

    for (size_t i = 0; given && !wrong && i < keyval_count(given); i++) {
        const char *key = keyval_key(given, i);

        wrong = strcmp(key, "snapshot.id") && strcmp(key, "snapshot.name") ? key : NULL;
    }
    if (wrong) {
        tool_error("Invalid parameter '%s'", wrong);
    }
    if (wrong || !given) {
        tool_error("Failed in parsing snapshot param '%s'", text);
    }
    return given && !wrong;
}

bool img_refuse_snapshot(const ImgImage *image)
{
    tool_error("Failed to load snapshot: Block format '%s' used by device '' does not support temporarily loading "
               "internal snapshots", bdrv_get_driver_name(image->bs));
    return false;
}

bool img_is_file_of(BlockDriverState *bs, const char *path)
{
    while (bs && !img_is_same_file(bdrv_get_filename(bs), path)) {
        bs = bdrv_get_backing(bs);
    }
    return bs != NULL;
}

static bool option_is_file_of(BlockDriverState *bs, const KeyVal *options)
{
    bool found = false;

    for (size_t i = 0; i < keyval_count(options) && !found; i++) {
        const char *key = keyval_key(options, i);

        found = (g_str_equal(key, "filename") || g_str_has_suffix(key, ".filename")) &&
                img_is_file_of(bs, keyval_value(options, i));
    }
    return found;
}

bool img_is_input(BlockDriverState *bs, const char *filename, const KeyVal *options)
{
    g_autofree char *text = bdrv_is_path(filename) ? NULL : bdrv_name_options(filename, NULL);
    g_autoptr(KeyVal) named = keyval_parse(text, NULL);
    bool found = img_is_file_of(bs, filename) || (named && option_is_file_of(bs, named)) || option_is_file_of(bs, options);

    if (found) {
        tool_error("'%s' is both input and output", filename);
    }
    return found;
}

bool img_is_regular_file(const char *filename)
{
    struct stat st;

    return lstat(filename, &st) == 0 && S_ISREG(st.st_mode);
}

void img_warn_of_rest(const ImgImage *image)
{
    BlockInfo *info = tool_is_qemu ? NULL : bdrv_get_info(image->bs, NULL);
    const BlockInfoItem *item = info ? bdrv_info_find(info, "current-size") : NULL;
    int64_t all = item && item->type == BLOCK_INFO_INT ? item->number : 0, read = bdrv_getlength(image->bs);

    if (all > read) {
        tool_warn("%s: only %" PRId64 " of the %" PRId64 " bytes in its footer are read, since the geometry counts for the creator in "
                  "the footer; --image-opts driver=vpc,force_size_calc=current_size,file.filename=... reads all of them",
                  image->filename, read, all);
    }
    bdrv_info_free(info);
}

/* Which file, or which device */
typedef struct Place {
    bool device;
    uint64_t dev, ino;          /* of a device: its number, and 0 */
} Place;

/* Of a loop device, the place of the file that it shows */
static bool find_place(const char *path, Place *place)
{
    struct loop_info64 loop;
    struct stat st;

    if (stat(path, &st) < 0) {
        return false;
    }
    *place = S_ISBLK(st.st_mode) ? (Place) { true, st.st_rdev, 0 } : (Place) { false, st.st_dev, st.st_ino };
    int fd = S_ISBLK(st.st_mode) ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

    if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &loop) == 0) {
        *place = loop.lo_rdevice ? (Place) { true, loop.lo_rdevice, 0 } : (Place) { false, loop.lo_device, loop.lo_inode };
    }
    if (fd >= 0) {
        close(fd);
    }
    return true;
}

bool img_is_same_file(const char *a, const char *b)
{
    Place first, second;

    return find_place(a, &first) && find_place(b, &second) && first.device == second.device && first.dev == second.dev &&
           first.ino == second.ino;
}

char *img_path_from(const char *image, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(image);

    return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(folder, path, NULL);
}

static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!strcmp(argv[0], commands[i].name)) {
            optind = 0;
            running = commands[i].name;
            return commands[i].run(argc, argv);
        }
    }
    img_usage_error("Command not found: %s", argv[0]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        IMG_HELP_OPTION, { "version", 0, NULL, 'V' }, { "trace", 1, NULL, 'T' }, { 0 }
    };
    int status;

    tool_init(argv[0]);
    img_progress_answer_signals();
    while ((status = img_getopt(argc, argv, "+:hT:V", options)) != -1) {
        if (status == 'T') {
            tool_error("--trace is not supported: there are no trace points");
            return EXIT_FAILURE;
        }
        tool_print_version();
        return EXIT_SUCCESS;
    }
    if (optind >= argc) {
        img_usage_error("Not enough arguments");
    }
    status = run_command(argc - optind, argv + optind);
    if (fflush(stdout) || ferror(stdout)) {
        tool_error("could not write to standard output: %s", g_strerror(errno));
        return status ? status : EXIT_FAILURE;
    }
    return status;
}
