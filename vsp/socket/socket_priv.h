/* SPDX-License-Identifier: MIT */
#ifndef VSP_SOCKET_SOCKET_PRIV_H
#define VSP_SOCKET_SOCKET_PRIV_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include "abi/vsp/socket/socket.h"
#include "vsp/socket/socket.h"

#define GREETING_MAX      64U /* bytes of a client's first line */
#define STREAM_STEPS      32U /* packets either way before others get their turn */
#define STREAM_PACKET_MAX (HVSOCKET_DATA_MAX + 4096U) /* with what else may be in a packet */

/* greeting.c: pure. */

/** A service of a client's line, which ends with a zero. -EINVAL. */
int greeting_parse(const char *line, struct vmbus_guid *service);

/* name.c: pure. */
void name_of_port(uint32_t port, struct vmbus_guid *service);

/*
 * stream.c: bytes of one connection, both ways, without a thread. What has been taken on one side
 * and finds no room on the other is kept, and no more is taken: at most one packet each way.
 */
struct stream {
    struct vmbus_channel *channel;
    int fd;
    size_t piece;      /* bytes of a packet for the guest: smaller where its ring is */
    bool guest_fin;    /* the guest sends no more */
    bool shut;         /* the host's socket knows */
    bool host_eof;     /* the host's socket sends no more */
    bool fin_sent;     /* the guest knows */
    bool deaf;         /* what is for the host's socket is dropped */
    bool hung_up;      /* the host's socket does not read either */
    const uint8_t *in; /* of the guest, not written yet */
    size_t in_length;
    size_t out_at, out_length; /* of the host, not sent yet */
    uint64_t bytes_from_guest, bytes_from_host;
    alignas(8) uint8_t packet[STREAM_PACKET_MAX];
    uint8_t out[HVSOCKET_DATA_MAX];
};

void stream_init(struct stream *s, struct vmbus_channel *channel, int fd);
/** Move what can be moved. 1: there may be more; 0: not before something happens; -errno: it is
 * over, and -ENODATA says that both sides have ended it. */
int stream_work(struct stream *s);
/** What to wait for on the host's socket; 0: nothing. */
short stream_events(const struct stream *s);

/* connection.c */

enum connection_state {
    CONNECTION_FREE,     /* Nobody's. */
    CONNECTION_GREETING, /* A client has come and has not said where to. */
    CONNECTION_ASKED,    /* The guest wants a service; it is not dialled yet. */
    CONNECTION_OFFERED,  /* The guest has been offered the channel and has not opened it. */
    CONNECTION_OPEN,     /* Its thread relays. */
    CONNECTION_ENDED,    /* One side has ended it; the channel is to be taken back. */
};

/* Under the relay's lock, but what says otherwise. */
struct connection {
    struct relay *relay; /* constant */
    enum connection_state state;
    bool from_host;
    struct vmbus_guid service, endpoint;
    unsigned number; /* ASKED: of the service */
    int fd;          /* the host's socket; -1: none; its thread's while OPEN */
    int wake;        /* constant: an eventfd of its thread */
    uint64_t deadline_ns;
    void *handle; /* of the offer; the relay's thread */
    bool stop;
    pthread_t thread; /* the server's */
    unsigned greeting_length;
    char greeting[GREETING_MAX];
    struct stream stream; /* its thread's while OPEN */
};

struct relay {
    struct relay_config config; /* constant */
    pthread_mutex_t lock;
    pthread_t thread;
    int wake;          /* constant: an eventfd of the relay's thread */
    bool stop, paused; /* lock, and what follows */
    uint32_t next_port;
    struct relay_info info;
    struct connection connection[RELAY_CONNECTIONS_MAX];
};

/** The device is the connection. */
extern const struct vmbus_device_ops connection_ops;

void relay_wake(int fd);
void relay_drain(int fd);

/* manager.c: what the relay's thread does. */
void *manager_thread(void *relay);

#endif
