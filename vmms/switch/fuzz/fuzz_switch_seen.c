/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdlib.h>
#include "vmms/switch/switch_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen_list list;

    if (seen_parse(&list, (const char *)data, size) < 0)
        return 0;
    for (unsigned k = 0; k < list.n; k++)
        if (list.at[k].expires_s == 0 || list.at[k].expires_s > SEEN_S ||
            (list.at[k].family != AF_INET && list.at[k].family != AF_INET6))
            abort();
    free(list.at);
    return 0;
}
