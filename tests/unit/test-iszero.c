/* test-iszero.c - every length, every place of the one byte that is not zero */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>
#include <glib.h>
#include "util/iszero.h"

enum { LONGEST = 300, OFFSETS = 17 };

static void test_nothing_is_zero(void)
{
    g_assert_true(block_is_zero(NULL, 0));
}

static void test_zeroes_between_ones(void)
{
    uint8_t buf[OFFSETS + LONGEST + 1];

    for (size_t at = 0; at < OFFSETS; at++) {
        for (size_t bytes = 0; bytes <= LONGEST; bytes++) {
            memset(buf, 0xff, sizeof(buf));
            memset(buf + at, 0, bytes);
            g_assert_true(block_is_zero(buf + at, bytes));
        }
    }
}

static void test_any_bit_is_seen(void)
{
    uint8_t buf[OFFSETS + LONGEST] = { 0 };

    for (size_t at = 0; at < OFFSETS; at++) {
        for (size_t bytes = 1; bytes <= LONGEST; bytes++) {
            for (size_t i = 0; i < bytes; i++) {
                buf[at + i] = (uint8_t)(1 << i % 8);
                g_assert_false(block_is_zero(buf + at, bytes));
                buf[at + i] = 0;
            }
        }
    }
}

static void test_megabyte(void)
{
    size_t bytes = 1 << 20;
    g_autofree uint8_t *buf = g_malloc0(bytes);

    g_assert_true(block_is_zero(buf, bytes));
    buf[bytes - 1] = 1;
    g_assert_false(block_is_zero(buf, bytes));
    g_assert_true(block_is_zero(buf, bytes - 1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iszero/nothing", test_nothing_is_zero);
    g_test_add_func("/iszero/zeroes-between-ones", test_zeroes_between_ones);
    g_test_add_func("/iszero/any-bit", test_any_bit_is_seen);
    g_test_add_func("/iszero/megabyte", test_megabyte);
    return g_test_run();
}
