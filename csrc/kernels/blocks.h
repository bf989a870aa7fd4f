/* The building blocks handed to kernels written in Cython (struct pn_ops), and matmul on top of them.
 *
 *   gemm       C = op(A) op(B) (+ C), + bias, then an activation on each finished tile
 *   matmul     C[z] = op(A[z]) op(B[z])    OUT C [Z,m,n]; IN A, B
 *              dim: Z, m, n, k, whether A and B are transposed, elements from one matrix to the next of A and of B
 *              (0: the same matrix), u: if it is not 0, C is the gradient of weights that the optimizer's instruction
 *              I[u] of the program leaves to this one; scratch begins with nth times PN_GEMM_ROOM bytes then; and
 *              whether C is stored even so
 * Parallel over tiles of C. 2mnk flops. C aliases nothing.
 * In plain C products of some size go to BLAS, if it was loaded, but not float32 where multiply-adds are fused.
 */

enum { BLAS_MIN_WORK = 20000 };

typedef struct act_ctx {
    int act;
    real p;
} act_ctx;

static void act_tile(void *ctx, void *to, i64 ldc, i64 m, i64 n, i64 row0, i64 col0) {
    const act_ctx *x = (const act_ctx *)ctx;
    real *c = (real *)to;
    (void)row0;
    (void)col0;
    if (ldc == n) /* whole rows lie together: one call */
        pn_act_apply(x->act, x->p, c, m * n);
    else
        for (i64 i = 0; i < m; i++) pn_act_apply(x->act, x->p, c + i * ldc, n);
}

#if VW == 1 && !(defined(PN_FUSED) && defined(PN_REAL_F32)) /* whose bits are promised */
#define BLOCK_BLAS
/* Returns 0 if BLAS does not fit. The activation and the bias are a second pass. */
static int blas_gemm(const pn_gemm_call *g) {
    i64 lda = g->ars > g->acs ? g->ars : g->acs, ldb = g->brs > g->bcs ? g->brs : g->bcs;
    int ta = g->acs != 1, tb = g->bcs != 1;
    if (g->m < 2 || g->n < 2 || g->k < 2 || g->m * g->n * g->k < BLAS_MIN_WORK) return 0;
#ifdef PN_REAL_F64
    if (!pn_blas_table.dgemm) return 0;
    pn_blas_table.dgemm(ta, tb, g->m, g->n, g->k, (const double *)g->a, lda, (const double *)g->b, ldb,
                        g->accumulate ? 1.0 : 0.0, (double *)g->c, g->ldc);
#else
    if (!pn_blas_table.sgemm) return 0;
    pn_blas_table.sgemm(ta, tb, g->m, g->n, g->k, (const float *)g->a, lda, (const float *)g->b, ldb,
                        g->accumulate ? 1.0f : 0.0f, (float *)g->c, g->ldc);
#endif
    for (i64 i = 0; i < g->m; i++) {
        real *c = (real *)g->c + i * g->ldc;
        if (g->bias)
            for (i64 j = 0; j < g->n; j++) c[j] += ((const real *)g->bias)[j];
        pn_act_apply(g->act, (real)g->act_par, c, g->n);
    }
    if (g->done) g->done(g->done_ctx, g->c, g->ldc, g->m, g->n, 0, 0);
    return 1;
}
#endif

static void block_gemm(const pn_gemm_call *g, void *scratch, i64 scratch_bytes, int nth) {
    act_ctx ctx;
    pn_gemm_args a;
#ifdef BLOCK_BLAS
    if (!g->pieces && blas_gemm(g)) return;
#endif
    ctx.act = g->act;
    ctx.p = (real)g->act_par;
    memset(&a, 0, sizeof a);
    a.m = g->m;
    a.n = g->n;
    a.k = g->k;
    a.a = (const real *)g->a;
    a.ars = g->ars;
    a.acs = g->acs;
    a.b = (const real *)g->b;
    a.brs = g->brs;
    a.bcs = g->bcs;
    a.c = (real *)g->c;
    a.ldc = g->ldc;
    a.accumulate = g->accumulate;
    a.bias = (const real *)g->bias;
    a.packed = (const real *)g->packed;
    a.pieces = g->pieces;
    a.cuts = g->cuts;
    if (g->act != PN_ACT_NONE) {
        a.epilogue = act_tile;
        a.epilogue_ctx = &ctx;
    } else {
        a.epilogue = g->done;
        a.room = (char *)g->room;
        a.epilogue_ctx = g->done_ctx;
    }
    pn_gemm(&a, scratch, scratch_bytes, nth);
}

