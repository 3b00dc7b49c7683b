// Files of unix sockets that outlived the process that listened on them.
import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from './connect.js';
import type { Connection, Reader } from './connection.js';
import type { SluiceError } from '../core/reason.js';

/** Time for a listening process to answer; on a machine this is a matter of microseconds. */
const PROBE_MS = 1000;

/** Removes the file of a unix socket if nobody listens there, and answers whether it did. Anything that is not a socket is left alone. */
export async function removeStaleSocket(path: string): Promise<boolean> {
  try {
    if (!lstatSync(path).isSocket() || (await someoneListens(path))) return false;
    unlinkSync(path);
    return true;
  } catch (e) {
    // Gone in between is as good as removed.
    return (e as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function someoneListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const reader: Reader = {
      onBytes: (_connection, _buf, start, end) => end - start,
      onOpen(connection: Connection) {
        resolve(true);
        connection.close(true);
      },
      onEnd() {},
      onDrain() {},
      onClose: (_connection: Connection, error: SluiceError | null) => resolve(error?.code !== 'connect-refused'),
    };
    connect({ host: '', port: 0, path }, { timeout: PROBE_MS, reader });
  });
}
