/* locator.c - VHD: reads and writes the names that a differencing disk has of its parent */
/* SPDX-License-Identifier: MIT
 *
 * The header has one name and room for eight parent locators. A locator has a code, which says how its data is to be
 * read, and a place in the file, where the data is. This file turns the data into text, and the path of a parent into
 * data. It does not know which text leads to a file: vpc/candidates.c makes paths out of it. vpc/metadata.c keeps new
 * blocks away from the places of locators.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"
#include "util/be.h"
#include "util/checked.h"
#include "util/path.h"
#include "util/utf16.h"

#define MAX_NAME        255     /* UTF-16 units in the header, with room for a NUL */
#define ABSOLUTE_SPACE  65536   /* of the absolute name, where Windows leaves room for a longer one */

static const struct {
    uint32_t code;
    const char *source;
} kinds[] = {
    { VPC_LOCATOR_W2RU, "W2ru locator" },
    { VPC_LOCATOR_W2KU, "W2ku locator" },
    { VPC_LOCATOR_WI2R, "Wi2r locator" },
    { VPC_LOCATOR_WI2K, "Wi2k locator" },
    { VPC_LOCATOR_MAC, "Mac locator" },
    { VPC_LOCATOR_MACX, "MacX locator" },
};

const char *vpc_locator_name(uint32_t code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].code == code) {
            return kinds[i].source;
        }
    }
    return NULL;
}

int64_t vpc_locator_space(const VpcLocator *l)
{
    int64_t space = be32_load(l->space);

    return space * (space < VPC_SECTOR ? VPC_SECTOR : 1);
}

int64_t vpc_locator_used(const VpcLocator *l)
{
    return MIN(vpc_locator_space(l), MIN(be32_load(l->length), VPC_MAX_LOCATOR));
}

unsigned vpc_judge_locator(const VpcLocator *l, int64_t limit)
{
    int64_t space = vpc_locator_space(l), length = be32_load(l->length);
    uint64_t at = be64_load(l->offset);
    unsigned faults = vpc_locator_name(be32_load(l->code)) ? 0 : VPC_NAME_UNKNOWN;

    faults |= length == 0 ? VPC_NAME_EMPTY : length > VPC_MAX_LOCATOR ? VPC_NAME_LONG : 0;
    faults |= length > space ? VPC_NAME_OVER_SPACE : 0;
    faults |= !ends_before(at, vpc_locator_used(l), limit) ? VPC_NAME_OUTSIDE : 0;
    return faults | (!ends_before(at, space, limit) ? VPC_NAME_ROOM_OUTSIDE : 0);
}

/* Return why the data of a locator is not to be read, as a clause; NULL: it is */
static const char *why_left_out(const VpcLocator *l, int64_t file_size)
{
    static const struct {
        unsigned fault;
        const char *why;
    } clauses[] = {
        { VPC_NAME_UNKNOWN, "unknown kind" }, { VPC_NAME_EMPTY, "no data" }, { VPC_NAME_LONG, "too long" },
        { VPC_NAME_OVER_SPACE, "longer than its space" }, { VPC_NAME_OUTSIDE, "not inside the file" },
    };
    unsigned faults = vpc_judge_locator(l, file_size);

    for (size_t i = 0; i < G_N_ELEMENTS(clauses); i++) {
        if (faults & clauses[i].fault) {
            return clauses[i].why;
        }
    }
    return NULL;
}

static char *from_latin1(const char *data, size_t bytes)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < bytes && data[i]; i++) {
        g_string_append_unichar(text, (uint8_t)data[i]);
    }
    return g_string_free(text, FALSE);
}

char *vpc_locator_text(const VpcLocatorData *locator)
{
    gsize bytes;
    const char *data = g_bytes_get_data(locator->bytes, &bytes);

    switch (locator->code) {
    case VPC_LOCATOR_MACX:
        return g_strndup(data, bytes);
    case VPC_LOCATOR_WI2R:
    case VPC_LOCATOR_WI2K:
        return from_latin1(data, bytes);
    default:
        return utf16_to_utf8(data, bytes, UTF16_LE);
    }
}

