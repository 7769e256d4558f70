/* SPDX-License-Identifier: MIT */
/* The verbs of vmwpctl that ask the guest, by its integration services. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "vmwp/ctl/ctl.h"

static void add(json_t *object, const char *key, const char *value)
{
    (void)json_object_set_new(object, key, json_string(value));
}

/* The verb, with what options say. */
static json_t *begin(const struct ctl_arguments *a, const char *what)
{
    json_t *object = json_pack("{s:s}", "do", what);

    if (a->given & OPTION_TIMEOUT)
        (void)json_object_set_new(object, "timeout", json_integer(a->timeout));
    if (a->given & OPTION_HOLD)
        (void)json_object_set_new(object, "hold", json_integer(a->hold));
    return object;
}

static int make_plain(const struct ctl_arguments *a, struct ctl_request *r)
{
    r->object = begin(a, a->verb);
    return 0;
}

static int wrong(const char *what)
{
    (void)ctl_fail(what);
    return -EINVAL;
}

/* A form of a verb with words of its own: the first word, and what the others are called. */
struct form {
    const char *word, *request;
    int least;
    const char *keys[5];
};

static int make_form(const struct form *forms, const struct ctl_arguments *a, struct ctl_request *r)
{
    const struct form *f = forms;
    int most = 0;

    while (f->word && strcmp(f->word, a->word[0]) != 0)
        f++;
    if (!f->word)
        return wrong("no such form of this verb; try vmwpctl VERB --help");
    while (most < 5 && f->keys[most])
        most++;
    if (a->words - 1 < f->least || a->words - 1 > most)
        return wrong("too few or too many words; try vmwpctl VERB --help");
    r->object = begin(a, f->request);
    for (int i = 1; i < a->words; i++)
        add(r->object, f->keys[i - 1], a->word[i]);
    return 0;
}

static int make_kvp(const struct ctl_arguments *a, struct ctl_request *r)
{
    static const struct form forms[] = {{"list", "kvp-list", 1, {"pool"}},
                                        {"get", "kvp-get", 2, {"pool", "key"}},
                                        {"set", "kvp-set", 3, {"pool", "key", "value"}},
                                        {"delete", "kvp-delete", 2, {"pool", "key"}},
                                        {0}};

    return make_form(forms, a, r);
}

static int make_ip(const struct ctl_arguments *a, struct ctl_request *r)
{
    static const struct form forms[] = {
        {"get", "ip-get", 1, {"adapter"}},
        {"set", "ip-set", 3, {"adapter", "address", "mask", "gateway", "dns"}},
        {"dhcp", "ip-set", 1, {"adapter"}},
        {0}};
    int err;

    if (a->words == 0)
        return make_plain(a, r);
    err = make_form(forms, a, r);
    if (!err && strcmp(a->word[0], "dhcp") == 0)
        (void)json_object_set_new(r->object, "dhcp", json_true());
    return err;
}

/* DEST is a folder in the guest with a '/' at its end, or the file's path there. */
static int make_copy(const struct ctl_arguments *a, struct ctl_request *r)
{
    const char *from = a->word[0], *to = a->word[1], *slash = strrchr(to, '/');
    const char *name = slash ? slash + 1 : to, *own = strrchr(from, '/');
    size_t folder;
    int fd;

    if (to[0] != '/')
        return wrong("the place in the guest is a path that begins with /");
    folder = (size_t)(slash - to);
    fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ctl_fail_file(from);
    r->file[r->files++] = fd;
    r->object = begin(a, "copy");
    add(r->object, "name", *name ? name : own ? own + 1 : from);
    (void)json_object_set_new(r->object, "folder",
                              folder ? json_stringn(to, folder) : json_string("/"));
    (void)json_object_set_new(r->object, "overwrite", json_boolean(a->given & OPTION_FORCE));
    (void)json_object_set_new(r->object, "create", json_boolean(a->given & OPTION_CREATE));
    return 0;
}

/* Texts come from the guest: no control characters for the terminal. */
static void put(const char *s)
{
    for (; s && *s; s++)
        (void)putchar((unsigned char)*s < ' ' || *s == 0x7F ? '?' : *s);
}

static void put_member(const json_t *object, const char *key)
{
    put(json_string_value(json_object_get(object, key)));
}

static void print_heartbeat(const json_t *answer)
{
    put_member(answer, "heartbeat");
    (void)putchar('\n');
}

static void print_kvp(const json_t *answer)
{
    const json_t *pairs = json_object_get(answer, "pairs");

    if (json_object_get(answer, "value")) {
        put_member(answer, "value");
        (void)putchar('\n');
    }
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        put_member(json_array_get(pairs, i), "key");
        (void)putchar('=');
        put_member(json_array_get(pairs, i), "value");
        (void)putchar('\n');
    }
}

static void print_ip(const json_t *answer)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)answer, key, value)
    {
        if (json_is_boolean(value))
            (void)printf("%s %s\n", key, json_is_true(value) ? "yes" : "no");
        for (size_t i = 0; i < json_array_size(value); i++) {
            (void)printf("%s ", key);
            put(json_string_value(json_array_get(value, i)));
            (void)putchar('\n');
        }
    }
}

const struct ctl_verb ctl_service_verbs[] = {
    {"shutdown", "", "ask the guest to switch itself off", OPTION_TIMEOUT, false, 0, make_plain, 0,
     NULL},
    {"reboot", "", "ask the guest to start anew", OPTION_TIMEOUT, false, 0, make_plain, 0, NULL},
    {"heartbeat", "", "say whether the guest lives", OPTION_JSON, false, 0, make_plain, 0,
     print_heartbeat},
    {"kvp", "list|get|set|delete POOL [KEY [VALUE]]", "read and change keys and values",
     OPTION_JSON | OPTION_TIMEOUT, false, 2, make_kvp, 2, print_kvp},
    {"ip", "[get MAC | set {GUID} IP MASK [GATEWAY [DNS]] | dhcp {GUID}]",
     "read and change addresses", OPTION_JSON | OPTION_TIMEOUT, false, 0, make_ip, 6, print_ip},
    {"freeze", "", "let its file systems stand still", OPTION_TIMEOUT | OPTION_HOLD, false, 0,
     make_plain, 0, NULL},
    {"thaw", "", "let them go on", OPTION_TIMEOUT, false, 0, make_plain, 0, NULL},
    {"copy", "FILE DEST", "copy a file into the guest",
     OPTION_FORCE | OPTION_CREATE | OPTION_TIMEOUT, false, 2, make_copy, 0, NULL},
    {0},
};
