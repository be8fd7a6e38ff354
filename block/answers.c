/* answers.c - what the functions of drivers return, put right where it comes in */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"
#include "util/checked.h"

#define MAX_ALIGNMENT (1 << 20)

int block_answer(BlockDriverState *bs, const char *name, int ret)
{
    if (is_zero_or_errno(ret)) {
        return ret;
    }
    bdrv_warn(bs, "driver", "driver '%s': %s() returned %d, which is neither 0 nor -errno", bs->drv->name, name, ret);
    return -EIO;
}

int block_status_answer(BlockDriverState *bs, int ret, int64_t bytes, BlockStatus *st)
{
    ret = block_answer(bs, "status", ret);
    if (ret == 0 && st->bytes <= 0) {
        bdrv_warn(bs, "driver", "driver '%s': status() told of %" PRId64 " bytes", bs->drv->name, st->bytes);
        ret = -EIO;
    }
    st->bytes = MIN(st->bytes, bytes);
    return ret;
}

bool block_says_why(BlockDriverState *bs, const char *name, bool ok, GError **errp)
{
    if (!ok && errp && !*errp) {
        bdrv_set_error(errp, EIO, "driver '%s': %s() failed, and did not say why", bs->drv->name, name);
    }
    return ok;
}

bool block_opened_well(BlockDriverState *bs, GError **errp)
{
    bool aligned = bs->request_alignment > 1;

    if (aligned && (!is_power_of_two(bs->request_alignment) || bs->request_alignment > MAX_ALIGNMENT)) {
        bdrv_set_error(errp, EINVAL, "driver '%s': an alignment of %" PRId64 " is not a power of two up to %d",
                       bs->drv->name, bs->request_alignment, MAX_ALIGNMENT);
    } else if (bs->size < 0) {
        bdrv_set_error(errp, EINVAL, "driver '%s': size %" PRId64 " is negative", bs->drv->name, bs->size);
    } else if (bs->size > BLOCK_MAX_SIZE && (aligned || bs->drv->is_protocol)) {
        bdrv_set_error(errp, EFBIG, "driver '%s': size %" PRId64 " is more than the %" PRId64 " bytes that can be used",
                       bs->drv->name, bs->size, BLOCK_MAX_SIZE);
    } else {
        return true;
    }
    return false;
}
