// The order of samples in each epoch, as Python's fit() shuffles them.

const U32 = 0xffffffffn, U64 = 0xffffffffffffffffn;

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

/** Return a generator of 64-bit numbers: splitmix64 (Steele, Lea, Flood 2014). */
export function splitmix(seed) {
  let state = BigInt.asUintN(64, seed);
  return () => {
    state = (state + 0x9e3779b97f4a7c15n) & U64;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & U64;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & U64;
    return z ^ (z >> 31n);
  };
}

/** Return the order of the n samples of an epoch (counted from 0), as whole numbers. */
export function order(seed, epoch, n, shuffle = true) {
  const found = Array.from({ length: n }, (_, i) => i);
  if (!shuffle) return found;
  const next = splitmix(seeded([Math.abs(seed), epoch, seed < 0 ? 1 : 0]));
  for (let i = 0; i < n - 1; i++) {
    const j = i + Number(((next() >> 32n) * BigInt(n - i)) >> 32n);
    [found[i], found[j]] = [found[j], found[i]];
  }
  return found;
}
