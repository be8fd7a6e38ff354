/* size.c - VHD: which sizes a disk can have, by its type and its readers, and the geometry that goes with each */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/size.h"
#include "util/be.h"
#include "util/checked.h"

#define MAX_CHS_SIZE ((int64_t)VPC_MAX_CYLINDERS * VPC_MAX_HEADS * VPC_MAX_SECTORS * VPC_SECTOR)
#define MAX_FIXED_SIZE (BLOCK_MAX_SIZE / VPC_SECTOR * VPC_SECTOR - VPC_SECTOR)
#define AZURE_MIN_SIZE (20LL << 20)
#define AZURE_MAX_SIZE (32767LL << 30)

const char *const vpc_reader_names[] = { "hyper-v", "azure", "virtualpc", "xen", "qemu", NULL };
enum { READER_AZURE = 1, READER_VIRTUALPC, READER_XEN, READER_QEMU };

/* Every QEMU takes current_size for "qem2", and nobody else looks */
static const VpcReader any_reader = { NULL, VPC_SECTOR, MAX_FIXED_SIZE, 0x00050003, "qem2", "Wi2k" };

static const VpcReader reader_table[] = {       /* in the order of vpc_reader_names[] */
    { "Hyper-V", VPC_SECTOR, VPC_MAX_SIZE, 0x000a0000, "win ", "Wi2k" },
    { "Azure", 1 << 20, AZURE_MAX_SIZE, 0x000a0000, "win ", "Wi2k", .fixed = true },
    { "Virtual PC", 0, MAX_CHS_SIZE, 0x00050003, "vpc ", "Wi2k" },
    { "Xen", 2 << 20, VPC_MAX_SIZE, 0x00010003, "tap", "", .batmap = true },
    { "QEMU", 0, VPC_MAX_SIZE, 0x00050003, "qemu", "Wi2k" },
};

const VpcReader *vpc_reader(int reader, bool force_size)
{
    if (reader < 0 && !force_size) {
        reader = READER_QEMU;
    }
    return reader < 0 ? &any_reader : &reader_table[reader];
}

const VpcReader *vpc_reader_of(const VpcFooter *footer, int64_t size)
{
    if (vpc_creator_is(footer, "tap")) {
        return &reader_table[READER_XEN];
    }
    return vpc_creator_is(footer, "vpc ") && size <= MAX_CHS_SIZE ? &reader_table[READER_VIRTUALPC] : &any_reader;
}

void vpc_set_reader(VpcFooter *f, const VpcReader *reader)
{
    memcpy(f->creator, reader->creator, 4);
    be32_store(f->creator_version, reader->creator_version);
    memcpy(f->creator_os, reader->creator_os, 4);
}

typedef struct Geometry {
    int64_t cylinders;
    int heads, sectors;
} Geometry;

/* Return the geometry of the specification's algorithm; C x H x S is never above @total sectors */
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

static void store_geometry(VpcFooter *f, Geometry g)
{
    be16_store(f->cylinders, (uint16_t)g.cylinders);
    f->heads = (uint8_t)g.heads;
    f->sectors = (uint8_t)g.sectors;
}

void vpc_set_size(VpcFooter *f, int64_t size)
{
    be64_store(f->original_size, (uint64_t)size);
    be64_store(f->current_size, (uint64_t)size);
    store_geometry(f, geometry(size / VPC_SECTOR));
}

/* Keep heads and sectors that are not the algorithm's, since a guest may have laid out its disk by them */
void vpc_change_size(VpcFooter *f, int64_t size)
{
    Geometry old = { be16_load(f->cylinders), f->heads, f->sectors };
    int64_t was = (int64_t)be64_load(f->current_size), cylinder = (int64_t)old.heads * old.sectors * VPC_SECTOR;
    Geometry usual = geometry(was / VPC_SECTOR);
    bool own = capacity(old) > 0 && capacity(old) <= was && (old.heads != usual.heads || old.sectors != usual.sectors);

    vpc_set_size(f, size);
    if (own && size >= cylinder) {
        old.cylinders = MIN(size / cylinder, VPC_MAX_CYLINDERS);
        store_geometry(f, old);
    }
}

/* Return the number that *@text begins with, and move *@text behind it and @end. 0: there is none from 1 to @most */
static int take_number(const char **text, char end, int most)
{
    char *rest;
    unsigned long n = g_ascii_isdigit(**text) ? strtoul(*text, &rest, 10) : 0;

    if (n < 1 || n > (unsigned long)most || *rest != end) {
        return 0;
    }
    *text = rest + (end ? 1 : 0);
    return (int)n;
}

