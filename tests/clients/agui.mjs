// agui.mjs MODE URL ...: unmodified AG-UI and SSE clients against a session.
//   run URL WORD      posts a run with HttpAgent; prints messages, state and what went wrong
//   abort URL         posts a run of 200 events and leaves at its start
//   check FILE        replays an export, or each of a folder, through the protocol's own schema,
//                     chunks and order
//   apply DIR           what a client has after each export NAME.jsonl of a folder, by NAME
//   follow URL COUNT  follows agui/events with `eventsource` until COUNT ids came; prints them all
import fs from 'node:fs';
import { HttpAgent, defaultApplyEvents, transformChunks, verifyEvents } from '@ag-ui/client';
import { EventSchemas } from '@ag-ui/core/schemas';
import { EventSource } from 'eventsource';
import { from, lastValueFrom, toArray } from 'rxjs';
import { say } from './page.mjs';

process.env.SUPPRESS_TRANSFORMATION_WARNINGS = '1';
const [mode, url, argument] = process.argv.slice(2);

async function run(word, leave) {
  const agent = new HttpAgent({ url, threadId: 'thread' });
  agent.addMessage({ id: `u-${Date.now()}-${word}`, role: 'user', content: word });
  const types = [];
  let failed = null;
  try {
    await agent.runAgent({}, {
      onEvent: ({ event }) => {
        types.push(event.type);
        if (leave && event.type === 'RUN_STARTED') agent.abortRun();
      },
      onRunErrorEvent: ({ event }) => { failed = { message: event.message, code: event.code }; },
    });
  } catch (error) {
    failed ??= { message: String(error) };
  }
  say('done', { types, failed, messages: agent.messages, state: agent.state });
}

// Clients drop types that they do not know, turn retired ones into others, and read some nulls as
// absent, before they look at the fields.
function read(file) {
  const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    const event = JSON.parse(line);
    const nulls = ['parentMessageId', 'outcome', 'result', 'rawEvent'];
    nulls.filter((field) => event[field] === null).forEach((field) => delete event[field]);
    return event;
  });
}

async function check(file) {
  let refused = null;
  let schema = 0;
  const events = read(file);
  for (const event of events) {
    const known = EventSchemas.safeParse(event);
    if (!known.success && !known.error.issues.some(({ path }) => path.at(-1) === 'type')) {
      schema += 1;
      refused ??= `${JSON.stringify(event)}: ${known.error.message}`;
    }
  }
  try {
    const stream = from(events).pipe(transformChunks(false), verifyEvents(false), toArray());
    await lastValueFrom(stream);
  } catch (error) {
    refused ??= String(error);
  }
  return { events: events.length, schema, refused };
}

async function checkAll(path) {
  const folder = fs.statSync(path).isDirectory();
  const files = folder ? fs.readdirSync(path).map((name) => `${path}/${name}`) : [path];
  const all = { events: 0, schema: 0, refused: null };
  for (const file of files) {
    const one = await check(file);
    all.events += one.events;
    all.schema += one.schema;
    if (one.refused) all.refused ??= folder ? `${file}: ${one.refused}` : one.refused;
  }
  say('checked', all);
}

// What a client has after an export. It makes up ids for thoughts that have none, so those are left
// out on both sides.
async function outcome(file) {
  const known = (event) => EventSchemas.safeParse(event).success;
  const events = read(file).filter((event) => known(event) && !event.type.startsWith('THINKING_'));
  const stream = from(events).pipe(transformChunks(false), verifyEvents(false));
  const input = { messages: [], state: {} };
  const agent = { messages: [] };
  const steps = await lastValueFrom(defaultApplyEvents(input, stream, agent, []).pipe(toArray()));
  const last = (field, none) => steps.findLast((step) => step[field] !== undefined)?.[field] ?? none;
  const messages = last('messages', []).filter(({ id }) => !id.startsWith('lk-thinking-'));
  return { messages, state: last('state', {}) };
}

async function apply(folder) {
  const outcomes = {};
  console.warn = () => {};
  for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.jsonl'))) {
    outcomes[file.slice(0, -6)] = await outcome(`${folder}/${file}`);
  }
  say('applied', { outcomes });
}

async function follow(count) {
  const ids = [];
  const gaps = [];
  let opened = 0;
  const source = new EventSource(url);
  source.onopen = () => { opened += 1; };
  source.addEventListener('lk.gap', ({ data }) => gaps.push(JSON.parse(data)));
  await new Promise((done) => {
    source.onmessage = ({ lastEventId }) => {
      // What has come together is told together, also behind the last one that is wanted.
      if (ids.length >= count) return;
      ids.push(lastEventId);
      if (ids.length === 1) say('first');
      if (ids.length >= count) done();
    };
  });
  source.close();
  say('followed', { ids, gaps, opened });
}

if (mode === 'run') await run(argument, false);
else if (mode === 'abort') await run('tick 200', true);
else if (mode === 'check') await checkAll(url);
else if (mode === 'apply') await apply(url);
else await follow(Number(argument));
