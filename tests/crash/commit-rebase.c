/* commit-rebase.c - commit and rebase are interrupted at every write, and done again */
/* SPDX-License-Identifier: MIT
 *
 * The file that is written to lies on a disk that logs and fails. After a power cut at any place, and after an
 * error of any request, the image on top reads as it always did, whichever parent it has by then; what was half
 * committed into holds old and new sectors only; and the same work done again ends as if nothing had been.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, SECTOR = 512, SIZE = 64 * KIB };

typedef struct Job {
    const char *name;
    enum { REBASE, REBASE_FIRST, REBASE_NONE, RELINK, COMMIT } kind;
    const char *base;           /* COMMIT: what is committed into is made with, */
    const char *base_driver;    /* and opened with; it may have a parent of its own */
    bool base_is_child;
    const char *block_size;     /* of the image that is rebased; NULL: 8k */
} Job;

static const Job jobs[] = {
    { "rebase", REBASE },
    { "rebase/first", REBASE_FIRST },
    { "rebase/first/512", REBASE_FIRST, .block_size = "512" },
    { "rebase/none", REBASE_NONE },
    { "rebase/none/512", REBASE_NONE, .block_size = "512" },
    { "relink", RELINK },
    { "commit/dynamic", COMMIT, "driver=vpc,block_size=4k,size=64k", "vpc" },
    { "commit/fixed", COMMIT, "driver=vpc,subformat=fixed,size=64k", "vpc" },
    { "commit/raw", COMMIT, "driver=raw,size=64k", "raw" },
    { "commit/child", COMMIT, "driver=vpc,block_size=4k,size=64k", "vpc", true },
};

typedef struct Run {
    const Job *job;
    GRand *rand;
    Medium parent, other;       /* files: the old parent and the new one */
    Medium top;                 /* COMMIT: a file; else the same as disk */
    Disk *start;                /* the disk that is written to, as it was */
    uint8_t base[SIZE], want[SIZE], got[SIZE];      /* COMMIT: of the base before; of the top, always */
} Run;

static int64_t below(Run *run, int64_t n)
{
    return g_rand_int_range(run->rand, 0, (gint32)n);
}

/* Making images */

static void write_some(Run *run, BlockDriverState *bs, uint8_t *data, unsigned stamp)
{
    int64_t size = bdrv_getlength(bs);

    for (int i = 0; i < 6; i++) {
        int64_t at = below(run, size), bytes = 1 + below(run, 6 * KIB);

        bytes = MIN(bytes, size - at);
        if (i % 3 < 2) {
            kit_fill(data + at, at, bytes, stamp + (unsigned)i);
            g_assert_cmpint(bdrv_pwrite(bs, at, data + at, bytes, 0), ==, 0);
        } else {
            memset(data + at, 0, (size_t)bytes);
            g_assert_cmpint(bdrv_pwrite_zeroes(bs, at, bytes, 0), ==, 0);
        }
    }
}

