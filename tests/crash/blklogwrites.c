/* blklogwrites.c - the log has every change with its data, in the order in which they were made */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "kit.h"
#include "medium.h"
#include "writelog.h"

enum { KIB = 1 << 10, SECTOR = 512, SIZE = 64 * KIB };

/* A raw file, and the log that is kept of it */
typedef struct Logged {
    Medium medium;
    char *log;
    BlockDriverState *bs;
    WriteLog *read;             /* once it is closed */
} Logged;

static char *options_of(const Logged *l, const char *more)
{
    return g_strdup_printf("driver=blklogwrites,log.filename=%s%s%s", l->log, *more ? "," : "", more);
}

static Logged begin(int64_t size, const char *more)
{
    Logged l = { medium_on_file("logged"), kit_path("log") };
    g_autofree char *create = g_strdup_printf("driver=file,size=%" PRId64, size);
    g_autofree char *options = options_of(&l, more);

    medium_create(&l.medium, create);
    l.bs = medium_open(&l.medium, options, BDRV_O_RDWR | BDRV_O_UNMAP);
    return l;
}

static void read_log(Logged *l)
{
    GError *err = NULL;

    g_clear_pointer(&l->read, writelog_free);
    l->read = writelog_read(l->log, &err);
    g_assert_no_error(err);
}

static void close_logged(Logged *l)
{
    g_assert_cmpint(bdrv_close(l->bs), ==, 0);
    read_log(l);
}

static void clear(Logged *l)
{
    writelog_free(l->read);
    medium_clear(&l->medium);
    unlink(l->log);
    g_free(l->log);
}

static void put(Logged *l, int64_t offset, int64_t bytes, unsigned stamp)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    kit_fill(buf, offset, bytes, stamp);
    g_assert_cmpint(bdrv_pwrite(l->bs, offset, buf, bytes, 0), ==, 0);
}

/* The @i-th event. It is a flush, or is of @bytes at @offset */
static const LogEvent *expect(const Logged *l, guint i, int kind, int64_t offset, int64_t bytes)
{
    g_assert_cmpuint(i, <, l->read->events->len);
    const LogEvent *event = writelog_event(l->read, i);

    g_assert_cmpint(event->kind, ==, kind);
    g_assert_cmpint(event->offset, ==, offset);
    g_assert_cmpint(event->bytes, ==, bytes);
    return event;
}

static void expect_stamp(const LogEvent *event, int64_t offset, int64_t bytes, unsigned stamp)
{
    g_autofree uint8_t *want = g_malloc((gsize)bytes);

    kit_fill(want, offset, bytes, stamp);
    kit_assert_same(event->data + (offset - event->offset), want, bytes, offset);
}

static void expect_end(const Logged *l, guint i)
{
    g_assert_cmpuint(l->read->events->len, ==, i);
}

static void test_write(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 4096, 1024, 7);
    close_logged(&l);
    expect_stamp(expect(&l, 0, EVENT_WRITE, 4096, 1024), 4096, 1024, 7);
    expect(&l, 1, EVENT_FLUSH, 0, 0);
    expect_end(&l, 2);
    clear(&l);
}

static void test_flush_is_where_it_was(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 0, 512, 1);
    g_assert_cmpint(bdrv_flush(l.bs), ==, 0);
    put(&l, 512, 512, 2);
    close_logged(&l);
    expect(&l, 0, EVENT_WRITE, 0, 512);
    expect(&l, 1, EVENT_FLUSH, 0, 0);
    expect(&l, 2, EVENT_WRITE, 512, 512);
    clear(&l);
}

static void test_zeroes(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 0, 8192, 1);
    g_assert_cmpint(bdrv_pwrite_zeroes(l.bs, 1024, 4096, BDRV_REQ_MAY_UNMAP), ==, 0);
    close_logged(&l);
    g_assert_true(kit_is_zero(expect(&l, 1, EVENT_WRITE, 1024, 4096)->data, 4096));
    clear(&l);
}

static void test_discard(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 0, 8192, 1);
    g_assert_cmpint(bdrv_pdiscard(l.bs, 1024, 4096), ==, 0);
    close_logged(&l);
    expect(&l, 1, EVENT_DISCARD, 1024, 4096);
    clear(&l);
}

