/* scenario.c - the built-in scenarios: which images, and what is done to each */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "kit.h"
#include "recorder.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

static const Step allocate[] = {
    { STEP_WRITE, 1, 0, -100, 1 },
    { STEP_WRITE, 0, 100, 300, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 2, 0, 0, 1 },
    { STEP_WRITE, 0, 300, 100, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 3, 10, 200, 0 },
    { STEP_WRITE, 5, -200, 500, 0 },        /* goes over an edge: two blocks */
    { STEP_WRITE, 3, 100, 300, 0 },
    { STEP_FLUSH },
    { STEP_FUA, 6, 7, 400, 0 },
    { STEP_WRITE, 7, 0, 512, 0 },
    { STEP_ZERO, 1, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_WRITE, 8, 0, 0, 1 },
    { STEP_WRITE, 9, 0, 300, 0 },           /* flushed by close only */
};

static const Step overwrite[] = {
    { STEP_WRITE, 0, 0, 512, 0 },
    { STEP_WRITE, 0, 700, 100, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 3, -300, 600, 0 },
    { STEP_WRITE, 1, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_WRITE, 0, 0, 1024, 0 },
    { STEP_WRITE, 0, 512, 512, 0 },
    { STEP_WRITE, 0, 300, 400, 0 },
    { STEP_FUA, 2, 13, 1000, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 4, 0, 0, 2 },
};

static const Step zero[] = {
    { STEP_ZERO, 0, 0, 0, 1 },
    { STEP_ZERO, 1, 100, 300, 0 },
    { STEP_FLUSH },
    { STEP_ZERO, 9, 0, 100, 0 },            /* was never written to */
    { STEP_ZERO, 3, -200, 600, 0 },
    { STEP_UNMAP, 2, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_WRITE, 2, 100, 700, 0 },
    { STEP_ZERO, 2, 200, 100, 0 },
    { STEP_WRITE, 8, 10, 100, 0 },
    { STEP_ZERO, 8, 50, 300, 0 },
};

static const Step discard[] = {
    { STEP_DISCARD, 0, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_DISCARD, 1, 100, 1000, 0 },
    { STEP_WRITE, 0, 10, 600, 0 },
    { STEP_FLUSH },
    { STEP_DISCARD, 2, 0, 0, 2 },
    { STEP_WRITE, 2, 0, 0, 1 },
    { STEP_DISCARD, 9, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_DISCARD, 0, 0, 0, 4 },
};

static const Step reopen[] = {
    { STEP_WRITE, 0, 100, 500, 0 },
    { STEP_REOPEN },
    { STEP_WRITE, 1, 0, 0, 1 },
    { STEP_WRITE, 4, 0, 512, 0 },
    { STEP_REOPEN },
    { STEP_REOPEN },
    { STEP_WRITE, 2, 0, 100, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 0, 0, 512, 0 },
};

static const Step turn[] = {
    { STEP_WRITE, 0, 100, 500, 0 },
    { STEP_TURN },
    { STEP_WRITE, 1, 0, 0, 1 },
    { STEP_WRITE, 4, 0, 512, 0 },
    { STEP_TURN },
    { STEP_TURN },
    { STEP_WRITE, 2, 0, 100, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 0, 0, 512, 0 },
};

static const Step grow[] = {
    { STEP_WRITE, 0, 0, 512, 0 }, { STEP_WRITE, 1, 0, 512, 0 }, { STEP_WRITE, 2, 0, 512, 0 }, { STEP_FLUSH },
    { STEP_WRITE, 3, 0, 512, 0 }, { STEP_WRITE, 4, 0, 512, 0 }, { STEP_WRITE, 5, 0, 512, 0 },
    { STEP_WRITE, 6, 0, 512, 0 }, { STEP_FLUSH }, { STEP_WRITE, 0, 512, 512, 0 },
};

/* If the first write fails, the place that its block was to have is taken by another */
static const Step retake[] = {
    { STEP_WRITE, 1, 0, 2560, 0 },
    { STEP_WRITE, 2, 1024, 100, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 1, 0, 512, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 0, 512, 512, 0 },
};

/* Writes, another size and writes again: through one handle, which remembers what it knew of the file before */
static const Step live_longer[] = {
    { STEP_WRITE, 1, 0, -100, 1 },
    { STEP_WRITE, 7, 10, 300, 0 },
    { STEP_RESIZE, 10 },
    { STEP_WRITE, -1, 100, 300, 0 },
    { STEP_WRITE, 6, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_RESIZE, 15 },
    { STEP_WRITE, -2, 0, 700, 0 },
    { STEP_WRITE, 8, -100, 200, 0 },
};

