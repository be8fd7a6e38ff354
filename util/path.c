/* path.c - paths of this host, as text: joins them, and computes relative ones */
/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "util/path.h"

char *path_join(const char *folder, const char *name)
{
    bool absolute = folder[0] == '/';
    g_auto(GStrv) parts = g_strsplit(folder, "/", -1), more = g_strsplit(name, "/", -1);
    g_autoptr(GPtrArray) path = g_ptr_array_new();

    for (char **part = parts; *part; part++) {
        if (**part && strcmp(*part, ".")) {
            g_ptr_array_add(path, *part);
        }
    }
    for (char **part = more; *part; part++) {
        bool up = !strcmp(*part, "..");

        if (up && path->len > 0 && strcmp(path->pdata[path->len - 1], "..")) {
            g_ptr_array_remove_index(path, path->len - 1);
        } else if (**part && strcmp(*part, ".") && !(up && absolute && path->len == 0)) {
            g_ptr_array_add(path, *part);
        }
    }
    g_ptr_array_add(path, NULL);
    g_autofree char *joined = g_strjoinv("/", (char **)path->pdata);

    return g_strconcat(absolute ? "/" : "", joined, NULL);
}

const char *path_last(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;

    return *last && strcmp(last, ".") && strcmp(last, "..") ? last : NULL;
}

char *path_relative(const char *from, const char *to, const char *name)
{
    g_auto(GStrv) up = g_strsplit(from + 1, "/", -1), down = g_strsplit(to + 1, "/", -1);
    size_t same = 0;
    GString *path = g_string_new(NULL);

    while (up[same] && down[same] && !strcmp(up[same], down[same])) {
        same++;
    }
    for (char **part = up + same; *part && **part; part++) {
        g_string_append(path, "../");
    }
    for (char **part = down + same; *part && **part; part++) {
        g_string_append_printf(path, "%s/", *part);
    }
    g_string_append(path, name);
    return g_string_free(path, FALSE);
}

char *path_resolve(const char *path)
{
    char *real = realpath(path, NULL), *copy = g_strdup(real);

    free(real);
    return copy;
}
