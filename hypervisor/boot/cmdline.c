/* SPDX-License-Identifier: MIT */
#include "hypervisor/boot/cmdline.h"

#include "hypervisor/debug/log.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/fmt.h"
#include "lib/string.h"

enum option_kind {
    OPTION_FLAG,   /* no value; the field becomes 1 */
    OPTION_CHOICE, /* one of the names; the field becomes its value */
    OPTION_LIST,   /* names separated by commas; the field becomes the OR of their values */
    OPTION_U64,    /* a number in min .. max */
};

struct choice {
    const char *name;
    uint32_t value;
    const char *refused; /* why it cannot be chosen, or NULL */
};

#define CHOICES_MAX 6

/** One option. The field at `where` is a uint64_t for OPTION_U64, a uint32_t for the others. */
struct option {
    const char *name;
    enum option_kind kind;
    size_t where;
    uint64_t preset;
    uint64_t min;
    uint64_t max;
    struct choice choices[CHOICES_MAX]; /* up to one without a name */
    const char *help;
};

#define WHERE(field) offsetof(struct cmdline, field)

#define MIB          (1ULL << 20)
#define RESERVE_MIN  (16 * MIB)
#define RESERVE_MAX  (65536 * MIB)
#define MAXCPUS_MAX  4096
#define DELAY_MAX_US 100000

static const struct option options[] = {
    {.name = "console",
     .kind = OPTION_LIST,
     .where = WHERE(console),
     .preset = CONSOLE_COM1 | CONSOLE_VGA,
     .choices = {{"com1", CONSOLE_COM1, NULL},
                 {"com2", CONSOLE_COM2, NULL},
                 {"vga", CONSOLE_VGA, NULL},
                 {"debug", CONSOLE_DEBUG, NULL},
                 {"none", 0, NULL}},
     .help = "where messages go"},
    {.name = "log",
     .kind = OPTION_CHOICE,
     .where = WHERE(log),
     .preset = LOG_INFO,
     .choices = {{"error", LOG_ERROR, NULL},
                 {"warn", LOG_WARN, NULL},
                 {"info", LOG_INFO, NULL},
                 {"debug", LOG_DEBUG, NULL}},
     .help = "least important message that is printed"},
    {.name = "npt",
     .kind = OPTION_CHOICE,
     .where = WHERE(npt),
     .preset = NPT_2M,
     .choices = {{"4k", NPT_4K, NULL}, {"2m", NPT_2M, NULL}, {"1g", NPT_1G, NULL}},
     .help = "largest leaf of nested page tables"},
    {.name = "root",
     .kind = OPTION_CHOICE,
     .where = WHERE(root),
     .preset = ROOT_STOCK,
     .choices = {{"stock", ROOT_STOCK, NULL},
                 {"mshv", ROOT_MSHV, "root=mshv is not supported by this version"}},
     .help = "interface of the parent partition"},
    {.name = "reserve",
     .kind = OPTION_U64,
     .where = WHERE(reserve),
     .min = RESERVE_MIN,
     .max = RESERVE_MAX,
     .help = "memory for the hypervisor, default by the size of the machine"},
    {.name = "maxcpus",
     .kind = OPTION_U64,
     .where = WHERE(maxcpus),
     .preset = MAXCPUS_MAX,
     .min = 1,
     .max = MAXCPUS_MAX,
     .help = "logical processors to use"},
    {.name = "delay",
     .kind = OPTION_U64,
     .where = WHERE(delay_us),
     .max = DELAY_MAX_US,
     .help = "random delay at each exit up to N microseconds, to find races"},
    {.name = "lazyeoi",
     .kind = OPTION_CHOICE,
     .where = WHERE(lazy_eoi),
     .preset = true,
     .choices = {{"on", true, NULL}, {"off", false, NULL}},
     .help = "let guests skip the EOI of edge interrupts"},
    {.name = "lp0",
     .kind = OPTION_CHOICE,
     .where = WHERE(lp0),
     .preset = LP0_AUTO,
     .choices = {{"auto", LP0_AUTO, NULL}, {"on", LP0_ON, NULL}, {"off", LP0_OFF, NULL}},
     .help = "whether the boot processor runs VPs if there are others; auto: not in TCG"},
    {.name = "help", .kind = OPTION_FLAG, .where = WHERE(help), .help = "print this list"},
};

static void store(struct cmdline *opts, const struct option *o, uint64_t value)
{
    char *field = (char *)opts + o->where;
    uint32_t narrow = (uint32_t)value;

    if (o->kind == OPTION_U64)
        memcpy(field, &value, sizeof(value));
    else
        memcpy(field, &narrow, sizeof(narrow));
}

void cmdline_defaults(struct cmdline *opts)
{
    memset(opts, 0, sizeof(*opts));
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        store(opts, &options[i], options[i].preset);
}

