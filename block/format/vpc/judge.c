/* judge.c - VHD: every rule about what is on disk, once */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
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
