import type { Principal } from '../auth/principal.js'
import type { Message } from '../mcp/message.js'
import { BoundedMap } from '../util/bounded-map.js'
import { isObject, stringMember } from '../util/json.js'
import type { ExchangeRecord } from './exchange.js'
import { createNames } from './routing/names.js'
import { routeUri } from './routing/resource-uris.js'
import type { Target } from './target.js'

/** How many sets of targets are kept open; the one that was used longest ago is opened anew. */
const MAX_VIEWS = 256

/** The targets of one configuration, as a caller is to see them. */
export interface Admitted {
  /** In the order of the configuration. */
  readonly targets: readonly Target[]
  /** Those that do not exist for this caller: for the operator's log only. */
  readonly hidden: readonly Target[]
}

/**
 * Creates the function that finds what stands for the proxy of a caller: one made of those targets
 * alone that admit the caller. It decides before anything else, so that nothing of the other targets
 * can show. Callers who are admitted to the same targets share one.
 *
 * @param open Makes a proxy of some of the targets.
 */
export function byAdmission<View>(
  targets: readonly Target[],
  open: (admitted: Admitted) => View,
): (principal: Principal | undefined) => View {
  const views = new BoundedMap<string, View>(MAX_VIEWS)
  /** The principal of a token stays the same object while the token is remembered. */
  const viewOf = new WeakMap<Principal, View>()

  function find(principal: Principal | undefined): View {
    const refused = targets.map(({ barrier }) => barrier?.(principal) !== undefined)
    const key = refused.map(Number).join('')
    const known = views.touch(key)
    if (known !== undefined) return known
    const view = open({
      targets: targets.filter((_target, index) => !refused[index]),
      hidden: targets.filter((_target, index) => refused[index]),
    })
    views.set(key, view)
    return view
  }

  return (principal) => {
    if (principal === undefined) return find(principal)
    let view = viewOf.get(principal)
    if (view === undefined) {
      view = find(principal)
      viewOf.set(principal, view)
    }
    return view
  }
}

/**
 * Creates the function that notes in a request's record which hidden target the request names, and by
 * which rule it is hidden. The client is told what it is told of any unknown name.
 */
export function createHiddenNote(hidden: readonly Target[]) {
  const names = createNames(hidden, Number.MAX_SAFE_INTEGER)

  function find({ params }: Message): Target | undefined {
    const { ref } = params
    const named = isObject(ref) ? ref : params
    const uri = stringMember(named, 'uri')
    if (uri !== undefined) return routeUri(hidden, uri)?.target
    return names.route(stringMember(named, 'name') ?? '')?.target
  }

  return (record: ExchangeRecord, message: Message, principal: Principal | undefined): void => {
    const target = hidden.length === 0 ? undefined : find(message)
    const rule = target?.barrier?.(principal)
    if (target === undefined || rule === undefined) return
    record.target = target.name
    record.refusal = 'access'
    record.rule = rule
  }
}
