/* backing.h - VHD: the image behind a differencing disk, and what the disk remembers of it */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_BACKING_H
#define BLOCK_VPC_BACKING_H

#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"

bool vpc_open_backing(BlockDriverState *bs, GError **errp);
BlockDriverState *vpc_open_parent(BlockDriverState *bs, const char *filename, GError **errp);
/* Was @parent changed at another time than its child @bs remembers? *@apart: by so many seconds. False also if that is not
 * known */
bool vpc_changed_since(BlockDriverState *bs, BlockDriverState *parent, int64_t *apart);
/* Is the disk of @bs, if that is a VHD, shorter than its footer says, as its geometry counts? */
bool vpc_names_more(BlockDriverState *bs);
/* When the file of @bs was changed, as a VHD counts seconds. False: not known */
bool vpc_when_changed(BlockDriverState *bs, int64_t *seconds);
/* vpc_parent_candidates() of the open image @bs, by its options; @exact as in VpcParentRules */
GPtrArray *vpc_parent_places(BlockDriverState *bs, const VpcLocatorData locators[VPC_LOCATORS], bool exact);

/* @parent as the user of @child names it, as a path: it is relative to the folder of @child. g_free() it */
char *vpc_parent_path(const char *child, const char *parent);

/* What the file @child is to remember of @parent, an open image: its id, its age, and as vpc_describe_parent()
 * its names */
bool vpc_remember_parent(const char *child, BlockDriverState *parent, VpcHeader *header, VpcLocatorData out[3],
                         GError **errp);

#endif
