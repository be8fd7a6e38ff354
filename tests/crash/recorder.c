/* recorder.c - runs a scenario over blklogwrites, and keeps what a judge needs to know */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "kit.h"
#include "recorder.h"
#include "vhd.h"

enum { SECTOR = 512, MIB = 1 << 20, RANDOM_OPS = 40 };

/* Actions of requests */

/* Errors in a row may come at last, and then are met by close */
static void end_requests(Recorder *rec)
{
    const Fault *fault = &rec->opts->fault;

    if (!rec->broken && fault->iotype && fault->times > 1) {
        live_on(rec);
    }
    if (!rec->broken) {
        close_logged(rec);
    }
}

static void run_steps(Recorder *rec)
{
    const Action *action = rec->scenario->action;

    make_image(rec);
    start_log(rec);
    open_logged(rec, false);
    for (size_t i = 0; i < action->count && !rec->broken; i++) {
        do_step(rec, &action->steps[i]);
    }
    end_requests(rec);
}

static void run_random(Recorder *rec)
{
    make_image(rec);
    start_log(rec);
    open_logged(rec, false);
    while (rec->r->ops->len < RANDOM_OPS && !rec->broken) {
        do_something(rec);
    }
    end_requests(rec);
}

static void run_mixed(Recorder *rec)
{
    make_image(rec);
    start_log(rec);
    open_logged(rec, false);
    while (rec->r->ops->len < RANDOM_OPS && !rec->broken) {
        for (int64_t n = recorder_below(rec, 4); n >= 0 && !rec->broken; n--) {
            do_something(rec);
        }
        if (!rec->broken) {
            change_something(rec);
        }
    }
    end_requests(rec);
}

/* @options, "backing.…", for a parent that has the log, and is written to */
static char *with_logged_parent(const Recorder *rec, const char *options)
{
    g_autofree char *base = escaped(rec->file.file), *open = NULL, *logged = NULL;

    open = g_strdup_printf("%s,backing.%s,backing.read-only=off", options, rec->image->open);
    logged = with_log(rec, open, "backing.file", false);
    return g_strdup_printf("%s,backing.file.%sfile.%sfilename=%s", logged, rec->above ? "image." : "",
                           rec->r->fixed_length ? "file." : "", base);
}

/* What is written goes elsewhere, and into the image when it is committed */
static void run_snapshot(Recorder *rec)
{
    make_image(rec);
    start_log(rec);
    g_autofree char *top = g_strdup_printf("driver=cow,file.driver=mem,file.size=%" PRId64, rec->r->size + MIB);
    g_autofree char *options = with_logged_parent(rec, top);
    const Medium none = { 0 };

    guest_open(&rec->guest, &none, options, BDRV_O_RDWR);
    for (unsigned i = 0; i < 2; i++) {
        write_some(rec, rec->guest.bs, 70 + 10 * i);
        do_commit(rec);
    }
    close_logged(rec);
}

/* Actions of one call */

typedef bool Call(Recorder *rec, GError **errp);

/* What failed is not done, whatever the log has by then. An error that only close met is one of giving room back */
static void finish(Recorder *rec, bool ok)
{
    rec->r->done = ok ? guest_entries(&rec->guest) : UINT64_MAX;
    rec->r->errors += rec->guest.bs ? 0 : !ok;
    if (rec->guest.bs) {
        close_guest(rec);
    }
}

/* After some lengths of errors in a row it is made again at once, after others the image is closed */
static void call(Recorder *rec, Call *run)
{
    const Fault *fault = &rec->opts->fault;
    unsigned tries = fault->times > 1 && fault->times % 2 ? fault->times + 1 : 1;
    bool ok = false;

    for (unsigned i = 0; i < tries && !ok; i++) {
        GError *err = NULL;

        ok = run(rec, &err);
        g_assert_true(ok || fault->iotype);
        if (!ok && i > 0 && i == tries - 1) {
            rec->r->damage = g_strdup_printf("can't be done though the disk is well again: %s", bdrv_error_message(err));
        }
        bdrv_error_free(err);
    }
    finish(rec, ok);
}

