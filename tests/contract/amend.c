/* amend.c - bdrv_amend() while the disk fails, some requests in a row, and then works again; and whom it refuses */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

#define OLD "00000000-0000-4000-8000-000000000001"
#define NEW "00000000-0000-4000-8000-000000000002"

enum { BYTES = 4096, MOST_CHANGES = 40, MOST_ERRORS = 6 };

static const struct { const char *name, *create; } kinds[] = {
    { "dynamic", "driver=vpc,force_size=on,size=1M,block_size=16k,uuid=" OLD },
    { "fixed", "driver=vpc,force_size=on,size=1M,subformat=fixed,uuid=" OLD },
    { "xen", "driver=vpc,size=2M,for=xen,uuid=" OLD },
};

static void write_pattern(BlockDriverState *bs, int64_t offset, uint64_t seed)
{
    uint8_t buf[BYTES];

    kit_fill(buf, offset, BYTES, seed);
    g_assert_cmpint(bdrv_pwrite(bs, offset, buf, BYTES, 0), ==, 0);
}

static void check_pattern(BlockDriverState *bs, int64_t offset, uint64_t seed)
{
    uint8_t buf[BYTES], got[BYTES];

    kit_fill(buf, offset, BYTES, seed);
    g_assert_cmpint(bdrv_pread(bs, offset, got, BYTES, 0), ==, 0);
    g_assert_cmpmem(got, BYTES, buf, BYTES);
}

static bool has_id(BlockDriverState *bs, const char *uuid)
{
    BlockInfo *info = bdrv_get_info(bs, NULL);
    bool has = !strcmp(bdrv_info_find(info, "uuid")->text, uuid);

    bdrv_info_free(info);
    return has;
}

/* The @after-th change of the disk that an amend makes fails, and @run - 1 behind it. False: there are not so many */
static bool fail(const char *create, unsigned after, unsigned run)
{
    Medium medium = medium_on_disk();
    Disk *disk = medium.disk;

    medium_create(&medium, create);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    write_pattern(bs, 0, 3);
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    disk->run_after = disk->changes + after;
    disk->run = run;
    bool done = bdrv_amend(bs, "uuid=" NEW, NULL), failed = disk->run_failed > 0;

    disk->run = 0;
    g_assert_true(done || failed);
    check_pattern(bs, 0, 3);
    write_pattern(bs, 64 << 10, 4);             /* life goes on */
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_assert_sound(&medium);
    bs = medium_open(&medium, "driver=vpc", 0);
    g_assert_null(bdrv_get_warning(bs, 0));
    g_assert_true(has_id(bs, NEW) || (!done && has_id(bs, OLD)));
    check_pattern(bs, 0, 3);
    check_pattern(bs, 64 << 10, 4);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
    return failed;
}

static void test_errors(const void *create)
{
    for (unsigned run = 1; run <= MOST_ERRORS; run++) {
        unsigned after = 0;

        while (fail(create, after, run)) {
            after++;
            g_assert_cmpuint(after, <, MOST_CHANGES);
        }
        g_assert_cmpuint(after, >, 1);
    }
}

static void expect_error(const char *open, unsigned flags, const char *options, int code)
{
    Medium medium = medium_on_disk();
    GError *err = NULL;

    medium_create(&medium, kinds[0].create);
    BlockDriverState *bs = medium_open(&medium, open, flags);
    g_assert_false(bdrv_amend(bs, options, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    bdrv_error_free(err);
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_refused(void)
{
    expect_error("driver=vpc", 0, "uuid=" NEW, EPERM);
    expect_error("driver=vpc", BDRV_O_RDWR | BDRV_O_CHECK, "uuid=" NEW, EPERM);
    expect_error("driver=raw", BDRV_O_RDWR, "uuid=" NEW, ENOTSUP);
    expect_error("driver=vpc", BDRV_O_RDWR, "uuid=1", EINVAL);
    expect_error("driver=vpc", BDRV_O_RDWR, "size=1", EINVAL);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/amend/errors/%s", kinds[i].name);

        g_test_add_data_func(path, kinds[i].create, test_errors);
    }
    g_test_add_func("/amend/refused", test_refused);
    return kit_run();
}
