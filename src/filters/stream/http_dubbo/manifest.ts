// The stream filter http_dubbo: requests of HTTP in JSON become calls of Dubbo services.
import * as z from 'zod';
import { duration, flag, option, size, text } from '../../../core/config/schema.js';
import type { StreamFilterManifest } from '../../../stream/filter.js';
import { targetShape } from '../../../stream/java/options.js';
import { HttpDubbo, type HttpDubboConfig } from './filter.js';

export const manifest: StreamFilterManifest = {
  kind: 'stream-filter',
  name: 'http_dubbo',
  bridges: ['dubbo'],
  doc: 'Carries requests of HTTP to hosts that speak Dubbo: generic calls in Hessian 2, arguments and results in JSON.',
  schema: z.strictObject({
    enabled: option(flag(), { default: true, doc: 'Whether requests are carried; false, for a route, leaves its requests as they are. Default true.' }),
    ...targetShape,
    group: option(text(), { default: '', doc: 'Group of the service, unless the header dubbo-group names one. Default: none.' }),
    version: option(text(), { default: '', doc: 'Version of the service, unless the header dubbo-version names one. Default: none.' }),
    timeout: option(duration(), { optional: true, doc: 'Time that hosts are told they have (the attachment `timeout`). It is also the limit of the call, as the header dubbo-timeout (in ms) is, which goes before it. Default: the timeout of the route.' }),
    attachments: option(z.array(text()), { default: [], doc: 'Headers of requests that become attachments of their own name. Those named dubbo-attachment-NAME become the attachment NAME in any case.' }),
    classes: option(flag(), { default: false, doc: 'Whether objects in results name their class as "$class". Default false.' }),
    max_body: option(size(4 * 1024 * 1024), { doc: 'Largest content of a request, and of a reply. Default 4MiB.' }),
  }),
  create: (options) => new HttpDubbo(options as HttpDubboConfig),
};
