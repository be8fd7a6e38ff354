/* img-help.c - miniblk-img help: the list of the commands, and a page for each */
/* SPDX-License-Identifier: MIT
 *
 * completion.bash reads what is printed here, and io.c's text: options, and the words that stand for their values. */
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-help.h"

#define WIDTH 79                /* of a line, in characters */
#define COLUMN 24               /* where the texts of options begin */
#define LIST_COLUMN 12          /* where the texts of commands begin */

typedef struct Word {
    const char *form, *text;
} Word;

typedef struct Page {
    const char *name;
    const char *line;           /* the purpose of the command, for the list */
    const char *usage;
    Word words[20];             /* the last has no form */
    const char *example;
} Page;

#define FORMAT  { "-f fmt", "the image's format, vpc for example; guessed if not given" }
#define OPTS    { "--image-opts", "filename is a list of options: driver=vpc,file.filename=a.vhd" }
#define SHARE   { "-U, --force-share", "do not lock the image against other programs" }
#define QUIET   { "-q", "print errors only" }
#define PROGRESS { "-p", "show progress, also where it is not on a terminal" }
#define CACHE   { "-t cache", "how to write: writeback, writethrough, none, directsync, killsafe, unsafe" }
#define SOURCE_CACHE { "-T src_cache", "how to read: writeback, none and the like" }
#define OUTPUT  { "--output=ofmt", "human (default) or json" }
#define RATE    { "-r rate_limit", "bytes per second" }

