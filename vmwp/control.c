/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmwp/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "vmwp/socket.h"

struct client {
    int fd; /* -1: nobody */
    size_t length;
    uint64_t pending; /* the ticket of a request that is answered later; no other is taken before */
    struct control_request request; /* the descriptors that have come for the next line */
    char line[CONTROL_LINE_MAX];
};

struct control {
    int listener;
    uint64_t tickets; /* given out */
    control_handler *handler;
    void *ctx;
    struct client client[CONTROL_CLIENTS];
};

static void files_close(struct control_request *r)
{
    for (unsigned i = 0; i < r->files; i++)
        if (r->file[i] >= 0)
            (void)close(r->file[i]);
    r->files = 0;
}

static void drop(struct client *c)
{
    files_close(&c->request);
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    c->length = 0;
    c->pending = 0;
}

int control_open(struct control **out, const char *path, struct problem *why)
{
    struct control *c = calloc(1, sizeof(*c));

    if (!c)
        return problem_set(why, -ENOMEM, "out of memory");
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        c->client[i].fd = -1;
    c->listener = socket_listen(path, "control", why);
    if (c->listener < 0) {
        int err = c->listener;
        free(c);
        return err;
    }
    *out = c;
    return 0;
}

void control_handle(struct control *c, control_handler *handler, void *ctx)
{
    if (!c)
        return;
    c->handler = handler;
    c->ctx = ctx;
}

void control_close(struct control *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        drop(&c->client[i]);
    (void)close(c->listener);
    free(c);
}

void control_poll(const struct control *c, struct pollfd *polls)
{
    bool room = false;

    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        polls[1 + i] = (struct pollfd){.fd = c ? c->client[i].fd : -1,
                                       .events = c && c->client[i].pending ? 0 : POLLIN};
        room |= c && c->client[i].fd < 0;
    }
    polls[0] = (struct pollfd){.fd = room ? c->listener : -1, .events = POLLIN};
}

/* A client that does not read its answers loses its connection. */
static bool answer(const struct client *c, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    bool sent = false;

    if (text) {
        struct iovec parts[] = {{text, strlen(text)}, {(char[]){'\n'}, 1}};
        const struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t all = (ssize_t)(parts[0].iov_len + 1);

        sent = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == all;
    }
    free(text);
    json_decref(object);
    return sent;
}

/* What the handler has to say, as the object that is sent. */
static json_t *result_of(int err, json_t *more, const struct problem *why)
{
    json_t *result;

    if (err) {
        json_decref(more);
        return json_pack("{s:b, s:s}", "ok", 0, "error", why->text[0] ? why->text : strerror(-err));
    }
    result = json_pack("{s:b}", "ok", 1);
    if (result && more)
        (void)json_object_update(result, more);
    json_decref(more);
    return result;
}

/* NULL: the answer comes later. */
static json_t *carry_out(struct control *c, struct client *client)
{
    struct problem why = {{0}};
    json_t *more = NULL;
    int err;

    client->request.ticket = ++c->tickets;
    err = c->handler(c->ctx, &client->request, &more, &why);
    if (err == CONTROL_LATER)
        client->pending = client->request.ticket;
    return err == CONTROL_LATER ? NULL : result_of(err, more, &why);
}

static bool take_line(struct control *c, struct client *client, size_t length)
{
    json_error_t error;
    json_t *object = json_loadb(client->line, length, JSON_REJECT_DUPLICATES, &error), *result;

    if (!json_is_object(object)) {
        result = json_pack("{s:b, s:s}", "ok", 0, "error",
                           object ? "a request is a JSON object" : error.text);
    } else {
        client->request.object = object;
        result = carry_out(c, client);
    }
    json_decref(object);
    files_close(&client->request);
    return client->pending || answer(client, result);
}

/* All lines that are complete. False: the connection has ended. */
static bool take_lines(struct control *c, struct client *client)
{
    char *end;

    while (!client->pending && (end = memchr(client->line, '\n', client->length))) {
        size_t used = (size_t)(end - client->line) + 1;

        if (!take_line(c, client, used - 1))
            return false;
        client->length -= used;
        memmove(client->line, client->line + used, client->length);
    }
    return client->pending || client->length < CONTROL_LINE_MAX; /* else it is no line */
}

void control_answer(struct control *c, uint64_t ticket, int err, json_t *more,
                    const struct problem *why)
{
    for (unsigned i = 0; c && i < CONTROL_CLIENTS; i++) {
        struct client *client = &c->client[i];

        if (client->fd < 0 || client->pending != ticket)
            continue;
        client->pending = 0;
        if (!answer(client, result_of(err, more, why)) || !take_lines(c, client))
            drop(client);
        return;
    }
    json_decref(more);
}

/* Descriptors beyond what a request may have are refused with the connection. */
static bool take_files(struct client *client, struct msghdr *m)
{
    bool good = !(m->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        size_t bytes = h->cmsg_len - CMSG_LEN(0);

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(h) + at, sizeof(fd));
            if (client->request.files < CONTROL_FILES) {
                client->request.file[client->request.files++] = fd;
            } else {
                (void)close(fd);
                good = false;
            }
        }
    }
    return good;
}

static bool receive(struct control *c, struct client *client)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(CONTROL_FILES * sizeof(int))];
    } control;
    struct iovec to = {client->line + client->length, CONTROL_LINE_MAX - client->length};
    struct msghdr m = {.msg_iov = &to,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(client->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (!take_files(client, &m) || n == 0)
        return false;
    client->length += (size_t)n;
    return take_lines(c, client);
}

static void accept_one(struct control *c)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        if (c->client[i].fd >= 0)
            continue;
        c->client[i].fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        return;
    }
}

void control_serve(struct control *c, const struct pollfd *polls)
{
    if (!c)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (polls[1 + i].revents && polls[1 + i].fd == c->client[i].fd &&
            (c->client[i].pending || !receive(c, &c->client[i])))
            drop(&c->client[i]); /* one that waits for an answer is heard of only when it goes */
    if (polls[0].revents)
        accept_one(c);
}
