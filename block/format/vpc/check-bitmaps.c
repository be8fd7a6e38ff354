/* check-bitmaps.c - VHD: the bitmaps of blocks, and Xen's map of those that are full */
/* SPDX-License-Identifier: MIT
 *
 * Each bitmap is read once, in the order in which they are in the file. Data is read where a bitmap says that
 * there should be none.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/check.h"
#include "util/be.h"
#include "util/checked.h"
#include "util/iszero.h"

#define BATMAP_ALWAYS   0x00010002      /* from this version on, tapdisk makes one in any case */
#define BATMAP_SIGNED   0x00010001      /* this version took the bytes of the map as signed */

int64_t vpc_sectors_in(const VpcCheck *c, int64_t block)
{
    const VpcState *s = c->bs->state;
    int64_t bytes = CLAMP(c->disk_size - block * s->block_size, 0, s->block_size);

    return (bytes + VPC_SECTOR - 1) / VPC_SECTOR;
}

static int64_t find_in_piece(const uint8_t *data, uint8_t *bitmap, int64_t first, int64_t last)
{
    int64_t found = 0;

    for (int64_t i = first; i < last; i++) {
        if (!vpc_sector_is_set(bitmap, i) && !block_is_zero(data + (i - first) * VPC_SECTOR, VPC_SECTOR)) {
            vpc_set_bits(bitmap, i, i + 1);
            found++;
        }
    }
    return found;
}

int64_t vpc_find_data(VpcCheck *c, int64_t place, uint8_t *bitmap, int64_t first, int64_t last)
{
    const VpcState *s = c->bs->state;
    g_autofree uint8_t *buf = g_try_malloc(VPC_CHECK_PIECE);
    int64_t found = buf ? 0 : -ENOMEM;

    for (int64_t n; first < last && found >= 0; first += n) {
        int64_t at = place + s->bitmap_bytes + first * VPC_SECTOR, bytes = (last - first) * VPC_SECTOR;
        bool hole = vpc_is_hole(c->bs, at, &bytes);

        n = MIN(bytes, hole ? INT64_MAX : VPC_CHECK_PIECE) / VPC_SECTOR;
        bool full = vpc_sector_is_set(bitmap, first) && vpc_run_end(bitmap, first, first + n) == first + n;
        if (full || hole) {
            continue;
        }
        int ret = bdrv_node_pread(c->bs->file, at, buf, n * VPC_SECTOR);
        found = ret < 0 ? ret : found + find_in_piece(buf, bitmap, first, first + n);
    }
    return found;
}

/* The batmap */

int64_t vpc_map_summed(const VpcCheck *c)
{
    const VpcState *s = c->bs->state;

    return MIN(vpc_batmap_summed((int64_t)be64_load(s->footer.current_size)), c->map_bytes);
}

/* Of the map on disk. *@as_signed: if the bytes are taken for signed ones */
static int sum_map(VpcCheck *c, int64_t bytes, uint32_t *sum, uint32_t *as_signed)
{
    g_autofree uint8_t *buf = g_try_malloc(VPC_BAT_PIECE);
    int ret = buf ? 0 : -ENOMEM;

    *sum = *as_signed = 0;
    for (int64_t at = 0, n; at < bytes && ret == 0; at += n) {
        n = bytes - at;
        if (vpc_is_hole(c->bs, c->map_at + at, &n)) {
            continue;
        }
        n = MIN(n, VPC_BAT_PIECE);
        ret = bdrv_node_pread(c->bs->file, c->map_at + at, buf, n);
        for (int64_t i = 0; i < n && ret == 0; i++) {
            *sum += buf[i];
            *as_signed += buf[i] - 2 * (buf[i] & 0x80u);
        }
    }
    *sum = ~*sum;
    *as_signed = ~*as_signed;
    return ret;
}

/* Programs do not agree on how much of the map is summed up */
static void check_batmap_sum(VpcCheck *c, int64_t whole)
{
    uint32_t is = be32_load(c->batmap.checksum), sums[2], as_signed[2];
    bool old = be32_load(c->batmap.version) == BATMAP_SIGNED;

    if (sum_map(c, vpc_map_summed(c), &sums[0], &as_signed[0]) < 0 ||
        sum_map(c, whole, &sums[1], &as_signed[1]) < 0) {
        vpc_found(c, -1, c->map_at, -1, "the batmap at %" PRId64 " could not be read", c->map_at);
        return;
    }
    bool right = is == sums[0] || is == sums[1] || (old && (is == as_signed[0] || is == as_signed[1]));
    if (!right) {
        vpc_found(c, VPC_BATMAP_CHECKSUM, c->batmap_at, -1,
                  "the checksum of the batmap at %" PRId64 " is 0x%08x, should be 0x%08x", c->map_at, is, sums[0]);
    }
}

/* Is what counts of the map in the file, and on nothing but itself? @bytes: how much of it there is said to be. A block
 * is believed, and a map that lies on it is not */
