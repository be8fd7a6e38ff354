/* cost.c - runs a command, and prints its cost: wall and CPU seconds, peak memory in KiB */
/* SPDX-License-Identifier: MIT */
/*
 * The peak memory of a process begins with that of the process that forked it, so a small program is needed here.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(long whole, long micro)
{
    return (double)whole + (double)micro / 1e6;
}

int main(int argc, char **argv)
{
    struct timespec start, end;
    struct rusage usage;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", argv[argc - 1], (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) {
        return 127;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    dprintf(3, "%f %f %ld\n", seconds(end.tv_sec - start.tv_sec, (end.tv_nsec - start.tv_nsec) / 1000),
            seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec, usage.ru_utime.tv_usec + usage.ru_stime.tv_usec),
            usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}
