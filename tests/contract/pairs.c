/* pairs.c - every request beside every other, of every kind of image: what each byte may be afterwards */
/* SPDX-License-Identifier: MIT
 *
 * Of each pair the first is stopped inside the storage, where it has something to do there, and the second begins;
 * and then both begin at once. Whatever the order is in which they take place, each byte has it:
 *
 *   what it may be  =  second(first(what it was))  or  first(second(what it was))
 *
 * where a request that failed, and a discard, may have done its part or not. An error is allowed only where the other
 * request is a reason for it.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include "kit.h"
#include "rig.h"
#include "stop.h"
#include "vhd.h"

enum { KIB = 1 << 10, SIZE = 64 * KIB, SMALL = 32 * KIB, LARGE = 96 * KIB, STRIPE = 2 * KIB, RACES = 2 };

/* What a byte may be, as a set */
enum { BEFORE = 1, FIRST = 2, SECOND = 4, ZERO = 8 };
enum { FIRST_BYTE = 0xaa, SECOND_BYTE = 0xbb, PARENT_BYTE = 0x11, OWN_BYTE = 0x22 };

typedef struct Kind {
    const char *name, *create, *options;
    unsigned flags;
    bool child;
    bool fixed_length;
} Kind;

static const Kind kinds[] = {
    { "raw", "driver=raw", "driver=raw" },
    { "dynamic", "driver=vpc,block_size=4k", "driver=vpc" },
    { "child", "driver=vpc,block_size=4k,backing_file=parent", "driver=vpc,backing.read-only=off", .child = true },
    { "snapshot", "driver=raw", "driver=raw", BDRV_O_SNAPSHOT, .fixed_length = true },
    { "raw-over-dynamic", "driver=vpc,block_size=4k", "driver=raw,file.driver=vpc" },
};

/* An image as it is before each pair */
typedef struct Template {
    const Kind *kind;
    Disk *top, *parent;             /* parent: NULL if there is none */
    uint8_t before[LARGE];          /* what it reads as; past the end, zero */
} Template;

typedef struct Pair Pair;

typedef struct Actor {
    Pair *pair;
    int who;                        /* 0: the first; 1: the second */
    const struct Action *action;
    int ret;
} Actor;

struct Pair {
    Template *template;
    Stop stop;
    Disk *parent;
    BlockDriverState *bs;
    Actor actors[2];
    unsigned ready;                 /* atomic: how many wait to begin at once */
};

/* @set: what a byte at @at may be before this actor's action. What it may be afterwards */
typedef unsigned Effect(const Actor *actor, int64_t at, unsigned set);

typedef struct Action {
    const char *name;
    int (*run)(Actor *actor);
    Effect *effect;                 /* NULL: none */
    bool ranged;                    /* fails with -EIO if the disk is shorter */
} Action;

/* Neither begins where the other does; both have blocks that are there and some that are not, and bytes past SMALL */
static int64_t start_of(const Actor *actor)
{
    return actor->who == 0 ? 21 * KIB + 100 : 25 * KIB;
}

static int64_t bytes_of(const Actor *actor)
{
    return actor->who == 0 ? 15 * KIB : 14 * KIB + 300;
}

static bool has(const Actor *actor, int64_t at)
{
    return at >= start_of(actor) && at < start_of(actor) + bytes_of(actor);
}

static const Actor *other_of(const Actor *actor)
{
    return &actor->pair->actors[!actor->who];
}

static unsigned effect_of(const Actor *actor, int64_t at, unsigned set)
{
    return actor->action->effect ? actor->action->effect(actor, at, set) : set;
}

static bool may_be(const Template *t, int64_t at, uint8_t byte, unsigned set)
{
    return (set & BEFORE && byte == t->before[at]) || (set & FIRST && byte == FIRST_BYTE) ||
           (set & SECOND && byte == SECOND_BYTE) || (set & ZERO && byte == 0);
}

/* What may be seen while the other is at work, or not yet, or no more */
static unsigned seen_beside(const Actor *actor, int64_t at)
{
    const Actor other = { actor->pair, !actor->who, other_of(actor)->action };  /* its ret is not known yet */

    return BEFORE | effect_of(&other, at, BEFORE);
}

static void check_seen(const Actor *actor, const uint8_t *got)
{
    for (int64_t i = 0; i < bytes_of(actor); i++) {
        int64_t at = start_of(actor) + i;

        if (!may_be(actor->pair->template, at, got[i], seen_beside(actor, at))) {
            g_error("byte %" PRId64 " was read as 0x%02x", at, got[i]);
        }
    }
}

/* The actions */

static int do_write(Actor *actor)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes_of(actor));

    memset(buf, actor->who == 0 ? FIRST_BYTE : SECOND_BYTE, (size_t)bytes_of(actor));
    return bdrv_pwrite(actor->pair->bs, start_of(actor), buf, bytes_of(actor), 0);
}

