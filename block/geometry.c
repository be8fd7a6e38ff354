/* geometry.c - the cylinders, heads and sectors of a disk: as the image says, or guessed */
/* SPDX-License-Identifier: MIT
 *
 * A partition table (MBR) does not name the geometry that it was written for, but most of its entries end with the last
 * sector of a track of the last head: so did the programs of that time align them.
 */
#include <string.h>
#include "block/layer.h"
#include "util/le.h"

#define SECTOR          512
#define MAX_CYLINDERS   16383
#define MAX_HEADS       16              /* of an ATA disk; a BIOS counts up to 256 */
#define MAX_SECTORS     63

/* The partition table in the first sector */
#define TABLE_AT        446
#define ENTRIES         4
#define ENTRY_BYTES     ((size_t)16)
#define MAGIC_AT        510             /* 0x55, 0xaa */
/* One entry of it */
#define ENTRY_TYPE      4
#define ENTRY_END_HEAD  5
#define ENTRY_END_SECTOR 6              /* the low six bits; the others are of the cylinder */
#define ENTRY_COUNT     12              /* of sectors, 32 bits */
#define TYPE_GPT        0xee            /* the table is a cover for another one, and its numbers are made up */

bool bdrv_node_get_geometry(BlockDriverState *node, BlockGeometry *geometry)
{
    const BlockDriver *drv = node->drv;

    if (drv->get_geometry) {
        return drv->get_geometry(node, geometry);
    }
    bool filter = !drv->is_protocol && !drv->map;

    return filter && bdrv_node_size(node) == bdrv_node_size(node->file) && bdrv_node_get_geometry(node->file, geometry);
}

/* Fill the bios_ fields of *@geometry with how the BIOS counted that wrote @entry, for a disk of @total sectors. False:
 * the entry does not tell */
static bool read_entry(const uint8_t *entry, int64_t total, BlockGeometry *geometry)
{
    int heads = entry[ENTRY_END_HEAD] + 1, sectors = entry[ENTRY_END_SECTOR] & MAX_SECTORS;

    if (!le32_load(entry + ENTRY_COUNT) || heads == 1 || !sectors || entry[ENTRY_TYPE] == TYPE_GPT) {
        return false;
    }
    int64_t cylinders = total / ((int64_t)heads * sectors);

    if (cylinders < 1 || cylinders > MAX_CYLINDERS) {
        return false;
    }
    geometry->bios_cylinders = (int)cylinders;
    geometry->bios_heads = heads;
    geometry->bios_sectors = sectors;
    return true;
}

static bool read_partitions(const uint8_t *sector, int64_t total, BlockGeometry *geometry)
{
    if (sector[MAGIC_AT] != 0x55 || sector[MAGIC_AT + 1] != 0xaa) {
        return false;
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        if (read_entry(sector + TABLE_AT + i * ENTRY_BYTES, total, geometry)) {
            return true;
        }
    }
    return false;
}

static void guess(int64_t total, BlockGeometry *geometry)
{
    bool told = geometry->bios_heads > 0 && geometry->bios_heads <= MAX_HEADS;

    geometry->origin = told ? BDRV_GEOMETRY_PARTITIONS : BDRV_GEOMETRY_SIZE;
    geometry->heads = told ? geometry->bios_heads : MAX_HEADS;
    geometry->sectors = told ? geometry->bios_sectors : MAX_SECTORS;
    geometry->cylinders = told ? geometry->bios_cylinders
                               : (int)CLAMP(total / MAX_HEADS / MAX_SECTORS, 2, MAX_CYLINDERS);
}

int bdrv_get_geometry(BlockDriverState *bs, BlockGeometry *geometry)
{
    BlockTree *tree = bs->priv->tree;
    int64_t size = bdrv_node_size(bs);
    uint8_t sector[SECTOR] = { 0 };

    *geometry = (BlockGeometry) { .origin = BDRV_GEOMETRY_IMAGE };
    int ret = size < SECTOR ? 0 : bdrv_pread(bs, 0, sector, SECTOR, 0);

    if (ret < 0) {
        return ret;
    }
    gate_enter(&tree->gate, false);
    bool said = bdrv_node_get_geometry(bs, geometry);
    gate_leave(&tree->gate, false);

    read_partitions(sector, size / SECTOR, geometry);
    if (!said) {
        guess(size / SECTOR, geometry);
    }
    return 0;
}
