/* vhd.h - VHD as seen from outside: is the file sound, and how to clear bits in it */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VHD_H
#define TESTS_VHD_H

#include "medium.h"

/* Does the medium end in a footer, cookie and checksum? */
bool vhd_ends_well(const Medium *medium);

/* NULL if the file ends in a footer that equals its copy at the start, no block lies on another or on
 * metadata or past the footer, and data is aligned to 4 KiB where blocks are multiples of that; else why not */
const char *vhd_find_fault(const Medium *medium);
void vhd_assert_sound(const Medium *medium);        /* fails the test then */

/* -1 if a dynamic image that ends in a footer reads as @twin to those, QEMU among them, who do not look at its
 * bitmaps; else the first byte that does not */
int64_t vhd_find_incomplete(const Medium *medium, const uint8_t *twin, int64_t size);
void vhd_assert_complete(const Medium *medium, const uint8_t *twin, int64_t size);      /* or fail the test */

/* Junk where bits are clear: nobody is to read it */
void vhd_fill_clear(const Medium *medium);

/* Clear some bits of the bitmaps of a dynamic image; the sectors read as zeroes then, and so they are in
 * @twin, the contents of the disk. On the medium they are zeroed, or filled with junk. */
void vhd_clear_bits(const Medium *medium, GRand *rand, bool junk, uint8_t *twin, int64_t size);

#endif
