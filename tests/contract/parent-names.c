/* parent-names.c - what an image chooses by a name: nothing is opened, and nothing looked at, that is not a disk's */
/* SPDX-License-Identifier: MIT
 *
 * The scene is a folder "in", which parents are kept to, and a folder "out" beside it. Images inside are full of "I",
 * those outside of "S", and have the same unique ids.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <miniblk/block.h>
#include "block/format/vpc/on-disk.h"
#include "kit.h"
#include "util/be.h"

enum { W2RU = 0x57327275, W2KU = 0x57326b75, MACX = 0x4d616358 };
enum { BASE = 2, MIDDLE = 3, CHILD = 4 };       /* unique ids, and what an image has for a parent is one less */
enum { LOCATOR = 2048, BLOCK = LOCATOR + 16384, BYTES = 4096, TAIL = BLOCK + 512 + BYTES };

static char *scene;             /* the current folder */

/* Images */

static void seal(void *data, size_t bytes, uint8_t *checksum)
{
    uint32_t sum = 0;

    memset(checksum, 0, 4);
    for (size_t i = 0; i < bytes; i++) {
        sum += ((const uint8_t *)data)[i];
    }
    be32_store(checksum, ~sum);
}

static void set_footer(VpcFooter *f, uint8_t id, bool child)
{
    *f = (VpcFooter) { .cylinders = { 0, 1 }, .heads = 1, .sectors = 8 };
    memcpy(f->cookie, VPC_COOKIE, 8);
    memcpy(f->creator, "win ", 4);
    be32_store(f->features, VPC_FEATURES);
    be32_store(f->version, VPC_VERSION);
    be64_store(f->data_offset, 512);
    be64_store(f->original_size, BYTES);
    be64_store(f->current_size, BYTES);
    be32_store(f->type, child ? VPC_DIFFERENCING : VPC_DYNAMIC);
    memset(f->uuid, id, 16);
    seal(f, sizeof(*f), f->checksum);
}

/* UTF-16 of ASCII */
static size_t put_text(uint8_t *to, const char *text, size_t length, bool wide)
{
    for (size_t i = 0; i < length; i++) {
        to[wide ? 2 * i : i] = (uint8_t)text[i];
    }
    return wide ? 2 * length : length;
}

/* An image of one block. @length bytes of @name are in a locator of the kind @code; 0: it has no parent, and is full of
 * @letter */
static void write_image(const char *path, uint8_t id, char letter, uint32_t code, const char *name, size_t length)
{
    g_autofree uint8_t *file = g_malloc0(TAIL + 512);
    VpcFooter *f = (VpcFooter *)(file + TAIL);
    VpcHeader *h = (VpcHeader *)(file + 512);

    set_footer(f, id, code);
    memcpy(file, f, sizeof(*f));
    memcpy(h->cookie, VPC_HEADER_COOKIE, 8);
    memset(h->data_offset, 0xff, 8);
    be64_store(h->table_offset, 1536);
    be32_store(h->version, VPC_HEADER_VERSION);
    be32_store(h->entries, 1);
    be32_store(h->block_size, BYTES);
    memset(file + 1536, 0xff, 512);
    if (code) {
        memset(h->parent_uuid, id - 1, 16);
        be32_store(h->locators[0].code, code);
        be32_store(h->locators[0].space, BLOCK - LOCATOR);
        be32_store(h->locators[0].length, (uint32_t)put_text(file + LOCATOR, name, length, code != MACX));
        be64_store(h->locators[0].offset, LOCATOR);
    } else {
        be32_store(file + 1536, BLOCK / 512);
        memset(file + BLOCK, 0xff, 1);
        memset(file + BLOCK + 512, letter, BYTES);
    }
    seal(h, sizeof(*h), h->checksum);
    g_assert_true(g_file_set_contents(path, (char *)file, TAIL + 512, NULL));
}

static void write_child(const char *path, uint8_t id, uint32_t code, const char *name)
{
    write_image(path, id, 0, code, name, strlen(name));
}

static char *in_scene(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "@", -1);

    return g_strjoinv(scene, parts);
}

