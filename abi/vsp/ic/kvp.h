/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_IC_KVP_H
#define ABI_VSP_IC_KVP_H

#include "abi/vsp/ic/icmsg.h"

/* Messages of the key-value exchange. Texts are UTF-16 with a zero at the end, sizes in bytes with
 * that zero. Checked against Linux 6.1 (uapi/linux/hyperv.h, drivers/hv/hv_kvp.c). */

enum kvp_operation {
    KVP_GET = 0, /* Linux loses the first two characters of the value: not used */
    KVP_SET = 1,
    KVP_DELETE = 2,
    KVP_ENUMERATE = 3,
    KVP_GET_IP = 4,
    KVP_SET_IP = 5,
};

enum kvp_pool {
    KVP_POOL_EXTERNAL = 0,      /* the host writes, the guest reads */
    KVP_POOL_GUEST = 1,         /* the guest writes, the host reads */
    KVP_POOL_AUTO = 2,          /* what the guest tells of itself */
    KVP_POOL_AUTO_EXTERNAL = 3, /* what the host tells of itself */
    KVP_POOL_AUTO_INTERNAL = 4,
    KVP_POOLS = 5,
};

#define KVP_KEY_BYTES   512U
#define KVP_VALUE_BYTES 2048U

enum kvp_type { KVP_STRING = 1, KVP_U32 = 4, KVP_U64 = 8 };

struct kvp_header {
    uint8_t operation;
    uint8_t pool;
    uint16_t reserved;
};
IC_LAYOUT(sizeof(struct kvp_header) == 4);

struct kvp_pair {
    uint32_t type;
    uint32_t key_size;
    uint32_t value_size;
    uint8_t key[KVP_KEY_BYTES];
    uint8_t value[KVP_VALUE_BYTES];
};
IC_LAYOUT(sizeof(struct kvp_pair) == 2572);

/** GET and SET. */
struct kvp_set {
    struct kvp_header header;
    struct kvp_pair pair;
};
IC_LAYOUT(sizeof(struct kvp_set) == 2576);

struct kvp_delete {
    struct kvp_header header;
    uint32_t key_size;
    uint8_t key[KVP_KEY_BYTES];
};
IC_LAYOUT(sizeof(struct kvp_delete) == 520);

struct kvp_enumerate {
    struct kvp_header header;
    uint32_t index;
    struct kvp_pair pair; /* of the answer */
};
IC_LAYOUT(sizeof(struct kvp_enumerate) == 2580);

#define KVP_ADAPTER_BYTES 256U
#define KVP_ADDRESS_BYTES 2048U
#define KVP_GATEWAY_BYTES 1024U

#define KVP_FAMILY_IPV4 1U
#define KVP_FAMILY_IPV6 2U

/** GET_IP and SET_IP. Their header is two bytes shorter. Lists have ';' between their parts. */
struct kvp_ip {
    uint8_t operation;
    uint8_t pool;
    uint8_t adapter[KVP_ADAPTER_BYTES]; /* GET_IP: the MAC address; SET_IP: {GUID} of the adapter */
    uint8_t family;                     /* KVP_FAMILY_*, or both */
    uint8_t dhcp;
    uint8_t address[KVP_ADDRESS_BYTES];
    uint8_t mask[KVP_ADDRESS_BYTES];
    uint8_t gateway[KVP_GATEWAY_BYTES];
    uint8_t dns[KVP_ADDRESS_BYTES];
};
IC_LAYOUT(sizeof(struct kvp_ip) == 7428);
IC_LAYOUT(offsetof(struct kvp_ip, address) == 260);

#endif
