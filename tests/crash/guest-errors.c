/* guest-errors.c - every single write, zeroing or flush of an allocating workload fails: nothing is lost */
/* SPDX-License-Identifier: MIT
 *
 * Each run lets one request to the file fail (or that one and all after it), the next run the one behind
 * it, until the workload runs through. All the time: a failed write leaves each of its bytes old or new
 * and touches nothing else, the file ends in a footer, and what a flush promised is on disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

#define KIB (1 << 10)
#define MIB (1 << 20)

typedef enum Start { START_EMPTY, START_CLEAR, START_JUNK } Start;

typedef struct Image {
    const char *name;
    const char *create;
    int64_t size, block;
    Start start;
    bool child;                 /* a differencing disk over a parent that has something everywhere */
} Image;

static const Image images[] = {
    { "512", "driver=vpc,block_size=512", 16 * KIB, 512, START_EMPTY },
    { "4k", "driver=vpc,block_size=4k", 64 * KIB, 4096, START_EMPTY },
    { "2m", "driver=vpc,block_size=2M", 4 * MIB + 64 * KIB, 2 * MIB, START_EMPTY },
    { "clear", "driver=vpc,block_size=16k", 128 * KIB, 16 * KIB, START_CLEAR },
    { "junk", "driver=vpc,block_size=16k", 128 * KIB, 16 * KIB, START_JUNK },
    { "fixed", "driver=vpc,subformat=fixed", 64 * KIB, 4096, START_EMPTY },
    { "child/512", "driver=vpc,block_size=512", 16 * KIB, 512, START_EMPTY, true },
    { "child/16k", "driver=vpc,block_size=16k", 128 * KIB, 16 * KIB, START_EMPTY, true },
};

/* How the disk fails */
typedef struct Fault {
    const char *iotype;         /* blkdebug's; "half-write": half of the bytes reach the disk, or just the room */
    int err;
    bool once;                  /* else it stays broken */
} Fault;

static const Fault faults[] = {
    { "write", EIO, true }, { "write", ENOSPC, true }, { "write", EIO, false }, { "write", ENOSPC, false },
    { "flush", EIO, true }, { "flush", ENOSPC, true }, { "flush", EIO, false }, { "flush", ENOSPC, false },
    { "half-write", EIO, true }, { "half-write", ENOSPC, true }, { "half-write", EIO, false },
    { "write-zeroes", EIO, true }, { "write-zeroes", ENOSPC, true }, { "write-zeroes", EIO, false },
};

/* What the guest does after an error */
typedef enum Guest { GUEST_RETRIES, GUEST_GOES_ON } Guest;

typedef struct Case {
    const Image *image;
    const Fault *fault;
    Guest guest;
} Case;

/* Offsets and lengths: blocks and bytes */
typedef struct Step {
    enum { STEP_WRITE, STEP_ZERO, STEP_FLUSH } kind;
    int block;
    int64_t in, bytes;
    int64_t blocks;             /* added to bytes */
} Step;

static const Step steps[] = {
    { STEP_WRITE, 1, 0, -100, 1 },          /* allocates */
    { STEP_WRITE, 0, 100, 300, 0 },         /* allocates, with less */
    { STEP_WRITE, 0, 200, 100, 0 },
    { STEP_WRITE, 2, 0, 0, 1 },             /* allocates, all of a block */
    { STEP_ZERO, 0, 50, 100, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 2, 10, 200, 0 },          /* overwrites */
    { STEP_FLUSH },
    { STEP_WRITE, 2, 300, 212, 1 },         /* goes into the next block, which it allocates */
    { STEP_ZERO, 0, 0, 0, 2 },
    { STEP_WRITE, 1, 7, 500, 0 },
    { STEP_FLUSH },
    { STEP_WRITE, 1, 0, 512, 0 },           /* never flushed but by close */
    { STEP_WRITE, 0, 512, 0, 0 },
    { STEP_WRITE, 0, 300, 100, 0 },
    { STEP_ZERO, 2, 20, 440, 0 },
};

enum {
    STEPS = G_N_ELEMENTS(steps),
    SHARE = 4,                  /* each case lets one request in so many fail, and not all cases the same, unless it is long */
};

