/* SPDX-License-Identifier: MIT */
#include "vsp/storage/reserve.h"
#include "abi/vsp/storage/scsi.h"
#include "lib/bits.h"
#include "lib/string.h"

#define TYPES_VALID                                                                                \
    (BIT(PR_WRITE_EXCLUSIVE) | BIT(PR_EXCLUSIVE_ACCESS) | BIT(PR_WRITE_EXCLUSIVE_RO) |             \
     BIT(PR_EXCLUSIVE_ACCESS_RO) | BIT(PR_WRITE_EXCLUSIVE_ALL) | BIT(PR_EXCLUSIVE_ACCESS_ALL))
#define TYPES_ALL (BIT(PR_WRITE_EXCLUSIVE_ALL) | BIT(PR_EXCLUSIVE_ACCESS_ALL))
/* Those in which every registrant may use the unit. */
#define TYPES_SHARED (TYPES_ALL | BIT(PR_WRITE_EXCLUSIVE_RO) | BIT(PR_EXCLUSIVE_ACCESS_RO))
/* Those that let everybody read. */
#define TYPES_READABLE                                                                             \
    (BIT(PR_WRITE_EXCLUSIVE) | BIT(PR_WRITE_EXCLUSIVE_RO) | BIT(PR_WRITE_EXCLUSIVE_ALL))

static bool same(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, RESERVE_ID_SIZE) == 0;
}

static bool type_in(uint8_t type, unsigned set)
{
    return type < 32 && BIT(type) & set;
}

bool reserve_type_valid(uint8_t type)
{
    return type_in(type, TYPES_VALID);
}

bool reserve_type_all(uint8_t type)
{
    return type_in(type, TYPES_ALL);
}

static struct registrant *find(struct reserve *r, const uint8_t *id)
{
    for (unsigned i = 0; i < r->count; i++)
        if (same(r->registrant[i].id, id))
            return &r->registrant[i];
    return NULL;
}

static const struct registrant *registered(const struct reserve *r, const uint8_t *id)
{
    for (unsigned i = 0; i < r->count; i++)
        if (same(r->registrant[i].id, id) && r->registrant[i].key)
            return &r->registrant[i];
    return NULL;
}

bool reserve_holds(const struct reserve *r, const struct registrant *who)
{
    return r->type && who->key && (reserve_type_all(r->type) || same(r->holder, who->id));
}

bool reserve_conflict(const struct reserve *r, const uint8_t *id, enum reserve_access access)
{
    if (access == RESERVE_ALWAYS)
        return false;
    if (r->plain && !same(r->plain_holder, id))
        return true;
    if (!r->type || (access == RESERVE_READ && type_in(r->type, TYPES_READABLE)))
        return false;
    if (type_in(r->type, TYPES_SHARED))
        return !registered(r, id);
    return !same(r->holder, id);
}

uint16_t reserve_attention(struct reserve *r, const uint8_t *id)
{
    struct registrant *who = find(r, id);
    uint16_t asc = who ? who->attention : 0;

    if (!asc)
        return 0;
    who->attention = 0;
    if (!who->key) /* it was kept for this only */
        *who = r->registrant[--r->count];
    return asc;
}

enum reserve_result reserve_plain(struct reserve *r, const uint8_t *id)
{
    if (r->plain && !same(r->plain_holder, id))
        return RESERVE_CONFLICT;
    r->plain = true;
    memcpy(r->plain_holder, id, RESERVE_ID_SIZE);
    return RESERVE_DONE;
}

void reserve_plain_release(struct reserve *r, const uint8_t *id)
{
    if (r->plain && same(r->plain_holder, id))
        r->plain = false;
}

/* Tell all registrants but `id`. */
static void tell_others(struct reserve *r, const uint8_t *id, uint16_t asc)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->registrant[i].key && !same(r->registrant[i].id, id))
            r->registrant[i].attention = asc;
}

unsigned reserve_registrants(const struct reserve *r)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->count; i++)
        n += r->registrant[i].key != 0;
    return n;
}

static void unregister(struct reserve *r, struct registrant *who)
{
    uint8_t type = r->type;
    bool held = reserve_holds(r, who);

    who->key = 0;
    if (held && (!reserve_type_all(type) || reserve_registrants(r) == 0)) {
        r->type = 0;
        if (type_in(type, TYPES_SHARED))
            tell_others(r, who->id, ASC_RESERVATIONS_RELEASED);
    }
    if (!who->attention)
        *who = r->registrant[--r->count];
}

/* One that is kept only to be told what it has lost. */
static struct registrant *forgettable(struct reserve *r)
{
    for (unsigned i = 0; i < r->count; i++)
        if (!r->registrant[i].key)
            return &r->registrant[i];
    return NULL;
}

enum reserve_result reserve_register(struct reserve *r, const uint8_t *id, uint64_t key,
                                     uint64_t new_key, bool ignore)
{
    struct registrant *who = find(r, id);
    uint64_t old = who ? who->key : 0;

    if (!ignore && key != old)
        return RESERVE_CONFLICT;
    if (!who && new_key && r->count == RESERVE_MAX && !(who = forgettable(r)))
        return RESERVE_FULL;
    r->generation++;
    if (!new_key) {
        if (old)
            unregister(r, who);
        return RESERVE_DONE;
    }
    if (!who)
        who = &r->registrant[r->count++];
    if (!same(who->id, id))
        *who = (struct registrant){.attention = 0};
    memcpy(who->id, id, RESERVE_ID_SIZE);
    who->key = new_key;
    return RESERVE_DONE;
}

