/* blkdebug.c - a filter that behaves as a bad disk, by rules: errors, torn and lost writes, delays */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include "block/filter/blkdebug/blkdebug.h"
#include "block/drivers.h"
#include "util/checked.h"

#define MAX_PIECES 65536            /* of a torn request: a longer one is torn into larger pieces */

/* A write, zeroes or discard, or a part of one, for the node below */
typedef struct BlkdebugChange {
    unsigned iotype;
    int64_t offset, bytes;
    BlockVec vec;                   /* WRITE */
    unsigned flags;                 /* WRITE_ZEROES, DISCARD: BLOCK_ZERO_… */
} BlkdebugChange;

static BlkdebugChange change_slice(const BlkdebugChange *c, int64_t start, int64_t bytes)
{
    BlkdebugChange part = *c;

    part.offset += start;
    part.bytes = bytes;
    part.vec = c->iotype == BLKDEBUG_WRITE ? block_vec_slice(c->vec, start, bytes) : c->vec;
    return part;
}

static int make_change(BlockDriverState *bs, const BlkdebugChange *c)
{
    return c->iotype == BLKDEBUG_WRITE ? bdrv_node_writev(bs->file, c->offset, c->vec)
                                       : bdrv_node_zero(bs->file, c->offset, c->bytes, c->flags);
}

/* Make the change of a random choice of its sectors, as a power cut may leave it */
static int make_torn_change(BlockDriverState *bs, const BlkdebugChange *c, uint64_t random)
{
    int64_t unit = MAX(bs->request_alignment, BLKDEBUG_SECTOR);
    int ret = 0;

    while (c->bytes / unit > MAX_PIECES) {
        unit *= 2;
    }
    for (int64_t at = 0, n; at < c->bytes && ret == 0; at += n) {
        n = MIN(align_down(c->offset + at, unit) + unit - (c->offset + at), c->bytes - at);
        if (blkdebug_mix(random + (uint64_t)at) & 1) {
            BlkdebugChange part = change_slice(c, at, n);

            ret = make_change(bs, &part);
        }
    }
    return ret;
}

static int make_short_change(BlockDriverState *bs, const BlkdebugChange *c, int64_t sectors)
{
    int64_t bytes = MIN(sectors, c->bytes / BLKDEBUG_SECTOR + 1) * BLKDEBUG_SECTOR - c->offset % BLKDEBUG_SECTOR;
    BlkdebugChange part = change_slice(c, 0, CLAMP(bytes, 0, c->bytes));

    return part.bytes > 0 ? make_change(bs, &part) : 0;
}

static BlkdebugFate judge(BlockDriverState *bs, unsigned iotype, int64_t offset, int64_t bytes)
{
    BlkdebugRequest req = { iotype, offset, bytes, .grows = offset + bytes > bdrv_node_size(bs) };

    return blkdebug_judge(bs->state, &req);
}

static int change_piece(BlockDriverState *bs, const BlkdebugChange *c)
{
    BlkdebugFate fate = judge(bs, c->iotype, c->offset, c->bytes);
    int ret = 0;

    switch (fate.effect) {
    case BLKDEBUG_EFFECT_NONE:
        break;
    case BLKDEBUG_EFFECT_SHORT:
        ret = make_short_change(bs, c, fate.sectors);
        break;
    case BLKDEBUG_EFFECT_TORN:
        ret = make_torn_change(bs, c, fate.random);
        break;
    case BLKDEBUG_EFFECT_ALL:
        ret = make_change(bs, c);
        break;
    }
    return fate.err ? -fate.err : ret;
}

static int change(BlockDriverState *bs, const BlkdebugChange *c, int64_t max)
{
    int ret = 0;

    for (int64_t done = 0, n; done < c->bytes && ret == 0; done += n) {
        n = MIN(c->bytes - done, max);
        BlkdebugChange piece = change_slice(c, done, n);

        ret = change_piece(bs, &piece);
    }
    return ret;
}

static int blkdebug_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    BlkdebugState *s = bs->state;
    int ret = 0;

    blkdebug_event(s, BLKDEBUG_EVENT_READ_AIO);
    for (int64_t done = 0, n; done < vec.bytes && ret == 0; done += n) {
        n = MIN(vec.bytes - done, s->limits.max_transfer);
        ret = -judge(bs, BLKDEBUG_READ, offset + done, n).err;
        if (ret == 0) {
            ret = bdrv_node_readv(bs->file, offset + done, block_vec_slice(vec, done, n));
        }
    }
    return ret;
}

static int blkdebug_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    BlkdebugState *s = bs->state;
    BlkdebugChange c = { BLKDEBUG_WRITE, offset, vec.bytes, .vec = vec };

    blkdebug_event(s, BLKDEBUG_EVENT_WRITE_AIO);
    blkdebug_event(s, BLKDEBUG_EVENT_PWRITEV);
    int ret = change(bs, &c, s->limits.max_transfer);
    blkdebug_event(s, BLKDEBUG_EVENT_PWRITEV_DONE);
    return ret;
}

