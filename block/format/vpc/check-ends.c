/* check-ends.c - VHD: chooses the footer that a check goes by, and reports faults of both footers */
/* SPDX-License-Identifier: MIT
 *
 * vpc/ends.c reads the footer at the end of the file and its copy at the start, and chooses one of them for open(). A
 * check goes on where open() fails: with a footer whose checksum is wrong, with one that has other bytes behind it, or
 * with one that is made up from the header.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/check.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

#define TAPDISK_JUNK    0xc7            /* fills the footer while tapdisk has the image open */

/* Return whether @f can be the footer of this file, by the header that it refers to. @sealed: the checksum of that has
 * to be right */
static bool is_possible(VpcCheck *c, const VpcFooter *f, bool sealed)
{
    uint64_t at = be64_load(f->data_offset);
    VpcHeader h;

    if (vpc_judge_footer(f) != VPC_FOOTER_GOOD || !vpc_is_sparse(f) || !vpc_is_header_place(at, c->ends.size)) {
        return false;
    }
    if (!vpc_check_read(c, (int64_t)at, &h, sizeof(h), "header")) {
        return true;
    }
    return vpc_is_header_of(&h, f) && (!sealed || vpc_header_is_sealed(&h));
}

/* Return whether only the checksum of @f may be wrong. @limit: where it was found */
static bool is_sane(VpcCheck *c, const VpcFooter *f, int64_t limit)
{
    if (!vpc_is_plain_footer(f)) {
        return false;
    }
    if (vpc_type(f) != VPC_FIXED) {
        return is_possible(c, f, false);
    }
    return (int64_t)be64_load(f->current_size) == limit && be64_load(f->data_offset) == UINT64_MAX;
}

static bool take_unsealed(VpcCheck *c, const VpcFooter *f, int64_t at, VpcFound found)
{
    VpcState *s = c->bs->state;

    if (!is_sane(c, f, at)) {
        return false;
    }
    vpc_found(c, VPC_NO_CHECKSUM, at, -1,
              "the checksum of the footer at %" PRId64 " is 0x%08x, should be 0x%08x", at, be32_load(f->checksum),
              vpc_footer_sum(f));
    s->footer = *f;
    vpc_seal_footer(&s->footer);
    s->found = found;
    return true;
}

/* Make a footer up from the header alone, for the largest disk that it has entries for, so that the rest can be looked
 * at */
static bool make_up_footer(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    VpcFooter f = { .cookie = VPC_COOKIE };
    VpcHeader h;

    if (!vpc_check_read(c, VPC_SECTOR, &h, sizeof(h), "header")) {
        return false;
    }

    be32_store(f.version, VPC_VERSION);
    be32_store(f.features, VPC_FEATURES);
    be32_store(f.type, vpc_has_id(h.parent_uuid) ? VPC_DIFFERENCING : VPC_DYNAMIC);
    be64_store(f.data_offset, VPC_SECTOR);
    be64_store(f.current_size, (uint64_t)be32_load(h.entries) * be32_load(h.block_size));
    be64_store(f.original_size, be64_load(f.current_size));
    if (!is_possible(c, &f, true)) {
        return false;
    }
    vpc_found(c, VPC_NO_FOOTER, 0, -1, "there is a header at 512, and a footer neither at the start nor at the end");
    s->footer = f;
    s->found = VPC_AT_HEAD;
    return true;
}

/* Return where a stray footer is. -1: there is none, or the file could not be read, which is reported */
static int64_t find_stray(VpcCheck *c)
{
    int64_t at = vpc_stray_footer(c->bs, &c->ends);

    if (at < 0 && at != -ENOENT && !c->ends.tail_error) {
        vpc_found(c, -1, c->ends.tail_at, -1, "the end of the file could not be read: %s", g_strerror((int)-at));
    }
    return MAX(at, -1);
}

/* Choose a footer where neither the end nor the start of the file has a valid one */
static bool choose_without_any(VpcCheck *c, GError **errp)
{
    VpcState *s = c->bs->state;
    const VpcEnds *e = &c->ends;
    int64_t stray = find_stray(c);

    if (vpc_fixed_at_start(e, errp)) {
        return false;
    }
    if (stray > 0 && bdrv_node_pread(c->bs->file, stray, &s->footer, sizeof(s->footer)) == 0 &&
        (is_possible(c, &s->footer, true) || be64_load(s->footer.current_size) == (uint64_t)stray)) {
        s->found = VPC_AT_TAIL;
        s->read_limit = c->new_tail = stray;
        return true;
    }
    return (e->tail_at >= 0 && take_unsealed(c, &e->tail, e->tail_at, VPC_AT_TAIL)) ||
           take_unsealed(c, &e->head, 0, VPC_AT_HEAD) || make_up_footer(c) || vpc_no_footer(c->bs, e, errp);
}