void vpc_read_locators(BlockDriverState *bs, const VpcHeader *header, VpcLocatorData out[VPC_LOCATORS])
{
    memset(out, 0, VPC_LOCATORS * sizeof(*out));
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        const VpcLocator *l = &header->locators[i];
        uint32_t code = be32_load(l->code), length = be32_load(l->length);
        const char *why = code ? why_left_out(l, bdrv_node_size(bs->file)) : NULL;

        if (why) {
            bdrv_warn(bs, "L1", "parent locator %u (code 0x%08x, %" PRIu32 " bytes at %" PRIu64 ", space %" PRIu32
                      ") is left out: %s", i, code, length, be64_load(l->offset), be32_load(l->space), why);
        }
        if (!code || why) {
            continue;
        }
        g_autofree uint8_t *data = g_try_malloc(length);
        int ret = data ? bdrv_node_pread(bs->file, (int64_t)be64_load(l->offset), data, length) : -ENOMEM;

        if (ret < 0) {
            bdrv_warn(bs, "L1", "parent locator %u at %" PRIu64 " is left out, as it could not be read: %s", i,
                      be64_load(l->offset), g_strerror(-ret));
        } else {
            out[i] = (VpcLocatorData) { code, g_bytes_new_take(g_steal_pointer(&data), length) };
        }
    }
}

void vpc_free_locators(VpcLocatorData locators[VPC_LOCATORS])
{
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        g_clear_pointer(&locators[i].bytes, g_bytes_unref);
    }
}

/* Guess the byte order of the name in the header: big-endian nearly everywhere, and names hold letters of ASCII nearly
 * always */
static Utf16Order order_of_name(const uint8_t *name, size_t bytes)
{
    size_t big = 0, little = 0;

    for (size_t i = 0; i < bytes && (name[i] || name[i + 1]); i += 2) {
        big += name[i] == 0;
        little += name[i + 1] == 0;
    }
    return little > big ? UTF16_LE : UTF16_BE;
}

char *vpc_header_name(const VpcHeader *header)
{
    const uint8_t *name = header->parent_name;
    size_t bytes = sizeof(header->parent_name);
    g_autofree char *text = utf16_to_utf8(name, bytes, order_of_name(name, bytes));
    bool mark = g_str_has_prefix(text, "\xef\xbb\xbf");     /* tapdisk 0.1 left the order to iconv() */

    return g_strdup(text + (mark ? 3 : 0));
}

/* Return the folder of @path, absolute, links resolved: other programs hand ".." to the kernel, which goes up from
 * where a link leads */
static char *real_folder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    char *real = path_resolve(folder);

    return real ? real : g_canonicalize_filename(folder, NULL);
}

/* Return @path as Windows would write it, UTF-16LE without a NUL; NULL: @path is not UTF-8 */
static GBytes *windows_bytes(const char *path)
{
    g_autofree char *windows = g_strdelimit(g_strdup(path), "/", '\\');

    return utf16_from_utf8(windows, UTF16_LE);
}

/* Return a URL, always relative, as Xen's tools write it. These and xapi's read the text as it is, so only what would
 * be read as something else is escaped, not all that RFC 2396 wants escaped */
static GBytes *url_bytes(const char *relative)
{
    g_autofree char *escaped = g_uri_escape_string(relative, " !\"$&'()*+,/:;<=>@[\\]^`{|}", TRUE);
    char *url = g_strconcat("file://./", escaped, NULL);

    return g_bytes_new_take(url, strlen(url));
}

/* Store the last part of the name only. Windows has the full path here and does not use it; MiniVHD, 7-Zip and
 * vhdimount look for this name in the child's folder, and MiniVHD and 7-Zip do not cut anything off first */
static bool fill_name(VpcHeader *header, const char *name, GError **errp)
{
    g_autoptr(GBytes) bytes = utf16_from_utf8(name, UTF16_BE);
    size_t length = bytes ? g_bytes_get_size(bytes) : 0;

    if (!bytes) {
        bdrv_set_error(errp, EILSEQ, "the parent's name '%s' is not UTF-8, and a VHD has it in UTF-16", name);
    } else if (length / 2 > MAX_NAME) {
        bdrv_set_error(errp, ENAMETOOLONG, "the parent's name '%s' is %zu UTF-16 units long, a VHD has room "
                       "for %d", name, length / 2, MAX_NAME);
    } else {
        memset(header->parent_name, 0, sizeof(header->parent_name));
        memcpy(header->parent_name, g_bytes_get_data(bytes, NULL), length);
        return true;
    }
    return false;
}

