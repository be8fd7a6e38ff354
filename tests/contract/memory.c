/* memory.c - memory ends: each call that needs a large piece says so by ENOMEM, nobody aborts, and nothing is lost */
/* SPDX-License-Identifier: MIT
 *
 * The allocations of this program, the library and GLib end up here. Those of LARGE bytes or more fail, one in each run
 * of a script; smaller ones have sizes that no image and no caller chooses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "kit.h"
#include "medium.h"

enum { KIB = 1 << 10, MIB = 1 << 20, LARGE = 16 * KIB, BLOCK = 64 * KIB, OLD = 3, NEW = 5 };

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t unit, size_t bytes);

static int left = -1;               /* atomic: so many large allocations work, and then one fails; -1: all work */
static int failures;                /* atomic: how many have failed */

static bool fails(size_t bytes)
{
    if (bytes < LARGE || __atomic_load_n(&left, __ATOMIC_RELAXED) < 0 ||
        __atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) != 0) {
        return false;
    }
    __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return true;
}

__attribute__((visibility("default"))) void *malloc(size_t bytes)
{
    return fails(bytes) ? NULL : __libc_malloc(bytes);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t bytes)
{
    return fails(count * bytes) ? NULL : __libc_calloc(count, bytes);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t bytes)
{
    return fails(bytes) ? NULL : __libc_realloc(old, bytes);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t unit, size_t bytes)
{
    return fails(bytes) ? NULL : __libc_memalign(unit, bytes);
}

__attribute__((visibility("default"))) int posix_memalign(void **memory, size_t unit, size_t bytes)
{
    *memory = fails(bytes) ? NULL : __libc_memalign(unit, bytes);
    return *memory ? 0 : ENOMEM;
}

/* What a script works with */
typedef struct Scene {
    Medium medium, other;
    BlockDriverState *bs;
    uint8_t buf[2 * BLOCK];
} Scene;

/* 0 or an errno number, which a script returns: of what failed first */
typedef int Script(Scene *s);

/* Return 0 if @ok, else the code of *@err, which is freed and cleared */
static int code_of(bool ok, GError **err)
{
    int code = ok ? 0 : bdrv_error_code(*err);

    bdrv_error_free(*err);
    *err = NULL;
    return code;
}

static int open_image(Scene *s, const char *options, unsigned flags)
{
    GError *err = NULL;

    s->bs = medium_try_open(&s->medium, options, flags, &err);
    return code_of(s->bs, &err);
}

static int close_image(Scene *s)
{
    int ret = bdrv_close(s->bs);

    s->bs = NULL;
    return -ret;
}

static int write_at(Scene *s, int64_t offset, unsigned stamp)
{
    kit_fill(s->buf, offset, BLOCK, stamp);
    return -bdrv_pwrite(s->bs, offset, s->buf, BLOCK, 0);
}

static int script_create(Scene *s)
{
    Medium fresh = medium_on_file("fresh");
    GError *err = NULL;
    bool ok = medium_try_create(&fresh, "driver=vpc,size=64G", &err);

    medium_clear(&fresh);
    return code_of(ok, &err);
}

static int script_fixed(Scene *s)
{
    Medium fresh = medium_on_file("fresh");
    GError *err = NULL;
    bool ok = medium_try_create(&fresh, "driver=vpc,subformat=fixed,size=1M", &err);

    medium_clear(&fresh);
    return code_of(ok, &err);
}

static int script_probe(Scene *s)
{
    int code = open_image(s, "", BDRV_O_PROBE);

    return code ? code : close_image(s);
}

/* A raw disk is looked at by drivers that may know it as a damaged image */
static int script_suspect(Scene *s)
{
    GError *err = NULL;
    Medium raw = medium_on_file("fresh");
    int code = code_of(medium_try_create(&raw, "driver=raw,size=1M,preallocation=full", &err), &err);
    BlockDriverState *bs = code ? NULL : medium_try_open(&raw, "", BDRV_O_PROBE, &err);

    code = code ? code : code_of(bs, &err);
    (void)bdrv_close(bs);
    medium_clear(&raw);
    return code;
}

static int script_read(Scene *s)
{
    int code = open_image(s, "driver=vpc", 0);

    code = code ? code : -bdrv_pread(s->bs, 0, s->buf, BLOCK, 0);
    return code ? code : close_image(s);
}

static int script_write(Scene *s)
{
    int code = open_image(s, "driver=vpc", BDRV_O_RDWR);

    code = code ? code : write_at(s, 100 * BLOCK, NEW);
    code = code ? code : -bdrv_pwrite_zeroes(s->bs, 40 * BLOCK + 100, 3 * BLOCK, 0);
    code = code ? code : -bdrv_flush(s->bs);
    return code ? code : close_image(s);
}

static int script_info(Scene *s)
{
    GError *err = NULL;
    int code = open_image(s, "driver=vpc", 0);

    if (code) {
        return code;
    }
    BlockInfo *info = bdrv_get_info(s->bs, &err);

    code = code_of(info, &err);
    bdrv_info_free(info);
    return code ? code : close_image(s);
}

