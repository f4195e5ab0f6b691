import {
  type Edit,
  elementsAt,
  findMember,
  type Member,
  membersAt,
  replaceParts,
} from '../../mcp/json-text.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import { isObject, type JsonObject, ownMember, tryParseJson } from '../../util/json.js'
import { foldName } from '../../util/text.js'
import type { Named } from '../routing/names.js'
import { exposeUri } from '../routing/resource-uris.js'
import type { Target } from '../target.js'
import { exposeResourceLinks } from './resource-links.js'
import type { RequestIds } from './signed-ids.js'

const TOP_MEMBERS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params'])

const ANSWERS: ReadonlySet<string> = new Set(['result', 'error'])

const ELICITATION = ['params', 'elicitationId']

/** Whose message it is, and who gets it. */
export interface SpokenOptions {
  target: Target
  /** Of whoever may answer. */
  bindingKey: string
  /** Resource URIs name their targets. */
  severalTargets: boolean
  /** Clients' answers can be routed back to the target. */
  takesAnswers: boolean
}

/** The message's text for the client, or why the client does not get it. */
export type Exposed = { text: string } | { withheld: string }

/**
 * Says why a message cannot be passed on as a target's request or notification; `undefined` when it
 * can. A message that a client might take for the answer to its own request is refused: one with
 * members that only answers have, in any case, or with a member that occurs twice.
 */
export function whyNoServerMessage(text: string, message: unknown): string | undefined {
  if (!isObject(message)) return 'what is no message of JSON-RPC'
  const keys = membersAt(text, 0).map(({ key }) => key)
  const method = ownMember(message, 'method')
  if (keys.some((key) => ANSWERS.has(foldName(key)))) {
    const isAnswer = method === undefined
    return isAnswer ? 'an answer where none is due' : 'a request that is an answer, too'
  }
  if (typeof method !== 'string') return 'what is no message of JSON-RPC'
  const known = keys.filter((key) => TOP_MEMBERS.has(foldName(key)))
  if (new Set(known.map(foldName)).size < known.length) return 'a message with a member twice'
  const id = ownMember(message, 'id')
  const isId = id === undefined || id === null || typeof id === 'string' || typeof id === 'number'
  return isId ? undefined : 'a request whose id is none'
}

/**
 * Exposes a request or a notification of a target, where ids are bound. The ids of its requests, in
 * cancellations too, and their progress tokens then lead back to the target; progress must be that of
 * the client's own request there; resource URIs name the target. Everything else stays as the target
 * wrote it.
 */
export function exposeServerMessage(
  requestIds: RequestIds,
  text: string,
  options: SpokenOptions,
): Exposed {
  const message = tryParseJson(text)
  const problem = whyNoServerMessage(text, message)
  if (problem !== undefined) return { withheld: problem }
  return new Exposure(text, message as JsonObject).expose(requestIds, options)
}

class Exposure {
  readonly #text: string
  readonly #message: JsonObject
  readonly #parts: Edit[] = []

  constructor(text: string, message: JsonObject) {
    this.#text = text
    this.#message = message
  }

