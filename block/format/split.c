/* split.c - one disk in several files, read-only */
/* SPDX-License-Identifier: MIT
 *
 * Virtual PC splits images at the longest file that FAT allows. The first part is "vm.vhd"; the others, "vm.v01" and so
 * on, have the bytes behind it, and no header of their own. bs->file is the first part.
 */
#include <errno.h>
#include <glib.h>
#include "block/drivers.h"
#include "block/format/split.h"
#include "util/checked.h"
#include "util/keyval.h"

#define MOST_PARTS 99           /* ".v01" to ".v99" */

typedef struct Part {
    BlockDriverState *node;
    int64_t start, end;         /* of the part, in the image */
} Part;

typedef struct SplitState {
    GArray *parts;              /* of Part; the first one's node is bs->file */
} SplitState;

/* Return where the ".vhd" of a filename begins. NULL: it has no suffix */
static const char *find_suffix(const char *filename)
{
    const char *dot = strrchr(filename, '.');

    return dot && !strchr(dot, '/') && dot > filename ? dot : NULL;
}

/* Return the filename with @end (".v01") in place of its suffix, or with @end in upper case, if there is such a file;
 * else NULL. g_free() it */
static char *existing(const char *filename, const char *suffix, const char *end)
{
    g_autofree char *stem = g_strndup(filename, (gsize)(suffix - filename));
    g_autofree char *upper = g_ascii_strup(end, -1);
    g_autofree char *path = g_strconcat(stem, end, NULL), *other = g_strconcat(stem, upper, NULL);

    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        return g_steal_pointer(&path);
    }
    return g_file_test(other, G_FILE_TEST_EXISTS) ? g_steal_pointer(&other) : NULL;
}

char *split_part(const char *filename, unsigned n)
{
    const char *suffix = find_suffix(filename);
    g_autofree char *end = g_strdup_printf(".v%02u", n);

    return suffix && n <= MOST_PARTS && !g_ascii_strcasecmp(suffix, ".vhd") ? existing(filename, suffix, end) : NULL;
}

char *split_next(const char *filename)
{
    char *path = NULL;

    for (unsigned n = 1; n <= MOST_PARTS && !path; n++) {
        path = split_part(filename, n);
    }
    return path;
}

bool split_is_part(const char *filename)
{
    const char *suffix = find_suffix(filename);

    return suffix && g_ascii_tolower(suffix[1]) == 'v' && g_ascii_isdigit(suffix[2]) && g_ascii_isdigit(suffix[3]) &&
           !suffix[4];
}

char *split_first(const char *filename)
{
    return split_is_part(filename) ? existing(filename, find_suffix(filename), ".vhd") : NULL;
}

static bool add_part(BlockDriverState *bs, BlockDriverState *node, GError **errp)
{
    SplitState *s = bs->state;
    Part part = { node, bs->size, bs->size };

    if (!checked_add(part.start, bdrv_node_size(node), &part.end) || part.end > BLOCK_MAX_SIZE) {
        bdrv_set_error(errp, EFBIG, "the parts are too large together");
        return false;
    }
    g_array_append_val(s->parts, part);
    bs->size = part.end;
    return true;
}

static bool open_part(BlockDriverState *bs, const char *path, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();

    keyval_set(kv, "driver", "file");
    keyval_set(kv, "filename", path);
    g_autofree char *options = keyval_format(kv);
    BlockDriverState *node = bdrv_open_child(bs, options, bs->flags & (BDRV_O_NOCACHE | BDRV_O_NO_LOCK), errp);

    if (!node) {
        g_prefix_error(errp, "part '%s': ", path);
        return false;
    }
    if (!add_part(bs, node, errp)) {
        bdrv_close_child(node);
        return false;
    }
    return true;
}

static bool split_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    SplitState *s = bs->state;
    bool ok = true;

    s->parts = g_array_new(FALSE, FALSE, sizeof(Part));
    if (flags & BDRV_O_RDWR) {
        g_autofree char *next = split_next(bs->filename);

        bdrv_set_error(errp, EROFS, "a split image, whose next part is '%s', can be opened for reading only: "
                       "convert makes one file of it", next ? next : "");
        return false;
    }
    ok = add_part(bs, bs->file, errp);
    for (unsigned n = 1; ok && n <= MOST_PARTS; n++) {
        g_autofree char *path = split_part(bs->filename, n);

        if (!path) {
            break;
        }
        ok = open_part(bs, path, errp);
    }
    return ok;
}

static void split_close(BlockDriverState *bs)
{
    SplitState *s = bs->state;

    for (guint i = 1; s->parts && i < s->parts->len; i++) {
        bdrv_close_child(g_array_index(s->parts, Part, i).node);
    }
    if (s->parts) {
        g_array_unref(s->parts);
    }
}

static int split_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    const SplitState *s = bs->state;
    guint i = 0;

    while (g_array_index(s->parts, Part, i).end <= offset) {
        i++;
    }
    const Part *part = &g_array_index(s->parts, Part, i);

    *ext = (BlockExtent) { part->start, part->end - part->start, part->node, 0 };
    return 0;
}

static bool split_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    const SplitState *s = bs->state;

    bdrv_info_int(items, "parts", (int64_t)s->parts->len);
    for (guint i = 1; i < s->parts->len; i++) {
        BlockDriverState *node = g_array_index(s->parts, Part, i).node;
        BlockInfo one = *info;

        if (!node->drv->info(node, &one, items, errp)) {
            return false;
        }
        info->actual_size += one.actual_size;
    }
    return true;
}

const BlockDriver bdrv_split = {
    .name        = "split",
    .description = "an image in several files, vm.vhd, vm.v01 and so on, for reading",
    .state_size  = sizeof(SplitState),
    .open        = split_open,
    .read        = bdrv_mapped_read,     /* the layer moves the bytes */
    .close       = split_close,
    .zero        = bdrv_mapped_zero,
    .status      = bdrv_mapped_status,
    .map         = split_map,
    .info        = split_info,
};
