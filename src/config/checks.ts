import { isLoopback, isLoopbackUrl, isReadableOnTheWay } from '../util/private-addresses.js'
import { nearest } from '../util/text.js'
import { checkAudit } from './audit-checks.js'
import { checkCredential } from './credential-checks.js'
import { checkEndpoints } from './endpoint-checks.js'
import { mcpUrlOf } from './endpoints.js'
import type { Resolution } from './resolve.js'
import type { SettingKey, SettingValues } from './settings.js'
import type { Variables } from './sources.js'
import { checkAccess, checkIdentity } from './target-checks.js'
import type { ConfigUse } from './types.js'

const RESERVED_PATHS = /^\/(healthz|readyz|\.well-known)(\/|$)/

/** Reads a setting that has no target's name in its key. */
export function settingOf<K extends SettingKey>(resolution: Resolution, key: K) {
  return resolution.values.get(key)?.value as SettingValues[K] | undefined
}

/** Adds problems and warnings about combinations of settings. */
export function checkTogether(resolution: Resolution, env: Variables, use: ConfigUse): void {
  for (const target of resolution.targets) {
    checkTarget(target, resolution)
    checkProgram(target, resolution)
    checkCredential(target, resolution)
    checkAccess(target, resolution, use)
  }
  checkPrefixes(resolution)
  checkServer(resolution)
  checkEndpoints(resolution)
  checkSignIn(resolution, env)
  checkAudit(resolution, env)
  checkIdentity(resolution, env)
}

/** Returns a problem for each required setting of `serve` that is not set. */
export function missingForServe(resolution: Resolution, env: Variables): string[] {
  const { invalid, targets } = resolution
  const missing: string[] = []
  const isOpen = settingOf(resolution, 'server.insecureNoAuth') === true
  const configUrl = settingOf(resolution, 'descope.configUrl')
  const haveOwn =
    settingOf(resolution, 'server.endpoints') === 'each' &&
    targets.length > 0 &&
    targets.every(
      (name) => resolution.values.get(`targets.${name}.descope.configUrl`)?.from !== 'default',
    )
  if (configUrl === undefined && !isOpen && !haveOwn && !invalid.has('descope.configUrl')) {
    missing.push(
      `descope.configUrl is missing (default)${meant('DESCOPE_CONFIG_URL', env)} — set DESCOPE_CONFIG_URL to the discovery URL of the MCP server in Descope, or try it without an account with \`mcp-descope-proxy demo\``,
    )
  }
  if (targets.length === 0) {
    missing.push(
      `There is no target (default)${meant('TARGET_MCP_SERVER_URL', env)} — set TARGET_MCP_SERVER_URL, give --target <url>, or write "targets" in a configuration file`,
    )
  }
  return missing
}

function meant(name: string, env: Variables): string {
  const set = Object.keys(env).filter((key) => env[key] && !key.startsWith('MCP_DESCOPE_'))
  const near = set.find((key) => key !== name && nearest(key, [name]) && key.length > 8)
  return near ? `; the environment has ${near}` : ''
}

function checkTarget(name: string, { values, raws, problems, warnings }: Resolution): void {
  const url = values.get(`targets.${name}.url`)
  const command = values.get(`targets.${name}.command`)
  if (url?.from === 'default' && command?.from === 'default') {
    const any = [...raws].find(([key, raw]) => key.startsWith(`targets.${name}.`) && raw[0])
    problems.push(
      `targets.${name}.url is missing (${any?.[1][0]?.from}) — write the URL of the target's MCP endpoint, or "command" for a program`,
    )
  }
  const type = values.get(`targets.${name}.credential.type`)?.value
  if (
    type !== 'none' &&
    URL.canParse(String(url?.value)) &&
    isReadableOnTheWay(String(url?.value))
  ) {
    warnings.push(
      `The credential of target "${name}" goes over plain http (${url?.from}) — write its https URL, because it can be read on the way`,
    )
  }
  const credential = [...values].find(
    ([key, { from }]) => key.startsWith(`targets.${name}.credential.`) && from.startsWith('file '),
  )
  const inFile = raws.get(`targets.${name}.url`)?.find((raw) => raw.from.startsWith('file '))
  if (!credential || !inFile || url?.value === undefined || url.from === inFile.from) return
  if (originOf(url.value) === originOf(inFile.value)) return
  warnings.push(
    `The credential of target "${name}" goes to another server than the file names (${url.from}, ${credential[1].from}) — if that is not intended, give it a credential of its own`,
  )
}

const originOf = (url: unknown) => (URL.canParse(String(url)) ? new URL(String(url)).origin : url)

function checkPrefixes({ values, targets, problems }: Resolution): void {
  const seen = new Map<unknown, string>()
  for (const name of targets) {
    const prefix = values.get(`targets.${name}.prefix`)
    if (prefix?.value === undefined) continue
    const other = seen.get(prefix.value)
    if (other !== undefined) {
      problems.push(
        `The targets "${other}" and "${name}" have the same prefix ${JSON.stringify(prefix.value)} (${prefix.from}) — write another "prefix" in one of them`,
      )
    }
    seen.set(prefix.value, name)
  }
}

