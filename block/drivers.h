/* drivers.h - the tables of the built-in drivers, how drivers are found, and probing */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_DRIVERS_H
#define BLOCK_DRIVERS_H

#include <miniblk/driver.h>

extern const BlockDriver bdrv_vpc, bdrv_raw, bdrv_split, bdrv_cow,
    bdrv_blkdebug, bdrv_blklogwrites, bdrv_probe_guard,
    bdrv_file, bdrv_host_device, bdrv_host_cdrom, bdrv_mem, bdrv_nbd, bdrv_null, bdrv_null_co, bdrv_null_aio;

/* drivers.c: return the driver in the list that has this name; NULL: there is none. No module is loaded */
const BlockDriver *bdrv_listed_driver(const char *name);
/* Return whether a driver may have this name, and a module the file name "block-NAME.so" */
bool bdrv_is_driver_name(const char *name);

/* module.c: load the module block-@name.so, unless the list has a driver of this name. False with @errp set: there is
 * such a file, and it cannot be used. True also if there is none */
bool bdrv_load_module(const char *name, GError **errp);

/* Return the protocol for @filename if no driver is named. @devices: also for character devices */
const BlockDriver *bdrv_driver_of_file(const char *filename, bool devices);

/* Return an O_PATH descriptor of the regular file or block device that @filename leads to; the file is not opened.
 * @root and @by_image as in BlockBackingOffer. -1 and @errp set on failure */
int bdrv_find_file(const char *root, bool by_image, const char *filename, GError **errp);
const BlockDriver *bdrv_driver_of_place(int place);

/* parse_name() for drivers whose names are "PREFIX:path" */
char *bdrv_parse_path_name(const char *name, const char **rest, GError **errp);

/* signatures.c: return the name of the format of @probe's bytes if it is one that no driver reads, and in *@advice
 * what to do with the file. NULL: it is none of them */
const char *bdrv_foreign_format(const BlockProbe *probe, const char **advice);

/* Return the name of the format, other than raw, of a file of @size. @head: its first BLOCK_PROBE_BYTES, @tail: its
 * last; NULL for either stands for zeroes. NULL if the bytes are of no such format */
const char *bdrv_other_format(const uint8_t *head, const uint8_t *tail, int64_t size);

/* Return the driver that is most sure of @file, and in *@score how sure it is, 0 to 100. @head_only: look at the first
 * bytes only. If the driver is raw and another one suspects that the file is its own, warn. NULL and @errp set if @file
 * cannot be read, or is of a format that no driver reads */
const BlockDriver *bdrv_probe(BlockDriverState *file, bool head_only, int *score, GError **errp);

#endif
