/* SPDX-License-Identifier: MIT */
/* vmwpctl: talks to the control socket of a worker. It opens the files that a request brings. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "disk/disk.h"
#include "lib/bits.h"
#include "vmwp/ctl/ctl.h"

enum { EXIT_DONE, EXIT_REFUSED, EXIT_WRONG_USAGE };

#define LINE_SIZE 262144U

#define OPTIONS_LIMITS (OPTION_IOPS | OPTION_BANDWIDTH)
#define OPTIONS_ADD    (OPTION_DVD | OPTION_READ_ONLY | OPTION_FORMAT | OPTION_CACHED | OPTIONS_LIMITS)

int ctl_fail(const char *what)
{
    (void)fprintf(stderr, "vmwpctl: %s\n", what);
    return -1;
}

int ctl_fail_file(const char *path)
{
    (void)fprintf(stderr, "vmwpctl: %s: %s\n", path, strerror(errno));
    return -1;
}

static json_t *placed(const struct ctl_arguments *a, const char *what)
{
    return json_pack("{s:s, s:i, s:i}", "do", what, "controller", a->controller, "lun", a->lun);
}

static int add_file(struct ctl_request *r, json_t *names, const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        return ctl_fail_file(path);
    r->file[r->files++] = fd;
    (void)json_array_append_new(names, json_string(path));
    return 0;
}

/* The image and its parents: it is opened here to see which they are. As in the worker, what the
 * file holds does not decide what it is taken for. */
static int add_chain(struct ctl_request *r, const char *path, const char *format, bool read_only)
{
    const struct disk_options options = {
        .read_only = true, .shared = true, .cached = true, .format = format, .by_name = true};
    const char *paths[CTL_FILES_MAX];
    json_t *names = json_array();
    struct disk *disk;
    struct problem why;
    unsigned n;
    int err = 0;

    if (disk_open(&disk, path, &options, &why) < 0) {
        json_decref(names);
        return ctl_fail(why.text);
    }
    n = disk_paths(disk, paths, CTL_FILES_MAX);
    for (unsigned i = 0; i < n && i < CTL_FILES_MAX && !err; i++)
        err = add_file(r, names, paths[i], i == 0 && !read_only ? O_RDWR : O_RDONLY);
    (void)disk_close(disk);
    (void)json_object_set_new(r->object, "files", names);
    return err;
}

static void add_limits(const struct ctl_arguments *a, json_t *object)
{
    if (a->iops)
        (void)json_object_set_new(object, "iops", json_integer(a->iops));
    if (a->bandwidth)
        (void)json_object_set_new(object, "bandwidth", json_integer(a->bandwidth));
}

static int make_add(const struct ctl_arguments *a, struct ctl_request *r)
{
    bool dvd = a->given & OPTION_DVD, read_only = a->given & OPTION_READ_ONLY;

    r->object = placed(a, "disk-add");
    (void)json_object_set_new(r->object, "type", json_string(dvd ? "dvd" : "disk"));
    (void)json_object_set_new(r->object, "read_only", json_boolean(read_only));
    (void)json_object_set_new(r->object, "cached", json_boolean(a->given & OPTION_CACHED));
    if (a->format)
        (void)json_object_set_new(r->object, "format", json_string(a->format));
    add_limits(a, r->object);
    return add_chain(r, a->value, dvd ? "iso" : a->format, read_only || dvd);
}

static int make_remove(const struct ctl_arguments *a, struct ctl_request *r)
{
    r->object = placed(a, "disk-remove");
    return 0;
}

/* A number of bytes with K, M, G or T; -1. */
static json_int_t size_parse(const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    const char *unit;
    long long v;

    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno || text[0] < '0' || text[0] > '9')
        return -1;
    if (*end == 0)
        return v;
    unit = strchr(units, *end);
    if (!unit || end[1] || v > (1LL << 62) >> (10 * (unit - units + 1)))
        return -1;
    return v << (10 * (unit - units + 1));
}

/* "CONTROLLER:LUN"; which there are the machine knows. */
static bool place_parse(const char *text, struct ctl_arguments *a)
{
    const char *colon = strchr(text, ':');
    size_t length = strlen(text);

    if (!colon || length > 8 || strspn(text, "0123456789:") != length || colon == text ||
        !colon[1] || strchr(colon + 1, ':'))
        return false;
    a->controller = atoi(text);
    a->lun = atoi(colon + 1);
    return true;
}

static int make_resize(const struct ctl_arguments *a, struct ctl_request *r)
{
    r->object = placed(a, "disk-resize");
    (void)json_object_set_new(r->object, "size", json_integer(size_parse(a->value)));
    return 0;
}

