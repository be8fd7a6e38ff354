/* io.c - every request of a program enters the layer here */
/* SPDX-License-Identifier: MIT
 *
 * A request is checked, passes the gate of its image, and goes down node by node:
 *
 *   bdrv_preadv               for the program: checks the range, enters the gate, counts failures
 *     bdrv_node_readv         for one node: clips to the size, aligns (node.c)
 *       bdrv_mapped_read        for a format: asks where the bytes are, reads them from the child (map.c)
 *       file_read               for a protocol
 *
 * First the request shares the gate with others. If a driver needs to be alone, it returns -EAGAIN, and the rest of the
 * request is run with nobody else inside the gate. The part that was done is not repeated: another request may have
 * written to the same bytes since.
 */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"
#include "util/checked.h"

typedef struct Request {
    const char *name;
    int (*run)(BlockDriverState *bs, const struct Request *req);
    int64_t offset;
    BlockVec vec;                   /* zero, discard, status: without iov; flush: empty */
    unsigned flags;
    BlockStatus *status;
    bool changes;                   /* it changes the disk: no part of it may be done twice */
} Request;

static bool is_inside(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t end;

    return offset >= 0 && bytes >= 0 && checked_add(offset, bytes, &end) && end <= bdrv_node_size(bs);
}

/* Run a request inside the gate. The range is checked here because the disk may have become shorter while the request
 * waited; that is not counted as a failure of the disk. -EAGAIN of a request that is already alone becomes -EIO */
static int run_inside(BlockDriverState *bs, const Request *req)
{
    BlockTree *tree = bs->priv->tree;

    if (!is_inside(bs, req->offset, req->vec.bytes)) {
        return -EIO;
    }
    int ret = req->run(bs, req);
    if (ret == -EAGAIN && tree->alone) {
        ret = -EIO;
    }
    if (ret < 0 && ret != -EAGAIN && ret != -ENOTSUP) {
        block_note_error(tree, req->name, req->offset, -ret);
    }
    return ret;
}

static int run_beside_others(BlockDriverState *bs, const Request *req)
{
    BlockTree *tree = bs->priv->tree;

    gate_enter(&tree->gate, false);
    int ret = run_inside(bs, req);
    gate_leave(&tree->gate, false);
    return ret;
}

static int run_alone(BlockDriverState *bs, const Request *req)
{
    BlockTree *tree = bs->priv->tree;

    block_enter_alone(tree);
    int ret = run_inside(bs, req);
    block_leave_alone(tree);
    return ret;
}

static int run(BlockDriverState *bs, const Request *req)
{
    Request rest = *req;
    int ret = run_beside_others(bs, req);

    if (ret == -EAGAIN) {
        int64_t done = req->changes ? block_done(req->offset, req->vec.bytes) : 0;

        rest.offset += done;
        rest.vec = block_vec_slice(req->vec, done, req->vec.bytes - done);
        ret = run_alone(bs, &rest);
    }
    return ret;
}

static int check_range(BlockDriverState *bs, int64_t offset, int64_t bytes, bool write)
{
    if (!is_inside(bs, offset, bytes)) {
        return -EIO;
    }
    return write && !(block_flags(bs) & BDRV_O_RDWR) ? -EPERM : 0;
}

static int check_vec(BlockDriverState *bs, int64_t offset, const struct iovec *iov, int niov, bool write)
{
    uint64_t bytes = 0;

    if (niov < 0) {
        return -EINVAL;
    }
    for (int i = 0; i < niov; i++) {
        if (__builtin_add_overflow(bytes, iov[i].iov_len, &bytes) || bytes > BDRV_MAX_BYTES) {
            return -EINVAL;
        }
    }
    return check_range(bs, offset, (int64_t)bytes, write);
}

static int run_read(BlockDriverState *bs, const Request *req)
{
    return bdrv_node_readv(bs, req->offset, req->vec);
}

static int run_write(BlockDriverState *bs, const Request *req)
{
    return bdrv_node_writev(bs, req->offset, req->vec);
}

static int run_zero(BlockDriverState *bs, const Request *req)
{
    return bdrv_node_zero(bs, req->offset, req->vec.bytes, req->flags);
}

static int run_flush(BlockDriverState *bs, const Request *req)
{
    return bdrv_node_flush(bs);
}

