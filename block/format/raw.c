/* raw.c - raw images: the disk is the file, or a part of the file */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <glib.h>
#include "block/drivers.h"
#include "util/checked.h"

#define RAW_SECTOR 512              /* a disk has whole sectors: the last one is filled with zeroes */
#define RAW_GUESSED \
    "Image format was not specified for '%s' and probing guessed raw.\n" \
    "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be " \
    "restricted.\n" \
    "         Specify the 'raw' format explicitly to remove the restrictions."
#define RAW_PIECE (1 << 20)         /* bytes of one write of preallocation */
#define RAW_FIRST 4096             /* bytes that RAW_PREALLOC_FIRST fills */

typedef struct RawState {
    int64_t offset;                 /* where the disk begins in the file */
} RawState;

typedef struct RawOpenOptions {
    int64_t offset;
    int64_t size;                   /* -1: to the end of the file */
} RawOpenOptions;

static const BlockOption raw_open_options[] = {
    { "offset", BLOCK_OPT_SIZE, offsetof(RawOpenOptions, offset), "0",
      .help = "where the disk begins in the file" },
    { "size", BLOCK_OPT_SIZE, offsetof(RawOpenOptions, size), "",
      .help = "length of the disk, in multiples of 512; to the end of the file if not given" },
    { NULL }
};

/* RAW_PREALLOC_FIRST: on some file systems a hole does not show the alignment that O_DIRECT needs */
typedef enum RawPreallocation {
    RAW_PREALLOC_OFF, RAW_PREALLOC_FALLOC, RAW_PREALLOC_FULL, RAW_PREALLOC_FIRST,
} RawPreallocation;

static const char *const raw_preallocation_words[] = { "off", "falloc", "full", "first", NULL };

typedef struct RawCreateOptions {
    int64_t size, extent_size_hint;
    int preallocation;              /* RawPreallocation */
    bool clear;
} RawCreateOptions;

static const BlockOption raw_create_options[] = {
    { "size", BLOCK_OPT_SIZE, offsetof(RawCreateOptions, size), NULL,
      .help = "length of the disk, rounded up to a multiple of 512" },
    { "preallocation", BLOCK_OPT_ENUM, offsetof(RawCreateOptions, preallocation), "off",
      raw_preallocation_words,
      .help = "leave a hole, reserve the space, fill it with zeroes, or fill the first 4 KiB" },
    { "extent_size_hint", BLOCK_OPT_SIZE, offsetof(RawCreateOptions, extent_size_hint), "0",
      .help = "bytes that the file system shall allocate at once, if it takes such a hint (XFS does); 0: no hint" },
    { "clear", BLOCK_OPT_BOOL, offsetof(RawCreateOptions, clear), "off",
      .help = "on a device: zero the first and the last sector where they tell of another format, "
              "from an older image" },
    { NULL }
};

/* Accept any file, with the lowest score, so that every other format goes first */
static int raw_probe(const BlockProbe *probe)
{
    return 1;
}

/* Check *@size and round it up to whole sectors; the sum with @offset does not overflow */
static bool raw_check_size(int64_t *size, int64_t offset, GError **errp)
{
    if (*size > BLOCK_MAX_SIZE - offset) {
        bdrv_set_error(errp, EFBIG, "size %" PRId64 " is too large", *size);
        return false;
    }
    *size = align_up(*size, RAW_SECTOR);
    return true;
}

static bool raw_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const RawOpenOptions *o = opts;
    RawState *s = bs->state;

    if ((flags & BDRV_O_PROBE_QEMU) && (flags & BDRV_O_RDWR)) {
        bdrv_warn(bs, "guess", RAW_GUESSED, bs->filename);
        if (!bdrv_wrap_file(bs, "probe-guard", errp)) {
            return false;
        }
    }
    int64_t have = bdrv_node_size(bs->file);

    if (o->offset > have) {
        bdrv_set_error(errp, EINVAL, "offset %" PRId64 " is past the end of the file, which has %" PRId64
                       " bytes", o->offset, have);
        return false;
    }
    if (o->size > have - o->offset) {
        bdrv_set_error(errp, EINVAL, "offset %" PRId64 " and size %" PRId64 " reach past the end of the "
                       "file, which has %" PRId64 " bytes", o->offset, o->size, have);
        return false;
    }
    if (o->size > 0 && o->size % RAW_SECTOR) {
        bdrv_set_error(errp, EINVAL, "size %" PRId64 " is not a multiple of %d", o->size, RAW_SECTOR);
        return false;
    }
    s->offset = o->offset;
    bs->fixed_length = o->size >= 0;
    bs->size = bs->fixed_length ? o->size : have - s->offset;
    return raw_check_size(&bs->size, s->offset, errp);
}

static bool raw_preallocate(BlockDriverState *file, int64_t size, RawPreallocation how, GError **errp)
{
    int64_t end = how == RAW_PREALLOC_FULL ? size : how == RAW_PREALLOC_FIRST ? MIN(size, RAW_FIRST) : 0;
    g_autofree void *zeroes = end ? g_try_malloc0(RAW_PIECE) : NULL;
    int ret = how == RAW_PREALLOC_FALLOC ? bdrv_node_zero(file, 0, size, 0) : end && !zeroes ? -ENOMEM : 0;

    for (int64_t at = 0; at < end && ret == 0; at += RAW_PIECE) {
        ret = bdrv_node_pwrite(file, at, zeroes, MIN(RAW_PIECE, end - at));
        if (ret == 0 && !bdrv_go_on(file, MIN(at + RAW_PIECE, end), end)) {
            ret = -ECANCELED;
        }
    }
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not allocate %" PRId64 " bytes: %s", size, g_strerror(-ret));
    }
    return ret == 0;
}

