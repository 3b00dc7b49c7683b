// The Huffman code of HPACK (RFC 7541 section 5.2, appendix B): code lengths, and a decoder that takes up to eight bits a step.

/**
 * Bits of each symbol's code: bytes 0 to 255, then the end-of-string symbol. The code is canonical (codes of one length count up in the
 * order of their symbols, shorter codes come first), so that the lengths are all there is to it.
 */
const lengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const EOS = 256;

/** Bits and code of each symbol, right-aligned. */
export const HUFFMAN_BITS = Uint8Array.from(lengths);
export const HUFFMAN_CODE = new Uint32Array(257);

/**
 * Decoding states of 256 entries each, indexed by the next eight bits; state 0 is between two symbols, the others are eight, 16 or 24
 * bits into a long code. An entry is `bits << 9 | symbol` where a code ends within the eight bits, else INNER | state.
 */
const INNER = 0x8000;
const states = build();

function noCodes(): number[] {
  return Array.from({ length: 256 }, () => 0);
}

function build(): Uint16Array {
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  let code = 0;
  let bits = lengths[order[0]!]!;
  const nodes: number[][] = [noCodes()];
  for (const symbol of order) {
    code *= 2 ** (lengths[symbol]! - bits);
    bits = lengths[symbol]!;
    HUFFMAN_CODE[symbol] = code;
    let node = nodes[0]!;
    let left = bits;
    for (; left > 8; left -= 8) {
      const byte = Math.floor(code / 2 ** (left - 8)) & 255;
      if (node[byte] === 0) {
        node[byte] = INNER | nodes.length;
        nodes.push(noCodes());
      }
      node = nodes[node[byte]! & ~INNER]!;
    }
    const from = (code << (8 - left)) & 255;
    node.fill((left << 9) | symbol, from, from + 2 ** (8 - left));
    code++;
  }
  return Uint16Array.from(nodes.flat());
}

/** Most bytes that `length` bytes of code decode to: the shortest code has 5 bits. */
export function huffmanRoom(length: number): number {
  return Math.floor((length * 8) / 5);
}

/**
 * Decodes buf[start, end) to `to` of `out`, which has `huffmanRoom(end - start)` bytes there, and returns the end of what it wrote;
 * -1 where it is no string by the RFC: the end-of-string symbol in it, more than seven bits of padding, or padding with a zero in it.
 */
export function huffmanDecode(buf: Uint8Array, start: number, end: number, out: Uint8Array, to: number): number {
  // The lowest `bits` bits of `held` are not decoded yet; what is above them may be anything.
  let held = 0;
  let bits = 0;
  let state = 0;
  for (let i = start; i < end; i++) {
    held = (held << 8) | buf[i]!;
    bits += 8;
    while (bits >= 8) {
      const entry = states[state + ((held >> (bits - 8)) & 255)]!;
      if (entry < INNER) {
        const symbol = entry & 511;
        if (symbol === EOS) return -1;
        out[to++] = symbol;
        bits -= entry >> 9;
        state = 0;
      } else {
        bits -= 8;
        state = (entry & ~INNER) << 8;
      }
    }
  }
  while (bits > 0) {
    const entry = states[state + ((held << (8 - bits)) & 255)]!;
    if (entry >= INNER || entry >> 9 > bits) break;
    const symbol = entry & 511;
    if (symbol === EOS) return -1;
    out[to++] = symbol;
    bits -= entry >> 9;
    state = 0;
  }
  const ones = (1 << bits) - 1;
  return state === 0 && (held & ones) === ones ? to : -1;
}
