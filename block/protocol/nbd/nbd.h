/* nbd.h - what the files of the nbd driver share */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_NBD_H
#define BLOCK_NBD_H

#include <pthread.h>
#include <libnbd.h>
#include <miniblk/driver.h>

/* One connection. Requests that are on their way keep it */
typedef struct NbdLink {
    struct nbd_handle *handle;
    int fd;                         /* of its socket, a copy: libnbd closes its own whenever it likes */
    int wake;                       /* an eventfd, for who is in poll() */
    int users;
    bool lost;                      /* nothing more will come of it */
    bool polled;                    /* one of those that wait for an answer is in poll() for all of them */
} NbdLink;

/* What the server says of the export. None of it may change behind our back */
typedef struct NbdFacts {
    int64_t size;
    int64_t min, max;               /* block sizes: of any request; of one that has data */
    bool read_only, can_flush, can_trim, can_zero, has_context;
} NbdFacts;

typedef struct NbdState {
    char *path;                     /* of a Unix socket; NULL: */
    char *host, *port;
    char *export;                   /* "": the default one */
    char *context;                  /* "base:allocation" */
    int64_t reconnect_delay, open_timeout, request_timeout;     /* milliseconds; 0: not at all, one try, any time */
    NbdFacts facts;
    bool ready;                     /* the lock and the condition are there; they guard the rest, and links */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    NbdLink *link;
    bool connecting;                /* somebody is */
    int64_t lost_at;                /* when the last link was lost, in milliseconds of a clock that only goes on */
    uint64_t changes, flushed;      /* how many writes and the like were answered; how many the last flush covers */
    bool in_doubt;                  /* a server is gone that had some which were not flushed */
} NbdState;

typedef enum NbdCommand { NBD_READ, NBD_WRITE, NBD_FLUSH, NBD_TRIM, NBD_ZERO, NBD_STATUS } NbdCommand;

#define NBD_SPANS 64                /* what has come of a read is in so many pieces at most */

typedef struct NbdSpan {
    int64_t start, end;
} NbdSpan;

typedef struct NbdRequest {
    NbdCommand command;
    uint32_t flags;                 /* LIBNBD_CMD_FLAG_… */
    int64_t offset, bytes;
    void *buf;                      /* READ, WRITE */
    NbdSpan spans[NBD_SPANS];       /* READ: what has come, @span_count disjoint pieces that don't touch but at times */
    int span_count;
    int64_t extent_bytes;           /* STATUS: the answer; 0: there was none */
    uint32_t extent_flags;
    NbdState *state;
    bool done;                      /* under the lock */
    int err;                        /* an errno number, or 0 */
} NbdRequest;

/* nbd/connection.c */
bool nbdc_connect_first(NbdState *s, GError **errp);
/* 0 or -errno; connects anew where the options allow it */
int nbdc_request(NbdState *s, NbdRequest *req);
/* Something that was answered may be lost, with a server that was */
bool nbdc_is_in_doubt(NbdState *s);
/* Nobody is using @s any more */
void nbdc_disconnect(NbdState *s);

/* nbd/name.c */
extern const char *const nbdc_prefixes[];
/* "nbd:unix:PATH:exportname=NAME", "nbd:HOST:PORT", "nbd://HOST:PORT/NAME", "nbd+unix:///NAME?socket=PATH" */
char *nbdc_parse_name(const char *name, const char **rest, GError **errp);
/* The name of what is open, as QEMU says it */
char *nbdc_name_of(const NbdState *s);

#endif
