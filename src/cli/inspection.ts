import type { CheckReport } from '../diagnose/check.js'
import { INITIALIZE_PARAMS } from '../diagnose/client.js'
import { renderCheck, renderSummary, type TextStyle, wrap } from '../diagnose/reporters/text.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import type { CheckEvents, CheckResult, CheckStart } from './check-target.js'
import { createColors } from './colors.js'
import { createPublicValue, displayValue } from './commands/config/display.js'
import type { InspectFlags } from './commands/inspect.js'
import { traceNetwork } from './trace.js'

export interface Inspection extends CheckEvents {
  finish(result: CheckResult): void
}

const SECTIONS = ['network', 'authorization', 'protocol', 'contents'] as const
type Section = (typeof SECTIONS)[number]

function sectionOf(id: string): Section {
  if (id.startsWith('reach.')) return 'network'
  if (id.startsWith('auth.')) return 'authorization'
  return id.startsWith('protocol.') ? 'protocol' : 'contents'
}

/** Creates what tells of an inspection: all at its end, under four headings. */
export function createInspection(runtime: Runtime, flags: InspectFlags): Inspection {
  const { io, clock } = runtime
  const began = clock.now()
  const reports: CheckReport[] = []
  let start: CheckStart | undefined
  return {
    onStart(given) {
      start = given
    },
    onReport(report) {
      reports.push(report)
    },
    ...(flags.trace && {
      watch: (network, clean) => traceNetwork(network, clean, (text) => io.err(`${text}\n`)),
    }),
    finish(result) {
      const settings = settingsOf(result, start, profileOrigin(runtime, flags))
      if (flags.json) io.out(`${JSON.stringify(toDocument(result, settings))}\n`)
      else io.out(render(runtime, result, settings, clock.now() - began))
      if (flags.curl) (flags.json ? io.err : io.out)(curlOf(result.report.url))
    },
  }
}

type Settings = Readonly<Record<string, { value: unknown; origin: string }>>

function profileOrigin({ env }: Pick<Runtime, 'env'>, { profile }: InspectFlags): string {
  if (profile !== undefined) return 'flag --profile'
  return env['MCP_DESCOPE_PROFILE'] ? 'env MCP_DESCOPE_PROFILE' : 'default'
}

/** What is configured of the target and of Descope, with where it comes from. */
function settingsOf(
  { target, report }: CheckResult,
  start: CheckStart | undefined,
  profileFrom: string,
): Settings {
  const { loaded, targets } = target.configured ?? { loaded: undefined, targets: [] }
  const settings: Record<string, { value: unknown; origin: string }> = {}
  if (loaded !== undefined) {
    const publicValue = createPublicValue({ secrets: new Set(loaded.secrets) })
    const prefix = `targets.${targets[0]?.name}.`
    for (const [key, { value, from }] of loaded.origins) {
      if (!key.startsWith(prefix) && !key.startsWith('descope.')) continue
      const shown = publicValue(key, value)
      if (from !== 'default') settings[key] = { value: shown, origin: from }
    }
  } else settings['url'] = { value: report.url, origin: 'argument' }
  settings['profile'] = { value: start?.profile, origin: profileFrom }
  settings['credential'] = { value: start?.kind, origin: start?.access ?? 'default' }
  return settings
}

function toDocument({ report, findings }: CheckResult, settings: Settings) {
  const { checks, ...rest } = report
  const sections = SECTIONS.map((section) => [
    section,
    checks.filter(({ id }) => sectionOf(id) === section),
  ])
  return { ...rest, settings, ...Object.fromEntries(sections), ...findings }
}

function render(
  runtime: Runtime,
  { report, findings }: CheckResult,
  settings: Settings,
  totalMs: number,
): string {
  const { io } = runtime
  const colors = createColors(runtime, 'out')
  const columns = io.outIsTty ? io.columns : 110
  const style: TextStyle = { colors, marks: io.outIsTty, columns }
  const rows = (name: string, text: string) =>
    wrap(text, Math.min(columns, 110) - 18)
      .map((line, index) => `   ${(index === 0 ? name : '').padEnd(14)} ${line}\n`)
      .join('')
  const more: Record<Section, string> = {
    network: '',
    authorization: renderClaims(findings, rows),
    protocol:
      rows('server', findings.server ?? '-') +
      rows('capabilities', findings.capabilities.join(' ') || '-'),
    contents: findings.tools.length === 0 ? '' : rows('tools', findings.tools.join(', ')),
  }
  const head = `${colors.bold(`${PRODUCT} ${VERSION}`)}   ${colors.cyan(report.url)}\n\n`
  const given = Object.entries(settings).map(
    ([key, { value, origin }]) => `   ${key}   ${displayValue(value)}   ${colors.dim(origin)}\n`,
  )
  const sections = SECTIONS.map((section) => {
    const checks = report.checks.filter(({ id }) => sectionOf(id) === section)
    const lines = checks.map((check) => renderCheck(check, style)).join('')
    return `\n${colors.bold(section)}\n${lines}${report.protocolVersion === null && section !== 'authorization' ? '' : more[section]}`
  })
  return `${head}${colors.bold('settings')}\n${given.join('')}${sections.join('')}${renderSummary(report, totalMs, style)}`
}

const TIMES = new Set(['exp', 'iat', 'nbf', 'auth_time', 'rexp'])

function renderClaims(
  { claims, claimsProblem }: CheckResult['findings'],
  rows: (name: string, text: string) => string,
): string {
  const lines = Object.entries(claims ?? {}).map(([name, value]) => {
    const isTime = TIMES.has(name) && typeof value === 'number'
    const shown = isTime ? new Date(value * 1_000).toISOString() : displayValue(value)
    return rows(`  ${name}`, shown)
  })
  const problem = claimsProblem === null ? '' : rows('  refused?', claimsProblem)
  return lines.length === 0
    ? ''
    : `${rows('claims', 'of the token, not verified')}${lines.join('')}${problem}`
}

/** The first request of a client, to be tried by hand. */
function curlOf(url: string): string {
  const body = { jsonrpc: '2.0', id: 1, method: 'initialize', params: INITIALIZE_PARAMS }
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
  return [
    `\nTOKEN=$(mcp-descope-proxy token ${quote(url)})`,
    `curl -sS -i ${quote(url)} \\`,
    `  -H "authorization: Bearer $TOKEN" \\`,
    `  -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \\`,
    `  -d ${quote(JSON.stringify(body))}\n`,
  ].join('\n')
}