/** A piece of the line; not NUL terminated. */
struct word {
    const char *s;
    size_t len;
};

static bool word_is(struct word w, const char *name)
{
    return strlen(name) == w.len && !memcmp(w.s, name, w.len);
}

/** Take the part before the next `sep` (or all of it) off the front of *rest. */
static struct word word_split(struct word *rest, char sep)
{
    const char *end = memchr(rest->s, sep, rest->len);
    struct word w = {rest->s, end ? (size_t)(end - rest->s) : rest->len};
    size_t used = w.len + (end != NULL);

    rest->s += used;
    rest->len -= used;
    return w;
}

static const struct choice *find_choice(const struct option *o, struct word value)
{
    for (unsigned i = 0; i < CHOICES_MAX && o->choices[i].name; i++)
        if (word_is(value, o->choices[i].name))
            return &o->choices[i];
    return NULL;
}

/* Each take_ function returns NULL when the value was stored, else the reason why not. */

static const char *take_names(struct cmdline *opts, const struct option *o, struct word value)
{
    uint32_t sum = 0;

    do {
        struct word name = o->kind == OPTION_LIST ? word_split(&value, ',') : value;
        const struct choice *c = find_choice(o, name);

        if (!c)
            return "no such value";
        if (c->refused)
            return c->refused;
        sum |= c->value;
    } while (o->kind == OPTION_LIST && value.len);
    store(opts, o, sum);
    return NULL;
}

static const char *take_number(struct cmdline *opts, const struct option *o, struct word value)
{
    char text[CMDLINE_WORD_MAX];
    uint64_t v;

    if (value.len >= sizeof(text))
        return "not a number";
    memcpy(text, value.s, value.len);
    text[value.len] = '\0';
    int err = fmt_parse_u64(text, &v);
    if (err == -EINVAL)
        return "not a number";
    if (err || v < o->min || v > o->max)
        return "number out of range";
    store(opts, o, v);
    return NULL;
}

static const char *take_option(struct cmdline *opts, struct word w)
{
    bool has_value = memchr(w.s, '=', w.len) != NULL;
    struct word name = word_split(&w, '=');

    for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
        const struct option *o = &options[i];

        if (!word_is(name, o->name))
            continue;
        if (has_value == (o->kind == OPTION_FLAG))
            return has_value ? "takes no value" : "needs a value";
        if (o->kind == OPTION_FLAG)
            store(opts, o, 1);
        else
            return o->kind == OPTION_U64 ? take_number(opts, o, w) : take_names(opts, o, w);
        return NULL;
    }
    return "no such option";
}

static void note_problem(struct cmdline *opts, struct word w, const char *reason)
{
    if (opts->problem_count == CMDLINE_PROBLEMS_MAX) {
        opts->problems_lost++;
        return;
    }
    struct cmdline_problem *p = &opts->problems[opts->problem_count++];
    size_t n = w.len < sizeof(p->word) ? w.len : sizeof(p->word) - 1;

    memcpy(p->word, w.s, n);
    p->word[n] = '\0';
    p->reason = reason;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/** The next word at *line, empty at the end of the line; *line is moved past it. */
static struct word next_word(const char **line)
{
    const char *s = *line;

    while (is_blank(*s))
        s++;
    struct word w = {s, 0};
    while (s[w.len] && !is_blank(s[w.len]))
        w.len++;
    *line = s + w.len;
    return w;
}

void cmdline_parse(const char *line, bool skip_first, struct cmdline *opts)
{
    cmdline_defaults(opts);
    if (skip_first)
        next_word(&line);
    for (;;) {
        struct word w = next_word(&line);

        if (!w.len || word_is(w, "--"))
            break;
        const char *reason = take_option(opts, w);
        if (reason)
            note_problem(opts, w, reason);
    }
}

/** What may stand after "name=". */
static void describe_values(const struct option *o, char *buf, size_t size)
{
    size_t at = 0;

    buf[0] = '\0';
    if (o->kind == OPTION_U64)
        fmt_snprintf(buf, size, "=%lu..%lu", o->min, o->max);
    for (unsigned i = 0; i < CHOICES_MAX && o->choices[i].name && at < size; i++) {
        const char *sep = i == 0 ? "=" : o->kind == OPTION_LIST ? "," : "|";

        at += (size_t)fmt_snprintf(buf + at, size - at, "%s%s", sep, o->choices[i].name);
    }
}

bool cmdline_help_line(unsigned i, char *buf, size_t size)
{
    char values[CMDLINE_WORD_MAX];

    if (i >= ARRAY_SIZE(options))
        return false;
    describe_values(&options[i], values, sizeof(values));
    fmt_snprintf(buf, size, "%s%s  %s", options[i].name, values, options[i].help);
    return true;
}

const char *cmdline_after_name(const char *string)
{
    next_word(&string);
    while (is_blank(*string))
        string++;
    return string;
}
