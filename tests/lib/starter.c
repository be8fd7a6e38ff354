/* starter.c - keeps a program loaded and forks it for each run, as loading it costs more than most runs of it do */
/* SPDX-License-Identifier: MIT
 *
 * A library for LD_PRELOAD. With MINIBLK_STARTER=SOCKET in the environment the program listens there in place of
 * running main(), and says "ready". Each connection is one run, which start.c or harness.py ask for:
 *
 *   request    a packet: the folder to run in, the number of arguments, the arguments, the environment, each ended by
 *              a zero byte; with it standard input, output and error as file descriptors
 *   answer     a packet: the status as waitpid() gives it, an int
 *
 * The fork is before the program's own constructors run; those of its libraries have run. Whoever hangs up ends his
 * run. The program ends when its standard input does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { MOST_RUNS = 64, MOST_WORDS = 4096, LISTENER = 0, LIFE = 1, FIRST_RUN = 2 };

static struct pollfd fds[FIRST_RUN + MOST_RUNS];
static pid_t pids[FIRST_RUN + MOST_RUNS];
static nfds_t count = FIRST_RUN;
static char request[256 << 10];
static char *words[MOST_WORDS + 2];     /* arguments, NULL, environment, NULL */

typedef int Main(int argc, char **argv, char **environment);
typedef int Start(Main *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
                  void *stack_end);

__attribute__((visibility("default"))) Start __libc_start_main;

static void die(const char *what)
{
    perror(what);
    _exit(3);
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (strlen(name) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        die(name);
    }
    strcpy(address.sun_path, name);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, MOST_RUNS) < 0) {
        die(name);
    }
    return fd;
}

/* Returns the length of the request, or -1; @standard are the three file descriptors that came with it */
static ssize_t receive(int fd, int standard[3])
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct iovec iov = { request, sizeof(request) - 1 };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t length = recvmsg(fd, &message, 0);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    if (length <= 0 || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || !head ||
        head->cmsg_len != CMSG_LEN(3 * sizeof(int))) {
        return -1;
    }
    memcpy(standard, CMSG_DATA(head), 3 * sizeof(int));
    return length;
}

/* Fills words from the request, and returns the number of arguments */
static int take_words(ssize_t length)
{
    char *at = request + strlen(request) + 1, *end = request + length;
    int argc = atoi(at), n = 0;

    for (at += strlen(at) + 1; at < end && n < MOST_WORDS; at += strlen(at) + 1) {
        if (n == argc) {
            words[n++] = NULL;
        }
        words[n++] = at;
    }
    words[n] = words[n + 1] = NULL;
    return argc;
}

static void become(const int standard[3])
{
    sigset_t none;

    for (int i = 0; i < 3; i++) {
        dup2(standard[i], i);
        close(standard[i]);
    }
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd > 2) {
            close(fds[i].fd);
        }
    }
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(request) < 0) {
        die(request);
    }
}

/* Accepts a run. Returns its number of arguments in the process that is to be it, and 0 in this one */
static int accept_run(void)
{
    int fd = accept4(fds[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC), standard[3];
    ssize_t length = fd < 0 ? -1 : receive(fd, standard);

    if (length < 0) {
        close(fd);
        return 0;
    }
    fds[count] = (struct pollfd) { .fd = fd };
    pids[count++] = fork();
    if (pids[count - 1] == 0) {
        become(standard);
        return take_words(length);
    }
    for (int i = 0; i < 3; i++) {
        close(standard[i]);
    }
    return 0;
}

static void forget_run(nfds_t i)
{
    close(fds[i].fd);
    fds[i] = fds[--count];
    pids[i] = pids[count];
}

static void report_ends(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (nfds_t i = FIRST_RUN; i < count; i++) {
            if (pids[i] == pid) {
                send(fds[i].fd, &status, sizeof(status), MSG_NOSIGNAL);
                forget_run(i);
                break;
            }
        }
    }
}

static void end_abandoned(void)
{
    for (nfds_t i = FIRST_RUN; i < count; i++) {
        if (fds[i].revents) {
            kill(pids[i], SIGKILL);
            fds[i].fd = -fds[i].fd - 1;         /* poll() does not look at it again */
        }
    }
}

static void wake(int signal)
{
    (void)signal;
}

/* Returns in each new process, with the number of its arguments */
static int serve(const char *name)
{
    sigset_t waiting, usual;
    int argc = 0;

    fds[LISTENER] = (struct pollfd) { .fd = listen_at(name), .events = POLLIN };
    fds[LIFE] = (struct pollfd) { .fd = 0 };
    sigaction(SIGCHLD, &(struct sigaction) { .sa_handler = wake }, NULL);
    sigemptyset(&waiting);
    sigaddset(&waiting, SIGCHLD);
    sigprocmask(SIG_BLOCK, &waiting, &usual);
    if (write(1, "ready\n", 6) != 6) {
        die("ready");
    }
    while (!argc) {
        fds[LISTENER].events = count < FIRST_RUN + MOST_RUNS ? POLLIN : 0;
        int ready = ppoll(fds, count, NULL, &usual);

        if (ready > 0 && fds[LIFE].revents) {
            _exit(0);
        }
        if (ready > 0) {
            end_abandoned();
        }
        report_ends();
        if (ready > 0 && fds[LISTENER].revents) {
            argc = accept_run();
        }
    }
    return argc;
}

/* Runs in place of glibc's function of that name, which calls main() */
int __libc_start_main(Main *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end)
{
    Start *start = (Start *)dlsym(RTLD_NEXT, "__libc_start_main");
    const char *name = getenv("MINIBLK_STARTER");

    if (name) {
        argc = serve(name);
        argv = words;
        environ = words + argc + 1;
    }
    return start(main, argc, argv, init, fini, rtld_fini, stack_end);
}
