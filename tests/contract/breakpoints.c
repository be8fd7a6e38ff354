/* breakpoints.c - what happens on the way through a blkdebug node, and requests that are stopped there */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <miniblk/driver.h>
#include "kit.h"
#include "rig.h"

enum { UNIT = RIG_UNIT, OLD = RIG_OLD, NEW = RIG_NEW };

#define R0 "inject-error.0."
#define R1 "inject-error.1."
#define R2 "inject-error.2."

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
        rig_write(bs, writes[row].offset, writes[row].bytes);
    } else {
        rig_request(bs, others[row]);
    }
}

static void test_event(const void *data)
{
    size_t i = (size_t)(uintptr_t)data;
    g_autofree char *options = g_strdup_printf(R0 "event=%s," R0 "iotype=block-status,align=4096", events[i].event);

    for (int row = 0; events[i].happens[row]; row++) {
        Rig rig = rig_new(options);
        do_row(rig.bs, row);
        if ((rig_request(rig.bs, 's') < 0) != (events[i].happens[row] == 'X')) {
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
        g_autofree char *options = g_strdup_printf(R0 "event=%s", never[i]);
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

/* Breakpoints */

/* Requests in a thread of their own */
typedef struct Job {
    pthread_t thread;
    BlockDriverState *bs;
    char kind;                  /* 'w', 'n', or of rig_request() */
    int64_t offset, bytes;      /* 'w', 'n' */
    int ret;
    bool done;                  /* atomic */
} Job;

static int job_do(const Job *job)
{
    static const uint8_t data[UNIT];

    switch (job->kind) {
    case 'w':
        return rig_write(job->bs, job->offset, job->bytes);
    case 'n':                   /* as a format above would: it may be past the end */
        return bdrv_node_pwrite(job->bs, job->offset, data, job->bytes);
    default:
        return rig_request(job->bs, job->kind);
    }
}

static void *job_main(void *opaque)
{
    Job *job = opaque;

    job->ret = job_do(job);
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
    g_assert_cmpint(rig_write(rig.bs, 4096, 512), ==, 0);
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&job), ==, 0);
    g_assert_cmpint(rig_write(rig.bs, 4096, 512), ==, 0);
    rig_free(&rig);
}

static void test_break_is_for_its_event(void)
{
    Rig rig = rig_new("");

    set_break(rig.bs, "write_aio", "A");
    g_assert_cmpint(rig_request(rig.bs, 'r'), ==, 0);
    g_assert_cmpint(rig_request(rig.bs, 'f'), ==, 0);
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
    g_assert_cmpint(rig_write(rig.bs, 0, 512), ==, 0);

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

/* Others change theirs */
static void test_stopped_in_two_units(void)
{
    Rig rig = rig_new("align=4096");
    uint8_t buf[3 * UNIT], expected[3 * UNIT];
    Job a, b, c;

    set_break(rig.bs, "pwritev_rmw_after_head", "A");
    job_start(&a, rig.bs, 'w', 512, 512);
    wait_break(rig.bs, "A");
    set_break(rig.bs, "pwritev_rmw_after_head", "B");
    job_start(&b, rig.bs, 'w', 2 * UNIT + 512, 512);
    wait_break(rig.bs, "B");
    job_start(&c, rig.bs, 'w', UNIT, UNIT);
    g_assert_cmpint(job_wait(&c), ==, 0);
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "B"), ==, 0);
    g_assert_cmpint(job_wait(&b), ==, 0);
    g_assert_false(job_is_done(&a));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&a), ==, 0);
    memset(expected, OLD, sizeof(expected));
    memset(expected + 512, NEW, 512);
    memset(expected + UNIT, NEW, UNIT);
    memset(expected + 2 * UNIT + 512, NEW, 512);
    medium_read(&rig.medium, 0, buf, sizeof(buf));
    kit_assert_same(buf, expected, sizeof(buf), 0);
    rig_free(&rig);
}

/* Where the file ends is part of the range of all who move it */
static void test_stopped_at_the_end(void)
{
    Rig rig = rig_new("align=4096");
    Job a, b;

    set_break(rig.bs, "pwritev_rmw_after_tail", "A");
    job_start(&a, rig.bs, 'n', RIG_SIZE, 512);
    wait_break(rig.bs, "A");
    job_start(&b, rig.bs, 'n', RIG_SIZE + 3 * UNIT, 512);
    g_usleep(20000);
    g_assert_false(job_is_done(&b));
    g_assert_cmpint(bdrv_debug_resume(rig.bs, "A"), ==, 0);
    g_assert_cmpint(job_wait(&a) | job_wait(&b), ==, 0);
    g_assert_cmpint(medium_size(&rig.medium), ==, RIG_SIZE + 3 * UNIT + 512);
    rig_free(&rig);
}

/* Threads */

enum { THREADS = 6, ROUNDS = 300 };

static void *busy_main(void *opaque)
{
    BlockDriverState *bs = opaque;

    for (int i = 0; i < ROUNDS; i++) {
        rig_request(bs, "rwzdfs"[i % 6]);
        rig_write(bs, i * 512, 700);
    }
    return NULL;
}

/* Breakpoints come and go beside the requests, and nobody is forgotten */
static void test_threads(void)
{
    Rig rig = rig_new("align=4096,max-transfer=8k," R0 "event=pwritev," R0 "probability=0.1," R0 "effect=torn,"
                      R1 "event=read_aio," R1 "times=9,set-state.0.event=flush_to_disk,set-state.0.new_state=3");
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

static const struct { const char *path; void (*test)(void); } tests[] = {
    { "/events/never", test_events_that_never_happen },
    { "/events/no warning", test_events_that_happen },
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
    { "/break/in two units", test_stopped_in_two_units },
    { "/break/at the end", test_stopped_at_the_end },
    { "/break/threads", test_threads },
};

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        g_autofree char *path = g_strconcat("/events/", events[i].event, NULL);

        g_test_add_data_func(path, (const void *)(uintptr_t)i, test_event);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_func(tests[i].path, tests[i].test);
    }
    return kit_run();
}
