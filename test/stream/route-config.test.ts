// Route tables as they are written: what is accepted, what each refusal says and where it points, and what a check warns of.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { check, formatProblem } from '../../src/core/config/check.js';
import { toJsonSchema } from '../../src/core/config/json-schema.js';
import { loadText } from '../../src/core/config/load.js';
import { listOptions } from '../../src/core/config/options.js';
import { covers, routeWarnings } from '../../src/stream/route-check.js';
import { type MatchConfig, type RouteTableConfig, routesSchema, routeTableSchema } from '../../src/stream/route-config.js';

/** The table, or its problems as text without the place in the file. */
function read(yaml: string): { value?: RouteTableConfig; problems: string[] } {
  const checked = check(routeTableSchema, loadText(yaml, 'x', {}));
  return checked.ok ? { value: checked.value as RouteTableConfig, problems: [] } : { problems: checked.problems.map((p) => formatProblem(p).replace(/^x:/, '')) };
}

function table(yaml: string): RouteTableConfig {
  const { value, problems } = read(yaml);
  assert.deepEqual(problems, []);
  return value!;
}

const route = (yaml: string): string => `name: t\nroutes:\n  - ${yaml.replaceAll('\n', '\n    ')}\n`;
const matchOf = (yaml: string): MatchConfig => table(route(`cluster: c\nmatch:\n  ${yaml.replaceAll('\n', '\n  ')}`)).routes![0]!.match!;

