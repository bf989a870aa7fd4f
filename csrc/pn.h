/* The C ABI of pynn: one instruction, one kernel signature, status codes.
 *
 * A kernel computes. It never raises, never allocates and knows no Python: everything that can be wrong was refused
 * before the instruction was built, and scratch memory was booked with it.
 */
#ifndef PN_H
#define PN_H

#include <stddef.h>
#include <stdint.h>

#include "targets.def"

typedef int64_t i64;

enum {
    PN_MAX_ARG = 24,
    PN_MAX_DIM = 48,
    PN_MAX_PAR = 12,
};

enum pn_status {
    PN_OK = 0,
    PN_NONFINITE = 1, /* a value that must be finite is NaN or infinite */
    PN_BAD_INDEX = 2, /* an index lies outside its table */
};

typedef struct pn_instr pn_instr;
typedef struct pn_ops pn_ops;
typedef int (*pn_kernel)(const pn_instr *I);

struct pn_instr {
    pn_kernel fn;
    void *arg[PN_MAX_ARG];  /* outputs first, then inputs; an absent optional operand is NULL */
    i64 dim[PN_MAX_DIM];    /* sizes, strides and integer attributes, as the op's card lays them out */
    double par[PN_MAX_PAR]; /* real attributes */
    void *scratch;          /* booked by the card; split in nth equal parts by kernels that need one per thread */
    i64 scratch_bytes;
    int nth;                /* the most threads this instruction may use (scratch is booked for so many) */
    uint32_t salt;          /* distinguishes the random streams of one step */
    const pn_ops *ops;      /* building blocks of the instruction's ISA and dtype */
    void *kept;             /* weights as an earlier call laid them out; NULL: the kernel does so itself, or without */
    int keeping;            /* lay the weights out there, and do nothing else: no other operand, no scratch */
};

/* What is done with a block of C, rows row0 ... of columns col0 ..., once it is complete and while it is in the cache. */
typedef void (*pn_gemm_done)(void *ctx, void *c, i64 ldc, i64 m, i64 n, i64 row0, i64 col0);

/* C[m,n] = op(A)[m,k] op(B)[k,n] (+ C), then bias per column, then an activation (act.h).
 * Element (i,p) of op(A) is a[i*ars + p*acs], with ars or acs 1; likewise B. C is row-major. */
typedef struct pn_gemm_call {
    i64 m, n, k;
    const void *a;
    i64 ars, acs;
    const void *b;
    i64 brs, bcs;
    void *c;
    i64 ldc;
    int accumulate;
    const void *bias;
    int act;
    double act_par;
    const void *packed; /* NULL, or B from pack() beside b */
    /* 0, or how many pieces of the terms there are, from cuts[2 i] to cuts[2 i + 1]: C is the sum of the pieces'
     * products, joined as kernels/segments.h says, and not of the terms. Without bias and activation. */
    int pieces;
    const i64 *cuts;
    pn_gemm_done done; /* NULL, or what follows, where there is no activation and are no pieces */
    void *done_ctx;
    void *room; /* NULL, or PN_GEMM_ROOM bytes for each thread: nobody but `done` needs C, which is left undefined */
} pn_gemm_call;

/* An optimizer's update of weights, part by part (kernels/optim.h). */
typedef struct pn_update {
    i64 at, columns; /* the first of the weights among the elements of the instruction, and elements of a row */
    double rule[24];
} pn_update;

/* One time step of a recurrent layer, for a block of batch rows (kernels/lstm.h). An absent operand is NULL. */
typedef struct pn_rnn_step {
    i64 rows, units, t;
    const int32_t *lengths; /* [rows] */
    int act;                /* of the plain cell */
    double act_par;
    void *gates;           /* [rows, G units] */
    const void *cell_prev; /* c of the step before; NULL is 0 */
    void *cell;            /* c of this step */
    void *state;           /* h, updated */
    void *masked;          /* h times mask */
    const void *mask;      /* recurrent dropout */
    void *reset;           /* gru: r h, or its gradient */
    const void *bias, *peep;
    void *y; /* the output: row r at y + r ldy */
    i64 ldy;
    /* backward only */
    void *dz, *dh, *dc;
    const void *dy;         /* row r at dy + r ldy */
    const void *prev, *h0;  /* h of the step before, and before the first */
    void *next;             /* where h of this step is kept for the gradient of the weights */
    i64 ldh;                /* between rows of prev and next */
    i64 row, unit;          /* on a device: those of the thread */
} pn_rnn_step;
enum { PN_RNN, PN_LSTM, PN_GRU, PN_GRU_AFTER }; /* cells; as steps: forward, and with PN_RNN_BWD added backward */
enum { PN_RNN_BWD = 4, PN_GRU_GATES = 8, PN_GRU_STATES, PN_GRU_AFTER_STATES, PN_GRU_RESET_BWD, PN_RNN_STEPS };

/* The gradients of neighbouring words in word2vec (kernels/words.h). */
typedef struct pn_words {
    i64 stride;         /* elements of a row of the weights */
    const void *rows;   /* the weights: words, then what is predicted */
    const int32_t *ids; /* the row of the word at each position */
    i64 first, span;    /* the positions that the windows reach */
    i64 centers;
    const int32_t *at, *left, *right;     /* [centers]: its position; the first and the last of its window */
    const int32_t *start, *target;        /* the targets of center c are target[start[c]] to target[start[c + 1] - 1] */
    const uint8_t *label;                 /* of each target */
    i64 most_targets;                     /* of a center, rounded up to a multiple of 4 */
    int skipgram, mean;
    double rate;
    void *pointers, *tmp; /* working memory: most_targets + window pointers; (1 + inputs) most_targets + 16 elements */
    /* Results. Rows of src: the changes of the words [span]; then x of each center (CBOW), or the change of each target.
     * coef: 1, then the factor of x in the change of each target (CBOW). */
    void *src, *coef;
    double loss;
} pn_words;

