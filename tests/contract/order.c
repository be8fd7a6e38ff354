/* order.c - requests of several threads that overlap: is there an order for each place of the disk? */
/* SPDX-License-Identifier: MIT
 *
 * A unit of the disk is a register: it is written and read, and every write has a value of its own. Before and after
 * each request a thread takes a stamp from a counter that all share. Whether some order explains what was read, and
 * has every request between its two stamps, is decided as Gibbons and Korach do ("Testing Shared Memories", 1997):
 *
 *   The requests that have a value, one write and its reads, are a cluster. Its zone reaches from the earliest end of
 *   one of them to the latest start. If that is forward, the register has the value for all of the zone; if it is
 *   backward (start before end), any moment of it will do for all of them. There is an order if, and only if, no two
 *   forward zones overlap and no backward one is inside a forward one (and nothing is read that was not yet written).
 *
 * The verdict is exact, so it has no false alarms; and registers can be judged one by one. The threads' window moves
 * on over the disk, so that there are always blocks to be allocated.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include "kit.h"
#include "medium.h"

enum {
    KIB = 1 << 10, UNIT = 256, WORDS = UNIT / 8, THREADS = 6, WINDOW = 64, MAX_UNITS = 48, MOVE = 12,
    FIRST_VALUE = 2,            /* of a request; those below are: */
    INITIAL = 0, ZEROED = 1,
};

typedef struct Event {
    int64_t unit;
    uint32_t value;
    bool write;
    uint64_t start, end;
} Event;

/* The checker */

typedef struct Zone {
    uint32_t value;
    uint64_t first_end, last_start;     /* of the cluster's requests */
} Zone;

static bool is_forward(const Zone *zone)
{
    return zone->first_end < zone->last_start;
}

static gint by_unit_and_value(gconstpointer a, gconstpointer b)
{
    const Event *x = a, *y = b;

    if (x->unit != y->unit) {
        return x->unit < y->unit ? -1 : 1;
    }
    return x->value != y->value ? (x->value < y->value ? -1 : 1) : y->write - x->write;
}

/* @events: a write, then its reads. NULL: all is well */
static char *make_zone(const Event *events, guint count, Zone *zone)
{
    *zone = (Zone) { events->value, events->end, events->start };
    if (!events->write) {
        return g_strdup_printf("unit %" PRId64 " was read as %u, which nobody wrote", events->unit, events->value);
    }
    for (guint i = 1; i < count; i++) {
        if (events[i].end < events->start) {
            return g_strdup_printf("unit %" PRId64 " was read as %u at %" PRIu64 ", before it was written at %" PRIu64,
                                   events->unit, events->value, events[i].end, events->start);
        }
        zone->first_end = MIN(zone->first_end, events[i].end);
        zone->last_start = MAX(zone->last_start, events[i].start);
    }
    return NULL;
}

/* Do they overlap, or is @b inside @a? */
static bool conflict(const Zone *a, const Zone *b)
{
    return is_forward(a) && a->first_end < b->last_start && b->first_end < a->last_start;
}

static char *find_conflict(int64_t unit, const GArray *zones)
{
    const Zone *all = (const Zone *)(const void *)zones->data;

    for (guint i = 0; i < zones->len; i++) {
        for (guint j = 0; j < zones->len; j++) {
            if (i != j && conflict(&all[i], &all[j])) {
                return g_strdup_printf("unit %" PRId64 " has no order: it was %u from %" PRIu64 " to %" PRIu64 ", and %u "
                                       "from %" PRIu64 " to %" PRIu64, unit, all[i].value, all[i].first_end,
                                       all[i].last_start, all[j].value, all[j].first_end, all[j].last_start);
            }
        }
    }
    return NULL;
}

