/* survey.c - VHD: where the tables are, and the blocks: which are where they can't be, or on each other */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"


/* Remember a place where no new block may be. False if what is @used there is not inside the file. What is only claimed
 * behind that counts as far as the file goes */
static bool claim(VpcState *s, VpcUse use, uint64_t start, uint64_t used, uint64_t bytes, int64_t file_size)
{
    uint64_t size = (uint64_t)file_size;

    if (start > size || used > size - start) {
        s->promised = used > 0 ? (int64_t)MIN((uint64_t)s->promised, start) : s->promised;
        return false;
    }
    uint64_t end = start + MIN(bytes, size - start);

    if (bytes > 0) {
        s->metadata[s->metadata_count++] =
            (VpcRange) { (int64_t)start, (int64_t)end, (int64_t)(start + used), use, -1 };
    }
    return true;
}

static void claim_locators(BlockDriverState *bs, int64_t file_size)
{
    VpcState *s = bs->state;

    for (size_t i = 0; i < G_N_ELEMENTS(s->header.locators); i++) {
        const VpcLocator *l = &s->header.locators[i];
        uint64_t space = be32_load(l->space), at = be64_load(l->offset);

        space *= space < VPC_SECTOR ? VPC_SECTOR : 1;
        uint64_t used = MIN(space, MIN(be32_load(l->length), VPC_MAX_LOCATOR));

        if (!be32_load(l->code)) {
            continue;
        }
        if (!claim(s, VPC_NAMES, at, used, space, file_size)) {
            bdrv_warn(bs, "L1", "parent locator %zu at %" PRIu64 " is not inside the file", i, at);
            continue;
        }
        if (space > 0) {
            s->metadata[s->metadata_count - 1].slot = (int)i;
        }
        if (space > (uint64_t)file_size - at) {
            s->unsound = true;
            bdrv_warn(bs, "L1", "parent locator %zu at %" PRIu64 " has room for %" PRIu64 " bytes, more than there are in "
                      "the file", i, at, space);
        }
    }
}

/* Reading does without it */
static void claim_batmap(BlockDriverState *bs, int64_t file_size)
{
    VpcState *s = bs->state;
    int64_t at = s->bat_offset + vpc_bat_padded(s);
    int64_t needed = align_up((vpc_bat_entries(s) + 7) / 8, VPC_SECTOR);
    VpcBatmap map;

    if (!vpc_creator_is(&s->footer, "tap") || at >= file_size) {
        return;
    }
    int ret = bdrv_node_pread(bs->file, at, &map, sizeof(map));
    if (ret < 0) {
        bdrv_warn(bs, "M3", "could not read the batmap at %" PRId64 ": %s", at, g_strerror(-ret));
        return;
    }
    uint64_t map_at = be64_load(map.offset), bytes = (uint64_t)be32_load(map.sectors) * VPC_SECTOR;

    if (memcmp(map.cookie, VPC_BATMAP_COOKIE, 8)) {
        return;
    }
    if (!claim(s, VPC_NAMES, (uint64_t)at, sizeof(map), sizeof(map), file_size) ||
        !claim(s, VPC_MAP, map_at, MIN(bytes, (uint64_t)needed), bytes, file_size)) {
        bdrv_warn(bs, "M3", "batmap at %" PRIu64 " is not inside the file", map_at);
    } else if (bytes > (uint64_t)file_size - map_at) {
        s->unsound = true;
        bdrv_warn(bs, "M3", "batmap at %" PRIu64 " has %" PRIu64 " bytes, more than there are in the file", map_at, bytes);
    }
}

static void claim_vital(VpcState *s, int64_t start, int64_t bytes, int64_t file_size)
{
    claim(s, VPC_VITAL, (uint64_t)start, (uint64_t)bytes, (uint64_t)bytes, file_size);
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
    claim_vital(s, 0, VPC_SECTOR, file_size);
    claim_vital(s, header, sizeof(VpcHeader), file_size);
    claim_vital(s, s->bat_offset, s->bat_bytes, file_size);
    claim_locators(bs, file_size);
    claim_batmap(bs, file_size);
    return true;
}

