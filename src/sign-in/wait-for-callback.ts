import { bindingOf } from '../auth/tokens/sign-in-target.js'
import type { TokenRecord } from '../auth/tokens/token-store.js'
import { messageOf, ProxyError } from '../util/errors.js'
import { type Flow, tookTooLong, wasInterrupted } from './flow.js'
import type { PendingSignIn } from './pending-sign-in.js'

/** How often to look whether another process (`login --paste`) finished this sign-in. */
const LOOK_MS = 500

/** After this long without an answer, the page may show an error that never reaches us. */
const HINT_MS = 60_000

/** The one end of a sign-in, whoever brings it about. */
export interface End {
  readonly promise: Promise<TokenRecord>
  /** Ends the sign-in with what `outcome` becomes, and tells it as a value. */
  settle(outcome: Promise<TokenRecord>): Promise<TokenRecord | ProxyError>
}

/**
 * Watches what can end a sign-in from outside: tokens that another process put into the store,
 * the time that somebody has, and an abort.
 */
export function waitForEnd(flow: Flow, pending: PendingSignIn): End {
  const { runtime, store, signal, target, holder } = flow
  const { clock } = runtime
  const { promise, resolve, reject } = deferred<TokenRecord>()
  let cancelLook = () => {}
  const before = store.load(bindingOf(target)).catch(() => undefined)
  const look = () => {
    cancelLook = clock.after(LOOK_MS, () => {
      const found = Promise.all([before, store.load(bindingOf(target))])
      found.then(([old, now]) => {
        if (
          now !== undefined &&
          now.accessToken !== old?.accessToken &&
          now.receivedAt * 1_000 >= pending.since - 1_000
        ) {
          resolve(now)
        } else look()
      }, look)
    })
  }
  look()
  const cancelEnd = clock.after(pending.expiresAt - clock.now(), () => reject(tookTooLong()))
  const cancelHint = clock.after(HINT_MS, () => holder.update({ note: hintFor(pending) }))
  const onAbort = () => reject(wasInterrupted())
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  const ended = promise.finally(() => {
    cancelLook()
    cancelEnd()
    cancelHint()
    signal.removeEventListener('abort', onAbort)
  })
  ended.catch(() => {}) // it may end before anybody waits for it
  return {
    promise: ended,
    async settle(outcome) {
      try {
        const record = await outcome
        resolve(record)
        return record
      } catch (thrown) {
        const error =
          thrown instanceof ProxyError
            ? thrown
            : new ProxyError('SIGN_IN_FAILED', `The sign-in failed: ${messageOf(thrown)}`, {
                cause: thrown,
              })
        reject(error)
        return error
      }
    },
  }
}

function hintFor({ client, kind }: PendingSignIn): string | undefined {
  if (kind === 'device') return undefined
  const again =
    client.source === 'dynamic' ? 'mcp-descope-proxy login --force' : 'mcp-descope-proxy login'
  return `If the browser shows an error such as "unknown client", run \`${again}\`.`
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: ProxyError) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
