// What is hidden of a configuration before it is shown, and what is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HIDDEN, redact } from '../../src/control/redact.js';

test('secrets are hidden by the name of the option, the name of the header and the look of the value', () => {
  const config = {
    password: 'a',
    client_secret: 1,
    access_token: '',
    key: '-----BEGIN PRIVATE KEY-----\nx',
    nested: [{ api_key: 'b', url: 'redis://user:pw@host/0' }],
    match: { headers: [{ name: 'authorization', exact: 'Bearer x', invert: false }, { name: 'x-plain', exact: 'q' }], 'header.cookie': 'c' },
    set: { authorization: 'Bearer x', Cookie: 'y', 'x-api-key': 'z', 'x-plain': 'q' },
    exporter: { url: 'https://u:p@otel', headers: { 'x-team': 'k' } },
  };
  assert.deepEqual(redact(config), {
    password: HIDDEN,
    client_secret: HIDDEN,
    access_token: '',
    key: HIDDEN,
    nested: [{ api_key: HIDDEN, url: `redis://user:${HIDDEN}@host/0` }],
    match: { headers: [{ name: 'authorization', exact: HIDDEN, invert: false }, { name: 'x-plain', exact: 'q' }], 'header.cookie': HIDDEN },
    set: { authorization: HIDDEN, Cookie: HIDDEN, 'x-api-key': HIDDEN, 'x-plain': 'q' },
    exporter: { url: `https://u:${HIDDEN}@otel`, headers: { 'x-team': HIDDEN } },
  });
  assert.equal(config.password, 'a', 'a copy');
});

test('paths, names and numbers stay', () => {
  const config = { key: '/etc/key.pem', password_file: '/run/secrets/p', name: 'token-service', hosts: ['a:1'], timeout: 5, nothing: null, cert: '-----BEGIN CERTIFICATE-----' };
  assert.deepEqual(redact(config), config);
});

test('what a file held is not shown at its full length', () => {
  assert.deepEqual(redact({ set: 'x'.repeat(20_000), near: 'y'.repeat(16_384) }), { set: `${'x'.repeat(32)}... (20000 characters)`, near: 'y'.repeat(16_384) });
  assert.deepEqual(redact([`${'-'.repeat(20_000)}-----BEGIN RSA PRIVATE KEY-----`]), [HIDDEN]);
});
