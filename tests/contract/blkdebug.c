/* blkdebug.c - what the blkdebug filter makes of requests: rules, effects, states, limits, files of rules */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <miniblk/driver.h>
#include "kit.h"
#include "rig.h"

enum { SECTOR = 512, UNIT = RIG_UNIT, MIB = 1 << 20, SIZE = RIG_SIZE, OLD = RIG_OLD, NEW = RIG_NEW };

static void check_outcome(const char *options, const char *requests, const char *expected)
{
    Rig rig = rig_new(options);
    g_autofree char *seen = rig_outcome(rig.bs, requests);

    g_assert_cmpstr(seen, ==, expected);
    rig_free(&rig);
}

typedef struct Course {
    const char *name, *options, *requests, *expected;
} Course;

#define R0 "inject-error.0."
#define R1 "inject-error.1."
#define R2 "inject-error.2."

static const Course courses[] = {
    { "without rules nothing fails", "", "rwzdfts", "......." },
    { "a rule is for all but block status", R0 "errno=5", "rwzdfts", "XXXXXX." },
    { "iotype=read", R0 "iotype=read", "rwzdfts", "X......" },
    { "iotype=write", R0 "iotype=write", "rwzdfts", ".X....." },
    { "iotype=write-zeroes", R0 "iotype=write-zeroes", "rwzdfts", "..X...." },
    { "iotype=discard", R0 "iotype=discard", "rwzdfts", "...X..." },
    { "iotype=flush", R0 "iotype=flush", "rwzdfts", "....X.." },
    { "iotype=truncate", R0 "iotype=truncate", "rwzdfts", ".....X." },
    { "iotype=block-status", R0 "iotype=block-status", "rwzdfts", "......X" },

    { "skip", R0 "iotype=write," R0 "skip=3", "wwwrwww", "....XXX" },
    { "a device dies and stays dead", R0 "skip=4", "rwzdfrwzdft", "....XXXXXXX" },
    { "times", R0 "times=2," R0 "iotype=write", "rwwwrw", ".XX..." },
    { "skip, then times", R0 "skip=2," R0 "times=3", "wwwwwww", "..XXX.." },
    { "once", R0 "once=on", "www", "X.." },
    { "skip, then once", R0 "once=on," R0 "skip=1", "www", ".X." },
    { "probability=0", R0 "probability=0", "wwww", "...." },
    { "probability=100%", R0 "probability=100%", "wwww", "XXXX" },
    { "errno=0 fails nobody", R0 "errno=0", "rwzdft", "......" },
    { "the first rule decides", R0 "errno=0," R0 "iotype=read," R1 "errno=5", "rwr", ".X." },
    { "a rule that is spent lets others decide", R0 "errno=0," R0 "times=2," R1 "errno=5", "rrr", "..X" },
    { "a rule that skips lets others decide", R0 "skip=2," R1 "iotype=write", "rrw", "..X" },

    { "an event makes a rule hold for what follows", R0 "event=write_aio", "rwrzd", ".XXXX" },
    { "a rule that holds replaces those of other events",
      R0 "event=none," R0 "iotype=read," R1 "event=write_aio," R1 "iotype=write," R1 "once=on", "rwrwr",
      "XX..." },
    { "two rules of one event hold together", R0 "event=write_aio," R0 "iotype=read," R1 "event=write_aio,"
      R1 "iotype=write", "rwr", ".XX" },
    { "the second write", R0 "event=write_aio," R0 "state=2,set-state.0.event=write_aio,set-state.0.state=1,"
      "set-state.0.new_state=2", "rwrwr", "...XX" },
    { "no rule holds in another state", R0 "event=none," R0 "state=2", "rwf", "..." },
    { "a rule holds on when the state is another", R0 "event=write_aio," R0 "state=1,"
      "set-state.0.event=flush_to_disk,set-state.0.new_state=2", "wfww", "XXXX" },
    { "no space, until a flush", R0 "event=write_aio," R0 "state=1," R0 "errno=28," R0 "iotype=write,"
      R1 "event=write_aio," R1 "state=2," R1 "errno=0,set-state.0.event=flush_to_disk,"
      "set-state.0.new_state=2", "wwfww", "XX..." },
    { "of two changes of state, the first counts", R0 "event=read_aio," R0 "state=2," R1 "event=read_aio,"
      R1 "state=3," R1 "errno=0,set-state.0.event=write_aio,set-state.0.new_state=2,"
      "set-state.1.event=write_aio,set-state.1.new_state=3", "rwr", "..X" },
    { "a state that never comes", R0 "event=write_aio," R0 "state=2,set-state.0.event=write_aio,"
      "set-state.0.state=5,set-state.0.new_state=2", "wwr", "..." },
    { "a rule that is spent replaces nobody", R0 "event=write_aio," R0 "iotype=write," R0 "once=on,"
      R1 "event=flush_to_disk," R1 "iotype=read", "wfwr", "X..X" },
    { "what a rule of an event skips is requests, not events", R0 "event=write_aio," R0 "skip=2", "wrr", "..X" },
};

