/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store that is taken can be written, is then the same, and rules can be made of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct switch_store st, again;
    static const struct seen_list nothing;
    struct problem why;
    char *text, *second;

    if (store_parse(&st, (const char *)data, size, &why) < 0)
        return 0;
    text = store_format(&st);
    if (!text || store_parse(&again, text, strlen(text), &why) < 0)
        abort();
    second = store_format(&again);
    if (!second || strcmp(text, second) != 0)
        abort();
    free(text);
    free(second);
    free(rules_format(&st, &nothing));
    for (unsigned k = 0; k < st.switches; k++)
        free(dnsmasq_hosts(&st, &st.sw[k]));
    return 0;
}
