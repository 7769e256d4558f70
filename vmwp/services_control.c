/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "abi/vsp/ic/kvp.h"
#include "lib/bits.h"
#include "lib/hosted/fd.h"
#include "vmwp/services_priv.h"

/* The requests of the control socket for services; vmwp.8 describes them. */

#define TIMEOUT_S     30
#define TIMEOUT_MAX_S 3600
#define HOLD_S        60 /* of a freeze */

struct verb {
    const char *name;
    enum ic_verb verb;
    const char *keys; /* that the request may have, with a space behind each */
    /* Fill in the job's request. 0, or -errno with *why. */
    int (*make)(struct services_job *job, struct control_request *r, struct problem *why);
    int (*finish)(struct services_job *job, struct problem *why);
};

static const char *const pools[KVP_POOLS] = {
    [KVP_POOL_EXTERNAL] = "external",
    [KVP_POOL_GUEST] = "guest",
    [KVP_POOL_AUTO] = "auto",
    [KVP_POOL_AUTO_EXTERNAL] = "auto-external",
    [KVP_POOL_AUTO_INTERNAL] = "auto-internal",
};

/* A text of the request into its place. */
static int text(const json_t *words, const char *key, bool needed, char *out, size_t size,
                struct problem *why)
{
    const json_t *value = json_object_get(words, key);
    const char *s = json_string_value(value);

    if (!value && !needed)
        return 0;
    if (!s)
        return problem_set(why, -EINVAL, "%s: a text is wanted", key);
    if (strlen(s) >= size || strlen(s) != json_string_length(value))
        return problem_set(why, -EINVAL, "%s: at most %zu bytes", key, size - 1);
    memcpy(out, s, strlen(s) + 1);
    return 0;
}

static int seconds(const json_t *words, const char *key, int otherwise, uint32_t *ms,
                   struct problem *why)
{
    const json_t *value = json_object_get(words, key);
    json_int_t v = value ? json_integer_value(value) : otherwise;

    if (v < 1 || v > TIMEOUT_MAX_S)
        return problem_set(why, -EINVAL, "%s: seconds from 1 to %d", key, TIMEOUT_MAX_S);
    *ms = (uint32_t)v * 1000;
    return 0;
}

static int make_nothing(struct services_job *job, struct control_request *r, struct problem *why)
{
    return 0;
}

static int make_freeze(struct services_job *job, struct control_request *r, struct problem *why)
{
    return seconds(job->words, "hold", HOLD_S, &job->request.hold_ms, why);
}

/* In the thread of the service. */
static int note_pair(struct ic_request *r, const char *key, const char *value)
{
    struct services_job *job = r->ctx;
    json_t *pair = json_pack("{s:s, s:s}", "key", key, "value", value);

    return json_array_append_new(json_object_get(job->found, "pairs"), pair) < 0 ? -ENOMEM : 0;
}

static int make_pool(struct services_job *job, const char *name, struct problem *why)
{
    unsigned i = 0;

    while (i < KVP_POOLS && (!name || strcmp(pools[i], name) != 0))
        i++;
    if (i == KVP_POOLS)
        return problem_set(why, -EINVAL,
                           "pool is external, guest, auto, auto-external or auto-internal");
    job->request.kvp.pool = (uint8_t)i;
    job->request.kvp.pair = note_pair;
    if (job->request.verb != IC_ASK_KVP_LIST)
        return 0;
    job->found = json_pack("{s:[]}", "pairs");
    return job->found ? 0 : problem_set(why, -ENOMEM, "out of memory");
}

static int make_kvp(struct services_job *job, struct control_request *r, struct problem *why)
{
    int err = make_pool(job, json_string_value(json_object_get(job->words, "pool")), why);

    if (!err && job->request.verb != IC_ASK_KVP_LIST)
        err = text(job->words, "key", true, job->request.kvp.key, IC_KEY_MAX, why);
    if (!err && job->request.verb == IC_ASK_KVP_SET)
        err = text(job->words, "value", true, job->request.kvp.value, IC_VALUE_MAX, why);
    return err;
}

