/* agree.c - random requests to every kind of image, against the same requests to plain memory */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "kit.h"
#include "medium.h"
#include "vhd.h"

#define KIB (1 << 10)
#define MIB (1 << 20)

typedef enum Bits { BITS_SET, BITS_CLEAR, BITS_JUNK } Bits;     /* vhd_clear_bits() before the script */

typedef struct Config {
    const char *name;
    const char *base;           /* opens what create= made */
    const char *options;        /* opens what the script runs on, but for a window's place; NULL: base */
    const char *create;
    int64_t max_size;
    int64_t block;              /* requests gather around multiples of it */
    unsigned seeds, ops;
    Bits bits;
    bool window, on_disk, direct;
} Config;

#define DYNAMIC(n) "driver=vpc,block_size=" #n
static const Config configs[] = {
    { "dynamic/512", "driver=vpc", NULL, DYNAMIC(512), 256 * KIB, 512, 20, 100 },
    { "dynamic/4k", "driver=vpc", NULL, DYNAMIC(4k), MIB, 4096, 20, 100 },
    { "dynamic/512k", "driver=vpc", NULL, DYNAMIC(512k), 3 * MIB, 512 * KIB, 20, 80 },
    { "dynamic/2m", "driver=vpc", NULL, DYNAMIC(2M), 7 * MIB, 2 * MIB, 16, 80 },
    { "dynamic/16m", "driver=vpc", NULL, DYNAMIC(16M), 34 * MIB, 16 * MIB, 6, 50 },
    { "dynamic/many", "driver=vpc", NULL, DYNAMIC(512), 10 * MIB, 64 * KIB, 6, 60 },
    { "fixed", "driver=vpc", NULL, "driver=vpc,subformat=fixed", 2 * MIB, 64 * KIB, 20, 100 },
    { "raw", "driver=raw", NULL, "driver=raw", 2 * MIB, 64 * KIB, 10, 100 },
    { "odd", "driver=raw", NULL, "driver=file", 64 * KIB, 4096, 12, 60 },
    { "file", "driver=file", NULL, "driver=file", 2 * MIB, 64 * KIB, 10, 100 },
    { "window", "driver=raw", NULL, "driver=raw", 2 * MIB, 64 * KIB, 16, 100, .window = true },
    { "window/dynamic", "driver=vpc", "driver=raw,file.driver=vpc", DYNAMIC(4k), MIB, 4096, 16, 100,
      .window = true },
    { "window/fixed", "driver=vpc", "driver=raw,file.driver=vpc", "driver=vpc,subformat=fixed", MIB, 4096, 8,
      100, .window = true },
    { "storage/raw", "driver=raw", NULL, "driver=raw", MIB, 64 * KIB, 10, 100, .on_disk = true },
    { "storage/4k", "driver=vpc", NULL, DYNAMIC(4k), MIB, 4096, 12, 100, .on_disk = true },
    { "storage/2m", "driver=vpc", NULL, DYNAMIC(2M), 7 * MIB, 2 * MIB, 8, 60, .on_disk = true },
    { "clear/4k", "driver=vpc", NULL, DYNAMIC(4k), MIB, 4096, 12, 100, BITS_CLEAR },
    { "clear/2m", "driver=vpc", NULL, DYNAMIC(2M), 5 * MIB, 2 * MIB, 8, 80, BITS_CLEAR },
    { "junk/512", "driver=vpc", NULL, DYNAMIC(512), 128 * KIB, 512, 12, 100, BITS_JUNK },
    { "junk/4k", "driver=vpc", NULL, DYNAMIC(4k), MIB, 4096, 16, 100, BITS_JUNK },
    { "junk/2m", "driver=vpc", NULL, DYNAMIC(2M), 5 * MIB, 2 * MIB, 10, 80, BITS_JUNK },
    { "junk/16m", "driver=vpc", NULL, DYNAMIC(16M), 20 * MIB, 2 * MIB, 4, 80, BITS_JUNK, .on_disk = true },
    { "junk/storage", "driver=vpc", NULL, DYNAMIC(64k), MIB, 64 * KIB, 8, 100, BITS_JUNK, .on_disk = true },
    { "junk/window", "driver=vpc", "driver=raw,file.driver=vpc", DYNAMIC(64k), MIB, 64 * KIB, 8, 100, BITS_JUNK,
      .window = true },
    { "direct/raw", "driver=raw", NULL, "driver=raw", 2 * MIB, 64 * KIB, 8, 80, .direct = true },
    { "direct/odd", "driver=raw", NULL, "driver=file", 64 * KIB, 4096, 8, 60, .direct = true },
    { "direct/fixed", "driver=vpc", NULL, "driver=vpc,subformat=fixed", 2 * MIB, 64 * KIB, 8, 80, .direct = true },
    { "direct/4k", "driver=vpc", NULL, DYNAMIC(4k), MIB, 4096, 8, 80, .direct = true },
    { "direct/2m", "driver=vpc", NULL, DYNAMIC(2M), 5 * MIB, 2 * MIB, 6, 60, .direct = true },
    { "direct/junk", "driver=vpc", NULL, DYNAMIC(64k), MIB, 64 * KIB, 6, 80, BITS_JUNK, .direct = true },
    { "aligned/4k", "driver=vpc", "driver=vpc,file.driver=blkdebug,file.align=4096", DYNAMIC(4k), MIB, 4096, 12, 100 },
    { "aligned/fixed", "driver=vpc", "driver=vpc,file.driver=blkdebug,file.align=4096", "driver=vpc,subformat=fixed",
      MIB, 64 * KIB, 8, 100 },
    { "aligned/junk", "driver=vpc", "driver=vpc,file.driver=blkdebug,file.align=4096", DYNAMIC(64k), MIB, 64 * KIB,
      8, 100, BITS_JUNK },
    { "tiny-cache/many", "driver=vpc", "driver=vpc,metadata-cache-size=4k", DYNAMIC(512), 10 * MIB, 64 * KIB, 8, 80 },
    { "tiny-cache/junk", "driver=vpc", "driver=vpc,metadata-cache-size=4k", DYNAMIC(4k), 2 * MIB, 4096, 12, 150,
      BITS_JUNK },
};

