import { ownMember } from '../../util/json.js'
import { escapeHtml, pageHtml } from '../../util/page.js'
import { PRODUCT } from '../../util/version.js'
import { type History, type Kind, type Minute, RECENT_MINUTES, SHOWN_MINUTES } from './history.js'
import { CONSOLE_HEADERS, SCRIPT, STYLE } from './page-parts.js'
import type { RecentCall, RecentCalls } from './recent-calls.js'
import { type Samples, sumOf, valuesOf } from './samples.js'

/** One row of the configuration: never a secret. */
export interface ShownSetting {
  readonly key: string
  readonly value: string
  readonly from: string
}

export interface Shown {
  readonly now: number
  readonly samples: Samples
  readonly history: History
  readonly recent: Pick<RecentCalls, 'calls' | 'failure'>
  readonly settings: readonly ShownSetting[]
  /** Removes secrets from what targets and clients wrote. */
  readonly redact: (text: string) => string
}

/** The parts of the page that change, by the id of their element. */
export type Sections = Readonly<Record<'overview' | 'targets' | 'plots' | 'calls', string>>

const KINDS: readonly (readonly [Kind, string])[] = [
  ['answered', 'answered'],
  ['refused', 'refused here'],
  ['failed', 'failed at the target'],
]

/** Renders what changes. */
export function renderSections(shown: Shown): Sections {
  return {
    overview: renderOverview(shown),
    targets: renderTargets(shown),
    plots: renderPlots(shown),
    calls: renderCalls(shown),
  }
}

/** Renders the whole page, which says everything without scripts too. */
export function renderConsole(shown: Shown) {
  const sections = renderSections(shown)
  const [build] = shown.samples.get('mcp_proxy_build_info') ?? []
  const { url = '', version = '', node = '', config = '' } = build?.labels ?? {}
  const title = `${PRODUCT} at ${url}`
  const file = config === '' ? 'no configuration file' : `configuration file ${config}`
  const part = (id: keyof Sections, heading: string) =>
    `<section aria-labelledby="h-${id}"><h2 id="h-${id}">${heading}</h2><div id="${id}">${sections[id]}</div></section>`
  const main = `<header><h1>${escapeHtml(url)}</h1><p class="dim">Version ${escapeHtml(version)} on Node ${escapeHtml(node)}, ${escapeHtml(file)}</p>
<p class="live"><span id="state" role="status">as of ${clockTime(shown.now)}</span></p></header>
<div id="overview">${sections.overview}</div>
${part('targets', 'Targets')}
${part('plots', `The last ${SHOWN_MINUTES} minutes`)}
${part('calls', 'Last requests')}
<section aria-labelledby="h-config"><h2 id="h-config">Configuration</h2>
<details><summary>${shown.settings.length} settings that are set, and where they come from</summary>
${table('Configuration', ['setting', 'value', 'from'], shown.settings.map(settingRow))}</details></section>
<p class="dim">Read-only. <a href="/metrics">Metrics for Prometheus</a></p>`
  const html = pageHtml({ title, style: STYLE, script: SCRIPT, main })
  return { html, headers: CONSOLE_HEADERS }
}

const settingRow = ({ key, value, from }: ShownSetting) => [code(key), code(value), text(from)]

function renderOverview({ samples, history }: Shown): string {
  const minutes = history.minutes()
  const last = minutes.slice(-RECENT_MINUTES)
  const counted = last.reduce((sum, { requests }) => sum + total(requests), 0)
  const targets = valuesOf(samples, 'target_state', 'target')
  const down = targets.filter((target) => !['ok', 'unknown'].includes(stateOf(samples, target)))
  const keys = valuesOf(samples, 'keys_state', 'state').find(
    (state) => sumOf(samples, 'keys_state', { state }) === 1,
  )
  const tiles = [
    ['requests a minute', number(counted / Math.max(1, last.length)), ''],
    ['under way', number(sumOf(samples, 'running_calls')), ''],
    ['open streams', number(sumOf(samples, 'open_streams')), ''],
    ['callers now', number(sumOf(samples, 'callers')), ''],
    ['targets in trouble', `${down.length} of ${targets.length}`, down.length > 0 ? 'bad' : ''],
    ['keys of Descope', keys ?? 'not used', keys === 'missing' || keys === 'stale' ? 'bad' : ''],
  ]
  const tile = ([name = '', value = '', kind = '']: string[]) =>
    `<div class="tile ${kind}"><dt>${text(name)}</dt><dd>${text(value)}</dd></div>`
  return `<dl class="tiles">${tiles.map(tile).join('')}</dl>`
}

