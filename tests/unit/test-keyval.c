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
        { "{'a':''}", "a=" },
        { "{'a':[[],[[1],'x',{'b':2}]]}", "a.1.0.0=1,a.1.1=x,a.1.2.b=2" },
        { "{'a':{'x':1},'b':{'x':1},'x':[{'x':1},{'x':2}]}", "a.x=1,b.x=1,x.0.x=1,x.1.x=2" },
        { "{'a.b':{'c.d':'e'}}", "a.b.c.d=e" },
        { "{'a':['b'],'a.0':'c'}", "a.0=b" },
        { "{'a':'b','c'\t:\r[\n1 , 2 ] }", "a=b,c.0=1,c.1=2" },
        { "{'backing':null}", "backing=" },
        { "{'image.backing':null,'b':{'backing' : null}}", "image.backing=,b.backing=" },
        { "{'\\u0062acking':null}", "backing=" },
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
        { "", "Expecting a JSON value" }, { " \t\r\n", "Expecting a JSON value" },
        { "{", "premature EOI" }, { "{'a", "premature EOI" }, { "{'a\\", "premature EOI" },
        { "{'a':", "premature EOI" },
        { "[]", "Invalid JSON object given" }, { "1", "Invalid JSON object given" },
        { "'a'", "Invalid JSON object given" }, { "[{'a':1}]", "Invalid JSON object given" },
        { "}", "expecting value" }, { "x", "invalid keyword 'x'" },
        { "{} {}", "Expecting at most one JSON value" }, { "{}}", "Expecting at most one JSON value" },
        { "{},", "Expecting at most one JSON value" }, { "{}x", "Expecting at most one JSON value" },
        { "1 2", "Expecting at most one JSON value" },
        { "{'a':'1','a':'2'}", "duplicate key" }, { "{'a':'1','\\u0061':'2'}", "duplicate key" },
        { "{'x':[{'a':{'b':'c'},'a':{'b':'c'}}]}", "duplicate key" }, { "{'a':[],'b':1,'a':[]}", "duplicate key" },
        { "{'a.b':1,'a.b':1}", "duplicate key" }, { "{'a':{'c':1,'b':{'c':1,'c':2}}}", "duplicate key" },
        { "{'a':'1',}", "expecting value" }, { "{'a':['1' , ]}", "expecting value" },
        { "{a:'1'}", "invalid keyword 'a'" }, { "{'a':nul}", "invalid keyword 'nul'" },
        { "{'a':True}", "stray 'True'" }, { "{/**/}", "stray '/**/'" }, { "{'a':tRue}", "invalid keyword 'tRue'" },
        { "{'a':truely}", "invalid keyword 'truely'" }, { "{'a':\x01}", "stray '\x01'" },
        { "{'a':\f1}", "stray '\f1'" },
        { "\xef\xbb\xbf{}", "stray '\xef\xbb\xbf'" },
        { "{'a':null}", "no option has the value null" }, { "{'xbacking':null}", "no option has the value null" },
        { "{'backing':[null]}", "no option has the value null" }, { "null", "no option has the value null" },
        { "{'a' '1'}", "missing : in object pair" }, { "{'a'}", "missing : in object pair" },
        { "{'a','b':'c'}", "missing : in object pair" }, { "{'a'=1}", "missing : in object pair" },
        { "{'a':'1' 'b':'2'}", "expected separator in dict" }, { "{'a':'1'b}", "expected separator in dict" },
        { "{'a':'1':'2'}", "expected separator in dict" }, { "{'a':'1']", "expected separator in dict" },
        { "{'a':['1' '2']}", "expected separator in list" }, { "{'a':['1':'2']}", "expected separator in list" },
        { "{'a':['1'}]", "expected separator in list" }, { "{'a':{'b':'c']}", "expected separator in dict" },
        { "{:}", "expecting value" }, { "{,'a':'b'}", "expecting value" }, { "{'a':'b',,'c':'d'}", "expecting value" },
        { "{'a':}", "expecting value" }, { "{'a':,'b':1}", "expecting value" }, { "{'a'::1}", "expecting value" },
        { "{'a':[,1]}", "expecting value" }, { "{'a':[1,,2]}", "expecting value" }, { "{]", "expecting value" },
        { "{1:2}", "key is not a string in object" }, { "{true:2}", "key is not a string in object" },
        { "{{}:2}", "key is not a string in object" }, { "{['a']:2}", "key is not a string in object" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check_json_error(cases[i][0], cases[i][1]);
    }
}

