/* keyval-json.c - options as JSON: {"driver": "vpc", "file": {"filename": "a.vhd"}} */
/* SPDX-License-Identifier: MIT
 *
 * Before json-glib parses the text, a scan bounds the depth, because json-glib is recursive; turns numbers, true and
 * false into strings, so that no digit is lost; and turns strings in single quotes into those that json-glib knows.
 */
#include <errno.h>
#include <string.h>
#include <json-glib/json-glib.h>
#include "util/keyval.h"

#define MAX_TEXT 65536          /* bytes; no command line is longer */
#define MAX_DEPTH 64
#define MAX_KEY 1024            /* of a whole key, with all of its parts */

typedef struct Scan {
    const char *at;             /* the text that is not scanned yet */
    GString *out;
    int depth;
    size_t members;             /* of all objects */
} Scan;

static bool bad(GError **errp, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool bad(GError **errp, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, g_quark_from_static_string("miniblk-block"), EINVAL, "%s", text);
    return false;
}

static bool unreadable(GError **errp, const char *what)
{
    return bad(errp, "Could not parse the JSON options: JSON parse error, %s", what);
}

static bool stray(GError **errp, const char *text, size_t bytes)
{
    g_autofree char *word = g_strndup(text, bytes), *what = g_strdup_printf("stray '%s'", word);

    return unreadable(errp, what);
}

/* Return the number of the four hexadecimal digits in "\\uXXXX"; -1: @text does not begin so */
static int unit_of(const char *text)
{
    int unit = 0;

    for (int i = 2; i < 6 && unit >= 0; i++) {
        bool good = text[0] == '\\' && text[1] == 'u' && g_ascii_isxdigit(text[i]);

        unit = good ? unit << 4 | g_ascii_xdigit_value(text[i]) : -1;
    }
    return unit;
}

/* Copy a "\\u" escape, or the pair of them that makes a surrogate pair */
static bool take_unit(Scan *scan, GError **errp)
{
    const char *at = scan->at - 1;
    int unit = unit_of(at);

    if (unit < 0) {
        return unreadable(errp, "invalid escape sequence in string");
    }
    bool high = unit >> 10 == 0xd800 >> 10, pair = high && unit_of(at + 6) >> 10 == 0xdc00 >> 10;

    if (unit == 0 || (high && !pair) || unit >> 10 == 0xdc00 >> 10) {
        g_autofree char *what = g_strdup_printf("%.6s is not a valid Unicode character", at);

        return unreadable(errp, what);
    }
    g_string_append_len(scan->out, at, pair ? 12 : 6);
    scan->at += pair ? 11 : 5;
    return true;
}

/* Copy an escape, of which the backslash is done */
static bool take_escape(Scan *scan, GError **errp)
{
    const char *at = scan->at;

    if (*at == 'u') {
        return take_unit(scan, errp);
    }
    if (!*at || !strchr("\"'\\/bfnrt", *at)) {
        return unreadable(errp, *at ? "invalid escape sequence in string" : "premature EOI");
    }
    g_string_append_printf(scan->out, *at == '\'' ? "%c" : "\\%c", *at);
    scan->at++;
    return true;
}

static bool take_string(Scan *scan, GError **errp)
{
    const char *start = scan->at;
    char quote = *scan->at++;

    g_string_append_c(scan->out, '"');
    while (*scan->at != quote) {
        char c = *scan->at;

        if (c >= 0 && c < ' ') {
            return c ? stray(errp, start, (size_t)(scan->at - start)) : unreadable(errp, "premature EOI");
        }
        scan->at++;
        if (c == '\\') {
            if (!take_escape(scan, errp)) {
                return false;
            }
        } else {
            g_string_append_printf(scan->out, c == '"' ? "\\%c" : "%c", c);
        }
    }
    scan->at++;
    g_string_append_c(scan->out, '"');
    return true;
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* Return the length of the JSON number at @text; 0: there is none */
static size_t number_length(const char *text)
{
    size_t at = *text == '-', whole = digits(text + at);

    if (!whole || (text[at] == '0' && whole > 1)) {
        return 0;
    }
    at += whole;
    if (text[at] == '.') {
        if (!digits(text + at + 1)) {
            return 0;
        }
        at += 1 + digits(text + at + 1);
    }
    if (text[at] == 'e' || text[at] == 'E') {
        size_t sign = text[at + 1] == '-' || text[at + 1] == '+', power = digits(text + at + 1 + sign);

        at = power ? at + 1 + sign + power : 0;
    }
    return at;
}

static bool take_word(Scan *scan, GError **errp)
{
    static const char *const words[][2] = { { "true", "on" }, { "false", "off" } };
    size_t length = strcspn(scan->at, " \t\r\n,:[]{}\"'");
    g_autofree char *word = g_strndup(scan->at, length);
    const char *value = number_length(word) == length ? word : NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        value = g_str_equal(word, words[i][0]) ? words[i][1] : value;
    }
    if (g_str_equal(word, "null") && g_str_has_suffix(scan->out->str, "backing\":")) {
        value = "";                 /* means: no backing */
    } else if (g_str_equal(word, "null")) {
        return bad(errp, "Could not parse the JSON options: no option has the value null");
    }
    if (!value && !g_ascii_islower(*word)) {
        return stray(errp, word, length);
    }
    if (!value) {
        g_autofree char *what = g_strdup_printf("invalid keyword '%s'", word);

        return unreadable(errp, what);
    }
    g_string_append_printf(scan->out, "\"%s\"", value);
    scan->at += length;
    return true;
}

