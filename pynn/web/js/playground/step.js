// The training step of a network of dense layers, as the instructions that Python records for it.
//
// What an activation, a loss or an optimizer comes to is in `facts`, which Python writes from recordings of its own; here
// they are put together layer by layer. A test compares the result with Python's recording, instruction by instruction.

const I64 = 3;
const SLOTS = ["x", "y", "order", "cursor", "offset", "rate", "sums", "losses", "hits"];

/** Leave out zeros at the end, as programs as data do. */
function trimmed(numbers) {
  let n = numbers.length;
  while (n && numbers[n - 1] === 0) n--;
  return numbers.slice(0, n);
}

/** Places for tensors: each has its own, so that all that a step computes can be looked at. */
export class Places {
  /** @param {(bytes: number) => number} alloc returns an address */
  constructor(alloc) {
    this.alloc = alloc;
    this.all = {};
  }

  /** Return the operand of a tensor of so many numbers. */
  get(name, count, itemsize = 4) {
    this.all[name] ??= { at: this.alloc(count * itemsize), count };
    return [1, this.all[name].at];
  }
}

/** Return where each parameter lies in the flat buffer, in elements: [{name, layer, shape, at}], and its size. */
export function flatOf(sizes) {
  const parameters = [];
  let top = 0, end = 0;
  for (let l = 1; l < sizes.length; l++)
    for (const [kind, shape] of [["kernel", [sizes[l - 1], sizes[l]]], ["bias", [sizes[l]]]]) {
      const count = shape.reduce((a, b) => a * b, 1);
      parameters.push({ name: `${kind}${l}`, kind, layer: l, shape, at: top, count });
      end = top + count;
      top = Math.ceil(end / 16) * 16;
    }
  return { parameters, size: end };
}

/**
 * Writes instructions one after the other.
 * @property {object[]} instrs
 */
class Writer {
  constructor(places, scratch, sizes) {
    this.places = places;
    this.scratch = scratch; // (m, n, k, ta, tb) -> bytes of a product
    this.instrs = [];
    const flat = flatOf(sizes);
    this.parameters = flat.parameters;
    this.size = flat.size;
    this.by = Object.fromEntries(flat.parameters.map((p) => [p.name, p]));
  }

  /** Return the operand of a parameter, or of its place in a buffer like that of the parameters. */
  weight(name, buffer = "weights") {
    const [place, at] = this.places.get(buffer, this.size);
    return [place, at + 4 * this.by[name].at];
  }

  gradient(name) { return this.weight(name, "gradients"); }

  slot(name) { return this.places.get(name, 1, 8); }

  /** The update of all parameters by a rule, in the operands and settings that Python records. */
  update(rule, named) {
    const k = this.parameters.length, flat = (name) => this.places.get(name, this.size);
    const slots = [0, 1, 2].map((i) => (i < rule.slots ? flat(`slot${i}`) : null));
    const number = rule.number ? this.places.get("number", k, 8) : null;
    this.add(rule.kernel, [flat("weights"), ...slots, null, this.places.get("counts", k, 8), number],
      [flat("gradients"), named("rate"), named("cursor")], [this.size, rule.kind, 0, 0, 0, k, 0], rule.pars);
  }

  add(kernel, outs, inputs, dims = [], pars = [], more = {}) {
    const one = { kernel, dtype: 0, args: [...outs, ...inputs], outs: outs.length, ...more };
    if (trimmed(dims).length) one.dims = trimmed(dims);
    if (trimmed(pars).length) one.pars = trimmed(pars);
    this.instrs.push(one);
  }

  product(c, a, b, m, n, k, ta = 0, tb = 0) {
    const bytes = this.scratch(m, n, k, ta, tb), more = {};
    if (bytes) more.scratch = [this.places.get(`scratch ${m} ${n} ${k} ${ta}${tb}`, bytes, 1)[1], bytes];
    this.add("matmul", [c], [a, b], [1, m, n, k, ta, tb, 0, 0], [], more);
  }
}

const six = (numbers) => [...numbers, 0, 0, 0, 0, 0, 0].slice(0, 6);

/** Return the sizes of y[rows, n] = a[rows, n] + b[n]; axes of one element are left out. */
function withBias(rows, n) {
  const axes = [[rows, n, 0], [n, 1, 1]].filter(([size]) => size > 1); // size, steps of a and of b
  if (!axes.length) return [1, 1, 1];
  return [rows * n, axes.length, ...[0, 1, 2].flatMap((i) => six(axes.map((axis) => axis[i])))];
}

/** The forward pass of rows of x into places named z1, a1, ... after a prefix; returns what the last layer gives. */
function forward(w, spec, facts, rows, prefix, x, train) {
  const { sizes } = spec, last = sizes.length - 1;
  const get = (name, count, size) => w.places.get(prefix + name, count, size);
  let a = x, salt = 0;
  for (let l = 1; l <= last; l++) {
    const n = sizes[l], z = get(`z${l}`, rows * n);
    w.product(z, a, w.weight(`kernel${l}`), rows, n, sizes[l - 1]);
    w.add("add_fwd", [z], [z, w.weight(`bias${l}`)], withBias(rows, n));
    a = z;
    if (l < last && spec.activation !== "linear") {
      a = get(`a${l}`, rows * n);
      w.add(`${spec.activation}_fwd`, [a], [z], [rows * n], facts.activations[spec.activation]);
    }
    if (train && spec.dropout && l < last) {
      const kept = get(`kept${l}`, rows * n);
      w.add("dropout_fwd", [kept, get(`mask${l}`, rows * n, 1)], [a, w.slot("seed"), w.slot("step")], [rows * n],
        [spec.dropout], { salt: ++salt });
      a = kept;
    }
  }
  return a;
}

