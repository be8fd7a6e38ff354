/* blklogwrites.h - a log of writes on disk, in the format of Linux's dm-log-writes. All numbers are little-endian */
/* SPDX-License-Identifier: MIT
 *
 *   super block, entry, its data, entry, its data ...
 *
 * Each of these begins at a sector of the log. Offsets and lengths of the logged writes are counted in these sectors.
 * Source: the kernel's Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c.
 */
#ifndef BLOCK_BLKLOGWRITES_H
#define BLOCK_BLKLOGWRITES_H

#include <stddef.h>
#include <stdint.h>

#define LOGWRITES_SECTOR        512             /* the smallest sector, and the default */
#define LOGWRITES_MAX_SECTOR    (8 << 20)

typedef struct LogWritesSuper {
    uint8_t magic[8];
#define LOGWRITES_MAGIC         0x6a736677736872
    uint8_t version[8];
#define LOGWRITES_VERSION       1
    uint8_t entries[8];                         /* number of entries; bytes after the last one do not count */
    uint8_t sector[4];                          /* bytes of a sector */
} LogWritesSuper;

typedef struct LogWritesEntry {
    uint8_t sector[8];                          /* where the data was written, */
    uint8_t sectors[8];                         /* and how many sectors; as many follow this entry, */
    uint8_t flags[8];
#define LOGWRITES_FLUSH         (1 << 0)        /* all earlier entries are durable; with data: before the data */
#define LOGWRITES_FUA           (1 << 1)        /* the data of this entry is durable, too */
#define LOGWRITES_DISCARD       (1 << 2)        /* no data follows */
#define LOGWRITES_MARK          (1 << 3)        /* no data follows: a text is behind this struct, in the same sector */
    uint8_t data_len[8];                        /* length of the text of a mark */
} LogWritesEntry;

/* Marks of miniblk, each followed by a number; other programs ignore them */
#define LOGWRITES_TRUNCATE      "miniblk:truncate "     /* the file got this length, shorter or longer */
#define LOGWRITES_END           "miniblk:end "          /* the file ends here, inside the next entry */

_Static_assert(sizeof(LogWritesSuper) == 28, "super block of a log of writes");
_Static_assert(sizeof(LogWritesEntry) == 32, "entry of a log of writes");

#endif
