// Runs a WASI program under node: node wasi.mjs PROGRAM ARGUMENT ...; the root folder is open to it.
import { readFile } from "node:fs/promises";
import process from "node:process";
import { WASI } from "node:wasi";

process.removeAllListeners("warning"); // WASI is experimental in node, which says so on every start
const [program, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args: [program, ...args], preopens: { "/": "/" }, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
