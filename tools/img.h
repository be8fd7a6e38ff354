/* img.h - the commands of miniblk-img */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_H
#define MINIBLK_TOOLS_IMG_H

/* Run a command; argv[0] is its name. Return the exit status, after messages */
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

#endif
