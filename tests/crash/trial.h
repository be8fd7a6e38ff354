/* trial.h - a recording, and all its states judged */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_TRIAL_H
#define TESTS_TRIAL_H

#include "cuts.h"
#include "scenario.h"

typedef struct TrialOptions {
    CutOptions cuts;            /* of a recording of weight 1; the sector is the recording's */
    unsigned peers;             /* how many states to show to other programs, too */
    uint64_t limit;             /* stop after so many failures; 0: never */
    void (*failed)(void *user, Cuts *cuts, uint64_t n, const char *reason);    /* of each; NULL: no matter */
    void *user;
} TrialOptions;

typedef struct TrialResult {
    uint64_t states, failures;
    uint64_t no_footer;         /* VHDs that do not end in a footer, which most programs look for */
} TrialResult;

/* What is worth doing in a minute for all scenarios, and the seed that it has if nobody says otherwise */
extern const TrialOptions trial_defaults;

/* For this recording; cuts_free() it */
Cuts *trial_cuts(const Recording *r, const TrialOptions *opts);
TrialResult trial_run(const Recording *r, const TrialOptions *opts);

#endif
