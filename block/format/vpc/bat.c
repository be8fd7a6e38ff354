/* bat.c - VHD: one walk over a BAT, and lists of its blocks */
/* SPDX-License-Identifier: MIT
 *
 * A header may claim a BAT as long as the file, and a file of a few KiB may be a hole of a TiB. What is a hole is not
 * read: its entries are zeroes, which the walk hands out as one run. So time and memory go with the bytes that are
 * there, not with a number in the header.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/format/vpc/vpc.h"
#include "util/iszero.h"
#include "util/be.h"
#include "util/checked.h"

#define FIRST_KEYS 64

bool vpc_is_hole(BlockDriverState *bs, int64_t offset, int64_t *bytes)
{
    BlockStatus st;
    bool known = bdrv_node_status(bs->file, offset, *bytes, BDRV_STATUS_WANT_ZERO, &st) == 0;
    bool hole = known && st.zero && st.bytes >= MIN(*bytes, VPC_SECTOR);

    if (hole && st.bytes < *bytes) {
        *bytes = align_down(st.bytes, VPC_SECTOR);
    } else if (known && !hole) {
        *bytes = MIN(*bytes, align_up(st.bytes, VPC_SECTOR));
    }
    return hole;
}

int vpc_is_zero(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_try_malloc(VPC_BAT_PIECE);
    int zero = buf ? 1 : -ENOMEM;

    for (int64_t done = 0, n; done < bytes && zero == 1; done += n) {
        n = bytes - done;
        if (vpc_is_hole(bs, offset + done, &n)) {
            continue;
        }
        n = MIN(n, VPC_BAT_PIECE);
        int ret = bdrv_node_pread(bs->file, offset + done, buf, n);
        zero = ret < 0 ? ret : block_is_zero(buf, (size_t)n);
    }
    return zero;
}

/* Calls @function for each run in a piece that was read */
static int each_run(const uint8_t *piece, int64_t block, int64_t count, VpcRunFunction *function, void *user)
{
    int ret = 0;

    for (int64_t i = 0, n; i < count && ret == 0; i += n) {
        uint32_t sector = be32_load(piece + i * 4);

        for (n = 1; sector == VPC_UNUSED && i + n < count && be32_load(piece + (i + n) * 4) == VPC_UNUSED; n++) {
        }
        ret = function(user, &(VpcRun) { block + i, n, sector, false });
    }
    return ret;
}

int vpc_walk_bat(BlockDriverState *bs, int64_t count, VpcRunFunction *function, void *user)
{
    const VpcState *s = bs->state;
    g_autofree uint8_t *piece = g_try_malloc(VPC_BAT_PIECE);
    int ret = piece ? 0 : -ENOMEM;

    for (int64_t at = 0, n; at < count * 4 && ret == 0; at += n) {
        n = count * 4 - at;
        if (vpc_is_hole(bs, s->bat_offset + at, &n)) {
            ret = function(user, &(VpcRun) { at / 4, n / 4, 0, true });
            continue;
        }
        n = MIN(n, VPC_BAT_PIECE);
        ret = bdrv_node_pread(bs->file, s->bat_offset + at, piece, n);
        ret = ret < 0 ? ret : each_run(piece, at / 4, n / 4, function, user);
    }
    return ret;
}

bool vpc_keys_add(VpcKeys *keys, uint64_t key)
{
    if (keys->count == keys->room) {
        size_t room = keys->room ? 2 * keys->room : FIRST_KEYS;
        uint64_t *more = room <= SIZE_MAX / sizeof(*more) ? g_try_realloc(keys->at, room * sizeof(*more)) : NULL;

        if (!more) {
            return false;
        }
        keys->at = more;
        keys->room = room;
    }
    keys->at[keys->count++] = key;
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

void vpc_keys_sort(VpcKeys *keys)
{
    size_t sorted = 1;

    while (sorted < keys->count && keys->at[sorted - 1] <= keys->at[sorted]) {
        sorted++;
    }
    if (sorted < keys->count) {
        qsort(keys->at, keys->count, sizeof(*keys->at), by_number);
    }
}

size_t vpc_keys_find(const VpcKeys *keys, uint64_t key)
{
    size_t first = 0, end = keys->count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (keys->at[middle] < key) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

void vpc_keys_free(VpcKeys *keys)
{
    g_free(keys->at);
    *keys = (VpcKeys) { 0 };
}
