/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vmwp/machine_priv.h"
#include "vmwp/tap.h"

/* Requests of the control socket for network adapters; vmwp.8 describes them. */

/* That a guest has to stop using an adapter before it is taken away. The main thread waits. */
#define RETIRE_MS 2000U

static int place_of(struct machine *m, int place, struct problem *why)
{
    if (place < 0 || !networks_adapter(m->networks, (unsigned)place))
        return problem_set(why, -ENOENT, "there is no network %d", place);
    return 0;
}

static int unpack(const struct control_request *r, struct problem *why, const char *format, ...)
{
    json_error_t error;
    va_list args;
    int err;

    va_start(args, format);
    err = json_vunpack_ex((json_t *)(uintptr_t)r->object, &error, JSON_STRICT, format, args);
    va_end(args);
    return err < 0 ? problem_set(why, -EINVAL, "%s", error.text) : 0;
}

static int wish_judge(struct config_network *what, const char *tap, const char *mac, int mtu,
                      struct problem *why)
{
    if (!tap_name_good(tap))
        return problem_set(why, -EINVAL, "tap is the name of a network device");
    if (mac && !config_mac(mac, what->mac))
        return problem_set(why, -EINVAL, "mac is XX:XX:XX:XX:XX:XX, and no group's");
    if (mtu < (int)CONFIG_MTU_MIN || mtu > (int)CONFIG_MTU_MAX)
        return problem_set(why, -EINVAL, "mtu is a number from %u to %u", CONFIG_MTU_MIN,
                           CONFIG_MTU_MAX);
    memcpy(what->tap, tap, strlen(tap) + 1);
    what->mac_given = mac != NULL;
    what->mtu = (uint32_t)mtu;
    return 0;
}

static int add(struct machine *m, struct control_request *r, json_t **answer, struct problem *why)
{
    struct config_network what = {.tap = ""};
    const char *verb, *tap, *mac = NULL;
    int mtu = CONFIG_MTU, mac_change = 0, spoofing = 0;
    int err = unpack(r, why, "{s:s, s:s, s?s, s?i, s?b, s?b}", "do", &verb, "tap", &tap, "mac",
                     &mac, "mtu", &mtu, "mac_change", &mac_change, "mac_spoofing", &spoofing);
    int place;

    if (!err)
        err = wish_judge(&what, tap, mac, mtu, why);
    if (err)
        return err;
    what.mac_change = mac_change;
    what.spoofing = spoofing;
    place = networks_add(m->networks, &what, r->file, r->files, why);
    if (place < 0)
        return place;
    r->files = 0; /* they are the adapter's */
    err = machine_vmbus_network_add(m, (unsigned)place);
    if (err) {
        networks_remove(m->networks, (unsigned)place);
        return problem_set(why, err, "VMBus: %s", strerror(-err));
    }
    *answer = json_pack("{s:i}", "network", place);
    return 0;
}

static int remove_it(struct machine *m, struct control_request *r, json_t **answer,
                     struct problem *why)
{
    const char *verb;
    int place, err = unpack(r, why, "{s:s, s:i}", "do", &verb, "network", &place);

    if (!err)
        err = place_of(m, place, why);
    if (err)
        return err;
    network_retire(networks_adapter(m->networks, (unsigned)place), RETIRE_MS);
    machine_vmbus_network_remove(m, (unsigned)place);
    networks_remove(m->networks, (unsigned)place);
    return 0;
}

static int link_set(struct machine *m, struct control_request *r, json_t **answer,
                    struct problem *why)
{
    const char *verb;
    int place, up, err;

    err = unpack(r, why, "{s:s, s:i, s:b}", "do", &verb, "network", &place, "up", &up);
    if (!err)
        err = place_of(m, place, why);
    if (!err)
        network_link(networks_adapter(m->networks, (unsigned)place), up);
    return err;
}

static const struct {
    const char *name;
    bool files; /* descriptors may come along */
    int (*run)(struct machine *m, struct control_request *r, json_t **answer, struct problem *why);
} verbs[] = {
    {"network-add", true, add},
    {"network-remove", false, remove_it},
    {"network-link", false, link_set},
};

bool machine_network_control(struct machine *m, struct control_request *r, json_t **answer,
                             int *err, struct problem *why)
{
    const char *name = json_string_value(json_object_get(r->object, "do"));

    for (unsigned i = 0; name && i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        if (r->files && !verbs[i].files)
            *err = problem_set(why, -EINVAL, "%s takes no descriptor", name);
        else
            *err = verbs[i].run(m, r, answer, why);
        return true;
    }
    return false;
}
