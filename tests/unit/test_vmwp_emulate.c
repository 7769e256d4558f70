/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "vmwp/emulate.h"

#define DEVICE 0xFEC00000ULL
#define CODE   0x4000U
#define DATA   0x8000U

/* 64 KiB of RAM at 0, mapped one to one; one device page; pages without translation from `hole`. */
static uint8_t ram[0x10000];
static uint8_t device[0x1000];
static uint64_t hole;
static uint32_t port_value, port_written[64];
static unsigned port_accesses;
static struct hv_cpu cpu;
static struct hv_exit exit_;
static struct emulate_fault fault;

static int translate(void *ctx, uint64_t gva, unsigned access, uint64_t *gpa, bool *present)
{
    *present = false;
    *gpa = gva;
    return gva >= hole && gva < DEVICE ? -EFAULT : 0;
}

static uint8_t *place(uint64_t gpa, unsigned len)
{
    assert_true(gpa / 4096 == (gpa + len - 1) / 4096);
    return gpa >= DEVICE ? device + gpa % 4096 : ram + gpa % sizeof(ram);
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
    port_accesses++;
    return port_value++;
}

static void port_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    port_written[port_accesses++ % 64] = value;
}

static const struct emulate_env env = {translate, mem_read, mem_write, port_read, port_write, NULL};

/* 64-bit code at CODE that touches the start of the device. */
static int reset(void **state)
{
    memset(ram, 0, sizeof(ram));
    memset(device, 0, sizeof(device));
    memset(&cpu, 0, sizeof(cpu));
    memset(&exit_, 0, sizeof(exit_));
    hole = sizeof(ram);
    port_accesses = 0;
    port_value = 1;
    cpu.rip = CODE;
    cpu.efer = 0x500;
    cpu.segment[1].attributes = 0xA09B;
    exit_.memory.gpa = DEVICE;
    return 0;
}

static void code(const char *bytes, size_t n)
{
    memcpy(ram + cpu.rip, bytes, n);
}

#define CODE_IS(bytes) code(bytes, sizeof(bytes) - 1)

static void test_moves(void **state)
{
    CODE_IS("\x89\x07"); /* mov [rdi], eax */
    cpu.gpr[0] = 0x1122334455667788;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_memory_equal(device, "\x88\x77\x66\x55\0", 5);
    assert_int_equal(cpu.rip, CODE + 2);
    CODE_IS("\x48\x0F\xB6\x1E"); /* movzx rbx, byte [rsi] */
    cpu.gpr[3] = ~0ULL;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_true(cpu.gpr[3] == 0x88);
    assert_int_equal(cpu.rip, CODE + 6);
}

static void test_bytes_of_the_message(void **state)
{
    exit_.byte_count = 2;
    memcpy(exit_.bytes, "\x8B\x07", 2); /* mov eax, [rdi] */
    device[0] = 0x42;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_true(cpu.gpr[0] == 0x42);
    /* Cut off: the rest is fetched. */
    exit_.byte_count = 1;
    CODE_IS("\x90");
    cpu.rip = CODE + 0x100;
    exit_.bytes[0] = 0xC7;
    CODE_IS("\xC7\x07\x01\x00\x00\x00");
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_int_equal(device[0], 1);
    assert_int_equal(cpu.rip, CODE + 0x106);
}

static void test_read_modify_write(void **state)
{
    CODE_IS("\x83\x0F\x10"); /* or dword [rdi], 0x10 */
    device[0] = 0x01;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_int_equal(device[0], 0x11);
    CODE_IS("\xF6\x07\x02"); /* test byte [rdi], 2 */
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_true(cpu.rflags & 0x40);
}

static void test_real_mode(void **state)
{
    cpu.efer = 0;
    cpu.segment[1].attributes = 0x009B;
    cpu.segment[1].base = 0x1000;
    cpu.rip = 0x0FFE;
    memcpy(ram + 0x1FFE, "\x88\x07", 2); /* mov [bx], al */
    cpu.gpr[0] = 0x77;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_int_equal(device[0], 0x77);
    assert_int_equal(cpu.rip, 0x1000);
}

static void test_undefined(void **state)
{
    CODE_IS("\x0F\x58\x07"); /* addps */
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_FAULT);
    assert_int_equal(fault.vector, HV_EXCEPTION_UD);
    assert_int_equal(cpu.rip, CODE);
}

static void test_operand_leaves_the_page(void **state)
{
    CODE_IS("\x89\x07");
    exit_.memory.gpa = DEVICE + 0xFFE;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_FAULT);
    assert_int_equal(fault.vector, HV_EXCEPTION_UD);
}

static void test_fetch_faults(void **state)
{
    cpu.rip = hole + 0x10;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_FAULT);
    assert_int_equal(fault.vector, HV_EXCEPTION_PF);
    assert_int_equal(fault.error, 0x10);
    assert_true(fault.cr2 == hole + 0x10);
    /* The last bytes before a hole are an instruction all the same. */
    cpu.rip = hole - 2;
    CODE_IS("\x89\x07");
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
}

