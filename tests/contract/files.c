/* files.c - files that others change, that two nodes have, and that a killed process leaves behind */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <miniblk/block.h>
#include "kit.h"
#include "medium.h"

enum { MIB = 1 << 20 };

static bool has_warning(BlockDriverState *bs, const char *text)
{
    unsigned n = 0;

    while (bdrv_get_warning(bs, n) && !strstr(bdrv_get_warning(bs, n), text)) {
        n++;
    }
    return bdrv_get_warning(bs, n) != NULL;
}

/* Cut short */

typedef struct CutCase {
    const char *name, *create, *options;
    bool hole;                  /* nothing was written there */
} CutCase;

static const CutCase cut_cases[] = {
    { "raw", "driver=raw,size=2M", "driver=raw", false },
    { "raw-hole", "driver=raw,size=2M", "driver=raw", true },
    { "raw-direct", "driver=raw,size=2M", "driver=raw,file.cache.direct=on", false },
    { "raw-aligned", "driver=raw,size=2M", "driver=raw,file.driver=blkdebug,file.align=4096", false },
    { "fixed", "driver=vpc,size=2M,subformat=fixed", "driver=vpc", false },
    { "fixed-hole", "driver=vpc,size=2M,subformat=fixed", "driver=vpc", true },
    { "dynamic", "driver=vpc,size=2M,block_size=64k", "driver=vpc", false },
};

/* Of a disk whose second half was cut off behind its back */
static void check_cut(BlockDriverState *bs, int64_t end)
{
    g_autofree char *number = g_strdup_printf("bytes and has %" PRId64 " now", end);
    uint8_t buf[4096];
    BlockStatus st;
    Medium other = medium_on_disk();

    medium_create(&other, "driver=raw,size=2M");
    BlockDriverState *to = medium_open(&other, "driver=raw", BDRV_O_RDWR);

    g_assert_cmpint(bdrv_pread(bs, 0, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 2 * MIB - 4096, buf, sizeof(buf), 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(bs, 2 * MIB - 1, buf, 1, 0), ==, -EIO);
    g_assert_true(has_warning(bs, number));
    g_assert_cmpint(bdrv_block_status(bs, 2 * MIB - 4096, 4096, BDRV_STATUS_WANT_ZERO, &st), ==, 0);
    g_assert_false(st.zero);
    g_assert_false(bdrv_copy(bs, to, NULL, NULL));
    bdrv_close(to);
    medium_clear(&other);
}

static void test_cut(const void *data)
{
    const CutCase *c = data;
    Medium medium = medium_on_file("cut");
    g_autofree uint8_t *bytes = g_malloc(2 * MIB);

    if (strstr(c->options, "direct") && !medium_has_direct()) {
        g_test_skip("no O_DIRECT here");
        return;
    }
    kit_fill(bytes, 0, 2 * MIB, 1);
    medium_create(&medium, c->create);
    BlockDriverState *bs = medium_open(&medium, c->options, BDRV_O_RDWR);

    g_assert_cmpint(c->hole ? 0 : bdrv_pwrite(bs, 0, bytes, 2 * MIB, 0), ==, 0);
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 0, bytes, 2 * MIB, 0), ==, 0);
    g_assert_cmpint(truncate(medium.file, MIB + 1000), ==, 0);
    check_cut(bs, MIB + 1000);
    bdrv_close(bs);
    medium_clear(&medium);
}

/* Up to where it ends now, all is as it was */
static void test_cut_in_mid_request(void)
{
    Medium medium = medium_on_file("cut");
    uint8_t buf[8192];

    medium_create(&medium, "driver=raw,size=1M");
    BlockDriverState *bs = medium_open(&medium, "driver=raw", 0);

    g_assert_cmpint(truncate(medium.file, 10000), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 5000, buf, 5000, 0), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 5000, buf, 5001, 0), ==, -EIO);
    BlockStatus st;
    g_assert_cmpint(bdrv_block_status(bs, 5000, 20000, 0, &st), ==, 0);
    g_assert_cmpint(st.bytes, <=, 5000);
    bdrv_close(bs);
    medium_clear(&medium);
}

/* The parent of an image is a file, too */
static void test_cut_parent(void)
{
    Medium parent = medium_on_file("parent"), child = medium_on_file("child");
    uint8_t buf[512];

    medium_create(&parent, "driver=vpc,size=2M,subformat=fixed");
    medium_create(&child, "driver=vpc,backing_file=parent");
    BlockDriverState *bs = medium_open(&child, "driver=vpc", 0);

    g_assert_cmpint(truncate(parent.file, MIB), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 2 * MIB - 512, buf, 512, 0), ==, -EIO);
    g_assert_true(has_warning(bs, "parent' had 2097664 bytes and has 1048576 now"));
    bdrv_close(bs);
    medium_clear(&child);
    medium_clear(&parent);
}

