/* reopen.c - bdrv_set_read_only(): an open image turns read only, and back, and nothing is lost when that fails */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SIZE = 4 * MIB, BLOCK = 64 * KIB, OLD = 3, NEW = 5,
       CURRENT_SIZE = 48, CHECKSUM = 64 };      /* fields of a footer */

/* What an image is made and opened with */
typedef struct Image {
    const char *name, *create, *open;
    unsigned flags;
    bool disk;                  /* in storage of the program's, not in a file */
} Image;

static const Image images[] = {
    { "raw", "driver=raw", "driver=raw" },
    { "direct", "driver=raw", "driver=raw", BDRV_O_NOCACHE },
    { "window", "driver=raw", "driver=raw,offset=512,size=4193792" },
    { "fixed", "driver=vpc,subformat=fixed", "driver=vpc" },
    { "dynamic", "driver=vpc,block_size=64k", "driver=vpc" },
    { "dynamic-direct", "driver=vpc,block_size=64k", "driver=vpc", BDRV_O_NOCACHE },
    { "through", "driver=vpc,block_size=64k", "driver=vpc", BDRV_O_WRITETHROUGH },
    { "storage", "driver=vpc,block_size=64k", "driver=vpc", 0, true },
    { "storage-raw", "driver=raw", "driver=raw", 0, true },
    { "blkdebug", "driver=vpc,block_size=64k", "driver=vpc,file.driver=blkdebug", 0, true },
    { "format-over-format", "driver=vpc,block_size=64k", "driver=raw,file.driver=vpc", 0, true },
    { "scratch", "driver=vpc,block_size=64k", "driver=vpc", BDRV_O_SNAPSHOT },
};

static Medium make(const Image *image)
{
    Medium medium = image->disk ? medium_on_disk() : medium_on_file("image");
    g_autofree char *options = g_strdup_printf("%s,size=%d", image->create, SIZE);

    medium_create(&medium, options);
    return medium;
}

static int write_at(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned stamp)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    kit_fill(buf, offset, bytes, stamp);
    return bdrv_pwrite(bs, offset, buf, bytes, 0);
}

static void expect_at(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned stamp)
{
    g_autofree uint8_t *want = g_malloc((gsize)bytes), *got = g_malloc((gsize)bytes);

    kit_fill(want, offset, bytes, stamp);
    g_assert_cmpint(bdrv_pread(bs, offset, got, bytes, 0), ==, 0);
    kit_assert_same(got, want, bytes, offset);
}

static void turn(BlockDriverState *bs, bool read_only)
{
    GError *err = NULL;

    if (!bdrv_set_read_only(bs, read_only, &err)) {
        g_error("%s: %s", read_only ? "to read only" : "for writing", bdrv_error_message(err));
    }
    g_assert_true(bdrv_is_read_only(bs) == read_only);
}

/* Expect that @bs can't turn, for a reason that @text is a part of, and is as it was */
static void refuse(BlockDriverState *bs, bool read_only, int code, const char *text)
{
    GError *err = NULL;

    g_assert_false(bdrv_set_read_only(bs, read_only, &err));
    if (!strstr(bdrv_error_message(err), text) || bdrv_error_code(err) != code) {
        g_error("\"%s\" (%d), should be \"%s\" (%d)", bdrv_error_message(err), bdrv_error_code(err), text, code);
    }
    bdrv_error_free(err);
    g_assert_true(bdrv_is_read_only(bs) == !read_only);
}

/* Each kind of image */

static void expect_read_only(BlockDriverState *bs)
{
    g_assert_cmpint(write_at(bs, 0, 512, NEW), ==, -EPERM);
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, 512, 0), ==, -EPERM);
    g_assert_cmpint(bdrv_pdiscard(bs, 0, 512), ==, -EPERM);
    g_assert_false(bdrv_truncate(bs, SIZE, NULL));
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
}

