/* chain.c - random reads of 4 KiB through chains of differencing disks, as deep as 32: chain FOLDER [ROUNDS] */
/* SPDX-License-Identifier: MIT
 *
 * All is warm: the files are in the page cache, their tables in memory. Times are CPU times, because no read waits.
 * Each round runs all depths in turn, so that other work of the machine slows all of them; the ratio to depth 1 is
 * computed for each round.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <miniblk/block.h>

enum { KIB = 1 << 10, MIB = 1 << 20, SECTOR = 512, BLOCK = 2 * MIB, READ = 4 * KIB, READS = 50000, ROUNDS = 21,
       MAX_ROUNDS = 999, DEEPEST = 32 };
#define GIB ((int64_t)1 << 30)

static const int depths[] = { 1, 0, 2, 8, DEEPEST };    /* the others are compared with the first */
enum { DEPTHS = sizeof(depths) / sizeof(depths[0]) };

typedef struct Shape {
    const char *name;
    int64_t size;
    void (*write_base)(BlockDriverState *bs), (*write_child)(BlockDriverState *bs);
} Shape;

typedef struct Chain {
    BlockDriverState *bs;
    double seconds[MAX_ROUNDS];     /* of one read */
} Chain;

static uint64_t seed = 1;

/* Return a random number of [0, @n), by xorshift64 */
static int64_t below(int64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (int64_t)(seed % (uint64_t)n);
}

static void must(bool ok, const char *what, GError *err)
{
    if (!ok) {
        fprintf(stderr, "chain: %s: %s\n", what, err ? bdrv_error_message(err) : "failed");
        exit(1);
    }
}

static void write_some(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    static uint8_t data[MIB];

    memset(data, 1 + (int)below(255), (size_t)bytes);
    must(bdrv_pwrite(bs, offset, data, bytes, 0) == 0, "write", NULL);
}

static void write_all(BlockDriverState *bs)
{
    for (int64_t at = 0; at < bdrv_getlength(bs); at += MIB) {
        write_some(bs, at, MIB);
    }
}

/* Write one sector to each block: the block exists, and most of it takes no memory of the host */
static void write_blocks(BlockDriverState *bs)
{
    for (int64_t at = 0; at < bdrv_getlength(bs); at += BLOCK) {
        write_some(bs, at, SECTOR);
    }
}

static void write_sectors(BlockDriverState *bs)
{
    for (int i = 0; i < 128; i++) {
        write_some(bs, below(bdrv_getlength(bs) / SECTOR) * SECTOR, SECTOR);
    }
}

static void write_pages(BlockDriverState *bs)
{
    for (int64_t at = 0; at < bdrv_getlength(bs); at += BLOCK) {
        if (below(8)) {
            write_some(bs, at + below(BLOCK / READ) * READ, READ);
        }
    }
}

static void write_often(BlockDriverState *bs)
{
    for (int64_t at = 0; at < bdrv_getlength(bs); at += 128 * KIB) {
        write_some(bs, at + below(128 * KIB / READ) * READ, READ);
    }
}

/* Return the name of the file of a level, in the current folder. Level 0 is the base */
static const char *name_of(int level)
{
    static char name[32];

    snprintf(name, sizeof(name), "level-%d.vhd", level);
    return name;
}

static BlockDriverState *open_level(int level, unsigned flags)
{
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(name_of(level), "driver=vpc", flags, &err);

    must(bs, name_of(level), err);
    return bs;
}

static void make_level(const Shape *shape, int level)
{
    char options[128];
    GError *err = NULL;

    snprintf(options, sizeof(options), "driver=vpc,size=%lld", (long long)shape->size);
    if (level > 0) {
        snprintf(options, sizeof(options), "driver=vpc,backing_file=%s", name_of(level - 1));
    }
    must(bdrv_create(name_of(level), options, &err), name_of(level), err);
    BlockDriverState *bs = open_level(level, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    level > 0 ? shape->write_child(bs) : shape->write_base(bs);
    must(bdrv_close(bs) == 0, name_of(level), NULL);
}

/* Read everything once, so that the tables and shortcuts are in memory */
static void warm(BlockDriverState *bs)
{
    int64_t size = bdrv_getlength(bs);
    uint8_t data[READ];

    for (int64_t at = 0; at + READ <= size; at += size / (128 * KIB)) {
        must(bdrv_pread(bs, at, data, READ, 0) == 0, "read", NULL);
    }
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double measure(BlockDriverState *bs)
{
    uint8_t data[READ];
    int64_t pages = bdrv_getlength(bs) / READ;
    double start = now();

    for (int i = 0; i < READS; i++) {
        must(bdrv_pread(bs, below(pages) * READ, data, READ, 0) == 0, "read", NULL);
    }
    return (now() - start) / READS;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static void report(const Shape *shape, Chain *chains, int rounds)
{
    for (int i = 0; i < DEPTHS; i++) {
        double seconds[MAX_ROUNDS], ratios[MAX_ROUNDS];

        for (int round = 0; round < rounds; round++) {
            seconds[round] = chains[i].seconds[round];
            ratios[round] = seconds[round] / chains[0].seconds[round];
        }
        qsort(seconds, (size_t)rounds, sizeof(double), by_size);
        qsort(ratios, (size_t)rounds, sizeof(double), by_size);
        printf("| chain-%s, depth %d | %.2f (%.2f-%.2f) | %.2f |\n", shape->name, depths[i], ratios[rounds / 2],
               ratios[0], ratios[rounds - 1], seconds[rounds / 2] * 1e6);
    }
    fflush(stdout);
}

static void run(const Shape *shape, int rounds)
{
    static Chain chains[DEPTHS];

    for (int level = 0; level <= DEEPEST; level++) {
        make_level(shape, level);
    }
    for (int i = 0; i < DEPTHS; i++) {
        chains[i].bs = open_level(depths[i], 0);
        warm(chains[i].bs);
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < DEPTHS; i++) {
            chains[i].seconds[round] = measure(chains[i].bs);
        }
    }
    report(shape, chains, rounds);
    for (int i = 0; i < DEPTHS; i++) {
        bdrv_close(chains[i].bs);
    }
    for (int level = 0; level <= DEEPEST; level++) {
        unlink(name_of(level));
    }
}

/* A second thread, because libc's locks are cheaper in programs that have only one */
static void *idle(void *unused)
{
    for (;;) {
        pause();
    }
    return unused;
}

int main(int argc, char **argv)
{
    static const Shape shapes[] = {
        { "sectors", 256 * MIB, write_all, write_sectors }, /* 128 sectors in each child */
        { "pages", 256 * MIB, write_all, write_pages },     /* pages in seven of eight blocks: every bitmap is used */
        { "often", 256 * MIB, write_all, write_often },     /* in each 128 KiB: most pages are in some child */
        { "wide", 64 * GIB, write_blocks, write_sectors },
    };
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    char folder[] = "chain-XXXXXX";
    pthread_t thread;

    if (argc < 2 || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: chain FOLDER [ROUNDS]\n");
        return 1;
    }
    must(pthread_create(&thread, NULL, idle, NULL) == 0, "thread", NULL);
    must(chdir(argv[1]) == 0 && mkdtemp(folder) && chdir(folder) == 0, argv[1], NULL);
    printf("| workload | CPU, to depth 1 | microseconds |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        run(&shapes[i], rounds);
    }
    must(chdir("..") == 0 && rmdir(folder) == 0, folder, NULL);
    return 0;
}