static void make_scene(void)
{
    g_autofree char *path = kit_path("names");

    g_assert_cmpint(mkdir(path, 0700), ==, 0);
    scene = realpath(path, NULL);
    g_assert_cmpint(chdir(scene), ==, 0);
    g_assert_cmpint(mkdir("in", 0700) + mkdir("out", 0700) + mkdir("in/sub", 0700) + mkdir("in/d", 0700), ==, 0);
    for (int i = 0; i < 2; i++) {
        static const char *const where[][3] = {
            { "in/base.vhd", "in/d/base.vhd", "in/d/middle.vhd" },
            { "out/base.vhd", "out/secret.vhd", "out/middle.vhd" },
        };

        write_image(where[i][0], BASE, i ? 'S' : 'I', 0, "", 0);
        write_image(where[i][1], BASE, i ? 'S' : 'I', 0, "", 0);
        write_child(where[i][2], MIDDLE, W2RU, ".\\base.vhd");
    }
    write_child("in/middle.vhd", MIDDLE, W2RU, ".\\p.vhd");
    g_assert_cmpint(symlink("base.vhd", "in/p.vhd") + symlink("../out/secret.vhd", "in/q") + symlink("../out", "in/e"),
                    ==, 0);
}

static void remove_tree(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        remove_tree(below);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

static void remove_scene(void)
{
    g_autofree char *folder = g_path_get_dirname(scene);

    g_assert_cmpint(chdir(".."), ==, 0);
    remove_tree(scene);
    rmdir(folder);
    free(scene);
}

/* Who opens something there, or reads it? */
static int watch(const char *path)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(inotify_add_watch(fd, path, IN_OPEN | IN_ACCESS | IN_MODIFY | IN_ATTRIB | IN_CREATE), >=, 0);
    return fd;
}

/* And ends that */
static bool was_touched(int fd)
{
    char events[4096];
    ssize_t got = read(fd, events, sizeof(events));

    close(fd);
    return got > 0;
}

static bool find_parent(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    bdrv_offer_file(answer, user, NULL);
    return false;
}

/* The child "in/c.vhd". @offer: a resolver's; NULL: there is none */
static BlockDriverState *open_child(const char *options, const char *offer, GError **errp)
{
    const BlockResolver resolver = { (void *)offer, find_parent };
    g_autofree char *more = in_scene(options), *all = g_strconcat("driver=vpc", *more ? "," : "", more, NULL);
    const BlockOpenArgs args = { .filename = "in/c.vhd", .options = all, .resolver = offer ? &resolver : NULL };

    return bdrv_open_with(&args, errp);
}

/* What an image is full of, which is closed then; 0: it was not opened */
static int letter_of(BlockDriverState *bs)
{
    uint8_t letter = 0;

    if (bs) {
        g_assert_cmpint(bdrv_pread(bs, 0, &letter, 1, 0), ==, 0);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
    }
    return letter;
}

/* Links that are swapped */

typedef struct Swap {
    const char *a, *b;
    int stop;                   /* atomic */
} Swap;

static bool exchange(const char *a, const char *b)
{
    return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */) == 0;
}

static void *swap(void *data)
{
    Swap *s = data;
    int turns;

    for (turns = 0; !__atomic_load_n(&s->stop, __ATOMIC_RELAXED) || turns % 2; turns++) {
        g_assert_true(exchange(s->a, s->b));
        sched_yield();
    }
    return NULL;
}

typedef struct Race {
    const char *name;           /* of the test */
    const char *parent, *options, *offer;
    uint32_t code;
    bool folder;                /* what is swapped: a link "in/p.vhd", or a folder "in/d"; in/base.vhd or out/secret.vhd
                                 * is the parent then, or what is in in/d or in out */
    bool middle;                /* the child is MIDDLE's */
} Race;

#define ROOT "parent-root=in"

