/* An LSTM whose products are of bytes, as onnxruntime's DynamicQuantizeLSTM is: the input as a whole and the state of each
 * step are made bytes by dynamic_bytes' rule, products of bytes times both scales are added up as floats.
 *
 *   byte_lstm   OUT y [N,T,H], h [N,H], c [N,H]; IN x [N,T,D], w, its sums, its scales [4H], u, its sums, its scales [4H],
 *               b [4H], h0 [N,H], c0 [N,H], peep [3,H]; b, h0, c0 and peep may be absent
 *
 * w of D terms and u of H terms as in bytes.h, gates in the order i f g o; cells as in lstm.h. dim: N, T, D, H, reversed.
 * Parallel over panels in products, over rows in cells. 8 N T H (D + H) operations; u is
 * read once a step, at a byte each.
 */
typedef struct byte_gates { /* z[r, j] = scale scales[j] (product)[r, j] (+ what it was, or b[j]) */
    byte_product p;
    const uint8_t *a;
    i64 rows, lda;
    real scale;
    const real *scales, *b;
    real *z;
    int add;
} byte_gates;

static void byte_gates_add(const byte_gates *g, i64 row, i64 col, const int32_t *t, i64 cols) {
    real sums[PN_BYTE_PANELS * PN_BYTE_COLS], *z = (real *)g->z + row * g->p.n + col;
    byte_floats(sums, t);
    for (i64 j = 0; j < cols; j += VW) {
        const i64 n = cols - j < VW ? cols - j : VW;
        vec v = vmul(vload(sums + j), vmul(vset(g->scale), byte_load(g->scales + col + j, n)));
        if (g->add) v = vadd(byte_load(z + j, n), v);
        else if (g->b) v = vadd(v, byte_load(g->b + col + j, n));
        byte_store(z + j, v, n);
    }
}

static void byte_gates_range(void *ctx, i64 lo, i64 hi, int ith) {
    const byte_gates *g = (const byte_gates *)ctx;
    const i64 wide = PN_BYTE_PANELS * PN_BYTE_COLS, blocks = (g->rows + BYTE_ROWS - 1) / BYTE_ROWS;
    int32_t t[BYTE_ROWS * PN_BYTE_PANELS * PN_BYTE_COLS];
    byte_product p = g->p;
    (void)ith;
    for (i64 at = lo; at < hi; at++) {
        const i64 row = at % blocks * BYTE_ROWS, col = at / blocks * wide;
        const i64 rows = g->rows - row < BYTE_ROWS ? g->rows - row : BYTE_ROWS;
        const i64 cols = byte_tile(&p, t, g->a + row * g->lda, g->lda, rows, col);
        for (i64 r = 0; r < rows; r++) byte_gates_add(g, row + r, col, t + r * wide, cols);
    }
}
static void byte_gates_run(byte_gates *g, int nth) {
    const i64 wide = PN_BYTE_PANELS * PN_BYTE_COLS;
    pn_for((g->rows + BYTE_ROWS - 1) / BYTE_ROWS * ((g->p.n + wide - 1) / wide), 1,
           0.006 * (double)(g->rows * g->p.n) * (double)(g->p.k + 32), nth, byte_gates_range, g);
}

static byte_steps byte_of_all(const real *x, i64 n) {
    real low = 0, high = 0;
    byte_range(x, n, &low, &high);
    return byte_steps_of(low, high);
}

typedef struct byte_cells {
    pn_rnn_step step;
    i64 T, H;
} byte_cells;

static void byte_cells_range(void *ctx, i64 lo, i64 hi, int ith) {
    const byte_cells *c = (const byte_cells *)ctx;
    pn_rnn_step s = c->step;
    (void)ith;
    s.rows = hi - lo;
    s.gates = (real *)s.gates + lo * 4 * c->H;
    s.cell = (real *)s.cell + lo * c->H;
    s.cell_prev = (const real *)s.cell_prev + lo * c->H;
    s.state = (real *)s.state + lo * c->H;
    s.y = (real *)s.y + lo * s.ldy;
    block_rnn_step(PN_LSTM, &s);
}

