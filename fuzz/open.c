/* open.c - fuzz target: opens any bytes as an image, reads, writes a little, opens again */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "fuzz.h"

size_t fuzz_image_at(const uint8_t *data, size_t size)
{
    return MIN(size, FUZZ_SETUP_BYTES);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_folder();
    return 0;
}

/* Write to the first bytes, or to the last */
static void change(BlockDriverState *bs, const FuzzSetup *s)
{
    uint8_t buf[1500];
    int64_t size = bdrv_getlength(bs);
    int64_t at = MIN((int64_t)s->extra[0] << (s->extra[1] % 16), size), bytes = MIN(size - at, (int64_t)sizeof(buf));

    fuzz_fill(buf, at, bytes, s->extra[0]);
    bool put = bdrv_pwrite(bs, at, buf, bytes, s->extra[1] & 16 ? BDRV_REQ_FUA : 0) == 0;
    uint8_t got[sizeof(buf)];

    if (put && bdrv_pread(bs, at, got, bytes, 0) == 0) {
        FUZZ_CHECK(!memcmp(buf, got, (size_t)bytes));
    }
    bdrv_pwrite_zeroes(bs, MAX(0, size - 700), MIN(size, 700), BDRV_REQ_MAY_UNMAP);
    bdrv_pdiscard(bs, at / 2, MIN(size - at / 2, 3000));
    bdrv_flush(bs);
}

/* Open again: this must succeed after an open and a close without error */
static void again(FuzzDisk *disk, const FuzzSetup *s, int closed)
{
    GError *err = NULL;

    if (closed < 0 || disk->failed) {
        return;
    }
    disk->fail_count = 0;
    BlockDriverState *bs = fuzz_open_disk(disk, s, BDRV_O_RDWR | BDRV_O_SNAPSHOT, 0, &err);

    FUZZ_CHECK(bs || err);
    FUZZ_CHECK(bs != NULL);
    bdrv_close(bs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    FuzzSetup setup = fuzz_take_setup(&in);
    FuzzDisk disk;
    GError *err = NULL;

    fuzz_make_disk(&disk, &setup, in);
    fuzz_guard.on = true;
    BlockDriverState *bs = fuzz_open_disk(&disk, &setup, 0, 0, &err);

    FUZZ_CHECK(!bs == !!err);
    if (bs) {
        fuzz_look_at(bs);
        FUZZ_CHECK(disk.writes == 0 || !bdrv_is_read_only(bs));
        bool write = !bdrv_is_read_only(bs);

        if (write) {
            change(bs, &setup);
            fuzz_look_at(bs);
        }
        int closed = bdrv_close(bs);

        FUZZ_CHECK(write || (closed == 0 && disk.writes == 0));
        again(&disk, &setup, closed);
    } else {
        FUZZ_CHECK(*bdrv_error_message(err) && bdrv_error_code(err) > 0 && disk.writes == 0);
    }
    fuzz_guard.on = false;
    bdrv_error_free(err);
    fuzz_disk_clear(&disk);
    return 0;
}
