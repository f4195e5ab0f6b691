import { randomBytes } from 'node:crypto'
import type { Caller } from '../auth/credentials/credential.js'
import type { SignInNeed, SignInPort } from '../auth/tokens/token-store.js'
import { createGateway, type Gateway } from '../gateway/gateway.js'
import { createSessions } from '../gateway/sessions/sealed-sessions.js'
import type { Target } from '../gateway/target.js'
import { sleep } from '../util/async.js'
import { isObject, type JsonObject, stringMember } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { Bridge } from './bridge.js'
import { createSession, GatewayClient } from './gateway-client.js'
import { Backlog, createHostConnection, type HostConnection, readMessages } from './host.js'
import { StreamListener } from './notification-stream.js'
import type { Memory } from './offline.js'
import { resumeAnswer } from './resume-request.js'
import { Liveness, watchForEnd } from './shutdown.js'
import { SignInCoordinator } from './sign-in-coordinator.js'

/** How long answers are waited for when the host closed our stdin, milliseconds. */
const LAST_ANSWERS_MS = 900

const POLL_MS = 20

const GOODBYE_MS = 700

const WAKE_JITTER_MS = 3_000

type StdioRuntime = Pick<Runtime, 'clock' | 'io' | 'onFault' | 'onSignal' | 'system'>

/**
 * Serves one host on stdin and stdout until it goes away.
 *
 * @returns The exit status.
 */
export async function runStdio(runtime: StdioRuntime, options: RunBridgeOptions): Promise<number> {
  const { clock, io } = runtime
  const { memory, logger } = options
  const end = watchForEnd(runtime, logger)
  const over = new AbortController()
  const parts = createParts(runtime, options, over.signal)
  const { host, backlog, bridge, listener } = parts
  const checkSignIn = watchSignIn(options, parts)
  const liveness = watchTarget(runtime, options, parts, () => {
    end.checkParent()
    void checkSignIn()
    void memory.save()
  })
  readMessages(io.stdin, host, backlog, (message) => {
    if (message.method === 'initialize') {
      listener.reset()
      options.host.name = hostName(message.params)
    }
    bridge.receive(message)
  })

  const ending = await end.ended
  logger.debug('ending', `The bridge ends: ${ending}`)
  const canAnswer = !['signing-in', 'degraded'].includes(bridge.connection.phase)
  if (ending === 'stdin' && canAnswer) await lastAnswers(runtime, parts)
  liveness.stop()
  listener.stop()
  const isFault = ending === 'fault'
  bridge.close(isFault ? 'The bridge ends because of a mistake in it' : 'The bridge is closing')
  over.abort()
  const goodbye = Promise.all([
    parts.gatewayClient.end(),
    memory.save(),
    parts.coordinator.settled(),
  ])
  await Promise.race([goodbye, sleep(clock, GOODBYE_MS)])
  await Promise.race([parts.gateway.close(), ...(isFault ? [sleep(clock, GOODBYE_MS)] : [])])
  end.stop()
  return isFault ? 1 : 0
}

/** Ends what belongs to somebody who signed out, or in whose place somebody else signed in. */
function watchSignIn({ identities, logger }: RunBridgeOptions, { listener, bridge }: Parts) {
  let known: Identities = new Map()
  return async () => {
    const now = await identities?.().catch(() => known)
    if (now === undefined) return
    const before = known
    known = now
    const changed = [...before].filter(([name, who]) => who !== undefined && now.get(name) !== who)
    for (const [name] of changed) {
      const isOut = now.get(name) === undefined
      const what = isOut ? 'Nobody is signed in to' : 'Somebody else is signed in to'
      logger.info('signed_out', `${what} ${name} now`)
    }
    if (changed.length === 0) return
    listener.reset()
    bridge.connection.forget([...now.values()].some((who) => who !== undefined))
  }
}

/** Reconnects when the target is silent, or when this machine was asleep. */
function watchTarget(
  { clock }: Pick<Runtime, 'clock'>,
  { targets, random, logger, name }: RunBridgeOptions,
  { gatewayClient, listener, bridge }: Parts,
  onTick: () => void,
): Liveness {
  const reconnect = (pauseMs: number) => {
    for (const { upstream } of targets) void upstream.close()
    listener.restart(pauseMs)
  }
  const liveness = new Liveness({
    clock,
    gatewayClient,
    isListening: () => listener.isOpen && bridge.connection.phase === 'ready',
    onDead: () => {
      logger.info('target_silent', `${name} is silent; connecting anew`)
      reconnect(0)
    },
    onWake: () => reconnect(random() * WAKE_JITTER_MS),
    onTick,
  })
  liveness.start()
  return liveness
}

async function lastAnswers(
  { clock }: Pick<Runtime, 'clock'>,
  { bridge, host }: Parts,
): Promise<void> {
  const end = clock.now() + LAST_ANSWERS_MS
  while (bridge.requests.size > 0 && !host.isBehind && clock.now() < end) {
    await sleep(clock, POLL_MS)
  }
}