static bool map_has_a_place(VpcCheck *c, uint64_t at, int64_t bytes)
{
    const VpcState *s = c->bs->state;
    int64_t start = (int64_t)at, end = start + c->map_bytes;

    return at % VPC_SECTOR == 0 && at <= (uint64_t)s->limit && c->map_bytes <= s->limit - start &&
           bytes >= c->map_bytes && !vpc_metadata_in(s, VPC_VITAL, false, start, end) &&
           !vpc_metadata_in(s, VPC_NAMES, false, start, end) &&
           vpc_check_find_block(c, start, end) == INT64_MAX;
}

/* What is said to be behind the part that counts may not reach over anything */
static void check_map_length(VpcCheck *c, int64_t bytes)
{
    const VpcState *s = c->bs->state;
    int64_t behind = c->map_at + c->map_bytes, end = c->map_at + bytes;
    bool over = end > s->limit || vpc_metadata_in(s, VPC_VITAL, false, behind, end) ||
                vpc_metadata_in(s, VPC_NAMES, false, behind, end);
    int64_t block = bytes > c->map_bytes && !over ? vpc_check_find_block(c, behind, end) : INT64_MAX;

    if (over || block < INT64_MAX) {
        vpc_found(c, VPC_BATMAP_LONG, c->batmap_at, -1,
                  "the batmap at %" PRId64 " is said to have %" PRId64 " bytes, and reaches over %s; it needs %" PRId64,
                  c->map_at, bytes, block < INT64_MAX ? "a block" : end > s->limit ? "the end of the image"
                  : "other metadata", c->map_bytes);
    }
}

static bool read_batmap(VpcCheck *c, int64_t at)
{
    VpcState *s = c->bs->state;

    return at + (int64_t)sizeof(c->batmap) <= s->limit &&
           vpc_check_read(c, at, &c->batmap, sizeof(c->batmap), "batmap") &&
           !memcmp(c->batmap.cookie, VPC_BATMAP_COOKIE, 8);
}

static void report_no_batmap(VpcCheck *c, int64_t at)
{
    const VpcState *s = c->bs->state;

    if (be32_load(s->footer.creator_version) >= BATMAP_ALWAYS) {
        vpc_found(c, VPC_BATMAP_NONE, at, -1, "there is no batmap at %" PRId64, at);
    }
}

static void read_map(VpcCheck *c, int64_t whole)
{
    const VpcState *s = c->bs->state;

    c->map = g_try_malloc((gsize)c->map_bytes);
    if (!c->map) {
        vpc_found(c, -1, c->map_at, -1, "no memory for a batmap of %" PRId64 " bytes", c->map_bytes);
    } else if (vpc_check_read(c, c->map_at, c->map, c->map_bytes, "batmap")) {
        check_batmap_sum(c, MIN(whole, s->limit - c->map_at));
    }
}

void vpc_check_batmap(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t at = vpc_batmap_at(s);

    if (!vpc_creator_is(&s->footer, "tap") || c->needed == 0) {
        return;
    }
    if (!read_batmap(c, at)) {
        report_no_batmap(c, at);
        return;
    }
    if (c->needed > VPC_MAX_BAT / 4) {
        vpc_found(c, VPC_BATMAP_NONE, at, -1,
                  "the batmap of a disk of %" PRId64 " blocks is not looked at: nobody makes so many", c->needed);
        return;
    }
    uint64_t map_at = be64_load(c->batmap.offset);
    int64_t whole = (int64_t)be32_load(c->batmap.sectors) * VPC_SECTOR;

    c->batmap_at = at;
    c->map_bytes = vpc_batmap_bytes(c->needed);
    if (!map_has_a_place(c, map_at, whole)) {
        vpc_found(c, VPC_BATMAP_LOST, at, -1,
                  "the batmap at %" PRIu64 ", %" PRId64 " bytes, is outside the file, on a block, on other metadata, "
                  "or too short", map_at, whole);
        return;
    }
    c->map_at = (int64_t)map_at;
    check_map_length(c, whole);
    read_map(c, whole);
}

static void check_map_bit(VpcCheck *c, int64_t block, const char *what)
{
    if (!vpc_sector_is_set(c->map, block)) {
        return;
    }
    vpc_clear_bits(c->map, block, block + 1);
    vpc_found(c, VPC_BATMAP_WRONG, c->map_at + block / 8, block,
              "block %" PRId64 " %s, and its bit is set", block, what);
}

void vpc_check_map_bits(VpcCheck *c, int64_t block, int64_t count, const char *what)
{
    int64_t end = c->map ? MIN(block + count, c->map_bytes * 8) : 0;

    for (int64_t i = block; i < end; i++) {
        check_map_bit(c, i, what);
    }
}

/* The bitmaps */

