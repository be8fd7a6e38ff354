/* size.h - sizes as people write and read them: "1.5G", "64 MiB" */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_SIZE_H
#define UTIL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* A decimal number and perhaps a suffix, b k m g t p e in either case, each 1024 times the one before;
 * none: bytes. A fraction ("1.5G") is rounded to a byte, but bytes have none. Or a hexadecimal number
 * ("0x200") without any of this. False, and *@bytes as it was, if @text is anything else or more than
 * INT64_MAX. */
bool size_parse(const char *text, int64_t *bytes);

/* Three significant digits, as qemu-img info prints: "64 MiB", "1.5 KiB", "0 B". g_free() it */
char *size_format(int64_t bytes);

/* Three decimals or none, as qemu-io prints: "64.016 MiB", "1.500 KiB", "64 KiB", "512 bytes". g_free() it */
char *size_format_exact3(int64_t bytes);

#endif
