/* blkdebug.c - what the blkdebug filter makes of requests: rules, effects, states, limits, breakpoints */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <miniblk/driver.h>
#include "kit.h"
#include "medium.h"

enum { SECTOR = 512, UNIT = 4096, MIB = 1 << 20, SIZE = MIB, OLD = 1, NEW = 2 };

/* blkdebug over a disk in memory that is full of OLD */
typedef struct Rig {
    Medium medium;
    BlockDriverState *bs;
} Rig;

static BlockDriverState *open_with(Medium *medium, const char *options, GError **errp)
{
    g_autofree char *all = g_strconcat("driver=blkdebug", *options ? "," : "", options, NULL);

    return medium_try_open(medium, all, BDRV_O_RDWR | BDRV_O_UNMAP, errp);
}

static void reopen(Rig *rig, const char *options)
{
    GError *err = NULL;

    bdrv_close(rig->bs);
    rig->bs = open_with(&rig->medium, options, &err);
    if (!rig->bs) {
        g_error("%s: %s", options, bdrv_error_message(err));
    }
    rig->medium.disk->reads = rig->medium.disk->writes = rig->medium.disk->flushes = 0;
}

static Rig rig_new(const char *options)
{
    Rig rig = { medium_on_disk() };
    g_autofree uint8_t *bytes = g_malloc(SIZE);

    memset(bytes, OLD, SIZE);
    disk_truncate(rig.medium.disk, SIZE);
    medium_write(&rig.medium, 0, bytes, SIZE);
    reopen(&rig, options);
    return rig;
}

static void rig_free(Rig *rig)
{
    bdrv_close(rig->bs);
    medium_clear(&rig->medium);
}

static int do_read(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    return bdrv_pread(bs, offset, buf, bytes, 0);
}

static int do_write(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes);

    memset(buf, NEW, (size_t)bytes);
    return bdrv_pwrite(bs, offset, buf, bytes, 0);
}

static int do_truncate(BlockDriverState *bs, int64_t size)
{
    GError *err = NULL;

    bdrv_truncate(bs, size, &err);
    int ret = err ? -bdrv_error_code(err) : 0;
    bdrv_error_free(err);
    return ret;
}

/* One request, by a letter: (r)ead, (w)rite, (z)ero, (d)iscard, (f)lush, (t)runcate, block (s)tatus */
static int do_request(BlockDriverState *bs, char kind)
{
    BlockStatus st;

    switch (kind) {
    case 'r': return do_read(bs, 0, UNIT);
    case 'w': return do_write(bs, 0, UNIT);
    case 'z': return bdrv_pwrite_zeroes(bs, 0, UNIT, 0);
    case 'd': return bdrv_pdiscard(bs, 0, UNIT);
    case 'f': return bdrv_flush(bs);
    case 't': return do_truncate(bs, SIZE);
    case 's': return bdrv_block_status(bs, 0, UNIT, 0, &st);
    }
    g_assert_not_reached();
}

/* What comes of requests one after another: '.' for those that work, 'X' for those that do not */
static char *outcome(BlockDriverState *bs, const char *requests)
{
    char *seen = g_strdup(requests);

    for (char *at = seen; *at; at++) {
        *at = do_request(bs, *at) < 0 ? 'X' : '.';
    }
    return seen;
}

static void check_outcome(const char *options, const char *requests, const char *expected)
{
    Rig rig = rig_new(options);
    g_autofree char *seen = outcome(rig.bs, requests);

    g_assert_cmpstr(seen, ==, expected);
    rig_free(&rig);
}

typedef struct Course {
    const char *name, *options, *requests, *expected;
} Course;

#define RULE(n) "inject-error." #n "."

