/* powercut.c - the power goes at every write: what was flushed is there, and the image opens as if nothing was */
/* SPDX-License-Identifier: MIT
 *
 * A workload runs on a disk that logs. For each place in the log, disks are made as the power may have
 * left them: all that was written before the last flush, and of what came after it nothing, all, or a
 * random part, single sectors of a write included. A file grows when the write that needs the room
 * reaches the disk.
 */
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SECTOR = 512, OPS = 40 };

typedef enum Start { START_EMPTY, START_CLEAR, START_JUNK } Start;

typedef struct Image {
    const char *name;
    const char *create;
    int64_t max_size, block;
    Start start;
    unsigned seeds;
    const char *options;
    int64_t sector;             /* of the disk: what is never torn; 0: SECTOR */
    bool child;                 /* a differencing disk; its parent is a file with something in it */
} Image;

static const Image images[] = {
    { "512", "driver=vpc,block_size=512", 16 * KIB, 512, START_EMPTY, 30, "driver=vpc" },
    { "4k", "driver=vpc,block_size=4k", 64 * KIB, 4096, START_EMPTY, 40, "driver=vpc" },
    { "2m", "driver=vpc,block_size=2M", 7 * MIB, 2 * MIB, START_EMPTY, 4, "driver=vpc" },
    { "fixed", "driver=vpc,subformat=fixed", 64 * KIB, 4096, START_EMPTY, 6, "driver=vpc" },
    { "clear", "driver=vpc,block_size=16k", 128 * KIB, 16 * KIB, START_CLEAR, 30, "driver=vpc" },
    { "junk", "driver=vpc,block_size=16k", 128 * KIB, 16 * KIB, START_JUNK, 30, "driver=vpc" },
    { "aligned", "driver=vpc,block_size=4k", 64 * KIB, 4096, START_EMPTY, 8,
      "driver=vpc,file.driver=blkdebug,file.align=4096", 4096 },
    { "aligned/fixed", "driver=vpc,subformat=fixed", 64 * KIB, 4096, START_EMPTY, 8,
      "driver=vpc,file.driver=blkdebug,file.align=4096", 4096 },
    { "child/512", "driver=vpc,block_size=512", 16 * KIB, 512, START_EMPTY, 12, "driver=vpc", .child = true },
    { "child/16k", "driver=vpc,block_size=16k", 128 * KIB, 16 * KIB, START_EMPTY, 30, "driver=vpc", .child = true },
    { "child/2m", "driver=vpc,block_size=2M", 5 * MIB, 2 * MIB, START_EMPTY, 3, "driver=vpc", .child = true },
    { "child/aligned", "driver=vpc,block_size=16k", 128 * KIB, 16 * KIB, START_EMPTY, 8,
      "driver=vpc,file.driver=blkdebug,file.align=4096", 4096, .child = true },
};

/* What the guest did, and which events of the log it caused */
typedef struct Op {
    enum { OP_WRITE, OP_ZERO, OP_FLUSH } kind;
    int64_t offset, bytes;
    guint begin, end;
} Op;

typedef struct Workload {
    const Image *image;
    GRand *rand;
    Medium medium, parent;      /* the parent is not cut */
    Disk *durable;              /* the disk as the last flush before the cut left it */
    BlockDriverState *bs;
    int64_t size;
    Op ops[OPS * 2];
    unsigned count;
    uint8_t *sure;              /* what the guest may count on at the cut: the ops before the last flush; */
    unsigned first_unsure;      /* those from here on may be lost */
    uint8_t *got;
} Workload;

static int64_t below(Workload *w, int64_t n)
{
    return (int64_t)(g_rand_double(w->rand) * (double)n);
}

static uint8_t value_of(const Workload *w, const Op *op, int64_t at)
{
    return op->kind == OP_ZERO ? 0 : kit_byte(at, (unsigned)(op - w->ops) + 1);
}

/* The workload */

static Op *begin_op(Workload *w, int kind)
{
    Op *op = &w->ops[w->count++];

    *op = (Op) { .kind = kind, .begin = w->medium.disk->log->len };
    return op;
}

static void end_op(Workload *w, Op *op)
{
    op->end = w->medium.disk->log->len;
}

static void choose_place(Workload *w, Op *op)
{
    int64_t unit = below(w, 3) ? SECTOR : 1;

    op->offset = below(w, w->size) / unit * unit;
    op->bytes = (below(w, 2) ? below(w, 3 * SECTOR) : below(w, MIN(2 * w->image->block, 40 * KIB))) / unit * unit;
    op->bytes = CLAMP(op->bytes, 1, w->size - op->offset);
}

static void do_write(Workload *w, unsigned flags)
{
    Op *op = begin_op(w, OP_WRITE);

    choose_place(w, op);
    g_autofree uint8_t *buf = g_malloc((gsize)op->bytes);
    for (int64_t i = 0; i < op->bytes; i++) {
        buf[i] = value_of(w, op, op->offset + i);
    }
    g_assert_cmpint(bdrv_pwrite(w->bs, op->offset, buf, op->bytes, flags), ==, 0);
    end_op(w, op);
}

