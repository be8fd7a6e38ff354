/* image.c - makes an image of an input's bytes, opens it, and asks it all questions */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "fuzz.h"
#include "block/format/vpc/on-disk.h"
#include "util/be.h"

#define SECTOR 512

FuzzSetup fuzz_take_setup(FuzzInput *in)
{
    FuzzSetup s;

    s.driver = fuzz_u8(in);
    s.flags = fuzz_u8(in);
    s.repair = fuzz_u8(in);
    s.rule = fuzz_u8(in);
    s.align = fuzz_u8(in);
    s.offset = fuzz_u8(in);
    s.cache = fuzz_u8(in);
    s.gap_fill = fuzz_u8(in);
    s.gap_at = (uint16_t)fuzz_number(in, 2);
    s.gap = (uint16_t)(fuzz_number(in, 2) % 4096);
    s.fail = fuzz_u8(in);
    s.limit = fuzz_u8(in);
    s.extra[0] = fuzz_u8(in);
    s.extra[1] = fuzz_u8(in);
    return s;
}

static uint32_t checksum(const uint8_t *data, size_t bytes, size_t at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < bytes; i++) {
        sum += i >= at && i < at + 4 ? 0 : data[i];
    }
    return ~sum;
}

static void seal(uint8_t *image, size_t size, uint64_t at, size_t bytes, size_t sum_at)
{
    if (at <= size && size - at >= bytes) {
        be32_store(image + at + sum_at, checksum(image + at, bytes, sum_at));
    }
}

/* Set the checksum of the last footer before the header is looked for: its offset may differ from the first one's */
void fuzz_vhd_repair(uint8_t *image, size_t size, unsigned repair)
{
    const VpcFooter *head = (const VpcFooter *)image;

    if (size < SECTOR) {
        return;
    }
    if (repair & FUZZ_SUM_ENDS) {
        seal(image, size, 0, SECTOR, offsetof(VpcFooter, checksum));
    }
    if (repair & FUZZ_COPY_HEAD) {
        memmove(image + size - SECTOR, image, SECTOR);
    } else if (repair & FUZZ_SUM_ENDS) {
        seal(image, size, size - SECTOR, SECTOR, offsetof(VpcFooter, checksum));
    }
    if (repair & FUZZ_SUM_HEADER) {
        const VpcFooter *tail = (const VpcFooter *)(image + size - SECTOR);

        seal(image, size, be64_load(tail->data_offset), sizeof(VpcHeader), offsetof(VpcHeader, checksum));
        seal(image, size, be64_load(head->data_offset), sizeof(VpcHeader), offsetof(VpcHeader, checksum));
    }
}

/* Put the gap into the input, and apply repair */
void fuzz_make_disk(FuzzDisk *disk, const FuzzSetup *s, FuzzInput in)
{
    size_t before = MIN((size_t)s->gap_at * SECTOR, in.left), gap = (size_t)s->gap * SECTOR;
    size_t size = in.left + gap + (s->repair & FUZZ_ADD_TAIL ? SECTOR : 0);
    g_autofree uint8_t *image = g_malloc0(size + 1);

    memcpy(image, in.at, before);
    memset(image + before, s->gap_fill, gap);
    memcpy(image + before + gap, in.at + before, in.left - before);
    fuzz_vhd_repair(image, size, s->repair | (s->repair & FUZZ_ADD_TAIL ? FUZZ_COPY_HEAD : 0));
    size -= size && s->repair & FUZZ_SHORT_TAIL ? 1 : 0;

    *disk = (FuzzDisk) {
        .limit = (int64_t)(s->limit % 32 + 1) << 20, .fixed = s->flags & FUZZ_FIXED_DISK,
        .read_only = s->flags & FUZZ_READ_ONLY,
    };
    fuzz_disk_load(disk, image, (int64_t)size);
    if (s->fail) {      /* kinds, after how many, how many */
        disk->fail_kinds = 1u << s->fail % 4;
        disk->fail_after = s->fail / 4 % 32;
        disk->fail_count = s->fail & 128 ? 1000 : 1;
    }
}

