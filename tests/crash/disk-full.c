/* disk-full.c - a file system that is really full: errors, nothing lost, and on it goes when there is space again */
/* SPDX-License-Identifier: MIT
 *
 * The image is in a small tmpfs of this test's own, together with a ballast file that leaves it too little
 * room. A guest writes and flushes; it is told ENOSPC, and keeps writing what fits. Now and then the image is
 * opened by somebody else, as after a crash: all that was flushed must be there. Then the ballast goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SECTOR = 512, ROOM = 6 * MIB, OPS = 300 };

typedef struct Image {
    const char *name;
    const char *options;        /* to create it with */
    int64_t size;
    bool child;
} Image;

static const Image images[] = {
    { "4k", "driver=vpc,block_size=4k", 8 * MIB },
    { "64k", "driver=vpc,block_size=64k", 8 * MIB },
    { "2m", "driver=vpc", 40 * MIB },
    { "fixed", "driver=vpc,subformat=fixed", 8 * MIB },      /* sparse: to overwrite needs space, too */
    { "child", "driver=vpc,block_size=64k", 8 * MIB, true },
};

typedef struct Guest {
    const Image *image;
    GRand *rand;
    Medium medium, parent;
    char *ballast;
    BlockDriverState *bs;
    uint8_t *now, *safe, *got;  /* what it has written; what the last flush made sure of */
    bool *torn;                 /* by sector: written since that flush */
    unsigned refused;           /* requests that got ENOSPC */
} Guest;

static char *mount_point;

