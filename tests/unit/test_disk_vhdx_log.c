/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_vhdx.h"

/* Logs that are made by hand (2.3): which sequence is the active one, and what is done with it. */

#define LOG        MIB
#define LOG_SECTOR VHDX_LOG_SECTOR
#define SECTORS    (uint32_t)(MIB / LOG_SECTOR)
#define AREA       (3 * MIB + 64 * 1024) /* of the BAT's region, behind all of its entries */

struct update {
    uint64_t offset;
    uint64_t zeros; /* bytes; 0: a page of `byte` */
    uint8_t byte;
};

/* An entry as it is to be: its place, and what its header says. In sectors. */
struct entry {
    uint32_t place, tail;
    uint64_t sequence;
    const struct update *update;
    unsigned count;
    uint64_t flushed, last; /* 0: the size of the file */
};

static const uint8_t log_guid[16] = {9, 9, 9};
static struct copy good;

static void *log_at(uint32_t sector)
{
    return at(LOG + (uint64_t)(sector % SECTORS) * LOG_SECTOR);
}

static void add_desc(uint8_t *entry, unsigned k, uint32_t *data, const struct entry *e)
{
    const struct update *u = &e->update[k];
    struct vhdx_log_desc d = {.signature = htole32(VHDX_ZERO_SIGNATURE),
                              .zero_length = htole64(u->zeros),
                              .file_offset = htole64(u->offset),
                              .sequence = htole64(e->sequence)};
    struct vhdx_log_data s = {.signature = htole32(VHDX_DATA_SIGNATURE),
                              .sequence_high = htole32((uint32_t)(e->sequence >> 32)),
                              .sequence_low = htole32((uint32_t)e->sequence)};

    if (!u->zeros) {
        d.signature = htole32(VHDX_DESC_SIGNATURE);
        d.trailing = 0x01010101U * u->byte;
        memset(d.leading, u->byte, sizeof(d.leading));
        memset(s.data, u->byte, sizeof(s.data));
        memcpy(entry + (size_t)(*data)++ * LOG_SECTOR, &s, sizeof(s));
    }
    memcpy(entry + 64 + k * sizeof(d), &d, sizeof(d));
}

static uint32_t add_entry(const struct entry *e)
{
    static uint8_t entry[64 * LOG_SECTOR];
    uint32_t data = 1 + (e->count + 1) / 128;
    struct vhdx_log_header h = {.signature = htole32(VHDX_ENTRY_SIGNATURE),
                                .tail = htole32(e->tail * LOG_SECTOR),
                                .sequence = htole64(e->sequence),
                                .count = htole32(e->count),
                                .flushed_file_offset = htole64(e->flushed ? e->flushed : 4 * MIB),
                                .last_file_offset = htole64(e->last ? e->last : disk.now.size)};

    memset(entry, 0, sizeof(entry));
    for (unsigned k = 0; k < e->count; k++)
        add_desc(entry, k, &data, e);
    h.length = htole32(data * LOG_SECTOR);
    memcpy(h.guid, log_guid, sizeof(h.guid));
    memcpy(entry, &h, sizeof(h));
    seal(entry, data * LOG_SECTOR);
    for (uint32_t k = 0; k < data; k++)
        memcpy(log_at(e->place + k), entry + k * LOG_SECTOR, LOG_SECTOR);
    return data;
}

static void in_use(void)
{
    for (unsigned k = 0; k < 2; k++)
        memcpy(header_at(k)->log_guid, log_guid, sizeof(log_guid));
    seal_all();
    settle();
}

/* An image whose log is nothing but noise of another life. */
static void make(void)
{
    create(&(struct format_create){.size = 8 * MIB, .block_size = MIB});
    open_it(false);
    put(0, 4096, 1);
    close_it();
    for (uint64_t k = 0; k < MIB; k++)
        ((uint8_t *)at(LOG))[k] = (uint8_t)(k * 31);
    good = keep();
}

static void done(void)
{
    free(good.data);
}

