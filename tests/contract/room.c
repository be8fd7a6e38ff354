/* room.c - new blocks of a VHD: a killed process loses none of them, and errors in a row leave nothing in them */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "kit.h"
#include "medium.h"

enum { KIB = 1 << 10, MIB = 1 << 20, WRITES = 20 };

/* A process that ends without closing the image */

typedef struct Killed {
    const char *name, *create, *open;
    int64_t stride;             /* of its writes */
    int64_t room;               /* the file has this length, with something else behind the image; 0: it grows */
    const char *cache;          /* mode; NULL: writeback */
} Killed;

static const Killed killed[] = {
    { "4k", "driver=vpc,size=16M,block_size=4k", "driver=vpc", 12 * KIB },
    { "2m", "driver=vpc,size=100M", "driver=vpc", 4 * MIB },
    { "second-room", "driver=vpc,size=400M", "driver=vpc", 20 * MIB },
    { "4k-disk", "driver=vpc,size=16M,block_size=4k", "driver=vpc,file.driver=blkdebug,file.align=4096", 12 * KIB },
    { "device", "driver=vpc,size=16M,block_size=64k", "driver=vpc,file.driver=raw,file.size=8M", 100 * KIB, 8 * MIB },
    { "fixed", "driver=vpc,size=1M,subformat=fixed", "driver=vpc", 50 * KIB },
    { "xen", "driver=vpc,size=100M,for=xen", "driver=vpc", 4 * MIB },
    { "raw", "driver=raw,size=1M", "driver=raw", 50 * KIB },
    { "child-killsafe", "driver=vpc,block_size=64k,backing_file=killed-parent", "driver=vpc", 100 * KIB, .cache = "killsafe" },
    { "child-writethrough", "driver=vpc,block_size=64k,backing_file=killed-parent", "driver=vpc", 100 * KIB,
      .cache = "writethrough" },
    { "child-flush-after", "driver=vpc,block_size=64k,backing_file=killed-parent", "driver=vpc,flush-after=4k", 100 * KIB },
};

static void write_and_die(const Medium *m, const Killed *k)
{
    unsigned flags = BDRV_O_RDWR;
    g_assert_true(!k->cache || bdrv_parse_cache_mode(k->cache, &flags));
    BlockDriverState *bs = medium_open(m, k->open, flags);
    uint8_t buf[4096];

    for (int i = 0; i < WRITES; i++) {
        kit_fill(buf, i * k->stride, sizeof(buf), 1);
        if (bdrv_pwrite(bs, i * k->stride, buf, sizeof(buf), 0) < 0) {
            _exit(1);
        }
        if (i == WRITES / 2 && bdrv_flush(bs) < 0) {
            _exit(2);
        }
    }
    raise(SIGKILL);
    _exit(3);
}

/* @tolerated: the code of a corruption that there may be; NULL: none */
static void assert_no_corruption(const Medium *m, const char *options, const char *tolerated)
{
    GError *err = NULL;
    BlockDriverState *bs = medium_open(m, options, BDRV_O_CHECK);
    BlockCheck *check = bdrv_check(bs, 0, &err);

    if (check) {
        for (int i = 0; i < check->count; i++) {
            const BlockFinding *f = &check->findings[i];

            if (f->level >= BLOCK_CHECK_CORRUPTION && g_strcmp0(f->code, tolerated)) {
                g_error("%s: %s", f->code, f->cases[0].text);
            }
        }
    } else {
        g_assert_cmpint(bdrv_error_code(err), ==, ENOTSUP);     /* raw */
    }
    bdrv_check_free(check);
    g_clear_error(&err);
    bdrv_close(bs);
}

static void test_killed(const void *data)
{
    const Killed *k = data;
    Medium m = medium_on_file("killed"), parent = medium_on_file("killed-parent");
    uint8_t want[4096], got[4096];
    int status;

    medium_create(&parent, "driver=vpc,size=4M");
    medium_create(&m, k->create);
    if (k->room) {
        g_autofree uint8_t *junk = g_malloc((gsize)k->room);
        int64_t size = medium_size(&m);

        kit_fill(junk, 0, k->room, 77);
        medium_write(&m, size, junk + size, k->room - size);
    }
    pid_t child = fork();

    if (child == 0) {
        write_and_die(&m, k);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
    assert_no_corruption(&m, k->open, NULL);
    BlockDriverState *bs = medium_open(&m, k->open, BDRV_O_RDWR);

    for (int i = 0; i < WRITES; i++) {
        kit_fill(want, i * k->stride, sizeof(want), 1);
        g_assert_cmpint(bdrv_pread(bs, i * k->stride, got, sizeof(got), 0), ==, 0);
        kit_assert_same(got, want, sizeof(got), i * k->stride);
        g_assert_cmpint(bdrv_pread(bs, i * k->stride + 4096, got, sizeof(got), 0), ==, 0);
        g_assert_true(kit_is_zero(got, sizeof(got)));
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&m);
    medium_clear(&parent);
}

/* Storage that fails several requests in a row */

typedef enum { WRITE_FAILS = 1, FLUSH_FAILS = 2, TRUNCATE_FAILS = 4 } Fails;

typedef struct Flaky {
    Disk *disk;
    unsigned which;             /* Fails */
    int skip, count;            /* of requests of these kinds: so many work, and then so many fail */
    bool torn;                  /* a write that fails has written its first half */
} Flaky;

static bool fails(Flaky *f, unsigned kind)
{
    if (!(f->which & kind) || f->skip-- > 0) {
        return false;
    }
    return f->count-- > 0;
}

static int flaky_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    disk_read(((Flaky *)user)->disk, offset, buf, bytes);
    return 0;
}

