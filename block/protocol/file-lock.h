/* file-lock.h - locks of image files: one writer or many readers, the same locks as QEMU's */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_FILE_LOCK_H
#define BLOCK_FILE_LOCK_H

#include <miniblk/driver.h>

typedef enum FileLocking { FILE_LOCKING_AUTO, FILE_LOCKING_ON, FILE_LOCKING_OFF } FileLocking;

/* Lock @fd until it is closed. False and @errp set to EAGAIN if another open file excludes ours. If the file system has
 * no locks, FILE_LOCKING_AUTO warns and continues, and FILE_LOCKING_ON fails with another errno. With BDRV_O_NO_LOCK or
 * FILE_LOCKING_OFF no lock is set. @old: another descriptor of this file, whose locks @fd takes over, with no moment
 * between them; -1: none. If this fails, call file_lock_back() for @old before @fd is closed */
bool file_lock(BlockDriverState *bs, int fd, int old, const char *filename, bool write, FileLocking locking,
               GError **errp);
/* Lock @fd as it was before file_lock() took its locks over */
void file_lock_back(BlockDriverState *bs, int fd, bool write, FileLocking locking);

#endif
