// Opens a study in the viewer with headless Chromium and looks whether there is a picture.
//
//   node viewer.mjs --tools .tools --link SIGN_IN_LINK --study UID --out picture.png
//     [--list list.png] [--least-grey 64] [--timeout-s 120] [--chromium /usr/bin/chromium]
//
// Follows the link, takes a picture of the list of studies (with --list), opens the study and waits until a screenshot of the
// viewport shows at least that many levels of grey. Prints {"grey", "columns", "rows", "elsewhere": [url], "refused": [{status,
// url}], "violations": [text], "error"} and exits with 0 when there is a picture, nothing was asked of another host and no
// rule of the content security policy was broken.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    tools: { type: 'string' }, link: { type: 'string' }, study: { type: 'string' }, out: { type: 'string' },
    list: { type: 'string' }, 'least-grey': { type: 'string', default: '64' }, 'timeout-s': { type: 'string', default: '120' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});
const { chromium } = createRequire(join(resolve(values.tools), 'npm', 'package.json'))('playwright-core');

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader',
];

const leastGrey = Number(values['least-grey']);
const deadline = Date.now() + Number(values['timeout-s']) * 1000;
const answer = { grey: 0, columns: 0, rows: 0, elsewhere: [], refused: [], violations: [], error: null };
const profile = mkdtempSync(join(tmpdir(), 'kluis-viewer-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: values.chromium, headless: true, args: FLAGS, ignoreHTTPSErrors: true, viewport: { width: 1400, height: 900 },
});
try {
  await look();
} catch (error) {
  answer.error = String(error.message ?? error).split('\n')[0];
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(answer));
const isWell = !answer.error && answer.grey >= leastGrey && !answer.elsewhere.length && !answer.violations.length;
process.exit(isWell ? 0 : 1);

async function look() {
  const origin = new URL(values.link).origin;
  const page = await context.newPage();
  listen(page, origin);
  await page.goto(values.link, { timeout: left() });
  // the page after the link leads on by itself; going there is the same
  await page.goto(`${origin}/`, { timeout: left() });
  if (values.list) await page.screenshot({ path: values.list, fullPage: true });
  await page.goto(`${origin}/viewer/viewer?StudyInstanceUIDs=${values.study}`, { timeout: left() });
  const viewport = page.locator('.viewport-element').first();
  await viewport.waitFor({ state: 'visible', timeout: left() });
  const reader = await context.newPage();
  while (Date.now() < deadline) {
    await skipTour(page);
    const picture = await viewport.screenshot({ timeout: left() });
    Object.assign(answer, await measure(reader, picture));
    if (answer.grey >= leastGrey) break;
    await page.waitForTimeout(500);
  }
  await page.bringToFront();
  writeFileSync(values.out, await page.screenshot());
}

// What the page asks for, is refused, and may not do.
function listen(page, origin) {
  page.on('request', (request) => {
    const url = new URL(request.url());
    const isOwn = url.origin === origin || ['blob:', 'data:'].includes(url.protocol);
    if (!isOwn) answer.elsewhere.push(request.url());
  });
  page.on('response', (response) => {
    if (response.status() >= 400) answer.refused.push({ status: response.status(), url: response.url() });
  });
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) answer.violations.push(message.text());
  });
}

async function skipTour(page) {
  const skip = page.getByText('Skip all');
  if (await skip.isVisible().catch(() => false)) await skip.click();
}

// Levels of grey in the middle of the picture, where the viewport's own writing does not reach.
async function measure(reader, picture) {
  return reader.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const drawing = canvas.getContext('2d');
    drawing.drawImage(image, 0, 0);
    const [x, y, columns, rows] = [image.width / 4, image.height / 4, image.width / 2, image.height / 2].map(Math.floor);
    const pixels = drawing.getImageData(x, y, columns, rows).data;
    const levels = new Set();
    for (let at = 0; at < pixels.length; at += 4) {
      if (pixels[at] === pixels[at + 1] && pixels[at] === pixels[at + 2]) levels.add(pixels[at]);
    }
    return { grey: levels.size, columns: image.width, rows: image.height };
  }, picture.toString('base64'));
}

function left() {
  return Math.max(1, deadline - Date.now());
}
