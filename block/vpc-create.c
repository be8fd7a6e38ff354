/* vpc-create.c - VHD: sizes and geometries, a new footer and header, empty images */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "block/vpc.h"
#include "block/vpc-parent.h"
#include "util/be.h"
#include "util/checked.h"

static const char *const subformats[] = { "dynamic", "fixed", NULL };
enum { SUBFORMAT_DYNAMIC, SUBFORMAT_FIXED };

static const char *const readers[] = { "hyper-v", "azure", "virtualpc", "xen", "qemu", NULL };

/* Whom an image is for. Sizes are rounded up to a multiple of unit, or, if that is 0, until C x H x S
 * says the same; docs/VHD.md tells who wants what. */
typedef struct Reader {
    char creator[4];
    uint32_t creator_version;
    char creator_os[4];
    int64_t unit;
    int64_t max_size;
    int subformat;
    bool batmap;
} Reader;

#define MAX_PIECE (1 << 20)     /* bytes of a BAT that are written at once */

#define MAX_CHS_SIZE ((int64_t)VPC_MAX_CYLINDERS * VPC_MAX_HEADS * VPC_MAX_SECTORS * VPC_SECTOR)

/* Every QEMU takes current_size for "qem2", and nobody else looks */
static const Reader any_reader =
    { "qem2", 0x00050003, "Wi2k", VPC_SECTOR, VPC_MAX_SIZE, SUBFORMAT_DYNAMIC };

static const Reader reader_table[] = {      /* in the order of readers[] */
    { "win ", 0x000a0000, "Wi2k", VPC_SECTOR, VPC_MAX_SIZE, SUBFORMAT_DYNAMIC },
    { "win ", 0x000a0000, "Wi2k", 1 << 20, 32767LL << 30, SUBFORMAT_FIXED },
    { "vpc ", 0x00050003, "Wi2k", 0, MAX_CHS_SIZE, SUBFORMAT_DYNAMIC },
    { "tap", 0x00010003, "", 2 << 20, VPC_MAX_SIZE, SUBFORMAT_DYNAMIC, .batmap = true },
    { "qemu", 0x00050003, "Wi2k", 0, VPC_MAX_SIZE, SUBFORMAT_DYNAMIC },
};
enum { READER_QEMU = 4 };

const BlockOption vpc_create_options[] = {
    { "size", BLOCK_OPT_SIZE, offsetof(VpcCreateOptions, size), "",
      .help = "virtual disk size; the parent's if not given" },
    { "subformat", BLOCK_OPT_ENUM, offsetof(VpcCreateOptions, subformat), "", .values = subformats,
      .help = "type of virtual hard disk format" },
    { "block_size", BLOCK_OPT_SIZE, offsetof(VpcCreateOptions, block_size), "2M",
      .help = "unit of allocation, a power of two from 512 to 256M" },
    { "force_size", BLOCK_OPT_BOOL, offsetof(VpcCreateOptions, force_size), "on",
      .help = "keep the size that was asked for; off: round it up until the geometry says the same" },
    { "for", BLOCK_OPT_ENUM, offsetof(VpcCreateOptions, reader), "", .values = readers,
      .help = "pick rounding, geometry and creator by the reader the image is meant for" },
    { "creator", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, creator), "",
      .help = "creator application, up to four characters" },
    { "uuid", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, uuid), "", .help = "unique id; random if not given" },
    { "timestamp", BLOCK_OPT_INT, offsetof(VpcCreateOptions, timestamp), "",
      .help = "time of creation in seconds since 1970; SOURCE_DATE_EPOCH or now if not given" },
    { "geometry", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, geometry), "",
      .help = "C/H/S, for guests and readers that go by it; as the size has it by the specification if not given" },
    { "backing_file", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, parent), "",
      .help = "make a differencing disk with this parent, named as from the new image's folder" },
    { "backing_fmt", BLOCK_OPT_STRING, offsetof(VpcCreateOptions, parent_driver), "",
      .help = "the parent's driver: vpc if not given, or raw" },
    { NULL }
};

typedef struct Geometry {
    int64_t cylinders;
    int heads, sectors;
} Geometry;