static int script_check(Scene *s)
{
    GError *err = NULL;
    int code = open_image(s, "driver=vpc", BDRV_O_CHECK | BDRV_O_RDWR);

    if (code) {
        return code;
    }
    BlockCheck *check = bdrv_check(s->bs, BDRV_CHECK_FIX_LEAKS | BDRV_CHECK_FIX_ERRORS, &err);

    code = code_of(check, &err);
    bdrv_check_free(check);
    return code ? code : close_image(s);
}

static int script_resize(Scene *s)
{
    GError *err = NULL;
    int code = open_image(s, "driver=vpc", BDRV_O_RDWR);

    if (code) {
        return code;
    }
    code = code_of(bdrv_truncate(s->bs, INT64_C(5) << 30, &err), &err);
    code = code ? code : code_of(bdrv_truncate(s->bs, INT64_C(3) << 30, &err), &err);
    return code ? code : close_image(s);
}

static int script_copy(Scene *s)
{
    GError *err = NULL;
    Medium fresh = medium_on_file("fresh");
    int code = code_of(medium_try_create(&fresh, "driver=vpc,size=4G", &err), &err);

    code = code ? code : open_image(s, "driver=vpc", 0);
    BlockDriverState *to = code ? NULL : medium_try_open(&fresh, "driver=vpc", BDRV_O_RDWR, &err);

    code = code ? code : code_of(to, &err);
    code = code ? code : code_of(bdrv_copy(s->bs, to, NULL, &err), &err);
    (void)bdrv_close(to);
    medium_clear(&fresh);
    return code;
}

static int script_salvage(Scene *s)
{
    int code = open_image(s, "driver=vpc,salvage=on", 0);

    code = code ? code : -bdrv_pread(s->bs, 0, s->buf, BLOCK, 0);
    return code ? code : close_image(s);
}

static int script_reopen(Scene *s)
{
    GError *err = NULL;
    int code = open_image(s, "driver=vpc", 0);

    code = code ? code : code_of(bdrv_set_read_only(s->bs, false, &err), &err);
    code = code ? code : write_at(s, 100 * BLOCK, NEW);
    code = code ? code : code_of(bdrv_set_read_only(s->bs, true, &err), &err);
    return code ? code : close_image(s);
}

static int script_unaligned(Scene *s)
{
    int code = open_image(s, "driver=vpc,file.driver=blkdebug,file.align=65536", BDRV_O_RDWR);

    code = code ? code : -bdrv_pwrite(s->bs, 200 * BLOCK + 33, s->buf, BLOCK, 0);
    code = code ? code : -bdrv_pread(s->bs, 200 * BLOCK + 33, s->buf, BLOCK, 0);
    return code ? code : close_image(s);
}

/* Put data into a disk of 4 GiB, in blocks with bitmaps of a few kilobytes */
static void fill(Scene *s)
{
    medium_create(&s->medium, "driver=vpc,block_size=64M,size=4G");
    s->bs = medium_open(&s->medium, "driver=vpc", BDRV_O_RDWR);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(write_at(s, i * 20 * BLOCK, OLD), ==, 0);
    }
    g_assert_cmpint(close_image(s), ==, 0);
}

/* Expect what fill() wrote and no script touches, whatever failed */
static void expect_old(Scene *s)
{
    g_autofree uint8_t *want = g_malloc(BLOCK);

    s->bs = medium_open(&s->medium, "driver=vpc", BDRV_O_RDWR);
    for (int i = 0; i < 2; i++) {
        kit_fill(want, i * 20 * BLOCK, BLOCK, OLD);
        g_assert_cmpint(bdrv_pread(s->bs, i * 20 * BLOCK, s->buf, BLOCK, 0), ==, 0);
        kit_assert_same(s->buf, want, BLOCK, i * 20 * BLOCK);
    }
    g_assert_cmpint(close_image(s), ==, 0);
}

/* Run @script while the large allocation @n fails. Return whether there were so many */
static bool run_with(Script *script, int n)
{
    g_autofree Scene *s = g_new0(Scene, 1);

    s->medium = medium_on_file("image");
    fill(s);
    failures = 0;
    left = n;
    int code = script(s);
    bool met = failures > 0;

    left = -1;
    if (code != 0 && code != ENOMEM) {
        g_error("large allocation %d fails: %s, should be %s", n, g_strerror(code), g_strerror(ENOMEM));
    }
    g_assert_true(code == 0 || met);
    g_assert_true(!s->bs || bdrv_close(s->bs) == 0);
    expect_old(s);
    medium_clear(&s->medium);
    return met;
}

static void test_script(const void *data)
{
    Script *const *script = data;
    int n = 0;

    while (run_with(*script, n)) {
        n++;
    }
    g_test_message("%d large allocations", n);
}

static const struct {
    const char *name;
    Script *script;
} scripts[] = {
    { "create", script_create }, { "fixed", script_fixed }, { "probe", script_probe },
    { "suspect", script_suspect }, { "read", script_read },
    { "write", script_write }, { "info", script_info }, { "check", script_check }, { "resize", script_resize },
    { "copy", script_copy }, { "salvage", script_salvage }, { "reopen", script_reopen },
    { "unaligned", script_unaligned },
};

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autofree char *path = g_strconcat("/memory/", scripts[i].name, NULL);

        g_test_add_data_func(path, &scripts[i].script, test_script);
    }
    return kit_run();
}
