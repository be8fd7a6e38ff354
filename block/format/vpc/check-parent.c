/* check-parent.c - VHD: reports faults of parent locators, and whether a differencing disk finds its parent */
/* SPDX-License-Identifier: MIT
 *
 * The parent is looked for as open() does it, by vpc/backing.c. The images behind are opened, but not checked:
 * check --backing-chain does that.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/drivers.h"
#include "block/format/vpc/backing.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/check.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

static int64_t start_of(const VpcLocator *l)
{
    return (int64_t)MIN(be64_load(l->offset), INT64_MAX);
}

/* Return where the first block begins that ends above @at, or the end of all of them */
static int64_t next_block(const VpcCheck *c, int64_t at)
{
    const VpcState *s = c->bs->state;
    size_t i = vpc_keys_find(&c->blocks, vpc_key((uint32_t)MIN(at / VPC_SECTOR, UINT32_MAX), 0));
    bool inside = i > 0 && vpc_key_place(c->blocks.at[i - 1]) + vpc_stored_bytes(s) > at;

    return inside ? at : i < c->blocks.count ? MIN(s->read_limit, vpc_key_place(c->blocks.at[i])) : s->read_limit;
}

/* Return what a locator that has @bytes at @at is to keep clear of: blocks, the end, and metadata as far as that is in
 * use. Of two locators in one place the first is believed, and rather than a batmap that lies on it, it is */
static int64_t next_in_use(const VpcCheck *c, int slot, int64_t at, int64_t bytes)
{
    const VpcState *s = c->bs->state;
    int64_t next = next_block(c, at);

    for (unsigned i = 0; i < s->metadata_count; i++) {
        const VpcRange *range = &s->metadata[i];
        bool weaker = range->use == VPC_MAP || range->slot > slot;
        bool in_use = range->start < range->used && at < range->used && range->slot != slot;

        next = in_use && !(weaker && range->start < at + bytes) ? MIN(next, MAX(range->start, at)) : next;
    }
    return next;
}

/* Return why a locator can't be right, as a clause; NULL: it can. *@room: for how much there is room, in whole sectors;
 * 0: there is none for its name */
static const char *why_wrong(const VpcCheck *c, unsigned i, int64_t *room)
{
    const VpcState *s = c->bs->state;
    const VpcLocator *l = &s->header.locators[i];
    int64_t space = vpc_locator_space(l), length = be32_load(l->length), used = vpc_locator_used(l), at = start_of(l);
    unsigned faults = vpc_judge_locator(l, s->read_limit);
    int64_t next = next_in_use(c, (int)i, at, used);

    *room = align_down(MAX(next - at, 0), VPC_SECTOR);
    *room = faults & (VPC_NAME_OUTSIDE | VPC_NAME_LONG) || length > *room ? 0 : *room;
    if (faults & VPC_NAME_OUTSIDE) {
        return "it is not inside the file";
    }
    if (next < at + used) {
        return "it lies on other metadata";
    }
    if (faults & VPC_NAME_OVER_SPACE) {
        return "its data is longer than its room";
    }
    return space > next - at ? "its room reaches over something else, or over the end" : NULL;
}

/* Give the locator as much room as there is in c->mended, or take it out */
static void mend_locator(VpcCheck *c, unsigned i, int64_t room)
{
    const VpcState *s = c->bs->state;
    int64_t space = vpc_locator_space(&s->header.locators[i]), length = be32_load(s->header.locators[i].length);
    VpcLocator *l = &c->mended.locators[i];

    if (room == 0) {
        *l = (VpcLocator) { 0 };
    } else {
        be32_store(l->space, (uint32_t)MIN(room, MAX(space, align_up(length, VPC_SECTOR))));
    }
}

static void check_locators(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    c->mended = s->header;
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        const VpcLocator *l = &s->header.locators[i];
        uint32_t code = be32_load(l->code), space = be32_load(l->space);
        uint64_t at = be64_load(l->offset);
        int64_t room;
        const char *why = code ? why_wrong(c, i, &room) : NULL;

        if (why) {
            mend_locator(c, i, room);
            vpc_found(c, s->differencing ? VPC_LOCATOR_BAD : VPC_LOCATOR_IDLE, start_of(l), -1,
                      "locator %u (code 0x%08x, %" PRIu32 " bytes at %" PRIu64 ", room for %" PRIu32 "): %s", i, code,
                      be32_load(l->length), at, space, why);
        } else if (code && vpc_judge_locator(l, s->read_limit) & VPC_NAME_UNKNOWN) {
            vpc_found(c, VPC_LOCATOR_ODD, start_of(l), -1, "locator %u is of an unknown kind, 0x%08x", i, code);
        } else if (code && space > 0 && space < VPC_SECTOR) {
            vpc_found(c, VPC_LOCATOR_ODD, start_of(l), -1,
                      "locator %u has room for %" PRIu32 ", which must mean sectors", i, space);
        }
    }
}

