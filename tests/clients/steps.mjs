// steps.mjs: for each endpoint on standard input, connects an unmodified Playwright, opens a local
// page, and disconnects; for measuring what these steps take without the start of Node.
import { chromium } from 'playwright-core';
import readline from 'node:readline';
import { must, say, servePage } from './page.mjs';

const site = await servePage();
say('ready');
for await (const endpoint of readline.createInterface({ input: process.stdin })) {
  const browser = await chromium.connectOverCDP(endpoint, { timeout: 30_000 });
  const context = browser.contexts()[0] ?? (await browser.newContext());
  const page = await context.newPage();
  await page.goto(site.url);
  must((await page.title()) === 'Lock 7', 'the page has another title');
  await page.close();
  await browser.close();
  say('done');
}
await site.close();
