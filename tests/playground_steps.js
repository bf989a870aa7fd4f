// node playground_steps.js SCRIPTS CASES: prints the steps that the page builds for the cases.
const fs = require("fs");
const [scripts, cases] = process.argv.slice(2).map((file) => fs.readFileSync(file, "utf8"));
const { stepOf, Places } = new Function(`${scripts}; return { stepOf, Places };`)();
const { facts, specs } = JSON.parse(cases);
// csrc/gemm_scratch.h, for small products on one thread
const block = (n, k) => k * Math.min(512, Math.ceil(n / 64) * 64);
const scratch = (m, n, k, ta, tb) => 4 * (tb ? block(n, k) : 0);
console.log(JSON.stringify(specs.map((spec) => {
  let top = 64;
  const places = new Places((bytes) => { const at = top; top += Math.ceil(bytes / 64) * 64; return at; });
  return stepOf(spec, facts, spec.rows, places, scratch);
})));
