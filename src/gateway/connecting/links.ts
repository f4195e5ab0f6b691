import { randomUUID } from 'node:crypto'
import {
  type Caller,
  NotConnectedError,
  type TargetCredential,
} from '../../auth/credentials/credential.js'
import { callerId } from '../../auth/principal.js'
import { BoundedMap } from '../../util/bounded-map.js'
import type { JsonObject } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { connectToolOf } from '../../util/text.js'

const MAX_CALLERS = 10_000

/** Elicitations of one caller whose completion is told. */
const MAX_IDS = 8

/** For how long a caller who was given a link is expected to follow it, milliseconds. */
const EAGER_MS = 120_000

const EXPECTED_MS = 600_000

/** Longer than a refusal is answered from the cache of credentials. */
const EAGER_PAUSE_MS = 2_100

const EXPECTED_PAUSE_MS = 10_000

const FIRST_IDLE_PAUSE_MS = 5_000

const LAST_IDLE_PAUSE_MS = 60_000

/** How often it is looked whether a link was given out meanwhile. */
const TICK_MS = 2_100

/** Knows who was sent to a page to connect, and finds out when that was done. */
export function createLinks(clock: Clock, credential: Pick<TargetCredential, 'headers'>) {
  const given = new BoundedMap<string, { at: number; ids: readonly string[] }>(MAX_CALLERS)

  async function isConnected(caller: Caller): Promise<boolean | undefined> {
    try {
      await credential.headers(caller)
      return true
    } catch (error) {
      return error instanceof NotConnectedError ? false : undefined
    }
  }

  /** Returns the pause between two questions; without a link it grows. */
  function pauseFor(key: string, idleMs: number): number {
    const age = clock.now() - (given.get(key)?.at ?? Number.NEGATIVE_INFINITY)
    if (age < EAGER_MS) return EAGER_PAUSE_MS
    return age < EXPECTED_MS ? EXPECTED_PAUSE_MS : idleMs
  }

  return {
    /** Notes that a caller is given a link, and returns the id of its elicitation. */
    note({ principal }: Caller): string {
      const key = callerId(principal)
      const id = randomUUID()
      const { ids = [] } = given.get(key) ?? {}
      given.set(key, { at: clock.now(), ids: [...ids, id].slice(-MAX_IDS) })
      return id
    },

    /** Returns the elicitations of a caller, which are over once the caller is connected. */
    elicitationsOf({ principal }: Caller): readonly string[] {
      return given.get(callerId(principal))?.ids ?? []
    },

    /**
     * Waits until a caller is connected, and polls Descope more often after a link was given out.
     *
     * @returns A function that ends the wait.
     */
    watch(caller: Caller, onConnected: () => void): () => void {
      const key = callerId(caller.principal)
      let checkedAt = clock.now()
      let idleMs = FIRST_IDLE_PAUSE_MS
      let isOver = false
      let cancel = () => {}
      const wait = () => {
        cancel = clock.after(TICK_MS, () => void look())
      }
      const look = async () => {
        const pause = pauseFor(key, idleMs)
        if (clock.now() - checkedAt >= pause) {
          const connected = await isConnected(caller)
          if (isOver) return
          if (connected) return onConnected()
          checkedAt = clock.now()
          idleMs = Math.min(idleMs * 1.5, LAST_IDLE_PAUSE_MS)
        }
        wait()
      }
      wait()
      return () => {
        isOver = true
        cancel()
      }
    },
  }
}

/** What is said to people, or to the model that passes it on, about a connection. */
interface ConnectWords {
  /** The tool that stands in while nothing else is known. */
  readonly tool: JsonObject & { readonly name: string; readonly description: string }
  readonly instructions: string
  readonly connected: string
  readonly declined: string
  /** What a client shows beside the link. */
  readonly prompt: string
  /** @param isStillOpen The user was sent there before. */
  withLink(url: string, isStillOpen?: boolean): string
  /** The tenant is not connected: nothing that this user can do. */
  readonly tenant: string
}

/**
 * Prepares the texts of one target.
 *
 * @param app The id of the connection.
 */
export function connectWords(target: string, app: string, by: 'user' | 'tenant'): ConnectWords {
  const name = JSON.stringify(app)
  const tenant = `The tenant is not connected with ${name} yet: an administrator connects it in Descope (console: Connections, ${name}). Then try again.`
  const needed = by === 'user' ? `Nobody has connected ${name} for this user yet.` : tenant
  const then = `The tools of ${target} appear when that is done.`
  return {
    tool: {
      name: connectToolOf(app),
      title: `Connect ${app}`,
      description:
        by === 'user' ? `${needed} Call this to get the link to connect. ${then}` : tenant,
      inputSchema: { type: 'object', properties: {} },
    },
    instructions:
      by === 'user' ? `${needed} Any call answers with the link to connect. ${then}` : tenant,
    connected: `${name} is connected. The tools of ${target} are available now.`,
    declined: `${name} is not connected, because the user declined; ${target} needs that.`,
    prompt: `Connect ${app} on this page, so that ${target} can be used for you.`,
    withLink(url, isStillOpen = false) {
      const what = isStillOpen ? `${name} is still not connected` : `Connect ${name} first`
      return `${what}: have the user open ${url} in a browser, then try again.`
    },
    tenant,
  }
}
