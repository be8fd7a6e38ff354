/* pattern.c - a driver outside of the library: a disk that can be told from others, each sector full of one number */
/* SPDX-License-Identifier: MIT
 *
 * Sector N has the byte (first + N) modulo 256, 512 times. It is for reading only.
 *
 *     driver=pattern,size=64M,first=7       or the name     pattern:64M
 *
 * This file includes no header but miniblk's and those of C. docs/writing-a-driver.md explains the table.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <miniblk/driver.h>

#define SECTOR 512

typedef struct PatternOptions {
    int64_t size, first;
} PatternOptions;

typedef struct PatternState {
    int64_t first;
} PatternState;

static const BlockOption pattern_options[] = {
    { .name = "size", .type = BLOCK_OPT_SIZE, .at = offsetof(PatternOptions, size), .help = "length of the disk" },
    { .name = "first", .type = BLOCK_OPT_INT, .at = offsetof(PatternOptions, first), .def = "0",
      .help = "the bytes of the first sector" },
    { .name = NULL }
};

static bool pattern_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const PatternOptions *o = opts;
    PatternState *s = bs->state;

    if (flags & BDRV_O_RDWR) {
        bdrv_set_error(errp, EACCES, "a pattern can be opened for reading only");
        return false;
    }
    if (o->first < 0 || o->first > 255) {
        bdrv_set_error(errp, EINVAL, "first=%" PRId64 " is not between 0 and 255", o->first);
        return false;
    }
    s->first = o->first;
    bs->size = o->size;
    return true;
}

static int pattern_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    const PatternState *s = bs->state;

    for (int64_t done = 0, n; done < vec.bytes; done += n) {
        unsigned char sector[SECTOR];

        n = SECTOR - (offset + done) % SECTOR;
        n = n < vec.bytes - done ? n : vec.bytes - done;
        memset(sector, (int)((s->first + (offset + done) / SECTOR) % 256), sizeof(sector));
        block_vec_from_buf(block_vec_slice(vec, done, n), sector);
    }
    return 0;
}

/* Turn "pattern:64M" into options. The size is checked later, with the other options */
static char *pattern_parse_name(const char *name, const char **rest, GError **errp)
{
    const char *size = strchr(name, ':') + 1;
    size_t length = strlen("size=") + strlen(size) + 1;
    char *options = malloc(length);

    if (!options || strchr(size, ',')) {
        bdrv_set_error(errp, options ? EINVAL : ENOMEM, "'%s' is not pattern:SIZE", name);
        free(options);
        return NULL;
    }
    snprintf(options, length, "size=%s", size);
    return options;
}

static const char *const pattern_prefixes[] = { "pattern", NULL };

static const BlockDriver bdrv_pattern = {
    .name         = "pattern",
    .description  = "each sector is full of one number",
    .is_protocol  = true,
    .parallel     = true,
    .state_size   = sizeof(PatternState),
    .open_size    = sizeof(PatternOptions),
    .open_options = pattern_options,
    .open         = pattern_open,
    .read         = pattern_read,
    .prefixes     = pattern_prefixes,
    .parse_name   = pattern_parse_name,
};

const BlockModule miniblk_module = BLOCK_MODULE(bdrv_pattern);
