/* mend.c - repairs an image with the power cut, and an error, at every write: mend [-l] [-c CODES] IMAGE */
/* SPDX-License-Identifier: MIT
 *
 * The image is on a disk that logs and fails, also up to six times in a row. After each of these ends, no sector of
 * the disk reads as anything but before the repair or after it, what could be opened can be opened, and a second
 * repair ends as one that was not interrupted. -l: but for space that was taken in vain. Nor is it corrupt in a way that it was not: but
 * with these codes, "S1,F2"; "any".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "kit.h"
#include "medium.h"

enum { SECTOR = 512, MAX_RUN = 6 };

/* What is to be read */
typedef struct View {
    bool open;
    int64_t size;
    uint8_t *data;
    int *errors;                /* of each sector: 0 or -errno */
} View;

typedef struct Mend {
    GRand *rand;
    const char *codes;          /* of corruptions that there may be in between */
    Disk *start;
    View before, after;
    bool repairs;               /* there is something to be done */
    int64_t corruptions, leaks; /* that are left by an undisturbed repair; of the latter no more than this may be */
} Mend;

static BlockDriverState *open_disk(Disk *disk, unsigned flags)
{
    BlockStorage storage = disk_storage(disk);

    return bdrv_open_storage(&storage, "driver=vpc", flags, NULL);
}

static View look(Disk *disk)
{
    BlockDriverState *bs = open_disk(disk, BDRV_O_NO_BACKING);
    View view = { bs != NULL };

    if (!bs) {
        return view;
    }
    view.size = bdrv_getlength(bs);
    view.data = g_malloc0((gsize)view.size + SECTOR);
    view.errors = g_new0(int, view.size / SECTOR + 1);
    for (int64_t at = 0; at < view.size; at += SECTOR) {
        view.errors[at / SECTOR] = bdrv_pread(bs, at, view.data + at, MIN(SECTOR, view.size - at), 0);
    }
    bdrv_close(bs);
    return view;
}

static void view_clear(View *view)
{
    g_free(view->data);
    g_free(view->errors);
}

static BlockCheck *check_disk(Disk *disk, unsigned fix)
{
    BlockDriverState *bs = open_disk(disk, BDRV_O_CHECK | BDRV_O_NO_BACKING | (fix ? BDRV_O_RDWR : 0));
    BlockCheck *found = bs ? bdrv_check(bs, fix, NULL) : NULL;

    bdrv_close(bs);
    return found;
}

static bool is_same(const View *a, const View *b, int64_t at)
{
    int64_t i = at / SECTOR;

    return a->open && at < a->size && a->errors[i] == b->errors[i] &&
           (a->errors[i] || !memcmp(a->data + at, b->data + at, (size_t)MIN(SECTOR, a->size - at)));
}

static void check_codes(Mend *m, Disk *disk, const char *when)
{
    BlockCheck *now = check_disk(disk, 0);

    if (!now) {
        g_error("%s: can't be checked any more", when);
    }
    for (int i = 0; i < now->count; i++) {
        const BlockFinding *f = &now->findings[i];

        if (f->level == BLOCK_CHECK_CORRUPTION && !strstr(m->codes, f->code) && strcmp(m->codes, "any")) {
            g_error("%s: %s is new: %s", when, f->code, f->cases[0].text);
        }
    }
    bdrv_check_free(now);
}

/* A sector that could not be read before may read as anything: its block is being put together */
static void check_view(Mend *m, Disk *disk, const char *when)
{
    View now = look(disk);

    if (m->before.open && !now.open) {
        g_error("%s: the image can't be opened any more", when);
    }
    for (int64_t at = 0; now.open && at < now.size; at += SECTOR) {
        bool was_readable = m->before.open && at < m->before.size && !m->before.errors[at / SECTOR];

        if (was_readable && !is_same(&m->before, &now, at) && !is_same(&m->after, &now, at)) {
            g_error("%s: sector at %" PRId64 " (%d, 0x%02x) reads neither as before (%d, 0x%02x) nor as after (%d, "
                    "0x%02x)", when, at, now.errors[at / SECTOR], now.data[at], m->before.errors[at / SECTOR],
                    m->before.data[at], m->after.errors[at / SECTOR], m->after.data[at]);
        }
    }
    view_clear(&now);
}