static void compare_parent(VpcCheck *c, BlockDriverState *parent)
{
    VpcState *s = c->bs->state;
    int64_t size = bdrv_node_size(parent), ours = (int64_t)be64_load(s->footer.current_size);
    unsigned odd = vpc_judge_backing(&s->header, parent, ours);
    int64_t apart;

    if (vpc_changed_since(c->bs, parent, &apart)) {
        vpc_found(c, VPC_PARENT_TIME, -1, -1,
                  "parent '%s', %" PRId64 " seconds apart", parent->filename, apart);
    }
    if (odd & (VPC_BACKING_LONGER | VPC_BACKING_SHORTER)) {
        vpc_found(c, VPC_PARENT_SIZE, -1, -1,
                  "parent '%s' has %" PRId64 " bytes, its child %" PRId64 ": %s", parent->filename, size, ours,
                  odd & VPC_BACKING_LONGER ? "the end of it is not to be seen" : "the disk goes on with zeroes");
    }
}

/* Report an image that would be the parent but for its unique id, where the parent was not found */
static bool report_other_id(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    bool ignored = s->options.ignore_id;

    s->options.ignore_id = true;
    bool found = vpc_open_backing(c->bs, NULL);
    s->options.ignore_id = ignored;
    if (found) {
        const VpcState *parent = c->bs->backing->state;
        bool vpc = c->bs->backing->drv == &bdrv_vpc;
        g_autofree char *has = vpc ? vpc_uuid_text(parent->footer.uuid) : g_strdup("none");
        g_autofree char *want = vpc_uuid_text(s->header.parent_uuid);

        vpc_found(c, VPC_PARENT_OTHER, -1, -1,
                  "'%s' has the unique id %s, the parent's is %s", c->bs->backing->filename, has, want);
    }
    return found;
}

/* Open the parent, its parent, and so on */
static bool open_chain(VpcCheck *c, GError **errp)
{
    VpcState *s = c->bs->state;

    s->parent_loops = false;
    if (!vpc_open_backing(c->bs, errp)) {
        return false;
    }
    compare_parent(c, c->bs->backing);
    for (BlockDriverState *p = c->bs->backing; p; p = p->backing) {
        if (p->drv->open_backing && !p->drv->open_backing(p, errp)) {
            g_prefix_error(errp, "parent '%s': ", p->filename);
            s->parent_loops |= p->drv == &bdrv_vpc && ((VpcState *)p->state)->parent_loops;
            return false;
        }
    }
    return true;
}

/* Close them from the far end, as the layer remembers each of them */
static void close_chain(BlockDriverState *bs)
{
    while (bs->backing) {
        BlockDriverState *last = bs;

        while (last->backing->backing) {
            last = last->backing;
        }
        bdrv_close_backing(last->backing);
        last->backing = NULL;
    }
}

void vpc_check_parent(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    GError *err = NULL;

    check_locators(c);
    if (!s->differencing) {
        return;
    }
    if ((c->bs->flags & BDRV_O_NO_BACKING) || bdrv_is_probed(c->bs)) {
        vpc_found(c, VPC_PARENT_UNSEEN, -1, -1, "%s", c->bs->flags & BDRV_O_NO_BACKING ? "as was asked for"
                  : "its format was only guessed: that is not enough to open another file for it");
        return;
    }
    if (!open_chain(c, &err)) {
        bool cycle = s->parent_loops || bdrv_error_code(err) == ELOOP;

        if (cycle || c->bs->backing || !report_other_id(c)) {
            vpc_found(c, cycle ? VPC_PARENT_CYCLE : VPC_PARENT_MISSING, -1, -1, "%s", bdrv_error_message(err));
        }
        bdrv_error_free(err);
    }
    close_chain(c->bs);
}
