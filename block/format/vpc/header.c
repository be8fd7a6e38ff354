/* header.c - VHD: the header of a dynamic or differencing disk */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/on-disk.h"
#include "util/be.h"

uint32_t vpc_header_sum(const VpcHeader *h)
{
    return vpc_checksum(h, sizeof(*h), offsetof(VpcHeader, checksum));
}

bool vpc_has_header_cookie(const VpcHeader *h)
{
    return !memcmp(h->cookie, VPC_HEADER_COOKIE, 8);
}

bool vpc_header_is_sealed(const VpcHeader *h)
{
    return be32_load(h->checksum) == vpc_header_sum(h);
}

void vpc_seal_header(VpcHeader *h)
{
    be32_store(h->checksum, vpc_header_sum(h));
}

int vpc_read_header(BlockDriverState *bs, int64_t offset, VpcHeader *h)
{
    int ret = bdrv_node_pread(bs->file, offset, h, sizeof(*h));

    if (ret == 0) {
        return 0;
    }
    memset(h, 0, sizeof(*h));
    if (bdrv_node_pread(bs->file, offset, h, VPC_SECTOR) < 0) {
        memset(h, 0, sizeof(*h));
        return ret;
    }
    if (!vpc_header_is_sealed(h)) {
        return ret;
    }
    bdrv_warn(bs, "IO", "the second half of the header, at %" PRId64 ", could not be read (%s); by the checksum it is "
              "empty", offset + VPC_SECTOR, g_strerror(-ret));
    return 0;
}
