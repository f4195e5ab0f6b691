import { requiresMore } from '../auth/tokens/token-source.js'
import type { SignInNeed, SignInPort, SignInView } from '../auth/tokens/token-store.js'
import { sleep } from '../util/async.js'
import { messageOf, ProxyError } from '../util/errors.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'

export interface SignInCoordinatorOptions {
  clock: Clock
  logger: Logger
  /** Name of the target, for people. */
  target: string
  /** Loads the sign-in; `undefined` where none is possible. */
  open: (() => Promise<SignInPort>) | undefined
  /** Tells whether there is another token by now than the one that was refused. */
  hasToken: (need: SignInNeed) => Promise<boolean>
  /** Ends the sign-in that runs, and the wait for one elsewhere. */
  signal: AbortSignal
  /**
   * Called whenever somebody signed in.
   *
   * @param isOtherClient The previous tokens were another OAuth client's.
   */
  onDone(isOtherClient: boolean): void
  onFailed(): void
}

/** How often we look whether somebody signed in elsewhere. */
const POLL_MS = 3_000

export type SignInCoordinator = ReturnType<typeof createSignInCoordinator>

/** Starts the sign-ins that requests turn out to need, one at a time, and knows how far they are. */
export function createSignInCoordinator(options: SignInCoordinatorOptions) {
  const { clock, logger, target, open, hasToken, signal, onDone, onFailed } = options
  let port: SignInPort | undefined
  let isRunning = false
  let failure: ProxyError | undefined
  let isWatching = false
  let settled: Promise<void> = Promise.resolve()
  /** Why somebody has to sign in, by target; under '' where one sign-in is for all targets. */
  const needs = new Map<string, SignInNeed>()
  /** Keys of the needs for which somebody signed in and no target has accepted a token since then. */
  const unproven = new Set<string>()
  const listeners = new Set<() => void>()

  /** The first of the needs that are not met yet. */
  const firstNeed = (): SignInNeed | undefined => needs.values().next().value

  function view(): SignInView {
    if (failure !== undefined) return { phase: 'failed', error: failure }
    const state = port?.state ?? { phase: 'preparing' }
    // the failure is that of the previous sign-in, until this one has begun
    return isRunning && state.phase === 'failed' ? { phase: 'preparing' } : state
  }

  async function meetAll(): Promise<void> {
    for (let need = firstNeed(); need !== undefined; need = firstNeed()) {
      const key = keyOf(need)
      try {
        await meet(need)
      } catch (error) {
        // the next sign-in begins with another target: the user may want to sign in there
        needs.delete(key)
        needs.set(key, need)
        throw error
      }
      needs.delete(key)
      unproven.add(key)
    }
  }

  async function meet(need: SignInNeed): Promise<void> {
    if (open === undefined) {
      throw new ProxyError('CREDENTIAL_REFUSED', `The token for ${target} was refused`, {
        hint: 'Replace it, or remove it to sign in.',
      })
    }
    // a target that refuses the token of a new sign-in will refuse the next one too
    const isStepUp = requiresMore(need.challenge)
    if (need.refused !== undefined && unproven.has(keyOf(need)) && !isStepUp) {
      throw new ProxyError('CREDENTIAL_REFUSED', `${target} refuses the token of a new sign-in`, {
        hint: 'Ask its operator who has access, or sign in as somebody else: `mcp-descope-proxy login --force`.',
      })
    }
    if (port === undefined) {
      port = await open()
      port.onChange(tell)
    }
    await port.ensure({ ...need, interactive: 'offer', signal })
  }

  function fail(thrown: unknown): void {
    isRunning = false
    if (signal.aborted) return
    const error =
      thrown instanceof ProxyError ? thrown : new ProxyError('INTERNAL', messageOf(thrown))
    failure = error
    logger.warn('sign_in_failed', `Nobody is signed in: ${error.message}`, { hint: error.hint })
    tell()
    onFailed()
    if (!isWatching) void watchElsewhere()
  }

  /** Waits for somebody to sign in by another process, such as `mcp-descope-proxy login`. */
  async function watchElsewhere(): Promise<void> {
    isWatching = true
    while (!signal.aborted && !isRunning) {
      await sleep(clock, POLL_MS, signal)
      if (isRunning || signal.aborted || !(await isMetElsewhere())) continue
      failure = undefined
      tell()
      onDone(false)
      break
    }
    isWatching = false
  }

  /** Drops the first need for which another process has got a token; tells whether there was one. */
  async function isMetElsewhere(): Promise<boolean> {
    for (const [key, need] of needs) {
      if (!(await hasToken(need).catch(() => false))) continue
      needs.delete(key)
      return true
    }
    return false
  }

  function tell(): void {
    for (const listener of [...listeners]) listener()
  }

  return {
    get need() {
      return firstNeed()
    },

    get view() {
      return view()
    },

    /** A target accepted a token: when it refuses one later, a new sign-in may help. */
    markTokenAccepted: () => unproven.clear(),

    /** Resolves when no sign-in runs, so that no port and no lock is held. */
    settled: () => settled,

    /** Notes that somebody has to sign in; `begin` starts the sign-in. */
    note: (need: SignInNeed) => void needs.set(keyOf(need), need),

    /** Starts the sign-ins that are needed, one after the other, unless one is under way. */
    begin(): void {
      if (isRunning || needs.size === 0) return
      isRunning = true
      failure = undefined
      settled = meetAll().then(() => {
        isRunning = false
        if (signal.aborted) return
        tell()
        const state = view()
        onDone(state.phase === 'done' && state.isOtherClient)
      }, fail)
    },

    /** Resolves when it is known what the user has to do, or after `ms` milliseconds. */
    whenKnown(ms: number): Promise<void> {
      const isKnown = () => {
        const state = view()
        return state.phase === 'failed' || (state.phase === 'waiting' && state.tab !== 'opening')
      }
      if (isKnown()) return Promise.resolve()
      return new Promise((resolve) => {
        const done = () => {
          cancel()
          listeners.delete(look)
          resolve()
        }
        const look = () => {
          if (isKnown() || !isRunning) done()
        }
        const cancel = clock.after(ms, done)
        listeners.add(look)
      })
    },
  }
}

const keyOf = ({ target = '' }: SignInNeed) => target
