/* keys.h - VHD: lists of blocks by their place */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_KEYS_H
#define BLOCK_VPC_KEYS_H

#include <stdbool.h>
#include <glib.h>
#include "block/format/vpc/on-disk.h"

/* Numbers, most often blocks by their place, see vpc_key(). Zeroed: empty */
typedef struct VpcKeys {
    uint64_t *at;
    size_t count, room;
} VpcKeys;

/* A block and its place as one number, which sorts by place */
static inline uint64_t vpc_key(uint32_t sector, int64_t block)
{
    return (uint64_t)sector << 32 | (uint64_t)block;
}

static inline int64_t vpc_key_block(uint64_t key)
{
    return (int64_t)(key & 0xffffffff);
}

static inline int64_t vpc_key_place(uint64_t key)
{
    return (int64_t)(key >> 32) * VPC_SECTOR;
}

/* Add @key. False: there is no memory, and nothing has changed */
bool vpc_keys_add(VpcKeys *keys, uint64_t key);
void vpc_keys_sort(VpcKeys *keys);
/* Return the index of the first key that is not below @key; @keys are sorted */
size_t vpc_keys_find(const VpcKeys *keys, uint64_t key);
void vpc_keys_free(VpcKeys *keys);

#endif
