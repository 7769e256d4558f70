/* SPDX-License-Identifier: MIT */
#include "vmwp/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/bits.h"
#include "vmwp/config_priv.h"

struct key {
    const char *section;
    const char *name;
    int (*parse)(const struct config_entry *e);
    bool required;
};

int config_bad(const struct config_entry *e, const char *what)
{
    return problem_set(e->why, -EINVAL, "line %u: %s, not '%.80s'", e->line, what, e->value);
}

bool config_number(const char *s, uint64_t *out, const char **rest)
{
    uint64_t v = 0;
    unsigned n = 0;

    for (; s[n] >= '0' && s[n] <= '9'; n++) {
        if (n == 12)
            return false;
        v = v * 10 + (uint64_t)(s[n] - '0');
    }
    *out = v;
    *rest = s + n;
    return n > 0;
}

int config_number_in(const struct config_entry *e, uint64_t low, uint64_t high, const char *suffix,
                     uint32_t *out, const char *what)
{
    const char *rest;
    uint64_t v;

    if (!config_number(e->value, &v, &rest) || strcmp(rest, suffix) != 0 || v < low || v > high)
        return config_bad(e, what);
    *out = (uint32_t)v;
    return 0;
}

static int text(const struct config_entry *e, char *out, size_t size, const char *what)
{
    size_t len = strlen(e->value);

    if (len >= size)
        return problem_set(e->why, -EINVAL, "line %u: %s is longer than %zu bytes", e->line, what,
                           size - 1);
    memcpy(out, e->value, len + 1);
    return 0;
}

int config_absolute(const struct config_entry *e, const char *path, char *out, size_t size,
                    const char *what)
{
    const struct config_entry p = {e->config, path, e->line, e->why};

    if (path[0] != '/')
        return problem_set(e->why, -EINVAL, "line %u: %s wants an absolute path, not '%.80s'",
                           e->line, what, path);
    return text(&p, out, size, what);
}

static int parse_name(const struct config_entry *e)
{
    for (const char *s = e->value; *s; s++)
        if (*s <= ' ' || *s > '~' || *s == '/')
            return config_bad(e, "name is made of printable characters without spaces and slashes");
    return text(e, e->config->name, sizeof(e->config->name), "name");
}

static int parse_memory(const struct config_entry *e)
{
    static const char what[] = "memory is a number with M or G, 16M to 1024G, a multiple of 2M";
    const char *rest;
    uint64_t v;

    if (!config_number(e->value, &v, &rest) || (strcmp(rest, "M") != 0 && strcmp(rest, "G") != 0) ||
        v > CONFIG_MEMORY_MAX >> 20)
        return config_bad(e, what);
    v <<= rest[0] == 'M' ? 20 : 30;
    if (v < CONFIG_MEMORY_MIN || v > CONFIG_MEMORY_MAX || v % CONFIG_MEMORY_UNIT)
        return config_bad(e, what);
    e->config->memory = v;
    return 0;
}

int config_yes_no(const struct config_entry *e, bool *out, const char *what)
{
    if (strcmp(e->value, "yes") != 0 && strcmp(e->value, "no") != 0)
        return config_bad(e, what);
    *out = e->value[0] == 'y';
    return 0;
}

static int parse_memory_pinned(const struct config_entry *e)
{
    return config_yes_no(e, &e->config->memory_pinned, "memory_pinned is yes or no");
}

static int parse_processors(const struct config_entry *e)
{
    return config_number_in(e, 1, CONFIG_PROCESSORS_MAX, "", &e->config->processors,
                            "processors is a number from 1 to 64");
}

static int parse_on_crash(const struct config_entry *e)
{
    if (strcmp(e->value, "poweroff") == 0)
        e->config->on_crash = CONFIG_CRASH_POWEROFF;
    else if (strcmp(e->value, "reset") == 0)
        e->config->on_crash = CONFIG_CRASH_RESET;
    else
        return config_bad(e, "on_crash is poweroff or reset");
    return 0;
}

static int parse_weight(const struct config_entry *e)
{
    return config_number_in(e, 1, 10000, "", &e->config->weight,
                            "weight is a number from 1 to 10000");
}

static int parse_reserve(const struct config_entry *e)
{
    return config_number_in(e, 0, 100, "%", &e->config->reserve, "reserve is 0% to 100%");
}

static int parse_cap(const struct config_entry *e)
{
    return config_number_in(e, 1, 100, "%", &e->config->cap, "cap is 1% to 100%");
}

static int parse_kernel(const struct config_entry *e)
{
    e->config->kernel_line = e->line;
    return config_absolute(e, e->value, e->config->kernel, CONFIG_PATH_MAX, "kernel");
}

static int parse_initrd(const struct config_entry *e)
{
    e->config->initrd_line = e->line;
    return config_absolute(e, e->value, e->config->initrd, CONFIG_PATH_MAX, "initrd");
}

static int parse_cmdline(const struct config_entry *e)
{
    return text(e, e->config->cmdline, CONFIG_CMDLINE_MAX, "cmdline");
}

