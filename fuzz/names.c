/* names.c - fuzz target: texts: UTF-16, sizes, option lists, JSON, paths, names of images and parents */
/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <miniblk/driver.h>
#include "fuzz.h"
#include "block/format/vpc/candidates.h"
#include "util/be.h"
#include "util/keyval.h"
#include "util/path.h"
#include "util/size.h"
#include "util/utf16.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_folder();
    return 0;
}

/* Convert to UTF-8 and back */
static void try_utf16(FuzzInput in, Utf16Order order)
{
    g_autofree char *text = utf16_to_utf8(in.at, in.left, order);
    g_autoptr(GBytes) back = utf16_from_utf8(text, order);
    size_t bytes = 0;

    while (bytes + 1 < in.left && (in.at[bytes] || in.at[bytes + 1])) {
        bytes += 2;
    }
    FUZZ_CHECK(back != NULL);
    FUZZ_CHECK(g_bytes_get_size(back) == bytes);
    FUZZ_CHECK(!bytes || !memcmp(g_bytes_get_data(back, NULL), in.at, bytes));
}

static void try_utf8(FuzzInput in, Utf16Order order)
{
    g_autofree char *text = fuzz_text(&in, in.left);
    g_autoptr(GBytes) bytes = utf16_from_utf8(text, order);

    FUZZ_CHECK(bytes || !g_utf8_validate(text, -1, NULL));
    if (bytes) {
        g_autofree char *back = utf16_to_utf8(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), order);

        FUZZ_CHECK(!strcmp(back, text));
    }
}

static void try_size(FuzzInput in)
{
    g_autofree char *text = fuzz_text(&in, in.left);
    int64_t bytes = -5;
    bool ok = size_parse(text, &bytes);

    FUZZ_CHECK(ok ? bytes >= 0 : bytes == -5);
    if (ok) {
        g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, bytes);
        g_autofree char *three = size_format(bytes), *exact = size_format_exact3(bytes);
        int64_t again = -1;

        FUZZ_CHECK(size_parse(number, &again) && again == bytes && *three && *exact);
    }
}

static void try_keyval(FuzzInput in)
{
    g_autofree char *text = fuzz_text(&in, in.left);
    GError *err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(text, &err);

    FUZZ_CHECK(!kv == !!err);
    g_clear_error(&err);
    if (kv) {
        g_autofree char *once = keyval_format(kv);
        g_autoptr(KeyVal) again = keyval_parse(once, NULL);
        g_autofree char *twice = again ? keyval_format(again) : NULL;

        FUZZ_CHECK(twice && !strcmp(once, twice) && keyval_count(kv) == keyval_count(again));
        for (size_t i = 0; i < keyval_count(kv); i++) {
            FUZZ_CHECK(!strcmp(keyval_get(again, keyval_key(kv, i)), keyval_value(kv, i)));
        }
        keyval_free(keyval_take_subtree(kv, "file"));
        FUZZ_CHECK(!keyval_has_subtree(kv, "file"));
    }
}

/* Write the options as text and read it again: they must be the same, and not larger than the input allows */
static void check_options(const KeyVal *kv)
{
    g_autofree char *text = keyval_format(kv);
    g_autoptr(KeyVal) again = keyval_parse(text, NULL);

    FUZZ_CHECK(again && keyval_count(kv) == keyval_count(again));
    for (size_t i = 0; i < keyval_count(kv); i++) {
        FUZZ_CHECK(keyval_is_key(keyval_key(kv, i)) && strlen(keyval_key(kv, i)) <= 1024);
        FUZZ_CHECK(!strcmp(keyval_get(again, keyval_key(kv, i)), keyval_value(kv, i)));
        FUZZ_CHECK(g_utf8_validate(keyval_value(kv, i), -1, NULL));
    }
}

static void try_json(FuzzInput in)
{
    g_autofree char *text = fuzz_text(&in, in.left);
    GError *err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse_json(text, &err);

    FUZZ_CHECK(!kv == !!err && (!err || *err->message));
    g_clear_error(&err);
    if (kv) {
        check_options(kv);
    }
}

/* Turn a name into options: as a text they must give the same options again */
static void try_name(FuzzInput in)
{
    g_autofree char *name = fuzz_text(&in, in.left);
    GError *err = NULL;
    char *options = bdrv_name_options(name, &err);
    g_autoptr(KeyVal) kv = options ? keyval_parse(options, NULL) : NULL;

    FUZZ_CHECK(!options == !!err && (!options || kv));
    FUZZ_CHECK(!err || *err->message);
    FUZZ_CHECK(!bdrv_is_path(name) || (options && !strcmp(keyval_get(kv, "file.filename"), name)));
    g_clear_error(&err);
    free(options);
}

static bool is_plain(const char *path)
{
    g_autofree char *canonical = g_canonicalize_filename(path, "/");

    return *path == '/' && path[1] != '/' && !strcmp(path, canonical);
}

/* Compute the path from one folder to another: it must lead there */
static void try_path(FuzzInput in)
{
    g_autofree char *a = fuzz_text(&in, fuzz_u8(&in)), *b = fuzz_text(&in, fuzz_u8(&in));
    g_autofree char *name = fuzz_text(&in, in.left);
    g_autofree char *joined = path_join(a, b);
    const char *last = path_last(b);

    FUZZ_CHECK(!last || (*last && !strchr(last, '/') && g_str_has_suffix(b, last)));
    FUZZ_CHECK(joined != NULL);
    if (is_plain(a) && is_plain(b) && path_last(name) == name) {
        g_autofree char *relative = path_relative(a, b, name), *there = path_join(a, relative);
        g_autofree char *wanted = path_join(b, name);

        FUZZ_CHECK(!strcmp(there, wanted));
    }
}

