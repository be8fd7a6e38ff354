/* crash-kit.c - what power cuts leave of an image: every state tried, or one of them written out */
/* SPDX-License-Identifier: MIT
 *
 * docs/RELIABILITY.md explains it, "crash-kit help" lists the commands.
 */
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "judge.h"
#include "qemu.h"
#include "trial.h"

static const char usage[] =
    "crash-kit run [OPTION...] [SCENARIO...]     record scenarios, try all states, and print a table\n"
    "crash-kit killed [OPTION...] [SCENARIO...]  the process is killed, and the power stays: after each write\n"
    "crash-kit table [OPTION...] [SCENARIO...]   by us and, where it can, by QEMU: a table of both, by what is done\n"
    "crash-kit errors [OPTION...] [SCENARIO...]  the same with an error at every request, and a cut some time later\n"
    "crash-kit list                              the scenarios\n"
    "crash-kit state [OPTION...] SCENARIO N OUT  write state N to the file OUT, and say what is there and judge it\n"
    "crash-kit cuts [OPTION...] LOG START        how many states a log has, from the file START on\n"
    "crash-kit cut [OPTION...] LOG START N OUT   write one of them\n"
    "crash-kit try [OPTION...] LOG START COMMAND...\n"
    "                                            run a command on each; it fails if the state is bad. {} is the file\n"
    "\n"
    "A SCENARIO is a name from the list, the beginning of some, or \"NAME:SEED\" for one that is random. An option that\n"
    "a command has no use for is refused.\n"
    "\n"
    "  --bits N          try up to N sectors, or writes, in all ways (9; at most 20)\n"
    "  --samples N       so many random choices, and torn writes, where there are more (100)\n"
    "  --seed N          of those choices (1)\n"
    "  --sector N        of cuts and cut, and try: what is never torn (512)\n"
    "  --length-first    a file may have grown before the data was there\n"
    "  --peers N         show N states of each scenario to QEMU and libvhdi, if they are there (3)\n"
    "  --most N          states of a recording, here and there, and the last (0: all)\n"
    "  --fail KIND:N:ERRNO[:stays|:TIMES][:torn|:short]\n"
    "                    from request N on, counted from 0, one request fails, or so many in a row, or all. KIND:\n"
    "                    write, write-zeroes, discard, flush, truncate, any. torn, short: any of the sectors of a\n"
    "                    failing write, or the first, are written all the same\n"
    "  --runs N          errors: up to N errors in a row, and then the disk is well again (1; at most 6)\n"
    "  --every N         errors: let each Nth request fail, and not all of them (1)\n"
    "  --killed          state: of those that killed has\n"
    "  --qemu            run, killed, state: qemu-io does the work, where it can\n"
    "  --stop-after N    failures (0: never)\n"
    "  --create OPTIONS --open OPTIONS [--block N] ACTION...\n"
    "                    run, killed: images of another driver, by its options. N: unit of allocation (64k).\n"
    "                    ACTION is one of: create, allocate, overwrite, zero, discard, reopen, turn, grow, random\n"
    "\n"
    "killed asks for all that was answered, flushed or not. Of images with a parent it asks for what was flushed only, as\n"
    "what their bitmaps say of new sectors waits for that: \"lazy\" counts such requests, which are none where the image\n"
    "is open with BDRV_O_WRITETHROUGH.\n";

static struct {
    TrialOptions trial;
    char *folder;
    const char *create, *open;
    int64_t block, sector;
    bool qemu;
    Fault fault;
    char **fault_words;         /* these are in use until the program ends: */
    Cuts *cuts;
    GPtrArray *others;
} kit;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "crash-kit: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(2);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

static void remove_folder(void)
{
    nftw(kit.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);

    if (end == text || *end) {
        die("'%s' is not a number", text);
    }
    return n;
}

/* Running scenarios */

/* A few of each recording say enough */
static void report(const Recording *r, Cuts *cuts, uint64_t n, const char *reason)
{
    static char *last;
    static unsigned count;

    count = g_strcmp0(r->name, last) ? 1 : count + 1;
    g_free(last);
    last = g_strdup(r->name);
    if (count <= 3) {
        fprintf(stderr, "%s, state %" PRIu64 " of %" PRIu64 ": %s\n", r->name, n, cuts_count(cuts), reason);
    }
}

static const char dashes[] = "------------------------------";

