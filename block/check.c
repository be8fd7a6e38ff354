/* check.c - bdrv_check(): finds damage, and repairs it, one kind at a time */
/* SPDX-License-Identifier: MIT
 *
 * A driver's check() only looks, and its repair() repairs one kind of damage. After each repair the image is flushed
 * and checked again, from disk. So an interrupted repair leaves an image as if fewer kinds had been repaired, and the
 * next check continues from there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include "block/layer.h"

#define MAX_CASES 5         /* that are described, of one kind */

typedef struct Kind {
    int64_t count;
    GArray *cases;          /* of BlockCheckCase; NULL: none */
} Kind;

struct BlockCheckBuilder {
    int kinds;
    Kind *found;            /* one for each kind; the last one is for reads that failed */
};

/* A BlockCheck, which bdrv_check() returns, and what belongs to it */
typedef struct OwnedCheck {
    BlockCheck check;
    GArray *findings;       /* of BlockFinding; their cases are in the builders */
    BlockCheckBuilder now, repaired;
} OwnedCheck;

static const BlockCheckKind unreadable = {
    "IO", BLOCK_CHECK_ERROR, .name = "could not be read",
    .advice = "nothing is repaired as long as there is something that can't be read",
};

static void case_clear(void *item)
{
    g_free((char *)((BlockCheckCase *)item)->text);
}

static void kind_clear(Kind *kind)
{
    if (kind->cases) {
        g_array_unref(kind->cases);
    }
    *kind = (Kind) { 0 };
}

static void builder_init(BlockCheckBuilder *b, const BlockCheckKind *table)
{
    while (table[b->kinds].code) {
        b->kinds++;
    }
    b->found = g_new0(Kind, (gsize)b->kinds + 1);
}

static void builder_clear(BlockCheckBuilder *b)
{
    for (int i = 0; i <= b->kinds; i++) {
        kind_clear(&b->found[i]);
    }
}

void bdrv_check_found(BlockCheckBuilder *found, int kind, int64_t offset, int64_t cluster, const char *format, ...)
{
    Kind *k = &found->found[kind < 0 ? found->kinds : kind];
    va_list args;

    if (k->count++ >= MAX_CASES) {
        return;
    }
    if (!k->cases) {
        k->cases = g_array_new(FALSE, FALSE, sizeof(BlockCheckCase));
        g_array_set_clear_func(k->cases, case_clear);
    }
    va_start(args, format);
    const BlockCheckCase one = { g_strdup_vprintf(format, args), offset, cluster };
    va_end(args);
    g_array_append_val(k->cases, one);
}

void bdrv_check_found_more(BlockCheckBuilder *found, int kind, int64_t count)
{
    found->found[kind < 0 ? found->kinds : kind].count += MAX(count, 0);
}

/* Return the first kind that may be repaired now, or -1. Each kind is tried once */
static int next_repair(const BlockCheckKind *table, const BlockCheckBuilder *now, const BlockCheckBuilder *tried,
                       unsigned fix)
{
    if (now->found[now->kinds].count > 0) {
        return -1;
    }
    for (int i = 0; i < now->kinds; i++) {
        if (now->found[i].count > 0 && (table[i].fix & fix) && !tried->found[i].count) {
            return i;
        }
        if (now->found[i].count > 0 && table[i].stops) {
            return -1;
        }
    }
    return -1;
}

static int repair(BlockDriverState *bs, OwnedCheck *own, int kind)
{
    kind_clear(&own->repaired.found[kind]);
    own->repaired.found[kind] = own->now.found[kind];
    own->now.found[kind] = (Kind) { 0 };

    int ret = block_answer(bs, "repair", bs->drv->repair(bs, kind));
    return ret < 0 ? ret : bdrv_node_flush(bs);
}

/* List what was repaired before @kind, as the end of an error message. "" if nothing was */
static char *list_repaired(const BlockCheckKind *table, const BlockCheckBuilder *repaired, int kind)
{
    GString *text = g_string_new(NULL);

    for (int i = 0; i < repaired->kinds; i++) {
        const Kind *done = &repaired->found[i];

        if (i == kind || done->count == 0) {
            continue;
        }
        g_string_append_printf(text, "%s%s (%s), %" PRId64 " times",
                               text->len ? "; " : "; repaired before it: ", table[i].code, table[i].name, done->count);
        for (guint j = 0; done->cases && j < done->cases->len; j++) {
            g_string_append_printf(text, ", %s", g_array_index(done->cases, BlockCheckCase, j).text);
        }
    }
    return g_string_free(text, FALSE);
}

