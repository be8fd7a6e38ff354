/* io.c - miniblk-io: the options of the command line, and main(). It sends single requests, as qemu-io does */
/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include "tools/io.h"

static const char help_text[] =
    "  -c, --cmd COMMAND      run a command; may be given more than once. Without it,\n"
    "                         commands are read from standard input, one a line\n"
    "  -f, --format FORMAT    the image's format; guessed if it is not given\n"
    "  --image-opts           FILE is a list of options, such as driver=vpc,file.filename=a.vhd\n"
    "  -r, --read-only        open the image for reading only\n"
    "  -t, --cache MODE       writeback, writethrough (default), none, directsync, unsafe or killsafe\n"
    "  -n, --nocache          the same as -t none\n"
    "  -d, --discard MODE     unmap or on (default): discards give space back; ignore or off\n"
    "  -i, --aio MODE         threads, native or io_uring: all of them are threads here\n"
    "  -k, --native-aio       the same as -i native\n"
    "  -m, --misalign         use memory at odd addresses\n"
    "  -C, --copy-on-read     accepted for images without a parent\n"
    "  -s, --snapshot         write to a scratch file over the image, thrown away at the end\n"
    "  -U, --force-share      do not lock the image against other programs; needs -r\n"
    "  -h, --help             this text\n"
    "  -V, --version          the version\n"
    "\n"
    "'help' is the command that lists the commands.\n";

enum { OPT_IMAGE_OPTS = 256, OPT_OBJECT };

static const struct option long_options[] = {
    { "aio",          required_argument, NULL, 'i' },
    { "cache",        required_argument, NULL, 't' },
    { "cmd",          required_argument, NULL, 'c' },
    { "copy-on-read", no_argument,       NULL, 'C' },
    { "discard",      required_argument, NULL, 'd' },
    { "force-share",  no_argument,       NULL, 'U' },
    { "format",       required_argument, NULL, 'f' },
    { "help",         no_argument,       NULL, 'h' },
    { "image-opts",   no_argument,       NULL, OPT_IMAGE_OPTS },
    { "misalign",     no_argument,       NULL, 'm' },
    { "native-aio",   no_argument,       NULL, 'k' },
    { "nocache",      no_argument,       NULL, 'n' },
    { "object",       required_argument, NULL, OPT_OBJECT },
    { "read-only",    no_argument,       NULL, 'r' },
    { "snapshot",     no_argument,       NULL, 's' },
    { "trace",        required_argument, NULL, 'T' },
    { "version",      no_argument,       NULL, 'V' },
    { NULL }
};

typedef struct Settings {
    IoOpenArgs image;
    bool image_opts;
    GPtrArray *commands;            /* of char *, not owned */
} Settings;

static void print_help(void)
{
    tool_print("usage: %s [OPTION]... [-c COMMAND]... [FILE]\n"
               "Send single requests to a disk image, and say what came of them.\n\n%s", tool_name, help_text);
}

/* Refuse an option that only qemu-io has. Always false */
static bool refuse_option(int c)
{
    switch (c) {
    case 'T':
        tool_error("--trace is not supported: there are no trace points");
        break;
    case OPT_OBJECT:
        tool_error("--object is not supported: no driver takes any");
        break;
    default:                        /* getopt() has printed the error */
        tool_print_error("Try '%s --help' for more information\n", tool_name);
    }
    return false;
}

static bool take_option(Settings *s, int c)
{
    bool ok = true;

    if (io_take_open_option(&s->image, c, &ok)) {
        return ok;
    }
    switch (c) {
    case 'c':
        g_ptr_array_add(s->commands, optarg);
        return true;
    case 'f':
        s->image.format = optarg;
        return true;
    case 'm':
        io_misalign = true;
        return true;
    case OPT_IMAGE_OPTS:
        s->image_opts = true;
        return true;
    default:
        return refuse_option(c);
    }
}

static bool take_filename(Settings *s, int argc, char **argv)
{
    if (argc - optind > 1) {
        tool_error("one image at a time: '%s' is one too many", argv[optind + 1]);
        return false;
    }
    if (s->image_opts && s->image.format) {
        tool_error("--image-opts and -f are mutually exclusive");
        return false;
    }
    *(s->image_opts ? &s->image.options : &s->image.filename) = argv[optind];
    return true;
}

/* Read the options. --help and --version end the program */
static bool parse_options(Settings *s, int argc, char **argv)
{
    int c;

    while ((c = getopt_long(argc, argv, "c:Cd:f:hi:kmnrst:T:UV", long_options, NULL)) != -1) {
        if (c == 'h') {
            print_help();
            exit(EXIT_SUCCESS);
        }
        if (c == 'V') {
            tool_print_version();
            exit(EXIT_SUCCESS);
        }
        if (!take_option(s, c)) {
            return false;
        }
    }
    return take_filename(s, argc, argv);
}

static bool run_commands(const GPtrArray *commands)
{
    bool ok = true;

    for (guint i = 0; i < commands->len && !io_quit_wanted; i++) {
        ok &= io_run_line(commands->pdata[i]);
    }
    return ok;
}

static bool run_input(void)
{
    bool ok = true, prompt = tool_is_qemu || isatty(STDIN_FILENO);
    char *line = NULL;
    size_t size = 0;

    while (!io_quit_wanted) {
        if (prompt) {
            tool_print("%s> ", tool_name);
            fflush(stdout);
        }
        ssize_t length = getline(&line, &size, stdin);

        if (length < 0 && ferror(stdin)) {
            tool_error("could not read standard input: %s", g_strerror(errno));
            ok = false;
        }
        if (length < 0) {
            break;
        }
        line[strcspn(line, "\n")] = '\0';
        ok &= io_run_line(line);
    }
    free(line);
    return ok;
}

static bool run(const Settings *s, bool has_image)
{
    bool ok;

    if (has_image && !io_open_image(&s->image)) {
        return false;
    }
    ok = s->commands->len ? run_commands(s->commands) : run_input();
    return io_close_image() && ok;
}

int main(int argc, char **argv)
{
    Settings s = { .image.flags = IO_OPEN_FLAGS };
    bool ok;

    tool_init(argv[0]);
    signal(SIGUSR1, SIG_IGN);           /* a signal for miniblk-img may reach its whole process group */
    if (argc > 0) {
        argv[0] = (char *)tool_name;        /* messages of getopt() begin with it */
    }
    s.commands = g_ptr_array_new();
    ok = parse_options(&s, argc, argv) && run(&s, s.image.filename || s.image.options);
    g_ptr_array_free(s.commands, TRUE);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        tool_error("standard output: write error");
        ok = false;
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
