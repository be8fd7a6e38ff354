/* blklogwrites.c - a filter that logs every change of a file, so that tests can try power cuts afterwards */
/* SPDX-License-Identifier: MIT
 *
 * Changes are made one after another, and the entry of a change is written after it was made: everything that is in the
 * log before a flush is durable by that flush. A change that failed is not in the log. If an entry cannot be written,
 * the change fails, and so do all later ones, because the log is not true any more.
 *
 * The log has whole sectors. If a request begins or ends inside a sector, the whole sector is logged, as it is
 * afterwards. If the file ends inside a sector, a mark says where.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <glib.h>
#include "block/filter/blklogwrites.h"
#include "block/drivers.h"
#include "util/checked.h"
#include "util/le.h"

typedef struct BlklogwritesState {
    bool ready;                     /* the mutex is initialised */
    pthread_mutex_t mutex;          /* held for a change and its entry; guards the rest */
    BlockDriverState *log;          /* NULL: open for reading, nothing is logged */
    int64_t sector;
    int64_t interval;               /* the super block is written after so many entries, and by a flush */
    int64_t entries;
    int64_t end;                    /* where the next entry goes */
    uint8_t *buf;                   /* a sector */
    int ret;                        /* 0, or the -errno with which the log stopped being true */
} BlklogwritesState;

typedef struct BlklogwritesOptions {
    char *log;
    bool append;
    int64_t sector;                 /* -1: not given */
    int64_t interval;
} BlklogwritesOptions;

static const BlockOption blklogwrites_options[] = {
    { "log", BLOCK_OPT_NODE, offsetof(BlklogwritesOptions, log), NULL,
      .help = "the file that the log is written to" },
    { "log-append", BLOCK_OPT_BOOL, offsetof(BlklogwritesOptions, append), "off",
      .help = "go on with the log that is there" },
    { "log-sector-size", BLOCK_OPT_SIZE, offsetof(BlklogwritesOptions, sector), "",
      .help = "unit of a new log; 512 if not given" },
    { "log-super-update-interval", BLOCK_OPT_INT, offsetof(BlklogwritesOptions, interval), "4096",
      .help = "let the log's head count the entries once in so many, and after each flush" },
    { NULL }
};

static int write_super(BlklogwritesState *s)
{
    LogWritesSuper *super = (LogWritesSuper *)s->buf;

    memset(s->buf, 0, (size_t)s->sector);
    le64_store(super->magic, LOGWRITES_MAGIC);
    le64_store(super->version, LOGWRITES_VERSION);
    le64_store(super->entries, (uint64_t)s->entries);
    le32_store(super->sector, (uint32_t)s->sector);
    return bdrv_node_pwrite(s->log, 0, s->buf, s->sector);
}

/* Write an entry that has no data, or whose data is already in the log. @text: of a mark; NULL: none */
static int write_entry(BlklogwritesState *s, uint64_t flags, int64_t offset, int64_t bytes, const char *text)
{
    LogWritesEntry *entry = (LogWritesEntry *)s->buf;
    int64_t data = flags & LOGWRITES_DISCARD ? 0 : bytes;

    memset(s->buf, 0, (size_t)s->sector);
    le64_store(entry->sector, (uint64_t)(offset / s->sector));
    le64_store(entry->sectors, (uint64_t)(bytes / s->sector));
    le64_store(entry->flags, flags);
    if (text) {
        le64_store(entry->data_len, strlen(text));
        memcpy(entry + 1, text, strlen(text));
    }
    int ret = bdrv_node_pwrite(s->log, s->end, s->buf, s->sector);
    if (ret < 0) {
        return ret;
    }
    s->end += s->sector + data;
    s->entries++;
    return s->entries % s->interval == 0 ? write_super(s) : 0;
}

static int write_mark(BlklogwritesState *s, const char *what, int64_t number)
{
    char text[64];

    snprintf(text, sizeof(text), "%s%" PRId64, what, number);
    return write_entry(s, LOGWRITES_MARK, 0, 0, text);
}

/* Copy [@offset, @offset + @bytes) of the file, the part of a sector beside a request, to @to in the log */
static int copy_edge(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t to)
{
    BlklogwritesState *s = bs->state;
    int ret = bdrv_node_pread(bs->file, offset, s->buf, bytes);

    return ret < 0 ? ret : bdrv_node_pwrite(s->log, to, s->buf, bytes);
}

