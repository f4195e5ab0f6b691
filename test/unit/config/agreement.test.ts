import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { addSettingsOptions, collectFlags } from '../../../src/cli/settings-options.js'
import { configJsonSchema, renderSettingsTable } from '../../../src/config/json-schema.js'
import { SETTING_KINDS } from '../../../src/config/kinds.js'
import { PARSERS } from '../../../src/config/parsers.js'
import { findSetting, SETTINGS } from '../../../src/config/settings.js'
import { LOOKUPS, type Setting } from '../../../src/config/table.js'
import { reportJsonSchema } from '../../../src/diagnose/reporters/report-schema.js'
import { isObject } from '../../../src/util/json.js'

const ROWS: readonly Setting[] = SETTINGS

const read = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8')

function createServe(): Command {
  return addSettingsOptions(new Command('serve').exitOverride())
}

describe('the table of settings', () => {
  it('names each key, flag and variable once', () => {
    for (const names of [
      ROWS.map((row) => row.key),
      ROWS.flatMap((row) => row.env),
      ROWS.map((row) => row.flag).filter((flag) => flag !== undefined),
    ]) {
      expect(new Set(names).size).toBe(names.length)
    }
  })

  it('has a default that its own parser accepts', () => {
    for (const row of ROWS) {
      if (row.default === undefined) continue
      expect(PARSERS[row.kind].parse(row.default)).toEqual(row.default)
    }
  })

  it('gives no secret a flag', () => {
    expect(ROWS.filter((row) => row.secret && row.flag)).toEqual([])
  })

  it.each([
    ['descope.configUrl', ['DESCOPE_CONFIG_URL']],
    ['server.publicUrl', ['SERVER_URL']],
    ['targets.*.url', ['TARGET_MCP_SERVER_URL']],
    ['targets.*.credential.token', ['TARGET_TOKEN']],
    ['server.host', ['HOST']],
    ['server.port', ['PORT']],
    ['session.secret', ['SESSION_SECRET', 'MCP_DESCOPE_SESSION_SECRET']],
    ['server.allowedOrigins', ['MCP_DESCOPE_SERVER_ALLOWED_ORIGINS']],
    ['log.level', ['MCP_DESCOPE_LOG_LEVEL']],
  ])('reads %s from %s', (key, env) => {
    expect(findSetting(key)?.env).toEqual(env)
  })
})

describe('the flags of serve', () => {
  it('are those of the table', () => {
    const flags = createServe().options.map((option) => option.flags)
    const expected = [...LOOKUPS, ...ROWS].map((row) => row.flag).filter((flag) => flag)
    expect(flags).toEqual(expected)
  })

  it('are those that were promised', () => {
    const promised =
      '--config --profile --host --port --path --public-url --descope-config-url --target --prefix --allowed-origin --allowed-host --workers --metrics-port --log-level --log-format --insecure-no-auth'
    const names = createServe().options.map((option) => option.long)
    expect(names.toSorted()).toEqual(promised.split(' ').toSorted())
  })

  it('appear in the help with their default and variable', () => {
    const help = createServe().helpInformation().replace(/\s+/g, ' ')
    expect(help).toContain(
      '--port <port> Port to listen on; 0 picks a free one (default: 8000; env: PORT)',
    )
    for (const row of ROWS) if (row.flag) expect(help).toContain(row.flag)
  })

  it('are collected by key, as text, and only when they are given', () => {
    const command = createServe()
    command.parse(
      ['--port', '1', '--target', 'a=http://a', '--target', 'http://b', '--insecure-no-auth'],
      { from: 'user' },
    )
    expect(collectFlags(command)).toEqual({
      'server.port': '1',
      'targets.*.url': ['a=http://a', 'http://b'],
      'server.insecureNoAuth': true,
    })
  })
})

describe('what is derived from the table', () => {
  it('equals the JSON Schema that ships', () => {
    const hint = 'run `mcp-descope-proxy config schema > config-schema.json`'
    expect(JSON.parse(read('config-schema.json')), hint).toEqual(configJsonSchema())
  })

  it('equals the JSON Schema of reports that ships', () => {
    const hint = 'run `mcp-descope-proxy config schema report > report-schema.json`'
    expect(JSON.parse(read('report-schema.json')), hint).toEqual(reportJsonSchema())
  })

  it('has each key in the JSON Schema, with its help', () => {
    const schema = configJsonSchema()
    for (const row of ROWS) {
      let here: unknown = schema
      for (const member of row.key.split('.')) {
        if (!isObject(here)) break
        const { properties, additionalProperties } = here
        here = member === '*' ? additionalProperties : isObject(properties) && properties[member]
      }
      expect(here, row.key).toMatchObject({ description: expect.stringContaining(row.help) })
    }
  })

  it('equals the table in the README', () => {
    const [, table] =
      /<!-- settings:begin -->\n([\s\S]*?)\n<!-- settings:end -->/.exec(read('README.md')) ?? []
    expect(table).toBe(renderSettingsTable())
  })

  it('says for each kind what it expects', () => {
    for (const facts of Object.values(SETTING_KINDS)) expect(facts.expects).not.toBe('')
  })
})
