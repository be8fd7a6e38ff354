/* rules.c - blkdebug: events and states, which rules are active, and what they do to a request */
/* SPDX-License-Identifier: MIT
 *
 * An event that some rule waits for activates all rules that wait for it, and deactivates the others, until the next
 * such event. The first active rule that matches a request applies to it, in the order of the options.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "block/filter/blkdebug/blkdebug.h"

static const char *const events[] = {
    [BLKDEBUG_EVENT_NONE]           = "none",
    [BLKDEBUG_EVENT_READ_AIO]       = "read_aio",
    [BLKDEBUG_EVENT_WRITE_AIO]      = "write_aio",
    [BLKDEBUG_EVENT_RMW_HEAD]       = "pwritev_rmw_head",
    [BLKDEBUG_EVENT_RMW_AFTER_HEAD] = "pwritev_rmw_after_head",
    [BLKDEBUG_EVENT_RMW_TAIL]       = "pwritev_rmw_tail",
    [BLKDEBUG_EVENT_RMW_AFTER_TAIL] = "pwritev_rmw_after_tail",
    [BLKDEBUG_EVENT_PWRITEV]        = "pwritev",
    [BLKDEBUG_EVENT_PWRITEV_ZERO]   = "pwritev_zero",
    [BLKDEBUG_EVENT_PWRITEV_DONE]   = "pwritev_done",
    [BLKDEBUG_EVENT_FLUSH_TO_OS]    = "flush_to_os",
    [BLKDEBUG_EVENT_FLUSH_TO_DISK]  = "flush_to_disk",
};

/* Events of QEMU that do not happen here, mostly of its other formats */
static const char *const events_elsewhere[] = {
    "l1_update", "l1_grow_alloc_table", "l1_grow_write_table", "l1_grow_activate_table", "l1_shrink_write_table",
    "l1_shrink_free_l2_clusters", "l2_load", "l2_update", "l2_update_compressed", "l2_alloc_cow_read",
    "l2_alloc_write", "read_backing_aio", "read_compressed", "write_compressed", "vmstate_load", "vmstate_save",
    "cow_read", "cow_write", "reftable_load", "reftable_grow", "reftable_update", "refblock_load", "refblock_update",
    "refblock_update_part", "refblock_alloc", "refblock_alloc_hookup", "refblock_alloc_write",
    "refblock_alloc_write_blocks", "refblock_alloc_write_table", "refblock_alloc_switch_table", "cluster_alloc",
    "cluster_alloc_bytes", "cluster_alloc_space", "cluster_free", "empty_image_prepare", "cor_write", NULL,
};

BlkdebugEvent blkdebug_find_event(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        if (!strcmp(events[i], name)) {
            return (BlkdebugEvent)i;
        }
    }
    return g_strv_contains(events_elsewhere, name) ? BLKDEBUG_EVENT_NEVER : BLKDEBUG_EVENT_UNKNOWN;
}

static BlkdebugRule *rule_at(BlkdebugState *s, guint i)
{
    return &g_array_index(s->rules, BlkdebugRule, i);
}

static bool waits_for(const BlkdebugState *s, const BlkdebugRule *rule, BlkdebugEvent event)
{
    return rule->event == event && !rule->spent && (rule->state == 0 || rule->state == s->state);
}

static void activate_rules(BlkdebugState *s, BlkdebugEvent event)
{
    bool any = false;

    for (guint i = 0; i < s->rules->len; i++) {
        any |= waits_for(s, rule_at(s, i), event);
    }
    for (guint i = 0; any && i < s->rules->len; i++) {
        rule_at(s, i)->active = waits_for(s, rule_at(s, i), event);
    }
}

/* Make the first transition of @event that fits the present state */
static void change_state(BlkdebugState *s, BlkdebugEvent event)
{
    for (guint i = 0; i < s->transitions->len; i++) {
        const BlkdebugTransition *t = &g_array_index(s->transitions, BlkdebugTransition, i);

        if (t->event == event && (t->state == 0 || t->state == s->state)) {
            s->state = t->new_state;
            return;
        }
    }
}

void blkdebug_begin_rules(BlkdebugState *s, BlkdebugEvent event)
{
    activate_rules(s, event);
    change_state(s, event);
}

/* Mix the bits of @x. The constants are those of SplitMix64 */
uint64_t blkdebug_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint64_t next_random(BlkdebugState *s)
{
    s->random += 0x9e3779b97f4a7c15;
    return blkdebug_mix(s->random);
}

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool matches(const BlkdebugRule *rule, const BlkdebugRequest *req)
{
    if (!rule->active || rule->spent || !(rule->iotypes & req->iotype) || (rule->growing && !req->grows)) {
        return false;
    }
    return !rule->ranged || (req->bytes > 0 && req->offset < rule->end && rule->start < req->offset + req->bytes);
}

/* Decide whether a rule applies to a request that matches it: by lasts, skip, chance and times */
static bool takes(BlkdebugState *s, BlkdebugRule *rule)
{
    if (rule->until && now() >= rule->until) {
        rule->spent = true;
        return false;
    }
    if (rule->skip > 0) {
        rule->skip--;
        return false;
    }
    if (rule->chance < BLKDEBUG_CERTAIN && next_random(s) >> 32 >= rule->chance) {
        return false;
    }
    if (rule->lasts && !rule->until) {
        rule->until = now() + rule->lasts;
    }
    rule->spent = rule->times > 0 && --rule->times == 0;
    return true;
}

static BlkdebugFate decide(BlkdebugState *s, const BlkdebugRequest *req)
{
    for (guint i = 0; i < s->rules->len; i++) {
        BlkdebugRule *rule = rule_at(s, i);

        if (matches(rule, req) && takes(s, rule)) {
            uint64_t random = rule->effect == BLKDEBUG_EFFECT_ALL || rule->effect == BLKDEBUG_EFFECT_NONE
                              ? 0 : next_random(s);
            int64_t all = MAX(req->bytes / BLKDEBUG_SECTOR, 1);
            int64_t some = (int64_t)(random % (uint64_t)all);

            return (BlkdebugFate) { rule->err, rule->effect, rule->short_sectors >= 0 ? rule->short_sectors : some,
                                    random, rule->latency };
        }
    }
    return (BlkdebugFate) { .effect = BLKDEBUG_EFFECT_ALL };
}

static void sleep_for(int64_t nanoseconds)
{
    struct timespec left = { nanoseconds / 1000000000, nanoseconds % 1000000000 };

    while (nanoseconds > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

BlkdebugFate blkdebug_judge(BlkdebugState *s, const BlkdebugRequest *req)
{
    pthread_mutex_lock(&s->mutex);
    BlkdebugFate fate = decide(s, req);
    bool changes = req->iotype & BLKDEBUG_CHANGES;

    s->errors += fate.err != 0;
    s->lies += fate.err == 0 && changes && fate.effect != BLKDEBUG_EFFECT_ALL;
    pthread_mutex_unlock(&s->mutex);
    sleep_for(s->latency + fate.latency);
    return fate;
}
