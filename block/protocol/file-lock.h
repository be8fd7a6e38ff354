/* file-lock.h - one writer or many readers of a file, among QEMU's programs and ours */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_FILE_LOCK_H
#define BLOCK_FILE_LOCK_H

#include <miniblk/driver.h>

typedef enum FileLocking { FILE_LOCKING_AUTO, FILE_LOCKING_ON, FILE_LOCKING_OFF } FileLocking;

/* Lock @fd until it is closed. False and @errp set (EAGAIN) if others use the file in a way that does not
 * go together. Where the file system knows no locks: FILE_LOCKING_AUTO goes on without, and warns;
 * FILE_LOCKING_ON fails with another errno. BDRV_O_NO_LOCK and FILE_LOCKING_OFF: it is not even tried. */
bool file_lock(BlockDriverState *bs, int fd, const char *filename, bool write, FileLocking locking, GError **errp);

#endif
