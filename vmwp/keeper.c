/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmwp/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int handed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR2};

static void signals_block(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof(handed_on) / sizeof(handed_on[0]); i++)
        (void)sigaddset(set, handed_on[i]);
    (void)sigprocmask(SIG_BLOCK, set, NULL);
}

/* Wait for the child's end; everything else that comes is for it. */
static int wait_for(pid_t child, const sigset_t *set)
{
    int status;

    for (;;) {
        int sig = sigwaitinfo(set, NULL);
        if (sig > 0 && sig != SIGCHLD)
            (void)kill(child, sig);
        if (waitpid(child, &status, WNOHANG) != child)
            continue;
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        if (WIFSIGNALED(status))
            return 128 + WTERMSIG(status);
    }
}

int keeper_run(struct console *console, int (*worker)(void *arg), void *arg, struct problem *why)
{
    pid_t self = getpid(), child;
    sigset_t set;
    int status;

    signals_block(&set);
    child = fork();
    if (child < 0) {
        status = problem_set(why, -errno, "fork: %m");
    } else if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self)
            _exit(1);
        exit(worker(arg));
    } else {
        status = wait_for(child, &set);
    }
    console_restore(console);
    return status;
}
