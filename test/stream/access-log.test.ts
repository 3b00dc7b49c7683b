// Access logs: what lines say and cannot be made to say, which exchanges get one, and what a slow, failing or moved file costs.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Writer } from '../../src/core/bytes.js';
import { FakeClock } from '../../src/core/clock-fake.js';
import { setClock } from '../../src/core/clock.js';
import { check, formatProblem } from '../../src/core/config/check.js';
import { loadText } from '../../src/core/config/load.js';
import type { Log } from '../../src/core/log.js';
import { Stats } from '../../src/core/stats.js';
import { ConnectionInfo } from '../../src/network/wire.js';
import { defaultFields, defaultText, type FormatConfig, LineFormat } from '../../src/stream/access-log-format.js';
import { BLOCK_BYTES, FLUSH_MS, type LineFiles, LineSink, LineSinks, WriteGate } from '../../src/stream/access-log-sink.js';
import { AccessLog, type AccessLogConfig, accessLogSchema, defaultAccessLogs, isError } from '../../src/stream/access-log.js';
import { Captures, ExchangeRecord, setRequestIdPrefix } from '../../src/stream/record.js';
import { FakeHead, httpHead, rpcHead } from '../support/fake-head.js';

const client = Object.assign(new ConnectionInfo(), { remoteAddress: '10.1.2.3', remotePort: 4711, localAddress: '10.0.0.1', localPort: 80 });

function exchange(head: FakeHead, captures: Captures, more: Partial<ExchangeRecord> = {}): ExchangeRecord {
  const record = new ExchangeRecord();
  record.captureRequest(head, captures);
  Object.assign(record, { start: 1000, requestDone: 1000.1, firstReplyByte: 1003, end: 1004.25, protocol: 'http1', listener: 'web', downstream: client, sequence: 9, routeName: 'app/1', clusterName: 'app', status: 200, rawStatus: 200, bytesIn: 120, bytesOut: 340, ...more });
  return record;
}

function lineOf(config: FormatConfig, head: FakeHead, more: Partial<ExchangeRecord> = {}, prepare: (record: ExchangeRecord) => void = () => {}): string {
  const captures = new Captures();
  const format = new LineFormat(config, captures);
  const record = exchange(head, captures, more);
  prepare(record);
  const bound = format.bound(record);
  assert.ok(bound <= format.worst);
  const w = new Writer(Buffer.alloc(bound));
  format.write(w, record);
  assert.ok(w.pos <= bound, `${w.pos} bytes, ${bound} announced`);
  const line = Buffer.from(w.buf.subarray(0, w.pos)).toString();
  assert.match(line, /^[^\n]*\n$/);
  return line.slice(0, -1);
}

const good = (record: ExchangeRecord): void => {
  record.beginAttempt('10.0.0.9:80', 1000.2, true);
  record.endAttempt('', '', 1004);
};

