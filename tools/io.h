/* io.h - shared by the files of miniblk-io */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IO_H
#define MINIBLK_TOOLS_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "tools/common.h"

/* ---- io-commands.c: the table of the commands, help, and running a line */

enum {
    IO_NEEDS_IMAGE = 1 << 0,
    IO_WRITES      = 1 << 1,        /* needs an image that is open for writing */
};

typedef struct IoCommand {
    const char *name, *alt;         /* @alt: a shorter name; NULL: none */
    bool (*run)(const struct IoCommand *cmd, int argc, char **argv);   /* false, after a message: it failed */
    int min, max;                   /* arguments; @max -1: any number */
    unsigned flags;
    const char *args;               /* for the usage line; NULL: none */
    const char *summary;            /* one line for 'help' */
    const char *help;               /* more lines for 'help NAME', or NULL */
} IoCommand;

/* The table, in the order of 'help'; a name of NULL ends it */
extern const IoCommand io_commands[];
const IoCommand *io_find_command(const char *name);     /* NULL: there is none */

/* Run one line. False after a message */
bool io_run_line(const char *line);

extern bool io_quit_wanted;         /* 'quit' was given */

/* ---- io-args.c: arguments of all commands */

/* Print the usage line of @cmd */
void io_print_usage(const IoCommand *cmd);
/* Print the usage line of @cmd. Always false, so that a command can return it */
bool io_usage(const IoCommand *cmd);
/* Parse a length or an offset. False after a message */
bool io_parse_size(const char *text, int64_t *bytes);

/* ---- io-image.c: the image that is open */

typedef struct IoOpenArgs {
    const char *filename;           /* NULL: the options name it */
    const char *format;             /* NULL: guess */
    const char *options;            /* NULL: none */
    unsigned flags;
    bool copy_on_read;              /* -C */
} IoOpenArgs;

extern BlockDriverState *io_bs;     /* NULL: no image is open */
extern bool io_misalign;            /* -m: buffers at odd addresses */

/* Open the image. False and @errp set on failure */
bool io_image_open(const IoOpenArgs *args, GError **errp);
/* Return the arguments with which the image was opened. The strings are valid until it is closed */
const IoOpenArgs *io_image_args(void);
/* Note that the image is open with other flags now */
void io_image_set_flags(unsigned flags);
/* Print the last warnings, and close the image. False after a message: written bytes may be lost */
bool io_image_close(void);
/* True if @ret is 0. Else print that the command @name failed, and the warnings of the image */
bool io_check_result(const char *name, int ret);
/* Print the warnings of the image since the last call. Any thread may call it */
void io_print_warnings(void);

/* ---- io-request.c: one request */

typedef enum IoKind { IO_READ, IO_WRITE, IO_ZERO, IO_DISCARD } IoKind;

typedef struct IoRequest {
    IoKind kind;
    const char *name;               /* for "NAME failed: …" */
    int64_t offset, bytes;
    unsigned flags;                 /* BDRV_REQ_… */
    bool unsupported;               /* the library does not have this: fail when it is run */
    bool machine;                   /* -C: print the report in a form for programs */
    bool quiet;                     /* -q: print no report */
    bool dump;                      /* -v: print the bytes that were read */
    int pattern;                    /* to write, or to expect; -1: none given */
    int64_t check_at, check_bytes;  /* the part of the buffer in which the pattern is expected */
    uint8_t *buf;                   /* READ, WRITE; inside @memory */
    void *memory;
    struct iovec *iov;              /* pieces of the buffer */
    int niov;
    int ret;                        /* after it ran: 0 or -errno */
    int64_t nanoseconds;            /* how long it took */
} IoRequest;

