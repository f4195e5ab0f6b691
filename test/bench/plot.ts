import type { Figures } from './figures.js'

interface Bar {
  label: string
  value: number
  /** Ours: drawn in the accent colour. */
  own?: boolean
}

interface Panel {
  title: string
  better: 'more' | 'less'
  bars: Bar[]
}

const WIDTH = 820
const COLUMN = WIDTH / 2
const LABEL = 158
const BAR = 18
const GAP = 7
const HEAD = 46
const PAD = 22
/** Room for the figure behind the longest bar. */
const FIGURE = 58

const STYLE = `
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2430}
.title{font-weight:600}.dim{fill:#596173}.own{fill:#2347c5}.other{fill:#b9c1d1}.ground{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#e8ebf2}.dim{fill:#a3abba}.own{fill:#8ea8ff}.other{fill:#4b5364}.ground{fill:#0d1117}}
`

/** Draws the published figures as bars, for light and dark pages. */
export function renderPlot(figures: Figures): string {
  const panels = panelsOf(figures)
  const heights = panels.map(({ bars }) => HEAD + bars.length * (BAR + GAP) + PAD)
  let y = 8
  const drawn: string[] = []
  for (let at = 0; at < panels.length; at += 2) {
    for (const side of [0, 1]) {
      const panel = panels[at + side]
      if (panel) drawn.push(drawPanel(panel, side * COLUMN, y))
    }
    y += Math.max(heights[at] ?? 0, heights[at + 1] ?? 0)
  }
  const description = panels
    .map(
      ({ title, bars }) =>
        `${title}: ${bars.map((bar) => `${bar.label} ${shortNumber(bar.value)}`).join(', ')}`,
    )
    .join('. ')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-labelledby="t d">
<title id="t">Performance of mcp-descope-proxy against relays and bridges</title>
<desc id="d">${escapeXml(description)}.</desc>
<style>${STYLE}</style>
<rect class="ground" width="${WIDTH}" height="${y}" rx="8"/>
${drawn.join('\n')}
</svg>
`
}

function panelsOf({ requests, streams, stdio }: Figures): Panel[] {
  const rates = (at: number, connections: number): Panel => {
    const own = requests.raw[at] as number
    return {
      title: `serve: requests per second, ${connections} connections`,
      better: 'more',
      bars: [
        { label: 'looks at nothing', value: 1 },
        { label: 'relay by hand', value: own / (requests.full[at] as number) },
        { label: 'serve', value: own, own: true },
        { label: 'relay on the SDK', value: own / (requests.sdk[at] as number) },
      ],
    }
  }
  const bridges = (title: string, key: 'start' | 'added' | 'megabytes'): Panel => ({
    title: `stdio: ${title}`,
    better: 'less',
    bars: [
      { label: 'stdio', value: stdio.stdio[key], own: true },
      { label: 'mcp-remote 0.15.1', value: stdio.remote[key] },
    ],
  })
  return [
    rates(1, 10),
    rates(2, 64),
    {
      title: 'serve: KB per idle event stream',
      better: 'less',
      bars: [
        { label: 'looks at nothing', value: streams.kb.raw },
        { label: 'serve', value: streams.kb.serve, own: true },
        { label: 'relay on the SDK', value: streams.kb.sdk },
      ],
    },
    bridges('start × node -e 0', 'start'),
    bridges('time added to a call × bridge by hand', 'added'),
    bridges('memory at start, MB', 'megabytes'),
  ]
}

function drawPanel({ title, better, bars }: Panel, x: number, y: number): string {
  const scale = (COLUMN - LABEL - FIGURE - PAD) / Math.max(...bars.map(({ value }) => value))
  const drawn = bars.map(({ label, value, own }, at) => {
    const top = y + HEAD + at * (BAR + GAP)
    const width = Math.max(2, value * scale)
    const left = x + LABEL
    return `<text x="${left - 8}" y="${top + 13}" text-anchor="end">${escapeXml(label)}</text>
<rect class="${own ? 'own' : 'other'}" x="${left}" y="${top}" width="${width.toFixed(1)}" height="${BAR}" rx="3"/>
<text x="${(left + width + 6).toFixed(1)}" y="${top + 13}">${shortNumber(value)}</text>`
  })
  return `<text class="title" x="${x + PAD}" y="${y + 22}">${escapeXml(title)}</text>
<text class="dim" x="${x + PAD}" y="${y + 38}">${better} is better</text>
${drawn.join('\n')}`
}

/** Ratios of ratios are no more exact than two digits. */
function shortNumber(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(2)))
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
