/* dw on the tile registers of AMX, for steps of one pixel (see conv_bwd.h, included by it).
 *
 * Pixels are terms, in pairs. dw^T[o][c] of a tap = sum over pixels of dz^T[o][pixel] x[pixel + tap][c]: x is B as its pairs
 * lie, for all taps, and dz^T is turned round once for all of them. Both have the rows of the padded image, so a whole
 * image is one run of terms; dz is 0 between the rows. The sums stay in tiles, [block of channels][block of outputs][tap], until
 * all of them are added up.
 */
static i64 conv_flat_size(const pn_conv *v) { return v->kh * v->kw * pn_conv_round(v->c) * pn_conv_round(v->o); }

/* Panels of pairs of x, `rows` of an image and its padding from r0 on: to[block of channels][pixel][channel] =
 * (x[pixel], x[pixel + 1]); then 0, up to `room` pixels. */
static void conv_flat_x(const pn_conv *v, real *to, i64 lo, const real *x, i64 r0, i64 rows, i64 room) {
    const i64 pixels = rows * v->xw, c = v->c;
    i64 row = r0, column = -v->pl;
    const real *at = row >= 0 && row < v->h && column >= 0 ? x + row * v->w * c : NULL;
    for (i64 i = 0; i < room; i++) {
        const real *next = NULL;
        if (++column == v->xw - v->pl) column = -v->pl, row++;
        if (i + 1 < pixels && row >= 0 && row < v->h && column >= 0 && column < v->w) next = x + (row * v->w + column) * c;
        for (i64 k = 0, width; k < c; k += width) {
            width = conv_width(c - k, room);
            for (i64 b = 0; b < width; b += VW) {
                const vec first = at ? pairs_some(at + k + b, c - k - b) : vset(0);
                const vec second = next ? pairs_some(next + k + b, c - k - b) : vset(0);
                real *pair = to + k * room + i * width + b;
                pairs_store(pair, pairs_of(first, second), VW);
                if (lo) pairs_store(pair + lo, pairs_of(pairs_rest(first), pairs_rest(second)), VW);
            }
        }
        at = next;
    }
}

/* dz^T of an image: to[output][pair of pixels], rows of pixels as far apart as those of x; 0 up to whole registers. */
static void conv_flat_z(const pn_conv *v, real *to, i64 lo, i64 lanes, const real *z, i64 z_row, i64 rows, real *room) {
    const i64 row = v->xw * v->o, pixels = (rows - 1) * v->xw + v->ow;
    if (z_row != row) {
        for (i64 r = 0; r < rows; r++) {
            memcpy(room + r * row, z + r * z_row, (size_t)(v->ow * v->o) * sizeof(real));
            memset(room + r * row + v->ow * v->o, 0, (size_t)((v->xw - v->ow) * v->o) * sizeof(real));
        }
        z = room;
    }
    pairs_strip(to, lo, lanes, z, 1, v->o, v->o, pixels);
    for (i64 o = 0; o < v->o; o++)
        for (i64 p = CONV_LANES(pixels); p < lanes; p++) {
            to[o * lanes + p] = 0;
            if (lo) to[lo + o * lanes + p] = 0;
        }
}

/* dw of a block's pixels; its images of x begin at x. */
static void conv_flat_dw(const conv_job *j, const conv_block *k, const real *x, real *x_pairs, real *z_pairs, real *dw, int add) {
    const pn_conv *v = &j->v;
    const i64 xrows = pn_conv_xrows(v, k->rows), room = pn_conv_flat_room(xrows * v->xw), taps = v->kh * v->kw;
    const i64 outputs = pn_conv_round(v->o), lanes = pn_conv_flat_lanes(v, k->rows);
    real *const turned = z_pairs + 2 * outputs * lanes;
    conv_tile t;
    memset(&t, 0, sizeof t);
    t.n1 = t.n2 = 1;
    t.step = t.len = lanes;
    t.alo = j->planes > 1 ? outputs * lanes : 0;
    t.blo = conv_plane(j, j->bs.x_pairs);
    for (i64 n = 0; n < k->images; n++, add = 1) {
        conv_flat_x(v, x_pairs, t.blo, x + n * v->h * v->w * v->c, k->first - v->pt, xrows, room);
        conv_flat_z(v, z_pairs, t.alo, lanes, k->z + n * k->z_image, k->z_row, k->rows, turned);
        for (i64 c = 0, width; c < v->c; c += width) {
            width = conv_width(v->c - c, room);
            t.ldb = 2 * width;
            for (i64 o = 0, height; o < v->o; o += height) {
                height = conv_width(v->o - o, room);
                t.a = z_pairs + o * lanes;
                real *sum = dw + (c * outputs + o * width) * taps;
                for (i64 tap = 0; tap < taps; tap++, sum += height * width) {
                    t.b = x_pairs + c * room + (tap / v->kw * v->dh * v->xw + tap % v->kw * v->dw) * width;
                    amx_sums(&t, 16, height - 16, 16 * lanes, width, 0, add ? sum : NULL, sum, width, NULL);
                }
            }
        }
    }
}

/* dw[tap][c][o] from those sums. */
static void conv_flat_turn(const pn_conv *v, real *dw, const real *sums) {
    const i64 taps = v->kh * v->kw;
    vec r[VW];
    for (i64 c = 0, width; c < v->c; c += width) {
        width = conv_width(v->c - c, VW);
        for (i64 o = 0, height; o < v->o; o += height) {
            height = conv_width(v->o - o, VW);
            for (i64 tap = 0; tap < taps; tap++, sums += height * width)
                for (i64 b = 0; b < width; b += VW)
                    for (i64 d = 0; d < height && o + d < v->o; d += VW) {
                        for (i64 i = 0; i < VW; i++) r[i] = vload(sums + (d + i) * width + b);
                        gemm_transpose(r);
                        for (i64 i = 0; i < VW && c + b + i < v->c; i++)
                            vstoren(dw + (tap * v->c + c + b + i) * v->o + o + d, r[i], pn_conv_min(VW, v->o - o - d));
                    }
        }
    }
}
