/**
 * Builds the dashboard: `node build.mjs OUT` fills OUT with
 *
 *   index.html            names the entry files below
 *   app-HASH.js, .css     the page; chart-HASH.js is loaded when a trend is looked at
 *   icon-HASH.svg
 *   swagger/              Swagger UI for the API's own page
 *   THIRD-PARTY.txt       licences of what was really bundled or copied
 *
 * Hashed names change with their content, so browsers may keep them for ever.
 */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "../static"));
const modules = join(here, "node_modules");

/** Served by the API's page; the rest of swagger-ui-dist (maps, other builds) stays out. */
const SWAGGER = ["swagger-ui.css", "swagger-ui-bundle.js"];

/** Oldest browsers: what runs on school PCs and in the 360 browsers. Safari 14.0 cannot run uPlot. */
const TARGETS = ["chrome87", "firefox78", "safari14.1"];

function emptied(folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
}

async function bundled() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: { app: "src/main.tsx" },
    outdir: out,
    bundle: true,
    splitting: true,
    format: "esm",
    target: TARGETS,
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    logLevel: "warning",
  });
  return result.metafile;
}

/** The output that is the entry's script, what it needs at once, and its style sheet. */
function entryOf(metafile) {
  const [path, output] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === "src/main.tsx");
  const needed = output.imports.filter(({ kind }) => kind === "import-statement").map((found) => basename(found.path));
  return { script: basename(path), needed, style: basename(output.cssBundle) };
}

function icon() {
  const content = readFileSync(join(here, "public/icon.svg"));
  const name = `icon-${createHash("sha256").update(content).digest("hex").slice(0, 10)}.svg`;
  writeFileSync(join(out, name), content);
  return name;
}

function page({ script, needed, style }, iconName) {
  const template = readFileSync(join(here, "public/index.html"), "utf8");
  const preloads = needed.map((name) => `<link rel="modulepreload" href="${name}" />`).join("\n    ");
  const filled = { ICON: iconName, STYLE: style, PRELOADS: preloads, SCRIPT: script };
  writeFileSync(join(out, "index.html"), template.replace(/\b(ICON|STYLE|PRELOADS|SCRIPT)\b/g, (name) => filled[name]));
}

function swagger() {
  mkdirSync(join(out, "swagger"));
  for (const name of SWAGGER) copyFileSync(join(modules, "swagger-ui-dist", name), join(out, "swagger", name));
}

/** The packages whose files are in the bundle, by the bundler's own account. */
function packagesIn(metafile) {
  const names = new Set(["swagger-ui-dist"]);
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
      if (found && bytesInOutput > 0) names.add(found[1]);
    }
  }
  return [...names].sort();
}

/** Licence texts in full; a package without one stops the build. */
function licences(names) {
  const parts = names.map((name) => {
    const folder = join(modules, name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)|\.LICENSE\.txt$/i.test(file));
    const wanted = texts.filter((file) => !file.endsWith(".LICENSE.txt") || SWAGGER.includes(file.replace(".LICENSE.txt", "")));
    if (!wanted.some((file) => /^licen[cs]e/i.test(file))) throw new Error(`${name} ${version} carries no licence text`);
    const bodies = wanted.map((file) => readFileSync(join(folder, file), "utf8").trim());
    return `${name} ${version} (${license})\n\n${bodies.join("\n\n")}\n`;
  });
  writeFileSync(join(out, "THIRD-PARTY.txt"), parts.join(`\n${"-".repeat(72)}\n\n`));
}

function report(metafile) {
  for (const path of Object.keys(metafile.outputs)) {
    const content = readFileSync(join(here, path));
    const kb = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;
    console.log(`${basename(path).padEnd(24)} ${kb(content.length).padStart(9)}  ${kb(gzipSync(content).length).padStart(9)} gzip`);
  }
}

if (!existsSync(modules)) throw new Error("node_modules is missing: run `npm ci --ignore-scripts` first");
emptied(out);
const metafile = await bundled();
page(entryOf(metafile), icon());
swagger();
licences(packagesIn(metafile));
report(metafile);
