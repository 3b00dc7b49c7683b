// The operations by which Dubbo applications tell a mesh of themselves, as MOSN's `dubbo_registry` has them.
/*
 * Requests are POSTs of JSON, answered with status 200 and `{err_no, err_msg}`, where err_no 0 is success.
 *   /sub, /unsub   {registry, service: {interface, methods, group}}
 *   /pub, /unpub   {registry, service: {interface, methods, group, version, port}}; `port`, where the application listens, is a text
 * `registry` (type, addr, username, password) names the registry to use there; here the discovery of the configuration is used, and it is
 * neither read nor logged. Forks have `params` in the service; a group, version or port there counts where none stands beside it.
 */
import { type Address, parseAddress, Refusal } from '../../core/config/schema.js';
import type { ServiceKey } from '../../network/upstream/registry.js';
import { mapOf, type Operation, textOf, textsOf } from './endpoint.js';
import { MeshRefusal, type Side } from './side.js';

type Body = Readonly<Record<string, unknown>>;

export const failedDubbo = (err_msg: string): object => ({ err_no: 1, err_msg });
const done = (err_msg: string): object => ({ err_no: 0, err_msg });

interface Told {
  readonly service: ServiceKey;
  readonly port: string;
  readonly metadata: Record<string, string>;
}

function read(body: Body): Told {
  const about = mapOf(body, 'service');
  const params = mapOf(about, 'params');
  const said = (key: string): string => textOf(about, key) || textOf(params, key);
  const name = textOf(about, 'interface');
  if (name === '') throw new MeshRefusal('service.interface is missing');
  const methods = about['methods'];
  const metadata = textsOf(params);
  if (Array.isArray(methods)) metadata['methods'] = methods.slice(0, 1000).map(String).join(',');
  return { service: { name, group: said('group'), version: said('version') }, port: said('port'), metadata };
}

function appOf(port: string, otherwise: Address): Address {
  if (port === '') return otherwise;
  const parsed = parseAddress(`${otherwise.host}:${port}`);
  if (parsed instanceof Refusal || parsed.port === 0) throw new MeshRefusal(`service.port is no port: ${port}`);
  return parsed;
}

export function dubboOperations(side: Side): readonly Operation[] {
  return [
    {
      path: '/sub',
      run: async (body) => {
        await side.subscribe(read(body).service);
        return done('subscribe success');
      },
    },
    {
      path: '/unsub',
      run: async (body) => {
        await side.unsubscribe(read(body).service);
        return done('unsubscribe success');
      },
    },
    {
      path: '/pub',
      run: async (body) => {
        const { service, port, metadata } = read(body);
        await side.publish({ service, app: appOf(port, side.config.app), metadata });
        return done('publish success');
      },
    },
    {
      path: '/unpub',
      run: async (body) => {
        await side.unpublish(read(body).service);
        return done('unpub success');
      },
    },
  ];
}
