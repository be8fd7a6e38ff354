/* vpc-check-parent.c - VHD: does a differencing disk lead to its parent? */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/drivers.h"
#include "block/vpc-check.h"
#include "block/vpc-parent.h"
#include "util/be.h"

static int64_t space_of(const VpcLocator *l)
{
    int64_t space = be32_load(l->space);

    return space < VPC_SECTOR ? space * VPC_SECTOR : space;
}

/* Why a locator can't be right; NULL if it can */
static const char *misfit(const VpcState *s, unsigned i)
{
    const VpcLocator *l = &s->header.locators[i];
    int64_t space = space_of(l), length = be32_load(l->length);
    uint64_t at = be64_load(l->offset);

    if (length > space) {
        return "its data is longer than its room";
    }
    if (at > (uint64_t)s->limit || space > s->limit - (int64_t)at) {
        return "it is not inside the file";
    }
    for (unsigned k = 0, same = 0; k < s->metadata_count && space > 0; k++) {
        const VpcRange *range = &s->metadata[k];
        bool itself = range->start == (int64_t)at && range->end == (int64_t)at + space && !same++;

        if (!itself && (int64_t)at < range->end && range->start < (int64_t)at + space) {
            return "it lies on other metadata";
        }
    }
    return NULL;
}

static void check_locators(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        const VpcLocator *l = &s->header.locators[i];
        uint32_t code = be32_load(l->code), space = be32_load(l->space);
        int64_t at = (int64_t)be64_load(l->offset);
        const char *why = code ? misfit(s, i) : NULL;

        if (why) {
            vpc_found(c, s->differencing ? VPC_LOCATOR_BAD : VPC_LOCATOR_ODD, at, -1,
                      "locator %u (code 0x%08x, %" PRIu32 " bytes at %" PRIu64 ", room for %" PRIu32 "): %s", i, code,
                      be32_load(l->length), (uint64_t)at, space, why);
        } else if (code && !vpc_locator_name(code)) {
            vpc_found(c, VPC_LOCATOR_ODD, at, -1, "locator %u is of an unknown kind, 0x%08x", i, code);
        } else if (code && space > 0 && space < VPC_SECTOR) {
            vpc_found(c, VPC_LOCATOR_ODD, at, -1,
                      "locator %u has room for %" PRIu32 ", which must mean sectors", i, space);
        }
    }
}

static void compare_parent(VpcCheck *c, BlockDriverState *parent)
{
    VpcState *s = c->bs->state;
    uint32_t stored = be32_load(s->header.parent_timestamp);
    int64_t size = bdrv_node_size(parent), ours = (int64_t)be64_load(s->footer.current_size);
    int64_t changed;

    if (stored && vpc_when_changed(parent, &changed) && changed != stored) {
        vpc_found(c, VPC_PARENT_TIME, -1, -1,
                  "parent '%s', %" PRId64 " seconds apart", parent->filename, changed - stored);
    }
    if (size != ours) {
        vpc_found(c, VPC_PARENT_SIZE, -1, -1,
                  "parent '%s' has %" PRId64 " bytes, its child %" PRId64 ": %s", parent->filename, size, ours,
                  size > ours ? "the end of it is not to be seen" : "the disk goes on with zeroes");
    }
}

/* The parent was not found: is there one with a wrong id? That is another thing to be told */
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

/* The parent, its parent, and so on */
static bool open_chain(VpcCheck *c, GError **errp)
{
    VpcState *s = c->bs->state;

    s->loops = false;
    if (!vpc_open_backing(c->bs, errp)) {
        return false;
    }
    compare_parent(c, c->bs->backing);
    for (BlockDriverState *p = c->bs->backing; p; p = p->backing) {
        if (p->drv->open_backing && !p->drv->open_backing(p, errp)) {
            g_prefix_error(errp, "parent '%s': ", p->filename);
            s->loops |= p->drv == &bdrv_vpc && ((VpcState *)p->state)->loops;
            return false;
        }
    }
    return true;
}

/* From the far end, as the layer remembers each of them */
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
        bool cycle = s->loops || bdrv_error_code(err) == ELOOP;

        if (cycle || c->bs->backing || !report_other_id(c)) {
            vpc_found(c, cycle ? VPC_PARENT_CYCLE : VPC_PARENT_MISSING, -1, -1, "%s", bdrv_error_message(err));
        }
        bdrv_error_free(err);
    }
    close_chain(c->bs);
}
