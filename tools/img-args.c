/* img-args.c - the command line of miniblk-img: options, numbers, and usage errors */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-help.h"
#include "util/keyval.h"
#include "util/size.h"

static const char *running;     /* the command, after img_args_begin() */

void img_args_begin(const char *command)
{
    running = command;
    optind = 0;                 /* makes glibc's getopt() start again */
}

void img_usage_error(const char *format, ...)
{
    va_list ap;
    char *text;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    tool_error("%s", text);
    g_free(text);
    tool_print_error(running && !tool_is_qemu ? "Try '%s %s --help' for more information\n"
                                              : "Try '%s --help' for more information\n", tool_name, running);
    exit(EXIT_FAILURE);
}

int img_getopt(int argc, char **argv, const char *letters, const struct option *options)
{
    int c = getopt_long(argc, argv, letters, options, NULL);

    switch (c) {
    case 'h':
        img_print_help(running);
        exit(EXIT_SUCCESS);
    case ':':
        img_usage_error("missing argument for option '%s'", argv[optind - 1]);
    case '?':
        img_usage_error("unrecognized option '%s'", argv[optind - 1]);
    case IMG_OPT_OBJECT:
        tool_error("--object is not supported: no driver takes any");
        exit(EXIT_FAILURE);
    }
    return c;
}

const char *img_one_filename(int argc, char **argv)
{
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
    }
    return argv[optind];
}

bool img_parse_range(const char *what, const char *text, int64_t min, int64_t max, int64_t *bytes)
{
    int64_t value = -1;

    if (!size_parse(text, &value) && !tool_is_too_large(text)) {
        tool_error("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
        tool_error("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
        return false;
    }
    if (value < min || value > max) {
        tool_error("Invalid %s specified. Must be between %" PRId64 " and %" PRId64 ".", what, min, max);
        return false;
    }
    *bytes = value;
    return true;
}

bool img_parse_size(const char *what, const char *text, int64_t *bytes)
{
    return img_parse_range(what, text, 0, INT64_MAX, bytes);
}

bool img_parse_count(const char *text, long min, long max, long *count)
{
    char *end;

    errno = 0;
    *count = strtol(text, &end, 0);
    return end != text && !*end && !errno && *count >= min && *count <= max;
}

void img_refuse_size(const char *where)
{
    tool_error("%sParameter 'size' expects a non-negative number below 2^64", where);
    tool_print_error("Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                     "and exabytes, respectively.\n");
}

bool img_parse_output(const char *text, bool *json)
{
    *json = !strcmp(text, "json");
    if (!*json && strcmp(text, "human")) {
        tool_error("--output must be used with human or json as argument.");
        return false;
    }
    return true;
}

bool img_parse_cache(const char *what, const char *cache, unsigned *flags)
{
    if (bdrv_parse_cache_mode(cache, flags)) {
        return true;
    }
    tool_error("Invalid %scache option: %s", what, cache);
    return false;
}

bool img_check_snapshot(const char *text)
{
    g_autoptr(KeyVal) given = g_str_has_prefix(text, "snapshot.") ? keyval_parse(text, NULL) : keyval_new();
    const char *wrong = NULL;

    for (size_t i = 0; given && !wrong && i < keyval_count(given); i++) {
        const char *key = keyval_key(given, i);

        wrong = strcmp(key, "snapshot.id") && strcmp(key, "snapshot.name") ? key : NULL;
    }
    if (wrong) {
        tool_error("Invalid parameter '%s'", wrong);
    }
    if (wrong || !given) {
        tool_error("Failed in parsing snapshot param '%s'", text);
    }
    return given && !wrong;
}
