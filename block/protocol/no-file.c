/* no-file.c - in place of file.c, where the library is built without the driver "file": refuses every file by its name */
/* SPDX-License-Identifier: MIT
 *
 * Such a library is for programs that keep their images in a BlockStorage. bdrv_file is not in the list of drivers; the
 * layer takes it for a file whose driver is not named.
 */
#include <errno.h>
#include "block/drivers.h"

typedef struct NoFileOptions {
    char *filename;
} NoFileOptions;

static const BlockOption no_file_options[] = {
    { "filename", BLOCK_OPT_STRING, offsetof(NoFileOptions, filename), NULL,
      .help = "refused: this library is built without files" },
    { NULL }
};

static void no_file_error(const char *filename, GError **errp)
{
    bdrv_set_error(errp, ENOTSUP, "'%s' cannot be opened: this library is built without the driver 'file'", filename);
}

static bool no_file_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    no_file_error(((const NoFileOptions *)opts)->filename, errp);
    return false;
}

static bool no_file_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    no_file_error(((const NoFileOptions *)opts)->filename, errp);
    return false;
}

int bdrv_find_file(const char *root, bool by_image, const char *filename, GError **errp)
{
    no_file_error(filename, errp);
    return -1;
}

const BlockDriver *bdrv_driver_of_place(int place)
{
    return &bdrv_file;
}

const BlockDriver *bdrv_driver_of_file(const char *filename, bool devices)
{
    return &bdrv_file;
}

const BlockDriver bdrv_file = {
    .name           = "file",
    .description    = "no file",
    .is_protocol    = true,
    .open_size      = sizeof(NoFileOptions),
    .create_size    = sizeof(NoFileOptions),
    .open_options   = no_file_options,
    .create_options = no_file_options,
    .open           = no_file_open,
    .create         = no_file_create,
};