typedef struct Script {
    const Config *config;
    unsigned seed;
    GRand *rand;
    Medium medium;
    uint8_t *all;               /* what the base holds, */
    int64_t all_size;
    int64_t at, size;           /* and which part of it is the disk */
    uint8_t *twin;              /* all + at */
    char *options;
    BlockDriverState *bs;
} Script;

typedef struct Range {
    int64_t offset, bytes;
} Range;

static int64_t below(Script *s, int64_t n)
{
    return (int64_t)(g_rand_double(s->rand) * (double)n);
}

static bool one_in(Script *s, int n)
{
    return g_rand_int_range(s->rand, 0, n) == 0;
}

static int64_t pick_length(Script *s)
{
    switch (g_rand_int_range(s->rand, 0, 20)) {
    case 0:
        return 0;
    case 1:
        return below(s, 2 * s->config->block + s->config->block / 2);
    case 2 ... 5:
        return below(s, 70000);
    case 6 ... 9:
        return below(s, s->config->block + 1);
    default:
        return below(s, 1025);
    }
}

/* Anywhere, or around the edge of a block */
static Range pick_range(Script *s)
{
    static const int64_t units[] = { 1, 1, 512, 512, 4096 };
    int64_t unit = units[below(s, G_N_ELEMENTS(units))];
    Range r = { below(s, s->size + 1), pick_length(s) };

    if (one_in(s, 2)) {
        r.offset = r.offset / s->config->block * s->config->block + below(s, 1200) - 600;
    }
    r.offset = CLAMP(r.offset, 0, s->size) / unit * unit;
    r.bytes = MIN((r.bytes + unit - 1) / unit * unit, s->size - r.offset);
    return r;
}

/* Memory for a request, aligned or not, with guards around it */
typedef struct Buffer {
    uint8_t *memory, *data;
    int64_t bytes;
    struct iovec iov[24];
    int niov;
} Buffer;

#define GUARD 4096

static void split_buffer(Script *s, Buffer *b)
{
    int64_t done = 0;

    for (b->niov = 0; b->niov < (int)G_N_ELEMENTS(b->iov) - 1 && one_in(s, 20) == 0; b->niov++) {
        int64_t n = one_in(s, 3) ? (b->bytes - done) / 512 / 2 * 512 : below(s, (b->bytes - done) / 2 + 1);

        b->iov[b->niov] = (struct iovec) { b->data + done, (size_t)n };
        done += n;
    }
    b->iov[b->niov++] = (struct iovec) { b->data + done, (size_t)(b->bytes - done) };
}

static Buffer buffer_new(Script *s, int64_t bytes)
{
    int64_t skew = one_in(s, 2) ? 0 : below(s, 1024);
    Buffer b = { .bytes = bytes };

    b.memory = aligned_alloc(4096, (size_t)(bytes / 4096 + 2) * 4096 + 2 * GUARD);
    b.data = b.memory + GUARD + skew;
    memset(b.memory, 0x5a, (size_t)(GUARD + skew));
    memset(b.data, 0x11, (size_t)bytes);
    memset(b.data + bytes, 0x5a, GUARD);
    split_buffer(s, &b);
    return b;
}