/* On top of what @data says the image reads as so far */
static void make_image(Run *run, const Medium *medium, const char *create, const char *open, uint8_t *data, unsigned stamp)
{
    medium_create(medium, create);
    BlockDriverState *bs = medium_open(medium, open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    write_some(run, bs, data, stamp);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static char *child_of(const Run *run, const Medium *parent)
{
    const char *block_size = run->job->block_size ? run->job->block_size : "8k";

    return g_strdup_printf("driver=vpc,block_size=%s,size=64k%s%s", block_size, parent ? ",backing_file=" : "",
                           parent ? parent->file : "");
}

/* By its absolute name, which is what is found in images */
static Medium file_of(const char *name)
{
    g_autofree char *path = kit_path(name);

    return (Medium) { .file = g_canonicalize_filename(path, NULL) };
}

static void make_parents(Run *run, uint8_t *old)
{
    uint8_t other[SIZE] = { 0 };

    run->parent = file_of("parent");
    run->other = file_of("other");
    make_image(run, &run->parent, "driver=vpc,block_size=4k,size=64k", "driver=vpc", old, 10);
    make_image(run, &run->other, "driver=vpc,block_size=16k,size=40k", "driver=vpc", other, 20);
    if (run->job->kind == RELINK) {     /* the same image, elsewhere */
        g_autofree char *bytes = NULL;
        gsize length;

        g_assert_true(g_file_get_contents(run->parent.file, &bytes, &length, NULL));
        g_assert_true(g_file_set_contents(run->other.file, bytes, (gssize)length, NULL));
    }
}

static void set_up(Run *run)
{
    bool commit = run->job->kind == COMMIT;
    const Medium *parent = run->job->kind == REBASE_FIRST ? NULL : &run->parent;
    Medium disk = medium_on_disk();
    uint8_t old[SIZE] = { 0 };

    make_parents(run, old);
    if (!commit) {
        g_autofree char *create = child_of(run, parent);

        memcpy(run->want, old, parent ? SIZE : 0);
        make_image(run, &disk, create, "driver=vpc", run->want, 30);
        if (parent) {
            vhd_fill_clear(&disk);
        }
    } else {
        g_autofree char *create = run->job->base_is_child ? child_of(run, &run->parent) : g_strdup(run->job->base);
        g_autofree char *open = g_strdup_printf("driver=%s", run->job->base_driver);

        memcpy(run->base, old, run->job->base_is_child ? SIZE : 0);
        make_image(run, &disk, create, open, run->base, 40);
    }
    run->start = disk.disk;
}

/* The image on top, of what is committed: a file whose parent is the disk */
static BlockDriverState *open_top(Run *run, Disk *disk, unsigned flags)
{
    Medium medium = { .disk = disk };
    DiskParent base = { disk, run->job->base_driver };
    const BlockResolver resolver = { &base, medium_find_parent };
    const char *options = flags & BDRV_O_RDWR ? "driver=vpc,ignore-parent-id=on,backing.read-only=off"
                                              : "driver=vpc,ignore-parent-id=on";
    const BlockOpenArgs args = { run->top.file, NULL, options, flags, &resolver };

    if (run->job->kind != COMMIT) {
        return medium_open(&medium, "driver=vpc", flags);
    }
    BlockDriverState *bs = bdrv_open_with(&args, NULL);

    g_assert_nonnull(bs);
    return bs;
}

static void make_top(Run *run)
{
    g_autofree char *create = child_of(run, &run->parent);

    run->top = medium_on_file("top");
    medium_create(&run->top, create);
    memcpy(run->want, run->base, SIZE);
    BlockDriverState *bs = open_top(run, run->start, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    write_some(run, bs, run->want, 50);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void tear_down(Run *run)
{
    Medium disk = { .disk = run->start };

    medium_clear(&disk);
    medium_clear(&run->parent);
    medium_clear(&run->other);
    medium_clear(&run->top);
}

/* The work */

static bool do_job(Run *run, BlockDriverState *bs)
{
    const BlockRebaseOptions names_only = { .names_only = true };

    switch (run->job->kind) {
    case COMMIT:
        return bdrv_commit(bs, 1, NULL, NULL, NULL);
    case RELINK:
        return bdrv_rebase(bs, run->other.file, &names_only, NULL);
    case REBASE_NONE:
        return bdrv_rebase(bs, NULL, NULL, NULL);
    default:
        return bdrv_rebase(bs, run->other.file, NULL, NULL);
    }
}

static unsigned job_flags(const Run *run)
{
    return BDRV_O_RDWR | (run->job->kind == RELINK ? BDRV_O_NO_BACKING : 0);
}

static void read_all(Run *run, BlockDriverState *bs)
{
    g_assert_cmpint(bdrv_pread(bs, 0, run->got, SIZE, 0), ==, 0);
}

static bool is_raw(const Run *run)
{
    return run->job->base_driver && !strcmp(run->job->base_driver, "raw");
}

static void check_base(Run *run, Disk *disk, bool done)
{
    Medium medium = { .disk = disk };
    g_autofree char *options = g_strdup_printf("driver=%s", run->job->base_driver);
    BlockDriverState *bs = medium_open(&medium, options, 0);

    read_all(run, bs);
    for (int at = 0; at < SIZE; at += SECTOR) {
        bool is_new = !memcmp(run->got + at, run->want + at, SECTOR);

        g_assert_true(is_new || (!done && !memcmp(run->got + at, run->base + at, SECTOR)));
    }
    g_assert_null(bdrv_get_warning(bs, 0));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void check_state(Run *run, Disk *disk, bool done)
{
    Medium medium = { .disk = disk };
    BlockDriverState *bs = open_top(run, disk, 0);

    read_all(run, bs);
    kit_assert_same(run->got, run->want, SIZE, 0);
    if (done && run->job->kind != COMMIT) {
        BlockDriverState *parent = bdrv_get_backing(bs);

        g_assert_cmpstr(parent ? bdrv_get_filename(parent) : NULL, ==,
                        run->job->kind == REBASE_NONE ? NULL : run->other.file);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    if (run->job->kind == COMMIT) {
        check_base(run, disk, done);
    }
    g_assert_true(is_raw(run) || vhd_ends_well(&medium));
}

static void check_done(Run *run, Disk *disk)
{
    Medium medium = { .disk = disk };

    check_state(run, disk, true);
    if (!is_raw(run)) {
        vhd_assert_sound(&medium);
    }
    if (run->job->kind == REBASE_NONE) {
        vhd_assert_complete(&medium, run->want, SIZE);
    }
}

/* Done again, all is as it should be; and life goes on */
static void check_rerun(Run *run, Disk *disk)
{
    BlockDriverState *bs = open_top(run, disk, job_flags(run));

    g_assert_true(do_job(run, bs));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    check_done(run, disk);
    if (run->job->kind != COMMIT) {
        bs = open_top(run, disk, BDRV_O_RDWR);
        g_assert_cmpint(bdrv_pwrite(bs, 5000, "life goes on", 12, BDRV_REQ_FUA), ==, 0);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
        bs = open_top(run, disk, 0);
        read_all(run, bs);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
        g_assert_cmpint(memcmp(run->got + 5000, "life goes on", 12), ==, 0);
        memcpy(run->got + 5000, run->want + 5000, 12);
        kit_assert_same(run->got, run->want, SIZE, 0);
    }
}

/* The power cut */

typedef enum Keep { KEEP_NONE, KEEP_ALL, KEEP_SOME } Keep;

static void apply(Run *run, Disk *disk, const DiskEvent *event, Keep keep)
{
    if (event->kind == DISK_SHRINK && (keep == KEEP_ALL || below(run, 2))) {
        disk_truncate(disk, event->offset);
    }
    for (int64_t at = 0, n; event->kind == DISK_WRITE && at < event->bytes; at += n) {
        n = MIN(SECTOR - (event->offset + at) % SECTOR, event->bytes - at);
        if (keep == KEEP_ALL || below(run, 2)) {
            disk_write(disk, event->offset + at, event->data + at, n);
        }
    }
}

static void check_cut(Run *run, Disk *durable, GArray *log, guint flushed, guint cut, Keep keep)
{
    Disk *disk = disk_clone(durable);

    for (guint i = flushed; i < cut && keep != KEEP_NONE; i++) {
        apply(run, disk, &g_array_index(log, DiskEvent, i), keep);
    }
    check_state(run, disk, false);
    check_rerun(run, disk);
    disk_free(disk);
}

static void check_cuts(Run *run)
{
    Disk *disk = disk_clone(run->start), *durable = disk_clone(run->start);

    disk_start_log(disk);
    BlockDriverState *bs = open_top(run, disk, job_flags(run));
    g_assert_true(do_job(run, bs));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    for (guint cut = 1, flushed = 0; cut <= disk->log->len; cut++) {
        if (g_array_index(disk->log, DiskEvent, cut - 1).kind == DISK_FLUSH) {
            for (; flushed < cut; flushed++) {
                apply(run, durable, &g_array_index(disk->log, DiskEvent, flushed), KEEP_ALL);
            }
        }
        check_cut(run, durable, disk->log, flushed, cut, KEEP_NONE);
        check_cut(run, durable, disk->log, flushed, cut, KEEP_ALL);
        for (int i = 0; i < 4 && flushed < cut; i++) {
            check_cut(run, durable, disk->log, flushed, cut, KEEP_SOME);
        }
    }
    disk_free(disk);
    disk_free(durable);
}

/* The error */

typedef struct Fault {
    int write, flush;           /* errno; 0: works */
    bool once;
} Fault;

/* The image is good for use after it was rebased, or could not be */
static void use_on(Run *run, BlockDriverState *bs)
{
    for (int64_t at = 0; at < SIZE && run->job->kind <= REBASE_NONE; at += 500) {
        kit_fill(run->want + at, at, 1, 77);
        g_assert_cmpint(bdrv_pwrite(bs, at, run->want + at, 1, 0), ==, 0);
    }
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
}

/* False: there were not so many writes */
static bool check_failure(Run *run, Fault fault, unsigned after)
{
    Disk *disk = disk_clone(run->start);
    BlockDriverState *bs = open_top(run, disk, job_flags(run));

    disk->fail_errno = fault.write;
    disk->flush_errno = fault.flush;
    disk->fail_after = after;
    disk->fail_once = fault.once;
    g_autofree uint8_t *want = g_memdup2(run->want, SIZE);
    bool ok = do_job(run, bs);
    unsigned failed = disk->failed;

    g_assert_true(ok || failed || fault.flush);
    if (run->job->kind != RELINK) {     /* which has no parent while it is done */
        read_all(run, bs);
        kit_assert_same(run->got, run->want, SIZE, 0);
    }
    if (!fault.flush && (fault.once || !failed)) {
        disk->fail_errno = 0;
        use_on(run, bs);
    }
    bdrv_close(bs);
    disk->fail_errno = disk->flush_errno = 0;
    check_state(run, disk, ok);
    check_rerun(run, disk);
    memcpy(run->want, want, SIZE);
    disk_free(disk);
    return failed > 0;
}

static void check_failures(Run *run)
{
    static const Fault faults[] = { { EIO, 0, true }, { EIO, 0, false }, { ENOSPC, 0, true }, { ENOSPC, 0, false } };

    check_failure(run, (Fault) { 0, EIO, false }, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        for (unsigned after = 0; check_failure(run, faults[i], after); after++) {
        }
    }
}

static bool run_seed(unsigned seed, const void *data)
{
    Run *run = g_new0(Run, 1);

    run->job = data;
    run->rand = g_rand_new_with_seed(seed + 1);
    set_up(run);
    if (run->job->kind == COMMIT) {
        make_top(run);
    }
    check_cuts(run);
    check_failures(run);
    tear_down(run);
    g_rand_free(run->rand);
    g_free(run);
    return true;
}

static void test_job(const void *data)
{
    kit_each_seed(3, run_seed, data);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autofree char *path = g_strdup_printf("/commit-rebase/%s", jobs[i].name);

        g_test_add_data_func(path, &jobs[i], test_job);
    }
    return kit_run();
}
