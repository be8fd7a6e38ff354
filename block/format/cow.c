/* cow.c - an overlay over any image: its writes are thrown away on close, or committed to the image */
/* SPDX-License-Identifier: MIT
 *
 * bs->backing is the image. bs->file is a scratch file, in which every byte has the same offset as on the disk. Which
 * granules (4 KiB) were written is kept in memory only.
 */
#include <errno.h>
#include <inttypes.h>
#include <glib.h>
#include "block/drivers.h"
#include "util/checked.h"

#define COW_GRANULE     4096
#define COW_PAGE        32768                   /* granules in one page of the map: 128 MiB of disk */
#define COW_MAX_RUN     ((int64_t)COW_PAGE << 12)   /* granules in one extent, to bound the search for its end */

typedef struct CowPage {
    int64_t number;
    uint8_t bits[COW_PAGE / 8];
} CowPage;

typedef struct CowState {
    GHashTable *pages;          /* CowPage by number; missing: no granule of it was written */
} CowState;

static bool cow_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    CowState *s = bs->state;

    s->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    return true;
}

static bool cow_open_backing(BlockDriverState *bs, GError **errp)
{
    if (!bs->backing) {
        bs->backing = bdrv_open_backing(bs, NULL, NULL, errp);
    }
    if (!bs->backing) {
        return false;
    }
    int64_t size = bdrv_node_size(bs->backing);

    if (size > INT64_MAX - COW_GRANULE) {
        bdrv_set_error(errp, EFBIG, "%" PRId64 " bytes are more than can be written over", size);
        return false;
    }
    bs->size = size;
    return true;
}

static CowPage *page_of(const CowState *s, int64_t granule)
{
    int64_t number = granule / COW_PAGE;

    return g_hash_table_lookup(s->pages, &number);
}

static bool is_written(const CowPage *page, int64_t granule)
{
    int64_t bit = granule % COW_PAGE;

    return page && page->bits[bit / 8] & 1 << bit % 8;
}

/* Return the end of the run of granules that begins at @from: all written, or all not. At most @end */
static int64_t run_end(const CowState *s, int64_t from, int64_t end)
{
    bool there = is_written(page_of(s, from), from);

    while (from < end) {
        const CowPage *page = page_of(s, from);
        int64_t last = MIN(from - from % COW_PAGE + COW_PAGE, end);

        if (!page && !there) {
            from = last;
        }
        for (; from < last; from++) {
            if (is_written(page, from) != there) {
                return from;
            }
        }
    }
    return end;
}

static int cow_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    CowState *s = bs->state;
    int64_t first = offset / COW_GRANULE, last = (offset + bytes - 1) / COW_GRANULE;
    bool there = is_written(page_of(s, first), first), write = mode & BLOCK_MAP_WRITE;
    int64_t next = run_end(s, first, MIN(last + 1, first + COW_MAX_RUN));

    *ext = (BlockExtent) { first * COW_GRANULE, (next - first) * COW_GRANULE, there || write ? bs->file : bs->backing,
                           first * COW_GRANULE, write && !there ? BLOCK_EXTENT_NEW : 0 };
    return 0;
}

static CowPage *add_page(CowState *s, int64_t number)
{
    CowPage *page = g_try_malloc0(sizeof(*page));

    if (page) {
        page->number = number;
        g_hash_table_insert(s->pages, &page->number, page);
    }
    return page;
}

static int cow_map_done(BlockDriverState *bs, const BlockExtent *ext)
{
    CowState *s = bs->state;

    for (int64_t i = ext->offset / COW_GRANULE; i < (ext->offset + ext->bytes) / COW_GRANULE; i++) {
        CowPage *page = page_of(s, i);
        int64_t bit = i % COW_PAGE;

        page = page ? page : add_page(s, i / COW_PAGE);
        if (!page) {
            return -ENOMEM;
        }
        page->bits[bit / 8] |= (uint8_t)(1 << bit % 8);
    }
    return 0;
}

static bool cow_get_geometry(BlockDriverState *bs, BlockGeometry *geometry)
{
    return bs->backing && bdrv_node_get_geometry(bs->backing, geometry);
}

static void cow_close(BlockDriverState *bs)
{
    CowState *s = bs->state;

    g_hash_table_destroy(s->pages);
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
    .zero           = bdrv_mapped_zero,
    .status         = bdrv_mapped_status,
    .map            = cow_map,
    .map_done       = cow_map_done,
    .get_geometry   = cow_get_geometry,
    .reopen         = bdrv_simple_reopen,
};
