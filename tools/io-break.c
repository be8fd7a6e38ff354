/* io-break.c - break, wait_break, resume, remove_break: stops requests in the background */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <glib.h>
#include "tools/io.h"

#define PATIENCE 60                 /* seconds that wait_break waits for a request */

static bool failed(const char *what, int ret)
{
    tool_print("Could not %s: %s\n", what, g_strerror(-ret));
    return false;
}

bool io_cmd_break(const IoCommand *cmd, int argc, char **argv)
{
    int ret = bdrv_debug_breakpoint(io_bs, argv[1], argv[2]);

    if (ret < 0) {
        return failed("set breakpoint", ret);
    }
    io_break_remember(argv[2]);
    return true;
}

bool io_cmd_wait_break(const IoCommand *cmd, int argc, char **argv)
{
    gint64 end = g_get_monotonic_time() + (gint64)PATIENCE * G_USEC_PER_SEC;

    while (!bdrv_debug_is_suspended(io_bs, argv[1])) {
        if (!io_aio_is_busy()) {
            tool_print("No request is left that could be suspended as '%s'\n", argv[1]);
            return false;
        }
        if (g_get_monotonic_time() >= end) {
            tool_print("No request was suspended as '%s' within %d seconds\n", argv[1], PATIENCE);
            return false;
        }
        g_usleep(1000);
    }
    tool_print("blkdebug: Suspended request '%s'\n", argv[1]);
    return true;
}

/* Resume one request that is stopped at @tag. False: there is none */
static bool resume_one(const char *tag)
{
    if (!bdrv_debug_is_suspended(io_bs, tag)) {
        return false;
    }
    tool_print("blkdebug: Resuming request '%s'\n", tag);
    fflush(stdout);                 /* before the output of the request */
    return bdrv_debug_resume(io_bs, tag) == 0;
}

bool io_cmd_resume(const IoCommand *cmd, int argc, char **argv)
{
    return resume_one(argv[1]) || failed("resume request", bdrv_debug_resume(io_bs, argv[1]));
}

bool io_cmd_remove_break(const IoCommand *cmd, int argc, char **argv)
{
    bool any = false;

    while (resume_one(argv[1])) {
        any = true;
    }
    int ret = bdrv_debug_remove_breakpoint(io_bs, argv[1]);

    if (ret < 0 && !any) {
        tool_print("Could not remove breakpoint %s: %s\n", argv[1], g_strerror(-ret));
    }
    return ret == 0 || any;
}
