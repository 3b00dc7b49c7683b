// The transport of this thread: Node's own unless another was put in its place before the first socket was made.
import { NodeTransport } from './node.js';
import type { Transport } from './transport.js';

let current: Transport | null = null;

export function transport(): Transport {
  return (current ??= new NodeTransport());
}

/** Puts another transport in place; sockets that exist keep theirs. The function returned puts the former one back. */
export function setTransport(next: Transport): () => void {
  const former = current;
  current = next;
  return () => {
    current = former;
  };
}
