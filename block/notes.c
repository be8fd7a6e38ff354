/* notes.c - warnings of an open image, and its count of failed requests */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include "block/layer.h"

#define MAX_WARNINGS 64

static bool has_room(BlockTree *tree)
{
    pthread_mutex_lock(&tree->notes_lock);
    bool room = tree->warnings->len < MAX_WARNINGS;
    pthread_mutex_unlock(&tree->notes_lock);
    return room;
}

/* Keep each text once, and 64 texts at most */
void bdrv_warn(BlockDriverState *bs, const char *code, const char *format, ...)
{
    BlockTree *tree = bs->priv->tree;
    va_list args;

    if (!has_room(tree)) {
        return;
    }
    va_start(args, format);
    char *text = g_strdup_vprintf(format, args);
    va_end(args);
    if (bs->priv->behind) {
        char *said = text;

        text = g_strdup_printf("parent '%s': %s", bs->filename, said);
        g_free(said);
    }

    pthread_mutex_lock(&tree->notes_lock);
    bool is_new = tree->warnings->len < MAX_WARNINGS &&
                  !g_ptr_array_find_with_equal_func(tree->warnings, text, g_str_equal, NULL);

    if (is_new && tree->warnings->len == MAX_WARNINGS - 1) {
        g_free(text);
        text = g_strdup("more warnings were given than are kept: check lists what is wrong with the image");
        code = "more";
    }
    if (is_new) {
        g_ptr_array_add(tree->warnings, text);
        g_ptr_array_add(tree->warning_codes, (gpointer)code);
    }
    pthread_mutex_unlock(&tree->notes_lock);
    if (!is_new) {
        g_free(text);
    } else if (tree->warn) {
        tree->warn(tree->warn_user, text);
    }
}

static const char *get_note(BlockTree *tree, const GPtrArray *notes, unsigned n)
{
    pthread_mutex_lock(&tree->notes_lock);
    const char *text = n < notes->len ? g_ptr_array_index(notes, n) : NULL;
    pthread_mutex_unlock(&tree->notes_lock);
    return text;
}

const char *bdrv_get_warning(BlockDriverState *bs, unsigned n)
{
    return get_note(bs->priv->tree, bs->priv->tree->warnings, n);
}

const char *bdrv_get_warning_code(BlockDriverState *bs, unsigned n)
{
    return get_note(bs->priv->tree, bs->priv->tree->warning_codes, n);
}

void block_note_error(BlockTree *tree, const char *operation, int64_t offset, int err)
{
    pthread_mutex_lock(&tree->notes_lock);
    if (tree->errors.io_errors++ == 0) {
        tree->errors.io_errno = err;
        tree->errors.io_offset = offset;
        tree->errors.io_operation = operation;
    }
    pthread_mutex_unlock(&tree->notes_lock);
}

void block_tell_warning(BlockTree *tree, bool any, GError **errp)
{
    guint count = tree->warnings->len;

    if (count && errp && *errp && (any || bdrv_error_code(*errp) == EIO)) {
        GError *err = *errp;

        *errp = NULL;
        bdrv_set_error(errp, bdrv_error_code(err), "%s (%s)", err->message,
                       (char *)g_ptr_array_index(tree->warnings, count - 1));
        g_error_free(err);
    }
}
