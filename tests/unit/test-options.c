/* test-options.c - option tables: filling a struct, refusing what is wrong, help */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "block/options.h"

typedef struct Rule {
    char *event;
    int64_t error;
} Rule;

typedef struct Sample {
    char *name, *parent, *log;
    int64_t size, extra, number;
    bool fast;
    int kind, colour;
    BlockOptionList rules;
} Sample;

static const char *const kinds[] = { "dynamic", "fixed", NULL };

static const BlockOption rule_options[] = {
    { "event", BLOCK_OPT_STRING, offsetof(Rule, event), NULL, .help = "what it waits for" },
    { "error", BLOCK_OPT_INT, offsetof(Rule, error), "5", .help = "errno that it gives" },
    { NULL }
};

static const BlockOption sample_options[] = {
    { "name", BLOCK_OPT_STRING, offsetof(Sample, name), "disk", .help = "a name" },
    { "parent", BLOCK_OPT_STRING, offsetof(Sample, parent), "", .help = "another name" },
    { "size", BLOCK_OPT_SIZE, offsetof(Sample, size), "2M", .help = "virtual disk size" },
    { "extra", BLOCK_OPT_SIZE, offsetof(Sample, extra), "", .help = "more bytes" },
    { "number", BLOCK_OPT_INT, offsetof(Sample, number), "", .help = "any number" },
    { "fast", BLOCK_OPT_BOOL, offsetof(Sample, fast), "off", .help = "hurry" },
    { "kind", BLOCK_OPT_ENUM, offsetof(Sample, kind), "fixed", .values = kinds, .help = "which layout" },
    { "colour", BLOCK_OPT_ENUM, offsetof(Sample, colour), "", .values = kinds, .help = "which colour" },
    { "rule", BLOCK_OPT_LIST, offsetof(Sample, rules), "", .items = rule_options, .item_size = sizeof(Rule),
      .help = "rules" },
    { "log", BLOCK_OPT_NODE, offsetof(Sample, log), "", .help = "a second file" },
    { NULL }
};

static const BlockOption node_options[] = {
    { "log", BLOCK_OPT_NODE, offsetof(Sample, log), NULL, .help = "a second file" },
    { NULL }
};

static const BlockOption strict_options[] = {
    { "size", BLOCK_OPT_SIZE, offsetof(Sample, size), NULL, .help = "virtual disk size" },
    { NULL }
};

static void fill(const char *text, Sample *sample)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL);
    GError *err = NULL;

    memset(sample, 0, sizeof(*sample));
    block_options_fill(sample_options, kv, sample, "sample", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(keyval_count(kv), ==, 0);
}

/* @text must be refused with EINVAL and exactly @message */
static void check_refused(const BlockOption *table, const char *text, const char *message)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL);
    GError *err = NULL;
    Sample sample = { 0 };

    g_assert_false(block_options_fill(table, kv, &sample, "sample", &err));
    g_assert_cmpstr(bdrv_error_message(err), ==, message);
    g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
    g_assert_null(sample.name);
    g_assert_null(sample.rules.items);
    bdrv_error_free(err);
}

static void test_defaults(void)
{
    Sample sample;

    fill("", &sample);
    g_assert_cmpstr(sample.name, ==, "disk");
    g_assert_cmpint(sample.size, ==, 2 << 20);
    g_assert_false(sample.fast);
    g_assert_cmpint(sample.kind, ==, 1);
    block_options_clear(sample_options, &sample);
}

static void test_left_out(void)
{
    Sample sample;

    fill("", &sample);
    g_assert_null(sample.parent);
    g_assert_cmpint(sample.extra, ==, -1);
    g_assert_cmpint(sample.number, ==, -1);
    g_assert_cmpint(sample.colour, ==, -1);
    g_assert_cmpuint(sample.rules.count, ==, 0);
    block_options_clear(sample_options, &sample);
}

static void test_given(void)
{
    Sample sample;

    fill("colour=dynamic,fast,number=-0x10,extra=1.5k,parent=a,,b,name=", &sample);
    g_assert_cmpint(sample.colour, ==, 0);
    g_assert_true(sample.fast);
    g_assert_cmpint(sample.number, ==, -16);
    g_assert_cmpint(sample.extra, ==, 1536);
    g_assert_cmpstr(sample.parent, ==, "a,b");
    g_assert_cmpstr(sample.name, ==, "");
    block_options_clear(sample_options, &sample);
}

