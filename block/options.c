/* options.c - option tables: fill a struct from keys and values, and print help */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "block/options.h"
#include "util/size.h"

/* Where an option stands, for error messages */
typedef struct OptionPlace {
    const char *driver;
    const char *prefix;         /* of the option's name: "", or "inject-error.0." in a list */
} OptionPlace;

static bool fill_table(const BlockOption *table, KeyVal *kv, void *out, OptionPlace place, GError **errp);

static bool bad_value(const BlockOption *opt, const char *value, const char *wanted, OptionPlace place,
                      GError **errp)
{
    bdrv_set_error(errp, EINVAL, "option '%s%s': '%s' is not %s", place.prefix, opt->name, value, wanted);
    return false;
}

static bool parse_int(const char *value, int64_t *number)
{
    char *end;

    errno = 0;
    long long parsed = strtoll(value, &end, 0);

    *number = parsed;
    return end != value && !*end && !errno && !g_ascii_isspace(*value);
}

static bool parse_bool(const char *value, bool *on)
{
    static const char *const yes[] = { "on", "yes", "true", NULL };
    static const char *const no[] = { "off", "no", "false", NULL };

    *on = g_strv_contains(yes, value);
    return *on || g_strv_contains(no, value);
}

static bool parse_enum(const BlockOption *opt, const char *value, int *index, OptionPlace place, GError **errp)
{
    for (int i = 0; opt->values[i]; i++) {
        if (!strcmp(opt->values[i], value)) {
            *index = i;
            return true;
        }
    }
    g_autofree char *words = g_strjoinv(", ", (char **)opt->values);
    g_autofree char *wanted = g_strdup_printf("one of: %s", words);

    return bad_value(opt, value, wanted, place, errp);
}

/* Convert one value. A list or a node gets here only if it was given a value of its own, which is an error */
static bool fill_value(const BlockOption *opt, const char *value, void *at, OptionPlace place, GError **errp)
{
    const char *wanted = "a list, whose items are numbered: name.0.key=value";
    bool on;

    switch (opt->type) {
    case BLOCK_OPT_STRING:
        *(char **)at = g_strdup(value);
        return true;
    case BLOCK_OPT_SIZE:
        wanted = "a size, such as 512, 64k or 1.5G";
        return size_parse(value, at) || bad_value(opt, value, wanted, place, errp);
    case BLOCK_OPT_INT:
        wanted = "a whole number of at most 64 bits";
        return parse_int(value, at) || bad_value(opt, value, wanted, place, errp);
    case BLOCK_OPT_BOOL:
        return parse_bool(value, at) || bad_value(opt, value, "on or off", place, errp);
    case BLOCK_OPT_ON_OFF:
        if (!parse_bool(value, &on)) {
            return bad_value(opt, value, "on or off", place, errp);
        }
        *(int *)at = on;
        return true;
    case BLOCK_OPT_ENUM:
        return parse_enum(opt, value, at, place, errp);
    case BLOCK_OPT_NODE:
        wanted = "a node, whose options are its own: name.filename=value";
        break;
    case BLOCK_OPT_LIST:
        break;
    }
    return bad_value(opt, value, wanted, place, errp);
}

/* Set an option that was not given and has no default: -1. The struct is zeroed, which is right for other types */
static void fill_nothing(const BlockOption *opt, void *at)
{
    if (opt->type == BLOCK_OPT_SIZE || opt->type == BLOCK_OPT_INT) {
        *(int64_t *)at = -1;
    } else if (opt->type == BLOCK_OPT_ENUM || opt->type == BLOCK_OPT_ON_OFF) {
        *(int *)at = -1;
    }
}

/* Return the end of the option's name in lists of names: ".*" if it stands for several options */
static const char *name_end(const BlockOption *opt)
{
    return opt->type == BLOCK_OPT_NODE ? ".*" : "";
}