static int byte_lstm(const pn_instr *I) {
    const i64 N = I->dim[BLS_N], T = I->dim[BLS_T], D = I->dim[BLS_D], H = I->dim[BLS_UNITS];
    const real *x = (const real *)I->arg[BLS_X];
    real *h = (real *)I->arg[BLS_H], *c = (real *)I->arg[BLS_C], *gates = (real *)I->scratch;
    const i64 chunk = T * N <= BYTE_ROWS ? T : N < BYTE_ROWS ? BYTE_ROWS / N : 1; /* steps whose gates are at hand */
    uint8_t *bytes = (uint8_t *)(gates + chunk * N * 4 * H), *state = bytes + N * T * D;
    const byte_steps in = byte_of_all(x, N * T * D);
    byte_gates from_x, from_h;
    byte_cells cells;
    for (i64 n = 0; n < N; n++) /* time-major */
        for (i64 t = 0; t < T; t++) byte_make(bytes + (t * N + n) * D, x + (n * T + t) * D, D, in);
    if (I->arg[BLS_H0]) memcpy(h, I->arg[BLS_H0], (size_t)(N * H) * sizeof(real));
    else memset(h, 0, (size_t)(N * H) * sizeof(real));
    if (I->arg[BLS_C0]) memcpy(c, I->arg[BLS_C0], (size_t)(N * H) * sizeof(real));
    else memset(c, 0, (size_t)(N * H) * sizeof(real));
    memset(&from_x, 0, sizeof from_x);
    byte_product_of(&from_x.p, I->arg[BLS_W], I->arg[BLS_WSUMS], D, 4 * H, (int32_t)in.zero);
    from_x.lda = D;
    from_x.scale = in.scale;
    from_x.scales = (const real *)I->arg[BLS_WSCALE];
    from_x.b = (const real *)I->arg[BLS_B];
    from_x.z = gates;
    memset(&from_h, 0, sizeof from_h);
    byte_product_of(&from_h.p, I->arg[BLS_U], I->arg[BLS_USUMS], H, 4 * H, 0);
    from_h.a = state;
    from_h.rows = N;
    from_h.lda = H;
    from_h.scales = (const real *)I->arg[BLS_USCALE];
    from_h.add = 1;
    memset(&cells, 0, sizeof cells);
    cells.T = T;
    cells.H = H;
    cells.step.units = H;
    cells.step.peep = I->arg[BLS_PEEP];
    cells.step.state = h;
    cells.step.cell = c; /* each unit is read before it is written */
    cells.step.cell_prev = c;
    cells.step.ldy = T * H;
    for (i64 k = 0; k < T; k += chunk) { /* steps k ... in the order of time, or backwards */
        const i64 steps = T - k < chunk ? T - k : chunk, first = I->dim[BLS_REVERSED] ? T - k - steps : k;
        from_x.a = bytes + first * N * D;
        from_x.rows = steps * N;
        byte_gates_run(&from_x, I->nth);
        for (i64 j = 0; j < steps; j++) {
            const i64 t = I->dim[BLS_REVERSED] ? first + steps - 1 - j : first + j;
            const byte_steps s = byte_of_all(h, N * H);
            byte_make(state, h, N * H, s);
            from_h.p.zero = (int32_t)s.zero;
            from_h.scale = s.scale;
            from_h.z = gates + (t - first) * N * 4 * H;
            byte_gates_run(&from_h, I->nth);
            cells.step.t = t;
            cells.step.gates = from_h.z;
            cells.step.y = (real *)I->arg[BLS_Y] + t * H;
            pn_for(N, 1, 8.0 * (double)(N * H), I->nth, byte_cells_range, &cells);
        }
    }
    return PN_OK;
}
