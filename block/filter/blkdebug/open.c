/* open.c - blkdebug: options, and the rules and limits made from them */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include "block/filter/blkdebug/blkdebug.h"
#include "block/options.h"
#include "util/checked.h"
#include "util/keyval.h"

#define MAX_ERRNO 4095
#define MAX_ALIGNMENT 65536
#define MAX_RULES 1024
#define MAX_MS 86400000                             /* a day */
#define MAX_NS ((int64_t)60 * 1000 * 1000 * 1000)   /* a minute */

/* The names of the BLKDEBUG_… bits, in their order */
static const char *const iotype_words[] = {
    "read", "write", "write-zeroes", "discard", "flush", "truncate", "block-status", NULL,
};

/* The names of BlkdebugEffect, in its order */
static const char *const effect_words[] = { "none", "short", "torn", "all", NULL };

typedef struct RuleOptions {
    char *event;
    int64_t state;
    int iotype;                     /* bit number of BLKDEBUG_…; -1: BLKDEBUG_ANY */
    int64_t err;
    int64_t sector, offset, bytes;  /* -1: not given */
    bool growing, once, immediately;
    int64_t skip, times;
    char *probability;
    int64_t for_ms, latency;
    int effect;                     /* -1: not given */
    int64_t short_sectors;
} RuleOptions;

static const BlockOption rule_options[] = {
    { "event", BLOCK_OPT_STRING, offsetof(RuleOptions, event), "none",
      .help = "what has to happen before the rule holds" },
    { "state", BLOCK_OPT_INT, offsetof(RuleOptions, state), "0",
      .help = "and the state in which it has to happen; 0: any" },
    { "iotype", BLOCK_OPT_ENUM, offsetof(RuleOptions, iotype), "", iotype_words,
      .help = "the requests that fail; all but block-status if not given" },
    { "errno", BLOCK_OPT_INT, offsetof(RuleOptions, err), "5",
      .help = "the error that they fail with; 0: they do not" },
    { "sector", BLOCK_OPT_INT, offsetof(RuleOptions, sector), "-1",
      .help = "only requests that touch this sector of 512 bytes; -1: any" },
    { "offset", BLOCK_OPT_SIZE, offsetof(RuleOptions, offset), "",
      .help = "only requests that touch bytes from here on" },
    { "bytes", BLOCK_OPT_SIZE, offsetof(RuleOptions, bytes), "",
      .help = "and no more than so many" },
    { "growing", BLOCK_OPT_BOOL, offsetof(RuleOptions, growing), "off",
      .help = "only requests that make the file longer" },
    { "skip", BLOCK_OPT_INT, offsetof(RuleOptions, skip), "0",
      .help = "let so many of them pass first" },
    { "times", BLOCK_OPT_INT, offsetof(RuleOptions, times), "0",
      .help = "only so many of them fail; 0: all" },
    { "once", BLOCK_OPT_BOOL, offsetof(RuleOptions, once), "off",
      .help = "only the first of them fails" },
    { "probability", BLOCK_OPT_STRING, offsetof(RuleOptions, probability), "1",
      .help = "each of them fails by chance: 0.01, or 1%" },
    { "for-ms", BLOCK_OPT_INT, offsetof(RuleOptions, for_ms), "0",
      .help = "milliseconds from the first that fails to the last; 0: no limit" },
    { "latency-ns", BLOCK_OPT_INT, offsetof(RuleOptions, latency), "0",
      .help = "nanoseconds that they take in addition" },
    { "effect", BLOCK_OPT_ENUM, offsetof(RuleOptions, effect), "", effect_words,
      .help = "how much of a write is done; none if it fails, all if errno is 0" },
    { "short-sectors", BLOCK_OPT_INT, offsetof(RuleOptions, short_sectors), "-1",
      .help = "effect=short: so many sectors; -1: by chance" },
    { "immediately", BLOCK_OPT_BOOL, offsetof(RuleOptions, immediately), "off",
      .help = "accepted: requests here always fail at once" },
    { NULL }
};

typedef struct TransitionOptions {
    char *event;
    int64_t state, new_state;
} TransitionOptions;

