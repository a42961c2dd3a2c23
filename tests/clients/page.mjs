// A local page for the clients to drive: a button that changes its own text, and room to be large.
import http from 'node:http';

const html = `<!doctype html><title>Lock 7</title>
<style>body{font:24px sans-serif;margin:40px}button{font:inherit;padding:8px 24px}</style>
<h1>Lock 7</h1><button id="gate" onclick="this.textContent='open'">closed</button>
<canvas id="noise" width="10" height="10"></canvas>`;

/** Serves the page on a free loopback port; resolves to `{url, close}`. */
export async function servePage() {
  const server = http.createServer((_, answer) => {
    answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
    answer.end(html);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }),
  };
}

/** One JSON line for the program that started us. */
export function say(step, more = {}) {
  process.stdout.write(`${JSON.stringify({ step, ...more })}\n`);
}

/** Draws random pixels, which no encoder can make small, on a canvas of `side` by `side`. */
export function drawNoise(side) {
  const canvas = document.getElementById('noise');
  canvas.width = side;
  canvas.height = side;
  const pen = canvas.getContext('2d');
  const image = pen.createImageData(side, side);
  const words = new Uint32Array(image.data.buffer);
  let seed = 1;
  for (let i = 0; i < words.length; i += 1) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    words[i] = seed | 0xff000000;
  }
  pen.putImageData(image, 0, 0);
}

/** Ends the process with a message when `condition` does not hold. */
export function must(condition, message) {
  if (!condition) throw new Error(message);
}
