/* bitmap.h - VHD: which sectors of a block are there; Xen's batmap is such a map of blocks */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_BITMAP_H
#define BLOCK_VPC_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

/* The highest bit of the first byte is sector 0 */
bool vpc_sector_is_set(const uint8_t *bitmap, int64_t sector);
/* Return the first sector of [@from, @to) whose bit is not as the one at @from; @to: there is none */
int64_t vpc_run_end(const uint8_t *bitmap, int64_t from, int64_t to);
/* Change the bits of [@from, @to) */
void vpc_set_bits(uint8_t *bitmap, int64_t from, int64_t to);
void vpc_clear_bits(uint8_t *bitmap, int64_t from, int64_t to);

#endif
