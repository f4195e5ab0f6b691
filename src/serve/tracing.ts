import type * as Otel from '@opentelemetry/api'
import { ProxyError } from '../util/errors.js'
import { isObject, ownMember } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Clock, Runtime } from '../util/runtime.js'
import type { Span, SpanAttributes } from '../util/span.js'
import { PRODUCT, VERSION } from '../util/version.js'

/** Makes a span for each request of a client. */
export interface Tracer {
  /**
   * @param traceparent That of the client, checked.
   * @param tracestate That of the client, as it was sent.
   */
  request(traceparent: string | undefined, tracestate: string | undefined): Span
  /** Sends what waits to be sent. */
  stop(): Promise<void>
}

/** Where the API of OpenTelemetry keeps what a program has registered. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1')

const STOP_MS = 5_000

const MAX_PROBLEM = 300

/**
 * Creates the tracer that the operator wants: that of the SDK which is registered in this process
 * (`node --import`, or a program around the proxy), else one that sends spans to the collector that the
 * standard variables name. Nothing is loaded where there is neither.
 *
 * @throws {ProxyError} `CONFIG_INVALID`, when a variable says what cannot be done.
 */
export async function createTracer(
  env: Runtime['env'],
  clock: Clock,
  logger: Logger,
): Promise<Tracer | undefined> {
  if (env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return undefined
  if (isRegistered()) {
    const api = await import('@opentelemetry/api')
    return tracerOf(api, api.trace.getTracer(PRODUCT, VERSION), async () => undefined)
  }
  const protocol = wantedProtocol(env)
  if (protocol === undefined) return undefined
  const [api, { startSpanExport }] = await Promise.all([
    import('@opentelemetry/api'),
    import('./otlp-exporter.js'),
  ])
  const { provider, stop } = startSpanExport(protocol, (problem) =>
    logger.warn('tracing', `OpenTelemetry: ${readable(problem)}`),
  )
  return tracerOf(api, provider.getTracer(PRODUCT, VERSION), () =>
    Promise.race([
      stop().catch(() => undefined),
      new Promise<void>((resolve) => {
        clock.after(STOP_MS, resolve)
      }),
    ]),
  )
}

function isRegistered(): boolean {
  const registered: unknown = (globalThis as Record<symbol, unknown>)[REGISTERED]
  return isObject(registered) && registered['trace'] !== undefined
}

/** Returns how spans are sent, or nothing where no collector is named. */
function wantedProtocol(env: Runtime['env']): 'http/json' | 'http/protobuf' | undefined {
  const setting = (name: string) => env[name]?.trim() || undefined
  const name = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'].find(setting)
  const exporter = setting('OTEL_TRACES_EXPORTER') ?? 'otlp'
  if (name === undefined || exporter === 'none') return undefined
  if (exporter !== 'otlp') {
    throw invalid('OTEL_TRACES_EXPORTER', exporter, 'It can be `otlp` or `none`.')
  }
  const endpoint = setting(name) ?? ''
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw invalid(name, endpoint, 'Give an http or https URL, such as `http://localhost:4318`.')
  }
  const wanted = ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'].find(setting)
  const protocol = (wanted && setting(wanted)) ?? 'http/protobuf'
  if (protocol === 'http/json' || protocol === 'http/protobuf') return protocol
  const hint = 'It can be `http/protobuf` or `http/json`; collectors take both on port 4318.'
  throw invalid(wanted ?? '', protocol, hint)
}

function invalid(name: string, value: string, hint: string): ProxyError {
  return new ProxyError('CONFIG_INVALID', `${name} is ${JSON.stringify(value)}`, { hint })
}

/** The SDK writes errors as JSON with their stack; their message says enough. */
function readable(problem: string): string {
  try {
    const parsed: unknown = JSON.parse(problem)
    const message = isObject(parsed) ? ownMember(parsed, 'message') : undefined
    if (typeof message === 'string') return message.slice(0, MAX_PROBLEM)
  } catch {
    // a plain sentence
  }
  return problem.slice(0, MAX_PROBLEM)
}

function tracerOf(api: typeof Otel, tracer: Otel.Tracer, stop: Tracer['stop']): Tracer {
  return {
    request(traceparent, tracestate) {
      const active = api.context.active()
      // an instrumented HTTP server has begun a span already
      const parent =
        traceparent === undefined || api.trace.getSpan(active) !== undefined
          ? active
          : withRemote(api, active, traceparent, tracestate)
      return spanIn(api, tracer, parent, 'request', api.SpanKind.SERVER)
    },
    stop,
  }
}

/** @see [W3C Trace Context §3.2](https://www.w3.org/TR/trace-context/#traceparent-header) */
function withRemote(
  api: typeof Otel,
  context: Otel.Context,
  traceparent: string,
  tracestate: string | undefined,
): Otel.Context {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-')
  const state = tracestate === undefined ? {} : { traceState: api.createTraceState(tracestate) }
  const traceFlags = Number.parseInt(flags, 16) & api.TraceFlags.SAMPLED
  const remote = { traceId, spanId, traceFlags, isRemote: true, ...state }
  return api.trace.setSpanContext(context, remote)
}

function spanIn(
  api: typeof Otel,
  tracer: Otel.Tracer,
  parent: Otel.Context,
  name: string,
  kind: Otel.SpanKind,
): Span {
  const span = tracer.startSpan(name, { kind }, parent)
  const { traceId, spanId, traceFlags, traceState } = span.spanContext()
  return {
    traceId,
    get headers() {
      const flags = (traceFlags & api.TraceFlags.SAMPLED).toString(16).padStart(2, '0')
      const headers = ['traceparent', `00-${traceId}-${spanId}-${flags}`]
      const state = traceState?.serialize()
      if (state) headers.push('tracestate', state)
      return headers
    },
    start: (inner, innerKind) =>
      spanIn(
        api,
        tracer,
        api.trace.setSpan(parent, span),
        inner,
        innerKind === 'client' ? api.SpanKind.CLIENT : api.SpanKind.INTERNAL,
      ),
    end({ name: title, ...attributes }: SpanAttributes = {}, error) {
      if (typeof title === 'string') span.updateName(title)
      for (const [key, value] of Object.entries(attributes)) {
        if (value !== undefined) span.setAttribute(key, value)
      }
      if (error !== undefined) {
        span.setStatus({ code: api.SpanStatusCode.ERROR })
        span.setAttribute('error.type', error)
      }
      span.end()
    },
  }
}
