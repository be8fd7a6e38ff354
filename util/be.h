/* be.h - big-endian numbers at any address */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_BE_H
#define UTIL_BE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t be16_load(const void *at)
{
    uint16_t be;

    memcpy(&be, at, sizeof(be));
    return be16toh(be);
}

static inline uint32_t be32_load(const void *at)
{
    uint32_t be;

    memcpy(&be, at, sizeof(be));
    return be32toh(be);
}

static inline uint64_t be64_load(const void *at)
{
    uint64_t be;

    memcpy(&be, at, sizeof(be));
    return be64toh(be);
}

static inline void be16_store(void *at, uint16_t value)
{
    uint16_t be = htobe16(value);

    memcpy(at, &be, sizeof(be));
}

static inline void be32_store(void *at, uint32_t value)
{
    uint32_t be = htobe32(value);

    memcpy(at, &be, sizeof(be));
}

static inline void be64_store(void *at, uint64_t value)
{
    uint64_t be = htobe64(value);

    memcpy(at, &be, sizeof(be));
}

#endif
