/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <nftables/libnftables.h>
#include <string.h>
#include "vmms/switch/switch_priv.h"

static struct nft_ctx *context(void)
{
    struct nft_ctx *c = nft_ctx_new(NFT_CTX_DEFAULT);

    if (c && (nft_ctx_buffer_output(c) || nft_ctx_buffer_error(c))) {
        nft_ctx_free(c);
        c = NULL;
    }
    return c;
}

int nft_apply(const char *text, struct problem *why)
{
    struct nft_ctx *c = context();
    const char *said;
    int err = 0;

    if (!c)
        return problem_set(why, -ENOMEM, "%s", strerror(ENOMEM));
    if (nft_run_cmd_from_buffer(c, text) != 0) {
        said = nft_ctx_get_error_buffer(c);
        err = problem_set(why, -EIO, "nftables: %.*s", (int)strcspn(said, "\n"), said);
    }
    nft_ctx_free(c);
    return err;
}

int nft_seen(struct seen_list *out)
{
    struct nft_ctx *c = context();
    const char *text;
    int err = 0;

    *out = (struct seen_list){0};
    if (!c)
        return -ENOMEM;
    nft_ctx_output_set_flags(c, NFT_CTX_OUTPUT_JSON);
    if (nft_run_cmd_from_buffer(c, "list sets bridge") == 0) {
        text = nft_ctx_get_output_buffer(c);
        err = seen_parse(out, text, strlen(text));
    }
    nft_ctx_free(c);
    return err;
}