static const Page pages[] = {
    { "amend", "change id, creator, time or geometry of an image in place",
      "[--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options filename",
      { { "-o options", "name=value,...; '-f vpc -o help' lists them" },
        { "--force", "change the unique id although a child knows the image by it" },
        FORMAT, OPTS, CACHE, QUIET, { "-p", "accepted" } },
      "amend -f vpc -o geometry=1023/16/63 disk.vhd" },
    { "bench", "how long many requests take",
      "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] [-o offset] "
      "[--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] filename",
      { { "-c count", "requests in all (default 75000)" }, { "-d depth", "requests at a time (default 64)" },
        { "-s buffer_size", "bytes of each (default 4096)" }, { "-S step_size", "from one to the next" },
        { "-o offset", "of the first" }, { "-w", "write, and not read" }, { "--pattern=pattern", "write this byte" },
        { "--flush-interval=n", "flush after so many writes" }, { "--no-drain", "do not wait for them before" },
        FORMAT, OPTS, CACHE, QUIET, SHARE, { "-n, -i aio", "accepted" } },
      "bench -f vpc -c 10000 -d 1 disk.vhd" },
    { "bitmap", "for scripts: no format has dirty bitmaps",
      "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F source_fmt]] "
      "[-g granularity] [--image-opts | -f fmt] filename bitmap",
      { { "--merge, --add, --remove, --clear, --enable, --disable", "accepted, before it fails" },
        { "-b, -F, -g, --force-share", "accepted" }, FORMAT, OPTS }, NULL },
    { "check", "find damage in an image, and repair it",
      "[--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T src_cache] [-U] [--backing-chain] filename",
      { { "-r leaks|all", "repair what only takes up space, or all that can be repaired" },
        { "--backing-chain", "check its parents, too" }, OUTPUT, FORMAT, OPTS, SOURCE_CACHE, QUIET, SHARE },
      "check -f vpc -r leaks disk.vhd" },
    { "commit", "write what a child has of its own into its parent",
      "[--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] [-p] filename",
      { { "-b base", "the image of the chain that is written to; the parent if not given" },
        { "-d", "accepted: a child is never emptied" }, RATE, FORMAT, OPTS, CACHE, PROGRESS, QUIET },
      "commit -f vpc child.vhd" },
    { "compare", "compare the bytes of two images",
      "[--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] filename1 filename2",
      { { "-f fmt, -F fmt", "formats of the first and the second image; guessed if not given" },
        { "-s", "sizes and what is allocated must be the same, too" }, OPTS, SOURCE_CACHE, PROGRESS, QUIET, SHARE },
      "compare -f vpc -F raw disk.vhd disk.raw" },
    { "convert", "copy an image into a new one, in the same or another format",
      "[--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] [-U] [-C] [-c] [-p] [-q] [-n] [-f fmt] "
      "[-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] "
      "[-S sparse_size] [-r rate_limit] [-m num_workers] [-W] [--salvage] filename [filename2 [...]] output_filename",
      { { "-f fmt, -O output_fmt", "formats of input (guessed if not given) and output (default raw)" },
        { "-o options", "of the output: name=value,...; '-O vpc -o help' lists them" },
        { "--salvage", "read all that can be read of a damaged image; zeroes elsewhere" },
        { "-B backing_file", "make a child of this image, of the bytes that differ; -F: its format" },
        { "-n", "the output exists already; --target-is-zero: and it reads as zeroes" },
        { "--target-image-opts", "output_filename is a list of options; needs -n" },
        { "-S sparse_size", "shorter runs of zeroes are written as data (default 4k); 0: all are" },
        { "-m num_workers", "threads, 1 to 16 (default 2)" }, { "-W", "write in any order" },
        RATE, CACHE, SOURCE_CACHE, OPTS, PROGRESS, QUIET, SHARE, { "-C", "accepted" },
        { "-c, -l, --bitmaps", "no format has compression, snapshots, bitmaps" } },
      "convert -O vpc -o subformat=fixed,for=azure disk.raw disk.vhd" },
    { "create", "make an image that reads as zeroes, or a child of another",
      "[-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] filename [size]",
      { { "-f fmt", "its format (default raw)" },
        { "-b backing_file", "the parent, as from the new image's folder; -F: its format" },
        { "-o options", "name=value,...; '-f vpc -o help' lists them" },
        { "size", "bytes, or with a suffix k, M, G, T, P or E; the parent's if not given" },
        QUIET, { "-u", "accepted" } },
      "create -f vpc -b base.vhd child.vhd" },
    { "dd", "copy all of an image, or a part of it",
      "[--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] [skip=blocks] if=input of=output",
      { { "if=input, of=output", "the images" }, { "bs=block_size", "unit of count and skip (default 512)" },
        { "count=blocks", "of the input: where to end" }, { "skip=blocks", "of the input: where to begin" },
        { "-f fmt, -O output_fmt", "formats of input (guessed if not given) and output (default raw)" }, OPTS, SHARE },
      "dd -f vpc -O raw bs=1M count=64 if=disk.vhd of=start.raw" },
    { "info", "print the format, size and other facts of an image",
      "[--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename",
      { { "--backing-chain", "of its parents, too" }, OUTPUT, FORMAT, OPTS, SHARE }, "info --backing-chain child.vhd" },
    { "map", "where the data of an image is",
      "[--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] filename",
      { { "--start-offset=offset", "where to begin (default 0)" }, { "--max-length=len", "how far to go" },
        OUTPUT, FORMAT, OPTS, SHARE }, "map -f vpc --output=json disk.vhd" },
    { "measure", "how long the file of an image would be",
      "[--output=ofmt] [-O output_fmt] [-o options] [--size N | [--image-opts] [-f fmt] [-l snapshot_param] filename]",
      { { "--size N", "of an empty disk of that size" }, { "-O output_fmt", "in this format (default raw)" },
        { "-o options", "with these create options" }, OUTPUT, FORMAT, OPTS,
        SHARE, { "-l snapshot_param", "no format has any" } },
      "measure -O vpc -o subformat=fixed disk.raw" },
    { "rebase", "give an image another parent, or none",
      "[--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] -b backing_file [-F backing_fmt] filename",
      { { "-b backing_file", "the new parent, as from the image's folder; \"\": none; -F: its format" },
        { "-u", "change the names only: the parent was moved or copied" }, FORMAT, OPTS, CACHE,
        { "-T src_cache", "how to read the parents" }, PROGRESS, QUIET, SHARE },
      "rebase -u -f vpc -b store/base.vhd child.vhd" },
    { "resize", "make a disk longer or shorter",
      "[--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [-o options] [--shrink] filename [+ | -]size",
      { { "size", "bytes, or with a suffix k, M, G, T, P or E; +, -: more, or less" },
        { "--shrink", "the disk may become shorter, and lose the bytes behind its end" },
        { "-o options", "for=azure, for example, as to create" },
        { "--preallocation=prealloc", "of the added bytes: off (default), falloc or full" }, FORMAT, OPTS, QUIET },
      "resize -f vpc disk.vhd +10G" },
    { "snapshot", "for scripts: no format has snapshots inside",
      "[--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | -d snapshot] filename",
      { { "-l", "list them: there are none" }, { "-a, -c, -d snapshot", "accepted, before it fails" },
        OPTS, QUIET, SHARE },
      NULL },
};

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Return the length of the first word of @text. Text in brackets is one word if it fits in @most */
static int word_length(const char *text, int most)
{
    int depth = 0, n = 0;

    for (; text[n] && (text[n] != ' ' || depth > 0); n++) {
        depth += (text[n] == '[' || text[n] == '(') - (text[n] == ']' || text[n] == ')');
    }
    return n <= most ? n : (int)strcspn(text, " ");
}

