/* layer.c - what the door promises of every driver, and of requests, flags, errors and options */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <miniblk/driver.h>
#include "kit.h"
#include "medium.h"
#include "rig.h"
#include "util/be.h"
#include "vhd.h"

enum { MIB = 1 << 20, SIZE = MIB };

/* How to have an image of SIZE bytes of each driver */
typedef struct Recipe {
    const char *driver;
    const char *create;         /* NULL: it needs no file */
    const char *open;
    bool forgets;               /* what is written reads as zeroes */
} Recipe;

static const Recipe recipes[] = {
    { "vpc", "driver=vpc,size=1M,block_size=64k", "driver=vpc" },
    { "raw", "driver=raw,size=1M", "driver=raw" },
    { "blkdebug", "driver=raw,size=1M", "driver=blkdebug" },
    { "blklogwrites", "driver=raw,size=1M", "driver=blklogwrites,log.filename=" },
    { "probe-guard", "driver=raw,size=1M", "driver=probe-guard" },
    { "file", "driver=file,size=1M", "driver=file" },
    { "mem", NULL, "driver=mem,size=1M" },
    { "null", NULL, "driver=null,size=1M", .forgets = true },
    { "null-co", NULL, "driver=null-co,size=1M", .forgets = true },
    { "null-aio", NULL, "driver=null-aio,size=1M,read-zeroes=on", .forgets = true },
    { "cow", "driver=file,size=0", "driver=cow,backing.driver=raw,backing.file.driver=mem,backing.file.size=1M" },
};

static const Recipe *recipe_of(const BlockDriver *drv)
{
    for (size_t i = 0; i < G_N_ELEMENTS(recipes); i++) {
        if (!strcmp(recipes[i].driver, drv->name)) {
            return &recipes[i];
        }
    }
    g_error("driver '%s' has no recipe here, add one", drv->name);
    return NULL;
}

/* An image with something in it, open */
typedef struct Image {
    const Recipe *recipe;
    Medium medium;
    BlockDriverState *bs;
    uint8_t *before;            /* the file's bytes */
    gsize length;
} Image;

/* What ends in "=" wants the name of a file */
static char *open_options(const Recipe *recipe)
{
    g_autofree char *file = kit_path("log");

    return g_strconcat(recipe->open, g_str_has_suffix(recipe->open, "=") ? file : NULL, NULL);
}

static BlockDriverState *open_recipe(Image *image, unsigned flags)
{
    g_autofree char *options = open_options(image->recipe);

    return image->recipe->create ? medium_open(&image->medium, options, flags) : bdrv_open(NULL, options, flags, NULL);
}

static void remember_file(Image *image)
{
    g_clear_pointer(&image->before, g_free);
    if (image->recipe->create) {
        g_assert_true(g_file_get_contents(image->medium.file, (char **)&image->before, &image->length, NULL));
    }
}

static void assert_file_untouched(Image *image)
{
    uint8_t *was = g_steal_pointer(&image->before);
    gsize length = image->length;

    remember_file(image);
    if (was) {
        g_assert_cmpmem(was, length, image->before, image->length);
    }
    g_free(was);
}

static Image image_new(const BlockDriver *drv, unsigned flags)
{
    Image image = { .recipe = recipe_of(drv), .medium = medium_on_file("image") };

    if (image.recipe->create) {
        uint8_t buf[3000];

        medium_create(&image.medium, image.recipe->create);
        image.bs = open_recipe(&image, BDRV_O_RDWR);
        kit_fill(buf, 5000, sizeof(buf), 3);
        g_assert_cmpint(bdrv_pwrite(image.bs, 5000, buf, sizeof(buf), 0), ==, 0);
        g_assert_cmpint(bdrv_close(image.bs), ==, 0);
    }
    image.bs = open_recipe(&image, flags);
    g_assert_nonnull(image.bs);
    remember_file(&image);
    return image;
}

static void image_free(Image *image)
{
    g_assert_cmpint(bdrv_close(image->bs), ==, 0);
    medium_clear(&image->medium);
    g_free(image->before);
}

/* Every driver: requests */

static const struct { int64_t offset, bytes; } outside[] = {
    { -1, 1 }, { -512, 512 }, { INT64_MIN, 512 }, { SIZE, 1 }, { SIZE + 1, 0 }, { SIZE - 511, 512 },
    { INT64_MAX - 10, 512 }, { INT64_MAX, 512 }, { 0, -1 }, { 0, -512 }, { 100, INT64_MIN }, { 0, BDRV_MAX_BYTES },
    { 0, BDRV_MAX_BYTES + 1 }, { 0, INT64_MAX }, { 1, INT64_MAX },
};

static void assert_refused(int ret)
{
    g_assert_true(ret == -EIO || ret == -EINVAL);
}

static void test_outside(const void *drv)
{
    Image image = image_new(drv, BDRV_O_RDWR | BDRV_O_UNMAP);
    uint8_t buf[512] = { 1 };
    BlockStatus st;

    for (size_t i = 0; i < G_N_ELEMENTS(outside); i++) {
        int64_t offset = outside[i].offset, bytes = outside[i].bytes;

        assert_refused(bdrv_pread(image.bs, offset, buf, bytes, 0));
        assert_refused(bdrv_pwrite(image.bs, offset, buf, bytes, 0));
        assert_refused(bdrv_pwrite_zeroes(image.bs, offset, bytes, 0));
        assert_refused(bdrv_pdiscard(image.bs, offset, bytes));
        assert_refused(bdrv_block_status(image.bs, offset, bytes, 0, &st));
    }
    g_assert_cmpint(bdrv_flush(image.bs), ==, 0);
    assert_file_untouched(&image);
    image_free(&image);
}

