/* Binary arithmetic, comparisons and selection with NumPy broadcasting.
 *
 *   y[i] = f(a[i], b[i])                  OUT y; IN a, b
 *   y[i] = f(a[i], b[i]) as 0 or 1        comparisons: OUT y uint8
 *   y[i] = c[i] ? a[i] : b[i]             where: OUT y; IN c uint8, a, b
 *
 * dim[0] elements of y, dim[1] rank r <= 6, dim[2..7] shape, dim[8..13] strides of a, dim[14..19] strides of b,
 * dim[20..25] strides of c, in elements, 0 along a broadcast axis; adjacent axes are merged where they can be, so the
 * last stride of each operand is 0 or 1.
 * Parallel over rows of the last axis (over elements when there is one row). 1 flop, 12 bytes per element.
 * y may be a or b where that operand is not broadcast.
 */

enum { EW_RANK = 6, EW_CHUNK = 8192 };

/* The offsets of operand rows at flat row number `row` (all axes but the last). */
static inline void ew_offsets(const i64 *dim, i64 row, const int operands, i64 *off) {
    int r = (int)dim[1];
    for (int k = 0; k < operands; k++) off[k] = 0;
    for (int ax = r - 2; ax >= 0; ax--) {
        i64 len = dim[2 + ax], at = row % len;
        row /= len;
        for (int k = 0; k < operands; k++) off[k] += at * dim[8 + EW_RANK * k + ax];
    }
}

/* Calls row_fn(I, y offset, operand offsets, first, count) for pieces of rows that cover [lo, hi) of y. */
#define EW_ROWS(I, lo, hi, operands, BODY)                              \
    do {                                                                \
        i64 inner = (I)->dim[1 + (I)->dim[1]], at = (lo);               \
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
        int last = (int)I->dim[1] - 1;                                                               \
        i64 sa = I->dim[8 + last], sb = I->dim[14 + last];                                           \
        (void)ith;                                                                                   \
        EW_ROWS(I, lo, hi, 2, {                                                                      \
            const real *a = (const real *)I->arg[1] + off[0] + sa * first;                           \
            const real *b = (const real *)I->arg[2] + off[1] + sb * first;                           \
            real *y = (real *)I->arg[0] + at;                                                        \
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
        pn_for(I->dim[0], EW_CHUNK, 0.5 * (double)I->dim[0], I->nth, NAME##_range, (void *)I);       \
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
    int single = I->dim[0] > 0;
    for (i64 ax = 0; ax < I->dim[1]; ax++) single &= I->dim[14 + ax] == 0;
    if (single) b = *(const real *)I->arg[2];
    return b == 3 ? pow_three(I) : b == 2 ? pow_two(I) : b == 1 ? pow_one(I) : b == -1 ? pow_inverse(I) : pow_any(I);
}
/* The share of a maximum's gradient that goes to a: all, half at a tie, nothing. */
EW_BINARY(max_share_fwd, vsel(vlt(b, a), vset(1), vsel(veq(a, b), vset((real)0.5), vset(0))))
#endif

#define EW_COMPARE(NAME, OP)                                                                   \
    static void NAME##_range(void *ctx, i64 lo, i64 hi, int ith) {                             \
        const pn_instr *I = (const pn_instr *)ctx;                                             \
        int last = (int)I->dim[1] - 1;                                                         \
        i64 sa = I->dim[8 + last], sb = I->dim[14 + last];                                     \
        (void)ith;                                                                             \
        EW_ROWS(I, lo, hi, 2, {                                                                \
            const real *a = (const real *)I->arg[1] + off[0] + sa * first;                     \
            const real *b = (const real *)I->arg[2] + off[1] + sb * first;                     \
            uint8_t *y = (uint8_t *)I->arg[0] + at;                                            \
            for (i64 i = 0; i < count; i++) y[i] = (uint8_t)(a[i * sa] OP b[i * sb]);          \
        });                                                                                    \
    }                                                                                          \
    static int NAME(const pn_instr *I) {                                                       \
        pn_for(I->dim[0], EW_CHUNK, 0.5 * (double)I->dim[0], I->nth, NAME##_range, (void *)I); \
        return PN_OK;                                                                          \
    }

EW_COMPARE(equal_fwd, ==)
EW_COMPARE(not_equal_fwd, !=)
EW_COMPARE(less_fwd, <)
EW_COMPARE(less_equal_fwd, <=)

static void where_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    int last = (int)I->dim[1] - 1;
    i64 sc = I->dim[8 + last], sa = I->dim[14 + last], sb = I->dim[20 + last];
    (void)ith;
    EW_ROWS(I, lo, hi, 3, {
        const uint8_t *c = (const uint8_t *)I->arg[1] + off[0] + sc * first;
        const real *a = (const real *)I->arg[2] + off[1] + sa * first;
        const real *b = (const real *)I->arg[3] + off[2] + sb * first;
        real *y = (real *)I->arg[0] + at;
        for (i64 i = 0; i < count; i++) y[i] = c[i * sc] ? a[i * sa] : b[i * sb];
    });
}
/* y = c ? a : b; the operands come in the order c, a, b, and so do their strides. */
static int where_fwd(const pn_instr *I) {
    pn_for(I->dim[0], EW_CHUNK, (double)I->dim[0], I->nth, where_range, (void *)I);
    return PN_OK;
}
