/* connection.c - the connection to an NBD server: threads that wait for replies, loss and reconnection */
/* SPDX-License-Identifier: MIT
 *
 * The connection (a "link") has no thread of its own. Of the threads that wait for a reply, one is in poll() and lets
 * libnbd read; it wakes the others when something has changed. libnbd calls back under its own lock, and our lock is
 * taken inside that one, never the other way round.
 *
 * A thread that has waited too long shuts the socket down. This ends all requests of the link. No request may end
 * earlier, because libnbd uses its memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "block/protocol/nbd/nbd.h"
#include "util/checked.h"

#define HANDSHAKE_MS   30000        /* of a whole handshake; or request-timeout, if that is less */
#define PAUSE_MS       100          /* between two attempts to connect */
#define MAX_ALIGNMENT  65536
#define MAX_DATA       (32 << 20)   /* of one request, if the server gives no maximum */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait for s->changed, at most until @when. The caller holds the lock */
static void wait_until(NbdState *s, int64_t when)
{
    const struct timespec time = { when / 1000, when % 1000 * 1000000 };

    pthread_cond_timedwait(&s->changed, &s->lock, &time);
}

static void link_free(NbdLink *link)
{
    if (link->fd >= 0) {
        close(link->fd);
    }
    if (link->wake >= 0) {
        close(link->wake);
    }
    nbd_close(link->handle);
    g_free(link);
}

/* Connecting */

/* Set @errp from libnbd's error, without the function name at its start, and in QEMU's words if nobody answered */
static NbdLink *fail_to_connect(const NbdState *s, NbdLink *link, GError **errp)
{
    const char *text = nbd_get_error(), *said = text ? strstr(text, ": ") : NULL;
    int err = nbd_get_errno() > 0 ? nbd_get_errno() : EIO;

    if (text && strstr(text, "getaddrinfo: ")) {
        bdrv_set_error(errp, err, "address resolution failed for %s:%s: %s", s->host, s->port, strrchr(text, ':') + 2);
    } else if (text && (strstr(text, "connect: ") || strstr(text, "connect_"))) {
        bdrv_set_error(errp, err, "Failed to connect to '%s%s%s': %s", s->path ? s->path : s->host, s->path ? "" : ":",
                       s->path ? "" : s->port, g_strerror(err));
    } else {
        bdrv_set_error(errp, err, "%s", said ? said + 2 : "the NBD server can't be talked to");
    }
    if (link) {
        link_free(link);
    }
    return NULL;
}

static NbdLink *refuse(NbdLink *link, int code, const char *text, GError **errp)
{
    bdrv_set_error(errp, code, "%s", text);
    link_free(link);
    return NULL;
}

static NbdLink *start_link(const NbdState *s, GError **errp)
{
    struct nbd_handle *handle = nbd_create();

    if (!handle) {
        return fail_to_connect(s, NULL, errp);
    }
    NbdLink *link = g_new0(NbdLink, 1);

    link->handle = handle;
    link->fd = -1;
    link->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->wake < 0) {
        return refuse(link, errno, g_strerror(errno), errp);
    }
    bool ok = nbd_set_export_name(handle, s->export) == 0 && nbd_add_meta_context(handle, s->context) == 0 &&
              (s->path ? nbd_aio_connect_unix(handle, s->path) : nbd_aio_connect_tcp(handle, s->host, s->port)) == 0;

    return ok ? link : fail_to_connect(s, link, errp);
}

static bool is_dead(const NbdLink *link)
{
    return nbd_aio_is_dead(link->handle) || nbd_aio_is_closed(link->handle);
}

static NbdLink *connect_until(const NbdState *s, int64_t deadline, GError **errp)
{
    NbdLink *link = start_link(s, errp);

    while (link && nbd_aio_is_ready(link->handle) != 1) {
        int64_t left = deadline - now_ms();

        if (left <= 0) {
            return refuse(link, ETIMEDOUT, "the NBD server takes too long to answer", errp);
        }
        if (is_dead(link) || nbd_poll(link->handle, (int)MIN(left, INT_MAX)) < 0) {
            return fail_to_connect(s, link, errp);
        }
    }
    if (link) {
        link->fd = fcntl(nbd_aio_get_fd(link->handle), F_DUPFD_CLOEXEC, 3);
        return link->fd < 0 ? refuse(link, errno, g_strerror(errno), errp) : link;
    }
    return NULL;
}

