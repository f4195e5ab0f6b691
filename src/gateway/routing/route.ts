import type { Principal } from '../../auth/principal.js'
import type { Edit, TextSpan } from '../../mcp/json-text.js'
import type { Message } from '../../mcp/message.js'
import { isObject, type JsonObject, ownMember, stringMember } from '../../util/json.js'
import { type BoundIds, type BoundIdTarget, WHY_WITHHELD } from '../rewriting/bound-ids.js'
import type { Names } from './names.js'
import { routeUri } from './resource-uris.js'

/** Where a request goes, and what is replaced in its text. */
export interface Route<T> {
  target: T
  replacements: readonly Edit[]
  /** The target's own tool name, on `tools/call`. */
  tool: string | undefined
  /** The target's own name, URI or task id, for `Mcp-Name`. */
  name: string | undefined
}

const NO_REPLACEMENTS: Route<unknown>['replacements'] = []

/** Why a request has no target; `message` is for the client. */
export interface NoRoute {
  message: string
}

/** Returns the tool or prompt name of a request, if it has one. */
export function exposedName({ method, params }: Message): string | undefined {
  if (method !== 'tools/call' && method !== 'prompts/get') return undefined
  return typeof params['name'] === 'string' ? params['name'] : undefined
}

interface Address {
  span: string
  kind: string
}

/** Methods whose name, URI or task id leads to one target. All others go to all targets or to none. */
const ADDRESSED: Readonly<Record<string, Address>> = {
  'tools/call': { span: 'name', kind: 'tool' },
  'prompts/get': { span: 'name', kind: 'prompt' },
  'resources/read': { span: 'uri', kind: 'resource' },
  'resources/subscribe': { span: 'uri', kind: 'resource' },
  'resources/unsubscribe': { span: 'uri', kind: 'resource' },
  'completion/complete': { span: 'ref', kind: 'reference' },
  'tasks/get': { span: 'taskId', kind: 'task' },
  'tasks/result': { span: 'taskId', kind: 'task' },
  'tasks/update': { span: 'taskId', kind: 'task' },
  'tasks/cancel': { span: 'taskId', kind: 'task' },
}

/** Tells whether a method addresses one target, and so is always a request. */
export function isAddressed(method: string): boolean {
  return Object.hasOwn(ADDRESSED, method)
}

/**
 * Creates the function that finds the target of a caller's request.
 *
 * @returns `undefined` when the method addresses no target: a single target then gets the message
 *   unchanged, and several targets do not.
 */
export function createRouter<T extends BoundIdTarget>(
  targets: readonly T[],
  names: Names<T>,
  boundIds: BoundIds<T>,
) {
  const only = targets.length === 1 ? targets[0] : undefined

  function find(
    message: Message,
    principal: Principal | undefined,
  ): Route<T> | NoRoute | undefined {
    const address = ownMember(ADDRESSED, message.method)
    if (address === undefined) return undefined
    const key = address.span === 'ref' ? referenceKey(message) : address.span
    const span = message.spans.get(key)
    const value = stringOf(message.params, key)
    if (span === undefined || value === undefined) {
      return { message: `${message.method} needs the string "${key}"` }
    }
    if (key === 'taskId') {
      return byValue(message, span, value, boundIds.routeTask(value, principal))
    }
    if (key.endsWith('uri')) return byValue(message, span, value, routeByUri(value))
    const found = names.route(value)
    if (found === undefined) return { message: unknownText(message) }
    const { target, name } = found
    const tool = message.method === 'tools/call' ? name : undefined
    return { target, replacements: change(span, value, name), tool, name }
  }

  function routeByUri(uri: string): Found<T> | undefined {
    if (only !== undefined) return { target: only, own: uri }
    const found = routeUri(targets, uri)
    return found && { target: found.target, own: found.uri }
  }

  function withState(
    route: Route<T>,
    span: TextSpan,
    { params }: Message,
    principal: Principal | undefined,
  ): Route<T> | NoRoute {
    const { target } = route
    if (!boundIds.isBound(target, principal) && !boundIds.withholds(target, principal)) return route
    const exposed = stringMember(params, 'requestState') ?? ''
    const value = boundIds.readState(route.target, exposed, principal)
    if (value === undefined) return { message: 'Unknown requestState: ask again without it' }
    return { ...route, replacements: [...route.replacements, edit(span, value)] }
  }

  return (message: Message, principal: Principal | undefined) => {
    const route = find(message, principal)
    if (message.spans.has('task') && route !== undefined && 'target' in route) {
      const isWithheld = boundIds.withholds(route.target, principal)
      if (isWithheld) return { message: `Tasks are not given out here: ${WHY_WITHHELD}` }
    }
    const state = message.spans.get('requestState')
    if (state === undefined || route === undefined || !('target' in route)) return route
    return withState(route, state, message, principal)
  }
}

interface Found<T> {
  target: T
  /** The target's own URI or task id. */
  own: string
}

function byValue<T>(
  message: Message,
  span: TextSpan,
  value: string,
  found: Found<T> | undefined,
): Route<T> | NoRoute {
  if (found === undefined) return { message: unknownText(message) }
  const { target, own } = found
  return { target, replacements: change(span, value, own), tool: undefined, name: own }
}

function change(span: TextSpan, from: string, to: string): readonly Edit[] {
  return from === to ? NO_REPLACEMENTS : [edit(span, to)]
}

function edit({ start, end }: TextSpan, value: string): Edit {
  return { start, end, text: JSON.stringify(value) }
}

function referenceKey(message: Message): string {
  return message.spans.has('ref.uri') ? 'ref.uri' : 'ref.name'
}

/** What is said of a name, a URI or a task that is not there. */
export function unknownText(message: Message): string {
  const address = ownMember(ADDRESSED, message.method)
  const key = address?.span === 'ref' ? referenceKey(message) : (address?.span ?? '')
  return `Unknown ${address?.kind}: ${stringOf(message.params, key)}`
}

/** Members occur once in a message, so that the parsed value is the one at the span. */
function stringOf(params: JsonObject, key: string): string | undefined {
  if (!key.startsWith('ref.')) return stringMember(params, key)
  const { ref } = params
  return isObject(ref) ? stringMember(ref, key.slice('ref.'.length)) : undefined
}

/** Tells whether a message refers to a target's request by its id. */
export function isAboutIds({ kind, method }: Message): boolean {
  return kind === 'response' || method === 'notifications/progress'
}

/** Makes the route of a message that goes to a single target unchanged. */
export function asItIs<T>(target: T): Route<T> {
  return { target, replacements: NO_REPLACEMENTS, tool: undefined, name: undefined }
}
