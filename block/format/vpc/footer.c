/* footer.c - VHD: one footer, without a look at the file */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/footer.h"
#include "block/format/vpc/on-disk.h"
#include "util/be.h"

uint32_t vpc_checksum(const void *data, size_t bytes, size_t at)
{
    const uint8_t *p = data;
    uint32_t sum = 0;

    for (size_t i = 0; i < bytes; i++) {
        sum += i >= at && i < at + 4 ? 0 : p[i];
    }
    return ~sum;
}

static bool footer_is_padded(const uint8_t *field, const char *code, size_t length)
{
    return !memcmp(field, code, length) && (length == 4 || field[3] == ' ' || field[3] == 0);
}

bool vpc_creator_is(const VpcFooter *footer, const char *code)
{
    size_t length = MIN(strlen(code), 4);

    return length >= 3 && footer_is_padded(footer->creator, code, length);
}

uint32_t vpc_footer_sum(const VpcFooter *f)
{
    return vpc_checksum(f, sizeof(*f), offsetof(VpcFooter, checksum));
}

void vpc_seal_footer(VpcFooter *f)
{
    be32_store(f->checksum, vpc_footer_sum(f));
}

/* Return whether the checksum is right but for the hidden mark, which tapdisk 0.1 and 1.1 set without a new one */
static bool is_old_hidden(const VpcFooter *f)
{
    uint32_t version = be32_load(f->creator_version);

    return vpc_creator_is(f, "tap") && (version == 0x00000001 || version == 0x00010001) && f->hidden &&
           be32_load(f->checksum) == vpc_footer_sum(f) + f->hidden;
}

bool vpc_has_cookie(const VpcFooter *f)
{
    return !memcmp(f->cookie, VPC_COOKIE, 8);
}

unsigned vpc_marks(const VpcFooter *f)
{
    unsigned marks = f->saved_state ? VPC_MARK_SUSPENDED : 0;

    marks |= !memcmp(f->cookie, VPC_COOKIE_POISON, 8) ? VPC_MARK_POISONED : 0;
    marks |= !memcmp(f->cookie, VPC_COOKIE_PART, 8) ? VPC_MARK_UNFINISHED : 0;
    return marks | (f->hidden && vpc_creator_is(f, "tap") ? VPC_MARK_HIDDEN : 0);
}

bool vpc_footer_is_valid(const VpcFooter *f)
{
    return (vpc_has_cookie(f) || vpc_marks(f) & (VPC_MARK_POISONED | VPC_MARK_UNFINISHED)) &&
           (be32_load(f->checksum) == vpc_footer_sum(f) || is_old_hidden(f));
}

uint32_t vpc_type(const VpcFooter *f)
{
    return be32_load(f->type);
}

bool vpc_is_sparse(const VpcFooter *f)
{
    return vpc_type(f) == VPC_DYNAMIC || vpc_type(f) == VPC_DIFFERENCING;
}

int64_t vpc_chs_size(const VpcFooter *f)
{
    return (int64_t)be16_load(f->cylinders) * f->heads * f->sectors * VPC_SECTOR;
}

/* Go by the geometry where the creator does: Virtual PC showed its guests C x H x S; nearly everybody else shows
 * current_size */
int64_t vpc_size(const VpcFooter *f, int rule)
{
    static const char *const qemu9_current[] = { "win ", "qem2", "d2v ", "tap", "CTXS" };
    int64_t chs = vpc_chs_size(f);
    bool current = rule == VPC_SIZE_CURRENT;

    if (rule == VPC_SIZE_AUTO) {
        current = memcmp(f->creator, "vpc ", 4) && memcmp(f->creator, "qemu", 4);
    } else if (rule == VPC_SIZE_QEMU9) {
        for (size_t i = 0; i < G_N_ELEMENTS(qemu9_current); i++) {
            current |= !memcmp(f->creator, qemu9_current[i], 4);
        }
    }
    bool too_big = chs == (int64_t)VPC_MAX_CYLINDERS * VPC_MAX_HEADS * VPC_MAX_SECTORS * VPC_SECTOR;

    return current || too_big || chs == 0 ? (int64_t)be64_load(f->current_size) : chs;
}

int64_t vpc_largest_size(const VpcFooter *f, int rule)
{
    return MAX((int64_t)be64_load(f->current_size), vpc_size(f, rule));
}

bool vpc_has_id(const uint8_t uuid[16])
{
    static const uint8_t none[16];

    return memcmp(uuid, none, sizeof(none)) != 0;
}

char *vpc_uuid_text(const uint8_t u[16])
{
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
                           u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

bool vpc_parse_uuid(const char *text, uint8_t uuid[16], GError **errp)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0, digits = 0;

    for (; form[i] && text[i]; i++) {
        if (form[i] == '-' ? text[i] != '-' : !g_ascii_isxdigit(text[i])) {
            break;
        }
        if (form[i] == 'x') {
            uint8_t digit = (uint8_t)g_ascii_xdigit_value(text[i]);

            uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | digit);
            digits++;
        }
    }
    if (form[i] || text[i]) {
        bdrv_set_error(errp, EINVAL, "uuid '%s' is not of the form %s", text, form);
        return false;
    }
    return true;
}

bool vpc_set_timestamp(VpcFooter *f, int64_t when, GError **errp)
{
    if (when < VPC_EPOCH || when - VPC_EPOCH > UINT32_MAX) {
        bdrv_set_error(errp, EINVAL, "timestamp %" PRId64 " is not between the years 2000 and 2136", when);
        return false;
    }
    be32_store(f->timestamp, (uint32_t)(when - VPC_EPOCH));
    return true;
}

bool vpc_set_creator(VpcFooter *f, const char *text, GError **errp)
{
    if (strlen(text) > sizeof(f->creator)) {
        bdrv_set_error(errp, EINVAL, "creator '%s' is longer than four characters", text);
        return false;
    }
    char creator[sizeof(f->creator)] = { ' ', ' ', ' ', ' ' };

    for (size_t i = 0; text[i]; i++) {
        creator[i] = text[i];
    }
    if (!vpc_creator_is(f, text)) {
        memcpy(f->creator, creator, sizeof(creator));
        be32_store(f->creator_version, 0x00010000);
    }
    return true;
}
