/* check.c - bdrv_check() on images that it is not for, and what it leaves of those that it is for */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

static void expect_error(const char *create, const char *open, unsigned flags, unsigned fix, int code)
{
    Medium medium = medium_on_disk();
    GError *err = NULL;

    medium_create(&medium, create);
    BlockDriverState *bs = medium_open(&medium, open, flags);
    g_assert_null(bdrv_check(bs, fix, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    bdrv_error_free(err);
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_unsupported(void)
{
    expect_error("driver=raw,size=4k", "driver=raw", BDRV_O_CHECK, 0, ENOTSUP);
}

static void test_not_opened_for_it(void)
{
    expect_error("driver=vpc,size=4k", "driver=vpc", BDRV_O_RDWR, 0, EINVAL);
}

static void test_read_only(void)
{
    expect_error("driver=vpc,size=4k", "driver=vpc", BDRV_O_CHECK, BDRV_CHECK_FIX_LEAKS, EPERM);
}

/* Nothing but a check can be done with such a handle, and it writes nothing of its own accord */
static void test_handle(void)
{
    Medium medium = medium_on_disk();
    char byte;

    medium_create(&medium, "driver=vpc,size=1M");
    unsigned writes = medium.disk->writes;
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_CHECK | BDRV_O_RDWR);
    g_assert_cmpint(bdrv_getlength(bs), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 0, &byte, 1, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pwrite(bs, 0, &byte, 1, 0), ==, -EIO);
    bdrv_info_free(bdrv_get_info(bs, NULL));
    for (int i = 0; i < 2; i++) {
        BlockCheck *check = bdrv_check(bs, BDRV_CHECK_FIX_ERRORS, NULL);

        g_assert_cmpint(check->corruptions + check->leaks + check->errors + check->corruptions_fixed, ==, 0);
        g_assert_cmpint(check->total_clusters, ==, 1);
        bdrv_check_free(check);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    g_assert_cmpint(medium.disk->writes, ==, writes);
    medium_clear(&medium);
}

/* What is repaired is told apart from what is there still, in findings that outlive the image */
static void test_repaired(void)
{
    static const char junk[512] = "junk";
    Medium medium = medium_on_disk();

    medium_create(&medium, "driver=vpc,size=1M");
    medium_write(&medium, medium_size(&medium), junk, sizeof(junk));
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_CHECK | BDRV_O_RDWR);
    BlockCheck *before = bdrv_check(bs, 0, NULL), *after = bdrv_check(bs, BDRV_CHECK_FIX_LEAKS, NULL);

    bdrv_close(bs);
    g_assert_cmpint(before->leaks, ==, 1);
    g_assert_cmpint(before->leaks_fixed, ==, 0);
    g_assert_cmpint(after->leaks, ==, 0);
    g_assert_cmpint(after->leaks_fixed, ==, 1);
    g_assert_cmpint(after->count, ==, before->count);
    g_assert_cmpstr(after->findings[0].code, ==, "G2");
    g_assert_cmpint(after->findings[0].fixed, ==, 1);
    g_assert_cmpstr(after->findings[0].cases[0].text, ==, before->findings[0].cases[0].text);
    g_assert_true(vhd_ends_well(&medium));
    bdrv_check_free(before);
    bdrv_check_free(after);
    medium_clear(&medium);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/check/unsupported", test_unsupported);
    g_test_add_func("/check/not-opened-for-it", test_not_opened_for_it);
    g_test_add_func("/check/read-only", test_read_only);
    g_test_add_func("/check/handle", test_handle);
    g_test_add_func("/check/repaired", test_repaired);
    return kit_run();
}
