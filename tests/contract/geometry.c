/* geometry.c - bdrv_get_geometry(): the image says it, else the partition table, else the size */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "util/le.h"

#define VPC "driver=vpc,size=64M,force_size=on,geometry=100/8/32"

enum { MIB = 1 << 20, TABLE_AT = 446, ENTRY_BYTES = 16 };

static void expect(BlockDriverState *bs, BlockGeometryOrigin origin, int cylinders, int heads, int sectors)
{
    BlockGeometry got;

    g_assert_cmpint(bdrv_get_geometry(bs, &got), ==, 0);
    g_assert_cmpint(got.origin, ==, origin);
    g_assert_cmpint(got.cylinders, ==, cylinders);
    g_assert_cmpint(got.heads, ==, heads);
    g_assert_cmpint(got.sectors, ==, sectors);
}

static void expect_bios(BlockDriverState *bs, int cylinders, int heads, int sectors)
{
    BlockGeometry got;

    g_assert_cmpint(bdrv_get_geometry(bs, &got), ==, 0);
    g_assert_cmpint(got.bios_cylinders, ==, cylinders);
    g_assert_cmpint(got.bios_heads, ==, heads);
    g_assert_cmpint(got.bios_sectors, ==, sectors);
}

/* What is open as @options, over a medium that @create makes */
typedef struct Image {
    Medium medium;
    BlockDriverState *bs;
} Image;

static Image image_new(const char *create, const char *options, unsigned flags)
{
    Image image = { medium_on_disk() };

    medium_create(&image.medium, create);
    image.bs = medium_open(&image.medium, options, flags);
    return image;
}

static void image_free(Image *image)
{
    g_assert_cmpint(bdrv_close(image->bs), ==, 0);
    medium_clear(&image->medium);
}

/* Write a partition table; its entry @i of @type ends at head @head and sector @sector */
static void write_entry(BlockDriverState *bs, int i, uint8_t type, uint8_t head, uint8_t sector)
{
    uint8_t buf[512] = { 0 }, *entry = buf + TABLE_AT + i * ENTRY_BYTES;

    entry[4] = type;
    entry[5] = head;
    entry[6] = sector;
    le32_store(entry + 8, 63);
    le32_store(entry + 12, 1000);
    buf[510] = 0x55;
    buf[511] = 0xaa;
    g_assert_cmpint(bdrv_pwrite(bs, 0, buf, sizeof(buf), 0), ==, 0);
}

static void test_vpc(void)
{
    Image image = image_new(VPC, "driver=vpc", 0);

    expect(image.bs, BDRV_GEOMETRY_IMAGE, 100, 8, 32);
    expect_bios(image.bs, 0, 0, 0);
    image_free(&image);
}

static void test_vpc_says_none(void)
{
    Image image = image_new(VPC ",subformat=fixed", "driver=raw", BDRV_O_RDWR);
    int64_t footer = medium_size(&image.medium) - 512;
    uint8_t buf[512];
    uint32_t sum = 0;

    g_assert_cmpint(bdrv_pread(image.bs, footer, buf, sizeof(buf), 0), ==, 0);
    memset(buf + 56, 0, 8);                         /* the geometry, and what follows but the checksum */
    buf[63] = 2;                                    /* the type, fixed */
    memset(buf + 64, 0, 4);
    for (int i = 0; i < 512; i++) {
        sum += buf[i];
    }
    for (int i = 0; i < 4; i++) {
        buf[64 + i] = (uint8_t)(~sum >> (24 - 8 * i));
    }
    g_assert_cmpint(bdrv_pwrite(image.bs, footer, buf, sizeof(buf), 0), ==, 0);
    g_assert_cmpint(bdrv_close(image.bs), ==, 0);
    image.bs = medium_open(&image.medium, "driver=vpc", 0);
    expect(image.bs, BDRV_GEOMETRY_SIZE, 64 * 2048 / 1008, 16, 63);
    image_free(&image);
}

/* The table of a disk whose image says it is told of, and does not count */
static void test_image_before_table(void)
{
    Image image = image_new(VPC, "driver=vpc", BDRV_O_RDWR);

    write_entry(image.bs, 0, 6, 3, 17);
    expect(image.bs, BDRV_GEOMETRY_IMAGE, 100, 8, 32);
    expect_bios(image.bs, 64 * 2048 / (4 * 17), 4, 17);
    image_free(&image);
}

static void test_amended(void)
{
    Image image = image_new(VPC, "driver=vpc", BDRV_O_RDWR);

    g_assert_true(bdrv_amend(image.bs, "geometry=50/4/16", NULL));
    expect(image.bs, BDRV_GEOMETRY_IMAGE, 50, 4, 16);
    image_free(&image);
}