static void run_create(Recorder *rec)
{
    rec->r->promise = PROMISE_CREATE;
    make_first_parent(rec);
    g_autofree char *create = create_options(rec), *options = with_log(rec, create, "file", false);
    GError *err = NULL;
    bool ok = medium_try_create(&rec->file, options, &err);

    g_assert_true(ok || rec->opts->fault.iotype);
    bdrv_error_free(err);
    finish(rec, ok);
    rec->r->before = g_memdup2(rec->now, (gsize)rec->r->most);
    rec->r->start = disk_new();
}

static bool do_commit_call(Recorder *rec, GError **errp)
{
    return bdrv_commit(rec->guest.bs, 1, NULL, NULL, errp);
}

/* The log is of the parent that is committed to */
static void run_commit(Recorder *rec)
{
    rec->r->promise = PROMISE_COMMIT;
    make_image(rec);
    rec->r->top = make_top(rec);
    rec->r->after = g_memdup2(rec->now, (gsize)rec->r->most);
    start_log(rec);
    g_autofree char *options = with_logged_parent(rec, "driver=vpc");
    const Medium top = { .file = rec->r->top };

    guest_open(&rec->guest, &top, options, BDRV_O_RDWR);
    call(rec, do_commit_call);
}

static ParentChoice new_parent(const Recorder *rec)
{
    switch (rec->scenario->action->kind) {
    case ACTION_RELINK:
        return PARENT_MOVED;
    case ACTION_REBASE:
        return PARENT_OTHER;
    default:
        return PARENT_NONE;
    }
}

static bool do_rebase(Recorder *rec, GError **errp)
{
    BlockRebaseOptions opts = { .names_only = rec->r->names_only };

    return bdrv_rebase(rec->guest.bs, rec->r->target, &opts, errp);
}