static void byte_is(uint64_t offset, uint8_t byte)
{
    uint8_t want[LOG_SECTOR];

    memset(want, byte, sizeof(want));
    assert_memory_equal(at(offset), want, sizeof(want));
}

/* Opened for reading nothing changes; for writing the log is played and gone. */
static void plays(void)
{
    struct copy before;

    in_use();
    before = keep();
    open_it(true);
    expect(0, 4096, 1);
    close_it();
    assert_memory_equal(disk.now.data, before.data, before.size);
    free(before.data);
    assert_int_equal(errors(false), 0);
    open_it(false);
    expect(0, 4096, 1);
    close_it();
    for (unsigned k = 0; k < 2; k++)
        assert_int_equal(header_at(k)->log_guid[0], 0);
    assert_int_equal(errors(false), 0);
}

static void is_bad(const char *part)
{
    in_use();
    refused(part);
    back_to(&good);
}

static void test_one_entry(void **state)
{
    const struct update u[] = {{AREA, 0, 0x41}, {AREA + 4096, 8192, 0}, {AREA + 8192, 0, 0x42}};

    make();
    memset(at(AREA), 0x55, 4 * 4096);
    (void)add_entry(&(struct entry){.place = 7, .tail = 7, .sequence = 1, .update = u, .count = 3});
    plays();
    byte_is(AREA, 0x41);
    byte_is(AREA + 4096, 0);
    byte_is(AREA + 8192, 0x42); /* descriptors are done in their order */
    byte_is(AREA + 3 * 4096, 0x55);
    done();
}

/* Entries begin at the tail that the last one names; the sequence may go around the end. */
static void test_sequence(void **state)
{
    static const uint32_t firsts[] = {0, 10, SECTORS - 1, SECTORS - 3, SECTORS - 5};

    make();
    for (unsigned k = 0; k < sizeof(firsts) / sizeof(firsts[0]); k++) {
        uint32_t place = firsts[k], second = 0;

        for (unsigned n = 0; n < 4; n++) {
            const struct update u[] = {{AREA, 0, (uint8_t)(0x60 + n)},
                                       {AREA + 4096 * (n + 1), 0, (uint8_t)(0x60 + n)}};

            second = n == 1 ? place : second;
            place = (place + add_entry(&(struct entry){.place = place,
                                                       .tail = n ? second : place,
                                                       .sequence = 40 + n,
                                                       .update = u,
                                                       .count = 2})) %
                    SECTORS;
        }
        plays();
        byte_is(AREA, 0x63);
        byte_is(AREA + 4096, 0); /* before the tail: it has been in its place long since */
        byte_is(AREA + 2 * 4096, 0x61);
        byte_is(AREA + 4 * 4096, 0x63);
        back_to(&good);
    }
    done();
}

/* 2.3.3: of several sequences the one with the greatest numbers. */
static void test_newest(void **state)
{
    const struct update old[] = {{AREA, 0, 1}}, new[] = {{AREA, 0, 2}};

    make();
    for (unsigned swap = 0; swap < 2; swap++) {
        (void)add_entry(&(struct entry){.place = swap ? 100 : 10,
                                        .tail = swap ? 100 : 10,
                                        .sequence = 8,
                                        .update = old,
                                        .count = 1});
        (void)add_entry(&(struct entry){.place = swap ? 10 : 100,
                                        .tail = swap ? 10 : 100,
                                        .sequence = 9,
                                        .update = new,
                                        .count = 1});
        plays();
        byte_is(AREA, 2);
        back_to(&good);
    }
    done();
}

