/* create.c - what becomes of a file that is there already when an image is to be made of it */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <miniblk/block.h>
#include "kit.h"
#include "medium.h"

enum { PRECIOUS = 70000 };          /* bytes of the file, in no whole sectors */

static const char *const formats[][2] = {       /* the driver, and the rest of the options */
    { "driver=vpc", "size=1M" },
    { "driver=vpc", "size=1M,subformat=fixed" },
    { "driver=raw", "size=1M" },
    { "driver=raw", "size=1M,preallocation=full" },
};

static const char *const wrong_words[] = {
    "file.nosuch=1", "file.lockng=off", "file.locking=maybe", "file.aio=zzz", "file.temporary=on", "file.temporary=2",
    "file.cache.direct=maybe", "file.cache.no-flush=2", "file.cache.writeback=", "file.discard=never",
    "file.metadata-cache-size=-1", "file.read-only=on", "file.read-only=yes", "file.force-share=on", "file.size=x",
    "file.size=2M", "file.driver=nosuch", "file.driver=vpc", "file.driver=raw,file.offset=512", "file.driver=mem", "file.driver=null",
    "file.file.filename=other", "file=node0", "nosuch.filename=x", "node-name=x",
    "file.driver=blkdebug,file.align=3", "file.driver=blkdebug,file.nosuch=1",
    "file.driver=blkdebug,file.image.nosuch=1",
    "file.driver=blkdebug,file.image.aio=zzz", "file.driver=blkdebug,file.image.read-only=on",
    "file.driver=blkdebug,file.read-only=on", "file.driver=blkdebug,file.config=/nosuch/rules",
    "file.driver=blkdebug,file.inject-error.0.event=nosuch", "file.driver=blkdebug,file.inject-error.0.errno=99999",
    "file.driver=blkdebug,file.inject-error.1.errno=5", "file.driver=blkdebug,file.set-state.0.event=nosuch",
    "file.driver=blkdebug,file.align=512,file.max-transfer=100",
    "file.driver=blkdebug,file.image.driver=blkdebug,file.image.align=3",
    "file.driver=blkdebug,file.image.driver=blkdebug,file.image.image.locking=x", "file.driver=blklogwrites",
    "file.driver=blklogwrites,file.log.filename=/nosuch/log", "file.driver=blkdebug,file.image.driver=raw",
};

static void fill_precious(uint8_t *bytes)
{
    kit_fill(bytes, 0, PRECIOUS, 7);
}

static void assert_precious(const Medium *medium, const char *options)
{
    static uint8_t want[PRECIOUS], got[PRECIOUS];

    fill_precious(want);
    if (medium_size(medium) != PRECIOUS) {
        g_error("%s: it has %" G_GINT64_FORMAT " bytes left", options, medium_size(medium));
    }
    medium_read(medium, 0, got, PRECIOUS);
    kit_assert_same(got, want, PRECIOUS, 0);
}

static Medium precious_file(void)
{
    static uint8_t bytes[PRECIOUS];
    Medium medium = medium_on_file("precious");

    fill_precious(bytes);
    g_assert_true(g_file_set_contents(medium.file, (char *)bytes, PRECIOUS, NULL));
    return medium;
}

/* It fails, and with @code unless that is 0 */
static void assert_fails(const Medium *medium, const char *options, int code)
{
    GError *err = NULL;

    if (medium_try_create(medium, options, &err)) {
        g_error("%s: it was made", options);
    }
    g_assert_nonnull(err);
    if (code && bdrv_error_code(err) != code) {
        g_error("%s: %s", options, bdrv_error_message(err));
    }
    bdrv_error_free(err);
}

static void assert_leaves_precious(const Medium *medium, const char *options, int code)
{
    assert_fails(medium, options, code);
    assert_precious(medium, options);
}

/* The wrong word last, in the middle, and first */
static void try_orders(const Medium *medium, const char *const *format, const char *word)
{
    g_autofree char *last = g_strdup_printf("%s,%s,%s", format[0], format[1], word);
    g_autofree char *middle = g_strdup_printf("%s,%s,%s", format[0], word, format[1]);
    g_autofree char *first = g_strdup_printf("%s,%s,%s", word, format[1], format[0]);

    assert_leaves_precious(medium, last, 0);
    assert_leaves_precious(medium, middle, 0);
    assert_leaves_precious(medium, first, 0);
}

static void test_wrong_words(void)
{
    Medium medium = precious_file();

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(wrong_words); k++) {
            try_orders(&medium, formats[i], wrong_words[k]);
        }
    }
    medium_clear(&medium);
}

