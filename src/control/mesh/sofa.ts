// The operations of SOFARPC's registry `mesh`, as MeshRegistry and MeshApiClient of 5.13 call them.
/*
 * Requests are POSTs of JSON as text/plain, answered with status 200 and `{success, errorMessage}`; any other status is an error to the
 * SDK. It connects within 3 s, reads within 15 s, and tries nothing again. What is not told has the value null.
 *   /configs/application   {appName}: first of all, once; without success nothing else follows
 *   /services/publish      {serviceName, protocolType, providerMetaInfo: {protocol, version, serializeType, appName, properties}, group}:
 *                          where the application listens is not among it
 *   /services/unpublish    {serviceName, protocolType, group}
 *   /services/subscribe    {serviceName, protocolType, targetAppAddress, properties, group}: of the answer's `datas` the SDK reads what
 *                          follows `?` in the first; it calls port 12220 of the host that the registry's address names
 *   /services/unsubscribe  {serviceName, protocolType, targetAppAddress, group}
 * 5.5 sends serviceName, and providerMetaInfo without properties, and nothing else.
 * `serviceName` is `interface:version[:uniqueId]`, which is also what requests name as their service.
 */
import { type Address, parseAddress, Refusal, showAddress } from '../../core/config/schema.js';
import type { ServiceKey } from '../../network/upstream/registry.js';
import { mapOf, type Operation, textOf, textsOf } from './endpoint.js';
import { MeshRefusal, type Side } from './side.js';

type Body = Readonly<Record<string, unknown>>;

export const failedSofa = (errorMessage: string): object => ({ success: false, errorMessage });
const done = { success: true, errorMessage: '' };

/** The service of a request. Its group says who is found, not what calls name: two groups of one service cannot be told apart in a frame. */
function serviceOf(body: Body): ServiceKey {
  const name = textOf(body, 'serviceName');
  if (name === '') throw new MeshRefusal('serviceName is missing');
  const protocol = textOf(body, 'protocolType');
  if (protocol !== '' && protocol !== 'bolt') throw new MeshRefusal(`protocol ${protocol} is not carried: the listener of the mesh speaks bolt`);
  return { name, group: textOf(body, 'group'), version: '' };
}

/** Where the application listens: the parameters `host` and `port` of its ProviderConfig, else as configured. */
function appOf(properties: Body, otherwise: Address): Address {
  const port = textOf(properties, 'port');
  const host = textOf(properties, 'host');
  if (port === '' && host === '') return otherwise;
  const parsed = parseAddress(`${host === '' ? otherwise.host : host}:${port === '' ? otherwise.port : port}`);
  if (parsed instanceof Refusal) throw new MeshRefusal(`the parameters host and port of the provider are no address: ${host}:${port}`);
  return parsed;
}

/** `listener`: where the applications call. */
export function sofaOperations(side: Side, listener: () => Address): { readonly operations: readonly Operation[]; readonly applications: () => string[] } {
  const applications = new Set<string>();
  const operations: Operation[] = [
    {
      path: '/configs/application',
      run: async (body) => {
        if (applications.size < 1000) applications.add(textOf(body, 'appName'));
        return done;
      },
    },
    {
      path: '/services/publish',
      run: async (body) => {
        const service = serviceOf(body);
        const about = mapOf(body, 'providerMetaInfo');
        const properties = mapOf(about, 'properties');
        const metadata = textsOf({ ...properties, app_name: about['appName'], serialization: about['serializeType'] });
        await side.publish({ service, app: appOf(properties, side.config.app), metadata });
        return done;
      },
    },
    {
      path: '/services/unpublish',
      run: async (body) => {
        await side.unpublish(serviceOf(body));
        return done;
      },
    },
    {
      path: '/services/subscribe',
      run: async (body) => {
        const service = serviceOf(body);
        await side.subscribe(service);
        const { host, ...at } = listener();
        const local = showAddress({ ...at, host: host === '' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host });
        return { ...done, serviceName: service.name, datas: [`${local}?p=1&v=4.0`] };
      },
    },
    {
      path: '/services/unsubscribe',
      run: async (body) => {
        await side.unsubscribe(serviceOf(body));
        return done;
      },
    },
  ];
  return { operations, applications: () => [...applications] };
}