static const BlockOption transition_options[] = {
    { "event", BLOCK_OPT_STRING, offsetof(TransitionOptions, event), NULL,
      .help = "what has to happen" },
    { "state", BLOCK_OPT_INT, offsetof(TransitionOptions, state), "0",
      .help = "and the state in which it has to happen; 0: any" },
    { "new_state", BLOCK_OPT_INT, offsetof(TransitionOptions, new_state), "0",
      .help = "the state that follows" },
    { NULL }
};

#define LISTS(type, at) \
    { "inject-error", BLOCK_OPT_LIST, offsetof(type, at errors), "", .items = rule_options, \
      .item_size = sizeof(RuleOptions), .help = "which requests fail" }, \
    { "set-state", BLOCK_OPT_LIST, offsetof(type, at states), "", .items = transition_options, \
      .item_size = sizeof(TransitionOptions), .help = "when to go from one state to another" }

static const BlockOption blkdebug_lists[] = { LISTS(BlkdebugLists, ), { NULL } };

const BlockOption blkdebug_options[] = {
    LISTS(BlkdebugOptions, lists.),
    { "config", BLOCK_OPT_STRING, offsetof(BlkdebugOptions, config), "",
      .help = "a file with rules, which come before those given here" },
    { "align", BLOCK_OPT_SIZE, offsetof(BlkdebugOptions, align), "",
      .help = "take only requests so aligned, as a disk with large sectors does" },
    { "max-transfer", BLOCK_OPT_SIZE, offsetof(BlkdebugOptions, max_transfer), "",
      .help = "longer reads and writes come in pieces" },
    { "opt-write-zero", BLOCK_OPT_SIZE, offsetof(BlkdebugOptions, opt_write_zero), "",
      .help = "zeroes that are not whole units of this are written as data" },
    { "max-write-zero", BLOCK_OPT_SIZE, offsetof(BlkdebugOptions, max_write_zero), "",
      .help = "longer requests for zeroes come in pieces" },
    { "opt-discard", BLOCK_OPT_SIZE, offsetof(BlkdebugOptions, opt_discard), "",
      .help = "only whole units of this are discarded" },
    { "max-discard", BLOCK_OPT_SIZE, offsetof(BlkdebugOptions, max_discard), "",
      .help = "longer discards come in pieces" },
    { "latency-ns", BLOCK_OPT_INT, offsetof(BlkdebugOptions, latency), "0",
      .help = "nanoseconds that every request takes in addition" },
    { "seed", BLOCK_OPT_INT, offsetof(BlkdebugOptions, seed), "0",
      .help = "another one gives other chances" },
    { NULL }
};

static bool in_range(const char *name, int64_t value, int64_t min, int64_t max, GError **errp)
{
    if (value < min || value > max) {
        bdrv_set_error(errp, EINVAL, "%s %" PRId64 " is not between %" PRId64 " and %" PRId64, name, value, min, max);
        return false;
    }
    return true;
}

static bool take_event(BlockDriverState *bs, const char *name, BlkdebugEvent *event, GError **errp)
{
    *event = blkdebug_find_event(name);
    if (*event == BLKDEBUG_EVENT_UNKNOWN) {
        bdrv_set_error(errp, EINVAL, "there is no event '%s'", name);
        return false;
    }
    if (*event == BLKDEBUG_EVENT_NEVER) {
        bdrv_warn(bs, "blkdebug", "event '%s' never happens here: nothing comes of rules that wait for it", name);
    }
    return true;
}

static bool take_range(BlkdebugRule *rule, const RuleOptions *o, GError **errp)
{
    if (!in_range("sector", o->sector, -1, INT64_MAX / BLKDEBUG_SECTOR - 1, errp)) {
        return false;
    }
    if (o->sector >= 0 && (o->offset >= 0 || o->bytes >= 0)) {
        bdrv_set_error(errp, EINVAL, "sector and offset or bytes are two ways to say the same");
        return false;
    }
    int64_t start = o->sector >= 0 ? o->sector * BLKDEBUG_SECTOR : MAX(o->offset, 0);
    int64_t bytes = o->sector >= 0 ? BLKDEBUG_SECTOR : o->bytes >= 0 ? o->bytes : INT64_MAX;

    rule->ranged = o->sector >= 0 || o->offset >= 0 || o->bytes >= 0;
    rule->start = start;
    rule->end = bytes > INT64_MAX - start ? INT64_MAX : start + bytes;
    return true;
}

