/* shortcut.c - which parents have nothing of a piece of the disk, remembered */
/* SPDX-License-Identifier: MIT
 *
 * In a long chain most images have nothing of what is read, and to ask each of them is most of the work. So it is
 * remembered of each piece of the disk which image is the first that has to be asked.
 *
 * 1. An image is passed over only if it is open for reading only: what its map() said holds until it is closed. So no
 *    shortcut is ever wrong, or has to be taken back, also while a parent further down is committed into.
 * 2. It has nothing of the whole piece, and its parent reaches as far as the piece does.
 * 3. A shortcut is one word in a table, and no lock guards it. One that had to give way to another is found again.
 */
#include "block/layer.h"

#define LEAST_BITS  16              /* a piece is 64 KiB, */
#define MOST_SLOTS  (1 << 19)       /* or more on a disk that would have more pieces than this */
#define IMAGE_BITS  12
#define IMAGES      (1 << IMAGE_BITS)
#define PIECES      ((int64_t)1 << (64 - 2 * IMAGE_BITS))

struct BlockShortcuts {
    GPtrArray *images;              /* by layer->number; NULL has 0 */
    int piece_bits;
    size_t count;                   /* of slots, a power of two */
    uint64_t slots[];               /* piece, image from where, image to where; 0: free. Atomic */
};

/* Those that are too many for a number can't be passed over */
static void number_images(BlockShortcuts *s, BlockDriverState *root)
{
    for (BlockDriverState *bs = root; bs && s->images->len < IMAGES; bs = bs->backing) {
        if (bs->drv->map) {
            bs->layer->number = s->images->len;
            g_ptr_array_add(s->images, bs);
        }
        number_images(s, bs->file);
    }
}

static bool has_chain(BlockDriverState *root)
{
    return root && (root->backing || has_chain(root->file));
}

void block_shortcuts_open(BlockDriverState *root)
{
    int64_t most = CLAMP(root->layer->meta_limit / (int64_t)sizeof(uint64_t), 1, MOST_SLOTS);
    int bits = LEAST_BITS;
    size_t count = 1;

    while ((int64_t)count * 2 <= most) {
        count *= 2;
    }
    while (bdrv_node_size(root) >> bits >= (int64_t)count) {
        bits++;
    }
    BlockShortcuts *s = has_chain(root) ? g_try_malloc0(sizeof(*s) + count * sizeof(s->slots[0])) : NULL;

    if (s) {
        s->images = g_ptr_array_new();
        s->piece_bits = bits;
        s->count = count;
        g_ptr_array_add(s->images, NULL);
        number_images(s, root);
        root->layer->tree->shortcuts = s;
    }
}

void block_shortcuts_free(BlockTree *tree)
{
    if (tree->shortcuts) {
        g_ptr_array_unref(tree->shortcuts->images);
        g_clear_pointer(&tree->shortcuts, g_free);
    }
}

/* Are [@offset, @offset + @bytes) of @bs those of its parent, now and later? */
static bool may_pass(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlockDriverState *next = bs->backing;
    BlockExtent ext;

    return next && next->layer->number && !(bs->flags & BDRV_O_RDWR) && block_is_mapped(next, offset, bytes) &&
           block_find_extent(bs, offset, bytes, 0, &ext) == 0 && ext.child == next &&
           ext.child_offset == ext.offset && bytes <= ext.offset + ext.bytes - offset;
}

BlockDriverState *block_shortcut(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlockShortcuts *s = bs->layer->tree->shortcuts;
    unsigned from = bs->layer->number;

    if (!s || !from || !bs->backing || (bs->flags & BDRV_O_RDWR)) {
        return bs;
    }
    int64_t piece = offset >> s->piece_bits, start = piece << s->piece_bits;
    int64_t length = MIN((int64_t)1 << s->piece_bits, bdrv_node_size(bs) - start);

    if (bytes > length - (offset - start) || piece >= PIECES) {
        return bs;
    }
    uint64_t key = (uint64_t)piece << IMAGE_BITS | from;
    uint64_t *slot = &s->slots[((size_t)piece + from * 0x9e3779b1u) & (s->count - 1)];
    uint64_t known = __atomic_load_n(slot, __ATOMIC_RELAXED);

    if (known >> IMAGE_BITS == key) {
        return s->images->pdata[known % IMAGES];
    }
    while (may_pass(bs, start, length)) {
        bs = bs->backing;
    }
    __atomic_store_n(slot, key << IMAGE_BITS | bs->layer->number, __ATOMIC_RELAXED);
    return bs;
}