static void test_course(const void *data)
{
    const Course *c = data;

    check_outcome(c->options, c->requests, c->expected);
}

static void test_errno(void)
{
    Rig rig = rig_new(R0 "iotype=write," R0 "errno=28," R1 "errno=4095");

    g_assert_cmpint(rig_request(rig.bs, 'w'), ==, -ENOSPC);
    g_assert_cmpint(rig_request(rig.bs, 'r'), ==, -4095);
    g_assert_cmpint(rig_request(rig.bs, 'f'), ==, -4095);
    g_assert_cmpint(rig_request(rig.bs, 't'), ==, -4095);
    rig_free(&rig);
}

/* Ranges */

static const struct {
    const char *options;
    int64_t offset, bytes;
    bool fails;
} ranges[] = {
    { R0 "sector=3", 3 * SECTOR, SECTOR, true }, { R0 "sector=3", 2 * SECTOR, SECTOR, false },
    { R0 "sector=3", 4 * SECTOR, SECTOR, false }, { R0 "sector=3", 0, 4 * SECTOR, true },
    { R0 "sector=3", 0, 3 * SECTOR, false }, { R0 "sector=3", 3 * SECTOR + 511, 1, true },
    { R0 "sector=3", 3 * SECTOR - 1, 1, false }, { R0 "sector=0", 0, 1, true }, { R0 "sector=-1", 100, 1, true },
    { R0 "offset=4000", 3999, 1, false }, { R0 "offset=4000", 3999, 2, true }, { R0 "offset=4000", SIZE - 1, 1, true },
    { R0 "bytes=1000", 999, 1, true }, { R0 "bytes=1000", 1000, 1, false }, { R0 "bytes=0", 0, SIZE, false },
    { R0 "offset=4k," R0 "bytes=1k", 4095, 1, false }, { R0 "offset=4k," R0 "bytes=1k", 4096, 1, true },
    { R0 "offset=4k," R0 "bytes=1k", 5119, 1, true }, { R0 "offset=4k," R0 "bytes=1k", 5120, 1, false },
    { R0 "offset=4k," R0 "bytes=1k", 0, SIZE, true },
    { R0 "offset=9223372036854775807," R0 "bytes=1k", 0, SIZE, false },
};

static void test_ranges(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        Rig rig = rig_new(ranges[i].options);

        if ((rig_write(rig.bs, ranges[i].offset, ranges[i].bytes) < 0) != ranges[i].fails) {
            g_error("%s: a write of %d bytes at %d should %s", ranges[i].options, (int)ranges[i].bytes,
                    (int)ranges[i].offset, ranges[i].fails ? "fail" : "work");
        }
        rig_free(&rig);
    }
}

/* A flush, and a resize to the size that it has */
static void test_range_of_nothing(void)
{
    check_outcome(R0 "offset=0", "wft", "X..");
}

static void test_growing(void)
{
    Rig rig = rig_new(R0 "growing=on," R0 "errno=28");

    g_assert_cmpint(rig_write(rig.bs, SIZE - UNIT, UNIT), ==, 0);
    g_assert_cmpint(rig_truncate(rig.bs, SIZE + 1), ==, -ENOSPC);
    g_assert_cmpint(rig_truncate(rig.bs, SIZE - 1), ==, 0);
    g_assert_cmpint(rig_truncate(rig.bs, SIZE), ==, -ENOSPC);
    rig_free(&rig);
}

