/* test-path.c - paths as text */
/* SPDX-License-Identifier: MIT */
#include <unistd.h>
#include <glib/gstdio.h>
#include "util/path.h"

static void test_join(void)
{
    static const char *const cases[][3] = {
        { ".", "a", "a" }, { "", "a", "a" }, { "./x/", "./a//b/", "x/a/b" }, { "/", "a", "/a" },
        { "/", "/a", "/a" }, { "x", "../a", "a" }, { "x", "../../a", "../a" }, { ".", "../../a", "../../a" },
        { "/x", "../../a", "/a" }, { "/x", "y/../../../a", "/a" }, { "x/..", "../a", "x/../../a" },
        { "/x/y/..", "../a", "/x/y/../../a" }, { "../x", "../../a", "../../a" }, { "/", "..", "/" },
        { "x", "..a/...", "x/..a/..." },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = path_join(cases[i][0], cases[i][1]);

        g_assert_cmpstr(path, ==, cases[i][2]);
    }
}

static void test_last(void)
{
    static const char *const cases[][2] = {
        { "a", "a" }, { "x/a", "a" }, { "/a", "a" }, { "x/...", "..." }, { "x/ ", " " },
        { "", NULL }, { "/", NULL }, { "a/", NULL }, { ".", NULL }, { "a/.", NULL }, { "..", NULL },
        { "a/..", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpstr(path_last(cases[i][0]), ==, cases[i][1]);
    }
}

static void test_relative(void)
{
    static const char *const cases[][3] = {
        { "/", "/", "n" }, { "/", "/a/b", "a/b/n" }, { "/a/b", "/", "../../n" }, { "/a", "/a", "n" },
        { "/a/b", "/a/c/d", "../c/d/n" }, { "/a/b", "/a/bc", "../bc/n" }, { "/a/b", "/c/b", "../../c/b/n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = path_relative(cases[i][0], cases[i][1], "n");

        g_assert_cmpstr(path, ==, cases[i][2]);
    }
}

static void test_resolve(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-path-XXXXXX", NULL), *real = path_resolve(dir);
    g_autofree char *link = g_build_filename(dir, "link", NULL);

    g_assert_null(path_resolve(link));
    g_assert_null(path_resolve(""));
    g_assert_cmpint(symlink("../", link), ==, 0);
    g_autofree char *up = path_resolve(link), *parent = g_path_get_dirname(real);

    g_assert_cmpstr(up, ==, parent);
    g_remove(link);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/path/join", test_join);
    g_test_add_func("/path/last", test_last);
    g_test_add_func("/path/relative", test_relative);
    g_test_add_func("/path/resolve", test_resolve);
    return g_test_run();
}
