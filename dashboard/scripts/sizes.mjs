// Holds the built files to their budgets, in KiB as gzip: what a first visit loads at once, its style, any later part.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const budgets = { entry: 230, style: 25, later: 130 };
const site = fileURLToPath(new URL("../../crates/faces/dashboard/assets/site", import.meta.url));
const page = readFileSync(`${site}/index.html`, "utf8");
const first = new Set([...page.matchAll(/\/assets\/([^"]+)"/g)].map((found) => found[1]));
let entry = 0;
let style = 0;
let failed = false;
const rows = [];
for (const name of readdirSync(`${site}/assets`).filter((name) => /\.(js|css)$/.test(name))) {
  const size = statSync(`${site}/assets/${name}.gz`).size / 1024;
  const early = first.has(name);
  if (name.endsWith(".css")) style += early ? size : 0;
  else if (early) entry += size;
  else if (size > budgets.later) failed = true;
  rows.push([size, name, early ? "first" : "later"]);
}
for (const [size, name, when] of rows.sort((a, b) => b[0] - a[0]).slice(0, 12)) {
  console.log(`${size.toFixed(1).padStart(8)} KiB  ${when}  ${name}`);
}
console.log(`first visit: ${entry.toFixed(1)} of ${budgets.entry} KiB script, ${style.toFixed(1)} of ${budgets.style} KiB style`);
if (failed) console.error(`a later part is larger than ${budgets.later} KiB`);
if (failed || entry > budgets.entry || style > budgets.style) process.exit(1);
