// The page: what its controls say, what runs, and what is drawn when.

const $ = (id) => document.getElementById(id);
const FRAME = 15, LEAST = 2, MOST_TRAINING = 10; // milliseconds of a frame, and of training in it beside the drawing

/** The playground. `pynn_playground` in the window is this object, for tests and for curious people. */
class App {
  constructor(facts, own, lang) {
    this.facts = facts;
    this.own = own; // {points, regression} that came with the page, or that were drawn or read
    this.lang = lang;
    this.playing = false;
    this.picked = null; // the weight that is edited: {name, index}
    this.speed = 0;
    this.drawing = 0; // milliseconds that a picture takes
    this.told = -Infinity; // when the notebook was told last
    this.errors = [];
  }

  get words() { return WORDS[this.lang]; }
  get presets() { return PRESETS; }

  /** Return the Python script that reaches the weights of now. */
  script() { return scriptOf(this.net); }

  /** Return the points of a table; see pointsOfCsv. */
  csv(text) { return pointsOfCsv(text); }

  async start() {
    this.fill();
    this.listen();
    this.say();
    const { given, weights, other } = fromHash(location.hash);
    if (this.own) given.set ??= "own";
    this.spec = checked(given, this.facts);
    if (this.spec.set === "own" && !this.own) this.spec.set = "circle";
    this.show();
    await this.make(weights);
    if (other) this.note(this.words.otherVersion);
    requestAnimationFrame(() => this.frame());
  }

  /** Fill the lists of choices. */
  fill() {
    const options = (id, names, text) => $(id).replaceChildren(...names.map((name) => new Option(text(name), name)));
    for (const key of ["activation", "loss", "optimizer"])
      options(key, Object.keys(this.facts[`${key === "loss" ? "losse" : key}s`]), (name) => name.replaceAll("_", " "));
    options("init", Object.keys(INITS), (name) => this.words.inits[name]);
    options("set", [...Object.keys(SETS), ...(this.own ? ["own"] : [])], (name) => this.words.sets[name]);
    options("preset", ["", ...Object.keys(PRESETS), ...ELSEWHERE], (name) => this.words.presets[name] ?? "–");
    $("features").replaceChildren(...Object.keys(FEATURES).map((name) => {
      const label = document.createElement("label"), box = document.createElement("input");
      Object.assign(box, { type: "checkbox", value: name });
      label.append(box, ` ${name}`);
      return label;
    }));
  }

  /** Put the texts of the language in. */
  say() {
    document.documentElement.lang = this.lang;
    document.title = this.words.title;
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = this.words[node.dataset.t];
    $("lang").textContent = this.lang === "es" ? "English" : "Español";
    $("lang").lang = this.lang === "es" ? "en" : "es";
    $("play").textContent = this.playing ? this.words.pause : this.words.play;
    for (const [id, key] of [["init", "inits"], ["set", "sets"], ["preset", "presets"]])
      for (const option of $(id).options) option.textContent = this.words[key][option.value] ?? "–";
    $("points").setAttribute("aria-label", `${this.words.output}. ${this.words.drawHelp}`);
    $("curves").setAttribute("aria-label", this.words.curves);
    $("drawing").parentElement.title = this.words.drawHelp;
  }

  note(text) { $("note").textContent = text; }

  /** Show the settings in the controls. */
  show() {
    for (const key of ["rate", "activation", "loss", "optimizer", "l1", "l2", "dropout", "init", "set", "noise", "samples", "share", "batch", "seed"])
      $(key).value = this.spec[key];
    $("layers").value = this.spec.layers.join(",");
    for (const box of $("features").querySelectorAll("input")) box.checked = this.spec.features.includes(box.value);
  }

  /** Take the settings from the controls. */
  take() {
    const given = { layers: $("layers").value.split(/[^0-9]+/).filter(Boolean) };
    for (const key of ["rate", "activation", "loss", "optimizer", "l1", "l2", "dropout", "init", "set", "noise", "samples", "share", "batch", "seed"])
      given[key] = $(key).value;
    given.features = [...$("features").querySelectorAll("input:checked")].map((box) => box.value);
    const asked = given.layers.length;
    this.spec = checked(given, this.facts);
    this.note(asked > this.spec.layers.length || given.layers.some((n) => n > 64) ? this.words.clamped : "");
    this.show();
  }

