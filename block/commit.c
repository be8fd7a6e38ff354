/* commit.c - bdrv_commit(): writes the data of an image, and of images behind it, into one of its backings */
/* SPDX-License-Identifier: MIT
 *
 * The image on top is not changed. So it reads the same at every moment, also after a commit was interrupted and
 * repeated.
 */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"

#define PIECE_BYTES (1 << 20)
#define ZERO_BYTES  (1 << 30)

typedef struct Commit {
    BlockDriverState *top, *base;
    unsigned depth;                 /* of the base below the top */
    uint8_t *buf;
} Commit;

/* Commit the first extent at @offset to the base. Return its length, or -errno */
static int64_t commit_first(Commit *c, int64_t offset, int64_t bytes)
{
    BlockStatus st;
    int ret = bdrv_node_status(c->top, offset, bytes, 0, &st);

    if (ret < 0 || st.depth >= c->depth) {
        return ret < 0 ? ret : st.bytes;
    }
    if (st.zero) {
        st.bytes = MIN(st.bytes, ZERO_BYTES);
        ret = bdrv_node_zero(c->base, offset, st.bytes, 0);
    } else {
        st.bytes = MIN(st.bytes, PIECE_BYTES);
        ret = bdrv_node_pread(c->top, offset, c->buf, st.bytes);
        ret = ret < 0 ? ret : bdrv_node_pwrite(c->base, offset, c->buf, st.bytes);
    }
    return ret < 0 ? ret : st.bytes;
}

static int64_t commit_all(Commit *c)
{
    int64_t size = bdrv_node_size(c->top), n = 0;

    for (int64_t offset = 0; offset < size && n >= 0; offset += n) {
        n = commit_first(c, offset, size - offset);
        if (n > 0 && !bdrv_go_on(c->top, offset + n, size)) {
            n = -ECANCELED;
        }
    }
    return n < 0 ? n : bdrv_node_flush(c->base);
}

/* Check that the base can be written, and make it as long as the top, before any data is written */
static bool check_base(BlockDriverState *top, BlockDriverState *base, unsigned depth, GError **errp)
{
    if (depth == 0) {
        bdrv_set_error(errp, EINVAL, "depth 0 is the image itself, and no parent to commit to");
    } else if (!base) {
        bdrv_set_error(errp, EINVAL, "the image has no parent %u levels below", depth);
    } else if (!(base->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EACCES, "parent '%s' is not open for writing", base->filename);
    } else if (bdrv_node_size(base) < bdrv_node_size(top) && !bdrv_node_truncate(base, bdrv_node_size(top), errp)) {
        g_prefix_error(errp, "parent '%s' has %" PRId64 " bytes, fewer than the image's %" PRId64 ": ", base->filename,
                       bdrv_node_size(base), bdrv_node_size(top));
    } else {
        return true;
    }
    return false;
}

bool bdrv_commit(BlockDriverState *bs, unsigned depth, BlockProgress *progress, void *user, GError **errp)
{
    BlockTree *tree = bs->priv->tree;
    Commit c = { bs, bs, depth };
    int64_t ret = -ENOMEM;

    block_enter_alone(tree);
    for (unsigned i = 0; i < depth && c.base; i++) {    /* not the options' chain: a rebase may have changed it */
        c.base = c.base->backing;
    }
    bool ok = check_base(bs, c.base, depth, errp);
    if (ok) {
        c.buf = g_try_malloc(PIECE_BYTES);
        block_begin_progress(tree, progress, user);
        ret = c.buf ? commit_all(&c) : ret;
        g_free(c.buf);
    }
    if (ok && ret < 0) {
        bdrv_set_error(errp, (int)-ret, "could not write to parent '%s': %s", c.base->filename, g_strerror((int)-ret));
        ok = false;
    }
    block_end_progress(tree, "commit", errp);
    block_leave_alone(tree);
    return ok;
}
