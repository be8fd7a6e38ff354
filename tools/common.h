/* common.h - shared by both tools: messages, and opening an image */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_COMMON_H
#define MINIBLK_TOOLS_COMMON_H

#include <stdbool.h>
#include <stdint.h>
#include <miniblk/driver.h>

/* The last part of argv[0]; every message of the tools begins with it */
extern const char *tool_name;
/* True if tool_name is "qemu-img" or "qemu-io", perhaps by a link. Where miniblk differs on purpose, the defaults of
 * QEMU hold then */
extern bool tool_is_qemu;
void tool_init(const char *argv0);

/* Print "NAME version NUMBER" to standard output */
void tool_print_version(void);

/* Print "NAME: text" and a newline to standard error */
void tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tool_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));  /* "NAME: warning: text" */

/* True if @err is NULL. Else print its message, and free it */
bool tool_check_error(GError *err);

/* Print @name in place of @file in messages from now on; NULL: no longer. The texts are not copied */
void tool_call_it(const char *file, const char *name);

/* Print to standard output. The tools print only by these functions and those above. Images choose names: characters
 * that do more than show themselves on a terminal are printed as '?'. Newlines are printed */
void tool_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Print to standard error, without the name of the tool */
void tool_print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Print @text to standard error from a signal handler, which may call little else */
void tool_print_in_handler(const char *text);
/* Print "    (25.00/100%)" and @more, NULL for nothing more. The next call overwrites the line */
void tool_print_progress(double percent, const char *more);

/* Return @text of an image for printing in the middle of a line: newlines become '?', too. g_free() it */
char *tool_printable(const char *text);

/* Check that @mode is one of QEMU's modes of I/O; all of them are threads here. False after a message */
bool tool_check_aio(const char *mode);

/* Return true if @text is no size only because its number is too large */
bool tool_is_too_large(const char *text);

/* Print the warnings of @bs from number *@seen on, each after @filename, and set *@seen to their number */
void tool_print_warnings(BlockDriverState *bs, const char *filename, unsigned *seen);

/* Open an image as QEMU does. @format NULL: probe. @image_opts: @filename is an options string. @options: more
 * options, "a=b,c=d", or NULL. @resolver: is asked for parents; NULL: none. Errors are returned, not printed */
BlockDriverState *tool_open(const char *filename, const char *format, const char *options, bool image_opts,
                            unsigned flags, const BlockResolver *resolver, GError **errp);

/* Return true if the name ends as the names of VHDs do */
bool tool_is_called_vhd(const char *filename);

#endif