static int flaky_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    Flaky *f = user;
    bool bad = fails(f, WRITE_FAILS);

    if (!bad || f->torn) {
        disk_write(f->disk, offset, buf, bad ? bytes / 2 : bytes);
    }
    return bad ? -EIO : 0;
}

static int flaky_flush(void *user)
{
    return fails(user, FLUSH_FAILS) ? -EIO : 0;
}

static int flaky_truncate(void *user, int64_t size)
{
    Flaky *f = user;

    if (fails(f, TRUNCATE_FAILS)) {
        return -EIO;
    }
    disk_truncate(f->disk, size);
    return 0;
}

static BlockDriverState *flaky_open(Flaky *f, const char *options, unsigned flags)
{
    BlockStorage storage = { .size = f->disk->size, .user = f, .read = flaky_read, .write = flaky_write,
                             .flush = flaky_flush, .truncate = flaky_truncate };
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open_storage(&storage, options, flags, &err);

    g_assert_no_error(err);
    return bs;
}

static Flaky flaky_new(const char *create)
{
    Flaky f = { .disk = disk_new() };
    Medium m = { .disk = f.disk };

    medium_create(&m, create);
    return f;
}

/* What a guest sees of blocks of @block bytes, each zero or with its number in its first sector */
static void assert_only_own_bytes(BlockDriverState *bs, int64_t block)
{
    int64_t size = bdrv_getlength(bs);
    g_autofree uint8_t *buf = g_malloc((gsize)block);

    for (int64_t at = 0; at < size; at += block) {
        g_assert_cmpint(bdrv_pread(bs, at, buf, MIN(block, size - at), 0), ==, 0);
        for (int64_t i = 0; i < 512; i++) {
            g_assert_true(buf[i] == 0 || buf[i] == (uint8_t)(at / block + 1));
        }
        g_assert_true(kit_is_zero(buf + 512, MIN(block, size - at) - 512));
    }
}

static int write_block(BlockDriverState *bs, int64_t number, int64_t block)
{
    uint8_t sector[512];

    memset(sector, (int)(uint8_t)(number + 1), sizeof(sector));
    return bdrv_pwrite(bs, number * block, sector, sizeof(sector), 0);
}

typedef struct Errors {
    const char *name, *create;
    int64_t block;              /* of what is written at a time */
} Errors;

static const Errors errors[] = {
    { "dynamic", "driver=vpc,size=4M,block_size=64k", 64 * KIB },
    { "small-blocks", "driver=vpc,size=256k,block_size=4k", 4 * KIB },
    { "fixed", "driver=vpc,size=1M,subformat=fixed", 64 * KIB },
};

/* Errors in a row while the disk grows and is written to, then the storage is well again and life goes on */
static void try_grow(const Errors *e, unsigned which, int skip, int count, bool torn)
{
    Flaky f = flaky_new(e->create);
    BlockDriverState *bs = flaky_open(&f, "driver=vpc", BDRV_O_RDWR);
    int64_t size = bdrv_getlength(bs);

    f.which = which;
    f.skip = skip;
    f.count = count;
    f.torn = torn;
    (void)write_block(bs, 3, e->block);
    (void)bdrv_truncate(bs, size * 2, NULL);
    (void)write_block(bs, 5, e->block);
    (void)bdrv_truncate(bs, size, NULL);
    f.which = 0;
    g_assert_cmpint(write_block(bs, 7, e->block), ==, 0);
    g_assert_cmpint(write_block(bs, size / e->block - 1, e->block), ==, 0);
    g_assert_true(bdrv_truncate(bs, size * 4, NULL));
    for (int64_t i = 9; i < 13; i++) {
        g_assert_cmpint(write_block(bs, i, e->block), ==, 0);
    }
    assert_only_own_bytes(bs, e->block);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = flaky_open(&f, "driver=vpc", 0);
    g_assert_cmpstr(bdrv_get_warning(bs, 0), ==, NULL);
    assert_only_own_bytes(bs, e->block);
    bdrv_close(bs);
    disk_free(f.disk);
}

