/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vmwp/disks.h"
#include "vmwp/machine_priv.h"

/* The requests of the control socket; vmwp.8 describes them. In the main thread. */

/* What a request names; what it does not name is 0. */
struct wish {
    int controller, lun, read_only, force, cached;
    json_int_t size, iops, bandwidth;
    const char *type, *format;
    json_t *files; /* names of the descriptors, borrowed */
};

struct verb {
    const char *name;
    bool files; /* descriptors may come along */
    int (*run)(struct machine *m, const struct wish *w, struct control_request *r, json_t **answer,
               struct problem *why);
};

static unsigned number(int v)
{
    return v < 0 ? UINT32_MAX : (unsigned)v;
}

/* Descriptors get the names that the request has for them. */
static int name_files(const struct wish *w, const struct control_request *r,
                      struct disk_given *given, struct problem *why)
{
    if (json_array_size(w->files) != r->files)
        return problem_set(why, -EINVAL, "files: %zu names and %u descriptors have come",
                           json_array_size(w->files), r->files);
    for (unsigned i = 0; i < r->files; i++) {
        given[i] = (struct disk_given){json_string_value(json_array_get(w->files, i)), r->file[i]};
        if (!given[i].path)
            return problem_set(why, -EINVAL, "files: a list of names is wanted");
    }
    return 0;
}

static int disk_add(struct machine *m, const struct wish *w, struct control_request *r,
                    json_t **answer, struct problem *why)
{
    const struct config_disk what = {
        .dvd = w->type && strcmp(w->type, "dvd") == 0,
        .read_only = w->read_only,
        .cached = w->cached,
        .format = w->format ? config_format(w->format) : NULL,
        .controller = number(w->controller),
        .lun = number(w->lun),
        .iops = (uint32_t)w->iops,
        .bandwidth = (uint64_t)w->bandwidth,
    };
    struct disk_given given[CONTROL_FILES];
    int err = name_files(w, r, given, why);

    if (err)
        return err;
    if (w->type && !what.dvd && strcmp(w->type, "disk") != 0)
        return problem_set(why, -EINVAL, "type is disk or dvd");
    if (w->format && !what.format)
        return problem_set(why, -EINVAL, "format is raw, vhd, vhdx or iso");
    if (!config_disk_fits(&what))
        return problem_set(why, -EINVAL, "format iso goes with type dvd, others do not");
    if (w->iops < 0 || w->iops > UINT32_MAX || w->bandwidth < 0)
        return problem_set(why, -ERANGE, "a limit is out of range");
    if (w->bandwidth && w->bandwidth < CONFIG_BANDWIDTH_MIN)
        return problem_set(why, -ERANGE, "bandwidth is 0 or at least 64K");
    return disks_add(m->disks, &what, given, r->files, why);
}

static int disk_remove(struct machine *m, const struct wish *w, struct control_request *r,
                       json_t **answer, struct problem *why)
{
    return disks_remove(m->disks, number(w->controller), number(w->lun), why);
}

static int disk_resize(struct machine *m, const struct wish *w, struct control_request *r,
                       json_t **answer, struct problem *why)
{
    if (w->size <= 0)
        return problem_set(why, -EINVAL, "size is a number of bytes");
    return disks_resize(m->disks, number(w->controller), number(w->lun), (uint64_t)w->size, why);
}

static int medium(struct machine *m, const struct wish *w, struct control_request *r,
                  json_t **answer, struct problem *why)
{
    struct disk_given given[CONTROL_FILES];
    int err = name_files(w, r, given, why);

    return err ? err
               : disks_medium(m->disks, number(w->controller), number(w->lun), w->force, given,
                              r->files, why);
}

static int disk_limit(struct machine *m, const struct wish *w, struct control_request *r,
                      json_t **answer, struct problem *why)
{
    if (w->iops < 0 || w->bandwidth < 0)
        return problem_set(why, -ERANGE, "a limit is out of range");
    return disks_limit(m->disks, number(w->controller), number(w->lun), (uint64_t)w->iops,
                       (uint64_t)w->bandwidth, why);
}

static int counters(struct machine *m, const struct wish *w, struct control_request *r,
                    json_t **answer, struct problem *why)
{
    *answer = json_pack("{s:o, s:o, s:o, s:o}", "disks", disks_counters(m->disks), "networks",
                        networks_counters(m->networks), "services", services_counters(m->services),
                        "sockets", sockets_counters(m->sockets));
    return *answer ? 0 : -ENOMEM;
}

static int record(struct machine *m, const struct wish *w, struct control_request *r,
                  json_t **answer, struct problem *why)
{
    int err;

    if (r->files != 1)
        return problem_set(why, -EINVAL, "a descriptor to write to has to come along");
    err = machine_vmbus_record(m, r->file[0]);
    return err ? problem_set(why, err, "recording: %s", strerror(-err)) : 0;
}

static int power_button_press(struct machine *m, const struct wish *w, struct control_request *r,
                              json_t **answer, struct problem *why)
{
    (void)pthread_mutex_lock(&m->lock);
    power_button(&m->power);
    (void)pthread_mutex_unlock(&m->lock);
    return 0;
}

static int pause_it(struct machine *m, const struct wish *w, struct control_request *r,
                    json_t **answer, struct problem *why)
{
    return machine_pause(m, true, why);
}

static int resume(struct machine *m, const struct wish *w, struct control_request *r,
                  json_t **answer, struct problem *why)
{
    return machine_pause(m, false, why);
}

static int quit(struct machine *m, const struct wish *w, struct control_request *r, json_t **answer,
                struct problem *why)
{
    machine_stop(m, MACHINE_QUIT);
    return 0;
}

static const struct verb verbs[] = {
    {"disk-add", true, disk_add},
    {"disk-remove", false, disk_remove},
    {"disk-resize", false, disk_resize},
    {"disk-limit", false, disk_limit},
    {"medium", true, medium},
    {"counters", false, counters},
    {"record", true, record},
    {"pause", false, pause_it},
    {"resume", false, resume},
    {"power-button", false, power_button_press},
    {"quit", false, quit},
};

int machine_control(void *machine, struct control_request *request, json_t **answer,
                    struct problem *why)
{
    const char *name = json_string_value(json_object_get(request->object, "do"));
    struct machine *m = machine;
    struct wish w = {0};
    json_error_t error;
    int err;

    if (name && services_verb(name))
        return services_control(m->services, request, answer, why);
    if (machine_network_control(machine, request, answer, &err, why))
        return err;
    if (json_unpack_ex((json_t *)(uintptr_t)request->object, &error, JSON_STRICT,
                       "{s:s, s?i, s?i, s?b, s?b, s?b, s?I, s?I, s?I, s?s, s?s, s?o}", "do", &name,
                       "controller", &w.controller, "lun", &w.lun, "read_only", &w.read_only,
                       "force", &w.force, "cached", &w.cached, "size", &w.size, "iops", &w.iops,
                       "bandwidth", &w.bandwidth, "type", &w.type, "format", &w.format, "files",
                       &w.files) < 0)
        return problem_set(why, -EINVAL, "%s", error.text);
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        if (request->files && !verbs[i].files)
            return problem_set(why, -EINVAL, "%s takes no descriptor", name);
        return verbs[i].run(machine, &w, request, answer, why);
    }
    return problem_set(why, -EINVAL, "'%.40s' is no request", name);
}
