// A model that Python exported: predictions, and training where its step came along.

import { Engine, Program, fromBase64 } from "./engine.js";
import { order } from "./seeds.js";

const FORMAT = 1;
const STEPS_PER_CALL = 256;
const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int64: BigInt64Array };

const product = (shape) => shape.reduce((a, b) => a * b, 1);

/** Return memory with these numbers: {at, bytes}. It is taken again where there is room. */
function placed(engine, held, values, dtype) {
  const Kind = ARRAYS[dtype], bytes = values.length * Kind.BYTES_PER_ELEMENT;
  const room = held && held.room >= bytes ? held : { at: engine.alloc(bytes), room: bytes };
  const view = new Kind(engine.memory.buffer, room.at, values.length);
  for (let i = 0; i < values.length; i++) view[i] = dtype === "int64" ? BigInt(values[i]) : values[i];
  return { ...room, bytes };
}

/** A model in a page. Numbers go in and come out row by row, images as [height, width, channels]. */
export class Model {
  constructor(engine, data) {
    if (data.format !== FORMAT)
      throw new Error(`[pynn] expected a model of format ${FORMAT}. Received: ${data.format}. Help: export it again.`);
    this.engine = engine;
    this.data = data;
    this.state = engine.alloc(data.state_bytes);
    engine.u8(this.state, data.state_bytes).set(fromBase64(data.state));
    this.predicts = new Program(engine, data.programs.predict, this.state);
    this.trains = data.programs.train ? new Program(engine, data.programs.train, this.state) : null;
    this.held = {};
    this.epochs = 0;
    this.rate = data.rate;
    if (this.trains) this.#ledger();
  }

  #ledger() {
    const sizes = { cursor: 8, offset: 8, rate: 8 * STEPS_PER_CALL, sums: 16, losses: 8 * STEPS_PER_CALL, hits: 16 };
    this.ledger = {};
    for (const [name, bytes] of Object.entries(sizes)) {
      this.ledger[name] = this.engine.alloc(bytes);
      this.trains.bind(name, this.ledger[name], bytes);
    }
  }

  #view(one) {
    return new ARRAYS[one.dtype](this.engine.memory.buffer, this.state + one.offset, product(one.shape));
  }

  #bind(program, slot, values, dtype) {
    const held = (this.held[slot] = placed(this.engine, this.held[slot], values, dtype));
    program.bind(slot, held.at, held.bytes);
  }

  /** Whether every bit is that of Python on a machine with fused multiply-adds. */
  get exact() { return this.engine.fused; }

  /** Names and shapes of what is kept of a prediction: the output of each layer. */
  get layers() { return this.data.layers.map(({ name, shape }) => ({ name, shape: shape.slice(1) })); }

  /** Return the output for one sample, or for several one after the other. */
  predict(x) {
    const size = product(this.data.input.shape), width = product(this.data.output.shape);
    if (!x.length || x.length % size)
      throw new Error(`[predict] expected rows of ${size} numbers. Received: ${x.length} numbers.`);
    const found = new Float32Array((x.length / size) * width);
    for (let row = 0; row * size < x.length; row++) {
      this.#bind(this.predicts, "x", x.slice(row * size, (row + 1) * size), this.data.input.dtype);
      this.predicts.run();
      found.set(this.#view(this.data.output), row * width);
    }
    return found;
  }

  /** Return what the i-th layer gave for the last sample. */
  layer(i) { return this.#view(this.data.layers[i]).slice(); }

  /** Return the weights by name: {shape, values}. */
  weights() {
    return Object.fromEntries(this.data.weights.map((w) => [w.name, { shape: w.shape, values: this.#view(w).slice() }]));
  }

  /** Set a weight. */
  setWeight(name, values) {
    const found = this.data.weights.find((w) => w.name === name);
    if (!found || product(found.shape) !== values.length)
      throw new Error(`[pynn] expected a weight and as many numbers as it has. Received: ${name}, ${values.length}.`);
    this.#view(found).set(values);
  }

  /**
   * Train as Python's fit() does, on whole batches: rows beyond the last whole batch wait for another order.
   * @param {ArrayLike<number>} x samples
   * @param {ArrayLike<number>} y targets
   * @param {{epochs?: number, shuffle?: boolean, rate?: number, onEpoch?: function}} options
   * @returns {{loss: number[], accuracy: number[]}} of each epoch
   */
  fit(x, y, { epochs = 1, shuffle = true, rate = this.rate, onEpoch = null } = {}) {
    if (!this.trains) throw new Error("[fit] expected a model with its step. Help: pynn export MODEL --to web --train.");
    const { data, engine, ledger } = this, n = data.batch_size;
    const rows = x.length / product(data.input.shape), targets = y.length / product(data.target.shape);
    if (rows !== targets || !Number.isInteger(rows) || rows < n)
      throw new Error(`[fit] expected as many targets as samples, at least ${n}. Received: ${rows} and ${targets}.`);
    this.#bind(this.trains, "x", x, data.input.dtype);
    this.#bind(this.trains, "y", y, data.target.dtype);
    engine.f64(ledger.rate, STEPS_PER_CALL).fill(rate);
    const history = { loss: [], accuracy: [] };
    for (let epoch = 0; epoch < epochs; epoch++) {
      this.#bind(this.trains, "order", order(data.seed, this.epochs++, rows, shuffle), "int64");
      engine.f64(ledger.sums, 2).fill(0);
      engine.f64(ledger.hits, 2).fill(0);
      engine.i64(ledger.offset, 1)[0] = 0n;
      for (let left = Math.floor(rows / n); left > 0; left -= STEPS_PER_CALL) {
        engine.i64(ledger.cursor, 1)[0] = 0n;
        this.trains.run(Math.min(left, STEPS_PER_CALL));
      }
      const [loss, count] = engine.f64(ledger.sums, 2), [right, all] = engine.f64(ledger.hits, 2);
      history.loss.push(loss / count);
      history.accuracy.push(all ? right / all : NaN);
      if (onEpoch) onEpoch(epoch, loss / count);
    }
    return history;
  }
}

/** Return a model; without arguments the one that this file holds. */
export async function load(data = BUNDLE.model, modules = BUNDLE.engine) {
  return new Model(await Engine.start(modules), data);
}
