/* powercut.c - the power goes at every place of every scenario, and no promise is broken */
/* SPDX-License-Identifier: MIT
 *
 * crash-kit does the same with more states, and "crash-kit state" writes out the one that is named where this fails.
 */
#include "kit.h"
#include "trial.h"

static void try_all(Recording *r, bool length_first, unsigned share, unsigned peers)
{
    TrialOptions opts = kit_is_long() ? trial_defaults : trial_sample;

    opts.cuts.length_first = length_first;
    opts.cuts.samples = MAX(opts.cuts.samples / share, 1);
    opts.peers = peers;
    opts.failed = trial_die;
    g_assert_cmpuint(trial_run(r, &opts).states, >, 0);
}

/* Other programs are slow to start, and see little of how an image came to be so */
static bool is_for_peers(const Scenario *s)
{
    return kit_is_long() || g_str_has_suffix(scenario_name(s), "/allocate") || g_str_has_suffix(scenario_name(s), "/longer");
}

static bool run_seed(unsigned seed, const void *data)
{
    g_autofree char *file = kit_path("x"), *folder = g_path_get_dirname(file);
    Recording *r = scenario_record(data, &(RecordOptions) { seed }, folder);

    try_all(r, false, 1, seed == 0 && is_for_peers(data) ? trial_defaults.peers : 0);
    if (seed == 0) {
        try_all(r, true, 4, 0);
    }
    recording_free(r);
    return true;
}

static void test_scenario(const void *data)
{
    kit_each_seed(kit_is_long() ? scenario_seeds(data) : MIN(scenario_seeds(data), 8), run_seed, data);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    trial_add_tests("powercut", test_scenario, NULL, 0);
    return kit_run();
}