/* An entry that is not whole ends the sequence before it. */
static void test_torn(void **state)
{
    const struct update first[] = {{AREA, 0, 1}}, next[] = {{AREA, 0, 2}, {AREA + 4096, 0, 2}};

    make();
    for (unsigned what = 0; what < 9; what++) {
        struct vhdx_log_header *h;

        (void)add_entry(
            &(struct entry){.place = 0, .tail = 0, .sequence = 5, .update = first, .count = 1});
        (void)add_entry(
            &(struct entry){.place = 2, .tail = 0, .sequence = 6, .update = next, .count = 2});
        h = log_at(2);
        if (what == 0)
            memset(log_at(4), 0, LOG_SECTOR);
        else if (what == 1)
            ((uint8_t *)log_at(3))[2000] ^= 1;
        else if (what == 2)
            h->guid[15] ^= 1;
        else if (what == 3)
            h->checksum ^= 1;
        else if (what == 4)
            h->length = htole32(2 * LOG_SECTOR);
        else if (what == 5)
            h->length = htole32(3 * LOG_SECTOR + 512);
        else if (what == 6)
            h->count = htole32(200);
        else if (what == 7)
            h->sequence = htole64(7);
        else
            h->tail = htole32(512);
        if (what >= 4)
            seal(h, 3 * LOG_SECTOR);
        plays();
        byte_is(AREA, 1);
        byte_is(AREA + 4096, 0);
        back_to(&good);
    }
    done();
}

static void test_descriptors(void **state)
{
    const struct update u[] = {{AREA, 0, 1}, {AREA + 4096, 4096, 0}};

    make();
    for (unsigned what = 0; what < 9; what++) {
        struct vhdx_log_desc *d;
        struct vhdx_log_data *s;

        (void)add_entry(
            &(struct entry){.place = 0, .tail = 0, .sequence = 5, .update = u, .count = 2});
        d = (struct vhdx_log_desc *)log_at(0) + 2;
        s = log_at(1);
        if (what == 0)
            d[0].signature ^= 1;
        else if (what == 1)
            d[0].sequence = htole64(4);
        else if (what == 2)
            d[0].file_offset = htole64(AREA + 512);
        else if (what == 3)
            d[1].zero_length = htole64(4096 + 512);
        else if (what == 4)
            d[1].file_offset = htole64(AREA + 1);
        else if (what == 5)
            s->signature ^= 1;
        else if (what == 6)
            s->sequence_high = htole32(1);
        else if (what == 7)
            s->sequence_low = htole32(4);
        else
            d[1].signature = htole32(VHDX_DESC_SIGNATURE); /* whose data is not there */
        seal(log_at(0), 2 * LOG_SECTOR);
        is_bad("no valid sequence");
    }
    done();
}

/* Only what is behind the headers, and not the log itself. */
static void test_targets(void **state)
{
    static const struct update rows[] = {
        {0, 0, 1},
        {VHDX_HEADER1, 0, 1},
        {VHDX_HEADER2, 4096, 0},
        {LOG, 0, 1},
        {LOG + MIB - 4096, 0, 1},
        {VHDX_REGIONS2 + 65536, MIB, 0}, /* into the log */
        {1ULL << 49, 0, 1},
        {UINT64_MAX - 4095, 0, 1},
        {4 * MIB, UINT64_MAX - 4095, 0},
    };

    make();
    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        (void)add_entry(
            &(struct entry){.place = 0, .tail = 0, .sequence = 1, .update = &rows[k], .count = 1});
        is_bad("what it must not update");
    }
    (void)add_entry(&(struct entry){.tail = 0, .sequence = 1, .last = 1ULL << 50});
    is_bad("what it must not update");
    (void)add_entry(&(struct entry){.tail = 0, .sequence = 1, .flushed = 9 * MIB});
    is_bad("cut: the log knows of 9437184 bytes");
    done();
}

static void test_no_sequence(void **state)
{
    const struct update u[] = {{AREA, 0, 1}};

    make();
    is_bad("no valid sequence"); /* noise only */
    (void)add_entry(&(struct entry){.place = 5, .tail = 6, .sequence = 1, .update = u, .count = 1});
    is_bad("no valid sequence"); /* its tail is nowhere */
    (void)add_entry(&(struct entry){.place = 5, .tail = 5, .sequence = 0, .update = u, .count = 1});
    is_bad("no valid sequence");
    done();
}

/* Updates behind the end make the file longer, by a page or by what the header says; what they
 * bring, a table that has moved, is the image's. */
