/* test-candidates.c - where a differencing VHD says its parent is, and what is written into a new one */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "block/format/vpc/vpc.h"
#include "block/format/vpc/candidates.h"
#include "util/be.h"
#include "util/utf16.h"

enum {
    W2RU = VPC_LOCATOR_W2RU, W2KU = VPC_LOCATOR_W2KU, WI2R = VPC_LOCATOR_WI2R, WI2K = VPC_LOCATOR_WI2K,
    MAC = VPC_LOCATOR_MAC, MACX = VPC_LOCATOR_MACX,
};

/* A file below, as much of it as is asked for here */
static struct {
    uint8_t bytes[131072];
    int64_t size;
    int error;
    GString *warnings;
} file;

int64_t bdrv_node_size(BlockDriverState *node)
{
    return file.size;
}

int bdrv_node_pread(BlockDriverState *bs, int64_t offset, void *buf, int64_t bytes)
{
    g_assert_true(offset >= 0 && bytes > 0 && bytes <= file.size - offset);
    if (file.error) {
        return -file.error;
    }
    memcpy(buf, file.bytes + offset, (size_t)bytes);
    return 0;
}

/* Nothing here writes to it */
int bdrv_node_pwrite(BlockDriverState *bs, int64_t offset, const void *buf, int64_t bytes)
{
    return -EROFS;
}

int bdrv_node_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    return -EROFS;
}

void bdrv_warn(BlockDriverState *bs, const char *code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(file.warnings, format, args);
    g_string_append_c(file.warnings, '\n');
    va_end(args);
}

static void reset_file(int64_t size)
{
    for (size_t i = 0; i < sizeof(file.bytes); i++) {
        file.bytes[i] = (uint8_t)(i / 512 + 1);
    }
    file.size = size;
    file.error = 0;
    g_string_truncate(file.warnings, 0);
}

static void set_locator(VpcHeader *h, unsigned slot, uint32_t code, uint32_t space, uint32_t length,
                        uint64_t offset)
{
    VpcLocator *l = &h->locators[slot];

    be32_store(l->code, code);
    be32_store(l->space, space);
    be32_store(l->length, length);
    be64_store(l->offset, offset);
}

static void read_locators(const VpcHeader *h, VpcLocatorData out[VPC_LOCATORS])
{
    BlockDriverState bs = { 0 };

    vpc_read_locators(&bs, h, out);
}