/* As a format finds it: what has a place can be written to */
static void test_disk_is_full(void)
{
    Medium medium = medium_on_disk();
    int64_t at = 0;

    medium_create(&medium, "driver=vpc,size=128M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(rig_write(bs, 0, UNIT), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);

    bs = medium_open(&medium, "driver=vpc,file.driver=blkdebug,file." R0 "growing=on,file." R0 "errno=28",
                     BDRV_O_RDWR);
    while (rig_write(bs, at, UNIT) == 0) {
        at += 2 * MIB;
        g_assert_cmpint(at, <, 128 * MIB);
    }
    g_assert_cmpint(rig_write(bs, at, UNIT), ==, -ENOSPC);
    g_assert_cmpint(rig_write(bs, 0, UNIT), ==, 0);
    g_assert_cmpint(rig_write(bs, at, UNIT), ==, -ENOSPC);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* Chance and time */

static char *chances(unsigned seed)
{
    g_autofree char *options = g_strdup_printf(R0 "probability=25%%,seed=%u", seed);
    g_autofree char *requests = g_strnfill(400, 'w');
    Rig rig = rig_new(options);
    char *seen = rig_outcome(rig.bs, requests);

    rig_free(&rig);
    return seen;
}

static void test_probability(void)
{
    g_autofree char *seen = chances(7);
    int fails = 0;

    for (const char *c = seen; *c; c++) {
        fails += *c == 'X';
    }
    g_assert_cmpint(fails, >, 50);
    g_assert_cmpint(fails, <, 150);
}

static void test_seed(void)
{
    g_autofree char *first = chances(1), *again = chances(1), *other = chances(2);

    g_assert_cmpstr(first, ==, again);
    g_assert_cmpstr(first, !=, other);
}

static int64_t nanoseconds_of(BlockDriverState *bs, const char *requests)
{
    gint64 start = g_get_monotonic_time();

    g_free(rig_outcome(bs, requests));
    return (g_get_monotonic_time() - start) * 1000;
}

static void test_latency_of_all(void)
{
    Rig rig = rig_new("latency-ns=10000000");

    g_assert_cmpint(nanoseconds_of(rig.bs, "rwzfs"), >=, 50000000);
    rig_free(&rig);
}

static void test_latency_of_a_rule(void)
{
    Rig rig = rig_new(R0 "iotype=write," R0 "latency-ns=300000000," R0 "errno=0");

    g_assert_cmpint(nanoseconds_of(rig.bs, "w"), >=, 300000000);
    g_assert_cmpint(nanoseconds_of(rig.bs, "r"), <, 300000000);
    rig_free(&rig);
}

static void test_for_ms(void)
{
    Rig rig = rig_new(R0 "for-ms=60000," R0 "iotype=write," R1 "for-ms=30," R1 "iotype=read");
    g_autofree char *early = rig_outcome(rig.bs, "rw");

    g_assert_cmpstr(early, ==, "XX");
    g_usleep(40000);
    g_autofree char *late = rig_outcome(rig.bs, "rwr");
    g_assert_cmpstr(late, ==, ".X.");
    rig_free(&rig);
}

/* Time goes from the first request that fails, not from when the image was opened */
static void test_for_ms_begins_with_the_first(void)
{
    Rig rig = rig_new(R0 "for-ms=2000," R0 "iotype=write," R0 "skip=1");
    g_autofree char *early = rig_outcome(rig.bs, "w");

    g_usleep(2100000);
    g_autofree char *late = rig_outcome(rig.bs, "w");
    g_assert_cmpstr(early, ==, ".");
    g_assert_cmpstr(late, ==, "X");
    rig_free(&rig);
}

/* Effects: which sectors of a write of sixteen are new, as a string of 'n' and 'o' */

enum { SECTORS = 16, AT = 10 * SECTOR };

static char *sectors_after(Rig *rig)
{
    uint8_t buf[SECTORS * SECTOR];
    GString *seen = g_string_new(NULL);

    medium_read(&rig->medium, AT, buf, sizeof(buf));
    for (int i = 0; i < SECTORS; i++) {
        const uint8_t *sector = buf + i * SECTOR;

        g_assert_cmpmem(sector, SECTOR - 1, sector + 1, SECTOR - 1);    /* never a half */
        g_string_append_c(seen, *sector == OLD ? 'o' : 'n');
    }
    return g_string_free(seen, FALSE);
}

static const struct {
    const char *name, *options;
    int ret;
    const char *after;
} effects[] = {
    { "a write that fails changes nothing", "errno=5", -EIO, "oooooooooooooooo" },
    { "effect=all: done, but reported failed", "effect=all", -EIO, "nnnnnnnnnnnnnnnn" },
    { "errno=0: done", "errno=0", 0, "nnnnnnnnnnnnnnnn" },
    { "errno=0, effect=none: a lost write", "errno=0," R0 "effect=none", 0, "oooooooooooooooo" },
    { "effect=short", "effect=short," R0 "short-sectors=5", -EIO, "nnnnnooooooooooo" },
    { "effect=short, no sector", "effect=short," R0 "short-sectors=0", -EIO, "oooooooooooooooo" },
    { "effect=short, more than there are", "effect=short," R0 "short-sectors=99", -EIO, "nnnnnnnnnnnnnnnn" },
    { "errno=0, effect=short: a lie", "errno=0," R0 "effect=short," R0 "short-sectors=15", 0,
      "nnnnnnnnnnnnnnno" },
};

static void test_effect(const void *data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_autofree char *options = g_strconcat(R0, effects[i].options, NULL);
    Rig rig = rig_new(options);

    g_assert_cmpint(rig_write(rig.bs, AT, SECTORS * SECTOR), ==, effects[i].ret);
    g_autofree char *after = sectors_after(&rig);
    g_assert_cmpstr(after, ==, effects[i].after);
    rig_free(&rig);
}

static char *torn(const char *options, unsigned seed, char kind)
{
    g_autofree char *all = g_strdup_printf(R0 "effect=torn,seed=%u%s", seed, options);
    Rig rig = rig_new(all);
    int ret = kind == 'w' ? rig_write(rig.bs, AT, SECTORS * SECTOR)
                          : bdrv_pwrite_zeroes(rig.bs, AT, SECTORS * SECTOR, 0);
    char *after = sectors_after(&rig);

    g_assert_cmpint(ret, ==, -EIO);
    rig_free(&rig);
    return after;
}

static void test_torn(const void *kind)
{
    GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    unsigned old = 0;

    for (unsigned seed = 0; seed < 50; seed++) {
        char *after = torn("", seed, *(const char *)kind);

        for (const char *c = after; *c; c++) {
            old += *c == 'o';
        }
        g_hash_table_add(seen, after);
    }
    g_assert_cmpuint(g_hash_table_size(seen), >, 45);
    g_assert_cmpuint(old, >, 50 * SECTORS / 3);
    g_assert_cmpuint(old, <, 50 * SECTORS * 2 / 3);
    g_hash_table_unref(seen);
}

static void test_torn_again(void)
{
    g_autofree char *first = torn("", 3, 'w'), *again = torn("", 3, 'w');

    g_assert_cmpstr(first, ==, again);
}

/* A disk of 4096 bytes a sector tears nothing smaller: AT is 2 sectors past one, and 6 before the next */
static void test_torn_into_units(void)
{
    static const int bounds[] = { 0, 6, 14, 16 };

    for (unsigned seed = 0; seed < 20; seed++) {
        g_autofree char *all = g_strdup_printf(R0 "effect=torn,seed=%u," R0 "iotype=write-zeroes,align=4096", seed);
        Rig rig = rig_new(all);

        g_assert_cmpint(bdrv_pwrite_zeroes(rig.bs, AT, SECTORS * SECTOR, 0), ==, -EIO);
        g_autofree char *after = sectors_after(&rig);
        for (int i = 0; i < 3; i++) {
            for (int at = bounds[i]; at < bounds[i + 1]; at++) {
                g_assert_cmpint(after[at], ==, after[bounds[i]]);
            }
        }
        rig_free(&rig);
    }
}

static void test_short_by_chance(void)
{
    unsigned lengths = 0;

    for (unsigned seed = 0; seed < 100; seed++) {
        g_autofree char *options = g_strdup_printf(R0 "effect=short,seed=%u", seed);
        Rig rig = rig_new(options);

        g_assert_cmpint(rig_write(rig.bs, AT, SECTORS * SECTOR), ==, -EIO);
        g_autofree char *after = sectors_after(&rig);
        size_t length = strspn(after, "n");
        g_assert_cmpuint(length + strspn(after + length, "o"), ==, SECTORS);
        g_assert_cmpuint(length, <, SECTORS);
        lengths |= 1u << length;
        rig_free(&rig);
    }
    g_assert_cmphex(lengths, ==, 0xffff);
}

/* Sectors are the disk's, not the request's */
static void test_unaligned_short(void)
{
    Rig rig = rig_new(R0 "effect=short," R0 "short-sectors=2");
    uint8_t buf[4 * SECTOR], expected[4 * SECTOR];

    g_assert_cmpint(rig_write(rig.bs, 100, 3 * SECTOR), ==, -EIO);
    memset(expected, OLD, sizeof(expected));
    memset(expected + 100, NEW, 2 * SECTOR - 100);
    medium_read(&rig.medium, 0, buf, sizeof(buf));
    kit_assert_same(buf, expected, sizeof(buf), 0);
    rig_free(&rig);
}

/* Over memory of its own, which can discard */
static BlockDriverState *open_memory(const char *options)
{
    g_autofree char *all = g_strconcat("driver=blkdebug,image.driver=mem,image.size=1M,", options, NULL);
    BlockDriverState *bs = bdrv_open(NULL, all, BDRV_O_RDWR | BDRV_O_UNMAP, NULL);

    g_assert_nonnull(bs);
    g_assert_cmpint(rig_write(bs, 0, SIZE), ==, 0);
    return bs;
}

static bool is_zero(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    g_assert_cmpint(bdrv_pread(bs, offset, buf, bytes, 0), ==, 0);
    return kit_is_zero(buf, bytes);
}

static void test_lost_discard(void)
{
    BlockDriverState *bs = open_memory(R0 "errno=0," R0 "effect=none," R0 "iotype=discard," R0 "once=on");

    g_assert_cmpint(bdrv_pdiscard(bs, 0, UNIT), ==, 0);
    g_assert_false(is_zero(bs, 0, 1));
    g_assert_cmpint(bdrv_pdiscard(bs, 0, UNIT), ==, 0);
    g_assert_true(is_zero(bs, 0, UNIT));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static const struct {
    const char *name, *options;
    int ret;
    unsigned flushes;           /* that reach the disk */
} flushes[] = {
    { "a flush goes on to the disk", "iotype=read", 0, 1 },
    { "a flush that fails does not reach the disk", "iotype=flush", -EIO, 0 },
    { "a flush that is done, but reported failed", "iotype=flush," R0 "effect=all", -EIO, 1 },
    { "a flush that lies", "iotype=flush," R0 "errno=0," R0 "effect=none", 0, 0 },
    { "a flush that errno=0 lets pass", "iotype=flush," R0 "errno=0", 0, 1 },
};

static void test_flush(const void *data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_autofree char *options = g_strconcat(R0, flushes[i].options, NULL);
    Rig rig = rig_new(options);

    g_assert_cmpint(rig_write(rig.bs, 0, UNIT), ==, 0);
    g_assert_cmpint(bdrv_flush(rig.bs), ==, flushes[i].ret);
    g_assert_cmpuint(rig.medium.disk->flushes, ==, flushes[i].flushes);
    rig_free(&rig);
}

/* What was written stays to be flushed */
static void test_flush_after_a_lie(void)
{
    Rig rig = rig_new(R0 "iotype=flush," R0 "errno=0," R0 "effect=none," R0 "once=on");

    g_assert_cmpint(rig_write(rig.bs, 0, UNIT), ==, 0);
    g_assert_cmpint(bdrv_flush(rig.bs), ==, 0);
    g_assert_cmpint(bdrv_flush(rig.bs), ==, 0);
    g_assert_cmpuint(rig.medium.disk->flushes, ==, 1);
    rig_free(&rig);
}

/* Limits */

static void test_max_transfer(void)
{
    Rig rig = rig_new("max-transfer=1k");

    g_assert_cmpint(rig_write(rig.bs, 512, 8 * SECTOR + 1), ==, 0);
    g_assert_cmpuint(rig.medium.disk->writes, ==, 5);
    g_assert_cmpint(rig_read(rig.bs, 512, 8 * SECTOR), ==, 0);
    g_assert_cmpuint(rig.medium.disk->reads, ==, 4);
    rig_free(&rig);
}

static void test_rules_see_the_pieces(void)
{
    Rig rig = rig_new("max-transfer=512," R0 "skip=3");

    g_assert_cmpint(rig_write(rig.bs, AT, SECTORS * SECTOR), ==, -EIO);
    g_autofree char *after = sectors_after(&rig);
    g_assert_cmpstr(after, ==, "nnnooooooooooooo");
    rig_free(&rig);
}

static void test_max_write_zero(void)
{
    BlockDriverState *bs = open_memory("max-write-zero=64k," R0 "iotype=write-zeroes," R0 "skip=3");

    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, SIZE, 0), ==, -EIO);
    g_assert_true(is_zero(bs, 0, 3 * 65536));
    g_assert_false(is_zero(bs, 3 * 65536, 1));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void test_max_discard(void)
{
    BlockDriverState *bs = open_memory("max-discard=64k," R0 "iotype=discard," R0 "skip=3");

    g_assert_cmpint(bdrv_pdiscard(bs, 0, SIZE), ==, -EIO);
    g_assert_true(is_zero(bs, 0, 3 * 65536));
    g_assert_false(is_zero(bs, 3 * 65536, 1));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* Which requests does a range of zeroes become? */
static void test_opt_write_zero(void)
{
    static const struct { int64_t offset, bytes; bool data, zeroes; } cases[] = {
        { 0, 65536, false, true }, { 65536, 131072, false, true }, { 1, 65535, true, false }, { 0, 65537, true, true },
        { 65535, 65537, true, true }, { 100, 100, true, false }, { 65000, 2000, true, false },
        { 5, SIZE - 10, true, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int64_t offset = cases[i].offset, bytes = cases[i].bytes;
        BlockDriverState *bs = open_memory("opt-write-zero=64k," R0 "iotype=write," R0 "skip=1," R0 "once=on");
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, offset, bytes, 0), ==, cases[i].data ? -EIO : 0);
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, offset, bytes, 0), ==, 0);
        g_assert_true(is_zero(bs, offset, bytes));
        g_assert_true(offset == 0 || !is_zero(bs, offset - 1, 1));
        g_assert_true(offset + bytes == SIZE || !is_zero(bs, offset + bytes, 1));
        g_assert_cmpint(bdrv_close(bs), ==, 0);

        bs = open_memory("opt-write-zero=64k," R0 "iotype=write-zeroes");
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, offset, bytes, 0), ==, cases[i].zeroes ? -EIO : 0);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
    }
}