static void run_rebase(Recorder *rec)
{
    rec->r->promise = PROMISE_REBASE;
    make_image(rec);
    BlockDriverState *bs = medium_open(&rec->file, rec->image->open, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    write_some(rec, bs, 70);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    vhd_fill_clear(&rec->file);
    start_log(rec);
    memcpy(rec->r->before, rec->now, (size_t)rec->r->size);
    rec->r->target = g_strdup(need_parent(rec, new_parent(rec)));
    rec->r->names_only = new_parent(rec) == PARENT_MOVED;
    g_autofree char *options = with_log(rec, rec->image->open, "file", false);

    guest_open(&rec->guest, &rec->file, options, BDRV_O_RDWR | (rec->r->names_only ? BDRV_O_NO_BACKING : 0));
    call(rec, do_rebase);
}

static bool do_repair(Recorder *rec, GError **errp)
{
    BlockCheck *check = bdrv_check(rec->guest.bs, BDRV_CHECK_FIX_ERRORS, errp);

    bdrv_check_free(check);
    return check != NULL;
}

static void run_repair(Recorder *rec)
{
    rec->r->promise = PROMISE_REPAIR;
    make_image(rec);
    start_log(rec);
    g_autofree char *options = with_log(rec, rec->image->open, "file", false);
    guest_open(&rec->guest, &rec->file, options, BDRV_O_CHECK | BDRV_O_RDWR);
    call(rec, do_repair);
}

static int64_t resized(const Recorder *rec)
{
    const Action *action = rec->scenario->action;

    return rec->r->size * action->numerator / action->denominator / SECTOR * SECTOR;
}

static bool do_truncate(Recorder *rec, GError **errp)
{
    bool ok = bdrv_truncate(rec->guest.bs, resized(rec), errp);

    g_assert_true(!ok || bdrv_getlength(rec->guest.bs) == rec->r->new_size);
    return ok;
}

/* What others find behind the new end, or did before it grew, is zero */
static void run_resize(Recorder *rec)
{
    rec->r->promise = PROMISE_RESIZE;
    make_image(rec);
    start_log(rec);
    g_autofree char *options = with_log(rec, rec->image->open, "file", false);
    guest_open(&rec->guest, &rec->file, options, BDRV_O_RDWR);
    call(rec, do_truncate);
}

static void run_action(Recorder *rec)
{
    switch (rec->scenario->action->kind) {
    case ACTION_CREATE:
        run_create(rec);
        break;
    case ACTION_STEPS:
        run_steps(rec);
        break;
    case ACTION_RANDOM:
        run_random(rec);
        break;
    case ACTION_MIXED:
        run_mixed(rec);
        break;
    case ACTION_SNAPSHOT:
        run_snapshot(rec);
        break;
    case ACTION_COMMIT:
        run_commit(rec);
        break;
    case ACTION_REPAIR:
        run_repair(rec);
        break;
    case ACTION_RESIZE:
        run_resize(rec);
        break;
    default:
        run_rebase(rec);
    }
}

/* Recordings */

static void op_clear(void *op)
{
    g_free(((GuestOp *)op)->found);
}

static char *make_folder(const char *below)
{
    char *folder = g_build_filename(below, "recording-XXXXXX", NULL);

    if (!g_mkdtemp(folder)) {
        g_error("could not make a folder in '%s'", below);
    }
    char *whole = g_canonicalize_filename(folder, NULL);

    g_free(folder);
    return whole;
}

/* Reads always work, as the guest has to look what a failed request did */
static void add_fault(GString *to, const char *node, const Fault *fault)
{
    g_string_append_printf(to, ",%s.inject-error.0.iotype=read,%s.inject-error.0.errno=0,%s.inject-error.1.errno=%d,"
                           "%s.inject-error.1.skip=%u", node, node, node, fault->err, node, fault->skip);
    if (strcmp(fault->iotype, "any") != 0) {
        g_string_append_printf(to, ",%s.inject-error.1.iotype=%s", node, fault->iotype);
    }
    if (!fault->stays) {
        g_string_append_printf(to, ",%s.inject-error.1.times=%u", node, MAX(fault->times, 1));
    }
    if (fault->effect) {
        g_string_append_printf(to, ",%s.inject-error.1.effect=%s", node, fault->effect);
    }
}

/* QEMU counts by states, which begin with 1 */
static void add_qemu_fault(GString *to, const Fault *fault)
{
    g_string_append_printf(to, ",file.inject-error.0.iotype=%s,file.inject-error.0.errno=%d,file.inject-error.0.once=%s",
                           fault->iotype, fault->err, fault->stays ? "off" : "on");
    for (unsigned i = 0; i < fault->skip; i++) {
        g_string_append_printf(to, ",file.set-state.%u.event=pwritev,file.set-state.%u.state=%u,"
                               "file.set-state.%u.new_state=%u", i, i, i + 1, i, i + 2);
    }
    g_string_append_printf(to, ",file.inject-error.0.event=pwritev,file.inject-error.0.state=%u", fault->skip + 1);
}

/* Of a commit it is the parent that has the log */
static char *options_above(const Scenario *s, const RecordOptions *opts)
{
    bool commit = s->action->kind == ACTION_COMMIT || s->action->kind == ACTION_SNAPSHOT;
    const char *node = commit ? "backing.file" : "file";

    if (!opts->fault.iotype) {
        return g_strdup(s->image.above);
    }
    GString *above = g_string_new(s->image.above);

    if (!s->image.above) {
        g_string_append_printf(above, "%s.driver=blkdebug", node);
    }
    if (opts->qemu) {
        add_qemu_fault(above, &opts->fault);
    } else {
        add_fault(above, node, &opts->fault);
    }
    return g_string_free(above, FALSE);
}

static char *name_of(const Scenario *s, const RecordOptions *opts)
{
    const Fault *fault = &opts->fault;
    GString *name = g_string_new(s->name);

    if (s->seeds > 1) {
        g_string_append_printf(name, ":%u", opts->seed);
    }
    g_string_append(name, opts->qemu ? " --qemu" : "");
    if (fault->iotype) {
        g_string_append_printf(name, " --fail %s:%u:%d%s", fault->iotype, fault->skip, fault->err,
                               fault->stays ? ":stays" : "");
        if (fault->times > 1) {
            g_string_append_printf(name, ":%u", fault->times);
        }
        g_string_append_printf(name, "%s%s", fault->effect ? ":" : "", fault->effect ? fault->effect : "");
    }
    return g_string_free(name, FALSE);
}

/* What is random is of random length, too. Xen's sizes are rounded */
static void choose_sizes(Recorder *rec)
{
    Recording *r = rec->r;
    int64_t size = rec->image->size, unit = strstr(rec->image->create, "for=xen") ? 2 << 20 : SECTOR;
    int kind = rec->scenario->action->kind;

    r->size = rec->size = kind == ACTION_RANDOM ? (1 + recorder_below(rec, size / SECTOR)) * SECTOR : size;
    if (kind == ACTION_RESIZE) {
        r->new_size = (resized(rec) + unit - 1) / unit * unit;
    }
    r->most = MAX(r->size * scenario_growth(rec->scenario), r->new_size);
    r->resized = kind == ACTION_RESIZE || scenario_growth(rec->scenario) > 1;
}

static Recording *new_recording(const Scenario *s, const RecordOptions *opts, const char *folder)
{
    Recording *r = g_new0(Recording, 1);

    r->name = name_of(s, opts);
    r->open = g_strdup(s->image.open);
    r->vhd = g_str_has_prefix(s->image.open, "driver=vpc");
    r->fixed = strstr(s->image.create, "subformat=fixed") != NULL;
    /* It does not look at bits, and so shows what is under a clear one, also of a write that failed; nor has it parents */
    r->qemu = s->image.qemu && s->action->start != START_JUNK && !(s->action->start == START_CLEAR && opts->fault.iotype) &&
              s->action->kind != ACTION_MIXED && !scenario_has_step(s, STEP_PARENT);
    r->theirs = opts->qemu;
    r->sector = s->image.sector;
    r->fixed_length = s->image.room > 0;
    r->weight = s->image.weight * (s->seeds > 1 ? 3 : 1);     /* many seeds, fewer states of each */
    r->fails = opts->fault.iotype;
    r->frail = opts->fault.times > 1;
    r->settled = UINT64_MAX;
    r->folder = make_folder(folder);
    r->ops = g_array_new(FALSE, FALSE, sizeof(GuestOp));
    g_array_set_clear_func(r->ops, op_clear);
    return r;
}

static void clear_recorder(Recorder *rec)
{
    g_free(rec->above);
    g_free(rec->file.file);
    g_clear_pointer(&rec->file.disk, disk_free);
    for (int i = 0; i < PARENT_CHOICES; i++) {
        g_free(rec->parents[i].file);
    }
    g_free(rec->guest.log);
    g_free(rec->now);
    g_rand_free(rec->rand);
}

Recording *scenario_record(const Scenario *s, const RecordOptions *opts, const char *folder)
{
    Recording *r = new_recording(s, opts, folder);
    Recorder rec = { .scenario = s, .image = &s->image, .r = r, .rand = g_rand_new_with_seed(opts->seed + 1),
                     .opts = opts, .above = options_above(s, opts),
                     .parent = s->image.child ? PARENT_FIRST : PARENT_NONE };
    GError *err = NULL;

    choose_sizes(&rec);
    rec.now = g_malloc0((gsize)r->most);
    if (s->image.storage) {
        rec.file.disk = disk_new();
    } else {
        rec.file.file = g_build_filename(r->folder, "image", NULL);
    }
    rec.guest.log = g_build_filename(r->folder, "log", NULL);
    run_action(&rec);
    r->log = writelog_read(rec.guest.log, &err);
    g_assert_no_error(err);
    clear_recorder(&rec);
    return r;
}

static void remove_folder(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        unlink(path);
    }
    g_clear_pointer(&dir, g_dir_close);
    rmdir(folder);
}

void recording_free(Recording *r)
{
    remove_folder(r->folder);
    writelog_free(r->log);
    disk_free(r->start);
    g_array_unref(r->ops);
    g_free(r->before);
    g_free(r->after);
    g_free(r->name);
    g_free(r->open);
    g_free(r->damage);
    g_free(r->folder);
    g_free(r->top);
    g_free(r->target);
    g_free(r);
}
