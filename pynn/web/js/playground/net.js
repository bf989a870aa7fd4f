// A network of the playground: its memory, its steps, and all the numbers that they leave behind.

const RATES = 256; // of one call
const GRID = 48; // points of a picture, along each axis

/** First weights by name: (values, inputs, outputs, draw) fills values. */
export const INITS = {
  glorot: (v, i, o, draw) => { const a = Math.sqrt(6 / (i + o)); v.forEach((_, k) => { v[k] = a * (2 * draw() - 1); }); },
  he: (v, i, o, draw) => { const z = normal(draw), s = Math.sqrt(2 / i); v.forEach((_, k) => { v[k] = s * z(); }); },
  large: (v, i, o, draw) => { const z = normal(draw); v.forEach((_, k) => { v[k] = 3 * z(); }); },
  small: (v, i, o, draw) => { const z = normal(draw); v.forEach((_, k) => { v[k] = 0.01 * z(); }); },
  zeros: (v) => v.fill(0),
};

/** The highest and lowest coordinates that pictures show. */
export const SPAN = 6;

/**
 * A network that is being trained.
 *
 * Each has an engine of its own, whose memory goes with it: nothing is left behind when the layers change.
 */
export class Net {
  /**
   * @param {Engine} engine
   * @param {object} facts
   * @param {object} spec sizes, activation, loss, optimizer, l1, l2, dropout, batch, rate, seed, init, features
   * @param {number[][]} train points [x1, x2, y]
   * @param {number[][]} test
   */
  constructor(engine, facts, spec, train, test) {
    Object.assign(this, { engine, facts, spec, train, test });
    this.places = new Places((bytes) => engine.alloc(bytes));
    this.rows = train.length;
    this.batch = Math.min(spec.batch, this.rows);
    this.flat = flatOf(spec.sizes);
    const scratch = (m, n, k, ta, tb) => engine.c.pn_gemm_scratch(m, n, k, ta, tb);
    const steps = [this.batch, this.rows % this.batch].filter((n) => n > 0);
    this.steps = steps.map((rows) => stepOf(spec, facts, rows, this.places, scratch));
    const passes = { grid: GRID * GRID, train: this.rows, test: test.length, one: 1 };
    const plans = Object.entries(passes).filter(([, n]) => n)
      .map(([name, n]) => [name, passOf(spec, facts, n, `${name}.`, this.places, scratch)]);
    this.trains = this.steps.map((step) => new Program(engine, step, 0));
    this.passes = Object.fromEntries(plans.map(([name, plan]) => [name, new Program(engine, plan, 0)]));
    this.#bind();
    this.values("one")[0] = 1;
    this.#fill("grid", this.#gridPoints());
    this.#fill("train", train);
    if (test.length) this.#fill("test", test);
    this.reset();
  }

