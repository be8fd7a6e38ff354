/* shortcut.c - remembers which images of a chain have no data in a piece of the disk, so that small reads skip them */
/* SPDX-License-Identifier: MIT
 *
 * In a long chain most images have no data where a read looks for it, and asking each of them is most of the work. So a
 * table remembers for each piece of the disk the first image that has to be asked. Such an entry is a shortcut.
 *
 * 1. Only images that are open for reading only are skipped: what their map() says stays true until they are closed. So
 *    a shortcut is never wrong, also while a commit writes to a backing further down.
 * 2. A skipped image has no data in the whole piece, and its backing is long enough for the piece.
 * 3. A shortcut is one word in a table, written without a lock. If another one overwrites it, it is found again.
 */
#include "block/layer.h"

#define LEAST_BITS  14              /* of a piece: 16 KiB; more if the table cannot have A_PIECE slots for each */
#define A_PIECE     4               /* slots: one for each image from which a search in this piece may begin */
#define LEAST_SLOTS 16
#define MOST_SLOTS  (1 << 19)
#define IMAGE_BITS  12
#define IMAGES      (1 << IMAGE_BITS)
#define PIECES      ((int64_t)1 << (64 - 2 * IMAGE_BITS))

struct BlockShortcuts {
    GPtrArray *images;              /* by priv->number; number 0 is NULL */
    int piece_bits;
    size_t count, a_piece;          /* slots, a power of two; distance between the slots of two pieces */
    uint64_t slots[];               /* piece, number of the first image, number of the image to ask; 0: free. Atomic */
};

/* Give numbers to the images. Those beyond the last number cannot be skipped */
static void number_images(GPtrArray *images, BlockDriverState *root)
{
    for (BlockDriverState *bs = root; bs && images->len < IMAGES; bs = bs->backing) {
        if (bs->drv->map) {
            bs->priv->number = images->len;
            g_ptr_array_add(images, bs);
        }
        number_images(images, bs->file);
    }
}

/* Allocate a table for a disk of @size, with at most @wanted or @room slots, but at least LEAST_SLOTS */
static BlockShortcuts *shortcuts_new(int64_t size, int64_t wanted, int64_t room)
{
    int64_t count = LEAST_SLOTS, most = MIN(CLAMP(wanted, LEAST_SLOTS, MOST_SLOTS), room);
    int bits = LEAST_BITS;

    while (count * 2 <= most) {
        count *= 2;
    }
    while (size >> bits >= count / A_PIECE) {
        bits++;
    }
    BlockShortcuts *s = g_try_malloc0(sizeof(*s) + (size_t)count * sizeof(s->slots[0]));

    if (s) {
        s->piece_bits = bits;
        s->count = (size_t)count;
        s->a_piece = (size_t)(count / ((size >> bits) + 1));
    }
    return s;
}

void block_shortcuts_free(BlockTree *tree)
{
    if (tree->shortcuts) {
        g_ptr_array_unref(tree->shortcuts->images);
        g_clear_pointer(&tree->shortcuts, g_free);
    }
}

void block_shortcuts_open(BlockDriverState *root)
{
    int64_t size = bdrv_node_size(root), room = root->priv->meta_limit / (int64_t)sizeof(uint64_t);
    GPtrArray *images = g_ptr_array_new();
    BlockShortcuts *s = NULL;

    block_shortcuts_free(root->priv->tree);
    g_ptr_array_add(images, NULL);
    number_images(images, root);
    if (images->len > 3) {      /* NULL, the image, its backing: with only one backing nothing can be skipped */
        s = shortcuts_new(size, (size >> LEAST_BITS) * images->len, room);
    }
    if (s) {
        s->images = images;
        root->priv->tree->shortcuts = s;
    } else {
        g_ptr_array_unref(images);
    }
}

/* Return whether [@offset, @offset + @bytes) of @bs reads as its backing, and will until @bs is closed */
static bool can_skip(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlockDriverState *next = bs->backing;
    BlockExtent ext;

    return next && next->priv->number && !(bs->flags & BDRV_O_RDWR) && block_is_mapped(next, offset, bytes) &&
           block_find_extent(bs, offset, bytes, 0, &ext) == 0 && ext.node == next &&
           ext.node_offset == ext.offset && bytes <= ext.offset + ext.bytes - offset;
}

/* Look only if there are two backings: asking the last but one costs no more than this search */
BlockDriverState *block_shortcut(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlockShortcuts *s = bs->priv->tree->shortcuts;
    unsigned from = bs->priv->number;

    if (!s || !from || (bs->flags & BDRV_O_RDWR) || !bs->backing || !bs->backing->backing) {
        return bs;
    }
    int64_t piece = offset >> s->piece_bits, start = piece << s->piece_bits;
    int64_t length = MIN((int64_t)1 << s->piece_bits, bdrv_node_size(bs) - start);

    if (bytes > length - (offset - start) || piece >= PIECES) {
        return bs;
    }
    uint64_t key = (uint64_t)piece << IMAGE_BITS | from;
    uint64_t *slot = &s->slots[((size_t)piece * s->a_piece + from) & (s->count - 1)];
    uint64_t known = __atomic_load_n(slot, __ATOMIC_RELAXED);

    if (known >> IMAGE_BITS == key) {
        return s->images->pdata[known % IMAGES];
    }
    while (can_skip(bs, start, length)) {
        bs = bs->backing;
    }
    __atomic_store_n(slot, key << IMAGE_BITS | bs->priv->number, __ATOMIC_RELAXED);
    return bs;
}