/* Zero the sector at @at, which is at an end of a device and tells of the format @name. If not @clear, only warn */
static int raw_clear_end(BlockDriverState *bs, int64_t at, const char *name, bool clear)
{
    static const uint8_t zeroes[RAW_SECTOR];
    int ret = clear ? bdrv_node_pwrite(bs->file, at, zeroes, RAW_SECTOR) : 0;

    if (ret == 0 && at > 0) {
        bdrv_warn(bs, "stale", clear
                  ? "the last sector, behind the new disk, was the end of an older image (%s), and is zeroed"
                  : "the last sector, behind the new disk, is the end of an older image (%s), and is taken for one "
                    "where no format is named", name);
    }
    return ret;
}

/* Look for traces of an older image of another format on a device, which keeps its length: at the start, which becomes
 * part of the disk, and at the end, if the disk of @size bytes does not reach it */
static bool raw_clear_ends(BlockDriverState *bs, int64_t size, bool clear, GError **errp)
{
    uint8_t head[BLOCK_PROBE_BYTES] = { 0 }, tail[BLOCK_PROBE_BYTES] = { 0 };
    int64_t have = bdrv_node_can_grow(bs->file) ? 0 : bdrv_node_size(bs->file), some = MIN(have, BLOCK_PROBE_BYTES);
    const char *name;

    if (have < RAW_SECTOR || size == 0) {
        return true;
    }
    int ret = bdrv_node_pread(bs->file, 0, head, some);

    ret = ret < 0 ? ret : bdrv_node_pread(bs->file, have - some, tail + (BLOCK_PROBE_BYTES - some), some);
    if (ret == 0 && clear && bdrv_other_format(head, NULL, have)) {
        ret = raw_clear_end(bs, 0, "", true);
    }
    if (ret == 0 && have - RAW_SECTOR >= size && (name = bdrv_other_format(NULL, tail, have))) {
        ret = raw_clear_end(bs, have - RAW_SECTOR, name, clear);
    }
    if (ret < 0 && clear) {
        bdrv_set_error(errp, -ret, "could not clear what an older image has left at its ends: %s", g_strerror(-ret));
    }
    return ret == 0 || !clear;
}

static bool raw_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    const RawCreateOptions *o = opts;
    int64_t size = o->size;

    return raw_check_size(&size, 0, errp) &&
           bdrv_create_file_for(bs, &(BlockFilePlan) { size, o->extent_size_hint }, errp) &&
           raw_clear_ends(bs, size, o->clear, errp) &&
           raw_preallocate(bs->file, size, (RawPreallocation)o->preallocation, errp) &&
           bdrv_node_truncate(bs->file, size, errp);
}

static int raw_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    RawState *s = bs->state;

    *ext = (BlockExtent) { 0, bdrv_node_size(bs), bs->file, s->offset, BLOCK_EXTENT_WINDOW };
    return 0;
}

static bool raw_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    RawState *s = bs->state;
    int64_t bytes = size;       /* of the file, whose last sector may be partial */

    if (bs->fixed_length) {
        bdrv_set_error(errp, ENOTSUP, "a disk of a fixed size= cannot be resized");
        return false;
    }
    if (!raw_check_size(&size, s->offset, errp)) {
        return false;
    }
    if (!bdrv_node_can_grow(bs->file) && s->offset + bytes < bdrv_node_size(bs->file)) {
        bdrv_set_error(errp, ENOTSUP, "'%s' keeps its length of %" PRId64 " bytes, as devices and exports do",
                       bs->filename, bdrv_node_size(bs->file));
        return false;
    }
    if (!bdrv_node_truncate(bs->file, s->offset + bytes, errp)) {
        return false;
    }
    if (size != bytes) {
        bdrv_warn(bs, "size", "the disk has %" PRId64 " bytes, and the file only %" PRId64 " of them: "
                  "a disk has whole sectors", size, bytes);
    }
    __atomic_store_n(&bs->size, size, __ATOMIC_RELEASE);
    return true;
}

static bool raw_preallocate_more(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp)
{
    return bdrv_node_preallocate(bs->file, ((RawState *)bs->state)->offset + offset, bytes, full, errp);
}

static bool raw_get_geometry(BlockDriverState *bs, BlockGeometry *geometry)
{
    RawState *s = bs->state;

    return s->offset == 0 && bdrv_node_size(bs) == bdrv_node_size(bs->file) &&
           bdrv_node_get_geometry(bs->file, geometry);
}

const BlockDriver bdrv_raw = {
    .name           = "raw",
    .description    = "raw disk image, or a window on one",
    .state_size     = sizeof(RawState),
    .open_size      = sizeof(RawOpenOptions),
    .create_size    = sizeof(RawCreateOptions),
    .open_options   = raw_open_options,
    .create_options = raw_create_options,
    .probe          = raw_probe,
    .open           = raw_open,
    .read           = bdrv_mapped_read,     /* the layer moves the bytes */
    .write          = bdrv_mapped_write,
    .create         = raw_create,
    .zero           = bdrv_mapped_zero,
    .status         = bdrv_mapped_status,
    .map            = raw_map,              /* we say where they are */
    .truncate       = raw_truncate,
    .preallocate    = raw_preallocate_more,
    .get_geometry   = raw_get_geometry,
    .reopen         = bdrv_simple_reopen,
};
