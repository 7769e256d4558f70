/* SPDX-License-Identifier: MIT */
#ifndef VMWP_CTL_CTL_H
#define VMWP_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include "lib/hosted/output.h"

/* What the files of vmwpctl have in common. */

#define CTL_FILES_MAX 32U

/* Bits of ctl_arguments.given and ctl_verb.options. */
enum {
    OPTION_DVD = 1,
    OPTION_READ_ONLY = 2,
    OPTION_FORMAT = 4,
    OPTION_CACHED = 8,
    OPTION_FORCE = 16,
    OPTION_IOPS = 32,
    OPTION_BANDWIDTH = 64,
    OPTION_JSON = 128,
    OPTION_TIMEOUT = 256,
    OPTION_HOLD = 512,
    OPTION_CREATE = 1024,
    OPTION_MAC = 2048,
    OPTION_MTU = 4096,
    OPTION_QUEUES = 8192,
};

struct ctl_arguments {
    const char *socket, *verb;
    int controller, lun;
    const char *value; /* after CONTROLLER:LUN */
    char *const *word; /* all words behind the verb */
    int words;
    const char *format, *mac;
    bool help;
    json_int_t iops, bandwidth, timeout, hold, mtu, queues;
    unsigned given; /* OPTION_* */
};

/* What is sent, and the descriptors that go along. */
struct ctl_request {
    json_t *object;
    int file[CTL_FILES_MAX];
    unsigned files;
    struct output output; /* what the machine writes; it gets its name when that is complete */
};

struct ctl_verb {
    const char *name;
    const char *arguments;
    const char *help;
    unsigned options;
    bool place; /* CONTROLLER:LUN comes first */
    int values; /* that follow */
    /* Make the request. 0; -EINVAL: the words are wrong; or another error, which has been said. */
    int (*make)(const struct ctl_arguments *a, struct ctl_request *r);
    int optional;                        /* more words that may follow */
    void (*print)(const json_t *answer); /* for people; NULL: as JSON */
};

/** Say what is wrong; -1. */
int ctl_fail(const char *what);
int ctl_fail_file(const char *path);

/** network.c: the verbs about network adapters. The last has no name. */
extern const struct ctl_verb ctl_network_verbs[];

/** services.c: the verbs that ask the guest. The last has no name. */
extern const struct ctl_verb ctl_service_verbs[];

#endif
