/* modules.c - drivers from outside: bdrv_register(), and modules that are found, or refused with a reason */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <miniblk/driver.h>
#include "kit.h"
#include "modules/first-table.h"

#define THREADS 6
#define EACH 20
#define ROUNDS 300

/* A field that comes to be elsewhere makes all modules unusable. BLOCK_MODULE_ABI would have to change */
#define STAYS(field) \
    G_STATIC_ASSERT(offsetof(FirstTable, field) == offsetof(BlockDriver, field) && \
                    sizeof(((FirstTable *)NULL)->field) == sizeof(((BlockDriver *)NULL)->field));
FIRST_FIELDS(STAYS)
G_STATIC_ASSERT(sizeof(FirstTable) <= sizeof(BlockDriver) && FIRST_ABI == BLOCK_MODULE_ABI);

static char *folder;                /* of this test, and first in MINIBLK_MODULE_PATH */

/* Modules */

static void assert_reads(const char *name, const char *options, int byte)
{
    uint8_t buf[700];
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(name, options, 0, &err);

    g_assert_cmpstr(err ? bdrv_error_message(err) : NULL, ==, NULL);
    g_assert_cmpint(bdrv_getlength(bs), ==, 1 << 20);
    g_assert_cmpint(bdrv_pread(bs, 1000, buf, sizeof(buf), 0), ==, 0);
    for (size_t i = 0; i < sizeof(buf); i++) {
        g_assert_cmpint(buf[i], ==, byte);
    }
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void assert_refused(const char *name, const char *options, int code, const char *text, const char *more)
{
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(name, options, 0, &err);

    g_assert_null(bs);
    g_assert_nonnull(err);
    if (!strstr(bdrv_error_message(err), text) || !strstr(bdrv_error_message(err), more)) {
        g_error("'%s' should say '%s' and '%s'", bdrv_error_message(err), text, more);
    }
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    bdrv_error_free(err);
}

static bool is_listed(const char *name)
{
    for (const BlockDriver *drv = NULL; (drv = bdrv_next_driver(drv));) {
        if (!strcmp(drv->name, name)) {
            return true;
        }
    }
    return false;
}

static void test_by_name(void)
{
    g_assert_false(is_listed("named"));
    assert_reads(NULL, "driver=named", 0x11);
    g_assert_true(is_listed("named"));
    assert_reads(NULL, "driver=raw,file.driver=named", 0x11);
}

static void test_by_prefix(void)
{
    assert_reads("prefixed+x://anything", "driver=raw", 0x22);
    assert_reads("prefixed:", "driver=raw", 0x22);
}

static bool names_have(const char *name)
{
    char *names = bdrv_module_names();
    g_auto(GStrv) list = g_strsplit(names, " ", -1);

    free(names);
    return g_strv_contains((const char *const *)list, name);
}

static void test_names(void)
{
    g_assert_true(names_have("counted"));
    g_assert_nonnull(bdrv_find_driver("counted"));
    g_assert_false(names_have("counted"));
    g_assert_true(is_listed("counted"));
    g_assert_false(names_have("bad name"));
}

/* What is behind the table of this module would crash if it were taken for functions */
static void test_shorter_table(void)
{
    const BlockDriver *drv = bdrv_find_driver("shorter");
    GError *err = NULL;

    g_assert_nonnull(drv);
    g_assert_null(drv->resize_options);
    g_assert_cmpuint(drv->resize_size, ==, 0);
    g_assert_null(drv->resize);
    assert_reads(NULL, "driver=shorter", 0x33);
    BlockDriverState *bs = bdrv_open(NULL, "driver=shorter", BDRV_O_RDWR, &err);

    g_assert_no_error(err);
    g_assert_false(bdrv_resize(bs, 1 << 19, NULL, &err));
    g_assert_cmpint(bdrv_error_code(err), ==, ENOTSUP);
    bdrv_error_free(err);
    bdrv_close(bs);
}

/* The fields behind ours are used, or not */
static void test_longer_table(void)
{
    assert_reads(NULL, "driver=longer", 0x44);
    assert_refused(NULL, "driver=newer", ENOTSUP, "/block-newer.so'", "the driver needs a newer one");
}

static void test_refused(void)
{
    static const struct { const char *name, *why; } bad[] = {
        { "other-abi", "built for the interface 99, and this library has the interface 1" },
        { "empty", "it exports no 'miniblk_module'" },
        { "unbound", "bdrv_of_tomorrow" },
        { "misnamed", "its driver is called 'somebody', not 'misnamed'" },
        { "stub", "the table of a driver has 32 bytes, and needs" },
        { "no-table", "it has no table of a driver" },
        { "no-elf", "cannot be loaded: " },
        { "prefix-of-file", "names with 'file:' belong to the driver 'file' already" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *file = g_strdup_printf("/block-%s.so'", bad[i].name);
        g_autofree char *options = g_strdup_printf("driver=%s", bad[i].name);
        g_autofree char *below = g_strdup_printf("driver=raw,file.driver=%s", bad[i].name);
        g_autofree char *name = g_strdup_printf("%s:x", bad[i].name);
        int code = bdrv_find_driver(bad[i].name) ? 0 : i == 3 || i == 4 || i == 5 ? EINVAL : i == 7 ? EEXIST : ENOTSUP;

        assert_refused(NULL, options, code, bad[i].why, file);
        assert_refused(NULL, below, code, bad[i].why, file);
        assert_refused(name, "driver=raw", code, bad[i].why, file);
        g_assert_false(is_listed(bad[i].name));
    }
}

static void test_unknown(void)
{
    assert_refused(NULL, "driver=nosuch", ENOENT, "Unknown driver 'nosuch'", "");
    assert_refused("nosuch:x", "driver=raw", ENOENT, "Unknown protocol 'nosuch'", "");
}

/* A file is there under each of these, so that only the name keeps it from being loaded */
static void test_no_escape(void)
{
    static const char *const names[] = { "x/../../escaped", "x/escaped", "sp ace", "do.t" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strdup_printf("%s/sub/block-%s.so", folder, names[i]);
        g_autofree char *options = g_strdup_printf("driver=%s", names[i]);
        g_autofree char *said = g_strdup_printf("Unknown driver '%s'", names[i]);

        g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
        assert_refused(NULL, options, ENOENT, said, "");
    }
}

/* bdrv_register() */

static bool own_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    bs->size = 1 << 20;
    return true;
}

static int own_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    block_vec_zero(vec);
    return 0;
}