static void test_bad_iovecs(const void *drv)
{
    Image image = image_new(drv, BDRV_O_RDWR);
    char byte = 0;
    struct iovec iov[] = { { &byte, SIZE_MAX / 2 }, { &byte, SIZE_MAX / 2 }, { &byte, SIZE_MAX / 2 } };

    g_assert_cmpint(bdrv_preadv(image.bs, 0, iov, 3, 0), ==, -EINVAL);
    g_assert_cmpint(bdrv_pwritev(image.bs, 0, iov, 3, 0), ==, -EINVAL);
    g_assert_cmpint(bdrv_pwritev(image.bs, 0, iov, 1, 0), ==, -EINVAL);
    g_assert_cmpint(bdrv_preadv(image.bs, 0, iov, -1, 0), ==, -EINVAL);
    assert_file_untouched(&image);
    image_free(&image);
}

static void check_read_only(const BlockDriver *drv, unsigned open_flags)
{
    Image image = image_new(drv, open_flags);
    const unsigned flags[] = { 0, BDRV_REQ_FUA, BDRV_REQ_MAY_UNMAP };

    g_assert_true(bdrv_is_read_only(image.bs));
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_assert_cmpint(bdrv_pwrite(image.bs, 5000, "x", 1, flags[i]), ==, -EPERM);
        g_assert_cmpint(bdrv_pwrite_zeroes(image.bs, 5000, 512, flags[i]), ==, -EPERM);
    }
    g_assert_cmpint(bdrv_pdiscard(image.bs, 0, SIZE), ==, -EPERM);
    g_assert_false(bdrv_truncate(image.bs, 2 * SIZE, NULL));
    g_assert_cmpint(bdrv_flush(image.bs), ==, 0);
    assert_file_untouched(&image);
    image_free(&image);
}

static void test_read_only(const void *drv)
{
    check_read_only(drv, 0);
    check_read_only(drv, BDRV_O_UNMAP);
}

static void test_zero_length(const void *drv)
{
    const int64_t offsets[] = { 0, 1, 512, 5000, SIZE - 1, SIZE };
    Image image = image_new(drv, BDRV_O_RDWR | BDRV_O_UNMAP);
    struct iovec iov[] = { { NULL, 0 }, { NULL, 0 } };

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        g_assert_cmpint(bdrv_pread(image.bs, offsets[i], NULL, 0, 0), ==, 0);
        g_assert_cmpint(bdrv_pwrite(image.bs, offsets[i], NULL, 0, 0), ==, 0);
        g_assert_cmpint(bdrv_preadv(image.bs, offsets[i], NULL, 0, 0), ==, 0);
        g_assert_cmpint(bdrv_preadv(image.bs, offsets[i], iov, 2, 0), ==, 0);
        g_assert_cmpint(bdrv_pwritev(image.bs, offsets[i], iov, 2, 0), ==, 0);
        g_assert_cmpint(bdrv_pwrite_zeroes(image.bs, offsets[i], 0, 0), ==, 0);
        g_assert_cmpint(bdrv_pdiscard(image.bs, offsets[i], 0), ==, 0);
    }
    assert_file_untouched(&image);
    image_free(&image);
}

static void test_zero_length_status(const void *drv)
{
    const int64_t offsets[] = { 0, 1, 512, 5000, 5120, SIZE - 1, SIZE };
    Image image = image_new(drv, 0);
    BlockStatus st;

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        g_assert_cmpint(bdrv_block_status(image.bs, offsets[i], 0, 0, &st), ==, 0);
        g_assert_cmpint(st.bytes, ==, 0);
    }
    image_free(&image);
}

/* More pieces than the kernel takes at once, of all small lengths */
static void test_many_iovecs(const void *drv)
{
    enum { PIECES = 5000 };
    Image image = image_new(drv, BDRV_O_RDWR);
    g_autofree struct iovec *iov = g_new(struct iovec, PIECES);
    uint8_t out[4 * PIECES], in[4 * PIECES], want[4 * PIECES] = { 0 };
    int64_t bytes = 0;

    kit_fill(out, 0, sizeof(out), 8);
    for (int i = 0; i < PIECES; i++) {
        iov[i] = (struct iovec) { out + bytes, (size_t)(i % 5) };
        bytes += i % 5;
    }
    g_assert_cmpint(bdrv_pwritev(image.bs, 60001, iov, PIECES, 0), ==, 0);
    for (int i = 0; i < PIECES; i++) {
        iov[i].iov_base = in + ((uint8_t *)iov[i].iov_base - out);
    }
    g_assert_cmpint(bdrv_preadv(image.bs, 60001, iov, PIECES, 0), ==, 0);
    kit_assert_same(in, image.recipe->forgets ? want : out, bytes, 60001);
    image_free(&image);
}

/* Every driver: options */

/* An item of a list stands for the list */
static void assert_lists(const char *text, const BlockOption *options)
{
    for (const BlockOption *opt = options; opt && opt->name; opt++) {
        if (!strstr(text, opt->name)) {
            g_error("'%s' does not name '%s'", text, opt->name);
        }
    }
}

