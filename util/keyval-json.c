/* keyval-json.c - options as JSON: {"driver": "vpc", "file": {"filename": "a.vhd"}} */
/* SPDX-License-Identifier: MIT
 *
 *     value  = object | list | string | word
 *     object = "{" [ pair { "," pair } ] "}"         pair = string ":" value
 *     list   = "[" [ value { "," value } ] "]"
 *     string = in double or in single quotes         word = number, true, false or null
 *
 * There is one function for each, take_NAME(): it reads a NAME at JsonParser.at, moves JsonParser.at behind it, and
 * returns false with an error if there is none. No tree is built: each string or word becomes an option at once.
 */
#include <errno.h>
#include <string.h>
#include "util/keyval.h"

#define MAX_TEXT 65536          /* bytes; no command line is longer */
#define MAX_DEPTH 64
#define MAX_KEY 1024            /* of a whole key, with all of its parts */

typedef struct JsonParser {
    const char *at;             /* the text that is not read yet; it ends with NUL */
    KeyVal *kv;
    GString *key;               /* of the value that is read: all names on the way to it, with dots between them */
    int depth;                  /* number of objects and lists around @at */
} JsonParser;

static bool take_json_value(JsonParser *p, GError **errp);

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

static bool set_json_error(GError **errp, const char *what)
{
    return bad(errp, "Could not parse the JSON options: JSON parse error, %s", what);
}

/* Report @what, or that the text ends at @p->at */
static bool unexpected(const JsonParser *p, const char *what, GError **errp)
{
    return set_json_error(errp, *p->at ? what : "premature EOI");
}

static bool stray(GError **errp, const char *text, size_t bytes)
{
    g_autofree char *word = g_strndup(text, bytes), *what = g_strdup_printf("stray '%s'", word);

    return set_json_error(errp, what);
}

static void skip_space(JsonParser *p)
{
    p->at += strspn(p->at, " \t\r\n");
}

/* Skip white space, and @c behind it; return whether it was there */
static bool skip(JsonParser *p, char c)
{
    skip_space(p);
    bool found = *p->at == c;

    p->at += found;
    return found;
}

/* Return the value of the escape "\\uXXXX" at @text; -1: there is none */
static int unit_of(const char *text)
{
    int unit = 0;

    for (int i = 2; i < 6 && unit >= 0; i++) {
        bool good = text[0] == '\\' && text[1] == 'u' && g_ascii_isxdigit(text[i]);

        unit = good ? unit << 4 | g_ascii_xdigit_value(text[i]) : -1;
    }
    return unit;
}

/* Take a "\\u" escape, or the pair of them that makes a surrogate pair */
static bool take_unit(JsonParser *p, GString *out, GError **errp)
{
    int unit = unit_of(p->at);

    if (unit < 0) {
        return set_json_error(errp, "invalid escape sequence in string");
    }
    int low = unit >> 10 == 0xd800 >> 10 ? unit_of(p->at + 6) : -1;
    bool pair = low >> 10 == 0xdc00 >> 10;
    int c = pair ? 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff)) : unit;

    if (c == 0 || c >> 11 == 0xd800 >> 11) {
        g_autofree char *what = g_strdup_printf("%.6s is not a valid Unicode character", p->at);

        return set_json_error(errp, what);
    }
    g_string_append_unichar(out, (gunichar)c);
    p->at += pair ? 12 : 6;
    return true;
}

static bool take_escape(JsonParser *p, GString *out, GError **errp)
{
    static const char letters[] = "\"'\\/bfnrt", meanings[] = "\"'\\/\b\f\n\r\t";
    char c = p->at[1];
    const char *letter = c ? strchr(letters, c) : NULL;

    if (c == 'u') {
        return take_unit(p, out, errp);
    }
    if (!letter) {
        return set_json_error(errp, c ? "invalid escape sequence in string" : "premature EOI");
    }
    g_string_append_c(out, meanings[letter - letters]);
    p->at += 2;
    return true;
}

