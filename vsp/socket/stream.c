/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "lib/bits.h"
#include "vsp/socket/socket_priv.h"

#define PIECE_SMALL 1024U /* fits into the smallest ring */

void stream_init(struct stream *s, struct vmbus_channel *channel, int fd)
{
    memset(s, 0, sizeof(*s));
    s->channel = channel;
    s->fd = fd;
    s->piece = sizeof(s->out);
}

/* Descriptors that come along are dropped by the kernel: there is no room for them. */
static ssize_t socket_take(int fd, void *buf, size_t size)
{
    struct iovec part = {buf, size};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

    return n < 0 ? -errno : n;
}

static ssize_t socket_put(int fd, const void *data, size_t length)
{
    struct iovec part = {(void *)(uintptr_t)data, length};
    const struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

    return n < 0 ? -errno : n;
}

/* The guest's next packet. 1; 0: there is none; or -errno. */
static int packet_take(struct stream *s)
{
    struct vmbus_packet p;
    int got = vmbus_channel_receive(s->channel, &p, s->packet, sizeof(s->packet));

    if (got <= 0)
        return got;
    if (p.type != VMBUS_PACKET_INBAND || p.length > HVSOCKET_DATA_MAX)
        return -EPROTO;
    s->guest_fin = s->guest_fin || p.length == 0;
    s->in = p.data;
    s->in_length = s->guest_fin || s->deaf ? 0 : p.length;
    return 1;
}

/* One step from the guest to the host: as below. */
static int step_down(struct stream *s)
{
    ssize_t n;

    if (s->in_length == 0 && s->guest_fin) {
        if (!s->shut)
            (void)shutdown(s->fd, SHUT_WR);
        s->shut = true;
        return 0;
    }
    if (s->in_length == 0)
        return packet_take(s);
    n = socket_put(s->fd, s->in, s->in_length);
    if (n == -EAGAIN || n == -EINTR)
        return 0;
    if (n < 0) { /* what it has written itself is still for the guest */
        s->deaf = s->hung_up = true;
        s->in_length = 0;
        return 1;
    }
    s->in += n;
    s->in_length -= (size_t)n;
    s->bytes_from_guest += (uint64_t)n;
    return 1;
}

/* What has come from the host goes into the guest's ring. */
static int piece_send(struct stream *s)
{
    size_t length = min_u64(s->out_length, s->piece);
    int err =
        vmbus_channel_send(s->channel, VMBUS_PACKET_INBAND, 0, false, s->out + s->out_at, length);

    if (err == -EMSGSIZE && s->piece > PIECE_SMALL) {
        s->piece = PIECE_SMALL;
        return 1;
    }
    if (err)
        return err == -EAGAIN ? 0 : err;
    s->out_at += length;
    s->out_length -= length;
    s->bytes_from_host += length;
    return 1;
}

/* One step from the host to the guest. 1: there may be more; 0: not now; or -errno. */
static int step_up(struct stream *s)
{
    ssize_t n;

    if (s->out_length > 0)
        return piece_send(s);
    if (s->host_eof) {
        int err = s->fin_sent
                      ? 0
                      : vmbus_channel_send(s->channel, VMBUS_PACKET_INBAND, 0, false, s->out, 0);
        s->fin_sent = s->fin_sent || err == 0;
        return err == -EAGAIN ? 0 : err;
    }
    n = socket_take(s->fd, s->out, sizeof(s->out));
    if (n == -EAGAIN || n == -EINTR)
        return 0;
    s->host_eof = n <= 0;
    s->hung_up = s->hung_up || n < 0;
    s->out_at = 0;
    s->out_length = n > 0 ? (size_t)n : 0;
    return 1;
}

int stream_work(struct stream *s)
{
    int down = 1, up = 1;

    for (unsigned i = 0; i < STREAM_STEPS && (down > 0 || up > 0); i++) {
        if (down > 0)
            down = step_down(s);
        if (up > 0)
            up = step_up(s);
        if (down < 0 || up < 0)
            break;
    }
    vmbus_channel_signal(s->channel);
    if (down < 0 || up < 0)
        return down < 0 ? down : up;
    if (s->fin_sent && (s->shut || s->hung_up))
        return -ENODATA;
    return down > 0 || up > 0;
}

short stream_events(const struct stream *s)
{
    short events = 0;

    if (!s->host_eof && s->out_length == 0)
        events |= POLLIN;
    if (s->in_length > 0)
        events |= POLLOUT;
    return events;
}
