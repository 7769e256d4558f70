/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/vp_target.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/partition/overlay.h"
#include "hypervisor/vp/vp.h"
#include "hypervisor/vp/walk.h"
#include "lib/bits.h"
#include "lib/string.h"

/* HV_TRANSLATE_GVA_*: what is asked, HV_CACHE_TYPE and the overlay bit: what is answered. */
#define TRANSLATE_FLAGS                                                                            \
    (HV_TRANSLATE_GVA_VALIDATE_READ | HV_TRANSLATE_GVA_VALIDATE_WRITE |                            \
     HV_TRANSLATE_GVA_VALIDATE_EXECUTE | HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT |                       \
     HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS)
#define TRANSLATE_VALIDATE                                                                         \
    (HV_TRANSLATE_GVA_VALIDATE_READ | HV_TRANSLATE_GVA_VALIDATE_WRITE |                            \
     HV_TRANSLATE_GVA_VALIDATE_EXECUTE)
#define CACHE_TYPE_WRITE_BACK 6U
#define CACHE_TYPE_OVERLAY    BIT(8)
#define GVA_PAGES             BIT64(64 - PAGE_SHIFT)

/* HV_ACCESS_GPA_RESULT_CODE. */
enum access_gpa_result {
    ACCESS_GPA_SUCCESS = 0,
    ACCESS_GPA_UNMAPPED = 1,
    ACCESS_GPA_READ_INTERCEPT = 2,
    ACCESS_GPA_WRITE_INTERCEPT = 3,
    ACCESS_GPA_ILLEGAL_OVERLAY_ACCESS = 4,
};

/* HV_CACHE_TYPE in HV_ACCESS_GPA_CONTROL_FLAGS, which every access here ignores. */
#define ACCESS_GPA_FLAGS 0xFFULL

static unsigned checks_of(const struct vp *vp, uint64_t flags)
{
    unsigned checks = flags & TRANSLATE_VALIDATE ? (unsigned)WALK_CHECK : 0;

    checks |= flags & HV_TRANSLATE_GVA_VALIDATE_WRITE ? (unsigned)WALK_WRITE : 0;
    checks |= flags & HV_TRANSLATE_GVA_VALIDATE_EXECUTE ? (unsigned)WALK_EXEC : 0;
    checks |= flags & HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT ? (unsigned)WALK_EXEMPT : 0;
    checks |= flags & HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS ? (unsigned)WALK_SET_BITS : 0;
    return checks | (vp_cpl(vp) == 3 ? (unsigned)WALK_USER : 0);
}

static uint32_t result_of(enum walk_result r)
{
    static const uint32_t codes[] = {
        [WALK_OK] = HV_TRANSLATE_GVA_SUCCESS,
        [WALK_NOT_PRESENT] = HV_TRANSLATE_GVA_PAGE_NOT_PRESENT,
        [WALK_PRIVILEGE] = HV_TRANSLATE_GVA_PRIVILEGE_VIOLATION,
        [WALK_RESERVED] = HV_TRANSLATE_GVA_INVALID_PAGE_TABLE_FLAGS,
        [WALK_UNMAPPED] = HV_TRANSLATE_GVA_GPA_UNMAPPED,
        [WALK_NOT_WRITABLE] = HV_TRANSLATE_GVA_GPA_NO_WRITE_ACCESS,
        [WALK_DENIED] = HV_TRANSLATE_GVA_INTERCEPT,
    };

    return codes[r];
}

/*
 * The page that it leads to need not be mapped: VMMs translate the addresses of emulated devices.
 * The codes for memory are about the page tables.
 */
static void translate(struct vp *vp, const struct hv_input_translate_virtual_address *in,
                      struct hv_output_translate_virtual_address *out)
{
    struct walk_mode mode;
    enum walk_result r;
    gpa_t at;

    walk_mode_of(vp, &mode);
    r = walk_checked(vp->partition, &mode, gva(in->gva_page << PAGE_SHIFT),
                     checks_of(vp, in->control_flags), &at);
    out->result_code = result_of(r);
    if (r != WALK_OK)
        return;
    out->gpa_page = at.v >> PAGE_SHIFT;
    out->cache_type = CACHE_TYPE_WRITE_BACK;
    if (overlay_at(vp->partition, at))
        out->cache_type |= CACHE_TYPE_OVERLAY;
}

uint16_t hypercall_translate_virtual_address(struct hypercall *h)
{
    struct hv_output_translate_virtual_address out = {0};
    struct hv_input_translate_virtual_address in;
    struct vp_target t;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    if (in.padding || (in.control_flags & ~TRANSLATE_FLAGS) || in.gva_page >= GVA_PAGES)
        return HV_STATUS_INVALID_PARAMETER;
    status = vp_target_get(h, in.partition_id, in.vp_index, 0, false, &t);
    if (status != HV_STATUS_SUCCESS)
        return status;
    vp_target_stop(&t);
    translate(t.vp, &in, &out);
    vp_target_put(&t);
    return hypercall_output(h, 0, &out, sizeof(out));
}

/* At most 16 bytes of one page. */
static bool span_ok(uint64_t base, uint32_t count)
{
    return count && count <= sizeof(((struct hv_output_read_gpa *)0)->data) &&
           (base & ~PAGE_MASK) + count <= PAGE_SIZE;
}

uint16_t hypercall_read_gpa(struct hypercall *h)
{
    struct hv_output_read_gpa out = {.access_result = ACCESS_GPA_SUCCESS};
    struct hv_input_read_gpa in;
    struct vp_target t;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    if (!span_ok(in.base_gpa, in.byte_count) || (in.control_flags & ~ACCESS_GPA_FLAGS))
        return HV_STATUS_INVALID_PARAMETER;
    status = vp_target_get(h, in.partition_id, in.vp_index, 0, false, &t);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (guest_read(t.vp->partition, gpa(in.base_gpa), out.data, in.byte_count))
        out.access_result = guest_denied(t.vp->partition, gpa(in.base_gpa), ACCESS_READ)
                                ? ACCESS_GPA_READ_INTERCEPT
                                : ACCESS_GPA_UNMAPPED;
    vp_target_put(&t);
    return hypercall_output(h, 0, &out, sizeof(out));
}

static uint64_t write_bytes(struct partition *p, const struct hv_input_write_gpa *in)
{
    gpa_t at = gpa(in->base_gpa);

    if (!guest_write(p, at, in->data, in->byte_count))
        return ACCESS_GPA_SUCCESS;
    if (overlay_at(p, at))
        return ACCESS_GPA_ILLEGAL_OVERLAY_ACCESS;
    return guest_denied(p, at, ACCESS_WRITE) ? ACCESS_GPA_WRITE_INTERCEPT : ACCESS_GPA_UNMAPPED;
}

uint16_t hypercall_write_gpa(struct hypercall *h)
{
    struct hv_input_write_gpa in;
    struct vp_target t;
    uint16_t status;
    uint64_t result;

    memcpy(&in, h->in, sizeof(in));
    if (!span_ok(in.base_gpa, in.byte_count) || (in.control_flags & ~ACCESS_GPA_FLAGS))
        return HV_STATUS_INVALID_PARAMETER;
    status = vp_target_get(h, in.partition_id, in.vp_index, 0, false, &t);
    if (status != HV_STATUS_SUCCESS)
        return status;
    result = write_bytes(t.vp->partition, &in);
    vp_target_put(&t);
    return hypercall_output(h, 0, &result, sizeof(result));
}
