/* ext4-label.c - changes the label of the ext4 file system in a disk image, of any format */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <miniblk/block.h>

enum {                              /* the superblock: its offset on the disk, and offsets of its fields */
    SUPERBLOCK = 1024,
    MAGIC      = 56,
    FEATURES   = 100,               /* flags of read-only compatible features */
    LABEL      = 120,
    CHECKSUM   = 1020,
};

static uint32_t le32(const uint8_t *at)
{
    return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t crc32c(const uint8_t *at, size_t bytes)
{
    uint32_t crc = ~0u;

    for (; bytes > 0; at++, bytes--) {
        crc ^= *at;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
    }
    return crc;
}

/* Write the label. 0 or -errno */
static int set_label(BlockDriverState *bs, const char *label)
{
    uint8_t sb[1024];
    int ret = bdrv_pread(bs, SUPERBLOCK, sb, sizeof(sb), 0);

    if (ret < 0) {
        return ret;
    }
    if (sb[MAGIC] != 0x53 || sb[MAGIC + 1] != 0xef) {
        return -ENOENT;
    }
    printf("the label was '%.16s', and is '%.16s' now\n", (char *)sb + LABEL, label);
    strncpy((char *)sb + LABEL, label, 16);
    if (le32(sb + FEATURES) & 0x400) {          /* metadata_csum */
        uint32_t crc = crc32c(sb, CHECKSUM);

        for (int i = 0; i < 4; i++) {
            sb[CHECKSUM + i] = (uint8_t)(crc >> 8 * i);
        }
    }
    return bdrv_pwrite(bs, SUPERBLOCK, sb, sizeof(sb), BDRV_REQ_FUA);
}

int main(int argc, char **argv)
{
    GError *err = NULL;
    BlockDriverState *bs = argc == 3 ? bdrv_open(argv[1], NULL, BDRV_O_RDWR | BDRV_O_PROBE, &err) : NULL;

    if (!bs) {
        fprintf(stderr, "%s\n", err ? bdrv_error_message(err) : "usage: ext4-label IMAGE LABEL");
        bdrv_error_free(err);
        return 1;
    }
    int ret = set_label(bs, argv[2]), closed = bdrv_close(bs);

    if (ret == 0) {
        ret = closed;
    }
    if (ret < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], ret == -ENOENT ? "there is no ext4 file system" : strerror(-ret));
    }
    return ret == 0 ? 0 : 1;
}
