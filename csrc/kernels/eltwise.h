/* Binary arithmetic, comparisons and selection with NumPy broadcasting.
 *
 *   y[i] = f(a[i], b[i])                  OUT y; IN a, b
 *   y[i] = f(a[i], b[i]) as 0 or 1        comparisons: OUT y uint8
 *   y[i] = c[i] ? a[i] : b[i]             where: OUT y; IN c uint8, a, b
 *
 * dim: elements of y, rank r <= 6, its shape, then the strides of each operand in elements, 0 along a broadcast axis;
 * adjacent axes are merged where they can be, so the last stride of each operand is 0 or 1.
 * Parallel over rows of the last axis (over elements when there is one row). 1 flop, 12 bytes per element.
 * y may be a or b where that operand is not broadcast.
 */

enum { EW_RANK = 6, EW_CHUNK = 8192 };
enum { EW_Y, EW_A, EW_B };
enum { WHERE_Y, WHERE_C, WHERE_A, WHERE_B };
/* dims; strides of operand k begin at EW_STRIDES + EW_RANK k */
enum { EW_N, EW_R, EW_SHAPE, EW_STRIDES = EW_SHAPE + EW_RANK };
#define EW_STRIDE(I, k, axis) (I)->dim[EW_STRIDES + EW_RANK * (k) + (axis)]

/* The offsets of operand rows at flat row number `row` (all axes but the last). */
static inline void ew_offsets(const i64 *dim, i64 row, const int operands, i64 *off) {
    int r = (int)dim[EW_R];
    for (int k = 0; k < operands; k++) off[k] = 0;
    for (int ax = r - 2; ax >= 0; ax--) {
        i64 len = dim[EW_SHAPE + ax], at = row % len;
        row /= len;
        for (int k = 0; k < operands; k++) off[k] += at * dim[EW_STRIDES + EW_RANK * k + ax];
    }
}

/* Calls row_fn(I, y offset, operand offsets, first, count) for pieces of rows that cover [lo, hi) of y. */
#define EW_ROWS(I, lo, hi, operands, BODY)                              \
    do {                                                                \
        i64 inner = (I)->dim[EW_SHAPE + (I)->dim[EW_R] - 1], at = (lo);               \
        while (at < (hi)) {                                             \
            i64 off[3], row = at / inner, first = at - row * inner;     \
            i64 count = inner - first;                                  \
            if (count > (hi) - at) count = (hi) - at;                   \
            ew_offsets((I)->dim, row, operands, off);                   \
            BODY;                                                       \
            at += count;                                                \
        }                                                               \
    } while (0)

