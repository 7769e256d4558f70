/* SPDX-License-Identifier: MIT */
#include "lib/errno.h"
#include "vmwp/broker.h"

/* No process beside a machine of the tests. */

int broker_start(struct broker **out, const struct config_socket *config, struct problem *why)
{
    return problem_set(why, -ENOSYS, "no broker");
}

void broker_stop(struct broker *b)
{
}

int broker_dial(struct broker *b, unsigned service)
{
    return -ENOSYS;
}