bool vpc_check_choose(VpcCheck *c, GError **errp)
{
    VpcState *s = c->bs->state;
    const VpcEnds *e = &c->ends;

    if (!vpc_choose_end(e, &s->footer, &s->found)) {
        return choose_without_any(c, errp);
    }
    if (s->found != VPC_AT_HEAD) {
        s->read_limit = c->new_tail = e->tail_at;
    }
    if (s->found == VPC_AT_TAIL_511) {
        vpc_found(c, VPC_TAIL_511, e->tail_at, -1,
                  "the footer at %" PRId64 " has 511 bytes, as before Virtual PC 2004: most programs do not find it",
                  e->tail_at);
    }
    return true;
}

static void compare_ends(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    const VpcEnds *e = &c->ends;
    bool head = is_possible(c, &e->head, true), tail = is_possible(c, &e->tail, true);
    uint64_t head_size = be64_load(e->head.current_size), tail_size = be64_load(e->tail.current_size);
    VpcKind kind = VPC_ENDS_DISAGREE;

    if (!vpc_is_half_changed(e) && !vpc_ends_disagree(e)) {
        kind = VPC_ENDS_DIFFER;
    } else if ((head != tail && vpc_type(&e->head) == vpc_type(&e->tail)) || vpc_is_half_changed(e)) {
        kind = head || tail ? VPC_ENDS_ONE_WRONG : kind;
        s->footer = head && !tail ? e->head : e->tail;
    }
    const char *why = kind == VPC_ENDS_DIFFER ? ", in its unique id, time, creator or marks" : "";

    vpc_found(c, kind, 0, -1,
              "the copy at the start (%" PRIu64 " bytes, type %u, header at %" PRIu64 ") is not the footer at %"
              PRId64 " (%" PRIu64 " bytes, type %u, header at %" PRIu64 ")%s", head_size, vpc_type(&e->head),
              be64_load(e->head.data_offset), e->tail_at, tail_size, vpc_type(&e->tail),
              be64_load(e->tail.data_offset), why);
}

/* Report a footer that is missing, damaged, or could not be read: @error is why, -errno; 0: it was read */
static void report_bad_end(VpcCheck *c, const VpcFooter *f, int error, int64_t at, VpcKind missing)
{
    if (error) {
        vpc_found(c, missing, at, -1, "the footer at %" PRId64 ", the %s of the file, could not be read: %s", at,
                  missing == VPC_NO_HEAD ? "start" : "end", g_strerror(-error));
    } else if (vpc_has_cookie(f)) {
        c->bad_head = missing == VPC_NO_HEAD;
        vpc_found(c, VPC_BAD_CHECKSUM, at, -1,
                  "the checksum of the footer at %" PRId64 " is 0x%08x, should be 0x%08x", at, be32_load(f->checksum),
                  vpc_footer_sum(f));
    } else {
        vpc_found(c, missing, at, -1, "there is no footer at %" PRId64 ", the %s of the file", at,
                  missing == VPC_NO_HEAD ? "start" : "end");
    }
}

/* Report a copy at the start that differs from the footer, or is damaged. Fixed disks have none */
static void report_ends(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    const VpcEnds *e = &c->ends;

    if (e->head_ok && e->tail_ok && memcmp(&e->head, &e->tail, sizeof(e->head))) {
        compare_ends(c);
    }
    if (!e->head_ok && s->found != VPC_AT_HEAD) {
        report_bad_end(c, &e->head, e->head_error, 0, VPC_NO_HEAD);
    }
}

static bool is_tapdisk_junk(const VpcFooter *f)
{
    const uint8_t *bytes = (const uint8_t *)f;

    return bytes[0] == TAPDISK_JUNK && !memcmp(bytes, bytes + 1, sizeof(*f) - 1);
}

/* Set s->read_limit and c->new_tail where there is no valid footer at the end of the file. Bytes that look like a
 * footer are data of the disk if a block is there. A medium of a fixed length need not end in a footer */
static void find_limit(VpcCheck *c, int64_t reach)
{
    VpcState *s = c->bs->state;
    const VpcEnds *e = &c->ends;
    bool broken = e->tail_at >= 0 && e->tail_at % VPC_SECTOR == 0 && e->tail_at >= reach &&
                  (e->tail_error || vpc_has_cookie(&e->tail) || is_tapdisk_junk(&e->tail));
    VpcFooter found;

    c->tail_inside = s->found == VPC_AT_HEAD && !broken && !bdrv_node_can_grow(c->bs->file);
    int64_t stray = c->tail_inside ? -1 : find_stray(c);
    if (stray >= reach && stray % VPC_SECTOR == 0 && vpc_check_read(c, stray, &found, sizeof(found), "footer") &&
        !memcmp(&found, &s->footer, sizeof(found))) {
        s->read_limit = c->new_tail = stray;
        s->found = VPC_AT_TAIL;
        return;
    }
    s->read_limit = broken ? e->tail_at : e->size;
    c->new_tail = align_up(s->read_limit, VPC_SECTOR);
    if (s->found == VPC_AT_HEAD && !c->tail_inside) {
        report_bad_end(c, broken ? &e->tail : &(const VpcFooter) { 0 }, e->tail_error, s->read_limit, VPC_NO_TAIL);
    }
}

