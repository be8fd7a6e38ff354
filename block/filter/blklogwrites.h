/* blklogwrites.h - a log of writes on disk, as Linux's dm-log-writes has it. All numbers are little-endian */
/* SPDX-License-Identifier: MIT
 *
 *   super block, entry, its data, entry, its data ...
 *
 * Each begins on a sector of the log, and the log's sectors are also the unit of what was written.
 * Source: the kernel's Documentation/admin-guide/device-mapper/log-writes.rst and drivers/md/dm-log-writes.c.
 */
#ifndef BLOCK_BLKLOGWRITES_H
#define BLOCK_BLKLOGWRITES_H

#include <stddef.h>
#include <stdint.h>

#define LOGWRITES_SECTOR        512             /* the smallest, and what is taken if nothing is said */
#define LOGWRITES_MAX_SECTOR    (8 << 20)

typedef struct LogWritesSuper {
    uint8_t magic[8];
#define LOGWRITES_MAGIC         0x6a736677736872
    uint8_t version[8];
#define LOGWRITES_VERSION       1
    uint8_t entries[8];                         /* those that count; what lies behind them does not */
    uint8_t sector[4];                          /* bytes */
} LogWritesSuper;

typedef struct LogWritesEntry {
    uint8_t sector[8];                          /* where it was written, */
    uint8_t sectors[8];                         /* and how many: the same number of sectors of data follow, */
    uint8_t flags[8];
#define LOGWRITES_FLUSH         (1 << 0)        /* what was done before is durable; with data, before the data */
#define LOGWRITES_FUA           (1 << 1)        /* durable when it was done */
#define LOGWRITES_DISCARD       (1 << 2)        /* but none here, */
#define LOGWRITES_MARK          (1 << 3)        /* nor here: a text stands behind this struct, in the same sector */
    uint8_t data_len[8];                        /* length of the text of a mark */
} LogWritesEntry;

/* Our own marks, with a number behind them; others ignore them */
#define LOGWRITES_TRUNCATE      "miniblk:truncate "     /* the file was made as long as this, shorter or longer */
#define LOGWRITES_END           "miniblk:end "          /* the file ends here, inside the entry that comes next */

_Static_assert(sizeof(LogWritesSuper) == 28, "super block of a log of writes");
_Static_assert(sizeof(LogWritesEntry) == 32, "entry of a log of writes");

#endif