function hostName({ clientInfo }: JsonObject): string | undefined {
  if (!isObject(clientInfo)) return undefined
  const name = stringMember(clientInfo, 'name')
  return stringMember(clientInfo, 'title') || (name && (HOSTS.get(name.toLowerCase()) ?? name))
}

/** What people call the programs that give only the name of their client. */
const HOSTS: ReadonlyMap<string, string> = new Map([
  ['claude-ai', 'Claude Desktop'],
  ['claude-code', 'Claude Code'],
  ['cursor-vscode', 'Cursor'],
  ['windsurf-client', 'Windsurf'],
  ['codex-mcp-client', 'Codex'],
  ['gemini-cli-mcp-client', 'Gemini CLI'],
])

/** By the names of targets; `undefined` where nobody is signed in. */
type Identities = ReadonlyMap<string, string | undefined>

/** The program that we serve, for the page that the browser shows after a sign-in. */
export interface BridgedHost {
  /** For people; known once it said `initialize`. */
  name: string | undefined
}

export interface RunBridgeOptions {
  /** Names what is behind the bridge, for people. */
  name: string
  targets: readonly Target[]
  /** Who is signed in. Rejects with a `SignInRequiredError` when nobody is and somebody has to be. */
  caller: () => Caller | Promise<Caller>
  /** Loads the sign-in; `undefined` where none is possible. */
  openSignIn: (() => Promise<SignInPort>) | undefined
  /** Tells whether there is another token by now than the one that was refused. */
  hasToken: (need: SignInNeed) => Promise<boolean>
  /** Names who is signed in, by what is kept, to each target that has a sign-in of its own. */
  identities?: () => Promise<Identities>
  /** Guesses which MCP endpoint of a target was meant. */
  guessEndpoint?: ((target: string) => string | undefined) | undefined
  host: BridgedHost
  memory: Memory
  logger: Logger
  loginWaitMs: number
  waitForLogin: boolean
  /** Milliseconds. */
  timeouts: { list: number; answer: number }
  maxNameLength: number
  /** As `Math.random`. */
  random: () => number
}

/** Everything of a bridge, joined and not started. */
interface Parts {
  readonly host: HostConnection
  readonly backlog: Backlog
  readonly gatewayClient: GatewayClient
  readonly gateway: Gateway
  readonly listener: StreamListener
  readonly bridge: Bridge
  readonly coordinator: SignInCoordinator
}

/**
 * Joins the parts of a bridge. Nothing is sent before the host says something.
 *
 * @param signal Ends whatever waits for somebody to sign in.
 */
function createParts(
  { clock, io }: Pick<Runtime, 'clock' | 'io'>,
  options: RunBridgeOptions,
  signal: AbortSignal,
): Parts {
  const { logger } = options
  const target = options.name
  const host = createHostConnection(io)
  const backlog = new Backlog()
  const session = createSession()
  const gateway = openGateway(clock, options)
  const gatewayClient = new GatewayClient({
    ...{ gateway, session, host, backlog, target, caller: options.caller },
    guessEndpoint: options.guessEndpoint,
    onUnsent: (message, need) => bridge.keepUnsent(message, need),
    onLeftOut: (need) => coordinator.note(need),
  })
  const listener = new StreamListener({
    ...{ clock, gatewayClient, host, logger, random: options.random },
    // a ping is safe to repeat, so that the gateway opens the session again for it
    onSessionLost: () => void gatewayClient.ask('ping', {}),
  })
  const coordinator = new SignInCoordinator({
    ...{ clock, logger, target, signal },
    open: options.openSignIn,
    hasToken: options.hasToken,
    onDone: (isOtherClient) => bridge.signedIn(isOtherClient),
    onFailed: () => bridge.signInFailed(),
  })
  const bridge: Bridge = new Bridge({
    ...options,
    ...{ target, clock, host, backlog, gatewayClient, session, coordinator },
    onReady: () => listener.start(),
    resume: (request, lastEventId, retryMs) => {
      const { requests } = bridge
      resumeAnswer({ clock, gatewayClient, host, requests }, request, lastEventId, retryMs)
    },
  })
  return { host, backlog, gatewayClient, gateway, listener, bridge, coordinator }
}

function openGateway(clock: Runtime['clock'], options: RunBridgeOptions): Gateway {
  const { name, targets, logger, timeouts, maxNameLength } = options
  const secret = randomBytes(32).toString('hex')
  return createGateway({
    targets,
    // only this process ever sees them
    sessions: createSessions({ secrets: [secret], clock, resource: () => name }),
    secrets: [secret],
    clock,
    logger: quiet(logger),
    timeouts,
    maxNameLength,
    reopenSessions: true,
    // there is one caller
    bindsAlone: false,
    offersStreams: true,
  })
}

/** What the gateway says of a target is said again, better, by what it makes us do. */
function quiet(logger: Logger): Logger {
  return { ...logger, info: logger.debug, warn: logger.debug }
}
