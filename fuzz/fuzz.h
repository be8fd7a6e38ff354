/* fuzz.h - what the fuzz targets share: inputs, a disk in memory, images made of bytes, a guard on files */
/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>
#include <miniblk/block.h>

/* Each target has these two; main.c and the fuzzers call them */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A finding: say so and abort */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* With FUZZ_VERBOSE in the environment: what is being done, to see how a finding came about */
void fuzz_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is left of an input; zeroes behind its end */
typedef struct FuzzInput {
    const uint8_t *at;
    size_t left;
} FuzzInput;

uint8_t fuzz_u8(FuzzInput *in);
uint32_t fuzz_number(FuzzInput *in, int bytes);     /* big-endian */
char *fuzz_text(FuzzInput *in, size_t bytes);       /* up to a NUL; g_free() it */

/* Bytes that tell who wrote them and where they belong */
void fuzz_fill(uint8_t *buf, int64_t at, int64_t bytes, unsigned stamp);
bool fuzz_is_zero(const uint8_t *buf, int64_t bytes);

enum { FUZZ_READ = 1, FUZZ_WRITE = 2, FUZZ_FLUSH = 4, FUZZ_TRUNCATE = 8 };

/* Storage that takes nothing outside its size for an answer. Pages that hold zeroes take no memory */
typedef struct FuzzDisk {
    int64_t size;
    int64_t limit;              /* it never grows beyond */
    bool fixed;                 /* it has no truncate function, */
    bool read_only;             /* no write function */
    unsigned writes;            /* how many there were, with truncates */
    unsigned fail_kinds;        /* FUZZ_READ…: these fail, */
    int fail_after;             /* but so many are let pass first, */
    int fail_count;             /* and then so many fail; 0: none */
    unsigned failed;            /* how many did */
    uint8_t **pages;
    size_t count;
} FuzzDisk;

void fuzz_disk_load(FuzzDisk *disk, const uint8_t *data, int64_t size);     /* the rest of @disk stays */
void fuzz_disk_clear(FuzzDisk *disk);
BlockStorage fuzz_disk_storage(FuzzDisk *disk);

/* An input for an image of anybody's: this much of control, then the image */
#define FUZZ_SETUP_BYTES 16
typedef struct FuzzSetup {
    uint8_t driver, flags, repair, rule, align, offset, cache;
    uint8_t gap_fill, fail, limit;
    uint16_t gap_at, gap;       /* sectors */
    uint8_t extra[2];
} FuzzSetup;

enum {                          /* flags */
    FUZZ_RDWR         = 1 << 0,
    FUZZ_UNMAP        = 1 << 1,
    FUZZ_WRITETHROUGH = 1 << 2,
    FUZZ_NO_BACKING   = 1 << 3,
    FUZZ_FIXED_DISK   = 1 << 4,
    FUZZ_READ_ONLY    = 1 << 5,
    FUZZ_PARENT       = 1 << 6, /* base.raw is the parent, whatever the image says */
    FUZZ_SNAPSHOT     = 1 << 7,
};

enum {                          /* repair: before it is opened, */
    FUZZ_SUM_ENDS   = 1 << 0,   /* footers get the checksums that they should have, */
    FUZZ_SUM_HEADER = 1 << 1,   /* and the header */
    FUZZ_COPY_HEAD  = 1 << 2,   /* the footer at the end is the one at the start, */
    FUZZ_ADD_TAIL   = 1 << 3,   /* behind all the rest */
    FUZZ_SHORT_TAIL = 1 << 4,   /* of 511 bytes */
};

FuzzSetup fuzz_take_setup(FuzzInput *in);
void fuzz_make_disk(FuzzDisk *disk, const FuzzSetup *setup, FuzzInput in);
/* By the setup's flags, without those in @drop, and with those in @add */
BlockDriverState *fuzz_open_disk(FuzzDisk *disk, const FuzzSetup *setup, unsigned drop, unsigned add, GError **errp);

/* Checksums of what looks like a footer or header */
void fuzz_vhd_repair(uint8_t *image, size_t size, unsigned repair);

/* Where the image begins in an input of this target, for the mutator */
size_t fuzz_image_at(const uint8_t *data, size_t size);

/* All that can be asked of an image, within bounds: nothing of it may crash, and answers agree with each other */
void fuzz_look_at(BlockDriverState *bs);

/* A folder for the files of a run, with "in", "in/sub", "out" and "base.raw" there; it goes at exit */
extern char *fuzz_folder;
#define FUZZ_BASE_BYTES 65536
#define FUZZ_BASE_STAMP 77
void fuzz_make_folder(void);
void fuzz_put_file(const char *name, const uint8_t *data, size_t size);

/* While it is on, the library gets no file outside a folder, and finds none to write to but below */
typedef struct FuzzGuard {
    bool on;
    const char *inside;         /* the folder, symbolic links resolved */
    bool strict;                /* to ask for a file outside is a finding; else it gets EACCES */
    unsigned outside, written;  /* how often it asked for such, and for one to write to */
} FuzzGuard;
extern FuzzGuard fuzz_guard;

#endif