static const Course courses[] = {
    { "without rules nothing fails", "", "rwzdfts", "......." },
    { "a rule is for all but block status", RULE(0) "errno=5", "rwzdfts", "XXXXXX." },
    { "iotype=read", RULE(0) "iotype=read", "rwzdfts", "X......" },
    { "iotype=write", RULE(0) "iotype=write", "rwzdfts", ".X....." },
    { "iotype=write-zeroes", RULE(0) "iotype=write-zeroes", "rwzdfts", "..X...." },
    { "iotype=discard", RULE(0) "iotype=discard", "rwzdfts", "...X..." },
    { "iotype=flush", RULE(0) "iotype=flush", "rwzdfts", "....X.." },
    { "iotype=truncate", RULE(0) "iotype=truncate", "rwzdfts", ".....X." },
    { "iotype=block-status", RULE(0) "iotype=block-status", "rwzdfts", "......X" },

    { "skip", RULE(0) "iotype=write,"RULE(0) "skip=3", "wwwrwww", "....XXX" },
    { "a device dies and stays dead", RULE(0) "skip=4", "rwzdfrwzdft", "....XXXXXXX" },
    { "times", RULE(0) "times=2,"RULE(0) "iotype=write", "rwwwrw", ".XX..." },
    { "skip, then times", RULE(0) "skip=2,"RULE(0) "times=3", "wwwwwww", "..XXX.." },
    { "once", RULE(0) "once=on", "www", "X.." },
    { "skip, then once", RULE(0) "once=on,"RULE(0) "skip=1", "www", ".X." },
    { "probability=0", RULE(0) "probability=0", "wwww", "...." },
    { "probability=100%", RULE(0) "probability=100%", "wwww", "XXXX" },
    { "errno=0 fails nobody", RULE(0) "errno=0", "rwzdft", "......" },
    { "the first rule decides", RULE(0) "errno=0,"RULE(0) "iotype=read,"RULE(1) "errno=5", "rwr", ".X." },
    { "a rule that is spent lets others decide", RULE(0) "errno=0,"RULE(0) "times=2,"RULE(1) "errno=5", "rrr", "..X" },
    { "a rule that skips lets others decide", RULE(0) "skip=2,"RULE(1) "iotype=write", "rrw", "..X" },

    { "an event makes a rule hold for what follows", RULE(0) "event=write_aio", "rwrzd", ".XXXX" },
    { "a rule that holds replaces those of other events",
      RULE(0) "event=none,"RULE(0) "iotype=read,"RULE(1) "event=write_aio,"RULE(1) "iotype=write,"RULE(1) "once=on", "rwrwr",
      "XX..." },
    { "two rules of one event hold together", RULE(0) "event=write_aio,"RULE(0) "iotype=read,"RULE(1) "event=write_aio,"
      RULE(1) "iotype=write", "rwr", ".XX" },
    { "the second write", RULE(0) "event=write_aio,"RULE(0) "state=2,set-state.0.event=write_aio,set-state.0.state=1,"
      "set-state.0.new_state=2", "rwrwr", "...XX" },
    { "no rule holds in another state", RULE(0) "event=none,"RULE(0) "state=2", "rwf", "..." },
    { "a rule holds on when the state is another", RULE(0) "event=write_aio,"RULE(0) "state=1,"
      "set-state.0.event=flush_to_disk,set-state.0.new_state=2", "wfww", "XXXX" },
    { "no space, until a flush", RULE(0) "event=write_aio,"RULE(0) "state=1,"RULE(0) "errno=28,"RULE(0) "iotype=write,"
      RULE(1) "event=write_aio,"RULE(1) "state=2,"RULE(1) "errno=0,set-state.0.event=flush_to_disk,"
      "set-state.0.new_state=2", "wwfww", "XX..." },
    { "of two changes of state, the first counts", RULE(0) "event=read_aio,"RULE(0) "state=2,"RULE(1) "event=read_aio,"
      RULE(1) "state=3,"RULE(1) "errno=0,set-state.0.event=write_aio,set-state.0.new_state=2,"
      "set-state.1.event=write_aio,set-state.1.new_state=3", "rwr", "..X" },
    { "a state that never comes", RULE(0) "event=write_aio,"RULE(0) "state=2,set-state.0.event=write_aio,"
      "set-state.0.state=5,set-state.0.new_state=2", "wwr", "..." },
    { "a rule that is spent replaces nobody", RULE(0) "event=write_aio,"RULE(0) "iotype=write,"RULE(0) "once=on,"
      RULE(1) "event=flush_to_disk,"RULE(1) "iotype=read", "wfwr", "X..X" },
    { "what a rule of an event skips is requests, not events", RULE(0) "event=write_aio,"RULE(0) "skip=2", "wrr", "..X" },
};

static void test_course(const void *data)
{
    const Course *c = data;

    check_outcome(c->options, c->requests, c->expected);
}

static void test_errno(void)
{
    Rig rig = rig_new(RULE(0) "iotype=write,"RULE(0) "errno=28,"RULE(1) "errno=4095");

    g_assert_cmpint(do_request(rig.bs, 'w'), ==, -ENOSPC);
    g_assert_cmpint(do_request(rig.bs, 'r'), ==, -4095);
    g_assert_cmpint(do_request(rig.bs, 'f'), ==, -4095);
    g_assert_cmpint(do_request(rig.bs, 't'), ==, -4095);
    rig_free(&rig);
}

/* Ranges */

static const struct {
    const char *options;
    int64_t offset, bytes;
    bool fails;
} ranges[] = {
    { "sector=3", 3 * SECTOR, SECTOR, true }, { "sector=3", 2 * SECTOR, SECTOR, false },
    { "sector=3", 4 * SECTOR, SECTOR, false }, { "sector=3", 0, 4 * SECTOR, true },
    { "sector=3", 0, 3 * SECTOR, false }, { "sector=3", 3 * SECTOR + 511, 1, true }, { "sector=3", 3 * SECTOR - 1, 1, false },
    { "sector=0", 0, 1, true }, { "sector=-1", 100, 1, true },
    { "offset=4000", 3999, 1, false }, { "offset=4000", 3999, 2, true }, { "offset=4000", SIZE - 1, 1, true },
    { "bytes=1000", 999, 1, true }, { "bytes=1000", 1000, 1, false }, { "bytes=0", 0, SIZE, false },
    { "offset=4k,\0bytes=1k", 4095, 1, false }, { "offset=4k,\0bytes=1k", 4096, 1, true },
    { "offset=4k,\0bytes=1k", 5119, 1, true }, { "offset=4k,\0bytes=1k", 5120, 1, false },
    { "offset=4k,\0bytes=1k", 0, SIZE, true }, { "offset=9223372036854775807,\0bytes=1k", 0, SIZE, false },
};