static void test_opt_discard(void)
{
    BlockDriverState *bs = open_memory("opt-discard=64k");

    g_assert_cmpint(bdrv_pdiscard(bs, 1, 65535), ==, 0);
    g_assert_cmpint(bdrv_pdiscard(bs, 65000, 4000), ==, 0);
    g_assert_false(is_zero(bs, 1, 1) || is_zero(bs, 65536, 1));
    g_assert_cmpint(bdrv_pdiscard(bs, 100, 200000), ==, 0);
    g_assert_false(is_zero(bs, 65535, 1));
    g_assert_true(is_zero(bs, 65536, 131072));
    g_assert_false(is_zero(bs, 196608, 1));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* What is refused, and what the error says */

static const struct { const char *options, *says; } refused[] = {
    { R0 "errno=-1", "inject-error.0: errno -1 is not between 0 and 4095" },
    { R0 "errno=4096", "errno 4096" },
    { R0 "event=nosuch", "there is no event 'nosuch'" },
    { R0 "event=", "there is no event ''" },
    { R0 "iotype=nosuch", "'nosuch'" },
    { R0 "sector=-2", "sector -2" },
    { R0 "sector=36028797018963968", "sector 36028797018963968" },
    { R0 "sector=1," R0 "offset=1", "sector and offset" },
    { R0 "sector=1," R0 "bytes=1", "sector and offset" },
    { R0 "skip=-1", "skip -1" },
    { R0 "times=-1", "times -1" },
    { R0 "times=2," R0 "once=on", "once, or 2 times?" },
    { R0 "probability=1.01", "probability '1.01'" },
    { R0 "probability=101%", "probability '101%'" },
    { R0 "probability=-0.5", "probability" },
    { R0 "probability=nan", "probability" },
    { R0 "probability=", "probability" },
    { R0 "probability=1%%", "probability" },
    { R0 "for-ms=-1", "for-ms -1" },
    { R0 "for-ms=9223372036854775807", "for-ms 9223372036854775807" },
    { R0 "latency-ns=-1", "latency-ns -1" },
    { R0 "latency-ns=60000000001", "latency-ns 60000000001" },
    { R0 "effect=none," R0 "iotype=read", "iotype=read" },
    { R0 "effect=short," R0 "iotype=block-status", "iotype=block-status" },
    { R0 "effect=short," R0 "short-sectors=-2", "short-sectors -2" },
    { R0 "effect=torn," R0 "short-sectors=2", "effect=short" },
    { R0 "errno=5," R1 "errno=abc", "inject-error.1.errno" },
    { "set-state.0.new_state=2", "set-state.0.event" },
    { "set-state.0.event=nosuch", "set-state.0: there is no event 'nosuch'" },
    { "align=3", "align 3" },
    { "align=0", "align 0" },
    { "align=131072", "align 131072" },
    { "max-transfer=1000,align=512", "max-transfer 1000 is not a multiple of 512" },
    { "max-transfer=2G", "max-transfer 2147483648" },
    { "opt-write-zero=1000,align=512", "opt-write-zero 1000" },
    { "max-write-zero=6144,opt-write-zero=4k", "max-write-zero 6144 is not a multiple of 4096" },
    { "opt-discard=1000,align=512", "opt-discard 1000" },
    { "max-discard=6144,opt-discard=4k", "max-discard 6144" },
    { "latency-ns=-1", "latency-ns -1" },
    { "latency-ns=60000000001", "latency-ns 60000000001" },
    { "config=/nonexistent", "config file '/nonexistent': could not be opened: No such file" },
    { "nosuch=1", "has no option 'nosuch'" },
};

static void check_refused(const char *options, const char *says)
{
    Medium medium = medium_on_disk();
    GError *err = NULL;

    if (rig_try_open(&medium, options, &err) || !strstr(bdrv_error_message(err), says)) {
        g_error("%s: \"%s\" does not say \"%s\"", options, err ? bdrv_error_message(err) : "", says);
    }
    bdrv_error_free(err);
    medium_clear(&medium);
}

static void test_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        check_refused(refused[i].options, refused[i].says);
    }
}

