import type { CheckReport } from '../diagnose/check.js'
import { INITIALIZE_PARAMS } from '../diagnose/client.js'
import {
  gatherSkipped,
  renderCheck,
  renderSummary,
  type TextStyle,
  wrap,
} from '../diagnose/reporters/text.js'
import { failureOf } from '../usecases/exit-codes.js'
import type { InspectFlags } from '../usecases/inputs.js'
import {
  type InspectedConfiguration,
  inspectConfiguration,
} from '../usecases/inspect/inspect-configuration.js'
import {
  type Inspected,
  type InspectedTool,
  inspectTarget,
  SECTIONS,
  type ShownSettings,
} from '../usecases/inspect/inspect-target.js'
import { createColors } from '../util/colors.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import { displayValue } from './commands/config/display.js'

const NAME_WIDTH = 14

const MAX_TOOLS = 20

const POLICIES = {
  refused: 'refused by policy: nobody sees it',
  restricted: 'not for every caller: roles, tenants or scopes',
} as const

const TIMES = new Set(['exp', 'iat', 'nbf', 'auth_time', 'rexp'])

/**
 * Shows every link of the chain to one target.
 *
 * @returns The exit status.
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function printTarget(
  runtime: Runtime,
  argument: string | undefined,
  flags: InspectFlags,
): Promise<number> {
  const { io, clock } = runtime
  const began = clock.now()
  const { inspected: found, report, worst } = await inspectTarget(runtime, argument, flags)
  if (flags.json) io.out(`${JSON.stringify(found)}\n`)
  else {
    const style = inspectionStyle(runtime)
    const { bold, cyan } = style.colors
    io.out(`${bold(`${PRODUCT} ${VERSION}`)}   ${cyan(report.url)}\n\n`)
    io.out(renderInspected(found, style))
    io.out(renderSummary(report, clock.now() - began, style))
  }
  if (flags.curl) (flags.json ? io.err : io.out)(curlOf(found))
  if (flags.json && worst !== undefined) throw failureOf(report.checks, worst)
  return report.exitCode
}

/**
 * Prints what `serve` would run with: the configuration, Descope and each target.
 *
 * @returns The exit status.
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function printConfiguration(runtime: Runtime, flags: InspectFlags): Promise<number> {
  const { io, clock } = runtime
  const began = clock.now()
  const { document, file, checks, worst } = await inspectConfiguration(runtime, flags)
  if (flags.json) io.out(`${JSON.stringify(document)}\n`)
  else {
    const style = inspectionStyle(runtime)
    io.out(renderConfiguration(document, file, style))
    io.out(renderSummary({ ...document, checks }, clock.now() - began, style))
  }
  if (flags.json && worst !== undefined) throw failureOf(checks, worst)
  return document.exitCode
}

/** How an inspection is written on stdout. */
function inspectionStyle(runtime: Pick<Runtime, 'io' | 'env'>): TextStyle {
  const { outIsTty, columns } = runtime.io
  const colors = createColors(runtime, 'out')
  return { colors, marks: outIsTty, columns: outIsTty ? columns : 110 }
}

/** Renders what was found out about one target, under its headings. */
function renderInspected(found: Inspected, style: TextStyle): string {
  const more = {
    network: '',
    authorization: renderClaims(found, style),
    protocol:
      found.protocolVersion === null
        ? ''
        : row('server', found.server ?? '-', style) +
          row('capabilities', found.capabilities.join(' ') || '-', style),
    contents: renderTools(found.tools, style),
  }
  const sections = SECTIONS.map((section) => {
    return renderSection(section, found[section], style) + more[section]
  })
  return `${renderSettings(found.settings, style)}${sections.join('')}`
}

function renderSection(title: string, checks: readonly CheckReport[], style: TextStyle): string {
  const shown: CheckReport[] = []
  let skipped: readonly CheckReport[] = []
  for (const next of [...checks, undefined]) {
    const { ready, held } = gatherSkipped(skipped, next)
    shown.push(...ready)
    skipped = held
  }
  return `\n${style.colors.bold(title)}\n${shown.map((check) => renderCheck(check, style)).join('')}`
}