bool vpc_set_geometry(VpcFooter *f, const char *text, GError **errp)
{
    const char *rest = text;
    int64_t size = (int64_t)be64_load(f->current_size);
    Geometry g = { .cylinders = take_number(&rest, '/', VPC_MAX_CYLINDERS) };

    g.heads = g.cylinders ? take_number(&rest, '/', UINT8_MAX) : 0;     /* one byte on disk; geometry() uses up to 16 */
    g.sectors = g.heads ? take_number(&rest, 0, VPC_MAX_SECTORS) : 0;
    if (!g.sectors) {
        bdrv_set_error(errp, EINVAL, "geometry '%s' is not cylinders/heads/sectors, from 1/1/1 to %d/%d/%d", text,
                       VPC_MAX_CYLINDERS, UINT8_MAX, VPC_MAX_SECTORS);
        return false;
    }
    if (capacity(g) > size) {
        bdrv_set_error(errp, EINVAL, "geometry '%s' has %" PRId64 " bytes, and the disk has %" PRId64, text,
                       capacity(g), size);
        return false;
    }
    store_geometry(f, g);
    return true;
}

void vpc_set_max_geometry(VpcFooter *f)
{
    store_geometry(f, (Geometry) { VPC_MAX_CYLINDERS, VPC_MAX_HEADS, VPC_MAX_SECTORS });
}

bool vpc_choose_size(BlockDriverState *bs, const VpcReader *reader, bool fixed, int64_t wanted, int64_t *size,
                     GError **errp)
{
    int64_t max = fixed ? reader->max_size : MIN(reader->max_size, VPC_MAX_SIZE);

    if (wanted > max) {
        bdrv_set_error(errp, EFBIG, "size %" PRId64 " is more than the %" PRId64 " bytes (%" PRId64 " GiB) that a %s "
                       "VHD can have%s%s", wanted, max, max >> 30, fixed ? "fixed" : "dynamic or differencing",
                       reader->name ? " for " : "", reader->name ? reader->name : "");
        return false;
    }
    *size = reader->unit ? round_up(wanted, reader->unit) : vpc_round_to_geometry(wanted);
    if (*size > VPC_MAX_SIZE && !reader->name) {
        bdrv_warn(bs, "size", "Hyper-V, QEMU and Xen do not read disks of more than 2040 GiB, and this has %" PRId64 " "
                  "bytes",
                  *size);
    }
    return true;
}

const char *vpc_not_for_azure(bool fixed, int64_t size)
{
    if (!fixed) {
        return "it is not fixed";
    }
    if (size % (1 << 20)) {
        return "its size is not a whole number of MiB";
    }
    return size < AZURE_MIN_SIZE || size > AZURE_MAX_SIZE ? "its size is not between 20 MiB and 32767 GiB" : NULL;
}

void vpc_warn_of_reader(BlockDriverState *bs, const VpcReader *reader, bool fixed, int64_t size)
{
    const char *why = reader == &reader_table[READER_AZURE] ? vpc_not_for_azure(fixed, size) : NULL;

    if (why) {
        bdrv_warn(bs, "reader", "Azure does not take this image, because %s", why);
    }
}

/* Count the sectors of the file when the disk is full */
static int64_t sectors_of(int64_t size, int64_t block_size)
{
    int64_t bitmap = vpc_bitmap_bytes(block_size);
    int64_t stride = round_up(bitmap + block_size, block_size % 4096 ? VPC_SECTOR : 4096);

    return (vpc_blocks_in(size, block_size) * (stride + 4) + (1 << 20)) / VPC_SECTOR;
}

/* Return the smallest block size with which a disk of @size, at most VPC_MAX_SIZE, can be made */
static int64_t smallest_block(int64_t size)
{
    int64_t bytes = VPC_SECTOR;

    while (bytes < VPC_MAX_BLOCK &&
           (vpc_blocks_in(size, bytes) > VPC_MAX_BAT / 4 || sectors_of(size, bytes) > VPC_LAST_SECTOR)) {
        bytes *= 2;
    }
    return bytes;
}

bool vpc_accept_numbers(int64_t size, int64_t block_size, GError **errp)
{
    int64_t entries = vpc_blocks_in(size, block_size), sectors = sectors_of(size, block_size);

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