static int make_medium(const struct ctl_arguments *a, struct ctl_request *r)
{
    r->object = placed(a, "medium");
    (void)json_object_set_new(r->object, "force", json_boolean(a->given & OPTION_FORCE));
    return a->value ? add_chain(r, a->value, "iso", true) : 0;
}

static int make_limit(const struct ctl_arguments *a, struct ctl_request *r)
{
    r->object = placed(a, "disk-limit");
    add_limits(a, r->object);
    return 0;
}

/* What needs nothing but the verb, which the machine knows by the same name. */
static int make_plain(const struct ctl_arguments *a, struct ctl_request *r)
{
    r->object = json_pack("{s:s}", "do", a->verb);
    return 0;
}

static int make_record(const struct ctl_arguments *a, struct ctl_request *r)
{
    struct problem why;

    if (output_begin(&r->output, a->value, 0600, a->given & OPTION_FORCE, &why) < 0)
        return ctl_fail(why.text);
    r->file[r->files++] = r->output.fd;
    r->object = json_pack("{s:s}", "do", "record");
    return 0;
}

/* Those about disks and the machine itself. */
static const struct ctl_verb verbs[] = {
    {"add", "CONTROLLER:LUN FILE", "put a disk there", OPTIONS_ADD, true, 1, make_add, 0, NULL},
    {"remove", "CONTROLLER:LUN", "take a disk or drive away", 0, true, 0, make_remove, 0, NULL},
    {"resize", "CONTROLLER:LUN SIZE", "let a disk grow", 0, true, 1, make_resize, 0, NULL},
    {"insert", "CONTROLLER:LUN FILE", "put another medium into a drive", OPTION_FORCE, true, 1,
     make_medium, 0, NULL},
    {"eject", "CONTROLLER:LUN", "take the medium out of a drive", OPTION_FORCE, true, 0,
     make_medium, 0, NULL},
    {"limit", "CONTROLLER:LUN", "change a disk's limits; those not given end", OPTIONS_LIMITS, true,
     0, make_limit, 0, NULL},
    {"counters", "", "print what disks, networks and services have done, as JSON", 0, false, 0,
     make_plain, 0, NULL},
    {"record", "FILE", "write the flight recorder of VMBus to a new file", OPTION_FORCE, false, 1,
     make_record, 0, NULL},
    {"pause", "", "stop all processors and the clocks of the guest", 0, false, 0, make_plain, 0,
     NULL},
    {"resume", "", "let them go on", 0, false, 0, make_plain, 0, NULL},
    {"power-button", "", "press it", 0, false, 0, make_plain, 0, NULL},
    {"quit", "", "end the machine at once", 0, false, 0, make_plain, 0, NULL},
};

/* In the order of the bits. */
static const struct {
    const char *name, *value, *help;
} option_help[] = {
    {"dvd", "", "a drive for DVDs with that medium, an ISO image"},
    {"read-only", "", "the guest cannot write to it"},
    {"format", " F", "raw, vhd, vhdx or iso; else the end of the name says it"},
    {"cached", "", "through the host's page cache"},
    {"force", "", NULL}, /* by the verb */
    {"iops", " N", "the most operations in a second; 0: any number"},
    {"bandwidth", " N", "the most bytes in a second, K, M, G or T behind N; 0: any number"},
    {"json", "", "print JSON"},
    {"timeout", " N", "seconds that the guest may take; else 30"},
    {"hold", " N", "seconds after which the guest goes on by itself; else 60"},
    {"create", "", "make the folder if it is not there"},
    {"mac", " M", "the address, XX:XX:XX:XX:XX:XX"},
    {"mtu", " N", "576 to 9000; 1500 if not given"},
    {"queues", " N", "of the device, 1 to 32; a processor of the guest uses one"},
};

/* The tables of the other files. */
static const struct ctl_verb *const more_verbs[] = {ctl_network_verbs, ctl_service_verbs};

static void verb_line(const struct ctl_verb *v)
{
    (void)printf("  %-14s %-20s %s\n", v->name, strlen(v->arguments) > 20 ? "..." : v->arguments,
                 v->help);
}

