/* check-header.c - VHD: reports faults of the header */
/* SPDX-License-Identifier: MIT
 *
 * The rules are in vpc/judge.c. The parent locators, which the header has, too, are checked by vpc/check-parent.c.
 */
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

static bool check_read_header(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    uint64_t at = be64_load(s->footer.data_offset);

    if (!vpc_is_header_place(at, c->ends.size)) {
        vpc_found(c, VPC_HEADER_GONE, -1, -1,
                  "the footer has the header at %" PRIu64 ", no place for one in a file of %" PRId64 " bytes",
                  at, c->ends.size);
        return false;
    }
    int ret = vpc_read_header(c->bs, (int64_t)at, &s->header);
    if (ret < 0) {
        vpc_found(c, -1, (int64_t)at, -1, "the header at %" PRIu64 " could not be read: %s", at, g_strerror(-ret));
    }
    if (ret < 0 && !s->options.salvage) {
        return false;
    }
    c->header_checksum_bad = vpc_has_header_cookie(&s->header) && !vpc_header_is_sealed(&s->header);
    return true;
}

bool vpc_check_header(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    const VpcHeader *h = &s->header;

    if (!check_read_header(c)) {
        return false;
    }
    int64_t at = (int64_t)be64_load(s->footer.data_offset);
    uint32_t version = be32_load(h->version);

    switch (vpc_judge_header(h, c->ends.size)) {
    case VPC_HEADER_GOOD:
        vpc_use_header(s);
        c->needed = vpc_blocks_in(c->disk_size, s->block_size);
        return true;
    case VPC_HEADER_NO_COOKIE:
        vpc_found(c, VPC_HEADER_GONE, at, -1, "there is no header at %" PRId64 ", where the footer has it", at);
        break;
    case VPC_HEADER_VERSION_BAD:
        vpc_found(c, VPC_HEADER_UNKNOWN, at, -1, "version is %u.%u, should be 1.0", version >> 16, version & 0xffff);
        break;
    case VPC_HEADER_BLOCK_SIZE_BAD:
        vpc_found(c, VPC_BLOCK_SIZE_BAD, at, -1, "block size is %u", be32_load(h->block_size));
        break;
    case VPC_HEADER_TOO_MANY_ENTRIES:
    case VPC_HEADER_BAT_UNALIGNED:
    case VPC_HEADER_BAT_OUTSIDE:
        vpc_found(c, VPC_BAT_BAD, at, -1,
                  "the BAT has %u entries at %" PRIu64 ", not a multiple of 512 or not inside the file of %" PRId64 " "
                  "bytes",
                  be32_load(h->entries), be64_load(h->table_offset), c->ends.size);
        break;
    }
    return false;
}

void vpc_check_odd_header(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    const VpcHeader *h = &s->header;
    int64_t at = (int64_t)be64_load(s->footer.data_offset), spare = vpc_spare_entries(s, c->disk_size);
    unsigned odd = vpc_judge_odd_header(h);

    if (odd & VPC_ODD_DATA_OFFSET) {
        vpc_found(c, VPC_HEADER_ODD, at, -1,
                  "data offset is 0x%" PRIx64 ", which is all ones otherwise%s", be64_load(h->data_offset),
                  be64_load(h->data_offset) == 0xffffffff ? ": Xen's tools refuse that" : "");
    }
    if (odd & VPC_ODD_VERSION) {
        vpc_found(c, VPC_HEADER_ODD, at, -1, "version is 1.%u, should be 1.0", be32_load(h->version) & 0xffff);
    }
    if (odd & VPC_ODD_BLOCK_SIZE) {
        vpc_found(c, VPC_BLOCK_SIZE_ODD, at, -1,
                  "block size is %" PRId64 "%s", s->block_size,
                  odd & VPC_ODD_BLOCK_SIZE_2 ? ": QEMU and 7-Zip want a power of two"
                  : s->block_size < 4096 ? ": QEMU misreads that" : "");
    }
    if (spare != 0) {
        vpc_found(c, spare > 0 ? VPC_BAT_LONG : VPC_BAT_SHORT, s->bat_offset, -1,
                  "%" PRId64 " entries, the disk needs %" PRId64, vpc_bat_entries(s), c->needed);
    }
}

void vpc_check_padding(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t used = s->bat_bytes % VPC_SECTOR, end = s->bat_offset + s->bat_bytes;
    int64_t bytes = VPC_SECTOR - used;
    uint8_t padding[VPC_SECTOR];

    if (used && vpc_check_read(c, end - used, padding, VPC_SECTOR, "BAT") &&
        !vpc_is_padding(padding + used, bytes)) {
        vpc_found(c, VPC_BAT_PADDING, end, -1, "%" PRId64 " bytes behind the last entry are not all one of the two",
                  bytes);
    }
}

/* Judge a wrong checksum by all else: alone it is nothing to lose an image for, but then all else has to be right */
void vpc_check_header_sum(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    const VpcHeader *h = &s->header;
    bool sane = c->orderly && vpc_judge_header(h, c->ends.size) == VPC_HEADER_GOOD &&
                vpc_spare_entries(s, c->disk_size) == 0 && !(vpc_judge_odd_header(h) & ~(unsigned)VPC_ODD_BLOCK_SIZE);

    if (c->header_checksum_bad) {
        vpc_found(c, sane ? VPC_HEADER_CHECKSUM : VPC_HEADER_GONE, (int64_t)be64_load(s->footer.data_offset), -1,
                  "the checksum is 0x%08x, should be 0x%08x%s", be32_load(h->checksum), vpc_header_sum(h),
                  sane ? "" : ", and there is more that is wrong with it");
    }
}
