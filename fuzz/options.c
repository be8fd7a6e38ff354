/* options.c - fuzz target: option strings, to open and to create files in a scratch folder */
/* SPDX-License-Identifier: MIT
 *
 * The input: flags, a line with a file name, then the options. '@' in them stands for the scratch folder. The guard
 * answers EACCES for every file outside.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <sys/resource.h>
#include "fuzz.h"

enum { CREATE = 1, RDWR = 2, PROBE = 4, SNAPSHOT = 8, STORAGE = 16, NO_BACKING = 32, UNMAP = 64, WRITE_THROUGH = 128 };

#define FILE_LIMIT (12 << 20)
#define DISK_BYTES 65536

static int home;

/* Make the files: a.vhd is dynamic, b.vhd its child, f.vhd fixed, x.raw raw */
static void put_files(void)
{
    static const char *const made[][2] = {
        { "a.vhd", "driver=vpc,size=64k,block_size=4k,uuid=10111213-1415-1617-1819-1a1b1c1d1e1f" },
        { "b.vhd", "driver=vpc,backing_file=a.vhd,block_size=512" },
        { "f.vhd", "driver=vpc,size=4k,subformat=fixed" },
        { "x.raw", "driver=raw,size=10000" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(made); i++) {
        g_unlink(made[i][0]);
        FUZZ_CHECK(bdrv_create(made[i][0], made[i][1], NULL));
    }
}

static bool is_ours(const char *name)
{
    return g_str_equal(name, "in") || g_str_equal(name, "out") || g_str_equal(name, "base.raw");
}

/* Remove the files of the last input */
static void tidy_up(void)
{
    GDir *dir = g_dir_open(".", 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        if (!is_ours(name)) {
            g_unlink(name);
        }
    }
    g_dir_close(dir);
    put_files();
}

static void enter(void)
{
    signal(SIGXFSZ, SIG_IGN);       /* libFuzzer has set a handler */
    FUZZ_CHECK(chdir(fuzz_folder) == 0);
}

static void leave(void)
{
    FUZZ_CHECK(fchdir(home) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct rlimit limit = { FILE_LIMIT, RLIM_INFINITY };

    fuzz_make_folder();
    home = open(".", O_PATH);
    setrlimit(RLIMIT_FSIZE, &limit);
    enter();
    put_files();
    leave();
    return 0;
}

/* Replace '@' by the folder */
static char *expand(char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "@", -1);

    g_free(text);
    return g_strjoinv(fuzz_folder, parts);
}

static void use(BlockDriverState *bs)
{
    uint8_t buf[1000];
    int64_t size = bdrv_getlength(bs);

    fuzz_look_at(bs);
    fuzz_fill(buf, 0, sizeof(buf), 3);
    bdrv_pwrite(bs, MIN(size, 1234), buf, MIN(size - MIN(size, 1234), (int64_t)sizeof(buf)), 0);
    bdrv_pwrite_zeroes(bs, 0, MIN(size, 5000), BDRV_REQ_MAY_UNMAP);
    bdrv_pdiscard(bs, size / 2, MIN(size - size / 2, 100000));
    bdrv_flush(bs);
    bdrv_truncate(bs, MIN(size, 1 << 20) / 2 + 100, NULL);
    fuzz_look_at(bs);
}

static void try_create(const FuzzDisk *disk, const char *filename, const char *options, unsigned how)
{
    BlockStorage storage = fuzz_disk_storage((FuzzDisk *)disk);
    GError *err = NULL;
    bool ok = how & STORAGE ? bdrv_create_storage(&storage, options, &err) : bdrv_create(filename, options, &err);

    FUZZ_CHECK(ok == !err);
    FUZZ_CHECK(ok || (*bdrv_error_message(err) && bdrv_error_code(err) > 0));
    bdrv_error_free(err);
}

static void try_open(const FuzzDisk *disk, const char *filename, const char *options, unsigned how)
{
    unsigned flags = (how & RDWR ? BDRV_O_RDWR : 0) | (how & PROBE ? BDRV_O_PROBE : 0) |
                     (how & SNAPSHOT ? BDRV_O_SNAPSHOT : 0) | (how & NO_BACKING ? BDRV_O_NO_BACKING : 0) |
                     (how & UNMAP ? BDRV_O_UNMAP : 0) | (how & WRITE_THROUGH ? BDRV_O_WRITETHROUGH : 0);
    BlockStorage storage = fuzz_disk_storage((FuzzDisk *)disk);
    GError *err = NULL;
    BlockDriverState *bs = how & STORAGE ? bdrv_open_storage(&storage, options, flags, &err)
                                         : bdrv_open(filename, options, flags, &err);

    FUZZ_CHECK(!bs == !!err);
    FUZZ_CHECK(bs || (*bdrv_error_message(err) && bdrv_error_code(err) > 0));
    bdrv_error_free(err);
    if (bs) {
        use(bs);
        bdrv_close(bs);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeroes[DISK_BYTES];
    FuzzInput in = { data, size };
    unsigned how = fuzz_u8(&in);
    const uint8_t *line = in.left ? memchr(in.at, '\n', in.left) : NULL;
    g_autofree char *filename = expand(fuzz_text(&in, line ? (size_t)(line - in.at) : in.left));

    fuzz_u8(&in);
    g_autofree char *options = expand(fuzz_text(&in, in.left));
    FuzzDisk disk = { .limit = 16 << 20 };

    fuzz_disk_load(&disk, zeroes, sizeof(zeroes));
    enter();
    fuzz_say("flags 0x%02x '%s' '%s'\n", how, filename, options);
    fuzz_guard.on = true;
    fuzz_guard.written = 0;
    if (how & CREATE) {
        try_create(&disk, filename, options, how);
    } else {
        try_open(&disk, filename, options, how);
    }
    fuzz_guard.on = false;
    if (fuzz_guard.written) {
        tidy_up();
    }
    leave();
    fuzz_disk_clear(&disk);
    return 0;
}
