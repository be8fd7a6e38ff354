/* img-info.c - miniblk-img info: format, size and other facts of an image */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-image.h"
#include "tools/img.h"
#include "tools/json.h"
#include "util/size.h"

/* Find the text of the item @key. NULL: the driver has no such item */
static const char *find_text(const BlockInfo *info, const char *key)
{
    const BlockInfoItem *item = bdrv_info_find(info, key);

    return item ? item->text : NULL;
}

static bool is_common(const BlockInfoItem *item)
{
    static const char *const keys[] = { "backing-filename", "full-backing-filename", "backing-filename-format", NULL };

    return g_strv_contains(keys, item->key);
}

static void json_item(Json *json, const BlockInfoItem *item)
{
    switch (item->type) {
    case BLOCK_INFO_TEXT:
        json_text(json, item->key, item->text);
        break;
    case BLOCK_INFO_INT:
        json_int(json, item->key, item->number);
        break;
    case BLOCK_INFO_BOOL:
        json_bool(json, item->key, item->number);
        break;
    }
}

static void json_specific(Json *json, const BlockInfo *info)
{
    json_key(json, "format-specific");
    json_begin(json);
    json_text(json, "type", info->driver);
    json_key(json, "data");
    json_begin(json);
    for (int i = 0; i < info->count; i++) {
        if (!is_common(&info->items[i])) {
            json_item(json, &info->items[i]);
        }
    }
    json_end(json);
    json_end(json);
}

static void json_common(Json *json, const BlockInfo *info, const char *key)
{
    if (find_text(info, key)) {
        json_text(json, key, find_text(info, key));
    }
}

/* Fill an object that was begun, and end it. @bs: the image whose warnings are printed; NULL: another object of the
 * chain has them */
static void print_json(Json *json, const BlockInfo *info, const char *filename, BlockDriverState *bs)
{
    json_common(json, info, "backing-filename-format");
    json_int(json, "virtual-size", info->virtual_size);
    json_text(json, "filename", filename);
    if (info->cluster_size > 0) {
        json_int(json, "cluster-size", info->cluster_size);
    }
    json_text(json, "format", info->driver);
    if (info->actual_size >= 0) {
        json_int(json, "actual-size", info->actual_size);
    }
    if (info->count) {
        json_specific(json, info);
    }
    json_common(json, info, "full-backing-filename");
    json_common(json, info, "backing-filename");
    json_bool(json, "dirty-flag", false);
    if (bs) {
        json_warnings(json, bs);
    }
    json_end(json);
}

/* Print how the format was guessed. For raw print nothing: it is taken if no format is recognised */
static void print_guess(const BlockInfo *info)
{
    const char *type = find_text(info, "type");

    if (type && !strcmp(type, "fixed")) {
        tool_print("format was guessed: recognised by its last sector: a fixed VHD, "
                   "or a raw disk that ends in one\n");
    } else if (type) {
        tool_print("format was guessed: recognised by one footer of two, of a VHD that is %s\n", type);
    } else if (strcmp(info->driver, "raw")) {
        tool_print("format was guessed: %d %% sure\n", info->probe);
    }
}

/* Print @text in one line, whatever its characters are */
static void print_text(const char *before, const char *text, const char *after)
{
    g_autofree char *printable = tool_printable(text);

    tool_print("%s%s%s", before, printable, after);
}

static void print_backing(const BlockInfo *info)
{
    const char *name = find_text(info, "backing-filename"), *full = find_text(info, "full-backing-filename");

    if (name) {
        print_text("backing file: ", name, "");
        if (!full) {
            tool_print(" (cannot determine actual path)");
        } else if (strcmp(name, full)) {
            print_text(" (actual path: ", full, ")");
        }
        tool_print("\n");
    }
    if (find_text(info, "backing-filename-format")) {
        print_text("backing file format: ", find_text(info, "backing-filename-format"), "\n");
    }
}