static void test_longer_file(void **state)
{
    static const uint64_t lasts[] = {5 * MIB, 6 * MIB, 7 * MIB};
    const struct update u[] = {
        {5 * MIB, 0, 0}, {5 * MIB + 4096, MIB - 8192, 0}, {6 * MIB - 4096, 0, 0}};
    const uint64_t first = htole64(4 * MIB | VHDX_PRESENT);

    make();
    for (unsigned k = 0; k < sizeof(lasts) / sizeof(lasts[0]); k++) {
        (void)add_entry(&(struct entry){.sequence = 3, .update = u, .count = 3, .last = lasts[k]});
        memcpy((uint8_t *)log_at(0) + 64 + 8, &first, 8); /* where block 0 is */
        seal(log_at(0), 3 * LOG_SECTOR);
        memset(at(3 * MIB), 0xEE, 4096);
        for (unsigned copy = 0; copy < 2; copy++)
            regions(copy)->region[0].offset = htole64(5 * MIB);
        plays();
        open_it(false);
        put(3 * MIB, MIB, 4);
        reopen();
        expect(0, 4096, 1);
        expect(3 * MIB, MIB, 4);
        close_it();
        assert_int_equal(errors(false), 0);
        back_to(&good);
    }
    done();
}

/* A log in which each sector begins an entry of the whole log must not hold us up. */
static void test_much_work(void **state)
{
    struct vhdx_log_header h = {.signature = htole32(VHDX_ENTRY_SIGNATURE),
                                .length = htole32(SECTORS * LOG_SECTOR),
                                .sequence = htole64(1)};

    make();
    memcpy(h.guid, log_guid, sizeof(h.guid));
    for (uint32_t k = 0; k < SECTORS; k++) {
        memset(log_at(k), 0, LOG_SECTOR);
        memcpy(log_at(k), &h, sizeof(h));
    }
    is_bad("full of entries that overlap");
    done();
}

/* The power fails at each point of playing a log, and again: it is played in the end. */
static void test_crash_in_replay(void **state)
{
    const struct update u[] = {{AREA, 0, 1}, {AREA + 4096, 65536, 0}, {6 * MIB, 0, 2}};
    uint64_t seed = 7, changes;

    make();
    memset(at(AREA + 4096), 0x55, 65536);
    (void)add_entry(&(struct entry){
        .place = 250, .tail = 250, .sequence = 5, .update = u, .count = 3, .last = 7 * MIB});
    in_use();
    free(good.data);
    good = keep();
    open_it(false);
    changes = disk.changes;
    close_it();
    for (unsigned run = 0; run < 15 * changes; run++) {
        back_to(&good);
        for (unsigned again = 0; again < 1 + run % 3; again++) {
            disk.power_left = 1 + (run / 3 + again * 5) % changes;
            if (shim_open(&o, &format_vhdx, &disk.file, false) == 0) {
                disk.dead = true;
                (void)shim_close(&o);
            }
            shim_disk_crash(&disk, &seed);
        }
        open_it(true);
        expect(0, 4096, 1);
        close_it();
        open_it(false);
        expect(0, 4096, 1);
        byte_is(AREA, 1);
        byte_is(AREA + 4096, 0);
        byte_is(AREA + 4096 + 61440, 0);
        byte_is(6 * MIB, 2);
        assert_int_equal(disk.now.size, 7 * MIB);
        assert_int_equal(shim_close(&o), 0);
        assert_int_equal(errors(false), 0);
    }
    done();
}

/* A writer that says that the log is in use before it has an entry, and is killed between: opening
 * refuses it, because a lost log looks the same; a repair forgets it. */
static void test_repair(void **state)
{
    make();
    in_use();
    refused("no valid sequence");
    assert_int_equal(errors(false), 1);
    refused("no valid sequence");
    assert_int_equal(errors(true), 0);
    open_it(false);
    expect(0, 4096, 1);
    close_it();
    assert_int_equal(errors(false), 0);
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_one_entry),   ROW(test_sequence),
        ROW(test_newest),      ROW(test_torn),
        ROW(test_descriptors), ROW(test_targets),
        ROW(test_no_sequence), ROW(test_longer_file),
        ROW(test_much_work),   ROW(test_crash_in_replay),
        ROW(test_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