describe('a route table', () => {
  test('has the defaults of the design', () => {
    const [one] = table(route('cluster: app')).routes!;
    // 15 s, but none for calls that may stream for as long as they like: a route that names one means it for all.
    assert.equal(one!.timeout, undefined);
    assert.equal(one!.stream_idle_timeout, 300_000);
    assert.equal(one!.idempotent, false);
    assert.equal(one!.retry, undefined);
    assert.deepEqual(one!.request_headers, { add: {}, set: {}, remove: [] });
  });

  test('takes all there is', () => {
    const { virtual_hosts: hosts } = table(`
name: main
normalize_path: true
request_headers: {set: {x-table: "1"}}
virtual_hosts:
  - name: app
    domains: [Example.com, "*.example.com:8080", "example.*", "[::1]:80", "*"]
    reply_headers: {remove: [server]}
    routes:
      - name: a
        match: {prefix: /a, method: [GET, POST], headers: [{name: x-env, exact: gray}], header.x-b: {suffix: z, invert: true}, query: [{name: q, present: true}]}
        weighted: [{cluster: one, weight: 90}, {cluster: two, weight: 10}]
        timeout: 2s
        retry: {on: [connect-failure, reset, 5xx], statuses: [429], attempts: 3, per_try_timeout: 500ms, backoff: {base: 10ms, max: 1s}}
        prefix_rewrite: /
        host_rewrite: "%request_header_x-host%"
        filters: {limit: {max: 3}}
      - {match: {path: /b, ignore_case: true}, redirect: {code: 308, scheme: https}}
      - {match: {regex: "/c/[0-9]+"}, direct_response: {status: 418, body: "no %path%"}, retry: false}
      - {terminal: echo}
`);
    assert.deepEqual(hosts[0]!.domains, ['example.com', '*.example.com:8080', 'example.*', '[::1]:80', '*']);
    const [a] = hosts[0]!.routes;
    assert.deepEqual(a!.match!.method, { anyOf: ['GET', 'POST'] });
    assert.equal(a!.match!.headers.length, 2);
    assert.equal(a!.match!.headers[1]!.name, 'x-b');
    assert.equal(a!.match!.headers[1]!.suffix, 'z');
    assert.deepEqual(a!.retry, { on: ['connect-failure', 'reset', '5xx'], statuses: [429], attempts: 3, per_try_timeout: 500, backoff: { base: 10, max: 1000 } });
    assert.deepEqual(a!.filters, { limit: { max: 3 } });
  });

  test('takes RPC conditions in their short form', () => {
    const match = matchOf('service: com.x.Orders\nmethod: find\nversion: "1.0"\ngroup: [a, b]\nheader.env: gray');
    assert.deepEqual(match.service, { exact: 'com.x.Orders' });
    assert.deepEqual(match.method, { exact: 'find' });
    assert.deepEqual(match.group, { anyOf: ['a', 'b'] });
    assert.deepEqual(match.headers, [{ name: 'env', exact: 'gray' }]);
  });

  const refusals: [string, string, RegExp][] = [
    ['no action', route('match: {prefix: /a}'), /^3:5: routes\[0\]: expected exactly one of cluster, weighted, redirect, direct_response, terminal/],
    ['two actions', route('cluster: a\nterminal: b'), /found cluster and terminal/],
    ['an unknown key with its nearest name', route('cluster: a\ntimeuot: 3s'), /^4:5: routes\[0\]\.timeuot: unknown key \(did you mean timeout\?\)/],
    ['an unknown condition with its nearest name', route('cluster: a\nmatch: {prefx: /a}'), /match\.prefx: unknown key \(did you mean prefix\?\)/],
    ['two paths', route('cluster: a\nmatch: {prefix: /a, path: /b}'), /match\.path: expected only one of prefix, path and regex.*found prefix and path/],
    ['a path without slash', route('cluster: a\nmatch: {prefix: a}'), /match\.prefix: expected a path that begins with \//],
    ['a query in a path', route('cluster: a\nmatch: {path: "/a?b"}'), /a path without query or fragment/],
    ['a dangerous expression', route('cluster: a\nmatch: {regex: "(a+)+"}'), /match\.regex: expected a regular expression without repetition inside/],
    ['a broken expression', route('cluster: a\nmatch: {header.x: {regex: "("}}'), /regex: expected a regular expression \(/],
    ['two operators', route('cluster: a\nmatch: {service: {exact: x, prefix: y}}'), /exactly one of exact, prefix, .*found exact and prefix/],
    ['an operator that does not exist', route('cluster: a\nmatch: {service: {exct: x}}'), /exct: unknown key \(did you mean exact\?\)/],
    ['a condition without operator', route('cluster: a\nmatch: {service: {invert: true}}'), /match\.service\.exact: is missing, expected exactly one of exact, prefix/],
    ['case without expression', route('cluster: a\nmatch: {service: {exact: x, ignore_case: true}}'), /ignore_case: expected a regex to go with it/],
    ['a header without name', route('cluster: a\nmatch: {header.: x}'), /the name of a header behind "header\."/],
    ['an unknown variable with its nearest name', route('cluster: a\nrequest_headers: {set: {x-a: "%dowstream_remote_ip%"}}'), /request_headers\.set\.x-a: expected .*did you mean %downstream_remote_ip%\?/],
    ['a variable that is not known yet', route('cluster: a\nrequest_headers: {set: {x-a: "%response_code%"}}'), /known only when the reply has come/],
    ['an edit of framing', route('cluster: a\nrequest_headers: {set: {Content-Length: "1"}}'), /the protocol itself writes this one/],
    ['an edit of host', route('cluster: a\nrequest_headers: {set: {host: x}}'), /use host_rewrite/],
    ['only zero weights', route('weighted: [{cluster: a, weight: 0}]'), /weighted: expected at least one weight above 0|weighted: at least one weight above 0/],
    ['a redirect to nowhere', route('redirect: {code: 301}'), /redirect: expected at least one of scheme, host, path and prefix/],
    ['a code that is no redirect', route('redirect: {code: 304, path: /}'), /redirect\.code/],
    ['a rewrite of a prefix that is not matched', route('cluster: a\nprefix_rewrite: /x'), /prefix_rewrite: expected a match with prefix or path/],
    ['a retry condition that does not exist', route('cluster: a\nretry: {on: [resets]}'), /retry\.on\[0\]: .*did you mean reset\?/],
    ['no attempts', route('cluster: a\nretry: {attempts: 0}'), /retry\.attempts: expected a whole number from 1 to 10/],
    ['a duration without unit', route('cluster: a\ntimeout: 15'), /timeout: expected a duration.*a unit is missing/],
    ['both forms', 'name: t\nroutes: [{cluster: a}]\nvirtual_hosts: [{name: v, routes: []}]', /expected either virtual_hosts or routes/],
    ['neither form', 'name: t', /expected either virtual_hosts or routes/],
    ['a domain twice', 'name: t\nvirtual_hosts:\n  - {name: a, domains: [x.com], routes: []}\n  - {name: b, domains: [y.com, X.com], routes: []}', /virtual_hosts\[1\]\.domains\[1\]: expected a domain of one virtual host only.*x\.com belongs to a/],
    ['a virtual host twice', 'name: t\nvirtual_hosts:\n  - {name: a, domains: [x.com], routes: []}\n  - {name: a, domains: [y.com], routes: []}', /virtual_hosts\[1\]\.name: expected a name that no other virtual host/],
    ['a route name twice', 'name: t\nroutes: [{name: r, cluster: a}, {name: r, cluster: b}]', /routes\[1\]\.name: expected a name that no other route/],
    ['a scheme in a domain', 'name: t\nvirtual_hosts: [{name: a, domains: ["http://x"], routes: []}]', /a scheme or path is not part of a domain/],
    ['a star in the middle', 'name: t\nvirtual_hosts: [{name: a, domains: ["a.*.b"], routes: []}]', /one \* at the beginning or at the end/],
    ['a port that is none', 'name: t\nvirtual_hosts: [{name: a, domains: ["a:70000"], routes: []}]', /a port from 1 to 65535/],
  ];
  for (const [what, yaml, wanted] of refusals) {
    test(`refuses ${what}`, () => {
      const { problems } = read(yaml);
      assert.ok(problems.some((p) => wanted.test(p)), problems.join('\n') || 'it was accepted');
    });
  }

  test('tells several problems at once', () => {
    assert.ok(read(route('cluster: A\ntimeout: soon\nmatch: {regex: "("}')).problems.length >= 3);
  });

  test('refuses a name that another table has', () => {
    const checked = check(routesSchema, loadText('[{name: a, routes: []}, {name: a, routes: []}]', 'x', {}));
    assert.ok(!checked.ok && /\[1\]\.name/.test(checked.problems[0]!.path));
  });

  test('has a sentence for each option, and a JSON Schema', () => {
    for (const row of listOptions(routesSchema)) assert.ok(row.doc.length > 0, row.path);
    const schema = JSON.stringify(toJsonSchema(routesSchema, 'routes'));
    for (const key of ['virtual_hosts', 'prefix_rewrite', 'header.NAME', 'per_try_timeout']) assert.ok(schema.includes(key), key);
  });
});

describe('a check of routes', () => {
  const pairs: [string, string, boolean][] = [
    ['{}', '{prefix: /a}', true],
    ['{prefix: /}', '{prefix: /a}', true],
    ['{prefix: /a}', '{path: /ab}', true],
    ['{prefix: /a}', '{prefix: /}', false],
    ['{prefix: /a}', '{}', false],
    ['{path: /a}', '{path: /a}', true],
    ['{path: /a}', '{prefix: /a}', false],
    ['{prefix: /A, ignore_case: true}', '{prefix: /ab}', true],
    ['{prefix: /a}', '{prefix: /ab, ignore_case: true}', false],
    ['{regex: "/a.*"}', '{regex: "/a.*", header.x: y}', true],
    ['{regex: "/a.*"}', '{path: /ab}', false],
    ['{method: [GET, POST]}', '{method: GET}', true],
    ['{method: GET}', '{method: [GET, POST]}', false],
    ['{method: GET}', '{service: s, method: GET}', false],
    ['{header.x: {present: true}}', '{header.x: {prefix: a}}', true],
    ['{header.x: {present: true}}', '{header.x: {exact: a, invert: true}}', false],
    ['{header.x: {prefix: a}}', '{header.x: abc}', true],
    ['{header.x: {prefix: abc}}', '{header.x: {prefix: a}}', false],
    ['{header.x: {suffix: c}}', '{header.x: [abc, bc]}', true],
    ['{header.x: {contains: b}}', '{header.x: {prefix: abc}}', true],
    ['{header.x: a}', '{header.y: a}', false],
    ['{header.x: a, header.y: b}', '{header.y: b, header.x: a, service: s}', true],
    ['{service: {absent: true}}', '{service: {absent: true}}', true],
    ['{query: [{name: q, present: true}]}', '{query: [{name: q, exact: "1"}]}', true],
    ['{query: [{name: q, present: true}]}', '{prefix: /}', false],
  ];
  for (const [earlier, later, wanted] of pairs) {
    test(`${earlier} ${wanted ? 'covers' : 'does not cover'} ${later}`, () => {
      const [a, b] = table(`name: t\nroutes:\n  - {cluster: c, match: ${earlier}}\n  - {cluster: c, match: ${later}}\n`).routes!;
      assert.equal(covers(a!.match!, b!.match!), wanted);
    });
  }

  test('warns of routes that nothing reaches, naming the one before', () => {
    const warnings = routeWarnings(table('name: t\nvirtual_hosts:\n  - name: v\n    routes:\n      - {name: all, cluster: a}\n      - {match: {path: /x}, cluster: b}\n'));
    assert.deepEqual(warnings, [{ path: ['virtual_hosts', 0, 'routes', 1], message: 'never matches: route 1 (all) takes everything that it would match' }]);
  });

  test('does not warn of routes in order from narrow to wide', () => {
    assert.deepEqual(routeWarnings(table('name: t\nroutes: [{match: {path: /x}, cluster: b}, {match: {prefix: /}, cluster: b}, {cluster: a}]')), []);
  });

  test('warns of retries of an RPC that never happen', () => {
    const warn = (rest: string): string[] => routeWarnings(table(`name: t\nroutes: [{cluster: c, match: {service: s}, ${rest}}]`)).map((w) => w.message);
    assert.match(warn('retry: {on: [connect-failure, reset]}')[0]!, /^reset has no effect on an RPC/);
    assert.deepEqual(warn('retry: {on: [connect-failure, reset]}, idempotent: true'), []);
    assert.deepEqual(warn('retry: {on: [connect-failure]}'), []);
  });
});
