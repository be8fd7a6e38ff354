/* blkdebug.h - what the files of the driver share */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_BLKDEBUG_H
#define BLOCK_BLKDEBUG_H

#include <pthread.h>
#include <glib.h>
#include <miniblk/driver.h>

#define BLKDEBUG_SECTOR 512

/* Kinds of requests, as bits */
enum {
    BLKDEBUG_READ         = 1 << 0,
    BLKDEBUG_WRITE        = 1 << 1,
    BLKDEBUG_WRITE_ZEROES = 1 << 2,
    BLKDEBUG_DISCARD      = 1 << 3,
    BLKDEBUG_FLUSH        = 1 << 4,
    BLKDEBUG_TRUNCATE     = 1 << 5,
    BLKDEBUG_BLOCK_STATUS = 1 << 6,

    BLKDEBUG_ANY          = BLKDEBUG_BLOCK_STATUS - 1,  /* a rule for block status has to name it */
    BLKDEBUG_CHANGES      = BLKDEBUG_WRITE | BLKDEBUG_WRITE_ZEROES | BLKDEBUG_DISCARD | BLKDEBUG_FLUSH,
};

/* The events that happen in miniblk; QEMU has names for more */
typedef enum BlkdebugEvent {
    BLKDEBUG_EVENT_NONE,            /* once, when the image is opened */
    BLKDEBUG_EVENT_READ_AIO,
    BLKDEBUG_EVENT_WRITE_AIO,
    BLKDEBUG_EVENT_RMW_HEAD,        /* the layer reports these four, see BlockDebug */
    BLKDEBUG_EVENT_RMW_AFTER_HEAD,
    BLKDEBUG_EVENT_RMW_TAIL,
    BLKDEBUG_EVENT_RMW_AFTER_TAIL,
    BLKDEBUG_EVENT_PWRITEV,
    BLKDEBUG_EVENT_PWRITEV_ZERO,
    BLKDEBUG_EVENT_PWRITEV_DONE,
    BLKDEBUG_EVENT_FLUSH_TO_OS,
    BLKDEBUG_EVENT_FLUSH_TO_DISK,
    BLKDEBUG_EVENT_NEVER,           /* an event of QEMU that does not happen here */
    BLKDEBUG_EVENT_UNKNOWN,
} BlkdebugEvent;

/* Which part of a request is done if a rule applies to it */
typedef enum BlkdebugEffect {
    BLKDEBUG_EFFECT_NONE,
    BLKDEBUG_EFFECT_SHORT,          /* the first sectors */
    BLKDEBUG_EFFECT_TORN,           /* any of the sectors */
    BLKDEBUG_EFFECT_ALL,
} BlkdebugEffect;

/* A rule: the option inject-error.N */
typedef struct BlkdebugRule {
    BlkdebugEvent event;
    int64_t state;                  /* 0: any */
    unsigned iotypes;               /* BLKDEBUG_… */
    bool ranged, growing;           /* only requests that touch [start, end); only those that make the file longer */
    int64_t start, end;
    uint64_t chance;                /* the rule applies with the probability chance / BLKDEBUG_CERTAIN */
    int64_t lasts;                  /* nanoseconds from the first request that it applied to; 0: no limit */
    int err;                        /* 0: the request is reported done */
    BlkdebugEffect effect;
    int64_t short_sectors;          /* -1: a random number */
    int64_t latency;                /* nanoseconds */

    /* guarded by the mutex */
    bool active;                    /* active since the last event that any rule waited for */
    bool spent;
    int64_t skip;                   /* it does not apply to so many more requests */
    int64_t times;                  /* it applies to so many more requests; 0: no limit */
    int64_t until;                  /* end of lasts; 0: no request yet */
} BlkdebugRule;

#define BLKDEBUG_CERTAIN ((uint64_t)1 << 32)

/* The option set-state.N */
typedef struct BlkdebugTransition {
    BlkdebugEvent event;
    int64_t state, new_state;
} BlkdebugTransition;

/* Limits of the requests that the layer may send; INT64_MAX: no limit */
typedef struct BlkdebugLimits {
    int64_t max_transfer;
    int64_t zero_unit, max_zero;    /* a range that is no multiple of zero_unit is written as data */
    int64_t discard_unit, max_discard;
} BlkdebugLimits;

typedef struct BlkdebugState {
    BlkdebugLimits limits;
    int64_t latency;                /* nanoseconds that every request takes longer */
    bool ready;                     /* mutex and resumed are initialised */
    pthread_mutex_t mutex;          /* guards the rest */
    pthread_cond_t resumed;
    GArray *rules;                  /* of BlkdebugRule; NULL before open() */
    GArray *transitions;            /* of BlkdebugTransition */
    GPtrArray *breaks;              /* of BlkdebugBreak */
    int64_t state;
    uint64_t random;
    int64_t errors, lies;           /* failed requests; requests reported done that were not */
} BlkdebugState;

typedef struct BlkdebugRequest {
    unsigned iotype;                /* one bit */
    int64_t offset, bytes;
    bool grows;                     /* it makes the file longer */
} BlkdebugRequest;

/* What the rules decide about a request */
typedef struct BlkdebugFate {
    int err;                        /* 0: the request is reported done, even if effect leaves a part out */
    BlkdebugEffect effect;
    int64_t sectors;                /* for SHORT */
    uint64_t random;                /* for TORN */
    int64_t latency;
} BlkdebugFate;

/* ---- blkdebug/open.c */

typedef struct BlkdebugLists {
    BlockOptionList errors, states;
} BlkdebugLists;

typedef struct BlkdebugOptions {
    BlkdebugLists lists;
    char *config;                   /* NULL: none */
    int64_t align, max_transfer, opt_write_zero, max_write_zero, opt_discard, max_discard;  /* -1: not given */
    int64_t latency;
    int64_t seed;
} BlkdebugOptions;

extern const BlockOption blkdebug_options[];

bool blkdebug_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp);
/* "blkdebug:CONFIG:NAME", where CONFIG may be empty */
char *blkdebug_parse_name(const char *name, const char **rest, GError **errp);

/* ---- blkdebug/config.c */

/* Fill @lists, the structs of @table, from a file in the syntax of QEMU's configuration files. Free them with
 * block_options_clear(@table, @lists) */
bool blkdebug_read_config(const char *filename, const BlockOption *table, BlkdebugLists *lists, GError **errp);

/* ---- blkdebug/rules.c */

BlkdebugEvent blkdebug_find_event(const char *name);
/* Activate the rules that wait for @event. The caller holds the mutex */
void blkdebug_begin_rules(BlkdebugState *s, BlkdebugEvent event);
/* Decide about a request by the rules, and wait for its latency */
BlkdebugFate blkdebug_judge(BlkdebugState *s, const BlkdebugRequest *req);
uint64_t blkdebug_mix(uint64_t x);              /* different numbers give different results, which look random */

/* ---- blkdebug/breakpoint.c */

/* Activate the rules that wait for @event, then wait until all breakpoints at it are resumed */
void blkdebug_event(BlkdebugState *s, BlkdebugEvent event);
/* Free the breakpoints. No request may wait at one */
void blkdebug_forget_breaks(BlkdebugState *s);
extern const BlockDebug blkdebug_debug;

#endif