static void test_grow_through_errors(const void *data)
{
    for (unsigned which = 1; which < 8; which++) {
        for (int count = 1; count <= 6; count++) {
            for (int skip = 0; skip < 24; skip++) {
                try_grow(data, which, skip, count, false);
                try_grow(data, which, skip, count, true);
            }
        }
    }
}

/* The new footer could not be written, nor the file be cut again: it must end in a footer at last */
static void test_no_way_back(void)
{
    Flaky f = flaky_new("driver=vpc,size=4M,block_size=64k");
    BlockDriverState *bs = flaky_open(&f, "driver=vpc", BDRV_O_RDWR);

    f.which = WRITE_FAILS | TRUNCATE_FAILS;
    f.skip = 1;                 /* storage grows by truncate() before it is written to */
    f.count = 2;
    g_assert_cmpint(write_block(bs, 0, 64 * KIB), ==, -EIO);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = flaky_open(&f, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpstr(bdrv_get_warning(bs, 0), ==, NULL);
    bdrv_close(bs);
    disk_free(f.disk);
}

/* The same, and it stays so: close() has to say it */
static void test_close_says_so(void)
{
    Flaky f = flaky_new("driver=vpc,size=4M,block_size=64k");
    BlockDriverState *bs = flaky_open(&f, "driver=vpc", BDRV_O_RDWR);

    f.which = WRITE_FAILS | TRUNCATE_FAILS;
    f.skip = 1;
    f.count = 1000;
    g_assert_cmpint(write_block(bs, 0, 64 * KIB), ==, -EIO);
    g_assert_cmpint(bdrv_close(bs), ==, -EIO);
    disk_free(f.disk);
}

/* A parent is given up by name only, while errors come in a row: its bytes are there until that has succeeded */

static int first_byte(const Medium *m, int64_t at)
{
    BlockDriverState *bs = medium_open(m, "driver=vpc", 0);
    uint8_t byte;

    g_assert_cmpint(bdrv_pread(bs, at, &byte, 1, 0), ==, 0);
    g_assert_cmpstr(bdrv_get_warning(bs, 0), ==, NULL);
    bdrv_close(bs);
    return byte;
}

/* Return whether the change succeeded */
static bool try_alone(const char *iotype, int skip, int times)
{
    static const BlockRebaseOptions names_only = { .names_only = true };
    Medium m = medium_on_file("child");
    g_autofree char *open = g_strdup_printf("driver=vpc,file.driver=blkdebug,file.inject-error.0.iotype=%s,"
                                            "file.inject-error.0.event=none,file.inject-error.0.skip=%d,"
                                            "file.inject-error.0.times=%d", iotype, skip, times);

    medium_create(&m, "driver=vpc,block_size=16k,backing_file=base");
    BlockDriverState *bs = medium_open(&m, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_pwrite(bs, 512, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);

    bs = medium_open(&m, open, BDRV_O_RDWR);
    bool ok = bdrv_rebase(bs, NULL, &names_only, NULL);
    int closed = bdrv_close(bs), byte = first_byte(&m, 8 * KIB);
    if (closed == 0) {              /* else it may be either */
        g_assert_cmpint(byte, ==, ok ? 0 : 7);
    }
    g_assert_true(byte == 0 || byte == 7);
    g_assert_cmpint(first_byte(&m, 512), ==, 'x');
    assert_no_corruption(&m, "driver=vpc", closed == 0 ? NULL : "F3");     /* two footers that differ */
    medium_clear(&m);
    return ok;
}

static void test_alone_through_errors(void)
{
    static const char *const iotypes[] = { "write", "flush", "write-zeroes" };
    Medium base = medium_on_file("base");
    g_autofree uint8_t *buf = g_malloc(64 * KIB);
    int failed = 0;

    medium_create(&base, "driver=vpc,size=128k,block_size=16k");
    BlockDriverState *bs = medium_open(&base, "driver=vpc", BDRV_O_RDWR);
    memset(buf, 7, 64 * KIB);
    g_assert_cmpint(bdrv_pwrite(bs, 0, buf, 64 * KIB, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(iotypes); i++) {
        for (int skip = 0; skip < 12; skip++) {
            for (int times = 1; times <= 4; times++) {
                failed += !try_alone(iotypes[i], skip, times);
            }
        }
    }
    g_assert_cmpint(failed, >, 20);
    medium_clear(&base);
}

/* A flush is one flush of the file, whatever blocks are new */
static void test_flush_costs_one(void)
{
    Medium m = medium_on_disk();

    medium_create(&m, "driver=vpc,size=8M,block_size=16k");
    BlockDriverState *bs = medium_open(&m, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(write_block(bs, 0, 16 * KIB), ==, 0);
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    for (int i = 1; i < 100; i++) {
        unsigned before = m.disk->flushes;

        g_assert_cmpint(write_block(bs, i, 16 * KIB), ==, 0);
        g_assert_cmpint(bdrv_flush(bs), ==, 0);
        g_assert_cmpuint(m.disk->flushes, ==, before + 1);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&m);
}

/* "flush-after": how many flushes did the storage see? */

static void test_after_bytes(void)
{
    Medium m = medium_on_disk();
    uint8_t buf[4096] = { 1 };

    medium_create(&m, "driver=raw,size=1M");
    BlockDriverState *bs = medium_open(&m, "driver=raw,flush-after=64k", BDRV_O_RDWR);
    unsigned before = m.disk->flushes;

    for (int i = 0; i < 100; i++) {
        g_assert_cmpint(bdrv_pwrite(bs, i * 4 * KIB, buf, sizeof(buf), 0), ==, 0);
        g_assert_cmpint(bdrv_pread(bs, 0, buf, sizeof(buf), 0), ==, 0);
        g_assert_cmpuint(m.disk->flushes - before, ==, (i + 1) / 16);
    }
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    before = m.disk->flushes;
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, 60 * KIB, 0), ==, 0);
    g_assert_cmpuint(m.disk->flushes, ==, before);      /* counted from the flush on */
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, 4 * KIB, 0), ==, 0);
    g_assert_cmpuint(m.disk->flushes, ==, before + 1);

    m.disk->flush_errno = EIO;
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, 64 * KIB, 0), ==, 0);
    g_assert_cmpint(bdrv_flush(bs), ==, -EIO);          /* and the user is told by a flush of his own */
    m.disk->flush_errno = 0;
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    g_assert_cmpuint(m.disk->flushes, ==, before + 4);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&m);
}