typedef struct Run {
    const Case *test;
    Medium medium, parent;      /* the parent never fails */
    BlockDriverState *bs;
    uint8_t *now, *safe;        /* what it holds; what the last flush that worked made sure of */
    uint8_t *buf;
    bool since[STEPS];          /* steps tried since that flush */
    bool lost;                  /* the disk is broken, and stays so */
    bool seen;                  /* the error was met before close */
} Run;

static int64_t size_of(const Run *run)
{
    return run->test->image->size;
}

static void open_image(Run *run, const char *options, unsigned flags)
{
    g_autofree char *all = run->test->image->child ? g_strdup_printf("%s,parent=%s", options, run->parent.file)
                                                   : g_strdup(options);

    run->bs = medium_open(&run->medium, all, flags);
}

static int64_t offset_of(const Run *run, const Step *step)
{
    return step->block * run->test->image->block + step->in;
}

static int64_t bytes_of(const Run *run, const Step *step)
{
    return MIN(step->bytes + step->blocks * run->test->image->block, size_of(run) - offset_of(run, step));
}

static unsigned stamp_of(const Step *step)
{
    return (unsigned)(step - steps) + 1;
}

static uint8_t value_of(const Step *step, int64_t at)
{
    return step->kind == STEP_ZERO ? 0 : kit_byte(at, stamp_of(step));
}

static void check_tail(const Run *run)
{
    g_assert_true(vhd_ends_well(&run->medium));
}

static void read_all(Run *run)
{
    g_assert_cmpint(bdrv_pread(run->bs, 0, run->buf, size_of(run), 0), ==, 0);
}

static void check_memory(Run *run)
{
    read_all(run);
    kit_assert_same(run->buf, run->now, size_of(run), 0);
}

/* After a step that failed: each of its bytes is old or new, and all others are what they were */
static void adopt(Run *run, const Step *step)
{
    int64_t offset = offset_of(run, step), end = offset + bytes_of(run, step);

    read_all(run);
    for (int64_t i = offset; i < end; i++) {
        if (run->buf[i] != run->now[i]) {
            g_assert_cmphex(run->buf[i], ==, value_of(step, i));
        }
    }
    memcpy(run->now + offset, run->buf + offset, (size_t)(end - offset));
    kit_assert_same(run->buf, run->now, size_of(run), 0);
}

/* Leaves what it wrote in run->buf */
static int try_step(Run *run, const Step *step)
{
    int64_t offset = offset_of(run, step), bytes = bytes_of(run, step);

    if (step->kind == STEP_ZERO) {
        memset(run->buf, 0, (size_t)bytes);
    } else {
        kit_fill(run->buf, offset, bytes, stamp_of(step));
    }
    switch (step->kind) {
    case STEP_WRITE:
        return bdrv_pwrite(run->bs, offset, run->buf, bytes, 0);
    case STEP_ZERO:
        return bdrv_pwrite_zeroes(run->bs, offset, bytes, 0);
    default:
        return bdrv_flush(run->bs);
    }
}

static void succeeded(Run *run, const Step *step)
{
    if (step->kind == STEP_FLUSH) {
        memcpy(run->safe, run->now, (size_t)size_of(run));
        memset(run->since, 0, sizeof(run->since));
    } else {
        memcpy(run->now + offset_of(run, step), run->buf, (size_t)bytes_of(run, step));
    }
}

static void failed(Run *run, const Step *step, int ret)
{
    g_assert_cmpint(ret, ==, -run->test->fault->err);
    run->seen = true;
    run->lost |= !run->test->fault->once;
    if (step->kind != STEP_FLUSH) {
        adopt(run, step);
    }
}

static void do_step(Run *run, const Step *step)
{
    int tries = run->test->guest == GUEST_RETRIES ? 2 : 1;
    int ret = -1;

    run->since[step - steps] = step->kind != STEP_FLUSH;
    for (int i = 0; i < tries && ret < 0; i++) {
        ret = try_step(run, step);
        check_tail(run);
        if (ret < 0) {
            failed(run, step, ret);
        }
    }
    if (ret == 0) {
        succeeded(run, step);
    } else {
        g_assert_true(run->lost || run->test->guest == GUEST_GOES_ON);
    }
    if (size_of(run) < MIB) {
        check_memory(run);
    }
}

/* Close said that not all of it may be there: then each byte is as it was flushed, or as a later step
 * wanted it */