/* Whole sectors are discarded, the others are written */
static void test_discard_between_sectors(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 0, 8192, 1);
    g_assert_cmpint(bdrv_pdiscard(l.bs, 1000, 2000), ==, 0);
    g_assert_cmpint(bdrv_pdiscard(l.bs, 4100, 100), ==, 0);
    close_logged(&l);
    expect(&l, 1, EVENT_DISCARD, 1024, 1536);
    expect_stamp(expect(&l, 2, EVENT_WRITE, 512, 512), 512, 488, 1);
    expect_stamp(expect(&l, 3, EVENT_WRITE, 2560, 512), 3000, 72, 1);
    expect_stamp(expect(&l, 4, EVENT_WRITE, 4096, 512), 4096, 4, 1);
    clear(&l);
}

static void test_between_sectors(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 0, 4096, 1);
    put(&l, 700, 1000, 2);
    close_logged(&l);
    const LogEvent *event = expect(&l, 1, EVENT_WRITE, 512, 1536);

    expect_stamp(event, 512, 188, 1);
    expect_stamp(event, 700, 1000, 2);
    expect_stamp(event, 1700, 348, 1);
    clear(&l);
}

static void test_zeroes_between_sectors(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 0, 4096, 1);
    g_assert_cmpint(bdrv_pwrite_zeroes(l.bs, 700, 1000, 0), ==, 0);
    close_logged(&l);
    const LogEvent *event = expect(&l, 1, EVENT_WRITE, 512, 1536);

    expect_stamp(event, 512, 188, 1);
    g_assert_true(kit_is_zero(event->data + 188, 1000));
    expect_stamp(event, 1700, 348, 1);
    clear(&l);
}

static void test_large_sectors(void)
{
    Logged l = begin(SIZE, "log-sector-size=4096");

    put(&l, 0, 16384, 1);
    put(&l, 5000, 100, 2);
    close_logged(&l);
    const LogEvent *event = expect(&l, 1, EVENT_WRITE, 4096, 4096);

    expect_stamp(event, 4096, 904, 1);
    expect_stamp(event, 5000, 100, 2);
    clear(&l);
}

/* A file may end anywhere */
static void test_end_in_mid_sector(void)
{
    Logged l = begin(1000, "");
    g_autofree char *options = g_strdup_printf("driver=raw,file.driver=blklogwrites,file.log.filename=%s", l.log);

    g_assert_cmpint(bdrv_close(l.bs), ==, 0);
    l.bs = medium_open(&l.medium, options, BDRV_O_RDWR);
    put(&l, 100, 50, 1);
    put(&l, 900, 100, 2);
    close_logged(&l);
    expect(&l, 0, EVENT_WRITE, 0, 512);
    expect(&l, 1, EVENT_WRITE, 512, 488);
    g_assert_cmpint(medium_size(&l.medium), ==, 1000);
    clear(&l);
}

static void test_truncate(void)
{
    Logged l = begin(SIZE, "");

    put(&l, 0, 4096, 1);
    g_assert_true(bdrv_truncate(l.bs, 1001, NULL));
    g_assert_true(bdrv_truncate(l.bs, 9000, NULL));
    close_logged(&l);
    expect(&l, 1, EVENT_TRUNCATE, 1001, 0);
    expect(&l, 2, EVENT_TRUNCATE, 9000, 0);
    clear(&l);
}

static void test_append(void)
{
    Logged l = begin(SIZE, "log-sector-size=1024");
    g_autofree char *more = options_of(&l, "log-append=on");

    put(&l, 0, 3072, 1);
    g_assert_cmpint(bdrv_pdiscard(l.bs, 2048, 1024), ==, 0);
    g_assert_true(bdrv_truncate(l.bs, 32 * KIB, NULL));
    g_assert_cmpint(bdrv_close(l.bs), ==, 0);
    l.bs = medium_open(&l.medium, more, BDRV_O_RDWR);
    put(&l, 4096, 1024, 2);
    close_logged(&l);
    expect(&l, 0, EVENT_WRITE, 0, 3072);
    expect(&l, 1, EVENT_DISCARD, 2048, 1024);
    expect(&l, 2, EVENT_TRUNCATE, 32 * KIB, 0);
    expect(&l, 3, EVENT_FLUSH, 0, 0);
    expect_stamp(expect(&l, 4, EVENT_WRITE, 4096, 1024), 4096, 1024, 2);
    expect(&l, 5, EVENT_FLUSH, 0, 0);
    expect_end(&l, 6);
    clear(&l);
}

