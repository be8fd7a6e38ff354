/* footer.h - VHD: one footer, without a look at the file */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_FOOTER_H
#define BLOCK_VPC_FOOTER_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/on-disk.h"

/* Return the checksum that a footer or header of @bytes should have, at @at */
uint32_t vpc_checksum(const void *data, size_t bytes, size_t at);
uint32_t vpc_footer_sum(const VpcFooter *footer);
/* Store the checksum of a footer that was changed */
void vpc_seal_footer(VpcFooter *footer);

/* Return whether cookie and checksum are right, with what old tapdisks are forgiven */
bool vpc_footer_is_valid(const VpcFooter *footer);
/* Return whether it begins as every footer that has no mark in the place of its cookie */
bool vpc_has_cookie(const VpcFooter *footer);

/* Marks that somebody put on an image; several may come together, but for the first two, which replace the cookie */
enum {
    VPC_MARK_POISONED   = 1 << 0,   /* Xen's tools have put the image out of use */
    VPC_MARK_UNFINISHED = 1 << 1,   /* the image is being made, and has a part of its disk only */
    VPC_MARK_HIDDEN     = 1 << 2,   /* Xen's tools have hidden the image: it has children */
    VPC_MARK_SUSPENDED  = 1 << 3,   /* a suspended machine refers to the disk (saved state) */
};

/* Return all marks of @footer. 0: it has none */
unsigned vpc_marks(const VpcFooter *footer);
uint32_t vpc_type(const VpcFooter *footer);
/* Return whether it is the footer of a dynamic or differencing disk */
bool vpc_is_sparse(const VpcFooter *footer);
/* Return whether the creator is the three or four characters @code. Padding may be a space or a NUL */
bool vpc_creator_is(const VpcFooter *footer, const char *code);

/* Which size the guest sees */
enum { VPC_SIZE_AUTO, VPC_SIZE_CHS, VPC_SIZE_CURRENT, VPC_SIZE_QEMU9 };
/* Return the bytes of the disk by one of these rules */
int64_t vpc_size(const VpcFooter *footer, int rule);
/* Return the largest size that somebody takes the disk to have: current_size, or the one by this rule */
int64_t vpc_largest_size(const VpcFooter *footer, int rule);
/* Return the bytes that the geometry says */
int64_t vpc_chs_size(const VpcFooter *footer);

/* Set fields from what a user wrote */
bool vpc_parse_uuid(const char *text, uint8_t uuid[16], GError **errp);
bool vpc_set_creator(VpcFooter *footer, const char *text, GError **errp);
bool vpc_set_timestamp(VpcFooter *footer, int64_t when, GError **errp);     /* @when: Unix time */
/* Return whether this is the unique id of an image. Zeroes stand where there is none */
bool vpc_has_id(const uint8_t uuid[16]);
/* Return "01234567-89ab-cdef-0123-456789abcdef"; g_free() it */
char *vpc_uuid_text(const uint8_t uuid[16]);

#endif
