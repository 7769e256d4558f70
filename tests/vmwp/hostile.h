/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VMWP_HOSTILE_H
#define TESTS_VMWP_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * vmwp-hostile: the worker, as it would be if a guest had taken it over. It is vmwp itself, of
 * which the linker leads two calls here (hostile.c): where the worker gives up its rights it is
 * copied by fork(), once for each attack, and where a copy would run its guest it attacks instead.
 *
 * Each attack is made twice: by a copy that has kept all rights, which has to succeed, because an
 * attack that never works shows nothing; and by a copy in the sandbox, which must not. What
 * Landlock forbids as well is made once more without the filter of system calls, which hides it.
 */

/** Whom the attacks are meant for: another worker and what belongs to it. From the environment. */
struct targets {
    pid_t pid;                    /* HOSTILE_PID */
    const char *disk;             /* HOSTILE_DISK: the file of its disk */
    const char *socket;           /* HOSTILE_SOCKET: its control socket */
    const char *folder;           /* HOSTILE_FOLDER: where everybody may make files, with these: */
#define HOSTILE_SCRATCH "scratch" /* is there, and anybody's */
#define HOSTILE_CREATED "created" /* is not there */
    uint32_t weight; /* HOSTILE_WEIGHT: the `weight` of its configuration, no other VM has it */
    bool unconfined; /* this copy has kept its rights */
};

/** What an attack returns that lacks what it is made with, and so shows nothing. */
#define NOT_TRIED (-4096)

enum attack_kind {
    FORBIDDEN,
    BY_PATH, /* Landlock alone forbids it as well */
    ALLOWED, /* it is none: what a worker has to be able to do, checked by the same means */
};

struct attack {
    const char *name;
    int (*run)(const struct targets *t); /* 0: it worked; -errno: it did not; NOT_TRIED */
    enum attack_kind kind;
};

/** Each ends with a row without a name. */
extern const struct attack attacks_on_files[], attacks_on_processes[], attacks_on_machines[];

#endif
