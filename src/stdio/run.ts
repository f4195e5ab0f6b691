import { sleep } from '../util/async.js'
import { isObject, type JsonObject, stringMember } from '../util/json.js'
import type { Runtime } from '../util/runtime.js'
import { assemble, type Identities, type Parts, type StdioOptions } from './assemble.js'
import { watchLife } from './life.js'
import { Liveness } from './liveness.js'
import { readMessages } from './read-messages.js'

/** How long answers are waited for when the host closed our stdin, milliseconds. */
const LAST_ANSWERS_MS = 900
const LOOK_MS = 20
const GOODBYE_MS = 700
const WAKE_JITTER_MS = 3_000

type StdioRuntime = Pick<Runtime, 'clock' | 'io' | 'onFault' | 'onSignal' | 'system'>

/**
 * Serves one host on stdin and stdout until it goes away.
 *
 * @returns The exit status.
 */
export async function runStdio(runtime: StdioRuntime, options: StdioOptions): Promise<number> {
  const { clock, io } = runtime
  const { memory, logger } = options
  const life = watchLife(runtime, logger)
  const over = new AbortController()
  const parts = assemble(runtime, options, over.signal)
  const { host, backlog, bridge, listener } = parts
  const lookAtSignIn = watchSignIn(options, parts)
  const liveness = watchTarget(runtime, options, parts, () => {
    life.look()
    void lookAtSignIn()
    void memory.save()
  })
  readMessages(io.stdin, host, backlog, (message) => {
    if (message.method === 'initialize') {
      listener.reset()
      options.onHostName?.(hostName(message.params))
    }
    bridge.receive(message)
  })

  const ending = await life.ended
  logger.debug('ending', `The bridge ends: ${ending}`)
  const canAnswer = !['signing-in', 'degraded'].includes(bridge.connection.phase)
  if (ending === 'stdin' && canAnswer) await lastAnswers(runtime, parts)
  liveness.stop()
  listener.stop()
  const isFault = ending === 'fault'
  bridge.close(isFault ? 'The bridge ends because of a mistake in it' : 'The bridge is closing')
  over.abort()
  const goodbye = Promise.all([parts.link.end(), memory.save(), parts.desk.settled()])
  await Promise.race([goodbye, sleep(clock, GOODBYE_MS)])
  await Promise.race([parts.gateway.close(), ...(isFault ? [sleep(clock, GOODBYE_MS)] : [])])
  life.stop()
  return isFault ? 1 : 0
}

/** Ends what belongs to somebody who signed out, or in whose place somebody else signed in. */
function watchSignIn({ identities, logger }: StdioOptions, { listener, bridge }: Parts) {
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
  { targets, random, logger, name }: StdioOptions,
  { link, listener, bridge }: Parts,
  onTick: () => void,
): Liveness {
  const reconnect = (pauseMs: number) => {
    for (const { upstream } of targets) void upstream.close()
    listener.restart(pauseMs)
  }
  const liveness = new Liveness({
    clock,
    link,
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
    await sleep(clock, LOOK_MS)
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
