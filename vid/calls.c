// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "calls.h"
#include "hvcall.h"

/* Registers that one call sets here; the module's own needs are small. */
#define SET_REGISTERS_MAX 2

/* Pages that are unmapped in one call. */
#define UNITS_MAX 512U

/* A doorbell's connection is disconnected differently from others. */
#define DISCONNECT_DOORBELL 0x1U

int vid_get_partition_id(u64 *id)
{
    struct hv_output_get_partition_id out = {};
    u16 status = vid_status(vid_call(HVCALL_GET_PARTITION_ID, NULL, 0, &out, sizeof(out)));

    *id = out.partition_id;
    return vid_status_errno(status);
}

int vid_get_scheduler_type(u32 *type)
{
    struct hv_input_get_system_property in = {.property_id = HV_SYSTEM_PROPERTY_SCHEDULER_TYPE};
    struct hv_output_get_system_property out = {};
    u16 status =
        vid_status(vid_call(HVCALL_GET_SYSTEM_PROPERTY, &in, sizeof(in), &out, sizeof(out)));

    *type = (u32)out.value;
    return vid_status_errno(status);
}

int vid_create_partition(const struct hv_input_create_partition *in, u64 *id)
{
    struct hv_output_create_partition out = {};
    int error = vid_call_memory(HVCALL_CREATE_PARTITION, in, sizeof(*in), &out, sizeof(out),
                                &vid_host.pool);

    *id = out.partition_id;
    return error;
}

int vid_initialize_partition(struct vid_partition *partition)
{
    return vid_call_memory_fast8(HVCALL_INITIALIZE_PARTITION, partition->id, &partition->pool);
}

int vid_finalize_partition(u64 id)
{
    return vid_status_errno(vid_status(vid_call_fast8(HVCALL_FINALIZE_PARTITION, id)));
}

int vid_delete_partition(u64 id)
{
    return vid_status_errno(vid_status(vid_call_fast8(HVCALL_DELETE_PARTITION, id)));
}

int vid_get_property(u64 id, u32 code, u64 *value)
{
    struct hv_input_get_partition_property in = {.partition_id = id, .property_code = code};
    struct hv_output_get_partition_property out = {};
    u16 status =
        vid_status(vid_call(HVCALL_GET_PARTITION_PROPERTY, &in, sizeof(in), &out, sizeof(out)));

    *value = out.property_value;
    return vid_status_errno(status);
}

int vid_create_vp(struct vid_partition *partition, u32 index)
{
    /* No subnode: the hypervisor may run it on any processor. */
    struct hv_input_create_vp in = {.partition_id = partition->id, .vp_index = index};

    return vid_call_memory(HVCALL_CREATE_VP, &in, sizeof(in), NULL, 0, &partition->pool);
}

int vid_delete_vp(u64 id, u32 index)
{
    return vid_status_errno(vid_status(vid_call_fast16(HVCALL_DELETE_VP, id, index)));
}

int vid_map_state_page(struct vid_partition *partition, u32 index, u16 type, void **page)
{
    struct hv_input_map_vp_state_page in = {
        .partition_id = partition->id, .vp_index = index, .type = type};
    struct hv_output_map_vp_state_page out = {};
    int error = vid_call_memory(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in), &out, sizeof(out),
                                &partition->pool);

    if (error)
        return error;
    /* It is one of the pages that were deposited: user space will map it by its struct page. */
    if (!pfn_valid(out.map_location)) {
        vid_unmap_state_page(partition->id, index, type);
        return -EIO;
    }
    *page = page_to_virt(pfn_to_page(out.map_location));
    return 0;
}

void vid_unmap_state_page(u64 id, u32 index, u16 type)
{
    struct hv_input_unmap_vp_state_page in = {.partition_id = id, .vp_index = index, .type = type};

    vid_call(HVCALL_UNMAP_VP_STATE_PAGE, &in, sizeof(in), NULL, 0);
}

int vid_get_register(u64 id, u32 index, u32 name, u64 *value)
{
    struct {
        struct hv_input_vp_registers header;
        u32 name;
    } in = {.header = {.partition_id = id, .vp_index = index}, .name = name};
    union hv_register_value out = {};
    u64 control = HVCALL_GET_VP_REGISTERS | 1ULL << HV_HYPERCALL_REP_COMP_OFFSET;
    u16 status = vid_status(vid_call(control, &in, sizeof(in), &out, sizeof(out)));

    *value = out.reg64;
    return vid_status_errno(status);
}

int vid_set_registers(u64 id, u32 index, const u32 *names, const u64 *values, u16 count)
{
    struct {
        struct hv_input_vp_registers header;
        struct hv_register_assoc list[SET_REGISTERS_MAX];
    } in = {.header = {.partition_id = id, .vp_index = index}};
    u64 control = HVCALL_SET_VP_REGISTERS | (u64)count << HV_HYPERCALL_REP_COMP_OFFSET;

    if (count > SET_REGISTERS_MAX)
        return -EINVAL;
    for (u16 i = 0; i < count; i++) {
        in.list[i].name = names[i];
        in.list[i].value.reg64 = values[i];
    }
    return vid_status_errno(vid_status(vid_call(
        control, &in, sizeof(in.header) + count * sizeof(struct hv_register_assoc), NULL, 0)));
}