static int own_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    return -EIO;
}

static int own_probe(const BlockProbe *probe)
{
    return memcmp(probe->head, "own format", 10) ? 0 : 90;
}

static const BlockDriver own = {
    .name = "own", .alias = "mine", .is_protocol = true, .open = own_open, .read = own_read,
};

static void test_register(void)
{
    GError *err = NULL;

    g_assert_null(bdrv_find_driver("own"));
    g_assert_true(bdrv_register(&own, sizeof(own), &err));
    g_assert_true(bdrv_register(&own, sizeof(own), &err));
    g_assert_no_error(err);
    g_assert_nonnull(bdrv_find_driver("own"));
    g_assert_true(bdrv_find_driver("mine") == bdrv_find_driver("own"));
    assert_reads(NULL, "driver=mine", 0);
    int count = 0;

    for (const BlockDriver *drv = NULL; (drv = bdrv_next_driver(drv));) {
        count += !strcmp(drv->name, "own");
    }
    g_assert_cmpint(count, ==, 1);
}

/* A format of the program is found by probing */
static void test_probed(void)
{
    static const BlockDriver format = { .name = "own-format", .open = own_open, .read = own_read, .probe = own_probe };
    g_autofree char *path = g_build_filename(folder, "image", NULL);

    g_assert_true(g_file_set_contents(path, "own format, and what follows", -1, NULL));
    g_assert_true(bdrv_register(&format, sizeof(format), NULL));
    BlockDriverState *bs = bdrv_open(path, NULL, BDRV_O_PROBE, NULL);

    g_assert_nonnull(bs);
    g_assert_cmpstr(bdrv_get_driver_name(bs), ==, "own-format");
    bdrv_close(bs);
}

