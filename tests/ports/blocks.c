/* The building blocks of each table (struct pn_ops), which kernels written in Cython call: products, recurrent steps,
 * sums of columns, word vectors. Operands are drawn; every operand that a block could write is hashed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act.h"
#include "gemm_scratch.h"
#include "par.h"
#include "witness.h"

enum { SLOTS = 20, ROOM = 1 << 20, WORDS = 23, CENTERS = 5, TARGETS = 3 };

static unsigned char *slots[SLOTS]; /* ROOM bytes each */
static i64 used[SLOTS];             /* of which a block was given so many */
static unsigned char *scratch;
static i64 scratch_bytes;

static const pn_ops *ops;
static int wide; /* whether elements are double */

static void *drawn(int slot, i64 n, double low, double high) {
    used[slot] = n * (wide ? 8 : 4);
    if (used[slot] > ROOM) exit(3);
    wt_draw(slots[slot], wide, n, low, high, (uint64_t)(100 * slot + 7));
    return slots[slot];
}

static void gemm(const i64 *d) {
    pn_gemm_call g;
    memset(&g, 0, sizeof g);
    g.m = d[0], g.n = d[1], g.k = d[2];
    g.a = drawn(0, g.m * g.k, -1, 1);
    g.b = drawn(1, g.k * g.n, -1, 1);
    g.c = drawn(2, g.m * g.n, -1, 1);
    g.ars = d[3] & 1 ? 1 : g.k, g.acs = d[3] & 1 ? g.m : 1;
    g.brs = d[3] & 2 ? 1 : g.n, g.bcs = d[3] & 2 ? g.k : 1;
    g.ldc = g.n;
    g.accumulate = (d[3] & 4) != 0;
    g.bias = d[3] & 8 ? drawn(3, g.n, -1, 1) : NULL;
    g.act = d[3] & 16 ? PN_ACT_tanh : PN_ACT_NONE;
    ops->gemm(&g, scratch, scratch_bytes, 4);
}

static void product(const i64 *d) {
    const i64 m = d[0], n = d[1], k = d[2];
    const void *a = drawn(0, m * k, -1, 1), *b = drawn(1, k * n, -1, 1);
    void *c = drawn(2, m * n, -1, 1);
    memset(scratch, 0, (size_t)(k * ((n + 15) / 16 * 16) * 8));
    ops->pack(scratch, b, n, 1, n, k, m);
    ops->product(m, n, k, a, k, scratch, c, n, (int)d[3], m);
}

static void act_grad(const i64 *d) {
    const void *dy = drawn(0, d[0], -2, 2), *y = drawn(1, d[0], -0.9, 0.9);
    ops->act_grad((int)d[1], 0.3, drawn(2, d[0], 0, 1), dy, y, d[0], 4);
}

static void col_sum(const i64 *d) { ops->col_sum(drawn(1, d[1], 0, 1), drawn(0, d[0] * d[1], -1, 1), d[0], d[1], 4); }

static void mul(const i64 *d) {
    const void *a = drawn(1, d[0], -1, 1), *b = drawn(2, d[0], -1, 1);
    ops->mul(drawn(0, d[0], -1, 1), a, b, d[0], (int)d[1]);
}

static void expand_mask(const i64 *d) {
    for (i64 i = 0; i < d[0]; i++) slots[1][i] = (unsigned char)(i % 3 == 0);
    ops->expand_mask(drawn(0, d[0], 0, 1), slots[1], 1.0 / 0.7, d[0]);
}

static void peep_grad(const i64 *d) {
    const void *dz = drawn(1, d[0] * 4 * d[1], -1, 1), *c = drawn(2, d[0] * d[1], -1, 1);
    ops->peep_grad(drawn(0, 3 * d[1], -1, 1), dz, c, d[0], d[1], (int)d[2]);
}

