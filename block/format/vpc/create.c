/* create.c - VHD: a new footer and header, empty images */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "block/drivers.h"
#include "block/format/vpc/backing.h"
#include "block/format/vpc/bat.h"
#include "block/format/vpc/batmap.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/judge.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/size.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/vpc.h"
#include "util/be.h"
#include "util/checked.h"
#include "util/random.h"

static const char *const subformats[] = { "dynamic", "fixed", NULL };
enum { SUBFORMAT_DYNAMIC, SUBFORMAT_FIXED };

#define DEFAULT_BLOCK (2 << 20)

const BlockOption vpc_create_options[] = {
    { "size", BLOCK_OPT_SIZE, offsetof(VpcCreateOptions, size), "",
      .help = "virtual disk size; the parent's if not given" },
    { "subformat", BLOCK_OPT_ENUM, offsetof(VpcCreateOptions, subformat), "", .values = subformats,
      .help = "type of virtual hard disk format" },
    { "block_size", BLOCK_OPT_SIZE, offsetof(VpcCreateOptions, block_size), "",
      .help = "unit of allocation, a power of two from 512 to 256M; 2M, or the parent's, if not given" },
    { "force_size", BLOCK_OPT_ON_OFF, offsetof(VpcCreateOptions, force_size), "",
      .help = "on, or not given: keep the size that was asked for; off: round it up until the geometry says the same" },
    { "for", BLOCK_OPT_ENUM, offsetof(VpcCreateOptions, reader), "", .values = vpc_reader_names,
      .help = "pick rounding, geometry and creator by the reader the image is meant for" },
    { "creator", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, creator), "",
      .help = "creator application, up to four characters" },
    { "uuid", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, uuid), "", .help = "unique id; random if not given" },
    { "timestamp", BLOCK_OPT_INT, offsetof(VpcCreateOptions, timestamp), "",
      .help = "time of creation in seconds since 1970; SOURCE_DATE_EPOCH or now if not given" },
    { "geometry", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, geometry), "",
      .help = "cylinders/heads/sectors; the parent's, or by the specification's algorithm, if not given. max: "
              "65535/16/255, also of a smaller disk, as QEMU has it with force_size" },
    { "unfinished", BLOCK_OPT_BOOL, offsetof(VpcCreateOptions, unfinished), "off",
      .help = "mark it as one that is not opened before amend says that it is finished" },
    { "backing_file", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, parent), "",
      .help = "make a differencing disk with this parent, named as from the new image's folder" },
    { "backing_fmt", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, parent_driver), "",
      .help = "the parent's driver: vpc if not given, or raw" },
    { NULL }
};

/* The image that is to be made, all of it checked */
typedef struct Plan {
    const VpcReader *reader;
    bool fixed, differencing;
    int64_t wanted, size;           /* as asked for, and rounded */
    int64_t block_size, entries;    /* @block_size: -1 before it is checked */
    uint8_t geometry[4];            /* of a parent of the same size; zeroes: none */
    VpcFooter footer;
    VpcHeader header;
    VpcLocatorData locators[3];     /* W2ku, W2ru, MacX */
} Plan;

/* Take size, block size and geometry from @parent, as far as the options name no others */
static void take_after(Plan *plan, BlockDriverState *parent)
{
    const VpcState *s = parent->drv == &bdrv_vpc ? parent->state : NULL;
    int64_t size = bdrv_getlength(parent);

    plan->wanted = plan->wanted < 0 ? size : plan->wanted;
    if (s && plan->block_size < 0 && !s->fixed) {
        plan->block_size = s->block_size;
    }
    if (s && plan->wanted == size && vpc_chs_size(&s->footer) <= size) {
        memcpy(plan->geometry, s->footer.cylinders, sizeof(plan->geometry));
    }
}

