import type { ErrorCode } from '../util/errors.js'
import { isObject, type JsonObject, stringMember, stringsMember } from '../util/json.js'

export type Outcome = 'pass' | 'warn' | 'fail' | 'skip'

/** The kind of a failure; `usecases/exit-codes.ts` has the exit status of each. */
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

/** The result of a check. */
export interface Verdict {
  readonly outcome: Outcome
  /** What was observed, in a few words. */
  readonly detail: string
  /** What to do about it; present on every warning and failure. */
  readonly hint?: string
  /** Present on every failure. */
  readonly code?: FailureCode
  /** The failed check because of which this one, and those that need it, are skipped. */
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
  /** Stable, because baselines and `--only` refer to it. */
  readonly id: string
  /** Checks that must not have failed; they run before this one. */
  readonly needs: readonly string[]
  /** Loads large modules; called at the start, to overlap with waiting for the network. */
  prepare?(): Promise<unknown>
  run(): Promise<Verdict>
}

/** The result of one check, as reporters receive it. */
export interface CheckReport {
  readonly id: string
  readonly outcome: Outcome
  readonly detail: string
  readonly hint: string | null
  readonly ms: number
  /** The failure is listed in the baseline. */
  readonly expected?: true
}

/** Further findings of the checks, for people and for `inspect`. */
export interface Findings {
  readonly server: string | null
  readonly capabilities: readonly string[]
  readonly tools: readonly ToolFinding[]
  /** Claims of the access token, not verified; `null` without a token, or when it is not a JWT. */
  readonly claims: Readonly<Record<string, unknown>> | null
  /** Why the token would be refused, as far as its claims tell. */
  readonly claimsProblem: string | null
}

/** The results of all checks of one target. */
export interface Report {
  readonly ok: boolean
  /** The target's name, or its URL without the query. */
  readonly target: string
  readonly url: string
  /** The negotiated version; `null` without a session. */
  readonly protocolVersion: string | null
  readonly checks: readonly CheckReport[]
  readonly counts: Readonly<Record<Outcome, number>>
  readonly exitCode: number
}

/** One tool, for people. */
export interface ToolFinding {
  readonly name: string
  /** Its required and optional arguments: `search(query, limit?)`. */
  readonly signature: string
  /** The tool's own claim, not checked. */
  readonly readOnly: boolean
}

/** Writes a tool as a function of its arguments. */
export function describeTool(tool: JsonObject): ToolFinding {
  const name = stringMember(tool, 'name') ?? ''
  const schema = isObject(tool['inputSchema']) ? tool['inputSchema'] : {}
  const properties = isObject(schema['properties']) ? Object.keys(schema['properties']) : []
  const required = new Set(stringsMember(schema, 'required'))
  // required arguments first, as in most languages
  const given = [
    ...properties.filter((property) => required.has(property)),
    ...properties.filter((property) => !required.has(property)).map((property) => `${property}?`),
  ]
  const { annotations } = tool
  const readOnly = isObject(annotations) && annotations['readOnlyHint'] === true
  return { name, signature: `${name}(${given.join(', ')})`, readOnly }
}
