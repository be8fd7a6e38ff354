/* images.c - what a scenario begins with: an image, its parents, a child of it */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include "kit.h"
#include "recorder.h"
#include "vhd.h"

enum { SECTOR = 512 };

static Medium medium_in(const Recording *r, const char *name)
{
    return (Medium) { .file = g_build_filename(r->folder, name, NULL) };
}

char *escaped(const char *path)
{
    g_auto(GStrv) pieces = g_strsplit(path, ",", -1);

    return g_strjoinv(",,", pieces);
}

char *create_options(const Recorder *rec)
{
    const char *file = rec->image->child ? rec->parents[PARENT_FIRST].file : NULL;
    g_autofree char *parent = file ? escaped(file) : NULL;
    bool vpc = strstr(rec->image->create, "driver=vpc") != NULL;

    return g_strdup_printf("%s,size=%" PRId64 "%s%s%s", rec->image->create, rec->r->size,
                           vpc ? ",uuid=11111111-2222-4333-8444-555555555555,timestamp=1000000000" : "",
                           parent ? ",backing_file=" : "", parent ? parent : "");
}

static void write_at_once(const Medium *medium, const char *open, const uint8_t *data, int64_t bytes)
{
    BlockDriverState *bs = medium_open(medium, open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    g_assert_cmpint(bdrv_pwrite(bs, 0, data, bytes, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* Shorter than its child, or longer, and full of what shows wherever the child has lost something. @data gets what the
 * child sees of it; NULL: nothing */
static Medium make_parent(Recorder *rec, const char *name, unsigned stamp, uint8_t *data)
{
    int64_t bytes = MAX(rec->r->size * (rec->image->long_parent ? 9 : 7) / 8 / SECTOR, 1) * SECTOR;
    g_autofree uint8_t *all = g_malloc((gsize)bytes);
    g_autofree char *options = g_strdup_printf("driver=vpc,block_size=4k,size=%" PRId64 ",file.cache.no-flush=on,"
                                               "uuid=%08x-2222-4333-8444-555555555555", bytes, stamp);
    Medium parent = medium_in(rec->r, name);

    medium_create(&parent, options);
    kit_fill(all, 0, bytes, stamp);
    if (data) {
        memcpy(data, all, (size_t)MIN(bytes, rec->r->size));
    }
    write_at_once(&parent, "driver=vpc", all, bytes);
    return parent;
}

void make_first_parent(Recorder *rec)
{
    if (rec->image->child) {
        rec->parents[PARENT_FIRST] = make_parent(rec, "parent", 55, rec->now);
    }
}

static Medium copy_parent(Recorder *rec, const char *name, const char *of)
{
    Medium copy = medium_in(rec->r, name);
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(of, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(copy.file, bytes, (gssize)length, NULL));
    return copy;
}

const char *need_parent(Recorder *rec, ParentChoice choice)
{
    Medium *parent = &rec->parents[choice];

    if (choice == PARENT_NONE || parent->file) {
        return parent->file;
    }
    switch (choice) {
    case PARENT_FIRST:
        *parent = make_parent(rec, "parent", 55, NULL);
        break;
    case PARENT_OTHER:
        *parent = make_parent(rec, "other", 66, NULL);
        break;
    default:
        *parent = copy_parent(rec, "moved", need_parent(rec, PARENT_FIRST));
    }
    return parent->file;
}

/* What others leave of an image; its first write has to put that right */
static void hurt(const Medium *medium, int start)
{
    uint8_t footer[SECTOR], junk[80 * SECTOR] = { 0 };
    int64_t tail = medium_size(medium) - SECTOR;

    if (start == START_LEAK) {
        medium_read(medium, tail, footer, SECTOR);
        memset(junk, 0xa5, sizeof(junk));
        medium_write(medium, tail, junk, sizeof(junk));
        medium_write(medium, tail + (int64_t)sizeof(junk), footer, SECTOR);
    } else {
        medium_write(medium, start == START_NO_HEAD ? 0 : tail, junk, SECTOR);
    }
}

/* Blocks one by one, from the last to the first */
static void write_backwards(Recorder *rec, int64_t bytes)
{
    BlockDriverState *bs = medium_open(&rec->file, rec->image->open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    int64_t block = rec->image->block;

    for (int64_t at = (bytes - 1) / block * block; at >= 0; at -= block) {
        g_assert_cmpint(bdrv_pwrite(bs, at, rec->now + at, MIN(block, bytes - at), 0), ==, 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void fill(Recorder *rec)
{
    int start = rec->scenario->action->start;
    bool full = start == START_FULL || start == START_BACKWARDS;
    int64_t bytes = MIN((full ? 6 : 3) * rec->image->block, rec->r->size);

    if (start == START_EMPTY) {
        return;
    }
    kit_fill(rec->now, 0, bytes, 99);
    if (start == START_BACKWARDS) {
        write_backwards(rec, bytes);
        return;
    }
    write_at_once(&rec->file, rec->image->open, rec->now, bytes);
    if (start == START_CLEAR || start == START_JUNK) {
        vhd_clear_bits(&rec->file, rec->rand, start == START_JUNK, rec->now, rec->r->size);
        rec->r->tolerated = "S1";       /* data without its bit: that comes first, and there was a cut */
    } else if (start != START_FULL) {
        hurt(&rec->file, start);
        rec->r->hurt = start != START_LEAK;
    }
}

void make_image(Recorder *rec)
{
    g_autofree char *create = NULL, *options = NULL;

    make_first_parent(rec);
    if (rec->parent != PARENT_NONE && rec->opts->fault.iotype &&
        (rec->scenario->action->kind == ACTION_MIXED || scenario_has_step(rec->scenario, STEP_PARENT))) {
        rec->r->tolerated = "S1";   /* a rebase to no parent that could not set every bit: data first, then the bit */
    }
    create = create_options(rec);
    options = g_strdup_printf("%s,file.cache.no-flush=on", create);
    medium_create(&rec->file, options);
    fill(rec);
    rec->r->before = g_memdup2(rec->now, (gsize)rec->r->most);
}

/* Behind the end of the parent only a few bytes */
void write_some(Recorder *rec, BlockDriverState *bs, unsigned stamp)
{
    int64_t end = rec->r->size * 7 / 8;

    for (unsigned i = 0; i < 7; i++) {
        int64_t offset = rec->r->size - 100, bytes = 100;

        if (i < 6) {
            choose_place(rec, &offset, &bytes);
            offset = MIN(offset, end - 1);
            bytes = MIN(bytes, end - offset);
        }
        kit_fill(rec->now + offset, offset, bytes, stamp + i);
        if (i % 3 == 2) {
            memset(rec->now + offset, 0, (size_t)bytes);
        }
        g_assert_cmpint(bdrv_pwrite(bs, offset, rec->now + offset, bytes, 0), ==, 0);
    }
}

char *make_top(Recorder *rec)
{
    Medium top = medium_in(rec->r, "top");
    g_autofree char *base = escaped(rec->file.file), *create = NULL, *open = NULL;
    const char *driver = strchr(rec->image->open, '=') + 1;

    create = g_strdup_printf("driver=vpc,block_size=8k,size=%" PRId64 ",backing_file=%s,backing_fmt=%s,"
                             "file.cache.no-flush=on", rec->r->size, base, driver);
    medium_create(&top, create);
    open = g_strdup_printf("driver=vpc,backing.driver=%s", driver);
    BlockDriverState *bs = medium_open(&top, open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    write_some(rec, bs, 70);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    return top.file;
}

static Disk *load(const Medium *medium)
{
    int64_t size = medium_size(medium);
    g_autofree uint8_t *bytes = g_malloc((gsize)MAX(size, 1));
    Disk *disk = disk_new();

    medium_read(medium, 0, bytes, size);
    for (int64_t at = 0, n; at < size; at += n) {
        n = MIN(size - at, 4096);
        if (!kit_is_zero(bytes + at, n)) {
            disk_write(disk, at, bytes + at, n);
        }
    }
    disk_truncate(disk, size);
    return disk;
}

/* On a device or a server's disk: larger than the image, and with something behind it */
static void add_room(Recorder *rec)
{
    int64_t room = rec->image->room;

    if (room) {
        g_autofree uint8_t *junk = g_malloc((gsize)room);

        memset(junk, 0x5a, (size_t)room);
        medium_write(&rec->file, medium_size(&rec->file), junk, room);
    }
    if (rec->file.disk) {
        rec->file.disk->fixed_length = rec->r->fixed_length;
    }
}

void start_log(Recorder *rec)
{
    add_room(rec);
    rec->r->start = load(&rec->file);
    rec->r->start->fixed_length = rec->r->fixed_length;
}
