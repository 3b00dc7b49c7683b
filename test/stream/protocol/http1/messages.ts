// Random HTTP/1.1 messages, mostly valid, and damage to them; every choice comes from one seeded generator.
import type { Random } from '../../../support/fuzz.js';

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!;

const fields = [
  'Accept: */*', 'x-empty:', 'X-Long: ' + 'v'.repeat(300), 'Connection: close', 'connection: keep-alive', 'Connection: X-Hop, keep-alive', 'X-Hop: 1', 'Keep-Alive: timeout=5',
  'Proxy-Connection: keep-alive', 'TE: trailers', 'TE: gzip', 'Cookie: a=b; c=d', 'x-tab:\ta\tb\t', 'Trailer: T', 'Date: Mon, 01 Jan 2024 00:00:00 GMT', 'X-Obs: \xfc',
];

function someFields(random: Random): string {
  let text = '';
  for (let n = random(6); n > 0; n--) text += `${pick(random, fields)}\r\n`;
  return text;
}

function chunks(random: Random): string {
  let text = '';
  for (let n = random(4); n > 0; n--) {
    const size = 1 + random(random(8) === 0 ? 3000 : 40);
    const digits = size.toString(16);
    text += `${pick(random, ['', '0', '00'])}${random(2) === 0 ? digits : digits.toUpperCase()}${pick(random, ['', '', ';a', ';a=b;c="d"'])}\r\n${'c'.repeat(size)}\r\n`;
  }
  return `${text}${pick(random, ['0', '000', '0;last'])}\r\n${pick(random, ['', '', 'T: 1\r\n', 'T: 1\r\nContent-Length: 7\r\nU:2\r\n'])}\r\n`;
}

/** A header section's framing lines and the body that fits them; '' where there is none. */
function framing(random: Random): readonly [lines: string, body: string] {
  const size = random(random(10) === 0 ? 50_000 : 60);
  switch (random(4)) {
    case 0: return [`${pick(random, ['Content-Length', 'content-length'])}: ${pick(random, ['', '00'])}${size}\r\n`, 'b'.repeat(size)];
    case 1: return [`${pick(random, ['Transfer-Encoding: chunked', 'transfer-encoding:Chunked'])}\r\n`, chunks(random)];
    default: return ['', ''];
  }
}

/** A request that `node:http` understands as well: known methods, no raw bytes over 127 in the target. */
export function randomRequest(random: Random): string {
  const [lines, body] = framing(random);
  const method = lines === '' ? pick(random, ['GET', 'HEAD', 'DELETE', 'OPTIONS']) : pick(random, ['POST', 'PUT', 'PATCH']);
  const old = lines.toLowerCase().startsWith('transfer') ? false : random(5) === 0;
  const target = pick(random, ['/', '/a/b?c=d&e', `/${'p'.repeat(random(200))}`, 'http://b.example:81/x?y', 'http://b', '/%7B~*()']);
  const parts = [`Host: ${pick(random, ['a', 'a.example:8080', '[::1]:80'])}\r\n`, someFields(random), lines, someFields(random)];
  if (lines === '' && random(6) === 0) parts.push('Upgrade: websocket\r\nConnection: upgrade\r\n');
  if (lines !== '' && !old && random(6) === 0) parts.push('Expect: 100-continue\r\n');
  if (random(2) === 0) parts.reverse();
  return `${random(8) === 0 ? '\r\n' : ''}${method} ${target} HTTP/1.${old ? 0 : 1}\r\n${parts.join('')}\r\n${body}`;
}

/** A reply, and whether it runs until the host ends. */
export function randomReply(random: Random, head: boolean): string {
  const status = pick(random, [200, 200, 201, 204, 304, 404, 500, 799]);
  let text = '';
  for (let n = random(3); n > 0; n--) text += `HTTP/1.1 ${pick(random, [100, 102, 103])} Go on\r\n${someFields(random)}\r\n`;
  const [lines, body] = framing(random);
  const old = !lines.toLowerCase().startsWith('transfer') && random(6) === 0;
  const none = head || status === 204 || status === 304;
  const rest = none ? '' : lines === '' ? 'until the end' : body;
  return `${text}HTTP/1.${old ? 0 : 1} ${status}${pick(random, [' ', ' Well', ' caf\xe9 \tau lait', ''])}\r\n${someFields(random)}${lines}${someFields(random)}\r\n${rest}`;
}

const fragments = [
  '\r', '\n', '\r\n', '\r\n\r\n', ' ', '\t', ':', '\0', '\x7f', '\x0b', ',', ';', '0', '5\r\n', '0\r\n\r\n', '+', '-', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: gzip, chunked\r\n', 'Host: b\r\n', ' folded\r\n', 'HTTP/1.1', 'HTTP/2.0', 'GET / HTTP/1.1\r\nHost: c\r\n\r\n', 'chunked', 'Connection: host\r\n', 'Expect: x\r\n', '\xff',
];

/** Few changes that keep most of the message plausible. */
export function damage(random: Random, text: string): string {
  for (let n = 1 + random(3); n > 0; n--) {
    // Mostly near the beginning, where the head is.
    const at = random(random(3) === 0 ? text.length + 1 : Math.min(300, text.length + 1));
    switch (random(5)) {
      case 0: text = text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1); break;
      case 1: text = text.slice(0, at) + text.slice(at + 1 + random(4)); break;
      case 2: text = text.slice(0, at) + text.slice(at, at + random(40)) + text.slice(at); break;
      case 3: text = text.slice(0, random(text.length + 1)); break;
      default: text = text.slice(0, at) + pick(random, fragments) + text.slice(at);
    }
  }
  return text;
}

export function randomBytes(random: Random): string {
  const alphabet = random(2) === 0 ? 256 : 8;
  let text = '';
  for (let n = random(200); n > 0; n--) text += alphabet === 256 ? String.fromCharCode(random(256)) : pick(random, ['G', ' ', '/', '\r', '\n', ':', '1', 'H']);
  return text;
}

export function randomCuts(random: Random, length: number): number[] {
  return Array.from({ length: random(9) }, () => random(length + 1)).sort((a, b) => a - b);
}