static bool take_chance(BlkdebugRule *rule, const char *text, GError **errp)
{
    char *end;
    double p = g_ascii_strtod(text, &end);

    if (end != text && *end == '%') {
        p /= 100;
        end++;
    }
    if (end == text || *end || !(p >= 0 && p <= 1)) {
        bdrv_set_error(errp, EINVAL, "probability '%s' is not between 0 and 1, nor 0%% and 100%%", text);
        return false;
    }
    rule->chance = (uint64_t)(p * (double)BLKDEBUG_CERTAIN);
    return true;
}

static bool take_effect(BlkdebugRule *rule, const RuleOptions *o, GError **errp)
{
    if (o->effect >= 0 && !(rule->iotypes & BLKDEBUG_CHANGES)) {
        bdrv_set_error(errp, EINVAL, "effect is for what changes the disk, not for iotype=%s", iotype_words[o->iotype]);
        return false;
    }
    rule->effect = o->effect >= 0 ? (BlkdebugEffect)o->effect : rule->err ? BLKDEBUG_EFFECT_NONE : BLKDEBUG_EFFECT_ALL;
    if (o->short_sectors >= 0 && rule->effect != BLKDEBUG_EFFECT_SHORT) {
        bdrv_set_error(errp, EINVAL, "short-sectors is for effect=short");
        return false;
    }
    rule->short_sectors = o->short_sectors;
    return in_range("short-sectors", o->short_sectors, -1, INT64_MAX / BLKDEBUG_SECTOR, errp);
}

static bool take_counts(BlkdebugRule *rule, const RuleOptions *o, GError **errp)
{
    if (o->once && o->times > 1) {
        bdrv_set_error(errp, EINVAL, "once, or %" PRId64 " times?", o->times);
        return false;
    }
    if (!in_range("skip", o->skip, 0, INT64_MAX, errp) || !in_range("times", o->times, 0, INT64_MAX, errp) ||
        !in_range("for-ms", o->for_ms, 0, MAX_MS, errp) || !in_range("latency-ns", o->latency, 0, MAX_NS, errp)) {
        return false;
    }
    rule->skip = o->skip;
    rule->times = o->once ? 1 : o->times;
    rule->lasts = o->for_ms * 1000000;
    rule->latency = o->latency;
    return true;
}

static bool take_rule(BlockDriverState *bs, BlkdebugRule *rule, const RuleOptions *o, GError **errp)
{
    *rule = (BlkdebugRule) {
        .state   = o->state,
        .iotypes = o->iotype < 0 ? BLKDEBUG_ANY : 1u << o->iotype,
        .err     = (int)o->err,
        .growing = o->growing,
    };
    return in_range("errno", o->err, 0, MAX_ERRNO, errp) && take_event(bs, o->event, &rule->event, errp) &&
           take_range(rule, o, errp) && take_counts(rule, o, errp) && take_chance(rule, o->probability, errp) &&
           take_effect(rule, o, errp);
}

static bool add_rules(BlockDriverState *bs, const BlockOptionList *list, GError **errp)
{
    BlkdebugState *s = bs->state;
    const RuleOptions *options = list->items;

    for (size_t i = 0; i < list->count; i++) {
        BlkdebugRule rule;

        if (!take_rule(bs, &rule, &options[i], errp)) {
            g_prefix_error(errp, "inject-error.%zu: ", i);
            return false;
        }
        g_array_append_val(s->rules, rule);
    }
    return true;
}

