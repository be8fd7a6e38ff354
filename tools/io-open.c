/* io-open.c - open, close, reopen: the image, with its requests in the background and its breakpoints */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <glib.h>
#include "tools/io.h"
#include "util/keyval.h"

static bool parse_cache(const char *mode, unsigned *flags)
{
    if (!bdrv_parse_cache_mode(mode, flags)) {
        tool_error("Invalid cache option: %s", mode);
        return false;
    }
    return true;
}

static bool parse_discard(const char *mode, unsigned *flags)
{
    if (!strcmp(mode, "unmap") || !strcmp(mode, "on")) {
        *flags |= BDRV_O_UNMAP;
    } else if (!strcmp(mode, "ignore") || !strcmp(mode, "off")) {
        *flags &= ~(unsigned)BDRV_O_UNMAP;
    } else {
        tool_error("Invalid discard option: %s", mode);
        return false;
    }
    return true;
}

bool io_take_open_option(IoOpenArgs *args, int c, bool *ok)
{
    switch (c) {
    case 'r':
        args->flags &= ~(unsigned)BDRV_O_RDWR;
        break;
    case 'n':
        *ok = parse_cache("none", &args->flags);
        break;
    case 't':
        *ok = parse_cache(optarg, &args->flags);
        break;
    case 'd':
        *ok = parse_discard(optarg, &args->flags);
        break;
    case 'i':
        *ok = tool_check_aio(optarg);
        break;
    case 'k':
        break;
    case 'U':
        args->flags |= BDRV_O_NO_LOCK;
        break;
    case 's':
        args->flags |= BDRV_O_SNAPSHOT;
        break;
    case 'C':
        args->copy_on_read = true;
        break;
    default:
        return false;
    }
    return true;
}

bool io_open_image(const IoOpenArgs *args)
{
    GError *err = NULL;

    if (io_image_open(args, &err)) {
        return true;
    }
    if (args->filename) {
        tool_error("can't open device %s: %s", args->filename, bdrv_error_message(err));
    } else {
        tool_error("can't open: %s", bdrv_error_message(err));
    }
    bdrv_error_free(err);
    return false;
}

bool io_close_image(void)
{
    if (!io_bs) {
        return true;
    }
    io_break_clear();
    bool ok = io_aio_drain();

    return io_image_close() && ok;
}

bool io_cmd_close(const IoCommand *cmd, int argc, char **argv)
{
    return io_close_image();
}

/* Append the argument of another -o */
static void add_options(char **all, const char *more)
{
    char *before = *all;

    *all = before ? g_strconcat(before, ",", more, NULL) : g_strdup(more);
    g_free(before);
}

/* Take an option of open. *@options: the arguments of -o, which the caller g_free()s */
static bool take_open_option(const IoCommand *cmd, IoOpenArgs *args, char **options, int c)
{
    bool ok = true;

    if (c == 'o') {
        add_options(options, optarg);
        return true;
    }
    return io_take_open_option(args, c, &ok) ? ok : io_usage(cmd);
}

bool io_cmd_open(const IoCommand *cmd, int argc, char **argv)
{
    IoOpenArgs args = { .flags = IO_OPEN_FLAGS };
    g_autofree char *options = NULL;
    int c;

    while ((c = getopt(argc, argv, "Cd:i:kno:rst:U")) != -1) {
        if (!take_open_option(cmd, &args, &options, c)) {
            return false;
        }
    }
    if (argc - optind > 1) {
        return io_usage(cmd);
    }
    if (io_bs) {
        tool_error("file open already, try 'help close'");
        return false;
    }
    args.filename = argv[optind];
    args.options = options;
    return io_open_image(&args);
}

typedef struct ReopenArgs {
    bool mode_given, cache_given;   /* -r or -w, -c */
    unsigned flags;
    const char *options;
} ReopenArgs;

static bool take_reopen_option(const IoCommand *cmd, ReopenArgs *args, char **options, int c)
{
    switch (c) {
    case 'r':
    case 'w':
        if (args->mode_given) {
            tool_error("Only one -r/-w option may be given");
            return false;
        }
        args->mode_given = true;
        args->flags = (args->flags & ~(unsigned)BDRV_O_RDWR) | (c == 'w' ? BDRV_O_RDWR : 0);
        return true;
    case 'c':
        args->cache_given = true;
        return parse_cache(optarg, &args->flags);
    case 'o':
        add_options(options, optarg);
        return true;
    default:
        return io_usage(cmd);
    }
}

/* Check that -o does not contradict other options. False after a message */
static bool check_reopen_options(const ReopenArgs *args)
{
    g_autoptr(KeyVal) given = keyval_parse(args->options, NULL);
    const char *conflict = NULL;

    if (!given) {
        tool_error("Invalid option list: %s", args->options);
        return false;
    }
    const char *driver = keyval_get(given, "driver");

    if (driver && strcmp(driver, bdrv_get_driver_name(io_bs))) {
        conflict = "Cannot change the option 'driver'";
    } else if (args->mode_given && keyval_get(given, "read-only")) {
        conflict = "Cannot set both -r/-w and 'read-only'";
    } else if (args->cache_given && keyval_has_subtree(given, "cache")) {
        conflict = "Cannot set both -c and the cache options";
    }
    if (conflict) {
        tool_error("%s", conflict);
    }
    return !conflict;
}

/* Change between reading and writing without closing, where that is all that @args ask for. *@ok: whether it worked.
 * False: a driver of the image cannot do that */
static bool change_mode(const ReopenArgs *args, bool *ok)
{
    bool write = args->flags & BDRV_O_RDWR;
    GError *err = NULL;

    if (args->options || args->cache_given || io_image_args()->flags & BDRV_O_SNAPSHOT) {
        return false;
    }
    io_break_clear();
    bool drained = io_aio_drain(), changed = bdrv_set_read_only(io_bs, !write, &err);
    bool able = bdrv_error_code(err) != ENOTSUP;

    if (changed) {
        io_image_set_flags(args->flags);
    } else if (able) {
        tool_check_error(err);
    } else {
        bdrv_error_free(err);
    }
    io_print_warnings();
    *ok = drained && changed;
    return able;
}

/* Close the image, and open it with @args; both cannot be open at once, because it is locked. If that fails, open it as
 * before. If an option has two values, the later one counts */
static bool open_anew(const ReopenArgs *args)
{
    const IoOpenArgs *opened = io_image_args();
    g_autofree char *filename = g_strdup(opened->filename), *format = g_strdup(opened->format);
    g_autofree char *options = g_strdup(opened->options);
    g_autofree char *changed = options && args->options ? g_strconcat(options, ",", args->options, NULL)
                                                        : g_strdup(args->options ? args->options : options);
    IoOpenArgs before = { filename, format, options, opened->flags };
    IoOpenArgs after = { filename, format, changed, args->flags };
    GError *err = NULL;
    bool ok = io_close_image();

    if (io_image_open(&after, &err)) {
        return ok;
    }
    tool_check_error(err);
    io_open_image(&before);
    return false;
}

bool io_cmd_reopen(const IoCommand *cmd, int argc, char **argv)
{
    ReopenArgs args = { .flags = io_image_args()->flags };
    g_autofree char *options = NULL;
    int c;

    while ((c = getopt(argc, argv, "c:o:rw")) != -1) {
        if (!take_reopen_option(cmd, &args, &options, c)) {
            return false;
        }
    }
    if (optind != argc) {
        return io_usage(cmd);
    }
    args.options = options;
    if (!check_reopen_options(&args)) {
        return false;
    }
    bool ok;

    return change_mode(&args, &ok) ? ok : open_anew(&args);
}
