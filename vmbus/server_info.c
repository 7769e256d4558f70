/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "vmbus/server_priv.h"

void vmbus_server_stats(struct vmbus_server *server, struct vmbus_server_stats *out)
{
    struct vmbus_core_contact c;
    struct vmbus_core_stats s;

    (void)pthread_mutex_lock(&server->lock);
    vmbus_core_contact(server->core, &c);
    vmbus_core_stats(server->core, &s);
    *out = (struct vmbus_server_stats){.version = c.version,
                                       .features = c.features,
                                       .channels = s.channels,
                                       .open = s.open,
                                       .gpadls = s.gpadls,
                                       .gpadl_pages = s.gpadl_pages,
                                       .messages = s.messages,
                                       .refused = s.refused,
                                       .malformed = s.malformed,
                                       .illegal = s.illegal,
                                       .posted = s.posted,
                                       .post_lost = server->post_lost,
                                       .contacts = s.contacts};
    (void)pthread_mutex_unlock(&server->lock);
}

/* A counter that the VSP's thread alone changes. */
static uint64_t counter(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

int vmbus_server_channel(struct vmbus_server *server, uint32_t relid,
                         struct vmbus_server_channel *out)
{
    struct vmbus_core_channel_info info;
    const struct vmbus_channel *ch;
    int err;

    (void)pthread_mutex_lock(&server->lock);
    err = vmbus_core_channel(server->core, relid, &info);
    if (!err) {
        *out = (struct vmbus_server_channel){
            .sub = info.sub_index, .open = info.open, .revoked = info.revoked};
        memcpy(out->type.bytes, info.offer.type, sizeof(out->type));
        memcpy(out->instance.bytes, info.offer.instance, sizeof(out->instance));
        out->vp = info.params.target_vp;
        ch = server->channels[relid];
        if (ch) {
            out->received = counter(&ch->received);
            out->sent = counter(&ch->sent);
            out->signals = counter(&ch->signals);
        }
    }
    (void)pthread_mutex_unlock(&server->lock);
    return err;
}

struct vmbus_recorder *vmbus_server_recorder(struct vmbus_server *server)
{
    return server->recorder;
}
