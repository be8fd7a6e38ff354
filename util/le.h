/* le.h - little-endian numbers at any address */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_LE_H
#define UTIL_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t le32_load(const void *at)
{
    uint32_t le;

    memcpy(&le, at, sizeof(le));
    return le32toh(le);
}

static inline uint64_t le64_load(const void *at)
{
    uint64_t le;

    memcpy(&le, at, sizeof(le));
    return le64toh(le);
}

static inline void le32_store(void *at, uint32_t value)
{
    uint32_t le = htole32(value);

    memcpy(at, &le, sizeof(le));
}

static inline void le64_store(void *at, uint64_t value)
{
    uint64_t le = htole64(value);

    memcpy(at, &le, sizeof(le));
}

#endif
