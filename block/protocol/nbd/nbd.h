/* nbd.h - what the files of the nbd driver share */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_NBD_H
#define BLOCK_NBD_H

#include <pthread.h>
#include <libnbd.h>
#include <miniblk/driver.h>

/* One connection. It is freed after the last request on it */
typedef struct NbdLink {
    struct nbd_handle *handle;
    int fd;                         /* a copy of its socket: libnbd may close its own at any time */
    int wake;                       /* an eventfd, which wakes the thread in poll() */
    int users;
    bool lost;                      /* no more replies will come */
    bool polled;                    /* one of the waiting threads is in poll(), for all of them */
} NbdLink;

/* What the server says about the export. After a reconnection none of it may be worse */
typedef struct NbdFacts {
    int64_t size;
    int64_t min, max;               /* block sizes: minimum of any request; maximum of one with data */
    bool read_only, can_flush, can_trim, can_zero, has_context;
} NbdFacts;

typedef struct NbdState {
    char *path;                     /* of a Unix socket; NULL: host and port are set */
    char *host, *port;
    char *export;                   /* "": the server's default */
    char *context;                  /* "base:allocation" */
    int64_t reconnect_delay, open_timeout, request_timeout;     /* milliseconds; 0: none, once, no limit */
    NbdFacts facts;
    bool ready;                     /* lock and changed are initialised; the lock guards the rest, and links */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    NbdLink *link;
    bool connecting;                /* a thread is connecting */
    int64_t lost_at;                /* when the last link was lost, in ms of CLOCK_MONOTONIC */
    uint64_t changes, flushed;      /* changes that were answered; how many of them the last flush covers */
    bool in_doubt;                  /* a link was lost while some of its changes were not flushed */
} NbdState;

typedef enum NbdCommand { NBD_READ, NBD_WRITE, NBD_FLUSH, NBD_TRIM, NBD_ZERO, NBD_STATUS } NbdCommand;

#define NBD_SPANS 64                /* at most so many spans of a read */

typedef struct NbdSpan {
    int64_t start, end;
} NbdSpan;

typedef struct NbdRequest {
    NbdCommand command;
    uint32_t flags;                 /* LIBNBD_CMD_FLAG_… */
    int64_t offset, bytes;
    void *buf;                      /* for READ and WRITE */
    NbdSpan spans[NBD_SPANS];       /* READ: the received ranges, disjoint; they mostly do not touch */
    int span_count;
    int64_t extent_bytes;           /* STATUS: the reply; 0: none came */
    uint32_t extent_flags;
    NbdState *state;
    bool done;                      /* read under the lock */
    int err;                        /* an errno number, or 0 */
} NbdRequest;

/* nbd/nbd.c */
extern const BlockDriver bdrv_nbd;

/* nbd/connection.c */
bool nbdc_connect_first(NbdState *s, GError **errp);
/* Send a request and wait for it, connecting again where the options allow it. 0 or -errno */
int nbdc_request(NbdState *s, NbdRequest *req);
/* Return whether changes that were answered may be lost, together with a lost connection */
bool nbdc_is_in_doubt(NbdState *s);
/* Close the connection. No request may be running */
void nbdc_disconnect(NbdState *s);

/* nbd/name.c */
extern const char *const nbdc_prefixes[];
/* Parse "nbd:unix:PATH:exportname=NAME", "nbd:HOST:PORT", "nbd://HOST:PORT/NAME" or "nbd+unix:///NAME?socket=PATH" */
char *nbdc_parse_name(const char *name, const char **rest, GError **errp);
/* Return the name of the export, in QEMU's form */
char *nbdc_name_of(const NbdState *s);

#endif
