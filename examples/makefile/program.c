/* program.c - prints how long the disk in a VHD is, and whether its first sector can be booted from */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#ifdef ONE_FILE
#include "miniblk.h"
#else
#include <miniblk/block.h>
#endif

int main(int argc, char **argv)
{
    GError *err = NULL;
    unsigned char sector[512];
    BlockDriverState *bs = bdrv_open(argc > 1 ? argv[1] : "", "driver=vpc", 0, &err);

    if (!bs || bdrv_pread(bs, 0, sector, sizeof(sector), 0) < 0) {
        fprintf(stderr, "%s\n", bdrv_error_message(err));
        bdrv_error_free(err);
        bdrv_close(bs);
        return 1;
    }
    printf("%" PRId64 " bytes, %s\n", bdrv_getlength(bs),
           sector[510] == 0x55 && sector[511] == 0xaa ? "can be booted" : "cannot be booted");
    return bdrv_close(bs) < 0;
}
