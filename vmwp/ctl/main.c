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
#include "lib/hosted/output.h"
#include "vmwp/tap.h"

enum { EXIT_DONE, EXIT_REFUSED, EXIT_WRONG_USAGE };

#define FILES_MAX 32U
#define LINE_SIZE 65536U

struct arguments {
    const char *socket, *verb;
    int controller, lun;
    const char *value; /* after CONTROLLER:LUN */
    const char *second;
    const char *format, *mac;
    json_int_t mtu, queues;
    bool help;
    json_int_t iops, bandwidth;
    unsigned given; /* OPTION_* */
};

/* What is sent, and the descriptors that go along. */
struct request {
    json_t *object;
    int file[FILES_MAX];
    unsigned files;
    struct output output; /* what the machine writes; it gets its name when that is complete */
};

/* Bits of arguments.given and verb.options. */
enum {
    OPTION_DVD = 1,
    OPTION_READ_ONLY = 2,
    OPTION_FORMAT = 4,
    OPTION_CACHED = 8,
    OPTION_FORCE = 16,
    OPTION_IOPS = 32,
    OPTION_BANDWIDTH = 64,
    OPTION_MAC = 128,
    OPTION_MTU = 256,
    OPTION_QUEUES = 512,
};
#define OPTIONS_LIMITS  (OPTION_IOPS | OPTION_BANDWIDTH)
#define OPTIONS_NETWORK (OPTION_MAC | OPTION_MTU | OPTION_QUEUES)
#define OPTIONS_ADD     (OPTION_DVD | OPTION_READ_ONLY | OPTION_FORMAT | OPTION_CACHED | OPTIONS_LIMITS)

struct verb {
    const char *name;
    const char *arguments;
    const char *help;
    unsigned options;
    bool place; /* CONTROLLER:LUN comes first */
    int values; /* that follow */
    int (*make)(const struct arguments *a, struct request *r);
};

static int fail(const char *what)
{
    (void)fprintf(stderr, "vmwpctl: %s\n", what);
    return -1;
}

static int fail_file(const char *path)
{
    (void)fprintf(stderr, "vmwpctl: %s: %s\n", path, strerror(errno));
    return -1;
}

static json_t *placed(const struct arguments *a, const char *what)
{
    return json_pack("{s:s, s:i, s:i}", "do", what, "controller", a->controller, "lun", a->lun);
}

static int add_file(struct request *r, json_t *names, const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        return fail_file(path);
    r->file[r->files++] = fd;
    (void)json_array_append_new(names, json_string(path));
    return 0;
}

/* The image and its parents: it is opened here to see which they are. As in the worker, what the
 * file holds does not decide what it is taken for. */
static int add_chain(struct request *r, const char *path, const char *format, bool read_only)
{
    const struct disk_options options = {
        .read_only = true, .shared = true, .cached = true, .format = format, .by_name = true};
    const char *paths[FILES_MAX];
    json_t *names = json_array();
    struct disk *disk;
    struct problem why;
    unsigned n;
    int err = 0;

    if (disk_open(&disk, path, &options, &why) < 0) {
        json_decref(names);
        return fail(why.text);
    }
    n = disk_paths(disk, paths, FILES_MAX);
    for (unsigned i = 0; i < n && i < FILES_MAX && !err; i++)
        err = add_file(r, names, paths[i], i == 0 && !read_only ? O_RDWR : O_RDONLY);
    (void)disk_close(disk);
    (void)json_object_set_new(r->object, "files", names);
    return err;
}

static void add_limits(const struct arguments *a, json_t *object)
{
    if (a->iops)
        (void)json_object_set_new(object, "iops", json_integer(a->iops));
    if (a->bandwidth)
        (void)json_object_set_new(object, "bandwidth", json_integer(a->bandwidth));
}

static int make_add(const struct arguments *a, struct request *r)
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

static int make_remove(const struct arguments *a, struct request *r)
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
static bool place_parse(const char *text, struct arguments *a)
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

static int make_resize(const struct arguments *a, struct request *r)
{
    r->object = placed(a, "disk-resize");
    (void)json_object_set_new(r->object, "size", json_integer(size_parse(a->value)));
    return 0;
}

