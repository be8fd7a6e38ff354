/* threads.c - eight threads in one image: what each wrote is there, and nobody sees half a thing */
/* SPDX-License-Identifier: MIT
 *
 * Most of the disk is dealt out in stripes: each thread writes to its own and must read back exactly that,
 * whatever the neighbours do in the same sector. The first sectors belong to all: they are written whole,
 * with stamps that tell who wrote them, where, and when.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SECTOR = 512, THREADS = 8, SHARED = 64, SHARED_BYTES = SHARED * SECTOR,
       MAX_PARENTS = 6 };

typedef enum Bits { BITS_SET, BITS_JUNK } Bits;

typedef struct Config {
    const char *name;
    const char *create;
    const char *options;
    int64_t size;
    int64_t stripe;             /* odd, so that neighbours share sectors, blocks and units */
    unsigned seeds, ops;
    unsigned flags;
    Bits bits;
    bool on_disk;
    int parents;                /* disks with holes, one below the other */
} Config;

static const Config configs[] = {
    { "4k", "driver=vpc,block_size=4k", "driver=vpc", 2 * MIB, 7 * SECTOR, 3, 400 },
    { "4k/bytes", "driver=vpc,block_size=4k", "driver=vpc", MIB, 1801, 3, 400 },
    { "2m", "driver=vpc,block_size=2M", "driver=vpc", 20 * MIB, 129 * SECTOR, 2, 400 },
    { "2m/bytes", "driver=vpc,block_size=2M", "driver=vpc", 9 * MIB, 65537, 2, 400 },
    { "junk", "driver=vpc,block_size=64k", "driver=vpc", MIB, 3 * SECTOR, 3, 400, .bits = BITS_JUNK },
    { "junk/bytes", "driver=vpc,block_size=64k", "driver=vpc", 512 * KIB, 333, 4, 600, .bits = BITS_JUNK },
    { "tiny-cache", "driver=vpc,block_size=512", "driver=vpc,metadata-cache-size=4k", 10 * MIB, 50001, 2, 300 },
    { "fixed", "driver=vpc,subformat=fixed", "driver=vpc", MIB, 1801, 2, 400 },
    { "raw", "driver=raw", "driver=raw", MIB, 1801, 2, 400 },
    { "direct", "driver=vpc,block_size=4k", "driver=vpc", MIB, 1801, 2, 250, .flags = BDRV_O_NOCACHE },
    { "direct/junk", "driver=vpc,block_size=64k", "driver=vpc", 512 * KIB, 333, 2, 250, .flags = BDRV_O_NOCACHE,
      .bits = BITS_JUNK },
    { "aligned", "driver=vpc,block_size=64k", "driver=vpc,file.driver=blkdebug,file.align=4096", 512 * KIB, 777, 2,
      250, .bits = BITS_JUNK },
    { "aligned/fixed", "driver=vpc,subformat=fixed", "driver=vpc,file.driver=blkdebug,file.align=4096",
      SHARED_BYTES + 2 * THREADS * 777 + 368, 777, 2, 250 },  /* stripes share the last unit with the footer */
    { "storage", "driver=vpc,block_size=4k", "driver=vpc", MIB, 1801, 2, 400, .on_disk = true },
    { "child/512", "driver=vpc,block_size=512", "driver=vpc", 512 * KIB, 1801, 3, 400, .parents = 1 },
    { "child/4k", "driver=vpc,block_size=64k", "driver=vpc", SHARED_BYTES + 20 * THREADS * 8 * SECTOR, 8 * SECTOR, 4,
      400, .parents = 1 },
    { "child/bytes", "driver=vpc,block_size=16k", "driver=vpc", MIB, 1801, 3, 400, .parents = 1 },
    { "child/2m", "driver=vpc,block_size=2M", "driver=vpc", 9 * MIB, 65537, 2, 300, .parents = 1 },
    { "child/tiny-cache", "driver=vpc,block_size=4k", "driver=vpc,metadata-cache-size=4k", 4 * MIB, 20001, 2, 300,
      .parents = 1 },
    { "child/direct", "driver=vpc,block_size=16k", "driver=vpc", MIB, 1801, 2, 250, .flags = BDRV_O_NOCACHE,
      .parents = 1 },
    { "child/aligned", "driver=vpc,block_size=16k", "driver=vpc,file.driver=blkdebug,file.align=4096", 512 * KIB, 777,
      2, 250, .parents = 1 },
    { "child/deep", "driver=vpc,block_size=64k", "driver=vpc", 4 * MIB, 20001, 3, 400, .parents = 6 },
    { "child/deep-tiny-cache", "driver=vpc,block_size=64k", "driver=vpc,metadata-cache-size=64", 4 * MIB, 20001, 3, 300,
      .parents = 6 },
};

