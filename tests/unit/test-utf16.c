/* test-utf16.c - names from UTF-16 and back */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>
#include <glib.h>
#include "util/utf16.h"

/* Both ways, little-endian; @bytes without the NUL that C adds */
static const struct {
    const char *utf16;
    size_t bytes;
    const char *utf8;
} pairs[] = {
    { "", 0, "" },
    { "a\0.\0v\0", 6, "a.v" },
    { "\xe9\x00", 2, "\xc3\xa9" },                              /* e acute */
    { "\xff\x07", 2, "\xdf\xbf" },                              /* the last of two bytes, */
    { "\x00\x08", 2, "\xe0\xa0\x80" },                          /* the first of three */
    { "\x2c\x67", 2, "\xe6\x9c\xac" },
    { "\xff\xff", 2, "\xef\xbf\xbf" },
    { "\x00\xd8\x00\xdc", 4, "\xf0\x90\x80\x80" },              /* U+10000 */
    { "\x3d\xd8\xbe\xdc", 4, "\xf0\x9f\x92\xbe" },
    { "\xff\xdb\xff\xdf", 4, "\xf4\x8f\xbf\xbf" },              /* U+10FFFF */
    { "a\0\x00\xd8", 4, "a\xed\xa0\x80" },                      /* half a pair at the end, */
    { "\x00\xd8z\0", 4, "\xed\xa0\x80z" },                      /* before something else, */
    { "\x00\xdc\x00\xd8", 4, "\xed\xb0\x80\xed\xa0\x80" },      /* in wrong order, */
    { "\x00\xd8\x00\xd8\x00\xdc", 6, "\xed\xa0\x80\xf0\x90\x80\x80" },  /* and before a whole one */
};

static void swap(const void *from, size_t bytes, char *to)
{
    const char *at = from;

    for (size_t i = 0; i + 1 < bytes; i += 2) {
        to[i] = at[i + 1];
        to[i + 1] = at[i];
    }
}

static void test_to_utf8(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        char swapped[8];

        swap(pairs[i].utf16, pairs[i].bytes, swapped);
        g_autofree char *le = utf16_to_utf8(pairs[i].utf16, pairs[i].bytes, UTF16_LE);
        g_autofree char *be = utf16_to_utf8(swapped, pairs[i].bytes, UTF16_BE);

        g_assert_cmpstr(le, ==, pairs[i].utf8);
        g_assert_cmpstr(be, ==, pairs[i].utf8);
    }
}

static void test_from_utf8(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        char swapped[8];
        g_autoptr(GBytes) le = utf16_from_utf8(pairs[i].utf8, UTF16_LE);
        g_autoptr(GBytes) be = utf16_from_utf8(pairs[i].utf8, UTF16_BE);

        g_assert_nonnull(le);
        g_assert_cmpmem(g_bytes_get_data(le, NULL), g_bytes_get_size(le), pairs[i].utf16, pairs[i].bytes);
        swap(g_bytes_get_data(le, NULL), g_bytes_get_size(le), swapped);
        g_assert_cmpmem(g_bytes_get_data(be, NULL), g_bytes_get_size(be), swapped, pairs[i].bytes);
    }
}

static void check_end(const char *utf16, size_t bytes, const char *utf8)
{
    void *exact = g_memdup2(utf16, bytes);      /* so that a sanitizer sees the byte behind */
    g_autofree char *text = utf16_to_utf8(exact, bytes, UTF16_LE);

    g_assert_cmpstr(text, ==, utf8);
    g_free(exact);
}

static void test_ends(void)
{
    check_end("a\0b\0\0\0c\0", 8, "ab");        /* NUL, and junk behind it */
    check_end("a\0b\0", 4, "ab");               /* full */
    check_end("a\0b\0c", 5, "ab");              /* odd */
    check_end("a", 1, "");
    check_end("a\0\x00\xd8\x00", 5, "a\xed\xa0\x80");
}

static void test_bad_utf8(void)
{
    static const char *const cases[] = {
        "\x80", "a\xbf", "\xc3", "\xc3(", "\xe6\x9c", "\xe6\x9c(", "\xf0\x9f\x92", "\xff", "\xfe",
        "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",     /* too long a form */
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xed\xa0\x80\xed\xb0\x80",                                     /* a pair as two */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *exact = g_strdup(cases[i]);

        g_test_message("case %zu", i);
        g_assert_null(utf16_from_utf8(exact, UTF16_LE));
    }
}

static int random_from(int first, int end)
{
    return g_test_rand_int_range(first, end);
}

/* Whatever comes in, nothing is lost */
static void test_random(void)
{
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)g_test_rand_int_range(0, 24);
        uint8_t *data = g_malloc(bytes);

        for (size_t i = 0; i < bytes; i++) {
            data[i] = (uint8_t)(g_test_rand_bit() ? random_from(0xd7, 0xe1) : random_from(1, 256));
        }
        g_autofree char *text = utf16_to_utf8(data, bytes, UTF16_BE);
        g_autoptr(GBytes) back = utf16_from_utf8(text, UTF16_BE);

        g_assert_nonnull(back);
        g_assert_cmpmem(g_bytes_get_data(back, NULL), g_bytes_get_size(back), data, bytes & ~(size_t)1);
        g_free(data);
    }
}

static void test_random_utf8(void)
{
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)g_test_rand_int_range(0, 12);
        g_autofree char *text = g_malloc0(bytes + 1);

        for (size_t i = 0; i < bytes; i++) {
            text[i] = (char)(g_test_rand_bit() ? random_from(0x80, 0xc0) : random_from(1, 256));
        }
        g_autoptr(GBytes) utf16 = utf16_from_utf8(text, UTF16_LE);

        if (utf16) {
            gsize length;
            const void *data = g_bytes_get_data(utf16, &length);
            g_autofree char *back = utf16_to_utf8(data, length, UTF16_LE);

            g_assert_cmpstr(back, ==, text);
        } else {
            g_assert_false(g_utf8_validate(text, -1, NULL));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/utf16/to-utf8", test_to_utf8);
    g_test_add_func("/utf16/from-utf8", test_from_utf8);
    g_test_add_func("/utf16/ends", test_ends);
    g_test_add_func("/utf16/bad-utf8", test_bad_utf8);
    g_test_add_func("/utf16/random", test_random);
    g_test_add_func("/utf16/random-utf8", test_random_utf8);
    return g_test_run();
}
