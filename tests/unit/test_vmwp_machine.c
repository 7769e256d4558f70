/* SPDX-License-Identifier: MIT */
/* A whole machine on a hypervisor that plays a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/vmbus/message.h"
#include "lib/errno.h"
#include "tests/unit/shim_kernel.h"
#include "vmwp/hv_fake.h"
#include "vmwp/machine_priv.h"
#include "vmwp/hv_mshv_priv.h"
#include "vmwp/machine.h"

static char log_path[] = "/tmp/vmwp-machine-XXXXXX";
static struct config config;
static struct machine_files files;
static struct console *console;
static struct machine *m;
static struct problem why;

static void step(struct hv_exit e)
{
    hv_fake.step[hv_fake.steps++] = e;
}

static void out(uint16_t port, uint8_t size, uint32_t value)
{
    step((struct hv_exit){
        .kind = HV_EXIT_IO,
        .io = {.port = port, .size = size, .write = true, .rax = value, .next_rip = 0x1234}});
}

static void in(uint16_t port, uint8_t size, uint64_t rax)
{
    step((struct hv_exit){.kind = HV_EXIT_IO,
                          .io = {.port = port, .size = size, .rax = rax, .next_rip = 0x5678}});
}

static void power_off(void)
{
    out(0x604, 2, 5U << 10 | 1U << 13);
}

static int reset(void **state)
{
    static uint8_t image[SHIM_KERNEL_BYTES];
    int fd;

    memset(&hv_fake, 0, sizeof(hv_fake));
    shim_kernel(image);
    files = (struct machine_files){shim_file(image, sizeof(image)), -1, -1};
    memcpy(log_path + strlen(log_path) - 6, "XXXXXX", 6);
    fd = mkstemp(log_path);
    (void)close(fd);
    config = (struct config){.memory = 32U << 20,
                             .processors = 3,
                             .weight = 200,
                             .cap = 50,
                             .serial = CONFIG_SERIAL_FILE,
                             .services = {.heartbeat = true, .kvp = true}};
    memcpy(config.serial_path, log_path, sizeof(log_path));
    if (fd < 0 || files.kernel < 0 || console_open(&console, &config, &why) < 0 ||
        machine_create(&m, &config, &files, console, NULL, &why) < 0)
        return -1;
    return machine_build(m, &why);
}

static int cleanup(void **state)
{
    assert_int_equal(machine_destroy(m, &why), 0);
    m = NULL;
    console_restore(console);
    free(console);
    machine_files_close(&files);
    return unlink(log_path);
}

static void expect_output(const char *text)
{
    char got[256] = {0};
    FILE *f = fopen(log_path, "r");

    assert_non_null(f);
    (void)!fread(got, 1, sizeof(got) - 1, f);
    (void)fclose(f);
    assert_string_equal(got, text);
}

static void test_builds(void **state)
{
    assert_int_equal(hv_fake.created, 1);
    assert_int_equal(hv_fake.vps, 3);
    assert_true(hv_fake.mapped == 32U << 20);
    assert_int_equal(hv_fake.share.weight, 200);
    assert_int_equal(hv_fake.share.reserve, 0);
    assert_int_equal(hv_fake.share.cap, 0x8000);
    assert_true(hv_fake.boot_rip == SHIM_KERNEL_AT + 0x200);
    assert_true(hv_fake.boot_rsi == 0x7000);
    power_off();
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
    assert_int_equal(hv_fake.destroyed, 1);
}

static void test_prints(void **state)
{
    out(0x3F8, 1, 'H');
    out(0x3F8, 1, 'i');
    out(0x3F8, 1, '\n');
    power_off();
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
    expect_output("Hi\n");
}

/* One request of the control socket; what is wrong with it, or its answer in *answer. */
static const char *request(const char *text, int status, json_t **answer)
{
    struct control_request r = {.object = json_loads(text, 0, NULL), .ticket = 1};

    *answer = NULL;
    why.text[0] = 0;
    assert_non_null(r.object);
    assert_int_equal(machine_control(m, &r, answer, &why), status);
    json_decref((json_t *)(uintptr_t)r.object);
    return why.text;
}

