/* breakpoint.c - blkdebug: stops requests at an event until a test lets them go on */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "block/filter/blkdebug/blkdebug.h"

typedef struct BlkdebugBreak {
    char *tag;
    BlkdebugEvent event;
    unsigned *holding;              /* how many breakpoints stop the same request; NULL: no request has come yet */
} BlkdebugBreak;

static BlkdebugBreak *break_at(const BlkdebugState *s, guint i)
{
    return s->breaks->pdata[i];
}

/* Stop at all free breakpoints of @event until they are resumed. A breakpoint stops one request. The caller holds the
 * mutex; it is released while the request waits */
static void stop_request(BlkdebugState *s, BlkdebugEvent event)
{
    unsigned holding = 0;

    for (guint i = 0; i < s->breaks->len; i++) {
        BlkdebugBreak *b = break_at(s, i);

        if (!b->holding && b->event == event) {
            b->holding = &holding;
            holding++;
        }
    }
    while (holding > 0) {
        pthread_cond_wait(&s->resumed, &s->mutex);
    }
}

void blkdebug_event(BlkdebugState *s, BlkdebugEvent event)
{
    pthread_mutex_lock(&s->mutex);
    blkdebug_begin_rules(s, event);
    stop_request(s, event);
    pthread_mutex_unlock(&s->mutex);
}

static int breakpoint(BlockDriverState *bs, const char *name, const char *tag)
{
    BlkdebugState *s = bs->state;
    BlkdebugEvent event = blkdebug_find_event(name);

    if (event == BLKDEBUG_EVENT_UNKNOWN) {
        return -ENOENT;
    }
    if (event == BLKDEBUG_EVENT_NEVER || event == BLKDEBUG_EVENT_NONE) {
        return -ENOTSUP;
    }
    BlkdebugBreak *b = g_new0(BlkdebugBreak, 1);

    b->tag = g_strdup(tag);
    b->event = event;
    pthread_mutex_lock(&s->mutex);
    g_ptr_array_add(s->breaks, b);
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* Return the index of the last breakpoint of @tag; -1: none. @stopped: only if a request waits there */
static int find_break(const BlkdebugState *s, const char *tag, bool stopped)
{
    for (int i = (int)s->breaks->len - 1; i >= 0; i--) {
        const BlkdebugBreak *b = break_at(s, (guint)i);

        if ((b->holding || !stopped) && !strcmp(b->tag, tag)) {
            return i;
        }
    }
    return -1;
}

static void remove_break(BlkdebugState *s, guint i)
{
    BlkdebugBreak *b = break_at(s, i);

    if (b->holding) {
        --*b->holding;
        pthread_cond_broadcast(&s->resumed);
    }
    g_ptr_array_remove_index(s->breaks, i);
    g_free(b->tag);
    g_free(b);
}

static int drop_found(BlockDriverState *bs, const char *tag, bool stopped, bool all)
{
    BlkdebugState *s = bs->state;
    int ret = -ENOENT;

    pthread_mutex_lock(&s->mutex);
    for (int i; (i = find_break(s, tag, stopped)) >= 0 && (all || ret < 0); ret = 0) {
        remove_break(s, (guint)i);
    }
    pthread_mutex_unlock(&s->mutex);
    return ret;
}

static int remove_breakpoint(BlockDriverState *bs, const char *tag)
{
    return drop_found(bs, tag, false, true);
}

static int resume(BlockDriverState *bs, const char *tag)
{
    return drop_found(bs, tag, true, false);
}

static bool is_suspended(BlockDriverState *bs, const char *tag)
{
    BlkdebugState *s = bs->state;

    pthread_mutex_lock(&s->mutex);
    bool found = find_break(s, tag, true) >= 0;
    pthread_mutex_unlock(&s->mutex);
    return found;
}

void blkdebug_forget_breaks(BlkdebugState *s)
{
    while (s->breaks->len > 0) {
        remove_break(s, 0);
    }
}

static void event(BlockDriverState *bs, const char *name)
{
    blkdebug_event(bs->state, blkdebug_find_event(name));
}

const BlockDebug blkdebug_debug = {
    .event             = event,
    .breakpoint        = breakpoint,
    .remove_breakpoint = remove_breakpoint,
    .resume            = resume,
    .is_suspended      = is_suspended,
};
