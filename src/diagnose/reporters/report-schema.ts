import { z } from 'zod'

const OUTCOMES = ['pass', 'warn', 'fail', 'skip'] as const

const CHECK = z
  .object({
    id: z.string().describe('Stable name, such as auth.prm; tools.call:<name> has the tool.'),
    outcome: z.enum(OUTCOMES).describe('What depends on a failed check is skipped, never passed.'),
    detail: z.string().min(1).describe('What was observed.'),
    hint: z.string().nullable().describe('What to do; on every warning and failure.'),
    ms: z.int().min(0).describe('How long it took, milliseconds.'),
    expected: z.literal(true).optional().describe('The failure is listed in the baseline.'),
  })
  .meta({ id: 'check' })

const CHECKS = z.array(CHECK)

const COUNTS = z
  .object({ pass: z.int(), warn: z.int(), fail: z.int(), skip: z.int() })
  .meta({ id: 'counts' })

const SETTINGS = z
  .record(z.string(), z.object({ value: z.json(), origin: z.string() }))
  .describe('By key; secrets are redacted.')
  .meta({ id: 'settings' })

const ENDS = {
  ok: z.boolean().describe('Whether the exit status is 0.'),
  counts: COUNTS,
  exitCode: z.int().min(0).max(6).describe('See `test-target --help`.'),
}

const COMMON = {
  ...ENDS,
  target: z.string().describe('The name of the target, or its URL without scheme and query.'),
  url: z.url().describe('Without the query.'),
  protocolVersion: z.string().nullable().describe('The negotiated version.'),
}

const TOOL = z.object({
  name: z.string(),
  signature: z.string().describe('Such as search(query, limit?).'),
  readOnly: z.boolean().describe("The tool's own claim."),
  exposedAs: z.string().describe('The name that `serve` gives it.'),
  length: z.int().describe('Length of that name.'),
  policy: z
    .enum(['allowed', 'restricted', 'refused'])
    .describe('restricted: it depends on the roles, tenant or scopes of the caller.'),
})

const INSPECTED = z
  .object({
    ...COMMON,
    settings: SETTINGS,
    network: CHECKS,
    authorization: CHECKS,
    protocol: CHECKS,
    contents: CHECKS,
    server: z.string().nullable(),
    capabilities: z.array(z.string()),
    tools: z.array(TOOL),
    claims: z
      .record(z.string(), z.json())
      .nullable()
      .describe('Claims of the token, not verified.'),
    claimsProblem: z.string().nullable().describe('Why the token would be refused.'),
  })
  .meta({ id: 'inspected' })

/** What `--json` prints, by the command. */
const DOCUMENTS = {
  'test-target': z.object({ ...COMMON, checks: CHECKS }),
  'inspect <target-or-url>': INSPECTED,
  inspect: z.object({
    ...ENDS,
    settings: SETTINGS,
    descope: CHECKS.describe('What Descope says; empty where it is not configured.'),
    endpoints: z
      .array(z.object({ target: z.string().nullable(), url: z.string() }))
      .describe('Where clients would connect; without a target, to all of them.'),
    targets: z.array(INSPECTED),
    programs: z.array(z.string()).describe('Targets that are programs on stdio: not checked.'),
  }),
}

/**
 * Makes the JSON Schema of what `test-target --json` and `inspect --json` print, which ships in the
 * package.
 *
 * @param io `input` allows members that a later version may add; `output` does not.
 */
export function reportJsonSchema(io: 'input' | 'output' = 'input') {
  const documents = Object.entries(DOCUMENTS).map(([command, document]) => {
    return document.describe(`What \`${command} --json\` prints.`)
  })
  const schema = z.union(documents).meta({ title: 'Reports of mcp-descope-proxy' })
  return z.toJSONSchema(schema, { io })
}
