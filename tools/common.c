/* common.c - shared by both tools: messages, and opening an image */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include "tools/common.h"
#include "util/size.h"

#define QEMU_VERSION "7.2.0"    /* the version of QEMU whose command lines the tools take */

const char *tool_name = "miniblk";
bool tool_is_qemu;

/* Open /dev/null for each of the three standard files that is closed. Otherwise an image would get its number, and
 * messages would be written into the image */
static void open_standard_files(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

void tool_init(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

    if (argv0 && *argv0) {
        tool_name = slash ? slash + 1 : argv0;
    }
    tool_is_qemu = !strcmp(tool_name, "qemu-img") || !strcmp(tool_name, "qemu-io");
    open_standard_files();
    signal(SIGXFSZ, SIG_IGN);       /* without the signal, a write past the limit is one failed request, EFBIG */
}

void tool_print_version(void)
{
    tool_print(tool_is_qemu ? "%s version " QEMU_VERSION " (miniblk %s)\n" : "%s version %s\n", tool_name,
               bdrv_version());
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

typedef enum Newlines { NEWLINES_ALL, NEWLINES_INDENTED, NEWLINES_NONE } Newlines;

/* Return true if a terminal shows @c and does nothing else. Some characters change the order of all text that
 * follows */
static bool is_harmless(gunichar c)
{
    bool control = c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
    bool order = c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069);

    return !control && !order;
}

/* Return @text with a '?' for each character that is not harmless, and for each byte that is no UTF-8. g_free() it */
static char *make_printable(const char *text, Newlines newlines)
{
    GString *out = g_string_sized_new(strlen(text));

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        bool valid = c <= 0x10ffff;
        size_t length = valid ? (size_t)(g_utf8_next_char(text) - text) : 1;
        bool line = c == '\n' && (newlines == NEWLINES_ALL || (newlines == NEWLINES_INDENTED && text[1] == ' '));

        if (line || (valid && is_harmless(c))) {
            g_string_append_len(out, text, (gssize)length);
        } else {
            g_string_append_c(out, '?');
        }
        text += length;
    }
    return g_string_free(out, FALSE);
}

char *tool_printable(const char *text)
{
    return make_printable(text, NEWLINES_NONE);
}

static void print_to(FILE *stream, const char *format, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(format, ap), *printable = make_printable(text, NEWLINES_ALL);

    fputs(printable, stream);
}

void tool_print(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_to(stdout, format, ap);
    va_end(ap);
}

void tool_print_error(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    print_to(stderr, format, ap);
    va_end(ap);
}

void tool_print_in_handler(const char *text)
{
    ssize_t done = write(STDERR_FILENO, text, strlen(text));

    (void)done;         /* an error here cannot be reported anywhere */
}

void tool_print_progress(double percent, const char *more)
{
    printf("    (%3.2f/100%%)", percent);
    if (more) {
        printf("%-36s", more);      /* covers a longer text of an earlier call */
    }
    putchar('\r');
    fflush(stdout);
}

static const char *called_file, *called_name;

void tool_call_it(const char *file, const char *name)
{
    called_file = file;
    called_name = name;
}

/* Print a message. The library quotes what an image says: lines after the first are indented, so that no text of an
 * image begins a line */
static void print_message(const char *kind, const char *format, va_list ap)
{
    GString *text = g_string_new(NULL);

    g_string_vprintf(text, format, ap);
    if (called_file) {
        g_string_replace(text, called_file, called_name, 0);
    }
    g_autofree char *printable = make_printable(text->str, NEWLINES_INDENTED);

    g_string_free(text, TRUE);
    fflush(stdout);     /* in a common log, text that was printed first comes first */
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

bool tool_check_error(GError *err)
{
    if (err) {
        tool_error("%s", bdrv_error_message(err));
        bdrv_error_free(err);
    }
    return !err;
}

void tool_print_warnings(BlockDriverState *bs, const char *filename, unsigned *seen)
{
    const char *text;

    while ((text = bdrv_get_warning(bs, *seen)) != NULL) {
        if (g_str_has_prefix(text, "Image format was not specified for ")) {    /* print it in QEMU's form */
            g_autofree char *printable = make_printable(text, NEWLINES_INDENTED);

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

bool tool_is_called_vhd(const char *filename)
{
    static const char *const suffixes[] = { ".vhd", ".avhd", ".vpc" };
    bool called = false;

    for (size_t i = 0; filename && i < G_N_ELEMENTS(suffixes); i++) {
        size_t length = strlen(filename), end = strlen(suffixes[i]);

        called |= length > end && !g_ascii_strcasecmp(filename + length - end, suffixes[i]);
    }
    return called;
}

/* Return true if the filename ends as that of a VHD, and the file is a VHD. A guest can write a footer to its raw
 * disk, but the user chooses the name of the file */
static bool is_called_vhd(const char *filename, const char *options, unsigned flags)
{
    const BlockOpenArgs args = {
        .filename = filename, .options = options,
        .flags = BDRV_O_PROBE | BDRV_O_NO_BACKING | BDRV_O_NO_LOCK | (flags & BDRV_O_SALVAGE),
    };
    BlockDriverState *bs = tool_is_called_vhd(filename) ? bdrv_open_with(&args, NULL) : NULL;
    bool is = bs && !strcmp(bdrv_get_driver_name(bs), "vpc");
    if (bs && !is) {
        tool_warn("%s: it has the name of a VHD but is not one: read as %s; -f vpc says why it is no VHD", filename,
                  bdrv_get_driver_name(bs));
    }
    bdrv_close(bs);
    return is;
}

BlockDriverState *tool_open(const char *filename, const char *format, const char *options, bool image_opts,
                            unsigned flags, const BlockResolver *resolver, GError **errp)
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
    if (!format && !tool_is_qemu && !image_opts && is_called_vhd(filename, all->len ? all->str : NULL, flags)) {
        append_value(all, "driver=", "vpc", 3);
        flags &= ~(unsigned)BDRV_O_PROBE;
    }
    const BlockOpenArgs args = { .filename = image_opts ? NULL : filename, .options = all->len ? all->str : NULL,
                                 .flags = flags, .resolver = resolver };
    BlockDriverState *bs = bdrv_open_with(&args, errp);
    g_string_free(all, TRUE);
    return bs;
}