/* The BAT takes up one sector more */
static const Step live_much_longer[] = {
    { STEP_WRITE, 7, 0, 0, 1 },
    { STEP_RESIZE, 80 },
    { STEP_WRITE, -1, 0, 0, 1 },
    { STEP_WRITE, 9, 10, 100, 0 },
    { STEP_FLUSH },
    { STEP_RESIZE, 4 },
    { STEP_WRITE, 7, 0, 100, 0 },
};

static const Step live_shorter[] = {
    { STEP_WRITE, 7, 0, 0, 1 },
    { STEP_WRITE, 9, 10, 300, 0 },
    { STEP_RESIZE, 5 },
    { STEP_WRITE, -1, 0, 100, 0 },
    { STEP_FLUSH },
    { STEP_RESIZE, 9 },
    { STEP_WRITE, -1, 100, 100, 0 },
    { STEP_WRITE, 7, 30, 100, 0 },
};

static const Step live_rebase[] = {
    { STEP_WRITE, 7, 10, 300, 0 },
    { STEP_PARENT, PARENT_OTHER },
    { STEP_WRITE, 8, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_WRITE, 6, 600, 100, 0 },
    { STEP_PARENT, PARENT_NONE },
    { STEP_WRITE, 9, 0, 512, 0 },
    { STEP_PARENT, PARENT_FIRST },
    { STEP_WRITE, -1, 0, 200, 0 },
};

static const Step live_relink[] = {
    { STEP_WRITE, 2, 10, 300, 0 },
    { STEP_PARENT, PARENT_MOVED },
    { STEP_WRITE, 1, 0, 0, 1 },
    { STEP_FLUSH },
    { STEP_WRITE, 4, 100, 500, 0 },
};

#define STEPS(list) list, G_N_ELEMENTS(list)

static const Action actions[] = {
    { "create", ACTION_CREATE },
    { "allocate", ACTION_STEPS, START_EMPTY, STEPS(allocate) },
    { "overwrite", ACTION_STEPS, START_FULL, STEPS(overwrite) },
    { "zero", ACTION_STEPS, START_FULL, STEPS(zero) },
    { "discard", ACTION_STEPS, START_FULL, STEPS(discard) },
    { "reopen", ACTION_STEPS, START_EMPTY, STEPS(reopen) },
    { "turn", ACTION_STEPS, START_EMPTY, STEPS(turn) },
    { "grow", ACTION_STEPS, START_EMPTY, STEPS(grow) },
    { "clear", ACTION_RANDOM, START_CLEAR },
    { "junk", ACTION_RANDOM, START_JUNK },
    { "random", ACTION_RANDOM, START_EMPTY },
    { "retake", ACTION_STEPS, START_EMPTY, STEPS(retake) },
    { "no-tail", ACTION_STEPS, START_NO_TAIL, STEPS(allocate) },
    { "no-head", ACTION_STEPS, START_NO_HEAD, STEPS(allocate) },
    { "repair-tail", ACTION_REPAIR, START_NO_TAIL },
    { "repair-head", ACTION_REPAIR, START_NO_HEAD },
    { "repair-leak", ACTION_REPAIR, START_LEAK },
    { "commit", ACTION_COMMIT, START_FULL },
    { "rebase", ACTION_REBASE, START_EMPTY },
    { "alone", ACTION_ALONE, START_EMPTY },
    { "relink", ACTION_RELINK, START_EMPTY },
    { "longer", ACTION_RESIZE, START_FULL, .numerator = 5, .denominator = 4 },
    { "much-longer", ACTION_RESIZE, START_FULL, .numerator = 200, .denominator = 1 },
    { "shorter", ACTION_RESIZE, START_FULL, .numerator = 1, .denominator = 3 },
    { "compact", ACTION_RESIZE, START_BACKWARDS, .numerator = 1, .denominator = 3 },
    { "live-longer", ACTION_STEPS, START_FULL, STEPS(live_longer) },
    { "live-much-longer", ACTION_STEPS, START_FULL, STEPS(live_much_longer) },
    { "live-shorter", ACTION_STEPS, START_FULL, STEPS(live_shorter) },
    { "live-rebase", ACTION_STEPS, START_FULL, STEPS(live_rebase) },
    { "live-relink", ACTION_STEPS, START_EMPTY, STEPS(live_relink) },
    { "mixed", ACTION_MIXED, START_EMPTY },
    { "snapshot", ACTION_SNAPSHOT, START_FULL },
};

/* With "seeds" of what is random */
typedef struct Line {
    Image image;
    const char *actions;        /* names, separated by spaces */
    unsigned seeds;
} Line;

