/* check.c - VHD: calls all parts of a check, one after another */
/* SPDX-License-Identifier: MIT
 *
 * A check also takes images that open() refuses. So it begins with the bytes of the footers (vpc/check-ends.c) and goes
 * on with the header (vpc/check-header.c). If the BAT can be found, the blocks follow (vpc/check-blocks.c), their
 * bitmaps (vpc/check-bitmaps.c), free space (vpc/check-space.c) and the parent (vpc/check-parent.c). Nothing is written
 * here: vpc/repair.c repairs. The codes of findings are in vpc/findings.c and docs/VHD.md.
 */
#include <errno.h>
#include <inttypes.h>
#include "block/format/vpc/check.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"

static void check_sparse(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    bool bat = vpc_check_header(c), header = vpc_has_header_cookie(&s->header);
    GError *err = NULL;

    vpc_check_limit(c, bat && s->read_limit == 0 ? vpc_check_reach(c) : 0);
    if (bat && vpc_judge_header(&s->header, s->read_limit) != VPC_HEADER_GOOD) {
        vpc_found(c, VPC_BAT_BAD, s->bat_offset, -1, "the BAT reaches to %" PRId64 ", over the footer at %" PRId64,
                  s->bat_offset + s->bat_bytes, s->read_limit);
        bat = c->orderly = false;
    }
    if (bat && !vpc_claim_metadata(c->bs, c->ends.size, &err)) {
        vpc_found(c, VPC_BAT_BAD, s->bat_offset, -1, "%s", bdrv_error_message(err));
        bdrv_error_free(err);
        bat = c->orderly = false;
    }
    if (bat) {
        vpc_check_odd_header(c);
        vpc_check_padding(c);
        vpc_check_batmap(c);
        vpc_check_bat(c);
        vpc_check_bitmaps(c);
        vpc_check_space(c);
    }
    if (header) {
        vpc_check_header_sum(c);
        vpc_check_parent(c);
    }
}

static void check_fixed(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    int64_t size = (int64_t)be64_load(s->footer.current_size);

    if (s->read_limit == 0) {
        s->read_limit = c->new_tail = c->ends.tail_at;
    }
    if (size > s->read_limit) {
        vpc_found(c, VPC_FILE_SHORT, s->read_limit, -1,
                  "the disk has %" PRId64 " bytes, the file %" PRId64 " of them", size, s->read_limit);
    } else if (size < s->read_limit) {
        vpc_found(c, VPC_SIZE_ODD, size, -1,
                  "the file holds %" PRId64 " bytes of data, more than the current size of %" PRId64, s->read_limit,
                  size);
    }
    vpc_check_limit(c, 0);
    c->sums->image_end_offset = s->read_limit + VPC_SECTOR;
}

bool vpc_check(BlockDriverState *bs, BlockCheck *sums, BlockCheckBuilder *found, GError **errp)
{
    VpcState *s = bs->state;
    VpcCheck *c = vpc_check_new(bs, sums, found);

    if (!vpc_read_ends(bs, &c->ends, errp) || !vpc_check_choose(c, errp)) {
        return false;
    }
    if (vpc_check_footer(c)) {
        if (s->fixed) {
            check_fixed(c);
        } else {
            check_sparse(c);
        }
    }
    s->tail_at = s->read_limit;
    s->grow_limit = INT64_MAX;
    if (c->cancelled) {
        bdrv_set_error(errp, ECANCELED, "the check was cancelled");
    }
    return !c->cancelled;
}
