/* ends.c - VHD: both ends of the file, where footers are */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/drivers.h"
#include "block/format/split.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"
#include "util/be.h"
#include "util/checked.h"

#define GEOMETRY_BYTES  4       /* cylinders, heads, sectors a track */

/* Read a footer. 0; or -errno, and *@footer is zeroes */
static int read_footer(BlockDriverState *bs, int64_t offset, VpcFooter *footer, int64_t bytes)
{
    int ret = bdrv_node_pread(bs->file, offset, footer, bytes);

    if (ret < 0) {
        memset(footer, 0, sizeof(*footer));
    }
    return ret;
}

bool vpc_read_ends(BlockDriverState *bs, VpcEnds *ends, GError **errp)
{
    ends->size = bdrv_node_size(bs->file);
    ends->tail_at = ends->size - VPC_SECTOR;
    if (ends->size < VPC_FOOTER_OLD) {
        bdrv_set_error(errp, EINVAL, "the file is %" PRId64 " bytes long, shorter than a VHD footer (512 bytes)",
                       ends->size);
        return false;
    }
    ends->head_error = read_footer(bs, 0, &ends->head, MIN(ends->size, VPC_SECTOR));
    ends->tail_error = ends->tail_at >= 0 ? read_footer(bs, ends->tail_at, &ends->tail, VPC_SECTOR) : 0;
    ends->head_ok = vpc_footer_is_valid(&ends->head);
    ends->tail_ok = ends->tail_at >= 0 && vpc_footer_is_valid(&ends->tail);
    if (ends->tail_ok || ends->tail_error || (ends->tail_at >= 0 && vpc_has_cookie(&ends->tail))) {
        return true;
    }
    VpcFooter old = { 0 };

    if (ends->tail_at >= 0) {
        memcpy(&old, (const uint8_t *)&ends->tail + 1, VPC_FOOTER_OLD);
    } else {
        ends->tail_error = read_footer(bs, 0, &old, VPC_FOOTER_OLD);
    }
    if (vpc_footer_is_valid(&old)) {
        ends->tail = old;
        ends->tail_ok = true;
        ends->tail_at++;
    }
    return true;
}

bool vpc_choose_end(const VpcEnds *ends, VpcFooter *footer, VpcFound *found)
{
    if (ends->tail_ok) {
        *footer = ends->tail;
        *found = ends->size - ends->tail_at == VPC_SECTOR ? VPC_AT_TAIL : VPC_AT_TAIL_511;
        return true;
    }
    bool head = ends->head_ok && vpc_is_sparse(&ends->head);

    if (head) {
        *footer = ends->head;
        *found = VPC_AT_HEAD;
    }
    return head;
}

bool vpc_fixed_at_start(const VpcEnds *ends, GError **errp)
{
    bool fixed = ends->head_ok && vpc_type(&ends->head) == VPC_FIXED && !ends->tail_error;

    if (fixed) {
        bdrv_set_error(errp, EINVAL, "the footer of this fixed disk is at the start of the file instead of its end");
    }
    return fixed;
}

int64_t vpc_stray_footer(BlockDriverState *bs, const VpcEnds *ends)
{
    int64_t start = MAX(0, ends->tail_at - 65536);
    int64_t bytes = ends->size - start;
    g_autofree uint8_t *buf = g_try_malloc((gsize)bytes);
    int ret = buf ? bdrv_node_pread(bs->file, start, buf, bytes) : -ENOMEM;

    for (int64_t i = bytes - VPC_SECTOR; ret == 0 && i >= 0; i--) {
        if (buf[i] == VPC_COOKIE[0] && start + i > 0 && vpc_footer_is_valid((const VpcFooter *)(buf + i))) {
            return start + i;
        }
    }
    return ret < 0 ? ret : -ENOENT;
}

char *vpc_missing_part(BlockDriverState *bs)
{
    unsigned n = 1, last = 0;

    if (((const VpcState *)bs->state)->options.root) {
        return g_strdup("; if it is split, its parts are not looked for where parent-root= is given");
    }
    for (unsigned i = 1; i < 100; i++) {
        g_autofree char *part = bdrv_is_path(bs->filename) ? split_part(bs->filename, i) : NULL;

        last = part ? i : last;
        n += part && n == i;
    }
    return last ? g_strdup_printf("; it is split, and part %u ('.v%02u') is missing, or the one before it is not "
                                  "whole", n, n)
                : g_strdup("");
}

