/* scenario.h - what is done to images while a log is kept of it */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SCENARIO_H
#define TESTS_SCENARIO_H

#include "medium.h"
#include "writelog.h"

/* What the guest asked for */
typedef struct GuestOp {
    enum {
        GUEST_WRITE, GUEST_ZERO, GUEST_FLUSH,
        GUEST_RESIZE,           /* its bytes lie between the old size and the wanted one, and become zeroes */
        GUEST_OTHER,            /* a discard, or what failed: what it did is known from reading */
    } kind;
    int64_t offset, bytes;
    unsigned stamp;             /* WRITE: of its bytes, kit_byte() */
    uint8_t *found;             /* OTHER, and RESIZE that failed: what was there afterwards; else NULL */
    bool failed;                /* RESIZE */
    int64_t size;               /* RESIZE: the one that the disk had then */
    bool moves;                 /* tables or header, and until it is answered the file has old and new ones */
    bool lasts;                 /* once it is answered, it and all ops before it are on disk */
    bool kept;                  /* once it is answered, it is there even if the process is killed */
    uint64_t begin, end;        /* how many entries the log had when it was asked, and when it had been answered */
} GuestOp;

uint8_t guest_value(const GuestOp *op, int64_t at);     /* of the byte at @at, which is one of the op's */

/* What is promised of a state, and so what is asked of it */
typedef enum Promise {
    PROMISE_GUEST,              /* what was flushed is there, and what was not is old or new */
    PROMISE_CREATE,             /* once create returned, an image of zeroes; before, nothing that looks like data */
    PROMISE_COMMIT,             /* the image on top never changes, its parent only from old to new */
    PROMISE_REBASE,             /* the image never changes */
    PROMISE_REPAIR,             /* nor does this one, and repaired again it is sound */
    PROMISE_RESIZE,             /* it has the old size or the new one; up to both it never changes, and then it is zero */
} Promise;

/* A scenario that was run: the log, the file from which it began, and what was promised */
typedef struct Recording {
    char *name;
    Promise promise;
    char *open;                 /* options to open a state with, */
    bool vhd;                   /* which is a VHD, */
    bool fixed;                 /* and a fixed one, */
    bool qemu;                  /* and one that QEMU understands, */
    bool theirs;                /* and has written */
    int64_t size;               /* of the disk, when the log began */
    int64_t new_size;           /* PROMISE_RESIZE: and the one it is to have */
    int64_t most;               /* it is never longer. before and after have so many bytes, with zeroes behind the size */
    bool resized;               /* it may come to be shorter than its parent */
    int64_t sector;             /* of what the file lies on: it is never torn */
    bool fixed_length;          /* nor does that grow or shrink, and so need not end in a footer */
    unsigned weight;            /* the larger, the fewer states are worth the time */
    Disk *start;
    WriteLog *log;
    uint8_t *before;            /* what the disk had when the log began; */
    uint8_t *after;             /* COMMIT: and what the parent has at last */
    GArray *ops;                /* GUEST: of GuestOp */
    guint lazy;                 /* how many of these a killed process may lose until they are flushed */
    uint64_t done;              /* but GUEST: how many entries the log had when the call returned */
    unsigned errors;            /* that the disk gave, or of QEMU's that the guest saw */
    char *damage;               /* what a failed request did besides failing; NULL: nothing */
    char *folder;               /* of all files */
    char *top, *target;         /* COMMIT: the image on top; REBASE: the new parent, NULL: none */
    bool names_only;
    const char *tolerated;      /* a code of check's that there may be; NULL: none */
    bool hurt;                  /* it was from the start: there are warnings until that is put right */
    bool fails;                 /* some request was to fail: what a resize or a rebase moved may stay where it is */
    bool frail;                 /* errors in a row may hurt it, and there are warnings */
    uint64_t settled;           /* until the log has so many entries, as close() said that all is well; else UINT64_MAX */
} Recording;

/* The built-in ones have names "format/image/what" */
typedef struct Scenario Scenario;

const Scenario *scenario_next(const Scenario *scenario);    /* NULL: the first; NULL after the last */
const char *scenario_name(const Scenario *scenario);
unsigned scenario_seeds(const Scenario *scenario);          /* how many are worth a run; 1: it is not random */
unsigned scenario_weight(const Scenario *scenario);    /* of its image: 1, or more for large ones */

/* Of somebody else's driver: what is done is one of "allocate", "overwrite", ...; NULL if it isn't. @create must do
 * without the size, which is added, and the filename. */
Scenario *scenario_new(const char *create, const char *open, int64_t block, const char *what);
const char *scenario_actions(void);                         /* words for @what */

bool scenario_is_for_qemu(const Scenario *scenario);        /* can QEMU do it, too? */
bool scenario_may_fail(const Scenario *scenario);           /* can it be run with a fault? */

/* The disk fails one request or some in a row, and may stay broken */
typedef struct Fault {
    const char *iotype;         /* "write", "write-zeroes", "discard", "flush", "truncate"; "any": any of these */
    unsigned skip;              /* so many of these work */
    int err;                    /* errno */
    bool stays;
    unsigned times;             /* how many in a row fail; 0: one */
    const char *effect;         /* "torn": any of the sectors were changed all the same, "short": the first; NULL: none */
} Fault;

typedef struct RecordOptions {
    unsigned seed;
    bool qemu;                  /* QEMU is to do it, if it is there */
    Fault fault;                /* without an iotype: none. A guest that meets it goes on */
    bool killed;                /* what writes through does not flush: the process will be killed, the power stays */
} RecordOptions;

/* Run it, with files in @folder. Whatever goes wrong without a fault ends the program */
Recording *scenario_record(const Scenario *scenario, const RecordOptions *opts, const char *folder);
void recording_free(Recording *r);                          /* and its files */

#endif
