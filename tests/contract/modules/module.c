/* module.c - modules, good ones and bad ones, by what is defined when this is compiled: see ../meson.build */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "modules/first-table.h"

#define SIZE (1 << 20)

/* The module's own number for the interface, its driver's name, and the bytes of its disk */
#ifndef MODULE_ABI
#define MODULE_ABI FIRST_ABI
#endif
#ifndef BYTE
#define BYTE 0x5a
#endif

#ifdef CALLS
int CALLS(void);                    /* no library has it */
#endif

#ifndef EMPTY
static bool module_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
#ifdef CALLS
    bs->needs_flush = CALLS();
#endif
    bs->size = SIZE;
    bs->fixed_length = true;
    return true;
}

static int module_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    for (int64_t done = 0, n; done < vec.bytes; done += n) {
        unsigned char bytes[512];

        n = vec.bytes - done < 512 ? vec.bytes - done : 512;
        memset(bytes, BYTE, sizeof(bytes));
        block_vec_from_buf(block_vec_slice(vec, done, n), bytes);
    }
    return 0;
}

static char *module_parse_name(const char *name, const char **rest, GError **errp)
{
    return strdup("");
}

#ifndef PREFIX
#define PREFIX DRIVER
#endif
static const char *const module_prefixes[] = { PREFIX, PREFIX "+x", NULL };

/* What is behind the table is no part of it */
static const struct {
    FirstTable table;
    size_t behind[8];
} module_driver = {
    .table = {
        .name = DRIVER,
        .is_protocol = true,
        .open = module_open,
        .read = module_read,
        .prefixes = module_prefixes,
        .parse_name = module_parse_name,
    },
#ifdef BEHIND
    .behind = { BEHIND, BEHIND, BEHIND, BEHIND, BEHIND, BEHIND, BEHIND, BEHIND },
#endif
};

#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(FirstTable)
#endif
const BlockModule miniblk_module = { MODULE_ABI, TABLE_SIZE, (const BlockDriver *)&module_driver.table };
#endif
