/* metadata.c - VHD: where the tables are, and the parent locators */
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

/* Remember a place where no new block may be. False if what is @used there is not inside the file. What is only claimed
 * behind that counts as far as the file goes */
static bool claim(VpcState *s, VpcUse use, uint64_t start, uint64_t used, uint64_t bytes, int64_t file_size)
{
    uint64_t size = (uint64_t)file_size;

    if (start > size || used > size - start) {
        s->lost_metadata = used > 0 ? (int64_t)MIN((uint64_t)s->lost_metadata, start) : s->lost_metadata;
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
        uint64_t space = (uint64_t)vpc_locator_space(l), at = be64_load(l->offset);

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
            s->damaged = true;
            bdrv_warn(bs, "L1", "parent locator %zu at %" PRIu64 " has room for %" PRIu64 " bytes, more than there are in "
                      "the file", i, at, space);
        }
    }
}

/* Claim the places of the batmap's header and map, which reading does without */
static void claim_batmap(BlockDriverState *bs, int64_t file_size)
{
    VpcState *s = bs->state;
    int64_t at = vpc_batmap_at(s);
    int64_t needed = vpc_batmap_bytes(vpc_bat_entries(s));
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
        s->damaged = true;
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
    s->lost_metadata = INT64_MAX;
    claim_vital(s, 0, VPC_SECTOR, file_size);
    claim_vital(s, header, sizeof(VpcHeader), file_size);
    claim_vital(s, s->bat_offset, s->bat_bytes, file_size);
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
