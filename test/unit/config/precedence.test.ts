import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readSettings } from '../../../src/config/load.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const SOURCES = ['flag', 'env', '.env', 'profile', 'file'] as const
const SETTINGS = [
  { key: 'server.port', variable: 'PORT', start: 1 },
  { key: 'server.workers', variable: 'MCP_DESCOPE_SERVER_WORKERS', start: 100 },
  { key: 'server.metricsPort', variable: 'MCP_DESCOPE_SERVER_METRICS_PORT', start: 200 },
] as const
const DEFAULTS = { 'server.port': 8000, 'server.workers': 1, 'server.metricsPort': undefined }

describe('precedence', () => {
  it('takes each key from the strongest source that has it, whatever the others say', () => {
    const chosen = fc.record(
      Object.fromEntries(SETTINGS.map(({ key }) => [key, fc.subarray([...SOURCES])])),
    )
    fc.assert(
      fc.property(chosen, (sourcesOf) => {
        const has = (key: string, source: string) => sourcesOf[key]?.includes(source as never)
        const given = (source: (typeof SOURCES)[number], name: 'key' | 'variable') =>
          Object.fromEntries(
            SETTINGS.filter(({ key }) => has(key, source)).map((row) => [
              row[name],
              row.start + SOURCES.indexOf(source),
            ]),
          )
        const nested = (source: 'profile' | 'file') => ({
          server: Object.fromEntries(
            Object.entries(given(source, 'key')).map(([key, value]) => [key.slice(7), value]),
          ),
        })
        const texts = (values: object) =>
          Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
        const cwd = createFolder({
          '.env': Object.entries(given('.env', 'variable'))
            .map(([name, value]) => `${name}=${value}`)
            .join('\n'),
          '.mcp-descope-proxyrc.json': { ...nested('file'), profiles: { p: nested('profile') } },
        })
        const settings = readSettings(
          createTestRuntime({ cwd, env: texts(given('env', 'variable')) }),
          { flags: { profile: 'p', ...texts(given('flag', 'key')) }, for: 'report' },
        )
        for (const { key, start } of SETTINGS) {
          const strongest = SOURCES.findIndex((source) => has(key, source))
          const expected = strongest < 0 ? DEFAULTS[key] : start + strongest
          expect(settings.values.get(key)?.value).toBe(expected)
          expect(settings.raws.get(key)).toHaveLength(sourcesOf[key]?.length ?? 0)
        }
      }),
      { numRuns: 60 },
    )
  })
})