const VpcRange *vpc_metadata_in(const VpcState *s, VpcUse use, bool room, int64_t start, int64_t end)
{
    for (unsigned i = 0; i < s->metadata_count; i++) {
        const VpcRange *range = &s->metadata[i];

        if (range->use == use && start < (room ? range->end : range->used) && range->start < end) {
            return range;
        }
    }
    return NULL;
}

const char *vpc_misplaced(const VpcState *s, int64_t block, int64_t place, int64_t disk_size)
{
    int64_t data = place + s->bitmap_bytes;
    int64_t reach = MIN(s->block_size, disk_size - block * s->block_size);   /* the last may be cut short */

    if (data + align_up(reach, VPC_SECTOR) > s->limit) {
        return "lies past the end of the file";
    }
    return vpc_metadata_in(s, VPC_VITAL, false, place, data + s->block_size) ? "lies on metadata" : NULL;
}

bool vpc_is_shared(const VpcState *s, int64_t block)
{
    const VpcKeys *shared = &s->overlapping;
    size_t at = shared->count ? vpc_keys_find(shared, (uint64_t)block) : 0;

    return at < shared->count && shared->at[at] == (uint64_t)block;
}

int vpc_check_block(BlockDriverState *bs, int64_t block, int64_t place, bool write)
{
    const VpcState *s = bs->state;
    const char *why = vpc_misplaced(s, block, place, bs->size);

    if (why) {
        bdrv_warn(bs, "B2", "block %" PRId64 " %s (BAT entry 0x%08" PRIx64 ")", block, why, place / VPC_SECTOR);
        return -EIO;
    }
    if (write && vpc_is_shared(s, block)) {
        bdrv_warn(bs, "B3", "block %" PRId64 " is not written to, since it shares its place with another (BAT entry 0x%08" PRIx64
                  ")", block, place / VPC_SECTOR);
        return -EIO;
    }
    return 0;
}

/* What a survey warns of */
typedef enum { MISPLACED, ON_NAMES, SHARED, TROUBLES } Trouble;

typedef struct Survey {
    BlockDriverState *bs;
    VpcKeys blocks;
    int64_t count[TROUBLES];
} Survey;

/* Counts @blocks more of them. Are these still among the first, which are described? */
static bool is_told(Survey *survey, Trouble trouble, int64_t blocks)
{
    bool first = survey->count[trouble] < VPC_MOST_TOLD;

    survey->count[trouble] += blocks;
    return first;
}

static void tell_rest(const Survey *survey)
{
    static const char *const what[TROUBLES] = {
        [MISPLACED] = "lie past the end of the file or on metadata",
        [ON_NAMES] = "lie on metadata that the image can do without",
        [SHARED] = "share their places with others",
    };

    for (int i = 0; i < TROUBLES; i++) {
        if (survey->count[i] > VPC_MOST_TOLD) {
            bdrv_warn(survey->bs, i == SHARED ? "B3" : "B2", "%" PRId64 " blocks in all %s", survey->count[i], what[i]);
        }
    }
}

static void warn_misplaced(Survey *survey, const VpcRun *run, const char *why)
{
    if (!is_told(survey, MISPLACED, run->count)) {
        return;
    }
    if (run->count > 1) {
        bdrv_warn(survey->bs, "B2", "blocks %" PRId64 " to %" PRId64 ": their BAT entries are a hole in the file, which is "
                  "0, and a block there %s", run->block, run->block + run->count - 1, why);
    } else {
        bdrv_warn(survey->bs, "B2", "block %" PRId64 " %s (BAT entry 0x%08x)", run->block, why, run->sector);
    }
}

/* Blocks where none can be. One that ends inside the file may be mended one day */
static void survey_misplaced(Survey *survey, const VpcRun *run, const char *why)
{
    VpcState *s = survey->bs->state;
    int64_t place = (int64_t)run->sector * VPC_SECTOR, end = place + vpc_stored_bytes(s);

    s->unsound = true;
    warn_misplaced(survey, run, why);
    if (end > s->limit) {
        s->ceiling = MIN(s->ceiling, place);
    } else {
        s->end = MAX(s->end, end);
    }
}

