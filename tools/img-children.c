/* img-children.c - finds the children of an image in its folder */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-children.h"
#include "tools/img-image.h"
#include "tools/img-paths.h"

/* Return true if the file's parent has the id @uuid. If a file has the name of a VHD and cannot be opened, warn: it may
 * be a child */
static bool is_child(const char *path, const char *driver, const char *uuid)
{
    g_autofree char *options = g_strdup_printf("driver=%s,file.locking=off", driver);
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(path, options, BDRV_O_NO_BACKING | BDRV_O_NO_LOCK, &err);
    g_autofree char *parent = bs ? img_get_text(bs, "parent-uuid") : NULL;

    if (!bs && tool_is_called_vhd(path)) {
        tool_warn("'%s' could not be read, and may be a child of this image: %s", path, bdrv_error_message(err));
    }
    bdrv_error_free(err);
    bdrv_close(bs);
    return parent && !g_ascii_strcasecmp(parent, uuid);
}

char *img_find_child(BlockDriverState *bs, const char *name, BlockDriverState *except)
{
    const char *filename = bdrv_get_filename(bs), *entry;
    g_autofree char *uuid = img_get_text(bs, "uuid");

    if (!uuid || !*filename) {
        return NULL;
    }
    g_autofree char *real = realpath(filename, NULL), *folder = g_path_get_dirname(real ? real : filename);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    if (!dir) {
        tool_warn("%s: its folder can't be listed, so its children were not searched for; they know it by its id",
                  name);
    }
    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, entry, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_REGULAR) && !img_is_same_file(path, filename) &&
            !(except && img_is_file_of(except, path)) && is_child(path, bdrv_get_driver_name(bs), uuid)) {
            return g_steal_pointer(&path);
        }
    }
    return NULL;
}