/* Print @text in lines that begin at @column. The first line already has @at characters */
static void print_wrapped(const char *text, int at, int column)
{
    bool first = true;

    for (int n; *text; text += n + (text[n] == ' ')) {
        n = word_length(text, WIDTH - column);
        if (at > column && at + 1 + n > WIDTH && column + n <= WIDTH) {
            tool_print("\n%*s", column, "");
            at = column;
        } else if (!first) {
            tool_print(" ");
            at++;
        }
        tool_print("%.*s", n, text);
        at += n;
        first = false;
    }
    tool_print("\n");
}

static void print_row(const char *form, const char *text, int column)
{
    int length = (int)strlen(form) + 2;

    tool_print("  %s", form);
    if (length >= column) {
        tool_print("\n");
        length = 0;
    }
    tool_print("%*s", column - length, "");
    print_wrapped(text, column, column);
}

static void print_formats(void)
{
    static const char head[] = "Supported formats: ";
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    char *modules = bdrv_module_names();
    g_auto(GStrv) more = g_strsplit(modules, " ", -1);
    const BlockDriver *drv = NULL;

    while ((drv = bdrv_next_driver(drv)) != NULL) {
        g_ptr_array_add(names, (gpointer)drv->name);
    }
    for (char **name = more; *name; name++) {
        g_ptr_array_add(names, *name);
    }
    free(modules);
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    g_autofree char *list = g_strjoinv(" ", (char **)names->pdata);

    tool_print("\n%s", head);
    print_wrapped(list, (int)strlen(head), tool_is_qemu ? WIDTH + 1 : (int)strlen(head));   /* QEMU: in one line */
}

/* Print all commands, each with a line. QEMU's line has the whole usage */
static void print_list(void)
{
    tool_print("usage: %s [-h | --help] [-V | --version] command [command options]\n\nCommands:\n", tool_name);
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (tool_is_qemu) {
            tool_print("  %s %s\n", pages[i].name, pages[i].usage);
        } else {
            print_row(pages[i].name, pages[i].line, LIST_COLUMN);
        }
    }
    if (!tool_is_qemu) {
        tool_print("\n'%s command --help' has the options of a command, and an example.\n", tool_name);
    }
    print_formats();
}

/* Print the page of @command, which must be in the table */
static void print_page(const char *command)
{
    const Page *page = pages;

    while (strcmp(page->name, command)) {
        page++;
    }
    tool_print("usage: %s %s ", tool_name, page->name);
    print_wrapped(page->usage, (int)(strlen("usage:  ") + strlen(tool_name) + strlen(page->name)), 4);
    tool_print("\n%c%s.\n\n", g_ascii_toupper(*page->line), page->line + 1);
    for (const Word *word = page->words; word->form; word++) {
        print_row(word->form, word->text, COLUMN);
    }
    print_row("-h, --help", "print this", COLUMN);
    if (page->example) {
        tool_print("\nExample:\n  %s %s\n", tool_name, page->example);
    }
}

void img_print_help(const char *command)
{
    if (tool_is_qemu) {
        tool_print_version();
    }
    if (command && !tool_is_qemu) {
        print_page(command);
    } else {
        print_list();
    }
}
