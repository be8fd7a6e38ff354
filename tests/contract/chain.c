/* chain.c - random requests to the top of a chain of images, against every level's contents in memory */
/* SPDX-License-Identifier: MIT
 *
 * The root is fixed, dynamic or raw, what stands on it are differencing disks, each with a size and a block
 * size of its own. A parent shorter than its child reads as zeroes beyond its end, a longer one is hidden.
 * No file but that of the top changes, ever, except the one that is committed into.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

enum { KIB = 1 << 10, SECTOR = 512, MAX_LEVELS = 40 };

typedef struct Config {
    const char *name;
    int parents;                /* at the start; some more come to be */
    int64_t max_size;
    unsigned seeds, ops;
} Config;

static const Config configs[] = {
    { "alone", 0, 512 * KIB, 30, 120 },
    { "parent", 1, 512 * KIB, 70, 120 },
    { "grandparent", 2, 384 * KIB, 60, 120 },
    { "deep", 8, 192 * KIB, 28, 100 },
    { "deepest", 32, 96 * KIB, 12, 60 },
};

typedef struct Level {
    enum { ROOT_RAW, ROOT_FIXED, ROOT_DYNAMIC, CHILD } kind;
    Medium medium;
    int64_t size;
    uint8_t *data;              /* what it reads as */
    char *hash;                 /* of the file; not of the top's */
} Level;

typedef struct Chain {
    const Config *config;
    GRand *rand;
    Level levels[MAX_LEVELS];   /* the root first */
    int count;
    unsigned files;             /* that were named */
    bool snapshot;              /* bs is a scratch file over the top */
    BlockDriverState *bs;
} Chain;

typedef struct Range {
    int64_t offset, bytes;
} Range;

static int64_t below(Chain *c, int64_t n)
{
    return (int64_t)(g_rand_double(c->rand) * (double)n);
}

static bool one_in(Chain *c, int n)
{
    return g_rand_int_range(c->rand, 0, n) == 0;
}

static Level *top(Chain *c)
{
    return &c->levels[c->count - 1];
}

static void must(bool ok, GError **err)
{
    if (!ok) {
        g_error("%s", bdrv_error_message(*err));
    }
}

/* Files */

static char *hash_of(const Level *level)
{
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(level->medium.file, &bytes, &length, NULL));
    return g_compute_checksum_for_data(G_CHECKSUM_MD5, (const guchar *)bytes, length);
}

static void remember(Level *level)
{
    g_free(level->hash);
    level->hash = hash_of(level);
}

/* Those of the first @count levels, but for @except */
static void assert_untouched(Chain *c, int count, int except)
{
    for (int i = 0; i < count; i++) {
        g_autofree char *hash = hash_of(&c->levels[i]);

        if (i != except && strcmp(hash, c->levels[i].hash)) {
            g_error("the file of level %d was written to", i);
        }
    }
}

/* Opens the level @index; @writable counts levels down from there, 0: no parent is to be written to. That a
 * root is raw has to be said, where it is need not. */
static char *options_of(Chain *c, int index, int writable)
{
    GString *options = g_string_new(index == 0 && c->levels[0].kind == ROOT_RAW ? "driver=raw" : "driver=vpc");
    GString *prefix = g_string_new(NULL);

    for (int depth = 1; depth <= index; depth++) {
        g_string_append(prefix, "backing.");
        if (depth == writable) {
            g_string_append_printf(options, ",%sread-only=off", prefix->str);
        }
        if (depth == index && c->levels[0].kind == ROOT_RAW) {
            g_string_append_printf(options, ",%sdriver=raw", prefix->str);
        }
        if (depth == index && one_in(c, 4)) {
            g_string_append_printf(options, ",%sfile.filename=%s", prefix->str, c->levels[0].medium.file);
        }
    }
    if (one_in(c, 4)) {
        g_string_append_printf(options, ",metadata-cache-size=%d", one_in(c, 2) ? 4096 : 16);
    }
    g_string_free(prefix, TRUE);
    return g_string_free(options, FALSE);
}

