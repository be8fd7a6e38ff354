/* io-info.c - length, info, alloc, map: facts about the image, and where its bytes are */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <glib.h>
#include "tools/io.h"
#include "util/size.h"

#define ALLOC_BYTES 512                  /* length for 'alloc' if none is given */

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
    return tool_check_error(err);
}

/* Return how many bytes from @offset on are in the same image, at most @bytes, or -errno. *@here: it is this image, and
 * no parent */
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
    int64_t offset, bytes = ALLOC_BYTES, sum = 0, run = 0, length = bdrv_getlength(io_bs);

    if (!io_parse_size(argv[1], &offset) || (argc > 2 && !io_parse_size(argv[2], &bytes))) {
        return false;
    }
    bytes = MIN(bytes, MAX(length - offset, 0));
    for (int64_t at = 0; at < bytes; at += run) {
        bool here = false;

        run = allocation_run(offset + at, bytes - at, &here);
        if (run < 0) {
            return io_check_result("is_allocated", (int)run);
        }
        sum += here ? run : 0;
    }
    g_autofree char *text = size_format_exact3(offset);
    tool_print("%" PRId64 "/%" PRId64 " bytes allocated at offset %s\n", sum, bytes, text);
    return true;
}
