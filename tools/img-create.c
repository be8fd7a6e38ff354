/* img-create.c - miniblk-img create: make an empty image */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/img-target.h"
#include "util/size.h"

bool img_add_create_options(KeyVal *options, const char *text)
{
    g_autoptr(KeyVal) more = keyval_parse(text, NULL);

    if (!more || !keyval_count(more)) {
        tool_error("Invalid option list: %s", text);
        return false;
    }
    for (size_t i = 0; i < keyval_count(more); i++) {
        if (!strcmp(keyval_key(more, i), "driver")) {
            tool_error("Invalid parameter 'driver'");
            return false;
        }
        keyval_set(options, keyval_key(more, i), keyval_value(more, i));
    }
    return true;
}

const BlockDriver *img_find_creator(const char *format, const char *where)
{
    const BlockDriver *drv = bdrv_find_driver(format);

    if (!drv) {
        tool_error("%sUnknown file format '%s'", where, format);
    } else if (!drv->create) {
        tool_error("%sFormat driver '%s' does not support image creation", where, drv->name);
        drv = NULL;
    }
    return drv;
}

bool img_create_help(const KeyVal *options, const BlockDriver *drv)
{
    char *help;

    if (!keyval_get(options, "help") && !keyval_get(options, "?")) {
        return false;
    }
    help = bdrv_options_help(drv->create_options);
    tool_print("Supported %s options:\n%s", drv->name, help);
    free(help);
    return true;
}

static const BlockOption *find_option(const BlockDriver *drv, const char *name)
{
    const BlockOption *opt = drv->create_options;

    while (opt && opt->name && strcmp(opt->name, name)) {
        opt++;
    }
    return opt && opt->name ? opt : NULL;
}

bool img_has_create_option(const BlockDriver *drv, const char *name)
{
    return find_option(drv, name) != NULL;
}

static void print_option(const BlockOption *opt, const char *value)
{
    int64_t bytes;

    if (opt->type == BLOCK_OPT_SIZE && size_parse(value, &bytes)) {
        tool_print(" %s=%" PRId64, opt->name, bytes);
    } else {
        tool_print(" %s=%s", opt->name, value);
    }
}

