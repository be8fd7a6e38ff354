/* keys.c - VHD: lists of blocks by their place */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "block/format/vpc/keys.h"

#define FIRST_KEYS 64

bool vpc_keys_add(VpcKeys *keys, uint64_t key)
{
    if (keys->count == keys->room) {
        size_t room = keys->room ? 2 * keys->room : FIRST_KEYS;
        uint64_t *more = room <= SIZE_MAX / sizeof(*more) ? g_try_realloc(keys->at, room * sizeof(*more)) : NULL;

        if (!more) {
            return false;
        }
        keys->at = more;
        keys->room = room;
    }
    keys->at[keys->count++] = key;
    return true;
}

static int keys_by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

void vpc_keys_sort(VpcKeys *keys)
{
    size_t sorted = 1;

    while (sorted < keys->count && keys->at[sorted - 1] <= keys->at[sorted]) {
        sorted++;
    }
    if (sorted < keys->count) {
        qsort(keys->at, keys->count, sizeof(*keys->at), keys_by_number);
    }
}

size_t vpc_keys_find(const VpcKeys *keys, uint64_t key)
{
    size_t first = 0, end = keys->count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (keys->at[middle] < key) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

void vpc_keys_free(VpcKeys *keys)
{
    g_free(keys->at);
    *keys = (VpcKeys) { 0 };
}