/* The specification's algorithm; C x H x S is never above @total sectors */
static Geometry geometry(int64_t total)
{
    total = MIN(total, (int64_t)VPC_MAX_CYLINDERS * VPC_MAX_HEADS * VPC_MAX_SECTORS);
    if (total >= (int64_t)VPC_MAX_CYLINDERS * 16 * 63) {
        return (Geometry) { total / 255 / 16, 16, 255 };
    }
    int sectors = 17;
    int64_t tracks = total / sectors;
    int heads = (int)MAX((tracks + 1023) / 1024, 4);

    if (tracks >= heads * INT64_C(1024) || heads > 16) {
        sectors = 31;
        heads = 16;
        tracks = total / sectors;
    }
    if (tracks >= heads * INT64_C(1024)) {
        sectors = 63;
        heads = 16;
        tracks = total / sectors;
    }
    return (Geometry) { tracks / heads, heads, sectors };
}

static int64_t capacity(Geometry g)
{
    return g.cylinders * g.heads * g.sectors * VPC_SECTOR;
}

int64_t vpc_round_to_geometry(int64_t size)
{
    int64_t total = round_up(size, VPC_SECTOR) / VPC_SECTOR;

    if (size > MAX_CHS_SIZE) {
        return total * VPC_SECTOR;
    }
    while (capacity(geometry(total)) < size) {
        total++;
    }
    return capacity(geometry(total));
}

void vpc_set_size(VpcFooter *f, int64_t size)
{
    Geometry g = geometry(size / VPC_SECTOR);

    be64_store(f->original_size, (uint64_t)size);
    be64_store(f->current_size, (uint64_t)size);
    be16_store(f->cylinders, (uint16_t)g.cylinders);
    f->heads = (uint8_t)g.heads;
    f->sectors = (uint8_t)g.sectors;
}

static int64_t entries_of(int64_t size, int64_t block_size)
{
    return round_up(size, block_size) / block_size;
}

/* Of the file when the disk is full */
static int64_t sectors_of(int64_t size, int64_t block_size)
{
    int64_t bitmap = round_up((block_size / VPC_SECTOR + 7) / 8, VPC_SECTOR);
    int64_t stride = round_up(bitmap + block_size, block_size % 4096 ? VPC_SECTOR : 4096);

    return (entries_of(size, block_size) * (stride + 4) + (1 << 20)) / VPC_SECTOR;
}

/* With which a disk of @size, which is at most VPC_MAX_SIZE, can be made */
static int64_t smallest_block(int64_t size)
{
    int64_t bytes = VPC_SECTOR;

    while (bytes < VPC_MAX_BLOCK &&
           (entries_of(size, bytes) > VPC_MAX_BAT / 4 || sectors_of(size, bytes) > VPC_LAST_SECTOR)) {
        bytes *= 2;
    }
    return bytes;
}

bool vpc_check_numbers(int64_t size, int64_t block_size, GError **errp)
{
    int64_t entries = entries_of(size, block_size), sectors = sectors_of(size, block_size);

    if (sectors > VPC_LAST_SECTOR) {
        bdrv_set_error(errp, EFBIG, "with blocks of %" PRId64 " bytes, a disk of %" PRId64 " would need %" PRId64
                       " sectors in the file when full, more than the %u that VHD can number: the smallest block size "
                       "for it is %" PRId64, block_size, size, sectors, VPC_LAST_SECTOR, smallest_block(size));
        return false;
    }
    if (entries > VPC_MAX_BAT / 4) {
        bdrv_set_error(errp, EFBIG, "with blocks of %" PRId64 " bytes, a disk of %" PRId64 " would need a BAT of %"
                       PRId64 " bytes, more than the %d that are written here: the smallest block size for it is %"
                       PRId64, block_size, size, entries * 4, VPC_MAX_BAT, smallest_block(size));
        return false;
    }
    return true;
}

/* What is to be made, all of it checked */
typedef struct Plan {
    const Reader *reader;
    bool fixed, differencing;
    int64_t wanted, size;           /* as asked for, and rounded */
    int64_t block_size, entries;
    VpcFooter footer;
    VpcHeader header;
    VpcLocatorData locators[3];     /* W2ku, W2ru, MacX */
} Plan;

