/* hidden.c - a program that loads the library for itself alone, as a plugin may: modules see it all the same */
/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <stdio.h>
#include <miniblk/block.h>

int main(int argc, char **argv)
{
    void *library = dlopen("libminiblk.so.0", RTLD_NOW | RTLD_LOCAL);
    GError *err = NULL;

    if (!library || argc < 2) {
        puts(library ? "no options are given" : dlerror());
        return 1;
    }
    __typeof__(bdrv_open) *open_image;
    __typeof__(bdrv_error_message) *message;

    *(void **)&open_image = dlsym(library, "bdrv_open");
    *(void **)&message = dlsym(library, "bdrv_error_message");
    BlockDriverState *bs = open_image(NULL, argv[1], 0, &err);

    puts(bs ? "open" : message(err));
    return 0;
}
