/* medium.c - what an image lies on: a file, or a disk in memory that counts and logs */
/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "kit.h"
#include "medium.h"

#define PAGE 4096

/* Clones share a page until one of them writes to it */
typedef struct Page {
    int refs;                   /* atomic */
    uint8_t bytes[PAGE];
} Page;

static Page *page_ref(Page *page)
{
    if (page) {
        __atomic_add_fetch(&page->refs, 1, __ATOMIC_RELAXED);
    }
    return page;
}

static void page_unref(void *page)
{
    if (page && __atomic_sub_fetch(&((Page *)page)->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        g_free(page);
    }
}

/* A page of one's own with the same bytes; NULL: zeroes. @page is given back */
static Page *page_own(Page *page)
{
    if (page && __atomic_load_n(&page->refs, __ATOMIC_ACQUIRE) == 1) {
        return page;
    }
    Page *own = page ? g_memdup2(page, sizeof(*page)) : g_new0(Page, 1);

    page_unref(page);
    own->refs = 1;
    return own;
}

Disk *disk_new(void)
{
    Disk *disk = g_new0(Disk, 1);

    pthread_mutex_init(&disk->lock, NULL);
    disk->pages = g_ptr_array_new_with_free_func(page_unref);
    return disk;
}

Disk *disk_clone(Disk *from)
{
    Disk *disk = disk_new();

    pthread_mutex_lock(&from->lock);
    disk->size = from->size;
    disk->fixed_length = from->fixed_length;
    for (guint i = 0; i < from->pages->len; i++) {
        g_ptr_array_add(disk->pages, page_ref(from->pages->pdata[i]));
    }
    pthread_mutex_unlock(&from->lock);
    return disk;
}

static void event_clear(void *event)
{
    g_free(((DiskEvent *)event)->data);
}

void disk_start_log(Disk *disk)
{
    disk->log = g_array_new(FALSE, FALSE, sizeof(DiskEvent));
    g_array_set_clear_func(disk->log, event_clear);
}

void disk_free(Disk *disk)
{
    if (disk->log) {
        g_array_unref(disk->log);
    }
    g_ptr_array_unref(disk->pages);
    pthread_mutex_destroy(&disk->lock);
    g_free(disk);
}

/* NULL: it was never written, and @make is false */
static uint8_t *page_at(Disk *disk, int64_t offset, bool make)
{
    guint index = (guint)(offset / PAGE);

    if (index >= disk->pages->len) {
        g_ptr_array_set_size(disk->pages, (int)index + 1);
    }
    Page **page = (Page **)&disk->pages->pdata[index];

    if (make) {
        *page = page_own(*page);
    }
    return *page ? (*page)->bytes : NULL;
}

void disk_read(Disk *disk, int64_t offset, void *buf, int64_t bytes)
{
    for (int64_t n, done = 0; done < bytes; done += n) {
        int64_t at = offset + done, in = at % PAGE;
        const uint8_t *page = page_at(disk, at, false);

        n = MIN(bytes - done, PAGE - in);
        if (page) {
            memcpy((uint8_t *)buf + done, page + in, (size_t)n);
        } else {
            memset((uint8_t *)buf + done, 0, (size_t)n);
        }
    }
}

void disk_write(Disk *disk, int64_t offset, const void *buf, int64_t bytes)
{
    for (int64_t n, done = 0; done < bytes; done += n) {
        int64_t at = offset + done, in = at % PAGE;

        n = MIN(bytes - done, PAGE - in);
        memcpy(page_at(disk, at, true) + in, (const uint8_t *)buf + done, (size_t)n);
    }
    disk->size = MAX(disk->size, offset + bytes);
}

void disk_truncate(Disk *disk, int64_t size)
{
    if (size < disk->size) {
        if (page_at(disk, size, false)) {
            memset(page_at(disk, size, true) + size % PAGE, 0, (size_t)(PAGE - size % PAGE));
        }
        g_ptr_array_set_size(disk->pages, (int)((size + PAGE - 1) / PAGE));
    }
    disk->size = size;
}

static void note(Disk *disk, DiskEvent event)
{
    if (disk->log) {
        g_array_append_val(disk->log, event);
    }
}

static int storage_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    Disk *disk = user;

    pthread_mutex_lock(&disk->lock);
    g_assert_true(offset >= 0 && bytes >= 0 && offset + bytes <= disk->size);
    disk->reads++;
    disk_read(disk, offset, buf, bytes);
    pthread_mutex_unlock(&disk->lock);
    return 0;
}

static bool is_to_fail(const Disk *disk)
{
    return disk->fail_errno && disk->writes > disk->fail_after && (!disk->failed || !disk->fail_once);
}

/* Is this change one of the run that fails? */
static bool is_in_run(Disk *disk)
{
    unsigned n = disk->changes++;
    bool fails = n >= disk->run_after && n - disk->run_after < disk->run;

    disk->run_failed += fails;
    return fails;
}