static void test_ranges(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        const char *first = ranges[i].options, *comma = strchr(first, ','), *second = comma ? first + strlen(first) + 1 : "";
        g_autofree char *options = g_strconcat(RULE(0), first, comma ? RULE(0) : "", second, NULL);
        Rig rig = rig_new(options);

        if ((do_write(rig.bs, ranges[i].offset, ranges[i].bytes) < 0) != ranges[i].fails) {
            g_error("%s: a write of %d bytes at %d should %s", options, (int)ranges[i].bytes, (int)ranges[i].offset,
                    ranges[i].fails ? "fail" : "work");
        }
        rig_free(&rig);
    }
}

/* A flush, and a resize to the size that it has */
static void test_range_of_nothing(void)
{
    check_outcome(RULE(0) "offset=0", "wft", "X..");
}

static void test_growing(void)
{
    Rig rig = rig_new(RULE(0) "growing=on,"RULE(0) "errno=28");

    g_assert_cmpint(do_write(rig.bs, SIZE - UNIT, UNIT), ==, 0);
    g_assert_cmpint(do_truncate(rig.bs, SIZE + 1), ==, -ENOSPC);
    g_assert_cmpint(do_truncate(rig.bs, SIZE - 1), ==, 0);
    g_assert_cmpint(do_truncate(rig.bs, SIZE), ==, -ENOSPC);
    rig_free(&rig);
}

