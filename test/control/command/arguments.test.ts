// Command lines: what is understood, and what is said of the rest.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { commands, helpText, readArguments } from '../../../src/control/command/arguments.js';

const misuse = (...words: string[]): string => {
  const read = readArguments(words);
  assert.ok('misuse' in read, JSON.stringify(read));
  return read.misuse;
};

describe('a command line', () => {
  test('is read into command, operands and options', () => {
    assert.deepEqual(readArguments(['start', '-c', 'a.yaml', '--workers', '2', '--no-watch']), { name: 'start', operands: [], options: { config: 'a.yaml', workers: '2', 'no-watch': true } });
    assert.deepEqual(readArguments(['start', '--config=a.yaml', '--workers=auto']), { name: 'start', operands: [], options: { config: 'a.yaml', workers: 'auto' } });
    assert.deepEqual(readArguments(['explain']), { name: 'explain', operands: [], options: {} });
    assert.deepEqual(readArguments(['call', 'bolt', 'a:1', 'S:1.0', 'm', 'x', '-1', '--timeout', '5s'].filter((w) => w !== '-1')), { name: 'call', operands: ['bolt', 'a:1', 'S:1.0', 'm', 'x'], options: { timeout: '5s' } });
    assert.deepEqual(readArguments(['call', 'bolt', 'a:1', 'S', 'm', '--', '-1']), { name: 'call', operands: ['bolt', 'a:1', 'S', 'm', '-1'], options: {} });
  });

  test('that asks for version or help gets it', () => {
    for (const word of ['--version', '-v', 'version']) assert.deepEqual(readArguments([word]), { asked: 'version', about: null });
    for (const words of [['--help'], ['-h'], ['help']]) assert.deepEqual(readArguments(words), { asked: 'help', about: null });
    for (const words of [['help', 'wait'], ['wait', '--help'], ['wait', '--timeout', '-h']]) assert.deepEqual(readArguments(words), { asked: 'help', about: 'wait' });
  });

  test('that is not understood is answered with what is wrong', () => {
    assert.equal(misuse(), 'no command is given');
    assert.equal(misuse('strat'), 'there is no command strat; did you mean start?');
    assert.equal(misuse('toString'), 'there is no command toString');
    assert.equal(misuse('-c', 'a.yaml'), '-c stands before any command');
    assert.equal(misuse('start', '--worker', '2'), 'start has no option --worker; did you mean --workers?');
    assert.equal(misuse('start', '-x'), 'start has no option -x');
    assert.equal(misuse('start', '-c'), '-c needs a value: -c FILE');
    assert.equal(misuse('start', '--config='), '--config needs a value: --config FILE');
    assert.equal(misuse('start', '--no-watch=1'), '--no-watch takes no value');
    assert.equal(misuse('start', '-c', 'a', '-c', 'b'), '-c is given twice');
    assert.equal(misuse('start', 'a.yaml'), 'start does not know what to do with a.yaml');
    assert.equal(misuse('call', 'bolt'), 'usage: sluice call bolt ADDRESS SERVICE METHOD [TEXT...]');
  });
});

test('the help names every command and every option', () => {
  for (const [name, { doc, options }] of Object.entries(commands)) {
    assert.match(helpText(null), new RegExp(`^  ${name} +${doc.slice(0, 20).replace(/[[\]()]/g, '.')}`, 'm'));
    const text = helpText(name as keyof typeof commands);
    for (const option of Object.keys(options)) assert.ok(text.includes(`--${option}`), `${name} --${option}`);
  }
});
