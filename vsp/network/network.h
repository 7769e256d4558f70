/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_NETWORK_H
#define VSP_NETWORK_NETWORK_H

#include "lib/save.h"
#include "vmbus/channel.h"

/*
 * The network VSP: a synthetic adapter, served with a thread for each channel that the guest has
 * opened. What is behind it is a set of descriptors, queues, from which frames are read and to
 * which they are written, each with a struct virtio_net_hdr before it: a TAP with several queues.
 * All functions may be called from any thread but those of the channels; see docs/network.md.
 */

#define NETWORK_QUEUES_MAX 64U
#define NETWORK_MTU_MIN    576U
#define NETWORK_MTU_MAX    9000U

struct network;

/** What is behind the adapter. The descriptors do not block, and stay the caller's. */
struct network_backend {
    void *ctx;
    unsigned queues; /* 1 to NETWORK_QUEUES_MAX; a channel reads the one of its number */
    const int *queue;
    /** Let frames come to a queue, or throw away all that is in it and comes. NULL: nobody can. */
    int (*attach)(void *ctx, unsigned queue, bool on);
    /** Frames may be larger than the MTU: TCP segments that belong together, over IPv4, IPv6. */
    int (*coalesce)(void *ctx, bool ip4, bool ip6);
};

struct network_config {
    struct vmbus_guid instance;
    uint8_t mac[6];
    bool mac_change; /* the guest may take another address */
    bool spoofing;   /* and send with any other */
    uint16_t mtu;
    unsigned channels; /* that the guest may have */
    uint32_t speed;    /* of the link, in Mbit/s: only said */
};

/** Calls out of the VSP, from the thread of a channel; see storage.h. */
struct network_hooks {
    void *ctx;
    int (*sub_channels)(void *ctx, struct vmbus_channel *channel, unsigned count);
};

/** The link is up. 0, -EINVAL or -ENOMEM. */
int network_create(struct network **out, const struct network_config *config,
                   const struct network_backend *backend, const struct network_hooks *hooks);
/** All channels are closed. NULL is allowed. */
void network_destroy(struct network *n);

/** How it is offered to the guest. */
void network_offer(const struct network *n, struct vmbus_offer *offer);
/** The device is the struct network. */
extern const struct vmbus_device_ops network_device_ops;

/** The cable is in, or out: the guest is told, and nothing passes while it is out. */
void network_link(struct network *n, bool up);

/** Before it is withdrawn: the cable goes out, and the guest gets some time, at most `timeout_ms`,
 * to complete what it has and to stop sending. Linux waits for ever for what it has sent when its
 * adapter was gone already. */
void network_retire(struct network *n, unsigned timeout_ms);

/** Of the adapter. */
struct network_state {
    uint32_t version; /* of NVSP; 0: no guest */
    uint32_t filter;  /* NDIS_FILTER_* */
    uint8_t mac[6];
    bool link_up;
    bool coalesce_ip4, coalesce_ip6;
    bool rss;
    unsigned channels; /* that are open */
};
void network_state(struct network *n, struct network_state *state);

/** Of a channel since it was opened. */
struct network_counters {
    uint64_t sent, sent_bytes;         /* frames of the guest, large ones as one */
    uint64_t received, received_bytes; /* to the guest */
    uint64_t send_errors;              /* frames that made no sense, or did not get out */
    uint64_t spoofed;                  /* frames with an address that is not the guest's */
    uint64_t filtered;                 /* frames that the guest does not want */
    uint64_t receive_errors;
    uint64_t steered; /* frames that were given to another channel */
    uint64_t packets; /* of the ring */
    uint64_t batches; /* of frames, in one packet each */
    uint64_t waits;   /* times that there was nothing to do */
    uint64_t ring_full;
    uint64_t no_buffer; /* times that there was no room in the receive buffer */
    bool broken;        /* the guest broke the protocol or the ring */
};
/** `sub` 0 is the first. 0, or -ENOENT: not open. */
int network_counters(struct network *n, unsigned sub, struct network_counters *counters);

/** Stop: when it returns no thread touches the guest's memory. */
void network_pause(struct network *n);
void network_resume(struct network *n);

/** All state that the guest can see, of an adapter that is paused. */
void network_save(struct network *n, struct save_writer *w);
/** Into an adapter of the same configuration, before its channels are opened: they go on where
 * they were. 0, or -EINVAL with nothing changed. */
int network_load(struct network *n, struct save_reader *r);

#endif