/* No file is cut that never was longer: the last sector of a disk need not be whole, nor the last unit of a file */
static void check_odd_length(const char *options, int64_t length)
{
    Medium medium = medium_on_file("odd");
    g_autofree uint8_t *bytes = g_malloc0(MIB), *got = g_malloc(MIB);
    int64_t size = (length + 511) / 512 * 512;

    kit_fill(bytes, 0, length, 1);
    g_assert_true(g_file_set_contents(medium.file, (char *)bytes, length, NULL));
    BlockDriverState *bs = medium_open(&medium, options, BDRV_O_RDWR);

    g_assert_cmpint(bdrv_getlength(bs), ==, size);
    g_assert_cmpint(bdrv_pread(bs, 0, got, size, 0), ==, 0);
    kit_assert_same(got, bytes, size, 0);
    g_assert_cmpint(bdrv_pread(bs, size - 1, got, 1, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(bs, size - 3, "abc", 3, 0), ==, 0);       /* makes the file longer */
    g_assert_cmpint(bdrv_pread(bs, size - 512, got, 512, 0), ==, 0);
    g_assert_cmpmem(got + 509, 3, "abc", 3);
    g_assert_cmpint(medium_size(&medium), ==, size);
    g_assert_null(bdrv_get_warning(bs, 0));
    bdrv_close(bs);
    medium_clear(&medium);
}

static void test_odd_lengths(void)
{
    static const int64_t lengths[] = { 1, 100, 511, 513, 4095, 4097, 70001, MIB - 1 };

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        check_odd_length("driver=raw", lengths[i]);
        check_odd_length("driver=raw,file.driver=blkdebug,file.align=4096", lengths[i]);
        if (medium_has_direct()) {
            check_odd_length("driver=raw,file.cache.direct=on", lengths[i]);
        }
    }
}

/* Copied onto itself */

typedef struct Overlap {
    const char *from, *to;      /* options; @to NULL: one handle */
    BlockCopyOptions opts;
    bool refused;
} Overlap;

#define WINDOW(offset, size) "driver=raw,offset=" offset ",size=" size

static const Overlap overlaps[] = {
    { "driver=raw", NULL, { .to_offset = 0, .bytes = 4096 }, true },
    { "driver=raw", NULL, { .to_offset = 4095, .bytes = 4096 }, true },
    { "driver=raw", NULL, { .from_offset = 4095, .bytes = 4096 }, true },
    { "driver=raw", NULL, { .to_offset = 4096, .bytes = 4096 }, false },
    { "driver=raw", NULL, { .from_offset = 4096, .bytes = 4096 }, false },
    { "driver=raw", "driver=raw", { .bytes = 0 }, true },
    { "driver=raw", "driver=raw", { .to_offset = 512, .bytes = 1024 }, true },
    { "driver=raw", "driver=raw", { .to_offset = 1024, .bytes = 1024 }, false },
    { WINDOW("0", "1M"), WINDOW("1M", "1M"), { 0 }, false },
    { WINDOW("1M", "1M"), WINDOW("0", "1M"), { 0 }, false },
    { WINDOW("0", "1M"), WINDOW("1048064", "1M"), { 0 }, true },
    { WINDOW("512", "512k"), WINDOW("0", "512k"), { 0 }, true },
    { WINDOW("0", "1M"), WINDOW("512k", "1M"), { .bytes = 512 << 10 }, false },
    { WINDOW("0", "1M"), WINDOW("512k", "1M"), { .bytes = (512 << 10) + 1 }, true },
    { WINDOW("0", "1M"), "driver=raw", { .to_offset = 100 }, true },
    { WINDOW("0", "1M"), "driver=raw,file.driver=blkdebug,file.image.driver=raw,file.image.offset=1M", { 0 }, false },
    { WINDOW("0", "1M"), "driver=raw,file.driver=blkdebug,file.image.driver=raw,file.image.offset=1023k", { 0 }, true },
    { "driver=raw,offset=1M,size=512k,file.driver=raw,file.offset=1M", WINDOW("2M", "1M"), { 0 }, true },
    { "driver=raw,offset=1M,size=512k,file.driver=raw,file.offset=1M", WINDOW("1M", "1M"), { 0 }, false },
};

