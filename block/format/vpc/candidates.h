/* candidates.h - VHD: where a differencing disk's parent may be, as its own file tells */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_PARENT_H
#define BLOCK_VPC_PARENT_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/on-disk.h"

/* How names of another host are turned into paths of this one */
typedef struct VpcParentRules {
    const char *drives;         /* "C=/mnt/c;D=/data": folders for drive letters; NULL: none */
    const char *search;         /* "/a:/b": folders to look for the last part of each name in; NULL: none */
    bool exact;                 /* do not list folders to find a name in other case, last of all */
    const char *root;           /* nothing outside of this folder is looked at; NULL: there is no such folder */
    const char *real;           /* the child's path without symbolic links; NULL: @root is, too, and its name tells */
} VpcParentRules;

/* False if the drive map is not of that form; vpc_parent_candidates() leaves out what is not */
bool vpc_check_parent_rules(const VpcParentRules *rules, GError **errp);

/* Entries of a folder that are compared with a name in other case */
#define VPC_PARENT_ENTRIES 100000

/* One place to look at, and who says so */
typedef struct VpcCandidate {
    char *path;                 /* of this host */
    size_t ours;                /* so many bytes of @path are a folder of the user's; the image named the rest */
    bool exact;                 /* nothing was done to the name */
    bool below;                 /* that folder is the one to look in, and not one that ".." leads to, or the root */
    bool cut;                   /* not to be opened: a folder that has more entries than are looked at */
    char *name;                 /* what led to it, as it is written there, but with '/', and without "./" */
    char *source;               /* "W2ru locator", "header's name", for messages */
} VpcCandidate;

/* The data of the eight locators, as they are on disk; an entry is NULL where the slot is unused, of an
 * unknown kind, not to be believed, or can't be read (a warning says why) */
typedef struct VpcLocatorData {
    uint32_t code;
    GBytes *bytes;
} VpcLocatorData;

enum { VPC_LOCATORS = 8 };

/* "W2ru locator"; NULL: there is no such kind */
const char *vpc_locator_name(uint32_t code);

void vpc_read_locators(BlockDriverState *bs, const VpcHeader *header, VpcLocatorData out[VPC_LOCATORS]);
void vpc_free_locators(VpcLocatorData locators[VPC_LOCATORS]);

/* A parent's names as they are written, in UTF-8. g_free() them */
char *vpc_locator_text(const VpcLocatorData *locator);
char *vpc_header_name(const VpcHeader *header);

/* Where the parent of the image @child may be, in the order in which the places are to be tried; each path
 * once. No place is opened. @child "": it is no file, so nothing is relative to it. Never NULL; elements are
 * VpcCandidate *, freed with the array. */
GPtrArray *vpc_parent_candidates(const VpcHeader *header, const VpcLocatorData locators[VPC_LOCATORS],
                                 const char *child, const VpcParentRules *rules);

/* The same for the open image @bs, by its options; @exact as in VpcParentRules */
GPtrArray *vpc_parent_places(BlockDriverState *bs, const VpcLocatorData locators[VPC_LOCATORS], bool exact);

/* The last part of each name that the image has for its parent, in that order, each once. Elements are
 * char *, freed with the array, and NULL at its end. */
GPtrArray *vpc_parent_names(const VpcHeader *header, const VpcLocatorData locators[VPC_LOCATORS]);

/* What to write into a child so that others find @parent: both are paths of this host, @parent as the user
 * gave it. Fills the name in @header, and in *@out the data of W2ku, W2ru and MacX, in this order; the
 * caller unrefs them. On failure there is nothing in *@out to free. */
bool vpc_describe_parent(const char *child, const char *parent, VpcHeader *header, VpcLocatorData out[3],
                         GError **errp);

/* @parent as the user of @child names it, as a path: it is relative to the folder of @child. g_free() it */
char *vpc_parent_path(const char *child, const char *parent);

/* What the file @child is to remember of @parent, an open image: its id, its age, and as vpc_describe_parent()
 * its names */
bool vpc_remember_parent(const char *child, BlockDriverState *parent, VpcHeader *header, VpcLocatorData out[3],
                         GError **errp);

#define VPC_LOCATOR_ALIGN 4096          /* where their data begins, as Windows has it */

/* How many bytes a locator takes */
int64_t vpc_locator_space(const VpcLocatorData *locator);
/* Its data to @at, and its entry into @header; *@end is where its space ends. 0 or -errno */
int vpc_write_locator(BlockDriverState *bs, VpcHeader *header, unsigned slot, const VpcLocatorData *locator,
                      int64_t at, int64_t *end);

/* The codes of the locators, big-endian on disk */
enum {
    VPC_LOCATOR_W2RU = 0x57327275,
    VPC_LOCATOR_W2KU = 0x57326b75,
    VPC_LOCATOR_WI2R = 0x57693272,
    VPC_LOCATOR_WI2K = 0x5769326b,
    VPC_LOCATOR_MAC  = 0x4d616320,
    VPC_LOCATOR_MACX = 0x4d616358,
};

#endif
