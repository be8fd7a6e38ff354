/* metacache.c - pages of a format's tables in memory: read once, changed in memory, written by flush */
/* SPDX-License-Identifier: MIT
 *
 * Each node has one cache. A page is identified by its offset in bs->file. The node's map lock guards the cache, and is
 * released only while a page is read:
 *
 *   absent -> being read -> clean <-> dirty        if there are too many, the oldest clean pages are dropped, except
 *                        -> absent (read failed)   those that were used again; dirty pages stay
 */
#include <errno.h>
#include <string.h>
#include "block/layer.h"

#define SECTOR 512

typedef struct Page {
    int64_t offset, bytes;
    enum { READING, CLEAN, DIRTY } state;
    bool wanted;                /* used again since it was read, or since evict() last considered it */
    GList link;                 /* in the cache's clean or dirty list */
    uint8_t *dirty;             /* one byte for each sector, behind the data */
    uint8_t data[];
} Page;

struct BlockMetaCache {
    GHashTable *pages;          /* by their offsets */
    GQueue clean, dirty;        /* evict() drops clean pages from the tail */
    int64_t clean_bytes, dirty_bytes;
};

static BlockMetaCache *get_cache(BlockDriverState *bs)
{
    BlockPrivate *priv = bs->priv;

    if (!priv->meta) {
        priv->meta = g_new0(BlockMetaCache, 1);
        priv->meta->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    }
    return priv->meta;
}

void block_meta_free(BlockDriverState *bs)
{
    if (bs->priv->meta) {
        g_hash_table_destroy(bs->priv->meta->pages);
        g_free(bs->priv->meta);
    }
}

static size_t sectors(const Page *page)
{
    return (size_t)((page->bytes + SECTOR - 1) / SECTOR);
}

static Page *page_new(int64_t offset, int64_t bytes)
{
    size_t marks = (size_t)((bytes + SECTOR - 1) / SECTOR);
    Page *page = g_try_malloc0(sizeof(Page) + (size_t)bytes + marks);

    if (page) {
        page->offset = offset;
        page->bytes = bytes;
        page->link.data = page;
        page->dirty = page->data + bytes;
    }
    return page;
}

static void make_clean(BlockMetaCache *cache, Page *page)
{
    page->state = CLEAN;
    g_queue_push_head_link(&cache->clean, &page->link);
    cache->clean_bytes += page->bytes;
}

/* Drop clean pages until there is room for @bytes more */
static void evict(BlockDriverState *bs, BlockMetaCache *cache, int64_t bytes)
{
    while (cache->clean_bytes + bytes > bs->priv->meta_limit && cache->clean.length > 0) {
        Page *page = g_queue_pop_tail_link(&cache->clean)->data;

        if (page->wanted) {
            page->wanted = false;
            g_queue_push_head_link(&cache->clean, &page->link);
        } else {
            cache->clean_bytes -= page->bytes;
            g_hash_table_remove(cache->pages, &page->offset);
        }
    }
}

/* Read a page. Releases the map lock meanwhile; other threads that want this page wait for it */
static int load(BlockDriverState *bs, BlockMetaCache *cache, int64_t offset, int64_t bytes, uint8_t **data)
{
    BlockPrivate *priv = bs->priv;
    Page *page = page_new(offset, bytes);

    if (!page) {
        return -ENOMEM;
    }
    g_hash_table_insert(cache->pages, &page->offset, page);
    pthread_mutex_unlock(&priv->map_lock);
    int ret = bdrv_node_pread(bs->file, offset, page->data, bytes);
    pthread_mutex_lock(&priv->map_lock);

    if (ret < 0) {
        g_hash_table_remove(cache->pages, &offset);
    } else {
        evict(bs, cache, bytes);
        make_clean(cache, page);
        *data = page->data;
    }
    pthread_cond_broadcast(&priv->page_read);
    return ret;
}

