// puppeteer.mjs MAJOR FORM ENDPOINT [SCREENSHOT]: drives one sandbox with an unmodified Puppeteer.
//   MAJOR  24 or 25            FORM  ws (browserWSEndpoint) or http (browserURL)
//   FORM   large: over browserWSEndpoint, with a screenshot of at least 20 MiB instead of a click
import { drawNoise, must, say, servePage } from './page.mjs';

const [major, form, endpoint, shot] = process.argv.slice(2);
const packages = { 24: 'puppeteer-core-24', 25: 'puppeteer-core' };
must(packages[major], `unknown major ${major}: 24 or 25`);
const { default: puppeteer } = await import(packages[major]);
const site = await servePage();
const where = form !== 'http' ? { browserWSEndpoint: endpoint } : { browserURL: endpoint };
const browser = await puppeteer.connect(where);
say('connected', { version: await browser.version() });
try {
  const page = await browser.newPage();
  await page.goto(site.url);
  must((await page.title()) === 'Lock 7', 'the page has another title');
  say('navigated', { url: page.url() });
  if (form === 'large') {
    await page.evaluate(drawNoise, 2600);
    const image = await (await page.$('#noise')).screenshot();
    must(image.length >= 15 * 1024 * 1024, `the screenshot has only ${image.length} bytes`);
    say('screenshot', { bytes: image.length, wire: Math.ceil(image.length / 3) * 4 });
  } else {
    await page.click('#gate');
    must((await page.$eval('#gate', (b) => b.textContent)) === 'open', 'the click did not open the gate');
    say('clicked');
    const image = await page.screenshot({ path: shot });
    must(image.length > 1000, `the screenshot has only ${image.length} bytes`);
    say('screenshot', { bytes: image.length });
  }
  await page.close();
} finally {
  await browser.disconnect();
  await site.close();
}
say('closed');
process.exit(0);