static void test_read(void)
{
    static const struct {
        const char *who;
        uint32_t code[VPC_LOCATORS];
        uint32_t space, length;
    } cases[] = {
        { "Windows 10", { W2KU, W2RU }, 4096, 58 },
        { "Windows 10, its other space", { W2KU }, 65536, 65536 },
        { "vhd-util", { MACX, W2KU, W2RU }, 512, 17 },
        { "DiscUtils", { 0, 0, 0, 0, 0, 0, W2RU, W2KU }, 512, 512 },
        { "ocaml-vhd: sectors", { MACX }, 1, 512 },
        { "by the specification: sectors", { WI2R, WI2K, MAC }, 3, 1536 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        VpcHeader h = { 0 };
        VpcLocatorData out[VPC_LOCATORS];

        g_test_message("%s", cases[i].who);
        reset_file(sizeof(file.bytes));
        for (unsigned slot = 0; slot < VPC_LOCATORS; slot++) {
            uint32_t code = cases[i].code[slot];

            set_locator(&h, slot, code, code ? cases[i].space : 0, cases[i].length, 2048 + 512u * slot);
        }
        read_locators(&h, out);
        for (int slot = 0; slot < VPC_LOCATORS; slot++) {
            g_assert_cmpint(out[slot].code, ==, cases[i].code[slot]);
            g_assert_true(!out[slot].bytes == !cases[i].code[slot]);
            if (out[slot].bytes) {
                g_assert_cmpmem(g_bytes_get_data(out[slot].bytes, NULL), g_bytes_get_size(out[slot].bytes),
                                file.bytes + 2048 + 512 * slot, cases[i].length);
            }
        }
        g_assert_cmpstr(file.warnings->str, ==, "");
        vpc_free_locators(out);
    }
}

static void test_not_believed(void)
{
    static const struct {
        uint32_t code, space, length;
        uint64_t offset;
        const char *why;
    } cases[] = {
        { W2RU, 512, 0, 2048, "no data" },
        { W2RU, 512, 513, 2048, "longer than its space" },
        { W2RU, 1, 513, 2048, "longer than its space" },
        { W2RU, 0, 1, 2048, "longer than its space" },
        { W2RU, 511, 65537, 0, "too long" },
        { W2RU, UINT32_MAX, UINT32_MAX, 0, "too long" },
        { W2RU, 512, 2, 8191, "not inside the file" },
        { W2RU, 512, 2, 8193, "not inside the file" },
        { W2RU, 512, 2, UINT64_MAX, "not inside the file" },
        { W2RU, 512, 2, (uint64_t)INT64_MAX - 1, "not inside the file" },
        { 0x4d163258, 512, 2, 2048, "unknown kind" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        VpcHeader h = { 0 };
        VpcLocatorData out[VPC_LOCATORS];

        reset_file(8192);
        set_locator(&h, 3, cases[i].code, cases[i].space, cases[i].length, cases[i].offset);
        set_locator(&h, 5, W2KU, 512, 2, 8190);
        read_locators(&h, out);
        g_assert_null(out[3].bytes);
        g_assert_nonnull(out[5].bytes);
        g_autofree char *warning =
            g_strdup_printf("parent locator 3 (code 0x%08x, %u bytes at %" G_GUINT64_FORMAT ", space %u) "
                            "is left out: %s\n", cases[i].code, cases[i].length, cases[i].offset,
                            cases[i].space, cases[i].why);

        g_assert_cmpstr(file.warnings->str, ==, warning);
        vpc_free_locators(out);
    }
}

static void test_unreadable(void)
{
    VpcHeader h = { 0 };
    VpcLocatorData out[VPC_LOCATORS];

    reset_file(8192);
    file.error = EIO;
    set_locator(&h, 0, W2RU, 512, 20, 2048);
    read_locators(&h, out);
    g_assert_null(out[0].bytes);
    g_assert_cmpstr(file.warnings->str, ==,
                    "parent locator 0 at 2048 is left out, as it could not be read: Input/output error\n");
}

/* In a folder with
 *   vm/child.vhd   vm/Mixed.VHD   vm/Gr\303\266\303\237e.vhd
 *   away -> vm     vm/link.vhd -> ../store/real.vhd     store/real.vhd */

static char *scene;

static void make_scene(void)
{
    static const char *const files[] = {
        "vm/child.vhd", "vm/Mixed.VHD", "vm/Gr\303\266\303\237e.vhd", "store/real.vhd"
    };
    g_autofree char *made = g_dir_make_tmp("test-candidates-XXXXXX", NULL);

    scene = realpath(made, NULL);
    g_assert_true(chdir(scene) == 0 && g_mkdir("vm", 0700) == 0 && g_mkdir("store", 0700) == 0);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_assert_true(g_file_set_contents(files[i], "", 0, NULL));
    }
    g_assert_true(symlink("vm", "away") == 0 && symlink("../store/real.vhd", "vm/link.vhd") == 0);
}

static void remove_scene(void)
{
    static const char *const names[] = {
        "vm/child.vhd", "vm/Mixed.VHD", "vm/Gr\303\266\303\237e.vhd", "vm/link.vhd", "store/real.vhd", "away",
        "vm", "store",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpint(g_remove(names[i]), ==, 0);
    }
    g_assert_cmpint(chdir("/"), ==, 0);
    g_assert_cmpint(g_remove(scene), ==, 0);
    free(scene);
}

typedef struct Locator {
    uint32_t code;
    const char *text;           /* as UTF-8 */
} Locator;

typedef struct Case {
    const char *what;
    Locator locators[VPC_LOCATORS];
    const char *name;           /* in the header; NULL: none */
    const char *child;          /* NULL: vm/child.vhd */
    VpcParentRules rules;
    const char *expected;       /* a line for each; '@' is the scene */
} Case;

static GBytes *encode(const Locator *l)
{
    switch (l->code) {
    case W2RU:
    case W2KU:
        return utf16_from_utf8(l->text, UTF16_LE);
    default:
        return g_bytes_new(l->text, strlen(l->text));
    }
}

static void fill_name(VpcHeader *h, const char *name, Utf16Order order)
{
    g_autoptr(GBytes) bytes = utf16_from_utf8(name ? name : "", order);

    g_assert_cmpuint(g_bytes_get_size(bytes), <=, sizeof(h->parent_name));
    if (g_bytes_get_size(bytes) > 0) {
        memcpy(h->parent_name, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    }
}

static char *list(const VpcHeader *h, const VpcLocatorData *locators, const char *child,
                  const VpcParentRules *rules)
{
    g_autoptr(GPtrArray) places = vpc_parent_candidates(h, locators, child, rules);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < places->len; i++) {
        const VpcCandidate *c = places->pdata[i];

        g_string_append_printf(text, "%s (%s)\n", c->path, c->source);
    }
    g_string_replace(text, scene, "@", 0);
    return g_string_free(text, FALSE);
}

static void check(const Case *c)
{
    VpcHeader h = { 0 };
    VpcLocatorData locators[VPC_LOCATORS] = { 0 };

    g_test_message("%s", c->what);
    for (int i = 0; i < VPC_LOCATORS; i++) {
        if (c->locators[i].code) {
            locators[i] = (VpcLocatorData) { c->locators[i].code, encode(&c->locators[i]) };
        }
    }
    fill_name(&h, c->name, UTF16_BE);
    g_autofree char *found = list(&h, locators, c->child ? c->child : "vm/child.vhd", &c->rules);

    g_assert_cmpstr(found, ==, c->expected);
    vpc_free_locators(locators);
}

static const Case writers[] = {
    { "Windows 10", { { W2KU, "D:\\VMs\\base.vhd" }, { W2RU, ".\\base.vhd" } },
      "D:\\VMs\\base.vhd", NULL, { 0 },
      "vm/base.vhd (W2ru locator)\n" },
    { "Windows 10, parent elsewhere",
      { { W2KU, "D:\\VMs\\b\\base.vhd" }, { W2RU, "..\\b\\base.vhd" } },
      "D:\\VMs\\b\\base.vhd", NULL, { "C=/mnt/c;d=/mnt/d/" },
      "b/base.vhd (W2ru locator)\n"
      "/mnt/d/VMs/b/base.vhd (W2ku locator, drive map)\n"
      "vm/base.vhd (W2ku locator, last part)\n" },
    { "Hyper-V, on a share", { { W2KU, "\\\\server\\share\\base.vhd" } }, NULL, NULL, { 0 },
      "vm/base.vhd (W2ku locator, last part)\n" },
    { "a long path", { { W2KU, "\\\\?\\C:\\a\\base.vhd" } }, NULL, NULL, { "C=/c" },
      "/c/a/base.vhd (W2ku locator, drive map)\n"
      "vm/base.vhd (W2ku locator, last part)\n" },
    { "vhd-util", { { MACX, "file://./../b/base.vhd" }, { W2KU, ".\\..\\b\\base.vhd" },
                    { W2RU, ".\\..\\b\\base.vhd" } },
      "/images/b/base.vhd", NULL, { 0 },
      "b/base.vhd (W2ru locator)\n"
      "vm/base.vhd (W2ku locator, last part)\n"
      "/images/b/base.vhd (name in the header)\n" },
    { "vhd-util, W2ku only", { { W2KU, ".\\sub\\base.vhd" } }, NULL, NULL, { 0 },
      "vm/sub/base.vhd (W2ku locator)\n"
      "vm/base.vhd (W2ku locator, last part)\n" },
    { "MiniVHD on Linux", { { W2KU, "/home/a/base.vhd" }, { W2RU, "./base.vhd" } },
      "base.vhd", NULL, { 0 },
      "vm/base.vhd (W2ru locator)\n"
      "/home/a/base.vhd (W2ku locator)\n" },
    { "DiscUtils", { [6] = { W2RU, ".\\base.vhd" }, [7] = { W2KU, "C:\\a\\base.vhd" } },
      "base.vhd", NULL, { 0 },
      "vm/base.vhd (W2ru locator)\n" },
    { "VirtualBox: the name is all that is of use", { { 0 } }, "/home/a/base.vhd", NULL, { 0 },
      "/home/a/base.vhd (name in the header)\n"
      "vm/base.vhd (name in the header, last part)\n" },
    { "ocaml-vhd", { { MACX, "file://./base.vhd" } }, NULL, NULL, { 0 },
      "vm/base.vhd (MacX locator)\n" },
    { "Virtual PC 7", { { MAC, "\1\2blob" }, { MACX, "file://localhost/Users/a/my%20base.vhd" } },
      NULL, NULL, { 0 },
      "/Users/a/my base.vhd (MacX locator)\n"
      "/Users/a/my%20base.vhd (MacX locator)\n" },
    { "Virtual PC, before 2004", { { WI2R, ".\\gr\xf6\xdf""e.vhd" }, { WI2K, "E:\\gr\xf6\xdf""e.vhd" } },
      NULL, NULL, { "E=/e" },
      "vm/gr\303\266\303\237e.vhd (Wi2r locator)\n"
      "/e/gr\303\266\303\237e.vhd (Wi2k locator, drive map)\n"
      "vm/Gr\303\266\303\237e.vhd (Wi2r locator, in other case)\n" },
};

static const Case urls[] = {
    { "no host", { { MACX, "file:///a/b.vhd" } }, NULL, NULL, { 0 }, "/a/b.vhd (MacX locator)\n" },
    { "one slash", { { MACX, "file:/a/b.vhd" } }, NULL, NULL, { 0 }, "/a/b.vhd (MacX locator)\n" },
    { "localhost", { { MACX, "FILE://LocalHost/a/b.vhd" } }, NULL, NULL, { 0 },
      "/a/b.vhd (MacX locator)\n" },
    { "bare", { { MACX, "file://b.vhd" } }, NULL, NULL, { 0 }, "vm/b.vhd (MacX locator)\n" },
    { "bare, in a folder", { { MACX, "file://a/b.vhd" } }, NULL, NULL, { 0 },
      "vm/a/b.vhd (MacX locator)\n" },
    { "up", { { MACX, "file://../b.vhd" } }, NULL, NULL, { 0 }, "b.vhd (MacX locator)\n" },
    { "no escape at all", { { MACX, "file://./100%.vhd" } }, NULL, NULL, { 0 },
      "vm/100%.vhd (MacX locator)\n" },
    { "UTF-8 in escapes", { { MACX, "file://./%c3%A4" } }, NULL, NULL, { 0 },
      "vm/\303\244 (MacX locator)\nvm/%c3%A4 (MacX locator)\n" },
    { "a NUL", { { MACX, "file:///a%00b" } }, NULL, NULL, { 0 }, "/a%00b (MacX locator)\n" },
    { "a backslash is a letter", { { MACX, "file://./a\\b" } }, NULL, NULL, { 0 },
      "vm/a\\b (MacX locator)\n" },
    { "another scheme", { { MACX, "http://./a" } }, NULL, NULL, { 0 }, "" },
    { "no URL", { { MACX, "/a/b.vhd" } }, NULL, NULL, { 0 }, "" },
    { "no path", { { MACX, "file://" }, { MACX, "file:" } }, NULL, NULL, { 0 }, "" },
    { "a folder", { { MACX, "file:///a/" }, { MACX, "file:///a/.." } }, NULL, NULL, { 0 }, "" },
};

static const Case paths[] = {
    { "up, more than there is", { { W2RU, "..\\..\\..\\b.vhd" } }, NULL, NULL, { 0 },
      "../../b.vhd (W2ru locator)\n" },
    { "up, past the root", { { W2RU, "..\\..\\..\\b.vhd" } }, NULL, "/x/child.vhd", { 0 },
      "/b.vhd (W2ru locator)\n" },
    { "up, in the middle", { { W2RU, ".\\a\\..\\.\\b\\\\c.vhd" } }, NULL, NULL, { 0 },
      "vm/b/c.vhd (W2ru locator)\n" },
    { "up, from a folder that goes up", { { W2RU, "..\\b.vhd" } }, NULL, "../x/../child.vhd", { 0 },
      "../x/../../b.vhd (W2ru locator)\n" },
    { "the child in this folder", { { W2RU, ".\\b.vhd" } }, NULL, "child.vhd", { 0 },
      "b.vhd (W2ru locator)\n" },
    { "an absolute child", { { W2RU, ".\\b.vhd" } }, NULL, "/x//y/child.vhd", { 0 },
      "/x/y/b.vhd (W2ru locator)\n" },
    { "a child in memory", { { W2RU, ".\\b.vhd" }, { W2KU, "C:\\b.vhd" } }, "c.vhd", "",
      { "C=/c", "/s" },
      "/c/b.vhd (W2ku locator, drive map)\n"
      "/s/b.vhd (W2ru locator, search folder)\n"
      "/s/c.vhd (name in the header, search folder)\n" },
    { "through a link to the folder", { { W2RU, "..\\b.vhd" }, { W2RU, "c.vhd" } }, NULL,
      "away/child.vhd", { 0 },
      "@/b.vhd (W2ru locator)\n"
      "@/vm/c.vhd (W2ru locator)\n"
      "away/c.vhd (W2ru locator)\n" },
    { "through a link to the file", { { W2RU, ".\\b.vhd" } }, NULL, "vm/link.vhd", { 0 },
      "@/store/b.vhd (W2ru locator)\n"
      "vm/b.vhd (W2ru locator)\n" },
    { "rooted, as this library writes it", { { W2KU, "\\vm\\b.vhd" } }, NULL, NULL, { 0 },
      "/vm/b.vhd (W2ku locator)\n"
      "vm/b.vhd (W2ku locator, last part)\n" },
    { "relative to a drive", { { W2KU, "c:b.vhd" } }, NULL, NULL, { "C=m" },
      "m/b.vhd (W2ku locator, drive map)\n"
      "vm/b.vhd (W2ku locator, last part)\n" },
    { "up, past a drive", { { W2KU, "c:\\..\\..\\b.vhd" } }, NULL, NULL, { "C=/m" },
      "/m/b.vhd (W2ku locator, drive map)\n"
      "vm/b.vhd (W2ku locator, last part)\n" },
    { "no drive is mapped", { { W2RU, "C:\\a\\b.vhd" } }, NULL, NULL, { "D=/d;x;E=;=" }, "" },
    { "no name", { { W2RU, ".\\" }, { W2RU, ".." }, { W2RU, "" },
                   { W2RU, "C:" }, { W2KU, "\\" }, { W2KU, "a\\." } },
      "C:\\", NULL, { "C=/c", "/s" }, "" },
    { "letters of elsewhere", { { W2RU, ".\\\346\234\254\360\237\222\276.vhd" } }, NULL, NULL, { 0 },
      "vm/\346\234\254\360\237\222\276.vhd (W2ru locator)\n" },
    { "half a pair", { { W2RU, ".\\a\355\240\200.vhd" } }, NULL, NULL, { 0 },
      "vm/a\355\240\200.vhd (W2ru locator)\n" },
    { "search", { { W2KU, "C:\\a\\b.vhd" }, { W2RU, "..\\c.vhd" } }, "b.vhd", NULL,
      { NULL, "/s::t/:vm" },
      "c.vhd (W2ru locator)\n"
      "vm/b.vhd (W2ku locator, last part)\n"
      "/s/c.vhd (W2ru locator, search folder)\n"
      "/s/b.vhd (W2ku locator, search folder)\n"
      "t/c.vhd (W2ru locator, search folder)\n"
      "t/b.vhd (W2ku locator, search folder)\n"
      "vm/c.vhd (W2ru locator, search folder)\n" },
    { "in other case", { { W2RU, ".\\mixed.vhd" }, { W2KU, "C:\\MIXED.VHD" } }, NULL, NULL, { 0 },
      "vm/mixed.vhd (W2ru locator)\n"
      "vm/MIXED.VHD (W2ku locator, last part)\n"
      "vm/Mixed.VHD (W2ru locator, in other case)\n" },
    { "in this case", { { W2RU, ".\\Mixed.VHD" } }, NULL, NULL, { 0 }, "vm/Mixed.VHD (W2ru locator)\n" },
    { "in other case, beyond ASCII", { { W2RU, ".\\GR\303\226\303\237E.VHD" } }, NULL, NULL, { 0 },
      "vm/GR\303\226\303\237E.VHD (W2ru locator)\n"
      "vm/Gr\303\266\303\237e.vhd (W2ru locator, in other case)\n" },
    { "in other case, in a search folder", { { W2KU, "C:\\REAL.vhd" } }, NULL, "/x/c.vhd", { NULL, "store" },
      "/x/REAL.vhd (W2ku locator, last part)\n"
      "store/REAL.vhd (W2ku locator, search folder)\n"
      "store/real.vhd (W2ku locator, search folder, in other case)\n" },
};

static void check_all(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check(&cases[i]);
    }
}