/* One step of each cell, with every operand or with those alone that must be there. */
static void rnn_step(const i64 *d) {
    static int32_t lengths[8] = {3, 1, 3, 2, 0, 3, 3, 1};
    const i64 rows = d[1], units = d[2], n = rows * units;
    pn_rnn_step s;
    memset(&s, 0, sizeof s);
    s.rows = rows, s.units = units, s.t = 1, s.ldy = units, s.ldh = units;
    s.act = PN_ACT_tanh;
    s.gates = drawn(0, 4 * n, -0.9, 0.9);
    s.cell = drawn(1, n, -0.9, 0.9);
    s.state = drawn(2, n, -0.9, 0.9);
    s.y = drawn(3, n, -1, 1);
    s.dz = drawn(4, 4 * n, -1, 1);
    s.dh = drawn(5, n, -1, 1);
    s.dc = drawn(6, n, -1, 1);
    s.dy = drawn(7, n, -1, 1);
    s.prev = drawn(8, n, -0.9, 0.9);
    s.next = drawn(9, n, -1, 1);
    s.reset = drawn(10, n, -0.9, 0.9);
    if (!d[3]) return (void)ops->rnn_step((int)d[0], &s);
    s.lengths = lengths;
    s.cell_prev = drawn(11, n, -0.9, 0.9);
    s.masked = drawn(12, n, -0.9, 0.9);
    s.mask = drawn(13, n, 0, 2);
    s.bias = drawn(14, units, -1, 1);
    s.peep = drawn(15, 3 * units, -1, 1);
    s.h0 = drawn(16, n, -0.9, 0.9);
    ops->rnn_step((int)d[0], &s);
}

static void word_grads(const i64 *d) {
    static int32_t ids[WORDS], where[CENTERS], left[CENTERS], right[CENTERS], start[CENTERS + 1];
    static int32_t target[CENTERS * TARGETS];
    static uint8_t label[CENTERS * TARGETS];
    pn_words w;
    memset(&w, 0, sizeof w);
    for (int i = 0; i < WORDS; i++) ids[i] = (int32_t)(i * 7 % WORDS);
    for (int c = 0; c < CENTERS; c++) {
        where[c] = (int32_t)(3 + 4 * c), left[c] = where[c] - 3, right[c] = where[c] + (c % 2 ? 3 : 2);
        start[c] = (int32_t)(TARGETS * c);
        for (int j = 0; j < TARGETS; j++) {
            target[TARGETS * c + j] = (int32_t)(WORDS + (5 * c + 3 * j) % WORDS);
            label[TARGETS * c + j] = j == 0;
        }
    }
    start[CENTERS] = CENTERS * TARGETS;
    w.stride = d[0];
    w.rows = drawn(0, 2 * WORDS * d[0], -1, 1);
    w.ids = ids, w.first = 0, w.span = WORDS, w.centers = CENTERS;
    w.at = where, w.left = left, w.right = right, w.start = start, w.target = target, w.label = label;
    w.most_targets = 4;
    w.skipgram = (int)d[1] & 1, w.mean = (int)d[1] >> 1;
    w.rate = 0.05;
    w.pointers = scratch;
    w.tmp = scratch + 4096;
    w.src = drawn(1, (WORDS + CENTERS * TARGETS) * d[0], 0, 0);
    w.coef = drawn(2, 1 + CENTERS * TARGETS, 0, 0);
    ops->word_grads(&w);
    memcpy(slots[3], &w.loss, used[3] = 8);
}

static void add_rows(const i64 *d) {
    static int32_t entry[3 * 9];
    for (int e = 0; e < 9; e++) entry[3 * e] = e % 4, entry[3 * e + 1] = e * 2 % 5, entry[3 * e + 2] = e % 3;
    const void *src = drawn(1, 5 * d[0], -1, 1), *coef = drawn(2, 3, -1, 1);
    ops->add_rows(drawn(0, 4 * d[0], -1, 1), d[0], src, coef, entry, 9);
}

/* A block, and its arguments: each of `count` lists of numbers, ended by 0, gives the values of one; all combinations. */
typedef struct block {
    const char *name;
    void (*run)(const i64 *d);
    int count;
    i64 values[4][24];
} block;

