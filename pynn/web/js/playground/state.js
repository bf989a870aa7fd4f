// The settings of a playground: defaults, examples, and the address that holds them.

export const VERSION = 1;

export const DEFAULTS = {
  set: "circle", noise: 0, samples: 200, share: 0.5, features: ["x1", "x2"], layers: [4], activation: "tanh",
  loss: "binary_crossentropy", optimizer: "sgd", rate: 0.1, batch: 10, l1: 0, l2: 0, dropout: 0, seed: 1, init: "glorot",
};

/** Examples: settings beside the defaults, weights that are set by hand, and what they come to. Of reaches, for the
 * points for training: accuracy is the least and below is not reached, loss is the most and stays the least; dead, units. */
// What is shown on pages of its own: `pynn playground --page NAME`.
export const ELSEWHERE = ["descent", "convolution", "letters", "words"];

export const PRESETS = {
  start: { spec: {}, reaches: { epochs: 100, accuracy: 0.95 } },
  xnor: {
    spec: { set: "corners", samples: 4, share: 1, layers: [2], activation: "sigmoid", batch: 4, rate: 0.5 },
    weights: { kernel1: [20, -20, 20, -20], bias1: [-30, 10], kernel2: [20, 20], bias2: [-10] },
    reaches: { epochs: 1, accuracy: 1 },
  },
  lines: { spec: { set: "moons", layers: [1], rate: 0.1 }, reaches: { epochs: 50, accuracy: 0.75, below: 1 } },
  vanishing: {
    spec: { set: "circle", layers: [6, 6, 6, 6, 6], activation: "sigmoid", rate: 0.1 }, reaches: { epochs: 20, stays: 0.6 },
  },
  overfit: {
    spec: { set: "gauss", noise: 0.5, samples: 60, layers: [16, 16], optimizer: "adam", rate: 0.02, batch: 5 },
    reaches: { epochs: 300, accuracy: 0.95 },
  },
  dead: { spec: { layers: [6, 6], activation: "relu", init: "large", rate: 1 }, reaches: { epochs: 5, dead: 1 } },
  badinit: { spec: { init: "zeros", layers: [4, 4] }, reaches: { epochs: 50, stays: 0.6 } },
  spiral: {
    spec: { set: "spiral", samples: 400, layers: [16, 16], optimizer: "adam", rate: 0.01, share: 0.8 },
    reaches: { epochs: 200, accuracy: 0.95 },
  },
  hills: {
    spec: { set: "hills", samples: 400, layers: [12, 8], optimizer: "adam", rate: 0.02, loss: "mean_squared_error" },
    reaches: { epochs: 100, loss: 0.02 },
  },
};

const MOST_LAYERS = 8, MOST_UNITS = 64;

/** Return settings within their bounds: what is not known becomes the default. */
export function checked(given, facts) {
  const spec = { ...DEFAULTS }, number = (key, low, high) => {
    const value = Number(given[key]);
    if (given[key] !== undefined && given[key] !== "" && isFinite(value)) spec[key] = Math.min(high, Math.max(low, value));
  };
  for (const key of Object.keys(SETS)) if (given.set === key) spec.set = key;
  if (given.set === "own") spec.set = "own";
  for (const [key, table] of [["activation", facts.activations], ["loss", facts.losses], ["optimizer", facts.optimizers], ["init", INITS]])
    if (Object.hasOwn(table, given[key])) spec[key] = given[key];
  if (Array.isArray(given.features)) spec.features = Object.keys(FEATURES).filter((name) => given.features.includes(name));
  if (!spec.features.length) spec.features = [...DEFAULTS.features];
  if (Array.isArray(given.layers))
    spec.layers = given.layers.map(Number).filter((n) => n >= 1).map((n) => Math.min(MOST_UNITS, Math.floor(n))).slice(0, MOST_LAYERS);
  number("noise", 0, 1); number("samples", 4, 2000); number("share", 0.1, 1); number("rate", 1e-6, 100); number("batch", 1, 2000);
  number("l1", 0, 1); number("l2", 0, 1); number("dropout", 0, 0.9); number("seed", 0, 2 ** 31);
  for (const key of ["samples", "batch", "seed"]) spec[key] = Math.round(spec[key]);
  return spec;
}

/** Return the address's end that holds settings, and weights where they were set by hand. */
export function toHash(spec, weights) {
  const parts = [`v=${VERSION}`];
  for (const [key, value] of Object.entries(spec))
    if (JSON.stringify(value) !== JSON.stringify(DEFAULTS[key]) && key in DEFAULTS)
      parts.push(`${key}=${encodeURIComponent(Array.isArray(value) ? value.join(",") : value)}`);
  if (weights) parts.push(`w=${encodeURIComponent(JSON.stringify(weights))}`);
  return `#${parts.join("&")}`;
}

/** Return {given, weights, other} of an address's end; other says that it is of another version. */
export function fromHash(hash) {
  const pairs = new URLSearchParams(hash.replace(/^#/, "")), given = {};
  let weights = null;
  for (const [key, value] of pairs)
    if (key in DEFAULTS) given[key] = Array.isArray(DEFAULTS[key]) ? value.split(",").filter((part) => part !== "") : value;
  try {
    weights = pairs.has("w") ? JSON.parse(pairs.get("w")) : null;
  } catch {
    weights = null;
  }
  return { given, weights, other: pairs.has("v") && Number(pairs.get("v")) !== VERSION };
}