/* Repeat the warnings of @parent, which is closed before anybody could ask it for them */
static void warn_of_parent(BlockDriverState *bs, BlockDriverState *parent, const char *path)
{
    const char *text;

    for (unsigned i = 0; (text = bdrv_get_warning(parent, i)); i++) {
        bdrv_warn(bs, bdrv_get_warning_code(parent, i), "parent '%s': %s", path, text);
    }
}

static void warn_of_size(BlockDriverState *bs, const Plan *plan, BlockDriverState *parent, const char *path)
{
    if (vpc_judge_backing(&plan->header, parent, plan->wanted) & VPC_BACKING_NAMES_MORE) {
        bdrv_warn(bs, "size", "parent '%s' is read as a disk of %" PRId64 " bytes, by its geometry, and its footer "
                  "names more: the new disk has as many if no size is given", path, bdrv_getlength(parent));
    }
}

/* Take after @parent, an open image that the new one knows by the path @name; "": by no path */
static bool take_parent(BlockDriverState *bs, Plan *plan, BlockDriverState *parent, const char *name, GError **errp)
{
    if (bdrv_chain_has_file(parent, bs->filename)) {
        bdrv_set_error(errp, EINVAL, "the new image would be written over it, or over an image that it needs");
        return false;
    }
    if (!vpc_remember_parent(bs->filename, parent, name, &plan->header, plan->locators, errp)) {
        return false;
    }
    take_after(plan, parent);
    warn_of_size(bs, plan, parent, name);
    return true;
}

/* Plan an image over one that the program has open; its warnings are the program's, too */
static bool plan_given_parent(BlockDriverState *bs, Plan *plan, BlockDriverState *parent, const VpcCreateOptions *o,
                              GError **errp)
{
    g_autofree char *name = o->parent ? vpc_parent_path(bs->filename, o->parent) : g_strdup(parent->filename);

    if (o->parent_driver) {
        bdrv_set_error(errp, EINVAL, "backing_fmt is of a parent that is opened by its name, and this one is open");
        return false;
    }
    if (take_parent(bs, plan, parent, name, errp)) {
        return true;
    }
    g_prefix_error(errp, *name ? "parent '%s': " : "parent%s: ", name);
    return false;
}

static bool plan_parent(BlockDriverState *bs, Plan *plan, const VpcCreateOptions *o, GError **errp)
{
    const char *child = bs->filename;
    BlockDriverState *given = bdrv_get_given_backing(bs);

    plan->wanted = o->size;
    plan->block_size = o->block_size;
    if (given || !o->parent) {
        return !given || plan_given_parent(bs, plan, given, o, errp);
    }
    g_autofree char *path = vpc_parent_path(child, o->parent);
    g_autofree char *options = g_strdup_printf("driver=%s", o->parent_driver ? o->parent_driver : "vpc");
    bool exists = g_file_test(child, G_FILE_TEST_EXISTS);   /* then it may be one of those */
    BlockDriverState *parent = exists ? bdrv_open(path, options, 0, NULL) : NULL;
    parent = parent ? parent : bdrv_open(path, options, BDRV_O_NO_BACKING, errp);
    bool ok = parent && take_parent(bs, plan, parent, parent->filename, errp);

    if (ok) {
        warn_of_parent(bs, parent, path);
    }
    bdrv_close(parent);
    if (!ok) {
        g_prefix_error(errp, "parent '%s': ", path);
    }
    return ok;
}

/* Return whether the option 'geometry' has as many bytes as the option 'size'. Then the size is not rounded */
static bool geometry_says_it(const Plan *plan, const VpcCreateOptions *o)
{
    VpcFooter f = { 0 };

    vpc_set_size(&f, plan->wanted);
    return o->geometry && vpc_set_geometry(&f, o->geometry, NULL) && vpc_chs_size(&f) == plan->wanted;
}

static bool plan_size(BlockDriverState *bs, Plan *plan, const VpcCreateOptions *o, GError **errp)
{
    if (plan->wanted < 0) {
        bdrv_set_error(errp, EINVAL, "driver 'vpc' needs the option 'size'");
        return false;
    }
    if (!vpc_choose_size(bs, plan->reader, plan->fixed, plan->wanted, &plan->size, errp)) {
        return false;
    }
    plan->size = geometry_says_it(plan, o) ? plan->wanted : plan->size;
    return true;
}