static void test_writers(void)
{
    check_all(writers, G_N_ELEMENTS(writers));
}

static void test_urls(void)
{
    check_all(urls, G_N_ELEMENTS(urls));
}

static void test_paths(void)
{
    check_all(paths, G_N_ELEMENTS(paths));
}

static void check_name(const char *name, Utf16Order order, const char *expected)
{
    VpcHeader h = { 0 };
    VpcLocatorData none[VPC_LOCATORS] = { 0 };
    VpcParentRules rules = { 0 };

    fill_name(&h, name, order);
    g_autofree char *found = list(&h, none, "x/child.vhd", &rules);
    g_autofree char *line = g_strconcat(expected, " (name in the header)\n", NULL);

    g_assert_cmpstr(found, ==, line);
}

static void test_name_orders(void)
{
    g_autofree char *full = g_strnfill(256, 'n');           /* no room for a NUL */
    g_autofree char *path = g_strconcat("x/", full, NULL);

    check_name("b.vhd", UTF16_BE, "x/b.vhd");
    check_name("b.vhd", UTF16_LE, "x/b.vhd");
    check_name("\346\234\254.vhd", UTF16_LE, "x/\346\234\254.vhd");
    check_name("\344\270\200\344\270\200.vhd", UTF16_BE, "x/\344\270\200\344\270\200.vhd");  /* U+4E00 */
    check_name("\320\261", UTF16_BE, "x/\320\261");
    check_name("\357\273\277b.vhd", UTF16_BE, "x/b.vhd");   /* tapdisk 0.1 */
    check_name("\357\273\277b.vhd", UTF16_LE, "x/b.vhd");
    check_name(full, UTF16_BE, path);
    check_name(full, UTF16_LE, path);
}

