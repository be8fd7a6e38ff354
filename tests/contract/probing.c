/* probing.c - BDRV_O_PROBE_QEMU: what is guessed, and what may be written to it */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "kit.h"
#include "medium.h"

enum { SIZE = 64 << 10 };

static BlockDriverState *guess(const Medium *medium, const char *options, unsigned flags)
{
    return medium_open(medium, options, flags | BDRV_O_PROBE_QEMU);
}

static Medium new_image(const char *options)
{
    Medium medium = medium_on_file("image");

    medium_create(&medium, options);
    return medium;
}

static void assert_driver(const Medium *medium, unsigned flags, const char *driver, unsigned warnings)
{
    BlockDriverState *bs = guess(medium, NULL, flags);

    g_assert_cmpstr(bdrv_get_driver_name(bs), ==, driver);
    g_assert_cmpint(bdrv_is_read_only(bs), ==, !(flags & BDRV_O_RDWR));
    g_assert_true(!bdrv_get_warning(bs, warnings) && (!warnings || bdrv_get_warning(bs, warnings - 1)));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void test_raw(void)
{
    Medium medium = new_image("driver=raw,size=64k");

    assert_driver(&medium, BDRV_O_RDWR, "raw", 1);
    assert_driver(&medium, 0, "raw", 0);
    medium_clear(&medium);
}

static void test_warning(void)
{
    Medium medium = new_image("driver=raw,size=64k");
    BlockDriverState *bs = guess(&medium, NULL, BDRV_O_RDWR);
    g_autofree char *text = g_strdup_printf(
        "Image format was not specified for '%s' and probing guessed raw.\n"
        "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be "
        "restricted.\n"
        "         Specify the 'raw' format explicitly to remove the restrictions.", medium.file);

    g_assert_cmpstr(bdrv_get_warning(bs, 0), ==, text);
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_dynamic(void)
{
    Medium medium = new_image("driver=vpc,size=64k");

    assert_driver(&medium, BDRV_O_RDWR, "vpc", 0);
    medium_clear(&medium);
}

/* QEMU looks at the first bytes only */
static void test_fixed(void)
{
    Medium medium = new_image("driver=vpc,size=64k,subformat=fixed");

    assert_driver(&medium, BDRV_O_RDWR, "raw", 1);
    assert_driver(&medium, 0, "raw", 0);
    medium_clear(&medium);
}

static void test_named(void)
{
    Medium medium = new_image("driver=raw,size=64k");
    BlockDriverState *bs = guess(&medium, "driver=raw", BDRV_O_RDWR);

    g_assert_null(bdrv_get_warning(bs, 0));
    g_assert_cmpint(bdrv_pwrite(bs, 0, "conectix", 8, 0), ==, 0);
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_without_the_flag(void)
{
    Medium medium = new_image("driver=raw,size=64k");
    GError *err = NULL;

    g_assert_null(medium_try_open(&medium, NULL, BDRV_O_RDWR | BDRV_O_PROBE, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, EACCES);
    bdrv_error_free(err);
    medium_clear(&medium);
}

/* What the first bytes would be */
static void refused(BlockDriverState *bs, int64_t offset, const char *bytes)
{
    uint8_t before[SIZE], after[SIZE];

    g_assert_cmpint(bdrv_pread(bs, 0, before, SIZE, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(bs, offset, bytes, (int64_t)strlen(bytes), 0), ==, -EPERM);
    g_assert_cmpint(bdrv_pread(bs, 0, after, SIZE, 0), ==, 0);
    g_assert_cmpmem(after, SIZE, before, SIZE);
}

static void test_heads(void)
{
    static const struct { int at; const char *bytes; } heads[] = {
        { 0, "conectix" }, { 0, "vhdxfile" }, { 0, "QFI\xfb" }, { 0, "KDMV" }, { 0, "COWD" }, { 0, "QED" },
        { 0, "# Disk DescriptorFile" }, { 64, "\x7f\x10\xda\xbe" }, { 0, "WithoutFreeSpace" }, { 0, "LUKS\xba\xbe" },
        { 0, "WithouFreSpacExt" }, { 0, "Bochs Virtual HD Image" }, { 0, "#!/bin/sh\n#V2.0 Format\n" },
        { 0, "PK\x03\x04" }, { 0, "\xfd" "7zXZ" }, { 0, "MComprHD" },
    };
    Medium medium = new_image("driver=raw,size=64k");
    BlockDriverState *bs = guess(&medium, NULL, BDRV_O_RDWR);

    for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
        refused(bs, heads[i].at, heads[i].bytes);
    }
    g_assert_cmpint(bdrv_pwrite(bs, 0, "cone", 4, 0), ==, 0);
    refused(bs, 4, "ctix");
    refused(bs, 3, "ectix and more");
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void test_vectors(void)
{
    Medium medium = new_image("driver=raw,size=64k");
    BlockDriverState *bs = guess(&medium, NULL, BDRV_O_RDWR);
    uint8_t more[4096] = { 0 };
    struct iovec iov[] = { { (char *)"con", 3 }, { (char *)"ectix", 5 }, { more, sizeof(more) } };

    g_assert_cmpint(bdrv_pwritev(bs, 0, iov, 3, 0), ==, -EPERM);
    g_assert_cmpint(bdrv_pwritev(bs, 1, iov, 3, 0), ==, 0);
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_elsewhere(void)
{
    Medium medium = new_image("driver=raw,size=64k");
    BlockDriverState *bs = guess(&medium, NULL, BDRV_O_RDWR);
    uint8_t bytes[8];

    g_assert_cmpint(bdrv_pwrite(bs, 512, "conectix", 8, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(bs, 0, "anything", 8, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, 512, 0), ==, 0);
    g_assert_cmpint(bdrv_pdiscard(bs, 0, 512), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 512, bytes, 8, 0), ==, 0);
    g_assert_cmpmem(bytes, 8, "conectix", 8);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/probing/raw", test_raw);
    g_test_add_func("/probing/warning", test_warning);
    g_test_add_func("/probing/dynamic", test_dynamic);
    g_test_add_func("/probing/fixed", test_fixed);
    g_test_add_func("/probing/named", test_named);
    g_test_add_func("/probing/without-the-flag", test_without_the_flag);
    g_test_add_func("/probing/heads-of-other-formats", test_heads);
    g_test_add_func("/probing/vectors", test_vectors);
    g_test_add_func("/probing/elsewhere", test_elsewhere);
    return kit_run();
}