static void buffer_free(Buffer *b)
{
    for (const uint8_t *p = b->memory; p < b->data; p++) {
        g_assert_cmphex(*p, ==, 0x5a);
    }
    for (int i = 0; i < GUARD; i++) {
        g_assert_cmphex(b->data[b->bytes + i], ==, 0x5a);
    }
    free(b->memory);
}

static void check_contents(Script *s, Range r)
{
    Buffer b = buffer_new(s, r.bytes);
    int ret = one_in(s, 2) ? bdrv_pread(s->bs, r.offset, b.data, r.bytes, 0)
                           : bdrv_preadv(s->bs, r.offset, b.iov, b.niov, 0);

    g_assert_cmpint(ret, ==, 0);
    kit_assert_same(b.data, s->twin + r.offset, r.bytes, r.offset);
    buffer_free(&b);
}

static unsigned pick_request_flags(Script *s)
{
    return (one_in(s, 8) ? BDRV_REQ_FUA : 0) | (one_in(s, 2) ? BDRV_REQ_MAY_UNMAP : 0);
}

static void do_read(Script *s)
{
    check_contents(s, pick_range(s));
}

static void do_write(Script *s)
{
    Range r = pick_range(s);
    Buffer b = buffer_new(s, r.bytes);
    unsigned flags = pick_request_flags(s) & BDRV_REQ_FUA;

    kit_fill(b.data, r.offset, r.bytes, g_rand_int(s->rand));
    memcpy(s->twin + r.offset, b.data, (size_t)r.bytes);
    int ret = one_in(s, 2) ? bdrv_pwrite(s->bs, r.offset, b.data, r.bytes, flags)
                           : bdrv_pwritev(s->bs, r.offset, b.iov, b.niov, flags);
    g_assert_cmpint(ret, ==, 0);
    kit_assert_same(b.data, s->twin + r.offset, r.bytes, r.offset);
    buffer_free(&b);
}

static void do_zero(Script *s)
{
    Range r = pick_range(s);

    g_assert_cmpint(bdrv_pwrite_zeroes(s->bs, r.offset, r.bytes, pick_request_flags(s)), ==, 0);
    memset(s->twin + r.offset, 0, (size_t)r.bytes);
    check_contents(s, r);
}

/* Each byte is zero now, or what it was; and from now on it is that */
static void do_discard(Script *s)
{
    Range r = pick_range(s);
    Buffer b = buffer_new(s, r.bytes);

    g_assert_cmpint(bdrv_pdiscard(s->bs, r.offset, r.bytes), ==, 0);
    g_assert_cmpint(bdrv_pread(s->bs, r.offset, b.data, r.bytes, 0), ==, 0);
    for (int64_t i = 0; i < r.bytes; i++) {
        if (b.data[i]) {
            g_assert_cmphex(b.data[i], ==, s->twin[r.offset + i]);
        }
    }
    memcpy(s->twin + r.offset, b.data, (size_t)r.bytes);
    buffer_free(&b);
}

static void do_flush(Script *s)
{
    g_assert_cmpint(bdrv_flush(s->bs), ==, 0);
}

/* Where the status says that bytes are, there they are */
static void check_leaf(Script *s, int64_t offset, const BlockStatus *st)
{
    int64_t bytes = MIN(st->bytes, MIB), have = CLAMP(medium_size(&s->medium) - st->leaf_offset, 0, bytes);
    g_autofree uint8_t *buf = g_malloc0((gsize)bytes + 1);

    medium_read(&s->medium, st->leaf_offset, buf, have);
    kit_assert_same(buf, s->twin + offset, bytes, offset);
}

/* How far the answer holds */
static int64_t check_status(Script *s, Range r, unsigned flags)
{
    BlockStatus st;

    g_assert_cmpint(bdrv_block_status(s->bs, r.offset, r.bytes, flags, &st), ==, 0);
    g_assert_cmpint(st.bytes, >, 0);
    g_assert_cmpint(st.bytes, <=, r.bytes);
    g_assert_true(st.here);
    g_assert_cmpuint(st.depth, ==, 0);
    g_assert_true(st.zero || st.data);
    if (st.zero) {
        g_assert_true(kit_is_zero(s->twin + r.offset, st.bytes));
    } else {
        g_assert_nonnull(st.leaf);
        check_leaf(s, r.offset, &st);
    }
    return st.bytes;
}

