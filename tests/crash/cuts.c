/* cuts.c - the files that a power cut may leave, numbered */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include "cuts.h"

/* A write's sectors, or a change of length: what is there or not. Growing may be one more, behind the sectors */
typedef struct Units {
    unsigned count;
    bool length;                /* the last of them is the length alone */
} Units;

/* Between two flushes. Its states are numbered in three rows: whole, torn, random */
typedef struct Stretch {
    guint first, end;           /* its events */
    guint sure;                 /* those before this one that have FUA are there in any case */
    bool every;                 /* all choices of units are the first row, and there are no others */
    uint64_t whole, torn, random;
    uint64_t start;             /* number of its first state */
} Stretch;

struct Cuts {
    CutOptions opts;
    const WriteLog *log;
    Units *units;               /* by event */
    GArray *stretches;
    Disk *start, *base;         /* base: with all before event @applied */
    guint applied;
    uint64_t count;
};

/* In these ways a write is torn */
enum { TORN_FIRST, TORN_LAST, TORN_NOT_FIRST, TORN_NOT_LAST, TORN_FRONT, TORN_BACK, TORN_EVEN, TORN_ODD, TORN_WAYS };
/* and meanwhile of the others these are there */
enum { BESIDE_NONE, BESIDE_EARLIER, BESIDE_ALL, BESIDE_WAYS };

/* A state, picked apart */
typedef struct Choice {
    const Cuts *cuts;
    const Stretch *stretch;
    uint64_t i;                 /* in its row */
    enum { ROW_EVERY, ROW_WHOLE, ROW_TORN, ROW_RANDOM } row;
    guint victim;               /* TORN: the event, */
    unsigned way, beside;
    unsigned bit;               /* EVERY: of the event's first unit */
} Choice;

static const Stretch *stretch_at(const Cuts *c, guint i)
{
    return &g_array_index(c->stretches, Stretch, i);
}