static const Race races[] = {
    { "relative", ".\\p.vhd", ROOT, NULL, W2RU },
    { "relative-from-folder", ".\\sub\\..\\p.vhd", "parent-root=@/in", NULL, W2RU },
    { "absolute", "@/in/p.vhd", ROOT, NULL, W2KU },
    { "url", "file://./p.vhd", ROOT, NULL, MACX },
    { "drive", "C:\\p.vhd", ROOT ",drives=C=in", NULL, W2KU },
    { "drive-with-absolute-folder", "C:\\in\\p.vhd", ROOT ",drives=C=@", NULL, W2KU },
    { "search-folder", ".\\gone\\p.vhd", ROOT ",parent-search=in", NULL, W2RU },
    { "other-case", ".\\P.VHD", ROOT, NULL, W2RU },
    { "parent-option", ".\\gone", ROOT ",parent=in/p.vhd", NULL, W2RU },
    { "backing-option", ".\\gone", ROOT ",backing.file.filename=in/p.vhd", NULL, W2RU },
    { "resolver", ".\\gone", ROOT, "in/p.vhd", W2RU },
    { "grandparent", ".\\middle.vhd", ROOT, NULL, W2RU, .middle = true },
    { "grandparent-of-resolver", ".\\gone", ROOT ",backing.parent=in/p.vhd", "in/middle.vhd", W2RU, .middle = true },
    { "folder", ".\\d\\base.vhd", ROOT, NULL, W2RU, .folder = true },
    { "folder-absolute", "@/in/d/base.vhd", ROOT, NULL, W2KU, .folder = true },
    { "folder-in-other-case", ".\\d\\BASE.vhd", ROOT, NULL, W2RU, .folder = true },
    { "folder-with-grandparent", ".\\d\\middle.vhd", ROOT, NULL, W2RU, .folder = true, .middle = true },
};

/* Whoever is quicker: what is outside is never read, nor is the folder there listed */
static bool run_race(unsigned seed, const void *data)
{
    enum { TURNS = 20 };
    const Race *race = data;
    Swap s = { race->folder ? "in/d" : "in/p.vhd", race->folder ? "in/e" : "in/q", 0 };
    g_autofree char *parent = in_scene(race->parent);
    pthread_t thread;
    int opened = 0;

    write_child("in/c.vhd", race->middle ? CHILD : MIDDLE, race->code, parent);
    int outside = watch("out");
    g_assert_cmpint(pthread_create(&thread, NULL, swap, &s), ==, 0);
    for (int i = 0; i < TURNS || (opened == 0 && i < 100 * TURNS); i++) {
        int letter = letter_of(open_child(race->options, race->offer, NULL));

        g_assert_true(letter == 0 || letter == 'I');
        opened += letter == 'I';
    }
    __atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    g_assert_false(was_touched(outside));
    g_assert_cmpint(opened, >, 0);
    return true;
}

static void test_race(const void *data)
{
    if (exchange("in/p.vhd", "in/q") && exchange("in/q", "in/p.vhd")) {
        kit_each_seed(10, run_race, data);
    } else {
        g_test_skip("this file system can't swap two names");
    }
}

/* The same names do lead there without parent-root, or the tests above would prove nothing */
static void test_race_is_one(void)
{
    int outside = watch("out");

    write_child("in/c.vhd", MIDDLE, W2RU, ".\\q");
    g_assert_cmpint(letter_of(open_child("", NULL, NULL)), ==, 'S');
    g_assert_true(was_touched(outside));
    g_assert_cmpint(letter_of(open_child(ROOT, NULL, NULL)), ==, 0);
}

/* Names that lead out */

