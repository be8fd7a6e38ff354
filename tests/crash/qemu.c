/* qemu.c - qemu-io at work on an image, over QEMU's own log of writes */
/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include <sys/wait.h>
#include "block/filter/blklogwrites.h"
#include "qemu.h"
#include "util/le.h"

#define PROMPT "qemu-io> "

struct Qemu {
    GPid pid;
    int in, out;                /* its standard input and output */
    char *log;
    bool failed;                /* a command did, which is its exit status, too */
};

bool qemu_is_there(void)
{
    g_autofree char *path = g_find_program_in_path("qemu-io");

    return path != NULL;
}

/* Up to the next prompt; or all there is, where it ends. g_free() it */
static char *read_answer(Qemu *q)
{
    GString *text = g_string_new(NULL);
    char buf[4096];
    ssize_t got;

    while (!g_str_has_suffix(text->str, PROMPT) && (got = read(q->out, buf, sizeof(buf))) > 0) {
        g_string_append_len(text, buf, got);
    }
    return g_string_free(text, FALSE);
}

/* Nothing is really flushed, as it is the log that counts; its head is true after each entry */
static char *node_options(const char *file, const char *log, const char *above, bool append)
{
    const char *key = above ? "file.image" : "file";

    return g_strdup_printf("driver=vpc,%s%s%s.driver=blklogwrites,%s.file.driver=file,%s.file.filename=%s,"
                           "%s.file.cache.no-flush=on,%s.log.driver=file,%s.log.filename=%s,"
                           "%s.log.cache.no-flush=on,%s.log-super-update-interval=1,%s.log-append=%s",
                           above ? above : "", above ? "," : "", key, key, key, file, key, key, key, log, key, key, key,
                           append ? "on" : "off");
}

Qemu *qemu_open(const char *file, const char *log, const char *above, bool append)
{
    g_autofree char *options = node_options(file, log, above, append);
    const char *const argv[] = { "qemu-io", "-t", "writeback", "-d", "unmap", "--image-opts", options, NULL };
    const GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD;
    Qemu *q = g_new0(Qemu, 1);
    GError *err = NULL;

    q->log = g_strdup(log);
    if (!append && !g_file_set_contents(log, "", 0, &err)) {
        g_error("%s", err->message);
    }
    if (!g_spawn_async_with_pipes(NULL, (char **)argv, NULL, flags, NULL, NULL, &q->pid, &q->in, &q->out, NULL, &err)) {
        g_error("qemu-io can't be run: %s", err->message);
    }
    g_autofree char *answer = read_answer(q);
    if (!g_str_has_suffix(answer, PROMPT)) {
        g_error("qemu-io does not open '%s': %s", file, answer);
    }
    return q;
}

static void send_line(Qemu *q, const char *line)
{
    size_t length = strlen(line);

    if (write(q->in, line, length) != (ssize_t)length) {
        g_error("qemu-io is gone");
    }
}

/* NULL: it failed */
static char *ask(Qemu *q, const char *command)
{
    g_autofree char *line = g_strconcat(command, "\n", NULL);

    send_line(q, line);
    char *answer = read_answer(q);

    if (!g_str_has_suffix(answer, PROMPT)) {
        g_error("qemu-io ends after '%s': %s", command, answer);
    }
    if (strstr(answer, "failed")) {
        q->failed = true;
        g_clear_pointer(&answer, g_free);
    }
    return answer;
}

bool qemu_do(Qemu *q, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *command = g_strdup_vprintf(format, args), *answer = ask(q, command);
    va_end(args);
    return answer != NULL;
}

/* Lines of an offset, a colon, up to 16 bytes in hex, and what is to be read by people */
bool qemu_read(Qemu *q, int64_t offset, uint8_t *buf, int64_t bytes)
{
    g_autofree char *command = g_strdup_printf("read -v %" PRId64 " %" PRId64, offset, bytes), *answer = NULL;
    int64_t at = 0;

    if (bytes == 0) {
        return true;
    }
    answer = ask(q, command);
    for (char *line = answer; line && (line = strchr(line, ':')) && at < bytes; line = strchr(line, '\n')) {
        line++;
        for (int i = 0; i < 16 && at < bytes; i++) {
            buf[at++] = (uint8_t)g_ascii_strtoull(line, &line, 16);
        }
    }
    if (answer && at < bytes) {
        g_error("qemu-io shows %" PRId64 " bytes only: %s", at, answer);
    }
    return answer != NULL;
}

void qemu_close(Qemu *q)
{
    int status;

    send_line(q, "quit\n");
    g_autofree char *answer = read_answer(q);
    close(q->in);
    close(q->out);
    if (waitpid(q->pid, &status, 0) != q->pid || (status && !q->failed)) {
        g_error("qemu-io ends with status %d: %s", status, answer);
    }
    g_spawn_close_pid(q->pid);
    g_free(q->log);
    g_free(q);
}

/* Its head is not there before the first of them */
uint64_t qemu_entries(const Qemu *q)
{
    LogWritesSuper super = { { 0 } };
    int fd = open(q->log, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, &super, sizeof(super)) < 0) {
        g_error("the log of qemu-io can't be read");
    }
    close(fd);
    return le64_load(super.entries);
}