static bool missing(const BlockOption *opt, OptionPlace place, GError **errp)
{
    bdrv_set_error(errp, EINVAL, "driver '%s' needs the option '%s%s%s'", place.driver, place.prefix, opt->name,
                   name_end(opt));
    return false;
}

/* Append the names of all options of @table; those of a list as "name.N.key" */
static void append_names(GString *names, const BlockOption *table, const char *prefix)
{
    for (const BlockOption *opt = table; opt && opt->name; opt++) {
        if (opt->type == BLOCK_OPT_LIST) {
            g_autofree char *below = g_strdup_printf("%s%s.N.", prefix, opt->name);

            append_names(names, opt->items, below);
        } else {
            g_string_append_printf(names, "%s%s%s%s", names->len ? ", " : "", prefix, opt->name, name_end(opt));
        }
    }
}

static bool refuse_unknown(const BlockOption *table, const KeyVal *kv, OptionPlace place, GError **errp)
{
    g_autoptr(GString) names = g_string_new(NULL);

    if (!keyval_count(kv)) {
        return true;
    }
    append_names(names, table, place.prefix);
    bdrv_set_error(errp, EINVAL, "driver '%s' has no option '%s%s' (it has: %s)", place.driver, place.prefix,
                   keyval_key(kv, 0), names->len ? names->str : "none");
    return false;
}

/* Fill one item of a list. Its options begin with "inject-error.0." if it is item 0 */
static bool fill_item(const BlockOption *opt, KeyVal *list, size_t index, void *item, OptionPlace place,
                      GError **errp)
{
    g_autofree char *number = g_strdup_printf("%zu", index);
    g_autofree char *prefix = g_strdup_printf("%s%s.%s.", place.prefix, opt->name, number);
    g_autoptr(KeyVal) kv = keyval_take_subtree(list, number);

    place.prefix = prefix;
    return fill_table(opt->items, kv, item, place, errp) && refuse_unknown(opt->items, kv, place, errp);
}

/* Count the items 0, 1, 2… of a list, up to the first one that is missing */
static size_t count_items(const KeyVal *list)
{
    for (size_t count = 0;; count++) {
        g_autofree char *number = g_strdup_printf("%zu", count);

        if (!keyval_has_subtree(list, number)) {
            return count;
        }
    }
}

static bool fill_list(const BlockOption *opt, KeyVal *kv, BlockOptionList *list, OptionPlace place, GError **errp)
{
    g_autoptr(KeyVal) items = keyval_take_subtree(kv, opt->name);

    if (!keyval_count(items)) {
        return opt->def || missing(opt, place, errp);
    }
    list->count = count_items(items);
    list->items = g_malloc0_n(list->count, opt->item_size);
    for (size_t i = 0; i < list->count; i++) {
        if (!fill_item(opt, items, i, (char *)list->items + i * opt->item_size, place, errp)) {
            return false;
        }
    }
    if (keyval_count(items)) {
        bdrv_set_error(errp, EINVAL, "option '%s%s.%s': items are numbered from 0 without gaps, and each "
                       "has options of its own", place.prefix, opt->name, keyval_key(items, 0));
        return false;
    }
    return true;
}

static bool fill_node(const BlockOption *opt, KeyVal *kv, char **options, OptionPlace place, GError **errp)
{
    g_autoptr(KeyVal) node = keyval_take_subtree(kv, opt->name);

    if (!keyval_count(node)) {
        return opt->def || missing(opt, place, errp);
    }
    *options = keyval_format(node);
    return true;
}

static bool fill_option(const BlockOption *opt, KeyVal *kv, void *at, OptionPlace place, GError **errp)
{
    g_autofree char *given = keyval_take(kv, opt->name);

    if (given) {
        return fill_value(opt, given, at, place, errp);
    }
    if (opt->type == BLOCK_OPT_LIST) {
        return fill_list(opt, kv, at, place, errp);
    }
    if (opt->type == BLOCK_OPT_NODE) {
        return fill_node(opt, kv, at, place, errp);
    }
    if (!opt->def) {
        return missing(opt, place, errp);
    }
    if (!*opt->def) {
        fill_nothing(opt, at);
        return true;
    }
    return fill_value(opt, opt->def, at, place, errp);
}