static unsigned effect_of_write(const Actor *actor, int64_t at, unsigned set)
{
    unsigned own = actor->who == 0 ? FIRST : SECOND;

    return !has(actor, at) ? set : actor->ret < 0 ? set | own : own;
}

static int do_write_through(Actor *actor)
{
    g_autofree uint8_t *buf = g_malloc((gsize)bytes_of(actor));

    memset(buf, actor->who == 0 ? FIRST_BYTE : SECOND_BYTE, (size_t)bytes_of(actor));
    return bdrv_pwrite(actor->pair->bs, start_of(actor), buf, bytes_of(actor), BDRV_REQ_FUA);
}

static int do_read(Actor *actor)
{
    g_autofree uint8_t *got = g_malloc((gsize)bytes_of(actor));
    int ret = bdrv_pread(actor->pair->bs, start_of(actor), got, bytes_of(actor), 0);

    if (ret == 0) {
        check_seen(actor, got);
    }
    return ret;
}

static int do_zero(Actor *actor)
{
    return bdrv_pwrite_zeroes(actor->pair->bs, start_of(actor), bytes_of(actor), BDRV_REQ_MAY_UNMAP);
}

static unsigned effect_of_zero(const Actor *actor, int64_t at, unsigned set)
{
    return !has(actor, at) ? set : actor->ret < 0 ? set | ZERO : ZERO;
}

static int do_discard(Actor *actor)
{
    return bdrv_pdiscard(actor->pair->bs, start_of(actor), bytes_of(actor));
}

static unsigned effect_of_discard(const Actor *actor, int64_t at, unsigned set)
{
    return has(actor, at) ? set | ZERO : set;
}

static int do_flush(Actor *actor)
{
    return bdrv_flush(actor->pair->bs);
}

static int do_grow(Actor *actor)
{
    return rig_truncate(actor->pair->bs, LARGE);
}

static int do_shrink(Actor *actor)
{
    return rig_truncate(actor->pair->bs, SMALL);
}

/* The other may make it longer again */
static unsigned effect_of_shrink(const Actor *actor, int64_t at, unsigned set)
{
    return at < SMALL || actor->ret < 0 ? set : ZERO;
}

static int error_of(bool ok, GError *err)
{
    int ret = ok ? 0 : -bdrv_error_code(err);

    g_assert_cmpint(ok, ==, !err);
    bdrv_error_free(err);
    return ret;
}

static int do_commit(Actor *actor)
{
    GError *err = NULL;
    bool ok = bdrv_commit(actor->pair->bs, 1, NULL, NULL, &err);

    return error_of(ok, err);
}

static int do_rebase(Actor *actor)
{
    GError *err = NULL;
    bool ok = bdrv_rebase(actor->pair->bs, NULL, NULL, &err);

    return error_of(ok, err);
}

static int do_status(Actor *actor)
{
    const Template *t = actor->pair->template;
    BlockStatus st;
    int ret = bdrv_block_status(actor->pair->bs, start_of(actor), bytes_of(actor), BDRV_STATUS_WANT_ZERO, &st);

    g_assert_cmpint(st.bytes, <=, bytes_of(actor));
    for (int64_t at = start_of(actor); ret == 0 && st.zero && at < start_of(actor) + st.bytes; at++) {
        g_assert_true(may_be(t, at, 0, seen_beside(actor, at)));
    }
    return ret;
}

static int do_info(Actor *actor)
{
    BlockInfo *info = bdrv_get_info(actor->pair->bs, NULL);
    int64_t size = info->virtual_size;

    bdrv_info_free(info);
    g_assert_true(size == SIZE || (size == SMALL && other_of(actor)->action->run == do_shrink) ||
                  (size == LARGE && other_of(actor)->action->run == do_grow));
    return 0;
}

/* Not of an image that others write to */
static int do_check(Actor *actor)
{
    GError *err = NULL;
    BlockCheck *check = bdrv_check(actor->pair->bs, 0, &err);

    g_assert_null(check);
    return error_of(false, err);
}

static const Action actions[] = {
    { "write", do_write, effect_of_write, .ranged = true },
    { "write-through", do_write_through, effect_of_write, .ranged = true },
    { "read", do_read, NULL, .ranged = true },
    { "zero", do_zero, effect_of_zero, .ranged = true },
    { "discard", do_discard, effect_of_discard, .ranged = true },
    { "flush", do_flush },
    { "grow", do_grow },
    { "shrink", do_shrink, effect_of_shrink },
    { "commit", do_commit },
    { "rebase", do_rebase },
    { "status", do_status, NULL, .ranged = true },
    { "info", do_info },
    { "check", do_check },
};

/* What came of it */

