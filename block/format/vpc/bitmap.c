/* bitmap.c - VHD: which sectors of a block are there */
/* SPDX-License-Identifier: MIT */
#include "block/format/vpc/bitmap.h"

bool vpc_sector_is_set(const uint8_t *bitmap, int64_t sector)
{
    return bitmap[sector / 8] & (0x80 >> sector % 8);
}

int64_t vpc_run_end(const uint8_t *bitmap, int64_t from, int64_t to)
{
    bool set = vpc_sector_is_set(bitmap, from);
    uint8_t same = set ? 0xff : 0;

    while (++from < to) {
        if (from % 8 == 0 && bitmap[from / 8] == same) {
            from += 7;
        } else if (vpc_sector_is_set(bitmap, from) != set) {
            return from;
        }
    }
    return to;
}

void vpc_set_bits(uint8_t *bitmap, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        bitmap[i / 8] |= 0x80 >> i % 8;
    }
}

void vpc_clear_bits(uint8_t *bitmap, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        bitmap[i / 8] &= (uint8_t)~(0x80 >> i % 8);
    }
}
