/* img-progress.h - how far the work of a command is: on a terminal, with -p, and when SIGUSR1 asks */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_PROGRESS_H
#define MINIBLK_TOOLS_IMG_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* One caller at a time */
typedef struct ImgProgress {
    bool on;                    /* lines are printed on standard output */
    bool with_time;             /* each has the rate and the time left, too */
    int64_t after;              /* none before this time, in monotonic microseconds */
    double skip;                /* none until the work is more than so many percent further, */
    double shown;               /* than the last one printed; -1: none yet */
    int64_t shown_at;           /* when that was, in monotonic microseconds */
    double begin, share;        /* of the whole, where the part begins that is reported of, and how much it is */
    int64_t rate;               /* bytes per second that may be done; 0: any number. img_progress_report() sleeps */
    int64_t started;            /* monotonic microseconds */
    int64_t earlier, done;      /* bytes, in earlier parts and in this one */
    int64_t lost;               /* bytes that could not be read, for who counts them */
} ImgProgress;

/* Print "    (25.00/100%)" on standard output from now on: always if @wanted; else, unless @quiet, on a terminal only and
 * for work of more than two seconds. On a terminal a rate and the time left follow. By QEMU's name it is as QEMU has it:
 * with @wanted only, and without them. @rate: of the field above */
void img_progress_start(ImgProgress *progress, bool wanted, bool quiet, int64_t rate);
/* Return how much @part is of @all, in percent: 100 if @all is 0 */
double img_percent(int64_t part, int64_t all);
/* Take what is reported of from now on for @share percent of the work, which begins at @begin percent */
void img_progress_part(ImgProgress *progress, double begin, double share);
/* Say that @done of @total bytes of this part are done. A BlockProgress, with an ImgProgress for @user: true, as a
 * signal ends the program and not the call */
bool img_progress_report(void *user, int64_t done, int64_t total);
/* Say that @percent of all of the work is done, which is not counted in bytes */
void img_progress_update(ImgProgress *progress, double percent);
/* End the line. @done: all of the work is */
void img_progress_end(ImgProgress *progress, bool done);

/* Let SIGUSR1 ask how far the work is: the next img_progress_update() or img_progress_report() answers on standard error,
 * in QEMU's format */
void img_progress_answer_signals(void);

#endif
