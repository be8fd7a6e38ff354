/* common.h - what both tools share */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_COMMON_H
#define MINIBLK_TOOLS_COMMON_H

#include <stdbool.h>
#include <stdint.h>
#include <miniblk/driver.h>

/* The last part of argv[0]; every message of the tools begins with it */
extern const char *tool_name;
/* That is "qemu-img" or "qemu-io", by a link perhaps: where ours differ on purpose, QEMU's defaults hold */
extern bool tool_is_qemu;
void tool_init(const char *argv0);

/* "NAME version NUMBER", to standard output */
void tool_print_version(void);

/* "NAME: text" and a newline on standard error */
void tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tool_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));  /* "NAME: warning: text" */

/* True if @err is NULL. Else print its message, and free it */
bool tool_check_error(GError *err);

/* Let messages have @name in place of @file, from now on; NULL: no longer. The texts are not copied */
void tool_call_it(const char *file, const char *name);

/* To standard output: all that the tools print goes through these functions and those above. Images choose names: of a
 * text that a terminal would not just show, the characters that do more are printed as '?'. Newlines are printed */
void tool_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same to standard error, without the tool's name */
void tool_print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Print "    (25.00/100%)" and @more, for the next to print over it. NULL: nothing more */
void tool_print_progress(double percent, const char *more);

/* What an image chose, as it is to be printed in the middle of a line: in it, a newline is another '?'; g_free() it */
char *tool_printable(const char *text);

/* False after a message if @mode is no way of QEMU's to do I/O; all of them are threads here */
bool tool_check_aio(const char *mode);

/* Of a text that is no size: would it be one with smaller digits? */
bool tool_is_too_large(const char *text);

/* Print the warnings of @bs from the *@seen-th on, with @filename before them; counts *@seen on */
void tool_print_warnings(BlockDriverState *bs, const char *filename, unsigned *seen);

/* Open with QEMU's habits: @format NULL probes; @image_opts: @filename is an options string itself.
 * @options: more options, "a=b,c=d", or NULL; @resolver: asked for parents; NULL: none is. Errors are returned, not
 * printed. */
BlockDriverState *tool_open(const char *filename, const char *format, const char *options, bool image_opts,
                            unsigned flags, const BlockResolver *resolver, GError **errp);

/* Does the name end as names of VHDs do? */
bool tool_is_called_vhd(const char *filename);

#endif
