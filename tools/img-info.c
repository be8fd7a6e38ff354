/* img-info.c - miniblk-img info: what an image says of itself */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/img.h"
#include "tools/json.h"
#include "util/size.h"

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
        json_item(json, &info->items[i]);
    }
    json_end(json);
    json_end(json);
}

static void print_json(const BlockInfo *info, const char *filename)
{
    Json json = { 0 };

    json_begin(&json);
    json_int(&json, "virtual-size", info->virtual_size);
    json_text(&json, "filename", filename);
    if (info->cluster_size > 0) {
        json_int(&json, "cluster-size", info->cluster_size);
    }
    json_text(&json, "format", info->driver);
    if (info->actual_size >= 0) {
        json_int(&json, "actual-size", info->actual_size);
    }
    if (info->count) {
        json_specific(&json, info);
    }
    json_bool(&json, "dirty-flag", false);
    json_end(&json);
    printf("\n");
}

/* A raw disk is what is left when nothing was recognised: that is no news */
static void print_guess(const BlockInfo *info)
{
    if (!strcmp(info->driver, "vpc")) {
        printf("format was guessed: recognised by its last sector: a fixed VHD, "
               "or a raw disk that ends in one\n");
    } else if (strcmp(info->driver, "raw")) {
        printf("format was guessed: %d %% sure\n", info->probe);
    }
}

static void print_item(const BlockInfoItem *item)
{
    printf("    ");
    for (const char *c = item->key; *c; c++) {
        putchar(*c == '-' ? ' ' : *c);
    }
    switch (item->type) {
    case BLOCK_INFO_TEXT:
        printf(": %s\n", item->text);
        break;
    case BLOCK_INFO_INT:
        printf(": %" PRId64 "\n", item->number);
        break;
    case BLOCK_INFO_BOOL:
        printf(": %s\n", item->number ? "true" : "false");
        break;
    }
}

static void print_human(const BlockInfo *info, const char *filename)
{
    g_autofree char *size = size_format(info->virtual_size);
    g_autofree char *used = info->actual_size >= 0 ? size_format(info->actual_size) : g_strdup("unavailable");

    printf("image: %s\nfile format: %s\n", filename, info->driver);
    printf("virtual size: %s (%" PRId64 " bytes)\ndisk size: %s\n", size, info->virtual_size, used);
    if (info->cluster_size > 0) {
        printf("cluster_size: %" PRId64 "\n", info->cluster_size);
    }
    if (info->probe > 0 && info->probe < 100) {
        print_guess(info);
    }
    if (info->count) {
        printf("Format specific information:\n");
    }
    for (int i = 0; i < info->count; i++) {
        print_item(&info->items[i]);
    }
}

static bool print_info(ImgImage *image, bool json)
{
    GError *err = NULL;
    BlockInfo *info = bdrv_get_info(image->bs, &err);
    const char *filename;

    if (!info) {
        tool_error("%s: %s", image->filename, bdrv_error_message(err));
        bdrv_error_free(err);
        return false;
    }
    filename = info->filename && *info->filename ? info->filename : image->filename;
    (json ? print_json : print_human)(info, filename);
    bdrv_info_free(info);
    return true;
}

int img_info(int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_HELP_OPTION, IMG_IMAGE_OPTIONS, { "output", 1, NULL, IMG_OPT_OUTPUT }, { 0 }
    };
    ImgImage image = { 0 };
    bool json = false, ok;
    int c;

    while ((c = img_getopt(argc, argv, ":hf:U", long_options)) != -1) {
        if (c == IMG_OPT_OUTPUT && !img_parse_output(optarg, &json)) {
            return EXIT_FAILURE;
        }
        img_take_option(&image, c);
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
    }
    image.filename = argv[optind];
    ok = img_open(&image) && print_info(&image, json);
    img_close(&image);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
