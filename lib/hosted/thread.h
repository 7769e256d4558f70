/* SPDX-License-Identifier: MIT */
#ifndef LIB_HOSTED_THREAD_H
#define LIB_HOSTED_THREAD_H

#include <pthread.h>
#include <signal.h>

/** Start a thread in which no handler of a signal runs: signals are for the program's own threads.
 * 0 or -errno, and *thread says nothing then. */
static inline int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    sigset_t all, before;
    int err;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(thread, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

#endif
