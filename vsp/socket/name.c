/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vsp/socket/socket_priv.h"

void name_of_port(uint32_t port, struct vmbus_guid *service)
{
    *service = (struct vmbus_guid){HVSOCKET_PORT_BYTES};
    for (unsigned i = 0; i < 4; i++)
        service->bytes[i] = (uint8_t)(port >> (8 * i));
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Where the bytes of a GUID's text stand in memory. */
static int guid_parse(const char *text, struct vmbus_guid *guid)
{
    static const uint8_t place[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    struct vmbus_guid g;

    for (unsigned i = 0; i < 16; i++) {
        int high, low;

        if (i == 4 || i == 6 || i == 8 || i == 10)
            if (*text++ != '-')
                return -EINVAL;
        high = digit(text[0]);
        low = high < 0 ? -1 : digit(text[1]);
        if (low < 0)
            return -EINVAL;
        g.bytes[place[i]] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return -EINVAL;
    *guid = g;
    return 0;
}

int relay_service_parse(const char *text, struct vmbus_guid *service)
{
    size_t length = strlen(text);
    uint64_t port = 0;

    if (length == 0 || length > 10 || strspn(text, "0123456789") != length)
        return guid_parse(text, service);
    for (size_t i = 0; i < length; i++)
        port = port * 10 + (uint64_t)(text[i] - '0');
    if (port >= UINT32_MAX) /* that one means any */
        return -EINVAL;
    name_of_port((uint32_t)port, service);
    return 0;
}

int greeting_parse(const char *line, struct vmbus_guid *service)
{
    static const char verb[] = "CONNECT ";

    if (strncmp(line, verb, sizeof(verb) - 1) != 0)
        return -EINVAL;
    return relay_service_parse(line + sizeof(verb) - 1, service);
}
