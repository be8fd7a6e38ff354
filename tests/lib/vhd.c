/* vhd.c - VHD as seen from outside: is the file sound, and how to clear bits in it */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "kit.h"
#include "util/be.h"
#include "vhd.h"

enum { SECTOR = 512, FOOTER_TYPE = 60, FOOTER_CHECKSUM = 64, TYPE_FIXED = 2 };

static const uint32_t unused = 0xffffffff;

/* The tables of a dynamic image */
typedef struct Vhd {
    int64_t bat, entries, block, bitmap, tail, header;
    struct { int64_t start, end; } locators[8];     /* unused: both 0 */
    uint32_t *sectors;          /* by block; as in the file but for the byte order */
} Vhd;

static bool footer_is_valid(const uint8_t *footer)
{
    uint32_t sum = 0;

    for (int i = 0; i < SECTOR; i++) {
        sum += i >= FOOTER_CHECKSUM && i < FOOTER_CHECKSUM + 4 ? 0 : footer[i];
    }
    return !memcmp(footer, "conectix", 8) && be32_load(footer + FOOTER_CHECKSUM) == ~sum;
}

bool vhd_ends_well(const Medium *medium)
{
    uint8_t tail[SECTOR];
    int64_t size = medium_size(medium);

    if (size < SECTOR) {
        return false;
    }
    medium_read(medium, size - SECTOR, tail, SECTOR);
    return footer_is_valid(tail);
}

static Vhd read_tables(const Medium *medium, const uint8_t *footer)
{
    uint8_t header[1024];
    Vhd vhd = { .tail = medium_size(medium) - SECTOR };

    vhd.header = (int64_t)be64_load(footer + 16);
    medium_read(medium, vhd.header, header, sizeof(header));
    g_assert_cmpmem(header, 8, "cxsparse", 8);
    vhd.bat = (int64_t)be64_load(header + 16);
    vhd.entries = be32_load(header + 28);
    vhd.block = be32_load(header + 32);
    vhd.bitmap = (vhd.block / SECTOR + 8 * SECTOR - 1) / (8 * SECTOR) * SECTOR;
    for (int i = 0; i < 8; i++) {
        const uint8_t *locator = header + 576 + 24 * i;

        vhd.locators[i].start = (int64_t)be64_load(locator + 16);
        vhd.locators[i].end = vhd.locators[i].start + be32_load(locator + 4);
    }
    vhd.sectors = g_new(uint32_t, (gsize)vhd.entries + 1);
    medium_read(medium, vhd.bat, vhd.sectors, vhd.entries * 4);
    for (int64_t i = 0; i < vhd.entries; i++) {
        vhd.sectors[i] = be32_load(&vhd.sectors[i]);
    }
    return vhd;
}