typedef struct act_grad_ctx {
    int act;
    real p, *dz;
    const real *dy, *y;
} act_grad_ctx;

static void act_grad_range(void *ctx, i64 lo, i64 hi, int ith) {
    const act_grad_ctx *c = (const act_grad_ctx *)ctx;
    (void)ith;
    pn_act_grad(c->act, c->p, c->dz + lo, c->dy + lo, c->y + lo, hi - lo);
}
static void block_act_grad(int act, double p, void *dz, const void *dy, const void *y, i64 n, int nth) {
    act_grad_ctx c;
    c.act = act;
    c.p = (real)p;
    c.dz = (real *)dz;
    c.dy = (const real *)dy;
    c.y = (const real *)y;
    pn_for(n, 8192, 0.4 * (double)n, nth, act_grad_range, &c);
}

typedef struct col_sum_ctx {
    real *out;
    const real *x;
    i64 rows, cols;
} col_sum_ctx;

static void col_sum_range(void *ctx, i64 lo, i64 hi, int ith) {
    const col_sum_ctx *c = (const col_sum_ctx *)ctx;
    (void)ith;
    red_sum_cols(c->out, c->x, c->rows, c->cols, lo, hi, 1);
}
static void block_col_sum(void *out, const void *x, i64 rows, i64 cols, int nth) {
    col_sum_ctx c;
    c.out = (real *)out;
    c.x = (const real *)x;
    c.rows = rows;
    c.cols = cols;
    pn_for(cols, RED_COLS, 0.3 * (double)(rows * cols), nth, col_sum_range, &c);
}

#define PN_OPS_INIT \
    {(int)sizeof(real), 0, block_gemm, block_act_grad, block_col_sum, VW, pn_for, block_pack, block_product, \
     block_rnn_step, block_peep_grad, block_mul, block_expand_mask, block_word_grads, block_add_rows, pn_exp, opt_updating}

enum { MM_C, MM_A, MM_B };
enum { MM_Z, MM_M, MM_N, MM_K, MM_AT, MM_BT, MM_STEP_A, MM_STEP_B, MM_UPDATE, MM_STORE };
static int matmul(const pn_instr *I) {
    const i64 m = I->dim[MM_M], n = I->dim[MM_N], k = I->dim[MM_K], u = I->dim[MM_UPDATE];
    const i64 rooms = u ? I->nth * PN_GEMM_ROOM : 0;
    pn_update update;
    pn_gemm_call g;
    memset(&g, 0, sizeof g);
    g.packed = I->kept;
    g.m = m;
    g.n = n;
    g.k = k;
    g.ars = I->dim[MM_AT] ? 1 : k;
    g.acs = I->dim[MM_AT] ? m : 1;
    g.brs = I->dim[MM_BT] ? 1 : n;
    g.bcs = I->dim[MM_BT] ? k : 1;
    g.ldc = n;
    if (I->keeping) {
        I->ops->pack(I->kept, I->arg[MM_B], g.brs, g.bcs, n, k, m);
        return PN_OK;
    }
    for (i64 z = 0; z < I->dim[MM_Z]; z++) {
        g.a = (const real *)I->arg[MM_A] + z * I->dim[MM_STEP_A];
        g.b = (const real *)I->arg[MM_B] + z * I->dim[MM_STEP_B];
        g.c = (real *)I->arg[MM_C] + z * m * n;
        if (u) {
            g.done = I->ops->updating(&update, I + u, g.c, n);
            g.done_ctx = &update;
            if (!I->dim[MM_STORE]) g.room = I->scratch;
        }
        I->ops->gemm(&g, (char *)I->scratch + rooms, I->scratch_bytes - rooms, I->nth);
    }
    return PN_OK;
}
