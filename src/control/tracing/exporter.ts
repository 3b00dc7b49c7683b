// Exports spans by OTLP over HTTP with the libraries of OpenTelemetry; loaded only where traces are configured, because they take memory.
import { hostname } from 'node:os';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import type { TracingConfig } from '../../stream/trace/config.js';
import type { TracedExchange } from '../../stream/trace/traced-exchange.js';
import { spansOf } from './spans.js';
import type { SpanExporter } from './tracing.js';

/** ExportResultCode.SUCCESS. */
const SUCCESS = 0;

/** `version` is that of this program. */
export function otlpExporter(config: TracingConfig, version: string): SpanExporter {
  const { url, headers, timeout, compression } = config.exporter;
  const otlp = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: timeout, compression: compression as never });
  const resource = defaultResource().merge(resourceFromAttributes({
    'service.name': config.service_name,
    'service.version': version,
    'service.instance.id': `${hostname()}-${process.pid}`,
    'host.name': hostname(),
    'process.pid': process.pid,
    ...config.resource,
  }));
  const scope = { name: 'sluice', version };
  return {
    send: (exchanges: readonly TracedExchange[]) =>
      new Promise((resolve) => {
        try {
          otlp.export(exchanges.flatMap((exchange) => spansOf(exchange, resource, scope)), (result) => resolve(result.code === SUCCESS ? null : (result.error ?? new Error('the export failed'))));
        } catch (error) {
          resolve(error instanceof Error ? error : new Error(String(error)));
        }
      }),
    close: () => void otlp.shutdown().catch(() => {}),
  };
}