static void assert_ends(const Medium *medium, uint8_t *tail)
{
    uint8_t head[SECTOR];

    g_assert_true(vhd_ends_well(medium));
    medium_read(medium, medium_size(medium) - SECTOR, tail, SECTOR);
    medium_read(medium, 0, head, SECTOR);
    if (be32_load(tail + FOOTER_TYPE) != TYPE_FIXED) {
        g_assert_cmpmem(head, SECTOR, tail, SECTOR);
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static bool are_apart(int64_t start, int64_t end, int64_t other, int64_t other_end)
{
    return end <= other || other_end <= start;
}

static bool lies_on_metadata(const Vhd *vhd, int64_t place, int64_t end)
{
    bool apart = are_apart(place, end, vhd->header, vhd->header + 1024);

    for (int l = 0; l < 8; l++) {
        apart = apart && are_apart(place, end, vhd->locators[l].start, vhd->locators[l].end);
    }
    return !apart;
}

static const char *find_bad_block(const Vhd *vhd)
{
    int64_t end = vhd->bat + (vhd->entries * 4 + SECTOR - 1) / SECTOR * SECTOR;

    qsort(vhd->sectors, (size_t)vhd->entries, sizeof(uint32_t), by_number);
    for (int64_t i = 0; i < vhd->entries && vhd->sectors[i] != unused; i++) {
        int64_t place = (int64_t)vhd->sectors[i] * SECTOR;

        if (place < end) {
            return "a block lies on another, or on the tables";
        }
        end = place + vhd->bitmap + vhd->block;
        if (end > vhd->tail) {
            return "a block reaches past the footer";
        }
        if (vhd->block % 4096 == 0 && (place + vhd->bitmap) % 4096) {
            return "the data of a block is not aligned";
        }
        if (lies_on_metadata(vhd, place, end)) {
            return "a block lies on the header or on a locator";
        }
    }
    return NULL;
}

/* What read_tables() takes for granted */
static const char *find_bad_tables(const Medium *medium, const uint8_t *footer)
{
    uint64_t at = be64_load(footer + 16), size = (uint64_t)medium_size(medium);
    uint8_t header[1024];

    if (at > size - SECTOR || size - SECTOR - at < sizeof(header)) {
        return "the header is not in the file";
    }
    medium_read(medium, (int64_t)at, header, sizeof(header));
    if (memcmp(header, "cxsparse", 8)) {
        return "there is no header";
    }
    at = be64_load(header + 16);
    return at > size || (size - at) / 4 < be32_load(header + 28) ? "the BAT is not in the file" : NULL;
}

const char *vhd_find_fault(const Medium *medium)
{
    uint8_t head[SECTOR], tail[SECTOR];

    if (!vhd_ends_well(medium)) {
        return "the file does not end in a footer";
    }
    medium_read(medium, medium_size(medium) - SECTOR, tail, SECTOR);
    medium_read(medium, 0, head, SECTOR);
    if (be32_load(tail + FOOTER_TYPE) == TYPE_FIXED) {
        return NULL;
    }
    if (memcmp(head, tail, SECTOR)) {
        return "the footer and its copy differ";
    }
    const char *fault = find_bad_tables(medium, tail);
    if (fault) {
        return fault;
    }
    Vhd vhd = read_tables(medium, tail);

    fault = find_bad_block(&vhd);
    g_free(vhd.sectors);
    return fault;
}

void vhd_assert_sound(const Medium *medium)
{
    g_assert_cmpstr(vhd_find_fault(medium), ==, NULL);
}

int64_t vhd_find_incomplete(const Medium *medium, const uint8_t *twin, int64_t size)
{
    uint8_t tail[SECTOR];
    int64_t found = -1;

    medium_read(medium, medium_size(medium) - SECTOR, tail, SECTOR);
    Vhd vhd = read_tables(medium, tail);
    g_autofree uint8_t *got = g_malloc((gsize)vhd.block);

    for (int64_t at = 0; at < size && found < 0; at++) {
        if (at % vhd.block == 0) {
            int64_t bytes = MIN(vhd.block, size - at), sector = vhd.sectors[at / vhd.block];

            memset(got, 0, (size_t)bytes);
            if (sector != unused) {
                medium_read(medium, sector * SECTOR + vhd.bitmap, got, bytes);
            }
        }
        found = got[at % vhd.block] == twin[at] ? -1 : at;
    }
    g_free(vhd.sectors);
    return found;
}

void vhd_assert_complete(const Medium *medium, const uint8_t *twin, int64_t size)
{
    uint8_t tail[SECTOR];

    assert_ends(medium, tail);
    g_assert_cmpint(vhd_find_incomplete(medium, twin, size), ==, -1);
}

void vhd_fill_clear(const Medium *medium)
{
    uint8_t tail[SECTOR], junk[SECTOR];

    assert_ends(medium, tail);
    memset(junk, 0xa5, sizeof(junk));
    Vhd vhd = read_tables(medium, tail);
    g_autofree uint8_t *bitmap = g_malloc((gsize)vhd.bitmap);

    for (int64_t block = 0; block < vhd.entries; block++) {
        int64_t place = (int64_t)vhd.sectors[block] * SECTOR;

        if (vhd.sectors[block] == unused) {
            continue;
        }
        medium_read(medium, place, bitmap, vhd.bitmap);
        for (int64_t i = 0; i < vhd.block / SECTOR; i++) {
            if (!(bitmap[i / 8] & 0x80 >> i % 8)) {
                medium_write(medium, place + vhd.bitmap + i * SECTOR, junk, SECTOR);
            }
        }
    }
    g_free(vhd.sectors);
}

/* Bits of one block that are set, in runs; at least one in three stays as it is */
static void clear_block(const Medium *medium, const Vhd *vhd, int64_t block, GRand *rand, bool junk,
                        uint8_t *twin, int64_t size)
{
    int64_t place = (int64_t)vhd->sectors[block] * SECTOR, start = block * vhd->block;
    int64_t count = MIN(vhd->block, size - start) / SECTOR;
    g_autofree uint8_t *bitmap = g_malloc((gsize)vhd->bitmap);
    uint8_t sector[SECTOR];

    medium_read(medium, place, bitmap, vhd->bitmap);
    for (int64_t i = 0, run; i < count; i += run) {
        bool clear = g_rand_int_range(rand, 0, 3) > 0;

        run = g_rand_boolean(rand) ? 1 : g_rand_int_range(rand, 1, 40);
        for (int64_t j = i; clear && j < MIN(i + run, count); j++) {
            bitmap[j / 8] &= (uint8_t)~(0x80 >> j % 8);
            memset(sector, junk ? 0xa5 : 0, SECTOR);
            medium_write(medium, place + vhd->bitmap + j * SECTOR, sector, SECTOR);
            memset(twin + start + j * SECTOR, 0, SECTOR);
        }
    }
    medium_write(medium, place, bitmap, vhd->bitmap);
}

void vhd_clear_bits(const Medium *medium, GRand *rand, bool junk, uint8_t *twin, int64_t size)
{
    uint8_t tail[SECTOR];

    assert_ends(medium, tail);
    Vhd vhd = read_tables(medium, tail);

    for (int64_t block = 0; block < vhd.entries; block++) {
        if (vhd.sectors[block] != unused) {
            clear_block(medium, &vhd, block, rand, junk, twin, size);
        }
    }
    g_free(vhd.sectors);
}
