/* resize-errors.c - every write and every flush of a resize fails in turn, and it is done again */
/* SPDX-License-Identifier: MIT
 *
 * Whatever fails: the disk has the old size or the new one, in memory as on disk; all that both have is there, and
 * what is new is zero; the image is good for use in the same session and in the next; and the same work done again
 * ends as if nothing had been.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, MOST = 256 * KIB };

typedef struct Job {
    const char *name, *create;
    int64_t from, to;
    int64_t parent;             /* its size; 0: none */
} Job;

static const Job jobs[] = {
    { "fixed/longer", "subformat=fixed", 64 * KIB, 100 * KIB },
    { "fixed/shorter", "subformat=fixed", 64 * KIB, 20 * KIB },
    { "dynamic/longer", "block_size=4k", 64 * KIB, 68 * KIB },
    { "dynamic/much-longer", "block_size=512", 64 * KIB, 255 * KIB },      /* a BAT of three sectors more */
    { "dynamic/shorter", "block_size=4k", 64 * KIB, 18 * KIB },
    { "child/longer", "block_size=512", 64 * KIB, 200 * KIB, 30 * KIB },
    { "child/longer-under-parent", "block_size=4k", 64 * KIB, 100 * KIB, 80 * KIB },
    { "child/shorter", "block_size=4k", 64 * KIB, 18 * KIB, 80 * KIB },
};

typedef struct Run {
    const Job *job;
    GRand *rand;
    Medium parent;
    Disk *start;
    uint8_t want[MOST], got[MOST];      /* zeroes behind the old size */
} Run;

static int64_t below(Run *run, int64_t n)
{
    return g_rand_int_range(run->rand, 0, (gint32)n);
}

static BlockDriverState *open_disk(Disk *disk, unsigned flags)
{
    Medium medium = { .disk = disk };

    return medium_open(&medium, "driver=vpc", flags);
}

/* In any order, so that the last blocks of the disk are anywhere in the file */
static void write_some(Run *run, BlockDriverState *bs)
{
    for (unsigned i = 0; i < 14; i++) {
        int64_t at = below(run, run->job->from), bytes = 1 + below(run, 5 * KIB);

        bytes = MIN(bytes, run->job->from - at);
        kit_fill(run->want + at, at, bytes, 30 + i);
        g_assert_cmpint(bdrv_pwrite(bs, at, run->want + at, bytes, 0), ==, 0);
    }
}

