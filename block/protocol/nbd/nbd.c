/* nbd.c - an export of an NBD server */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <glib.h>
#include "block/protocol/nbd/nbd.h"
#include "util/checked.h"

#define NBD_BOUNCE (1 << 20)        /* so much is copied at once, if the memory is in several pieces */
#define NBD_MAX_SECONDS 86400       /* a day */

typedef enum NbdServerType { NBD_SERVER_INET, NBD_SERVER_UNIX } NbdServerType;

static const char *const nbdc_server_words[] = { "inet", "unix", NULL };

typedef struct NbdOptions {
    int server_type;                /* NbdServerType; -1: not given */
    char *server_host, *server_port, *server_path;
    char *host, *port, *path;
    char *export, *context;
    int64_t reconnect_delay, open_timeout, request_timeout;
    int64_t size;                   /* for create() */
} NbdOptions;

#define NBD_SERVER \
    { "server.type", BLOCK_OPT_ENUM, offsetof(NbdOptions, server_type), "", nbdc_server_words, \
      .help = "where the server is: a network address, or a socket of this machine" }, \
    { "server.host", BLOCK_OPT_STRING, offsetof(NbdOptions, server_host), "", .help = "its name or address" }, \
    { "server.port", BLOCK_OPT_STRING, offsetof(NbdOptions, server_port), "", .help = "its port" }, \
    { "server.path", BLOCK_OPT_STRING, offsetof(NbdOptions, server_path), "", .help = "the socket's path" }, \
    { "host", BLOCK_OPT_STRING, offsetof(NbdOptions, host), "", .help = "in place of server.host" }, \
    { "port", BLOCK_OPT_STRING, offsetof(NbdOptions, port), "", \
      .help = "in place of server.port; 10809 if not given" }, \
    { "path", BLOCK_OPT_STRING, offsetof(NbdOptions, path), "", .help = "in place of server.path" }, \
    { "export", BLOCK_OPT_STRING, offsetof(NbdOptions, export), "", \
      .help = "which export; the server's default if not given" }

static const BlockOption nbdc_open_options[] = {
    NBD_SERVER,
    { "reconnect-delay", BLOCK_OPT_INT, offsetof(NbdOptions, reconnect_delay), "0",
      .help = "seconds to try to connect anew after the connection was lost; 0: requests fail then" },
    { "open-timeout", BLOCK_OPT_INT, offsetof(NbdOptions, open_timeout), "0",
      .help = "seconds to try to connect for at first; 0: once" },
    { "request-timeout", BLOCK_OPT_INT, offsetof(NbdOptions, request_timeout), "120",
      .help = "seconds until a server that does not answer is taken for lost; 0: any time" },
    { "x-dirty-bitmap", BLOCK_OPT_STRING, offsetof(NbdOptions, context), "base:allocation",
      .help = "the metadata context that block status is from" },
    { NULL }
};

static const BlockOption nbdc_create_options[] = {
    NBD_SERVER,
    { "size", BLOCK_OPT_SIZE, offsetof(NbdOptions, size), "0", .help = "how long the export has to be" },
    { NULL }
};

static bool nbdc_bad(GError **errp, const char *text)
{
    bdrv_set_error(errp, EINVAL, "%s", text);
    return false;
}

/* Take the server's address: with server.type from the options server.*, else from path, or host and port */
static bool nbdc_take_server(NbdState *s, const NbdOptions *o, GError **errp)
{
    bool local = o->server_type == NBD_SERVER_UNIX, named = o->server_type >= 0;
    const char *path = named ? o->server_path : o->path, *host = named ? o->server_host : o->host;
    const char *port = named ? o->server_port : o->port ? o->port : "10809";

    if (named ? o->path || o->host || o->port : o->server_path || o->server_host || o->server_port) {
        return nbdc_bad(errp, "'server' and path/host/port cannot be used at the same time, and 'server' has a type");
    }
    if (path && (host || (named ? o->server_port : o->port))) {
        return nbdc_bad(errp, "path and host may not be used at the same time");
    }
    if (named && local && !path) {
        return nbdc_bad(errp, "Parameter 'path' is missing");
    }
    if (named && !local && (!host || !port)) {
        return nbdc_bad(errp, host ? "Parameter 'port' is missing" : "Parameter 'host' is missing");
    }
    if ((named && !local && path) || (!path && !host)) {
        return nbdc_bad(errp, "NBD server address missing");
    }
    s->path = g_strdup(path);
    s->host = g_strdup(path ? NULL : host);
    s->port = g_strdup(path ? NULL : port);
    s->export = g_strdup(o->export ? o->export : "");
    s->context = g_strdup(o->context ? o->context : "base:allocation");
    return true;
}