/* What is asked of a guest that has no driver, or of a service that is off. */
static void test_services(void **state)
{
    json_t *a;

    (void)request("{\"do\": \"heartbeat\"}", 0, &a);
    assert_string_equal(json_string_value(json_object_get(a, "heartbeat")), "none");
    json_decref(a);
    assert_string_equal(request("{\"do\": \"shutdown\"}", -ENODEV, &a),
                        "the shutdown service is off in the configuration");
    assert_string_equal(request("{\"do\": \"ip\"}", -ENOTCONN, &a),
                        "the guest has no kvp service, or has no driver for it");
    assert_string_equal(request("{\"do\": \"kvp-list\", \"pool\": \"x\"}", -EINVAL, &a),
                        "pool is external, guest, auto, auto-external or auto-internal");
    assert_string_equal(
        request("{\"do\": \"kvp-set\", \"pool\": \"guest\", \"key\": 1}", -EINVAL, &a),
        "key: a text is wanted");
    assert_string_equal(request("{\"do\": \"thaw\", \"hold\": 1}", -EINVAL, &a),
                        "'hold' is no word for thaw");
    assert_string_equal(request("{\"do\": \"freeze\", \"timeout\": 0}", -EINVAL, &a),
                        "timeout: seconds from 1 to 3600");
    assert_string_equal(
        request("{\"do\": \"copy\", \"name\": \"a\", \"folder\": \"/\"}", -EINVAL, &a),
        "a file has to come along");
    (void)request("{\"do\": \"counters\"}", 0, &a);
    assert_int_equal(json_object_size(json_object_get(a, "services")), 2);
    json_decref(a);
    (void)request("{\"do\": \"pause\"}", 0, &a);
    (void)request("{\"do\": \"heartbeat\"}", 0, &a);
    assert_string_equal(json_string_value(json_object_get(a, "heartbeat")), "paused");
    json_decref(a);
    assert_string_equal(request("{\"do\": \"ip\"}", -EBUSY, &a), "the machine is paused");
    (void)request("{\"do\": \"resume\"}", 0, &a);
    power_off();
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
}

/* A guest makes contact; there is room for the answer only a little later. */
static void test_vmbus_contact(void **state)
{
    const struct vmbus_msg_initiate_contact contact = {
        .header = {.type = VMBUS_MSG_INITIATE_CONTACT},
        .version = VMBUS_VERSION_5_3,
        .target_sint = VMBUS_MESSAGE_SINT};
    struct hv_input_post_message in = {.connection_id = VMBUS_CONNECTION_MESSAGES_4,
                                       .message_type = VMBUS_MESSAGE_TYPE,
                                       .payload_size = sizeof(contact)};
    struct vmbus_msg_version_response response;

    memcpy(in.payload, &contact, sizeof(contact));
    memcpy(hv_fake.ram + 0x6000, &in, sizeof(in));
    hv_fake.slot_full = true;
    step((struct hv_exit){.kind = HV_EXIT_CALL,
                          .call = {.control = HVCALL_POST_MESSAGE,
                                   .input = 0x6000,
                                   .next_rip = 0x777,
                                   .long_mode = true}});
    step((struct hv_exit){.kind = HV_EXIT_SINTS, .sints = 1U << VMBUS_MESSAGE_SINT});
    power_off();
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
    assert_int_equal(hv_fake.awaits, 1);
    assert_int_equal(hv_fake.posts, 1);
    memcpy(&response, hv_fake.post, sizeof(response));
    assert_int_equal(response.header.type, VMBUS_MSG_VERSION_RESPONSE);
    assert_int_equal(response.version_supported, 1);
}