/* A file with rules */

static char *config_option(const char *text, gssize length)
{
    g_autofree char *path = kit_path("config");

    g_assert_true(g_file_set_contents(path, text, length, NULL));
    return g_strdup_printf("config=%s", path);
}

static const Course config_courses[] = {
    { "config: empty", "", "rw", ".." },
    { "config: one rule", "[inject-error]\nevent = \"write_aio\"\nerrno = \"28\"\n", "rwr", ".XX" },
    { "config: comments and empty lines", "# c\n\n  \t\n[inject-error]\n#event\nevent = \"none\"\n\n"
      "iotype = \"read\"\n", "wr", ".X" },
    { "config: without the last newline", "[inject-error]\nevent = \"none\"", "r", "X" },
    { "config: carriage returns", "[inject-error]\r\niotype = \"read\"\r\n", "wr", ".X" },
    { "config: a name for the group", "[inject-error \"first\"]\niotype = \"read\"\n", "wr", ".X" },
    { "config: without spaces", "[inject-error]\niotype=\"read\"", "wr", ".X" },
    { "config: with more of them", "  [inject-error]  \n\t iotype  =   \"read\"  ", "wr", ".X" },
    { "config: two rules and a state", "[inject-error]\nevent = \"write_aio\"\nstate = \"2\"\n\n[set-state]\n"
      "state = \"1\"\nevent = \"write_aio\"\nnew_state = \"2\"\n\n[inject-error]\nevent = \"flush_to_disk\"\n"
      "iotype = \"read\"\n", "rwrwrfr", "...XX.X" },
    { "config: all of the options", "[inject-error]\nskip = \"1\"\ntimes = \"1\"\noffset = \"0\"\nbytes = \"1k\"\n"
      "probability = \"100%\"\niotype = \"write\"\neffect = \"torn\"\nimmediately = \"on\"\n", "www", ".X." },
    { "config: the later value counts", "[inject-error]\niotype = \"read\"\niotype = \"write\"\n", "rw", ".X" },
};

