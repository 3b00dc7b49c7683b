// Path templates of google.api.http: what is read, what is refused, which rule a path finds, and what its variables hold.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseTemplate, PathTree, valueOf } from '../../../../src/filters/stream/grpc_json/template.js';

/** Rules by their template; the answer of a path is its template and its variables. */
function tree(...rules: string[]): (method: string, path: string) => unknown {
  const made = new PathTree<string>();
  const templates = new Map(rules.map((rule) => [rule, parseTemplate(rule.slice(rule.indexOf(' ') + 1))]));
  for (const [rule, template] of templates) assert.equal(made.add(rule.slice(0, rule.indexOf(' ')), template, rule), undefined);
  return (method, path) => {
    const found = made.find(method, path);
    if (found === null) return null;
    return [found.value, ...templates.get(found.value)!.variables.map((variable) => `${variable.path.join('.')}=${valueOf(variable, found.segments)}`)];
  };
}

describe('templates', () => {
  test('are read into segments, variables and a verb', () => {
    assert.deepEqual(parseTemplate('/v1/{a.b=shelves/*/books/*}/x/{c}:undelete'), {
      segments: ['v1', 'shelves', '*', 'books', '*', 'x', '*'],
      variables: [{ path: ['a', 'b'], from: 1, to: 5 }, { path: ['c'], from: 6, to: 7 }],
      verb: 'undelete',
    });
    assert.deepEqual(parseTemplate('/v1/{name=**}'), { segments: ['v1', '**'], variables: [{ path: ['name'], from: 1, to: -1 }], verb: '' });
    assert.deepEqual(parseTemplate('/package.Service/Method').segments, ['package.Service', 'Method']);
  });

  for (const [text, what] of [
    ['v1', /begin with \//], ['/v1//x', /"" is no segment/], ['/v1/', /"" is no segment/], ['/{a', /a \{ without \}/], ['/{a}b', /all of its segments/], ['/x{a}', /no segment/], ['/{1a}', /names no field/],
    ['/{a=**}/b', /nothing may follow \*\*/], ['/**/b', /nothing may follow/], ['/{a}/{a}', /a stands twice/], ['/a b', /no segment/], ['/{a=}', /no segment/], ['/a:', /a verb is a word/], ['/{}', /names no field/], ['/a?b', /no segment/],
  ] as const) {
    test(`${text} is refused`, () => {
      assert.throws(() => parseTemplate(text), what);
    });
  }
});

describe('the tree', () => {
  test('literals go before *, * before **, and what fails further down is tried another way', () => {
    const find = tree('GET /v1/{a}/x', 'GET /v1/lit/{b}', 'GET /v1/{c=**}', 'GET /v1/lit/deep/{d}');
    assert.deepEqual(find('GET', '/v1/lit/x'), ['GET /v1/lit/{b}', 'b=x']);
    assert.deepEqual(find('GET', '/v1/other/x'), ['GET /v1/{a}/x', 'a=other']);
    assert.deepEqual(find('GET', '/v1/lit/deep/1'), ['GET /v1/lit/deep/{d}', 'd=1']);
    assert.deepEqual(find('GET', '/v1/lit/deeper/1'), ['GET /v1/{c=**}', 'c=lit/deeper/1']);
    assert.deepEqual(find('GET', '/v1'), ['GET /v1/{c=**}', 'c=']);
    assert.equal(find('GET', '/v2'), null);
    assert.equal(find('GET', '/'), null);
  });

  test('* takes one segment that is not empty', () => {
    const find = tree('GET /v1/{a}');
    assert.equal(find('GET', '/v1/'), null);
    assert.equal(find('GET', '/v1/a/b'), null);
    assert.equal(find('GET', '/v1/a/'), null);
  });

  test('methods are told apart, * is any of them', () => {
    const find = tree('GET /a', 'POST /a', '* /b', 'LOOK /b');
    assert.deepEqual([find('GET', '/a'), find('POST', '/a'), find('PUT', '/a'), find('PUT', '/b'), find('LOOK', '/b')], [['GET /a'], ['POST /a'], null, ['* /b'], ['LOOK /b']]);
  });

  test('a verb is one where a rule has it', () => {
    const find = tree('POST /v1/{a}:go', 'GET /v1/{a}', 'POST /v1/{c=**}:all');
    assert.deepEqual(find('POST', '/v1/x:go'), ['POST /v1/{a}:go', 'a=x']);
    assert.deepEqual(find('GET', '/v1/x:go'), ['GET /v1/{a}', 'a=x:go']);
    assert.deepEqual(find('POST', '/v1/a:b:go'), ['POST /v1/{a}:go', 'a=a:b']);
    assert.deepEqual(find('POST', '/v1/p/q:all'), ['POST /v1/{c=**}:all', 'c=p/q']);
    assert.equal(find('POST', '/v1/x'), null);
  });

  test('variables are percent-decoded; of several segments %2F stays what it is', () => {
    const find = tree('GET /v1/{a}', 'GET /v2/{b=x/*}', 'GET /v3/{c=**}');
    assert.deepEqual(find('GET', '/v1/a%2Fb%20c%C3%BC'), ['GET /v1/{a}', 'a=a/b cü']);
    assert.deepEqual(find('GET', '/v2/x/a%2Fb%20c'), ['GET /v2/{b=x/*}', 'b=x/a%2Fb c']);
    assert.deepEqual(find('GET', '/v3/a%2fb/c%25'), ['GET /v3/{c=**}', 'c=a%2fb/c%']);
    assert.throws(() => find('GET', '/v1/%zz'), URIError);
  });

  test('two rules for one method and path are told', () => {
    const made = new PathTree<number>();
    assert.equal(made.add('GET', parseTemplate('/v1/{a}'), 1), undefined);
    assert.equal(made.add('GET', parseTemplate('/v1/{b=*}'), 2), 1);
    assert.equal(made.add('PUT', parseTemplate('/v1/{b}'), 3), undefined);
    assert.equal(made.find('GET', '/v1/x')!.value, 1);
  });

  test('a path of thousands of segments costs no more than the rules', () => {
    const find = tree('GET /{a}/{b}/{c=**}', 'GET /a/{b}/{c}/d', 'GET /a/a/{c}/{d}/e');
    const began = performance.now();
    assert.notEqual(find('GET', '/a'.repeat(20_000)), null);
    assert.ok(performance.now() - began < 2000);
  });
});
