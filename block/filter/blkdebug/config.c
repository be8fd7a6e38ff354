/* config.c - blkdebug: reads rules from a file */
/* SPDX-License-Identifier: MIT
 *
 *   # comment
 *   [inject-error]
 *   event = "write_aio"
 *   errno = "28"
 *
 *   [set-state]
 *   …
 *
 * This is the syntax of QEMU's configuration files. The keys are those of the options inject-error.N and set-state.N.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "block/filter/blkdebug/blkdebug.h"
#include "block/options.h"
#include "util/keyval.h"

#define MAX_LINE 1024
#define MAX_GROUPS 1024

typedef struct Parser {
    KeyVal *kv;                     /* has the keys "GROUP.N.KEY" */
    char *prefix;                   /* "GROUP.N."; NULL: before the first group */
    unsigned errors, states;        /* groups of each kind so far */
    unsigned line;
    bool empty;                     /* the group has no key yet */
} Parser;

static bool bad_line(const Parser *p, const char *what, GError **errp)
{
    bdrv_set_error(errp, EINVAL, "line %u: %s", p->line, what);
    return false;
}

static bool end_group(const Parser *p, GError **errp)
{
    return !p->prefix || !p->empty || bad_line(p, "nothing is in the group that ends here", errp);
}

/* Parse '[group]' or '[group "name"]'; the name is ignored */
static bool parse_group(Parser *p, char *text, GError **errp)
{
    char *end = strchr(text, ']');

    if (!end || end[1]) {
        return bad_line(p, "a group begins with [its name] and nothing else", errp);
    }
    text[strcspn(text, " \t]")] = '\0';
    bool is_error = !strcmp(text + 1, "inject-error");

    if (!is_error && strcmp(text + 1, "set-state")) {
        return bad_line(p, "a group is inject-error or set-state", errp);
    }
    if (p->errors + p->states >= MAX_GROUPS) {
        return bad_line(p, "too many groups", errp);
    }
    if (!end_group(p, errp)) {
        return false;
    }
    g_free(p->prefix);
    p->empty = true;
    p->prefix = g_strdup_printf("%s.%u.", text + 1, is_error ? p->errors++ : p->states++);
    return true;
}

/* Parse 'key = "value"' */
static bool parse_pair(Parser *p, char *text, GError **errp)
{
    size_t key = strcspn(text, " \t=");
    char *value = text + key + strspn(text + key, " \t");

    if (key == 0 || *value != '=') {
        return bad_line(p, "neither a group, nor key = \"value\", nor a comment", errp);
    }
    value += 1 + strspn(value + 1, " \t");
    size_t length = strlen(value);

    if (length < 2 || value[0] != '"' || strchr(value + 1, '"') != value + length - 1) {
        return bad_line(p, "the value is to be in double quotes", errp);
    }
    if (!p->prefix) {
        return bad_line(p, "no group begins before", errp);
    }
    text[key] = value[length - 1] = '\0';
    g_autofree char *name = g_strconcat(p->prefix, text, NULL);

    keyval_set(p->kv, name, value + 1);
    p->empty = false;
    return true;
}

static bool parse_line(Parser *p, char *text, GError **errp)
{
    p->line++;
    if (strlen(text) == MAX_LINE) {
        return bad_line(p, "too long", errp);
    }
    g_strstrip(text);
    if (!*text || *text == '#') {
        return true;
    }
    return *text == '[' ? parse_group(p, text, errp) : parse_pair(p, text, errp);
}

static bool parse_file(Parser *p, FILE *file, GError **errp)
{
    char text[MAX_LINE + 1];

    while (fgets(text, sizeof(text), file)) {
        if (!parse_line(p, text, errp)) {
            return false;
        }
    }
    if (ferror(file)) {
        bdrv_set_error(errp, errno, "could not be read: %s", g_strerror(errno));
        return false;
    }
    return end_group(p, errp);
}

bool blkdebug_read_config(const char *filename, const BlockOption *table, BlkdebugLists *lists, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    Parser parser = { .kv = kv };
    FILE *file = fopen(filename, "re");

    if (!file) {
        bdrv_set_error(errp, errno, "could not be opened: %s", g_strerror(errno));
        return false;
    }
    bool ok = parse_file(&parser, file, errp);

    fclose(file);
    g_free(parser.prefix);
    return ok && block_options_fill(table, kv, lists, "blkdebug", errp);
}
