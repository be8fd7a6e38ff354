/* null.c - a disk that reads as zeroes and forgets writes */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <glib.h>
#include "block/drivers.h"

#define NULL_MAX_LATENCY ((int64_t)60 * 1000 * 1000 * 1000)     /* a minute */

typedef struct NullState {
    bool unknown;                   /* block status does not say that reads give zeroes */
    int64_t latency;
} NullState;

typedef struct NullOptions {
    int64_t size, latency;
    bool read_zeroes;
} NullOptions;

#define NULL_SIZE { "size", BLOCK_OPT_SIZE, offsetof(NullOptions, size), "1G", .help = "length of the disk" }

static const BlockOption null_options[] = { NULL_SIZE, { NULL } };

static const BlockOption null_co_options[] = {
    NULL_SIZE,
    { "latency-ns", BLOCK_OPT_INT, offsetof(NullOptions, latency), "0",
      .help = "nanoseconds that every request takes" },
    { "read-zeroes", BLOCK_OPT_BOOL, offsetof(NullOptions, read_zeroes), "off",
      .help = "let block status say that it is zeroes" },
    { NULL }
};

static bool null_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const NullOptions *o = opts;
    NullState *s = bs->state;

    if (o->latency < 0 || o->latency > NULL_MAX_LATENCY) {
        bdrv_set_error(errp, EINVAL, "latency-ns is invalid");
        return false;
    }
    bs->size = o->size;
    s->latency = o->latency;
    if (bs->drv->prefixes) {
        s->unknown = !o->read_zeroes;
        g_free(bs->filename);
        bs->filename = g_strdup_printf("%s://", bs->drv->name);
    }
    return true;
}

static int null_wait(BlockDriverState *bs)
{
    const NullState *s = bs->state;
    struct timespec left = { s->latency / 1000000000, s->latency % 1000000000 };

    while (s->latency && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
    return 0;
}

static int null_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    block_vec_zero(vec);
    return null_wait(bs);
}

static int null_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    return null_wait(bs);
}

static int null_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    const NullState *s = bs->state;

    *st = (BlockStatus) { bytes, .here = true };
    if (!s->unknown) {
        *st = (BlockStatus) { bytes, .zero = true, .here = true, .leaf = bs, .leaf_offset = offset };
    }
    return 0;
}

static int null_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    return null_wait(bs);
}

static bool null_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    __atomic_store_n(&bs->size, size, __ATOMIC_RELEASE);
    return true;
}

static bool null_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    info->actual_size = 0;
    return true;
}

/* Parse "null-co://"; nothing may follow it */
static char *null_parse_name(const char *name, const char **rest, GError **errp)
{
    size_t length = strcspn(name, ":");

    if (strcmp(name + length, "://")) {
        bdrv_set_error(errp, EINVAL, "The only allowed filename for this driver is '%.*s://'", (int)length, name);
        return NULL;
    }
    return g_strdup("");
}

const BlockDriver bdrv_null = {
    .name         = "null",
    .description  = "zeroes; what is written is thrown away",
    .is_protocol  = true,
    .parallel     = true,
    .state_size   = sizeof(NullState),
    .open_size    = sizeof(NullOptions),
    .open_options = null_options,
    .open         = null_open,
    .read         = null_read,
    .write        = null_write,
    .status       = null_status,
    .zero         = null_zero,
    .truncate     = null_truncate,
    .info         = null_info,
    .reopen       = bdrv_simple_reopen,
};

#define NULL_AS_IN_QEMU(word) {                                                                             \
    .name         = (word),                                                                                 \
    .description  = "as QEMU's: what is read is anything, and here zeroes",                                 \
    .is_protocol  = true,                                                                                   \
    .parallel     = true,                                                                                   \
    .state_size   = sizeof(NullState),                                                                      \
    .open_size    = sizeof(NullOptions),                                                                    \
    .open_options = null_co_options,                                                                        \
    .open         = null_open,                                                                              \
    .read         = null_read,                                                                              \
    .write        = null_write,                                                                             \
    .flush        = null_wait,                                                                              \
    .status       = null_status,                                                                            \
    .zero         = null_zero,                                                                              \
    .info         = null_info,                                                                              \
    .reopen       = bdrv_simple_reopen,                                                                     \
    .prefixes     = (const char *const []) { word, NULL },                                                  \
    .parse_name   = null_parse_name,                                                                        \
}

const BlockDriver bdrv_null_co = NULL_AS_IN_QEMU("null-co");
const BlockDriver bdrv_null_aio = NULL_AS_IN_QEMU("null-aio");
