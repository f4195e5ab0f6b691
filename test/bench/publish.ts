import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONNECTIONS, type Figures } from './figures.js'
import { renderPlot } from './plot.js'
import { alignRows } from './table.js'

/** Where what is published stands, below the project's folder. */
export const PLACES = {
  figures: 'test/bench/figures.json',
  plot: 'test/bench/performance.svg',
  readme: 'README.md',
}

const MARKERS = /(<!-- bench:begin -->\n)[\s\S]*?(\n<!-- bench:end -->)/

/** Writes the figures, the plot of them, and the tables between the README's markers. */
export function publish(root: string, figures: Figures): void {
  writeFileSync(join(root, PLACES.figures), `${JSON.stringify(figures, null, 2)}\n`)
  writeFileSync(join(root, PLACES.plot), renderPlot(figures))
  const readme = join(root, PLACES.readme)
  const text = readFileSync(readme, 'utf8')
  writeFileSync(
    readme,
    text.replace(MARKERS, (_, begin, end) => begin + renderTables(figures) + end),
  )
}

/** The tables of the README. */
export function renderTables({ machine, requests, streams, stdio }: Figures): string {
  const rows = (cells: number[]) => cells.map(String)
  const both = (key: keyof Figures['stdio']['stdio']) => rows([stdio.stdio[key], stdio.remote[key]])
  return [
    alignRows([
      [
        `${machine}, ratios of one run`,
        ...CONNECTIONS.map((n) => (n === 1 ? '1 connection' : `${n}`)),
      ],
      ['requests per second × relay that looks at nothing', ...rows(requests.raw)],
      ['the same × relay by hand that checks tokens and renames', ...rows(requests.full)],
      ['requests per second × relay on the SDK', ...rows(requests.sdk)],
    ]),
    `Of ${streams.count.toLocaleString('en')} idle event streams each takes ${streams.kb.serve} KB (relay that looks at nothing: ${streams.kb.raw} KB; on the SDK: ${streams.kb.sdk} KB); their heads come at\nonce, and no event of a burst of ${streams.burst.toLocaleString('en')} is lost.`,
    alignRows([
      ['`stdio`, a stored sign-in, ratios of the same run', '`stdio`', 'mcp-remote 0.15.1'],
      ['start to the answer to `initialize` × `node -e 0`', ...both('start')],
      ['time added to a call × bridge by hand on `node:http`', ...both('added')],
      ['calls per second with 64 under way × that bridge', ...both('rate')],
      ['memory at start, MB', ...both('megabytes')],
    ]),
  ].join('\n\n')
}
