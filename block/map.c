/* map.c - the loop: asks a format's map() where the bytes are, moves them, calls map_done() */
/* SPDX-License-Identifier: MIT
 *
 * Read, write, zero and block status of every format are done here: each is a walk over the extents that map() returns.
 * write_new() holds the order of a write to a new place: first the data, then map_done(), which enters the place into
 * the tables.
 */
#include <errno.h>
#include "block/layer.h"

#define FILL_BYTES (1 << 20)

static int64_t extent_end(const BlockExtent *ext)
{
    return ext->offset + ext->bytes;
}

/* Return the place of @offset in the child of @ext */
static int64_t in_child(const BlockExtent *ext, int64_t offset)
{
    return ext->node_offset + (offset - ext->offset);
}

/* A walk over bytes of a format's disk, part by part. A part lies in one extent */
typedef struct MapWalk {
    int64_t offset;                 /* where the walk is in the disk */
    BlockVec vec;                   /* the bytes that are left; zeroes: without iov */
    BlockExtent ext;                /* the extent of the part, */
    int64_t bytes;                  /* how many bytes the part has, */
    int64_t at;                     /* and where it begins in ext.node */
} MapWalk;

/* Find the part at the current offset. 0 or -errno, as map() */
static int find_part(MapWalk *walk, BlockDriverState *bs, unsigned mode)
{
    int ret = block_find_extent(bs, walk->offset, walk->vec.bytes, mode, &walk->ext);

    if (ret == 0) {
        walk->bytes = MIN(walk->vec.bytes, extent_end(&walk->ext) - walk->offset);
        walk->at = in_child(&walk->ext, walk->offset);
    }
    return ret;
}

static BlockVec bytes_of(const MapWalk *walk)
{
    return block_vec_slice(walk->vec, 0, walk->bytes);
}

static void go_on(MapWalk *walk)
{
    walk->offset += walk->bytes;
    walk->vec = block_vec_slice(walk->vec, walk->bytes, walk->vec.bytes - walk->bytes);
}

/* Return what the child answered to a change of the part; translate the place of -EAGAIN into an offset of this node */
static int from_child(const MapWalk *walk, int ret)
{
    return ret == -EAGAIN ? block_again(walk->offset + block_done(walk->at, walk->bytes)) : ret;
}

static int read_part(MapWalk *walk)
{
    if (walk->ext.node) {
        return bdrv_node_readv(walk->ext.node, walk->at, bytes_of(walk));
    }
    block_vec_zero(bytes_of(walk));
    return 0;
}

int bdrv_mapped_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    MapWalk walk = { offset, vec };
    int ret = 0;

    while (walk.vec.bytes > 0 && ret == 0) {
        ret = find_part(&walk, block_shortcut(bs, walk.offset, walk.vec.bytes), 0);
        bool all = ret == 0 && walk.bytes == walk.vec.bytes;

        if (all && walk.ext.node && block_is_mapped(walk.ext.node, walk.at, walk.bytes)) {
            bs = walk.ext.node;         /* another format, mostly the backing, has all the rest */
            walk.offset = walk.at;
        } else if (ret == 0) {
            ret = read_part(&walk);
            go_on(&walk);
        }
    }
    return ret;
}

/* Copy the present contents of [@from, @to) of the disk to the new place */
static int fill(BlockDriverState *bs, const BlockExtent *ext, int64_t from, int64_t to)
{
    if (from >= to) {
        return 0;
    }
    int64_t size = MIN(to - from, FILL_BYTES);
    uint8_t *buf = g_try_malloc((gsize)size);
    int ret = buf ? 0 : -ENOMEM;

    for (int64_t n; from < to && ret == 0; from += n) {
        n = MIN(to - from, size);
        ret = bdrv_node_pread(bs, from, buf, n);
        if (ret == 0) {
            ret = bdrv_node_pwrite(ext->node, in_child(ext, from), buf, n);
        }
    }
    g_free(buf);
    return ret;
}

