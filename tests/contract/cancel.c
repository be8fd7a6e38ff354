/* cancel.c - a program cancels a long call, whenever it is asked: nothing is lost, and the call can be made again */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <glib/gstdio.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SIZE = 8 * MIB, PARENT = 3, CHILD = 5, ALWAYS = 1 << 30 };

/* A program's answers: @left times true, then false */
typedef struct Patience {
    int left, asked, refused;
    int64_t last, total;
} Patience;

static bool ask(void *user, int64_t done, int64_t total)
{
    Patience *p = user;

    g_assert_cmpint(done, >=, 0);
    g_assert_cmpint(done, <=, total);
    g_assert_cmpint(p->refused, ==, 0);             /* no more is asked */
    p->last = done;
    p->total = total;
    p->asked++;
    if (p->left-- > 0) {
        return true;
    }
    p->refused++;
    return false;
}

/* Expect that @ok and @err are those of a call that @p has let be, or has cancelled. Eats @err */
static void expect_answer(const Patience *p, bool ok, GError *err, const char *name)
{
    if (p->refused) {
        g_assert_false(ok);
        g_assert_cmpint(bdrv_error_code(err), ==, ECANCELED);
        g_assert_nonnull(strstr(bdrv_error_message(err), name));
        g_assert_nonnull(strstr(bdrv_error_message(err), "was cancelled by the program"));
        bdrv_error_free(err);
    } else {
        g_assert_cmpstr(bdrv_error_message(err), ==, "no error");
        g_assert_true(ok);
    }
}

static void write_at(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned stamp)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    kit_fill(buf, offset, bytes, stamp);
    g_assert_cmpint(bdrv_pwrite(bs, offset, buf, bytes, 0), ==, 0);
}

static void expect_same(BlockDriverState *bs, const uint8_t *want)
{
    g_autofree uint8_t *got = kit_read_all(bs);

    kit_assert_same(got, want, bdrv_getlength(bs), 0);
}

/* A parent and its child, which are files */
typedef struct Family {
    Medium parent, child;
} Family;

static void fill(const Medium *medium, unsigned stamp, int64_t from)
{
    BlockDriverState *bs = medium_open(medium, "driver=vpc", BDRV_O_RDWR);

    for (int64_t at = from; at < SIZE; at += 2 * MIB) {
        write_at(bs, at, 64 * KIB, stamp);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static Family family_new(void)
{
    Family f = { medium_on_file("parent"), medium_on_file("child") };

    medium_create(&f.parent, "driver=vpc,size=8M,block_size=64k");
    fill(&f.parent, PARENT, 0);
    medium_create(&f.child, "driver=vpc,block_size=64k,backing_file=parent");
    fill(&f.child, CHILD, MIB);
    return f;
}

static void family_free(Family *f)
{
    vhd_assert_sound(&f->parent);
    vhd_assert_sound(&f->child);
    medium_clear(&f->parent);
    medium_clear(&f->child);
}

/* Make a call that is cancelled when it is asked for the first time, on the next image for the second, and so on (of
 * many moments, some), and one that is not. @call answers how often it was asked */
static void at_each_moment(int (*call)(int patience))
{
    int asked = call(ALWAYS);

    g_assert_cmpint(asked, >, 1);
    for (int patience = 0; patience < asked - 1; patience += 1 + asked / 16) {
        g_assert_cmpint(call(patience), ==, patience + 1);
    }
    g_assert_cmpint(call(asked - 1), ==, asked);
}

static int commit_once(int patience)
{
    Family f = family_new();
    Patience p = { patience }, rest = { ALWAYS };
    GError *err = NULL;
    BlockDriverState *bs = medium_open(&f.child, "driver=vpc,backing.read-only=off", BDRV_O_RDWR);
    g_autofree uint8_t *before = kit_read_all(bs);

    bool ok = bdrv_commit(bs, 1, ask, &p, &err);
    expect_answer(&p, ok, err, "commit");
    expect_same(bs, before);
    g_assert_true(bdrv_commit(bs, 1, ask, &rest, NULL));
    g_assert_cmpint(rest.last, ==, SIZE);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&f.parent, "driver=vpc", 0);
    expect_same(bs, before);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    family_free(&f);
    return p.asked;
}

static void test_commit(void)
{
    at_each_moment(commit_once);
}

static int rebase_once(int patience)
{
    Family f = family_new();
    Patience p = { patience };
    BlockRebaseOptions opts = { .progress = ask, .user = &p };
    GError *err = NULL;
    BlockDriverState *bs = medium_open(&f.child, "driver=vpc", BDRV_O_RDWR);
    g_autofree uint8_t *before = kit_read_all(bs);

    bool ok = bdrv_rebase(bs, NULL, &opts, &err);
    expect_answer(&p, ok, err, "rebase");
    expect_same(bs, before);
    g_assert_true((bdrv_get_backing(bs) != NULL) == !ok);
    write_at(bs, 0, KIB, CHILD);                    /* life goes on */
    kit_fill(before, 0, KIB, CHILD);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&f.child, "driver=vpc", BDRV_O_RDWR);
    expect_same(bs, before);
    g_assert_true(ok || bdrv_rebase(bs, NULL, NULL, NULL));
    expect_same(bs, before);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    family_free(&f);
    return p.asked;
}