int bdrv_meta_get(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, uint8_t **data)
{
    BlockMetaCache *cache = get_cache(bs);

    for (;;) {
        Page *page = g_hash_table_lookup(cache->pages, &offset);

        if (page && page->state != READING) {
            page->wanted = true;
            *data = page->data;
            return 0;
        }
        if (!(mode & BLOCK_MAP_WAIT)) {
            return -EAGAIN;
        }
        if (!page) {
            return load(bs, cache, offset, bytes, data);
        }
        pthread_cond_wait(&bs->priv->page_read, &bs->priv->map_lock);
    }
}

void bdrv_meta_dirty(BlockDriverState *bs, int64_t offset, int64_t at, int64_t bytes)
{
    BlockMetaCache *cache = get_cache(bs);
    Page *page = g_hash_table_lookup(cache->pages, &offset);

    if (!page || page->state == READING || at < 0 || bytes <= 0 || bytes > page->bytes - at) {
        return;
    }
    memset(page->dirty + at / SECTOR, 1, (size_t)((at + bytes - 1) / SECTOR - at / SECTOR + 1));
    if (page->state == CLEAN) {
        g_queue_unlink(&cache->clean, &page->link);
        cache->clean_bytes -= page->bytes;
        page->state = DIRTY;
        g_queue_push_head_link(&cache->dirty, &page->link);
        cache->dirty_bytes += page->bytes;
        bs->priv->dirty_pages++;
    }
    if (cache->dirty_bytes > bs->priv->meta_limit) {
        __atomic_store_n(&bs->priv->tree->full, 1, __ATOMIC_RELAXED);
    }
}

void bdrv_meta_put(BlockDriverState *bs, int64_t offset, int64_t at, int64_t bytes)
{
    Page *page = g_hash_table_lookup(get_cache(bs)->pages, &offset);

    if (!page || page->state == READING || at < 0 || bytes <= 0 || bytes > page->bytes - at) {
        return;
    }
    int64_t first = at / SECTOR, last = (at + bytes - 1) / SECTOR;
    int64_t end = MIN((last + 1) * SECTOR, page->bytes);

    if (memchr(page->dirty + first, 1, (size_t)(last - first + 1)) ||
        bdrv_node_pwrite(bs->file, offset + first * SECTOR, page->data + first * SECTOR, end - first * SECTOR) < 0) {
        bdrv_meta_dirty(bs, offset, at, bytes);
    }
}

void bdrv_meta_forget(BlockDriverState *bs)
{
    pthread_mutex_lock(&bs->priv->map_lock);
    BlockMetaCache *cache = get_cache(bs);

    while (cache->clean.length > 0) {
        Page *page = g_queue_pop_tail_link(&cache->clean)->data;

        cache->clean_bytes -= page->bytes;
        g_hash_table_remove(cache->pages, &page->offset);
    }
    pthread_mutex_unlock(&bs->priv->map_lock);
}

/* Write the dirty sectors of a page, each run of them in one write */
static int write_page(BlockDriverState *bs, Page *page)
{
    size_t count = sectors(page);

    for (size_t i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count && page->dirty[i + run] == page->dirty[i]; run++) {
        }
        if (!page->dirty[i]) {
            continue;
        }
        int64_t at = (int64_t)i * SECTOR, bytes = MIN((int64_t)run * SECTOR, page->bytes - at);
        int ret = bdrv_node_pwrite(bs->file, page->offset + at, page->data + at, bytes);

        if (ret < 0) {
            return ret;
        }
        memset(page->dirty + i, 0, run);
    }
    return 0;
}

static int by_offset(gconstpointer a, gconstpointer b, gpointer unused)
{
    int64_t left = ((const Page *)a)->offset, right = ((const Page *)b)->offset;

    return (left > right) - (left < right);
}

int bdrv_meta_write(BlockDriverState *bs)
{
    BlockMetaCache *cache = get_cache(bs);
    int ret = 0;

    g_queue_sort(&cache->dirty, by_offset, NULL);
    while (cache->dirty.head && ret == 0) {
        Page *page = cache->dirty.head->data;

        ret = write_page(bs, page);
        if (ret == 0) {
            g_queue_unlink(&cache->dirty, &page->link);
            cache->dirty_bytes -= page->bytes;
            bs->priv->dirty_pages--;
            make_clean(cache, page);
        }
    }
    evict(bs, cache, 0);
    return ret;
}
