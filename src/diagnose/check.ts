import type { ErrorCode } from '../util/errors.js'
import { isObject, type JsonObject, stringMember, stringsMember } from '../util/json.js'

export type Outcome = 'pass' | 'warn' | 'fail' | 'skip'

/** What kind of failure it is; `cli/exit.ts` knows the exit status of each. */
export type FailureCode = Extract<
  ErrorCode,
  | 'CHECK_FAILED'
  | 'TOOL_FAILED'
  | 'PROTOCOL_INVALID'
  | 'SIGN_IN_REQUIRED'
  | 'CREDENTIAL_REFUSED'
  | 'TARGET_UNREACHABLE'
  | 'ISSUER_UNREACHABLE'
>

/** What a check found out. */
export interface Verdict {
  readonly outcome: Outcome
  /** What was seen, in a few words. */
  readonly detail: string
  /** What to do about it; on everything that warns or fails. */
  readonly hint?: string
  /** On everything that fails. */
  readonly code?: FailureCode
  /** The failed check without which this one, and what needs it, makes no sense. */
  readonly blockedBy?: string
}

export const pass = (detail: string): Verdict => ({ outcome: 'pass', detail })

export const skip = (detail: string): Verdict => ({ outcome: 'skip', detail })

export const warn = (detail: string, hint: string): Verdict => ({ outcome: 'warn', detail, hint })

export const fail = (
  detail: string,
  hint: string,
  code: FailureCode = 'CHECK_FAILED',
): Verdict => ({ outcome: 'fail', detail, hint, code })

/** One named check. */
export interface Check {
  /** Stable: others build on it. */
  readonly id: string
  /** Checks without which this one makes no sense; what they found out is known when it runs. */
  readonly needs: readonly string[]
  /** Loads what takes long to load; called at the start, so that it happens beside the waiting. */
  prepare?(): Promise<unknown>
  run(): Promise<Verdict>
}

/** The result of one check, as reporters get it. */
export interface CheckReport {
  readonly id: string
  readonly outcome: Outcome
  readonly detail: string
  readonly hint: string | null
  readonly ms: number
  /** The failure stands in the baseline. */
  readonly expected?: true
}

/** What the checks learnt besides, for people and for `inspect`. */
export interface Findings {
  readonly server: string | null
  readonly capabilities: readonly string[]
  readonly tools: readonly ToolFinding[]
  /** Of the access token, not verified; `null` when there is none, or it is no JWT. */
  readonly claims: Readonly<Record<string, unknown>> | null
  /** What speaks against the token, as far as it can be read. */
  readonly claimsProblem: string | null
}

/** Everything that was found out about one target. */
export interface Report {
  readonly ok: boolean
  /** The target's name, or its URL without the query. */
  readonly target: string
  readonly url: string
  /** What was agreed on; `null` when it did not come to that. */
  readonly protocolVersion: string | null
  readonly checks: readonly CheckReport[]
  readonly counts: Readonly<Record<Outcome, number>>
  readonly exitCode: number
}

/** One tool, as a person wants to see it. */
export interface ToolFinding {
  readonly name: string
  /** `search(query, limit?)`: what has to be given, and what may be. */
  readonly signature: string
  /** The tool says so itself; nobody has checked it. */
  readonly readOnly: boolean
}

/** Writes a tool as a function of its arguments. */
export function describeTool(tool: JsonObject): ToolFinding {
  const name = stringMember(tool, 'name') ?? ''
  const schema = isObject(tool['inputSchema']) ? tool['inputSchema'] : {}
  const properties = isObject(schema['properties']) ? Object.keys(schema['properties']) : []
  const required = new Set(stringsMember(schema, 'required'))
  // what is required comes first, as in most languages
  const given = [
    ...properties.filter((property) => required.has(property)),
    ...properties.filter((property) => !required.has(property)).map((property) => `${property}?`),
  ]
  const { annotations } = tool
  const readOnly = isObject(annotations) && annotations['readOnlyHint'] === true
  return { name, signature: `${name}(${given.join(', ')})`, readOnly }
}
