/* resize.c - disks made longer and shorter: what is in them, what is kept, what is refused */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "util/be.h"
#include "vhd.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SECTOR = 512, MOST = 3 * MIB, OPS = 60 };

typedef struct Kind {
    const char *name, *create;
    int64_t block;              /* 0: fixed */
    int64_t parent;             /* its length; 0: none */
    bool rounds;                /* sizes are what a geometry, or Xen, can say */
} Kind;

static const Kind kinds[] = {
    { "fixed", "subformat=fixed", 0 },
    { "fixed-for-virtualpc", "subformat=fixed,for=virtualpc", 0, .rounds = true },
    { "dynamic-512", "block_size=512", 512 },
    { "dynamic-4k", "block_size=4k", 4 * KIB },
    { "dynamic-16k", "block_size=16k", 16 * KIB },
    { "dynamic-for-virtualpc", "block_size=4k,for=virtualpc", 4 * KIB, .rounds = true },
    { "dynamic-2m", "", 2 * MIB },
    { "xen-16k", "for=xen,block_size=16k", 16 * KIB, .rounds = true },
    { "child-of-shorter", "block_size=4k", 4 * KIB, 100 * KIB },
    { "child-of-longer", "block_size=4k", 4 * KIB, 2 * MIB },
    { "child-of-longer-512", "block_size=512", 512, 700 * KIB },
};

typedef struct Run {
    const Kind *kind;
    GRand *rand;
    Medium medium, parent;
    BlockDriverState *bs;
    uint8_t twin[MOST], got[MOST];
    int64_t size;
    unsigned stamp;
    bool uncut;                 /* whatever lies below never makes a file shorter */
} Run;

static int64_t below(Run *run, int64_t n)
{
    return (int64_t)(g_rand_double(run->rand) * (double)n);
}

static void open_run(Run *run)
{
    const char *uncut = "driver=vpc,file.driver=blkdebug,file.inject-error.0.iotype=truncate";

    run->bs = medium_open(&run->medium, run->uncut ? uncut : "driver=vpc", BDRV_O_RDWR | BDRV_O_UNMAP);
    g_assert_cmpint(bdrv_getlength(run->bs), ==, run->size);
}

