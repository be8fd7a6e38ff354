/* test-vec.c - windows on an iovec against flat memory */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <glib.h>
#include <miniblk/driver.h>

enum { BYTES = 60 };

/* BYTES in pieces of several lengths, with nothing here and there */
typedef struct Pieces {
    uint8_t memory[10][24];
    struct iovec iov[10];
} Pieces;

static BlockVec make_pieces(Pieces *pieces)
{
    static const size_t lengths[10] = { 0, 7, 1, 0, 0, 20, 13, 0, 19, 0 };

    memset(pieces->memory, 0xee, sizeof(pieces->memory));
    for (int i = 0; i < 10; i++) {
        pieces->iov[i].iov_base = lengths[i] ? pieces->memory[i] : NULL;
        pieces->iov[i].iov_len = lengths[i];
    }
    return block_vec(pieces->iov, 10);
}

static void count_up(uint8_t *buf, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        buf[i] = (uint8_t)(i + 1);
    }
}

static void test_length(void)
{
    Pieces pieces;

    g_assert_cmpint(make_pieces(&pieces).bytes, ==, BYTES);
}

static void test_no_iovecs(void)
{
    BlockVec vec = block_vec(NULL, 0);
    struct iovec iov;
    int64_t bytes = -1;

    g_assert_cmpint(vec.bytes, ==, 0);
    block_vec_to_buf(vec, NULL);
    block_vec_from_buf(vec, NULL);
    block_vec_zero(vec);
    g_assert_cmpint(block_vec_iov(vec, &iov, 1, &bytes), ==, 0);
    g_assert_cmpint(bytes, ==, 0);
}

static void test_only_empty_iovecs(void)
{
    struct iovec iov[3] = { { NULL, 0 } };
    BlockVec vec = block_vec_slice(block_vec(iov, 3), 0, 0);

    g_assert_cmpint(vec.bytes, ==, 0);
    block_vec_zero(vec);
}

static void test_absurd_lengths(void)
{
    struct iovec iov[2] = { { NULL, SIZE_MAX / 2 }, { NULL, SIZE_MAX / 2 } };

    g_assert_cmpint(block_vec(iov, 2).bytes, >=, INT64_C(0x7fffffff));
}

static void test_there_and_back(void)
{
    Pieces pieces;
    BlockVec vec = make_pieces(&pieces);
    uint8_t in[BYTES], out[BYTES] = { 0 };

    count_up(in, BYTES);
    block_vec_from_buf(vec, in);
    block_vec_to_buf(vec, out);
    g_assert_cmpmem(in, BYTES, out, BYTES);
    g_assert_cmpint(pieces.memory[1][7], ==, 0xee);
    g_assert_cmpint(pieces.memory[8][18], ==, BYTES);
    g_assert_cmpint(pieces.memory[8][19], ==, 0xee);
}

static void test_every_slice(void)
{
    Pieces pieces;
    BlockVec vec = make_pieces(&pieces);
    uint8_t in[BYTES], out[BYTES];

    count_up(in, BYTES);
    block_vec_from_buf(vec, in);
    for (int start = 0; start <= BYTES; start++) {
        for (int bytes = 0; start + bytes <= BYTES; bytes++) {
            block_vec_to_buf(block_vec_slice(vec, start, bytes), out);
            g_assert_cmpmem(in + start, bytes, out, bytes);
        }
    }
}

static void test_slice_of_every_slice(void)
{
    Pieces pieces;
    BlockVec vec = make_pieces(&pieces);
    uint8_t in[BYTES], out[BYTES];

    count_up(in, BYTES);
    block_vec_from_buf(vec, in);
    for (int first = 0; first <= BYTES; first++) {
        for (int second = 0; first + second <= BYTES; second++) {
            int bytes = BYTES - first - second;
            BlockVec slice = block_vec_slice(vec, first, BYTES - first);

            block_vec_to_buf(block_vec_slice(slice, second, bytes), out);
            g_assert_cmpmem(in + first + second, bytes, out, bytes);
        }
    }
}

