import { isObject, type JsonObject, ownMember, stringMember } from '../../util/json.js'
import { projectBearer } from './access-keys.js'
import { type IdentityCall, type IdentityReply, json, jsonBody } from './http.js'
import { refusal } from './refusals.js'
import type { State } from './state.js'

/** Most audit events kept; beyond it the oldest are dropped. */
const KEPT_EVENTS = 10_000

const EVENT_TYPES = ['info', 'warn', 'error']

/**
 * Takes an audit event from a management key and keeps it as it came.
 *
 * Chosen by the emulator: `action`, `actorId` and a known `type` are demanded, `tenantId` is not,
 * though Descope's SDKs always send one.
 *
 * @throws {EmulatorRefusal} `invalid_token` or `invalid_request`
 */
export function recordAuditEvent(state: State, call: IdentityCall): IdentityReply {
  requireManagementKey(state, call)
  const event = jsonBody(call)
  for (const name of ['action', 'actorId']) {
    if (!stringMember(event, name)) throw refusal('invalid_request', `"${name}" is missing`)
  }
  if (!EVENT_TYPES.includes(stringMember(event, 'type') ?? '')) {
    throw refusal('invalid_request', '"type" must be "info", "warn" or "error"')
  }
  for (const name of ['userId', 'tenantId']) {
    if (!['undefined', 'string'].includes(typeof ownMember(event, name))) {
      throw refusal('invalid_request', `"${name}" must be text`)
    }
  }
  if (event['data'] !== undefined && !isObject(event['data'])) {
    throw refusal('invalid_request', '"data" must be an object')
  }
  state.auditEvents.push(event)
  if (state.auditEvents.length > KEPT_EVENTS) state.auditEvents.shift()
  state.counters.auditEvents++
  return json(200, {})
}

const RELATION = ['resource', 'resourceType', 'relation', 'target', 'targetType'] as const

/**
 * Answers whether relations hold: those of the option `relations`, and no others, since the
 * emulator has no schema to derive any from. `context` is ignored.
 *
 * Each answer repeats the checked relation, as Descope's Python SDK needs.
 *
 * @throws {EmulatorRefusal} `invalid_token` or `invalid_request`
 */
export function checkRelations(state: State, call: IdentityCall): IdentityReply {
  requireManagementKey(state, call)
  const { tuples } = jsonBody(call)
  if (!Array.isArray(tuples) || !tuples.every(isRelation)) {
    throw refusal('invalid_request', '"tuples" must be a list of relations')
  }
  state.counters.fgaChecks++
  return json(200, {
    tuples: tuples.map((tuple) => ({ allowed: holds(state, tuple), tuple })),
  })
}

function isRelation(value: unknown): value is JsonObject {
  return isObject(value) && RELATION.every((name) => stringMember(value, name) !== undefined)
}

function holds({ options }: State, tuple: JsonObject): boolean {
  return options.relations.some((known) => RELATION.every((name) => known[name] === tuple[name]))
}

/** @throws {EmulatorRefusal} `invalid_token` */
function requireManagementKey(state: State, call: IdentityCall): void {
  const credential = projectBearer(state, call)
  if (!state.options.managementKeys.includes(credential)) throw refusal('invalid_token')
}