/* Name the format that the file is of if no driver reads it, as the end of a message; else "". g_free() it */
static char *other_format(BlockDriverState *bs, int64_t size)
{
    g_autofree uint8_t *head = g_malloc0_n(2, BLOCK_PROBE_BYTES);
    uint8_t *tail = head + BLOCK_PROBE_BYTES;
    BlockProbe probe = { head, tail, BLOCK_PROBE_BYTES, size, bs->filename };
    int64_t have = MIN(size, BLOCK_PROBE_BYTES);
    const char *advice, *name = NULL;

    if (bdrv_node_pread(bs->file, 0, head, have) == 0 &&
        bdrv_node_pread(bs->file, size - have, tail + (BLOCK_PROBE_BYTES - have), have) == 0) {
        name = bdrv_foreign_format(&probe, &advice);
    }
    return name ? g_strdup_printf("; it is of the format %s: %s", name, advice) : g_strdup("");
}

bool vpc_no_footer(BlockDriverState *bs, const VpcEnds *ends, GError **errp)
{
    bool cookie_at_end = vpc_has_cookie(&ends->tail);
    const VpcFooter *f = cookie_at_end ? &ends->tail : &ends->head;

    if (!memcmp(ends->head.cookie, "vhdxfile", 8)) {
        bdrv_set_error(errp, ENOTSUP, "this is VHDX, another format than VHD, and no driver here reads it");
        return false;
    }
    if (ends->tail_error) {
        const char *head = !ends->head_error ? "there is no copy of it at the start of the file"
                                             : "the start of the file, where a copy of it may be, neither";

        bdrv_set_error(errp, -ends->tail_error, "the footer at %" PRId64 " could not be read (%s), and %s; salvage=on "
                       "reads a fixed disk without it", MAX(ends->tail_at, 0), g_strerror(-ends->tail_error), head);
        return false;
    }
    if (ends->head_error) {
        bdrv_set_error(errp, -ends->head_error, "the file does not end in a VHD footer, and its start, where a copy "
                       "of it may be, could not be read: %s", g_strerror(-ends->head_error));
        return false;
    }
    int64_t stray = vpc_stray_footer(bs, ends);
    if (stray >= 0) {
        bdrv_set_error(errp, EINVAL, "the file does not end in a VHD footer; there is one at %" PRId64 ", with %"
                       PRId64 " bytes behind it", stray, ends->size - stray - VPC_SECTOR);
    } else if (vpc_has_cookie(f)) {
        bdrv_set_error(errp, EINVAL, "VHD footer at the %s: checksum is 0x%08x, should be 0x%08x; " VPC_MENDED,
                       cookie_at_end ? "end" : "start", be32_load(f->checksum), vpc_footer_sum(f));
    } else {
        g_autofree char *gap = vpc_missing_part(bs), *other = other_format(bs, ends->size);

        bdrv_set_error(errp, EINVAL, "this is no VHD: it neither ends nor begins with a footer%s%s", other, gap);
    }
    return false;
}

bool vpc_is_half_changed(const VpcEnds *ends)
{
    VpcFooter head = ends->head;

    if (memcmp(head.data_offset, ends->tail.data_offset, sizeof(head.data_offset))) {   /* each has its own BAT */
        memcpy(head.original_size, ends->tail.original_size, sizeof(head.original_size));
        memcpy(head.current_size, ends->tail.current_size, sizeof(head.current_size));
        memcpy((uint8_t *)&head + offsetof(VpcFooter, cylinders), ends->tail.cylinders, GEOMETRY_BYTES);
    }
    memcpy(head.data_offset, ends->tail.data_offset, sizeof(head.data_offset));
    memcpy(head.type, ends->tail.type, sizeof(head.type));
    memcpy(head.checksum, ends->tail.checksum, sizeof(head.checksum));
    return ends->head_ok && ends->tail_ok && vpc_is_sparse(&ends->head) && !memcmp(&head, &ends->tail, sizeof(head));
}

bool vpc_ends_disagree(const VpcEnds *ends)
{
    const VpcFooter *a = &ends->head, *b = &ends->tail;

    return ends->head_ok && ends->tail_ok && !vpc_is_half_changed(ends) &&
           (memcmp(a->data_offset, b->data_offset, 8) || memcmp(a->current_size, b->current_size, 8) ||
            memcmp(a->cylinders, b->cylinders, GEOMETRY_BYTES) || memcmp(a->type, b->type, 4) ||
            vpc_size(a, VPC_SIZE_AUTO) != vpc_size(b, VPC_SIZE_AUTO));
}
