/* poke.c - opens an image, does what the command line says to it, and reports in JSON, a line a fact */
/* SPDX-License-Identifier: MIT
 *
 * poke [-cpuw] [-o options] image [command ...]
 *   -c  over storage that counts accesses outside of itself     -p  guess the format
 *   -w  for writing, too                                        -u  discards give space back
 * commands
 *   scan:OFFSET:BYTES:PIECE     read in pieces: runs of one byte or one errno, as [bytes, byte or -errno]
 *   dump:FILE:PIECE             read all of it in pieces, into a file
 *   write:OFFSET:BYTES:VALUE    zero:OFFSET:BYTES    discard:OFFSET:BYTES    flush
 *   status:OFFSET:BYTES         runs of bytes that are alike, as [bytes, data, zero]
 *   again:FLAGS                 open it once more in this process, with these flags, and close that again
 *   hold                        say so, and go on when standard input ends
 *   crash                       end at once, without closing
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <miniblk/block.h>

#define SECTOR 512
#define MAX_PIECE (1 << 20)
#define MAX_RUNS 256            /* more are not printed: contents that are not runs, then */

/* A file as storage of the caller's own */
typedef struct Storage {
    int fd;
    _Atomic int64_t size;
    atomic_uint strays;         /* requests that were not inside of it */
} Storage;

typedef struct Run {
    int64_t bytes;
    int value;                  /* of all its bytes; or -errno */
} Run;

typedef struct Scan {
    unsigned count;
    Run runs[MAX_RUNS];
} Scan;

static const char *image_name, *image_options;
static uint8_t buffer[MAX_PIECE];

static void print_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        if ((unsigned char)*text < ' ') {
            printf("\\u%04x", (unsigned char)*text);
        } else {
            putchar(*text);
        }
    }
    putchar('"');
}

static int storage_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    Storage *s = user;

    if (offset < 0 || bytes < 0 || offset > s->size || bytes > s->size - offset) {
        s->strays++;
        return -EIO;
    }
    return pread(s->fd, buf, (size_t)bytes, offset) == bytes ? 0 : -EIO;
}

static int storage_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    Storage *s = user;

    if (offset < 0 || bytes < 0 || offset > s->size || bytes > s->size - offset) {
        s->strays++;
        return -EIO;
    }
    return pwrite(s->fd, buf, (size_t)bytes, offset) == bytes ? 0 : -EIO;
}

static int storage_truncate(void *user, int64_t size)
{
    Storage *s = user;

    if (ftruncate(s->fd, size) < 0) {
        return -errno;
    }
    s->size = size;
    return 0;
}

static BlockDriverState *open_storage(Storage *s, unsigned flags, GError **errp)
{
    bool write = flags & BDRV_O_RDWR;
    struct stat st;

    s->fd = open(image_name, write ? O_RDWR : O_RDONLY);
    if (s->fd < 0 || fstat(s->fd, &st) < 0) {
        perror(image_name);
        exit(2);
    }
    s->size = st.st_size;
    BlockStorage storage = { st.st_size, s, storage_read, write ? storage_write : NULL, NULL,
                             write ? storage_truncate : NULL };

    return bdrv_open_storage(&storage, image_options, flags, errp);
}

static bool report_open(BlockDriverState *bs, GError *err)
{
    if (!bs) {
        printf("{\"error\": ");
        print_text(bdrv_error_message(err));
        printf(", \"errno\": %d}\n", bdrv_error_code(err));
        bdrv_error_free(err);
        return false;
    }
    printf("{\"size\": %" PRId64 ", \"driver\": ", bdrv_getlength(bs));
    print_text(bdrv_get_driver_name(bs));
    printf("}\n");
    return true;
}

static void scan_add(Scan *scan, int64_t bytes, int value)
{
    Run *last = scan->count && scan->count <= MAX_RUNS ? &scan->runs[scan->count - 1] : NULL;

    if (last && last->value == value) {
        last->bytes += bytes;
    } else if (scan->count < MAX_RUNS) {
        scan->runs[scan->count++] = (Run) { bytes, value };
    } else {
        scan->count = MAX_RUNS + 1;
    }
}

