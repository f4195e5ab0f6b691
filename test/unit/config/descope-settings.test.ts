import { describe, expect, it } from 'vitest'
import { loadConfig, readSettings } from '../../../src/config/load.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const PROJECT = 'P2abcdefghijklmnopqrstuvwxyz0'
const RC = '.mcp-descope-proxyrc.json'

function problemsIn(files: Record<string, unknown>, env: Record<string, string> = {}): string[] {
  const runtime = createTestRuntime({ cwd: createFolder(files), env })
  return [...readSettings(runtime, { flags: {}, for: 'report' }).problems]
}

describe('a discovery URL that is none is told with the other problems', () => {
  it.each([
    ['https://api.descope.com/', 'has no project id in its path'],
    ['https://api.descope.com/v1/apps/agentic/', 'has no project id in its path'],
    [`https://api.descope.com/v1/apps/agentic/${PROJECT}`, 'names a project but no MCP server'],
    ['https://api.descope.com/v1/apps/agentic/P1/MS1', 'has "P1" where the project id belongs'],
    [`http://api.descope.com/${PROJECT}`, 'does not use https (api.descope.com)'],
    [PROJECT, 'is a project id, not a URL'],
    ['api.descope.com', 'is not an https URL without credentials and fragment'],
    [`https://u:s3cret@api.descope.com/${PROJECT}`, 'is not an https URL without credentials'],
    [`https://api.descope.com/${PROJECT}?key=s3cret`, 'has a query'],
  ])('%s', (url, reason) => {
    const file = { [RC]: JSON.stringify({ descope: { configUrl: url } }, undefined, 1) }
    const [inFile] = problemsIn(file)
    expect(inFile).toMatch(
      new RegExp(`\\(file \\./${RC}:3\\) — write the Discovery URL of the MCP`),
    )
    const problems = problemsIn({}, { DESCOPE_CONFIG_URL: url, PORT: 'x' })
    expect(problems).toEqual([
      expect.stringContaining(`descope.configUrl ${reason}`),
      expect.stringContaining('server.port'),
    ])
    expect(problems[0]).toContain('(env DESCOPE_CONFIG_URL) — write the Discovery URL')
    expect(problems.join() + inFile).not.toContain('s3cret')
  })

  it.each([
    `https://api.descope.com/v1/apps/agentic/${PROJECT}/MS1/.well-known/openid-configuration`,
    `https://api.descope.com/v1/apps/${PROJECT}`,
    `https://auth.example.com/${PROJECT}/.well-known/openid-configuration`,
    `http://127.0.0.1:9100/v1/apps/agentic/${PROJECT}/MS1`,
  ])('and %s is one', (url) => {
    expect(problemsIn({}, { DESCOPE_CONFIG_URL: url })).toEqual([])
  })
})

describe('descope.issuers', () => {
  it('takes URLs and the id of a project', () => {
    const issuers = [PROJECT, `https://api.descope.com/${PROJECT}`]
    const cwd = createFolder({ [RC]: { descope: { issuers } } })
    const { config } = loadConfig(createTestRuntime({ cwd }), { flags: {}, for: 'report' })
    expect(config.descope.issuers).toEqual(issuers)
    const env = { MCP_DESCOPE_DESCOPE_ISSUERS: issuers.join(' ') }
    expect(problemsIn({}, env)).toEqual([])
  })

  it.each(['P', 'Pshort', 'example.com', '', 'p2abcdefghijklmnopqrstuvwxyz0'])(
    'refuses %j',
    (issuer) => {
      expect(problemsIn({ [RC]: { descope: { issuers: [issuer] } } })).toEqual([
        expect.stringContaining('or of ids of projects'),
      ])
    },
  )
})