static void test_outside_is_not_touched(void)
{
    static const struct {
        uint32_t code;
        const char *name, *options;
    } cases[] = {
        { W2RU, "..\\out\\secret.vhd", "" }, { W2RU, "..\\out\\SECRET.vhd", "" }, { W2RU, "..\\out\\gone.vhd", "" },
        { W2RU, "..\\in\\..\\out\\secret.vhd", "" }, { W2RU, ".\\e\\secret.vhd", "" }, { W2RU, ".\\e\\Secret.VHD", "" },
        { W2RU, ".\\q", "" }, { W2RU, ".\\Q", "" },
        { W2RU, "..\\..\\..\\..\\..\\..\\..\\..\\..\\@/out/secret.vhd", "" },
        { W2KU, "@/out/secret.vhd", "" }, { W2KU, "@/out/SECRET.vhd", "" }, { W2KU, "@/in/../out/secret.vhd", "" },
        { W2KU, "\\\\?\\@/out/secret.vhd", "" }, { W2KU, "\\\\.\\@/out/secret.vhd", "" },
        { W2KU, "\\\\server\\@/out/secret.vhd", "" }, { W2KU, "C:@/out/secret.vhd", "" },
        { W2KU, "C:\\secret.vhd", ",drives=C=out" }, { W2KU, "C:\\SECRET.vhd", ",drives=C=@/out" },
        { W2KU, "C:\\..\\out\\secret.vhd", ",drives=C=in" }, { W2KU, "\\\\?\\C:\\secret.vhd", ",drives=c=@/out" },
        { W2RU, ".\\secret.vhd", ",parent-search=out:@/out" }, { W2RU, ".\\Secret.vhd", ",parent-search=@/out:out" },
        { MACX, "file://@/out/secret.vhd", "" }, { MACX, "file://localhost@/out/secret.vhd", "" },
        { MACX, "file://./%2e%2e/out/secret.vhd", "" }, { MACX, "file://./..%2fout%2fSECRET.vhd", "" },
        { W2RU, ".\\gone", ",parent=@/out/secret.vhd" }, { W2RU, ".\\gone", ",parent=../out/secret.vhd" },
        { W2RU, ".\\gone", ",backing.file.filename=out/secret.vhd" },
        { W2RU, ".\\gone", ",backing.file.driver=file,backing.file.filename=out/secret.vhd" },
        { W2RU, ".\\gone", ",backing.file.driver=blkdebug,backing.file.image.filename=out/secret.vhd" },
        { W2RU, ".\\gone", ",backing.driver=raw,backing.file.driver=vpc,backing.file.file.filename=out/secret.vhd" },
        { W2RU, ".\\gone", ",backing.file.driver=host_device,backing.file.filename=out/secret.vhd" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = in_scene(cases[i].name), *options = g_strconcat(ROOT, cases[i].options, NULL);
        int outside = watch("out");
        GError *err = NULL;

        g_test_message("%s with %s", name, options);
        write_child("in/c.vhd", MIDDLE, cases[i].code, name);
        BlockDriverState *bs = open_child(options, NULL, &err);

        g_assert_null(bs);
        g_test_message("%s", bdrv_error_message(err));
        bdrv_error_free(err);
        g_assert_false(was_touched(outside));
    }
}

/* The folder is not left by a parent's own file, whose chain has no option of its own */
static void test_chain_below_format(void)
{
    GError *err = NULL;

    write_child("in/m.vhd", MIDDLE, W2RU, "..\\out\\secret.vhd");
    write_child("in/c.vhd", CHILD, W2RU, ".\\gone");
    int outside = watch("out");
    BlockDriverState *bs = open_child(ROOT ",ignore-parent-id=on,backing.driver=raw,backing.file.driver=vpc,"
                                      "backing.file.file.filename=in/m.vhd", NULL, &err);

    g_assert_null(bs);
    g_assert_nonnull(strstr(bdrv_error_message(err), "it is not inside the folder 'in'"));
    bdrv_error_free(err);
    g_assert_false(was_touched(outside));
    g_assert_cmpint(g_unlink("in/m.vhd"), ==, 0);
}

/* Names are from the folder where links lead from an image, first: also where its chain goes on, and in a folder that
 * is not left */
static void test_linked_children(void)
{
    write_child("in/c.vhd", CHILD, W2RU, ".\\linked.vhd");
    write_child("in/sub/m.vhd", MIDDLE, W2RU, ".\\own.vhd");
    write_image("in/sub/own.vhd", BASE, 'O', 0, "", 0);
    write_image("in/own.vhd", BASE, 'I', 0, "", 0);
    g_assert_cmpint(symlink("sub/m.vhd", "in/linked.vhd"), ==, 0);
    g_assert_cmpint(letter_of(open_child("", NULL, NULL)), ==, 'O');
    g_assert_cmpint(letter_of(open_child(ROOT, NULL, NULL)), ==, 'O');
    g_assert_cmpint(g_unlink("in/sub/own.vhd"), ==, 0);
    g_assert_cmpint(letter_of(open_child(ROOT, NULL, NULL)), ==, 'I');
    g_assert_cmpint(g_unlink("in/own.vhd") + g_unlink("in/sub/m.vhd") + g_unlink("in/linked.vhd"), ==, 0);
}

static void test_no_other_protocol(void)
{
    static const char *const options[] = {
        ",backing.driver=raw,backing.file.driver=null-co", ",backing.driver=raw,backing.file.driver=mem",
        ",backing.driver=raw,backing.file.driver=blkdebug,backing.file.image.driver=null",
    };

    write_child("in/c.vhd", MIDDLE, W2RU, ".\\gone");
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree char *all = g_strconcat(ROOT ",ignore-parent-id=on", options[i], NULL);
        GError *err = NULL;

        g_assert_null(open_child(all, NULL, &err));
        g_assert_nonnull(strstr(bdrv_error_message(err), "opens no file, and parents are to be inside the folder "
                                "'in'"));
        bdrv_error_free(err);
    }
}

