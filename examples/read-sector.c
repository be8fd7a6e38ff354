/* read-sector.c - prints a sector of a disk image */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <miniblk/block.h>

int main(int argc, char **argv)
{
    unsigned char sector[512];
    GError *err = NULL;
    BlockDriverState *bs = argc > 2 ? bdrv_open(argv[1], NULL, BDRV_O_PROBE, &err) : NULL;

    if (!bs) {
        fprintf(stderr, "%s\n", err ? bdrv_error_message(err) : "usage: read-sector IMAGE SECTOR");
        bdrv_error_free(err);
        return 1;
    }
    int ret = bdrv_pread(bs, strtoll(argv[2], NULL, 0) * 512, sector, sizeof(sector), 0);
    for (size_t i = 0; ret == 0 && i < sizeof(sector); i++) {
        printf("%02x%c", sector[i], i % 16 == 15 ? '\n' : ' ');
    }
    bdrv_close(bs);
    return ret == 0 ? 0 : 1;
}
