// Takes secrets out of a configuration before anybody is shown it: by the name of the option, by the name of the header, by the look of the value.

const SECRET_NAME = /pass(word|wd|phrase)?$|secret|token|credential|private_key|api_?key/i;
/** Options whose names end like that of a secret and that hold the path of one. */
const PATH_NAME = /_(file|path)$/i;
const SECRET_HEADER = /^(header\.)?(authorization|proxy-authorization|cookie|set-cookie)$|api-?key|token|secret|password/i;
/** What a condition compares a header with. */
const COMPARED = new Set(['exact', 'prefix', 'suffix', 'contains', 'regex', 'anyOf']);
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const USER_INFO = /(:\/\/[^/:@\s]*:)[^/@\s]+@/g;

export const HIDDEN = '***';

/** Headers that are sent to a service beside whose URL they stand are what opens it, whatever it calls them. */
const opensService = (key: string, around: object): boolean => key === 'headers' && typeof (around as { url?: unknown }).url === 'string';

/** What a file held that travels with the configuration; nobody reads it there. */
const LONGEST = 16 * 1024;

function redactText(value: string): string {
  const text = PRIVATE_KEY.test(value) ? HIDDEN : value.replace(USER_INFO, `$1${HIDDEN}@`);
  return text.length > LONGEST ? `${text.slice(0, 32)}... (${text.length} characters)` : text;
}

/** A copy in which every secret reads "***"; empty values stay empty, so that it shows that none is set. */
export function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(redact);
  const copy: Record<string, unknown> = {};
  const { name } = value as { name?: unknown };
  const ofSecret = typeof name === 'string' && SECRET_HEADER.test(name);
  for (const [key, part] of Object.entries(value)) {
    const hide = (ofSecret && COMPARED.has(key)) || ((SECRET_NAME.test(key) || SECRET_HEADER.test(key)) && !PATH_NAME.test(key));
    const scalar = typeof part === 'string' || typeof part === 'number' || (key === 'anyOf' && hide);
    if (opensService(key, value) && part !== null && typeof part === 'object') copy[key] = Object.fromEntries(Object.keys(part).map((name) => [name, HIDDEN]));
    else copy[key] = hide && scalar && part !== '' ? HIDDEN : redact(part);
  }
  return copy;
}