bool vpc_parse_uuid(const char *text, uint8_t uuid[16], GError **errp)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0, digits = 0;

    for (; form[i] && text[i]; i++) {
        if (form[i] == '-' ? text[i] != '-' : !g_ascii_isxdigit(text[i])) {
            break;
        }
        if (form[i] == 'x') {
            uint8_t digit = (uint8_t)g_ascii_xdigit_value(text[i]);

            uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | digit);
            digits++;
        }
    }
    if (form[i] || text[i]) {
        bdrv_set_error(errp, EINVAL, "uuid '%s' is not of the form %s", text, form);
        return false;
    }
    return true;
}

static bool plan_parent(Plan *plan, const char *child, const VpcCreateOptions *o, GError **errp)
{
    plan->wanted = o->size;
    if (!o->parent) {
        return true;
    }
    g_autofree char *path = vpc_parent_path(child, o->parent);
    g_autofree char *options = g_strdup_printf("driver=%s", o->parent_driver ? o->parent_driver : "vpc");
    bool exists = g_file_test(child, G_FILE_TEST_EXISTS);   /* then it may be one of those */
    BlockDriverState *parent = exists ? bdrv_open(path, options, 0, NULL) : NULL;
    parent = parent ? parent : bdrv_open(path, options, BDRV_O_NO_BACKING, errp);
    bool ok = parent != NULL;

    if (ok && bdrv_chain_has_file(parent, child)) {
        bdrv_set_error(errp, EINVAL, "the new image would be written over it, or over an image that it needs");
        ok = false;
    }
    ok = ok && vpc_remember_parent(child, parent, &plan->header, plan->locators, errp);
    if (ok && plan->wanted < 0) {
        plan->wanted = bdrv_getlength(parent);
    }
    bdrv_close(parent);
    if (!ok) {
        g_prefix_error(errp, "parent '%s': ", path);
    }
    return ok;
}

static bool plan_size(Plan *plan, GError **errp)
{
    int64_t max = plan->fixed ? plan->reader->max_size : MIN(plan->reader->max_size, VPC_MAX_SIZE);
    int64_t unit = plan->reader->unit;

    if (plan->wanted < 0) {
        bdrv_set_error(errp, EINVAL, "driver 'vpc' needs the option 'size'");
        return false;
    }
    if (plan->wanted > max) {
        bdrv_set_error(errp, EFBIG, "size %" PRId64 " is more than the %" PRId64 " bytes (%" PRId64 " GiB) that %s can "
                       "have", plan->wanted, max, max >> 30, plan->fixed ? "this VHD" : "a dynamic VHD");
        return false;
    }
    plan->size = unit ? round_up(plan->wanted, unit) : vpc_round_to_geometry(plan->wanted);
    return true;
}

static bool plan_blocks(Plan *plan, const VpcCreateOptions *o, GError **errp)
{
    if (o->block_size < VPC_SECTOR || o->block_size > VPC_MAX_BLOCK || !is_power_of_two(o->block_size)) {
        bdrv_set_error(errp, EINVAL, "block size %" PRId64 " is not a power of two from 512 to 268435456",
                       o->block_size);
        return false;
    }
    plan->block_size = o->block_size;
    plan->entries = round_up(plan->size, o->block_size) / o->block_size;
    return vpc_check_numbers(plan->size, o->block_size, errp);
}

static bool set_uuid(VpcFooter *f, const char *text, GError **errp)
{
    if (text) {
        return vpc_parse_uuid(text, f->uuid, errp);
    }
    if (getrandom(f->uuid, sizeof(f->uuid), 0) != sizeof(f->uuid)) {
        bdrv_set_error(errp, EIO, "could not get random bytes for the uuid");
        return false;
    }
    f->uuid[6] = (f->uuid[6] & 0x0f) | 0x40;    /* RFC 4122, version 4: random */
    f->uuid[8] = (f->uuid[8] & 0x3f) | 0x80;
    return true;
}

