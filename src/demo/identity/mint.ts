import type { JsonObject } from '../../util/json.js'
import { newClientId } from './ids.js'
import { createSigningKey } from './keys.js'
import type { State } from './state.js'
import { accessClaims, sign } from './tokens.js'

export interface MintOptions {
  /** `foreign`: a key that the project does not have, under the `kid` of the one that it has. */
  key?: 'current' | 'foreign'
}

/**
 * Mints an access token of the configured user.
 *
 * @param claims Replace those that the options in force would give; `undefined` takes one away.
 * @param header Replaces header members; `alg` may be `none` or `HS256` (keyed with the public
 *   key's PEM), to try what a validator must refuse.
 */
export async function mint(
  state: State,
  claims: JsonObject = {},
  header: JsonObject = {},
  { key = 'current' }: MintOptions = {},
): Promise<string> {
  const { scopes } = state.options
  const subject = { clientId: newClientId(state.projectId), scopes, resources: [] }
  const { current } = state.keys
  const signer = key === 'foreign' ? { ...(await createSigningKey()), kid: current.kid } : current
  return sign(state, { ...accessClaims(state, subject), ...claims }, header, signer)
}
