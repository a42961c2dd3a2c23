// runner.mjs [PORT]: an agent runner for the tests. It answers posted runs by the words of their
// last message, and says between runs, on GET /events, what is posted to /push. /events/NAME and
// /push/NAME are a stream of their own.
//   say     text, state, a tool call, and the end        pretty  the same, JSON over many lines
//   crlf    the same, lines end with CR LF               error   RUN_ERROR
//   hang    begins and says nothing more
//   tick N [MS]  N custom events, MS apart (5)
//   huge N  a line of N MiB, then the end                none    404
//   cancel  begins, and ends as cancelled                torn    is cut in the middle of an event
//   raw     the events in forwardedProps.events, as they are
import http from 'node:http';
import { say } from './page.mjs';

const streams = new Map();
const seen = { runs: [], left: 0, headers: [], interrupts: 0, feedback: [], paths: [] };

// The stream that a path such as /push/NAME is about.
function streamOf(url) {
  const name = url.split('/')[2] ?? '';
  if (!streams.has(name)) streams.set(name, { pushed: [], readers: new Set() });
  return streams.get(name);
}

const readers = () => [...streams.values()].flatMap((stream) => [...stream.readers]);

const body = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
};

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function story(threadId, runId) {
  const id = `m-${runId}`;
  return [
    { type: 'RUN_STARTED', threadId, runId },
    { type: 'STATE_SNAPSHOT', snapshot: { steps: [] } },
    { type: 'TEXT_MESSAGE_START', messageId: id, role: 'assistant' },
    { type: 'TEXT_MESSAGE_CONTENT', messageId: id, delta: 'Hello ' },
    { type: 'TEXT_MESSAGE_CONTENT', messageId: id, delta: 'wörld…' },
    { type: 'TEXT_MESSAGE_END', messageId: id },
    { type: 'TOOL_CALL_START', toolCallId: `c-${runId}`, toolCallName: 'look', parentMessageId: id },
    { type: 'TOOL_CALL_ARGS', toolCallId: `c-${runId}`, delta: '{"at":"sky"}' },
    { type: 'TOOL_CALL_END', toolCallId: `c-${runId}` },
    { type: 'TOOL_CALL_RESULT', messageId: `r-${runId}`, toolCallId: `c-${runId}`, content: 'blue' },
    { type: 'STATE_DELTA', delta: [{ op: 'add', path: '/steps/-', value: runId }] },
    { type: 'RUN_FINISHED', threadId, runId },
  ];
}

async function run(request, answer) {
  const input = JSON.parse(await body(request));
  seen.runs.push(input);
  seen.headers.push(request.headers);
  const { threadId, runId } = input;
  const last = input.messages.at(-1)?.content ?? 'say';
  const [word, number, pause] = String(last).split(' ');
  if (word === 'none') return answer.writeHead(404).end('nothing here');
  answer.writeHead(200, { 'content-type': 'text/event-stream' });
  answer.on('close', () => { seen.left += answer.writableEnded ? 0 : 1; });
  const end = word === 'crlf' ? '\r\n' : '\n';
  const write = (event) => {
    const text = word === 'pretty' ? JSON.stringify(event, null, 2) : JSON.stringify(event);
    answer.write(text.split('\n').map((line) => `data: ${line}${end}`).join('') + end);
  };
  const started = { type: 'RUN_STARTED', threadId, runId };
  const finished = { type: 'RUN_FINISHED', threadId, runId };
  if (word === 'error') {
    write(started);
    write({ type: 'RUN_ERROR', message: 'no luck', code: 'LUCK' });
  } else if (word === 'hang') {
    write(started);
    write({ type: 'TEXT_MESSAGE_START', messageId: `m-${runId}`, role: 'assistant' });
    return;
  } else if (word === 'cancel') {
    write(started);
    write({ type: 'STEP_STARTED', stepName: 'first' });
    write({ type: 'STEP_FINISHED', stepName: 'first' });
    write({ ...finished, outcome: { type: 'cancelled' } });
  } else if (word === 'torn') {
    write(started);
    write({ type: 'TEXT_MESSAGE_START', messageId: `m-${runId}`, role: 'assistant' });
    answer.write('data: {"type":"TEXT_MESSAGE_CONTENT","messageId"');
    await wait(2);
    return answer.destroy();
  } else if (word === 'tick') {
    write(started);
    for (let at = 0; at < Number(number) && !answer.destroyed; at += 1) {
      write({ type: 'CUSTOM', name: 'tick', value: at });
      await wait(Number(pause ?? 5));
    }
    write(finished);
  } else if (word === 'huge') {
    write(started);
    answer.write(`data: {"type":"CUSTOM","name":"huge","value":"`);
    const mib = 'x'.repeat(1 << 20);
    for (let at = 0; at < Number(number); at += 1) {
      if (!answer.write(mib)) await new Promise((done) => answer.once('drain', done));
    }
    answer.write('"}\n\n');
    write(finished);
  } else if (word === 'raw') {
    for (const event of input.forwardedProps.events) {
      answer.write(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`);
    }
  } else {
    for (const event of story(threadId, runId)) {
      write(event);
      await wait(2);
    }
  }
  answer.end();
}

const frame = ({ id, data }) => `id: ${id}\ndata: ${data}\n\n`;

function events(request, answer) {
  seen.headers.push(request.headers);
  answer.writeHead(200, { 'content-type': 'text/event-stream' });
  answer.write(': hello\n\n');
  const after = Number(request.headers['last-event-id'] ?? 0);
  const { pushed, readers } = streamOf(request.url);
  pushed.filter(({ id }) => id > after).forEach((event) => answer.write(frame(event)));
  readers.add(answer);
  answer.on('close', () => readers.delete(answer));
}

async function push(request, answer) {
  const { pushed, readers } = streamOf(request.url);
  for (const line of (await body(request)).split('\n').filter(Boolean)) {
    const event = { id: pushed.length + 1, data: line };
    pushed.push(event);
    readers.forEach((reader) => reader.write(frame(event)));
  }
  answer.end();
}

const server = http.createServer(async (request, answer) => {
  const { method, url } = request;
  seen.paths.push(`${method} ${url}`);
  if (method === 'POST' && url === '/') return run(request, answer);
  if (url.startsWith('/events')) return events(request, answer);
  if (url.startsWith('/push')) return push(request, answer);
  if (url.startsWith('/cut')) {
    streamOf(url).readers.forEach((reader) => reader.destroy());
    return answer.end();
  }
  if (url === '/seen') return answer.end(JSON.stringify({ ...seen, readers: readers().length }));
  if (url === '/interrupt') {
    seen.interrupts += 1;
    return answer.end('{}');
  }
  if (url === '/feedback') {
    seen.feedback.push(JSON.parse(await body(request)));
    return answer.end('{"type":"CUSTOM","name":"thanks","value":1}');
  }
  if (url === '/capabilities') return answer.end('{"tools":true}');
  if (url.startsWith('/tasks')) return answer.end(JSON.stringify({ url }));
  return answer.writeHead(404).end();
});

const beat = setInterval(() => readers().forEach((reader) => reader.write(': hb\n\n')), 500);
beat.unref();
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  say('ready', { port: server.address().port });
});