  /** Make the network of the settings, and its data. */
  async make(weights = null) {
    const made = (this.making = {}), { spec } = this;
    const engine = await Engine.start(BUNDLE.engine);
    if (this.making !== made) return; // another one is wanted already
    const all = spec.set === "own" ? this.own.points : points(spec.set, spec.samples, spec.noise, spec.seed);
    const cut = Math.max(1, Math.round(all.length * spec.share));
    const regression = spec.set === "own" ? this.own.regression : !!SETS[spec.set].regression;
    const loss = regression && spec.loss === "binary_crossentropy" ? "mean_squared_error" : spec.loss;
    const sizes = [spec.features.length, ...spec.layers, 1];
    this.net = new Net(engine, this.facts, { ...spec, loss, regression, sizes }, all.slice(0, cut), all.slice(cut));
    this.byHand = weights;
    if (weights) this.net.reset(weights);
    this.span = spec.set === "own" ? 1.1 * Math.max(...all.flatMap(([a, b]) => [Math.abs(a), Math.abs(b)]), 1e-6) : spec.set === "corners" ? 1.5 : SPAN;
    this.net.zoom(this.span);
    this.layout();
    this.address();
    this.net.note();
    this.stale = true;
  }

  address() {
    if (location.protocol === "about:") return; // the frame of a notebook has no address of its own
    history.replaceState(null, "", toHash(this.spec, this.byHand));
  }

  /** Use an example. */
  preset(name) {
    const { spec, weights } = PRESETS[name];
    this.pause();
    $("preset").value = name;
    this.spec = checked({ ...DEFAULTS, ...spec }, this.facts);
    this.show();
    this.note(this.words.notes[name]);
    return this.make(weights ?? null);
  }

  play() { this.playing = true; $("play").textContent = this.words.pause; }
  pause() { this.playing = false; $("play").textContent = this.words.play; }

  /** Train by a function of the network; a loss that is not finite ends it. */
  train(action) {
    try {
      action(this.net);
      this.stale = true;
    } catch (error) {
      if (!/finite/.test(error.message)) throw error;
      this.pause();
      this.note(this.words.diverged);
    }
  }

  frame() {
    if (this.playing && this.net) {
      const begin = performance.now(), share = Math.min(MOST_TRAINING, Math.max(LEAST, FRAME - this.drawing));
      let steps = 0;
      do {
        this.train((net) => { steps += net.batches; net.run(1); });
      } while (this.playing && performance.now() - begin < share);
      this.speed = 0.9 * this.speed + 0.1 * (steps / ((performance.now() - begin) / 1000 + 1e-6));
      this.net.note();
    }
    if (this.stale && this.net) {
      const begin = performance.now();
      this.draw();
      this.drawing = 0.9 * this.drawing + 0.1 * (performance.now() - begin);
      this.tell();
    }
    requestAnimationFrame(() => this.frame());
  }

  /** Tell the notebook that the page is in what has become of the network: at rest, and twice a second while it trains. */
  tell() {
    if (parent === window || (this.playing && performance.now() - this.told < 500)) return;
    this.told = performance.now();
    const { net } = this, parameters = net.flat.parameters.map(({ name, shape }) => ({ name, shape, values: Array.from(net.parameter(name)) }));
    const state = { pynn: "state", settings: { ...this.spec }, parameters, epoch: net.epoch, loss: net.measure("train").loss };
    parent.postMessage(this.playing ? state : { ...state, script: this.script() }, "*");
  }