#define SIZES {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 129, END}
#define FLAGS(...) {__VA_ARGS__, END}
enum { END = -1 };
static const block blocks[] = {
    {"gemm", gemm, 4, {{1, 2, 5, 17, 33, END}, {1, 7, 8, 17, 31, 33, 65, END}, {1, 8, 31, 65, END}, FLAGS(0, 1, 2, 4, 8, 27)}},
    {"gemm", gemm, 4, {{1, 70, END}, {65, 300, END}, {340, END}, FLAGS(0, 1, 2, 15, 24)}},
    {"product", product, 4, {{1, 3, 8, 14, END}, {1, 8, 17, 33, 64, 72, END}, {1, 17, 65, 400, END}, FLAGS(0, 1)}},
    {"act_grad", act_grad, 2, {SIZES, FLAGS(PN_ACT_relu, PN_ACT_tanh, PN_ACT_sigmoid, PN_ACT_elu)}},
    {"col_sum", col_sum, 2, {{1, 2, 7, 64, 300, END}, {1, 8, 17, 33, 65, 200, END}}},
    {"mul", mul, 2, {SIZES, FLAGS(0, 1)}},
    {"expand_mask", expand_mask, 1, {SIZES}},
    {"peep_grad", peep_grad, 3, {{1, 5, 17, END}, {1, 8, 17, 33, END}, FLAGS(0, 1)}},
    {"rnn_step", rnn_step, 4,
     {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, END}, {1, 8, END}, {1, 4, 7, 8, 15, 16, 17, 33, 64, 65, END}, FLAGS(0, 1)}},
    {"word_grads", word_grads, 2, {{16, 32, 48, 64, 80, 112, 128, 208, END}, FLAGS(0, 1, 2)}},
    {"add_rows", add_rows, 1, {{16, 32, 48, 64, 112, END}}},
};

static uint64_t run_block(const block *b, const i64 *d) {
    uint64_t h = WT_SEED;
    memset(used, 0, sizeof used);
    b->run(d);
    for (int s = 0; s < SLOTS; s++) h = wt_hash(h, slots[s], wide ? 8 : 4, used[s] / (wide ? 8 : 4));
    return h;
}

static int compare_threads(int table, const block *b, const i64 *d, const int *threads, int runs) {
    uint64_t first = 0;
    int different = 0;
    for (int r = 0; r < runs; r++) {
        pn_set_threads(threads[r]);
        uint64_t h = run_block(b, d);
        if (r == 0) first = h;
        else different += h != first;
    }
    printf("%s block.%s %s ", pn_target_name(table), b->name, wide ? "float64" : "float32");
    for (int i = 0; i < b->count; i++) printf("%s%lld", i ? "x" : "", (long long)d[i]);
    printf(" %016llx\n", (unsigned long long)first);
    if (different) printf("! block.%s: threads give other bits (%s)\n", b->name, pn_target_name(table));
    return different;
}

/* All combinations of a block's values, the last of them fastest. */
static int each(int table, const block *b, const int *threads, int runs) {
    int different = 0, at[4] = {0, 0, 0, 0};
    i64 d[4] = {0, 0, 0, 0};
    for (int k = 0; k >= 0;) {
        for (int i = 0; i < b->count; i++) d[i] = b->values[i][at[i]];
        different += compare_threads(table, b, d, threads, runs);
        for (k = b->count - 1; k >= 0; at[k--] = 0)
            if (b->values[k][++at[k]] != END) break;
    }
    return different;
}

int wt_blocks(const int *threads, int runs) {
    int different = 0;
    scratch_bytes = pn_gemm_scratch_bytes(70, 300, 340, 1, 1, 8, 4) + (1 << 21);
    unsigned char *memory = calloc(1, (size_t)scratch_bytes + 64);
    if (!memory) exit(2);
    scratch = (unsigned char *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    for (int s = 0; s < SLOTS; s++) {
        slots[s] = calloc(1, ROOM + 4096);
        if (!slots[s]) exit(2);
    }
    for (int t = 0; t <= PN_ISA_COUNT; t++) { /* the last: float64 */
        wide = t == PN_ISA_COUNT;
        if (!wide && !pn_target_available(t)) continue;
        ops = pn_find_ops(wide ? PN_F64 : PN_F32, wide ? PN_TARGET_GENERIC : t, 0);
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
            different += each(wide ? PN_TARGET_GENERIC : t, &blocks[i], threads, runs);
    }
    for (int s = 0; s < SLOTS; s++) free(slots[s]);
    free(memory);
    return different;
}