function checkServer(resolution: Resolution): void {
  const { values, problems, warnings } = resolution
  const from = (key: SettingKey) => values.get(key)?.from
  const workers = settingOf(resolution, 'server.workers') ?? 1
  if (workers > 1 && from('session.secret') === 'default') {
    problems.push(
      `server.workers is ${workers}, and no session secret is set (${from('server.workers')}) — set SESSION_SECRET to at least 32 bytes, such as the output of \`openssl rand -base64 48\``,
    )
  }
  const path = settingOf(resolution, 'server.path')
  if (path !== undefined && RESERVED_PATHS.test(path)) {
    problems.push(
      `server.path is ${path}, which is reserved (${from('server.path')}) — write another path, such as /mcp`,
    )
  }
  const metrics = settingOf(resolution, 'server.metricsPort')
  if (metrics !== undefined && metrics !== 0 && metrics === settingOf(resolution, 'server.port')) {
    problems.push(
      `server.metricsPort is the port of the server itself (${from('server.metricsPort')}) — write another port`,
    )
  }
  const isPortWrong = resolution.invalid.has('server.metricsPort')
  if (
    settingOf(resolution, 'console.token') !== undefined &&
    metrics === undefined &&
    !isPortWrong
  ) {
    warnings.push(
      `console.token is set, and there is no console without a metrics port (${from('console.token')}) — set server.metricsPort, or leave it out`,
    )
  }
  const publicUrl = settingOf(resolution, 'server.publicUrl')
  const host = settingOf(resolution, 'server.host')
  const isNamed = publicUrl !== undefined || resolution.invalid.has('server.publicUrl')
  if (host !== undefined && !isLoopback(host) && !isNamed) {
    const port = settingOf(resolution, 'server.port') ?? 0
    const path = settingOf(resolution, 'server.path') ?? ''
    const url = mcpUrlOf({ publicUrl, path, host }, port)
    warnings.push(
      `server.host is ${host}, and no public URL is set: the URL is ${url}, and requests to any other host get 421 (${from('server.host')}) — set SERVER_URL to the URL that clients use`,
    )
  }
  if (publicUrl?.startsWith('http:') && !isLoopbackUrl(publicUrl)) {
    warnings.push(
      `server.publicUrl is not https (${from('server.publicUrl')}) — write the https URL, because tokens travel over it`,
    )
  }
}

function checkSignIn(resolution: Resolution, env: Variables): void {
  const { values, problems, warnings } = resolution
  const audience = settingOf(resolution, 'descope.audience') ?? []
  if (audience.length > 0) {
    warnings.push(
      `Tokens made for ${audience.map((item) => JSON.stringify(item)).join(', ')} are accepted too (${values.get('descope.audience')?.from}) — leave descope.audience empty to accept only those made for this server`,
    )
  }
  const open = values.get('server.insecureNoAuth')
  if (open?.value !== true) return
  const dpop = values.get('descope.dpop')
  if (dpop?.value === 'accept' || dpop?.value === 'require') {
    problems.push(
      `descope.dpop is ${dpop.value}, and no token is checked with server.insecureNoAuth (${dpop.from}, ${open.from}) — leave out one of them`,
    )
  }
  const host = settingOf(resolution, 'server.host')
  const publicUrl = settingOf(resolution, 'server.publicUrl')
  if (host !== undefined && !isLoopback(host)) {
    problems.push(
      `server.insecureNoAuth is on, and server.host is ${host} (${open.from}) — write a loopback host such as 127.0.0.1, or leave sign-in on`,
    )
  } else if ((publicUrl !== undefined && !isLoopbackUrl(publicUrl)) || env['VERCEL'] === '1') {
    problems.push(
      `server.insecureNoAuth is on, and the server has a public URL (${open.from}) — leave sign-in on, or do not set SERVER_URL`,
    )
  } else if (settingOf(resolution, 'descope.configUrl') !== undefined) {
    warnings.push(
      `Sign-in is off, although descope.configUrl is set (${open.from}) — leave out --insecure-no-auth to switch it on`,
    )
  }
}

/** Members that apply to programs only. */
const OF_PROGRAM = ['args', 'env', 'cwd', 'maxChildren', 'maxRequests'] as const

/** Adds problems about members that apply only to programs, or only to URLs. */
function checkProgram(target: string, resolution: Resolution): void {
  const { values, problems, warnings } = resolution
  const given = (member: string) => {
    const found = values.get(`targets.${target}.${member}`)
    return found === undefined || found.from === 'default' ? undefined : found
  }
  const key = (member: string) => `targets.${target}.${member}`
  const [url, command, transport] = ['url', 'command', 'transport'].map(given)
  if (command === undefined) {
    for (const member of OF_PROGRAM) {
      const stray = given(member)
      if (stray === undefined) continue
      problems.push(
        `${key(member)} applies only to a program (${stray.from}) — write "command" in place of "url", or leave it out`,
      )
    }
    return
  }
  if (url !== undefined) {
    problems.push(
      `${key('url')} and ${key('command')} are both set (${url.from}, ${command.from}) — write one of them`,
    )
    return
  }
  if (transport !== undefined) {
    problems.push(
      `${key('transport')} applies only to a URL, and the target is a program (${transport.from}) — leave it out`,
    )
  }
  const type = given('credential.type')
  if (type !== undefined && type.value !== 'none' && type.value !== undefined) {
    problems.push(
      `${key('credential.type')} is ${JSON.stringify(type.value)}, and a program takes no headers (${type.from}) — leave "credential" out, and give the program its secrets in "env"`,
    )
  }
  const workers = values.get('server.workers')
  if (Number(workers?.value) > 1) {
    warnings.push(
      `The target "${target}" is a program, and each of the ${workers?.value} workers starts its own processes (${workers?.from}) — write 1 for one process a user`,
    )
  }
}