static void make_parent(Run *run)
{
    g_autofree char *options = g_strdup_printf("driver=vpc,block_size=4k,size=%" PRId64, run->kind->parent);
    g_autofree uint8_t *bytes = g_malloc((gsize)run->kind->parent);

    run->parent = medium_on_file("parent");
    medium_create(&run->parent, options);
    kit_fill(bytes, 0, run->kind->parent, 7);
    BlockDriverState *bs = medium_open(&run->parent, "driver=vpc", BDRV_O_RDWR);
    g_assert_cmpint(bdrv_pwrite(bs, 0, bytes, run->kind->parent, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    memcpy(run->twin, bytes, (size_t)MIN(run->size, run->kind->parent));
}

static void set_up(Run *run, const Kind *kind, int64_t size)
{
    run->kind = kind;
    run->medium = medium_on_file(kind->name);
    run->size = size;
    if (kind->parent) {
        make_parent(run);
    }
    g_autofree char *name = kind->parent ? g_path_get_basename(run->parent.file) : NULL;
    g_autofree char *options = g_strdup_printf("driver=vpc,size=%" PRId64 "%s%s%s%s", size, *kind->create ? "," : "",
                                               kind->create, name ? ",backing_file=" : "", name ? name : "");
    medium_create(&run->medium, options);
    run->bs = medium_open(&run->medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_UNMAP);
    run->size = bdrv_getlength(run->bs);
}

static void check_all(Run *run)
{
    g_assert_cmpint(bdrv_pread(run->bs, 0, run->got, run->size, 0), ==, 0);
    kit_assert_same(run->got, run->twin, run->size, 0);
}

/* Nothing lost, no space wasted, but for a child's block of which what is left are sectors of the parent (S3), and what
 * could not be cut off */
static bool is_fault(const Run *run, const BlockFinding *f)
{
    return f->level >= BLOCK_CHECK_CORRUPTION || (f->level == BLOCK_CHECK_LEAK && !run->uncut && strcmp(f->code, "S3"));
}

/* By our own check, too */
static void check_file(Run *run)
{
    BlockDriverState *bs = medium_open(&run->medium, "driver=vpc", BDRV_O_CHECK);
    GError *err = NULL;
    BlockCheck *found = bdrv_check(bs, 0, &err);

    g_assert_no_error(err);
    for (int i = 0; i < found->count; i++) {
        if (is_fault(run, &found->findings[i])) {
            g_error("%s: %s", found->findings[i].code, found->findings[i].cases[0].text);
        }
        g_assert_true(run->uncut || strcmp(found->findings[i].code, "H4"));     /* as many entries as are needed */
    }
    bdrv_check_free(found);
    bdrv_close(bs);
    if (!run->parent.file || run->kind->block) {
        vhd_assert_sound(&run->medium);
    }
}

static unsigned count_warnings(const Run *run)
{
    unsigned n = 0;

    while (bdrv_get_warning(run->bs, n)) {
        n++;
    }
    return n;
}

/* What is said of a size that is not as it was asked for, or could not be as the image was made */
static bool is_of_size(const char *text)
{
    return strstr(text, "the disk gets ") || strstr(text, "the creator is ");
}

/* Is it said, once at least, that a disk was to have @size bytes and gets @now? */
static bool is_told(const Run *run, int64_t size, int64_t now)
{
    g_autofree char *text = g_strdup_printf("the disk gets %" PRId64 " bytes and not %" PRId64, now, size);
    unsigned n = 0;

    while (bdrv_get_warning(run->bs, n) && !strstr(bdrv_get_warning(run->bs, n), text)) {
        n++;
    }
    return bdrv_get_warning(run->bs, n) != NULL;
}

static void resize(Run *run, int64_t size)
{
    unsigned warnings = count_warnings(run);
    GError *err = NULL;
    bool ok = bdrv_truncate(run->bs, size, &err);
    int64_t now = bdrv_getlength(run->bs);

    if (run->uncut && !ok) {
        g_assert_cmpint(now, ==, run->size);
        g_clear_error(&err);
        return;
    }
    g_assert_no_error(err);
    g_assert_cmpint(now, >=, size);
    if (!run->kind->rounds) {
        g_assert_cmpint(now, <, size + SECTOR);
    }
    g_assert_cmpint(now, <=, MOST);
    if (now > run->size) {
        memset(run->twin + run->size, 0, (size_t)(now - run->size));
    }
    run->size = now;
    g_assert_true(now == size || is_told(run, size, now));
    for (const char *text; (text = bdrv_get_warning(run->bs, warnings)); warnings++) {
        g_assert_true(run->uncut || is_of_size(text));
    }
}

static int64_t choose_size(Run *run)
{
    const int64_t edges[] = { 128 * SECTOR / 4, 128 * 4 * KIB, 256 * KIB, 64 * KIB };

    int64_t little = below(run, 3 * SECTOR);

    switch (below(run, 4)) {
    case 0:
        return MIN(run->size + little, 2 * MIB);
    case 1:
        return MAX(run->size - little, 0);
    case 2:
        return edges[below(run, G_N_ELEMENTS(edges))] + (below(run, 3) - 1) * SECTOR;
    default:
        return below(run, below(run, 2) ? 100 * KIB : 2 * MIB);
    }
}

static void write_somewhere(Run *run)
{
    int64_t at = below(run, run->size), bytes = 1 + below(run, 9 * KIB);

    bytes = MIN(bytes, run->size - at);
    if (bytes <= 0) {
        return;
    }
    if (below(run, 4)) {
        kit_fill(run->twin + at, at, bytes, ++run->stamp);
        g_assert_cmpint(bdrv_pwrite(run->bs, at, run->twin + at, bytes, 0), ==, 0);
    } else {
        memset(run->twin + at, 0, (size_t)bytes);
        g_assert_cmpint(bdrv_pwrite_zeroes(run->bs, at, bytes, 0), ==, 0);
    }
}

static void reopen(Run *run)
{
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    check_file(run);
    open_run(run);
}

static void do_something(Run *run)
{
    switch (below(run, 8)) {
    case 0:
        reopen(run);
        break;
    case 1:
        g_assert_cmpint(bdrv_flush(run->bs), ==, 0);
        break;
    case 2 ... 3:
        resize(run, choose_size(run));
        check_all(run);
        break;
    default:
        write_somewhere(run);
    }
}

static bool run_ops(unsigned seed, const Kind *kind, bool uncut)
{
    Run *run = g_new0(Run, 1);

    run->rand = g_rand_new_with_seed(seed + 1);
    set_up(run, kind, below(run, 300 * KIB) / SECTOR * SECTOR);
    run->uncut = uncut;
    reopen(run);
    for (int i = 0; i < OPS; i++) {
        do_something(run);
    }
    check_all(run);
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    check_file(run);
    medium_clear(&run->medium);
    medium_clear(&run->parent);
    g_rand_free(run->rand);
    g_free(run);
    return true;
}

static bool run_random(unsigned seed, const void *kind)
{
    return run_ops(seed, kind, false);
}

static void test_random(const void *kind)
{
    kit_each_seed(12, run_random, kind);
}

static bool run_uncut(unsigned seed, const void *kind)
{
    return run_ops(seed, kind, true);
}

static void test_uncut(const void *kind)
{
    kit_each_seed(3, run_uncut, kind);
}

/* One fact each */

static const Kind *kind_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(kinds[i].name, name)) {
            return &kinds[i];
        }
    }
    g_assert_not_reached();
}