static void test_json_bad_keys(void)
{
    static const char *const keys[] = { "", ".", "a.", ".a", "a..b", "a,b", "a=b", "\\u002e", "a\\u002c" };

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *flat = g_strdup_printf("{'%s':'1'}", keys[i]);
        g_autofree char *nested = g_strdup_printf("{'a':[{'%s':'1'}]}", keys[i]);
        g_autofree char *list = g_strdup_printf("{'%s':[]}", keys[i]);

        check_json_error(flat, "has a comma or an equals sign in it");
        check_json_error(nested, "has a comma or an equals sign in it");
        check_json_error(list, "has a comma or an equals sign in it");
    }
}

/* Whatever a good text is cut to, it is an error, and no byte behind the cut is read: valgrind and ASan look at that */
static void test_json_cut(void)
{
    static const char text[] = "{'a':[1,{\"b\":'\\ud83d\\udcbe\\n\303\251'},true],'backing':null,'c':-0.5e+3}";

    g_autoptr(KeyVal) whole = keyval_parse_json(text, NULL);

    g_assert_nonnull(whole);
    for (size_t length = 0; length < strlen(text); length++) {
        g_autofree char *cut = g_strndup(text, length);

        check_json_error(cut, NULL);
    }
}

static void check_json_value(const char *json, const char *value)
{
    g_autofree char *text = g_strdup_printf("{'a':%s}", json);
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse_json(text, &err);

    g_assert_no_error(err);
    g_assert_cmpuint(keyval_count(kv), ==, 1);
    g_assert_cmpstr(keyval_get(kv, "a"), ==, value);
}