static void test_begins_anew(void)
{
    Logged l = begin(SIZE, "");
    g_autofree char *more = options_of(&l, "");

    put(&l, 0, 4096, 1);
    g_assert_cmpint(bdrv_close(l.bs), ==, 0);
    l.bs = medium_open(&l.medium, more, BDRV_O_RDWR);
    close_logged(&l);
    expect(&l, 0, EVENT_FLUSH, 0, 0);
    expect_end(&l, 1);
    clear(&l);
}

static void test_read_only_leaves_the_log(void)
{
    Logged l = begin(SIZE, "");
    g_autofree char *more = options_of(&l, "");

    put(&l, 0, 4096, 1);
    g_assert_cmpint(bdrv_close(l.bs), ==, 0);
    l.bs = medium_open(&l.medium, more, 0);
    close_logged(&l);
    expect(&l, 0, EVENT_WRITE, 0, 4096);
    clear(&l);
}

/* The head counts what came before the last flush, or the last so many entries */
static void test_interval(void)
{
    Logged l = begin(SIZE, "log-super-update-interval=2");

    put(&l, 0, 512, 1);
    read_log(&l);
    expect_end(&l, 0);
    put(&l, 512, 512, 2);
    read_log(&l);
    expect_end(&l, 2);
    put(&l, 512, 512, 3);
    g_assert_cmpint(bdrv_flush(l.bs), ==, 0);
    read_log(&l);
    expect_end(&l, 4);
    close_logged(&l);
    clear(&l);
}

static void test_failed_write_is_not_logged(void)
{
    static const char failing[] = "file.driver=blkdebug,file.inject-error.0.iotype=write,file.inject-error.0.once=on";
    Logged l = begin(SIZE, failing);
    uint8_t buf[512] = { 1 };

    g_assert_cmpint(bdrv_pwrite(l.bs, 0, buf, sizeof(buf), 0), ==, -EIO);
    put(&l, 512, 512, 2);
    close_logged(&l);
    expect(&l, 0, EVENT_WRITE, 512, 512);
    clear(&l);
}

static void test_failed_flush_is_not_logged(void)
{
    static const char failing[] = "file.driver=blkdebug,file.inject-error.0.iotype=flush,file.inject-error.0.once=on";
    Logged l = begin(SIZE, failing);

    put(&l, 512, 512, 2);
    g_assert_cmpint(bdrv_flush(l.bs), ==, -EIO);
    put(&l, 0, 512, 2);
    close_logged(&l);
    expect(&l, 0, EVENT_WRITE, 512, 512);
    expect(&l, 1, EVENT_WRITE, 0, 512);
    expect(&l, 2, EVENT_FLUSH, 0, 0);
    clear(&l);
}

/* Nothing may happen that the log does not know of */
static void test_full_log_stops_all(void)
{
    static const char failing[] = "log.driver=blkdebug,log.inject-error.0.iotype=write,log.inject-error.0.errno=28,"
                                  "log.inject-error.0.skip=4,log.inject-error.0.once=on";
    Logged l = { medium_on_file("logged"), kit_path("log") };
    g_autofree char *options = g_strdup_printf("driver=blklogwrites,log.image.filename=%s,%s", l.log, failing);
    uint8_t buf[512] = { 1 }, after[512];

    medium_create(&l.medium, "driver=file,size=64k");
    l.bs = medium_open(&l.medium, options, BDRV_O_RDWR);
    put(&l, 0, 512, 1);
    g_assert_cmpint(bdrv_pwrite(l.bs, 512, buf, sizeof(buf), 0), ==, -ENOSPC);
    g_assert_cmpint(bdrv_pwrite(l.bs, 1024, buf, sizeof(buf), 0), ==, -ENOSPC);
    g_assert_false(bdrv_truncate(l.bs, 4096, NULL));
    g_assert_cmpint(bdrv_flush(l.bs), ==, -ENOSPC);
    g_assert_cmpint(bdrv_close(l.bs), ==, -ENOSPC);
    medium_read(&l.medium, 1024, after, sizeof(after));
    g_assert_true(kit_is_zero(after, sizeof(after)));
    clear(&l);
}

