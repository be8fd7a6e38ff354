/* utf16.h - file names in UTF-16, of either byte order, to UTF-8 and back, without loss */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_UTF16_H
#define UTIL_UTF16_H

#include <stddef.h>
#include <glib.h>

typedef enum { UTF16_LE, UTF16_BE } Utf16Order;

/* Convert @bytes at @data, up to a NUL if there is one; an odd byte at the end is ignored. Names on Windows may have
 * half of a surrogate pair: it becomes three bytes (WTF-8). Never fails; g_free() it. */
char *utf16_to_utf8(const void *data, size_t bytes, Utf16Order order);

/* Convert, without a NUL or byte order mark. NULL if @text is neither UTF-8 nor a result of utf16_to_utf8() */
GBytes *utf16_from_utf8(const char *text, Utf16Order order);

#endif
