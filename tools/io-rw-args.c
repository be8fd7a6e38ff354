/* io-rw-args.c - the options, offsets and lengths of commands that move data */
/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <glib.h>
#include "tools/io.h"

static bool parse_pattern(const char *text, int *pattern)
{
    char *end;
    long value = strtol(text, &end, 0);

    if (end == text || *end || value < 0 || value > 0xff) {
        tool_print("%s is not a valid pattern byte\n", text);
        return false;
    }
    *pattern = (int)value;
    return true;
}

/* Take -s: a file for a write, an offset for a read */
static bool take_s(IoRwArgs *args)
{
    if (args->req->kind == IO_WRITE) {
        args->source = optarg;
        return true;
    }
    args->part = true;
    return io_parse_size(optarg, &args->req->check_at);
}

static bool rw_take_option(IoRwArgs *args, int c)
{
    IoRequest *req = args->req;

    switch (c) {
    case 'b': args->vmstate = true;     return true;
    case 'c': args->compressed = true;  return true;
    case 'C': req->machine = true;      return true;
    case 'f': args->fua = true;         return true;
    case 'i': args->invalid = true;     return true;
    case 'n': args->no_fallback = true; return true;
    case 'p':                           return true;    /* in old versions of qemu-io it chose pread() */
    case 'P':                           return parse_pattern(optarg, &req->pattern);
    case 'q': req->quiet = true;        return true;
    case 's':                           return take_s(args);
    case 'l': args->part = true;        return io_parse_size(optarg, &req->check_bytes);
    case 'u': args->unmap = true;       return true;
    case 'v': req->dump = true;         return true;
    case 'z': args->zeroes = true;      return true;
    default:                            return false;
    }
}

bool io_rw_options(IoRwArgs *args, int argc, char **argv, const char *letters, bool exact)
{
    int c;

    while ((c = getopt(argc, argv, letters)) != -1) {
        if (c == '?') {
            return io_usage(args->cmd);
        }
        if (!rw_take_option(args, c)) {
            return false;
        }
    }
    if (argc - optind < 2 || (exact && argc - optind > 2)) {
        return io_usage(args->cmd);
    }
    return true;
}

static bool complain(const char *text)
{
    tool_print("%s\n", text);
    return false;
}

bool io_rw_settle_write(IoRwArgs *args)
{
    IoRequest *req = args->req;

    if (args->vmstate && args->zeroes) {
        return complain("-b and -z cannot be specified at the same time");
    }
    if (args->fua && (args->vmstate || args->compressed)) {
        return complain("-f and -b or -c cannot be specified at the same time");
    }
    if (args->no_fallback && !args->zeroes) {
        return complain("-n requires -z to be specified");
    }
    if (args->unmap && !args->zeroes) {
        return complain("-u requires -z to be specified");
    }
    if (args->zeroes + (req->pattern >= 0) + !!args->source > 1) {
        return complain("Only one of -z, -P, and -s can be specified at the same time");
    }
    req->kind = args->zeroes ? IO_ZERO : IO_WRITE;
    req->flags = (args->fua ? BDRV_REQ_FUA : 0) | (args->unmap ? BDRV_REQ_MAY_UNMAP : 0) |
                 (args->no_fallback ? BDRV_REQ_NO_FALLBACK : 0);
    req->unsupported = args->vmstate || (args->compressed && !args->zeroes);
    return true;
}

bool io_rw_settle_read(IoRwArgs *args)
{
    IoRequest *req = args->req;

    if (args->part && req->pattern < 0) {
        return io_usage(args->cmd);
    }
    req->unsupported = args->vmstate;
    return true;
}

bool io_rw_settle_check(IoRequest *req)
{
    if (req->check_bytes < 0) {
        req->check_bytes = req->bytes - req->check_at;
    }
    if (req->check_at > req->bytes || req->check_bytes < 0 || req->check_bytes > req->bytes - req->check_at) {
        return complain("pattern verification range exceeds end of read data");
    }
    return true;
}

bool io_rw_range(IoRequest *req, char **words, const char *unless, bool any_length)
{
    if (!io_parse_size(words[0], &req->offset) || !io_parse_size(words[1], &req->bytes)) {
        return false;
    }
    if (req->bytes > BDRV_MAX_BYTES && !any_length) {
        tool_print("length cannot exceed %" PRId64 "%s, given %s\n", BDRV_MAX_BYTES, unless, words[1]);
        return false;
    }
    return true;
}

/* Parse "len len …" into @lengths, and add their sum to the length of @req */
static bool parse_lengths(IoRequest *req, char **words, int count, int64_t *lengths)
{
    for (int i = 0; i < count; i++) {
        if (!io_parse_size(words[i], &lengths[i])) {
            return false;
        }
        if (lengths[i] > BDRV_MAX_BYTES) {
            tool_print("Argument '%s' exceeds maximum size %" PRId64 "\n", words[i], BDRV_MAX_BYTES);
            return false;
        }
        if (lengths[i] > BDRV_MAX_BYTES - req->bytes) {
            tool_print("The total number of bytes exceed the maximum size %" PRId64 "\n", BDRV_MAX_BYTES);
            return false;
        }
        req->bytes += lengths[i];
    }
    return true;
}

bool io_rw_vector(IoRequest *req, char **words, int count, int fill)
{
    int pieces = count - 1;
    g_autofree int64_t *lengths = g_new(int64_t, (gsize)pieces);

    return io_parse_size(words[0], &req->offset) && parse_lengths(req, words + 1, pieces, lengths) &&
           io_request_alloc(req, lengths, pieces, fill) && (req->kind == IO_WRITE || io_rw_settle_check(req));
}