static bool plan_blocks(Plan *plan, GError **errp)
{
    if (plan->block_size < 0) {
        plan->block_size = DEFAULT_BLOCK;
    }
    if (plan->block_size < VPC_SECTOR || plan->block_size > VPC_MAX_BLOCK || !is_power_of_two(plan->block_size)) {
        bdrv_set_error(errp, EINVAL, "block size %" PRId64 " is not a power of two from 512 to 268435456",
                       plan->block_size);
        return false;
    }
    plan->entries = vpc_blocks_in(plan->size, plan->block_size);
    return vpc_accept_numbers(plan->size, plan->block_size, errp);
}

static bool set_uuid(VpcFooter *f, const char *text, GError **errp)
{
    if (text) {
        return vpc_parse_uuid(text, f->uuid, errp);
    }
    if (!random_bytes(f->uuid, sizeof(f->uuid))) {
        bdrv_set_error(errp, EIO, "could not get random bytes for the uuid");
        return false;
    }
    f->uuid[6] = (f->uuid[6] & 0x0f) | 0x40;    /* RFC 4122, version 4: random */
    f->uuid[8] = (f->uuid[8] & 0x3f) | 0x80;
    return true;
}

static bool set_timestamp(VpcFooter *f, int64_t when, GError **errp)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;

    if (when == -1 && epoch && *epoch) {
        when = strtoll(epoch, &end, 10);
        if (*end) {
            bdrv_set_error(errp, EINVAL, "SOURCE_DATE_EPOCH is '%s', not a number of seconds", epoch);
            return false;
        }
    } else if (when == -1) {
        when = time(NULL);
    }
    return vpc_set_timestamp(f, when, errp);
}

/* Store the geometry of the options, or the parent's, into plan->footer, which has its size and creator. Readers of
 * some creators take the geometry for the size: it must be the same then */
static bool plan_geometry(Plan *plan, const VpcCreateOptions *o, GError **errp)
{
    static const uint8_t none[sizeof(plan->geometry)];
    VpcFooter *f = &plan->footer, other = *f;

    if (o->geometry && g_str_equal(o->geometry, "max") && plan->reader->unit) {
        vpc_set_max_geometry(&other);
    } else if (o->geometry) {
        if (!vpc_set_geometry(&other, o->geometry, errp)) {
            return false;
        }
    } else if (memcmp(plan->geometry, none, sizeof(none))) {
        memcpy(other.cylinders, plan->geometry, sizeof(plan->geometry));
    }
    if (vpc_size(&other, VPC_SIZE_AUTO) == plan->size) {
        *f = other;
    } else if (o->geometry || o->creator) {
        bdrv_set_error(errp, EINVAL, "geometry '%s' has %" PRId64 " bytes, and readers of disks whose creator is "
                       "'%.4s' take that for the size, which is %" PRId64 "; for=virtualpc makes it one that a "
                       "geometry says",
                       o->geometry ? o->geometry : "of the disk", vpc_chs_size(&other), f->creator, plan->size);
        return false;
    }
    return true;
}

/* Warn of a size that the default geometry can't say, if no option chose size or geometry */
static void warn_of_geometry(BlockDriverState *bs, const Plan *plan, const VpcCreateOptions *o)
{
    int64_t seen = vpc_chs_size(&plan->footer);

    if (!plan->differencing && o->reader < 0 && o->force_size < 0 && !o->geometry &&
        vpc_round_to_geometry(plan->size) != plan->size) {
        bdrv_warn(bs, "geometry", "readers that go by the geometry (Virtual PC, 86Box) see %" PRId64 " of the disk's %"
                  PRId64 " bytes; for=virtualpc makes a disk that all of them see alike", seen, plan->size);
    }
}