static bool check_sizes(const NbdFacts *f, GError **errp)
{
    if (f->size < 0) {
        bdrv_set_error(errp, EFBIG, "the NBD server says no size that can be had");
    } else if (f->min > MAX_ALIGNMENT || !is_power_of_two(f->min)) {
        bdrv_set_error(errp, EINVAL, "the NBD server's minimum block size %" PRId64 " is not a power of two up to %d",
                       f->min, MAX_ALIGNMENT);
    } else if (f->size % f->min) {
        bdrv_set_error(errp, EINVAL, "export length %" PRId64 " is not a multiple of its minimum block size %" PRId64,
                       f->size, f->min);
    } else if (f->max < f->min) {
        bdrv_set_error(errp, EINVAL, "the NBD server's maximum block size is less than its minimum, %" PRId64, f->min);
    } else {
        return true;
    }
    return false;
}

static bool read_facts(const NbdState *s, struct nbd_handle *handle, NbdFacts *f, GError **errp)
{
    const char *protocol = nbd_get_protocol(handle);
    int64_t min = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
    int64_t max = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);

    if (*s->export && protocol && !strcmp(protocol, "oldstyle")) {
        bdrv_set_error(errp, EINVAL, "Server does not support non-empty export names");
        return false;
    }
    *f = (NbdFacts) { .size = nbd_get_size(handle) };
    f->min = min > 0 ? min : f->size % 512 ? 1 : 512;
    f->max = align_down(MIN(max > 0 ? max : MAX_DATA, MAX_DATA), is_power_of_two(f->min) ? f->min : 1);
    f->read_only = nbd_is_read_only(handle) == 1;
    f->can_flush = nbd_can_flush(handle) == 1;
    f->can_trim = nbd_can_trim(handle) == 1;
    f->can_zero = nbd_can_zero(handle) == 1;
    f->has_context = nbd_can_meta_context(handle, s->context) == 1;
    if (!f->has_context && strcmp(s->context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0) {
        bdrv_set_error(errp, EINVAL, "the server has no context '%s', which x-dirty-bitmap= names", s->context);
        return false;
    }
    return check_sizes(f, errp);
}

static NbdLink *connect_and_look(const NbdState *s, int64_t deadline, NbdFacts *facts, GError **errp)
{
    NbdLink *link = connect_until(s, deadline, errp);

    if (link && !read_facts(s, link->handle, facts, errp)) {
        link_free(link);
        link = NULL;
    }
    return link;
}

/* Return whether a later attempt may succeed: the server may not be started yet */
static bool may_try_again(int err)
{
    switch (err) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENOENT:
    case ENOTCONN:
    case ETIMEDOUT:
        return true;
    }
    return false;
}

