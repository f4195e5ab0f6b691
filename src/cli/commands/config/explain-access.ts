import { resolve } from 'node:path'
import type { Principal } from '../../../auth/principal.js'
import { readUnverifiedClaims, toPrincipal } from '../../../auth/verify/claims.js'
import { TokenError } from '../../../auth/verify/token-error.js'
import { loadConfig } from '../../../config/load.js'
import type { Flags } from '../../../config/settings.js'
import {
  type AccessVerdict,
  type Explanation,
  explainAccess,
} from '../../../usecases/access/explain-access.js'
import { readText } from '../../../util/bounded-file.js'
import { createColors } from '../../../util/colors.js'
import { messageOf, ProxyError } from '../../../util/errors.js'
import { bareObject, isObject, type JsonObject, tryParseJson } from '../../../util/json.js'
import { escapeUnsafe, printable } from '../../../util/redact.js'
import type { Runtime } from '../../../util/runtime.js'

const MAX_TOKEN_BYTES = 65_536

export interface WhoFlags {
  /** Path of a file that holds an access token. */
  token?: string
  /** The claims of one, as JSON. */
  claims?: string
  /** The target whose own endpoint is meant. */
  endpoint?: string
  /** Arguments of the call, as JSON. */
  arguments?: string
}

/**
 * Prints whether a caller may use a tool, a prompt or a resource, and by which rule not.
 *
 * @throws {ProxyError} `USAGE` when the caller cannot be read, or the name leads to no target.
 */
export async function explainCallersAccess(
  runtime: Runtime,
  exposed: string,
  flags: Flags,
  { json, endpoint, arguments: given, ...who }: WhoFlags & { json: boolean },
): Promise<void> {
  const { config, warnings } = loadConfig(runtime, { flags, for: 'report' })
  const principal = readCaller(runtime, who)
  const args = readArguments(given)
  const { clock } = runtime
  const explanation = await explainAccess(config, exposed, principal, { endpoint, args, clock })
  const caller = describe(principal)
  if (json) {
    // a name is more often that of a tool than of a prompt
    const [first] = explanation.verdicts
    const document = {
      ...explanation,
      allowed: first?.allowed,
      caller,
      targetAsked: false,
      warnings,
    }
    runtime.io.out(`${escapeUnsafe(JSON.stringify(document))}\n`)
    return
  }
  runtime.io.out(render(runtime, explanation, caller))
}

/** Reads the claims of an access token without verifying it; the output says so. */
function readCaller({ cwd }: Pick<Runtime, 'cwd'>, { token, claims }: WhoFlags): Principal {
  if ((token === undefined) === (claims === undefined)) {
    throw new ProxyError('USAGE', 'Give either --token or --claims', {
      hint: 'Write --token <file> with an access token in it, or --claims \'{"roles":["admin"]}\'.',
    })
  }
  const read = claims === undefined ? readToken(resolve(cwd, token ?? '')) : tryParseJson(claims)
  if (!isObject(read)) {
    throw new ProxyError('USAGE', '--claims is not a JSON object', {
      hint: 'Write the claims of an access token, such as {"dct":"T1","roles":["admin"],"scope":"a b"}.',
    })
  }
  try {
    return toPrincipal(bareObject(read), 'all')
  } catch (error) {
    if (error instanceof TokenError) throw new ProxyError('USAGE', error.message)
    throw error
  }
}

/** @throws {ProxyError} `USAGE` when they are no JSON object. */
function readArguments(given: string | undefined): JsonObject | undefined {
  if (given === undefined) return undefined
  const read = tryParseJson(given)
  if (isObject(read)) return read
  throw new ProxyError('USAGE', '--arguments is not a JSON object', {
    hint: 'Write the arguments of the call, such as {"amount": 5000}.',
  })
}