/* splitmix64, of more than one number */
static uint64_t hash(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xbf58476d1ce4e5b9u + c * 0x94d049bb133111ebu + 0x632be59bd9b4e019u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* What there is */

static int64_t length_after(const LogEvent *event, int64_t length)
{
    switch (event->kind) {
    case EVENT_WRITE:
        return MAX(length, event->offset + event->bytes);
    case EVENT_TRUNCATE:
        return event->offset;
    default:
        return length;
    }
}

static Units units_of(const Cuts *c, const LogEvent *event, int64_t length)
{
    int64_t sector = c->opts.sector;
    Units u = { 0 };

    if (event->kind == EVENT_TRUNCATE) {
        u.count = 1;
    } else if (event->kind != EVENT_FLUSH && event->bytes > 0) {
        u.length = c->opts.length_first && event->kind == EVENT_WRITE && event->offset + event->bytes > length;
        u.count = (unsigned)((event->offset + event->bytes - 1) / sector - event->offset / sector + 1) + u.length;
    }
    return u;
}

static bool can_be_torn(const Cuts *c, guint event)
{
    return c->units[event].count > 1;
}

static void count_states(Cuts *c, Stretch *s)
{
    uint64_t events = s->end - s->first, units = 0, torn = 0;

    for (guint i = s->first; i < s->end; i++) {
        units += c->units[i].count;
        torn += can_be_torn(c, i);
    }
    s->every = units <= c->opts.bits;
    if (s->every) {
        s->whole = (uint64_t)1 << units;
    } else {
        s->whole = events <= c->opts.bits ? (uint64_t)1 << events : 1 + 3 * events;
        s->torn = MIN(torn * TORN_WAYS * BESIDE_WAYS, c->opts.samples);
        s->random = c->opts.samples;
    }
    s->start = c->count;
    c->count += s->whole + s->torn + s->random;
}

static void add_stretch(Cuts *c, guint first, guint end, guint sure)
{
    Stretch s = { first, end, sure };

    count_states(c, &s);
    g_array_append_val(c->stretches, s);
}

/* Each of them is empty, and so has one state: all before it is there */
static void add_beginnings(Cuts *c)
{
    for (guint i = 0; i <= c->log->events->len; i++) {
        add_stretch(c, i, i, i);
    }
}

/* A stretch ends with a flush, or with an event that has FUA */
static void add_stretches(Cuts *c)
{
    guint first = 0, sure = 0;

    for (guint i = 0; i < c->log->events->len; i++) {
        const LogEvent *event = writelog_event(c->log, i);

        if (event->kind == EVENT_FLUSH) {
            add_stretch(c, first, i, sure);
            first = sure = i + 1;
        } else if (event->fua) {
            add_stretch(c, first, i + 1, sure);
            sure = i + 1;
        }
    }
    add_stretch(c, first, c->log->events->len, sure);
}

Cuts *cuts_new(Disk *start, const WriteLog *log, const CutOptions *opts)
{
    Cuts *c = g_new0(Cuts, 1);
    int64_t length = start->size;

    c->opts = *opts;
    c->log = log;
    c->start = start;
    c->base = disk_clone(start);
    c->units = g_new0(Units, log->events->len + 1);
    c->stretches = g_array_new(FALSE, FALSE, sizeof(Stretch));
    for (guint i = 0; i < log->events->len; i++) {
        const LogEvent *event = writelog_event(log, i);

        c->units[i] = units_of(c, event, length);
        length = length_after(event, length);
    }
    if (opts->killed) {
        add_beginnings(c);
    } else {
        add_stretches(c);
    }
    return c;
}

void cuts_free(Cuts *c)
{
    disk_free(c->base);
    g_array_unref(c->stretches);
    g_free(c->units);
    g_free(c);
}

uint64_t cuts_count(const Cuts *c)
{
    return c->count;
}

static const Stretch *find_stretch(const Cuts *c, uint64_t n)
{
    guint low = 0, high = c->stretches->len;

    while (high - low > 1) {
        guint middle = (low + high) / 2;

        if (stretch_at(c, middle)->start <= n) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return stretch_at(c, low);
}

uint64_t cuts_first(const Cuts *c, uint64_t n)
{
    return find_stretch(c, n)->start;
}

uint64_t cuts_entries(const Cuts *c, uint64_t n)
{
    guint end = find_stretch(c, n)->end;

    return end < c->log->events->len ? writelog_event(c->log, end)->entry : c->log->entries;
}

/* Which of it is there */

static guint nth_victim(const Cuts *c, const Stretch *s, uint64_t n)
{
    guint i = s->first;

    for (;; i++) {
        if (can_be_torn(c, i) && n-- == 0) {
            return i;
        }
    }
}

static uint64_t count_victims(const Cuts *c, const Stretch *s)
{
    uint64_t count = 0;

    for (guint i = s->first; i < s->end; i++) {
        count += can_be_torn(c, i);
    }
    return count;
}

/* Where not all of them fit into the row, they are drawn */
static void choose_torn(Choice *choice)
{
    const Cuts *c = choice->cuts;
    const Stretch *s = choice->stretch;
    uint64_t all = count_victims(c, s) * TORN_WAYS * BESIDE_WAYS;
    uint64_t i = all > s->torn ? hash(c->opts.seed, s->start, choice->i) % all : choice->i;

    choice->victim = nth_victim(c, s, i / (TORN_WAYS * BESIDE_WAYS));
    choice->way = (unsigned)(i / BESIDE_WAYS % TORN_WAYS);
    choice->beside = (unsigned)(i % BESIDE_WAYS);
}

static Choice choose(const Cuts *c, uint64_t n)
{
    const Stretch *s = find_stretch(c, n);
    Choice choice = { .cuts = c, .stretch = s, .i = n - s->start };

    if (s->every) {
        choice.row = ROW_EVERY;
    } else if (choice.i < s->whole) {
        choice.row = ROW_WHOLE;
    } else if (choice.i < s->whole + s->torn) {
        choice.row = ROW_TORN;
        choice.i -= s->whole;
        choose_torn(&choice);
    } else {
        choice.row = ROW_RANDOM;
        choice.i -= s->whole + s->torn;
    }
    return choice;
}

/* Nothing, one more each time, each alone, all but one */
static bool whole_is_there(const Choice *choice, guint event)
{
    uint64_t nth = event - choice->stretch->first, events = choice->stretch->end - choice->stretch->first;

    if (events <= choice->cuts->opts.bits) {
        return choice->i >> nth & 1;
    }
    if (choice->i <= events) {
        return nth < choice->i;
    }
    if (choice->i <= 2 * events) {
        return nth == choice->i - events - 1;
    }
    return nth != choice->i - 2 * events - 1;
}

static bool torn_is_there(const Choice *choice, guint event, unsigned unit)
{
    unsigned last = choice->cuts->units[event].count - 1;

    if (event != choice->victim) {
        return choice->beside == BESIDE_ALL || (choice->beside == BESIDE_EARLIER && event < choice->victim);
    }
    switch (choice->way) {
    case TORN_FIRST:        return unit == 0;
    case TORN_LAST:         return unit == last;
    case TORN_NOT_FIRST:    return unit > 0;
    case TORN_NOT_LAST:     return unit < last;
    case TORN_FRONT:        return unit <= last / 2;
    case TORN_BACK:         return unit > last / 2;
    case TORN_EVEN:         return unit % 2 == 0;
    default:                return unit % 2;
    }
}

/* Each write is there, or not, or torn */
static bool random_is_there(const Choice *choice, guint event, unsigned unit)
{
    uint64_t seed = hash(choice->cuts->opts.seed, choice->stretch->start, choice->i);

    switch (hash(seed, event, UINT64_MAX) % 3) {
    case 0:     return false;
    case 1:     return true;
    default:    return hash(seed, event, unit) & 1;
    }
}

static bool is_there(const Choice *choice, guint event, unsigned unit)
{
    if (event < choice->stretch->sure && writelog_event(choice->cuts->log, event)->fua) {
        return true;
    }
    switch (choice->row) {
    case ROW_EVERY:     return choice->i >> (choice->bit + unit) & 1;
    case ROW_WHOLE:     return whole_is_there(choice, event);
    case ROW_TORN:      return torn_is_there(choice, event, unit);
    default:            return random_is_there(choice, event, unit);
    }
}

/* Where unit @unit begins; one past the last: the event's end */
static int64_t unit_start(const Cuts *c, const LogEvent *event, unsigned unit)
{
    int64_t grid = event->offset / c->opts.sector + unit;

    return CLAMP(grid * c->opts.sector, event->offset, event->offset + event->bytes);
}

static void apply_bytes(Disk *disk, const LogEvent *event, int64_t from, int64_t to)
{
    static const uint8_t zeroes[65536];

    if (event->kind == EVENT_WRITE) {
        disk_write(disk, from, event->data + (from - event->offset), to - from);
        return;
    }
    to = MIN(to, disk->size);
    for (int64_t n; from < to; from += n) {
        n = MIN(to - from, (int64_t)sizeof(zeroes));
        disk_write(disk, from, zeroes, n);
    }
}

static void apply_length(Disk *disk, const LogEvent *event)
{
    if (event->kind == EVENT_TRUNCATE) {
        disk_truncate(disk, event->offset);
    } else if (disk->size < event->offset + event->bytes) {
        disk_truncate(disk, event->offset + event->bytes);
    }
}

/* Units [@from, @to), all of them there */
static void apply_units(const Cuts *c, Disk *disk, guint event, unsigned from, unsigned to)
{
    const LogEvent *e = writelog_event(c->log, event);
    Units u = c->units[event];

    if (to == u.count && (u.length || e->kind == EVENT_TRUNCATE)) {
        apply_length(disk, e);
        to--;
    }
    if (from < to) {
        apply_bytes(disk, e, unit_start(c, e, from), unit_start(c, e, to));
    }
}

/* In runs of units that are there. How many these are together */
static unsigned apply_event(Choice *choice, Disk *disk, guint event)
{
    unsigned count = choice->cuts->units[event].count, there = 0;

    for (unsigned from = 0, to; from < count; from = to + 1) {
        for (to = from; to < count && is_there(choice, event, to); to++) {
        }
        if (disk && from < to) {
            apply_units(choice->cuts, disk, event, from, to);
        }
        there += to - from;
    }
    choice->bit += count;
    return there;
}

/* c->base is to have all before this stretch */
static void move_base(Cuts *c, const Stretch *s)
{
    if (c->applied > s->first) {
        disk_free(c->base);
        c->base = disk_clone(c->start);
        c->applied = 0;
    }
    for (; c->applied < s->first; c->applied++) {
        apply_units(c, c->base, c->applied, 0, c->units[c->applied].count);
    }
}

Disk *cuts_make(Cuts *c, uint64_t n)
{
    Choice choice = choose(c, n);

    move_base(c, choice.stretch);
    Disk *disk = disk_clone(c->base);

    for (guint i = choice.stretch->first; i < choice.stretch->end; i++) {
        apply_event(&choice, disk, i);
    }
    return disk;
}

static void name_event(GString *text, const Cuts *c, guint event)
{
    static const char *const kinds[] = { "write", "discard", "length", "flush" };
    const LogEvent *e = writelog_event(c->log, event);

    g_string_append_printf(text, "  entry %" PRIu64 ": %s %" PRId64 " at %" PRId64 ": ", e->entry, kinds[e->kind],
                           e->bytes, e->offset);
}

static void describe_event(GString *text, Choice *choice, guint event)
{
    Units u = choice->cuts->units[event];
    Choice shown = *choice;

    name_event(text, choice->cuts, event);
    unsigned there = apply_event(choice, NULL, event);

    if (there == 0 || there == u.count) {
        g_string_append(text, there ? "there\n" : "lost\n");
        return;
    }
    g_string_append_printf(text, "%u of %u there:", there, u.count);
    for (unsigned unit = 0; unit < MIN(u.count, 64); unit++) {
        g_string_append_c(text, is_there(&shown, event, unit) ? '1' : '0');
    }
    g_string_append(text, u.count > 64 ? "...\n" : "\n");
}

/* The event before the kill and a few before that */
static void describe_beginning(GString *text, const Cuts *c, guint events)
{
    g_string_append_printf(text, "killed after %u events\n", events);
    for (guint i = events > 8 ? events - 8 : 0; i < events; i++) {
        name_event(text, c, i);
        g_string_append(text, "there\n");
    }
}

char *cuts_describe(Cuts *c, uint64_t n)
{
    GString *text = g_string_new(NULL);
    Choice choice = choose(c, n);
    const Stretch *s = choice.stretch;

    g_string_append_printf(text, "state %" PRIu64 " of %" PRIu64 ": ", n, c->count);
    if (c->opts.killed) {
        describe_beginning(text, c, s->first);
        return g_string_free(text, FALSE);
    }
    g_string_append_printf(text, "%s, %u events since the last flush\n", s->first ? "after a flush" : "from the start",
                           s->end - s->first);
    for (guint i = s->first; i < s->end; i++) {
        describe_event(text, &choice, i);
    }
    return g_string_free(text, FALSE);
}