/* Other programs are slow: they see states of the first seed only */
static TrialResult try_seed(const Scenario *s, unsigned seed, bool qemu)
{
    RecordOptions how = { seed, qemu, kit.fault, kit.trial.cuts.killed };
    TrialOptions opts = kit.trial;

    opts.peers = seed == 0 ? opts.peers : 0;
    return trial_record(s, &how, &opts, kit.folder);
}

static void print_head(void)
{
    if (kit.trial.cuts.killed) {
        printf("| %-26s | recordings | entries | requests |    lazy |    states | failures |\n", "scenario");
        printf("|%.28s|-----------:|--------:|---------:|--------:|----------:|---------:|\n", dashes);
    } else {
        printf("| %-26s | recordings | entries |    states | no footer | failures |\n", "scenario");
        printf("|%.28s|-----------:|--------:|----------:|----------:|---------:|\n", dashes);
    }
}

static void print_row(const char *name, const TrialResult *result)
{
    if (kit.trial.cuts.killed) {
        printf("| %-26s | %10" PRIu64 " | %7" PRIu64 " | %8" PRIu64 " | %7" PRIu64 " | %9" PRIu64 " | %8" PRIu64 " |\n",
               name, result->recordings, result->entries, result->requests, result->lazy, result->states,
               result->failures);
        fflush(stdout);
        return;
    }
    printf("| %-26s | %10" PRIu64 " | %7" PRIu64 " | %9" PRIu64 " | %9" PRIu64 " | %8" PRIu64 " |\n", name,
           result->recordings, result->entries, result->states, result->no_footer, result->failures);
    fflush(stdout);
}

/* @seed: of @s, or all of them if it is negative */
static void try_scenario(const Scenario *s, int64_t seed, TrialResult *total)
{
    unsigned first = seed < 0 ? 0 : (unsigned)seed, end = seed < 0 ? scenario_seeds(s) : first + 1;
    TrialResult all = { 0 };

    for (unsigned i = first; i < end; i++) {
        TrialResult result = try_seed(s, i, kit.qemu);

        trial_add(&all, &result);
    }
    print_row(scenario_name(s), &all);
    trial_add(total, &all);
}

/* The seed behind a colon is taken off; -1: there is none */
static int64_t take_seed(char *name)
{
    char *colon = strchr(name, ':');

    if (!colon) {
        return -1;
    }
    *colon = 0;
    return (int64_t)number(colon + 1);
}

static bool is_possible(const Scenario *s)
{
    return (!kit.qemu || scenario_is_for_qemu(s)) && (!kit.fault.iotype || scenario_may_fail(s));
}

/* Or of the part of it before a slash */
static bool has_name(const Scenario *s, const char *name)
{
    size_t length = strlen(name);

    return !strncmp(scenario_name(s), name, length) && strchr("/", scenario_name(s)[length]);
}

static void run_named(char *name, TrialResult *total)
{
    int64_t seed = take_seed(name);
    const Scenario *s = NULL;
    bool any = false;

    while ((s = scenario_next(s))) {
        if (has_name(s, name) && is_possible(s)) {
            try_scenario(s, seed, total);
            any = true;
        }
    }
    if (!any) {
        die("there is no scenario '%s'%s", name, kit.qemu || kit.fault.iotype ? " for these options" : "");
    }
}

static void run_others(char *name, TrialResult *total)
{
    int64_t seed = take_seed(name);
    Scenario *s = scenario_new(kit.create, kit.open, kit.block, name);

    if (!s) {
        die("'%s' is not one of: %s", name, scenario_actions());
    }
    g_ptr_array_add(kit.others, s);
    try_scenario(s, seed, total);
}

static int run(int argc, char **argv)
{
    TrialResult total = { 0 };
    const Scenario *s = NULL;

    if (kit.qemu && kit.fault.iotype && (kit.fault.times > 1 || kit.fault.effect || !strcmp(kit.fault.iotype, "any"))) {
        die("QEMU's requests fail one at a time, or for good, and of one kind");
    }
    if (kit.qemu && !qemu_is_there()) {
        die("qemu-io is not installed");
    }
    print_head();
    for (int i = 0; i < argc; i++) {
        if (kit.create) {
            run_others(argv[i], &total);
        } else {
            run_named(argv[i], &total);
        }
    }
    while (argc == 0 && (s = scenario_next(s))) {
        if (is_possible(s)) {
            try_scenario(s, -1, &total);
        }
    }
    print_row("all", &total);
    return total.failures ? 1 : 0;
}

