// Follows a stream of events as a web page would, until an event of type `test_end`.
import { EventSource } from 'eventsource';

const say = (step, more = {}) => console.log(JSON.stringify({ step, ...more }));
const stream = new EventSource(process.argv[2]);

let opened = 0;

stream.onopen = () => say(`open ${(opened += 1)}`);
stream.onerror = (error) => say('error', { code: error.code ?? null, state: stream.readyState });
stream.addEventListener('gap', (gap) => say('gap', { data: gap.data }));
stream.onmessage = (message) => {
  const event = JSON.parse(message.data);
  say('event', { id: message.lastEventId, cursor: `${event.epoch}-${event.offset}`, type: event.type });
  if (event.type === 'test_end') {
    stream.close();
  }
};
