import { createHash } from 'node:crypto'
import { BoundedMap } from '../../util/bounded-map.js'
import type { Logger } from '../../util/logger.js'
import type { Target } from '../target.js'

const SEPARATOR = '_'

const HASH_LENGTH = 6

const PLAIN = /^[A-Za-z0-9_-]+$/

const ALIAS = /_[0-9a-f]{6}$/

/** Aliases that are kept of one target. */
const MAX_ALIASES = 20_000

/** A target, as far as names are concerned. */
export interface Named {
  readonly name: string
  /** Without the separator; '' leaves names unchanged. */
  readonly prefix: string
}

/** A target's name that would lead to another target. */
export interface NameCollision<T> {
  target: T
  /** The target's own name, and how it would be exposed. */
  name: string
  full: string
  /** The target that has the longer prefix. */
  other: T
  alias: string
}

/** Two tools or prompts that would have the same exposed name. */
export interface Clash<T> {
  alias: string
  both: readonly [Owned<T>, Owned<T>]
  /** The target with the name's prefix keeps the name; when there is none, neither can be called. */
  winner: T | undefined
}

/** A target's own name. */
interface Owned<T> {
  target: T
  name: string
}

export interface NamesListener<T> {
  /** Called once for each name that would lead to another target. */
  onMeeting?(meeting: NameCollision<T>): void
  /** Called once for each clash. */
  onClash?(clash: Clash<T>): void
}

const AMBIGUOUS = Symbol('leads to two tools')

export interface Names<T extends Named> {
  /** Returns the name that clients see for a target's own name. */
  expose(target: T, name: string): string
  /** Finds the target and its own name behind an exposed name; `undefined` when two share it. */
  route(exposed: string): Owned<T> | undefined
  /**
   * Tells whether a name looks like an alias that was given out by another process, so that the
   * targets' lists must be read before it can be routed.
   */
  isUnknownAlias(exposed: string): boolean
}

/**
 * Creates the two-way street between targets' names and exposed ones: `<prefix>_<name>`. The
 * longest prefix wins, so that with the prefixes `a` and `a_b` the name `a_b_c` is `c` of the
 * second. A name that is longer than `maxLength`, has characters that clients refuse, or would lead
 * to another target gets an alias instead: shortened, other characters as `_`, then `_` and six hex
 * digits of its SHA-256. Aliases are the same in every process. Where two of one target meet, or
 * one meets a plain name, neither leads anywhere: a call is refused rather than sent to the wrong
 * tool. No target takes a name from another one: it is the target's whose prefix it has.
 */
export function createNames<T extends Named>(
  targets: readonly T[],
  maxLength: number,
  { onMeeting, onClash }: NamesListener<T> = {},
): Names<T> {
  const byLength = [...targets].sort((a, b) => b.prefix.length - a.prefix.length)
  const heads = byLength.map((target) => ({ target, head: join(target.prefix, '') }))
  /**
   * Aliases of each target, and its plain names that look like one. Each target has its own map, so that
   * one with many names does not push out those of others.
   */
  const aliases = new Map<T, Map<string, Owned<T> | typeof AMBIGUOUS>>(
    targets.map((target) => [target, new BoundedMap(MAX_ALIASES)]),
  )

  function byPrefix(exposed: string): Owned<T> | undefined {
    for (const { target, head } of heads) {
      if (exposed.length > head.length && exposed.startsWith(head)) {
        return { target, name: exposed.slice(head.length) }
      }
    }
    return undefined
  }

  /** @returns Whether the name was not known before. */
  function claim(alias: string, owned: Owned<T>): boolean {
    const own = aliases.get(owned.target) ?? new Map<string, Owned<T> | typeof AMBIGUOUS>()
    const known = own.get(alias)
    if (known === AMBIGUOUS) return false
    if (known !== undefined) {
      if (known.name === owned.name) return false
      own.set(alias, AMBIGUOUS)
      onClash?.({ alias, both: [known, owned], winner: undefined })
      return false
    }
    const [other] = claimants(alias)
    own.set(alias, owned)
    if (other !== undefined && other !== AMBIGUOUS) {
      onClash?.({ alias, both: [other, owned], winner: byPrefix(alias)?.target })
    }
    return true
  }

  function claimants(alias: string): (Owned<T> | typeof AMBIGUOUS)[] {
    const found = []
    for (const own of aliases.values()) {
      const owned = own.get(alias)
      if (owned !== undefined) found.push(owned)
    }
    return found
  }

  function routeAlias(exposed: string): Owned<T> | typeof AMBIGUOUS | undefined {
    const [first, ...others] = claimants(exposed)
    if (others.length === 0) return first
    const winner = byPrefix(exposed)?.target
    return (winner && aliases.get(winner)?.get(exposed)) ?? AMBIGUOUS
  }

  return {
    expose(target, name) {
      const full = join(target.prefix, name)
      const owner = byPrefix(full)?.target
      const fits = full.length <= maxLength && PLAIN.test(full)
      if (fits && owner === target) {
        if (ALIAS.test(full)) claim(full, { target, name })
        return full
      }
      const alias = shorten(full, `${target.prefix}\n${name}`, maxLength)
      const isNew = claim(alias, { target, name })
      if (isNew && owner !== undefined && owner !== target) {
        onMeeting?.({ target, name, full, other: owner, alias })
      }
      return alias
    },
    route(exposed) {
      const known = ALIAS.test(exposed) ? routeAlias(exposed) : undefined
      return known === AMBIGUOUS ? undefined : (known ?? byPrefix(exposed))
    },
    isUnknownAlias(exposed) {
      if (!ALIAS.test(exposed) || exposed.length > maxLength) return false
      return claimants(exposed).length === 0
    },
  }
}

function join(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}${SEPARATOR}${name}`
}

/** @param identity Tells equal names apart: `a` with the prefix `x_y`, and `y_a` with `x`. */
function shorten(full: string, identity: string, maxLength: number): string {
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, HASH_LENGTH)
  const head = full.slice(0, maxLength - HASH_LENGTH - 1).replace(/[^A-Za-z0-9_-]/g, '_')
  return `${head}${SEPARATOR}${hash}`
}

/** Logs the names that do not lead where somebody may expect. */
export function tellNames(logger: Pick<Logger, 'warn' | 'error'>): NamesListener<Target> {
  return {
    onMeeting({ target, name, full, other, alias }) {
      const text = `"${name}" of target "${target.name}" would be ${full}, which leads to target "${other.name}"; it is called ${alias}`
      logger.warn('names_meet', text, { target: target.name, other: other.name })
    },
    onClash({ alias, both: [one, two], winner }) {
      const which = winner ? `that of "${winner.name}" is called` : 'neither can be called'
      const text = `"${one.name}" of target "${one.target.name}" and "${two.name}" of target "${two.target.name}" would both be ${alias}; ${which}: rename one, or change a prefix`
      logger.error('names_clash', text, { target: one.target.name, other: two.target.name })
    },
  }
}