static void test_unknown_open_option(const void *data)
{
    const BlockDriver *drv = data;
    Image image = image_new(drv, 0);
    g_autofree char *sound = open_options(image.recipe), *options = g_strconcat(sound, ",no-such-thing=1", NULL);
    GError *err = NULL;

    g_assert_null(bdrv_open(image.recipe->create ? image.medium.file : NULL, options, BDRV_O_NO_LOCK, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
    g_assert_nonnull(strstr(bdrv_error_message(err), "no-such-thing"));
    assert_lists(bdrv_error_message(err), drv->open_options);
    bdrv_error_free(err);
    image_free(&image);
}

static void test_unknown_create_option(const void *data)
{
    const BlockDriver *drv = data;
    g_autofree char *options = g_strdup_printf("driver=%s,size=1M,no-such-thing=1", drv->name);
    Medium medium = medium_on_file("new");
    GError *err = NULL;

    if (!drv->create || !drv->create_options) {
        g_test_skip("creates nothing");
    } else {
        g_assert_false(bdrv_create(medium.file, options, &err));
        g_assert_nonnull(strstr(bdrv_error_message(err), "no-such-thing"));
        assert_lists(bdrv_error_message(err), drv->create_options);
        g_assert_false(g_file_test(medium.file, G_FILE_TEST_EXISTS));
        bdrv_error_free(err);
    }
    medium_clear(&medium);
}

static void test_bad_create_leaves_file(const void *data)
{
    static const char *const bad[] = { "size=1M,no-such-thing=1", "size=x", "size=-1", "size=1M,size=" };
    const BlockDriver *drv = data;
    Image image = image_new(drv, 0);

    for (size_t i = 0; drv->create && image.recipe->create && i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *options = g_strdup_printf("driver=%s,%s", drv->name, bad[i]);
        GError *err = NULL;

        g_assert_false(bdrv_create(image.medium.file, options, &err));
        g_assert_nonnull(err);
        bdrv_error_free(err);
        assert_file_untouched(&image);
    }
    image_free(&image);
}

/* Flags: how often is the storage flushed? */

typedef struct Flushed {
    Medium medium;
    BlockDriverState *bs;
} Flushed;

static Flushed flushed_open(const char *create, const char *open, unsigned flags)
{
    Flushed f = { .medium = medium_on_disk() };

    medium_create(&f.medium, create);
    f.bs = medium_open(&f.medium, open, BDRV_O_RDWR | flags);
    f.medium.disk->flushes = 0;
    return f;
}

static void flushed_close(Flushed *f)
{
    g_assert_cmpint(bdrv_close(f->bs), ==, 0);
    medium_clear(&f->medium);
}

/* Is all that was written on stable storage now? */
static bool is_stable(Flushed *f)
{
    unsigned before = f->medium.disk->flushes;

    g_assert_cmpint(bdrv_flush(f->bs), ==, 0);
    return f->medium.disk->flushes == before;
}

static const char *const stores[][2] = {
    { "driver=vpc,size=1M,block_size=64k", "driver=vpc" },
    { "driver=vpc,size=1M,subformat=fixed", "driver=vpc" },
    { "driver=raw,size=1M", "driver=raw" },
    { "driver=raw,size=1M", "driver=mem" },
    { "driver=raw,size=1M", "driver=blkdebug" },
};

static void test_fua(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = flushed_open(stores[i][0], stores[i][1], 0);

        g_assert_cmpint(bdrv_pwrite(f.bs, 0, "x", 1, BDRV_REQ_FUA), ==, 0);
        g_assert_cmpuint(f.medium.disk->flushes, >, 0);
        g_assert_true(is_stable(&f));
        g_assert_cmpint(bdrv_pwrite_zeroes(f.bs, 0, 1, BDRV_REQ_FUA), ==, 0);
        g_assert_true(is_stable(&f));
        flushed_close(&f);
    }
}

static void test_no_fua(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = flushed_open(stores[i][0], stores[i][1], 0);

        g_assert_cmpint(bdrv_flush(f.bs), ==, 0);
        g_assert_cmpint(bdrv_pwrite(f.bs, 0, "x", 1, 0), ==, 0);
        g_assert_false(is_stable(&f));
        flushed_close(&f);
    }
}

/* Others wrote to it, and were killed before they could flush */
static void test_first_flush_is_real(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = flushed_open(stores[i][0], stores[i][1], 0);

        g_assert_cmpint(rig_read(f.bs, 0, 4096), ==, 0);
        g_assert_false(is_stable(&f));
        g_assert_true(is_stable(&f));
        flushed_close(&f);
    }
}

static void test_close_is_a_flush(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = flushed_open(stores[i][0], stores[i][1], 0);

        g_assert_cmpint(bdrv_close(f.bs), ==, 0);
        g_assert_cmpuint(f.medium.disk->flushes, >, 0);
        medium_clear(&f.medium);
    }
}

/* It may be tried again, and only then is there nothing to do */
static void test_first_flush_that_failed(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = flushed_open(stores[i][0], stores[i][1], 0);

        f.medium.disk->flush_errno = EIO;
        g_assert_cmpint(bdrv_flush(f.bs), ==, -EIO);
        f.medium.disk->flush_errno = 0;
        g_assert_false(is_stable(&f));
        g_assert_true(is_stable(&f));
        flushed_close(&f);
    }
}

/* Nobody promised anything about it */
static void test_readers_do_not_flush(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = { .medium = medium_on_disk() };

        medium_create(&f.medium, stores[i][0]);
        f.medium.disk->flushes = 0;
        f.bs = medium_open(&f.medium, stores[i][1], 0);
        g_assert_cmpint(bdrv_flush(f.bs), ==, 0);
        g_assert_cmpint(bdrv_close(f.bs), ==, 0);
        g_assert_cmpuint(f.medium.disk->flushes, ==, 0);
        medium_clear(&f.medium);
    }
}

static void test_writethrough(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = flushed_open(stores[i][0], stores[i][1], BDRV_O_WRITETHROUGH | BDRV_O_UNMAP);

        g_assert_cmpint(bdrv_pwrite(f.bs, 0, "xyz", 3, 0), ==, 0);
        g_assert_true(is_stable(&f));
        g_assert_cmpint(bdrv_pwrite_zeroes(f.bs, 0, 1, 0), ==, 0);
        g_assert_true(is_stable(&f));
        g_assert_cmpint(bdrv_pdiscard(f.bs, 0, 512), ==, 0);
        g_assert_true(is_stable(&f));
        flushed_close(&f);
    }
}

/* Closes @bs */
static void check_no_fallback(BlockDriverState *bs, int expected)
{
    g_autofree uint8_t *want = g_malloc(SIZE), *got = g_malloc(SIZE);

    kit_fill(want, 0, SIZE, 1);
    g_assert_cmpint(bdrv_pwrite(bs, 0, want, SIZE, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 4096, 8192, BDRV_REQ_NO_FALLBACK), ==, expected);
    if (!expected) {
        memset(want + 4096, 0, 8192);
    }
    g_assert_cmpint(bdrv_pread(bs, 0, got, SIZE, 0), ==, 0);
    kit_assert_same(got, want, SIZE, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void test_no_fallback_memory(void)
{
    GError *err = NULL;

    check_no_fallback(bdrv_open(NULL, "driver=raw,file.driver=mem,file.size=1M", BDRV_O_RDWR, &err), 0);
    g_assert_no_error(err);
}

/* A program's storage has no zeroes but those that are written */
static void test_no_fallback_storage(void)
{
    Medium medium = medium_on_disk();

    medium_create(&medium, "driver=raw,size=1M");
    check_no_fallback(medium_open(&medium, "driver=raw", BDRV_O_RDWR), -ENOTSUP);
    medium_clear(&medium);
}

static void test_no_flush(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stores); i++) {
        Flushed f = flushed_open(stores[i][0], stores[i][1], BDRV_O_NO_FLUSH);

        g_assert_cmpint(bdrv_pwrite(f.bs, 0, "x", 1, BDRV_REQ_FUA), ==, 0);
        g_assert_cmpint(bdrv_flush(f.bs), ==, 0);
        g_assert_cmpuint(f.medium.disk->flushes, ==, 0);
        flushed_close(&f);
    }
}