void vpc_check_limit(VpcCheck *c, int64_t reach)
{
    VpcState *s = c->bs->state;

    if (s->read_limit == 0) {
        find_limit(c, reach);
    }
    int64_t behind = c->ends.size - s->read_limit - VPC_SECTOR;

    if (s->found == VPC_AT_TAIL && behind > 0) {
        vpc_found(c, VPC_BEHIND_FOOTER, s->read_limit + VPC_SECTOR, -1,
                  "%" PRId64 " bytes follow the footer at %" PRId64 ": QEMU and others do not find it there", behind,
                  s->read_limit);
    }
}

static void report_marks(VpcCheck *c)
{
    unsigned marks = vpc_marks(&((VpcState *)c->bs->state)->footer);

    if (marks & VPC_MARK_POISONED) {
        vpc_found(c, VPC_POISONED, -1, -1, "Xen's tools have put the image out of use (cookie v_poison)");
    }
    if (marks & VPC_MARK_UNFINISHED) {
        vpc_found(c, VPC_UNFINISHED, -1, -1, "the image is marked as unfinished (cookie unfinish): it has a part of "
                  "the disk only");
    }
    if (marks & VPC_MARK_HIDDEN) {
        vpc_found(c, VPC_MARKED, -1, -1, "Xen's tools have hidden the image: it has children");
    }
    if (marks & VPC_MARK_SUSPENDED) {
        vpc_found(c, VPC_MARKED, -1, -1, "a suspended machine refers to the disk (saved state)");
    }
}

static bool check_fields(VpcCheck *c)
{
    const VpcFooter *f = &((VpcState *)c->bs->state)->footer;
    VpcFooterFault fault = vpc_judge_footer(f);

    if (fault != VPC_FOOTER_GOOD) {
        bool size = fault == VPC_FOOTER_SIZE_BAD || fault == VPC_FOOTER_SIZE_HUGE;
        g_autofree char *why = vpc_say_footer_fault(f, fault);

        vpc_found(c, size ? VPC_SIZE_IMPOSSIBLE : VPC_FOOTER_UNKNOWN, -1, -1, "%s", why);
        return false;
    }
    if (!(be32_load(f->features) & VPC_FEATURES)) {
        vpc_found(c, VPC_FOOTER_ODD, -1, -1,
                  "features are 0x%x, without the bit that is always set: Xen's tools refuse that",
                  be32_load(f->features));
    }
    if (vpc_type(f) == VPC_FIXED && be64_load(f->data_offset) != UINT64_MAX) {
        vpc_found(c, VPC_FOOTER_ODD, -1, -1,
                  "data offset is 0x%" PRIx64 ", which is all ones in a fixed disk: Azure refuses that",
                  be64_load(f->data_offset));
    }
    return true;
}

static void check_size(VpcCheck *c)
{
    VpcState *s = c->bs->state;
    const VpcFooter *f = &s->footer;
    int64_t size = (int64_t)be64_load(f->current_size);
    int64_t now = vpc_size(f, VPC_SIZE_AUTO), old = vpc_size(f, VPC_SIZE_QEMU9);

    c->disk_size = vpc_largest_size(f, s->options.size_rule);
    if (size % VPC_SECTOR) {
        vpc_found(c, VPC_SIZE_ODD, -1, -1, "current size is %" PRId64 ", no multiple of 512", size);
    }
    if (now != size || old != size) {
        vpc_found(c, VPC_SIZE_ODD, -1, -1,
                  "current size is %" PRId64 " bytes; QEMU 10 reads %" PRId64 ", QEMU up to 9 %" PRId64 ", by the "
                  "geometry", size, now, old);
    }
    if (vpc_type(f) != VPC_FIXED && size > VPC_MAX_SIZE) {
        vpc_found(c, VPC_SIZE_ODD, -1, -1,
                  "current size is %" PRId64 " bytes, more than the 2040 GiB that others read", size);
    }
}

bool vpc_check_footer(VpcCheck *c)
{
    VpcState *s = c->bs->state;

    if (vpc_type(&s->footer) != VPC_FIXED) {
        report_ends(c);         /* may prefer the other one */
    }
    s->fixed = vpc_type(&s->footer) == VPC_FIXED;
    s->differencing = vpc_type(&s->footer) == VPC_DIFFERENCING;
    report_marks(c);
    bool ok = check_fields(c);

    if (ok) {
        check_size(c);
    }
    return ok;
}
