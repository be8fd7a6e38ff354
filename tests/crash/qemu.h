/* qemu.h - qemu-io at work on an image, over QEMU's own log of writes */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_QEMU_H
#define TESTS_QEMU_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Qemu Qemu;

bool qemu_is_there(void);

/* @file is a VHD. @above: options of a filter above the log, whose child is "image"; NULL: none. The log is begun anew
 * unless @append. Whatever goes wrong ends the program */
Qemu *qemu_open(const char *file, const char *log, const char *above, bool append);
void qemu_close(Qemu *q);

/* False: it failed */
bool qemu_read(Qemu *q, int64_t offset, uint8_t *buf, int64_t bytes);

/* A command of qemu-io, which is done when this returns. True unless it says that it failed */
bool qemu_do(Qemu *q, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* So many entries the log has by now */
uint64_t qemu_entries(const Qemu *q);

#endif