static void test_rebase(void)
{
    at_each_moment(rebase_once);
}

static int copy_once(int patience)
{
    Medium a = medium_on_disk(), b = medium_on_disk();
    Patience p = { patience };
    BlockCopyOptions opts = { .workers = 1, .progress = ask, .user = &p };
    GError *err = NULL;

    medium_create(&a, "driver=vpc,size=8M,block_size=64k");
    fill(&a, PARENT, 0);
    medium_create(&b, "driver=vpc,size=8M,block_size=64k");
    BlockDriverState *from = medium_open(&a, "driver=vpc", 0), *to = medium_open(&b, "driver=vpc", BDRV_O_RDWR);
    g_autofree uint8_t *want = kit_read_all(from);
    bool ok = bdrv_copy(from, to, &opts, &err);

    expect_answer(&p, ok, err, "copy");
    g_assert_true(ok || bdrv_copy(from, to, NULL, NULL));
    expect_same(to, want);
    g_assert_cmpint(bdrv_close(from), ==, 0);
    g_assert_cmpint(bdrv_close(to), ==, 0);
    vhd_assert_sound(&b);
    medium_clear(&a);
    medium_clear(&b);
    return p.asked;
}

static void test_copy(void)
{
    at_each_moment(copy_once);
}

/* Workers that wait for their turn end, too, and nobody is asked again */
static void test_copy_workers(void)
{
    for (int patience = 0; patience < 30; patience += 3) {
        Medium a = medium_on_disk(), b = medium_on_disk();
        const char *create = patience % 2 ? "driver=vpc,size=16M" : "driver=raw,size=16M";
        Patience p = { patience };
        BlockCopyOptions opts = { .workers = 4, .progress = ask, .user = &p };

        medium_create(&a, "driver=raw,size=16M");
        medium_create(&b, create);
        BlockDriverState *from = medium_open(&a, "driver=raw", BDRV_O_RDWR);
        BlockDriverState *to = medium_open(&b, patience % 2 ? "driver=vpc" : "driver=raw", BDRV_O_RDWR);
        write_at(from, 0, 16 * MIB, PARENT);
        g_assert_false(bdrv_copy(from, to, &opts, NULL));
        g_assert_cmpint(p.refused, ==, 1);
        g_assert_cmpint(bdrv_close(from), ==, 0);
        g_assert_cmpint(bdrv_close(to), ==, 0);
        g_assert_true(patience % 2 == 0 || vhd_find_fault(&b) == NULL);
        medium_clear(&a);
        medium_clear(&b);
    }
}