static void test_zero(void)
{
    Pieces pieces;
    BlockVec vec = make_pieces(&pieces);
    uint8_t expected[BYTES], out[BYTES];

    count_up(expected, BYTES);
    block_vec_from_buf(vec, expected);
    block_vec_zero(block_vec_slice(vec, 6, 30));
    memset(expected + 6, 0, 30);
    block_vec_to_buf(vec, out);
    g_assert_cmpmem(expected, BYTES, out, BYTES);
}

/* @vec through windows of @max iovecs at a time, as a driver would */
static void gather(BlockVec vec, int max, uint8_t *out)
{
    while (vec.bytes) {
        struct iovec iov[4];
        int64_t bytes, sum = 0;
        int n = block_vec_iov(vec, iov, max, &bytes);

        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(n, <=, max);
        for (int i = 0; i < n; i++) {
            g_assert_cmpuint(iov[i].iov_len, >, 0);
            memcpy(out, iov[i].iov_base, iov[i].iov_len);
            out += iov[i].iov_len;
            sum += (int64_t)iov[i].iov_len;
        }
        g_assert_cmpint(sum, ==, bytes);
        vec = block_vec_slice(vec, bytes, vec.bytes - bytes);
    }
}

static void test_iov(void)
{
    Pieces pieces;
    BlockVec vec = make_pieces(&pieces);
    uint8_t in[BYTES], out[BYTES];

    count_up(in, BYTES);
    block_vec_from_buf(vec, in);
    for (int max = 1; max <= 4; max++) {
        for (int start = 0; start < BYTES; start++) {
            gather(block_vec_slice(vec, start, BYTES - start), max, out);
            g_assert_cmpmem(in + start, BYTES - start, out, BYTES - start);
        }
    }
}

static void test_iov_is_clipped(void)
{
    Pieces pieces;
    struct iovec iov[4];
    int64_t bytes;
    BlockVec vec = block_vec_slice(make_pieces(&pieces), 2, 3);

    g_assert_cmpint(block_vec_iov(vec, iov, 4, &bytes), ==, 1);
    g_assert_cmpint(bytes, ==, 3);
    g_assert_true(iov[0].iov_base == pieces.memory[1] + 2);
    g_assert_cmpuint(iov[0].iov_len, ==, 3);
}

static void test_zeroes_to_buf(void)
{
    uint8_t expected[100] = { 0 }, out[100];

    memset(out, 0xee, sizeof(out));
    block_vec_to_buf(block_vec_slice((BlockVec) { .bytes = 1 << 20 }, 1000, sizeof(out)), out);
    g_assert_cmpmem(expected, sizeof(expected), out, sizeof(out));
}

static void test_zeroes_as_iov(void)
{
    int64_t length = 1000 * 1000 + 1;
    g_autofree uint8_t *expected = g_malloc0(length);
    g_autofree uint8_t *out = g_malloc(length);

    memset(out, 0xee, length);
    gather((BlockVec) { .bytes = length }, 3, out);
    g_assert_cmpmem(expected, length, out, length);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vec/length", test_length);
    g_test_add_func("/vec/no-iovecs", test_no_iovecs);
    g_test_add_func("/vec/only-empty-iovecs", test_only_empty_iovecs);
    g_test_add_func("/vec/absurd-lengths", test_absurd_lengths);
    g_test_add_func("/vec/there-and-back", test_there_and_back);
    g_test_add_func("/vec/every-slice", test_every_slice);
    g_test_add_func("/vec/slice-of-every-slice", test_slice_of_every_slice);
    g_test_add_func("/vec/zero", test_zero);
    g_test_add_func("/vec/iov", test_iov);
    g_test_add_func("/vec/iov-is-clipped", test_iov_is_clipped);
    g_test_add_func("/vec/zeroes-to-buf", test_zeroes_to_buf);
    g_test_add_func("/vec/zeroes-as-iov", test_zeroes_as_iov);
    return g_test_run();
}
