/* SPDX-License-Identifier: MIT */
#ifndef ABI_VSP_SOCKET_SOCKET_H
#define ABI_VSP_SOCKET_SOCKET_H

#include <stdint.h>

/*
 * Hyper-V sockets: a connection is a channel of its own, in pipe mode. Checked against Linux 6.1
 * (net/vmw_vsock/hyperv_transport.c).
 *
 * The guest connects: TL_CONNECT_REQUEST with its endpoint and the service; the channel's type is
 * the service, its instance the endpoint. The host connects: the channel's type is the service of
 * the guest, its instance an endpoint of the host. A packet without data says that no more comes.
 */

/** A port of AF_VSOCK as a service: these bytes, the first four of them the port.
 * 00000000-facb-11e6-bd58-64006a7986d3 */
#define HVSOCKET_PORT_BYTES                                                                        \
    {                                                                                              \
        0x00, 0x00, 0x00, 0x00, 0xCB, 0xFA, 0xE6, 0x11, 0xBD, 0x58, 0x64, 0x00, 0x6A, 0x79, 0x86,  \
            0xD3                                                                                   \
    }

#define HVSOCKET_OFFER_FLAGS 0x2000U /* VMBUS_OFFER_TLNPI_PROVIDER */

/* Bytes of the offer's user-defined data, behind the type of the pipe. */
#define HVSOCKET_FROM_HOST 4U /* 1: the host connects */

#define HVSOCKET_DATA_MAX 16384U /* of a packet, either way */

#endif
