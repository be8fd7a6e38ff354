/* powercut.c - the power goes at every place of every scenario, and no promise is broken */
/* SPDX-License-Identifier: MIT
 *
 * crash-kit does the same with more states, and "crash-kit state" writes out the one that is named where this fails.
 */
#include "kit.h"
#include "trial.h"

static void try_all(Recording *r, bool length_first, unsigned share, unsigned peers)
{
    TrialOptions opts = trial_defaults;

    opts.cuts.length_first = length_first;
    opts.cuts.samples /= share;
    opts.peers = peers;
    opts.failed = trial_die;
    g_assert_cmpuint(trial_run(r, &opts).states, >, 0);
}

static bool run_seed(unsigned seed, const void *data)
{
    g_autofree char *file = kit_path("x"), *folder = g_path_get_dirname(file);
    Recording *r = scenario_record(data, &(RecordOptions) { seed }, folder);

    try_all(r, false, 1, seed == 0 ? trial_defaults.peers : 0);
    if (seed == 0) {
        try_all(r, true, 4, 0);
    }
    recording_free(r);
    return true;
}

static void test_scenario(const void *data)
{
    kit_each_seed(scenario_seeds(data), run_seed, data);
}

int main(int argc, char **argv)
{
    const Scenario *s = NULL;

    kit_init(argc, argv);
    while ((s = scenario_next(s))) {
        g_autofree char *path = g_strdup_printf("/powercut/%s", scenario_name(s));

        g_test_add_data_func(path, s, test_scenario);
    }
    return kit_run();
}