static bool plan_footer(Plan *plan, const VpcCreateOptions *o, GError **errp)
{
    VpcFooter *f = &plan->footer;

    vpc_set_reader(f, plan->reader);
    if ((o->creator && !vpc_set_creator(f, o->creator, errp)) || !set_uuid(f, o->uuid, errp) ||
        !set_timestamp(f, o->timestamp, errp)) {
        return false;
    }
    memcpy(f->cookie, o->unfinished ? VPC_COOKIE_PART : VPC_COOKIE, 8);
    be32_store(f->features, VPC_FEATURES);
    be32_store(f->version, VPC_VERSION);
    be64_store(f->data_offset, plan->fixed ? UINT64_MAX : sizeof(VpcFooter));
    vpc_set_size(f, plan->size);
    if (!plan_geometry(plan, o, errp)) {
        return false;
    }
    be32_store(f->type, plan->fixed ? VPC_FIXED : plan->differencing ? VPC_DIFFERENCING : VPC_DYNAMIC);
    vpc_seal_footer(f);
    return true;
}

static bool make_plan(BlockDriverState *bs, Plan *plan, const VpcCreateOptions *o, GError **errp)
{
    plan->reader = vpc_reader(o->reader, o->force_size != 0);
    plan->differencing = o->parent || bdrv_get_given_backing(bs);
    plan->fixed = o->subformat < 0 ? plan->reader->fixed && !plan->differencing : o->subformat == SUBFORMAT_FIXED;
    if (plan->fixed && plan->differencing) {
        bdrv_set_error(errp, EINVAL, "a fixed disk can't have a parent");
        return false;
    }
    if (!plan_parent(bs, plan, o, errp) || !plan_size(bs, plan, o, errp) ||
        !(plan->fixed || plan_blocks(plan, errp)) || !plan_footer(plan, o, errp)) {
        return false;
    }
    if (o->reader >= 0 && plan->size != plan->wanted) {
        bdrv_warn(bs, "size", "the disk gets %" PRId64 " bytes and not %" PRId64 ", as disks are for %s", plan->size,
                  plan->wanted, plan->reader->name);
    }
    vpc_warn_of_reader(bs, plan->reader, plan->fixed, plan->size);
    warn_of_geometry(bs, plan, o);
    return true;
}

/* Write zeroes over both ends of a medium of a fixed length, where an older image may have footers. *@tail: its last
 * sector, where readers look for a footer; -1: bs->file is an empty file */
static int clear_medium(BlockDriverState *bs, int64_t *tail)
{
    static const uint8_t zeroes[VPC_SECTOR];

    *tail = bdrv_node_can_grow(bs->file) ? -1 : bdrv_node_size(bs->file) - VPC_SECTOR;
    if (*tail < 0) {
        return 0;
    }
    int ret = bdrv_node_pwrite(bs->file, *tail, zeroes, VPC_SECTOR);

    ret = ret < 0 ? ret : bdrv_node_pwrite(bs->file, 0, zeroes, VPC_SECTOR);
    return ret < 0 ? ret : bdrv_node_flush(bs->file);
}

static int create_fixed(BlockDriverState *bs, const Plan *plan)
{
    int64_t tail;
    int ret = clear_medium(bs, &tail);

    if (ret == 0 && tail >= 0) {
        ret = bdrv_node_zero(bs->file, 0, plan->size, 0);
    }
    return ret < 0 ? ret : bdrv_node_pwrite(bs->file, MAX(plan->size, tail), &plan->footer, sizeof(plan->footer));
}

static int create_write_header(BlockDriverState *bs, Plan *plan, int64_t bat)
{
    VpcHeader *h = &plan->header;

    memcpy(h->cookie, VPC_HEADER_COOKIE, 8);
    memset(h->data_offset, 0xff, sizeof(h->data_offset));
    be64_store(h->table_offset, (uint64_t)bat);
    be32_store(h->version, VPC_HEADER_VERSION);
    be32_store(h->entries, (uint32_t)plan->entries);
    be32_store(h->block_size, (uint32_t)plan->block_size);
    vpc_seal_header(h);
    return bdrv_node_pwrite(bs->file, sizeof(VpcFooter), h, sizeof(*h));
}