static void make_parent(Run *run)
{
    int64_t size = run->job->parent;
    g_autofree char *create = g_strdup_printf("driver=vpc,block_size=4k,size=%" PRId64, size);
    g_autofree uint8_t *bytes = g_malloc((gsize)size);

    run->parent = medium_on_file("parent");
    medium_create(&run->parent, create);
    kit_fill(bytes, 0, size, 9);
    BlockDriverState *bs = medium_open(&run->parent, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    g_assert_cmpint(bdrv_pwrite(bs, 0, bytes, size, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    memcpy(run->want, bytes, (size_t)MIN(size, run->job->from));
}

static void set_up(Run *run)
{
    const Job *job = run->job;
    Medium medium = medium_on_disk();

    if (job->parent) {
        make_parent(run);
    }
    g_autofree char *path = job->parent ? g_canonicalize_filename(run->parent.file, NULL) : NULL;
    g_autofree char *create = g_strdup_printf("driver=vpc,%s,size=%" PRId64 "%s%s", job->create, job->from,
                                              path ? ",backing_file=" : "", path ? path : "");
    medium_create(&medium, create);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    write_some(run, bs);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    run->start = medium.disk;
}

static bool is_size(const Job *job, int64_t size, bool done)
{
    return size == job->to || (!done && size == job->from);
}

static void check_open(Run *run, BlockDriverState *bs, bool done)
{
    int64_t size = bdrv_getlength(bs);

    g_assert_true(is_size(run->job, size, done));
    g_assert_cmpint(bdrv_pread(bs, 0, run->got, size, 0), ==, 0);
    kit_assert_same(run->got, run->want, size, 0);
}

static void check_disk(Run *run, Disk *disk, bool done)
{
    BlockDriverState *bs = open_disk(disk, 0);

    check_open(run, bs, done);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void check_sound(Disk *disk)
{
    Medium medium = { .disk = disk };
    BlockDriverState *bs = open_disk(disk, BDRV_O_CHECK);
    BlockCheck *found = bdrv_check(bs, 0, NULL);

    g_assert_nonnull(found);
    for (int i = 0; i < found->count; i++) {
        const BlockFinding *f = &found->findings[i];

        if (f->level != BLOCK_CHECK_NOTE && strcmp(f->code, "S3")) {
            g_error("%s: %s", f->code, f->cases[0].text);
        }
    }
    bdrv_check_free(found);
    bdrv_close(bs);
    vhd_assert_sound(&medium);
}

static void check_rerun(Run *run, Disk *disk)
{
    BlockDriverState *bs = open_disk(disk, BDRV_O_RDWR);
    GError *err = NULL;

    bdrv_truncate(bs, run->job->to, &err);
    g_assert_no_error(err);
    check_open(run, bs, true);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    check_disk(run, disk, true);
    check_sound(disk);
}

/* All over the disk, in the session in which something failed */
static void use_on(Run *run, BlockDriverState *bs)
{
    int64_t size = bdrv_getlength(bs);

    for (int64_t at = 0; at < MIN(size, run->job->from); at += 700) {
        kit_fill(run->want + at, at, 1, 77);
        g_assert_cmpint(bdrv_pwrite(bs, at, run->want + at, 1, 0), ==, 0);
    }
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    check_open(run, bs, false);
}

typedef struct Fault {
    int write, flush;           /* errno; 0: works */
    bool once;
} Fault;

/* False: there were not so many writes */
static bool check_failure(Run *run, Fault fault, unsigned after)
{
    Disk *disk = disk_clone(run->start);
    BlockDriverState *bs = open_disk(disk, BDRV_O_RDWR);
    g_autofree uint8_t *want = g_memdup2(run->want, MOST);

    disk->fail_errno = fault.write;
    disk->flush_errno = fault.flush;
    disk->fail_after = after;
    disk->fail_once = fault.once;
    bool ok = bdrv_truncate(bs, run->job->to, NULL);
    unsigned failed = disk->failed;

    g_assert_true(ok || failed || fault.flush);
    check_open(run, bs, ok);
    if (!fault.flush && (fault.once || !failed)) {
        disk->fail_errno = 0;
        use_on(run, bs);
    }
    bdrv_close(bs);
    disk->fail_errno = disk->flush_errno = 0;
    check_disk(run, disk, ok);
    check_rerun(run, disk);
    memcpy(run->want, want, MOST);
    disk_free(disk);
    return failed > 0;
}

static bool run_seed(unsigned seed, const void *job)
{
    static const Fault faults[] = { { EIO, 0, true }, { EIO, 0, false }, { ENOSPC, 0, true }, { ENOSPC, 0, false } };
    Run *run = g_new0(Run, 1);
    unsigned after;

    run->job = job;
    run->rand = g_rand_new_with_seed(seed + 1);
    set_up(run);
    check_failure(run, (Fault) { 0, EIO, false }, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        for (after = 0; check_failure(run, faults[i], after); after++) {
        }
        g_assert_cmpuint(after, >=, 2);
    }
    disk_free(run->start);
    medium_clear(&run->parent);
    g_rand_free(run->rand);
    g_free(run);
    return true;
}

static void test_job(const void *job)
{
    kit_each_seed(5, run_seed, job);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autofree char *path = g_strdup_printf("/resize-errors/%s", jobs[i].name);

        g_test_add_data_func(path, &jobs[i], test_job);
    }
    return kit_run();
}
