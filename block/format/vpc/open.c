/* open.c - VHD: find the footer and the header, and believe as little as possible */
/* SPDX-License-Identifier: MIT
 *
 * The end of the file decides: a valid footer of type 2 there is a fixed disk, whatever the guest wrote
 * to its first sector. The copy at the start serves where the end is damaged. Checksums are taken over
 * the bytes as they are on disk. Memory is bounded by the length of the file, never by a field in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "block/drivers.h"
#include "block/format/split.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/candidates.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/salvage.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/survey.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"

static const char *const size_rules[] = { "auto", "chs", "current_size", "qemu9", NULL };

const BlockOption vpc_open_options[] = {
    { "force_size_calc", BLOCK_OPT_ENUM, offsetof(VpcOptions, size_rule), "auto", .values = size_rules,
      .help = "which of the two sizes in a footer counts; auto: by its creator, as QEMU 10; "
              "qemu9: as QEMU 9 and older" },
    { "parent", BLOCK_OPT_STRING, offsetof(VpcOptions, parent), "",
      .help = "a differencing disk's parent, whatever the image says" },
    { "parent-search", BLOCK_OPT_STRING, offsetof(VpcOptions, search), "",
      .help = "folders to look for parents in, separated by ':'" },
    { "parent-root", BLOCK_OPT_STRING, offsetof(VpcOptions, root), "",
      .help = "folder that no parent may be outside of" },
    { "drives", BLOCK_OPT_STRING, offsetof(VpcOptions, drives), "",
      .help = "folders that stand for drive letters in names of parents, as C=/mnt/c;D=/data" },
    { "ignore-parent-id", BLOCK_OPT_BOOL, offsetof(VpcOptions, ignore_id), "off",
      .help = "take a parent whose unique id is another" },
    { "max-depth", BLOCK_OPT_INT, offsetof(VpcOptions, max_depth), "4096",
      .help = "how many parents there may be, one behind the other" },
    { "unfinished", BLOCK_OPT_BOOL, offsetof(VpcOptions, unfinished), "off",
      .help = "open an image that is marked as unfinished, too" },
    { "salvage", BLOCK_OPT_BOOL, offsetof(VpcOptions, salvage), "off",
      .help = "read what is left of a damaged image; what is not there reads as zeroes" },
    { "salvage-size", BLOCK_OPT_SIZE, offsetof(VpcOptions, salvage_size), "",
      .help = "with salvage=on: how long the disk is, whatever the image says" },
    { NULL }
};

int vpc_probe(const BlockProbe *p)
{
    const VpcFooter *head = (const VpcFooter *)p->head;
    const VpcFooter *tail = (const VpcFooter *)(p->tail + p->len - sizeof(VpcFooter));
    bool head_ok = vpc_footer_is_valid(head) && vpc_type(head) != VPC_FIXED;

    if (p->size >= VPC_SECTOR && vpc_footer_is_valid(tail)) {
        return vpc_type(tail) == VPC_FIXED ? 90 : head_ok ? 100 : 80;
    }
    if (head_ok) {
        return 60;
    }
    /* Nearly ours: better to say what is wrong than to take it for raw */
    return vpc_has_cookie(head) ? 10 : 0;
}

/* Look for the cookie of a footer among the last bytes, where vpc_probe() found no whole footer; further from the end
 * only with the right checksum, since a disk may have such bytes of its own */
char *vpc_suspect(const BlockProbe *p)
{
    char *why = NULL;

    g_autofree char *part = *p->filename ? split_next(p->filename) : NULL;

    if (part) {
        return asprintf(&why, "'%s' beside it is named as a part of a split VHD", part) < 0 ? NULL : why;
    }
    if (split_is_part(p->filename)) {
        return strdup("it is named as a part of a split VHD, which is opened by the name of the first");
    }
    if (vpc_has_header_cookie((const VpcHeader *)(p->head + VPC_SECTOR))) {
        return strdup("at 512 there is the header of a dynamic VHD");
    }
    for (int64_t left = sizeof(VPC_COOKIE); !why && left <= MIN(p->size, (int64_t)p->len); left++) {
        const VpcFooter *f = (const VpcFooter *)(p->tail + p->len - left);

        if (!vpc_has_cookie(f) || (left > BLOCK_PROBE_BYTES && !vpc_footer_is_valid(f))) {
            continue;
        }
        int ret = left < VPC_SECTOR ? asprintf(&why, "the last %" PRId64 " bytes begin as the footer of a VHD, which "
                                               "has %d", left, VPC_SECTOR)
                  : left > VPC_SECTOR ? asprintf(&why, "%" PRId64 " bytes before the end there is the footer of a "
                                                 "VHD%s", left, vpc_footer_is_valid(f) ? "" : ", with a wrong checksum")
                  : asprintf(&why, "it ends in the footer of a VHD with a wrong checksum");
        why = ret < 0 ? NULL : why;
    }
    return why;
}