static bool add_transitions(BlockDriverState *bs, const BlockOptionList *list, GError **errp)
{
    BlkdebugState *s = bs->state;
    const TransitionOptions *options = list->items;

    for (size_t i = 0; i < list->count; i++) {
        BlkdebugTransition t = { .state = options[i].state, .new_state = options[i].new_state };

        if (!take_event(bs, options[i].event, &t.event, errp)) {
            g_prefix_error(errp, "set-state.%zu: ", i);
            return false;
        }
        g_array_append_val(s->transitions, t);
    }
    return true;
}

static bool add_lists(BlockDriverState *bs, const BlkdebugLists *lists, GError **errp)
{
    return add_rules(bs, &lists->errors, errp) && add_transitions(bs, &lists->states, errp);
}

static bool add_config(BlockDriverState *bs, const char *filename, GError **errp)
{
    BlkdebugLists lists = { 0 };
    bool ok = blkdebug_read_config(filename, blkdebug_lists, &lists, errp) && add_lists(bs, &lists, errp);

    if (!ok) {
        g_prefix_error(errp, "config file '%s': ", filename);
    }
    block_options_clear(blkdebug_lists, &lists);
    return ok;
}

/* Check the option @name and set *@limit. @value 0 and -1: no limit */
static bool take_limit(const char *name, int64_t value, int64_t unit, int64_t unlimited, int64_t *limit, GError **errp)
{
    if (value > INT_MAX || (value > 0 && value % unit)) {
        bdrv_set_error(errp, EINVAL, "%s %" PRId64 " is not a multiple of %" PRId64 " up to %d", name, value, unit,
                       INT_MAX);
        return false;
    }
    *limit = value > 0 ? value : unlimited;
    return true;
}

static bool take_limits(BlockDriverState *bs, const BlkdebugOptions *o, GError **errp)
{
    BlkdebugLimits *l = &((BlkdebugState *)bs->state)->limits;

    if (o->align >= 0 && (!is_power_of_two(o->align) || o->align > MAX_ALIGNMENT)) {
        bdrv_set_error(errp, EINVAL, "align %" PRId64 " is not a power of two up to %d", o->align, MAX_ALIGNMENT);
        return false;
    }
    int64_t align = bs->request_alignment = MAX(o->align, 1);

    return take_limit("max-transfer", o->max_transfer, align, INT64_MAX, &l->max_transfer, errp) &&
           take_limit("opt-write-zero", o->opt_write_zero, align, 1, &l->zero_unit, errp) &&
           take_limit("max-write-zero", o->max_write_zero, MAX(align, l->zero_unit), INT64_MAX, &l->max_zero, errp) &&
           take_limit("opt-discard", o->opt_discard, align, 1, &l->discard_unit, errp) &&
           take_limit("max-discard", o->max_discard, MAX(align, l->discard_unit), INT64_MAX, &l->max_discard, errp);
}

bool blkdebug_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const BlkdebugOptions *o = opts;
    BlkdebugState *s = bs->state;

    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->resumed, NULL);
    s->ready = true;
    s->rules = g_array_new(FALSE, FALSE, sizeof(BlkdebugRule));
    s->transitions = g_array_new(FALSE, FALSE, sizeof(BlkdebugTransition));
    s->breaks = g_ptr_array_new();
    s->state = 1;
    s->random = (uint64_t)o->seed;
    s->latency = o->latency;
    bs->size = bdrv_node_size(bs->file);
    if (!in_range("latency-ns", o->latency, 0, MAX_NS, errp) || !take_limits(bs, o, errp) ||
        (o->config && !add_config(bs, o->config, errp)) || !add_lists(bs, &o->lists, errp)) {
        return false;
    }
    blkdebug_event(s, BLKDEBUG_EVENT_NONE);
    return true;
}

char *blkdebug_parse_name(const char *name, const char **rest, GError **errp)
{
    const char *config = strchr(name, ':') + 1, *end = strchr(config, ':');
    g_autoptr(KeyVal) kv = keyval_new();

    if (!end) {
        bdrv_set_error(errp, EINVAL, "blkdebug requires both config file and image path");
        return NULL;
    }
    *rest = end + 1;
    if (end > config) {
        g_autofree char *file = g_strndup(config, (size_t)(end - config));

        keyval_set(kv, "config", file);
    }
    return keyval_format(kv);
}
