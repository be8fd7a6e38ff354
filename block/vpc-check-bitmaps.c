/* vpc-check-bitmaps.c - VHD: the bitmaps of blocks, and Xen's map of those that are full */
/* SPDX-License-Identifier: MIT
 *
 * Each bitmap is read once, in the order in which they are in the file. Data is read where a bitmap says that
 * there should be none.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/vpc-check.h"
#include "util/be.h"
#include "util/checked.h"
#include "util/iszero.h"

#define BATMAP_ALWAYS   0x00010002      /* from this version on, tapdisk makes one in any case */
#define BATMAP_SIGNED   0x00010001      /* this version took the bytes of the map as signed */
#define XEN_BLOCK       (2 << 20)       /* the only block size there */

int64_t vpc_sectors_in(const VpcCheck *c, int64_t block)
{
    const VpcState *s = c->bs->state;
    int64_t bytes = CLAMP(c->disk_size - block * s->block_size, 0, s->block_size);

    return (bytes + VPC_SECTOR - 1) / VPC_SECTOR;
}

/* 1: a hole, as far as that is known */
static int is_hole(VpcCheck *c, int64_t offset, int64_t bytes)
{
    BlockStatus st;
    int ret = bdrv_node_status(c->bs->file, offset, bytes, BDRV_STATUS_WANT_ZERO, &st);

    return ret < 0 ? 0 : st.zero && st.bytes >= bytes;
}

int vpc_check_zero(VpcCheck *c, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_try_malloc(VPC_CHECK_PIECE);
    int zero = buf ? 1 : -ENOMEM;

    for (int64_t done = 0, n; done < bytes && zero == 1; done += n) {
        n = MIN(bytes - done, VPC_CHECK_PIECE);
        if (is_hole(c, offset + done, n)) {
            continue;
        }
        int ret = bdrv_node_pread(c->bs->file, offset + done, buf, n);
        zero = ret < 0 ? ret : block_is_zero(buf, (size_t)n);
    }
    return zero;
}

