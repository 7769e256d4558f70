/* SPDX-License-Identifier: MIT */
/*
 * One TCP stream from or to the host; arguments: address and port. The first byte sent tells the
 * host the direction. Sent bytes count when the host says that it has them all.
 */
#define _GNU_SOURCE
#include "bench/guest/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define STALL_S      20

static char buffer[BUFFER_BYTES];

/* A connected socket on which nothing waits for ever, or -1 with errno. */
static int host_connect(char **args, char direction)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval stall = {.tv_sec = STALL_S};
    int fd;

    if (!args[0] || !args[1] || inet_pton(AF_INET, args[0], &to.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    to.sin_port = htons((uint16_t)strtoul(args[1], NULL, 10));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall)) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall)) ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) || send(fd, &direction, 1, 0) != 1) {
        close(fd);
        return -1;
    }
    return fd;
}

double bench_net_send(double seconds, char **args)
{
    int fd = host_connect(args, 's');
    double start, spent = 0, done = 0;
    ssize_t n = 0;

    if (fd < 0)
        return bench_error("connect");
    start = bench_now();
    while (spent < seconds) {
        n = send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
        if (n < 0)
            break;
        done += (double)n;
        spent = bench_now() - start;
    }
    /* The host answers with one byte once it has read to the end. */
    if (n < 0 || shutdown(fd, SHUT_WR) || recv(fd, buffer, 1, 0) != 1)
        done = bench_error("send");
    spent = bench_now() - start;
    close(fd);
    return done < 0 ? done : done / spent / 1e6;
}

double bench_net_receive(double seconds, char **args)
{
    int fd = host_connect(args, 'r');
    double start, spent = 0, done = 0;

    if (fd < 0)
        return bench_error("connect");
    start = bench_now();
    while (spent < seconds) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

        if (n <= 0) {
            close(fd);
            return bench_error("receive");
        }
        done += (double)n;
        spent = bench_now() - start;
    }
    close(fd);
    return done / spent / 1e6;
}
