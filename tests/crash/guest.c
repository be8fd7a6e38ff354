/* guest.c - who works on an image while a log is kept: the library, or QEMU */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include "guest.h"
#include "qemu.h"
#include "writelog.h"

void guest_open(Guest *g, const Medium *file, const char *options, unsigned flags)
{
    g->bs = medium_open(file, options, flags);
}

void guest_open_qemu(Guest *g, const Medium *file, const char *above, bool append)
{
    g->qemu = qemu_open(file->file, g->log, above, append);
}

int guest_close(Guest *g)
{
    int ret = 0;

    if (g->qemu) {
        qemu_close(g->qemu);
    } else {
        ret = bdrv_close(g->bs);
    }
    g->qemu = NULL;
    g->bs = NULL;
    return ret;
}

int guest_read(Guest *g, int64_t offset, uint8_t *buf, int64_t bytes)
{
    if (!g->qemu) {
        return bdrv_pread(g->bs, offset, buf, bytes, 0);
    }
    return qemu_read(g->qemu, offset, buf, bytes) ? 0 : -EIO;
}

/* QEMU takes data from a file */
static int write_by_qemu(Guest *g, int64_t offset, const uint8_t *buf, int64_t bytes, unsigned flags)
{
    g_autofree char *data = g_strconcat(g->log, ".data", NULL);
    const char *fua = flags & BDRV_REQ_FUA ? "-f" : "";
    bool ok = g_file_set_contents(data, (const char *)buf, (gssize)bytes, NULL) &&
              qemu_do(g->qemu, "write %s -s %s %" PRId64 " %" PRId64, fua, data, offset, bytes);

    unlink(data);
    return ok ? 0 : -EIO;
}

int guest_write(Guest *g, int64_t offset, const uint8_t *buf, int64_t bytes, unsigned flags)
{
    return g->qemu ? write_by_qemu(g, offset, buf, bytes, flags) : bdrv_pwrite(g->bs, offset, buf, bytes, flags);
}

int guest_zero(Guest *g, int64_t offset, int64_t bytes, unsigned flags)
{
    if (g->qemu) {
        return qemu_do(g->qemu, "write -z %s %" PRId64 " %" PRId64, flags & BDRV_REQ_MAY_UNMAP ? "-u" : "", offset,
                       bytes) ? 0 : -EIO;
    }
    return bdrv_pwrite_zeroes(g->bs, offset, bytes, flags);
}

int guest_flush(Guest *g)
{
    if (g->qemu) {
        return qemu_do(g->qemu, "flush") ? 0 : -EIO;
    }
    return bdrv_flush(g->bs);
}

/* Of the image, or else of a parent; 0: none of them says */
static uint64_t find_number(BlockDriverState *bs, const char *key)
{
    BlockInfo *info = bs ? bdrv_get_info(bs, NULL) : NULL;
    const BlockInfoItem *item = info ? bdrv_info_find(info, key) : NULL;
    uint64_t number = item ? (uint64_t)item->number : bs ? find_number(bdrv_get_backing(bs), key) : 0;

    bdrv_info_free(info);
    return number;
}

unsigned guest_errors(const Guest *g)
{
    return (unsigned)find_number(g->bs, "injected-errors");
}

static uint64_t entries_in_file(const Guest *g)
{
    WriteLog *log = writelog_read(g->log, NULL);
    uint64_t entries = log ? log->entries : 0;

    writelog_free(log);
    return entries;
}

uint64_t guest_entries(const Guest *g)
{
    if (g->qemu) {
        return qemu_entries(g->qemu);
    }
    return g->bs ? find_number(g->bs, "log-entries") : entries_in_file(g);
}
