import { DiagLogLevel, diag, type TracerProvider } from '@opentelemetry/api'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { PRODUCT, VERSION } from '../util/version.js'

export interface SpanExport {
  readonly provider: TracerProvider
  /** Sends what waits. */
  stop(): Promise<void>
}

/** How long the collector may take for what waits at the end, milliseconds. */
const FLUSH_MS = 3_000

/**
 * Starts sending spans to an OpenTelemetry collector over HTTP, as the process's `OTEL_*` variables say.
 *
 * @param tell Gets a sentence whenever spans could not be sent, or a variable makes no sense.
 * @see [OpenTelemetry Protocol Exporter](https://opentelemetry.io/docs/specs/otel/protocol/exporter/)
 */
export function startSpanExport(
  protocol: 'http/json' | 'http/protobuf',
  tell: (problem: string) => void,
): SpanExport {
  const tellAll = (problem: string) => tell(problem)
  const ignore = () => undefined
  diag.setLogger(
    { error: tellAll, warn: tellAll, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  )
  const exporter = protocol === 'http/json' ? new JsonExporter() : new ProtobufExporter()
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': PRODUCT, 'service.version': VERSION }))
      .merge(detectResources({ detectors: [envDetector] })),
    forceFlushTimeoutMillis: FLUSH_MS,
    spanProcessors: [new BatchSpanProcessor(exporter)],
  })
  return { provider, stop: () => provider.shutdown() }
}
