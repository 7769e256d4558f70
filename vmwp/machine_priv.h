/* SPDX-License-Identifier: MIT */
#ifndef VMWP_MACHINE_PRIV_H
#define VMWP_MACHINE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include "devices/bus.h"
#include "devices/debugport.h"
#include "devices/ioapic.h"
#include "devices/pciconf.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/power.h"
#include "devices/rtc.h"
#include "devices/uart.h"
#include "vmwp/disks.h"
#include "vmwp/hv.h"
#include "vmwp/machine.h"
#include "vmwp/memory.h"
#include "vmwp/networks.h"
#include "vmwp/services.h"
#include "vmwp/sockets.h"

/** The signal that gets a thread out of hv_vp_run(). */
#define VP_KICK_SIGNAL SIGUSR1

struct vp {
    struct machine *machine;
    struct hv_vp *hv;
    uint32_t index;
    pthread_t thread;
};

struct machine {
    /* Set once. */
    const struct config *config;
    const struct machine_files *files;
    struct console *console;
    struct control *control; /* NULL: none */
    struct hv *hv;
    struct disks *disks;
    struct networks *networks;
    struct services *services;
    struct sockets *sockets; /* NULL: none are relayed */
    int wake;                /* eventfd: the main thread looks around */
    int signals;
    /* Built and taken apart while no VP runs. */
    struct memory memory;
    struct vp vps[CONFIG_PROCESSORS_MAX];
    uint32_t vp_count;
    struct machine_vmbus *vmbus;
    /* enum machine_outcome; the first who sets it wins. */
    atomic_int outcome;
    struct problem failure; /* of MACHINE_FAILED; written by who set it */
    /* The devices and everything on the bus are under the lock. */
    pthread_mutex_t lock;
    uint64_t armed_ns; /* what the main thread waits for */
    /* Of the devices' clock: where it stands (0: it runs), and how long it has stood before. */
    uint64_t stopped_at_ns, stood_ns;
    struct bus bus;
    struct uart uart;
    struct ioapic ioapic;
    struct pic pic;
    struct pit pit;
    struct rtc rtc;
    struct power power;
    struct pciconf pciconf;
    struct debugport debugport;
};

/** Stop all VPs for this reason; the first one counts. Any thread. */
void machine_stop(struct machine *m, enum machine_outcome outcome);
/** The same with MACHINE_FAILED and a sentence. */
__attribute__((format(printf, 2, 3))) void machine_fail(struct machine *m, const char *fmt, ...);

/** Put all devices on the bus, as after power-on. 0, or -errno: the table has a mistake. */
int machine_devices_init(struct machine *m);
/** Nanoseconds of the devices' clock, which stands while the machine is paused. With the lock. */
uint64_t machine_now_ns(void *machine);

/** Stop the VPs and all clocks, or let them go on; it may be so already. Main thread. 0, or -errno
 * with *why. */
int machine_pause(struct machine *m, bool pause, struct problem *why);

/** Accesses of VPs; they take the lock. */
uint32_t machine_port_read(struct machine *m, uint16_t port, unsigned size);
void machine_port_write(struct machine *m, uint16_t port, unsigned size, uint32_t value);
void machine_memory_read(struct machine *m, uint64_t at, void *buf, unsigned len);
void machine_memory_write(struct machine *m, uint64_t at, const void *buf, unsigned len);
void machine_eoi(struct machine *m, uint8_t vector);

/** VMBus and what is on it, as after power-on; and its end, when no VP runs. 0, or -errno. */
int machine_vmbus_build(struct machine *m, struct problem *why);
void machine_vmbus_clear(struct machine *m);
/** A hypercall that no one below has answered; the result for the guest. */
uint64_t machine_vmbus_call(struct machine *m, const struct hv_exit_call *call);
/** There is room for messages in these SINTs of a VP. */
void machine_vmbus_sints(struct machine *m, uint32_t vp, uint16_t sints);
/** Write the flight recorder to a descriptor. 0 or -errno. */
int machine_vmbus_record(struct machine *m, int fd);

/** Offer the adapter in that place to the guest that runs, or no longer. 0 or -errno. */
int machine_vmbus_network_add(struct machine *m, unsigned place);
void machine_vmbus_network_remove(struct machine *m, unsigned place);

/** A request about a network adapter; false: it is about something else. */
bool machine_network_control(struct machine *m, struct control_request *r, json_t **answer,
                             int *err, struct problem *why);

/** control_handler of this machine. */
int machine_control(void *machine, struct control_request *request, json_t **answer,
                    struct problem *why);

/** The thread of a VP: runs it until the machine stops. The argument is a struct vp. */
void *vp_thread(void *vp);
/** Act on one exit. */
void vp_handle(struct vp *vp, const struct hv_exit *exit);

#endif
