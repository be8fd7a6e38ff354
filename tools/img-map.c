/* img-map.c - miniblk-img map: where the data of an image is */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-image.h"
#include "tools/img.h"

/* One line of the map, in QEMU's terms */
typedef struct Entry {
    int64_t start, length;
    unsigned depth;
    bool zero, data, placed;    /* neither zero nor data: not known */
    int64_t offset;             /* if placed: in the file */
    const char *filename;       /* "" if not placed */
} Entry;

typedef void PrintEntry(const Entry *entry, bool first);

static void print_human_entry(const Entry *entry, bool first)
{
    if (first) {
        tool_print("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    if (entry->data && !entry->zero) {
        g_autofree char *filename = tool_printable(entry->filename);

        tool_print("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", entry->start, entry->length,
                   entry->offset, filename);
    }
}

static const char *json_bool(bool on)
{
    return on ? "true" : "false";
}

static void print_json_entry(const Entry *entry, bool first)
{
    tool_print("%s{ \"start\": %" PRId64 ", \"length\": %" PRId64 ", \"depth\": %u, \"present\": %s, "
               "\"zero\": %s, \"data\": %s", first ? "[" : ",\n", entry->start, entry->length, entry->depth,
               json_bool(entry->zero || entry->data), json_bool(entry->zero), json_bool(entry->data));
    if (entry->placed) {
        tool_print(", \"offset\": %" PRId64, entry->offset);
    }
    tool_print("}");
}

static int get_entry(BlockDriverState *bs, int64_t start, int64_t length, Entry *entry)
{
    BlockStatus st;
    int ret = bdrv_block_status(bs, start, length, 0, &st);

    if (ret < 0) {
        return ret;
    }
    *entry = (Entry) { start, st.bytes, st.depth, st.zero, st.data, st.leaf, st.leaf_offset,
                       st.leaf ? bdrv_get_filename(st.leaf) : "" };
    return 0;
}

/* Return true if @next begins where @entry ends, and has the same properties */
static bool can_join(const Entry *entry, const Entry *next)
{
    return entry->depth == next->depth && entry->zero == next->zero && entry->data == next->data
        && entry->placed == next->placed && !strcmp(entry->filename, next->filename)
        && (!entry->placed || entry->offset + entry->length == next->offset);
}

static int print_map(BlockDriverState *bs, int64_t start, int64_t end, PrintEntry *print)
{
    Entry entry = { .start = start, .filename = "" }, next;
    bool first = true;
    int ret = 0;

    while (entry.start + entry.length < end) {
        ret = get_entry(bs, entry.start + entry.length, end - entry.start - entry.length, &next);
        if (ret < 0) {
            break;
        }
        if (entry.length && can_join(&entry, &next)) {
            entry.length += next.length;
            continue;
        }
        if (entry.length) {
            print(&entry, first);
            first = false;
        }
        entry = next;
    }
    print(&entry, first);
    return ret;
}

static bool map(ImgImage *image, int64_t start, int64_t length, bool json)
{
    int64_t size = bdrv_getlength(image->bs);
    int64_t end = start < size && length < size - start ? start + length : size;
    int ret;

    ret = print_map(image->bs, start, end, json ? print_json_entry : print_human_entry);
    if (json) {
        tool_print("]\n");
    }
    if (ret < 0) {
        tool_error("Could not read file metadata: %s", g_strerror(-ret));
    }
    return ret == 0;
}

int img_map(int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { "output", 1, NULL, IMG_OPT_OUTPUT },
        { "start-offset", 1, NULL, 's' }, { "max-length", 1, NULL, 'l' }, { 0 }
    };
    ImgImage image = { 0 };
    int64_t start = 0, length = INT64_MAX;
    bool json = false, ok = true;
    int c;

    while (ok && (c = img_getopt(argc, argv, ":f:s:l:hU", long_options)) != -1) {
        switch (c) {
        case IMG_OPT_OUTPUT:
            ok = img_parse_output(optarg, &json);
            break;
        case 's':
            ok = img_parse_size("start offset", optarg, &start);
            break;
        case 'l':
            ok = img_parse_size("max length", optarg, &length);
            break;
        default:
            img_take_option(&image, c);
        }
    }
    image.filename = ok ? img_one_filename(argc, argv) : NULL;
    ok = ok && img_open(&image) && map(&image, start, length, json);
    img_close(&image);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
