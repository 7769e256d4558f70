/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmwp/console.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include "vmwp/ring.h"
#include "vmwp/socket.h"

#define OUT_BYTES 65536U
#define IN_BYTES  4096U
#define CHUNK     2048U
#define FLUSH_MS  500

#define CTRL_A 0x01

enum { POLL_IN, POLL_OUT };

struct console {
    enum config_serial kind;
    char path[CONFIG_SOCKET_MAX]; /* of a socket to remove; empty: none */
    bool raw;                     /* saved_termios is what the terminal was */
    struct termios saved_termios;
    /* The main thread's. */
    int in, out; /* -1: none, or a client has not come */
    int listener;
    bool escape; /* Ctrl-A was the last key */
    /* Under the lock. */
    pthread_mutex_t lock;
    int wake; /* eventfd, -1: none */
    bool connected;
    struct ring tx, rx;
    uint8_t tx_data[OUT_BYTES], rx_data[IN_BYTES];
};

static int file_open(struct console *c, const char *path, struct problem *why)
{
    c->out = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (c->out < 0)
        return problem_set(why, -errno, "console: %s: %m", path);
    return 0;
}

static int socket_open(struct console *c, const char *path, struct problem *why)
{
    int fd = socket_listen(path, "console", why);

    if (fd < 0)
        return fd;
    c->listener = fd;
    memcpy(c->path, path, strlen(path) + 1);
    return 0;
}

/* A description of our own, so that O_NONBLOCK does not reach others who have this terminal or
   pipe. A file is shared: its offset is everybody's. */
