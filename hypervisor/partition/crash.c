/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/crash.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/partition/partition.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"

/* Bounds of what guests can make us print. */
#define CRASH_TEXT_MAX   512U /* characters of one message */
#define CRASH_LINES_MAX  16U  /* lines of one message */
#define CRASH_LINE_LEN   100U
#define CRASH_REPORTS    4U /* in each window */
#define CRASH_WINDOW_SEC 10U

static bool crash_rate_allows(void)
{
    static struct spinlock lock = SPINLOCK_INIT;
    static uint64_t window_start; /* under lock */
    static uint32_t reports;      /* under lock */
    uint64_t now = clock_tsc();
    bool allowed;

    spin_lock(&lock);
    if (window_start == 0 || now - window_start > clock_tsc_hz() * CRASH_WINDOW_SEC) {
        window_start = now;
        reports = 0;
    }
    allowed = reports < CRASH_REPORTS;
    if (allowed)
        reports++;
    spin_unlock(&lock);
    return allowed;
}

/* One line of text from `s`, at most `len` bytes; returns how many of them it used. */
static uint32_t crash_line(const struct vp *vp, const char *s, uint32_t len)
{
    char line[CRASH_LINE_LEN];
    uint32_t n = 0;

    while (n < len && n < sizeof(line) && s[n] != '\n') {
        line[n] = s[n] >= ' ' && s[n] <= '~' ? s[n] : '.';
        n++;
    }
    if (n > 0)
        log_warn("partition %lu vp %u crash: %.*s", vp->partition->id, vp->index.v, (int)n, line);
    return n < len && s[n] == '\n' ? n + 1 : n;
}

static void crash_message(struct vp *vp, uint64_t addr, uint64_t size)
{
    char text[CRASH_TEXT_MAX];
    uint32_t len = (uint32_t)min_u64(size, sizeof(text));
    uint32_t at = 0;

    if (len == 0 || guest_read(vp->partition, gpa(addr), text, len) != 0)
        return;
    for (uint32_t lines = 0; at < len && text[at] && lines < CRASH_LINES_MAX; lines++)
        at += crash_line(vp, text + at, len - at);
}

void crash_report(struct vp *vp, bool with_message)
{
    struct partition *p = vp->partition;
    uint64_t param[ARRAY_SIZE(p->crash.param)];

    if (!crash_rate_allows())
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(param); i++)
        param[i] = __atomic_load_n(&p->crash.param[i], __ATOMIC_RELAXED);
    log_warn("partition %lu vp %u: guest crash, parameters %lx %lx %lx %lx %lx", p->id, vp->index.v,
             param[0], param[1], param[2], param[3], param[4]);
    if (with_message)
        crash_message(vp, param[3], param[4]);
}
