/* input.c - reads numbers, texts and patterns from an input */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    abort();
}

void fuzz_say(const char *format, ...)
{
    static int verbose = -1;
    va_list args;

    verbose = verbose < 0 ? getenv("FUZZ_VERBOSE") != NULL : verbose;
    va_start(args, format);
    if (verbose) {
        vfprintf(stderr, format, args);
    }
    va_end(args);
}

uint8_t fuzz_u8(FuzzInput *in)
{
    if (!in->left) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

uint32_t fuzz_number(FuzzInput *in, int bytes)
{
    uint32_t number = 0;

    while (bytes-- > 0) {
        number = number << 8 | fuzz_u8(in);
    }
    return number;
}

char *fuzz_text(FuzzInput *in, size_t bytes)
{
    bytes = MIN(bytes, in->left);
    char *text = g_strndup((const char *)in->at, bytes);

    in->at += bytes;
    in->left -= bytes;
    return text;
}

void fuzz_fill(uint8_t *buf, int64_t at, int64_t bytes, unsigned stamp)
{
    for (int64_t i = 0; i < bytes; i++) {
        uint32_t x = (uint32_t)(at + i) * 2654435761u ^ stamp * 2246822519u;

        buf[i] = (uint8_t)(x >> 24 | 1);
    }
}

bool fuzz_is_zero(const uint8_t *buf, int64_t bytes)
{
    return bytes == 0 || (!buf[0] && !memcmp(buf, buf + 1, (size_t)bytes - 1));
}
