/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "abi/vsp/ic/copy.h"
#include "vsp/ic/ic_priv.h"
#include "vsp/ic/text.h"

/*
 * A file for the guest, in pieces of 6 KiB, each of which is answered before the next one goes. A
 * copy that ends before its time is cancelled in the guest.
 */

static void reset(struct ic *ic)
{
    memset(&ic->copy, 0, sizeof(ic->copy));
}

/* The folder as the guest gets it: the daemon of Linux makes what is followed by a '/'. */
static int folder_put(const struct ic_request *r, uint8_t *out, size_t size)
{
    const size_t length = strlen(r->copy.folder);
    char folder[IC_PATH_MAX + 1];

    memcpy(folder, r->copy.folder, length + 1);
    if (length && folder[length - 1] != '/')
        memcpy(folder + length, "/", 2);
    return ic_text_to_guest(folder, out, size);
}

static int check(struct ic *ic, const struct ic_request *r)
{
    uint8_t text[2 * COPY_PATH_CHARS];
    int err = r->copy.name[0] && r->copy.folder[0] ? 0 : -EINVAL;

    if (!err && strchr(r->copy.name, '/'))
        err = -EINVAL;
    if (!err)
        err = ic_text_to_guest(r->copy.name, text, sizeof(text));
    if (err >= 0)
        err = folder_put(r, text, sizeof(text));
    return err < 0 ? -EINVAL : 0;
}

static size_t plain(uint32_t operation, uint8_t *body)
{
    const struct copy_header m = {.operation = operation};

    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

static size_t start_put(const struct ic_request *r, uint8_t *body)
{
    struct copy_start m = {.header = {.operation = COPY_START}, .size = r->copy.size};

    m.flags =
        (r->copy.overwrite ? COPY_OVERWRITE : 0) | (r->copy.create_path ? COPY_CREATE_PATH : 0);
    (void)ic_text_to_guest(r->copy.name, m.name, sizeof(m.name));
    (void)folder_put(r, m.folder, sizeof(m.folder));
    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

/* The copy ends here; what the guest has of it is to go. */
static void give_up(struct ic *ic, int err)
{
    struct ic_copy *c = &ic->copy;

    c->owed = c->started;
    c->started = c->completing = false;
    ic_end(ic, err);
}

static size_t write_put(struct ic *ic, uint8_t *body)
{
    const struct ic_request *r = ic->current;
    struct ic_copy *c = &ic->copy;
    struct copy_write m = {.header = {.operation = COPY_WRITE}, .offset = c->offset};
    const uint64_t left = r->copy.size - c->offset;
    const size_t want = left < sizeof(m.data) ? (size_t)left : sizeof(m.data);
    size_t have = 0;

    while (have < want) {
        ssize_t n = pread(r->copy.file, m.data + have, want - have, (off_t)(c->offset + have));

        if (n <= 0) { /* it has become shorter meanwhile */
            give_up(ic, n < 0 ? -errno : -EIO);
            c->cancelling = true;
            return plain(COPY_CANCEL, body);
        }
        have += (size_t)n;
    }
    m.size = c->last = (uint32_t)want;
    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

static size_t next(struct ic *ic, uint64_t now, uint8_t *body)
{
    struct ic_copy *c = &ic->copy;

    if (c->owed) { /* before anything new begins */
        c->cancelling = true;
        return plain(COPY_CANCEL, body);
    }
    if (!ic->current)
        return 0;
    /* It is the guest that sets the pace: it has its time for each message. */
    ic->current->deadline_ns = now + ic->current->timeout_ms * NS_PER_MS;
    if (!c->started) {
        c->offset = 0;
        return start_put(ic->current, body);
    }
    if (c->offset < ic->current->copy.size)
        return write_put(ic, body);
    c->completing = true;
    return plain(COPY_COMPLETE, body);
}

static void answer(struct ic *ic, const struct protocol_answer *a, bool mine)
{
    struct ic_copy *c = &ic->copy;

    if (!mine) {
        c->owed = c->owed && !c->cancelling;
        c->cancelling = false;
        return;
    }
    if (a->status != IC_S_OK) {
        ic->current->status = a->status;
        give_up(ic, -EREMOTEIO);
    } else if (c->completing) {
        c->started = c->completing = false;
        ic_end(ic, 0);
    } else if (c->started) {
        c->offset += c->last;
    } else {
        c->started = true;
    }
}

/* What its messages have begun is to go. A guest that has no file open is not told: the daemon of
 * Linux would remove the file that came before. */
static void drop(struct ic *ic)
{
    struct ic_copy *c = &ic->copy;

    c->owed = c->started || ic->about_current;
    c->started = c->completing = false;
}

const struct ic_service ic_service_copy = {
    .name = "copy",
    .type = {IC_COPY_CLASS_BYTES},
    .instance = {IC_COPY_INSTANCE_BYTES},
    .protocol = {ICMSG_COPY, 1, {{1, 1}}},
    .reset = reset,
    .check = check,
    .next = next,
    .answer = answer,
    .drop = drop,
};