static int parse_console(const struct config_entry *e)
{
    static const char what[] = "console is none, terminal, file:PATH or unix:PATH";
    struct config *c = e->config;

    if (strcmp(e->value, "none") == 0 || strcmp(e->value, "terminal") == 0) {
        c->serial = e->value[0] == 'n' ? CONFIG_SERIAL_NONE : CONFIG_SERIAL_TERMINAL;
        return 0;
    }
    if (strncmp(e->value, "file:", 5) == 0) {
        c->serial = CONFIG_SERIAL_FILE;
        return config_absolute(e, e->value + 5, c->serial_path, CONFIG_PATH_MAX, "console file:");
    }
    if (strncmp(e->value, "unix:", 5) == 0) {
        c->serial = CONFIG_SERIAL_UNIX;
        return config_absolute(e, e->value + 5, c->serial_path, CONFIG_SOCKET_MAX, "console unix:");
    }
    return config_bad(e, what);
}

static int parse_socket(const struct config_entry *e)
{
    return config_absolute(e, e->value, e->config->control, CONFIG_SOCKET_MAX, "socket");
}

static int parse_user(const struct config_entry *e)
{
    static const char what[] = "user is UID:GID, two numbers from 1 to 4294967294";
    const char *rest;
    uint64_t uid, gid;

    if (!config_number(e->value, &uid, &rest) || *rest != ':' ||
        !config_number(rest + 1, &gid, &rest) || *rest)
        return config_bad(e, what);
    if (uid < 1 || uid >= UINT32_MAX || gid < 1 || gid >= UINT32_MAX)
        return config_bad(e, what);
    e->config->uid = (uint32_t)uid;
    e->config->gid = (uint32_t)gid;
    e->config->user_given = true;
    return 0;
}

/* The sections that there may be more than one of. */
static const char DISK[] = "disk";
static const char NETWORK[] = "network";

static const struct key keys[] = {
    {"machine", "name", parse_name, false},
    {"machine", "memory", parse_memory, true},
    {"machine", "memory_pinned", parse_memory_pinned, false},
    {"machine", "processors", parse_processors, false},
    {"machine", "on_crash", parse_on_crash, false},
    {"cpu", "weight", parse_weight, false},
    {"cpu", "reserve", parse_reserve, false},
    {"cpu", "cap", parse_cap, false},
    {"boot", "kernel", parse_kernel, true},
    {"boot", "initrd", parse_initrd, false},
    {"boot", "cmdline", parse_cmdline, false},
    {"serial", "console", parse_console, false},
    {"process", "user", parse_user, false},
    {"control", "socket", parse_socket, false},
    {"services", "heartbeat", config_services_heartbeat, false},
    {"services", "shutdown", config_services_shutdown, false},
    {"services", "time", config_services_time, false},
    {"services", "kvp", config_services_kvp, false},
    {"services", "vss", config_services_vss, false},
    {"services", "copy", config_services_copy, false},
    {"hvsocket", "path", config_socket_path, false},
    {"hvsocket", "services", config_socket_services, false},
    {DISK, "path", config_disk_path, false},
    {DISK, "type", config_disk_type, false},
    {DISK, "controller", config_disk_controller, false},
    {DISK, "lun", config_disk_lun, false},
    {DISK, "read_only", config_disk_read_only, false},
    {DISK, "format", config_disk_format, false},
    {DISK, "cache", config_disk_cache, false},
    {DISK, "iops", config_disk_iops, false},
    {DISK, "bandwidth", config_disk_bandwidth, false},
    {NETWORK, "tap", config_network_tap, false},
    {NETWORK, "mac", config_network_mac, false},
    {NETWORK, "mac_change", config_network_mac_change, false},
    {NETWORK, "mac_spoofing", config_network_spoofing, false},
    {NETWORK, "mtu", config_network_mtu, false},
    {NETWORK, "queues", config_network_queues, false},
};
_Static_assert(ARRAY_SIZE(keys) <= 64, "the keys seen are bits of a word");

/* The state of a parse between lines. */
struct parser {
    struct config config;
    const char *section; /* of the table above, NULL before the first */
    uint64_t seen;
    unsigned line;
    struct problem *why;
};

static char *trim(char *s)
{
    size_t len;

    while (*s == ' ' || *s == '\t')
        s++;
    len = strlen(s);
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        s[--len] = 0;
    return s;
}

/* One more [disk] or [network]; its keys may be given again. */
static int section_begin(struct parser *p)
{
    if (p->section != DISK && p->section != NETWORK)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].section == p->section)
            p->seen &= ~BIT64(i);
    return p->section == DISK ? config_disk_begin(&p->config, p->line, p->why)
                              : config_network_begin(&p->config, p->line, p->why);
}

/* The section before this line ends. */
static int section_end(struct parser *p)
{
    if (p->section == NETWORK)
        return config_network_end(&p->config, p->why);
    return p->section == DISK ? config_disk_end(&p->config, p->why) : 0;
}