static void test_odd_data(void)
{
    VpcHeader h = { 0 };
    VpcParentRules rules = { 0 };
    VpcLocatorData locators[VPC_LOCATORS] = {
        { W2RU, g_bytes_new_static("a\0.\0v\0\0\0z\0", 10) },
        { W2RU, g_bytes_new_static("b\0.\0v\0h", 7) },
        { MACX, g_bytes_new_static("file://./c\0z", 12) },
        { WI2R, g_bytes_new_static("d\0z", 3) },
        { MAC, g_bytes_new_static("e", 1) },
        { 0x12345678, g_bytes_new_static("f", 1) },
    };
    g_autofree char *found = list(&h, locators, "x/child.vhd", &rules);

    g_assert_cmpstr(found, ==, "x/a.v (W2ru locator)\nx/b.v (W2ru locator)\nx/c (MacX locator)\n"
                    "x/d (Wi2r locator)\n");
    vpc_free_locators(locators);
}

static void test_path_too_long(void)
{
    g_autofree char *name = g_strnfill(20000, 'n');
    const Case c = { "long", { { W2RU, name } }, NULL, NULL, { NULL, "/s" }, "" };

    check(&c);
}

static void test_rules(void)
{
    static const struct {
        const char *drives, *bad;
    } cases[] = {
        { NULL, NULL }, { "", NULL }, { "C=/c", NULL }, { "c=/c;D=d;", NULL },
        { "C", "C" }, { "C=/c;D=", "D=" }, { "CD=/c", "CD=/c" }, { "1=/c", "1=/c" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        VpcParentRules rules = { cases[i].drives, NULL };
        GError *err = NULL;

        g_assert_true(vpc_accept_parent_rules(&rules, &err) == !cases[i].bad);
        if (err) {
            g_autofree char *text = g_strdup_printf("drive map: '%s' is not a letter and a folder, such as "
                                                    "C=/mnt/c", cases[i].bad);

            g_assert_cmpstr(bdrv_error_message(err), ==, text);
            bdrv_error_free(err);
        }
    }
}

/* Whatever is in an image: no path twice, none without a name, and no harm */
static void test_random(void)
{
    static const char letters[] = "\\/.:%CcaM0\xe4?";
    static const uint32_t codes[] = { W2RU, W2KU, WI2R, WI2K,
                                      MAC, MACX, 0 };
    static const VpcParentRules rules = { "C=/nowhere", "store:vm" };

    for (int round = 0; round < 1000; round++) {
        VpcHeader h = { 0 };
        VpcLocatorData locators[VPC_LOCATORS] = { 0 };

        for (int i = 0; i < VPC_LOCATORS; i++) {
            locators[i].code = codes[g_test_rand_int_range(0, G_N_ELEMENTS(codes))];
            gsize bytes = (gsize)g_test_rand_int_range(0, 40), step = g_test_rand_bit() + 1;
            char *data = g_malloc0(bytes);

            for (gsize at = 0; at < bytes; at += step) {
                data[at] = letters[g_test_rand_int_range(0, sizeof(letters) - 1)];
            }
            if (locators[i].code == MACX && bytes > 7) {
                memcpy(data, "file://", 7);
            }
            locators[i].bytes = g_bytes_new_take(data, bytes);
        }
        for (size_t i = 0; i < sizeof(h.parent_name); i++) {
            h.parent_name[i] = (uint8_t)g_test_rand_int_range(0, 256);
        }
        g_autoptr(GPtrArray) places = vpc_parent_candidates(&h, locators, "away/child.vhd", &rules);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; i < places->len; i++) {
            const VpcCandidate *c = places->pdata[i];
            g_autofree char *base = g_path_get_basename(c->path);

            g_assert_true(g_hash_table_add(seen, c->path));
            g_assert_true(strcmp(base, ".") && strcmp(base, "..") && g_str_has_suffix(c->path, base));
        }
        vpc_free_locators(locators);
    }
}

