/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

/* {"nftables": [{"set": {"table": "bhswitch", "name": "bhp3_4", "elem": [{"elem": {"val":
 * "10.0.0.1", "expires": 99}}]}}]}; libnftables-json(5). */

/* "bhp3_4": 3, AF_INET */
static bool set_name(const char *name, unsigned *id, int *family)
{
    unsigned long v;
    char *end;

    if (strncmp(name, "bhp", 3) != 0 || name[3] < '0' || name[3] > '9')
        return false;
    v = strtoul(name + 3, &end, 10);
    if (v > 0xFFFFFF || (strcmp(end, "_4") != 0 && strcmp(end, "_6") != 0))
        return false;
    *id = (unsigned)v;
    *family = end[1] == '4' ? AF_INET : AF_INET6;
    return true;
}

static bool element(struct seen *out, const json_t *item)
{
    const json_t *inner = json_object_get(item, "elem");
    const char *text = json_string_value(json_object_get(inner, "val"));
    json_int_t left = json_integer_value(json_object_get(inner, "expires"));

    if (!text || left <= 0 || left > SEEN_S || inet_pton(out->family, text, out->address) != 1)
        return false;
    out->expires_s = (unsigned)left;
    return true;
}

static int add_set(struct seen_list *list, const json_t *set)
{
    const char *table = json_string_value(json_object_get(set, "table"));
    const char *name = json_string_value(json_object_get(set, "name"));
    const json_t *elements = json_object_get(set, "elem");
    struct seen e = {0}, *grown;
    unsigned n = 0;

    if (!table || strcmp(table, "bhswitch") != 0 || !name || !set_name(name, &e.port_id, &e.family))
        return 0;
    for (size_t k = 0; k < json_array_size(elements) && n < SEEN_PER_PORT; k++) {
        if (!element(&e, json_array_get(elements, k)))
            continue;
        grown = realloc(list->at, (list->n + 1) * sizeof(*list->at));
        if (!grown)
            return -ENOMEM;
        list->at = grown;
        list->at[list->n++] = e;
        n++;
    }
    return 0;
}

int seen_parse(struct seen_list *out, const char *text, size_t length)
{
    struct seen_list list = {0};
    json_t *root = json_loadb(text, length, 0, NULL);
    const json_t *all = json_object_get(root, "nftables");
    int err = root ? 0 : -EINVAL;

    for (size_t k = 0; !err && k < json_array_size(all) && k < 4 * PORTS_MAX; k++)
        err = add_set(&list, json_object_get(json_array_get(all, k), "set"));
    json_decref(root);
    if (err) {
        free(list.at);
        return err;
    }
    *out = list;
    return 0;
}
