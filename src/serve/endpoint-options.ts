import type { IncomingMessage } from 'node:http'
import type { Caller } from '../auth/credentials/credential.js'
import type { Principal } from '../auth/principal.js'
import type { ChallengeParts } from '../auth/verify/challenge-response.js'
import type { Gateway } from '../gateway/gateway.js'
import type { Logger } from '../util/logger.js'
import type { MemoryBudget } from '../util/memory-budget.js'
import type { Roster } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import type { Excess } from './excess.js'
import type { HttpExchangeOptions } from './http-exchange.js'
import type { HttpReply } from './http-reply.js'
import type { LimitStore } from './limit-store.js'
import type { BodyLimits, Caps } from './limits.js'
import type { createRequestLog } from './request-log.js'
import type { Tracer } from './tracing.js'

/** What the handler of an endpoint is made of. */
export interface EndpointOptions extends Pick<HttpExchangeOptions, 'path' | 'requestedItem'> {
  gateway: Gateway
  authenticate: (request: IncomingMessage) => Caller | Promise<Caller>
  /** Where clients find our metadata, the scopes to request first, and those of every token. */
  challenge: () => ChallengeParts
  /** Says what is too much before anything is read. */
  rateLimit: (principal: Principal | undefined) => Excess | undefined
  /** Consulted once for each request, if present. */
  limitStore?: LimitStore | undefined
  caps: Caps
  body: BodyLimits
  /** Longest time for a request, seconds. */
  requestSeconds: number | undefined
  /** GET opens no stream where a platform would cut it (405). */
  allowStreams: boolean
  isDraining: () => boolean
  /** Counts what waits for clients to read it. */
  memory?: MemoryBudget | undefined
  tracer?: Tracer | undefined
  streams: Roster<HttpReply>
  clock: Clock
  logger: Logger
  log: ReturnType<typeof createRequestLog>
}