static bool take_string(JsonParser *p, GString *out, GError **errp)
{
    const char *start = p->at;
    char quote = *p->at++;

    while (*p->at != quote) {
        if (*p->at == '\\') {
            if (!take_escape(p, out, errp)) {
                return false;
            }
        } else if (*p->at >= 0 && *p->at < ' ') {
            return *p->at ? stray(errp, start, (size_t)(p->at - start)) : set_json_error(errp, "premature EOI");
        } else {
            g_string_append_c(out, *p->at++);
        }
    }
    p->at++;
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

/* Return the option value for @word, of @length bytes; NULL: it is no word of JSON. Numbers stay as they are written */
static const char *meaning_of(const char *word, size_t length)
{
    if (g_str_equal(word, "true")) {
        return "on";
    }
    if (g_str_equal(word, "false")) {
        return "off";
    }
    return number_length(word) == length ? word : NULL;
}

static bool take_word(JsonParser *p, GString *out, GError **errp)
{
    size_t length = strcspn(p->at, " \t\r\n,:[]{}\"'");
    g_autofree char *word = g_strndup(p->at, length), *what = g_strdup_printf("invalid keyword '%s'", word);
    const char *value = meaning_of(word, length);

    if (g_str_equal(word, "null")) {
        if (!g_str_equal(p->key->str, "backing") && !g_str_has_suffix(p->key->str, ".backing")) {
            return bad(errp, "Could not parse the JSON options: no option has the value null");
        }
        value = "";             /* means: no backing */
    }
    if (!value) {
        return g_ascii_islower(*word) ? set_json_error(errp, what) : stray(errp, word, length);
    }
    g_string_append(out, value);
    p->at += length;
    return true;
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* Take a string or a word */
static bool take_text(JsonParser *p, GString *out, GError **errp)
{
    if (strchr("{}[]:,", *p->at)) {     /* or NUL */
        return unexpected(p, "expecting value", errp);
    }
    return is_quote(*p->at) ? take_string(p, out, errp) : take_word(p, out, errp);
}

static bool take_name(JsonParser *p, GString *out, GError **errp)
{
    skip_space(p);
    bool string = is_quote(*p->at), nested = *p->at == '{' || *p->at == '[';

    return (nested || take_text(p, out, errp)) && (string || set_json_error(errp, "key is not a string in object"));
}

/* Take the value whose key is @p->key and @name */
static bool take_member(JsonParser *p, const char *name, GError **errp)
{
    size_t length = p->key->len;

    g_string_append_printf(p->key, "%s%s", length ? "." : "", name);
    if (!*name || !keyval_is_key(p->key->str)) {
        return bad(errp, "option name '%s' is empty, has an empty part, or has a comma or an equals sign in it",
                   p->key->str);
    }
    if (p->key->len > MAX_KEY) {
        return bad(errp, "option name of more than %d bytes", MAX_KEY);
    }
    if (!take_json_value(p, errp)) {
        return false;
    }
    g_string_set_size(p->key, length);
    return true;
}

/* Take a name and its value, and add the name to @names, those of this object */
static bool take_json_pair(JsonParser *p, GHashTable *names, GError **errp)
{
    g_autoptr(GString) name = g_string_new(NULL);

    if (!take_name(p, name, errp)) {
        return false;
    }
    if (!g_hash_table_add(names, g_strdup(name->str))) {
        return set_json_error(errp, "duplicate key");
    }
    if (!skip(p, ':')) {
        return unexpected(p, "missing : in object pair", errp);
    }
    return take_member(p, name->str, errp);
}

static bool take_object(JsonParser *p, GError **errp)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (skip(p, '}')) {
        return true;
    }
    do {
        if (!take_json_pair(p, names, errp)) {
            return false;
        }
    } while (skip(p, ','));
    return skip(p, '}') || unexpected(p, "expected separator in dict", errp);
}

static bool take_list(JsonParser *p, GError **errp)
{
    int count = 0;

    if (skip(p, ']')) {
        return true;
    }
    do {
        g_autofree char *name = g_strdup_printf("%d", count++);

        if (!take_member(p, name, errp)) {
            return false;
        }
    } while (skip(p, ','));
    return skip(p, ']') || unexpected(p, "expected separator in list", errp);
}

/* Take any value. If both "a": {"b": …} and "a.b" are given, the first one counts, as in QEMU */
static bool take_json_value(JsonParser *p, GError **errp)
{
    bool object = skip(p, '{');

    if (object || skip(p, '[')) {
        if (++p->depth > MAX_DEPTH) {
            return bad(errp, "Could not parse the JSON options: JSON nesting depth limit exceeded");
        }
        bool ok = object ? take_object(p, errp) : take_list(p, errp);

        p->depth--;
        return ok;
    }
    g_autoptr(GString) text = g_string_new(NULL);

    if (!take_text(p, text, errp)) {
        return false;
    }
    if (p->depth > 1 || !keyval_get(p->kv, p->key->str)) {
        keyval_set(p->kv, p->key->str, text->str);
    }
    return true;
}

/* Take one value, and nothing behind it; it has to be an object, but what is wrong with its text is said first */
static bool take_all(JsonParser *p, GError **errp)
{
    skip_space(p);
    bool object = *p->at == '{';

    if (!*p->at) {
        return bad(errp, "Could not parse the JSON options: Expecting a JSON value");
    }
    if (!take_json_value(p, errp)) {
        return false;
    }
    skip_space(p);
    if (*p->at) {
        return bad(errp, "Could not parse the JSON options: Expecting at most one JSON value");
    }
    return object || bad(errp, "Invalid JSON object given");
}

KeyVal *keyval_parse_json(const char *text, GError **errp)
{
    size_t length = strlen(text);
    g_autoptr(KeyVal) kv = keyval_new();
    g_autoptr(GString) key = g_string_new(NULL);
    JsonParser parser = { .at = text, .kv = kv, .key = key };

    if (length > MAX_TEXT) {
        bad(errp, "Could not parse the JSON options: %zu bytes, more than %d", length, MAX_TEXT);
        return NULL;
    }
    if (!g_utf8_validate(text, (gssize)length, NULL)) {
        set_json_error(errp, "not UTF-8");
        return NULL;
    }
    return take_all(&parser, errp) ? g_steal_pointer(&kv) : NULL;
}
