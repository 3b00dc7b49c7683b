// Which bytes may stand where in an HTTP/1 head (RFC 9110 section 5.6.2, RFC 9112 section 3): one table look-up per byte.

const table = (allow: (c: number) => boolean): Uint8Array => {
  const made = new Uint8Array(256);
  for (let c = 0; c < 256; c++) if (allow(c)) made[c] = 1;
  return made;
};

const alnum = (c: number): boolean => (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122);
const oneOf = (text: string, c: number): boolean => text.includes(String.fromCharCode(c));

/** Bytes of a token: methods and header names. */
export const TOKEN = table((c) => alnum(c) || oneOf("!#$%&'*+-.^_`|~", c));

/**
 * Bytes of a request target. Wider than the RFC: bytes that clients send unescaped ("|", "{", raw UTF-8) pass as they came.
 * "#" does not: a fragment never belongs on the wire, and peers disagree on whether it is part of the path that is matched.
 */
export const TARGET = table((c) => c > 32 && c !== 127 && c !== 35);

/** Bytes of an authority (host and port). No "@": user info is an error in http (RFC 9110 section 4.2.4); no ",": a joined list. */
export const AUTHORITY_BYTE = table((c) => alnum(c) || oneOf("-._~%!$&'()*+;=[]:", c));

/** Value of a hexadecimal digit, 255 for every other byte. */
export const HEX = new Uint8Array(256).fill(255);
for (let c = 0; c < 10; c++) HEX[48 + c] = c;
for (let c = 0; c < 6; c++) HEX[65 + c] = HEX[97 + c] = 10 + c;

/** Whether every byte of a non-empty text is marked in `allowed`. */
export function consistsOf(text: string, allowed: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 255 || allowed[c] === 0) return false;
  }
  return text.length > 0;
}

/** Whether a text may be a header value as it is: no control character but TAB. */
export function isValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if ((c < 32 && c !== 9) || c === 127) return false;
  }
  return true;
}
