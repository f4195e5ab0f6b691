import { INSUFFICIENT_SCOPE } from '../auth/tokens/token-source.js'
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
  /** Ends whatever waits here. */
  signal: AbortSignal
  /**
   * Called whenever somebody signed in.
   *
   * @param isOtherClient The tokens before were another client's.
   */
  onDone(isOtherClient: boolean): void
  onFailed(): void
}

/** How often we look whether somebody signed in elsewhere. */
const POLL_MS = 3_000

/** Has somebody sign in when that is needed, one at a time, and knows how far that is. */
export class SignInCoordinator {
  readonly #options: SignInCoordinatorOptions
  #port: SignInPort | undefined
  #running = false
  #failure: ProxyError | undefined
  #watching = false
  /** Why somebody has to sign in, by target; '' where one sign-in is for all. */
  readonly #needs = new Map<string, SignInNeed>()
  /** Keys of the needs that were met by a sign-in since a target last took a token. */
  readonly #unproven = new Set<string>()
  #settled: Promise<void> = Promise.resolve()
  #listeners = new Set<() => void>()

  constructor(options: SignInCoordinatorOptions) {
    this.#options = options
  }

  get isRunning(): boolean {
    return this.#running
  }

  /** The first of the needs that are not met yet. */
  get need(): SignInNeed | undefined {
    return this.#needs.values().next().value
  }

  get view(): SignInView {
    if (this.#failure !== undefined) return { phase: 'failed', error: this.#failure }
    const state = this.#port?.state ?? { phase: 'preparing' }
    // of the sign-in before, until this one has begun
    return this.#running && state.phase === 'failed' ? { phase: 'preparing' } : state
  }

  /** The target took a token: when it refuses one later, somebody may sign in anew. */
  markTokenAccepted(): void {
    this.#unproven.clear()
  }

  /** Resolves when no sign-in runs, so that no port and no lock is held. */
  settled(): Promise<void> {
    return this.#settled
  }

  /** Learns that somebody has to sign in; `begin` then starts it. */
  note(need: SignInNeed): void {
    this.#needs.set(keyOf(need), need)
  }

  /** Starts the sign-ins that are needed, one after the other, unless one is under way. */
  begin(): void {
    if (this.#running || this.#needs.size === 0) return
    this.#running = true
    this.#failure = undefined
    this.#settled = this.#meetAll().then(
      () => {
        this.#running = false
        if (this.#options.signal.aborted) return
        this.#tell()
        const { view } = this
        this.#options.onDone(view.phase === 'done' && view.isOtherClient)
      },
      (thrown: unknown) => this.#fail(asError(thrown)),
    )
  }

  /** Resolves when it is known what the user has to do, or after `ms` milliseconds. */
  whenKnown(ms: number): Promise<void> {
    const isKnown = () => {
      const { view } = this
      return view.phase === 'failed' || (view.phase === 'waiting' && view.tab !== 'opening')
    }
    if (isKnown()) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.#listeners.delete(look)
        resolve()
      }
      const look = () => {
        if (isKnown() || !this.#running) done()
      }
      const cancel = this.#options.clock.after(ms, done)
      this.#listeners.add(look)
    })
  }

  async #meetAll(): Promise<void> {
    for (let { need } = this; need !== undefined; { need } = this) {
      const key = keyOf(need)
      try {
        await this.#meet(need)
      } catch (error) {
        // whoever does not want to sign in to this target may sign in to the next one
        this.#needs.delete(key)
        this.#needs.set(key, need)
        throw error
      }
      this.#needs.delete(key)
      this.#unproven.add(key)
    }
  }

  async #meet(need: SignInNeed): Promise<void> {
    const { open, target, signal } = this.#options
    if (open === undefined) {
      throw new ProxyError('CREDENTIAL_REFUSED', `The token for ${target} was refused`, {
        hint: 'Replace it, or remove it to sign in.',
      })
    }
    // whoever refuses the token of a new sign-in will refuse the next one too
    const isStepUp = need.challenge?.error === INSUFFICIENT_SCOPE
    if (need.refused !== undefined && this.#unproven.has(keyOf(need)) && !isStepUp) {
      throw new ProxyError('CREDENTIAL_REFUSED', `${target} refuses the token of a new sign-in`, {
        hint: 'Ask its operator whom it admits, or sign in as somebody else: `mcp-descope-proxy login --force`.',
      })
    }
    if (this.#port === undefined) {
      this.#port = await open()
      this.#port.onChange(() => this.#tell())
    }
    await this.#port.ensure({ ...need, interactive: 'offer', signal })
  }

  #fail(error: ProxyError): void {
    const { signal, logger, onFailed } = this.#options
    this.#running = false
    if (signal.aborted) return
    this.#failure = error
    logger.warn('sign_in_failed', `Nobody is signed in: ${error.message}`, { hint: error.hint })
    this.#tell()
    onFailed()
    if (!this.#watching) void this.#watchElsewhere()
  }

  /** Somebody may sign in by hand, in another process. */
  async #watchElsewhere(): Promise<void> {
    const { clock, signal, onDone } = this.#options
    this.#watching = true
    while (!signal.aborted && !this.#running) {
      await sleep(clock, POLL_MS, signal)
      if (this.#running || signal.aborted || !(await this.#isMetElsewhere())) continue
      this.#failure = undefined
      this.#tell()
      onDone(false)
      break
    }
    this.#watching = false
  }

  /** Drops the first need that was met by another process, if any was. */
  async #isMetElsewhere(): Promise<boolean> {
    for (const [key, need] of this.#needs) {
      if (!(await this.#options.hasToken(need).catch(() => false))) continue
      this.#needs.delete(key)
      return true
    }
    return false
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

const keyOf = ({ target = '' }: SignInNeed) => target

function asError(thrown: unknown): ProxyError {
  return thrown instanceof ProxyError ? thrown : new ProxyError('INTERNAL', messageOf(thrown))
}
