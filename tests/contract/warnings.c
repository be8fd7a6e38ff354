/* warnings.c - warnings are data: a kind and a code for programs, a text for people */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "kit.h"
#include "medium.h"

enum { MIB = 1 << 20, SECTOR = 512 };

static void expect(BlockDriverState *bs, unsigned n, BlockWarningKind kind, const char *code, const char *part)
{
    BlockWarning got;

    g_assert_true(bdrv_get_warning_facts(bs, n, &got));
    g_assert_cmpint(got.kind, ==, kind);
    g_assert_cmpstr(got.code, ==, code);
    g_assert_nonnull(strstr(got.text, part));
    g_assert_true(bdrv_get_warning(bs, n) == got.text);
    g_assert_true(bdrv_get_warning_code(bs, n) == got.code);
}

static void expect_end(BlockDriverState *bs, unsigned n)
{
    BlockWarning got = { BDRV_WARNING_MORE, "", "" };

    g_assert_false(bdrv_get_warning_facts(bs, n, &got));
    g_assert_cmpint(got.kind, ==, 0);
    g_assert_null(got.code);
    g_assert_null(got.text);
    g_assert_null(bdrv_get_warning(bs, n));
    g_assert_null(bdrv_get_warning_code(bs, n));
}

static Medium make(const char *create)
{
    Medium medium = medium_on_disk();

    medium_create(&medium, create);
    return medium;
}

/* A fault that check has a code for: the footer at the end is gone */
static void test_fault(void)
{
    Medium medium = make("driver=vpc,size=8M");
    uint8_t junk[SECTOR] = { 1 };

    medium_write(&medium, medium_size(&medium) - SECTOR, junk, SECTOR);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", 0);
    expect(bs, 0, BDRV_WARNING_FAULT, "F2", "footer");
    expect_end(bs, 1);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_none(void)
{
    Medium medium = make("driver=vpc,size=8M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", 0);

    expect_end(bs, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_guess(void)
{
    Medium medium = make("driver=raw,size=1M");
    BlockDriverState *bs = medium_open(&medium, NULL, BDRV_O_PROBE_QEMU | BDRV_O_RDWR);

    expect(bs, 0, BDRV_WARNING_GUESS, "guess", "probing guessed raw");
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_ignored(void)
{
    Medium medium = make("driver=vpc,size=8M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc,file.discard=unmap", 0);

    expect(bs, 0, BDRV_WARNING_IGNORED, "ignored", "discard=");
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static int read_badly(void *user, int64_t offset, void *buf, int64_t bytes)
{
    return (int)bytes;
}

static void test_driver(void)
{
    const BlockStorage storage = { .size = MIB, .read = read_badly };
    BlockDriverState *bs = bdrv_open_storage(&storage, "driver=raw", 0, NULL);
    uint8_t byte;

    g_assert_cmpint(bdrv_pread(bs, 0, &byte, 1, 0), ==, -EIO);
    expect(bs, 0, BDRV_WARNING_DRIVER, "driver", "returned");
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* There are 64 at most, and the last one says that there were more */
static void test_more(void)
{
    BlockStorage storage = { .size = 100 * MIB, .read = read_badly };
    BlockDriverState *bs = bdrv_open_storage(&storage, "driver=raw", 0, NULL);
    g_autofree uint8_t *buf = g_malloc(MIB);

    for (int i = 1; i < 100; i++) {
        g_assert_cmpint(bdrv_pread(bs, 0, buf, i, 0), ==, -EIO);
    }
    expect(bs, 62, BDRV_WARNING_DRIVER, "driver", "returned");
    expect(bs, 63, BDRV_WARNING_MORE, "more", "more warnings");
    expect_end(bs, 64);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

typedef struct Told {
    int count;
    BlockWarningKind kind;
    char *code, *text;
} Told;

static void be_told(void *user, const BlockWarning *warning)
{
    Told *told = user;

    told->count++;
    told->kind = warning->kind;
    told->code = g_strdup(warning->code);
    told->text = g_strdup(warning->text);
}

/* Before there is a handle */
static void test_create(void)
{
    Disk *disk = disk_new();
    const BlockStorage storage = disk_storage(disk);
    Told told = { 0 };
    const BlockCreateArgs args = {
        .storage = &storage, .options = "driver=vpc,size=8M,for=azure,subformat=fixed", .warn = be_told, .user = &told,
    };

    g_assert_true(bdrv_create_with(&args, NULL));
    g_assert_cmpint(told.count, ==, 1);
    g_assert_cmpint(told.kind, ==, BDRV_WARNING_READER);
    g_assert_cmpstr(told.code, ==, "reader");
    g_assert_nonnull(strstr(told.text, "Azure"));
    g_free(told.code);
    g_free(told.text);
    disk_free(disk);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/warnings/none", test_none);
    g_test_add_func("/warnings/fault", test_fault);
    g_test_add_func("/warnings/guess", test_guess);
    g_test_add_func("/warnings/ignored", test_ignored);
    g_test_add_func("/warnings/driver", test_driver);
    g_test_add_func("/warnings/more", test_more);
    g_test_add_func("/warnings/create", test_create);
    return kit_run();
}