const STATES: Readonly<Record<string, readonly [string, string]>> = {
  ok: ['ok', 'good'],
  down: ['down', 'bad'],
  refused_credential: ['refuses the credential', 'bad'],
  unknown: ['not asked yet', 'idle'],
}

function stateOf(samples: Samples, target: string): string {
  const states = Object.keys(STATES)
  // the worst that any worker has seen
  const seen = states.filter((state) => sumOf(samples, 'target_state', { target, state }) > 0)
  return seen.find((state) => ownMember(STATES, state)?.[1] === 'bad') ?? seen[0] ?? 'unknown'
}

function renderTargets({ now, samples, history, recent, redact }: Shown): string {
  const rows = valuesOf(samples, 'target_state', 'target').map((target) => {
    const [word = '', kind = ''] = ownMember(STATES, stateOf(samples, target)) ?? []
    const { calls, seconds } = history.recent(target)
    const failure = recent.failure(target)
    const [end] = (samples.get('mcp_proxy_target_credential_end_seconds') ?? []).filter(
      ({ labels }) => labels['target'] === target,
    )
    const isRenewed = end?.labels['renewed'] === 'yes'
    return [
      code(target),
      `<span class="badge ${kind}">${text(word)}</span>`,
      text(calls === 0 ? '–' : `${number((seconds / calls) * 1000)} ms`),
      text(number(calls / RECENT_MINUTES)),
      failure === undefined
        ? '–'
        : `${text(redact(failure.reason))} <span class="dim">${text(ago(now, failure.at))}</span>`,
      end === undefined ? '–' : credentialEnd(end.value * 1000 - now, isRenewed),
    ]
  })
  const heads = ['target', 'state', 'time, mean', 'a minute', 'last failure', 'credential']
  const note = `<p class="dim">Times and requests are those of the last ${RECENT_MINUTES} minutes.</p>`
  return table('Targets', heads, rows) + note
}

function credentialEnd(leftMs: number, isRenewed: boolean): string {
  if (leftMs <= 0) return '<span class="badge bad">has ended</span>'
  const left = `ends in ${span(leftMs)}${isRenewed ? ', is renewed' : ''}`
  return !isRenewed && leftMs < 3 * 86_400_000
    ? `<span class="badge bad">${text(left)}</span>`
    : text(left)
}

const PLOT = { width: 720, height: 160, left: 44, bottom: 20 }

function renderPlots(shown: Shown): string {
  const { history, now } = shown
  const kept = new Map(history.minutes().map((minute) => [minute.at, minute]))
  const last = Math.floor(now / 60_000)
  const bars = Array.from({ length: SHOWN_MINUTES }, (_, index) =>
    kept.get(last - SHOWN_MINUTES + 1 + index),
  )
  const reasons = new Map<string, number>()
  for (const { refusals } of kept.values()) {
    for (const [reason, count] of refusals) reasons.set(reason, (reasons.get(reason) ?? 0) + count)
  }
  const refused = [...reasons].sort(([, one], [, other]) => other - one)
  return `<figure><figcaption>Requests a minute ${legend()}</figcaption>${plot(bars)}</figure>
${
  refused.length === 0
    ? '<p>Nothing was refused.</p>'
    : `<h3>Refusals</h3>${table(
        'Refusals',
        ['reason', 'count'],
        refused.slice(0, 20).map(([reason, count]) => [code(reason), text(number(count))]),
      )}`
}`
}

const legend = () =>
  KINDS.map(([kind, name]) => `<span class="key ${kind}">${text(name)}</span>`).join(' ')