static int reopen(int fd, int flags)
{
    struct stat st;
    char path[32];
    int own;

    if (fstat(fd, &st) < 0 || !(S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int terminal_open(struct console *c, struct problem *why)
{
    c->in = reopen(STDIN_FILENO, O_RDONLY);
    c->out = reopen(STDOUT_FILENO, O_WRONLY);
    if (c->out < 0)
        return problem_set(why, -errno, "console: standard output: %m");
    c->raw = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &c->saved_termios) == 0;
    return 0;
}

int console_open(struct console **out, const struct config *config, struct problem *why)
{
    struct console *c = calloc(1, sizeof(*c));
    int err = 0;

    if (!c)
        return problem_set(why, -ENOMEM, "out of memory");
    c->kind = config->serial;
    c->in = c->out = c->listener = c->wake = -1;
    c->tx = (struct ring){.data = c->tx_data, .size = OUT_BYTES};
    c->rx = (struct ring){.data = c->rx_data, .size = IN_BYTES};
    (void)pthread_mutex_init(&c->lock, NULL);
    if (c->kind == CONFIG_SERIAL_TERMINAL)
        err = terminal_open(c, why);
    else if (c->kind == CONFIG_SERIAL_FILE)
        err = file_open(c, config->serial_path, why);
    else if (c->kind == CONFIG_SERIAL_UNIX)
        err = socket_open(c, config->serial_path, why);
    c->connected = c->out >= 0;
    if (err) {
        console_restore(c);
        free(c);
        return err;
    }
    *out = c;
    return 0;
}

void console_wake_fd(struct console *c, int eventfd)
{
    c->wake = eventfd;
}

int console_start(struct console *c, struct problem *why)
{
    struct termios raw = c->saved_termios;

    if (!c->raw)
        return 0;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our own lines go to the same terminal */
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return problem_set(why, -errno, "console: terminal: %m");
    return 0;
}

void console_restore(struct console *c)
{
    if (c->raw)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &c->saved_termios);
    if (c->path[0])
        (void)unlink(c->path);
}

static void wake(const struct console *c)
{
    const uint64_t one = 1;

    if (c->wake >= 0)
        (void)!write(c->wake, &one, sizeof(one)); /* full: it is awake already */
}

bool console_put(void *console, uint8_t byte)
{
    struct console *c = console;
    bool taken = true;

    (void)pthread_mutex_lock(&c->lock);
    if (c->connected) { /* else nobody listens, and it goes nowhere */
        taken = ring_put(&c->tx, byte);
        if (c->tx.count == 1)
            wake(c);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return taken;
}

int console_get(void *console)
{
    struct console *c = console;
    int byte;

    (void)pthread_mutex_lock(&c->lock);
    if (ring_room(&c->rx) == 0)
        wake(c); /* the main thread reads again */
    byte = ring_get(&c->rx);
    (void)pthread_mutex_unlock(&c->lock);
    return byte;
}

void console_poll(struct console *c, struct pollfd *polls)
{
    polls[POLL_IN] = (struct pollfd){.fd = -1};
    polls[POLL_OUT] = (struct pollfd){.fd = -1};
    (void)pthread_mutex_lock(&c->lock);
    if (c->listener >= 0 && !c->connected)
        polls[POLL_IN] = (struct pollfd){.fd = c->listener, .events = POLLIN};
    else if (c->in >= 0 && ring_room(&c->rx) > 0)
        polls[POLL_IN] = (struct pollfd){.fd = c->in, .events = POLLIN};
    else if (c->in >= 0) /* only to learn that it is gone */
        polls[POLL_IN] = (struct pollfd){.fd = c->in, .events = 0};
    if (c->out >= 0 && c->tx.count > 0)
        polls[POLL_OUT] = (struct pollfd){.fd = c->out, .events = POLLOUT};
    (void)pthread_mutex_unlock(&c->lock);
}

static void client_close(struct console *c)
{
    (void)close(c->in);
    (void)pthread_mutex_lock(&c->lock);
    c->in = c->out = -1;
    c->connected = false;
    ring_drop(&c->tx, c->tx.count);
    (void)pthread_mutex_unlock(&c->lock);
}

static void client_accept(struct console *c)
{
    int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    (void)pthread_mutex_lock(&c->lock);
    c->in = c->out = fd;
    c->connected = true;
    (void)pthread_mutex_unlock(&c->lock);
}

/* Keys of a terminal: Ctrl-A begins a command. False: leave. */
static bool key_take(struct console *c, uint8_t key)
{
    if (!c->raw) {
        (void)ring_put(&c->rx, key);
        return true;
    }
    if (!c->escape && key == CTRL_A) {
        c->escape = true;
        return true;
    }
    if (c->escape && (key == 'x' || key == 'X'))
        return false;
    if (!c->escape || key == CTRL_A)
        (void)ring_put(&c->rx, key);
    c->escape = false;
    return true;
}

static bool input_read(struct console *c)
{
    uint8_t buf[CHUNK];
    size_t room;
    ssize_t n;
    bool stay = true;

    (void)pthread_mutex_lock(&c->lock);
    room = ring_room(&c->rx);
    (void)pthread_mutex_unlock(&c->lock);
    n = read(c->in, buf, room < CHUNK ? room : CHUNK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0 && room > 0) { /* a client has gone, or standard input has ended */
        if (c->listener >= 0) {
            client_close(c);
        } else {
            (void)close(c->in);
            c->in = -1;
        }
        return true;
    }
    (void)pthread_mutex_lock(&c->lock);
    for (ssize_t i = 0; i < n && stay; i++)
        stay = key_take(c, buf[i]);
    (void)pthread_mutex_unlock(&c->lock);
    return stay;
}

static void output_write(struct console *c)
{
    uint8_t buf[CHUNK];
    size_t len;
    ssize_t n;

    (void)pthread_mutex_lock(&c->lock);
    len = ring_peek(&c->tx, buf, sizeof(buf));
    (void)pthread_mutex_unlock(&c->lock);
    if (!len)
        return;
    n = write(c->out, buf, len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 && c->listener >= 0) {
        client_close(c);
        return;
    }
    /* A file or terminal that takes nothing any more must not stop the guest: bytes are lost. */
    (void)pthread_mutex_lock(&c->lock);
    ring_drop(&c->tx, n < 0 ? len : (size_t)n);
    (void)pthread_mutex_unlock(&c->lock);
}

bool console_serve(struct console *c, const struct pollfd *polls)
{
    bool stay = true;

    if (polls[POLL_IN].revents && polls[POLL_IN].fd == c->listener)
        client_accept(c);
    else if (polls[POLL_IN].revents && polls[POLL_IN].fd == c->in)
        stay = input_read(c);
    if (polls[POLL_OUT].revents && polls[POLL_OUT].fd == c->out)
        output_write(c);
    return stay;
}

void console_flush(struct console *c)
{
    for (unsigned i = 0; i < 2 * OUT_BYTES / CHUNK; i++) {
        struct pollfd polls[CONSOLE_POLLS];
        console_poll(c, polls);
        if (polls[POLL_OUT].fd < 0 || poll(&polls[POLL_OUT], 1, FLUSH_MS) <= 0)
            return;
        output_write(c);
    }
}
