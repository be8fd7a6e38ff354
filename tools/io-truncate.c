/* io-truncate.c - truncate: changes the length of the image */
/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <string.h>
#include <glib.h>
#include "tools/io.h"

/* Parse a mode of preallocation. QEMU's mode "metadata" is refused. False after a message */
static bool truncate_parse_preallocation(const char *mode, BlockPreallocation *how)
{
    static const char *const modes[] = { "off", "falloc", "full" };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (!strcmp(mode, modes[i])) {
            *how = (BlockPreallocation)i;
            return true;
        }
    }
    tool_error(strcmp(mode, "metadata") ? "Invalid preallocation mode '%s'" : "Unsupported preallocation mode: %s",
               mode);
    return false;
}

bool io_cmd_truncate(const IoCommand *cmd, int argc, char **argv)
{
    BlockPreallocation how = BDRV_PREALLOC_OFF;
    GError *err = NULL;
    int64_t size;
    int c;

    while ((c = getopt(argc, argv, "m:")) != -1) {
        if (c == '?') {
            return io_usage(cmd);
        }
        if (!truncate_parse_preallocation(optarg, &how)) {
            return false;
        }
    }
    if (argc == optind) {       /* if there are several, QEMU takes the first */
        return io_usage(cmd);
    }
    if (!io_parse_size(argv[optind], &size)) {
        return false;
    }
    (void)bdrv_grow(io_bs, size, how, &err);
    io_print_warnings();
    return tool_check_error(err);
}