/* Allocate the buffer of @req, filled with @fill, in @count pieces of @lengths. False after a message: no memory */
bool io_request_alloc(IoRequest *req, const int64_t *lengths, int count, int fill);
void io_request_free(IoRequest *req);       /* NULL is allowed */
/* Send the request, and wait. Any thread may call it */
void io_request_run(IoRequest *req);
/* Print the result, with one call. Any thread may call it. False: it failed, or the pattern was not found */
bool io_request_report(const IoRequest *req);

/* ---- io-rw-args.c: arguments of the commands that make a request. The functions return false after a message */

/* The options of a command, before they are checked together */
typedef struct IoRwArgs {
    const IoCommand *cmd;
    IoRequest *req;
    bool vmstate, compressed, no_fallback, invalid;     /* -b -c -n -i */
    bool zeroes, unmap, fua;                            /* -z -u -f */
    bool part;                                          /* -s or -l, for a read */
    const char *source;                                 /* -s, for a write: a file with the data */
} IoRwArgs;

/* Read the options; two words or more follow. @exact: not more than two */
bool io_rw_options(IoRwArgs *args, int argc, char **argv, const char *letters, bool exact);
bool io_rw_settle_write(IoRwArgs *args);
bool io_rw_settle_read(IoRwArgs *args);
/* Set the part that is compared with the pattern, when the length is known */
bool io_rw_settle_check(IoRequest *req);
/* Parse "off len". @any_length: there is no limit. @unless: added to the message about the limit */
bool io_rw_range(IoRequest *req, char **words, const char *unless, bool any_length);
/* Parse "off len len …", @count words, and allocate a buffer in as many pieces */
bool io_rw_vector(IoRequest *req, char **words, int count, int fill);

/* ---- io-breakpoints.c */

void io_break_remember(const char *tag);    /* remember that it was set */
bool io_break_any(void);            /* was a breakpoint set since the image was opened? */
const char *io_break_stopped(void); /* the tag at which a request is stopped; NULL: none */
void io_break_clear(void);          /* call it before the image is closed: no request is stopped any more */

/* ---- io-aio.c: requests in the background */

/* Start @req in the background, and take it over. False after a message */
bool io_aio_start(IoRequest *req);
/* Wait for all requests. False: one has failed since the last call; or, after a message, one is stopped */
bool io_aio_drain(void);
/* Return true if a request is not done */
bool io_aio_is_busy(void);

/* ---- io-open.c: the image with its requests and breakpoints */

#define IO_OPEN_FLAGS (BDRV_O_RDWR | BDRV_O_UNMAP | BDRV_O_WRITETHROUGH)     /* unless an option says otherwise */

/* Take option @c into @args, if the command line and the command open both have it. False: they do not. *@ok: set to
 * false after a message about its argument, else unchanged */
bool io_take_open_option(IoOpenArgs *args, int c, bool *ok);
/* Open the image. False after a message */
bool io_open_image(const IoOpenArgs *args);
/* Remove the breakpoints, wait for the requests in the background, and close the image. True if no image is open. False
 * after a message: a request failed, or written bytes may be lost */
bool io_close_image(void);

/* ---- the commands */

/* io-rw.c */
bool io_cmd_aio_flush(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_aio_read(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_aio_write(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_discard(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_flush(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_read(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_readv(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_write(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_writev(const IoCommand *cmd, int argc, char **argv);

/* io-break.c */
bool io_cmd_break(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_remove_break(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_resume(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_wait_break(const IoCommand *cmd, int argc, char **argv);

/* io-open.c */
bool io_cmd_close(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_open(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_reopen(const IoCommand *cmd, int argc, char **argv);

/* io-info.c */
bool io_cmd_alloc(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_info(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_length(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_map(const IoCommand *cmd, int argc, char **argv);

/* io-truncate.c */
bool io_cmd_truncate(const IoCommand *cmd, int argc, char **argv);

/* io-process.c */
bool io_cmd_abort(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_sigraise(const IoCommand *cmd, int argc, char **argv);
bool io_cmd_sleep(const IoCommand *cmd, int argc, char **argv);

#endif