/* Linux may have a key twice after a crash of its daemon: the last counts, as there. */
static const char *value_of(const json_t *found, const char *key)
{
    const json_t *pairs = json_object_get(found, "pairs");
    const char *value = NULL;

    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        if (strcmp(json_string_value(json_object_get(pair, "key")), key) == 0)
            value = json_string_value(json_object_get(pair, "value"));
    }
    return value;
}

static int make_get(struct services_job *job, struct control_request *r, struct problem *why)
{
    job->key = json_string_value(json_object_get(job->words, "key"));
    if (!job->key)
        return problem_set(why, -EINVAL, "key: a text is wanted");
    return make_kvp(job, r, why);
}

static int finish_get(struct services_job *job, struct problem *why)
{
    const char *value = value_of(job->found, job->key);
    json_t *answer;

    if (!value)
        return problem_set(why, -ENOENT, "there is no such key in that pool");
    answer = json_pack("{s:s}", "value", value);
    json_decref(job->found);
    job->found = answer;
    return 0;
}

/* What the guest says of its addresses, without a word about adapters. */
static int make_addresses(struct services_job *job, struct control_request *r, struct problem *why)
{
    return make_pool(job, "auto", why);
}

/* "a;b;" as a list. */
static json_t *list_of(const char *s)
{
    json_t *list = json_array();

    while (s && *s) {
        size_t n = strcspn(s, ";");
        if (n)
            (void)json_array_append_new(list, json_stringn(s, n));
        s += n + (s[n] == ';');
    }
    return list;
}

static int finish_addresses(struct services_job *job, struct problem *why)
{
    json_t *answer =
        json_pack("{s:o, s:o}", "ipv4", list_of(value_of(job->found, "NetworkAddressIPv4")), "ipv6",
                  list_of(value_of(job->found, "NetworkAddressIPv6")));

    json_decref(job->found);
    job->found = answer;
    return 0;
}

static int make_ip_get(struct services_job *job, struct control_request *r, struct problem *why)
{
    struct ic_ip *ip = &job->request.ip;

    ip->ipv4 = ip->ipv6 = true;
    return text(job->words, "adapter", true, ip->adapter, sizeof(ip->adapter), why);
}

static int make_ip_set(struct services_job *job, struct control_request *r, struct problem *why)
{
    struct ic_ip *ip = &job->request.ip;
    int err = text(job->words, "adapter", true, ip->adapter, sizeof(ip->adapter), why);

    ip->dhcp = json_is_true(json_object_get(job->words, "dhcp"));
    if (!err)
        err = text(job->words, "address", !ip->dhcp, ip->address, sizeof(ip->address), why);
    if (!err)
        err = text(job->words, "mask", !ip->dhcp, ip->mask, sizeof(ip->mask), why);
    if (!err)
        err = text(job->words, "gateway", false, ip->gateway, sizeof(ip->gateway), why);
    if (!err)
        err = text(job->words, "dns", false, ip->dns, sizeof(ip->dns), why);
    ip->ipv6 = strchr(ip->address, ':') != NULL;
    ip->ipv4 = strchr(ip->address, '.') != NULL || !ip->ipv6;
    return err;
}

static int finish_ip_get(struct services_job *job, struct problem *why)
{
    const struct ic_ip *ip = &job->request.ip;

    job->found = json_pack("{s:b, s:o, s:o, s:o, s:o}", "dhcp", ip->dhcp, "address",
                           list_of(ip->address), "mask", list_of(ip->mask), "gateway",
                           list_of(ip->gateway), "dns", list_of(ip->dns));
    return 0;
}

static int make_copy(struct services_job *job, struct control_request *r, struct problem *why)
{
    struct ic_request *ask = &job->request;
    struct stat st;
    int err = text(job->words, "name", true, ask->copy.name, sizeof(ask->copy.name), why);

    ask->copy.file = -1;
    if (!err)
        err = text(job->words, "folder", true, ask->copy.folder, sizeof(ask->copy.folder), why);
    if (err)
        return err;
    if (r->files != 1 || fd_stat(r->file[0], &st) < 0 || !S_ISREG(st.st_mode))
        return problem_set(why, -EINVAL, "a file has to come along");
    if (ask->copy.folder[0] != '/')
        return problem_set(why, -EINVAL, "folder: a path that begins with / is wanted");
    ask->copy.size = (uint64_t)st.st_size;
    ask->copy.overwrite = json_is_true(json_object_get(job->words, "overwrite"));
    ask->copy.create_path = json_is_true(json_object_get(job->words, "create"));
    ask->copy.file = r->file[0];
    r->file[0] = -1;
    return 0;
}