describe('a text line', () => {
  let undo: () => void;
  beforeEach(() => {
    undo = setClock(new FakeClock(1000, Date.UTC(2024, 0, 1)));
    setRequestIdPrefix('w0-');
  });
  afterEach(() => undo());

  test('of the default format tells the whole story', () => {
    assert.equal(
      lineOf(defaultText, httpHead('GET', '/a?b=c'), {}, good),
      '[2024-01-01T00:00:00.000Z] http1 "GET /a?b=c" 200 - - - 120 340 4.250 3.000 "example.com" 10.1.2.3:4711 w0-9 web app/1 app 10.0.0.9:80',
    );
  });

  test('of a failure names reason, side and attempts', () => {
    const line = lineOf(defaultText, rpcHead('com.x.Orders', 'find'), { code: 'connect-refused', status: 503, protocol: 'bolt', firstReplyByte: 0 }, (record) => {
      record.beginAttempt('10.0.0.8:80', 1001, false);
      record.endAttempt('connect-refused', 'ECONNREFUSED', 1001.5);
      record.beginAttempt('10.0.0.9:80', 1002, false);
      record.endAttempt('connect-refused', 'ECONNREFUSED', 1002.25);
    });
    assert.equal(
      line,
      '[2024-01-01T00:00:00.000Z] bolt "com.x.Orders.find" 503 UF connect-refused upstream 120 340 4.250 - "-" 10.1.2.3:4711 w0-9 web app/1 app ' +
        '10.0.0.8:80=connect-refused/ECONNREFUSED/0.500ms,10.0.0.9:80=connect-refused/ECONNREFUSED/0.250ms',
    );
  });

  test('cannot be forged by what a client sends', () => {
    const evil = 'x" 200\n[2024] "\u0000\u001b[2J\u007f\u009f\u202e\\';
    const quoted = lineOf('"%request_header_a%" end', new FakeHead({ a: evil }));
    assert.equal(quoted, '"x\\" 200\\x0a[2024] \\"\\x00\\x1b[2J\\x7f\\xc2\\x9f\\xe2\\x80\\xae\\\\" end');
    assert.equal(lineOf('%request_header_a% end', new FakeHead({ a: 'a b' })), 'a\\x20b end');
    assert.equal(lineOf('"%request_header_a%" %request_header_a% "%request_header_a%"', new FakeHead({ a: 'a b' })), '"a b" a\\x20b "a b"');
  });

  test('has a dash for what is absent or empty', () => {
    assert.equal(lineOf('%service% %request_header_a% %response_header_b% %errno% 100%%', new FakeHead({ a: '' })), '- - - - 100%');
  });

  test('has headers of the reply', () => {
    const captures = new Captures();
    const format = new LineFormat('%response_header_server%', captures);
    const record = exchange(new FakeHead(), captures);
    record.captureReply(new FakeHead({ Server: 'nginx' }));
    const w = new Writer(Buffer.alloc(format.bound(record)));
    format.write(w, record);
    assert.equal(Buffer.from(w.buf.subarray(0, w.pos)).toString(), 'nginx\n');
  });

  test('takes nothing from a record captured for another log', () => {
    const format = new LineFormat('%path%', new Captures());
    const w = new Writer(Buffer.alloc(100_000));
    const other = new Captures();
    new LineFormat('%request_header_secret%', other);
    format.write(w, exchange(new FakeHead({ secret: 'x' }), other));
    assert.equal(Buffer.from(w.buf.subarray(0, w.pos)).toString(), '-\n');
  });

  test('never takes more than it announced, whatever was captured', () => {
    const worst = new FakeHead({ ':method': '\u0001'.repeat(2000), ':path': '"'.repeat(3000), ':authority': '\u00ff'.repeat(2000), a: '\u0001'.repeat(5000) });
    for (const config of [defaultText, defaultFields, '%path%%path%%path%%request_header_a%', { a: '%request_header_a%-%request_header_a%', b: '%authority%' }]) {
      lineOf(config, worst, { code: 'bad-request', context: { detail: '\u00ff'.repeat(5000) }, routeName: 'é'.repeat(900), listener: '\u0001'.repeat(900) }, (record) => {
        for (let i = 0; i < 40; i++) {
          record.beginAttempt('é'.repeat(500), 1, false);
          record.endAttempt('connect-failed', 'é'.repeat(200), 1e9);
        }
      });
    }
  });
});