static bool open_choose_footer(BlockDriverState *bs, const VpcEnds *ends, GError **errp)
{
    VpcState *s = bs->state;

    if (!vpc_choose_end(ends, &s->footer, &s->found)) {
        return vpc_fixed_at_start(ends, errp) ? false : vpc_no_footer(bs, ends, errp);
    }
    if (s->found != VPC_AT_HEAD) {
        s->read_limit = ends->tail_at;
        return true;
    }
    s->read_limit = ends->size;
    s->tail_inside = !bdrv_node_can_grow(bs->file);
    if (ends->tail_error) {
        bdrv_warn(bs, "IO", "the footer at %" PRId64 " could not be read (%s); its copy at the start is used",
                  ends->tail_at, g_strerror(-ends->tail_error));
    } else if (!s->tail_inside || (ends->tail_at >= 0 && vpc_has_cookie(&ends->tail))) {
        g_autofree char *gap = vpc_missing_part(bs);

        bdrv_warn(bs, "F2", "the footer at the end of the file is missing or damaged; its copy at the start is used%s",
                  gap);
    }
    return true;
}

static bool check_footer(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    const VpcFooter *f = &s->footer;
    VpcFooterFault fault = vpc_judge_footer(f);
    unsigned marks = vpc_marks(f);

    if (fault != VPC_FOOTER_GOOD && fault != VPC_FOOTER_SIZE_HUGE) {
        g_autofree char *why = vpc_say_footer_fault(f, fault);

        bdrv_set_error(errp, fault == VPC_FOOTER_VERSION_BAD ? ENOTSUP : EINVAL, "footer: %s", why);
        return false;
    }
    if (marks & VPC_MARK_UNFINISHED && !s->options.unfinished) {
        bdrv_set_error(errp, EINVAL, "the image is marked as unfinished: what made it did not come to its end, and it "
                       "has a part of the disk only; salvage=on reads what is there");
        return false;
    }
    if (marks & VPC_MARK_POISONED && (bs->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EACCES, "the image was put out of use by Xen's tools (cookie v_poison): it can be "
                       "opened for reading only");
        return false;
    }
    if (marks & VPC_MARK_SUSPENDED && (bs->flags & BDRV_O_RDWR)) {
        bdrv_warn(bs, "P", "a suspended machine refers to this disk (saved state): writing may damage its guest");
    }
    __atomic_store_n(&bs->size, vpc_size(f, s->options.size_rule), __ATOMIC_RELEASE);
    return true;
}

static bool open_fixed(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;

    s->fixed = true;
    s->tail_at = s->blocks_end = s->read_limit;
    s->rewrite_footers = s->found == VPC_AT_TAIL_511;
    if (bs->size > s->read_limit) {
        if (bs->flags & BDRV_O_RDWR) {
            bdrv_set_error(errp, EINVAL, "the disk has %" PRId64 " bytes but the file only %" PRId64 " of them: it "
                           "can be opened for reading only", bs->size, s->read_limit);
            return false;
        }
        bdrv_warn(bs, "F7", "the disk has %" PRId64 " bytes but the file only %" PRId64 " of them; the rest reads as "
                  "zeroes", bs->size, s->read_limit);
    } else if (be64_load(s->footer.current_size) < (uint64_t)s->read_limit && bdrv_node_can_grow(bs->file)) {
        bdrv_warn(bs, "F7", "the file holds %" PRId64 " bytes of data, more than the current size of %" PRIu64,
                  s->read_limit, be64_load(s->footer.current_size));
    }
    return true;
}

/* Say what is wrong with the header's fields, before any of them is used. @limit: the file has no room for tables
 * there */
