/* trial.c - a recording, and all its states judged */
/* SPDX-License-Identifier: MIT */
#include "judge.h"
#include "trial.h"

#ifdef __SANITIZE_ADDRESS__     /* slower by far, and no more is to be seen of the states themselves */
const TrialOptions trial_defaults = { .cuts = { .seed = 1, .bits = 5, .samples = 4 }, .peers = 0 };
#else
const TrialOptions trial_defaults = { .cuts = { .seed = 1, .bits = 8, .samples = 40 }, .peers = 1 };
#endif

Cuts *trial_cuts(const Recording *r, const TrialOptions *opts)
{
    CutOptions cuts = opts->cuts;

    cuts.sector = r->sector;
    cuts.samples = MAX(cuts.samples / r->weight, 1);
    for (unsigned w = r->weight; w > 1 && cuts.bits > 0; w /= 2) {
        cuts.bits--;
    }
    return cuts_new(r->start, r->log, &cuts);
}

static char *judge_one(Judge *judge, Cuts *cuts, uint64_t n, bool show_peers, TrialResult *result)
{
    Disk *disk = cuts_make(cuts, n);

    result->states++;
    result->no_footer += !judge_footer(judge, disk, cuts_entries(cuts, n));
    char *reason = show_peers ? judge_peers(judge, disk, cuts_entries(cuts, n)) : NULL;

    if (!reason) {
        reason = judge_state(judge, disk, cuts_entries(cuts, n), n);
    }
    disk_free(disk);
    return reason;
}

TrialResult trial_run(const Recording *r, const TrialOptions *opts)
{
    Judge *judge = judge_new(r, opts->cuts.length_first);
    Cuts *cuts = trial_cuts(r, opts);
    TrialResult result = { 0 };
    uint64_t count = cuts_count(cuts), stride = opts->peers ? count / opts->peers + 1 : 0;

    for (uint64_t n = 0; n < count && (!opts->limit || result.failures < opts->limit); n++) {
        g_autofree char *reason = judge_one(judge, cuts, n, stride && n % stride == stride / 2, &result);

        if (reason) {
            result.failures++;
            if (opts->failed) {
                opts->failed(opts->user, cuts, n, reason);
            }
        }
    }
    cuts_free(cuts);
    judge_free(judge);
    return result;
}