/* As a format finds it: what has a place can be written to */
static void test_disk_is_full(void)
{
    Medium medium = medium_on_disk();
    int64_t at = 0;

    medium_create(&medium, "driver=vpc,size=128M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(do_write(bs, 0, UNIT), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);

    bs = medium_open(&medium, "driver=vpc,file.driver=blkdebug,file."RULE(0) "growing=on,file."RULE(0) "errno=28",
                     BDRV_O_RDWR);
    while (do_write(bs, at, UNIT) == 0) {
        at += 2 * MIB;
        g_assert_cmpint(at, <, 128 * MIB);
    }
    g_assert_cmpint(do_write(bs, at, UNIT), ==, -ENOSPC);
    g_assert_cmpint(do_write(bs, 0, UNIT), ==, 0);
    g_assert_cmpint(do_write(bs, at, UNIT), ==, -ENOSPC);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* Chance and time */

static char *chances(unsigned seed)
{
    g_autofree char *options = g_strdup_printf(RULE(0) "probability=25%%,seed=%u", seed);
    g_autofree char *requests = g_strnfill(400, 'w');
    Rig rig = rig_new(options);
    char *seen = outcome(rig.bs, requests);

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
    g_autofree char *seen = outcome(bs, requests);

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
    Rig rig = rig_new(RULE(0) "iotype=write,"RULE(0) "latency-ns=300000000,"RULE(0) "errno=0");

    g_assert_cmpint(nanoseconds_of(rig.bs, "w"), >=, 300000000);
    g_assert_cmpint(nanoseconds_of(rig.bs, "r"), <, 300000000);
    rig_free(&rig);
}

static void test_for_ms(void)
{
    Rig rig = rig_new(RULE(0) "for-ms=60000,"RULE(0) "iotype=write,"RULE(1) "for-ms=30,"RULE(1) "iotype=read");
    g_autofree char *early = outcome(rig.bs, "rw");

    g_assert_cmpstr(early, ==, "XX");
    g_usleep(40000);
    g_autofree char *late = outcome(rig.bs, "rwr");
    g_assert_cmpstr(late, ==, ".X.");
    rig_free(&rig);
}

/* Time goes from the first request that fails, not from when the image was opened */
static void test_for_ms_begins_with_the_first(void)
{
    Rig rig = rig_new(RULE(0) "for-ms=2000,"RULE(0) "iotype=write,"RULE(0) "skip=1");
    g_autofree char *early = outcome(rig.bs, "w");

    g_usleep(2100000);
    g_autofree char *late = outcome(rig.bs, "w");
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
    { "errno=0, effect=none: a lost write", "errno=0," RULE(0) "effect=none", 0, "oooooooooooooooo" },
    { "effect=short", "effect=short," RULE(0) "short-sectors=5", -EIO, "nnnnnooooooooooo" },
    { "effect=short, no sector", "effect=short," RULE(0) "short-sectors=0", -EIO, "oooooooooooooooo" },
    { "effect=short, more than there are", "effect=short," RULE(0) "short-sectors=99", -EIO, "nnnnnnnnnnnnnnnn" },
    { "errno=0, effect=short: a lie", "errno=0," RULE(0) "effect=short," RULE(0) "short-sectors=15", 0,
      "nnnnnnnnnnnnnnno" },
};

static void test_effect(const void *data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_autofree char *options = g_strconcat(RULE(0), effects[i].options, NULL);
    Rig rig = rig_new(options);

    g_assert_cmpint(do_write(rig.bs, AT, SECTORS * SECTOR), ==, effects[i].ret);
    g_autofree char *after = sectors_after(&rig);
    g_assert_cmpstr(after, ==, effects[i].after);
    rig_free(&rig);
}

static char *torn(const char *options, unsigned seed, char kind)
{
    g_autofree char *all = g_strdup_printf(RULE(0) "effect=torn,seed=%u%s", seed, options);
    Rig rig = rig_new(all);
    int ret = kind == 'w' ? do_write(rig.bs, AT, SECTORS * SECTOR)
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
        g_autofree char *all = g_strdup_printf(RULE(0) "effect=torn,seed=%u,"RULE(0) "iotype=write-zeroes,align=4096", seed);
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
        g_autofree char *options = g_strdup_printf(RULE(0) "effect=short,seed=%u", seed);
        Rig rig = rig_new(options);

        g_assert_cmpint(do_write(rig.bs, AT, SECTORS * SECTOR), ==, -EIO);
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
    Rig rig = rig_new(RULE(0) "effect=short,"RULE(0) "short-sectors=2");
    uint8_t buf[4 * SECTOR], expected[4 * SECTOR];

    g_assert_cmpint(do_write(rig.bs, 100, 3 * SECTOR), ==, -EIO);
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
    g_assert_cmpint(do_write(bs, 0, SIZE), ==, 0);
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
    BlockDriverState *bs = open_memory(RULE(0) "errno=0,"RULE(0) "effect=none,"RULE(0) "iotype=discard,"RULE(0) "once=on");

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
    { "a flush that is done, but reported failed", "iotype=flush," RULE(0) "effect=all", -EIO, 1 },
    { "a flush that lies", "iotype=flush," RULE(0) "errno=0," RULE(0) "effect=none", 0, 0 },
    { "a flush that errno=0 lets pass", "iotype=flush," RULE(0) "errno=0", 0, 1 },
};

static void test_flush(const void *data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_autofree char *options = g_strconcat(RULE(0), flushes[i].options, NULL);
    Rig rig = rig_new(options);

    g_assert_cmpint(do_write(rig.bs, 0, UNIT), ==, 0);      /* else there is nothing to flush */
    g_assert_cmpint(bdrv_flush(rig.bs), ==, flushes[i].ret);
    g_assert_cmpuint(rig.medium.disk->flushes, ==, flushes[i].flushes);
    rig_free(&rig);
}

/* What was written stays to be flushed */
static void test_flush_after_a_lie(void)
{
    Rig rig = rig_new(RULE(0) "iotype=flush,"RULE(0) "errno=0,"RULE(0) "effect=none,"RULE(0) "once=on");

    g_assert_cmpint(do_write(rig.bs, 0, UNIT), ==, 0);
    g_assert_cmpint(bdrv_flush(rig.bs), ==, 0);
    g_assert_cmpint(bdrv_flush(rig.bs), ==, 0);
    g_assert_cmpuint(rig.medium.disk->flushes, ==, 1);
    rig_free(&rig);
}

/* Limits */

static void test_max_transfer(void)
{
    Rig rig = rig_new("max-transfer=1k");

    g_assert_cmpint(do_write(rig.bs, 512, 8 * SECTOR + 1), ==, 0);
    g_assert_cmpuint(rig.medium.disk->writes, ==, 5);
    g_assert_cmpint(do_read(rig.bs, 512, 8 * SECTOR), ==, 0);
    g_assert_cmpuint(rig.medium.disk->reads, ==, 4);
    rig_free(&rig);
}

static void test_rules_see_the_pieces(void)
{
    Rig rig = rig_new("max-transfer=512,"RULE(0) "skip=3");

    g_assert_cmpint(do_write(rig.bs, AT, SECTORS * SECTOR), ==, -EIO);
    g_autofree char *after = sectors_after(&rig);
    g_assert_cmpstr(after, ==, "nnnooooooooooooo");
    rig_free(&rig);
}

static void test_max_write_zero(void)
{
    BlockDriverState *bs = open_memory("max-write-zero=64k,"RULE(0) "iotype=write-zeroes,"RULE(0) "skip=3");

    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, SIZE, 0), ==, -EIO);
    g_assert_true(is_zero(bs, 0, 3 * 65536));
    g_assert_false(is_zero(bs, 3 * 65536, 1));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void test_max_discard(void)
{
    BlockDriverState *bs = open_memory("max-discard=64k,"RULE(0) "iotype=discard,"RULE(0) "skip=3");

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
        { 65535, 65537, true, true }, { 100, 100, true, false }, { 65000, 2000, true, false }, { 5, SIZE - 10, true, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int64_t offset = cases[i].offset, bytes = cases[i].bytes;
        BlockDriverState *bs = open_memory("opt-write-zero=64k,"RULE(0) "iotype=write,"RULE(0) "skip=1,"RULE(0) "once=on");
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, offset, bytes, 0), ==, cases[i].data ? -EIO : 0);
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, offset, bytes, 0), ==, 0);
        g_assert_true(is_zero(bs, offset, bytes));
        g_assert_true(offset == 0 || !is_zero(bs, offset - 1, 1));
        g_assert_true(offset + bytes == SIZE || !is_zero(bs, offset + bytes, 1));
        g_assert_cmpint(bdrv_close(bs), ==, 0);

        bs = open_memory("opt-write-zero=64k,"RULE(0) "iotype=write-zeroes");
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
    { RULE(0) "errno=-1", "inject-error.0: errno -1 is not between 0 and 4095" },
    { RULE(0) "errno=4096", "errno 4096" },
    { RULE(0) "event=nosuch", "there is no event 'nosuch'" },
    { RULE(0) "event=", "there is no event ''" },
    { RULE(0) "iotype=nosuch", "'nosuch'" },
    { RULE(0) "sector=-2", "sector -2" },
    { RULE(0) "sector=36028797018963968", "sector 36028797018963968" },
    { RULE(0) "sector=1,"RULE(0) "offset=1", "sector and offset" },
    { RULE(0) "sector=1,"RULE(0) "bytes=1", "sector and offset" },
    { RULE(0) "skip=-1", "skip -1" },
    { RULE(0) "times=-1", "times -1" },
    { RULE(0) "times=2,"RULE(0) "once=on", "once, or 2 times?" },
    { RULE(0) "probability=1.01", "probability '1.01'" },
    { RULE(0) "probability=101%", "probability '101%'" },
    { RULE(0) "probability=-0.5", "probability" },
    { RULE(0) "probability=nan", "probability" },
    { RULE(0) "probability=", "probability" },
    { RULE(0) "probability=1%%", "probability" },
    { RULE(0) "for-ms=-1", "for-ms -1" },
    { RULE(0) "for-ms=9223372036854775807", "for-ms 9223372036854775807" },
    { RULE(0) "latency-ns=-1", "latency-ns -1" },
    { RULE(0) "latency-ns=60000000001", "latency-ns 60000000001" },
    { RULE(0) "effect=none,"RULE(0) "iotype=read", "iotype=read" },
    { RULE(0) "effect=short,"RULE(0) "iotype=block-status", "iotype=block-status" },
    { RULE(0) "effect=short,"RULE(0) "short-sectors=-2", "short-sectors -2" },
    { RULE(0) "effect=torn,"RULE(0) "short-sectors=2", "effect=short" },
    { RULE(0) "errno=5,"RULE(1) "errno=abc", "inject-error.1.errno" },
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

    if (open_with(&medium, options, &err) || !strstr(bdrv_error_message(err), says)) {
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

/* Events */

/* After which of the requests has the event happened? Rows: the whole unit; zeroes of a unit; in a unit; its head;
 * its tail; over two units; a read; a flush; a discard */
static const struct { const char *event, *happens; } events[] = {
    { "none",                   "XXXXXXXXX" },
    { "read_aio",               "..XXXXX.." },
    { "write_aio",              "X.XXXX..." },
    { "pwritev",                "X.XXXX..." },
    { "pwritev_zero",           ".X......." },
    { "pwritev_done",           "XXXXXX..." },
    { "pwritev_rmw_head",       "..X.XX..." },
    { "pwritev_rmw_after_head", "..X.XX..." },
    { "pwritev_rmw_tail",       "..XX.X..." },
    { "pwritev_rmw_after_tail", "..XX.X..." },
    { "flush_to_os",            ".......X." },
    { "flush_to_disk",          ".......X." },
    { "l1_update",              "........." },
};

static void do_row(BlockDriverState *bs, int row)
{
    static const struct { int64_t offset, bytes; } writes[] = {
        [0] = { 0, UNIT }, [2] = { 512, 512 }, [3] = { 0, 512 }, [4] = { UNIT - 512, 512 }, [5] = { 512, UNIT },
    };
    static const char others[] = ".z....rfd";

    if (others[row] == '.') {
        do_write(bs, writes[row].offset, writes[row].bytes);
    } else {
        do_request(bs, others[row]);
    }
}

static void test_event(const void *data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_autofree char *options = g_strdup_printf(RULE(0) "event=%s,"RULE(0) "iotype=block-status,align=4096", events[i].event);

    for (int row = 0; events[i].happens[row]; row++) {
        Rig rig = rig_new(options);
        do_row(rig.bs, row);
        if ((do_request(rig.bs, 's') < 0) != (events[i].happens[row] == 'X')) {
            g_error("%s, row %d: it should be '%c'", events[i].event, row, events[i].happens[row]);
        }
        rig_free(&rig);
    }
}

/* QEMU's names, of its documentation of the interface */
static const char *const never[] = {
    "l1_update", "l1_grow_alloc_table", "l1_grow_write_table", "l1_grow_activate_table", "l2_load", "l2_update",
    "l2_update_compressed", "l2_alloc_cow_read", "l2_alloc_write", "read_backing_aio", "read_compressed",
    "write_compressed", "vmstate_load", "vmstate_save", "cow_read", "cow_write", "reftable_load", "reftable_grow",
    "reftable_update", "refblock_load", "refblock_update", "refblock_update_part", "refblock_alloc",
    "refblock_alloc_hookup", "refblock_alloc_write", "refblock_alloc_write_blocks", "refblock_alloc_write_table",
    "refblock_alloc_switch_table", "cluster_alloc", "cluster_alloc_bytes", "cluster_free", "empty_image_prepare",
    "l1_shrink_write_table", "l1_shrink_free_l2_clusters", "cor_write", "cluster_alloc_space",
};

static void test_events_that_never_happen(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
        g_autofree char *options = g_strdup_printf(RULE(0) "event=%s", never[i]);
        Rig rig = rig_new(options);

        g_assert_nonnull(strstr(bdrv_get_warning(rig.bs, 0), never[i]));
        g_assert_cmpint(bdrv_debug_breakpoint(rig.bs, never[i], "A"), ==, -ENOTSUP);
        rig_free(&rig);
    }
}