static void test_size(void)
{
    static const struct { const char *create; int cylinders; } sizes[] = {
        { "driver=raw,size=0", 2 }, { "driver=raw,size=512", 2 }, { "driver=raw,size=1548288", 3 },
        { "driver=raw,size=64M", 64 * 2048 / 1008 }, { "driver=raw,size=1T", 16383 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Medium medium = medium_on_file("raw");

        medium_create(&medium, sizes[i].create);
        BlockDriverState *bs = medium_open(&medium, "driver=raw", 0);
        expect(bs, BDRV_GEOMETRY_SIZE, sizes[i].cylinders, 16, 63);
        expect_bios(bs, 0, 0, 0);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
        medium_clear(&medium);
    }
}

static void test_table(void)
{
    Image image = image_new("driver=raw,size=64M", "driver=raw", BDRV_O_RDWR);

    for (int i = 0; i < 4; i++) {
        write_entry(image.bs, i, 6, 3, 0xc0 | 17);
        expect(image.bs, BDRV_GEOMETRY_PARTITIONS, 64 * 2048 / (4 * 17), 4, 17);
        expect_bios(image.bs, 64 * 2048 / (4 * 17), 4, 17);
    }
    image_free(&image);
}

static void test_table_translated(void)
{
    Image image = image_new("driver=raw,size=64M", "driver=raw", BDRV_O_RDWR);

    write_entry(image.bs, 0, 6, 254, 63);
    expect(image.bs, BDRV_GEOMETRY_SIZE, 64 * 2048 / 1008, 16, 63);
    expect_bios(image.bs, 64 * 2048 / (255 * 63), 255, 63);
    image_free(&image);
}

/* Entries that say nothing: of GPT, without heads, without sectors, of a disk with too many or too few cylinders; and
 * a sector that is no partition table */
static void test_table_silent(void)
{
    static const struct { uint8_t type, head, sector; const char *create; } silent[] = {
        { 0xee, 3, 17, "driver=raw,size=64M" }, { 6, 0, 17, "driver=raw,size=64M" },
        { 6, 3, 0xc0, "driver=raw,size=64M" }, { 6, 1, 1, "driver=raw,size=64M" }, { 6, 255, 63, "driver=raw,size=1M" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(silent); i++) {
        Image image = image_new(silent[i].create, "driver=raw", BDRV_O_RDWR);

        write_entry(image.bs, 0, silent[i].type, silent[i].head, silent[i].sector);
        expect_bios(image.bs, 0, 0, 0);
        image_free(&image);
    }
    Image image = image_new("driver=raw,size=64M", "driver=raw", BDRV_O_RDWR);

    write_entry(image.bs, 0, 6, 3, 17);
    g_assert_cmpint(bdrv_pwrite(image.bs, 511, "", 1, 0), ==, 0);
    expect_bios(image.bs, 0, 0, 0);
    image_free(&image);
}

/* What shows all of another image says what that one says */
static void test_above(void)
{
    static const char *const whole[] = {
        "driver=blkdebug,image.driver=vpc", "driver=raw,file.driver=vpc",
        "driver=raw,file.driver=blkdebug,file.image.driver=vpc",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(whole); i++) {
        Image image = image_new(VPC, whole[i], 0);

        expect(image.bs, BDRV_GEOMETRY_IMAGE, 100, 8, 32);
        image_free(&image);
    }
    Image image = image_new(VPC, "driver=vpc", BDRV_O_SNAPSHOT | BDRV_O_RDWR);

    expect(image.bs, BDRV_GEOMETRY_IMAGE, 100, 8, 32);
    image_free(&image);
}

/* A part of an image is another disk */
static void test_window(void)
{
    Image image = image_new(VPC, "driver=raw,size=32M,file.driver=vpc", 0);

    expect(image.bs, BDRV_GEOMETRY_SIZE, 32 * 2048 / 1008, 16, 63);
    image_free(&image);
    image = image_new(VPC, "driver=raw,offset=1M,file.driver=vpc", 0);
    expect(image.bs, BDRV_GEOMETRY_SIZE, 63 * 2048 / 1008, 16, 63);
    image_free(&image);
}

static void test_unreadable(void)
{
    Image image = image_new("driver=raw,size=1M",
                            "driver=raw,file.driver=blkdebug,file.inject-error.0.event=read_aio", 0);
    BlockGeometry got = { .heads = 1 };

    g_assert_cmpint(bdrv_get_geometry(image.bs, &got), ==, -EIO);
    g_assert_cmpint(got.heads, ==, 0);
    image_free(&image);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/geometry/vpc", test_vpc);
    g_test_add_func("/geometry/vpc-says-none", test_vpc_says_none);
    g_test_add_func("/geometry/image-before-table", test_image_before_table);
    g_test_add_func("/geometry/amended", test_amended);
    g_test_add_func("/geometry/size", test_size);
    g_test_add_func("/geometry/table", test_table);
    g_test_add_func("/geometry/table-translated", test_table_translated);
    g_test_add_func("/geometry/table-silent", test_table_silent);
    g_test_add_func("/geometry/above", test_above);
    g_test_add_func("/geometry/window", test_window);
    g_test_add_func("/geometry/unreadable", test_unreadable);
    return kit_run();
}
