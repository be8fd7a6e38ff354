/* reopen.c - VHD: an open image changes between reading and writing */
/* SPDX-License-Identifier: MIT
 *
 * The image is judged once more, by the rules for the other mode, into a new state. The state before is kept until all
 * nodes have changed.
 */
#include <errno.h>
#include <string.h>
#include <glib.h>
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"
#include "block/format/vpc/vpc.h"

/* Take back the room that no block was put in, as close() does. False: it is not known whether the file ends in a
 * footer */
static bool end_writing(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    int ret = s->tail_at > s->blocks_end && !s->rewrite_footers ? vpc_trim(bs) : 0;

    if (ret < 0 && s->rewrite_footers) {
        bdrv_set_error(errp, -ret, "the footer could not be written: %s", g_strerror(-ret));
        return false;
    }
    return true;
}

/* Free what the state has beside its options */
static void clear_tables(VpcState *s)
{
    vpc_keys_free(&s->overlapping);
    g_clear_pointer(&s->broken, g_hash_table_destroy);
}

static bool is_same_image(const VpcState *before, const VpcState *now, GError **errp)
{
    bool same = !memcmp(&before->footer, &now->footer, sizeof(now->footer)) &&
                !memcmp(&before->header, &now->header, sizeof(now->header));

    if (!same) {
        bdrv_set_error(errp, EAGAIN, "another program has changed the image since it was opened");
    }
    return same;
}

bool vpc_reopen(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;

    if (!(bs->flags & BDRV_O_RDWR) && !end_writing(bs, errp)) {
        return false;
    }
    VpcState *before = g_memdup2(s, sizeof(*s));

    *s = (VpcState) { .options = before->options, .parent_loops = before->parent_loops, .before = before };
    bdrv_meta_forget(bs);
    if (vpc_open_image(bs, errp) && is_same_image(before, s, errp)) {
        return true;
    }
    vpc_reopen_done(bs, false);
    return false;
}

void vpc_reopen_done(BlockDriverState *bs, bool ok)
{
    VpcState *s = bs->state, *before = s->before;

    clear_tables(ok ? before : s);
    if (!ok) {
        *s = *before;
    }
    s->before = NULL;
    g_free(before);
}
