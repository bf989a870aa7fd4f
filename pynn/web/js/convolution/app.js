// Convolution by hand: an image and a kernel of numbers, and how each number of the map comes about. The map is computed by the
// programs that Python recorded, one for each size, stride and padding.

const TEXTS = {
  en: { title: "Convolution by hand", help: "Change any number. Point at a number of the map, or move there with Tab, to see the sum that it is.",
    image: "Image", kernel: "Kernel", size: "Size", stride: "Stride", padding: "Padding", map: "Map", said: "y[{i}, {j}] = Σ x w = ",
    outside: "zeros outside", images: { square: "square", diagonal: "diagonal", stripes: "stripes", dot: "one pixel" },
    kernels: { identity: "identity", blur: "mean", vertical: "vertical edges", horizontal: "horizontal edges", sharpen: "sharpen" } },
  es: { title: "La convolución a mano", help: "Cambie cualquier número. Señale un número del mapa, o llegue a él con Tab, para ver la suma que es.",
    image: "Imagen", kernel: "Núcleo", size: "Tamaño", stride: "Paso", padding: "Relleno", map: "Mapa", said: "y[{i}, {j}] = Σ x w = ",
    outside: "ceros fuera", images: { square: "cuadrado", diagonal: "diagonal", stripes: "rayas", dot: "un píxel" },
    kernels: { identity: "identidad", blur: "media", vertical: "bordes verticales", horizontal: "bordes horizontales", sharpen: "enfocar" } },
};
const SIDE = 8;
const IMAGES = {
  square: (r, c) => Number(r >= 2 && r < 6 && c >= 2 && c < 6), diagonal: (r, c) => Number(r === c),
  stripes: (r, c) => c % 2, dot: (r, c) => Number(r === 3 && c === 4),
};
const KERNELS = { // of row a and column b of k by k, with the middle m
  identity: (a, b, k, m) => Number(a === m && b === m), blur: (a, b, k) => 1 / (k * k),
  vertical: (a, b, k, m) => Math.sign(b - m) || (k % 2 ? 0 : -1), horizontal: (a, b, k, m) => Math.sign(a - m) || (k % 2 ? 0 : -1),
  sharpen: (a, b, k, m) => (a === m && b === m ? k * k : -1),
};
const $ = (id) => document.getElementById(id);
/** Return the background of a number: orange below 0, blue above. */
const tinted = (v) => `color-mix(in srgb, ${v < 0 ? "#e08214" : "#2166ac"} ${Math.min(60, 60 * Math.abs(v))}%, transparent)`;
const short = (v) => String(Number(v.toFixed(3)));

class Convolution {
  constructor(lang) {
    this.lang = lang;
    this.models = new Map();
    this.image = Array.from({ length: SIDE * SIDE }, (_, i) => IMAGES.square(Math.floor(i / SIDE), i % SIDE));
  }

  get texts() { return TEXTS[this.lang]; }

  async start() {
    const option = (id, values) => $(id).replaceChildren(...values.map((v) => new Option(v, v)));
    option("image", Object.keys(IMAGES)); option("kernel", Object.keys(KERNELS));
    option("size", [3, 2, 5]); option("stride", [1, 2]); option("padding", ["valid", "same"]);
    this.say();
    $("image").onchange = () => { this.image = this.image.map((_, i) => IMAGES[$("image").value](Math.floor(i / SIDE), i % SIDE)); return this.set(); };
    for (const id of ["kernel", "size"]) $(id).onchange = () => this.fresh();
    for (const id of ["stride", "padding"]) $(id).onchange = () => this.set();
    $("lang").onclick = () => { this.lang = this.lang === "es" ? "en" : "es"; this.say(); return this.set(); };
    $("kernel").value = "vertical";
    await this.fresh();
  }

  say() {
    document.documentElement.lang = this.lang;
    document.title = this.texts.title;
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = this.texts[node.dataset.t];
    $("lang").textContent = this.lang === "es" ? "English" : "Español";
    for (const [id, names] of [["image", this.texts.images], ["kernel", this.texts.kernels]]) for (const one of $(id).options) one.textContent = names[one.value];
  }

  /** Take the kernel that is chosen. */
  fresh() {
    const k = Number($("size").value), m = Math.floor((k - 1) / 2);
    this.kernel = Array.from({ length: k * k }, (_, i) => KERNELS[$("kernel").value](Math.floor(i / k), i % k, k, m));
    return this.set();
  }