  expose(requestIds: RequestIds, options: SpokenOptions): Exposed {
    const { target, bindingKey, severalTargets, takesAnswers } = options
    const method = this.#message['method']
    const exposeId: Expose = (id, written) =>
      requestIds.expose(target.name, id, bindingKey, written)
    if (method === 'notifications/cancelled') {
      if (!this.#replace('requestId', exposeId)) return { withheld: 'a cancellation of nothing' }
    } else if (method === 'notifications/progress' && severalTargets) {
      const readToken = (token: RequestId) => requestIds.readToken(target.name, token, bindingKey)
      if (!this.#replaceText('progressToken', readToken)) {
        return { withheld: 'progress of a request that is not under way there' }
      }
    } else if (method === 'notifications/elicitation/complete' && severalTargets) {
      if (!this.#replace('elicitationId', (id) => exposeElicitation(target, id))) {
        return { withheld: 'the completion of no elicitation' }
      }
    } else if (method === 'notifications/resources/updated' && severalTargets) {
      const exposed = this.#replace('uri', (uri) => exposeUri(target, String(uri)))
      return exposed ? { text: this.#result() } : { withheld: 'an update of no resource' }
    } else if (ownMember(this.#message, 'id') != null) {
      if (!takesAnswers) return { withheld: 'a request whose answer might not reach it' }
      if (method === 'tasks/list' && severalTargets) {
        return { withheld: 'a request for the tasks that the client has for all targets' }
      }
      const exposeToken: Expose = (token, written) =>
        requestIds.exposeToken(target.name, token, bindingKey, written)
      this.#exposeAt(['id'], exposeId)
      this.#exposeAt(['params', '_meta', 'progressToken'], exposeToken)
      if (severalTargets) this.#exposeAt(ELICITATION, (id) => exposeElicitation(target, id))
    }
    const text = this.#result()
    return { text: severalTargets ? exposeResourceLinks(target, text) : text }
  }

  #exposeAt(path: readonly string[], expose: Expose): void {
    const place = findMember(this.#text, 0, ...path)
    if (place === undefined) return
    const written = this.#text.slice(place.start, place.end)
    const value = tryParseJson(written)
    if (!isRequestId(value)) return
    this.#parts.push({ ...place, text: JSON.stringify(expose(value, written)) })
  }

  #replace(name: string, expose: Expose): boolean {
    return this.#replaceText(name, (value, written) => JSON.stringify(expose(value, written)))
  }

  /** Replaces a member of `params`; fails when it occurs twice, in any case. */
  #replaceText(
    name: string,
    expose: (value: RequestId, written: string) => string | undefined,
  ): boolean {
    const params = findMember(this.#text, 0, 'params')
    const found = params === undefined ? [] : membersAt(this.#text, params.start)
    const folded = foldName(name)
    const [member, ...others] = found.filter(({ key }) => foldName(key) === folded)
    if (member === undefined || member.key !== name || others.length > 0) return false
    const written = this.#text.slice(member.start, member.end)
    const value = tryParseJson(written)
    const text = isRequestId(value) ? expose(value, written) : undefined
    if (text === undefined) return false
    this.#parts.push({ start: member.start, end: member.end, text })
    return true
  }

  #result(): string {
    return replaceParts(this.#text, this.#parts)
  }
}

type Expose = (id: RequestId, written: string) => RequestId

function isRequestId(value: unknown): value is RequestId {
  return typeof value === 'string' || typeof value === 'number'
}

/** Occurs in no target's name. */
const SEPARATOR = '.'

/**
 * Puts the target's name before the id of an elicitation, so that no target can report another one's
 * elicitation as complete. Clients compare these ids and never send them back.
 *
 * @see [MCP 2025-11-25, completion notifications](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#completion-notifications-for-url-mode-elicitation)
 */
function exposeElicitation({ name }: Named, own: string | number): string {
  return name + SEPARATOR + own
}

/** Exposes the ids of elicitations in an error that requires them before a request is repeated. */
export function exposeElicitations(target: Named, text: string): string {
  if (!text.includes('"elicitations"') && !text.includes('\\u00')) return text
  if (tryParseJson(text) === undefined) return text
  const parts = elementsAt(text, 0, 'error', 'data', 'elicitations').flatMap(({ start }) => {
    const place = findMember(text, start, 'elicitationId')
    return place === undefined ? [] : writeExposed(target, text, place)
  })
  return replaceParts(text, parts)
}

function writeExposed(target: Named, text: string, { start, end }: Member) {
  const own = tryParseJson(text.slice(start, end))
  if (typeof own !== 'string' && typeof own !== 'number') return []
  return [{ start, end, text: JSON.stringify(exposeElicitation(target, own)) }]
}