typedef struct Team {
    const Config *config;
    Medium parents[MAX_PARENTS];
    BlockDriverState *bs;
    uint8_t *twin;              /* each byte belongs to the thread of its stripe */
} Team;

typedef struct Member {
    Team *team;
    int number;
    GRand *rand;
    pthread_t thread;
    uint8_t *buf;
    uint32_t stamps;            /* how many this thread has given out */
    uint64_t last[SHARED];      /* what it last wrote to each shared sector; NOTHING: never */
} Member;

#define NOTHING UINT64_MAX

static int64_t below(Member *m, int64_t n)
{
    return (int64_t)(g_rand_double(m->rand) * (double)n);
}

/* A stretch of one of this thread's stripes */
static int64_t pick_own(Member *m, int64_t *bytes)
{
    const Config *config = m->team->config;
    int64_t rounds = (config->size - SHARED_BYTES) / (config->stripe * THREADS);
    int64_t start = SHARED_BYTES + (below(m, rounds) * THREADS + m->number) * config->stripe;
    int64_t skip = below(m, 2) ? 0 : below(m, config->stripe);

    *bytes = below(m, 2) ? config->stripe - skip : 1 + below(m, config->stripe - skip);
    return start + skip;
}

static void write_own(Member *m)
{
    int64_t bytes, offset = pick_own(m, &bytes);

    kit_fill(m->team->twin + offset, offset, bytes, g_rand_int(m->rand));
    g_assert_cmpint(bdrv_pwrite(m->team->bs, offset, m->team->twin + offset, bytes, 0), ==, 0);
}

static void zero_own(Member *m)
{
    int64_t bytes, offset = pick_own(m, &bytes);
    unsigned flags = below(m, 2) ? BDRV_REQ_MAY_UNMAP : 0;

    memset(m->team->twin + offset, 0, (size_t)bytes);
    g_assert_cmpint(bdrv_pwrite_zeroes(m->team->bs, offset, bytes, flags), ==, 0);
}

static void read_own(Member *m)
{
    int64_t bytes, offset = pick_own(m, &bytes);

    g_assert_cmpint(bdrv_pread(m->team->bs, offset, m->buf, bytes, 0), ==, 0);
    kit_assert_same(m->buf, m->team->twin + offset, bytes, offset);
}

static void ask_status(Member *m)
{
    int64_t bytes, offset = pick_own(m, &bytes);
    BlockStatus st;

    g_assert_cmpint(bdrv_block_status(m->team->bs, offset, bytes, below(m, 2) ? BDRV_STATUS_WANT_ZERO : 0, &st),
                    ==, 0);
    g_assert_cmpint(st.bytes, >, 0);
    if (st.zero) {
        g_assert_true(kit_is_zero(m->team->twin + offset, st.bytes));
    }
}

static uint64_t stamp_of(Member *m, int sector)
{
    return (uint64_t)(++m->stamps) << 16 | (uint64_t)sector << 8 | (uint64_t)(m->number + 1);
}

static bool may_be_in(uint64_t word, int sector)
{
    return word == 0 || ((word >> 8 & 0xff) == (uint64_t)sector && (word & 0xff) >= 1 && (word & 0xff) <= THREADS &&
                         word >> 16 > 0 && word >> 16 < 1 << 20);
}

