/* io-misc.c - the commands about the image as a whole, and sleep */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <glib.h>
#include "tools/io.h"
#include "util/size.h"

#define SECTOR 512                  /* what 'alloc' looks at if no length is given */

/* Ends a command that has no report of its own */
static bool check_result(const char *name, int ret)
{
    if (ret < 0) {
        tool_print("%s failed: %s\n", name, g_strerror(-ret));
        io_print_warnings();
    }
    return ret == 0;
}

static bool check_error(GError *err)
{
    if (err) {
        tool_error("%s", bdrv_error_message(err));
        bdrv_error_free(err);
    }
    return !err;
}

bool io_cmd_aio_flush(const IoCommand *cmd, int argc, char **argv)
{
    return io_aio_drain();
}

bool io_cmd_flush(const IoCommand *cmd, int argc, char **argv)
{
    return check_result("flush", bdrv_flush(io_bs));
}

bool io_cmd_length(const IoCommand *cmd, int argc, char **argv)
{
    g_autofree char *text = size_format_exact3(bdrv_getlength(io_bs));

    tool_print("%s\n", text);
    return true;
}

bool io_cmd_info(const IoCommand *cmd, int argc, char **argv)
{
    GError *err = NULL;
    BlockInfo *info = bdrv_get_info(io_bs, &err);

    if (info) {
        g_autofree char *cluster_size = size_format_exact3(info->cluster_size);

        tool_print("format name: %s\ncluster size: %s\nvm state offset: 0 bytes\n", info->driver, cluster_size);
    }
    bdrv_info_free(info);
    return check_error(err);
}

/* How many bytes of [@offset, @offset + @bytes) are alike, and in *@here if this image, not a parent, has
 * them; or -errno */
static int64_t allocation_run(int64_t offset, int64_t bytes, bool *here)
{
    BlockStatus st;
    int64_t run = 0;

    while (run < bytes) {
        int ret = bdrv_block_status(io_bs, offset + run, bytes - run, 0, &st);

        if (ret < 0) {
            return ret;
        }
        if (run && st.here != *here) {
            break;
        }
        *here = st.here;
        run += st.bytes;
    }
    return run;
}

bool io_cmd_map(const IoCommand *cmd, int argc, char **argv)
{
    int64_t length = bdrv_getlength(io_bs), run = 0;

    for (int64_t offset = 0; offset < length; offset += run) {
        bool here = false;

        run = allocation_run(offset, length - offset, &here);
        if (run < 0) {
            tool_error("Failed to get allocation status: %s", g_strerror((int)-run));
            io_print_warnings();
            return false;
        }
        g_autofree char *run_text = size_format_exact3(run);
        g_autofree char *offset_text = size_format_exact3(offset);
        tool_print("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n",
                   run_text, (uint64_t)run, here ? "   " : "not", offset_text, (uint64_t)offset);
    }
    return true;
}

bool io_cmd_alloc(const IoCommand *cmd, int argc, char **argv)
{
    int64_t offset, bytes = SECTOR, sum = 0, run = 0, length = bdrv_getlength(io_bs);

    if (!io_parse_size(argv[1], &offset) || (argc > 2 && !io_parse_size(argv[2], &bytes))) {
        return false;
    }
    bytes = MIN(bytes, MAX(length - offset, 0));
    for (int64_t at = 0; at < bytes; at += run) {
        bool here = false;

        run = allocation_run(offset + at, bytes - at, &here);
        if (run < 0) {
            return check_result("is_allocated", (int)run);
        }
        sum += here ? run : 0;
    }
    g_autofree char *text = size_format_exact3(offset);
    tool_print("%" PRId64 "/%" PRId64 " bytes allocated at offset %s\n", sum, bytes, text);
    return true;
}

/* QEMU has a mode more */
static bool parse_preallocation(const char *mode, BlockPreallocation *how)
{
    static const char *const modes[] = { "off", "falloc", "full" };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (!strcmp(mode, modes[i])) {
            *how = (BlockPreallocation)i;
            return true;
        }
    }
    tool_error(strcmp(mode, "metadata") ? "Invalid preallocation mode '%s'" : "Unsupported preallocation mode: %s", mode);
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
        if (!parse_preallocation(optarg, &how)) {
            return false;
        }
    }
    if (argc == optind) {       /* of several, QEMU takes the first */
        return io_usage(cmd);
    }
    if (!io_parse_size(argv[optind], &size)) {
        return false;
    }
    (void)bdrv_grow(io_bs, size, how, &err);
    io_print_warnings();
    return check_error(err);
}

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