static int section_line(struct parser *p, char *s)
{
    size_t len = strlen(s);
    int err;

    if (s[len - 1] != ']')
        return problem_set(p->why, -EINVAL, "line %u: ']' is missing", p->line);
    s[len - 1] = 0;
    err = section_end(p);
    if (err)
        return err;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(keys[i].section, s + 1) == 0) {
            p->section = keys[i].section;
            return section_begin(p);
        }
    }
    return problem_set(p->why, -EINVAL, "line %u: unknown section [%.40s]", p->line, s + 1);
}

static int key_line(struct parser *p, char *s)
{
    char *equals = strchr(s, '=');
    const char *name, *value;

    if (!equals)
        return problem_set(p->why, -EINVAL, "line %u: 'key = value' expected, not '%.80s'", p->line,
                           s);
    *equals = 0;
    name = trim(s);
    value = trim(equals + 1);
    if (!p->section)
        return problem_set(p->why, -EINVAL, "line %u: '%.40s' stands before the first [section]",
                           p->line, name);
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct config_entry e = {&p->config, value, p->line, p->why};
        if (strcmp(keys[i].section, p->section) != 0 || strcmp(keys[i].name, name) != 0)
            continue;
        if (p->seen & BIT64(i))
            return problem_set(p->why, -EINVAL, "line %u: '%s' is given twice", p->line, name);
        p->seen |= BIT64(i);
        if (!*value)
            return problem_set(p->why, -EINVAL, "line %u: '%s' has no value", p->line, name);
        return keys[i].parse(&e);
    }
    return problem_set(p->why, -EINVAL, "line %u: unknown key '%.40s' in [%s]", p->line, name,
                       p->section);
}

static int parse_line(struct parser *p, const char *line, size_t len)
{
    char copy[CONFIG_LINE_MAX];
    char *s;

    if (len >= sizeof(copy))
        return problem_set(p->why, -EINVAL, "line %u: longer than %zu bytes", p->line,
                           sizeof(copy) - 1);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' && line[i] != '\t')
            return problem_set(p->why, -EINVAL, "line %u: a control character", p->line);
    memcpy(copy, line, len);
    copy[len] = 0;
    s = trim(copy);
    if (*s == 0 || *s == '#')
        return 0;
    return *s == '[' ? section_line(p, s) : key_line(p, s);
}

static int check_complete(const struct parser *p)
{
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].required && !(p->seen & BIT64(i)))
            return problem_set(p->why, -EINVAL, "line %u: '%s' in [%s] is missing", p->line,
                               keys[i].name, keys[i].section);
    if (p->config.cap && p->config.reserve > p->config.cap)
        return problem_set(p->why, -EINVAL, "line %u: reserve %u%% is more than cap %u%%", p->line,
                           p->config.reserve, p->config.cap);
    return 0;
}

int config_parse(struct config *out, const char *text, size_t len, struct problem *why)
{
    static struct parser p; /* too large for a stack */

    p = (struct parser){.config = {.name = "machine", .processors = 1}, .why = why};
    p.config.serial = CONFIG_SERIAL_TERMINAL;
    config_services_begin(&p.config);
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - (text + at)) : len - at;
        int err;

        p.line++;
        err = parse_line(&p, text + at, n);
        if (err < 0)
            return err;
        at += n + 1;
    }
    int err = section_end(&p);
    if (!err)
        err = check_complete(&p);
    if (err < 0)
        return err;
    *out = p.config;
    return 0;
}

/* The whole file into buf; its length or -errno. */
static ssize_t file_read(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t n;

    if (fd < 0)
        return -errno;
    while ((n = read(fd, buf + used, size - used)) > 0)
        used += (size_t)n;
    n = n < 0 ? -errno : used == size ? -EFBIG : (ssize_t)used;
    (void)close(fd);
    return n;
}

static int readable(const char *path, unsigned line, const char *key, struct problem *why)
{
    struct stat st;

    if (stat(path, &st) < 0 || access(path, R_OK) < 0)
        return problem_set(why, -errno, "line %u: %s: %s: %m", line, key, path);
    if (!S_ISREG(st.st_mode))
        return problem_set(why, -EINVAL, "line %u: %s: %s: not a file", line, key, path);
    return 0;
}

int config_load(struct config *out, const char *path, struct problem *why)
{
    static char buf[CONFIG_FILE_MAX + 1];
    static struct config c;
    ssize_t len = file_read(path, buf, sizeof(buf));
    struct problem inner = {{0}};
    int err;

    if (len < 0)
        return problem_set(why, (int)len, "%s: %s", path, strerror((int)-len));
    err = config_parse(&c, buf, (size_t)len, &inner);
    if (!err)
        err = readable(c.kernel, c.kernel_line, "kernel", &inner);
    if (!err && c.initrd[0])
        err = readable(c.initrd, c.initrd_line, "initrd", &inner);
    if (err)
        return problem_set(why, err, "%s: %.400s", path, inner.text);
    *out = c;
    return 0;
}
