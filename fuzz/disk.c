/* disk.c - storage in memory that checks the library's requests, and fails if told to */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "fuzz.h"

#define PAGE 4096

void fuzz_disk_clear(FuzzDisk *disk)
{
    for (size_t i = 0; i < disk->count; i++) {
        g_free(disk->pages[i]);
    }
    g_free(disk->pages);
    disk->pages = NULL;
    disk->count = 0;
    disk->size = 0;
}

static void resize(FuzzDisk *disk, int64_t size)
{
    size_t count = (size_t)((size + PAGE - 1) / PAGE);

    for (size_t i = count; i < disk->count; i++) {
        g_free(disk->pages[i]);
    }
    disk->pages = g_renew(uint8_t *, disk->pages, count);
    for (size_t i = disk->count; i < count; i++) {
        disk->pages[i] = NULL;
    }
    disk->count = count;
    if (size < disk->size && size % PAGE && disk->pages[count - 1]) {
        memset(disk->pages[count - 1] + size % PAGE, 0, (size_t)(PAGE - size % PAGE));
    }
    disk->size = size;
}

static void put(FuzzDisk *disk, int64_t offset, const uint8_t *data, int64_t bytes)
{
    for (int64_t n; bytes > 0; offset += n, data += n, bytes -= n) {
        uint8_t **page = &disk->pages[offset / PAGE];

        n = MIN(bytes, PAGE - offset % PAGE);
        if (!*page && fuzz_is_zero(data, n)) {
            continue;
        }
        if (!*page) {
            *page = g_malloc0(PAGE);
        }
        memcpy(*page + offset % PAGE, data, (size_t)n);
    }
}

void fuzz_disk_load(FuzzDisk *disk, const uint8_t *data, int64_t size)
{
    resize(disk, size);
    put(disk, 0, data, size);
}

static bool fails(FuzzDisk *disk, unsigned kind)
{
    if (!(disk->fail_kinds & kind) || disk->fail_count <= 0 || disk->fail_after-- > 0) {
        return false;
    }
    disk->fail_count--;
    disk->failed++;
    return true;
}

static int disk_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    FuzzDisk *disk = user;
    uint8_t *to = buf;

    FUZZ_CHECK(offset >= 0 && bytes > 0 && bytes <= disk->size - offset);
    if (fails(disk, FUZZ_READ)) {
        return -EIO;
    }
    for (int64_t n; bytes > 0; offset += n, to += n, bytes -= n) {
        const uint8_t *page = disk->pages[offset / PAGE];

        n = MIN(bytes, PAGE - offset % PAGE);
        if (page) {
            memcpy(to, page + offset % PAGE, (size_t)n);
        } else {
            memset(to, 0, (size_t)n);
        }
    }
    return 0;
}

/* Write. A write that fails writes the first half, in whole sectors */
static int disk_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    FuzzDisk *disk = user;

    FUZZ_CHECK(offset >= 0 && bytes > 0 && bytes <= disk->size - offset);
    disk->writes++;
    if (fails(disk, FUZZ_WRITE)) {
        put(disk, offset, buf, bytes / 2 / 512 * 512);
        return -EIO;
    }
    put(disk, offset, buf, bytes);
    return 0;
}

static int disk_flush(void *user)
{
    return fails(user, FUZZ_FLUSH) ? -EIO : 0;
}

static int disk_truncate(void *user, int64_t size)
{
    FuzzDisk *disk = user;

    FUZZ_CHECK(size >= 0);
    disk->writes++;
    if (fails(disk, FUZZ_TRUNCATE)) {
        return -EIO;
    }
    if (size > disk->limit && size > disk->size) {
        return -ENOSPC;
    }
    resize(disk, size);
    return 0;
}

BlockStorage fuzz_disk_storage(FuzzDisk *disk)
{
    return (BlockStorage) {
        .size = disk->size, .user = disk, .read = disk_read, .flush = disk_flush,
        .write = disk->read_only ? NULL : disk_write, .truncate = disk->fixed ? NULL : disk_truncate,
    };
}
