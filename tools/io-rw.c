/* io-rw.c - commands that move data, and those that wait for it: read, write, …, discard, flush, aio_flush */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <glib.h>
#include "tools/io.h"

#define READ_FILL 0xab              /* bytes of the buffer before a read */
#define WRITE_FILL 0xcd

static void free_request(IoRequest **req)
{
    io_request_free(*req);
}

#define AUTO_REQUEST __attribute__((cleanup(free_request))) IoRequest

static IoRequest *new_request(IoKind kind, const char *name)
{
    IoRequest *req = g_new0(IoRequest, 1);

    req->kind = kind;
    req->name = name;
    req->pattern = -1;
    req->check_bytes = -1;
    return req;
}

/* Fill the buffer with the bytes of the file, repeated */
static bool fill_from_file(IoRequest *req, const char *filename)
{
    FILE *file = fopen(filename, "rb");
    size_t bytes = (size_t)req->bytes, have = file ? fread(req->buf, 1, bytes, file) : 0;
    const char *reason = !file || ferror(file) ? g_strerror(errno) : have || !bytes ? NULL : "file is empty";

    if (file) {
        fclose(file);
    }
    if (reason) {
        tool_print_error("%s: %s\n", filename, reason);
        return false;
    }
    for (size_t at = have; at < bytes; at += have) {
        memcpy(req->buf + at, req->buf, MIN(have, bytes - at));
    }
    return true;
}

static bool run_and_report(IoRequest *req)
{
    io_request_run(req);
    return io_request_report(req);
}

bool io_cmd_read(const IoCommand *cmd, int argc, char **argv)
{
    AUTO_REQUEST *req = new_request(IO_READ, "read");
    IoRwArgs args = { cmd, req };

    return io_rw_options(&args, argc, argv, "bCl:pP:qs:v", true) && io_rw_settle_read(&args) &&
           io_rw_range(req, argv + optind, "", false) && io_rw_settle_check(req) &&
           io_request_alloc(req, &req->bytes, 1, READ_FILL) && run_and_report(req);
}

bool io_cmd_readv(const IoCommand *cmd, int argc, char **argv)
{
    AUTO_REQUEST *req = new_request(IO_READ, "readv");
    IoRwArgs args = { cmd, req };

    return io_rw_options(&args, argc, argv, "CP:qv", false) &&
           io_rw_vector(req, argv + optind, argc - optind, READ_FILL) && run_and_report(req);
}

static int write_fill(const IoRequest *req)
{
    return req->pattern >= 0 ? req->pattern : WRITE_FILL;
}

bool io_cmd_write(const IoCommand *cmd, int argc, char **argv)
{
    AUTO_REQUEST *req = new_request(IO_WRITE, "write");
    IoRwArgs args = { cmd, req };

    return io_rw_options(&args, argc, argv, "bcCfnpP:qs:uz", true) && io_rw_settle_write(&args) &&
           io_rw_range(req, argv + optind, " without -n", args.no_fallback) &&
           (req->kind == IO_ZERO || io_request_alloc(req, &req->bytes, 1, write_fill(req))) &&
           (!args.source || fill_from_file(req, args.source)) && run_and_report(req);
}

bool io_cmd_writev(const IoCommand *cmd, int argc, char **argv)
{
    AUTO_REQUEST *req = new_request(IO_WRITE, "writev");
    IoRwArgs args = { cmd, req };

    return io_rw_options(&args, argc, argv, "CfP:q", false) && io_rw_settle_write(&args) &&
           io_rw_vector(req, argv + optind, argc - optind, write_fill(req)) && run_and_report(req);
}

bool io_cmd_discard(const IoCommand *cmd, int argc, char **argv)
{
    AUTO_REQUEST *req = new_request(IO_DISCARD, "discard");
    IoRwArgs args = { cmd, req };

    return io_rw_options(&args, argc, argv, "Cq", true) && io_rw_range(req, argv + optind, "", false) &&
           run_and_report(req);
}

/* Start the request in the background if its arguments are @ok. An @invalid request is not sent; in QEMU it is only
 * counted */
static bool start(IoRequest **req, bool ok, bool invalid)
{
    if (ok && invalid) {
        tool_print("injecting invalid %s request\n", (*req)->kind == IO_READ ? "read" : "write");
    }
    return ok && (invalid || io_aio_start(g_steal_pointer(req)));
}

bool io_cmd_aio_read(const IoCommand *cmd, int argc, char **argv)
{
    AUTO_REQUEST *req = new_request(IO_READ, "readv");
    IoRwArgs args = { cmd, req };
    bool ok = io_rw_options(&args, argc, argv, "CiP:qv", false) &&
              io_rw_vector(req, argv + optind, argc - optind, READ_FILL);

    return start(&req, ok, args.invalid);
}

static bool parse_aio_zero(IoRequest *req, int argc, char **argv)
{
    if (argc - optind != 2) {
        tool_print("-z supports only a single length parameter\n");
        return false;
    }
    return io_parse_size(argv[optind], &req->offset) && io_parse_size(argv[optind + 1], &req->bytes);
}

bool io_cmd_aio_write(const IoCommand *cmd, int argc, char **argv)
{
    AUTO_REQUEST *req = new_request(IO_WRITE, "aio_write");
    IoRwArgs args = { cmd, req };
    bool ok = io_rw_options(&args, argc, argv, "CfiP:quz", false) && io_rw_settle_write(&args) &&
              (args.zeroes ? parse_aio_zero(req, argc, argv)
                           : io_rw_vector(req, argv + optind, argc - optind, write_fill(req)));

    return start(&req, ok, args.invalid);
}

bool io_cmd_flush(const IoCommand *cmd, int argc, char **argv)
{
    return io_check_result("flush", bdrv_flush(io_bs));
}

bool io_cmd_aio_flush(const IoCommand *cmd, int argc, char **argv)
{
    return io_aio_drain();
}
