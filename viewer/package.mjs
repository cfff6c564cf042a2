// Makes the viewer that a node serves under /viewer/ from the published package of OHIF: verified, trimmed of what is never
// served, moved to the sub-path, without inline scripts, minified, and compressed beside each file.
//
//   node package.mjs --lock ohif.lock --tarball app.tgz --modules .tools/npm --out FOLDER
//
// Every change to the published files is counted; a release in which one no longer applies stops here, by name.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const BASE = '/viewer/';

// Never requested: onnxruntime, whole-slide imaging, customisations by query, source maps, hosting and sign-in leftovers.
// app-config.js is written by the node; the service worker loads a script from elsewhere.
const DROPPED = [
  'ort', 'dicom-microscopy-viewer', 'customizations', 'google.js', 'silent-refresh.html', 'oidc-client.min.js',
  'polyfill.min.js', 'es6-shim.min.js', 'sw.js', 'init-service-worker.js', 'app-config.js', '_headers', '_redirects',
  'serve.json',
];
const COMPRESSED = /\.(js|css|html|json|svg|wasm|webapp|xml)$/;

const { values } = parseArgs({
  options: { lock: { type: 'string' }, tarball: { type: 'string' }, modules: { type: 'string' }, out: { type: 'string' } },
});
const out = resolve(values.out);
await main();

async function main() {
  verify();
  unpack();
  for (const name of DROPPED) rmSync(join(out, name), { recursive: true, force: true });
  for (const file of files(out)) if (file.endsWith('.map')) unlinkSync(file);
  moveToBase();
  await minify();
  await compress();
  const all = files(out).map((file) => statSync(file).size);
  console.error(`${all.length} files, ${Math.round(all.reduce((sum, size) => sum + size, 0) / 1e6)} MB with both compressed forms`);
}

function verify() {
  const { integrity, package: name, version } = JSON.parse(readFileSync(values.lock, 'utf8'));
  const found = 'sha512-' + createHash('sha512').update(readFileSync(values.tarball)).digest('base64');
  if (found !== integrity) fail(`the package of ${name} ${version} is not the pinned one: ${found} instead of ${integrity}`);
}

function unpack() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  execFileSync('tar', ['-xzf', resolve(values.tarball), '-C', out, '--strip-components=2', 'package/dist']);
  execFileSync('tar', ['-xzf', resolve(values.tarball), '-C', out, '--strip-components=1', 'package/LICENSE']);
}

function moveToBase() {
  change('index.html', /window\.PUBLIC_URL="\/"/g, `window.PUBLIC_URL="${BASE}"`, 2);
  change('index.html', /(href|src|content)="\/(?!\/)/g, `$1="${BASE}`, 20);
  change('index.html', /<script [^>]*src="[^"]*init-service-worker\.js"><\/script>/g, '', 1);
  // browsers fetch the manifest without the session's cookie unless told otherwise
  change('index.html', /<link rel="manifest" /g, '<link rel="manifest" crossorigin="use-credentials" ', 1);
  change('index.html', /<title>OHIF Viewer<\/title>/g, '<title>Viewer</title>', 1);
  let boot = 0;
  change('index.html', /<script>([^<]+)<\/script>/g, (_, script) => {
    const hash = createHash('sha256').update(script).digest('hex').slice(0, 16);
    const name = `boot-${(boot += 1)}.${hash}.js`;
    writeFileSync(join(out, name), script);
    return `<script src="${BASE}${name}"></script>`;
  }, 2);
  change('manifest.json', /"\/assets\//g, `"${BASE}assets/`, 1);
  change('app.bundle.css', /url\(\//g, `url(${BASE}`, 1);
  const roots = files(out).filter((file) => file.endsWith('.js') && readFileSync(file, 'utf8').includes('__webpack_require__.p = "/"'));
  if (roots.length < 2) fail('the place where scripts are told their folder is not found');
  for (const file of roots) change(relative(out, file), /__webpack_require__\.p = "\/"/g, `__webpack_require__.p = "${BASE}"`, 1);
}

// Replaces in one file; fewer than `least` places mean that the release differs from the one this was written for.
function change(name, pattern, replacement, least) {
  const path = join(out, name);
  const text = readFileSync(path, 'utf8');
  const found = (text.match(pattern) ?? []).length;
  if (found < least) fail(`${name}: ${pattern} found ${found} times, expected at least ${least}`);
  writeFileSync(path, text.replace(pattern, replacement));
}

async function minify() {
  const { transform } = createRequire(join(resolve(values.modules), 'package.json'))('esbuild');
  const notices = new Set();
  for (const file of files(out).filter((file) => /\.(js|css)$/.test(file))) {
    const loader = file.endsWith('.css') ? 'css' : 'js';
    const options = { loader, minify: true, legalComments: 'external', logLevel: 'error' };
    const { code, legalComments } = await transform(readFileSync(file, 'utf8'), options);
    writeFileSync(file, code);
    if (legalComments) notices.add(legalComments.trim());
  }
  writeFileSync(join(out, 'NOTICES.txt'), [...notices].join('\n\n') + '\n');
}

async function compress() {
  const zip = promisify(gzip);
  const brotli = promisify(brotliCompress);
  const work = files(out).filter((file) => COMPRESSED.test(file) && statSync(file).size > 1024).map((file) => async () => {
    const bytes = readFileSync(file);
    writeFileSync(`${file}.gz`, await zip(bytes, { level: 9 }));
    const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
    writeFileSync(`${file}.br`, await brotli(bytes, { params }));
  });
  await Promise.all([0, 1].map(async () => { for (let next; (next = work.pop());) await next(); }));
}

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
