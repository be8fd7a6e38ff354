/* shortcut.c - which backings have nothing of a piece of the disk, remembered */
/* SPDX-License-Identifier: MIT
 *
 * In a long chain most images have nothing of what is read, and to ask each of them is most of the work. So it is
 * remembered of each piece of the disk which image is the first that has to be asked.
 *
 * 1. An image is passed over only if it is open for reading only: what its map() said holds until it is closed. So no
 *    shortcut is ever wrong, or has to be taken back, also while a backing further down is committed into.
 * 2. It has nothing of the whole piece, and its backing reaches as far as the piece does.
 * 3. A shortcut is one word in a table, and no lock guards it. One that had to give way to another is found again.
 */
#include "block/layer.h"

#define LEAST_BITS  14              /* a piece is 16 KiB; more where the table can't have this many slots for each: */
#define A_PIECE     4               /* there may be a shortcut from each image that has something of it, to the next */
#define LEAST_SLOTS 16
#define MOST_SLOTS  (1 << 19)
#define IMAGE_BITS  12
#define IMAGES      (1 << IMAGE_BITS)
#define PIECES      ((int64_t)1 << (64 - 2 * IMAGE_BITS))

struct BlockShortcuts {
    GPtrArray *images;              /* by priv->number; NULL has 0 */
    int piece_bits;
    size_t count, a_piece;          /* slots, a power of two; how far the next piece's are from those of a piece */
    uint64_t slots[];               /* piece, image from where, image to where; 0: free. Atomic */
};

/* Those that are too many for a number can't be passed over */
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

/* A table for a disk of @size. It has no more slots than are wanted, nor than there is room for, but for the least */
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

void block_shortcuts_open(BlockDriverState *root)
{
    int64_t size = bdrv_node_size(root), room = root->priv->meta_limit / (int64_t)sizeof(uint64_t);
    GPtrArray *images = g_ptr_array_new();
    BlockShortcuts *s = NULL;

    g_ptr_array_add(images, NULL);
    number_images(images, root);
    if (images->len > 3) {      /* with one backing there is nothing to pass over */
        s = shortcuts_new(size, (size >> LEAST_BITS) * images->len, room);
    }
    if (s) {
        s->images = images;
        root->priv->tree->shortcuts = s;
    } else {
        g_ptr_array_unref(images);
    }
}

void block_shortcuts_free(BlockTree *tree)
{
    if (tree->shortcuts) {
        g_ptr_array_unref(tree->shortcuts->images);
        g_clear_pointer(&tree->shortcuts, g_free);
    }
}

/* Are [@offset, @offset + @bytes) of @bs those of its backing, now and later? */
static bool may_pass(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlockDriverState *next = bs->backing;
    BlockExtent ext;

    return next && next->priv->number && !(bs->flags & BDRV_O_RDWR) && block_is_mapped(next, offset, bytes) &&
           block_find_extent(bs, offset, bytes, 0, &ext) == 0 && ext.node == next &&
           ext.node_offset == ext.offset && bytes <= ext.offset + ext.bytes - offset;
}

/* To ask the last but one costs no more than to look here */
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
    while (may_pass(bs, start, length)) {
        bs = bs->backing;
    }
    __atomic_store_n(slot, key << IMAGE_BITS | bs->priv->number, __ATOMIC_RELAXED);
    return bs;
}
