/* io-args.c - the words of commands: usage, sizes, and what the command line and 'open' have in common */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <glib.h>
#include "tools/io.h"
#include "util/size.h"

void io_print_usage(const IoCommand *cmd)
{
    tool_print("%s%s%s -- %s\n", cmd->name, cmd->args ? " " : "", cmd->args ? cmd->args : "", cmd->summary);
}

bool io_usage(const IoCommand *cmd)
{
    io_print_usage(cmd);
    return false;
}

bool io_parse_size(const char *text, int64_t *bytes)
{
    if (size_parse(text, bytes)) {
        return true;
    }
    tool_print("Parsing error: %s -- %s\n", tool_is_too_large(text) ? "argument too large"
               : "non-numeric argument, or extraneous/unrecognized suffix", text);
    return false;
}

bool io_parse_cache(const char *mode, unsigned *flags)
{
    if (!bdrv_parse_cache_mode(mode, flags)) {
        tool_error("Invalid cache option: %s", mode);
        return false;
    }
    return true;
}

bool io_parse_discard(const char *mode, unsigned *flags)
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
