// Pictures: frontiers, lines of a network, curves, histograms. Blue and orange, which all kinds of sight tell apart.

const COLD = [33, 102, 172], WARM = [224, 130, 20];

let dark = false, colours32 = null; // as of the last look

/** Look whether the page is dark; to be called before a picture is drawn. */
export function lookAtTheme() {
  const scheme = document.documentElement.style.colorScheme;
  const now = scheme ? scheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (now !== dark || !colours32) [dark, colours32] = [now, palette(now)];
}

/** Whether the page was dark at the last look. */
export const isDark = () => dark;

/** Return the colour of a number in [-1, 1]: orange below 0, blue above. */
export function colour(value, alpha = 1) {
  const t = Math.min(1, Math.abs(value)), middle = isDark() ? 28 : 247, end = value < 0 ? WARM : COLD;
  return `rgb(${end.map((c) => Math.round(middle + (c - middle) * t)).join(" ")} / ${alpha})`;
}

/** Return a table of 256 colours as pixels, for pictures of many points. */
function palette(isDark) {
  const middle = isDark ? 28 : 247, table = new Uint8ClampedArray(256 * 4);
  for (let i = 0; i < 256; i++) {
    const value = i / 127.5 - 1, end = value < 0 ? WARM : COLD;
    for (let c = 0; c < 3; c++) table[4 * i + c] = middle + (end[c] - middle) * Math.abs(value);
    table[4 * i + 3] = 255;
  }
  return new Uint32Array(table.buffer);
}

/**
 * Paint numbers on a grid.
 * @param {HTMLCanvasElement} canvas as wide and high as the grid
 * @param {(i: number) => number} value of point i, in [-1, 1]
 */
export function paintGrid(canvas, value) {
  const context = canvas.getContext("2d"), n = canvas.width * canvas.height;
  canvas.image ??= context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(canvas.image.data.buffer);
  for (let i = 0; i < n; i++) pixels[i] = colours32[Math.max(0, Math.min(255, Math.round((value(i) + 1) * 127.5)))];
  context.putImageData(canvas.image, 0, 0);
}

/** Draw points over a frontier: class 1 round, class 0 square; those of the test set smaller. */
export function paintPoints(canvas, span, train, test, regression) {
  const context = canvas.getContext("2d"), size = canvas.width;
  context.clearRect(0, 0, size, size);
  for (const [set, radius] of [[test, 3], [train, 4]])
    for (const [a, b, y] of set) {
      const x = (a / span + 1) * size / 2, z = (1 - b / span) * size / 2;
      context.beginPath();
      if (regression || y > 0.5) context.arc(x, z, radius, 0, 2 * Math.PI);
      else context.rect(x - radius, z - radius, 2 * radius - 1, 2 * radius - 1);
      context.fillStyle = colour(regression ? y : 2 * y - 1);
      context.strokeStyle = isDark() ? "#fff" : set === test ? "#555" : "#000";
      context.fill();
      context.stroke();
    }
}

/** Draw the line where the output turns, between the points of a grid (marching squares). */
export function paintFrontier(canvas, n, value) {
  const context = canvas.getContext("2d"), step = canvas.width / (n - 1);
  context.strokeStyle = isDark() ? "#fff" : "#000";
  context.lineWidth = 1.5;
  context.beginPath();
  for (let r = 0; r + 1 < n; r++)
    for (let c = 0; c + 1 < n; c++) {
      const corners = [[r, c], [r, c + 1], [r + 1, c + 1], [r + 1, c]].map(([i, j]) => [j * step, i * step, value(i * n + j)]);
      const cuts = [];
      for (let k = 0; k < 4; k++) {
        const [x0, y0, v0] = corners[k], [x1, y1, v1] = corners[(k + 1) % 4];
        if ((v0 > 0) === (v1 > 0)) continue;
        const t = v0 / (v0 - v1);
        cuts.push([x0 + t * (x1 - x0), y0 + t * (y1 - y0)]);
      }
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        context.moveTo(...cuts[k]);
        context.lineTo(...cuts[k + 1]);
      }
    }
  context.stroke();
}

/** Draw curves of [x, y] pairs, on a scale of logarithms where they span much; returns what the scale is. */
export function paintCurves(canvas, curves, colours) {
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const all = curves.flat().filter(([, y]) => isFinite(y));
  if (!all.length) return "";
  const xs = all.map(([x]) => x), ys = all.map(([, y]) => y), low = Math.min(...ys), high = Math.max(...ys, 1e-12);
  const log = low > 0 && high / low > 30, of = (y) => (log ? Math.log(y) : y);
  const bottom = log ? of(low) : 0, top = of(high) === bottom ? bottom + 1 : of(high), end = Math.max(...xs, 1);
  curves.forEach((curve, i) => {
    context.strokeStyle = colours[i];
    context.lineWidth = 2;
    context.setLineDash(i ? [5, 4] : []);
    context.beginPath();
    for (const [x, y] of curve) context.lineTo((x / end) * (width - 4) + 2, height - 4 - ((of(y) - bottom) / (top - bottom)) * (height - 8));
    context.stroke();
  });
  return log ? "log" : "";
}

/** Draw how often numbers occur; returns the lowest and the highest. */
export function paintHistogram(canvas, numbers, bins = 24) {
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const finite = numbers.filter(isFinite);
  if (!finite.length) return [NaN, NaN];
  const low = Math.min(...finite), high = Math.max(...finite), counts = new Array(bins).fill(0);
  for (const v of finite) counts[Math.min(bins - 1, Math.floor(((v - low) / (high - low || 1)) * bins))]++;
  const most = Math.max(...counts);
  counts.forEach((count, i) => {
    context.fillStyle = colour(((low + ((i + 0.5) / bins) * (high - low)) / Math.max(Math.abs(low), Math.abs(high), 1e-9)) * 0.6 + 1e-9);
    context.strokeStyle = isDark() ? "#999" : "#555";
    context.fillRect(i * width / bins, height, width / bins - 1, -(count / most) * (height - 2));
    context.strokeRect(i * width / bins + 0.5, height, width / bins - 2, -(count / most) * (height - 2));
  });
  return [low, high];
}