/* Of @events, which are sorted; why there is no order, to be g_free()d, or NULL */
static char *find_disorder(GArray *events)
{
    const Event *all = (const Event *)(const void *)events->data;
    g_autoptr(GArray) zones = g_array_new(FALSE, FALSE, sizeof(Zone));
    char *fault = NULL;

    g_array_sort(events, by_unit_and_value);
    for (guint i = 0, end; i < events->len && !fault; i = end) {
        Zone zone;

        for (end = i + 1; end < events->len && all[end].unit == all[i].unit && all[end].value == all[i].value; end++) {
        }
        fault = make_zone(&all[i], end - i, &zone);
        g_array_append_val(zones, zone);
        if (!fault && (end == events->len || all[end].unit != all[i].unit)) {
            fault = find_conflict(all[i].unit, zones);
            g_array_set_size(zones, 0);
        }
    }
    return fault;
}

/* Is the checker right? */

typedef struct History {
    const char *name;
    bool ordered;
    Event events[8];            /* of unit 0; the first with end 0 ends them */
} History;

#define W(value, start, end) { 0, value, true, start, end }
#define R(value, start, end) { 0, value, false, start, end }

static const History histories[] = {
    { "one after another", true, { W(5, 1, 2), R(5, 3, 4), W(6, 5, 6), R(6, 7, 8) } },
    { "an old value", false, { W(5, 1, 2), W(6, 3, 4), R(5, 5, 6) } },
    { "the initial value again", false, { W(5, 1, 2), R(INITIAL, 3, 4) } },
    { "a read beside a write has either", true, { W(5, 1, 10), R(INITIAL, 2, 3), R(5, 4, 5) } },
    { "and not the one after the other", false, { W(5, 1, 10), R(5, 2, 3), R(INITIAL, 4, 5) } },
    { "two writes beside each other", true, { W(5, 1, 10), W(6, 2, 9), R(5, 11, 12) } },
    { "of which the readers see one order", false, { W(5, 1, 10), W(6, 2, 9), R(5, 11, 12), R(6, 13, 14) } },
    { "a write that is done twice", false, { W(5, 1, 10), R(5, 2, 3), W(6, 4, 5), R(6, 6, 7), R(5, 8, 9) } },
    { "also if nobody read the other", false, { W(5, 1, 10), R(5, 2, 3), W(6, 4, 5), R(5, 8, 9) } },
    { "but a longer one may come after", true, { W(5, 1, 10), R(5, 2, 3), W(6, 4, 9), R(5, 5, 8), R(6, 11, 12) } },
    { "from the future", false, { R(5, 1, 2), W(5, 3, 4) } },
    { "from nowhere", false, { W(5, 1, 2), R(7, 3, 4) } },
};

static void test_history(const void *data)
{
    const History *history = data;
    g_autoptr(GArray) events = g_array_new(FALSE, FALSE, sizeof(Event));
    const Event initial = W(INITIAL, 0, 0);

    g_array_append_val(events, initial);
    for (int i = 0; i < 8 && history->events[i].end; i++) {
        g_array_append_val(events, history->events[i]);
    }
    g_autofree char *fault = find_disorder(events);
    g_assert_cmpint(!fault, ==, history->ordered);
}

/* The threads */

typedef struct Config {
    const char *name;
    const char *create;
    const char *options;
    unsigned ops;               /* of each thread */
    bool full;                  /* the disk begins as data, so that zeroes are a value of their own */
    bool parent;                /* which has that data */
    bool on_disk;
    unsigned flags;
} Config;

#define DYNAMIC "driver=vpc,block_size=4k"
#define CHILD   "driver=vpc,block_size=16k,backing_file=parent"
#define ALIGNED ",file.driver=blkdebug,file.align=4096"