static const struct {
    const char *child, *parent;
    const char *w2ku, *w2ru, *macx, *name;      /* '@' is the scene */
} children[] = {
    { "vm/new.vhd", "vm/base.vhd", "@\\vm\\base.vhd", ".\\base.vhd", "file://./base.vhd", "base.vhd" },
    { "new.vhd", "vm/base.vhd", "@\\vm\\base.vhd", ".\\vm\\base.vhd", "file://./vm/base.vhd", "base.vhd" },
    { "vm/new.vhd", "./store/../b.vhd", "@\\b.vhd", "..\\b.vhd", "file://./../b.vhd", "b.vhd" },
    { "vm/new.vhd", "store/b", "@\\store\\b", "..\\store\\b", "file://./../store/b", "b" },
    { "away/new.vhd", "store/b", "@\\store\\b", "..\\store\\b", "file://./../store/b", "b" },
    { "vm/link.vhd", "vm/b.vhd", "@\\vm\\b.vhd", "..\\vm\\b.vhd", "file://./../vm/b.vhd", "b.vhd" },
    { "vm/new.vhd", "vm/link.vhd", "@\\vm\\link.vhd", ".\\link.vhd", "file://./link.vhd", "link.vhd" },
    { "/new.vhd", "/base.vhd", "\\base.vhd", ".\\base.vhd", "file://./base.vhd", "base.vhd" },
    { "/new.vhd", "/dev/null", "\\dev\\null", ".\\dev\\null", "file://./dev/null", "null" },
    { "/dev/new.vhd", "/base.vhd", "\\base.vhd", "..\\base.vhd", "file://./../base.vhd", "base.vhd" },
    { "new.vhd", "my base.vhd", "@\\my base.vhd", ".\\my base.vhd", "file://./my base.vhd", "my base.vhd" },
    { "new.vhd", "50%20#1?", "@\\50%20#1?", ".\\50%20#1?", "file://./50%2520%231%3F", "50%20#1?" },
    { "new.vhd", "gr\303\266\303\237e.vhd", "@\\gr\303\266\303\237e.vhd", ".\\gr\303\266\303\237e.vhd",
      "file://./gr\303\266\303\237e.vhd", "gr\303\266\303\237e.vhd" },
    { "new.vhd", "a\355\240\200", "@\\a\355\240\200", ".\\a\355\240\200", "file://./a%ED%A0%80",
      "a\355\240\200" },
};