#define ON_4K "file.driver=blkdebug,file.align=4096"

static const Line lines[] = {
    { { "fixed", "driver=vpc,subformat=fixed", "driver=vpc", 48 * KIB, 4096, .qemu = true },
      "create overwrite turn zero discard random longer shorter live-longer live-shorter", 6 },
    { { "fixed/32k", "driver=vpc,subformat=fixed", "driver=vpc", 32 * KIB, 4096 }, "mixed", 6 },
    { { "fixed/4k-disk", "driver=vpc,subformat=fixed", "driver=vpc", 48 * KIB, 4096, .above = ON_4K, .sector = 4096 },
      "overwrite random longer shorter", 8 },
    { { "dynamic/512", "driver=vpc,block_size=512", "driver=vpc", 8 * KIB, 512 },
      "create allocate overwrite zero discard reopen random longer much-longer shorter compact "
      "live-longer live-much-longer live-shorter live-rebase mixed", 30 },
    { { "dynamic/4k", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .qemu = true },
      "create allocate overwrite zero discard reopen turn retake no-tail no-head repair-tail repair-head repair-leak "
      "random longer shorter compact live-longer live-shorter live-rebase mixed snapshot", 40 },
    { { "dynamic/in-the-way", "driver=vpc,block_size=512", "driver=vpc", 64 * KIB, 16 * KIB }, "much-longer", 1 },
    { { "dynamic/xen", "driver=vpc,block_size=512k,for=xen", "driver=vpc", 4 * MIB, 64 * KIB, .weight = 8 },
      "longer shorter", 1 },
    { { "dynamic/16k", "driver=vpc,block_size=16k", "driver=vpc", 128 * KIB, 16 * KIB, .qemu = true },
      "clear junk", 30 },
    { { "dynamic/2m", "driver=vpc,block_size=2M", "driver=vpc", 14 * MIB + 1536, 2 * MIB, .qemu = true,
        .weight = 12 },
      "create overwrite zero grow random longer", 3 },
    { { "dynamic/4k-disk", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .above = ON_4K,
        .sector = 4096 },
      "allocate overwrite random longer shorter", 8 },
    { { "dynamic/through", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .through = true },
      "allocate random", 4 },
    { { "child/512", "driver=vpc,block_size=512", "driver=vpc", 8 * KIB, 512, .child = true },
      "create allocate overwrite zero discard reopen random rebase alone relink longer much-longer shorter "
      "compact live-longer live-much-longer live-shorter live-rebase live-relink mixed", 12 },
    { { "child/long-parent", "driver=vpc,block_size=512", "driver=vpc", 8 * KIB, 512, .child = true,
        .long_parent = true }, "longer shorter", 1 },
    { { "child/2k", "driver=vpc,block_size=2k", "driver=vpc", 22 * KIB, 2048, .child = true }, "allocate reopen", 1 },
    { { "child/16k", "driver=vpc,block_size=16k", "driver=vpc", 170 * KIB, 16 * KIB, .child = true },
      "allocate overwrite zero discard reopen turn retake random rebase alone repair-tail repair-head "
      "repair-leak longer live-rebase live-relink mixed snapshot", 20 },
    { { "child/2m", "driver=vpc,block_size=2M", "driver=vpc", 5 * MIB, 2 * MIB, .child = true, .weight = 8 },
      "overwrite random", 2 },
    { { "child/14m", "driver=vpc,block_size=2M", "driver=vpc", 14 * MIB + 1536, 2 * MIB, .child = true, .weight = 12 },
      "grow", 1 },
    { { "child/4k-disk", "driver=vpc,block_size=16k", "driver=vpc", 170 * KIB, 16 * KIB, .child = true,
        .above = ON_4K, .sector = 4096 },
      "allocate random", 8 },
    { { "child/through", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .child = true, .through = true },
      "allocate overwrite zero discard reopen random", 4 },
    { { "device/dynamic", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .room = MIB },
      "allocate overwrite zero discard reopen turn retake random longer shorter live-longer live-shorter live-rebase "
      "mixed snapshot", 20 },
    { { "device/child", "driver=vpc,block_size=2k", "driver=vpc", 22 * KIB, 2048, .child = true, .room = MIB },
      "allocate overwrite zero reopen random rebase alone relink longer shorter live-longer live-rebase live-relink "
      "mixed", 12 },
    { { "storage/dynamic", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .storage = true },
      "create allocate zero reopen random longer live-longer live-shorter live-rebase mixed", 8 },
    { { "storage/fixed", "driver=vpc,subformat=fixed", "driver=vpc", 32 * KIB, 4096, .storage = true },
      "overwrite longer live-longer live-shorter mixed", 4 },
    { { "storage/child", "driver=vpc,block_size=2k", "driver=vpc", 22 * KIB, 2048, .child = true, .storage = true },
      "allocate random rebase alone live-longer live-rebase mixed", 8 },
    { { "storage/no-truncate", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .storage = true, .room = MIB },
      "allocate random longer live-longer live-shorter live-rebase mixed", 8 },
    { { "base/device", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .room = MIB }, "commit", 1 },
    { { "base/fixed", "driver=vpc,subformat=fixed", "driver=vpc", 48 * KIB, 4096 }, "commit", 1 },
    { { "base/dynamic", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096 }, "commit", 1 },
    { { "base/child", "driver=vpc,block_size=4k", "driver=vpc", 44 * KIB, 4096, .child = true }, "commit", 1 },
    { { "base/raw", "driver=raw", "driver=raw", 48 * KIB, 4096 }, "commit", 1 },
    { { "raw", "driver=raw", "driver=raw", 48 * KIB, 4096 },
      "overwrite zero discard random live-longer live-shorter mixed", 4 },
};

