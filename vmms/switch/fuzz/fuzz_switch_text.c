/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void values(const char *text)
{
    static char out[VLAN_MAX * 5];
    struct vlan_set v, back;
    struct subnet s;
    struct mac m;
    uint64_t n;
    uint32_t a;

    if (vlans_parse(text, &v)) {
        vlans_text(out, sizeof(out), &v);
        if (!vlans_parse(out, &back) || memcmp(&v, &back, sizeof(v)) != 0)
            abort();
    }
    if (subnet_parse(text, &s) && (!subnet_has(&s, subnet_host(&s)) || s.prefix > 29))
        abort();
    if (rate_parse(text, &n) && n && (n < RATE_MIN || n > RATE_MAX))
        abort();
    (void)mac_parse(text, &m);
    (void)address_parse(text, &a);
    (void)name_good(text);
    (void)process_start_parse(text, &n);
}

/* All that reads text which dnsmasq, /proc or a person wrote. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct switch_store st = {.ports = 1, .port = {{.on = "n", .address = 0xAC1C0005}}};
    static const struct switch_config s = {.name = "n"};
    struct lease lease[8];
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    (void)dnsmasq_is(text, size, "/s/bhs0.conf");
    values(text);
    (void)lease_parse(lease, 8, text);
    free(lease_filter(text, &st, &s));
    free(text);
    return 0;
}
