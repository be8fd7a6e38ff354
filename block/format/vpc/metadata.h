/* metadata.h - VHD: where the tables are, and the parent locators */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_METADATA_H
#define BLOCK_VPC_METADATA_H

#include "block/format/vpc/state.h"

/* Fill s->metadata. False if the BAT lies on another part of it */
bool vpc_claim_metadata(BlockDriverState *bs, int64_t file_size, GError **errp);
/* Fill it anew after tables have moved. 0 or -errno */
int vpc_claim_again(BlockDriverState *bs);
/* Return the metadata of this @use in [@start, @end), and with @room also what it only claims; NULL: there is none */
const VpcRange *vpc_metadata_in(const VpcState *s, VpcUse use, bool room, int64_t start, int64_t end);

#endif
