import { createHash } from 'node:crypto'
import type { Trail } from '../audit/trail.js'
import type { Principal } from '../auth/principal.js'
import type { Message } from '../mcp/message.js'
import { BoundedMap } from '../util/bounded-map.js'
import { isObject, ownMember, stringMember } from '../util/json.js'
import { isoTime } from '../util/logger.js'
import { escapeUnsafe, isSecretName, type Redact } from '../util/redact.js'
import type { Clock } from '../util/runtime.js'
import { createRefusalLimit, type FinishedCall, type RequestedItem } from './request-log.js'

const MEMBERS: Readonly<Record<string, readonly [RequestedItem['member'], string]>> = {
  'tools/call': ['tool', 'name'],
  'prompts/get': ['prompt', 'name'],
  'resources/read': ['uri', 'uri'],
  'resources/subscribe': ['uri', 'uri'],
  'resources/unsubscribe': ['uri', 'uri'],
  'tasks/get': ['task', 'taskId'],
  'tasks/result': ['task', 'taskId'],
  'tasks/update': ['task', 'taskId'],
  'tasks/cancel': ['task', 'taskId'],
}

/** Longest name, URI or identity in a record, characters. */
const MAX_TEXT = 1_024

/** Longest arguments in a record, as the client wrote them and as they are recorded. */
const MAX_ARGUMENTS = 16_384

/** Prepared records for each caller. */
const MAX_PREPARED = 100

/** Records a minute of requests that nobody was signed in for; more are counted. */
const MAX_REFUSALS = 1_000

export interface AuditOptions {
  trail: Trail
  clock: Clock
  redact: Redact
  /** Arguments are recorded too. */
  withArguments: boolean
}

/** Makes audit records: looks at requests when they come, and at calls when they are over. */
export interface AuditRecords {
  requestedItem(message: Message): RequestedItem | undefined
  record(call: FinishedCall): void
}

/** The part of a record that is the same when a caller does the same again. */
interface Prepared {
  method: string
  endpoint: string | undefined
  target: string | undefined
  name: string | undefined
  requested: string | undefined
  status: number
  outcome: string
  text: string
}

/**
 * Creates what makes the records of the audit trail: one for each request of a client, each stream, the
 * end of a session, and each refusal. Notifications and answers of clients that are not refused get none.
 */
export function createAuditRecords(options: AuditOptions): AuditRecords & { end(): void } {
  const { trail, clock, redact, withArguments } = options
  const byCaller = new WeakMap<Principal, Map<string, Prepared>>()
  const isRecorded = createRefusalLimit(
    clock,
    (leftOut) => {
      const count = [...leftOut.values()].reduce((sum, refused) => sum + refused, 0)
      trail.note('left_out', { count, refusals: Object.fromEntries(leftOut) })
    },
    { ofOne: MAX_REFUSALS, ofAll: MAX_REFUSALS },
  )
  const clean = (text: string | undefined) => text && redact(cut(text), true)

  function prepare(call: FinishedCall): Prepared {
    const { summary, outcome, refusal } = call
    const { record, status, principal, requested, endpoint } = summary
    const { target, rule, failure } = record
    const method = cut(record.method)
    const member = requested?.member ?? 'tool'
    const own = member === 'task' ? undefined : clean(record.tool ?? record.name)
    const requestedName = clean(requested?.name)
    const name = own ?? requestedName
    const text = JSON.stringify({
      method,
      endpoint,
      target,
      [member]: name,
      ...(requestedName !== name && { asked: requestedName }),
      ...{ status, outcome, refusal, rule, failure: failure?.cause },
      subject: clean(principal?.subject),
      user: clean(principal?.userId),
      tenant: clean(principal?.tenant),
      client: clean(principal?.clientId),
    })
    const names = { name: record.tool ?? record.name, requested: requested?.name }
    return { method, endpoint, target, ...names, status, outcome, text: escapeUnsafe(text) }
  }

  /** Reuses a caller's record while only id and duration differ. */
  function prepared(call: FinishedCall): string {
    const { summary, outcome, refusal } = call
    const { record, status, principal, requested, endpoint } = summary
    if (principal === undefined || refusal !== undefined || record.failure !== undefined) {
      return prepare(call).text
    }
    let own = byCaller.get(principal)
    if (own === undefined) {
      own = new BoundedMap(MAX_PREPARED)
      byCaller.set(principal, own)
    }
    const key = requested?.name ?? record.method
    if (key.length > MAX_TEXT) return prepare(call).text
    const known = own.get(key)
    if (
      known !== undefined &&
      known.method === record.method &&
      known.endpoint === endpoint &&
      known.target === record.target &&
      known.name === (record.tool ?? record.name) &&
      known.requested === requested?.name &&
      known.status === status &&
      known.outcome === outcome
    ) {
      return known.text
    }
    const made = prepare(call)
    own.set(key, made)
    return made.text
  }

  return {
    requestedItem({ method, params }) {
      const found = method === 'completion/complete' ? ofReference(params['ref']) : undefined
      const [member, key] = ownMember(MEMBERS, method) ?? []
      if (member === undefined || key === undefined) return found
      const name = stringMember(params, key)
      if (name === undefined) return undefined
      const own = ownMember(params, 'arguments')
      const given = withArguments && isObject(own) ? argumentsText(own, redact) : undefined
      // an id by which its owner gets at the task
      if (member === 'task') return { member, name: hashOf(name) }
      return { member, name, arguments: given }
    },

    record(call) {
      const { summary, refusal, ms } = call
      const { id, remote, requested, isRequest } = summary
      if (!isRequest && refusal === undefined) return
      if (summary.refusal !== undefined && !isRecorded(summary.refusal, remote)) return
      const rest = prepared(call)
      let body = `"time":"${isoTime(clock.now())}","event":"call","id":"${id}","ms":${ms},`
      if (remote !== undefined) body += `"remote":"${remote}",`
      body += rest.slice(1, -1)
      if (requested?.arguments !== undefined) body += `,"arguments":${requested.arguments}`
      trail.add(body)
    },

    /** Records what was left out and not yet summed up: nobody would learn of it later. */
    end: isRecorded.flush,
  }
}

function ofReference(ref: unknown): RequestedItem | undefined {
  if (!isObject(ref)) return undefined
  const uri = stringMember(ref, 'uri')
  const name = uri ?? stringMember(ref, 'name')
  return name === undefined ? undefined : { member: uri === undefined ? 'prompt' : 'uri', name }
}

/** Lets the records of one task be found. */
function hashOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url').slice(0, 12)
}

/** Bounds text of others. A copy, so that the record does not keep the whole of it in memory. */
function cut(text: string): string {
  return text.length > MAX_TEXT ? `${Buffer.from(text.slice(0, MAX_TEXT))}…` : text
}

/** Writes arguments without what is secret by its name or by what it is. */
function argumentsText(given: object, redact: Redact): string {
  const text = JSON.stringify(given, (name, value: unknown) => {
    if (name !== '' && isSecretName(name)) return '[redacted]'
    return typeof value === 'string' ? redact(value.slice(0, MAX_ARGUMENTS)) : value
  })
  // members' names are text of the client, too
  if (text.length <= MAX_ARGUMENTS) return escapeUnsafe(redact(text, true))
  return JSON.stringify(`[${text.length} characters]`)
}
