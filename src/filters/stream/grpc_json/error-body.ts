// Errors as JSON: google.rpc.Status, with its details decoded as far as their types are in the descriptor set.
import type { Compiler, JsonMessage } from './json-message.js';
import { protobufjs, type Root, type Type } from './protobuf.js';

/** Names and numbers of google/rpc/status.proto. */
const status = {
  nested: {
    Status: { fields: { code: { type: 'int32', id: 1 }, message: { type: 'string', id: 2 }, details: { rule: 'repeated', type: 'Any', id: 3 } } },
    Any: { fields: { url: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
  },
};

interface RawStatus {
  readonly details?: readonly { readonly url?: string; readonly value?: Uint8Array }[];
}

export class ErrorBody {
  private readonly root: Root;
  private readonly compiler: Compiler;
  private readonly status: Type;

  constructor(root: Root, compiler: Compiler) {
    this.root = root;
    this.compiler = compiler;
    this.status = protobufjs().Root.fromJSON(status).lookupType('Status');
  }

  /** `{"code": 5, "message": "...", "details": [...]}`. `bin`: grpc-status-details-bin as it came, if it came. */
  json(code: number, message: string, bin: string | undefined): string {
    return JSON.stringify({ code, message, details: bin === undefined ? [] : this.details(bin) });
  }

  private details(bin: string): unknown[] {
    try {
      const decoded = this.status.decode(Buffer.from(bin, 'base64')) as unknown as RawStatus;
      return (decoded.details ?? []).map((one) => this.detail(one.url ?? '', one.value ?? new Uint8Array()));
    } catch {
      return [];
    }
  }

  private detail(url: string, value: Uint8Array): unknown {
    const found = this.root.lookup(url.slice(url.lastIndexOf('/') + 1));
    const plan: JsonMessage | null = found !== null && 'fieldsById' in found ? this.compiler.of(found as Type) : null;
    if (plan !== null) {
      try {
        const json = plan.write(plan.decode(value));
        return plan.codec === null ? { '@type': url, ...(json as object) } : { '@type': url, value: json };
      } catch {
        // Not what its type says: its bytes are shown.
      }
    }
    return { '@type': url, value: Buffer.from(value).toString('base64') };
  }
}