static void check_windows(GBytes *bytes, const char *expected)
{
    g_autofree char *found = utf16_to_utf8(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), UTF16_LE);
    g_autofree char *root = g_strdelimit(g_strdup(scene), "/", '\\');
    GString *text = g_string_new(expected);

    g_string_replace(text, "@", root, 0);
    g_assert_cmpstr(found, ==, text->str);
    g_assert_cmpuint(g_bytes_get_size(bytes) % 2, ==, 0);
    g_string_free(text, TRUE);
}

static void free_three(VpcLocatorData out[3])
{
    for (int i = 0; i < 3; i++) {
        g_bytes_unref(out[i].bytes);
    }
}

static void test_describe(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        VpcHeader h = { 0 };
        VpcLocatorData out[3];

        g_test_message("child %zu", i);
        memset(h.parent_name, 'x', sizeof(h.parent_name));
        g_assert_true(vpc_describe_parent(children[i].child, children[i].parent, &h, out, NULL));
        g_assert_cmphex(out[0].code, ==, W2KU);
        g_assert_cmphex(out[1].code, ==, W2RU);
        g_assert_cmphex(out[2].code, ==, MACX);
        check_windows(out[0].bytes, children[i].w2ku);
        check_windows(out[1].bytes, children[i].w2ru);
        g_assert_cmpmem(g_bytes_get_data(out[2].bytes, NULL), g_bytes_get_size(out[2].bytes),
                        children[i].macx, strlen(children[i].macx));
        g_autofree char *name = utf16_to_utf8(h.parent_name, sizeof(h.parent_name), UTF16_BE);

        g_assert_cmpstr(name, ==, children[i].name);
        g_assert_cmpint(h.parent_name[sizeof(h.parent_name) - 1], ==, 0);
        free_three(out);
    }
}