function plot(bars: readonly (Minute | undefined)[]): string {
  const totals = bars.map((minute) => (minute === undefined ? 0 : total(minute.requests)))
  const most = Math.max(...totals)
  const top = niceTop(most)
  const { width, height, left, bottom } = PLOT
  const step = (width - left) / SHOWN_MINUTES
  const scale = (height - bottom - 8) / top
  const base = height - bottom
  const shapes = bars.flatMap((minute, index) => {
    let y = base
    return KINDS.flatMap(([kind]) => {
      const tall = (minute?.requests[kind] ?? 0) * scale
      if (tall === 0) return []
      y -= tall
      const x = left + index * step + 1
      return `<rect class="${kind}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(step - 2).toFixed(1)}" height="${tall.toFixed(1)}"/>`
    })
  })
  const lines = [0, 0.5, 1].map((part) => {
    const y = (base - part * top * scale).toFixed(1)
    return `<line x1="${left}" x2="${width}" y1="${y}" y2="${y}"/><text x="${left - 8}" y="${Number(y) + 4}" text-anchor="end">${number(part * top)}</text>`
  })
  const times = `<text x="${left}" y="${height - 4}">${SHOWN_MINUTES} min ago</text><text x="${width}" y="${height - 4}" text-anchor="end">now</text>`
  const sum = totals.reduce((all, count) => all + count, 0)
  const said = `${number(sum)} requests in ${SHOWN_MINUTES} minutes, at most ${number(most)} in one; ${number(totals.at(-1) ?? 0)} in the running minute`
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${said}">${lines.join('')}${shapes.join('')}${times}</svg><p class="dim">${said}.</p>`
}

/** Rounds up to 1, 2 or 5 with zeros. */
function niceTop(most: number): number {
  if (most <= 2) return 2
  const power = 10 ** Math.floor(Math.log10(most))
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= most) ?? 10
  return factor * power
}

function renderCalls({ now, recent, redact }: Shown): string {
  const calls = recent.calls()
  if (calls.length === 0) return '<p>None since the start.</p>'
  const heads = ['when', 'who', 'what', 'target', 'outcome', 'ms', 'request id']
  return table('Last requests', heads, calls.map(callRow(now, redact)))
}

const callRow = (now: number, redact: (text: string) => string) => (call: RecentCall) => {
  const { at, id, who, client, method, tool, target, outcome, why, status, ms } = call
  const kind = outcome === 'ok' ? 'good' : outcome === 'client_left' ? 'idle' : 'bad'
  const by = client === undefined ? '' : `<br><span class="dim">${text(client)}</span>`
  return [
    text(ago(now, at)),
    `${text(who ?? '–')}${by}`,
    `${code(method)}${tool === undefined ? '' : ` ${code(redact(tool))}`}`,
    target === undefined ? '–' : code(target),
    `<span class="badge ${kind}">${text(outcome)}</span> ${why === undefined ? '' : text(redact(why))} <span class="dim">${status}</span>`,
    text(number(ms)),
    code(id),
  ]
}

function table(name: string, heads: readonly string[], rows: readonly string[][]): string {
  const head = heads.map((title) => `<th scope="col">${text(title)}</th>`).join('')
  const body = rows.map((cells) => {
    const written = cells.map((cell, at) => `<td data-head="${text(heads[at] ?? '')}">${cell}</td>`)
    return `<tr>${written.join('')}</tr>`
  })
  // whoever has no mouse scrolls it with the keys
  return `<div class="wide" tabindex="0" role="region" aria-label="${text(name)}, table"><table><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>`
}

const text = escapeHtml

const code = (value: string) => `<code>${escapeHtml(value)}</code>`

const total = (requests: Minute['requests']) =>
  requests.answered + requests.refused + requests.failed

function number(value: number): string {
  if (value > 0 && value < 10 && !Number.isInteger(value)) return value.toFixed(1)
  return Math.round(value).toLocaleString('en')
}

const clockTime = (at: number) => `${new Date(at).toISOString().slice(11, 19)} UTC`

const ago = (now: number, at: number) => `${span(Math.max(0, now - at))} ago`

function span(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}
