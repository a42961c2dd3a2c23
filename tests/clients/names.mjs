// node --import ./names.mjs ...: every name under localhost is this machine, as RFC 6761 section 6.3
// asks of resolvers and as browsers, macOS and systemd-resolved do. Node asks the C library, which
// on some hosts does not.
import dns from 'node:dns';

const ours = (name) => typeof name === 'string' && name.toLowerCase().endsWith('.localhost');
const { lookup } = dns;
const promised = dns.promises.lookup;

dns.lookup = (name, options, done) => lookup(ours(name) ? 'localhost' : name, options, done);
dns.promises.lookup = (name, options) => promised(ours(name) ? 'localhost' : name, options);
