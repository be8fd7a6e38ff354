/* at-gate.c - requests that wait at the gate: what becomes of the disk meanwhile, and what is not done twice */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include "kit.h"
#include "rig.h"
#include "stop.h"

enum { KIB = 1 << 10, SECTOR = 512, BIG = 1 << 20, SMALL = BIG / 2, BLOCK = 64 * KIB };

#define BLOCKS_BEGIN 2048   /* in a VHD of few blocks */

/* The disk becomes shorter while a request waits */

static int shrink(void *bs)
{
    return rig_truncate(bs, SMALL);
}

static int write_last(void *bs)
{
    return rig_write(bs, BIG - RIG_UNIT, RIG_UNIT);
}

static int write_across(void *bs)
{
    return rig_write(bs, SMALL - RIG_UNIT, 2 * RIG_UNIT);
}

static int write_to_disk(void *bs)
{
    return bdrv_pwrite(bs, BIG - 1, "x", 1, BDRV_REQ_FUA);
}

static int read_last(void *bs)
{
    return rig_read(bs, BIG - RIG_UNIT, RIG_UNIT);
}

static int zero_last(void *bs)
{
    return bdrv_pwrite_zeroes(bs, SMALL, BIG - SMALL, BDRV_REQ_MAY_UNMAP);
}

static int zero_all(void *bs)
{
    return bdrv_pwrite_zeroes(bs, 0, BIG, 0);
}

static int discard_all(void *bs)
{
    return bdrv_pdiscard(bs, 0, BIG);
}

static int status_of_all(void *bs)
{
    BlockStatus st;

    return bdrv_block_status(bs, 0, BIG, 0, &st);
}

static int write_nothing(void *bs)
{
    return bdrv_pwrite(bs, BIG, "", 0, 0);
}

static int write_inside(void *bs)
{
    return rig_write(bs, SMALL - RIG_UNIT, RIG_UNIT);
}

static int status_inside(void *bs)
{
    BlockStatus st;

    return bdrv_block_status(bs, 0, SMALL, 0, &st);
}

static int flush(void *bs)
{
    return bdrv_flush(bs);
}

static const struct {
    const char *name;
    int (*run)(void *bs);
    int ret;
} waiting[] = {
    { "write", write_last, -EIO }, { "write-across", write_across, -EIO }, { "write-to-disk", write_to_disk, -EIO },
    { "read", read_last, -EIO }, { "zero", zero_last, -EIO }, { "zero-all", zero_all, -EIO },
    { "discard", discard_all, -EIO }, { "status", status_of_all, -EIO }, { "nothing", write_nothing, -EIO },
    { "write-inside", write_inside, 0 }, { "status-inside", status_inside, 0 }, { "flush", flush, 0 },
};

static const struct {
    const char *name, *create, *open;
} shrunk[] = {
    { "raw", "driver=raw,size=1M", "driver=raw" },
    { "file", "driver=raw,size=1M", "driver=mem" },
    { "fixed", "driver=vpc,subformat=fixed,size=1M", "driver=vpc" },
    { "dynamic", "driver=vpc,block_size=64k,size=1M", "driver=vpc" },
    { "raw-over-dynamic", "driver=vpc,block_size=64k,size=1M", "driver=raw,file.driver=vpc" },
    { "filter-over-raw", "driver=raw,size=1M", "driver=blkdebug,image.driver=raw" },
    { "filter-over-dynamic", "driver=vpc,block_size=64k,size=1M", "driver=blkdebug,image.driver=vpc" },
    { "raw-over-filter-over-dynamic", "driver=vpc,block_size=64k,size=1M",
      "driver=raw,file.driver=blkdebug,file.image.driver=vpc" },
};

static void assert_no_errors(BlockDriverState *bs)
{
    BlockInfo *info = bdrv_get_info(bs, NULL);

    g_assert_cmpuint(info->io_errors, ==, 0);
    bdrv_info_free(info);
}

static void shrink_before(BlockDriverState *bs, Stop *stop, size_t request)
{
    Job shrinker = { shrink, bs }, other = { waiting[request].run, bs };

    stop_next_change(stop);
    job_start(&shrinker);
    stop_wait(stop);
    g_assert_cmpint(bdrv_getlength(bs), ==, BIG);
    job_start(&other);
    job_wait_until_asleep(&other);
    stop_end(stop);
    g_assert_cmpint(job_end(&shrinker), ==, 0);
    g_assert_cmpint(job_end(&other), ==, waiting[request].ret);
    g_assert_cmpint(bdrv_getlength(bs), ==, SMALL);
    assert_no_errors(bs);
}