function readToken(path: string): JsonObject {
  let text: string
  try {
    text = readText(path, MAX_TOKEN_BYTES)
  } catch (error) {
    throw new ProxyError('USAGE', `${path} cannot be read: ${messageOf(error)}`, {
      hint: 'Write the path of a file that holds an access token, such as `mcp-descope-proxy token` prints.',
    })
  }
  const claims = readUnverifiedClaims(text.trim().replace(/^bearer\s+/i, ''))
  if (Object.keys(claims).length > 0) return claims
  throw new ProxyError('USAGE', `${path} holds no access token`, {
    hint: 'Write one into it as `mcp-descope-proxy token` prints it: three parts with dots between them.',
  })
}

function needsOf(refusal: string | undefined, scopes: readonly string[] = []): string {
  const needs = [...(refusal === 'step_up' ? ['the claim "su": true'] : []), scopes.join(' ')]
  const text = needs.filter(Boolean).join(' and ')
  return text && `: needs ${text}`
}

interface CallerView {
  subject: string | null
  tenant: string | null
  roles: readonly string[]
  permissions: readonly string[]
  scopes: readonly string[]
  /** The claim `su`. */
  steppedUp: boolean
  /** Seconds since the epoch. */
  expiresAt: number | null
}

function describe(principal: Principal): CallerView {
  const { subject, tenant, roles, permissions, scopes, expiresAt } = principal
  return {
    subject: subject || null,
    tenant: tenant ?? null,
    roles,
    permissions,
    scopes: [...scopes],
    steppedUp: principal.steppedUp ?? false,
    expiresAt: expiresAt || null,
  }
}

function render(runtime: Runtime, explanation: Explanation, caller: CallerView): string {
  const { green, red, dim } = createColors(runtime, 'out')
  const { asked, endpoint, target, own, verdicts, leadsTo, mayBeAlias } = explanation
  const { expiresAt } = caller
  const reason = ({ refusal, rule, scopes, celRule }: AccessVerdict) => {
    const text = celRule && `: ${printable(celRule.when)}`
    return `${refusal} (${rule}${text ?? ''})${needsOf(refusal, scopes)}`
  }
  const lines = verdicts.map((verdict) => {
    const { kind, allowed, fga = [], dependsOn = [] } = verdict
    const decidedLater = fga.length > 0 ? `; Descope decides on each call (${fga.join(', ')})` : ''
    const byArguments =
      dependsOn.length > 0
        ? `, but it depends on the arguments of the call (${dependsOn.join(', ')}): give them with --arguments`
        : ''
    const what = `${kind} ${escapeUnsafe(JSON.stringify(own))} of target "${target}"`
    return allowed
      ? `${green('allowed')}  ${what}${byArguments}${printable(decidedLater)}`
      : `${red('refused')}  ${what}: ${reason(verdict)}`
  })
  if (leadsTo !== undefined) {
    lines.push(
      `This caller does not see "${target}": ${printable(asked)} leads to target "${leadsTo}" instead.`,
    )
  }
  if (verdicts.some(({ allowed }) => allowed)) {
    const kinds = verdicts.map(({ kind }) => kind).join(' or ')
    lines.push(
      `Nothing was sent to the target: whether it has a ${kinds} of this name is not known here.`,
    )
  }
  if (mayBeAlias) {
    lines.push(
      `${asked} has the form of an alias. If it is one, give the target's own name after the prefix instead: rules apply to that name.`,
    )
  }
  // a foreign token may contain escape sequences for the terminal
  const list = (items: readonly string[]) => printable(items.join(' ')) || '-'
  const one = (item: string | null) => printable(item ?? '-')
  const held = [
    `endpoint     ${endpoint}`,
    `subject      ${one(caller.subject)}`,
    `tenant       ${one(caller.tenant)}`,
    `roles        ${list(caller.roles)}`,
    `permissions  ${list(caller.permissions)}`,
    `scopes       ${list(caller.scopes)}`,
    `stepped up   ${caller.steppedUp ? 'yes' : 'no'}`,
  ]
  const isExpired = expiresAt !== null && expiresAt * 1000 <= runtime.clock.now()
  const expired = isExpired ? 'The token has expired: it is refused whatever it asks for. ' : ''
  const note = `${expired}The claims were read, and not verified; \`inspect\` checks a token.`
  return `${[...lines, '', ...held, '', note].map((line, at) => (at > lines.length ? dim(line) : line)).join('\n')}\n`
}
