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

static void test_json(void)
{
    static const struct {
        const char *json, *options;
    } cases[] = {
        { "{}", "" },
        { " \t{\r\n}\n ", "" },
        { "{\"a\":\"b\"}", "a=b" },
        { "{'a':'b'}", "a=b" },
        { "{ 'a' : 'b' , \"c\" : 'd' }", "a=b,c=d" },
        { "{'a':{'b':{'c':'d'},'e':'f'}}", "a.b.c=d,a.e=f" },
        { "{'a.b':'c','a':{'d':'e'}}", "a.b=c,a.d=e" },
        { "{'a':[{'b':'c'},{'b':'d'}],'e':['f','g']}", "a.0.b=c,a.1.b=d,e.0=f,e.1=g" },
        { "{'a':[],'b':{}}", "" },
        { "{'a':true,'b':false}", "a=on,b=off" },
        { "{'a':0,'b':-1,'c':18446744073709551615,'d':1.50,'e':2E+3,'f':1e9}",
          "a=0,b=-1,c=18446744073709551615,d=1.50,e=2E+3,f=1e9" },
        { "{'a':'x,y=z'}", "a=x,,y=z" },
        { "{'a':'say \"so\"','b':'it\\'s',\"c\":\"it's\"}", "a=say \"so\",b=it's,c=it's" },
        { "{'a':'\\\\ \\/ \\n \\u0041 \\u00e9 \\ud83d\\udcbe'}", "a=\\ / \n A \303\251 \360\237\222\276" },
        { "{'a':''}", "a=" },
        { "{'a':{'b':'1'},'a.b':'2'}", "a.b=1" },      /* as QEMU has it, in any order */
        { "{'a.b':'2','a':{'b':'1'}}", "a.b=1" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(KeyVal) kv = keyval_parse_json(cases[i].json, NULL);

        g_test_message("%s", cases[i].json);
        g_assert_nonnull(kv);
        check_format(kv, cases[i].options);
    }
}

static void check_json_error(const char *json, const char *text)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *printable = g_strescape(json, NULL);

    g_test_message("%.100s", printable);
    g_assert_null(keyval_parse_json(json, &err));
    g_assert_error(err, g_quark_from_static_string("miniblk-block"), EINVAL);
    g_assert_true(!text || g_str_has_suffix(err->message, text));
}

static void test_json_errors(void)
{
    static const char *const cases[][2] = {
        { "", "Expecting a JSON value" }, { " ", "Expecting a JSON value" },
        { "{", "premature EOI" }, { "{'a", "premature EOI" }, { "{'a\\", "premature EOI" }, { "{'a':", "premature EOI" },
        { "[]", "Invalid JSON object given" }, { "1", "Invalid JSON object given" }, { "}", "Invalid JSON object given" },
        { "{} {}", "Expecting at most one JSON value" }, { "{}}", "Expecting at most one JSON value" },
        { "{'a':'1','a':'2'}", "duplicate key" }, { "{'a':'1','\\u0061':'2'}", "duplicate key" },
        { "{'x':[{'a':{'b':'c'},'a':{'b':'c'}}]}", "duplicate key" },
        { "{'a':'1',}", "expecting value" }, { "{'a':['1' , ]}", "expecting value" },
        { "{a:'1'}", "invalid keyword 'a'" }, { "{'a':nul}", "invalid keyword 'nul'" },
        { "{'a':True}", "stray 'True'" }, { "{'a':01}", "stray '01'" }, { "{'a':1.}", "stray '1.'" },
        { "{'a':.5}", "stray '.5'" }, { "{'a':1e}", "stray '1e'" }, { "{'a':+1}", "stray '+1'" },
        { "{'a':0x10}", "stray '0x10'" }, { "{'a':-}", "stray '-'" }, { "{/**/}", "stray '/**/'" },
        { "{'a':null}", "no option has the value null" },
        { "{'a':'\\q'}", "invalid escape sequence in string" }, { "{'a':'\\u12g4'}", "invalid escape sequence in string" },
        { "{'a':'\\u0000'}", "\\u0000 is not a valid Unicode character" },
        { "{'a':'\\ud83d'}", "\\ud83d is not a valid Unicode character" },
        { "{'a':'\\ud83d\\u0041'}", "\\ud83d is not a valid Unicode character" },
        { "{'a':'\\udcbe'}", "\\udcbe is not a valid Unicode character" },
        { "{'a':'x\ny'}", "stray ''x'" }, { "{'a':'\xff'}", "not UTF-8" },
        { "{'a' '1'}", NULL }, { "{'a':'1' 'b':'2'}", NULL }, { "{'a':['1':'2']}", NULL }, { "{'a':{'b':'c']}", NULL },
        { "{:}", NULL }, { "{'a'}", NULL }, { "{,'a':'b'}", NULL }, { "{'a','b':'c'}", NULL },
        { "{'':'1'}", NULL }, { "{'.':'1'}", NULL }, { "{'a.':'1'}", NULL }, { "{'a':{'':'1'}}", NULL },
        { "{'a':{'b..c':'1'}}", NULL }, { "{'a,b':'1'}", NULL }, { "{'a=b':'1'}", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check_json_error(cases[i][0], cases[i][1]);
    }
}

/* @before @times, and @after as often */
static char *nest(const char *before, const char *middle, const char *after, int times)
{
    GString *text = g_string_new(NULL);

    for (int i = 0; i < times; i++) {
        g_string_append(text, before);
    }
    g_string_append(text, middle);
    for (int i = 0; i < times; i++) {
        g_string_append(text, after);
    }
    return g_string_free(text, FALSE);
}

static void test_json_bounds(void)
{
    g_autofree char *good = nest("{'a':", "'b'", "}", 64), *deep = nest("{'a':", "'b'", "}", 65);
    g_autofree char *lists = nest("[", "", "]", 10000), *listed = g_strdup_printf("{'a':%s}", lists);
    g_autofree char *filler = g_strnfill(65528, 'x'), *full = g_strdup_printf("{'a':'%s'}", filler);
    g_autofree char *more = g_strdup_printf("{'aa':'%s'}", filler);
    g_autofree char *key = g_strndup(filler, 512), *long_key = g_strdup_printf("{'%s':{'%s':'1'}}", key, key);
    g_autofree char *good_key = g_strdup_printf("{'%s':{'%.511s':'1'}}", key, key);
    g_autoptr(KeyVal) kv = keyval_parse_json(good, NULL), kv2 = keyval_parse_json(full, NULL);
    g_autoptr(KeyVal) kv3 = keyval_parse_json(good_key, NULL);

    g_assert_cmpuint(keyval_count(kv), ==, 1);
    g_assert_cmpuint(strlen(keyval_key(kv, 0)), ==, 127);
    g_assert_cmpuint(strlen(keyval_get(kv2, "a")), ==, 65528);
    g_assert_cmpuint(keyval_count(kv3), ==, 1);
    check_json_error(deep, "JSON nesting depth limit exceeded");
    check_json_error(listed, "JSON nesting depth limit exceeded");
    check_json_error(more, "more than 65536");
    check_json_error(long_key, "option name of more than 1024 bytes");
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
    g_test_add_func("/keyval/json", test_json);
    g_test_add_func("/keyval/json/errors", test_json_errors);
    g_test_add_func("/keyval/json/bounds", test_json_bounds);
    return g_test_run();
}
