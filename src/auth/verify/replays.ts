import { hash } from 'node:crypto'
import type { Clock } from '../../util/runtime.js'

/** Whether an id came for the first time; `full` when there is no room to remember it. */
export type ReplayVerdict = 'first' | 'again' | 'full'

/** Remembers the ids of proofs. */
export interface Replays {
  /**
   * Takes an id of a key.
   *
   * @param key Its thumbprint.
   */
  use(key: string, id: string): ReplayVerdict | Promise<ReplayVerdict>
}

export interface ReplayLimits {
  /** For so long an id is remembered at least, milliseconds: longer than a proof is good for. */
  keepMs?: number
  /** Ids of all keys, and of one. */
  maxIds?: number
  maxPerKey?: number
}

interface Generation {
  readonly ids: Set<string>
  readonly perKey: Map<string, number>
}

const generation = (): Generation => ({ ids: new Set(), perKey: new Map() })

/**
 * Remembers ids in two generations: what the younger one took stays until it is the older one and a
 * third begins. Nothing is forgotten to make room; what finds none is refused.
 *
 * @see [RFC 9449 §11.1](https://www.rfc-editor.org/rfc/rfc9449#section-11.1) DPoP Proof Replay
 */
export function createReplays(
  clock: Pick<Clock, 'now'>,
  { keepMs = 75_000, maxIds = 250_000, maxPerKey = 50_000 }: ReplayLimits = {},
): Replays & { use(key: string, id: string): ReplayVerdict } {
  let young = generation()
  let old = generation()
  let since = clock.now()

  function turn(): void {
    const now = clock.now()
    const age = now - since
    // a clock that was set back says nothing of how old they are
    if (age < 0) since = now
    if (age < keepMs) return
    old = age >= 2 * keepMs ? generation() : young
    young = generation()
    since = now
  }

  return {
    use(key, id) {
      turn()
      const name = hash('sha256', `${key} ${id}`, 'base64url').slice(0, 22)
      if (young.ids.has(name) || old.ids.has(name)) return 'again'
      const ofKey = young.perKey.get(key) ?? 0
      const kept = ofKey + (old.perKey.get(key) ?? 0)
      if (young.ids.size + old.ids.size >= maxIds || kept >= maxPerKey) return 'full'
      young.ids.add(name)
      young.perKey.set(key, ofKey + 1)
      return 'first'
    },
  }
}
