/* writelog.h - a log of writes, as blklogwrites and the kernel's dm-log-writes make it, read back */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_WRITELOG_H
#define TESTS_WRITELOG_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* A flush that carries data is two events; marks of others are none */
typedef struct LogEvent {
    enum { EVENT_WRITE, EVENT_DISCARD, EVENT_TRUNCATE, EVENT_FLUSH } kind;
    int64_t offset, bytes;      /* TRUNCATE: offset is the new length */
    const uint8_t *data;        /* WRITE */
    bool fua;                   /* durable when it was done */
    uint64_t entry;             /* which of the log's entries it comes from, the first is 0 */
} LogEvent;

typedef struct WriteLog {
    GMappedFile *file;          /* the events' data is in there */
    GArray *events;             /* of LogEvent */
    uint64_t entries;
} WriteLog;

WriteLog *writelog_read(const char *filename, GError **errp);   /* NULL and @errp set on failure */
void writelog_free(WriteLog *log);      /* NULL is allowed */
const LogEvent *writelog_event(const WriteLog *log, guint i);

#endif
