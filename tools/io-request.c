/* io-request.c - one request: its buffer, its run, its report */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <glib.h>
#include "tools/io.h"
#include "util/size.h"

#define BUFFER_ALIGNMENT 4096       /* enough for O_DIRECT */
#define DUMP_ROW 16

bool io_misalign;

bool io_request_alloc(IoRequest *req, const int64_t *lengths, int count, int fill)
{
    size_t size = (size_t)req->bytes;

    if (posix_memalign(&req->memory, BUFFER_ALIGNMENT, size + 1) != 0) {
        req->memory = NULL;
        tool_error("no memory for %zu bytes", size);
        return false;
    }
    req->buf = (uint8_t *)req->memory + io_misalign;
    memset(req->buf, fill, size);

    req->iov = g_new(struct iovec, (gsize)count);
    req->niov = count;
    uint8_t *at = req->buf;
    for (int i = 0; i < count; i++) {
        req->iov[i] = (struct iovec) { at, (size_t)lengths[i] };
        at += lengths[i];
    }
    return true;
}

void io_request_free(IoRequest *req)
{
    if (req) {
        free(req->memory);
        g_free(req->iov);
        g_free(req);
    }
}

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int send_request(const IoRequest *req)
{
    if (req->unsupported) {
        return -ENOTSUP;
    }
    switch (req->kind) {
    case IO_READ:
        return bdrv_preadv(io_bs, req->offset, req->iov, req->niov, req->flags);
    case IO_WRITE:
        return bdrv_pwritev(io_bs, req->offset, req->iov, req->niov, req->flags);
    case IO_ZERO:
        return bdrv_pwrite_zeroes(io_bs, req->offset, req->bytes, req->flags);
    case IO_DISCARD:
        return bdrv_pdiscard(io_bs, req->offset, req->bytes);
    }
    return -EINVAL;
}

void io_request_run(IoRequest *req)
{
    int64_t start = now();

    req->ret = send_request(req);
    req->nanoseconds = MAX(now() - start, 1);
}

/* Return true if all bytes are the pattern: the first byte is, and each byte equals the next one */
static bool pattern_found(const IoRequest *req)
{
    const uint8_t *buf = req->buf + req->check_at;
    int64_t bytes = req->check_bytes;

    return bytes == 0 || (buf[0] == req->pattern && !memcmp(buf, buf + 1, (size_t)bytes - 1));
}

static void dump_row(int64_t offset, const uint8_t *bytes, int count)
{
    char numbers[3 * DUMP_ROW + 1] = "", letters[DUMP_ROW + 1] = "";

    for (int i = 0; i < count; i++) {
        g_snprintf(numbers + (size_t)i * 3, 4, "%02x ", bytes[i]);
        letters[i] = g_ascii_isalnum(bytes[i]) ? (char)bytes[i] : '.';
    }
    tool_print("%08" PRIx64 ":  %s %s\n", (uint64_t)offset, numbers, letters);
}

static void dump(const IoRequest *req)
{
    for (int64_t at = 0; at < req->bytes; at += DUMP_ROW) {
        dump_row(req->offset + at, req->buf + at, (int)MIN(DUMP_ROW, req->bytes - at));
    }
}

/* Print a duration. @machine: always with hours and minutes, and without a unit */
static void print_duration(int64_t nanoseconds, bool machine)
{
    unsigned hundredths = (unsigned)(nanoseconds / 10000000 % 100);
    uint64_t seconds = (uint64_t)nanoseconds / 1000000000;
    unsigned s = (unsigned)(seconds % 60), m = (unsigned)(seconds / 60 % 60);

    if (machine || seconds >= 60) {
        tool_print("%" PRIu64 ":%02u:%02u.%02u", seconds / 3600, m, s, hundredths);
    } else {
        tool_print("%02u.%02u sec", s, hundredths);
    }
}

static void print_machine_report(const IoRequest *req, double seconds)
{
    tool_print("%" PRId64 ",1,", req->bytes);
    print_duration(req->nanoseconds, true);
    tool_print(",%.3f,%.3f\n", (double)req->bytes / seconds, 1 / seconds);
}

/* Print the report for people. The rate of 2 GiB in one nanosecond still fits an int64_t */
static void print_report(const IoRequest *req, double seconds)
{
    static const char *const verbs[] = { "read", "wrote", "wrote", "discard" };
    g_autofree char *amount = size_format_exact3(req->bytes);
    g_autofree char *rate = size_format_exact3((int64_t)((double)req->bytes / seconds));

    tool_print("%s %" PRId64 "/%" PRId64 " bytes at offset %" PRId64 "\n",
               verbs[req->kind], req->bytes, req->bytes, req->offset);
    tool_print("%s, 1 ops; ", amount);
    print_duration(req->nanoseconds, false);
    tool_print(" (%s/sec and %.4f ops/sec)\n", rate, 1 / seconds);
}

static bool print_result(const IoRequest *req)
{
    bool ok = req->kind != IO_READ || req->pattern < 0 || pattern_found(req);
    double seconds = (double)req->nanoseconds / 1e9;

    if (!ok) {
        tool_print("Pattern verification failed at offset %" PRId64 ", %" PRId64 " bytes\n",
                   req->offset + req->check_at, req->check_bytes);
    }
    if (!req->quiet && req->dump) {
        dump(req);
    }
    if (!req->quiet) {
        (req->machine ? print_machine_report : print_report)(req, seconds);
    }
    return ok;
}

bool io_request_report(const IoRequest *req)
{
    bool ok = req->ret == 0;

    flockfile(stdout);
    if (ok) {
        ok = print_result(req);
    } else {
        tool_print("%s failed: %s\n", req->name, g_strerror(-req->ret));
    }
    fflush(stdout);
    funlockfile(stdout);
    if (req->ret < 0) {
        io_print_warnings();
    }
    return ok;
}
