import { memberText, memberTexts, putMembers } from '../../mcp/json-text.js'
import { ProxyError } from '../../util/errors.js'
import { isObject, ownMember } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { MemoryBudget } from '../../util/memory-budget.js'
import { createRedactor, isSecretName } from '../../util/redact.js'
import type { Clock, Runtime, System } from '../../util/runtime.js'
import { childEnvironment } from '../../util/system.js'
import { foldName } from '../../util/text.js'
import { PendingCall } from '../shared/pending-call.js'
import {
  readSharedRequest,
  refuseStateless,
  type SharedRequest,
  sessionLost,
  sessionRequired,
} from '../shared/shared-request.js'
import { CALLER_ID_FIELD, headerOf, IDENTITY_FIELD, type Upstream } from '../upstream.js'
import { type ChildBudget, ProcessPool, type ProcessPoolOptions } from './process-pool.js'

/** How a server that speaks on stdio is started. */
export interface ProgramSettings {
  /** The program and its arguments, which no shell interprets. */
  readonly command: readonly [string, ...string[]]
  /** Variables besides the few that every program gets. */
  readonly env: Readonly<Record<string, string>>
  /** An absolute path. */
  readonly cwd: string | undefined
  /** The most processes at once. */
  readonly maxChildren: number
  /** The most requests under way at one process. */
  readonly maxRequests: number
}

/** What is needed to start programs. */
export interface ProgramHost {
  readonly clock: Clock
  readonly env?: Runtime['env']
  readonly system?: Pick<System, 'spawn'>
}

export interface ProgramOptions {
  /** Seconds. */
  timeouts: { readonly start: number; readonly idle: number }
  /** Shared by all targets. */
  budget: ChildBudget
  /** What may wait in memory for clients. */
  memory?: MemoryBudget | undefined
  logger: Logger
}

/** Shorter values may be ordinary words, which must not be redacted. */
const MIN_SECRET_LENGTH = 12

/** Opens a target that is a program. Nothing is started before the first request. */
export function createProgramUpstream(
  { clock, env = {}, system }: ProgramHost,
  name: string,
  program: ProgramSettings,
  { timeouts, budget, memory, logger }: ProgramOptions,
): Upstream {
  const spawn = system?.spawn
  if (spawn === undefined) throw new ProxyError('INTERNAL', 'No program can be started here')
  const [command, ...args] = program.command
  return createStdioUpstream({
    ...{ clock, spawn, name, logger, budget, memory, random: Math.random },
    program: { command, args, env: childEnvironment(env, program.env), cwd: program.cwd },
    redact: createRedactor(secretsOf(program)),
    limits: {
      children: program.maxChildren,
      requests: program.maxRequests,
      // they may change while the program runs
      get idleMs() {
        return timeouts.idle * 1_000
      },
      get startMs() {
        return timeouts.start * 1_000
      },
    },
  })
}

/** Values of variables that a program may repeat in its output, and that must not get out. */
function secretsOf({ env }: ProgramSettings): string[] {
  return Object.entries(env)
    .filter(([name, value]) => isSecretName(name) || value.length >= MIN_SECRET_LENGTH)
    .map(([, value]) => value)
}

/**
 * Makes a program that speaks MCP on stdin and stdout look like a server of Streamable HTTP. Each
 * caller, as {@link CALLER_ID_FIELD} names it, has one process, which all its sessions share.
 *
 * @see [MCP 2025-11-25, stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio)
 */
function createStdioUpstream(options: ProcessPoolOptions): Upstream {
  const { clock, memory } = options
  const pool = new ProcessPool(options)

  async function initialize(callerId: string, incoming: SharedRequest): Promise<void> {
    const server = await pool.get(callerId)
    if (!incoming.call.isOver) await server.initialize(incoming)
  }

  async function postStateless(callerId: string, incoming: SharedRequest): Promise<void> {
    const server = await pool.getStateless(callerId)
    if (server === undefined) refuseStateless(incoming)
    else if (!incoming.call.isOver) server.postStateless(incoming)
  }

  function post(callerId: string, incoming: SharedRequest): void {
    const { call, message, sessionId, statelessVersion } = incoming
    const fail = (error: Error) => call.fail(error)
    if (message === undefined) return call.respond(400, {})
    if (statelessVersion !== undefined) return void postStateless(callerId, incoming).catch(fail)
    if (message['method'] === 'initialize') return void initialize(callerId, incoming).catch(fail)
    if (sessionId === undefined) return call.fail(sessionRequired())
    const server = pool.running(callerId)
    const session = server?.use(sessionId)
    if (server === undefined || session === undefined) return call.fail(sessionLost())
    server.post(session, incoming)
  }

  return {
    send(request, handler) {
      const call = new PendingCall(handler, clock, request, memory)
      const identity = headerOf(request.headers, IDENTITY_FIELD)
      const incoming = withIdentityMeta(readSharedRequest(request, call), identity)
      const callerId = headerOf(request.headers, CALLER_ID_FIELD) ?? ''
      if (request.method === 'POST') return post(callerId, incoming)
      const { sessionId } = incoming
      if (sessionId === undefined) return call.respond(405, {})
      const server = pool.running(callerId)
      const session = server?.use(sessionId)
      if (server === undefined || session === undefined) return call.fail(sessionLost())
      if (request.method === 'GET') return session.listen(call)
      server.leave(sessionId)
      call.respond(200, {})
    },
    close: () => pool.close(),
    held: { kind: 'child', count: () => pool.count },
  }
}

/** The member of `_meta` that tells a program who calls: claims, or a JWT. */
const IDENTITY_META = 'mcp-descope-proxy/identity'

/**
 * Tells a program who calls, in the `_meta` of each message. What a client wrote there itself is taken
 * out, also when the program is told nothing.
 *
 * @param identity As JSON text.
 */
function withIdentityMeta(incoming: SharedRequest, identity: string | undefined): SharedRequest {
  const { message } = incoming
  if (message === undefined) return incoming
  // an answer to a request of the program has no params
  const holder = 'method' in message ? 'params' : 'result'
  const own = holder === 'params' ? identity : undefined
  const held = ownMember(message, holder)
  const meta = isObject(held) ? ownMember(held, '_meta') : undefined
  const isForged = isObject(meta) && Object.keys(meta).some(isIdentity)
  if (own === undefined && !isForged) return incoming
  if (held !== undefined && !isObject(held)) return incoming
  return { ...incoming, text: withMeta(incoming.text, holder, own) }
}

const isIdentity = (name: string) => foldName(name) === IDENTITY_META

function withMeta(text: string, holder: string, identity: string | undefined): string {
  const held = memberText(text, holder) ?? '{}'
  const written = memberText(held, '_meta') ?? '{}'
  const others = (written.startsWith('{') ? memberTexts(written) : []).filter(
    ([name]) => !isIdentity(name),
  )
  const own = identity === undefined ? [] : [[IDENTITY_META, identity] as const]
  const members = [...others, ...own].map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  return putMembers(text, { [holder]: putMembers(held, { _meta: `{${members.join(',')}}` }) })
}