static char *copied_name(const Overlap *o)
{
    return g_strdup_printf("%s -> %s", o->from, o->to ? o->to : "itself");
}

static void check_overlap(const Medium *medium, const Overlap *o)
{
    g_autofree char *name = copied_name(o);
    g_autofree uint8_t *want = g_malloc(4 * MIB), *got = g_malloc(4 * MIB);
    GError *err = NULL;

    kit_fill(want, 0, 4 * MIB, 1);
    medium_write(medium, 0, want, 4 * MIB);
    BlockDriverState *from = medium_open(medium, o->from, BDRV_O_RDWR | BDRV_O_NO_LOCK);
    BlockDriverState *to = o->to ? medium_open(medium, o->to, BDRV_O_RDWR | BDRV_O_NO_LOCK) : from;

    if (bdrv_copy(from, to, &o->opts, &err) == o->refused) {
        g_error("%s: %s", name, err ? bdrv_error_message(err) : "copied");
    }
    if (o->refused) {
        g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
        g_assert_nonnull(strstr(bdrv_error_message(err), "overlap"));
        bdrv_error_free(err);
        medium_read(medium, 0, got, 4 * MIB);
        kit_assert_same(got, want, 4 * MIB, 0);
    }
    g_assert_cmpint(bdrv_close(from), ==, 0);
    g_assert_cmpint(o->to ? bdrv_close(to) : 0, ==, 0);
}

static void test_overlaps(void)
{
    Medium medium = medium_on_file("twice"), disk = medium_on_disk();

    medium_create(&medium, "driver=raw,size=4M");
    medium_create(&disk, "driver=raw,size=4M");
    for (size_t i = 0; i < G_N_ELEMENTS(overlaps); i++) {
        check_overlap(&medium, &overlaps[i]);
        check_overlap(&disk, &overlaps[i]);
    }
    medium_clear(&medium);
    medium_clear(&disk);
}

static bool copies(const Medium *from, const char *from_options, const Medium *to, const char *to_options)
{
    BlockDriverState *a = medium_open(from, from_options, BDRV_O_NO_LOCK);
    BlockDriverState *b = medium_open(to, to_options, BDRV_O_RDWR | BDRV_O_NO_LOCK);
    bool ok = bdrv_copy(a, b, NULL, NULL);

    g_assert_cmpint(bdrv_close(a), ==, 0);
    g_assert_cmpint(bdrv_close(b), ==, 0);
    return ok;
}

#define FIXED "driver=vpc,file.driver=raw,file.size=1049088"

/* Blocks of a dynamic disk may be anywhere in its file; a fixed one is a window; another name is the same file */
static void test_overlaps_of_formats(void)
{
    Medium medium = medium_on_file("twice"), other = medium_on_file("link");

    medium_create(&medium, "driver=vpc,size=1M");
    g_assert_cmpint(link(medium.file, other.file), ==, 0);
    g_assert_false(copies(&medium, "driver=vpc", &medium, "driver=vpc"));
    g_assert_false(copies(&medium, "driver=vpc", &other, "driver=vpc"));
    g_assert_cmpint(truncate(medium.file, 4 * MIB), ==, 0);
    g_assert_false(copies(&medium, "driver=raw,size=512", &other, "driver=vpc,file.driver=raw,file.size=2M"));
    g_assert_true(copies(&medium, "driver=raw,size=1M,offset=3M", &other, "driver=vpc,file.driver=raw,file.size=2M"));
    medium_create(&medium, "driver=vpc,size=1M,subformat=fixed");
    g_assert_false(copies(&medium, "driver=vpc", &other, "driver=raw"));
    g_assert_cmpint(truncate(medium.file, 4 * MIB), ==, 0);
    g_assert_true(copies(&medium, FIXED, &other, "driver=raw,offset=2M"));
    g_assert_false(copies(&medium, FIXED, &other, "driver=raw,offset=1023k"));
    medium_clear(&medium);
    medium_clear(&other);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(cut_cases); i++) {
        g_autofree char *path = g_strconcat("/cut/", cut_cases[i].name, NULL);

        g_test_add_data_func(path, &cut_cases[i], test_cut);
    }
    g_test_add_func("/cut/in-mid-request", test_cut_in_mid_request);
    g_test_add_func("/cut/parent", test_cut_parent);
    g_test_add_func("/overlap/windows", test_overlaps);
    g_test_add_func("/overlap/formats", test_overlaps_of_formats);
    g_test_add_func("/odd-lengths", test_odd_lengths);
    return kit_run();
}
