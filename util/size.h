/* size.h - sizes as users write and read them: "1.5G", "64 MiB" */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_SIZE_H
#define UTIL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* Parse a decimal number with a suffix b, k, m, g, t, p or e (in either case), each 1024 times the one before; without
 * a suffix it is bytes. A fraction ("1.5G") is rounded to a byte; bytes may not have one. Or a hexadecimal number
 * ("0x200"), without suffix or fraction. False, and *@bytes unchanged, if @text is anything else or more than
 * INT64_MAX. */
bool size_parse(const char *text, int64_t *bytes);

/* Format with three significant digits, as qemu-img info does: "64 MiB", "1.5 KiB", "0 B". g_free() it */
char *size_format(int64_t bytes);

/* Format with three decimals or none, as qemu-io does: "64.016 MiB", "1.500 KiB", "64 KiB", "512 bytes". g_free() it */
char *size_format_exact3(int64_t bytes);

#endif