/* The same work done again, undisturbed */
static void check_rerun(Mend *m, Disk *disk, const char *when)
{
    BlockCheck *mended = check_disk(disk, BDRV_CHECK_FIX_ERRORS);

    if (!mended || mended->corruptions != m->corruptions || mended->leaks > m->leaks || mended->errors) {
        for (int i = 0; mended && i < mended->count; i++) {
            fprintf(stderr, "%s %s\n", mended->findings[i].code, mended->findings[i].cases[0].text);
        }
        g_error("%s: a second repair leaves %" PRId64 " corruptions and %" PRId64 " leaks, should be %" PRId64
                " and %" PRId64, when, mended ? mended->corruptions : -1, mended ? mended->leaks : -1,
                m->corruptions, m->leaks);
    }
    bdrv_check_free(mended);
    View now = look(disk);

    if (now.open != m->after.open || now.size != m->after.size) {
        g_error("%s, and a second repair: opened %d with %" PRId64 " bytes, should be %d with %" PRId64, when,
                now.open, now.size, m->after.open, m->after.size);
    }
    for (int64_t at = 0; at < now.size; at += SECTOR) {
        if (!is_same(&m->after, &now, at)) {
            g_error("%s, and a second repair: sector at %" PRId64 " (%d, 0x%02x) is not (%d, 0x%02x)", when, at,
                    now.errors[at / SECTOR], now.data[at], m->after.errors[at / SECTOR], m->after.data[at]);
        }
    }
    view_clear(&now);
}

/* The power cut */

typedef enum Keep { KEEP_NONE, KEEP_ALL, KEEP_SOME } Keep;

static void apply(Mend *m, Disk *disk, const DiskEvent *event, Keep keep)
{
    if (event->kind == DISK_SHRINK && (keep == KEEP_ALL || g_rand_boolean(m->rand))) {
        disk_truncate(disk, event->offset);
    }
    for (int64_t at = 0, n; event->kind == DISK_WRITE && at < event->bytes; at += n) {
        n = MIN(SECTOR - (event->offset + at) % SECTOR, event->bytes - at);
        if (keep == KEEP_ALL || g_rand_boolean(m->rand)) {
            disk_write(disk, event->offset + at, event->data + at, n);
        }
    }
}

static void check_cut(Mend *m, Disk *durable, GArray *log, guint flushed, guint cut, Keep keep)
{
    Disk *disk = disk_clone(durable);
    g_autofree char *when = g_strdup_printf("cut at %u of %u, flushed %u, kept %d", cut, log->len, flushed, keep);

    for (guint i = flushed; i < cut && keep != KEEP_NONE; i++) {
        apply(m, disk, &g_array_index(log, DiskEvent, i), keep);
    }
    check_codes(m, disk, when);
    check_view(m, disk, when);
    check_rerun(m, disk, when);
    disk_free(disk);
}

static void check_cuts(Mend *m)
{
    Disk *disk = disk_clone(m->start), *durable = disk_clone(m->start);

    disk_start_log(disk);
    bdrv_check_free(check_disk(disk, BDRV_CHECK_FIX_ERRORS));
    for (guint cut = 1, flushed = 0; cut <= disk->log->len; cut++) {
        if (g_array_index(disk->log, DiskEvent, cut - 1).kind == DISK_FLUSH) {
            for (; flushed < cut; flushed++) {
                apply(m, durable, &g_array_index(disk->log, DiskEvent, flushed), KEEP_ALL);
            }
        }
        check_cut(m, durable, disk->log, flushed, cut, KEEP_NONE);
        for (int i = 0; i < 5 && flushed < cut; i++) {
            check_cut(m, durable, disk->log, flushed, cut, i == 0 ? KEEP_ALL : KEEP_SOME);
        }
    }
    printf("%u events\n", disk->log->len);
    disk_free(disk);
    disk_free(durable);
}

/* The repair said that it succeeded, though a write failed: it needed that write for nothing, or did it again */
static void check_success(Mend *m, Disk *disk, const char *when)
{
    BlockCheck *now = check_disk(disk, 0);

    if (!now || now->corruptions > m->corruptions || now->leaks > m->leaks) {
        g_error("%s: the repair reported success, and left more behind than without the error", when);
    }
    bdrv_check_free(now);
}