/* Some whole sectors, in one request */
static void write_shared(Member *m)
{
    int first = (int)below(m, SHARED), count = 1 + (int)below(m, MIN(8, SHARED - first));
    uint64_t *words = (uint64_t *)(void *)m->buf;

    for (int i = 0; i < count; i++) {
        m->last[first + i] = stamp_of(m, first + i);
        for (int j = 0; j < SECTOR / 8; j++) {
            *words++ = m->last[first + i];
        }
    }
    g_assert_cmpint(bdrv_pwrite(m->team->bs, first * SECTOR, m->buf, count * SECTOR, 0), ==, 0);
}

static void zero_shared(Member *m)
{
    int sector = (int)below(m, SHARED);

    m->last[sector] = 0;
    g_assert_cmpint(bdrv_pwrite_zeroes(m->team->bs, sector * SECTOR, SECTOR, 0), ==, 0);
}

/* The host may copy a page to us while it copies somebody else's bytes into it, but a word is a word */
static void read_shared(Member *m)
{
    const uint64_t *words = (const uint64_t *)(const void *)m->buf;

    g_assert_cmpint(bdrv_pread(m->team->bs, 0, m->buf, SHARED_BYTES, 0), ==, 0);
    for (int i = 0; i < SHARED_BYTES / 8; i++) {
        if (!may_be_in(words[i], i * 8 / SECTOR)) {
            g_error("shared sector %d has 0x%016" PRIx64 ", which nobody wrote there", i * 8 / SECTOR, words[i]);
        }
    }
}

static void flush(Member *m)
{
    g_assert_cmpint(bdrv_flush(m->team->bs), ==, 0);
}

static void *work(void *data)
{
    static void (*const things[])(Member *) = {
        write_own, write_own, write_own, write_own, write_own, write_own, zero_own, zero_own, read_own, read_own,
        read_own, read_own, ask_status, write_shared, write_shared, zero_shared, read_shared,
    };
    Member *m = data;

    for (unsigned i = 0; i < m->team->config->ops; i++) {
        if (below(m, 60) == 0) {
            flush(m);
        } else {
            things[below(m, G_N_ELEMENTS(things))](m);
        }
    }
    return NULL;
}

/* One thread's last write to a sector is what is there, as no earlier one can be */
static bool somebody_wrote_last(const Member *members, int sector, uint64_t word)
{
    bool nobody = true;

    for (int i = 0; i < THREADS; i++) {
        if (members[i].last[sector] == word) {
            return true;
        }
        nobody = nobody && members[i].last[sector] == NOTHING;
    }
    return nobody && word == 0;
}

static void check_shared(const Member *members, const uint8_t *got)
{
    for (int sector = 0; sector < SHARED; sector++) {
        uint64_t words[SECTOR / 8];

        memcpy(words, got + sector * SECTOR, SECTOR);
        g_assert_true(somebody_wrote_last(members, sector, words[0]));
        g_assert_cmpmem(words, SECTOR - 8, words + 1, SECTOR - 8);
    }
}

static void check_all(Team *team, const Member *members)
{
    int64_t size = team->config->size;
    g_autofree uint8_t *got = g_malloc((gsize)size);

    g_assert_cmpint(bdrv_pread(team->bs, 0, got, size, 0), ==, 0);
    check_shared(members, got);
    kit_assert_same(got + SHARED_BYTES, team->twin + SHARED_BYTES, size - SHARED_BYTES, SHARED_BYTES);
}

static void run_members(Team *team, Member *members, unsigned seed)
{
    for (int i = 0; i < THREADS; i++) {
        members[i] = (Member) { team, i, g_rand_new_with_seed(seed * THREADS + (unsigned)i + 1) };
        members[i].buf = g_malloc((gsize)MAX(team->config->stripe, SHARED_BYTES));
        memset(members[i].last, 0xff, sizeof(members[i].last));
    }
    for (int i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_create(&members[i].thread, NULL, work, &members[i]), ==, 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(members[i].thread, NULL);
        g_rand_free(members[i].rand);
        g_free(members[i].buf);
    }
}