static void test_image(const void *data)
{
    const Image *image = data;
    Medium medium = make(image);
    bool scratch = image->flags & BDRV_O_SNAPSHOT;
    BlockDriverState *bs = medium_open(&medium, image->open, image->flags | (scratch ? BDRV_O_RDWR : 0));
    const int64_t all = bdrv_getlength(bs);

    turn(bs, true);
    expect_read_only(bs);
    for (unsigned i = 0; i < 4; i++) {
        turn(bs, false);
        g_assert_cmpint(write_at(bs, i * 3 * BLOCK, BLOCK + 100, OLD + i), ==, 0);
        turn(bs, true);
        turn(bs, true);
        expect_read_only(bs);
        for (unsigned j = 0; j <= i; j++) {
            expect_at(bs, j * 3 * BLOCK, BLOCK + 100, OLD + j);
        }
        g_assert_cmpint(bdrv_getlength(bs), ==, all);
    }
    g_assert_null(bdrv_get_warning(bs, 0));
    int64_t before = medium_size(&medium);

    g_assert_cmpint(before, <=, SIZE + 512);                /* no room is left in it */
    turn(bs, false);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    g_assert_cmpint(medium_size(&medium), ==, before);
    bs = medium_open(&medium, image->open, image->flags & ~(unsigned)BDRV_O_SNAPSHOT);
    for (unsigned i = 0; i < 4 && !scratch; i++) {
        expect_at(bs, i * 3 * BLOCK, BLOCK + 100, OLD + i);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_child(void)
{
    Medium parent = medium_on_disk(), child = medium_on_disk();
    BlockDriverState *bs, *below;
    GError *err = NULL;

    medium_create(&parent, "driver=vpc,block_size=64k,size=4M");
    below = medium_open(&parent, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(write_at(below, 0, 4 * BLOCK, OLD), ==, 0);
    g_assert_cmpint(bdrv_close(below), ==, 0);
    below = medium_open(&parent, "driver=vpc", 0);
    const BlockStorage storage = disk_storage(child.disk);
    const BlockCreateArgs args = { .storage = &storage, .options = "driver=vpc", .backing = below };

    if (!bdrv_create_with(&args, &err)) {
        g_error("%s", bdrv_error_message(err));
    }
    g_assert_cmpint(bdrv_close(below), ==, 0);
    DiskParent found = { parent.disk, "vpc" };
    const BlockStorage top = disk_storage(child.disk);
    const BlockResolver resolver = { &found, medium_find_parent };
    const BlockOpenArgs open = { .storage = &top, .options = "driver=vpc", .resolver = &resolver };

    bs = bdrv_open_with(&open, &err);
    g_assert_cmpstr(bdrv_error_message(err), ==, "no error");
    expect_at(bs, 0, 4 * BLOCK, OLD);
    turn(bs, false);
    g_assert_cmpint(write_at(bs, BLOCK, 512, NEW), ==, 0);
    turn(bs, true);
    expect_at(bs, BLOCK, 512, NEW);
    expect_at(bs, BLOCK + 512, BLOCK, OLD);
    g_assert_true(bdrv_is_read_only(bdrv_get_backing(bs)));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&parent);
    medium_clear(&child);
}

/* What was remembered of a chain of images that nobody writes to is forgotten */
static void test_shortcuts(void)
{
    char *names[4];
    GError *err = NULL;
    BlockDriverState *bs;

    for (int i = 0; i < 4; i++) {
        g_autofree char *name = g_strdup_printf("chain%d.vhd", i);
        g_autofree char *options = i ? g_strdup_printf("driver=vpc,backing_file=chain%d.vhd,backing_fmt=vpc", i - 1)
                                     : g_strdup("driver=vpc,block_size=64k,size=4M");

        names[i] = kit_path(name);
        if (!bdrv_create(names[i], options, &err)) {
            g_error("%s: %s", options, bdrv_error_message(err));
        }
    }
    bs = bdrv_open(names[0], "driver=vpc", BDRV_O_RDWR, NULL);
    g_assert_cmpint(write_at(bs, 0, BLOCK, OLD), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = bdrv_open(names[3], "driver=vpc", 0, NULL);
    expect_at(bs, 0, 512, OLD);
    expect_at(bs, 0, 512, OLD);
    turn(bs, false);
    g_assert_cmpint(write_at(bs, 0, 512, NEW), ==, 0);
    turn(bs, true);
    expect_at(bs, 0, 512, NEW);
    expect_at(bs, 512, 512, OLD);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    for (int i = 0; i < 4; i++) {
        g_unlink(names[i]);
        g_free(names[i]);
    }
}

/* Refused */

typedef struct Refusal {
    const char *name, *create, *open;
    unsigned flags;
    int code;
    const char *text;
} Refusal;

static const Refusal refusals[] = {
    { "option", "driver=vpc", "driver=vpc,read-only=on", BDRV_O_RDWR, EACCES, "read-only=on of driver 'vpc'" },
    { "option-below", "driver=vpc", "driver=vpc,file.read-only=on", 0, EACCES, "read-only=on of driver 'file'" },
    { "share", "driver=vpc", "driver=vpc,force-share=on", 0, EINVAL, "force-share=on" },
    { "share-flag", "driver=vpc", "driver=vpc", BDRV_O_NO_LOCK, EINVAL, "force-share=on" },
    { "guess", "driver=vpc,subformat=fixed", "", BDRV_O_PROBE, EACCES, "probably 'vpc'" },
    { "guess-as-qemu", "driver=raw", "", BDRV_O_PROBE_QEMU, EACCES, "probably 'raw'" },
    { "check", "driver=vpc", "driver=vpc", BDRV_O_CHECK, ENOTSUP, "open to be checked" },
    { "salvage", "driver=vpc", "driver=vpc,salvage=on", 0, EACCES, "salvage=on" },
    { "no-log", "driver=raw", "driver=raw,file.driver=blklogwrites,file.log.filename=log", 0, ENOTSUP,
      "has no log open" },
};

static void test_refusal(const void *data)
{
    const Refusal *r = data;
    Medium medium = medium_on_file("image");
    g_autofree char *options = g_strdup_printf("%s,size=%d", r->create, SIZE);

    medium_create(&medium, options);
    BlockDriverState *bs = medium_open(&medium, r->open, r->flags);

    refuse(bs, false, r->code, r->text);
    refuse(bs, false, r->code, r->text);
    turn(bs, true);             /* that it is */
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* A certain guess is as good as a name */
static void test_certain_guess(void)
{
    Medium medium = medium_on_file("image");

    medium_create(&medium, "driver=vpc,size=4M");
    BlockDriverState *bs = medium_open(&medium, "", BDRV_O_PROBE);

    turn(bs, false);
    g_assert_cmpint(write_at(bs, 0, 512, NEW), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_read_only_storage(void)
{
    Disk *disk = disk_new();
    BlockStorage storage = disk_storage(disk);
    GError *err = NULL;

    disk_truncate(disk, SIZE);
    storage.write = NULL;
    BlockDriverState *bs = bdrv_open_storage(&storage, "driver=raw", 0, &err);

    refuse(bs, false, EACCES, "storage is read-only");
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    disk_free(disk);
}

static void seal(uint8_t *footer)
{
    uint32_t sum = 0;

    memset(footer + CHECKSUM, 0, 4);
    for (int i = 0; i < 512; i++) {
        sum += footer[i];
    }
    for (int i = 0; i < 4; i++) {
        footer[CHECKSUM + i] = (uint8_t)(~sum >> (24 - 8 * i));
    }
}

/* The image may be read, and not written to: the protocol goes back */
static void test_damaged(void)
{
    Medium medium = medium_on_file("image");
    uint8_t footer[512];

    medium_create(&medium, "driver=vpc,size=4M");
    medium_read(&medium, 0, footer, sizeof(footer));
    footer[CURRENT_SIZE + 6] ^= 2;
    seal(footer);
    medium_write(&medium, 0, footer, sizeof(footer));
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", 0);

    for (int i = 0; i < 2; i++) {
        refuse(bs, false, EINVAL, "differ");
        BlockDriverState *other = medium_open(&medium, "driver=vpc", 0);    /* the lock is a reader's */

        g_assert_cmpint(bdrv_close(other), ==, 0);
        g_assert_null(medium_try_open(&medium, "driver=raw", BDRV_O_RDWR, NULL));
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* Another program has written to it in spite of the lock, or where there is none */
static void test_changed_by_others(void)
{
    Medium medium = medium_on_disk();

    medium_create(&medium, "driver=vpc,size=4M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", 0);
    BlockDriverState *other = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);

    g_assert_true(bdrv_amend(other, "uuid=01234567-89ab-cdef-0123-456789abcdef", NULL));
    g_assert_cmpint(bdrv_close(other), ==, 0);
    refuse(bs, false, EAGAIN, "another program has changed the image");
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* Each request fails in turn */

typedef struct Flaky {
    Disk *disk;
    BlockStorage below;
    int reads_left;             /* so many reads work, and then one fails; -1: all work */
} Flaky;

static int flaky_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    Flaky *f = user;

    return f->reads_left >= 0 && f->reads_left-- == 0 ? -EIO : f->below.read(f->below.user, offset, buf, bytes);
}

static int flaky_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    const Flaky *f = user;

    return f->below.write(f->below.user, offset, buf, bytes);
}

static int flaky_flush(void *user)
{
    const Flaky *f = user;

    return f->below.flush(f->below.user);
}

static int flaky_truncate(void *user, int64_t size)
{
    const Flaky *f = user;

    return f->below.truncate(f->below.user, size);
}

static BlockDriverState *open_flaky(Flaky *f, Disk *disk, const char *options)
{
    GError *err = NULL;

    *f = (Flaky) { disk, disk_storage(disk), -1 };
    const BlockStorage storage = { disk->size, f, flaky_read, flaky_write, flaky_flush, flaky_truncate };
    BlockDriverState *bs = bdrv_open_storage(&storage, options, BDRV_O_RDWR, &err);

    g_assert_cmpstr(bdrv_error_message(err), ==, "no error");
    return bs;
}

/* Turn @bs while the request @at fails: the read, or the change. Return whether one failed */
static bool turn_in_trouble(BlockDriverState *bs, Flaky *f, bool reads, int at, bool read_only)
{
    Disk *disk = f->disk;
    GError *err = NULL;

    f->reads_left = reads ? at : -1;
    disk->run_after = disk->changes + (unsigned)at;
    disk->run = reads ? 0 : 1;
    unsigned failed = disk->run_failed;
    bool ok = bdrv_set_read_only(bs, read_only, &err);
    bool met = reads ? f->reads_left < 0 : disk->run_failed > failed;

    f->reads_left = -1;
    disk->run = 0;
    g_assert_true(ok || met);
    g_assert_true(bdrv_is_read_only(bs) == (ok ? read_only : !read_only));
    bdrv_error_free(err);
    turn(bs, read_only);
    return met;
}

static bool try_trouble(const Image *image, bool reads, int at)
{
    Medium medium = medium_on_disk();
    g_autofree char *options = g_strdup_printf("%s,size=%d", image->create, SIZE);
    Flaky f;

    medium_create(&medium, options);
    BlockDriverState *bs = open_flaky(&f, medium.disk, image->open);

    g_assert_cmpint(write_at(bs, 0, 2 * BLOCK, OLD), ==, 0);
    bool met = turn_in_trouble(bs, &f, reads, at, true);

    expect_at(bs, 0, 2 * BLOCK, OLD);
    met = turn_in_trouble(bs, &f, reads, at, false) || met;
    g_assert_cmpint(write_at(bs, BLOCK, BLOCK, NEW), ==, 0);
    g_assert_cmpint(write_at(bs, 5 * BLOCK, BLOCK, NEW), ==, 0);
    expect_at(bs, 0, BLOCK, OLD);
    expect_at(bs, BLOCK, BLOCK, NEW);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&medium, image->open, BDRV_O_RDWR);
    expect_at(bs, 0, BLOCK, OLD);
    expect_at(bs, BLOCK, BLOCK, NEW);
    expect_at(bs, 5 * BLOCK, BLOCK, NEW);
    g_assert_null(bdrv_get_warning(bs, 0));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
    return met;
}

static void test_trouble(const void *data)
{
    const Image *image = data;
    int reads = 0, changes = 0;

    while (try_trouble(image, true, reads)) {
        reads++;
    }
    while (try_trouble(image, false, changes)) {
        changes++;
    }
    g_test_message("%d reads, %d changes", reads, changes);
    g_assert_cmpint(changes, >, 0);
}

/* Threads */

enum { THREADS = 3, TURNS = 150, AREA = 8 * BLOCK };

typedef struct Worker {
    BlockDriverState *bs;
    int number;
    bool *stop;                 /* atomic */
    unsigned done, refused;
    uint8_t now[AREA];
} Worker;

static void *work(void *user)
{
    Worker *w = user;
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)w->number);
    uint8_t buf[2048], got[2048];

    while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
        int64_t in = g_rand_int_range(rand, 0, AREA - (int)sizeof(buf)), offset = (int64_t)w->number * AREA + in;

        kit_fill(buf, offset, sizeof(buf), w->done);
        int ret = bdrv_pwrite(w->bs, offset, buf, sizeof(buf), w->done % 16 ? 0 : BDRV_REQ_FUA);

        if (ret == 0) {
            memcpy(w->now + in, buf, sizeof(buf));
        } else {
            g_assert_cmpint(ret, ==, -EPERM);
            w->refused++;
        }
        g_assert_cmpint(bdrv_pread(w->bs, offset, got, sizeof(got), 0), ==, 0);
        kit_assert_same(got, w->now + in, sizeof(got), offset);
        g_assert_cmpint(bdrv_getlength(w->bs), ==, SIZE);
        (void)bdrv_is_read_only(w->bs);
        g_assert_cmpint(bdrv_flush(w->bs), ==, 0);
        w->done++;
    }
    return NULL;
}

static void test_threads(const void *data)
{
    const Image *image = data;
    Medium medium = make(image);
    g_autofree Worker *workers = g_new0(Worker, THREADS);
    pthread_t threads[THREADS];
    bool stop = false;
    BlockDriverState *bs = medium_open(&medium, image->open, BDRV_O_RDWR);

    for (int i = 0; i < THREADS; i++) {
        workers[i].bs = bs;
        workers[i].number = i;
        workers[i].stop = &stop;
        g_assert_cmpint(pthread_create(&threads[i], NULL, work, &workers[i]), ==, 0);
    }
    for (int i = 0; i < TURNS; i++) {
        turn(bs, i % 2 == 0);
        g_usleep(200);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&medium, image->open, 0);
    for (int i = 0; i < THREADS; i++) {
        g_autofree uint8_t *got = g_malloc(AREA);

        g_assert_cmpint(bdrv_pread(bs, (int64_t)i * AREA, got, AREA, 0), ==, 0);
        kit_assert_same(got, workers[i].now, AREA, (int64_t)i * AREA);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static const Image trouble[] = {
    { "raw", "driver=raw", "driver=raw" },
    { "fixed", "driver=vpc,subformat=fixed", "driver=vpc" },
    { "dynamic", "driver=vpc,block_size=64k", "driver=vpc" },
    { "dynamic-over-raw", "driver=vpc,block_size=64k", "driver=vpc,file.driver=raw" },
};

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
        g_autofree char *path = g_strconcat("/turn/", images[i].name, NULL);

        if (!(images[i].flags & BDRV_O_NOCACHE) || medium_has_direct()) {
            g_test_add_data_func(path, &images[i], test_image);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strconcat("/refused/", refusals[i].name, NULL);

        g_test_add_data_func(path, &refusals[i], test_refusal);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(trouble); i++) {
        g_autofree char *path = g_strconcat("/errors/", trouble[i].name, NULL);

        g_test_add_data_func(path, &trouble[i], test_trouble);
    }
    g_test_add_data_func("/threads/raw", &images[0], test_threads);
    g_test_add_data_func("/threads/dynamic", &images[4], test_threads);
    g_test_add_func("/turn/child", test_child);
    g_test_add_func("/turn/shortcuts", test_shortcuts);
    g_test_add_func("/turn/certain-guess", test_certain_guess);
    g_test_add_func("/refused/read-only-storage", test_read_only_storage);
    g_test_add_func("/refused/damaged", test_damaged);
    g_test_add_func("/refused/changed-by-others", test_changed_by_others);
    return kit_run();
}
