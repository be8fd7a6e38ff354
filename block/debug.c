/* debug.c - passes breakpoints of tests to the driver that has them (blkdebug) */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "block/layer.h"

/* Return the first node, from @bs down, whose driver has breakpoints; NULL if none has */
static BlockDriverState *find_debug_node(BlockDriverState *bs)
{
    while (bs && !bs->drv->debug) {
        bs = bs->file;
    }
    return bs;
}

int bdrv_debug_breakpoint(BlockDriverState *bs, const char *event, const char *tag)
{
    BlockDriverState *node = find_debug_node(bs);

    return node ? node->drv->debug->breakpoint(node, event, tag) : -ENOTSUP;
}

int bdrv_debug_remove_breakpoint(BlockDriverState *bs, const char *tag)
{
    BlockDriverState *node = find_debug_node(bs);

    return node ? node->drv->debug->remove_breakpoint(node, tag) : -ENOTSUP;
}

int bdrv_debug_resume(BlockDriverState *bs, const char *tag)
{
    BlockDriverState *node = find_debug_node(bs);

    return node ? node->drv->debug->resume(node, tag) : -ENOTSUP;
}

bool bdrv_debug_is_suspended(BlockDriverState *bs, const char *tag)
{
    BlockDriverState *node = find_debug_node(bs);

    return node && node->drv->debug->is_suspended(node, tag);
}

void block_debug_event(BlockDriverState *bs, const char *event)
{
    if (bs->drv->debug) {
        bs->drv->debug->event(bs, event);
    }
}