/* The disk is as long as was asked for, whatever waited; and that is no error of the disk's */
static void test_shrunk(const void *data)
{
    size_t i = (size_t)(uintptr_t)data;

    for (size_t request = 0; request < G_N_ELEMENTS(waiting); request++) {
        Stop stop;

        g_test_message("%s", waiting[request].name);
        stop_init(&stop, medium_on_disk());
        medium_create(&stop.medium, shrunk[i].create);
        BlockDriverState *bs = stop_open(&stop, shrunk[i].open);
        g_assert_cmpint(rig_write(bs, SMALL - BLOCK, 2 * BLOCK), ==, 0);
        shrink_before(bs, &stop, request);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
        stop_clear(&stop);
    }
}

/* Nothing is done twice */

typedef struct Twice {
    const char *name, *create, *open;
    int64_t there, there_bytes;     /* is written first, by a request of its own */
    int64_t offset, bytes;          /* has something of that, and goes on where the format has to be alone */
    const char *backing;            /* prefix of the options of a parent that is full; NULL: none */
    bool zeroes;
    bool inner;                     /* there is a fixed disk in it */
} Twice;

#define DYNAMIC "driver=vpc,block_size=64k,size=1M"
#define CHILD   DYNAMIC ",backing_file=parent"
#define RAW_OVER "driver=raw,file.driver=vpc"

static const Twice twice[] = {
    { "dynamic", DYNAMIC, "driver=vpc", 0, BLOCK, BLOCK / 2, BLOCK },
    { "dynamic/three-blocks", DYNAMIC, "driver=vpc", BLOCK, BLOCK, BLOCK, 3 * BLOCK },
    { "dynamic/bytes", DYNAMIC, "driver=vpc", 0, BLOCK, BLOCK - 1001, 5000 },
    { "child", CHILD, "driver=vpc", 0, 8 * SECTOR, 0, 5000, "backing" },
    { "child/block", CHILD, "driver=vpc", 0, BLOCK, BLOCK - 8 * SECTOR, BLOCK, "backing" },
    { "child/zeroes", CHILD, "driver=vpc", 0, 8 * SECTOR, 0, 5000, "backing", .zeroes = true },
    { "child/zeroes-around", CHILD, "driver=vpc", 16 * SECTOR, 8 * SECTOR, 5 * SECTOR, 30 * SECTOR + 1, "backing",
      .zeroes = true },
    { "raw-over-dynamic", DYNAMIC, RAW_OVER, 0, BLOCK, BLOCK / 2, BLOCK },
    { "raw-over-child", CHILD, RAW_OVER, 0, 8 * SECTOR, 0, 5000, "file.backing" },
    { "raw-over-child/zeroes", CHILD, RAW_OVER, 0, 8 * SECTOR, 0, 5000, "file.backing", .zeroes = true },
    { "window-over-dynamic", DYNAMIC, "driver=raw,offset=16k,file.driver=vpc", 0, BLOCK - 16 * KIB, SECTOR, BLOCK },
    { "fixed-over-dynamic", DYNAMIC, "driver=vpc,file.driver=vpc", 0, BLOCK, BLOCK / 2, BLOCK, .inner = true },
    { "filter-over-dynamic", DYNAMIC, "driver=blkdebug,image.driver=vpc", 0, BLOCK, BLOCK / 2, BLOCK },
    { "filter-in-pieces", DYNAMIC, "driver=blkdebug,max-transfer=8k,image.driver=vpc", 0, BLOCK, BLOCK / 2, BLOCK },
    { "raw-over-filter", DYNAMIC, "driver=raw,file.driver=blkdebug,file.image.driver=vpc", 0, BLOCK, BLOCK / 2,
      BLOCK },
};