static void test_movs(void **state)
{
    CODE_IS("\xF3\xA5"); /* rep movsd, to the device */
    memcpy(ram + DATA, "abcdefgh", 8);
    cpu.gpr[1] = 2;
    cpu.gpr[6] = DATA;
    cpu.gpr[7] = DEVICE;
    exit_.memory.write = true;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_memory_equal(device, "abcd\0", 5);
    assert_int_equal(cpu.rip, CODE); /* one element, one exit */
    assert_int_equal(cpu.gpr[1], 1);
    exit_.memory.gpa = DEVICE + 4;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_memory_equal(device, "abcdefgh", 8);
    assert_int_equal(cpu.rip, CODE + 2);
    assert_true(cpu.gpr[6] == DATA + 8 && cpu.gpr[7] == DEVICE + 8 && cpu.gpr[1] == 0);
    /* And from it, into a hole. */
    exit_.memory = (struct hv_exit_memory){.gpa = DEVICE};
    cpu.gpr[7] = hole;
    CODE_IS("\xA4");
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_FAULT);
    assert_int_equal(fault.vector, HV_EXCEPTION_PF);
    assert_int_equal(fault.error, 2);
}

static void test_stos_lods(void **state)
{
    CODE_IS("\xAA\xAD"); /* stosb; lodsd */
    cpu.gpr[0] = 0xFFFFFFFFFFFFFF55;
    cpu.rflags = 0x400; /* downwards */
    exit_.memory.write = true;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_int_equal(device[0], 0x55);
    assert_true(cpu.gpr[7] == ~0ULL);
    exit_.memory.write = false;
    assert_int_equal(emulate_memory(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_true(cpu.gpr[0] == 0x55);
    assert_int_equal(cpu.rip, CODE + 2);
}

static void test_outs(void **state)
{
    exit_.io = (struct hv_exit_io){.port = 0x3F8, .size = 1, .write = true, .string = true};
    CODE_IS("\xF3\x6E");
    memcpy(ram + DATA, "hello", 5);
    cpu.gpr[1] = 5;
    cpu.gpr[6] = DATA;
    assert_int_equal(emulate_string_io(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_int_equal(port_accesses, 5);
    assert_int_equal(port_written[4], 'o');
    assert_int_equal(cpu.rip, CODE + 2);
    assert_true(cpu.gpr[1] == 0 && cpu.gpr[6] == DATA + 5);
}

static void test_ins_stops_at_a_fault(void **state)
{
    exit_.io = (struct hv_exit_io){.port = 0x1F0, .size = 2, .string = true};
    CODE_IS("\xF3\x66\x6D"); /* rep insw */
    cpu.gpr[1] = 10;
    cpu.gpr[7] = hole - 6;
    assert_int_equal(emulate_string_io(&env, &exit_, &cpu, &fault), EMULATE_FAULT);
    assert_int_equal(port_accesses, 3); /* what could not be stored was not read */
    assert_memory_equal(ram + hole - 6, "\1\0\2\0\3\0", 6);
    assert_true(cpu.gpr[1] == 7 && cpu.gpr[7] == hole && cpu.rip == CODE);
    assert_true(fault.vector == HV_EXCEPTION_PF && fault.cr2 == hole && fault.error == 2);
}

static void test_string_io_is_bounded(void **state)
{
    exit_.io = (struct hv_exit_io){.port = 0x80, .size = 1, .write = true, .string = true};
    CODE_IS("\xF3\x6E");
    cpu.gpr[1] = ~0ULL;
    assert_int_equal(emulate_string_io(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_int_equal(port_accesses, EMULATE_BATCH);
    assert_true(cpu.rip == CODE && cpu.gpr[1] == ~0ULL - EMULATE_BATCH);
    cpu.gpr[1] = 0;
    assert_int_equal(emulate_string_io(&env, &exit_, &cpu, &fault), EMULATE_DONE);
    assert_int_equal(cpu.rip, CODE + 2);
    /* Another instruction stands there now. */
    cpu.rip = CODE;
    CODE_IS("\x6C\x90");
    assert_int_equal(emulate_string_io(&env, &exit_, &cpu, &fault), EMULATE_FAULT);
    assert_int_equal(fault.vector, HV_EXCEPTION_UD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_moves, reset),
        cmocka_unit_test_setup(test_bytes_of_the_message, reset),
        cmocka_unit_test_setup(test_read_modify_write, reset),
        cmocka_unit_test_setup(test_real_mode, reset),
        cmocka_unit_test_setup(test_undefined, reset),
        cmocka_unit_test_setup(test_operand_leaves_the_page, reset),
        cmocka_unit_test_setup(test_fetch_faults, reset),
        cmocka_unit_test_setup(test_movs, reset),
        cmocka_unit_test_setup(test_stos_lods, reset),
        cmocka_unit_test_setup(test_outs, reset),
        cmocka_unit_test_setup(test_ins_stops_at_a_fault, reset),
        cmocka_unit_test_setup(test_string_io_is_bounded, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
