// The terminal echo: answers every request with what it was, so that a proxy can be tried without a server of one's own.
import * as z from 'zod';
import type { Terminal, TerminalManifest } from '../../../stream/terminal.js';
import { Echo } from './echo.js';

export const manifest: TerminalManifest = {
  kind: 'terminal',
  name: 'echo',
  doc: 'Answers a request with its own body, or, where it has none, with a description of itself.',
  schema: z.strictObject({}),
  create: (): Terminal => new Echo(),
};
