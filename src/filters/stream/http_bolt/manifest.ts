// The stream filter http_bolt: requests of HTTP become calls of Bolt, and the other way round.
import * as z from 'zod';
import { duration, flag, integer, oneOf, option, size, text } from '../../../core/config/schema.js';
import type { StreamFilterManifest } from '../../../stream/filter.js';
import { targetShape } from '../../../stream/java/options.js';
import { HttpBolt, type HttpBoltConfig } from './filter.js';

export const manifest: StreamFilterManifest = {
  kind: 'stream-filter',
  name: 'http_bolt',
  bridges: ['bolt', 'http1', 'http2'],
  doc: 'Carries requests of HTTP to hosts that speak Bolt, as calls of SOFARPC services with arguments in JSON or with headers and content as they are, and requests of Bolt to hosts that speak HTTP. Which of both is told by what the listener speaks.',
  schema: z.strictObject({
    enabled: option(flag(), { default: true, doc: 'Whether requests are carried; false, for a route, leaves its requests as they are. Default true.' }),
    mode: option(oneOf(['json', 'raw']), { default: 'json', doc: 'From HTTP to Bolt: `json` calls a method of a SOFARPC service, whose arguments are in the content; `raw` makes the headers the header map, and the content the content. From Bolt to HTTP it is always raw. Default json.' }),
    ...targetShape,
    version: option(text(), { default: '1.0', doc: 'json: version of a service that is named without one. Default 1.0.' }),
    headers: option(z.array(text()), { default: [], doc: 'json: headers of requests that go along in the header map under their own names. Those named bolt-header-NAME go along as NAME in any case.' }),
    classes: option(flag(), { default: false, doc: 'json: whether objects in results name their class as "$class". Default false.' }),
    class: option(text(), { default: 'com.alipay.sofa.rpc.core.request.SofaRequest', doc: 'raw: the class that requests to hosts name. Default that of SOFARPC.' }),
    response_class: option(text(), { default: '', doc: 'raw, from Bolt to HTTP: the class that replies name, unless the reply has a header bolt-class. Default: none.' }),
    codec: option(integer(0, 255), { default: 1, doc: 'raw: the serialization that requests to hosts name: 1 Hessian 2, 11 Protobuf, others as hosts know them. Default 1.' }),
    frame: option(oneOf(['v1', 'v2']), { default: 'v1', doc: 'Version of the frames that hosts are sent; v2 has a checksum. Default v1.' }),
    upstream: option(oneOf(['http1', 'http2']), { default: 'http1', doc: 'From Bolt to HTTP: what the hosts speak, as their cluster says. Default http1.' }),
    path: option(text(), { default: '', doc: 'From Bolt to HTTP: path of the requests. Default: what the header http-path says, else /SERVICE/METHOD as far as the headers name them.' }),
    authority: option(text(), { default: 'localhost', doc: 'From Bolt to HTTP: authority (Host) of the requests, unless the header http-authority says one. Default localhost.' }),
    content_type: option(text(), { default: 'application/octet-stream', doc: 'raw: content type of what goes to HTTP, where the header map has none. Default application/octet-stream.' }),
    timeout: option(duration(), { optional: true, doc: 'Time that hosts of Bolt are told they have. It is also the limit of the call, as the header bolt-timeout (in ms) is, which goes before it. Default: the timeout of the route.' }),
    max_body: option(size(4 * 1024 * 1024), { doc: 'Largest content of a request, and of a reply. Default 4MiB.' }),
  }),
  create: (options) => new HttpBolt(options as HttpBoltConfig),
};
