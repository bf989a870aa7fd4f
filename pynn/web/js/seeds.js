// The order of samples in each epoch, as Python's fit() shuffles them.

const U32 = 0xffffffffn;

/** Return a number that seeds a generator: NumPy's SeedSequence of whole numbers below 2 ** 53, its first 64 bits. */
export function seeded(numbers) {
  const words = [];
  for (const number of numbers) {
    let left = BigInt(number);
    do {
      words.push(Number(left & U32));
      left >>= 32n;
    } while (left);
  }
  let constant = 0x43b0d7e5;
  const hashed = (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mixed = (x, y) => {
    const z = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) >>> 0;
    return (z ^ (z >>> 16)) >>> 0;
  };
  const pool = [0, 1, 2, 3].map((i) => hashed(words[i] || 0));
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to], hashed(pool[from]));
  for (const word of words.slice(4)) for (let to = 0; to < 4; to++) pool[to] = mixed(pool[to], hashed(word));
  constant = 0x8b51f9dd;
  const out = [0, 1].map((i) => {
    let value = (pool[i] ^ constant) >>> 0;
    constant = Math.imul(constant, 0x58f38ded) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return BigInt((value ^ (value >>> 16)) >>> 0);
  });
  return out[0] | (out[1] << 32n);
}

/** Return the upper 32 bits of a product of two numbers of 32 bits. */
function upper(a, b) {
  const al = a & 0xffff, ah = a >>> 16, bl = b & 0xffff, bh = b >>> 16;
  const middle = ah * bl + ((al * bl) >>> 16), low = al * bh + (middle & 0xffff);
  return (ah * bh + (middle >>> 16) + (low >>> 16)) >>> 0;
}

/**
 * Return a generator of 64-bit numbers, splitmix64 (Steele, Lea, Flood 2014), in halves, as BigInt is slow: a call gives the upper
 * 32 bits of the next one, and lower() the others.
 */
export function splitmix(seed) {
  let high = Number((seed >> 32n) & U32), low = Number(seed & U32), last = 0;
  const next = () => {
    low = (low + 0x7f4a7c15) >>> 0;
    high = (high + 0x9e3779b9 + (low < 0x7f4a7c15 ? 1 : 0)) >>> 0;
    let l = (low ^ ((low >>> 30) | (high << 2))) >>> 0, h = (high ^ (high >>> 30)) >>> 0;
    h = (upper(l, 0x1ce4e5b9) + Math.imul(l, 0xbf58476d) + Math.imul(h, 0x1ce4e5b9)) >>> 0;
    l = Math.imul(l, 0x1ce4e5b9) >>> 0;
    l = (l ^ ((l >>> 27) | (h << 5))) >>> 0;
    h = (h ^ (h >>> 27)) >>> 0;
    h = (upper(l, 0x133111eb) + Math.imul(l, 0x94d049bb) + Math.imul(h, 0x133111eb)) >>> 0;
    l = Math.imul(l, 0x133111eb) >>> 0;
    last = (l ^ ((l >>> 31) | (h << 1))) >>> 0;
    return (h ^ (h >>> 31)) >>> 0;
  };
  next.lower = () => last;
  return next;
}

/** Return the order of the n samples of an epoch (counted from 0), as whole numbers. */
export function order(seed, epoch, n, shuffle = true) {
  const found = Array.from({ length: n }, (_, i) => i);
  if (!shuffle) return found;
  const next = splitmix(seeded([Math.abs(seed), epoch, seed < 0 ? 1 : 0]));
  for (let i = 0; i < n - 1; i++) {
    const z = next(), left = n - i; // floor(z left / 2 ** 32), by halves of z
    const j = i + Math.floor(((z >>> 16) * left + Math.floor(((z & 0xffff) * left) / 65536)) / 65536);
    const held = found[i];
    found[i] = found[j];
    found[j] = held;
  }
  return found;
}
