/* check.c - fuzz target: checks any bytes as an image, repairs it, and checks again */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "fuzz.h"

#define COMPARED 16384      /* bytes of the disk that are compared before and after */

/* The first bytes of the disk, as far as they can be read */
typedef struct Contents {
    bool opened;
    int64_t size;
    uint8_t bytes[COMPARED], known[COMPARED / 512];
} Contents;

size_t fuzz_image_at(const uint8_t *data, size_t size)
{
    return MIN(size, FUZZ_SETUP_BYTES);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_folder();
    return 0;
}

static void learn(FuzzDisk *disk, const FuzzSetup *s, Contents *c)
{
    BlockDriverState *bs = fuzz_open_disk(disk, s, BDRV_O_RDWR | BDRV_O_SNAPSHOT, 0, NULL);

    c->opened = bs != NULL;
    c->size = bs ? MIN(bdrv_getlength(bs), COMPARED) : 0;
    for (int64_t at = 0; at < c->size; at += 512) {
        c->known[at / 512] = bdrv_pread(bs, at, c->bytes + at, MIN(512, c->size - at), 0) == 0;
    }
    bdrv_close(bs);
}

static void compare(const Contents *before, const Contents *after)
{
    FUZZ_CHECK(after->opened || !before->opened);
    FUZZ_CHECK(after->size == before->size || !before->opened);
    for (int64_t at = 0; at < before->size; at += 512) {
        if (before->known[at / 512]) {
            FUZZ_CHECK(after->known[at / 512]);
            FUZZ_CHECK(!memcmp(before->bytes + at, after->bytes + at, (size_t)MIN(512, before->size - at)));
        }
    }
}

/* Return how many findings were repaired, and check the numbers */
static int64_t look_at(const BlockCheck *check, unsigned fix)
{
    int64_t repaired = 0;

    for (int i = 0; i < check->count; i++) {
        const BlockFinding *f = &check->findings[i];

        fuzz_say("%s: %s: %d, fix %u, repaired %d\n", f->code, f->name, (int)f->count, f->fix, (int)f->fixed);
        FUZZ_CHECK(*f->code && *f->name && f->count >= 0 && f->fixed >= 0 && f->count + f->fixed > 0);
        FUZZ_CHECK(f->fixed == 0 || fix);
        for (int j = 0; j < f->cases_count; j++) {
            FUZZ_CHECK(*f->cases[j].text);
        }
        repaired += f->fixed;
    }
    return repaired;
}

/* Check and repair. Return how many findings were repaired; -1: it failed */
static int64_t run(FuzzDisk *disk, const FuzzSetup *s, unsigned fix)
{
    GError *err = NULL;
    BlockDriverState *bs = fuzz_open_disk(disk, s, BDRV_O_RDWR | BDRV_O_SNAPSHOT | BDRV_O_NO_BACKING,
                                          BDRV_O_CHECK | (fix ? BDRV_O_RDWR : 0), &err);
    BlockCheck *check = bs ? bdrv_check(bs, fix, &err) : NULL;

    FUZZ_CHECK(!check == !!err);
    FUZZ_CHECK(check || *bdrv_error_message(err));
    fuzz_say("fix %u: %s\n", fix, err ? bdrv_error_message(err) : "done");
    int64_t repaired = check ? look_at(check, fix) : -1;

    bdrv_check_free(check);
    bdrv_error_free(err);
    return bdrv_close(bs) < 0 ? -1 : repaired;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Contents before, after;
    FuzzInput in = { data, size };
    FuzzSetup setup = fuzz_take_setup(&in);
    unsigned fix = setup.extra[0] & (BDRV_CHECK_FIX_LEAKS | BDRV_CHECK_FIX_ERRORS);
    FuzzDisk disk;

    setup.driver = setup.driver % 4 == 3 ? 3 : 0;
    fuzz_make_disk(&disk, &setup, in);
    int faults = disk.fail_count;

    disk.fail_count = 0;
    fuzz_guard.on = true;
    learn(&disk, &setup, &before);
    run(&disk, &setup, 0);
    FUZZ_CHECK(disk.writes == 0);
    disk.fail_count = faults;
    int64_t repaired = fix && !disk.read_only ? run(&disk, &setup, fix) : -1;

    disk.fail_count = 0;
    learn(&disk, &setup, &after);
    /* Each kind is repaired once in a run, and may uncover findings of another kind; but this must come to an end */
    for (int i = 0; repaired > 0; i++) {
        FUZZ_CHECK(i < 20);
        repaired = run(&disk, &setup, fix);
    }
    if (!(fix & BDRV_CHECK_FIX_ERRORS)) {
        compare(&before, &after);
    }
    FUZZ_CHECK(after.opened || !before.opened);
    fuzz_guard.on = false;
    fuzz_disk_clear(&disk);
    return 0;
}
