// What applications have told the mesh, kept in a file: the SDKs tell it once, and do not notice when this process is another one.
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import * as z from 'zod';
import type { HostConfig } from '../../core/config/schema.js';
import type { ServiceKey } from '../../network/upstream/registry.js';

export interface KeptSubscription {
  readonly service: ServiceKey;
  readonly count: number;
}

export interface KeptPublication {
  readonly service: ServiceKey;
  readonly app: HostConfig['address'];
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Kept {
  readonly subscriptions: readonly KeptSubscription[];
  readonly publications: readonly KeptPublication[];
}

const service = z.strictObject({ name: z.string().min(1), group: z.string(), version: z.string() });
const app = z.strictObject({ host: z.string(), port: z.number().int().min(0).max(65_535), path: z.string().optional() });
const kept = z.strictObject({
  subscriptions: z.array(z.strictObject({ service, count: z.number().int().positive() })),
  publications: z.array(z.strictObject({ service, app, metadata: z.record(z.string(), z.string()) })),
});

/** What the file holds; nothing where there is none yet. Throws, in words, when it cannot be read or is not what this program writes. */
export function readKept(path: string): Kept {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { subscriptions: [], publications: [] };
    throw error;
  }
  const found = kept.safeParse(JSON.parse(text));
  if (!found.success) throw new Error(`${path} is not a file of the mesh's state: ${found.error.issues[0]!.path.join('.')}`);
  return found.data as Kept;
}

/** Replaces the file as a whole, so that it is never half written. */
export async function writeKept(path: string, what: Kept): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, `${JSON.stringify(what, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, path);
}
