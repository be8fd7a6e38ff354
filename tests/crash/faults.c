/* faults.c - each request of each scenario fails in turn, the power goes some time later, and no promise is broken */
/* SPDX-License-Identifier: MIT
 *
 * "crash-kit errors" does the same with more states, and shows QEMU beside it.
 */
#include <inttypes.h>
#include "kit.h"
#include "trial.h"

static bool run_seed(unsigned seed, const void *data)
{
    g_autofree char *file = kit_path("x"), *folder = g_path_get_dirname(file);
    TrialOptions opts = trial_defaults;

    opts.cuts.bits = opts.cuts.samples = opts.most = 3;
    opts.peers = 0;
    opts.failed = trial_die;
    TrialResult result = trial_faults(data, &(RecordOptions) { seed }, &opts, folder);

    g_assert_cmpuint(result.errors, >, 0);
    g_test_message("%" PRIu64 " errors, %" PRIu64 " states", result.errors, result.states);
    return true;
}

static void test_scenario(const void *data)
{
    kit_each_seed(1, run_seed, data);
}

int main(int argc, char **argv)
{
    const Scenario *s = NULL;

    kit_init(argc, argv);
    while ((s = scenario_next(s))) {
        g_autofree char *path = g_strdup_printf("/faults/%s", scenario_name(s));

        if (scenario_may_fail(s)) {
            g_test_add_data_func(path, s, test_scenario);
        }
    }
    return kit_run();
}
