/* vpc-survey.c - VHD: where the tables are, and the blocks: which are where they can't be, or on each other */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/vpc.h"
#include "util/be.h"
#include "util/checked.h"

/* Remember a place where no block may be. False if it is not inside the file */
static bool claim(VpcState *s, uint64_t start, uint64_t bytes, int64_t file_size)
{
    if (start > (uint64_t)file_size || bytes > (uint64_t)file_size - start) {
        s->promised = (int64_t)MIN((uint64_t)s->promised, start);
        return false;
    }
    if (bytes > 0) {
        s->metadata[s->metadata_count++] = (VpcRange) { (int64_t)start, (int64_t)(start + bytes) };
    }
    return true;
}

static void claim_locators(BlockDriverState *bs, int64_t file_size)
{
    VpcState *s = bs->state;

    for (size_t i = 0; i < G_N_ELEMENTS(s->header.locators); i++) {
        const VpcLocator *l = &s->header.locators[i];
        uint64_t space = be32_load(l->space);

        space *= space < VPC_SECTOR ? VPC_SECTOR : 1;
        if (be32_load(l->code) && !claim(s, be64_load(l->offset), space, file_size)) {
            bdrv_warn(bs, "parent locator %zu at %" PRIu64 " is not inside the file", i, be64_load(l->offset));
        }
    }
}

static bool claim_batmap(BlockDriverState *bs, int64_t file_size, GError **errp)
{
    VpcState *s = bs->state;
    int64_t at = s->bat_offset + align_up(s->bat_bytes, VPC_SECTOR);
    VpcBatmap map;

    if (!vpc_creator_is(&s->footer, "tap") || at >= file_size) {
        return true;
    }
    if (!vpc_read(bs, at, &map, sizeof(map), "batmap", errp)) {
        return false;
    }
    if (!memcmp(map.cookie, VPC_BATMAP_COOKIE, 8) &&
        !(claim(s, (uint64_t)at, sizeof(map), file_size) &&
          claim(s, be64_load(map.offset), (uint64_t)be32_load(map.sectors) * VPC_SECTOR, file_size))) {
        bdrv_warn(bs, "batmap at %" PRIu64 " is not inside the file", be64_load(map.offset));
    }
    return true;
}

bool vpc_claim_metadata(BlockDriverState *bs, int64_t file_size, GError **errp)
{
    VpcState *s = bs->state;
    int64_t header = (int64_t)be64_load(s->footer.data_offset), bat_end = s->bat_offset + s->bat_bytes;

    if (s->bat_offset < VPC_SECTOR || (s->bat_offset < header + (int64_t)sizeof(VpcHeader) && header < bat_end)) {
        bdrv_set_error(errp, EINVAL, "dynamic header: BAT at %" PRId64 " overlaps the %s", s->bat_offset,
                       s->bat_offset < VPC_SECTOR ? "footer's copy" : "header");
        return false;
    }
    s->promised = INT64_MAX;
    claim(s, 0, VPC_SECTOR, file_size);
    claim(s, (uint64_t)header, sizeof(VpcHeader), file_size);
    claim(s, (uint64_t)s->bat_offset, (uint64_t)s->bat_bytes, file_size);
    claim_locators(bs, file_size);
    return claim_batmap(bs, file_size, errp);
}

const char *vpc_misplaced(const VpcState *s, int64_t block, int64_t place, int64_t disk_size)
{
    int64_t data = place + s->bitmap_bytes;
    int64_t reach = MIN(s->block_size, disk_size - block * s->block_size);   /* the last may be cut short */

    if (data + align_up(reach, VPC_SECTOR) > s->limit) {
        return "lies past the end of the file";
    }
    for (unsigned i = 0; i < s->metadata_count; i++) {
        if (place < s->metadata[i].end && s->metadata[i].start < data + s->block_size) {
            return "lies on metadata";
        }
    }
    return NULL;
}