bool vpc_set_timestamp(VpcFooter *f, int64_t when, GError **errp)
{
    if (when < VPC_EPOCH || when - VPC_EPOCH > UINT32_MAX) {
        bdrv_set_error(errp, EINVAL, "timestamp %" PRId64 " is not between the years 2000 and 2136", when);
        return false;
    }
    be32_store(f->timestamp, (uint32_t)(when - VPC_EPOCH));
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

bool vpc_set_creator(VpcFooter *f, const char *text, GError **errp)
{
    if (strlen(text) > sizeof(f->creator)) {
        bdrv_set_error(errp, EINVAL, "creator '%s' is longer than four characters", text);
        return false;
    }
    memset(f->creator, ' ', sizeof(f->creator));
    memcpy(f->creator, text, strlen(text));
    be32_store(f->creator_version, 0x00010000);
    return true;
}

bool vpc_set_geometry(VpcFooter *f, const char *text, GError **errp)
{
    unsigned c, h, s;
    int end = 0;
    int64_t size = (int64_t)be64_load(f->current_size);

    if (sscanf(text, "%5u/%3u/%3u%n", &c, &h, &s, &end) != 3 || text[end] || c < 1 || c > VPC_MAX_CYLINDERS || h < 1 ||
        h > VPC_MAX_HEADS || s < 1 || s > VPC_MAX_SECTORS) {
        bdrv_set_error(errp, EINVAL, "geometry '%s' is not cylinders/heads/sectors, from 1/1/1 to %d/%d/%d", text,
                       VPC_MAX_CYLINDERS, VPC_MAX_HEADS, VPC_MAX_SECTORS);
        return false;
    }
    if ((int64_t)c * h * s * VPC_SECTOR > size) {
        bdrv_set_error(errp, EINVAL, "geometry '%s' has %" PRId64 " bytes, and the disk has %" PRId64, text,
                       (int64_t)c * h * s * VPC_SECTOR, size);
        return false;
    }
    be16_store(f->cylinders, (uint16_t)c);
    f->heads = (uint8_t)h;
    f->sectors = (uint8_t)s;
    return true;
}

static bool set_creator(VpcFooter *f, const Reader *reader, const char *text, GError **errp)
{
    memcpy(f->creator, reader->creator, 4);
    be32_store(f->creator_version, reader->creator_version);
    memcpy(f->creator_os, reader->creator_os, 4);
    return !text || vpc_set_creator(f, text, errp);
}

static bool plan_footer(Plan *plan, const VpcCreateOptions *o, GError **errp)
{
    VpcFooter *f = &plan->footer;

    if (!set_creator(f, plan->reader, o->creator, errp) || !set_uuid(f, o->uuid, errp) ||
        !set_timestamp(f, o->timestamp, errp)) {
        return false;
    }
    memcpy(f->cookie, VPC_COOKIE, 8);
    be32_store(f->features, VPC_FEATURES);
    be32_store(f->version, VPC_VERSION);
    be64_store(f->data_offset, plan->fixed ? UINT64_MAX : sizeof(VpcFooter));
    vpc_set_size(f, plan->size);
    if (o->geometry && !vpc_set_geometry(f, o->geometry, errp)) {
        return false;
    }
    be32_store(f->type, plan->fixed ? VPC_FIXED : plan->differencing ? VPC_DIFFERENCING : VPC_DYNAMIC);
    be32_store(f->checksum, vpc_checksum(f, sizeof(*f), offsetof(VpcFooter, checksum)));
    return true;
}

static bool make_plan(Plan *plan, const char *filename, const VpcCreateOptions *o, GError **errp)
{
    int reader = o->reader < 0 && !o->force_size ? READER_QEMU : o->reader;

    plan->reader = reader < 0 ? &any_reader : &reader_table[reader];
    plan->differencing = o->parent != NULL;
    plan->fixed = (o->subformat < 0 && !o->parent ? plan->reader->subformat : o->subformat) == SUBFORMAT_FIXED;
    if (plan->fixed && plan->differencing) {
        bdrv_set_error(errp, EINVAL, "a fixed disk can't have a parent");
        return false;
    }
    return plan_parent(plan, filename, o, errp) && plan_size(plan, errp) &&
           (plan->fixed || plan_blocks(plan, o, errp)) && plan_footer(plan, o, errp);
}

static int create_fixed(BlockDriverState *bs, const Plan *plan)
{
    return bdrv_node_pwrite(bs->file, plan->size, &plan->footer, sizeof(plan->footer));
}

static int write_header(BlockDriverState *bs, Plan *plan, int64_t bat)
{
    VpcHeader *h = &plan->header;

    memcpy(h->cookie, VPC_HEADER_COOKIE, 8);
    memset(h->data_offset, 0xff, sizeof(h->data_offset));
    be64_store(h->table_offset, (uint64_t)bat);
    be32_store(h->version, VPC_HEADER_VERSION);
    be32_store(h->entries, (uint32_t)plan->entries);
    be32_store(h->block_size, (uint32_t)plan->block_size);
    be32_store(h->checksum, vpc_checksum(h, sizeof(*h), offsetof(VpcHeader, checksum)));
    return bdrv_node_pwrite(bs->file, sizeof(VpcFooter), h, sizeof(*h));
}

static int write_bat(BlockDriverState *bs, int64_t from, int64_t to)
{
    int64_t piece = MIN(to - from, MAX_PIECE);
    g_autofree uint8_t *unused = g_try_malloc((gsize)MAX(piece, 1));
    int ret = unused ? 0 : -ENOMEM;

    if (unused) {
        memset(unused, 0xff, (size_t)piece);
    }
    for (int64_t n; from < to && ret == 0; from += n) {
        n = MIN(to - from, piece);
        ret = bdrv_node_pwrite(bs->file, from, unused, n);
    }
    return ret;
}

/* Of an image that has no block yet: nothing is full. *@end is where it ends */
static int write_batmap(BlockDriverState *bs, const Plan *plan, int64_t *end)
{
    VpcBatmap map = { VPC_BATMAP_COOKIE };
    int64_t bytes = MAX(round_up((plan->entries + 7) / 8, VPC_SECTOR), VPC_SECTOR);
    int64_t at = *end, start = at + (int64_t)sizeof(map);

    be64_store(map.offset, (uint64_t)start);
    be32_store(map.sectors, (uint32_t)(bytes / VPC_SECTOR));
    be32_store(map.version, VPC_BATMAP_VERSION);
    be32_store(map.checksum, ~0u);
    *end = start + bytes;
    int ret = bdrv_node_pwrite(bs->file, at, &map, sizeof(map));

    return ret < 0 ? ret : bdrv_node_zero(bs->file, start, bytes, 0);
}

static int write_locator(BlockDriverState *bs, Plan *plan, unsigned slot, int64_t at, int64_t *end)
{
    return vpc_write_locator(bs, &plan->header, slot, &plan->locators[slot], at, end);
}

/* Windows puts the relative name before the BAT and the absolute one, with more room, behind it */
static int write_tables(BlockDriverState *bs, Plan *plan, int64_t *end)
{
    int64_t bat = sizeof(VpcFooter) + sizeof(VpcHeader);
    int ret = plan->differencing ? write_locator(bs, plan, 1, VPC_LOCATOR_ALIGN, &bat) : 0;

    *end = bat + round_up(plan->entries * 4, VPC_SECTOR);
    if (ret == 0) {
        ret = write_bat(bs, bat, *end);
    }
    if (ret == 0 && plan->reader->batmap) {
        ret = write_batmap(bs, plan, end);
    }
    if (ret == 0 && plan->differencing) {
        ret = write_locator(bs, plan, 0, round_up(*end, VPC_LOCATOR_ALIGN), end);
    }
    if (ret == 0 && plan->differencing) {
        ret = write_locator(bs, plan, 2, *end, end);
    }
    return ret < 0 ? ret : write_header(bs, plan, bat);
}

static int create_sparse(BlockDriverState *bs, Plan *plan)
{
    int64_t end;
    int ret = write_tables(bs, plan, &end);

    if (ret == 0) {
        ret = bdrv_node_pwrite(bs->file, end, &plan->footer, sizeof(plan->footer));
    }
    return ret < 0 ? ret : bdrv_node_pwrite(bs->file, 0, &plan->footer, sizeof(plan->footer));
}

/* The file has that length at least: all of a fixed disk, or the tables of another one */
static int64_t file_length(const Plan *plan)
{
    return plan->fixed ? plan->size + (int64_t)sizeof(plan->footer)
                       : (int64_t)(2 * sizeof(VpcFooter) + sizeof(VpcHeader)) + round_up(plan->entries * 4, VPC_SECTOR);
}

bool vpc_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    Plan plan = { 0 };
    bool ok = make_plan(&plan, bs->filename, opts, errp) && bdrv_create_file_for(bs, file_length(&plan), errp);

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
