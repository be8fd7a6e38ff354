/* test-cuts.c - the states of a log are those that a power cut may leave: all of them where they are few */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "cuts.h"
#include "kit.h"

enum { SECTOR = 512, EXHAUSTIVE = 12 };

/* A log and a file, made up. Sector @n of what event @i wrote is full of the letter that names both */
typedef struct Made {
    WriteLog log;
    Disk *start;
    uint8_t data[20][4 * SECTOR];
} Made;

static uint8_t letter(guint event, int64_t sector)
{
    return (uint8_t)(1 + event * 10 + (unsigned)sector);
}

static Made *made_new(int64_t sectors)
{
    Made *m = g_new0(Made, 1);
    uint8_t old[SECTOR];

    m->log.events = g_array_new(FALSE, FALSE, sizeof(LogEvent));
    m->start = disk_new();
    memset(old, 0xff, sizeof(old));
    for (int64_t i = 0; i < sectors; i++) {
        disk_write(m->start, i * SECTOR, old, SECTOR);
    }
    return m;
}

static void made_free(Made *m)
{
    g_array_unref(m->log.events);
    disk_free(m->start);
    g_free(m);
}

static void add(Made *m, int kind, int64_t offset, int64_t bytes, bool fua)
{
    guint i = m->log.events->len;
    LogEvent event = { .kind = kind, .offset = offset, .bytes = bytes, .data = m->data[i], .fua = fua,
                       .entry = m->log.entries++ };

    for (int64_t at = 0; at < bytes; at++) {
        m->data[i][at] = letter(i, at / SECTOR);
    }
    g_array_append_val(m->log.events, event);
}

static void add_write(Made *m, int64_t sector, int64_t sectors)
{
    add(m, EVENT_WRITE, sector * SECTOR, sectors * SECTOR, false);
}

static void add_flush(Made *m)
{
    add(m, EVENT_FLUSH, 0, 0, false);
}

/* One number a sector */
static char *picture(Disk *disk)
{
    GString *text = g_string_new(NULL);
    uint8_t sector[SECTOR];

    for (int64_t at = 0; at < disk->size; at += SECTOR) {
        int64_t n = MIN(SECTOR, disk->size - at);

        disk_read(disk, at, sector, n);
        g_assert_true(n == 1 || !memcmp(sector, sector + 1, (size_t)n - 1));
        g_string_append_printf(text, "%s%u", at ? " " : "", sector[0]);
    }
    return g_string_free(text, FALSE);
}

static Cuts *cuts_of(Made *m, unsigned bits, unsigned samples, uint64_t seed, bool length_first)
{
    CutOptions opts = { seed, bits, samples, SECTOR, length_first };

    return cuts_new(m->start, &m->log, &opts);
}

static GHashTable *all_pictures(Cuts *cuts)
{
    GHashTable *found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (uint64_t n = 0; n < cuts_count(cuts); n++) {
        Disk *disk = cuts_make(cuts, n);

        g_hash_table_add(found, picture(disk));
        disk_free(disk);
    }
    return found;
}

/* The states are exactly those of @expected, which ends in NULL */
static void expect_states(Made *m, bool length_first, const char *const *expected)
{
    Cuts *cuts = cuts_of(m, EXHAUSTIVE, 0, 1, length_first);
    GHashTable *found = all_pictures(cuts);
    guint count = 0;

    for (; expected[count]; count++) {
        if (!g_hash_table_contains(found, expected[count])) {
            g_error("'%s' is not among the states", expected[count]);
        }
    }
    g_assert_cmpuint(g_hash_table_size(found), ==, count);
    g_hash_table_unref(found);
    cuts_free(cuts);
}

static void test_every_sector_alone(void)
{
    static const char *const states[] = { "255 255 255", "255 1 255", "255 255 2", "255 1 2", NULL };
    Made *m = made_new(3);

    add_write(m, 1, 2);
    expect_states(m, false, states);
    made_free(m);
}

static void test_flush_makes_sure(void)
{
    static const char *const states[] = { "255 255", "1 255", "1 21", NULL };
    Made *m = made_new(2);

    add_write(m, 0, 1);
    add_flush(m);
    add_write(m, 1, 1);
    expect_states(m, false, states);
    made_free(m);
}

static void test_two_writes_of_a_sector(void)
{
    static const char *const states[] = { "255", "1", "11", NULL };
    Made *m = made_new(1);

    add_write(m, 0, 1);
    add_write(m, 0, 1);
    expect_states(m, false, states);
    made_free(m);
}

