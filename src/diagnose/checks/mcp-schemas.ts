import {
  CallToolResultSchema,
  InitializeResultSchema,
  ListPromptsResultSchema,
  ListResourcesResultSchema,
  ListToolsResultSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'
import { jsonPath, ownMember } from '../../util/json.js'
import type { SeenResult } from '../probe.js'

/** @see [MCP 2026-07-28, discovery](https://modelcontextprotocol.io/specification/2026-07-28/server/discover) */
const DiscoverResultSchema = z.looseObject({
  resultType: z.string().optional(),
  supportedVersions: z.array(z.string()).min(1),
  capabilities: z.looseObject({}),
  instructions: z.string().optional(),
  ttlMs: z.number().min(0),
  cacheScope: z.enum(['public', 'private']),
})

/** By method. Unknown members are allowed. */
const SCHEMAS: Readonly<Record<string, { safeParse(value: unknown): Parsed }>> = {
  'server/discover': DiscoverResultSchema,
  initialize: InitializeResultSchema,
  'tools/list': ListToolsResultSchema,
  'resources/list': ListResourcesResultSchema,
  'prompts/list': ListPromptsResultSchema,
  'tools/call': CallToolResultSchema,
}

interface Parsed {
  readonly success: boolean
  readonly error?: z.ZodError
}

/** Lists what is wrong with a result, each as `method: result.path: what`. */
export function schemaProblems({ method, result }: SeenResult): string[] {
  const found = ownMember(SCHEMAS, method)?.safeParse(result)
  return (found?.error?.issues ?? []).map((issue) => `${method}: ${describe(issue, ['result'])}`)
}

/** Describes an issue; of a union, that of the alternative that fits best. */
function describe(issue: z.core.$ZodIssue, at: readonly PropertyKey[]): string {
  const path = [...at, ...issue.path]
  if (issue.code === 'invalid_union') {
    const [best] = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)
    const [inner] = best ?? []
    if (inner !== undefined) return describe(inner, path)
  }
  return `${jsonPath(path)}: ${issue.message.replace(/^Invalid input: /, '')}`
}

const depth = (issues: readonly z.core.$ZodIssue[]) =>
  Math.max(
    0,
    ...issues.map((issue) => issue.path.length + (issue.code === 'invalid_value' ? -1 : 0)),
  )
