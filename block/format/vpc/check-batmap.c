/* check-batmap.c - VHD: reports faults of the batmap, Xen's map of the blocks that are full */
/* SPDX-License-Identifier: MIT
 *
 * The batmap is read here. Its bits are compared with the blocks by vpc/check-blocks.c and vpc/check-bitmaps.c, which
 * call vpc_check_map_bits().
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/batmap.h"
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

#define BATMAP_ALWAYS   0x00010002      /* from this version on, tapdisk makes one in any case */
#define BATMAP_SIGNED   0x00010001      /* this version took the bytes of the map as signed */

int64_t vpc_map_summed(const VpcCheck *c)
{
    const VpcState *s = c->bs->state;

    return MIN(vpc_batmap_summed((int64_t)be64_load(s->footer.current_size)), c->map_bytes);
}

/* Sum up the map on disk. *@as_signed: the sum if the bytes are taken for signed ones */
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

/* Report a wrong sum. Programs do not agree on how much of the map is summed up */
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

/* Check that the part of the map that counts is in the file, and on nothing but itself. A block is believed, and a map
 * that lies on it is not */
static bool map_has_a_place(VpcCheck *c)
{
    const VpcState *s = c->bs->state;
    unsigned faults = vpc_judge_batmap(&c->batmap, c->map_bytes, s->read_limit);
    int64_t start = (int64_t)be64_load(c->batmap.offset), end = start + c->map_bytes;

    return !(faults & (VPC_MAP_UNALIGNED | VPC_MAP_SHORT | VPC_MAP_OUTSIDE)) &&
           !vpc_metadata_in(s, VPC_VITAL, false, start, end) && !vpc_metadata_in(s, VPC_NAMES, false, start, end) &&
           vpc_check_find_block(c, start, end) == INT64_MAX;
}

/* Report a map whose length reaches over something behind the part that counts */
static void check_map_length(VpcCheck *c, int64_t bytes)
{
    const VpcState *s = c->bs->state;
    int64_t behind = c->map_at + c->map_bytes, end = c->map_at + bytes;
    bool outside = vpc_judge_batmap(&c->batmap, c->map_bytes, s->read_limit) & VPC_MAP_END_OUTSIDE;
    bool over = outside || vpc_metadata_in(s, VPC_VITAL, false, behind, end) ||
                vpc_metadata_in(s, VPC_NAMES, false, behind, end);
    int64_t block = bytes > c->map_bytes && !over ? vpc_check_find_block(c, behind, end) : INT64_MAX;

    if (over || block < INT64_MAX) {
        vpc_found(c, VPC_BATMAP_LONG, c->batmap_at, -1,
                  "the batmap at %" PRId64 " is said to have %" PRId64 " bytes, and reaches over %s; it needs %" PRId64,
                  c->map_at, bytes, block < INT64_MAX ? "a block" : outside ? "the end of the image"
                  : "other metadata", c->map_bytes);
    }
}

static bool check_read_batmap(VpcCheck *c, int64_t at)
{
    VpcState *s = c->bs->state;

    return at + (int64_t)sizeof(c->batmap) <= s->read_limit &&
           vpc_check_read(c, at, &c->batmap, sizeof(c->batmap), "batmap") &&
           !(vpc_judge_batmap(&c->batmap, 0, s->read_limit) & VPC_MAP_NO_COOKIE);
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
        check_batmap_sum(c, MIN(whole, s->read_limit - c->map_at));
    }
}

void vpc_check_batmap(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t at = vpc_batmap_at(s);

    if (!vpc_creator_is(&s->footer, "tap") || c->needed == 0) {
        return;
    }
    if (!check_read_batmap(c, at)) {
        report_no_batmap(c, at);
        return;
    }
    if (c->needed > VPC_MAX_BAT / 4) {
        vpc_found(c, VPC_BATMAP_NONE, at, -1,
                  "the batmap of a disk of %" PRId64 " blocks is not looked at: nobody makes so many", c->needed);
        return;
    }
    uint64_t map_at = be64_load(c->batmap.offset);
    int64_t whole = vpc_batmap_length(&c->batmap);

    c->batmap_at = at;
    c->map_bytes = vpc_batmap_bytes(c->needed);
    if (!map_has_a_place(c)) {
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