static void test_config(const void *data)
{
    const Course *c = data;
    g_autofree char *options = config_option(c->options, -1);

    check_outcome(options, c->requests, c->expected);
}

static void test_config_goes_first(void)
{
    g_autofree char *config = config_option("[inject-error]\niotype = \"read\"\nerrno = \"28\"\n", -1);
    g_autofree char *options = g_strconcat(R0 "errno=5,", config, NULL);
    Rig rig = rig_new(options);

    g_assert_cmpint(rig_request(rig.bs, 'r'), ==, -ENOSPC);
    g_assert_cmpint(rig_request(rig.bs, 'w'), ==, -EIO);
    rig_free(&rig);
}

static const struct { const char *text, *says; } bad_configs[] = {
    { "nonsense", "line 1: neither a group, nor key" },
    { "\n\n[inject-error", "line 3: a group begins with [" },
    { "[inject-error] x", "line 1: a group begins with [" },
    { "[inject-errors]", "line 1: a group is inject-error or set-state" },
    { "[]", "line 1: a group is" },
    { "errno = \"5\"", "line 1: no group begins before" },
    { "[inject-error]\nerrno = 5", "line 2: the value is to be in double quotes" },
    { "[inject-error]\nerrno = \"5", "line 2: the value is to be in double quotes" },
    { "[inject-error]\nerrno = \"", "line 2: the value is to be in double quotes" },
    { "[inject-error]\nerrno = \"5\"6\"", "line 2: the value is to be in double quotes" },
    { "[inject-error]\nerrno = \"5\" x", "line 2: the value is to be in double quotes" },
    { "[inject-error]\nerrno", "line 2: neither" },
    { "[inject-error]\n= \"5\"", "line 2: neither" },
    { "[inject-error]\nerrno = \"abc\"", "inject-error.0.errno" },
    { "[inject-error]\nerrno = \"\"", "inject-error.0.errno" },
    { "[inject-error]\nnosuch = \"1\"", "inject-error.0.nosuch" },
    { "[inject-error]\nevent = \"nosuch\"", "inject-error.0: there is no event 'nosuch'" },
    { "[inject-error]\nonce = \"on\"\n[inject-error]\nonce = \"maybe\"", "inject-error.1.once" },
    { "[set-state]\nstate = \"1\"", "set-state.0.event" },
    { "[set-state]\nevent = \"none\"\nconfig = \"x\"", "set-state.0.config" },
    { "[inject-error]\nerr.no = \"1\"", "inject-error.0.err.no" },
    { "[inject-error]\n", "line 1: nothing is in the group" },
    { "[set-state]\n\n[inject-error]\niotype = \"read\"\n", "line 3: nothing is in the group" },
};

