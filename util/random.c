/* random.c - random bytes of the operating system */
/* SPDX-License-Identifier: MIT */
#include <sys/random.h>
#include "util/random.h"

bool random_bytes(void *buf, size_t bytes)
{
    return getrandom(buf, bytes, 0) == (ssize_t)bytes;
}