static int storage_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    Disk *disk = user;

    pthread_mutex_lock(&disk->lock);
    g_assert_true(offset >= 0 && bytes >= 0 && offset + bytes <= disk->size);
    disk->writes++;
    bool fail = is_to_fail(disk), run = is_in_run(disk);
    disk->failed += fail;
    if (fail || run) {
        bytes = bytes / 2 / 512 * 512;
    }
    disk_write(disk, offset, buf, bytes);
    if (disk->log) {
        note(disk, (DiskEvent) { DISK_WRITE, offset, bytes, g_memdup2(buf, (gsize)bytes) });
    }
    pthread_mutex_unlock(&disk->lock);
    return fail ? -disk->fail_errno : run ? -EIO : 0;
}

static int storage_flush(void *user)
{
    Disk *disk = user;

    pthread_mutex_lock(&disk->lock);
    disk->flushes++;
    int ret = is_in_run(disk) ? -EIO : -disk->flush_errno;
    note(disk, (DiskEvent) { DISK_FLUSH });
    pthread_mutex_unlock(&disk->lock);
    return ret;
}

static int storage_truncate(void *user, int64_t size)
{
    Disk *disk = user;

    pthread_mutex_lock(&disk->lock);
    bool fail = is_in_run(disk);
    if (size < disk->size && !fail) {
        note(disk, (DiskEvent) { DISK_SHRINK, size });
    }
    if (!fail) {
        disk_truncate(disk, size);
    }
    pthread_mutex_unlock(&disk->lock);
    return fail ? -EIO : 0;
}

BlockStorage disk_storage(Disk *disk)
{
    return (BlockStorage) { disk->size, disk, storage_read, storage_write, storage_flush,
                            disk->fixed_length ? NULL : storage_truncate };
}

Medium medium_on_file(const char *name)
{
    return (Medium) { .file = kit_path(name) };
}

Medium medium_on_disk(void)
{
    return (Medium) { .disk = disk_new() };
}

void medium_clear(Medium *medium)
{
    if (medium->file) {
        unlink(medium->file);
    }
    g_clear_pointer(&medium->file, g_free);
    g_clear_pointer(&medium->disk, disk_free);
}

static void must(bool ok, GError *err, const char *doing, const char *options)
{
    if (!ok) {
        g_error("%s %s: %s", doing, options, bdrv_error_message(err));
    }
}

bool medium_try_create(const Medium *medium, const char *options, GError **errp)
{
    if (medium->disk) {
        BlockStorage storage = disk_storage(medium->disk);

        return bdrv_create_storage(&storage, options, errp);
    }
    return bdrv_create(medium->file, options, errp);
}

void medium_create(const Medium *medium, const char *options)
{
    GError *err = NULL;
    bool ok = medium_try_create(medium, options, &err);

    must(ok, err, "create", options);
}

BlockDriverState *medium_try_open(const Medium *medium, const char *options, unsigned flags, GError **errp)
{
    if (medium->disk) {
        BlockStorage storage = disk_storage(medium->disk);

        return bdrv_open_storage(&storage, options, flags, errp);
    }
    return bdrv_open(medium->file, options, flags, errp);
}

BlockDriverState *medium_open(const Medium *medium, const char *options, unsigned flags)
{
    GError *err = NULL;
    BlockDriverState *bs = medium_try_open(medium, options, flags, &err);

    must(bs != NULL, err, "open", options);
    return bs;
}

int64_t medium_size(const Medium *medium)
{
    struct stat st;

    if (medium->disk) {
        return medium->disk->size;
    }
    g_assert_cmpint(stat(medium->file, &st), ==, 0);
    return st.st_size;
}

void medium_read(const Medium *medium, int64_t offset, void *buf, int64_t bytes)
{
    if (medium->disk) {
        disk_read(medium->disk, offset, buf, bytes);
        return;
    }
    int fd = open(medium->file, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(pread(fd, buf, (size_t)bytes, offset), ==, bytes);
    close(fd);
}

void medium_write(const Medium *medium, int64_t offset, const void *buf, int64_t bytes)
{
    if (medium->disk) {
        disk_write(medium->disk, offset, buf, bytes);
        return;
    }
    int fd = open(medium->file, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(pwrite(fd, buf, (size_t)bytes, offset), ==, bytes);
    close(fd);
}

bool medium_find_parent(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    const DiskParent *parent = user;
    BlockStorage storage = disk_storage(parent->disk);

    if (query->depth == 1) {
        bdrv_offer_storage(answer, &storage, parent->driver);
    }
    return query->depth > 1;
}

bool medium_has_direct(void)
{
    Medium medium = medium_on_file("direct");

    medium_create(&medium, "driver=raw,size=4096");
    BlockDriverState *bs = medium_try_open(&medium, "driver=raw", BDRV_O_NOCACHE, NULL);

    bdrv_close(bs);
    medium_clear(&medium);
    return bs != NULL;
}
