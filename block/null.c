/* null.c - zeroes of any length; what is written to it is gone */
/* SPDX-License-Identifier: MIT */
#include "block/drivers.h"

typedef struct NullOptions {
    int64_t size;
} NullOptions;

static const BlockOption null_options[] = {
    { "size", BLOCK_OPT_SIZE, offsetof(NullOptions, size), "1G", .help = "length of the disk" },
    { NULL }
};

static bool null_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const NullOptions *o = opts;

    bs->size = o->size;
    return true;
}

static int null_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    block_vec_zero(vec);
    return 0;
}

static int null_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    return 0;
}

static int null_status(BlockDriverState *bs, int64_t offset, int64_t bytes, BlockStatus *st)
{
    *st = (BlockStatus) { bytes, .zero = true, .here = true, .leaf = bs, .leaf_offset = offset };
    return 0;
}

static int null_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    return 0;
}

static bool null_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    __atomic_store_n(&bs->size, size, __ATOMIC_RELEASE);
    return true;
}

const BlockDriver bdrv_null = {
    .name         = "null",
    .alias        = "null-co",
    .description  = "zeroes; what is written is thrown away",
    .is_protocol  = true,
    .parallel     = true,
    .open_size    = sizeof(NullOptions),
    .open_options = null_options,
    .open         = null_open,
    .read         = null_read,
    .write        = null_write,
    .status       = null_status,
    .zero         = null_zero,
    .truncate     = null_truncate,
};