static void check_ret(const Actor *actor)
{
    const Kind *kind = actor->pair->template->kind;
    const Action *a = actor->action;
    int (*other)(Actor *) = other_of(actor)->action->run;
    int ret = actor->ret;

    if (a->run == do_check) {
        g_assert_cmpint(ret, <, 0);
    } else if (a->run == do_rebase && !kind->child && strcmp(kind->name, "dynamic")) {
        g_assert_cmpint(ret, ==, -ENOTSUP);
    } else if (a->run == do_commit && !kind->child) {
        g_assert_cmpint(ret, ==, kind->flags & BDRV_O_SNAPSHOT ? -EACCES : -EINVAL);
    } else if (a->run == do_commit && ret == -EINVAL) {
        g_assert_true(other == do_rebase);
    } else if ((a->run == do_grow || a->run == do_shrink) && kind->fixed_length) {
        g_assert_cmpint(ret, ==, -ENOTSUP);
    } else if (a->ranged && ret == -EIO) {
        g_assert_true(other == do_shrink && !kind->fixed_length);
    } else if (ret != 0) {
        g_error("%s of %s beside %s: error %d", a->name, kind->name, other_of(actor)->action->name, -ret);
    }
}

static bool did(const Pair *pair, int (*run)(Actor *))
{
    return (pair->actors[0].action->run == run && pair->actors[0].ret == 0) ||
           (pair->actors[1].action->run == run && pair->actors[1].ret == 0);
}

static int64_t check_length(const Pair *pair)
{
    int64_t size = bdrv_getlength(pair->bs);
    bool longer = did(pair, do_grow), shorter = did(pair, do_shrink);

    if (!(longer && size == LARGE) && !(shorter && size == SMALL)) {
        g_assert_false(longer || shorter);
        g_assert_cmpint(size, ==, SIZE);
    }
    return size;
}

static void check_contents(const Pair *pair, const uint8_t *got, int64_t size)
{
    const Actor *first = &pair->actors[0], *second = &pair->actors[1];

    for (int64_t at = 0; at < size; at++) {
        unsigned set = effect_of(second, at, effect_of(first, at, BEFORE)) |
                       effect_of(first, at, effect_of(second, at, BEFORE));

        if (!may_be(pair->template, at, got[at], set)) {
            g_error("%s beside %s: byte %" PRId64 " is 0x%02x", first->action->name, second->action->name, at, got[at]);
        }
    }
}

/* Images */

static bool is_own(int64_t at)
{
    return at / STRIPE % 3 == 0;
}

