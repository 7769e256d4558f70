// SPDX-License-Identifier: GPL-2.0-only
#include <linux/anon_inodes.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "calls.h"
#include "compat.h"
#include "vid.h"

static long ioctl(struct file *file, unsigned int command, unsigned long argument)
{
    struct vid_vp *vp = file->private_data;
    void __user *user = (void __user *)argument;
    long result;

    if (mutex_lock_killable(&vp->lock))
        return -EINTR;
    switch (command) {
    case MSHV_RUN_VP:
        result = vid_vp_run(vp, user);
        break;
    case MSHV_GET_VP_STATE:
        result = vid_vp_state(vp, user, false);
        break;
    case MSHV_SET_VP_STATE:
        result = vid_vp_state(vp, user, true);
        break;
    case MSHV_ROOT_HVCALL:
        result = vid_passthru(vp->partition, false, user);
        break;
    default:
        result = -ENOTTY;
    }
    mutex_unlock(&vp->lock);
    return result;
}

/* The VP stays with its partition, which may outlive this descriptor. */
static int release(struct inode *inode, struct file *file)
{
    struct vid_vp *vp = file->private_data;

    vid_partition_put(vp->partition);
    return 0;
}

/* The page of the hypervisor that an offset shows; NULL: there is none. */
static void *state_page(const struct vid_vp *vp, unsigned long offset)
{
    switch (offset) {
    case MSHV_VP_MMAP_OFFSET_REGISTERS:
        return vp->register_page;
    case MSHV_VP_MMAP_OFFSET_INTERCEPT_MESSAGE:
        return (void *)vp->intercept_page;
    default:
        return NULL;
    }
}

static vm_fault_t fault(struct vm_fault *vmf)
{
    void *page = state_page(vmf->vma->vm_file->private_data, vmf->pgoff);

    if (!page)
        return VM_FAULT_SIGBUS;
    vmf->page = virt_to_page(page);
    get_page(vmf->page);
    return 0;
}

static const struct vm_operations_struct state_pages = {
    .fault = fault,
};

/* A mapping holds the file, and with it the partition: no page is withdrawn under it. */
static int map(struct file *file, struct vm_area_struct *vma)
{
    if (vma->vm_pgoff >= MSHV_VP_MMAP_OFFSET_COUNT || vma_pages(vma) != 1)
        return -EINVAL;
    if (!state_page(file->private_data, vma->vm_pgoff))
        return -ENODEV;
    vid_compat_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
    vma->vm_ops = &state_pages;
    return 0;
}

static const struct file_operations vp_files = {
    .owner = THIS_MODULE,
    .release = release,
    .unlocked_ioctl = ioctl,
    .mmap = map,
    .llseek = noop_llseek,
};

void vid_vp_unmap(struct vid_vp *vp)
{
    if (vp->register_page)
        vid_unmap_state_page(vp->partition->id, vp->index, HV_VP_STATE_PAGE_REGISTERS);
    if (vp->intercept_page)
        vid_unmap_state_page(vp->partition->id, vp->index, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE);
}

/* Makes the VP in the hypervisor with its two pages; nothing of it is left after an error. */
static int create(struct vid_vp *vp)
{
    struct vid_partition *partition = vp->partition;
    void *page;
    int error = vid_create_vp(partition, vp->index);

    if (error)
        return error;
    error = vid_map_state_page(partition, vp->index, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, &page);
    if (!error) {
        vp->intercept_page = page;
        error = vid_map_state_page(partition, vp->index, HV_VP_STATE_PAGE_REGISTERS, &page);
    }
    if (error) {
        vid_vp_unmap(vp);
        vid_delete_vp(partition->id, vp->index);
        return error;
    }
    vp->register_page = page;
    return 0;
}

/* The descriptor is installed last: from then on user space may use the VP. */
static int install(struct vid_vp *vp)
{
    int fd = get_unused_fd_flags(O_CLOEXEC);
    struct file *file;

    if (fd < 0)
        return fd;
    file = anon_inode_getfile("mshv_vp", &vp_files, vp, O_RDWR);
    if (IS_ERR(file)) {
        put_unused_fd(fd);
        return PTR_ERR(file);
    }
    vid_partition_get(vp->partition);
    smp_store_release(&vp->partition->vps[vp->index], vp);
    fd_install(fd, file);
    return fd;
}

long vid_vp_create(struct vid_partition *partition, void __user *argument)
{
    struct mshv_create_vp args;
    struct vid_vp *vp;
    long result;

    if (copy_from_user(&args, argument, sizeof(args)))
        return -EFAULT;
    if (args.vp_index >= VID_MAX_VPS)
        return -EINVAL;
    if (partition->vps[args.vp_index])
        return -EEXIST;

    vp = kzalloc(sizeof(*vp), GFP_KERNEL_ACCOUNT);
    if (!vp)
        return -ENOMEM;
    vp->dispatch = kzalloc(sizeof(*vp->dispatch), GFP_KERNEL_ACCOUNT);
    vp->pfns = (unsigned long *)__get_free_page(GFP_KERNEL_ACCOUNT);
    vp->partition = partition;
    vp->index = args.vp_index;
    vp->stopped = true;
    mutex_init(&vp->lock);
    init_waitqueue_head(&vp->wait);
    result = vp->dispatch && vp->pfns ? create(vp) : -ENOMEM;
    if (result)
        goto free_vp;
    result = install(vp);
    if (result < 0)
        goto delete_vp;
    return result;

delete_vp:
    vid_vp_unmap(vp);
    vid_delete_vp(partition->id, vp->index);
free_vp:
    vid_vp_free(vp);
    return result;
}

void vid_vp_free(struct vid_vp *vp)
{
    if (!vp)
        return;
    kfree(vp->dispatch);
    free_page((unsigned long)vp->pfns);
    kfree(vp);
}
