/* iszero.c - tests whether bytes are all zero */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>
#include "util/iszero.h"

/* A vector of GCC or clang: SSE2, NEON or plain words, whatever the target has */
typedef uint64_t Vector __attribute__((vector_size(16), aligned(1), may_alias));

#define STRIDE (8 * sizeof(Vector))

static bool stride_is_zero(const uint8_t *at)
{
    const Vector *v = (const Vector *)at;
    Vector any = (v[0] | v[1] | v[2] | v[3]) | (v[4] | v[5] | v[6] | v[7]);

    return !(any[0] | any[1]);
}

static bool few_are_zero(const uint8_t *at, size_t bytes)
{
    uint64_t any = 0, word;

    for (; bytes >= sizeof(word); at += sizeof(word), bytes -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        any |= word;
    }
    while (bytes--) {
        any |= *at++;
    }
    return !any;
}

bool block_is_zero(const void *buf, size_t bytes)
{
    const uint8_t *at = buf;

    if (bytes < STRIDE) {
        return few_are_zero(at, bytes);
    }
    const uint8_t *last = at + bytes - STRIDE;  /* overlaps the stride before it */

    for (; at < last; at += STRIDE) {
        if (!stride_is_zero(at)) {
            return false;
        }
    }
    return stride_is_zero(last);
}
