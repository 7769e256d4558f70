/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* The hypercall page, the checks of form before any call is looked at, and the simple calls. */

#define XMM_INPUT (hv_features_edx() & HV_X64_HYPERCALL_XMM_INPUT_AVAILABLE)

static uint8_t pages[2][4096] PAGE_ALIGNED;

/* Status of a call, checked to be `want`. */
static void expect_status(const char *what, uint64_t result, uint32_t want)
{
    EXPECT(HC_STATUS(result) == want, "%s: status 0x%x, not 0x%x", what, HC_STATUS(result), want);
    EXPECT(!(result & ~0x00000FFF0000FFFFULL), "%s: reserved bits in 0x%lx", what, result);
}

static void page_needs_os_id(void)
{
    uint64_t v;

    hv_hypercall_disable();
    EXPECT(safe_wrmsr(HV_X64_MSR_HYPERCALL, PA(hv_hypercall_page) | 1) == 0, "the write faults");
    EXPECT(!safe_rdmsr(HV_X64_MSR_HYPERCALL, &v) && !(v & 1), "enabled without an OS id");
    REQUIRE(hv_hypercall_enable(), "cannot be enabled at all");
    wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
    EXPECT(!safe_rdmsr(HV_X64_MSR_HYPERCALL, &v) && !(v & 1), "clearing the OS id leaves it on");
    hv_hypercall_enable();
}

/* A root kernel copies the page into its own memory and calls the copy. */
static void page_is_relocatable(void)
{
    uint64_t (*copy)(void) = (uint64_t(*)(void))(uint64_t)pages[0];
    register uint64_t r8 __asm__("r8") = 0;
    uint64_t control = HC_FAST | HVCALL_NOTIFY_LONG_SPIN_WAIT, input = 1, status;

    if (!hv_hypercall_enable())
        return;
    memcpy(pages[0], hv_hypercall_page, sizeof(pages[0]));
    __asm__ volatile("call *%[page]"
                     : "=a"(status), "+c"(control), "+d"(input), "+r"(r8)
                     : [page] "r"(copy)
                     : "r9", "r10", "r11", "memory", "cc");
    expect_status("copied page", status, HV_STATUS_SUCCESS);
    expect_status("VMMCALL elsewhere", hv_vmmcall(HC_FAST | HVCALL_NOTIFY_LONG_SPIN_WAIT, 1, 0),
                  HV_STATUS_SUCCESS);
}

static void page_is_overlay(void)
{
    hv_hypercall_disable();
    memset(pages[0], 0xA5, sizeof(pages[0]));
    wrmsr(HV_X64_MSR_GUEST_OS_ID, 0x8100ULL << 48);
    wrmsr(HV_X64_MSR_HYPERCALL, PA(pages[0]) | 1);
    EXPECT(pages[0][0] != 0xA5 || pages[0][1] != 0xA5, "no code appears in the page");
    EXPECT(safe_write8(PA(pages[0]) + 100, 0x77) == GP, "the page can be written");
    wrmsr(HV_X64_MSR_HYPERCALL, 0);
    for (unsigned i = 0; i < 4096; i++)
        REQUIRE(((volatile uint8_t *)pages[0])[i] == 0xA5, "byte %u of the page below is lost", i);
    hv_hypercall_enable();
}

static void unknown_codes(void)
{
    static const uint16_t codes[] = {0, 1, 0x3F, 0x2FF, 0x7FFF, 0x8FFF, 0xFFFF};

    if (!hv_hypercall_enable())
        return;
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        expect_status("unknown code", hv_call(codes[i], PA(pages[0]), PA(pages[1])),
                      HV_STATUS_INVALID_HYPERCALL_CODE);
        expect_status("unknown code, fast", hv_call(codes[i] | HC_FAST, 0, 0),
                      HV_STATUS_INVALID_HYPERCALL_CODE);
    }
}