/* The error. False: there were not so many writes */
static bool check_failure(Mend *m, int write, int flush, bool once, unsigned after)
{
    Disk *disk = disk_clone(m->start);
    g_autofree char *when = g_strdup_printf("write %u fails with %d%s, flushes with %d", after, write,
                                            once ? " once" : "", flush);

    disk->fail_errno = write;
    disk->flush_errno = flush;
    disk->fail_after = after;
    disk->fail_once = once;
    BlockCheck *found = check_disk(disk, BDRV_CHECK_FIX_ERRORS);
    bool failed = disk->failed > 0;

    disk->fail_errno = disk->flush_errno = 0;
    if (found && flush && m->repairs) {
        g_error("%s: the repair reported success", when);
    } else if (found && failed) {
        check_success(m, disk, when);
    }
    bdrv_check_free(found);
    check_view(m, disk, when);
    check_rerun(m, disk, when);
    disk_free(disk);
    return failed;
}

/* Changes of any kind fail in a row, and then the disk is well again. False: there were not so many */
static bool check_run(Mend *m, unsigned after, unsigned run)
{
    Disk *disk = disk_clone(m->start);
    g_autofree char *when = g_strdup_printf("of all changes %u fail from number %u on", run, after);

    disk->run_after = after;
    disk->run = run;
    BlockCheck *found = check_disk(disk, BDRV_CHECK_FIX_ERRORS);
    bool failed = disk->run_failed > 0;

    disk->run = 0;
    if (found && failed) {
        check_success(m, disk, when);
    }
    bdrv_check_free(found);
    check_view(m, disk, when);
    check_rerun(m, disk, when);
    disk_free(disk);
    return failed;
}

static void check_failures(Mend *m)
{
    static const int errors[] = { EIO, ENOSPC };

    for (unsigned run = 1; run <= MAX_RUN; run++) {
        for (unsigned after = 0; check_run(m, after, run); after++) {
        }
    }

    check_failure(m, 0, EIO, false, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(errors) * 2; i++) {
        for (unsigned after = 0; check_failure(m, errors[i / 2], 0, i % 2, after); after++) {
        }
    }
}

/* What is wrong at first may be wrong for longer */
static void add_codes(Mend *m)
{
    BlockCheck *found = check_disk(m->start, 0);
    GString *codes = g_string_new(m->codes);

    for (int i = 0; found && i < found->count && strcmp(m->codes, "any"); i++) {
        g_string_append_printf(codes, ",%s", found->findings[i].code);
    }
    bdrv_check_free(found);
    m->codes = g_string_free(codes, FALSE);
}

static void set_up(Mend *m, const char *file, int more)
{
    g_autofree char *bytes = NULL;
    gsize length;
    GError *err = NULL;

    if (!g_file_get_contents(file, &bytes, &length, &err)) {
        fprintf(stderr, "%s\n", err->message);
        exit(2);
    }
    m->start = disk_new();
    disk_write(m->start, 0, bytes, (int64_t)length);
    m->before = look(m->start);
    add_codes(m);
    Disk *mended = disk_clone(m->start);
    BlockCheck *found = check_disk(mended, BDRV_CHECK_FIX_ERRORS);

    if (!found) {       /* nothing can be made of it */
        exit(0);
    }
    m->after = look(mended);
    m->repairs = found->corruptions_fixed || found->leaks_fixed || found->notes_fixed;
    m->corruptions = found->corruptions;
    m->leaks = found->leaks + more;
    bdrv_check_free(found);
    disk_free(mended);
}

int main(int argc, char **argv)
{
    Mend m = { .rand = g_rand_new_with_seed(1), .codes = "" };
    int more = 0, c;

    while ((c = getopt(argc, argv, "lc:")) != -1) {
        more += c == 'l';
        m.codes = c == 'c' ? optarg : m.codes;
    }
    if (optind != argc - 1) {
        fprintf(stderr, "usage: mend [-l] [-c CODES] IMAGE\n");
        return 2;
    }
    set_up(&m, argv[optind], more);
    check_cuts(&m);
    check_failures(&m);
    view_clear(&m.before);
    view_clear(&m.after);
    disk_free(m.start);
    g_free((char *)m.codes);
    g_rand_free(m.rand);
    return 0;
}