static bool check_header(BlockDriverState *bs, int64_t header_at, int64_t limit, GError **errp)
{
    VpcState *s = bs->state;
    const VpcHeader *h = &s->header;
    VpcHeaderFault fault = vpc_judge_header(h, limit);
    bool about_bat = fault == VPC_HEADER_GOOD || fault == VPC_HEADER_BAT_UNALIGNED || fault == VPC_HEADER_BAT_OUTSIDE;
    uint32_t version = be32_load(h->version), entries = be32_load(h->entries);
    uint64_t table = be64_load(h->table_offset);

    if (about_bat && !vpc_header_is_sealed(h)) {
        bdrv_set_error(errp, EINVAL, "dynamic header: checksum is 0x%08x, should be 0x%08x; " VPC_MENDED,
                       be32_load(h->checksum), vpc_header_sum(h));
        return false;
    }
    switch (fault) {
    case VPC_HEADER_GOOD:
        vpc_use_header(s);
        break;
    case VPC_HEADER_NO_COOKIE:
        bdrv_set_error(errp, EINVAL, "no dynamic header at %" PRId64 ", where the footer has it", header_at);
        break;
    case VPC_HEADER_VERSION_BAD:
        bdrv_set_error(errp, ENOTSUP, "dynamic header: version is %u.%u, should be 1.0", version >> 16,
                       version & 0xffff);
        break;
    case VPC_HEADER_BLOCK_SIZE_BAD:
        bdrv_set_error(errp, EINVAL, "Invalid block size %u", be32_load(h->block_size));
        break;
    case VPC_HEADER_TOO_MANY_ENTRIES:
        bdrv_set_error(errp, EINVAL, "Max Table Entries too large (%u)", entries);
        break;
    case VPC_HEADER_BAT_UNALIGNED:
        bdrv_set_error(errp, EINVAL, "dynamic header: BAT offset %" PRIu64 " is not a multiple of 512", table);
        break;
    case VPC_HEADER_BAT_OUTSIDE:
        bdrv_set_error(errp, EINVAL, "dynamic header: BAT of %u entries at %" PRIu64 " does not end before %"
                       PRId64, entries, table, limit);
        break;
    }
    return fault == VPC_HEADER_GOOD;
}

static bool open_read_header(BlockDriverState *bs, int64_t limit, GError **errp)
{
    VpcState *s = bs->state;
    uint64_t at = be64_load(s->footer.data_offset);

    if (!vpc_is_header_place(at, limit)) {
        bdrv_set_error(errp, EINVAL, "footer: data offset is %" PRIu64 ", no place for a header before %" PRId64, at,
                       limit);
        return false;
    }
    int ret = vpc_read_header(bs, (int64_t)at, &s->header);
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not read the dynamic header at %" PRIu64 ": %s; salvage=on looks for the BAT "
                       "without it", at, g_strerror(-ret));
        return false;
    }
    return check_header(bs, (int64_t)at, limit, errp);
}

/* Set s->tail_at. Writing the footer must not grow the file over metadata that the header places past its end */
static bool place_tail(BlockDriverState *bs, const VpcEnds *ends, GError **errp)
{
    VpcState *s = bs->state;

    s->tail_at = ends->tail_ok ? ends->tail_at : s->blocks_end <= s->grow_limit ? s->blocks_end : s->read_limit;
    bool grows = !s->tail_inside && s->tail_at + VPC_SECTOR > ends->size;

    if (grows && s->tail_at + VPC_SECTOR > s->lost_metadata) {
        bdrv_set_error(errp, EINVAL, "there is no whole footer at the end of the file, and at %" PRId64 " no room for "
                       "one: parent locators or a batmap are said to lie past the end, at %" PRId64
                       ": the image can be opened for reading only", s->tail_at, s->lost_metadata);
        return false;
    }
    return true;
}

static bool open_for_writing(BlockDriverState *bs, const VpcEnds *ends, GError **errp)
{
    VpcState *s = bs->state;
    int64_t spare = vpc_spare_entries(s, bs->size);

    if (vpc_ends_disagree(ends)) {
        bdrv_set_error(errp, EINVAL, "the footer and its copy at the start differ (current size %" PRIu64 " and %"
                       PRIu64 "): the image can be opened for reading only", be64_load(ends->tail.current_size),
                       be64_load(ends->head.current_size));
        return false;
    }
    if (spare < 0) {
        bdrv_set_error(errp, EINVAL, "the BAT has %" PRId64 " entries, the disk needs %" PRId64
                       ": the image can be opened for reading only", vpc_bat_entries(s), vpc_bat_entries(s) - spare);
        return false;
    }
    s->grow_limit = s->first_block = INT64_MAX;
    s->room.zero_from = s->tail_inside ? INT64_MAX : 0;
    /* a footer that can't be read is written anew where it is, if no block is there */
    bool unread = ends->tail_error && ends->tail_at % VPC_SECTOR == 0;

    s->blocks_end = s->tail_inside ? 0 : unread ? ends->tail_at : s->read_limit;
    s->rewrite_head = !ends->head_ok || (vpc_is_half_changed(ends) && memcmp(&ends->head, &ends->tail, VPC_SECTOR));
    s->rewrite_footers = s->found != VPC_AT_TAIL || s->rewrite_head;
    if (!vpc_survey(bs, errp)) {
        return false;
    }
    bool cut_off = s->grow_limit < INT64_MAX;

    s->grow_limit = MIN(s->grow_limit, s->lost_metadata);
    for (unsigned i = 0; i < s->metadata_count; i++) {      /* some may reach into the footer */
        s->blocks_end = MAX(s->blocks_end, s->metadata[i].end);
    }
    if (!cut_off) {         /* else the bytes in between would complete a block */
        s->blocks_end = align_up(s->blocks_end, VPC_SECTOR);
    }
    return place_tail(bs, ends, errp);
}

