import { messageOf } from '../../util/errors.js'
import {
  isObject,
  type JsonObject,
  ownMember,
  stringMember,
  stringsMember,
} from '../../util/json.js'
import { revokeConsents } from './account.js'
import { decideDevice } from './device.js'
import { issuerUrl } from './documents.js'
import { type Handler, type IdentityCall, type IdentityReply, json, jsonBody } from './http.js'
import { rotateKeys } from './keys.js'
import { randomId } from './records.js'
import { refusal } from './refusals.js'
import { applyChanges, type State } from './state.js'
import { mint } from './tokens.js'

/**
 * Controls the emulator over HTTP, so that other processes can drive it. Changes take a JSON body:
 * its content type is what keeps a web page from sending one.
 */
export const CONTROL: Readonly<
  Record<string, { GET?: Handler; POST?: Handler; DELETE?: Handler }>
> = {
  '/__test/state': { GET: (state) => json(200, describe(state)) },
  '/__test/requests': {
    GET: ({ requests }) => json(200, requests),
    DELETE: ({ requests }) => {
      requests.length = 0
      return json(200, {})
    },
  },
  '/__test/secrets': { GET: ({ secrets }) => json(200, [...secrets.keys()]) },
  '/__test/options': { POST: setOptions },
  '/__test/mint': { POST: mintToken },
  '/__test/keys/rotate': {
    POST: async (state, call) => {
      await rotateKeys(state.keys, jsonBody(call)['keepPrevious'] !== false)
      return json(200, { kid: state.keys.current.kid })
    },
  },
  '/__test/consents/revoke': {
    POST: (state, call) => {
      jsonBody(call)
      revokeConsents(state)
      return json(200, {})
    },
  },
  '/__test/clients': {
    DELETE: (state) => {
      state.clients.clear()
      return json(200, {})
    },
  },
  '/__test/audit': {
    GET: ({ auditEvents }) => json(200, auditEvents),
    DELETE: ({ auditEvents }) => {
      auditEvents.length = 0
      return json(200, {})
    },
  },
  '/__test/connections': {
    DELETE: (state) => {
      state.connected.length = 0
      return json(200, {})
    },
  },
  '/__test/dpop/nonce': {
    POST: (state, call) => {
      jsonBody(call)
      state.dpopNonce = randomId()
      return json(200, { nonce: state.dpopNonce })
    },
  },
  '/__test/device/approve': { POST: (state, call) => decide(state, call, 'approved') },
  '/__test/device/deny': { POST: (state, call) => decide(state, call, 'denied') },
}

function describe(state: State): object {
  const { baseUrl, projectId, serverId, counters, options } = state
  const issuer = issuerUrl(state, 'agentic')
  return {
    url: baseUrl,
    projectId,
    serverId,
    issuer,
    configUrl: `${issuer}/.well-known/openid-configuration`,
    counters,
    options,
  }
}

function setOptions(state: State, call: IdentityCall): IdentityReply {
  const changes = jsonBody(call)
  try {
    applyChanges(state, changes)
  } catch (error) {
    throw refusal('invalid_request', messageOf(error))
  }
  return json(200, { options: state.options })
}

/** JSON has no `undefined`: the claims to take away are listed in `remove`. */
async function mintToken(state: State, call: IdentityCall): Promise<IdentityReply> {
  const body = jsonBody(call)
  const removed = stringsMember(body, 'remove').map((name) => [name, undefined])
  const claims = { ...objectMember(body, 'claims'), ...Object.fromEntries(removed) }
  const key = body['key'] === 'foreign' ? 'foreign' : 'current'
  return json(200, { token: await mint(state, claims, objectMember(body, 'header'), { key }) })
}

function decide(state: State, call: IdentityCall, outcome: 'approved' | 'denied'): IdentityReply {
  const userCode = stringMember(jsonBody(call), 'userCode') ?? ''
  if (!decideDevice(state, userCode, outcome)) throw refusal('not_found', 'No such user code')
  return json(200, {})
}

function objectMember(body: JsonObject, member: string): JsonObject {
  const value = ownMember(body, member)
  return isObject(value) ? value : {}
}
