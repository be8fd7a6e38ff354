/* medium.h - what an image lies on: a file, or a disk in memory that counts and logs */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MEDIUM_H
#define TESTS_MEDIUM_H

#include <pthread.h>
#include <glib.h>
#include <miniblk/block.h>

typedef struct DiskEvent {
    enum { DISK_WRITE, DISK_SHRINK, DISK_FLUSH } kind;
    int64_t offset, bytes;      /* SHRINK: offset is the new size */
    uint8_t *data;              /* WRITE */
} DiskEvent;

/* Bytes in memory; pages that were never written take none */
typedef struct Disk {
    pthread_mutex_t lock;       /* guards the rest */
    GPtrArray *pages;
    int64_t size;
    unsigned reads, writes, flushes;
    int fail_errno;             /* a write fails half-way, with this; 0: none does; */
    unsigned fail_after;        /* so many writes are let pass first; */
    bool fail_once;             /* then all of them fail, or one */
    bool fixed_length;          /* truncate is not for it */
    unsigned failed;            /* how many did */
    int flush_errno;            /* flushes fail with this; 0: they work */
    unsigned run_after, run;    /* of all writes, flushes and truncates so many are let pass, and then so many fail with
                                 * EIO: a write half-way, a truncate without doing anything */
    unsigned changes, run_failed;   /* how many there were, and how many of them failed by that */
    GArray *log;                /* of DiskEvent; NULL: not wanted. To grow is part of the write that follows */
} Disk;

Disk *disk_new(void);
Disk *disk_clone(Disk *from);   /* bytes and length; counts and log are not copied */
void disk_free(Disk *disk);
void disk_start_log(Disk *disk);
void disk_read(Disk *disk, int64_t offset, void *buf, int64_t bytes);
void disk_write(Disk *disk, int64_t offset, const void *buf, int64_t bytes);
void disk_truncate(Disk *disk, int64_t size);
BlockStorage disk_storage(Disk *disk);

typedef struct Medium {
    char *file;                 /* NULL: disk */
    Disk *disk;
} Medium;

Medium medium_on_file(const char *name);    /* in the scratch folder; the file is not made yet */
Medium medium_on_disk(void);
void medium_clear(Medium *medium);          /* and the file is removed */

bool medium_try_create(const Medium *medium, const char *options, GError **errp);
void medium_create(const Medium *medium, const char *options);      /* fails the test if it can't */
BlockDriverState *medium_try_open(const Medium *medium, const char *options, unsigned flags, GError **errp);
BlockDriverState *medium_open(const Medium *medium, const char *options, unsigned flags);  /* or fails the test */

/* A resolver's find() that has a disk for the parent of the image on top. Others' are looked for where images say */
typedef struct DiskParent {
    Disk *disk;
    const char *driver;
} DiskParent;

bool medium_find_parent(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer);

bool medium_has_direct(void);               /* does the scratch folder take O_DIRECT? */

/* Past the image, not through it */
int64_t medium_size(const Medium *medium);
void medium_read(const Medium *medium, int64_t offset, void *buf, int64_t bytes);
void medium_write(const Medium *medium, int64_t offset, const void *buf, int64_t bytes);

#endif
