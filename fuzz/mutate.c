/* mutate.c - changes the fields of a VHD, for libFuzzer, beside libFuzzer's own changes */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "fuzz.h"
#include "block/format/vpc/on-disk.h"
#include "util/be.h"

/* libFuzzer's function; other fuzzers do not have it, and do not call this file */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

#define SECTOR 512

typedef struct Field {
    uint16_t at;
    uint8_t bytes;
} Field;

#define FIELD(type, name) { offsetof(type, name), sizeof(((type *)0)->name) }

static const Field footer_fields[] = {
    FIELD(VpcFooter, data_offset), FIELD(VpcFooter, current_size), FIELD(VpcFooter, original_size),
    FIELD(VpcFooter, cylinders), FIELD(VpcFooter, heads), FIELD(VpcFooter, sectors), FIELD(VpcFooter, type),
    FIELD(VpcFooter, creator), FIELD(VpcFooter, creator_version), FIELD(VpcFooter, version), FIELD(VpcFooter, hidden),
    FIELD(VpcFooter, saved_state), FIELD(VpcFooter, checksum), FIELD(VpcFooter, timestamp),
};

static const Field header_fields[] = {
    FIELD(VpcHeader, table_offset), FIELD(VpcHeader, entries), FIELD(VpcHeader, block_size),
    FIELD(VpcHeader, version), FIELD(VpcHeader, checksum), FIELD(VpcHeader, parent_timestamp),
};

static const Field locator_fields[] = {
    FIELD(VpcLocator, code), FIELD(VpcLocator, space), FIELD(VpcLocator, length), FIELD(VpcLocator, offset),
};

/* A small random number generator; libFuzzer gives a new seed for each call */
typedef struct Dice {
    uint32_t state;
} Dice;

static uint32_t below(Dice *dice, uint32_t n)
{
    dice->state = dice->state * 1664525u + 1013904223u;
    return n ? (dice->state >> 8) % n : 0;
}

static uint64_t load(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static void store(uint8_t *at, unsigned bytes, uint64_t value)
{
    while (bytes-- > 0) {
        at[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

static uint64_t interesting(Dice *dice, uint64_t old, size_t size)
{
    int64_t near = (int64_t)below(dice, 5) - 2;

    switch (below(dice, 8)) {
    case 0:
        return (uint64_t)near;
    case 1:
        return old + (uint64_t)near * (below(dice, 2) ? SECTOR : 1);
    case 2:
        return size + (uint64_t)near * (below(dice, 2) ? SECTOR : 1);
    case 3:
        return size / SECTOR + (uint64_t)near;
    case 4:
        return below(dice, (uint32_t)(size / SECTOR + 1));
    case 5:
        return (uint64_t)below(dice, (uint32_t)(size / SECTOR + 1)) * SECTOR;
    case 6:
        return ((uint64_t)1 << below(dice, 64)) + (uint64_t)near;
    default:
        return below(dice, 9);
    }
}

static void change_field(Dice *dice, uint8_t *image, size_t size, uint64_t at, unsigned bytes)
{
    if (at < size && bytes <= size - at) {
        store(image + at, bytes, interesting(dice, load(image + at, bytes), size));
    }
}

static void change_one_of(Dice *dice, uint8_t *image, size_t size, uint64_t at, const Field *fields, size_t count)
{
    Field f = fields[below(dice, (uint32_t)count)];

    change_field(dice, image, size, at + f.at, f.bytes);
}

static void change_image(Dice *dice, uint8_t *image, size_t size)
{
    if (size < SECTOR) {
        return;
    }
    uint64_t header = be64_load(image + offsetof(VpcFooter, data_offset)), bat = 3 * SECTOR;

    header = header < size && size - header >= sizeof(VpcHeader) ? header : SECTOR;
    if (header + sizeof(VpcHeader) <= size) {
        bat = be64_load(image + header + offsetof(VpcHeader, table_offset));
        bat = bat < size ? bat : 3 * SECTOR;
    }
    switch (below(dice, 6)) {
    case 0:
        change_one_of(dice, image, size, 0, footer_fields, G_N_ELEMENTS(footer_fields));
        break;
    case 1:
        change_one_of(dice, image, size, size - SECTOR, footer_fields, G_N_ELEMENTS(footer_fields));
        break;
    case 2:
        change_one_of(dice, image, size, header, header_fields, G_N_ELEMENTS(header_fields));
        break;
    case 3:
        change_one_of(dice, image, size, header + offsetof(VpcHeader, locators) + below(dice, 8) * sizeof(VpcLocator),
                      locator_fields, G_N_ELEMENTS(locator_fields));
        break;
    default:
        change_field(dice, image, size, bat + 4 * below(dice, 16), 4);
    }
}

/* Insert, remove, exchange or fill sectors */
static size_t change_sectors(Dice *dice, uint8_t *image, size_t size, size_t max)
{
    size_t count = size / SECTOR, at = SECTOR * below(dice, (uint32_t)count + 1);
    size_t from = SECTOR * below(dice, (uint32_t)count);

    if (!count) {
        return size;
    }
    switch (below(dice, 4)) {
    case 0:
        if (max - size >= SECTOR) {
            memmove(image + at + SECTOR, image + at, size - at);
            memset(image + at, below(dice, 2) ? 0xff : 0, SECTOR);
            return size + SECTOR;
        }
        break;
    case 1:
        memmove(image + from, image + from + SECTOR, size - from - SECTOR);
        return size - SECTOR;
    case 2:
        if (at + SECTOR <= size) {
            memmove(image + at, image + from, SECTOR);
        }
        break;
    default:
        memset(image + from, below(dice, 2) ? 0xff : 0, SECTOR);
    }
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    Dice dice = { seed };
    size_t start = fuzz_image_at(data, size);
    uint32_t choice = below(&dice, 10);

    if (choice < 4 || size < FUZZ_SETUP_BYTES + SECTOR) {
        return LLVMFuzzerMutate(data, size, max);
    }
    if (choice == 4) {          /* change the setup, and the script if there is one */
        size_t at = below(&dice, (uint32_t)start);

        data[at] = below(&dice, 2) ? (uint8_t)below(&dice, 256) : data[at] ^ (uint8_t)(1 << below(&dice, 8));
        return size;
    }
    if (choice == 5) {
        return start + change_sectors(&dice, data + start, size - start, max - start);
    }
    if (choice == 6) {
        data[2] |= FUZZ_SUM_ENDS | FUZZ_SUM_HEADER;
    }
    for (uint32_t n = 1 + below(&dice, 3); n > 0; n--) {
        change_image(&dice, data + start, size - start);
    }
    return size;
}
