import { readFileSync } from 'node:fs'
import { XMLValidator } from 'fast-xml-parser'
import { describe, expect, it } from 'vitest'
import type { Figures } from '../../bench/figures.js'
import figures from '../../bench/figures.json' with { type: 'json' }
import { renderPlot } from '../../bench/plot.js'
import { PLACES, renderTables } from '../../bench/publish.js'

const read = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8')

describe('what the bench publishes', () => {
  it('is in the README, and was not written by hand', () => {
    const [, tables] =
      /<!-- bench:begin -->\n([\s\S]*?)\n<!-- bench:end -->/.exec(read(PLACES.readme)) ?? []
    expect(tables, 'run `npm run bench -- --save`').toBe(renderTables(figures))
  })

  it('is drawn in the plot that the README shows', () => {
    expect(read(PLACES.plot), 'run `npm run bench -- --save`').toBe(renderPlot(figures))
    expect(read(PLACES.readme)).toContain(`](${PLACES.plot})`)
  })

  it('is a well-formed picture that says in words what it shows', () => {
    const plot = renderPlot(figures)
    expect(XMLValidator.validate(plot)).toBe(true)
    expect(plot).toContain('mcp-remote 0.15.1 93')
    expect(plot).not.toMatch(/NaN|undefined|Infinity/)
  })

  it('draws bars in proportion', () => {
    const stdio = { ...figures.stdio.stdio, megabytes: 50 }
    const remote = { ...figures.stdio.remote, megabytes: 100 }
    const changed: Figures = { ...figures, stdio: { stdio, remote } }
    const widths = [...renderPlot(changed).matchAll(/ width="([\d.]+)" height="18"/g)].map(widthOf)
    const [own = 0, other = 0] = widths.slice(-2)
    expect(own / other).toBeCloseTo(0.5, 2)
  })
})

const widthOf = ([, width]: RegExpMatchArray) => Number(width)