static int killed(int argc, char **argv)
{
    kit.trial.cuts.killed = true;
    return run(argc, argv);
}

/* All of it, by what is done, as docs/RELIABILITY.md has it */

typedef struct Cells {
    const char *what;
    TrialResult ours, early, theirs;    /* early: files that are longer before the data is there */
} Cells;

static Cells *find_cells(GArray *all, const Scenario *s)
{
    Cells fresh = { strrchr(scenario_name(s), '/') + 1 };

    for (guint i = 0; i < all->len; i++) {
        if (!strcmp(g_array_index(all, Cells, i).what, fresh.what)) {
            return &g_array_index(all, Cells, i);
        }
    }
    g_array_append_val(all, fresh);
    return &g_array_index(all, Cells, all->len - 1);
}

static void add_cells(Cells *to, const Cells *cells)
{
    trial_add(&to->ours, &cells->ours);
    trial_add(&to->early, &cells->early);
    trial_add(&to->theirs, &cells->theirs);
}

static bool qemu_can(const Scenario *s)
{
    return scenario_is_for_qemu(s) && qemu_is_there();
}

static void cut_seed(const Scenario *s, unsigned seed, Cells *cells)
{
    Cells now = { .ours = try_seed(s, seed, false) };

    if (!kit.trial.cuts.killed) {
        kit.trial.cuts.length_first = true;
        now.early = try_seed(s, seed, false);
        kit.trial.cuts.length_first = false;
    }
    if (qemu_can(s)) {
        now.theirs = try_seed(s, seed, true);
    }
    add_cells(cells, &now);
}

static void cut_scenario(const Scenario *s, Cells *cells)
{
    for (unsigned seed = 0; seed < scenario_seeds(s); seed++) {
        cut_seed(s, seed, cells);
    }
}

static void fail_scenario(const Scenario *s, Cells *cells)
{
    RecordOptions how = { 0 };

    if (!scenario_may_fail(s)) {
        return;
    }
    Cells now = { .ours = trial_errors(s, &how, &kit.trial, kit.folder) };

    if (kit.trial.runs > 1) {
        TrialResult more = trial_runs(s, &how, &kit.trial, kit.folder);

        trial_add(&now.ours, &more);
    }
    if (qemu_can(s)) {
        how.qemu = true;
        now.theirs = trial_errors(s, &how, &kit.trial, kit.folder);
    }
    add_cells(cells, &now);
}

static void print_count(bool known, uint64_t n)
{
    if (known) {
        printf(" %" PRIu64 " |", n);
    } else {
        printf(" |");
    }
}

static void print_cuts(const Cells *c)
{
    bool qemu = c->theirs.states;

    printf("| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |", c->what, c->ours.states,
           c->ours.no_footer, c->ours.failures, c->early.states, c->early.failures);
    print_count(qemu, c->theirs.states);
    print_count(qemu, c->theirs.no_footer);
    print_count(qemu, c->theirs.failures);
    printf("\n");
}

static void print_killed(const Cells *c)
{
    bool qemu = c->theirs.states;

    printf("| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |", c->what, c->ours.requests, c->ours.lazy,
           c->ours.states, c->ours.failures);
    print_count(qemu, c->theirs.requests);
    print_count(qemu, c->theirs.states);
    print_count(qemu, c->theirs.failures);
    printf("\n");
}

static void print_faults(const Cells *c)
{
    bool qemu = c->theirs.states;

    printf("| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |", c->what, c->ours.errors, c->ours.states,
           c->ours.failures);
    print_count(qemu, c->theirs.errors);
    print_count(qemu, c->theirs.states);
    print_count(qemu, c->theirs.failures);
    printf("\n");
}

static bool is_wanted(const Scenario *s, int argc, char **argv)
{
    bool wanted = argc == 0;

    for (int i = 0; i < argc && !wanted; i++) {
        wanted = has_name(s, argv[i]);
    }
    return wanted;
}

static void check_names(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const Scenario *s = NULL;

        while ((s = scenario_next(s)) && !has_name(s, argv[i])) {
        }
        if (!s) {
            die("there is no scenario '%s'", argv[i]);
        }
    }
}

typedef struct Table {
    void (*try)(const Scenario *s, Cells *cells);
    void (*print)(const Cells *cells);
    const char *head;
} Table;

