/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "vmms/switch/tool/tool.h"

static const struct verb *const verbs[] = {
    &verb_create, &verb_delete, &verb_connect, &verb_disconnect, &verb_set, &verb_list,
    &verb_show,   &verb_clean,  NULL,
};

const struct tool tool = {
    .name = "bhswitch",
    .version = BHSWITCH_VERSION,
    .options = "[--state DIR] ",
    .purpose = "Makes virtual switches and ports of virtual machines",
    .more = "  --state DIR  where it is kept, in place of " SWITCH_FOLDER "\n\n",
    .arguments_width = 26,
    .option_width = 20,
    .verbs = verbs,
};

const char *tool_folder = SWITCH_FOLDER;

bool name_take(char out[SWITCH_NAME_MAX + 1], const char *text)
{
    size_t n = strlen(text);

    if (n > SWITCH_NAME_MAX)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--state") == 0) {
        tool_folder = argv[2];
        if (tool_folder[0] != '/' || strlen(tool_folder) > 3000)
            return tool_usage(NULL, "--state wants an absolute path");
        argc -= 2;
        argv += 2;
    }
    return tool_main(argc, argv);
}