/* Files that are no disk's */

typedef struct Special {
    const char *name;
    char *(*make)(void);        /* g_free() its path; NULL: that can't be done here */
} Special;

static char *make_fifo(void)
{
    return mkfifo("in/special", 0600) == 0 ? in_scene("@/in/special") : NULL;
}

static int terminal = -1;

static char *make_terminal(void)
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0) {
        return NULL;
    }
    char *path = g_strdup(ptsname(terminal));

    g_assert_cmpint(symlink(path, "in/special"), ==, 0);
    return path;
}

static char *make_socket(void)
{
    struct sockaddr_un address = { AF_UNIX, "in/special" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    close(fd);
    return ok ? in_scene("@/in/special") : NULL;
}

static char *make_folder(void)
{
    return mkdir("in/special", 0700) == 0 ? in_scene("@/in/special") : NULL;
}

static const Special specials[] = {
    { "fifo", make_fifo }, { "terminal", make_terminal }, { "socket", make_socket }, { "folder", make_folder },
};

/* None of them is opened, not even for a moment, by whatever way an image leads there */
static void test_special(const void *data)
{
    const Special *special = data;
    g_autofree char *path = special->make();
    static const struct {
        const char *name, *options;
        bool offered;
    } ways[] = {
        { ".\\special", "" }, { ".\\SPECIAL", "" }, { "#", "" }, { ".\\special", ROOT }, { ".\\SPECIAL", ROOT },
        { "C:\\special", "drives=C=in" }, { ".\\gone", "parent=in/special" }, { ".\\gone", ROOT ",parent=in/special" },
        { ".\\gone", "", true }, { ".\\gone", ROOT, true }, { ".\\special", "backing.driver=raw,ignore-parent-id=on" },
        { ".\\special", "backing.read-only=off" },
    };

    if (!path) {
        g_test_skip("there can't be one here");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        bool itself = ways[i].name[0] == '#';
        int seen = watch(path);

        g_test_message("%s with '%s'", itself ? path : ways[i].name, ways[i].options);
        write_child("in/c.vhd", MIDDLE, itself ? W2KU : W2RU, itself ? path : ways[i].name);
        g_assert_null(open_child(ways[i].options, ways[i].offered ? "in/special" : NULL, NULL));
        g_assert_false(was_touched(seen));
    }
    g_assert_cmpint(g_remove("in/special"), ==, 0);
    if (terminal >= 0) {
        close(terminal);
        terminal = -1;
    }
}

/* Nor if a user names one for an image, with the driver for regular files */
static void test_special_of_user(void)
{
    char *(*const make[])(void) = { make_fifo, make_terminal };

    for (size_t i = 0; i < G_N_ELEMENTS(make); i++) {
        g_autofree char *path = make[i]();

        if (path) {
            int seen = watch(path);
            g_autofree char *options = g_strdup_printf("driver=raw,file.driver=file,file.filename=%s", path);

            g_assert_null(bdrv_open(NULL, options, 0, NULL));
            g_assert_null(bdrv_open(NULL, options, BDRV_O_RDWR, NULL));
            g_assert_false(bdrv_create(path, "driver=raw,file.driver=file,size=1M", NULL));
            g_assert_false(was_touched(seen));
            g_assert_cmpint(g_remove("in/special"), ==, 0);
        }
    }
    close(terminal);
    terminal = -1;
}

/* What a process has open is not what an image means; a user may mean it */
static void test_magic_links(void)
{
    int fd = open("in/base.vhd", O_RDONLY | O_CLOEXEC);
    static const char *const folders[] = { "/proc/self/fd", "/dev/fd", "/proc/thread-self/fd" };

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_strdup_printf("%s/%d", folders[i], fd);
        g_autofree char *parent = g_strconcat("parent=", path, NULL), *kept = g_strconcat(ROOT ",", parent, NULL);

        write_child("in/c.vhd", MIDDLE, W2KU, path);
        g_assert_null(open_child("", NULL, NULL));
        g_assert_null(open_child(ROOT, NULL, NULL));
        g_assert_null(open_child("parent-root=/", NULL, NULL));
        g_assert_null(open_child(kept, NULL, NULL));
        g_assert_cmpint(letter_of(open_child(parent, NULL, NULL)), ==, 'I');
    }
    close(fd);
}

