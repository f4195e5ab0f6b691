import { PROJECT_SCOPES } from './documents.js'
import type { EmulatorGrant, Surface } from './records.js'
import { refusal } from './refusals.js'
import type { State } from './state.js'

/** Accepted although not announced, because many clients always request them. */
const OIDC_SCOPES = ['openid', 'profile', 'email', 'offline_access', 'descope.custom_claims']

/**
 * Returns the scopes requested, or all of the server's when none are.
 *
 * @throws {EmulatorRefusal} `invalid_scope` for a scope that this server does not have.
 * @see [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)
 */
export function requestedScopes(state: State, surface: Surface, scope: string | null): string[] {
  const names = splitScope(scope)
  if (names.length === 0) return [...state.options.scopes]
  const known = [...state.options.scopes, ...OIDC_SCOPES]
  return within(names, surface === 'project' ? [...known, ...PROJECT_SCOPES] : known)
}

/**
 * Returns the resources requested. With `resourceUrl` set, only that one passes.
 *
 * @throws {EmulatorRefusal} `invalid_target`
 * @see [RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)
 */
export function requestedResources(state: State, resources: readonly string[]): string[] {
  const { resourceUrl } = state.options
  for (const resource of resources) {
    if (!URL.canParse(resource) || resource.includes('#')) throw refusal('invalid_target')
    if (resourceUrl && resource !== resourceUrl) {
      throw refusal('invalid_target', `${JSON.stringify(resource)} is not this MCP server`)
    }
  }
  return [...new Set(resources)]
}

/**
 * Narrows a grant to the scope and the one resource that a token request names. A grant that was
 * given for no resource in particular takes any.
 *
 * @throws {EmulatorRefusal} `invalid_scope` or `invalid_target`
 */
export function narrow(state: State, grant: EmulatorGrant, params: URLSearchParams) {
  const scopes = splitScope(params.get('scope'))
  const resources = requestedResources(state, params.getAll('resource'))
  if (resources.length > 1) throw refusal('invalid_target', 'Only one "resource" is supported')
  const foreign = resources.find((resource) => !grant.resources.includes(resource))
  if (foreign !== undefined && grant.resources.length > 0) {
    throw refusal('invalid_target', `${JSON.stringify(foreign)} was not granted`)
  }
  return {
    ...grant,
    scopes: scopes.length === 0 ? grant.scopes : within(scopes, grant.scopes),
    resources: resources.length === 0 ? grant.resources : resources,
  }
}

/** Splits a scope at its spaces. */
export function splitScope(scope: string | null): string[] {
  return [...new Set((scope ?? '').split(' ').filter((name) => name !== ''))]
}

function within(names: string[], known: readonly string[]): string[] {
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw refusal('invalid_scope', `Unknown scope ${JSON.stringify(unknown)}`)
  }
  return names
}