  /** Take size, stride and padding, and show everything. */
  async set() {
    const key = ["size", "stride", "padding"].map((id) => $(id).value).join(" ");
    if (!this.models.has(key)) this.models.set(key, await load(BUNDLE.models[key]));
    this.model = this.models.get(key);
    const [, rows, columns] = this.model.data.output.shape, k = Number($("size").value), stride = Number($("stride").value);
    const before = (n) => ($("padding").value === "same" ? Math.floor(Math.max((n - 1) * stride + k - SIDE, 0) / 2) : 0);
    Object.assign(this, { k, stride, rows, columns, top: before(rows), left: before(columns) });
    this.around = $("padding").value === "same" ? Math.ceil(Math.max((rows - 1) * stride + k - SIDE, 0) / 2) : 0;
    this.grid("x", SIDE, SIDE, this.image, this.around);
    this.grid("w", k, k, this.kernel, 0);
    this.compute();
  }

  /** Fill a table with numbers that can be changed. */
  grid(id, rows, columns, values, around) {
    $(id).replaceChildren();
    for (let r = -around; r < rows + around; r++) {
      const row = $(id).insertRow();
      for (let c = -around; c < columns + around; c++) {
        const cell = row.insertCell();
        if (r < 0 || c < 0 || r >= rows || c >= columns) { cell.className = "pad"; cell.textContent = "0"; continue; }
        const input = Object.assign(document.createElement("input"), { type: "number", step: "any", value: short(values[r * columns + c]) });
        input.setAttribute("aria-label", `${id}[${r + 1}, ${c + 1}]`);
        const tint = () => { cell.style.background = tinted(values[r * columns + c]); };
        input.oninput = () => {
          if (input.value.trim() === "" || !isFinite(input.value)) return;
          values[r * columns + c] = Number(input.value);
          tint();
          this.compute();
        };
        cell.append(input);
        tint();
      }
    }
    $(`h-${id}`).textContent = `${this.texts[id === "x" ? "image" : "kernel"]}: ${rows} × ${columns}${around ? ` (${this.texts.outside})` : ""}`;
  }

  /** Compute the map by the recorded program, and show it. */
  compute() {
    this.model.setWeight(this.model.data.weights[0].name, this.kernel);
    this.map = Array.from(this.model.predict(this.image));
    $("y").replaceChildren();
    for (let i = 0; i < this.rows; i++) {
      const row = $("y").insertRow();
      for (let j = 0; j < this.columns; j++) {
        const v = this.map[i * this.columns + j], cell = row.insertCell(), button = Object.assign(document.createElement("button"), { textContent: short(v) });
        cell.style.background = tinted(v / 3);
        button.onfocus = button.onmouseenter = button.onclick = () => this.look(i, j);
        cell.append(button);
      }
    }
    $("h-y").textContent = `${this.texts.map}: ${this.rows} × ${this.columns}`;
    this.look(Math.min(this.at?.[0] ?? 0, this.rows - 1), Math.min(this.at?.[1] ?? 0, this.columns - 1));
  }

  /** Mark the window of a number of the map, and spell the sum out. */
  look(i, j) {
    this.at = [i, j];
    for (const cell of document.querySelectorAll("td.seen")) cell.classList.remove("seen");
    const terms = [];
    for (let a = 0; a < this.k; a++)
      for (let b = 0; b < this.k; b++) {
        const r = i * this.stride + a - this.top, c = j * this.stride + b - this.left;
        const x = r < 0 || c < 0 || r >= SIDE || c >= SIDE ? 0 : this.image[r * SIDE + c], w = this.kernel[a * this.k + b];
        $("x").rows[r + this.around]?.cells[c + this.around]?.classList.add("seen");
        terms.push(`${short(x)}·${w < 0 ? `(${short(w)})` : short(w)}`);
      }
    $("y").rows[i].cells[j].classList.add("seen");
    this.sum = `${this.texts.said.replace("{i}", i + 1).replace("{j}", j + 1)}${terms.join(" + ")} = ${short(this.map[i * this.columns + j])}`;
    $("sum").textContent = this.sum;
  }
}

const pynn_convolution = new Convolution(BUNDLE.lang);
globalThis.pynn_convolution = pynn_convolution;
pynn_convolution.ready = pynn_convolution.start().catch((error) => { $("sum").textContent = error.message; });
