/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/hosted/output.h"
#include "vmms/switch/switch_priv.h"

static void store_path(char *out, size_t size, const char *folder)
{
    (void)snprintf(out, size, "%s/switches.json", folder);
}

void switch_bridge_name(char out[IFNAMSIZ], const struct switch_config *s)
{
    (void)snprintf(out, IFNAMSIZ, "bhs%u", s->id & 0xFFFFFF);
}

void switch_tap_name(char out[IFNAMSIZ], const struct port_config *p)
{
    (void)snprintf(out, IFNAMSIZ, "bhp%u", p->id & 0xFFFFFF);
}

/* dnsmasq, which is not root, reads its files there: others may look in. */
static int make_folder(const char *folder)
{
    char path[4096];
    size_t n = strlen(folder);

    if (n == 0 || n >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, folder, n + 1);
    for (size_t k = 1; k <= n; k++) {
        if (path[k] != '/' && path[k])
            continue;
        path[k] = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -errno;
        path[k] = folder[k];
    }
    return 0;
}

int store_lock(struct store_lock *l, const char *folder, struct problem *why)
{
    char path[4096];
    int err = make_folder(folder), fd = -1;

    if (!err) {
        (void)snprintf(path, sizeof(path), "%s/lock", folder);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        err = fd < 0 ? -errno : 0;
    }
    if (!err && flock(fd, LOCK_EX) < 0)
        err = -errno;
    if (err) {
        if (fd >= 0)
            (void)close(fd);
        return problem_set(why, err, "%.400s: %s", folder, strerror(-err));
    }
    l->fd = fd;
    return 0;
}

void store_unlock(struct store_lock *l)
{
    (void)close(l->fd);
    l->fd = -1;
}

int file_read(char **out, size_t *length, const char *path, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = fd < 0 ? NULL : malloc(max + 1);
    size_t got = 0;
    ssize_t n = 1;

    if (!text) {
        int err = fd < 0 ? -errno : -ENOMEM;

        if (fd >= 0)
            (void)close(fd);
        return err;
    }
    while (got < max && (n = read(fd, text + got, max - got)) > 0)
        got += (size_t)n;
    if (n > 0) {
        char more;

        n = read(fd, &more, 1);
        n = n > 0 ? -1 : n;
        errno = n < 0 ? EFBIG : 0;
    }
    if (n < 0) {
        int err = -errno;

        free(text);
        (void)close(fd);
        return err;
    }
    (void)close(fd);
    text[got] = 0;
    *out = text;
    if (length)
        *length = got;
    return 0;
}

int file_write(const char *path, const char *text, struct problem *why)
{
    size_t n = strlen(text), done = 0;
    struct output o;
    int err = output_begin(&o, path, 0644, true, why);

    if (err)
        return err;
    while (done < n) {
        ssize_t k = write(o.fd, text + done, n - done);

        if (k <= 0) {
            err = k < 0 ? -errno : -EIO;
            output_drop(&o);
            return problem_set(why, err, "%.400s: %s", path, strerror(-err));
        }
        done += (size_t)k;
    }
    return output_commit(&o, why);
}

int store_load(struct switch_store *st, const char *folder, struct problem *why)
{
    struct problem inner;
    char path[4096], *text;
    size_t length;
    int err;

    store_path(path, sizeof(path), folder);
    err = file_read(&text, &length, path, STORE_BYTES_MAX);
    if (err == -ENOENT) {
        memset(st, 0, sizeof(*st));
        return 0;
    }
    if (err)
        return problem_set(why, err, "%.400s: %s", path, strerror(-err));
    err = store_parse(st, text, length, &inner);
    free(text);
    return err ? problem_set(why, err, "%.200s: %.250s", path, inner.text) : 0;
}

int store_save(const struct switch_store *st, const char *folder, struct problem *why)
{
    char path[4096], *text = store_format(st);
    int err;

    if (!text)
        return problem_set(why, -ENOMEM, "%s", strerror(ENOMEM));
    store_path(path, sizeof(path), folder);
    err = file_write(path, text, why);
    free(text);
    return err;
}

int switch_load(struct switch_store **out, const char *folder, struct problem *why)
{
    struct switch_store *st = malloc(sizeof(*st));
    int err = st ? store_load(st, folder, why) : problem_set(why, -ENOMEM, "%s", strerror(ENOMEM));

    if (err) {
        free(st);
        return err;
    }
    *out = st;
    return 0;
}

struct switch_config *store_switch(struct switch_store *st, const char *name)
{
    for (unsigned k = 0; k < st->switches; k++)
        if (strcmp(st->sw[k].name, name) == 0)
            return &st->sw[k];
    return NULL;
}

struct port_config *store_port(struct switch_store *st, const char *name)
{
    for (unsigned k = 0; k < st->ports; k++)
        if (strcmp(st->port[k].name, name) == 0)
            return &st->port[k];
    return NULL;
}

const struct switch_config *switch_named(const struct switch_store *st, const char *name)
{
    for (unsigned k = 0; k < st->switches; k++)
        if (strcmp(st->sw[k].name, name) == 0)
            return &st->sw[k];
    return NULL;
}

const struct port_config *switch_port_named(const struct switch_store *st, const char *name)
{
    for (unsigned k = 0; k < st->ports; k++)
        if (strcmp(st->port[k].name, name) == 0)
            return &st->port[k];
    return NULL;
}

bool store_mac_used(const struct switch_store *st, const struct mac *m)
{
    for (unsigned k = 0; k < st->switches; k++)
        if (mac_same(&st->sw[k].mac, m))
            return true;
    for (unsigned k = 0; k < st->ports; k++)
        if (mac_same(&st->port[k].mac, m))
            return true;
    return false;
}

void store_remove_switch(struct switch_store *st, const char *name)
{
    struct switch_config *s = store_switch(st, name);

    if (s) {
        memmove(s, s + 1, (size_t)(&st->sw[st->switches] - (s + 1)) * sizeof(*s));
        st->switches--;
    }
}

/* Who was mirrored to it is mirrored no more. */
void store_remove_port(struct switch_store *st, const char *name)
{
    struct port_config *p = store_port(st, name);
    char gone[SWITCH_NAME_MAX + 1];

    if (!p)
        return;
    memcpy(gone, p->name, sizeof(gone));
    memmove(p, p + 1, (size_t)(&st->port[st->ports] - (p + 1)) * sizeof(*p));
    st->ports--;
    for (unsigned k = 0; k < st->ports; k++)
        if (strcmp(st->port[k].mirror_to, gone) == 0) {
            st->port[k].mirror_to[0] = 0;
            st->port[k].mirror = 0;
        }
}
