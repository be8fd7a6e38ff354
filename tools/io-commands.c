/* io-commands.c - the table of the commands of miniblk-io, help, and running a line */
/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <glib.h>
#include "tools/io.h"

bool io_quit_wanted;

const IoCommand *io_find_command(const char *name)
{
    for (const IoCommand *cmd = io_commands; cmd->name; cmd++) {
        if (!strcmp(name, cmd->name) || (cmd->alt && !strcmp(name, cmd->alt))) {
            return cmd;
        }
    }
    return NULL;
}

static bool cmd_help(const IoCommand *cmd, int argc, char **argv)
{
    if (argc > 1) {
        const IoCommand *asked = io_find_command(argv[1]);

        if (!asked) {
            tool_print("command %s not found\n", argv[1]);
            return false;
        }
        io_print_usage(asked);
        tool_print("%s", asked->help ? asked->help : "");
        return true;
    }
    for (const IoCommand *each = io_commands; each->name; each++) {
        io_print_usage(each);
    }
    tool_print("\nUse 'help commandname' for extended help.\n");
    return true;
}

static bool cmd_quit(const IoCommand *cmd, int argc, char **argv)
{
    io_quit_wanted = true;
    return true;
}

static bool check_argument_count(const IoCommand *cmd, const char *name, int count)
{
    if (count >= cmd->min && (cmd->max < 0 || count <= cmd->max)) {
        return true;
    }
    tool_print_error("bad argument count %d to %s, expected ", count, name);
    if (cmd->max < 0) {
        tool_print_error("at least %d arguments\n", cmd->min);
    } else if (cmd->min == cmd->max) {
        tool_print_error("%d arguments\n", cmd->min);
    } else {
        tool_print_error("between %d and %d arguments\n", cmd->min, cmd->max);
    }
    return false;
}

static bool run_words(int argc, char **argv)
{
    const IoCommand *cmd = io_find_command(argv[0]);

    if (!cmd) {
        tool_print_error("command \"%s\" not found\n", argv[0]);
        return false;
    }
    if ((cmd->flags & IO_NEEDS_IMAGE) && !io_bs) {
        tool_print_error("no file open, try 'help open'\n");
        return false;
    }
    if (!check_argument_count(cmd, argv[0], argc - 1)) {
        return false;
    }
    if ((cmd->flags & IO_WRITES) && bdrv_is_read_only(io_bs)) {
        tool_error("Block node is read-only");
        return false;
    }
    optind = 0;                     /* makes glibc's getopt() start again */
    return cmd->run(cmd, argc, argv);
}

/* Run a line. Spaces separate its words, and there are no quotes */
bool io_run_line(const char *line)
{
    g_autofree char *copy = g_strdup(line);
    GPtrArray *words = g_ptr_array_new();
    char *rest;
    bool ok = true;

    const char *between = tool_is_qemu ? " " : " \t";

    for (char *word = strtok_r(copy, between, &rest); word; word = strtok_r(NULL, between, &rest)) {
        g_ptr_array_add(words, word);
    }
    g_ptr_array_add(words, NULL);
    if (words->len > 1) {
        ok = run_words((int)words->len - 1, (char **)words->pdata);
    }
    g_ptr_array_free(words, TRUE);
    fflush(stdout);
    return ok;
}

#define REPORT_HELP \
    "  -C          report in a form for programs: bytes,requests,time,bytes/s,requests/s\n" \
    "  -q          no report\n"
#define READ_HELP \
    "  -P pattern  fail if not all bytes are this one\n" \
    "  -v          print the bytes\n" REPORT_HELP
#define WRITE_HELP \
    "  -P pattern  the byte to write; 0xcd if not given\n" \
    "  -f          on stable storage before it is reported done\n" REPORT_HELP
#define ZERO_HELP \
    "  -z          write zeroes, as a request for zeroes\n" \
    "  -u          with -z: space may be given back\n"
#define AIO_HELP \
    "Does not wait for the result, which is printed when it is there; aio_flush waits.\n" \
    "  -i          do not send it: an invalid request\n"
#define OPEN_HELP \
    "  -r          for reading only\n" \
    "  -s          write to a scratch file over the image\n" \
    "  -C          accepted for images without a parent\n" \
    "  -n          the same as -t none\n" \
    "  -t cache    writeback, writethrough (default), none, directsync, unsafe or killsafe\n" \
    "  -d discard  unmap or on (default): discards give space back; ignore or off\n" \
    "  -i aio, -k  accepted: requests always run on threads\n" \
    "  -U          do not lock the image; needs -r\n" \
    "  -o options  such as driver=vpc,file.driver=file\n"

#define BREAK_HELP \
    "For aio_read and aio_write; others would stop for good. The image must be on a blkdebug\n" \
    "node; its events are read_aio, write_aio, pwritev, pwritev_zero, pwritev_done,\n" \
    "flush_to_os, flush_to_disk, pwritev_rmw_head, pwritev_rmw_after_head, pwritev_rmw_tail\n" \
    "and pwritev_rmw_after_tail. Who is stopped is still inside the image: others may have to\n" \
    "wait for it.\n"

#define CHANGES (IO_NEEDS_IMAGE | IO_WRITES)

