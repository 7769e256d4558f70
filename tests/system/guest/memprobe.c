/* SPDX-License-Identifier: MIT */
/*
 * Tries to read and to write every page of physical ranges through /dev/mem.
 *
 *   memprobe START END [START END …]      (hexadecimal)
 *
 * Prints how many pages could be mapped, were read as something else than all ones, and took a
 * write without a fault. The written value is given by an XMM register, so that no register
 * which the hypervisor saves in its own memory ever holds it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096UL

static sigjmp_buf after_fault;
static unsigned long mapped, readable, writable;

static void on_fault(int sig)
{
    siglongjmp(after_fault, sig);
}

static void probe_read(const volatile uint64_t *page)
{
    if (!sigsetjmp(after_fault, 1) && *page != UINT64_MAX)
        readable++;
}

static void probe_write(void *page)
{
    static const char pattern[16] = "BulkheadProbe!?.";

    if (sigsetjmp(after_fault, 1))
        return;
    __asm__ volatile("movdqu %1, %%xmm0\n\tmovdqu %%xmm0, %0"
                     : "=m"(*(char(*)[16])page)
                     : "m"(pattern)
                     : "xmm0");
    writable++;
}

int main(int argc, char **argv)
{
    int fd = open("/dev/mem", O_RDWR | O_SYNC);

    if (fd < 0) {
        perror("/dev/mem");
        return 1;
    }
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t end = strtoull(argv[i + 1], NULL, 16);

        for (uint64_t at = strtoull(argv[i], NULL, 16); at < end; at += PAGE) {
            void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);

            if (page == MAP_FAILED)
                continue;
            mapped++;
            probe_read(page);
            probe_write(page);
            munmap(page, PAGE);
        }
    }
    printf("mapped %lu readable %lu writable %lu\n", mapped, readable, writable);
    return 0;
}