static void test_events_that_happen(void)
{
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(events); i++) {
        g_autofree char *options = g_strdup_printf("set-state.0.event=%s", events[i].event);
        Rig rig = rig_new(options);

        g_assert_null(bdrv_get_warning(rig.bs, 0));
        rig_free(&rig);
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
    { "config: comments and empty lines", "# c\n\n  \t\n[inject-error]\n#event\nevent = \"none\"\n\niotype = \"read\"\n", "wr",
      ".X" },
    { "config: without the last newline", "[inject-error]\nevent = \"none\"", "r", "X" },
    { "config: carriage returns", "[inject-error]\r\niotype = \"read\"\r\n", "wr", ".X" },
    { "config: a name for the group", "[inject-error \"first\"]\niotype = \"read\"\n", "wr", ".X" },
    { "config: without spaces", "[inject-error]\niotype=\"read\"", "wr", ".X" },
    { "config: with more of them", "  [inject-error]  \n\t iotype  =   \"read\"  ", "wr", ".X" },
    { "config: two rules and a state", "[inject-error]\nevent = \"write_aio\"\nstate = \"2\"\n\n[set-state]\nstate = \"1\"\n"
      "event = \"write_aio\"\nnew_state = \"2\"\n\n[inject-error]\nevent = \"flush_to_disk\"\niotype = \"read\"\n", "rwrwrfr",
      "...XX.X" },
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
    g_autofree char *options = g_strconcat(RULE(0) "errno=5,", config, NULL);
    Rig rig = rig_new(options);

    g_assert_cmpint(do_request(rig.bs, 'r'), ==, -ENOSPC);
    g_assert_cmpint(do_request(rig.bs, 'w'), ==, -EIO);
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

/* Breakpoints */

/* Requests in a thread of their own */
typedef struct Job {
    pthread_t thread;
    BlockDriverState *bs;
    char kind;                  /* 'w', or of do_request() */
    int64_t offset, bytes;      /* 'w' */
    int ret;
    bool done;                  /* atomic */
} Job;

static void *job_main(void *opaque)
{
    Job *job = opaque;

    job->ret = job->kind == 'w' ? do_write(job->bs, job->offset, job->bytes) : do_request(job->bs, job->kind);
    __atomic_store_n(&job->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void job_start(Job *job, BlockDriverState *bs, char kind, int64_t offset, int64_t bytes)
{
    *job = (Job) { .bs = bs, .kind = kind, .offset = offset, .bytes = bytes };
    g_assert_cmpint(pthread_create(&job->thread, NULL, job_main, job), ==, 0);
}

static bool job_is_done(Job *job)
{
    return __atomic_load_n(&job->done, __ATOMIC_ACQUIRE);
}

static int job_wait(Job *job)
{
    pthread_join(job->thread, NULL);
    return job->ret;
}

static void set_break(BlockDriverState *bs, const char *event, const char *tag)
{
    g_assert_cmpint(bdrv_debug_breakpoint(bs, event, tag), ==, 0);
}

static void wait_break(BlockDriverState *bs, const char *tag)
{
    for (int i = 0; !bdrv_debug_is_suspended(bs, tag); i++) {
        g_assert_cmpint(i, <, 20000);
        g_usleep(500);
    }
}

/* Stop a request there, see what it did until then, and let it go on */
static void check_stop(const char *event, char kind, unsigned reads, unsigned writes)
{
    Rig rig = rig_new("align=4096");
    Job job;

    set_break(rig.bs, event, "A");
    job_start(&job, rig.bs, kind, 512, 512);
    wait_break(rig.bs, "A");
    g_assert_false(job_is_done(&job));
    g_assert_cmpuint(rig.medium.disk->reads, ==, reads);
    g_assert_cmpuint(rig.medium.disk->writes, ==, writes);
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&job), ==, 0);
    g_assert_false(bdrv_debug_is_suspended(rig.bs, "A"));
    rig_free(&rig);
}

static const struct {
    const char *event;
    char kind;
    unsigned reads, writes;     /* that reached the disk */
} stops[] = {
    { "read_aio", 'r', 0, 0 }, { "write_aio", 'w', 1, 0 }, { "pwritev", 'w', 1, 0 }, { "pwritev_done", 'w', 1, 1 },
    { "pwritev_rmw_head", 'w', 0, 0 }, { "pwritev_rmw_after_head", 'w', 1, 0 }, { "pwritev_rmw_tail", 'w', 0, 0 },
    { "pwritev_rmw_after_tail", 'w', 1, 0 }, { "pwritev_zero", 'z', 0, 0 }, { "pwritev_done", 'z', 0, 1 },
    { "flush_to_os", 'f', 0, 0 }, { "flush_to_disk", 'f', 0, 0 },
};

static void test_stops(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stops); i++) {
        check_stop(stops[i].event, stops[i].kind, stops[i].reads, stops[i].writes);
    }
}

