/* info.c - what a VHD says of itself, and which readers will see what */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include "block/format/vpc/backing.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/candidates.h"
#include "block/format/vpc/ends.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/size.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"

static char *time_text(const uint8_t timestamp[4])
{
    time_t when = (time_t)(VPC_EPOCH + (int64_t)be32_load(timestamp));
    char text[32] = "";
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &tm));
    return g_strdup(text);
}

static void add_identity(const VpcState *s, BlockInfoBuilder *items)
{
    static const char *const found[] = { "at the end", "at the end, 511 bytes", "at the start, the end is damaged" };
    static const char *const in_place = "at the start, what the image lies on is longer";
    const VpcFooter *f = &s->footer;
    uint32_t version = be32_load(f->creator_version);
    char creator[5] = "";
    g_autofree char *uuid = vpc_uuid_text(f->uuid), *when = time_text(f->timestamp);

    for (size_t i = 0; i < 4; i++) {
        creator[i] = g_ascii_isprint(f->creator[i]) ? (char)f->creator[i] : f->creator[i] ? '?' : ' ';
    }

    bdrv_info_text(items, "type", s->fixed ? "fixed" : s->differencing ? "differencing" : "dynamic");
    bdrv_info_text(items, "footer", "%s", s->tail_inside ? in_place : found[s->found]);
    bdrv_info_text(items, "creator", "%s", g_strchomp(creator));
    bdrv_info_text(items, "creator-version", "%u.%u", version >> 16, version & 0xffff);
    bdrv_info_text(items, "uuid", "%s", uuid);
    bdrv_info_text(items, "timestamp", "%s", when);
    bdrv_info_bool(items, "saved-state", vpc_marks(f) & VPC_MARK_SUSPENDED);
}

/* Add the size that each family of readers sees; an image is safe everywhere if they agree */
static void add_sizes(const VpcState *s, BlockInfoBuilder *items)
{
    const VpcFooter *f = &s->footer;

    bdrv_info_int(items, "current-size", (int64_t)be64_load(f->current_size));
    bdrv_info_int(items, "original-size", (int64_t)be64_load(f->original_size));
    bdrv_info_int(items, "cylinders", be16_load(f->cylinders));
    bdrv_info_int(items, "heads", f->heads);
    bdrv_info_int(items, "sectors-per-track", f->sectors);
    bdrv_info_int(items, "size-in-hyper-v-virtualbox-xen", vpc_size(f, VPC_SIZE_CURRENT));
    bdrv_info_int(items, "size-in-qemu-10", vpc_size(f, VPC_SIZE_AUTO));
    bdrv_info_int(items, "size-in-qemu-9", vpc_size(f, VPC_SIZE_QEMU9));
    bdrv_info_int(items, "size-in-virtual-pc-86box", vpc_chs_size(f));
    bdrv_info_int(items, "size-in-libvhdi", (int64_t)be64_load(f->original_size));
}

/* Say why the image can't be uploaded to Azure as it is. NULL: it can */
static const char *not_for_azure(const VpcState *s, int64_t file_size)
{
    int64_t size = (int64_t)be64_load(s->footer.current_size);
    const char *why = vpc_not_for_azure(s->fixed, size);

    if (!why && (s->found != VPC_AT_TAIL || file_size != size + VPC_SECTOR)) {
        why = "the file is not just the disk and a footer of 512 bytes";
    }
    return why || be64_load(s->footer.data_offset) == UINT64_MAX ? why : "the footer's data offset is not all ones";
}

static int count_run(void *user, const VpcRun *run)
{
    *(int64_t *)user += run->sector == VPC_UNUSED ? 0 : run->count;
    return 0;
}

/* Count the blocks. -1, and a warning: the BAT could not be read. Writers keep count; for readers it is worth a look
 * only now */
static int64_t info_count_blocks(BlockDriverState *bs)
{
    VpcState *s = bs->state;
    int64_t count = 0;

    if (bs->flags & BDRV_O_RDWR) {
        return s->allocated;
    }
    int ret = vpc_walk_bat(bs, vpc_bat_entries(s), count_run, &count);
    if (ret < 0) {
        bdrv_warn(bs, "IO", "the BAT at %" PRId64 " could not be read (%s), and so its blocks are not counted",
                  s->bat_offset, g_strerror(-ret));
        return -1;
    }
    return count;
}