static void test_bool_words(void)
{
    static const struct {
        const char *text;
        bool fast;
    } cases[] = {
        { "fast=on", true }, { "fast=yes", true }, { "fast=true", true },
        { "fast=off", false }, { "fast=no", false }, { "fast=false", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Sample sample;

        fill(cases[i].text, &sample);
        g_assert_cmpint(sample.fast, ==, cases[i].fast);
        block_options_clear(sample_options, &sample);
    }
}

static void test_int_range(void)
{
    Sample sample;

    fill("number=-9223372036854775808", &sample);
    g_assert_cmpint(sample.number, ==, INT64_MIN);
    block_options_clear(sample_options, &sample);
}

static void test_list(void)
{
    Sample sample;

    fill("rule.1.event=write,rule.0.error=28,rule.0.event=read", &sample);
    g_assert_cmpuint(sample.rules.count, ==, 2);
    const Rule *rules = sample.rules.items;

    g_assert_cmpstr(rules[0].event, ==, "read");
    g_assert_cmpint(rules[0].error, ==, 28);
    g_assert_cmpstr(rules[1].event, ==, "write");
    g_assert_cmpint(rules[1].error, ==, 5);
    block_options_clear(sample_options, &sample);
}

static void test_long_list(void)
{
    g_autoptr(GString) text = g_string_new("rule.0.event=e0");
    Sample sample;

    for (int i = 1; i < 12; i++) {
        g_string_append_printf(text, ",rule.%d.event=e%d", i, i);
    }
    fill(text->str, &sample);
    g_assert_cmpuint(sample.rules.count, ==, 12);
    g_assert_cmpstr(((Rule *)sample.rules.items)[11].event, ==, "e11");
    block_options_clear(sample_options, &sample);
}

static void test_node(void)
{
    Sample sample;

    fill("log.filename=a,,b,log.cache.direct=on", &sample);
    g_assert_cmpstr(sample.log, ==, "filename=a,,b,cache.direct=on");
    block_options_clear(sample_options, &sample);
    g_assert_null(sample.log);
}

static void test_bad_values(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "size=abc", "option 'size': 'abc' is not a size, such as 512, 64k or 1.5G" },
        { "size", "option 'size': 'on' is not a size, such as 512, 64k or 1.5G" },
        { "size=", "option 'size': '' is not a size, such as 512, 64k or 1.5G" },
        { "number=", "option 'number': '' is not a whole number of at most 64 bits" },
        { "number=1x", "option 'number': '1x' is not a whole number of at most 64 bits" },
        { "number= 1", "option 'number': ' 1' is not a whole number of at most 64 bits" },
        { "number=9223372036854775808",
          "option 'number': '9223372036854775808' is not a whole number of at most 64 bits" },
        { "fast=maybe", "option 'fast': 'maybe' is not on or off" },
        { "kind=odd", "option 'kind': 'odd' is not one of: dynamic, fixed" },
        { "rule=1", "option 'rule': '1' is not a list, whose items are numbered: name.0.key=value" },
        { "log=a", "option 'log': 'a' is not a node, whose options are its own: name.filename=value" },
        { "rule.0.event=a,rule.2.event=b",
          "option 'rule.2.event': items are numbered from 0 without gaps, and each has options of its own" },
        { "rule.0=a",
          "option 'rule.0': items are numbered from 0 without gaps, and each has options of its own" },
        { "rule.0.event=a,rule.0.error=x", "option 'rule.0.error': 'x' is not a whole number of at most 64 bits" },
        { "rule.0.event=a,rule.1.error=1", "driver 'sample' needs the option 'rule.1.event'" },
        { "rule.0.event=a,rule.0.foo=1",
          "driver 'sample' has no option 'rule.0.foo' (it has: rule.0.event, rule.0.error)" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        check_refused(sample_options, cases[i].text, cases[i].message);
    }
}

static void test_required_is_missing(void)
{
    check_refused(strict_options, "other=1", "driver 'sample' needs the option 'size'");
    check_refused(node_options, "logs=1", "driver 'sample' needs the option 'log.*'");
}