static bool open_dynamic(BlockDriverState *bs, const VpcEnds *ends, GError **errp)
{
    const VpcState *s = bs->state;

    if (!open_read_header(bs, s->read_limit, errp) || !vpc_claim_metadata(bs, ends->size, errp)) {
        return false;
    }
    if (ends->head_error) {
        bdrv_warn(bs, "F1", "the copy of the footer at the start of the file could not be read (%s)",
                  g_strerror(-ends->head_error));
    } else if (!ends->head_ok) {
        bdrv_warn(bs, "F1", "the copy of the footer at the start of the file is damaged");
    } else if (vpc_ends_disagree(ends)) {
        bdrv_warn(bs, "F3", "the footer and its copy at the start differ; the one at the end counts");
    }
    return !(bs->flags & BDRV_O_RDWR) || open_for_writing(bs, ends, errp);
}

/* Put split between @bs and bs->file if the file does not end in a footer and has another part beside it. With
 * parent-root= nothing is looked for beside a file. False: the file is a later part, or a part can't be opened */
static bool join_parts(BlockDriverState *bs, GError **errp)
{
    const VpcState *s = bs->state;
    VpcEnds ends = { 0 };

    if (s->options.root || !bdrv_is_path(bs->filename)) {
        return true;
    }
    g_autofree char *first = split_first(bs->filename);

    if (first) {
        bdrv_set_error(errp, EINVAL, "it is a part of a split image, which is opened by the name of the first, '%s'",
                       first);
        return false;
    }
    if (!vpc_read_ends(bs, &ends, NULL) || ends.tail_ok) {
        return true;
    }
    g_autofree char *next = split_next(bs->filename);

    if (next && !bdrv_wrap_file(bs, "split", errp)) {
        return false;
    }
    if (next) {
        bdrv_warn(bs, "split", "the image is split, as '%s' beside it says: the file is read as one with its parts up "
                  "to the first that is missing, %" PRId64 " bytes in all", next, bdrv_node_size(bs->file));
    }
    return true;
}

/* Return whether the parts of a split image end in the footer of the whole. Else they are not all of them, or others: a
 * copy at the start is no excuse */
static bool parts_are_whole(BlockDriverState *bs, const VpcEnds *ends, GError **errp)
{
    if (bs->file->drv != &bdrv_split || ends->tail_ok) {
        return true;
    }
    g_autofree char *gap = vpc_missing_part(bs);

    bdrv_set_error(errp, EINVAL, "its parts do not end in the footer of a VHD%s; salvage=on reads what is there", gap);
    return false;
}

bool vpc_open_image(BlockDriverState *bs, GError **errp)
{
    VpcState *s = bs->state;
    VpcEnds ends = { 0 };

    if (s->options.salvage) {
        return vpc_salvage(bs, errp);
    }
    if (!vpc_read_ends(bs, &ends, errp) || !parts_are_whole(bs, &ends, errp) || !open_choose_footer(bs, &ends, errp) ||
        !check_footer(bs, errp)) {
        return false;
    }
    s->differencing = vpc_type(&s->footer) == VPC_DIFFERENCING;
    return vpc_type(&s->footer) == VPC_FIXED ? open_fixed(bs, errp) : open_dynamic(bs, &ends, errp);
}

bool vpc_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    VpcState *s = bs->state;
    const VpcOptions *o = opts;

    s->options = *o;
    s->options.parent = g_strdup(o->parent);
    s->options.search = g_strdup(o->search);
    s->options.root = g_strdup(o->root);
    s->options.drives = g_strdup(o->drives);
    s->options.salvage |= (flags & BDRV_O_SALVAGE) != 0;
    const VpcParentRules rules = { s->options.drives, s->options.search };

    if (!vpc_accept_parent_rules(&rules, errp) || !join_parts(bs, errp)) {
        return false;
    }
    if (s->options.salvage_size >= 0 && !s->options.salvage) {
        bdrv_warn(bs, "ignored", "salvage-size= is without effect where salvage=on is not given");
    }
    return flags & BDRV_O_CHECK || vpc_open_image(bs, errp);
}