static void scan_bytes(Scan *scan, const uint8_t *buf, int64_t bytes)
{
    if (!memcmp(buf, buf + 1, (size_t)bytes - 1)) {
        scan_add(scan, bytes, buf[0]);
        return;
    }
    for (int64_t i = 0; i < bytes; i++) {
        scan_add(scan, 1, buf[i]);
    }
}

/* What can't be read in one piece may be readable in part */
static void scan_piece(BlockDriverState *bs, Scan *scan, int64_t offset, int64_t bytes)
{
    int64_t sector = SECTOR - offset % SECTOR;
    int ret = bdrv_pread(bs, offset, buffer, bytes, 0);

    if (ret == 0) {
        scan_bytes(scan, buffer, bytes);
    } else if (bytes <= sector) {
        scan_add(scan, bytes, ret);
    } else {
        for (int64_t end = offset + bytes; offset < end; offset += sector) {
            sector = SECTOR - offset % SECTOR;
            sector = sector < end - offset ? sector : end - offset;
            scan_piece(bs, scan, offset, sector);
        }
    }
}

static int run_scan(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t piece)
{
    int64_t end = bytes < bdrv_getlength(bs) - offset ? offset + bytes : bdrv_getlength(bs);
    Scan scan = { 0 };

    for (; offset < end; offset += piece) {
        scan_piece(bs, &scan, offset, piece < end - offset ? piece : end - offset);
    }
    printf("{\"runs\": [");
    for (unsigned i = 0; i < scan.count && i < MAX_RUNS; i++) {
        printf("%s[%" PRId64 ", %d]", i ? ", " : "", scan.runs[i].bytes, scan.runs[i].value);
    }
    printf("], \"more\": %s}\n", scan.count > MAX_RUNS ? "true" : "false");
    return 0;
}

static int run_dump(BlockDriverState *bs, const char *name, int64_t piece)
{
    int64_t size = bdrv_getlength(bs);
    FILE *out = fopen(name, "wb");
    int ret = out ? 0 : -errno;

    for (int64_t at = 0, n; at < size && ret == 0; at += n) {
        n = piece < size - at ? piece : size - at;
        ret = bdrv_pread(bs, at, buffer, n, 0);
        if (ret == 0 && fwrite(buffer, 1, (size_t)n, out) != (size_t)n) {
            ret = -EIO;
        }
    }
    return out && fclose(out) != 0 ? -EIO : ret;
}

static int run_write(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t value)
{
    int ret = 0;

    memset(buffer, (int)value, sizeof(buffer));
    for (int64_t n; bytes > 0 && ret == 0; offset += n, bytes -= n) {
        n = bytes < MAX_PIECE ? bytes : MAX_PIECE;
        ret = bdrv_pwrite(bs, offset, buffer, n, 0);
    }
    return ret;
}

static int run_status(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t end = offset + bytes;
    const char *comma = "";
    int ret = 0;

    printf("{\"status\": [");
    for (BlockStatus st; offset < end && ret == 0; offset += st.bytes) {
        st = (BlockStatus) { 0 };
        ret = bdrv_block_status(bs, offset, end - offset, 0, &st);
        printf("%s[%" PRId64 ", %d, %d]", comma, st.bytes, st.data, st.zero);
        comma = ", ";
    }
    printf("]}\n");
    return ret;
}

static int run_again(unsigned flags)
{
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(image_name, image_options, flags, &err);

    report_open(bs, err);
    return bdrv_close(bs);
}

static int run_hold(void)
{
    printf("{\"held\": true}\n");
    fflush(stdout);
    while (getchar() != EOF) {
        continue;
    }
    return 0;
}