static bool fits(GBytes *bytes, const char *path, GError **errp)
{
    if (!bytes) {
        bdrv_set_error(errp, EILSEQ, "the parent's path '%s' is not UTF-8, and a VHD has it in UTF-16", path);
    } else if (g_bytes_get_size(bytes) > VPC_MAX_LOCATOR) {
        bdrv_set_error(errp, ENAMETOOLONG, "the parent's path takes %zu bytes in a VHD, and %d are read",
                       g_bytes_get_size(bytes), VPC_MAX_LOCATOR);
    } else {
        return true;
    }
    return false;
}

/* Fill the locators. W2ku: there is no drive that others would know, so it is the path of this host, rooted:
 * "\vm\base.vhd". Xen's tools turn it into just that path; Windows and DiscUtils look for it on the current drive,
 * where it is not, and go on to W2ru; MiniVHD opens it last, and fails; libvhdi and 7-Zip never look at it. */
static bool describe(const char *absolute, const char *relative, VpcLocatorData out[3], GError **errp)
{
    g_autofree char *dotted = g_strconcat(g_str_has_prefix(relative, "../") ? "" : "./", relative, NULL);
    g_autoptr(GBytes) w2ku = windows_bytes(absolute), w2ru = windows_bytes(dotted);
    g_autoptr(GBytes) macx = url_bytes(relative);

    if (strchr(relative, '\\')) {
        bdrv_set_error(errp, EINVAL, "the parent's path '%s' has a backslash in it, which others take for "
                       "the end of a folder's name", relative);
        return false;
    }
    if (!fits(w2ku, absolute, errp) || !fits(w2ru, relative, errp) || !fits(macx, relative, errp)) {
        return false;
    }
    out[0] = (VpcLocatorData) { VPC_LOCATOR_W2KU, g_steal_pointer(&w2ku) };
    out[1] = (VpcLocatorData) { VPC_LOCATOR_W2RU, g_steal_pointer(&w2ru) };
    out[2] = (VpcLocatorData) { VPC_LOCATOR_MACX, g_steal_pointer(&macx) };
    return true;
}

bool vpc_describe_parent(const char *child, const char *parent, VpcHeader *header, VpcLocatorData out[3],
                         GError **errp)
{
    const char *name = path_last(parent);
    g_autofree char *link = path_resolve(child);        /* an existing child: where its data will be */
    g_autofree char *from = real_folder(link ? link : child), *to = real_folder(parent);

    if (!name) {
        bdrv_set_error(errp, EINVAL, "'%s' is not the path of a file, so it can't be the parent's", parent);
        return false;
    }
    g_autofree char *absolute = path_join(to, name), *relative = path_relative(from, to, name);

    return fill_name(header, name, errp) && describe(absolute, relative, out, errp);
}

int64_t vpc_space_needed(const VpcLocatorData *locator)
{
    int64_t length = (int64_t)g_bytes_get_size(locator->bytes);
    int64_t least = locator->code == VPC_LOCATOR_W2KU ? ABSOLUTE_SPACE : VPC_LOCATOR_ALIGN;

    return MAX(round_up(length, VPC_LOCATOR_ALIGN), least);
}

int vpc_write_locator(BlockDriverState *bs, VpcHeader *header, unsigned slot, const VpcLocatorData *locator,
                      int64_t at, int64_t *end)
{
    VpcLocator *l = &header->locators[slot];
    int64_t space = vpc_space_needed(locator);
    gsize length;
    const void *data = g_bytes_get_data(locator->bytes, &length);

    be32_store(l->code, locator->code);
    be32_store(l->space, (uint32_t)space);
    be32_store(l->length, (uint32_t)length);
    be64_store(l->offset, (uint64_t)at);
    *end = at + space;
    int ret = bdrv_node_pwrite(bs->file, at, data, (int64_t)length);

    return ret < 0 ? ret : bdrv_node_zero(bs->file, at + (int64_t)length, space - (int64_t)length, 0);
}
