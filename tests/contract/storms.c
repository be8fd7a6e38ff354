/* storms.c - threads write while the disk fails, some requests in a row, and then works again */
/* SPDX-License-Identifier: MIT
 *
 * Each thread has chunks of its own, in blocks that it shares with the others: new blocks are made by whoever comes first.
 * A sector has the value of the last write that was reported done, or of one that failed after it. That is looked at
 * while the storm goes on, when it is over, and after the image was opened again.
 */
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include "kit.h"
#include "medium.h"

enum { SECTOR = 512, SECTORS = 2048, CHUNK = 8, CHUNKS = SECTORS / CHUNK, THREADS = 4, STORMS = 30, MOST_ERRORS = 6 };

typedef struct Kind {
    const char *name, *create;
    bool child, fixed_length;
} Kind;

static const Kind kinds[] = {
    { "fixed", "subformat=fixed" },
    { "dynamic-4k", "block_size=4k" },
    { "dynamic-64k", "block_size=64k" },
    { "dynamic-on-a-device", "block_size=16k", .fixed_length = true },
    { "child", "block_size=16k", .child = true },
};

/* What a sector may hold */
typedef struct Sector {
    uint8_t sure;               /* of the last write that was reported done */
    bool may[256];              /* and of those that failed after it */
} Sector;

typedef struct Sky {
    BlockDriverState *bs;
    Sector sectors[SECTORS];    /* each is its thread's */
    int over;                   /* atomic: nothing fails any more */
    uint64_t failed;            /* atomic: requests */
} Sky;

typedef struct Sailor {
    Sky *sky;
    unsigned number;
    GRand *rand;
    pthread_t thread;
} Sailor;

static void check_sectors(Sky *sky, int64_t first, int count)
{
    uint8_t got[CHUNK * SECTOR];

    if (bdrv_pread(sky->bs, first * SECTOR, got, count * SECTOR, 0) < 0) {
        g_assert_false(__atomic_load_n(&sky->over, __ATOMIC_RELAXED));      /* storage that fails to write can be read */
        return;
    }
    for (int i = 0; i < count; i++) {
        const Sector *s = &sky->sectors[first + i];
        uint8_t value = got[i * SECTOR];

        for (int j = 1; j < SECTOR; j++) {
            g_assert_cmpuint(got[i * SECTOR + j], ==, value);
        }
        if (value != s->sure && !s->may[value]) {
            g_error("sector %" PRId64 " has %u, should have %u", first + i, value, s->sure);
        }
    }
}

static void write_sectors(Sailor *sailor, int64_t first, int count)
{
    Sky *sky = sailor->sky;
    uint8_t buf[CHUNK * SECTOR], value = (uint8_t)g_rand_int_range(sailor->rand, 1, 256);

    memset(buf, value, sizeof(buf));
    bool done = bdrv_pwrite(sky->bs, first * SECTOR, buf, count * SECTOR, 0) == 0;

    for (int64_t i = first; i < first + count; i++) {
        Sector *s = &sky->sectors[i];

        if (done) {
            *s = (Sector) { .sure = value };
        } else {
            s->may[value] = true;
        }
    }
    if (!done) {
        __atomic_add_fetch(&sky->failed, 1, __ATOMIC_RELAXED);
    }
}

