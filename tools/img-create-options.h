/* img-create-options.h - the create options of a format, the argument of -o: read, listed, checked, with defaults */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_CREATE_OPTIONS_H
#define MINIBLK_TOOLS_IMG_CREATE_OPTIONS_H

#include <miniblk/driver.h>
#include "util/keyval.h"

/* Add to @options the options in @text, the argument of -o. False after a message */
bool img_add_create_options(KeyVal *options, const char *text);
/* Find the driver that creates images of @format. NULL after a message, which begins with @where */
const BlockDriver *img_find_creator(const char *format, const char *where);
/* Print the create options of @drv if @options ask for help. True: they did */
bool img_create_help(const KeyVal *options, const BlockDriver *drv);
/* Find the create option @name of @drv. NULL: it has none of that name */
const BlockOption *img_find_create_option(const BlockDriver *drv, const char *name);
/* Return whether @drv has a create option @name */
bool img_has_create_option(const BlockDriver *drv, const char *name);
/* Check that @drv has all of @options. False after a message, which begins with @where */
bool img_check_create_options(const KeyVal *options, const BlockDriver *drv, const char *where);
/* Return @options as text for bdrv_create(). The driver's name and, under QEMU's name, QEMU's defaults are added to
 * @options first. g_free() it */
char *img_creation_options(KeyVal *options, const BlockDriver *drv);

#endif
