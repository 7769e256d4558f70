/* SPDX-License-Identifier: MIT */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include "lib/types.h"

/** console= : where messages go. */
enum cmdline_console {
    CONSOLE_COM1 = 1,
    CONSOLE_COM2 = 2,
    CONSOLE_VGA = 4,
    CONSOLE_DEBUG = 8, /* port 0xE9 of QEMU and Bochs */
};

/** npt= : the largest leaf of nested page tables. */
enum cmdline_npt { NPT_4K, NPT_2M, NPT_1G };

/** root= : what the parent partition is told. */
enum cmdline_root { ROOT_STOCK, ROOT_MSHV };

/** lp0= : whether the boot processor runs VPs. */
enum cmdline_lp0 { LP0_AUTO, LP0_ON, LP0_OFF };

#define CMDLINE_PROBLEMS_MAX 8
#define CMDLINE_WORD_MAX     48

/** An option that was not taken, for the log once there is one. */
struct cmdline_problem {
    char word[CMDLINE_WORD_MAX]; /* as given; cut if longer */
    const char *reason;
};

/** The hypervisor's options. Written once at start, then only read. */
struct cmdline {
    uint32_t console;  /* enum cmdline_console bits; 0 is none */
    uint32_t log;      /* enum log_level */
    uint32_t npt;      /* enum cmdline_npt */
    uint32_t root;     /* enum cmdline_root */
    uint32_t lazy_eoi; /* bool */
    uint32_t lp0;      /* enum cmdline_lp0 */
    uint32_t help;     /* bool */
    uint64_t reserve;  /* bytes for the hypervisor; 0 is by the size of the machine */
    uint64_t maxcpus;  /* logical processors to start, at least 1 */
    uint64_t delay_us; /* upper bound of the random delay at each exit; 0 is none */
    unsigned problem_count;
    unsigned problems_lost; /* problems beyond the list */
    struct cmdline_problem problems[CMDLINE_PROBLEMS_MAX];
};

/** All options at their defaults. */
void cmdline_defaults(struct cmdline *opts);

/**
 * Read a line of words separated by blanks, up to the word "--" or the end.
 * Starts from the defaults; the last of two equal options counts; a word that
 * is wrong changes nothing and is put on the list of problems.
 * `skip_first` drops the first word: the file name, boot_info.names_first.
 */
void cmdline_parse(const char *line, bool skip_first, struct cmdline *opts);

/**
 * Line `i` of the help text into buf: "name=values  what it does".
 * Returns false past the last one.
 */
bool cmdline_help_line(unsigned i, char *buf, size_t size);

/**
 * The rest of a module's string after its first word, the file name, and the
 * blanks after it: the parent kernel's own command line, for loaders with
 * boot_info.names_first. Points into `string`.
 */
const char *cmdline_after_name(const char *string);

#endif