/* Return "parent-w2ru"; of a second one of a kind, "parent-w2ru-2" */
static char *locator_key(const VpcLocatorData *locators, unsigned slot)
{
    g_autofree char *name = g_ascii_strdown(vpc_locator_name(locators[slot].code), -1);
    unsigned same = 1;

    for (unsigned i = 0; i < slot; i++) {
        same += locators[i].bytes && locators[i].code == locators[slot].code;
    }
    name[strcspn(name, " ")] = 0;
    return same > 1 ? g_strdup_printf("parent-%s-%u", name, same) : g_strdup_printf("parent-%s", name);
}

static void add_names(const VpcState *s, const VpcLocatorData *locators, BlockInfoBuilder *items)
{
    g_autofree char *name = vpc_header_name(&s->header);

    if (*name) {
        bdrv_info_text(items, "parent-name", "%s", name);
    }
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        if (!locators[i].bytes) {
            continue;
        }
        bool alias = locators[i].code == VPC_LOCATOR_MAC;      /* a Mac's own structure, not text */
        g_autofree char *key = locator_key(locators, i), *text = alias ? NULL : vpc_locator_text(&locators[i]);

        bdrv_info_text(items, key, "%s", alias ? "an alias" : text);
    }
}

/* Add the items of every format about the image behind: its name in this image, and where it is, or would be looked for
 * first */
static void add_backing(BlockDriverState *bs, const VpcLocatorData *locators, BlockInfoBuilder *items)
{
    VpcState *s = bs->state;
    g_autoptr(GPtrArray) places = vpc_parent_places(bs, locators, true);
    const VpcCandidate *first = places->len ? g_ptr_array_index(places, 0) : NULL;
    const char *named = s->options.parent ? s->options.parent : bdrv_get_backing_option(bs, "file.filename");
    const char *place = bs->backing ? bs->backing->filename : named ? named : first ? first->path : NULL;
    const char *driver = bs->backing ? bs->backing->drv->name : bdrv_get_backing_option(bs, "driver");

    if (first || place) {
        bdrv_info_text(items, "backing-filename", "%s", first ? first->name : place);
    }
    if (place) {
        bdrv_info_text(items, "full-backing-filename", "%s", place);
    }
    if (driver || vpc_has_id(s->header.parent_uuid)) {
        bdrv_info_text(items, "backing-filename-format", "%s", driver ? driver : "vpc");
    }
}

static void add_parent(BlockDriverState *bs, BlockInfoBuilder *items)
{
    VpcState *s = bs->state;
    VpcLocatorData locators[VPC_LOCATORS];
    g_autofree char *uuid = vpc_uuid_text(s->header.parent_uuid), *when = time_text(s->header.parent_timestamp);

    vpc_read_locators(bs, &s->header, locators);
    bdrv_info_text(items, "parent-uuid", "%s", uuid);
    if (be32_load(s->header.parent_timestamp)) {
        bdrv_info_text(items, "parent-timestamp", "%s", when);
    }
    add_names(s, locators, items);
    add_backing(bs, locators, items);
    vpc_free_locators(locators);
}

bool vpc_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    VpcState *s = bs->state;
    const char *why = not_for_azure(s, bdrv_node_size(bs->file));

    add_identity(s, items);
    add_sizes(s, items);
    if (!s->fixed) {
        int64_t allocated = info_count_blocks(bs);

        info->cluster_size = s->block_size;
        bdrv_info_int(items, "block-size", s->block_size);
        bdrv_info_int(items, "blocks", vpc_bat_entries(s));
        if (allocated >= 0) {
            bdrv_info_int(items, "blocks-allocated", allocated);
        }
    }
    bdrv_info_text(items, "ready-for-azure", why ? "no, because %s" : "yes", why);
    if (s->differencing) {
        add_parent(bs, items);
    }
    return true;
}

bool vpc_get_geometry(BlockDriverState *bs, BlockGeometry *geometry)
{
    const VpcState *s = bs->state;

    geometry->cylinders = be16_load(s->footer.cylinders);
    geometry->heads = s->footer.heads;
    geometry->sectors = s->footer.sectors;
    return geometry->cylinders && geometry->heads && geometry->sectors;
}