int vpc_check_block(BlockDriverState *bs, int64_t block, int64_t place, bool write)
{
    const VpcState *s = bs->state;
    const char *why = vpc_misplaced(s, block, place, bs->size);

    if (!why && write && s->overlapping && g_hash_table_contains(s->overlapping, GSIZE_TO_POINTER((gsize)block))) {
        why = "shares its place with another";
    }
    if (why) {
        bdrv_warn(bs, "block %" PRId64 " %s (BAT entry 0x%08" PRIx64 ")", block, why, place / VPC_SECTOR);
    }
    return why ? -EIO : 0;
}

/* Blocks of a BAT, as numbers that sort by their place */
typedef struct Survey {
    BlockDriverState *bs;
    GArray *blocks;             /* uint64_t: sector << 32 | block */
    bool sorted;
} Survey;

static void survey_entry(Survey *survey, int64_t block, uint32_t sector)
{
    BlockDriverState *bs = survey->bs;
    VpcState *s = bs->state;
    int64_t place = (int64_t)sector * VPC_SECTOR, end = place + s->bitmap_bytes + s->block_size;
    const char *why = vpc_misplaced(s, block, place, MAX(bs->size, block * s->block_size));
    uint64_t key = (uint64_t)sector << 32 | (uint64_t)block;
    GArray *blocks = survey->blocks;

    s->allocated++;
    if (why) {
        s->unsound = true;
        bdrv_warn(bs, "block %" PRId64 " %s (BAT entry 0x%08x)", block, why, sector);
        if (end > s->limit) {
            s->ceiling = MIN(s->ceiling, place);
        } else {
            s->end = MAX(s->end, end);      /* it may be mended one day */
        }
        return;
    }
    s->end = MAX(s->end, end);
    s->lowest = MIN(s->lowest, place);
    survey->sorted &= !blocks->len || g_array_index(blocks, uint64_t, blocks->len - 1) < key;
    g_array_append_val(blocks, key);
}

static int by_number(gconstpointer a, gconstpointer b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void mark_overlapping(BlockDriverState *bs, uint64_t key)
{
    VpcState *s = bs->state;
    uint32_t block = (uint32_t)key;

    s->unsound = true;
    if (!s->overlapping) {
        s->overlapping = g_hash_table_new(NULL, NULL);
    }
    if (g_hash_table_add(s->overlapping, GSIZE_TO_POINTER(block))) {
        bdrv_warn(bs, "block %u shares its place with another (BAT entry 0x%08x): it is not written to", block,
                  (uint32_t)(key >> 32));
    }
}

/* All blocks are of one length, so that a block can only overlap its neighbours in the file, or theirs */
static void find_overlapping(Survey *survey)
{
    VpcState *s = survey->bs->state;
    GArray *blocks = survey->blocks;
    uint64_t sectors = (uint64_t)(s->bitmap_bytes + s->block_size) / VPC_SECTOR;

    if (!survey->sorted) {
        g_array_sort(blocks, by_number);
    }
    for (guint i = 1; i < blocks->len; i++) {
        uint64_t before = g_array_index(blocks, uint64_t, i - 1), key = g_array_index(blocks, uint64_t, i);

        if ((key >> 32) - (before >> 32) < sectors) {
            mark_overlapping(survey->bs, before);
            mark_overlapping(survey->bs, key);
        }
    }
}

bool vpc_survey(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    g_autofree uint8_t *piece = g_malloc(VPC_BAT_PIECE);
    Survey survey = { bs, g_array_new(FALSE, FALSE, sizeof(uint64_t)), true };
    bool ok = true;

    for (int64_t at = 0; ok && at < s->bat_bytes; at += VPC_BAT_PIECE) {
        int64_t bytes = MIN(s->bat_bytes - at, VPC_BAT_PIECE);

        ok = vpc_read(bs, s->bat_offset + at, piece, bytes, "BAT", errp);
        for (int64_t i = 0; ok && i < bytes; i += 4) {
            uint32_t sector = be32_load(piece + i);

            if (sector != VPC_UNUSED) {
                survey_entry(&survey, (at + i) / 4, sector);
            }
        }
    }
    if (ok) {
        find_overlapping(&survey);
    }
    g_array_unref(survey.blocks);
    return ok;
}