static int survey_run(void *user, const VpcRun *run)
{
    Survey *survey = user;
    BlockDriverState *bs = survey->bs;
    VpcState *s = bs->state;
    int64_t place = (int64_t)run->sector * VPC_SECTOR, end = place + vpc_stored_bytes(s);

    if (run->sector == VPC_UNUSED) {
        return 0;
    }
    s->allocated += run->count;
    const char *why = vpc_misplaced(s, run->block, place, MAX(bs->size, run->block * s->block_size));
    if (why) {
        survey_misplaced(survey, run, why);
        return 0;
    }
    if (vpc_metadata_in(s, VPC_NAMES, true, place, end) || vpc_metadata_in(s, VPC_MAP, true, place, end)) {
        s->unsound = true;
        if (is_told(survey, ON_NAMES, 1)) {
            bdrv_warn(bs, "B2", "block %" PRId64 " lies on metadata that the image can do without (BAT entry 0x%08x)",
                      run->block, run->sector);
        }
    }
    s->end = MAX(s->end, end);
    s->lowest = MIN(s->lowest, place);
    return vpc_keys_add(&survey->blocks, vpc_key(run->sector, run->block)) ? 0 : -ENOMEM;
}

/* Mark the block of @key, which has a place that another block has, too: all of it ("B3") or a part ("B4") */
static int mark_overlapping(Survey *survey, uint64_t key, const char *code)
{
    VpcState *s = survey->bs->state;
    int64_t block = vpc_key_block(key);

    s->unsound = true;
    if (is_told(survey, SHARED, 1)) {
        bdrv_warn(survey->bs, code, "block %" PRId64 " shares its place with another (BAT entry 0x%08x): at most one of them "
                  "is right, and neither is written to", block, (uint32_t)(key >> 32));
    }
    return vpc_keys_add(&s->overlapping, (uint64_t)block) ? 0 : -ENOMEM;
}

/* All blocks are of one length, so that a block can only overlap its neighbours in the file, or theirs */
static int find_overlapping(Survey *survey)
{
    VpcState *s = survey->bs->state;
    VpcKeys *blocks = &survey->blocks;
    bool marked = false;        /* the one before, already */
    int ret = 0;

    vpc_keys_sort(blocks);
    for (size_t i = 1; i < blocks->count && ret == 0; i++) {
        uint64_t before = blocks->at[i - 1], key = blocks->at[i];
        int64_t apart = vpc_key_place(key) - vpc_key_place(before);
        const char *code = apart == 0 ? "B3" : "B4";
        bool overlap = apart < vpc_stored_bytes(s);

        if (overlap && !marked) {
            ret = mark_overlapping(survey, before, code);
        }
        if (overlap && ret == 0) {
            ret = mark_overlapping(survey, key, code);
        }
        marked = overlap;
    }
    vpc_keys_sort(&s->overlapping);
    return ret;
}

/* Keep the place of a block of the disk that can be where its BAT entry says */
static int keep_place(void *user, const VpcRun *run)
{
    Survey *survey = user;
    const VpcState *s = survey->bs->state;
    int64_t place = (int64_t)run->sector * VPC_SECTOR;

    if (run->sector == VPC_UNUSED || vpc_misplaced(s, run->block, place, survey->bs->size)) {
        return 0;
    }
    return vpc_keys_add(&survey->blocks, vpc_key(run->sector, run->block)) ? 0 : -ENOMEM;
}

void vpc_look_for_shared(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    int64_t needed = vpc_blocks_in(bs->size, s->block_size);
    Survey survey = { bs };
    int ret = vpc_walk_bat(bs, MIN(vpc_bat_entries(s), needed), keep_place, &survey);

    ret = ret < 0 ? ret : find_overlapping(&survey);
    tell_rest(&survey);
    vpc_keys_free(&survey.blocks);
    if (ret < 0) {
        bdrv_warn(bs, "IO", "it is not known whether blocks share their places, since not all of the BAT could be looked "
                  "through: %s", g_strerror(-ret));
    }
    s->surveyed = true;
}

bool vpc_survey(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    Survey survey = { bs };
    int ret = vpc_walk_bat(bs, vpc_bat_entries(s), survey_run, &survey);

    ret = ret < 0 ? ret : find_overlapping(&survey);
    tell_rest(&survey);
    vpc_keys_free(&survey.blocks);
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not look through the BAT of %" PRId64 " entries at %" PRId64 ": %s",
                       vpc_bat_entries(s), s->bat_offset, g_strerror(-ret));
    }
    return ret == 0;
}