const IoCommand io_commands[] = {
    { "abort", NULL, io_cmd_abort, 0, 0, 0, NULL, "end as in a crash: nothing is flushed or closed", NULL },
    { "aio_flush", NULL, io_cmd_aio_flush, 0, 0, IO_NEEDS_IMAGE, NULL, "wait for all aio_read and aio_write",
      "Fails if one of them has failed.\n" },
    { "aio_read", NULL, io_cmd_aio_read, 2, -1, IO_NEEDS_IMAGE, "[-Ciqv] [-P pattern] off len [len..]",
      "readv in the background", AIO_HELP READ_HELP },
    { "aio_write", NULL, io_cmd_aio_write, 2, -1, CHANGES, "[-Cfiquz] [-P pattern] off len [len..]",
      "writev in the background", AIO_HELP ZERO_HELP WRITE_HELP },
    { "alloc", "a", io_cmd_alloc, 1, 2, IO_NEEDS_IMAGE, "off [len]",
      "count the bytes that this image has, not a parent", NULL },
    { "break", NULL, io_cmd_break, 2, 2, IO_NEEDS_IMAGE, "event tag",
      "stop the next request that comes to an event, and call it tag", BREAK_HELP },
    { "close", "c", io_cmd_close, 0, 0, IO_NEEDS_IMAGE, NULL, "close the image", NULL },
    { "discard", "d", io_cmd_discard, 2, -1, CHANGES, "[-Cq] off len", "tell that bytes are no longer needed",
      REPORT_HELP },
    { "flush", "f", io_cmd_flush, 0, 0, IO_NEEDS_IMAGE, NULL, "bring all writes to stable storage", NULL },
    { "help", "?", cmd_help, 0, 1, 0, "[command]", "all commands, or more about one", NULL },
    { "info", "i", io_cmd_info, 0, 0, IO_NEEDS_IMAGE, NULL, "the format of the image", NULL },
    { "length", "l", io_cmd_length, 0, 0, IO_NEEDS_IMAGE, NULL, "the length of the image", NULL },
    { "map", NULL, io_cmd_map, 0, 0, IO_NEEDS_IMAGE, NULL, "what this image has, and what its parent", NULL },
    { "open", "o", io_cmd_open, 1, -1, 0, "[-rsCnkU] [-t cache] [-d discard] [-i aio] [-o options] [file]",
      "open an image", OPEN_HELP },
    { "quit", "q", cmd_quit, 0, -1, 0, NULL, "close the image and end", NULL },
    { "read", "r", io_cmd_read, 2, -1, IO_NEEDS_IMAGE, "[-bCpqv] [-P pattern [-s off] [-l len]] off len",
      "read bytes", READ_HELP
      "  -s off      look for the pattern from this byte on, of those that were read\n"
      "  -l len      look for the pattern in so many bytes\n"
      "  -b          from the state of a virtual machine: no format has any\n"
      "  -p          ignored\n" },
    { "readv", NULL, io_cmd_readv, 2, -1, IO_NEEDS_IMAGE, "[-Cqv] [-P pattern] off len [len..]",
      "read bytes into several buffers", READ_HELP },
    { "remove_break", NULL, io_cmd_remove_break, 1, 1, IO_NEEDS_IMAGE, "tag",
      "remove a breakpoint; requests stopped by it go on", NULL },
    { "reopen", NULL, io_cmd_reopen, 0, -1, IO_NEEDS_IMAGE, "[(-r|-w)] [-c cache] [-o options]",
      "close the image and open it in another way",
      "  -r          for reading only\n"
      "  -w          for writing, too\n"
      "  -c cache    as -t of open\n"
      "  -o options  in addition to those that it has, or instead\n" },
    { "resume", NULL, io_cmd_resume, 1, 1, IO_NEEDS_IMAGE, "tag", "let a request that was stopped go on", NULL },
    { "sigraise", NULL, io_cmd_sigraise, 1, 1, 0, "signal", "send a signal to this program",
      "By its number. Of most signals it dies, and nothing is flushed or closed.\n" },
    { "sleep", NULL, io_cmd_sleep, 1, 1, 0, "ms", "wait, in milliseconds", NULL },
    { "truncate", "t", io_cmd_truncate, 1, 3, CHANGES, "[-m mode] len", "change the length of the image",
      "  -m mode     off (default): added bytes get no space in the file; nothing else is supported\n" },
    { "wait_break", NULL, io_cmd_wait_break, 1, 1, IO_NEEDS_IMAGE, "tag", "wait until a request is stopped",
      "Fails if none is running any more, or after a minute.\n" },
    { "write", "w", io_cmd_write, 2, -1, CHANGES, "[-bcCfnpquz] [-P pattern | -s file] off len",
      "write bytes", ZERO_HELP
      "  -n          with -z: fail where zeroes would have to be written out\n" WRITE_HELP
      "  -s file     the bytes to write, from the start again where they end\n"
      "  -b          to the state of a virtual machine: no format has any\n"
      "  -c          compressed: no format can\n"
      "  -p          ignored\n" },
    { "writev", NULL, io_cmd_writev, 2, -1, CHANGES, "[-Cfq] [-P pattern] off len [len..]",
      "write bytes from several buffers", WRITE_HELP },
    { NULL }
};
