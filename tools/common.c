/* common.c - what both tools share: messages, and opening an image */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "util/size.h"

#define QEMU_VERSION "7.2.0"    /* whose command lines these are */

const char *tool_name = "miniblk";
bool tool_is_qemu;

void tool_init(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

    if (argv0 && *argv0) {
        tool_name = slash ? slash + 1 : argv0;
    }
    tool_is_qemu = !strcmp(tool_name, "qemu-img") || !strcmp(tool_name, "qemu-io");
}

void tool_print_version(void)
{
    printf(tool_is_qemu ? "%s version " QEMU_VERSION " (miniblk %s)\n" : "%s version %s\n", tool_name, MINIBLK_VERSION);
}

bool tool_check_aio(const char *mode)
{
    static const char *const modes[] = { "threads", "native", "io_uring", NULL };

    if (!g_strv_contains(modes, mode)) {
        tool_error("Invalid aio option: %s", mode);
        return false;
    }
    return true;
}

bool tool_is_too_large(const char *text)
{
    g_autofree char *small = g_strdup(text);
    bool hex = text[0] == '0' && g_ascii_tolower(text[1]) == 'x';
    int64_t bytes;

    for (char *c = small; *c; c++) {
        if (hex ? g_ascii_isxdigit(*c) : g_ascii_isdigit(*c)) {
            *c = '0';
        }
    }
    return size_parse(small, &bytes);
}

char *tool_printable(const char *text)
{
    char *copy = g_strdup(text);

    for (unsigned char *c = (unsigned char *)copy; *c; c++) {
        bool escape = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;      /* of C1, in UTF-8 */

        if ((*c < ' ' && *c != '\n') || *c == 0x7f || escape) {
            *c = '?';
            c[escape] = '?';
        }
    }
    return copy;
}

/* Texts of the library may quote what an image says */
static void print_message(const char *kind, const char *format, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(format, ap), *printable = tool_printable(text);

    fflush(stdout);     /* in a common log, what came first stands first */
    fprintf(stderr, "%s: %s%s\n", tool_name, kind, printable);
}

void tool_error(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_message("", format, ap);
    va_end(ap);
}

void tool_warn(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_message("warning: ", format, ap);
    va_end(ap);
}

void tool_print_warnings(BlockDriverState *bs, const char *filename, unsigned *seen)
{
    const char *text;

    while ((text = bdrv_get_warning(bs, *seen)) != NULL) {
        if (g_str_has_prefix(text, "Image format was not specified for ")) {    /* in QEMU's form */
            g_autofree char *printable = tool_printable(text);

            fflush(stdout);
            fprintf(stderr, "WARNING: %s\n", printable);
        } else {
            tool_warn("%s: %s", filename, text);
        }
        ++*seen;
    }
}

static void append_options(GString *all, const char *options)
{
    if (options && *options) {
        g_string_append_printf(all, "%s%s", all->len ? "," : "", options);
    }
}

static void append_value(GString *all, const char *key, const char *value, size_t length)
{
    append_options(all, key);
    for (size_t i = 0; i < length; i++) {
        g_string_append(all, value[i] == ',' ? ",," : (char[]) { value[i], 0 });
    }
}

BlockDriverState *tool_open(const char *filename, const char *format, const char *options, bool image_opts,
                            unsigned flags, GError **errp)
{
    if ((flags & BDRV_O_RDWR) && (flags & BDRV_O_NO_LOCK)) {
        bdrv_set_error(errp, EINVAL, "force-share=on can only be used with read-only images");
        return NULL;
    }
    GString *all = g_string_new(NULL);

    if (format) {
        append_value(all, "driver=", format, strlen(format));
    } else {
        flags |= tool_is_qemu ? BDRV_O_PROBE_QEMU : BDRV_O_PROBE;
    }
    append_options(all, options);
    append_options(all, image_opts ? filename : NULL);
    BlockDriverState *bs = bdrv_open(image_opts ? NULL : filename, all->len ? all->str : NULL, flags, errp);
    g_string_free(all, TRUE);
    return bs;
}