/* @create makes an image of 1 MiB, which becomes one of @size bytes, with @how and the patience of its user */
static int resize_once(const char *create, const char *open, int64_t size, BlockPreallocation preallocation,
                       int patience)
{
    Medium medium = medium_on_disk();
    Patience p = { patience };
    const BlockResizeOptions how = { .preallocation = preallocation, .progress = ask, .user = &p };
    GError *err = NULL;

    medium_create(&medium, create);
    BlockDriverState *bs = medium_open(&medium, open, BDRV_O_RDWR);
    write_at(bs, 0, 300 * KIB, PARENT);
    int64_t was = bdrv_getlength(bs);
    g_autofree uint8_t *before = kit_read_all(bs);
    bool ok = bdrv_resize(bs, size, &how, &err);

    expect_answer(&p, ok, err, "resize");
    g_assert_cmpint(bdrv_getlength(bs), ==, ok ? size : was);
    g_assert_true(ok || bdrv_resize(bs, size, &(BlockResizeOptions) { .preallocation = preallocation }, NULL));
    g_assert_cmpint(bdrv_getlength(bs), ==, size);
    g_autofree uint8_t *after = kit_read_all(bs);
    kit_assert_same(after, before, MIN(was, size), 0);
    g_assert_true(size <= was || kit_is_zero(after + was, size - was));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    if (strstr(open, "vpc")) {
        vhd_assert_sound(&medium);
    }
    medium_clear(&medium);
    return p.asked;
}

static int preallocate_raw(int patience)
{
    return resize_once("driver=raw,size=1M", "driver=raw", 40 * MIB, BDRV_PREALLOC_FULL, patience);
}

static int preallocate_fixed(int patience)
{
    return resize_once("driver=vpc,subformat=fixed,size=1M,force_size=on", "driver=vpc", 40 * MIB,
                       BDRV_PREALLOC_FULL, patience);
}

/* The longer BAT has blocks in its way */
static int grow_dynamic(int patience)
{
    return resize_once("driver=vpc,size=1M,force_size=on,block_size=512", "driver=vpc", 2 * MIB,
                       BDRV_PREALLOC_OFF, patience);
}

static void test_preallocate_raw(void)
{
    at_each_moment(preallocate_raw);
}

static void test_preallocate_fixed(void)
{
    at_each_moment(preallocate_fixed);
}

static void test_grow(void)
{
    at_each_moment(grow_dynamic);
}

/* What comes after the change of length is no failure */
static void test_fill_gaps(void)
{
    Medium medium = medium_on_disk();
    Patience p = { 0 };
    const BlockResizeOptions how = { .progress = ask, .user = &p };

    medium_create(&medium, "driver=vpc,size=8M,block_size=64k");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    write_at(bs, 7 * MIB, MIB, PARENT);             /* the first blocks of the file go, */
    write_at(bs, 0, 256 * KIB, PARENT);             /* and these would go in their place */
    g_assert_true(bdrv_resize(bs, MIB, &how, NULL));
    g_assert_cmpint(p.refused, ==, 1);
    g_assert_cmpint(bdrv_getlength(bs), ==, MIB);
    g_assert_cmpstr(bdrv_get_warning_code(bs, 0), ==, "leftover");
    int64_t long_file = medium_size(&medium);
    g_assert_true(bdrv_resize(bs, MIB, NULL, NULL));
    g_assert_cmpint(medium_size(&medium), <, long_file);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_assert_sound(&medium);
    medium_clear(&medium);
}

/* Of a differencing disk: what the parent has behind the end is hidden */
static int grow_child_once(int patience)
{
    Family f = family_new();
    Patience p = { patience };
    const BlockResizeOptions how = { .progress = ask, .user = &p };
    GError *err = NULL;
    BlockDriverState *bs = medium_open(&f.child, "driver=vpc", BDRV_O_RDWR);

    g_assert_true(bdrv_truncate(bs, MIB, NULL));
    bool ok = bdrv_resize(bs, SIZE, &how, &err);
    expect_answer(&p, ok, err, "resize");
    g_assert_cmpint(bdrv_getlength(bs), ==, ok ? SIZE : MIB);
    g_assert_true(ok || bdrv_resize(bs, SIZE, NULL, NULL));
    g_autofree uint8_t *after = kit_read_all(bs);
    g_assert_true(kit_is_zero(after + MIB, SIZE - MIB));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    family_free(&f);
    return p.asked;
}