  #bind() {
    const { engine, rows, spec } = this, inputs = spec.sizes[0];
    const memory = { x: 4 * rows * inputs, y: 4 * rows, order: 8 * rows, cursor: 8, offset: 8, rate: 8 * RATES, sums: 16, losses: 8 * RATES, hits: 16 };
    this.slots = {};
    for (const [name, bytes] of Object.entries(memory)) {
      this.slots[name] = engine.alloc(bytes);
      for (const program of this.trains) program.bind(name, this.slots[name], bytes);
    }
    engine.f32(this.slots.x, rows * inputs).set(this.train.flatMap((p) => this.inputs(p)));
    engine.f32(this.slots.y, rows).set(this.train.map((p) => p[2]));
  }

  /** Let the grid reach from -span to span. */
  zoom(span) { this.#fill("grid", this.#gridPoints(span)); }

  #gridPoints(span = SPAN) {
    const at = (i) => span * ((2 * i) / (GRID - 1) - 1);
    return Array.from({ length: GRID * GRID }, (_, i) => [at(i % GRID), -at(Math.floor(i / GRID))]);
  }

  #fill(pass, points) { this.values(`${pass}.x`).set(points.flatMap((p) => this.inputs(p))); }

  /** Return the inputs of a point: the features that are chosen. */
  inputs(point) { return this.spec.features.map((name) => FEATURES[name](point[0], point[1])); }

  /** Return a view of a tensor by name, such as z1, dz2 or grid.a1. */
  values(name) {
    if (!this.places.all[name]) return null;
    const { at, count } = this.places.all[name];
    return this.engine.f32(at, count);
  }

  /** Return a view of a parameter, or of its place in another flat buffer. */
  parameter(name, buffer = "weights") {
    const p = this.flat.parameters.find((one) => one.name === name);
    return this.engine.f32(this.places.all[buffer].at + 4 * p.at, p.count);
  }

  /** Begin anew, with weights that the seed gives or with these. */
  reset(weights = null) {
    const draw = uniform(this.spec.seed + 1000);
    for (const p of this.flat.parameters) {
      const view = this.parameter(p.name);
      if (weights && weights[p.name]?.length === p.count) view.set(weights[p.name]);
      else if (p.kind === "bias") view.fill(0);
      else INITS[this.spec.init](view, p.shape[0], p.shape[1], draw);
    }
    this.restart();
  }

  /** Take the weights as they are for the first ones: the optimizer has seen nothing yet. */
  restart() {
    const { engine, places } = this, rule = this.facts.optimizers[this.spec.optimizer];
    for (let i = 0; i < rule.slots; i++) this.values(`slot${i}`).fill(rule.first[i]);
    if (places.all.number) engine.f64(places.all.number.at, places.all.number.count).fill(rule.number);
    engine.i64(places.all.counts.at, places.all.counts.count).fill(0n);
    engine.i64(places.all.step.at, 1)[0] = 0n;
    if (places.all.seed) engine.i64(places.all.seed.at, 1)[0] = BigInt(this.spec.seed); // of dropout
    this.first = this.weights();
    this.epoch = 0;
    this.done = 0; // batches of this epoch
    this.history = { train: [], test: [] };
  }

  /** Return all weights by name. */
  weights() {
    return Object.fromEntries(this.flat.parameters.map((p) => [p.name, Array.from(this.parameter(p.name))]));
  }

  get batches() { return Math.ceil(this.rows / this.batch); }

  /** Make `count` steps, at most to the end of the epoch; returns how many were made. */
  #some(count) {
    const { engine, slots } = this, whole = Math.floor(this.rows / this.batch);
    if (this.done === 0) {
      const order_ = order(this.spec.seed, this.epoch, this.rows);
      engine.i64(slots.order, this.rows).set(order_.map(BigInt));
      engine.i64(slots.offset, 1)[0] = 0n;
      engine.f64(slots.sums, 2).fill(0);
    }
    engine.f64(slots.rate, RATES).fill(this.spec.rate);
    engine.i64(slots.cursor, 1)[0] = 0n;
    const tail = this.done >= whole, n = tail ? 1 : Math.min(count, whole - this.done, RATES);
    this.trains[tail ? 1 : 0].run(n);
    this.done += n;
    this.lastRows = tail ? this.rows % this.batch : this.batch;
    if (this.done === this.batches) {
      this.done = 0;
      this.epoch++;
    }
    return n;
  }

  /** Make so many steps. A loss that is not finite ends them with an error. */
  step(count = 1) { for (let left = count; left > 0;) left -= this.#some(left); }

  /** Go on to the end of so many epochs. */
  run(epochs = 1) { for (let left = epochs; left > 0; left--) this.step(this.batches - this.done); }

  /** Compute the outputs of a set ("grid", "train", "test"); returns the view of what the last layer gives, z. */
  pass(name) {
    this.passes[name].run();
    return this.values(`${name}.z${this.spec.sizes.length - 1}`);
  }

  /** Return {loss, accuracy} on a set; accuracy is null in a regression. */
  measure(name) {
    const points = this[name], kind = this.spec.loss;
    if (!points.length) return { loss: NaN, accuracy: null };
    const z = this.pass(name);
    let loss = 0, right = 0;
    points.forEach(([, , y], i) => {
      const e = z[i] - y;
      if (kind === "binary_crossentropy") loss += Math.max(z[i], 0) - z[i] * y + Math.log1p(Math.exp(-Math.abs(z[i])));
      else loss += kind === "mean_absolute_error" ? Math.abs(e) : e * e;
      right += z[i] > (kind === "binary_crossentropy" ? 0 : 0.5) ? y > 0.5 : y <= 0.5;
    });
    return { loss: loss / points.length, accuracy: this.spec.regression ? null : right / points.length };
  }

  /** Note the losses, for the curves. */
  note() {
    const { history } = this;
    const train = this.measure("train"), test = this.measure("test");
    history.train.push([this.epoch, train.loss]);
    history.test.push([this.epoch, test.loss]);
    if (history.train.length > 600) for (const key of ["train", "test"]) history[key] = history[key].filter((_, i) => i % 2 === 0);
    return { train, test };
  }

  /**
   * Return all numbers of backpropagation for one point: per layer {z, a, delta, dW, db}, after a forward and a backward pass
   * that leave the weights as they are.
   */
  trace(point) {
    const { engine, spec } = this, scratch = (m, n, k, ta, tb) => engine.c.pn_gemm_scratch(m, n, k, ta, tb);
    if (!this.tracer) {
      this.traced = new Places((bytes) => engine.alloc(bytes));
      for (const name of ["weights", "one"]) this.traced.all[name] = this.places.all[name];
      const step = stepOf({ ...spec, dropout: 0 }, this.facts, 1, this.traced, scratch);
      const cut = step.instrs.findIndex((one) => one.kernel === this.facts.optimizers[spec.optimizer].kernel);
      const kept = step.instrs.slice(2, cut).filter((one) => one.kernel !== "log_loss" && !one.kernel.startsWith("penalty"));
      this.tracer = new Program(engine, { slots: [], arena: 0, instrs: kept }, 0);
    }
    const view = (name) => engine.f32(this.traced.all[name].at, this.traced.all[name].count);
    view("x").set(this.inputs(point));
    view("y")[0] = point[2] ?? 0;
    this.tracer.run();
    const last = spec.sizes.length - 1;
    return spec.sizes.slice(1).map((n, i) => {
      const l = i + 1, at = (kind) => {
        const p = this.flat.parameters.find((one) => one.name === kind + l);
        return Array.from(engine.f32(this.traced.all.gradients.at + 4 * p.at, p.count));
      };
      const plain = l === last || spec.activation === "linear";
      const z = Array.from(view(`z${l}`)), delta = view(plain && l < last ? `da${l}` : `dz${l}`);
      const out = l === last && spec.loss === "binary_crossentropy" ? z.map((v) => 1 / (1 + Math.exp(-v))) : z;
      return { z, a: plain ? out : Array.from(view(`a${l}`)), delta: Array.from(delta), dW: at("kernel"), db: at("bias") };
    });
  }
}
