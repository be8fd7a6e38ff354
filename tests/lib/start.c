/* start.c - has a program run that starter.c keeps loaded: one more run of it, as if this process were it */
/* SPDX-License-Identifier: MIT
 *
 * Called by the program's name, with the folder of its socket in MINIBLK_STARTERS: the socket has that name, too.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static char request[256 << 10];
static size_t length;

static void die(const char *what)
{
    perror(what);
    exit(125);
}

static void add(const char *word)
{
    size_t n = strlen(word) + 1;

    if (n > sizeof(request) - length) {
        fprintf(stderr, "start: too many arguments\n");
        exit(125);
    }
    memcpy(request + length, word, n);
    length += n;
}

static int connect_to(const char *folder, const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        die(address.sun_path);
    }
    return fd;
}

static void ask(int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control = { .head = { CMSG_LEN(3 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
    struct iovec iov = { request, length };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof(control) };

    memcpy(CMSG_DATA(&control.head), (int[]) { 0, 1, 2 }, 3 * sizeof(int));
    if (sendmsg(fd, &message, 0) < 0) {
        die("start");
    }
}

/* Ends as the run did, and leaves the dumping of core to it */
static int end_like(int status)
{
    if (WIFSIGNALED(status)) {
        setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 });
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}

int main(int argc, char **argv, char **environment)
{
    const char *folder = getenv("MINIBLK_STARTERS"), *slash = strrchr(argv[0], '/');
    char number[16], *here = getcwd(NULL, 0);
    int status, fd;

    if (!folder || !here) {
        die("start: MINIBLK_STARTERS");
    }
    fd = connect_to(folder, slash ? slash + 1 : argv[0]);
    snprintf(number, sizeof(number), "%d", argc);
    add(here);
    add(number);
    for (int i = 0; i < argc; i++) {
        add(argv[i]);
    }
    for (char **entry = environment; *entry; entry++) {
        add(*entry);
    }
    ask(fd);
    if (recv(fd, &status, sizeof(status), 0) != sizeof(status)) {
        fprintf(stderr, "start: the program is gone\n");
        return 125;
    }
    return end_like(status);
}
