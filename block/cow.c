/* cow.c - writes over any image, kept apart from it: thrown away at close, or committed */
/* SPDX-License-Identifier: MIT
 *
 * bs->backing is the image, bs->file is scratch space with every byte at its own offset. Which granules
 * are there is known to memory only.
 */
#include <errno.h>
#include <glib.h>
#include "block/drivers.h"
#include "util/checked.h"

#define COW_GRANULE     4096
#define COW_PAGE_BYTES  4096                                            /* of the map */
#define COW_PAGE        ((int64_t)COW_PAGE_BYTES * 8 * COW_GRANULE)     /* bytes of disk that a page is about */

typedef struct CowState {
    uint8_t **pages;            /* NULL: nothing was written there */
    int64_t count;
} CowState;

static bool cow_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    return true;
}

static bool cow_open_backing(BlockDriverState *bs, GError **errp)
{
    CowState *s = bs->state;

    if (!bs->backing) {
        bs->backing = bdrv_open_backing(bs, NULL, NULL, errp);
    }
    if (!bs->backing) {
        return false;
    }
    bs->size = bdrv_node_size(bs->backing);
    s->count = bs->size / COW_PAGE + 1;
    s->pages = g_new0(uint8_t *, s->count);
    return true;
}

static bool is_there(const CowState *s, int64_t granule)
{
    const uint8_t *page = s->pages[granule * COW_GRANULE / COW_PAGE];
    int64_t bit = granule % (COW_PAGE / COW_GRANULE);

    return page && page[bit / 8] & 1 << bit % 8;
}

static int cow_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    CowState *s = bs->state;
    int64_t first = offset / COW_GRANULE, end = (offset + bytes + COW_GRANULE - 1) / COW_GRANULE, next = first + 1;
    bool there = is_there(s, first), write = mode & BLOCK_MAP_WRITE;

    while (next < end && is_there(s, next) == there) {
        next++;
    }
    *ext = (BlockExtent) { first * COW_GRANULE, (next - first) * COW_GRANULE, there || write ? bs->file : bs->backing,
                           first * COW_GRANULE, write && !there ? BLOCK_EXTENT_NEW : 0 };
    return 0;
}

static int cow_commit(BlockDriverState *bs, const BlockExtent *ext)
{
    CowState *s = bs->state;

    for (int64_t i = ext->offset / COW_GRANULE; i < (ext->offset + ext->bytes) / COW_GRANULE; i++) {
        uint8_t **page = &s->pages[i * COW_GRANULE / COW_PAGE];
        int64_t bit = i % (COW_PAGE / COW_GRANULE);

        if (!*page) {
            *page = g_try_malloc0(COW_PAGE_BYTES);
        }
        if (!*page) {
            return -ENOMEM;
        }
        (*page)[bit / 8] |= (uint8_t)(1 << bit % 8);
    }
    return 0;
}

static void cow_close(BlockDriverState *bs)
{
    CowState *s = bs->state;

    for (int64_t i = 0; i < s->count; i++) {
        g_free(s->pages[i]);
    }
    g_free(s->pages);
}

const BlockDriver bdrv_cow = {
    .name           = "cow",
    .description    = "throw-away writes over another image",
    .state_size     = sizeof(CowState),
    .open           = cow_open,
    .open_backing   = cow_open_backing,
    .read           = bdrv_mapped_read,
    .write          = bdrv_mapped_write,
    .close          = cow_close,
    .map            = cow_map,
    .commit         = cow_commit,
};
