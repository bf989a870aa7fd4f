// Data sets of two numbers and a target, the same for a seed.

/** Return a generator of numbers in [0, 1). */
export function uniform(seed) {
  const next = splitmix(seeded([seed, 77]));
  return () => (next() * 2 ** 21 + (next.lower() >>> 11)) / 2 ** 53;
}

/** Return a generator of standard normal numbers (Box and Muller 1958). */
export function normal(draw) {
  return () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
}

const short = (value) => Math.round(value * 1000) / 1000; // so that a script can hold them

/** By name: whether it is a regression, and the i-th of n points as [x1, x2, y], from numbers in [0, 1). */
export const SETS = {
  circle: { make: (i, n, draw) => {
    const inside = i < n / 2, r = inside ? 2.4 * Math.sqrt(draw()) : 3.5 + 1.5 * draw(), turn = 2 * Math.PI * draw();
    return [r * Math.sin(turn), r * Math.cos(turn), inside ? 1 : 0];
  } },
  xor: { make: (i, n, draw) => {
    const side = () => (v => v + Math.sign(v) * 0.3)(10 * draw() - 5), a = side(), b = side();
    return [a, b, a * b < 0 ? 1 : 0];
  } },
  gauss: { make: (i, n, draw) => {
    const z = normal(draw), up = i < n / 2;
    return [z() + (up ? 2 : -2), z() + (up ? 2 : -2), up ? 1 : 0];
  } },
  spiral: { make: (i, n, draw) => {
    const half = i < n / 2, t = (i % (n / 2)) / (n / 2), turn = 3.5 * Math.PI * t + (half ? 0 : Math.PI);
    return [5 * t * Math.sin(turn), 5 * t * Math.cos(turn), half ? 1 : 0];
  } },
  moons: { make: (i, n, draw) => {
    const up = i < n / 2, turn = Math.PI * draw();
    return up ? [3 * Math.cos(turn) - 1.5, 3 * Math.sin(turn) - 0.8, 1] : [1.5 - 3 * Math.cos(turn), 0.8 - 3 * Math.sin(turn), 0];
  } },
  corners: { make: (i, n, draw) => {
    const a = i & 1, b = (i >> 1) & 1;
    return [a, b, a === b ? 1 : 0];
  }, exact: true },
  plane: { regression: true, make: (i, n, draw) => {
    const a = 10 * draw() - 5, b = 10 * draw() - 5;
    return [a, b, (a + b) / 10];
  } },
  hills: { regression: true, make: (i, n, draw) => {
    const a = 10 * draw() - 5, b = 10 * draw() - 5, hill = (u, v) => Math.exp(-((a - u) ** 2 + (b - v) ** 2) / 6);
    return [a, b, hill(2.5, 2.5) + hill(-2.5, -2.5) - hill(2.5, -2.5) - hill(-2.5, 2.5)];
  } },
};

/** Inputs that can be made of a point: name -> function. */
export const FEATURES = {
  "x1": (a) => a, "x2": (a, b) => b, "x1²": (a) => a * a, "x2²": (a, b) => b * b, "x1x2": (a, b) => a * b,
  "sin x1": (a) => Math.sin(a), "sin x2": (a, b) => Math.sin(b),
};

/** Return points [x1, x2, y]; noise moves points, or targets of a regression. */
export function points(name, n, noise, seed) {
  const set = SETS[name], draw = uniform(seed), z = normal(draw), made = [];
  for (let i = 0; i < n; i++) {
    let [a, b, y] = set.make(i, n, draw);
    if (noise && set.regression) y += (noise / 2) * z();
    else if (noise) [a, b] = [a + 2 * noise * z(), b + 2 * noise * z()];
    made.push(set.exact ? [a, b, y] : [short(a), short(b), short(y)]);
  }
  const next = uniform(seed + 1);
  for (let i = made.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [made[i], made[j]] = [made[j], made[i]];
  }
  return made;
}

/**
 * Read points from CSV: two columns and a target. Returns {points, regression, said}.
 * @throws {Error} naming the line that cannot be read
 */
export function pointsOfCsv(text, most = 2000) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const cells = lines.map((line) => line.split(/[,;\t]/).map((cell) => cell.trim()));
  const numbers = (row) => row.slice(0, 2).every((cell) => cell !== "" && isFinite(cell));
  const first = cells.length && !numbers(cells[0]) ? 1 : 0; // a line of names
  const rows = cells.slice(first), classes = new Map();
  rows.forEach((row, i) => {
    if (row.length < 3 || !numbers(row))
      throw new Error(`CSV, ${i + first + 1}: x1,x2,y. ${lines[i + first].slice(0, 60)}`);
  });
  if (rows.length < 4) throw new Error(`CSV: x1,x2,y. ${rows.length}`);
  for (const row of rows) if (!classes.has(row[2])) classes.set(row[2], classes.size);
  const regression = classes.size > 2 && rows.every((row) => isFinite(row[2]));
  if (classes.size > 2 && !regression) throw new Error(`CSV: y ∈ {2 classes, numbers}. ${classes.size}`);
  const names = [...classes.keys()].sort();
  const draw = uniform(1), share = most / rows.length;
  const kept = share < 1 ? rows.filter(() => draw() < share) : rows;
  return {
    points: kept.map((row) => [Number(row[0]), Number(row[1]), regression ? Number(row[2]) : names.indexOf(row[2])]),
    regression, rows: rows.length, kept: kept.length,
  };
}
