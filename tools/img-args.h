/* img-args.h - the command line of miniblk-img: options, numbers, and usage errors */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_ARGS_H
#define MINIBLK_TOOLS_IMG_ARGS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* Begin with the arguments of @command, which help and usage errors name from now on. The text is not copied */
void img_args_begin(const char *command);

/* Long options without a letter */
enum { IMG_OPT_IMAGE_OPTS = 256, IMG_OPT_TARGET_IMAGE_OPTS, IMG_OPT_TARGET_IS_ZERO, IMG_OPT_OUTPUT,
       IMG_OPT_BACKING_CHAIN, IMG_OPT_OBJECT, IMG_OPT_SALVAGE, IMG_OPT_BITMAPS, IMG_OPT_SKIP_BROKEN_BITMAPS,
       IMG_OPT_FLUSH_INTERVAL, IMG_OPT_NO_DRAIN, IMG_OPT_PATTERN, IMG_OPT_SIZE,
       IMG_OPT_LAST };            /* the first value for options of one command */

#define IMG_HELP_OPTION { "help", 0, NULL, 'h' }
#define IMG_COMMON_OPTIONS IMG_HELP_OPTION, { "object", 1, NULL, IMG_OPT_OBJECT }
/* Options for img_take_option(), which also takes -f and -U */
#define IMG_FORMAT_OPTIONS { "format", 1, NULL, 'f' }, { "image-opts", 0, NULL, IMG_OPT_IMAGE_OPTS }
#define IMG_IMAGE_OPTIONS IMG_FORMAT_OPTIONS, { "force-share", 0, NULL, 'U' }

/* Call getopt_long(); @letters begins with ':'. Help and usage errors end the program */
int img_getopt(int argc, char **argv, const char *letters, const struct option *options);

/* Print the message and a hint at --help, and end the program */
void img_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Return the only word after the options. If there is not exactly one, that is a usage error, and ends the program */
const char *img_one_filename(int argc, char **argv);

/* Parse @text as a size of @min to @max bytes, or of 0 and more. False after a message about @what */
bool img_parse_range(const char *what, const char *text, int64_t min, int64_t max, int64_t *bytes);
bool img_parse_size(const char *what, const char *text, int64_t *bytes);
/* Print that an argument is no size, as QEMU does for options. The message begins with @where */
void img_refuse_size(const char *where);
/* Parse a number in C's syntax. False: it is none, or not from @min to @max */
bool img_parse_count(const char *text, long min, long max, long *count);

/* Parse the argument of --output, "human" or "json". False after a message */
bool img_parse_output(const char *text, bool *json);

/* Add the cache mode @cache to @flags. @what: "" or "source ", for the message. False after a message: QEMU has no
 * such mode */
bool img_parse_cache(const char *what, const char *cache, unsigned *flags);
/* Check the argument of -l: "snapshot.id=ID,snapshot.name=NAME", or any other name. False after a message */
bool img_check_snapshot(const char *text);

#endif
