/* img-bench.c - miniblk-img bench: how long many requests of one kind take */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-image.h"
#include "tools/img-progress.h"
#include "tools/img.h"
#include "util/workers.h"

typedef struct Bench {
    ImgImage image;
    const char *cache, *aio;
    bool write, no_drain;
    long count, depth, pattern, flush_interval;     /* 0: no flushes */
    int64_t bytes, step;        /* of a request, and from one request to the next; step 0: @bytes */
    int64_t size;               /* of the image */
    pthread_mutex_t lock;       /* guards the rest */
    pthread_cond_t changed;
    int64_t offset;             /* of the next request */
    long left;                  /* requests that are not begun */
    long unflushed;             /* requests begun since the last flush began */
    int running;
    bool flushing;              /* a worker waits until all others have ended, to flush then */
    int error;                  /* errno of the first failure; 0: none */
    ImgProgress progress;
} Bench;

typedef enum BenchTask { NOTHING, REQUEST, FLUSH } BenchTask;

static bool flush_is_due(const Bench *b)
{
    return b->flush_interval && b->unflushed >= b->flush_interval;
}

/* Take the next task; this may have to wait. The lock is held */
static BenchTask take(Bench *b, int64_t *offset)
{
    while (b->flushing) {
        pthread_cond_wait(&b->changed, &b->lock);
    }
    if (b->error) {
        return NOTHING;
    }
    if (flush_is_due(b)) {
        b->unflushed = 0;
        b->flushing = !b->no_drain;
        while (b->flushing && b->running) {
            pthread_cond_wait(&b->changed, &b->lock);
        }
        return FLUSH;
    }
    if (!b->left) {
        return NOTHING;
    }
    *offset = b->offset;
    b->offset = (b->offset + b->step) % b->size;
    b->left--;
    b->unflushed++;
    return REQUEST;
}

static int run_task(const Bench *b, BenchTask task, int64_t offset, char *buf)
{
    return task == FLUSH ? bdrv_flush(b->image.bs)
           : b->write ? bdrv_pwrite(b->image.bs, offset, buf, b->bytes, 0)
                      : bdrv_pread(b->image.bs, offset, buf, b->bytes, 0);
}

/* Count a task that is done. @ret: its result. The lock is held */
static void finish(Bench *b, BenchTask task, int ret)
{
    if (task == FLUSH) {
        b->flushing = false;
    }
    if (ret < 0 && !b->error) {
        b->error = -ret;
    }
    img_progress_update(&b->progress, 100.0 * (double)(b->count - b->left) / (double)b->count);
    pthread_cond_broadcast(&b->changed);
}

static void *bench_worker(void *user)
{
    Bench *b = user;
    char *buf = NULL;
    int64_t offset = 0;
    BenchTask task;

    int ret = posix_memalign((void **)&buf, 4096, (size_t)MAX(b->bytes, 1));
    pthread_mutex_lock(&b->lock);
    if (ret) {
        finish(b, NOTHING, -ret);
    } else {
        memset(buf, (int)b->pattern, (size_t)b->bytes);
    }
    while (!ret && (task = take(b, &offset)) != NOTHING) {
        b->running += task == REQUEST;
        pthread_mutex_unlock(&b->lock);
        int done = run_task(b, task, offset, buf);
        pthread_mutex_lock(&b->lock);
        b->running -= task == REQUEST;
        finish(b, task, done);
    }
    pthread_mutex_unlock(&b->lock);
    free(buf);
    return NULL;
}

