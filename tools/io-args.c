/* io-args.c - arguments of all commands: sizes, and the usage line */
/* SPDX-License-Identifier: MIT */
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
