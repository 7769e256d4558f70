/* SPDX-License-Identifier: MIT */
#ifndef LIB_HOSTED_PROBLEM_H
#define LIB_HOSTED_PROBLEM_H

/** One sentence about what is wrong, for a person: it names the thing. */
struct problem {
    char text[512];
};

/** Write the sentence (cut if it is too long) and return `err`. */
__attribute__((format(printf, 3, 4))) int problem_set(struct problem *p, int err, const char *fmt,
                                                      ...);

#endif