static void test_no_error_wanted(void)
{
    g_autoptr(KeyVal) kv = keyval_parse("size=x", NULL);
    Sample sample = { 0 };

    g_assert_false(block_options_fill(sample_options, kv, &sample, "sample", NULL));
}

static void test_other_keys_stay(void)
{
    g_autoptr(KeyVal) kv = keyval_parse("a=1,size=2,file.b=3,name=x", NULL);
    Sample sample = { 0 };

    g_assert_true(block_options_fill(sample_options, kv, &sample, "sample", NULL));
    g_autofree char *rest = keyval_format(kv);

    g_assert_cmpstr(rest, ==, "a=1,file.b=3");
    block_options_clear(sample_options, &sample);
}

static void test_no_table(void)
{
    g_autoptr(KeyVal) kv = keyval_parse("a=1", NULL);

    g_assert_true(block_options_fill(NULL, kv, NULL, "sample", NULL));
    g_assert_cmpuint(keyval_count(kv), ==, 1);
    block_options_clear(NULL, NULL);
}

static void check_unknown(const BlockOption *table, const char *message)
{
    g_autoptr(KeyVal) kv = keyval_parse("foo=1,bar=2", NULL);
    GError *err = NULL;

    g_assert_false(block_options_unknown(table, kv, "sample", &err));
    g_assert_cmpstr(bdrv_error_message(err), ==, message);
    g_assert_cmpint(bdrv_error_code(err), ==, EINVAL);
    bdrv_error_free(err);
}

static void test_unknown(void)
{
    check_unknown(sample_options, "driver 'sample' has no option 'foo' (it has: name, parent, size, extra, "
                  "number, fast, kind, colour, rule.N.event, rule.N.error, log.*)");
}

static void test_unknown_without_table(void)
{
    check_unknown(NULL, "driver 'sample' has no option 'foo' (it has: none)");
}

static void test_none_unknown(void)
{
    g_autoptr(KeyVal) kv = keyval_new();
    GError *err = NULL;

    g_assert_true(block_options_unknown(sample_options, kv, "sample", &err));
    g_assert_no_error(err);
}

static void check_help(const BlockOption *table, const char *expected)
{
    char *help = bdrv_options_help(table);

    g_assert_cmpstr(help, ==, expected);
    free(help);
}

static void test_help(void)
{
    check_help(sample_options,
               "  name=<str>             - a name (default: disk)\n"
               "  parent=<str>           - another name\n"
               "  size=<size>            - virtual disk size (default: 2M)\n"
               "  extra=<size>           - more bytes\n"
               "  number=<num>           - any number\n"
               "  fast=<bool (on/off)>   - hurry (default: off)\n"
               "  kind=<dynamic|fixed>   - which layout (default: fixed)\n"
               "  colour=<dynamic|fixed> - which colour\n"
               "  rule.N.event=<str>     - what it waits for (required)\n"
               "  rule.N.error=<num>     - errno that it gives (default: 5)\n"
               "  log.*=<node>           - a second file\n");
}

static void test_help_without_table(void)
{
    check_help(NULL, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/defaults", test_defaults);
    g_test_add_func("/options/left-out", test_left_out);
    g_test_add_func("/options/given", test_given);
    g_test_add_func("/options/bool-words", test_bool_words);
    g_test_add_func("/options/int-range", test_int_range);
    g_test_add_func("/options/list", test_list);
    g_test_add_func("/options/long-list", test_long_list);
    g_test_add_func("/options/node", test_node);
    g_test_add_func("/options/bad-values", test_bad_values);
    g_test_add_func("/options/required-is-missing", test_required_is_missing);
    g_test_add_func("/options/no-error-wanted", test_no_error_wanted);
    g_test_add_func("/options/other-keys-stay", test_other_keys_stay);
    g_test_add_func("/options/no-table", test_no_table);
    g_test_add_func("/options/unknown", test_unknown);
    g_test_add_func("/options/unknown-without-table", test_unknown_without_table);
    g_test_add_func("/options/none-unknown", test_none_unknown);
    g_test_add_func("/options/help", test_help);
    g_test_add_func("/options/help-without-table", test_help_without_table);
    return g_test_run();
}