static void assert_not_registered(const BlockDriver *drv, size_t size, int code, const char *text)
{
    GError *err = NULL;

    g_assert_false(bdrv_register(drv, size, &err));
    if (!strstr(bdrv_error_message(err), text)) {
        g_error("'%s' should say '%s'", bdrv_error_message(err), text);
    }
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    bdrv_error_free(err);
}

static void test_bad_tables(void)
{
    static const char *const files[] = { "file", NULL }, *const json[] = { "json", NULL };
    static const char *const fine[] = { "fine", NULL }, *const paths[] = { "a/b", NULL };
    static const BlockOption options[] = { { "size", BLOCK_OPT_SIZE, 8, "0" }, { NULL } };
    static char long_name[66];
    const struct { BlockDriver drv; int code; const char *text; } bad[] = {
        { { .name = "vpc" }, EEXIST, "there is a driver 'vpc' already" },
        { { .name = "vhd" }, EEXIST, "there is a driver 'vhd' already" },
        { { .name = "fine", .alias = "raw" }, EEXIST, "there is a driver 'raw' already" },
        { { .name = "fine", .prefixes = files, .parse_name = own.parse_name }, EINVAL, "no parse_name()" },
        { { .name = "fine", .prefixes = json }, EINVAL, "'json' cannot be the prefix" },
        { { .name = "fine", .prefixes = paths }, EINVAL, "'a/b' cannot be the prefix" },
        { { .name = "fine", .prefixes = fine }, EINVAL, "no parse_name()" },
        { { .name = NULL }, EINVAL, "'' is no name of a driver" },
        { { .name = "" }, EINVAL, "'' is no name of a driver" },
        { { .name = "a/b" }, EINVAL, "'a/b' is no name of a driver" },
        { { .name = long_name }, EINVAL, "is no name of a driver" },
        { { .name = "fine", .alias = "a b" }, EINVAL, "'a b' is no name of a driver" },
        { { .name = "fine", .is_protocol = true, .map = own_map }, EINVAL, "a protocol has no map()" },
        { { .name = "fine", .open_options = options, .open_size = 8 }, EINVAL, "too small for its table" },
        { { .name = "fine", .create_options = options }, EINVAL, "too small for its table" },
    };

    memset(long_name, 'a', sizeof(long_name) - 1);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        BlockDriver drv = bad[i].drv;

        drv.open = own_open;
        drv.read = own_read;
        assert_not_registered(&drv, sizeof(drv), bad[i].code, bad[i].text);
    }
    assert_not_registered(&(BlockDriver) { .name = "fine", .open = own_open }, sizeof(BlockDriver), EINVAL,
                          "open() and read() are required");
    assert_not_registered(&own, offsetof(BlockDriver, read), EINVAL, "the table of a driver has");
    g_assert_null(bdrv_find_driver("fine"));
}

/* Threads */

static BlockDriver many[THREADS][EACH];
static pthread_barrier_t start;
static int winners[ROUNDS];         /* atomic: how many threads registered a driver of the name of this round */

