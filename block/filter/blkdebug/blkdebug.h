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

    BLKDEBUG_ANY          = BLKDEBUG_BLOCK_STATUS - 1,  /* a question for holes has to be named */
    BLKDEBUG_CHANGES      = BLKDEBUG_WRITE | BLKDEBUG_WRITE_ZEROES | BLKDEBUG_DISCARD | BLKDEBUG_FLUSH,
};

/* What happens here, of all the events that QEMU has names for */
typedef enum BlkdebugEvent {
    BLKDEBUG_EVENT_NONE,            /* once, when the image is opened */
    BLKDEBUG_EVENT_READ_AIO,
    BLKDEBUG_EVENT_WRITE_AIO,
    BLKDEBUG_EVENT_RMW_HEAD,        /* these four are the layer's, see BlockDebug */
    BLKDEBUG_EVENT_RMW_AFTER_HEAD,
    BLKDEBUG_EVENT_RMW_TAIL,
    BLKDEBUG_EVENT_RMW_AFTER_TAIL,
    BLKDEBUG_EVENT_PWRITEV,
    BLKDEBUG_EVENT_PWRITEV_ZERO,
    BLKDEBUG_EVENT_PWRITEV_DONE,
    BLKDEBUG_EVENT_FLUSH_TO_OS,
    BLKDEBUG_EVENT_FLUSH_TO_DISK,
    BLKDEBUG_EVENT_NEVER,           /* one of the others */
    BLKDEBUG_EVENT_UNKNOWN,
} BlkdebugEvent;

/* How much is done of a request that a rule has taken */
typedef enum BlkdebugEffect {
    BLKDEBUG_EFFECT_NONE,
    BLKDEBUG_EFFECT_SHORT,          /* its first sectors */
    BLKDEBUG_EFFECT_TORN,           /* any of its sectors */
    BLKDEBUG_EFFECT_ALL,
} BlkdebugEffect;

/* inject-error */
typedef struct BlkdebugRule {
    BlkdebugEvent event;
    int64_t state;                  /* 0: any */
    unsigned iotypes;               /* BLKDEBUG_… */
    bool ranged, growing;           /* only requests that touch [start, end); that make the file longer */
    int64_t start, end;
    uint64_t chance;                /* of BLKDEBUG_CERTAIN */
    int64_t lasts;                  /* nanoseconds from the first request taken; 0: no limit */
    int err;                        /* 0: reported done */
    BlkdebugEffect effect;
    int64_t short_sectors;          /* -1: as many as chance has it */
    int64_t latency;                /* nanoseconds */

    /* guarded by the mutex */
    bool active;                    /* its event was the last that any rule was waiting for */
    bool spent;
    int64_t skip;                   /* as many more are let pass */
    int64_t times;                  /* as many more are taken; 0: no limit */
    int64_t until;                  /* the time when it is spent; 0: not known yet */
} BlkdebugRule;

#define BLKDEBUG_CERTAIN ((uint64_t)1 << 32)

/* set-state */
typedef struct BlkdebugTransition {
    BlkdebugEvent event;
    int64_t state, new_state;
} BlkdebugTransition;

/* What the layer above is kept to; INT64_MAX: no limit */
typedef struct BlkdebugLimits {
    int64_t max_transfer;
    int64_t zero_unit, max_zero;    /* unit: what is not a multiple of this is written as data; 1: nothing */
    int64_t discard_unit, max_discard;
} BlkdebugLimits;

typedef struct BlkdebugState {
    BlkdebugLimits limits;
    int64_t latency;                /* of every request, nanoseconds */
    bool ready;                     /* mutex and resumed are there */
    pthread_mutex_t mutex;          /* guards the rest */
    pthread_cond_t resumed;
    GArray *rules;                  /* of BlkdebugRule; NULL before open() */
    GArray *transitions;            /* of BlkdebugTransition */
    GPtrArray *breaks;              /* of BlkdebugBreak */
    int64_t state;
    uint64_t random;
    int64_t errors, lies;           /* requests made to fail; done in part at most, and reported done */
} BlkdebugState;

typedef struct BlkdebugRequest {
    unsigned iotype;                /* one bit */
    int64_t offset, bytes;
    bool grows;                     /* the file */
} BlkdebugRequest;

/* What becomes of a request */
typedef struct BlkdebugFate {
    int err;                        /* 0: reported done, whatever the effect */
    BlkdebugEffect effect;
    int64_t sectors;                /* SHORT */
    uint64_t random;                /* TORN */
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

/* Fill @lists, as @table says, with the rules of a file in the form that QEMU has for it; block_options_clear(@table, @lists) */
bool blkdebug_read_config(const char *filename, const BlockOption *table, BlkdebugLists *lists, GError **errp);

/* ---- blkdebug/rules.c */

BlkdebugEvent blkdebug_find_event(const char *name);
/* Under the mutex: rules that waited for this event hold from now on */
void blkdebug_begin_rules(BlkdebugState *s, BlkdebugEvent event);
/* Ask the rules, and wait as long as they say */
BlkdebugFate blkdebug_judge(BlkdebugState *s, const BlkdebugRequest *req);
uint64_t blkdebug_mix(uint64_t x);              /* any two numbers give different ones, that look random */

/* ---- blkdebug/breakpoint.c */

/* Begin the rules that waited for this event, and return when all breakpoints met here are resumed */
void blkdebug_event(BlkdebugState *s, BlkdebugEvent event);
/* When no request is left */
void blkdebug_forget_breaks(BlkdebugState *s);
extern const BlockDebug blkdebug_debug;

#endif
