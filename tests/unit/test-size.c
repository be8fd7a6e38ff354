/* test-size.c - sizes to numbers and back */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include "util/size.h"

#define KiB ((int64_t)1 << 10)
#define MiB ((int64_t)1 << 20)
#define GiB ((int64_t)1 << 30)
#define TiB ((int64_t)1 << 40)
#define PiB ((int64_t)1 << 50)
#define EiB ((int64_t)1 << 60)

static void test_parse_good(void)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {
        { "0", 0 }, { "512", 512 }, { "010", 10 }, { "12b", 12 }, { "12B", 12 }, { "1.", 1 }, { "1.0", 1 },
        { "64k", 64 * KiB }, { "64K", 64 * KiB }, { "3m", 3 * MiB }, { "3M", 3 * MiB },
        { "10g", 10 * GiB }, { "10G", 10 * GiB }, { "2t", 2 * TiB }, { "2T", 2 * TiB },
        { "5p", 5 * PiB }, { "5P", 5 * PiB }, { "1e", EiB }, { "7E", 7 * EiB },
        { "1.5k", 1536 }, { "1.50k", 1536 }, { "1.k", KiB }, { "1.5G", 3 * GiB / 2 }, { "1.5e", 3 * (EiB / 2) },
        { "3.3k", 3379 }, { "1.0009k", 1025 }, { "0.0009k", 1 }, { "1.99999k", 2048 }, { "0.9994k", 1023 },
        { "0.1M", 104858 }, { "0.000000001k", 0 },
        { "0x10", 16 }, { "0X1e", 30 }, { "0x1b", 27 }, { "0x7fffffffffffffff", INT64_MAX },
        { "9223372036854775807", INT64_MAX }, { "8191P", 8191 * PiB },
        { "7.9999999E", INT64_C(9223371921562625347) },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int64_t bytes = -1;

        g_test_message("%s", cases[i].text);
        g_assert_true(size_parse(cases[i].text, &bytes));
        g_assert_cmpint(bytes, ==, cases[i].bytes);
    }
}

static void test_parse_bad(void)
{
    static const char *const cases[] = {
        "", "k", ".5k", ".", "-1", "+1", "-0", " 1", "1 ", "1 k", "1kb", "1kk", "1ek", "1e3", "1.5e1k", "1,5k",
        "1s", "on", "1.5", "1.5b", "0.5", "1..5k", "0x", "0x1.8k", "0x10k", "0x0x1", "0x-1", "0x 1", "1k\n",
        "9223372036854775808", "8E", "8192P", "7.99999999999999999999999E", "0x8000000000000000",
        "99999999999999999999999", "nan", "inf", "ab",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int64_t bytes = 42;

        g_test_message("'%s'", cases[i]);
        g_assert_false(size_parse(cases[i], &bytes));
        g_assert_cmpint(bytes, ==, 42);
    }
}

/* What qemu-img info and qemu-io's length say of raw files of these sizes */
static const struct {
    int64_t bytes;
    const char *info, *io;
} formats[] = {
    { 0, "0 B", "0 bytes" },
    { 512, "512 B", "512 bytes" },
    { 1024, "1 KiB", "1 KiB" },
    { 1536, "1.5 KiB", "1.500 KiB" },
    { 102400, "100 KiB", "100 KiB" },
    { 1023488, "1e+03 KiB", "999.500 KiB" },
    { 1024000, "0.977 MiB", "1000 KiB" },
    { 1047552, "0.999 MiB", "1023 KiB" },
    { 1048064, "1 MiB", "1023.500 KiB" },
    { 1048576, "1 MiB", "1 MiB" },
    { 67125248, "64 MiB", "64.016 MiB" },
    { 123457024, "118 MiB", "117.738 MiB" },
    { 1000000000, "954 MiB", "953.674 MiB" },
    { 1072693248, "0.999 GiB", "1023 MiB" },
    { 1073217536, "1 GiB", "1023.500 MiB" },
    { 1073689088, "1 GiB", "1023.950 MiB" },
    { 1073741824, "1 GiB", "1 GiB" },
    { 10500000256, "9.78 GiB", "9.779 GiB" },
    { 107374182400, "100 GiB", "100 GiB" },
    { 1099511627776, "1 TiB", "1 TiB" },
    { 1234567890432, "1.12 TiB", "1.123 TiB" },
    { 2190433320960, "1.99 TiB", "1.992 TiB" },
    { INT64_MAX, "8 EiB", "8 EiB" },
};

static void test_format(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *text = size_format(formats[i].bytes);

        g_assert_cmpstr(text, ==, formats[i].info);
    }
}

static void test_format_exact3(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *text = size_format_exact3(formats[i].bytes);

        g_assert_cmpstr(text, ==, formats[i].io);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/size/parse-good", test_parse_good);
    g_test_add_func("/size/parse-bad", test_parse_bad);
    g_test_add_func("/size/format", test_format);
    g_test_add_func("/size/format-exact3", test_format_exact3);
    return g_test_run();
}