static void test_break_is_for_one(void)
{
    Rig rig = rig_new("");
    Job job;

    set_break(rig.bs, "write_aio", "A");
    job_start(&job, rig.bs, 'w', 0, 512);
    wait_break(rig.bs, "A");
    g_assert_cmpint(do_write(rig.bs, 4096, 512), ==, 0);
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&job), ==, 0);
    g_assert_cmpint(do_write(rig.bs, 4096, 512), ==, 0);
    rig_free(&rig);
}

static void test_break_is_for_its_event(void)
{
    Rig rig = rig_new("");

    set_break(rig.bs, "write_aio", "A");
    g_assert_cmpint(do_request(rig.bs, 'r'), ==, 0);
    g_assert_cmpint(do_request(rig.bs, 'f'), ==, 0);
    g_assert_false(bdrv_debug_is_suspended(rig.bs, "A"));
    rig_free(&rig);
}

static void test_two_breaks(void)
{
    Rig rig = rig_new("");
    Job a, b;

    set_break(rig.bs, "write_aio", "A");
    job_start(&a, rig.bs, 'w', 0, 512);
    wait_break(rig.bs, "A");
    set_break(rig.bs, "write_aio", "B");
    job_start(&b, rig.bs, 'w', 4096, 512);
    wait_break(rig.bs, "B");
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "B"), ==, 0);
    g_assert_cmpint(job_wait(&b), ==, 0);
    g_assert_false(job_is_done(&a));
    g_assert_true(bdrv_debug_is_suspended(rig.bs, "A"));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&a), ==, 0);
    rig_free(&rig);
}