describe('a JSON line', () => {
  test('is valid, with numbers as numbers, absent values as null and attempts as a list', () => {
    const line = JSON.parse(lineOf(defaultFields, httpHead('GET', '/a'), { code: 'upstream-reset', status: 502, context: { host: '10.0.0.9:80' } }, (record) => {
      record.beginAttempt('10.0.0.9:80', 1001, true);
      record.endAttempt('upstream-reset', 'ECONNRESET', 1001.5);
    })) as Record<string, unknown>;
    assert.deepEqual(Object.keys(line), Object.keys(defaultFields));
    assert.equal(line['response_code'], 502);
    assert.equal(line['duration'], 4.25);
    assert.equal(line['trace_id'], null);
    assert.equal(line['reason_text'], 'host 10.0.0.9:80 reset the connection before it replied');
    assert.deepEqual(line['attempts'], [{ host: '10.0.0.9:80', reason: 'upstream-reset', errno: 'ECONNRESET', ms: 0.5, reused: true }]);
  });

  test('of a good exchange has no reason and one attempt without errno', () => {
    const line = JSON.parse(lineOf(defaultFields, httpHead('GET', '/a'), {}, good)) as Record<string, unknown>;
    assert.equal(line['reason'], null);
    assert.deepEqual(line['attempts'], [{ host: '10.0.0.9:80', reason: null, errno: null, ms: 3.8, reused: true }]);
    assert.deepEqual(JSON.parse(lineOf({ attempts: '%attempts%' }, httpHead('GET', '/a'))), { attempts: [] });
  });

  test('escapes values and names', () => {
    const evil = 'q"b\\n\nt\tz\u0000é\u{1f600}\u007f';
    assert.deepEqual(JSON.parse(lineOf({ 'a "b"': '%request_header_a%', c: 'x "y" %request_header_a%!', d: '%request_header_none% z' }, new FakeHead({ a: evil }))), { 'a "b"': evil, c: `x "y" ${evil}!`, d: '- z' });
  });

  test('is valid even if a header is not UTF-8', () => {
    const head = new FakeHead();
    head.find = (name) => {
      head.vbuf = Buffer.from([0x61, 0xff, 0xc3, 0x28, 0x22]);
      head.vstart = 0;
      head.vend = 5;
      return name.name === 'a';
    };
    assert.deepEqual(JSON.parse(lineOf({ a: '%request_header_a%' }, head)), { a: 'a\ufffd\ufffd("' });
  });

  test('keeps the type of what stands alone, and makes text of the rest', () => {
    assert.deepEqual(JSON.parse(lineOf({ n: '%bytes_sent%', t: '%bytes_sent% B', e: '' }, new FakeHead())), { n: 340, t: '340 B', e: '' });
  });
});

describe('the configuration of an access log', () => {
  const read = (yaml: string): readonly AccessLogConfig[] | string => {
    const checked = check(accessLogSchema, loadText(yaml, 'x', {}));
    return checked.ok ? checked.value : checked.problems.map(formatProblem).join('\n');
  };
  test('may be one log, a list, a path or false', () => {
    assert.deepEqual(read('false'), []);
    assert.deepEqual(read('{}'), defaultAccessLogs);
    assert.deepEqual(read('/var/log/a'), [{ ...defaultAccessLogs[0], path: '/var/log/a' }]);
    assert.deepEqual(read('[{path: a, format: json, when: errors}, {format: "%path%\\n", when: sample 100}]'), [
      { path: 'a', format: defaultFields, when: { every: 0 } },
      { path: 'stdout', format: '%path%', when: { every: 100 } },
    ]);
    assert.deepEqual(read('{format: {p: "%path%"}}'), [{ path: 'stdout', format: { p: '%path%' }, when: { every: 1 } }]);
  });

  const refusals: [string, RegExp][] = [
    ['{format: jsn}', /format: expected text, json, or a text with %variables%/],
    ['{format: "%pth%"}', /did you mean %path%\?/],
    ['{format: {p: "%pth%"}}', /format\.p: .*did you mean %path%\?/],
    ['{format: {}}', /at least one field/],
    ['{when: sample}', /all, errors, or "sample N"/],
    ['{when: sample 0}', /all, errors, or "sample N"/],
    ['{pth: a}', /pth: unknown key \(did you mean path\?\)/],
    [`{format: "${'%path%'.repeat(6)}"}`, /uses each header at most four times/],
  ];
  for (const [yaml, wanted] of refusals) {
    test(`refuses ${yaml.slice(0, 40)}`, () => {
      const problems = read(yaml);
      assert.equal(typeof problems, 'string', 'it was accepted');
      assert.match(problems as string, wanted);
    });
  }
});

/** Files in memory; each write waits until the test lets it happen. */
class FakeFiles implements LineFiles {
  text = '';
  readonly calls: string[] = [];
  /** Writes that wait. */
  readonly waiting: (() => void)[] = [];
  manual = false;
  /** How the next writes end: an errno, or how many bytes are taken; all when empty. */
  readonly outcomes: (string | number)[] = [];
  openError = '';
  private nextFd = 10;