static int blkdebug_flush(BlockDriverState *bs)
{
    BlkdebugState *s = bs->state;

    blkdebug_event(s, BLKDEBUG_EVENT_FLUSH_TO_OS);
    blkdebug_event(s, BLKDEBUG_EVENT_FLUSH_TO_DISK);
    BlkdebugFate fate = judge(bs, BLKDEBUG_FLUSH, 0, 0);
    bool all = fate.effect == BLKDEBUG_EFFECT_ALL;

    if (fate.err == 0) {
        return all ? 0 : 1;
    }
    if (all) {
        (void)bdrv_node_flush(bs->file);
    }
    return -fate.err;
}

static void blkdebug_close(BlockDriverState *bs)
{
    BlkdebugState *s = bs->state;

    if (!s->ready) {
        return;
    }
    blkdebug_forget_breaks(s);
    g_ptr_array_unref(s->breaks);
    g_array_unref(s->rules);
    g_array_unref(s->transitions);
    pthread_cond_destroy(&s->resumed);
    pthread_mutex_destroy(&s->mutex);
}

static int blkdebug_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    int err = judge(bs, BLKDEBUG_BLOCK_STATUS, offset, bytes).err;

    return err ? -err : bdrv_filter_status(bs, offset, bytes, flags, st);
}

/* Write zeroes as data, where zero() is not allowed because the range is no whole unit */
static int zero_as_data(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    static const uint8_t page[4096];
    BlkdebugState *s = bs->state;
    struct iovec iov[16];
    int ret = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(iov); i++) {
        iov[i] = (struct iovec) { (void *)page, sizeof(page) };
    }
    BlockVec zeroes = block_vec(iov, G_N_ELEMENTS(iov));

    for (int64_t done = 0, n; done < bytes && ret == 0; done += n) {
        n = MIN(bytes - done, zeroes.bytes);
        BlkdebugChange c = { BLKDEBUG_WRITE, offset + done, n, .vec = block_vec_slice(zeroes, 0, n) };

        ret = change(bs, &c, s->limits.max_transfer);
    }
    return ret;
}

static int zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    const BlkdebugLimits *l = &((BlkdebugState *)bs->state)->limits;
    int64_t end = offset + bytes;
    int64_t first = MIN(round_up(offset, l->zero_unit), end), last = MAX(round_down(end, l->zero_unit), first);
    BlkdebugChange c = { BLKDEBUG_WRITE_ZEROES, first, last - first, .flags = flags };
    int ret = zero_as_data(bs, offset, first - offset);

    if (ret == 0) {
        ret = change(bs, &c, l->max_zero);
    }
    return ret < 0 ? ret : zero_as_data(bs, last, end - last);
}

static int discard(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    const BlkdebugLimits *l = &((BlkdebugState *)bs->state)->limits;
    int64_t first = round_up(offset, l->discard_unit), last = round_down(offset + bytes, l->discard_unit);
    BlkdebugChange c = { BLKDEBUG_DISCARD, first, last - first, .flags = flags };

    return change(bs, &c, l->max_discard);
}

static int blkdebug_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    BlkdebugState *s = bs->state;

    if (flags & BLOCK_ZERO_DISCARD) {
        return discard(bs, offset, bytes, flags);
    }
    blkdebug_event(s, BLKDEBUG_EVENT_PWRITEV_ZERO);
    int ret = zero(bs, offset, bytes, flags);
    blkdebug_event(s, BLKDEBUG_EVENT_PWRITEV_DONE);
    return ret;
}

static bool blkdebug_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    int64_t was = bdrv_node_size(bs);
    BlkdebugFate fate = judge(bs, BLKDEBUG_TRUNCATE, MIN(was, size), MAX(was, size) - MIN(was, size));

    if (fate.err) {
        bdrv_set_error(errp, fate.err, "could not resize from %" PRId64 " to %" PRId64 " bytes: %s", was, size,
                       g_strerror(fate.err));
        return false;
    }
    if (!bdrv_node_truncate(bs->file, size, errp)) {
        return false;
    }
    __atomic_store_n(&bs->size, bdrv_node_size(bs->file), __ATOMIC_RELEASE);
    return true;
}

static bool blkdebug_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    BlkdebugState *s = bs->state;

    pthread_mutex_lock(&s->mutex);
    int64_t errors = s->errors, lies = s->lies, state = s->state;
    pthread_mutex_unlock(&s->mutex);

    bdrv_info_int(items, "injected-errors", errors);
    bdrv_info_int(items, "injected-lies", lies);
    bdrv_info_int(items, "debug-state", state);
    return true;
}

static const char *const blkdebug_prefixes[] = { "blkdebug", NULL };

const BlockDriver bdrv_blkdebug = {
    .name         = "blkdebug",
    .description  = "makes requests on the node below fail, by rules",
    .parallel     = true,
    .file_key     = "image",
    .state_size   = sizeof(BlkdebugState),
    .open_size    = sizeof(BlkdebugOptions),
    .open_options = blkdebug_options,
    .open         = blkdebug_open,
    .read         = blkdebug_read,
    .write        = blkdebug_write,
    .write_end    = blkdebug_write,
    .flush        = blkdebug_flush,
    .close        = blkdebug_close,
    .status       = blkdebug_status,
    .zero         = blkdebug_zero,
    .truncate     = blkdebug_truncate,
    .info         = blkdebug_info,
    .debug        = &blkdebug_debug,
    .prefixes     = blkdebug_prefixes,
    .parse_name   = blkdebug_parse_name,
    .reopen       = bdrv_simple_reopen,
};