/* One request at two points of its way, and at one of them twice */
static void test_break_twice(void)
{
    Rig rig = rig_new("");
    Job job;

    set_break(rig.bs, "write_aio", "A");
    set_break(rig.bs, "write_aio", "B");
    set_break(rig.bs, "pwritev", "C");
    job_start(&job, rig.bs, 'w', 0, 512);
    wait_break(rig.bs, "A");
    g_assert_true(bdrv_debug_is_suspended(rig.bs, "B"));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_false(bdrv_debug_is_suspended(rig.bs, "C"));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "B"), ==, 0);
    wait_break(rig.bs, "C");
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "C"), ==, 0);
    g_assert_cmpint(job_wait(&job), ==, 0);
    rig_free(&rig);
}

/* The one with the later breakpoint goes on first */
static void test_one_tag_for_two(void)
{
    Rig rig = rig_new("");
    Job first, second;

    set_break(rig.bs, "write_aio", "A");
    job_start(&first, rig.bs, 'w', 0, 512);
    wait_break(rig.bs, "A");
    set_break(rig.bs, "write_aio", "A");
    set_break(rig.bs, "write_aio", "B");
    job_start(&second, rig.bs, 'w', 4096, 512);
    wait_break(rig.bs, "B");
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "B"), ==, 0);
    g_assert_cmpint(job_wait(&second), ==, 0);
    g_assert_true(bdrv_debug_is_suspended(rig.bs, "A"));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&first), ==, 0);
    rig_free(&rig);
}

static void test_remove_break(void)
{
    Rig rig = rig_new("");
    Job jobs[2];

    set_break(rig.bs, "write_aio", "A");
    g_assert_cmpint(bdrv_debug_remove_breakpoint(rig.bs, "A"), ==, 0);
    g_assert_cmpint(do_write(rig.bs, 0, 512), ==, 0);

    set_break(rig.bs, "write_aio", "A");
    job_start(&jobs[0], rig.bs, 'w', 0, 512);
    wait_break(rig.bs, "A");
    set_break(rig.bs, "read_aio", "A");
    set_break(rig.bs, "read_aio", "B");
    g_assert_cmpint(bdrv_debug_remove_breakpoint(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&jobs[0]), ==, 0);
    job_start(&jobs[1], rig.bs, 'r', 0, 0);
    wait_break(rig.bs, "B");
    g_assert_false(bdrv_debug_is_suspended(rig.bs, "A"));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "B"), ==, 0);
    g_assert_cmpint(job_wait(&jobs[1]), ==, 0);
    rig_free(&rig);
}

static void test_wrong_breaks(void)
{
    Rig rig = rig_new("");

    g_assert_cmpint(bdrv_debug_breakpoint(rig.bs, "nosuch", "A"), ==, -ENOENT);
    g_assert_cmpint(bdrv_debug_breakpoint(rig.bs, "none", "A"), ==, -ENOTSUP);
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, -ENOENT);
    g_assert_cmpint(bdrv_debug_remove_breakpoint(rig.bs, "A"), ==, -ENOENT);
    set_break(rig.bs, "read_aio", "A");
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, -ENOENT);       /* nobody came yet */
    g_assert_false(bdrv_debug_is_suspended(rig.bs, "A"));
    rig_free(&rig);         /* and is left there */
}

