/* SPDX-License-Identifier: MIT */
#ifndef VMWP_AML_H
#define VMWP_AML_H

#include <stddef.h>
#include <stdint.h>

/*
 * The few words of the ACPI Machine Language (specification 6.5, chapter 20) that describe our
 * devices. What does not fit is not written, and `len` is then more than `size`: look once, at the
 * end.
 */

struct aml {
    uint8_t *buf;
    size_t size;
    size_t len;
};

void aml_bytes(struct aml *a, const void *bytes, size_t n);
void aml_byte(struct aml *a, uint8_t b);

/** Scope(path) and Device(name): open, and close with aml_end(). Names have four letters. */
size_t aml_scope(struct aml *a, const char *path);
size_t aml_device(struct aml *a, const char *name);
void aml_end(struct aml *a, size_t begin);

/** Name(name, number) */
void aml_name_number(struct aml *a, const char *name, uint8_t v);
/** Name(_HID, EISAID(id)), such as "PNP0501" */
void aml_hid(struct aml *a, const char *id);
/** Name(name, "string") */
void aml_name_string(struct aml *a, const char *name, const char *value);
/** Name(_CRS, ResourceTemplate of the addresses from `first` to `last`) */
void aml_resources_memory(struct aml *a, uint32_t first, uint32_t last);
/** Name(_CRS, ResourceTemplate of `count` ports from `first` on, and an ISA interrupt) */
void aml_resources(struct aml *a, uint16_t first, uint8_t count, uint8_t irq);
/** Name(path, Package of four bytes), as the sleep states are */
void aml_package4(struct aml *a, const char *path, const uint8_t v[4]);

#endif