/* Each of what was written leads back, by itself */
static void test_describe_and_find(void)
{
    static const VpcParentRules rules = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        VpcHeader h = { 0 }, no_name = { 0 };
        VpcLocatorData out[3];
        g_autofree char *folder = g_path_get_dirname(children[i].parent), *real = realpath(folder, NULL);
        g_autofree char *base = g_path_get_basename(children[i].parent);
        g_autofree char *want = g_build_filename(real, base, NULL);

        g_assert_true(vpc_describe_parent(children[i].child, children[i].parent, &h, out, NULL));
        for (int kind = 0; kind < 3; kind++) {
            VpcLocatorData one[VPC_LOCATORS] = { out[kind] };
            g_autoptr(GPtrArray) places = vpc_parent_candidates(&no_name, one, children[i].child, &rules);
            const VpcCandidate *first = places->pdata[0];
            g_autofree char *found = g_canonicalize_filename(first->path, scene);

            g_assert_cmpstr(found, ==, want);
        }
        free_three(out);
    }
}

static void check_refused(const char *child, const char *parent, int code, const char *message)
{
    VpcHeader h = { 0 };
    VpcLocatorData out[3] = { 0 };
    GError *err = NULL;

    g_assert_false(vpc_describe_parent(child, parent, &h, out, &err));
    g_assert_cmpstr(bdrv_error_message(err), ==, message);
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    g_assert_true(!out[0].bytes && !out[1].bytes && !out[2].bytes);
    bdrv_error_free(err);
    g_assert_false(vpc_describe_parent(child, parent, &h, out, NULL));
}

