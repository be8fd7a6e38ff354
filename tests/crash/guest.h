/* guest.h - who works on an image while a log is kept: the library, or QEMU */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include "medium.h"

typedef struct Qemu Qemu;

typedef struct Guest {
    BlockDriverState *bs;       /* with blklogwrites somewhere below; NULL: QEMU is at work */
    Qemu *qemu;
    char *log;                  /* the log's file */
} Guest;

/* @options have blklogwrites in them */
void guest_open(Guest *g, const Medium *file, const char *options, unsigned flags);
/* The same by QEMU, a VHD; @above: options of a filter above the log, NULL: none */
void guest_open_qemu(Guest *g, const Medium *file, const char *above, bool append);

/* 0 or -errno, of QEMU -EIO */
int guest_close(Guest *g);
int guest_read(Guest *g, int64_t offset, uint8_t *buf, int64_t bytes);
int guest_write(Guest *g, int64_t offset, const uint8_t *buf, int64_t bytes, unsigned flags);
int guest_zero(Guest *g, int64_t offset, int64_t bytes, unsigned flags);
int guest_flush(Guest *g);

/* How many errors blkdebug made since the image was opened; 0 for QEMU, who does not tell */
unsigned guest_errors(const Guest *g);

/* How many entries the log has, while the image is open and afterwards */
uint64_t guest_entries(const Guest *g);

#endif
