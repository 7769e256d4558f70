/* SPDX-License-Identifier: MIT */
/*
 * Both ends of sockets between guest and host.
 *   talk echo vsock PORT            sends back what comes, one connection after another
 *   talk echo unix PATH
 *   talk to vsock PORT BYTES        sends so much to the host and wants the same back
 *   talk to unix PATH PORT BYTES    the same to the guest, through the relay
 * "talk to" prints "same BYTES", or what went wrong.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int wrong(const char *what)
{
    (void)printf("%s: %s\n", what, errno ? strerror(errno) : "other bytes");
    return 1;
}

static int open_vsock(const char *port, int listening)
{
    struct sockaddr_vm a = {.svm_family = AF_VSOCK,
                            .svm_cid = listening ? VMADDR_CID_ANY : VMADDR_CID_HOST,
                            .svm_port = (unsigned)atoi(port)};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    int err = listening ? bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16)
                        : connect(fd, (struct sockaddr *)&a, sizeof(a));

    return err ? -1 : fd;
}

static int open_unix(const char *path, int listening)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), err;

    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    err = listening ? bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16)
                    : connect(fd, (struct sockaddr *)&a, sizeof(a));
    return err ? -1 : fd;
}

static int all(int fd, const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n <= 0)
            return -1;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

static void echo_one(int fd)
{
    static uint8_t buf[60000];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0 && all(fd, buf, (size_t)n) == 0)
        ;
    (void)close(fd);
}

static int echo(int listener)
{
    if (listener < 0)
        return wrong("listen");
    (void)puts("listens");
    (void)fflush(stdout);
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (fork() == 0) {
            echo_one(fd);
            _exit(0);
        }
        (void)close(fd);
    }
}

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 2654435761U >> 13);
}

static void send_all(int fd, uint64_t bytes)
{
    static uint8_t buf[30000];

    for (uint64_t at = 0; at < bytes;) {
        size_t n = bytes - at < sizeof(buf) ? (size_t)(bytes - at) : sizeof(buf);
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(at + i);
        if (all(fd, buf, n) < 0)
            _exit(1);
        at += n;
    }
    (void)shutdown(fd, SHUT_WR);
    _exit(0);
}

static int talk(int fd, uint64_t bytes)
{
    static uint8_t buf[50000];
    uint64_t got = 0;
    ssize_t n;

    if (fd < 0)
        return wrong("connect");
    if (fork() == 0)
        send_all(fd, bytes);
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != byte_at(got++)) {
                errno = 0;
                return wrong("echo");
            }
    if (n < 0)
        return wrong("read");
    (void)wait(NULL);
    (void)printf("%s %llu\n", got == bytes ? "same" : "less:", (unsigned long long)got);
    return got != bytes;
}

/* Through the relay: say where to, and wait for the line that it answers. */
static int greet(int fd, const char *port)
{
    char line[64], c;
    int n = snprintf(line, sizeof(line), "CONNECT %s\n", port);

    if (fd < 0 || all(fd, (uint8_t *)line, (size_t)n) < 0)
        return -1;
    errno = ECONNREFUSED;
    do
        if (read(fd, &c, 1) != 1)
            return -1;
    while (c != '\n');
    return fd;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 3 ? argv[1] : "", *kind = argc > 3 ? argv[2] : "";

    (void)signal(SIGPIPE, SIG_IGN);
    if (strcmp(verb, "echo") == 0)
        return echo(kind[0] == 'v' ? open_vsock(argv[3], 1) : open_unix(argv[3], 1));
    if (strcmp(verb, "to") == 0 && kind[0] == 'v' && argc == 5)
        return talk(open_vsock(argv[3], 0), strtoull(argv[4], NULL, 10));
    if (strcmp(verb, "to") == 0 && argc == 6)
        return talk(greet(open_unix(argv[3], 0), argv[4]), strtoull(argv[5], NULL, 10));
    return wrong("usage");
}
