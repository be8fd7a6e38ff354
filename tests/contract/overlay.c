/* overlay.c - a differencing image that is made over an open image, which may be in storage and have no name */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

#define PARENT "driver=vpc,size=8M,block_size=64k,geometry=10/4/17"

enum { KIB = 1 << 10, SIZE = 8 << 20, OLD = 3, NEW = 5 };

static void write_at(BlockDriverState *bs, int64_t offset, unsigned stamp)
{
    uint8_t buf[4 * KIB];

    kit_fill(buf, offset, sizeof(buf), stamp);
    g_assert_cmpint(bdrv_pwrite(bs, offset, buf, sizeof(buf), 0), ==, 0);
}

static void check_at(BlockDriverState *bs, int64_t offset, unsigned stamp)
{
    uint8_t buf[4 * KIB], want[4 * KIB];

    kit_fill(want, offset, sizeof(want), stamp);
    g_assert_cmpint(bdrv_pread(bs, offset, buf, sizeof(buf), 0), ==, 0);
    kit_assert_same(buf, want, sizeof(want), offset);
}

static bool create_over(const Medium *medium, const char *options, BlockDriverState *backing, GError **errp)
{
    BlockStorage storage;
    BlockCreateArgs args = { .filename = medium->file, .options = options, .backing = backing };

    if (medium->disk) {
        storage = disk_storage(medium->disk);
        args.storage = &storage;
    }
    return bdrv_create_with(&args, errp);
}

/* Open @child, whose parent only a resolver knows: the disk @parent */
static BlockDriverState *open_child(const Medium *child, Disk *parent, const char *driver)
{
    BlockStorage storage = disk_storage(child->disk);
    DiskParent known = { parent, driver };
    const BlockResolver resolver = { &known, medium_find_parent };
    const BlockOpenArgs args = {
        .storage = &storage, .options = "driver=vpc", .flags = BDRV_O_RDWR, .resolver = &resolver,
    };
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open_with(&args, &err);

    g_assert_cmpstr(bdrv_error_message(err), ==, "no error");
    return bs;
}

/* Both in the program's own storage: there is no name anywhere */
static void check_in_storage(const char *create, const char *driver)
{
    Medium parent = medium_on_disk(), child = medium_on_disk();
    g_autofree char *open = g_strdup_printf("driver=%s", driver);
    GError *err = NULL;

    medium_create(&parent, create);
    BlockDriverState *bs = medium_open(&parent, open, BDRV_O_RDWR);
    write_at(bs, 0, OLD);
    write_at(bs, 128 * KIB, OLD);
    g_assert_true(create_over(&child, "driver=vpc,block_size=64k", bs, &err));
    g_assert_cmpstr(bdrv_error_message(err), ==, "no error");
    check_at(bs, 0, OLD);                           /* it is still open */
    g_assert_cmpint(bdrv_close(bs), ==, 0);

    bs = open_child(&child, parent.disk, driver);
    g_assert_null(bdrv_get_warning(bs, 0));
    g_assert_cmpint(bdrv_getlength(bs), ==, SIZE);
    check_at(bs, 0, OLD);
    write_at(bs, 0, NEW);
    check_at(bs, 0, NEW);
    check_at(bs, 128 * KIB, OLD);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_assert_sound(&child);
    bs = medium_open(&parent, open, 0);
    check_at(bs, 0, OLD);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&parent);
    medium_clear(&child);
}

static void test_in_storage(void)
{
    check_in_storage("driver=vpc,size=8M,block_size=64k", "vpc");
}

static void test_over_raw(void)
{
    check_in_storage("driver=raw,size=8M", "raw");
}

/* Without a name, and without a resolver, it is not found; and a check of the child finds nothing else wrong */
static void test_nameless(void)
{
    Medium parent = medium_on_disk(), child = medium_on_disk();
    GError *err = NULL;

    medium_create(&parent, PARENT);
    BlockDriverState *bs = medium_open(&parent, "driver=vpc", 0);
    g_assert_true(create_over(&child, "driver=vpc", bs, NULL));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    g_assert_null(medium_try_open(&child, "driver=vpc", 0, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, ENOENT);
    bdrv_error_free(err);
    bs = medium_open(&child, "driver=vpc", BDRV_O_NO_BACKING);
    BlockInfo *info = bdrv_get_info(bs, NULL);
    g_assert_cmpstr(bdrv_info_find(info, "type")->text, ==, "differencing");
    g_assert_null(bdrv_info_find(info, "parent-name"));
    g_assert_null(bdrv_info_find(info, "parent-w2ru"));
    bdrv_info_free(info);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&child, "driver=vpc", BDRV_O_CHECK);
    BlockCheck *check = bdrv_check(bs, 0, NULL);
    for (int i = 0; i < check->count; i++) {        /* it does not ask a resolver */
        g_assert_true(check->findings[i].level == BLOCK_CHECK_NOTE || !strcmp(check->findings[i].code, "L2"));
    }
    bdrv_check_free(check);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&parent);
    medium_clear(&child);
}

