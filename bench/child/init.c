/* SPDX-License-Identifier: MIT */
/* The child's first program: it says that it is there, and stays. */
#include <unistd.h>

int main(void)
{
    static const char line[] = "BENCH INIT\n";

    (void)!write(STDOUT_FILENO, line, sizeof(line) - 1);
    for (;;)
        pause();
}
