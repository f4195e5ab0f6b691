import { configUrlProblem, parseConfigUrl } from '../util/descope-url.js'
import { isObject } from '../util/json.js'
import { readJwtKey } from '../util/jwt-key.js'
import { isLoopbackUrl } from '../util/private-addresses.js'
import type { Resolution } from './resolve.js'
import { isVercel, type Variables } from './sources.js'
import type { ConfigUse } from './types.js'

/** Claims that every JWT has by itself. */
const OF_JWT: ReadonlySet<unknown> = new Set(['iss', 'aud', 'exp', 'nbf', 'iat', 'jti'])

/** Members that lead to the prototype of an object. */
const NOT_TOLD: ReadonlySet<unknown> = new Set(['__proto__', 'constructor', 'prototype'])

/** Headers that mean something in HTTP, that the proxy sends itself, or that a client may send. */
const NOT_FOR_IDENTITY = new Set([
  ...['host', 'connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['accept', 'expect', 'last-event-id', 'user-agent', 'range', 'date', 'from', 'pragma'],
  ...[
    'authorization',
    'cookie',
    'cookie2',
    'x-request-id',
    'forwarded',
    'via',
    'dpop',
    'signature',
  ],
  ...['traceparent', 'tracestate', 'baggage', 'origin', 'referer', 'prefer', 'priority', 'age'],
  ...['max-forwards', 'cache-control', 'warning', 'http2-settings', 'early-data', 'dnt', 'link'],
  ...['alt-used', 'authentication-info', 'signature-input', 'want-digest', 'digest', 'destination'],
  ...['depth', 'overwrite', 'timeout', 'lock-token', 'if', 'method', 'x-http-method', 'server'],
  ...['upgrade-insecure-requests', 'location', 'set-cookie', 'www-authenticate', 'a-im', 'im'],
  ...['x-method-override', 'x-real-ip', 'x-original-url', 'x-rewrite-url', 'idempotency-key'],
])

const NOT_FOR_IDENTITY_START =
  /^(accept-|access-control-|content-|if-|mcp-|proxy-|sec-|x-forwarded-|x-http-method-|x-original-)/

/** Adds problems and warnings about what targets are told of their callers. */
export function checkIdentity(resolution: Resolution, env: Variables): void {
  const { targets } = resolution
  for (const target of targets) checkTargetIdentity(target, resolution)
  checkKeys(resolution)
  const method = (target: string) => resolution.values.get(`targets.${target}.identity.method`)
  const told = targets.map(method).filter((found) => found?.value !== undefined)
  const [first] = told
  if (first === undefined) return
  const open = resolution.values.get('server.insecureNoAuth')
  if (open?.value === true) {
    resolution.warnings.push(
      `Targets are told nothing of their callers, because sign-in is off (${open.from}) — leave sign-in on, or leave "identity" out (${first.from})`,
    )
  } else if (told.some((found) => found?.value === 'jwt')) warnOfMadeKey(resolution, env)
}

function checkTargetIdentity(target: string, resolution: Resolution): void {
  const { values, problems, warnings, invalid } = resolution
  const start = `targets.${target}.identity.`
  const given = (member: string) => {
    const found = values.get(start + member)
    return found === undefined || found.from === 'default' ? undefined : found
  }
  if (invalid.has(`${start}method`)) return
  const [method, claims, header] = ['method', 'claims', 'header'].map(given)
  if (method === undefined) {
    const any = claims ?? header
    if (any !== undefined) {
      problems.push(`${start}method is missing (${any.from}) — write claims or jwt`)
    }
    return
  }
  const names = Array.isArray(claims?.value) ? claims.value : undefined
  if (names?.length === 0) {
    problems.push(
      `${start}claims is empty (${claims?.from}) — write what the target is told, such as ["sub", "roles"]`,
    )
  }
  const own = method.value === 'jwt' ? names?.find((name) => OF_JWT.has(name)) : undefined
  if (own !== undefined) {
    problems.push(
      `${start}claims names ${JSON.stringify(own)}, which every JWT has by itself (${claims?.from}) — leave it out`,
    )
  }
  const untold = names?.find((name) => NOT_TOLD.has(name))
  if (untold !== undefined) {
    problems.push(
      `${start}claims names ${JSON.stringify(untold)}, which is never told, because many programs take it for something else than a claim (${claims?.from}) — leave it out, or give the claim another name`,
    )
  }
  checkHeader(target, method.value, header, resolution)
  const url = values.get(`targets.${target}.url`)
  const text = String(url?.value)
  if (!URL.canParse(text) || new URL(text).protocol !== 'http:' || isLoopbackUrl(text)) return
  if (method.value === 'claims') {
    problems.push(
      `${start}method is claims, and whoever is on the way to the target can read and change them, because its URL is plain http (${url?.from}, ${method.from}) — write its https URL, or the method jwt, which is signed`,
    )
  } else {
    warnings.push(
      `The identity of target "${target}" goes over plain http (${url?.from}) — write its https URL, because whoever reads a JWT can use it for five minutes`,
    )
  }
}

function checkHeader(
  target: string,
  method: unknown,
  header: { value: unknown; from: string } | undefined,
  { values, problems }: Resolution,
): void {
  if (header?.value === undefined) return
  const key = `targets.${target}.identity.header`
  const name = String(header.value)
  // many servers take _ for -
  const folded = name.toLowerCase().replaceAll('_', '-')
  const command = values.get(`targets.${target}.command`)
  if (command !== undefined && command.from !== 'default') {
    problems.push(
      `${key} does not apply to a program, which is told in _meta (${header.from}) — leave it out`,
    )
  }
  const type = values.get(`targets.${target}.credential.type`)?.value
  if (folded === 'authorization' && method === 'jwt') {
    if (type !== 'none' && type !== 'header') {
      problems.push(
        `${key} is ${JSON.stringify(name)}, which carries the credential of the target (${header.from}) — leave it out, or leave the credential out`,
      )
    }
  } else if (NOT_FOR_IDENTITY.has(folded) || NOT_FOR_IDENTITY_START.test(folded)) {
    problems.push(
      `${key} is ${JSON.stringify(name)}, which means something else (${header.from}) — write a name of its own, such as X-User-JWT`,
    )
  }
  const own = values.get(`targets.${target}.credential.header`)?.value
  const credentials = [
    values.get(`targets.${target}.credential.name`)?.value,
    isObject(own) ? own['name'] : own,
  ]
  if (credentials.some((it) => String(it).toLowerCase().replaceAll('_', '-') === folded)) {
    problems.push(
      `${key} is the header of the credential too (${header.from}) — write another name in one of them`,
    )
  }
}

/** Two keys of one id: a target would check with the wrong one. */
function checkKeys({ values, problems }: Resolution): void {
  const [key, previous] = ['identity.key', 'identity.previousKeys'].map((name) => values.get(name))
  const texts = [key?.value, previous?.value].flat().filter((text) => typeof text === 'string')
  const keys = texts.map((text) => readJwtKey(text, 'public'))
  const seen = new Map<string, string>()
  for (const found of keys) {
    if (typeof found === 'string') continue
    const text = JSON.stringify({ ...found.jwk, kid: '' })
    const other = seen.get(found.kid)
    if (other !== undefined && other !== text) {
      problems.push(
        `identity.previousKeys has another key with the same "kid" (${previous?.from}) — give each key an id of its own, or leave "kid" out`,
      )
      return
    }
    seen.set(found.kid, text)
  }
}

/** Without a configured key each process makes its own, and forgets it when it ends. */
function warnOfMadeKey({ values, warnings }: Resolution, env: Variables): void {
  const key = values.get('identity.key')
  if (key?.from !== 'default') return
  const workers = Number(values.get('server.workers')?.value ?? 1)
  const write = 'set MCP_DESCOPE_IDENTITY_KEY to a private key, PEM or JWK, the same everywhere'
  if (workers > 1) {
    warnings.push(
      `identity.key is not set, and each of the ${workers} workers signs with a key of its own, so that targets refuse what the others signed (${values.get('server.workers')?.from}) — ${write}`,
    )
    return
  }
  const publicUrl = values.get('server.publicUrl')
  const isPublic = typeof publicUrl?.value === 'string' && !isLoopbackUrl(publicUrl.value)
  if (!isPublic && !isVercel(env) && !env['KUBERNETES_SERVICE_HOST']) return
  warnings.push(
    `identity.key is not set, and each process signs with a key of its own: with several replicas, and after a restart, targets refuse what another one signed (default) — ${write}`,
  )
}

/** Relations are checked with the management key of the one project whose users sign in. */
function checkRelations(
  target: string,
  { values, problems, warnings }: Resolution,
  use: ConfigUse,
): void {
  const fga = values.get(`targets.${target}.tools.fga`)
  if (Object.keys(fga?.value ?? {}).length === 0) return
  const withoutSignIn = values.get('server.insecureNoAuth')
  const own = values.get(`targets.${target}.descope.configUrl`)
  if (use === 'stdio' || withoutSignIn?.value === true) {
    warnings.push(
      `Nobody can call the tools in tools.fga of the target "${target}": relations are checked by serve with sign-in only (${fga?.from}) — leave "fga" out, or use serve with sign-in`,
    )
  } else if (isOtherProject(own?.value, values.get('descope.configUrl')?.value)) {
    problems.push(
      `targets.${target}.tools.fga cannot be used with targets.${target}.descope.configUrl (${own?.from}), which names another project than descope.configUrl: the management key is that of one project — name an MCP server of the same project, or leave one of them out`,
    )
  } else if (values.get('descope.managementKey')?.value === undefined) {
    problems.push(
      `targets.${target}.tools.fga needs descope.managementKey (${fga?.from}) — create a management key in the Descope console (Company, Management Keys) and set it through MCP_DESCOPE_DESCOPE_MANAGEMENT_KEY or a reference`,
    )
  }
}

/** Tells whether a discovery URL is that of another project; what is wrong with one is told elsewhere. */
function isOtherProject(own: unknown, shared: unknown): boolean {
  if (typeof own !== 'string') return false
  if (typeof shared !== 'string') return true
  if (configUrlProblem(own) !== undefined || configUrlProblem(shared) !== undefined) return false
  const [one, other] = [own, shared].map(parseConfigUrl)
  return one?.base !== other?.base || one?.projectId !== other?.projectId
}

/** What restricts callers, in `access` and in the rules for tools, prompts and resources. */
const OF_CALLERS = ['tenants', 'roles', 'permissions', 'scopes'] as const

const SECTIONS = ['tools', 'prompts', 'resources'] as const

const ALL = /^\*+$/

/** Adds warnings about a target that is open where that can hardly be meant, or closed to everybody. */
export function checkAccess(target: string, resolution: Resolution, use: ConfigUse): void {
  const { values, warnings } = resolution
  const given = (member: string) => {
    const found = values.get(`targets.${target}.${member}`)
    return found === undefined || found.from === 'default' ? undefined : found
  }
  const restricting = OF_CALLERS.map((member) => given(`access.${member}`)).find(Boolean)
  const withoutSignIn = values.get('server.insecureNoAuth')
  if (restricting !== undefined && use === 'stdio') {
    warnings.push(
      `Nobody is admitted to the target "${target}": in stdio, callers have no tenants, roles, permissions and scopes (${restricting.from}) — leave out "access", or connect to it through serve`,
    )
  } else if (restricting !== undefined && withoutSignIn?.value === true) {
    warnings.push(
      `Nobody is admitted to the target "${target}": without sign-in, callers have no tenants, roles, permissions and scopes (${restricting.from}, ${withoutSignIn.from}) — leave out "access", or leave sign-in on`,
    )
  }
  for (const member of OF_CALLERS) {
    const odd = entriesOf(given(`access.${member}`)?.value).find((entry) => isOdd(entry, member))
    if (odd === undefined) continue
    warnings.push(
      `Nobody has what targets.${target}.access.${member} asks for with ${JSON.stringify(odd)} (${given(`access.${member}`)?.from}) — write each entry as the token has it: access takes no patterns, and spaces belong to no scope`,
    )
  }
  checkRelations(target, resolution, use)
  const stepUp = given('tools.stepUp')
  if (Array.isArray(stepUp?.value) && stepUp.value.length > 0 && withoutSignIn?.value === true) {
    warnings.push(
      `Nobody can call the tools in tools.stepUp of the target "${target}": without sign-in, no caller has had a step-up (${stepUp.from}, ${withoutSignIn.from}) — leave "stepUp" out, or leave sign-in on`,
    )
  }
  if (restricting !== undefined) return
  const isRestricted = (section: string) => {
    const ruleOf = (member: string) => given(`${section}.${member}`)?.value
    const [allow, ...others] = ['allow', 'deny', ...OF_CALLERS].map(ruleOf)
    const isNarrow = Array.isArray(allow) && !allow.includes('*')
    return isNarrow || others.some((value) => Object.keys(value ?? {}).length > 0)
  }
  const open = SECTIONS.filter((section) => !isRestricted(section))
  for (const section of SECTIONS) {
    for (const member of ['roles', 'permissions', 'tenants']) {
      const rules = given(`${section}.${member}`)
      const isForAll =
        isObject(rules?.value) && Object.keys(rules.value).some((key) => ALL.test(key))
      if (rules === undefined || !isForAll || open.length === 0) continue
      const rest =
        open.length === SECTIONS.length - 1
          ? `the rest of it: its ${open.join(', ')}, instructions and notifications`
          : `its ${open.join(' and ')}`
      warnings.push(
        `Only some callers may use the ${section} of the target "${target}", and all may use ${rest} (${rules.from}) — write "access": {"${member}": [...]} in place of ${section}.${member} {"*": [...]}`,
      )
      return
    }
  }
}

const entriesOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** Entries are compared as they are, so that such a one can hardly be meant. */
function isOdd(entry: unknown, member: (typeof OF_CALLERS)[number]): boolean {
  if (typeof entry !== 'string') return false
  return entry !== entry.trim() || ALL.test(entry) || (member === 'scopes' && /\s/.test(entry))
}
