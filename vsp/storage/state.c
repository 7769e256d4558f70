/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/storage/storage_priv.h"

/*
 * Saved state. A paused controller has nothing in flight: what is left is what the units remember,
 * how far each channel has come, and answers that did not fit into a ring.
 */

#define STORAGE_TAG     0x524F5453U /* "STOR" */
#define STORAGE_VERSION 1U

static void units_save(struct storage *s, struct save_writer *w)
{
    save_u64(w, atomic_load(&s->luns));
    for (unsigned i = 0; i < STORAGE_LUNS; i++) {
        struct unit *u = &s->units[i];
        (void)pthread_mutex_lock(&u->lock);
        if (u->attached)
            scsi_device_save(&u->scsi, w);
        (void)pthread_mutex_unlock(&u->lock);
    }
}

static void channel_save(const struct channel *c, struct save_writer *w)
{
    unsigned count = 0;

    for (const struct request *r = c->unsent.head; r; r = r->next)
        count++;
    save_u8(w, (uint8_t)c->protocol.state);
    save_u16(w, c->protocol.version);
    save_u16(w, (uint16_t)count);
    for (const struct request *r = c->unsent.head; r; r = r->next) {
        save_u64(w, r->transaction);
        save_u8(w, (uint8_t)r->reply_length);
        save_bytes(w, &r->reply, sizeof(r->reply));
    }
}

void storage_save(struct storage *s, struct save_writer *w)
{
    size_t begin = save_begin(w, STORAGE_TAG, STORAGE_VERSION);

    units_save(s, w);
    (void)pthread_mutex_lock(&s->lock);
    save_u16(w, s->version);
    for (unsigned i = 0; i < STORAGE_CHANNELS; i++) {
        save_u8(w, s->channels[i] != NULL);
        if (s->channels[i])
            channel_save(s->channels[i], w);
    }
    (void)pthread_mutex_unlock(&s->lock);
    save_end(w, begin);
}

/* What is read, before any of it is used. */
struct loaded {
    struct scsi_device device[STORAGE_LUNS];
    struct saved_channel *saved[STORAGE_CHANNELS];
    uint16_t version;
};

static void units_load(struct storage *s, struct loaded *n, struct save_reader *r)
{
    uint64_t luns = load_u64(r);

    if (luns != atomic_load(&s->luns))
        r->err = -EINVAL;
    for (unsigned i = 0; i < STORAGE_LUNS && !r->err; i++)
        if (luns & BIT64(i))
            scsi_device_load(&n->device[i], r);
}

static void channel_load(struct saved_channel **out, struct save_reader *r)
{
    struct saved_channel *c = calloc(1, sizeof(*c));

    if (!c) {
        r->err = -ENOMEM;
        return;
    }
    *out = c;
    c->state = (enum protocol_state)load_max(r, 1, PROTOCOL_STATES - 1);
    c->version = load_u16(r);
    c->count = (unsigned)load_max(r, 2, STORAGE_DEPTH);
    for (unsigned i = 0; i < c->count; i++) {
        c->answer[i].transaction = load_u64(r);
        c->answer[i].length = (uint32_t)load_max(r, 1, sizeof(c->answer[i].packet));
        load_bytes(r, &c->answer[i].packet, sizeof(c->answer[i].packet));
    }
}

static void units_adopt(struct storage *s, const struct loaded *n)
{
    for (unsigned i = 0; i < STORAGE_LUNS; i++) {
        struct unit *u = &s->units[i];
        (void)pthread_mutex_lock(&u->lock);
        if (u->attached)
            u->scsi = n->device[i];
        (void)pthread_mutex_unlock(&u->lock);
    }
}

static void channels_adopt(struct storage *s, struct loaded *n)
{
    (void)pthread_mutex_lock(&s->lock);
    s->version = n->version;
    for (unsigned i = 0; i < STORAGE_CHANNELS; i++) {
        free(s->saved[i]);
        s->saved[i] = n->saved[i];
        n->saved[i] = NULL;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* The units as they are now: what is not part of the state stays. */
static void units_copy(struct storage *s, struct loaded *n)
{
    for (unsigned i = 0; i < STORAGE_LUNS; i++) {
        (void)pthread_mutex_lock(&s->units[i].lock);
        n->device[i] = s->units[i].scsi;
        (void)pthread_mutex_unlock(&s->units[i].lock);
    }
}

int storage_load(struct storage *s, struct save_reader *r)
{
    struct loaded *n = calloc(1, sizeof(*n));
    int err;

    if (!n)
        return -ENOMEM;
    units_copy(s, n);
    (void)load_begin(r, STORAGE_TAG, STORAGE_VERSION);
    units_load(s, n, r);
    n->version = load_u16(r);
    for (unsigned i = 0; i < STORAGE_CHANNELS && !r->err; i++)
        if (load_max(r, 1, 1))
            channel_load(&n->saved[i], r);
    err = load_end(r);
    if (!err) {
        units_adopt(s, n);
        channels_adopt(s, n);
        /* The guest has been told of these units. */
        atomic_store(&s->enumerate, false);
    }
    for (unsigned i = 0; i < STORAGE_CHANNELS; i++)
        free(n->saved[i]);
    free(n);
    return err;
}
