/* trial.h - a recording, and all its states judged */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_TRIAL_H
#define TESTS_TRIAL_H

#include "cuts.h"
#include "scenario.h"

typedef struct TrialOptions {
    CutOptions cuts;            /* of a recording of weight 1; the sector is the recording's */
    unsigned every;             /* of requests that could fail, let each so manieth do so */
    unsigned runs;              /* and up to so many in a row; 0: one */
    bool in_turn;               /* of these numbers one at each request, and not all of them */
    uint64_t most;              /* so many states of a recording, here and there, and the last; 0: all */
    unsigned peers;             /* how many states to show to other programs, too */
    uint64_t limit;             /* stop after so many failures; 0: never */
    void (*failed)(const Recording *r, Cuts *cuts, uint64_t n, const char *reason);    /* of each; NULL: no matter */
} TrialOptions;

typedef struct TrialResult {
    uint64_t states, failures;
    uint64_t no_footer;         /* VHDs that do not end in a footer, which most programs look for */
    uint64_t recordings, entries, errors;
    uint64_t requests, lazy;    /* of the guest; and of these, those that a killed process may lose until a flush */
} TrialResult;

/* What the tests try of each scenario: a minute for all of them; less under AddressSanitizer */
extern const TrialOptions trial_defaults;

/* And where MINIBLK_TEST_LONG is not set: some states of each stretch */
extern const TrialOptions trial_sample;

/* Adds @b to @a */
void trial_add(TrialResult *a, const TrialResult *b);

/* For this recording; cuts_free() it */
Cuts *trial_cuts(const Recording *r, const TrialOptions *opts);
TrialResult trial_run(const Recording *r, const TrialOptions *opts);

/* A failed() for tests: it says what is wrong, and ends the program */
void trial_die(const Recording *r, Cuts *cuts, uint64_t n, const char *reason);

/* A scenario, recorded here and now, with files in @folder */
TrialResult trial_record(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder);

/* The same with an error at every request in turn: writes, flushes, zeroing, discards, changes of length, once or for
 * good, and writes that were made in part. The power cut comes some time after it */
TrialResult trial_errors(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder);

/* And with two errors in a row or more, up to opts->runs, after which the disk is well again and life goes on */
TrialResult trial_runs(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder);

/* Add @test as /NAME/SCENARIO for each scenario that @fits (NULL: all do); if kit_is_brief(), for one in four of these,
 * from @phase on */
typedef void TrialTest(const void *scenario);
void trial_add_tests(const char *name, TrialTest *test, bool (*fits)(const Scenario *s), unsigned phase);

#endif