static int make_medium(const struct arguments *a, struct request *r)
{
    r->object = placed(a, "medium");
    (void)json_object_set_new(r->object, "force", json_boolean(a->given & OPTION_FORCE));
    return a->value ? add_chain(r, a->value, "iso", true) : 0;
}

static int make_limit(const struct arguments *a, struct request *r)
{
    r->object = placed(a, "disk-limit");
    add_limits(a, r->object);
    return 0;
}

/* A device that is not there yet is made, and goes with the machine's adapter. */
static int make_network_add(const struct arguments *a, struct request *r)
{
    json_int_t mtu = a->given & OPTION_MTU ? a->mtu : 1500;
    json_int_t queues = a->given & OPTION_QUEUES ? a->queues : 1;
    struct problem why;

    if (!tap_name_good(a->value))
        return fail("TAP is the name of a network device");
    if (tap_open(a->value, (unsigned)queues, (unsigned)mtu, r->file, &why) < 0)
        return fail(why.text);
    r->files = (unsigned)queues;
    r->object = json_pack("{s:s, s:s, s:I}", "do", "network-add", "tap", a->value, "mtu", mtu);
    if (a->mac)
        (void)json_object_set_new(r->object, "mac", json_string(a->mac));
    return 0;
}

static int network_number(const char *text)
{
    return strlen(text) <= 4 && strspn(text, "0123456789") == strlen(text) ? atoi(text) : -1;
}

static int make_network_remove(const struct arguments *a, struct request *r)
{
    r->object =
        json_pack("{s:s, s:i}", "do", "network-remove", "network", network_number(a->value));
    return 0;
}

static int make_link(const struct arguments *a, struct request *r)
{
    bool up = strcmp(a->second, "up") == 0;

    if (!up && strcmp(a->second, "down") != 0)
        return fail("a link is up or down");
    r->object = json_pack("{s:s, s:i, s:b}", "do", "network-link", "network",
                          network_number(a->value), "up", (int)up);
    return 0;
}

/* What needs nothing but the verb, which the machine knows by the same name. */
static int make_plain(const struct arguments *a, struct request *r)
{
    r->object = json_pack("{s:s}", "do", a->verb);
    return 0;
}

static int make_record(const struct arguments *a, struct request *r)
{
    struct problem why;

    if (output_begin(&r->output, a->value, 0600, a->given & OPTION_FORCE, &why) < 0)
        return fail(why.text);
    r->file[r->files++] = r->output.fd;
    r->object = json_pack("{s:s}", "do", "record");
    return 0;
}

static const struct verb verbs[] = {
    {"add", "CONTROLLER:LUN FILE", "put a disk there", OPTIONS_ADD, true, 1, make_add},
    {"remove", "CONTROLLER:LUN", "take a disk or drive away", 0, true, 0, make_remove},
    {"resize", "CONTROLLER:LUN SIZE", "let a disk grow", 0, true, 1, make_resize},
    {"insert", "CONTROLLER:LUN FILE", "put another medium into a drive", OPTION_FORCE, true, 1,
     make_medium},
    {"eject", "CONTROLLER:LUN", "take the medium out of a drive", OPTION_FORCE, true, 0,
     make_medium},
    {"limit", "CONTROLLER:LUN", "change a disk's limits; those not given end", OPTIONS_LIMITS, true,
     0, make_limit},
    {"network-add", "TAP", "add a network adapter; print its number", OPTIONS_NETWORK, false, 1,
     make_network_add},
    {"network-remove", "N", "take a network adapter away", 0, false, 1, make_network_remove},
    {"link", "N up|down", "plug a network adapter's cable in or out", 0, false, 2, make_link},
    {"counters", "", "print what disks and networks have done, as JSON", 0, false, 0, make_plain},
    {"record", "FILE", "write the flight recorder of VMBus to a new file", OPTION_FORCE, false, 1,
     make_record},
    {"pause", "", "stop all processors and the clocks of the guest", 0, false, 0, make_plain},
    {"resume", "", "let them go on", 0, false, 0, make_plain},
    {"power-button", "", "press it", 0, false, 0, make_plain},
    {"quit", "", "end the machine at once", 0, false, 0, make_plain},
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
    {"mac", " M", "the address, XX:XX:XX:XX:XX:XX"},
    {"mtu", " N", "576 to 9000; 1500 if not given"},
    {"queues", " N", "of the device, 1 to 32; a processor of the guest uses one"},
};

