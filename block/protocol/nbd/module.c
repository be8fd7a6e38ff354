/* module.c - what makes block-nbd.so a module: see miniblk/driver.h */
/* SPDX-License-Identifier: MIT */
#include "block/protocol/nbd/nbd.h"

const BlockModule miniblk_module = BLOCK_MODULE(bdrv_nbd);