static bool nbdc_seconds(const char *name, int64_t seconds, int64_t *ms, GError **errp)
{
    if (seconds < 0 || seconds > NBD_MAX_SECONDS) {
        bdrv_set_error(errp, EINVAL, "%s %" PRId64 " is not between 0 and %d", name, seconds, NBD_MAX_SECONDS);
        return false;
    }
    *ms = seconds * 1000;
    return true;
}

static void nbdc_init(NbdState *s)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    s->ready = true;
}

static void nbdc_clear(NbdState *s)
{
    nbdc_disconnect(s);
    if (s->ready) {
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->changed);
    }
    g_free(s->path);
    g_free(s->host);
    g_free(s->port);
    g_free(s->export);
    g_free(s->context);
    *s = (NbdState) { 0 };
}

static void nbdc_close(BlockDriverState *bs)
{
    nbdc_clear(bs->state);
}

static bool nbdc_reopen(BlockDriverState *bs, GError **errp)
{
    const NbdState *s = bs->state;

    if ((bs->flags & BDRV_O_RDWR) && s->facts.read_only) {
        bdrv_set_error(errp, EACCES, "the NBD server exports it for reading only");
        return false;
    }
    return true;
}

static bool nbdc_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const NbdOptions *o = opts;
    NbdState *s = bs->state;

    nbdc_init(s);
    if (!nbdc_take_server(s, o, errp) ||
        !nbdc_seconds("reconnect-delay", o->reconnect_delay, &s->reconnect_delay, errp) ||
        !nbdc_seconds("open-timeout", o->open_timeout, &s->open_timeout, errp) ||
        !nbdc_seconds("request-timeout", o->request_timeout, &s->request_timeout, errp) ||
        !nbdc_connect_first(s, errp)) {
        return false;
    }
    if (!nbdc_reopen(bs, errp)) {
        return false;
    }
    bs->size = s->facts.size;
    bs->fixed_length = true;
    bs->request_alignment = s->facts.min;
    g_free(bs->filename);
    bs->filename = nbdc_name_of(s);
    return true;
}

/* Return the first *@bytes of @vec, at most @max, in one piece of memory: the vector's own, or *@bounce */
static void *nbdc_flat(BlockVec vec, int64_t max, int64_t *bytes, void **bounce)
{
    struct iovec iov;

    *bounce = NULL;
    if (vec.iov && block_vec_iov(vec, &iov, 1, bytes) == 1 && *bytes >= MIN(max, vec.bytes)) {
        *bytes = MIN(max, vec.bytes);
        return iov.iov_base;
    }
    *bytes = MIN(MIN(max, vec.bytes), NBD_BOUNCE);
    *bounce = g_try_malloc((size_t)*bytes);
    return *bounce;
}

static int nbdc_move(BlockDriverState *bs, int64_t offset, BlockVec vec, NbdCommand command)
{
    NbdState *s = bs->state;
    int ret = 0;

    while (vec.bytes > 0 && ret == 0) {
        NbdRequest req = { .command = command, .offset = offset };
        void *bounce;

        req.buf = nbdc_flat(vec, s->facts.max, &req.bytes, &bounce);
        BlockVec piece = block_vec_slice(vec, 0, req.bytes);

        if (bounce && command == NBD_WRITE) {
            block_vec_to_buf(piece, bounce);
        }
        ret = req.buf ? nbdc_request(s, &req) : -ENOMEM;
        if (bounce && command == NBD_READ && ret == 0) {
            block_vec_from_buf(piece, bounce);
        }
        g_free(bounce);
        offset += req.bytes;
        vec = block_vec_slice(vec, req.bytes, vec.bytes - req.bytes);
    }
    return ret;
}

static int nbdc_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    return nbdc_move(bs, offset, vec, NBD_READ);
}

static int nbdc_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    return offset + vec.bytes > bs->size ? -ENOSPC : nbdc_move(bs, offset, vec, NBD_WRITE);
}

/* Flush. If the connection was lost with writes that were not flushed, fail until the image is opened again: the flush
 * of another server process does not cover them */
static int nbdc_flush(BlockDriverState *bs)
{
    NbdState *s = bs->state;
    NbdRequest req = { .command = NBD_FLUSH };
    int ret = s->facts.can_flush ? nbdc_request(s, &req) : 0;

    return ret == 0 && nbdc_is_in_doubt(s) ? -EIO : ret;
}

/* Zero a part of one block: read it, change it, write it back. The layer keeps other writes out of this block */
static int nbdc_zero_part(NbdState *s, int64_t offset, int64_t bytes)
{
    int64_t start = align_down(offset, s->facts.min);
    g_autofree uint8_t *block = g_try_malloc((size_t)s->facts.min);
    NbdRequest req = { .command = NBD_READ, .offset = start, .bytes = s->facts.min, .buf = block };
    int ret = bytes <= 0 ? 0 : block ? nbdc_request(s, &req) : -ENOMEM;

    if (ret < 0 || bytes <= 0) {
        return ret;
    }
    memset(block + (offset - start), 0, (size_t)bytes);
    req.command = NBD_WRITE;
    return nbdc_request(s, &req);
}

