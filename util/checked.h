/* checked.h - arithmetic on offsets and lengths */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_CHECKED_H
#define UTIL_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* Add. False if the sum does not fit; do not use *@sum then */
static inline bool checked_add(int64_t a, int64_t b, int64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool is_power_of_two(int64_t n)
{
    return n > 0 && !(n & (n - 1));
}

/* Return whether @ret is 0 or -errno, as functions of drivers and programs must return */
static inline bool is_zero_or_errno(int ret)
{
    return ret <= 0 && ret >= -4095;
}

/* Round to a multiple of @unit, a power of two. @n >= 0, and the result fits */
static inline int64_t align_down(int64_t n, int64_t unit)
{
    return n & -unit;
}

static inline int64_t align_up(int64_t n, int64_t unit)
{
    return (n + (unit - 1)) & -unit;
}

/* Round to a multiple of @unit > 0. @n >= 0, and the result fits */
static inline int64_t round_down(int64_t n, int64_t unit)
{
    return n - n % unit;
}

static inline int64_t round_up(int64_t n, int64_t unit)
{
    int64_t rest = n % unit;

    return rest ? n + (unit - rest) : n;
}

/* Return whether [@at, @at + @bytes) ends at or before @limit. @bytes and @limit are not below 0 */
static inline bool ends_before(uint64_t at, int64_t bytes, int64_t limit)
{
    return at <= (uint64_t)limit && bytes <= limit - (int64_t)at;
}

#endif
