/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bulkhead_vid

#if !defined(VID_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VID_TRACE_H

#include <linux/tracepoint.h>

/* The layout of these macros is the kernel's. */
/* clang-format off */

TRACE_EVENT(vid_hypercall,
    TP_PROTO(u16 code, u16 status, u32 reps),
    TP_ARGS(code, status, reps),
    TP_STRUCT__entry(
        __field(u16, code)
        __field(u16, status)
        __field(u32, reps)
    ),
    TP_fast_assign(
        __entry->code = code;
        __entry->status = status;
        __entry->reps = reps;
    ),
    TP_printk("code=0x%x status=0x%x reps=%u", __entry->code, __entry->status, __entry->reps)
);

DECLARE_EVENT_CLASS(vid_run,
    TP_PROTO(u64 partition, u32 vp, long value),
    TP_ARGS(partition, vp, value),
    TP_STRUCT__entry(
        __field(u64, partition)
        __field(u32, vp)
        __field(long, value)
    ),
    TP_fast_assign(
        __entry->partition = partition;
        __entry->vp = vp;
        __entry->value = value;
    ),
    TP_printk("partition=%llu vp=%u value=0x%lx", __entry->partition, __entry->vp, __entry->value)
);

/* The value is 1 when an earlier intercept is still to be taken. */
DEFINE_EVENT(vid_run, vid_run_enter,
    TP_PROTO(u64 partition, u32 vp, long value),
    TP_ARGS(partition, vp, value)
);

/* The value is the type of the message, or -errno. */
DEFINE_EVENT(vid_run, vid_run_exit,
    TP_PROTO(u64 partition, u32 vp, long value),
    TP_ARGS(partition, vp, value)
);

TRACE_EVENT(vid_deposit,
    TP_PROTO(u64 partition, u64 pages, int error),
    TP_ARGS(partition, pages, error),
    TP_STRUCT__entry(
        __field(u64, partition)
        __field(u64, pages)
        __field(int, error)
    ),
    TP_fast_assign(
        __entry->partition = partition;
        __entry->pages = pages;
        __entry->error = error;
    ),
    TP_printk("partition=%llu pages=%llu error=%d", __entry->partition, __entry->pages,
              __entry->error)
);

TRACE_EVENT(vid_withdraw,
    TP_PROTO(u64 partition, u64 pages),
    TP_ARGS(partition, pages),
    TP_STRUCT__entry(
        __field(u64, partition)
        __field(u64, pages)
    ),
    TP_fast_assign(
        __entry->partition = partition;
        __entry->pages = pages;
    ),
    TP_printk("partition=%llu pages=%llu", __entry->partition, __entry->pages)
);

/* Memory that a guest missed: the outcome of vid_demand_fault(). */
TRACE_EVENT(vid_fault,
    TP_PROTO(u64 partition, u64 frame, bool write, int result),
    TP_ARGS(partition, frame, write, result),
    TP_STRUCT__entry(
        __field(u64, partition)
        __field(u64, frame)
        __field(bool, write)
        __field(int, result)
    ),
    TP_fast_assign(
        __entry->partition = partition;
        __entry->frame = frame;
        __entry->write = write;
        __entry->result = result;
    ),
    TP_printk("partition=%llu frame=0x%llx write=%d result=%d", __entry->partition,
              __entry->frame, __entry->write, __entry->result)
);

/* User memory that changes; the event is one of enum mmu_notifier_event. */
TRACE_EVENT(vid_invalidate,
    TP_PROTO(u64 partition, u64 frame, u64 pages, u32 event),
    TP_ARGS(partition, frame, pages, event),
    TP_STRUCT__entry(
        __field(u64, partition)
        __field(u64, frame)
        __field(u64, pages)
        __field(u32, event)
    ),
    TP_fast_assign(
        __entry->partition = partition;
        __entry->frame = frame;
        __entry->pages = pages;
        __entry->event = event;
    ),
    TP_printk("partition=%llu frame=0x%llx pages=%llu event=%u", __entry->partition,
              __entry->frame, __entry->pages, __entry->event)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