static void test_made_up(void)
{
    static const char *const names[] = { "/proc/self/mem", "/proc/self/maps", "/proc/kmsg", "/sys/kernel/notes" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        GError *err = NULL;

        write_child("in/c.vhd", MIDDLE, W2KU, names[i]);
        g_assert_null(open_child("", NULL, &err));
        g_assert_true(strstr(bdrv_error_message(err), "the kernel makes it up") || access(names[i], F_OK) < 0);
        bdrv_error_free(err);
    }
}

/* Who only looks whether it is the parent leaves no trace, and neither does who reads it then */
static void test_time_of_access(void)
{
    static const char *const options[] = { "", ROOT, "parent=in/base.vhd" };

    for (int id = MIDDLE; id <= CHILD; id++) {
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
            const struct timespec long_ago[2] = { { 1000000000, 0 }, { 1100000000, 0 } };
            struct stat st;

            write_child("in/c.vhd", (uint8_t)id, W2RU, ".\\base.vhd");
            g_assert_cmpint(utimensat(AT_FDCWD, "in/base.vhd", long_ago, 0), ==, 0);
            g_assert_cmpint(letter_of(open_child(options[i], NULL, NULL)), ==, id == MIDDLE ? 'I' : 0);
            g_assert_cmpint(stat("in/base.vhd", &st), ==, 0);
            g_assert_cmpint(st.st_atim.tv_sec, ==, 1000000000);
        }
    }
}

/* A file that is not the parent is not opened for writing, nor locked as if it were, where the user wants to commit */
static void test_only_read(void)
{
    for (int id = MIDDLE; id <= CHILD; id++) {
        int events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

        write_child("in/c.vhd", (uint8_t)id, W2RU, ".\\base.vhd");
        g_assert_cmpint(inotify_add_watch(events, "in/base.vhd", IN_CLOSE_WRITE | IN_MODIFY), >=, 0);
        g_assert_cmpint(letter_of(open_child("backing.read-only=off", NULL, NULL)), ==, id == MIDDLE ? 'I' : 0);
        g_assert_true(was_touched(events) == (id == MIDDLE));
    }
}

/* A parent to commit to is the one that was found */
static void test_written(void)
{
    GError *err = NULL;
    uint8_t letter = 'W', first = 0;

    write_child("in/c.vhd", MIDDLE, W2RU, ".\\w.vhd");
    write_image("in/w.vhd", BASE, 'I', 0, "", 0);
    BlockDriverState *bs = bdrv_open("in/c.vhd", "driver=vpc," ROOT ",backing.read-only=off", BDRV_O_RDWR, &err);

    g_assert_no_error(err);
    g_assert_cmpint(bdrv_pwrite(bs, 0, &letter, 1, 0), ==, 0);
    g_assert_true(g_rename("in/w.vhd", "in/was.vhd") == 0 && symlink("../out/secret.vhd", "in/w.vhd") == 0);
    g_assert_true(bdrv_commit(bs, 1, NULL, NULL, NULL));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    int fd = open("in/was.vhd", O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(pread(fd, &first, 1, BLOCK + 512), ==, 1);
    g_assert_cmpint(first, ==, 'W');
    close(fd);
    g_assert_cmpint(g_unlink("in/w.vhd") + g_unlink("in/was.vhd"), ==, 0);
}

/* Names that are no names */
static void test_odd_names(void)
{
    static const struct {
        const char *text;
        size_t length;
        uint8_t letter;         /* of what it leads to; 0: nothing */
    } cases[] = {
#define NAME(text, letter) { text, sizeof(text) - 1, letter }
        NAME(".\\base.vhd\0\\..\\..\\out\\secret.vhd", 'I'), NAME("\0.\\base.vhd", 0), NAME(".\\base.vhd\n", 0),
        NAME(".\\\nbase.vhd", 0), NAME(".\\base.vhd.", 0), NAME(".\\base.vhd...", 0), NAME(".\\base.vhd ", 0),
        NAME(".\\base.vhd\\", 0), NAME(".\\base.vhd\\.", 0), NAME(".\\base.vhd::$DATA", 0), NAME(".\\*.vhd", 0),
        NAME(".\\?ase.vhd", 0), NAME(".", 0), NAME("..", 0), NAME("\\", 0), NAME("\\\\", 0), NAME("\\\\?\\", 0),
        NAME("C:", 0), NAME("C:\\", 0), NAME("//", 0), NAME("file:base.vhd", 0), NAME("json:{}", 0),
        NAME("nbd://localhost/base.vhd", 'I'),      /* a folder of this name, and then only the last part */
        NAME("\\\\server\\share\\base.vhd", 'I'), NAME("Z:\\base.vhd", 'I'), NAME("Z:base.vhd", 'I'),
        NAME("\\\\.\\PhysicalDrive0", 0), NAME("\\\\?\\UNC\\server\\base.vhd", 'I'), NAME("~\\base.vhd", 'I'),
        NAME("%TEMP%\\base.vhd", 'I'), NAME("$HOME\\base.vhd", 'I'), NAME("CON", 0), NAME("/dev/stdin", 0),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (int kept = 0; kept < 2; kept++) {
            int outside = watch("out");

            g_test_message("%s", cases[i].text);
            write_image("in/c.vhd", MIDDLE, 0, W2KU, cases[i].text, cases[i].length);
            g_assert_cmpint(letter_of(open_child(kept ? ROOT : "", NULL, NULL)), ==, cases[i].letter);
            g_assert_false(was_touched(outside));
        }
    }
}

static void test_long_names(void)
{
    static const size_t lengths[] = { 255, 256, 4090, 4096, 8000 };

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autofree char *one = g_strnfill(lengths[i], 'n'), *slashes = g_strnfill(lengths[i], '\\');
        g_autofree char *deep = g_strdup_printf(".%sbase.vhd", slashes);
        GError *err = NULL;

        write_child("in/c.vhd", MIDDLE, W2RU, one);
        g_assert_null(open_child(i % 2 ? ROOT : "", NULL, &err));
        g_assert_cmpint(bdrv_error_code(err), ==, ENOENT);
        bdrv_error_free(err);
        write_child("in/c.vhd", MIDDLE, W2RU, deep);
        g_assert_cmpint(letter_of(open_child(i % 2 ? ROOT : "", NULL, NULL)), ==, 'I');
    }
}