static bool look_and_repair(BlockDriverState *bs, OwnedCheck *own, unsigned fix, GError **errp)
{
    const BlockCheckKind *table = bs->drv->check_kinds;
    int kind = -1, ret = 0;

    do {
        if (kind >= 0) {
            ret = repair(bs, own, kind);
        }
        if (ret < 0) {
            g_autofree char *before = list_repaired(table, &own->repaired, kind);

            bdrv_set_error(errp, -ret, "could not repair %s (%s): %s%s", table[kind].code, table[kind].name,
                           ret == -EAGAIN ? "it can be read now, and is another than the check took it for; check again"
                                          : g_strerror(-ret), before);
            return false;
        }
        builder_clear(&own->now);
        own->check = (BlockCheck) { 0 };
        if (!block_says_why(bs, "check", bs->drv->check(bs, &own->check, &own->now, errp), errp)) {
            return false;
        }
        kind = next_repair(table, &own->now, &own->repaired, fix);
    } while (kind >= 0);
    return true;
}

static void add_finding(OwnedCheck *own, const BlockCheckKind *kind, int index, bool held_up)
{
    const Kind *now = &own->now.found[index], *before = &own->repaired.found[index];
    const Kind *shown = now->count ? now : before;
    BlockFinding f = { kind->code, kind->level, kind->name, kind->advice, held_up ? 0 : kind->fix, now->count,
                       MAX(0, before->count - now->count) };
    int64_t *const count[] = { &own->check.notes, &own->check.leaks, &own->check.corruptions, &own->check.errors };
    int64_t *const fixed[] = { &own->check.notes_fixed, &own->check.leaks_fixed, &own->check.corruptions_fixed, NULL };

    if (shown->count == 0) {
        return;
    }
    if (shown->cases) {
        f.cases_count = (int)shown->cases->len;
        f.cases = (const BlockCheckCase *)(void *)shown->cases->data;
    }
    *count[kind->level] += f.count;
    if (f.fixed > 0 && fixed[kind->level]) {
        *fixed[kind->level] += f.fixed;
    }
    g_array_append_val(own->findings, f);
}

static void sum_up(OwnedCheck *own, const BlockCheckKind *table)
{
    int kinds = own->now.kinds;
    bool held_up = own->now.found[kinds].count > 0;

    own->findings = g_array_new(FALSE, FALSE, sizeof(BlockFinding));
    add_finding(own, &unreadable, kinds, true);
    for (int i = 0; i < kinds; i++) {
        add_finding(own, &table[i], i, held_up);
        held_up |= table[i].stops && own->now.found[i].count > 0;
    }
    own->check.count = (int)own->findings->len;
    own->check.findings = (const BlockFinding *)(void *)own->findings->data;
}

static bool may_check(BlockDriverState *bs, unsigned fix, GError **errp)
{
    if (!bs->drv->check) {
        bdrv_set_error(errp, ENOTSUP, "driver '%s' has no checks", bs->drv->name);
    } else if (!(bs->flags & BDRV_O_CHECK)) {
        bdrv_set_error(errp, EINVAL, "the image was not opened to be checked");
    } else if (fix && !(bs->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EPERM, "the image is open for reading only");
    } else {
        return true;
    }
    return false;
}

BlockCheck *bdrv_check(BlockDriverState *bs, unsigned fix, GError **errp)
{
    return bdrv_check_telling(bs, fix, NULL, NULL, errp);
}

BlockCheck *bdrv_check_telling(BlockDriverState *bs, unsigned fix, BlockProgress *progress, void *user, GError **errp)
{
    BlockTree *tree = bs->priv->tree;

    if (!may_check(bs, fix, errp)) {
        return NULL;
    }
    OwnedCheck *own = g_new0(OwnedCheck, 1);

    builder_init(&own->now, bs->drv->check_kinds);
    builder_init(&own->repaired, bs->drv->check_kinds);
    fix |= fix & BDRV_CHECK_FIX_ERRORS ? BDRV_CHECK_FIX_LEAKS : 0;
    block_enter_alone(tree);
    block_begin_progress(tree, progress, user);
    bool ok = look_and_repair(bs, own, fix, errp);
    block_end_progress(tree, "check", errp);
    block_leave_alone(tree);

    sum_up(own, bs->drv->check_kinds);
    if (!ok) {
        bdrv_check_free(&own->check);
        return NULL;
    }
    return &own->check;
}

void bdrv_check_free(BlockCheck *check)
{
    if (check) {
        OwnedCheck *own = (OwnedCheck *)check;

        builder_clear(&own->now);
        builder_clear(&own->repaired);
        g_free(own->now.found);
        g_free(own->repaired.found);
        g_array_unref(own->findings);
        g_free(own);
    }
}
