/* backing.h - VHD: the image behind a differencing disk, and what the disk remembers of it */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_BACKING_H
#define BLOCK_VPC_BACKING_H

#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"

/* Find the image behind @bs, as the options, the program's resolver or the image itself name it, and open it as
 * bs->backing */
bool vpc_open_backing(BlockDriverState *bs, GError **errp);
/* Open another image as if @bs named it; @filename is the user's */
BlockDriverState *vpc_open_other_backing(BlockDriverState *bs, const char *filename, GError **errp);
/* Return whether @parent was changed at another time than its child @bs remembers. *@apart: by so many seconds. False
 * also if that is not known */
bool vpc_changed_since(BlockDriverState *bs, BlockDriverState *parent, int64_t *apart);
/* Tell when the file of @bs was changed, as a VHD counts seconds. False: that is not known */
bool vpc_when_changed(BlockDriverState *bs, int64_t *seconds);
/* Call vpc_parent_candidates() for the open image @bs, by its options; @exact as in VpcParentRules */
GPtrArray *vpc_parent_places(BlockDriverState *bs, const VpcLocatorData locators[VPC_LOCATORS], bool exact);

/* Return the path of @parent as the user of @child names it: relative to the folder of @child. g_free() it */
char *vpc_parent_path(const char *child, const char *parent);

/* Fill in @header and @out what the file @child is to remember of @parent, an open image: its id, its time, and as
 * vpc_describe_parent() its path @name; "": it has none, and there will be no locators */
bool vpc_remember_parent(const char *child, BlockDriverState *parent, const char *name, VpcHeader *header,
                         VpcLocatorData out[3], GError **errp);

#endif