/* Without BDRV_O_UNMAP a discard is nothing, not even a write */
static void test_discard_without_unmap(void)
{
    Flushed f = flushed_open("driver=raw,size=1M", "driver=raw", 0);

    f.medium.disk->writes = 0;
    g_assert_cmpint(bdrv_pdiscard(f.bs, 0, MIB), ==, 0);
    g_assert_cmpuint(f.medium.disk->writes, ==, 0);
    flushed_close(&f);
}

/* Neighbours: requests that share a unit of the storage, but no byte */

enum { SLOT = 100, SLOTS = 400, WRITERS = 8, ROUNDS = 30, REGION = SLOT * SLOTS };

typedef struct Writer {
    BlockDriverState *bs;
    int number;
    pthread_t thread;
} Writer;

static bool is_zero_slot(int slot, int round)
{
    return (slot + round) % 7 == 0;
}

static void write_slot(Writer *writer, int slot, int round)
{
    uint8_t buf[SLOT];
    int ret;

    if (is_zero_slot(slot, round)) {
        ret = bdrv_pwrite_zeroes(writer->bs, slot * SLOT, SLOT, 0);
    } else {
        kit_fill(buf, slot * SLOT, SLOT, (unsigned)round + 1);
        ret = bdrv_pwrite(writer->bs, slot * SLOT, buf, SLOT, 0);
    }
    g_assert_cmpint(ret, ==, 0);
}

static void *write_slots(void *data)
{
    Writer *writer = data;

    for (int round = 0; round < ROUNDS; round++) {
        for (int slot = writer->number; slot < SLOTS; slot += WRITERS) {
            write_slot(writer, slot, round);
        }
    }
    return NULL;
}

static void check_slots(BlockDriverState *bs)
{
    uint8_t got[REGION], want[REGION];

    for (int slot = 0; slot < SLOTS; slot++) {
        if (is_zero_slot(slot, ROUNDS - 1)) {
            memset(want + slot * SLOT, 0, SLOT);
        } else {
            kit_fill(want + slot * SLOT, slot * SLOT, SLOT, ROUNDS);
        }
    }
    g_assert_cmpint(bdrv_pread(bs, 0, got, REGION, 0), ==, 0);
    kit_assert_same(got, want, REGION, 0);
}

