/* iszero.h - tests whether bytes are all zero */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_ISZERO_H
#define UTIL_ISZERO_H

#include <stdbool.h>
#include <stddef.h>

/* Return whether @bytes at @buf, of any alignment, are all zero; true for no bytes */
bool block_is_zero(const void *buf, size_t bytes);

#endif