static void print_item(const BlockInfoItem *item)
{
    g_autofree char *key = g_strdelimit(g_strdup(item->key), "-", ' ');

    tool_print("    %s", key);
    switch (item->type) {
    case BLOCK_INFO_TEXT:
        print_text(": ", item->text, "\n");
        break;
    case BLOCK_INFO_INT:
        tool_print(": %" PRId64 "\n", item->number);
        break;
    case BLOCK_INFO_BOOL:
        tool_print(": %s\n", item->number ? "true" : "false");
        break;
    }
}

static void print_human(const BlockInfo *info, const char *filename)
{
    g_autofree char *size = size_format(info->virtual_size);
    g_autofree char *used = info->actual_size >= 0 ? size_format(info->actual_size) : g_strdup("unavailable");

    print_text("image: ", filename, "\n");
    tool_print("file format: %s\n", info->driver);
    tool_print("virtual size: %s (%" PRId64 " bytes)\ndisk size: %s\n", size, info->virtual_size, used);
    if (info->cluster_size > 0) {
        tool_print("cluster_size: %" PRId64 "\n", info->cluster_size);
    }
    print_backing(info);
    if (info->probe > 0 && info->probe < 100 && !tool_is_qemu) {
        print_guess(info);
    }
    if (info->count) {
        tool_print("Format specific information:\n");
    }
    for (int i = 0; i < info->count; i++) {
        if (!is_common(&info->items[i])) {
            print_item(&info->items[i]);
        }
    }
}

static void free_info(void *info)
{
    bdrv_info_free(info);
}

/* Collect the facts of all images, before any are printed. NULL after a message */
static GPtrArray *collect(const ImgImage *image, bool chain)
{
    g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func(free_info);

    for (BlockDriverState *bs = image->bs; bs; bs = chain ? bdrv_get_backing(bs) : NULL) {
        GError *err = NULL;
        BlockInfo *info = bdrv_get_info(bs, &err);

        if (!info) {
            tool_error("%s: %s", bs == image->bs ? image->filename : bdrv_get_filename(bs), bdrv_error_message(err));
            bdrv_error_free(err);
            return NULL;
        }
        g_ptr_array_add(infos, info);
    }
    return g_steal_pointer(&infos);
}

static const char *name_of(const BlockInfo *info, const ImgImage *image)
{
    return info->filename && *info->filename ? info->filename : image->filename;
}

static void print_all_json(const GPtrArray *infos, const ImgImage *image, bool chain)
{
    Json json = { 0 };

    if (chain) {
        json_begin_list(&json);
    }
    for (guint i = 0; i < infos->len; i++) {
        (chain ? json_begin_item : json_begin)(&json);
        print_json(&json, infos->pdata[i], name_of(infos->pdata[i], image), i == 0 ? image->bs : NULL);
    }
    if (chain) {
        json_end_list(&json);
    }
    tool_print("\n");
}

static bool print_info(const ImgImage *image, bool chain, bool json)
{
    g_autoptr(GPtrArray) infos = collect(image, chain);

    if (infos && json) {
        print_all_json(infos, image, chain);
    }
    for (guint i = 0; infos && !json && i < infos->len; i++) {
        tool_print("%s", i ? "\n" : "");
        print_human(infos->pdata[i], name_of(infos->pdata[i], image));
    }
    return infos != NULL;
}

int img_info(int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { "output", 1, NULL, IMG_OPT_OUTPUT },
        { "backing-chain", 0, NULL, IMG_OPT_BACKING_CHAIN }, { 0 }
    };
    ImgImage image = { 0 };
    bool chain = false, json = false, ok;
    int c;

    while ((c = img_getopt(argc, argv, ":hf:U", long_options)) != -1) {
        if (c == IMG_OPT_OUTPUT && !img_parse_output(optarg, &json)) {
            return EXIT_FAILURE;
        }
        chain |= c == IMG_OPT_BACKING_CHAIN;
        img_take_option(&image, c);
    }
    image.filename = img_one_filename(argc, argv);
    image.flags |= chain ? 0 : BDRV_O_NO_BACKING;
    ok = img_open(&image) && print_info(&image, chain, json);
    img_close(&image);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