/* A file is found by its name again, and an option gives it another one */
static void check_named(const char *options, const char *want)
{
    Medium parent = medium_on_file("parent"), child = medium_on_file("child");
    BlockGeometry geometry;

    medium_create(&parent, PARENT);
    BlockDriverState *bs = medium_open(&parent, "driver=vpc", BDRV_O_RDWR);
    write_at(bs, 0, OLD);
    g_assert_true(create_over(&child, options, bs, NULL));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&child, "driver=vpc,ignore-parent-id=off", BDRV_O_NO_BACKING);
    BlockInfo *info = bdrv_get_info(bs, NULL);
    g_assert_cmpstr(bdrv_info_find(info, "backing-filename")->text, ==, want);
    bdrv_info_free(info);
    g_assert_cmpint(bdrv_get_geometry(bs, &geometry), ==, 0);       /* it took after the parent */
    g_assert_cmpint(geometry.cylinders, ==, 10);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    if (!strcmp(want, "parent")) {
        bs = medium_open(&child, "driver=vpc", 0);
        check_at(bs, 0, OLD);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
    }
    medium_clear(&parent);
    medium_clear(&child);
}

static void test_file(void)
{
    check_named("driver=vpc", "parent");
}

static void test_named(void)
{
    check_named("driver=vpc,backing_file=elsewhere", "elsewhere");
}

static void expect_refused(const Medium *medium, const char *options, BlockDriverState *backing, int code)
{
    GError *err = NULL;

    g_assert_false(create_over(medium, options, backing, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    bdrv_error_free(err);
}

/* Nothing is written over the parent, or over what is behind it, by whatever way it is named */
static void test_not_over_itself(void)
{
    Medium parent = medium_on_disk(), child = medium_on_disk(), file = medium_on_file("file");

    medium_create(&parent, PARENT);
    BlockDriverState *bs = medium_open(&parent, "driver=vpc", 0);
    expect_refused(&parent, "driver=vpc", bs, EINVAL);
    g_assert_true(create_over(&child, "driver=vpc", bs, NULL));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = open_child(&child, parent.disk, "vpc");
    expect_refused(&parent, "driver=vpc", bs, EINVAL);
    expect_refused(&child, "driver=vpc", bs, EINVAL);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_create(&file, PARENT);
    bs = medium_open(&file, "driver=vpc,file.locking=off", 0);
    expect_refused(&file, "driver=vpc,file.locking=off", bs, EINVAL);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_assert_sound(&parent);
    vhd_assert_sound(&file);
    medium_clear(&parent);
    medium_clear(&child);
    medium_clear(&file);
}

static void test_refused(void)
{
    Medium parent = medium_on_disk(), child = medium_on_disk();

    medium_create(&parent, PARENT);
    BlockDriverState *bs = medium_open(&parent, "driver=vpc", 0);
    expect_refused(&child, "driver=raw,size=8M", bs, ENOTSUP);
    expect_refused(&child, "driver=vpc,subformat=fixed", bs, EINVAL);
    expect_refused(&child, "driver=vpc,backing_file=a,backing_fmt=vpc", bs, EINVAL);
    expect_refused(&child, "driver=vpc,backing_file=nbd://localhost", bs, EINVAL);
    g_assert_cmpint(medium_size(&child), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&parent);
    medium_clear(&child);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/overlay/in-storage", test_in_storage);
    g_test_add_func("/overlay/over-raw", test_over_raw);
    g_test_add_func("/overlay/nameless", test_nameless);
    g_test_add_func("/overlay/file", test_file);
    g_test_add_func("/overlay/named", test_named);
    g_test_add_func("/overlay/not-over-itself", test_not_over_itself);
    g_test_add_func("/overlay/refused", test_refused);
    return kit_run();
}
