/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmwp/config.h"
#include "vmwp/console.h"
#include "vmwp/disks.h"
#include "vmwp/keeper.h"
#include "vmwp/linux.h"
#include "vmwp/log.h"
#include "vmwp/machine.h"
#include "vmwp/sandbox.h"
#include "vmwp/socket.h"

/* Exit codes, vmwp.8. */
enum { EXIT_OFF, EXIT_ERROR, EXIT_USAGE, EXIT_QUIT, EXIT_CRASHED };

struct options {
    const char *path;
    bool check, verbose, no_sandbox;
};

/* What the worker is given. */
struct task {
    const struct config *config;
    const struct options *options;
    const struct machine_files *files;
    struct console *console;
    struct control *control;
};

static const char usage[] =
    "usage: vmwp [OPTION...] CONFIG\n"
    "Runs the virtual machine that the file CONFIG describes; see vmwp(8).\n"
    "\n"
    "  -c, --check       say whether the configuration is right, and stop\n"
    "  -v, --verbose     say more on standard error\n"
    "      --no-sandbox  keep user, system calls and file system (for debuggers only)\n"
    "  -h, --help        print this\n"
    "  -V, --version     print the version\n";

static int options_parse(int argc, char **argv, struct options *o)
{
    enum { NO_SANDBOX = 256 };
    static const struct option longs[] = {
        {"check", no_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"no-sandbox", no_argument, NULL, NO_SANDBOX},
        {NULL, 0, NULL, 0},
    };
    int c;

    argv[0] = (char[]){"vmwp"}; /* what getopt says begins with this */
    while ((c = getopt_long(argc, argv, "cvhV", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->check = true;
            break;
        case 'v':
            o->verbose = true;
            break;
        case NO_SANDBOX:
            o->no_sandbox = true;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            exit(EXIT_OFF);
        case 'V':
            (void)puts("vmwp (Bulkhead) " VMWP_VERSION);
            exit(EXIT_OFF);
        default:
            return -EINVAL; /* getopt has said it */
        }
    }
    if (argc - optind != 1) {
        (void)fputs("vmwp: one CONFIG is wanted; try vmwp --help\n", stderr);
        return -EINVAL;
    }
    o->path = argv[optind];
    return 0;
}

static int fail(const struct problem *why)
{
    log_error("%s", why->text);
    return EXIT_ERROR;
}

/* Until the guest switches off: a reset builds everything anew. */
static int run_until_off(struct machine *m, struct problem *why)
{
    enum machine_outcome outcome;

    while ((outcome = machine_run(m, why)) == MACHINE_RESET) {
        log_verbose("reset");
        if (machine_build(m, why) < 0)
            return fail(why);
    }
    switch (outcome) {
    case MACHINE_OFF:
        log_verbose("off");
        return EXIT_OFF;
    case MACHINE_CRASHED:
        return EXIT_CRASHED;
    case MACHINE_QUIT:
        log_verbose("ended");
        return EXIT_QUIT;
    default:
        return fail(why);
    }
}

/* In the child of the keeper. Whatever has to be opened is, then the rights to open go, then there
 * are threads. */
static int worker(void *arg)
{
    const struct task *t = arg;
    struct machine *m = NULL;
    struct problem why;
    int status = EXIT_ERROR;

    if (machine_create(&m, t->config, t->files, t->console, t->control, &why) < 0 ||
        console_start(t->console, &why) < 0 ||
        (!t->options->no_sandbox && sandbox_enter(t->config, &why) < 0) ||
        machine_build(m, &why) < 0)
        (void)fail(&why);
    else
        status = run_until_off(m, &why);
    if (machine_destroy(m, &why) < 0)
        status = fail(&why);
    return status;
}

/* Names of sockets go with the machine. */
static void name_remove(const char *path)
{
    if (path[0])
        (void)unlink(path);
}

static int run(const struct config *config, const struct options *options)
{
    struct machine_files files;
    struct control *control = NULL;
    struct console *console;
    struct problem why;
    int status;

    if (machine_files_open(&files, config, &why) < 0)
        return fail(&why);
    if (config->control[0] && control_open(&control, config->control, &why) < 0)
        return fail(&why);
    if (config->socket.path[0]) {
        files.listener = socket_listen(config->socket.path, "hvsocket", &why);
        if (files.listener < 0) {
            name_remove(config->control);
            return fail(&why);
        }
    }
    if (console_open(&console, config, &why) < 0) {
        name_remove(config->control);
        name_remove(config->socket.path);
        return fail(&why);
    }
    struct task task = {config, options, &files, console, control};
    status = keeper_run(console, worker, &task, &why);
    name_remove(config->control);
    name_remove(config->socket.path);
    if (status < 0)
        return fail(&why);
    if (status > 128)
        log_error("the worker was ended by signal %d (%s)", status - 128, strsignal(status - 128));
    return status;
}

/* What --check sees beyond the file itself: whether the kernel is one, and the disks are. */
static int check(const struct config *config)
{
    struct machine_files files;
    struct linux_kernel kernel;
    uint8_t head[LINUX_HEAD_MAX];
    struct problem why;
    int status = EXIT_OFF;
    ssize_t n;

    if (machine_files_open(&files, config, &why) < 0)
        return fail(&why);
    n = pread(files.kernel, head, sizeof(head), 0);
    off_t size = lseek(files.kernel, 0, SEEK_END);
    if (n < 0 || size < 0) {
        log_error("kernel: %s: %s", config->kernel, strerror(errno));
        status = EXIT_ERROR;
    } else if (linux_inspect(head, (size_t)n, (uint64_t)size, &kernel, &why) < 0) {
        status = fail(&why);
    } else if (disks_check(config, &why) < 0) {
        status = fail(&why);
    }
    machine_files_close(&files);
    return status;
}

int main(int argc, char **argv)
{
    static struct config config;
    struct options options = {0};
    struct problem why;

    if (options_parse(argc, argv, &options) < 0)
        return EXIT_USAGE;
    sandbox_descriptors();
    if (config_load(&config, options.path, &why) < 0)
        return fail(&why);
    log_setup(config.name, options.verbose);
    return options.check ? check(&config) : run(&config, &options);
}