/* A call whose list has no elements in its input, to its end. */
static int call_units(u16 code, const void *in, size_t in_size, u32 units)
{
    u32 done = 0;

    for (u32 tries = 0; done < units; tries++) {
        u64 control = code | (u64)units << HV_HYPERCALL_REP_COMP_OFFSET;
        u64 result = vid_call(hv_hypercall_set_rep_start(control, done), in, in_size, NULL, 0);

        if (vid_status(result) != HV_STATUS_SUCCESS || tries > UNITS_MAX)
            return vid_status_errno(vid_status(result)) ?: -EIO;
        done = max_t(u32, done, hv_hypercall_rep_count(result));
    }
    return 0;
}

int vid_unmap_gpa(u64 id, u64 frame, u64 units, bool large)
{
    for (u64 at = 0; at < units;) {
        struct hv_input_unmap_gpa_pages in = {
            .target_partition_id = id,
            .target_gpa_base = frame + (large ? at << VID_LARGE_SHIFT : at),
            .unmap_flags = large ? HV_UNMAP_GPA_LARGE_PAGE : 0,
        };
        u32 some = min_t(u64, units - at, UNITS_MAX);
        int error = call_units(HVCALL_UNMAP_GPA_PAGES, &in, sizeof(in), some);

        if (error)
            return error;
        at += some;
        cond_resched();
    }
    return 0;
}

int vid_hide_gpa(u64 id, u64 frame, u32 units, bool large)
{
    struct hv_input_map_gpa_pages in = {
        .target_partition_id = id,
        .target_gpa_base = frame,
        .map_flags = HV_MAP_GPA_NO_ACCESS | (large ? HV_MAP_GPA_LARGE_PAGE : 0),
    };

    return call_units(HVCALL_MAP_GPA_PAGES, &in, sizeof(in), units);
}

int vid_assert_interrupt(u64 id, u64 control, u64 destination, u32 vector)
{
    struct hv_input_assert_virtual_interrupt in = {
        .partition_id = id, .control = control, .dest_addr = destination, .vector = vector};

    return vid_status_errno(
        vid_status(vid_call(HVCALL_ASSERT_VIRTUAL_INTERRUPT, &in, sizeof(in), NULL, 0)));
}

int vid_clear_interrupt(u64 id)
{
    return vid_status_errno(vid_status(vid_call_fast8(HVCALL_CLEAR_VIRTUAL_INTERRUPT, id)));
}

/* A port of the parent's, and the connection in the partition that leads to it. */
static int create_port(struct vid_partition *partition, u32 port_id, u32 connection_id,
                       const struct hv_port_info *port_info, const struct hv_connection_info *info)
{
    struct hv_input_create_port port = {
        .port_partition_id = vid_host.partition_id,
        .port_id = port_id,
        .connection_partition_id = partition->id,
        .port_info = *port_info,
    };
    struct hv_input_connect_port connection = {
        .connection_partition_id = partition->id,
        .connection_id = connection_id,
        .port_partition_id = vid_host.partition_id,
        .port_id = port_id,
        .connection_info = *info,
    };
    int error = vid_call_memory(HVCALL_CREATE_PORT, &port, sizeof(port), NULL, 0, &vid_host.pool);

    if (error)
        return error;
    error = vid_call_memory(HVCALL_CONNECT_PORT, &connection, sizeof(connection), NULL, 0,
                            &partition->pool);
    if (error)
        vid_call_fast16(HVCALL_DELETE_PORT, vid_host.partition_id, port_id);
    return error;
}

int vid_create_doorbell(struct vid_partition *partition, u32 id,
                        const struct hv_connection_info *info)
{
    const struct hv_port_info port = {
        .port_type = HV_PORT_TYPE_DOORBELL,
        .u.message = {.target_sint = VID_SINT_DOORBELL, .target_vp = HV_ANY_VP},
    };

    return create_port(partition, id, id, &port, info);
}

void vid_delete_doorbell(u64 partition_id, u32 id)
{
    vid_call_fast16(HVCALL_DISCONNECT_PORT, partition_id, id | (u64)DISCONNECT_DOORBELL << 32);
    vid_call_fast16(HVCALL_DELETE_PORT, vid_host.partition_id, id);
}

int vid_create_event(struct vid_partition *partition, u32 connection, u32 port_id, u32 flag)
{
    const struct hv_port_info port = {
        .port_type = HV_PORT_TYPE_EVENT,
        .u.event = {.target_sint = VID_SINT_EVENT,
                    .target_vp = HV_ANY_VP,
                    .base_flag_number = (u16)flag,
                    .flag_count = 1},
    };
    const struct hv_connection_info info = {.port_type = HV_PORT_TYPE_EVENT};

    return create_port(partition, port_id, connection, &port, &info);
}

void vid_delete_event(u64 partition_id, u32 connection, u32 port_id)
{
    vid_call_fast16(HVCALL_DISCONNECT_PORT, partition_id, connection);
    vid_call_fast16(HVCALL_DELETE_PORT, vid_host.partition_id, port_id);
}

void vid_notify_ring_empty(u32 sint)
{
    vid_call_fast8(HVCALL_NOTIFY_PORT_RING_EMPTY, sint);
}