static bool is_enough(const Cells *total)
{
    return kit.trial.limit && total->ours.failures + total->early.failures >= kit.trial.limit;
}

static int print_table(const Table *t, int argc, char **argv)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Cells));
    Cells total = { "all" };
    const Scenario *s = NULL;

    check_names(argc, argv);
    while ((s = scenario_next(s)) && !is_enough(&total)) {
        Cells cells = { 0 };

        if (is_wanted(s, argc, argv)) {
            t->try(s, &cells);
            add_cells(find_cells(all, s), &cells);
            add_cells(&total, &cells);
        }
    }
    printf("%s", t->head);
    for (guint i = 0; i < all->len; i++) {
        const Cells *c = &g_array_index(all, Cells, i);

        if (c->ours.states) {
            t->print(c);
        }
    }
    t->print(&total);
    return total.ours.failures || total.early.failures ? 1 : 0;
}

static int table(int argc, char **argv)
{
    static const Table cut = {
        cut_scenario, print_cuts,
        "| what is done | states | no footer | bad | length first | bad | QEMU: states | no footer | bad |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    };
    static const Table kill = {
        cut_scenario, print_killed,
        "| what is done | requests | lazy | states | bad | QEMU: requests | states | bad |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|\n",
    };

    return print_table(kit.trial.cuts.killed ? &kill : &cut, argc, argv);
}

static int errors(int argc, char **argv)
{
    static const Table fail = {
        fail_scenario, print_faults,
        "| what is done | errors | states | bad | QEMU: errors | states | bad |\n"
        "|---|--:|--:|--:|--:|--:|--:|\n",
    };

    return print_table(&fail, argc, argv);
}

static int list(int argc, char **argv)
{
    const Scenario *s = NULL;

    if (argc > 0) {
        die("'list' has no use for '%s'", argv[0]);
    }
    while ((s = scenario_next(s))) {
        printf("%s%s\n", scenario_name(s), scenario_seeds(s) > 1 ? ":0" : "");
    }
    return 0;
}

/* One state */

static void save(Disk *disk, const char *file)
{
    g_autofree char *bytes = g_malloc0((gsize)disk->size + 1);
    GError *err = NULL;

    disk_read(disk, 0, bytes, disk->size);
    if (!g_file_set_contents(file, bytes, (gssize)disk->size, &err)) {
        die("%s", err->message);
    }
}

static void save_state(Cuts *cuts, uint64_t n, const char *file)
{
    if (n >= cuts_count(cuts)) {
        die("there are %" PRIu64 " states only, the first is 0", cuts_count(cuts));
    }
    g_autofree char *text = cuts_describe(cuts, n);
    Disk *disk = cuts_make(cuts, n);

    save(disk, file);
    disk_free(disk);
    printf("%s", text);
}

static const Scenario *find(const char *name)
{
    const Scenario *s = NULL;

    while ((s = scenario_next(s)) && strcmp(scenario_name(s), name)) {
    }
    if (!s) {
        die("there is no scenario '%s'", name);
    }
    return s;
}

static void print_op(const GuestOp *op, guint i)
{
    static const char *const kinds[] = { "write", "zero", "flush", "resize", "other" };

    printf("  op %u: %s %" PRId64 " at %" PRId64 ": entries %" PRIu64 " to %" PRIu64 "%s%s%s\n", i, kinds[op->kind],
           op->bytes, op->offset, op->begin, op->end, op->lasts ? ", all is durable" : "", op->kept ? "" : ", lazy",
           op->found ? ", read back" : "");
}

static int state(int argc, char **argv)
{
    if (argc != 3) {
        die("state needs a scenario, a number and a file");
    }
    int64_t seed = take_seed(argv[0]);
    RecordOptions how = { seed < 0 ? 0 : (unsigned)seed, kit.qemu, kit.fault, kit.trial.cuts.killed };
    Recording *r = scenario_record(find(argv[0]), &how, kit.folder);
    Cuts *cuts = trial_cuts(r, &kit.trial);
    uint64_t n = number(argv[1]);

    save_state(cuts, n, argv[2]);
    for (guint i = 0; i < r->ops->len; i++) {
        print_op(&g_array_index(r->ops, GuestOp, i), i);
    }
    Judge *judge = judge_new(r, kit.trial.cuts.length_first, kit.trial.cuts.killed);
    Disk *disk = cuts_make(cuts, n);
    g_autofree char *reason = judge_state(judge, disk, cuts_entries(cuts, n), n);

    printf("%s\n", reason ? reason : "good");
    disk_free(disk);
    judge_free(judge);
    cuts_free(cuts);
    recording_free(r);
    return reason ? 1 : 0;
}

/* Logs of others */

static Disk *load(const char *file)
{
    g_autofree char *bytes = NULL;
    GError *err = NULL;
    gsize length;

    if (!g_file_get_contents(file, &bytes, &length, &err)) {
        die("%s", err->message);
    }
    Disk *disk = disk_new();

    disk_write(disk, 0, bytes, (int64_t)length);
    return disk;
}

static Cuts *open_log(char **argv)
{
    GError *err = NULL;
    WriteLog *log = writelog_read(argv[0], &err);

    if (!log) {
        die("%s: %s", argv[0], err->message);
    }
    kit.trial.cuts.sector = kit.sector;
    kit.cuts = cuts_new(load(argv[1]), log, &kit.trial.cuts);
    return kit.cuts;
}

static int cuts_of_log(int argc, char **argv)
{
    if (argc != 2) {
        die("cuts needs a log and a file");
    }
    printf("%" PRIu64 "\n", cuts_count(open_log(argv)));
    return 0;
}

static int cut(int argc, char **argv)
{
    if (argc != 4) {
        die("cut needs a log, a file, a number and another file");
    }
    save_state(open_log(argv), number(argv[2]), argv[3]);
    return 0;
}

static bool command_likes(char **argv, const char *file)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    int status = 0;

    for (; *argv; argv++) {
        g_ptr_array_add(words, strcmp(*argv, "{}") ? *argv : (char *)file);
    }
    g_ptr_array_add(words, NULL);
    if (!g_spawn_sync(NULL, (char **)words->pdata, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                      NULL, NULL, NULL, NULL, &status, NULL)) {
        die("'%s' can't be run", (char *)words->pdata[0]);
    }
    return status == 0;
}

