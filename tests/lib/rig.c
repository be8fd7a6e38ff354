/* rig.c - a disk in memory behind a blkdebug node, and requests by letters */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "rig.h"

BlockDriverState *rig_try_open(Medium *medium, const char *options, GError **errp)
{
    g_autofree char *all = g_strconcat("driver=blkdebug", *options ? "," : "", options, NULL);

    return medium_try_open(medium, all, BDRV_O_RDWR | BDRV_O_UNMAP, errp);
}

Rig rig_new(const char *options)
{
    Rig rig = { medium_on_disk(), NULL };
    Disk *disk = rig.medium.disk;
    g_autofree uint8_t *bytes = g_malloc(RIG_SIZE);
    GError *err = NULL;

    memset(bytes, RIG_OLD, RIG_SIZE);
    disk_truncate(disk, RIG_SIZE);
    medium_write(&rig.medium, 0, bytes, RIG_SIZE);
    rig.bs = rig_try_open(&rig.medium, options, &err);
    if (!rig.bs) {
        g_error("%s: %s", options, bdrv_error_message(err));
    }
    disk->reads = disk->writes = disk->flushes = 0;
    return rig;
}

void rig_free(Rig *rig)
{
    bdrv_close(rig->bs);
    medium_clear(&rig->medium);
}

int rig_read(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    return bdrv_pread(bs, offset, buf, bytes, 0);
}

int rig_write(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    memset(buf, RIG_NEW, (size_t)bytes);
    return bdrv_pwrite(bs, offset, buf, bytes, 0);
}

int rig_truncate(BlockDriverState *bs, int64_t size)
{
    GError *err = NULL;

    bdrv_truncate(bs, size, &err);
    int ret = err ? -bdrv_error_code(err) : 0;
    bdrv_error_free(err);
    return ret;
}

int rig_request(BlockDriverState *bs, char kind)
{
    BlockStatus st;

    switch (kind) {
    case 'r': return rig_read(bs, 0, RIG_UNIT);
    case 'w': return rig_write(bs, 0, RIG_UNIT);
    case 'z': return bdrv_pwrite_zeroes(bs, 0, RIG_UNIT, 0);
    case 'd': return bdrv_pdiscard(bs, 0, RIG_UNIT);
    case 'f': return bdrv_flush(bs);
    case 't': return rig_truncate(bs, RIG_SIZE);
    case 's': return bdrv_block_status(bs, 0, RIG_UNIT, 0, &st);
    }
    g_assert_not_reached();
}

char *rig_outcome(BlockDriverState *bs, const char *requests)
{
    char *seen = g_strdup(requests);

    for (char *at = seen; *at; at++) {
        *at = rig_request(bs, *at) < 0 ? 'X' : '.';
    }
    return seen;
}
