/* writelog.c - a log of writes, as blklogwrites and the kernel's dm-log-writes make it, read back */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <miniblk/driver.h>
#include "block/filter/blklogwrites.h"
#include "util/le.h"
#include "writelog.h"

typedef struct Reader {
    const uint8_t *bytes;
    uint64_t length, sector;
    uint64_t at;                /* of the next entry */
    int64_t end;                /* a mark said that the file ends here, inside the next entry; -1: none did */
    WriteLog *log;
} Reader;

static bool bad(const Reader *r, GError **errp, const char *what)
{
    bdrv_set_error(errp, EINVAL, "entry %" PRIu64 " of the log, at %" PRIu64 ": %s", r->log->entries, r->at, what);
    return false;
}

static void add(Reader *r, LogEvent event)
{
    event.entry = r->log->entries;
    g_array_append_val(r->log->events, event);
}

/* @number: what stands behind @what, if the mark is one of those */
static bool is_mark(const char *text, const char *what, int64_t *number)
{
    if (!g_str_has_prefix(text, what)) {
        return false;
    }
    *number = strtoll(text + strlen(what), NULL, 10);
    return true;
}

static bool take_mark(Reader *r, const LogWritesEntry *entry, GError **errp)
{
    uint64_t length = le64_load(entry->data_len);
    int64_t number;

    if (length > r->sector - sizeof(*entry)) {
        return bad(r, errp, "the mark is longer than its sector");
    }
    g_autofree char *text = g_strndup((const char *)(entry + 1), (gsize)length);

    if (is_mark(text, LOGWRITES_TRUNCATE, &number)) {
        add(r, (LogEvent) { .kind = EVENT_TRUNCATE, .offset = number });
    } else if (is_mark(text, LOGWRITES_END, &number)) {
        r->end = number;
    }
    return true;
}

/* What the entry has to say of bytes, and where the next one begins */
static bool take_data(Reader *r, const LogWritesEntry *entry, uint64_t *next, GError **errp)
{
    uint64_t sector = le64_load(entry->sector), sectors = le64_load(entry->sectors), flags = le64_load(entry->flags);
    bool discard = flags & LOGWRITES_DISCARD;

    if (sectors > INT64_MAX / r->sector || sector > INT64_MAX / r->sector - sectors) {
        return bad(r, errp, "it is for a place that no file has");
    }
    if (!discard && sectors > (r->length - *next) / r->sector) {
        return bad(r, errp, "its data reaches past the end of the log");
    }
    LogEvent event = { .kind = discard ? EVENT_DISCARD : EVENT_WRITE, .offset = (int64_t)(sector * r->sector),
                       .bytes = (int64_t)(sectors * r->sector), .fua = flags & LOGWRITES_FUA };

    if (r->end >= 0) {
        event.bytes = CLAMP(r->end - event.offset, 0, event.bytes);
        r->end = -1;
    }
    if (!discard) {
        event.data = r->bytes + *next;
        *next += sectors * r->sector;
    }
    add(r, event);
    return true;
}

static bool take_entry(Reader *r, GError **errp)
{
    const LogWritesEntry *entry = (const LogWritesEntry *)(r->bytes + r->at);
    uint64_t next = r->at + r->sector;

    if (r->length < next) {
        return bad(r, errp, "it lies past the end of the log");
    }
    uint64_t flags = le64_load(entry->flags);
    bool ok = true;

    if (flags & LOGWRITES_MARK) {
        ok = take_mark(r, entry, errp);
    } else {
        if (flags & LOGWRITES_FLUSH) {
            add(r, (LogEvent) { .kind = EVENT_FLUSH });
        }
        if (le64_load(entry->sectors) > 0) {
            ok = take_data(r, entry, &next, errp);
        }
    }
    r->at = next;
    r->log->entries++;
    return ok;
}

static bool take_all(Reader *r, GError **errp)
{
    const LogWritesSuper *super = (const LogWritesSuper *)r->bytes;

    if (r->length == 0) {       /* nothing has happened yet */
        return true;
    }
    if (r->length < LOGWRITES_SECTOR || le64_load(super->magic) != LOGWRITES_MAGIC ||
        le64_load(super->version) != LOGWRITES_VERSION) {
        bdrv_set_error(errp, EINVAL, "this is not a log of writes");
        return false;
    }
    r->sector = r->at = le32_load(super->sector);
    if (r->sector < LOGWRITES_SECTOR) {
        bdrv_set_error(errp, EINVAL, "the log's sectors have %" PRIu64 " bytes", r->sector);
        return false;
    }
    while (r->log->entries < le64_load(super->entries)) {
        if (!take_entry(r, errp)) {
            return false;
        }
    }
    return true;
}

WriteLog *writelog_read(const char *filename, GError **errp)
{
    GMappedFile *file = g_mapped_file_new(filename, FALSE, errp);

    if (!file) {
        return NULL;
    }
    WriteLog *log = g_new(WriteLog, 1);
    Reader r = { (const uint8_t *)g_mapped_file_get_contents(file), g_mapped_file_get_length(file), .end = -1,
                 .log = log };

    *log = (WriteLog) { file, g_array_new(FALSE, FALSE, sizeof(LogEvent)) };
    if (!take_all(&r, errp)) {
        g_clear_pointer(&log, writelog_free);
    }
    return log;
}

void writelog_free(WriteLog *log)
{
    if (log) {
        g_array_unref(log->events);
        g_mapped_file_unref(log->file);
        g_free(log);
    }
}

const LogEvent *writelog_event(const WriteLog *log, guint i)
{
    return &g_array_index(log->events, LogEvent, i);
}
