/* version.c - which version of the library this is */
/* SPDX-License-Identifier: MIT */
#include <miniblk/block.h>

const char *bdrv_version(void)
{
    return MINIBLK_VERSION;
}

int bdrv_version_number(void)
{
    return MINIBLK_VERSION_NUMBER;
}