/** The way back: the gradients of all parameters from dz of the last layer. */
function backward(w, spec, facts, rows, dz) {
  const { sizes, activation } = spec;
  for (let l = sizes.length - 1; l >= 1; l--) {
    const n = sizes[l], k = sizes[l - 1], count = rows * k;
    const before = l === 1 ? "x" : spec.dropout ? `kept${l - 1}` : activation === "linear" ? `z${l - 1}` : `a${l - 1}`;
    const dw = spec.l1 || spec.l2 ? w.places.get(`dW${l}`, k * n) : w.gradient(`kernel${l}`);
    w.product(dw, w.places.get(before, count), dz, k, n, rows, 1, 0);
    if (n > 1) w.add("sum_fwd", [w.gradient(`bias${l}`)], [dz], [1, rows, n], [1]);
    else w.add("take_bwd", [w.gradient(`bias${l}`)], [dz, w.places.get(`zeros${rows}`, rows)], [1, 1, rows, 1, 1]);
    if (l === 1) return;
    let da = w.places.get(`da${l - 1}`, count);
    w.product(da, dz, w.weight(`kernel${l}`), rows, k, n, 0, 1);
    if (spec.dropout) {
      const kept = w.places.get(`dkept${l - 1}`, count);
      w.add("dropout_bwd", [kept], [da, w.places.get(`mask${l - 1}`, count, 1)], [count], [spec.dropout]);
      da = kept;
    }
    dz = da;
    if (activation !== "linear") {
      dz = w.places.get(`dz${l - 1}`, count);
      w.add(`${activation}_bwd`, [dz], [da, w.places.get(`a${l - 1}`, count)], [count], facts.activations[activation]);
    }
  }
}

/**
 * Return the step of a network on `rows` rows: {slots, arena, instrs}, a program as data.
 * @param {{sizes: number[], activation: string, loss: string, optimizer: string, l1: number, l2: number, dropout: number}} spec
 * @param {object} facts activations, losses and optimizers as Python records them
 * @param {Places} places where everything is; the same for steps of other numbers of rows that share parameters
 * @param {(m: number, n: number, k: number, ta: number, tb: number) => number} scratch bytes of a product
 */
export function stepOf(spec, facts, rows, places, scratch) {
  const w = new Writer(places, scratch, spec.sizes), last = spec.sizes.length - 1, n = spec.sizes[last];
  const x = places.get("x", rows * spec.sizes[0]), y = places.get("y", rows * n);
  const named = (slot) => [2 + SLOTS.indexOf(slot), 0];
  for (const [out, from, width] of [[x, "x", spec.sizes[0]], [y, "y", n]])
    w.add("batch_rows", [out], [named(from), named("order"), named("offset")], [rows, 4 * width], [], { extents: [[1, 2], [2, 3]] });
  const z = forward(w, spec, facts, rows, "", x, true);
  const loss = facts.losses[spec.loss], each = places.get("each", rows), mean = places.get("loss", 1);
  w.add(loss.forward, [each], [z, y], [rows, n], loss.pars);
  w.add("weighted_mean_fwd", [mean], [each, null], [rows], [1 / rows]);
  let total = mean;
  const penalty = [spec.l1, spec.l2];
  const kernels = spec.l1 || spec.l2 ? w.parameters.filter((p) => p.kind === "kernel") : [];
  for (const p of kernels) {
    const own = places.get(`penalty${p.layer}`, 1), sum = places.get(`loss${p.layer}`, 1);
    w.add("penalty_fwd", [own], [w.weight(p.name)], [p.count], penalty, { scratch: [places.get("sums", 16, 1)[1], 16] });
    w.add("add_fwd", [sum], [total, own], [1, 1, 1]);
    total = sum;
  }
  w.add("log_loss", [named("sums"), named("losses")], [total, named("cursor")], [rows, 1]);
  const one = places.get("one", 1), deach = places.get("deach", rows), dz = places.get(`dz${last}`, rows * n);
  w.add("weighted_mean_bwd", [deach], [one, null], [rows], [1 / rows]);
  w.add(loss.backward, [dz, null].slice(0, loss.outs), [z, y, deach], [rows, n], loss.pars);
  backward(w, spec, facts, rows, dz);
  for (const p of kernels.toReversed())
    w.add("penalty_bwd", [w.gradient(p.name)], [one, w.weight(p.name), places.get(`dW${p.layer}`, p.count)], [p.count], penalty);
  w.update(facts.optimizers[spec.optimizer], named);
  w.add("advance", [w.slot("step"), named("cursor"), named("offset")], [], [1, rows], [], { dtype: I64 });
  return { slots: SLOTS, arena: 0, instrs: w.instrs };
}

/** Return a forward pass of so many rows of a place, whose results stay in places with the prefix. */
export function passOf(spec, facts, rows, prefix, places, scratch) {
  const w = new Writer(places, scratch, spec.sizes);
  forward(w, spec, facts, rows, prefix, places.get(`${prefix}x`, rows * spec.sizes[0]), false);
  return { slots: [], arena: 0, instrs: w.instrs };
}