static void test_bad_config(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_configs); i++) {
        g_autofree char *options = config_option(bad_configs[i].text, -1);

        check_refused(options, bad_configs[i].says);
    }
}

static void test_long_line(void)
{
    g_autofree char *line = g_strnfill(100000, 'x'), *options = config_option(line, -1);

    check_refused(options, "line 1: too long");
}

static void test_config_that_is_no_text(void)
{
    g_autofree char *options = config_option("[inject\0-error]\n\xff\0\n", 20);

    check_refused(options, "line 1: a group begins with [");
    check_refused("config=/", "config file '/': could not be");
}

static void test_too_many_rules(void)
{
    GString *text = g_string_new(NULL);

    for (int i = 0; i < 1024; i++) {
        g_string_append(text, i % 2 ? "[inject-error]\nevent = \"none\"\n" : "[set-state]\nevent = \"none\"\n");
    }
    g_autofree char *options = config_option(text->str, -1);
    check_outcome(options, "r", "X");
    g_string_append(text, "[inject-error]\n");
    g_autofree char *more = config_option(text->str, -1);
    check_refused(more, "line 2049: too many groups");
    g_string_free(text, TRUE);
}

/* What else */

static int64_t fact_of(BlockDriverState *bs, const char *key)
{
    BlockInfo *info = bdrv_get_info(bs, NULL);
    int64_t number = bdrv_info_find(info, key)->number;

    bdrv_info_free(info);
    return number;
}