static void do_status(Script *s)
{
    Range r = pick_range(s);

    if (r.bytes > 0) {
        check_status(s, r, one_in(s, 2) ? BDRV_STATUS_WANT_ZERO : 0);
    }
}

static void close_image(Script *s)
{
    g_assert_cmpint(bdrv_close(s->bs), ==, 0);
    s->bs = NULL;
    g_assert_true(!strstr(s->config->base, "vpc") || vhd_ends_well(&s->medium));
}

static void open_image(Script *s, bool write)
{
    unsigned flags = write ? BDRV_O_RDWR : 0;

    flags |= s->config->direct ? BDRV_O_NOCACHE : BDRV_O_NO_FLUSH;
    flags |= one_in(s, 4) ? 0 : BDRV_O_UNMAP;
    flags |= one_in(s, 8) ? BDRV_O_WRITETHROUGH : 0;
    s->bs = medium_open(&s->medium, s->options, flags);
    g_assert_cmpint(bdrv_getlength(s->bs), ==, s->size);
    g_assert_cmpint(bdrv_is_read_only(s->bs), ==, !write);
    g_assert_null(bdrv_get_warning(s->bs, 0));
}

static void look_around(Script *s)
{
    for (int i = 0; i < 5; i++) {
        do_read(s);
        do_status(s);
    }
    g_assert_cmpint(bdrv_pwrite(s->bs, 0, "", 1, 0), ==, -EPERM);
}

static void set_read_only(Script *s, bool read_only)
{
    GError *err = NULL;

    if (!bdrv_set_read_only(s->bs, read_only, &err)) {
        g_error("read_only %d: %s", read_only, bdrv_error_message(err));
    }
}

static void do_reopen(Script *s)
{
    if (one_in(s, 2)) {
        set_read_only(s, true);
        look_around(s);
        set_read_only(s, false);
        return;
    }
    close_image(s);
    if (one_in(s, 2)) {
        open_image(s, false);
        look_around(s);
        close_image(s);
    }
    open_image(s, true);
}

static void do_something(Script *s)
{
    static void (*const things[])(Script *) = {
        do_read, do_read, do_read, do_read, do_write, do_write, do_write, do_write, do_write, do_write,
        do_zero, do_zero, do_discard, do_flush, do_status, do_status, do_status,
    };

    if (one_in(s, 40)) {
        do_reopen(s);
    } else {
        things[below(s, G_N_ELEMENTS(things))](s);
    }
}

/* Preparing */

static int64_t pick_size(Script *s)
{
    int64_t max = s->config->max_size, block = s->config->block;

    if (one_in(s, 4)) {
        return block * (1 + below(s, max / block));
    }
    return 1 + below(s, one_in(s, 4) ? MIN(max, 4 * block) : max);
}

static void make_image(Script *s)
{
    bool exact = g_str_has_prefix(s->config->base, "driver=file");
    int64_t size = pick_size(s);
    g_autofree char *options = g_strdup_printf("%s,size=%" PRId64, s->config->create, size);

    medium_create(&s->medium, options);
    s->all_size = exact ? size : (size + 511) / 512 * 512;
    s->all = g_malloc0((gsize)s->all_size);
}

