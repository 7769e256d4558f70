/* SPDX-License-Identifier: MIT */
/* The hypervisor's command line, and the number parser below it. */
#include <stdlib.h>

#include "hypervisor/boot/cmdline.h"
#include "lib/fmt.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cmdline opts;
    uint64_t v;
    char *line = malloc(size + 1);

    if (!line)
        return 0;
    memcpy(line, data, size);
    line[size] = '\0';
    cmdline_parse(line, size & 1, &opts);
    if (opts.problem_count > CMDLINE_PROBLEMS_MAX || opts.maxcpus < 1 || opts.maxcpus > 4096 ||
        opts.npt > NPT_1G || opts.root != ROOT_STOCK || opts.lazy_eoi > 1 || opts.lp0 > LP0_OFF)
        abort();
    for (unsigned i = 0; i < opts.problem_count; i++)
        if (!opts.problems[i].reason || !memchr(opts.problems[i].word, 0, CMDLINE_WORD_MAX))
            abort();
    const char *rest = cmdline_after_name(line);
    if (rest < line || rest > line + strlen(line))
        abort();
    (void)fmt_parse_u64(line, &v);
    free(line);
    return 0;
}