static int run_status(BlockDriverState *bs, const Request *req)
{
    return bdrv_node_status(bs, req->offset, req->vec.bytes, req->flags, req->status);
}

int bdrv_flush(BlockDriverState *bs)
{
    const Request req = { "flush", run_flush };

    block_flush_begins(bs->priv->tree);
    return block_flags(bs) & BDRV_O_RDWR ? run(bs, &req) : 0;
}

/* Flush after a write of @bytes if FUA, writethrough or flush-after ask for it, or too many tables are dirty */
static int settle_write(BlockDriverState *bs, int ret, int64_t bytes, unsigned flags)
{
    bool due = block_flush_is_due(bs->priv->tree, bytes);
    bool promised = (flags & BDRV_REQ_FUA) || (block_flags(bs) & BDRV_O_WRITETHROUGH);
    int *full = &bs->priv->tree->full;

    if (ret == 0 && promised) {
        return bdrv_flush(bs);
    }
    if (due || (__atomic_load_n(full, __ATOMIC_RELAXED) && __atomic_exchange_n(full, 0, __ATOMIC_RELAXED))) {
        (void)bdrv_flush(bs);     /* what could not be written stays dirty, and the next flush reports it */
    }
    return ret;
}

static int settle_read(BlockDriverState *bs, int ret)
{
    if (block_flush_is_due(bs->priv->tree, 0)) {
        (void)bdrv_flush(bs);
    }
    return ret;
}

int bdrv_preadv(BlockDriverState *bs, int64_t offset, const struct iovec *iov, int niov, unsigned flags)
{
    const Request req = { "read", run_read, offset, block_vec(iov, niov) };
    int ret = check_vec(bs, offset, iov, niov, false);

    return ret < 0 ? ret : settle_read(bs, run(bs, &req));
}

int bdrv_pwritev(BlockDriverState *bs, int64_t offset, const struct iovec *iov, int niov, unsigned flags)
{
    const Request req = { "write", run_write, offset, block_vec(iov, niov), .changes = true };
    int ret = check_vec(bs, offset, iov, niov, true);

    return ret < 0 ? ret : settle_write(bs, run(bs, &req), req.vec.bytes, flags);
}

int bdrv_pread(BlockDriverState *bs, int64_t offset, void *buf, int64_t bytes, unsigned flags)
{
    struct iovec iov = { buf, (size_t)bytes };

    return bdrv_preadv(bs, offset, &iov, 1, flags);
}

int bdrv_pwrite(BlockDriverState *bs, int64_t offset, const void *buf, int64_t bytes, unsigned flags)
{
    struct iovec iov = { (void *)buf, (size_t)bytes };

    return bdrv_pwritev(bs, offset, &iov, 1, flags);
}

int bdrv_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    bool punch = (flags & BDRV_REQ_MAY_UNMAP) && (bs->flags & BDRV_O_UNMAP);
    const Request req = { "write", run_zero, offset, { .bytes = bytes }, .flags = (punch ? BLOCK_ZERO_PUNCH : 0) |
                          (flags & BDRV_REQ_NO_FALLBACK ? BLOCK_ZERO_NO_FALLBACK : 0), .changes = true };
    int ret = check_range(bs, offset, bytes, true);

    return ret < 0 ? ret : settle_write(bs, run(bs, &req), bytes, flags);
}

int bdrv_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    const Request req = { "discard", run_zero, offset, { .bytes = bytes },
                          .flags = BLOCK_ZERO_PUNCH | BLOCK_ZERO_DISCARD, .changes = true };
    int ret = check_range(bs, offset, bytes, true);

    if (ret < 0 || !(bs->flags & BDRV_O_UNMAP)) {
        return ret;
    }
    ret = run(bs, &req);
    return ret == -ENOTSUP ? 0 : settle_write(bs, ret, bytes, 0);
}

int bdrv_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    const Request req = { "block status", run_status, offset, { .bytes = bytes }, flags, st };
    int ret = check_range(bs, offset, bytes, false);

    *st = (BlockStatus) { .zero = true, .here = true };
    return ret < 0 || bytes == 0 ? ret : run(bs, &req);
}

int64_t bdrv_getlength(BlockDriverState *bs)
{
    return bdrv_node_size(bs);
}