  /** Lay out units and lines. */
  layout() {
    const { sizes } = this.net.spec, most = Math.max(...sizes), size = most > 10 ? 26 : 46, gap = most > 10 ? 8 : 20;
    const width = Math.max(70, Math.min(210, ($("net").clientWidth - size - 8) / Math.max(1, sizes.length - 1)));
    const at = (l, i) => [l * width + 2, i * (size + gap) + ((most - sizes[l]) * (size + gap)) / 2 + 2];
    $("net").style.height = `${most * (size + gap) + 6}px`;
    this.canvases = [];
    $("units").replaceChildren(...sizes.flatMap((n, l) => Array.from({ length: n }, (_, i) => {
      const node = document.createElement(l ? "button" : "span"), [x, y] = at(l, i);
      Object.assign(node.style, { left: `${x}px`, top: `${y}px`, width: `${size}px`, height: `${size}px` });
      if (!l) node.append(this.net.spec.features[i]);
      else {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = GRID;
        node.append(canvas);
        node.setAttribute("aria-label", `${this.words.layer} ${l}, ${this.words.unit} ${i + 1}: ${this.words.bias}`);
        node.onclick = () => this.pick(`bias${l}`, i);
        this.canvases.push({ canvas, l, i, n });
      }
      return node;
    })));
    const svg = $("lines"), line = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
    svg.setAttribute("width", width * (sizes.length - 1) + size + 8);
    svg.setAttribute("height", most * (size + gap) + 6);
    svg.replaceChildren();
    this.lines = [];
    sizes.slice(1).forEach((n, l) => {
      for (let i = 0; i < sizes[l]; i++)
        for (let j = 0; j < n; j++) {
          const [x0, y0] = at(l, i), [x1, y1] = at(l + 1, j), seen = line("line"), hit = line("line");
          for (const one of [seen, hit]) for (const [key, value] of Object.entries({ x1: x0 + size, y1: y0 + size / 2, x2: x1, y2: y1 + size / 2 })) one.setAttribute(key, value);
          const name = `kernel${l + 1}`, index = i * n + j;
          hit.setAttribute("class", "hit");
          hit.setAttribute("tabindex", sizes[l] * n > 80 ? -1 : 0);
          hit.setAttribute("role", "button");
          hit.onclick = () => this.pick(name, index);
          hit.onkeydown = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.pick(name, index); } };
          svg.append(seen, hit);
          this.lines.push({ seen, hit, name, index });
        }
    });
    this.picked = null;
    $("edit").hidden = true;
  }

  pick(name, index) {
    this.picked = { name, index };
    const p = this.net.flat.parameters.find((one) => one.name === name), n = p.shape.at(-1);
    $("which").textContent = p.kind === "bias" ? `b${p.layer}[${index + 1}]` : `W${p.layer}[${Math.floor(index / n) + 1}, ${(index % n) + 1}]`;
    $("value").value = $("slide").value = this.net.parameter(name)[index].toFixed(3);
    $("edit").hidden = false;
    $("value").focus();
  }

  /** Set the weight that is picked. Training begins anew from these weights. */
  edit(value) {
    if (!this.picked || !isFinite(value) || String(value).trim() === "") return;
    this.pause();
    this.net.parameter(this.picked.name)[this.picked.index] = Math.fround(value);
    this.net.restart();
    this.net.note();
    this.byHand = this.net.first;
    this.address();
    this.stale = true;
  }

  draw() {
    this.stale = false;
    lookAtTheme();
    const { net, facts } = this, { sizes } = net.spec, last = sizes.length - 1, out = net.pass("grid");
    const sigmoid = facts.losses[net.spec.loss].output === "sigmoid";
    const outcome = (i) => (sigmoid ? 2 / (1 + Math.exp(-out[i])) - 1 : net.spec.regression ? out[i] : 2 * out[i] - 1);
    const plain = net.spec.activation === "linear", centred = net.spec.activation === "sigmoid";
    for (const { canvas, l, i, n } of this.canvases) {
      if (l === last) { paintGrid(canvas, outcome); continue; }
      const a = net.values(`grid.${plain ? "z" : "a"}${l}`);
      paintGrid(canvas, centred ? (k) => 2 * a[k * n + i] - 1 : (k) => a[k * n + i]);
    }
    if ($("surface").width !== GRID) $("surface").width = $("surface").height = GRID;
    paintGrid($("surface"), outcome);
    paintPoints($("points"), this.span, net.train, net.test, net.spec.regression);
    if (!net.spec.regression) paintFrontier($("points"), GRID, outcome);
    for (const { seen, hit, name, index } of this.lines) {
      const w = net.parameter(name)[index];
      seen.setAttribute("stroke", colour(Math.sign(w) * (0.35 + 0.65 * Math.min(1, Math.abs(w)))));
      seen.setAttribute("stroke-width", (0.5 + 5 * Math.min(1, Math.abs(w) / 3)).toFixed(2));
      if (w < 0) seen.setAttribute("stroke-dasharray", "6 3"); else seen.removeAttribute("stroke-dasharray");
      hit.setAttribute("aria-label", `${name}[${index}] = ${w.toFixed(3)}`);
    }
    const train = net.measure("train"), test = net.measure("test"), percent = (v) => (v === null ? "" : `, ${this.words.accuracy} ${(100 * v).toFixed(1)} %`);
    const colours = isDark() ? ["#7db4ea", "#f0a050"] : ["#2166ac", "#b35806"];
    const scale = paintCurves($("curves"), [net.history.train, net.history.test], colours);
    $("losses").textContent = `${this.words.curves}${scale ? " (log)" : ""}: ${this.words.train} ${train.loss.toPrecision(4)}${percent(train.accuracy)}` +
      (net.test.length ? ` · ${this.words.test} ${test.loss.toPrecision(4)}${percent(test.accuracy)}` : "");
    $("epoch").textContent = `${this.words.epoch} ${net.epoch}${net.done ? ` + ${net.done}` : ""}${this.playing ? ` · ${Math.round(this.speed).toLocaleString(this.lang)} ${this.words.steps}` : ""}`;
    $("foot").textContent = `pynn ${BUNDLE.version} · WebAssembly SIMD · ${this.words[net.engine.fused ? "exact" : "close6"]}`;
    this.more();
  }

  /** Draw what is unfolded. */
  more() {
    const { net } = this;
    if ($("d-hist").open) this.histograms();
    if ($("d-back").open && !this.playing) this.backward();
    if ($("d-graph").open && this.graphed !== net) this.graph();
    if ($("d-code").open && !this.playing) $("code").textContent = this.script();
  }

  histograms() {
    const { net } = this, wanted = [], last = net.spec.sizes.length - 1;
    for (let l = 1; l <= last; l++) {
      wanted.push([`W${l}: ${this.words.weights}`, net.parameter(`kernel${l}`)]);
      if (l < last) wanted.push([`a${l}: ${this.words.activations}`, net.values(`train.${net.spec.activation === "linear" ? "z" : "a"}${l}`)]);
      wanted.push([`∂L/∂W${l}: ${this.words.gradients}`, net.parameter(`kernel${l}`, "gradients")]);
    }
    while ($("hist").children.length > wanted.length) $("hist").lastChild.remove();
    wanted.forEach(([name, numbers], i) => {
      let figure = $("hist").children[i];
      if (!figure) {
        figure = document.createElement("figure");
        const canvas = document.createElement("canvas");
        Object.assign(canvas, { width: 240, height: 70 });
        figure.append(canvas, document.createElement("figcaption"));
        $("hist").append(figure);
      }
      const [low, high] = paintHistogram(figure.firstChild, Array.from(numbers));
      figure.lastChild.textContent = `${name} [${low.toPrecision(3)}, ${high.toPrecision(3)}]`;
    });
  }

  /** Show the numbers of the point that is typed or under the mouse, up to the operation that is reached. */
  backward() {
    const point = $("point").value.split(/[,;\s]+/).map(Number);
    if (point.length < 2 || !point.every(isFinite)) return;
    const rows = operations(this.net, [point[0], point[1], point[2] ?? 1]);
    this.reached = Math.min(this.reached ?? rows.length, rows.length);
    const table = document.createElement("table");
    rows.slice(0, this.reached).forEach(([name, numbers], i) => {
      const row = table.insertRow(), head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      row.append(head, ...numbers.slice(0, 64).map((number) => Object.assign(document.createElement("td"), { textContent: number })));
      if (i === this.reached - 1) row.className = "now";
    });
    $("back").replaceChildren(table);
  }

  graph() {
    this.graphed = this.net;
    const names = new Map(Object.entries(this.net.places.all).map(([name, { at }]) => [at, name]));
    for (const p of this.net.flat.parameters)
      for (const [buffer, mark] of [["weights", ""], ["gradients", "∂"]]) names.set(this.net.places.all[buffer].at + 4 * p.at, `${mark}${p.kind === "bias" ? "b" : "W"}${p.layer}`);
    const table = document.createElement("table"), { instrs, slots } = this.net.steps[0];
    const said = (arg) => (arg ? (arg[0] >= 2 ? slots[arg[0] - 2] : names.get(arg[1]) ?? arg[1]) : "–");
    instrs.forEach((one, i) => {
      const row = table.insertRow();
      for (const cell of [i + 1, one.args.slice(0, one.outs).map(said).join(", "), `← ${one.kernel}`, one.args.slice(one.outs).map(said).join(", "), one.kernel === "matmul" ? one.dims.slice(1, 4).join(" × ") : one.dims?.[0] ?? ""])
        row.insertCell().textContent = cell;
    });
    $("graph").replaceChildren(table);
  }

  listen() {
    const again = () => { this.pause(); this.take(); this.make(); };
    for (const id of ["activation", "loss", "optimizer", "l1", "l2", "dropout", "init", "set", "noise", "samples", "share", "batch", "seed", "layers", "features"])
      $(id).addEventListener("change", again);
    $("rate").onchange = () => { this.take(); this.net.spec.rate = this.spec.rate; this.address(); };
    $("preset").onchange = ({ target: { value: name } }) => {
      if (ELSEWHERE.includes(name)) this.note(this.words.elsewhere.replace("{page}", name));
      else if (name) this.preset(name);
    };
    $("play").onclick = () => (this.playing ? this.pause() : this.play());
    $("step").onclick = () => { this.pause(); this.train((net) => { net.step(1); net.note(); }); };
    $("one").onclick = () => { this.pause(); this.train((net) => { net.run(1); net.note(); }); };
    $("reset").onclick = () => { this.pause(); this.net.reset(this.byHand); this.net.note(); this.stale = true; };
    $("lang").onclick = () => { this.lang = this.lang === "es" ? "en" : "es"; this.say(); this.layout(); this.stale = true; };
    $("theme").onclick = () => { document.documentElement.style.colorScheme = isDark() ? "light" : "dark"; this.stale = true; };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.stale = true; });
    for (const id of ["value", "slide"]) $(id).oninput = (event) => { this.edit(event.target.value); $(id === "value" ? "slide" : "value").value = event.target.value; };
    $("edit").onsubmit = (event) => { event.preventDefault(); $("edit").hidden = true; };
    for (const id of ["d-hist", "d-back", "d-graph", "d-code"]) $(id).ontoggle = () => { this.stale = true; };
    $("point").oninput = () => { this.reached = undefined; this.stale = true; };
    $("next").onclick = () => { this.pause(); this.reached = this.reached >= 2 * 3 + 5 * (this.net.spec.sizes.length - 2) ? 1 : (this.reached ?? 0) + 1; this.stale = true; };
    $("copy").onclick = () => navigator.clipboard?.writeText($("code").textContent);
    const place = (event) => {
      const box = $("points").getBoundingClientRect(), at = (v) => Math.round(v * 1000) / 1000;
      return [at((((event.clientX - box.left) / box.width) * 2 - 1) * this.span), at((1 - ((event.clientY - box.top) / box.height) * 2) * this.span)];
    };
    $("points").onmousemove = (event) => {
      if (!$("d-back").open || this.playing) return;
      const [a, b] = place(event), near = this.net.train.toSorted((p, q) => (p[0] - a) ** 2 + (p[1] - b) ** 2 - (q[0] - a) ** 2 - (q[1] - b) ** 2)[0];
      $("point").value = `${a}, ${b}, ${near[2]}`;
      this.reached = undefined;
      this.stale = true;
    };
    $("points").onclick = (event) => {
      if (!$("drawing").checked) return;
      const old = this.spec.set === "own" ? this.own.points : [];
      this.give({ points: [...old, [...place(event), event.shiftKey ? 0 : 1]], regression: false }, this.spec.set === "own");
    };
    $("csv").onchange = async (event) => {
      const [file] = event.target.files;
      if (!file) return;
      try {
        const found = this.csv(await file.text());
        this.give(found);
        if (found.kept < found.rows) this.note(this.words.sampled.replace("{rows}", found.rows).replace("{kept}", found.kept));
      } catch (error) {
        this.note(error.message);
      }
    };
    addEventListener("hashchange", () => { const { given, weights } = fromHash(location.hash); this.spec = checked(given, this.facts); this.show(); this.make(weights); });
    let width = 0; // a bar that appears makes it narrower, too
    new ResizeObserver(() => {
      if (!this.net || width === $("net").clientWidth) return;
      width = $("net").clientWidth;
      this.layout();
      this.stale = true;
    }).observe($("net"));
  }

  /** Take points of one's own. */
  give(own, keep = false) {
    this.own = own;
    if (![...$("set").options].some((option) => option.value === "own")) $("set").append(new Option(this.words.sets.own, "own"));
    this.spec = { ...this.spec, set: "own", share: keep || this.own.points.length > 20 ? this.spec.share : 1 };
    this.show();
    return this.make();
  }
}

const pynn_playground = new App(BUNDLE.facts, BUNDLE.own, BUNDLE.lang);
globalThis.pynn_playground = pynn_playground;
pynn_playground.ready = pynn_playground.start().catch((error) => pynn_playground.note(error.message));