/* The footer of a fixed disk, where the dynamic one ends */
static void put_inner(const Medium *medium)
{
    Medium inner = medium_on_disk();
    uint8_t footer[SECTOR];

    medium_create(&inner, "driver=vpc,subformat=fixed,size=1048064");
    g_assert_cmpint(medium_size(&inner), ==, BIG);
    medium_read(&inner, BIG - SECTOR, footer, SECTOR);
    BlockDriverState *bs = medium_open(medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_pwrite(bs, BIG - SECTOR, footer, SECTOR, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&inner);
}

static Medium make_parent(void)
{
    Medium parent = medium_on_file("parent");

    medium_create(&parent, DYNAMIC);
    BlockDriverState *bs = medium_open(&parent, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(rig_write(bs, 0, BIG), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    return parent;
}

/* In memory, where every write can be seen; it is made on a file so that it finds its parent */
static Medium make_image(const char *create)
{
    Medium file = medium_on_file("image"), disk = medium_on_disk();

    medium_create(&file, create);
    int64_t size = medium_size(&file);
    g_autofree uint8_t *bytes = g_malloc((gsize)size);
    medium_read(&file, 0, bytes, size);
    disk_truncate(disk.disk, size);
    medium_write(&disk, 0, bytes, size);
    medium_clear(&file);
    return disk;
}

static bool overlap(const DiskEvent *a, const DiskEvent *b)
{
    return a->kind == DISK_WRITE && b->kind == DISK_WRITE && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* What is in front of BLOCKS_BEGIN, tables, may be written for each new block */
static void assert_written_once(const Disk *disk)
{
    const DiskEvent *events = (const DiskEvent *)(const void *)disk->log->data;

    for (guint i = 0; i < disk->log->len; i++) {
        for (guint before = 0; before < i; before++) {
            if (events[i].offset >= BLOCKS_BEGIN && overlap(&events[before], &events[i])) {
                g_error("%" PRId64 " bytes at %" PRId64 " of the medium were written a second time", events[i].bytes,
                        events[i].offset);
            }
        }
    }
}

static void change(BlockDriverState *bs, const Twice *t)
{
    g_autofree uint8_t *want = g_malloc0((gsize)t->bytes), *got = g_malloc((gsize)t->bytes);

    if (t->zeroes) {
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, t->offset, t->bytes, 0), ==, 0);
    } else {
        kit_fill(want, t->offset, t->bytes, 5);
        g_assert_cmpint(bdrv_pwrite(bs, t->offset, want, t->bytes, 0), ==, 0);
    }
    g_assert_cmpint(bdrv_pread(bs, t->offset, got, t->bytes, 0), ==, 0);
    kit_assert_same(got, want, t->bytes, t->offset);
}

/* Between the first time and the second another thread's write could be done, and would be lost */
static void test_twice(const void *data)
{
    const Twice *t = data;
    Medium parent = make_parent(), medium = make_image(t->create);
    GString *options = g_string_new(t->open);

    if (t->backing) {
        g_string_append_printf(options, ",%s.file.filename=%s", t->backing, parent.file);
    }
    if (t->inner) {
        put_inner(&medium);
    }
    BlockDriverState *bs = medium_open(&medium, options->str, BDRV_O_RDWR);
    g_assert_cmpint(rig_write(bs, t->there, t->there_bytes), ==, 0);
    disk_start_log(medium.disk);
    change(bs, t);
    assert_written_once(medium.disk);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
    medium_clear(&parent);
    g_string_free(options, TRUE);
}

static BlockDriverState *open_filter(Medium *medium, const char *rules)
{
    g_autofree char *options = g_strdup_printf("driver=blkdebug,image.driver=vpc,inject-error.0.%s,"
                                               "inject-error.0.skip=1", rules);

    *medium = medium_on_disk();
    medium_create(medium, DYNAMIC);
    return medium_open(medium, options, BDRV_O_RDWR);
}

/* The second one is what a filter's rule is for, also where the first had to be alone below it */
static void test_filter_sees_one_write(void)
{
    Medium medium;
    BlockDriverState *bs = open_filter(&medium, "iotype=write");

    g_assert_cmpint(rig_write(bs, 0, RIG_UNIT), ==, 0);
    g_assert_cmpint(rig_write(bs, 0, RIG_UNIT), ==, -EIO);
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_filter_sees_one_flush(void)
{
    Medium medium;
    BlockDriverState *bs = open_filter(&medium, "iotype=flush");

    g_assert_cmpint(rig_write(bs, 0, RIG_UNIT), ==, 0);
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    g_assert_cmpint(bdrv_flush(bs), ==, -EIO);
    bdrv_close(bs);
    medium_clear(&medium);
}

/* What a filter counted in pieces went on to all of them */
static void test_filter_sees_each_piece_once(void)
{
    Medium medium = medium_on_disk();

    medium_create(&medium, DYNAMIC);
    BlockDriverState *bs = medium_open(&medium, "driver=blkdebug,max-transfer=32k,image.driver=vpc,"
                                       "inject-error.0.iotype=write,inject-error.0.skip=6", BDRV_O_RDWR);
    g_assert_cmpint(rig_write(bs, 0, BLOCK), ==, 0);
    g_assert_cmpint(rig_write(bs, 0, 2 * BLOCK), ==, 0);
    g_assert_cmpint(rig_write(bs, 0, RIG_UNIT), ==, -EIO);
    bdrv_close(bs);
    medium_clear(&medium);
}

/* A disk that says EAGAIN says nothing of formats */

static void test_again_from_disk(void)
{
    Rig rig = rig_new("");

    rig.medium.disk->fail_errno = EAGAIN;
    rig.medium.disk->fail_once = true;
    g_assert_cmpint(rig_write(rig.bs, 0, RIG_UNIT), ==, -EIO);
    g_assert_cmpuint(rig.medium.disk->writes, ==, 1);
    rig_free(&rig);
}

static void test_again_from_flush(void)
{
    Rig rig = rig_new("");

    rig.medium.disk->flush_errno = EAGAIN;
    g_assert_cmpint(bdrv_flush(rig.bs), ==, -EIO);
    g_assert_cmpuint(rig.medium.disk->flushes, ==, 1);
    rig_free(&rig);
}

static void test_again_from_filter(void)
{
    static const char *const kinds[] = { "write", "read", "flush", "write-zeroes" };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *rule = g_strdup_printf("inject-error.0.iotype=%s,inject-error.0.errno=11,inject-error.0.once=on",
                                                kinds[i]);
        Rig rig = rig_new(rule);

        g_assert_cmpint(rig_request(rig.bs, "wrfz"[i]), ==, -EIO);
        rig_free(&rig);
    }
}

static void test_again_below_format(void)
{
    Medium medium = medium_on_disk();

    medium_create(&medium, DYNAMIC);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(rig_write(bs, 0, RIG_UNIT), ==, 0);
    medium.disk->writes = 0;
    medium.disk->fail_errno = EAGAIN;
    medium.disk->fail_once = true;
    g_assert_cmpint(rig_write(bs, 0, RIG_UNIT), ==, -EIO);
    g_assert_cmpuint(medium.disk->writes, ==, 1);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* A commit goes to the parent that the image has when it begins */

static int rebase_to_none(void *bs)
{
    return bdrv_rebase(bs, NULL, NULL, NULL) ? 0 : -1;
}

static int commit(void *bs)
{
    GError *err = NULL;

    bdrv_commit(bs, 1, NULL, NULL, &err);
    int ret = err ? -bdrv_error_code(err) : 0;
    bdrv_error_free(err);
    return ret;
}

static void test_commit_after_rebase(void)
{
    Medium parent = make_parent();
    Stop stop;
    g_autofree char *options = g_strdup_printf("driver=vpc,backing.file.filename=%s,backing.read-only=off", parent.file);

    stop_init(&stop, make_image(CHILD));
    BlockDriverState *bs = stop_open(&stop, options);
    Job rebase = { rebase_to_none, bs }, other = { commit, bs };

    stop_next_change(&stop);
    job_start(&rebase);
    stop_wait(&stop);
    job_start(&other);
    job_wait_until_asleep(&other);
    stop_end(&stop);
    g_assert_cmpint(job_end(&rebase), ==, 0);
    g_assert_cmpint(job_end(&other), ==, -EINVAL);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&parent);
    stop_clear(&stop);
}

static void test_commit_depths(void)
{
    static const unsigned depths[] = { 0, 2, 3, UINT_MAX };
    Medium parent = make_parent(), child = medium_on_file("child");

    medium_create(&child, CHILD);
    BlockDriverState *bs = medium_open(&child, "driver=vpc,backing.read-only=off", BDRV_O_RDWR);
    for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
        GError *err = NULL;

        g_assert_false(bdrv_commit(bs, depths[i], NULL, NULL, &err));
        g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
        bdrv_error_free(err);
    }
    g_assert_true(bdrv_commit(bs, 1, NULL, NULL, NULL));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&child);
    medium_clear(&parent);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(shrunk); i++) {
        g_autofree char *path = g_strdup_printf("/at-gate/shrunk-meanwhile/%s", shrunk[i].name);

        g_test_add_data_func(path, (const void *)(uintptr_t)i, test_shrunk);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(twice); i++) {
        g_autofree char *path = g_strdup_printf("/at-gate/once/%s", twice[i].name);

        g_test_add_data_func(path, &twice[i], test_twice);
    }
    g_test_add_func("/at-gate/filter-sees/one-write", test_filter_sees_one_write);
    g_test_add_func("/at-gate/filter-sees/one-flush", test_filter_sees_one_flush);
    g_test_add_func("/at-gate/filter-sees/each-piece-once", test_filter_sees_each_piece_once);
    g_test_add_func("/at-gate/again/from-disk", test_again_from_disk);
    g_test_add_func("/at-gate/again/from-flush", test_again_from_flush);
    g_test_add_func("/at-gate/again/from-filter", test_again_from_filter);
    g_test_add_func("/at-gate/again/below-format", test_again_below_format);
    g_test_add_func("/at-gate/commit/after-rebase", test_commit_after_rebase);
    g_test_add_func("/at-gate/commit/depths", test_commit_depths);
    return kit_run();
}
