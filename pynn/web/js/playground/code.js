// The Python script that reaches the same weights, and tables of what the page computed.

const PYTHON_FEATURES = {
  "x1": "a", "x2": "b", "x1²": "a * a", "x2²": "b * b", "x1x2": "a * b", "sin x1": "np.sin(a)", "sin x2": "np.sin(b)",
};

/** Return a float32 number in as few digits as tell it from its neighbours. */
export function digits(value) {
  for (let n = 1; n < 9; n++) if (Math.fround(Number(value.toPrecision(n))) === value) return String(Number(value.toPrecision(n)));
  return String(Number(value.toPrecision(9)));
}

/** Return numbers in Python's brackets, broken into lines of about 100 characters. */
function list(numbers, text = digits) {
  const lines = [""];
  for (const part of numbers.map(text)) {
    if (lines.at(-1).length + part.length > 100) lines.push("");
    lines[lines.length - 1] += `${part}, `;
  }
  return `[\n    ${lines.map((line) => line.trim()).join("\n    ")}\n]`;
}

/** Return a script in Python that trains from the same first weights to those of now. */
export function scriptOf(net) {
  const { spec, facts } = net, last = spec.sizes.length - 1, exact = (v) => String(v);
  const penalty = spec.l1 || spec.l2 ? `, kernel_regularizer=pynn.regularizers.L1L2(${spec.l1}, ${spec.l2})` : "";
  const layers = [`nn.Input((${spec.features.length},))`];
  spec.sizes.slice(1).forEach((n, i) => {
    const hidden = i + 1 < last, act = hidden ? spec.activation : facts.losses[spec.loss].output;
    layers.push(`nn.Dense(${n}${act === "linear" ? "" : `, activation="${act}"`}${penalty})`);
    if (hidden && spec.dropout) layers.push(`nn.Dropout(${spec.dropout})`);
  });
  const weights = net.flat.parameters.map((p) => `np.array(${list(net.first[p.name])}, "float32").reshape(${p.shape.join(", ")}),`);
  return `import numpy as np
import pynn
from pynn import nn

points = np.array(${list(net.train.flat(), exact)}).reshape(-1, 3)
a, b = points[:, 0], points[:, 1]
x = np.stack([${spec.features.map((name) => PYTHON_FEATURES[name]).join(", ")}], 1).astype("float32")
y = points[:, 2].astype("float32")

model = nn.Sequential([
    ${layers.join(",\n    ")},
])
model.compile(pynn.optim.${facts.optimizers[spec.optimizer].python.replace("RATE", spec.rate)}, "${spec.loss}", seed=${spec.seed})
model.set_weights([
${weights.join("\n")}
])
model.fit(x, y, batch_size=${net.batch}, epochs=${Math.max(net.epoch, 1)}, verbose=0)  # ${net.done ? `and ${net.done} batches more in the page` : "all that the page made"}
for path, weight in model.named_parameters():
    print(path, weight.numpy().ravel().tolist())
`;
}

const text = (value) => (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e5) || value === 0 ? value.toFixed(4) : value.toExponential(2);

/** Return rows of [operation, numbers] of a backward pass, in the order in which they are computed. */
export function operations(net, point) {
  const trace = net.trace(point), last = trace.length, act = net.spec.activation, rows = [];
  rows.push([`x`, net.inputs(point)]);
  trace.forEach(({ z, a }, i) => {
    const l = i + 1, out = net.facts.losses[net.spec.loss].output;
    rows.push([`z${l} = ${l > 1 ? `a${l - 1}` : "x"} W${l} + b${l}`, z], [`a${l} = ${l < last ? act : out}(z${l})`, a]);
  });
  for (let l = last; l >= 1; l--) {
    const { delta, dW, db } = trace[l - 1];
    rows.push([l === last ? `δ${l} = ∂L/∂z${l}` : `δ${l} = (δ${l + 1} W${l + 1}ᵀ) ⊙ ${act}'(z${l})`, delta]);
    rows.push([`∂L/∂W${l} = ${l > 1 ? `a${l - 1}` : "x"}ᵀ δ${l}`, dW], [`∂L/∂b${l} = δ${l}`, db]);
  }
  return rows.map(([name, numbers]) => [name, Array.from(numbers, text)]);
}