/* The script should not begin with nothing */
static void fill_image(Script *s)
{
    BlockDriverState *bs = medium_open(&s->medium, s->config->base, BDRV_O_RDWR | BDRV_O_NO_FLUSH);

    g_assert_cmpint(bdrv_getlength(bs), ==, s->all_size);
    for (int i = 0; i < 6; i++) {
        int64_t offset = below(s, s->all_size), bytes = below(s, 2 * s->config->block) + 1;

        bytes = MIN(bytes, s->all_size - offset);
        kit_fill(s->all + offset, offset, bytes, g_rand_int(s->rand));
        g_assert_cmpint(bdrv_pwrite(bs, offset, s->all + offset, bytes, 0), ==, 0);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    if (s->config->bits != BITS_SET) {
        vhd_clear_bits(&s->medium, s->rand, s->config->bits == BITS_JUNK, s->all, s->all_size);
    }
}

static void choose_window(Script *s)
{
    const char *options = s->config->options ? s->config->options : s->config->base;

    s->size = s->all_size;
    if (s->config->window) {
        s->at = below(s, MIN(s->all_size / 2, s->all_size - 512) + 1);
        s->size = (512 + below(s, s->all_size - s->at - 511)) / 512 * 512;
        s->options = g_strdup_printf("%s,offset=%" PRId64 ",size=%" PRId64, options, s->at, s->size);
    } else {
        s->options = g_strdup(options);
    }
    s->twin = s->all + s->at;
}

/* Concluding */

static void check_all_contents(BlockDriverState *bs, const uint8_t *want, int64_t size)
{
    g_autofree uint8_t *got = g_malloc((gsize)size + 1);

    g_assert_cmpint(bdrv_pread(bs, 0, got, size, 0), ==, 0);
    kit_assert_same(got, want, size, 0);
}

static void check_all_status(Script *s, unsigned flags)
{
    for (int64_t at = 0; at < s->size;) {
        at += check_status(s, (Range) { at, s->size - at }, flags);
    }
}

static void check_copy(Script *s)
{
    static const int64_t sparse[] = { 0, 512, 65536, -1 };
    Medium to = s->config->on_disk ? medium_on_disk() : medium_on_file("copy");
    bool raw = one_in(s, 2), unordered = one_in(s, 4);
    BlockCopyOptions opts = { .workers = (unsigned)below(s, 4), .unordered = unordered,
                              .sparse = sparse[below(s, G_N_ELEMENTS(sparse))], .target_is_zero = one_in(s, 2) };
    g_autofree char *options = g_strdup_printf("%s,size=%" PRId64, raw ? "driver=raw" : DYNAMIC(64k), s->size);
    GError *err = NULL;

    medium_create(&to, options);
    BlockDriverState *bs = medium_open(&to, raw ? "driver=raw" : "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    if (!bdrv_copy(s->bs, bs, &opts, &err)) {
        g_error("%s", bdrv_error_message(err));
    }
    g_assert_cmpint(bdrv_getlength(bs), >=, s->size);
    check_all_contents(bs, s->twin, s->size);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&to);
}

static const char *qemu_img(void)
{
    const char *named = g_getenv("QEMU_IMG");
    static char *found;

    if (!found) {
        found = g_find_program_in_path(named && *named ? named : "qemu-img");
    }
    return found;
}

/* QEMU looks at no bitmap, and so can't read an image with junk; and it takes those of blocks below 4 KiB
 * to be 0 bytes long */
static bool qemu_can_read(const Script *s)
{
    return strstr(s->config->base, "vpc") && !g_str_has_suffix(s->config->create, "=512") && !s->config->on_disk &&
           s->config->bits != BITS_JUNK && qemu_img();
}

static void check_with_qemu(Script *s)
{
    g_autofree char *raw = kit_path("raw"), *output = NULL;
    const char *argv[] = { qemu_img(), "compare", "-f", "vpc", "-F", "raw", s->medium.file, raw, NULL };
    int status = -1;

    g_assert_true(g_file_set_contents(raw, (const char *)s->all, s->all_size, NULL));
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, NULL, &status, NULL));
    if (status != 0) {
        g_error("qemu-img compare: %s", output);
    }
}

static void conclude(Script *s)
{
    close_image(s);
    if (strstr(s->config->base, "vpc")) {
        vhd_assert_sound(&s->medium);
    }
    open_image(s, false);
    check_all_contents(s->bs, s->twin, s->size);
    check_all_status(s, 0);
    check_all_status(s, BDRV_STATUS_WANT_ZERO);
    check_copy(s);
    close_image(s);
    s->bs = medium_open(&s->medium, s->config->base, 0);
    g_assert_cmpint(bdrv_getlength(s->bs), ==, s->all_size);
    check_all_contents(s->bs, s->all, s->all_size);
    close_image(s);
    if (s->seed % 3 == 0 && qemu_can_read(s)) {
        check_with_qemu(s);
    }
}

static bool run_script(unsigned seed, const void *data)
{
    const Config *config = data;
    Script s = { .config = config, .seed = seed, .rand = g_rand_new_with_seed(seed + 1) };

    s.medium = config->on_disk ? medium_on_disk() : medium_on_file("image");
    make_image(&s);
    fill_image(&s);
    choose_window(&s);
    open_image(&s, true);
    for (unsigned i = 0; i < config->ops; i++) {
        do_something(&s);
    }
    conclude(&s);
    medium_clear(&s.medium);
    g_free(s.all);
    g_free(s.options);
    g_rand_free(s.rand);
    return true;
}

static void test_config(const void *data)
{
    const Config *config = data;

    if (config->direct && !medium_has_direct()) {
        g_test_skip("the file system of the scratch folder has no O_DIRECT, set MINIBLK_TEST_DIR to another");
        return;
    }
    kit_each_seed(config->seeds, run_script, config);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    if (!qemu_img()) {
        g_test_message("no qemu-img: images are not compared with what QEMU reads");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
        g_autofree char *path = g_strdup_printf("/agree/%s", configs[i].name);

        g_test_add_data_func(path, &configs[i], test_config);
    }
    return kit_run();
}