static int try_command(int argc, char **argv)
{
    g_autofree char *file = g_build_filename(kit.folder, "state", NULL);
    uint64_t failures = 0, n = 0;

    if (argc < 3) {
        die("try needs a log, a file and a command");
    }
    Cuts *cuts = open_log(argv);

    for (n = 0; n < cuts_count(cuts) && (!kit.trial.limit || failures < kit.trial.limit); n++) {
        Disk *disk = cuts_make(cuts, n);

        save(disk, file);
        disk_free(disk);
        if (!command_likes(argv + 2, file)) {
            printf("state %" PRIu64 " is bad\n", n);
            failures++;
        }
    }
    unlink(file);
    printf("%" PRIu64 " of %" PRIu64 " states are bad\n", failures, n);
    return failures ? 1 : 0;
}

static int help(int argc, char **argv)
{
    printf("%s", usage);
    return 0;
}

/* With the options that they obey */
static const struct Command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *options;
} commands[] = {
    { "run", run, "--bits --samples --seed --length-first --peers --most --fail --qemu --stop-after --create --open "
                  "--block" },
    { "killed", killed, "--seed --peers --most --qemu --stop-after --create --open --block" },
    { "table", table, "--bits --samples --seed --peers --most --stop-after --killed" },
    { "errors", errors, "--bits --samples --seed --most --runs --every --stop-after" },
    { "list", list, "" },
    { "state", state, "--bits --samples --seed --length-first --fail --qemu --killed" },
    { "cuts", cuts_of_log, "--bits --samples --seed --sector --length-first" },
    { "cut", cut, "--bits --samples --seed --sector --length-first" },
    { "try", try_command, "--bits --samples --seed --sector --length-first --stop-after" },
    { "help", help, "" },
    { "--help", help, "" },
};

static bool obeys(const struct Command *command, const char *option)
{
    g_auto(GStrv) words = g_strsplit(command->options, " ", -1);

    return g_strv_contains((const char *const *)words, option);
}

/* One of the words behind KIND:N:ERRNO */
static bool take_fault_word(Fault *fault, const char *word)
{
    if (!strcmp(word, "stays")) {
        fault->stays = true;
    } else if (!strcmp(word, "torn") || !strcmp(word, "short")) {
        fault->effect = word;
    } else if (g_ascii_isdigit(*word)) {
        fault->times = (unsigned)number(word);
    } else {
        return false;
    }
    return true;
}

