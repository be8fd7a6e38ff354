/* trial.c - a recording, and all its states judged */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "judge.h"
#include "kit.h"
#include "trial.h"

#ifdef __SANITIZE_ADDRESS__     /* slower by far, and no more is to be seen of the states themselves */
const TrialOptions trial_defaults = { .cuts = { .seed = 1, .bits = 4, .samples = 2 }, .every = 24, .most = 24 };
#else
const TrialOptions trial_defaults = { .cuts = { .seed = 1, .bits = 8, .samples = 40 }, .every = 3, .peers = 1 };
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

const TrialOptions trial_sample = { .cuts = { .seed = 1, .bits = 4, .samples = 4 }, .every = 24, .most = 80, .peers = 1 };

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

static void add_failure(TrialResult *result, const TrialOptions *opts, const Recording *r, Cuts *cuts, uint64_t n,
                        const char *reason)
{
    result->failures++;
    if (opts->failed) {
        opts->failed(r, cuts, n, reason);
    }
}

void trial_add(TrialResult *a, const TrialResult *b)
{
    a->states += b->states;
    a->failures += b->failures;
    a->no_footer += b->no_footer;
    a->recordings += b->recordings;
    a->entries += b->entries;
    a->errors += b->errors;
    a->requests += b->requests;
    a->lazy += b->lazy;
}

/* Always with the last, which nothing was lost of */
static uint64_t next(uint64_t n, uint64_t step, uint64_t count)
{
    return n + step < count || n == count - 1 ? n + step : count - 1;
}

TrialResult trial_run(const Recording *r, const TrialOptions *opts)
{
    Judge *judge = judge_new(r, opts->cuts.length_first, opts->cuts.killed);
    Cuts *cuts = trial_cuts(r, opts);
    TrialResult result = { .recordings = 1, .entries = r->log->entries, .errors = r->errors,
                           .requests = r->ops->len, .lazy = r->lazy };
    uint64_t count = cuts_count(cuts), stride = opts->peers ? count / opts->peers + 1 : 0;
    uint64_t step = opts->most ? count / opts->most + 1 : 1;

    if (r->damage) {
        add_failure(&result, opts, r, cuts, count - 1, r->damage);
    }

    for (uint64_t n = 0; n < count && (!opts->limit || result.failures < opts->limit); n = next(n, step, count)) {
        g_autofree char *reason = judge_one(judge, cuts, n, stride && n % stride == stride / 2, &result);

        if (reason) {
            add_failure(&result, opts, r, cuts, n, reason);
        }
    }
    cuts_free(cuts);
    judge_free(judge);
    return result;
}

void trial_die(const Recording *r, Cuts *cuts, uint64_t n, const char *reason)
{
    g_autofree char *what = cuts_describe(cuts, n);

    g_error("%s: %s\n%s", r->name, reason, what);
}

TrialResult trial_record(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder)
{
    Recording *r = scenario_record(s, how, folder);
    TrialResult result = trial_run(r, opts);

    recording_free(r);
    return result;
}

/* What fails. Of QEMU writes only: it does not discard, zeroes by writes, and qemu-io is silent about failed flushes */
static const Fault faults[] = {
    { "write", .err = EIO }, { "write", .err = ENOSPC, .stays = true }, { "flush", .err = EIO },
    { "write-zeroes", .err = EIO }, { "discard", .err = EIO }, { "truncate", .err = EIO },
    { "write", .err = EIO, .effect = "torn" },
};

enum { QEMU_FAULTS = 2 };

/* What fails more than once: the way back from the first error, too */
static const Fault runs[] = {
    { "any", .err = EIO }, { "any", .err = EIO, .effect = "torn" }, { "write", .err = ENOSPC, .effect = "short" },
    { "flush", .err = EIO }, { "truncate", .err = EIO },
};

/* An error may hurt nobody, or only the next one's close, so a few more are tried after the last that was seen: of these
 * one, if that is far enough behind */
enum { UNSEEN = 4, FAR = 12 };

static bool is_enough(const TrialOptions *opts, const TrialResult *result)
{
    return opts->limit && result->failures >= opts->limit;
}

/* At each request from the one that how->fault says */
static void try_fault(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder,
                      TrialResult *total)
{
    RecordOptions with = *how;
    unsigned turn = 0, enough = opts->every < FAR ? UNSEEN : 1;

    for (unsigned unseen = 0; unseen < enough && !is_enough(opts, total); with.fault.skip += opts->every) {
        if (opts->in_turn) {
            with.fault.times = 2 + turn++ % (opts->runs - 1);
        }
        TrialResult result = trial_record(s, &with, opts, folder);

        unseen = result.errors ? 0 : unseen + 1;
        trial_add(total, &result);
    }
}

TrialResult trial_errors(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder)
{
    TrialOptions one = *opts;
    TrialResult total = { 0 };

    one.in_turn = false;
    for (size_t i = 0; i < (how->qemu ? QEMU_FAULTS : G_N_ELEMENTS(faults)); i++) {
        RecordOptions with = *how;

        with.fault = faults[i];
        try_fault(s, &with, &one, folder, &total);
    }
    return total;
}

TrialResult trial_runs(const Scenario *s, const RecordOptions *how, const TrialOptions *opts, const char *folder)
{
    TrialOptions alone = *opts;
    TrialResult total = { 0 };

    alone.peers = 0;            /* they are slow, and the image is as it was after one error */
    for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
        for (unsigned times = opts->in_turn ? opts->runs : 2; times <= opts->runs; times++) {
            RecordOptions with = *how;

            with.fault = runs[i];
            with.fault.times = times;
            with.fault.skip = (unsigned)i % opts->every;
            try_fault(s, &with, &alone, folder, &total);
        }
    }
    return total;
}

void trial_add_tests(const char *name, TrialTest *test, bool (*fits)(const Scenario *s), unsigned phase)
{
    const Scenario *s = NULL;

    for (unsigned n = 0; (s = scenario_next(s));) {
        g_autofree char *path = g_strdup_printf("/%s/%s", name, scenario_name(s));

        if ((!fits || fits(s)) && (!kit_is_brief() || kit_takes(n++, 4, phase))) {
            g_test_add_data_func(path, s, test);
        }
    }
}