enum reserve_result reserve_acquire(struct reserve *r, const uint8_t *id, uint64_t key,
                                    uint8_t type)
{
    const struct registrant *who = registered(r, id);

    if (!who || who->key != key)
        return RESERVE_CONFLICT;
    if (r->type) /* SPC-4 5.13.9: the same once more is no error */
        return reserve_holds(r, who) && r->type == type ? RESERVE_DONE : RESERVE_CONFLICT;
    r->type = type;
    memcpy(r->holder, id, RESERVE_ID_SIZE);
    return RESERVE_DONE;
}

enum reserve_result reserve_release(struct reserve *r, const uint8_t *id, uint64_t key,
                                    uint8_t type)
{
    const struct registrant *who = registered(r, id);

    if (!who || who->key != key)
        return RESERVE_CONFLICT;
    if (!r->type || !reserve_holds(r, who))
        return RESERVE_DONE;
    if (r->type != type)
        return RESERVE_INVALID_RELEASE;
    r->type = 0;
    if (type_in(type, TYPES_SHARED))
        tell_others(r, id, ASC_RESERVATIONS_RELEASED);
    return RESERVE_DONE;
}

/* Drop the registrations of all but `keep`, or of those with `key`; they are told later. */
static void drop(struct reserve *r, const uint8_t *keep, uint64_t key, uint16_t asc)
{
    for (unsigned i = 0; i < r->count; i++) {
        struct registrant *who = &r->registrant[i];
        if (!who->key || same(who->id, keep) || (key && who->key != key))
            continue;
        who->key = 0;
        who->attention = asc;
    }
}

enum reserve_result reserve_clear(struct reserve *r, const uint8_t *id, uint64_t key)
{
    const struct registrant *who = registered(r, id);

    if (!who || who->key != key)
        return RESERVE_CONFLICT;
    r->generation++;
    r->type = 0;
    drop(r, id, 0, ASC_RESERVATIONS_PREEMPTED);
    unregister(r, find(r, id));
    return RESERVE_DONE;
}

static bool key_known(const struct reserve *r, uint64_t key)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->registrant[i].key == key)
            return true;
    return false;
}

static bool key_holds(const struct reserve *r, uint64_t key)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->registrant[i].key == key && reserve_holds(r, &r->registrant[i]))
            return true;
    return false;
}

/* SPC-4 5.13.11.4: with the holder's key (or none, if all hold it) the reservation is taken over,
 * with another one only registrations are removed. */
enum reserve_result reserve_preempt(struct reserve *r, const uint8_t *id, uint64_t key,
                                    uint64_t victim, uint8_t type)
{
    const struct registrant *who = registered(r, id);
    bool all = r->type && reserve_type_all(r->type);

    if (!who || who->key != key)
        return RESERVE_CONFLICT;
    if (!victim && !all)
        return RESERVE_INVALID;
    if (victim && !key_known(r, victim))
        return RESERVE_CONFLICT;
    r->generation++;
    if (r->type && (victim ? !all && key_holds(r, victim) : all)) {
        uint8_t before = r->type;
        drop(r, id, victim, ASC_REGISTRATIONS_PREEMPTED);
        r->type = type;
        memcpy(r->holder, id, RESERVE_ID_SIZE);
        if (before != type)
            tell_others(r, id, ASC_RESERVATIONS_RELEASED);
        return RESERVE_DONE;
    }
    if (victim == key) /* its own, and nobody else's is that */
        unregister(r, find(r, id));
    drop(r, id, victim, ASC_REGISTRATIONS_PREEMPTED);
    return RESERVE_DONE;
}

void reserve_save(const struct reserve *r, struct save_writer *w)
{
    save_u32(w, r->generation);
    save_u8(w, r->type);
    save_u8(w, r->plain);
    save_bytes(w, r->plain_holder, RESERVE_ID_SIZE);
    save_bytes(w, r->holder, RESERVE_ID_SIZE);
    save_u8(w, (uint8_t)r->count);
    for (unsigned i = 0; i < r->count; i++) {
        save_bytes(w, r->registrant[i].id, RESERVE_ID_SIZE);
        save_u64(w, r->registrant[i].key);
        save_u16(w, r->registrant[i].attention);
    }
}

void reserve_load(struct reserve *r, struct save_reader *reader)
{
    struct reserve n = {.generation = load_u32(reader)};

    n.type = load_u8(reader);
    if (n.type && !reserve_type_valid(n.type))
        reader->err = -EINVAL;
    n.plain = load_max(reader, 1, 1);
    load_bytes(reader, n.plain_holder, RESERVE_ID_SIZE);
    load_bytes(reader, n.holder, RESERVE_ID_SIZE);
    n.count = (unsigned)load_max(reader, 1, RESERVE_MAX);
    for (unsigned i = 0; i < n.count; i++) {
        load_bytes(reader, n.registrant[i].id, RESERVE_ID_SIZE);
        n.registrant[i].key = load_u64(reader);
        n.registrant[i].attention = load_u16(reader);
    }
    if (!reader->err)
        *r = n;
}