static void usage(void)
{
    (void)puts("usage: vmwpctl SOCKET VERB [OPTION...] [ARGUMENT...]\n"
               "Talks to the control socket of a virtual machine; see vmwpctl(8).\n");
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        verb_line(&verbs[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(more_verbs); i++)
        for (const struct ctl_verb *v = more_verbs[i]; v->name; v++)
            verb_line(v);
    (void)puts("\nvmwpctl VERB --help tells a verb's options.");
}

static void verb_usage(const struct ctl_verb *v)
{
    const char *force = v->place ? "without asking the guest" : "replace a file of that name";

    (void)printf("usage: vmwpctl SOCKET %s%s%s%s\nTo %s; see vmwpctl(8).\n\n", v->name,
                 v->options ? " [OPTION...]" : "", v->arguments[0] ? " " : "", v->arguments,
                 v->help);
    for (unsigned i = 0; i < ARRAY_SIZE(option_help); i++) {
        char left[24];

        (void)snprintf(left, sizeof(left), "--%s%s", option_help[i].name, option_help[i].value);
        if (v->options & 1U << i)
            (void)printf("  %-14s %s\n", left, option_help[i].help ? option_help[i].help : force);
    }
    (void)puts("  --help         print this");
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(addr.sun_path))
        return ctl_fail("the path of a socket has at most 107 bytes");
    memcpy(addr.sun_path, path, strlen(path) + 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return ctl_fail_file(path);
    return fd;
}

static int send_request(int fd, const struct ctl_request *r)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(CTL_FILES_MAX * sizeof(int))];
    } control = {0};
    char *text = json_dumps(r->object, JSON_COMPACT);
    struct iovec parts[] = {{text, text ? strlen(text) : 0}, {(char[]){'\n'}, 1}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n;

    if (!text)
        return ctl_fail("out of memory");
    if (r->files) {
        size_t size = r->files * sizeof(int);

        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), r->file, size);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(size);
    }
    n = sendmsg(fd, &m, MSG_NOSIGNAL);
    free(text);
    return n < 0 ? ctl_fail("the machine does not listen") : 0;
}

/* The answer's line; NULL. */
static json_t *receive_answer(int fd)
{
    static char line[LINE_SIZE];
    size_t length = 0;
    ssize_t n;

    while (length < sizeof(line) && !memchr(line, '\n', length)) {
        n = read(fd, line + length, sizeof(line) - length);
        if (n <= 0)
            return NULL;
        length += (size_t)n;
    }
    return json_loadb(line, length, JSON_DISABLE_EOF_CHECK, NULL);
}

static int show(const struct ctl_verb *v, const struct ctl_arguments *a, json_t *answer)
{
    if (!json_is_object(answer)) {
        (void)ctl_fail("no answer");
        return EXIT_REFUSED;
    }
    if (!json_is_true(json_object_get(answer, "ok"))) {
        const char *error = json_string_value(json_object_get(answer, "error"));

        (void)ctl_fail(error ? error : "refused");
        return EXIT_REFUSED;
    }
    (void)json_object_del(answer, "ok");
    if (v->print && !(a->given & OPTION_JSON)) {
        v->print(answer);
    } else if (json_object_size(answer) > 0) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(1));
        (void)putchar('\n');
    }
    return EXIT_DONE;
}

/* A file that was asked for is there as a whole, or not at all. */
static int finish_output(struct output *o, int status)
{
    struct problem why;

    if (o->fd < 0)
        return status;
    if (status != EXIT_DONE) {
        output_drop(o);
        return status;
    }
    if (output_commit(o, &why) == 0)
        return EXIT_DONE;
    (void)ctl_fail(why.text);
    return EXIT_REFUSED;
}

static int run(const struct ctl_verb *v, const struct ctl_arguments *a)
{
    struct ctl_request r = {.output.fd = -1};
    int status = EXIT_REFUSED, fd = -1, err;

    err = v->make(a, &r);
    if (err == 0)
        fd = connect_to(a->socket);
    if (fd >= 0 && send_request(fd, &r) == 0) {
        json_t *answer = receive_answer(fd);
        status = show(v, a, answer);
        json_decref(answer);
    }
    if (fd >= 0)
        (void)close(fd);
    json_decref(r.object);
    return err == -EINVAL ? EXIT_WRONG_USAGE : finish_output(&r.output, status);
}