static bool bench(Bench *b)
{
    gint64 start;

    b->size = bdrv_getlength(b->image.bs);
    b->step = b->step ? b->step : b->bytes;
    b->left = b->count;
    if (!tool_is_qemu && b->depth > WORKERS_MAX) {
        tool_warn("%d requests in parallel and not %ld: no more can be", WORKERS_MAX, b->depth);
        b->depth = WORKERS_MAX;
    }
    tool_print("Sending %ld %s requests, %" PRId64 " bytes each, %ld in parallel (starting at offset %" PRId64
               ", step size %" PRId64 ")\n", b->count, b->write ? "write" : "read", b->bytes, b->depth, b->offset,
               b->step);
    if (b->flush_interval) {
        tool_print("Sending flush every %ld requests\n", b->flush_interval);
    }
    if (!b->size) {
        tool_error("the image has no bytes");
        return false;
    }
    start = g_get_monotonic_time();
    img_progress_start(&b->progress, false, true, 0);
    workers_run((unsigned)MIN(MIN(b->depth, b->count), WORKERS_MAX), bench_worker, b);
    if (b->error) {
        tool_error("Failed request: %s", g_strerror(b->error));
        return false;
    }
    tool_print("Run completed in %3.3f seconds.\n", (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC);
    return true;
}

static bool parse_count(const char *what, long min, long max, long *count)
{
    if (!img_parse_count(optarg, min, max, count)) {
        tool_error("Invalid %s specified", what);
        return false;
    }
    return true;
}

static bool bench_take_option(Bench *b, int c)
{
    switch (c) {
    case 'c':
        return parse_count("request count", 0, INT_MAX, &b->count);
    case 'd':
        return parse_count("queue depth", 1, INT_MAX, &b->depth);
    case 'i':
        b->aio = optarg;
        break;
    case 'o':
        return img_parse_size("offset", optarg, &b->offset);
    case 's':
        return img_parse_range("buffer size", optarg, 0, INT_MAX, &b->bytes);
    case 'S':
        return img_parse_range("step_size", optarg, 0, INT_MAX, &b->step);
    case 't':
        b->cache = optarg;
        break;
    case 'w':
        b->image.flags |= BDRV_O_RDWR;
        b->write = true;
        break;
    case IMG_OPT_PATTERN:
        return parse_count("pattern byte", 0, 0xff, &b->pattern);
    case IMG_OPT_FLUSH_INTERVAL:
        return parse_count("flush interval", 0, INT_MAX, &b->flush_interval);
    case IMG_OPT_NO_DRAIN:
        b->no_drain = true;
        break;
    default:
        img_take_option(&b->image, c);
    }
    return true;
}

/* Find two options that exclude each other, or one that lacks another. NULL: there are none */
static const char *bench_find_conflict(Bench *b)
{
    if (!bdrv_parse_cache_mode(b->cache, &b->image.flags)) {
        return "Invalid cache mode";
    }
    if (!b->write && b->flush_interval) {
        return "--flush-interval is only available in write tests";
    }
    if (b->flush_interval && b->flush_interval < b->depth) {
        return "Flush interval can't be smaller than depth";
    }
    return NULL;
}

static bool bench_parse_args(Bench *b, int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_HELP_OPTION, { "flush-interval", 1, NULL, IMG_OPT_FLUSH_INTERVAL },
        { "image-opts", 0, NULL, IMG_OPT_IMAGE_OPTS }, { "pattern", 1, NULL, IMG_OPT_PATTERN },
        { "no-drain", 0, NULL, IMG_OPT_NO_DRAIN }, { "force-share", 0, NULL, 'U' }, { 0 }
    };
    const char *conflict;
    int c;

    while ((c = img_getopt(argc, argv, ":hc:d:f:ni:o:qs:S:t:wU", long_options)) != -1) {
        if (!bench_take_option(b, c)) {
            return false;
        }
    }
    b->image.filename = img_one_filename(argc, argv);
    conflict = bench_find_conflict(b);
    if (conflict) {
        tool_error("%s", conflict);
    }
    return !conflict && tool_check_aio(b->aio);
}

int img_bench(int argc, char **argv)
{
    Bench b = {
        .cache = "writeback", .aio = "threads", .count = 75000, .depth = 64, .bytes = 4096,
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER,
    };
    bool ok = bench_parse_args(&b, argc, argv) && img_open(&b.image) && bench(&b);

    ok = img_close_written(&b.image, ok);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