#define EW_BINARY(NAME, EXPR)                                                                        \
    static inline vec NAME##_vec(vec a, vec b) { return EXPR; }                                      \
    static void NAME##_range(void *ctx, i64 lo, i64 hi, int ith) {                                   \
        const pn_instr *I = (const pn_instr *)ctx;                                                   \
        int last = (int)I->dim[EW_R] - 1;                                                               \
        i64 sa = EW_STRIDE(I, 0, last), sb = EW_STRIDE(I, 1, last);                                           \
        (void)ith;                                                                                   \
        EW_ROWS(I, lo, hi, 2, {                                                                      \
            const real *a = (const real *)I->arg[EW_A] + off[0] + sa * first;                           \
            const real *b = (const real *)I->arg[EW_B] + off[1] + sb * first;                           \
            real *y = (real *)I->arg[EW_Y] + at;                                                        \
            i64 i = 0;                                                                               \
            if (sa && sb) {                                                                          \
                for (; i + VW <= count; i += VW) vstore(y + i, NAME##_vec(vload(a + i), vload(b + i))); \
                if (i < count)                                                                       \
                    vstoren(y + i, NAME##_vec(vloadn(a + i, count - i), vloadn(b + i, count - i)), count - i); \
            } else if (sa) {                                                                         \
                vec vb = vset(*b);                                                                   \
                for (; i + VW <= count; i += VW) vstore(y + i, NAME##_vec(vload(a + i), vb));        \
                if (i < count) vstoren(y + i, NAME##_vec(vloadn(a + i, count - i), vb), count - i);  \
            } else if (sb) {                                                                         \
                vec va = vset(*a);                                                                   \
                for (; i + VW <= count; i += VW) vstore(y + i, NAME##_vec(va, vload(b + i)));        \
                if (i < count) vstoren(y + i, NAME##_vec(va, vloadn(b + i, count - i)), count - i);  \
            } else {                                                                                 \
                vec v = NAME##_vec(vset(*a), vset(*b));                                              \
                for (; i + VW <= count; i += VW) vstore(y + i, v);                                   \
                if (i < count) vstoren(y + i, v, count - i);                                         \
            }                                                                                        \
        });                                                                                          \
    }                                                                                                \
    static int NAME(const pn_instr *I) {                                                             \
        pn_for(I->dim[EW_N], EW_CHUNK, 0.5 * (double)I->dim[EW_N], I->nth, NAME##_range, (void *)I);       \
        return PN_OK;                                                                                \
    }

EW_BINARY(add_fwd, vadd(a, b))
EW_BINARY(sub_fwd, vsub(a, b))
EW_BINARY(mul_fwd, vmul(a, b))
/* NaN in either operand comes through, as in NumPy. */
EW_BINARY(maximum_fwd, vsel(visnan(a), a, vsel(visnan(b), b, vmax(a, b))))
EW_BINARY(minimum_fwd, vsel(visnan(a), a, vsel(visnan(b), b, vmin(a, b))))
#ifndef PN_INT
EW_BINARY(div_fwd, vdiv(a, b))
EW_BINARY(pow_any, vpow(a, b))
EW_BINARY(pow_three, vmul(vmul(a, a), a))
EW_BINARY(pow_two, vmul(a, a))
EW_BINARY(pow_one, a)
EW_BINARY(pow_inverse, vdiv(vset(1), a))
/* Some powers are one or two instructions. */
static int pow_fwd(const pn_instr *I) {
    real b = 0;
    int single = I->dim[EW_N] > 0;
    for (i64 ax = 0; ax < I->dim[EW_R]; ax++) single &= EW_STRIDE(I, 1, ax) == 0;
    if (single) b = *(const real *)I->arg[EW_B];
    return b == 3 ? pow_three(I) : b == 2 ? pow_two(I) : b == 1 ? pow_one(I) : b == -1 ? pow_inverse(I) : pow_any(I);
}
/* The share of a maximum's gradient that goes to a: all, half at a tie, nothing. */
EW_BINARY(max_share_fwd, vsel(vlt(b, a), vset(1), vsel(veq(a, b), vset((real)0.5), vset(0))))
#endif

#define EW_COMPARE(NAME, OP)                                                                   \
    static void NAME##_range(void *ctx, i64 lo, i64 hi, int ith) {                             \
        const pn_instr *I = (const pn_instr *)ctx;                                             \
        int last = (int)I->dim[EW_R] - 1;                                                         \
        i64 sa = EW_STRIDE(I, 0, last), sb = EW_STRIDE(I, 1, last);                                     \
        (void)ith;                                                                             \
        EW_ROWS(I, lo, hi, 2, {                                                                \
            const real *a = (const real *)I->arg[EW_A] + off[0] + sa * first;                     \
            const real *b = (const real *)I->arg[EW_B] + off[1] + sb * first;                     \
            uint8_t *y = (uint8_t *)I->arg[EW_Y] + at;                                            \
            for (i64 i = 0; i < count; i++) y[i] = (uint8_t)(a[i * sa] OP b[i * sb]);          \
        });                                                                                    \
    }                                                                                          \
    static int NAME(const pn_instr *I) {                                                       \
        pn_for(I->dim[EW_N], EW_CHUNK, 0.5 * (double)I->dim[EW_N], I->nth, NAME##_range, (void *)I); \
        return PN_OK;                                                                          \
    }

EW_COMPARE(equal_fwd, ==)
EW_COMPARE(not_equal_fwd, !=)
EW_COMPARE(less_fwd, <)
EW_COMPARE(less_equal_fwd, <=)

static void where_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    int last = (int)I->dim[EW_R] - 1;
    i64 sc = EW_STRIDE(I, 0, last), sa = EW_STRIDE(I, 1, last), sb = EW_STRIDE(I, 2, last);
    (void)ith;
    EW_ROWS(I, lo, hi, 3, {
        const uint8_t *c = (const uint8_t *)I->arg[WHERE_C] + off[0] + sc * first;
        const real *a = (const real *)I->arg[WHERE_A] + off[1] + sa * first;
        const real *b = (const real *)I->arg[WHERE_B] + off[2] + sb * first;
        real *y = (real *)I->arg[WHERE_Y] + at;
        for (i64 i = 0; i < count; i++) y[i] = c[i * sc] ? a[i * sa] : b[i * sb];
    });
}
/* y = c ? a : b; the operands come in the order c, a, b, and so do their strides. */
static int where_fwd(const pn_instr *I) {
    pn_for(I->dim[EW_N], EW_CHUNK, (double)I->dim[EW_N], I->nth, where_range, (void *)I);
    return PN_OK;
}
