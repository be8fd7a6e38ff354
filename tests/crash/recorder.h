/* recorder.h - scenarios from inside: images, steps, actions, and who runs them */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_RECORDER_H
#define TESTS_RECORDER_H

#include "guest.h"
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
    bool storage;               /* it lies on storage of the program's, with truncate() unless there is room, and not
                                 * in a file */
    bool through;               /* it is open with BDRV_O_WRITETHROUGH */
    unsigned weight;            /* of large images, the recording's; 0: 1 */
} Image;

/* Offset and length in bytes, after and before so many blocks; a negative block is counted from the end. What is past
 * the end of the disk is cut off */
typedef struct Step {
    enum {
        STEP_WRITE, STEP_FUA, STEP_ZERO, STEP_UNMAP, STEP_DISCARD, STEP_FLUSH, STEP_REOPEN,
        STEP_RESIZE,            /* block: the new size, in eighths of the one that the image was made with */
        STEP_PARENT,            /* block: a ParentChoice */
        STEP_TURN,              /* read-only, and for writing again, without closing */
    } kind;
    int block;
    int64_t in, bytes, blocks;
} Step;

typedef enum ParentChoice {
    PARENT_NONE,
    PARENT_FIRST,               /* the one that images are made with */
    PARENT_OTHER,
    PARENT_MOVED,               /* a copy of the first: only names change */
    PARENT_CHOICES,
} ParentChoice;

typedef struct Action {
    const char *name;
    enum {
        ACTION_CREATE, ACTION_STEPS, ACTION_RANDOM, ACTION_COMMIT, ACTION_REBASE, ACTION_ALONE, ACTION_RELINK,
        ACTION_REPAIR, ACTION_RESIZE,
        ACTION_MIXED,           /* requests at random, and between them other sizes and other parents */
        ACTION_SNAPSHOT,        /* commits of what was written over the image, in scratch space */
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

bool scenario_has_step(const Scenario *scenario, int kind);
int64_t scenario_growth(const Scenario *scenario);  /* so many times as long as at first it may come to be by its steps */

/* At work on one recording */
typedef struct Recorder {
    const Scenario *scenario;
    const Image *image;
    Recording *r;
    GRand *rand;
    Medium file;
    Medium parents[PARENT_CHOICES];     /* without a file: it was not made yet */
    ParentChoice parent;        /* which of them the image has */
    Guest guest;
    const RecordOptions *opts;
    char *above;                /* options of the filter between the image and the log; NULL: there is none */
    bool broken;                /* close failed: nobody knows any more what the disk has */
    bool unsure;                /* a commit failed and was not done again: close says nothing of what that wrote */
    int64_t size;               /* of the disk now, */
    uint8_t *now;               /* and what it has, as far as the guest knows; zeroes up to r->most */
} Recorder;

int64_t recorder_below(Recorder *rec, int64_t n);   /* at random */

/* images.c: what a log begins with */

char *escaped(const char *path);            /* as a value among options; g_free() it */
char *create_options(const Recorder *rec);
void make_first_parent(Recorder *rec);      /* and rec->now as its child sees it; if the image has one */
/* The image in rec->file, with what the action wants to find in it */
void make_image(Recorder *rec);
/* @choice made in rec->parents if it is not there, none of what the image has; its file */
const char *need_parent(Recorder *rec, ParentChoice choice);
/* A child of the image, in a file of its own, with something in it that rec->now has as well; its file */
char *make_top(Recorder *rec);
void write_some(Recorder *rec, BlockDriverState *bs, unsigned stamp);   /* of what is open without a log */
/* The file as it is now is where the log begins */
void start_log(Recorder *rec);

/* requests.c: what a guest asks for, and the ops that say so */

void open_logged(Recorder *rec, bool append);
/* @options with a log below the node @node, "file" of the image itself */
char *with_log(const Recorder *rec, const char *options, const char *node, bool append);
void close_logged(Recorder *rec);
int close_guest(Recorder *rec);             /* the same without an op */
void do_step(Recorder *rec, const Step *step);
void do_commit(Recorder *rec);              /* of a snapshot, into the image */
void do_something(Recorder *rec);           /* at random */
void change_something(Recorder *rec);       /* the size or the parent, at random */
/* After errors, when the disk is well again: more writes, a flush, and all of the disk as it is to be */
void live_on(Recorder *rec);
void check_view(Recorder *rec);             /* the last of these alone */
void choose_place(Recorder *rec, int64_t *offset, int64_t *bytes);

#endif
