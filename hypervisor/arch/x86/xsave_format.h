/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_XSAVE_FORMAT_H
#define ARCH_X86_XSAVE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The two forms of an XSAVE area (APM volume 2 section 11.5, SDM volume 1 section 13.4). In the
 * standard form each component has a place of its own, which CPUID tells; in the compacted form
 * those present follow each other. Both begin with the legacy region and the header.
 */
#define XSAVE_LEGACY_SIZE    512U
#define XSAVE_HEADER_SIZE    64U
#define XSAVE_XSTATE_BV      512U /* which components are not in their initial state */
#define XSAVE_XCOMP_BV       520U /* compacted form: bit 63, and which components have a place */
#define XSAVE_COMPACTED      (1ULL << 63)
#define XSAVE_COMPONENTS     63U
#define XSAVE_FIRST_EXTENDED 2U        /* x87 and SSE are in the legacy region */
#define XSAVE_PART_ALIGNED   (1U << 1) /* CPUID 0xD ECX: 64-byte aligned when compacted */

struct xsave_part {
    uint32_t offset; /* in the standard form */
    uint32_t size;
    bool aligned;
};

struct xsave_layout {
    uint64_t components; /* all that XCR0 may hold */
    struct xsave_part part[XSAVE_COMPONENTS];
};

/** May XCR0 hold this: x87 always, and no component without those that it needs? */
bool xsave_xcr0_valid(uint64_t v);

/**
 * From standard form `area` (without `header` an FXSAVE area, all in use) to compacted form with
 * those components of `states` that exist. Returns the bytes, or 0 if `len` is too short.
 */
size_t xsave_compact(const struct xsave_layout *layout, const uint8_t *area, bool header,
                     uint64_t states, uint8_t *to, size_t len);

/**
 * From either form to standard form; what is absent becomes initial. 0, or -EINVAL: too short,
 * unknown components, reserved bits of the header or of MXCSR set; then `area` is untouched.
 */
int xsave_expand(const struct xsave_layout *layout, const uint8_t *from, size_t len,
                 uint32_t mxcsr_valid, uint8_t *area, bool header);

#endif
