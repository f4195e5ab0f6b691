import type { IncomingMessage, ServerResponse } from 'node:http'
import { challengeHeader } from '../auth/verify/challenge-response.js'
import { createProofVerifier } from '../auth/verify/dpop-proof.js'
import { createReplays, type Replays } from '../auth/verify/replays.js'
import { resourceMetadataUrl } from '../auth/verify/resource-metadata.js'
import { toTokenError } from '../auth/verify/token-error.js'
import type { ProxyConfig } from '../config/types.js'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import type { Logger } from '../util/logger.js'
import type { MemoryBudget } from '../util/memory-budget.js'
import { Roster } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import type { AuditRecords } from './audit-records.js'
import { createAuthenticate, createEndpoint } from './endpoint.js'
import { type Endpoint, type Handle, type Hidden, withAccess } from './endpoints.js'
import type { HttpReply } from './http-reply.js'
import type { BrokenRequest } from './http-server.js'
import type { MakeOffers } from './landing-page.js'
import type { LimitStore } from './limit-store.js'
import { type Caps, createCaps } from './limits.js'
import type { Metrics } from './metrics.js'
import { corsHeaders, createAccessOf, OPEN_TO_ALL, preflightHeaders } from './origins.js'
import { possessionAt } from './possession.js'
import { createPublicRoutes, type PublicRoutesOptions } from './public-routes.js'
import { createRateLimit } from './rate-limits.js'
import { brokenSummary, createRefuse, shown } from './refuse.js'
import { createRequestLog, type FinishedCall } from './request-log.js'
import { endRequestSpan, type Tracer } from './tracing.js'

const END_AGAIN_MS = 500

export interface AppOptions {
  config: ProxyConfig
  /** That of all targets first. */
  endpoints: readonly Endpoint[]
  /** All targets, for readers of the front page and of `/readyz`. */
  targets: PublicRoutesOptions['targets']
  /** The public URL of the front page. */
  frontUrl: string
  /** The keys with which targets check who calls. */
  jwks?: object | undefined
  clock: Clock
  logger: Logger
  /** Other host names under which the platform reaches us. */
  extraHosts?: readonly string[]
  allowStreams?: boolean
  metrics?: Metrics | undefined
  /** Learns of each request that is over. */
  onFinished?: ((call: FinishedCall) => void) | undefined
  audit?: AuditRecords | undefined
  /** What the landing page says about assistants. */
  offers?: MakeOffers | undefined
  /** Counts what waits for clients to read it. */
  memory?: MemoryBudget | undefined
  /** Present where spans are recorded. */
  tracer?: Tracer | undefined
  /** Filled with the event streams that are open. */
  streams?: Roster<HttpReply>
  caps?: Caps
  /** Remembers the proofs that were used; by default this process does, for itself. */
  replays?: Replays | undefined
  limitStore?: LimitStore | undefined
  rateLimit?: ReturnType<typeof createRateLimit>
  counts?: { requests: number; running: number }
  /**
   * Tells whether the server that a request came to can be reached from this machine only; by default
   * the configured host decides.
   */
  isOnLoopback?: ((request: IncomingMessage) => boolean) | undefined
}

export interface App {
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Counts and logs what Node refused by itself. */
  broken(request: BrokenRequest): void
  /** How many requests other than GET have answers that have not ended yet. */
  busy(): number
  /** Refuses new MCP requests from now on and ends the streams that nobody waits for. */
  drain(): void
  /** Stops the heartbeat. */
  stop(): void
}

type Authenticate = ReturnType<typeof createAuthenticate>

interface Handler {
  authenticate: Authenticate
  /** To who sends no token. */
  challenge: string
  handle: Handle
}

