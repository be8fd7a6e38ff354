/* info.c - bdrv_get_info(): facts about an image, and the count of its failed requests */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include "block/layer.h"

/* A BlockInfo, which bdrv_get_info() returns, and what belongs to it */
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

static void add_item(BlockInfoBuilder *items, BlockInfoItem item)
{
    item.key = g_strdup(item.key);
    g_array_append_val(items->items, item);
}

void bdrv_info_text(BlockInfoBuilder *items, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_item(items, (BlockInfoItem) { key, BLOCK_INFO_TEXT, g_strdup_vprintf(format, args) });
    va_end(args);
}

void bdrv_info_int(BlockInfoBuilder *items, const char *key, int64_t number)
{
    add_item(items, (BlockInfoItem) { key, BLOCK_INFO_INT, NULL, number });
}

void bdrv_info_bool(BlockInfoBuilder *items, const char *key, bool on)
{
    add_item(items, (BlockInfoItem) { key, BLOCK_INFO_BOOL, NULL, on });
}

/* Collect facts from the lowest node up, so that a format may replace what its file said */
static bool collect(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    if (bs->file && !collect(bs->file, info, items, errp)) {
        return false;
    }
    return !bs->drv->info || block_says_why(bs, "info", bs->drv->info(bs, info, items, errp), errp);
}

BlockInfo *bdrv_get_info(BlockDriverState *bs, GError **errp)
{
    BlockTree *tree = bs->priv->tree;
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

BlockStorage *bdrv_get_storage(BlockDriverState *bs)
{
    return bs->priv->storage;
}

bool bdrv_is_read_only(BlockDriverState *bs)
{
    return !(block_flags(bs) & BDRV_O_RDWR);
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

const char *bdrv_get_backing_option(BlockDriverState *bs, const char *key)
{
    return bs->priv->backing_options ? keyval_get(bs->priv->backing_options, key) : NULL;
}

const char *bdrv_get_backing_root(BlockDriverState *bs)
{
    return bs->priv->root;
}

int bdrv_get_place(BlockDriverState *bs)
{
    return bs->priv->place ? *bs->priv->place : -1;
}

bool bdrv_get_file_facts(BlockDriverState *node, BlockFileFacts *facts)
{
    BlockDriverState *bs = block_lowest(node);

    *facts = (BlockFileFacts) { 0 };
    return bs->drv->get_facts && bs->drv->get_facts(bs, facts);
}

unsigned bdrv_backing_depth(BlockDriverState *bs)
{
    return bs->priv->depth - (bs->priv->scratch && bs->priv->depth > 0);
}
