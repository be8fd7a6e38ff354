/* test-beneath.c - names that lead into a folder, and names that would lead out of it */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "util/beneath.h"

static char *scene;             /* the current folder */

/* A name that ends in '/' is a folder's, and one with a target a link's, where '@' is the scene */
static const struct {
    const char *name, *target;
} things[] = {
    { "jail/", NULL }, { "jail/sub/", NULL }, { "jailer/", NULL }, { "out/", NULL },
    { "jail/in", NULL }, { "jail/sub/deep", NULL }, { "jailer/other", NULL }, { "out/secret", NULL },
    { "jail/new\nline", NULL },
    { "jail/near", "sub/../in" }, { "jail/sub/near", "../in" }, { "jail/twice", "near" },
    { "jail/far", "../out/secret" }, { "jail/sub/far", "../../out/secret" }, { "jail/folder", "../out" },
    { "jail/round", "../jail/in" }, { "jail/back", "../out/../jail/in" },
    { "jail/absolute", "@/jail/sub/deep" }, { "jail/absolute-out", "@/out/secret" },
    { "jail/absolute-up", "@/jail/../out/secret" }, { "jail/absolute-alike", "@/jailer/other" },
    { "jail/absolute-by-link", "@/door/in" },
    { "jail/loop", "loop" }, { "jail/nowhere", "gone" }, { "jail/within", "sub" }, { "door", "jail" },
    { "jail/long", "./././././././././././././././././././sub/./././././deep" },
};

static void make_scene(void)
{
    scene = g_dir_make_tmp("test-beneath-XXXXXX", NULL);
    g_assert_cmpint(chdir(scene), ==, 0);
    g_free(scene);
    scene = realpath(".", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(things); i++) {
        const char *name = things[i].name, *target = things[i].target;

        if (target) {
            g_autofree char *path = *target == '@' ? g_strconcat(scene, target + 1, NULL) : g_strdup(target);

            g_assert_cmpint(symlink(path, name), ==, 0);
        } else if (g_str_has_suffix(name, "/")) {
            g_assert_cmpint(mkdir(name, 0700), ==, 0);
        } else {
            g_assert_true(g_file_set_contents(name, name, -1, NULL));
        }
    }
    g_assert_cmpint(mkfifo("jail/fifo", 0600), ==, 0);
}

static void remove_scene(void)
{
    g_assert_cmpint(unlink("jail/fifo"), ==, 0);
    for (size_t i = G_N_ELEMENTS(things); i-- > 0;) {
        g_assert_cmpint(g_remove(things[i].name), ==, 0);
    }
    g_assert_cmpint(chdir("/") + g_remove(scene), ==, 0);
    free(scene);
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static bool is_file(int fd, const char *name)
{
    struct stat found, want;

    return fstat(fd, &found) == 0 && stat(name, &want) == 0 && found.st_dev == want.st_dev &&
           found.st_ino == want.st_ino;
}

typedef struct Case {
    const char *root, *path;        /* '@' at the start is the scene */
    const char *leads_to;           /* NULL: nowhere, and */
    int err;
} Case;

static char *in_scene(const char *path)
{
    return path && path[0] == '@' ? g_strconcat(scene, path + 1, NULL) : g_strdup(path);
}

/* By the kernel and folder by folder, with the same result */
static void check(const Case *c)
{
    g_autofree char *root = in_scene(c->root), *path = in_scene(c->path);

    for (int kernel = 0; kernel < 2; kernel++) {
        unsigned before = count_descriptors();
        int fd = beneath_find(root, path, kernel);

        g_test_message("'%s' in '%s', %s: %d", path, root ? root : "", kernel ? "openat2" : "a walk", fd);
        if (c->leads_to) {
            g_assert_cmpint(fd, >=, 0);
            g_assert_true(is_file(fd, c->leads_to));
            g_assert_true(fcntl(fd, F_GETFL) & O_PATH);
            g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            close(fd);
        } else {
            g_assert_cmpint(fd, ==, -c->err);
        }
        g_assert_cmpuint(count_descriptors(), ==, before);
    }
}

static void check_all(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check(&cases[i]);
    }
}