static void test_info(void)
{
    Rig rig = rig_new(R0 "iotype=read," R0 "times=3," R1 "iotype=write," R1 "errno=0," R1 "effect=torn,"
                      R1 "times=2," R2 "iotype=flush," R2 "errno=0,set-state.0.event=flush_to_os,"
                      "set-state.0.new_state=7");

    g_assert_cmpint(fact_of(rig.bs, "debug-state"), ==, 1);
    g_free(rig_outcome(rig.bs, "rrrrwwwf"));
    g_assert_cmpint(fact_of(rig.bs, "injected-errors"), ==, 3);
    g_assert_cmpint(fact_of(rig.bs, "injected-lies"), ==, 2);
    g_assert_cmpint(fact_of(rig.bs, "debug-state"), ==, 7);
    rig_free(&rig);
}

static void test_holes_are_seen(void)
{
    BlockDriverState *bs = bdrv_open(NULL, "driver=blkdebug,image.driver=null,image.size=1M", 0, NULL);
    BlockStatus st;

    g_assert_cmpint(bdrv_block_status(bs, 0, SIZE, BDRV_STATUS_WANT_ZERO, &st), ==, 0);
    g_assert_true(st.zero);
    g_assert_cmpint(st.bytes, ==, SIZE);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void add_courses(const Course *table, size_t count, GTestDataFunc test)
{
    for (size_t i = 0; i < count; i++) {
        g_autofree char *path = g_strconcat("/course/", table[i].name, NULL);

        g_test_add_data_func(path, &table[i], test);
    }
}

#define ADD_TABLE(folder, table, name, test) \
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) { \
        g_autofree char *path = g_strconcat(folder, table[i].name, NULL); \
        g_test_add_data_func(path, (const void *)(uintptr_t)i, test); \
    }

static const struct { const char *path; void (*test)(void); } tests[] = {
    { "/rules/errno", test_errno },
    { "/rules/ranges", test_ranges },
    { "/rules/a range of nothing", test_range_of_nothing },
    { "/rules/growing", test_growing },
    { "/rules/a disk that is full", test_disk_is_full },
    { "/rules/probability", test_probability },
    { "/rules/the seed makes chance repeat", test_seed },
    { "/rules/latency of all", test_latency_of_all },
    { "/rules/latency of a rule", test_latency_of_a_rule },
    { "/rules/for-ms", test_for_ms },
    { "/rules/for-ms begins with the first", test_for_ms_begins_with_the_first },
    { "/rules/refused", test_refused },
    { "/effects/torn twice the same", test_torn_again },
    { "/effects/torn into units", test_torn_into_units },
    { "/effects/short by chance", test_short_by_chance },
    { "/effects/short, unaligned", test_unaligned_short },
    { "/effects/a discard that does nothing", test_lost_discard },
    { "/effects/flush after a lie", test_flush_after_a_lie },
    { "/limits/max-transfer", test_max_transfer },
    { "/limits/rules see the pieces", test_rules_see_the_pieces },
    { "/limits/max-write-zero", test_max_write_zero },
    { "/limits/max-discard", test_max_discard },
    { "/limits/opt-write-zero", test_opt_write_zero },
    { "/limits/opt-discard", test_opt_discard },
    { "/config/goes first", test_config_goes_first },
    { "/config/bad", test_bad_config },
    { "/config/long line", test_long_line },
    { "/config/no text", test_config_that_is_no_text },
    { "/config/too many rules", test_too_many_rules },
    { "/info", test_info },
    { "/holes", test_holes_are_seen },
};

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    add_courses(courses, G_N_ELEMENTS(courses), test_course);
    add_courses(config_courses, G_N_ELEMENTS(config_courses), test_config);
    ADD_TABLE("/effects/", effects, name, test_effect);
    ADD_TABLE("/flush/", flushes, name, test_flush);
    g_test_add_data_func("/effects/torn write", "w", test_torn);
    g_test_add_data_func("/effects/torn zeroes", "z", test_torn);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_func(tests[i].path, tests[i].test);
    }
    return kit_run();
}
