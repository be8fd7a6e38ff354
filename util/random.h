/* random.h - random bytes of the operating system */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_RANDOM_H
#define UTIL_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* Fill @buf with @bytes random bytes, up to 256. False: the system has none */
bool random_bytes(void *buf, size_t bytes);

#endif
