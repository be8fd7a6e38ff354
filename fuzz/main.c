/* main.c - runs a fuzz target as an ordinary program: on each file named, and on each file of a folder */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include "fuzz.h"

static unsigned inputs;

static void run_file(const char *path)
{
    g_autofree char *data = NULL;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, NULL)) {
        fprintf(stderr, "%s: could not be read\n", path);
        exit(2);
    }
    fuzz_say("%s\n", path);
    /* a copy of exact length, so that a sanitizer sees reads past its end */
    uint8_t *copy = g_memdup2(data, size);

    LLVMFuzzerTestOneInput(copy, size);
    g_free(copy);
    inputs++;
}

static void run_folder(GDir *dir, const char *path)
{
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        run_file(file);
    }
}

int main(int argc, char **argv)
{
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        GDir *dir = g_dir_open(argv[i], 0, NULL);

        if (dir) {
            run_folder(dir, argv[i]);
            g_dir_close(dir);
        } else {
            run_file(argv[i]);
        }
    }
    printf("%u inputs\n", inputs);
    return inputs ? 0 : 2;
}
