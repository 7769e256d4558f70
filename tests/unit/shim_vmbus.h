/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_VMBUS_H
#define TESTS_UNIT_SHIM_VMBUS_H

/*
 * A guest for the core of VMBus: it posts messages and looks at what comes back. Its memory is all
 * below MEMORY_PAGES; there is nothing in it, as the core does not look.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/save.h"
#include "vmbus/core/core.h"

#define MEMORY_PAGES 0x100000ULL
#define VPS          4U

static struct vmbus_core *core;
static const uint8_t client[16] = {0xC1, 1, 2, 3};

static inline bool shim_is_memory(void *ctx, uint64_t gpa, uint64_t length)
{
    return gpa / 4096 < MEMORY_PAGES;
}

static inline void shim_core(uint32_t version_max)
{
    const struct vmbus_core_config c = {version_max, VPS, shim_is_memory, NULL};

    assert_int_equal(vmbus_core_create(&core, &c), 0);
}

static inline int guest_post(const void *message, size_t len)
{
    return vmbus_core_message(core, VMBUS_CONNECTION_MESSAGES_4, message, len);
}

/* The next message for the guest, which is `len` bytes of `type`; it stays valid for a while. */
static inline const void *guest_take(uint32_t type, size_t len)
{
    static _Alignas(8) struct vmbus_core_post p;
    const struct vmbus_core_post *next = vmbus_core_post_peek(core);
    struct vmbus_msg_header h;

    assert_non_null(next);
    p = *next;
    vmbus_core_post_done(core);
    memcpy(&h, p.data, sizeof(h));
    assert_int_equal(h.type, type);
    assert_int_equal(h.reserved, 0);
    assert_int_equal(p.length, len);
    return p.data;
}

#define GUEST_TAKE(name, type_, number)                                                            \
    struct type_ name;                                                                             \
    memcpy(&name, guest_take(number, sizeof(name)), sizeof(name))

static inline void guest_silent(void)
{
    assert_null(vmbus_core_post_peek(core));
}

static inline void guest_contact(uint32_t version, uint32_t features)
{
    struct vmbus_msg_initiate_contact2 m = {
        .contact = {.header.type = VMBUS_MSG_INITIATE_CONTACT,
                    .version = version,
                    .target_vp = 1,
                    .target_sint = 2,
                    .features = features,
                    .monitor_page1 = 0x5000,
                    .monitor_page2 = 0x6000},
    };

    memcpy(m.client_id, client, sizeof(client));
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
}

/* Agree on a version; the answer is looked at elsewhere. */
static inline void guest_connect(uint32_t version, uint32_t features)
{
    guest_contact(version, features);
    (void)guest_take(VMBUS_MSG_VERSION_RESPONSE, version >= VMBUS_VERSION_6_0 ? 20 : 16);
}

static inline void guest_header(uint32_t type)
{
    const struct vmbus_msg_header m = {.type = type};

    assert_int_equal(guest_post(&m, sizeof(m)), 0);
}