static const Action *find_action(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (!strcmp(actions[i].name, name)) {
            return &actions[i];
        }
    }
    return NULL;
}

static Scenario *make(const Image *image, const Action *action, unsigned seeds)
{
    Scenario *s = g_new0(Scenario, 1);

    s->name = g_strdup_printf("%s/%s", image->name, action->name);
    s->image = *image;
    s->image.sector = image->sector ? image->sector : 512;
    s->image.weight = MAX(image->weight, 1);
    s->action = action;
    s->seeds = action->kind == ACTION_RANDOM ? seeds : action->kind == ACTION_MIXED ? (seeds + 2) / 3 : 1;
    return s;
}

static GPtrArray *make_all(void)
{
    GPtrArray *all = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_auto(GStrv) names = g_strsplit(lines[i].actions, " ", -1);

        for (char **name = names; *name; name++) {
            g_ptr_array_add(all, make(&lines[i].image, find_action(*name), lines[i].seeds));
        }
    }
    return all;
}

const Scenario *scenario_next(const Scenario *scenario)
{
    static GPtrArray *all;
    guint i = 0;

    if (!all) {
        all = make_all();
    }
    while (scenario && all->pdata[i++] != scenario) {
    }
    return i < all->len ? all->pdata[i] : NULL;
}

const char *scenario_name(const Scenario *scenario)
{
    return scenario->name;
}

unsigned scenario_seeds(const Scenario *scenario)
{
    return scenario->seeds;
}

unsigned scenario_weight(const Scenario *scenario)
{
    return scenario->image.weight;
}

bool scenario_has_step(const Scenario *s, int kind)
{
    for (size_t i = 0; i < s->action->count; i++) {
        if (s->action->steps[i].kind == (unsigned)kind) {
            return true;
        }
    }
    return false;
}

int64_t scenario_growth(const Scenario *s)
{
    int most = s->action->kind == ACTION_MIXED ? 16 : 8;

    for (size_t i = 0; i < s->action->count; i++) {
        const Step *step = &s->action->steps[i];

        most = step->kind == STEP_RESIZE ? MAX(step->block, most) : most;
    }
    return (most + 7) / 8;
}

bool scenario_is_for_qemu(const Scenario *s)
{
    bool steps = s->action->kind == ACTION_STEPS && s->action->steps != discard && !scenario_has_step(s, STEP_RESIZE) &&
                 !scenario_has_step(s, STEP_PARENT);

    return (steps || s->action->kind == ACTION_RANDOM) && s->image.qemu && !s->image.above &&
           s->action->start <= START_FULL;
}

/* What others have hurt is put right by the first write, and that is what may fail */
bool scenario_may_fail(const Scenario *s)
{
    return s->action->start != START_NO_TAIL && s->action->start != START_NO_HEAD;
}

static const char *const others[] = {
    "create", "allocate", "overwrite", "zero", "discard", "reopen", "turn", "grow", "random", NULL,
};

const char *scenario_actions(void)
{
    static char *words;

    if (!words) {
        words = g_strjoinv(", ", (char **)others);
    }
    return words;
}

Scenario *scenario_new(const char *create, const char *open, int64_t block, const char *what)
{
    const Action *action = g_strv_contains(others, what) ? find_action(what) : NULL;
    Image image = { open, create, open, 11 * block, block, .weight = (unsigned)MAX(block / (64 * KIB), 1) };

    return action ? make(&image, action, 10) : NULL;
}