static void test_reads_keep_the_rest_of_rax(void **state)
{
    in(0x3FD, 1, 0xAABBCCDDEEFF0011); /* LSR */
    power_off();
    in(0x80, 4, 0xAABBCCDDEEFF0011); /* is not reached */
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
    assert_true(hv_fake.finished_rax == (5U << 10 | 1U << 13));
    hv_fake.next = hv_fake.steps = 0;
    assert_int_equal(machine_build(m, &why), 0);
    in(0x3FD, 1, 0xAABBCCDDEEFF0011);
    step((struct hv_exit){.kind = HV_EXIT_FATAL});
    assert_int_equal(machine_run(m, &why), MACHINE_CRASHED);
    assert_true(hv_fake.finished_rax == 0xAABBCCDDEEFF0060);
    assert_true(hv_fake.finished_rip == 0x5678);
}

static void test_resets(void **state)
{
    out(0xCF9, 1, 0x06);
    assert_int_equal(machine_run(m, &why), MACHINE_RESET);
    assert_int_equal(machine_build(m, &why), 0);
    assert_int_equal(hv_fake.created, 2);
    assert_int_equal(hv_fake.destroyed, 1);
    out(0x64, 1, 0xFE);
    assert_int_equal(machine_run(m, &why), MACHINE_RESET);
}

/* What a VP had begun may reset the machine: it stays paused. */
static void test_pauses(void **state)
{
    uint64_t stands;

    assert_int_equal(machine_pause(m, true, &why), 0);
    assert_int_equal(machine_pause(m, true, &why), 0);
    assert_true(hv_fake.paused);
    stands = machine_now_ns(m);
    assert_true(machine_now_ns(m) == stands);
    out(0xCF9, 1, 0x06);
    assert_int_equal(machine_run(m, &why), MACHINE_RESET);
    hv_fake.paused = false;
    assert_int_equal(machine_build(m, &why), 0);
    assert_true(hv_fake.paused);
    assert_int_equal(machine_pause(m, false, &why), 0);
    assert_false(hv_fake.paused);
    assert_true(machine_now_ns(m) >= stands && machine_now_ns(m) < stands + 1000000000U);
}

static void test_triple_fault(void **state)
{
    step((struct hv_exit){.kind = HV_EXIT_FATAL});
    assert_int_equal(machine_run(m, &why), MACHINE_CRASHED);
    config.on_crash = CONFIG_CRASH_RESET;
    assert_int_equal(machine_build(m, &why), 0);
    step((struct hv_exit){.kind = HV_EXIT_FATAL});
    assert_int_equal(machine_run(m, &why), MACHINE_RESET);
}

static void test_interrupts(void **state)
{
    /* mov [rdi], eax to the I/O APIC: select entry 4, then unmask it. */
    struct hv_exit e = {.kind = HV_EXIT_MEMORY, .byte_count = 2, .bytes = {0x89, 0x07}};

    hv_fake.cpu = (struct hv_cpu){.efer = 0x500, .gpr = {0x18}};
    hv_fake.cpu.segment[1].attributes = 0xA09B;
    e.memory.gpa = 0xFEC00000;
    e.memory.write = true;
    step(e); /* IOREGSEL = 0x18: pin 4 */
    e.memory.gpa = 0xFEC00010;
    step(e);             /* vector 0x18, edge, unmasked */
    out(0x3FC, 1, 0x08); /* OUT2 */
    out(0x3F9, 1, 0x02); /* interrupt when the transmitter is empty: at once */
    power_off();
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
    assert_int_equal(hv_fake.interrupts, 1);
    assert_int_equal(hv_fake.last.vector, 0x18);
    assert_false(hv_fake.last.level);
    assert_true(hv_fake.stored.rip == 2);
}

static void test_page_fault_is_raised(void **state)
{
    step((struct hv_exit){.kind = HV_EXIT_MEMORY, .memory = {.gpa = 0xFEC00000}});
    power_off();
    hv_fake.fault = -EFAULT;
    hv_fake.cpu.rip = 0x7000;
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
    assert_int_equal(hv_fake.raised, HV_EXCEPTION_PF);
    assert_true(hv_fake.raised_cr2 == 0x7000);
}

