/* judge.h - is a state that a power cut left as good as was promised? */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_JUDGE_H
#define TESTS_JUDGE_H

#include "scenario.h"

typedef struct Judge Judge;

/* @lenient: for states whose length came before the data, and always for those that QEMU made. The image may be
 * opened with warnings, and is to be sound once it was written to. @killed: of states that a killed process leaves;
 * what was answered counts as flushed, but for lazy requests */
Judge *judge_new(const Recording *r, bool lenient, bool killed);
void judge_free(Judge *j);

/* NULL if it is, else why not, to be g_free()d. @entries: so many of the log may have been made. Repairs what it
 * is shown: @disk is changed */
char *judge_state(Judge *j, Disk *disk, uint64_t entries, uint64_t n);

/* Does the file end in a footer? True where there is to be none, or not yet */
bool judge_footer(const Judge *j, Disk *disk, uint64_t entries);

/* The same asked of QEMU's and libvhdi's tools, as far as they are there: can they open it, and does QEMU read the
 * same? Takes far longer. @disk is not changed */
char *judge_peers(Judge *j, Disk *disk, uint64_t entries);

#endif