static void test_storage_stays_the_image(void)
{
    Logged l = { medium_on_disk(), kit_path("log") };
    g_autofree char *options = options_of(&l, "");

    disk_truncate(l.medium.disk, SIZE);
    l.bs = medium_open(&l.medium, options, BDRV_O_RDWR);
    put(&l, 0, 512, 3);
    close_logged(&l);
    expect_stamp(expect(&l, 0, EVENT_WRITE, 0, 512), 0, 512, 3);
    clear(&l);
}

/* From the first byte on, and what is in the log makes the same file */
static void test_create(void)
{
    Logged l = { medium_on_file("logged"), kit_path("log") };
    g_autofree char *options = g_strdup_printf("driver=vpc,size=64k,block_size=4k,file.driver=blklogwrites,"
                                               "file.log.filename=%s", l.log);
    Disk *disk = disk_new();

    medium_create(&l.medium, options);
    read_log(&l);
    for (guint i = 0; i < l.read->events->len; i++) {
        const LogEvent *event = writelog_event(l.read, i);

        if (event->kind == EVENT_WRITE) {
            disk_write(disk, event->offset, event->data, event->bytes);
        }
    }
    g_autofree uint8_t *made = g_malloc0((gsize)disk->size), *want = g_malloc0((gsize)disk->size);
    g_assert_cmpint(medium_size(&l.medium), ==, disk->size);
    disk_read(disk, 0, made, disk->size);
    medium_read(&l.medium, 0, want, disk->size);
    kit_assert_same(made, want, disk->size, 0);
    disk_free(disk);
    clear(&l);
}

enum { THREADS = 4, EACH = 500, BYTES = 30 };

static void *write_some(void *user)
{
    static int count;
    Logged *l = user;
    unsigned n = (unsigned)__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < EACH; i++) {
        put(l, (n * EACH + i) * BYTES, BYTES, n + 1);
        if (i % 100 == 0) {
            g_assert_cmpint(bdrv_flush(l->bs), ==, 0);
        }
    }
    return NULL;
}

