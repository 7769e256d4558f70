/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "vmms/switch/switch_priv.h"

#define DNSMASQ     "/usr/sbin/dnsmasq"
#define PIDS_MAX    8
#define START_TRIES 3
#define END_STEPS   50
#define CMDLINE_MAX 8192

/* By what it runs with: a file with its number could be another's by now. */
static unsigned find_running(const char *config, pid_t pids[PIDS_MAX])
{
    DIR *d = opendir("/proc");
    unsigned n = 0;
    struct dirent *e;

    while (d && n < PIDS_MAX && (e = readdir(d))) {
        char path[300], *text;
        size_t length;

        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
        if (file_read(&text, &length, path, CMDLINE_MAX) < 0)
            continue;
        if (dnsmasq_is(text, length, config))
            pids[n++] = (pid_t)strtol(e->d_name, NULL, 10);
        free(text);
    }
    if (d)
        (void)closedir(d);
    return n;
}

/* TERM, and after half a second KILL. */
static void end_running(const char *config)
{
    static const struct timespec step = {.tv_nsec = 10000000};
    pid_t pids[PIDS_MAX];

    for (unsigned k = 0; k < 2 * END_STEPS; k++) {
        unsigned n = find_running(config, pids);

        if (n == 0)
            return;
        for (unsigned i = 0; i < n && (k == 0 || k == END_STEPS); i++)
            (void)kill(pids[i], k ? SIGKILL : SIGTERM);
        (void)nanosleep(&step, NULL);
    }
}

static const char *user(void)
{
    static const char *const names[] = {"dnsmasq", "nobody"};

    for (unsigned k = 0; k < 2; k++)
        if (getpwnam(names[k]))
            return names[k];
    return "root";
}

/* It goes to the background itself, when all is open; its status says whether. */
static int start(const char *config)
{
    char option[4200], program[] = DNSMASQ;
    char *argv[] = {program, option, NULL}, *env[] = {NULL};
    posix_spawnattr_t attr;
    sigset_t none;
    int status, err;
    pid_t pid;

    (void)snprintf(option, sizeof(option), "--conf-file=%s", config);
    (void)sigemptyset(&none);
    if (posix_spawnattr_init(&attr) != 0)
        return -ENOMEM;
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    err = posix_spawn(&pid, DNSMASQ, NULL, &attr, argv, env);
    (void)posix_spawnattr_destroy(&attr);
    if (err)
        return -err;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* One that somebody began to start, who was killed then, may show only now. */
static int start_patiently(const char *config)
{
    static const struct timespec step = {.tv_nsec = 100000000};
    pid_t pids[PIDS_MAX];
    int err = -EIO;

    for (unsigned k = 0; k < START_TRIES && err == -EIO; k++) {
        err = start(config);
        if (err == -EIO && find_running(config, pids))
            return 0;
        if (err == -EIO)
            (void)nanosleep(&step, NULL);
    }
    return err;
}

static int write_files(const char *folder, const struct switch_store *st,
                       const struct switch_config *s, bool config_too, struct problem *why)
{
    char path[4096], *text = dnsmasq_hosts(st, s);
    int err;

    dnsmasq_path(path, sizeof(path), folder, s, "hosts");
    err = text ? file_write(path, text, why) : problem_set(why, -ENOMEM, "%s", strerror(ENOMEM));
    free(text);
    if (err || !config_too)
        return err;
    text = dnsmasq_config(folder, s, user());
    dnsmasq_path(path, sizeof(path), folder, s, "conf");
    err = text ? file_write(path, text, why) : problem_set(why, -ENOMEM, "%s", strerror(ENOMEM));
    free(text);
    return err;
}

/* It keeps to a lease though the address is now another's, and reads its file only once. */
static int free_leases(const char *folder, const struct switch_store *st,
                       const struct switch_config *s, const char *config, struct problem *why)
{
    char path[4096], *text, *kept;
    int err = 0;

    dnsmasq_path(path, sizeof(path), folder, s, "leases");
    if (file_read(&text, NULL, path, LEASE_BYTES_MAX) < 0)
        return 0; /* no leases yet */
    kept = lease_filter(text, st, s);
    free(text);
    if (!kept)
        return 0;
    end_running(config);
    err = file_write(path, kept, why);
    free(kept);
    return err;
}

int dnsmasq_ensure(const char *folder, const struct switch_store *st, const struct switch_config *s,
                   struct problem *why)
{
    char config[4096];
    pid_t pids[PIDS_MAX];
    unsigned running;
    int err;

    dnsmasq_path(config, sizeof(config), folder, s, "conf");
    err = free_leases(folder, st, s, config, why);
    if (err)
        return err;
    running = find_running(config, pids);
    err = write_files(folder, st, s, running == 0, why);
    if (err)
        return err;
    for (unsigned k = 0; k < running; k++)
        (void)kill(pids[k], SIGHUP);
    if (running)
        return 0;
    err = start_patiently(config);
    return err ? problem_set(why, err, "%s: " DNSMASQ " did not start%s", s->name,
                             err == -ENOENT ? ": install the Debian package dnsmasq-base" : "")
               : 0;
}

void dnsmasq_stop(const char *folder, const struct switch_config *s)
{
    static const char *const ends[] = {"conf", "hosts", "leases", "pid"};
    char path[4096];

    dnsmasq_path(path, sizeof(path), folder, s, "conf");
    end_running(path);
    for (unsigned k = 0; k < 4; k++) {
        dnsmasq_path(path, sizeof(path), folder, s, ends[k]);
        (void)unlink(path);
    }
}

void dnsmasq_stop_strays(const char *folder, const struct switch_store *st)
{
    for (unsigned id = 0; id < SWITCHES_MAX; id++) {
        struct switch_config s = {.id = id};
        bool used = false;

        for (unsigned k = 0; k < st->switches; k++)
            used |= st->sw[k].id == id && st->sw[k].dhcp;
        if (!used)
            dnsmasq_stop(folder, &s);
    }
}