static const Config configs[] = {
    { "raw", "driver=raw", "driver=raw", 500, .full = true },
    { "raw-in-memory", "driver=raw", "driver=raw", 500, .full = true, .on_disk = true },
    { "fixed", "driver=vpc,subformat=fixed", "driver=vpc", 500, .full = true },
    { "dynamic", DYNAMIC, "driver=vpc", 500 },
    { "dynamic/sectors", "driver=vpc,block_size=512", "driver=vpc", 500 },
    { "dynamic-in-memory", DYNAMIC, "driver=vpc", 500, .on_disk = true },
    { "dynamic-tiny-cache", DYNAMIC, "driver=vpc,metadata-cache-size=4k", 300 },
    { "child", CHILD, "driver=vpc", 500, .full = true, .parent = true },
    { "aligned/raw", "driver=raw", "driver=raw" ALIGNED, 500, .full = true },
    { "aligned/dynamic", DYNAMIC, "driver=vpc" ALIGNED, 400 },
    { "aligned/child", CHILD, "driver=vpc" ALIGNED, 400, .full = true, .parent = true },
    { "direct", CHILD, "driver=vpc", 300, .full = true, .parent = true, .flags = BDRV_O_NOCACHE },
    { "snapshot/raw", "driver=raw", "driver=raw", 500, .full = true, .flags = BDRV_O_SNAPSHOT },
    { "snapshot/child", CHILD, "driver=vpc", 400, .full = true, .parent = true, .flags = BDRV_O_SNAPSHOT },
    { "raw-over-dynamic", DYNAMIC, "driver=raw,file.driver=vpc", 400 },
    { "raw-over-child", CHILD, "driver=raw,file.driver=vpc", 400, .full = true, .parent = true },
    { "filter-over-dynamic", DYNAMIC, "driver=blkdebug,max-transfer=512,image.driver=vpc", 300 },
    { "filter-over-child", CHILD, "driver=blkdebug,image.driver=vpc", 300, .full = true, .parent = true },
};

typedef struct Team {
    const Config *config;
    BlockDriverState *bs;
    int64_t units;
    uint64_t clock;             /* atomic */
    uint64_t ops;               /* atomic: how many have begun */
    uint32_t values;            /* atomic: the last one given out */
    uint8_t *zeroed;            /* atomic, of each unit: somebody has zeroed it, and nobody else will */
} Team;

typedef struct Member {
    Team *team;
    GRand *rand;
    GArray *events;
    GArray *maybe;              /* of Event: a discard need not do anything */
    uint64_t *buf;
    pthread_t thread;
} Member;

static uint64_t stamp(Team *team)
{
    return __atomic_add_fetch(&team->clock, 1, __ATOMIC_SEQ_CST);
}

/* What a unit of the disk has: 64-bit words that say it all. A disk that was not written to has the words of INITIAL
 * if it is full, and else zeroes */
static uint64_t word_of(const Config *config, int64_t unit, uint32_t value)
{
    bool zero = value == ZEROED || (value == INITIAL && !config->full);

    return zero ? 0 : ((uint64_t)value + 1) << 32 | (uint64_t)unit;
}

static uint32_t value_of(const Config *config, int64_t unit, uint64_t word)
{
    if (word == 0) {
        return config->full ? ZEROED : INITIAL;
    }
    if ((int64_t)(word & UINT32_MAX) != unit) {
        g_error("unit %" PRId64 " has 0x%016" PRIx64 ", which nobody wrote there", unit, word);
    }
    return (uint32_t)((word >> 32) - 1);
}

static void fill(const Config *config, uint64_t *words, int64_t unit, int64_t count, uint32_t value)
{
    for (int64_t i = 0; i < count * WORDS; i++) {
        words[i] = word_of(config, unit + i / WORDS, value);
    }
}

static void note(GArray *events, int64_t unit, int64_t count, Event event)
{
    for (int64_t i = 0; i < count; i++) {
        event.unit = unit + i;
        g_array_append_val(events, event);
    }
}