static void check_no_flushed_byte_is_lost(Run *run)
{
    for (int64_t at = 0; at < size_of(run); at++) {
        bool ok = run->buf[at] == run->safe[at];

        for (int i = 0; i < STEPS && !ok; i++) {
            int64_t offset = offset_of(run, &steps[i]);

            ok = run->since[i] && at >= offset && at < offset + bytes_of(run, &steps[i]) &&
                 run->buf[at] == value_of(&steps[i], at);
        }
        if (!ok) {
            g_error("byte %" PRId64 " is 0x%02x, was flushed as 0x%02x", at, run->buf[at], run->safe[at]);
        }
    }
}

static void check_on_disk(Run *run, int closed)
{
    check_tail(run);
    if (strstr(run->test->image->create, "fixed") == NULL) {
        vhd_assert_sound(&run->medium);
    }
    open_image(run, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    g_assert_null(bdrv_get_warning(run->bs, 0));
    read_all(run);
    if (closed == 0) {
        kit_assert_same(run->buf, run->now, size_of(run), 0);
    } else {
        check_no_flushed_byte_is_lost(run);
    }
}

/* What came of it is still a disk to write to: where nothing was before, nothing shows up */
static void check_goes_on(Run *run)
{
    int64_t offset = size_of(run) - 700;

    memcpy(run->now, run->buf, (size_t)size_of(run));
    memset(run->now + offset, 0x77, 100);
    g_assert_cmpint(bdrv_pwrite(run->bs, offset, run->now + offset, 100, 0), ==, 0);
    check_memory(run);
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    open_image(run, "driver=vpc", 0);
    check_memory(run);
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    vhd_assert_sound(&run->medium);
}

/* Blocks whose bits are partly clear */
static void clear_bits(Run *run, const Medium *medium)
{
    const Image *image = run->test->image;
    GRand *rand = g_rand_new_with_seed(5);
    BlockDriverState *bs = medium_open(medium, "driver=vpc", BDRV_O_RDWR);

    kit_fill(run->now, 0, 3 * image->block, 99);
    g_assert_cmpint(bdrv_pwrite(bs, 0, run->now, 3 * image->block, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_clear_bits(medium, rand, image->start == START_JUNK, run->now, image->size);
    g_rand_free(rand);
}

/* As long as the child */
static char *make_parent(Run *run)
{
    static const char create[] = "driver=vpc,subformat=fixed,file.cache.no-flush=on";
    g_autofree char *options = g_strdup_printf("%s,size=%" PRId64, create, run->test->image->size);

    run->parent = medium_on_file("parent");
    medium_create(&run->parent, options);
    kit_fill(run->now, 0, run->test->image->size, 55);
    medium_write(&run->parent, 0, run->now, run->test->image->size);
    return g_strdup_printf(",backing_file=%s", run->parent.file);
}

static void copy_to_file(const Medium *disk, const char *file)
{
    int64_t size = medium_size(disk);
    g_autofree char *bytes = g_malloc((gsize)size);

    medium_read(disk, 0, bytes, size);
    g_assert_true(g_file_set_contents_full(file, bytes, size, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

/* Made in memory, as creating a file flushes it, and there are thousands of them */
static void make_image(Run *run)
{
    const Image *image = run->test->image;
    g_autofree char *parent = image->child ? make_parent(run) : g_strdup("");
    g_autofree char *options = g_strdup_printf("%s,size=%" PRId64 "%s", image->create, image->size, parent);
    Medium made = medium_on_disk();

    medium_create(&made, options);
    if (image->start != START_EMPTY) {
        clear_bits(run, &made);
    }
    memcpy(run->safe, run->now, (size_t)image->size);
    if (run->medium.file) {
        copy_to_file(&made, run->medium.file);
        medium_clear(&made);
    } else {
        medium_clear(&run->medium);
        run->medium = made;
    }
}

static bool is_half(const Fault *fault)
{
    return !strcmp(fault->iotype, "half-write");
}

static void open_to_fail_half(Run *run, unsigned skip)
{
    Disk *disk = run->medium.disk;

    disk->writes = 0;
    disk->fail_after = skip;
    disk->fail_errno = run->test->fault->err;
    disk->fail_once = run->test->fault->once;
    open_image(run, "driver=vpc", BDRV_O_RDWR);
}

static void open_to_fail(Run *run, unsigned skip)
{
    const Fault *fault = run->test->fault;
    g_autofree char *options = g_strdup_printf(
        "driver=vpc,file.driver=blkdebug,file.inject-error.0.iotype=%s,file.inject-error.0.skip=%u,"
        "file.inject-error.0.errno=%d,file.inject-error.0.once=%s,file.image.cache.no-flush=on",
        fault->iotype, skip, fault->err, fault->once ? "on" : "off");

    open_image(run, options, BDRV_O_RDWR);
}

static bool was_injected(Run *run)
{
    if (run->medium.disk) {
        return run->medium.disk->failed > 0;
    }
    BlockInfo *info = bdrv_get_info(run->bs, NULL);
    bool injected = bdrv_info_find(info, "injected-errors")->number > 0;

    bdrv_info_free(info);
    return injected;
}

static void close_broken(Run *run)
{
    int ret = bdrv_close(run->bs);

    if (run->medium.disk) {
        run->medium.disk->fail_errno = 0;
    }
    check_on_disk(run, ret);
}

static void work(Run *run, unsigned skip)
{
    make_image(run);
    if (is_half(run->test->fault)) {
        open_to_fail_half(run, skip);
    } else {
        open_to_fail(run, skip);
    }
    for (int i = 0; i < STEPS; i++) {
        do_step(run, &steps[i]);
    }
    check_memory(run);
    run->seen |= was_injected(run);
    close_broken(run);
    check_goes_on(run);
}

/* An error that close() met is not seen here, so some more runs are made behind the last that was seen */
static bool fail_after(unsigned skip, const void *data)
{
    static unsigned unseen;
    Run run = { .test = data };

    if (!kit_takes(skip, SHARE, (unsigned)(run.test->fault - faults) + run.test->guest)) {
        return true;
    }

    run.medium = is_half(run.test->fault) ? medium_on_disk() : medium_on_file("image");
    run.now = g_malloc0((gsize)size_of(&run));
    run.safe = g_malloc0((gsize)size_of(&run));
    run.buf = g_malloc0((gsize)size_of(&run));
    work(&run, skip);
    g_assert_true(run.seen || skip > 0);
    unseen = run.seen ? 0 : unseen + 1;
    medium_clear(&run.medium);
    medium_clear(&run.parent);
    g_free(run.now);
    g_free(run.safe);
    g_free(run.buf);
    return unseen < (kit_is_long() ? 10 : 10 / SHARE);
}

static void test_case(const void *data)
{
    kit_each_seed(1000, fail_after, data);
}

static void add_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(faults); j++) {
            if (images[i].block >= MIB && faults[j].err != EIO) {
                continue;       /* as slow as it is unlikely to tell more */
            }
            for (Guest guest = GUEST_RETRIES; guest <= GUEST_GOES_ON; guest++) {
                g_autofree char *path = g_strdup_printf(
                    "/guest-errors/%s/%s-%s-%s-%s", images[i].name, faults[j].iotype,
                    faults[j].err == EIO ? "eio" : "enospc", faults[j].once ? "once" : "for-good",
                    guest == GUEST_RETRIES ? "retry" : "go-on");
                Case *test = g_new(Case, 1);

                *test = (Case) { &images[i], &faults[j], guest };
                g_test_add_data_func_full(path, test, test_case, g_free);
            }
        }
    }
}

/* What a guest's flush costs, in flushes of the storage */
typedef struct Count {
    Medium medium;
    BlockDriverState *bs;
} Count;

static Count count_open(const char *create)
{
    Count count = { .medium = medium_on_disk() };

    medium_create(&count.medium, create);
    count.medium.disk->flushes = 0;
    count.bs = medium_open(&count.medium, "driver=vpc", BDRV_O_RDWR);
    return count;
}

static void count_close(Count *count)
{
    g_assert_cmpint(bdrv_close(count->bs), ==, 0);
    medium_clear(&count->medium);
}

static void write_block(Count *count, int block)
{
    g_assert_cmpint(bdrv_pwrite(count->bs, (int64_t)block * 2 * MIB, "x", 1, 0), ==, 0);
}

/* Of one guest flush; and the count begins anew */
static unsigned flushes(Count *count)
{
    g_assert_cmpint(bdrv_flush(count->bs), ==, 0);
    return count->medium.disk->flushes;
}

static void count_from_here(Count *count)
{
    flushes(count);
    count->medium.disk->flushes = 0;
}

static void test_overwrite_costs_one(void)
{
    Count count = count_open("driver=vpc,size=64M");

    write_block(&count, 0);
    count_from_here(&count);
    write_block(&count, 0);
    g_assert_cmpuint(flushes(&count), ==, 1);
    count_close(&count);
}

static void test_new_block_costs_one(void)
{
    Count count = count_open("driver=vpc,size=64M");

    write_block(&count, 0);
    count_from_here(&count);
    write_block(&count, 1);
    g_assert_cmpuint(flushes(&count), ==, 1);
    count_close(&count);
}

static void test_nothing_written_costs_nothing(void)
{
    Count count = count_open("driver=vpc,size=64M");

    g_assert_cmpuint(flushes(&count), ==, 1);       /* of what others wrote before it was opened */
    g_assert_cmpuint(flushes(&count), ==, 1);
    write_block(&count, 0);
    count_from_here(&count);
    g_assert_cmpuint(flushes(&count), ==, 0);
    count_close(&count);
}

static void test_reading_costs_nothing(void)
{
    Count count = count_open("driver=vpc,size=64M");
    char byte;

    write_block(&count, 0);
    count_from_here(&count);
    g_assert_cmpint(bdrv_pread(count.bs, 0, &byte, 1, 0), ==, 0);
    g_assert_cmpuint(flushes(&count), ==, 0);
    count_close(&count);
}

/* The first one that works after it has to reach the storage */
static void test_failed_flush_does_not_count(void)
{
    Count count = count_open("driver=vpc,size=64M");

    write_block(&count, 0);
    count_from_here(&count);
    write_block(&count, 0);
    count.medium.disk->flush_errno = EIO;
    g_assert_cmpint(bdrv_flush(count.bs), ==, -EIO);
    count.medium.disk->flush_errno = 0;
    g_assert_cmpuint(flushes(&count), ==, 2);
    count_close(&count);
}

static void test_only_reservations_flush(void)
{
    Count count = count_open("driver=vpc,size=1G");

    count_from_here(&count);
    for (int i = 0; i < 100; i++) {
        write_block(&count, i);
    }
    g_test_message("100 allocating writes: %u flushes", count.medium.disk->flushes);
    g_assert_cmpuint(count.medium.disk->flushes, <=, 12);
    count_close(&count);
}

/* A footer further out was written, but not made durable, nor could the file be cut again: later ones are to replace
 * that, as it is the one that others find */
static void test_uncut_footer(void)
{
    Medium base = medium_on_file("base"), image = medium_on_file("image");

    medium_create(&base, "driver=raw,size=64k");
    medium_create(&image, "driver=vpc,block_size=4k,backing_file=base,backing_fmt=raw");
    BlockDriverState *bs = medium_open(&image, "driver=vpc,backing.driver=raw,file.driver=blkdebug,"
                                       "file.inject-error.0.iotype=truncate,file.inject-error.1.iotype=flush,"
                                       "file.inject-error.1.once=on", BDRV_O_RDWR);

    g_assert_cmpint(bdrv_pwrite(bs, 0, "x", 1, 0), ==, -EIO);
    g_assert_true(bdrv_rebase(bs, NULL, NULL, NULL));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    bs = medium_open(&image, "driver=vpc", 0);
    g_assert_null(bdrv_get_backing(bs));
    g_assert_cmpstr(bdrv_get_warning(bs, 0), ==, NULL);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&base);
    medium_clear(&image);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    add_cases();
    g_test_add_func("/uncut-footer", test_uncut_footer);
    g_test_add_func("/flushes/overwrite-costs-one", test_overwrite_costs_one);
    g_test_add_func("/flushes/new-block-costs-one", test_new_block_costs_one);
    g_test_add_func("/flushes/nothing-written-costs-nothing", test_nothing_written_costs_nothing);
    g_test_add_func("/flushes/reading-costs-nothing", test_reading_costs_nothing);
    g_test_add_func("/flushes/failed-does-not-count", test_failed_flush_does_not_count);
    g_test_add_func("/flushes/only-reservations-flush", test_only_reservations_flush);
    return kit_run();
}
