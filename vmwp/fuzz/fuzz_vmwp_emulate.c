/* SPDX-License-Identifier: MIT */
/* Instructions of a guest that changes its code and registers as it likes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmwp/emulate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGE   4096U
#define DEVICE 0xFEC00000ULL

static uint8_t ram[4 * PAGE];
static uint8_t holes; /* one bit for each 4 KiB of an address, by its low bits */
static unsigned ports;

static void need(bool ok)
{
    if (!ok)
        abort();
}

static int translate(void *ctx, uint64_t gva, unsigned access, uint64_t *gpa, bool *present)
{
    *gpa = gva;
    *present = gva & 1;
    return holes >> (gva / PAGE % 8) & 1 ? -EFAULT : 0;
}

static uint8_t *place(uint64_t gpa, unsigned len)
{
    need(len >= 1 && len <= 15 && gpa % PAGE + len <= PAGE);
    return ram + gpa % sizeof(ram);
}

static void mem_read(void *ctx, uint64_t gpa, void *buf, unsigned len)
{
    memcpy(buf, place(gpa, len), len);
}

static void mem_write(void *ctx, uint64_t gpa, const void *buf, unsigned len)
{
    memcpy(place(gpa, len), buf, len);
}

static uint32_t port_read(void *ctx, uint16_t port, unsigned size)
{
    need(size == 1 || size == 2 || size == 4);
    ports++;
    return 0x12345678;
}

static void port_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    need(size == 1 || size == 2 || size == 4);
    need(size == 4 || value < 1U << (8 * size));
    ports++;
}

#define HEAD 24U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct emulate_env env = {translate, mem_read,   mem_write,
                                           port_read, port_write, NULL};
    static const uint16_t modes[] = {0x009B, 0xC09B, 0xA09B};
    struct emulate_fault fault = {0};
    struct hv_exit exit = {0};
    struct hv_cpu cpu = {0};
    int did;

    if (size < HEAD + 1)
        return 0;
    memset(ram, 0, sizeof(ram));
    holes = data[0];
    ports = 0;
    cpu.segment[1].attributes = modes[data[1] % 3];
    cpu.efer = data[1] % 3 == 2 ? 0x500 : 0;
    for (unsigned i = 0; i < 16; i++)
        cpu.gpr[i] = (uint64_t)data[2 + i] * (i & 1 ? 0x0101010101010101ULL : 0x123);
    cpu.rflags = (uint64_t)data[18] << 4;
    cpu.rip = (uint64_t)data[19] * 64;
    exit.byte_count = data[20] % 17;
    memcpy(exit.bytes, data + HEAD, exit.byte_count < size - HEAD ? exit.byte_count : size - HEAD);
    for (size_t i = 0; i < size - HEAD && i < 15; i++)
        ram[(cpu.rip + i) % sizeof(ram)] = data[HEAD + i];
    if (data[21] & 1) {
        exit.memory = (struct hv_exit_memory){.gpa = DEVICE + data[22] * 16U + data[23] % 16,
                                              .write = data[21] & 2};
        did = emulate_memory(&env, &exit, &cpu, &fault);
        need(ports == 0);
    } else {
        exit.io =
            (struct hv_exit_io){.port = 0x3F8, .size = 1, .write = data[21] & 2, .string = true};
        did = emulate_string_io(&env, &exit, &cpu, &fault);
        need(ports <= EMULATE_BATCH);
    }
    need(did == EMULATE_DONE || did == EMULATE_FAULT);
    need(did == EMULATE_DONE || fault.vector == HV_EXCEPTION_UD || fault.vector == HV_EXCEPTION_PF);
    return 0;
}
