import { randomBytes } from 'node:crypto'
import { messageOf, ProxyError } from '../util/errors.js'
import type { Clock, Runtime } from '../util/runtime.js'
import type { SeenRequest } from './target/target.js'
import { createVisitor } from './visitor.js'

/** A part that accepts connections. */
export interface DemoPart {
  readonly url: string
  close(): Promise<void>
}

export interface DemoIdentity extends DemoPart {
  /** The value for `DESCOPE_CONFIG_URL`. */
  readonly configUrl: string
  set(options: { resourceUrl: string }): void
}

export interface DemoTarget extends DemoPart {
  readonly requests: readonly SeenRequest[]
}

/** How the parts of the demonstration are started. */
export interface DemoStarters {
  startIdentity(): Promise<DemoIdentity>
  startTarget(options: { token: string }): Promise<DemoTarget>
  startProxy(options: ProxyStart): Promise<DemoPart>
}

/** `DESCOPE_CONFIG_URL`, `TARGET_MCP_SERVER_URL` and `TARGET_TOKEN` of `serve`. */
export interface ProxyStart {
  configUrl: string
  targetUrl: string
  targetToken: string
}

export type DemoPartName = 'identity' | 'target' | 'proxy'

export interface DemoListener {
  onListening(part: DemoPartName, url: string): void
  onStep(step: DemoStep): void
}

export interface RunningDemo {
  readonly steps: readonly DemoStep[]
  readonly urls: Readonly<Record<DemoPartName, string>> & { readonly configUrl: string }
  /** Names of the tools as the client sees them. */
  readonly tools: readonly string[]
  close(): Promise<void>
}

/** The tool that is called, with the prefix that the proxy gives it. */
export const DEMO_TOOL = 'target_get_weather'

/**
 * Starts the emulator, the example target and the proxy, and lets a real MCP client sign in by
 * dynamic registration and PKCE, list the tools and call one.
 *
 * @param signal Ends the demonstration before its next step.
 * @returns The running chain, which the caller must close.
 * @throws {ProxyError} `CHECK_FAILED` naming the step that failed, or `INTERRUPTED`, after stopping
 *   what was started.
 */
export async function runDemo(
  runtime: Pick<Runtime, 'clock' | 'fetch'>,
  starters: DemoStarters,
  listener: DemoListener,
  signal?: AbortSignal,
): Promise<RunningDemo> {
  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => undefined)
  }
  try {
    return { ...(await takeSteps(runtime, starters, listener, closers, signal)), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function takeSteps(
  { clock, fetch }: Pick<Runtime, 'clock' | 'fetch'>,
  starters: DemoStarters,
  listener: DemoListener,
  closers: (() => Promise<void>)[],
  signal: AbortSignal | undefined,
): Promise<Omit<RunningDemo, 'close'>> {
  const { step, steps } = createSteps(clock, listener.onStep, signal)
  const start = async <T extends DemoPart>(
    part: DemoPartName,
    title: string,
    act: () => Promise<T>,
  ): Promise<T> => {
    const started = await step(`start.${part}`, title, act, ({ url }) => url)
    closers.push(() => started.close())
    listener.onListening(part, started.url)
    return started
  }

  const token = randomBytes(24).toString('base64url')
  const identity = await start('identity', 'Start the Descope emulator', starters.startIdentity)
  const { configUrl } = identity
  const target = await start('target', 'Start the example MCP server', () =>
    starters.startTarget({ token }),
  )
  const proxy = await start('proxy', 'Start the proxy in front of it', () =>
    starters.startProxy({ configUrl, targetUrl: target.url, targetToken: token }),
  )
  identity.set({ resourceUrl: proxy.url })

  const visitor = createVisitor(proxy.url, fetch)
  closers.push(visitor.close)
  await step('challenge', 'Call without a token and be refused', visitor.callWithoutToken, String)
  await step(
    'register',
    'Find the authorization server and register a client',
    visitor.register,
    String,
  )
  await step('sign-in', 'Sign in with PKCE', visitor.signIn, String)
  await step('connect', 'Open an MCP session with the token', visitor.connect, String)
  const tools = await step('tools', 'List the tools', visitor.listTools, (names) =>
    names.join(', '),
  )
  const call = () => visitor.callTool(DEMO_TOOL, { city: 'Lisbon' })
  await step('call', `Call ${DEMO_TOOL}`, call, String)
  const check = async () => checkSeen(target)
  await step('credential', 'Check which credential the MCP server received', check, String)
  return {
    steps,
    tools,
    urls: { identity: identity.url, target: target.url, proxy: proxy.url, configUrl },
  }
}

/** Detects a leak of the user's token, which is a JWT, unlike the token of the server. */
function checkSeen({ requests }: DemoTarget): string {
  const seen = requests.flatMap((request) => request.credentials)
  if (seen.some(({ format }) => format === 'jwt')) {
    throw new ProxyError('CHECK_FAILED', "the user's token reached the server")
  }
  if (!seen.some(({ scheme }) => scheme === 'bearer')) {
    throw new ProxyError('CHECK_FAILED', 'the server did not receive its own token')
  }
  return "its own API token, not the user's"
}

/** One step that succeeded. */
export interface DemoStep {
  /** Stable word for programs. */
  id: string
  /** What was done, for people. */
  title: string
  detail: string
  ms: number
}

interface Steps {
  /** Those that succeeded, in order. */
  readonly steps: readonly DemoStep[]
  /**
   * Takes one step.
   *
   * @param describe Describes the result in a few words.
   * @throws {ProxyError} `CHECK_FAILED` naming the step, or `INTERRUPTED`.
   */
  step<T>(
    id: string,
    title: string,
    act: () => Promise<T>,
    describe: (result: T) => string,
  ): Promise<T>
}

/**
 * Creates the record of steps.
 *
 * @param onStep Called after each step that succeeded.
 * @param signal No step begins after it aborts.
 */
export function createSteps(
  clock: Pick<Clock, 'now'>,
  onStep: (step: DemoStep) => void,
  signal?: AbortSignal,
): Steps {
  const steps: DemoStep[] = []
  return {
    steps,
    async step(id, title, act, describe) {
      if (signal?.aborted) throw new ProxyError('INTERRUPTED', 'The demo was interrupted')
      const began = clock.now()
      try {
        const result = await act()
        const done = { id, title, detail: describe(result), ms: clock.now() - began }
        steps.push(done)
        onStep(done)
        return result
      } catch (error) {
        throw stepFailed(title, error)
      }
    },
  }
}

function stepFailed(title: string, error: unknown): ProxyError {
  return new ProxyError('CHECK_FAILED', `The step "${title}" failed: ${messageOf(error)}`, {
    hint:
      error instanceof ProxyError && error.hint !== undefined
        ? error.hint
        : 'Run `mcp-descope-proxy demo --once --log-level debug` to see what led to it.',
    cause: error,
  })
}
