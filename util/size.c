/* size.c - sizes as users write and read them: "1.5G", "64 MiB" */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "util/size.h"

/* Return the unit of the suffix at @at, 1 if it is missing; 0: no such suffix */
static int64_t suffix_unit(const char *at)
{
    static const char letters[] = "bkmgtpe";
    const char *letter = *at ? strchr(letters, g_ascii_tolower(*at)) : letters;

    return letter && (!*at || !at[1]) ? (int64_t)1 << 10 * (letter - letters) : 0;
}

/* Return 0.@digits times @unit, rounded to nearest. It divides from the right: the quotient of each step is exact, and
 * so is the last rest. 9 * 2^60 and the carry fit into uint64_t. */
static uint64_t fraction_of(const char *digits, size_t count, int64_t unit)
{
    uint64_t sum = 0, rest = 0;

    while (count--) {
        sum += (uint64_t)(digits[count] - '0') * (uint64_t)unit;
        rest = sum % 10;
        sum /= 10;
    }
    return sum + (rest >= 5);
}

static bool parse_number(const char *text, int base, char **end, int64_t *number)
{
    if (!g_ascii_isxdigit(*text)) {     /* strtoll() would accept spaces and signs */
        return false;
    }
    errno = 0;
    long long value = strtoll(text, end, base);

    *number = value;
    return *end != text && !errno;
}

static bool parse_hex(const char *digits, int64_t *bytes)
{
    char *end;
    int64_t number;

    if (digits[0] == '0' && g_ascii_tolower(digits[1]) == 'x') {
        return false;                   /* strtoll() would accept a second 0x */
    }
    if (!parse_number(digits, 16, &end, &number) || *end) {
        return false;
    }
    *bytes = number;
    return true;
}

bool size_parse(const char *text, int64_t *bytes)
{
    char *end;
    int64_t number, sum;
    size_t digits = 0;

    if (text[0] == '0' && g_ascii_tolower(text[1]) == 'x') {
        return parse_hex(text + 2, bytes);
    }
    if (!parse_number(text, 10, &end, &number)) {
        return false;
    }
    if (*end == '.') {
        digits = strspn(++end, "0123456789");
    }
    int64_t unit = suffix_unit(end + digits);

    if (!unit || (unit == 1 && strspn(end, "0") < digits)) {
        return false;
    }
    if (__builtin_mul_overflow(number, unit, &sum)
        || __builtin_add_overflow(sum, fraction_of(end, digits, unit), &sum)) {
        return false;
    }
    *bytes = sum;
    return true;
}

static const char units[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

/* Use the next unit from 1000 on, not from 1024, so that three digits are enough */
char *size_format(int64_t bytes)
{
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    g_ascii_formatd(number, sizeof(number), "%.3g", value);
    return g_strdup_printf("%s %s", number, units[unit]);
}

char *size_format_exact3(int64_t bytes)
{
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    g_ascii_formatd(number, sizeof(number), "%.3f", value);
    if (g_str_has_suffix(number, ".000")) {
        number[strlen(number) - strlen(".000")] = '\0';
    }
    return g_strdup_printf("%s %s", number, unit ? units[unit] : "bytes");
}