static void test_not_described(void)
{
    g_autofree char *name = g_strnfill(256, 'n'), *folder = g_strnfill(33000, 'f');
    g_autofree char *long_name = g_strdup_printf("the parent's name '%s' is 256 UTF-16 units long, a VHD has "
                                                 "room for 255", name);
    g_autofree char *deep = g_strdup_printf("/%s/b.vhd", folder);

    check_refused("c.vhd", "vm/", EINVAL, "'vm/' is not the path of a file, so it can't be the parent's");
    check_refused("c.vhd", "..", EINVAL, "'..' is not the path of a file, so it can't be the parent's");
    check_refused("c.vhd", "", EINVAL, "'' is not the path of a file, so it can't be the parent's");
    check_refused("c.vhd", "gr\xf6.vhd", EILSEQ,
                  "the parent's name 'gr\xf6.vhd' is not UTF-8, and a VHD has it in UTF-16");
    check_refused("/c.vhd", "/gr\xf6/b.vhd", EILSEQ,
                  "the parent's path '/gr\xf6/b.vhd' is not UTF-8, and a VHD has it in UTF-16");
    check_refused("c.vhd", "a\\b.vhd", EINVAL, "the parent's path 'a\\b.vhd' has a backslash in it, which "
                  "others take for the end of a folder's name");
    check_refused("c.vhd", name, ENAMETOOLONG, long_name);
    check_refused("/c.vhd", deep, ENAMETOOLONG, "the parent's path takes 66014 bytes in a VHD, and "
                  "65536 are read");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    file.warnings = g_string_new(NULL);
    make_scene();
    g_test_add_func("/candidates/read", test_read);
    g_test_add_func("/candidates/not-believed", test_not_believed);
    g_test_add_func("/candidates/unreadable", test_unreadable);
    g_test_add_func("/candidates/writers", test_writers);
    g_test_add_func("/candidates/urls", test_urls);
    g_test_add_func("/candidates/paths", test_paths);
    g_test_add_func("/candidates/name-orders", test_name_orders);
    g_test_add_func("/candidates/odd-data", test_odd_data);
    g_test_add_func("/candidates/path-too-long", test_path_too_long);
    g_test_add_func("/candidates/rules", test_rules);
    g_test_add_func("/candidates/random", test_random);
    g_test_add_func("/candidates/describe", test_describe);
    g_test_add_func("/candidates/describe-and-find", test_describe_and_find);
    g_test_add_func("/candidates/not-described", test_not_described);
    int ret = g_test_run();

    remove_scene();
    g_string_free(file.warnings, TRUE);
    return ret;
}