static void check_past_end(VpcCheck *c, uint64_t key, const uint8_t *bitmap, int64_t sectors)
{
    VpcState *s = c->bs->state;
    int64_t all = s->block_size / VPC_SECTOR, block = vpc_key_block(key);
    int64_t end = vpc_key_place(key) + s->bitmap_bytes + sectors * VPC_SECTOR;
    int64_t bytes = MIN((all - sectors) * VPC_SECTOR, s->limit - end);

    if (sectors == all || (!vpc_sector_is_set(bitmap, sectors) && vpc_run_end(bitmap, sectors, all) == all)) {
        return;
    }
    int zero = vpc_is_zero(c->bs, end, bytes);
    if (zero < 0) {
        vpc_found(c, -1, end, block,
                  "the end of block %" PRId64 " at %" PRId64 " could not be read: %s", block, end,
                  g_strerror(-zero));
        return;
    }
    vpc_found(c, zero ? VPC_BITS_PAST_END : VPC_DATA_PAST_END, end, block,
              "block %" PRId64 ": the disk ends with sector %" PRId64 " of %" PRId64 ", and bits behind that "
              "are set%s", block, sectors, all, zero ? "" : ", where there is data");
    if (!zero) {
        vpc_check_key(c, &c->keys[VPC_DATA_PAST_END], key);
    }
}

static void report_clear(VpcCheck *c, uint64_t key)
{
    int64_t block = vpc_key_block(key), place = vpc_key_place(key);

    vpc_found(c, VPC_BLOCK_CLEAR, place, block, "block %" PRId64 " at %" PRId64 " has no sector", block, place);
    vpc_check_key(c, &c->keys[VPC_BLOCK_CLEAR], key);
}

/* A dynamic disk: where bits are clear there must be zeroes. Changes @bitmap */
static void check_clear_sectors(VpcCheck *c, uint64_t key, uint8_t *bitmap, int64_t sectors, bool empty)
{
    int64_t block = vpc_key_block(key), place = vpc_key_place(key);
    int64_t found = vpc_find_data(c, place, bitmap, 0, sectors);

    if (found < 0) {
        vpc_found(c, -1, place, block,
                  "block %" PRId64 " at %" PRId64 " could not be read: %s", block, place, g_strerror((int)-found));
    } else if (found > 0) {
        vpc_found(c, VPC_DATA_UNDER_CLEAR, place, block,
                  "block %" PRId64 " at %" PRId64 " has data in %" PRId64 " sectors that are clear: some programs "
                  "see it, others see zeroes", block, place, found);
        vpc_check_key(c, &c->keys[VPC_DATA_UNDER_CLEAR], key);
    } else if (empty) {
        report_clear(c, key);
    }
}

static bool is_all_hole(VpcCheck *c, int64_t offset, int64_t bytes)
{
    int64_t n = bytes;

    return vpc_is_hole(c->bs, offset, &n) && n == bytes;
}

static void check_bitmap(VpcCheck *c, uint64_t key, uint8_t *bitmap)
{
    VpcState *s = c->bs->state;
    int64_t block = vpc_key_block(key), data = vpc_key_place(key) + s->bitmap_bytes, sectors = vpc_sectors_in(c, block);
    bool set = vpc_sector_is_set(bitmap, 0), all = vpc_run_end(bitmap, 0, sectors) == sectors;

    if (!all || !set) {
        vpc_check_map_bits(c, block, 1, "has sectors that are not there");
    }
    check_past_end(c, key, bitmap, sectors);
    if (!(all && set) && !s->differencing) {
        check_clear_sectors(c, key, bitmap, sectors, all);
    } else if (all && !set) {
        report_clear(c, key);
    } else if (all && !s->differencing && is_all_hole(c, data, sectors * VPC_SECTOR)) {
        vpc_found(c, VPC_BLOCK_ZERO, data, block,
                  "block %" PRId64 " at %" PRId64 " is a hole in the file", block, vpc_key_place(key));
    }
}

/* Does the block with this index lie on its neighbour? Then its bitmap may not be its own */
static bool is_shared(const VpcCheck *c, size_t i)
{
    const uint64_t *key = &c->blocks.at[i];
    int64_t place = vpc_key_place(*key), bytes = vpc_stored_bytes(c->bs->state);

    return (i > 0 && place - vpc_key_place(key[-1]) < bytes) ||
           (i + 1 < c->blocks.count && vpc_key_place(key[1]) - place < bytes);
}

void vpc_check_bitmaps(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    g_autofree uint8_t *bitmap = g_try_malloc((gsize)s->bitmap_bytes);

    if (!bitmap) {
        vpc_found(c, -1, s->bat_offset, -1, "no memory for a bitmap of %" PRId64 " bytes", s->bitmap_bytes);
        return;
    }
    for (size_t i = 0; i < c->blocks.count; i++) {
        uint64_t key = c->blocks.at[i];

        if (!is_shared(c, i) && vpc_check_read(c, vpc_key_place(key), bitmap, s->bitmap_bytes, "bitmap")) {
            check_bitmap(c, key, bitmap);
        }
        bdrv_check_progress(c->found, (int64_t)i + 1, (int64_t)c->blocks.count);
    }
}
