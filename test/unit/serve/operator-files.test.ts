import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { register } from 'prom-client'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '../../../src/serve/metrics.js'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const read = (path: string) => readFileSync(`${ROOT}/${path}`, 'utf8')

interface Metric {
  name: string
  type: string
  help: string
  labels: string[]
}

/** What Prometheus adds to what it scrapes. */
const SCRAPED = ['job', 'instance']

/** Metrics that Prometheus and Node have by themselves. */
const GIVEN = /^(up|(process|nodejs)_\w+)$/

let metrics: Metric[]
beforeAll(async () => {
  register.clear()
  const created = await createMetrics({
    openStreams: () => 0,
    targets: [
      {
        name: 't',
        state: 'ok',
        upstream: { held: { kind: 'child', count: () => 0 } },
        breaker: { isOpen: () => false },
        credential: { validity: () => ({ endsAt: 0, isRenewed: false }) },
      } as never,
    ],
    limitStore: { state: () => 'ok' },
    keysState: () => 'ok',
    caps: { calls: () => 0, callers: () => 0 },
    build: { version: '', node: '', config: '', url: '' },
  })
  // each has its labels once there was something to count
  const how = { outcome: 'refused', refusal: 'policy', cause: 'timeout' } as const
  created.request({ method: 'tools/call', target: 't', status: 200, ms: 1, ...how })
  created.audit('file', 'lost', 1)
  const text = await created.text()
  metrics = [...text.matchAll(/^# HELP (mcp_\w+) (.*)\n# TYPE \S+ (\w+)/gm)].map(
    ([, name = '', help = '', type = '']) => ({ name, help, type, labels: labelsOf(text, name) }),
  )
})

/** The labels of the first sample. */
function labelsOf(text: string, name: string): string[] {
  const [, inner = ''] = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, 'm').exec(text) ?? []
  const labels = [...inner.matchAll(/(\w+)="/g)].map(([, label = '']) => label)
  return labels.filter((label) => label !== 'le')
}

function tableOf(all: readonly Metric[]): string {
  const rows = all.map(({ name, type, help, labels }) => {
    const named = labels.map((label) => `\`${label}\``).join(', ')
    return `| \`${name}\` | ${type} | ${named} | ${help} |`
  })
  return ['| metric | type | labels | what it counts |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  )
}

/** The selectors of an expression: metric, and the labels that it names. */
function selectors(expression: string) {
  const bare = expression.replace(/\$__rate_interval/g, '5m')
  const found = [...bare.matchAll(/\b([a-z]\w*_\w+|up)\b(?:\{([^}]*)\})?/g)]
  return found
    .filter(([name]) => !/^(histogram_quantile|label_values)/.test(name))
    .map(([, name = '', inner = '']) => ({
      name,
      matched: [...inner.matchAll(/(\w+)(?:=~|=|!=|!~)"([^"]*)"/g)].map(
        ([, label = '', value = '']) => ({ label, value }),
      ),
    }))
}

const grouped = (expression: string) =>
  [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) =>
    labels.split(',').map((label) => label.trim()),
  )

const sources = () =>
  ['serve', 'auth', 'gateway', 'audit']
    .flatMap((folder) =>
      readdirSync(`${ROOT}/src/${folder}`, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => read(`src/${folder}/${name}`)),
    )
    .join('\n')

function expectKnown(expression: string): void {
  const found = selectors(expression)
  const known = new Map<string, string[]>()
  for (const { name, type, labels } of metrics) {
    const all = [...labels, ...SCRAPED]
    if (type === 'histogram') known.set(`${name}_bucket`, [...all, 'le'])
    else known.set(name, all)
  }
  const mine = found.filter(({ name }) => name.startsWith('mcp_') || GIVEN.test(name))
  expect(mine.length, expression).toBeGreaterThan(0)
  const source = sources()
  const labels = new Set<string>(SCRAPED)
  for (const { name, matched } of mine) {
    if (!GIVEN.test(name)) expect([...known.keys()], expression).toContain(name)
    for (const label of known.get(name) ?? []) labels.add(label)
    for (const { label, value } of matched) {
      if (SCRAPED.includes(label)) continue
      expect(known.get(name), `${name} of ${expression}`).toContain(label)
      if (value.startsWith('$')) continue
      for (const word of value.split('|'))
        expect([expression, word, source.includes(`'${word}'`)]).toEqual([expression, word, true])
    }
  }
  for (const label of grouped(expression)) expect([...labels], expression).toContain(label)
}

describe('what operators get for the metrics', () => {
  it('documents each metric with its labels in docs/metrics.md', () => {
    const page = read('docs/metrics.md')
    const [, written] = /<!-- metrics -->\n([\s\S]*?)\n?<!-- \/metrics -->/.exec(page) ?? []
    const table = tableOf(metrics)
    if (process.env['UPDATE_DOCS'] !== undefined) {
      const updated = page.replace(
        /(<!-- metrics -->\n)[\s\S]*?(<!-- \/metrics -->)/,
        (_all, start, end) => `${start}${table}\n${end}`,
      )
      writeFileSync(`${ROOT}/docs/metrics.md`, updated)
      return
    }
    expect(written, 'UPDATE_DOCS=1 npx vitest run test/unit/serve/operator-files.test.ts').toBe(
      table,
    )
  })

  it('shows only metrics and labels that are there in the dashboard for Grafana', () => {
    const { panels, templating } = JSON.parse(read('deploy/grafana/dashboard.json'))
    const expressions = panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
      targets.map(({ expr }) => expr),
    )
    expect(expressions.length).toBeGreaterThan(15)
    for (const expression of expressions) expectKnown(expression)
    const variables = templating.list
      .map(({ definition }: { definition?: string }) => definition)
      .filter(Boolean)
    for (const definition of variables) expectKnown(definition)
    const ids = panels.map(({ id }: { id: number }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('alerts on metrics and labels that are there, and says what to do', () => {
    const { groups } = parse(read('deploy/prometheus/alerts.yaml'))
    const rules = groups.flatMap(({ rules: some }: { rules: unknown[] }) => some)
    expect(rules.length).toBeGreaterThan(8)
    for (const { expr, annotations, labels } of rules) {
      expectKnown(expr)
      expect(labels.severity).toMatch(/^(warning|critical)$/)
      expect(annotations.summary).toBeTruthy()
      expect(annotations.description).toBeTruthy()
    }
  })

  it('has no metric without a panel or an alert', () => {
    const used = read('deploy/grafana/dashboard.json') + read('deploy/prometheus/alerts.yaml')
    for (const { name } of metrics) expect(used).toContain(name)
  })
})
