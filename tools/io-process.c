/* io-process.c - abort, sigraise, sleep: commands about this process */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "tools/io.h"

bool io_cmd_abort(const IoCommand *cmd, int argc, char **argv)
{
    fflush(stdout);
    abort();
}

bool io_cmd_sigraise(const IoCommand *cmd, int argc, char **argv)
{
    int64_t number;

    if (!io_parse_size(argv[1], &number)) {
        return false;
    }
    fflush(stdout);
    if (number > SIGRTMAX) {
        tool_print("signal argument '%s' is too large to be a valid signal\n", argv[1]);
        return false;
    }
    return raise((int)number) == 0;
}

bool io_cmd_sleep(const IoCommand *cmd, int argc, char **argv)
{
    char *end;
    long ms;

    errno = 0;
    ms = strtol(argv[1], &end, 0);
    if (end == argv[1] || *end || errno || ms < 0) {
        tool_print("%s is not a valid number\n", argv[1]);
        return false;
    }
    struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

    fflush(stdout);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
        continue;
    }
    return true;
}
