/* metadata.c - VHD: remembers where tables and parent locators are, so that no new block goes there */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/batmap.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

/* Remember that no new block may be in the @room at @start, whose first @used bytes are inside the file. What is behind
 * them counts as far as the file goes. @slot: of a locator; else -1 */
static void claim(VpcState *s, VpcUse use, int slot, int64_t start, int64_t used, int64_t room, int64_t file_size)
{
    if (room > 0) {
        s->metadata[s->metadata_count++] =
            (VpcRange) { start, start + MIN(room, file_size - start), start + used, use, slot };
    }
}

/* Remember that @used bytes are said to be at @start, and are not inside the file */
static void lose(VpcState *s, uint64_t start, int64_t used)
{
    if (used > 0) {
        s->lost_metadata = (int64_t)MIN((uint64_t)s->lost_metadata, start);
    }
}

/* Claim a place all of which is used, or lose it. False: it is lost */
static bool claim_or_lose(VpcState *s, VpcUse use, int64_t start, int64_t bytes, int64_t file_size)
{
    bool inside = ends_before((uint64_t)start, bytes, file_size);

    if (inside) {
        claim(s, use, -1, start, bytes, bytes, file_size);
    } else {
        lose(s, (uint64_t)start, bytes);
    }
    return inside;
}

static void claim_locators(BlockDriverState *bs, int64_t file_size)
{
    VpcState *s = bs->state;

    for (size_t i = 0; i < G_N_ELEMENTS(s->header.locators); i++) {
        const VpcLocator *l = &s->header.locators[i];
        int64_t space = vpc_locator_space(l), used = vpc_locator_used(l);
        uint64_t at = be64_load(l->offset);
        unsigned faults = vpc_judge_locator(l, file_size);

        if (!be32_load(l->code)) {
            continue;
        }
        if (faults & VPC_NAME_OUTSIDE) {
            lose(s, at, used);
            bdrv_warn(bs, "L1", "parent locator %zu at %" PRIu64 " is not inside the file", i, at);
            continue;
        }
        claim(s, VPC_NAMES, (int)i, (int64_t)at, used, space, file_size);
        if (faults & VPC_NAME_ROOM_OUTSIDE) {
            s->damaged = true;
            bdrv_warn(bs, "L1", "parent locator %zu at %" PRIu64 " has room for %" PRId64 " bytes, more than there are "
                      "in the file", i, at, space);
        }
    }
}

/* Read the header of the batmap. False: there is none, or it can't be read */
static bool read_batmap(BlockDriverState *bs, int64_t file_size, VpcBatmap *map)
{
    const VpcState *s = bs->state;
    int64_t at = vpc_batmap_at(s);

    if (!vpc_creator_is(&s->footer, "tap") || at >= file_size) {
        return false;
    }
    int ret = bdrv_node_pread(bs->file, at, map, sizeof(*map));
    if (ret < 0) {
        bdrv_warn(bs, "M3", "could not read the batmap at %" PRId64 ": %s", at, g_strerror(-ret));
        return false;
    }
    return !(vpc_judge_batmap(map, 0, file_size) & VPC_MAP_NO_COOKIE);
}

/* Claim the places of the batmap's header and map, without which the image can be read */
static void claim_batmap(BlockDriverState *bs, int64_t file_size)
{
    VpcState *s = bs->state;
    int64_t needed = vpc_batmap_bytes(vpc_bat_entries(s));
    VpcBatmap map;

    if (!read_batmap(bs, file_size, &map)) {
        return;
    }
    uint64_t map_at = be64_load(map.offset);
    int64_t bytes = vpc_batmap_length(&map), used = MIN(bytes, needed);
    unsigned faults = vpc_judge_batmap(&map, needed, file_size);
    bool inside = claim_or_lose(s, VPC_NAMES, vpc_batmap_at(s), sizeof(map), file_size);

    if (inside && faults & VPC_MAP_OUTSIDE) {
        lose(s, map_at, used);
        inside = false;
    }
    if (!inside) {
        bdrv_warn(bs, "M3", "batmap at %" PRIu64 " is not inside the file", map_at);
        return;
    }
    claim(s, VPC_MAP, -1, (int64_t)map_at, used, bytes, file_size);
    if (faults & VPC_MAP_END_OUTSIDE) {
        s->damaged = true;
        bdrv_warn(bs, "M3", "batmap at %" PRIu64 " has %" PRId64 " bytes, more than there are in the file", map_at,
                  bytes);
    }
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
    s->lost_metadata = INT64_MAX;
    claim_or_lose(s, VPC_VITAL, 0, VPC_SECTOR, file_size);
    claim_or_lose(s, VPC_VITAL, header, sizeof(VpcHeader), file_size);
    claim_or_lose(s, VPC_VITAL, s->bat_offset, s->bat_bytes, file_size);
    claim_locators(bs, file_size);
    claim_batmap(bs, file_size);
    return true;
}

int vpc_claim_again(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    GError *err = NULL;

    s->metadata_count = 0;
    if (vpc_claim_metadata(bs, s->tail_at, &err)) {
        return 0;
    }
    int ret = -bdrv_error_code(err);
    bdrv_error_free(err);
    return ret;
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