static bool take_token(Scan *scan, GError **errp)
{
    char c = *scan->at;

    if (c == '"' || c == '\'') {
        return take_string(scan, errp);
    }
    if (!strchr("{}[],: \t\r\n", c)) {
        return take_word(scan, errp);
    }
    if ((c == '}' || c == ']') && g_str_has_suffix(scan->out->str, ",")) {
        return unreadable(errp, "expecting value");
    }
    scan->depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
    scan->members += c == ':';
    if (scan->depth > MAX_DEPTH) {
        return bad(errp, "Could not parse the JSON options: JSON nesting depth limit exceeded");
    }
    if (!g_ascii_isspace(c)) {
        g_string_append_c(scan->out, c);
    }
    scan->at++;
    return true;
}

static bool take_all(Scan *scan, GError **errp)
{
    scan->at += strspn(scan->at, " \t\r\n");
    if (!*scan->at) {
        return bad(errp, "Could not parse the JSON options: Expecting a JSON value");
    }
    bool object = *scan->at == '{';

    do {
        if (!*scan->at) {
            return unreadable(errp, "premature EOI");
        }
        if (!take_token(scan, errp)) {
            return false;
        }
    } while (scan->depth > 0);
    scan->at += strspn(scan->at, " \t\r\n");
    if (*scan->at) {
        return bad(errp, "Could not parse the JSON options: Expecting at most one JSON value");
    }
    return object || bad(errp, "Invalid JSON object given");
}

/* Turns JSON values into options. If both "a": {"b": …} and "a.b" are given, the first one counts, as in QEMU */
typedef struct Flatten {
    KeyVal *kv;
    GString *key;
    int depth;
    size_t members;
} Flatten;

static bool flatten(Flatten *f, JsonNode *node, GError **errp);

static bool flatten_at(Flatten *f, const char *name, JsonNode *node, GError **errp)
{
    size_t length = f->key->len;

    g_string_append_printf(f->key, "%s%s", length ? "." : "", name);
    if (!*name || !keyval_is_key(f->key->str)) {
        return bad(errp, "option name '%s' is empty, has an empty part, or has a comma or an equals sign in it",
                   f->key->str);
    }
    if (f->key->len > MAX_KEY) {
        return bad(errp, "option name of more than %d bytes", MAX_KEY);
    }
    f->depth++;
    bool ok = flatten(f, node, errp);

    f->depth--;
    g_string_set_size(f->key, length);
    return ok;
}

static bool flatten_object(Flatten *f, JsonObject *object, GError **errp)
{
    GList *names = json_object_get_members(object);
    bool ok = true;

    for (GList *at = names; at && ok; at = at->next) {
        f->members++;
        ok = flatten_at(f, at->data, json_object_get_member(object, at->data), errp);
    }
    g_list_free(names);
    return ok;
}

static bool flatten_array(Flatten *f, JsonArray *array, GError **errp)
{
    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autofree char *number = g_strdup_printf("%u", i);

        if (!flatten_at(f, number, json_array_get_element(array, i), errp)) {
            return false;
        }
    }
    return true;
}

static bool flatten(Flatten *f, JsonNode *node, GError **errp)
{
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        return flatten_object(f, json_node_get_object(node), errp);
    }
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        return flatten_array(f, json_node_get_array(node), errp);
    }
    const char *value = json_node_get_string(node);

    if (value && (f->depth > 1 || !keyval_get(f->kv, f->key->str))) {
        keyval_set(f->kv, f->key->str, value);
    }
    return true;
}

static KeyVal *read_tree(const Scan *scan, JsonParser *parser, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    g_autoptr(GString) key = g_string_new(NULL);
    Flatten f = { .kv = kv, .key = key };
    GError *err = NULL;

    if (!json_parser_load_from_data(parser, scan->out->str, (gssize)scan->out->len, &err)) {
        unreadable(errp, err->message);
        g_error_free(err);
        return NULL;
    }
    if (!flatten(&f, json_parser_get_root(parser), errp)) {
        return NULL;
    }
    if (f.members != scan->members) {       /* the parser has dropped a key that is there twice */
        unreadable(errp, "duplicate key");
        return NULL;
    }
    return g_steal_pointer(&kv);
}

KeyVal *keyval_parse_json(const char *text, GError **errp)
{
    size_t length = strlen(text);
    Scan scan = { .at = text };

    if (length > MAX_TEXT) {
        bad(errp, "Could not parse the JSON options: %zu bytes, more than %d", length, MAX_TEXT);
        return NULL;
    }
    if (!g_utf8_validate(text, (gssize)length, NULL)) {
        unreadable(errp, "not UTF-8");
        return NULL;
    }
    scan.out = g_string_sized_new(length);
    JsonParser *parser = json_parser_new();
    KeyVal *kv = take_all(&scan, errp) ? read_tree(&scan, parser, errp) : NULL;

    g_object_unref(parser);
    g_string_free(scan.out, TRUE);
    return kv;
}
