/* img-help.h - miniblk-img's help */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_HELP_H
#define MINIBLK_TOOLS_IMG_HELP_H

/* Print the page of @command; if it is NULL, and always under QEMU's name, the list of all commands */
void img_print_help(const char *command);

#endif