/* Write data to the log, or punch a hole for zeroes */
static int log_data(BlklogwritesState *s, int64_t to, BlockVec vec)
{
    return vec.iov ? bdrv_node_writev(s->log, to, vec) : bdrv_node_zero(s->log, to, vec.bytes, BLOCK_ZERO_PUNCH);
}

/* Log the sectors from @start to @end: @vec at @offset, and the file's bytes beside it */
static int log_sectors(BlockDriverState *bs, int64_t start, int64_t end, int64_t offset, BlockVec vec)
{
    BlklogwritesState *s = bs->state;
    int64_t file_end = bdrv_node_size(bs->file), stop = offset + vec.bytes;
    int ret = end > file_end ? write_mark(s, LOGWRITES_END, file_end) : 0;
    int64_t data = s->end + s->sector;

    if (ret == 0) {
        ret = copy_edge(bs, start, offset - start, data);
    }
    if (ret == 0) {
        ret = log_data(s, data + (offset - start), vec);
    }
    if (ret == 0) {
        ret = copy_edge(bs, stop, end - stop, data + (stop - start));
    }
    return ret < 0 ? ret : write_entry(s, 0, start, end - start, NULL);
}

static int log_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    BlklogwritesState *s = bs->state;

    return log_sectors(bs, align_down(offset, s->sector), align_up(offset + vec.bytes, s->sector), offset, vec);
}

/* Log the sector of @offset as it is in the file */
static int log_sector(BlockDriverState *bs, int64_t offset)
{
    BlklogwritesState *s = bs->state;
    int64_t start = align_down(offset, s->sector);

    return log_sectors(bs, start, start + s->sector, start, (BlockVec) { 0 });
}

/* Log a discard of whole sectors inside the file. Sectors that are discarded in part are logged as writes */
static int log_discard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BlklogwritesState *s = bs->state;
    int64_t end = MIN(offset + bytes, bdrv_node_size(bs->file));
    int64_t first = align_up(offset, s->sector), last = align_down(end, s->sector);
    int ret = 0;

    if (first < last) {
        ret = write_entry(s, LOGWRITES_DISCARD, first, last - first, NULL);
    }
    if (ret == 0 && offset < MIN(first, end)) {
        ret = log_sector(bs, offset);
    }
    if (ret == 0 && MAX(first, last) < end) {
        ret = log_sector(bs, end);
    }
    return ret;
}

static int log_flush(BlklogwritesState *s)
{
    int ret = write_entry(s, LOGWRITES_FLUSH, 0, 0, NULL);

    if (ret == 0) {
        ret = write_super(s);
    }
    return ret < 0 ? ret : bdrv_node_flush(s->log);
}

/* Remember the result of logging a change that was made. -EAGAIN and -ENOTSUP would mean that nothing was changed */
static int logged(BlklogwritesState *s, int ret)
{
    s->ret = ret == -EAGAIN || ret == -ENOTSUP ? -EIO : ret;
    return s->ret;
}

/* Lock the mutex. 0: the log is true, and has offsets left for @bytes; else -errno. finish() unlocks in both cases */
static int begin(BlklogwritesState *s, int64_t offset, int64_t bytes)
{
    pthread_mutex_lock(&s->mutex);
    if (s->ret < 0) {
        return s->ret;
    }
    return bytes <= INT64_MAX - 10 * s->sector - MAX(offset, s->end) ? 0 : -EFBIG;
}

static int finish(BlklogwritesState *s, int ret)
{
    pthread_mutex_unlock(&s->mutex);
    return ret;
}

static int blklogwrites_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    return bdrv_node_readv(bs->file, offset, vec);
}

static int blklogwrites_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    BlklogwritesState *s = bs->state;
    int ret = begin(s, offset, vec.bytes);

    if (ret == 0) {
        ret = bdrv_node_writev(bs->file, offset, vec);
    }
    return finish(s, ret < 0 ? ret : logged(s, log_write(bs, offset, vec)));
}