/** Renders settings in three columns; a value that is too long gets lines of its own. */
function renderSettings(settings: ShownSettings, { colors, columns }: TextStyle): string {
  const rows = Object.entries(settings).map(([key, { value, origin }]) => {
    return { key, shown: displayValue(value), origin }
  })
  const keyWidth = Math.max(...rows.map(({ key }) => key.length))
  const width = Math.min(columns, 110) - 3
  const lines = rows.map(({ key, shown, origin }) => {
    const start = `   ${key.padEnd(keyWidth)}   `
    const isShort = start.length + shown.length + 3 + origin.length <= width
    if (isShort) return `${start}${shown}   ${colors.dim(origin)}\n`
    const value = wrap(shown, width - 5).map((line) => `     ${line}\n`)
    return `${start}${colors.dim(origin)}\n${value.join('')}`
  })
  return `${colors.bold('settings')}\n${lines.join('')}`
}

function row(name: string, text: string, { columns }: TextStyle): string {
  return wrap(text, Math.min(columns, 110) - NAME_WIDTH - 4)
    .map((line, index) => `   ${(index === 0 ? name : '').padEnd(NAME_WIDTH)} ${line}\n`)
    .join('')
}

/** One line per tool: the name that clients see, its arguments and the length of the name. */
function renderTools(tools: readonly InspectedTool[], style: TextStyle): string {
  const lines = tools.slice(0, MAX_TOOLS).map((tool, index) => {
    const { name, exposedAs, length, signature, readOnly, policy } = tool
    const renamed = exposedAs === name ? '' : `${exposedAs} = `
    const judged = policy === 'allowed' ? [] : [POLICIES[policy]]
    const notes = [...judged, `${length} characters`, ...(readOnly ? ['read-only'] : [])].join(', ')
    return row(index === 0 ? 'tools' : '', `${renamed}${signature}   ${notes}`, style)
  })
  const left = tools.length - MAX_TOOLS
  return lines.join('') + (left > 0 ? row('', `${left} more; --json has all`, style) : '')
}

function renderClaims({ claims, claimsProblem }: Inspected, style: TextStyle): string {
  const lines = Object.entries(claims ?? {}).map(([name, value]) => {
    const isTime = TIMES.has(name) && typeof value === 'number'
    const shown = isTime ? new Date(value * 1_000).toISOString() : displayValue(value)
    return row(`  ${name}`, shown, style)
  })
  const problem = claimsProblem === null ? '' : row('  refused?', claimsProblem, style)
  return lines.length === 0
    ? ''
    : `${row('claims', 'of the token, not verified', style)}${lines.join('')}${problem}`
}

/** The first request of a client, to be tried by hand, with a token where one is wanted. */
function curlOf({ url, authorization, settings }: Inspected): string {
  const body = { jsonrpc: '2.0', id: 1, method: 'initialize', params: INITIALIZE_PARAMS }
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
  const token = authorization.find(({ id }) => id === 'auth.token')
  const isOpen = token === undefined || token.outcome === 'skip'
  const isOwn = settings['credential']?.value === 'static'
  return [
    // only the user has a credential of the target's own
    ...(isOpen || isOwn ? [''] : [`\nTOKEN=$(mcp-descope-proxy token ${quote(url)})`]),
    `curl -sS -i ${quote(url)} \\`,
    ...(isOpen ? [] : [`  -H "authorization: Bearer $TOKEN" \\`]),
    `  -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \\`,
    `  -d ${quote(JSON.stringify(body))}\n`,
  ].join('\n')
}

function renderConfiguration(
  { settings, descope, endpoints, targets, programs }: InspectedConfiguration,
  file: string | undefined,
  style: TextStyle,
): string {
  const { bold, cyan, yellow } = style.colors
  const missing = ` ${yellow('!')} not configured: \`serve\` would not start; set DESCOPE_CONFIG_URL`
  return [
    `${bold(`${PRODUCT} ${VERSION}`)}   ${cyan(file ?? 'configured by the environment')}\n\n`,
    renderSettings(settings, style),
    descope.length > 0
      ? renderSection('descope', descope, style)
      : `\n${bold('descope')}\n${missing}\n`,
    `\n${bold(endpoints.length === 1 ? 'endpoint' : 'endpoints')}\n`,
    ...endpoints.map(({ target, url }) => row(target ?? 'all targets', url, style)),
    ...targets.map(({ target, url, ...found }) => {
      return `\n${bold(`target ${target}`)}   ${cyan(url)}\n\n${renderInspected({ target, url, ...found }, style)}`
    }),
    ...programs.map(
      (name) =>
        `\n${bold(`target ${name}`)}   ${cyan('a program on stdio')}\n ${yellow('!')} not checked here: check the URL of a running \`serve\`\n`,
    ),
  ].join('')
}