static void do_zero(Workload *w)
{
    Op *op = begin_op(w, OP_ZERO);

    choose_place(w, op);
    g_assert_cmpint(bdrv_pwrite_zeroes(w->bs, op->offset, op->bytes, 0), ==, 0);
    end_op(w, op);
}

static void do_flush(Workload *w)
{
    Op *op = begin_op(w, OP_FLUSH);

    g_assert_cmpint(bdrv_flush(w->bs), ==, 0);
    end_op(w, op);
}

/* A write that is on disk when it is done is like a write and a flush */
static void do_fua(Workload *w)
{
    do_write(w, BDRV_REQ_FUA);
    end_op(w, begin_op(w, OP_FLUSH));
}

static void close_image(Workload *w)
{
    Op *op = begin_op(w, OP_FLUSH);

    g_assert_cmpint(bdrv_close(w->bs), ==, 0);
    end_op(w, op);
}

static void open_image(Workload *w, const Medium *medium, const char *options, unsigned flags)
{
    g_autofree char *all = w->image->child ? g_strdup_printf("%s,parent=%s", options, w->parent.file)
                                           : g_strdup(options);

    w->bs = medium_open(medium, all, flags);
}

static void do_something(Workload *w)
{
    switch (below(w, 20)) {
    case 0 ... 11:
        do_write(w, 0);
        break;
    case 12 ... 13:
        do_zero(w);
        break;
    case 14 ... 17:
        do_flush(w);
        break;
    case 18:
        do_fua(w);
        break;
    default:
        close_image(w);
        open_image(w, &w->medium, w->image->options, BDRV_O_RDWR);
    }
}

