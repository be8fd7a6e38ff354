/* vec.c - BlockVec: windows on an iovec */
/* SPDX-License-Identifier: MIT */
#include <miniblk/driver.h>
#include <string.h>
#include <glib.h>

/* The iovecs of a vector of zeroes point here; never written */
static uint8_t zeroes[64 * 1024] __attribute__((aligned(4096)));

BlockVec block_vec(const struct iovec *iov, int niov)
{
    BlockVec vec = { .iov = iov };

    for (int i = 0; i < niov; i++) {
        if (__builtin_add_overflow(vec.bytes, iov[i].iov_len, &vec.bytes)) {
            vec.bytes = INT64_MAX;      /* longer than any request may be: it will be refused */
            break;
        }
    }
    return vec;
}

/* Move to the iovec with the first byte. There must be one */
static void normalize(BlockVec *vec)
{
    while (vec->skip >= vec->iov->iov_len) {
        vec->skip -= vec->iov->iov_len;
        vec->iov++;
    }
}

BlockVec block_vec_slice(BlockVec vec, int64_t start, int64_t bytes)
{
    vec.bytes = bytes;
    if (vec.iov && bytes) {
        vec.skip += (size_t)start;
        normalize(&vec);
    }
    return vec;
}

/* Return the longest piece of memory at the start of @vec, and move @vec behind it. @vec is not empty */
static struct iovec take_iov(BlockVec *vec)
{
    struct iovec piece = { zeroes, sizeof(zeroes) };

    if (vec->iov) {
        normalize(vec);
        piece.iov_base = (uint8_t *)vec->iov->iov_base + vec->skip;
        piece.iov_len = vec->iov->iov_len - vec->skip;
    }
    piece.iov_len = MIN(piece.iov_len, (uint64_t)vec->bytes);
    vec->skip += piece.iov_len;
    vec->bytes -= (int64_t)piece.iov_len;
    return piece;
}

void block_vec_to_buf(BlockVec vec, void *buf)
{
    uint8_t *to = buf;

    while (vec.bytes) {
        struct iovec piece = take_iov(&vec);

        memcpy(to, piece.iov_base, piece.iov_len);
        to += piece.iov_len;
    }
}

void block_vec_from_buf(BlockVec vec, const void *buf)
{
    const uint8_t *from = buf;

    while (vec.bytes) {
        struct iovec piece = take_iov(&vec);

        memcpy(piece.iov_base, from, piece.iov_len);
        from += piece.iov_len;
    }
}

void block_vec_zero(BlockVec vec)
{
    while (vec.bytes) {
        struct iovec piece = take_iov(&vec);

        memset(piece.iov_base, 0, piece.iov_len);
    }
}

int block_vec_iov(BlockVec vec, struct iovec *iov, int max, int64_t *bytes)
{
    int64_t left = vec.bytes;
    int n = 0;

    while (vec.bytes && n < max) {
        iov[n++] = take_iov(&vec);
    }
    *bytes = left - vec.bytes;
    return n;
}
