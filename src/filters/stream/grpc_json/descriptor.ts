// A descriptor set (protoc --descriptor_set_out --include_imports, buf build): its types, and its methods with their HTTP rules.
import { protobufjs, type Root, type Type } from './protobuf.js';

/** google.api.HttpRule. */
export interface HttpRule {
  readonly get?: string;
  readonly put?: string;
  readonly post?: string;
  readonly delete?: string;
  readonly patch?: string;
  readonly custom?: { readonly kind?: string; readonly path?: string };
  readonly body?: string;
  readonly responseBody?: string;
  readonly additionalBindings?: readonly HttpRule[];
}

export interface Method {
  /** `package.Service`. */
  readonly service: string;
  readonly name: string;
  readonly input: Type;
  readonly output: Type;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly rule: HttpRule | null;
}

export interface DescriptorSet {
  readonly root: Root;
  readonly methods: readonly Method[];
}

/** What reflection leaves out of services: their options. Names and numbers of descriptor.proto and of google/api/http.proto. */
const services = {
  nested: {
    Set: { fields: { file: { rule: 'repeated', type: 'File', id: 1 } } },
    File: { fields: { package: { type: 'string', id: 2 }, service: { rule: 'repeated', type: 'Service', id: 6 } } },
    Service: { fields: { name: { type: 'string', id: 1 }, method: { rule: 'repeated', type: 'Method', id: 2 } } },
    Method: {
      fields: {
        name: { type: 'string', id: 1 }, input: { type: 'string', id: 2 }, output: { type: 'string', id: 3 }, options: { type: 'Options', id: 4 },
        requestStream: { type: 'bool', id: 5 }, responseStream: { type: 'bool', id: 6 },
      },
    },
    Options: { fields: { http: { type: 'Rule', id: 72295728 } } },
    Rule: {
      fields: {
        get: { type: 'string', id: 2 }, put: { type: 'string', id: 3 }, post: { type: 'string', id: 4 }, delete: { type: 'string', id: 5 }, patch: { type: 'string', id: 6 },
        body: { type: 'string', id: 7 }, custom: { type: 'Custom', id: 8 }, additionalBindings: { rule: 'repeated', type: 'Rule', id: 11 }, responseBody: { type: 'string', id: 12 },
      },
    },
    Custom: { fields: { kind: { type: 'string', id: 1 }, path: { type: 'string', id: 2 } } },
  },
};

interface RawSet {
  readonly file: readonly {
    readonly package?: string;
    readonly service?: readonly {
      readonly name: string;
      readonly method?: readonly { readonly name: string; readonly input: string; readonly output: string; readonly options?: { readonly http?: HttpRule }; readonly requestStream?: boolean; readonly responseStream?: boolean }[];
    }[];
  }[];
}

let reader: Type | null = null;

/** Throws an Error that says what is wrong with the bytes. */
export function readDescriptorSet(bytes: Uint8Array): DescriptorSet {
  const { Root: RootClass } = protobufjs();
  reader ??= RootClass.fromJSON(services).lookupType('Set');
  let raw: RawSet;
  let root: Root;
  try {
    raw = reader.toObject(reader.decode(bytes)) as unknown as RawSet;
    root = (RootClass as unknown as { fromDescriptor(set: Uint8Array): Root }).fromDescriptor(bytes);
  } catch (error) {
    const text = (error as Error).message;
    throw new Error(/no such/i.test(text) ? `it does not hold all that it imports (protoc --include_imports): ${text}` : `it is no descriptor set: ${text}`);
  }
  const methods: Method[] = [];
  for (const file of raw.file ?? []) {
    for (const service of file.service ?? []) {
      const name = file.package === undefined || file.package === '' ? service.name : `${file.package}.${service.name}`;
      for (const method of service.method ?? []) {
        methods.push({
          service: name,
          name: method.name,
          input: root.lookupType(method.input),
          output: root.lookupType(method.output),
          requestStream: method.requestStream === true,
          responseStream: method.responseStream === true,
          rule: method.options?.http ?? null,
        });
      }
    }
  }
  return { root, methods };
}