/* Write a part to a new place, which becomes part of the disk by map_done(), when all of its bytes are written */
static int write_new(BlockDriverState *bs, const MapWalk *walk)
{
    const BlockExtent *ext = &walk->ext;
    int64_t offset = walk->offset, end = offset + walk->bytes;
    bool whole = offset == ext->offset && end == extent_end(ext);
    int ret = 0;

    if (!whole && !(ext->flags & BLOCK_EXTENT_ZEROED)) {
        if (!bs->priv->tree->alone) {
            return block_again(offset); /* another write could change bytes that fill() has read */
        }
        ret = fill(bs, ext, ext->offset, offset);
        ret = ret < 0 ? ret : fill(bs, ext, end, extent_end(ext));
    }
    if (ret == 0) {
        ret = bdrv_node_writev(ext->node, walk->at, bytes_of(walk));
    }
    if (ret == 0) {
        pthread_mutex_lock(&bs->priv->map_lock);
        ret = block_answer(bs, "map_done", bs->drv->map_done(bs, ext));
        pthread_mutex_unlock(&bs->priv->map_lock);
    }
    return ret == -EAGAIN ? block_again(offset) : ret;
}

static int write_part(BlockDriverState *bs, const MapWalk *walk)
{
    if (walk->ext.flags & BLOCK_EXTENT_NEW) {
        return write_new(bs, walk);
    }
    return from_child(walk, bdrv_node_writev(walk->ext.node, walk->at, bytes_of(walk)));
}

int bdrv_mapped_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    MapWalk walk = { offset, vec };
    int ret = 0;

    while (walk.vec.bytes > 0 && ret == 0) {
        ret = find_part(&walk, bs, BLOCK_MAP_WRITE);
        if (ret == 0) {
            ret = write_part(bs, &walk);
            go_on(&walk);
        }
    }
    return ret;
}

/* Write zeroes over the start of a part that lies in another image, unless it reads as zeroes there */
static int hide_backing(BlockDriverState *bs, MapWalk *walk)
{
    BlockStatus st;
    int ret = bdrv_node_status(walk->ext.node, walk->at, walk->bytes, BDRV_STATUS_WANT_ZERO, &st);

    walk->bytes = st.bytes;
    return ret < 0 || st.zero ? ret : bdrv_mapped_write(bs, walk->offset, (BlockVec) { NULL, 0, st.bytes });
}

/* Zero a part, or the start of it. A hole stays a hole; a discard leaves data of another image alone; bytes of this
 * image are zeroed in their place */
static int zero_part(BlockDriverState *bs, MapWalk *walk, unsigned flags)
{
    const BlockExtent *ext = &walk->ext;

    if (!ext->node || ((flags & BLOCK_ZERO_DISCARD) && ext->node != bs->file)) {
        return 0;
    }
    if (ext->node != bs->file) {
        return hide_backing(bs, walk);
    }
    int64_t here = walk->bytes;
    int ret = find_part(walk, bs, BLOCK_MAP_WRITE);

    walk->bytes = MIN(walk->bytes, here);
    return ret < 0 ? ret : from_child(walk, bdrv_node_zero(ext->node, walk->at, walk->bytes, flags));
}

int bdrv_mapped_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    MapWalk walk = { offset, { NULL, 0, bytes } };
    int ret = 0;

    while (walk.vec.bytes > 0 && ret == 0) {
        ret = find_part(&walk, bs, 0);
        if (ret == 0) {
            ret = zero_part(bs, &walk, flags);
            go_on(&walk);
        }
    }
    return ret;
}

/* Ask the child for the status of an extent. The bytes of an extent count as data, even if they are a hole of the
 * child; only BLOCK_EXTENT_WINDOW shows the child's holes as holes */
static int status_below(const BlockExtent *ext, int64_t offset, unsigned flags, BlockStatus *st)
{
    bool window = ext->flags & BLOCK_EXTENT_WINDOW;

    if (!window && !(flags & BDRV_STATUS_WANT_ZERO)) {
        st->data = true;
        st->leaf = ext->node;
        st->leaf_offset = in_child(ext, offset);
        return 0;
    }
    int ret = bdrv_node_status(ext->node, in_child(ext, offset), st->bytes, flags, st);

    st->data |= !window;
    return ret;
}

int bdrv_mapped_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    BlockExtent ext = { 0 };
    int ret = block_find_extent(bs, offset, bytes, 0, &ext);
    bool known = ext.bytes > 0 && ext.offset <= offset && offset < extent_end(&ext);

    *st = (BlockStatus) { .bytes = known ? MIN(bytes, extent_end(&ext) - offset) : 0, .here = true };
    if (ret < 0) {
        return ret;
    }
    if (!ext.node) {
        st->zero = true;
    } else if (ext.node == bs->backing) {
        st->leaf = ext.node;
        st->leaf_offset = in_child(&ext, offset);
        ret = 1;
    } else {
        ret = status_below(&ext, offset, flags, st);
    }
    return ret;
}