static void test_wrong_words_new_file(void)
{
    Medium medium = medium_on_file("new");

    for (size_t k = 0; k < G_N_ELEMENTS(wrong_words); k++) {
        g_autofree char *options = g_strdup_printf("driver=vpc,size=1M,%s", wrong_words[k]);

        assert_fails(&medium, options, 0);
        if (g_file_test(medium.file, G_FILE_TEST_EXISTS)) {
            g_error("%s: a file was left behind", options);
        }
    }
    medium_clear(&medium);
}

/* The file that the program's options name is no other than the one that its filename names */
static void test_wrong_words_json_name(void)
{
    Medium medium = precious_file();
    g_autofree char *name = g_strdup_printf("json:{'file': {'filename': '%s', 'aio': 'zzz'}}", medium.file);
    GError *err = NULL;

    g_assert_false(bdrv_create(name, "driver=vpc,size=1M", &err));
    assert_precious(&medium, name);
    bdrv_error_free(err);
    medium_clear(&medium);
}

static void test_wrong_words_storage(void)
{
    static const char *const words[] = {
        "file.nosuch=1", "file.size=1M", "file.size=x", "file.driver=file", "file.read-only=on", "file.cache.direct=2",
        "file.driver=blkdebug,file.align=3", "file.driver=blkdebug,file.image.nosuch=1",
        "file.driver=blkdebug,file.image.size=1M",
    };
    static uint8_t bytes[PRECIOUS];
    Medium medium = medium_on_disk();

    fill_precious(bytes);
    medium_write(&medium, 0, bytes, PRECIOUS);
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(words); k++) {
            try_orders(&medium, formats[i], words[k]);
        }
    }
    medium_clear(&medium);
}

/* With sound options in the same places it is made */
static void test_sound_words(void)
{
    static const char *const words[] = {
        "file.aio=native", "file.locking=on", "file.cache.no-flush=on", "file.driver=blkdebug,file.align=512",
        "file.driver=blkdebug,file.image.driver=blkdebug,file.image.image.locking=off", "file.node-name=x",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(words); k++) {
            Medium medium = precious_file();
            g_autofree char *options = g_strdup_printf("%s,%s,%s", formats[i][0], formats[i][1], words[k]);
            uint8_t byte;

            medium_create(&medium, options);
            BlockDriverState *bs = medium_open(&medium, formats[i][0], 0);
            g_assert_cmpint(bdrv_getlength(bs), ==, 1 << 20);
            g_assert_cmpint(bdrv_pread(bs, PRECIOUS / 2, &byte, 1, 0), ==, 0);
            g_assert_cmpint(byte, ==, 0);
            g_assert_cmpint(bdrv_close(bs), ==, 0);
            medium_clear(&medium);
        }
    }
}

static void test_locked(void)
{
    Medium medium = precious_file();
    BlockDriverState *user = medium_open(&medium, "driver=raw", BDRV_O_RDWR);

    assert_leaves_precious(&medium, "driver=vpc,size=1M", EAGAIN);
    assert_leaves_precious(&medium, "driver=raw,size=1M", EAGAIN);
    assert_leaves_precious(&medium, "driver=file,size=1M", EAGAIN);
    assert_leaves_precious(&medium, "driver=vpc,size=1M,file.driver=blkdebug", EAGAIN);
    g_assert_cmpint(bdrv_close(user), ==, 0);
    medium_clear(&medium);
}

static void test_directory(void)
{
    g_autofree char *folder = kit_path("folder");
    Medium medium = { .file = folder };

    g_assert_cmpint(mkdir(folder, 0700), ==, 0);
    assert_fails(&medium, "driver=vpc,size=1M", EISDIR);
    assert_fails(&medium, "driver=raw,size=1M", EISDIR);
    g_assert_cmpint(rmdir(folder), ==, 0);
}

static void test_name_too_long(void)
{
    g_autofree char *longest = g_strnfill(300, 'x');
    Medium medium = medium_on_file(longest);

    assert_fails(&medium, "driver=vpc,size=1M", ENAMETOOLONG);
    assert_fails(&medium, "driver=raw,size=1M", ENAMETOOLONG);
    medium_clear(&medium);
}

static void test_read_only_file(void)
{
    Medium medium = precious_file();
    uid_t me = geteuid();

    g_assert_cmpint(chmod(medium.file, 0444), ==, 0);
    g_assert_true(me != 0 || seteuid(65534) == 0);      /* the superuser writes to anything */
    assert_fails(&medium, "driver=vpc,size=1M", EACCES);
    assert_fails(&medium, "driver=raw,size=1M", EACCES);
    g_assert_true(me != 0 || seteuid(0) == 0);
    assert_precious(&medium, "read-only");
    medium_clear(&medium);
}

