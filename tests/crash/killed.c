/* killed.c - the process is killed after each write of each scenario: what was answered is there, flushed or not */
/* SPDX-License-Identifier: MIT
 *
 * "crash-kit killed" does the same with all seeds, and "crash-kit state --killed" writes out the state that is named
 * where this fails.
 */
#include "kit.h"
#include "trial.h"

static bool run_seed(unsigned seed, const void *data)
{
    g_autofree char *file = kit_path("x"), *folder = g_path_get_dirname(file);
    TrialOptions opts = trial_defaults;

    opts.cuts.killed = true;
    opts.peers = 0;
    opts.most = kit_is_long() ? (opts.most ? opts.most : 100) : 20;
    opts.failed = trial_die;
    TrialResult result = trial_record(data, &(RecordOptions) { seed, .killed = true }, &opts, folder);

    g_assert_cmpuint(result.states, >, 0);
    return true;
}

static void test_scenario(const void *data)
{
    kit_each_seed(kit_is_long() ? MIN(scenario_seeds(data), 4) : 1, run_seed, data);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    trial_add_tests("killed", test_scenario, NULL, 1);
    return kit_run();
}