/* Simple calls take no repetitions and, without a variable part, no variable header. */
static void form_of_simple_calls(void)
{
    static const uint16_t codes[] = {HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, HVCALL_SEND_IPI,
                                     HVCALL_NOTIFY_LONG_SPIN_WAIT, HVCALL_POST_MESSAGE,
                                     HVCALL_SIGNAL_EVENT};
    static const uint64_t wrong[] = {
        HC_REPS(1),    HC_START(1),     HC_REPS(2) | HC_START(1),
        HC_VARHEAD(1), HC_VARHEAD(511), BIT64(27),
        BIT64(30),     BIT64(44),       BIT64(47),
        BIT64(60),     BIT64(63),
    };

    if (!hv_hypercall_enable())
        return;
    memset(pages, 0, sizeof(pages));
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
            uint64_t r = hv_call(codes[i] | wrong[k], PA(pages[0]), 0);

            EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_HYPERCALL_INPUT,
                   "code 0x%x with bits 0x%lx: status 0x%x", codes[i], wrong[k], HC_STATUS(r));
        }
    }
}

static void form_of_rep_calls(void)
{
    static const uint16_t codes[] = {HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST,
                                     HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX};
    static const uint64_t wrong[] = {0, HC_START(1), HC_REPS(4) | HC_START(4),
                                     HC_REPS(4) | HC_START(5), HC_REPS(4) | BIT64(45)};

    if (!hv_hypercall_enable())
        return;
    memset(pages, 0, sizeof(pages));
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
            uint64_t r = hv_call(codes[i] | wrong[k], PA(pages[0]), 0);

            EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_HYPERCALL_INPUT,
                   "code 0x%x with 0x%lx: status 0x%x", codes[i], wrong[k], HC_STATUS(r));
        }
    }
}

/* Fast input is 16 bytes unless XMM input is offered; a call with output is never fast. */
static void form_of_fast_calls(void)
{
    static const uint16_t large[] = {HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, HVCALL_POST_MESSAGE};

    if (!hv_hypercall_enable())
        return;
    for (size_t i = 0; i < ARRAY_SIZE(large) && !XMM_INPUT; i++) {
        uint64_t r = hv_call(large[i] | HC_FAST, 0, 0);

        EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_HYPERCALL_INPUT, "code 0x%x fast: status 0x%x",
               large[i], HC_STATUS(r));
    }
    if (hv_privileges() & HV_ACCESS_PARTITION_ID)
        expect_status("output call, fast", hv_call(HVCALL_GET_PARTITION_ID | HC_FAST, 0, 0),
                      HV_STATUS_INVALID_HYPERCALL_INPUT);
}

static void input_address(void)
{
    const uint64_t call = HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE;
    static const uint64_t beyond[] = {0xFFFFFFFFFFFFF000ULL, 0x000FFFFFFFFFF000ULL,
                                      0x0000800000000000ULL};
    uint64_t hole;

    if (!hv_hypercall_enable())
        return;
    memset(pages, 0, sizeof(pages));
    for (unsigned off = 1; off < 8; off++)
        expect_status("unaligned input", hv_call(call, PA(pages[0]) + off, 0),
                      HV_STATUS_INVALID_ALIGNMENT);
    expect_status("input across a page", hv_call(call, PA(pages[1]) - 8, 0),
                  HV_STATUS_INVALID_ALIGNMENT);
    for (size_t i = 0; i < ARRAY_SIZE(beyond); i++)
        expect_status("input out of range", hv_call(call, beyond[i], 0),
                      HV_STATUS_INVALID_ALIGNMENT);
    /* Device space is in range but holds no memory: any status but success. */
    for (hole = 0xFED00000; hole < 0xFED08000; hole += 0x1000)
        EXPECT(HC_STATUS(hv_call(call, hole, 0)) != HV_STATUS_SUCCESS, "input read from a device");
}

static void input_list_address(void)
{
    uint64_t call = HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | HC_REPS(100);

    if (!hv_hypercall_enable())
        return;
    memset(pages, 0, sizeof(pages));
    expect_status("list across a page", hv_call(call, PA(pages[1]) - 512, 0),
                  HV_STATUS_INVALID_ALIGNMENT);
    call = HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | HC_REPS(4095);
    expect_status("list longer than a page", hv_call(call, PA(pages[0]), 0),
                  HV_STATUS_INVALID_ALIGNMENT);
}

static void user_page(void)
{
    __asm__ volatile("call *%0; int $0x80" : : "r"(hv_hypercall_page), "c"(HC_FAST | 8), "d"(0));
}

static void user_vmmcall(void)
{
    __asm__ volatile("vmmcall; int $0x80" : : "c"(HC_FAST | 8), "d"(0));
}

static void caller_must_be_kernel(void)
{
    if (!hv_hypercall_enable())
        return;
    EXPECT(user_run(user_vmmcall) == UD, "VMMCALL at CPL 3 is not #UD");
    EXPECT(user_run(user_page) == UD, "the hypercall page at CPL 3 is not #UD");
}

