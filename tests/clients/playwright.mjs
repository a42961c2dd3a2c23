// playwright.mjs MODE ENDPOINT [SCREENSHOT]: drives one sandbox with an unmodified Playwright.
//   drive  connect, open a local page, click, take a screenshot, close
//   large  the same, with a screenshot of at least 20 MiB
//   hold   connect, keep asking the page for its title until the connection is lost
import { chromium } from 'playwright-core';
import fs from 'node:fs';
import { drawNoise, must, say, servePage } from './page.mjs';

const [mode, endpoint, shot] = process.argv.slice(2);
const site = await servePage();
const browser = await chromium.connectOverCDP(endpoint, { timeout: 30_000 });
say('connected', { version: browser.version() });
try {
  const context = browser.contexts()[0] ?? (await browser.newContext());
  const page = await context.newPage();
  await page.goto(site.url);
  must((await page.title()) === 'Lock 7', 'the page has another title');
  say('navigated', { url: page.url() });
  if (mode === 'drive') {
    await page.click('#gate');
    must((await page.textContent('#gate')) === 'open', 'the click did not open the gate');
    say('clicked');
    const image = await page.screenshot({ path: shot });
    must(image.length > 1000, `the screenshot has only ${image.length} bytes`);
    say('screenshot', { bytes: image.length });
  } else if (mode === 'large') {
    await page.evaluate(drawNoise, 2600);
    const image = await page.locator('#noise').screenshot({ path: shot });
    must(image.length >= 15 * 1024 * 1024, `the screenshot has only ${image.length} bytes`);
    say('screenshot', { bytes: image.length, wire: Math.ceil(image.length / 3) * 4 });
    if (shot) fs.rmSync(shot);
  } else if (mode === 'hold') {
    const lost = new Promise((done) => browser.on('disconnected', done));
    let asked = 0;
    const asking = (async () => {
      for (;;) {
        await page.title();
        asked += 1;
        if (asked === 1) say('holding');
        await new Promise((next) => setTimeout(next, 20));
      }
    })();
    await Promise.race([lost, asking.catch(() => lost)]);
    say('lost', { asked });
  } else {
    throw new Error(`unknown mode ${mode}: drive, large or hold`);
  }
} finally {
  await browser.close().catch(() => {});
  await site.close();
}
say('closed');
process.exit(0);
