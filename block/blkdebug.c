/* blkdebug.c - a filter that makes requests fail, by rules */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <glib.h>
#include "block/drivers.h"
#include "util/checked.h"

#define BLKDEBUG_SECTOR 512
#define BLKDEBUG_MAX_ERRNO 4095
#define BLKDEBUG_MAX_ALIGNMENT 65536

enum {
    BLKDEBUG_READ         = 1 << 0,
    BLKDEBUG_WRITE        = 1 << 1,
    BLKDEBUG_WRITE_ZEROES = 1 << 2,
    BLKDEBUG_DISCARD      = 1 << 3,
    BLKDEBUG_FLUSH        = 1 << 4,
    BLKDEBUG_BLOCK_STATUS = 1 << 5,

    BLKDEBUG_ANY          = BLKDEBUG_BLOCK_STATUS - 1,  /* a question for holes has to be named */
};

/* In the order of the bits */
static const char *const blkdebug_iotypes[] = {
    "read", "write", "write-zeroes", "discard", "flush", "block-status", NULL,
};

static const char *const blkdebug_events[] = { "none", NULL };

typedef struct BlkdebugRule {
    unsigned iotypes;               /* BLKDEBUG_… */
    int err;
    int64_t offset;                 /* the request covers this byte; -1: wherever it is */
    int64_t skip;                   /* as many more requests are let pass; guarded by the mutex */
    bool once;
    bool spent;                     /* guarded by the mutex */
} BlkdebugRule;

typedef struct BlkdebugState {
    pthread_mutex_t mutex;
    bool ready;                     /* the mutex is there */
    size_t count;
    BlkdebugRule *rules;
    int64_t injected;               /* how many requests were made to fail; guarded by the mutex */
} BlkdebugState;

typedef struct BlkdebugRuleOptions {
    int event;
    int iotype;                     /* bit number of BLKDEBUG_…; -1: BLKDEBUG_ANY */
    int64_t err;
    int64_t sector;
    int64_t skip;
    bool once;
} BlkdebugRuleOptions;

static const BlockOption blkdebug_rule_options[] = {
    { "event", BLOCK_OPT_ENUM, offsetof(BlkdebugRuleOptions, event), "none", blkdebug_events,
      .help = "none: the rule always holds" },
    { "iotype", BLOCK_OPT_ENUM, offsetof(BlkdebugRuleOptions, iotype), "", blkdebug_iotypes,
      .help = "the requests that fail; all but block-status if not given" },
    { "errno", BLOCK_OPT_INT, offsetof(BlkdebugRuleOptions, err), "5",
      .help = "the error that they fail with" },
    { "sector", BLOCK_OPT_INT, offsetof(BlkdebugRuleOptions, sector), "-1",
      .help = "only requests that cover this sector of 512 bytes; -1: any" },
    { "skip", BLOCK_OPT_INT, offsetof(BlkdebugRuleOptions, skip), "0",
      .help = "let so many of them pass first" },
    { "once", BLOCK_OPT_BOOL, offsetof(BlkdebugRuleOptions, once), "off",
      .help = "only the first of them fails" },
    { NULL }
};

typedef struct BlkdebugOptions {
    BlockOptionList rules;          /* of BlkdebugRuleOptions */
    int64_t align;                  /* -1: any */
} BlkdebugOptions;

static const BlockOption blkdebug_options[] = {
    { "inject-error", BLOCK_OPT_LIST, offsetof(BlkdebugOptions, rules), "",
      .items = blkdebug_rule_options, .item_size = sizeof(BlkdebugRuleOptions), .help = "who fails" },
    { "align", BLOCK_OPT_SIZE, offsetof(BlkdebugOptions, align), "",
      .help = "take only requests so aligned, as a disk with large sectors does" },
    { NULL }
};

static bool blkdebug_fill_rule(BlkdebugRule *rule, const BlkdebugRuleOptions *o, GError **errp)
{
    if (o->err <= 0 || o->err > BLKDEBUG_MAX_ERRNO) {
        bdrv_set_error(errp, EINVAL, "errno %" PRId64 " is not between 1 and %d", o->err, BLKDEBUG_MAX_ERRNO);
        return false;
    }
    if (o->sector < -1 || o->sector > INT64_MAX / BLKDEBUG_SECTOR) {
        bdrv_set_error(errp, EINVAL, "sector %" PRId64 " is not on any disk", o->sector);
        return false;
    }
    if (o->skip < 0) {
        bdrv_set_error(errp, EINVAL, "skip %" PRId64 " is negative", o->skip);
        return false;
    }
    *rule = (BlkdebugRule) {
        .iotypes = o->iotype < 0 ? BLKDEBUG_ANY : 1u << o->iotype,
        .err     = (int)o->err,
        .offset  = o->sector < 0 ? -1 : o->sector * BLKDEBUG_SECTOR,
        .skip    = o->skip,
        .once    = o->once,
    };
    return true;
}