static void *sail(void *user)
{
    Sailor *sailor = user;
    Sky *sky = sailor->sky;
    int after = 50;             /* requests when it is over: life goes on */

    while (after > 0) {
        int64_t chunk = g_rand_int_range(sailor->rand, 0, CHUNKS / THREADS) * THREADS + sailor->number;
        int in = g_rand_int_range(sailor->rand, 0, CHUNK), count = g_rand_int_range(sailor->rand, 1, CHUNK - in + 1);

        switch (g_rand_int_range(sailor->rand, 0, 8)) {
        case 0:
            (void)bdrv_flush(sky->bs);
            break;
        case 1:
        case 2:
            check_sectors(sky, chunk * CHUNK + in, count);
            break;
        default:
            write_sectors(sailor, chunk * CHUNK + in, count);
        }
        after -= __atomic_load_n(&sky->over, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* Some requests in a row fail, a few requests from now; it is over when they have, or nothing comes any more */
static void let_storm(Disk *disk, GRand *rand)
{
    bool over = false;

    pthread_mutex_lock(&disk->lock);
    disk->run_after = disk->changes + (unsigned)g_rand_int_range(rand, 0, 20);
    disk->run = (unsigned)g_rand_int_range(rand, 1, MOST_ERRORS + 1);
    pthread_mutex_unlock(&disk->lock);
    for (int i = 0; i < 200 && !over; i++) {
        g_usleep(200);
        pthread_mutex_lock(&disk->lock);
        over = disk->changes >= disk->run_after + disk->run;
        pthread_mutex_unlock(&disk->lock);
    }
    pthread_mutex_lock(&disk->lock);
    disk->run = 0;
    pthread_mutex_unlock(&disk->lock);
}

static void end_well(Sky *sky, const Kind *kind)
{
    int ret = -1;

    for (int i = 0; i < 3 && ret < 0; i++) {        /* one of them may have to say what failed before */
        ret = bdrv_flush(sky->bs);
    }
    g_assert_cmpint(ret, ==, 0);
    for (int64_t i = 0; i < SECTORS; i += CHUNK) {
        check_sectors(sky, i, CHUNK);
    }
    g_assert_cmpint(bdrv_close(sky->bs), ==, 0);
}

static bool run_seed(unsigned seed, const void *data)
{
    const Kind *kind = data;
    g_autofree Sky *sky = g_new0(Sky, 1);
    Medium medium = medium_on_disk(), parent = medium_on_file("parent.vhd");
    Sailor sailors[THREADS];
    GRand *rand = g_rand_new_with_seed(seed);
    g_autofree char *beside = kind->child ? g_strdup_printf(",backing_file=%s", parent.file) : NULL;
    g_autofree char *create = g_strdup_printf("driver=vpc,force_size=on,size=%d,%s%s", SECTORS * SECTOR, kind->create,
                                              beside ? beside : "");

    medium_create(&parent, "driver=vpc,force_size=on,size=1M");
    if (kind->fixed_length) {
        disk_truncate(medium.disk, 8 << 20);
        medium.disk->fixed_length = true;
    }
    medium_create(&medium, create);
    sky->bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);
    for (unsigned i = 0; i < THREADS; i++) {
        sailors[i] = (Sailor) { sky, i, g_rand_new_with_seed(seed * THREADS + i) };
        g_assert_cmpint(pthread_create(&sailors[i].thread, NULL, sail, &sailors[i]), ==, 0);
    }
    for (int i = 0; i < STORMS; i++) {
        let_storm(medium.disk, rand);
    }
    __atomic_store_n(&sky->over, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(sailors[i].thread, NULL);
        g_rand_free(sailors[i].rand);
    }
    end_well(sky, kind);
    g_assert_cmpuint(medium.disk->run_failed, >, STORMS);
    sky->bs = medium_open(&medium, "driver=vpc", 0);
    g_assert_null(bdrv_get_warning(sky->bs, 0));
    for (int64_t i = 0; i < SECTORS; i += CHUNK) {
        check_sectors(sky, i, CHUNK);
    }
    bdrv_close(sky->bs);
    g_test_message("%u requests of the disk failed, and %" PRIu64 " of the threads", medium.disk->run_failed, sky->failed);
    g_rand_free(rand);
    medium_clear(&medium);
    medium_clear(&parent);
    return true;
}

static void test_kind(const void *data)
{
    kit_each_seed(6, run_seed, data);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/storms/%s", kinds[i].name);

        g_test_add_data_func(path, &kinds[i], test_kind);
    }
    return kit_run();
}
