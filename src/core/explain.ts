// The text of `sluice explain CODE`, and docs/errors.md, both made from the table of reasons.
import { nearest } from './nearest.js';
import { isReasonCode, type Reason, type ReasonCode, reasons, type Retry, type Where } from './reason.js';

const whereText: Record<Where, string> = {
  downstream: 'downstream (the client, or the connection to it)',
  proxy: 'proxy (this process: its configuration, limits or filters)',
  upstream: 'upstream (a host of a cluster, or the connection to it)',
};

const retryText: Record<Retry, string> = {
  never: 'never by itself; only where a route\'s retry names the condition',
  'nothing-sent': 'yes: no byte of the request reached the host',
  'reused-only': 'only if the connection had served before and no byte of a reply had come',
  safe: 'yes: the other side said that it did not do the work',
};

/** `%name%` of the table as a reader sees it in a place where it has no value. */
const withNames = (text: string): string => text.replace(/%([a-z_]+)%/g, '<$1>');

const codes = Object.keys(reasons) as ReasonCode[];

/** What a reason code means, in several lines; for an unknown code, the nearest ones. */
export function explain(code: string, columns: readonly ReasonColumn[] = []): string {
  const wanted = code.trim();
  if (!isReasonCode(wanted)) {
    const near = nearest(wanted, codes, 3);
    const hint = near.length > 0 ? `Did you mean ${near.join(', ')}?` : 'See `sluice explain` without a code for all of them.';
    return `There is no reason code "${wanted}". ${hint}\n`;
  }
  const reason: Reason = reasons[wanted];
  return [
    wanted,
    `  ${withNames(reason.text)}`,
    '',
    `  where    ${whereText[reason.where]}`,
    `  retried  ${retryText[reason.retry]}`,
    `  reply    ${reason.http === 0 ? 'none: the connection is closed' : `HTTP ${reason.http}`}${reason.flag === '-' ? '' : `, response flag ${reason.flag} as in Envoy's logs`}`,
    ...columns.map((c) => `  ${c.title.padEnd(8)} status ${c.value(wanted, reason)}`),
    `  advice   ${reason.advice}`,
    '',
  ].join('\n');
}

/** Every code with its sentence, one per line. */
export function explainAll(): string {
  const width = Math.max(...codes.map((code) => code.length));
  return `${codes.map((code) => `${code.padEnd(width)}  ${withNames(reasons[code].text)}`).join('\n')}\n`;
}

/** One more column of the document: a protocol's own status for each reason. */
export interface ReasonColumn {
  readonly title: string;
  value(code: ReasonCode, reason: Reason): string;
}

const cell = (text: string): string => text.replace(/%([a-z_]+)%/g, '*$1*').replaceAll('|', '\\|').replaceAll('<', '&lt;');

/** The text of docs/errors.md. */
export function errorsDocument(columns: readonly ReasonColumn[] = []): string {
  const head = ['Code', 'Retry', 'Flag', 'HTTP', ...columns.map((c) => c.title), 'Meaning', 'What to do'];
  const lines = [
    '# Reasons',
    '',
    '<!-- Made by scripts/docs-errors.mjs from src/core/reason.ts; change the table, then run the script. -->',
    '',
    'Every exchange and connection that ends other than well carries one of these codes: in the access log, in metrics, in the',
    'reply where the protocol has room for it. Codes are stable. `sluice explain CODE` prints one.',
    '',
    '- **Retry**: `never`: not by itself. `nothing-sent`: no byte of the request reached the host, so another try is safe.',
    '  `reused-only`: the connection had served before and died without a byte of a reply. `safe`: the other side said that it did',
    '  not do the work.',
    '- **Flag**: the response flag that Envoy logs for the same cause; `-` where it has none.',
    '- **HTTP**: status of the reply; `-` where no reply can be sent any more. The columns behind it: the status of the same reply in',
    '  the other protocols.',
  ];
  for (const where of Object.keys(whereText) as Where[]) {
    lines.push('', `## ${where}`, '', `Cause: ${whereText[where].replace(/^\w+ \((.*)\)$/, '$1')}.`, '');
    lines.push(`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`);
    for (const code of codes) {
      const reason: Reason = reasons[code];
      if (reason.where !== where) continue;
      const cells = [`\`${code}\``, reason.retry, reason.flag, reason.http === 0 ? '-' : String(reason.http)];
      for (const column of columns) cells.push(column.value(code, reason));
      cells.push(cell(reason.text), cell(reason.advice));
      lines.push(`| ${cells.join(' | ')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}
