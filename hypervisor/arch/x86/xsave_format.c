/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/xsave_format.h"

#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

#define X87 BIT64(0)
#define SSE BIT64(1)
#define AVX BIT64(2)
#define MPX (BIT64(3) | BIT64(4))
#define ZMM (BIT64(5) | BIT64(6) | BIT64(7))
#define AMX (BIT64(17) | BIT64(18))

#define SSE_AT      160U /* XMM registers in the legacy region; before them is x87's */
#define SSE_SIZE    256U
#define MXCSR_AT    24U
#define FCW_INITIAL 0x037fU
#define MXCSR_INIT  0x1f80U

static bool all_or_none(uint64_t v, uint64_t group)
{
    return !(v & group) || (v & group) == group;
}

bool xsave_xcr0_valid(uint64_t v)
{
    if (!(v & X87) || ((v & AVX) && !(v & SSE)) || ((v & ZMM) && !(v & AVX)))
        return false;
    return all_or_none(v, MPX) && all_or_none(v, ZMM) && all_or_none(v, AMX);
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static void store64(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, sizeof(v));
}

/* Where the next component goes in the compacted form. */
static size_t place(const struct xsave_part *part, size_t end)
{
    return part->aligned ? align_up(end, 64) : end;
}

/* Bytes of a compacted area with these components, or of a standard one that reaches so far. */
static size_t size_of(const struct xsave_layout *layout, uint64_t states, bool compacted)
{
    size_t end = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;

    for (unsigned i = XSAVE_FIRST_EXTENDED; i < XSAVE_COMPONENTS; i++) {
        const struct xsave_part *part = &layout->part[i];

        if (!(states & BIT64(i)))
            continue;
        if (compacted)
            end = place(part, end) + part->size;
        else
            end = max_u64(end, part->offset + part->size);
    }
    return end;
}

size_t xsave_compact(const struct xsave_layout *layout, const uint8_t *area, bool header,
                     uint64_t states, uint8_t *to, size_t len)
{
    uint64_t have = states & layout->components;
    uint64_t in_use = header ? load64(area + XSAVE_XSTATE_BV) : X87 | SSE;
    size_t end = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;

    if (size_of(layout, have, true) > len)
        return 0;
    memcpy(to, area, XSAVE_LEGACY_SIZE);
    memset(to + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_SIZE);
    store64(to + XSAVE_XSTATE_BV, in_use & have);
    store64(to + XSAVE_XCOMP_BV, XSAVE_COMPACTED | have);
    for (unsigned i = XSAVE_FIRST_EXTENDED; i < XSAVE_COMPONENTS; i++) {
        const struct xsave_part *part = &layout->part[i];
        size_t at = place(part, end);

        if (!(have & BIT64(i)))
            continue;
        memset(to + end, 0, at - end);
        memcpy(to + at, area + part->offset, part->size);
        end = at + part->size;
    }
    return end;
}

/* What the header promises, if the processor would take it. */
static int header_check(const struct xsave_layout *layout, const uint8_t *from, size_t len,
                        uint32_t mxcsr_valid, uint64_t *in_use, uint64_t *have)
{
    uint64_t comp;
    uint32_t mxcsr;
    bool compacted;

    if (len < XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE)
        return -EINVAL;
    *in_use = load64(from + XSAVE_XSTATE_BV);
    comp = load64(from + XSAVE_XCOMP_BV);
    memcpy(&mxcsr, from + MXCSR_AT, sizeof(mxcsr));
    compacted = comp & XSAVE_COMPACTED;
    *have = compacted ? comp & ~XSAVE_COMPACTED : *in_use;
    if ((!compacted && comp) || (*have & ~layout->components) || (*in_use & ~*have) ||
        (mxcsr & ~mxcsr_valid))
        return -EINVAL;
    for (unsigned i = XSAVE_XCOMP_BV + 8; i < XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE; i++)
        if (from[i])
            return -EINVAL;
    return size_of(layout, *have, compacted) > len ? -EINVAL : 0;
}

/* x87 and SSE: a component that is not in use is initial, whatever the bytes say. */
static void legacy_expand(const uint8_t *from, uint64_t in_use, uint8_t *area)
{
    const uint32_t mxcsr = MXCSR_INIT;
    const uint16_t fcw = FCW_INITIAL;
    uint8_t kept[4]; /* the mask is the processor's */

    memcpy(kept, area + MXCSR_AT + 4, sizeof(kept));
    memset(area, 0, XSAVE_LEGACY_SIZE);
    if (in_use & X87)
        memcpy(area, from, SSE_AT);
    else
        memcpy(area, &fcw, sizeof(fcw));
    if (in_use & SSE)
        memcpy(area + SSE_AT, from + SSE_AT, SSE_SIZE);
    if (in_use & (SSE | AVX))
        memcpy(area + MXCSR_AT, from + MXCSR_AT, sizeof(mxcsr));
    else
        memcpy(area + MXCSR_AT, &mxcsr, sizeof(mxcsr));
    memcpy(area + MXCSR_AT + 4, kept, sizeof(kept));
}

int xsave_expand(const struct xsave_layout *layout, const uint8_t *from, size_t len,
                 uint32_t mxcsr_valid, uint8_t *area, bool header)
{
    uint64_t in_use, have;
    size_t end = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;
    bool compacted;
    int rc = header_check(layout, from, len, mxcsr_valid, &in_use, &have);

    if (rc)
        return rc;
    compacted = load64(from + XSAVE_XCOMP_BV) & XSAVE_COMPACTED;
    legacy_expand(from, in_use, area);
    if (!header)
        return 0;
    memset(area + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_SIZE);
    store64(area + XSAVE_XSTATE_BV, in_use);
    for (unsigned i = XSAVE_FIRST_EXTENDED; i < XSAVE_COMPONENTS; i++) {
        const struct xsave_part *part = &layout->part[i];
        size_t at = compacted ? place(part, end) : part->offset;

        if (layout->components & BIT64(i))
            memset(area + part->offset, 0, part->size);
        if (!(have & BIT64(i)))
            continue;
        if (in_use & BIT64(i))
            memcpy(area + part->offset, from + at, part->size);
        end = at + part->size;
    }
    return 0;
}
