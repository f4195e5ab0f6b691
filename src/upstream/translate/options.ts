import type { Message } from '../../mcp/message.js'
import type { STATELESS_VERSION } from '../../mcp/versions.js'
import type { Logger } from '../../util/logger.js'
import type { MemoryBudget } from '../../util/memory-budget.js'
import type { Clock } from '../../util/runtime.js'
import type { PendingCall } from '../shared/pending-call.js'
import type { Upstream, UpstreamRequest } from '../upstream.js'
import type { ToolSchemas } from './tool-schemas.js'
import type { TranslatedSession } from './translated-session.js'

export interface TranslatingOptions {
  clock: Clock
  logger: Pick<Logger, 'info' | 'warn'>
  /** Name of the target, for people. */
  target: string
  /** `auto` finds out what the target speaks. */
  protocol: 'auto' | typeof STATELESS_VERSION
  /** Adds `Mcp-Param-*` for clients of 2026-07-28 that do not speak HTTP. */
  mirrorsParams: boolean
  /** The header with a JWT about the caller, which is signed anew all the time. */
  identityHeader?: string | undefined
  /** What may wait in memory for clients. */
  memory?: MemoryBudget | undefined
}

/** What all requests to one target share. */
export interface TranslatorParts
  extends Pick<TranslatingOptions, 'clock' | 'logger' | 'target' | 'memory'> {
  readonly inner: Upstream
  readonly schemas: ToolSchemas
  /** Tells whether a refusal says that the target does not speak 2026-07-28 any more. */
  refusesStateless(status: number, code: unknown): boolean
}

export interface TranslatorOptions extends TranslatingOptions {
  inner: Upstream
  /** The target turned out not to speak 2026-07-28. */
  onSessionBased(): void
}

/** One message of a client on its way. */
export interface Turn {
  readonly parts: TranslatorParts
  readonly call: PendingCall
  readonly request: UpstreamRequest
  readonly message: Message
  readonly session: TranslatedSession
  /** The session lives longer than this request. */
  readonly isKept: boolean
}
