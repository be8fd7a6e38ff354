/* img.c - miniblk-img: the table of the commands, and main(). The commands are those of qemu-img */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-progress.h"
#include "tools/img.h"

static const struct ImgCommand {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "amend", img_amend }, { "bench", img_bench }, { "bitmap", img_bitmap }, { "check", img_check },
    { "commit", img_commit }, { "compare", img_compare }, { "convert", img_convert }, { "create", img_create },
    { "dd", img_dd }, { "info", img_info }, { "map", img_map }, { "measure", img_measure }, { "rebase", img_rebase },
    { "resize", img_resize }, { "snapshot", img_snapshot },
};

static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!strcmp(argv[0], commands[i].name)) {
            img_args_begin(commands[i].name);
            return commands[i].run(argc, argv);
        }
    }
    img_usage_error("Command not found: %s", argv[0]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        IMG_HELP_OPTION, { "version", 0, NULL, 'V' }, { "trace", 1, NULL, 'T' }, { 0 }
    };
    int status;

    tool_init(argv[0]);
    img_progress_answer_signals();
    while ((status = img_getopt(argc, argv, "+:hT:V", options)) != -1) {
        if (status == 'T') {
            tool_error("--trace is not supported: there are no trace points");
            return EXIT_FAILURE;
        }
        tool_print_version();
        return EXIT_SUCCESS;
    }
    if (optind >= argc) {
        img_usage_error("Not enough arguments");
    }
    status = run_command(argc - optind, argv + optind);
    if (fflush(stdout) || ferror(stdout)) {
        tool_error("could not write to standard output: %s", g_strerror(errno));
        return status ? status : EXIT_FAILURE;
    }
    return status;
}