static bool blkdebug_set_alignment(BlockDriverState *bs, int64_t align, GError **errp)
{
    if (align >= 0 && (!is_power_of_two(align) || align > BLKDEBUG_MAX_ALIGNMENT)) {
        bdrv_set_error(errp, EINVAL, "align %" PRId64 " is not a power of two up to %d", align,
                       BLKDEBUG_MAX_ALIGNMENT);
        return false;
    }
    bs->request_alignment = MAX(align, 1);
    return true;
}

static bool blkdebug_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const BlkdebugOptions *o = opts;
    const BlkdebugRuleOptions *rules = o->rules.items;
    BlkdebugState *s = bs->state;

    pthread_mutex_init(&s->mutex, NULL);
    s->ready = true;
    s->rules = g_new0(BlkdebugRule, o->rules.count);
    for (s->count = 0; s->count < o->rules.count; s->count++) {
        if (!blkdebug_fill_rule(&s->rules[s->count], &rules[s->count], errp)) {
            return false;
        }
    }
    bs->size = bdrv_node_size(bs->file);
    return blkdebug_set_alignment(bs, o->align, errp);
}

static bool blkdebug_matches(const BlkdebugRule *rule, unsigned iotype, int64_t offset, int64_t bytes)
{
    if (rule->spent || !(rule->iotypes & iotype)) {
        return false;
    }
    return rule->offset < 0 || (rule->offset >= offset && rule->offset - offset < bytes);
}

/* Rules are asked in order, up to the first that makes the request fail. 0 or -errno */
static int blkdebug_check(BlockDriverState *bs, unsigned iotype, int64_t offset, int64_t bytes)
{
    BlkdebugState *s = bs->state;
    int ret = 0;

    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->count && ret == 0; i++) {
        BlkdebugRule *rule = &s->rules[i];

        if (!blkdebug_matches(rule, iotype, offset, bytes)) {
            continue;
        }
        if (rule->skip > 0) {
            rule->skip--;
            continue;
        }
        rule->spent = rule->once;
        ret = -rule->err;
        s->injected++;
    }
    pthread_mutex_unlock(&s->mutex);
    return ret;
}

static int blkdebug_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    int ret = blkdebug_check(bs, BLKDEBUG_READ, offset, vec.bytes);

    return ret < 0 ? ret : bdrv_node_readv(bs->file, offset, vec);
}

static int blkdebug_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    int ret = blkdebug_check(bs, BLKDEBUG_WRITE, offset, vec.bytes);

    return ret < 0 ? ret : bdrv_node_writev(bs->file, offset, vec);
}

static int blkdebug_flush(BlockDriverState *bs)
{
    return blkdebug_check(bs, BLKDEBUG_FLUSH, 0, 0);
}

static void blkdebug_close(BlockDriverState *bs)
{
    BlkdebugState *s = bs->state;

    if (s->ready) {
        pthread_mutex_destroy(&s->mutex);
    }
    g_free(s->rules);
}

static int blkdebug_status(BlockDriverState *bs, int64_t offset, int64_t bytes, BlockStatus *st)
{
    return blkdebug_check(bs, BLKDEBUG_BLOCK_STATUS, offset, bytes);
}

static int blkdebug_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    unsigned iotype = flags & BLOCK_ZERO_DISCARD ? BLKDEBUG_DISCARD : BLKDEBUG_WRITE_ZEROES;
    int ret = blkdebug_check(bs, iotype, offset, bytes);

    return ret < 0 ? ret : bdrv_node_zero(bs->file, offset, bytes, flags);
}

static bool blkdebug_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    if (!bdrv_node_truncate(bs->file, size, errp)) {
        return false;
    }
    __atomic_store_n(&bs->size, bdrv_node_size(bs->file), __ATOMIC_RELEASE);
    return true;
}

static bool blkdebug_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    BlkdebugState *s = bs->state;

    pthread_mutex_lock(&s->mutex);
    int64_t injected = s->injected;
    pthread_mutex_unlock(&s->mutex);

    bdrv_info_int(items, "injected-errors", injected);
    return true;
}

const BlockDriver bdrv_blkdebug = {
    .name         = "blkdebug",
    .description  = "makes requests on the node below fail, by rules",
    .parallel     = true,
    .file_key     = "image",
    .state_size   = sizeof(BlkdebugState),
    .open_size    = sizeof(BlkdebugOptions),
    .open_options = blkdebug_options,
    .open         = blkdebug_open,
    .read         = blkdebug_read,
    .write        = blkdebug_write,
    .write_end    = blkdebug_write,
    .flush        = blkdebug_flush,
    .close        = blkdebug_close,
    .status       = blkdebug_status,
    .zero         = blkdebug_zero,
    .truncate     = blkdebug_truncate,
    .info         = blkdebug_info,
};
