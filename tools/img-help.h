/* img-help.h - miniblk-img's help */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_HELP_H
#define MINIBLK_TOOLS_IMG_HELP_H

#include "tools/common.h"

/* All commands, with a line each */
void img_print_list(void);
/* What there is to say of @command, which is one of them */
void img_print_page(const char *command);

#endif
