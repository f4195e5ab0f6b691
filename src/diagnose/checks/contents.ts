import { stringMember } from '../../util/json.js'
import { type Check, fail, pass, skip, type Verdict, warn } from '../check.js'
import type { ContentKind, List } from '../lists.js'

const NEEDS = ['protocol.modern', 'protocol.legacy']

/** Names that MCP allows. */
const NAME = /^[A-Za-z0-9_.-]{1,128}$/

/** Names that fit common clients, which prepend `mcp__<server>__`. */
const CLIENT_NAME = /^[A-Za-z0-9_-]{1,56}$/

/** Creates the checks of what the target offers. */
export function contentsChecks(lists: (kind: ContentKind) => Promise<List>): Check[] {
  return [
    { id: 'tools.list', needs: NEEDS, run: async () => judge('tools', await lists('tools')) },
    { id: 'tools.names', needs: ['tools.list'], run: async () => checkNames(await lists('tools')) },
    {
      id: 'resources.list',
      needs: NEEDS,
      run: async () => judge('resources', await lists('resources')),
    },
    { id: 'prompts.list', needs: NEEDS, run: async () => judge('prompts', await lists('prompts')) },
  ]
}

function judge(kind: ContentKind, { isOffered, entries, pages, problem }: List): Verdict {
  if (!isOffered) return skip(`the target offers no ${kind}`)
  if (problem !== undefined) return problem
  const count = `${entries.length} ${entries.length === 1 ? kind.slice(0, -1) : kind}`
  const detail = pages > 1 ? `${count} on ${pages} pages` : count
  if (kind === 'tools' && entries.length === 0) {
    return warn(
      'the list of tools is empty',
      'Check what this caller may see: scopes and policies can hide tools.',
    )
  }
  return pass(detail)
}

/**
 * Judges the names of tools.
 *
 * @see [MCP 2025-11-25, tool names](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names)
 */
function checkNames({ isOffered, entries }: List): Verdict {
  if (!isOffered || entries.length === 0) return skip('there are no tools')
  const names = entries.map((entry) => stringMember(entry, 'name') ?? '')
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  if (twice.length > 0) {
    return fail(`${quoted(twice)} appears in the list twice`, 'Give each tool a name of its own.')
  }
  const invalid = names.filter((name) => !NAME.test(name))
  if (invalid.length > 0) {
    return fail(
      `${quoted(invalid)} is not a valid tool name`,
      'Use 1 to 128 characters of A-Z a-z 0-9 _ - and "." (MCP, tool names).',
    )
  }
  const odd = names.filter((name) => !CLIENT_NAME.test(name))
  if (odd.length > 0) {
    return warn(
      `${quoted(odd)} is not accepted by common clients`,
      'Use at most 56 characters of A-Z a-z 0-9 _ -; `mcp-descope-proxy serve` gives such tools an alias.',
    )
  }
  const longest = Math.max(...names.map((name) => name.length))
  return pass(`all valid, the longest has ${longest} characters`)
}

function quoted(names: readonly string[]): string {
  const [first = ''] = names
  const shown = JSON.stringify(first.length > 64 ? `${first.slice(0, 64)}…` : first)
  const length = first.length > 64 ? ` (${first.length} characters)` : ''
  return `${shown}${length}${names.length > 1 ? ` and ${names.length - 1} more` : ''}`
}
