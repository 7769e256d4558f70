/* SPDX-License-Identifier: MIT */
#include "disk/tool/tool.h"

static const struct verb *const verbs[] = {
    &verb_create,  &verb_info,  &verb_check,      &verb_resize, &verb_convert,
    &verb_compact, &verb_merge, &verb_set_parent, NULL,
};

const struct tool tool = {
    .name = "bhdisk",
    .version = BHDISK_VERSION,
    .options = "",
    .purpose = "Makes and changes disk images (raw, vhd, vhdx)",
    .more = "",
    .arguments_width = 32,
    .option_width = 18,
    .verbs = verbs,
};

int main(int argc, char **argv)
{
    return tool_main(argc, argv);
}