/* Of this process only. False: not allowed to */
static bool mount_small(void)
{
    g_autofree char *options = g_strdup_printf("size=%d", ROOM);

    mount_point = g_dir_make_tmp("miniblk-full-XXXXXX", NULL);
    return mount_point && (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("miniblk-test", mount_point, "tmpfs", 0, options) == 0;
}

static char *inside(const char *name)
{
    return g_build_filename(mount_point, name, NULL);
}

/* All but @left bytes of the room */
static void fill_up(Guest *g, int64_t left)
{
    g_autofree char *block = g_malloc0(4 * KIB);
    int fd = open(g->ballast, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    while (write(fd, block, 4 * KIB) == 4 * KIB) {
    }
    g_assert_cmpint(errno, ==, ENOSPC);
    g_assert_cmpint(ftruncate(fd, MAX(lseek(fd, 0, SEEK_END) - left, 0)), ==, 0);
    close(fd);
}

static BlockDriverState *open_as(Guest *g, unsigned flags)
{
    g_autofree char *options = g->image->child ? g_strdup_printf("driver=vpc,backing.driver=raw,parent=%s", g->parent.file)
                                               : g_strdup("driver=vpc");

    return medium_open(&g->medium, options, flags);
}

static void open_image(Guest *g)
{
    g->bs = open_as(g, BDRV_O_RDWR | BDRV_O_UNMAP);
}

static void set_up(Guest *g)
{
    g->medium = (Medium) { .file = inside("disk.vhd") };
    g->ballast = inside("ballast");
    g->now = g_malloc0((gsize)g->image->size);
    g->safe = g_malloc0((gsize)g->image->size);
    g->got = g_malloc((gsize)g->image->size);
    g->torn = g_new0(bool, (gsize)(g->image->size / SECTOR));
    g_autofree char *parent = g_strdup("");
    if (g->image->child) {
        g_autofree char *path = kit_path("parent");

        g->parent = (Medium) { .file = g_canonicalize_filename(path, NULL) };
        medium_create(&g->parent, "driver=raw,size=8M");
        kit_fill(g->now, 0, g->image->size, 9);
        medium_write(&g->parent, 0, g->now, g->image->size);
        memcpy(g->safe, g->now, (size_t)g->image->size);
        g_free(parent);
        parent = g_strdup_printf(",backing_fmt=raw,backing_file=%s", g->parent.file);
    }
    g_autofree char *options = g_strdup_printf("%s,size=%" PRId64 "%s", g->image->options, g->image->size, parent);

    medium_create(&g->medium, options);
    open_image(g);
}

static void tear_down(Guest *g)
{
    medium_clear(&g->medium);
    medium_clear(&g->parent);
    unlink(g->ballast);
    g_free(g->ballast);
    g_free(g->now);
    g_free(g->safe);
    g_free(g->got);
    g_free(g->torn);
    g_rand_free(g->rand);
}

static void note(Guest *g, int ret)
{
    if (ret < 0) {
        g_assert_cmpint(ret, ==, -ENOSPC);
        g->refused++;
    }
}

/* A write that failed may have changed any of its bytes: the guest looks what it has */
static void do_write(Guest *g)
{
    int64_t at = g_rand_int_range(g->rand, 0, (gint32)(g->image->size / SECTOR)) * SECTOR, bytes = g_rand_int_range(g->rand, 1, 64) * SECTOR;
    g_autofree uint8_t *buf = g_malloc(64 * SECTOR), *got = g_malloc(64 * SECTOR);

    bytes = MIN(bytes, g->image->size - at);
    kit_fill(buf, at, bytes, g_rand_int(g->rand));
    int ret = bdrv_pwrite(g->bs, at, buf, bytes, 0);

    note(g, ret);
    g_assert_cmpint(bdrv_pread(g->bs, at, got, bytes, 0), ==, 0);
    for (int64_t i = 0; i < bytes; i++) {
        g_assert_true(got[i] == buf[i] || (ret < 0 && got[i] == g->now[at + i]));
    }
    memcpy(g->now + at, got, (size_t)bytes);
    memset(g->torn + at / SECTOR, true, (size_t)(bytes / SECTOR));
}

static void do_flush(Guest *g)
{
    int ret = bdrv_flush(g->bs);

    note(g, ret);
    if (ret == 0) {
        memcpy(g->safe, g->now, (size_t)g->image->size);
        memset(g->torn, 0, (size_t)(g->image->size / SECTOR));
    }
}

/* Somebody else, who knows only the file */
static void check_as_after_crash(Guest *g)
{
    BlockDriverState *bs = open_as(g, BDRV_O_NO_LOCK);

    g_assert_cmpint(bdrv_pread(bs, 0, g->got, g->image->size, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    for (int64_t at = 0; at < g->image->size; at += SECTOR) {
        if (!g->torn[at / SECTOR]) {
            kit_assert_same(g->got + at, g->safe + at, SECTOR, at);
        }
    }
    g_assert_true(vhd_ends_well(&g->medium));
}

static void work(Guest *g, int ops)
{
    for (int i = 0; i < ops; i++) {
        do_write(g);
        if (i % 10 == 9) {
            do_flush(g);
        }
        if (i % 25 == 24) {
            check_as_after_crash(g);
        }
    }
}

/* Closed and opened while full, too */
static void reopen(Guest *g)
{
    note(g, bdrv_close(g->bs));
    open_image(g);
    g_assert_cmpint(bdrv_pread(g->bs, 0, g->got, g->image->size, 0), ==, 0);
    for (int64_t at = 0; at < g->image->size; at += SECTOR) {
        if (!g->torn[at / SECTOR]) {
            kit_assert_same(g->got + at, g->safe + at, SECTOR, at);
        }
    }
    memcpy(g->now, g->got, (size_t)g->image->size);
}

static bool run_seed(unsigned seed, const void *data)
{
    Guest g = { .image = data, .rand = g_rand_new_with_seed(seed + 1) };

    set_up(&g);
    work(&g, 20);
    fill_up(&g, 100 * KIB * seed);
    work(&g, OPS);
    g_assert_cmpuint(g.refused, >, 0);
    reopen(&g);
    work(&g, 20);
    unlink(g.ballast);
    g.refused = 0;
    work(&g, 20);
    do_flush(&g);
    g_assert_cmpuint(g.refused, ==, 0);
    g_assert_cmpint(bdrv_close(g.bs), ==, 0);
    vhd_assert_sound(&g.medium);
    check_as_after_crash(&g);
    tear_down(&g);
    return true;
}

static void test_image(const void *data)
{
    if (!mount_point) {
        g_test_skip("no tmpfs can be mounted here, and no user namespace be made");
        return;
    }
    kit_each_seed(5, run_seed, data);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    bool mounted = mount_small();
    char *folder = mount_point;

    mount_point = mounted ? folder : NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
        g_autofree char *path = g_strdup_printf("/disk-full/%s", images[i].name);

        g_test_add_data_func(path, &images[i], test_image);
    }
    int ret = kit_run();

    if (mounted) {
        umount(folder);
    }
    if (folder) {
        rmdir(folder);
    }
    g_free(folder);
    return ret;
}