static void test_grow_child(void)
{
    at_each_moment(grow_child_once);
}

static int check_once(int patience)
{
    Medium medium = medium_on_disk();
    Patience p = { patience };
    GError *err = NULL;
    uint8_t junk[512] = { 1 };

    medium_create(&medium, "driver=vpc,size=8M,block_size=64k");
    fill(&medium, PARENT, 0);
    medium_write(&medium, medium_size(&medium) - 512, junk, 512);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_CHECK);
    BlockCheck *check = bdrv_check_telling(bs, BDRV_CHECK_FIX_ERRORS, ask, &p, &err);

    expect_answer(&p, check != NULL, err, "check");
    bdrv_check_free(check);
    check = bdrv_check(bs, BDRV_CHECK_FIX_ERRORS, NULL);
    g_assert_nonnull(check);
    g_assert_cmpint(check->corruptions, ==, 0);
    bdrv_check_free(check);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_assert_sound(&medium);
    medium_clear(&medium);
    return p.asked;
}

static void test_check(void)
{
    at_each_moment(check_once);
}

static int create_once(int patience)
{
    g_autofree char *path = kit_path("new");
    Patience p = { patience };
    const BlockCreateArgs args = {
        .filename = path, .options = "driver=raw,size=4M,preallocation=full", .progress = ask, .user = &p,
    };
    GError *err = NULL;
    bool ok = bdrv_create_with(&args, &err);

    expect_answer(&p, ok, err, "creation");
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS) == ok);
    g_assert_true(bdrv_create(path, args.options, NULL));
    g_remove(path);
    return p.asked;
}

static void test_create(void)
{
    at_each_moment(create_once);
}

/* A storage's own -ECANCELED is an error as others */
static int cancel_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    return -ECANCELED;
}

static void test_not_by_program(void)
{
    Disk *disk = disk_new();
    BlockStorage storage = disk_storage(disk);
    GError *err = NULL;
    Patience p = { ALWAYS };
    BlockCopyOptions opts = { .progress = ask, .user = &p };

    disk_truncate(disk, MIB);
    storage.size = MIB;
    storage.write = cancel_write;
    BlockDriverState *to = bdrv_open_storage(&storage, "driver=raw", BDRV_O_RDWR, NULL);
    BlockDriverState *from = bdrv_open(NULL, "driver=mem,size=1M", BDRV_O_RDWR, NULL);

    write_at(from, 0, MIB, PARENT);
    g_assert_false(bdrv_copy(from, to, &opts, &err));
    g_assert_null(strstr(bdrv_error_message(err), "by the program"));
    bdrv_error_free(err);
    g_assert_cmpint(bdrv_close(from), ==, 0);
    (void)bdrv_close(to);
    disk_free(disk);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/cancel/commit", test_commit);
    g_test_add_func("/cancel/rebase", test_rebase);
    g_test_add_func("/cancel/copy", test_copy);
    g_test_add_func("/cancel/copy-with-workers", test_copy_workers);
    g_test_add_func("/cancel/preallocate-raw", test_preallocate_raw);
    g_test_add_func("/cancel/preallocate-fixed", test_preallocate_fixed);
    g_test_add_func("/cancel/grow", test_grow);
    g_test_add_func("/cancel/grow-child", test_grow_child);
    g_test_add_func("/cancel/fill-gaps", test_fill_gaps);
    g_test_add_func("/cancel/check", test_check);
    g_test_add_func("/cancel/create", test_create);
    g_test_add_func("/cancel/not-by-the-program", test_not_by_program);
    return kit_run();
}