  open(path: string, done: (error: NodeJS.ErrnoException | null, fd: number) => void): void {
    this.calls.push(`open ${path}`);
    const error = this.openError === '' ? null : Object.assign(new Error(this.openError), { code: this.openError });
    setImmediate(() => done(error, error === null ? this.nextFd++ : -1));
  }

  write(fd: number, buf: Uint8Array, start: number, length: number, done: (error: NodeJS.ErrnoException | null, written: number) => void): void {
    this.calls.push(`write ${fd}`);
    const finish = (): void => {
      const outcome = this.outcomes.shift();
      if (typeof outcome === 'string') {
        done(Object.assign(new Error(outcome), { code: outcome }), 0);
        return;
      }
      const n = Math.min(outcome ?? length, length);
      this.text += Buffer.from(buf.subarray(start, start + n)).toString();
      done(null, n);
    };
    if (this.manual) this.waiting.push(finish);
    else setImmediate(finish);
  }

  close(fd: number): void {
    this.calls.push(`close ${fd}`);
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await turn();
  assert.ok(condition(), 'it did not come about');
}

describe('a sink', () => {
  let clock: FakeClock;
  let undo: () => void;
  let files: FakeFiles;
  let warnings: unknown[];
  beforeEach(() => {
    clock = new FakeClock();
    undo = setClock(clock);
    files = new FakeFiles();
    warnings = [];
  });
  afterEach(() => undo());

  const captures = new Captures();
  const format = new LineFormat('%path%', captures);
  const line = (path: string): ExchangeRecord => exchange(httpHead('GET', path), captures);
  const sinkOf = (path = 'stdout', gate: WriteGate | null = null): LineSink => new LineSink(path, { stats: new Stats(), log: { warn: (fields: unknown) => warnings.push(fields) } as unknown as Log, gate, files });
  const counts = (sink: LineSink): [number, number] => [sink.written.value, sink.dropped.value];

  test('writes what came in 200 ms at once', async () => {
    const sink = sinkOf();
    sink.write(format, line('/1'));
    clock.advance(FLUSH_MS / 2);
    sink.write(format, line('/2'));
    await turn();
    assert.deepEqual(files.calls, []);
    clock.advance(FLUSH_MS);
    await until(() => sink.written.value === 2);
    assert.deepEqual(files.calls, ['write 1']);
    assert.equal(files.text, '/1\n/2\n');
  });

  test('writes at once when a block is full, and fills the other meanwhile', async () => {
    const sink = sinkOf();
    const record = line(`/${'x'.repeat(900)}`);
    let n = 0;
    while (files.calls.length === 0) {
      sink.write(format, record);
      n++;
    }
    assert.ok(n * 902 > BLOCK_BYTES * 0.8 && n * 902 <= BLOCK_BYTES + 902, `${n} lines`);
    await until(() => sink.written.value === n - 1);
    await sink.flush();
    assert.deepEqual(counts(sink), [n, 0]);
    assert.equal(files.lines.length, n);
  });

  test('drops lines and counts them when both blocks are in use, and goes on when one is free', async () => {
    files.manual = true;
    const sink = sinkOf();
    const record = line(`/${'x'.repeat(900)}`);
    for (let i = 0; i < 1000; i++) sink.write(format, record);
    const dropped = sink.dropped.value;
    assert.ok(dropped > 300 && dropped < 700, String(dropped));
    assert.equal(files.waiting.length, 1);
    files.manual = false;
    files.waiting.shift()!();
    await sink.flush();
    sink.write(format, line('/after'));
    await sink.flush();
    assert.equal(files.lines.at(-1), '/after');
    assert.deepEqual(counts(sink), [1001 - dropped, dropped]);
    assert.equal(files.lines.length, 1001 - dropped);
  });

  test('goes on where a partial write ended', async () => {
    files.outcomes.push(2, 1);
    const sink = sinkOf();
    sink.write(format, line('/abc'));
    sink.write(format, line('/def'));
    await sink.flush();
    assert.equal(files.text, '/abc\n/def\n');
    assert.equal(files.calls.length, 3);
  });

  test('tries again later when a pipe is full', async () => {
    files.outcomes.push(3, 'EAGAIN', 'EAGAIN');
    const sink = sinkOf();
    sink.write(format, line('/abc'));
    const flushed = sink.flush();
    for (const writes of [2, 3]) {
      await until(() => files.calls.length === writes);
      await turn();
      clock.advance(100);
    }
    await flushed;
    assert.equal(files.text, '/abc\n');
    assert.deepEqual(counts(sink), [1, 0]);
  });

  test('counts what a failing disk loses, says so once in a while, and writes again when it can', async () => {
    files.outcomes.push(5, 'ENOSPC');
    const sink = sinkOf('/var/log/a');
    sink.write(format, line('/abc'));
    sink.write(format, line('/def'));
    sink.write(format, line('/ghi'));
    await sink.flush();
    assert.deepEqual(counts(sink), [1, 2]);
    assert.equal(warnings.length, 1);
    files.outcomes.push('EIO');
    sink.write(format, line('/x'));
    await sink.flush();
    assert.equal(warnings.length, 1, 'one warning in ten seconds');
    sink.write(format, line('/y'));
    await sink.flush();
    assert.equal(files.text, '/abc\n/y\n');
    assert.deepEqual(files.calls, ['open /var/log/a', 'write 10', 'write 10', 'close 10', 'open /var/log/a', 'write 11', 'close 11', 'open /var/log/a', 'write 12']);
  });

  test('survives a file that cannot be opened', async () => {
    files.openError = 'EACCES';
    const sink = sinkOf('/root/a');
    sink.write(format, line('/a'));
    await sink.flush();
    assert.deepEqual(counts(sink), [0, 1]);
    files.openError = '';
    sink.write(format, line('/b'));
    await sink.flush();
    assert.equal(files.text, '/b\n');
  });

  test('opens its file anew on demand, between two writes', async () => {
    const sink = sinkOf('/var/log/a');
    sink.write(format, line('/a'));
    await sink.flush();
    files.manual = true;
    sink.write(format, line('/b'));
    const flushed = sink.flush();
    const reopened = sink.reopen();
    await turn();
    assert.deepEqual(files.calls.slice(-1), ['write 10'], 'the running write goes first');
    files.manual = false;
    files.waiting.shift()!();
    await Promise.all([flushed, reopened]);
    sink.write(format, line('/c'));
    await sink.flush();
    assert.deepEqual(files.calls, ['open /var/log/a', 'write 10', 'write 10', 'close 10', 'open /var/log/a', 'write 11']);
    assert.equal(files.text, '/a\n/b\n/c\n');
  });

  test('writes the rest when it is closed, and counts what comes later', async () => {
    const sink = sinkOf('/var/log/a');
    sink.write(format, line('/a'));
    await sink.close();
    assert.equal(files.text, '/a\n');
    assert.equal(files.calls.at(-1), 'close 10');
    sink.write(format, line('/late'));
    clock.advance(1000);
    await turn();
    assert.deepEqual(counts(sink), [1, 1]);
    await sink.close();
    assert.equal(files.calls.filter((c) => c.startsWith('close')).length, 1);
  });

  test('lets one worker at a time write to standard output', async () => {
    const cells = new Int32Array(new SharedArrayBuffer(4));
    files.manual = true;
    const [a, b] = [sinkOf('stdout', new WriteGate(cells, 0, 1)), sinkOf('stdout', new WriteGate(cells, 0, 2))];
    a.write(format, line('/a'));
    b.write(format, line('/b'));
    const flushed = Promise.all([a.flush(), b.flush()]);
    assert.equal(files.waiting.length, 1);
    clock.advance(100);
    assert.equal(files.waiting.length, 1, 'the other one waits');
    files.waiting.shift()!();
    clock.advance(100);
    await until(() => files.waiting.length === 1);
    files.waiting.shift()!();
    await flushed;
    assert.equal(files.text, '/a\n/b\n');
    assert.equal(Atomics.load(cells, 0), 0);
  });

  test('of a worker that died can be opened for the others', () => {
    const cells = new Int32Array(new SharedArrayBuffer(4));
    const dead = new WriteGate(cells, 0, 1);
    assert.equal(dead.tryEnter(), true);
    const alive = new WriteGate(cells, 0, 2);
    assert.equal(alive.tryEnter(), false);
    alive.leave();
    assert.equal(alive.tryEnter(), false, 'only on behalf of who holds it');
    dead.leave();
    assert.equal(alive.tryEnter(), true);
  });
});

describe('an access log', () => {
  const deps = (): { stats: Stats; log: Log; gate: null } => ({ stats: new Stats(), log: { warn() {} } as unknown as Log, gate: null });
  const configs = (yaml: string): readonly AccessLogConfig[] => {
    const checked = check(accessLogSchema, loadText(yaml, 'x', {}));
    assert.ok(checked.ok);
    return checked.value;
  };
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'access-log-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const read = (name: string): string[] => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1);

  async function written(when: string, records: Partial<ExchangeRecord>[]): Promise<string[]> {
    const sinks = new LineSinks(deps());
    const captures = new Captures();
    const [config] = configs(`{path: ${join(folder, 'a.log')}, format: "%response_code% %reason%", when: ${when}}`);
    const log = new AccessLog(config!, { sinks, captures });
    for (const more of records) log.write(exchange(new FakeHead(), captures, more));
    await log.close();
    try {
      return read('a.log');
    } catch {
      return [];
    }
  }

  const mixed: Partial<ExchangeRecord>[] = [{ status: 200 }, { status: 404 }, { status: 404, code: 'no-route' }, { status: 500 }, { status: 0, code: 'downstream-closed' }, { status: 301, code: 'direct-response' }];

  test('writes all exchanges', async () => {
    assert.deepEqual(await written('all', mixed), ['200 -', '404 -', '404 no-route', '500 -', '- downstream-closed', '301 direct-response']);
  });

  test('writes those that failed', async () => {
    assert.deepEqual(await written('errors', mixed), ['404 no-route', '500 -', '- downstream-closed']);
    assert.equal(isError(exchange(new FakeHead(), new Captures())), false);
  });

  test('writes those that failed and one in some of the others', async () => {
    const list = Array.from({ length: 10 }, (_, i): Partial<ExchangeRecord> => ({ status: 200 + i }));
    assert.deepEqual(await written('sample 3', [...list, { status: 500 }]), ['202 -', '205 -', '208 -', '500 -']);
  });

  test('appends to its file, and goes on in a new one after the old was moved away', async () => {
    const sinks = new LineSinks(deps());
    const captures = new Captures();
    const [config] = configs(`{path: ${join(folder, 'a.log')}, format: "%path%"}`);
    const [one, two] = [new AccessLog(config!, { sinks, captures }), new AccessLog(config!, { sinks, captures })];
    one.write(exchange(httpHead('GET', '/1'), captures));
    two.write(exchange(httpHead('GET', '/2'), captures));
    await sinks.flush();
    renameSync(join(folder, 'a.log'), join(folder, 'a.log.1'));
    await sinks.reopen();
    one.write(exchange(httpHead('GET', '/3'), captures));
    await one.close();
    two.write(exchange(httpHead('GET', '/4'), captures));
    await two.close();
    assert.deepEqual(read('a.log.1'), ['/1', '/2']);
    assert.deepEqual(read('a.log'), ['/3', '/4']);
    assert.equal(statSync(join(folder, 'a.log')).mode & 0o007, 0, 'not for everybody to read');
  });

  test('that was closed while exchanges ran loses their lines and nothing else', async () => {
    const sinks = new LineSinks(deps());
    const captures = new Captures();
    const [config] = configs(`{path: ${join(folder, 'a.log')}, format: "%path%"}`);
    const old = new AccessLog(config!, { sinks, captures });
    const record = exchange(httpHead('GET', '/late'), captures);
    await old.close();
    old.write(record);
    const next = new AccessLog(config!, { sinks, captures });
    next.write(record);
    await sinks.close();
    assert.deepEqual(read('a.log'), ['/late']);
  });
});
