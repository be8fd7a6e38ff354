/* kit.c - seeds, scratch files and patterns for the contract and crash tests */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "kit.h"

static struct {
    const char *program;
    char *folder;
    bool chosen;                /* the seeds below were asked for */
    unsigned first, last;
    char again[512];            /* what to print when a script dies */
} kit;

static void print_again(int sig)
{
    if (!kit.again[0] && g_test_get_path()) {
        g_snprintf(kit.again, sizeof(kit.again), "to run it again: %s -p %s\n", kit.program, g_test_get_path());
    }
    ssize_t unused = write(STDERR_FILENO, kit.again, strlen(kit.again));

    (void)unused;
    signal(sig, SIG_DFL);
    raise(sig);
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value && *value;
}

bool kit_is_long(void)
{
    return is_set("MINIBLK_TEST_LONG");
}

bool kit_is_brief(void)
{
    return is_set("MINIBLK_TEST_BRIEF") && !kit_is_long();
}

bool kit_takes(unsigned seed, unsigned share, unsigned phase)
{
    return kit_is_long() || kit.chosen || seed % share == phase % share;
}

static void choose_seeds(const char *text)
{
    char *end;

    kit.first = kit.last = (unsigned)strtoul(text, &end, 10);
    if (*end == '-') {
        kit.last = (unsigned)strtoul(end + 1, &end, 10);
    }
    if (end == text || *end) {
        fprintf(stderr, "'%s' is neither a seed, N, nor a range of them, N-M\n", text);
        exit(2);
    }
    kit.chosen = true;
}

/* GLib has an option of the same name for its own generator, which no test here uses */
static int take_seed_option(int argc, char **argv)
{
    int kept = 0;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
            choose_seeds(argv[++i]);
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    return kept;
}

/* Keep what malloc() has from the system. Disks in memory are made and freed thousands of times, and the page faults of
 * new memory take longer than to copy them */
static void keep_memory(void)
{
#ifdef M_MMAP_MAX
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

void kit_init(int argc, char **argv)
{
    const char *seeds = getenv("MINIBLK_TEST_SEEDS"), *below = getenv("MINIBLK_TEST_DIR");

    keep_memory();
    if (seeds && *seeds) {
        choose_seeds(seeds);
    }
    argc = take_seed_option(argc, argv);
    kit.program = argv[0];
    g_test_init(&argc, &argv, NULL);
    kit.folder = g_build_filename(below && *below ? below : ".", "miniblk-test-XXXXXX", NULL);
    if (!mkdtemp(kit.folder)) {
        fprintf(stderr, "could not make the scratch folder '%s': %s\n", kit.folder, g_strerror(errno));
        exit(2);
    }
    signal(SIGABRT, print_again);
    signal(SIGSEGV, print_again);
    signal(SIGTRAP, print_again);
}

static void remove_folder(void)
{
    GDir *dir = g_dir_open(kit.folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = kit_path(name);

        unlink(path);
    }
    g_clear_pointer(&dir, g_dir_close);
    rmdir(kit.folder);
    g_clear_pointer(&kit.folder, g_free);
}

int kit_run(void)
{
    int ret = g_test_run();

    remove_folder();
    return ret;
}

void kit_each_seed(unsigned count, KitScript *script, const void *data)
{
    unsigned share = kit_is_long() ? 1 : kit_is_brief() ? 16 : 4, some = (count + share - 1) / share;
    unsigned first = kit.chosen ? kit.first : 0, last = kit.chosen ? kit.last : some - 1;

    for (unsigned seed = first; seed <= last; seed++) {
        g_snprintf(kit.again, sizeof(kit.again), "to run it again: %s --seed %u -p %s\nfiles are left in %s\n",
                   kit.program, seed, g_test_get_path(), kit.folder);
        bool more = script(seed, data);

        kit.again[0] = 0;
        if (!more) {
            break;
        }
    }
}

char *kit_path(const char *name)
{
    return g_build_filename(kit.folder, name, NULL);
}

uint8_t kit_byte(int64_t at, unsigned stamp)
{
    uint32_t x = (uint32_t)at * 2654435761u ^ (uint32_t)(at >> 9) * 40503u ^ stamp * 2246822519u;

    return (uint8_t)(x >> 24 ^ x >> 11);
}

void kit_fill(uint8_t *buf, int64_t at, int64_t bytes, unsigned stamp)
{
    for (int64_t i = 0; i < bytes; i++) {
        buf[i] = kit_byte(at + i, stamp);
    }
}

bool kit_is_zero(const uint8_t *buf, int64_t bytes)
{
    return bytes == 0 || (!buf[0] && !memcmp(buf, buf + 1, (size_t)bytes - 1));
}

void kit_assert_same(const uint8_t *got, const uint8_t *want, int64_t bytes, int64_t at)
{
    int64_t i = 0;

    if (!bytes || !memcmp(got, want, (size_t)bytes)) {
        return;
    }
    while (got[i] == want[i]) {
        i++;
    }
    g_error("byte %" PRId64 " is 0x%02x, should be 0x%02x", at + i, got[i], want[i]);
}

uint8_t *kit_read_all(BlockDriverState *bs)
{
    int64_t size = bdrv_getlength(bs);
    uint8_t *bytes = g_malloc((gsize)size);

    g_assert_cmpint(bdrv_pread(bs, 0, bytes, size, 0), ==, 0);
    return bytes;
}