static void test_no_breaks_elsewhere(void)
{
    BlockDriverState *bs = bdrv_open(NULL, "driver=raw,file.driver=mem,file.size=1M", BDRV_O_RDWR, NULL);

    g_assert_cmpint(bdrv_debug_breakpoint(bs, "read_aio", "A"), ==, -ENOTSUP);
    g_assert_cmpint(bdrv_debug_resume(bs, "A"), ==, -ENOTSUP);
    g_assert_cmpint(bdrv_debug_remove_breakpoint(bs, "A"), ==, -ENOTSUP);
    g_assert_false(bdrv_debug_is_suspended(bs, "A"));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* A format above: an allocating write is stopped with its data on the disk and nothing that names it */
static void test_break_below_a_format(void)
{
    Medium medium = medium_on_disk();
    Job job;

    medium_create(&medium, "driver=vpc,size=8M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc,file.driver=blkdebug", BDRV_O_RDWR);
    set_break(bs, "write_aio", "A");
    job_start(&job, bs, 'w', 0, 512);
    wait_break(bs, "A");
    g_assert_false(job_is_done(&job));
    g_assert_cmpint(bdrv_debug_resume(bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&job), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

/* While a part of a unit is changed, nobody else writes to the unit */
static void test_stopped_in_a_unit(void)
{
    Rig rig = rig_new("align=4096");
    uint8_t buf[UNIT], expected[UNIT];
    Job a, b, c;

    set_break(rig.bs, "pwritev_rmw_after_head", "A");
    job_start(&a, rig.bs, 'w', 512, 512);
    wait_break(rig.bs, "A");
    job_start(&b, rig.bs, 'w', 1024, 512);
    job_start(&c, rig.bs, 'w', 3584, 512);
    g_usleep(20000);
    g_assert_false(job_is_done(&b) || job_is_done(&c));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&a) | job_wait(&b) | job_wait(&c), ==, 0);
    memset(expected, OLD, UNIT);
    memset(expected + 512, NEW, 1024);
    memset(expected + 3584, NEW, 512);
    medium_read(&rig.medium, 0, buf, UNIT);
    kit_assert_same(buf, expected, UNIT, 0);
    rig_free(&rig);
}

/* Threads */

enum { THREADS = 6, ROUNDS = 300 };

static void *busy_main(void *opaque)
{
    BlockDriverState *bs = opaque;

    for (int i = 0; i < ROUNDS; i++) {
        do_request(bs, "rwzdfs"[i % 6]);
        do_write(bs, i * 512, 700);
    }
    return NULL;
}

/* Breakpoints come and go beside the requests, and nobody is forgotten */
static void test_threads(void)
{
    Rig rig = rig_new("align=4096,max-transfer=8k,"RULE(0) "event=pwritev,"RULE(0) "probability=0.1,"RULE(0) "effect=torn,"
                      RULE(1) "event=read_aio,"RULE(1) "times=9,set-state.0.event=flush_to_disk,set-state.0.new_state=3");
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_create(&threads[i], NULL, busy_main, rig.bs), ==, 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        set_break(rig.bs, events[1 + i % 11].event, "A");
        g_usleep(200);
        bdrv_debug_resume(rig.bs, "A");
        bdrv_debug_remove_breakpoint(rig.bs, "A");
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    rig_free(&rig);
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
    Rig rig = rig_new(RULE(0) "iotype=read,"RULE(0) "times=3,"RULE(1) "iotype=write,"RULE(1) "errno=0,"RULE(1) "effect=torn,"
                      RULE(1) "times=2,"RULE(2) "iotype=flush,"RULE(2) "errno=0,set-state.0.event=flush_to_os,"
                      "set-state.0.new_state=7");

    g_assert_cmpint(fact_of(rig.bs, "debug-state"), ==, 1);
    g_autofree char *seen = outcome(rig.bs, "rrrrwwwf");
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
    { "/events/never", test_events_that_never_happen },
    { "/events/no warning", test_events_that_happen },
    { "/config/goes first", test_config_goes_first },
    { "/config/bad", test_bad_config },
    { "/config/long line", test_long_line },
    { "/config/no text", test_config_that_is_no_text },
    { "/config/too many rules", test_too_many_rules },
    { "/break/stops", test_stops },
    { "/break/one request", test_break_is_for_one },
    { "/break/its event", test_break_is_for_its_event },
    { "/break/two requests", test_two_breaks },
    { "/break/twice", test_break_twice },
    { "/break/one tag for two", test_one_tag_for_two },
    { "/break/remove", test_remove_break },
    { "/break/wrong", test_wrong_breaks },
    { "/break/elsewhere", test_no_breaks_elsewhere },
    { "/break/below a format", test_break_below_a_format },
    { "/break/in a unit", test_stopped_in_a_unit },
    { "/break/threads", test_threads },
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
    ADD_TABLE("/events/", events, event, test_event);
    g_test_add_data_func("/effects/torn write", "w", test_torn);
    g_test_add_data_func("/effects/torn zeroes", "z", test_torn);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_func(tests[i].path, tests[i].test);
    }
    return kit_run();
}
