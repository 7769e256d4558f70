/* SPDX-License-Identifier: MIT */
/* The control socket: lines, descriptors, clients that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "vmwp/control.h"

static char path[] = "/tmp/vmwp-control-XXXXXX";
static struct control *control;
static unsigned handled, files;
static uint64_t ticket;
static int fd_seen;

static int handler(void *ctx, struct control_request *r, json_t **answer, struct problem *why)
{
    const char *what = json_string_value(json_object_get(r->object, "do"));

    handled++;
    files = r->files;
    fd_seen = r->files ? r->file[0] : -1;
    if (!what)
        return problem_set(why, -EINVAL, "nothing to do");
    ticket = r->ticket;
    if (strcmp(what, "later") == 0)
        return CONTROL_LATER;
    *answer = json_pack("{s:s}", "done", what);
    return 0;
}

static int setup(void **state)
{
    struct problem why;
    int fd;

    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    fd = mkstemp(path);
    (void)close(fd);
    (void)unlink(path);
    handled = files = 0;
    if (fd < 0 || control_open(&control, path, &why) < 0)
        return -1;
    control_handle(control, handler, NULL);
    return 0;
}

static int teardown(void **state)
{
    control_close(control);
    return unlink(path);
}

/* All that there is to do. */
static void serve(void)
{
    struct pollfd polls[CONTROL_POLLS];

    do
        control_poll(control, polls);
    while (poll(polls, CONTROL_POLLS, 50) > 0 && (control_serve(control, polls), true));
}

static int client(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(addr.sun_path, path, sizeof(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    serve();
}

static void hear(int fd, const char *expected)
{
    char got[512] = {0};

    (void)!recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
    assert_string_equal(got, expected);
}

static void lines(void **state)
{
    int fd = client();

    say(fd, "{\"do\": \"a\"}\n");
    hear(fd, "{\"ok\":true,\"done\":\"a\"}\n");
    say(fd, "{\"do\":");
    hear(fd, "");
    say(fd, "\"b\"}\n{}\n");
    hear(fd, "{\"ok\":true,\"done\":\"b\"}\n{\"ok\":false,\"error\":\"nothing to do\"}\n");
    say(fd, "[]\n");
    hear(fd, "{\"ok\":false,\"error\":\"a request is a JSON object\"}\n");
    say(fd, "{\"do\": 1, \"do\": 2}\n");
    assert_int_equal(handled, 3);
    (void)close(fd);
}

static void send_files(int fd, const char *text, unsigned count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * CONTROL_FILES * sizeof(int))];
    } c = {0};
    struct iovec part = {(char *)(uintptr_t)text, strlen(text)};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = c.bytes};

    c.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)),
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS};
    for (unsigned i = 0; i < count; i++)
        memcpy(CMSG_DATA(&c.header) + i * sizeof(int), &fd, sizeof(fd));
    m.msg_controllen = CMSG_SPACE(count * sizeof(int));
    assert_int_equal(sendmsg(fd, &m, 0), (ssize_t)part.iov_len);
    serve();
}

static bool open_still(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* They are there for one request, and closed after it. */
static void descriptors(void **state)
{
    int fd = client();

    send_files(fd, "{\"do\": \"x\"}\n", 3);
    assert_int_equal(files, 3);
    assert_false(open_still(fd_seen));
    hear(fd, "{\"ok\":true,\"done\":\"x\"}\n");
    say(fd, "{\"do\": \"y\"}\n");
    assert_int_equal(files, 0);
    hear(fd, "{\"ok\":true,\"done\":\"y\"}\n");
    send_files(fd, "{\"do\": \"z\"}\n", CONTROL_FILES + 1);
    hear(fd, "");
    assert_int_equal(handled, 2);
    (void)close(fd);
}

/* One that says too much loses its connection; more than there is room for wait. */
static void misbehaviour(void **state)
{
    char *much = malloc(CONTROL_LINE_MAX + 1);
    int fd[CONTROL_CLIENTS + 1];

    memset(much, 'x', CONTROL_LINE_MAX);
    much[CONTROL_LINE_MAX] = 0;
    for (unsigned i = 0; i <= CONTROL_CLIENTS; i++)
        fd[i] = client();
    serve();
    say(fd[CONTROL_CLIENTS], "{\"do\": \"late\"}\n");
    hear(fd[CONTROL_CLIENTS], "");
    (void)!write(fd[0], much, CONTROL_LINE_MAX);
    serve();
    hear(fd[CONTROL_CLIENTS], "{\"ok\":true,\"done\":\"late\"}\n");
    for (unsigned i = 0; i <= CONTROL_CLIENTS; i++)
        (void)close(fd[i]);
    serve();
    free(much);
}

/* An answer that takes its time: what the client says meanwhile waits, other clients do not. */
static void answered_later(void **state)
{
    int fd = client(), other = client();
    const struct problem none = {{0}}, why = {"no luck"};

    say(fd, "{\"do\": \"later\"}\n{\"do\": \"next\"}\n");
    say(fd, "{\"do\": \"more\"}\n");
    hear(fd, "");
    uint64_t first = ticket;
    say(other, "{\"do\": \"now\"}\n");
    hear(other, "{\"ok\":true,\"done\":\"now\"}\n");
    control_answer(control, first + 100, 0, json_object(), &none); /* of nobody */
    hear(fd, "");
    control_answer(control, first, 0, json_pack("{s:i}", "n", 1), &none);
    hear(fd, "{\"ok\":true,\"n\":1}\n{\"ok\":true,\"done\":\"next\"}\n");
    serve();
    hear(fd, "{\"ok\":true,\"done\":\"more\"}\n");
    control_answer(control, first, 0, NULL, &none); /* once is enough */
    hear(fd, "");
    say(fd, "{\"do\": \"later\"}\n");
    control_answer(control, ticket, -EIO, NULL, &why);
    hear(fd, "{\"ok\":false,\"error\":\"no luck\"}\n");
    say(fd, "{\"do\": \"later\"}\n");
    (void)close(fd);
    serve(); /* it has gone before its answer */
    control_answer(control, ticket, 0, json_object(), &none);
    (void)close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(misbehaviour, setup, teardown),
        cmocka_unit_test_setup_teardown(answered_later, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