static Run *run_new(const char *kind, int64_t size)
{
    Run *run = g_new0(Run, 1);

    set_up(run, kind_of(kind), size);
    return run;
}

static void run_free(Run *run)
{
    bdrv_close(run->bs);
    medium_clear(&run->medium);
    medium_clear(&run->parent);
    g_free(run);
}

static void assert_refused(Run *run, int64_t size, int code, const char *text)
{
    int64_t bytes = medium_size(&run->medium);
    GError *err = NULL;

    g_assert_false(bdrv_truncate(run->bs, size, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    if (!strstr(bdrv_error_message(err), text)) {
        g_error("'%s' does not say '%s'", bdrv_error_message(err), text);
    }
    bdrv_error_free(err);
    g_assert_cmpint(bdrv_getlength(run->bs), ==, run->size);
    g_assert_cmpint(medium_size(&run->medium), ==, bytes);
}

/* In both footers, or in the one that there is */
static void change_footers(Run *run, size_t at, const void *bytes, size_t count)
{
    int64_t ends[] = { medium_size(&run->medium) - SECTOR, 0 };

    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    for (int i = 0; i < (run->kind->block ? 2 : 1); i++) {
        uint8_t footer[SECTOR];
        uint32_t sum = 0;

        medium_read(&run->medium, ends[i], footer, SECTOR);
        memcpy(footer + at, bytes, count);
        memset(footer + 64, 0, 4);
        for (int j = 0; j < SECTOR; j++) {
            sum += footer[j];
        }
        be32_store(footer + 64, ~sum);
        medium_write(&run->medium, ends[i], footer, SECTOR);
    }
    run->bs = medium_open(&run->medium, "driver=vpc", BDRV_O_RDWR);
}

static void test_saved_state(void)
{
    const char *const names[] = { "fixed", "dynamic-4k" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        Run *run = run_new(names[i], MIB);

        change_footers(run, 84, "\1", 1);
        assert_refused(run, 2 * MIB, EBUSY, "saved state");
        assert_refused(run, 512 * KIB, EBUSY, "saved state");
        run_free(run);
    }
}

static void test_hidden(void)
{
    Run *run = run_new("xen-16k", 2 * MIB);

    change_footers(run, 85, "\1", 1);
    assert_refused(run, 4 * MIB, EBUSY, "has children");
    run_free(run);
}

static void test_too_large(void)
{
    const int64_t most = INT64_C(2040) << 30;
    Run *run = run_new("fixed", MIB), *small = run_new("dynamic-512", MIB);

    assert_refused(run, INT64_MAX, EFBIG, "that a fixed VHD can have");
    assert_refused(small, most, EFBIG, "more than the 4294967294 that VHD can number");
    assert_refused(small, most + 1, EFBIG, "2040 GiB");
    run_free(run);
    run_free(small);
}

static void read_footer(const Run *run, uint8_t f[SECTOR])
{
    medium_read(&run->medium, medium_size(&run->medium) - SECTOR, f, SECTOR);
}

/* QEMU takes the geometry of what it made itself for the size */
static void test_qemus_own(void)
{
    static const char *const names[] = { "fixed", "dynamic-4k" };
    uint8_t f[SECTOR];

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        Run *run = run_new(names[i], 17 * 4 * 15 * SECTOR);

        change_footers(run, 28, "qemu", 4);
        g_assert_true(bdrv_truncate(run->bs, 2 * MIB, NULL));
        g_assert_cmpint(bdrv_getlength(run->bs), ==, 2 * MIB);
        g_assert_nonnull(strstr(bdrv_get_warning(run->bs, 0), "the creator is 'qem2' now and no longer 'qemu'"));
        read_footer(run, f);
        g_assert_cmpmem(f + 28, 4, "qem2", 4);
        run_free(run);
    }
}

static void test_options(void)
{
    Run *run = run_new("fixed", MIB);
    uint8_t f[SECTOR];
    GError *err = NULL;

    g_assert_true(bdrv_resize(run->bs, MIB + 4096, &(BlockResizeOptions) { .options = "for=azure" }, NULL));
    g_assert_cmpint(bdrv_getlength(run->bs), ==, 2 * MIB);
    g_assert_nonnull(strstr(bdrv_get_warning(run->bs, 0), "Azure does not take this image, because its size is not between"));
    g_assert_nonnull(strstr(bdrv_get_warning(run->bs, 1), "the disk gets 2097152 bytes and not 1052672, as disks are for Azure"));
    read_footer(run, f);
    g_assert_cmpmem(f + 28, 4, "win ", 4);
    g_assert_true(bdrv_resize(run->bs, MIB, &(BlockResizeOptions) { .options = "force_size=off" }, NULL));
    g_assert_cmpint(bdrv_getlength(run->bs), ==, 31 * 4 * 17 * SECTOR);
    g_assert_false(bdrv_resize(run->bs, MIB, &(BlockResizeOptions) { .options = "for=nobody" }, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
    g_clear_error(&err);
    g_assert_false(bdrv_resize(run->bs, MIB, &(BlockResizeOptions) { .options = "four=azure" }, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
    g_clear_error(&err);
    g_assert_cmpint(bdrv_getlength(run->bs), ==, 31 * 4 * 17 * SECTOR);
    run_free(run);
    BlockDriverState *null = bdrv_open(NULL, "driver=null-co,size=1M", BDRV_O_RDWR, NULL);
    g_assert_false(bdrv_resize(null, MIB, &(BlockResizeOptions) { .options = "for=azure" }, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, ENOTSUP);
    g_clear_error(&err);
    bdrv_close(null);
}

/* A guest may have laid out the disk by it */
static void test_own_geometry(void)
{
    Run *run = run_new("fixed", MIB);
    uint8_t f[SECTOR];

    change_footers(run, 56, "\0\x80\1\x10", 4);     /* 128/1/16 */
    g_assert_true(bdrv_truncate(run->bs, 2 * MIB - SECTOR, NULL));
    read_footer(run, f);
    g_assert_cmpmem(f + 56, 4, "\0\xff\1\x10", 4);
    g_assert_true(bdrv_truncate(run->bs, 512 * KIB, NULL));
    read_footer(run, f);
    g_assert_cmpmem(f + 56, 4, "\0\x40\1\x10", 4);
    run_free(run);
}

static void test_negative(void)
{
    Run *run = run_new("dynamic-4k", MIB);

    assert_refused(run, -1, EINVAL, "negative");
    run_free(run);
}

/* The BAT entry of block 1 says what that of block 0 does */
static void test_damaged(void)
{
    Run *run = run_new("dynamic-4k", MIB);
    uint8_t entry[4];

    g_assert_cmpint(bdrv_pwrite(run->bs, 0, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    medium_read(&run->medium, 1536, entry, 4);
    medium_write(&run->medium, 1540, entry, 4);
    run->bs = medium_open(&run->medium, "driver=vpc", BDRV_O_RDWR);
    assert_refused(run, 2 * MIB, EINVAL, "damaged");
    run_free(run);
}

static void test_without_parent(void)
{
    Run *run = run_new("child-of-longer", MIB);

    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    run->bs = medium_open(&run->medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_BACKING);
    assert_refused(run, 2 * MIB, EINVAL, "without its parent");
    run_free(run);
}

static void test_for_a_check(void)
{
    Run *run = run_new("dynamic-4k", MIB);

    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    run->bs = medium_open(&run->medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_CHECK);
    run->size = bdrv_getlength(run->bs);
    assert_refused(run, 2 * MIB, EINVAL, "not opened to be resized");
    run_free(run);
}

/* By the bytes, the geometry where it counts, and the size when created, at which libvhdi looks */
static void test_sizes_agree(void)
{
    Run *run = run_new("dynamic-for-virtualpc", MIB);
    uint8_t f[SECTOR];

    resize(run, 2 * MIB);
    medium_read(&run->medium, medium_size(&run->medium) - SECTOR, f, SECTOR);
    int64_t chs = (int64_t)be16_load(f + 56) * f[58] * f[59] * SECTOR;

    g_assert_cmpint((int64_t)be64_load(f + 48), ==, run->size);
    g_assert_cmpint(chs, ==, run->size);
    g_assert_cmpint((int64_t)be64_load(f + 40), ==, run->size);
    run_free(run);
}

/* Virtual PC's geometry may leave out what others have written to */
static void test_what_others_see(void)
{
    Run *run = run_new("fixed", MIB);

    kit_fill(run->twin, 0, MIB, 3);
    g_assert_cmpint(bdrv_pwrite(run->bs, 0, run->twin, MIB, 0), ==, 0);
    change_footers(run, 28, "vpc ", 4);
    g_assert_cmpint(bdrv_getlength(run->bs), ==, MIB - 4096);
    run->size = MIB - 4096;
    g_assert_true(bdrv_truncate(run->bs, run->size + SECTOR, NULL));
    run->size = bdrv_getlength(run->bs);
    g_assert_cmpint(run->size, >=, MIB);
    check_all(run);
    run_free(run);
}

/* Nothing to do, nothing done */
static void test_same_size(void)
{
    const char *const names[] = { "fixed", "dynamic-4k", "child-of-longer" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        Run *run = run_new(names[i], MIB);
        g_autofree char *before = NULL, *after = NULL;
        gsize length, now;

        g_assert_true(g_file_get_contents(run->medium.file, &before, &length, NULL));
        g_assert_true(bdrv_truncate(run->bs, MIB, NULL));
        g_assert_true(g_file_get_contents(run->medium.file, &after, &now, NULL));
        g_assert_cmpmem(after, now, before, length);
        run_free(run);
    }
}

/* The locators are gone by then, and nothing is left that reaches as far as the BAT's place */
static void test_nothing_left(void)
{
    Run *run = run_new("child-of-shorter", MIB);

    g_assert_true(bdrv_rebase(run->bs, NULL, NULL, NULL));
    memset(run->twin, 0, sizeof(run->twin));
    resize(run, 0);
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    open_run(run);
    resize(run, MIB);
    check_all(run);
    run_free(run);
}

/* What is freed in the middle of the file goes to others */
static void test_shrinking_frees_space(void)
{
    Run *run = run_new("dynamic-16k", MIB);

    for (int64_t at = 0; at < MIB; at += 32 * KIB) {        /* the last blocks of the disk are the first in the file */
        int64_t half = at < MIB / 2 ? at + MIB / 2 : at - MIB / 2;

        kit_fill(run->twin + half, half, 16 * KIB, 5);
        g_assert_cmpint(bdrv_pwrite(run->bs, half, run->twin + half, 16 * KIB, 0), ==, 0);
    }
    resize(run, MIB / 2);
    check_all(run);
    g_assert_cmpint(medium_size(&run->medium), <, 16 * 20 * KIB + 8 * KIB);
    reopen(run);
    check_all(run);
    run_free(run);
}

static void test_batmap_is_kept(void)
{
    Run *run = run_new("xen-16k", 2 * MIB);
    uint8_t map[2 * SECTOR];

    g_assert_cmpint(bdrv_pwrite(run->bs, 0, run->twin, 20 * 16 * KIB, 0), ==, 0);
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    int64_t at = 1536 + SECTOR;                 /* behind a BAT of 128 entries; blocks 0 to 15 are full */
    medium_read(&run->medium, at, map, sizeof(map));
    g_assert_cmpmem(map, 8, "tdbatmap", 8);
    memset(map + SECTOR, 0xff, 2);
    medium_write(&run->medium, at + SECTOR, map + SECTOR, SECTOR);
    be32_store(map + 24, ~(2u * 0xff));
    medium_write(&run->medium, at, map, SECTOR);

    run->bs = medium_open(&run->medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_true(bdrv_truncate(run->bs, 80 * (int64_t)MIB, NULL));
    at = 1536 + 80 * MIB / (16 * KIB) * 4;
    medium_read(&run->medium, at, map, SECTOR);
    g_assert_cmpmem(map, 8, "tdbatmap", 8);
    g_assert_cmpint((int64_t)be64_load(map + 8), ==, at + SECTOR);
    g_assert_cmphex(be32_load(map + 24), ==, ~(2u * 0xff));
    medium_read(&run->medium, at + SECTOR, map, SECTOR);
    g_assert_cmpmem(map, 3, "\xff\xff\0", 3);
    run->size = bdrv_getlength(run->bs);
    g_assert_cmpint(bdrv_close(run->bs), ==, 0);
    check_file(run);
    open_run(run);
    run_free(run);
}

static void test_preallocation(void)
{
    Run *fixed = run_new("fixed", MIB), *dynamic = run_new("dynamic-4k", MIB);
    GError *err = NULL;

    g_assert_true(bdrv_grow(fixed->bs, 2 * MIB, BDRV_PREALLOC_FULL, &err));
    BlockInfo *info = bdrv_get_info(fixed->bs, NULL);
    g_assert_cmpint(info->actual_size, >=, MIB);
    bdrv_info_free(info);
    fixed->size = 2 * MIB;
    check_all(fixed);
    g_assert_false(bdrv_grow(fixed->bs, MIB, BDRV_PREALLOC_FULL, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
    g_clear_error(&err);
    g_assert_false(bdrv_grow(dynamic->bs, 2 * MIB, BDRV_PREALLOC_FULL, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, ENOTSUP);
    g_clear_error(&err);
    g_assert_cmpint(bdrv_getlength(dynamic->bs), ==, MIB);
    run_free(fixed);
    run_free(dynamic);
}

/* Beside others: they see the old length or the new one */

typedef struct Writer {
    Run *run;
    unsigned stamp;
    int stop;                   /* atomic */
} Writer;

static void *keep_writing(void *data)
{
    Writer *w = data;
    uint8_t bytes[3 * KIB], got[3 * KIB];

    for (unsigned i = 0; !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE); i++) {
        int64_t at = (int64_t)(i * 7919 % 100 * KIB) + (int64_t)w->stamp * 128 * KIB;

        kit_fill(bytes, at, sizeof(bytes), w->stamp + i);
        g_assert_cmpint(bdrv_pwrite(w->run->bs, at, bytes, sizeof(bytes), i % 16 ? 0 : BDRV_REQ_FUA), ==, 0);
        g_assert_cmpint(bdrv_pread(w->run->bs, at, got, sizeof(got), 0), ==, 0);
        g_assert_cmpmem(got, sizeof(got), bytes, sizeof(bytes));
    }
    return NULL;
}

static void test_beside_others(const void *kind)
{
    Run *run = run_new(((const Kind *)kind)->name, 512 * KIB);
    Writer writers[2] = { { run, 0 }, { run, 1 } };
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(pthread_create(&threads[i], NULL, keep_writing, &writers[i]), ==, 0);
    }
    for (int i = 0; i < 100; i++) {
        g_assert_true(bdrv_truncate(run->bs, (i % 5 + 1) * 512 * KIB, NULL));
    }
    for (int i = 0; i < 2; i++) {
        __atomic_store_n(&writers[i].stop, 1, __ATOMIC_RELEASE);
        pthread_join(threads[i], NULL);
    }
    run->size = bdrv_getlength(run->bs);
    reopen(run);
    run_free(run);
}

static void add_for_each(const char *what, GTestDataFunc test, bool small)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/resize/%s/%s", what, kinds[i].name);

        if (!small || !kinds[i].parent) {
            g_test_add_data_func(path, &kinds[i], test);
        }
    }
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    add_for_each("random", test_random, false);
    add_for_each("never-cut", test_uncut, false);
    add_for_each("beside-others", test_beside_others, true);
    g_test_add_func("/resize/refused/saved-state", test_saved_state);
    g_test_add_func("/resize/refused/hidden", test_hidden);
    g_test_add_func("/resize/refused/too-large", test_too_large);
    g_test_add_func("/resize/refused/negative", test_negative);
    g_test_add_func("/resize/qemus-own", test_qemus_own);
    g_test_add_func("/resize/options", test_options);
    g_test_add_func("/resize/own-geometry", test_own_geometry);
    g_test_add_func("/resize/refused/damaged", test_damaged);
    g_test_add_func("/resize/refused/without-parent", test_without_parent);
    g_test_add_func("/resize/refused/for-a-check", test_for_a_check);
    g_test_add_func("/resize/sizes-agree", test_sizes_agree);
    g_test_add_func("/resize/what-others-see", test_what_others_see);
    g_test_add_func("/resize/same-size", test_same_size);
    g_test_add_func("/resize/shrinking-frees-space", test_shrinking_frees_space);
    g_test_add_func("/resize/nothing-left", test_nothing_left);
    g_test_add_func("/resize/batmap-is-kept", test_batmap_is_kept);
    g_test_add_func("/resize/preallocation", test_preallocation);
    return kit_run();
}