/* Page tables that are out of memory: the VP finds them by itself, and comes again. */
static void test_translation_is_tried_again(void **state)
{
    step((struct hv_exit){.kind = HV_EXIT_MEMORY, .memory = {.gpa = 0xFEC00000}});
    power_off();
    hv_fake.fault = -EAGAIN;
    hv_fake.cpu.rip = 0x7000;
    assert_int_equal(machine_run(m, &why), MACHINE_OFF);
    assert_int_equal(hv_fake.raised, 0);
    assert_true(hv_fake.stored.rip == 0x7000);
}

static void test_host_without_memory(void **state)
{
    step((struct hv_exit){.kind = HV_EXIT_MEMORY, .memory = {.gpa = 0x5000}});
    assert_int_equal(machine_run(m, &why), MACHINE_FAILED);
    assert_string_equal(why.text, "VP 0: the host has no memory for 0x5000");
}

static void test_fails(void **state)
{
    step((struct hv_exit){.kind = HV_EXIT_OTHER, .type = 0x80010001});
    assert_int_equal(machine_run(m, &why), MACHINE_FAILED);
    assert_string_equal(why.text, "VP 0: message 0x80010001 of the hypervisor is not expected");
    assert_int_equal(machine_build(m, &why), 0);
    step((struct hv_exit){.kind = HV_EXIT_IO, .io = {.port = 0x80, .size = 1}});
    assert_int_equal(machine_run(m, &why), MACHINE_FAILED);
    assert_string_equal(why.text, "VP 0: message 0x00000000 of the hypervisor: Protocol error");
    hv_fake.create_error = -EPERM;
    assert_int_equal(machine_build(m, &why), -EPERM);
    assert_string_equal(why.text, "partition: refused");
}

static void test_messages(void **state)
{
    struct hv_x64_io_port_intercept_message io = {
        .header = {.length_cr8 = 0xF2, .intercept_access_type = 1, .rip = 0x1000},
        .port_number = 0x3F8,
        .access_info = 0x1C,
        .instruction_byte_count = 200,
        .rax = 7};
    struct hv_x64_memory_intercept_message mem = {
        .memory_access_info = 1, .guest_virtual_address = 5, .guest_physical_address = 6};
    struct hv_message msg = {.header.message_type = HVMSG_X64_IO_PORT_INTERCEPT};
    struct hv_exit e;

    memcpy(msg.payload, &io, sizeof(io));
    hv_exit_decode(&msg, &e);
    assert_int_equal(e.kind, HV_EXIT_IO);
    assert_true(e.io.write && e.io.string && e.io.rep && e.io.size == 4 && e.io.rax == 7);
    assert_true(e.io.next_rip == 0x1002);
    assert_int_equal(e.byte_count, 16);
    io.access_info = 3;
    memcpy(msg.payload, &io, sizeof(io));
    hv_exit_decode(&msg, &e);
    assert_int_equal(e.kind, HV_EXIT_OTHER);
    msg.header.message_type = HVMSG_UNMAPPED_GPA;
    memcpy(msg.payload, &mem, sizeof(mem));
    hv_exit_decode(&msg, &e);
    assert_true(e.kind == HV_EXIT_MEMORY && e.memory.gpa == 6 && e.memory.gva_valid);
    assert_false(e.memory.write);
    msg.header.message_type = HVMSG_X64_APIC_EOI;
    msg.payload[0] = 0x59ULL << 32 | 1;
    hv_exit_decode(&msg, &e);
    assert_true(e.kind == HV_EXIT_EOI && e.vector == 0x59);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_builds, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_prints, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_vmbus_contact, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_services, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_reads_keep_the_rest_of_rax, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_resets, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_pauses, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_triple_fault, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_interrupts, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_page_fault_is_raised, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_translation_is_tried_again, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_host_without_memory, reset, cleanup),
        cmocka_unit_test_setup_teardown(test_fails, reset, cleanup),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
