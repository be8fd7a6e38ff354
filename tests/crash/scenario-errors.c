/* scenario-errors.c - each request of each scenario fails in turn, the power goes some time later, and no promise is broken */
/* SPDX-License-Identifier: MIT
 *
 * And some requests in a row fail, after which the disk is well again, and life goes on. "crash-kit errors --runs 6" does
 * the same with more states and at each request, and shows QEMU beside it.
 */
#include <inttypes.h>
#include "kit.h"
#include "trial.h"

/* Those that change over from one description of the disk to another, which is what a second error may keep halfway */
static const char *const in_a_row[] = {
    "fixed/live-longer", "fixed/live-shorter", "dynamic/4k/allocate", "dynamic/4k/live-longer",
    "dynamic/512/live-much-longer", "dynamic/4k/live-rebase", "dynamic/4k/snapshot", "dynamic/4k/repair-leak",
    "child/512/live-shorter", "child/512/live-rebase", "child/16k/live-relink", "child/512/alone", "device/dynamic/live-longer",
    "device/child/live-rebase", "storage/dynamic/live-longer", "storage/no-truncate/live-longer", "storage/fixed/live-shorter",
    "storage/child/live-rebase", "base/dynamic/commit", "dynamic/4k/discard", NULL,
};

static TrialOptions options(void)
{
    TrialOptions opts = trial_defaults;

    opts.cuts.bits = opts.cuts.samples = opts.most = 3;
    opts.every *= kit_is_long() ? 2 : 8;
    opts.peers = 0;
    opts.failed = trial_die;
    return opts;
}

typedef TrialResult Trial(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder);

static void try_once(Trial *trial, const Scenario *s, unsigned seed, const TrialOptions *opts)
{
    g_autofree char *file = kit_path("x"), *folder = g_path_get_dirname(file);
    TrialResult result = trial(s, &(RecordOptions) { seed }, opts, folder);

    g_assert_cmpuint(result.errors, >, 0);
    g_test_message("%" PRIu64 " errors, %" PRIu64 " states", result.errors, result.states);
}

static bool fail_once(unsigned seed, const void *data)
{
    TrialOptions opts = options();

    try_once(trial_errors, data, seed, &opts);
    return true;
}

static void test_scenario(const void *data)
{
    kit_each_seed(1, fail_once, data);
}

static bool fail_in_a_row(unsigned seed, const void *data)
{
    TrialOptions opts = options();

    opts.every = MAX(opts.every / (kit_is_long() ? 3 : 2), 1);
    opts.runs = 6;
    opts.in_turn = true;
    try_once(trial_runs, data, seed, &opts);
    return true;
}

static void test_runs(const void *data)
{
    kit_each_seed(1, fail_in_a_row, data);
}

/* Large images take long, and differ from small ones where room is reserved a second time. "crash-kit errors" has all */
static bool is_worth_it(const Scenario *s)
{
    return scenario_may_fail(s) && (scenario_weight(s) == 1 || g_str_has_suffix(scenario_name(s), "/grow"));
}

static bool is_in_a_row(const Scenario *s)
{
    return g_strv_contains(in_a_row, scenario_name(s));
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    trial_add_tests("scenario-errors", test_scenario, is_worth_it, 2);
    trial_add_tests("scenario-errors/in-a-row", test_runs, is_in_a_row, 3);
    return kit_run();
}