static int options_parse(int argc, char **argv, struct ctl_arguments *a)
{
    static const struct option longs[] = {
        {"dvd", no_argument, NULL, OPTION_DVD},
        {"read-only", no_argument, NULL, OPTION_READ_ONLY},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"cached", no_argument, NULL, OPTION_CACHED},
        {"force", no_argument, NULL, OPTION_FORCE},
        {"iops", required_argument, NULL, OPTION_IOPS},
        {"bandwidth", required_argument, NULL, OPTION_BANDWIDTH},
        {"json", no_argument, NULL, OPTION_JSON},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"hold", required_argument, NULL, OPTION_HOLD},
        {"create", no_argument, NULL, OPTION_CREATE},
        {"mac", required_argument, NULL, OPTION_MAC},
        {"mtu", required_argument, NULL, OPTION_MTU},
        {"queues", required_argument, NULL, OPTION_QUEUES},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int c;

    argv[0] = (char[]){"vmwpctl"}; /* what getopt says begins with this */
    while ((c = getopt_long(argc, argv, "hV", longs, NULL)) != -1) {
        switch (c) {
        case OPTION_FORMAT:
            a->format = optarg;
            break;
        case OPTION_IOPS:
            a->iops = size_parse(optarg);
            break;
        case OPTION_BANDWIDTH:
            a->bandwidth = size_parse(optarg);
            break;
        case OPTION_TIMEOUT:
            a->timeout = size_parse(optarg);
            break;
        case OPTION_HOLD:
            a->hold = size_parse(optarg);
            break;
        case OPTION_MAC:
            a->mac = optarg;
            break;
        case OPTION_MTU:
            a->mtu = size_parse(optarg);
            break;
        case OPTION_QUEUES:
            a->queues = size_parse(optarg);
            break;
        case 'h':
            a->help = true;
            continue;
        case 'V':
            (void)puts("vmwpctl (Bulkhead) " VMWP_VERSION);
            exit(EXIT_DONE);
        case '?':
            return -EINVAL;
        default:
            break;
        }
        a->given |= (unsigned)c;
    }
    return 0;
}

static const struct ctl_verb *find(const char *name)
{
    for (unsigned i = 0; name && i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    for (unsigned i = 0; name && i < ARRAY_SIZE(more_verbs); i++)
        for (const struct ctl_verb *v = more_verbs[i]; v->name; v++)
            if (strcmp(v->name, name) == 0)
                return v;
    return NULL;
}

__attribute__((format(printf, 2, 3))) static int wrong_usage(const char *verb, const char *fmt, ...)
{
    va_list args;

    (void)fputs("vmwpctl: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "; try vmwpctl %s%s--help\n", verb, verb[0] ? " " : "");
    return EXIT_WRONG_USAGE;
}

/* The words behind SOCKET and VERB. */
static int words_parse(const struct ctl_verb *v, int count, char **word, struct ctl_arguments *a)
{
    if (a->given & ~v->options)
        return wrong_usage(v->name, "%s has no such option", v->name);
    a->word = word;
    a->words = count;
    if (count < v->place + v->values || count > v->place + v->values + v->optional)
        return wrong_usage(v->name, "%s wants %s behind it", v->name,
                           v->arguments[0] ? v->arguments : "nothing");
    if (a->iops < 0 || a->bandwidth < 0)
        return wrong_usage(v->name, "a limit is a number");
    if (a->timeout < 0 || a->hold < 0)
        return wrong_usage(v->name, "a time is a number of seconds");
    if (v->place && !place_parse(word[0], a))
        return wrong_usage(v->name, "not a place: '%.40s': it is CONTROLLER:LUN, as 0:1", word[0]);
    if (v->values)
        a->value = word[v->place];
    if (a->given & OPTION_MTU && (a->mtu < 576 || a->mtu > 9000))
        return wrong_usage(v->name, "mtu is 576 to 9000");
    if (a->given & OPTION_QUEUES && (a->queues < 1 || a->queues > (json_int_t)CTL_FILES_MAX))
        return wrong_usage(v->name, "queues is 1 to %u", CTL_FILES_MAX);
    if (v->make == make_resize && size_parse(a->value) <= 0)
        return wrong_usage(
            v->name, "not a size: '%.40s': it is bytes, or has K, M, G or T behind it", a->value);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct ctl_arguments a = {0};
    const struct ctl_verb *v;
    int err, left;

    if (options_parse(argc, argv, &a) < 0)
        return EXIT_WRONG_USAGE;
    left = argc - optind;
    v = find(left >= 2 ? argv[optind + 1] : NULL);
    if (a.help) {
        if (!v)
            v = find(argv[optind]); /* who asks need not name a socket */
        v ? verb_usage(v) : usage();
        return EXIT_DONE;
    }
    if (left < 2)
        return wrong_usage("", "SOCKET and VERB are wanted");
    if (!v)
        return wrong_usage("", "no such verb: %.40s", argv[optind + 1]);
    a.socket = argv[optind];
    a.verb = v->name;
    err = words_parse(v, left - 2, argv + optind + 2, &a);
    return err ? err : run(v, &a);
}