/* A limit of the process stands for one of the file system */
static void test_file_too_large(void)
{
    static const struct { const char *options; rlim_t limit; } cases[] = {
        { "driver=raw,size=1M", 500000 }, { "driver=raw,size=1M,preallocation=full", 500000 },
        { "driver=vpc,size=1M,subformat=fixed", 1 << 20 }, { "driver=file,size=1M", 500000 },
        { "driver=vpc,size=64M,block_size=512", 400000 }, { "driver=raw,size=1M,file.driver=blkdebug", 500000 },
    };
    Medium medium = precious_file();
    struct rlimit was;

    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &was), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct rlimit limit = { cases[i].limit, was.rlim_max };
        GError *err = NULL;

        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
        bool ok = medium_try_create(&medium, cases[i].options, &err);

        g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &was), ==, 0);
        g_assert_false(ok);
        g_assert_cmpint(bdrv_error_code(err), ==, EFBIG);
        bdrv_error_free(err);
        assert_precious(&medium, cases[i].options);
    }
    medium_clear(&medium);
}

/* Storage that can't have more than it has */
static int refuse_to_grow(void *user, int64_t size)
{
    const Medium *medium = user;
    BlockStorage storage = disk_storage(medium->disk);

    return size > PRECIOUS ? -EFBIG : storage.truncate(storage.user, size);
}

static int write_there(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    medium_write(user, offset, buf, bytes);
    return 0;
}

static int read_there(void *user, int64_t offset, void *buf, int64_t bytes)
{
    medium_read(user, offset, buf, bytes);
    return 0;
}

static void test_storage_too_small(void)
{
    static uint8_t bytes[PRECIOUS];
    Medium medium = medium_on_disk();

    fill_precious(bytes);
    medium_write(&medium, 0, bytes, PRECIOUS);
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        BlockStorage storage = { PRECIOUS, &medium, read_there, write_there, NULL, refuse_to_grow };
        bool dynamic = g_str_equal(formats[i][1], "size=1M") && i == 0;     /* its tables have room */
        g_autofree char *options = g_strdup_printf("%s,%s", formats[i][0], formats[i][1]);

        for (int fixed = 0; fixed < 2 && !dynamic; fixed++) {
            GError *err = NULL;

            storage.truncate = fixed ? NULL : refuse_to_grow;
            g_assert_false(bdrv_create_storage(&storage, options, &err));
            g_assert_cmpint(bdrv_error_code(err), ==, fixed ? ENOSPC : EFBIG);
            bdrv_error_free(err);
            assert_precious(&medium, options);
        }
    }
    medium_clear(&medium);
}

/* A write that fails when the file is empty already: it stays empty, and a new one goes */
static void test_write_fails(void)
{
    Medium medium = precious_file();
    const char *options = "driver=vpc,size=1M,file.driver=blkdebug,file.inject-error.0.iotype=write";

    assert_fails(&medium, options, EIO);
    g_assert_cmpint(medium_size(&medium), ==, 0);
    g_assert_cmpint(unlink(medium.file), ==, 0);
    assert_fails(&medium, options, EIO);
    g_assert_false(g_file_test(medium.file, G_FILE_TEST_EXISTS));
    medium_clear(&medium);
}

/* A log is a file, too */
static void test_log_is_left(void)
{
    static const char *const words[] = { "log.nosuch=1", "log.aio=zzz", "log.driver=blkdebug,log.align=3",
                                         "log.read-only=on", "log-sector-size=3" };
    Medium medium = precious_file();
    GError *err = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        const char *below = strstr(words[i], "blkdebug") ? "image." : "";
        g_autofree char *options = g_strdup_printf("driver=blklogwrites,file.driver=mem,file.size=1M,"
                                                   "log.%sfilename=%s,%s", below, medium.file, words[i]);

        g_assert_null(bdrv_open(NULL, options, BDRV_O_RDWR, &err));
        assert_precious(&medium, options);
        g_clear_pointer(&err, bdrv_error_free);
    }
    medium_clear(&medium);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/create/wrong-word-below-leaves-file", test_wrong_words);
    g_test_add_func("/create/wrong-word-below-leaves-no-file", test_wrong_words_new_file);
    g_test_add_func("/create/wrong-word-in-json-leaves-file", test_wrong_words_json_name);
    g_test_add_func("/create/wrong-word-leaves-storage", test_wrong_words_storage);
    g_test_add_func("/create/sound-words-are-none", test_sound_words);
    g_test_add_func("/create/locked-file-is-left", test_locked);
    g_test_add_func("/create/not-on-a-directory", test_directory);
    g_test_add_func("/create/name-too-long", test_name_too_long);
    g_test_add_func("/create/read-only-file-is-left", test_read_only_file);
    g_test_add_func("/create/file-that-can-not-be-so-long-is-left", test_file_too_large);
    g_test_add_func("/create/storage-that-can-not-be-so-long-is-left", test_storage_too_small);
    g_test_add_func("/create/write-that-fails-leaves-it-empty", test_write_fails);
    g_test_add_func("/create/wrong-word-leaves-log", test_log_is_left);
    return kit_run();
}