/* What comes after a write with FUA is never there without it; what came before it may be lost yet */
static void test_fua(void)
{
    static const char *const states[] = {
        "255 255 255", "1 255 255", "255 11 255", "1 11 255", "255 11 21", "1 11 21", NULL,
    };
    Made *m = made_new(3);

    add_write(m, 0, 1);
    add(m, EVENT_WRITE, SECTOR, SECTOR, true);
    add_write(m, 2, 1);
    expect_states(m, false, states);
    made_free(m);
}

static void test_discard(void)
{
    static const char *const states[] = { "255 255", "0 255", "255 0", "0 0", NULL };
    Made *m = made_new(2);

    add(m, EVENT_DISCARD, 0, 4 * SECTOR, false);
    expect_states(m, false, states);
    made_free(m);
}

static void test_grows_with_the_data(void)
{
    static const char *const states[] = { "255", "255 0 2", "255 1", "255 1 2", NULL };
    Made *m = made_new(1);

    add_write(m, 1, 2);
    expect_states(m, false, states);
    made_free(m);
}

static void test_grows_before_the_data(void)
{
    static const char *const states[] = { "255", "255 0 0", "255 0 2", "255 1", "255 1 0", "255 1 2", NULL };
    Made *m = made_new(1);

    add_write(m, 1, 2);
    expect_states(m, true, states);
    made_free(m);
}

static void test_truncate(void)
{
    static const char *const states[] = { "255 255", "255", "11 255", "11", NULL };
    Made *m = made_new(2);

    add(m, EVENT_TRUNCATE, SECTOR, 0, false);
    add_write(m, 0, 1);
    expect_states(m, false, states);
    made_free(m);
}

/* A long log: nothing is there that can't be, whatever row of states it is from */
static Made *make_long(void)
{
    Made *m = made_new(8);

    for (int i = 0; i < 4; i++) {
        add_write(m, i, 4);
    }
    add_flush(m);
    for (int i = 0; i < 5; i++) {
        add_write(m, i, 3);
    }
    return m;
}

static bool was_written(guint from, guint to, int64_t sector, uint8_t value)
{
    for (guint event = from; event < to; event++) {
        int64_t first = event < 4 ? event : event - 5, count = event < 4 ? 4 : 3;

        if (event != 4 && sector >= first && sector < first + count && value == letter(event, sector - first)) {
            return true;
        }
    }
    return false;
}

static void check_long(Cuts *cuts, uint64_t n)
{
    static const uint8_t durable[] = { 1, 11, 21, 31, 32, 33, 34, 255 };
    bool second = cuts_entries(cuts, n) > 4;
    Disk *disk = cuts_make(cuts, n);
    uint8_t value;

    for (int64_t sector = 0; sector < 8; sector++) {
        disk_read(disk, sector * SECTOR, &value, 1);
        g_assert_true(second ? value == durable[sector] || was_written(5, 10, sector, value)
                             : value == 255 || was_written(0, 4, sector, value));
    }
    disk_free(disk);
}

static void test_samples_are_legal(void)
{
    for (unsigned bits = 0; bits < 6; bits++) {
        Made *m = make_long();
        Cuts *cuts = cuts_of(m, bits, 300, 7, false);

        g_assert_cmpuint(cuts_count(cuts), >, 600);
        for (uint64_t n = 0; n < cuts_count(cuts); n++) {
            check_long(cuts, n);
        }
        cuts_free(cuts);
        made_free(m);
    }
}

/* There are 5 writes of 3 sectors after the flush. Many states must be different ones, among them those where
 * nothing and where all is there */
static void test_samples_are_many(void)
{
    Made *m = make_long();
    Cuts *cuts = cuts_of(m, 5, 300, 7, false);
    GHashTable *found = all_pictures(cuts);

    g_assert_cmpuint(g_hash_table_size(found), >, 300);
    g_assert_true(g_hash_table_contains(found, "255 255 255 255 255 255 255 255"));
    g_assert_true(g_hash_table_contains(found, "1 11 21 31 32 33 34 255"));
    g_assert_true(g_hash_table_contains(found, "51 61 71 81 91 92 93 255"));
    g_hash_table_unref(found);
    cuts_free(cuts);
    made_free(m);
}