static int run(BlockDriverState *bs, const char *command)
{
    int64_t a = 0, b = 0, c = 0;
    char name[1024] = "";

    if (sscanf(command, "scan:%" SCNi64 ":%" SCNi64 ":%" SCNi64, &a, &b, &c) == 3 && c > 0 &&
        c <= MAX_PIECE) {
        return run_scan(bs, a, b, c);
    }
    if (sscanf(command, "dump:%1023[^:]:%" SCNi64, name, &a) == 2 && a > 0 && a <= MAX_PIECE) {
        return run_dump(bs, name, a);
    }
    if (sscanf(command, "write:%" SCNi64 ":%" SCNi64 ":%" SCNi64, &a, &b, &c) == 3) {
        return run_write(bs, a, b, c);
    }
    if (sscanf(command, "zero:%" SCNi64 ":%" SCNi64, &a, &b) == 2) {
        return bdrv_pwrite_zeroes(bs, a, b, 0);
    }
    if (sscanf(command, "discard:%" SCNi64 ":%" SCNi64, &a, &b) == 2) {
        return bdrv_pdiscard(bs, a, b);
    }
    if (sscanf(command, "status:%" SCNi64 ":%" SCNi64, &a, &b) == 2) {
        return run_status(bs, a, b);
    }
    if (sscanf(command, "again:%" SCNi64, &a) == 1) {
        return run_again((unsigned)a);
    }
    if (!strcmp(command, "hold")) {
        return run_hold();
    }
    if (!strcmp(command, "flush")) {
        return bdrv_flush(bs);
    }
    fprintf(stderr, "poke: what is '%s'?\n", command);
    exit(2);
}

static void run_all(BlockDriverState *bs, char **commands)
{
    for (; *commands; commands++) {
        if (!strcmp(*commands, "crash")) {
            fflush(stdout);
            _exit(0);
        }
        int ret = run(bs, *commands);

        printf("{\"command\": ");
        print_text(*commands);
        printf(", \"ret\": %d}\n", ret);
        fflush(stdout);
    }
}

static void report_warnings(BlockDriverState *bs)
{
    const char *text;

    printf("{\"warnings\": [");
    for (unsigned n = 0; (text = bdrv_get_warning(bs, n)) != NULL; n++) {
        printf("%s", n ? ", " : "");
        print_text(text);
    }
    printf("]}\n");
}

/* The most memory that this process had so far; getrusage() would count its parent's, too */
static long peak_kilobytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long peak = -1;

    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "VmHWM: %ld", &peak);
    }
    if (f) {
        fclose(f);
    }
    return peak;
}

static unsigned parse_options(int argc, char **argv, bool *checked)
{
    unsigned flags = 0;
    int c;

    while ((c = getopt(argc, argv, "cpuwo:")) != -1) {
        switch (c) {
        case 'c': *checked = true;          break;
        case 'p': flags |= BDRV_O_PROBE;    break;
        case 'u': flags |= BDRV_O_UNMAP;    break;
        case 'w': flags |= BDRV_O_RDWR;     break;
        case 'o': image_options = optarg;   break;
        default:  exit(2);
        }
    }
    if (optind >= argc) {
        fprintf(stderr, "usage: %s [-cpuw] [-o options] image [command ...]\n", argv[0]);
        exit(2);
    }
    image_name = argv[optind];
    return flags;
}

int main(int argc, char **argv)
{
    bool checked = false;
    unsigned flags = parse_options(argc, argv, &checked);
    Storage storage = { .fd = -1 };
    GError *err = NULL;
    BlockDriverState *bs = checked ? open_storage(&storage, flags, &err)
                                   : bdrv_open(image_name, image_options, flags, &err);
    bool ok = report_open(bs, err);

    if (ok) {
        run_all(bs, argv + optind + 1);
        report_warnings(bs);
    }
    printf("{\"close\": %d}\n", bdrv_close(bs));
    printf("{\"strays\": %u, \"peak\": %ld}\n", storage.strays, peak_kilobytes());
    if (storage.fd >= 0) {
        close(storage.fd);
    }
    return 0;
}
