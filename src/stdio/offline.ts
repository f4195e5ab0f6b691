import { legacyOnly } from '../mcp/era-refusal.js'
import { errorResponse } from '../mcp/jsonrpc.js'
import { negotiateVersion } from '../mcp/versions.js'
import { isObject, type JsonObject, ownMember } from '../util/json.js'
import { PRODUCT, VERSION } from '../util/version.js'
import type { Remembered } from './memory.js'
import type { OpenRequest } from './requests.js'
import { respond } from './words.js'

/** Everything that a target could have: more is easily not used, less is not found again. */
const ALL_CAPABILITIES: JsonObject = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true },
  logging: {},
  completions: {},
}

const EMPTY: Readonly<Record<string, JsonObject>> = {
  'prompts/list': { prompts: [] },
  'resources/list': { resources: [] },
  'resources/templates/list': { resourceTemplates: [] },
  'completion/complete': { completion: { values: [] } },
}

/**
 * Answers `initialize` in place of a target that cannot be asked now: as it answered last time, or
 * with all that it might be able to do.
 */
export function offlineInitialize(request: OpenRequest, known: Remembered): string {
  const { message, id } = request
  const version = negotiateVersion(message.params['protocolVersion'])
  const result = known.initialize ?? { serverInfo: { name: PRODUCT, version: VERSION } }
  const capabilities = { ...ALL_CAPABILITIES, ...(result['capabilities'] as JsonObject) }
  return respond(message, id, { ...result, protocolVersion: version, capabilities })
}

/** Answers `server/discover` as last time; else so that the host falls back to `initialize`. */
export function offlineDiscover({ message, id }: OpenRequest, known: Remembered): string {
  if (known.discover !== undefined) return respond(message, id, known.discover)
  return errorResponse(id, legacyOnly(message.method))
}

/** Answers what has an honest empty answer while nobody is signed in; else `undefined`. */
export function emptyAnswer({ message, id }: OpenRequest): string | undefined {
  const result = ownMember(EMPTY, message.method)
  return result === undefined ? undefined : respond(message, id, result)
}

const CAPABILITY_OF: Readonly<Record<string, string>> = {
  prompts: 'prompts',
  resources: 'resources',
  completion: 'completions',
}

/** Tells whether a target that is known by now lacks what the host was promised in its place. */
export function lacksMethod(capabilities: JsonObject | undefined, method: string): boolean {
  const capability = ownMember(CAPABILITY_OF, method.split('/', 1)[0] ?? '')
  return (
    capabilities !== undefined &&
    capability !== undefined &&
    !Object.hasOwn(capabilities, capability)
  )
}

/** Tells whether the target's own list of tools has this name. */
export function hasTool({ tools }: Remembered, name: string): boolean {
  const list = tools?.['tools']
  return Array.isArray(list) && list.some((tool) => isObject(tool) && tool['name'] === name)
}