static void write_stripes(BlockDriverState *bs, bool all, uint8_t byte)
{
    uint8_t buf[STRIPE];

    memset(buf, byte, sizeof(buf));
    for (int64_t at = 0; at < SIZE; at += sizeof(buf)) {
        if (all || is_own(at)) {
            g_assert_cmpint(bdrv_pwrite(bs, at, buf, sizeof(buf), 0), ==, 0);
        }
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static Disk *disk_from(const Medium *file)
{
    Disk *disk = disk_new();
    int64_t size = medium_size(file);
    g_autofree uint8_t *bytes = g_malloc((gsize)size);

    medium_read(file, 0, bytes, size);
    disk_truncate(disk, size);
    disk_write(disk, 0, bytes, size);
    return disk;
}

static void template_init(Template *t, const Kind *kind)
{
    Medium parent = medium_on_file("parent"), image = medium_on_file("image");
    g_autofree char *create = g_strdup_printf("%s,size=%d", kind->create, SIZE);
    const char *driver = strstr(kind->create, "vpc") ? "driver=vpc" : "driver=raw";

    *t = (Template) { .kind = kind };
    if (kind->child) {
        medium_create(&parent, "driver=vpc,size=64k,block_size=4k");
        write_stripes(medium_open(&parent, "driver=vpc", BDRV_O_RDWR), true, PARENT_BYTE);
        t->parent = disk_from(&parent);
    }
    medium_create(&image, create);
    write_stripes(medium_open(&image, driver, BDRV_O_RDWR), false, OWN_BYTE);
    t->top = disk_from(&image);
    for (int64_t at = 0; at < SIZE; at++) {
        t->before[at] = is_own(at) ? OWN_BYTE : kind->child ? PARENT_BYTE : 0;
    }
    medium_clear(&image);
    medium_clear(&parent);
}

static void template_clear(Template *t)
{
    disk_free(t->top);
    g_clear_pointer(&t->parent, disk_free);
}

static void open_image(Pair *pair, unsigned flags)
{
    DiskParent parent = { pair->parent, "vpc" };
    const BlockStorage storage = stop_storage(&pair->stop);
    const BlockResolver resolver = { &parent, medium_find_parent };
    const BlockOpenArgs args = { NULL, &storage, pair->template->kind->options, BDRV_O_RDWR | BDRV_O_UNMAP | flags,
                                 pair->parent ? &resolver : NULL };
    GError *err = NULL;

    pair->bs = bdrv_open_with(&args, &err);
    if (!pair->bs) {
        g_error("%s", bdrv_error_message(err));
    }
}

static void pair_init(Pair *pair, Template *t, const Action *first, const Action *second)
{
    Medium medium = { NULL, disk_clone(t->top) };

    *pair = (Pair) { t };
    stop_init(&pair->stop, medium);
    pair->parent = t->parent ? disk_clone(t->parent) : NULL;
    pair->actors[0] = (Actor) { pair, 0, first };
    pair->actors[1] = (Actor) { pair, 1, second };
    open_image(pair, t->kind->flags);
}

/* What was committed is the child's */
static void check_parent(const Pair *pair, const uint8_t *got, int64_t size)
{
    Medium medium = { NULL, pair->parent };
    g_autofree uint8_t *buf = g_malloc(SIZE);
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", 0);

    g_assert_cmpint(bdrv_pread(bs, 0, buf, SIZE, 0), ==, 0);
    for (int64_t at = 0; at < SIZE; at++) {
        bool own = at < size && buf[at] == got[at];

        g_assert_true(buf[at] == PARENT_BYTE || own || buf[at] == FIRST_BYTE || buf[at] == SECOND_BYTE ||
                      buf[at] == OWN_BYTE || buf[at] == 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* Both have ended: look, close, and look again */
static void pair_end(Pair *pair)
{
    bool snapshot = pair->template->kind->flags & BDRV_O_SNAPSHOT;
    g_autofree uint8_t *got = g_malloc0(LARGE), *again = g_malloc0(LARGE);

    check_ret(&pair->actors[0]);
    check_ret(&pair->actors[1]);
    int64_t size = check_length(pair);
    g_assert_cmpint(bdrv_pread(pair->bs, 0, got, size, 0), ==, 0);
    check_contents(pair, got, size);
    g_assert_cmpint(bdrv_close(pair->bs), ==, 0);

    open_image(pair, 0);
    g_assert_cmpint(bdrv_getlength(pair->bs), ==, size);
    g_assert_cmpint(bdrv_pread(pair->bs, 0, again, size, 0), ==, 0);
    kit_assert_same(again, snapshot ? pair->template->before : got, size, 0);
    g_assert_cmpint(bdrv_close(pair->bs), ==, 0);
    if (pair->parent) {
        check_parent(pair, got, size);
        disk_free(pair->parent);
    }
    stop_clear(&pair->stop);
}

/* Pairs */

static int act(void *data)
{
    Actor *actor = data;

    return actor->ret = actor->action->run(actor);
}

/* Together */
static int act_at_once(void *data)
{
    Actor *actor = data;

    __atomic_add_fetch(&actor->pair->ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&actor->pair->ready, __ATOMIC_SEQ_CST) < 2) {
        sched_yield();
    }
    return act(data);
}

static void run_stopped(Pair *pair)
{
    Job first = { act, &pair->actors[0] }, second = { act, &pair->actors[1] };

    stop_next(&pair->stop);
    job_start(&first);
    while (!stop_is_stopped(&pair->stop) && !__atomic_load_n(&first.done, __ATOMIC_ACQUIRE)) {
        g_usleep(20);
    }
    job_start(&second);
    if (stop_is_stopped(&pair->stop)) {
        while (!job_is_asleep_or_done(&second)) {
            g_usleep(20);
        }
    }
    stop_end(&pair->stop);
    job_end(&first);
    job_end(&second);
}

static void run_at_once(Pair *pair)
{
    Job first = { act_at_once, &pair->actors[0] }, second = { act_at_once, &pair->actors[1] };

    job_start(&first);
    job_start(&second);
    job_end(&first);
    job_end(&second);
}

static unsigned run_pair(Template *t, const Action *first, const Action *second)
{
    for (int i = 0; i < 1 + RACES; i++) {
        Pair pair;

        pair_init(&pair, t, first, second);
        if (i == 0) {
            run_stopped(&pair);
        } else {
            run_at_once(&pair);
        }
        pair_end(&pair);
    }
    return 2 * (1 + RACES);
}

static void test_kind(const void *data)
{
    g_autofree Template *t = g_new0(Template, 1);
    unsigned count = 0;

    template_init(t, data);
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(actions); j++) {
            count += run_pair(t, &actions[i], &actions[j]);
        }
    }
    template_clear(t);
    g_test_message("%u operations, in pairs of %zu kinds", count, G_N_ELEMENTS(actions));
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/pairs/%s", kinds[i].name);

        g_test_add_data_func(path, &kinds[i], test_kind);
    }
    return kit_run();
}
