import type { IncomingMessage, ServerResponse } from 'node:http'
import { resourceMetadataUrl } from '../auth/resource-metadata.js'
import type { Descope } from '../auth/service.js'
import { toTokenError } from '../auth/token-error.js'
import type { ProxyConfig } from '../config/types.js'
import type { Gateway } from '../gateway/gateway.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import { createAccess } from './access.js'
import { createAuthenticate } from './authenticate.js'
import { corsHeaders, type HeaderList, OPEN_TO_ALL, preflightHeaders } from './cors.js'
import { createEndpoint } from './endpoint.js'
import type { HttpReply } from './http-reply.js'
import type { MakeOffers } from './landing.js'
import type { Metrics } from './metrics.js'
import { createPublicRoutes } from './public-routes.js'
import { createRateLimit } from './rate-limit.js'
import { createRequestLog } from './request-log.js'

const END_AGAIN_MS = 500

export interface AppOptions {
  config: ProxyConfig
  /** The public MCP URL. */
  resource: string
  gateway: Gateway
  /** `undefined` switches authentication off. */
  descope: Descope | undefined
  clock: Clock
  logger: Logger
  /** Other host names under which the platform reaches us. */
  extraHosts?: readonly string[]
  allowStreams?: boolean
  metrics?: Metrics | undefined
  /** What the landing page says about assistants. */
  offers?: MakeOffers | undefined
  /** Filled with the event streams that are open. */
  streams?: Set<HttpReply>
}

export interface App {
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Refuses new MCP requests from now on and ends the streams that nobody waits for. */
  drain(): void
  /** Stops the heartbeat. */
  stop(): void
}

/** Creates the request handler of the whole server. */
export function createApp(options: AppOptions): App {
  const { config, resource, gateway, descope, clock, logger } = options
  const { path } = config.server
  const streams = options.streams ?? new Set<HttpReply>()
  let draining = false
  let stopped = false
  const access = createAccess(config.server, resource, options.extraHosts)
  const routes = createPublicRoutes({
    descope,
    targets: gateway.targets,
    resource,
    path,
    isDraining: () => draining,
    offers: options.offers ?? (() => []),
  })
  const authenticate = createAuthenticate(descope, clock)
  const challengeUrl = resourceMetadataUrl(resource)
  const endpoint = createEndpoint({
    gateway,
    authenticate,
    challenge: () => ({
      resourceMetadata: challengeUrl,
      scopes: descope?.scopesSupported() ?? [],
    }),
    rateLimit: createRateLimit(config.limits.requestsPerMinute, clock),
    bodyBytes: config.limits.bodyBytes,
    requestSeconds: config.timeouts.request,
    allowStreams: options.allowStreams ?? true,
    isDraining: () => draining,
    streams,
    clock,
    logger,
    log: createRequestLog(logger, clock, options.metrics),
  })

  function beat(): void {
    for (const stream of streams) stream.heartbeat(clock.now())
    if (!stopped) clock.after(config.timeouts.heartbeat * 1000, beat)
  }
  clock.after(config.timeouts.heartbeat * 1000, beat)

  /** Some open only now, for requests that came before. */
  function endIdleStreams(): void {
    for (const stream of streams) if (stream.isIdle) stream.finish()
    if (!stopped) clock.after(END_AGAIN_MS, endIdleStreams)
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    if (draining) response.setHeader('connection', 'close')
    const url = request.url ?? ''
    const query = url.indexOf('?')
    const pathname = query < 0 ? url : url.slice(0, query)
    const isEndpoint = pathname === path || pathname === `${path}/`
    const route = isEndpoint ? undefined : routes.get(pathname)
    if (route?.anyHost !== true && !access.allowsHost(request.headers.host)) {
      return refuse(response, 421, 'This server does not answer under this Host')
    }
    if (route !== undefined) return handlePublic(request, response, route.handle)
    const { origin } = request.headers
    if (!access.allowsOrigin(origin)) return refuse(response, 403, 'This Origin is not allowed')
    if (request.method === 'OPTIONS') return preflight(request, response)
    if (isEndpoint) return endpoint(request, response)
    refuseUnknown(request, response)
  }

  function handlePublic(
    request: IncomingMessage,
    response: ServerResponse,
    handler: (request: IncomingMessage, response: ServerResponse) => void,
  ): void {
    const { method } = request
    if (method === 'GET' || method === 'HEAD') return handler(request, response)
    if (method === 'OPTIONS') {
      response.writeHead(204, [...OPEN_TO_ALL, 'access-control-allow-headers', '*']).end()
      return
    }
    const headers = [...OPEN_TO_ALL, 'allow', 'GET, HEAD, OPTIONS']
    refuse(response, 405, 'Only GET is allowed here', headers)
  }

  function preflight({ headers }: IncomingMessage, response: ServerResponse): void {
    const requested = headers['access-control-request-headers']
    response.writeHead(204, [...preflightHeaders(headers.origin, requested)]).end()
  }

  /** A path that is nowhere is no secret, but tells nothing without a token either. */
  function refuseUnknown(request: IncomingMessage, response: ServerResponse): void {
    const cors = corsHeaders(request.headers.origin)
    const notFound = () => refuse(response, 404, `Not found; the MCP endpoint is ${path}`, cors)
    const refused = (error: unknown) => {
      if (toTokenError(error).status === 503) {
        return refuse(response, 503, 'Access tokens cannot be checked', [
          ...cors,
          'retry-after',
          '5',
        ])
      }
      const challenge = ['www-authenticate', `Bearer resource_metadata="${challengeUrl}"`]
      refuse(response, 401, 'An access token is needed', [...cors, ...challenge])
    }
    const caller = authenticate(request)
    if (caller instanceof Promise) caller.then(notFound, refused)
    else notFound()
  }

  return {
    handle,
    drain() {
      draining = true
      endIdleStreams()
    },
    stop() {
      stopped = true
    },
  }
}

function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  headers: HeaderList = [],
): void {
  const body = JSON.stringify({ error: message })
  const length = ['content-length', String(Buffer.byteLength(body))]
  response.writeHead(status, [
    ...headers,
    ...['content-type', 'application/json', 'cache-control', 'no-store'],
    ...length,
  ])
  response.end(body)
}
