/* cuts.h - the files that a power cut may leave, numbered */
/* SPDX-License-Identifier: MIT
 *
 * What the log has before a flush is there once that flush is done. Of what came after the last one, each sector
 * of each write may be there or not, and so may each change of length. Two writes of one sector leave what it was,
 * or the first, or the second; so no order but that of the log has to be tried. A file is as long as what is there
 * makes it: it grows with the data that needs the room, or, with length_first, without.
 *
 * So each stretch of the log between two flushes is a number of states. Where it has few sectors, these are all
 * there are; of longer ones all (or, of many, the simplest) choices of whole writes are tried, each write torn in
 * the usual ways beside others that are there or not, and random choices, by the seed.
 *
 * A process that is killed loses nothing that it wrote: the page cache has it. With killed the states are the file
 * before each event, and the file after the last.
 */
#ifndef TESTS_CUTS_H
#define TESTS_CUTS_H

#include "medium.h"
#include "writelog.h"

typedef struct CutOptions {
    uint64_t seed;
    unsigned bits;              /* up to so many sectors, or writes, are tried in all ways: 2^bits; at most 20 */
    unsigned samples;           /* of random choices, and of torn writes, in longer stretches */
    int64_t sector;             /* what is never torn */
    bool length_first;          /* a file may be longer already, and the data that made it so not there */
    bool killed;                /* the process ends, and the power stays: nothing is lost. The other options do not count */
} CutOptions;

typedef struct Cuts Cuts;

/* @start: the file when the log began. It and @log must outlive the cuts */
Cuts *cuts_new(Disk *start, const WriteLog *log, const CutOptions *opts);
void cuts_free(Cuts *cuts);
uint64_t cuts_count(const Cuts *cuts);

/* The file in state @n, which depends on nothing but the log, the file at the start and the options; going up is
 * faster than going down. disk_free() it */
Disk *cuts_make(Cuts *cuts, uint64_t n);

/* So many entries of the log may have been made when the power went */
uint64_t cuts_entries(const Cuts *cuts, uint64_t n);
/* The first state of the stretch that @n is in, which is the file as the last flush left it */
uint64_t cuts_first(const Cuts *cuts, uint64_t n);
/* For people: what is there; g_free() it */
char *cuts_describe(Cuts *cuts, uint64_t n);

#endif