static BlockDriverState *open_level(Chain *c, int index, int writable, unsigned flags)
{
    g_autofree char *options = options_of(c, index, writable);

    flags |= BDRV_O_NO_FLUSH | (one_in(c, 4) ? 0 : BDRV_O_UNMAP);
    BlockDriverState *bs = medium_open(&c->levels[index].medium, options, flags);

    g_assert_cmpint(bdrv_getlength(bs), ==, c->levels[index].size);
    return bs;
}

static void open_top(Chain *c)
{
    c->bs = open_level(c, c->count - 1, 0, BDRV_O_RDWR);
}

static void close_top(Chain *c)
{
    g_assert_cmpint(bdrv_close(c->bs), ==, 0);
    c->bs = NULL;
    assert_untouched(c, c->count - 1, -1);
    if (top(c)->kind != ROOT_RAW) {
        vhd_assert_sound(&top(c)->medium);
    }
}

static void check_all(BlockDriverState *bs, const Level *level)
{
    g_autofree uint8_t *got = kit_read_all(bs);

    kit_assert_same(got, level->data, level->size, 0);
}

static void check_level(Chain *c, int index)
{
    BlockDriverState *bs = open_level(c, index, 0, 0);

    check_all(bs, &c->levels[index]);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* Requests to the top */

static Range pick_range(Chain *c)
{
    static const int64_t units[] = { 1, 1, 512, 512, 4096 };
    int64_t unit = units[below(c, G_N_ELEMENTS(units))], size = top(c)->size;
    Range r = { below(c, size), one_in(c, 4) ? below(c, 70000) : below(c, 3000) };

    if (c->count > 1 && one_in(c, 8)) {
        r.offset = c->levels[below(c, c->count - 1)].size - below(c, 1000);     /* around the end of a parent */
    }
    r.offset = CLAMP(r.offset, 0, size) / unit * unit;
    r.bytes = MIN((r.bytes + unit - 1) / unit * unit, size - r.offset);
    return r;
}

static void check_range(Chain *c, Range r)
{
    g_autofree uint8_t *got = g_malloc((gsize)r.bytes + 1);

    g_assert_cmpint(bdrv_pread(c->bs, r.offset, got, r.bytes, 0), ==, 0);
    kit_assert_same(got, top(c)->data + r.offset, r.bytes, r.offset);
}

static void do_read(Chain *c)
{
    check_range(c, pick_range(c));
}

static void do_write(Chain *c)
{
    Range r = pick_range(c);

    kit_fill(top(c)->data + r.offset, r.offset, r.bytes, g_rand_int(c->rand));
    g_assert_cmpint(bdrv_pwrite(c->bs, r.offset, top(c)->data + r.offset, r.bytes, one_in(c, 8) ? BDRV_REQ_FUA : 0),
                    ==, 0);
}

static void do_zero(Chain *c)
{
    Range r = pick_range(c);

    memset(top(c)->data + r.offset, 0, (size_t)r.bytes);
    g_assert_cmpint(bdrv_pwrite_zeroes(c->bs, r.offset, r.bytes, one_in(c, 2) ? BDRV_REQ_MAY_UNMAP : 0), ==, 0);
    check_range(c, r);
}

/* Each byte is zero now, or what it was: what a parent has does not come back */
static void do_discard(Chain *c)
{
    Range r = pick_range(c);
    uint8_t *was = top(c)->data + r.offset;
    g_autofree uint8_t *got = g_malloc((gsize)r.bytes + 1);

    g_assert_cmpint(bdrv_pdiscard(c->bs, r.offset, r.bytes), ==, 0);
    g_assert_cmpint(bdrv_pread(c->bs, r.offset, got, r.bytes, 0), ==, 0);
    for (int64_t i = 0; i < r.bytes; i++) {
        if (got[i]) {
            g_assert_cmphex(got[i], ==, was[i]);
        }
    }
    memcpy(was, got, (size_t)r.bytes);
}

static void do_flush(Chain *c)
{
    g_assert_cmpint(bdrv_flush(c->bs), ==, 0);
}

/* What the status says belongs to @owner is there in its file; a read-only parent has no other contents */
static void check_owner(Chain *c, const Level *owner, int64_t offset, const BlockStatus *st)
{
    g_autofree uint8_t *got = g_malloc0((gsize)st->bytes);
    const uint8_t *want = top(c)->data + offset;

    g_assert_cmpint(offset + st->bytes, <=, owner->size);
    kit_assert_same(owner->data + offset, want, st->bytes, offset);
    medium_read(&owner->medium, st->leaf_offset, got,
                CLAMP(medium_size(&owner->medium) - st->leaf_offset, 0, st->bytes));
    kit_assert_same(got, want, st->bytes, offset);
}

/* How far the answer holds */
static int64_t check_status(Chain *c, Range r, unsigned flags)
{
    unsigned above = c->snapshot ? 1 : 0;
    BlockStatus st;

    g_assert_cmpint(bdrv_block_status(c->bs, r.offset, r.bytes, flags, &st), ==, 0);
    g_assert_cmpint(st.bytes, >, 0);
    g_assert_cmpint(st.bytes, <=, r.bytes);
    g_assert_true(st.zero || st.data);
    g_assert_cmpuint(st.depth, <, (unsigned)c->count + above);
    g_assert_cmpint(st.here, ==, st.depth == 0);
    if (st.zero) {
        g_assert_true(kit_is_zero(top(c)->data + r.offset, st.bytes));
    } else if (st.depth >= above) {
        check_owner(c, top(c) - (st.depth - above), r.offset, &st);
    }
    return st.bytes;
}

static void do_status(Chain *c)
{
    Range r = pick_range(c);

    if (r.bytes > 0) {
        check_status(c, r, one_in(c, 2) ? BDRV_STATUS_WANT_ZERO : 0);
    }
}

static void check_all_status(Chain *c, unsigned flags)
{
    for (int64_t at = 0; at < top(c)->size;) {
        at += check_status(c, (Range) { at, top(c)->size - at }, flags);
    }
}

static void do_request(Chain *c)
{
    static void (*const requests[])(Chain *) = {
        do_read, do_read, do_read, do_write, do_write, do_write, do_write, do_write, do_zero, do_zero, do_discard,
        do_flush, do_status, do_status, do_status,
    };

    requests[below(c, G_N_ELEMENTS(requests))](c);
}

/* Making levels */

static char *new_name(Chain *c, const char *what)
{
    return g_strdup_printf("%s-%u", what, c->files++);
}

static int64_t pick_size(Chain *c)
{
    return (1 + below(c, c->config->max_size / SECTOR)) * SECTOR;
}

static void create_level(Chain *c, Level *level)
{
    static const char *const kinds[] = { "driver=raw", "driver=vpc,subformat=fixed", "driver=vpc", "driver=vpc" };
    static const int64_t blocks[] = { 512, 4096, 4096, 16384, 65536, 2097152 };
    GString *options = g_string_new(kinds[level->kind]);

    if (level->kind != CHILD || level->size != level[-1].size || one_in(c, 2)) {
        g_string_append_printf(options, ",size=%" PRId64, level->size);
    }
    if (level->kind >= ROOT_DYNAMIC) {
        g_string_append_printf(options, ",block_size=%" PRId64, blocks[below(c, c->config->parents > 2 ? 5 : 6)]);
    }
    if (level->kind == CHILD) {
        g_autofree char *name = g_path_get_basename(level[-1].medium.file);

        g_string_append_printf(options, ",backing_file=%s%s", name,
                               level[-1].kind == ROOT_RAW ? ",backing_fmt=raw" : "");
    }
    g_string_append(options, ",file.cache.no-flush=on");
    medium_create(&level->medium, options->str);
    g_string_free(options, TRUE);
}

/* One more level, which is the top then; none is open */
static void add_level(Chain *c)
{
    g_autofree char *name = new_name(c, "level");
    Level *level = &c->levels[c->count++];

    *level = (Level) { .kind = CHILD, .medium = medium_on_file(name), .size = pick_size(c) };
    if (c->count == 1) {
        level->kind = (int)below(c, CHILD);
    } else {
        level->size = one_in(c, 2) ? level->size : level[-1].size;
        remember(level - 1);
    }
    level->data = g_malloc0((gsize)level->size);
    if (level->kind == CHILD) {
        memcpy(level->data, level[-1].data, (size_t)MIN(level->size, level[-1].size));
    }
    create_level(c, level);
}

static void make_chain(Chain *c)
{
    while (c->count <= c->config->parents) {
        add_level(c);
        open_top(c);
        for (int i = 0; i < 5; i++) {
            (one_in(c, 3) ? do_zero : do_write)(c);
        }
        close_top(c);
    }
}

/* With the chain closed */

static void do_nothing(Chain *c)
{
}

static void do_add(Chain *c)
{
    if (c->count < MIN(c->config->parents + 4, MAX_LEVELS)) {
        add_level(c);
    }
}

/* The file of the top is as untouched as those of its parents, and the bytes come back */
static void do_snapshot(Chain *c)
{
    g_autofree uint8_t *was = g_memdup2(top(c)->data, (gsize)top(c)->size);

    remember(top(c));
    c->snapshot = true;
    c->bs = open_level(c, c->count - 1, 0, BDRV_O_SNAPSHOT | (one_in(c, 2) ? BDRV_O_RDWR : 0));
    for (int i = 0; i < 12; i++) {
        do_request(c);
    }
    check_all(c->bs, top(c));
    check_all_status(c, 0);
    g_assert_cmpint(bdrv_close(c->bs), ==, 0);
    c->snapshot = false;
    assert_untouched(c, c->count, -1);
    memcpy(top(c)->data, was, (size_t)top(c)->size);
}

static void do_flatten(Chain *c)
{
    Medium flat = medium_on_file("flat");
    g_autofree char *options = g_strdup_printf("driver=vpc,block_size=16k,size=%" PRId64, top(c)->size);
    BlockCopyOptions opts = { .workers = (unsigned)below(c, 4), .target_is_zero = one_in(c, 2) };
    GError *err = NULL;

    medium_create(&flat, options);
    BlockDriverState *from = open_level(c, c->count - 1, 0, 0);
    BlockDriverState *to = medium_open(&flat, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    must(bdrv_copy(from, to, &opts, &err), &err);
    check_all(to, top(c));
    g_assert_cmpint(bdrv_close(from), ==, 0);
    g_assert_cmpint(bdrv_close(to), ==, 0);
    vhd_assert_sound(&flat);
    medium_clear(&flat);
}

/* Committing */

/* The level above one that changed: each sector is its own still, or shows through */
static void adopt_level(Chain *c, int index)
{
    Level *level = &c->levels[index], *parent = level - 1;
    BlockDriverState *bs = open_level(c, index, 0, 0);
    uint8_t *got = kit_read_all(bs);

    for (int64_t at = 0; at < level->size; at += SECTOR) {
        bool own = !memcmp(got + at, level->data + at, SECTOR);

        g_assert_true(own || (at < parent->size && !memcmp(got + at, parent->data + at, SECTOR)));
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    g_free(level->data);
    level->data = got;
}

/* The base has what the top has, and behind that what it had */
static void merge_into(Level *base, const Level *from)
{
    if (base->size < from->size) {
        base->data = g_realloc(base->data, (gsize)from->size);
        base->size = from->size;
    }
    memcpy(base->data, from->data, (size_t)from->size);
}

static void check_committed(Chain *c, int index)
{
    merge_into(&c->levels[index], top(c));
    assert_untouched(c, c->count, index);
    remember(&c->levels[index]);
    for (int i = index; i < c->count; i++) {
        if (i > index && i < c->count - 1) {
            adopt_level(c, i);
        }
        check_level(c, i);
    }
    if (c->levels[index].kind != ROOT_RAW) {
        vhd_assert_sound(&c->levels[index].medium);
    }
}

static bool note_progress(void *user, int64_t done, int64_t total)
{
    int64_t *last = user;

    g_assert_cmpint(done, >, *last);
    g_assert_cmpint(done, <=, total);
    *last = done;
    return true;
}

/* Into a parent or an ancestor, which grows if it is the shorter one */
static void do_commit(Chain *c)
{
    unsigned depth = one_in(c, 2) ? 1 : 1 + (unsigned)below(c, c->count - 1);
    int index = c->count - 1 - (int)depth;
    GError *err = NULL;
    int64_t done = 0;

    if (index < 0) {
        return;
    }
    remember(top(c));
    BlockDriverState *bs = open_level(c, c->count - 1, (int)depth, one_in(c, 2) ? BDRV_O_RDWR : 0);
    for (int times = 0; times < 2; times++) {
        done = 0;
        must(bdrv_commit(bs, depth, note_progress, &done, &err), &err);
        g_assert_cmpint(done, ==, top(c)->size);
        check_all(bs, top(c));
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    check_committed(c, index);
}

/* What would have been thrown away, kept: from a scratch file of ours into the top */
static void do_commit_scratch(Chain *c)
{
    Medium scratch = medium_on_file("scratch");
    g_autofree char *below_it = options_of(c, c->count - 1, 0);
    g_auto(GStrv) items = g_strsplit(below_it, ",", -1);
    g_autofree char *backing = g_strjoinv(",backing.", items);
    g_autofree char *options = g_strdup_printf("driver=cow,backing.file.filename=%s,backing.read-only=off,backing.%s",
                                               top(c)->medium.file, backing);
    GError *err = NULL;

    medium_create(&scratch, "driver=file,size=0");
    c->bs = medium_open(&scratch, options, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    c->snapshot = true;
    for (int i = 0; i < 12; i++) {
        do_request(c);
    }
    must(bdrv_commit(c->bs, 1, NULL, NULL, &err), &err);
    check_all(c->bs, top(c));
    c->snapshot = false;
    close_top(c);
    check_level(c, c->count - 1);
    medium_clear(&scratch);
}

/* Another parent */

static void clear_level(Level *level)
{
    medium_clear(&level->medium);
    g_free(level->data);
    g_free(level->hash);
}

/* Levels from @first on, below the top, are in the chain no more */
static void drop_levels(Chain *c, int first)
{
    Level kept = *top(c);

    for (int i = first; i < c->count - 1; i++) {
        clear_level(&c->levels[i]);
    }
    c->levels[first] = kept;
    c->count = first + 1;
    top(c)->kind = first > 0 ? CHILD : ROOT_DYNAMIC;
}

/* To open @parent with: that a root is raw has to be said */
static char *parent_options(Chain *c, const Level *parent)
{
    GString *options = g_string_new(NULL);
    bool in_chain = parent >= c->levels && parent < c->levels + c->count;

    for (int64_t i = in_chain ? parent - c->levels : 0; i > 0; i--) {
        g_string_append(options, "backing.");
    }
    g_string_append(options, in_chain && c->levels[0].kind == ROOT_RAW ? "driver=raw" : "driver=vpc");
    return g_string_free(options, FALSE);
}

/* The file of the top with @parent behind it, or nothing, if that is NULL; twice, as if it had been interrupted */
static void rebase_top(Chain *c, const Level *parent)
{
    g_autofree char *options = parent ? parent_options(c, parent) : NULL;
    g_autofree char *name = !parent ? NULL : one_in(c, 2) ? g_path_get_basename(parent->medium.file)
                                                         : g_canonicalize_filename(parent->medium.file, NULL);
    int64_t done = 0;
    BlockRebaseOptions opts = { parent && parent->kind == ROOT_RAW ? "raw" : NULL, options, false, note_progress, &done };
    GError *err = NULL;

    for (int times = 0; times < 2; times++) {
        must(bdrv_rebase(c->bs, name, &opts, &err), &err);
        check_all(c->bs, top(c));
        done = 0;
    }
}

/* An image that nothing in the chain knows of, open to be written */
static Level make_stranger(Chain *c)
{
    g_autofree char *name = new_name(c, "stranger");
    Level stranger = { .kind = (int)below(c, CHILD), .medium = medium_on_file(name), .size = pick_size(c) };

    stranger.data = g_malloc0((gsize)stranger.size);
    create_level(c, &stranger);
    BlockDriverState *bs = medium_open(&stranger.medium, stranger.kind == ROOT_RAW ? "driver=raw" : "driver=vpc",
                                       BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    int64_t half = stranger.size / 2, common = MIN(stranger.size, top(c)->size);

    memcpy(stranger.data, top(c)->data, (size_t)common);
    kit_fill(stranger.data, 0, half, g_rand_int(c->rand));
    g_assert_cmpint(bdrv_pwrite(bs, 0, stranger.data, common, 0), ==, 0);
    memset(stranger.data + common, 0, (size_t)(stranger.size - common));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    remember(&stranger);
    return stranger;
}

static bool may_have_parent(Chain *c)
{
    return top(c)->kind == ROOT_DYNAMIC || top(c)->kind == CHILD;
}

static void do_rebase_on_stranger(Chain *c)
{
    if (!may_have_parent(c)) {
        return;
    }
    Level stranger = make_stranger(c);

    open_top(c);
    rebase_top(c, &stranger);
    close_top(c);
    if (c->count == 1) {
        c->levels[1] = c->levels[0];
        c->count = 2;
    } else {
        drop_levels(c, 1);
        clear_level(&c->levels[0]);
    }
    c->levels[0] = stranger;
    c->levels[1].kind = CHILD;
    check_level(c, 1);
}

/* An ancestor, or nobody */
static void do_rebase(Chain *c)
{
    int first = c->count > 1 ? (int)below(c, c->count) : 0;

    if (!may_have_parent(c)) {
        return;
    }
    open_top(c);
    rebase_top(c, first > 0 ? &c->levels[first - 1] : NULL);
    assert_untouched(c, c->count - 1, -1);
    drop_levels(c, first);
    for (int i = 0; i < 6; i++) {
        do_request(c);
    }
    close_top(c);
    if (first == 0) {
        vhd_assert_complete(&top(c)->medium, top(c)->data, top(c)->size);
    }
    check_level(c, first);
}

/* The parent has another name; nothing is copied, and no byte but of names changes */
static void do_relink(Chain *c)
{
    g_autofree char *name = new_name(c, "moved");
    BlockRebaseOptions opts = { .names_only = true };
    GError *err = NULL;

    if (c->count == 1) {
        return;
    }
    Level *parent = top(c) - 1;
    Medium moved = medium_on_file(name);

    g_assert_cmpint(rename(parent->medium.file, moved.file), ==, 0);
    g_free(parent->medium.file);
    parent->medium = moved;
    opts.driver = parent->kind == ROOT_RAW ? "raw" : NULL;
    c->bs = medium_open(&top(c)->medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH | BDRV_O_NO_BACKING);
    must(bdrv_rebase(c->bs, name, &opts, &err), &err);
    g_assert_cmpint(bdrv_close(c->bs), ==, 0);
    check_level(c, c->count - 1);
}

static void do_something(Chain *c)
{
    static void (*const things[])(Chain *) = {
        do_nothing, do_add, do_add, do_snapshot, do_flatten, do_commit, do_commit, do_commit_scratch, do_rebase,
        do_rebase_on_stranger, do_relink,
    };

    if (one_in(c, 12)) {
        close_top(c);
        things[below(c, G_N_ELEMENTS(things))](c);
        open_top(c);
    } else {
        do_request(c);
    }
}

static void conclude(Chain *c)
{
    check_all(c->bs, top(c));
    check_all_status(c, 0);
    check_all_status(c, BDRV_STATUS_WANT_ZERO);
    close_top(c);
    for (int i = 0; i < c->count; i++) {
        check_level(c, i);
    }
}

static void clear_chain(Chain *c)
{
    for (int i = 0; i < c->count; i++) {
        clear_level(&c->levels[i]);
    }
    g_rand_free(c->rand);
}

static bool run_script(unsigned seed, const void *data)
{
    Chain c = { .config = data, .rand = g_rand_new_with_seed(seed + 1) };

    make_chain(&c);
    open_top(&c);
    for (unsigned i = 0; i < c.config->ops; i++) {
        do_something(&c);
    }
    conclude(&c);
    clear_chain(&c);
    return true;
}

static void test_config(const void *data)
{
    kit_each_seed(((const Config *)data)->seeds, run_script, data);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
        g_autofree char *path = g_strdup_printf("/chain/%s", configs[i].name);

        g_test_add_data_func(path, &configs[i], test_config);
    }
    return kit_run();
}