static Fault fault(const char *text)
{
    static const char *const kinds[] = { "write", "write-zeroes", "discard", "flush", "truncate", "any", NULL };
    char **words = g_strsplit(text, ":", -1);
    guint count = g_strv_length(words);
    bool good = count >= 3 && g_strv_contains(kinds, words[0]);
    Fault f = { 0 };

    g_strfreev(kit.fault_words);
    kit.fault_words = words;
    if (good) {
        f = (Fault) { words[0], (unsigned)number(words[1]), (int)number(words[2]) };
    }

    for (guint i = 3; i < count && good; i++) {
        good = take_fault_word(&f, words[i]);
    }
    if (!good || (f.stays && f.times) || f.err == 0) {
        die("'%s' is not KIND:N:ERRNO[:stays|:TIMES][:torn|:short]", text);
    }
    return f;
}

/* False: it is none, and the words that are no options begin here */
static bool take_option(const char *name, const char *value)
{
    TrialOptions *t = &kit.trial;

    if (!strcmp(name, "--bits")) {
        t->cuts.bits = (unsigned)MIN(number(value), 20);
    } else if (!strcmp(name, "--samples")) {
        t->cuts.samples = (unsigned)number(value);
    } else if (!strcmp(name, "--seed")) {
        t->cuts.seed = number(value);
    } else if (!strcmp(name, "--sector")) {
        kit.sector = (int64_t)number(value);
    } else if (!strcmp(name, "--most")) {
        t->most = number(value);
    } else if (!strcmp(name, "--fail")) {
        kit.fault = fault(value);
    } else if (!strcmp(name, "--runs")) {
        t->runs = (unsigned)MIN(number(value), 7);
        if (t->runs < 1 || t->runs > 6) {
            die("runs are of 1 to 6 errors, not %s", value);
        }
    } else if (!strcmp(name, "--every")) {
        t->every = (unsigned)MAX(number(value), 1);
    } else if (!strcmp(name, "--peers")) {
        t->peers = (unsigned)number(value);
    } else if (!strcmp(name, "--stop-after")) {
        t->limit = number(value);
    } else if (!strcmp(name, "--create")) {
        kit.create = value;
    } else if (!strcmp(name, "--open")) {
        kit.open = value;
    } else if (!strcmp(name, "--block")) {
        kit.block = (int64_t)number(value);
    } else {
        return false;
    }
    return true;
}

static bool take_flag(const char *name)
{
    bool *flag = !strcmp(name, "--length-first") ? &kit.trial.cuts.length_first
                 : !strcmp(name, "--killed") ? &kit.trial.cuts.killed : !strcmp(name, "--qemu") ? &kit.qemu : NULL;

    if (flag) {
        *flag = true;
    }
    return flag;
}

static int take_options(const struct Command *command, int argc, char **argv)
{
    int i = 2;

    while (i < argc && g_str_has_prefix(argv[i], "--")) {
        const char *name = argv[i];

        if (take_flag(name)) {
            i++;
        } else if (i + 1 < argc && take_option(name, argv[i + 1])) {
            i += 2;
        } else {
            die("what is '%s'?", name);
        }
        if (!obeys(command, name)) {
            die("'%s' has no use for %s", command->name, name);
        }
    }
    if (kit.sector < 1 || kit.block < 1 || !kit.create != !kit.open) {
        die("a sector and a block have at least one byte, and --create goes with --open");
    }
    return i;
}

int main(int argc, char **argv)
{
    const char *below = getenv("TMPDIR");

    kit.trial = (TrialOptions) {
        .cuts = { .seed = 1, .bits = 9, .samples = 100 }, .every = 1, .peers = 3, .failed = report,
    };
    kit.others = g_ptr_array_new();
    kit.sector = 512;
    kit.block = 65536;
    for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(commands); i++) {
        if (!strcmp(commands[i].name, argv[1])) {
            int first = take_options(&commands[i], argc, argv);

            kit.folder = g_build_filename(below ? below : "/tmp", "crash-kit-XXXXXX", NULL);
            if (!g_mkdtemp(kit.folder)) {
                die("could not make a folder in %s", below ? below : "/tmp");
            }
            atexit(remove_folder);
            return commands[i].run(argc - first, argv + first);
        }
    }
    fprintf(stderr, "%s", usage);
    return 2;
}