static void fill_image(Workload *w)
{
    BlockDriverState *bs = medium_open(&w->medium, "driver=vpc", BDRV_O_RDWR);
    int64_t bytes = MIN(3 * w->image->block, w->size);

    kit_fill(w->sure, 0, bytes, 99);
    g_assert_cmpint(bdrv_pwrite(bs, 0, w->sure, bytes, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_clear_bits(&w->medium, w->rand, w->image->start == START_JUNK, w->sure, w->size);
}

/* Shorter than its child, and full of what shows wherever the child has lost something */
static char *make_parent(Workload *w)
{
    int64_t bytes = MAX(w->size * 7 / 8 / SECTOR, 1) * SECTOR;
    g_autofree char *options = g_strdup_printf("driver=vpc,block_size=4k,size=%" PRId64, bytes);

    w->parent = medium_on_file("parent");
    medium_create(&w->parent, options);
    BlockDriverState *bs = medium_open(&w->parent, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    kit_fill(w->sure, 0, bytes, 55);
    g_assert_cmpint(bdrv_pwrite(bs, 0, w->sure, bytes, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    return g_strdup_printf(",backing_file=%s", w->parent.file);
}

static void make_image(Workload *w)
{
    w->size = (1 + below(w, w->image->max_size / SECTOR)) * SECTOR;
    w->sure = g_malloc0((gsize)w->size);
    w->got = g_malloc((gsize)w->size);
    g_autofree char *parent = w->image->child ? make_parent(w) : g_strdup("");
    g_autofree char *options = g_strdup_printf("%s,size=%" PRId64 "%s", w->image->create, w->size, parent);

    w->medium = medium_on_disk();
    medium_create(&w->medium, options);
    if (w->image->start != START_EMPTY) {
        fill_image(w);
    }
    w->durable = disk_clone(w->medium.disk);
    disk_start_log(w->medium.disk);
}

static void run_workload(Workload *w)
{
    make_image(w);
    open_image(w, &w->medium, w->image->options, BDRV_O_RDWR);
    while (w->count < OPS) {
        do_something(w);
    }
    close_image(w);
}

/* The power cut */

typedef enum Keep { KEEP_NONE, KEEP_ALL, KEEP_SOME } Keep;

static const DiskEvent *event_at(const Workload *w, guint i)
{
    return &g_array_index(w->medium.disk->log, DiskEvent, i);
}

static void apply(Disk *disk, const DiskEvent *event)
{
    if (event->kind == DISK_WRITE) {
        disk_write(disk, event->offset, event->data, event->bytes);
    } else if (event->kind == DISK_SHRINK) {
        disk_truncate(disk, event->offset);
    }
}

/* Some of the sectors of a write; sectors are never torn */
static void apply_torn(Workload *w, Disk *disk, const DiskEvent *event)
{
    int64_t end = event->offset + event->bytes, sector = MAX(w->image->sector, SECTOR);

    for (int64_t at = event->offset, n; event->kind == DISK_WRITE && at < end; at += n) {
        n = MIN(sector - at % sector, end - at);
        if (below(w, 2)) {
            disk_write(disk, at, event->data + (at - event->offset), n);
        }
    }
}

/* The disk after @cut events, of which those before @flushed are sure */
static Medium cut_power(Workload *w, guint flushed, guint cut, Keep keep)
{
    Medium medium = { .disk = disk_clone(w->durable) };

    for (guint i = flushed; i < cut && keep != KEEP_NONE; i++) {
        int64_t fate = keep == KEEP_ALL ? 0 : below(w, 3);

        if (fate == 0) {
            apply(medium.disk, event_at(w, i));
        } else if (fate == 1) {
            apply_torn(w, medium.disk, event_at(w, i));
        }
    }
    return medium;
}

static void be_sure_of(Workload *w, const Op *op)
{
    for (int64_t i = op->offset; i < op->offset + op->bytes; i++) {
        w->sure[i] = value_of(w, op, i);
    }
}

/* Cuts go forward only */
static void move_to_cut(Workload *w, guint cut)
{
    for (unsigned i = w->first_unsure; i < w->count && w->ops[i].end <= cut; i++) {
        while (w->ops[i].kind == OP_FLUSH && w->first_unsure < i) {
            be_sure_of(w, &w->ops[w->first_unsure++]);
        }
    }
}

static bool may_be(const Workload *w, guint cut, int64_t at, uint8_t value)
{
    for (unsigned i = w->first_unsure; i < w->count && w->ops[i].begin < cut; i++) {
        const Op *op = &w->ops[i];

        if (at >= op->offset && at < op->offset + op->bytes && value_of(w, op, at) == value) {
            return true;
        }
    }
    return false;
}

static void check_sector(Workload *w, guint cut, int64_t sector)
{
    for (int64_t at = sector; at < sector + SECTOR; at++) {
        if (w->got[at] != w->sure[at] && !may_be(w, cut, at, w->got[at])) {
            g_error("cut at %u: byte %" PRId64 " is 0x%02x, should be 0x%02x or newer", cut, at, w->got[at],
                    w->sure[at]);
        }
    }
}

static void check_contents(Workload *w, guint cut)
{
    g_assert_cmpint(bdrv_pread(w->bs, 0, w->got, w->size, 0), ==, 0);
    for (int64_t at = 0; at < w->size; at += SECTOR) {
        if (memcmp(w->got + at, w->sure + at, SECTOR)) {
            check_sector(w, cut, at);
        }
    }
}

/* Life goes on */
static void check_write(Workload *w, const Medium *medium, guint cut)
{
    int64_t at = below(w, w->size), bytes = MIN(w->size - at, 700);
    g_autofree uint8_t *want = g_memdup2(w->got, (gsize)w->size);

    kit_fill(want + at, at, bytes, cut + 1000);
    g_assert_cmpint(bdrv_pwrite(w->bs, at, want + at, bytes, 0), ==, 0);
    g_assert_cmpint(bdrv_flush(w->bs), ==, 0);
    g_assert_cmpint(bdrv_close(w->bs), ==, 0);
    open_image(w, medium, "driver=vpc", 0);
    g_assert_cmpint(bdrv_pread(w->bs, 0, w->got, w->size, 0), ==, 0);
    kit_assert_same(w->got, want, w->size, 0);
}

static void check_cut(Workload *w, guint flushed, guint cut, Keep keep)
{
    Medium medium = cut_power(w, flushed, cut, keep);

    if (!vhd_ends_well(&medium)) {
        g_error("cut at %u of %u: the file does not end in a footer", cut, w->medium.disk->log->len);
    }
    vhd_assert_sound(&medium);
    open_image(w, &medium, "driver=vpc", BDRV_O_RDWR);
    g_assert_null(bdrv_get_warning(w->bs, 0));
    check_contents(w, cut);
    check_write(w, &medium, cut);
    g_assert_cmpint(bdrv_close(w->bs), ==, 0);
    medium_clear(&medium);
}

static void check_all_cuts(Workload *w)
{
    guint flushed = 0;

    for (guint cut = 0; cut <= w->medium.disk->log->len; cut++) {
        if (cut > 0 && event_at(w, cut - 1)->kind == DISK_FLUSH) {
            for (; flushed < cut; flushed++) {
                apply(w->durable, event_at(w, flushed));
            }
        }
        move_to_cut(w, cut);
        check_cut(w, flushed, cut, KEEP_NONE);
        if (flushed < cut) {
            check_cut(w, flushed, cut, KEEP_ALL);
        }
        for (int i = 0; i < 3 && flushed < cut; i++) {
            check_cut(w, flushed, cut, KEEP_SOME);
        }
    }
}

static bool run_seed(unsigned seed, const void *data)
{
    Workload w = { .image = data, .rand = g_rand_new_with_seed(seed + 1) };

    run_workload(&w);
    check_all_cuts(&w);
    medium_clear(&w.medium);
    medium_clear(&w.parent);
    disk_free(w.durable);
    g_free(w.sure);
    g_free(w.got);
    g_rand_free(w.rand);
    return true;
}

static void test_image(const void *data)
{
    kit_each_seed(((const Image *)data)->seeds, run_seed, data);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
        g_autofree char *path = g_strdup_printf("/powercut/%s", images[i].name);

        g_test_add_data_func(path, &images[i], test_image);
    }
    return kit_run();
}