/* Zero or discard whole blocks */
static int nbdc_zero_blocks(NbdState *s, int64_t offset, int64_t bytes, unsigned flags)
{
    bool discard = flags & BLOCK_ZERO_DISCARD;
    NbdRequest req = { .command = discard ? NBD_TRIM : NBD_ZERO };
    int64_t max = discard ? align_down(INT_MAX, s->facts.min) : s->facts.max;
    int ret = 0;

    req.flags = discard || (flags & BLOCK_ZERO_PUNCH) ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;
    for (; bytes > 0 && ret == 0; offset += req.bytes, bytes -= req.bytes) {
        req.offset = offset;
        req.bytes = MIN(bytes, max);
        ret = nbdc_request(s, &req);
    }
    return ret;
}

static int nbdc_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    NbdState *s = bs->state;
    bool discard = flags & BLOCK_ZERO_DISCARD;
    int64_t end = offset + bytes;
    int64_t first = MIN(align_up(offset, s->facts.min), end), last = MAX(align_down(end, s->facts.min), first);

    if (!(discard ? s->facts.can_trim : s->facts.can_zero)) {
        return -ENOTSUP;
    }
    if (end > bs->size) {
        return -ENOSPC;
    }
    int ret = nbdc_zero_blocks(s, first, last - first, flags);

    if (ret == 0 && !discard) {
        ret = nbdc_zero_part(s, offset, first - offset);
        ret = ret < 0 ? ret : nbdc_zero_part(s, last, end - last);
    }
    return ret;
}

/* Ask for the block status. A reply without bytes is an error; one that is too long, or ends inside a block, is cut */
static int nbdc_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    NbdState *s = bs->state;
    int64_t start = align_down(offset, s->facts.min);
    int64_t end = MIN(align_up(MIN(offset + bytes, bs->size), s->facts.min), start + align_down(INT_MAX, s->facts.min));
    NbdRequest req = {
        .command = NBD_STATUS, .flags = LIBNBD_CMD_FLAG_REQ_ONE, .offset = start, .bytes = end - start,
    };

    *st = (BlockStatus) { bytes, .data = true, .here = true, .leaf = bs, .leaf_offset = offset };
    if (!s->facts.has_context) {
        return 0;
    }
    int ret = nbdc_request(s, &req);
    int64_t known = align_down(MIN(req.extent_bytes, end - start), s->facts.min);

    if (ret < 0 || req.extent_bytes <= 0) {
        st->bytes = 0;
        return ret < 0 ? ret : -EIO;
    }
    st->bytes = MIN(bytes, known > offset - start ? known - (offset - start) : start + s->facts.min - offset);
    st->data = !known || !(req.extent_flags & LIBNBD_STATE_HOLE);
    st->zero = known && (req.extent_flags & LIBNBD_STATE_ZERO);
    return 0;
}

static bool nbdc_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    if (size > bs->size) {
        bdrv_set_error(errp, EINVAL, "Cannot grow NBD nodes");
        return false;
    }
    return true;
}

/* Check that the export exists and is large enough: NBD cannot create one */
static bool nbdc_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    const NbdOptions *o = opts;
    NbdState s = { 0 };
    bool ok = nbdc_take_server(&s, o, errp) && nbdc_connect_first(&s, errp);

    if (ok && s.facts.read_only) {
        bdrv_set_error(errp, EACCES, "the NBD server exports it for reading only");
        ok = false;
    } else if (ok && s.facts.size < o->size) {
        bdrv_set_error(errp, EINVAL, "Cannot grow NBD nodes");
        ok = false;
    }
    nbdc_clear(&s);
    return ok;
}

const BlockDriver bdrv_nbd = {
    .name           = "nbd",
    .description    = "an export of an NBD server",
    .is_protocol    = true,
    .parallel       = true,
    .state_size     = sizeof(NbdState),
    .open_size      = sizeof(NbdOptions),
    .create_size    = sizeof(NbdOptions),
    .open_options   = nbdc_open_options,
    .create_options = nbdc_create_options,
    .open           = nbdc_open,
    .read           = nbdc_read,
    .write          = nbdc_write,
    .flush          = nbdc_flush,
    .close          = nbdc_close,
    .create         = nbdc_create,
    .status         = nbdc_status,
    .zero           = nbdc_zero,
    .truncate       = nbdc_truncate,
    .prefixes       = nbdc_prefixes,
    .parse_name     = nbdc_parse_name,
    .reopen         = nbdc_reopen,
};