/* A call may change RAX, RCX, RDX, R8 to R11 and nothing else (TLFS, "Hypercall Inputs"). */
static void registers_preserved(void)
{
    uint64_t bad;
    uint64_t cr4 = read_cr4();

    if (!hv_hypercall_enable())
        return;
    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
    write_cr4(cr4 | CR4_OSFXSR);
    __asm__ volatile("mov $0x1234567, %%rbx; mov $0x2345671, %%rsi; mov $0x3456712, %%rdi\n"
                     "mov $0x4567123, %%r12; mov $0x5671234, %%r13; mov $0x6712345, %%r14\n"
                     "mov $0x7123456, %%r15; mov %%rsp, %%rax\n"
                     "movq %%r12, %%xmm0; movq %%r13, %%xmm5; movq %%r14, %%xmm6\n"
                     "movq %%r15, %%xmm15; push %%rbp; mov %%rsp, %%rbp\n"
                     "vmmcall\n"
                     "xor %%r10d, %%r10d; cmp %%rsp, %%rbp; setne %%r10b; pop %%rbp\n"
                     "cmp $0x1234567, %%rbx; je 1f; or $2, %%r10d; 1:\n"
                     "cmp $0x2345671, %%rsi; je 1f; or $4, %%r10d; 1:\n"
                     "cmp $0x3456712, %%rdi; je 1f; or $8, %%r10d; 1:\n"
                     "cmp $0x4567123, %%r12; je 1f; or $16, %%r10d; 1:\n"
                     "cmp $0x5671234, %%r13; je 1f; or $32, %%r10d; 1:\n"
                     "cmp $0x6712345, %%r14; je 1f; or $64, %%r10d; 1:\n"
                     "cmp $0x7123456, %%r15; je 1f; or $128, %%r10d; 1:\n"
                     "movq %%xmm0, %%rax; cmp %%r12, %%rax; je 1f; or $256, %%r10d; 1:\n"
                     "movq %%xmm5, %%rax; cmp %%r13, %%rax; je 1f; or $512, %%r10d; 1:\n"
                     "movq %%xmm6, %%rax; cmp %%r14, %%rax; je 1f; or $1024, %%r10d; 1:\n"
                     "movq %%xmm15, %%rax; cmp %%r15, %%rax; je 1f; or $2048, %%r10d; 1:\n"
                     "mov %%r10, %%rax\n"
                     : "=a"(bad)
                     : "c"(HC_FAST | HVCALL_NOTIFY_LONG_SPIN_WAIT), "d"(7)
                     : "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "memory", "cc");
    write_cr4(cr4);
    EXPECT(bad == 0, "registers lost: mask 0x%lx", bad);
}

static void get_partition_id(void)
{
    uint64_t *out = hv_output_page();
    uint64_t r;

    if (!hv_hypercall_enable())
        return;
    out[0] = 0;
    r = hv_call(HVCALL_GET_PARTITION_ID, 0, PA(out));
    if (!(hv_privileges() & HV_ACCESS_PARTITION_ID)) {
        /* The parent is known by its identity: it may be answered without the bit. */
        EXPECT(HC_STATUS(r) == HV_STATUS_ACCESS_DENIED || HC_STATUS(r) == HV_STATUS_SUCCESS,
               "status 0x%x", HC_STATUS(r));
        return;
    }
    expect_status("get", r, HV_STATUS_SUCCESS);
    EXPECT(out[0] != HV_PARTITION_ID_INVALID && out[0] != HV_PARTITION_ID_SELF, "id 0x%lx", out[0]);
    expect_status("unaligned output", hv_call(HVCALL_GET_PARTITION_ID, 0, PA(out) + 4),
                  HV_STATUS_INVALID_ALIGNMENT);
    expect_status("output out of range", hv_call(HVCALL_GET_PARTITION_ID, 0, 0x000FFFFFFFFFF000ULL),
                  HV_STATUS_INVALID_ALIGNMENT);
}

static void long_spin_wait(void)
{
    uint64_t *in = hv_input_page();

    if (!hv_hypercall_enable())
        return;
    in[0] = 100;
    expect_status("fast", hv_call(HVCALL_NOTIFY_LONG_SPIN_WAIT | HC_FAST, 100, 0),
                  HV_STATUS_SUCCESS);
    expect_status("memory", hv_call(HVCALL_NOTIFY_LONG_SPIN_WAIT, PA(in), 0), HV_STATUS_SUCCESS);
}

static void post_message_refused(void)
{
    struct hv_input_post_message *in = hv_input_page();
    uint32_t s;

    SKIP_IF(!(hv_privileges() & HV_POST_MESSAGES), "not offered");
    if (!hv_hypercall_enable())
        return;
    memset(in, 0, sizeof(*in));
    in->connection_id = 0x00ABCDEF;
    in->message_type = 1;
    in->payload_size = 16;
    s = HC_STATUS(hv_call(HVCALL_POST_MESSAGE, PA(in), 0));
    EXPECT(s == HV_STATUS_INVALID_CONNECTION_ID, "unknown connection: status 0x%x", s);
    in->payload_size = HV_POST_MESSAGE_MAX_PAYLOAD + 1;
    s = HC_STATUS(hv_call(HVCALL_POST_MESSAGE, PA(in), 0));
    EXPECT(s == HV_STATUS_INVALID_PARAMETER, "payload of 241: status 0x%x", s);
    in->payload_size = 16;
    in->message_type = HVMSG_TIMER_EXPIRED;
    s = HC_STATUS(hv_call(HVCALL_POST_MESSAGE, PA(in), 0));
    EXPECT(s == HV_STATUS_INVALID_PARAMETER, "message type of the hypervisor: status 0x%x", s);
}

static void signal_event_refused(void)
{
    uint32_t s;

    SKIP_IF(!(hv_privileges() & HV_SIGNAL_EVENTS), "not offered");
    if (!hv_hypercall_enable())
        return;
    s = HC_STATUS(hv_call(HVCALL_SIGNAL_EVENT | HC_FAST, 0x00ABCDEF, 0));
    EXPECT(s == HV_STATUS_INVALID_CONNECTION_ID, "unknown connection: status 0x%x", s);
    s = HC_STATUS(hv_call(HVCALL_SIGNAL_EVENT | HC_FAST, 0x0800ULL << 32 | 0x00ABCDEF, 0));
    EXPECT(s == HV_STATUS_INVALID_CONNECTION_ID || s == HV_STATUS_INVALID_PARAMETER,
           "flag 2048 of an unknown connection: status 0x%x", s);
}

/* Long lists may be cut by the hypervisor, but the caller sees one call that did all of it. */
static void rep_continuation(void)
{
    struct hv_tlb_flush *in = hv_input_page();
    uint64_t *list = (uint64_t *)(in + 1);
    uint64_t r;

    if (!hv_hypercall_enable())
        return;
    memset(in, 0, 4096);
    in->flags = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES;
    for (unsigned i = 0; i < 500; i++)
        list[i] = BIT64(39) | (uint64_t)i << 12;
    for (unsigned start = 0; start < 500; start += 250) {
        r = hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | HC_REPS(500) | HC_START(start), PA(in), 0);
        expect_status("list of 500", r, HV_STATUS_SUCCESS);
        EXPECT(HC_REPS_DONE(r) == 500, "from %u: %u repetitions done", start, HC_REPS_DONE(r));
    }
}

static const struct test_case cases[] = {
    {"page_needs_os_id", page_needs_os_id, NEED_HV},
    {"page_is_relocatable", page_is_relocatable, NEED_HV},
    {"page_is_overlay", page_is_overlay, NEED_HV},
    {"unknown_codes", unknown_codes, NEED_HV},
    {"form_of_simple_calls", form_of_simple_calls, NEED_HV},
    {"form_of_rep_calls", form_of_rep_calls, NEED_HV},
    {"form_of_fast_calls", form_of_fast_calls, NEED_HV},
    {"input_address", input_address, NEED_HV},
    {"input_list_address", input_list_address, NEED_HV},
    {"caller_must_be_kernel", caller_must_be_kernel, NEED_HV},
    {"registers_preserved", registers_preserved, NEED_HV},
    {"get_partition_id", get_partition_id, NEED_HV},
    {"long_spin_wait", long_spin_wait, NEED_HV},
    {"post_message_refused", post_message_refused, NEED_HV},
    {"signal_event_refused", signal_event_refused, NEED_HV},
    {"rep_continuation", rep_continuation, NEED_HV},
};

TEST_GROUP(hypercall, cases);