/* Blocks with junk under clear bits; the shared sectors are left empty */
static void spread_junk(const Medium *medium, Team *team)
{
    BlockDriverState *bs = medium_open(medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    GRand *rand = g_rand_new_with_seed(7);
    int64_t bytes = team->config->size - SHARED_BYTES;

    kit_fill(team->twin + SHARED_BYTES, SHARED_BYTES, bytes, 77);
    g_assert_cmpint(bdrv_pwrite(bs, SHARED_BYTES, team->twin + SHARED_BYTES, bytes, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_clear_bits(medium, rand, true, team->twin, team->config->size);
    g_rand_free(rand);
}

/* Of a lone parent every other piece is there, of several each has some that the others do not have; the shared
 * sectors are in none */
static void write_parent(Team *team, int index)
{
    enum { PIECE = 5000 };
    int64_t step = team->config->parents == 1 ? 2 * PIECE : 50 * PIECE, size = team->config->size;
    BlockDriverState *bs = medium_open(&team->parents[index], "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    for (int64_t at = SHARED_BYTES + index * 7 * PIECE; at < size; at += step) {
        int64_t bytes = MIN(PIECE, size - at);

        kit_fill(team->twin + at, at, bytes, 55 + (unsigned)index);
        g_assert_cmpint(bdrv_pwrite(bs, at, team->twin + at, bytes, 0), ==, 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* What an image has to be created with to have the first @count of them for parents */
static char *backing_option(int count)
{
    return count > 0 ? g_strdup_printf(",backing_file=parent-%d", count - 1) : g_strdup("");
}

static void make_parents(Team *team)
{
    for (int i = 0; i < team->config->parents; i++) {
        g_autofree char *name = g_strdup_printf("parent-%d", i), *backing = backing_option(i);
        g_autofree char *create = g_strdup_printf("driver=vpc,block_size=4k,size=%" PRId64 "%s", team->config->size,
                                                  backing);

        team->parents[i] = medium_on_file(name);
        medium_create(&team->parents[i], create);
        write_parent(team, i);
    }
}

static void make_image(const Medium *medium, Team *team)
{
    g_autofree char *backing = backing_option(team->config->parents);
    g_autofree char *create = g_strdup_printf("%s,size=%" PRId64 "%s", team->config->create, team->config->size,
                                              backing);

    make_parents(team);
    medium_create(medium, create);
    if (team->config->bits == BITS_JUNK) {
        spread_junk(medium, team);
    }
}

static bool run_team(unsigned seed, const void *data)
{
    Team team = { .config = data };
    Medium medium = team.config->on_disk ? medium_on_disk() : medium_on_file("image");
    Member members[THREADS];
    unsigned flags = BDRV_O_RDWR | BDRV_O_UNMAP | team.config->flags;

    team.twin = g_malloc0((gsize)team.config->size);
    make_image(&medium, &team);
    team.bs = medium_open(&medium, team.config->options, flags);
    run_members(&team, members, seed);
    check_all(&team, members);
    g_assert_cmpint(bdrv_close(team.bs), ==, 0);
    if (strstr(team.config->create, "vpc")) {
        vhd_assert_sound(&medium);
    }
    team.bs = medium_open(&medium, team.config->options, 0);
    check_all(&team, members);
    g_assert_cmpint(bdrv_close(team.bs), ==, 0);
    medium_clear(&medium);
    for (int i = 0; i < team.config->parents; i++) {
        medium_clear(&team.parents[i]);
    }
    g_free(team.twin);
    return true;
}

static void test_config(const void *data)
{
    const Config *config = data;

    if ((config->flags & BDRV_O_NOCACHE) && !medium_has_direct()) {
        g_test_skip("the file system of the scratch folder has no O_DIRECT, set MINIBLK_TEST_DIR to another");
        return;
    }
    kit_each_seed(config->seeds, run_team, config);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
        g_autofree char *path = g_strdup_printf("/threads/%s", configs[i].name);

        g_test_add_data_func(path, &configs[i], test_config);
    }
    return kit_run();
}
