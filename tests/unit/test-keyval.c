/* test-keyval.c - dotted keys and values */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <glib.h>
#include "util/keyval.h"

static KeyVal *parse(const char *text)
{
    KeyVal *kv = keyval_parse(text, NULL);

    g_assert_nonnull(kv);
    return kv;
}

static void check_format(const KeyVal *kv, const char *expected)
{
    g_autofree char *text = keyval_format(kv);

    g_assert_cmpstr(text, ==, expected);
}

static void test_null_is_empty(void)
{
    g_autoptr(KeyVal) kv = parse(NULL);

    g_assert_cmpuint(keyval_count(kv), ==, 0);
}

static void test_no_text_is_empty(void)
{
    g_autoptr(KeyVal) kv = parse("");

    g_assert_cmpuint(keyval_count(kv), ==, 0);
}

static void test_order_is_kept(void)
{
    g_autoptr(KeyVal) kv = parse("z=1,a.b=2,m=3");

    g_assert_cmpuint(keyval_count(kv), ==, 3);
    g_assert_cmpstr(keyval_key(kv, 0), ==, "z");
    g_assert_cmpstr(keyval_key(kv, 1), ==, "a.b");
    g_assert_cmpstr(keyval_value(kv, 2), ==, "3");
}

static void test_comma_doubled(void)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        { "a=x,,y", "x,y" }, { "a=,,", "," }, { "a=,,,,", ",," }, { "a=x,,", "x," }, { "a=,,x,b=1", ",x" },
        { "a=x,,,b=1", "x," },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(KeyVal) kv = parse(cases[i].text);

        g_assert_cmpstr(keyval_get(kv, "a"), ==, cases[i].value);
        check_format(kv, cases[i].text);
    }
}

static void test_equals_sign_in_value(void)
{
    g_autoptr(KeyVal) kv = parse("a=b=c,d==");

    g_assert_cmpstr(keyval_get(kv, "a"), ==, "b=c");
    g_assert_cmpstr(keyval_get(kv, "d"), ==, "=");
}

static void test_empty_value(void)
{
    g_autoptr(KeyVal) kv = parse("a=,b=");

    g_assert_cmpstr(keyval_get(kv, "a"), ==, "");
    g_assert_cmpstr(keyval_get(kv, "b"), ==, "");
}

static void test_key_alone_is_on(void)
{
    g_autoptr(KeyVal) kv = parse("a,b=1,c");

    g_assert_cmpstr(keyval_get(kv, "a"), ==, "on");
    g_assert_cmpstr(keyval_get(kv, "c"), ==, "on");
}

static void test_last_wins(void)
{
    g_autoptr(KeyVal) kv = parse("a=1,b=2,a=3");

    check_format(kv, "a=3,b=2");
}

static void test_bad_keys(void)
{
    static const char *const cases[] = {
        ",", "=", "=x", ",a=1", "a=1,", "a=1,=2", "a,,b", "a..b=1", ".a=1", "a.=1", "a=1,.=2",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;

        g_test_message("'%s'", cases[i]);
        g_assert_null(keyval_parse(cases[i], &err));
        g_assert_nonnull(err);
        g_assert_cmpint(err->code, ==, EINVAL);
    }
}

static void test_set_replaces_in_place(void)
{
    g_autoptr(KeyVal) kv = parse("a=1,b=2");

    keyval_set(kv, "a", "3");
    keyval_set(kv, "c", "4");
    check_format(kv, "a=3,b=2,c=4");
}

static void test_set_to_own_value(void)
{
    g_autoptr(KeyVal) kv = parse("a=1");

    keyval_set(kv, "a", keyval_get(kv, "a"));
    check_format(kv, "a=1");
}

static void test_take(void)
{
    g_autoptr(KeyVal) kv = parse("a=1,b=2,c=3");
    g_autofree char *value = keyval_take(kv, "b");

    g_assert_cmpstr(value, ==, "2");
    check_format(kv, "a=1,c=3");
    g_assert_null(keyval_take(kv, "b"));
}

static void test_take_subtree(void)
{
    g_autoptr(KeyVal) kv = parse("file.a=1,files=2,file=3,b=4,file.c.d=5,file.x=6");
    g_autoptr(KeyVal) sub = keyval_take_subtree(kv, "file");

    check_format(sub, "a=1,c.d=5,x=6");
    check_format(kv, "files=2,file=3,b=4");
}

static void test_take_subtree_of_two_names(void)
{
    g_autoptr(KeyVal) kv = parse("a.b.c=1,a.d=2");
    g_autoptr(KeyVal) sub = keyval_take_subtree(kv, "a.b");

    check_format(sub, "c=1");
    check_format(kv, "a.d=2");
}

static void test_take_no_subtree(void)
{
    g_autoptr(KeyVal) kv = parse("a=1");
    g_autoptr(KeyVal) sub = keyval_take_subtree(kv, "a");

    g_assert_cmpuint(keyval_count(sub), ==, 0);
    check_format(kv, "a=1");
}

static void test_has_subtree(void)
{
    g_autoptr(KeyVal) kv = parse("file.a=1,b=2,cc.d=3");

    g_assert_true(keyval_has_subtree(kv, "file"));
    g_assert_false(keyval_has_subtree(kv, "b"));
    g_assert_false(keyval_has_subtree(kv, "c"));
    g_assert_false(keyval_has_subtree(kv, "file.a"));
}

static void test_free_null(void)
{
    keyval_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/null-is-empty", test_null_is_empty);
    g_test_add_func("/keyval/no-text-is-empty", test_no_text_is_empty);
    g_test_add_func("/keyval/order-is-kept", test_order_is_kept);
    g_test_add_func("/keyval/comma-doubled", test_comma_doubled);
    g_test_add_func("/keyval/equals-sign-in-value", test_equals_sign_in_value);
    g_test_add_func("/keyval/empty-value", test_empty_value);
    g_test_add_func("/keyval/key-alone-is-on", test_key_alone_is_on);
    g_test_add_func("/keyval/last-wins", test_last_wins);
    g_test_add_func("/keyval/bad-keys", test_bad_keys);
    g_test_add_func("/keyval/set-replaces-in-place", test_set_replaces_in_place);
    g_test_add_func("/keyval/set-to-own-value", test_set_to_own_value);
    g_test_add_func("/keyval/take", test_take);
    g_test_add_func("/keyval/take-subtree", test_take_subtree);
    g_test_add_func("/keyval/take-subtree-of-two-names", test_take_subtree_of_two_names);
    g_test_add_func("/keyval/take-no-subtree", test_take_no_subtree);
    g_test_add_func("/keyval/has-subtree", test_has_subtree);
    g_test_add_func("/keyval/free-null", test_free_null);
    return g_test_run();
}