static int blklogwrites_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    BlklogwritesState *s = bs->state;
    int ret = begin(s, offset, bytes);

    if (ret == 0) {
        ret = bdrv_node_zero(bs->file, offset, bytes, flags);
    }
    if (ret == 0) {
        ret = logged(s, flags & BLOCK_ZERO_DISCARD ? log_discard(bs, offset, bytes)
                                                   : log_write(bs, offset, (BlockVec) { .bytes = bytes }));
    }
    return finish(s, ret);
}

/* Flush the child here, before the layer does: the log must not have a flush that fails */
static int blklogwrites_flush(BlockDriverState *bs)
{
    BlklogwritesState *s = bs->state;
    int ret = begin(s, 0, 0);

    if (ret == 0) {
        ret = bdrv_node_flush(bs->file);
    }
    return finish(s, ret < 0 ? ret : logged(s, log_flush(s)));
}

static bool blklogwrites_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    BlklogwritesState *s = bs->state;
    int ret = begin(s, size, 0);
    bool ok = ret == 0 && bdrv_node_truncate(bs->file, size, errp);

    if (ok) {
        __atomic_store_n(&bs->size, bdrv_node_size(bs->file), __ATOMIC_RELEASE);
        ret = logged(s, write_mark(s, LOGWRITES_TRUNCATE, bs->size));
    }
    if (finish(s, ret) < 0) {
        bdrv_set_error(errp, -ret, "could not log the new size %" PRId64 ": %s", size, g_strerror(-ret));
    }
    return ok && ret == 0;
}

static bool check_log(BlklogwritesState *s, const LogWritesSuper *super, GError **errp)
{
    uint64_t magic = le64_load(super->magic), version = le64_load(super->version);

    s->sector = le32_load(super->sector);
    if (magic != LOGWRITES_MAGIC || version != LOGWRITES_VERSION) {
        bdrv_set_error(errp, EINVAL, "this is no log to append to: its magic is 0x%" PRIx64 ", its version %" PRIu64,
                       magic, version);
    } else if (!is_power_of_two(s->sector) || s->sector < LOGWRITES_SECTOR || s->sector > LOGWRITES_MAX_SECTOR) {
        bdrv_set_error(errp, EINVAL, "the log's sector size %" PRId64 " is not a power of two from %d to %d", s->sector,
                       LOGWRITES_SECTOR, LOGWRITES_MAX_SECTOR);
    } else {
        return true;
    }
    return false;
}

/* Skip one entry, which must end inside the log */
static int skip_entry(BlklogwritesState *s, int64_t size)
{
    LogWritesEntry entry;
    int64_t room = (size - s->end) / s->sector - 1;

    if (room < 0) {
        return -EINVAL;
    }
    int ret = bdrv_node_pread(s->log, s->end, &entry, sizeof(entry));
    if (ret < 0) {
        return ret;
    }
    uint64_t sectors = le64_load(entry.flags) & LOGWRITES_DISCARD ? 0 : le64_load(entry.sectors);
    if (sectors > (uint64_t)room) {
        return -EINVAL;
    }
    s->end += (1 + (int64_t)sectors) * s->sector;
    s->entries++;
    return 0;
}

/* Find the end of an old log */
static bool read_log(BlklogwritesState *s, GError **errp)
{
    int64_t size = bdrv_node_size(s->log);
    LogWritesSuper super;
    int ret = bdrv_node_pread(s->log, 0, &super, sizeof(super));

    if (ret == 0 && !check_log(s, &super, errp)) {
        return false;
    }
    uint64_t entries = le64_load(super.entries);

    s->end = s->sector;
    while (ret == 0 && (uint64_t)s->entries < entries) {
        ret = skip_entry(s, size);
    }
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not read entry %" PRId64 " of the %" PRIu64 " in the log: %s", s->entries,
                       entries, ret == -EINVAL ? "it reaches past the end" : g_strerror(-ret));
    }
    return ret == 0;
}

static bool begin_log(BlklogwritesState *s, GError **errp)
{
    s->end = s->sector;
    int ret = write_super(s);

    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not begin the log: %s", g_strerror(-ret));
    }
    return ret == 0;
}

