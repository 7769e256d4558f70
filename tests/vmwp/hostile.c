/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/vmwp/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/bits.h"
#include "vmwp/machine.h"
#include "vmwp/sandbox.h"

/* The copies of the worker, and what is said of each attack; see hostile.h. */

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

#define ATTACK_S 30U
#define SAID_MAX 128U

enum state { NOT_BEGUN, BEGUN, ENDED };
enum rights { ALL, SANDBOX, NO_FILTER /* all of the sandbox but the filter of system calls */ };

/* What a copy tells the one that made it. */
struct outcome {
    enum state state;
    int err;
};

struct result {
    bool worked;
    char said[SAID_MAX];
};

static struct {
    struct targets targets;
    const struct attack *attack; /* of this copy; NULL: an ordinary worker */
    enum rights rights;
    struct outcome *outcome; /* in memory that all copies share */
    bool strict;             /* HOSTILE_STRICT: an attack that never works is a failure */
    unsigned failed;
} hostile;

int __real_sandbox_enter(const struct config *config, struct problem *why);
enum machine_outcome __real_machine_run(struct machine *m, struct problem *why);
int __wrap_sandbox_enter(const struct config *config, struct problem *why);
int __real_seccomp_load(const scmp_filter_ctx filter);
int __wrap_seccomp_load(const scmp_filter_ctx filter);
enum machine_outcome __wrap_machine_run(struct machine *m, struct problem *why);

enum machine_outcome __wrap_machine_run(struct machine *m, struct problem *why)
{
    if (!hostile.attack)
        return __real_machine_run(m, why);
    hostile.outcome->state = BEGUN;
    hostile.outcome->err = hostile.attack->run(&hostile.targets);
    hostile.outcome->state = ENDED;
    _exit(0);
}

static const char *text_of(const char *name)
{
    const char *text = getenv(name);

    return text ? text : "";
}

static bool targets_find(void)
{
    struct targets *t = &hostile.targets;

    t->pid = atoi(text_of("HOSTILE_PID"));
    t->disk = text_of("HOSTILE_DISK");
    t->socket = text_of("HOSTILE_SOCKET");
    t->folder = text_of("HOSTILE_FOLDER");
    t->weight = (uint32_t)atoi(text_of("HOSTILE_WEIGHT"));
    hostile.strict = text_of("HOSTILE_STRICT")[0] != 0;
    return t->pid > 0;
}

/* Whether the attack worked; *said is how it ended. */
static bool judge(int status, char said[SAID_MAX])
{
    const struct outcome *o = hostile.outcome;
    /* A program that was started instead of us ends well, and tells nothing. */
    bool replaced = o->state == BEGUN && WIFEXITED(status) && WEXITSTATUS(status) == 0;

    if (o->state == ENDED && o->err == NOT_TRIED)
        (void)snprintf(said, SAID_MAX, "?it could not be tried");
    else if (replaced || (o->state == ENDED && !o->err))
        (void)snprintf(said, SAID_MAX, "it works");
    else if (o->state == ENDED)
        (void)snprintf(said, SAID_MAX, "%s", strerror(-o->err));
    else if (o->state == BEGUN && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        (void)snprintf(said, SAID_MAX, "the filter ends the worker");
    else
        (void)snprintf(said, SAID_MAX, "?%s, wait status 0x%x",
                       o->state == BEGUN ? "it did not end" : "it did not begin", status);
    return replaced || (o->state == ENDED && !o->err);
}

/* What an attack may take away or leave is as it was. */
static void prepare(const struct targets *t)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/" HOSTILE_CREATED, t->folder);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/" HOSTILE_SCRATCH, t->folder);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    (void)fchmod(fd, 0666);
    (void)close(fd);
}

/* In the copy: true. In the one that makes it: false when that has ended. */
static bool copy(const struct attack *a, enum rights rights, struct result *r)
{
    int status = 0;
    pid_t pid;

    *hostile.outcome = (struct outcome){NOT_BEGUN, 0};
    prepare(&hostile.targets);
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        hostile.attack = a;
        hostile.rights = rights;
        hostile.targets.unconfined = rights == ALL;
        (void)alarm(ATTACK_S);
        return true;
    }
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    r->worked = judge(status, r->said);
    return false;
}

static void say(const char *verdict, const struct attack *a, const char *how, const char *said)
{
    hostile.failed += verdict[0] == 'F';
    (void)printf("%s sandbox %s%s: %s\n", verdict, a->name, how, said);
}

/* What has to hold of an attack with fewer rights than all. */
static void report(const struct attack *a, const char *how, const struct result *all,
                   const struct result *fewer)
{
    const char *missing = hostile.strict ? "FAIL" : "SKIP";

    if (!all->worked && !fewer->worked)
        say(missing, a, " with all rights", all->said);
    else if (fewer->said[0] == '?')
        say("FAIL", a, how, fewer->said + 1);
    else
        say(fewer->worked == (a->kind == ALLOWED) ? "PASS" : "FAIL", a, how, fewer->said);
}

/* True in a copy, which goes on as a worker. */
static bool make(const struct attack *a)
{
    struct result all, sandbox, no_filter;

    if (copy(a, ALL, &all) || copy(a, SANDBOX, &sandbox))
        return true;
    report(a, "", &all, &sandbox);
    if (a->kind != BY_PATH)
        return false;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1U) < 1) {
        say(hostile.strict ? "FAIL" : "SKIP", a, " without the filter",
            "the kernel has no Landlock");
        return false;
    }
    if (copy(a, NO_FILTER, &no_filter))
        return true;
    report(a, " without the filter", &all, &no_filter);
    return false;
}

static bool make_all(void)
{
    static const struct attack *const lists[] = {attacks_on_files, attacks_on_processes,
                                                 attacks_on_machines};

    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        for (const struct attack *a = lists[i]; a->name; a++)
            if (make(a))
                return true;
    return false;
}

int __wrap_seccomp_load(const scmp_filter_ctx filter)
{
    return hostile.attack && hostile.rights == NO_FILTER ? 0 : __real_seccomp_load(filter);
}

int __wrap_sandbox_enter(const struct config *config, struct problem *why)
{
    if (!targets_find())
        return __real_sandbox_enter(config, why);
    hostile.outcome = mmap(NULL, sizeof(*hostile.outcome), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (hostile.outcome == MAP_FAILED)
        return problem_set(why, -errno, "hostile: %m");
    if (make_all())
        return hostile.rights == ALL ? 0 : __real_sandbox_enter(config, why);
    (void)fflush(stdout);
    _exit(hostile.failed > 0);
}