static void do_write(Member *m, int64_t unit, int64_t count)
{
    Team *team = m->team;
    Event event = { .value = __atomic_add_fetch(&team->values, 1, __ATOMIC_RELAXED), .write = true };

    fill(team->config, m->buf, unit, count, event.value);
    event.start = stamp(team);
    g_assert_cmpint(bdrv_pwrite(team->bs, unit * UNIT, m->buf, count * UNIT, 0), ==, 0);
    event.end = stamp(team);
    note(m->events, unit, count, event);
}

/* Only the first word of a unit is the register: the host's page cache may hand out a unit half-written */
static void do_read(Member *m, int64_t unit, int64_t count)
{
    Team *team = m->team;
    Event event = { .start = stamp(team) };

    g_assert_cmpint(bdrv_pread(team->bs, unit * UNIT, m->buf, count * UNIT, 0), ==, 0);
    event.end = stamp(team);
    for (int64_t i = 0; i < count * WORDS; i++) {
        event.value = value_of(team->config, unit + i / WORDS, m->buf[i]);
        if (i % WORDS == 0) {
            note(m->events, unit + i / WORDS, 1, event);
        }
    }
}

/* How many units from here on nobody else has zeroed; they are this thread's now */
static int64_t claim(Team *team, int64_t unit, int64_t count)
{
    int64_t n = 0;

    while (n < count && !__atomic_exchange_n(&team->zeroed[unit + n], 1, __ATOMIC_RELAXED)) {
        n++;
    }
    return n;
}

static void do_zero(Member *m, int64_t unit, int64_t count)
{
    Team *team = m->team;
    bool discard = g_rand_int(m->rand) % 3 == 0;
    Event event = { .value = ZEROED, .write = true };

    if (!team->config->full || (count = claim(team, unit, count)) == 0) {
        return;
    }
    event.start = stamp(team);
    g_assert_cmpint(discard ? bdrv_pdiscard(team->bs, unit * UNIT, count * UNIT)
                            : bdrv_pwrite_zeroes(team->bs, unit * UNIT, count * UNIT, 0), ==, 0);
    event.end = stamp(team);
    note(discard ? m->maybe : m->events, unit, count, event);
}

static void *work(void *data)
{
    Member *m = data;
    Team *team = m->team;

    for (unsigned i = 0; i < team->config->ops; i++) {
        int64_t base = (int64_t)(__atomic_add_fetch(&team->ops, 1, __ATOMIC_RELAXED) / MOVE);
        int64_t unit = base + g_rand_int_range(m->rand, 0, WINDOW);
        int64_t count = g_rand_int_range(m->rand, 1, g_rand_boolean(m->rand) ? 4 : MAX_UNITS);
        int choice = g_rand_int_range(m->rand, 0, 100);

        if (choice < 45) {
            do_read(m, unit, count);
        } else if (choice < 90) {
            do_write(m, unit, count);
        } else if (choice < 98) {
            do_zero(m, unit, count);
        } else {
            g_assert_cmpint(bdrv_flush(team->bs), ==, 0);
        }
    }
    return NULL;
}

/* Discards count where somebody saw that they did something */
static void add_discards(GArray *events, const GArray *maybe)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    guint count = events->len;

    for (guint i = 0; i < count; i++) {
        Event *event = &g_array_index(events, Event, i);

        if (event->value == ZEROED && !event->write) {
            g_hash_table_add(seen, g_memdup2(&event->unit, sizeof(event->unit)));
        }
    }
    for (guint i = 0; i < maybe->len; i++) {
        Event event = g_array_index(maybe, Event, i);

        if (g_hash_table_contains(seen, &event.unit)) {
            g_array_append_val(events, event);
        }
    }
}