static void append_driver(GString *options, const FuzzSetup *s)
{
    static const char *const rules[] = { "auto", "chs", "current_size", "qemu9" };
    bool raw = s->driver % 4 == 3, probe = s->driver % 4 == 2;

    if (raw) {
        g_string_append_printf(options, "driver=raw,offset=%d,", s->offset * (s->offset & 1 ? 1 : SECTOR));
    } else if (!probe) {
        g_string_append_printf(options, "driver=vpc,force_size_calc=%s,", rules[s->rule % 4]);
        if (s->flags & FUZZ_PARENT) {
            g_string_append_printf(options, "parent=%s/base.raw,backing.driver=raw,ignore-parent-id=on,", fuzz_folder);
        }
    }
    if (raw && s->extra[1] & 1) {
        g_string_append_printf(options, "size=%d,", s->extra[1] * 256);
    }
    if (s->cache) {
        g_string_append_printf(options, "metadata-cache-size=%d,", s->cache * SECTOR);
    }
    if (s->align % 8) {
        g_string_append_printf(options, "file.driver=blkdebug,file.align=%d,file.image.driver=mem,",
                               256 << s->align % 8);
    }
    g_string_append(options, "file.read-only=off");
}

BlockDriverState *fuzz_open_disk(FuzzDisk *disk, const FuzzSetup *s, unsigned drop, unsigned add, GError **errp)
{
    static const struct { uint8_t from; unsigned to; } flags[] = {
        { FUZZ_RDWR, BDRV_O_RDWR }, { FUZZ_UNMAP, BDRV_O_UNMAP }, { FUZZ_WRITETHROUGH, BDRV_O_WRITETHROUGH },
        { FUZZ_NO_BACKING, BDRV_O_NO_BACKING }, { FUZZ_SNAPSHOT, BDRV_O_SNAPSHOT },
    };
    BlockStorage storage = fuzz_disk_storage(disk);
    g_autoptr(GString) options = g_string_new(NULL);
    unsigned want = s->driver % 4 == 2 ? BDRV_O_PROBE : 0;

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        want |= s->flags & flags[i].from ? flags[i].to : 0;
    }
    want = (want & ~drop) | add;
    append_driver(options, s);
    fuzz_say("open '%s', flags 0x%x, %" PRId64 " bytes\n", options->str, want, disk->size);
    return bdrv_open_storage(&storage, options->str, want, errp);
}

/* Compare: bytes with the status "zero" are zero, and reading in pieces gives the same bytes as reading at once */
static void compare(BlockDriverState *bs, int64_t offset, const BlockStatus *st)
{
    static uint8_t whole[3000], part[3000];
    int64_t bytes = MIN(st->bytes, (int64_t)sizeof(whole)), half = bytes / 2;

    if (bdrv_pread(bs, offset, whole, bytes, 0) < 0) {
        return;
    }
    FUZZ_CHECK(!st->zero || fuzz_is_zero(whole, bytes));
    if (bdrv_pread(bs, offset, part, half, 0) == 0 &&
        bdrv_pread(bs, offset + half, part + half, bytes - half, 0) == 0) {
        FUZZ_CHECK(!memcmp(whole, part, (size_t)bytes));
    }
}

/* Walk along block status from @offset to @end, at most @count answers */
static void walk(BlockDriverState *bs, int64_t offset, int64_t end, int count)
{
    for (BlockStatus st; count-- > 0 && offset < end; offset += st.bytes) {
        if (bdrv_block_status(bs, offset, end - offset, count & 1 ? BDRV_STATUS_WANT_ZERO : 0, &st) < 0) {
            st.bytes = MIN(SECTOR, end - offset);
            continue;
        }
        FUZZ_CHECK(st.bytes > 0 && st.bytes <= end - offset);
        FUZZ_CHECK(st.zero || st.data || st.leaf || st.here || st.depth > 0);  /* null-co answers none of them */
        compare(bs, offset, &st);
    }
}

void fuzz_look_at(BlockDriverState *bs)
{
    int64_t size = bdrv_getlength(bs);
    GError *err = NULL;
    BlockInfo *info = bdrv_get_info(bs, &err);

    FUZZ_CHECK(size >= 0 && !info == !!err);
    FUZZ_CHECK(!info || info->virtual_size == size);
    for (int i = 0; info && i < info->count; i++) {
        FUZZ_CHECK(info->items[i].key && (info->items[i].type != BLOCK_INFO_TEXT || info->items[i].text));
    }
    bdrv_info_free(info);
    bdrv_error_free(err);
    walk(bs, 0, size, 16);
    walk(bs, MAX(0, size - 5000), size, 4);
    if (size > 1 << 20) {
        walk(bs, size / 2 - 333, size, 2);
    }
    uint8_t byte;

    FUZZ_CHECK(bdrv_pread(bs, size, &byte, 1, 0) < 0 && bdrv_pread(bs, -1, &byte, 1, 0) < 0);
    for (unsigned n = 0; bdrv_get_warning(bs, n); n++) {
        FUZZ_CHECK(n < 1000 && *bdrv_get_warning(bs, n));
    }
}
