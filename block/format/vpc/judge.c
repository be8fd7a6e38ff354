/* judge.c - VHD: the rules about footer, header, BAT and blocks, and about the image behind a differencing disk */
/* SPDX-License-Identifier: MIT
 *
 * See judge.h. Rules about a parent locator are in vpc/locator.c, those about a batmap in vpc/batmap.c, and how the two
 * footers of a file compare is in vpc/ends.c.
 */
#include <inttypes.h>
#include <string.h>
#include "block/drivers.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

VpcFooterFault vpc_judge_footer(const VpcFooter *f)
{
    uint64_t size = be64_load(f->current_size);

    if (be32_load(f->version) >> 16 != VPC_VERSION >> 16) {
        return VPC_FOOTER_VERSION_BAD;
    }
    if (vpc_type(f) != VPC_FIXED && !vpc_is_sparse(f)) {
        return VPC_FOOTER_TYPE_BAD;
    }
    if (size > INT64_MAX) {
        return VPC_FOOTER_SIZE_BAD;
    }
    return size > INT64_MAX - VPC_MAX_BLOCK ? VPC_FOOTER_SIZE_HUGE : VPC_FOOTER_GOOD;
}

char *vpc_say_footer_fault(const VpcFooter *f, VpcFooterFault fault)
{
    uint32_t version = be32_load(f->version);

    switch (fault) {
    case VPC_FOOTER_GOOD:
        break;
    case VPC_FOOTER_VERSION_BAD:
        return g_strdup_printf("file format version is %u.%u, should be 1.0", version >> 16, version & 0xffff);
    case VPC_FOOTER_TYPE_BAD:
        return g_strdup_printf("disk type is %u, should be 2 (fixed), 3 (dynamic) or 4 (differencing)", vpc_type(f));
    case VPC_FOOTER_SIZE_BAD:
    case VPC_FOOTER_SIZE_HUGE:
        return g_strdup_printf("current size is %" PRIu64 " bytes, more than can be", be64_load(f->current_size));
    }
    return NULL;
}

bool vpc_is_plain_footer(const VpcFooter *f)
{
    const int64_t cylinder = (int64_t)VPC_MAX_HEADS * VPC_MAX_SECTORS * VPC_SECTOR;
    int64_t size = (int64_t)be64_load(f->current_size), chs = vpc_chs_size(f);
    bool fits = chs == VPC_MAX_CYLINDERS * cylinder || (chs <= size && size - chs <= cylinder);

    return vpc_has_cookie(f) && be32_load(f->version) == VPC_VERSION && be32_load(f->features) >> 2 == 0 && size > 0 &&
           size % VPC_SECTOR == 0 && fits;
}

bool vpc_is_header_place(uint64_t at, int64_t limit)
{
    return at >= VPC_SECTOR && at % VPC_SECTOR == 0 && ends_before(at, sizeof(VpcHeader), limit);
}

VpcHeaderFault vpc_judge_header(const VpcHeader *h, int64_t limit)
{
    uint32_t block_size = be32_load(h->block_size), entries = be32_load(h->entries);
    uint64_t table = be64_load(h->table_offset);

    if (!vpc_has_header_cookie(h)) {
        return VPC_HEADER_NO_COOKIE;
    }
    if (be32_load(h->version) >> 16 != VPC_HEADER_VERSION >> 16) {
        return VPC_HEADER_VERSION_BAD;
    }
    if (block_size < VPC_SECTOR || block_size % VPC_SECTOR || block_size > VPC_MAX_BLOCK) {
        return VPC_HEADER_BLOCK_SIZE_BAD;
    }
    if (entries > (uint64_t)limit / 4) {
        return VPC_HEADER_TOO_MANY_ENTRIES;
    }
    if (table % VPC_SECTOR) {
        return VPC_HEADER_BAT_UNALIGNED;
    }
    return table > (uint64_t)limit - 4 * (uint64_t)entries ? VPC_HEADER_BAT_OUTSIDE : VPC_HEADER_GOOD;
}

bool vpc_is_header_of(const VpcHeader *h, const VpcFooter *f)
{
    uint64_t size = be64_load(f->current_size);

    return vpc_has_header_cookie(h) && size > 0 && size <= (uint64_t)be32_load(h->entries) * be32_load(h->block_size);
}

unsigned vpc_judge_odd_header(const VpcHeader *h)
{
    uint32_t block_size = be32_load(h->block_size);
    unsigned odd = be64_load(h->data_offset) != UINT64_MAX ? VPC_ODD_DATA_OFFSET : 0;

    odd |= be32_load(h->version) != VPC_HEADER_VERSION ? VPC_ODD_VERSION : 0;
    odd |= block_size != 2 << 20 && block_size != 512 << 10 ? VPC_ODD_BLOCK_SIZE : 0;
    return odd | (is_power_of_two(block_size) ? 0 : VPC_ODD_BLOCK_SIZE_2);
}

int64_t vpc_spare_entries(const VpcState *s, int64_t disk_size)
{
    /* s->block_size is 0 while a check has not accepted the header */
    return vpc_bat_entries(s) - vpc_blocks_in(disk_size, be32_load(s->header.block_size));
}

bool vpc_is_padding(const uint8_t *bytes, int64_t count)
{
    int64_t same = 0;

    while (same < count && bytes[same] == bytes[0] && (bytes[0] == 0xff || bytes[0] == 0)) {
        same++;
    }
    return same == count;
}

unsigned vpc_judge_place(const VpcState *s, int64_t block, int64_t place, int64_t disk_size)
{
    int64_t data = place + s->bitmap_bytes, end = data + s->block_size;
    unsigned faults = data > s->read_limit ? VPC_PLACE_OUTSIDE : 0;

    if (data + vpc_bytes_in(s, block, disk_size) > s->read_limit) {
        faults |= VPC_PLACE_CUT;
    }
    faults |= vpc_metadata_in(s, VPC_VITAL, false, place, data) ? VPC_PLACE_TABLES : 0;
    faults |= vpc_metadata_in(s, VPC_VITAL, false, data, end) ? VPC_PLACE_OVER_TABLES : 0;
    faults |= vpc_metadata_in(s, VPC_NAMES, false, place, end) ? VPC_PLACE_OVER_NAMES : 0;
    if (vpc_metadata_in(s, VPC_NAMES, true, place, end) || vpc_metadata_in(s, VPC_MAP, true, place, end)) {
        faults |= VPC_PLACE_OVER_ROOM;
    }
    return faults;
}

unsigned vpc_judge_backing(const VpcHeader *header, BlockDriverState *backing, int64_t size)
{
    static const VpcFooter none;
    bool vpc = backing->drv == &bdrv_vpc;
    const VpcFooter *f = vpc ? &((const VpcState *)backing->state)->footer : &none;
    int64_t has = bdrv_node_size(backing);
    unsigned faults = memcmp(header->parent_uuid, f->uuid, sizeof(f->uuid)) ? VPC_BACKING_OTHER_ID : 0;

    faults |= has < size ? VPC_BACKING_SHORTER : has > size ? VPC_BACKING_LONGER : 0;
    return has < (int64_t)be64_load(f->current_size) ? faults | VPC_BACKING_NAMES_MORE : faults;
}

bool vpc_overlap(const VpcState *s, uint64_t before, uint64_t key)
{
    return vpc_key_place(key) - vpc_key_place(before) < vpc_stored_bytes(s);
}