/* All that happened, and what is there in the end */
static GArray *collect(Team *team, Member *members)
{
    GArray *events = g_array_new(FALSE, FALSE, sizeof(Event)), *maybe = g_array_new(FALSE, FALSE, sizeof(Event));

    note(events, 0, team->units, (Event) { .value = INITIAL, .write = true });
    for (int64_t unit = 0; unit < team->units; unit += MAX_UNITS) {
        do_read(&members[0], unit, MIN(MAX_UNITS, team->units - unit));
    }
    for (int i = 0; i < THREADS; i++) {
        Member *m = &members[i];

        g_array_append_vals(events, m->events->data, m->events->len);
        g_array_append_vals(maybe, m->maybe->data, m->maybe->len);
    }
    add_discards(events, maybe);
    g_array_unref(maybe);
    return events;
}

static void run_members(Team *team, unsigned seed)
{
    Member members[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        members[i] = (Member) { team, g_rand_new_with_seed(seed * THREADS + i + 1),
                                g_array_new(FALSE, FALSE, sizeof(Event)), g_array_new(FALSE, FALSE, sizeof(Event)),
                                g_malloc(MAX_UNITS * UNIT) };
    }
    for (int i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_create(&members[i].thread, NULL, work, &members[i]), ==, 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(members[i].thread, NULL);
    }
    g_autoptr(GArray) events = collect(team, members);
    g_autofree char *fault = find_disorder(events);
    if (fault) {
        g_error("%s", fault);
    }
    for (int i = 0; i < THREADS; i++) {
        g_rand_free(members[i].rand);
        g_array_unref(members[i].events);
        g_array_unref(members[i].maybe);
        g_free(members[i].buf);
    }
}

static void fill_disk(const Medium *medium, const Config *config, int64_t units, const char *options)
{
    g_autofree uint64_t *words = g_malloc((gsize)(units * UNIT));
    BlockDriverState *bs = medium_open(medium, options, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    fill(config, words, 0, units, INITIAL);
    g_assert_cmpint(bdrv_pwrite(bs, 0, words, units * UNIT, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void make_image(const Config *config, int64_t units, const Medium *medium, const Medium *parent)
{
    g_autofree char *create = g_strdup_printf("%s,size=%" PRId64, config->create, units * UNIT);
    g_autofree char *create_parent = g_strdup_printf("driver=vpc,size=%" PRId64, units * UNIT);

    if (config->parent) {
        medium_create(parent, create_parent);
        fill_disk(parent, config, units, "driver=vpc");
    }
    medium_create(medium, create);
    if (config->full && !config->parent) {
        fill_disk(medium, config, units, strstr(config->create, "vpc") ? "driver=vpc" : "driver=raw");
    }
}

static bool run_team(unsigned seed, const void *data)
{
    const Config *config = data;
    Team team = { .config = config, .values = FIRST_VALUE };
    Medium medium = config->on_disk ? medium_on_disk() : medium_on_file("image"), parent = medium_on_file("parent");

    team.units = config->ops * THREADS / MOVE + WINDOW + MAX_UNITS;
    team.units += team.units % 2;
    team.zeroed = g_malloc0((gsize)team.units);
    make_image(config, team.units, &medium, &parent);
    team.bs = medium_open(&medium, config->options, BDRV_O_RDWR | BDRV_O_UNMAP | config->flags);
    run_members(&team, seed);
    g_assert_cmpint(bdrv_close(team.bs), ==, 0);
    medium_clear(&medium);
    medium_clear(&parent);
    g_free(team.zeroed);
    return true;
}

static void test_config(const void *data)
{
    const Config *config = data;

    if ((config->flags & BDRV_O_NOCACHE) && !medium_has_direct()) {
        g_test_skip("the file system of the scratch folder has no O_DIRECT, set MINIBLK_TEST_DIR to another");
        return;
    }
    kit_each_seed(2, run_team, config);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(histories); i++) {
        g_autofree char *path = g_strdup_printf("/order/checker/%s", histories[i].name);

        g_test_add_data_func(path, &histories[i], test_history);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
        g_autofree char *path = g_strdup_printf("/order/%s", configs[i].name);

        g_test_add_data_func(path, &configs[i], test_config);
    }
    return kit_run();
}
