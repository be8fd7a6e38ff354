/* img-progress.c - prints the progress of a command: with -p, on a terminal, and for SIGUSR1 */
/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-progress.h"
#include "util/size.h"

#define QEMU_STEP (INT64_C(2) << 20)    /* qemu-img counts in units of its buffer */

static atomic_bool progress_asked;      /* set by the handler of SIGUSR1, in any thread */

static void ask_for_progress(int number)
{
    atomic_store(&progress_asked, true);
}

void img_progress_answer_signals(void)
{
    sigset_t set;

    sigaction(SIGUSR1, &(struct sigaction) { .sa_handler = ask_for_progress, .sa_flags = SA_RESTART }, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void img_progress_start(ImgProgress *progress, bool wanted, bool quiet, int64_t rate)
{
    int64_t now = g_get_monotonic_time();
    bool terminal = !tool_is_qemu && isatty(STDOUT_FILENO);

    *progress = (ImgProgress) {
        .on = !quiet && (wanted || terminal), .with_time = terminal,
        .after = wanted ? 0 : now + INT64_C(2) * G_USEC_PER_SEC,
        .skip = 1, .shown = -1, .share = 100, .rate = rate, .started = now,
    };
    img_progress_update(progress, 0);
}

double img_percent(int64_t part, int64_t all)
{
    return all ? 100.0 * (double)part / (double)all : 100;
}

void img_progress_part(ImgProgress *progress, double begin, double share)
{
    progress->begin = begin;
    progress->share = share;
    progress->earlier += progress->done;
    progress->done = 0;
}

static bool is_due(const ImgProgress *progress, double percent, int64_t now)
{
    return progress->on && now >= progress->after &&
           (progress->shown < 0 || (percent >= 100 && progress->shown < 100) ||
            percent > progress->shown + progress->skip ||
            (progress->with_time && now >= progress->shown_at + G_USEC_PER_SEC));
}

/* Return ", 210 MiB/s, 1:05 left", or what is known of it; "" in the first second */
static char *describe_time(const ImgProgress *progress, double percent, int64_t now)
{
    double seconds = (double)(now - progress->started) / G_USEC_PER_SEC;
    int64_t bytes = progress->earlier + progress->done;
    GString *text = g_string_new(NULL);

    if (seconds >= 1 && bytes > 0) {
        g_autofree char *size = size_format((int64_t)((double)bytes / seconds));

        g_string_append_printf(text, ", %s/s", size);
    }
    if (seconds >= 1 && percent >= 1 && percent < 100) {
        int64_t left = (int64_t)(seconds * (100 - percent) / percent + 0.5);

        g_string_append_printf(text, ", %" G_GINT64_FORMAT ":%02d left", left / 60, (int)(left % 60));
    }
    return g_string_free(text, FALSE);
}

static void print_progress(ImgProgress *progress, double percent, int64_t now)
{
    g_autofree char *time = progress->with_time ? describe_time(progress, percent, now) : NULL;

    tool_print_progress(percent, time);
    progress->shown = percent;
    progress->shown_at = now;
}

void img_progress_update(ImgProgress *progress, double percent)
{
    int64_t now = g_get_monotonic_time();

    if (atomic_exchange(&progress_asked, false)) {
        tool_print_error("    (%3.2f/100%%)\n", percent);
    }
    if (is_due(progress, percent, now)) {
        print_progress(progress, percent, now);
    }
}

void img_progress_end(ImgProgress *progress, bool done)
{
    int64_t now = g_get_monotonic_time();

    if (done && progress->on && now >= progress->after) {
        print_progress(progress, 100, now);     /* 100% once more, as QEMU does */
    }
    if (progress->shown >= 0) {
        tool_print("\n");
    }
}

/* Sleep until the rate is not exceeded any more */
static void wait_for_rate(const ImgProgress *progress)
{
    double seconds = (double)(progress->earlier + progress->done) / (double)progress->rate;
    double early = (double)progress->started + seconds * G_USEC_PER_SEC - (double)g_get_monotonic_time();

    if (early > 0) {
        g_usleep((gulong)early);
    }
}

bool img_progress_report(void *user, int64_t done, int64_t total)
{
    ImgProgress *progress = user;
    int64_t counted = tool_is_qemu && done < total ? done / QEMU_STEP * QEMU_STEP : done;

    progress->done = done;
    img_progress_update(progress, progress->begin +
                        progress->share * (total > 0 ? (double)counted / (double)total : 1));
    if (progress->rate) {
        wait_for_rate(progress);
    }
    return true;
}