static bool check_options(const BlklogwritesOptions *o, GError **errp)
{
    if (o->append && o->sector >= 0) {
        bdrv_set_error(errp, EINVAL, "a log that is appended to has a sector size: log-sector-size can't be given");
    } else if (o->sector >= 0 && (!is_power_of_two(o->sector) || o->sector < LOGWRITES_SECTOR ||
                                  o->sector > LOGWRITES_MAX_SECTOR)) {
        bdrv_set_error(errp, EINVAL, "log-sector-size %" PRId64 " is not a power of two from %d to %d", o->sector,
                       LOGWRITES_SECTOR, LOGWRITES_MAX_SECTOR);
    } else if (o->interval <= 0) {
        bdrv_set_error(errp, EINVAL, "log-super-update-interval %" PRId64 " is not positive", o->interval);
    } else {
        return true;
    }
    return false;
}

/* Return whether the log has a format driver: such a driver may ask to be alone, which the log cannot wait for */
static bool is_format(const BlockDriverState *log)
{
    while (log && !log->drv->map) {
        log = log->file;
    }
    return log != NULL;
}

static bool open_log(BlockDriverState *bs, const BlklogwritesOptions *o, unsigned flags, GError **errp)
{
    BlklogwritesState *s = bs->state;

    if (!o->append && !bdrv_create_child(bs, o->log, errp)) {
        g_prefix_error(errp, "log: ");
        return false;
    }
    s->log = bdrv_open_child(bs, o->log, flags, errp);
    bool ok = s->log && !is_format(s->log);
    if (s->log && !ok) {
        bdrv_set_error(errp, EINVAL, "it is to be a file, not a disk image");
    }
    if (!ok) {
        g_prefix_error(errp, "log: ");
    }
    return ok;
}

static bool blklogwrites_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const BlklogwritesOptions *o = opts;
    BlklogwritesState *s = bs->state;

    pthread_mutex_init(&s->mutex, NULL);
    s->ready = true;
    s->interval = o->interval;
    s->sector = o->sector < 0 ? LOGWRITES_SECTOR : o->sector;
    bs->size = bdrv_node_size(bs->file);
    if (!check_options(o, errp)) {
        return false;
    }
    if (!(flags & BDRV_O_RDWR)) {
        return true;
    }
    if (!open_log(bs, o, flags, errp) || (o->append && !read_log(s, errp))) {
        return false;
    }
    s->buf = g_try_malloc((gsize)s->sector);
    if (!s->buf) {
        bdrv_set_error(errp, ENOMEM, "no memory for a sector of %" PRId64 " bytes", s->sector);
        return false;
    }
    return o->append || begin_log(s, errp);
}

/* Write the super block, so that changes after the last flush are counted, too */
static void blklogwrites_close(BlockDriverState *bs)
{
    BlklogwritesState *s = bs->state;

    if (s->buf && s->ret == 0) {
        write_super(s);
    }
    bdrv_close_child(s->log);
    g_free(s->buf);
    if (s->ready) {
        pthread_mutex_destroy(&s->mutex);
    }
}

/* What was opened for writing keeps its log */
static bool blklogwrites_reopen(BlockDriverState *bs, GError **errp)
{
    const BlklogwritesState *s = bs->state;

    if ((bs->flags & BDRV_O_RDWR) && !s->log) {
        bdrv_set_error(errp, ENOTSUP, "driver 'blklogwrites' was opened for reading only, and has no log open");
        return false;
    }
    return true;
}

static bool blklogwrites_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    BlklogwritesState *s = bs->state;

    pthread_mutex_lock(&s->mutex);
    int64_t entries = s->entries;
    pthread_mutex_unlock(&s->mutex);

    bdrv_info_int(items, "log-entries", entries);
    return true;
}

const BlockDriver bdrv_blklogwrites = {
    .name         = "blklogwrites",
    .description  = "keeps a log of all changes to the node below",
    .parallel     = true,
    .state_size   = sizeof(BlklogwritesState),
    .open_size    = sizeof(BlklogwritesOptions),
    .open_options = blklogwrites_options,
    .open         = blklogwrites_open,
    .read         = blklogwrites_read,
    .write        = blklogwrites_write,
    .flush        = blklogwrites_flush,
    .close        = blklogwrites_close,
    .status       = bdrv_filter_status,
    .zero         = blklogwrites_zero,
    .truncate     = blklogwrites_truncate,
    .info         = blklogwrites_info,
    .reopen       = blklogwrites_reopen,
};
