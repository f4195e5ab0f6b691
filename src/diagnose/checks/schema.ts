import { type Check, fail, pass } from '../check.js'
import { KINDS, type Kind, type List } from '../lists.js'
import type { Probe } from '../probe.js'

/**
 * Creates the check of all results against the schemas of the protocol. It comes after the checks
 * that got the results.
 */
export function schemaCheck(probe: Probe, lists: (kind: Kind) => Promise<List>): Check {
  return {
    id: 'protocol.schema',
    needs: ['protocol.modern', 'protocol.legacy'],
    prepare: loadSchemas,
    async run() {
      await Promise.all(KINDS.map((kind) => lists(kind)))
      const { schemaProblems } = await loadSchemas()
      const problems = [...new Set(probe.seen.flatMap(schemaProblems))]
      const [first, second] = problems
      if (first === undefined) {
        const methods = new Set(probe.seen.map(({ method }) => method))
        return pass(`${probe.seen.length} results of ${methods.size} methods are valid`)
      }
      const more = problems.length - (second === undefined ? 1 : 2)
      const shown = second === undefined ? first : `${first}; ${second}`
      return fail(
        more > 0 ? `${shown}; and ${more} more` : shown,
        'Correct what the server sends there: clients with strict types drop the whole answer.',
        'PROTOCOL_INVALID',
      )
    },
  }
}

const loadSchemas = () => import('./mcp-schemas.js')