/* Whoever writes beside them, what the log makes is what the file has */
static void test_threads(void)
{
    Logged l = begin(SIZE, "");
    pthread_t threads[THREADS];
    g_autofree uint8_t *made = g_malloc0(SIZE), *want = g_malloc0(SIZE);

    for (int i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_create(&threads[i], NULL, write_some, &l), ==, 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    close_logged(&l);
    for (guint i = 0; i < l.read->events->len; i++) {
        const LogEvent *event = writelog_event(l.read, i);

        if (event->kind == EVENT_WRITE) {
            memcpy(made + event->offset, event->data, (size_t)event->bytes);
        }
    }
    medium_read(&l.medium, 0, want, SIZE);
    kit_assert_same(made, want, SIZE, 0);
    clear(&l);
}

static void refuse(const char *more, const char *message)
{
    Logged l = { medium_on_file("logged"), kit_path("log") };
    g_autofree char *options = g_strdup_printf("driver=blklogwrites,%s", more);
    GError *err = NULL;

    medium_create(&l.medium, "driver=file,size=64k");
    g_assert_null(medium_try_open(&l.medium, options, BDRV_O_RDWR, &err));
    g_assert_cmpstr(bdrv_error_message(err), ==, message);
    bdrv_error_free(err);
    clear(&l);
}

static void test_options(void)
{
    g_autofree char *log = kit_path("log"), *file = kit_path("logged");
    g_autofree char *append = g_strdup_printf("log-append=on,log.filename=%s", log);
    g_autofree char *both = g_strdup_printf("%s,log-sector-size=512", append);
    g_autofree char *zeroes = g_strdup_printf("log-append=on,log.driver=null,log.size=1M");
    g_autofree char *size = g_strdup_printf("log-sector-size=1000,log.filename=%s", log);
    g_autofree char *interval = g_strdup_printf("log-super-update-interval=0,log.filename=%s", log);
    g_autofree char *format = g_strdup_printf("log.driver=raw,log-append=on,log.file.driver=null");
    g_autofree char *missing = g_strdup_printf("log: Could not open '%s': No such file or directory", log);

    refuse("log-append=on", "driver 'blklogwrites' needs the option 'log.*'");
    refuse(both, "a log that is appended to has a sector size: log-sector-size can't be given");
    refuse(size, "log-sector-size 1000 is not a power of two from 512 to 8388608");
    refuse(interval, "log-super-update-interval 0 is not positive");
    refuse(append, missing);
    refuse(zeroes, "this is no log to append to: its magic is 0x0, its version 0");
    refuse(format, "log: it is to be a file, not a disk image");
}

/* A log of one entry at @at that has the field, of @bytes, set to @value */
static void refuse_log(int64_t at, uint64_t value, int bytes, const char *message)
{
    Logged l = begin(SIZE, "");
    g_autofree char *options = options_of(&l, "log-append=on");
    Medium log = { .file = l.log };
    GError *err = NULL;

    put(&l, 0, 512, 1);
    g_assert_cmpint(bdrv_close(l.bs), ==, 0);
    medium_write(&log, at, &value, bytes);
    g_assert_null(medium_try_open(&l.medium, options, BDRV_O_RDWR, &err));
    g_assert_cmpstr(bdrv_error_message(err), ==, message);
    bdrv_error_free(err);
    g_assert_null(writelog_read(l.log, NULL));
    clear(&l);
}

static void test_bad_logs(void)
{
    refuse_log(0, 1, 8, "this is no log to append to: its magic is 0x1, its version 1");
    refuse_log(8, 2, 8, "this is no log to append to: its magic is 0x6a736677736872, its version 2");
    refuse_log(24, 0, 4, "the log's sector size 0 is not a power of two from 512 to 8388608");
    refuse_log(16, UINT64_MAX, 8, "could not read entry 2 of the 18446744073709551615 in the log: "
               "it reaches past the end");
    refuse_log(512 + 8, UINT64_MAX / 512, 8, "could not read entry 0 of the 2 in the log: it reaches past the end");
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/blklogwrites/write", test_write);
    g_test_add_func("/blklogwrites/flush-is-where-it-was", test_flush_is_where_it_was);
    g_test_add_func("/blklogwrites/zeroes", test_zeroes);
    g_test_add_func("/blklogwrites/discard", test_discard);
    g_test_add_func("/blklogwrites/discard-between-sectors", test_discard_between_sectors);
    g_test_add_func("/blklogwrites/between-sectors", test_between_sectors);
    g_test_add_func("/blklogwrites/zeroes-between-sectors", test_zeroes_between_sectors);
    g_test_add_func("/blklogwrites/large-sectors", test_large_sectors);
    g_test_add_func("/blklogwrites/file-ends-in-mid-sector", test_end_in_mid_sector);
    g_test_add_func("/blklogwrites/truncate", test_truncate);
    g_test_add_func("/blklogwrites/append", test_append);
    g_test_add_func("/blklogwrites/begins-anew", test_begins_anew);
    g_test_add_func("/blklogwrites/read-only-leaves-the-log", test_read_only_leaves_the_log);
    g_test_add_func("/blklogwrites/interval", test_interval);
    g_test_add_func("/blklogwrites/failed-write-is-not-logged", test_failed_write_is_not_logged);
    g_test_add_func("/blklogwrites/failed-flush-is-not-logged", test_failed_flush_is_not_logged);
    g_test_add_func("/blklogwrites/full-log-stops-all", test_full_log_stops_all);
    g_test_add_func("/blklogwrites/storage-stays-the-image", test_storage_stays_the_image);
    g_test_add_func("/blklogwrites/create", test_create);
    g_test_add_func("/blklogwrites/threads", test_threads);
    g_test_add_func("/blklogwrites/options", test_options);
    g_test_add_func("/blklogwrites/bad-logs", test_bad_logs);
    return kit_run();
}
