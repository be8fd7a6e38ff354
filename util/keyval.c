/* keyval.c - an ordered list of dotted keys and their values: "driver=vpc,file.filename=a.vhd" */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "util/keyval.h"

typedef struct Pair {
    char *key, *value;
} Pair;

struct KeyVal {
    GPtrArray *pairs;
};

static Pair *pair_new(const char *key, const char *value)
{
    Pair *pair = g_new(Pair, 1);

    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    return pair;
}

static void pair_free(void *data)
{
    Pair *pair = data;

    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

KeyVal *keyval_new(void)
{
    KeyVal *kv = g_new(KeyVal, 1);

    kv->pairs = g_ptr_array_new_with_free_func(pair_free);
    return kv;
}

void keyval_free(KeyVal *kv)
{
    if (kv) {
        g_ptr_array_unref(kv->pairs);
        g_free(kv);
    }
}

static Pair *pair_at(const KeyVal *kv, size_t i)
{
    return g_ptr_array_index(kv->pairs, i);
}

static Pair *find_pair(const KeyVal *kv, const char *key, guint *where)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        Pair *pair = pair_at(kv, i);

        if (!strcmp(pair->key, key)) {
            *where = i;
            return pair;
        }
    }
    return NULL;
}

void keyval_set(KeyVal *kv, const char *key, const char *value)
{
    guint where;
    Pair *old = find_pair(kv, key, &where);

    if (old) {
        char *copy = g_strdup(value);   /* copy first: @value may be the old value */

        g_free(old->value);
        old->value = copy;
    } else {
        g_ptr_array_add(kv->pairs, pair_new(key, value));
    }
}

const char *keyval_get(const KeyVal *kv, const char *key)
{
    guint where;
    Pair *pair = find_pair(kv, key, &where);

    return pair ? pair->value : NULL;
}

char *keyval_take(KeyVal *kv, const char *key)
{
    guint where;
    Pair *pair = find_pair(kv, key, &where);

    if (!pair) {
        return NULL;
    }
    char *value = g_steal_pointer(&pair->value);

    g_ptr_array_remove_index(kv->pairs, where);
    return value;
}

/* Return the part of @key behind "@prefix."; NULL: it does not begin so */
static const char *below(const char *key, const char *prefix)
{
    size_t len = strlen(prefix);

    return !strncmp(key, prefix, len) && key[len] == '.' ? key + len + 1 : NULL;
}

KeyVal *keyval_take_subtree(KeyVal *kv, const char *prefix)
{
    KeyVal *taken = keyval_new();

    for (guint i = 0; i < kv->pairs->len;) {
        const char *key = below(keyval_key(kv, i), prefix);

        if (key) {
            g_ptr_array_add(taken->pairs, pair_new(key, keyval_value(kv, i)));
            g_ptr_array_remove_index(kv->pairs, i);
        } else {
            i++;
        }
    }
    return taken;
}

bool keyval_has_subtree(const KeyVal *kv, const char *prefix)
{
    for (size_t i = 0; i < keyval_count(kv); i++) {
        if (below(keyval_key(kv, i), prefix)) {
            return true;
        }
    }
    return false;
}

size_t keyval_count(const KeyVal *kv)
{
    return kv->pairs->len;
}

const char *keyval_key(const KeyVal *kv, size_t i)
{
    return pair_at(kv, i)->key;
}

const char *keyval_value(const KeyVal *kv, size_t i)
{
    return pair_at(kv, i)->value;
}

bool keyval_is_key(const char *key)
{
    size_t len = strlen(key);

    return len && key[0] != '.' && key[len - 1] != '.' && !strstr(key, "..") && !strpbrk(key, ",=");
}

/* Return the value at *@text, and move *@text to the comma behind it or to the end */
static char *take_value(const char **text)
{
    GString *value = g_string_new(NULL);
    const char *at = *text;

    for (; *at && (*at != ',' || at[1] == ','); at++) {
        g_string_append_c(value, *at);
        if (*at == ',') {
            at++;
        }
    }
    *text = at;
    return g_string_free(value, FALSE);
}

static bool take_pair(KeyVal *kv, const char **text, GError **errp)
{
    size_t len = strcspn(*text, "=,");
    g_autofree char *key = g_strndup(*text, len);

    if (!keyval_is_key(key)) {
        g_set_error(errp, g_quark_from_static_string("miniblk-block"), EINVAL,
                    "option name '%s' is empty or has an empty part", key);
        return false;
    }
    *text += len;
    if (**text == '=') {
        ++*text;
        g_autofree char *value = take_value(text);

        keyval_set(kv, key, value);
    } else {
        keyval_set(kv, key, "on");
    }
    return true;
}

KeyVal *keyval_parse(const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();

    if (!text || !*text) {
        return g_steal_pointer(&kv);
    }
    for (;; text++) {
        if (!take_pair(kv, &text, errp)) {
            return NULL;
        }
        if (!*text) {
            return g_steal_pointer(&kv);
        }
    }
}

char *keyval_format(const KeyVal *kv)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < keyval_count(kv); i++) {
        g_string_append_printf(text, "%s%s=", i ? "," : "", keyval_key(kv, i));
        for (const char *at = keyval_value(kv, i); *at; at++) {
            g_string_append_c(text, *at);
            if (*at == ',') {
                g_string_append_c(text, ',');
            }
        }
    }
    return g_string_free(text, FALSE);
}