static void usage(void)
{
    (void)puts("usage: vmwpctl SOCKET VERB [OPTION...] [ARGUMENT...]\n"
               "Talks to the control socket of a virtual machine; see vmwpctl(8).\n");
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        (void)printf("  %-14s %-20s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
    (void)puts("\nvmwpctl VERB --help tells a verb's options.");
}

static void verb_usage(const struct verb *v)
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
        return fail("the path of a socket has at most 107 bytes");
    memcpy(addr.sun_path, path, strlen(path) + 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return fail_file(path);
    return fd;
}

static int send_request(int fd, const struct request *r)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FILES_MAX * sizeof(int))];
    } control = {0};
    char *text = json_dumps(r->object, JSON_COMPACT);
    struct iovec parts[] = {{text, text ? strlen(text) : 0}, {(char[]){'\n'}, 1}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n;

    if (!text)
        return fail("out of memory");
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
    return n < 0 ? fail("the machine does not listen") : 0;
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

static int show(json_t *answer)
{
    if (!json_is_object(answer)) {
        (void)fail("no answer");
        return EXIT_REFUSED;
    }
    if (!json_is_true(json_object_get(answer, "ok"))) {
        const char *error = json_string_value(json_object_get(answer, "error"));

        (void)fail(error ? error : "refused");
        return EXIT_REFUSED;
    }
    (void)json_object_del(answer, "ok");
    if (json_object_size(answer) > 0) {
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
    (void)fail(why.text);
    return EXIT_REFUSED;
}

static int run(const struct verb *v, const struct arguments *a)
{
    struct request r = {.output.fd = -1};
    int status = EXIT_REFUSED, fd = -1;

    if (v->make(a, &r) == 0)
        fd = connect_to(a->socket);
    if (fd >= 0 && send_request(fd, &r) == 0) {
        json_t *answer = receive_answer(fd);
        status = show(answer);
        json_decref(answer);
    }
    if (fd >= 0)
        (void)close(fd);
    json_decref(r.object);
    return finish_output(&r.output, status);
}

static int options_parse(int argc, char **argv, struct arguments *a)
{
    static const struct option longs[] = {
        {"dvd", no_argument, NULL, OPTION_DVD},
        {"read-only", no_argument, NULL, OPTION_READ_ONLY},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"cached", no_argument, NULL, OPTION_CACHED},
        {"force", no_argument, NULL, OPTION_FORCE},
        {"iops", required_argument, NULL, OPTION_IOPS},
        {"bandwidth", required_argument, NULL, OPTION_BANDWIDTH},
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

static const struct verb *find(const char *name)
{
    for (unsigned i = 0; name && i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
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
static int words_parse(const struct verb *v, int count, char **word, struct arguments *a)
{
    if (a->given & ~v->options)
        return wrong_usage(v->name, "%s has no such option", v->name);
    if (count != v->place + v->values)
        return wrong_usage(v->name, "%s wants %s behind it", v->name,
                           v->arguments[0] ? v->arguments : "nothing");
    if (a->iops < 0 || a->bandwidth < 0)
        return wrong_usage(v->name, "a limit is a number");
    if (v->place && !place_parse(word[0], a))
        return wrong_usage(v->name, "not a place: '%.40s': it is CONTROLLER:LUN, as 0:1", word[0]);
    if (v->values)
        a->value = word[v->place];
    if (v->values > 1)
        a->second = word[v->place + 1];
    if ((a->given & OPTION_MTU && (a->mtu < 576 || a->mtu > 9000)) ||
        (a->given & OPTION_QUEUES && (a->queues < 1 || a->queues > (json_int_t)FILES_MAX)))
        return wrong_usage(v->name, "mtu is 576 to 9000, queues is 1 to %u", FILES_MAX);
    if (v->make == make_resize && size_parse(a->value) <= 0)
        return wrong_usage(
            v->name, "not a size: '%.40s': it is bytes, or has K, M, G or T behind it", a->value);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    const struct verb *v;
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