/* Ask for offers and take `count` of them. */
static inline void guest_offers(unsigned count)
{
    guest_header(VMBUS_MSG_REQUESTOFFERS);
    while (count--)
        (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    (void)guest_take(VMBUS_MSG_ALLOFFERS_DELIVERED, 8);
    guest_silent();
}

static inline void guest_relid(uint32_t type, uint32_t relid)
{
    const struct vmbus_msg_relid m = {.header.type = type, .relid = relid};

    assert_int_equal(guest_post(&m, sizeof(m)), 0);
}

/* A GPADL of one range of `pages` pages from `pfn` on, in a header and as many bodies as needed. */
static inline void guest_gpadl_post(uint32_t relid, uint32_t id, uint32_t pages, uint64_t pfn)
{
    uint8_t bytes[VMBUS_MESSAGE_MAX];
    struct vmbus_msg_gpadl_header h = {.header.type = VMBUS_MSG_GPADL_HEADER,
                                       .relid = relid,
                                       .gpadl = id,
                                       .range_bytes = (uint16_t)(8 + 8 * pages),
                                       .range_count = 1};
    const struct vmbus_msg_gpadl_body b = {.header.type = VMBUS_MSG_GPADL_BODY, .gpadl = id};
    uint32_t range[2] = {pages * 4096, 0};
    size_t at = sizeof(h);

    memcpy(bytes, &h, sizeof(h));
    memcpy(bytes + at, range, 8);
    at += 8;
    for (uint32_t i = 0; i < pages; i++, pfn++) {
        if (at + 8 > sizeof(bytes)) {
            assert_int_equal(guest_post(bytes, at), 0);
            memcpy(bytes, &b, sizeof(b));
            at = sizeof(b);
        }
        memcpy(bytes + at, &pfn, 8);
        at += 8;
    }
    assert_int_equal(guest_post(bytes, at), 0);
}

static inline void guest_created(uint32_t relid, uint32_t id, uint32_t status)
{
    GUEST_TAKE(m, vmbus_msg_gpadl_created, VMBUS_MSG_GPADL_CREATED);
    assert_int_equal(m.relid, relid);
    assert_int_equal(m.gpadl, id);
    assert_int_equal(m.status, status);
}

static inline void guest_gpadl(uint32_t relid, uint32_t id, uint32_t pages)
{
    guest_gpadl_post(relid, id, pages, 0x100);
    guest_created(relid, id, 0);
}

static inline void guest_teardown(uint32_t relid, uint32_t id)
{
    const struct vmbus_msg_gpadl_teardown m = {
        .header.type = VMBUS_MSG_GPADL_TEARDOWN, .relid = relid, .gpadl = id};

    assert_int_equal(guest_post(&m, sizeof(m)), 0);
}

static inline void guest_torndown(uint32_t id)
{
    GUEST_TAKE(m, vmbus_msg_gpadl_torndown, VMBUS_MSG_GPADL_TORNDOWN);
    assert_int_equal(m.gpadl, id);
}

static inline void guest_open_post(uint32_t relid, uint32_t gpadl, uint32_t downstream, uint32_t vp)
{
    const struct vmbus_msg_openchannel m = {.header.type = VMBUS_MSG_OPENCHANNEL,
                                            .relid = relid,
                                            .open_id = relid + 1000,
                                            .ring_gpadl = gpadl,
                                            .target_vp = vp,
                                            .downstream_offset = downstream,
                                            .user_data = {0xAB}};

    assert_int_equal(guest_post(&m, sizeof(m)), 0);
}

static inline void guest_open_result(uint32_t relid, uint32_t status)
{
    GUEST_TAKE(m, vmbus_msg_openchannel_result, VMBUS_MSG_OPENCHANNEL_RESULT);
    assert_int_equal(m.relid, relid);
    assert_int_equal(m.open_id, relid + 1000);
    assert_int_equal(m.status, status);
}

static inline void effect(enum vmbus_effect_kind kind, uint32_t relid)
{
    struct vmbus_effect e;

    assert_true(vmbus_core_next(core, &e));
    assert_int_equal(e.kind, kind);
    assert_int_equal(e.relid, relid);
}

static inline void effect_none(void)
{
    struct vmbus_effect e;

    assert_false(vmbus_core_next(core, &e));
}

/* From a GPADL to an open channel. */
static inline void guest_open(uint32_t relid, uint32_t gpadl)
{
    guest_gpadl(relid, gpadl, 8);
    guest_open_post(relid, gpadl, 4, 0);
    effect(VMBUS_EFFECT_OPEN, relid);
    vmbus_core_open_done(core, relid, 0);
    guest_open_result(relid, 0);
}

static inline uint32_t host_offer(uint8_t number)
{
    struct vmbus_core_offer o = {.type = {1, 2, 3, 4},
                                 .instance = {number},
                                 .flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE,
                                 .mmio_mb = 8,
                                 .user_defined = {0x77}};
    uint32_t relid = 0;

    assert_int_equal(vmbus_core_offer(core, &o, &relid), 0);
    return relid;
}

static inline struct vmbus_core_stats stats(void)
{
    struct vmbus_core_stats s;

    vmbus_core_stats(core, &s);
    return s;
}

#endif