static char *picture_of(Cuts *cuts, uint64_t n)
{
    Disk *disk = cuts_make(cuts, n);
    char *text = picture(disk);

    disk_free(disk);
    return text;
}

/* In any order, and from another object with the same options */
static void test_number_is_the_state(void)
{
    Made *m = make_long();
    Cuts *up = cuts_of(m, 3, 50, 7, false), *down = cuts_of(m, 3, 50, 7, false);
    uint64_t count = cuts_count(up);
    g_autoptr(GPtrArray) seen = g_ptr_array_new_with_free_func(g_free);

    g_assert_cmpuint(cuts_count(down), ==, count);
    for (uint64_t n = 0; n < count; n++) {
        g_ptr_array_add(seen, picture_of(up, n));
    }
    for (uint64_t n = count; n-- > 0;) {
        g_autofree char *again = picture_of(down, n);

        g_assert_cmpstr(again, ==, seen->pdata[n]);
    }
    cuts_free(up);
    cuts_free(down);
    made_free(m);
}

static void test_seed_matters(void)
{
    Made *m = make_long();
    Cuts *one = cuts_of(m, 3, 50, 7, false), *two = cuts_of(m, 3, 50, 8, false);
    unsigned different = 0;

    for (uint64_t n = 0; n < cuts_count(one); n++) {
        g_autofree char *a = picture_of(one, n), *b = picture_of(two, n);

        different += strcmp(a, b) != 0;
    }
    g_assert_cmpuint(different, >, 120);
    cuts_free(one);
    cuts_free(two);
    made_free(m);
}

static void test_entries(void)
{
    Made *m = make_long();
    Cuts *cuts = cuts_of(m, 3, 10, 7, false);
    uint64_t last = cuts_count(cuts) - 1;

    g_assert_cmpuint(cuts_entries(cuts, 0), ==, 4);
    g_assert_cmpuint(cuts_first(cuts, 0), ==, 0);
    g_assert_cmpuint(cuts_entries(cuts, last), ==, 10);
    g_assert_cmpuint(cuts_entries(cuts, cuts_first(cuts, last)), ==, 10);
    g_assert_cmpuint(cuts_entries(cuts, cuts_first(cuts, last) - 1), ==, 4);
    cuts_free(cuts);
    made_free(m);
}

/* All writes up to one of them, and no part of that */
static void test_killed(void)
{
    static const char *const states[] = { "255 255", "1 255", "1 255", "1 21", "1 21 31 32", "1 21 31" };
    const CutOptions opts = { .seed = 1, .bits = 3, .samples = 10, .sector = SECTOR, .killed = true };
    Made *m = made_new(2);

    add_write(m, 0, 1);
    add_flush(m);
    add_write(m, 1, 1);
    add_write(m, 2, 2);
    add(m, EVENT_TRUNCATE, 3 * SECTOR, 0, false);
    Cuts *cuts = cuts_new(m->start, &m->log, &opts);

    g_assert_cmpuint(cuts_count(cuts), ==, G_N_ELEMENTS(states));
    for (unsigned n = 0; n < G_N_ELEMENTS(states); n++) {
        g_autofree char *got = picture_of(cuts, n);

        g_assert_cmpstr(got, ==, states[n]);
        g_assert_cmpuint(cuts_entries(cuts, n), ==, n);
    }
    cuts_free(cuts);
    made_free(m);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/cuts/every-sector-alone", test_every_sector_alone);
    g_test_add_func("/cuts/flush-makes-sure", test_flush_makes_sure);
    g_test_add_func("/cuts/two-writes-of-a-sector", test_two_writes_of_a_sector);
    g_test_add_func("/cuts/fua", test_fua);
    g_test_add_func("/cuts/discard", test_discard);
    g_test_add_func("/cuts/grows-with-the-data", test_grows_with_the_data);
    g_test_add_func("/cuts/grows-before-the-data", test_grows_before_the_data);
    g_test_add_func("/cuts/truncate", test_truncate);
    g_test_add_func("/cuts/samples-are-legal", test_samples_are_legal);
    g_test_add_func("/cuts/samples-are-many", test_samples_are_many);
    g_test_add_func("/cuts/number-is-the-state", test_number_is_the_state);
    g_test_add_func("/cuts/seed-matters", test_seed_matters);
    g_test_add_func("/cuts/entries", test_entries);
    g_test_add_func("/cuts/killed", test_killed);
    return kit_run();
}