/* What kernels written in Cython build on: one table per ISA and dtype. */
struct pn_ops {
    int itemsize;
    int planes; /* of bfloat16 that products take their operands as (pairs.h); 0: as they are */
    void (*gemm)(const pn_gemm_call *g, void *scratch, i64 scratch_bytes, int nth);
    /* dz = dy * act'(y), with the derivative taken from the output y; dz may be dy */
    void (*act_grad)(int act, double p, void *dz, const void *dy, const void *y, i64 n, int nth);
    /* out[j] = sum over i of x[i,j], i in increasing order */
    void (*col_sum)(void *out, const void *x, i64 rows, i64 cols, int nth);
    int lanes; /* of a vector; 1 in plain C */
    /* pn_for of par.h */
    void (*parallel)(i64 n, i64 chunk, double cost, int nth, void (*fn)(void *ctx, i64 lo, i64 hi, int ith), void *ctx);
    /* B[k,n] rearranged for product() by up to `rows` rows; dst has k times n rounded up to 16 elements. With
     * vectors and without planes the rows do not matter, and gemm takes it too */
    void (*pack)(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows);
    /* C[m,n] = A[m,k] B (+ C) with B from pack(), on the caller's thread; the bits are those of gemm */
    void (*product)(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, i64 ldc, int add,
                    i64 rows);
    void (*rnn_step)(int what, const pn_rnn_step *s);
    /* dp [3,H] += column sums of dz c: gates i and f, or gate o */
    void (*peep_grad)(void *dp, const void *dz, const void *c, i64 rows, i64 units, int gates_if);
    /* out = a b, or out += a b; out may be a */
    void (*mul)(void *out, const void *a, const void *b, i64 n, int add);
    /* out = kept ? scale : 0 */
    void (*expand_mask)(void *out, const uint8_t *kept, double scale, i64 n);
    void (*word_grads)(pn_words *w);
    /* rows[e[0]] += coef[e[2]] src[e[1]] for n triples e, in order */
    void (*add_rows)(void *rows, i64 stride, const void *src, const void *coef, const int32_t *entry, i64 n);
    double (*exp)(double x); /* pn_exp of scalar_math.h */
    /* Begins what an optimizer's instruction does with the weights whose gradient, dw, is among its own */
    pn_gemm_done (*updating)(pn_update *u, const pn_instr *update, const void *dw, i64 columns);
};

/* What BLAS-calling code needs, filled by pynn.core._blas on first use (row-major, C = op(A) op(B) + beta C). */
typedef void (*pn_gemm_f32_fn)(int ta, int tb, i64 m, i64 n, i64 k, const float *a, i64 lda, const float *b, i64 ldb,
                               float beta, float *c, i64 ldc);
typedef void (*pn_gemm_f64_fn)(int ta, int tb, i64 m, i64 n, i64 k, const double *a, i64 lda, const double *b, i64 ldb,
                               double beta, double *c, i64 ldc);
typedef struct pn_blas {
    pn_gemm_f32_fn sgemm;
    pn_gemm_f64_fn dgemm;
} pn_blas;
extern pn_blas pn_blas_table;

/* Runs n instructions in order; returns 0, or the status of the first one that failed with *where its index. */
int pn_run(const pn_instr *code, i64 n, i64 *where);
/* The same with the nanoseconds of each instruction added to ns[i]. */
int pn_run_timed(const pn_instr *code, i64 n, i64 *where, double *ns);

/* Kernels are found under (name, dtype, target). Targets: the ISAs, then AVX-512 with products of bfloat16 on a unit. */
#define PN_ENUM(id, name, fallback) PN_TARGET_##id,
enum { PN_ISAS(PN_ENUM) PN_UNITS(PN_ENUM) PN_TARGET_COUNT };
#undef PN_ENUM
#define PN_ONE(id, name, fallback) +1
enum { PN_ISA_COUNT = PN_ISAS(PN_ONE) };
#undef PN_ONE
enum { PN_F32 = 0, PN_F64 = 1, PN_I32 = 2, PN_I64 = 3, PN_U8 = 4, PN_BOOL = 5, PN_DTYPES = 6 };
int pn_target_available(int target); /* asks the operating system for AMX, where it must be asked */
const char *pn_target_name(int target);
int pn_target_fallback(int target); /* whose kernels stand in; generic is its own */
int pn_isa_best(void);
/* Planes for which the scratch memory of new instructions is booked: 0, 1 or 2. */
extern int pn_planes;
/* Whether roots are made of multiply-adds (vroot_apart): they wait for divisions otherwise, on Intel's processors. */
extern int pn_roots_apart;
/* The target's own kernel; NULL if its table has none of the name for the dtype. */
pn_kernel pn_own_kernel(const char *name, int dtype, int target);
/* The same along the chain of fallbacks. */
pn_kernel pn_find_kernel(const char *name, int dtype, int target);
/* NULL unless dtype is f32 or f64; planes count for matrix units alone. */
const pn_ops *pn_find_ops(int dtype, int target, int planes);
i64 pn_kernel_count(void);
const char *pn_kernel_name(i64 i);

/* A function of one element (elementwise.def): its code where it is fused (act.h), and what its gradient is made of, the
 * output (0) or the input (1); -1 where it has none. NULL ends the list. */
typedef struct pn_function {
    const char *name;
    int act;
    int of_x;
} pn_function;
extern const pn_function pn_functions[];

#endif
