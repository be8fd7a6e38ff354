/* stop.c - a disk on which one request can be made to stop, and requests in threads of their own */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
#include "stop.h"

static void wait_here(Stop *stop, bool change)
{
    pthread_mutex_lock(&stop->lock);
    if (stop->next == STOP_ANYTHING || (change && stop->next == STOP_CHANGE)) {
        stop->next = STOP_NOTHING;
        stop->stopped = true;
        pthread_cond_broadcast(&stop->changed);
        while (stop->stopped) {
            pthread_cond_wait(&stop->changed, &stop->lock);
        }
    }
    pthread_mutex_unlock(&stop->lock);
}

static int stop_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    Stop *stop = user;

    wait_here(stop, false);
    return stop->below.read(stop->below.user, offset, buf, bytes);
}

static int stop_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    Stop *stop = user;

    wait_here(stop, true);
    return stop->below.write(stop->below.user, offset, buf, bytes);
}

static int stop_flush(void *user)
{
    Stop *stop = user;

    wait_here(stop, true);
    return stop->below.flush(stop->below.user);
}

static int stop_truncate(void *user, int64_t size)
{
    Stop *stop = user;

    wait_here(stop, true);
    return stop->below.truncate(stop->below.user, size);
}

void stop_init(Stop *stop, Medium medium)
{
    *stop = (Stop) { .medium = medium };
    pthread_mutex_init(&stop->lock, NULL);
    pthread_cond_init(&stop->changed, NULL);
}

void stop_clear(Stop *stop)
{
    medium_clear(&stop->medium);
    pthread_cond_destroy(&stop->changed);
    pthread_mutex_destroy(&stop->lock);
}

BlockStorage stop_storage(Stop *stop)
{
    stop->below = disk_storage(stop->medium.disk);
    return (BlockStorage) { stop->below.size, stop, stop_read, stop_write, stop_flush, stop_truncate };
}

BlockDriverState *stop_open(Stop *stop, const char *options)
{
    const BlockStorage storage = stop_storage(stop);
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open_storage(&storage, options, BDRV_O_RDWR | BDRV_O_UNMAP, &err);

    if (!bs) {
        g_error("%s: %s", options, bdrv_error_message(err));
    }
    return bs;
}

void stop_next_change(Stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    stop->next = STOP_CHANGE;
    pthread_mutex_unlock(&stop->lock);
}

void stop_next(Stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    stop->next = STOP_ANYTHING;
    pthread_mutex_unlock(&stop->lock);
}

void stop_wait(Stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    while (!stop->stopped) {
        pthread_cond_wait(&stop->changed, &stop->lock);
    }
    pthread_mutex_unlock(&stop->lock);
}

bool stop_is_stopped(Stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    bool stopped = stop->stopped;
    pthread_mutex_unlock(&stop->lock);
    return stopped;
}

void stop_end(Stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    stop->next = STOP_NOTHING;
    stop->stopped = false;
    pthread_cond_broadcast(&stop->changed);
    pthread_mutex_unlock(&stop->lock);
}

static void *job_thread(void *data)
{
    Job *job = data;

    __atomic_store_n(&job->thread_id, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    job->ret = job->run(job->data);
    __atomic_store_n(&job->done, true, __ATOMIC_RELEASE);
    return NULL;
}

void job_start(Job *job)
{
    g_assert_cmpint(pthread_create(&job->thread, NULL, job_thread, job), ==, 0);
}

int job_end(Job *job)
{
    pthread_join(job->thread, NULL);
    return job->ret;
}

/* Linux says "S" of a thread that waits for another */
static bool is_asleep(int thread_id)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/stat", thread_id), *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return false;
    }
    const char *state = strrchr(text, ')');

    return state && state[1] == ' ' && state[2] == 'S';
}

bool job_is_asleep_or_done(Job *job)
{
    int thread_id = __atomic_load_n(&job->thread_id, __ATOMIC_ACQUIRE);

    return __atomic_load_n(&job->done, __ATOMIC_ACQUIRE) || (thread_id && is_asleep(thread_id));
}

void job_wait_until_asleep(Job *job)
{
    while (!job_is_asleep_or_done(job)) {
        usleep(1000);
    }
}