bool nbdc_connect_first(NbdState *s, GError **errp)
{
    const struct timespec pause = { 0, PAUSE_MS * 1000000L };
    int64_t end = now_ms() + s->open_timeout;
    int64_t try = s->request_timeout ? MIN(s->request_timeout, HANDSHAKE_MS) : HANDSHAKE_MS;
    GError *err = NULL;

    while (!(s->link = connect_and_look(s, now_ms() + try, &s->facts, &err)) && now_ms() < end &&
           may_try_again(bdrv_error_code(err))) {
        g_clear_error(&err);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    if (err) {
        g_propagate_error(errp, err);
    }
    return s->link;
}

/* Links in use */

/* Release a link. The caller holds the lock */
static void release_link(NbdLink *link)
{
    if (--link->users == 0 && link->lost) {
        link_free(link);
    }
}

/* Mark the link as lost. Requests on it end; the next request connects again. The caller holds the lock */
static void lose_link(NbdState *s, NbdLink *link)
{
    if (link->lost) {
        return;
    }
    link->lost = true;
    s->in_doubt |= s->changes > s->flushed;
    shutdown(link->fd, SHUT_RDWR);
    s->link = NULL;
    s->lost_at = now_ms();
    pthread_cond_broadcast(&s->changed);
}

/* Return whether a new connection serves a disk of the same size, with no fewer abilities */
static bool is_same_export(const NbdFacts *now, const NbdFacts *before)
{
    return now->size == before->size && now->min <= before->min && now->max >= before->max &&
           now->read_only <= before->read_only && now->can_flush >= before->can_flush &&
           now->can_trim >= before->can_trim && now->can_zero >= before->can_zero &&
           now->has_context >= before->has_context;
}

/* Connect again. The caller holds the lock; it is released meanwhile */
static void connect_again(NbdState *s)
{
    int64_t deadline = MAX(s->lost_at + s->reconnect_delay, now_ms() + 1000);
    NbdFacts facts;

    s->connecting = true;
    pthread_mutex_unlock(&s->lock);
    NbdLink *link = connect_and_look(s, deadline, &facts, NULL);

    if (link && !is_same_export(&facts, &s->facts)) {
        link_free(link);
        link = NULL;
    }
    pthread_mutex_lock(&s->lock);
    s->link = link;
    s->connecting = false;
    pthread_cond_broadcast(&s->changed);
}

/* Return the link, or a new one. NULL: there is none within reconnect-delay */
static NbdLink *take_link(NbdState *s)
{
    bool tried = false;

    pthread_mutex_lock(&s->lock);
    while (!s->link && s->reconnect_delay > 0) {
        bool late = now_ms() >= s->lost_at + s->reconnect_delay;

        if (s->connecting) {
            pthread_cond_wait(&s->changed, &s->lock);
        } else if (late && tried) {
            break;
        } else if (tried && !late) {
            wait_until(s, now_ms() + PAUSE_MS);
            tried = false;
        } else {
            connect_again(s);
            tried = true;
        }
    }
    NbdLink *link = s->link;

    if (link) {
        link->users++;
    }
    pthread_mutex_unlock(&s->lock);
    return link;
}

/* Requests */

static int on_completed(void *user, int *error)
{
    NbdRequest *req = user;
    NbdState *s = req->state;

    pthread_mutex_lock(&s->lock);
    req->err = *error;
    req->done = true;           /* the waiting thread may free it from here on */
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return 1;
}

/* Add a received range to the spans. False: a part of it was received before, or there are too many spans. Servers
 * usually send the parts in order, which makes one span that grows */
static bool add_span(NbdRequest *req, int64_t start, int64_t end)
{
    NbdSpan *grown = NULL;

    for (int i = 0; i < req->span_count; i++) {
        NbdSpan *span = &req->spans[i];

        if (start < span->end && span->start < end) {
            return false;
        }
        grown = start == span->end || end == span->start ? span : grown;
    }
    if (grown) {
        *grown = (NbdSpan) { MIN(start, grown->start), MAX(end, grown->end) };
        return true;
    }
    if (req->span_count == NBD_SPANS) {
        return false;
    }
    req->spans[req->span_count++] = (NbdSpan) { start, end };
    return true;
}

/* Take a part of the reply to a read. libnbd has checked that it lies inside the request. It leaves zeroes where the
 * server sends nothing, so is_all_there() counts the bytes */
static int on_chunk(void *user, const void *buf, size_t count, uint64_t offset, unsigned status, int *error)
{
    NbdRequest *req = user;

    if (status == LIBNBD_READ_ERROR || add_span(req, (int64_t)offset, (int64_t)(offset + count))) {
        return 0;
    }
    *error = EPROTO;
    return -1;
}

static bool is_all_there(const NbdRequest *req)
{
    int64_t bytes = 0;

    for (int i = 0; i < req->span_count; i++) {
        bytes += req->spans[i].end - req->spans[i].start;
    }
    return bytes == req->bytes;
}

/* Take the first extent of the reply, which comes once. libnbd checks only the length of the reply */
static int on_extent(void *user, const char *context, uint64_t offset, uint32_t *entries, size_t count, int *error)
{
    NbdRequest *req = user;

    if (strcmp(context, req->state->context)) {
        return 0;
    }
    if (req->extent_bytes) {
        *error = EPROTO;
        return -1;
    }
    if (count >= 2 && offset == (uint64_t)req->offset) {
        req->extent_bytes = entries[0];
        req->extent_flags = entries[1];
    }
    return 0;
}

/* Queue a request. -1: libnbd did not accept it */
static int64_t send_request(struct nbd_handle *handle, NbdRequest *req)
{
    const nbd_completion_callback done = { .callback = on_completed, .user_data = req };
    const nbd_chunk_callback came = { .callback = on_chunk, .user_data = req };
    uint64_t offset = (uint64_t)req->offset, bytes = (uint64_t)req->bytes;

    switch (req->command) {
    case NBD_READ:
        return nbd_aio_pread_structured(handle, req->buf, bytes, offset, came, done, req->flags);
    case NBD_WRITE:
        return nbd_aio_pwrite(handle, req->buf, bytes, offset, done, req->flags);
    case NBD_FLUSH:
        return nbd_aio_flush(handle, done, req->flags);
    case NBD_TRIM:
        return nbd_aio_trim(handle, bytes, offset, done, req->flags);
    case NBD_ZERO:
        return nbd_aio_zero(handle, bytes, offset, done, req->flags);
    case NBD_STATUS:
        break;
    }
    const nbd_extent_callback found = { .callback = on_extent, .user_data = req };

    return nbd_aio_block_status(handle, bytes, offset, found, done, req->flags);
}

/* Wait until libnbd can read or write, and let it do so once */
static void take_turn(NbdLink *link, int64_t left)
{
    unsigned direction = nbd_aio_get_direction(link->handle);
    bool in = direction & LIBNBD_AIO_DIRECTION_READ, out = direction & LIBNBD_AIO_DIRECTION_WRITE;
    struct pollfd fds[] = {
        { link->fd, (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0)), 0 }, { link->wake, POLLIN, 0 },
    };

    if (poll(fds, G_N_ELEMENTS(fds), (int)MIN(left, 1000)) <= 0) {
        return;
    }
    if (fds[1].revents) {
        uint64_t count;

        (void)!read(link->wake, &count, sizeof(count));
        return;
    }
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
        nbd_aio_notify_read(link->handle);
    } else if (fds[0].revents & POLLOUT) {
        nbd_aio_notify_write(link->handle);
    }
}

