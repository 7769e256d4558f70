/* SPDX-License-Identifier: MIT */
/*
 * How far two clocks are from each other. "clock say COUNT": COUNT lines "T SECONDS.NANOSECONDS",
 * one every 20 ms. "clock hear FILE COUNT": reads COUNT such lines that come to the end of FILE,
 * and prints the least and the most by which our clock is ahead of them, in ms. What is said takes
 * its time to be heard, so the least is near the truth.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int say(long count)
{
    for (long i = 0; i < count; i++) {
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        (void)printf("T %ld.%09ld\n", (long)t.tv_sec, t.tv_nsec);
        (void)fflush(stdout);
        (void)usleep(20000);
    }
    return 0;
}

/* The next line; waits for it for at most ten seconds. */
static int next_line(int fd, char *line, size_t size)
{
    size_t n = 0;

    for (int tries = 0; tries < 20000;) {
        ssize_t got = read(fd, line + n, 1);

        if (got < 1) {
            tries++;
            (void)usleep(500);
        } else if (line[n] == '\n') {
            line[n] = 0;
            return 0;
        } else if (n + 2 < size) {
            n++;
        }
    }
    return -1;
}

static int hear(const char *path, long count)
{
    int fd = open(path, O_RDONLY);
    double least = 1e12, most = -1e12;
    char line[256];

    if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
        return 1;
    for (long i = 0; i < count;) {
        const char *at;
        double ahead;

        if (next_line(fd, line, sizeof(line)) < 0)
            return 1;
        at = strstr(line, "T ");
        if (!at || strlen(at) < 22)
            continue;
        ahead =
            now_ms() - (double)strtol(at + 2, NULL, 10) * 1e3 - strtod(strchr(at, '.'), NULL) * 1e3;
        least = ahead < least ? ahead : least;
        most = ahead > most ? ahead : most;
        i++;
    }
    (void)printf("least=%.1f most=%.1f\n", least, most);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "say") == 0)
        return say(atol(argv[2]));
    if (argc == 4 && strcmp(argv[1], "hear") == 0)
        return hear(argv[2], atol(argv[3]));
    return 2;
}
