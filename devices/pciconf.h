/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_PCICONF_H
#define DEVICES_PCICONF_H

#include "devices/bus.h"
#include "lib/save.h"

/*
 * The PCI configuration mechanism at ports 0xCF8 and 0xCFC (PCI Local Bus 3.0, section 3.2.2.3.2)
 * of a bus without devices: every function reads as all ones.
 */

struct pciconf {
    uint32_t address;
};

void pciconf_init(struct pciconf *c);
int pciconf_attach(struct pciconf *c, struct bus *bus);

void pciconf_save(const struct pciconf *c, struct save_writer *w);
int pciconf_load(struct pciconf *c, struct save_reader *r);

#endif
