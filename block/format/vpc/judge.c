/* judge.c - VHD: every rule about what is on disk, once */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/footer.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/on-disk.h"
#include "util/be.h"

VpcFooterFault vpc_judge_footer(const VpcFooter *f, char **why)
{
    uint32_t type = vpc_type(f), version = be32_load(f->version);
    uint64_t size = be64_load(f->current_size);

    *why = NULL;
    if (version >> 16 != VPC_VERSION >> 16) {
        *why = g_strdup_printf("file format version is %u.%u, should be 1.0", version >> 16, version & 0xffff);
        return VPC_FOOTER_VERSION_BAD;
    }
    if (type != VPC_FIXED && !vpc_is_sparse(f)) {
        *why = g_strdup_printf("disk type is %u, should be 2 (fixed), 3 (dynamic) or 4 (differencing)", type);
        return VPC_FOOTER_TYPE_BAD;
    }
    if (size > INT64_MAX - VPC_MAX_BLOCK) {
        *why = g_strdup_printf("current size is %" PRIu64 " bytes, more than can be", size);
        return VPC_FOOTER_SIZE_BAD;
    }
    return VPC_FOOTER_GOOD;
}

bool vpc_is_header_place(uint64_t at, int64_t limit)
{
    return at >= VPC_SECTOR && at % VPC_SECTOR == 0 && at <= (uint64_t)limit &&
           (uint64_t)limit - at >= sizeof(VpcHeader);
}

VpcHeaderFault vpc_judge_header(const VpcHeader *h, int64_t limit)
{
    uint32_t block_size = be32_load(h->block_size), entries = be32_load(h->entries);
    uint64_t table = be64_load(h->table_offset);

    if (memcmp(h->cookie, VPC_HEADER_COOKIE, 8)) {
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
