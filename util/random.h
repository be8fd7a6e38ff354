/* random.h - bytes that nobody can guess */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_RANDOM_H
#define UTIL_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* Fill @buf with @bytes random bytes, up to 256, of the operating system. False: there are none */
bool random_bytes(void *buf, size_t bytes);

#endif
