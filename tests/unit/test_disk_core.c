/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/unit/shim_disk.h"
#include "disk/disk_priv.h"

/* The public interface over real files, by both engines, with the page cache and without. */

#define MIB   (1ULL << 20)
#define DEPTH 32U
#define SLOT  (64U * 512U)

static char folder[] = "/var/tmp/disk-XXXXXX";
static struct problem why;

static const char *path_of(const char *name)
{
    static char path[4][512];
    static unsigned turn;

    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
    return path[turn];
}

static int setup(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int clean(void **state)
{
    char command[600];

    (void)snprintf(command, sizeof(command), "rm -rf %s/*", folder);
    return system(command);
}

static int teardown(void **state)
{
    (void)clean(state);
    return rmdir(folder);
}

/* A new image; `parent`: a path in the folder. */
static void make(const char *name, const struct disk_format *format, struct format_create how,
                 const char *parent)
{
    struct disk_options options = {.read_only = true, .cached = true};
    struct layer *top = NULL;
    struct host_file *h;
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(host_file_adopt(&h, fd, true), 0);
    if (parent) {
        if (chain_open(&top, path_of(parent), &options, &why) < 0)
            fail_msg("%s", why.text);
        how.parent = &top->geometry;
        how.parent_path = parent;
    }
    if (format->create(&h->file, &how, &why) < 0)
        fail_msg("%s", why.text);
    if (top)
        assert_int_equal(chain_close(top), 0);
    host_file_close(h);
}

static struct disk *open_disk(const char *name, bool read_only, bool cached)
{
    const struct disk_options options = {.read_only = read_only, .cached = cached};
    struct disk *disk = NULL;

    if (disk_open(&disk, path_of(name), &options, &why) < 0)
        fail_msg("%s", why.text);
    return disk;
}

static int open_error(const char *name, bool read_only, const char *part)
{
    const struct disk_options options = {.read_only = read_only, .cached = true};
    struct disk *disk = NULL;
    int err = disk_open(&disk, path_of(name), &options, &why);

    assert_true(err < 0);
    assert_null(disk);
    if (!strstr(why.text, part))
        fail_msg("'%s' does not say '%s'", why.text, part);
    return err;
}

/* ---- one request at a time ---- */

static int last_error;
static bool is_done;

static void note(struct disk_request *r, int error)
{
    assert_false(is_done);
    last_error = error;
    is_done = true;
}

static int run(struct disk_queue *q, struct disk *disk, struct disk_request *r)
{
    is_done = false;
    r->done = note;
    disk_submit(q, disk, r);
    for (unsigned i = 0; i < 1000 && !is_done; i++)
        (void)disk_queue_wait(q, 100);
    assert_true(is_done);
    assert_int_equal(disk_queue_busy(q), 0);
    return last_error;
}

static int run_data(struct disk_queue *q, struct disk *disk, enum disk_op op, uint64_t offset,
                    void *data, size_t length, bool fua)
{
    struct iovec iov = {data, length};
    struct disk_request r = {
        .op = op, .fua = fua, .offset = offset, .length = length, .iov = &iov, .iov_count = 1};

    return run(q, disk, &r);
}

static int run_plain(struct disk_queue *q, struct disk *disk, enum disk_op op, uint64_t offset,
                     uint64_t length)
{
    struct disk_request r = {.op = op, .offset = offset, .length = length};

    return run(q, disk, &r);
}

static struct disk_queue *queue(const struct engine *engine)
{
    struct disk_queue *q;

    assert_int_equal(disk_queue_create_with(&q, DEPTH, engine), 0);
    return q;
}

/* ---- many at a time, against the model ---- */

struct slot {
    struct disk_request request;
    struct load *load;
    struct iovec iov[70];
    uint64_t first, count;
    bool busy, verify;
    uint8_t *data;
};

struct load {
    struct disk *disk;
    struct disk_queue *queue;
    struct shim_model *model;
    uint64_t seed;
    uint64_t from, span; /* sectors that it uses */
    unsigned submitted, done;
    uint8_t *memory;
    struct slot slot[DEPTH];
};

static void slot_done(struct disk_request *r, int error)
{
    struct slot *s = (struct slot *)(void *)r;

    assert_true(s->busy);
    assert_int_equal(error, 0);
    if (s->verify)
        shim_model_check(s->load->model, s->first, s->count, s->data, false);
    s->busy = false;
    s->load->done++;
}

static bool in_use(const struct load *l, uint64_t first, uint64_t count)
{
    for (unsigned i = 0; i < DEPTH; i++)
        if (l->slot[i].busy && l->slot[i].first < first + count &&
            first < l->slot[i].first + l->slot[i].count)
            return true;
    return false;
}

/* Vectors of all shapes over a buffer; a few of them misaligned for O_DIRECT. */
static void shape(struct load *l, struct slot *s)
{
    uint64_t left = s->count * 512, how = shim_below(&l->seed, 4);
    uint8_t *at = s->data;
    unsigned n = 0;

    while (left > 0) {
        uint64_t part = how == 0 ? left : how == 1 ? 512 : (1 + shim_below(&l->seed, 5)) * 512;

        if (how == 3 && left > 700 && shim_below(&l->seed, 4) == 0)
            part = 300;
        if (part > left || n + 1 == 70)
            part = left;
        s->iov[n++] = (struct iovec){at, part};
        at += part;
        left -= part;
    }
    s->request.iov = s->iov;
    s->request.iov_count = n;
}

static void submit_one(struct load *l, struct slot *s)
{
    uint64_t what = shim_below(&l->seed, 100), first, count;
    struct disk_request *r = &s->request;

    count = 1 + shim_below(&l->seed, shim_below(&l->seed, 3) ? 8 : 64);
    first = l->from + shim_below(&l->seed, l->span - count);
    if (in_use(l, first, count))
        return;
    s->first = first;
    s->count = count;
    s->verify = false;
    s->data = l->memory + (size_t)(s - l->slot) * (SLOT + 512) + (shim_below(&l->seed, 8) ? 0 : 8);
    *r = (struct disk_request){.offset = first * 512, .length = count * 512, .done = slot_done};
    r->fua = shim_below(&l->seed, 10) == 0;
    if (what < 45) {
        r->op = DISK_WRITE;
        shim_model_write(l->model, first, count, s->data);
        shape(l, s);
    } else if (what < 90) {
        r->op = DISK_READ;
        memset(s->data, 0xDD, count * 512);
        s->verify = true;
        shape(l, s);
    } else if (what < 95) {
        r->op = what & 1 ? DISK_ZERO : DISK_DISCARD;
        shim_model_discard(l->model, first, count, what & 1);
    } else {
        r->op = DISK_FLUSH;
        r->offset = r->length = s->count = 0;
    }
    s->busy = true;
    l->submitted++;
    disk_submit(l->queue, l->disk, r);
}

static void run_load(struct load *l, unsigned requests)
{
    while (l->done < requests) {
        for (unsigned i = 0; i < DEPTH && l->submitted < requests; i++)
            if (!l->slot[i].busy && shim_below(&l->seed, 3))
                submit_one(l, &l->slot[i]);
        (void)disk_queue_wait(l->queue, 5);
    }
    assert_int_equal(disk_queue_busy(l->queue), 0);
}

static void load_init(struct load *l, struct disk *disk, const struct engine *engine,
                      struct shim_model *model, uint64_t seed)
{
    *l = (struct load){.disk = disk, .model = model, .seed = seed, .span = model->sectors};
    l->queue = queue(engine);
    l->memory = aligned_alloc(4096, DEPTH * (SLOT + 512) + 4096 - DEPTH * (SLOT + 512) % 4096);
    assert_non_null(l->memory);
    for (unsigned i = 0; i < DEPTH; i++)
        l->slot[i].load = l;
}

static void load_end(struct load *l)
{
    disk_queue_destroy(l->queue);
    free(l->memory);
}

static void verify_all(struct disk *disk, struct shim_model *model, const struct engine *engine)
{
    struct disk_queue *q = queue(engine);
    uint8_t *buf = aligned_alloc(4096, SLOT);

    for (uint64_t at = 0, n; at < model->sectors; at += n) {
        n = model->sectors - at < 64 ? model->sectors - at : 64;
        assert_int_equal(run_data(q, disk, DISK_READ, at * 512, buf, n * 512, false), 0);
        shim_model_check(model, at, n, buf, false);
    }
    free(buf);
    disk_queue_destroy(q);
}

/* A format whose discards want quiet, so that requests wait at the gate and come back, and that
 * wants to know of the first write. */
static bool want_quiet;
static unsigned writers;

static int count_writer(struct image *image)
{
    writers++;
    return 0;
}

static void make_quiet(struct disk *disk)
{
    static struct disk_format quiet;

    quiet = *disk->top->format;
    quiet.stable_map = false;
    quiet.writer = count_writer;
    (void)pthread_mutex_lock(&disk->lock); /* the thread looks at it */
    disk->top->format = &quiet;
    (void)pthread_mutex_unlock(&disk->lock);
    atomic_store(&disk->writing, false);
    writers = 0;
}

static void exercise(const char *name, uint64_t size, bool cached, const struct engine *engine,
                     struct shim_model *model, unsigned requests)
{
    struct load *l = calloc(1, sizeof(*l));
    struct disk *disk = open_disk(name, false, cached);

    assert_int_equal(model->sectors, size / 512);
    if (want_quiet)
        make_quiet(disk);
    load_init(l, disk, engine, model, 77 + requests);
    run_load(l, requests);
    load_end(l);
    free(l);
    assert_int_equal(writers, want_quiet);
    verify_all(disk, model, engine);
    assert_int_equal(disk_close(disk), 0);
    disk = open_disk(name, true, cached);
    verify_all(disk, model, engine);
    assert_int_equal(disk_close(disk), 0);
}

static void exercise_all(const char *name, uint64_t size, unsigned requests)
{
    static const struct engine *const engines[] = {&engine_uring, &engine_threads};
    struct shim_model *model = shim_model_new(size);

    for (unsigned i = 0; i < 4; i++)
        exercise(name, size, i & 1, engines[i / 2], model, requests);
    shim_model_free(model);
}

static void test_load_raw(void **state)
{
    make("a", &format_raw, (struct format_create){.size = 4 * MIB}, NULL);
    exercise_all("a", 4 * MIB, 3000);
}

static void test_load_vhd(void **state)
{
    make("f.vhd", &format_vhd, (struct format_create){.size = 4 * MIB, .fixed = true}, NULL);
    exercise_all("f.vhd", 4 * MIB, 2000);
    make("d.vhd", &format_vhd, (struct format_create){.size = 6 * MIB, .block_size = 65536}, NULL);
    exercise_all("d.vhd", 6 * MIB, 3000);
    want_quiet = true;
    make("q.vhd", &format_vhd, (struct format_create){.size = 6 * MIB, .block_size = 65536}, NULL);
    exercise_all("q.vhd", 6 * MIB, 2000);
    want_quiet = false;
    writers = 0;
}

/* Three images deep: what is written to each is seen through those above it. */
static void test_load_chain(void **state)
{
    struct format_create how = {.size = 3 * MIB, .block_size = 32768};
    struct shim_model *model = shim_model_new(3 * MIB);

    make("base.vhd", &format_vhd, how, NULL);
    exercise("base.vhd", 3 * MIB, true, &engine_uring, model, 500);
    make("mid.vhd", &format_vhd, how, "base.vhd");
    exercise("mid.vhd", 3 * MIB, false, &engine_uring, model, 500);
    make("top.vhd", &format_vhd, how, "mid.vhd");
    exercise("top.vhd", 3 * MIB, false, &engine_uring, model, 2000);
    exercise("top.vhd", 3 * MIB, true, &engine_threads, model, 2000);
    shim_model_free(model);
}

/* ---- growing under load, by another thread; formats that want quiet for it get it ---- */

struct grower {
    struct disk *disk;
    atomic_bool stop;
    unsigned count;
};

static void *grower_main(void *arg)
{
    struct grower *g = arg;
    struct disk_info info;
    struct problem p;

    /* Once at least, however late this thread begins. */
    do {
        disk_info(g->disk, &info);
        if (disk_grow(g->disk, info.size + MIB, &p) < 0)
            return arg;
        g->count++;
    } while (!atomic_load(&g->stop) && g->count < 40);
    return NULL;
}

static void grow_under_load(const char *name, uint64_t size)
{
    struct shim_model *model = shim_model_new(size);
    struct load *l = calloc(1, sizeof(*l));
    struct grower g = {.disk = open_disk(name, false, true)};
    struct disk_info info;
    pthread_t thread;
    void *said = NULL;

    load_init(l, g.disk, &engine_uring, model, 5);
    assert_int_equal(pthread_create(&thread, NULL, grower_main, &g), 0);
    run_load(l, 4000);
    atomic_store(&g.stop, true);
    assert_int_equal(pthread_join(thread, &said), 0);
    if (said)
        fail_msg("it did not grow");
    assert_true(g.count > 0);
    disk_info(g.disk, &info);
    assert_int_equal(info.size, size + g.count * MIB);
    verify_all(g.disk, model, &engine_uring);
    load_end(l);
    free(l);
    assert_int_equal(disk_grow(g.disk, size, &why), -EINVAL);
    assert_int_equal(disk_close(g.disk), 0);
    shim_model_free(model);
}

static void test_grow(void **state)
{
    make("a", &format_raw, (struct format_create){.size = 2 * MIB}, NULL);
    grow_under_load("a", 2 * MIB);
    make("d.vhd", &format_vhd, (struct format_create){.size = 2 * MIB, .block_size = 16384}, NULL);
    grow_under_load("d.vhd", 2 * MIB);
    make("f.vhd", &format_vhd, (struct format_create){.size = 2 * MIB, .fixed = true}, NULL);
    grow_under_load("f.vhd", 2 * MIB);
}

/* Two queues in two threads on one disk, each in its own half. */
struct half {
    struct disk *disk;
    struct shim_model *model;
    unsigned number;
};

static void *half_main(void *arg)
{
    const struct half *h = arg;
    struct load *l = calloc(1, sizeof(*l));

    load_init(l, h->disk, &engine_uring, h->model, h->number + 1);
    l->span /= 2;
    l->from = h->number * l->span;
    run_load(l, 2000);
    load_end(l);
    free(l);
    return NULL;
}

static void test_two_threads(void **state)
{
    struct half half[2];
    pthread_t thread[2];
    struct disk *disk;

    make("d.vhd", &format_vhd, (struct format_create){.size = 4 * MIB, .block_size = 16384}, NULL);
    disk = open_disk("d.vhd", false, true);
    make_quiet(disk);
    for (unsigned i = 0; i < 2; i++) {
        half[i] = (struct half){disk, shim_model_new(4 * MIB), i};
        assert_int_equal(pthread_create(&thread[i], NULL, half_main, &half[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        shim_model_free(half[i].model);
    }
    assert_int_equal(writers, 1);
    writers = 0;
    assert_int_equal(disk_close(disk), 0);
}

/* ---- what is refused ---- */

static void test_errors(void **state)
{
    struct disk_queue *q = queue(&engine_uring);
    uint8_t buf[8192];
    struct iovec iov[2] = {{buf, 512}, {buf + 512, 1024}};
    struct disk_request r = {.op = DISK_READ, .length = 1024, .iov = iov, .iov_count = 2};
    struct disk *disk;

    make("a", &format_raw, (struct format_create){.size = MIB}, NULL);
    disk = open_disk("a", false, true);
    assert_int_equal(run(q, disk, &r), -EINVAL);
    r.length = 2048;
    assert_int_equal(run(q, disk, &r), -EINVAL);
    r.length = 1536;
    assert_int_equal(run(q, disk, &r), 0);
    assert_int_equal(run_data(q, disk, DISK_READ, 100, buf, 512, false), -EINVAL);
    assert_int_equal(run_data(q, disk, DISK_WRITE, MIB - 512, buf, 1024, false), -EINVAL);
    assert_int_equal(run_data(q, disk, DISK_WRITE, UINT64_MAX - 511, buf, 1024, false), -EINVAL);
    assert_int_equal(run_plain(q, disk, DISK_DISCARD, MIB, 512), -EINVAL);
    assert_int_equal(run_plain(q, disk, (enum disk_op)9, 0, 512), -EINVAL);
    assert_int_equal(run_data(q, disk, DISK_READ, 0, buf, 0, false), 0);
    assert_int_equal(run_plain(q, disk, DISK_DISCARD, MIB, 0), 0);
    /* Somebody cuts the file: an error, not old bytes. */
    assert_int_equal(truncate(path_of("a"), 4096), 0);
    assert_int_equal(run_data(q, disk, DISK_READ, 0, buf, 8192, false), -EIO);
    assert_int_equal(disk_close(disk), 0);
    disk = open_disk("a", true, true);
    assert_int_equal(run_data(q, disk, DISK_WRITE, 0, buf, 512, false), -EROFS);
    assert_int_equal(run_plain(q, disk, DISK_ZERO, 0, 512), -EROFS);
    assert_int_equal(run_plain(q, disk, DISK_FLUSH, 0, 0), 0);
    assert_int_equal(disk_grow(disk, 2 * MIB, &why), -EROFS);
    assert_int_equal(disk_close(disk), 0);
    disk_queue_destroy(q);
    assert_int_equal(disk_queue_create(&q, 0), -EINVAL);
    assert_int_equal(disk_close(NULL), 0);
    disk_queue_destroy(NULL);
}

static unsigned full_done;

static void count_done(struct disk_request *r, int error)
{
    full_done += error == 0;
}

static void test_full(void **state)
{
    static uint8_t buf[DEPTH][512];
    struct disk_request r[DEPTH + 1];
    struct iovec iov[DEPTH];
    struct disk_queue *q = queue(&engine_uring);
    struct disk *disk;

    make("a", &format_raw, (struct format_create){.size = MIB}, NULL);
    disk = open_disk("a", false, true);
    full_done = 0;
    for (unsigned i = 0; i < DEPTH; i++) {
        iov[i] = (struct iovec){buf[i], 512};
        r[i] = (struct disk_request){
            .op = DISK_READ, .length = 512, .iov = &iov[i], .iov_count = 1, .done = count_done};
        disk_submit(q, disk, &r[i]);
    }
    assert_int_equal(full_done, 0);
    is_done = false;
    r[DEPTH] = (struct disk_request){.op = DISK_FLUSH, .done = note};
    disk_submit(q, disk, &r[DEPTH]);
    assert_true(is_done);
    assert_int_equal(last_error, -EAGAIN);
    while (disk_queue_busy(q))
        (void)disk_queue_wait(q, 100);
    assert_int_equal(full_done, DEPTH);
    assert_int_equal(disk_close(disk), 0);
    disk_queue_destroy(q);
}

/* More extents than there are parts: 128 KiB of which every other sector is in the parent. */
static void test_many_extents(void **state)
{
    struct format_create how = {.size = 4 * MIB};
    struct disk_queue *q = queue(&engine_uring);
    static uint8_t buf[MIB], want[MIB];
    struct disk *disk;

    make("base.vhd", &format_vhd, how, NULL);
    disk = open_disk("base.vhd", false, true);
    memset(want, 0x11, sizeof(want));
    assert_int_equal(run_data(q, disk, DISK_WRITE, 0, want, sizeof(want), false), 0);
    assert_int_equal(disk_close(disk), 0);
    make("top.vhd", &format_vhd, how, "base.vhd");
    disk = open_disk("top.vhd", false, true);
    for (unsigned s = 0; s < MIB / 512; s += 2) {
        memset(want + s * 512, 0x22, 512);
        assert_int_equal(run_data(q, disk, DISK_WRITE, s * 512, want + s * 512, 512, false), 0);
    }
    assert_int_equal(run_data(q, disk, DISK_READ, 0, buf, sizeof(buf), false), 0);
    assert_memory_equal(buf, want, sizeof(buf));
    memset(want, 0x33, sizeof(want));
    assert_int_equal(run_data(q, disk, DISK_WRITE, 0, want, sizeof(want), true), 0);
    assert_int_equal(run_data(q, disk, DISK_READ, 0, buf, sizeof(buf), false), 0);
    assert_memory_equal(buf, want, sizeof(buf));
    assert_int_equal(disk_close(disk), 0);
    disk_queue_destroy(q);
}

static void test_fua_and_flush_leave_clean_tables(void **state)
{
    struct disk_queue *q = queue(&engine_uring);
    static uint8_t buf[4096];
    struct disk *disk;

    make("d.vhd", &format_vhd, (struct format_create){.size = 4 * MIB, .block_size = 16384}, NULL);
    disk = open_disk("d.vhd", false, true);
    assert_int_equal(run_data(q, disk, DISK_WRITE, 0, buf, 4096, true), 0);
    assert_false(disk->top->format->dirty(disk->top->image));
    assert_int_equal(run_data(q, disk, DISK_WRITE, 16384, buf, 4096, false), 0);
    assert_true(disk->top->format->dirty(disk->top->image));
    assert_int_equal(run_plain(q, disk, DISK_FLUSH, 0, 0), 0);
    assert_false(disk->top->format->dirty(disk->top->image));
    /* A table that nobody flushes is written after a while. */
    assert_int_equal(run_data(q, disk, DISK_WRITE, 32768, buf, 4096, false), 0);
    for (unsigned i = 0; i < 100 && disk->top->format->dirty(disk->top->image); i++)
        (void)usleep(100000);
    assert_false(disk->top->format->dirty(disk->top->image));
    assert_int_equal(disk_close(disk), 0);
    disk_queue_destroy(q);
}

/* ---- locks, chains, formats ---- */

static void test_locks(void **state)
{
    struct format_create how = {.size = MIB};
    const struct disk_options shared = {.cached = true, .shared = true};
    struct disk *a, *b;

    make("base.vhd", &format_vhd, how, NULL);
    make("x.vhd", &format_vhd, how, "base.vhd");
    make("y.vhd", &format_vhd, how, "base.vhd");
    a = open_disk("x.vhd", false, true);
    assert_int_equal(open_error("x.vhd", false, "x.vhd: in use"), -EBUSY);
    assert_int_equal(open_error("x.vhd", true, "for writing"), -EBUSY);
    b = open_disk("y.vhd", false, true);
    assert_int_equal(open_error("base.vhd", false, "base.vhd: in use"), -EBUSY);
    assert_int_equal(disk_close(a), 0);
    a = open_disk("base.vhd", true, true);
    assert_int_equal(disk_close(a), 0);
    assert_int_equal(disk_close(b), 0);
    a = open_disk("base.vhd", false, true);
    assert_int_equal(open_error("x.vhd", false, "base.vhd: in use"), -EBUSY);
    assert_int_equal(disk_open(&b, path_of("x.vhd"), &shared, &why), 0);
    assert_int_equal(disk_close(b), 0);
    assert_int_equal(disk_close(a), 0);
}

static void test_parents_that_do_not_fit(void **state)
{
    struct format_create how = {.size = MIB};
    const char *path;

    make("base.vhd", &format_vhd, how, NULL);
    make("x.vhd", &format_vhd, how, "base.vhd");
    path = path_of("base.vhd");
    assert_int_equal(rename(path, path_of("other.vhd")), 0);
    assert_int_equal(open_error("x.vhd", true, "x.vhd: its parent is not at ./base.vhd"), -ENOENT);
    make("base.vhd", &format_vhd, how, NULL);
    assert_int_equal(open_error("x.vhd", true, "not the one it was made from"), -ESTALE);
    assert_int_equal(unlink(path_of("base.vhd")), 0);
    make("base.vhd", &format_raw, how, NULL);
    assert_int_equal(open_error("x.vhd", true, "base.vhd: no valid footer"), -EINVAL);
    assert_int_equal(mkdir(path_of("dir"), 0700), 0);
    assert_int_equal(open_error("dir", true, "neither a file nor a block device"), -EINVAL);
    assert_int_equal(open_error("nothing", true, "nothing: No such file"), -ENOENT);
}

/* The image named as its own parent, and a chain that has no end for us. */
static void test_loops(void **state)
{
    struct format_create how = {.size = MIB};
    char names[2][16] = {"c0.vhd", ""};
    struct image_geometry g;
    struct image *image;
    struct host_file *h;

    make("base.vhd", &format_vhd, how, NULL);
    make("x.vhd", &format_vhd, how, "base.vhd");
    assert_int_equal(host_file_open(&h, path_of("x.vhd"), HOST_WRITE, &why), 0);
    struct image_geometry *full = calloc(1, sizeof(*full));
    assert_int_equal(format_vhd.open(&image, &h->file, false, full, &why), 0);
    g = *full;
    assert_int_equal(format_vhd.set_parent(image, "x.vhd", NULL, &g, &why), 0);
    assert_int_equal(format_vhd.close(image), 0);
    free(full);
    host_file_close(h);
    assert_int_equal(open_error("x.vhd", true, "own ancestor"), -ELOOP);
    make(names[0], &format_vhd, how, NULL);
    for (unsigned i = 1; i <= CHAIN_MAX; i++) {
        (void)snprintf(names[i & 1], sizeof(names[0]), "c%u.vhd", i);
        make(names[i & 1], &format_vhd, how, names[~i & 1]);
    }
    assert_int_equal(open_error(names[CHAIN_MAX & 1], true, "more than 32"), -ELOOP);
    struct disk *disk = open_disk("c31.vhd", true, true);
    assert_int_equal(disk_close(disk), 0);
}

/* A child larger than its parent, and one that is smaller. */
static void test_sizes_of_parents(void **state)
{
    struct disk_queue *q = queue(&engine_uring);
    static uint8_t buf[MIB], want[MIB];
    struct disk *disk;

    make("base.vhd", &format_vhd, (struct format_create){.size = MIB, .block_size = 65536}, NULL);
    disk = open_disk("base.vhd", false, true);
    memset(want, 0x11, sizeof(want));
    assert_int_equal(run_data(q, disk, DISK_WRITE, 0, want, MIB, false), 0);
    assert_int_equal(disk_close(disk), 0);
    make("large.vhd", &format_vhd, (struct format_create){.size = 3 * MIB}, "base.vhd");
    make("small.vhd", &format_vhd, (struct format_create){.size = MIB / 2}, "base.vhd");
    disk = open_disk("large.vhd", true, true);
    assert_int_equal(run_data(q, disk, DISK_READ, MIB / 2, buf, MIB, false), 0);
    memset(want + MIB / 2, 0, MIB / 2);
    assert_memory_equal(buf, want, MIB);
    assert_int_equal(disk_close(disk), 0);
    disk = open_disk("small.vhd", true, true);
    assert_int_equal(run_data(q, disk, DISK_READ, 0, buf, MIB / 2, false), 0);
    assert_memory_equal(buf, want, MIB / 2);
    assert_int_equal(run_data(q, disk, DISK_READ, 0, buf, MIB, false), -EINVAL);
    assert_int_equal(disk_close(disk), 0);
    disk_queue_destroy(q);
}

static void test_formats(void **state)
{
    struct disk_options options = {.cached = true};
    struct disk_info info;
    struct disk *disk;
    int fd;

    make("a", &format_raw, (struct format_create){.size = MIB}, NULL);
    disk = open_disk("a", false, true);
    disk_info(disk, &info);
    assert_string_equal(info.format, "raw");
    assert_int_equal(info.sector_size, 512);
    assert_false(info.read_only || info.optical);
    assert_int_equal(disk_close(disk), 0);
    fd = open(path_of("a"), O_WRONLY);
    assert_int_equal(pwrite(fd, "\1CD001", 6, 32768), 6);
    (void)close(fd);
    disk = open_disk("a", false, true);
    disk_info(disk, &info);
    assert_string_equal(info.format, "iso");
    assert_int_equal(info.sector_size, 2048);
    assert_true(info.read_only && info.optical);
    assert_int_equal(disk_close(disk), 0);
    options.format = "raw";
    assert_int_equal(disk_open(&disk, path_of("a"), &options, &why), 0);
    disk_info(disk, &info);
    assert_string_equal(info.format, "raw");
    assert_int_equal(disk_close(disk), 0);
    options.format = "qcow7";
    assert_int_equal(disk_open(&disk, path_of("a"), &options, &why), -EINVAL);
    /* A damaged VHD is not taken for something else. */
    make("b", &format_vhd, (struct format_create){.size = MIB, .fixed = true}, NULL);
    fd = open(path_of("b"), O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, MIB + 100), 1);
    (void)close(fd);
    assert_int_equal(open_error("b", true, "b: the checksum of the footer is wrong"), -EINVAL);
}

static int by_name(const char *name, const char *format, const char **found)
{
    const struct disk_options options = {.cached = true, .format = format, .by_name = true};
    struct disk *disk = NULL;
    struct disk_info info;
    int err = disk_open(&disk, path_of(name), &options, &why);

    if (err)
        return err;
    disk_info(disk, &info);
    *found = info.format;
    return disk_close(disk);
}

/* With `by_name` a guest cannot make its raw disk be taken for something else. */
static void test_formats_by_name(void **state)
{
    const char *found = NULL;

    make("a", &format_raw, (struct format_create){.size = MIB}, NULL);
    assert_int_equal(by_name("a", NULL, &found), 0);
    assert_string_equal(found, "raw");
    make("secret.vhd", &format_vhd, (struct format_create){.size = MIB}, NULL);
    make("a.img", &format_vhd, (struct format_create){.size = MIB}, "secret.vhd");
    assert_int_equal(by_name("a.img", NULL, &found), -EINVAL);
    assert_non_null(strstr(why.text, "a.img: looks like vhd, which the guest of a raw disk"));
    assert_int_equal(by_name("a.img", "raw", &found), 0);
    assert_string_equal(found, "raw");
    assert_int_equal(by_name("a.img", "vhd", &found), 0);
    assert_string_equal(found, "vhd");
    make("x.VHD", &format_vhd, (struct format_create){.size = MIB}, NULL);
    assert_int_equal(by_name("x.VHD", NULL, &found), 0);
    assert_string_equal(found, "vhd");
    /* The name decides, not the file. */
    make("y.iso", &format_raw, (struct format_create){.size = MIB}, NULL);
    make("y.vhdx", &format_vhd, (struct format_create){.size = MIB}, NULL);
    make("y.avhd", &format_raw, (struct format_create){.size = MIB}, NULL);
    assert_int_equal(by_name("y.iso", NULL, &found), -EINVAL);
    assert_non_null(strstr(why.text, "y.iso: no disc"));
    assert_true(by_name("y.vhdx", NULL, &found) < 0);
    assert_true(by_name("y.avhd", NULL, &found) < 0);
}

/* A parent has the format of its child, whatever its name and contents are. */
static void test_formats_of_parents(void **state)
{
    struct disk_options options = {.cached = true, .by_name = true};
    struct disk *disk = NULL;

    make("base.img", &format_vhd, (struct format_create){.size = MIB}, NULL);
    make("x.vhd", &format_vhd, (struct format_create){.size = MIB}, "base.img");
    assert_int_equal(disk_open(&disk, path_of("x.vhd"), &options, &why), 0);
    assert_int_equal(disk_close(disk), 0);
}

static unsigned threads(void)
{
    struct stat st;

    assert_int_equal(stat("/proc/self/task", &st), 0);
    return (unsigned)st.st_nlink - 2;
}

/* With `later` there is no thread before disk_start(). */
static void test_later(void **state)
{
    const struct disk_options options = {.cached = true, .later = true};
    const unsigned before = threads();
    struct iovec iov = {calloc(1, 4096), 4096};
    struct disk_request r = {
        .op = DISK_WRITE, .length = 4096, .iov = &iov, .iov_count = 1, .done = note};
    struct disk_queue *q;
    struct disk *disk;

    make("d.vhd", &format_vhd, (struct format_create){.size = MIB}, NULL);
    assert_int_equal(disk_open(&disk, path_of("d.vhd"), &options, &why), 0);
    assert_int_equal(disk_close(disk), 0);
    assert_int_equal(disk_open(&disk, path_of("d.vhd"), &options, &why), 0);
    assert_int_equal(threads(), before);
    assert_int_equal(disk_start(disk), 0);
    assert_int_equal(disk_start(disk), 0);
    assert_int_equal(threads(), before + 1);
    q = queue(&engine_uring);
    assert_int_equal(run(q, disk, &r), 0);
    free(iov.iov_base);
    disk_queue_destroy(q);
    assert_int_equal(disk_close(disk), 0);
}

/* poll() on the descriptor of a queue sees all kinds of ends. */
static void test_descriptor(void **state)
{
    struct disk_queue *q = queue(&engine_uring);
    struct iovec iov = {calloc(1, 4096), 4096};
    struct disk_request r = {.length = 4096, .iov = &iov, .iov_count = 1, .done = note};
    static const enum disk_op ops[] = {DISK_READ, DISK_WRITE, DISK_READ, DISK_DISCARD, DISK_FLUSH};
    struct disk *disk;

    make("d.vhd", &format_vhd, (struct format_create){.size = MIB}, NULL);
    disk = open_disk("d.vhd", false, true);
    for (unsigned i = 0; i < 5; i++) {
        fd_set set;
        struct timeval t = {.tv_sec = 5};

        r.op = ops[i];
        is_done = false;
        disk_submit(q, disk, &r);
        assert_false(is_done);
        disk_queue_flush(q);
        while (!is_done) {
            FD_ZERO(&set);
            FD_SET(disk_queue_fd(q), &set);
            assert_int_equal(select(disk_queue_fd(q) + 1, &set, NULL, NULL, &t), 1);
            (void)disk_queue_reap(q);
        }
        assert_int_equal(last_error, 0);
    }
    assert_int_equal(disk_queue_wait(q, 0), 0);
    free(iov.iov_base);
    assert_int_equal(disk_close(disk), 0);
    disk_queue_destroy(q);
}

#define ROW(test) cmocka_unit_test_teardown(test, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_errors),
        ROW(test_full),
        ROW(test_descriptor),
        ROW(test_many_extents),
        ROW(test_fua_and_flush_leave_clean_tables),
        ROW(test_locks),
        ROW(test_parents_that_do_not_fit),
        ROW(test_loops),
        ROW(test_sizes_of_parents),
        ROW(test_formats),
        ROW(test_formats_by_name),
        ROW(test_formats_of_parents),
        ROW(test_later),
        ROW(test_load_raw),
        ROW(test_load_vhd),
        ROW(test_load_chain),
        ROW(test_two_threads),
        ROW(test_grow),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
