/* utf16.c - file names in UTF-16, of either byte order, to UTF-8 and back, without loss */
/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include "util/utf16.h"

static bool is_high(uint32_t c)
{
    return c >= 0xd800 && c < 0xdc00;
}

static bool is_low(uint32_t c)
{
    return c >= 0xdc00 && c < 0xe000;
}

static uint32_t unit_at(const uint8_t *at, Utf16Order order)
{
    return order == UTF16_BE ? (uint32_t)at[0] << 8 | at[1] : (uint32_t)at[1] << 8 | at[0];
}

/* Append a character of @more + 1 bytes */
static void append_utf8(GString *text, uint32_t c, int more)
{
    static const uint8_t first[] = { 0x00, 0xc0, 0xe0, 0xf0 };

    g_string_append_c(text, (char)(first[more] | c >> 6 * more));
    while (more--) {
        g_string_append_c(text, (char)(0x80 | (c >> 6 * more & 0x3f)));
    }
}

char *utf16_to_utf8(const void *data, size_t bytes, Utf16Order order)
{
    const uint8_t *at = data;
    size_t units = bytes / 2;
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < units; i++) {
        uint32_t c = unit_at(at + 2 * i, order);
        uint32_t next = i + 1 < units ? unit_at(at + 2 * i + 2, order) : 0;

        if (c == 0) {
            break;
        }
        if (is_high(c) && is_low(next)) {
            c = 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00);
            i++;
        }
        append_utf8(text, c, c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3);
    }
    return g_string_free(text, FALSE);
}

static int bytes_behind(uint8_t first)
{
    return first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
}

/* Return the character at *@at, and move *@at behind it; -1: there is none */
static int32_t next_char(const uint8_t **at)
{
    static const int32_t least[] = { 0, 0x80, 0x800, 0x10000 };     /* the smallest character of each length */
    const uint8_t *p = *at;
    int more = bytes_behind(*p);
    int32_t c = more > 0 ? *p & 0x3f >> more : *p;

    for (int i = 0; i < more; i++) {
        if ((*++p & 0xc0) != 0x80) {            /* also true of the final NUL */
            return -1;
        }
        c = c << 6 | (*p & 0x3f);
    }
    *at = p + 1;
    return more < 0 || c < least[more] || c > 0x10ffff ? -1 : c;
}

static void append_unit(GByteArray *units, int32_t c, Utf16Order order)
{
    uint8_t high = (uint8_t)(c >> 8), low = (uint8_t)c;
    uint8_t unit[] = { order == UTF16_BE ? high : low, order == UTF16_BE ? low : high };

    g_byte_array_append(units, unit, sizeof(unit));
}

GBytes *utf16_from_utf8(const char *text, Utf16Order order)
{
    const uint8_t *at = (const uint8_t *)text;
    g_autoptr(GByteArray) units = g_byte_array_new();
    int32_t c, before = 0;

    for (; *at; before = c) {
        c = next_char(&at);
        /* two single halves would be read back as one character */
        if (c < 0 || (is_high((uint32_t)before) && is_low((uint32_t)c))) {
            return NULL;
        }
        if (c >= 0x10000) {
            append_unit(units, 0xd800 + ((c - 0x10000) >> 10), order);
            append_unit(units, 0xdc00 + (c & 0x3ff), order);
        } else {
            append_unit(units, c, order);
        }
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&units));
}
