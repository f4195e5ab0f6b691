import { randomBytes } from 'node:crypto'
import type { Caller } from '../auth/credentials/credential.js'
import type { SignInNeed, SignInPort } from '../auth/tokens/token-store.js'
import { createGateway, type Gateway } from '../gateway/gateway.js'
import { createSessions } from '../gateway/sessions/sealed-sessions.js'
import type { Target } from '../gateway/target.js'
import { sleep } from '../util/async.js'
import { isObject, type JsonObject, stringMember } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Clock, Runtime } from '../util/runtime.js'
import { Bridge } from './bridge.js'
import { type BridgeSession, createGatewayClient } from './gateway-client.js'
import { createBacklog, createHostConnection, readMessages } from './host.js'
import { createStreamListener } from './notification-stream.js'
import type { Memory } from './offline.js'
import { resumeAnswer } from './resume-request.js'
import { watchForEnd, watchLiveness } from './shutdown.js'
import { createSignInCoordinator } from './sign-in-coordinator.js'

/** How long answers are awaited once the host closed our stdin. */
const LAST_ANSWERS_MS = 900

const POLL_MS = 20

/** How long the target may take to end the session, and a sign-in to let go of its port and lock. */
const SHUTDOWN_MS = 700

/** The bridges of one machine wake at once: each waits up to this long before it connects. */
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
  const stopLiveness = watchTarget(clock, options, parts, () => {
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
  if (ending === 'stdin') await awaitLastAnswers(clock, parts)
  stopLiveness()
  listener.stop()
  const isFault = ending === 'fault'
  bridge.close(isFault ? 'The bridge ends because of a mistake in it' : 'The bridge is closing')
  over.abort()
  await shutDown(clock, memory, parts, isFault)
  end.stop()
  return isFault ? 1 : 0
}

/** Waits for open requests, unless they wait for a sign-in or for a target that is away. */
async function awaitLastAnswers(clock: Clock, { bridge, host }: Parts): Promise<void> {
  if (['signing-in', 'degraded'].includes(bridge.connection.phase)) return
  const deadline = clock.now() + LAST_ANSWERS_MS
  while (bridge.requests.size > 0 && !host.isBehind && clock.now() < deadline) {
    await sleep(clock, POLL_MS)
  }
}

/** Ends the session at the target, saves what the next start needs, and closes the gateway. */
async function shutDown(
  clock: Clock,
  memory: Memory,
  { gatewayClient, coordinator, gateway }: Parts,
  isFault: boolean,
): Promise<void> {
  const ended = Promise.all([gatewayClient.end(), memory.save(), coordinator.settled()])
  await Promise.race([ended, sleep(clock, SHUTDOWN_MS)])
  await Promise.race([gateway.close(), ...(isFault ? [sleep(clock, SHUTDOWN_MS)] : [])])
}

/** Returns a check that drops the session when somebody signed out, or somebody else signed in. */
function watchSignIn({ identities, logger }: RunBridgeOptions, { listener, bridge }: Parts) {
  let known: Identities = new Map()
  return async () => {
    const now = await identities?.().catch(() => known)
    if (now === undefined) return
    const before = known
    known = now
    const changed = [...before].filter(([name, who]) => who !== undefined && now.get(name) !== who)
    for (const [name] of changed) {
      const who = now.get(name) === undefined ? 'Nobody' : 'Somebody else'
      logger.info('signed_out', `${who} is signed in to ${name} now`)
    }
    if (changed.length === 0) return
    listener.reset()
    bridge.connection.forget([...now.values()].some((who) => who !== undefined))
  }
}

/**
 * Reconnects when the target is silent, or when this machine was asleep.
 *
 * @returns A function that stops it.
 */
function watchTarget(
  clock: Clock,
  { targets, random, logger, name }: RunBridgeOptions,
  { gatewayClient, listener, bridge }: Parts,
  onTick: () => void,
): () => void {
  const reconnect = (pauseMs: number) => {
    for (const { upstream } of targets) void upstream.close()
    listener.restart(pauseMs)
  }
  return watchLiveness({
    ...{ clock, gatewayClient, onTick },
    isListening: () => listener.isOpen && bridge.connection.phase === 'ready',
    onDead: () => {
      logger.info('target_silent', `${name} does not answer; connecting again`)
      reconnect(0)
    },
    onWake: () => reconnect(random() * WAKE_JITTER_MS),
  })
}

/** Returns the host's product name. */
function hostName({ clientInfo }: JsonObject): string | undefined {
  if (!isObject(clientInfo)) return undefined
  const name = stringMember(clientInfo, 'name')
  return stringMember(clientInfo, 'title') || (name && (HOSTS.get(name.toLowerCase()) ?? name))
}

/** Product names of hosts that send no title, by the name that they send. */
const HOSTS: ReadonlyMap<string, string> = new Map([
  ['claude-ai', 'Claude Desktop'],
  ['claude-code', 'Claude Code'],
  ['cursor-vscode', 'Cursor'],
  ['windsurf-client', 'Windsurf'],
  ['codex-mcp-client', 'Codex'],
  ['gemini-cli-mcp-client', 'Gemini CLI'],
])

/** The account signed in to each target, by the target's name; `undefined` where nobody is. */
type Identities = ReadonlyMap<string, string | undefined>

/** The host, for the page that the browser shows after a sign-in. */
export interface BridgedHost {
  /** For people; known once the host sent `initialize`. */
  name: string | undefined
}

export interface RunBridgeOptions {
  /** Name of the target, or of all targets together, for people. */
  name: string
  targets: readonly Target[]
  /** Who is signed in. Rejects with a `SignInRequiredError` when nobody is and somebody has to be. */
  caller: () => Caller | Promise<Caller>
  /** Loads the sign-in; `undefined` where none is possible. */
  openSignIn: (() => Promise<SignInPort>) | undefined
  /** Tells whether the token store has another token by now than the one that was refused. */
  hasToken: (need: SignInNeed) => Promise<boolean>
  /** Tells from the token store who is signed in to each target that has a sign-in of its own. */
  identities?: () => Promise<Identities>
  /** Guesses which MCP endpoint was meant, where a target answers as if it had no MCP at its path. */
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

type Parts = ReturnType<typeof createParts>

/**
 * Creates the parts of a bridge and connects them. Nothing is sent before the host says something.
 *
 * @param signal Ends the wait for somebody to sign in.
 */
function createParts(
  { clock, io }: Pick<Runtime, 'clock' | 'io'>,
  options: RunBridgeOptions,
  signal: AbortSignal,
) {
  const { logger, random } = options
  const target = options.name
  const host = createHostConnection(io)
  const backlog = createBacklog()
  const session: BridgeSession = {
    ...{ sealed: undefined, version: undefined },
    ...{ hostParams: undefined, capabilities: undefined },
  }
  const gateway = openGateway(clock, options)
  const gatewayClient = createGatewayClient({
    ...{ gateway, session, host, backlog, target, caller: options.caller },
    guessEndpoint: options.guessEndpoint,
    onUnsent: (message, need) => bridge.keepUnsent(message, need),
    onLeftOut: (need) => coordinator.note(need),
  })
  const listener = createStreamListener({
    ...{ clock, gatewayClient, host, logger, random },
    // a ping is safe to repeat, so that the gateway opens the session again for it
    onSessionLost: () => void gatewayClient.call('ping', {}),
  })
  const coordinator = createSignInCoordinator({
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

function openGateway(clock: Clock, options: RunBridgeOptions): Gateway {
  const { name, targets, logger, timeouts, maxNameLength } = options
  // no other process ever has to open what is sealed with it
  const secrets = [randomBytes(32).toString('hex')]
  return createGateway({
    ...{ targets, secrets, clock, timeouts, maxNameLength },
    sessions: createSessions({ secrets, clock, resource: () => name }),
    // the bridge reports itself what a failure of a target means for the host
    logger: { ...logger, info: logger.debug, warn: logger.debug },
    reopenSessions: true,
    // there is only one caller
    bindsAlone: false,
    offersStreams: true,
  })
}
