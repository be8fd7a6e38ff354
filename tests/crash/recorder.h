/* recorder.h - scenarios from inside: images, steps, actions */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_RECORDER_H
#define TESTS_RECORDER_H

#include "scenario.h"

typedef struct Image {
    const char *name;
    const char *create, *open;  /* options, without a size and without a parent */
    int64_t size, block;        /* block: what steps are counted in */
    bool qemu;                  /* QEMU can read it */
    bool child;                 /* has a parent with something everywhere in its first seven eighths */
    bool long_parent;           /* and it is longer than the image: all of that, and more */
    const char *above;          /* options of a filter between the image and the log, one whose child is "image" */
    int64_t sector;             /* never torn; 0: 512 */
    int64_t room;               /* the file is this much longer than the image at first, and never grows; 0: it may */
    unsigned weight;            /* of large images, the recording's; 0: 1 */
} Image;

/* Offset and length in bytes, after and before so many blocks. What is past the end of the disk is cut off */
typedef struct Step {
    enum { STEP_WRITE, STEP_FUA, STEP_ZERO, STEP_UNMAP, STEP_DISCARD, STEP_FLUSH, STEP_REOPEN } kind;
    int block;
    int64_t in, bytes, blocks;
} Step;

typedef struct Action {
    const char *name;
    enum {
        ACTION_CREATE, ACTION_STEPS, ACTION_RANDOM, ACTION_COMMIT, ACTION_REBASE, ACTION_ALONE, ACTION_RELINK,
        ACTION_REPAIR, ACTION_RESIZE,
    } kind;
    enum {
        START_EMPTY,
        START_FULL,             /* something in the first six blocks */
        START_CLEAR,            /* in the first three, but for some sectors, whose bits are clear */
        START_JUNK,             /* and who have junk in the file */
        START_NO_TAIL,          /* in the first three, but no footer at the end of the file, */
        START_NO_HEAD,          /* or none at its start, */
        START_LEAK,             /* or room before it, with something in it */
        START_BACKWARDS,        /* in the first six, the last of which is the first in the file */
    } start;
    const Step *steps;
    size_t count;
    int64_t numerator, denominator;     /* RESIZE: so much of the size is the new one */
} Action;

struct Scenario {
    char *name;
    Image image;
    const Action *action;
    unsigned seeds;
};

#endif