/* A second is a long time for a test; it is slept, not measured: a slow machine flushes no less */
static void test_after_seconds(void)
{
    Medium m = medium_on_disk();
    uint8_t buf[512] = { 1 };

    medium_create(&m, "driver=raw,size=1M");
    BlockDriverState *bs = medium_open(&m, "driver=raw,flush-after=1s", BDRV_O_RDWR);
    unsigned before = m.disk->flushes;

    sleep(2);
    g_assert_cmpint(bdrv_pread(bs, 0, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpuint(m.disk->flushes, ==, before);      /* nothing was written */
    g_assert_cmpint(bdrv_pwrite(bs, 0, buf, sizeof(buf), 0), ==, 0);
    sleep(2);
    g_assert_cmpint(bdrv_pread(bs, 0, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpuint(m.disk->flushes, ==, before + 1);
    g_assert_cmpint(bdrv_pread(bs, 0, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpuint(m.disk->flushes, ==, before + 1);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&m);
}

static void test_after_what(void)
{
    static const char *const wrong[] = { "", "0", "0s", "s", "-1s", "5 s", "5m5", "5ss", "1.5s", "99999999999999999999s", "x" };
    Medium m = medium_on_disk();
    GError *err = NULL;

    medium_create(&m, "driver=raw,size=1M");
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *options = g_strdup_printf("driver=raw,flush-after=%s", wrong[i]);

        g_assert_null(medium_try_open(&m, options, BDRV_O_RDWR, &err));
        g_assert_nonnull(strstr(bdrv_error_message(err), "neither seconds, like 5s, nor bytes, like 16M"));
        g_clear_error(&err);
    }
    g_assert_null(medium_try_open(&m, "driver=raw,file.flush-after=5s", BDRV_O_RDWR, &err));
    g_assert_nonnull(strstr(bdrv_error_message(err), "to the topmost node only"));
    g_clear_error(&err);
    medium_clear(&m);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(killed); i++) {
        g_autofree char *name = g_strdup_printf("/killed/%s", killed[i].name);

        g_test_add_data_func(name, &killed[i], test_killed);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_autofree char *name = g_strdup_printf("/errors/grow/%s", errors[i].name);

        g_test_add_data_func(name, &errors[i], test_grow_through_errors);
    }
    g_test_add_func("/errors/no-way-back", test_no_way_back);
    g_test_add_func("/errors/close-says-so", test_close_says_so);
    g_test_add_func("/errors/alone", test_alone_through_errors);
    g_test_add_func("/flushes/one-each", test_flush_costs_one);
    g_test_add_func("/flush-after/bytes", test_after_bytes);
    g_test_add_func("/flush-after/seconds", test_after_seconds);
    g_test_add_func("/flush-after/what", test_after_what);
    return kit_run();
}
