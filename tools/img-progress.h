/* img-progress.h - prints the progress of a command: with -p, on a terminal, and for SIGUSR1 */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_IMG_PROGRESS_H
#define MINIBLK_TOOLS_IMG_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* The progress of a command. One thread at a time may use it */
typedef struct ImgProgress {
    bool on;                    /* print lines on standard output */
    bool with_time;             /* add the rate and the time left */
    int64_t after;              /* print none before this time, in monotonic microseconds */
    double skip;                /* print none until the percentage is more than this above */
    double shown;               /* the percentage printed last; -1: none yet */
    int64_t shown_at;           /* when that was printed, in monotonic microseconds */
    double begin, share;        /* percentages: where the present part of the work begins, and its share */
    int64_t rate;               /* limit in bytes per second; 0: none. img_progress_report() sleeps */
    int64_t started;            /* monotonic microseconds */
    int64_t earlier, done;      /* bytes done in earlier parts, and in the present one */
    int64_t lost;               /* bytes that could not be read; the caller counts them */
} ImgProgress;

/* Start to print "    (25.00/100%)" on standard output. @wanted: always. Else only on a terminal, for work of more than
 * two seconds, and not if @quiet. On a terminal the rate and the time left are added. Under QEMU's name print as QEMU
 * does: only if @wanted, and without rate and time. @rate: limit in bytes per second; 0: none */
void img_progress_start(ImgProgress *progress, bool wanted, bool quiet, int64_t rate);
/* Return how much @part is of @all, in percent; 100 if @all is 0 */
double img_percent(int64_t part, int64_t all);
/* Begin a new part of the work. It begins at @begin percent, and is @share percent of all work */
void img_progress_part(ImgProgress *progress, double begin, double share);
/* Report that @done of @total bytes of this part are done. A BlockProgress; @user: the ImgProgress. Always true, as a
 * signal ends the program and not the call */
bool img_progress_report(void *user, int64_t done, int64_t total);
/* Report that @percent of all work is done, for work that is not counted in bytes */
void img_progress_update(ImgProgress *progress, double percent);
/* End the line. @done: all work is done */
void img_progress_end(ImgProgress *progress, bool done);

/* Handle SIGUSR1: the next img_progress_update() or img_progress_report() prints the progress on standard error, in
 * QEMU's format */
void img_progress_answer_signals(void);

#endif
