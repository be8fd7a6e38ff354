/* amend.c - VHD: changes fields of the footer: creator, time, geometry, unique id, marks */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/footer.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/size.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"

const BlockOption vpc_amend_options[] = {
    { "uuid", BLOCK_OPT_STRING, offsetof(VpcAmendOptions, uuid), "",
      .help = "unique id; children of the image know it by the old one, and do not find it any more" },
    { "creator", BLOCK_OPT_STRING, offsetof(VpcAmendOptions, creator), "",
      .help = "creator application, up to four characters" },
    { "timestamp", BLOCK_OPT_INT, offsetof(VpcAmendOptions, timestamp), "",
      .help = "time of creation in seconds since 1970" },
    { "geometry", BLOCK_OPT_STRING, offsetof(VpcAmendOptions, geometry), "", .help = "cylinders/heads/sectors" },
    { "saved_state", BLOCK_OPT_ON_OFF, offsetof(VpcAmendOptions, saved_state), "",
      .help = "a suspended machine refers to the disk" },
    { "unfinished", BLOCK_OPT_ON_OFF, offsetof(VpcAmendOptions, unfinished), "",
      .help = "the image has a part of the disk only, and is not opened" },
    { NULL }
};

/* Return whether the disk of @footer is read as long as that of s->footer */
static bool keeps_size(BlockDriverState *bs, const VpcFooter *footer, GError **errp)
{
    const VpcState *s = bs->state;
    int64_t size = vpc_size(footer, s->options.size_rule);

    if (vpc_size(footer, VPC_SIZE_QEMU9) != vpc_size(&s->footer, VPC_SIZE_QEMU9)) {
        bdrv_warn(bs, "creator", "QEMU up to 9 reads a disk of %" PRId64 " bytes now, by the geometry as the creator "
                  "is '%.4s', and not of %" PRId64, vpc_size(footer, VPC_SIZE_QEMU9), footer->creator,
                  vpc_size(&s->footer, VPC_SIZE_QEMU9));
    }
    if (size != vpc_size(&s->footer, s->options.size_rule)) {
        bdrv_set_error(errp, EINVAL, "the disk would be read as one of %" PRId64 " bytes, and has %" PRId64 ": by this "
                       "creator and geometry", size, bs->size);
        return false;
    }
    return true;
}

bool vpc_amend(BlockDriverState *bs, const void *opts, GError **errp)
{
    const VpcAmendOptions *o = opts;
    VpcState *s = bs->state;
    VpcFooter f = s->footer;

    if (s->options.salvage) {
        bdrv_set_error(errp, EINVAL, "an image that is read with salvage=on is not changed");
        return false;
    }
    if ((o->uuid && !vpc_parse_uuid(o->uuid, f.uuid, errp)) || (o->creator && !vpc_set_creator(&f, o->creator, errp)) ||
        (o->timestamp != -1 && !vpc_set_timestamp(&f, o->timestamp, errp)) ||
        (o->geometry && !vpc_set_geometry(&f, o->geometry, errp))) {
        return false;
    }
    if (o->unfinished >= 0 && !(vpc_marks(&f) & VPC_MARK_POISONED)) {
        memcpy(f.cookie, o->unfinished ? VPC_COOKIE_PART : VPC_COOKIE, 8);
    }
    f.saved_state = o->saved_state >= 0 ? (uint8_t)o->saved_state : f.saved_state;
    if (!keeps_size(bs, &f, errp)) {
        return false;
    }
    int ret = s->rewrite_footers ? vpc_rewrite_footers(bs) : 0;

    if (ret == 0 && vpc_marks(&s->footer) & VPC_MARK_UNFINISHED) {  /* all data comes before the word that it is all */
        ret = bdrv_node_flush(bs);
    }
    ret = ret < 0 ? ret : vpc_change_footer(bs, &f);
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not write the footers: %s", g_strerror(-ret));
    }
    return ret == 0;
}
