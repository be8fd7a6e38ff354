/* flush-after.c - the option flush-after: after how many bytes, or what time, the layer flushes by itself */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "block/layer.h"
#include "util/size.h"

enum { MAX_SECONDS = 1000 * 1000 * 1000 };

static int64_t clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + 1;    /* never 0, which means that nothing was written */
}

/* Parse a time such as "5s" into milliseconds; 0: it is no time */
static int64_t parse_seconds(const char *text)
{
    char *end;
    long long seconds = g_ascii_isdigit(*text) ? strtoll(text, &end, 10) : 0;

    return seconds > 0 && seconds <= MAX_SECONDS && !strcmp(end, "s") ? seconds : 0;
}

bool block_flush_after(BlockTree *tree, const char *text, GError **errp)
{
    BlockFlushAfter *after = &tree->flush_after;
    int64_t bytes = 0;

    if (!text) {
        return true;
    }
    after->ms = parse_seconds(text) * 1000;
    if (after->ms == 0 && (!size_parse(text, &bytes) || bytes == 0)) {
        bdrv_set_error(errp, EINVAL, "flush-after=%s: neither seconds, like 5s, nor bytes, like 16M", text);
        return false;
    }
    after->bytes = bytes;
    return true;
}

void block_flush_begins(BlockTree *tree)
{
    __atomic_store_n(&tree->flush_after.written, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&tree->flush_after.since, 0, __ATOMIC_RELAXED);
}

bool block_flush_is_due(BlockTree *tree, int64_t written)
{
    BlockFlushAfter *after = &tree->flush_after;

    if (after->bytes) {
        return __atomic_add_fetch(&after->written, written, __ATOMIC_RELAXED) >= after->bytes;
    }
    if (!after->ms) {
        return false;
    }
    int64_t since = __atomic_load_n(&after->since, __ATOMIC_RELAXED), now = clock_ms();

    if (since == 0 && written > 0) {
        __atomic_store_n(&after->since, now, __ATOMIC_RELAXED);
    }
    return since != 0 && now - since >= after->ms;
}
