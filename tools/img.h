/* img.h - what the subcommands of miniblk-img share */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_H
#define MINIBLK_TOOLS_IMG_H

#include "tools/img-args.h"
#include "tools/img-children.h"
#include "tools/img-image.h"
#include "tools/img-paths.h"
#include "tools/img-progress.h"

/* A subcommand: argv[0] is its name. Returns the exit status; messages are printed. */
int img_amend(int argc, char **argv);
int img_bench(int argc, char **argv);
int img_bitmap(int argc, char **argv);
int img_check(int argc, char **argv);
int img_commit(int argc, char **argv);
int img_compare(int argc, char **argv);
int img_convert(int argc, char **argv);
int img_create(int argc, char **argv);
int img_dd(int argc, char **argv);
int img_info(int argc, char **argv);
int img_map(int argc, char **argv);
int img_measure(int argc, char **argv);
int img_rebase(int argc, char **argv);
int img_resize(int argc, char **argv);
int img_snapshot(int argc, char **argv);

/* -o: add to @options what @text says. False after a message */
bool img_add_create_options(KeyVal *options, const char *text);
/* A driver that can create, by name; NULL after a message, which begins with @where */
const BlockDriver *img_find_creator(const char *format, const char *where);
/* Has the driver a create option @name? */
bool img_has_create_option(const BlockDriver *drv, const char *name);
/* False after such a message if @drv does not know all of @options */
bool img_check_create_options(const KeyVal *options, const BlockDriver *drv, const char *where);
/* -b or -B, and -F, into the @options of a new image; each may be NULL. False after such a message if @drv has no
 * parents, or if the parent is the file @filename that is to be made */
bool img_set_backing(KeyVal *options, const BlockDriver *drv, const char *backing, const char *format,
                     const char *filename, const char *where);
/* For bdrv_create(): @options, and what they say by default; g_free() it */
char *img_creation_options(KeyVal *options, const BlockDriver *drv);
/* How to name the format of @parent, as from @image's folder, as the end of a message: it is no VHD, and @format is NULL.
 * "" in all other cases */
const char *img_advice_on_parent(const char *image, const char *parent, const char *format);
/* Make the image. False after a message, in which the reason stands behind @doing */
bool img_create_image(const char *filename, const BlockDriver *drv, KeyVal *options, const char *doing);
/* True, after printing them, if @options ask for the options that there are */
bool img_create_help(const KeyVal *options, const BlockDriver *drv);

#endif
