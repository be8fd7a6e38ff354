/* io-aio.c - requests in the background, with a thread for each */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <glib.h>
#include "tools/io.h"

#define MAX_RUNNING 64              /* if there are more, wait for the oldest */

typedef struct Job {
    pthread_t thread;
    IoRequest *req;
    bool ok;                        /* valid after the thread was joined */
    bool done;                      /* atomic: joining does not have to wait */
} Job;

static GQueue jobs = G_QUEUE_INIT;  /* oldest first; used by the main thread only */
static bool failed;                 /* one of the requests that have ended has failed */

static void *job_main(void *opaque)
{
    Job *job = opaque;

    io_request_run(job->req);
    job->ok = io_request_report(job->req);
    __atomic_store_n(&job->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void reap(GList *link)
{
    Job *job = link->data;

    pthread_join(job->thread, NULL);
    failed |= !job->ok;
    io_request_free(job->req);
    g_free(job);
    g_queue_delete_link(&jobs, link);
}

static void reap_done(void)
{
    for (GList *link = jobs.head, *next; link; link = next) {
        next = link->next;
        if (__atomic_load_n(&((Job *)link->data)->done, __ATOMIC_ACQUIRE)) {
            reap(link);
        }
    }
}

bool io_aio_start(IoRequest *req)
{
    Job *job = g_new0(Job, 1);
    int ret;

    reap_done();
    if (jobs.length >= MAX_RUNNING && !io_break_any()) {    /* with breakpoints the oldest may wait for a command */
        reap(jobs.head);
    }
    job->req = req;
    ret = pthread_create(&job->thread, NULL, job_main, job);
    if (ret != 0) {
        tool_error("cannot start a thread: %s", g_strerror(ret));
        io_request_free(req);
        g_free(job);
        return false;
    }
    g_queue_push_tail(&jobs, job);
    return true;
}

bool io_aio_is_busy(void)
{
    reap_done();
    return jobs.head;
}

/* Wait for all requests while breakpoints are set. False after a message: a request is stopped, and no command can
 * resume it now */
static bool drain_carefully(void)
{
    while (io_aio_is_busy()) {
        const char *tag = io_break_stopped();

        if (tag) {
            tool_print("Request '%s' is suspended, and would be waited for in vain\n", tag);
            return false;
        }
        g_usleep(1000);
    }
    return true;
}

bool io_aio_drain(void)
{
    if (io_break_any() && !drain_carefully()) {
        return false;
    }
    while (jobs.head) {
        reap(jobs.head);
    }
    bool ok = !failed;

    failed = false;
    return ok;
}
