/* notes.c - warnings of an open image, and its count of failed requests */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include "block/layer.h"

#define MAX_WARNINGS 64

/* The codes that are words. All others are of faults that check knows */
static const char *const words[] = {
    [BDRV_WARNING_IO] = "IO", [BDRV_WARNING_GUESS] = "guess", [BDRV_WARNING_SIZE] = "size",
    [BDRV_WARNING_GEOMETRY] = "geometry", [BDRV_WARNING_CREATOR] = "creator", [BDRV_WARNING_READER] = "reader",
    [BDRV_WARNING_SPLIT] = "split", [BDRV_WARNING_SALVAGE] = "salvage", [BDRV_WARNING_PARENT] = "parent",
    [BDRV_WARNING_IGNORED] = "ignored", [BDRV_WARNING_EMPTIED] = "emptied", [BDRV_WARNING_STALE] = "stale",
    [BDRV_WARNING_ROOM] = "room", [BDRV_WARNING_LEFTOVER] = "leftover", [BDRV_WARNING_GROW] = "grow",
    [BDRV_WARNING_CUT] = "cut", [BDRV_WARNING_LOCK] = "lock", [BDRV_WARNING_DRIVER] = "driver",
    [BDRV_WARNING_BLKDEBUG] = "blkdebug", [BDRV_WARNING_MORE] = "more",
};

static BlockWarningKind kind_of(const char *code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (words[i] && g_str_equal(words[i], code)) {
            return (BlockWarningKind)i;
        }
    }
    return BDRV_WARNING_FAULT;
}

static bool has_room(BlockTree *tree)
{
    pthread_mutex_lock(&tree->notes_lock);
    bool room = tree->warnings->len < MAX_WARNINGS;
    pthread_mutex_unlock(&tree->notes_lock);
    return room;
}

static bool is_noted(const GArray *warnings, const char *text)
{
    for (guint i = 0; i < warnings->len; i++) {
        if (g_str_equal(g_array_index(warnings, BlockWarning, i).text, text)) {
            return true;
        }
    }
    return false;
}

/* Keep @text as a warning, each text once and 64 texts at most. Takes @text. False: *@warning is not set */
static bool note(BlockTree *tree, const char *code, char *text, BlockWarning *warning)
{
    pthread_mutex_lock(&tree->notes_lock);
    bool is_new = tree->warnings->len < MAX_WARNINGS && !is_noted(tree->warnings, text);

    if (is_new && tree->warnings->len == MAX_WARNINGS - 1) {
        g_free(text);
        text = g_strdup("more warnings were given than are kept: check lists what is wrong with the image");
        code = "more";
    }
    if (is_new) {
        *warning = (BlockWarning) { kind_of(code), code, text };
        g_array_append_val(tree->warnings, *warning);
    }
    pthread_mutex_unlock(&tree->notes_lock);
    if (!is_new) {
        g_free(text);
    }
    return is_new;
}

void bdrv_warn(BlockDriverState *bs, const char *code, const char *format, ...)
{
    BlockTree *tree = bs->priv->tree;
    BlockWarning warning;
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
    if (note(tree, code, text, &warning) && tree->warn) {
        tree->warn(tree->warn_user, &warning);
    }
}

bool bdrv_get_warning_facts(BlockDriverState *bs, unsigned n, BlockWarning *warning)
{
    BlockTree *tree = bs->priv->tree;

    pthread_mutex_lock(&tree->notes_lock);
    bool there = n < tree->warnings->len;
    *warning = there ? g_array_index(tree->warnings, BlockWarning, n) : (BlockWarning) { 0 };
    pthread_mutex_unlock(&tree->notes_lock);
    return there;
}

const char *bdrv_get_warning(BlockDriverState *bs, unsigned n)
{
    BlockWarning warning;

    return bdrv_get_warning_facts(bs, n, &warning) ? warning.text : NULL;
}

const char *bdrv_get_warning_code(BlockDriverState *bs, unsigned n)
{
    BlockWarning warning;

    return bdrv_get_warning_facts(bs, n, &warning) ? warning.code : NULL;
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
                       g_array_index(tree->warnings, BlockWarning, count - 1).text);
        g_error_free(err);
    }
}
