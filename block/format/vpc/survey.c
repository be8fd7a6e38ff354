/* survey.c - VHD: finds blocks in wrong places, and blocks that overlap, when an image is opened */
/* SPDX-License-Identifier: MIT
 *
 * The rules are in vpc/judge.c. A check reports the same faults, and more of them: vpc/check-blocks.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/survey.h"
#include "block/format/vpc/table.h"
#include "util/be.h"
#include "util/checked.h"

/* Return why a block with these faults, vpc_judge_place()'s, can't be used, as a clause; NULL: it can. Metadata that
 * the image can do without is no reason */
static const char *misplaced(unsigned faults)
{
    if (faults & VPC_PLACE_CUT) {
        return "lies past the end of the file";
    }
    return faults & (VPC_PLACE_TABLES | VPC_PLACE_OVER_TABLES) ? "lies on metadata" : NULL;
}

bool vpc_is_shared(const VpcState *s, int64_t block)
{
    const VpcKeys *shared = &s->overlapping;
    size_t at = shared->count ? vpc_keys_find(shared, (uint64_t)block) : 0;

    return at < shared->count && shared->at[at] == (uint64_t)block;
}

int vpc_allow_block(BlockDriverState *bs, int64_t block, int64_t place, bool write)
{
    const VpcState *s = bs->state;
    const char *why = misplaced(vpc_judge_place(s, block, place, bs->size));

    if (why) {
        bdrv_warn(bs, "B2", "block %" PRId64 " %s (BAT entry 0x%08" PRIx64 ")", block, why, place / VPC_SECTOR);
        return -EIO;
    }
    if (write && vpc_is_shared(s, block)) {
        bdrv_warn(bs, "B3", "block %" PRId64 " is not written to, since it shares its place with another (BAT entry "
                  "0x%08" PRIx64 ")", block, place / VPC_SECTOR);
        return -EIO;
    }
    return 0;
}

/* Kinds of warnings of a survey */
typedef enum { MISPLACED, ON_NAMES, SHARED, TROUBLES } Trouble;

typedef struct Survey {
    BlockDriverState *bs;
    VpcKeys blocks;
    int64_t count[TROUBLES];
} Survey;

/* Count @blocks more with this trouble. Are they among the first, each of which gets a warning? */
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
        bdrv_warn(survey->bs, "B2", "blocks %" PRId64 " to %" PRId64 ": their BAT entries are a hole in the file, "
                  "which is 0, and a block there %s", run->block, run->block + run->count - 1, why);
    } else {
        bdrv_warn(survey->bs, "B2", "block %" PRId64 " %s (BAT entry 0x%08x)", run->block, why, run->sector);
    }
}