static int64_t find_in_piece(const uint8_t *data, uint8_t *bitmap, int64_t first, int64_t last)
{
    int64_t found = 0;

    for (int64_t i = first; i < last; i++) {
        if (!vpc_sector_is_set(bitmap, i) && !block_is_zero(data + (i - first) * VPC_SECTOR, VPC_SECTOR)) {
            bitmap[i / 8] |= 0x80 >> i % 8;
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
        int64_t at = place + s->bitmap_bytes + first * VPC_SECTOR;

        n = MIN(last - first, VPC_CHECK_PIECE / VPC_SECTOR);
        bool full = vpc_sector_is_set(bitmap, first) && vpc_run_end(bitmap, first, first + n) == first + n;
        if (full || is_hole(c, at, n * VPC_SECTOR)) {
            continue;
        }
        int ret = bdrv_node_pread(c->bs->file, at, buf, n * VPC_SECTOR);
        found = ret < 0 ? ret : found + find_in_piece(buf, bitmap, first, first + n);
    }
    return found;
}

/* The batmap */

int64_t vpc_batmap_summed(const VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    int64_t bytes = (int64_t)be64_load(s->footer.current_size) / XEN_BLOCK / 8;

    return MIN(MAX(round_up(bytes, VPC_SECTOR), VPC_SECTOR), c->map_bytes);
}

/* Of the map on disk. *@as_signed: if the bytes are taken for signed ones */
static int sum_map(VpcCheck *c, int64_t bytes, uint32_t *sum, uint32_t *as_signed)
{
    g_autofree uint8_t *buf = g_malloc(VPC_BAT_PIECE);
    int ret = 0;

    *sum = *as_signed = 0;
    for (int64_t at = 0, n; at < bytes && ret == 0; at += n) {
        n = MIN(bytes - at, VPC_BAT_PIECE);
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

    if (sum_map(c, vpc_batmap_summed(c), &sums[0], &as_signed[0]) < 0 ||
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

/* Is the map in the file, large enough, and on nothing but itself? */
static bool map_has_a_place(VpcCheck *c, uint64_t at, int64_t bytes)
{
    const VpcState *s = c->bs->state;
    unsigned others = 0;

    if (at % VPC_SECTOR || at > (uint64_t)s->limit || bytes > s->limit - (int64_t)at || bytes < c->map_bytes) {
        return false;
    }
    for (unsigned i = 0; i < s->metadata_count; i++) {
        others += (int64_t)at < s->metadata[i].end && s->metadata[i].start < (int64_t)at + bytes;
    }
    return others <= 1;
}

static bool read_batmap(VpcCheck *c, int64_t at)
{
    VpcState *s = c->bs->state;

    return at + (int64_t)sizeof(c->batmap) <= s->limit &&
           vpc_check_read(c, at, &c->batmap, sizeof(c->batmap), "batmap") &&
           !memcmp(c->batmap.cookie, VPC_BATMAP_COOKIE, 8);
}

void vpc_check_batmap(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t at = s->bat_offset + align_up(s->bat_bytes, VPC_SECTOR);

    if (!vpc_creator_is(&s->footer, "tap") || c->needed == 0) {
        return;
    }
    if (!read_batmap(c, at)) {
        if (be32_load(s->footer.creator_version) >= BATMAP_ALWAYS) {
            vpc_found(c, VPC_BATMAP_NONE, at, -1, "there is no batmap at %" PRId64, at);
        }
        return;
    }
    uint64_t map_at = be64_load(c->batmap.offset);
    int64_t whole = (int64_t)be32_load(c->batmap.sectors) * VPC_SECTOR;

    c->batmap_at = at;
    c->map_bytes = round_up((c->needed + 7) / 8, VPC_SECTOR);
    if (!map_has_a_place(c, map_at, whole)) {
        vpc_found(c, VPC_BATMAP_LOST, at, -1,
                  "the batmap at %" PRIu64 ", %" PRId64 " bytes, is outside the file, on other metadata, or too "
                  "short", map_at, whole);
        return;
    }
    c->map_at = (int64_t)map_at;
    c->map = g_try_malloc((gsize)c->map_bytes);
    if (!c->map) {
        vpc_found(c, -1, c->map_at, -1, "no memory for a batmap of %" PRId64 " bytes", c->map_bytes);
    } else if (vpc_check_read(c, c->map_at, c->map, c->map_bytes, "batmap")) {
        check_batmap_sum(c, whole);
    }
}

void vpc_check_map_bit(VpcCheck *c, int64_t block, const char *what)
{
    if (!c->map || block >= c->map_bytes * 8 || !vpc_sector_is_set(c->map, block)) {
        return;
    }
    c->map[block / 8] &= (uint8_t)~(0x80 >> block % 8);
    vpc_found(c, VPC_BATMAP_WRONG, c->map_at + block / 8, block,
              "block %" PRId64 " %s, and its bit is set", block, what);
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
    int zero = vpc_check_zero(c, end, bytes);
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
        vpc_check_key(c, VPC_DATA_PAST_END, key);
    }
}

static void report_clear(VpcCheck *c, uint64_t key)
{
    int64_t block = vpc_key_block(key), place = vpc_key_place(key);

    vpc_found(c, VPC_BLOCK_CLEAR, place, block, "block %" PRId64 " at %" PRId64 " has no sector", block, place);
    vpc_check_key(c, VPC_BLOCK_CLEAR, key);
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
        vpc_check_key(c, VPC_DATA_UNDER_CLEAR, key);
    } else if (empty) {
        report_clear(c, key);
    }
}

static void check_bitmap(VpcCheck *c, uint64_t key, uint8_t *bitmap)
{
    VpcState *s = c->bs->state;
    int64_t block = vpc_key_block(key), data = vpc_key_place(key) + s->bitmap_bytes, sectors = vpc_sectors_in(c, block);
    bool set = vpc_sector_is_set(bitmap, 0), all = vpc_run_end(bitmap, 0, sectors) == sectors;

    if (!all || !set) {
        vpc_check_map_bit(c, block, "has sectors that are not there");
    }
    check_past_end(c, key, bitmap, sectors);
    if (!(all && set) && !s->differencing) {
        check_clear_sectors(c, key, bitmap, sectors, all);
    } else if (all && !set) {
        report_clear(c, key);
    } else if (all && !s->differencing && is_hole(c, data, sectors * VPC_SECTOR)) {
        vpc_found(c, VPC_BLOCK_ZERO, data, block,
                  "block %" PRId64 " at %" PRId64 " is a hole in the file", block, vpc_key_place(key));
    }
}

/* Does the block with this index lie on its neighbour? Then its bitmap may not be its own */
static bool is_shared(const VpcCheck *c, guint i)
{
    int64_t place = vpc_key_place(g_array_index(c->blocks, uint64_t, i)), bytes = vpc_block_bytes(c->bs->state);

    return (i > 0 && place - vpc_key_place(g_array_index(c->blocks, uint64_t, i - 1)) < bytes) ||
           (i + 1 < c->blocks->len && vpc_key_place(g_array_index(c->blocks, uint64_t, i + 1)) - place < bytes);
}

void vpc_check_bitmaps(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    g_autofree uint8_t *bitmap = g_malloc((gsize)s->bitmap_bytes);

    for (guint i = 0; i < c->blocks->len; i++) {
        uint64_t key = g_array_index(c->blocks, uint64_t, i);

        if (!is_shared(c, i) && vpc_check_read(c, vpc_key_place(key), bitmap, s->bitmap_bytes, "bitmap")) {
            check_bitmap(c, key, bitmap);
        }
    }
}