/* All threads register a driver of one name at once, again and again */
static void *contest(void *which)
{
    static BlockDriver contested[THREADS][ROUNDS];      /* a table is known by its address, */
    static char names[THREADS][ROUNDS][24];             /* and the list keeps the pointer to the name */

    for (int i = 0; i < ROUNDS; i++) {
        BlockDriver *mine = &contested[GPOINTER_TO_INT(which)][i];
        char *name = names[GPOINTER_TO_INT(which)][i];

        g_snprintf(name, sizeof(names[0][0]), "contested-%d", i);
        *mine = own;
        mine->alias = NULL;
        mine->name = name;
        pthread_barrier_wait(&start);
        __atomic_add_fetch(&winners[i], bdrv_register(mine, sizeof(*mine), NULL), __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *register_many(void *which)
{
    static char names[THREADS][EACH][24];
    BlockDriver *mine = many[GPOINTER_TO_INT(which)];

    for (int i = 0; i < EACH; i++) {
        mine[i] = own;
        mine[i].alias = NULL;
        char *name = names[GPOINTER_TO_INT(which)][i];

        g_snprintf(name, sizeof(names[0][0]), "many-%d-%d", GPOINTER_TO_INT(which), i);
        mine[i].name = name;
        g_assert_true(bdrv_register(&mine[i], sizeof(BlockDriver), NULL));
        g_assert_nonnull(bdrv_find_driver(mine[i].name));
        assert_reads(NULL, i % 2 ? "driver=raced" : "driver=raced-too", i % 2 ? 0x55 : 0x66);
    }
    return NULL;
}

static void in_threads(void *(*function)(void *which))
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        g_assert_cmpint(pthread_create(&threads[i], NULL, function, GINT_TO_POINTER(i)), ==, 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void test_contest(void)
{
    pthread_barrier_init(&start, NULL, THREADS);
    in_threads(contest);
    pthread_barrier_destroy(&start);
    for (int i = 0; i < ROUNDS; i++) {
        g_assert_cmpint(winners[i], ==, 1);
    }
}

/* Modules are loaded by several threads at once, and drivers registered */
static void test_threads(void)
{
    in_threads(register_many);
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < EACH; j++) {
            const char *name = many[i][j].name;

            many[i][j] = (BlockDriver) { 0 };       /* the list has a copy of the table */
            g_assert_true(is_listed(name));
        }
    }
}

static void copy_module(const char *name, const char *to)
{
    g_autofree char *from = g_strdup_printf("%s/block-%s.so", MODULES, name), *bytes = NULL;
    g_autofree char *path = g_strdup_printf("%s/%s", folder, to);
    gsize length;

    g_assert_true(g_file_get_contents(from, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
}

static void make_folder(void)
{
    static const char *const folders[] = { "sub", "sub/block-x" };
    static const char *const copies[] = {
        "escaped.so", "sub/block-x/escaped.so", "sub/block-sp ace.so", "sub/block-do.t.so", "sub/block-bad name.so",
    };
    g_autofree char *no_elf = NULL, *path = NULL;

    folder = g_dir_make_tmp("miniblk-modules-XXXXXX", NULL);
    g_assert_nonnull(folder);
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *sub = g_build_filename(folder, folders[i], NULL);

        g_assert_cmpint(g_mkdir(sub, 0700), ==, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(copies); i++) {
        copy_module("named", copies[i]);
    }
    no_elf = g_build_filename(folder, "sub/block-no-elf.so", NULL);
    g_assert_true(g_file_set_contents(no_elf, "no program", -1, NULL));
    path = g_strdup_printf("::/nonexistent:%s/sub:%s", folder, MODULES);
    g_setenv("MINIBLK_MODULE_PATH", path, TRUE);
}

static void remove_folder(void)
{
    static const char *const paths[] = {
        "escaped.so", "sub/block-x/escaped.so", "sub/block-sp ace.so", "sub/block-do.t.so", "sub/block-bad name.so",
        "sub/block-no-elf.so", "image", "sub/block-x", "sub", ".",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *path = g_build_filename(folder, paths[i], NULL);

        g_remove(strcmp(paths[i], ".") ? path : folder);
    }
    g_free(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_folder();
    g_test_add_func("/modules/by-name", test_by_name);
    g_test_add_func("/modules/by-prefix", test_by_prefix);
    g_test_add_func("/modules/names", test_names);
    g_test_add_func("/modules/shorter-table", test_shorter_table);
    g_test_add_func("/modules/longer-table", test_longer_table);
    g_test_add_func("/modules/refused", test_refused);
    g_test_add_func("/modules/unknown", test_unknown);
    g_test_add_func("/modules/no-escape", test_no_escape);
    g_test_add_func("/modules/register", test_register);
    g_test_add_func("/modules/probed", test_probed);
    g_test_add_func("/modules/bad-tables", test_bad_tables);
    g_test_add_func("/modules/threads", test_threads);
    g_test_add_func("/modules/contest", test_contest);
    int status = g_test_run();

    remove_folder();
    return status;
}