static const struct verb verbs[] = {
    {"shutdown", IC_ASK_POWER_OFF, "", make_nothing, NULL},
    {"reboot", IC_ASK_RESTART, "", make_nothing, NULL},
    {"kvp-list", IC_ASK_KVP_LIST, "pool ", make_kvp, NULL},
    {"kvp-get", IC_ASK_KVP_LIST, "pool key ", make_get, finish_get},
    {"kvp-set", IC_ASK_KVP_SET, "pool key value ", make_kvp, NULL},
    {"kvp-delete", IC_ASK_KVP_DELETE, "pool key ", make_kvp, NULL},
    {"ip", IC_ASK_KVP_LIST, "", make_addresses, finish_addresses},
    {"ip-get", IC_ASK_IP_GET, "adapter ", make_ip_get, finish_ip_get},
    {"ip-set", IC_ASK_IP_SET, "adapter address mask gateway dns dhcp ", make_ip_set, NULL},
    {"freeze", IC_ASK_FREEZE, "hold ", make_freeze, NULL},
    {"thaw", IC_ASK_THAW, "", make_nothing, NULL},
    {"copy", IC_ASK_COPY, "name folder overwrite create ", make_copy, NULL},
};

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

bool services_verb(const char *name)
{
    return strcmp(name, "heartbeat") == 0 || find(name);
}

/* Answered at once: nobody waits for a guest that may hang. */
static int heartbeat(struct services *s, json_t **answer, struct problem *why)
{
    struct ic *ic = s->ic[IC_HEARTBEAT];
    struct ic_info i;
    const char *state = "none";

    if (!ic)
        return problem_set(why, -ENODEV, "the heartbeat service is off in the configuration");
    ic_info(ic, &i);
    if (s->paused)
        state = "paused";
    else if (i.state == IC_READY)
        state = i.alive ? "ok" : "lost";
    *answer = json_pack("{s:s, s:f}", "heartbeat", state, "quiet_s", (double)i.quiet_ns / 1e9);
    return *answer ? 0 : -ENOMEM;
}

/* Whether a verb has a key of that name. */
static bool has_key(const struct verb *v, const char *key)
{
    const size_t n = strlen(key);

    if (strcmp(key, "do") == 0 || strcmp(key, "timeout") == 0)
        return true;
    for (const char *at = v->keys; *at; at = strchr(at, ' ') + 1)
        if (strncmp(at, key, n) == 0 && at[n] == ' ')
            return true;
    return false;
}

static int keys_check(const struct verb *v, json_t *words, struct problem *why)
{
    const char *key;
    json_t *value;

    json_object_foreach(words, key, value)
    {
        if (!has_key(v, key))
            return problem_set(why, -EINVAL, "'%.40s' is no word for %s", key, v->name);
    }
    return 0;
}

int services_control(struct services *s, struct control_request *request, json_t **answer,
                     struct problem *why)
{
    const char *name = json_string_value(json_object_get(request->object, "do"));
    const struct verb *v = find(name);
    struct services_job *job;
    int err;

    if (!v)
        return heartbeat(s, answer, why);
    job = calloc(1, sizeof(*job));
    if (!job)
        return problem_set(why, -ENOMEM, "out of memory");
    job->words = json_incref((json_t *)(uintptr_t)request->object);
    job->ticket = request->ticket;
    job->finish = v->finish;
    job->request.verb = v->verb;
    err = keys_check(v, job->words, why);
    if (!err)
        err = seconds(job->words, "timeout", TIMEOUT_S, &job->request.timeout_ms, why);
    if (v->verb == IC_ASK_COPY)
        job->request.copy.file = -1;
    if (!err && request->files && v->verb != IC_ASK_COPY)
        err = problem_set(why, -EINVAL, "%s takes no descriptor", name);
    if (!err)
        err = v->make(job, request, why);
    if (err) {
        services_job_free(job);
        return err;
    }
    return services_begin(s, job, why);
}