static bool fill_table(const BlockOption *table, KeyVal *kv, void *out, OptionPlace place, GError **errp)
{
    for (const BlockOption *opt = table; opt && opt->name; opt++) {
        if (!fill_option(opt, kv, (char *)out + opt->at, place, errp)) {
            return false;
        }
    }
    return true;
}

bool block_options_fill(const BlockOption *table, KeyVal *kv, void *out, const char *driver_name,
                        GError **errp)
{
    if (!fill_table(table, kv, out, (OptionPlace) { driver_name, "" }, errp)) {
        block_options_clear(table, out);
        return false;
    }
    return true;
}

static void clear_list(const BlockOption *opt, BlockOptionList *list)
{
    for (size_t i = 0; i < list->count; i++) {
        block_options_clear(opt->items, (char *)list->items + i * opt->item_size);
    }
    g_free(list->items);
    *list = (BlockOptionList) { 0 };
}

void block_options_clear(const BlockOption *table, void *out)
{
    for (const BlockOption *opt = table; opt && opt->name; opt++) {
        void *at = (char *)out + opt->at;

        if (opt->type == BLOCK_OPT_STRING || opt->type == BLOCK_OPT_NODE) {
            g_clear_pointer((char **)at, g_free);
        } else if (opt->type == BLOCK_OPT_LIST) {
            clear_list(opt, at);
        }
    }
}

bool block_options_unknown(const BlockOption *table, const KeyVal *kv, const char *driver_name,
                           GError **errp)
{
    return refuse_unknown(table, kv, (OptionPlace) { driver_name, "" }, errp);
}

static char *type_name(const BlockOption *opt)
{
    switch (opt->type) {
    case BLOCK_OPT_SIZE:
        return g_strdup("size");
    case BLOCK_OPT_INT:
        return g_strdup("num");
    case BLOCK_OPT_BOOL:
    case BLOCK_OPT_ON_OFF:
        return g_strdup("bool (on/off)");
    case BLOCK_OPT_ENUM:
        return g_strjoinv("|", (char **)opt->values);
    case BLOCK_OPT_NODE:
        return g_strdup("node");
    default:
        return g_strdup("str");
    }
}

static void append_help_line(GString *help, const BlockOption *opt, const char *prefix)
{
    g_autofree char *type = type_name(opt);
    g_autofree char *form = g_strdup_printf("%s%s%s=<%s>", prefix, opt->name, name_end(opt), type);

    g_string_append_printf(help, "  %-22s - %s", form, opt->help);
    if (!opt->def) {
        g_string_append(help, " (required)");
    } else if (*opt->def) {
        g_string_append_printf(help, " (default: %s)", opt->def);
    }
    g_string_append_c(help, '\n');
}

static void append_help(GString *help, const BlockOption *table, const char *prefix)
{
    for (const BlockOption *opt = table; opt && opt->name; opt++) {
        if (opt->type == BLOCK_OPT_LIST) {
            g_autofree char *below = g_strdup_printf("%s%s.N.", prefix, opt->name);

            append_help(help, opt->items, below);
        } else {
            append_help_line(help, opt, prefix);
        }
    }
}

char *bdrv_options_help(const BlockOption *options)
{
    GString *help = g_string_new(NULL);

    append_help(help, options, "");
    return g_string_free(help, FALSE);
}

void *block_options_read(const BlockOption *table, size_t size, const char *text, const char *driver_name,
                         GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, errp);
    g_autofree void *out = g_malloc0(MAX(size, 1));

    if (!kv || !block_options_fill(table, kv, out, driver_name, errp)) {
        return NULL;
    }
    if (!block_options_unknown(table, kv, driver_name, errp)) {
        block_options_clear(table, out);
        return NULL;
    }
    return g_steal_pointer(&out);
}