/* Numbers are not rounded, and no number is too large */
static void test_json_numbers(void)
{
    static const char *const good[] = {
        "0", "-0", "10", "-1", "0.0", "-0.50", "1e9", "1E9", "2e+03", "2e-3", "0e0", "1.25e-400", "1e400",
        "9223372036854775808", "-9223372036854775809", "18446744073709551616",
        "123456789012345678901234567890123456789",
    };
    static const char *const bad[] = {
        "01", "-01", "00", "1.", "-1.", ".5", "-.5", "-", "+1", "--1", "1e", "1e+", "1.e1", "1e1.5", "1e1e1", "1.2.3",
        "0x10", "1_000", "1k", "1\303\251", "NaN", "Infinity", "-Infinity",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        check_json_value(good[i], good[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup_printf("{'a':%s}", bad[i]), *what = g_strdup_printf("stray '%s'", bad[i]);

        check_json_error(text, what);
    }
}

static void test_json_strings(void)
{
    static const char *const cases[][2] = {
        { "'\\\\ \\/ \\b\\f\\n\\r\\t \\' \\\"'", "\\ / \b\f\n\r\t ' \"" },
        { "\"\\' \\\" '\"", "' \" '" }, { "'\"'", "\"" }, { "'\\\\'", "\\" },
        { "'{[:,]} null'", "{[:,]} null" }, { "'\x7f\xef\xbb\xbf'", "\x7f\xef\xbb\xbf" },
        { "'\\u0041\\u007f\\u0001'", "A\x7f\x01" },
        { "'\\u0080\\u00e9\\u00E9\\u07ff'", "\302\200\303\251\303\251\337\277" },
        { "'\\u0800\\ud7ff\\ue000\\uFFFD'", "\340\240\200\355\237\277\356\200\200\357\277\275" },
        { "'\\ud800\\udc00\\uD83D\\uDCBE'", "\360\220\200\200\360\237\222\276" },
        { "'\\udbff\\udfff'", "\364\217\277\277" }, { "'\\u00411'", "A1" },
        { "'\303\251\360\237\222\276'", "\303\251\360\237\222\276" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check_json_value(cases[i][0], cases[i][1]);
    }
}

static void test_json_bad_strings(void)
{
    static const char *const cases[][2] = {
        { "'\\q'", "invalid escape sequence in string" }, { "'\\\n'", "invalid escape sequence in string" },
        { "'\\u12g4'", "invalid escape sequence in string" }, { "'\\u 123'", "invalid escape sequence in string" },
        { "'\\u123'", "invalid escape sequence in string" }, { "'\\U0041'", "invalid escape sequence in string" },
        { "'\\x41'", "invalid escape sequence in string" }, { "'\\u0041\\", "premature EOI" },
        { "'\\u0000'", "\\u0000 is not a valid Unicode character" },
        { "'\\ud83d'", "\\ud83d is not a valid Unicode character" },
        { "'\\uD800x'", "\\uD800 is not a valid Unicode character" },
        { "'\\ud83d\\u0041'", "\\ud83d is not a valid Unicode character" },
        { "'\\ud83d\\ud83d\\udcbe'", "\\ud83d is not a valid Unicode character" },
        { "'\\ud83d\\ue000'", "\\ud83d is not a valid Unicode character" },
        { "'\\ud83d\\u12g4'", "\\ud83d is not a valid Unicode character" },
        { "'\\ud83d \\udcbe'", "\\ud83d is not a valid Unicode character" },
        { "'\\udcbe'", "\\udcbe is not a valid Unicode character" },
        { "'\\udcbe\\ud83d'", "\\udcbe is not a valid Unicode character" },
        { "'x\ny'", "stray ''x'" }, { "\"\t\"", "stray '\"'" }, { "'\x1f'", "stray '''" }, { "'\x01'", "stray '''" },
        { "'\xff'", "not UTF-8" }, { "'\xc3'", "not UTF-8" }, { "'\xc0\x80'", "not UTF-8" },
        { "'\xed\xa0\x80'", "not UTF-8" }, { "'\xf4\x90\x80\x80'", "not UTF-8" }, { "'\x80'", "not UTF-8" },
        { "'x\"", "premature EOI" }, { "\"x'", "premature EOI" }, { "'x\\'", "premature EOI" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *value = g_strdup_printf("{'a':%s", cases[i][0]), *name = g_strdup_printf("{%s", cases[i][0]);

        check_json_error(value, cases[i][1]);
        check_json_error(name, cases[i][1]);
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
    g_autofree char *filler = g_strnfill(65528, 'x'), *full = g_strdup_printf("{'a':'%s'}", filler);
    g_autofree char *more = g_strdup_printf("{'aa':'%s'}", filler), *space = g_strdup_printf("%s         ", filler);
    g_autofree char *key = g_strndup(filler, 512), *long_key = g_strdup_printf("{'%s':{'%s':'1'}}", key, key);
    g_autofree char *good_key = g_strdup_printf("{'%s':{'%.511s':'1'}}", key, key);
    g_autoptr(KeyVal) kv = keyval_parse_json(full, NULL), kv2 = keyval_parse_json(good_key, NULL);

    g_assert_cmpuint(strlen(keyval_get(kv, "a")), ==, 65528);
    g_assert_cmpuint(strlen(keyval_key(kv2, 0)), ==, 1024);
    check_json_error(more, "65537 bytes, more than 65536");
    check_json_error(space, "65537 bytes, more than 65536");
    check_json_error(long_key, "option name of more than 1024 bytes");
}

/* Objects in objects, lists in lists, and both in turn: 64 deep is good, 65 is not, nor are thousands without an end */
static void test_json_depth(void)
{
    g_autofree char *objects = nest("{'a':", "'b'", "}", 64), *deep_objects = nest("{'a':", "{}", "}", 64);
    g_autofree char *lists = nest("[", "1", "]", 63), *in_lists = g_strdup_printf("{'a':%s}", lists);
    g_autofree char *deep_lists = g_strdup_printf("{'a':[%s]}", lists), *many = nest("[", "", "", 60000);
    g_autofree char *turns = nest("{'a':[", "1", "]}", 32), *deep_turns = nest("{'a':[", "[]", "]}", 32);
    g_autofree char *wide = nest("{'a':{}},", "", "", 100), *list = g_strdup_printf("{'b':[%s{}]}", wide);
    const char *const good[] = { objects, in_lists, turns, list };
    const char *const deep[] = { deep_objects, deep_lists, deep_turns, many };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(KeyVal) kv = keyval_parse_json(good[i], NULL);

        g_assert_nonnull(kv);
        g_assert_cmpuint(keyval_count(kv), ==, good[i] == list ? 0 : 1);
        g_assert_true(good[i] == list || strlen(keyval_key(kv, 0)) == 127);      /* 64 parts of one letter */
        check_json_error(deep[i], "JSON nesting depth limit exceeded");
    }
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
    g_test_add_func("/keyval/json/numbers", test_json_numbers);
    g_test_add_func("/keyval/json/strings", test_json_strings);
    g_test_add_func("/keyval/json/bad-strings", test_json_bad_strings);
    g_test_add_func("/keyval/json/bad-keys", test_json_bad_keys);
    g_test_add_func("/keyval/json/errors", test_json_errors);
    g_test_add_func("/keyval/json/cut", test_json_cut);
    g_test_add_func("/keyval/json/depth", test_json_depth);
    g_test_add_func("/keyval/json/bounds", test_json_bounds);
    return g_test_run();
}
