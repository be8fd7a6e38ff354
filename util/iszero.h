/* iszero.h - are these bytes all zero? */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_ISZERO_H
#define UTIL_ISZERO_H

#include <stdbool.h>
#include <stddef.h>

/* Any alignment; true for no bytes at all */
bool block_is_zero(const void *buf, size_t bytes);

#endif