/* Of a folder with more entries than are looked at, that is said */
static void test_large_folder(void)
{
    enum { ENTRIES = 100100 };
    GError *err = NULL;

    g_assert_cmpint(mkdir("in/large", 0700), ==, 0);
    for (int i = 0; i < ENTRIES; i++) {
        g_autofree char *path = g_strdup_printf("in/large/%d", i);

        g_assert_cmpint(link(i % 2 ? "in/base.vhd" : "in/d/base.vhd", path), ==, 0);     /* ext4: 65000 of a file */
    }
    write_child("in/c.vhd", MIDDLE, W2RU, ".\\large\\gone.vhd");
    g_assert_null(open_child(ROOT, NULL, &err));
    g_assert_nonnull(strstr(bdrv_error_message(err), "in/large (names in other case): only 100000 of its entries were "
                            "compared"));
    bdrv_error_free(err);
    remove_tree("in/large");
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    make_scene();
    for (size_t i = 0; i < G_N_ELEMENTS(races); i++) {
        g_autofree char *path = g_strconcat("/swapped/", races[i].name, NULL);

        g_test_add_data_func(path, &races[i], test_race);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(specials); i++) {
        g_autofree char *path = g_strconcat("/special/", specials[i].name, NULL);

        g_test_add_data_func(path, &specials[i], test_special);
    }
    g_test_add_func("/swapped/without-root", test_race_is_one);
    g_test_add_func("/special/of-user", test_special_of_user);
    g_test_add_func("/special/magic-links", test_magic_links);
    g_test_add_func("/special/made-up", test_made_up);
    g_test_add_func("/root/outside-is-not-touched", test_outside_is_not_touched);
    g_test_add_func("/root/chain-below-format", test_chain_below_format);
    g_test_add_func("/root/no-other-protocol", test_no_other_protocol);
    g_test_add_func("/root/written", test_written);
    g_test_add_func("/root/linked-children", test_linked_children);
    g_test_add_func("/candidate/only-read", test_only_read);
    g_test_add_func("/candidate/time-of-access", test_time_of_access);
    g_test_add_func("/candidate/odd-names", test_odd_names);
    g_test_add_func("/candidate/long-names", test_long_names);
    g_test_add_func("/candidate/large-folder", test_large_folder);
    int ret = kit_run();

    if (ret == 0) {
        remove_scene();
    }
    return ret;
}