static void check_candidates(GPtrArray *found)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < found->len; i++) {
        const VpcCandidate *c = g_ptr_array_index(found, i);

        FUZZ_CHECK(c->path && *c->path && strlen(c->path) < PATH_MAX && c->source && *c->source);
        FUZZ_CHECK(g_hash_table_add(seen, c->path));
    }
}

static void try_candidates(FuzzInput in)
{
    static const uint32_t codes[] = {
        VPC_LOCATOR_W2RU, VPC_LOCATOR_W2KU, VPC_LOCATOR_WI2R, VPC_LOCATOR_WI2K, VPC_LOCATOR_MAC, VPC_LOCATOR_MACX,
    };
    static const char *const drives[] = { NULL, "C=in;d=in/sub", "C=/", "" };
    static const char *const searches[] = { NULL, "in:in/sub", ":/:", "." };
    static const char *const children[] = { "", "in/child.vhd", "child.vhd", "/child.vhd" };
    VpcHeader header = { 0 };
    VpcLocatorData locators[VPC_LOCATORS] = { 0 };
    uint8_t how = fuzz_u8(&in);
    const VpcParentRules rules = { drives[how % 4], searches[how / 4 % 4] };
    size_t name = 2 * (size_t)fuzz_u8(&in);

    name = MIN(MIN(name, in.left), sizeof(header.parent_name));

    if (name) {
        memcpy(header.parent_name, in.at, name);
    }
    in = (FuzzInput) { in.at + name, in.left - name };
    for (int i = 0; i < VPC_LOCATORS && in.left; i++) {
        locators[i].code = codes[fuzz_u8(&in) % G_N_ELEMENTS(codes)];
        size_t bytes = fuzz_u8(&in);

        bytes = MIN(bytes, in.left);
        locators[i].bytes = g_bytes_new(in.at, bytes);
        in = (FuzzInput) { in.at + bytes, in.left - bytes };
    }
    FUZZ_CHECK(vpc_accept_parent_rules(&rules, NULL));
    g_autoptr(GPtrArray) found = vpc_parent_candidates(&header, locators, children[how / 16 % 4], &rules);

    check_candidates(found);
    vpc_free_locators(locators);
}

/* Write locators for a parent: they must lead to it */
static void try_describe(FuzzInput in)
{
    VpcHeader header = { 0 };
    VpcLocatorData locators[VPC_LOCATORS] = { 0 };
    const VpcParentRules none = { NULL, NULL };
    g_autofree char *child = g_strconcat(fuzz_folder, fuzz_u8(&in) & 1 ? "/in/c.vhd" : "/c.vhd", NULL);
    g_autofree char *text = fuzz_text(&in, in.left);
    /* GLib keeps two slashes at the start if the file does not exist */
    const char *parent = g_str_has_prefix(text, "//") ? text + strspn(text, "/") - 1 : text;
    GError *err = NULL;
    bool ok = vpc_describe_parent(child, parent, &header, locators, &err);

    FUZZ_CHECK(ok == !err);
    g_clear_error(&err);
    if (ok) {
        g_autoptr(GPtrArray) found = vpc_parent_candidates(&header, locators, child, &none);
        g_autofree char *wanted = g_canonicalize_filename(parent, NULL);
        bool there = false;

        check_candidates(found);
        for (guint i = 0; i < found->len; i++) {
            g_autofree char *path = g_canonicalize_filename(((VpcCandidate *)g_ptr_array_index(found, i))->path, NULL);

            fuzz_say("'%s' for '%s'\n", path, wanted);
            there |= !strcmp(path, wanted);
        }
        FUZZ_CHECK(there || strlen(wanted) + strlen(fuzz_folder) + 10 >= PATH_MAX);
    }
    vpc_free_locators(locators);
}

static void try_rules(FuzzInput in)
{
    g_autofree char *drives = fuzz_text(&in, in.left);
    const VpcParentRules rules = { drives, NULL };
    GError *err = NULL;
    bool ok = vpc_accept_parent_rules(&rules, &err);
    unsigned flags = 0;

    FUZZ_CHECK(ok == !err);
    g_clear_error(&err);
    bdrv_parse_cache_mode(drives, &flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    uint8_t which = fuzz_u8(&in);

    fuzz_guard.on = true;
    switch (which % 16) {
    case 0:
        try_utf16(in, which & 128 ? UTF16_BE : UTF16_LE);
        break;
    case 1:
        try_utf8(in, which & 128 ? UTF16_BE : UTF16_LE);
        break;
    case 2:
        try_size(in);
        break;
    case 3:
        try_keyval(in);
        break;
    case 4:
        try_path(in);
        break;
    case 5:
        try_candidates(in);
        break;
    case 6:
        try_describe(in);
        break;
    case 8:
        try_json(in);
        break;
    case 9:
        try_name(in);
        break;
    default:
        try_rules(in);
    }
    fuzz_guard.on = false;
    return 0;
}
