// Heads that the process makes itself, for terminals and bridges: fields put together once and sent as often as needed.
import { Http2Head } from './head.js';
import { FieldBlockBuilder } from './hpack/field-block.js';
import { AS_REPLY, AS_REQUEST, AS_TRAILERS, meaningOf, type Purpose } from './meaning.js';

function made(purpose: Purpose, fields: readonly (readonly [string, string])[]): Http2Head {
  const builder = new FieldBlockBuilder();
  for (const [name, value] of fields) builder.text(name, value);
  const meaning = meaningOf(builder.build(), purpose);
  if (meaning.problem !== '') throw new TypeError(`not the head of a message: ${meaning.problem}`);
  const head = new Http2Head();
  head.show(meaning, 0, 0);
  return head;
}

/** The head of a reply. Names are lower case; codecs of the family encode it, and a filter's edits of it do not touch the next use. */
export function madeReply(status: number, fields: readonly (readonly [string, string])[]): Http2Head {
  return made(AS_REPLY, [[':status', String(status)], ...fields]);
}

export function madeTrailers(fields: readonly (readonly [string, string])[]): Http2Head {
  return made(AS_TRAILERS, fields);
}

/** What a request made here is for: all its parts. */
export interface MadeRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly scheme?: string;
}

/** The head of a request, with its parts checked as those of any that came. */
export function madeRequest(parts: MadeRequest, fields: readonly (readonly [string, string])[]): Http2Head {
  const pseudo: (readonly [string, string])[] = [[':method', parts.method], [':scheme', parts.scheme ?? 'http'], [':path', parts.path]];
  if (parts.authority !== '') pseudo.push([':authority', parts.authority]);
  return made(AS_REQUEST, [...pseudo, ...fields]);
}