/* Write the batmap of an image that has no block yet: nothing is full. *@end is where it ends */
static int create_write_batmap(BlockDriverState *bs, const Plan *plan, int64_t *end)
{
    VpcBatmap map = { VPC_BATMAP_COOKIE };
    int64_t bytes = MAX(vpc_batmap_bytes(plan->entries), VPC_SECTOR);
    int64_t at = *end, start = at + (int64_t)sizeof(map);

    vpc_place_batmap(&map, start, bytes);
    vpc_seal_batmap(&map, vpc_batmap_sum(NULL, 0));
    *end = start + bytes;
    int ret = bdrv_node_pwrite(bs->file, at, &map, sizeof(map));

    return ret < 0 ? ret : bdrv_node_zero(bs->file, start, bytes, 0);
}

/* Set *@end to where it ends. There is nothing to do for a parent without a name */
static int write_locator(BlockDriverState *bs, Plan *plan, unsigned slot, int64_t at, int64_t *end)
{
    if (!plan->locators[slot].bytes) {
        return 0;
    }
    return vpc_write_locator(bs, &plan->header, slot, &plan->locators[slot], at, end);
}

/* Write header, BAT and locators. Windows puts the relative name before the BAT and the absolute one, with more room,
 * behind it */
static int create_write_tables(BlockDriverState *bs, Plan *plan, int64_t *end)
{
    int64_t bat = sizeof(VpcFooter) + sizeof(VpcHeader);
    int ret = plan->differencing ? write_locator(bs, plan, 1, VPC_LOCATOR_ALIGN, &bat) : 0;

    *end = bat + round_up(plan->entries * 4, VPC_SECTOR);
    if (ret == 0) {
        ret = vpc_write_unused(bs, bat, *end - bat);
    }
    if (ret == 0 && plan->reader->batmap) {
        ret = create_write_batmap(bs, plan, end);
    }
    if (ret == 0 && plan->differencing) {
        ret = write_locator(bs, plan, 0, round_up(*end, VPC_LOCATOR_ALIGN), end);
    }
    if (ret == 0 && plan->differencing) {
        ret = write_locator(bs, plan, 2, *end, end);
    }
    return ret < 0 ? ret : create_write_header(bs, plan, bat);
}

static int create_sparse(BlockDriverState *bs, Plan *plan)
{
    int64_t end, last;
    int ret = clear_medium(bs, &last);

    ret = ret < 0 ? ret : create_write_tables(bs, plan, &end);
    if (ret == 0) {
        ret = bdrv_node_pwrite(bs->file, end, &plan->footer, sizeof(plan->footer));
    }
    return ret < 0 ? ret : bdrv_node_pwrite(bs->file, 0, &plan->footer, sizeof(plan->footer));
}

/* Return the least length of the file: all of a fixed disk, or the tables of another one */
static int64_t file_length(const Plan *plan)
{
    return plan->fixed ? plan->size + (int64_t)sizeof(plan->footer)
                       : (int64_t)(2 * sizeof(VpcFooter) + sizeof(VpcHeader)) + round_up(plan->entries * 4, VPC_SECTOR);
}

bool vpc_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    Plan plan = { 0 };
    bool ok = make_plan(bs, &plan, opts, errp);

    ok = ok && bdrv_create_file_for(bs, &(BlockFilePlan) { .bytes = file_length(&plan) }, errp);
    if (ok) {
        int ret = plan.fixed ? create_fixed(bs, &plan) : create_sparse(bs, &plan);

        if (ret < 0) {
            bdrv_set_error(errp, -ret, "could not write the new image: %s", g_strerror(-ret));
        }
        ok = ret == 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(plan.locators); i++) {
        g_clear_pointer(&plan.locators[i].bytes, g_bytes_unref);
    }
    return ok;
}