static void test_inside(void)
{
    static const Case cases[] = {
        { "jail", "jail/in", "jail/in" }, { "jail", "@/jail/in", "jail/in" }, { "@/jail", "jail/in", "jail/in" },
        { "@/jail/", "@//jail/./sub/../in", "jail/in" }, { "./jail", "./jail/sub/deep", "jail/sub/deep" },
        { "jail", "out/../jail/in", "jail/in" }, { "jail", "jail", "jail" }, { "jail", "jail/sub", "jail/sub" },
        { "/", "@/out/secret", "out/secret" }, { "/", "out/secret", "out/secret" },
        { "jail", "jail/fifo", "jail/fifo" }, { "jail", "jail/new\nline", "jail/new\nline" },
        { "jail", "jail/gone", NULL, ENOENT }, { "jail", "jail/gone/in", NULL, ENOENT },
        { "jail", "jail/in/in", NULL, ENOTDIR },
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void test_outside(void)
{
    static const Case cases[] = {
        { "jail", "out/secret", NULL, EXDEV }, { "jail", "@/out/secret", NULL, EXDEV },
        { "jail", "jail/../out/secret", NULL, EXDEV }, { "jail", "jailer/other", NULL, EXDEV },
        { "jail", "/", NULL, EXDEV }, { "jail", ".", NULL, EXDEV }, { "jail", "", NULL, EXDEV },
        { "jail", "/etc/passwd", NULL, EXDEV }, { "jail", "jail/../../../../../../../../etc/passwd", NULL, EXDEV },
        { "jail/sub", "jail/in", NULL, EXDEV }, { "gone", "jail/in", NULL, EXDEV }, { "gone", "gone/in", NULL, ENOENT },
        { "jail/in", "jail/in/in", NULL, ENOTDIR },
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

static void test_links(void)
{
    static const Case cases[] = {
        { "jail", "jail/near", "jail/in" }, { "jail", "jail/sub/near", "jail/in" }, { "jail", "jail/twice", "jail/in" },
        { "jail", "jail/within/deep", "jail/sub/deep" }, { "jail", "jail/long", "jail/sub/deep" },
        { "jail", "jail/absolute", "jail/sub/deep" }, { "door", "jail/in", "jail/in" },
        { "door", "door/in", "jail/in" }, { "door", "door/absolute", "jail/sub/deep" },
        { "door", "door/absolute-by-link", "jail/in" },
        { "jail", "jail/far", NULL, EXDEV }, { "jail", "jail/sub/far", NULL, EXDEV },
        { "jail", "jail/folder", NULL, EXDEV }, { "jail", "jail/folder/secret", NULL, EXDEV },
        { "jail", "jail/folder/gone", NULL, EXDEV }, { "jail", "jail/round", NULL, EXDEV },
        { "jail", "jail/back", NULL, EXDEV }, { "jail", "jail/absolute-out", NULL, EXDEV },
        { "jail", "jail/absolute-up", NULL, EXDEV }, { "jail", "jail/absolute-alike", NULL, EXDEV },
        { "jail", "jail/absolute-by-link", NULL, EXDEV },
        { "jail", "jail/loop", NULL, ELOOP }, { "jail", "jail/nowhere", NULL, ENOENT },
        { NULL, "jail/far", "out/secret" }, { NULL, "jail/folder/secret", "out/secret" },
        { NULL, "@/jail/back", "jail/in" }, { NULL, "/../../..", "/" }, { NULL, "door/in", "jail/in" },
        { NULL, "jail/loop", NULL, ELOOP }, { NULL, "jail/nowhere", NULL, ENOENT },
    };

    check_all(cases, G_N_ELEMENTS(cases));
}

/* A process's own files, by whatever names */
static void test_magic_links(void)
{
    int fd = open("out/secret", O_RDONLY | O_CLOEXEC), folder = open("out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    static const char *const folders[] = { "/proc/self/fd", "/dev/fd", "/proc/thread-self/fd" };

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_strdup_printf("%s/%d", folders[i], fd);
        g_autofree char *through = g_strdup_printf("%s/%d/secret", folders[i], folder);

        check(&(Case) { NULL, path, NULL, ELOOP });
        check(&(Case) { NULL, through, NULL, ELOOP });
        check(&(Case) { "/", path, NULL, ELOOP });
        check(&(Case) { "jail", path, NULL, EXDEV });
    }
    check(&(Case) { NULL, "/proc/self/cwd/out/secret", NULL, ELOOP });
    check(&(Case) { NULL, "/proc/self/root", NULL, ELOOP });
    check(&(Case) { "/proc", "/proc/self/root", NULL, ELOOP });
    check(&(Case) { NULL, "/proc/self/stat", "/proc/self/stat" });
    close(fd);
    close(folder);
}

/* More folders than the walk has room for, and a link that grows at each turn */
static void test_too_deep(void)
{
    GString *path = g_string_new("jail");
    unsigned before = count_descriptors();

    for (int i = 0; i < 300; i++) {
        g_string_append(path, "/d");
        g_assert_cmpint(mkdir(path->str, 0700), ==, 0);
    }
    g_assert_cmpint(beneath_find("jail", path->str, false), ==, -ENAMETOOLONG);
    for (int i = 0; i < 300; i++) {
        g_assert_cmpint(rmdir(path->str), ==, 0);
        g_string_truncate(path, path->len - 2);
    }
    g_string_free(path, TRUE);
    g_assert_cmpint(symlink("grow/grow/grow/grow/grow/grow/grow/grow", "jail/grow"), ==, 0);
    check(&(Case) { "jail", "jail/grow", NULL, ELOOP });
    g_assert_cmpint(unlink("jail/grow"), ==, 0);
    g_assert_cmpuint(count_descriptors(), ==, before);
}

static void test_made_up(void)
{
    static const struct {
        const char *path;
        bool made_up;
    } cases[] = {
        { "jail/in", false }, { "jail", false }, { "/dev/null", false }, { "/proc/self/mem", true },
        { "/proc/kmsg", true }, { "/sys/kernel/notes", true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int fd = open(cases[i].path, O_PATH | O_CLOEXEC);

        if (fd >= 0) {
            g_assert_true(beneath_is_made_up(fd) == cases[i].made_up);
            close(fd);
        }
    }
}

/* Two names that change places all the time */
typedef struct Swap {
    const char *a, *b;
    int stop;                       /* atomic */
} Swap;

static void *swap(void *data)
{
    Swap *s = data;

    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        g_assert_cmpint(syscall(SYS_renameat2, AT_FDCWD, s->a, AT_FDCWD, s->b, 2 /* RENAME_EXCHANGE */), ==, 0);
        sched_yield();
    }
    return NULL;
}

/* Either the file inside is found, or nothing is */
static void check_race(const char *a, const char *b, const char *path, const char *inside)
{
    enum { TURNS = 500 };

    for (int kernel = 0; kernel < 2; kernel++) {
        Swap s = { a, b, 0 };
        pthread_t thread;
        int found = 0;

        g_assert_cmpint(pthread_create(&thread, NULL, swap, &s), ==, 0);
        for (int i = 0; i < TURNS || (found == 0 && i < 400 * TURNS); i++) {
            int fd = beneath_find("jail", path, kernel);

            g_assert_true(fd < 0 || is_file(fd, inside));
            found += fd >= 0;
            if (fd >= 0) {
                close(fd);
            }
        }
        __atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        g_test_message("%s, %s: found %d of %d", path, kernel ? "openat2" : "a walk", found, TURNS);
        g_assert_cmpint(found, >, 0);
    }
}

static void test_swapped_link(void)
{
    g_assert_cmpint(symlink("in", "jail/p") + symlink("../out/secret", "jail/q"), ==, 0);
    check_race("jail/p", "jail/q", "jail/p", "jail/in");
    g_assert_cmpint(unlink("jail/p") + unlink("jail/q"), ==, 0);
}

static void test_swapped_folder(void)
{
    g_assert_cmpint(mkdir("jail/p", 0700) + symlink("../out", "jail/q"), ==, 0);
    g_assert_cmpint(link("jail/in", "jail/p/secret"), ==, 0);
    check_race("jail/p", "jail/q", "jail/p/secret", "jail/in");
    g_assert_cmpint(unlink(g_file_test("jail/p", G_FILE_TEST_IS_SYMLINK) ? "jail/q/secret" : "jail/p/secret"), ==, 0);
    g_assert_cmpint(g_remove("jail/p") + g_remove("jail/q"), ==, 0);
}

static void test_swapped_absolute_link(void)
{
    g_autofree char *in = in_scene("@/jail/in"), *out = in_scene("@/out/secret");

    g_assert_cmpint(symlink(in, "jail/p") + symlink(out, "jail/q"), ==, 0);
    check_race("jail/p", "jail/q", "jail/p", "jail/in");
    g_assert_cmpint(unlink("jail/p") + unlink("jail/q"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_scene();
    g_test_add_func("/beneath/inside", test_inside);
    g_test_add_func("/beneath/outside", test_outside);
    g_test_add_func("/beneath/links", test_links);
    g_test_add_func("/beneath/magic-links", test_magic_links);
    g_test_add_func("/beneath/too-deep", test_too_deep);
    g_test_add_func("/beneath/made-up", test_made_up);
    g_test_add_func("/beneath/swapped-link", test_swapped_link);
    g_test_add_func("/beneath/swapped-folder", test_swapped_folder);
    g_test_add_func("/beneath/swapped-absolute-link", test_swapped_absolute_link);
    int ret = g_test_run();

    remove_scene();
    return ret;
}
