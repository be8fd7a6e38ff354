/* info.c - what an image says of itself: facts, warnings, errors */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "block/layer.h"

#define MAX_WARNINGS 64

/* bdrv_get_info() hands out the public part */
typedef struct OwnedInfo {
    BlockInfo info;
    GArray *items;
} OwnedInfo;

struct BlockInfoBuilder {
    GArray *items;
};

static void item_clear(void *item)
{
    BlockInfoItem *it = item;

    g_free((char *)it->key);
    g_free((char *)it->text);
}

static void add(BlockInfoBuilder *items, BlockInfoItem item)
{
    item.key = g_strdup(item.key);
    g_array_append_val(items->items, item);
}

void bdrv_info_text(BlockInfoBuilder *items, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(items, (BlockInfoItem) { key, BLOCK_INFO_TEXT, g_strdup_vprintf(format, args) });
    va_end(args);
}

void bdrv_info_int(BlockInfoBuilder *items, const char *key, int64_t number)
{
    add(items, (BlockInfoItem) { key, BLOCK_INFO_INT, NULL, number });
}

void bdrv_info_bool(BlockInfoBuilder *items, const char *key, bool on)
{
    add(items, (BlockInfoItem) { key, BLOCK_INFO_BOOL, NULL, on });
}

/* From the bottom up, so that a format may correct what its file said */
static bool collect(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    if (bs->file && !collect(bs->file, info, items, errp)) {
        return false;
    }
    return !bs->drv->info || block_says_why(bs, "info", bs->drv->info(bs, info, items, errp), errp);
}

BlockInfo *bdrv_get_info(BlockDriverState *bs, GError **errp)
{
    BlockTree *tree = bs->layer->tree;
    OwnedInfo *own = g_new0(OwnedInfo, 1);
    BlockInfoBuilder items = { g_array_new(FALSE, FALSE, sizeof(BlockInfoItem)) };

    g_array_set_clear_func(items.items, item_clear);
    pthread_mutex_lock(&tree->notes_lock);
    own->info = tree->errors;
    pthread_mutex_unlock(&tree->notes_lock);

    own->items = items.items;
    own->info.driver = bs->drv->name;
    own->info.filename = bs->filename;
    own->info.actual_size = -1;
    own->info.probe = tree->probe;

    gate_enter(&tree->gate, false);
    own->info.virtual_size = bdrv_node_size(bs);
    bool ok = collect(bs, &own->info, &items, errp);
    gate_leave(&tree->gate, false);

    if (!ok) {
        bdrv_info_free(&own->info);
        return NULL;
    }
    own->info.count = (int)items.items->len;
    own->info.items = (BlockInfoItem *)(void *)items.items->data;
    return &own->info;
}

void bdrv_info_free(BlockInfo *info)
{
    if (info) {
        OwnedInfo *own = (OwnedInfo *)info;

        g_array_unref(own->items);
        g_free(own);
    }
}

const BlockInfoItem *bdrv_info_find(const BlockInfo *info, const char *key)
{
    for (int i = 0; i < info->count; i++) {
        if (g_str_equal(info->items[i].key, key)) {
            return &info->items[i];
        }
    }
    return NULL;
}

static bool has_room(BlockTree *tree)
{
    pthread_mutex_lock(&tree->notes_lock);
    bool room = tree->warnings->len < MAX_WARNINGS;
    pthread_mutex_unlock(&tree->notes_lock);
    return room;
}

/* Each text once, and not without end */
void bdrv_warn(BlockDriverState *bs, const char *code, const char *format, ...)
{
    BlockTree *tree = bs->layer->tree;
    va_list args;

    if (!has_room(tree)) {
        return;
    }
    va_start(args, format);
    char *text = g_strdup_vprintf(format, args);
    va_end(args);
    if (bs->layer->behind) {
        char *said = text;

        text = g_strdup_printf("parent '%s': %s", bs->filename, said);
        g_free(said);
    }

    pthread_mutex_lock(&tree->notes_lock);
    bool is_new = tree->warnings->len < MAX_WARNINGS &&
                  !g_ptr_array_find_with_equal_func(tree->warnings, text, g_str_equal, NULL);

    if (is_new && tree->warnings->len == MAX_WARNINGS - 1) {
        g_free(text);
        text = g_strdup("more warnings were given than are kept: check lists what is wrong with the image");
        code = "more";
    }
    if (is_new) {
        g_ptr_array_add(tree->warnings, text);
        g_ptr_array_add(tree->warning_codes, (gpointer)code);
    }
    pthread_mutex_unlock(&tree->notes_lock);
    if (!is_new) {
        g_free(text);
    } else if (tree->warn) {
        tree->warn(tree->warn_user, text);
    }
}

static const char *get_note(BlockTree *tree, const GPtrArray *notes, unsigned n)
{
    pthread_mutex_lock(&tree->notes_lock);
    const char *text = n < notes->len ? g_ptr_array_index(notes, n) : NULL;
    pthread_mutex_unlock(&tree->notes_lock);
    return text;
}

const char *bdrv_get_warning(BlockDriverState *bs, unsigned n)
{
    return get_note(bs->layer->tree, bs->layer->tree->warnings, n);
}

const char *bdrv_get_warning_code(BlockDriverState *bs, unsigned n)
{
    return get_note(bs->layer->tree, bs->layer->tree->warning_codes, n);
}

void block_note_error(BlockTree *tree, const char *operation, int64_t offset, int err)
{
    pthread_mutex_lock(&tree->notes_lock);
    if (tree->errors.io_errors++ == 0) {
        tree->errors.io_errno = err;
        tree->errors.io_offset = offset;
        tree->errors.io_operation = operation;
    }
    pthread_mutex_unlock(&tree->notes_lock);
}

BlockStorage *bdrv_get_storage(BlockDriverState *bs)
{
    return bs->layer->storage;
}

bool bdrv_is_read_only(BlockDriverState *bs)
{
    return !(bs->flags & BDRV_O_RDWR);
}

const char *bdrv_get_driver_name(BlockDriverState *bs)
{
    return bs->drv->name;
}

const char *bdrv_get_filename(BlockDriverState *bs)
{
    return bs->filename;
}

BlockDriverState *bdrv_get_backing(BlockDriverState *bs)
{
    return bs->backing;
}
