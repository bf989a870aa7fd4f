// The kernels of pynn as WebAssembly, and programs that Python recorded as data.

const PARTS = ["size", "fn", "arg", "dim", "par", "scratch", "scratch_bytes", "nth", "salt", "ops"];
const F32 = 0;
const ARENA = 0, STATE = 1, SLOT = 2;
const ALIGN = 64;
/** Kernels' answers (csrc/pn.h). */
const STATUS = ["", "a value that must be finite is NaN or infinite", "an index lies outside its table"];

/** Return the bytes of a text in base64. */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** Return what gzip made smaller. */
async function unzipped(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * An instance of the kernels, with its memory.
 *
 * Memory only grows; what is allocated stays as long as the engine. A view of memory is good until the next allocation.
 */
export class Engine {
  /**
   * Return an engine, with fused multiply-adds where the browser has them.
   * @param {string[]} modules in base64 of gzip: with relaxed SIMD, and without
   * @returns {Promise<Engine>}
   */
  static async start(modules) {
    if (typeof WebAssembly !== "object") throw new Error("[pynn] this browser has no WebAssembly.");
    for (const text of modules) {
      const bytes = await unzipped(fromBase64(text));
      if (!WebAssembly.validate(bytes)) continue; // an instruction that this browser lacks
      const { instance } = await WebAssembly.instantiate(bytes, {});
      return new Engine(instance);
    }
    throw new Error("[pynn] this browser's WebAssembly has no SIMD. Help: any browser since 2023 has.");
  }

  constructor(instance) {
    this.c = instance.exports;
    this.memory = this.c.memory;
    this.top = this.c.__heap_base.value;
    this.at = Object.fromEntries(PARTS.map((name, i) => [name, this.c.pn_layout(i)]));
    /** Whether multiply-adds round once, as Python's do: then all bits are those of Python. */
    this.fused = this.c.pn_fused() === 1;
    this.kernels = new Map();
    this.text = this.alloc(64);
  }

  /** Return the address of so many bytes of zeros. */
  alloc(bytes) {
    const place = Math.ceil(this.top / ALIGN) * ALIGN;
    this.top = place + Math.max(bytes, 1);
    const missing = this.top + 65536 - this.memory.buffer.byteLength; // kernels may read a little further
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    return place;
  }

  f32(at, length) { return new Float32Array(this.memory.buffer, at, length); }
  f64(at, length) { return new Float64Array(this.memory.buffer, at, length); }
  i32(at, length) { return new Int32Array(this.memory.buffer, at, length); }
  i64(at, length) { return new BigInt64Array(this.memory.buffer, at, length); }
  u8(at, length) { return new Uint8Array(this.memory.buffer, at, length); }

  /** Return the number of a kernel; names and dtypes are those of Python. */
  kernel(name, dtype) {
    const key = `${name} ${dtype}`;
    if (!this.kernels.has(key)) {
      const bytes = this.u8(this.text, 64);
      bytes.fill(0);
      for (let i = 0; i < Math.min(name.length, 63); i++) bytes[i] = name.charCodeAt(i);
      const found = this.c.pn_kernel(this.text, dtype);
      if (!found) throw new Error(`[pynn] expected a kernel of this engine. Received: ${key}.`);
      this.kernels.set(key, found);
    }
    return this.kernels.get(key);
  }
}

/**
 * A recorded program: instructions laid out in memory, whose operands point at the arena, the state and what is bound.
 *
 * @property {string[]} slots names of what is bound by `bind`
 */
export class Program {
  /**
   * @param {Engine} engine
   * @param {object} data slots, arena (bytes) and instrs, as pynn.export.as_data writes them
   * @param {number} state address of the state that programs share
   */
  constructor(engine, data, state) {
    this.engine = engine;
    this.data = data;
    this.slots = data.slots;
    this.arena = data.arena ? engine.alloc(data.arena) : 0; // without one, all places are addresses
    const { at } = engine;
    this.code = engine.alloc(at.size * data.instrs.length);
    this.where = engine.alloc(8);
    this.bound = [];
    const inputs = data.slots.map(() => []);
    const ops = engine.c.pn_ops(), kernels = data.instrs.map((one) => engine.kernel(one.kernel, one.dtype));
    const view = new DataView(engine.memory.buffer);
    data.instrs.forEach((one, i) => {
      const base = this.code + i * at.size;
      view.setUint32(base + at.fn, kernels[i], true);
      one.args.forEach((arg, k) => {
        if (!arg) return;
        const [place, offset] = arg;
        const from = place === ARENA ? this.arena : place === STATE ? state : 0;
        view.setUint32(base + at.arg + 4 * k, from + offset, true);
        const extent = (one.extents || []).find(([operand]) => operand === k);
        if (place >= SLOT) inputs[place - SLOT].push([base, k, offset, extent ? extent[1] : -1]);
      });
      (one.dims || []).forEach((d, k) => view.setBigInt64(base + at.dim + 8 * k, BigInt(d), true));
      (one.pars || []).forEach((p, k) => view.setFloat64(base + at.par + 8 * k, p, true));
      if (one.scratch) {
        view.setUint32(base + at.scratch, this.arena + one.scratch[0], true);
        view.setBigInt64(base + at.scratch_bytes, BigInt(one.scratch[1]), true);
      }
      view.setInt32(base + at.nth, 1, true);
      view.setUint32(base + at.salt, one.salt || 0, true);
      if (one.dtype === F32) view.setUint32(base + at.ops, ops, true);
    });
    this.inputs = inputs;
  }

  /** Point a slot at memory: an address, and the bytes that are there. */
  bind(name, address, bytes) {
    const slot = this.slots.indexOf(name);
    if (slot < 0) throw new Error(`[pynn] expected a slot of ${this.slots.join(", ")}. Received: ${name}.`);
    const { at, memory } = this.engine, view = new DataView(memory.buffer);
    for (const [base, operand, offset, dim] of this.inputs[slot]) {
      view.setUint32(base + at.arg + 4 * operand, address + offset, true);
      if (dim >= 0) view.setBigInt64(base + at.dim + 8 * dim, BigInt(bytes - offset), true);
    }
    this.bound[slot] = true;
  }

  /** Run all instructions, `times` times over. */
  run(times = 1) {
    const missing = this.slots.filter((_, s) => this.inputs[s].length && !this.bound[s]);
    if (missing.length) throw new Error(`[pynn] a run needs all its inputs. Received: no ${missing.join(", ")}.`);
    const status = this.engine.c.pn_run(this.code, this.data.instrs.length, times, this.where);
    if (status) {
      const one = this.data.instrs[Number(this.engine.i64(this.where, 1)[0])];
      throw new Error(`[${one.kernel}] ${STATUS[status] || `status ${status}`}.`);
    }
  }
}