/* Warn of blocks where none can be. One that ends inside the file may be mended one day */
static void survey_misplaced(Survey *survey, const VpcRun *run, const char *why)
{
    VpcState *s = survey->bs->state;
    int64_t place = (int64_t)run->sector * VPC_SECTOR, end = place + vpc_stored_bytes(s);

    s->damaged = true;
    warn_misplaced(survey, run, why);
    if (end > s->read_limit) {
        s->grow_limit = MIN(s->grow_limit, place);
    } else {
        s->blocks_end = MAX(s->blocks_end, end);
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
    unsigned faults = vpc_judge_place(s, run->block, place, bs->size);
    const char *why = misplaced(faults);

    if (why) {
        survey_misplaced(survey, run, why);
        return 0;
    }
    if (faults & VPC_PLACE_OVER_ROOM) {
        s->damaged = true;
        if (is_told(survey, ON_NAMES, 1)) {
            bdrv_warn(bs, "B2", "block %" PRId64 " lies on metadata that the image can do without (BAT entry 0x%08x)",
                      run->block, run->sector);
        }
    }
    s->blocks_end = MAX(s->blocks_end, end);
    s->first_block = MIN(s->first_block, place);
    return vpc_keys_add(&survey->blocks, vpc_key(run->sector, run->block)) ? 0 : -ENOMEM;
}

/* Mark the block of @key, which has a place that another block has, too: all of it ("B3") or a part ("B4") */
static int mark_overlapping(Survey *survey, uint64_t key, const char *code)
{
    VpcState *s = survey->bs->state;
    int64_t block = vpc_key_block(key);

    s->damaged = true;
    if (is_told(survey, SHARED, 1)) {
        bdrv_warn(survey->bs, code, "block %" PRId64 " shares its place with another (BAT entry 0x%08x): at most one "
                  "of them is right, and neither is written to", block, (uint32_t)(key >> 32));
    }
    return vpc_keys_add(&s->overlapping, (uint64_t)block) ? 0 : -ENOMEM;
}

/* Mark blocks that overlap others. All are of one length, so that a block can only overlap its neighbours in the file,
 * or theirs */
static int find_overlapping(Survey *survey)
{
    VpcState *s = survey->bs->state;
    VpcKeys *blocks = &survey->blocks;
    bool marked = false;        /* the one before, already */
    int ret = 0;

    vpc_keys_sort(blocks);
    for (size_t i = 1; i < blocks->count && ret == 0; i++) {
        uint64_t before = blocks->at[i - 1], key = blocks->at[i];
        const char *code = vpc_key_place(key) == vpc_key_place(before) ? "B3" : "B4";
        bool overlap = vpc_overlap(s, before, key);

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

    if (run->sector == VPC_UNUSED || misplaced(vpc_judge_place(s, run->block, place, survey->bs->size))) {
        return 0;
    }
    return vpc_keys_add(&survey->blocks, vpc_key(run->sector, run->block)) ? 0 : -ENOMEM;
}

void vpc_look_for_shared(BlockDriverState *bs)
{
    VpcState *s = bs->state;

    if (s->surveyed || (bs->flags & BDRV_O_RDWR)) {
        return;
    }
    int64_t needed = vpc_blocks_in(bs->size, s->block_size);
    Survey survey = { bs };
    int ret = vpc_walk_bat(bs, MIN(vpc_bat_entries(s), needed), keep_place, &survey);

    ret = ret < 0 ? ret : find_overlapping(&survey);
    tell_rest(&survey);
    vpc_keys_free(&survey.blocks);
    if (ret < 0) {
        bdrv_warn(bs, "IO", "it is not known whether blocks share their places, since not all of the BAT could be "
                  "looked through: %s", g_strerror(-ret));
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

void vpc_warn_of_hidden(BlockDriverState *bs, int64_t block, int64_t place, int64_t first, int64_t last)
{
    VpcState *s = bs->state;
    int64_t at = place + s->bitmap_bytes + first * VPC_SECTOR;

    if (__atomic_load_n(&s->was_written, __ATOMIC_RELAXED) ||
        __atomic_load_n(&s->hidden_told, __ATOMIC_RELAXED) >= VPC_MOST_TOLD ||
        __atomic_load_n(&s->hidden_block, __ATOMIC_RELAXED) == block + 1 ||
        vpc_is_zero(bs, at, (last - first) * VPC_SECTOR) != 0) {
        return;
    }
    __atomic_store_n(&s->hidden_block, block + 1, __ATOMIC_RELAXED);
    int told = __atomic_add_fetch(&s->hidden_told, 1, __ATOMIC_RELAXED);
    bdrv_warn(bs, "S1", "block %" PRId64 " has data at %" PRId64 " in sectors whose bits are clear: they are read as "
              "zeroes, and other programs show the data%s", block, at,
              told < VPC_MOST_TOLD ? "; salvage=on reads it, and check -r all sets the bits"
              : "; see check for more of these, which are not told of here");
}

int64_t vpc_misplaced_end(BlockDriverState *bs, const VpcTable *piece, int64_t block)
{
    const VpcState *s = bs->state;
    uint32_t sector = be32_load(vpc_entry_in(s, piece, block));
    int64_t most = MAX(MIN((bs->size - 1) / s->block_size, vpc_bat_entries(s)), block + 1), next = block + 1;
    int64_t here = MIN((piece->end - s->bat_offset) / 4, most), hole = (most - here) * 4;

    while (next < here && be32_load(vpc_entry_in(s, piece, next)) == sector) {
        next++;
    }
    if (sector == 0 && next == here && here < most && vpc_is_hole(bs, s->bat_offset + here * 4, &hole)) {
        next += hole / 4;
    }
    if (next > block + 1) {
        bdrv_warn(bs, "B2", "so do blocks %" PRId64 " to %" PRId64 ", which have the same BAT entry as block %" PRId64,
                  block + 1, next - 1, block);
    }
    return next * s->block_size;
}