/* "Formatting …", with the options that were given, size first and the rest as in the driver's table */
static void print_formatting(const BlockDriver *drv, const char *filename, const KeyVal *options)
{
    const BlockOption *size = find_option(drv, "size");

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

bool img_check_create_options(const KeyVal *options, const BlockDriver *drv, const char *where)
{
    for (size_t i = 0; i < keyval_count(options); i++) {
        const char *key = keyval_key(options, i);

        /* options of the file below have a dot in them, and are checked there */
        if (!strchr(key, '.') && !find_option(drv, key)) {
            tool_error("%sInvalid parameter '%s'", where, key);
            return false;
        }
    }
    return true;
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
        return true;        /* the parent's */
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

/* QEMU fills the first 4 KiB of a raw file */
static void set_qemu_defaults_of_raw(KeyVal *options)
{
    const char *preallocation = keyval_get(options, "preallocation");

    if (!preallocation || g_str_equal(preallocation, "off")) {
        keyval_set(options, "preallocation", "first");
    }
}

/* QEMU rounds the size of a VHD up to one that the geometry can say, if it is not told to keep it: then the geometry is
 * the largest. Options that QEMU has not leave both alone */
static void set_qemu_defaults_of_vpc(KeyVal *options)
{
    bool own = keyval_get(options, "for") || keyval_get(options, "backing_file") || keyval_get(options, "geometry");
    const char *force_size = keyval_get(options, "force_size");

    if (own) {
        return;
    }
    if (!force_size) {
        keyval_set(options, "force_size", "off");
    } else if (g_str_equal(force_size, "on")) {
        keyval_set(options, "geometry", "max");
    }
}

char *img_creation_options(KeyVal *options, const BlockDriver *drv)
{
    if (tool_is_qemu) {
        if (find_option(drv, "force_size")) {
            set_qemu_defaults_of_vpc(options);
        } else if (find_option(drv, "preallocation")) {
            set_qemu_defaults_of_raw(options);
        }
    }
    keyval_set(options, "driver", drv->name);
    return keyval_format(options);
}

static void print_warning(void *filename, const char *text)
{
    tool_warn("%s: %s", (const char *)filename, text);
}

const char *img_advice_on_parent(const char *image, const char *parent, const char *format)
{
    if (!parent || format || tool_is_qemu || !bdrv_is_path(parent)) {
        return "";
    }
    g_autofree char *path = img_path_from(image, parent);
    const BlockOpenArgs args = { .filename = path, .flags = BDRV_O_PROBE | BDRV_O_NO_BACKING | BDRV_O_NO_LOCK };
    BlockDriverState *bs = bdrv_open_with(&args, NULL);
    bool raw = bs && !strcmp(bdrv_get_driver_name(bs), "raw");

    bdrv_close(bs);
    return raw ? "; without -F a parent is taken for a VHD: -F raw says that it is a raw disk" : "";
}

bool img_create_image(const char *filename, const BlockDriver *drv, KeyVal *options, const char *doing)
{
    g_autofree char *text = img_creation_options(options, drv);
    GError *err = NULL;

    const BlockCreateArgs args = { .filename = filename, .options = text, .warn = print_warning, .user = (void *)filename };

    if (!bdrv_create_with(&args, &err)) {
        tool_error("%s: %s%s%s", filename, doing, bdrv_error_message(err),
                   img_advice_on_parent(filename, keyval_get(options, "backing_file"), keyval_get(options, "backing_fmt")));
        bdrv_error_free(err);
        return false;
    }
    return true;
}

/* Warn of bytes that a new raw disk has from before: a device and an export are not emptied */
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

static bool parse_args(CreateArgs *args, int argc, char **argv)
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

static bool set_option(KeyVal *options, const BlockDriver *drv, const char *where, const char *key,
                       const char *value, const char *what)
{
    if (value && !find_option(drv, key)) {
        tool_error("%s%s not supported for file format '%s'", where, what, drv->name);
        return false;
    }
    if (value) {
        keyval_set(options, key, value);
    }
    return true;
}

/* Does the image at @path, of the format @format, or vpc if that is NULL, need the file @filename? */
static bool is_parent_of(const char *path, const char *format, const char *filename)
{
    g_autofree char *options = g_strdup_printf("driver=%s", format ? format : "vpc");
    BlockDriverState *bs = g_file_test(filename, G_FILE_TEST_EXISTS) ? bdrv_open(path, options, BDRV_O_NO_LOCK, NULL) : NULL;
    bool found = bs && img_is_file_of(bs, filename);

    bdrv_close(bs);
    return found;
}

bool img_set_backing(KeyVal *options, const BlockDriver *drv, const char *backing, const char *format,
                     const char *filename, const char *where)
{
    if (!set_option(options, drv, where, "backing_file", backing, "Backing file") ||
        !set_option(options, drv, where, "backing_fmt", format, "Backing file format")) {
        return false;
    }
    backing = keyval_get(options, "backing_file");
    if (!backing && keyval_get(options, "backing_fmt")) {
        tool_error("%sBacking format cannot be used without backing file", where);
        return false;
    }
    g_autofree char *path = backing ? img_path_from(filename, backing) : NULL;

    if (path && img_is_same_file(path, filename)) {
        tool_error("%sError: Trying to create an image with the same filename as the backing file", where);
        return false;
    }
    if (path && is_parent_of(path, keyval_get(options, "backing_fmt"), filename)) {
        tool_error("%sparent '%s': the new image would be written over it, or over an image that it needs", where, path);
        return false;
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

    return parse_args(&args, argc, argv) && create_from_args(&args) ? EXIT_SUCCESS : EXIT_FAILURE;
}