/** Creates the request handler of the whole server. */
export function createApp(options: AppOptions): App {
  const { config, endpoints, clock, logger, frontUrl } = options
  const [first] = endpoints
  /** The endpoint of all targets, where there is no other. */
  const only = endpoints.every(({ target }) => target === undefined) ? first : undefined
  const onlyIs = `the MCP endpoint is ${only?.path}`
  const streams = options.streams ?? new Roster<HttpReply>()
  let draining = false
  let stopped = false
  const { counts = { requests: 0, running: 0 }, limitStore } = options
  let busy = 0
  const ended = () => void counts.running--
  const answered = () => {
    busy--
    ended()
  }
  const access = createAccessOf(config.server, { ...options, resource: frontUrl })
  const log = createRequestLog(logger, clock, options.metrics, [
    ...(options.onFinished === undefined ? [] : [options.onFinished]),
    ...(options.audit === undefined ? [] : [options.audit.record]),
    ...(options.tracer === undefined ? [] : [endRequestSpan]),
  ])
  const refuse = createRefuse(log, clock)
  const routes = createPublicRoutes({
    ...{ endpoints, frontUrl, jwks: options.jwks, targets: options.targets },
    isDraining: () => draining,
    offers: options.offers ?? (() => []),
  })
  // callers have one rate and their places at all endpoints together
  const shared = {
    rateLimit: options.rateLimit ?? createRateLimit(config.limits, clock),
    ...{ limitStore, caps: options.caps ?? createCaps(config.limits) },
    body: { bytes: config.limits.bodyBytes, seconds: config.timeouts.body },
    ...{ requestSeconds: config.timeouts.request, allowStreams: options.allowStreams ?? true },
    isDraining: () => draining,
    ...{ memory: options.memory, tracer: options.tracer, streams, clock, logger, log },
  }
  // a proof is good for one use at all endpoints together
  const verifyProof = createProofVerifier(clock, options.replays ?? createReplays(clock))
  const handlers = new Map<string, Handler>()
  for (const endpoint of endpoints) {
    const handler = createHandler(endpoint)
    for (const path of [endpoint.path, `${endpoint.path}/`]) handlers.set(path, handler)
  }

  function createHandler(endpoint: Endpoint): Handler {
    const { gateway, descope, resource, path } = endpoint
    const possession = possessionAt({ ...endpoint, frontUrl, verifyProof })
    const authenticate = createAuthenticate(descope, clock, possession)
    const resourceMetadata = resourceMetadataUrl(resource)
    const handler = createEndpoint({
      ...{ ...shared, gateway, authenticate, path, requestedItem: options.audit?.requestedItem },
      challenge: () => ({
        resourceMetadata,
        scopes: descope?.scopesSupported() ?? [],
        required: descope?.requiredScopes ?? [],
        dpop: descope?.dpop,
      }),
    })
    const handle = withAccess(endpoint, authenticate, handler, refuseNotFound)
    const challenge = challengeHeader({ resourceMetadata, dpop: descope?.dpop })
    return { authenticate, challenge, handle }
  }

  const fail = (response: ServerResponse) => (error: unknown) => {
    const what = error instanceof Error ? error.stack : error
    logger.error('internal', `A request failed: ${what}`)
    if (response.headersSent) return void response.destroy()
    const wire = { code: ERROR_CODES.internalError, message: 'Internal error' }
    response.writeHead(500, { 'content-type': 'application/json' })
    response.end(errorResponse(null, wire))
  }

  function beat(): void {
    streams.each((stream) => stream.heartbeat(clock.now()))
    if (!stopped) clock.after(config.timeouts.heartbeat * 1000, beat)
  }
  clock.after(config.timeouts.heartbeat * 1000, beat)

  /** Repeated, since requests that came before the draining may still open streams. */
  function endIdleStreams(): void {
    streams.each((stream) => {
      if (stream.isIdle) stream.finish()
    })
    if (!stopped) clock.after(END_AGAIN_MS, endIdleStreams)
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    // a client that left during start-up: its slots would never be released
    if (response.destroyed) return
    if (request.method !== 'GET') busy++
    counts.running++
    response.on('close', request.method === 'GET' ? ended : answered)
    if (draining) response.setHeader('connection', 'close')
    const url = request.url ?? ''
    const query = url.indexOf('?')
    const pathname = query < 0 ? url : url.slice(0, query)
    const endpoint = handlers.get(pathname)
    const route = endpoint === undefined ? findRoute(pathname) : undefined
    const { host, origin } = request.headers
    const { allowsHost, allowsOrigin } = access(request)
    if (route?.anyHost !== true && !allowsHost(host)) {
      const message = `The Host ${shown(host)} is not one of this server's; its operator can allow it with SERVER_URL or --allowed-host`
      return refuse(request, response, { status: 421, refusal: 'host', message })
    }
    if (route !== undefined) return handlePublic(request, response, route.handle)
    if (!allowsOrigin(origin)) {
      const message = `The Origin ${shown(origin)} is not allowed; this server's operator can allow it with --allowed-origin`
      return refuse(request, response, { status: 403, refusal: 'origin', message })
    }
    if (request.method === 'OPTIONS') return preflight(request, response)
    if (endpoint !== undefined) {
      counts.requests++
      return endpoint.handle(request, response)
    }
    refuseUnknown(request, response)
  }

  /** Clients make the path of a metadata document from a URL that may end with a slash. */
  function findRoute(pathname: string) {
    const route = routes.get(pathname)
    if (route !== undefined || !pathname.endsWith('/')) return route
    return pathname.startsWith('/.well-known/') ? routes.get(pathname.slice(0, -1)) : undefined
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
    const isFront = request.url === '/' && first?.target === undefined
    const meant = isFront ? `. Did you mean ${first?.resource}?` : ''
    const message = `Only GET is allowed here${meant}`
    refuse(request, response, { status: 405, refusal: 'method', message, headers })
  }

  function preflight({ headers }: IncomingMessage, response: ServerResponse): void {
    const requested = headers['access-control-request-headers']
    response.writeHead(204, [...preflightHeaders(headers.origin, requested)]).end()
  }

  /** Says that there is nothing, in the same words whatever is there for others. */
  function refuseNotFound(
    request: IncomingMessage,
    response: ServerResponse,
    hidden?: Hidden,
  ): void {
    const headers = corsHeaders(request.headers.origin)
    const where = only === undefined ? 'the front page lists the MCP endpoints' : onlyIs
    const refusal = hidden === undefined ? 'path' : 'access'
    const message = `Not found; ${where}`
    refuse(request, response, { status: 404, refusal, message, headers, ...hidden })
  }

  /**
   * Without a token, an unknown path is refused like the only endpoint, so that nothing shows what exists.
   * The metadata of several endpoints show that anyway, and a challenge would not know whose to name.
   */
  function refuseUnknown(request: IncomingMessage, response: ServerResponse): void {
    const endpoint = only && handlers.get(only.path)
    if (endpoint === undefined) return refuseNotFound(request, response)
    const { authenticate, challenge } = endpoint
    const cors = corsHeaders(request.headers.origin)
    const notFound = () => refuseNotFound(request, response)
    const refused = (error: unknown) => {
      const { status, reason } = toTokenError(error)
      if (status === 503) {
        const headers = [...cors, 'retry-after', '5']
        const message = 'Access tokens cannot be checked'
        return refuse(request, response, { status, refusal: reason, message, headers })
      }
      const headers = [...cors, 'www-authenticate', challenge]
      const message = 'An access token is needed'
      refuse(request, response, { status: 401, refusal: reason, message, headers })
    }
    const caller = authenticate(request)
    if (caller instanceof Promise) caller.then(notFound, refused)
    else notFound()
  }

  return {
    // an exception of one request would end the process with all other requests
    handle(request, response) {
      try {
        handle(request, response)
      } catch (error) {
        fail(response)(error)
      }
    },
    broken: (request) => log(brokenSummary(request, clock)),
    busy: () => busy,
    drain() {
      draining = true
      endIdleStreams()
    },
    stop() {
      stopped = true
    },
  }
}
