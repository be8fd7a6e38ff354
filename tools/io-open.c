/* io-open.c - open, close, reopen: the image, with the requests that are on their way and the breakpoints */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <glib.h>
#include "tools/io.h"
#include "util/keyval.h"

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

/* A second -o goes on where the first ends */
static void add_options(char **all, const char *more)
{
    char *before = *all;

    *all = before ? g_strconcat(before, ",", more, NULL) : g_strdup(more);
    g_free(before);
}

/* The options that 'open' shares with the command line. @options: what -o says, to be g_free()d */
static bool take_open_option(const IoCommand *cmd, IoOpenArgs *args, char **options, int c)
{
    switch (c) {
    case 'r':
        args->flags &= ~(unsigned)BDRV_O_RDWR;
        return true;
    case 'n':
        return io_parse_cache("none", &args->flags);
    case 't':
        return io_parse_cache(optarg, &args->flags);
    case 'd':
        return io_parse_discard(optarg, &args->flags);
    case 'i':
        return tool_check_aio(optarg);
    case 'k':
        return true;
    case 'U':
        args->flags |= BDRV_O_NO_LOCK;
        return true;
    case 'o':
        add_options(options, optarg);
        return true;
    case 's':
        args->flags |= BDRV_O_SNAPSHOT;
        return true;
    case 'C':
        args->copy_on_read = true;
        return true;
    default:
        return io_usage(cmd);
    }
}

bool io_cmd_open(const IoCommand *cmd, int argc, char **argv)
{
    IoOpenArgs args = { .flags = BDRV_O_RDWR | BDRV_O_UNMAP | BDRV_O_WRITETHROUGH };
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
        return io_parse_cache(optarg, &args->flags);
    case 'o':
        add_options(options, optarg);
        return true;
    default:
        return io_usage(cmd);
    }
}

/* False after a message: -o goes with the other options */
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

/* Not both at once: the image is locked. If it cannot be opened anew, the old way ought to work still.
 * Of two values that an option has, the later one counts. */
static bool reopen(const ReopenArgs *args)
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
    tool_error("%s", bdrv_error_message(err));
    bdrv_error_free(err);
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
    return check_reopen_options(&args) && reopen(&args);
}
