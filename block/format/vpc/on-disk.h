/* on-disk.h - VHD on disk. All numbers are big-endian; docs/VHD.md has the sources */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_FORMAT_H
#define BLOCK_VPC_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define VPC_SECTOR          512

/* At the end of every image, and a copy at the start of all but fixed ones */
typedef struct VpcFooter {
    uint8_t cookie[8];
#define VPC_COOKIE          "conectix"
#define VPC_COOKIE_POISON   "v_poison"      /* put out of use by Xen's tools */
#define VPC_COOKIE_PART     "unfinish"      /* ours: has only a part of what it is to have */
    uint8_t features[4];
#define VPC_FEATURES        2               /* always set */
    uint8_t version[4];
#define VPC_VERSION         0x00010000
    uint8_t data_offset[8];                 /* of the header; all ones in a fixed image */
    uint8_t timestamp[4];                   /* of creation: seconds since */
#define VPC_EPOCH           946684800       /* 2000-01-01 00:00 UTC, as Unix time */
    uint8_t creator[4];
    uint8_t creator_version[4];
    uint8_t creator_os[4];
    uint8_t original_size[8];               /* bytes, when created */
    uint8_t current_size[8];                /* bytes */
    uint8_t cylinders[2];
#define VPC_MAX_CYLINDERS   65535
    uint8_t heads;
#define VPC_MAX_HEADS       16
    uint8_t sectors;                        /* a track */
#define VPC_MAX_SECTORS     255
    uint8_t type[4];
#define VPC_FIXED           2
#define VPC_DYNAMIC         3
#define VPC_DIFFERENCING    4
    uint8_t checksum[4];                    /* ~sum of all other bytes */
    uint8_t uuid[16];
    uint8_t saved_state;                    /* 1: a suspended machine refers to the disk */
    uint8_t hidden;                         /* Xen's; reserved elsewhere */
    uint8_t reserved[426];                  /* zero, except where others keep things of their own */
} VpcFooter;

#define VPC_FOOTER_OLD      511             /* its length before Virtual PC 2004: no last byte */

typedef struct VpcLocator {
    uint8_t code[4];                        /* 0: unused */
    uint8_t space[4];                       /* bytes, or sectors if less than 512 */
    uint8_t length[4];                      /* bytes */
    uint8_t reserved[4];
    uint8_t offset[8];
} VpcLocator;

/* Of dynamic and differencing images; there is no second copy */
typedef struct VpcHeader {
    uint8_t cookie[8];
#define VPC_HEADER_COOKIE   "cxsparse"
    uint8_t data_offset[8];                 /* unused, all ones */
    uint8_t table_offset[8];                /* of the BAT */
    uint8_t version[4];
#define VPC_HEADER_VERSION  0x00010000
    uint8_t entries[4];                     /* of the BAT */
    uint8_t block_size[4];
    uint8_t checksum[4];
    uint8_t parent_uuid[16];
    uint8_t parent_timestamp[4];
    uint8_t reserved1[4];
    uint8_t parent_name[512];               /* UTF-16, big-endian */
    VpcLocator locators[8];
    uint8_t reserved2[256];
} VpcHeader;

/* The BAT: 32 bits a block, the sector where its bitmap begins, its data behind that; or this */
#define VPC_UNUSED          0xffffffff
/* so the last sector that a file may use is */
#define VPC_LAST_SECTOR     0xfffffffe

/* Xen's, one sector behind the BAT of images whose creator is "tap": which blocks are there in full */
typedef struct VpcBatmap {
    uint8_t cookie[8];
#define VPC_BATMAP_COOKIE   "tdbatmap"
    uint8_t offset[8];                      /* of the map, in bytes */
    uint8_t sectors[4];                     /* its length */
    uint8_t version[4];
#define VPC_BATMAP_VERSION  0x00010002
    uint8_t checksum[4];                    /* ~sum of the map */
    uint8_t rest[484];
} VpcBatmap;

#define VPC_MAX_SIZE        (2040LL << 30)  /* of a disk: 0xff000000 sectors */
#define VPC_MAX_BLOCK       (256 << 20)

_Static_assert(sizeof(VpcFooter) == 512, "VHD footer");
_Static_assert(offsetof(VpcFooter, checksum) == 64, "VHD footer checksum");
_Static_assert(sizeof(VpcHeader) == 1024, "VHD header");
_Static_assert(offsetof(VpcHeader, checksum) == 36, "VHD header checksum");
_Static_assert(offsetof(VpcHeader, locators) == 576, "VHD parent locators");
_Static_assert(sizeof(VpcBatmap) == 512, "tapdisk batmap header");

#endif