static void check_neighbours(const char *create, const char *options, unsigned flags)
{
    Medium medium = medium_on_file("image");
    Writer writers[WRITERS];
    GError *err = NULL;

    medium_create(&medium, create);
    BlockDriverState *bs = medium_try_open(&medium, options, BDRV_O_RDWR | flags, &err);
    if (!bs) {
        g_test_skip(bdrv_error_message(err));
        bdrv_error_free(err);
        return;
    }
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (Writer) { .bs = bs, .number = i };
        g_assert_cmpint(pthread_create(&writers[i].thread, NULL, write_slots, &writers[i]), ==, 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    check_slots(bs);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_neighbours_direct(void)
{
    check_neighbours("driver=raw,size=1M", "driver=raw", BDRV_O_NOCACHE);
}

static void test_neighbours_aligned(void)
{
    check_neighbours("driver=raw,size=1M", "driver=blkdebug,align=4096", 0);
}

static void test_neighbours_aligned_vpc(void)
{
    check_neighbours("driver=vpc,size=1M,block_size=4k", "driver=vpc,file.driver=blkdebug,file.align=512", 0);
}

/* An aligned write must not run between the reading and the writing of somebody's read-modify-write,
 * whose other end is in the same unit */
typedef struct Edge {
    BlockDriverState *bs;
    int rounds;
} Edge;

static void *write_edges(void *data)
{
    Edge *edge = data;
    uint8_t buf[4096 + 100];

    for (int i = 0; i < edge->rounds; i++) {
        memset(buf, i + 1, sizeof(buf));
        g_assert_cmpint(bdrv_pwrite(edge->bs, 4096 - 100, buf, sizeof(buf), 0), ==, 0);
    }
    return NULL;
}

static void test_zero_beside_rmw(void)
{
    enum { TIMES = 2000 };
    Medium medium = medium_on_file("image");
    uint8_t byte;
    pthread_t thread;

    medium_create(&medium, "driver=raw,size=1M");
    Edge edge = { medium_open(&medium, "driver=blkdebug,align=4096", BDRV_O_RDWR), TIMES };
    g_assert_cmpint(pthread_create(&thread, NULL, write_edges, &edge), ==, 0);
    for (int i = 0; i < TIMES; i++) {
        g_assert_cmpint(bdrv_pwrite(edge.bs, 0, "x", 1, 0), ==, 0);
        g_assert_cmpint(bdrv_pwrite_zeroes(edge.bs, 0, 100, 0), ==, 0);
        g_assert_cmpint(bdrv_pread(edge.bs, 0, &byte, 1, 0), ==, 0);
        g_assert_cmphex(byte, ==, 0);
    }
    pthread_join(thread, NULL);
    g_assert_cmpint(bdrv_close(edge.bs), ==, 0);
    medium_clear(&medium);
}

/* Errors and warnings */

static Image failing_image(const char *options)
{
    static const Recipe recipe = { "blkdebug", "driver=raw,size=1M", "driver=blkdebug" };
    Image image = { .recipe = &recipe, .medium = medium_on_file("image") };

    medium_create(&image.medium, recipe.create);
    image.bs = medium_open(&image.medium, options, BDRV_O_RDWR);
    return image;
}

static void test_no_errors(void)
{
    Image image = failing_image("driver=blkdebug");
    BlockInfo *info = bdrv_get_info(image.bs, NULL);

    g_assert_cmpuint(info->io_errors, ==, 0);
    g_assert_null(info->io_operation);
    bdrv_info_free(info);
    image_free(&image);
}

static void test_first_error_is_kept(void)
{
    Image image = failing_image("driver=blkdebug,inject-error.0.iotype=read,inject-error.0.errno=28,"
                                "inject-error.0.sector=9,inject-error.1.iotype=flush,inject-error.1.once=on");
    uint8_t buf[512];

    g_assert_cmpint(bdrv_pread(image.bs, 4608, buf, 512, 0), ==, -ENOSPC);
    g_assert_cmpint(bdrv_flush(image.bs), ==, -EIO);
    BlockInfo *info = bdrv_get_info(image.bs, NULL);
    g_assert_cmpuint(info->io_errors, ==, 2);
    g_assert_cmpint(info->io_errno, ==, ENOSPC);
    g_assert_cmpint(info->io_offset, ==, 4608);
    g_assert_cmpstr(info->io_operation, ==, "read");
    bdrv_info_free(info);
    image_free(&image);
}

/* A BAT entry that points far past the end */
static void break_block(const Medium *medium, int block)
{
    const uint8_t entry[4] = { 0x00, 0x12, 0x34, 0x56 };
    uint8_t bat[8];

    medium_read(medium, 512 + 16, bat, sizeof(bat));
    medium_write(medium, (int64_t)be64_load(bat) + 4 * block, entry, sizeof(entry));
}

static void test_warning_explains_error(void)
{
    Medium medium = medium_on_disk();
    uint8_t byte;

    medium_create(&medium, "driver=vpc,size=64M");
    break_block(&medium, 3);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", 0);
    g_assert_null(bdrv_get_warning(bs, 0));
    g_assert_cmpint(bdrv_pread(bs, 3 * 2 * MIB, &byte, 1, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(bs, 3 * 2 * MIB, &byte, 1, 0), ==, -EIO);
    g_assert_nonnull(strstr(bdrv_get_warning(bs, 0), "block 3"));
    g_assert_null(bdrv_get_warning(bs, 1));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_one_bad_block_costs_one_block(void)
{
    Medium medium = medium_on_disk();
    uint8_t byte;

    medium_create(&medium, "driver=vpc,size=64M");
    break_block(&medium, 3);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_pwrite(bs, 3 * 2 * MIB, "x", 1, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pwrite(bs, 2 * 2 * MIB, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 4 * 2 * MIB, &byte, 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    g_assert_true(vhd_ends_well(&medium));
    medium_clear(&medium);
}

/* A bitmap of several sectors: the bits of sectors 4095 and 4096 are the last of one and the first of the
 * next */
static void test_bits_in_two_sectors(void)
{
    enum { EDGE = 4096 * 512 };
    Medium medium = medium_on_disk();
    uint8_t entry[4], out[1024], in[1024];

    medium_create(&medium, "driver=vpc,size=16M,block_size=16M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_pwrite(bs, 0, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_read(&medium, 1536, entry, sizeof(entry));
    medium_write(&medium, (int64_t)be32_load(entry) * 512 + 511, "\0\0", 2);

    bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    kit_fill(out, EDGE - 512, sizeof(out), 1);
    g_assert_cmpint(bdrv_pwrite(bs, EDGE - 512, out, sizeof(out), 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&medium, "driver=vpc", 0);
    g_assert_cmpint(bdrv_pread(bs, EDGE - 512, in, sizeof(in), 0), ==, 0);
    kit_assert_same(in, out, sizeof(in), EDGE - 512);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* Room for the BAT and two or three of sixteen bitmaps; each time one other block is read in between */
static void test_tables_wanted_often_stay(void)
{
    Medium medium = medium_on_disk();
    uint8_t byte;

    medium_create(&medium, "driver=vpc,size=1M,block_size=64k");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    for (int64_t at = 0; at < MIB; at += 65536) {
        g_assert_cmpint(bdrv_pwrite(bs, at, "x", 1, 0), ==, 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&medium, "driver=vpc,metadata-cache-size=2k", 0);
    g_assert_cmpint(bdrv_pread(bs, 0, &byte, 1, 0), ==, 0);
    for (int64_t at = 65536; at < MIB; at += 65536) {
        unsigned before = medium.disk->reads;

        g_assert_cmpint(bdrv_pread(bs, 0, &byte, 1, 0), ==, 0);
        g_assert_cmpuint(medium.disk->reads - before, ==, 1);
        g_assert_cmpint(bdrv_pread(bs, at, &byte, 1, 0), ==, 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* Parents */

/* A disk of 1 MiB, its child, which has something at 0 only, and that one's child, which has nothing */
typedef struct Family {
    Medium base, middle, top;
} Family;

static void write_one(const Medium *medium, int64_t offset, const char *byte)
{
    BlockDriverState *bs = medium_open(medium, "driver=vpc", BDRV_O_RDWR);

    g_assert_cmpint(bdrv_pwrite(bs, offset, byte, 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static Family family_new(const char *block_size)
{
    Family f = { medium_on_file("base"), medium_on_file("middle"), medium_on_file("top") };
    g_autofree char *middle = g_strdup_printf("driver=vpc,backing_file=base,block_size=%s", block_size);

    medium_create(&f.base, "driver=vpc,size=1M");
    medium_create(&f.middle, middle);
    medium_create(&f.top, "driver=vpc,backing_file=middle");
    write_one(&f.base, MIB / 2, "b");
    write_one(&f.middle, 0, "m");
    return f;
}

static void family_free(Family *f)
{
    medium_clear(&f->base);
    medium_clear(&f->middle);
    medium_clear(&f->top);
}

static char read_one(BlockDriverState *bs, int64_t offset)
{
    char byte = 0;

    g_assert_cmpint(bdrv_pread(bs, offset, &byte, 1, 0), ==, 0);
    return byte;
}

/* The middle one keeps no tables in memory, and fails after some reads of them; to ask it takes two */
static void test_parent_without_it_is_asked_once(void)
{
    Family f = family_new("2M");
    g_autofree char *options = g_strdup_printf("driver=vpc,backing.metadata-cache-size=0,backing.file.driver=blkdebug,"
                                               "backing.file.inject-error.0.iotype=read,"
                                               "backing.file.inject-error.0.skip=50,"
                                               "backing.file.image.filename=%s", f.middle.file);
    BlockDriverState *bs = medium_open(&f.top, options, 0);

    for (int i = 0; i < 100; i++) {
        g_assert_cmpint(read_one(bs, MIB / 2), ==, 'b');
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    family_free(&f);
}

/* What is looked at around a read is no reason for it to fail, and a block that can't be found is not taken to be
 * the parent's */
static void test_parent_with_a_bad_block(void)
{
    Family f = family_new("4k");
    char byte;

    break_block(&f.middle, 0);
    write_one(&f.base, 8192, "c");
    BlockDriverState *bs = medium_open(&f.top, "driver=vpc", 0);
    g_assert_cmpint(read_one(bs, 8192), ==, 'c');
    g_assert_cmpint(bdrv_pread(bs, 0, &byte, 1, 0), ==, -EIO);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    family_free(&f);
}

/* Where nothing failed there is no error to ask */
static void test_no_error(void)
{
    g_assert_cmpstr(bdrv_error_message(NULL), ==, "no error");
    g_assert_cmpint(bdrv_error_code(NULL), ==, 0);
    bdrv_error_free(NULL);
}

/* An error that is not the library's has a text, and a code that is none of success */
static void test_foreign_error(void)
{
    GError *err = g_error_new(G_FILE_ERROR, 0, "from elsewhere");

    g_assert_cmpstr(bdrv_error_message(err), ==, "from elsewhere");
    g_assert_cmpint(bdrv_error_code(err), ==, EIO);
    bdrv_error_free(err);
}

/* A caller that asks for no error after a success, as after a failure, may print it */
static void test_error_of_success(void)
{
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(NULL, "driver=null,size=1M", 0, &err);

    g_assert_nonnull(bs);
    g_assert_cmpstr(bdrv_error_message(err), ==, "no error");
    g_assert_cmpint(bdrv_error_code(err), ==, 0);
    bdrv_error_free(err);
    bdrv_close(bs);
}

/* Creating */

static void check_create_refuses(const char *options, int code)
{
    g_autofree char *path = kit_path("new");
    GError *err = NULL;

    g_assert_false(bdrv_create(path, options, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    bdrv_error_free(err);
}

/* The last locator's name is at @at */
static void add_locator(const Medium *medium, int64_t at)
{
    uint8_t header[1024];
    uint32_t sum = 0;

    medium_read(medium, 512, header, sizeof(header));
    memcpy(header + 576 + 7 * 24, "MacX", 4);
    be32_store(header + 576 + 7 * 24 + 4, 512);
    be32_store(header + 576 + 7 * 24 + 8, 16);
    be64_store(header + 576 + 7 * 24 + 16, (uint64_t)at);
    be32_store(header + 36, 0);
    for (size_t i = 0; i < sizeof(header); i++) {
        sum += header[i];
    }
    be32_store(header + 36, ~sum);
    medium_write(medium, 512, header, sizeof(header));
}

static void test_no_block_on_locator_in_footer(void)
{
    Medium medium = medium_on_disk();
    uint8_t got;

    medium_create(&medium, "driver=vpc,size=64k,block_size=512");
    add_locator(&medium, medium_size(&medium) - 512);
    for (int i = 0; i < 2; i++) {
        BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);

        g_assert_cmpint(bdrv_pwrite(bs, 512 * i, "x", 1, 0), ==, 0);
        g_assert_cmpint(bdrv_pread(bs, 0, &got, 1, 0), ==, 0);
        g_assert_cmpint(got, ==, 'x');
        g_assert_cmpint(bdrv_close(bs), ==, 0);
    }
    medium_clear(&medium);
}

/* It is not inside the file, as long as that does not grow */
static void test_no_block_on_locator_past_end(void)
{
    Medium medium = medium_on_disk();

    medium_create(&medium, "driver=vpc,size=64k,block_size=512");
    add_locator(&medium, medium_size(&medium) + 4096);
    for (int i = 0; i < 2; i++) {
        BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
        uint8_t got = 0;

        for (int block = 0; block < 16; block++) {
            bool put = bdrv_pwrite(bs, 512 * block, "x", 1, 0) == 0;

            g_assert_cmpint(put, ==, block < 4);
            g_assert_cmpint(bdrv_pread(bs, 512 * block, &got, 1, 0), ==, 0);
            g_assert_cmpint(got, ==, put ? 'x' : 0);
        }
        g_assert_cmpint(bdrv_close(bs), ==, 0);
    }
    medium_clear(&medium);
}

/* By its geometry, the disk ends before its last blocks */
static void test_stands_alone_with_blocks_past_the_end(void)
{
    Medium medium = medium_on_disk();
    uint8_t got;

    medium_create(&medium, "driver=vpc,size=64k,block_size=4k");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_pwrite(bs, 65535, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);

    bs = medium_open(&medium, "driver=vpc,force_size_calc=chs", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_getlength(bs), ==, 34816);
    g_assert_true(bdrv_rebase(bs, NULL, NULL, NULL));
    g_assert_cmpint(bdrv_close(bs), ==, 0);

    bs = medium_open(&medium, "driver=vpc", 0);
    g_assert_cmpint(bdrv_pread(bs, 65535, &got, 1, 0), ==, 0);
    g_assert_cmpint(got, ==, 'x');
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_create_too_large(void)
{
    check_create_refuses("driver=vpc,size=2041G", EFBIG);
    check_create_refuses("driver=vpc,size=2190433320961", EFBIG);       /* 2040 GiB and a byte */
    check_create_refuses("driver=vpc,size=2041G,subformat=fixed,for=hyper-v", EFBIG);
    check_create_refuses("driver=vpc,size=8E", EINVAL);
}

static void test_create_bad_options(void)
{
    check_create_refuses("driver=vpc", EINVAL);
    check_create_refuses("driver=vpc,size=1M,block_size=1000", EINVAL);
    check_create_refuses("driver=vpc,size=1M,block_size=256", EINVAL);
    check_create_refuses("driver=vpc,size=1M,uuid=x", EINVAL);
    check_create_refuses("driver=vpc,size=1M,file.no-such-thing=1", EINVAL);
}

static void test_create_largest(void)
{
    Medium medium = medium_on_file("image");

    medium_create(&medium, "driver=vpc,size=2040G");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_getlength(bs), ==, 2040LL << 30);
    g_assert_cmpint(bdrv_pwrite(bs, (2040LL << 30) - 1, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_assert_sound(&medium);
    medium_clear(&medium);
}

/* Nothing in it takes time or memory by the length of the image, which may be as long as a bad header says */
static void test_cow_of_any_length(void)
{
    static const char options[] = "driver=cow,file.driver=null,file.size=1k,backing.driver=raw,"
                                  "backing.file.driver=null,backing.file.size=%s";
    g_autofree char *long_one = g_strdup_printf(options, "0x7fffffffc0000000");
    g_autofree char *too_long = g_strdup_printf(options, "0x7ffffffffffffc00");
    BlockDriverState *bs = bdrv_open(NULL, long_one, BDRV_O_RDWR, NULL);
    BlockStatus st;
    GError *err = NULL;

    g_assert_nonnull(bs);
    g_assert_cmpint(bdrv_pwrite(bs, bdrv_getlength(bs) - 1, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_block_status(bs, 0, bdrv_getlength(bs), 0, &st), ==, 0);
    g_assert_false(st.here);
    g_assert_cmpint(bdrv_block_status(bs, bdrv_getlength(bs) - 4096, 4096, 0, &st), ==, 0);
    g_assert_true(st.here);
    g_assert_cmpint(bdrv_close(bs), ==, 0);

    g_assert_null(bdrv_open(NULL, too_long, BDRV_O_RDWR, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, EFBIG);
    bdrv_error_free(err);
}

static void add_driver_tests(void)
{
    static const struct { const char *name; GTestDataFunc func; } tests[] = {
        { "outside", test_outside },
        { "bad-iovecs", test_bad_iovecs },
        { "read-only", test_read_only },
        { "zero-length", test_zero_length },
        { "zero-length-status", test_zero_length_status },
        { "many-iovecs", test_many_iovecs },
        { "unknown-open-option", test_unknown_open_option },
        { "unknown-create-option", test_unknown_create_option },
        { "bad-create-leaves-file", test_bad_create_leaves_file },
    };

    for (const BlockDriver *drv = NULL; (drv = bdrv_next_driver(drv));) {
        if (g_str_has_prefix(drv->name, "host_") || !strcmp(drv->name, "nbd") || !strcmp(drv->name, "split")) {
            continue;           /* devices: tests/tools/in-place.py; the others: interop/nbd.py, images/split.py */
        }
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path = g_strdup_printf("/layer/%s/%s", drv->name, tests[i].name);

            g_test_add_data_func(path, drv, tests[i].func);
        }
    }
}

/* bdrv_copy() */

static BlockDriverState *open_raw(const Medium *medium)
{
    medium_create(medium, "driver=raw,size=2M");
    return medium_open(medium, "driver=raw", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
}

static void test_copy_part(void)
{
    const BlockCopyOptions opts = { .from_offset = 70000, .to_offset = 1000, .bytes = 300001 };
    Medium a = medium_on_disk(), b = medium_on_disk();
    BlockDriverState *from = open_raw(&a), *to = open_raw(&b);
    g_autofree uint8_t *want = g_malloc0(SIZE), *got = g_malloc(SIZE);
    GError *err = NULL;

    kit_fill(got, 0, SIZE, 1);
    g_assert_cmpint(bdrv_pwrite(from, 0, got, SIZE, 0), ==, 0);
    memcpy(want + opts.to_offset, got + opts.from_offset, (size_t)opts.bytes);
    g_assert_true(bdrv_copy(from, to, &opts, &err));
    g_assert_cmpint(bdrv_pread(to, 0, got, SIZE, 0), ==, 0);
    kit_assert_same(got, want, SIZE, 0);
    g_assert_cmpint(bdrv_close(from), ==, 0);
    g_assert_cmpint(bdrv_close(to), ==, 0);
    medium_clear(&a);
    medium_clear(&b);
}

static void test_copy_out_of_range(void)
{
    static const BlockCopyOptions bad[] = {
        { .from_offset = -1 }, { .from_offset = SIZE + 1 }, { .bytes = -1 }, { .bytes = SIZE + 1 },
        { .from_offset = 1, .bytes = SIZE }, { .from_offset = INT64_MAX, .bytes = INT64_MAX },
        { .to_offset = -1, .bytes = 1 }, { .to_offset = 2 * SIZE, .bytes = 1 }, { .to_offset = SIZE + 1 },
        { .to_offset = INT64_MAX, .bytes = SIZE },
    };
    Medium a = medium_on_disk(), b = medium_on_disk();
    g_autofree uint8_t *bytes = g_malloc(2 * SIZE);

    medium_create(&a, "driver=raw,size=1M");
    BlockDriverState *from = medium_open(&a, "driver=raw", BDRV_O_RDWR), *to = open_raw(&b);

    kit_fill(bytes, 0, SIZE, 1);
    g_assert_cmpint(bdrv_pwrite(from, 0, bytes, SIZE, 0), ==, 0);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *err = NULL;

        g_assert_false(bdrv_copy(from, to, &bad[i], &err));
        g_assert_cmpint(bdrv_error_code(err), ==, bad[i].to_offset ? ENOSPC : EINVAL);
        bdrv_error_free(err);
        g_assert_cmpint(bdrv_pread(to, 0, bytes, 2 * SIZE, 0), ==, 0);
        g_assert_true(kit_is_zero(bytes, 2 * SIZE));
    }
    bdrv_close(from);
    bdrv_close(to);
    medium_clear(&a);
    medium_clear(&b);
}

/* "DOING OFFSET+BYTES ERRNO;" of all that could not be read */
static void note_loss(void *user, const char *doing, int64_t offset, int64_t bytes, int err)
{
    g_string_append_printf(user, "%s %" PRId64 "+%" PRId64 " %d;", doing, offset, bytes, err);
}

#define UNREADABLE(what, n) "driver=blkdebug,inject-error.0.event=none,inject-error.0.iotype=" what \
    ",inject-error.0.sector=" #n ",inject-error.0.errno=5"

/* @lost: from there on 512 bytes are zero; -1: none */
static void check_salvage(const char *options, const char *told, int64_t lost)
{
    g_autoptr(GString) losses = g_string_new(NULL);
    const BlockCopyOptions opts = { .salvage = note_loss, .user = losses, .workers = 4 };
    Medium a = medium_on_disk(), b = medium_on_disk();
    g_autofree uint8_t *want = g_malloc(2 * SIZE), *got = g_malloc(2 * SIZE);
    GError *err = NULL;

    kit_fill(want, 0, 2 * SIZE, 1);
    medium_create(&a, "driver=raw,size=2M");
    medium_write(&a, 0, want, 2 * SIZE);
    BlockDriverState *from = medium_open(&a, options, 0), *to = open_raw(&b);

    g_assert_true(bdrv_copy(from, to, &opts, &err));
    g_assert_cmpstr(losses->str, ==, told);
    if (lost >= 0) {
        memset(want + lost, 0, 512);
    }
    g_assert_cmpint(bdrv_pread(to, 0, got, 2 * SIZE, 0), ==, 0);
    kit_assert_same(got, want, 2 * SIZE, 0);
    bdrv_close(from);
    bdrv_close(to);
    medium_clear(&a);
    medium_clear(&b);
}

static void test_salvage_data(void)
{
    check_salvage(UNREADABLE("read", 3000), "reading 1536000+512 5;", 1536000);
}

static void test_salvage_status(void)
{
    check_salvage(UNREADABLE("block-status", 10), "reading block status 5120+512 5;", -1);
}

static void test_version(void)
{
    int major, minor, micro;

    g_assert_cmpstr(bdrv_version(), ==, MINIBLK_VERSION);
    g_assert_cmpint(bdrv_version_number(), ==, MINIBLK_VERSION_NUMBER);
    g_assert_cmpint(sscanf(bdrv_version(), "%d.%d.%d", &major, &minor, &micro), ==, 3);
    g_assert_cmpint(bdrv_version_number(), ==, (major * 1000 + minor) * 1000 + micro);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    add_driver_tests();
    g_test_add_func("/flags/fua", test_fua);
    g_test_add_func("/flags/no-fua", test_no_fua);
    g_test_add_func("/flags/first-flush-is-real", test_first_flush_is_real);
    g_test_add_func("/flags/close-is-a-flush", test_close_is_a_flush);
    g_test_add_func("/flags/first-flush-that-failed", test_first_flush_that_failed);
    g_test_add_func("/flags/readers-do-not-flush", test_readers_do_not_flush);
    g_test_add_func("/flags/writethrough", test_writethrough);
    g_test_add_func("/flags/no-flush", test_no_flush);
    g_test_add_func("/flags/no-fallback-needed", test_no_fallback_memory);
    g_test_add_func("/flags/no-fallback-wanted", test_no_fallback_storage);
    g_test_add_func("/flags/discard-without-unmap", test_discard_without_unmap);
    g_test_add_func("/neighbours/direct", test_neighbours_direct);
    g_test_add_func("/neighbours/aligned", test_neighbours_aligned);
    g_test_add_func("/neighbours/aligned-vpc", test_neighbours_aligned_vpc);
    g_test_add_func("/neighbours/zero-beside-rmw", test_zero_beside_rmw);
    g_test_add_func("/errors/none", test_no_errors);
    g_test_add_func("/errors/first-is-kept", test_first_error_is_kept);
    g_test_add_func("/errors/warning-explains", test_warning_explains_error);
    g_test_add_func("/errors/one-bad-block-costs-one-block", test_one_bad_block_costs_one_block);
    g_test_add_func("/blocks/bits-in-two-sectors", test_bits_in_two_sectors);
    g_test_add_func("/blocks/tables-wanted-often-stay", test_tables_wanted_often_stay);
    g_test_add_func("/parents/without-it-is-asked-once", test_parent_without_it_is_asked_once);
    g_test_add_func("/parents/with-a-bad-block", test_parent_with_a_bad_block);
    g_test_add_func("/blocks/not-on-a-locator-in-the-footer", test_no_block_on_locator_in_footer);
    g_test_add_func("/blocks/not-on-a-locator-past-the-end", test_no_block_on_locator_past_end);
    g_test_add_func("/blocks/stands-alone-with-some-past-the-end", test_stands_alone_with_blocks_past_the_end);
    g_test_add_func("/no-error/texts", test_no_error);
    g_test_add_func("/no-error/foreign", test_foreign_error);
    g_test_add_func("/no-error/of-a-success", test_error_of_success);
    g_test_add_func("/create/too-large", test_create_too_large);
    g_test_add_func("/create/bad-options", test_create_bad_options);
    g_test_add_func("/create/largest", test_create_largest);
    g_test_add_func("/cow/of-any-length", test_cow_of_any_length);
    g_test_add_func("/copy/a-part", test_copy_part);
    g_test_add_func("/copy/out-of-range", test_copy_out_of_range);
    g_test_add_func("/copy/salvages-data", test_salvage_data);
    g_test_add_func("/copy/salvages-what-has-no-status", test_salvage_status);
    g_test_add_func("/version/is-that-of-the-header", test_version);
    return kit_run();
}
