/* probe.c - guesses the format of a file from its first and last bytes */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "block/drivers.h"

#define SECTOR 512                  /* what is read of the ends of a file if more cannot be read */

const char *bdrv_other_format(const uint8_t *head, const uint8_t *tail, int64_t size)
{
    static const uint8_t nothing[BLOCK_PROBE_BYTES];
    const BlockProbe probe = { head ? head : nothing, tail ? tail : nothing, BLOCK_PROBE_BYTES, size, "" };
    const BlockDriver *drv = NULL;
    const char *advice, *foreign = bdrv_foreign_format(&probe, &advice);

    while (!foreign && (drv = bdrv_next_driver(drv))) {
        if (drv != &bdrv_raw && drv->probe && drv->probe(&probe) > 0) {
            return drv->name;
        }
    }
    return foreign;
}

/* Read as much of @bytes as can be read; the rest is zero. -errno if nothing can be read */
static int read_some(BlockDriverState *file, int64_t offset, uint8_t *buf, int64_t bytes)
{
    int ret = bdrv_node_pread(file, offset, buf, bytes);
    int64_t lost = 0;

    if (ret == 0) {
        return 0;
    }
    for (int64_t at = 0, n; at < bytes; at += n) {
        n = MIN(bytes - at, SECTOR);
        if (bdrv_node_pread(file, offset + at, buf + at, n) < 0) {
            memset(buf + at, 0, (size_t)n);
            lost += n;
        }
    }
    if (lost < bytes) {
        bdrv_warn(file, "guess", "of the %" PRId64 " bytes at %" PRId64 " %" PRId64 " could not be read (%s): "
                  "the format is guessed without them", bytes, offset, lost, g_strerror(-ret));
    }
    return lost < bytes ? 0 : ret;
}

/* Decide whether a file that no probe() knew may be taken for a raw disk. False: it is of a format that no driver
 * reads, which is refused by name. Warn if a driver suspects that the file is its own */
static bool may_take_as_raw(BlockDriverState *file, const BlockProbe *probe, bool head_only, GError **errp)
{
    const char *advice, *foreign = bdrv_foreign_format(probe, &advice);
    const BlockDriver *drv = NULL;

    if (foreign) {
        bdrv_set_error(errp, ENOTSUP, "this is a file of the format %s, which no driver here reads: %s. "
                       "If it is a raw disk that only begins like one, name the driver raw (-f raw)", foreign, advice);
        return false;
    }
    if (head_only) {
        return true;
    }
    g_autofree uint8_t *head = g_try_malloc0_n(2, BLOCK_SUSPECT_BYTES);

    if (!head) {
        bdrv_set_error(errp, ENOMEM, "no memory for %d bytes of the file", 2 * BLOCK_SUSPECT_BYTES);
        return false;
    }
    uint8_t *tail = head + BLOCK_SUSPECT_BYTES;
    int64_t have = MIN(probe->size, BLOCK_SUSPECT_BYTES);
    BlockProbe more = { head, tail, BLOCK_SUSPECT_BYTES, probe->size, probe->filename };

    if (bdrv_node_pread(file, 0, head, have) < 0 ||
        bdrv_node_pread(file, probe->size - have, tail + (BLOCK_SUSPECT_BYTES - have), have) < 0) {
        more = *probe;
    }
    while ((drv = bdrv_next_driver(drv))) {
        char *why = drv->suspect ? drv->suspect(&more) : NULL;

        if (why) {
            bdrv_warn(file, "guess",
                      "taken for a raw disk, though %s: if it is an image of the format %s, name that driver (-f %s)",
                      why, drv->name, drv->name);
        }
        free(why);
    }
    return true;
}

const BlockDriver *bdrv_probe(BlockDriverState *file, bool head_only, int *score, GError **errp)
{
    g_autofree uint8_t *head = g_malloc0_n(3, BLOCK_PROBE_BYTES);
    uint8_t *tail = head + BLOCK_PROBE_BYTES, *nothing = tail + BLOCK_PROBE_BYTES;
    int64_t size = bdrv_node_size(file);
    int64_t have = MIN(size, BLOCK_PROBE_BYTES);
    BlockProbe all = { head, tail, BLOCK_PROBE_BYTES, size, file->filename }, probe = all;
    int ret = read_some(file, 0, head, have);

    probe.tail = head_only ? nothing : tail;
    if (ret == 0) {
        ret = read_some(file, size - have, tail + (BLOCK_PROBE_BYTES - have), have);
        ret = head_only ? 0 : ret;      /* the tail then serves only to recognise foreign formats */
    }
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not read the image to find its format: %s", g_strerror(-ret));
        return NULL;
    }

    const BlockDriver *best = NULL, *drv = NULL;

    *score = 0;
    while ((drv = bdrv_next_driver(drv))) {
        int sure = drv->probe ? MIN(drv->probe(&probe), 100) : 0;

        if (sure > *score) {
            *score = sure;
            best = drv;
        }
    }
    return best != &bdrv_raw || may_take_as_raw(file, &all, head_only, errp) ? best : NULL;
}