static void wake(const NbdLink *link)
{
    const uint64_t one = 1;

    (void)!write(link->wake, &one, sizeof(one));    /* full: they wake up anyway */
}

/* Wait until @req is done. After request-timeout the link is lost, which ends the request */
static void wait_for_reply(NbdState *s, NbdLink *link, const NbdRequest *req)
{
    int64_t deadline = s->request_timeout ? now_ms() + s->request_timeout : INT64_MAX;

    pthread_mutex_lock(&s->lock);
    while (!req->done) {
        int64_t left = deadline - now_ms();

        if (left <= 0) {
            lose_link(s, link);
            deadline = INT64_MAX;
        } else if (link->polled) {
            wait_until(s, now_ms() + MIN(left, 1000));
        } else {
            link->polled = true;
            pthread_mutex_unlock(&s->lock);
            take_turn(link, left);
            pthread_mutex_lock(&s->lock);
            link->polled = false;
            pthread_cond_broadcast(&s->changed);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static uint64_t count_changes(NbdState *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t changes = s->changes;
    pthread_mutex_unlock(&s->lock);
    return changes;
}

/* Count an answered request. @changes: s->changes when it was sent. The caller holds the lock */
static void count_answer(NbdState *s, const NbdLink *link, const NbdRequest *req, uint64_t changes)
{
    if (req->command == NBD_FLUSH) {
        s->flushed = MAX(s->flushed, changes);
    } else if (req->command != NBD_READ && req->command != NBD_STATUS) {
        s->changes++;
        s->in_doubt |= link->lost;
    }
}

/* Send a request, and wait for it. 0 or -errno; *@lost: it failed because the link was lost */
static int try_request(NbdState *s, NbdLink *link, NbdRequest *req, bool *lost)
{
    uint64_t changes = count_changes(s);

    req->state = s;
    req->done = false;
    req->err = 0;
    req->extent_bytes = 0;
    req->span_count = 0;
    if (send_request(link->handle, req) >= 0) {
        wake(link);
        wait_for_reply(s, link, req);
    } else {
        req->err = nbd_get_errno() > 0 ? nbd_get_errno() : EIO;
    }
    if (!req->err && req->command == NBD_READ && !is_all_there(req)) {
        req->err = EPROTO;
    }
    /* libnbd reports the link as dead only after it has ended all requests with ENOTCONN, which no server can send */
    bool dead = req->err == ENOTCONN || is_dead(link);

    pthread_mutex_lock(&s->lock);
    if (dead) {
        lose_link(s, link);
    }
    *lost = req->err && link->lost;
    if (!req->err) {
        count_answer(s, link, req, changes);
    }
    release_link(link);
    pthread_mutex_unlock(&s->lock);
    return -req->err;
}

int nbdc_request(NbdState *s, NbdRequest *req)
{
    int64_t deadline = 0;

    for (;;) {
        NbdLink *link = take_link(s);
        bool lost;

        if (!link) {
            return -EIO;
        }
        int ret = try_request(s, link, req, &lost);

        if (!lost) {
            return ret;
        }
        deadline = deadline ? deadline : now_ms() + s->reconnect_delay;
        if (now_ms() >= deadline) {     /* perhaps this request makes the server crash, again and again */
            return -EIO;
        }
    }
}

bool nbdc_is_in_doubt(NbdState *s)
{
    pthread_mutex_lock(&s->lock);
    bool doubt = s->in_doubt;
    pthread_mutex_unlock(&s->lock);
    return doubt;
}

void nbdc_disconnect(NbdState *s)
{
    if (s->link) {
        nbd_aio_disconnect(s->link->handle, 0);
        link_free(s->link);
        s->link = NULL;
    }
}
