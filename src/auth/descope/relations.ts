import { BoundedMap } from '../../util/bounded-map.js'
import { ProxyError } from '../../util/errors.js'
import { isObject } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'
import { askDescope } from '../credentials/descope-request.js'
import { callerId, type Principal } from '../principal.js'
import type { DescopeProject } from './discovery.js'

/** What a user must be to a resource, as Descope's FGA schema names it. */
export interface Relation {
  readonly resourceType: string
  readonly resource: string
  readonly relation: string
}

/**
 * Checks at Descope whether a relation holds for a caller.
 *
 * @throws {ProxyError} When Descope does not say so or otherwise.
 */
export type RelationCheck = (relation: Relation, principal: Principal) => Promise<boolean>

const CACHE_MS = 10_000
const MAX_CACHED = 10_000

const HINT =
  'See Authorization, FGA in the Descope console: its schema must have the resource type and the relation.'
const KEY_HINT =
  'Create a management key of this project in the Descope console (Company, Management Keys) and set it as descope.managementKey.'

/**
 * Creates the function that checks relations at Descope. Answers are kept for ten seconds, failures are
 * not; equal questions at the same time are one.
 */
export function createRelationCheck(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  { base, projectId }: Pick<DescopeProject, 'base' | 'projectId'>,
  managementKey: string,
): RelationCheck {
  const { clock } = runtime
  const known = new BoundedMap<string, { answer: Promise<boolean>; until: number }>(MAX_CACHED)

  async function request(relation: Relation, user: string): Promise<boolean> {
    const request = {
      url: `${base}/v1/mgmt/fga/check`,
      bearer: `${projectId}:${managementKey}`,
      body: { tuples: [{ ...relation, target: user, targetType: 'user' }], context: {} },
      what: 'the FGA check',
      hints: { 401: KEY_HINT, 403: KEY_HINT },
      hint: HINT,
    }
    const { tuples } = await askDescope(runtime, request)
    const [tuple, ...others] = Array.isArray(tuples) ? tuples : []
    if (!isObject(tuple) || typeof tuple['allowed'] !== 'boolean' || others.length > 0) {
      throw new ProxyError(
        'CREDENTIAL_REFUSED',
        'Descope answered the FGA check with a body that cannot be read',
        { hint: HINT },
      )
    }
    return tuple['allowed']
  }

  return (relation, principal) => {
    const user = principal.userId ?? principal.subject
    const { resourceType, resource, relation: name } = relation
    const key = JSON.stringify([callerId(principal), user, resourceType, resource, name])
    const found = known.get(key)
    if (found !== undefined && clock.now() < found.until) return found.answer
    // counted from the question, so that no answer is older than that
    const entry = { answer: request(relation, user), until: clock.now() + CACHE_MS }
    known.set(key, entry)
    entry.answer.catch(() => {
      if (known.get(key) === entry) known.delete(key)
    })
    return entry.answer
  }
}
